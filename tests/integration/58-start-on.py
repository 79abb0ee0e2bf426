#!/usr/bin/env python3
"""[[start-on]]: a file, or the time, starts a container."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from standby import *  # noqa: E402,F403

SYSTEM = make_system_tree()
INBOX = os.path.abspath("inbox")
os.makedirs(INBOX)


def container(name, command, start_on):
    declare(name, f'rootfs = "{SYSTEM}"\ncommand = ["/bin/sh", "-c", "{command}"]\n[[mount]]\nsource = "{INBOX}"\ntarget = "/inbox"\n'
                  + "".join(f"[[start-on]]\n{line}\n" for line in start_on))


container("mail", "cat /inbox/letter > /inbox/read; rm /inbox/letter", [f'path-exists = "{INBOX}/letter"'])
container("tick", "echo tick >> /inbox/ticks", ['every = "1s"'])
container("night", "true", ['calendar = "*-*-* 03:00:00"', f'path-changed = "{INBOX}/now"'])
os.makedirs("/run/systemd/system/ctr@tick.timer.d")  # systemd rounds times to the minute, to wake up once for several
atexit.register(run, "rm", "-r", "/run/systemd/system/ctr@tick.timer.d")
with open("/run/systemd/system/ctr@tick.timer.d/accuracy.conf", "w") as file:
    file.write("[Timer]\nAccuracySec=10ms\n")
applied = subprocess.run(["ctrctl", "apply"], capture_output=True, text=True).stdout
report(f"mail: created, starts when '{INBOX}/letter' exists" in applied, "'apply' says when it starts", applied)
report(state("mail") == "inactive", "before that it does not run", state("mail"))

with open(f"{INBOX}/letter.new", "w") as file:
    file.write("dear reader")
os.rename(f"{INBOX}/letter.new", f"{INBOX}/letter")
report(wait_for(60, lambda: not os.path.exists(f"{INBOX}/letter")), "a file that appears starts it")
with open(f"{INBOX}/read") as file:
    report(file.read() == "dear reader", "it has done its work")
report(wait_for(60, lambda: state("mail") == "inactive"), "and has ended")

report(wait_for(60, lambda: os.path.exists(f"{INBOX}/ticks") and open(f"{INBOX}/ticks").read().count("tick") >= 3),
       "'every' starts it again and again")

report(run("systemctl", "is-active", "ctr@night.timer", "ctr@night.path") == "active\nactive", "several things may start one")
report("03:00:00" in run("systemctl", "show", "-p", "TimersCalendar", "ctr@night.timer"), "a time of the calendar is systemd's own")
os.remove(f"{FOLDER}/tick.toml")
declare("night", f'rootfs = "{SYSTEM}"\ncommand = ["/bin/true"]\n[[start-on]]\ncalendar = "daily"\n')
run("ctrctl", "apply")
report(run("systemctl", "is-active", "ctr@night.timer", "ctr@night.path", "ctr@tick.timer") == "active\ninactive\ninactive",
       "'apply' stops what is no longer declared", run("systemctl", "is-active", "ctr@night.timer", "ctr@night.path", "ctr@tick.timer"))
run("systemctl", "stop", "ctr@mail.path", "ctr@night.timer")

# --- ctrctl rm of one that is declared until the next boot

os.makedirs("/run/ctrd/containers", exist_ok=True)
for name, lines in (("timed", '[[start-on]]\nevery = "1h"\n'), ("each", '[[socket]]\nlisten = "127.0.0.1:8390"\naccept = true\n')):
    with open(f"/run/ctrd/containers/{name}.toml", "w") as file:
        file.write(f'rootfs = "{SYSTEM}"\ncommand = ["/bin/true"]\n{lines}')
run("systemctl", "daemon-reload")
run("systemctl", "start", "ctr@timed.timer", "ctr-each.socket")
report(run("systemctl", "is-active", "ctr@timed.timer", "ctr-each.socket") == "active\nactive", "they wait")
run("ctrctl", "rm", "timed", "each")
report(run("systemctl", "is-active", "ctr@timed.timer", "ctr-each.socket") == "inactive\ninactive", "'ctrctl rm' takes away what waits for them",
       run("systemctl", "is-active", "ctr@timed.timer", "ctr-each.socket"))
