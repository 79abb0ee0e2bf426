#!/bin/bash
# Unmodified servers, each in an empty network namespace, answer on the host's sockets; ctrd is not there.
. "$(dirname -- "$0")/lib.sh"
. "$(dirname -- "$0")/declared.sh"
needs nginx redis-server python3 curl ss

systemctl mask --runtime ctrd.service ctrd-handover.socket
systemctl stop ctrd.service ctrd-handover.socket
at_exit systemctl unmask --runtime ctrd.service ctrd-handover.socket

check "a rootfs of this machine's own installation" system_tree "$PWD/system"
payload_tree tree

# --- nginx: 0.0.0.0:80 and [::]:80 on one listener

declare_container web << TOML
rootfs = "$PWD/system"
command = ["/usr/sbin/nginx", "-g", "daemon off;"]
stop-signal = "SIGQUIT"
[[socket]]
listen = "8080"
port = 80
TOML
listening web
check_equal "nothing runs before the first connection" inactive "$(property web ActiveState)"
check "nginx answers its first connection" curl -sf -m 20 http://127.0.0.1:8080/

check_contains "with its own page" "Welcome to nginx" "$output"
check_equal "the unit is active" active "$(property web ActiveState)"
check_equal "its main process is nginx" nginx "$(cat "/proc/$(property web MainPID)/comm")"
check_equal "which is the manager's own child" 1 "$(awk '/^PPid/ { print $2 }' "/proc/$(property web MainPID)/status")"
check "it answers over IPv6 too" curl -sf -m 5 'http://[::1]:8080/'
check "no process of ours stays beside it" wait_for 1 sh -c '! pgrep -x ctr-run'
check_contains "it sees the client's address" "127.0.0.1" "$(tail -n 3 system/var/log/nginx/access.log)"
ip addr add 127.0.0.77/8 dev lo && at_exit ip addr del 127.0.0.77/8 dev lo
curl -sf -m 5 --interface 127.0.0.77 http://127.0.0.77:8080/ > /dev/null
check_contains "also another one" "127.0.0.77" "$(tail -n 1 system/var/log/nginx/access.log)"
check_equal "it has no network of its own but the loopback" lo \
    "$(nsenter -t "$(property web MainPID)" -n ls /sys/class/net 2> /dev/null || nsenter -t "$(property web MainPID)" -n ip -o link | awk -F': ' '{ print $2 }')"
check_contains "the run record names its leader" "\"leader\":$(property web MainPID)" "$(cat /run/ctrd/run/web.json)"
check_equal "only root may read it" 600 "$(stat -c %a /run/ctrd/run/web.json)"
keeps() { [ "$(property "$1" NFileDescriptorStore)" = "$2" ]; }
check "the unit keeps the notification descriptor and the machine socket" wait_for 5 keeps web 2
# nginx asked for 511.
check "the listener's queue is as long as the host allows" wait_for 2 sh -c \
    '[ "$(ss -Htln "sport = :8080" | awk "{ print \$3 }")" = "$(cat /proc/sys/net/core/somaxconn)" ]'
check "it stops" systemctl stop ctr@web.service
check "and nothing of it is left" wait_for 2 nothing_left web
check "the next connection starts it again" curl -sf -m 20 http://127.0.0.1:8080/
systemctl stop ctr@web.service ctr@web.socket

# --- nginx behind an IPv4 listener: a virtual server of 0.0.0.0:80 is found by all, though [::]:80 is another's

printf 'server { listen 80; server_name four; return 200 "by IPv4\\n"; }\n' > system/etc/nginx/conf.d/four.conf
at_exit rm -f system/etc/nginx/conf.d/four.conf
declare_container virtual << TOML
rootfs = "$PWD/system"
command = ["/usr/sbin/nginx", "-g", "daemon off;"]
stop-signal = "SIGQUIT"
[[socket]]
listen = "0.0.0.0:8092"
port = 80
TOML
listening virtual
curl -sf -m 20 -o /dev/null http://127.0.0.1:8092/
check_equal "each of 200 clients gets the virtual server of the socket that it came by" "200 by IPv4" \
    "$(seq 200 | xargs -P 8 -I@ curl -s -m 20 -H 'Host: four' http://127.0.0.1:8092/ | sort | uniq -c | sed 's/^ *//')"
