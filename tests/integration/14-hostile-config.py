#!/usr/bin/env python3
"""config.json as an attacker writes it: too much of everything, and values that mean more than they seem to. Each
attack was seen to succeed against a build without the protection that stands in brackets before it."""
import copy
import json
import os
import resource
import subprocess
import tempfile

HERE = os.getcwd()
LARGEST = 4 << 20  # ctrd/oci/parse.hpp
CHILD_MEMORY = 96 << 20  # what the runtime may take in whatever it is given


def report(good, sentence, detail=""):
    print(("ok - " if good else "not ok - ") + sentence, flush=True)
    if not good:
        print("    " + str(detail)[:600], flush=True)


def oci(*arguments, time=20, **more):
    """The exit status, and what it printed. One that takes too long or too much memory does not end with 0 or 1."""
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (CHILD_MEMORY * 8, CHILD_MEMORY * 8))
    try:
        done = subprocess.run(["ctr-oci", *arguments], capture_output=True, text=True, errors="replace", timeout=time,
                              stdin=subprocess.DEVNULL, preexec_fn=limit, **more)
        return done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        return "too long", ""


def run(config, identifier="c", time=20, where="bundle"):
    text = config if isinstance(config, (str, bytes)) else json.dumps(config)
    with open(f"{where}/config.json", "wb") as file:
        file.write(text.encode() if isinstance(text, str) else text)
    result = oci("run", "--bundle", where, identifier, time=time)
    status, deleted = oci("delete", "--force", identifier)
    return result if status == 0 else (result[0], result[1] + "; delete: " + deleted)


def refused(sentence, config, part):
    status, text = run(config)
    report(status == 1 and part in text and "RAN" not in text, sentence, f"{status}: {text}")


def changed(**parts):
    """The plain configuration with some of it replaced: process_cwd="/x" sets process.cwd."""
    config = copy.deepcopy(PLAIN)
    for path, value in parts.items():
        *folders, last = path.split("_")
        at = config
        for folder in folders:
            at = at.setdefault(folder, {})
        at[last] = value
    return config


subprocess.run(["bash", "-c", '. "$CTRD_SOURCE/tests/integration/lib.sh"; make_busybox_tree tree'], check=True)
os.mkdir("bundle")
os.symlink("../tree", "bundle/rootfs")
subprocess.run(["ctr-oci", "spec", "--bundle", "bundle"], check=True)
with open("bundle/config.json") as file:
    PLAIN = json.load(file)
PLAIN["process"].update(terminal=False, args=["/bin/echo", "RAN"])
PLAIN["root"]["readonly"] = False
report(run(PLAIN) == (0, "RAN\n"), "the plain configuration runs")

# [max_config_size, in read_file and parse_json] Bounded reads.
for name, make in {"of 100 MiB": lambda path: subprocess.run(["sh", "-c", f"head -c 104857600 /dev/zero | tr '\\0' ' ' > {path}"], check=True),
                   "of 10 GiB with nothing in them": lambda path: subprocess.run(["truncate", "-s", "10G", path], check=True),
                   "that is a FIFO": os.mkfifo, "that is /dev/zero": lambda path: os.symlink("/dev/zero", path),
                   "that is a folder": os.mkdir}.items():
    os.makedirs("odd", exist_ok=True)
    path = "odd/config.json"
    make(path)
    status, text = oci("run", "--bundle", "odd", "c", time=10)
    report(status == 1, f"a config.json {name} is refused at once", f"{status}: {text}")
    subprocess.run(["rm", "-rf", "odd"], check=True)

# [check_depth] The parser's stack.
for opening, closing in ("[", "]"), ('{"a":', "}"):
    refused(f"'{opening}' 500,000 times is refused", opening * 500000, "nested")
    deep = opening * 200000 + "1" + closing * 200000
    refused("so it is where nobody looks, and closed again", json.dumps(PLAIN).replace('"hostname":', f'"x": {deep}, "hostname":'), "nested")
refused("a config.json that is not UTF-8 is refused", json.dumps(changed(hostname="XX")).encode().replace(b"XX", b"\xff\xfe"), "not JSON")
refused("so is one that ends too early", json.dumps(PLAIN)[:-20], "not JSON")

