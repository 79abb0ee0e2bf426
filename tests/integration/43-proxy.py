#!/usr/bin/env python3
"""Sockets that stay with systemd, their connections and datagrams copied by ctr-proxy; and deliver = "auto", which comes to that
where a socket can't be adopted."""
import functools
import json
import os
import sys

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from standby import *  # noqa: E402,F403

TREE = make_system_tree()
write = functools.partial(write_below, TREE)
container = functools.partial(declare_listening, TREE)
if not os.path.exists("/usr/sbin/nginx"):
    print("skip - sockets are proxied (nginx is not installed)")
    sys.exit()


def echo(target, data):
    """Sends all of it and takes it back at the same time; the digest of what came."""
    family = socket.AF_UNIX if isinstance(target, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(60)
        client.connect(target)

        def send():
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        got = bytearray()
        while part := client.recv(1 << 16):
            got += part
        sender.join()
        return bytes(got) == data


def proxies(name):
    try:
        with open(f"{SLICE}/ctr@{name}.service/payload/ctrd-proxy/cgroup.procs") as file:
            return file.read().split()
    except OSError:
        return []


# --- a real server

container("web", ["/usr/sbin/nginx", "-g", "daemon off;"], ['listen = "127.0.0.1:8281"\nport = 80\ndeliver = "proxy"'], 'stop-signal = "SIGQUIT"')
answer = attempt(ask, 8281, HTTP)
report(b"Welcome to nginx" in (answer if isinstance(answer, bytes) else b""), "nginx answers its first connection through the proxy",
       f"{answer}\n{log_of('web')[-1500:]}")
pids = proxies("web")
report(len(pids) == 2, "the proxy is a small parent and the child that copies, in a cgroup below the payload's", pids)
status = open(f"/proc/{pids[-1]}/status").read() if pids else ""
report("\nSeccomp:\t2\n" in status and "\nNoNewPrivs:\t1\n" in status and "\nCapEff:\t0000000000000000\n" in status and
       "\nCapBnd:\t0000000000000000\n" in status and not re.search(r"\nUid:\t0\t", status), "it is confined: another user, no capability, a seccomp filter", status)
leader = unit("web", "MainPID")
report(pids and os.readlink(f"/proc/{pids[0]}/ns/net") == os.readlink(f"/proc/{leader}/ns/net"), "it is in the container's network")
report("127.0.0.1" in open(TREE + "/var/log/nginx/access.log").read(), "the server sees a client of its own loopback")
os.kill(int(pids[-1]), 9)
answer = attempt(ask, 8281, HTTP)
report(isinstance(answer, bytes) and b"Welcome" in answer, "a proxy that was killed has a successor, and nobody is refused meanwhile", answer)
report(unit("web", "MainPID") == leader and proxies("web")[0] == pids[0], "the container has not noticed", proxies("web"))
pids = proxies("web")
os.kill(int(pids[0]), 9)
report(wait_for(60, lambda: pids[-1] not in proxies("web")), "with its parent the child ends, too", proxies("web"))
report(stop("web") and not pids[0] in os.listdir("/proc"), "it ends with the container, and nothing is left")
answer = attempt(ask, 8281, HTTP)
report(isinstance(answer, bytes) and b"Welcome" in answer, "after a stop the next connection starts both again", log_of("web")[-800:])
stop("web")
run("systemctl", "stop", "ctr@web.socket")

# --- streams, datagrams and a path, much data, many at once

write("/srv/echo.py", """
import os, socket, sys, threading, time
def stream(family, address):
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_UNIX and os.path.exists(address):
        os.unlink(address)
    s.bind(address)
    s.listen(128)
    def serve(client):
        while data := client.recv(1 << 16):
            client.sendall(data)
        client.close()
    while True:
        threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
def datagrams():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 53))
    while True:
        data, peer = s.recvfrom(70000)
        s.sendto(b"udp " + data[:60000], peer)
time.sleep(float(sys.argv[1]))
for work in (lambda: stream(socket.AF_INET, ("127.0.0.1", 53)), lambda: stream(socket.AF_INET6, ("::1", 54)),
             lambda: stream(socket.AF_UNIX, "/tmp/echo.sock"), datagrams):
    threading.Thread(target=work, daemon=True).start()
threading.Event().wait()
""")
ECHO = ['listen = "0.0.0.0:8283"\nport = 53\ndeliver = "proxy"', 'listen = "8284"\nport = 54\ndeliver = "proxy"',
        'listen = "/run/ctrd-test-echo.sock"\npath = "/tmp/echo.sock"\ndeliver = "proxy"',
        'listen = "0.0.0.0:8283"\nport = 53\ntype = "datagram"\ndeliver = "proxy"']
container("echo", ["/usr/bin/python3", "/srv/echo.py", "1"], ECHO)
answer = attempt(datagram, 8283)
report(answer == b"udp hello", "a datagram starts a container that takes its time to listen, and is answered", f"{answer}\n{log_of('echo')[-800:]}")
big = os.urandom(1 << 20) * 24
report(attempt(echo, ("127.0.0.1", 8283), big) is True, "24 MiB come back whole, and the end of each direction is passed on")
report(attempt(echo, ("127.0.0.1", 8284), b"six" * 1000) is True, "a program that listens on IPv6 alone is found")
report(attempt(echo, "/run/ctrd-test-echo.sock", big[:1 << 20]) is True, "a UNIX socket in the container is proxied as well")
report(attempt(datagram, 8283, b"x" * 50000) == b"udp " + b"x" * 50000, "a large datagram comes back whole")
results = []
threads = [threading.Thread(target=lambda: results.append(attempt(echo, ("127.0.0.1", 8283), big[:300000]))) for _ in range(60)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
report(results == [True] * 60, "sixty connections at once, too", set(map(str, results)))
fds = len(os.listdir(f"/proc/{proxies('echo')[-1]}/fd")) if proxies("echo") else -1
report(wait_for(60, lambda: len(os.listdir(f"/proc/{proxies('echo')[-1]}/fd")) < 30), "and their descriptors are closed afterwards", fds)
stop("echo")
run("systemctl", "stop", "ctr@echo.socket")

# --- idle, and standing still, with the proxy

container("sleepy", ["/usr/bin/python3", "/srv/echo.py", "0"], ECHO[:1], 'idle-timeout = "1s"')
good = attempt(echo, ("127.0.0.1", 8283), b"one")
report(good is True and wait_for(60, lambda: state("sleepy") == "inactive"), "a proxied container is idle without connections, and stops", log_of("sleepy")[-500:])
report(attempt(echo, ("127.0.0.1", 8283), b"two") is True, "and is started by the next one")
stop("sleepy")
run("systemctl", "stop", "ctr@sleepy.socket")
container("frozen", ["/usr/bin/python3", "/srv/echo.py", "0"], ECHO[:1], 'standby = "frozen"\nidle-timeout = "1s"')
run("systemctl", "start", "ctr@frozen.service")
report(wait_for(60, lambda: is_frozen("frozen")), "it is frozen with its proxy", log_of("frozen")[-500:])
report(attempt(echo, ("127.0.0.1", 8283), b"three") is True, "and both are woken by a connection")
stop("frozen")
run("systemctl", "stop", "ctr@frozen.socket")

# --- auto

container("adopts", ["/usr/sbin/nginx", "-g", "daemon off;"], ['listen = "127.0.0.1:8281"\nport = 80\ndeliver = "auto"'], 'stop-signal = "SIGQUIT"')
answer = attempt(ask, 8281, HTTP)
report(isinstance(answer, bytes) and b"Welcome" in answer and proxies("adopts") == [], "auto adopts what can be adopted, without a proxy", log_of("adopts")[-800:])
report("auto: adopt" in run("ctrctl", "status", "adopts"), "ctrctl status says so", run("ctrctl", "status", "adopts"))
stop("adopts")
run("systemctl", "stop", "ctr@adopts.socket")

# Nobody sees it bound, as with io_uring: it listens without a bind. Of two ports the kernel takes the odd one for that, and the
# even one for who connects.
write("/srv/unseen.py", """
import socket
s = socket.socket()
s.listen(5)
while True:
    client, _ = s.accept()
    client.sendall(b"unseen")
    client.close()
""")
os.makedirs("bundle")
with open("bundle/config.json", "w") as file:
    json.dump({"ociVersion": "1.0.2", "root": {"path": TREE}, "process": {"cwd": "/", "args": ["/usr/bin/python3", "/srv/unseen.py"],
               "user": {"uid": 0, "gid": 0}, "env": ["PATH=/usr/bin"]},
               "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
               "linux": {"namespaces": [{"type": name} for name in ("pid", "mount", "ipc", "uts", "network")],
                         "sysctl": {"net.ipv4.ip_local_port_range": "5352 5353"}}}, file)
declare("unseen", f'bundle = "{os.path.abspath("bundle")}"\n[[socket]]\nlisten = "127.0.0.1:8285"\nport = 5353\ndeliver = "auto"\n')
run("systemctl", "daemon-reload")
run("systemctl", "start", "ctr@unseen.socket")
answer = attempt(ask, 8285)
report(answer == b"unseen", "a program that listens without a bind that can be seen is proxied", f"{answer}\n{log_of('unseen')[-1200:]}")
report("is proxied, since it can't be adopted: the program listens on it, and no bind was seen" in log_of("unseen"), "with the reason in the journal",
       log_of("unseen")[-800:])
report("auto: proxy" in run("ctrctl", "status", "unseen"), "ctrctl status says so", run("ctrctl", "status", "unseen"))
stop("unseen")
before = log_of("unseen").count("is proxied, since")
answer = attempt(ask, 8285)
report(answer == b"unseen" and log_of("unseen").count("is proxied, since") == before, "the next start knows it, and does not try", log_of("unseen")[-800:])
stop("unseen")
run("systemctl", "stop", "ctr@unseen.socket")

# Its profile has a listener, whose agent is ours: the kernel has room for one only.
agent = socket.socket(socket.AF_UNIX)
agent.bind(os.path.abspath("agent.sock"))
agent.listen(5)
held = []
threading.Thread(target=lambda: [held.append(socket.recv_fds(agent.accept()[0], 65536, 4)) for _ in range(2)], daemon=True).start()
with open("profile.json", "w") as file:
    json.dump({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": os.path.abspath("agent.sock"),
               "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_NOTIFY"}]}, file)
PROFILE = f'stop-signal = "SIGQUIT"\nseccomp = "{os.path.abspath("profile.json")}"'
container("notifies", ["/usr/sbin/nginx", "-g", "daemon off;"], ['listen = "127.0.0.1:8286"\nport = 80\ndeliver = "adopt"'], PROFILE)
run("systemctl", "start", "ctr@notifies.service")
log = log_of("notifies")
report(state("notifies") == "failed" and "can't be adopted: the seccomp profile has a listener" in log and 'deliver = "proxy"' in log,
       "a container whose seccomp profile has a listener can't be adopted, and the journal says what to write", log[-800:])
run("systemctl", "stop", "ctr@notifies.socket")
container("notifies", ["/usr/sbin/nginx", "-g", "daemon off;"], ['listen = "127.0.0.1:8286"\nport = 80\ndeliver = "auto"'], PROFILE)
answer = attempt(ask, 8286, HTTP)
report(isinstance(answer, bytes) and b"Welcome" in answer and held, "with auto it is proxied from the beginning", f"{answer}\n{log_of('notifies')[-1200:]}")
report("the seccomp profile has a listener of its own" in log_of("notifies"), "and the journal says why", log_of("notifies")[-800:])
stop("notifies")
