#!/bin/bash
# ctr-oci: the rarer properties of the runtime spec. Each is asked for, and seen from inside or outside.
. "$(dirname -- "$0")/lib.sh"

make_busybox_tree tree
mkdir bundle changed
ln -s ../tree bundle/rootfs
ln -s ../tree changed/rootfs
ctr-oci spec --bundle bundle
plain='.process.terminal = false | .process.noNewPrivileges = false | .root.readonly = false'

with() { # FILTER
    jq "$plain | $1" bundle/config.json > changed/config.json
}
shell() { # SCRIPT [FILTER]
    with ".process.args = [\"/bin/sh\", \"-c\", $(jq -Rs . <<< "$1")] | ${2:-.}"
    ctr-oci run --bundle changed t
}
see() { # SENTENCE EXPECTED SCRIPT [FILTER]
    check_equal "$1" "$2" "$(shell "$3" "${4:-.}" 2>&1)"
}
refuse() { # SENTENCE PART-OF-THE-MESSAGE FILTER
    check_status "$1" 1 shell 'echo ran' "$3"
    check_contains "and says why" "$2" "$output"
}
bind() { # SOURCE DESTINATION OPTION-LIST [MORE]: a filter
    echo ".mounts += [{\"destination\": \"$2\", \"type\": \"bind\", \"source\": \"$1\", \"options\": [$3]} ${4:-}]"
}

# --- hooks

cat > hook << 'END'
#!/bin/sh
# hook FILE NAME: appends what it sees.
fds= # 10: the script itself; 3: the folder that is being read
for fd in /proc/$$/fd/*; do fds="$fds ${fd##*/}"; done
state=$(cat)
{
    echo "$2 $(echo "$state" | jq -r '"\(.status) \(.id)"') env=$(tr '\0' ' ' < /proc/self/environ | tr -d '\n') fds=$fds"
    echo "$2 pid=$(echo "$state" | jq -r .pid) uts=$(hostname) mnt=$(readlink /proc/self/ns/mnt)"
} >> "$1"
END
chmod +x hook
kind() { # KIND PROGRAM [ARG...]: one hook of it, with a clean environment of its own
    local name=$1 path=$2
    shift 2
    jq -cn --arg kind "$name" --arg path "$path" '{($kind): [{path: $path, args: ($ARGS.positional | [$path] + .), env: ["A=1", "PATH=/usr/bin:/bin"]}]}' --args -- "$@"
}
hooks=$(for name in prestart createRuntime createContainer poststart poststop; do kind $name "$PWD/hook" "$PWD/seen" $name; done | jq -cs 'add')
start=$(kind startContainer /bin/touch /started)
with ".hooks = ($hooks + $start) | .hostname = \"inside\" | .process.args = [\"/bin/sleep\", \"1000\"]"
export SECRET=leaked
check "a container with hooks is created" ctr-oci create --bundle changed --pid-file pid hooked
check_equal "prestart, createRuntime and createContainer have run, in this order" "prestart createRuntime createContainer" \
    "$(grep ' creating hooked ' seen | cut -d' ' -f1 | xargs)"
check "startContainer has not" [ ! -e tree/started ]
check "it is started" ctr-oci start hooked
check "startContainer has run, its program out of the rootfs" [ -e tree/started ]
check_contains "poststart has run, and the state is running" "poststart running hooked" "$(cat seen)"
check_not_contains "poststop has not" poststop "$(cat seen)"
ctr-oci delete --force hooked
check_contains "poststop runs when it has been deleted, and the state is stopped" "poststop stopped hooked" "$(cat seen)"
check_contains "runtime hooks get the host's pid" "createRuntime pid=$(cat pid)" "$(cat seen)"
check_contains "container hooks the container's own" "createContainer pid=1" "$(cat seen)"
check_contains "runtime hooks are in the host's uts namespace" "createRuntime pid=$(cat pid) uts=$(hostname)" "$(cat seen)"
check_not_contains "container hooks in the container's mount namespace" "$(readlink /proc/self/ns/mnt)" "$(grep 'createContainer pid' seen)"
check_not_contains "a hook sees nothing of our environment" leaked "$(cat seen)"
# In another pid namespace the hook's own number finds nothing in the host's /proc.
check_equal "nor a descriptor that is not its own" " 0 1 10 2 3" "$(sed -n 's/.*fds=//p' seen | grep 0 | sort -u)"
unset SECRET

