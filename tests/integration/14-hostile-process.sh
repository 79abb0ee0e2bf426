#!/bin/bash
# What a payload could reach through the runtime that starts it: its descriptors, its program, its folders, its keys.
# Each attack was seen to succeed against a build without the protection that stands in brackets before it.
. "$(dirname -- "$0")/lib.sh"
attack=$CTRD_BUILD/tests/attack/attack
[ -x "$attack" ] || give_up "tests/attack is built"

make_busybox_tree tree
cp -- "$attack" tree/bin/attack
mkdir bundle
ln -s ../tree bundle/rootfs
ctr-oci spec --bundle bundle
mv bundle/config.json base.json
marker=/root/host-marker # a file of the host, on its root file system
echo "LOOT: the host's files" > $marker
at_exit rm -f $marker

# with FILTER [BUNDLE]: the bundle's configuration, changed by the filter.
with() {
    mkdir -p "${2:-bundle}"
    [ -e "${2:-bundle}/rootfs" ] || ln -s ../tree "${2:-bundle}/rootfs"
    jq ".process.terminal = false | $1" base.json > "${2:-bundle}/config.json"
}
up=../../../../../../../../..
numbers=$(seq 3 40)

# [enter_cwd resolves below the root, without magic links; and clone_child closes the one folder in the child]
# CVE-2024-21626: a working folder that is a folder of the host, by one of the runtime's own descriptors.
for_each_cwd() { # PATH-AFTER-THE-NUMBER
    for n in $numbers; do
        with ".process.cwd = \"/proc/self/fd/$n$1\" | .process.args = [\"/bin/cat\", \"$up$marker\"]"
        ctr-oci run --bundle bundle cwd
    done 2>&1
}
exec 7< / # a caller that leaves a folder open, too
output=$(for_each_cwd "")
check_not_contains "no descriptor of the runtime or of its caller is a way out as a working folder" LOOT "$output"
check_contains "each start is refused" "cannot enter the working directory" "$output"
check_not_contains "nor is a path that goes through one" LOOT "$(for_each_cwd "/$up")"

# [arrange_descriptors closes before exec, instead of on exec] The program's own path is looked up before descriptors
# close: the host's program would run in the container and be there to be overwritten.
output=$(for n in $numbers; do
    with ".process.args = [\"/proc/self/fd/$n/$up/usr/bin/busybox\", \"echo\", \"LOOT\"]"
    ctr-oci run --bundle bundle args
done 2>&1)
check_not_contains "no descriptor leads to a program of the host as the payload's" LOOT "$output"
check_contains "each start is refused" "No such file or directory" "$output"
output=$(for n in $numbers; do
    with ".process.args = [\"/proc/self/fd/$n/$up/usr/bin/busybox\", \"echo\", \"LOOT\"]"
    ctr-oci create --bundle bundle args > started 2>&1 && ctr-oci start args 2>> started
    sleep 0.01
    ctr-oci delete --force args
    cat started
done 2>&1)
check_not_contains "neither between create and start" LOOT "$output"
check_contains "each start is refused" "No such file or directory" "$output"

# [arrange_descriptors]
with ".process.args = [\"/bin/attack\", \"held\", \"$marker\"]"
check_equal "the payload holds no descriptor but its three" looked "$(ctr-oci run --bundle bundle held 2>&1)"
ctr-oci create --bundle bundle held > out 2>&1
ctr-oci start held
wait_for 5 grep -q looked out
check_equal "neither with create and start" looked "$(cat out)"
ctr-oci delete --force held
check_equal "descriptors that are preserved are all that it holds" "descriptor 3, mode 100644 looked" \
    "$(ctr-oci run --preserve-fds 1 --bundle bundle held 3< "$marker" 2>&1 | sed 's/, mode 100644.*/, mode 100644/' | xargs)"
exec 7<&-

# Both have the same rights: an attacker must fail for want of a way, not of a right.
all='.process.capabilities |= ((.bounding, .effective, .permitted) = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER",
    "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_AUDIT_WRITE"])'

# beside [CONTAINER-ARGUMENTS...]: a first container whose PID 1 is the attacker; $pid is its number. neighbour FILTER
# makes the configuration of one that shares its pid namespace, as those of a pod do.
beside() {
    with "$all | .process.args = $(jq -nc '$ARGS.positional' --args -- /bin/attack "$@")" first
    ctr-oci create --bundle first --pid-file pid first > seen 2>&1
    ctr-oci start first
    pid=$(cat pid)
    wait_for 5 grep -q looking seen
}
neighbour() {
    with "(.linux.namespaces[] | select(.type == \"pid\")).path = \"/proc/$pid/ns/pid\" | $all | $1"
}
# [run_from_sealed_binary, and its early form] CVE-2019-5736: the runtime's own program, executed as the payload, is
# held by a neighbour, who writes to it as soon as nobody executes it any more.
beside grab 4
neighbour ".process.args = [\"/proc/self/exe\", \"--version\"]"
printf '#!/proc/self/exe\n' > tree/bin/self
chmod 755 tree/bin/self
before=$(sha256sum /usr/bin/ctr-oci)
for n in {1..100}; do ctr-oci run --bundle bundle self; done > versions 2>&1
neighbour ".process.args = [\"/bin/self\", \"--version\"]"
for n in {1..50}; do ctr-oci run --bundle bundle self; done >> versions 2>&1
wait_for 6 grep -q -e held -e LOOT seen
check_contains "the runtime's program runs as a payload" "ctr-oci version" "$(cat versions)"
check_contains "a neighbour gets hold of it" "held 1" "$(cat seen)"
check_contains "but it is on a read-only mount" "Read-only file system" "$(cat seen)"
check_equal "the runtime's program is what it was" "$before" "$(sha256sum /usr/bin/ctr-oci)"
ctr-oci delete --force first

