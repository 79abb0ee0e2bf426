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

compare "--memory ends what goes beyond it" ends_with 137 p run --rm --network none --memory 32m --memory-swap 32m \
    bb sh -c 'x=$(head -c 100000000 /dev/zero | tr "\0" x); echo ${#x}'
