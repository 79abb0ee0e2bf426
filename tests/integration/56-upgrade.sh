#!/bin/bash
# New programs over the old ones, and a restart of ctrd: containers run on, and are served by the new ones.
. "$(dirname -- "$0")/lib.sh"
. "$(dirname -- "$0")/declared.sh"
needs busctl jq busybox machinectl

make_busybox_tree /srv/tree
payload_tree /srv/server
at_exit rm -rf /srv/tree /srv/server
declare_container web << 'TOML'
rootfs = "/srv/server"
command = ["/payload", "serve", "80"]
[[socket]]
listen = "127.0.0.1:8080"
port = 80
TOML
declare_container cold << 'TOML'
rootfs = "/srv/server"
command = ["/payload", "serve", "80"]
standby = "created"
[[socket]]
listen = "127.0.0.1:8081"
port = 80
TOML
declare_container shell << 'TOML'
rootfs = "/srv/tree"
start = "manual"
command = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"]
TOML
ctrctl apply > /dev/null
check_equal "a server answers before it" "peer 127.0.0.1" "$(ask 8080)"
ctrctl start shell
leaders() { echo "$(property web MainPID) $(property cold MainPID) $(property shell MainPID)"; }
state() { ctrctl list --json=short | jq -c 'map([.name, .state, .leader])'; }
ctrd_pid() { systemctl show --value -p MainPID ctrd.service; }
before=$(leaders) listed=$(state) old=$(ctrd_pid)

for program in /usr/lib/ctrd/* /usr/bin/ctrctl /usr/bin/ctr-oci /usr/lib/systemd/system-generators/ctrd-generator; do
    cp -p -- "$program" "$program.new" && mv -- "$program.new" "$program"
done
systemctl daemon-reload
check "ctrd is restarted" systemctl restart ctrd.service
check "it is the new program" eval '[ "$(ctrd_pid)" != "$old" ] && [[ $(readlink /proc/"$(ctrd_pid)"/exe) != *deleted* ]]'
check_equal "no container was restarted" "$before" "$(leaders)"
check_equal "what ctrd says of them is the same" "$listed" "$(state)"
check_equal "the server answers" "peer 127.0.0.1" "$(ask 8080)"
kill -HUP "$(property web MainPID)" # it binds its port again, which the new ctrd has to answer
check_equal "also when it has bound its port anew" "peer 127.0.0.1" "$(ask 8080)"
check "the new ctrd has done that" wait_for 30 sh -c "journalctl --sync; journalctl -u ctrd.service _PID=$(ctrd_pid) -o cat | grep -q \"container 'web': bound port 80 again\""
check_equal "what waited for its first connection answers" "peer 127.0.0.1" "$(ask 8081)"
check_equal "commands are run in what ran before" 7 "$(ctrctl exec -T shell sh -c 'echo 7')"
check "and so are machined's shells" sh -c "machinectl -q shell shell /bin/echo still-there | grep -q still-there"
check "all are stopped by the new programs" ctrctl stop web shell
check "and leave nothing" eval 'nothing_left web && nothing_left shell'
check_equal "and started" "peer 127.0.0.1" "$(ask 8080)"
