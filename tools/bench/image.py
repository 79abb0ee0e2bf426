#!/usr/bin/env python3
"""Pull and unpack of one image: ctrctl against podman, skopeo with umoci, and tar, interleaved. tools/bench/bench runs it in
namespaces of its own, where /usr/lib/ctrd and PATH have the build's programs."""
import argparse
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import threading
import time

PORT = 5055
LAYERS = 12
SHARED = 10


def sh(*words, **options):
    return subprocess.run(list(map(str, words)), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **options).stdout


def sha(path):
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def fill_layer(path, size, seed):
    """Files as programs have them: most small, a few large, and compressible to about 40 %."""
    chance = random.Random(seed)
    pool = [chance.randbytes(48) for _ in range(700)]
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        number = 0
        while size > 0:
            length = min(size, int(chance.lognormvariate(9.3, 1.7)) + 1)
            data = b"".join(chance.choices(pool, k=length // 48 + 1))[:length]
            entry = tarfile.TarInfo(f"usr/share/layer{seed}/{number // 100}/{number}")
            entry.size, entry.mode, entry.mtime = length, 0o644, 1700000000
            with open("/dev/shm/bench-file", "wb") as file:
                file.write(data)
            with open("/dev/shm/bench-file", "rb") as file:
                archive.addfile(entry, file)
            size -= length
            number += 1
    os.unlink("/dev/shm/bench-file")


class Layout:
    """An OCI layout, which skopeo can push."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.manifests = []

    def keep(self, path, kind):
        digest = sha(path)
        target = self.folder / "blobs/sha256" / digest[7:]
        if not target.exists():
            shutil.copyfile(path, target)
        return {"mediaType": "application/vnd.oci.image." + kind, "digest": digest, "size": target.stat().st_size}

    def text(self, document, kind):
        path = self.folder / "document"
        path.write_text(json.dumps(document))
        kept = self.keep(path, kind)
        path.unlink()
        return kept

    def add(self, name, layers, kind):
        config = self.text({"architecture": os.uname().machine.replace("x86_64", "amd64"), "os": "linux", "config": {
            "Cmd": ["/x"]}, "rootfs": {"type": "layers", "diff_ids": [diff for diff, _ in layers]}}, "config.v1+json")
        manifest = self.text({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                              "config": config, "layers": [self.keep(path, "layer.v1.tar+" + kind) for _, path in layers]},
                             "manifest.v1+json")
        self.manifests.append({**manifest, "annotations": {"org.opencontainers.image.ref.name": name}})
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self.manifests}))


def make_images(work, megabytes, kind):
    """Two images, of which the second shares ten layers with the first. The layers of the first."""
    compress = {"gzip": ["gzip", "-6", "-k"], "zstd": ["zstd", "-q", "-3"]}[kind]
    suffix = {"gzip": ".gz", "zstd": ".zst"}[kind]
    layers = []
    for number in range(LAYERS + LAYERS - SHARED):
        tar = work / f"layer{number}.tar"
        if not tar.exists():
            fill_layer(tar, megabytes * 1000000 // LAYERS, number)
        packed = pathlib.Path(str(tar) + suffix)
        if not packed.exists():
            sh(*compress, tar)
        layers.append((sha(tar), packed))
    layout = Layout(work / f"layout-{kind}")
    layout.add("one", layers[:LAYERS], kind)
    layout.add("two", layers[:SHARED] + layers[LAYERS:], kind)
    for name in ("one", "two"):
        sh("skopeo", "--insecure-policy", "copy", "--preserve-digests", "--dest-tls-verify=false", f"oci:{layout.folder}:{name}",
           f"docker://localhost:{PORT}/{kind}:{name}")
    return [path for _, path in layers[:LAYERS]]


def start_registry(work):
    config = work / "config.yml"
    config.write_text(json.dumps({"version": "0.1", "log": {"level": "error"}, "http": {"addr": f"127.0.0.1:{PORT}"},
                                  "storage": {"filesystem": {"rootdirectory": str(work / "registry")}}}))
    process = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", PORT), 1).close()
            return process
        except OSError:
            time.sleep(0.05)
    sys.exit("bench: docker-registry does not start")


class Memory(threading.Thread):
    """The greatest sum of what a process and its children have in memory, looked at often."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak = pid, 0
        self.start()

    def run(self):
        while (total := self.total()) > 0:
            self.peak = max(self.peak, total)
            time.sleep(0.01)

    def total(self):
        total = 0
        try:
            children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            for pid in [self.pid, *children]:
                for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmRSS"):
                        total += int(line.split()[1])
        except OSError:
            pass
        return total


def moved():
    line = next(line for line in pathlib.Path("/proc/net/dev").read_text().splitlines() if "lo:" in line)
    return int(line.split()[1])


class Case:
    def __init__(self, name, commands, folder, settings=""):
        self.name, self.commands, self.folder, self.settings = name, commands, folder, settings
        self.seconds, self.cpu, self.peaks, self.bytes = [], [], [], []

    def run(self, timed):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        pathlib.Path("/etc/ctrd/images.toml").write_text(self.settings)  # a tmpfs, of this bench alone
        sh("sync")  # what others have written is not this one's to wait for
        before, begin, used = moved(), time.monotonic(), os.times()
        peak = 0
        for command in self.commands:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            memory = Memory(process.pid)
            output = process.communicate()[0]
            memory.join()
            peak = max(peak, memory.peak)
            if process.returncode != 0:
                sys.exit(f"bench: {self.name}: {output.decode()}")
        seconds, after = time.monotonic() - begin, os.times()
        if timed:
            self.seconds.append(seconds)
            self.cpu.append(after.children_user - used.children_user + after.children_system - used.children_system)
            self.peaks.append(peak)
            self.bytes.append(moved() - before)


def cases(work, kind, packed, name="one"):
    image = f"localhost:{PORT}/{kind}:{name}"
    option = {"gzip": "-z", "zstd": "--zstd"}[kind]
    podman = work / "podman"
    unpack = " ".join(f"mkdir {work}/tar/{i} && tar -C {work}/tar/{i} {option} -xf {path} &" if i % 2 == 0 else
                      f"mkdir {work}/tar/{i} && tar -C {work}/tar/{i} {option} -xf {path}; wait;"
                      for i, path in enumerate(packed))
    found = [
        Case("ctrctl", [["ctrctl", "image", "pull", "--tls-verify=false", "--store", f"{work}/ctrctl/store", image]],
             work / "ctrctl"),
        Case("ctrctl-erofs", [["ctrctl", "image", "pull", "--tls-verify=false", "--store", f"{work}/erofs/store", image]],
             work / "erofs", 'layers = "erofs"\n'),
        Case("podman", [["podman", "--root", f"{podman}/root", "--runroot", f"{podman}/run", "--storage-driver", "overlay",
                         "pull", "-q", "--tls-verify=false", image]], podman),
        Case("tar", [["sh", "-c", unpack + " wait"]], work / "tar"),
    ]
    if kind == "gzip":  # Debian's umoci refuses layers with zstd
        found.insert(3, Case("skopeo+umoci", [
            ["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", f"docker://{image}", f"oci:{work}/skopeo/layout:one"],
            ["umoci", "unpack", "--image", f"{work}/skopeo/layout:one", f"{work}/skopeo/bundle"]], work / "skopeo"))
    return found


def measure(work, kind, options):
    packed = make_images(work, options.megabytes, kind)
    size = sum(path.stat().st_size for path in packed)
    all_cases = [case for case in cases(work, kind, packed)
                 if (shutil.which(re.split("[+-]", case.name)[0]) and (not options.only or case.name in options.only.split(",")))]
    for number in range(options.warmup + options.runs):
        for case in all_cases:
            case.run(number >= options.warmup)
    print(f"{kind}: {LAYERS} layers, {options.megabytes} MB, compressed {size / 1e6:.0f} MB; {options.runs} rounds")
    print(f"  {'':15}{'median':>8}{'min':>8}{'max':>8}{'cpu':>8}{'memory':>10}   ctrctl is")
    ours = statistics.median(all_cases[0].seconds)
    result = {}
    for case in all_cases:
        median = statistics.median(case.seconds)
        result[case.name] = {"seconds": case.seconds, "cpu": case.cpu, "peak_kb": max(case.peaks), "bytes": case.bytes}
        print(f"  {case.name:15}{median:7.2f}s{min(case.seconds):7.2f}s{max(case.seconds):7.2f}s"
              f"{statistics.median(case.cpu):7.2f}s{max(case.peaks) / 1024:7.1f}MiB   {ours / median:.2f} x")
    if all_cases[0].name == "ctrctl":
        first = all_cases[0].bytes[-1]
        before = moved()
        sh("ctrctl", "image", "pull", "--tls-verify=false", "--store", work / "ctrctl/store", f"localhost:{PORT}/{kind}:two")
        print(f"  a second image that shares {SHARED} layers: {(moved() - before) / 1e6:.1f} MB moved, after {first / 1e6:.1f} MB")
        result["second image"] = {"bytes": moved() - before}
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    registry = start_registry(options.work)
    try:
        result = {kind: measure(options.work, kind, options) for kind in ("gzip", "zstd")}
    finally:
        registry.kill()
        registry.wait()
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


main()
