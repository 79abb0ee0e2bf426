#!/bin/bash
# What is done with a running container: pause and resume, wait, limits, use, processes, files, mounts, events.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/lib.sh"
. "$(dirname -- "$0")/declared.sh"
needs busctl jq busybox

make_busybox_tree /srv/tree
at_exit rm -rf /srv/tree
loop='trap \"exit 3\" TERM; while :; do sleep 0.05; done'
busctl call io.ctrd1 /io/ctrd1 org.freedesktop.DBus.Peer Ping # ctrd is there, and sees what is declared
for name in web other; do
    declare_container $name << TOML
rootfs = "/srv/tree"
start = "manual"
command = ["/bin/sh", "-c", "echo hello from $name; $loop"]
[resources]
memory-high = "16M"
TOML
done
call() { busctl --json=short call io.ctrd1 /io/ctrd1 io.ctrd1.Manager "$@"; }
state() { busctl --json=short get-property io.ctrd1 "/io/ctrd1/container/$1" io.ctrd1.Container State | jq -r .data; }

ctrctl start web
leader=$(property web MainPID)

# --- found by what one knows of it ---------------------------------------------------------------------------------
check_equal "a container is found by its unit" /io/ctrd1/container/web "$(call GetContainerByUnit s ctr@web.service | jq -r '.data[0]')"
check_equal "and by a cgroup, its payload's too" /io/ctrd1/container/web \
    "$(call GetContainerByCGroup s /machine.slice/ctr@web.service/payload | jq -r '.data[0]')"
check_status "a unit that is no container's is an error" 1 call GetContainerByUnit s dbus.service
check_status "so is a cgroup that is none's" 1 call GetContainerByCGroup s /system.slice

# --- pause and resume ----------------------------------------------------------------------------------------------
check "pause" ctrctl pause web
check_equal "it is paused" paused "$(state web)"
check_equal "the kernel has frozen it" 1 "$(grep -c 'frozen 1' /sys/fs/cgroup/machine.slice/ctr@web.service/payload/cgroup.events)"
check "pausing it again is no error" ctrctl pause web
check_status "nothing is executed in a paused container" 1 ctrctl exec -T web true
check_contains "the message says why and what to do" "ctrctl resume web" "$output"
check "machined knows it still" machinectl show web
check "resume" ctrctl resume web
check_equal "it runs" running "$(state web)"
check "and executes again" ctrctl exec -T web true
check_status "what does not run can't be paused" 1 ctrctl pause other
check_contains "the message says why" "is not running" "$output"
check "a paused container" ctrctl pause web
check "can be stopped" timeout 20 ctrctl stop web
check_equal "it has heard its stop signal" "failed 3" "$(state web) $(ctrctl show web -p MainStatus --value)"

ctrctl start web
ctrctl pause web
ctrctl restart web
check_equal "or restarted, and is not paused any more" running "$(state web)"
ctrctl stop web

# --- wait ----------------------------------------------------------------------------------------------------------
ctrctl start web
ctrctl wait web &
waiter=$!
check "a wait goes on while the container runs" sh -c 'sleep 0.3; kill -0 '$waiter
ctrctl kill web
wait $waiter
check_equal "it ends with the container's own exit code" 3 $?
check_status "of what has ended already, too" 3 ctrctl wait web
systemctl reset-failed ctr@web.service
systemctl kill --signal=KILL ctrd.service
check_status "and after ctrd was away and systemd has forgotten it" 3 ctrctl wait web
ctrctl start web
ctrctl kill -s KILL web
check_status "a signal is 128 and its number" 137 ctrctl wait web
check_status "an unknown container is an error" 3 ctrctl wait nosuch

