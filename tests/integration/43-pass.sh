#!/bin/bash
# Servers that take their sockets from the service manager (LISTEN_FDS).
. "$(dirname -- "$0")/lib.sh"
. "$(dirname -- "$0")/declared.sh"
needs lighttpd curl python3

check "a rootfs of this machine's own installation" system_tree "$PWD/system"
mkdir -p system/srv/site && echo "hello from lighttpd" > system/srv/site/index.html
cat > system/srv/lighttpd.conf << 'CONF'
server.document-root = "/srv/site"
server.systemd-socket-activation = "enable"
server.modules = ()
index-file.names = ("index.html")
server.port = 80
CONF

declare_container light << TOML
rootfs = "$PWD/system"
command = ["/usr/sbin/lighttpd", "-D", "-f", "/srv/lighttpd.conf"]
[[socket]]
listen = "0.0.0.0:8085"
deliver = "pass"
TOML
listening light
check_equal "lighttpd answers its first connection on the passed socket" "hello from lighttpd" "$(curl -sf -m 20 http://127.0.0.1:8085/)"
systemctl stop ctr@light.service
check_equal "and after a stop the next one" "hello from lighttpd" "$(curl -sf -m 20 http://127.0.0.1:8085/)"
systemctl stop ctr@light.service ctr@light.socket

cat > system/srv/passed.py << 'PYTHON'
# Says what it was handed, on a path's socket.
import os, socket
names = os.environ["LISTEN_FDNAMES"].split(":")
right_pid = int(os.environ["LISTEN_PID"]) == os.getpid()
by_name = {name: socket.socket(fileno=3 + i) for i, name in enumerate(names)}
assert int(os.environ["LISTEN_FDS"]) == len(names)
client, _ = by_name["control"].accept()
client.send(f"{right_pid} {by_name['web'].getsockname()[1]} {' '.join(sorted(names))}\n".encode())
client.close()
PYTHON
declare_container several << TOML
rootfs = "$PWD/system"
command = ["/usr/bin/python3", "/srv/passed.py"]
[[socket]]
name = "web"
listen = "0.0.0.0:8086"
deliver = "pass"
[[socket]]
name = "control"
listen = "/run/ctrd-test-control.sock"
deliver = "pass"
TOML
listening several
check_equal "several sockets, IP and UNIX, come with their own names and the payload's own LISTEN_PID" \
    "True 8086 control web" "$(python3 -c 'import socket
s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect("/run/ctrd-test-control.sock"); print(s.makefile().readline().rstrip())')"
systemctl stop ctr@several.service ctr@several.socket

# --- UDP, beside TCP on the same port

cat > system/srv/echo.py << 'PYTHON'
import os, socket
for i in range(int(os.environ["LISTEN_FDS"])):
    found = socket.socket(fileno=3 + i)
    if found.type == socket.SOCK_DGRAM:
        datagrams = found
while True:
    data, peer = datagrams.recvfrom(100)
    datagrams.sendto(b"echo " + data, peer)
PYTHON
declare_container echo << TOML
rootfs = "$PWD/system"
command = ["/usr/bin/python3", "/srv/echo.py"]
[[socket]]
listen = "127.0.0.1:8087"
deliver = "pass"
[[socket]]
listen = "127.0.0.1:8087"
type = "datagram"
deliver = "pass"
TOML
listening echo
ask_echo='import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20); s.connect(("127.0.0.1", 8087)); s.send(b"hello"); print(s.recv(100).decode())'
check_equal "a datagram starts a container and is answered, on a port that TCP has too" "echo hello" "$(python3 -c "$ask_echo")"
check_equal "its socket unit has both" 2 "$(systemctl show --value -p Listen ctr@echo.socket | grep -c 127.0.0.1:8087)"
check_equal "'ctrctl apply' sees that nothing is to be done" active "$(ctrctl apply > /dev/null; property echo ActiveState)"
systemctl stop ctr@echo.service
check_equal "and after a stop the next one" "echo hello" "$(python3 -c "$ask_echo")"
