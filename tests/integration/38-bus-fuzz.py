#!/usr/bin/env python3
"""A minute of nonsense on the bus (CTRD_FUZZ_SECONDS): calls with wrong, cut and mutated arguments, too many and too few
descriptors, as root and as nobody special, by callers who wait, who leave at once and who never read an answer. ctrd answers
others meanwhile, and holds nothing of it afterwards. CTRD_TEST_SEED repeats one."""
import os
import pwd
import random
import re
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from rawbus import Body, Bus, CALL, ERROR, NO_REPLY, types_of  # noqa: E402
from standby import declare, descriptors_of, forget_all, report, run, unit, wait_for  # noqa: E402

SECONDS = float(os.environ.get("CTRD_FUZZ_SECONDS", "60"))
SEED = int(os.environ.get("CTRD_TEST_SEED") or time.time())
LONGEST = 15  # seconds for one answer, on a busy machine; who asked the bus and waited for it took 25
TESTER = pwd.getpwnam("tester").pw_uid
INTERACTIVE = 4
chance = random.Random(SEED)

# Of each method the arguments after the container's name.
METHODS = {
    "Start": "", "Stop": "", "Restart": "", "Pause": "", "Resume": "", "Hold": "", "Release": "", "Kill": "si", "Wait": "", "Exec": "asa{sv}hhh", "Attach": "",
    "SetProperties": "ba{sv}", "GetStats": "", "GetProcesses": "", "CopyTo": "sha{sv}", "CopyFrom": "sh", "BindMount": "ssa{sv}",
    "Rename": "s", "Remove": "a{sv}", "GetLogs": "ha{sv}",
}
MANAGERS = {
    "Start": "StartContainer", "Stop": "StopContainer", "Restart": "RestartContainer", "Pause": "PauseContainer",
    "Resume": "ResumeContainer", "Hold": "HoldContainer", "Release": "ReleaseContainer", "Kill": "KillContainer", "Wait": "WaitContainer", "SetProperties": "SetContainerProperties",
    "GetStats": "GetContainerStats", "GetProcesses": "GetContainerProcesses", "CopyTo": "CopyToContainer",
    "CopyFrom": "CopyFromContainer", "BindMount": "BindMountContainer", "Rename": "RenameContainer", "Remove": "RemoveContainer", "GetLogs": "GetContainerLogs",
    "Attach": "AttachContainer",
}
OTHERS = {"ListContainers": "", "GetContainer": "s", "GetContainerByPID": "u", "GetContainerByUnit": "s", "GetContainerByCGroup": "s",
          "CreateContainer": "ss", "GetEvents": "ha{sv}", "ListContainerStats": "s"}
WORDS = ["web", "other", "", "nosuch", "../web", "web\n", "ä" * 300, "x" * 70000, "leader", "all", "/", "/tmp", "/tmp/../..", "/proc/self/fd/9",
         "/bin/true", "true", "User", "Environment", "ConsoleSocket", "WorkingDirectory", "Single", "Mode", "Name", "ReadOnly", "MakeTarget", "Force", "Lines", "AfterCursor",
         "TasksMax", "MemoryMax", "ExecStart", "ctr@web.service", "/machine.slice/ctr@web.service/payload", "%s%n", "A=b"]
ONES = "ybnqiuxtdsogvh"


def number(kind):
    if kind == "d":
        return chance.choice([0.0, -1.5, float("nan"), float("inf")])
    if kind == "b":
        return chance.choice([0, 1])
    bits = {"y": 8, "n": 16, "q": 16, "i": 32, "u": 32, "h": 32, "x": 64, "t": 64}[kind]
    lowest, highest = (-(1 << bits - 1), (1 << bits - 1) - 1) if kind in "nix" else (0, (1 << bits) - 1)
    if kind == "h":
        return chance.choice([0, 1, 2, 2, 15, 200])
    return chance.choice([0, 1, 9, lowest, highest, chance.randint(lowest, highest)])


def signature(depth=0):
    kind = chance.choice(ONES + "a({" if depth < 4 else ONES)
    if kind == "a" and chance.random() < 0.5:
        return "a{s" + signature(depth + 1) + "}"
    if kind == "a":
        return "a" + signature(depth + 1)
    return "(" + signature(depth + 1) + signature(depth + 1) + ")" if kind in "({" else kind


