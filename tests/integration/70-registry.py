#!/usr/bin/env python3
"""The registry client against Debian's docker-registry on loopback: TLS, passwords, tokens, mirrors, cut connections."""
import json
import os
import pathlib
import signal
import subprocess
import time

import registrybed as bed
from registrybed import driver, report

HERE = pathlib.Path.cwd()
TLS = HERE / "tls"
AUTH = HERE / "auth.json"
os.environ["REGISTRY_AUTH_FILE"] = str(AUTH)
os.environ["CONTAINERS_REGISTRIES_CONF"] = str(HERE / "registries.conf")
os.environ["HOME"] = str(HERE)


def log_in(port, user="me", password="secret"):
    AUTH.write_text(json.dumps({"auths": {f"localhost:{port}": {
        "auth": bed.base64.b64encode(f"{user}:{password}".encode()).decode()}}}))


def log_out():
    AUTH.write_text("{}")


def pulls(name, like, sentence, **options):
    """A pull into a new folder makes the image `like`. Its first word, and the folder."""
    folder = HERE / f"pulled{time.monotonic_ns()}"
    status, said, error = driver("pull", name, folder, **options)
    report(status == 0 and bed.same_image(folder, like), sentence, error or said)
    return said.split(" ")[0], folder


def refused(sentence, part, *words, **options):
    status, said, error = driver(*words, settings=bed.QUICK, **options)
    report(status == 1 and part in error, sentence, f"status {status}: {said} {error}")


def certificates():
    registry = bed.Registry("tls-only", 7001, tls=TLS)
    refused("a registry whose authority nobody trusts is refused, with where to put it", "certs.d",
            "push", "image", "localhost:7001/a/b:1")
    place = bed.trust(TLS, 7001)
    status, _, error = driver("push", "image", "localhost:7001/a/b:1")
    report(status == 0, "an image is pushed over TLS to a registry with an authority of its own", error)
    pulls("localhost:7001/a/b:1", "image", "what was pushed comes back byte for byte")
    manifest = bed.digest(pathlib.Path("image/manifest.json").read_bytes())
    pulls(f"localhost:7001/a/b@{manifest}", "image", "an image is pulled by its digest")
    refused("a digest that is not there is an error that names it", "MANIFEST_UNKNOWN", "pull",
            "localhost:7001/a/b@sha256:" + "0" * 64, "none")
    status, said, error = driver("push", "image", "localhost:7001/a/b:2")
    report(said.endswith(" 0"), "pushing what is there moves no blob", said + error)
    status, said, error = driver("push", "image", "localhost:7001/other/c:1", "a/b")
    report(said.endswith(" 0"), "blobs of another repository of the registry are mounted, not sent", said + error)
    status, said, error = driver("tags", "localhost:7001/a/b")
    report(sorted(said.split()) == ["1", "2"], "tags are listed", said + error)
    (place / "ca.crt").unlink()
    return registry


def referrers():
    place = bed.trust(TLS, 7001)
    manifest = pathlib.Path("image/manifest.json").read_bytes()
    subject = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": bed.digest(manifest),
               "size": len(manifest)}
    bed.make_image("signature", [{"s": b"signed"}], subject=subject, artifactType="application/x.signature")
    bed.make_image("sbom", [{"s": b"listed"}], subject=subject, artifactType="application/x.sbom")
    for name in ("signature", "sbom"):
        status, _, error = driver("push", name, f"localhost:7001/a/b:{name}")
        report(status == 0, f"a {name} is pushed beside its image", error)
    status, said, error = driver("referrers", f"localhost:7001/a/b@{subject['digest']}")
    report([line.split()[1] for line in said.splitlines()] == ["application/x.signature", "application/x.sbom"],
           "what refers to an image is found where the registry has no API for that", said + error)
    (place / "ca.crt").unlink()


