#!/usr/bin/env python3
"""ctrctl image pull and push, login and logout against Debian's docker-registry on loopback: what people type, what they
are told, and what is left when it is cut, cancelled or killed."""
import json
import os
import pathlib
import pwd
import random
import re
import resource
import signal
import subprocess
import time

import registrybed as bed
from erofs import store_layers_as
from rawbus import Bus
from registrybed import driver, report

HERE = pathlib.Path.cwd()
TLS, AUTH, STORE = HERE / "tls", HERE / "auth.json", HERE / "store"
CONF, POLICY = HERE / "registries.conf", HERE / "policy.json"
os.environ["REGISTRY_AUTH_FILE"] = str(AUTH)
os.environ["CONTAINERS_REGISTRIES_CONF"] = str(CONF)
os.environ["HOME"] = str(HERE)
subprocess.run(["systemd-sysusers", "ctrd.conf"], check=True)  # as an installed package has it
FETCHER = str(pwd.getpwnam("ctrd-fetch").pw_uid)
CYCLES = int(os.environ.get("CTRD_TEST_CYCLES", "10"))


def command(verb, *words, store=STORE):
    return ["ctrctl", "image", verb, *(["--store", str(store)] if store else []), *map(str, words)]


def images(verb, *words, store=STORE, timeout=120):
    """Exit code, what it printed, and its message."""
    done = subprocess.run(command(verb, *words, store=store), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=timeout)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def succeeds(sentence, verb, *words, **options):
    status, said, error = images(verb, *words, **options)
    report(status == 0, sentence, f"status {status}: {said} {error}")
    return said


def refused(sentence, part, verb, *words, code=1, **options):
    status, said, error = images(verb, *words, **options)
    report(status == code and part in error, sentence, f"status {status}: {said} {error}")


def ctrctl(*words, given=""):
    done = subprocess.run(["ctrctl", *words], input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=120)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def is_whole(store=STORE):
    status, said, error = images("verify", store=store)
    left = [path for path in (store / "tmp").iterdir()]
    return status == 0 and not left, f"{status} {said} {error} {left}"


def manifest_digest(folder):
    return bed.digest((HERE / folder / "manifest.json").read_bytes())


# --- pull and push -----------------------------------------------------------------------------------------------------
def pulls(origin):
    digest = manifest_digest("image")
    refused("a registry whose authority nobody trusts is refused, with where to put it", "certs.d", "pull",
            "localhost:7201/a/b:1")
    bed.trust(TLS, 7201)
    said = succeeds("an image is pulled", "pull", "localhost:7201/a/b:1")
    report(said == f"localhost:7201/a/b:1@{digest}", "its name and digest are said", said)
    inspected = json.loads(succeeds("it is there", "inspect", "localhost:7201/a/b:1"))
    chain = inspected["layers"][0]["chainId"].replace(":", "-")
    report((STORE / "layers" / chain / "etc/one").read_bytes() == b"1" * 5000, "and unpacked", inspected)
    good, what = is_whole()
    report(good, "and the store is whole", what)
    proxy = bed.CuttingProxy(7202, 7201)
    bed.trust(TLS, 7202)
    succeeds("from another place", "pull", "localhost:7202/a/b:1")
    report(proxy.moved < 50000, "nothing is fetched that is there already", f"{proxy.moved} bytes")
    lines = succeeds("with --json each step is a line of JSON", "pull", "--json=short", "localhost:7201/a/b:1")
    steps = [json.loads(line) for line in lines.splitlines()]
    report([step.get("state") for step in steps[:-1]] == ["shared"] * 3 and steps[-1]["tags"][0]["manifest"] == digest,
           "and the last one is the result", lines)
    succeeds("by its digest", "pull", f"localhost:7201/a/b@{digest}")
    refused("a digest that is not there is an error that names it", "MANIFEST_UNKNOWN", "pull",
            "localhost:7201/a/b@sha256:" + "0" * 64)
    refused("what is no name is refused before anybody is asked", "is not the name of an image", "pull", "A B", code=2)
    refused("an image for another machine is refused", "linux/riscv64", "pull", "--platform", "linux/riscv64",
            "localhost:7201/a/index:1")
    succeeds("of several, this machine's is taken", "pull", "localhost:7201/a/index:1")


