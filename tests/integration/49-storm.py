#!/usr/bin/env python3
"""Many stopped containers, each hit by ten connections at the same moment. CTRD_TEST_CYCLES is how many containers (30)."""
import asyncio
import os
import sys
import time

sys.path.insert(0, os.path.join(os.environ["CTRD_SOURCE"], "tests/integration"))
sys.dont_write_bytecode = True
from standby import *  # noqa: E402,F403

COUNT = int(os.environ.get("CTRD_TEST_CYCLES", "30"))
EACH = 10
TREE = make_payload_tree()
names = [f"storm{i}" for i in range(COUNT)]
for i, name in enumerate(names):
    declare(name, f'rootfs = "{TREE}"\ncommand = ["/payload", "serve", "80"]\n\n'
                  f'[[socket]]\nlisten = "127.0.0.1:{9000 + i}"\nport = 80\n')
before = time.monotonic()
run("ctrctl", "apply")
print(f"# apply of {COUNT} took {time.monotonic() - before:.1f} s", flush=True)
report(all(state(name) == "inactive" for name in names[:5]), "nothing runs before")


async def client(port):
    begin = time.monotonic()
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 60)
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        return answer, time.monotonic() - begin
    except (OSError, asyncio.TimeoutError) as error:
        return repr(error), time.monotonic() - begin


async def storm():
    return await asyncio.gather(*(client(9000 + i) for i in range(COUNT) for _ in range(EACH)))


before = time.monotonic()
results = asyncio.run(storm())
took = time.monotonic() - before
bad = [(names[number // EACH], answer) for number, (answer, _) in enumerate(results) if answer != b"peer 127.0.0.1\n"]
report(bad == [], f"{COUNT} stopped containers hit by {EACH} connections each at once: all {len(results)} answered",
       f"{len(bad)}: {bad[:5]}\n{log_of(bad[0][0]) if bad else ''}")
times = sorted(time for _, time in results)
print(f"# {took:.2f} s in all; p50 {times[len(times) // 2]:.2f} s, p99 {times[len(times) * 99 // 100]:.2f} s", flush=True)
report(all(starts(name) == 1 for name in names[:10]), "each was started once", [starts(name) for name in names[:10]])