def passwords():
    pathlib.Path("htpasswd").write_text(bed.run("htpasswd", "-Bbn", "me", "secret").stdout.strip() + "\n")
    registry = bed.Registry("basic", 7002, tls=TLS,
                            auth={"htpasswd": {"realm": "test", "path": str(HERE / "htpasswd")}})
    bed.trust(TLS, 7002)
    log_out()
    refused("without a password a private registry says: log in", "ctrctl login localhost:7002", "push", "image",
            "localhost:7002/a:1")
    log_in(7002, password="wrong")
    refused("a wrong password is refused", "401", "push", "image", "localhost:7002/a:1")
    log_in(7002)
    status, _, error = driver("push", "image", "localhost:7002/a:1")
    report(status == 0, "an image is pushed with a password from auth.json", error)
    pulls("localhost:7002/a:1", "image", "a private image is pulled with a password")
    helper = pathlib.Path("/usr/local/bin/docker-credential-bed")
    helper.write_text("#!/bin/sh\nread -r key\n[ \"$key\" = localhost:7002 ] && "
                      "echo '{\"Username\":\"me\",\"Secret\":\"secret\"}'\n")
    helper.chmod(0o755)
    AUTH.write_text('{"credHelpers": {"localhost:7002": "bed"}}')
    pulls("localhost:7002/a:1", "image", "a credential helper is asked for the password")
    helper.unlink()
    report(driver("login", "localhost:7002", "me", "secret")[0] == 0, "a log-in is tried at the registry")
    refused("a log-in with a wrong password fails", "cannot log in", "login", "localhost:7002", "me", "wrong")
    log_out()
    registry.stop()


def tokens():
    bed.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tokens", "-keyout",
            TLS / "token.key", "-out", TLS / "token.crt")
    bed.TokenServer.tls = TLS
    bed.serve(bed.TokenServer, 7104, tls=TLS)
    registry = bed.Registry("token", 7003, tls=TLS, auth={"token": {
        "realm": "https://localhost:7104/token", "service": "test registry", "issuer": "tokens",
        "rootcertbundle": str(TLS / "token.crt")}})
    bed.trust(TLS, 7003)
    log_in(7003)
    for name in ("public/a", "private/a"):
        status, _, error = driver("push", "image", f"localhost:7003/{name}:1")
        report(status == 0, f"{name} is pushed with tokens from a token server", error)
    before = len(bed.TokenServer.requests)
    pulls("localhost:7003/private/a:1", "image", "a private image is pulled with a token")
    report(len(bed.TokenServer.requests) == before + 1, "one token does for a whole image", bed.TokenServer.requests)
    log_out()
    pulls("localhost:7003/public/a:1", "image", "a public image needs no password, only an anonymous token")
    refused("a private image is refused without a password", "log in first", "pull", "localhost:7003/private/a:1", "none")
    log_in(7003, password="wrong")
    refused("a wrong password is refused by the token server", "refuses our user name", "pull",
            "localhost:7003/private/a:1", "none")
    log_out()
    registry.stop()


def mirrors(origin):
    mirror = bed.Registry("mirror", 7004, tls=TLS)
    bed.trust(TLS, 7001)
    bed.trust(TLS, 7004)
    driver("push", "image", "localhost:7004/copy/a/b:1")
    conf = pathlib.Path("registries.conf")
    conf.write_text('unqualified-search-registries = ["localhost:7001"]\n[[registry]]\nprefix = "localhost:7001"\n'
                    'location = "localhost:7001"\n[[registry.mirror]]\nlocation = "localhost:7004/copy"\n')
    place, _ = pulls("localhost:7001/a/b:1", "image", "an image comes from its mirror")
    report(place == "localhost:7004/copy/a/b", "the mirror is asked first", place)
    place, _ = pulls("localhost:7001/other/c:1", "image", "what the mirror does not have comes from the registry itself")
    report(place == "localhost:7001/other/c", "it says who has answered", place)
    place, _ = pulls("a/b:1", "image", "a short name is looked for where registries.conf says")
    origin.stop()
    pulls("localhost:7001/a/b:1", "image", "with the registry down its mirror still answers")
    mirror.stop()
    begin = time.monotonic()
    refused("offline, both places are named, and that they do not answer", "cannot connect to 'https://localhost:7001'",
            "pull", "localhost:7001/a/b:1", "none")
    report(time.monotonic() - begin < 10, "offline, a pull fails at once")
    conf.write_text('[[registry]]\nlocation = "localhost:7001"\nblocked = true\n')
    refused("a blocked registry is not asked", "blocked by registries.conf", "pull", "localhost:7001/a/b:1", "none")
    conf.unlink()
    origin.start()


