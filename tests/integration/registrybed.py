"""For the tests of registries: a CA and certificates, Debian's docker-registry with each kind of log-in, a token server,
images made from nothing, and what stands between (a proxy that cuts connections)."""
import base64
import contextlib
import gzip
import hashlib
import http.server
import io
import json
import os
import pathlib
import socket
import ssl
import subprocess
import tarfile
import threading
import time
import urllib.parse

DRIVER = os.environ.get("CTRD_BUILD", "/ctrd/build") + "/tests/registry/registry-driver"
CERTS = pathlib.Path("/etc/containers/certs.d")
QUICK = ["tries=2", "back_off=0.05", "stall_time=2", "document_timeout=3", "connect_timeout=5"]


def report(good, sentence, detail=""):
    print(("ok - " if good else "not ok - ") + sentence, flush=True)
    if not good:
        print("\n".join("    " + line for line in str(detail)[:3000].splitlines()), flush=True)


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def driver(*words, settings=(), env=None, timeout=60):
    """Status, what it printed, and its message."""
    done = subprocess.run([DRIVER, *settings, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=timeout, env={**os.environ, **(env or {})})
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_certificates(folder):
    """A CA, a certificate for localhost, a client's, and one of another name; keys without passwords."""
    folder.mkdir()
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("openssl", "req", "-x509", *curve, "-days", "2", "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.crt",
        cwd=folder)
    for name, extension in {"server": "subjectAltName=DNS:localhost,IP:127.0.0.1", "client": "extendedKeyUsage=clientAuth",
                            "other": "subjectAltName=DNS:other.example"}.items():
        (folder / f"{name}.ext").write_text(extension)
        run("openssl", "req", "-new", *curve, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr",
            cwd=folder)
        run("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt", cwd=folder)


def trust(folder, port):
    """What an administrator does for one registry."""
    place = CERTS / f"localhost:{port}"
    place.mkdir(parents=True, exist_ok=True)
    (place / "ca.crt").write_bytes((folder / "ca.crt").read_bytes())
    return place


def wait_for(port):
    for _ in range(150):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")


class Registry:
    """docker-registry on a port of loopback, with the settings `more`; its storage is `folder`."""

    def __init__(self, folder, port, tls=None, **more):
        self.folder, self.port = pathlib.Path(folder), port
        self.folder.mkdir(exist_ok=True)
        config = {"version": "0.1", "log": {"level": "warn"}, "http": {"addr": f"127.0.0.1:{port}", "secret": "test"},
                  "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}, "delete": {"enabled": True}},
                  **more}
        if tls:
            config["http"]["tls"] = {"certificate": f"{tls}/server.crt", "key": f"{tls}/server.key",
                                     **config.pop("client_authorities", {})}
        (self.folder / "config.yml").write_text(json.dumps(config))  # YAML is JSON too
        self.process = None
        self.start()

    def start(self):
        self.log = open(self.folder / "log", "a")
        self.process = subprocess.Popen(["docker-registry", "serve", self.folder / "config.yml"], stdout=self.log,
                                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env={
                                            # It takes REGISTRY_AUTH_FILE, which is ours, for a setting of its own.
                                            name: value for name, value in os.environ.items()
                                            if not name.startswith("REGISTRY_")})
        try:
            wait_for(self.port)
        except TimeoutError as error:
            raise RuntimeError((self.folder / "log").read_text()) from error

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def layer(files):
    """A gzipped tar of {name: bytes}, the same for the same files."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), 1, mtime=0)


def make_image(folder, files, **more):
    """An image of one layer for each of `files` as the driver keeps it. Its manifest's bytes."""
    blobs = pathlib.Path(folder) / "blobs"
    blobs.mkdir(parents=True)

    def keep(data, kind):
        (blobs / digest(data)[7:]).write_bytes(data)
        return {"mediaType": "application/vnd.oci.image." + kind, "digest": digest(data), "size": len(data)}

    layers = [keep(layer(one), "layer.v1.tar+gzip") for one in files]
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [
        digest(gzip.decompress((blobs / one["digest"][7:]).read_bytes())) for one in layers]}}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                           "config": keep(json.dumps(config).encode(), "config.v1+json"), "layers": layers,
                           **more}).encode()
    (pathlib.Path(folder) / "manifest.json").write_bytes(manifest)
    return manifest


def same_image(one, other):
    """Whether two folders have the same manifest and blobs, and nothing else."""
    def content(folder):
        return {path.name: path.read_bytes() for path in pathlib.Path(folder).rglob("*") if path.is_file()}
    return content(one) == content(other)


