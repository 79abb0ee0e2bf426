#!/bin/bash
# What a declared container may not do when nothing is said about it. Its rootfs is this machine's own files, for python.
. "$(dirname -- "$0")/lib.sh"

folder=/etc/ctrd/containers
mkdir -p "$folder" /srv/host
mount --bind / /srv/host
tidy() {
    systemctl stop 'ctr@*.service'
    rm -rf "${folder:?}"/* /tmp/probe cursor
    systemctl daemon-reload
    systemctl reset-failed 'ctr@*'
    umount /srv/host && rmdir /srv/host
}
at_exit tidy

mkdir -p /tmp/probe
cat > /tmp/probe/probe.py << 'PYTHON'
import ctypes, errno, os, socket, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(*arguments)
    print(name, errno.errorcode.get(ctypes.get_errno(), "done") if result == -1 else "done", flush=True)
def attempt(name, action):
    try:
        action()
        print(name, "done", flush=True)
    except OSError as error:
        print(name, errno.errorcode[error.errno], flush=True)
attempt("af_alg", lambda: socket.socket(38, socket.SOCK_SEQPACKET, 0))
attempt("af_vsock", lambda: socket.socket(40, socket.SOCK_STREAM, 0))
attempt("af_inet", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
attempt("af_packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
call("mount", 165, b"x", b"/tmp", b"tmpfs", 0, 0)
call("unshare_user", 272, 0x10000000)
call("unshare_files", 272, 0x400)
call("clone_user", 56, 0x10000011, 0, 0, 0, 0)
call("keyctl", 250, 0, -3, 0)
call("io_uring", 425, 1, 0)
call("bpf", 321, 0, 0, 0)
call("userfaultfd", 323, 1)
call("personality", 135, 0x0040000)
call("personality_query", 135, 0xffffffff)
attempt("fork", lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0))
attempt("cgroup", lambda: os.mkdir("/sys/fs/cgroup/x"))
attempt("sysctl", lambda: open("/proc/sys/kernel/hostname", "w"))
masked = [path for path in ("/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/timer_list") if os.path.exists(path)]
print("masked", all(open(path, "rb").read(1) == b"" for path in masked), flush=True)
for line in open("/proc/self/status"):
    if line.startswith(("CapInh", "CapEff", "CapBnd", "CapAmb", "Seccomp:")):
        print(*line.split(), flush=True)
PYTHON
run() { # LINE...: prints what the probe found
    {
        printf 'rootfs = "/srv/host"\ncommand = ["/usr/bin/python3", "/probe/probe.py"]\nstart = "manual"\n'
        printf '%s\n' "$@" '[[mount]]' 'source = "/tmp/probe"' 'target = "/probe"' 'read-only = true'
    } > "$folder/probe.toml"
    systemctl daemon-reload
    systemctl start ctr@probe.service
    wait_for 20 sh -c '! systemctl is-active --quiet ctr@probe.service'
    journalctl --sync
    journalctl --cursor-file=cursor --no-pager -o cat -t probe
}
found() { # NAME
    sed -n "s/^$1 //p" <<< "$report"
}

report=$(run)
check_contains "the probe runs" "Seccomp:" "$report"
check_equal "no AF_ALG socket" EAFNOSUPPORT "$(found af_alg)"
check_equal "no AF_VSOCK socket" EAFNOSUPPORT "$(found af_vsock)"
check_equal "a TCP socket" done "$(found af_inet)"
check_equal "no packet socket" EPERM "$(found af_packet)"
check_equal "no user namespace by unshare" EPERM "$(found unshare_user)"
check_equal "no user namespace by clone" EPERM "$(found clone_user)"
check_equal "unshare without a namespace" done "$(found unshare_files)"
check_equal "no keys" ENOSYS "$(found keyctl)"
for name in io_uring bpf userfaultfd mount personality; do
    check_equal "no $name" EPERM "$(found "$name")"
done
check_equal "asking for the personality" done "$(found personality_query)"
check_equal "other programs can be started" done "$(found fork)"
for name in cgroup sysctl; do
    check_equal "no writing to $name" EROFS "$(found "$name")"
done
check_equal "masked files are empty" True "$(found masked)"
check_equal "no inheritable capability" 0000000000000000 "$(found CapInh:)"
check_equal "the eleven common capabilities" 00000000800405fb "$(found CapEff:)"
check_equal "and none beyond them to be had" 00000000800405fb "$(found CapBnd:)"

report=$(run 'capabilities = ["SYS_ADMIN"]')
check_equal "who is given CAP_SYS_ADMIN may mount" done "$(found mount)"
check_equal "and still has no keys" ENOSYS "$(found keyctl)"
report=$(run 'seccomp = "unconfined"')
check_equal "without a profile there is no filter" 0 "$(found Seccomp:)"