# --- limits --------------------------------------------------------------------------------------------------------
ctrctl start web
check "a limit changes while it runs" ctrctl set web memory-max=64M cpu-quota=50% tasks-max=99 --runtime
check_equal "systemd has it" "67108864 500ms 99" "$(property web MemoryMax) $(property web CPUQuotaPerSecUSec) $(property web TasksMax)"
check "for good, too" ctrctl set web memory-high=32M
check "as a file of systemd's own" test -e /etc/systemd/system.control/ctr@web.service.d/50-MemoryHigh.conf
systemctl daemon-reload
check_equal "which wins over the declaration" 33554432 "$(property web MemoryHigh)"
systemctl revert ctr@web.service
check_equal "until it is reverted" 16777216 "$(property web MemoryHigh)"
check_status "a limit that is none is refused" 2 ctrctl set web memory-mix=1G
check_contains "with what was meant" "did you mean 'memory-min'" "$output"
check_status "so is a value that is none" 2 ctrctl set web memory-max=lots
check_status "so is a property that could run something" 1 call SetContainerProperties 'sba{sv}' web true 1 ExecStartPost t 1
check_contains "by name" "property 'ExecStartPost' can't be set" "$output"
check_status "so is a wrong type" 1 call SetContainerProperties 'sba{sv}' web true 1 MemoryMax s 1G
check_status "so is nothing" 1 call SetContainerProperties 'sba{sv}' web true 0

# --- use -----------------------------------------------------------------------------------------------------------
check "stats" ctrctl stats web --json=short
check_equal "say how much processor time it used" true "$(jq '.[0].CPUUsageUSec > 0' <<< "$output")"
check_contains "as a table, too" CPU "$(ctrctl stats)"
check_contains "those of all are read in parts" '[["web",{"CPU' "$(call ListContainerStats s "")"
check_equal "each behind the one before" '{"type":"a(sa{sv})s","data":[[],""]}' "$(call ListContainerStats s web)"
check_contains "top looks more than once" web "$(ctrctl top -n 2 -d 0.2 | tail -1)"
check_equal "and shows no control sequences where there is no terminal" 0 "$(ctrctl top -n 1 | grep -c $'\e')"
check_contains "ps lists its processes" "/bin/sh -c" "$(ctrctl ps web)"
check_equal "the leader among them" true "$(ctrctl ps web --json=short | jq "any(.pid == $leader) or any(.pid == $(property web MainPID))")"
check_status "what does not run uses nothing" 1 ctrctl stats other

# --- files ---------------------------------------------------------------------------------------------------------
mkdir -p from/deep/er
echo one > from/one
echo two > from/deep/er/two
ln -s ../one from/deep/link
ln -s /etc/shadow from/outside
mkfifo from/pipe 2> /dev/null && rm from/pipe
check "a file is copied in" ctrctl cp from/one web:/tmp/
check_equal "under its own name in a folder" one "$(cat /srv/tree/tmp/one)"
check "or another" ctrctl cp from/one web:/tmp/1
check_equal "which it has then" one "$(cat /srv/tree/tmp/1)"
check "a folder is copied in" ctrctl cp from web:/tmp
check_equal "with all that is in it" "two ../one" "$(cat /srv/tree/tmp/from/deep/er/two) $(readlink /srv/tree/tmp/from/deep/link)"
check "a folder is copied out" ctrctl cp web:/tmp/from back
check "as it was" diff -r --no-dereference from back
check "a file is copied out" ctrctl cp web:/tmp/1 .
check_equal "too" one "$(cat 1)"
check_status "what is not there is an error" 1 ctrctl cp web:/nosuch x
check_contains "that names it" "nosuch" "$output"
check_equal "nothing is left of it" "" "$(find . -name '.ctrctl-cp*')"
check_status "both sides can't be ours" 2 ctrctl cp from x
chmod 4755 /srv/tree/tmp/1
rm -f 1
ctrctl cp web:/tmp/1 .
check_equal "a setuid bit stays in the container" 755 "$(stat -c %a 1)"

