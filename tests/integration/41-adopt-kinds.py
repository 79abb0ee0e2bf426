#!/usr/bin/env python3
"""Adoption of UDP and UNIX sockets, of ranges and workers; and what a payload can't do with these: docs/security.md's attacks."""
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
if not (os.path.exists("/usr/sbin/nginx") and os.path.exists("/usr/bin/redis-server")):
    print("skip - UDP and UNIX sockets are adopted (nginx or redis-server is not installed)")
    sys.exit()

# --- one program, four kinds of sockets

write("/srv/kinds.py", """
import os, selectors, socket, sys
def made(family, kind, address):
    s = socket.socket(family, kind)
    s.bind(address)
    if kind == socket.SOCK_STREAM:
        s.listen(5)
    return s
wait = selectors.DefaultSelector()
for s in (made(socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", 53)), made(socket.AF_INET, socket.SOCK_DGRAM, ("0.0.0.0", 53)),
          made(socket.AF_INET6, socket.SOCK_DGRAM, ("::", 53))):
    wait.register(s, selectors.EVENT_READ)
for path in sys.argv[1:]:
    wait.register(made(socket.AF_UNIX, socket.SOCK_STREAM, path), selectors.EVENT_READ)
    os.chmod(path, 0o600)
while True:
    for key, _ in wait.select():
        s = key.fileobj
        if s.type == socket.SOCK_DGRAM:
            data, peer = s.recvfrom(2000)
            s.sendto(b"udp " + data, peer)
        else:
            client, _ = s.accept()
            client.send(b"unix" if s.family == socket.AF_UNIX else b"tcp")
            client.close()
""")
KINDS = ['listen = "127.0.0.1:8253"\nport = 53', 'listen = "127.0.0.1:8253"\nport = 53\ntype = "datagram"',
         'listen = "[::1]:8253"\nport = 53\ntype = "datagram"', 'listen = "/run/ctrd-test-kinds.sock"\npath = "/tmp/kinds.sock"']
container("kinds", ["/usr/bin/python3", "/srv/kinds.py", "/tmp/kinds.sock"], KINDS)
answer = attempt(datagram, 8253)
report(answer == b"udp hello", "a datagram starts a container, and is itself answered from the adopted socket", f"{answer}\n{log_of('kinds')}")
answers = [attempt(datagram, 8253, b"six", "::1"), attempt(ask, 8253), attempt(ask_path, "/run/ctrd-test-kinds.sock")]
report(answers == [b"udp six", b"tcp", b"unix"], "UDP over IPv6, TCP and a UNIX socket of the same container answer as well", answers)
report(stop("kinds"), "it stops, and nothing is left")
answer = attempt(ask_path, "/run/ctrd-test-kinds.sock")
report(answer == b"unix", "a connection to the UNIX socket starts it again, over the file that the last run has left", f"{answer}\n{log_of('kinds')[-800:]}")
report(oct(os.stat(TREE + "/tmp/kinds.sock").st_mode) == "0o140600", "the program's chmod of its socket's file works")
stop("kinds")
run("systemctl", "stop", "ctr@kinds.socket")

# --- real servers

container("cache", ["/usr/bin/redis-server", "--port", "0", "--save", "", "--unixsocket", "/tmp/redis.sock", "--unixsocketperm", "770"],
          ['listen = "/run/ctrd-test-redis.sock"\npath = "/tmp/redis.sock"'])
for when in ("its first connection", "the next one after a stop"):
    answer = attempt(ask_path, "/run/ctrd-test-redis.sock", b"PING\r\n")
    report(answer == b"+PONG\r\n", f"redis answers {when} over its UNIX socket", f"{answer}\n{log_of('cache')[-800:]}")
    stop("cache")
run("systemctl", "stop", "ctr@cache.socket")

write("/srv/nginx.conf", "worker_processes 2;\ndaemon off;\npid /tmp/nginx.pid;\nerror_log stderr;\nevents { worker_connections 64; }\n"
                         "http { access_log off; server { listen 80 reuseport; return 200 \"reuseport works\"; } }\n")
container("workers", ["/usr/sbin/nginx", "-c", "/srv/nginx.conf"], ['listen = "127.0.0.1:8255"\nport = 80'], 'stop-signal = "SIGQUIT"')
answers = [attempt(ask, 8255, HTTP) for _ in range(20)]
report(all(isinstance(answer, bytes) and b"reuseport works" in answer for answer in answers),
       "nginx with SO_REUSEPORT workers answers", f"{answers[-1]}\n{log_of('workers')[-800:]}")
