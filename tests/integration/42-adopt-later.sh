#!/bin/bash
# Binds that come later are ctrd's: over its stops, its restarts and its being killed.
. "$(dirname -- "$0")/lib.sh"
. "$(dirname -- "$0")/declared.sh"
needs nginx curl python3

systemctl start ctrd-handover.socket || give_up "ctrd's hand-over socket is there"
check "a rootfs of this machine's own installation" system_tree "$PWD/system"
payload_tree tree

declare_container web << TOML
rootfs = "$PWD/system"
command = ["/usr/sbin/nginx", "-g", "daemon off;"]
stop-signal = "SIGQUIT"
[[socket]]
listen = "0.0.0.0:8080"
port = 80
TOML
declare_container plain << TOML
rootfs = "$PWD/tree"
command = ["/payload", "serve", "80"]
[[socket]]
listen = "0.0.0.0:8081"
port = 80
TOML
listening web
listening plain
check "nginx answers" curl -sf -m 20 http://127.0.0.1:8080/
check_equal "the payload answers" "peer 127.0.0.1" "$(ask 8081)"
check "the hand-over starts ctrd" wait_for 5 systemctl is-active ctrd.service

workers() { pgrep -P "$(property web MainPID)" | sort | tr '\n' ' '; }

# nginx reload: its old sockets stay, a changed configuration makes it bind a new one.
before=$(workers)
systemctl kill --kill-whom=main -s HUP ctr@web.service
check "nginx reloads: its workers are new ones" wait_for 5 sh -c "[ \"\$(pgrep -P $(property web MainPID) | sort | tr '\n' ' ')\" != '$before' ]"
check "and it answers" curl -sf -m 5 http://127.0.0.1:8080/

# rebinds: how often the payload has bound its port again
rebinds() { log_of plain | grep -cx rebound; }
rebound_more_than() { [ "$(rebinds)" -gt "$1" ]; }
rebind() { # SENTENCE
    local before
    before=$(rebinds)
    systemctl kill --kill-whom=main -s HUP ctr@plain.service
    check "$1" wait_for 8 rebound_more_than "$before"
    check_equal "... and it answers" "peer 127.0.0.1" "$(timeout 10 python3 -c 'import socket
s = socket.create_connection(("127.0.0.1", 8081), 5); s.settimeout(5); print(s.makefile().readline().rstrip())')"
}

rebind "a payload that closes its socket and binds its port again gets the listener again"
systemctl restart ctrd.service
rebind "it does after ctrd was restarted"
systemctl kill --kill-whom=main -s KILL ctrd.service
sleep 0.3
systemctl start ctrd.service
rebind "it does after ctrd was killed"
systemctl stop ctrd.service
systemctl start ctrd.service
rebind "it does after ctrd was stopped, which empties its descriptor store, and started"

# A bind while ctrd is not there waits for it.
before=$(rebinds)
systemctl stop ctrd.service
systemctl kill --kill-whom=main -s HUP ctr@plain.service
sleep 0.3
check_equal "a bind while ctrd is away waits" "$before" "$(rebinds)"
systemctl start ctrd.service
check "and is answered when it comes back" wait_for 8 rebound_more_than "$before"

# The worst moment to die: the request was received, and not answered. Played by somebody who does just that.
cat > receive.py << 'PYTHON'
# pidfd_getfd out of PID 1, SECCOMP_IOCTL_NOTIF_RECV, and an end without an answer.
import ctypes, fcntl, os, select
libc = ctypes.CDLL(None, use_errno=True)
pidfd = os.pidfd_open(1)
poll = select.poll()
for name in os.listdir("/proc/1/fd"):
    try:
        if os.readlink(f"/proc/1/fd/{name}") != "anon_inode:seccomp notify":
            continue
    except OSError:
        continue
    fd = libc.syscall(438, pidfd, int(name), 0)
    assert fd >= 0, ctypes.get_errno()
    poll.register(fd, select.POLLIN)
ready = [fd for fd, event in poll.poll(5000) if event & select.POLLIN]
fcntl.ioctl(ready[0], 0xC0502100, bytearray(80))
PYTHON
before=$(rebinds)
systemctl stop ctrd.service
systemctl kill --kill-whom=main -s HUP ctr@plain.service
check "somebody takes a bind and dies without answering it" python3 receive.py
systemctl start ctrd.service
check "a ctrd that starts then has the call restarted, and answers it" wait_for 8 rebound_more_than "$before"

# Killed again and again while the payload binds again and again.
lost=0
for ((i = 0; i < 15; i++)); do
    before=$(rebinds)
    systemctl kill --kill-whom=main -s HUP ctr@plain.service
    systemctl kill --kill-whom=main -s KILL ctrd.service 2> /dev/null
    systemctl reset-failed ctrd.service
    systemctl start ctrd.service
    wait_for 8 rebound_more_than "$before" || lost=$((lost + 1))
done
check_equal "no bind is lost over 15 kills of ctrd" 0 $lost

systemctl stop ctr@plain.service ctr@web.service
check "both stop, and nothing is left" wait_for 2 sh -c '[ -z "$(ls /run/ctrd/run)" ]'
