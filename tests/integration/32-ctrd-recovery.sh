#!/bin/bash
# ctrd dies, is stopped, comes back: its view, and the binds that it answers after READY.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/lib.sh"
needs busctl jq busybox curl

folder=/etc/ctrd/containers
mkdir -p $folder
tidy() {
    systemctl start ctrd.service
    systemctl stop 'ctr@*.socket' 'ctr@*.service'
    rm -f $folder/*.toml
    systemctl daemon-reload
    systemctl reset-failed 'ctr@*'
    rm -rf /srv/tree
}
at_exit tidy
make_busybox_tree /srv/tree
echo hello > /srv/tree/root/index.html

# Each server that ends is followed by another one, which binds the port again.
cat > $folder/web.toml << 'TOML'
rootfs = "/srv/tree"
command = ["/bin/sh", "-c", "while :; do httpd -f -p 80 -h /root; done"]
[[socket]]
listen = "127.0.0.1:8080"
port = 80
TOML
printf 'rootfs = "/srv/tree"\nstart = "manual"\ncommand = ["/bin/sh", "-c", "%s"]\n' \
    'trap \"exit 0\" TERM; while :; do sleep 0.05; done' > $folder/db.toml
systemctl daemon-reload
check "the socket listens" systemctl start ctr@web.socket

# The bus may not know yet that the last ctrd is dead.
view() {
    wait_for 5 busctl call io.ctrd1 /io/ctrd1 io.ctrd1.Manager ListContainers
    busctl --json=short call io.ctrd1 /io/ctrd1 io.ctrd1.Manager ListContainers | jq -c .data
    for name in web db; do
        busctl --json=short call io.ctrd1 /io/ctrd1/container/$name org.freedesktop.DBus.Properties GetAll s io.ctrd1.Container
    done
}
ctrd_pid() {
    systemctl show --value -p MainPID ctrd.service
}
# Between two lives it has none: 0.
kill_ctrd() {
    local pid
    pid=$(ctrd_pid)
    [ "$pid" = 0 ] || kill -9 "$pid"
}
page() {
    curl -sS --max-time 5 http://127.0.0.1:8080/
}
# The servers are processes of the container: seen from here they have numbers of their own.
servers() {
    grep -lxE 'httpd' $(sed 's,.*,/proc/&/comm,' /sys/fs/cgroup/machine.slice/ctr@web.service/payload/cgroup.procs) | cut -d/ -f3
}
next_server() {
    local old
    old=$(servers)
    kill $old
    wait_for 5 sh -c "! kill -0 $old"
}
listeners() { # PID
    ls -l /proc/"$1"/fd | grep -c 'seccomp notify'
}

check_equal "the first connection is answered" hello "$(page)"
check "ctrd got the seccomp listener" wait_for 5 sh -c 'ls -l /proc/$(systemctl show --value -p MainPID ctrd.service)/fd | grep -q "seccomp notify"'
stored() { [ "$(systemctl show --value -p NFileDescriptorStore ctrd.service)" = "$1" ]; }
check "and stored it" wait_for 5 stored 1
next_server
check_equal "a server that binds again is answered" hello "$(page)"
check_contains "ctrd says so" "container 'web': bound port 80 again" "$(journalctl --sync; journalctl -u ctrd.service --no-pager -o cat)"

systemctl start ctr@db.service
before=$(view)
kill_ctrd
check_equal "after SIGKILL the view is the same, to the last property" "$before" "$(view)"
check_equal "it watches one listener again" 1 "$(listeners "$(ctrd_pid)")"
next_server
check_equal "a server that binds again is answered after SIGKILL" hello "$(page)"

kill -STOP "$(ctrd_pid)"
next_server
sleep 0.2
kill_ctrd
check_equal "a bind that waited while ctrd died is answered" hello "$(page)"

systemctl stop ctrd.service 2> /dev/null
check_equal "a stopped ctrd's store is empty" 0 "$(systemctl show --value -p NFileDescriptorStore ctrd.service)"
next_server
sleep 0.2
check "ctrd starts again" systemctl start ctrd.service
check_equal "a bind that waited while ctrd was stopped is answered" hello "$(page)"
check_equal "it watches the listener out of the unit's own store" 1 "$(listeners "$(ctrd_pid)")"

# To let a call start again that its predecessor had taken, ctrd freezes the container for a moment, and may be killed then.
systemctl kill --kill-whom=main -s STOP ctrd.service
echo 1 > /sys/fs/cgroup/machine.slice/ctr@web.service/payload/cgroup.freeze
kill_ctrd
check_equal "what a killed ctrd left frozen is thawed" hello "$(page)"

# In the middle of a start: systemd goes on with it, and whoever asks again joins it.
cat > $folder/slow.toml << 'TOML'
rootfs = "/srv/tree"
start = "manual"
command = ["/bin/sh", "-c", "sleep 1; exec httpd -f -p 81 -h /root"]
[[socket]]
listen = "127.0.0.1:8081"
port = 81
TOML
systemctl daemon-reload
systemctl start ctr@slow.socket
busctl call io.ctrd1 /io/ctrd1 io.ctrd1.Manager StartContainer s slow > call 2>&1 &
caller=$!
check "a slow container starts" wait_for 5 sh -c '[ "$(systemctl is-active ctr@slow.service)" = activating ]'
kill_ctrd
wait $caller
check_contains "a call that ctrd's death interrupts is told so" "disconnected from message bus without replying" "$(< call)"
check_contains "the new ctrd knows the start that goes on" '"slow","starting"' "$(busctl --json=short call io.ctrd1 /io/ctrd1 io.ctrd1.Manager ListContainers)"
check "asked again it answers when the start is done" busctl call io.ctrd1 /io/ctrd1 io.ctrd1.Manager StartContainer s slow
check_equal "it runs" active "$(systemctl is-active ctr@slow.service)"
systemctl stop ctr@slow.socket ctr@slow.service
rm $folder/slow.toml
systemctl daemon-reload

systemctl stop ctrd.service 2> /dev/null
systemctl stop ctr@db.service
check_contains "what ended while ctrd was away is stopped in its view" '"db","stopped"' "$(view)"
systemctl stop ctrd.service 2> /dev/null
systemctl start ctr@db.service
check_contains "what started while ctrd was away is running in its view" '"db","running"' "$(view)"
check "and is a machine" wait_for 5 machinectl show db
kill_ctrd
check "it stays one" wait_for 5 sh -c 'machinectl show db && busctl call io.ctrd1 /io/ctrd1 io.ctrd1.Manager GetContainer s db'
check_equal "nothing was complained about" "" "$(journalctl --sync; journalctl -u ctrd.service _COMM=ctrd -p warning --no-pager -o cat)"

systemctl stop ctr@web.service 2> /dev/null
check "with the container its listener goes" wait_for 5 sh -c '! ls -l /proc/$(systemctl show --value -p MainPID ctrd.service)/fd | grep -q "seccomp notify"'
check "out of systemd, too" wait_for 5 sh -c '! ls -l /proc/1/fd | grep -q "seccomp notify"'
check_equal "the next connection is answered all the same" hello "$(page)"

# A ctrd that is killed over and over comes back each time.
for _ in {1..30}; do
    kill_ctrd
    sleep 0.03
done
check "after thirty SIGKILLs in a row ctrd answers" wait_for 5 busctl call io.ctrd1 /io/ctrd1 io.ctrd1.Manager ListContainers
check_equal "the hand-over socket listens still" active "$(systemctl is-active ctrd-handover.socket)"
