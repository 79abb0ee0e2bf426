#!/usr/bin/env python3
"""machinectl shell and login where no systemd runs in the container; and that nobody but machined is listened to."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machines import HERE, Container, Kinds, Terminal, report, run, shell, wait_for  # noqa: E402

BUS = "/run/dbus/system_bus_socket"
IN_BUSYBOX = "/var/run/dbus/system_bus_socket"  # as machined spells it; there is no link to /run


def rights(pid):
    with open(f"/proc/{pid}/status") as file:
        return {line.split(":")[0]: line.split(":")[1].strip() for line in file if ":" in line}


def test_shell(container):
    name = container.name
    said = shell(name, "/bin/sh", "-c", "echo $$ in $(hostname); tty; exit 3")
    report(f"in {name}\n/dev/pts/0" in said, f"{name}: machinectl shell runs a command on a terminal of the container's", said)
    said = shell(name, "/bin/sh", "-c", "grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status")
    own = rights(container.leader())
    mine = dict(line.replace("\t", "").split(":", 1) for line in said.splitlines() if ":" in line)
    same = all(mine.get(key, "").strip() == own[key] for key in ("CapBnd", "CapEff", "CapPrm", "Seccomp"))
    report(same, f"{name}: with the container's own capabilities and seccomp filter, no more", said, own)
    said = shell(name, "/bin/sh", "-c", "for n in pid mnt net ipc uts cgroup; do readlink /proc/self/ns/$n; done")
    expected = [os.readlink(f"/proc/{container.leader()}/ns/{n}") for n in ("pid", "mnt", "net", "ipc", "uts", "cgroup")]
    report(said.split()[:6] == expected, f"{name}: in all of the container's namespaces", said, expected)


def test_interactive(container):
    name = container.name
    terminal = Terminal("machinectl", "shell", name)
    good = terminal.expect("# ")
    terminal.type("echo is-$((6*7))-here; stty size\n")
    report(good and terminal.expect("is-42-here"), f"{name}: without a command there is a shell to talk to", terminal.text)
    terminal.type("sleep 100\n")
    time.sleep(0.5)
    terminal.type("\x03")
    terminal.type("echo back-$((6*8))\n")
    report(terminal.expect("back-48"), f"{name}: Ctrl-C ends what runs in it, not the shell", terminal.text)
    terminal.type("exit\n")
    report(terminal.wait() == 0, f"{name}: it ends when the shell does", terminal.text)
    left = run("pgrep", "-f", "ctr-run exec").stdout
    report(wait_for(lambda: not run("pgrep", "-f", "ctr-run exec").stdout, 5), f"{name}: nothing of ours stays", left)
    # The other end goes away: as when an ssh session is cut.
    terminal = Terminal("machinectl", "shell", name, "/bin/sleep", "4242")
    running = wait_for(lambda: run("pgrep", "-f", "sleep 4242").stdout.count("\n") > 1, 10)
    os.close(terminal.fd)
    os.kill(terminal.pid, 9)
    os.waitpid(terminal.pid, 0)
    report(running and wait_for(lambda: not run("pgrep", "-f", "^/bin/sleep 4242").stdout, 10),
           f"{name}: who loses the connection ends what runs on it")


def test_users(container):
    said = shell("web@busybox", "/bin/sh", "-c", "id; pwd; echo $USER $HOME $LOGNAME; stat -c %U $(tty)")
    good = "uid=33(web) gid=34(web)" in said and "/srv/web\nweb /srv/web web\nweb" in said
    report(good, "busybox: another user of the container's, in its home, with the terminal as its own", said)
    said = shell("nosuch@busybox", "/bin/sh", "-c", "echo ran")
    report("ran" not in said and "nosuch" in said, "busybox: of an unknown user it says so", said)
    said = shell("--setenv=COLOUR=blue", "busybox", "/bin/sh", "-c", "echo $COLOUR $container $TERM")
    report("blue ctrd vt220" in said, "busybox: variables come along", said)
    said = shell("busybox", "/bin/nosuch")
    report("/bin/nosuch" in said and "not" in said.lower(), "busybox: of a missing program it says so", said)


def test_login(container):
    name = container.name
    terminal = Terminal("machinectl", "login", name)
    asked = terminal.expect("login: ")
    terminal.type("root\n")
    if terminal.expect("Password:", 3):
        terminal.type("\n")
    good = asked and (terminal.expect("# ", 10) or terminal.expect("incorrect", 10))
    report(good, f"{name}: machinectl login asks who one is", terminal.text)
    terminal.type("\x1d\x1d\x1d")
    report(terminal.wait() is not None, f"{name}: three ^] leave it", terminal.text)
    report(wait_for(lambda: not run("pgrep", "-f", "ctr-run exec").stdout, 15), f"{name}: the log-in ends with it",
           run("pgrep", "-af", "ctr-run exec").stdout)


def speak_inside(container, script):
    """Runs Python in the nginx container, which has one, as its root."""
    return run("ctrctl", "exec", container.name, "--", "/usr/bin/python3", "-c", script)


HELLO = r"""
import socket
s = socket.socket(socket.AF_UNIX); s.settimeout(8); s.connect("/run/dbus/system_bus_socket")
s.sendall(b"\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n")
try:
    print("answer", s.recv(100))
