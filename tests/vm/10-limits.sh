#!/bin/bash
# linux.resources: what a configuration or an update asks for is what the kernel and systemd hold.
. "$(dirname -- "$0")/../integration/lib.sh"

make_busybox_tree tree
mkdir bundle
ln -s ../tree bundle/rootfs
ctr-oci spec --bundle bundle
jq '.process.terminal = false | .process.args = ["/bin/sleep", "1000"] | del(.linux.resources)' bundle/config.json > plain.json

# with FILTER: bundle/config.json with FILTER applied to linux.resources.
with() {
    jq ".linux.resources = ({} | $1)" plain.json > bundle/config.json
}
folder=/sys/fs/cgroup/limits
# limited FILTER [OPTION...]: container `l` runs with these resources, in $folder.
limited() {
    ctr-oci delete --force l
    with "$1"
    jq '.linux.cgroupsPath = "/limits"' bundle/config.json > changed && mv changed bundle/config.json
    ctr-oci run --detach --bundle bundle l
}
at_exit ctr-oci delete --force l
value() { # FILE
    xargs < "$folder/$1"
}
see() { # SENTENCE FILE EXPECTED
    check_equal "$1" "$3" "$(value "$2")"
}

limited '.memory = {limit: 33554432, reservation: 16777216, swap: 50331648}
    | .cpu = {shares: 512, quota: 20000, period: 50000, burst: 10000, cpus: "0", mems: "0"}
    | .pids = {limit: 20} | .hugepageLimits = [{pageSize: "2MB", limit: 4194304}]'
see "memory.limit is memory.max" memory.max 33554432
see "memory.swap without the memory is memory.swap.max" memory.swap.max 16777216
see "memory.reservation is memory.low" memory.low 16777216
see "cpu.shares become a weight" cpu.weight 59
see "cpu.quota and cpu.period are cpu.max" cpu.max "20000 50000"
see "cpu.burst is cpu.max.burst" cpu.max.burst 10000
see "cpu.cpus is cpuset.cpus" cpuset.cpus 0
see "cpu.mems is cpuset.mems" cpuset.mems 0
see "pids.limit is pids.max" pids.max 20
see "hugepageLimits limit the use" hugetlb.2MB.max 4194304
see "and the reservation" hugetlb.2MB.rsvd.max 4194304

# update
check "update changes a few limits" ctr-oci update --memory 64M --memory-swap 96M --pids-limit 30 --cpu-share 1024 l
see "memory is changed" memory.max 67108864
see "swap is changed" memory.swap.max 33554432
see "pids are changed" pids.max 30
see "the weight is changed" cpu.weight 100
see "the rest is as it was" cpu.max "20000 50000"
check "update of the quota alone keeps the period" ctr-oci update --cpu-quota 40000 l
see "the period is kept" cpu.max "40000 50000"
check "update of the period alone keeps the quota" ctr-oci update --cpu-period 100000 l
see "the quota is kept" cpu.max "40000 100000"
check "a quota below the burst, with a lower burst, is taken" ctr-oci update --cpu-quota 5000 --cpu-burst 2000 l
see "the quota is lower" cpu.max "5000 100000"
see "the burst is lower" cpu.max.burst 2000
check "-1 takes limits away" ctr-oci update --memory -1 --cpu-quota -1 --pids-limit -1 l
see "memory is unlimited" memory.max max
see "swap is unlimited" memory.swap.max max
see "the quota is unlimited" cpu.max "max 100000"
see "pids are unlimited" pids.max max
check "update reads a linux.resources object from stdin" sh -c \
    'echo "{\"memory\": {\"limit\": 41943040}, \"unified\": {\"memory.high\": \"31457280\"}}" | ctr-oci update --resources - l'
