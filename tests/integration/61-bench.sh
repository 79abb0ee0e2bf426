#!/bin/bash
. "$(dirname -- "$0")/lib.sh"
needs python3 jq
[ -x "$CTRD_BUILD/tools/bench/bench-start" ] || { skip "the benchmark" "it is not in this build"; exit 0; }
export CTRD_SECCOMP_PROFILE=/usr/share/containers/seccomp.json

bench() {
    "$CTRD_SOURCE/tools/bench/bench" start --no-build --runs 2 --warmup 0 --json result.json "$@"
}

check "bench start measures what it finds" bench --only floor,ctr-oci,crun
check_equal "on both bundles, each runtime runs the payload" "exec in podman crun,exec in podman ctr-oci,exec in small crun,exec in small ctr-oci,podman crun,podman ctr-oci,podman floor,small crun,small ctr-oci,small floor" \
    "$(jq -r '[.results[] | select(.median_ms > 0 and .problem == null) | .bundle + " " + .name] | sort | join(",")' result.json)"
check_equal "ctr-oci is compared with crun and with the floor" true \
    "$(jq 'all(.results[] | select(.name == "ctr-oci" and (.bundle | startswith("exec") | not)); .to_crun > 0 and .to_floor > 0)' result.json)"
check "no cgroup of it is left" eval '! compgen -G "/sys/fs/cgroup/ctrd-bench*"'
check_status "a wrong option is bad use" 2 bench --onyl floor
check_status "a row that does not exist is bad use" 2 bench --only ctr-ocy