# [Container::spawn makes the child undumpable before it exists; seen with clone_child and arrange_descriptors leaving the
# folder open, for otherwise there is nothing to see] A neighbour looks into the half-made container.
beside look "$marker" 4
neighbour ".process.args = [\"/bin/true\"]"
for n in {1..60}; do ctr-oci run --bundle bundle half; done
for n in {1..20}; do
    ctr-oci create --bundle bundle half
    sleep 0.03
    ctr-oci delete --force half
done
wait_for 8 grep -q 'looked at' seen
check "a neighbour sees the processes of starts (it $(grep -o 'looked at.*' seen))" test "$(grep -o 'at [0-9]*' seen | cut -c4-)" -gt 50
check_not_contains "but it can't look into them" LOOT "$(cat seen)"
ctr-oci delete --force first

# [make_keyring] The caller's keys are not the payload's to use. --no-new-keyring is the build without the protection.
with '.process.args = ["/bin/attack", "keyring"]'
check "the payload has a session keyring of its own" test "$(ctr-oci run --bundle bundle keys)" != "$("$attack" keyring)"
check_equal "--no-new-keyring leaves it the caller's" "$("$attack" keyring)" "$(ctr-oci run --no-new-keyring --bundle bundle keys)"

# [the start socket is in a folder of root's] CVE-2020-15257: what listens by an abstract name is reachable from every
# container in the same network namespace.
abstract() { awk '$NF ~ /^@/ { print $NF }' /proc/net/unix | sort; }
before=$(abstract)
with '.linux.namespaces |= map(select(.type != "network")) | .process.args = ["/bin/sleep", "100"]'
ctr-oci create --bundle bundle abstract
check_equal "the runtime listens on no abstract socket" "$before" "$(abstract)"
check_equal "nobody but root may enter what it keeps" "700 700" "$(stat -c %a /run/ctr-oci /run/ctr-oci/abstract | xargs)"
check_equal "nor read it" "600 600" "$(stat -c %a /run/ctr-oci/abstract/*.json | xargs)"
ctr-oci delete --force abstract

# [limit_devices] The host's devices, by nodes of the payload's own: CAP_MKNOD is among the usual capabilities. fuse is
# one that the test bed itself may open.
steal='mknod /dev/fuse c 10 229 && : 3<> /dev/fuse && echo LOOT; echo tried'
with "$all | .process.args = $(jq -nc '["/bin/sh", "-c", $s]' --arg s "$steal")"
output=$(ctr-oci run --bundle bundle device 2>&1)
check_contains "a device that was not given to the payload can't be opened" "Operation not permitted" "$output"
check_not_contains "by whatever node" LOOT "$output"

# [masks are mounts on the only procfs] In a user namespace of its own the payload is root, and may mount. A procfs
# without masks is what it wants; the kernel gives it none while all that it sees of the old one is covered.
unmask='cat /proc/keys > /dev/null && unshare -U -r -m sh -c "umount /proc/keys" && echo LOOT: unmasked
    unshare -U -r -m -p -f sh -c "mount -t proc proc /tmp && ls /tmp/keys" && echo LOOT: a procfs of its own
    unshare -U -r -m sh -c "mount -o remount,rw,bind /proc/sys" && echo LOOT: writable; echo tried'
with ".root.readonly = false | .process.user = {\"uid\": 1000, \"gid\": 1000} | .process.args = $(jq -nc '["/bin/sh", "-c", $s]' --arg s "$unmask")"
output=$(ctr-oci run --bundle bundle unmask 2>&1)
check_not_contains "masks can't be taken off in a user namespace" LOOT "$output"
check_contains "though one could be made" "tried" "$output"
check_not_contains "and entered" "unshare(" "$output"
# [take_away_kernel_mounts] Without pivot_root the host's procfs stays underneath, and is one that the kernel sees.
output=$(ctr-oci run --no-pivot --bundle bundle unmask 2>&1)
check_not_contains "nor where the rootfs is not pivoted into" LOOT "$output"
check_contains "which was tried, too" "tried" "$output"
check_contains "the host keeps its own" "proc /proc proc" "$(cat /proc/self/mounts)"
check_contains "as seen without masks, where the container's configuration has none" "LOOT: a procfs" "$(
    with ".root.readonly = false | .process.user = {\"uid\": 1000, \"gid\": 1000} | .linux.maskedPaths = [] | .linux.readonlyPaths = []
        | .process.args = $(jq -nc '["/bin/sh", "-c", $s]' --arg s "$unmask")"
    ctr-oci run --bundle bundle unmask 2>&1)"

