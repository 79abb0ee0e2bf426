#!/usr/bin/env python3
"""Containers that are created, renamed and removed over the bus, by ctrctl too; and what the journal has of them, over the bus."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from rawbus import Bus, ERROR  # noqa: E402
from standby import forget_all, make_payload_tree, report, run, unit, wait_for  # noqa: E402

MANAGER = ("io.ctrd1", "/io/ctrd1", "io.ctrd1.Manager")
FOLDER = "/run/ctrd/containers"
TREE = make_payload_tree()
bus = Bus()
bus.socket.settimeout(120)


def call(method, signature, *values, fds=()):
    return bus.call(*MANAGER, method, signature, values, fds)


def ctrctl(*arguments):
    done = subprocess.run(["ctrctl", *arguments], capture_output=True, text=True, timeout=120)
    return done.returncode, (done.stdout + done.stderr).strip()


def listed():
    return {one["name"]: one["state"] for one in json.loads(run("ctrctl", "list", "--json=short"))}


def journal(method, *more, **options):
    """The answer, and the entries that were written."""
    file = os.memfd_create("entries")
    reply = call(method, "s" * len(more) + "ha{sv}", *more, 0, options, fds=(file,))
    os.lseek(file, 0, os.SEEK_SET)
    with open(file) as text:
        return reply, [json.loads(line) for line in text]


def seen(entries):
    return [(one.get("CTRD_EVENT"), one.get("CTRD_NAME")) for one in entries]


def declaration(*command, more=""):
    return f'rootfs = "{TREE}"\nstart = "manual"\ncommand = {json.dumps(list(command))}\n{more}'


# --- create
socket = '[[socket]]\nlisten = "127.0.0.1:8131"\nport = 80\n'
reply = call("CreateContainer", "ss", "made", declaration("/payload", "serve", "80", more=socket))
report(reply.kind != ERROR and reply.text == "/io/ctrd1/container/made", "a container is created from a folder", reply.text)
report(listed().get("made") == "stopped", "it is there at once, and not started", listed())
report(oct(os.stat(f"{FOLDER}/made.toml").st_mode & 0o777) == "0o600", "others can't read its environment")
reply = call("CreateContainer", "ss", "made", declaration("/payload"))
report(reply.kind == ERROR and "declares a container 'made' already" in reply.text, "its name is taken then", reply.text)
for text, expected in (("rootfs = 1\n", "made.toml:1"), ("nonsense", "1:"), (declaration("/payload") + "colour = 1\n", "unknown key 'colour'")):
    reply = call("CreateContainer", "ss", "bad", text)
    report(reply.error == "io.ctrd1.Error.BadInput" and expected.replace("made", "bad") in reply.text,
           "a wrong declaration is an error that says what and where", f"{reply.error} {reply.text}")
report(not os.path.exists(f"{FOLDER}/bad.toml") and "bad" not in listed(), "of which nothing is left")
reply = call("CreateContainer", "ss", "../up", declaration("/payload"))
report(reply.error == "io.ctrd1.Error.BadInput", "a name that is a path is none", reply.text)
os.makedirs("/home/tester/bundle", exist_ok=True)
os.makedirs("bundle", exist_ok=True)
with open("/home/tester/bundle/config.json", "w") as file:
    json.dump({"ociVersion": "1.0.2", "root": {"path": TREE}, "process": {"args": ["/payload", "waiting"], "cwd": "/"},
               "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
               "linux": {"namespaces": [{"type": one} for one in ("pid", "mount", "network", "ipc", "uts")]}}, file)
reply = call("CreateContainer", "ss", "bundled", 'bundle = "/home/tester/bundle"\nstart = "manual"\n')
report(reply.kind != ERROR, "from a bundle too, also in a folder that ctrd itself does not see", reply.text)
report(call("StartContainer", "s", "bundled").kind != ERROR and listed()["bundled"] == "running", "which runs", listed())

# --- rename
reply = call("RenameContainer", "ss", "bundled", "other")
report(reply.kind == ERROR and "is running" in reply.text and "bundled" in listed(), "who runs keeps the name", reply.text)
run("systemctl", "start", "ctr@made.socket")
reply = call("RenameContainer", "ss", "made", "bundled")
report(reply.kind == ERROR and "already" in reply.text, "nobody gets another's name", reply.text)
reply = call("RenameContainer", "ss", "made", "web")
report(reply.text == "/io/ctrd1/container/web" and set(listed()) == {"web", "bundled"}, "one at rest gets another name", f"{reply.text} {listed()}")
report(run("systemctl", "is-active", "ctr@web.socket", "ctr@made.socket") == "active\ninactive", "and goes on listening under it")
report(run("python3", "-c", "import socket; s = socket.create_connection(('127.0.0.1', 8131), 60); print(s.recv(9))") != "" and
       unit("web", "MainPID") != "0", "a connection starts it")
code, said = ctrctl("rename", "nosuch", "x")
report(code == 3, "there is no other to rename", said)

# --- ctrctl create
code, said = ctrctl("create", "--name", "kept", "--rootfs", TREE, "--", "/payload", "exit", "5")
report(code == 0 and said == "kept" and listed()["kept"] == "stopped", "ctrctl create makes one, and does not start it", said)
for root, text in ((FOLDER, 'command = ["/payload", "exit", "6"]\n'), ("/etc/ctrd/containers", 'hostname = "dropped"\n')):
    os.makedirs(f"{root}/kept.toml.d")
    with open(f"{root}/kept.toml.d/{text.split()[0]}.conf.toml", "w") as file:
        file.write(text)
code, said = ctrctl("rename", "kept", "named")
report(code == 0 and "named" in listed() and "kept" not in listed(), "ctrctl rename names it", said)
ctrctl("start", "named")
report(ctrctl("wait", "named")[0] == 6, "it is started when that is asked for, with the drop-ins that came along", ctrctl("cat", "named"))
report(os.path.exists("/etc/ctrd/containers/named.toml.d/hostname.conf.toml"), "the administrator's ones, too")
run("rm", "-r", "/etc/ctrd/containers/named.toml.d")
os.makedirs(f"{FOLDER}/taken.toml.d")
code, said = ctrctl("rename", "named", "taken")
report(code != 0 and "taken.toml.d" in said and "named" in listed(), "one whose drop-ins would meet others is not renamed", said)
os.rmdir(f"{FOLDER}/taken.toml.d")

# --- remove
reply = call("RemoveContainer", "sa{sv}", "bundled", {})
report(reply.kind == ERROR and "is running" in reply.text, "who runs is not removed", reply.text)
reply = call("RemoveContainer", "sa{sv}", "bundled", {"Force": ("b", 1)})
report(reply.kind != ERROR and "bundled" not in listed(), "but by force", reply.text)
reply = call("RemoveContainer", "sa{sv}", "named", {"Fast": ("b", 1)})
report(reply.error == "io.ctrd1.Error.BadInput" and "named" in listed(), "an option that is none is refused", reply.text)

# --- logs and events
run("journalctl", "--sync")
reply, entries = journal("GetEvents", Container=("s", "named"))
report(seen(entries) == [("declared", "named"), ("started", "named"), ("ended", "named")], "GetEvents tells of one's life", entries)
reply, last = journal("GetEvents", Lines=("t", 1))
ctrctl("rm", "named")
run("journalctl", "--sync")
reply, entries = journal("GetEvents", AfterCursor=("s", last[0]["__CURSOR"]))
report(seen(entries) == [("undeclared", "named")], "and goes on after a cursor", entries)
reply, entries = journal("GetEvents", AfterCursor=("s", "--file=/etc/shadow"))
report(reply.error == "io.ctrd1.Error.BadInput" and not entries, "what is no cursor is refused before journalctl sees it", reply.text)
subprocess.run(["logger", "--journald"], text=True, user="tester",
               input="MESSAGE_ID=cf64797fea7f40659ab97ee57ea14bfd\nCTRD_EVENT=started\nCTRD_NAME=forged\nMESSAGE=made up\n")
subprocess.run(["logger", "--journald"], text=True,
               input="MESSAGE_ID=cf64797fea7f40659ab97ee57ea14bfd\nCTRD_EVENT=started\nCTRD_NAME=genuine\nMESSAGE=root's\n")
run("journalctl", "--sync")
reply, entries = journal("GetEvents")
report(("started", "genuine") in seen(entries) and ("started", "forged") not in seen(entries), "only root's events count", seen(entries))
report("genuine" in ctrctl("events")[1] or "root's" in ctrctl("events")[1], "ctrctl has them too")
report("made up" not in ctrctl("events")[1], "and no others")
reply, entries = journal("GetContainerLogs", "web")
report(reply.kind != ERROR and any("Started" in one["MESSAGE"] for one in entries), "GetContainerLogs has what the journal has of one", entries)
everything = len(entries)
reply, entries = journal("GetContainerLogs", "web", Lines=("t", 1))
report(len(entries) == 1 < everything, "or the end of it", entries)
reply, entries = journal("GetContainerLogs", "web", Since=("t", 4102444800000000))
report(reply.kind != ERROR and not entries, "or what is after some time", entries)
reading, writing = os.pipe()
follower = Bus()
follower.send(follower.message(*MANAGER, "GetEvents", "ha{sv}", (0, {"Follow": ("b", 1)}), (writing,)), (writing,))
os.close(writing)
helper = wait_for(30, lambda: run("pgrep", "-f", "^/usr/bin/journalctl.*--follow"))
run("systemctl", "stop", "ctr@web.service")
line = b""
while not line.endswith(b"\n"):
    line += os.read(reading, 1)
report(helper and json.loads(line)["CTRD_EVENT"] in ("started", "ended"), "with Follow it goes on", line)
follower.close()
report(wait_for(30, lambda: not run("pgrep", "-f", "^/usr/bin/journalctl.*--follow")), "until the caller leaves")
os.close(reading)
ctrctl("rm", "--force", "web")
report(not os.listdir(FOLDER) and not listed(), "nothing is left of any", os.listdir(FOLDER))
run("rm", "-r", "/home/tester/bundle")
