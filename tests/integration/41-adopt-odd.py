#!/usr/bin/env python3
"""Servers that do it in another way: late, in a child, by several sockets, with filters and ids of their own. Each is asked by two
connections at once when it does not run, and once more after a stop."""
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from standby import *  # noqa: E402,F403

TREE = make_system_tree()
COMMON = """
import ctypes, os, select, signal, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def made(*kind):
    s = socket.socket(*(kind or (socket.AF_INET, socket.SOCK_STREAM)))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return s
def serve(*listeners, text=b"odd"):
    while True:
        for s in select.select(listeners, [], [])[0]:
            one, _ = s.accept()
            one.sendall(text)
            one.close()
def listening(address=("0.0.0.0", 80), *kind):
    s = made(*kind)
    s.bind(address)
    s.listen(5)
    return s
"""
SERVERS = {
    "binds-late": "time.sleep(2); serve(listening())",
    "child-listens": """
if os.fork():
    os.wait()
else:
    serve(listening())""",
    "child-accepts": """
s = made()
s.bind(("0.0.0.0", 80))
if os.fork():
    os.wait()
else:
    s.listen(5)
    serve(s)""",
    "thread-binds": """
threading.Thread(target=lambda: serve(listening())).start()
time.sleep(1000)""",
    "two-families": """
six = made(socket.AF_INET6, socket.SOCK_STREAM)
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
six.bind(("::", 80))
six.listen(5)
serve(listening(), six)""",
    "workers": """
def worker():
    s = made()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("0.0.0.0", 80))
    s.listen(64)
    serve(s)
for _ in range(3):
    if os.fork() == 0:
        worker()
worker()""",
    "binds-again": """
old = listening()
new = listening()
old.close()
again = listening()
new.close()
serve(again)""",
    "closed-first": """
first = listening()
first.close()
time.sleep(0.5)
serve(listening())""",
    "loopback-only": "serve(listening(('127.0.0.1', 80)))",
    "multipath": "serve(listening(('0.0.0.0', 80), socket.AF_INET, socket.SOCK_STREAM, 262))",
    "long-address": """
s = made()
address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", 80) + bytes(124)
check(libc.bind(s.fileno(), address, 128))
s.listen(5)
serve(s)""",
    "no-family": """
s = made()
address = struct.pack("=H", 0) + struct.pack("!H", 80) + bytes(12)
check(libc.bind(s.fileno(), address, 16))
s.listen(5)
serve(s)""",
    "own-filter": """
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 101), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7fff0000)]
program = b"".join(struct.pack("HBBI", *one) for one in code)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]
check(libc.prctl(38, 1, 0, 0, 0))
check(libc.prctl(22, 2, ctypes.byref(Program(len(code), program)), 0, 0))
serve(listening())""",
    "deferred": """
s = made()
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 0)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
s.bind(("0.0.0.0", 80))
s.listen(0)
serve(s)""",
    "executes-itself": """
if len(sys.argv) == 1:
    s = listening()
    os.set_inheritable(s.fileno(), True)
    os.execv(sys.executable, [sys.executable, sys.argv[0], str(s.fileno())])
serve(socket.socket(fileno=int(sys.argv[1])))""",
    "after-a-reload": """
s = listening()
def reload(*_):
    global s
    s.close()
    s = listening()
signal.signal(signal.SIGHUP, reload)
os.kill(os.getpid(), signal.SIGHUP)
serve(s)""",
    "as-nobody": """
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
serve(listening())""",
}
MORE = {"as-nobody": 'capabilities = ["SETUID", "SETGID"]'}


def ask_twice(port):
    """Both clients come while nobody accepts."""
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(attempt(ask, port, None, 60))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


for number, (name, text) in enumerate(SERVERS.items()):
    port = 8500 + number
    write_below(TREE, f"/srv/{name}.py", COMMON + text + "\n")
    declare_listening(TREE, name, ["/usr/bin/python3", f"/srv/{name}.py"], [f'listen = "127.0.0.1:{port}"\nport = 80'], MORE.get(name, ""))
    answers = ask_twice(port)
    running = state(name)
    stop(name)
    again = attempt(ask, port, None, 60)
    report(answers == [b"odd", b"odd"] and running == "active" and again == b"odd", f"{name} answers, and again after a stop",
           f"{answers} {running} {again}\n{log_of(name)[-1500:]}")
    stop(name)
    run("systemctl", "stop", f"ctr@{name}.socket")