# [set_groups] CVE-2023-25173, CVE-2022-2989, CVE-2022-2990, CVE-2022-36109: the groups of whoever calls the runtime are not the payload's.
grouped() { setpriv --groups 27,4242 "$@"; }
with '.process.args = ["/bin/id", "-G"] | .process.user = {"uid": 7, "gid": 8}'
check_equal "the caller's supplementary groups are not the payload's" 8 "$(grouped ctr-oci run --bundle bundle groups)"
with '.process.args = ["/bin/id", "-G"] | .process.user = {"uid": 7, "gid": 8, "additionalGids": [9]}'
check_equal "which has those of its configuration" "8 9" "$(grouped ctr-oci run --bundle bundle groups)"
user='.linux.namespaces += [{"type": "user"}] | .linux.uidMappings = [{"containerID": 0, "hostID": 100000, "size": 65536}] | .linux.gidMappings = .linux.uidMappings'
with "$user | .process.args = [\"/bin/id\", \"-G\"] | .process.user = {\"uid\": 7, \"gid\": 8}"
check_equal "also in a user namespace" 8 "$(grouped ctr-oci run --bundle bundle groups)"

# [become_hook executes with the hook's own list] CVE-2025-23266: what an image says of its environment, and what the caller's
# own is, reaches no hook: a library of the image would be loaded with the host's rights.
printf '#!/bin/sh\nenv | sed "s/^/$1 /" >> '"$PWD"'/hooked\n' > hook
chmod +x hook
hooks=$(for kind in prestart createRuntime createContainer poststart poststop; do
    jq -nc --arg kind $kind --arg path "$PWD/hook" '{($kind): [{path: $path, args: [$path, $kind], env: ["OWN=1", "PATH=/usr/bin:/bin"]}]}'
done | jq -cs 'add')
with ".hooks = $hooks | .process.env += [\"LD_PRELOAD=/evil.so\", \"LD_LIBRARY_PATH=/\"] | .process.args = [\"/bin/true\"]
    | .annotations = {\"LD_PRELOAD\": \"/evil.so\"}"
SECRET=LOOT GLIBC_TUNABLES=x LD_AUDIT=/evil.so ctr-oci run --bundle bundle hooked > errors 2>&1
check_equal "each hook has its own environment" "createContainer createRuntime poststart poststop prestart" \
    "$(sed -n 's/ OWN=1$//p' hooked | sort | xargs)"
check_equal "and nothing of the image's or the caller's" "" "$(grep -e LD_ -e SECRET -e GLIBC hooked)"

# [compile_seccomp adds each rule for every architecture] CVE-2026-31431: a socket of the kernel's ciphers, by the calls of this machine's other
# ABIs too. The errno is one that the kernel itself never gives here.
profile='.linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": [
    {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 93, "args": [{"index": 0, "value": 38, "op": "SCMP_CMP_EQ"}]}]}'
if [[ $(uname -m) = x86_64 ]]; then
    open=$("$attack" alg) # what the kernel itself says; one without 32-bit programs ends them by SIGSEGV
    check_not_contains "without a profile it is the kernel that answers" "Protocol not supported" "$open"
    with "$profile | .process.args = [\"/bin/attack\", \"alg\"]"
    output=$(ctr-oci run --bundle bundle alg 2>&1)
    for how in socket "i386 socket" "i386 socketcall" "x32 socket"; do
        answer="Protocol not supported"
        ! grep -qx "$how: ended by signal 11" <<< "$open" || answer="ended by signal 11"
        check_equal "AF_ALG by $how is refused by a profile that names the ABI" "$how: $answer" "$(grep "^$how:" <<< "$output")"
    done
    with "$profile | .linux.seccomp.architectures = [\"SCMP_ARCH_X86_64\"] | .process.args = [\"/bin/attack\", \"alg\"]"
    output=$(ctr-oci run --bundle bundle alg 2>&1)
    check_equal "and in an ABI that it does not name the caller is ended" "x32 socket: ended by signal 31" "$(grep ^x32 <<< "$output")"
fi

# [clone_here makes the child in the cgroup] CVE-2025-47291: no payload is outside of its limits, with a user namespace neither.
for filter in . "$user"; do
    with "$filter | .process.args = [\"/bin/sleep\", \"1000\"] | .linux.cgroupsPath = \"/limited\""
    ctr-oci run --detach --bundle bundle limited
    check_equal "the payload is born in its own cgroup$([ "$filter" = . ] || echo ', with a user namespace, too')" "0::/limited" \
        "$(grep ^0:: "/proc/$(ctr-oci state limited | jq .pid)/cgroup")"
    ctr-oci delete --force limited
done

# Side channels of the machine's power (GHSA-7ww5-4wqc-m92c) are masked in the configuration that we offer.
check_contains "the configuration that spec writes masks powercap" /sys/devices/virtual/powercap "$(jq -c .linux.maskedPaths base.json)"
