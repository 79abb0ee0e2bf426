#!/usr/bin/env python3
"""Every other verb of machinectl, on a plain OCI container, on an nginx and on a whole Debian with its systemd."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machines import HERE, Kinds, Terminal, report, run, shell, wait_for  # noqa: E402


def machinectl(*arguments, seconds=60):
    return run("machinectl", *arguments, seconds=seconds)


def test_facts(container):
    name = container.name
    listed = [line.split() for line in machinectl("list", "--no-legend").stdout.splitlines()]
    own = [words for words in listed if words[0] == name]
    report(len(own) == 1 and own[0][1:3] == ["container", "ctrd"], f"{name}: machinectl list has it", listed)
    status = machinectl("status", name, "--no-pager").stdout
    program = os.readlink(f"/proc/{container.leader()}/exe").rsplit("/", 1)[-1]
    report(f"Leader: {container.leader()}" in status and f"Unit: {container.unit}" in status and program in status,
           f"{name}: machinectl status shows its leader, its unit and its processes", status)
    shown = {key: container.machine(key) for key in ("Name", "Class", "Service", "Leader", "Unit", "State", "RootDirectory")}
    report(shown == {"Name": name, "Class": "container", "Service": "ctrd", "Leader": str(container.leader()),
                     "Unit": container.unit, "State": "running", "RootDirectory": f"{HERE}/{name}"},
           f"{name}: machinectl show agrees", shown)
    if name != "busybox":
        report("debian" in listed[[words[0] for words in listed].index(name)] and "OS: Debian" in status,
               f"{name}: its OS release is shown", listed, status)


def is_running():
    return run("ctrctl", "exec", "debian", "--", "systemctl", "is-system-running").stdout.strip() == "running"


def test_systemd(container):
    """systemd's Container Interface, as far as one sees it from inside."""
    report(is_running(), "debian: its systemd has booted to 'running' when its unit is ready",
           run("ctrctl", "exec", "debian", "--", "systemctl", "--failed", "--no-pager").stdout)
    said = shell("debian", "/bin/sh", "-c", "systemd-detect-virt; systemctl is-active systemd-journald; tty")
    report("container-other\nactive\n/dev/pts/" in said, "debian: its own systemd answers machinectl shell", said)
    environment = open(f"/proc/{container.leader()}/environ").read().split("\0")
    uuid = container.property("InvocationID")
    report("container=ctrd" in environment and f"container_uuid={uuid}" in environment,
           "debian: it is told that it is in a container, and which", environment)
    host = run("ctrctl", "exec", "debian", "--", "sh", "-c", "cd /run/host && cat container-manager container-uuid os-release").stdout
    with open("/etc/os-release") as file:
        report(host == f"ctrd\n{uuid}\n{file.read()}", "debian: /run/host says what systemd's Container Interface wants there", host)
    report(run("ctrctl", "exec", "debian", "--", "sh", "-c", "echo x > /run/host/container-manager").returncode != 0,
           "debian: which it can't change")
    said = run("journalctl", "-M", "debian", "--no-pager", "-o", "cat", "_SYSTEMD_UNIT=init.scope", "+", "SYSLOG_IDENTIFIER=systemd")
    report(said.returncode == 0 and "Reached target" in said.stdout, "debian: its own journal is read from outside", said)
    terminal = Terminal("machinectl", "login", "debian")
    report(terminal.expect("login: "), "debian: its own getty answers machinectl login", terminal.text)
    terminal.type("\x1d\x1d\x1d")
    terminal.wait()


def test_copy(container):
    name = container.name
    os.makedirs("given/deep", exist_ok=True)
    for path, text in (("given/one", "1\n"), ("given/deep/two", "2\n")):
        with open(path, "w") as file:
            file.write(text)
    done = machinectl("copy-to", name, f"{HERE}/given", "/root/came")
    inside = shell(name, "/bin/sh", "-c", "cat /root/came/one /root/came/deep/two")
    report(done.returncode == 0 and inside == "1\n2\n", f"{name}: copy-to brings a folder in", done.stderr, inside)
    back = f"{HERE}/back-{name}"
    done = machinectl("copy-from", name, "/root/came/deep", back)
    with_it = os.path.exists(f"{back}/two") and open(f"{back}/two").read() == "2\n"
    report(done.returncode == 0 and with_it, f"{name}: copy-from brings it out", done.stderr)
    done = machinectl("copy-from", name, "/root/nothing", f"{HERE}/nothing")
    report(done.returncode != 0 and not os.path.exists(f"{HERE}/nothing"), f"{name}: what is not there is not copied", done)


def test_bind(container):
    name = container.name
    os.makedirs("shared", exist_ok=True)
    with open("shared/note", "w") as file:
        file.write("bound\n")
    done = machinectl("bind", "--mkdir", name, f"{HERE}/shared", "/root/bound")
    inside = shell(name, "/bin/sh", "-c", "cat /root/bound/note; touch /root/bound/from-inside")
    report(done.returncode == 0 and inside == "bound\n" and os.path.exists("shared/from-inside"),
           f"{name}: bind brings a folder of the host's in, for both to write", done.stderr, inside)
    done = machinectl("bind", "--mkdir", "--read-only", name, f"{HERE}/shared", "/root/seen")
    inside = shell(name, "/bin/sh", "-c", "cat /root/seen/note; touch /root/seen/x || echo refused")
    report(done.returncode == 0 and inside.startswith("bound\n") and inside.endswith("refused\n"),
           f"{name}: with --read-only only to read", done.stderr, inside)


