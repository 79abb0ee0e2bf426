#!/usr/bin/env python3
"""warm-pool = N: of a container for each connection, N wait, made before, and each accepts one connection itself."""
import atexit
import errno
import glob
import json
import os
import shutil
import signal
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from standby import *  # noqa: E402,F403

SYSTEM = make_system_tree()
SAY_FD3 = """
import os, socket
one = socket.socket(fileno=3)
words = [os.environ["LISTEN_FDS"], os.environ["LISTEN_FDNAMES"], str(int(os.environ["LISTEN_PID"]) == os.getpid()),
         os.environ["REMOTE_ADDR"], str(one.getpeername()[1] == int(os.environ["REMOTE_PORT"])), str(os.getpid()),
         ",".join(sorted(os.listdir("/proc/self/fd")))]
one.sendall((" ".join(words) + "\\n").encode())
"""
SAY_STDIO = """
import os, sys
print(os.environ.get("REMOTE_ADDR"), "REMOTE_PORT" in os.environ, os.environ.get("WORD"), os.stat("/").st_uid, os.getpid(), flush=True)
sys.stdin.readline()
"""
OUT = """
import ctypes, socket, struct, sys
def say(what, fd, address):
    result = ctypes.CDLL(None, use_errno=True).connect(fd, address, len(address))
    answers.append(f"{what} {ctypes.get_errno() if result else 0}")
answers = []
again = sys.stdin.fileno()
say("unspec", again, struct.pack("16s", b""))
say("connect", again, struct.pack("=H", 2) + struct.pack("!H", 8350) + bytes([127, 0, 0, 1]) + bytes(8))
print(" ".join(answers), file=sys.stderr)
"""
for name, text in (("passed", SAY_FD3), ("said", SAY_STDIO), ("out", OUT)):
    write_below(SYSTEM, f"/etc/{name}.py", text)


def make_small_tree(path):
    """Busybox, where no overlay is: the kernel can't map the owners of one."""
    for folder in ("bin", "dev", "proc", "sys", "tmp", "etc"):
        os.makedirs(f"{path}/{folder}")
    shutil.copy("/bin/busybox", f"{path}/bin")
    for name in ("sh", "cat"):
        os.symlink("busybox", f"{path}/bin/{name}")
    atexit.register(shutil.rmtree, path, True)
    return path


def container(name, command, port, more="warm-pool = 2", socket_lines="", listen=None, rootfs=SYSTEM):
    declare(name, f'rootfs = "{rootfs}"\ncommand = {command}\n{more}\n[[socket]]\nlisten = "{listen or f"127.0.0.1:{port}"}"\n'
                  f'accept = true\n{socket_lines}\n')


def python(script):
    return f'["/usr/bin/python3", "/etc/{script}.py"]'


def instances(name):
    """Units, each with whether it waits."""
    units = run("systemctl", "list-units", "--no-legend", "--plain", f"ctr-{name}@*.service").split("\n")
    names = [line.split()[0] for line in units if line]
    return {one: run("systemctl", "show", "--value", "-p", "StatusText", one) == "Waiting for a connection" for one in names}


def wait(name, number=2, connected=0):
    """Until so many wait."""
    return wait_for(60, lambda: sorted(instances(name).values()) == [False] * connected + [True] * number)


def leader(unit_name):
    return int(run("systemctl", "show", "--value", "-p", "MainPID", unit_name))


def open_to(port, address="127.0.0.1"):
    one = socket.create_connection((address, port), 60)
    one.settimeout(60)
    return one


def line_of(one):
    got = b""
    while not got.endswith(b"\n") and (data := one.recv(4096)):
        got += data
    return got.decode()


def echo(one, text=b"hello\n"):
    one.sendall(text)
    return line_of(one).encode() == text


def outcome_at(port):
    """Of who comes to one that can't be started."""
    try:
        ask(port, patience=60)
        return "an end of file"
    except ConnectionResetError:
        return "reset"


def log(name):
    run("journalctl", "--sync")
    return run("journalctl", "--no-pager", "-o", "cat", f"CTRD_NAME={name}")


def apply(*names):
    done = subprocess.run(["ctrctl", "apply", *names], capture_output=True, text=True)
    return done.stdout + done.stderr


