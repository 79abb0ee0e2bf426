#!/bin/bash
# Containers that divide their own cgroup, where the kernel has controllers to divide.
. "$(dirname -- "$0")/../integration/lib.sh"

make_busybox_tree tree
mkdir bundle
ln -s ../tree bundle/rootfs
ctr-oci spec --bundle bundle
# As a systemd in a container does: everybody into a cgroup below, then the controllers down there too.
divide='mkdir /sys/fs/cgroup/init; echo 1 > /sys/fs/cgroup/init/cgroup.procs
    echo "+memory +pids" > /sys/fs/cgroup/cgroup.subtree_control && exec sleep 1000'
jq --arg script "$divide" '.process.terminal = false | .process.args = ["/bin/sh", "-c", $script] | .linux.cgroupsPath = "/divided"
    | .linux.resources = {memory: {limit: 67108864}} | .mounts |= map(if .destination == "/sys/fs/cgroup" then .options -= ["ro"] else . end)' \
    bundle/config.json > changed && mv changed bundle/config.json
at_exit ctr-oci delete --force d
ctr-oci run --detach --bundle bundle d
folder=/sys/fs/cgroup/divided
check "a container may divide its cgroup" wait_for 10 grep -q memory $folder/cgroup.subtree_control
check_equal "exec goes where the first process is, since the cgroup itself has no room" "0::/init" "$(ctr-oci exec d cat /proc/self/cgroup)"
check_equal "--cgroup goes elsewhere" "0::/other" \
    "$(ctr-oci exec d mkdir /sys/fs/cgroup/other; ctr-oci exec --cgroup other d cat /proc/self/cgroup)"
check_status "--cgroup / is the cgroup itself, and refused" 255 ctr-oci exec --cgroup / d true
check_contains "with the reason" "the cgroup has processes or domain controllers in the way" "$output"
ctr-oci exec --detach d sleep 100
ctr-oci exec --detach --cgroup other d sleep 101
check_equal "ps finds those in all of them" 3 "$(ctr-oci ps --format json d | jq length)"
check_equal "the limit is for all of them together" 67108864 "$(< $folder/memory.max)"
check "pause reaches all of them" ctr-oci pause d
check_equal "they are frozen" "frozen 1" "$(grep frozen $folder/other/cgroup.events)"
check "resume" ctr-oci resume d
check_equal "events counts them" 3 "$(ctr-oci events --stats d | jq .data.pids.current)"
ctr-oci events --interval 1h d > stream &
waiting=$!
ctr-oci exec d /bin/sh -c 'x=$(head -c 100000000 /dev/zero | tr "\0" x); echo ${#x}' > /dev/null 2>&1
check "events tells of the out-of-memory killer" wait_for 5 grep -q '"type":"oom"' stream
check "kill --all signals those below too" ctr-oci kill --all d TERM
check "who does not catch it ends" wait_for 5 sh -c "[ \$(ctr-oci ps --format json d | jq length) -le 1 ]"
check "delete" ctr-oci delete --force d
wait $waiting
check_equal "takes the cgroups below along" "" "$(ls -d $folder 2> /dev/null)"