see "the object's memory" memory.max 41943040
see "the object's unified file" memory.high 31457280
echo '{"cpu": {"idle": 1}}' > idle.json
check "or from a file" ctr-oci update --resources idle.json l
see "cpu.idle is set" cpu.idle 1
check "and is taken back" sh -c 'echo "{\"cpu\": {\"idle\": 0, \"shares\": 2048}}" | ctr-oci update -r - l'
see "cpu.idle is unset" cpu.idle 0
check_status "a value that is no size is refused" 1 ctr-oci update --memory lots l
check_status "realtime quotas are refused" 1 ctr-oci update --cpu-rt-runtime 1000 l
check_contains "by name" "cpu.realtimeRuntime: cgroup v2 has no quota of realtime scheduling" "$output"
check_status "the schemata of a container without a resctrl group can't be changed" 1 ctr-oci update --l3-cache-schema L3:0=f l
check "kernel memory is ignored" ctr-oci update --kernel-memory 1000000 l
check_contains "with a warning" "warning: memory.kernel is ignored" "$output"
check_status "checkBeforeUpdate refuses what is used already" 1 sh -c \
    'echo "{\"memory\": {\"limit\": 4096, \"checkBeforeUpdate\": true}}" | ctr-oci update -r - l'
see "and changes nothing" memory.max 41943040

# unified
limited '.memory = {limit: 33554432} | .unified = {"memory.max": "50331648", "pids.max": "7"}'
see "unified wins" memory.max 50331648
see "unified sets what nothing else does" pids.max 7
check_status "a file that the kernel does not have is an error" 1 limited '.unified = {"memory.nonesuch": "1"}'
check_contains "that names it" "the memory controller of this kernel has no 'memory.nonesuch'" "$output"
check_status "a controller that the kernel does not have is an error" 1 limited '.unified = {"luck.max": "1"}'
check_contains "that names it" "has no luck controller" "$output"
check_equal "nothing is left of a start that was refused" "" "$(ctr-oci list -q)$(ls -d $folder 2> /dev/null)"
check_status "processes can't be taken in by unified" 1 limited '.unified = {"cgroup.procs": "1"}'

