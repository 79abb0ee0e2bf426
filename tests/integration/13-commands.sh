#!/bin/bash
# ctr-oci's commands besides create, start, state, kill and delete (10-oci.sh); limits are in tests/vm/10-limits.sh.
. "$(dirname -- "$0")/lib.sh"

make_busybox_tree tree
cp -- "$CTRD_BUILD/tests/init/payload" tree/bin/payload 2> /dev/null
mkdir bundle
ln -s ../tree bundle/rootfs
ctr-oci spec --bundle bundle
cp bundle/config.json plain.json
# make FILTER: bundle/config.json is a container that sleeps, changed by the filter.
make() {
    jq ".process.terminal = false | .process.args = [\"/bin/sleep\", \"1000\"] | ${1:-.}" plain.json > bundle/config.json
}
# running ID [FILTER [OPTION...]]: a container that sleeps.
running() {
    local id=$1
    make "${2:-.}"
    shift; [ $# -eq 0 ] || shift
    at_exit ctr-oci delete --force "$id"
    ctr-oci run --detach --bundle bundle "$@" "$id"
}
in_c() { # OPTION-OR-ARGUMENT...
    ctr-oci exec "$@" 2>&1
}

# exec: the container's own rights
running c '.process.user = {uid: 5, gid: 6, additionalGids: [7], umask: 23} | .process.env += ["A=old", "B=kept"] | .process.cwd = "/tmp"
    | .process.rlimits = [{type: "RLIMIT_NOFILE", soft: 100, hard: 200}] | .process.oomScoreAdj = 77 | .hostname = "inside"
    | .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 38}]}'
check_equal "exec runs a command in the container" inside "$(in_c c hostname)"
check_equal "as the container's user" "5:6 6 7" "$(in_c c sh -c 'echo $(id -u):$(id -g) $(id -G)')"
check_equal "with its umask, folder and limits" "0027 /tmp 100 200 77" \
    "$(in_c c sh -c 'echo $(umask) $(pwd) $(ulimit -S -n) $(ulimit -H -n) $(cat /proc/self/oom_score_adj)')"
check_equal "with its environment" "A=old B=kept" "$(in_c c sh -c 'env | grep -e ^A= -e ^B= | sort | xargs')"
check_equal "with its bounding set and nothing inheritable" "0000000020000420 0000000000000000" \
    "$(in_c c sh -c 'echo $(grep CapBnd /proc/self/status | cut -f2) $(grep CapInh /proc/self/status | cut -f2)')"
check_equal "under its seccomp profile" "mkdir: can't create directory '/tmp/x': Function not implemented" "$(in_c c mkdir /tmp/x)"
check_equal "also the second time, when the profile is compiled already" "mkdir: can't create directory '/tmp/x': Function not implemented" \
    "$(in_c c mkdir /tmp/x)"
for ns in user mnt net ipc uts cgroup pid time; do
    check_equal "in its $ns namespace" "$(readlink "/proc/$(ctr-oci state c | jq .pid)/ns/$ns")" "$(in_c c readlink /proc/self/ns/$ns)"
done
check_equal "in its cgroup" "0::/" "$(in_c c grep ^0:: /proc/self/cgroup)"
check_equal "with none of our descriptors" "0 1 2 3" "$(in_c c ls /proc/self/fd | xargs)"
check_equal "with our stdin" "HELLO" "$(echo hello | ctr-oci exec c tr a-z A-Z)"

# exec: what the command line changes
check_equal "exec --user --additional-gids" "1:2 2 7 8" "$(in_c --user 1:2 --additional-gids 8 c sh -c 'echo $(id -u):$(id -g) $(id -G)')"
check_equal "exec --user without a group keeps the group" "1:6" "$(in_c -u 1 c sh -c 'echo $(id -u):$(id -g)')"
for user in root "1000:" "+0" " 0" "0x0" 4294967295 "1:2:3"; do
    check_status "exec --user '$user' is refused" 255 ctr-oci exec --user "$user" c true
done
check_equal "exec --env replaces and adds" "A=new B=kept C=1" "$(in_c -e A=new --env C=1 c sh -c 'env | grep ^[ABC]= | sort | xargs')"
check_equal "exec --cwd" /etc "$(in_c --cwd /etc c pwd)"
check_status "exec --cwd does not make folders" 255 ctr-oci exec --cwd /nonesuch c pwd
check_equal "exec --cap adds to the bounding set, and to nothing inheritable" "0000000020000421 0000000000000000 0000000000000000" \
    "$(in_c --cap CAP_CHOWN c sh -c 'for s in Bnd Inh Amb; do grep Cap$s /proc/self/status | cut -f2; done | xargs')"
