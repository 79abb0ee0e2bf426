#!/usr/bin/env python3
"""machined asks for the stop of a unit that it finds stopped while a machine of its is registered. A unit that was
restarted meanwhile must not be hit by it."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from standby import *  # noqa: E402,F403

ROUNDS = int(os.environ.get("CTRD_TEST_CYCLES", "15"))
TREE = make_payload_tree()
names = [f"quick-{i}" for i in range(8)]
units = [f"ctr@{name}.service" for name in names]
for name in names:
    declare(name, f'rootfs = "{TREE}"\ncommand = ["/payload", "graceful"]\n')
run("ctrctl", "apply")
run("systemctl", "start", *units)


def machines():
    return {line.split()[0] for line in run("machinectl", "list", "--no-legend").splitlines()}


def are_up():
    return all(state(name) == "active" for name in names)


report(wait_for(60, lambda: set(names) <= machines()), "they are machines", machines())
lost = []
for _ in range(ROUNDS):
    run("systemctl", "restart", *units)
    time.sleep(0.3)
    lost += [name for name in names if state(name) != "active"]
    wait_for(30, lambda: set(names) <= machines())
report(not lost, f"{len(names)} containers are restarted at once, {ROUNDS} times: each runs after it", lost)
report("Failed to stop machine" not in run("journalctl", "--no-pager", "-u", "systemd-machined"), "machined asked for no stop",
       run("journalctl", "--no-pager", "-u", "systemd-machined"))

# --- without ctrd, and without machined

run("systemctl", "stop", "ctrd.service", "ctrd-handover.socket")
before = time.monotonic()
run("systemctl", "restart", units[0])
report(state(names[0]) == "active", "without ctrd it restarts, too", state(names[0]))
print(f"# in {time.monotonic() - before:.2f} s", flush=True)
run("systemctl", "start", "ctrd-handover.socket", "ctrd.service")
report(wait_for(60, lambda: names[0] in machines()), "and is a machine again when ctrd is there", machines())
run("systemctl", "kill", "--kill-whom=main", "-s", "STOP", "ctrd.service")
before = time.monotonic()
run("systemctl", "stop", units[1])
report(wait_for(60, lambda: state(names[1]) == "inactive"), "a ctrd that hangs holds no stop up for ever", state(names[1]))
print(f"# in {time.monotonic() - before:.2f} s", flush=True)
run("systemctl", "kill", "--kill-whom=main", "-s", "CONT", "ctrd.service")
run("systemctl", "stop", "systemd-machined.service")
run("systemctl", "restart", units[2])
report(wait_for(60, lambda: state(names[2]) == "active"), "nor does a machined that does not run", state(names[2]))
