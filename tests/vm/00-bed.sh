#!/bin/bash
# The vm bed itself: every controller is there and does what it is for.
. "$(dirname -- "$0")/../integration/lib.sh"

check_equal "systemd reaches the state 'running'" running "$(systemctl is-system-running --wait)"
controllers=" $(< /sys/fs/cgroup/cgroup.controllers) "
for controller in cpuset cpu io memory hugetlb pids; do
    check_contains "cgroup v2 has the controller '$controller'" " $controller " "$controllers"
done

eat='x = b"x" * (200 << 20)'
check_status "without a limit, 200 MiB can be had" 0 systemd-run --quiet --wait --pipe python3 -c "$eat"
systemd-run --quiet --unit=bedtest-oom -p MemoryMax=30M -p MemorySwapMax=0 --wait --pipe python3 -c "$eat" > /dev/null 2>&1
check_equal "MemoryMax= ends a service that goes beyond it by the OOM killer" oom-kill \
    "$(systemctl show -p Result --value bedtest-oom.service)"
at_exit systemctl reset-failed bedtest-oom.service

check_equal "TasksMax= is there for the kernel to see" 17 \
    "$(systemd-run --quiet --wait --pipe -p TasksMax=17 sh -c 'cat /sys/fs/cgroup$(sed "s/^0:://" /proc/self/cgroup)/pids.max')"
check_equal "the only hierarchy is cgroup v2" 1 "$(wc -l < /proc/self/cgroup)"
