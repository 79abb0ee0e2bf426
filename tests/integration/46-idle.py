#!/usr/bin/env python3
"""idle-timeout: a container that nobody is connected to is stopped, and no connection is lost by it. CTRD_TEST_CYCLES is
how many connections come at random moments, to several containers at once, without and with ctrd being killed; with 2700 of them
it takes some ten minutes (CTRD_TEST_TIMEOUT=1500), and there are thousands of idle stops."""
import os
import random
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from standby import *  # noqa: E402,F403

CYCLES = int(os.environ.get("CTRD_TEST_CYCLES", "60"))
SEED = int(os.environ.get("CTRD_TEST_SEED", str(random.randrange(10 ** 6))))
random.seed(SEED)

TREE = make_payload_tree()
SYSTEM = make_system_tree()
with open(f"{SYSTEM}/etc/nginx.test", "w") as file:
    file.write("daemon off; worker_processes 2; pid /tmp/pid; error_log stderr; events {}\n"
               "http { access_log off; server { listen 80; return 200 'fine'; } }\n")


def server(name, port, more=""):
    declare(name, f'rootfs = "{TREE}"\ncommand = ["/payload", "serve", "80"]\n{more}\n'
                  f'[[socket]]\nlisten = "127.0.0.1:{port}"\nport = 80\n')


def nginx(name, port, more=""):
    declare(name, f'rootfs = "{SYSTEM}"\ncommand = ["/usr/sbin/nginx", "-c", "/etc/nginx.test"]\nstop-signal = "SIGQUIT"\n'
                  f'{more}\n[[socket]]\nlisten = "127.0.0.1:{port}"\nport = 80\n')


IDLES = {"idle": 8101} | {f"idle{i}": 8110 + i for i in range(7)}
WEBS = {"web": 8102} | {f"web{i}": 8120 + i for i in range(5)}
for name, port in IDLES.items():
    server(name, port, 'idle-timeout = "300ms"')
for name, port in WEBS.items():
    nginx(name, port, 'idle-timeout = "200ms"\nrestart = "always"')
nginx("soft", 8103, 'idle-timeout = "300ms"\nidle-stop = "graceful"')
server("old", 8104, 'max-lifetime = "1s"')
server("plain", 8105)
PATH = "/run/ctrd-idle.sock"
declare("path", f'rootfs = "{SYSTEM}"\ncommand = ["/usr/bin/redis-server", "--port", "0", "--save", "", "--unixsocket", "/tmp/redis.sock"]\n'
                f'idle-timeout = "1s"\n[[socket]]\nlisten = "{PATH}"\npath = "/tmp/redis.sock"\n')
run("ctrctl", "apply")

# --- one stop

report(ask(8101) == b"peer 127.0.0.1\n", "a container with an idle-timeout answers its first connection")
report(wait_for(15, lambda: state("idle") == "inactive"), "it stops when nobody is connected", state("idle"))
report(unit("idle", "Result") == "success", "that is no failure", unit("idle", "Result"))
report(wait_for(5, lambda: nothing_left("idle")), "it leaves nothing behind")
report(ask(8101) == b"peer 127.0.0.1\n", "its next connection starts it again")

with socket.create_connection(("127.0.0.1", 8102), 20) as held:
    time.sleep(1.5)
    report(state("web") == "active", "a connection that is open keeps it running", state("web"))
    held.sendall(HTTP)
    held.settimeout(20)
    report(held.recv(4096).startswith(b"HTTP/1.1 200"), "and is answered by the same run")
report(wait_for(15, lambda: state("web") == "inactive"), "it stops when that one has gone", state("web"))
report(unit("web", "NRestarts") == "0", "restart = \"always\" does not mean an idle stop", unit("web", "NRestarts"))

for _ in range(8):
    ask(8102, HTTP)
    time.sleep(0.1)
report(starts("web") <= 3, "connections that come and go within the timeout keep it running", starts("web"))

report(ask(8103, HTTP).endswith(b"fine"), "a graceful one answers")
report(wait_for(15, lambda: state("soft") == "inactive"), "a graceful one stops")
report(unit("soft", "ExecMainCode") == "1", "by its own exit, not by a SIGKILL", unit("soft", "ExecMainCode"))

