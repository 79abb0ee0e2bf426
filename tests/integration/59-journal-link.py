#!/usr/bin/env python3
"""link-journal: the journal of a Debian with its systemd is kept on the host, which shows it with its own. What the
container's files say of it is not trusted."""
import os
import stat
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machines import Container, busybox_tree, forget_tree, report, run, system_tree, wait_for  # noqa: E402

JOURNALS = "/var/log/journal"
KEPT = "/var/lib/ctrd/journal"


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def links_of(name):
    return sorted(link for link in os.listdir(JOURNALS) if os.path.islink(f"{JOURNALS}/{link}")
                  and os.readlink(f"{JOURNALS}/{link}") == f"{KEPT}/{name}")


def stop(container):
    run("systemctl", "stop", container.unit, seconds=150)
    run("systemctl", "reset-failed", container.unit)


def mounted(container, place):
    """The options of what is mounted there."""
    with open(f"/proc/{container.leader()}/mountinfo") as table:
        return [set(line.split()[5].split(",")) for line in table if line.split()[4] == place]


class Debian:
    """An overlay over this machine, whose links to journals it would show, too."""

    def __init__(self):
        self.tree = system_tree("debian")
        run("rm", "-rf", self.tree + JOURNALS)
        os.makedirs(self.tree + JOURNALS)
        run("rm", "-f", f"{self.tree}/etc/systemd/journald.conf.d/testbed.conf")  # which keeps journals in memory
        self.forget_id()
        self.container = Container("debian", f'rootfs = "{self.tree}"\ncommand = ["/sbin/init"]\nstart = "manual"\nlink-journal = "host"\n')

    def forget_id(self):
        write(f"{self.tree}/etc/machine-id", "")

    def id(self):
        return run("ctrctl", "exec", "debian", "--", "cat", "/etc/machine-id").stdout.strip()

    def log(self, message):
        run("ctrctl", "exec", "debian", "--", "sh", "-c", f"logger {message} && journalctl --sync")

    def forget(self):
        self.container.forget()
        forget_tree(self.tree)


def shown(message, *where):
    return wait_for(lambda: message in run("journalctl", "--no-pager", "-o", "cat", *where).stdout, 60)


def test_systemd(debian):
    container = debian.container
    container.start()
    ids = links_of("debian")
    report(len(ids) == 1 and debian.id() == ids[0], "the host has a link that is called by the container's machine id", ids, debian.id())
    debian.log("word-one")
    report(shown("word-one", "-M", "debian"), "journalctl -M shows what was logged inside")
    report(shown("word-one", "--merge", f"_MACHINE_ID={ids[0]}"), "and so does journalctl --merge on the host", os.listdir(f"{KEPT}/debian"))
    report("word-one" not in run("journalctl", "--no-pager", "-o", "cat").stdout, "the host's own journal is as it was")
    above, files = os.stat(KEPT), os.stat(f"{KEPT}/debian")
    report(stat.S_IMODE(above.st_mode) == 0o700 and above.st_uid == 0 and stat.S_IMODE(files.st_mode) == 0o2755,
           "nobody but root comes to what the container writes", oct(above.st_mode), oct(files.st_mode))
    options = mounted(container, f"{JOURNALS}/{ids[0]}")
    report(len(options) == 1 and {"nosuid", "nodev", "noexec"} <= options[0], "nor is anything there run", options)
    stop(container)
    report(shown("word-one", "--merge"), "it is there when the container is not")
    debian.forget_id()
    container.start()
    report(links_of("debian") == ids == [debian.id()], "one that has forgotten its id goes on with the same one",
           links_of("debian"), debian.id())
    stop(container)


class Claimant:
    """Something that is called a systemd, and whose files say what they like."""

    def __init__(self):
        self.tree = busybox_tree()
        self.declare("host")

    def declare(self, link):
        self.container = Container("busybox", f'rootfs = "{self.tree}"\ncommand = ["/bin/sleep", "1000"]\nsystemd = true\n'
                                              f'notify = false\nstart = "manual"\nlink-journal = "{link}"\n')

    def claims(self, machine_id):
        write(f"{self.tree}/etc/machine-id", machine_id)

    def is_refused(self, why, sentence):
        failed = run("systemctl", "start", self.container.unit).returncode != 0
        report(failed and why in self.container.log(), sentence, self.container.log())
        stop(self.container)


