#!/bin/bash
# ctr-oci: what a bundle asks for is what its payload sees.
. "$(dirname -- "$0")/lib.sh"

make_busybox_tree tree
mkdir bundle
ln -s ../tree bundle/rootfs
ctr-oci spec --bundle bundle

# with FILTER: changed/config.json is the bundle's, changed by the filter.
with() {
    mkdir -p changed
    ln -sfn ../tree changed/rootfs
    jq "$1" bundle/config.json > changed/config.json
}
plain='.process.terminal = false | .process.noNewPrivileges = false'
shell() { # SCRIPT [FILTER]
    with "$plain | .process.args = [\"/bin/sh\", \"-c\", $(jq -Rs . <<< "$1")] | ${2:-.}"
    ctr-oci run --bundle changed t
}
see() { # SENTENCE EXPECTED SCRIPT [FILTER]
    check_equal "$1" "$2" "$(shell "$3" "${4:-.}" 2>&1)"
}

see "the payload is PID 1 of its own pid namespace" 1 'echo $$'
see "the host name is the configuration's" alpha 'hostname' '.hostname = "alpha"'
see "the network namespace has loopback up and nothing else" "lo 1" 'echo $(ls /sys/class/net) $(cat /sys/class/net/lo/carrier)'
see "standard devices are there and are devices" "cccccc" \
    'for d in null zero full random urandom tty; do [ -c /dev/$d ] && printf c; done; echo'
see "/dev/ptmx is the container's own" "pts/ptmx" 'readlink /dev/ptmx'
see "masked files read as empty, masked folders have nothing in them" "0 0" \
    'echo $(cat /proc/keys | wc -c) $(ls /sys/firmware | wc -l)'
see "a read-only path can't be written" "read-only" 'echo 1 2> /dev/null > /proc/sys/net/ipv4/ip_forward || echo read-only'
see "the rootfs is read-only where the configuration says so" "read-only" 'touch /x 2> /dev/null || echo read-only'
see "user, group, umask and supplementary groups are the configuration's" "5:6 0027 6 7 8" \
    'echo $(id -u):$(id -g) $(umask) $(id -G)' '.process.user = {"uid": 5, "gid": 6, "umask": 23, "additionalGids": [7, 8]}'
see "without capabilities in the configuration there are none" "0000000000000000" \
    'grep CapEff /proc/self/status | cut -f2' 'del(.process.capabilities)'
check_equal "capabilities are the configuration's, and none is inheritable" "0000000000000020 0000000000000000" \
    "$(shell 'echo $(grep CapBnd /proc/self/status | cut -f2) $(grep CapInh /proc/self/status | cut -f2)' \
    '.process.capabilities = {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"], "inheritable": ["CAP_KILL"]}' 2> warnings)"
check_contains "with a warning about the latter" "left out of inheritable, since ambient and permitted don't hold them: CAP_KILL" "$(cat warnings)"
see "resource limits are the configuration's" "100 200" 'echo $(ulimit -S -n) $(ulimit -H -n)' \
    '.process.rlimits = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]'
see "no_new_privs is set where the configuration says so" "1" 'grep NoNewPrivs /proc/self/status | cut -f2' \
    '.process.noNewPrivileges = true'
see "the environment is the configuration's, HOME of the image's /etc/passwd, and nothing else" "A=b HOME=/root PATH=/bin" '/bin/busybox env | grep -v -e ^PWD -e ^SHLVL | sort | xargs' \
    '.process.env = ["PATH=/bin", "A=b"]'
see "of a variable that is given twice the last counts, and an empty HOME is none" "A=2 HOME=/root PATH=/bin" \
    'tr "\\0" "\\n" < /proc/$$/environ | sort | xargs' '.process.env = ["PATH=/x", "A=1", "HOME=", "A=2", "PATH=/bin"]'
