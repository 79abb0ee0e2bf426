#!/usr/bin/env python3
"""Images made to break out, to lie or to fill the disk. Each row of ROWS is one image; what is expected of it is a part of
the error, or, where it has to be taken as it is, what may be in the store then. After each of them nothing outside the
store has changed, and nothing is left in it that was not whole.

What registries do is 71-hostile-registry.py's table."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import random
import resource
import shutil
import stat
import subprocess
import tarfile
import zlib

from erofs import make_loop_devices, mount_erofs, store_layers_as

HERE = pathlib.Path("/var/lib/containers/hostile-images")  # in the test bed not on an overlay
STORE, OUT, MOUNTED = HERE / "store", HERE / "out", HERE / "mounted"
REG, HARD, SYM, CHR, BLK, DIR, FIFO = "0", "1", "2", "3", "4", "5", "6"
UP = "../" * 12


def report(good, sentence, detail=""):
    print(("ok - " if good else "not ok - ") + sentence, flush=True)
    if not good:
        print("\n".join("    " + line for line in str(detail)[:3000].splitlines()), flush=True)


# --- tar, by hand: tarfile is too tidy -----------------------------------------------------------------------------------
def block(data):
    return data + b"\0" * (-len(data) % 512)


def octal(value, length):
    return b"%0*o\0" % (length - 1, value)


def header(name, kind=REG, size=0, link=b"", mode=0o644, device=(0, 0), size_field=None, sum_off=0, uid=b"0000000\0"):
    name, link = os.fsencode(name), os.fsencode(link)
    head = bytearray(512)
    for at, value in ((0, name[:100]), (100, octal(mode, 8)), (108, uid), (116, b"0000000\0"),
                      (124, size_field or octal(size, 12)), (136, octal(1500000000, 12)), (148, b" " * 8),
                      (156, kind.encode()), (157, link[:100]), (257, b"ustar\00000"), (329, octal(device[0], 8)),
                      (337, octal(device[1], 8))):
        head[at:at + len(value)] = value
    head[148:156] = b"%06o\0 " % (sum(head) + sum_off)
    return bytes(head)


def entry(name, data=b"", **more):
    return header(name, size=len(data), **more) + block(data)


def pax(*records, kind="x"):
    text = b""
    for key, value in records:
        line = b" " + os.fsencode(key) + b"=" + (value if isinstance(value, bytes) else os.fsencode(value)) + b"\n"
        length = len(line) + 1
        while length != len(str(length)) + len(line):
            length = len(str(length)) + len(line)
        text += str(length).encode() + line
    return raw_pax(text, kind)


def raw_pax(text, kind="x"):
    return header("pax", kind, len(text)) + block(text)


END = b"\0" * 1024


def tar(*parts):
    return b"".join(parts) + END


# --- images ----------------------------------------------------------------------------------------------------------------
def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def archive(members):
    """A plain tar of {name: bytes}, as `load` takes it."""
    return tar(*(entry(name, data) for name, data in members.items()))


class Image:
    """One image as an OCI layout, honest unless somebody changes it."""

    def __init__(self, *layers, packed=None, platform=("linux", "amd64")):
        self.layers = layers or (tar(entry("etc/file", b"x")),)
        self.blobs = packed or [gzip.compress(one, 1) for one in self.layers]
        self.config = {"architecture": platform[1], "os": platform[0], "config": {}, "rootfs": {
            "type": "layers", "diff_ids": [digest(one) for one in self.layers]}}
        self.manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                         "layers": [self.descriptor(one, "layer.v1.tar+gzip") for one in self.blobs]}
        self.entry, self.index, self.more = {}, {}, {}

    @staticmethod
    def descriptor(data, kind):
        return {"mediaType": "application/vnd.oci.image." + kind, "digest": digest(data), "size": len(data)}

    def bytes(self):
        config = self.config if isinstance(self.config, bytes) else json.dumps(self.config).encode()
        manifest = self.manifest
        if isinstance(manifest, dict):
            manifest.setdefault("config", self.descriptor(config, "config.v1+json"))
            manifest = json.dumps(manifest).encode()
        top = {**self.descriptor(manifest, "manifest.v1+json"),
               "annotations": {"org.opencontainers.image.ref.name": "host.example/evil:1"}, **self.entry}
        members = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
                   "index.json": json.dumps({"schemaVersion": 2, "manifests": [top], **self.index}).encode()}
        for blob in [config, manifest, *self.blobs]:
            members["blobs/sha256/" + digest(blob)[7:]] = blob
        return archive({**members, **self.more})


def changed(change, *layers, **more):
    image = Image(*layers, **more)
    change(image)
    return image.bytes()


def manifest_with(**more):
    return changed(lambda image: image.manifest.update(more))


def layer_with(**more):
    return changed(lambda image: image.manifest["layers"][0].update(more))


def config_with(**more):
    return changed(lambda image: image.config.update(more))


def docker(manifest, **members):
    layer = tar(entry("etc/file", b"x"))
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [
        digest(layer)]}}).encode()
    return archive({"manifest.json": manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode(),
                    "c.json": config, "l.tar": layer, **members})


def looping_indexes():
    """Digests can't lead in a circle; a chain can be long."""
    image, members = Image(), {}
    inner = image.bytes()
    top = json.loads(tarfile.open(fileobj=io.BytesIO(inner)).extractfile("index.json").read())
    for _ in range(6):
        text = json.dumps(top).encode()
        members["blobs/sha256/" + digest(text)[7:]] = text
        top = {"schemaVersion": 2, "manifests": [{**Image.descriptor(text, "index.v1+json"), "platform": {
            "os": "linux", "architecture": "amd64"}, "annotations": {
                "org.opencontainers.image.ref.name": "host.example/evil:1"}}]}
    names = tarfile.open(fileobj=io.BytesIO(inner))
    members.update({one.name: names.extractfile(one).read() for one in names if one.name != "index.json"})
    return archive({**members, "index.json": json.dumps(top).encode()})