# Many. That they end in time is what counts, and that nothing is left.
before = open("/proc/self/mountinfo").read()
MANY = {
    "5,000 mounts": changed(mounts=PLAIN["mounts"] + [{"destination": f"/tmp/{i}", "type": "tmpfs", "source": "t"} for i in range(5000)]),
    "10,000 bind mounts": changed(mounts=PLAIN["mounts"] + [{"destination": "/tmp", "source": "/etc", "options": ["bind"]}] * 10000),
    "100,000 masked paths": changed(linux_maskedPaths=["/tmp/x"] * 100000),
    "50,000 devices": changed(linux_devices=[{"type": "p", "path": f"/tmp/{i}"} for i in range(50000)]),
    "60,000 device rules": changed(linux_resources={"devices": [{"allow": False, "type": "c", "major": 9, "minor": 9}] * 60000}),
    "100,000 groups": changed(process_user={"uid": 0, "gid": 0, "additionalGids": list(range(100000))}),
    "60,000 id maps": changed(linux_namespaces=PLAIN["linux"]["namespaces"] + [{"type": "user"}],
                               linux_uidMappings=[{"containerID": i, "hostID": i, "size": 1} for i in range(60000)],
                               linux_gidMappings=[{"containerID": 0, "hostID": 0, "size": 1}]),
    "100,000 arguments": changed(process_args=["/bin/echo", "RAN"] + ["x"] * 100000),
    "100,000 variables": changed(process_env=["PATH=/bin"] + ["A=b"] * 100000),
    "a PATH of 50,000 folders": changed(process_env=["PATH=" + "/x:" * 50000], process_args=["echo", "RAN"]),
    "100,000 options of a mount": changed(mounts=PLAIN["mounts"] + [{"destination": "/tmp", "type": "tmpfs", "source": "t", "options": ["size=1m"] * 100000}]),
    "100,000 annotations": changed(annotations={f"a{i}": "b" for i in range(100000)}),
    "30,000 rules of seccomp": changed(linux_seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": i, "op": "SCMP_CMP_EQ"}]} for i in range(30000)]}),
    "4,000 hooks": changed(hooks={"createRuntime": [{"path": "/no/such"}] * 4000}),
    "100,000 namespaces": changed(linux_namespaces=[{"type": "mount"}] * 100000),
}
for name, config in MANY.items():
    status, text = run(config, time=40)
    report(status in (0, 1) and (status == 1) != ("RAN" in text), f"{name} start or are refused", f"{status}: {text}")
report(open("/proc/self/mountinfo").read() == before, "no mount is left of them")

# Long strings, wherever there is one. runc's message to its child could be overflowed so (CVE-2021-43784).
LONG = "A" * 70000
NAMESPACES = [n for n in PLAIN["linux"]["namespaces"] if n["type"] != "uts"]
for name, config in {
    "hostname": changed(hostname=LONG), "domainname": changed(domainname=LONG),
    "process.cwd": changed(process_cwd="/" + LONG), "a deep process.cwd": changed(process_cwd="/A" * 35000),
    "process.args": changed(process_args=["/" + LONG]), "process.env": changed(process_env=[LONG + "=" + LONG * 3]),
    "root.path": changed(root_path=LONG), "linux.cgroupsPath": changed(linux_cgroupsPath="/" + LONG),
    "linux.maskedPaths": changed(linux_maskedPaths=["/" + LONG]), "linux.readonlyPaths": changed(linux_readonlyPaths=["/" + "A/" * 35000]),
    "linux.sysctl": changed(linux_sysctl={"net." + LONG: "1"}), "a sysctl's value": changed(linux_sysctl={"net.ipv4.ip_forward": LONG}),
    "process.apparmorProfile": changed(process_apparmorProfile=LONG), "process.selinuxLabel": changed(process_selinuxLabel=LONG),
    "a namespace's path": changed(linux_namespaces=NAMESPACES + [{"type": "uts", "path": "/" + LONG}]),
    "a mount's destination": changed(mounts=[{"destination": "/" + LONG, "type": "tmpfs", "source": "t"}]),
    "a mount's deep destination": changed(mounts=[{"destination": "/A" * 35000, "type": "tmpfs", "source": "t"}]),
    "a mount's source": changed(mounts=[{"destination": "/tmp", "type": "tmpfs", "source": LONG}]),
    "a bind's source": changed(mounts=[{"destination": "/tmp", "source": "/" + LONG, "options": ["bind"]}]),
    "a mount's type": changed(mounts=[{"destination": "/tmp", "type": LONG, "source": "t"}]),
    "a mount's option": changed(mounts=[{"destination": "/tmp", "type": "tmpfs", "source": "t", "options": [LONG + "=" + LONG]}]),
    "a device's path": changed(linux_devices=[{"type": "c", "path": "/" + LONG, "major": 1, "minor": 3}]),
    "a hook's path": changed(hooks={"createRuntime": [{"path": "/" + LONG}]}),
    "a capability": changed(process_capabilities={"bounding": [LONG]}), "a limit's type": changed(process_rlimits=[{"type": LONG, "soft": 1, "hard": 1}]),
    "a syscall's name": changed(linux_seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [LONG], "action": "SCMP_ACT_ERRNO"}]}),
    "seccomp's listenerPath": changed(linux_seccomp={"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/" + LONG, "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}),
    "linux.rootfsPropagation": changed(linux_rootfsPropagation=LONG), "ociVersion": changed(ociVersion="1." + LONG),
    "an annotation": changed(annotations={LONG: LONG}),
}.items():
    status, text = run(config)
    report(status in (0, 1, 126, 127) and len(text) < 20000, f"70,000 bytes as {name} do no harm", f"{status}, {len(text)} bytes: {text}")

# [Reader::integer, read_id] Numbers that wrap to root: CVE-2024-40635.
for key in "uid", "gid":
    for bad in 4294967296, 4294967295, -1, 2**64, 2**63, -2**63, 1e3, 0.5, "0", True, [0]:
        refused(f"{bad!r} as {key} is refused", changed(process_user={"uid": 0, "gid": 0, key: bad}), f"process.user.{key}")
for bad in 4294967296, 4294967295, -1, "7", 1.5:
    refused(f"{bad!r} as a supplementary group is refused", changed(process_user={"uid": 0, "gid": 0, "additionalGids": [bad]}), "additionalGids")
    refused(f"{bad!r} as a mapped id is refused", changed(linux_uidMappings=[{"containerID": 0, "hostID": bad, "size": 1 if bad != 4294967295 else 2}],
            linux_gidMappings=[{"containerID": 0, "hostID": 0, "size": 1}], linux_namespaces=PLAIN["linux"]["namespaces"] + [{"type": "user"}]), "uidMappings")
for bad in 0o1000, -1, "022":
    refused(f"{bad!r} as umask is refused", changed(process_user={"uid": 0, "gid": 0, "umask": bad}), "umask")

# [check_environment] A variable without a name or '=' : CVE-2026-57231.
for bad in "SECRET", "=x", "", "A\0B=c":
    refused(f"{bad!r} as a variable is refused", changed(process_env=["PATH=/bin", bad]), "process.env[1]")

# [plan_sysctls: owner() and is_clean()] What is not the container's own, however it is written: CVE-2022-0811.
patterns = open("/proc/sys/kernel/core_pattern").read()
for key in ("kernel.core_pattern", "kernel/core_pattern", "net/../kernel/core_pattern", "net.ipv4/../../kernel.core_pattern", "kernel.shm_rmid_forced/../core_pattern",
            "net.//../kernel.core_pattern", "net/ipv4/\0", "", ".", "/", "vm.overcommit_memory", "fs.file-max", "fs.mqueue/../suid_dumpable", "kernel.hostname/../core_pattern"):
    refused(f"the sysctl {key!r} is refused", changed(linux_sysctl={key: "|/evil"}), "linux.sysctl")
for value in "1+kernel.core_pattern=|/evil", "1\nkernel.core_pattern=|/evil", "1\0":
    status, text = run(changed(linux_sysctl={"kernel.shm_rmid_forced": value}))
    report(status == 1 and "RAN" not in text, f"the value {value!r} of a sysctl is refused", f"{status}: {text}")
report(open("/proc/sys/kernel/core_pattern").read() == patterns, "the host's core_pattern is what it was")

# [check_unused in cgroup.cpp] Who is put in a cgroup of the host's would have it killed and removed with him.
subprocess.run("systemd-run --quiet --unit=bystander sleep 1000 && systemd-run --quiet --unit=bystander2 --slice=hostile.slice sleep 1000", shell=True, check=True)
for path in "/", "//", "", "/.", "/../system.slice", "/system.slice/../../x", "/system.slice", "system.slice/", "/hostile.slice", "/./hostile.slice", "/system.slice/bystander.service", "/init.scope":
    if path:
        refused(f"{path!r} as cgroupsPath is refused", changed(linux_cgroupsPath=path), "linux.cgroupsPath")
active = subprocess.run(["systemctl", "is-active", "bystander", "bystander2"], capture_output=True, text=True).stdout.split()
report(active == ["active", "active"], "and nobody in them is killed", active)
subprocess.run(["systemctl", "stop", "bystander", "bystander2"])
report(os.path.isdir("/sys/fs/cgroup/system.slice"), "nor are they removed")
for path in "sys.slice:a:b/../../c", "../x.slice:a:b", "a.slice:a:b c", "a.slice:a:b\nExecStart=/evil", "a.slice:--user:b;x", "a.slice", "a:b:c":
    with open("bundle/config.json", "w") as file:
        json.dump(changed(linux_cgroupsPath=path), file)
    status, text = oci("--systemd-cgroup", "run", "--bundle", "bundle", "c")
    report(status == 1 and "RAN" not in text, f"{path!r} as a scope is refused", f"{status}: {text}")

# [is_container_id] The id is the name of a folder.
outside = tempfile.mkdtemp()
for bad in "../x", "a/b", ".", "..", "", "/x", "a b", "a\nb", "é", "x" * 1025, f"../../..{outside}/made":
    status, text = oci("run", "--bundle", "bundle", "--", bad)
    report(status == 1 and "RAN" not in text, f"{bad[:40]!r} as an id is refused", f"{status}: {text}")
    oci("delete", "--force", "--", bad)
report(os.listdir(outside) == [] and os.path.isdir(outside), "and nothing is made or removed outside")

# [check_descriptors] A descriptor that the caller does not have would be one of the runtime's own.
with open("bundle/config.json", "w") as file:
    json.dump(changed(process_args=["/bin/sh", "-c", "ls /proc/self/fd; echo RAN"]), file)
results = [oci("run", "--preserve-fds", str(n), "--bundle", "bundle", "c") for n in (*range(1, 9), 60, 1000)]
results += [oci("run", "--bundle", "bundle", "c", env={**os.environ, "LISTEN_FDS": str(n)}) for n in range(1, 9)]
report(all(status == 0 and "RAN" in text for status, text in results), "descriptors that nobody has opened hinder no start", results)
# The fourth is the folder that ls lists.
report(all(text.startswith("0\n1\n2\n3\nRAN") for status, text in results), "and none of the runtime's own is passed on in their place", results)

# [read_absolute_paths, O_NONBLOCK] Namespaces that are none.
os.mkfifo("fifo")
for path in "/dev/null", "/proc/self/ns/mnt", "/proc/self/ns/none", HERE, f"{HERE}/fifo", "relative", "/proc/1/root":
    status, text = run(changed(linux_namespaces=NAMESPACES + [{"type": "uts", "path": path}], hostname=""), time=10)
    report(status == 1 and "RAN" not in text, f"'{path.replace(HERE, '.')}' as a uts namespace is refused", f"{status}: {text}")

# [printable] What a terminal obeys, or a log takes for a line of its own.
status, text = run(changed(process_args=["/no/\x1b]0;evil\x07\nerror: forged"]))
report("\x1b" not in text and "\nerror: forged" not in text, "control characters are shown, not printed", repr(text))
log = os.path.join(HERE, "log")
oci("--log", log, "--log-format", "json", "run", "--bundle", "bundle", "c")
lines = [json.loads(line) for line in open(log)]
report(len(lines) == 1, "one error is one line of the log", lines)

# [O_NOFOLLOW, rename] Files that the runtime writes where others may have put links.
os.symlink(f"{HERE}/target", "link.log")
os.symlink(f"{HERE}/target", "link.pid")
oci("--log", "link.log", "run", "--bundle", "bundle", "c")
run(PLAIN)
oci("run", "--bundle", "bundle", "--pid-file", "link.pid", "c")
report(not os.path.exists("target"), "neither the log nor the pid file is written through a link")

report(not os.path.isdir("/run/ctr-oci") or os.listdir("/run/ctr-oci") == [], "no record is left", os.path.isdir("/run/ctr-oci") and os.listdir("/run/ctr-oci"))
report(not os.path.exists("/sys/fs/cgroup/ctr-oci"), "no cgroup is left")