def told_on_the_bus():
    """To who listens, whoever it is; and nobody but root can say it."""
    listener = Bus(pwd.getpwnam("tester").pw_uid)
    listener.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s",
                  ("type='signal',interface='io.ctrd1.Images'",))

    def until_finished():
        heard = []
        while not heard or heard[-1].member != "PullFinished":
            one = listener.receive()
            if one.member.startswith("Pull"):
                heard.append(one)
        return heard

    name = "localhost:7201/big:1"
    succeeds("an image is pulled into the system's store", "pull", name, store=None)
    heard = until_finished()
    report(heard[0].member == "PullStarted" and all(one.text == name for one in heard), "the bus is told which",
           [(one.member, one.text) for one in heard])
    steps = [one for one in heard if one.member == "PullProgress"]
    report(len(steps) + 2 == len(heard) and sum(b"\0done\0" in one.body for one in steps) == 2,
           "how far its layers are", [one.body for one in steps])
    report(manifest_digest("big").encode() in heard[-1].body, "and what is stored in the end", heard[-1].body)
    refused("a pull that fails", "MANIFEST_UNKNOWN", "pull", "localhost:7201/big:none", store=None)
    report(b"MANIFEST_UNKNOWN" in until_finished()[-1].body, "says so there")
    forged = ["busctl", "emit", "/io/ctrd1/images", "io.ctrd1.Images", "PullFinished", "sss"]
    subprocess.run(["runuser", "-u", "tester", "--", *forged, "forged", "", ""], check=False)
    subprocess.run([*forged, "root's", "", ""], check=True)
    report(until_finished()[-1].text == "root's", "nobody but root can say such a thing")
    listener.close()
    succeeds("it is removed", "rm", name, store=None)


def pushes():
    said = succeeds("an image is pushed to another name", "push", "localhost:7201/a/b:1", "localhost:7201/pushed/c:2")
    report(said == f"localhost:7201/pushed/c:2@{manifest_digest('image')}", "what was pushed is said", said)
    status, _, error = driver("pull", "localhost:7201/pushed/c:2", HERE / "pushed")
    report(status == 0 and bed.same_image(HERE / "pushed", HERE / "image"), "it comes back byte for byte", error)
    lines = succeeds("again", "push", "--json=short", "localhost:7201/a/b:1", "localhost:7201/pushed/c:2")
    report(all(json.loads(line)["state"] == "shared" for line in lines.splitlines()[:-1]), "nothing is sent that is there",
           lines)
    refused("a name without a registry is nowhere to push to", "to which registry", "push", "localhost:7201/a/b:1", "c:2",
            code=2)
    refused("an image that is not here is 3", "no image", "push", "localhost:7201/none:1", code=3)