except (ConnectionResetError, BrokenPipeError):
    print("answer b''")
"""
SILENT = r"""
import socket, time
held = []
for i in range(40):
    s = socket.socket(socket.AF_UNIX); s.settimeout(3)
    try: s.connect("/run/dbus/system_bus_socket")
    except (BlockingIOError, TimeoutError): break
    held.append(s)
print("holding", len(held), flush=True)
time.sleep(8)
"""


def test_strangers(container):
    said = speak_inside(container, HELLO)
    report(said.stdout.strip() == "answer b''", "root of the container is not listened to", said.stdout, said.stderr)
    call = ["busctl", f"--address=unix:path={BUS}", "--timeout=5", "call", "org.freedesktop.systemd1",
            "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StartUnit", "ss", "container-getty@0.service",
            "replace"]
    said = run("ctrctl", "exec", container.name, "--", *call)
    report(said.returncode != 0, "nor can it have a log-in started", said.stdout, said.stderr)
    said = run("nsenter", f"--mount=/proc/{container.leader()}/ns/mnt", *call)
    report(said.returncode != 0, "nor is root of the host who is not machined", said.stdout, said.stderr)
    flood = subprocess.Popen(["ctrctl", "exec", container.name, "--", "/usr/bin/python3", "-c", SILENT], stdout=subprocess.PIPE,
                             text=True)
    held = flood.stdout.readline()
    said = shell(container.name, "/bin/echo", "still-there", seconds=40)
    report("still-there" in said, f"who keeps silent connections open does not keep machined out ({held.strip()})", said)
    said = shell("busybox", "/bin/echo", "not-mine")
    report("not-mine" in said, "and other containers do not notice", said)
    flood.kill()
    flood.wait()


def test_host_bus():
    same = os.stat(BUS)
    for container in kinds:
        inside = os.stat(container.root(IN_BUSYBOX if container.name == "busybox" else BUS))
        report((inside.st_dev, inside.st_ino) != (same.st_dev, same.st_ino), f"{container.name}: the host's bus is not there")
    for how in ("", "machine-shell = false\n"):
        tried = Container("nosy", f'rootfs = "{os.getcwd()}/nginx"\ncommand = ["/bin/sleep", "1000"]\nstart = "manual"\n{how}'
                                  f'[[mount]]\nsource = "/run"\ntarget = "/run"\n')
        try:
            started = run("systemctl", "start", tried.unit)
            if how:
                report(started.returncode != 0 and "is not the host's own bus" in tried.log(),
                       "a container that has the host's /run, and no socket of ours over its bus, does not start",
                       started.stderr, tried.log())
            else:
                inside = os.stat(tried.root(BUS))
                report((inside.st_dev, inside.st_ino) != (same.st_dev, same.st_ino),
                       "with the host's /run in a container, ours is over the host's bus")
                wait_for(lambda: tried.machine("Leader") == str(tried.leader()))
                said = shell("nosy", "/bin/hostname")
                report("nosy" in said, "and a shell there is in the container", said)
        finally:
            tried.forget()


def test_recovery(container):
    run("systemctl", "kill", "-s", "KILL", "ctrd.service")
    said = shell("busybox", "/bin/echo", "after-kill")
    report("after-kill" in said, "after ctrd was killed a shell is there as before", said)
    run("systemctl", "stop", "ctrd.service")
    run("systemctl", "start", "ctrd.service")
    said = shell("busybox", "/bin/echo", "after-stop")
    report("after-stop" in said, "after it was stopped and started too", said)
    for _ in range(3):
        run("systemctl", "restart", container.unit)
    wait_for(lambda: container.machine("Leader") == str(container.leader()))
    said = shell("busybox", "/bin/echo", "after-restart")
    report("after-restart" in said, "after restarts of the container as well", said)
    report(container.property("NFileDescriptorStore") == "1", "whose unit stores one socket, not one for each start",
           container.property("NFileDescriptorStore"))


def active(unit):
    return run("systemctl", "is-active", unit).stdout.strip()


def test_stopped(container):
    """machined has one thread: who makes it wait makes everybody wait."""
    run("systemctl", "stop", "ctrd.service")
    report(wait_for(lambda: active("ctrd.service") == "inactive" and active("ctrd-wake.service") == "active"), "a ctrd that is stopped leaves somebody at the sockets",
           active("ctrd.service"), active("ctrd-wake.service"))
    said = shell(container.name, "/bin/echo", "woken", seconds=60)
    report("woken" in said and active("ctrd.service") == "active" and active("ctrd-wake.service") == "inactive",
           "machinectl shell starts it again, and gets its shell", said, active("ctrd.service"), active("ctrd-wake.service"))
    run("systemctl", "restart", "ctrd.service")
    report(active("ctrd.service") == "active" and active("ctrd-wake.service") == "inactive", "a restart leaves nobody there")
    run("systemctl", "mask", "--runtime", "ctrd.service")
    run("systemctl", "stop", "ctrd.service")
    said = Terminal("machinectl", "--quiet", "shell", container.name, "/bin/echo", "refused")
    status = said.wait(60)
    report(status not in (0, None) and "refused" not in said.text, "one that can't be started makes it fail, and nobody wait", status, said.text)
    listed = run("machinectl", "list", "--no-legend")
    report(listed.returncode == 0 and container.name in listed.stdout, "machined goes on", listed)
    run("systemctl", "unmask", "--runtime", "ctrd.service")
    run("systemctl", "reset-failed", "ctrd.service", "ctrd-handover.socket")
    run("systemctl", "start", "ctrd-handover.socket")
    said = shell(container.name, "/bin/echo", "again", seconds=60)
    report("again" in said, "when it can be started again, it is", said)


def test_standby():
    """One that waits for a connection is a machine, too: machined, which has one thread, must not wait for it."""
    for port, mode in enumerate(("created", "frozen"), 8093):
        container = Container(mode, f'rootfs = "{HERE}/busybox"\ncommand = ["/bin/httpd", "-f", "-p", "80"]\nstandby = "{mode}"\n'
                                    f'idle-timeout = "1s"\n[[socket]]\nlisten = "127.0.0.1:{port}"\nport = 80\n')
        container.start()
        def phase():
            return run("busctl", "get-property", "io.ctrd1", f"/io/ctrd1/container/{mode}", "io.ctrd1.Container", "Standby").stdout
        waits = wait_for(lambda: mode in phase(), 60)
        said = shell(mode, "/bin/sh", "-c", "sleep 3; echo through-$((6*7))", seconds=60)
        report(waits and "through-42" in said, f"{mode}: machinectl shell runs to its end in one that waits", phase(), said, container.log())
        report(wait_for(lambda: mode in phase(), 60), f"{mode}: and then it waits as before", phase())
        run("systemctl", "restart", "ctrd.service")
        said = shell(mode, "/bin/echo", "after-restart", seconds=60)
        report("after-restart" in said, f"{mode}: another ctrd answers as well", said)
        container.forget()
    said = run("journalctl", "--no-pager", "-o", "cat", "-u", "ctrd.service").stdout
    report("cannot announce" not in said, "a ctrd that ends wakes who stands still while the bus still hears of it", said)


with Kinds(("busybox", "nginx")) as kinds:
    for each in kinds:
        each.start()
        test_shell(each)
        test_interactive(each)
    test_users(kinds[0])
    for each in kinds:
        test_login(each)
    test_strangers(kinds[1])
    test_host_bus()
    test_recovery(kinds[0])
    test_stopped(kinds[0])
    test_standby()
    for each in kinds:
        run("systemctl", "stop", each.unit)
    left = os.listdir("/run/ctrd/machines")
    report(not left, "no socket is left of containers that have stopped", left)
