#!/bin/bash
# exec into a container whose payload waits for it. Each attack was seen to succeed against a build without the
# protection that stands in brackets before it.
. "$(dirname -- "$0")/lib.sh"
attack=$CTRD_BUILD/tests/attack/attack
[ -x "$attack" ] || give_up "tests/attack is built"

make_busybox_tree tree
cp -- "$attack" tree/bin/attack
mkdir bundle
ln -s ../tree bundle/rootfs
ctr-oci spec --bundle bundle
mv bundle/config.json base.json
marker=/root/host-marker
echo "LOOT: the host's files" > $marker
at_exit rm -f $marker
up=../../../../../../../../..
numbers=$(seq 3 40)

# The attacker's container has all that its neighbours by exec have: he must fail for want of a way, not of a right.
all='.process.terminal = false | .root.readonly = false | .process.capabilities |= ((.bounding, .effective, .permitted) = ["CAP_CHOWN",
    "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_SYS_CHROOT", "CAP_MKNOD"])'
start() { # NAME FILTER ARGUMENT...: a container in the background; its output is in seen
    local name=$1 filter=$2
    shift 2
    jq "$all | $filter | .process.args = $(jq -nc '$ARGS.positional' --args -- "$@")" base.json > bundle/config.json
    ctr-oci run --detach --bundle bundle "$name" > seen 2>&1 < /dev/null
}
at_exit ctr-oci delete --force plain
at_exit ctr-oci delete --force mapped
start plain . /bin/sleep 1000
start mapped '.linux.namespaces += [{"type": "user"}] | .linux.uidMappings = [{"containerID": 0, "hostID": 100000, "size": 65536}] | .linux.gidMappings = .linux.uidMappings' \
    /bin/sleep 1000

for name in plain mapped; do
    # [enter_cwd by open_raw, the closed descriptors] CVE-2024-21626, by exec.
    exec 7< /
    output=$(for n in $numbers; do
        ctr-oci exec --cwd "/proc/self/fd/$n" $name /bin/cat "$up$marker"
        ctr-oci exec --cwd "/proc/self/fd/$n/$up" $name /bin/cat "$up$marker"
    done 2>&1)
    check_not_contains "$name: no descriptor of exec is a way out as a working folder" LOOT "$output"
    # [arrange_descriptors]
    output=$(for n in $numbers; do ctr-oci exec $name "/proc/self/fd/$n/$up/usr/bin/busybox" echo LOOT; done 2>&1)
    check_not_contains "$name: nor to a program of the host" LOOT "$output"
    check_equal "$name: a process of exec holds no descriptor but its three" looked "$(ctr-oci exec $name /bin/attack held "$marker" 2>&1)"
    exec 7<&-
    # [set_capabilities] CVE-2022-29162, CVE-2022-27650.
    check_equal "$name: exec leaves nothing inheritable, also with --cap" "0000000000000000 0000000000000000" \
        "$( (ctr-oci exec $name grep CapInh /proc/self/status; ctr-oci exec --cap CAP_KILL $name grep CapInh /proc/self/status) | cut -f2 | xargs)"
done

# [parse_id] CVE-2026-30892: what a generous parser takes for another user.
for user in "1000:" "+0" " 0" "0x0" "" "-1" "4294967296" "4294967295" "0:" ":0" "1000:+0" "1e3" "0 " $'0\n' "root"; do
    output=$(ctr-oci exec --user="$user" plain id -u 2>&1)
    # An empty one is none given: then it is the container's own user, root.
    [ -n "$user" ] || { check_equal "an empty --user is the container's" 0 "$output"; continue; }
    check_contains "--user=$(printf %q "$user") is refused" "ctr-oci:" "$output"
done
check_equal "a user is who is asked for" 1000 "$(ctr-oci exec --user 1000:1000 plain id -u)"
check_contains "a group that is the image's to choose does not come with it" "gid=1000" "$(ctr-oci exec --user 1000:1000 plain id)"

# [set_groups] CVE-2023-25173, by exec.
check_equal "the caller's supplementary groups don't come with exec" 0 "$(setpriv --groups 27,4242 ctr-oci exec plain id -G)"
check_equal "nor with another user" 1000 "$(setpriv --groups 27,4242 ctr-oci exec --user 1000:1000 plain id -G)"