see "the working directory is made where it is missing" "/made/here" 'pwd' '.process.cwd = "/made/here" | .root.readonly = false'
profile='.linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]} | .root.readonly = false'
see "a seccomp profile is in force" "mkdir: can't create directory '/x': Function not implemented" 'mkdir /x' "$profile"
see "also with no_new_privs" "mkdir: can't create directory '/x': Function not implemented" 'mkdir /x' \
    "$profile | .process.noNewPrivileges = true"
see "oom_score_adj is the configuration's" "77" 'cat /proc/self/oom_score_adj' '.process.oomScoreAdj = 77'
see "sysctls of the container's own namespaces are set" "1" 'cat /proc/sys/net/ipv4/ip_forward' '.linux.sysctl = {"net.ipv4.ip_forward": "1"}'
mkdir -p data && echo here > data/file
see "a bind mount shows the host's folder, read-only where it says so" "here read-only" \
    'echo $(cat /data/file) $(touch /data/x 2> /dev/null || echo read-only)' \
    ".mounts += [{\"destination\": \"/data\", \"type\": \"bind\", \"source\": \"$PWD/data\", \"options\": [\"bind\", \"ro\"]}] | .root.readonly = false"
see "a single file can be bound" "here" 'cat /a/file' \
    ".mounts += [{\"destination\": \"/a/file\", \"type\": \"bind\", \"source\": \"$PWD/data/file\", \"options\": [\"bind\"]}] | .root.readonly = false"