def value(kind):
    if kind in "so":
        return "/io/ctrd1" if kind == "o" else chance.choice(WORDS)
    if kind == "g":
        return "s"
    if kind == "v":
        inner = chance.choice(["s", "b", "u", "t", "h", "as", "i", signature(3)])
        return inner, value(inner)
    if kind.startswith("a{"):
        key, content = types_of(kind[2:-1])
        return {value(key): value(content) for _ in range(chance.choice([0, 1, 1, 2, 5]))}
    if kind.startswith("a"):
        return [value(kind[1:]) for _ in range(chance.choice([0, 1, 1, 3, 40]))]
    return tuple(value(one) for one in types_of(kind[1:-1])) if kind[0] in "({" else number(kind)


def descriptors(count):
    """All kinds: what one end closes at once, what nobody ever reads, what is no file at all."""
    made = []
    while len(made) < count:
        kind = chance.randrange(5)
        if kind == 0:
            made += [one.detach() for one in socket.socketpair()]
        elif kind == 1:
            made += os.pipe()
        else:
            made.append(os.open(["/dev/null", "/dev/zero", "/tmp"][kind - 2], os.O_RDONLY))
    for extra in made[count:]:
        os.close(extra)
    return made[:count]


def call():
    """path, interface, member, signature"""
    member = chance.choice(list(METHODS) + list(OTHERS))
    if member in OTHERS:
        return "/io/ctrd1", "io.ctrd1.Manager", member, OTHERS[member]
    if chance.random() < 0.5:
        return "/io/ctrd1", "io.ctrd1.Manager", MANAGERS.get(member, member), "s" + METHODS[member]
    return "/io/ctrd1/container/" + chance.choice(["web", "other", "nosuch", "_"]), "io.ctrd1.Container", member, METHODS[member]


def mutated(data):
    data = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 8])):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def send_one(bus):
    path, interface, member, wanted = call()
    how = chance.random()
    if how < 0.15:
        wanted = "".join(signature() for _ in range(chance.randrange(4)))
    elif how < 0.2:
        path, interface, member, wanted = chance.choice([
            (path, "org.freedesktop.DBus.Properties", "Get", "ss"), (path, "org.freedesktop.DBus.Properties", "GetAll", "s"),
            (path, "org.freedesktop.DBus.Introspectable", "Introspect", ""), (path, interface, "Nothing", "s"),
            ("/io/ctrd1/container", "org.freedesktop.DBus.Introspectable", "Introspect", "")])
    body = bytes(Body().add(wanted, *(value(one) for one in types_of(wanted))).data)
    if how > 0.95 and body:
        body = mutated(body)
    # One number has to fit what follows; the others are none of a descriptor.
    fds = descriptors(3 if "h" in wanted else chance.choice([0, 0, 0, 1, 16]))
    flags = chance.choice([0, 0, INTERACTIVE, NO_REPLY])
    data = bus.message("io.ctrd1", path, interface, member, wanted, fds=fds, flags=flags, body=body)
    try:
        bus.send(mutated(data) if how > 0.98 else data, fds)
    finally:
        for fd in fds:
            os.close(fd)


def one_caller():
    """One connection, and how it ends: by itself, by the bus, or in the middle of a message."""
    bus = Bus(chance.choice([0, TESTER, TESTER]))
    bus.socket.settimeout(2)
    sent, begin = 0, time.monotonic()
    try:
        for _ in range(chance.choice([1, 3, 10, 40])):
            send_one(bus)
            sent += 1
        if chance.random() < 0.3:
            bus.send(bus.message("io.ctrd1", "/io/ctrd1", "io.ctrd1.Manager", "ListContainers")[:20])
        elif chance.random() < 0.5:
            bus.socket.settimeout(0.2)
            while time.monotonic() < begin + 1:
                bus.receive()
    except OSError:
        pass  # the bus has closed the connection of one who talks nonsense, or nothing more came
    bus.close()
    return sent


