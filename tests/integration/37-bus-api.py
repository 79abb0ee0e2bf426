#!/usr/bin/env python3
"""io.ctrd1 as it is documented: what introspection shows is what io.ctrd1(5) says, and an unprivileged user can do with each
method what polkit allows and nothing else."""
import os
import pwd
import re
import subprocess
import sys
import xml.etree.ElementTree as xml

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from rawbus import Bus, ERROR  # noqa: E402
from standby import declare, forget_all, report, run, unit  # noqa: E402

MAN = "/usr/share/man/man5/io.ctrd1.5"
RULES = "/etc/polkit-1/rules.d/10-ctrd-test.rules"
MANAGER, OBJECT = ("/io/ctrd1", "io.ctrd1.Manager"), ("/io/ctrd1/container/{}", "io.ctrd1.Container")
TESTER = pwd.getpwnam("tester").pw_uid

# --- the man page


def documented():
    sections, current, entry = {}, None, False
    with open(MAN) as file:
        for line in file.read().splitlines():
            if line.startswith(".SH "):
                current = sections.setdefault(line[4:].lower(), [])
            elif entry:
                current.append(re.sub(r"\\f[BR]", "", line).replace("\\-", "-"))
            entry = line == ".TP"
    return sections


def arguments(element, direction):
    return ", ".join(f"{one.get('type')} {one.get('name')}" for one in element.findall("arg")
                     if one.get("direction", "out") == direction)


def introspected(path, interface):
    text = subprocess.run(["busctl", "introspect", "--xml-interface", "io.ctrd1", path], capture_output=True, text=True).stdout
    found = xml.fromstring(text[text.index("<node"):]).find(f"interface[@name='{interface}']")
    methods = [f"{one.get('name')}({arguments(one, 'in')})" +
               (f" -> {arguments(one, 'out')}" if arguments(one, "out") else "") for one in found.findall("method")]
    return {"methods": methods,
            "properties": [f"{one.get('type')} {one.get('name')}" for one in found.findall("property")],
            "signals": [f"{one.get('name')}({arguments(one, 'out')})" for one in found.findall("signal")]}


def agree(what, documented_ones, real_ones):
    report(sorted(documented_ones) == sorted(real_ones) and real_ones, f"io.ctrd1(5) has every one of the {what}, and no others",
           f"only documented: {sorted(set(documented_ones) - set(real_ones))}, "
           f"only real: {sorted(set(real_ones) - set(documented_ones))}")


# --- who may what

NULL = os.open("/dev/null", os.O_RDWR)
DATA = os.memfd_create("data")
# method of the object: (the manager's name for it, class, signature, values, descriptors)
METHODS = {
    "Start": ("StartContainer", "manage-containers", "", (), ()),
    "Restart": ("RestartContainer", "manage-containers", "", (), ()),
    "Pause": ("PauseContainer", "manage-containers", "", (), ()),
    "Hold": ("HoldContainer", "manage-containers", "", (), ()),
    "Release": ("ReleaseContainer", "manage-containers", "", (), ()),
    "Resume": ("ResumeContainer", "manage-containers", "", (), ()),
    "Exec": ("Exec", "exec", "asa{sv}hhh", (["/bin/true"], {}, 0, 1, 2), (NULL, NULL, NULL)),
    "Attach": ("AttachContainer", "exec", "", (), ()),
    "SetProperties": ("SetContainerProperties", "set-properties", "ba{sv}", (1, {"TasksMax": ("t", 500)}), ()),
    "CopyTo": ("CopyToContainer", "copy-files", "sha{sv}", ("/tmp/copied", 0, {"Single": ("b", 1)}), (NULL,)),
    "CopyFrom": ("CopyFromContainer", "copy-files", "sh", ("/etc/passwd", 0), (DATA,)),
    "BindMount": ("BindMountContainer", "bind-mount", "ssa{sv}", ("/srv", "/tmp", {}), ()),
    "GetLogs": ("GetContainerLogs", "read-logs", "ha{sv}", (0, {}), (DATA,)),
    # Of one that is declared for good: who may gets to hear that.
    "Rename": ("RenameContainer", "create-containers", "s", ("web2",), ()),
    "Remove": ("RemoveContainer", "create-containers", "a{sv}", ({},), ()),
    "GetStats": ("GetContainerStats", None, "", (), ()),
    "GetProcesses": ("GetContainerProcesses", None, "", (), ()),
    "Kill": ("KillContainer", "manage-containers", "si", ("leader", 28), ()),
    "Stop": ("StopContainer", "manage-containers", "", (), ()),
    "Wait": ("WaitContainer", None, "", (), ()),  # after the Stop
}
READING = {"ListContainers": ("", ()), "GetContainer": ("s", ("web",)), "GetContainerByPID": ("u", (1,)),
           "GetContainerByUnit": ("s", ("ctr@web.service",)), "GetContainerByCGroup": ("s", ("/x",)),
           "ListContainerStats": ("s", ("",)), "GetEvents": ("ha{sv}", (0, {}), (DATA,))}
