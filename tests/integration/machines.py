"""For tests of containers as machines: the three kinds of container that each verb is tried on, and machinectl on a
terminal, as a person uses it."""
import os
import pty
import select
import signal
import subprocess
import sys
import time

HERE = os.getcwd()
DECLARATIONS = "/etc/ctrd/containers"


def report(good, sentence, *details):
    print(("ok - " if good else "not ok - ") + sentence, flush=True)
    if not good:
        for detail in details:
            print("    " + str(detail).replace("\n", "\n    "), flush=True)
    return good


def run(*argv, seconds=60, **more):
    return subprocess.run(argv, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL, **more)


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


class Terminal:
    """A program on a terminal of its own, and what it has written."""

    def __init__(self, *argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "vt220"
            os.execvp(argv[0], argv)
        self.text = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def read(self, seconds):
        """False when nobody will write any more."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 4096)
        except OSError:
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def expect(self, part, seconds=30):
        end = time.monotonic() + seconds
        while part not in self.text and time.monotonic() < end and self.read(0.1):
            pass
        return part in self.text

    def wait(self, seconds=30):
        """Its exit status; None where it had to be killed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                while self.read(0.2) and select.select([self.fd], [], [], 0)[0]:
                    pass
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return None


def shell(*arguments, seconds=30):
    """What "machinectl shell ARGUMENTS" prints on a terminal."""
    terminal = Terminal("machinectl", "--quiet", "shell", *arguments)
    terminal.wait(seconds)
    return terminal.text.replace("\r\n", "\n")


class Container:
    def __init__(self, name, declaration):
        self.name = name
        self.unit = f"ctr@{name}.service"
        os.makedirs(DECLARATIONS, exist_ok=True)
        with open(f"{DECLARATIONS}/{name}.toml", "w") as file:
            file.write(declaration)
        run("systemctl", "daemon-reload")

    def property(self, name):
        return run("systemctl", "show", "--value", "-p", name, self.unit).stdout.strip()

    def machine(self, name):
        return run("machinectl", "show", self.name, "--value", "-p", name).stdout.strip()

    def leader(self):
        return int(self.property("MainPID"))

    def root(self, path):
        return f"/proc/{self.leader()}/root{path}"

    def start(self):
        """Started, and known to machined."""
        started = run("systemctl", "start", self.unit, seconds=150)
        if started.returncode != 0:
            report(False, f"{self.name} starts", started.stderr, self.log())
            sys.exit(1)
        wait_for(lambda: self.machine("Leader") == str(self.leader()), 30)

    def is_over(self):
        return self.property("ActiveState") in ("inactive", "failed")

    def is_up(self):
        return self.property("ActiveState") == "active"

    def log(self):
        run("journalctl", "--sync")
        return run("journalctl", "--no-pager", "-o", "cat", "-u", self.unit).stdout

    def forget(self):
        run("systemctl", "stop", self.unit, f"ctr@{self.name}.socket", seconds=150)
        run("systemctl", "reset-failed", self.unit, f"ctr@{self.name}.socket")
        try:
            os.unlink(f"{DECLARATIONS}/{self.name}.toml")
        except FileNotFoundError:
            pass
        run("systemctl", "daemon-reload")


def sh(command):
    """`command` in a shell that has what the shell tests have."""
    done = run("bash", "-c", f'. "$CTRD_SOURCE/tests/integration/lib.sh"; trap - EXIT; {command}')
    if done.returncode != 0:
        report(False, f"the ground is prepared: {command}", done.stdout, done.stderr)
        sys.exit(1)


def busybox_tree():
    tree = f"{HERE}/busybox"
    sh(f'make_busybox_tree "{tree}"')
    with open(f"{tree}/etc/passwd", "a") as file:
        file.write("web:x:33:34::/srv/web:/bin/sh\n")
    with open(f"{tree}/etc/group", "a") as file:
        file.write("web:x:34:\n")
    os.makedirs(f"{tree}/srv/web")
    return tree


def system_tree(name):
    """This machine's own installation, unmodified: an overlay over it. A Debian with a systemd, an nginx ..."""
    tree = f"{HERE}/{name}"
    for folder in (tree, tree + ".upper", tree + ".work"):
        os.makedirs(folder)
    done = run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={tree}.upper,workdir={tree}.work", tree)
    if done.returncode != 0:
        report(False, "an overlay is mounted", done.stderr)
        sys.exit(1)
    return tree


def forget_tree(tree):
    run("umount", "-l", tree)


class Kinds:
    """An OCI container with nothing but busybox, an nginx, and a whole Debian with its systemd."""

    def __init__(self, wanted=("busybox", "nginx", "debian"), more=""):
        self.trees = []
        self.all = []
        for kind in wanted:
            self.all.append(getattr(self, "make_" + kind)(more))

    def make_busybox(self, more):
        return Container("busybox", f'rootfs = "{busybox_tree()}"\ncommand = ["/bin/sleep", "1000"]\nstart = "manual"\n{more}')

    def make_nginx(self, more):
        self.trees.append(system_tree("nginx"))
        return Container("nginx", f'rootfs = "{self.trees[-1]}"\ncommand = ["/usr/sbin/nginx", "-g", "daemon off;"]\n'
                                  f'stop-signal = "SIGQUIT"\nstart = "manual"\n{more}')

    def make_debian(self, more):
        self.trees.append(system_tree("debian"))
        return Container("debian", f'rootfs = "{self.trees[-1]}"\ncommand = ["/sbin/init"]\nstart = "manual"\n')

    def __enter__(self):
        return self.all

    def __exit__(self, *_):
        for container in self.all:
            container.forget()
        for tree in self.trees:
            forget_tree(tree)
