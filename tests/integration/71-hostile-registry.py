#!/usr/bin/env python3
"""Registries that lie: every case is a clear error within its time, and neither a file nor our password goes astray.

The table CASES names what a registry does and what the client must say about it. Each case has a registry of its own
name, /v2/CASE/, on one server with TLS."""
import base64
import json
import os
import pathlib
import time
import urllib.parse

import registrybed as bed
from registrybed import digest, driver, report

HERE = pathlib.Path.cwd()
PORT, PLAIN, OTHER = 7201, 7202, 7203  # the registry; one without TLS; a host that is not trusted with our password
ME = f"https://localhost:{PORT}"
OCI = "application/vnd.oci.image."
LAYER = bed.layer({"etc/file": b"content" * 1000})
CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
                    ).encode()
SECRET = "Basic " + base64.b64encode(b"me:secret").decode()
seen = []  # (port, case, Authorization) of every request


def descriptor(data, kind, **more):
    return {"mediaType": OCI + kind, "digest": digest(data), "size": len(data), **more}


def manifest(**more):
    return {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": descriptor(CONFIG, "config.v1+json"),
            "layers": [descriptor(LAYER, "layer.v1.tar+gzip")], **more}


def index(*entries, **more):
    return {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": list(entries), **more}


GOOD = json.dumps(manifest()).encode()
LINUX = {"os": "linux", "architecture": "amd64"}


class Registry(bed.http.server.BaseHTTPRequestHandler):
    """Answers as an honest registry does, unless the case has something else in mind: CASES[case].manifest and so on
    are called with this object and answer for it."""
    protocol_version = "HTTP/1.1"
    timeout = 30

    def handle(self):
        with bed.contextlib.suppress(OSError):  # the client goes when it has heard enough
            super().handle()

    def handle_any(self):
        path = urllib.parse.urlparse(self.path)
        parts = path.path.strip("/").split("/")
        case = parts[1] if len(parts) > 1 else ""
        seen.append((self.server.server_port, case, self.headers.get("Authorization")))
        act = BY_NAME.get(case)
        what = parts[2] if len(parts) > 2 else ""
        special = getattr(act, {"manifests": "manifest", "blobs": "blob", "tags": "tags"}.get(what, ""), None)
        if special:
            return special(self)
        if what == "manifests":
            return self.say(GOOD, **{"Content-Type": OCI + "manifest.v1+json"})
        if what == "blobs" and self.command == "GET":
            for data in (LAYER, CONFIG):
                if path.path.endswith(digest(data)):
                    return self.say(data)
        return self.say(b"", 404)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = handle_any

    def say(self, body, status=200, length=None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def raw(self, data):
        self.wfile.write(data)
        self.close_connection = True

    def drip(self, data, pause):
        """The answer, a few bytes at a time."""
        self.close_connection = True
        for byte in data:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(pause)

    def pour(self, head, piece, pause=0):
        """An answer that does not end."""
        self.wfile.write(head)
        self.close_connection = True
        while True:
            self.wfile.write(piece)
            time.sleep(pause)

    def log_message(self, *_):
        pass


class Case:
    """What happens: `manifest`, `blob` or `tags` in place of the honest answer. `says`: a part of the error."""

    def __init__(self, name, says, manifest=None, blob=None, tags=None, words=None, limit=12):
        self.name, self.says, self.limit = name, says, limit
        self.manifest, self.blob, self.tags, self.words = manifest, blob, tags, words


def document(value, kind="manifest.v1+json", **headers):
    """A manifest that is `value`: a document, or its bytes."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return lambda r: r.say(body, **{"Content-Type": OCI + kind, **headers})


def with_layer(**changes):
    return document(manifest(layers=[{**descriptor(LAYER, "layer.v1.tar+gzip"), **changes}]))


def child_of(entry, body, kind="manifest.v1+json"):
    """An index with one entry; asked by digest, the registry has `body`."""
    top = json.dumps(index(entry)).encode()
    return lambda r: (document(body, kind) if "sha256:" in r.path else document(top, "index.v1+json"))(r)


def only_layer(act):
    """`act` for the layer; the config is honest."""
    return lambda r: act(r) if r.path.endswith(digest(LAYER)) else r.say(CONFIG)


def redirect(to, status=307):
    return lambda r: r.say(b"", status, Location=to(r) if callable(to) else to)


def demand(challenge):
    return lambda r: r.say(b"{}", 401, WWW_Authenticate=challenge)


def bearer(realm):
    return demand(f'Bearer realm="{realm}",service="s"')


def from_token_server(case, body, status=200, **headers):
    """A token server at the registry itself: below /v2/CASE/manifests/token."""
    def act(r):
        if "/manifests/token" in r.path:
            return r.say(body, status, **headers)
        return bearer(f"{ME}/v2/{case}/manifests/token")(r)
    return act


def cut_each_byte(r):
    start = int((r.headers.get("Range") or "bytes=0-").split("=")[1].split("-")[0])
    r.send_response(206 if start else 200)
    if start:
        r.send_header("Content-Range", f"bytes {start}-{len(LAYER) - 1}/{len(LAYER)}")
    r.send_header("Content-Length", str(len(LAYER) - start))
    r.end_headers()
    r.wfile.write(LAYER[start:start + 1])
    r.close_connection = True


def endless_tags(r):
    page = int(r.path.split("last=")[1]) + 1 if "last=" in r.path else 0
    r.say(json.dumps({"name": "x", "tags": [f"t{page}"]}).encode(),
          Link=f'</v2/tags-without-end/tags/list?n=1000&last={page}>; rel="next"')


def upload(start, then=None):
    """A push: nothing is there, `start` answers the POST, `then` what follows."""
    def act(r):
        r.rfile.read(int(r.headers.get("Content-Length") or 0))
        if r.command == "HEAD":
            return r.say(b"", 404)
        return (start if r.command == "POST" else then or start)(r)
    return act


def swallow_then(act):
    """An upload that works, and then `act` for the manifest."""
    def manifest_too(r):
        r.rfile.read(int(r.headers.get("Content-Length") or 0))
        return act(r)
    return manifest_too


PUSH = ["push", "image", None]
PINNED = ["pull", "@sha256:" + "0" * 64, None]
CASES = [
    # manifests
    Case("pinned-digest-of-another", "not what it should be", words=PINNED),
    Case("header-names-another-digest", "does not have the digest", document(
        GOOD, Docker_Content_Digest="sha256:" + "1" * 64)),
    Case("header-digest-is-a-path", "Docker-Content-Digest", document(GOOD, Docker_Content_Digest="sha256:../../etc")),
    Case("manifest-and-index-at-once", "manifest", document({**manifest(), "manifests": []})),
    Case("index-called-manifest", "index", document(index(), "manifest.v1+json")),
    Case("manifest-called-index", "manifest", document(GOOD, "index.v1+json")),
    Case("two-media-types", "it was announced as", document(GOOD.replace(b'"layers"', b'"mediaType": "x", "layers"'))),
    Case("docker-schema-1", "first format", lambda r: r.say(
        b"{}", Content_Type="application/vnd.docker.distribution.manifest.v1+prettyjws")),
    Case("web-page", "no image", lambda r: r.say(b"<html>", Content_Type="text/html")),
    Case("no-json", "JSON", document(b"\x00\xff{")),
    Case("empty-manifest", "JSON", document(b"")),
    Case("deep-json", "deep", document(b'{"a":' * 100000 + b"1" + b"}" * 100000)),
    Case("packed-manifest", "JSON", document(bed.gzip.compress(GOOD), Content_Encoding="gzip")),
    Case("manifest-of-50-mb", "more than the", document(GOOD + b" " * (50 << 20))),
    Case("manifest-without-end", "more than the", lambda r: r.pour(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" " * 65536)),
    Case("layer-digest-is-a-path", "digest", with_layer(digest="sha256:../../../../etc/passwd")),
    Case("layer-digest-of-md5", "digest", with_layer(digest="md5:d41d8cd98f00b204e9800998ecf8427e")),
    Case("layer-of-negative-size", "size", with_layer(size=-1)),
    Case("layer-of-absurd-size", "size", with_layer(size=10**30)),
    # indexes
    Case("index-without-us", "linux", document(index(descriptor(GOOD, "manifest.v1+json", platform={
        "os": "plan9", "architecture": "vax"})), "index.v1+json")),
    Case("index-in-index", "index", child_of(
        descriptor(json.dumps(index()).encode(), "index.v1+json", platform=LINUX), index(), "index.v1+json")),
    Case("child-of-another-size", "bytes instead of", child_of(
        {**descriptor(GOOD, "manifest.v1+json", platform=LINUX), "size": 5}, GOOD)),
    Case("child-of-another-type", "instead of", child_of(
        descriptor(json.dumps(index()).encode(), "manifest.v1+json", platform=LINUX), index(), "index.v1+json")),
    Case("child-of-another-digest", "not what it should be", child_of(
        descriptor(b"other", "manifest.v1+json", platform=LINUX), GOOD)),
    # blobs
    Case("blob-shorter", "announced were", blob=only_layer(lambda r: r.say(LAYER[:-1]))),
    Case("blob-longer", "announced were", blob=only_layer(lambda r: r.say(LAYER + b"x"))),
    Case("blob-longer-without-length", "more than the", blob=only_layer(lambda r: r.raw(
        b"HTTP/1.1 200 OK\r\n\r\n" + LAYER + b"x" * 100000))),
    Case("blob-without-end", "more than the", blob=only_layer(lambda r: r.pour(
        b"HTTP/1.1 200 OK\r\n\r\n", b"\0" * 65536))),
    Case("blob-of-another-digest", "its digest is", blob=only_layer(lambda r: r.say(LAYER[:-1] + b"\x7f"))),
    Case("blob-of-another-range", "the registry sends", blob=only_layer(lambda r: r.say(
        LAYER, 206, Content_Range=f"bytes 5-{len(LAYER) - 1}/{len(LAYER)}"))),
    Case("blob-range-beyond", "no range", blob=only_layer(lambda r: r.say(
        LAYER, 206, Content_Range="bytes 0-99999999999999999999/5"))),
    Case("blob-range-unsaid", "no range", blob=only_layer(lambda r: r.say(LAYER, 206))),
    Case("blob-byte-by-byte", "given up after", blob=only_layer(cut_each_byte)),
    Case("blob-slow-loris", "too slow", blob=only_layer(lambda r: r.drip(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LAYER) + LAYER, 0.05)), limit=25),
    Case("blob-500-for-ever", "status 500", blob=only_layer(lambda r: r.say(b"", 500))),
    Case("blob-rate-limit", "left alone for 99999 s", blob=only_layer(lambda r: r.say(b"", 429, Retry_After="99999"))),
    # HTTP
    Case("manifest-slow-loris", "in time", lambda r: r.pour(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" " * 100, 0.02), limit=25),
    Case("no-answer", "too slow", lambda r: time.sleep(20), limit=25),
    Case("header-slow-loris", "too slow", lambda r: r.drip(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000, 0.05), limit=25),
    Case("header-without-end", "header", lambda r: r.pour(b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"y" * 1000 + b"\r\n")),
    Case("no-http", "cannot speak", lambda r: r.raw(b"SSH-2.0-OpenSSH_9.2\r\n")),
    Case("cut-at-once", "cut the connection", lambda r: r.raw(b"")),
    Case("terminal-in-an-error", "status 418", lambda r: r.say(
        json.dumps({"errors": [{"code": "\x1b]0;owned\x07", "message": "\x1b[2J\r\nok - fine"}]}).encode(), 418)),
    # redirects
    Case("redirect-circle", "redirected us", redirect(lambda r: r.path)),
    Case("redirect-without-end", "redirected us", redirect(lambda r: r.path + "x")),
    Case("redirect-nowhere", "URL", lambda r: r.say(b"", 307)),
    Case("redirect-to-a-file", "only https and http", redirect("file:///etc/passwd")),
    Case("redirect-to-gopher", "only https and http", redirect("gopher://localhost:7201/_x")),
    Case("redirect-to-plain-http", "without TLS", redirect(f"http://localhost:{PLAIN}/v2/stolen/manifests/1")),
    Case("redirect-with-a-user", "user name", redirect(f"https://a:b@localhost:{PORT}/v2/good/manifests/1")),
    Case("redirect-to-cloud-keys", "link-local", redirect("https://169.254.169.254/latest/meta-data")),
    Case("redirect-to-cloud-keys-in-v6", "link-local", redirect("https://[::ffff:169.254.169.254]/latest")),
    Case("redirect-with-a-line-break", "", redirect("https://localhost/\tX:\x0by")),
    Case("redirect-to-another-certificate", "not trusted", redirect(f"https://localhost:{OTHER + 1}/v2/x/manifests/1")),
    # authentication
    Case("realm-without-tls", "unencrypted", bearer(f"http://localhost:{PLAIN}/token")),
    Case("realm-is-a-file", "only https and http", bearer("file:///etc/shadow")),
    Case("realm-of-cloud-keys", "link-local", bearer("https://169.254.169.254/token")),
    Case("realm-missing", "realm", demand('Bearer service="s"')),
    Case("challenge-unfinished", "malformed", demand('Bearer realm="https://localhost')),
    Case("challenge-without-end", "malformed", demand("Basic " + "a=b, " * 3000)),
    Case("token-with-a-line-break", "no token", from_token_server("token-with-a-line-break",
                                                                  b'{"token": "a\\r\\nX-Evil: 1"}')),
    Case("token-of-10-mb", "more than the", from_token_server("token-of-10-mb", b'{"token": "' + b"a" * (10 << 20) + b'"}')),
    Case("token-is-no-json", "token server", from_token_server("token-is-no-json", b"hello")),
    Case("token-server-redirects", "should not go", from_token_server(
        "token-server-redirects", b"", 307, Location=f"https://localhost:{OTHER}/token")),
    Case("token-is-never-good", "status 401", from_token_server("token-is-never-good", b'{"token": "abc"}')),
    Case("password-is-never-good", "status 401", demand('Basic realm="x"')),
    Case("401-without-a-challenge", "status 401", lambda r: r.say(b"", 401)),
    # lists and uploads
    Case("tags-without-end", "do not end", tags=endless_tags, words=["tags", None]),
    Case("tags-are-no-list", "tags", tags=lambda r: r.say(b'{"tags": {"a": 1}}'), words=["tags", None]),
    Case("upload-without-tls", "without TLS", blob=upload(lambda r: r.say(
        b"", 202, Location=f"http://localhost:{PLAIN}/v2/stolen/blobs/uploads/1")), words=PUSH),
    Case("upload-to-cloud-keys", "link-local", blob=upload(lambda r: r.say(
        b"", 202, Location="https://169.254.169.254/latest")), words=PUSH),
    Case("upload-redirected", "not followed", blob=upload(redirect(f"https://localhost:{OTHER}/v2/x/blobs/uploads/")),
         words=PUSH),
    Case("upload-nowhere", "URL", blob=upload(lambda r: r.say(b"", 202)), words=PUSH),
    Case("stored-as-another", "has stored it as", swallow_then(lambda r: r.say(
        b"", 201, Docker_Content_Digest="sha256:" + "2" * 64)), blob=lambda r: r.say(b""), words=PUSH),
]
BY_NAME = {case.name: case for case in CASES}


def words_of(case, folder):
    name = f"localhost:{PORT}/{case.name}"
    if case.words is None:
        return ["pull", name + ":1", folder]
    if case.words is PINNED:
        return ["pull", name + PINNED[1], folder]
    return [name + (":1" if case.words is PUSH else "") if word is None else word for word in case.words]


def tell(case):
    """One case, in a folder of its own."""
    folder = HERE / "pulled" / case.name
    before = {path for path in HERE.rglob("*")}
    begin = time.monotonic()
    status, said, error = driver(*words_of(case, folder), settings=bed.QUICK, timeout=60)
    took = time.monotonic() - begin
    stray = [path for path in HERE.rglob("*") if path not in before and path != HERE / "pulled" and
             path != folder and folder not in path.parents]
    lies = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".part") and
            digest(path.read_bytes())[7:] != path.name]
    clean = all(c.isprintable() for c in error.replace("\n", ""))
    good = status == 1 and case.says in error and clean and took < case.limit and not stray and not lies
    report(good, f"a registry that lies ({case.name}) is found out",
           f"status {status} after {took:.1f} s, wanted '{case.says}': {error!r} {said} {stray} {lies}")


def passwords_stay():
    """Where redirects lead gets the blobs' names, but no password and no token."""
    elsewhere = [entry for entry in seen if entry[0] in (PLAIN, OTHER) and entry[2] is not None]
    report(not elsewhere, "no case has sent our password or a token to another host", elsewhere)
    report(not [entry for entry in seen if entry[0] == PLAIN], "no case has made us speak without TLS", seen)
    BY_NAME["good"] = Case("good", "", blob=only_layer(redirect(f"https://localhost:{OTHER}/v2/storage/blobs/"
                                                               + digest(LAYER))),
                           manifest=lambda r: document(GOOD)(r) if r.headers.get("Authorization") == SECRET
                           else demand('Basic realm="x"')(r))
    status, said, error = driver("pull", f"localhost:{PORT}/good:1", HERE / "good", settings=bed.QUICK)
    to_us = [entry for entry in seen if entry[:2] == (PORT, "good") and entry[2] == SECRET]
    to_storage = [entry for entry in seen if entry[:2] == (OTHER, "storage")]
    report(status == 0 and to_us and to_storage and all(entry[2] is None for entry in to_storage),
           "a redirect to storage is followed, and our password stays at the registry", f"{said} {error} {to_storage}")


def slow_to_store():
    """A registry that hashes what it has got before it answers."""
    def wait(r):
        if r.command == "PUT":
            time.sleep(4)
        r.say(b"", 202 if r.command == "POST" else 201, Location="/v2/slow/blobs/uploads/1")
    BY_NAME["slow"] = Case("slow", "", swallow_then(wait), blob=upload(wait))
    status, said, error = driver("push", "image", f"localhost:{PORT}/slow:1", settings=bed.QUICK)
    report(status == 0, "a registry may take its time with what was pushed", f"{said} {error}")


def certificates_count():
    for port, sentence in ((OTHER + 1, "a certificate of another name"), (OTHER + 2, "a registry's own authority")):
        status, _, error = driver("pull", f"localhost:{port}/good:1", HERE / "none", settings=bed.QUICK)
        report(status == 1 and "not trusted" in error, f"{sentence} is not trusted", error)


def main():
    tls = HERE / "tls"
    bed.make_certificates(tls)
    bed.make_image("image", [{"etc/one": b"1" * 5000}])
    auth = {f"localhost:{PORT}": {"auth": SECRET.split()[1]}}
    (HERE / "auth.json").write_text(json.dumps({"auths": auth}))
    (HERE / "registries.conf").write_text("")
    os.environ.update(REGISTRY_AUTH_FILE=str(HERE / "auth.json"), CONTAINERS_REGISTRIES_CONF=str(HERE / "registries.conf"))
    for port in (PORT, OTHER, OTHER + 1):
        bed.trust(tls, port)
    bed.serve(Registry, PORT, tls)
    bed.serve(Registry, PLAIN)
    bed.serve(Registry, OTHER, tls)
    bed.serve(Registry, OTHER + 1, tls, "other")
    bed.serve(Registry, OTHER + 2, tls)
    for case in CASES:
        tell(case)
    passwords_stay()
    slow_to_store()
    certificates_count()


main()
