#!/bin/bash
# From TOML files to units that systemd takes: ctrd-generator, ctr@.service, ctr@.socket.
. "$(dirname -- "$0")/lib.sh"

generator=/usr/lib/systemd/system-generators/ctrd-generator
folder=/etc/ctrd/containers
mkdir -p "$folder"

tidy() {
    systemctl stop 'ctr@*.socket' 'ctr@*.service'
    rm -rf "${folder:?}"/*
    umount -q /srv/later
    rm -rf /srv/later /srv/tree /run/declare.sock
    systemctl daemon-reload
    systemctl reset-failed 'ctr@*'
}
at_exit tidy

declare_web() { # LINE...: after rootfs and command
    {
        printf 'rootfs = "/srv/tree"\ncommand = ["/bin/sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"]\n'
        printf '%s\n' "$@"
    } > "$folder/web.toml"
}
property() { # UNIT PROPERTY
    systemctl show --value -p "$2" "$1"
}
make_busybox_tree /srv/tree

# --- properties ----------------------------------------------------------------------------------------------------
declare_web 'description = "The web, 100%"' 'stop-signal = "SIGQUIT"' 'stop-timeout = "1min 5s"' 'ready-timeout = "20s"' 'restart = "on-failure"' \
    'start = "manual"' '[[socket]]' 'name = "http"' 'listen = "0.0.0.0:8080"' 'port = 80' '[[socket]]' 'listen = "[::]:8080"' 'port = 81' \
    '[[socket]]' 'listen = "/run/declare.sock"' 'deliver = "pass"' '[resources]' 'memory-max = "512M"' 'cpu-weight = 200' 'tasks-max = 64'
check "daemon-reload takes a new declaration in" systemctl daemon-reload
check_equal "a description's percent sign is no specifier" "The web, 100%" "$(property ctr@web.service Description)"
check_equal "the stop signal is the unit's KillSignal=" 3 "$(property ctr@web.service KillSignal)"
check_equal "the stop timeout is the unit's TimeoutStopSec=" "1min 5s" "$(property ctr@web.service TimeoutStopUSec)"
check_equal "the ready timeout and a margin are the unit's TimeoutStartSec=" 25s "$(property ctr@web.service TimeoutStartUSec)"
check_equal "the restart policy is the unit's Restart=" on-failure "$(property ctr@web.service Restart)"
check_equal "a limit of memory is the unit's MemoryMax=" $((512 << 20)) "$(property ctr@web.service MemoryMax)"
check_equal "a limit of tasks is the unit's TasksMax=" 64 "$(property ctr@web.service TasksMax)"
check_equal "the unit is in machine.slice" machine.slice "$(property ctr@web.service Slice)"
check_equal "the payload does not inherit an ignored SIGPIPE" no "$(property ctr@web.service IgnoreSIGPIPE)"
check_contains "the service requires its socket" ctr@web.socket "$(property ctr@web.service Requires)"
check_equal "the socket triggers the service" ctr@web.service "$(property ctr@web.socket Triggers)"
check_equal "systemd knows which file a unit was made from" "$folder/web.toml" "$(property ctr@web.service SourcePath)"
check_equal "systemd finds nothing to complain about in the units" "" \
    "$(journalctl -b --no-pager -o cat _PID=1 | grep -E '10-ctrd.conf|/ctr@\.(service|socket):' | grep -v 'has no Listen')"
check_equal "only root can read the compiled config" "600 700 700" \
    "$(stat -c %a /run/ctrd/compiled/web/config.json /run/ctrd/compiled/web /run/ctrd/compiled | xargs)"

# --- sockets -------------------------------------------------------------------------------------------------------
check "the socket unit listens" systemctl start ctr@web.socket
check_equal "the same port on IPv4 and IPv6, and a path, are listened on side by side" "/run/declare.sock (Stream) 0.0.0.0:8080 (Stream) [::]:8080 (Stream)" \
    "$(property ctr@web.socket Listen | sort | xargs)"
check_equal "its TCP sockets are born in its own cgroup below machine.slice" 2 \
    "$(ss -tln --cgroup | grep -c 'cgroup:/machine.slice/ctr@web.socket')"
check "that cgroup stays although no process is in it" test -d /sys/fs/cgroup/machine.slice/ctr@web.socket
check "daemon-reload keeps the sockets" systemctl daemon-reload
check_equal "they listen as before" active "$(systemctl is-active ctr@web.socket)"
systemctl stop ctr@web.socket
check "a stopped socket's file is gone" test ! -e /run/declare.sock
check_status "a socket that nobody declared is refused" 1 systemctl start ctr@nobody.socket

# --- start at boot -------------------------------------------------------------------------------------------------
wants() { [ -L "/run/systemd/generator/$1.target.wants/ctr@web.$2" ]; }
declare_web && systemctl daemon-reload
check "without sockets a container is wanted at boot" wants multi-user service
declare_web '[[socket]]' 'listen = "127.0.0.1:8080"' && systemctl daemon-reload
check "with sockets its socket is" wants sockets socket
check_status "and the container itself is not" 1 wants multi-user service

# --- mistakes ------------------------------------------------------------------------------------------------------
printf 'rootfs = "/srv/tree"\ncomand = ["/bin/true"]\n' > "$folder/broken.toml"
mkdir out
check_status "the generator fails when a file is wrong" 1 "$generator" "$PWD/out"
check_contains "and says where, and what was meant" "$folder/broken.toml:2:1: unknown key 'comand'" "$output"
check_contains "with a hint" "did you mean 'command'?" "$output"
check "and makes the others all the same" test -e out/ctr@web.service.d/10-ctrd.conf
check "a wrong file makes no units" test ! -e out/ctr@broken.service.d
rm "$folder/broken.toml"
declare_web '[[socket]]' 'listen = "127.0.0.1:nonsense"' && systemctl daemon-reload
journalctl --sync
check_contains "what the generator has to say at a reload is in the journal" "web.toml:4:10: 'listen': '127.0.0.1:nonsense' is not an address" \
    "$(journalctl -b --no-pager -o cat -t ctrd-generator)"
check_contains "a container whose file breaks keeps the units that it had" 127.0.0.1:8080 "$(property ctr@web.socket Listen)"
check_status "the generator without arguments prints its usage" 2 "$generator"

# --- drop-ins, masks, removal --------------------------------------------------------------------------------------
declare_web
mkdir -p "$folder/web.toml.d" /run/ctrd/containers/web.toml.d
printf 'stop-signal = "SIGINT"\n' > "$folder/web.toml.d/10.conf.toml"
printf 'stop-signal = "SIGUSR1"\nhostname = "run"\n' > /run/ctrd/containers/web.toml.d/10.conf.toml
systemctl daemon-reload
check_equal "a drop-in in /etc takes the place of the one in /run" 2 "$(property ctr@web.service KillSignal)"
rm -rf /run/ctrd/containers/web.toml.d
touch -d '+1 minute' "$folder/web.toml"
check_equal "systemctl warns of a declaration that is newer than the units" yes "$(property ctr@web.service NeedDaemonReload)"
rm -r "$folder/web.toml" "$folder/web.toml.d" && ln -s /dev/null "$folder/web.toml" && systemctl daemon-reload
check "a masked container has no units" test ! -e /run/systemd/generator/ctr@web.service.d
check "and no compiled config" test ! -e /run/ctrd/compiled/web
rm "$folder/web.toml"

# --- a rootfs that is mounted later --------------------------------------------------------------------------------
mkdir -p /srv/later
printf 'rootfs = "/srv/later"\nuser = "late"\ncommand = ["/bin/sh", "-c", "exit 7"]\nstart = "manual"\n' > "$folder/late.toml"
check "a rootfs that is an empty mount point yet is no error at boot" systemctl daemon-reload
check "its config is not made yet" test ! -e /run/ctrd/compiled/late/config.json
check_status "starting it without its files fails" 1 systemctl start ctr@late.service
check_contains "and the journal says why" "no user 'late'" "$(journalctl --sync; journalctl -b --no-pager -o cat -u ctr@late.service)"
mount -t tmpfs tmpfs /srv/later && make_busybox_tree /srv/later
printf 'late:x:77:78::/:/bin/sh\n' >> /srv/later/etc/passwd
systemctl reset-failed ctr@late.service
systemctl start ctr@late.service
check_equal "once it is mounted the unit makes its config and runs it" 7 "$(wait_for 5 systemctl is-failed ctr@late.service; property ctr@late.service ExecMainStatus)"
check_equal "as the user that the rootfs says" 77 "$(jq .process.user.uid /run/ctrd/compiled/late/config.json)"

# --- what systemd 255 says of a unit with SurviveFinalKillSignal= ---------------------------------------------------
if [ ! -e /usr/lib/systemd/system/systemd-soft-reboot.service ]; then
    declare_web 'survive-soft-reboot = true'
    check_status "what this machine's systemd can't do is refused" 2 ctrctl check "$folder/web.toml"
    check_contains "with what it needs" "web.toml:3:23: this machine's systemd knows no soft-reboot" "$output"
    rm "$folder/web.toml"
fi
cat > mark.py << 'PYTHON'
import os
os.setxattr("/sys/fs/cgroup/machine.slice/ctr@lasting.service", "user.survive_final_kill_signal", b"1")
PYTHON
printf 'rootfs = "/srv/tree"\ncommand = ["/bin/sleep", "inf"]\nstart = "manual"\n' > "$folder/lasting.toml"
mkdir -p /run/systemd/system/ctr@lasting.service.d
printf '[Service]\nExecStartPre=python3 %s/mark.py\n' "$PWD" > /run/systemd/system/ctr@lasting.service.d/mark.conf
systemctl daemon-reload
systemctl start ctr@lasting.service
payload=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(property ctr@lasting.service MainPID)/cgroup")
check_contains "the payload is below the unit's cgroup" ctr@lasting.service/ "$payload"
check_equal "and has the mark that spares it at a soft-reboot" 1 \
    "$(python3 -c 'import os, sys; print(os.getxattr(sys.argv[1], "user.survive_final_kill_signal").decode())' "$payload")"
systemctl stop ctr@lasting.service
rm -r /run/systemd/system/ctr@lasting.service.d "$folder/lasting.toml"
systemctl daemon-reload