def skopeo(*words):
    done = subprocess.run(["skopeo", "--insecure-policy", "copy", "--quiet", *map(str, words)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    report(done.returncode == 0, f"skopeo copies from {words[-2]} to {words[-1]}", done.stdout)


def beside_skopeo():
    """What we push and save is skopeo's, what it writes is ours, and the image stays the same one."""
    store, digest = HERE / "skopeo-store", manifest_digest("image")
    described = json.loads(images("inspect", "localhost:7201/a/b:1")[1])
    succeeds("an image is pushed for skopeo", "push", "localhost:7201/a/b:1", "localhost:7201/sk/pushed:1")
    skopeo("docker://localhost:7201/sk/pushed:1", "oci:layout:one")
    report(json.loads(pathlib.Path("layout/index.json").read_text())["manifests"][0]["digest"] == digest,
           "it is the same image there", pathlib.Path("layout/index.json").read_text())
    succeeds("its layout is loaded", "load", "layout", "from.example/layout:1", store=store)
    succeeds("an image is saved for skopeo", "save", "-o", "saved.tar", "localhost:7201/a/b:1")
    skopeo("oci-archive:saved.tar", "docker://localhost:7201/sk/archive:1")
    succeeds("what it has pushed is pulled", "pull", "localhost:7201/sk/archive:1", store=store)
    skopeo("docker://localhost:7201/sk/archive:1", "oci-archive:again.tar:one")
    succeeds("its archive is loaded", "load", "again.tar", "from.example/archive:1", store=store)
    succeeds("an image is saved as docker does", "save", "--format", "docker-archive", "-o", "docker.tar",
             "localhost:7201/a/b:1")
    skopeo("docker-archive:docker.tar", "docker-archive:copied.tar:from.example/docker:1")
    succeeds("skopeo's copy of that is loaded", "load", "copied.tar", store=store)
    listed = json.loads(images("list", "--json", store=store)[1])
    report([one["digest"] for one in listed if "docker" not in one["name"]] == [digest] * 3,
           "all of them are the image that was pushed", listed)
    layers = json.loads(images("inspect", "from.example/docker:1", store=store)[1])["layers"]
    report([one["chainId"] for one in layers] == [one["chainId"] for one in described["layers"]],
           "and docker's archive has its layers", layers)


def short_names():
    refused("a short name that nobody explains is refused, with what to do", "unqualified-search-registries", "pull",
            "a/b:1")
    CONF.write_text('unqualified-search-registries = ["localhost:7201"]\n[aliases]\n"web" = "localhost:7201/a/b"\n')
    said = succeeds("a short name is looked for where registries.conf says", "pull", "pushed/c:2")
    report(said.startswith("localhost:7201/pushed/c:2@"), "and stored under its whole name", said)
    said = succeeds("an alias has one meaning", "pull", "web:1")
    report(said.startswith("localhost:7201/a/b:1@"), "which is said", said)
    CONF.unlink()


# --- who we are --------------------------------------------------------------------------------------------------------
def passwords():
    (HERE / "htpasswd").write_text(bed.run("htpasswd", "-Bbn", "me", "secret").stdout.strip() + "\n")
    registry = bed.Registry("basic", 7203, tls=TLS, auth={"htpasswd": {"realm": "test", "path": str(HERE / "htpasswd")}})
    bed.trust(TLS, 7203)
    AUTH.unlink(missing_ok=True)
    refused("a private registry says: log in", "ctrctl login localhost:7203", "push", "localhost:7201/a/b:1",
            "localhost:7203/p:1")
    login = ["login", "-u", "me", "--password-stdin", "localhost:7203"]
    status, said, error = ctrctl(*login, given="wrong\n")
    report(status == 1 and "401" in error and not AUTH.exists(), "a wrong password is not kept", said + error)
    status, said, error = ctrctl(*login, given="secret\n")
    report(status == 0 and str(AUTH) in said, "a log-in is tried, and kept", said + error)
    report(AUTH.stat().st_mode & 0o777 == 0o600, "where only its owner reads it", oct(AUTH.stat().st_mode))
    succeeds("then one may push", "push", "localhost:7201/a/b:1", "localhost:7203/p:1")
    succeeds("and pull", "pull", "localhost:7203/p:1")
    status, said, error = ctrctl("logout", "localhost:7203")
    report(status == 0 and "secret" not in AUTH.read_text(), "a log-out forgets it", said + error)
    refused("after which one may not", "log in first", "pull", "localhost:7203/p:1")
    report(ctrctl("logout", "localhost:7203")[0] == 3, "logging out twice is 3")
    report(ctrctl("login", "-u", "me", "--password-stdin", "https://localhost:7203", given="x")[0] == 2,
           "a URL is no registry")
    registry.stop()


def tokens():
    bed.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tokens", "-keyout",
            TLS / "token.key", "-out", TLS / "token.crt")
    bed.TokenServer.tls = TLS
    bed.serve(bed.TokenServer, 7204, tls=TLS)
    registry = bed.Registry("token", 7205, tls=TLS, auth={"token": {
        "realm": "https://localhost:7204/token", "service": "test registry", "issuer": "tokens",
        "rootcertbundle": str(TLS / "token.crt")}})
    bed.trust(TLS, 7205)
    ctrctl("login", "-u", "me", "--password-stdin", "localhost:7205", given="secret")
    succeeds("with tokens one pushes", "push", "localhost:7201/a/b:1", "localhost:7205/private/a:1")
    succeeds("and pulls", "pull", "localhost:7205/private/a:1")
    ctrctl("logout", "localhost:7205")
    refused("a private image is refused without a password", "log in first", "pull", "localhost:7205/private/a:1")
    registry.stop()


def mirrors(origin):
    mirror = bed.Registry("mirror", 7206, tls=TLS)
    bed.trust(TLS, 7206)
    driver("push", HERE / "other", "localhost:7206/copy/a/m:1")
    CONF.write_text('[[registry]]\nlocation = "localhost:7201"\n[[registry.mirror]]\nlocation = "localhost:7206/copy"\n')
    succeeds("an image comes from its mirror", "pull", "localhost:7201/a/m:1")
    source = json.loads(images("inspect", "localhost:7201/a/m:1")[1])["source"]
    report(source == "localhost:7206/copy/a/m", "which is remembered", source)
    origin.stop()
    succeeds("with the registry down its mirror answers", "pull", "localhost:7201/a/m:1")
    mirror.stop()
    refused("offline, both are named, and that they do not answer", "cannot connect to 'https://localhost:7201'", "pull",
            "localhost:7201/a/m:1")
    report(images("inspect", "localhost:7201/a/m:1")[0] == 0, "what is here stays")
    CONF.unlink()
    origin.start()
    plain = bed.Registry("plain", 7207)
    refused("a registry without TLS is refused", "TLS", "push", "localhost:7201/a/b:1", "localhost:7207/a:1")
    succeeds("unless somebody says so", "push", "--tls-verify=false", "localhost:7201/a/b:1", "localhost:7207/a:1")
    succeeds("and pulled from", "pull", "--tls-verify=false", "localhost:7207/a:1")
    plain.stop()


# --- whom we believe ---------------------------------------------------------------------------------------------------
SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"


def make_signature(key, digest, name, **more):
    """As cosign makes it: the statement, and its signature in an annotation. The folder of it."""
    statement = json.dumps({"critical": {"identity": {"docker-reference": name}, "image": {
        "docker-manifest-digest": digest}, "type": "cosign container image signature"}, "optional": None}).encode()
    made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=statement, stdout=subprocess.PIPE, check=True)
    folder = HERE / f"signature{time.monotonic_ns()}"
    bed.make_image(folder, [])
    config = json.loads((folder / "manifest.json").read_text())["config"]
    (folder / "blobs" / bed.digest(statement)[7:]).write_bytes(statement)
    (folder / "manifest.json").write_text(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [{
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": bed.digest(statement),
            "size": len(statement),
            "annotations": {"dev.cosignproject.cosign/signature": bed.base64.b64encode(made.stdout).decode()}}], **more}))
    return folder


