#!/usr/bin/env python3
"""Layers as awkward as they come, unpacked by ctrctl and by umoci: what overlayfs makes of ours is, entry by entry, what
umoci has made of them. The corpus is made here, byte by byte where tarfile is too tidy."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import stat
import subprocess
import sys
import tarfile

from erofs import make_loop_devices, mount_erofs, store_layers_as

HERE = pathlib.Path("/var/lib/containers/layers-corpus")  # in the test bed not on an overlay
NAME = "host.example/corpus:1"
SINCE = 1500000000


def report(good, sentence, detail=""):
    print(("ok - " if good else "not ok - ") + sentence, flush=True)
    if not good:
        print("\n".join("    " + line for line in str(detail)[:4000].splitlines()), flush=True)


class Layer:
    """A tar in the order in which things are added. Names may be bytes."""

    def __init__(self):
        self.raw = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.raw, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8",
                                errors="surrogateescape")

    def add(self, name, kind=tarfile.REGTYPE, data=b"", mode=0o644, uid=0, gid=0, mtime=SINCE, link="", device=(0, 0),
            xattrs=None, **records):
        entry = tarfile.TarInfo(os.fsdecode(name))
        entry.type, entry.mode, entry.uid, entry.gid = kind, mode, uid, gid
        if isinstance(mtime, str):  # more than a float holds
            records["mtime"], mtime = mtime, SINCE
        entry.mtime = mtime
        entry.linkname, entry.size = os.fsdecode(link), len(data)
        entry.devmajor, entry.devminor = device
        entry.pax_headers = {**{f"SCHILY.xattr.{key}": os.fsdecode(value) for key, value in (xattrs or {}).items()},
                             **records}
        self.tar.addfile(entry, io.BytesIO(data))
        return self

    def folder(self, name, mode=0o755, **more):
        return self.add(name, tarfile.DIRTYPE, mode=mode, **more)

    def symlink(self, name, to, **more):
        return self.add(name, tarfile.SYMTYPE, link=to, mode=0o777, **more)

    def hard(self, name, to, **more):
        return self.add(name, tarfile.LNKTYPE, link=to, **more)

    def sparse(self, name, size, parts):
        """GNU's, in pax form 1.0: the map in front of the data."""
        text = "".join(f"{number}\n" for number in [len(parts)] + [n for at, data in parts for n in (at, len(data))])
        data = text.encode() + b"\0" * (-len(text) % 512) + b"".join(data for _, data in parts)
        return self.add("GNUSparseFile.0/x", data=data, **{"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                                                           "GNU.sparse.name": name, "GNU.sparse.realsize": str(size)})

    def done(self):
        self.tar.close()
        return self.raw.getvalue()


def corpus():
    capability = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=p, version 2
    deep = "/".join(["d" * 60] * 8)
    first = (Layer().folder("./", mode=0o751, uid=21, gid=22).folder("bin").folder("etc", mode=0o750, uid=3, gid=4)
             .add("bin/suid", data=b"#!", mode=0o4755).add("bin/sgid", data=b"#!", mode=0o2711, gid=50)
             .folder("bin/sticky", mode=0o1777).folder("bin/sgidfolder", mode=0o2775, gid=60)
             .add("bin/sgidfolder/inside", data=b"x", uid=1, gid=2)
             .add("bin/capable", data=b"#!", mode=0o755, xattrs={"security.capability": capability})
             .add("etc/attributes", data=b"a", xattrs={"user.one": b"1", "user.two": b"\x00\xff\x80"})
             .folder("etc/folder", xattrs={"user.folder": b"yes"})
             .add("etc/a", data=b"one").hard("etc/b", "etc/a").hard("bin/c", "etc/a").hard("./etc/d", "./bin/c")
             .symlink("etc/link", "/etc/a", mtime=SINCE + 5, uid=9, gid=9).symlink("etc/nowhere", "no/such")
             .hard("etc/linkedlink", "etc/link").symlink("lib", "usr/lib").folder("usr").folder("usr/lib")
             .add("late/file", data=b"before its folder").folder("late", mode=0o711, mtime=SINCE + 7)
             .add(f"{deep}/file", data=b"deep").add("n" * 101, data=b"101").add("p" * 150 + "/" + "q" * 255, data=b"long")
             .symlink("longlink", "t" * 300).add(b"latin-\xe9\xff", data=b"bytes").add("ünï", data=b"utf-8")
             .add("line\nbreak", data=b"x").add("blank name ", data=b"x").add(".hidden", data=b"")
             .add("old", mtime=-5).add("older", mtime=-86400 * 365 * 30).add("future", mtime=2**33 + 1)
             .add("nano", mtime="1500000000.123456789").add("nanoneg", mtime="-2.25")
             .add("bigids", uid=2**31 + 5, gid=4294967294 - 1).add("idsinoctal", uid=0o7777777, gid=0o7777777)
             .add("fifo", tarfile.FIFOTYPE, mode=0o640, uid=5).add("null", tarfile.CHRTYPE, mode=0o666, device=(1, 3))
             .add("loop", tarfile.BLKTYPE, mode=0o660, device=(7, 300)).sparse("holes", 10 << 20, [(4096, b"a" * 512), (9 << 20, b"b" * 1000)])
             .add("twice", data=b"first").add("twice", data=b"second, longer")
             .folder("gone").add("gone/x", data=b"x").folder("gone/sub").folder("hidden").add("hidden/x", data=b"x")
             .folder("hidden/sub").add("hidden/sub/y", data=b"y").folder("replaced").add("replaced/x", data=b"x")
             .symlink("turned", "etc").add("wasfile", data=b"f").folder("wasfolder").add("wasfolder/x", data=b"x")
             .folder("kept", mode=0o700, uid=11, mtime=SINCE + 11).add("kept/x", data=b"x").add("kept/y", data=b"y")
             .add("emptied", data=b"full").add("zero", mode=0))
    # Where blocks of 4 KiB begin and end: contents, lists of names, attributes.
    first.folder("sizes").folder("wide").folder("ordered")
    for size in (1, 2000, 2049, 4031, 4032, 4033, 4095, 4096, 4097, 6100, 8191, 8192, 8193, 12288, 70000):
        first.add(f"sizes/{size}", data=random.Random(size).randbytes(size))
    for i in range(400):
        first.add(f"wide/{str(i) * (1 + i % 60)}"[:250], data=b"w" * (i % 7))
    for name in ("-", "!", "+a", ".a", "...", "a", "a.b", "aa", "A", "~", b"\x01", b"\xff", b"\x80b"):
        first.add(b"ordered/" + os.fsencode(name), data=b"o")
    first.add("etc/many", data=b"m", xattrs={f"user.name{i:03}": bytes([i]) * (1 + i * 5 % 251) for i in range(60)})
    first.add("etc/large", data=b"l" * 5000, xattrs={"user.large": b"v" * 9000})
    first.symlink("etc/longest", "t/" * 2040 + "end")
    second = (Layer().add("etc/.wh.b").add(".wh.gone").add("hidden/.wh..wh..opq").add("hidden/new", data=b"new")
              .add("replaced", data=b"a file now").folder("turned").add("turned/x", data=b"a folder now")
              .folder("wasfile").add("wasfile/x", data=b"in it").symlink("wasfolder", "etc")
              .add("kept/z", data=b"z").add("kept/.wh.y")
              .add(".wh.readd").add("readd", data=b"again").add("emptied", data=b"")
              .folder("etc", mode=0o705, uid=7, gid=8, mtime=SINCE + 21).add("etc/a", data=b"two").hard("etc/e", "etc/a")
              .add("bin/suid", data=b"#!2", mode=0o755))
    third = (Layer().folder("gone", mode=0o711).add("gone/z", data=b"back").add(".wh.late").folder("late")
             .add("late/other", data=b"o").add("turned/.wh.x").add(".wh.nothing").symlink("turnedagain", "turned")
             .add(".wh.turnedagain").add("wasfile/.wh..wh..opq").add("wasfile/y", data=b"y")
             .hard("bin/capable2", "bin/capable").add("lib/through", data=b"through the link")
             .add("replaced", tarfile.FIFOTYPE, mode=0o600))
    fourth = (Layer().add(".wh.replaced").folder("replaced", mode=0o755).add("replaced/again", data=b"r")
              .folder("hidden/sub", mode=0o700).add("hidden/sub/w", data=b"w").add(".wh.wasfolder")
              .folder("wasfolder").add("wasfolder/only", data=b"o"))
    return [one.done() for one in (first, second, third, fourth)]


def make_layout(folder, layers):
    """An OCI layout with one image, the layers gzipped."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def keep(data, kind):
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + name, "size": len(data)}

    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [
        "sha256:" + hashlib.sha256(one).hexdigest() for one in layers]}}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": keep(json.dumps(config).encode(), "config.v1+json"),
                "layers": [keep(gzip.compress(one, 1, mtime=0), "layer.v1.tar+gzip") for one in layers]}
    entry = {**keep(json.dumps(manifest).encode(), "manifest.v1+json"),
             "annotations": {"org.opencontainers.image.ref.name": "corpus"}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def describe(root):
    """Every entry of a tree: what an application could see of it."""
    entries, names = {}, {}
    root = os.fsencode(str(root))
    for folder, folders, files in os.walk(root):
        for name in [b"."] * (folder == root) + folders + files:
            path = os.path.join(folder, name)
            known = os.path.relpath(path, root)
            st = os.lstat(path)
            entry = {"kind": stat.S_IFMT(st.st_mode), "mode": oct(stat.S_IMODE(st.st_mode)),
                     "owner": (st.st_uid, st.st_gid), "mtime": st.st_mtime_ns, "device": st.st_rdev}
            if not stat.S_ISDIR(st.st_mode):
                names.setdefault((st.st_dev, st.st_ino), []).append(known)
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as file:
                    entry["size"], entry["content"] = st.st_size, hashlib.sha256(file.read()).hexdigest()[:16]
            if stat.S_ISLNK(st.st_mode):
                entry["target"] = os.readlink(path)
            else:
                entry["xattrs"] = {key: os.getxattr(path, key) for key in os.listxattr(path)
                                   if not key.startswith("user.overlay.")}
            entries[known] = entry
    for together in names.values():
        for known in together:
            entries[known]["with"] = sorted(together)
    return entries


def compare(ours, theirs, sentence, leave_out=lambda path, field: False):
    wrong = []
    for path in sorted(set(ours) | set(theirs)):
        if path not in ours or path not in theirs:
            wrong.append(f"{path!r} is only in {'ours' if path in ours else 'the other'}")
            continue
        for field in sorted(set(ours[path]) | set(theirs[path])):
            if ours[path].get(field) != theirs[path].get(field) and not leave_out(path, field):
                wrong.append(f"{path!r} {field}: {ours[path].get(field)!r}, the other: {theirs[path].get(field)!r}"[:400])
    report(not wrong, sentence, "\n".join(wrong))


def run(*command):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=240, errors="replace")
    return done.returncode, done.stdout


def layer_files(store, name):
    """The lowest first."""
    return [store / "layers" / one["chainId"].replace(":", "-") for one in json.loads(run(
        "ctrctl", "image", "inspect", "--store", store, name)[1])["layers"]]


def is_deleted(entry):
    """Nobody says what the time of that is."""
    return entry and entry["kind"] == stat.S_IFCHR and entry["device"] == 0


def mounted(store, name):
    """Our layers, stacked, and nothing to write to."""
    place = HERE / "merged"
    place.mkdir(exist_ok=True)
    folders = [one if one.is_dir() else mount_erofs(one, HERE / f"layer-{i}")
               for i, one in enumerate(layer_files(store, name))]
    layers = ":".join(map(str, reversed(folders)))
    status, said = run("mount", "-t", "overlay", "overlay", "-o", f"ro,userxattr,lowerdir={layers}", place)
    return place if status == 0 else sys.exit(f"not ok - the layers can be mounted\n    {said}")


def unmount():
    for place in [HERE / "merged", *HERE.glob("layer-*")]:
        run("umount", "-l", place)


def check_erofs(theirs, implied):
    """The same as EROFS files, where a layer can be one."""
    make_loop_devices()
    store_layers_as("erofs")
    store = HERE / "store-erofs"
    status, said = run("ctrctl", "image", "load", "--store", store, HERE / "layout", NAME)
    report(status == 0, "it is loaded where layers are to be EROFS files", said)
    kinds = "".join("-" if one.is_file() else "d" for one in layer_files(store, NAME))
    report(kinds == "--d-", "one that links to a file below and writes through a link below is a folder, the others are files", kinds)
    files = [one for one in layer_files(store, NAME) if one.is_file()]
    for file in files:
        status, said = run("fsck.erofs", file)
        report(status == 0, "fsck.erofs finds nothing wrong", said)
    ours = describe(mounted(store, NAME))
    compare(ours, theirs, "what they hold is umoci's tree, too", unsaid(implied))
    unmount()
    for i, (one, other) in enumerate(zip(layer_files(store, NAME), layer_files(HERE / "store", NAME))):
        if one.is_file():
            folder = describe(other)
            compare(describe(mount_erofs(one, HERE / f"layer-{i}")), folder, f"layer {i + 1} is what it is as a folder",
                    lambda path, field: field == "mtime" and is_deleted(folder.get(path)))
    unmount()
    blocks = sum(os.stat(file).st_blocks for file in files)
    report(blocks * 512 < 1 << 20, "a sparse file takes what it holds", blocks)
    status, said = run("ctrctl", "image", "verify", "--store", store)
    report(status == 0, "verify makes the same files again", said)
    with open(files[0], "r+b") as file:
        file.seek(files[0].stat().st_size - 1)
        last = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([last[0] ^ 1]))
    status, said = run("ctrctl", "image", "verify", "--store", store)
    report(status == 1 and "of the EROFS file is not what its blob says" in said, "and finds one changed bit", said)
    store_layers_as("folders")
    status, said = run("ctrctl", "image", "verify", "--repair", "--store", store)
    report(status == 0, "which --repair makes good, as a file again", said)
    with open(files[0], "rb") as file:
        file.seek(-1, os.SEEK_END)
        report(file.read(1) == last and run("ctrctl", "image", "verify", "--store", store)[0] == 0, "it is as it was")
    said = run("ctrctl", "image", "diff", "--store", store, NAME)[1]
    folders = run("ctrctl", "image", "diff", "--store", HERE / "store", NAME)[1]
    report(said == folders and len(said) > 20, "diff says of files what it says of folders", said + folders)
    other = HERE / "store-files-below"
    (other / "layers").mkdir(parents=True)
    shutil.copy(files[0], other / "layers")
    shutil.copy(files[1], other / "layers")
    status, said = run("ctrctl", "image", "load", "--store", other, HERE / "layout", NAME)
    report(status == 0, "folders come on top of files", said)
    kinds = "".join("-" if one.is_file() else "d" for one in layer_files(other, NAME))
    report(kinds == "--dd", "which stay files", kinds)
    compare(describe(mounted(other, NAME)), theirs, "a folder takes from a file below it what its layer leaves open",
            unsaid(implied))
    unmount()


def unsaid(implied):
    return lambda path, field: field == "mtime" and path in implied


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    try:
        layers = corpus()
        make_layout(HERE / "layout", layers)
        status, said = run("umoci", "unpack", "--image", f"{HERE}/layout:corpus", HERE / "bundle")
        report(status == 0, "umoci unpacks the corpus", said)
        status, said = run("ctrctl", "image", "load", "--store", HERE / "store", HERE / "layout", NAME)
        report(status == 0, "so does ctrctl", said)
        theirs = describe(HERE / "bundle/rootfs")
        place = mounted(HERE / "store", NAME)
        ours = describe(place)
        report(len(ours) > 70, "all of it is there", len(ours))
        deep = b"/".join([b"d" * 60] * 8)
        # Nobody says what the time of a folder is that no layer has an entry for; of the root, umoci says: now.
        implied = {b"."} | {deep[:61 * i - 1] for i in range(1, 9)} | {b"p" * 150}
        compare(ours, theirs, "mode, owner, time, attributes, links, devices and content are those of umoci's tree",
                unsaid(implied))
        blocks = os.lstat(place / "holes").st_blocks
        report(blocks * 512 < 1 << 20, "a sparse file stays one", blocks)
        # Out and in again: what save, and a tar of all files, make of it.
        for kind in ("oci-archive", "docker-archive"):
            archive = HERE / kind
            status, said = run("ctrctl", "image", "save", "--store", HERE / "store", "--format", kind, "-o", archive, NAME)
            report(status == 0, f"it is saved as {kind}", said)
            status, said = run("ctrctl", "image", "load", "--store", HERE / f"store-{kind}", archive)
            report(status == 0 and NAME in said, f"and loaded from that under its name ({kind})", said)
            same = run("diff", "-r", "--no-dereference", HERE / "store/layers", HERE / f"store-{kind}/layers")
            names = [sorted(os.listdir(one / "layers")) for one in (HERE / "store", HERE / f"store-{kind}")]
            report(names[0] == names[1], f"with the same layers ({kind})", same)
        unmount()
        check_erofs(theirs, implied)
    finally:
        store_layers_as(None)
        unmount()
        shutil.rmtree(HERE, ignore_errors=True)


main()