stop("workers")
run("systemctl", "stop", "ctr@workers.socket")

# --- a socket that is watched before it is bound, and ports that are bound when they are needed

write("/srv/early.py", """
import select, socket
epoll = select.epoll()
main = socket.socket()
main.setblocking(False)
main.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
epoll.register(main, select.EPOLLIN | select.EPOLLET)
main.bind(("0.0.0.0", 21))
main.listen(5)
port = 4000
while True:
    for fd, events in epoll.poll():
        while True:
            try:
                client, _ = main.accept()
            except BlockingIOError:
                break
            keepalive = client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            data = socket.socket()
            data.bind(("0.0.0.0", port))
            data.listen(1)
            client.send(f"{keepalive} {data.getsockname()[1]}".encode())
            other, _ = data.accept()
            other.send(b"data")
            for s in (other, client, data):
                s.close()
            port += 1
""")
container("early", ["/usr/bin/python3", "/srv/early.py"], ['listen = "127.0.0.1:8221"\nport = 21', 'listen = "127.0.0.1:8230-8235"\nport = 4000'])
run("systemctl", "start", "ctrd-handover.socket")


def transfer():
    with socket.create_connection(("127.0.0.1", 8221), 60) as control:
        control.settimeout(60)
        first = control.recv(100).split()
        return first[0], int(first[1]), ask(int(first[1]), patience=60)


answers = [attempt(transfer) for _ in range(3)]
# The first connection came before the program was there, and has what the listener had then.
report([answer[1:] for answer in answers] == [(8230 + i, b"data") for i in range(3)] and [answer[0] for answer in answers[1:]] == [b"1"] * 2,
       "a socket that was in an epoll set before its bind is heard of, its options hold, and ports of a range are adopted when they are bound",
       f"{answers}\n{log_of('early')[-800:]}")
stop("early")
run("systemctl", "stop", "ctr@early.socket")

# --- both families on one listener, each watched before the next one is bound

write("/srv/both.py", """
import select, socket, time
def listening(family, address):
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setblocking(False)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((address, 80))
    s.listen(5)
    watched.register(s, select.EPOLLIN)
    return s
watched = select.epoll()
six = listening(socket.AF_INET6, "::")
four = listening(socket.AF_INET, "0.0.0.0")
stray = 0
while True:
    events = watched.poll()
    stray += sum(fd == six.fileno() for fd, _ in events)
    if any(fd == four.fileno() for fd, _ in events):
        client, _ = four.accept()
        client.send(b"%d" % stray)
        client.close()
    inside = socket.create_connection(("::1", 80)) if stray == 0 else None
    if inside:
        watched.poll()
        other, _ = six.accept()
        other.close()
        inside.close()
""")
container("both", ["/usr/bin/python3", "/srv/both.py"], ['listen = "127.0.0.1:8258"\nport = 80'])
answers = [attempt(ask, 8258) for _ in range(3)]
report(answers == [b"0"] * 3, "a program that binds and watches [::] before 0.0.0.0 hears of the listener by the latter alone, and has the former in its own network",
       f"{answers}\n{log_of('both')[-800:]}")
stop("both")
run("systemctl", "stop", "ctr@both.socket")

# --- what it is told of its socket

write("/srv/named.py", """
import socket
for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((address, 80))
    s.listen(5)
    if family == socket.AF_INET:
        first = s
for s in (first, s):
    client, _ = s.accept()
    client.send(f"{s.getsockname()[1]} {client.getsockname()[1]}".encode())
    client.close()
""")
container("named", ["/usr/bin/python3", "/srv/named.py"], ['listen = "127.0.0.1:8257"\nport = 80', 'listen = "[::1]:8257"\nport = 80'])
answers = [attempt(ask, 8257)]
with socket.create_connection(("::1", 8257), 60) as client:
    client.settimeout(60)
    answers.append(client.recv(100))
report(answers == [b"80 80"] * 2, "getsockname says the port that the program has bound, of listeners and of connections", f"{answers}\n{log_of('named')[-800:]}")
run("systemctl", "stop", "ctr@named.socket", "ctr@named.service")
answers = [run("systemctl", "show", "-p", "Listen", "ctr@named.socket"), run("ctrctl", "status", "named")]
report(all("8257" in answer for answer in answers), "everybody else is told the host's", answers)

# --- idle, by datagrams alone