BOMB = header("zeros", size=300 << 20)


def gzip_bomb():
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(BOMB) + b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(301)) + packer.flush()


def zstd_bomb():
    """A frame with a window of 128 kB: one block as it is, then blocks that say: this byte, 128 k times."""
    def blocks():
        yield (len(BOMB) << 3).to_bytes(3, "little") + BOMB
        for left in range(2407, -1, -1):
            yield ((1 << 17) << 3 | 1 << 1 | (left == 0)).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd\x00\x38" + b"".join(blocks())


# --- what may be in the store -------------------------------------------------------------------------------------------------
def one_layer():
    """Mounted, where it is a file."""
    layer = next((STORE / "layers").iterdir())
    if layer.is_dir() or os.path.ismount(MOUNTED):
        return layer if layer.is_dir() else MOUNTED
    return mount_erofs(layer, MOUNTED)


def has(path, kind):
    def look():
        st = os.lstat(one_layer() / path)
        return stat.S_IFMT(st.st_mode) == kind or f"{path}: {stat.filemode(st.st_mode)}"
    return look


def owned_folder():
    return STORE.stat().st_mode & 0o777 == 0o700 or oct(STORE.stat().st_mode)


def no_attribute():
    names = [name for path in [one_layer(), *one_layer().rglob("*")] for name in os.listxattr(path, follow_symlinks=False)]
    return not names or names


def last_counts():
    return (one_layer() / "f").read_bytes() == b"two" or (one_layer() / "f").read_bytes()


class Row:
    """`says`: in the error; or `check`: it is taken, and then that is true. `verb`: import takes a layer, load an image."""

    def __init__(self, name, data, says=None, check=None, verb="import"):
        self.name, self.data, self.says, self.check, self.verb = name, data, says, check, verb


def image_row(name, data, says=None, check=None):
    return Row(name, data, says, check, "load")