check_equal "and root has it" "0000000020000421" "$(in_c --user 0:0 --cap CAP_CHOWN c sh -c 'grep CapEff /proc/self/status | cut -f2')"
check_equal "exec --no-new-privs=false" "0" "$(in_c --no-new-privs=false c sh -c 'grep NoNewPrivs /proc/self/status | cut -f2')"
jq '.process | .args = ["/bin/sh", "-c", "echo $X $(id -u)"] | .env = ["PATH=/bin", "X=file"] | .user = {uid: 9, gid: 9}' bundle/config.json > process.json
check_equal "exec --process" "file 9" "$(in_c --process process.json c)"
check_equal "and the command line changes it" "line 1" "$(in_c --process process.json -e X=line --user 1 c)"
check_equal "exec --process takes a pipe" "file 9" "$(in_c --process <(cat process.json) c)"
check_status "a process that is neither a file nor a pipe is refused" 255 ctr-oci exec --process /dev/null c
check_status "a process and a command are one too many" 255 ctr-oci exec --process process.json c true
exec 5< <(echo passed)
check_equal "exec --preserve-fds" "passed" "$(ctr-oci exec --preserve-fds 3 c sh -c 'cat <&5' 3< /dev/null 4< /dev/null)"
exec 5<&-

if [ "$(nproc)" -ge 2 ]; then
    jq '.args = ["/bin/grep", "Cpus_allowed_list", "/proc/self/status"] | .execCPUAffinity = {initial: "0", final: "1"}' process.json > affinity.json
    check_equal "exec on the processors that execCPUAffinity.final names" "Cpus_allowed_list: 1" "$(in_c --process affinity.json c | xargs)"
    jq '.execCPUAffinity = {initial: "0"}' affinity.json > initial.json
    check_equal "or on those of initial" "Cpus_allowed_list: 0" "$(in_c --process initial.json c | xargs)"
else
    skip "exec on the processors that execCPUAffinity names" "there is only one"
fi
jq '.execCPUAffinity = {final: "4000"}' process.json > affinity.json
check_status "a processor that is not there is refused" 255 ctr-oci exec --process affinity.json c

# exec: status and signals
check_status "exec ends with the command's status" 5 ctr-oci exec c sh -c 'exit 5'
check_status "and with 128 and the signal's number" 137 ctr-oci exec c sh -c 'kill -9 $$'
check_status "a missing program is 255" 255 ctr-oci exec c nonesuch
check_contains "with its name" "cannot run 'nonesuch' (looked for in the container's PATH): No such file or directory" "$output"
check_status "a program that may not be executed is 255" 255 ctr-oci exec c /etc/passwd
check_contains "with the reason" "cannot run '/etc/passwd': Permission denied" "$output"
ctr-oci exec c sh -c 'trap "echo got it; exit 3" USR1; echo ready; while :; do sleep 0.05; done' > signalled &
waiting=$!
wait_for 5 grep -q ready signalled
kill -USR1 $waiting
wait $waiting
check_equal "a signal for exec is the process'" "3 ready got it" "$? $(xargs < signalled)"
ctr-oci exec c sleep 321 &
waiting=$!
wait_for 5 pgrep -f 'sleep 321'
kill -KILL $waiting
check "a process that nobody waits for any more ends" wait_for 5 sh -c '! pgrep -f "[s]leep 321"'

# exec --detach
check "exec --detach returns at once" timeout 5 ctr-oci exec --detach --pid-file pid c sleep 322
check_contains "and writes the pid" "322" "$(tr '\0' ' ' < "/proc/$(cat pid)/cmdline")"
check_contains "ps shows it" "sleep 322" "$(ctr-oci ps c)"
check_contains "ps takes ps' own options" "sleep" "$(ctr-oci ps c -e -o pid,comm)"
check_equal "ps --format json is pids" true "$(ctr-oci ps --format json c | jq "index($(cat pid)) != null and length == 2")"
kill "$(cat pid)"

# ps of what has ended
running ended
ctr-oci kill ended KILL
wait_for 10 sh -c '[ "$(ctr-oci state ended | jq -r .status)" = stopped ]'
check_status "ps of a stopped container is no error" 0 ctr-oci ps --format json ended
check_equal "and lists nothing" "[]" "$output"
check_status "a --root that is named and not there is an error of list" 1 ctr-oci --root "$PWD/nonesuch" list
ctr-oci delete ended

