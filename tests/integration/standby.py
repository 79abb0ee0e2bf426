"""For the tests of standby: declared containers with servers in them, clients, and ctrd being killed meanwhile."""
import atexit
import os
import random
import re
import shutil
import socket
import subprocess
import threading
import time

PAYLOAD = os.path.join(os.environ["CTRD_BUILD"], "tests/init/payload")
FOLDER = "/etc/ctrd/containers"
SLICE = "/sys/fs/cgroup/machine.slice"
declared = []


def report(good, sentence, detail=""):
    print(("ok - " if good else "not ok - ") + sentence, flush=True)
    if not good:
        print("    " + str(detail).replace("\n", "\n    "), flush=True)
    return good


def run(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def descriptors_of(pid):
    """What they lead to."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass
    return found


def wait_for(seconds, condition):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def make_payload_tree(path="tree"):
    path = os.path.abspath(path)
    for folder in ("proc", "sys", "dev", "tmp", "run", "etc"):
        os.makedirs(os.path.join(path, folder), exist_ok=True)
    shutil.copy(PAYLOAD, os.path.join(path, "payload"))
    return path


def make_system_tree(path="system", below="/"):
    """This machine's own installation, or another one, unmodified: an overlay over it."""
    path = os.path.abspath(path)
    for folder in (path, path + ".upper", path + ".work"):
        os.makedirs(folder)
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                    f"lowerdir={below},upperdir={path}.upper,workdir={path}.work", path], check=True)
    atexit.register(run, "umount", "-l", path)
    return path


def declare(name, text):
    os.makedirs(FOLDER, exist_ok=True)
    with open(f"{FOLDER}/{name}.toml", "w") as file:
        file.write(text)
    declared.append(name)


def write_below(tree, path, text):
    os.makedirs(os.path.dirname(tree + path), exist_ok=True)
    with open(tree + path, "w") as file:
        file.write(text)


def declare_listening(tree, name, command, sockets, more=""):
    """Its sockets are there afterwards, without 'ctrctl apply'."""
    words = ", ".join(f'"{word}"' for word in command)
    declare(name, f'rootfs = "{tree}"\ncommand = [{words}]\n{more}\n' + "".join(f"[[socket]]\n{one}\n" for one in sockets))
    run("systemctl", "daemon-reload")
    run("systemctl", "start", f"ctr@{name}.socket")


def forget_all():
    for name in declared:
        run("systemctl", "stop", f"ctr@{name}.socket", f"ctr@{name}.service")
        run("systemctl", "reset-failed", f"ctr@{name}.socket", f"ctr@{name}.service")
        if os.path.exists(f"{FOLDER}/{name}.toml"):
            os.remove(f"{FOLDER}/{name}.toml")
    run("systemctl", "daemon-reload")


atexit.register(forget_all)


def unit(name, prop):
    return run("systemctl", "show", "--value", "-p", prop, f"ctr@{name}.service")


def state(name):
    return unit(name, "ActiveState")


def phase(name):
    """What ctrd says of its standby."""
    path = "/io/ctrd1/container/" + "".join(c if c.isalnum() else f"_{ord(c):02x}" for c in name)
    return run("busctl", "get-property", "io.ctrd1", path, "io.ctrd1.Container", "Standby").removeprefix("s ").strip('"')


def log_of(name):
    run("journalctl", "--sync")
    return run("journalctl", "--no-pager", "-o", "cat", "-u", f"ctr@{name}.service")


def starts(name):
    return run("journalctl", "--no-pager", "-o", "cat", "-u", f"ctr@{name}.service").count(f"Started ctr@{name}.service")


def is_frozen(name):
    try:
        with open(f"{SLICE}/ctr@{name}.service/payload/cgroup.events") as file:
            return "frozen 1" in file.read()
    except OSError:
        return False


def nothing_left(name):
    return not os.path.exists(f"/run/ctrd/run/{name}.json") and not os.path.exists(f"/run/ctrd/run/{name}.stop") and \
        not os.path.exists(f"{SLICE}/ctr@{name}.service")


def stop(name):
    """Whether nothing is left of it."""
    run("systemctl", "stop", f"ctr@{name}.service")
    return wait_for(60, lambda: nothing_left(name))


def ask(port, request=None, patience=30, hesitate=0.0):
    """One connection: all that the server says. An OSError where it was refused or reset. `hesitate`: seconds between the
    connection, which the server accepts, and the request."""
    with socket.create_connection(("127.0.0.1", port), patience) as connection:
        connection.settimeout(patience)
        time.sleep(hesitate)
        if request:
            connection.sendall(request)
        answer = b""
        while data := connection.recv(4096):
            answer += data
        return answer


def ask_path(path, request=b"", patience=60):
    """The same of a UNIX stream socket: the first that the server says."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(patience)
        client.connect(path)
        if request:  # who answers without one may have closed by now
            client.sendall(request)
        return client.recv(2000)


def datagram(port, text=b"hello", host="127.0.0.1"):
    """The answer to one datagram."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(60)
        client.connect((host, port))
        client.send(text)
        return client.recv(70000)


def attempt(function, *arguments):
    """What it says, or the error in words: for the detail of a report."""
    try:
        return function(*arguments)
    except OSError as error:
        return f"{error}"


HTTP = b"GET / HTTP/1.0\r\nHost: test\r\n\r\n"


class Killer(threading.Thread):
    """Kills ctrd again and again, at random moments."""

    def __init__(self, shortest=0.3, longest=2.0):
        super().__init__(daemon=True)
        self.shortest, self.longest = shortest, longest
        self.kills = 0
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(random.uniform(self.shortest, self.longest)):
            try:
                with open("/sys/fs/cgroup/system.slice/ctrd.service/cgroup.procs") as file:
                    pids = file.read().split()
            except OSError:
                continue  # it is on its way back from the last time
            for pid in pids:
                try:
                    os.kill(int(pid), 9)
                    self.kills += 1
                except ProcessLookupError:
                    pass

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


def memory_of(name, kind="Pss_Anon"):
    """KiB of the unit's processes, by the kernel's account of each; what they share with others counts in part."""
    total = 0
    for folder, _, files in os.walk(f"{SLICE}/ctr@{name}.service"):
        if "cgroup.procs" not in files:
            continue
        with open(f"{folder}/cgroup.procs") as file:
            for pid in file.read().split():
                try:
                    with open(f"/proc/{pid}/smaps_rollup") as smaps:
                        total += int(re.search(rf"^{kind}:\s+(\d+)", smaps.read(), re.M).group(1))
                except OSError:
                    pass
    return total