container("sleepy", ["/usr/bin/python3", "/srv/kinds.py"], KINDS[:3], 'idle-timeout = "2s"')
lost = 0
for _ in range(2):
    lost += attempt(datagram, 8253) != b"udp hello"
    report(wait_for(60, lambda: state("sleepy") == "inactive"), "a container that gets no more datagrams is idle, and stops", log_of("sleepy")[-500:])
report(lost == 0, "each datagram that started it again was answered", log_of("sleepy")[-800:])
stop("sleepy")
run("systemctl", "stop", "ctr@sleepy.socket")

# --- attacks

target = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
target.bind(("127.0.0.1", 9411))
service = socket.create_server(("127.0.0.1", 9412))
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\0ctrd-test-target")
abstract.listen(16)

write("/srv/attack.py", r"""
import ctypes, errno, fcntl, json, os, socket, struct, sys
found = {}
def note(what, function):
    try:
        function()
        found[what] = "SUCCEEDED"
    except OSError as error:
        found[what] = errno.errorcode[error.errno]
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
def out(s):
    libc.connect(s.fileno(), struct.pack("=H14x", 0), 16) # AF_UNSPEC
    s.connect(("127.0.0.1", 9412))
def enter(s):
    call(308, fcntl.ioctl(s.fileno(), 0x894C), 0) # SIOCGSKNS, setns
mode = sys.argv[1]
if mode == "sibling": # waits for a socket that another container sends it
    door = socket.socket(socket.AF_UNIX)
    door.bind("/srv/share/door.sock")
    door.listen(1)
    client, _ = door.accept()
    for what, fd in zip(("accepted", "listener"), socket.recv_fds(client, 10, 2)[1]):
        s = socket.socket(fileno=fd)
        if what == "listener":
            s.shutdown(socket.SHUT_RDWR)
        note(what, lambda: out(s))
else:
    if mode == "control":
        listener, asked = socket.socket(fileno=3), socket.socket(fileno=4)
        note("abstract", lambda: socket.socket(fileno=5).connect("\0ctrd-test-target")) # a socket of the host that is neither
    else:
        listener, asked = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind(("0.0.0.0", 80))
        listener.listen(5)
        asked.bind(("0.0.0.0", 80))
    if mode == "adopted":
        local = socket.socket(socket.AF_UNIX)
        local.bind("/tmp/attack.sock")
        local.listen(5)
        client, _ = local.accept()
        note("abstract, accepted", lambda: client.connect("\0ctrd-test-target"))
        client.shutdown(socket.SHUT_RDWR)
        note("abstract, shut down", lambda: client.connect("\0ctrd-test-target"))
        local.shutdown(socket.SHUT_RDWR)
        note("abstract, listener", lambda: local.connect("\0ctrd-test-target"))
    data, peer = asked.recvfrom(100)
    note("answer", lambda: asked.sendto(b"answer", peer))
    note("sendto", lambda: asked.sendto(b"attack", ("127.0.0.1", 9411)))
    note("connect", lambda: asked.connect(("127.0.0.1", 9411)))
    note("setns", lambda: enter(listener))
    note("io_uring", lambda: call(425, 4, ctypes.create_string_buffer(120)))
    accepted, _ = listener.accept()
    if mode == "pass-on":
        door = socket.socket(socket.AF_UNIX)
        door.connect("/srv/share/door.sock")
        socket.send_fds(door, [b"x"], [accepted.fileno(), listener.fileno()])
    else:
        note("out", lambda: out(accepted))
print("attack over " + json.dumps(found), flush=True)
""")


def attack_found(text):
    lines = [line for line in text.splitlines() if line.startswith("attack over ")]
    return json.loads(lines[-1][len("attack over "):]) if lines else {"no answer": text[-800:]}


def connected(port):
    try:
        socket.create_connection(("127.0.0.1", port), 60).close()
        return True
    except (ConnectionRefusedError, ConnectionResetError):
        return False  # the attacker has just shut it down: it listens again in a moment


def provoke(port):
    answer = attempt(datagram, port)
    wait_for(60, lambda: connected(port))
    return answer


def pending(listening):
    listening.settimeout(0.1)
    try:
        listening.recvfrom(100)
        return True
    except OSError:
        return False