OUTSIDE = str(OUT)
RANDOM = random.Random(7)
ROWS = [
    # --- out of the layer -------------------------------------------------------------------------------------------------
    Row("path with ..", tar(entry(UP + OUTSIDE + "/f", b"x")), "'..' in it"),
    Row("path with .. in the middle", tar(entry("a/../../b", b"x")), "'..' in it"),
    Row("path .. alone", tar(entry("..", kind=DIR)), "'..' in it"),
    Row("absolute path", tar(entry(OUTSIDE + "/f", b"x")), check=has(OUTSIDE[1:] + "/f", stat.S_IFREG)),
    Row("many slashes", tar(entry("///" + OUTSIDE + "//f", b"x")), check=has(OUTSIDE[1:] + "/f", stat.S_IFREG)),
    Row("pax path with ..", tar(pax(("path", UP + OUTSIDE + "/f")), entry("x", b"x")), "'..' in it"),
    Row("GNU long name with ..", tar(header("././@LongLink", "L", len(UP + "f")) + block((UP + "f").encode()),
                                     entry("x", b"x")), "'..' in it"),
    Row("ustar prefix with ..", tar(entry("f", b"x").replace(b"\0" * 12, b"\0" * 12, 1)[:345] + b"../..".ljust(155, b"\0")
                                    + b"\0" * 12), "checksum"),
    Row("link to outside, then through it", tar(entry("l", kind=SYM, link=OUTSIDE), entry("l/f", b"x")), "symbolic link"),
    Row("relative link to outside, then through it",
        tar(entry("l", kind=SYM, link=UP + OUTSIDE[1:]), entry("l/f", b"x")), "symbolic link"),
    Row("two links, then through them", tar(entry("a", kind=SYM, link="b"), entry("b", kind=SYM, link=OUTSIDE),
                                            entry("a/f", b"x")), "symbolic link"),
    Row("links in a circle, then through them", tar(entry("a", kind=SYM, link="b"), entry("b", kind=SYM, link="a"),
                                                   entry("a/f", b"x")), "'a"),
    Row("link to /proc/self/root", tar(entry("l", kind=SYM, link="/proc/self/root"), entry("l" + OUTSIDE + "/f", b"x")),
        "symbolic link"),
    Row("link over a folder in use", tar(entry("d", kind=DIR), entry("d", kind=SYM, link=OUTSIDE), entry("d/f", b"x")),
        "symbolic link"),
    Row("hard link with ..", tar(entry("h", kind=HARD, link=UP + "etc/shadow")), "'..' in it"),
    Row("hard link to an absolute path", tar(entry("h", kind=HARD, link="/etc/shadow")), "not in this layer"),
    Row("hard link through a link to outside", tar(entry("l", kind=SYM, link="/etc"),
                                                   entry("h", kind=HARD, link="l/shadow")), "h'"),
    Row("hard link to a link to outside, then written to",
        tar(entry("l", kind=SYM, link=OUTSIDE + "/f"), entry("h", kind=HARD, link="l"), entry("h", b"x")),
        check=has("h", stat.S_IFREG)),
    Row("hard link to itself", tar(entry("h", b"x"), entry("h", kind=HARD, link="h")), "to itself"),
    Row("hard link to the root", tar(entry("h", kind=HARD, link="/")), "to the root"),
    Row("hard link to a folder", tar(entry("d", kind=DIR), entry("h", kind=HARD, link="d")), "which is a folder"),
    Row("hard link to what is deleted", tar(entry(".wh.f"), entry("h", kind=HARD, link="f")), "deleted"),
    Row("file over a link to outside", tar(entry("l", kind=SYM, link=OUTSIDE + "/f"), entry("l", b"x")),
        check=has("l", stat.S_IFREG)),
    Row("the root as a file", tar(entry("./", b"x", kind=REG)), ""),
    Row("the root as a link", tar(entry(".", kind=SYM, link=OUTSIDE)), "root of the layer"),
    # --- whiteouts ----------------------------------------------------------------------------------------------------------
    Row("whiteout of .", tar(entry(".wh..")), "deletes nothing"),
    Row("whiteout of ..", tar(entry(".wh...")), "deletes nothing"),
    Row("whiteout of nothing", tar(entry(".wh.")), "deletes nothing"),
    Row("whiteout through a link", tar(entry("l", kind=SYM, link=OUTSIDE), entry("l/.wh.keep")), "symbolic link"),
    Row("opaque through a link", tar(entry("l", kind=SYM, link=OUTSIDE), entry("l/.wh..wh..opq")), "symbolic link"),
    Row("device 0:0, overlayfs' own whiteout", tar(entry("w", kind=CHR)), "device 0:0"),
    Row("overlayfs' attributes", tar(pax(("SCHILY.xattr.user.overlay.opaque", "y"),
                                         ("SCHILY.xattr.trusted.overlay.redirect", OUTSIDE),
                                         ("SCHILY.xattr.user.overlay.redirect", OUTSIDE)), entry("d", kind=DIR)),
        check=no_attribute),
    # --- what files can be --------------------------------------------------------------------------------------------------
    Row("setuid program", tar(entry("s", b"#!", mode=0o4755)), check=owned_folder),
    Row("the host's disk", tar(entry("sda", kind=BLK, device=(8, 0), mode=0o666)), check=owned_folder),
    Row("device number out of range", tar(header("d", CHR, device=(0o7777777, 1))), "device number"),
    Row("FIFO, then written to", tar(entry("p", kind=FIFO), entry("p", b"x")), check=has("p", stat.S_IFREG)),
    Row("attribute of SELinux", tar(pax(("SCHILY.xattr.security.selinux", "unconfined")), entry("f")), check=no_attribute),
    Row("attribute with a NUL", tar(pax(("SCHILY.xattr.user.a\0b", "x")), entry("f")), "attribute"),
    Row("attribute of 100 kB", tar(pax(("SCHILY.xattr.user.a", "x" * 100000)), entry("f")), "attribute"),
    Row("attribute with a name of 300 bytes", tar(pax(("SCHILY.xattr.user." + "a" * 300, "x")), entry("f")), "attribute"),
    Row("type that no layer has", tar(entry("v", kind="V")), "has the type 'V'"),
    Row("contiguous files and the same name twice", tar(entry("f", b"one"), entry("f", b"two")), check=last_counts),
    Row("owner -1", tar(pax(("uid", "4294967295")), entry("f")), "owner"),
    Row("owner that is no number", tar(header("f", uid=b"99999999")), "owner"),
    Row("negative owner", tar(pax(("uid", "-1")), entry("f")), "owner"),
    # --- names --------------------------------------------------------------------------------------------------------------
    Row("name with a NUL", tar(pax(("path", b"a\0b")), entry("f")), "NUL"),
    Row("link with a NUL", tar(pax(("linkpath", b"a\0b")), entry("f", kind=SYM)), "NUL"),
    Row("empty link", tar(entry("l", kind=SYM)), "cannot make"),
    Row("link of 5000 bytes", tar(pax(("linkpath", "x" * 5000)), entry("l", kind=SYM)), "cannot make"),
    Row("name of 300 bytes", tar(pax(("path", "n" * 300)), entry("f")), "more than 255 bytes"),
    Row("path of 5000 bytes", tar(pax(("path", "d/" * 2500)), entry("f")), "more than 4095 bytes"),
    Row("name that would steer a terminal", tar(entry("\x1b]0;owned\x07/..", b"x")), "'..' in it"),
    # --- tar ----------------------------------------------------------------------------------------------------------------
    Row("wrong checksum", tar(header("f", sum_off=1)), "checksum"),
    Row("no tar at all", RANDOM.randbytes(4096), "damaged"),
    Row("cut in a header", tar(entry("f", b"x" * 600))[:700], "in the middle"),
    Row("cut in a file", header("f", size=5000) + b"x" * 1000, "in the middle"),
    Row("size that is negative", tar(header("f", size_field=b"\xff" * 12)), "size"),
    Row("size of 2^62", tar(header("f", size_field=b"\x80\0\0\0" + (1 << 62).to_bytes(8, "big"))), "size"),
    Row("pax size of 2^64", tar(pax(("size", str(2**64))), entry("f")), "size"),
    Row("pax size of -1", tar(pax(("size", "-1")), entry("f")), "size"),
    Row("pax header of 2 MB", tar(raw_pax(b"x" * (2 << 20)), entry("f")), "headers have"),
    Row("pax header that announces 8 GB", tar(header("pax", "x", (1 << 33) - 1)), "headers have"),
    Row("pax record longer than its header", tar(raw_pax(b"99 path=x\n"), entry("f")), "pax header"),
    Row("pax record of length 0", tar(raw_pax(b"0 path=x\n"), entry("f")), "pax header"),
    Row("pax record without a value", tar(raw_pax(b"7 path\n"), entry("f")), "pax header"),
    Row("pax headers without end", gzip.compress(tar(*[pax((f"SCHILY.xattr.user.{i}", "x" * 60000)) for i in range(99)],
                                                     entry("f"))), "headers have"),
    Row("long name of 2 MB", tar(header("l", "L", 2 << 20) + b"x" * (2 << 20), entry("f")), "headers have"),
    Row("time that is none", tar(pax(("mtime", "now")), entry("f")), "time"),
    # --- bombs --------------------------------------------------------------------------------------------------------------
    Row("bomb of gzip", gzip_bomb(), "400 times"),
    Row("bomb of zstd", zstd_bomb(), "400 times"),
    Row("sparse file of 2^49 bytes", tar(pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "s"),
                                             ("GNU.sparse.realsize", str(2**49))), entry("x", block(b"0\n"))), "bytes"),
    Row("sparse map of a million entries", tar(pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"),
                                                   ("GNU.sparse.realsize", "1")), entry("x", block(b"9999999\n"))), "map"),
    Row("sparse map that goes back", tar(pax(("GNU.sparse.map", "10,5,0,5"), ("GNU.sparse.size", "20")),
                                         entry("x", b"x" * 10)), "map"),
    Row("sparse map beyond the file", tar(pax(("GNU.sparse.map", "0,10"), ("GNU.sparse.size", "5")),
                                          entry("x", b"x" * 10)), "map"),
    Row("damaged gzip", gzip.compress(b"x" * 1000)[:-8] + b"\0" * 8, "checksum"),
    Row("cut gzip", gzip.compress(RANDOM.randbytes(5000))[:-100], "too early"),
    Row("something behind the gzip", gzip.compress(tar(entry("f"))) + b"behind", "gzip stream"),
    Row("xz", b"\xfd7zXZ\0" + b"\0" * 600, "compressed by xz"),
    Row("nothing", b"", "empty"),
    # --- images that lie ------------------------------------------------------------------------------------------------------
    image_row("layer that is not what its config says",
              changed(lambda one: one.config["rootfs"].update(diff_ids=["sha256:" + "0" * 64])), "as the image's config says"),
    image_row("layer of another digest", layer_with(digest="sha256:" + "1" * 64), "1111"),
    image_row("layer of another size", layer_with(size=5), "longer than the 5 bytes"),
    image_row("layer larger than it is", layer_with(size=5000), "instead of the 5000"),
    image_row("layer of negative size", layer_with(size=-1), "size"),
    image_row("layer of 2^70 bytes", layer_with(size=2**70), "size"),
    image_row("layer whose digest is a path", layer_with(digest="sha256:../../../../etc/shadow"), "digest"),
    image_row("layer whose digest is of md5", layer_with(digest="md5:" + "0" * 32), "digest"),
    image_row("layer that is the config", changed(lambda one: one.manifest.update(layers=[
        Image.descriptor(json.dumps(one.config).encode(), "layer.v1.tar+gzip")])), "layer 1 of 1"),
    image_row("config that is a layer", changed(lambda one: one.manifest.update(
        config=Image.descriptor(one.blobs[0], "config.v1+json"))), "JSON"),
    image_row("config of another digest", changed(lambda one: one.manifest.update(
        config={**Image.descriptor(b"{}", "config.v1+json")})), "44136fa3"),
    image_row("foreign layer with urls", layer_with(
        mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", digest="sha256:" + "2" * 64,
        urls=["http://169.254.169.254/"]), "2222"),
    image_row("layer that is a file system, and could be read as an empty tar", changed(
        lambda one: one.manifest["layers"][0].update(mediaType="application/vnd.erofs.layer.v1")), "and no tar"),
    image_row("layer that is encrypted", changed(lambda one: one.manifest["layers"][0].update(
        mediaType="application/vnd.oci.image.layer.v1.tar+gzip+encrypted")), "and no tar"),
    image_row("more diff ids than layers", changed(
        lambda one: one.config["rootfs"]["diff_ids"].append("sha256:" + "0" * 64)), "config says 2"),
    image_row("no diff ids", config_with(rootfs={"type": "layers", "diff_ids": []}), "config says 0"),
    image_row("10000 layers", changed(lambda one: one.manifest.update(
        layers=one.manifest["layers"] * 10000)), "layers has more than"),
    image_row("manifest that is an index, too", manifest_with(manifests=[]), "manifest"),
    image_row("manifest called an index", changed(lambda one: one.entry.update(
        mediaType="application/vnd.oci.image.index.v1+json")), "index"),
    image_row("manifest of another version", manifest_with(schemaVersion=1), "schemaVersion"),
    image_row("manifest of 5 MB", manifest_with(annotations={"a": "x" * (5 << 20)}), "more than any such document"),
    image_row("manifest 10000 levels deep", changed(lambda one: setattr(
        one, "manifest", b'{"a":' * 10000 + b"1" + b"}" * 10000)), "deep"),
    image_row("manifest that is no JSON", changed(lambda one: setattr(one, "manifest", b"\0\xff")), "JSON"),
    image_row("index in an index in an index", looping_indexes(), "indexes lead to indexes"),
    image_row("index without anything", changed(lambda one: one.index.update(manifests=[])), "holds no image"),
    image_row("layout of another version", changed(lambda one: one.more.update({
        "oci-layout": b'{"imageLayoutVersion": "9"}'})), "version"),
    image_row("name that is a path", changed(lambda one: one.entry.update(
        annotations={"org.opencontainers.image.ref.name": "../../../etc:1"})), "name"),
    image_row("environment without =", config_with(config={"Env": ["LD_PRELOAD"]}), "Env"),
    image_row("blob that is a link to outside", changed(lambda one: one.more.update({})).replace(END, b"")
              + entry("blobs/sha256/x", kind=SYM, link="/etc/shadow") + END, check=owned_folder),
    image_row("Docker's archive with a config outside", docker([{"Config": UP + "etc/shadow", "RepoTags": ["a.b/c:1"],
                                                                 "Layers": ["l.tar"]}]), "'..' in it"),
    image_row("Docker's archive with a layer outside", docker([{"Config": "c.json", "RepoTags": ["a.b/c:1"],
                                                                "Layers": [UP + "etc/shadow"]}]), "'..' in it"),
    image_row("Docker's archive with a layer that is not there", docker(
        [{"Config": "c.json", "RepoTags": ["a.b/c:1"], "Layers": ["no.tar"]}]), "no.tar"),
    image_row("Docker's archive that is no list", docker({"Config": "c.json"}), "images"),
    image_row("Docker's archive with too many layers", docker(
        [{"Config": "c.json", "RepoTags": ["a.b/c:1"], "Layers": ["l.tar"] * 3}]), "do not fit"),
]


