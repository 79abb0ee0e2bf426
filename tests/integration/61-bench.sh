#!/bin/bash
. "$(dirname -- "$0")/lib.sh"
needs python3 jq strace
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

# --- many containers: here a dozen, and no figure that a busy machine changes ------------------------------------------
no_containers() {
    ctrctl list --quiet | grep '^scale-' | xargs -r -I NAME systemctl stop ctr@NAME.service
    rm -f /run/ctrd/containers/scale-*.toml
    systemctl daemon-reload
}
at_exit no_containers
check "bench scale runs" "$CTRD_SOURCE/tools/bench/scale-inside" 12 10 scale.json "$CTRD_BUILD/tools/bench"
check_equal "all of its containers run" 12 "$(jq .running scale.json)"
check_equal "an idle ctrd makes no system call" 0 "$(jq .idle_calls scale.json)"
check_equal "without containers it has less than 4 MiB" true "$(jq '.counts[0].pss_kib < 4096' scale.json)"

# --- what waits, and what it holds
no_containers
check "bench memory runs" "$CTRD_SOURCE/tools/bench/memory-inside" 3 memory.json "$CTRD_BUILD/tools/bench"
check_equal "one that is created has two processes, one that runs has one, one that is stopped has none" "0 6 3 3 3" \
    "$(jq -r '[.standbys[].processes] | join(" ")' memory.json)"