# odd names, holes and modes
mkdir -p odd/sticky odd/closed && chmod 1777 odd/sticky && chmod 000 odd/closed
printf 'line' > odd/$'new\nline'
printf 'escape' > odd/$'esc\x1b[31m'
printf 'bytes' > odd/$'bad\xff'
touch -- odd/--dash
truncate -s 8M odd/hole && printf 'x' | dd of=odd/hole bs=1 seek=4000000 conv=notrunc 2> /dev/null
install -m 6755 /bin/true odd/setuid
check "a folder with odd names is copied in" ctrctl cp odd web:/tmp
files() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum); }
check_equal "all of them arrive" "$(files odd)" "$(files /srv/tree/tmp/odd)"
check_equal "a folder's sticky bit does, a program's setuid bit does not" "1777 0 755" \
    "$(stat -c %a /srv/tree/tmp/odd/sticky /srv/tree/tmp/odd/closed /srv/tree/tmp/odd/setuid | xargs)"
check_equal "a hole is as large as it was" 8388608 "$(stat -c %s /srv/tree/tmp/odd/hole)"
check "and takes no place" test "$(du -k /srv/tree/tmp/odd/hole | cut -f 1)" -lt 1000
check "it is copied out" ctrctl cp web:/tmp/odd odd-back
check_equal "as it went in" "$(files odd) 1777 755" "$(files odd-back) $(stat -c %a odd-back/sticky odd-back/setuid | xargs)"
mkdir odd/more && mkfifo odd/more/pipe
check_status "a FIFO is refused by its name" 2 ctrctl cp odd web:/tmp
check_contains "and not read" "'/tmp/odd/more/pipe', which is no file, folder or link" "$output"

# what a hostile tree does
echo host > /tmp/host-file
ln -s /tmp/host-file /srv/tree/tmp/trap
check "a link in the container is replaced" ctrctl cp from/one web:/tmp/trap
check_equal "and not written through" host "$(cat /tmp/host-file)"
mkdir /tmp/host-folder
ln -s /tmp/host-folder /srv/tree/tmp/way-out
ctrctl cp from/one web:/tmp/way-out/x
check "a link to a folder leads to one in the container" test ! -e /tmp/host-folder/x
ln -s / /srv/tree/tmp/up
check "a link to / is the container's /" ctrctl cp web:/tmp/up/etc/passwd passwd
check_equal "and its files" "$(cat /srv/tree/etc/passwd)" "$(cat passwd)"
mknod /srv/tree/tmp/fifo p
output=$(setpriv --reuid=65534 --regid=65534 --clear-groups ctrctl cp web:/etc/passwd /tmp/passwd 2>&1)
check_contains "who may not copy is told so" "ctrctl: " "$output"
check_equal "and nothing by tar" 0 "$(grep -c '^tar:' <<< "$output")"
check_status "a pipe is refused, not waited for" 2 timeout 10 ctrctl cp web:/tmp/fifo x
python3 - << 'PY'
import io, tarfile
with tarfile.open("evil.tar", "w") as tar:
    for name in ("ok", "../../escaped"):
        info = tarfile.TarInfo(name)
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
PY
send_evil() {
    python3 - << 'PY'
import os, dbus
fd = os.open("evil.tar", os.O_RDONLY)
manager = dbus.Interface(dbus.SystemBus().get_object("io.ctrd1", "/io/ctrd1"), "io.ctrd1.Manager")
manager.CopyToContainer("web", "/tmp/in", dbus.types.UnixFd(fd), dbus.Dictionary({}, signature="sv"))
PY
}
if python3 -c 'import dbus' 2> /dev/null; then
    check_status "a stream with .. in it is refused" 1 send_evil
    check_contains "by name" "leads upwards" "$output"
fi
check "it has not come out" test ! -e /srv/tree/escaped -a ! -e /escaped -a ! -e /tmp/escaped
rm -rf /tmp/host-file /tmp/host-folder