def serve(handler, port, tls=None, certificate="server"):
    """An HTTP server in threads, until the test ends."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{tls}/{certificate}.crt", f"{tls}/{certificate}.key")
        # The handshake is the handler's, so that one client that says nothing does not keep the others waiting.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class SmallRegistry(http.server.BaseHTTPRequestHandler):
    """What Debian's docker-registry does not have: the API that lists referrers, one a page. For reading only."""
    manifests, blobs, asked = {}, {}, []
    protocol_version = "HTTP/1.1"

    @classmethod
    def keep(cls, folder, *tags):
        """An image of make_image(), in whatever repository it is asked for."""
        manifest = (pathlib.Path(folder) / "manifest.json").read_bytes()
        for name in (digest(manifest), *tags):
            cls.manifests[name] = manifest
        for blob in (pathlib.Path(folder) / "blobs").iterdir():
            cls.blobs["sha256:" + blob.name] = blob.read_bytes()

    def do_GET(self):
        self.asked.append(self.path)
        path, _, query = self.path.partition("?")
        if path == "/v2/":
            return self.answer(200, b"{}")
        _, kind, name = path.rsplit("/", 2)
        if kind == "referrers":
            return self.referrers(path, name, int(urllib.parse.parse_qs(query).get("page", ["0"])[0]))
        body = {"manifests": self.manifests, "blobs": self.blobs}.get(kind, {}).get(name)
        if body is None:
            return self.answer(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')
        self.answer(200, body, **{"Content-Type": json.loads(body)["mediaType"] if kind == "manifests" else "a/b"})

    def referrers(self, path, subject, page):
        found = [{"mediaType": text["mediaType"], "digest": name, "size": len(body), "artifactType": text["artifactType"]}
                 for name, body in self.manifests.items() if (text := json.loads(body)).get("subject", {}).get("digest") == subject]
        more = {"Link": f'<{path}?page={page + 1}>; rel="next"'} if page + 1 < len(found) else {}
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": found[page:page + 1]}
        self.answer(200, json.dumps(index).encode(), **{"Content-Type": index["mediaType"]}, **more)

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class TokenServer(http.server.BaseHTTPRequestHandler):
    """Gives tokens to 'me' with 'secret' for everything, to all others for pulling public/ alone."""
    tls = None
    requests = []
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        self.requests.append(query)
        said = self.headers.get("Authorization")
        known = said == "Basic " + base64.b64encode(b"me:secret").decode()
        if said and not known:
            return self.answer(401, {"errors": [{"code": "UNAUTHORIZED"}]})
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":")
            allowed = actions.split(",") if known else ["pull"] if name.startswith("public/") else []
            access.append({"type": kind, "name": name, "actions": allowed})
        self.answer(200, {"token": self.token(access, query["service"][0]), "expires_in": 300})

    def token(self, access, service):
        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")
        chain = "".join((self.tls / "token.crt").read_text().splitlines()[1:-1])
        now = int(time.time())
        claims = {"iss": "tokens", "sub": "", "aud": service, "exp": now + 300, "nbf": now - 10, "iat": now,
                  "jti": str(len(self.requests)), "access": access}
        text = part(json.dumps({"typ": "JWT", "alg": "RS256", "x5c": [chain]}).encode()) + b"." + \
            part(json.dumps(claims).encode())
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.tls / "token.key"], input=text,
                                   stdout=subprocess.PIPE, check=True).stdout
        return (text + b"." + part(signature)).decode()

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class CuttingProxy:
    """Passes TCP on to `target` and cuts each connection after `limit` bytes of the answers, or `up_limit` of the
    questions (0: never; these three times)."""

    def __init__(self, port, target, limit=0, up_limit=0):
        self.target, self.limit, self.up_limit = target, limit, up_limit
        self.moved = self.cuts = 0
        self.stop_at = 0  # as soon as so many bytes have been passed on, no more are; 0: never
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.connect, args=(client,), daemon=True).start()

    def connect(self, client):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.target)) as server:
            threading.Thread(target=self.up, args=(client, server), daemon=True).start()
            left = self.limit or 1 << 60
            while left > 0:
                data = server.recv(min(left, 65536))
                while self.stop_at and self.moved >= self.stop_at:
                    time.sleep(0.01)
                if not data:
                    break
                client.sendall(data)
                left -= len(data)
                self.moved += len(data)
            else:
                self.cuts += 1
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        client.close()

    def up(self, client, server):
        left = self.up_limit if self.up_limit and self.cuts < 3 else 1 << 60
        with contextlib.suppress(OSError):
            while left > 0 and (data := client.recv(min(left, 65536))):
                server.sendall(data)
                left -= len(data)
            if left == 0:
                self.cuts += 1
                client.shutdown(socket.SHUT_RDWR)
                server.shutdown(socket.SHUT_RDWR)
