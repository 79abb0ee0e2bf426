#!/bin/bash
# Bundles that others make: Podman's, with its 437-syscall profile, and umoci's.
. "$(dirname -- "$0")/lib.sh"
needs podman umoci

make_busybox_tree tree
# Podman writes the configuration and calls the runtime through conmon; --pids-limit 0: the bed has no controllers.
pod=(podman --cgroup-manager=cgroupfs --runtime /usr/bin/ctr-oci)
common=(--network none --pids-limit 0 --rootfs "$PWD/tree")
check_status "podman runs a container on ctr-oci and gets its exit status" 7 "${pod[@]}" run --rm "${common[@]}" sh -c 'exit 7'
check "podman --systemd-cgroup: the container is in a scope of its own" \
    podman --cgroup-manager=systemd --runtime /usr/bin/ctr-oci run --rm --cgroupns=host "${common[@]}" sh -c 'grep libpod-.*scope /proc/self/cgroup'
check "podman -t gets a terminal through the console socket" script -qec "${pod[*]} run --rm -t ${common[*]} tty" /dev/null
check_contains "and it is the container's own" "/dev/pts/0" "$output"
check "podman --user, --read-only, --cap-drop and --hostname hold" \
    "${pod[@]}" run --rm --user 5:6 --read-only --read-only-tmpfs=false --cap-drop all --hostname pod "${common[@]}" \
    sh -c 'test "$(id -u):$(id -g) $(hostname)" = "5:6 pod" && ! touch /x 2> /dev/null && grep "CapBnd:.0000000000000000" /proc/self/status'

# The same configuration as a bundle of its own, without Podman.
"${pod[@]}" create --name keep "${common[@]}" grep Seccomp: /proc/self/status > /dev/null
"${pod[@]}" init keep > /dev/null
mkdir bundle
cp /var/lib/containers/storage/overlay-containers/*/userdata/config.json bundle/made.json
count=$(jq '[.linux.seccomp.syscalls[].names[]] | length' bundle/made.json)
check "podman's profile is the long one ($count syscalls)" test "$count" -ge 400
"${pod[@]}" rm -f keep > /dev/null
# What was podman's own (its shm, resolv.conf, .containerenv) is gone with its container.
jq '.root.path = "../tree" | .mounts |= map(select(.type != "bind")) | del(.linux.cgroupsPath) | .process.terminal = false
    | (.linux.namespaces[] | select(.type == "network")) |= {"type": "network"}' bundle/made.json > bundle/config.json
check "a bundle made by podman runs" ctr-oci run --bundle bundle podman-made
check_contains "its seccomp profile is in force" $'Seccomp:\t2' "$output"

umoci init --layout image > /dev/null
umoci new --image image:latest > /dev/null
umoci unpack --image image:latest made > /dev/null
cp -a tree/. made/rootfs/
umoci repack --image image:latest made > /dev/null
umoci config --image image:latest --config.cmd /bin/sh --config.cmd=-c --config.cmd='echo from umoci; id -u; exit 5' --config.user 3:3
umoci unpack --image image:latest unpacked > /dev/null
check_equal "umoci asks for a terminal" true "$(jq .process.terminal unpacked/config.json)"
check_status "a bundle made by umoci runs" 5 script -qec 'ctr-oci run --bundle unpacked umoci-made' /dev/null
check_contains "with its command" "from umoci" "$output"
check_contains "and its user" "3" "$output"
