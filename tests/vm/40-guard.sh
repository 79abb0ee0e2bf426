#!/bin/bash
# Adoption and the guard on Debian's own kernel, where sock_diag is a module.
. "$(dirname -- "$0")/../integration/lib.sh"
. "$(dirname -- "$0")/../integration/declared.sh"
needs python3

check "a rootfs of this machine's own installation" system_tree "$PWD/system"
cat > system/srv/attack.py << 'PYTHON'
import errno, socket
server = socket.create_server(("0.0.0.0", 80))
client, peer = server.accept()
client.send(f"peer {peer[0]}\n".encode())
client.close()
while True:
    server.shutdown(socket.SHUT_RDWR)
    try:
        server.connect(("127.0.0.1", 9401))
        print("SUCCEEDED", flush=True)
    except OSError as error:
        if error.errno == errno.EISCONN:  # ctrd, which looks after READY, has made it listen in between
            continue
        print("refused:", error.strerror, flush=True)
    break
PYTHON
python3 -c 'import socket
s = socket.create_server(("127.0.0.1", 9401))
while True: s.accept()' &
at_exit kill $!

declare_container attack << TOML
rootfs = "$PWD/system"
command = ["/usr/bin/python3", "/srv/attack.py"]
[[socket]]
listen = "0.0.0.0:8104"
port = 80
TOML
listening attack
check_equal "an adopted server answers its first connection" "peer 127.0.0.1" "$(ask 8104)"
wait_for 60 state_is attack inactive
check_equal "its way out over the listener is refused" "refused: Operation not permitted" \
    "$(log_of attack | grep -E '^(refused|SUCCEEDED)' || log_of attack)"
check_equal "the socket unit survives it" active "$(systemctl is-active ctr@attack.socket)"
