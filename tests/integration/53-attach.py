#!/usr/bin/env python3
"""A container with a terminal: nobody has to look for it to go on, and who attaches gets at it, over restarts of ctrd."""
import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machines import Container, Terminal, busybox_tree, report, run, wait_for  # noqa: E402

TREE = busybox_tree()
# Writes more than a terminal holds before anybody looks, then is a shell.
COMMAND = ["/bin/sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done; touch /tmp/written; exec /bin/sh"]


def declaration(command, more=""):
    words = ", ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in command)
    return f'rootfs = "{TREE}"\ncommand = [{words}]\nstart = "manual"\nterminal = true\n{more}'


def attach(*arguments):
    return Terminal("ctrctl", "attach", *arguments)


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def is_raw(terminal):
    return not termios.tcgetattr(terminal.fd)[3] & (termios.ICANON | termios.ECHO)


def detach(terminal):
    terminal.type("\x10")
    time.sleep(0.1)
    terminal.type("\x11")
    return terminal.wait()


def test_nobody_looks(container):
    container.start()
    report(wait_for(lambda: os.path.exists(f"{TREE}/tmp/written"), 60), "with nobody attached a program that writes a lot goes on")
    beside = run("sh", "-c", f"cat $(find /sys/fs/cgroup/machine.slice/{container.unit} -name cgroup.procs)").stdout.split()
    programs = [os.readlink(f"/proc/{pid}/exe") for pid in beside]
    report(programs and not any("ctr" in os.path.basename(one) for one in programs), "no process of ours is beside it", programs)
    report(container.property("NFileDescriptorStore") == "2", "its unit keeps its terminal", container.property("NFileDescriptorStore"))


def test_attached(container):
    one = attach(container.name)
    report(one.expect("line-19999"), "who attaches sees what was written last", one.text[-300:])
    one.type("tty; echo the-$((40 + 2))\n")
    report(one.expect("/dev/pts/0") and one.expect("the-42"), "types into the program's own terminal", one.text[-300:])
    report(is_raw(one), "their own is raw meanwhile")
    resize(one, 44, 122)
    time.sleep(0.3)
    one.type("stty size\n")
    report(one.expect("44 122"), "a resize gets through", one.text[-300:])
    two = attach(container.name)
    two.expect("44 122")
    two.type("echo for-both-$((1 + 1))\n")
    report(one.expect("for-both-2") and two.expect("for-both-2"), "two who are attached see the same", one.text[-200:], two.text[-200:])
    looking = attach("--no-stdin", container.name)
    looking.expect("for-both-2")
    looking.type("echo not-$((1 + 1))-typed\n")
    time.sleep(0.5)
    two.type("echo typed-$((2 + 1))\n")
    seen = looking.expect("typed-3")
    report(seen and "not-2-typed" not in two.text, "with --no-stdin one only looks", looking.text[-200:])
    os.kill(looking.pid, signal.SIGINT)
    report(looking.wait() == -signal.SIGINT, "and ^C leaves")
    report(detach(two) == 0 and not is_raw(two), "the detach keys leave it running, and the user's terminal as it was", two.text[-200:])
    one.type("echo still-$((1 + 1))\n")
    report(one.expect("still-2"), "the others stay")
    other = attach("--detach-keys", "ctrl-x,d", container.name)
    other.type("\x18d")
    report(other.wait() == 0, "other keys can be chosen", other.text[-200:])
    return one


def test_reader_who_stands_still(container, one):
    stopped = attach(container.name)
    stopped.expect("still-2")
    os.kill(stopped.pid, signal.SIGSTOP)
    one.type("head -c 1000000 /dev/zero | tr '\\0' x; echo end-$((1 + 1))\n")
    report(one.expect("end-2", 90), "who is attached and does not read holds nobody up for ever", one.text[-100:])
    os.kill(stopped.pid, signal.SIGKILL)
    os.waitpid(stopped.pid, 0)