fails() { # KIND PROGRAM-SCRIPT: a filter with a hook that fails
    echo ".hooks = $(kind "$1" /bin/sh -c "$2") | .process.args = [\"/bin/touch\", \"/ran\"]"
}
for name in prestart createRuntime createContainer startContainer; do
    rm -f tree/ran
    with "$(fails $name 'echo not today >&2; exit 3')"
    check_status "a $name hook that fails ends the start" 1 ctr-oci run --bundle changed t
    check_contains "the message names it" "exited with status 3" "$output"
    check "the payload has not run" [ ! -e tree/ran ]
    check_equal "and nothing is left" "[]" "$(ctr-oci list --format json)"
done
check_contains "what a createRuntime hook said is in the message" "createRuntime hook '/bin/sh' exited with status 3: not today" \
    "$(with "$(fails createRuntime 'echo not today >&2; exit 3')"; ctr-oci run --bundle changed t 2>&1)"
with "$(fails poststart 'exit 3') | .process.args = [\"/bin/sleep\", \"1000\"]"
check_status "after a poststart hook that fails the container is stopped and gone" 1 ctr-oci run -d --bundle changed t
check_equal "nothing of it is left" "[]" "$(ctr-oci list --format json)"
with "$(fails poststop 'exit 3')"
check "a poststop hook that fails is a warning" ctr-oci run --bundle changed t
check_contains "which names it" "warning: poststop hook '/bin/sh' exited with status 3" "$output"
with ".hooks = {\"createRuntime\": [{\"path\": \"/bin/sleep\", \"args\": [\"sleep\", \"1000\"], \"timeout\": 1}]}"
check_status "a hook that takes longer than its timeout is killed" 1 ctr-oci run --bundle changed t
check_contains "and named" "did not end within 1 s" "$output"
refuse "a hook with a relative path is refused" "hooks.poststop[0].path is not an absolute path" '.hooks = {"poststop": [{"path": "x"}]}'
with ".hooks = $(kind createContainer /bin/sh -c "mount -t tmpfs hooked $PWD/tree/mnt && touch $PWD/tree/mnt/by-hook") | .process.args = [\"/bin/ls\", \"/mnt\"]"
mkdir -p tree/mnt
check_equal "what a createContainer hook mounts into the rootfs is there" by-hook "$(ctr-oci run --bundle changed t 2>&1)"

with ".hooks = $(kind startContainer /bin/sh -c 'echo $MARK > /mark' | jq -c 'del(.startContainer[0].env)') | .root.readonly = false | .process.env += [\"MARK=payload's\"] | .process.args = [\"/bin/cat\", \"/mark\"]"
check_equal "a startContainer hook without an environment has the payload's" "payload's" "$(ctr-oci run --bundle changed t 2>&1)"
with ".hooks = $(kind startContainer /bin/sh -c 'echo $MARK > /mark' | jq -c '.startContainer[0].env = ["MARK=own"]') | .root.readonly = false | .process.env += [\"MARK=payload's\"] | .process.args = [\"/bin/cat\", \"/mark\"]"
check_equal "one that has its own has no other" "own" "$(ctr-oci run --bundle changed t 2>&1)"
see "a hook's umask is not ours" "-rw-r--r--" 'ls -l /by-hook | cut -c1-10' \
    ".hooks = $(kind createContainer /bin/sh -c "echo x > $PWD/tree/by-hook")"
refuse "a hook is not shown to who owns its user namespace and shares its pids" "hooks.createContainer can't run" \
    ".hooks = $(kind createContainer /bin/true) | .linux.namespaces += [{\"type\": \"user\"}] | (.linux.namespaces[] | select(.type == \"pid\")).path = \"/proc/self/ns/pid\" | .linux.uidMappings = [{\"containerID\": 0, \"hostID\": 100000, \"size\": 10}] | .linux.gidMappings = .linux.uidMappings"

# --- mounts

mkdir -p tree/full/below
echo content > tree/full/below/file
ln -s below tree/full/link
chmod 2750 tree/full/below
chown 7:8 tree/full/below/file
see "tmpcopyup fills a tmpfs with what was there" "tmpfs content 7:8 drwxr-s--- below" \
    'echo $(stat -f -c %T /full) $(cat /full/below/file) $(stat -c %u:%g /full/below/file) $(stat -c %A /full/below) $(readlink /full/link)' \
    '.mounts += [{"destination": "/full", "type": "tmpfs", "source": "t", "options": ["tmpcopyup"]}]'