mkdir -p tree/srv tree/final && ln -s $PWD/data tree/srv/out
see "a source in the rootfs is what earlier mounts have made of it" "here" 'cat /final/file' \
    ".mounts += [{\"destination\": \"/srv\", \"type\": \"bind\", \"source\": \"$PWD/data\", \"options\": [\"rbind\"]},
    {\"destination\": \"/final\", \"type\": \"bind\", \"source\": \"$PWD/changed/rootfs/srv\", \"options\": [\"rbind\", \"ro\"]}] | .root.readonly = false"
check_contains "[bind_from_inside: open_existing] and a link in it leads nowhere else" "srv/out' on '/final': No such file" \
    "$(shell true ".mounts += [{\"destination\": \"/final\", \"type\": \"bind\", \"source\": \"$PWD/changed/rootfs/srv/out\", \"options\": [\"rbind\"]}]" 2>&1)"
see "a tmpfs has its size and mode" "drwx--x--x 64" \
    'echo $(ls -ld /t | cut -c1-10) $(df -k /t | tail -1 | xargs | cut -d" " -f2)' \
    '.mounts += [{"destination": "/t", "type": "tmpfs", "source": "t", "options": ["mode=711", "size=64k"]}] | .root.readonly = false'
mkdir -m 2751 tree/moded
see "a tmpfs that is not told its mode has that of the folder that it hides, or else its own" "drwxr-s--x drwxrwxrwt" \
    'echo $(ls -ld /moded | cut -c1-10) $(ls -ld /not-there-yet | cut -c1-10)' \
    '.mounts += [{"destination": "/moded", "type": "tmpfs", "source": "t"}, {"destination": "/not-there-yet", "type": "tmpfs", "source": "t"}]
    | .root.readonly = false'
see "and says so" "mode=2751" 'grep " /moded " /proc/self/mounts | grep -o mode=2751' \
    '.mounts += [{"destination": "/moded", "type": "tmpfs", "source": "t"}]'
see "a destination may have the rootfs' own path before it" "here" 'cat /srv/file' \
    ".mounts += [{\"destination\": \"$PWD/changed/rootfs/srv\", \"type\": \"bind\", \"source\": \"$PWD/data\", \"options\": [\"bind\"]}]"
see "a read-only tmpfs is one mount, with what was mounted in it" "1 ro, refused here" \
    'echo $(grep -c " /t " /proc/self/mountinfo) $(grep " /t " /proc/self/mountinfo | cut -d" " -f6 | cut -c1-3) $(touch /t/x 2> /dev/null || echo refused) $(cat /t/in/file)' \
    ".mounts += [{\"destination\": \"/t\", \"type\": \"tmpfs\", \"source\": \"t\", \"options\": [\"ro\"]},
    {\"destination\": \"/t/in\", \"type\": \"bind\", \"source\": \"$PWD/data\", \"options\": [\"bind\"]}] | .root.readonly = false"
see "mount flags are the configuration's" "nosuid,nodev,noexec" \
    'grep " /t " /proc/self/mountinfo | cut -d" " -f6 | cut -d, -f2-4' \
    '.mounts += [{"destination": "/t", "type": "tmpfs", "source": "t", "options": ["nosuid", "nodev", "noexec"]}] | .root.readonly = false'
see "in a user namespace root is somebody else outside" "0 100000 65536" 'cat /proc/self/uid_map | xargs' \
    '.linux.namespaces += [{"type": "user"}] | .linux.uidMappings = [{"containerID": 0, "hostID": 100000, "size": 65536}] | .linux.gidMappings = .linux.uidMappings'
ip netns add joined
at_exit ip netns del joined
ip -n joined link add dummy7 type dummy 2> /dev/null || ip -n joined link add dummy7 type bridge 2> /dev/null
see "an existing network namespace is joined" "$(ip netns exec joined readlink /proc/self/ns/net)" 'readlink /proc/self/ns/net' \
    '(.linux.namespaces[] | select(.type == "network")).path = "/run/netns/joined"'
see "the cgroup is the container's own, and / inside its cgroup namespace" "0::/" 'grep ^0:: /proc/self/cgroup'
see "nothing of the host's descriptors reaches the payload" "0 1 2 3" 'ls /proc/self/fd | xargs' # 3: ls itself
check_status "the exit status is the payload's" 7 shell 'exit 7'
check_status "a signal's end is 128 and its number" 137 shell 'kill -9 $$; sleep 1; sh -c "kill -9 1"; exit 137'

# A security label that goes into a file of the image instead of the kernel would be no label (CVE-2019-16884).
mkdir -p tree/proc/self/attr/apparmor tree/proc/1/attr/apparmor
touch tree/proc/{self,1}/attr/exec tree/proc/{self,1}/attr/apparmor/exec
fake='.mounts |= map(select(.destination != "/proc")) | .linux.maskedPaths = [] | .linux.readonlyPaths = [] | .root.readonly = false'
check_status "an image's own /proc takes no AppArmor profile" 1 shell 'echo ran' "$fake | .process.apparmorProfile = \"unconfined-or-not\""
check_contains "the start is refused" "cannot set the AppArmor profile" "$output"
check_equal "and nothing was written into the image" "" "$(cat tree/proc/{self,1}/attr/exec tree/proc/{self,1}/attr/apparmor/exec)"
rm -r tree/proc/self tree/proc/1

# create, start, state, kill, delete
with "$plain | .process.args = [\"/bin/sleep\", \"1000\"]"
check "create stops before the payload" ctr-oci create --bundle changed --pid-file pid life
check_equal "the state is created" created "$(ctr-oci state life | jq -r .status)"
check_equal "the pid file holds the pid" "$(ctr-oci state life | jq .pid)" "$(cat pid)"
check_not_contains "the payload does not run yet" sleep "$(tr '\0' ' ' < "/proc/$(cat pid)/cmdline")"
check_status "a second container of that name is refused" 1 ctr-oci create --bundle changed life
check_contains "and the message says what to do" "delete life" "$output"
check "start runs it" ctr-oci start life
check_contains "now the payload runs" "sleep" "$(tr '\0' ' ' < "/proc/$(cat pid)/cmdline")"
check_equal "the state is running" running "$(ctr-oci state life | jq -r .status)"
check_status "a second start is refused" 1 ctr-oci start life
check_status "a running container is not deleted without --force" 1 ctr-oci delete life
check "kill sends a signal" ctr-oci kill life KILL
wait_for 5 test "$(ctr-oci state life | jq -r .status)" = stopped
check_equal "the state is stopped" stopped "$(ctr-oci state life | jq -r .status)"
check_status "a stopped container can't be signalled" 1 ctr-oci kill life TERM
check "delete removes it" ctr-oci delete life
check_status "a deleted container has no state" 1 ctr-oci state life
check_equal "list is empty" "[]" "$(ctr-oci list --format json)"
cp tree/bin/busybox tree/bin/late
with "$plain | .process.args = [\"/bin/late\"]"
ctr-oci create --bundle changed missing
rm tree/bin/late
check_status "start says that the program is missing, if it is only since create" 1 ctr-oci start missing
check_contains "by name" "cannot run '/bin/late': No such file or directory" "$output"
ctr-oci delete --force missing

# our own binary (CVE-2019-5736): a container's process that still runs it must be no way to write to it
check_contains "--version says which" "ctr-oci version" "$(ctr-oci --version)"
check_contains "--help lists the commands" "Commands:" "$(ctr-oci --help)"
with "$plain | .process.args = [\"/bin/true\"]"
ctr-oci create --bundle changed --pid-file pid self
cat > write-self.py << 'PYTHON'
import errno, os, subprocess, sys
held = os.open(f"/proc/{sys.argv[1]}/exe", os.O_PATH)
subprocess.run(["ctr-oci", "delete", "--force", "self"], check=True)
try:
    os.open(f"/proc/self/fd/{held}", os.O_WRONLY)
except OSError as error:
    sys.exit(0 if error.errno == errno.EROFS else f"refused, but with {error}")
sys.exit("it could be opened for writing")
PYTHON
check "nobody can write to ctr-oci through /proc/PID/exe" python3 write-self.py "$(cat pid)"
# A kernel without checkpoint and restore knows no PR_SET_MM_MAP: here a filter answers as it does.
cat > no-set-mm.py << 'PYTHON'
import ctypes, os, struct, sys
code = b"".join(struct.pack("HBBI", *each) for each in (
    (0x20, 0, 0, 0), (0x15, 0, 3, 157),  # prctl on x86-64
    (0x20, 0, 0, 16), (0x15, 0, 1, 35),  # of PR_SET_MM
    (0x06, 0, 0, 0x00050016), (0x06, 0, 0, 0x7fff0000)))  # EINVAL, else allowed
held = ctypes.create_string_buffer(code)
program = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(held))
if ctypes.CDLL(None, use_errno=True).prctl(22, 2, program, 0, 0):
    sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])
