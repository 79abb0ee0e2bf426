#!/usr/bin/env python3
"""ctr-oci killed at any moment of create, start, exec, kill, delete or run: 'delete --force' leaves nothing behind.

CTRD_TEST_CYCLES (150) and CTRD_TEST_SEED (by the clock) are from the environment; for many cycles raise
CTRD_TEST_TIMEOUT too: 20 cycles take a second."""
import collections
import json
import os
import random
import signal
import subprocess
import sys
import time

CYCLES = int(os.environ.get("CTRD_TEST_CYCLES", "150"))
SEED = int(os.environ.get("CTRD_TEST_SEED", str(time.time_ns() % 1000000)))
CGROUPS = "/sys/fs/cgroup"
RECORDS = "/run/ctr-oci"
chance = random.Random(SEED)
problems = collections.Counter()
hits = collections.Counter()
shown = {}


def report(good, sentence, detail=""):
    print(("ok - " if good else "not ok - ") + sentence, flush=True)
    if not good:
        print("    " + str(detail)[:2000], flush=True)


def problem(kind, detail):
    problems[kind] += 1
    shown.setdefault(kind, str(detail)[:500])


def make_bundles():
    subprocess.run(["bash", "-c", f". {os.path.dirname(__file__)}/lib.sh; make_busybox_tree {os.getcwd()}/tree"], check=True)
    os.mkdir("plain")
    subprocess.run(["ctr-oci", "spec", "--bundle", "plain"], check=True)
    with open("plain/config.json") as file:
        config = json.load(file)
    config["root"]["path"] = os.path.abspath("tree")
    config["process"]["terminal"] = False
    # Two processes, of which one has to be killed with the other.
    config["process"]["args"] = ["/bin/sh", "-c", "sleep 1000 & exec sleep 1000"]
    config["linux"]["resources"] = {}
    json.dump(config, open("plain/config.json", "w"))
    os.mkdir("hooks")
    config["hooks"] = {"createRuntime": [{"path": "/bin/true"}], "poststop": [{"path": "/bin/true"}]}
    json.dump(config, open("hooks/config.json", "w"))


class Cycle:
    """One life. Steps of which one is killed after a while; `times` is how long each kind of step takes usually."""
    times = collections.defaultdict(lambda: 0.02)

    def __init__(self, number):
        self.id = f"crash{number}"
        self.options = ["--systemd-cgroup"] if chance.random() < 0.25 else []
        self.bundle = chance.choice(["plain", "plain", "hooks"])
        self.victim = None

    def step(self, name, *arguments, victim=False):
        begin = time.monotonic()
        with open("errors", "w") as errors:  # no pipe: a payload that goes on would hold it open
            process = subprocess.Popen(["ctr-oci", *self.options, *arguments], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=errors)
        if victim:
            # By their logarithms: the first moments are more crowded than the last ones.
            usual = Cycle.times[name + str(self.options)]
            delay = chance.choice([chance.random(), chance.random() ** 3]) * usual * 1.2
            while time.monotonic() - begin < delay:
                pass
            process.send_signal(signal.SIGKILL)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            problem(f"{name} hangs", self.id)
            return False
        if victim:
            hits[name + (" in a scope" if self.options else "")] += process.returncode == -signal.SIGKILL
        if not victim and process.returncode == 0:
            key = name + str(self.options)
            Cycle.times[key] += (time.monotonic() - begin - Cycle.times[key]) * 0.1
        return process.returncode == 0

    def live(self):
        steps = [("create", "create", "--bundle", self.bundle, self.id), ("start", "start", self.id),
                 ("exec", "exec", "--detach", self.id, "sleep", "1000"), ("kill", "kill", self.id, "KILL"),
                 ("delete", "delete", "--force", self.id)]
        if chance.random() < 0.3:
            steps[0:2] = [("run", "run", "--detach", "--bundle", self.bundle, self.id)]
        self.victim = chance.choice(steps)[0]
        for name, *arguments in steps:
            self.step(name, *arguments, victim=name == self.victim)
            if name == self.victim and chance.random() < 0.7:
                break  # whoever called has died too
        if not self.step("last delete", "delete", "--force", self.id):
            with open("errors") as errors:
                problem("delete --force fails", f"killed in {self.victim}: {errors.read()}")

    def processes(self):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cgroup") as file:
                    cgroup = file.read()
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    command = file.read().replace(b"\0", b" ").decode(errors="replace")
                with open(f"/proc/{pid}/stat") as file:
                    state = file.read().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            words = command.split()
            if state not in "ZX" and (any(f"ctr-oci-{self.id}" == part or f"ctr-{self.id}.scope" == part
                                          for part in cgroup.replace("\n", "/").split("/")) or self.id in words):
                found.append(f"{pid} {command} {cgroup.splitlines()[-1]}")
        return found

    def left(self):
        """What is there of it still; whatever ends by itself has a moment for that."""
        for attempt in range(100):
            left = {"record": os.path.exists(f"{RECORDS}/{self.id}"),
                    "cgroup": os.path.exists(f"{CGROUPS}/ctr-oci-{self.id}"),
                    "scope": os.path.exists(f"{CGROUPS}/machine.slice/ctr-{self.id}.scope"),
                    "process": self.processes()}
            if not any(left.values()):
                return
            time.sleep(0.02)
        for kind, what in left.items():
            if what:
                problem(f"a {kind} is left", f"killed in {self.victim} {self.options} {self.bundle}: {self.id} {what}")


def mounts():
    with open("/proc/self/mountinfo") as file:
        return sorted(line.split(" ", 1)[1] for line in file)


def files(*folders):
    return sorted(os.path.join(where, name) for folder in folders for where, _, names in os.walk(folder) for name in names
                  if "/seccomp/" not in where + "/")


make_bundles()
mounts_before, files_before = mounts(), files("/run/ctr-oci", "/run/ctrd")
for number in range(CYCLES):
    cycle = Cycle(number)
    cycle.live()
    cycle.left()

print(f"# {CYCLES} cycles, seed {SEED}; {sum(hits.values())} were hit before their end: {dict(hits.most_common())}")
report(sum(hits.values()) > CYCLES / 3, "many of those that were killed were not through yet", dict(hits))
report(not problems, f"after {CYCLES} lives in which ctr-oci was killed at some moment, delete --force leaves nothing behind",
       "\n    ".join(f"{count} times: {kind}: {shown[kind]}" for kind, count in problems.items()))
report(mounts() == mounts_before, "no mount is left", set(mounts()) ^ set(mounts_before))
report(files("/run/ctr-oci", "/run/ctrd") == files_before, "no file is left", set(files("/run/ctr-oci", "/run/ctrd")) ^ set(files_before))
units = subprocess.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "ctr-*"], capture_output=True, text=True).stdout
report(units == "", "no scope is left", units)
listed = subprocess.run(["ctr-oci", "list", "--quiet"], capture_output=True, text=True)
report(listed.returncode == 0 and listed.stdout == "", "the list is empty", listed)
sys.exit(0)