check_equal "and the rootfs' own stays what it was" content "$(cat tree/full/below/file)"
mkdir -p outer/inner
mount -t tmpfs inner outer/inner
at_exit umount "$PWD/outer/inner"
see "rro makes a whole tree read-only" "no no" \
    'for d in /o /o/inner; do touch $d/x 2> /dev/null && echo yes || echo no; done | xargs' "$(bind "$PWD/outer" /o '"rbind", "rro"')"
see "ro alone only its top" "no yes" \
    'for d in /o /o/inner; do touch $d/x 2> /dev/null && echo yes || echo no; done | xargs' "$(bind "$PWD/outer" /o '"rbind", "ro"')"
rm -f outer/inner/x
see "rnosuid and rnoexec reach below" "nosuid,noexec" \
    'grep " /o/inner " /proc/self/mountinfo | cut -d" " -f6 | grep -o "nosuid.*exec"' "$(bind "$PWD/outer" /o '"rbind", "rnosuid", "rnoexec"')"
see "a destination may be relative" "here" 'cat /rel/file' "$(bind "$PWD/data" rel '"bind"')" 2> /dev/null > /dev/null
mkdir data && echo here > data/file && chown 5:6 data/file
see "a relative destination is below the root" here 'cat /rel/file' "$(bind "$PWD/data" rel '"bind"')"
see "remount changes the options of what is mounted" "ro" 'grep " /rel " /proc/self/mountinfo | cut -d" " -f6 | cut -d, -f1' \
    "$(bind "$PWD/data" /rel '"bind"' ', {"destination": "/rel", "type": "none", "source": "none", "options": ["remount", "ro"]}')"
see "sync and dirsync are the file system's" "rw,sync,dirsync" \
    'grep " /t " /proc/self/mountinfo | sed "s/.* //" | cut -d, -f1-3' \
    '.mounts += [{"destination": "/t", "type": "tmpfs", "source": "t", "options": ["sync", "dirsync"]}]'
mapping='"uidMappings": [{"containerID": 5, "hostID": 1005, "size": 1}], "gidMappings": [{"containerID": 6, "hostID": 1006, "size": 1}]'
mapped=".mounts += [{\"destination\": \"/m\", \"type\": \"bind\", \"source\": \"$PWD/data\", \"options\": [\"bind\", \"idmap\"], $mapping}]"
see "an id-mapped mount shows other owners" "1005:1006" 'stat -c %u:%g /m/file' "$mapped"
user='.linux.namespaces += [{"type": "user"}] | .linux.uidMappings = [{"containerID": 0, "hostID": 100000, "size": 65536}] | .linux.gidMappings = .linux.uidMappings'
see "in a user namespace idmap takes the container's mappings" "5:6" 'stat -c %u:%g /m/file' \
    "$user | $(bind "$PWD/data" /m '"bind", "idmap"')"
