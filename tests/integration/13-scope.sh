#!/bin/bash
# ctr-oci --systemd-cgroup: ctrd makes the scope; without it ctr-scope does. Whoever made it, it is the same.
. "$(dirname -- "$0")/lib.sh"

make_busybox_tree tree
mkdir bundle
ln -s ../tree bundle/rootfs
ctr-oci spec --bundle bundle
sleeper='.process.terminal = false | .process.args = ["/bin/sleep", "1000"]'
jq "$sleeper" bundle/config.json > plain.json
cp plain.json bundle/config.json
systemctl start ctrd-handover.socket ctrd.service
helper=/usr/lib/ctrd/ctr-scope
without_helper() {
    mount --bind /bin/false $helper
    "$@"
    local status=$?
    umount $helper
    return $status
}
run() { ctr-oci --systemd-cgroup run --detach --bundle bundle "$1" < /dev/null; }
facts() { # ID: the scope as systemd knows it, and who is in it
    local cgroup
    cgroup=$(systemctl show --value -p ControlGroup "ctr-$1.scope")
    systemctl show -p Slice,Description,Delegate,CollectMode,ActiveState "ctr-$1.scope" | xargs
    find "/sys/fs/cgroup$cgroup" -name cgroup.procs -exec cat {} + | wc -l
    grep -c "^0::$cgroup" "/proc/$(ctr-oci state "$1" | jq .pid)/cgroup"
}
gone() { ! systemctl show -p LoadState --value "ctr-$1.scope" | grep -q '^loaded' && [ ! -e "/sys/fs/cgroup/machine.slice/ctr-$1.scope" ]; }
expected=$'1\n1'

check "with ctrd and no helper" without_helper run a
by_ctrd=$(facts a)
check_contains "a container is in a scope of its own, alone" "$expected" "$by_ctrd"
check_contains "which says what it is" "Description=Container a" "$by_ctrd"
check "delete --force" ctr-oci delete --force a
check "leaves no scope" wait_for 30 gone a
systemctl stop ctrd.service ctrd-handover.socket
check "without ctrd" run a
check_equal "it is the same by the helper" "$by_ctrd" "$(facts a)"
ctr-oci delete --force a
wait_for 30 gone a
check_status "without either" 1 without_helper run a
check_contains "it is said what is missing" "ctr-scope" "$output"
check "and nothing is left" gone a
systemctl start ctrd-handover.socket
check "a ctrd that does not run" run a
check_equal "is not started for it" inactive "$(systemctl is-active ctrd.service)"
ctr-oci delete --force a
wait_for 30 gone a
systemctl start ctrd.service
systemctl kill --kill-whom=main -s STOP ctrd.service
check "one that hangs is not waited for without end" run a
check_equal "the helper has done it" "$by_ctrd" "$(facts a)"
systemctl kill --kill-whom=main -s CONT ctrd.service
ctr-oci delete --force a
check "nothing is left" wait_for 30 gone a

# What systemd does not take, in its own words.
jq '.annotations = {"org.systemd.property.TimeoutStopUSec": "uint64 5000000", "org.systemd.property.CollectMode": "'"'nonsense'"'"}' plain.json > bundle/config.json
check_status "a property that systemd refuses is refused" 1 run a
check_contains "and named" "nonsense" "$output"
check "nothing is left of it" wait_for 30 gone a
cp plain.json bundle/config.json

# Killed anywhere on its way, with a process of its own in the scope.
for i in {1..30}; do
    (timeout -s KILL "0.0$((RANDOM % 50 + 10))" ctr-oci --systemd-cgroup run --detach --bundle bundle k < /dev/null > /dev/null 2>&1) 2> /dev/null
    ctr-oci delete --force k > /dev/null 2>&1
done
check "killed at random moments, it leaves no scope behind" wait_for 30 gone k
check_equal "and no process" "" "$(pgrep -x ctr-oci)"
