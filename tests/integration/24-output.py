#!/usr/bin/env python3
"""output = "pipe": programs of images open /dev/stdout and /dev/stderr, and all that they write is in the journal."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from machines import busybox_tree  # noqa: E402
from standby import *  # noqa: E402,F403

TREE = busybox_tree()
WORDS = "echo plain; echo error >&2; echo opened > /dev/stdout; echo opened-too > /dev/stderr; echo by-number >> /proc/self/fd/2; echo '<3>serious'"
ALL = ["plain", "error", "opened", "opened-too", "by-number", "serious"]


def container(name, script, more="", source=None):
    """`script` goes to a shell; it is a literal of TOML."""
    declare(name, f"{source or f'rootfs = {chr(34)}{TREE}{chr(34)}'}\ncommand = ['/bin/sh', '-c', '''{script}''']\nstart = 'manual'\n{more}\n")
    run("systemctl", "daemon-reload")


def entries(name):
    """Of the payload itself: what systemd takes for the unit's own, without what ctrd and systemd say about it."""
    run("journalctl", "--sync")
    lines = run("journalctl", "-o", "json", "-u", f"ctr@{name}.service").splitlines()
    return [one for one in map(json.loads, lines) if one.get("SYSLOG_IDENTIFIER") == name and "CTRD_EVENT" not in one and "MESSAGE_ID" not in one]


def said(name):
    return [one["MESSAGE"] for one in entries(name)]


def says(name, expected, seconds=60):
    """Whether this is in the end all that it has said."""
    return wait_for(seconds, lambda: said(name) == expected)


def start(name):
    return subprocess.run(["systemctl", "start", f"ctr@{name}.service"], capture_output=True, text=True).returncode


# --- what it is for

container("socket", "echo opened > /dev/stderr || echo refused; sleep 1000")
start("socket")
report(wait_for(60, lambda: "refused" in said("socket")), "the journal's own socket, which is the default for a rootfs, can't be opened", said("socket"))
stop("socket")

container("web", WORDS + "; sleep 1000", 'output = "pipe"')
report(start("web") == 0 and says("web", ALL), "with a pipe /dev/stdout, /dev/stderr and /proc/self/fd can be opened, and all of it is in the journal, in its order",
       f"{said('web')}\n{log_of('web')}")
serious = next((one for one in entries("web") if one["MESSAGE"] == "serious"), {})
report(serious.get("PRIORITY") == "3", "a line says its priority, as anywhere in systemd", serious)
report(serious.get("_SYSTEMD_UNIT") == "ctr@web.service" and serious.get("CTRD_NAME") == "web" and serious.get("_PID") == unit("web", "MainPID"),
       "it is an entry of the unit, and of its first process", serious)
report("by-number" in run("ctrctl", "logs", "web"), "'ctrctl logs' shows it", run("ctrctl", "logs", "web"))
beside = [os.path.basename(os.readlink(f"/proc/{pid}/exe")) for folder, _, files in os.walk(f"{SLICE}/ctr@web.service") if "cgroup.procs" in files
          for pid in open(f"{folder}/cgroup.procs").read().split()]
report(beside and not any(one.startswith("ctr-") for one in beside), "no process of ours is beside it", beside)
report(stop("web"), "it stops, and nothing is left")

container("user", WORDS + "; sleep 1000", 'output = "pipe"\nuser = "1000:1000"\nno-new-privileges = true\ncapabilities = []')
report(start("user") == 0 and says("user", ALL), "a program that is not root can open them, too", f"{said('user')}\n{log_of('user')}")
ids = {(one.get("_UID"), one.get("_GID")) for one in entries("user")}
report(ids == {("1000", "1000")}, "and its words are its own user's", ids)
stop("user")

container("private", WORDS + "; sleep 1000", 'output = "pipe"\nprivate-users = true')
report(start("private") == 0 and says("private", ALL), "so can root of a container with users of its own", f"{said('private')}\n{log_of('private')}")
stop("private")