# terminals
check_status "exec -t gives a terminal" 4 script -qec "stty rows 31 cols 41; ctr-oci exec -t c sh -c 'tty; stty size; exit 4'" /dev/null
check_contains "of the container" "/dev/pts/" "$output"
check_contains "with the size of ours" "31 41" "$output"
cat > receive.py << 'PYTHON'
import array, os, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(sys.argv[1])
listener.listen(1)
print("listening", flush=True)
connection, _ = listener.accept()
data, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
fd = array.array("i", ancillary[0][2])[0]
if sys.argv[2] == "pidfd":
    print([line for line in open(f"/proc/self/fdinfo/{fd}") if line.startswith("Pid:")][0].split()[1])
else:
    text = b""
    while b"done" not in text:
        text += os.read(fd, 100)
    print(text.decode().strip())
PYTHON
receive() { # SOCKET KIND OUTPUT
    rm -f "$1" "$3"
    python3 receive.py "$1" "$2" > "$3" &
    wait_for 5 grep -q listening "$3"
}
receive tty.sock terminal received
check "exec --detach --tty sends the terminal to --console-socket" ctr-oci exec --detach --tty --console-socket tty.sock c sh -c 'tty; echo done; sleep 1'
wait $!
check_contains "which is the container's" "/dev/pts/" "$(< received)"
check_status "a terminal for nobody is refused" 255 ctr-oci exec --detach --tty c true
receive pidfd.sock pidfd received
check "exec --pidfd-socket sends a pidfd" ctr-oci exec --detach --pid-file pid --pidfd-socket pidfd.sock c sleep 323
wait $!
check_equal "of the process" "$(cat pid)" "$(tail -1 received)"

# where a folder of the host may never be reached (CVE-2024-21626)
for n in $(seq 3 40); do
    for cwd in "/proc/self/fd/$n" "/proc/self/fd/$n/../../.." "/proc/1/fd/$n"; do
        in_c --user 0:0 --cwd "$cwd" c ls / > seen && grep -q ctrd seen && echo "$cwd" >> reached
    done
done
check "no descriptor as working directory leads to the host" test ! -e reached

# pause and resume
check "kill 0 asks whether a container is there" ctr-oci kill c 0
check "pause" ctr-oci pause c
check_equal "the state is paused" paused "$(ctr-oci state c | jq -r .status)"
check_equal "and so it is in the list" paused "$(ctr-oci list --format json | jq -r '.[] | select(.id == "c").status')"
check_status "exec in a paused container is refused" 255 ctr-oci exec c true
check_contains "with a way out" "--ignore-paused" "$output"
ctr-oci exec --ignore-paused c sh -c 'echo after' > late &
waiting=$!
sleep 0.3
check_equal "with --ignore-paused it waits" "" "$(< late)"
check "resume" ctr-oci resume c
wait $waiting
check_equal "and goes on when the container does" "after" "$(< late)"
check_status "a container that is not paused can't be resumed" 1 ctr-oci resume c
ctr-oci pause c
check "a paused container can be killed" ctr-oci kill c KILL
check "and ends" wait_for 5 sh -c '[ "$(ctr-oci state c | jq -r .status)" = stopped ]'
for command in "exec c true" "pause c" "resume c" "events --stats c" "update --pids-limit 5 c"; do
    # shellcheck disable=SC2086
    ctr-oci $command > refused 2>&1
    check_contains "'$command' in a stopped container is refused, in containerd's words" "container not running" "$(< refused)"
done
check "kill --all of a stopped container is no error" ctr-oci kill --all c KILL
check_status "without --all it is one" 1 ctr-oci kill c TERM
check_contains "in containerd's words" "container not running" "$output"
ctr-oci delete c

# other kinds of containers
make
at_exit ctr-oci delete --force n
ctr-oci create --bundle bundle n
check "exec in a created container" ctr-oci exec n true
ctr-oci delete --force n
running u '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
    | .linux.gidMappings = .linux.uidMappings | .linux.personality = {domain: "LINUX32"} | .linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: 1000000}}'
check_equal "exec in a user namespace" "0 100000 65536" "$(in_c u cat /proc/self/uid_map | xargs)"
check_equal "as its root" "0" "$(in_c u id -u)"
ctr-oci exec --detach --pid-file pid u sleep 324 > /dev/null
check_equal "who is somebody else outside" 100000 "$(stat -c %u "/proc/$(cat pid)")"
check_equal "exec has the container's personality" "i686 i686" "$(in_c u uname -m) $(in_c u uname -m)"
check_equal "exec in a time namespace" yes "$(in_c u sh -c '[ $(cut -d. -f1 /proc/uptime) -ge 1000000 ] && echo yes')"
check_status "exec -t in a user namespace" 0 script -qec "ctr-oci exec -t u tty" /dev/null
ctr-oci delete --force u
running p '.linux.namespaces |= map(select(.type != "pid"))'
leader=$(ctr-oci state p | jq .pid)
ctr-oci exec --detach p sleep 325
check "exec in a container with the host's pids" pgrep -f 'sleep 325'
check "kill KILL ends everything in a container with the host's pids" ctr-oci kill p KILL
check "also what its first process would not have taken along" wait_for 5 sh -c "! pgrep -f '[s]leep 325' && ! kill -0 $leader"
ctr-oci delete p

