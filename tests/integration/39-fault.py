#!/usr/bin/env python3
"""ctr-run, ctrd and the generator are killed at each step that their sources name (ctrd/base/fault.hpp), one after the other.
Then all that they were at is finished or undone: the container can be used, the view is exact, no other one has noticed, and
nothing is left of one that is not declared any more."""
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from standby import *  # noqa: E402,F403

FAULT = "/run/ctrd/fault"
BUILT = os.path.join(os.environ["CTRD_BUILD"], "tests/fault")
PEER = b"peer 127.0.0.1\n"
PORTS = {"web": 8101, "idle": 8102, "made": 8103}
PROGRAMS = {"ctrd": "/usr/lib/ctrd/ctrd", "ctr-run": "/usr/lib/ctrd/ctr-run",
            "ctrd-generator": "/usr/lib/systemd/system-generators/ctrd-generator"}


def points():
    found = []
    for folder in ("tools", "ctrd", "config"):
        for name in sorted(run("grep", "-rhoE", r'fault_point\("[a-z-]+"\)', os.path.join(os.environ["CTRD_SOURCE"], folder)).split()):
            found.append(name[13:-2])
    return found


def quiet(*command, seconds=30):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds).returncode
    except subprocess.TimeoutExpired:
        return None


def answers(port):
    try:
        return ask(port, patience=10) == PEER
    except OSError:
        return False


# What is done with containers; which of its steps fails, nobody knows.

def programs(name):
    """Of the processes in its unit."""
    return run("sh", "-c", f"cat $(find {SLICE}/ctr@{name}.service -name cgroup.procs) | while read pid; do readlink /proc/$pid/exe; done")


def life_of(name):
    answers(PORTS[name])
    wait_for(2, lambda: programs(name) == "/payload")  # it answers before its start is complete
    quiet("ctrctl", "exec", "-T", name, "/payload", "exit", "7")
    quiet("ctrctl", "stop", name)


def idle():
    answers(PORTS["idle"])
    wait_for(30, lambda: state("idle") in ("inactive", "failed") or not os.path.exists(FAULT))


def restart():
    quiet("systemctl", "restart", "ctrd.service")
    wait_for(10, lambda: not os.path.exists(FAULT))


def start():
    quiet("ctrctl", "start", "web")
    quiet("ctrctl", "stop", "web")


def reload():
    path = f"{FOLDER}/stale.toml"
    shutil.copy(f"{FOLDER}/web.toml", path)
    os.system(f"sed -i 's/8101/8109/' {path}; systemctl daemon-reload; rm {path}; systemctl daemon-reload")


LIVES = {"start": [lambda: life_of("web"), lambda: life_of("made")], "stop": [lambda: life_of("web"), idle],
         "clean": [lambda: life_of("web")], "exec": [lambda: life_of("web")], "generate": [reload],
         "ctrd": [restart, lambda: life_of("web"), start, idle]}


def listed():
    """What ctrd says, and what systemd says."""
    text = subprocess.run(["ctrctl", "list", "--json=short"], capture_output=True, text=True).stdout
    try:
        said = {one["name"]: one["state"].replace("created", "running") for one in json.loads(text)}  # that is not systemd's to know
    except ValueError:
        return text, None
    words = {"active": "running", "inactive": "stopped", "failed": "failed", "activating": "starting", "deactivating": "stopping"}
    return said, {name: words[state(name)] for name in ("steady", *PORTS)}


def is_exact():
    said, real = listed()
    return said == real


def works(name):
    """Again and again, since one that fails is given time."""
    good = wait_for(60, lambda: answers(PORTS[name]))
    if name != "idle":  # which may have stopped by itself already
        # A payload may answer before its start is complete, and nothing is executed in it until then.
        good = good and wait_for(60, lambda: quiet("ctrctl", "exec", "-T", name, "/payload", "exit", "7") == 7)
        good = good and quiet("ctrctl", "stop", name) == 0
    return good and (name == "made" or wait_for(60, lambda: nothing_left(name)))


def leftovers():
    found = run("sh", "-c", "ls -d /run/ctrd/run/* /run/ctrd/machines/* /run/systemd/nspawn/propagate/* /sys/fs/cgroup/machine.slice/ctr* 2> /dev/null")
    return [one for one in found.split() if "gone" in one]


for name, path in PROGRAMS.items():
    shutil.copy(f"{BUILT}/{name}", path + ".new")
    os.rename(path + ".new", path)
TREE = make_payload_tree()
for name, port in PORTS.items():
    more = {"web": "", "idle": 'idle-timeout = "200ms"', "made": 'standby = "created"'}[name]
    declare(name, f'rootfs = "{TREE}"\ncommand = ["/payload", "serve", "80"]\n{more}\n[[socket]]\nlisten = "127.0.0.1:{port}"\nport = 80\n')
declare("steady", f'rootfs = "{TREE}"\nstart = "manual"\ncommand = ["/payload", "waiting"]\n')
run("ctrctl", "apply")
run("systemctl", "restart", "ctrd.service")
run("ctrctl", "start", "steady")
steady = unit("steady", "MainPID")

for point in points():
    with open(FAULT, "w") as file:
        file.write(point)
    for one in LIVES[point.split("-")[0]]:
        one()
        used = "idle" if one == idle else "web"
        if not os.path.exists(FAULT):
            break
    reached = not os.path.exists(FAULT)
    if not reached:
        os.remove(FAULT)
    # With a generator that died a unit is without its settings, and systemd closes what it listens on: apply puts it right.
    run(*(("ctrctl", "apply") if point.startswith("generate") else ("systemctl", "daemon-reload")))
    broken = [name for name in {"web", used} if not works(name)]
    exact = wait_for(20, is_exact)
    report(reached and not broken and exact and unit("steady", "MainPID") == steady, f"after a death at '{point}' all goes on",
           (f"reached: {reached}, broken: {broken}, exact: {exact}, {listed()}", log_of("web")[-1500:] if broken else ""))
    if not reached:
        continue
    if point.startswith("clean-"):
        declare("gone", f'rootfs = "{TREE}"\nstart = "manual"\ncommand = ["/payload", "waiting"]\n')
        run("systemctl", "daemon-reload")
        run("ctrctl", "start", "gone")
        with open(FAULT, "w") as file:
            file.write(point)
        quiet("ctrctl", "stop", "gone")
        os.remove(f"{FOLDER}/gone.toml")
        run("systemctl", "daemon-reload")
        report(wait_for(20, lambda: not leftovers()), f"nothing is left of a container that is gone after a death at '{point}'", leftovers())
        run("systemctl", "reset-failed", "ctr@gone.service")
report(works("made"), "one that waits for its first connection works after all of it")
report(len(points()) > 30 and not os.path.exists(FAULT), "many steps were tried", points())
run("sh", "-c", "ctrctl stop steady")
forget_all()