CREATE = ("CreateContainer", "ss", ("made", 'rootfs = "/srv/tree"\nstart = "manual"\ncommand = ["/bin/true"]\n'))
ACTIONS = sorted({one[1] for one in METHODS.values()} - {None})


def ask(bus, method, container, by_object):
    name, _, signature, values, fds = METHODS[method]
    if by_object:
        return bus.call("io.ctrd1", OBJECT[0].format(container), OBJECT[1], method, signature, values, fds)
    return bus.call("io.ctrd1", MANAGER[0], MANAGER[1], name, "s" + signature, (container, *values), fds)


def allow(action):
    """By one rule, for one user and one container."""
    with open(RULES, "w") as file:
        file.write('polkit.addRule(function(action, subject) {\n'
                   'if (!action.id.startsWith("io.ctrd1.")) return polkit.Result.NOT_HANDLED;\n'
                   f'return action.id == "io.ctrd1.{action}" && action.lookup("container") == "web" && '
                   'subject.user == "tester" ? polkit.Result.YES : polkit.Result.NO; });\n')
    run("systemctl", "restart", "polkit.service")


def changing(action=None):
    return [one for one, facts in METHODS.items() if facts[1] is not None and action in (None, facts[1])]


def refused(bus, methods, container, error):
    wrong = []
    for method in methods:
        for by_object in (False, True):
            reply = ask(bus, method, container, by_object)
            if reply.kind != ERROR or reply.error != error:
                wrong.append((method, by_object, reply.error, reply.text))
    return wrong


run("bash", "-c", '. "$CTRD_SOURCE/tests/integration/lib.sh"; make_busybox_tree /srv/tree')
loop = '["/bin/sh", "-c", "trap \\"exit 0\\" TERM; while :; do sleep 0.05; done"]'
for name in ("web", "other"):
    declare(name, f'rootfs = "/srv/tree"\nstart = "manual"\ncommand = {loop}\nterminal = true\n')
run("systemctl", "daemon-reload")
run("systemctl", "start", "ctr@web.service", "ctr@other.service")

pages = documented()
manager, container = introspected(*MANAGER), introspected(OBJECT[0].format("web"), OBJECT[1])
agree("manager's methods", pages["methods of the manager"], manager["methods"])
agree("manager's properties", pages["properties of the manager"], manager["properties"])
agree("manager's signals", pages["signals of the manager"], manager["signals"])
agree("container's methods", pages["methods of a container"], container["methods"])
agree("container's properties", pages["properties of a container"], container["properties"])
with open(os.path.join(os.environ["CTRD_SOURCE"], "ctrd/bus/reply.hpp")) as source:
    agree("errors", pages["errors"], re.findall(r'"([a-z0-9.A-Z]+\.Error\.\w+)"', source.read()))

names = [one.split("(")[0] for one in manager["methods"] + container["methods"]]
report(sorted(names) == sorted([*READING, *METHODS, CREATE[0], *(one[0] for one in METHODS.values())]),
       "what follows knows every method", names)

