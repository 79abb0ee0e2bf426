#!/usr/bin/env python3
"""Images as others make them, in forms that are seldom: each is loaded and run."""
import gzip
import hashlib
import io
import json
import pathlib
import shutil
import subprocess
import tarfile

HERE = pathlib.Path.cwd()
BLOBS = HERE / "layout" / "blobs" / "sha256"
OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."


def report(good, sentence, detail=""):
    print(f"{'ok' if good else 'not ok'} - {sentence}")
    if not good:
        print("    " + str(detail).replace("\n", "\n    "))


def ctrctl(*words):
    done = subprocess.run(["ctrctl", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=240)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def tar_of(files):
    """{name: content, or None for a folder}"""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            entry.size = len(content or b"")
            archive.addfile(entry, io.BytesIO(content or b""))
    return data.getvalue()


def base():
    busybox = pathlib.Path(shutil.which("busybox")).read_bytes()
    return tar_of({"bin": None, "bin/sh": busybox, "bin/busybox": busybox, "etc": None,
                   "etc/passwd": b"root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:/bin/sh\n", "etc/group": b"root:x:0:\nweb:x:34:\nextra:x:40:web\n"})


def blob(data, media_type, **more):
    name = hashlib.sha256(data).hexdigest()
    (BLOBS / name).write_bytes(data)
    return {"mediaType": media_type, "digest": "sha256:" + name, "size": len(data), **more}


def document(value, media_type, **more):
    return blob(json.dumps(value).encode(), media_type, **more)


def manifest(layers, config=None, config_type=OCI + "config.v1+json", manifest_type=OCI + "manifest.v1+json", **more):
    """`layers`: (the tar, its blob, its media type)"""
    whole = {"architecture": "amd64", "os": "linux", "config": config or {},
             "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest() for tar, _, _ in layers]}}
    return document({"schemaVersion": 2, "mediaType": manifest_type, "config": document(whole, config_type),
                     "layers": [blob(data, kind) for _, data, kind in layers]}, manifest_type, **more)


def layout(*entries):
    (HERE / "layout/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": list(entries)}))
    (HERE / "layout/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def runs(sentence, expected, *words):
    """The only image of the layout."""
    loaded = ctrctl("image", "load", str(HERE / "layout"), "host.example/odd:1")
    ran = ctrctl("run", "host.example/odd:1", *words) if loaded[0] == 0 else loaded
    report(ran[0] == 0 and ran[1] == expected, sentence, (loaded, ran))


def refused(sentence, part):
    status, _, error = ctrctl("image", "load", str(HERE / "layout"), "host.example/odd:1")
    report(status == 1 and part in error, sentence, (status, error))


def compressed_in_pieces(tar, size=100_000):
    """As eStargz and pigz -i do it: each piece is a gzip member of its own, and an empty one ends it."""
    return b"".join(gzip.compress(tar[at:at + size], 1) for at in range(0, len(tar), size)) + gzip.compress(b"")


def zstd(data, size=1 << 17):
    """One frame of blocks as they are, with a window of a megabyte."""
    blocks = [data[at:at + size] for at in range(0, len(data), size)]
    return b"\x28\xb5\x2f\xfd\x00\x50" + b"".join(
        ((at == len(blocks) - 1) | len(block) << 3).to_bytes(3, "little") + block for at, block in enumerate(blocks))


def skippable(data):
    return b"\x50\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


def layers_of_others(tar):
    gzipped = OCI + "layer.v1.tar+gzip"
    layout(manifest([(tar, compressed_in_pieces(tar), gzipped)]))
    runs("a layer of many gzip members, as eStargz has it", "yes", "/bin/sh", "-c", "echo yes")
    half = len(tar) // 2
    chunked = zstd(tar[:half]) + skippable(b"table") + zstd(tar[half:]) + skippable(b"footer" * 9)
    layout(manifest([(tar, chunked, OCI + "layer.v1.tar+zstd")]))
    runs("a layer of zstd frames with skippable ones between and behind, as zstd:chunked has it", "yes", "/bin/sh", "-c", "echo yes")
    empty = tar_of({})
    layout(manifest([(tar, gzip.compress(tar, 1), gzipped), (empty, gzip.compress(empty), gzipped), (empty, empty, OCI + "layer.v1.tar")]))
    runs("layers with nothing in them", "yes", "/bin/sh", "-c", "echo yes")
    layout(manifest([(tar, gzip.compress(tar, 1), DOCKER + "image.rootfs.diff.tar.gzip")], config_type=DOCKER + "container.image.v1+json",
                    manifest_type=DOCKER + "distribution.manifest.v2+json"))
    runs("media types of Docker in an OCI layout", "yes", "/bin/sh", "-c", "echo yes")
    layout(manifest([(tar, gzip.compress(tar, 1), OCI + "layer.nondistributable.v1.tar+gzip")]))
    runs("a layer that may not be distributed, and is there", "yes", "/bin/sh", "-c", "echo yes")


def indexes(tar):
    gzipped = [(tar, gzip.compress(tar, 1), OCI + "layer.v1.tar+gzip")]
    attestation = document({"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": document({}, OCI + "config.v1+json"), "layers": []},
                           OCI + "manifest.v1+json", platform={"os": "unknown", "architecture": "unknown"},
                           annotations={"vnd.docker.reference.type": "attestation-manifest"})

    def index(*entries, **more):
        return document({"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": list(entries)}, OCI + "index.v1+json", **more)

    amd64 = {"os": "linux", "architecture": "amd64"}
    layout(index(attestation, manifest(gzipped, platform=amd64)))
    runs("an index with attestations, as buildx makes it", "yes", "/bin/sh", "-c", "echo yes")
    layout(index(index(manifest(gzipped, platform=amd64))))
    runs("an index in an index", "yes", "/bin/sh", "-c", "echo yes")
    layout(index(manifest(gzipped, platform={**amd64, "variant": "v1"})))
    runs("amd64/v1, which every amd64 is", "yes", "/bin/sh", "-c", "echo yes")
    layout(index(manifest(gzipped, platform={**amd64, "variant": "v4"})))
    refused("an index with nothing for this machine is refused, and says what it has", "linux/amd64/v4")
    layout(index(attestation))
    refused("one of attestations alone, too", "no image for linux/amd64")
    layout(document({"schemaVersion": 1, "name": "x", "fsLayers": []}, OCI + "manifest.v1+json"))
    refused("a manifest of before 2016 is refused as such", "before 2016")


def configs(tar):
    layers = [(tar, gzip.compress(tar, 1), OCI + "layer.v1.tar+gzip")]
    layout(manifest(layers, {"Cmd": ["/bin/sh", "-c", "echo $(id -u) $(id -g) $PWD"], "User": "web:extra", "WorkingDir": "/not/there",
                             "Healthcheck": {"Test": ["CMD", "true"]}, "OnBuild": ["RUN x"], "ArgsEscaped": True, "Labels": None, "Env": None}))
    runs("a user and group by name, and a working directory that no layer has", "33 40 /not/there")
    layout(manifest(layers, {"Entrypoint": ["/bin/sh", "-c", "echo $0 $1"], "Cmd": ["shell", "form"], "User": "33", "StopSignal": "37"}))
    runs("an entrypoint in shell form with a command, a signal by its number", "shell form")
    layout(manifest(layers, {"Cmd": ["/bin/sh", "-c", "test -d /data/deep && echo > /data/deep/x && echo made"],
                             "Volumes": {"/data/deep": {}, "relative": {}, "/a/../../x": {}, "/etc/passwd": {}}}))
    runs("volumes that no layer has are made, and those that can't be are not", "made")
    status, said, error = ctrctl("run", "--private-users=pick", "host.example/odd:1", "/bin/sh", "-c", "stat -c %u:%g /data/deep")
    report((status, said) == (0, "0:0"), "they are root's, whose users ever", (status, said, error))
    layout(manifest(layers, {"Entrypoint": [], "Cmd": None}))
    loaded = ctrctl("image", "load", str(HERE / "layout"), "host.example/odd:1")
    status, _, error = ctrctl("run", "host.example/odd:1")
    report(loaded[0] == 0 and status == 2 and "does not say what to run" in error, "an image that runs nothing says so", (loaded, error))
    bare = document({"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": document({"architecture": "amd64", "os": "linux"}, OCI + "config.v1+json"),
                     "layers": []}, OCI + "manifest.v1+json")
    layout(bare)
    refused("a config without diff ids is no image's", "no rootfs")


def main():
    BLOBS.mkdir(parents=True)
    tar = base()
    layers_of_others(tar)
    indexes(tar)
    configs(tar)
    subprocess.run("rm -rf /var/lib/ctrd/*", shell=True, check=True)


if __name__ == "__main__":
    main()