unshare --user sleep 1000 &
mapping_holder=$!
at_exit kill "$mapping_holder"
until [ "$(readlink "/proc/$mapping_holder/ns/user")" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.05; done
for map in uid_map gid_map; do echo 0 100000 65536 > "/proc/$mapping_holder/$map"; done
see "and those of one that it joins" "5:6" 'stat -c %u:%g /m/file' \
    ".linux.namespaces += [{\"type\": \"user\", \"path\": \"/proc/$mapping_holder/ns/user\"}] | $(bind "$PWD/data" /m '"bind", "idmap"')"
see "whose files have no owner there without it" "65534:65534" 'stat -c %u:%g /m/file' \
    ".linux.namespaces += [{\"type\": \"user\", \"path\": \"/proc/$mapping_holder/ns/user\"}] | $(bind "$PWD/data" /m '"bind"')"
refuse "what is joined for its mappings is a user namespace" "is not a user namespace" \
    ".linux.namespaces += [{\"type\": \"user\", \"path\": \"/proc/$mapping_holder/ns/net\"}] | $(bind "$PWD/data" /m '"bind", "idmap"')"
refuse "and not the host's own" "Operation not permitted" \
    ".linux.namespaces += [{\"type\": \"user\", \"path\": \"/proc/self/ns/user\"}] | $(bind "$PWD/data" /m '"bind", "idmap"')"
refuse "idmap without any mappings is refused" "idmap needs mappings" "$(bind "$PWD/data" /m '"bind", "idmap"')"
refuse "uidMappings without gidMappings are refused" "go together" \
    ".mounts += [{\"destination\": \"/m\", \"type\": \"bind\", \"source\": \"$PWD/data\", \"options\": [\"bind\"], \"uidMappings\": [{\"containerID\": 0, \"hostID\": 1, \"size\": 1}]}]"

# --- namespaces

unshare -U sleep 1000 &
holder=$!
at_exit kill $holder
wait_for 5 sh -c "[ \"\$(readlink /proc/$holder/ns/user)\" != \"\$(readlink /proc/self/ns/user)\" ]"
echo "0 100000 65536" > /proc/$holder/uid_map
echo "0 100000 65536" > /proc/$holder/gid_map
see "an existing user namespace is joined" "$(readlink /proc/$holder/ns/user)" 'readlink /proc/self/ns/user' \
    ".linux.namespaces += [{\"type\": \"user\", \"path\": \"/proc/$holder/ns/user\"}]"
refuse "an existing mount namespace is not" "can't be joined" \
    "(.linux.namespaces[] | select(.type == \"mount\")).path = \"/proc/$holder/ns/mnt\""
refuse "a sysctl in the host's own namespace is refused, by whatever path it is joined" "is the host's own network namespace" \
    '(.linux.namespaces[] | select(.type == "network")).path = "/proc/1/ns/net" | .linux.sysctl = {"net.ipv4.ip_forward": "1"}'
see "a time namespace has its offsets" "yes" \
    "[ \$(cut -d. -f1 /proc/uptime) -gt 864000 ] && [ \$(cut -d. -f1 /proc/uptime) -lt 866000000 ] && echo yes" \
    '.linux.namespaces += [{"type": "time"}] | .linux.timeOffsets = {"boottime": {"secs": 864000}, "monotonic": {"secs": 100, "nanosecs": 5}}'
with ".hooks = $(kind createRuntime /bin/sh -c "readlink /proc/self/ns/time > $PWD/hook-time") | .linux.namespaces += [{\"type\": \"time\"}] | .process.args = [\"/bin/true\"]"
ctr-oci run --bundle changed t
check_equal "runtime hooks keep the host's time" "$(readlink /proc/self/ns/time)" "$(cat hook-time)"
refuse "offsets without a time namespace are refused" "need a new time namespace" '.linux.timeOffsets = {"boottime": {"secs": 1}}'
refuse "other clocks have none" "only the clocks monotonic and boottime" \
    '.linux.namespaces += [{"type": "time"}] | .linux.timeOffsets = {"realtime": {"secs": 1}}'
see "the domain name is the configuration's" "example.org" 'cat /proc/sys/kernel/domainname' '.domainname = "example.org"'

# --- network devices

if ip link add ctrtest0 type dummy 2> /dev/null || ip link add ctrtest0 type veth peer name ctrtest1 2> /dev/null; then
    at_exit ip link del ctrtest0
    ip addr add 192.0.2.7/24 dev ctrtest0
    ip -6 addr add 2001:db8::7/64 dev ctrtest0 nodad
    see "a network device moves into the container, renamed, up, with its addresses" "inside0 up 192.0.2.7/24 2001:db8::7/64" \
        'echo inside0 $(ip link show inside0 | grep -qE "[<,]UP" && echo up) $(ip addr show dev inside0 | grep -oE "(192|2001)[^ ]*")' \
        '.linux.netDevices = {"ctrtest0": {"name": "inside0"}}'
    wait_for 5 sh -c '! ip link show ctrtest1' # a veth goes with its peer, a moment later
    ip link add ctrtest0 type dummy 2> /dev/null || ip link add ctrtest0 type veth peer name ctrtest1
    refuse "a name that is taken in the container is refused" "has a device 'lo' already" '.linux.netDevices = {"ctrtest0": {"name": "lo"}}'
    check "and the device stays where it was" ip link show ctrtest0
    refuse "without a network namespace of its own there is nowhere to move" "need a network namespace" \
        '.linux.netDevices = {"ctrtest0": {}} | .linux.namespaces |= map(select(.type != "network")) | .mounts |= map(select(.type != "sysfs"))'
else
    skip "a network device moves into the container" "the kernel makes neither dummy nor veth devices"
fi
refuse "a device that is not there is named" "cannot find the device 'nosuch0'" '.linux.netDevices = {"nosuch0": {}}'
refuse "what is no device's name is refused" "is not a name of a network device" '.linux.netDevices = {"a/b": {}}'

# --- scheduling

see "the scheduler is the configuration's" "3 5" 'echo $(cut -d" " -f41,19 /proc/self/stat | { read nice policy; echo $policy $nice; })' \
    '.process.scheduler = {"policy": "SCHED_BATCH", "nice": 5}'
see "the io priority is the configuration's" "idle" 'ionice -p $$ | cut -d: -f1' '.process.ioPriority = {"class": "IOPRIO_CLASS_IDLE", "priority": 0}'
see "the memory policy is the configuration's" "bind:0" 'tail -1 /proc/self/numa_maps | cut -d" " -f2' \
    '.linux.memoryPolicy = {"mode": "MPOL_BIND", "nodes": "0"}'
see "the personality is the configuration's" "i686" 'uname -m' '.linux.personality = {"domain": "LINUX32"}'
refuse "an unknown policy is refused" "'SCHED_LUCK' is not one" '.process.scheduler = {"policy": "SCHED_LUCK"}'
refuse "a priority without real time is refused" "goes with SCHED_FIFO" '.process.scheduler = {"policy": "SCHED_OTHER", "priority": 3}'
refuse "an io priority above 7 is refused" "not between 0 and 7" '.process.ioPriority = {"class": "IOPRIO_CLASS_BE", "priority": 8}'
refuse "a list of nodes must be one" "is not a list of numbers" '.linux.memoryPolicy = {"mode": "MPOL_BIND", "nodes": "0-"}'

# --- seccomp with an agent

cat > agent.py << 'END'
# Listens, takes the descriptor, says what came with it, and answers each mkdir with EXDEV.
import array, ctypes, fcntl, json, os, socket, struct, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("ready", flush=True)
peer, _ = server.accept()
text, fds, _, _ = socket.recv_fds(peer, 65536, 4)
state = json.loads(text)
print(json.dumps({"fds": state["fds"], "n": len(fds), "metadata": state.get("metadata"), "id": state["state"]["id"]}), flush=True)
for _ in range(1):
    request = bytearray(80)
    fcntl.ioctl(fds[0], 0xC0502100, request)
    cookie, = struct.unpack_from("Q", request)
    fcntl.ioctl(fds[0], 0xC0182101, bytearray(struct.pack("QqiI", cookie, 0, -18, 0)))
END
python3 agent.py "$PWD/agent.sock" > agent.out 2>&1 &
agent=$!
wait_for 5 grep -q ready agent.out
notify=".linux.seccomp = {\"defaultAction\": \"SCMP_ACT_ALLOW\", \"architectures\": [\"SCMP_ARCH_X86_64\"], \"listenerPath\": \"$PWD/agent.sock\",
    \"listenerMetadata\": \"for you\", \"syscalls\": [{\"names\": [\"mkdir\", \"mkdirat\"], \"action\": \"SCMP_ACT_NOTIFY\"}]}"
see "an agent answers what a profile notifies of" "mkdir: can't create directory '/x': Invalid cross-device link" 'mkdir /x' "$notify"
check_equal "it was told of whom" '{"fds": ["seccompFd"], "n": 1, "metadata": "for you", "id": "t"}' "$(tail -1 agent.out)"
wait $agent
refuse "without an agent the start fails" "cannot connect to linux.seccomp.listenerPath" "$notify"
refuse "a rule that notifies needs a listener" "must be an absolute path" "$notify | del(.linux.seccomp.listenerPath)"
check_equal "a compiled profile is kept" 600 "$(stat -c %a /run/ctrd/seccomp/* | sort -u)"
cached=$(find /run/ctrd/seccomp -type f | head -1)
profile='.linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}'
denied="mkdir: can't create directory '/x': Function not implemented"
see "a profile is in force when it is compiled" "$denied" 'mkdir /x' "$profile"
see "and when it comes from there" "$denied" 'mkdir /x' "$profile"
for file in /run/ctrd/seccomp/*; do head -c 40 "$file" > short; cat short > "$file"; done
see "one that is damaged there is compiled again" "$denied" 'mkdir /x' "$profile"
chmod 666 /run/ctrd/seccomp/*
for file in /run/ctrd/seccomp/*; do printf 'x' | dd of="$file" bs=1 seek=$(($(stat -c %s "$file") - 8)) conv=notrunc status=none; done
see "one that others can write is not believed" "$denied" 'mkdir /x' "$profile"
rm -r /run/ctrd/seccomp
mkdir -m 777 /run/ctrd/seccomp
see "nor is a folder that others can write" "$denied" 'mkdir /x' "$profile"
check_equal "and nothing is put there" "" "$(ls /run/ctrd/seccomp)"
rm -r /run/ctrd/seccomp

# --- labels and other things that this host does not have

[ -d /sys/fs/selinux ] || refuse "an SELinux label is refused where SELinux is not enabled" "SELinux is not enabled" '.process.selinuxLabel = "system_u:system_r:container_t:s0"'
[ -d /sys/fs/selinux ] || refuse "so is a mount label" "SELinux is not enabled" '.linux.mountLabel = "system_u:object_r:container_file_t:s0"'
refuse "intelRdt is refused where there is no resctrl" "resctrl" '.linux.intelRdt = {"closID": "guaranteed"}'
refuse "a configuration of version 2 is refused" "ociVersion '2.0.0'" '.ociVersion = "2.0.0"'
see "one of version 1.3 is taken" ok 'echo ok' '.ociVersion = "1.3.0"'

# --- a cgroup belongs to one container

with '.process.args = ["/bin/sleep", "1000"] | .linux.cgroupsPath = "/shared"'
ctr-oci run -d --bundle changed first
ctr-oci kill first KILL
wait_for 5 sh -c '[ "$(ctr-oci state first | jq -r .status)" = stopped ]'
check "the cgroup of one that has stopped can be another's" ctr-oci run -d --bundle changed second
check "the first is deleted" ctr-oci delete first
check_equal "and the second runs on" running "$(ctr-oci state second | jq -r .status)"
check_status "while it runs nobody else gets its cgroup" 1 ctr-oci run -d --bundle changed third
check_status "an exec whose pid file can't be written has failed" 255 ctr-oci exec -d --pid-file /no/such/folder/pid second /bin/sleep 999
check_not_contains "and leaves nothing running" "sleep 999" "$(ctr-oci ps second)"
ctr-oci delete --force second
check "the cgroup is gone" [ ! -e /sys/fs/cgroup/shared ]
mkdir /sys/fs/cgroup/shared
echo 1 > /sys/fs/cgroup/shared/cgroup.freeze
check_status "a frozen cgroup is nobody's to start in" 1 ctr-oci run -d --bundle changed fourth
check_contains "and the message says why" "frozen: '/shared'" "$output"
rmdir /sys/fs/cgroup/shared

# --- names in a namespace of others

unshare --uts sleep 1000 &
sleeper=$!
at_exit kill "$sleeper"
wait_for 5 sh -c "[ \$(readlink /proc/$sleeper/ns/uts) != \$(readlink /proc/self/ns/uts) ]"
named='.hostname = "inside" | .linux.namespaces |= map(select(.type != "uts")) | .linux.namespaces +='
see "a uts namespace that is joined gets the configuration's host name" inside hostname "$named [{\"type\": \"uts\", \"path\": \"/proc/$sleeper/ns/uts\"}]"
check_equal "which is seen by who else is in it" inside "$(nsenter --uts="/proc/$sleeper/ns/uts" hostname)"
refuse "the host's own never does" "is the host's own uts namespace" "$named [{\"type\": \"uts\", \"path\": \"/proc/self/ns/uts\"}]"

# --- a working directory that the image has not

see "the working directory is made, in a read-only rootfs too" /new/folder pwd '.process.cwd = "/new/folder" | .root.readonly = true'

# --- capabilities that can't be granted: a warning, and the start goes on (config.md, process.capabilities)

wanted='.process.capabilities = {"bounding": ["CAP_KILL", "CAP_SYS_TIME", "CAP_CHWON"], "permitted": ["CAP_KILL", "CAP_SYS_TIME", "CAP_CHWON"],
    "effective": ["CAP_KILL", "CAP_SYS_TIME"], "ambient": ["CAP_CHWON"]} | .process.args = ["/bin/grep", "-E", "Cap(Eff|Bnd|Amb)", "/proc/self/status"]'
sets() { # GLOBAL-OPTION...: effective, bounding, ambient
    ctr-oci "$@" run --bundle changed t 2> warnings | cut -f2 | xargs
}
with "$wanted"
check_equal "a capability that nobody knows is left out" "0000000002000020 0000000002000020 0000000000000000" "$(sets)"
check_equal "with a warning" "ctr-oci: warning: process.capabilities: left out, since they have no meaning here: CAP_CHWON" "$(cat warnings)"
check_equal "which goes into the log instead, where there is one" "0000000002000020 0000000002000020 0000000000000000 " \
    "$(sets --log log --log-format json) $(cat warnings)"
check_equal "as a warning" "warning CAP_CHWON" "$(jq -r '.level + " " + (.msg | sub(".*: "; ""))' log)"
lacking() { setpriv --bounding-set -sys_time --inh-caps -sys_time bash -c "$(declare -f sets); sets"; }
check_equal "one that we lack ourselves is left out, too" "0000000000000020 0000000000000020 0000000000000000" "$(lacking)"
check_contains "with a warning" "left out, since we lack them ourselves: CAP_SYS_TIME" "$(cat warnings)"
with "$wanted | .linux.namespaces += [{\"type\": \"user\"}] | .linux.uidMappings = [{\"containerID\": 0, \"hostID\": 0, \"size\": 10}] | .linux.gidMappings = .linux.uidMappings"
check_equal "in a user namespace of its own it is not lacking" "0000000002000020 0000000002000020 0000000000000000" "$(lacking)"
check_not_contains "and not warned of" CAP_SYS_TIME "$(cat warnings)"
with '.process.args = ["/bin/sleep", "1000"]'
check "in a container" ctr-oci run --detach --bundle changed t
jq "$wanted | .process" changed/config.json > process.json
check_equal "exec --process leaves it out as well" "0000000002000020 0000000002000020 0000000000000000" \
    "$(ctr-oci exec --process process.json t 2> warnings | cut -f2 | xargs)"
check_contains "with a warning" "no meaning here: CAP_CHWON" "$(cat warnings)"
ctr-oci exec t true 2> warnings
check_equal "an exec of a command does not repeat those of the container" "" "$(cat warnings)"
ctr-oci delete --force t

# --- mount points that an image has as links to what is not there, as many have for /etc/resolv.conf

echo "nameserver 192.0.2.1" > resolv
ln -sf ../run/systemd/resolve/stub-resolv.conf tree/etc/resolv.conf
rm -rf tree/run
see "a file is bound on what a link leads to, though it is not there" "nameserver 192.0.2.1" "cat /run/systemd/resolve/stub-resolv.conf" \
    "$(bind "$PWD/resolv" /etc/resolv.conf '"bind"')"
ln -s /gone/below tree/jump
see "a folder, too" "tmpfs" "stat -f -c %T /gone/below/tmp" '.mounts += [{"destination": "/jump/tmp", "type": "tmpfs", "source": "tmpfs"}]'
check "both are made in the rootfs" test -f tree/run/systemd/resolve/stub-resolv.conf -a -d tree/gone/below/tmp
check "and nothing is made on the host" test ! -e /gone
rm -rf tree/etc/resolv.conf tree/jump tree/gone tree/run

# --- what configurations repeat

see "a path that is masked twice is masked once" 1 "grep -c ' /proc/keys ' /proc/self/mountinfo" '.linux.maskedPaths += ["/proc/keys", "/proc/keys"]'
see "a configuration may name /dev/ptmx, which is there already" "5 2" 'stat -L -c "%t %T" /dev/ptmx' \
    '.linux.devices = [{"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2}]'

# --- a terminal whose output is read from a pipe

plain='.process.noNewPrivileges = false | .root.readonly = false' # bundle/config.json has terminal: true
check_equal "lines of a terminal end in a pipe as the payload has written them" "6f 6e 65 0a" "$(shell 'echo one' | od -An -tx1 | xargs)"