systemctl stop ctr@virtual.service ctr@virtual.socket
rm system/etc/nginx/conf.d/four.conf

# --- redis

declare_container cache << TOML
rootfs = "$PWD/system"
command = ["/usr/bin/redis-server", "--save", "", "--protected-mode", "no"]
[[socket]]
listen = "127.0.0.1:6390"
port = 6379
TOML
listening cache
check_equal "redis answers its first connection" +PONG "$(python3 -c 'import socket
s = socket.create_connection(("127.0.0.1", 6390), 20); s.settimeout(20)
s.send(b"PING\r\n"); print(s.recv(64).decode().strip())')"
systemctl stop ctr@cache.service
check "redis has finished by itself" wait_for 10 log_has cache "ready to exit"

# --- python's http.server: one IPv6 socket for both families

declare_container files << TOML
rootfs = "$PWD/system"
command = ["/usr/bin/python3", "-m", "http.server", "8000", "--bind", "::"]
[[socket]]
listen = "0.0.0.0:8090"
port = 8000
TOML
listening files
check "python's http.server answers its first connection" curl -sf -m 20 http://127.0.0.1:8090/
systemctl stop ctr@files.service

# --- the edges

declare_container six << TOML
rootfs = "$PWD/tree"
command = ["/payload", "serve6", "80"]
[[socket]]
listen = "[::]:8101"
port = 80
TOML
listening six
check_equal "an IPv6 payload behind a dual-stack socket sees IPv6 clients" "peer ::1" "$(ask 8101 ::1)"
check_equal "and IPv4 ones" "peer ::ffff:127.0.0.1" "$(ask 8101)"
systemctl stop ctr@six.service

declare_container mixed << TOML
rootfs = "$PWD/tree"
command = ["/payload", "serve", "80"]
[[socket]]
listen = "8105"
port = 80
TOML
listening mixed
check_equal "an IPv4 payload behind a dual-stack socket answers as well" "peer ::ffff:127.0.0.1" "$(ask 8105)"
check "the journal says what to do where that is too much for it" wait_for 2 log_has mixed 'listen = "0.0.0.0:PORT"'
systemctl stop ctr@mixed.service
check_not_contains "nginx, which binds both families, needs no such advice" "0.0.0.0:PORT" "$(log_of web)"

declare_container two << TOML
rootfs = "$PWD/tree"
command = ["/payload", "serve", "80"]
ready-timeout = "1s"
[[socket]]
name = "http"
listen = "0.0.0.0:8102"
port = 80
[[socket]]
name = "admin"
listen = "0.0.0.0:8103"
port = 81
TOML
listening two
check_status "a payload that does not bind a declared port in time fails to start" 1 systemctl start ctr@two.service
check "the journal names the port" wait_for 10 log_has two "did not bind port 81 in time"
check "nothing of it is left" wait_for 2 nothing_left two
systemctl stop ctr@two.socket

declare_container dies << TOML
rootfs = "$PWD/tree"
command = ["/payload", "exit", "9"]
[[socket]]
listen = "0.0.0.0:8104"
port = 80
TOML
listening dies
check_status "a payload that ends before it bound its port fails to start" 1 systemctl start ctr@dies.service
check_equal "its exit status is the unit's" 9 "$(property dies ExecMainStatus)"
systemctl stop ctr@dies.socket

# A rebind with nobody there who could answer blocks, but that must not hurt anybody else.
check "the socket unit restarts after a run of its container" sh -c \
    'systemctl stop ctr@six.service ctr@six.socket && systemctl start ctr@six.socket'
check_equal "and its container answers again" "peer ::1" "$(ask 8101 ::1)"