# cgroups below the container's
running g '.mounts |= map(if .destination == "/sys/fs/cgroup" then .options -= ["ro"] else . end)'
check_status "exec --cgroup of none that is there is refused" 255 ctr-oci exec --cgroup sub g true
in_c g mkdir /sys/fs/cgroup/sub
check_equal "exec --cgroup" "0::/sub" "$(in_c --cgroup sub g grep ^0:: /proc/self/cgroup)"
check_equal "with a slash too" "0::/sub" "$(in_c --cgroup /sub g grep ^0:: /proc/self/cgroup)"
check_status "it can't lead out" 255 ctr-oci exec --cgroup ../.. g true
check_status "a controller is none of cgroup v2's" 255 ctr-oci exec --cgroup cpu:sub g true
ctr-oci delete --force g

# events, features, list, spec
running e
check_equal "events --stats prints statistics" "stats e" "$(ctr-oci events --stats e | jq -r '"\(.type) \(.id)"')"
check_equal "in runc's shape" "blkio cpu cpuset hugetlb intel_rdt memory network_interfaces pids" \
    "$(ctr-oci events --stats e | jq -r '.data | keys | join(" ")')"
check_equal "with numbers" true "$(ctr-oci events --stats e | jq '.data | .pids.current == 1 and .cpu.usage.total > 0')"
ctr-oci events --interval 100ms e > stream &
waiting=$!
check "events prints them again and again" wait_for 5 sh -c '[ $(wc -l < stream) -ge 3 ]'
ctr-oci kill e KILL
check "and ends with the container" wait_for 5 sh -c "! kill -0 $waiting"
ctr-oci delete e
check_equal "features says what is supported" "1.0.0 1.3.0 false true" \
    "$(ctr-oci features | jq -r '"\(.ociVersionMin) \(.ociVersionMax) \(.linux.cgroup.v1) \(.linux.cgroup.v2)"')"
running l1
running l2
check_equal "list has runc's columns" "ID PID STATUS BUNDLE CREATED OWNER" "$(ctr-oci list | head -1 | xargs)"
check_equal "and a line for each" "l1 running l2 running" "$(ctr-oci list | tail -n +2 | awk '{print $1, $3}' | xargs)"
check_equal "list -q is ids" "l1 l2" "$(ctr-oci list -q | xargs)"
check_equal "state has runc's members" "annotations bundle created id ociVersion owner pid rootfs status" \
    "$(ctr-oci state l1 | jq -r 'keys | join(" ")')"
check "kill --regex" ctr-oci kill --regex '^l[0-9]$' KILL
check "is for all that match" wait_for 5 sh -c '[ "$(ctr-oci list --format json | jq "map(select(.status == \"stopped\")) | length")" = 2 ]'
check "delete --regex" ctr-oci delete --regex '^l'
check_equal "too" "" "$(ctr-oci list -q)"
mkdir user
check "spec --rootless" ctr-oci spec --rootless --bundle user
check_equal "has a user namespace and no limits" "true null" "$(jq -r '"\([.linux.namespaces[].type] | index("user") != null) \(.linux.resources)"' user/config.json)"

# options of a start
make '.process.args = ["/bin/sh", "-c", "ls -d /ctrd /bin/busybox 2> /dev/null; readlink -f /proc/1/root; cd ../../..; pwd"]'
check_equal "--no-pivot changes the root all the same" "/bin/busybox / /" "$(ctr-oci run --no-pivot --bundle bundle f | xargs)"
make '.hooks.createRuntime = [{path: "/bin/true"}]'
ctr-oci run --detach --no-pivot --bundle bundle f
check_equal "also where hooks saw it, and for an exec" "/bin/busybox" "$(ctr-oci exec f sh -c 'ls -d /ctrd /bin/busybox 2> /dev/null')"
ctr-oci delete --force f
make '.process.args = ["/bin/sh", "-c", "echo $LISTEN_FDS $LISTEN_PID; cat <&3"]'
exec 3< <(echo passed)
check_equal "sockets of a service manager are passed on" "1 1 passed" \
    "$(env LISTEN_FDS=1 LISTEN_PID=1 ctr-oci run --bundle bundle f | xargs)"