class Probe(threading.Thread):
    """Somebody else, who wants an answer."""

    def __init__(self):
        super().__init__(daemon=True)
        self.bus, self.over = Bus(), threading.Event()
        self.bus.socket.settimeout(120)
        self.slowest, self.answers, self.errors = 0.0, 0, []

    def run(self):
        while not self.over.wait(0.1):
            for member, values in (("ListContainers", ()), ("GetContainer", ("web",)), ("StartContainer", ("steady",))):
                begin = time.monotonic()
                reply = self.bus.call("io.ctrd1", "/io/ctrd1", "io.ctrd1.Manager", member, "s" if values else "", values)
                self.slowest = max(self.slowest, time.monotonic() - begin)
                self.answers += 1
                # The bus itself bounds what may wait for one service: 64 descriptors.
                if reply.kind == ERROR and not reply.error.endswith(".LimitsExceeded"):
                    self.errors.append((member, reply.error, reply.text))


def ctrd():
    return int(run("systemctl", "show", "--value", "-p", "MainPID", "ctrd.service"))


def helpers():
    with open("/sys/fs/cgroup/system.slice/ctrd.service/cgroup.procs") as file:
        return [pid for pid in file.read().split() if int(pid) != ctrd()]


def journal_of_ctrd(since):
    run("journalctl", "--sync")
    return run("journalctl", "--no-pager", "-o", "cat", "-u", "ctrd.service", "--after-cursor", since).splitlines()


def cursor():
    return re.search(r"^-- cursor: (.*)$", run("journalctl", "-n", "0", "--show-cursor"), re.M).group(1)


# --- the minute

run("bash", "-c", '. "$CTRD_SOURCE/tests/integration/lib.sh"; make_busybox_tree /srv/tree')
loop = '["/bin/sh", "-c", "trap \\"exit 0\\" TERM; while :; do sleep 0.05; done"]'
for name in ("web", "other", "steady"):
    declare(name, f'rootfs = "/srv/tree"\nstart = "manual"\ncommand = {loop}\n')
run("systemctl", "daemon-reload")
run("systemctl", "start", "ctr@web.service", "ctr@other.service", "ctr@steady.service")
probe = Probe()
probe.bus.call("io.ctrd1", "/io/ctrd1", "io.ctrd1.Manager", "ListContainers")
pid, before, since = ctrd(), len(descriptors_of(ctrd())), cursor()
steady = unit("steady", "MainPID")

probe.start()
callers = calls = 0
end = time.monotonic() + SECONDS
while time.monotonic() < end:
    calls += one_caller()
    callers += 1
probe.over.set()
probe.join(130)

seen = f"seed {SEED}: {calls} calls of {callers} callers, {probe.answers} of others, the slowest answered in {probe.slowest:.1f} s"
print("#", seen)
report(calls > 10 * SECONDS / 2, "ctrd is sent many malformed calls", seen)
report(ctrd() == pid, "it is the same ctrd after them", f"{seen}\n" + run("journalctl", "-n", "30", "-u", "ctrd.service"))
report(not probe.is_alive() and probe.answers > 3 and not probe.errors, "others are answered meanwhile", (seen, probe.errors[:5]))
report(probe.slowest < LONGEST, "and none of them waits for another's call", seen)
report(wait_for(60, lambda: not helpers()), "no helper of a caller who left goes on", run("systemctl", "status", "ctrd.service"))
report(wait_for(60, lambda: len(descriptors_of(pid)) <= before), "no descriptor of a call is left in ctrd",
       (seen, before, descriptors_of(pid)))
report(unit("steady", "MainPID") == steady, "a container that nobody named never noticed")

# systemd forgets to answer one of two calls for the freezer that overtake each other; what ctrd keeps of it has an end.
for _ in range(40):
    bus = Bus()
    stray = os.open("/dev/zero", os.O_RDONLY)
    bus.send(bus.message("io.ctrd1", "/io/ctrd1", "io.ctrd1.Manager", "HoldContainer", "s", fds=[stray],
                         body=bytes(Body().add("s", "steady").data)), [stray])
    os.close(stray)
    bus.close()
report(wait_for(90, lambda: len(descriptors_of(pid)) <= before), "nor is one of those who hold a container and leave at once",
       (before, descriptors_of(pid)))
report(wait_for(60, lambda: unit("steady", "FreezerState") == "running"), "and it runs", unit("steady", "FreezerState"))

