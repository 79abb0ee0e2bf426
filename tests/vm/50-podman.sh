#!/bin/bash
# Podman's limits with ctr-oci are what they are with crun: in the kernel's files, in what Podman shows, and after an
# update. Here every controller is there; with Podman otherwise: tests/integration/16-podman.sh.
. "$(dirname -- "$0")/../integration/lib.sh"
needs podman catatonit
. "$(dirname -- "$0")/../integration/peers.sh"

make_busybox_archive
podman import --quiet --change CMD=/bin/sh - bb < bb.tar > /dev/null || give_up "podman imports an image"
at_exit podman system prune --all --force
at_exit podman rm --all --force --time 0

manager=cgroupfs
p() { podman --cgroup-manager $manager --runtime "$runtime" "$@"; }
with_limits() { # COMMAND...: with container `c`
    p run --detach --name c --network none --memory 64m --memory-swap 96m --memory-reservation 32m --cpus 0.5 --cpuset-cpus 0 --pids-limit 40 \
        bb sleep 1000 > /dev/null && cgroup=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(p inspect --format '{{.State.Pid}}' c)/cgroup") && "$@"
    local status=$?
    p rm --force --time 0 c > /dev/null
    return $status
}
value() { xargs < "$cgroup/$1"; }
hold() { # MEMORY SWAP LOW CPU PROCESSORS PIDS
    equal "$*" "$(for file in memory.max memory.swap.max memory.low cpu.max cpuset.cpus pids.max; do value $file; done | xargs)"
}
# Podman's words for them: a limit that it does not find is shown as the machine's.
shown() {
    equal "67.11MB 1" "$(p stats --no-stream --no-reset --format '{{.MemUsage}} {{.PIDS}}' c | sed 's,.*/ ,,')"
}
measured() {
    p stats --no-stream --no-reset --format json c | jq -e '.[0] | (.name == "c") and (.pids == "1") and (.mem_usage | endswith("/ 67.11MB"))
        and (.mem_percent | test("^[0-9.]+%$")) and (.cpu_percent | test("^[0-9.]+%$")) and (.cpu_time | length > 0) and (.block_io | test("/"))'
}
updated() {
    p update --memory 128m --memory-swap 256m --cpus 0.25 c > /dev/null &&
        equal "134217728 134217728 25000 100000" "$(for file in memory.max memory.swap.max cpu.max; do value $file; done | xargs)" &&
        equal "0 33554432 40" "$(for file in cpuset.cpus memory.low pids.max; do value $file; done | xargs)"
}
all_of_it() { hold 67108864 33554432 33554432 50000 100000 0 40 && shown && measured && updated; }
compare "--memory --memory-swap --memory-reservation --cpus --cpuset-cpus --pids-limit, stats and update" with_limits all_of_it
manager=systemd
compare "the same in systemd's scopes" with_limits all_of_it
manager=cgroupfs

# Shares become a weight as runc and crun have done it since 2025; Debian's crun has the older, straight line.
with_weight() {
    local weights="59 174"
    [ "$runtime" != "${peer_path[crun]}" ] || weights="20 79"
    p run --detach --name c --network none --cpu-shares 512 bb sleep 1000 > /dev/null &&
        cgroup=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(p inspect --format '{{.State.Pid}}' c)/cgroup") && first=$(value cpu.weight) &&
        p update --cpu-shares 2048 c > /dev/null && equal "$weights" "$first $(value cpu.weight)"
    local status=$?
    p rm --force --time 0 c > /dev/null
    return $status
}
compare "--cpu-shares, and their update" with_weight
manager=systemd
compare "the same in a scope" with_weight
manager=cgroupfs

# A device that has no driver: where the container may open it, the kernel says that nobody answers, and else that it may not.
# With CAP_MKNOD a node of any device can be made.
absent="No such device or address" denied="Operation not permitted"
said='2> /tmp/said; grep -o -e "No such device or address" -e "Operation not permitted" /tmp/said || cat /tmp/said'
opens() { # EXPECTED read|write [OPTION...]
    local expected=$1 ends="if=/tmp/node of=/dev/null"
    [ "$2" = read ] || ends="if=/dev/zero of=/tmp/node"
    shift 2
    equal "$expected" "$(p run --rm --network none --cap-add MKNOD "$@" bb sh -c "mknod /tmp/node c 300 7; dd $ends bs=1 count=1 $said")"
}
compare "a device that nobody asked for can't be opened" opens "$denied" read
compare "--device-cgroup-rule lets it be read" opens "$absent" read --device-cgroup-rule "c 300:7 rm"
compare "and not be written" opens "$denied" write --device-cgroup-rule "c 300:7 rm"
compare "one for all minors" opens "$absent" write --device-cgroup-rule "c 300:* rwm"
compare "one of another kind opens nothing" opens "$denied" read --device-cgroup-rule "b 300:7 rwm"
mknod /dev/nobody c 300 7
at_exit rm -f /dev/nobody
with_device() { # EXPECTED RIGHTS DD-ARGUMENTS
    equal "$1" "$(p run --rm --network none --device "/dev/nobody:/dev/mine:$2" bb sh -c "dd $3 bs=1 count=1 $said")"
}
compare "--device gives it by another name" with_device "$absent" rwm "if=/dev/mine of=/dev/null"
compare "with no more than the rights that are said" with_device "$denied" r "if=/dev/zero of=/dev/mine"
compare "the devices of every container are there" p run --rm --network none bb dd if=/dev/urandom of=/dev/null bs=1 count=1

compare "--memory ends what goes beyond it" ends_with 137 p run --rm --network none --memory 32m --memory-swap 32m \
    bb sh -c 'x=$(head -c 100000000 /dev/zero | tr "\0" x); echo ${#x}'
