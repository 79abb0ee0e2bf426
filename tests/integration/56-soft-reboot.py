#!/usr/bin/env python3
"""survive-soft-reboot: all of userspace is stopped and started again, and the container runs on with its connections."""
import os
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from machines import Terminal  # noqa: E402
from standby import *  # noqa: E402,F403

TREE = make_payload_tree()
os.makedirs(f"{TREE}/bin")
for one in ("sh", "sleep"):
    shutil.copy("/bin/busybox", f"{TREE}/bin/{one}")
STAYS = "survive-soft-reboot = true\n"
PEER = b"peer 127.0.0.1\n"


def container(name, command, more="", sockets=()):
    declare_listening(TREE, name, command, sockets, more)


def listen(port, more=""):
    return f'listen = "127.0.0.1:{port}"\nport = 80\n{more}'


def busy(command, seconds=120):
    """Said again and again, as systemd is not there all the time."""
    return wait_for(seconds, lambda: subprocess.run(command, capture_output=True).returncode == 0)


def soft_reboots():
    return run("systemctl", "show", "--value", "-p", "SoftRebootsCount")


class Clients(threading.Thread):
    """Ask a server all the while, one connection after another."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.answers, self.lost, self.over = port, 0, [], threading.Event()

    def run(self):
        while not self.over.wait(0.02):
            answer = attempt(ask, self.port)
            if answer == PEER:
                self.answers += 1
            else:
                self.lost.append(answer)


def counted(name):
    return [int(line.split()[1]) for line in log_of(name).splitlines() if line.startswith("line ")]


COUNT = ["/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done"]
# What has a word of its own for ctrd: ports that are bound anew, a pipe, a terminal, a proxy, a standby, a slice.
container("plain", ["/payload", "serve", "80"], STAYS, [listen(8401)])
container("created", ["/payload", "serve", "80"], STAYS + 'standby = "created"\nidle-timeout = "10min"', [listen(8402)])
container("frozen", ["/payload", "serve", "80"], STAYS + 'standby = "frozen"\nidle-timeout = "1s"', [listen(8403)])
container("proxied", ["/payload", "serve", "80"], STAYS, [listen(8404, 'deliver = "proxy"')])
container("asleep", ["/payload", "serve", "80"], STAYS, [listen(8405)])
container("sliced", COUNT, STAYS + 'slice = "machine-a-b.slice"\nstart = "manual"')
container("piped", COUNT, STAYS + 'output = "pipe"\nstart = "manual"')
container("terminal", ["/bin/sh"], STAYS + 'terminal = true\nstart = "manual"')
container("mortal", COUNT, 'start = "manual"')
declare("each", f'rootfs = "{TREE}"\ncommand = ["/bin/sh", "-c", "read a; echo got $a"]\n{STAYS}[[socket]]\n'
                'listen = "127.0.0.1:8406"\naccept = true\n')
run("systemctl", "daemon-reload")
run("systemctl", "start", "ctr-each.socket")
for one in ("sliced", "terminal", "mortal", "created", "frozen"):
    run("systemctl", "start", f"ctr@{one}.service")
run("machinectl", "start", "piped")
for one in (8401, 8404):
    report(attempt(ask, one) == PEER, f"a server on port {one} answers before")
wait_for(20, lambda: is_frozen("frozen"))
RUNNING = ("plain", "created", "frozen", "proxied", "sliced", "piped", "terminal")
before = {one: unit(one, "MainPID") for one in RUNNING}
report("0" not in before.values() and is_frozen("frozen"), "all of them run", before)

held = socket.create_connection(("127.0.0.1", 8406), 60)
wait_for(20, lambda: "ctr-each@" in run("systemctl", "list-units", "--state=active", "--plain", "ctr-each@*"))
clients = Clients(8401)
clients.start()
lines = {one: len(counted(one)) for one in ("sliced", "piped")}
if not soft_reboots():
    print("skip - a soft-reboot (this systemd knows none)")
    sys.exit()
subprocess.run(["systemctl", "soft-reboot", "--no-block"], check=False)
report(wait_for(120, lambda: soft_reboots() == "1"), "userspace is started anew", soft_reboots())
report(wait_for(120, lambda: run("systemctl", "is-system-running") in ("running", "degraded")), "and has come up",
       run("systemctl", "list-jobs"))
time.sleep(1)
clients.over.set()
clients.join(60)

after = {one: unit(one, "MainPID") for one in RUNNING}
report(after == before, "each container that was to survive runs on, in the same process", (before, after))
report(state("mortal") == "inactive", "one that was not to was stopped", state("mortal"))
report(not clients.lost and clients.answers > 50, "who connected all the while lost nothing", (clients.answers, clients.lost[:3]))
report(wait_for(20, lambda: is_frozen("frozen")), "what was frozen is so again", phase("frozen"))
report(attempt(ask, 8403) == PEER, "and is woken by a connection", log_of("frozen")[-500:])
report(attempt(ask, 8402) == PEER, "what was waiting for its first connection has it", log_of("created")[-500:])
report(attempt(ask, 8404) == PEER, "a proxy goes on", log_of("proxied")[-500:])
report(attempt(ask, 8405) == PEER and state("asleep") == "active", "what was asleep is started by a connection", log_of("asleep")[-500:])
held.settimeout(30)
held.sendall(b"word\n")
report(attempt(held.recv, 100) == b"got word\n", "a connection with a container of its own has an answer")
for one in ("sliced", "piped"):
    report(wait_for(30, lambda: len(counted(one)) > lines[one] + 20), f"what '{one}' writes is in the journal, before and after",
           (lines[one], counted(one)[-3:]))
    report(sorted(set(counted(one))) == list(range(1, max(counted(one)) + 1)), f"no line of '{one}' is missing", counted(one))

run("systemctl", "kill", "--kill-whom=main", "-s", "HUP", "ctr@plain.service")
report(wait_for(20, lambda: "rebound" in log_of("plain")), "a port that is bound anew is answered", log_of("plain")[-500:])
report(attempt(ask, 8401) == PEER, "and the server answers")
attached = Terminal("ctrctl", "attach", "terminal")
attached.type("echo still-$((40 + 2))\n")
report(attached.expect("still-42"), "a terminal can be attached to", attached.text)
attached.type("\x10")
time.sleep(0.1)
attached.type("\x11")
attached.wait()
listed = run("machinectl", "list", "--no-legend")
report(wait_for(20, lambda: all(one in run("machinectl", "list", "--no-legend") for one in RUNNING)), "all are machines again", listed)
report(run("ctrctl", "exec", "plain", "/bin/sh", "-c", "echo inside") == "inside", "a command can be run in one")
report("fine" in run("sh", "-c", "machinectl --quiet shell sliced /bin/sh -c 'echo fine' < /dev/null"), "and by machinectl")
for one in RUNNING + ("asleep",):
    run("systemctl", "stop", f"ctr@{one}.socket")
    if not stop(one):
        report(False, f"'{one}' can be stopped, and leaves nothing", log_of(one)[-500:])
report(all(nothing_left(one) for one in RUNNING), "each can be stopped, and leaves nothing")
run("systemctl", "stop", "ctr-each.socket")