def test_ids(claimant):
    with open("/etc/machine-id") as file:
        host = file.read().strip()
    claimant.claims(host + "\n")
    claimant.is_refused("its machine id is the host's own", "who has the host's id gets no place beside its journal")
    other = "0123456789abcdef0123456789abcdef"
    claimant.claims(other.upper() + "\n")
    os.makedirs(f"{JOURNALS}/{other}")
    claimant.is_refused(f"its machine id is another's: '{JOURNALS}/{other}' is there", "nor does who has another machine's")
    os.rmdir(f"{JOURNALS}/{other}")
    os.symlink(f"{KEPT}/somebody", f"{JOURNALS}/{other}")
    claimant.is_refused(f"a link to '{KEPT}/somebody'", "or another container's")
    claimant.declare("try-host")
    claimant.container.start()
    report("its machine id is another's" in claimant.container.log() and not mounted(claimant.container, f"{JOURNALS}/{other}")
           and os.readlink(f"{JOURNALS}/{other}") == f"{KEPT}/somebody",
           "with try-host it starts without, and says why", claimant.container.log())
    stop(claimant.container)
    os.unlink(f"{JOURNALS}/{other}")
    claimant.declare("host")
    claimant.claims("")
    claimant.container.start()
    first = links_of("busybox")
    stop(claimant.container)
    claimant.claims(other)
    claimant.container.start()
    report(len(first) == 1 and links_of("busybox") == [other], "with a new id the link is a new one, and the only one", first, links_of("busybox"))
    stop(claimant.container)


def test_hostile(claimant):
    """/var/log/journal leads somewhere else, machine-id to the host's."""
    container = claimant.container
    etc = sorted(os.listdir("/etc"))
    place = f"{claimant.tree}{JOURNALS}"
    run("rm", "-rf", place)
    for target, ends in (("/etc", True), ("../../../../../../../../../etc", True), ("/proc/1/root/etc", False), ("/proc/self/cwd", False)):
        os.symlink(target, place)
        run("systemctl", "start", container.unit)
        in_its_own = not ends or bool(mounted(container, f"/etc/{links_of('busybox')[0]}"))
        report(sorted(os.listdir("/etc")) == etc and in_its_own, f"a link '{target}' in the way leads nowhere on the host",
               sorted(set(os.listdir("/etc")) ^ set(etc)), container.log())
        stop(container)
        os.unlink(place)
    own = f"{claimant.tree}/etc/machine-id"
    for make, what in ((lambda: os.symlink("/etc/machine-id.host", own), "a link to the host's"), (lambda: os.mkfifo(own), "a FIFO"),
                       (lambda: os.mkdir(own), "a folder"), (lambda: os.mknod(own, stat.S_IFCHR | 0o666, os.makedev(1, 5)), "a device")):
        run("rm", "-rf", own)
        make()
        container.start()
        report(container.is_up() and len(links_of("busybox")) == 1, f"{what} as machine-id holds nothing up", container.log())
        stop(container)
    run("rm", "-rf", own)


def test_private_users():
    """Its files are in its own range for the host, and its root's on the disk, as all that it writes."""
    home = tempfile.mkdtemp(dir="/var/lib/containers")  # not on an overlay, which can't be mapped
    os.chmod(home, 0o755)
    tree = f"{home}/busybox"
    run("cp", "-a", "busybox", tree)
    run("rm", "-r", f"{tree}/var/log")  # of other ids
    container = Container("private", f'rootfs = "{tree}"\ncommand = ["/bin/sh", "-c", "cd {JOURNALS}/* && touch made; sleep 1000"]\nsystemd = true\n'
                                     'notify = false\nstart = "manual"\nlink-journal = "host"\nprivate-users = true\n')
    container.start()
    made = f"{KEPT}/private/made"
    report(wait_for(lambda: os.path.exists(made), 60) and os.stat(made).st_uid == 0, "with private-users it can write there, too", container.log())
    report(run("ctrctl", "exec", "private", "--", "stat", "-c", "%u", f"{JOURNALS}/{links_of('private')[0]}").stdout == "0\n",
           "and is its root there")
    container.forget()
    run("rm", "-r", home)


def test_no_journal(claimant):
    links = links_of("busybox")
    for link in links:
        os.unlink(f"{JOURNALS}/{link}")
    run("mount", "-t", "tmpfs", "none", "/var/log")
    claimant.is_refused("the host keeps no journal on its disk", "a host without a journal on its disk is not made to keep one")
    report(not os.path.exists(JOURNALS), "there is still none")
    run("umount", "/var/log")


def test_words(tree):
    for link, command, why in (("guest", "/sbin/init", "leads where the container wants it to"),
                               ("try-guest", "/sbin/init", "leads where the container wants it to"),
                               ("hots", "/sbin/init", 'did you mean "host"?'),
                               ("host", "/bin/sleep", "is about the journal of a systemd")):
        write("words.toml", f'rootfs = "{tree}"\ncommand = ["{command}"]\nlink-journal = "{link}"\n')
        checked = run("ctrctl", "check", "words.toml")
        report(checked.returncode == 2 and why in checked.stderr + checked.stdout,
               f'link-journal = "{link}" with {command} is refused, and why', checked)


os.makedirs(JOURNALS, exist_ok=True)
claimant = Claimant()
try:
    test_words(claimant.tree)
    test_ids(claimant)
    test_hostile(claimant)
    test_private_users()
    test_no_journal(claimant)
    debian = Debian()
    try:
        test_systemd(debian)
    finally:
        debian.forget()
finally:
    claimant.container.forget()
    run("rm", "-rf", KEPT, *(f"{JOURNALS}/{link}" for name in ("busybox", "private", "debian") for link in links_of(name)))