UNIX = "/run/ctrd-warm.sock"
container("echo", '["/bin/cat"]', 8340)
said = apply()
report("listening on 127.0.0.1:8340" in said, "'apply' makes its socket", said)
report(wait("echo"), "and two containers wait", instances("echo"))

# --- one connection

before = instances("echo")
leaders = {one: leader(one) for one in before}
report(all(os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt") for pid in leaders.values()), "each in namespaces of its own")
report(all("/cat" not in os.readlink(f"/proc/{pid}/exe") for pid in leaders.values()), "without their program")
rows = next(row for row in json.loads(run("ctrctl", "list", "--json")) if row["name"] == "echo")
report(rows["state"] == "listening" and sorted(one["state"] for one in rows["instances"]) == ["created", "created"],
       "'ctrctl list' shows them as created", rows)
report("waits for a connection" in run("ctrctl", "status", "echo"), "so does 'ctrctl status'", run("ctrctl", "status", "echo"))
with open_to(8340) as one:
    report(echo(one), "a connection is answered")
    taken = [unit for unit in before if not instances("echo").get(unit, True)]
    report(len(taken) == 1 and os.readlink(f"/proc/{leaders[taken[0]]}/exe").endswith("/cat"), "by one that had waited", (before, instances("echo")))
    report(wait("echo", 2, 1), "and then two wait again", instances("echo"))
    procs = run("systemctl", "show", "--value", "-p", "ControlGroup", taken[0])
    report(wait_for(20, lambda: not open(f"/sys/fs/cgroup{procs}/cgroup.procs").read()), "no process of ours stays beside it")
    with open_to(8340) as two:
        report(echo(two, b"second\n"), "a second connection has a second container")
    one.shutdown(socket.SHUT_WR)
    report(one.recv(10) == b"", "the end of what the client says ends the program, and the connection")
report(wait("echo"), "what has ended is forgotten, and two wait", instances("echo"))
report(run("systemctl", "is-active", "ctr-echo.socket") == "active" and "failed" not in run("systemctl", "list-units", "--all", "--plain", "--no-legend", "ctr-echo*"),
       "nothing has failed")

results = []


def one_of_many(number):
    try:
        with open_to(8340) as one:
            results.append(echo(one, b"%d\n" % number))
    except OSError as error:
        results.append(repr(error))


for _ in range(10):
    threads = [threading.Thread(target=one_of_many, args=(i,)) for i in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
report(results == [True] * 300, "thirty at once, ten times, are answered, of whom two find somebody waiting", [one for one in results if one is not True])
report(wait("echo"), "and afterwards two wait", instances("echo"))

# --- who is connected

container("passed", python("passed"), 8341, socket_lines='deliver = "pass"')
container("said", python("said"), 8342, listen="[::]:8342")
container("path", python("said"), 0, listen=UNIX)
apply()
words = line_of(open_to(8341)).split()
report(words == ["1", "connection", "True", "127.0.0.1", "True", "1", "0,1,2,3,4"],
       "deliver = \"pass\" gives the connection as descriptor 3 and no other, with LISTEN_FDS, LISTEN_PID and REMOTE_ADDR", words)
with open_to(8342) as one:
    report(line_of(one).split()[:2] == ["127.0.0.1", "True"], "an IPv4 client of an IPv6 socket is known by its own address")
with open_to(8342, "::1") as one:
    report(line_of(one).split()[:2] == ["::1", "True"], "an IPv6 client by its")
with socket.socket(socket.AF_UNIX) as one:
    one.settimeout(60)
    one.connect(UNIX)
    report(line_of(one).split()[:2] == ["None", "False"], "and one of a path by none")

# --- as root of nothing

small = make_small_tree("/var/lib/containers/warm")
container("private", '["/bin/sh", "-c", "echo $REMOTE_ADDR here; read word"]', 8343, more="warm-pool = 1\nprivate-users = true", rootfs=small)
apply()
wait("private", 1)
with open_to(8343) as one:
    words = line_of(one).split()
    maps = [open(f"/proc/{leader(unit)}/uid_map").read().split()[1] for unit, waits in instances("private").items() if not waits]
    report(words == ["127.0.0.1", "here"] and maps and maps[0] != "0", "with private-users it waits in its user namespace", (words, maps))

# --- limits

container("few", '["/bin/cat"]', 8344, more="warm-pool = 1", socket_lines="max-connections = 2")
apply()
with open_to(8344) as one, open_to(8344) as two:
    report(echo(one) and echo(two), "max-connections = 2 lets two in")
    three = open_to(8344)
    three.settimeout(2)
    try:
        three.sendall(b"late\n")
        early = three.recv(10)
    except TimeoutError:
        early = None
    report(early is None and len(instances("few")) == 2, "a third one waits", (early, instances("few")))
three.settimeout(60)
report(line_of(three) == "late\n", "until one has left")
three.close()

# --- what fails

container("broken", '["/bin/nothing-of-the-kind"]', 8345, more="warm-pool = 1")
apply()
# systemd sees the end as well; where it is faster, and ends ctr-run before that has said so, the client sees an end of file.
outcomes = [outcome_at(8345) for _ in range(4)]
report("reset" in outcomes, "who is given to a program that can't be started is reset", outcomes)
report("nothing-of-the-kind" in log("broken"), "and the journal says why")

tree = make_small_tree("/var/lib/containers/shortlived")
container("gone", '["/bin/cat"]', 8346, more="warm-pool = 1", rootfs=tree)
apply()
wait("gone", 1)
os.rename(tree, tree + ".away")
with open_to(8346) as one:
    report(echo(one), "when none can be made any more, the one that waits is there for a client")
    wait_for(60, lambda: not any(instances("gone").values()))
for _ in range(3):
    outcome = outcome_at(8346)
report(outcome == "reset", "who comes while none can be made is reset, not left to hang", outcome)
count = log("gone").count("cannot")
time.sleep(5)
report(log("gone").count("cannot") - count <= 4, "and nothing spins", log("gone")[-2000:])
report(run("systemctl", "is-active", "ctr-gone.socket") == "active", "its port stays open")
os.rename(tree + ".away", tree)
with open_to(8346) as one:
    report(echo(one), "when it can be made again, clients are answered")
report(wait("gone", 1), "and one waits", (instances("gone"), log("gone")[-1500:]))

os.makedirs("/srv/later")
container("late", '["/bin/cat"]', 8348, more="warm-pool = 1\nuser = \"late\"", rootfs="/srv/later")
run("systemctl", "daemon-reload")
run("systemctl", "start", "ctr-late.socket")
report(not os.path.exists("/run/ctrd/compiled/late/config.json"), "one whose files come later has no config yet")
outcomes = [outcome_at(8348) for _ in range(2)]
report(outcomes == ["reset", "reset"], "who comes too early is reset", outcomes)
count = log("late").count("no user")
time.sleep(5)
report(log("late").count("no user") - count <= 2, "and nothing spins", log("late")[-2000:])
shutil.copytree(small, "/srv/later", symlinks=True, dirs_exist_ok=True)
write_below("/srv/later", "/etc/passwd", "late:x:7:7::/:/bin/sh\n")
with open_to(8348) as one:
    report(echo(one), "who comes when they are there is answered", log("late")[-2000:])
report(wait("late", 1), "and another one waits", instances("late"))

# --- killed while they wait

victim, pid = next((unit, leader(unit)) for unit, waits in instances("echo").items() if waits)
os.kill(pid, signal.SIGKILL)
report(wait_for(60, lambda: victim not in instances("echo")) and wait("echo"), "one whose process is killed is replaced", instances("echo"))
victim = next(unit for unit, waits in instances("echo").items() if waits)
group = run("systemctl", "show", "--value", "-p", "ControlGroup", victim)
helper = int(open(f"/sys/fs/cgroup{group}/cgroup.procs").read().split()[0])
os.kill(helper, signal.SIGKILL)
report(wait_for(60, lambda: victim not in instances("echo")) and wait("echo"), "so is one whose ctr-run is killed", instances("echo"))
run("systemctl", "stop", next(iter(instances("echo"))))
report(wait("echo"), "so is one that is stopped", instances("echo"))
with open_to(8340) as one:
    report(echo(one), "and clients are answered")
run("systemctl", "stop", "ctrd.service")
with open_to(8340) as one:
    report(echo(one) and wait("echo", 2, 1), "nothing of it needs ctrd", instances("echo"))
run("systemctl", "start", "ctrd.service")

open_to(8340).close()
report(wait("echo"), "one who goes at once uses one up", instances("echo"))

# --- apply

kept = open_to(8342)
words = line_of(kept).split()
container("said", python("said"), 8342, listen="[::]:8342", more='warm-pool = 3\nenvironment = { WORD = "new" }')
said = apply("said")
report("those that wait for a connection are made anew" in said, "'apply' says what becomes of them", said)
report(wait("said", 3, 1), "after it three of the new kind wait", instances("said"))
with open_to(8342) as one:
    report(line_of(one).split()[2] == "new", "and answer as they are declared now")
kept.sendall(b"\n")
report(kept.recv(10) == b"", "who was connected was not disturbed")
kept.close()

outcomes = []
over = threading.Event()


def keep_coming():
    while not over.is_set():
        try:
            with open_to(8342) as one:
                outcomes.append(line_of(one).split()[1] == "True")
        except OSError as error:
            outcomes.append(error)


threads = [threading.Thread(target=keep_coming) for _ in range(2)]
for thread in threads:
    thread.start()
for turn in range(5):
    container("said", python("said"), 8342, listen="[::]:8342", more=f'warm-pool = 3\nenvironment = {{ WORD = "{turn}" }}')
    apply("said")
over.set()
for thread in threads:
    thread.join()
report(len(outcomes) > 20 and set(outcomes) == {True}, f"of {len(outcomes)} who come while it is changed five times none is lost",
       [one for one in outcomes if one is not True])

# --- its socket is stopped

kept = open_to(8340)
echo(kept)
run("systemctl", "stop", "ctr-echo.socket")
report(list(instances("echo").values()) == [False], "when its socket is stopped none waits", instances("echo"))
report(echo(kept), "who is connected stays")
try:
    open_to(8340).close()
    outcome = "open"
except ConnectionRefusedError:
    outcome = "closed"
report(outcome == "closed", "its port is closed", outcome)
kept.close()
report(wait_for(60, lambda: not instances("echo")) and run("systemctl", "is-active", "ctr-echo.socket") == "inactive",
       "an end then makes nothing new", instances("echo"))
run("systemctl", "start", "ctr-echo.socket")
report(wait("echo"), "with its socket two wait again", instances("echo"))

# --- what a payload can't do with its connection

container("out", python("out"), 8347)
apply()
wait("out")
with socket.create_server(("127.0.0.1", 8350)) as secret:
    secret.settimeout(0.5)
    attempt(ask, 8347)
    wait_for(60, lambda: "connect " in log("out"))
    report(f"unspec 0 connect {errno.EPERM}" in log("out"), "it can't connect out over a connection that it has let go", log("out"))
    try:
        secret.accept()
        report(False, "nobody has come to the host's port")
    except TimeoutError:
        report(True, "nobody has come to the host's port")

# --- from one kind to the other, and away

container("echo", '["/bin/cat"]', 8340, more="")
apply("echo")
report(instances("echo") == {}, "without 'warm-pool' none waits", instances("echo"))
with open_to(8340) as one:
    report(echo(one), "and systemd accepts")
container("echo", '["/bin/cat"]', 8340)
apply("echo")
report(wait("echo"), "with it two wait", instances("echo"))
for name in ("echo", "passed", "said", "path", "private", "few", "broken", "gone", "late", "out"):
    os.remove(f"{FOLDER}/{name}.toml")
apply()
report(run("systemctl", "list-units", "--no-legend", "--plain", "ctr-*.socket") == "", "'apply' stops what is no longer declared")
report(wait_for(60, lambda: run("systemctl", "list-units", "--all", "--no-legend", "--plain", "ctr-*") == "" and not glob.glob(f"{SLICE}/ctr-*")),
       "and nothing is left", run("systemctl", "list-units", "--all", "--no-legend", "--plain", "ctr-*"))
shutil.rmtree("/srv/later")
report(not glob.glob("/run/ctrd/compiled/*") and not os.path.exists(UNIX), "neither below /run", glob.glob("/run/ctrd/compiled/*"))