def sign(key, digest, name, tag_digest=None, repository="a/b"):
    """As cosign attaches it by default: under a tag."""
    tag = (tag_digest or digest).replace(":", "-") + ".sig"
    status, _, error = driver("push", make_signature(key, digest, name), f"localhost:7201/{repository}:{tag}")
    assert status == 0, error


def subject(folder):
    manifest = (HERE / folder / "manifest.json").read_bytes()
    return {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": bed.digest(manifest), "size": len(manifest)}


def sign_referring(key, digest, name):
    """As cosign attaches it where it is told to use OCI 1.1: as a referrer of "other", which may be another image."""
    return make_signature(key, digest, name, artifactType=SIGNATURE, subject=subject("other"))


def referrers():
    """docker-registry knows no referrers: whoever pushes one enters it under a tag."""
    name = "localhost:7201/refer:1"
    driver("push", "other", name)
    said = succeeds("an image that nobody has said anything about has no referrers", "referrers", name, store=None)
    report(said == f"nothing refers to {manifest_digest('other')}", "which is said", said)
    kinds = {"bill": "application/x.bill", "notes": "application/x.notes"}
    for folder, kind in kinds.items():
        bed.make_image(folder, [{"text": kind.encode()}], subject=subject("other"), artifactType=kind)
        status, _, error = driver("push", folder, f"localhost:7201/refer:{folder}")
        assert status == 0, error
    said = succeeds("what refers to it is listed", "referrers", name, store=None)
    report([line.split()[:2] for line in said.splitlines()[1:]] == [[manifest_digest(folder), kind] for folder, kind in kinds.items()],
           "by its digest and type", said)
    said = json.loads(succeeds("as JSON", "referrers", "--json", "--artifact-type", kinds["notes"],
                               f"localhost:7201/refer@{manifest_digest('other')}", store=None))
    report(said["subject"] == manifest_digest("other") and
           [(one["artifactType"], one["digest"]) for one in said["referrers"]] == [(kinds["notes"], manifest_digest("notes"))],
           "of one type only, and by a digest", said)
    refused("of an image that is not there", "MANIFEST_UNKNOWN", "referrers", "localhost:7201/refer:none", store=None)
    small = bed.serve(bed.SmallRegistry, 7210, tls=TLS)
    bed.trust(TLS, 7210)
    for folder, tags in (("other", ["1"]), ("bill", []), ("notes", [])):
        bed.SmallRegistry.keep(folder, *tags)
    said = json.loads(succeeds("a registry that has the API is asked by it", "referrers", "--json", "localhost:7210/a:1",
                               store=None))
    report([one["artifactType"] for one in said["referrers"]] == list(kinds.values()), "page by page", said)
    report(not [path for path in bed.SmallRegistry.asked if "manifests/sha256-" in path], "and the tag is not asked for",
           bed.SmallRegistry.asked)
    small.shutdown()
    small.server_close()


def trusts_referrers(policy):
    """The same signatures, found by what refers to the image."""
    digest, name = manifest_digest("other"), "localhost:7201/refer:1"
    pull = ["--signature-policy", POLICY]
    signed = {"type": "sigstoreSigned", "keyPath": str(HERE / "ours.pub")}
    policy(signed, scope="localhost:7201/refer")
    refused("what else refers to an image is no signature", "it is not signed", "pull", *pull, name)
    steps = [("theirs.key", digest, "a referrer signed by another key is refused", "made by another key"),
             ("ours.key", manifest_digest("image"), "and a signature of another image", "of another image"),
             ("ours.key", digest, "a signature of ours among those that refer to an image lets it in", None)]
    for number, (key, of, sentence, why) in enumerate(steps):
        status, _, error = driver("push", sign_referring(key, of, name), f"localhost:7201/refer:s{number}")
        assert status == 0, error
        if why:
            refused(sentence, why, "pull", *pull, name)
    succeeds(steps[-1][2], "pull", *pull, name)
    trust = json.loads(images("inspect", name)[1])["trust"]
    report(trust == f"signed by '{HERE}/ours.pub'", "and the store remembers by what", trust)
    small = bed.serve(bed.SmallRegistry, 7210, tls=TLS)
    policy(signed, scope="localhost:7210")
    refused("by the API, too: none", "it is not signed", "pull", *pull, "localhost:7210/a:1")
    bed.SmallRegistry.keep(sign_referring("ours.key", digest, "localhost:7210/a:1"))
    succeeds("and one that will do", "pull", *pull, "localhost:7210/a:1")
    small.shutdown()
    small.server_close()


def trusts():
    for name in ("ours", "theirs"):
        bed.run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
        bed.run("openssl", "ec", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub")
    digest = manifest_digest("image")

    def policy(*requirements, scope="localhost:7201/a", default="reject"):
        POLICY.write_text(json.dumps({"default": [{"type": default}], "transports": {"docker": {scope: list(requirements)}}}))

    signed = {"type": "sigstoreSigned", "keyPath": str(HERE / "ours.pub")}
    pull = ["--signature-policy", POLICY, "localhost:7201/a/b:1"]
    policy({"type": "insecureAcceptAnything"}, scope="localhost:7201/elsewhere")
    refused("what no scope covers is the default's business", "rejects", "pull", *pull)
    policy({"type": "insecureAcceptAnything"})
    succeeds("a scope that accepts anything does", "pull", *pull)
    policy({"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"})
    refused("a kind of signature that is not done is refused by name", "'signedBy', which ctrd can't check", "pull", *pull)
    policy({"type": "new"})
    refused("and one that is not known, too", "'new' is not known", "pull", *pull)
    policy(signed)
    refused("an image without a signature is refused", "it is not signed", "pull", *pull)
    sign("theirs.key", digest, "localhost:7201/a/b:1")
    refused("one signed by another key is refused", "made by another key", "pull", *pull)
    sign("ours.key", manifest_digest("other"), "localhost:7201/a/b:1", tag_digest=digest)
    refused("a signature of another image is refused", "of another image", "pull", *pull)
    sign("ours.key", digest, "localhost:7201/a/c:1")
    refused("and one for another name", "for the name 'localhost:7201/a/c:1'", "pull", *pull)
    sign("ours.key", digest, "localhost:7201/a/b")
    refused("a tag that was not signed is refused", "for the name", "pull", *pull)
    policy({**signed, "signedIdentity": {"type": "matchRepository"}})
    succeeds("the repository's name does where policy.json says so", "pull", *pull)
    sign("ours.key", digest, "localhost:7201/a/b:1")
    policy(signed)
    succeeds("a good signature of our key lets it in", "pull", *pull)
    trust = json.loads(images("inspect", "localhost:7201/a/b:1")[1])["trust"]
    report(trust == f"signed by '{HERE}/ours.pub'", "the store remembers by what", trust)
    trusts_referrers(policy)
    POLICY.write_text("{}")
    refused("a policy without a default is an error", "'default' is missing", "pull", *pull)


# --- cut, cancelled, killed --------------------------------------------------------------------------------------------
def cut():
    size = 12 << 20
    proxy = bed.CuttingProxy(7208, 7201, 1 << 20)
    bed.trust(TLS, 7208)
    store = HERE / "cut"
    succeeds("a pull goes on where the connection was cut", "pull", "localhost:7208/big:1", store=store)
    report(proxy.cuts >= 10 and proxy.moved < 1.3 * size, "what has come once does not come again",
           f"{proxy.cuts} cuts, {proxy.moved} bytes for {size}")
    report(is_whole(store)[0], "and the store is whole", is_whole(store)[1])


def begin(store, proxy, enough):
    """A pull that is under way, with so many bytes moved."""
    start = proxy.moved
    process = subprocess.Popen(command("pull", "localhost:7209/big:1", store=store), stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    while process.poll() is None and proxy.moved < start + enough:
        time.sleep(0.002)
    return process


def helpers_of(process):
    names = {}
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except OSError:
            continue
        if fields.get("PPid") == str(process.pid):
            names[fields["Name"]] = (status.parent, fields)
    return names


def by_the_fetcher(folder, script):
    """What a program that took the fetcher over could do to files: its mounts, its root, its user, its rights."""
    return subprocess.run(["nsenter", "--target", folder.name, "--mount", "--root", "--", "/usr/bin/setpriv", "--reuid", FETCHER,
                           "--regid", FETCHER, "--clear-groups", "--bounding-set=-all", "--no-new-privs", "/usr/bin/sh", "-c", script],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60).stdout


def its_user(folder, fetch):
    """The user that the package makes, and what it comes to."""
    report(fetch["Uid"].split() == [FETCHER] * 4 and not fetch["Groups"].strip(), "it is ctrd-fetch, in no group",
           [fetch["Uid"], fetch["Groups"]])
    # Its libraries read their settings at some moment, too.
    kinds = {re.sub(r"[0-9]+", "", os.readlink(fd)) for fd in (folder / "fd").iterdir()} - {"/dev/null", "/etc/ssl/openssl.cnf"}
    report(kinds <= {"socket:[]", "pipe:[]", "anon_inode:[eventpoll]", "anon_inode:[eventfd]", "/memfd:settings (deleted)"},
           "and has sockets, pipes and what it was told", kinds)
    said = by_the_fetcher(folder, """
        exec 2>&- # no /dev/null is there
        for place in / /tmp /var /var/lib/ctrd /usr /etc /dev/shm /run; do touch $place/made && echo "WROTE $place"; done
        for file in /etc/shadow /etc/ssl/private/* /root/.profile /var/lib/ctrd/lock /proc/1/environ /dev/mem; do
            test -r $file && echo "READ $file"; done
        for socket in /run/dbus/system_bus_socket /run/systemd/private /run/systemd/journal/stdout; do
            test -e $socket && echo "REACHED $socket"; done
        test -r /etc/resolv.conf && test -d /etc/ssl/certs && echo "reached what it needs" """)
    report(said == "reached what it needs\n", "it writes nowhere, reads no secret and reaches no service of the host", said)


def confined(proxy):
    """What the two processes are, while a registry says nothing."""
    proxy.stop_at = 1
    process = begin(HERE / "confined", proxy, 0)
    for _ in range(500):
        helpers = helpers_of(process)
        if len(helpers) == 2 and all(fields.get("Seccomp") == "2" for _, fields in helpers.values()):
            break
        time.sleep(0.02)
    folder, fetch = helpers["ctr-fetch"]
    report(fetch["Uid"].split()[0] != "0" and int(fetch["CapEff"], 16) == int(fetch["CapBnd"], 16) == 0
           and fetch["NoNewPrivs"] == "1" and fetch["Seccomp"] == "2",
           "who speaks HTTP is another user without capabilities, behind seccomp", fetch)
    seen = {str(path.relative_to(folder / "root")) for path in (folder / "root").iterdir()} | {
        str(path.relative_to(folder / "root")) for path in (folder / "root/etc").iterdir()}
    report("var" not in seen and "etc/shadow" not in seen and "root" not in seen,
           "and sees neither the store nor /etc/shadow", seen)
    its_user(folder, fetch)
    _, image = helpers["ctr-image"]
    network = [os.readlink(f"/proc/{where}/ns/net") for where in ("self", helpers["ctr-image"][0].name)]
    report(network[0] != network[1] and image["Seccomp"] == "2", "who unpacks has no network", network)
    words = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
    report(words == b"/usr/lib/ctrd/ctr-fetch\0", "no word and no variable is given to it", words)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    report(not [path for path, _ in helpers.values() if path.exists()], "they end with ctrctl")
    proxy.stop_at = 0


def begun(store):
    return sum(path.stat().st_size for path in (store / "partial").glob("*"))


def interrupted(store, proxy):
    """A pull that is ended by ^C when some of it has come. Its exit code and message."""
    proxy.stop_at = proxy.moved + (4 << 20)
    process = begin(store, proxy, 0)
    for _ in range(3000):
        if begun(store) > 1 << 20:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    proxy.stop_at = 0
    return process.returncode, error


def cancelled(proxy):
    store = HERE / "cancelled"
    code, error = interrupted(store, proxy)
    report(code == 130 and "interrupted" in error, "^C ends a pull with 130", f"{code} {error}")
    report(is_whole(store)[0] and images("list", "--quiet", store=store)[1] == "", "nothing of it is left",
           is_whole(store)[1])
    kept = begun(store)
    before = proxy.moved
    succeeds("the next one", "pull", "localhost:7209/big:1", store=store)
    report(kept > 1 << 20 and proxy.moved - before < (12 << 20) - kept + (1 << 20), "goes on from where it was",
           f"kept {kept}, moved {proxy.moved - before}")
    report(not any((store / "partial").iterdir()), "and then no beginning is left")


def damaged(proxy):
    """What an earlier time has left is not what it was."""
    store = HERE / "damaged"
    interrupted(store, proxy)
    for path in (store / "partial").iterdir():
        with open(path, "r+b") as file:
            file.write(b"\0" * 4096)
    succeeds("a beginning that has been damaged is fetched again", "pull", "localhost:7209/big:1", store=store)
    report(is_whole(store)[0], "and right in the end", is_whole(store)[1])


def repaired(proxy):
    """What is damaged or gone in the store comes again by its digest, and nothing else does."""
    store, name = HERE / "repaired", "localhost:7209/a/index:1"
    succeeds("an image of an index is pulled", "pull", name, store=store)
    before = images("list", "--json=short", store=store)[1]
    image = json.loads(images("inspect", name, store=store)[1])
    tag = json.loads(next((store / "tags").iterdir()).read_text())
    blobs = {what: store / "blobs" / digest.replace(":", "/") for what, digest in
             {"manifest": tag["manifest"], "index": tag["index"], "config": image["config"]["digest"],
              "layer": json.loads((HERE / "image/manifest.json").read_text())["layers"][1]["digest"]}.items()}
    for what, path in blobs.items():
        whole = path.read_bytes()
        path.write_bytes(b"\0" * len(whole))
        refused(f"a damaged {what} is found", "", "verify", store=store)
        moved = proxy.moved
        succeeds(f"a damaged {what} is fetched again", "verify", "--repair", store=store)
        report(path.read_bytes() == whole and is_whole(store)[0], f"and the store is whole ({what})", is_whole(store)[1])
        report(what == "layer" or proxy.moved - moved < 50000, f"no layer moves for it ({what})", proxy.moved - moved)
        if what != "index":  # nothing needs that one
            path.unlink()
            succeeds(f"a {what} that is gone, too", "verify", "--repair", store=store)
            report(path.exists(), f"and is there ({what})")
    report(images("list", "--json=short", store=store)[1] == before, "the names are as they were",
           before + images("list", "--json=short", store=store)[1])
    layer = next(path for path in (store / "layers").iterdir() if (path / "etc/two").exists())
    subprocess.run(["rm", "-r", layer], check=True)
    succeeds("an unpacked layer that is gone is made anew", "verify", "--repair", store=store)
    report((layer / "etc/two").exists(), "and is there")
    blobs["layer"].write_bytes(b"damaged")
    proxy.target = 1  # nobody listens there
    refused("where nobody answers nothing is repaired, and why is said", "it was not repaired", "verify", "--repair",
            store=store)
    report((layer / "etc/two").exists(), "what containers run from stays")
    proxy.target = 7201
    succeeds("when somebody does, it is", "verify", "--repair", store=store)


def killed(proxy):
    seed = int(os.environ.get("CTRD_TEST_SEED", str(time.time_ns() % 1000000)))
    chance = random.Random(seed)
    store = HERE / "killed"
    bad = []
    ended = 0
    for cycle in range(CYCLES):
        if cycle % 10 == 0:
            subprocess.run(["rm", "-rf", store], check=True)
        store_layers_as(chance.choice([None, "erofs"]))
        process = begin(store, proxy, chance.randrange(4 << 20))
        time.sleep(chance.random() * 0.05)
        ended += process.poll() is not None
        process.kill()
        process.communicate()
        # Whoever is left dies with it; the store's lock is free when the last one has.
        status, said, error = images("list", store=store)
        if cycle % 5 == 4 or cycle == CYCLES - 1:
            pulled = images("pull", "localhost:7209/big:1", store=store)
            good, what = is_whole(store)
            if pulled[0] != 0 or not good:
                bad.append(f"cycle {cycle}: {pulled} {what}")
    report(not bad, "after SIGKILLs at random moments the next pull ends well and the store is whole",
           f"seed {seed}: {bad}")
    store_layers_as(None)
    report(ended < CYCLES, "most of them were in time", f"{ended} of {CYCLES} had ended")


def memory():
    succeeds("a large image is pulled", "pull", "localhost:7201/big:1", store=HERE / "memory")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    report(peak <= 60 << 10, "no process takes more than 60 MB for it", f"{peak} kB")


def main():
    bed.make_certificates(TLS)
    bed.make_image("image", [{"etc/one": b"1" * 5000}, {"etc/two": os.urandom(300000)}, {"etc/three": b""}])
    bed.make_image("other", [{"etc/other": b"2" * 100}])
    bed.make_image("big", [{"random": os.urandom(6 << 20)}, {"more": os.urandom(6 << 20)}])
    origin = bed.Registry("origin", 7201, tls=TLS)
    place = bed.trust(TLS, 7201)
    for folder, name in (("image", "a/b:1"), ("other", "other:1"), ("big", "big:1")):
        status, _, error = driver("push", folder, f"localhost:7201/{name}")
        assert status == 0, error
    make_index()
    memory()  # first: the greatest of all children counts
    subprocess.run(["rm", "-r", place], check=True)
    pulls(origin)
    told_on_the_bus()
    pushes()
    beside_skopeo()
    short_names()
    passwords()
    tokens()
    mirrors(origin)
    referrers()
    trusts()
    cut()
    proxy = bed.CuttingProxy(7209, 7201)
    bed.trust(TLS, 7209)
    confined(proxy)
    cancelled(proxy)
    damaged(proxy)
    repaired(proxy)
    killed(proxy)
    origin.stop()


def make_index():
    """An image for two machines, of which one is this one's."""
    import urllib.request
    import ssl
    context = ssl.create_default_context(cafile=TLS / "ca.crt")
    entries = []
    for folder, machine in (("other", "arm64"), ("image", os.uname().machine.replace("x86_64", "amd64"))):
        driver("push", folder, "localhost:7201/a/index:" + machine)
        text = (HERE / folder / "manifest.json").read_bytes()
        entries.append({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": bed.digest(text),
                        "size": len(text), "platform": {"os": "linux", "architecture": machine}})
    index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                        "manifests": entries}).encode()
    put = urllib.request.Request("https://localhost:7201/v2/a/index/manifests/1", data=index, method="PUT", headers={
        "Content-Type": "application/vnd.oci.image.index.v1+json"})
    urllib.request.urlopen(put, context=context).close()


main()
