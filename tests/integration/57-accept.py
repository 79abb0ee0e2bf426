#!/usr/bin/env python3
"""accept = true: a container for each connection, as standard input and output or as descriptor 3."""
import errno
import glob
import json
import os
import socket
import stat
import sys
import threading

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from standby import *  # noqa: E402,F403

SYSTEM = make_system_tree()
with open(f"{SYSTEM}/etc/passed.py", "w") as file:
    file.write("""
import os, socket
one = socket.socket(fileno=3)
words = [os.environ["LISTEN_FDS"], os.environ["LISTEN_FDNAMES"], str(int(os.environ["LISTEN_PID"]) == os.getpid()),
         os.environ["REMOTE_ADDR"], str(one.getpeername()[1] == int(os.environ["REMOTE_PORT"])), str(os.getpid())]
one.sendall((" ".join(words) + "\\n").encode())
""")
with open(f"{SYSTEM}/etc/out.py", "w") as file:
    file.write("""
import ctypes, socket, struct, sys
def say(what, fd, address):
    result = ctypes.CDLL(None, use_errno=True).connect(fd, address, len(address))
    answers.append(f"{what} {ctypes.get_errno() if result else 0}")
answers = []
again = sys.stdin.fileno()
kept = socket.fromfd(again, socket.AF_INET, socket.SOCK_STREAM).getpeername()
say("unspec", again, struct.pack("16s", b""))
say("connect", again, struct.pack("=H", 2) + struct.pack("!H", 8310) + bytes([127, 0, 0, 1]) + bytes(8))
print(" ".join(answers), file=sys.stderr)
""")


def container(name, command, port, more="", socket_lines="", listen=None):
    declare(name, f'rootfs = "{SYSTEM}"\ncommand = {command}\n{more}\n[[socket]]\nlisten = "{listen or f"127.0.0.1:{port}"}"\n'
                  f'accept = true\n{socket_lines}\n')


def instances(name):
    return run("systemctl", "list-units", "--no-legend", "--plain", f"ctr-{name}@*.service").split("\n")


def listed(name):
    """What 'ctrctl list' says of it."""
    return next((row for row in json.loads(run("ctrctl", "list", "--json")) if row["name"] == name), {})


def open_to(port):
    one = socket.create_connection(("127.0.0.1", port), 60)
    one.settimeout(60)
    return one


def echo(one, text=b"hello\n"):
    one.sendall(text)
    got = b""
    while len(got) < len(text) and (data := one.recv(4096)):
        got += data
    return got


UNIX = "/run/ctrd-accept.sock"
container("echo", '["/bin/cat"]', 8301)
container("few", '["/bin/cat"]', 8302, socket_lines="max-connections = 2")
container("passed", '["/usr/bin/python3", "/etc/passed.py"]', 8303, socket_lines='deliver = "pass"')
container("broken", '["/bin/nothing-of-the-kind"]', 8304)
container("out", '["/usr/bin/python3", "/etc/out.py"]', 8305)
container("file", '["/bin/cat"]', 0, socket_lines='mode = "0620"\nuser = "nobody"\ngroup = "daemon"', listen=UNIX)
applied = subprocess.run(["ctrctl", "apply"], capture_output=True, text=True)
report(applied.returncode == 0 and "listening on 127.0.0.1:8301" in applied.stdout, "'apply' makes their sockets",
       applied.stdout + applied.stderr)

# --- one connection