ask(8104)
report(wait_for(20, lambda: state("old") == "inactive"), "max-lifetime ends one")
ask(8105)

# --- a socket with a path

PING = b"PING\r\n"
report(ask_path(PATH, PING) == b"+PONG\r\n", "a container with a UNIX socket and an idle-timeout answers")
report(wait_for(60, lambda: state("path") == "inactive"), "it stops when nobody is connected", state("path"))
with socket.socket(socket.AF_UNIX) as held:
    held.settimeout(60)
    held.connect(PATH)
    held.sendall(PING)
    report(held.recv(100) == b"+PONG\r\n", "its next connection starts it again")
    pid = unit("path", "MainPID")
    time.sleep(3)
    report(unit("path", "MainPID") == pid, "a connection that is open keeps it running")
elsewhere = subprocess.Popen(["unshare", "-n", "python3", "-c", f"""import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.connect("{PATH}"); s.sendall(b"PING\\r\\n"); print(s.recv(100), flush=True); sys.stdin.read()"""],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
report("PONG" in elsewhere.stdout.readline(), "a client of another network is answered")
pid = unit("path", "MainPID")
time.sleep(3)
report(unit("path", "MainPID") == pid and state("path") == "active", "and keeps it running, too, although no sock_diag of this network shows it")
elsewhere.communicate("")
report(wait_for(60, lambda: state("path") == "inactive"), "it stops when that one has gone", state("path"))

# --- what somebody has paused is not idle

ask(8101)
run("ctrctl", "pause", "idle")
time.sleep(1.2)
report(state("idle") == "active", "one that was paused is not stopped when its idle-timeout is over", state("idle"))
run("ctrctl", "resume", "idle")
report(wait_for(15, lambda: state("idle") == "inactive"), "but when it was resumed", state("idle"))

# --- no connection is lost


def connect_at_random(port, request, good, count, timeout):
    """How many were not answered as they should be."""
    bad = []
    for _ in range(count):
        # Around the moment at which it stops: some come before, some while, some after.
        time.sleep(random.choice([random.uniform(0.9, 1.8) * timeout, random.uniform(0, 0.4) * timeout]))
        try:
            answer = ask(port, request, hesitate=random.choice([0, random.uniform(0, timeout)]) if request else 0)
            if not answer.endswith(good):
                bad.append(f"answer {answer[-40:]!r}")
        except OSError as error:
            bad.append(repr(error))
    return bad


def connect_everywhere(containers, request, good, total, timeout):
    """So many, to all of them at once. Those that went wrong, and how often the containers have started."""
    bad, before = [], sum(starts(name) for name in containers)
    each = max(1, total // len(containers))
    threads = [threading.Thread(target=lambda port=port: bad.extend(connect_at_random(port, request, good, each, timeout)))
               for port in containers.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return bad, sum(starts(name) for name in containers) - before


begin = time.monotonic()
bad, stops = connect_everywhere(WEBS, HTTP, b"fine", CYCLES, 0.2)
report(bad == [], f"{CYCLES} connections around the idle stops of nginx: none refused, none reset (seed {SEED})", bad)
report(stops >= CYCLES / 6, "they have been stopped and started meanwhile", stops)
print(f"# {stops} starts in {CYCLES} connections, {time.monotonic() - begin:.0f} s", flush=True)

begin = time.monotonic()
with Killer() as killer:
    bad, stops = connect_everywhere(IDLES, None, b"peer 127.0.0.1\n", 2 * CYCLES, 0.3)
report(bad == [], f"{2 * CYCLES} more while ctrd is killed again and again: none refused, none reset (seed {SEED})", bad)
report(killer.kills >= 3, "ctrd was killed at least three times meanwhile", killer.kills)
report(stops >= CYCLES / 10, "and they have been stopped and started all the same", stops)
print(f"# {killer.kills} kills, {stops} starts in {2 * CYCLES} connections, {time.monotonic() - begin:.0f} s", flush=True)
report(wait_for(30, lambda: state("idle") == "inactive"), "it still stops when nobody is connected")

report(state("plain") == "active", "one without an idle-timeout has not been stopped")
