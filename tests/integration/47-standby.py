#!/usr/bin/env python3
"""standby = "created" and "frozen": what waits, who wakes it, and that no connection is lost while ctrd is killed."""
import os
import random
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from standby import *  # noqa: E402,F403

CYCLES = int(os.environ.get("CTRD_TEST_CYCLES", "40"))
SEED = int(os.environ.get("CTRD_TEST_SEED", str(random.randrange(10 ** 6))))
random.seed(SEED)

TREE = make_payload_tree()
SYSTEM = make_system_tree()
with open(f"{SYSTEM}/etc/nginx.test", "w") as file:
    file.write("daemon off; worker_processes 2; pid /tmp/pid; error_log stderr; events {}\n"
               "http { access_log off; server { listen 80; return 200 'fine'; } }\n")
PEER = b"peer 127.0.0.1\n"
PING = b"PING\r\nQUIT\r\n"
SERVERS = {
    "payload": (f'rootfs = "{TREE}"\ncommand = ["/payload", "serve", "80"]\n', 80, None, PEER),
    "nginx": (f'rootfs = "{SYSTEM}"\ncommand = ["/usr/sbin/nginx", "-c", "/etc/nginx.test"]\nstop-signal = "SIGQUIT"\n', 80,
              HTTP, b"fine"),
    "redis": (f'rootfs = "{SYSTEM}"\ncommand = ["/usr/bin/redis-server", "--protected-mode", "no", "--save", ""]\n'
              'user = "redis"\n', 6379, PING, b"+PONG\r\n+OK\r\n"),
}
ports = {}


def container(standby, server, more=""):
    text, port, _, _ = SERVERS[server]
    name = f"{standby}-{server}"
    ports[name] = 8200 + len(ports)
    declare(name, f'{text}standby = "{standby}"\n{more}\n[[socket]]\nlisten = "127.0.0.1:{ports[name]}"\nport = {port}\n')
    return name


def is_answered(name, patience=30):
    _, _, request, good = SERVERS[name.rpartition("-")[2]]
    try:
        answer = ask(ports[name], request, patience)
    except OSError as error:
        return report_bad(name, repr(error))
    return answer.endswith(good) or report_bad(name, answer[-60:])


problems = []


def report_bad(name, what):
    problems.append(f"{name}: {what}")
    return False


names = [container(standby, server, 'idle-timeout = "1s"') for standby in ("stopped", "created", "frozen")
         for server in SERVERS]
run("ctrctl", "apply")
created = [name for name in names if name.startswith("created")]
frozen = [name for name in names if name.startswith("frozen")]

# --- before anybody has connected

report(all(wait_for(20, lambda n=name: state(n) == "active") for name in created + frozen),
       "what is to stand by is active after 'apply'", [(name, state(name)) for name in created + frozen])
report(all(state(name) == "inactive" for name in names if name.startswith("stopped")), "what is to be stopped is not")
report("Created; starts when somebody connects" in unit("created-nginx", "StatusText"), "the unit says that it is created",
       unit("created-nginx", "StatusText"))
report(wait_for(5, lambda: phase("created-nginx") == "created"), "so does ctrd", phase("created-nginx"))
pid = unit("created-nginx", "MainPID")
with open(f"/proc/{pid}/comm") as file:
    comm = file.read().strip()
report(comm == "ctr-run", "what waits is ours, not the payload", comm)
report(all(wait_for(30, lambda n=name: is_frozen(n)) for name in frozen), "what is to be frozen is, once it has settled",
       [(name, is_frozen(name)) for name in frozen])
report(phase("frozen-nginx") == "frozen", "ctrd says so", phase("frozen-nginx"))
for name in ("created-payload", "created-nginx", "frozen-payload", "frozen-nginx", "frozen-redis"):
    print(f"# memory of {name}: {memory_of(name)} KiB of its own, {memory_of(name, 'Pss')} KiB with its share of programs", flush=True)
report(memory_of("created-nginx") < 700, "one that is created has less than 700 KiB of its own", memory_of("created-nginx"))

# --- the first connection, and back

for name in names:
    before = time.monotonic()
    good = is_answered(name)
    took = (time.monotonic() - before) * 1000
    report(good, f"{name} answers its first connection ({took:.1f} ms)", problems)