# Without us: the host's sockets in the hands of a process that is in an empty network.
with socket.create_server(("127.0.0.1", 8270)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
        socket.socket(socket.AF_UNIX) as fresh:
    udp.bind(("127.0.0.1", 8270))
    # 3 to 5: copied high first, so that none is overwritten by another.
    high = [os.dup2(tcp.fileno(), 60), os.dup2(udp.fileno(), 61), os.dup2(fresh.fileno(), 62)]
    control = subprocess.Popen(["unshare", "-n", "bash", "-c", f"exec python3 {TREE}/srv/attack.py control 3<&60 4<&61 5<&62"], pass_fds=high,
                               stdout=subprocess.PIPE, text=True)
    provoke(8270)
    found = attack_found(control.communicate(timeout=60)[0])
    for fd in high:
        os.close(fd)
report([found.get(way) for way in ("answer", "sendto", "connect", "setns", "out", "abstract")] == ["SUCCEEDED"] * 6 and pending(target),
       "without a guard a UDP socket sends anywhere, a socket's network can be entered, and a connection gets out", found)

if found.get("io_uring") == "SUCCEEDED":
    report(True, "without a profile io_uring can be used")
else:
    print(f"skip - without a profile io_uring can be used (this kernel says {found.get('io_uring')} to everybody)")

os.makedirs("/srv/share")
sibling = subprocess.Popen(["unshare", "-n", "python3", f"{TREE}/srv/attack.py", "sibling"], stdout=subprocess.PIPE, text=True)
wait_for(60, lambda: os.path.exists("/srv/share/door.sock"))
with socket.create_server(("127.0.0.1", 8273)) as tcp, socket.create_connection(("127.0.0.1", 8273), 60), \
        socket.socket(socket.AF_UNIX) as door:
    accepted, _ = tcp.accept()
    door.connect("/srv/share/door.sock")
    socket.send_fds(door, [b"x"], [accepted.fileno(), tcp.fileno()])
    accepted.close()
    found = attack_found(sibling.communicate(timeout=60)[0])
report(found == {"accepted": "SUCCEEDED", "listener": "SUCCEEDED"},
       "without a guard who is handed a connection or a listener of the host's gets out by it", found)
shutil.rmtree("/srv/share")

SHARE = os.path.abspath("share")
os.makedirs(SHARE)
MOUNT = f'[[mount]]\nsource = "{SHARE}"\ntarget = "/srv/share"\n'
sockets = ['listen = "127.0.0.1:8271"\nport = 80', 'listen = "127.0.0.1:8271"\nport = 80\ntype = "datagram"']
container("attacker", ["/usr/bin/python3", "/srv/attack.py", "adopted"], sockets + ['listen = "/run/ctrd-test-attack.sock"\npath = "/tmp/attack.sock"'])
with socket.socket(socket.AF_UNIX) as client:
    client.connect("/run/ctrd-test-attack.sock")
answer = provoke(8271)
wait_for(60, lambda: "attack over" in log_of("attacker"))
found = attack_found(log_of("attacker"))
report(answer == b"answer" and found.get("answer") == "SUCCEEDED", "a UDP server may answer who has asked it", f"{answer} {found}")
report(found.get("sendto") == "EPERM" and not pending(target), "but send to nobody else", found)
report(found.get("connect") == "EPERM", "nor connect its socket to somebody else", found)
report(found.get("setns") == "EPERM", "it can't enter the network of its socket", found)
report(found.get("io_uring") in ("EPERM", "ENOSYS"), "it can't bind by io_uring, which no filter would see", found)
report([found.get("abstract, " + way, "SUCCEEDED") in ("EINVAL", "EISCONN") for way in ("accepted", "shut down", "listener")] == [True] * 3,
       "a UNIX socket that was accepted, or listens, connects to nobody of the host", found)
report(found.get("out") == "EPERM", "it can't connect out over an accepted connection", found)
stop("attacker")

declare("sibling", f'rootfs = "{TREE}"\ncommand = ["/usr/bin/python3", "/srv/attack.py", "sibling"]\n{MOUNT}')
declare("sender", f'rootfs = "{TREE}"\ncommand = ["/usr/bin/python3", "/srv/attack.py", "pass-on"]\n{MOUNT}' +
        "".join(f"[[socket]]\n{one}\n" for one in sockets).replace("8271", "8272"))
run("systemctl", "daemon-reload")
run("systemctl", "start", "ctr@sibling.service", "ctr@sender.socket")
wait_for(60, lambda: os.path.exists(SHARE + "/door.sock"))
provoke(8272)
wait_for(60, lambda: "attack over" in log_of("sibling"))
found = attack_found(log_of("sibling"))
report(found == {"accepted": "EPERM", "listener": "EPERM"}, "nor can another container that it hands its sockets to", found)
stop("sender")
stop("sibling")