def test_restart_of_ctrd(container, one):
    one.text = ""
    run("systemctl", "restart", "ctrd.service")
    one.type("\n")
    time.sleep(0.3)
    one.type("echo after-$((1 + 1))\n")
    if not one.expect("after-2", 5):
        one.type("echo after-$((1 + 1))\n")
    report(one.expect("after-2"), "who is attached stays so over a restart of ctrd", one.text)
    run("systemctl", "stop", "ctrd.service")
    run("systemctl", "start", "ctrd.service")
    again = attach(container.name)
    again.type("echo anew-$((1 + 1))\n")
    report(again.expect("anew-2"), "and after its stop and start the terminal is there", again.text)
    detach(again)


def test_end(container, one):
    one.type("exit 42\n")
    report(one.wait() == 42, "it ends with the container, and with its exit code", one.text[-200:])
    report(not is_raw(one), "the user's terminal is as it was")
    said = run("ctrctl", "attach", container.name)
    report(said.returncode == 1 and "is not running" in said.stderr, "of one that does not run it says so", said.stderr)


def test_refusals(container):
    said = run("runuser", "-u", "tester", "--", "ctrctl", "attach", "--no-ask-password", container.name)
    report(said.returncode == 4, "an unprivileged user is refused", said.returncode, said.stderr)
    said = run("runuser", "-u", "tester", "--", "busctl", "call", "io.ctrd1", f"/io/ctrd1/container/{container.name}",
               "io.ctrd1.Container", "Attach")
    report(said.returncode != 0 and "authentication" in said.stderr, "at the object, too", said.stderr)
    plain = Container("plain", f'rootfs = "{TREE}"\ncommand = ["/bin/sleep", "1000"]\nstart = "manual"\n')
    plain.start()
    said = run("ctrctl", "attach", "plain")
    report(said.returncode == 1 and "has no terminal" in said.stderr and "ctrctl logs -f plain" in said.stderr,
           "without a terminal it says what to do", said.stderr)
    plain.forget()
    said = run("ctrctl", "attach", "--detach-keys", "alt-x", container.name)
    report(said.returncode == 2 and "alt-x" in said.stderr, "keys that there are not are bad input", said.stderr)


def test_detached_run():
    """run -d -t, and a payload that ends at once."""
    began = run("ctrctl", "run", "-d", "-t", "--name", "bg", "--rootfs", TREE, "--", "/bin/sh")
    shell = attach("bg")
    shell.type("echo here-$((1 + 1)); exit 7\n")
    report(began.returncode == 0 and shell.expect("here-2"), "run -d -t gives a shell to attach to", began.stderr, shell.text)
    report(shell.wait() == 7, "with its exit code", shell.text)
    run("ctrctl", "rm", "-f", "bg")
    began = run("ctrctl", "run", "-d", "-t", "--name", "short", "--rootfs", TREE, "--", "/bin/sh", "-c", "echo x; exit 5")
    ended = run("ctrctl", "wait", "short")
    report(ended.returncode == 5, "one that ends at once leaves its exit code", began.stderr, ended.returncode)
    run("ctrctl", "rm", "-f", "short")


shell = Container("shell", declaration(COMMAND))
try:
    test_nobody_looks(shell)
    user = test_attached(shell)
    test_refusals(shell)
    test_reader_who_stands_still(shell, user)
    test_restart_of_ctrd(shell, user)
    test_end(shell, user)
    init = Container("init", declaration(["/bin/sh"], "init = true\n"))
    init.start()
    terminal = attach("init")
    terminal.expect("# ")
    terminal.type("sleep 1000\n")
    time.sleep(0.5)
    terminal.type("\x03")
    terminal.type("echo back-$((1 + 1))\n")
    report(terminal.expect("back-2"), "with init = true ^C reaches the program", terminal.text)
    terminal.type("exit 3\n")
    report(terminal.wait() == 3, "and its exit code comes back", terminal.text)
    init.forget()
    test_detached_run()
finally:
    shell.forget()
    for name in ("init", "plain"):
        if os.path.exists(f"/etc/ctrd/containers/{name}.toml"):
            subprocess.run(["rm", "-f", f"/etc/ctrd/containers/{name}.toml"], check=False)