# block I/O
disk=$(lsblk -dnro MAJ:MIN | head -1)
limited ".blockIO = {weight: 500, throttleReadBpsDevice: [{major: ${disk%:*}, minor: ${disk#*:}, rate: 1048576}],
    throttleWriteIOPSDevice: [{major: ${disk%:*}, minor: ${disk#*:}, rate: 100}]}"
see "blockIO's rates are io.max" io.max "$disk rbps=1048576 wbps=max riops=max wiops=100"
if [ -e $folder/io.bfq.weight ]; then
    see "blockIO.weight is BFQ's" io.bfq.weight "default 500"
else
    see "blockIO.weight is the io controller's" io.weight "default 4950"
fi

# what is limited holds
limited '.memory = {limit: 33554432, swap: 33554432} | .pids = {limit: 10}'
check_status "who needs more memory than there is, is ended" 137 ctr-oci exec l \
    /bin/sh -c 'x=$(head -c 60000000 /dev/zero | tr "\0" x); echo ${#x}'
# The shell and what it reads from may both be ended.
check "the kernel counts it" [ "$(sed -n 's/^oom_kill //p' "$folder/memory.events")" -ge 1 ]
check_status "who needs more processes than there are, gets none" 2 ctr-oci exec l \
    /bin/sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done 2> /dev/null; wait'
check_not_contains "the kernel counts that" "max 0" "$(value pids.events)"

# devices
limited '.devices = [{allow: false, access: "rwm"}]'
disk_test='[ -c /dev/kmsg ] || mknod /dev/kmsg c 1 11 2> /dev/null; head -c 1 /dev/kmsg > /dev/null'
check_status "a device that no rule allows can't be opened" 1 ctr-oci exec --cap CAP_MKNOD --cap CAP_SYSLOG l /bin/sh -c "$disk_test"
check "an update of the rules" sh -c \
    'echo "{\"devices\": [{\"allow\": false}, {\"allow\": true, \"type\": \"c\", \"major\": 1, \"minor\": 11, \"access\": \"rw\"}]}" | ctr-oci update -r - l'
check "allows it" ctr-oci exec --cap CAP_MKNOD --cap CAP_SYSLOG l /bin/sh -c "$disk_test"
# The kernel takes no more than 64 in one place.
check "each takes the place of the one before" sh -c \
    'for i in $(seq 70); do echo "{\"devices\": [{\"allow\": false}]}" | ctr-oci update -r - l || exit 1; done'
check "another takes that back" sh -c 'echo "{\"devices\": [{\"allow\": false}]}" | ctr-oci update -r - l'
check_status "and it can't be opened again" 1 ctr-oci exec --cap CAP_MKNOD --cap CAP_SYSLOG l /bin/sh -c "$disk_test"
ctr-oci delete --force l

# systemd
property() { # NAME
    systemctl show --value -p "$1" test-s.scope
}
with '.memory = {limit: 33554432, reservation: 16777216, swap: 50331648} | .cpu = {shares: 512, quota: 20000, period: 50000, cpus: "0"}
    | .pids = {limit: 20} | .unified = {"memory.high": "25165824"}'
jq '.linux.cgroupsPath = "machine.slice:test:s" | .annotations = {"org.systemd.property.TimeoutStopUSec": "uint64 7000000",
    "org.systemd.property.CollectMode": "'"'inactive-or-failed'"'"}' bundle/config.json > changed && mv changed bundle/config.json
check "--systemd-cgroup makes a scope" ctr-oci --systemd-cgroup run --detach --bundle bundle s
at_exit ctr-oci delete --force s
folder=/sys/fs/cgroup/machine.slice/test-s.scope
held() { # MOMENT
    check_equal "$1 systemd holds the limits" "33554432 16777216 25165824 16777216 59 400ms 50ms 20 0" \
        "$(property MemoryMax) $(property MemoryLow) $(property MemoryHigh) $(property MemorySwapMax) $(property CPUWeight) $(property CPUQuotaPerSecUSec) $(property CPUQuotaPeriodUSec) $(property TasksMax) $(property AllowedCPUs)"
    check_equal "$1 the kernel holds the limits" "33554432 16777216 25165824 16777216 59 20000 50000 20 0" \
        "$(value memory.max) $(value memory.low) $(value memory.high) $(value memory.swap.max) $(value cpu.weight) $(value cpu.max) $(value pids.max) $(value cpuset.cpus)"
}
held "at the start"
check_equal "annotations set properties too" "7s" "$(property TimeoutStopUSec)"
systemctl daemon-reload
held "after a daemon-reload"
check "update of a scope" ctr-oci update --memory 64M --memory-swap 64M --pids-limit 30 s
check_equal "changes its properties" "67108864 0 30" "$(property MemoryMax) $(property MemorySwapMax) $(property TasksMax)"
systemctl daemon-reload
systemctl set-property --runtime test-s.scope CPUWeight=77
check_equal "which hold" "67108864 0 30 77" "$(value memory.max) $(value memory.swap.max) $(value pids.max) $(value cpu.weight)"
check "delete" ctr-oci delete --force s
check_status "ends the scope" 4 systemctl status test-s.scope
jq '.annotations = {"org.systemd.property.ExecStopPost": "[(\"/bin/touch\", [\"/bin/touch\", \"/run/owned\"], false)]"}' \
    bundle/config.json > changed && mv changed bundle/config.json
check_status "an annotation can't set just any property (CVE-2024-3154)" 1 ctr-oci --systemd-cgroup run --detach --bundle bundle s
check_contains "the message names it" "org.systemd.property.ExecStopPost" "$output"
check_equal "nothing is left behind" "" "$(ctr-oci list -q)$(systemctl list-units --plain --no-legend 'test-*' 'ctr-*')"