tester = Bus(TESTER)
leaders = unit("web", "MainPID"), unit("other", "MainPID")
for method, facts in READING.items():
    reply = tester.call("io.ctrd1", *MANAGER, method, *facts)
    report(not reply.error.endswith(("AccessDenied", "Required")), f"everybody may call {method}", reply.text)
for method in ("GetStats", "GetProcesses"):
    good = all(ask(tester, method, "web", by_object).kind != ERROR for by_object in (False, True))
    report(good, f"everybody may call {method}")
for method in changing():
    wrong = refused(tester, [method], "web", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired")
    report(not wrong, f"without a rule an unprivileged user may not call {method}", wrong)
reply = tester.call("io.ctrd1", *MANAGER, *CREATE)
report(reply.error.endswith("InteractiveAuthorizationRequired"), "nor CreateContainer", reply.text)
report(leaders == (unit("web", "MainPID"), unit("other", "MainPID")), "nothing has come of it")

for action in ACTIONS:
    allow(action)
    run("systemctl", "start", "ctr@web.service")
    others = [one for one in changing() if METHODS[one][1] != action]
    wrong = refused(tester, others, "web", "org.freedesktop.DBus.Error.AccessDenied")
    report(not wrong, f"a rule for {action} allows no method of another class", wrong)
    wrong = refused(tester, changing(action), "other", "org.freedesktop.DBus.Error.AccessDenied")
    report(not wrong, f"nor does the one for {action} allow anything with another container", wrong)
    for method in changing(action):
        replies = [ask(tester, method, "web", by_object) for by_object in (False, True)]
        errors = [one.text for one in replies if one.kind == ERROR and "declared for good" not in one.text]
        # What is stopped by the first call is not there for the second one.
        report(not errors, f"a rule for {action} allows {method}", errors)
        if method in ("Stop", "Kill"):
            run("systemctl", "start", "ctr@web.service")
    reply = tester.call("io.ctrd1", *MANAGER, *CREATE)
    report(reply.error == "org.freedesktop.DBus.Error.AccessDenied", "nor CreateContainer of another name", reply.text)
report(leaders[1] == unit("other", "MainPID"), "the other container never noticed")
report(not os.path.exists("/run/ctrd/containers/made.toml"), "and none was made")

run("systemctl", "stop", "ctr@web.service")
report(ask(tester, "Wait", "web", True).kind != ERROR, "everybody may wait")
writing = tester.call("io.ctrd1", OBJECT[0].format("web"), "org.freedesktop.DBus.Properties", "Set", "ssv",
                      (OBJECT[1], "State", ("s", "running")))
report(writing.error == "org.freedesktop.DBus.Error.AccessDenied", "no property can be written", writing.error)

waits = Bus(TESTER)
for _ in range(70):
    waits.send(waits.message("io.ctrd1", *MANAGER, "WaitContainer", "s", ("other",)))
reply = waits.receive()
while reply.kind != ERROR:
    reply = waits.receive()
report(reply.error.endswith("LimitsExceeded"), "calls of one user that wait have a limit", reply.error)
report(Bus().call("io.ctrd1", *MANAGER, "GetContainer", "s", ("web",)).kind != ERROR, "which is nobody else's")

def paused():
    return unit("other", "FreezerState") == "frozen"


holders = [Bus(), Bus(), Bus()]
for one in holders[:2]:
    one.call("io.ctrd1", *MANAGER, "HoldContainer", "s", ("other",))
holders[2].call("io.ctrd1", *MANAGER, "ReleaseContainer", "s", ("other",))
report(paused(), "who holds nothing releases nothing")
holders[0].call("io.ctrd1", *MANAGER, "ReleaseContainer", "s", ("other",))
report(paused(), "nor does the first of two who hold it let it go on")
holders[1].call("io.ctrd1", *MANAGER, "ReleaseContainer", "s", ("other",))
report(not paused() and run("ctrctl", "exec", "other", "echo", "goes on") == "goes on", "the last one does, at once")
for one in holders:
    one.close()

os.unlink(RULES)
run("systemctl", "revert", "ctr@web.service")
forget_all()
run("rm", "-rf", "/srv/tree")
