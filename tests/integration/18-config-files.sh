#!/bin/bash
# The configuration files that docs/ctr-oci.md shows, word for word: Podman, containerd and Docker run ctr-oci by them.
. "$(dirname -- "$0")/lib.sh"
needs podman containerd ctr dockerd docker
. "$(dirname -- "$0")/peers.sh"

# example WORD: the indented block of the page with WORD in it.
example() {
    awk -v word="$1" '/^    / { block = block substr($0, 5) "\n"; next }
        /^$/ && block != "" { block = block "\n"; next }
        { if (index(block, word)) printf "%s", block; block = "" }' "$CTRD_SOURCE/docs/ctr-oci.md"
}
example '[engine.runtimes]' > containers.conf
example 'plugins."io.containerd' > config.toml
example '"runtimes"' > daemon.json
for file in containers.conf config.toml daemon.json; do
    check "the page has an example of $file" grep -q /usr/bin/ctr-oci $file
done
check "and ctr-oci is there" test -x /usr/bin/ctr-oci
make_busybox_archive
# The payload's hostname is asked for by the runtime that we look for: only one program keeps records in /run/ctr-oci.
cp containers.conf own.conf
printf '\n[containers]\npids_limit = 0\n' >> own.conf # the bed has no controller for Podman's own limit
sed -i 's/^\[engine\]$/[engine]\ncgroup_manager = "cgroupfs"/' own.conf
podman import --quiet --change CMD=/bin/sh - bb < bb.tar > /dev/null || give_up "podman imports an image"
at_exit podman system prune --all --force
check_equal "Podman's runtime is ctr-oci by containers.conf" "ctr-oci /usr/bin/ctr-oci" \
    "$(CONTAINERS_CONF=$PWD/containers.conf podman info --format '{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}}')"
export CONTAINERS_CONF=$PWD/own.conf
check_equal "and it runs a container" hello "$(podman run --rm --network none bb echo hello 2> errors)"
podman run --detach --name which --network none bb sleep 1000 > /dev/null
at_exit podman rm --force --time 0 which
check_equal "by that runtime" ctr-oci "$(podman inspect --format '{{.OCIRuntime}}' which)"
check_equal "which knows it" running "$(ctr-oci state "$(podman inspect --format '{{.Id}}' which)" | jq -r .status)"
podman rm --force --time 0 which > /dev/null
podman save --quiet --format oci-archive --output bb.oci bb > /dev/null
unset CONTAINERS_CONF

# The bed's file system is none that containerd's usual snapshotter works on.
{ cat config.toml; printf '\n[plugins."io.containerd.grpc.v1.cri".containerd]\n  snapshotter = "native"\n'; } > own.toml
systemd-run --quiet --unit=own-containerd containerd --config "$PWD/own.toml" --address "$PWD/containerd.sock" --root "$PWD/ctd" --state "$PWD/ctd-run"
at_exit systemctl stop own-containerd
c() { ctr --address "$PWD/containerd.sock" "$@"; }
check "containerd takes its configuration" wait_for 60 ctr --address "$PWD/containerd.sock" version
check_equal "its plugin for Kubernetes works with it" ok "$(c plugins ls | awk '$2 == "cri" { print $NF }')$(c plugins ls --detailed id==cri | sed -n 's/.*Error.*: *//p')"
check_contains "and has the runtime" 'BinaryName = "/usr/bin/ctr-oci"' "$(containerd --config config.toml config dump)"
check_contains "with systemd's cgroups" 'SystemdCgroup = true' "$(containerd --config config.toml config dump | sed -n '/runtimes.ctr-oci/,/^ *\[.*runtimes.[^c]/p')"
c images import --snapshotter native bb.oci > /dev/null
check_equal "the program that it names runs a container" hello \
    "$(c run --snapshotter native --runc-binary "$(sed -n 's/.*BinaryName = "\(.*\)"/\1/p' config.toml)" --cpu-shares 0 --rm --null-io=false localhost/bb:latest t echo hello 2>&1)"

mkdir data
systemd-run --quiet --unit=own-dockerd dockerd --config-file "$PWD/daemon.json" --bridge=none --iptables=false --storage-driver=vfs --data-root="$PWD/data" --exec-root="$PWD/exec" \
    --pidfile "$PWD/docker.pid" --host "unix://$PWD/docker.sock" --containerd="$PWD/containerd.sock"
at_exit systemctl stop own-dockerd
export DOCKER_HOST=unix://$PWD/docker.sock
check "dockerd takes its configuration" wait_for 60 docker version
docker import --change 'CMD ["/bin/sh"]' bb.tar bb > /dev/null
check_equal "and runs a container by the runtime" hello "$(docker run --runtime ctr-oci --rm --network none bb echo hello 2>&1)"
systemctl stop own-dockerd
jq '. + {"default-runtime": "ctr-oci"}' daemon.json > default.json
systemd-run --quiet --unit=own-dockerd2 dockerd --config-file "$PWD/default.json" --bridge=none --iptables=false --storage-driver=vfs --data-root="$PWD/data" --exec-root="$PWD/exec" \
    --pidfile "$PWD/docker.pid" --host "unix://$PWD/docker.sock" --containerd="$PWD/containerd.sock"
at_exit systemctl stop own-dockerd2
check "dockerd takes the page's word for a default" wait_for 60 docker version
check_equal "which is ctr-oci then" ctr-oci "$(docker info --format '{{.DefaultRuntime}}')"
check_equal "and runs a container" hello "$(docker run --rm --network none bb echo hello 2>&1)"