def test_terminate(container):
    done = machinectl("terminate", container.name)
    report(done.returncode == 0 and wait_for(container.is_over, 100), f"{container.name}: terminate ends it", done.stderr)
    report(wait_for(lambda: container.name not in machinectl("list", "--no-legend").stdout, 10),
           f"{container.name}: and it is a machine no more")
    report(wait_for(lambda: not os.path.exists(f"/run/systemd/nspawn/propagate/{container.name}"), 5),
           f"{container.name}: nothing is left where bind put its mounts")


def test_kill(container):
    name = container.name
    leader = container.leader()
    machinectl("kill", "--signal=STOP", "--kill-whom=leader", name)
    stopped = wait_for(lambda: "T (stopped)" in open(f"/proc/{leader}/status").read(), 10)
    machinectl("kill", "--signal=CONT", "--kill-whom=leader", name)
    report(stopped and container.is_up(), f"{name}: kill sends the leader any signal")
    done = machinectl("kill", "--signal=KILL", name)
    report(done.returncode == 0 and wait_for(container.is_over, 30), f"{name}: with SIGKILL to all it is over", done.stderr)


def test_power(container):
    name = container.name
    leader = container.leader()
    done = machinectl("reboot", name)
    again = wait_for(lambda: container.is_up() and container.leader() not in (0, leader), 120)
    report(done.returncode == 0 and again, f"{name}: reboot starts it again", done.stderr, container.log())
    wait_for(lambda: container.machine("Leader") == str(container.leader()), 30)
    done = machinectl("poweroff", name)
    over = wait_for(container.is_over, 120)
    report(done.returncode == 0 and over and container.property("Result") == "success",
           f"{name}: poweroff ends it, for good and without a failure", done.stderr, container.property("Result"), container.log())
    time.sleep(0.5)
    report(container.is_over(), f"{name}: it stays off")


def test_addresses(container):
    """A container with an address of its own, however it has come by that."""
    name, address = container.name, "10.77.1.2"
    run("nsenter", f"--net=/proc/{container.leader()}/ns/net", "ip", "address", "add", f"{address}/32", "dev", "lo", "scope", "global")
    status = machinectl("status", name, "--no-pager").stdout
    report(address in status, f"{name}: its addresses are shown", status)
    found = run("getent", "hosts", name)
    report(found.stdout.startswith(address), f"{name}: nss-mymachines finds it by its name", found)


def test_enable(container):
    """At rest before and after."""
    name = container.name
    link = f"/etc/systemd/system/machines.target.wants/systemd-nspawn@{name}.service"
    report(name in machinectl("list-images", "--no-legend").stdout, f"{name}: machinectl list-images has it")
    done = machinectl("enable", name)
    report(done.returncode == 0 and os.path.islink(link) and container.is_over(), f"{name}: enable says that it starts at boot", done.stderr)
    run("systemctl", "start", "machines.target")
    report(wait_for(container.is_up, 60), f"{name}: it starts with machines.target", container.log())
    run("systemctl", "stop", "machines.target", seconds=150)
    report(wait_for(container.is_over, 100), f"{name}: and stops with it")
    done = machinectl("disable", name)
    report(done.returncode == 0 and not os.path.lexists(link), f"{name}: disable takes it back", done.stderr)
    done = machinectl("start", name)
    report(done.returncode == 0 and container.is_up(), f"{name}: start starts it", done.stderr, container.log())
    leader = container.leader()
    wait_for(lambda: container.machine("Leader") == str(leader), 30)
    machinectl("reboot", name)
    again = wait_for(lambda: container.is_up() and container.leader() not in (0, leader), 120)
    report(again, f"{name}: and a reboot of one that was started so starts it again", container.log())
    wait_for(lambda: container.machine("Leader") == str(container.leader()), 30)
    machinectl("terminate", name)
    over = wait_for(lambda: container.is_over() and run("systemctl", "is-active", f"systemd-nspawn@{name}.service").stdout.strip() == "inactive", 100)
    report(over, f"{name}: what has ended can be started again", run("systemctl", "status", f"systemd-nspawn@{name}.service").stdout)
    before = sorted(os.listdir(f"{HERE}/{name}"))
    machinectl("remove", name)
    report(before and sorted(os.listdir(f"{HERE}/{name}")) == before and os.path.isdir("/run/ctrd/no-image"),
           f"{name}: remove has nothing to remove but a link", before)
    run("systemctl", "daemon-reload")
    report(os.path.islink(f"/run/machines/{name}"), f"{name}: which is there again after the next daemon-reload")


with Kinds(more="init = true\n") as kinds:
    for each in kinds:
        each.start()
        test_facts(each)
        if each.name == "nginx":
            test_addresses(each)
        if each.name == "debian":
            test_systemd(each)
        test_copy(each)
        test_bind(each)
        test_kill(each)
        each.start()
        test_terminate(each)
        each.start()
        test_power(each)
        test_enable(each)
    os.makedirs("/var/lib/machines/busybox/usr")
    run("systemctl", "daemon-reload")
    report("Made by ctrd-generator" not in run("systemctl", "cat", "systemd-nspawn@busybox.service").stdout and
           "Made by ctrd-generator" in run("systemctl", "cat", "systemd-nspawn@nginx.service").stdout,
           "the unit of an nspawn image with the name of a container is left alone")
    run("rm", "-r", "/var/lib/machines/busybox")