report(wait_for(10, lambda: phase("created-nginx") == ""), "ctrd knows that it runs", phase("created-nginx"))
for name in created:
    report(wait_for(60, lambda: unit(name, "StatusText").startswith("Created;")), f"{name} goes back to being created",
           unit(name, "StatusText"))
for name in frozen:
    report(wait_for(60, lambda: is_frozen(name)), f"{name} is frozen again")
for name in names:
    report(is_answered(name), f"{name} answers again", problems)
report(unit("frozen-redis", "NRestarts") == "0" and starts("frozen-redis") == 1, "a frozen one was never started again",
       starts("frozen-redis"))

# --- without ctrd

report(wait_for(60, lambda: unit("created-payload", "StatusText").startswith("Created;")), "it is created once more")
report(wait_for(30, lambda: is_frozen("frozen-payload")), "and the other is frozen")
run("systemctl", "stop", "ctrd.service", "ctrd-handover.socket")
report(is_answered("created-payload"), "a created one starts without ctrd", problems)
report(is_answered("frozen-payload"), "a ctrd that is stopped leaves nothing frozen that it would have to wake", problems)
run("systemctl", "start", "ctrd-handover.socket", "ctrd.service")
report(wait_for(30, lambda: is_frozen("frozen-payload")), "it is frozen again when ctrd is back")
gaps = []
for _ in range(5):
    wait_for(30, lambda: is_frozen("frozen-payload"))
    run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "ctrd.service")
    before = time.monotonic()
    if not is_answered("frozen-payload"):
        break
    gaps.append((time.monotonic() - before) * 1000)
report(len(gaps) == 5, "a connection that comes just when ctrd was killed is answered when it is back", problems)
print("# it waited for", ", ".join(f"{gap:.0f}" for gap in gaps), "ms", flush=True)
report(wait_for(30, lambda: is_frozen("frozen-payload")), "it is frozen again")


def left_frozen(name):
    """As by a ctrd that is killed just then."""
    run("systemctl", "kill", "--kill-whom=main", "-s", "STOP", "ctrd.service")
    with open(f"{SLICE}/ctr@{name}.service/payload/cgroup.freeze", "w") as file:
        file.write("1")
    run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "ctrd.service")


report(wait_for(60, lambda: unit("created-nginx", "StatusText").startswith("Created;")), "one that is created again")
left_frozen("created-nginx")
report(is_answered("created-nginx"), "created, and left frozen by a killed ctrd: it starts all the same", problems)
left_frozen("created-nginx")
report(is_answered("created-nginx"), "running, and left frozen: it is thawed", problems)
with socket.create_connection(("127.0.0.1", ports["frozen-nginx"]), 60) as client:
    client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    good = client.recv(4096).startswith(b"HTTP/1.1 200")
    left_frozen("frozen-nginx")
    client.sendall(HTTP)
    report(good and client.recv(4096).startswith(b"HTTP/1.1 200"), "to be frozen, but not with somebody connected: it is thawed")
report(wait_for(60, lambda: is_frozen("frozen-nginx")), "it is frozen when he has left")
report("hello" in run("ctrctl", "exec", "frozen-nginx", "--", "/bin/echo", "hello"), "a command can be run in a frozen one")
before = time.monotonic()
run("systemctl", "stop", *(f"ctr@{name}.service" for name in names))
report(time.monotonic() - before < 15, "created and frozen ones stop when they are asked to", time.monotonic() - before)
report(all(wait_for(5, lambda n=name: nothing_left(n)) for name in names), "and leave nothing behind")
for name in created + frozen:
    report(is_answered(name), f"{name}, stopped by hand, is started by the next connection", problems)

# --- at random moments, while ctrd is killed

with Killer() as killer:
    for i in range(CYCLES):
        time.sleep(random.choice([random.uniform(0, 0.4), random.uniform(0.8, 1.5)]))
        for name in ("created-payload", "frozen-payload"):
            is_answered(name)
report(problems == [], f"{2 * CYCLES} connections at random moments while ctrd is killed: all answered (seed {SEED})", problems)
print(f"# {killer.kills} kills", flush=True)
