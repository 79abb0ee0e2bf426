#!/bin/bash
# A listener in a payload's hands is no way out: docs/security.md's attacks.
. "$(dirname -- "$0")/lib.sh"
. "$(dirname -- "$0")/declared.sh"
needs python3

payload_tree tree

# The service on the host's loopback that must stay out of reach.
python3 -c 'import socket
s = socket.create_server(("127.0.0.1", 9401))
while True: s.accept()' &
at_exit kill $!
wait_for 5 python3 -c 'import socket; socket.create_connection(("127.0.0.1", 9401), 1)'

control=$("$payload" control 9401)
check_contains "without a guard the attack over an accepted connection succeeds" "accepted, connect: SUCCEEDED" "$control"
check_contains "without a guard the attack over the listener succeeds" "listener, connect: SUCCEEDED" "$control"
check_contains "without a guard an accepted connection can bind a port of the host" "accepted, bind: SUCCEEDED" "$control"

# attack NAME PORT TOML: runs the container, connects once, and shows what the payload found.
attack() {
    listening "$1"
    python3 -c 'import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20); s.settimeout(20); s.recv(1)' "$2" > /dev/null 2>&1
    wait_for 10 log_has "$1" "attack over"
    found=$(log_of "$1")
}

refused() { # HOW
    local way
    for way in "accepted, connect" "accepted, bind" "listener, connect"; do
        check_contains "$1: $way is refused" "$way: Operation not permitted" "$found"
    done
    check_contains "$1: a way in stays open, as documented" "accepted, listen: possible" "$found"
    check_not_contains "$1: nothing gets out" "SUCCEEDED" "$found"
}

for family in 4 6; do
    listen=0.0.0.0
    [ $family = 4 ] || listen='[::]'
    declare_container "adopt$family" << TOML
rootfs = "$PWD/tree"
command = ["/payload", "attack", "80", "9401"]
[[socket]]
listen = "$listen:810$family"
port = 80
TOML
    attack "adopt$family" "810$family"
    refused "adopted IPv$family"

    declare_container "pass$family" << TOML
rootfs = "$PWD/tree"
command = ["/payload", "attack-passed", "9401"]
[[socket]]
listen = "$listen:811$family"
deliver = "pass"
TOML
    attack "pass$family" "811$family"
    refused "passed IPv$family"
done

# The payload has shut the listener down: that may cost its own service this run, and no more.
wait_for 5 state_is adopt4 inactive
check_equal "the socket unit survives a listener that was shut down" active "$(systemctl is-active ctr@adopt4.socket)"
before=$(log_of adopt4 | grep -c "attack over")
attack_again() {
    python3 -c 'import socket; s = socket.create_connection(("127.0.0.1", 8104), 20); s.settimeout(20); s.recv(1)' || true
    wait_for 10 sh -c "journalctl --sync; [ \"\$(journalctl --no-pager -o cat -u ctr@adopt4.service | grep -c 'attack over')\" -gt $before ]"
}
check "and the next connection starts its service again" attack_again
check_equal "where the guard is found in place, not put there once more" 8 "$(python3 - << 'PYTHON'
# BPF_PROG_QUERY, for connect4, connect6, bind4 and bind6 of both adopting containers' socket units.
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
total = 0
for name in ("adopt4", "adopt6"):
    fd = os.open(f"/sys/fs/cgroup/machine.slice/ctr@{name}.socket", os.O_RDONLY | os.O_DIRECTORY)
    for kind in (10, 11, 8, 9):
        attr = bytearray(144)
        ids = ctypes.create_string_buffer(4 * 64)
        struct.pack_into("=IIIIQI", attr, 0, fd, kind, 0, 0, ctypes.addressof(ids), 64)
        buf = ctypes.create_string_buffer(bytes(attr), len(attr))
        assert libc.syscall(321, 16, buf, len(attr)) == 0, ctypes.get_errno()
        total += struct.unpack_from("=I", buf.raw, 24)[0]
print(total)
PYTHON
)"
check "the socket unit can be restarted under its guard" sh -c \
    'systemctl stop ctr@adopt4.service; systemctl restart ctr@adopt4.socket'

# A socket that was born elsewhere has no guard: not handed over.
declare_container stray << TOML
rootfs = "$PWD/tree"
command = ["/payload", "serve", "80"]
[[socket]]
listen = "127.0.0.1:8120"
port = 80
TOML
cat > stray.py << 'PYTHON'
# ctr-run as systemd would run it, in the unit's cgroup, but with a listener of our own making.
import os, socket
listener = socket.create_server(("127.0.0.1", 8120))
folder = "/sys/fs/cgroup/machine.slice/ctr@stray.service"
os.makedirs(folder)
open(folder + "/cgroup.procs", "w").write("0")
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.execve("/usr/lib/ctrd/ctr-run", ["ctr-run", "start", "stray"],
          {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "x"})
PYTHON
check_status "a listener that was not born in its socket unit's cgroup is not handed over" 1 python3 stray.py
check_contains "and the message says so" "was not made in the cgroup of 'ctr@stray.socket'" "$output"
rm -f /run/ctrd/run/stray.json # no unit, so no ExecStopPost=
wait_for 2 rmdir /sys/fs/cgroup/machine.slice/ctr@stray.service