with open_to(8301) as one:
    report(echo(one) == b"hello\n", "a program that knows standard input and output only answers a connection")
    units = instances("echo")
    report(len(units) == 1 and units[0].startswith("ctr-echo@"), "its container is a unit of its own", units)
    folders = glob.glob(f"{SLICE}/ctr-echo@*.service/payload/cgroup.procs")
    report(len(folders) == 1, "with a cgroup for the payload", folders)
    with open(folders[0]) as file:
        pid = file.read().split()[0]
    report(os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"), "the program is in a network of its own")
    row = listed("echo")
    report(row.get("state") == "listening" and [(i["unit"], str(i["leader"])) for i in row["instances"]] == [(units[0].split()[0], pid)],
           "'ctrctl list' shows it as listening, and the container of the connection below it", row)
    report(f"instance: {units[0].split()[0]} (leader {pid})" in run("ctrctl", "status", "echo"), "so does 'ctrctl status'", run("ctrctl", "status", "echo"))
    with open_to(8301) as two:
        report(echo(two, b"second\n") == b"second\n" and len(instances("echo")) == 2, "a second connection has a second container",
               instances("echo"))
    one.shutdown(socket.SHUT_WR)
    report(one.recv(10) == b"", "the end of what the client says ends the program, and the connection")
report(wait_for(60, lambda: instances("echo") == [""]), "its units are forgotten when they have ended", instances("echo"))
report(wait_for(60, lambda: not glob.glob(f"{SLICE}/ctr-echo@*")), "and nothing of them is left")
report(listed("echo").get("state") == "listening" and listed("echo")["instances"] == [], "it still listens, and nothing of it runs", listed("echo"))
run("systemctl", "stop", "ctr-few.socket")
report(listed("few").get("state") == "stopped", "one whose socket was stopped does not listen", listed("few"))
run("systemctl", "start", "ctr-few.socket")

results = []


def one_of_many(number):
    with open_to(8301) as one:
        results.append(echo(one, b"%d\n" % number) == b"%d\n" % number)


threads = [threading.Thread(target=one_of_many, args=(i,)) for i in range(20)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
report(results == [True] * 20, "twenty connections at once are answered by twenty containers", results)
wait_for(60, lambda: instances("echo") == [""])

# --- limits

with open_to(8302) as one, open_to(8302) as two:
    report(echo(one) == b"hello\n" and echo(two) == b"hello\n", "max-connections = 2 lets two in")
    with open_to(8302) as three:
        try:
            last = three.recv(10)
        except ConnectionResetError:
            last = b""
        report(last == b"", "and hangs up on a third one", last)
    report(echo(one, b"still\n") == b"still\n", "which does not disturb the others")
report(wait_for(60, lambda: instances("few") == [""]), "they end")
with open_to(8302) as one:
    report(echo(one) == b"hello\n", "and there is room again")

# --- descriptor 3

words = ask(8303, patience=60).decode().split()
report(words == ["1", "connection", "True", "127.0.0.1", "True", "1"],
       "deliver = \"pass\" gives the connection as descriptor 3, with LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID and REMOTE_ADDR", words)

# --- what fails

try:
    ask(8304, patience=60)
    outcome = "an end of file"
except ConnectionResetError:
    outcome = "reset"
report(outcome == "reset", "who connects to a container that can't start is reset, not left to hang", outcome)
report("nothing-of-the-kind" in run("journalctl", "--no-pager", "-o", "cat", "CTRD_NAME=broken"), "and the journal says why")
report(run("systemctl", "is-active", "ctr-broken.socket") == "active", "its port stays open")
started = subprocess.run(["systemctl", "start", "ctr@echo.service"], capture_output=True, text=True)
report(started.returncode != 0 and "connect to it" in log_of("echo"), "who starts it by hand is told to connect to it", log_of("echo"))

# --- what a payload can't do with its connection

with socket.create_server(("127.0.0.1", 8310)) as secret:
    secret.settimeout(0.5)
    attempt(ask, 8305)  # reset, when the program lets it go
    wait_for(60, lambda: "connect " in run("journalctl", "--no-pager", "-o", "cat", "CTRD_NAME=out"))
    answer = run("journalctl", "--no-pager", "-o", "cat", "CTRD_NAME=out")
    report(f"unspec 0 connect {errno.EPERM}" in answer, "it can't connect out over a connection that it has let go", answer)
    try:
        secret.accept()
        report(False, "nobody has come to the host's port")
    except TimeoutError:
        report(True, "nobody has come to the host's port")

# --- a socket with a path

info = os.stat(UNIX)
report(stat.S_IMODE(info.st_mode) == 0o620 and info.st_uid == 65534 and info.st_gid == 1,
       "mode, user and group are those of the socket's file", f"{info.st_mode:o} {info.st_uid} {info.st_gid}")
with socket.socket(socket.AF_UNIX) as one:
    one.settimeout(60)
    one.connect(UNIX)
    report(echo(one) == b"hello\n", "a connection to a path has a container, too")
wait_for(60, lambda: instances("file") == [""])

# --- from one kind to the other

declare("echo", f'rootfs = "{make_payload_tree()}"\ncommand = ["/payload", "serve", "80"]\n[[socket]]\nlisten = "127.0.0.1:8301"\nport = 80\n')
run("ctrctl", "apply", "echo")
report(ask(8301) == b"peer 127.0.0.1\n", "without 'accept' the next 'apply' makes it one container for all connections")
container("echo", '["/bin/cat"]', 8301)
run("ctrctl", "apply", "echo")
with open_to(8301) as one:
    report(echo(one) == b"hello\n", "and with it again a container for each")
for name in ("echo", "few", "passed", "broken", "out", "file"):
    os.remove(f"{FOLDER}/{name}.toml")
run("ctrctl", "apply")
report("ctr-" not in run("systemctl", "list-units", "--no-legend", "--plain", "ctr-*.socket"), "'apply' stops what is no longer declared")
wait_for(60, lambda: not glob.glob(f"{SLICE}/ctr-*"))