subprocess.run(f"tar -C {TREE} -cf - . | ctrctl image import - host.example/said:1", shell=True, check=True, capture_output=True)
container("image", WORDS + "; sleep 1000", source='image = "host.example/said:1"')
report(start("image") == 0 and says("image", ALL), "an image's programs have a pipe without being asked", f"{said('image')}\n{log_of('image')}")
report("CTRD_IMAGE" in (entries("image") or [{}])[0], "the entry names the image", entries("image"))
stop("image")
container("image", "echo opened > /dev/stderr || echo refused; sleep 1000", 'output = "journal"', source='image = "host.example/said:1"')
report(start("image") == 0 and wait_for(60, lambda: "refused" in said("image")), "unless the journal's socket is declared", said("image"))
stop("image")

# --- the beginning and the end

LISTEN = '[[socket]]\nlisten = "127.0.0.1:8471"\nport = 80\n'
container("short", "echo first; printf 'the last words'; exit 3", 'output = "pipe"')
start("short")
report(wait_for(60, lambda: state("short") == "failed") and says("short", ["first", "the last words"]),
       "the last words of a program that ends at once are in the journal", f"{said('short')}\n{log_of('short')}")

container("job", "i=0; while [ $i -lt 5000 ]; do echo line-$i; i=$((i+1)); done", 'output = "pipe"')
start("job")
report(says("job", [f"line-{i}" for i in range(5000)]), "nor is anything lost of one that says more at once than the journal takes, and ends",
       f"{len(said('job'))} lines, {said('job')[-1:]}")

container("wrong", "echo no such file > /dev/stderr; exit 78", f'output = "pipe"\n{LISTEN}')
report(start("wrong") != 0 and wait_for(60, lambda: "no such file" in said("wrong")), "why a program ends before it has bound its port is there", f"{said('wrong')}\n{log_of('wrong')}")
run("systemctl", "stop", "ctr@wrong.socket")

lines = [f"line-{i} " + "x" * 90 for i in range(6000)]
container("talker", "i=0; while [ $i -lt 6000 ]; do echo line-$i " + "x" * 90 + "; i=$((i+1)); done; exec httpd -f -p 80 -h /etc",
          f'output = "pipe"\n{LISTEN}')
report(start("talker") == 0, "a program that says more than a pipe holds before it has bound its port gets there", log_of("talker")[-600:])
report(says("talker", lines), "and nothing of that is lost", f"{len(said('talker'))} lines, {said('talker')[-1:]}")
stop("talker")
run("systemctl", "stop", "ctr@talker.socket")

# --- without ctrd

container("long", "i=0; while true; do echo line-$i; i=$((i+1)); sleep 0.02; done", 'output = "pipe"')
start("long")
report(wait_for(60, lambda: len(said("long")) > 10), "one that writes all the time")
with Killer(0.2, 0.5) as killer:
    time.sleep(4)
report(killer.kills > 3, f"ctrd is killed {killer.kills} times")
count = len(said("long"))
report(wait_for(60, lambda: len(said("long")) > count + 20), "goes on", log_of("long")[-500:])
run("systemctl", "stop", "ctrd.service")
time.sleep(1)
before = len(said("long"))
time.sleep(1)
report(len(said("long")) == before and state("long") == "active", "while ctrd is stopped it goes on, and the pipe keeps what it says", log_of("long")[-500:])
run("systemctl", "start", "ctrd.service")
report(wait_for(60, lambda: len(said("long")) > before + 40), "a ctrd that is there again reads it", log_of("long")[-500:])
stop("long")
report([one for one in said("long")] == [f"line-{i}" for i in range(len(said("long")))], "and no line is lost, or there twice",
       [(i, one) for i, one in enumerate(said("long")) if one != f"line-{i}"][:5])
report("status=141" not in log_of("long") and unit("long", "Result") == "success", "nor was it ended by a pipe without a reader", log_of("long")[-500:])

# --- what is refused

for text, message in (('output = "pipe"\nterminal = true\n', "'output' means nothing with 'terminal'"),
                      (f'output = "pipe"\n{LISTEN.replace("port = 80", "accept = true")}', "'output' means nothing with 'accept'"),
                      ('output = "file"\n', "did you mean")):
    with open("refused.toml", "w") as file:
        file.write(f'rootfs = "{TREE}"\ncommand = ["/bin/true"]\n{text}')
    checked = subprocess.run(["ctrctl", "check", "refused.toml"], capture_output=True, text=True)
    report(checked.returncode != 0 and message in checked.stdout + checked.stderr, f"refused: {message}", checked.stdout + checked.stderr)
