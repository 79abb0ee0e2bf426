#!/usr/bin/env python3
"""What the bus drops: who has a full queue there does not get the bus' own answers either, and nobody is told. ctrd asks it
who calls; a call whose answer was dropped is done all the same, and of one whose caller has left nothing is held."""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from rawbus import Body, Bus, ERROR  # noqa: E402
from standby import declare, descriptors_of, forget_all, report, run, unit, wait_for  # noqa: E402

LARGE = 1 << 20  # more than a socket holds, so the bus can't get rid of it


def pid_of(service):
    return int(run("systemctl", "show", "--value", "-p", "MainPID", service))


def send(bus, member, signature, *values, fds=()):
    bus.send(bus.message("io.ctrd1", "/io/ctrd1", "io.ctrd1.Manager", member, signature, fds=list(fds),
                         body=bytes(Body().add(signature, *values).data)), list(fds))


def drop_answer(bus, member, fds):
    """`member` of `web`, and the bus' answer to what ctrd asks about it is dropped."""
    ctrd, daemon = pid_of("ctrd.service"), pid_of("dbus.service")
    fillers = [Bus() for _ in range(6)]
    for filler in fillers:
        filler.socket.settimeout(5)
    null = os.open("/dev/null", os.O_RDONLY)
    os.kill(ctrd, signal.SIGSTOP)
    try:
        send(bus, member, "s", "web", fds=fds)
        time.sleep(0.3)  # until it is in ctrd's socket
        for filler in fillers:  # each with 16 descriptors; the bus lets 64 wait, and the next one
            send(filler, "GetContainer", "s", "x" * LARGE, fds=[null] * 16)
        time.sleep(0.5)
        os.kill(daemon, signal.SIGSTOP)
        os.kill(ctrd, signal.SIGCONT)  # it asks who calls
        time.sleep(0.5)
        os.kill(ctrd, signal.SIGSTOP)
        os.kill(daemon, signal.SIGCONT)  # and is answered where there is no room
        time.sleep(0.5)
    finally:
        os.kill(daemon, signal.SIGCONT)
        os.kill(ctrd, signal.SIGCONT)
        os.close(null)
    for filler in fillers:
        filler.close()


run("bash", "-c", '. "$CTRD_SOURCE/tests/integration/lib.sh"; make_busybox_tree /srv/tree')
declare("web", 'rootfs = "/srv/tree"\nstart = "manual"\ncommand = ["/bin/sh", "-c", "trap \\"exit 0\\" TERM; while :; do sleep 0.05; done"]\n')
run("systemctl", "daemon-reload")
Bus().call("io.ctrd1", "/io/ctrd1", "io.ctrd1.Manager", "ListContainers")
pid = pid_of("ctrd.service")

caller = Bus()
caller.socket.settimeout(90)
stray = os.open("/dev/zero", os.O_RDONLY)
begin = time.monotonic()
drop_answer(caller, "StartContainer", [stray])
time.sleep(0.5)
report(unit("web", "ActiveState") != "active" and "/dev/zero" in descriptors_of(pid), "the bus has dropped its answer",
       (unit("web", "ActiveState"), descriptors_of(pid)))
reply = caller.receive()
while reply.kind not in (ERROR, 2):
    reply = caller.receive()
report(reply.kind == 2 and unit("web", "ActiveState") == "active", "the call is done all the same",
       (reply.kind, reply.error, reply.text, time.monotonic() - begin))
report(time.monotonic() - begin < 30, "after seconds", time.monotonic() - begin)

drop_answer(caller, "StopContainer", [stray])
time.sleep(0.3)
report("/dev/zero" in descriptors_of(pid), "another call waits", descriptors_of(pid))
caller.close()
os.close(stray)
report(wait_for(40, lambda: "/dev/zero" not in descriptors_of(pid)), "when its caller has left nothing of it is held",
       descriptors_of(pid))
report(pid_of("ctrd.service") == pid, "it is the same ctrd", run("systemctl", "status", "ctrd.service"))
subprocess.run(["systemctl", "stop", "ctr@web.service"], check=True)
forget_all()
