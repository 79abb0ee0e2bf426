#!/usr/bin/env python3
"""Layers as awkward as they come, unpacked by ctrctl and by umoci: what overlayfs makes of ours is, entry by entry, what
umoci has made of them. The corpus is made here, byte by byte where tarfile is too tidy."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tarfile

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
    second = (Layer().add("etc/.wh.b").add(".wh.gone").add("hidden/.wh..wh..opq").add("hidden/new", data=b"new")
              .add("replaced", data=b"a file now").folder("turned").add("turned/x", data=b"a folder now")
              .folder("wasfile").add("wasfile/x", data=b"in it").symlink("wasfolder", "etc")
              .add("kept/z", data=b"z").add("kept/.wh.y").add("lib/through", data=b"through the link")
              .add(".wh.readd").add("readd", data=b"again").add("emptied", data=b"")
              .folder("etc", mode=0o705, uid=7, gid=8, mtime=SINCE + 21).add("etc/a", data=b"two").hard("etc/e", "etc/a")
              .add("bin/suid", data=b"#!2", mode=0o755))
    third = (Layer().folder("gone", mode=0o711).add("gone/z", data=b"back").add(".wh.late").folder("late")
             .add("late/other", data=b"o").add("turned/.wh.x").add(".wh.nothing").symlink("turnedagain", "turned")
             .add(".wh.turnedagain").add("wasfile/.wh..wh..opq").add("wasfile/y", data=b"y")
             .hard("bin/capable2", "bin/capable").add("replaced", tarfile.FIFOTYPE, mode=0o600))
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
                wrong.append(f"{path!r} {field}: {ours[path].get(field)!r}, the other: {theirs[path].get(field)!r}")
    report(not wrong, sentence, "\n".join(wrong))


def run(*command):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=240, errors="replace")
    return done.returncode, done.stdout


def mounted(store, name):
    """Our layers, stacked, and nothing to write to."""
    chain = [one["chainId"].replace(":", "-") for one in json.loads(run(
        "ctrctl", "image", "inspect", "--store", store, name)[1])["layers"]]
    place = HERE / "merged"
    place.mkdir(exist_ok=True)
    layers = ":".join(str(store / "layers" / one) for one in reversed(chain))
    status, said = run("mount", "-t", "overlay", "overlay", "-o", f"ro,userxattr,lowerdir={layers}", place)
    return place if status == 0 else sys.exit(f"not ok - the layers can be mounted\n    {said}")


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
        status, said = run("umount", place)
    finally:
        run("umount", "-l", HERE / "merged")
        shutil.rmtree(HERE, ignore_errors=True)


main()
