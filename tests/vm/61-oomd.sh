#!/bin/bash
# systemd-oomd ends the container that presses for memory, and no other.
. "$(dirname -- "$0")/../integration/lib.sh"
. "$(dirname -- "$0")/../integration/declared.sh"
needs busybox oomctl

make_busybox_tree /srv/tree
at_exit rm -rf /srv/tree
value() { # UNIT FILE
    xargs < "/sys/fs/cgroup/machine.slice/machine-shop.slice/$1/$2"
}

# Pressure is waiting for pages that were there before: without swap, only what is read from files can be that.
dd if=/dev/zero of=/swap bs=1M count=256 2> /dev/null
chmod 600 /swap
check "swap is there" sh -c 'mkswap -q /swap && swapon /swap'
at_exit sh -c 'swapoff /swap; rm /swap'
mkdir -p /etc/systemd/oomd.conf.d
printf '[OOM]\nDefaultMemoryPressureDurationSec=2s\n' > /etc/systemd/oomd.conf.d/test.conf
at_exit sh -c 'systemctl stop systemd-oomd.service; rm -r /etc/systemd/oomd.conf.d'
check "systemd-oomd runs" systemctl start systemd-oomd.service
for name in pressing calm; do
    command='while :; do dd if=/dev/zero of=/dev/null bs=60M count=3; done 2> /dev/null'
    [ $name = pressing ] || command='exec sleep 1000'
    declare_container $name << TOML
rootfs = "/srv/tree"
start = "manual"
slice = "machine-shop.slice"
command = ["/bin/sh", "-c", "$command"]
stop-signal = "SIGKILL"
[resources]
memory-high = "24M"
managed-oom-memory-pressure = "kill"
managed-oom-memory-pressure-limit = "5%"
TOML
done
check "a container that presses for memory, and its neighbour, start" ctrctl start calm pressing
check_equal "oomd finds the payload, and takes it as a whole" "1 1" \
    "$(value ctr@calm.service memory.oom.group) $(value ctr@calm.service/payload memory.oom.group)"
check "oomd ends the one that presses" wait_for 120 sh -c '[ "$(systemctl show --value -p ActiveState ctr@pressing.service)" = failed ]'
check_equal "systemd knows that it was that" oom-kill "$(property pressing Result)"
check_contains "and says so" "last run: killed by SIGKILL, for lack of memory" "$(ctrctl status pressing)"
journalctl --sync
check_contains "oomd tells the journal why" "ctr@pressing.service/payload due to memory pressure" \
    "$(journalctl --no-pager -o cat -u systemd-oomd.service)"
check_contains "and systemd its unit's" "systemd-oomd killed" "$(journalctl --no-pager -o cat -u ctr@pressing.service)"
check_equal "the neighbour runs" active "$(property calm ActiveState)"
check "and stops" ctrctl stop calm
check_equal "as a success" success "$(property calm Result)"