def snapshot():
    return {path: (os.lstat(path).st_mode, os.lstat(path).st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in [OUT, *OUT.rglob("*")]}


def left():
    """What is in the store beside its folders and its lock."""
    return [str(path.relative_to(STORE)) for folder in ("blobs/sha256", "blobs/sha512", "layers", "tags", "partial", "tmp")
            for path in (STORE / folder).glob("*")]


def tell(row, before, form):
    name = row.name + (" (EROFS)" if form else "")
    shutil.rmtree(STORE, ignore_errors=True)
    (HERE / "image").write_bytes(row.data)
    words = ["ctrctl", "image", row.verb, "--store", STORE, HERE / "image"] + (["host.example/evil:1"] * (row.verb == "import"))
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    said, error = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    clean = all(c.isprintable() for c in error.replace("\n", ""))
    outside = snapshot() == before
    if row.check is not None:
        good = row.check() if done.returncode == 0 else f"status {done.returncode}"
        if os.path.ismount(MOUNTED):
            subprocess.run(["umount", MOUNTED], check=True)
        report(good is True and outside, f"{name}: taken, and harmless", f"{good} {outside} {said} {error}")
        return
    good = done.returncode == 1 and row.says in error and clean and outside and not left()
    report(good, f"{name}: refused, and nothing is left",
           f"status {done.returncode}, wanted '{row.says}': {error!r} {said} outside {outside}, left {left()}")


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    OUT.mkdir(parents=True)
    (OUT / "keep").write_text("here before")
    os.chmod(HERE, 0o755)
    try:
        before = snapshot()
        make_loop_devices()
        for form in (None, "erofs"):
            store_layers_as(form)
            for row in ROWS:
                if not form or row.verb == "import" or row.check:  # what a document says is the same for both
                    tell(row, before, form)
        report(len(ROWS) >= 100, "these are a hundred images", len(ROWS))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        report(peak < 100 << 10, "none of them takes more than 100 MB of memory", f"{peak} kB")
    finally:
        store_layers_as(None)
        shutil.rmtree(HERE, ignore_errors=True)


main()