PYTHON
check "without PR_SET_MM_MAP ctr-oci works, too" python3 no-set-mm.py ctr-oci create --bundle changed --pid-file pid self
check "nor can anybody write to it there" python3 write-self.py "$(cat pid)"
check "an empty environment is none the worse" env -i "$(command -v ctr-oci)" create --bundle changed --pid-file pid self
check "for writing neither" python3 write-self.py "$(cat pid)"

# terminal
# The hook holds ctr-oci back before it relays: the size must have been there before the payload.
with '.process.terminal = true | .process.args = ["/bin/sh", "-c", "tty; test -c /dev/console && stty size; exit 3"] | .process.noNewPrivileges = false
    | .process.consoleSize = {"height": 5, "width": 6} | .hooks.poststart = [{"path": "/bin/sleep", "args": ["sleep", "1"]}]'
check_status "a terminal of the container's own is given to the payload" 3 script -qec 'stty rows 33 cols 44; ctr-oci run --bundle changed term' /dev/null
check_contains "with its name" "/dev/pts/0" "$output"
check_contains "and the size of ours, whatever the configuration says" "33 44" "$output"
check_status "without a size of ours it is the configuration's" 3 script -qec 'stty rows 0 cols 0; ctr-oci run --bundle changed term' /dev/null
check_contains "from the first moment on" "5 6" "$output"
check_status "a terminal without anywhere to send it is refused" 1 ctr-oci create --bundle changed term

# leftovers
check_equal "no record is left" "" "$(ls /run/ctr-oci 2> /dev/null)"
check "no cgroup is left" test ! -e /sys/fs/cgroup/ctr-oci