def plain_http():
    registry = bed.Registry("plain", 7005)
    refused("a registry without TLS is refused", "TLS", "push", "image", "localhost:7005/a:1")
    conf = pathlib.Path("registries.conf")
    conf.write_text('[[registry]]\nlocation = "localhost:7005"\ninsecure = true\n')
    status, _, error = driver("push", "image", "localhost:7005/a:1")
    report(status == 0, "a registry that is declared insecure may do without TLS", error)
    pulls("localhost:7005/a:1", "image", "an image is pulled from it")
    conf.unlink()
    registry.stop()


def client_certificates():
    registry = bed.Registry("mutual", 7006, tls=TLS, client_authorities={"clientcas": [str(TLS / "ca.crt")]})
    place = bed.trust(TLS, 7006)
    refused("a registry that wants a certificate of ours refuses us without one", "localhost:7006", "push", "image",
            "localhost:7006/a:1")
    (place / "client.cert").write_bytes((TLS / "client.crt").read_bytes())
    refused("a client certificate without its key is named", "needs its key", "push", "image", "localhost:7006/a:1")
    (place / "client.key").write_bytes((TLS / "client.key").read_bytes())
    status, _, error = driver("push", "image", "localhost:7006/a:1")
    report(status == 0, "we show the certificate that certs.d has for the registry", error)
    registry.stop()


def cut_connections():
    size = 12 << 20
    bed.make_image("big", [{"random": os.urandom(size)}])
    bed.trust(TLS, 7001)
    bed.trust(TLS, 7107)
    status, _, error = driver("push", "big", "localhost:7001/big:1")
    report(status == 0, "a big blob is pushed in pieces", error)
    proxy = bed.CuttingProxy(7107, 7001, 1 << 20)
    pulls("localhost:7107/big:1", "big", "a pull goes on where the connection was cut", settings=["back_off=0.02"])
    report(proxy.cuts >= 10 and proxy.moved < 1.3 * size, "what has come once does not come again",
           f"{proxy.cuts} cuts, {proxy.moved} bytes for {size}")
    proxy.limit, proxy.moved = 4096, 0
    refused("a connection that is cut all the time is given up, with how far it came", "given up after", "pull",
            "localhost:7107/big:1", "never")


def killed():
    """Each process is killed after about 2 MB; another goes on."""
    bed.trust(TLS, 7108)
    proxy = bed.CuttingProxy(7108, 7001)
    kills = 0
    for _ in range(60):
        start = proxy.moved
        process = subprocess.Popen([bed.DRIVER, "pull", "localhost:7108/big:1", "killed"], stdout=subprocess.DEVNULL)
        while process.poll() is None and proxy.moved < start + (2 << 20):
            time.sleep(0.002)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    done = driver("pull", "localhost:7108/big:1", "killed")
    report(kills >= 1 and done[0] == 0 and bed.same_image("killed", "big"),
           "a pull that was killed is gone on with by the next one", f"{kills} kills: {done}")


def pushed_through_cuts():
    """The driver sends pieces of 1 MiB: each connection is cut in its second one."""
    bed.trust(TLS, 7109)
    bed.make_image("up", [{"random": os.urandom(6 << 20)}])
    proxy = bed.CuttingProxy(7109, 7001, up_limit=3 << 19)
    status, _, error = driver("push", "up", "localhost:7109/up:1", settings=["back_off=0.02"])
    report(status == 0 and proxy.cuts >= 3, "a push goes on where the connection was cut", f"{proxy.cuts} cuts; {error}")
    pulls("localhost:7001/up:1", "up", "what was pushed over cut connections is whole")


def main():
    log_out()
    bed.make_certificates(TLS)
    bed.make_image("image", [{"etc/one": b"1" * 5000}, {"etc/two": os.urandom(300000)}, {"etc/three": b""}])
    origin = certificates()
    referrers()
    passwords()
    tokens()
    mirrors(origin)
    plain_http()
    client_certificates()
    cut_connections()
    killed()
    pushed_through_cuts()
    origin.stop()


main()