# ctrd asks the bus from time to time who is still there.
waiter, stray = Bus(), os.open("/dev/zero", os.O_RDONLY)
waiter.send(waiter.message("io.ctrd1", "/io/ctrd1", "io.ctrd1.Manager", "WaitContainer", "s", fds=[stray],
                           body=bytes(Body().add("s", "steady").data)), [stray])
os.close(stray)
report(wait_for(60, lambda: "/dev/zero" in descriptors_of(pid)), "a call that waits is held", descriptors_of(pid))
time.sleep(18)
report("/dev/zero" in descriptors_of(pid), "as long as its caller is there", descriptors_of(pid))
waiter.close()
report(wait_for(60, lambda: "/dev/zero" not in descriptors_of(pid)), "and no longer", descriptors_of(pid))
lines = journal_of_ctrd(since)
told = [one for one in lines if "polkit" in one or "answer a bus call" in one]
report(not told, "callers who leave are nothing for the journal", (len(told), told[:5]))
report(len(lines) < 100, "nor is anything else that they do", (len(lines), lines[:20]))

# --- whom it waits for

HOLLOW = {"s": "", "i": 0, "b": 0, "h": 0, "as": [], "a{sv}": {}}
with open("waits", "w") as file:
    strace = subprocess.Popen(["strace", "-p", str(pid), "-e", "trace=poll,ppoll,select,pselect6,nanosleep,clock_nanosleep", "-o", "waits"],
                              stderr=subprocess.PIPE, text=True)
strace.stderr.readline()  # "attached"
for uid in (0, TESTER):
    bus, null = Bus(uid), os.open("/dev/null", os.O_RDWR)
    for member, wanted in METHODS.items():
        values = ("steady", *(HOLLOW[one] for one in types_of(wanted)))
        fds = (null,) * 3 if "h" in wanted else ()
        bus.send(bus.message("io.ctrd1", "/io/ctrd1", "io.ctrd1.Manager", MANAGERS.get(member, member), "s" + wanted, values, fds), fds)
    bus.call("io.ctrd1", "/io/ctrd1", "io.ctrd1.Manager", "ListContainers")
    bus.close()
    os.close(null)
probe.bus.call("io.ctrd1", "/io/ctrd1", "io.ctrd1.Manager", "StartContainer", "s", ("steady",))
strace.terminate()
strace.wait()
with open("waits") as file:
    waits = [line for line in file if not line.startswith(("---", "+++"))]
report(strace.returncode is not None and not waits, "no method of ctrd waits for anybody but in its loop", waits[:10])

# --- who is asked for a password when nobody wants to know any more

AGENT, POLKIT = "/agent", "org.freedesktop.PolicyKit1"
agent, asking = Bus(), Bus(TESTER)
with open("/proc/self/stat") as file:
    started = int(file.read().rpartition(")")[2].split()[19])
subject = ("unix-process", {"pid": ("u", os.getpid()), "start-time": ("t", started), "uid": ("i", 0)})
registered = agent.call(POLKIT, "/org/freedesktop/PolicyKit1/Authority", POLKIT + ".Authority", "RegisterAuthenticationAgent",
                        "(sa{sv})ss", (subject, "C", AGENT))
report(registered.kind != ERROR, "somebody can be asked for a password", registered.text)


def next_call(bus):
    while True:
        message = bus.receive()
        if message.kind == CALL:
            return message


asking.send(asking.message("io.ctrd1", "/io/ctrd1", "io.ctrd1.Manager", "StopContainer", "s", ("web",), flags=INTERACTIVE))
begun = next_call(agent)
cookie = begun.text
asking.close()
try:
    gone = next_call(agent)
except OSError as error:
    gone = None
report(gone is not None and "io.ctrd1" in begun.text + begun.body.decode("utf-8", "replace"), "the question is ctrd's", begun.body)
report(gone is not None and gone.text and gone.text.encode() in begun.body, "a question of a caller who leaves is taken back", gone)
agent.close()

for name in ("web", "other", "steady"):
    run("systemctl", "thaw", f"ctr@{name}.service")
    run("systemctl", "revert", f"ctr@{name}.service")
forget_all()
run("rm", "-rf", "/srv/tree")