exec 3<&-
make '.process.args = ["/bin/echo", "other"]'
mv bundle/config.json other.json
check_equal "--config names another file" "other" "$(ctr-oci run --bundle bundle --config other.json f)"
make '.process.args = ["/bin/true"]'
check "run --keep" ctr-oci run --keep --bundle bundle f
check_equal "keeps the container" stopped "$(ctr-oci state f | jq -r .status)"
ctr-oci delete f
receive pidfd.sock pidfd received
check "create --pidfd-socket" ctr-oci create --bundle bundle --pidfd-socket pidfd.sock --pid-file pid f
wait $!
check_equal "sends a pidfd of the first process" "$(cat pid)" "$(tail -1 received)"
ctr-oci delete --force f
is_stopped() { [ "$(ctr-oci state "$1" | jq -r .status)" = stopped ]; }
for signal in TERM INT HUP QUIT; do
    ctr-oci create --bundle bundle f
    ctr-oci kill f $signal
    check "a created container is ended by SIG$signal" wait_for 60 is_stopped f
    ctr-oci delete --force f
done
make '.process.args = ["/bin/sh", "-c", "trap \"exit 7\" TERM; grep -E \"^Sig(Cgt|Blk|Ign)\" /proc/$$/status; exit 0"]'
check_equal "what it caught meanwhile is not caught any more" "$(ctr-oci run --bundle bundle f)" \
    "$(ctr-oci create --bundle bundle f > created-out && ctr-oci start f && wait_for 60 is_stopped f && cat created-out; ctr-oci delete f)"
make '.process.args = ["/bin/true"]'
ctr-oci --log log.json --log-format json run --bundle nonesuch f > /dev/null 2>&1
check_contains "an error is in the log, as JSON" "bundle 'nonesuch': No such file or directory" "$(jq -r 'select(.level == "error").msg' log.json)"
ctr-oci --log log.json --log-format json create --nonesuch f > /dev/null 2>&1
check_contains "a wrong option too" "unknown option 'nonesuch'" "$(tail -1 log.json | jq -r .msg)"
ctr-oci --log log.json --log-format json state nonesuch > /dev/null 2>&1
check_contains "a container that is not there, in Podman's words" "does not exist" "$(tail -1 log.json | jq -r .msg)"

# create: what start could only fail at
creates() { # FILTER
    make "$1"
    ctr-oci create --bundle bundle f
}
ln -s nonesuch tree/bin/dangling
ln -s /proc/self/root/nonesuch tree/bin/magic
for program in /nonesuch nonesuch ./nonesuch /bin/dangling /bin/sh/x; do
    check_status "create fails at once for '$program'" 1 creates ".process.args = [\"$program\"]"
    check_contains "in words that callers look for" "executable file not found" "$output"
    check_contains "and others look for" "No such file or directory" "$output"
done
for program in /bin /etc/passwd; do
    check_status "and for '$program', which is no program" 1 creates ".process.args = [\"$program\"]"
    check_contains "with another reason" "permission denied" "$output"
done
check_status "nothing is left of it" 1 ctr-oci state f
check "a program is found in the PATH, or below the working directory" creates '.process.args = ["bin/true"] | .process.cwd = "/"'
ctr-oci delete --force f
# [RESOLVE_NO_MAGICLINKS] At that time descriptors of the host are still open.
check "what is behind a magic link is not looked for" creates '.process.args = ["magic"]'
ctr-oci delete --force f
check "a startContainer hook may still bring the program" creates '.process.args = ["/nonesuch"] | .hooks.startContainer = [{path: "/bin/true"}]'
ctr-oci delete --force f

# Devices without rules; the test bed itself may open fuse.
open_fuse() { # FILTER
    make "del(.linux.resources) | .process.args = [\"/bin/sh\", \"-c\", \"test -e /dev/fuse || mknod /dev/fuse c 10 229; : 3<> /dev/fuse && echo open\"] |
        .process.capabilities |= map_values(. + [\"CAP_MKNOD\"]) | $1"
    ctr-oci run --bundle bundle f 2>&1
}
check_contains "without rules no other device can be opened" "Operation not permitted" "$(open_fuse .)"
check_equal "than those of the configuration" open "$(open_fuse '.linux.devices = [{type: "c", path: "/dev/fuse", major: 10, minor: 229}]')"

check_equal "no record is left" "" "$(ls /run/ctr-oci 2> /dev/null)"
