#!/usr/bin/env python3
"""ctr-run exec, as ctrd calls it: the request in a memory file on descriptor 3, a console socket on 4."""
import array
import json
import os
import signal
import socket
import subprocess
import time

NAME = "exec"
TREE = os.path.join(os.getcwd(), "tree")


def report(good, sentence, detail=""):
    print(("ok - " if good else "not ok - ") + sentence, flush=True)
    if not good:
        print("    " + str(detail), flush=True)


def systemctl(*arguments):
    return subprocess.run(["systemctl", *arguments], capture_output=True, text=True).stdout.strip()


def declare():
    os.makedirs("/etc/ctrd/containers", exist_ok=True)
    subprocess.run(["bash", "-c", f'. "$CTRD_SOURCE/tests/integration/lib.sh"; make_busybox_tree "{TREE}"; '
                                  f'echo "web:x:33:34::/srv/web:/bin/sh" >> "{TREE}/etc/passwd"; '
                                  f'echo "extra:x:77:web" >> "{TREE}/etc/group"; mkdir -p "{TREE}/srv/web"'], check=True)
    with open(f"/etc/ctrd/containers/{NAME}.toml", "w") as file:
        file.write(f'rootfs = "{TREE}"\ncommand = ["/bin/sleep", "1000"]\nstart = "manual"\n[environment]\nMODE = "plain"\n')
    systemctl("daemon-reload")
    systemctl("start", f"ctr@{NAME}.service")


def start_time(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[19])


def spawn(request, console=None):
    memory = os.memfd_create("request", 0)
    os.write(memory, json.dumps(request).encode())
    os.lseek(memory, 0, os.SEEK_SET)

    def arrange():
        # High numbers first, so that neither is overwritten before it is copied.
        high = os.dup(memory) + 20
        os.dup2(memory, high)
        if console is not None:
            os.dup2(console.fileno(), high + 1)
            os.dup2(high + 1, 4)
        os.dup2(high, 3)
        os.closerange(5, 64)

    process = subprocess.Popen(["/usr/lib/ctrd/ctr-run", "exec", NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, preexec_fn=arrange, close_fds=False, text=True,
                               env={"PATH": os.environ["PATH"]}, cwd="/", start_new_session=True)
    os.close(memory)
    return process


def run(args, stdin="", **changes):
    process = spawn({"leader": leader, "leader_start": leader_start, "args": args, "env": [], "user": "", "cwd": "",
                     "terminal": False, **changes})
    out, err = process.communicate(stdin, timeout=20)
    return process.returncode, out, err


declare()
leader = int(systemctl("show", "--value", "-p", "MainPID", f"ctr@{NAME}.service"))
leader_start = start_time(leader)
try:
    code, out, err = run(["cat"], "through\n")
    report((code, out) == (0, "through\n"), "stdin and stdout are the caller's own", (code, out, err))
    code, out, err = run(["sh", "-c", "echo to stderr >&2; exit 42"])
    report((code, err) == (42, "to stderr\n"), "the exit code and stderr come back", (code, err))
    code, out, err = run(["sh", "-c", "kill -9 $$"])
    report(code == 137, "a signal comes back as 128 + its number", code)
    code, out, err = run(["sh", "-c", "readlink /proc/1/exe; cat /proc/self/cgroup; hostname"])
    report("busybox" in out and out.splitlines()[-1] == NAME, "it runs in the container's namespaces", out)
    with open(f"/proc/{leader}/status") as file:
        wanted = [line for line in file if line.startswith(("Cap", "NoNewPrivs", "Seccomp:"))]
    code, out, err = run(["cat", "/proc/self/status"])
    report(all(line in out for line in wanted), "it has the container's own capabilities and seccomp, no more", (wanted, out))
    code, out, err = run(["sh", "-c", "echo $MODE $MORE"], env=["MORE=yes"])
    report(out == "plain yes\n", "the request's environment is added to the container's", out)
    code, out, err = run(["sh", "-c", "id -u; id -g; id -G; echo $HOME; pwd"], user="web", cwd="/srv")
    report(out.split("\n")[:2] == ["33", "34"] and "77" in out and "/srv/web\n/srv\n" in out,
           "a user is looked up in the rootfs, with groups and home; the folder is the request's", out)
    code, out, err = run(["true"], user="nobody-such")
    report(code == 125 and "no user 'nobody-such'" in err, "a user that is not there ends with 125", (code, err))
    code, out, err = run(["no-such-command"])
    report(code == 127 and "cannot run 'no-such-command'" in err, "a command that is not there ends with 127", (code, err))
    code, out, err = run(["/etc/passwd"])
    report(code == 126, "a file that can't be executed ends with 126", (code, err))
    code, out, err = run(["true"], leader_start=leader_start + 1)
    report(code == 125 and "has ended" in err, "a leader that is another process by now ends with 125", (code, err))
    code, out, err = run(["true"], leader=os.getpid(), leader_start=start_time(os.getpid()))
    report(code == 125, "a leader that is not of this container ends with 125", (code, err))

    request = {"leader": leader, "leader_start": leader_start, "args": ["sleep", "999"], "env": [], "user": "", "cwd": "",
               "terminal": False}
    process = spawn(request)
    sleeping = f"/sys/fs/cgroup/machine.slice/ctr@{NAME}.service/payload/cgroup.procs"
    until = time.time() + 5
    while len(open(sleeping).read().split()) < 2 and time.time() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    report(process.wait(5) == 143, "SIGTERM ends it with 143", process.returncode)
    report(open(sleeping).read().split() == [str(leader)], "and the process is gone", open(sleeping).read())

    process = spawn({**request, "args": ["sleep", "1001"]})
    until = time.monotonic() + 5
    while len(open(sleeping).read().split()) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    found = len(open(sleeping).read().split())
    process.kill()
    process.wait(5)
    until = time.monotonic() + 5
    while len(open(sleeping).read().split()) > 1 and time.monotonic() < until:
        time.sleep(0.02)
    report(found == 2 and open(sleeping).read().split() == [str(leader)],
           "SIGKILL of ctr-run leaves no process behind either", open(sleeping).read())

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    process = spawn({**request, "args": ["sh", "-c", "tty; stty size; exit 5"], "terminal": True}, theirs)
    theirs.close()
    ours.settimeout(10)
    message, ancillary, _, _ = ours.recvmsg(4096, socket.CMSG_LEN(4))
    master = array.array("i", ancillary[0][2][:4])[0]
    text = b""
    try:
        while chunk := os.read(master, 4096):
            text += chunk
    except OSError:
        pass
    report(process.wait(10) == 5 and b"/dev/" in text, "with a console socket it gets a terminal of the container's", text)
finally:
    systemctl("stop", f"ctr@{NAME}.service")
    os.unlink(f"/etc/ctrd/containers/{NAME}.toml")
    systemctl("daemon-reload")
