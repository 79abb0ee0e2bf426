#!/usr/bin/env python3
"""A container that can't start: its clients are told at once, its starts slow down, its port stays, its reasons are kept."""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from standby import *  # noqa: E402,F403

TREE = make_payload_tree()


def server(name, port, command, more=""):
    declare(name, f'rootfs = "{TREE}"\ncommand = {command}\n{more}\n[[socket]]\nlisten = "127.0.0.1:{port}"\nport = 80\n')


def try_once(port, patience=20):
    """What a client sees, and after how long."""
    before = time.monotonic()
    try:
        seen = ask(port, None, patience)
    except OSError as error:
        seen = type(error).__name__
    return seen, time.monotonic() - before


def starting(name):
    return log_of(name).count(f"Starting ctr@{name}.service")


server("missing", 8301, '["/no/such/program"]')
server("deaf", 8302, '["/payload", "deaf"]', 'ready-timeout = "1s"')
server("brief", 8303, '["/payload", "exit", "3"]')
server("parked", 8304, '["/no/such/program"]', 'standby = "created"')
server("good", 8305, '["/payload", "serve", "80"]')
run("ctrctl", "apply")

# --- one client

seen, took = try_once(8301)
report(seen == "ConnectionResetError" and took < 5, f"a client of a program that is not there is reset ({took * 1000:.0f} ms)", seen)
seen, took = try_once(8302)
report(seen == "ConnectionResetError" and took < 6, f"so is one of a program that never binds, when its time is up ({took * 1000:.0f} ms)", seen)
seen, took = try_once(8303)
report(seen == "ConnectionResetError" and took < 5, f"and one of a program that ends before it binds ({took * 1000:.0f} ms)", seen)
report(wait_for(10, lambda: "Created;" in unit("parked", "StatusText")), "what is created can't know yet that its program is not there")
seen, took = try_once(8304)
report(seen == "ConnectionResetError" and took < 5, f"its first client is reset, too ({took * 1000:.0f} ms)", seen)
report("/no/such/program" in log_of("missing"), "the reason is in the journal", log_of("missing"))

# --- a storm

before = starting("missing")
over = time.monotonic() + 6
seen = []


def storm():
    while time.monotonic() < over:
        seen.append(try_once(8301)[0])
        time.sleep(0.01)


threads = [threading.Thread(target=storm) for _ in range(10)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
report(set(seen) == {"ConnectionResetError"}, f"in a storm of {len(seen)} connections all are reset, none refused, none left to wait", set(seen))
begun = starting("missing") - before
report(1 <= begun <= 12, "in six seconds of it the program is tried a few times only", begun)
report(run("systemctl", "is-active", "ctr@missing.socket") == "active", "the port stays open",
       run("systemctl", "is-active", "ctr@missing.socket"))

# --- what is told of it

status = json.loads(run("ctrctl", "status", "--json", "missing", "good"))
starts_of_missing = status[0]["starts"]
report(starts_of_missing["failed"] >= begun and starts_of_missing["succeeded"] == 0, "'ctrctl status' counts the failures", status[0])
report("/no/such/program" in starts_of_missing["failures"][-1]["reason"], "and has the last reasons", starts_of_missing)
report("/no/such/program" in run("ctrctl", "status", "missing"), "for people too", run("ctrctl", "status", "missing"))
report(try_once(8305)[0] == b"peer 127.0.0.1\n", "another container answers all the time")
report(wait_for(5, lambda: json.loads(run("ctrctl", "status", "--json", "good"))[0]["starts"]["succeeded"] == 1), "its start is counted",
       run("ctrctl", "status", "--json", "good"))
good = json.loads(run("ctrctl", "status", "--json", "good"))[0]
report(0 < good["starts"]["p50_us"] <= good["starts"]["p99_us"] < 30e6, "and its time", good)
report(good["queued"] == 0, "nobody waits in its queue", good)
pid = unit("good", "MainPID")
os.kill(int(pid), 19)
held = [socket.create_connection(("127.0.0.1", 8305), 5) for _ in range(3)]
report(wait_for(5, lambda: json.loads(run("ctrctl", "status", "--json", "good"))[0]["queued"] >= 2), "those that wait in the queue are counted",
       run("ctrctl", "status", "--json", "good"))
os.kill(int(pid), 18)
for one in held:
    one.close()

# --- and then it is mended

server("missing", 8301, '["/payload", "serve", "80"]')
run("ctrctl", "apply")
answers = []
report(wait_for(15, lambda: answers.append(try_once(8301)[0]) or answers[-1] == b"peer 127.0.0.1\n"), "what was mended answers", answers)
report(json.loads(run("ctrctl", "status", "--json", "missing"))[0]["starts"]["failures"][-1]["reason"] != "", "why it did not before is still known")
