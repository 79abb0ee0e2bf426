#!/usr/bin/env python3
"""A container's terminal in the user's: exec and run under a pseudo terminal, as a person uses them."""

import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

TREE = "/srv/tty-tree"
DECLARATION = "/etc/ctrd/containers/term.toml"


def result(good: bool, sentence: str, *details: object) -> None:
    print(f"{'ok' if good else 'not ok'} - {sentence}")
    if not good:
        for detail in details:
            print(f"    {detail!r}")
    sys.stdout.flush()


class Terminal:
    """A program on a terminal of its own, and what it has written."""

    def __init__(self, *argv: str, rows: int = 24, columns: int = 80) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "vt220"
            os.execvp(argv[0], argv)
        self.text = ""
        self.resize(rows, columns)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def expect(self, part: str, seconds: float = 10) -> bool:
        end = time.monotonic() + seconds
        while part not in self.text and time.monotonic() < end:
            if not select.select([self.fd], [], [], 0.1)[0]:
                continue
            try:
                self.text += os.read(self.fd, 4096).decode(errors="replace")
            except OSError:
                break
        found = part in self.text
        if found:
            self.text = self.text.split(part, 1)[1]
        return found

    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.fd)[3] & (termios.ICANON | termios.ECHO)

    def wait(self, seconds: float = 10) -> int | None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.expect("\0", 0.05)  # only to keep the output flowing
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.expect("\0", 0.5)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return None


def make_tree() -> None:
    shutil.rmtree(TREE, ignore_errors=True)
    for folder in ("bin", "proc", "sys", "dev", "etc", "tmp", "root"):
        os.makedirs(f"{TREE}/{folder}")
    shutil.copy("/bin/busybox", f"{TREE}/bin/busybox")
    subprocess.run(["chroot", TREE, "/bin/busybox", "--install", "-s", "/bin"], check=True)
    with open(f"{TREE}/etc/passwd", "w", encoding="ascii") as file:
        file.write("root:x:0:0:root:/root:/bin/sh\n")


def try_shell(kind: str, *argv: str) -> None:
    """What holds for exec and run alike: `argv` gives a shell on a terminal."""
    shell = Terminal(*argv, rows=33, columns=101)
    shell.type("tty; echo the-$((40 + 2))\n")
    result(shell.expect("/dev/pts/") and shell.expect("the-42"), f"{kind}: the shell has a terminal of its own", shell.text)
    shell.type("stty size\n")
    result(shell.expect("33 101"), f"{kind}: its size is the user's", shell.text)
    result(shell.is_raw(), f"{kind}: the user's terminal is raw meanwhile")
    shell.resize(44, 122)
    time.sleep(0.2)
    shell.type("stty size\n")
    result(shell.expect("44 122"), f"{kind}: a resize gets through", shell.text)
    shell.type("sleep 100; echo slept-$?\n")
    time.sleep(0.4)
    shell.type("\x03")
    shell.type("echo int-$((1 + 1))\n")
    result(shell.expect("int-2", 5), f"{kind}: ^C ends the command in the shell and not the shell", shell.text)
    shell.type("exit 42\n")
    code = shell.wait()
    result(code == 42, f"{kind}: it ends with the shell's exit code", code, shell.text)
    result(not shell.is_raw(), f"{kind}: the terminal is as it was")
    os.close(shell.fd)


def try_signals(kind: str, *argv: str) -> None:
    """A signal from outside, with the terminal raw."""
    shell = Terminal(*argv)
    shell.type("echo ready-$((1 + 1))\n")
    shell.expect("ready-2")
    os.kill(shell.pid, signal.SIGTERM)
    code = shell.wait()
    result(code is not None and code != 0, f"{kind}: SIGTERM ends it", code, shell.text)
    result(not shell.is_raw(), f"{kind}: and leaves the terminal as it was")
    os.close(shell.fd)


def try_exec() -> None:
    os.makedirs(os.path.dirname(DECLARATION), exist_ok=True)
    with open(DECLARATION, "w", encoding="ascii") as file:
        file.write(f'rootfs = "{TREE}"\ncommand = ["/bin/sleep", "1000"]\n')
    subprocess.run(["ctrctl", "apply"], check=True, stdout=subprocess.DEVNULL)
    try_shell("exec", "ctrctl", "exec", "term", "sh")
    try_signals("exec", "ctrctl", "exec", "term", "sh")
    shell = Terminal("ctrctl", "exec", "term", "sh", "-c", "echo $TERM; head -c 200000 /dev/zero | tr '\\0' x; echo end")
    result(shell.expect("vt220"), "exec: TERM is the user's", shell.text)
    result(shell.expect("end"), "exec: all of a long output arrives before the end")
    result(shell.wait() == 0, "exec: and the code is 0")
    piped = subprocess.run(["ctrctl", "exec", "-t", "term", "sh", "-c", "tty > /dev/null && cat"], input=b"typed\n",
                           capture_output=True, timeout=20, check=False)
    result(piped.returncode == 0 and b"typed" in piped.stdout, "exec -t: input from a pipe is typed, its end is ^D", piped)
    plain = Terminal("ctrctl", "exec", "-T", "term", "sh", "-c", "test ! -t 0 || echo has-a-terminal; echo done-$((1 + 1))")
    result(plain.expect("done-2"), "exec -T: runs without a terminal of the container's", plain.text)
    plain.wait()
    bad = Terminal("ctrctl", "exec", "term", "/bin/nosuch")
    result(bad.wait() == 127 and not bad.is_raw(), "exec: a missing command leaves the terminal as it was")


def try_exec_without_ctrd() -> None:
    """ctrd is killed under an exec: the shell keeps its terminal, and only its exit code is lost."""
    shell = Terminal("ctrctl", "exec", "term", "sh")
    shell.type("echo ready-$((1 + 1))\n")
    shell.expect("ready-2")
    pid = subprocess.run(["systemctl", "show", "--value", "-p", "MainPID", "ctrd.service"], capture_output=True, check=True)
    os.kill(int(pid.stdout), signal.SIGKILL)
    time.sleep(0.3)
    shell.type("echo still-$((40 + 2))\n")
    result(shell.expect("still-42"), "exec: the shell outlives ctrd", shell.text)
    shell.type("exit 3\n")
    code = shell.wait()
    result(code == 125, "exec: its exit code is lost, which is 125", code, shell.text)
    result("its exit code is lost" in shell.text, "exec: and the message says so", shell.text)
    result(not shell.is_raw(), "exec: the terminal is as it was")


def main() -> None:
    if not shutil.which("ctrctl"):
        print("skip - 53-terminal.py ('ctrctl' is not installed)")
        return
    make_tree()
    try:
        try_exec()
        try_exec_without_ctrd()
        try_shell("run", "ctrctl", "run", "--rootfs", TREE, "--", "sh")
        try_signals("run", "ctrctl", "run", "--rootfs", TREE, "--", "sh")
    finally:
        if os.path.exists(DECLARATION):
            os.unlink(DECLARATION)
        subprocess.run(["ctrctl", "apply"], check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(TREE, ignore_errors=True)


main()
