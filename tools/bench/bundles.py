#!/usr/bin/env python3
"""Writes the two bundles of `bench start` below a folder: 'small' and 'podman'.

    bundles.py FOLDER PAYLOAD CGROUP [--profile SECCOMP.JSON] [--devices]

small   six namespaces, six mounts, few capabilities: what bwrap and the floor do as well
podman  what Debian's Podman 4.3 writes for `podman create IMAGE` by default: its mounts, masks, capabilities and
        the seccomp profile of its package, with the profile's conditions resolved as Podman resolves them

Both have their cgroup below CGROUP. --devices adds the device rules that both have by default. Beside each
config.json there are others of the same rootfs: wait-RUNTIME/ with a payload that stays, for exec, and scope/ without
a cgroup, for --systemd-cgroup.
"""
import argparse
import json
import os
import pathlib
import platform
import shutil

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}
PODMAN_CAPS = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE",
               "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"]


def mount(destination, kind, source, *options):
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def base_config(name, cgroup, caps, mounts, devices):
    namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    config = {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": ["/payload"],
            "env": [PATH, "TERM=xterm"],
            "cwd": "/",
            "capabilities": {key: caps for key in ("bounding", "effective", "permitted")},
        },
        "root": {"path": "rootfs", "readonly": False},
        "hostname": name,
        "mounts": mounts,
        "linux": {"cgroupsPath": f"{cgroup}/{name}", "namespaces": [{"type": each} for each in namespaces]},
    }
    if devices:
        config["linux"]["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    return config


def small_config(cgroup, devices):
    mounts = [
        mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
        mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
    ]
    caps = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    config = base_config("small", cgroup, caps, mounts, devices)
    config["process"]["noNewPrivileges"] = True
    return config


def podman_config(folder, cgroup, devices):
    ours = {name: str(folder / "userdata" / name) for name in ("hosts", "shm", ".containerenv", "hostname")}
    mounts = [
        mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        mount("/dev", "tmpfs", "tmpfs", "nosuid", "noexec", "strictatime", "mode=755", "size=65536k"),
        mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        mount("/etc/hosts", "bind", ours["hosts"], "bind", "rprivate"),
        mount("/dev/shm", "bind", ours["shm"], "bind", "rprivate", "nosuid", "noexec", "nodev"),
        mount("/run/.containerenv", "bind", ours[".containerenv"], "bind", "rprivate"),
        mount("/etc/hostname", "bind", ours["hostname"], "bind", "rprivate"),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", "rprivate", "nosuid", "noexec", "nodev", "relatime", "ro"),
    ]
    config = base_config("podman", cgroup, PODMAN_CAPS, mounts, devices)
    config["process"]["user"]["umask"] = 0o22
    config["process"]["env"].append("HOSTNAME=podman")
    config["linux"] |= {
        "sysctl": {"net.ipv4.ping_group_range": "0 0"},
        "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                        "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/fs/selinux",
                        "/sys/dev/block"],
        "readonlyPaths": ["/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    }
    return config


def applies(rule, arch, caps):
    """The conditions of a containers-common profile: every 'includes' must hold, no 'excludes' may."""
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if includes.get("arches") and arch not in includes["arches"]:
        return False
    if not set(includes.get("caps") or []) <= set(caps):
        return False
    return arch not in (excludes.get("arches") or []) and not set(excludes.get("caps") or []) & set(caps)


def oci_rule(rule):
    made = {"names": rule.get("names") or [rule["name"]], "action": rule["action"]}
    if rule.get("errnoRet") is not None:
        made["errnoRet"] = rule["errnoRet"]
    if rule.get("args"):
        made["args"] = [{key: each[key] for key in ("index", "value", "valueTwo", "op") if each.get(key) or key != "valueTwo"}
                        for each in rule["args"]]
    return made


def seccomp_section(profile, caps):
    arch, native = ARCHES[platform.machine()]
    section = {"defaultAction": profile["defaultAction"]}
    if profile.get("defaultErrnoRet") is not None:
        section["defaultErrnoRet"] = profile["defaultErrnoRet"]
    for entry in profile.get("archMap") or []:
        if entry["architecture"] == native:
            section["architectures"] = [native, *entry["subArchitectures"]]
    section["syscalls"] = [oci_rule(rule) for rule in profile["syscalls"] if applies(rule, arch, caps)]
    return section


def write_config(folder, config):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1))


def make_bundle(folder, payload, config):
    root = folder / "rootfs"
    for part in ("proc", "sys", "dev", "usr", "etc", "run", "tmp"):
        (root / part).mkdir(parents=True)
    shutil.copy(payload, root / "payload")
    write_config(folder, config)
    config["root"]["path"] = str(root)
    path = config["linux"].pop("cgroupsPath")
    write_config(folder / "scope", config)
    config["process"]["args"] = ["/payload", "wait"]
    for runtime in ("ctr-oci", "crun", "runc"):
        config["linux"]["cgroupsPath"] = f"{path}-{runtime}"
        write_config(folder / f"wait-{runtime}", config)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("payload")
    parser.add_argument("cgroup")
    parser.add_argument("--profile", type=pathlib.Path)
    parser.add_argument("--devices", action="store_true")
    args = parser.parse_args()
    os.umask(0o22)

    make_bundle(args.folder / "small", args.payload, small_config(args.cgroup, args.devices))
    if args.profile is None:
        return
    folder = args.folder / "podman"
    config = podman_config(folder, args.cgroup, args.devices)
    config["linux"]["seccomp"] = seccomp_section(json.loads(args.profile.read_text()), PODMAN_CAPS)
    make_bundle(folder, args.payload, config)
    (folder / "userdata" / "shm").mkdir(parents=True)
    (folder / "userdata" / "hosts").write_text("127.0.0.1 localhost podman\n")
    (folder / "userdata" / "hostname").write_text("podman\n")
    (folder / "userdata" / ".containerenv").write_text("")


if __name__ == "__main__":
    main()
