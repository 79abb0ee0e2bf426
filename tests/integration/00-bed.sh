#!/bin/bash
# The nested bed itself: what every other integration test takes for granted.
. "$(dirname -- "$0")/lib.sh"

check_equal "systemd reaches the state 'running'" running "$(systemctl is-system-running --wait)"
check "machined answers on the bus" machinectl list
check "logind answers on the bus" loginctl list-sessions
check "the journal takes a line and gives it back" sh -c \
    'logger -t bedtest hello-$$ && journalctl --sync && journalctl -t bedtest --no-pager | grep hello-$$'
check_contains "a transient scope is made around a command" ".scope" "$(systemd-run --quiet --scope cat /proc/self/cgroup)"
check_status "a transient service's exit status comes back" 7 systemd-run --quiet --wait --pipe sh -c 'exit 7'
check "polkit lets root do everything" pkcheck --action-id org.freedesktop.machine1.shell --process $$
check_status "polkit refuses an unprivileged user what needs an administrator" 2 \
    runuser -u tester -- sh -c 'pkcheck --action-id org.freedesktop.machine1.shell --process $$'
check_equal "an unprivileged user may make a user namespace" 0 "$(runuser -u tester -- unshare -Ur id -u)"
check "an unprivileged user namespace may mount its own /proc" runuser -u tester -- unshare -Urpf --mount-proc true

overlay() {
    mkdir lower upper work merged && mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged &&
        touch merged/file && umount merged && test -f upper/file
}
check "overlayfs takes an upper folder below /tmp" overlay

# Essential for handing listeners over: the guard's BPF programs sit on the cgroup in which a socket was born.
cat > /run/systemd/system/bedtest.socket << 'UNIT'
[Socket]
ListenStream=0.0.0.0:8080
ListenStream=[::1]:8081
Service=bedtest@.service
Accept=yes
UNIT
printf '[Service]\nExecStart=cat\nStandardInput=socket\n' > /run/systemd/system/bedtest@.service
at_exit sh -c 'systemctl stop bedtest.socket; rm -f /run/systemd/system/bedtest*; systemctl daemon-reload'
systemctl daemon-reload
check "a socket unit listens" systemctl start bedtest.socket
check_equal "a socket unit's IP sockets are born in the unit's own cgroup" 2 \
    "$(ss -tln --cgroup | grep -c 'cgroup:/system.slice/bedtest.socket')"
check_equal "a connection starts the socket unit's service" hello \
    "$(python3 -c 'import socket; s = socket.create_connection(("127.0.0.1", 8080)); s.send(b"hello"); print(s.recv(9).decode())')"
check_status "a service's cgroup BPF program filters its traffic" 1 \
    systemd-run --quiet --wait --pipe -p IPAddressDeny=any ping -c 1 -W 1 127.0.0.1

check "a cgroup can be frozen and thawed" sh -c 'cd /sys/fs/cgroup && mkdir bedtest && echo 1 > bedtest/cgroup.freeze &&
    grep "frozen 1" bedtest/cgroup.events && rmdir bedtest'

cat > notify.py << 'PYTHON'
# Asks the kernel for a seccomp notification listener for bind(2): the syscall is seccomp(SET_MODE_FILTER, NEW_LISTENER).
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
code = b"".join(struct.pack("HBBI", *i) for i in [(0x20, 0, 0, 0), (0x15, 0, 1, 49), (0x6, 0, 0, 0x7FC00000),
                                                  (0x6, 0, 0, 0x7FFF0000)])
buffer = ctypes.create_string_buffer(code)
program = struct.pack("HxxxxxxP", 4, ctypes.addressof(buffer))
libc.prctl(38, 1, 0, 0, 0)
listener = libc.syscall(317, 1, 8, program)
assert listener >= 0, ctypes.get_errno()
PYTHON
check "seccomp user notification is there" python3 notify.py