# --- mounts --------------------------------------------------------------------------------------------------------
mkdir /srv/shared
at_exit rm -rf /srv/shared
echo shared > /srv/shared/file
check "a folder of the host is mounted" ctrctl bind --mkdir web /srv/shared /mnt/shared
check_equal "and is there" shared "$(ctrctl exec -T web cat /mnt/shared/file)"
check_contains "without setuid and devices" "nosuid,nodev" "$(ctrctl exec -T web grep /mnt/shared /proc/mounts)"
check "read-only" ctrctl bind --mkdir --read-only web /srv/shared /mnt/ro
check_status "is so" 1 ctrctl exec -T web sh -c 'echo x > /mnt/ro/file'
check "a file" ctrctl bind --mkdir web /srv/shared/file /mnt/file
check_equal "is mounted on a file" shared "$(ctrctl exec -T web cat /mnt/file)"
check_status "without --mkdir the target has to be there" 1 ctrctl bind web /srv/shared /mnt/nosuch
check_contains "the message says so" "--mkdir" "$output"
ln -s /srv /srv/tree/mnt/link
ctrctl bind --mkdir web /srv/shared /mnt/link/bound
check "a target behind a link is in the container" sh -c '! grep -q /srv/bound /proc/mounts'
check_equal "no mount of it is on the host" 0 "$(grep -c '/srv/tree/mnt' /proc/mounts)"
ctrctl stop web

# --- the journal ---------------------------------------------------------------------------------------------------
journalctl --sync
check_contains "what it wrote has its name and source" "web /srv/tree" \
    "$(journalctl -o json -u ctr@web.service | jq -r 'select(.MESSAGE == "hello from web") | "\(.CTRD_NAME) \(.CTRD_IMAGE)"' | head -1)"
check_contains "logs for a script have, too" '"CTRD_NAME":"web"' "$(ctrctl logs web --json=short | grep 'hello from web' | head -1)"
events() { journalctl --sync; ctrctl events "$@" --json=short | jq -r '"\(.CTRD_EVENT) \(.CTRD_NAME)"' | xargs; }
check_contains "events tell of a life" \
    "declared web declared other started web paused web resumed web paused web ended web started web paused web ended web started web ended web" "$(events)"
check_equal "of one container only" "declared other" "$(events other)"
cursor=$(ctrctl events -n 1 --json=short | jq -r .__CURSOR)
ctrctl start other
check_equal "a cursor goes on where it was" "started other" "$(events --after-cursor="$cursor")"
check_equal "an event has the run's id, which is its invocation's" "$(property other InvocationID)" \
    "$(ctrctl events other -n 1 --json=short | jq -r .CTRD_ID)"
check_equal "and how it ended" "killed KILL" \
    "$(ctrctl events web --json=short | jq -r 'select(.CTRD_EXIT_CODE == "killed") | "\(.CTRD_EXIT_CODE) \(.CTRD_EXIT_STATUS)"' | tail -1)"
journalctl --update-catalog > /dev/null 2>&1
check_contains "journalctl -x explains them" "Container other is ready" "$(journalctl -x -u ctr@other.service -n 5)"
ctrctl stop other

# --- show and cat --------------------------------------------------------------------------------------------------
check_equal "show gives a property" "State=failed" "$(ctrctl show web -p State)"
check_equal "or its value alone" failed "$(ctrctl show web -p State --value)"
check_status "a property that is none is refused" 2 ctrctl show web -p Stat
mkdir -p /etc/ctrd/containers/web.toml.d
echo 'hostname = "drop-in"' > /etc/ctrd/containers/web.toml.d/10-name.conf.toml
check_contains "cat shows the file" 'rootfs = "/srv/tree"' "$(ctrctl cat web)"
check_contains "and its drop-ins" '# /etc/ctrd/containers/web.toml.d/10-name.conf.toml' "$(ctrctl cat web)"
rm -r /etc/ctrd/containers/web.toml.d