# [ps is the caller's own program] CVE-2022-1227: nothing of the image is executed with the host's rights.
rm tree/bin/ps
printf '#!/bin/sh\necho LOOT\n' > tree/bin/ps
chmod 755 tree/bin/ps
check_contains "ps shows the payload" sleep "$(ctr-oci ps plain)"
check_not_contains "by the host's ps" LOOT "$(ctr-oci ps plain; ctr-oci ps plain aux)"

# [rooted::read_file refuses what is no file] CVE-2024-9676: /etc/passwd is looked into for HOME.
cp tree/etc/passwd passwd
for fake in 'mkfifo tree/etc/passwd' 'ln -s /dev/zero tree/etc/passwd' "ln -s $PWD/host-passwd tree/etc/passwd" 'mkdir tree/etc/passwd' \
    'ln -s /proc/self/root/root/host-marker tree/etc/passwd' 'head -c 9000000 /dev/zero > tree/etc/passwd'; do
    rm -rf tree/etc/passwd
    eval "$fake"
    echo "root:x:0:0:root:/LOOT:/bin/sh" > host-passwd
    check_equal "HOME does not come from '${fake/$PWD/HOST}'" "/" "$(timeout 5 ctr-oci exec plain sh -c 'echo $HOME' 2>&1)"
done
rm -rf tree/etc/passwd
printf 'root:x:0:0:root:/x\nEVIL=1:/bin/sh\n' > tree/etc/passwd # CVE-2022-4318
check_equal "a line break in HOME makes no second variable" "HOME=/x" "$(ctr-oci exec plain env | grep -e HOME -e EVIL)"
cp passwd tree/etc/passwd

# [run_from_sealed_binary] CVE-2019-5736, as it was found: the payload waits for an exec of /proc/self/exe.
ctr-oci delete --force plain
start plain . /bin/attack grab 4
wait_for 5 grep -q looking seen
before=$(sha256sum /usr/bin/ctr-oci)
printf '#!/proc/self/exe\n' > tree/bin/sh-self
chmod 755 tree/bin/sh-self
for n in {1..60}; do ctr-oci exec plain /proc/self/exe --version; ctr-oci exec plain /bin/sh-self --version; done > versions 2>&1
wait_for 6 grep -q -e held -e LOOT seen
check_contains "the runtime's program runs by exec" "ctr-oci version" "$(cat versions)"
check_contains "the payload gets hold of it" "held 1" "$(cat seen)"
check_contains "but it is on a read-only mount" "Read-only file system" "$(cat seen)"
check_equal "the runtime's program is what it was" "$before" "$(sha256sum /usr/bin/ctr-oci)"
ctr-oci delete --force plain

# [exec_in is undumpable before the clone; seen with the folder of clone_child left open] The payload looks into the
# process that has just joined.
start plain . /bin/attack look "$marker" 4
wait_for 5 grep -q looking seen
for n in {1..150}; do ctr-oci exec plain /bin/true; done 2> errors
wait_for 6 grep -q 'looked at' seen
check "the payload sees the processes of exec (it $(grep -o 'looked at.*' seen))" test "$(grep -o 'at [0-9]*' seen | cut -c4-)" -gt 20
check_not_contains "but can't look into them" LOOT "$(cat seen)"
ctr-oci delete --force plain

# [check_status, pidfd] A payload that ends in between must not leave exec in the host's namespaces.
host=$(readlink /proc/self/ns/mnt)
for n in {1..40}; do
    start plain . /bin/sh -c 'sleep 0.0'"$((n % 10))"
    timeout 5 ctr-oci exec plain /bin/busybox readlink /proc/self/ns/mnt
    timeout 5 ctr-oci exec plain "$(command -v busybox)" readlink /proc/self/ns/mnt
    ctr-oci delete --force plain
done > namespaces 2>&1
check_not_contains "nothing is ever executed in the host's mount namespace" "$host" "$(cat namespaces)"
check_contains "some of them were in time" "mnt:" "$(cat namespaces)"

# [Launch keeps config.json in a folder of root's] What exec may do is what create was given, whatever the bundle says now.
start plain . /bin/sleep 1000
jq '.process.capabilities.bounding += ["CAP_SYS_ADMIN"] | .process.user.uid = 7' bundle/config.json > changed.json
mv changed.json bundle/config.json
check_equal "a bundle that was changed meanwhile gives exec nothing" "0" "$(ctr-oci exec plain id -u)"
ctr-oci delete --force plain