# --- a name without DNS

declare_listening(TREE, "named", ["/usr/bin/python3", "-m", "http.server", "80"], ['listen = "named.localhost:8530"\nport = 80'])
page = subprocess.run(["curl", "-s", "-m", "60", "http://named.localhost:8530/"], capture_output=True, text=True).stdout
report("Directory listing" in page and state("named") == "active", "a visit to NAME.localhost starts the container", f"{page[-300:]}\n{log_of('named')[-800:]}")
stop("named")
run("systemctl", "stop", "ctr@named.socket")

# --- UDP servers that ask where a datagram came to, and answer from there

PKTINFO = COMMON + """
s = made(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, 8, 1)
s.bind(("", 53))
while True:
    data, control, flags, peer = s.recvmsg(2000, 200)
    index, local, to = struct.unpack("=I4s4s", control[0][2])
    s.sendmsg([data + b" to " + socket.inet_ntoa(to).encode()], [(socket.IPPROTO_IP, 8, struct.pack("=I4s4s", 0, to, bytes(4)))], 0, peer)
"""
write_below(TREE, "/srv/pktinfo.py", PKTINFO)
declare_listening(TREE, "pktinfo", ["/usr/bin/python3", "/srv/pktinfo.py"], ['listen = "0.0.0.0:8540"\nport = 53\ntype = "datagram"'])
for address in ("127.0.0.1", "127.0.0.2"):
    answer = attempt(datagram, 8540, b"hello", address)
    report(answer == b"hello to " + address.encode(), f"a UDP server that answers from the address that was asked does so, {address}",
           f"{answer}\n{log_of('pktinfo')[-800:]}")
stop("pktinfo")
run("systemctl", "stop", "ctr@pktinfo.socket")

# --- connections of which one half is closed, or that are kept

SLOW = COMMON + """
s = listening()
while True:
    one, _ = s.accept()
    if os.fork() == 0:
        s.close()
        data = b""
        while got := one.recv(100):
            data += got
            if data.endswith(b"!"):
                one.sendall(b"once more")
        time.sleep(3)
        one.sendall(b"%d bytes" % len(data))
        os._exit(0)
    one.close()
"""
write_below(TREE, "/srv/slow.py", SLOW)
declare_listening(TREE, "slow", ["/usr/bin/python3", "/srv/slow.py"], ['listen = "127.0.0.1:8541"\nport = 80'], 'init = true\nidle-timeout = "500ms"')
with socket.create_connection(("127.0.0.1", 8541), 60) as one:
    one.settimeout(60)
    one.sendall(b"!")
    first = one.recv(100)
    time.sleep(2)
    one.sendall(b"!")
    second = one.recv(100)
    report((first, second) == (b"once more", b"once more"), "a connection that is kept and silent for longer than idle-timeout goes on", (first, second))
    one.shutdown(socket.SHUT_WR)
    answer = attempt(one.recv, 100)
    report(answer == b"2 bytes", "and after its client has said its last word, the server has its time to answer", f"{answer}\n{log_of('slow')[-600:]}")
report(wait_for(60, lambda: state("slow") == "inactive"), "then it stops", state("slow"))

LARGE = COMMON + """
s = listening()
while True:
    one, _ = s.accept()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    one.sendall(bytes(1 << 20))
    one.close()
"""
write_below(TREE, "/srv/large.py", LARGE)
declare_listening(TREE, "large", ["/usr/bin/python3", "/srv/large.py"], ['listen = "127.0.0.1:8542"\nport = 80'], 'idle-timeout = "300ms"')
with socket.socket() as one:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.settimeout(60)
    one.connect(("127.0.0.1", 8542))
    got = len(one.recv(4096))
    stopped = wait_for(20, lambda: state("large") == "inactive")
    while data := one.recv(65536):
        got += len(data)
report(got == 1 << 20, "what a server has sent and closed arrives whole, although its client reads slowly and it is idle by then", f"{got} {stopped}")
print(f"# it had {'stopped' if stopped else 'not stopped'} by then", flush=True)
