"""The kill judge: kill -9 under load, again and again, each time after some acknowledgements, few or
many, at no particular moment; after each restart the store is compared with what the writers were told.

    FLEETLOG_BIN=build/... python3 tests/crash/judge.py --cycles 2000
    ... --volatile build/.../libvolatile.so     the disk cache dies with the process
    ... --plant no-fsync | ack-early            a server with that bug: the judge must object

Two of the writers also send batches of more than a MiB, which the store keeps in files of their own.
A fifth of the others has an Idempotency-Key; after the restart what was not answered is sent again.

What it holds the server to: every acknowledged batch is there; nothing twice; no batch in part; nothing
that was not sent, or with another text; sequence numbers unique; every restart succeeds unaided. Exit 0 when all of it held,
1 with the reason when it did not."""
import argparse
import os
import random
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import fleetlog  # noqa: E402
from ledger import Objection, Writer, check_cycle, repeat_keyed  # noqa: E402


def run(cycles, writers, seed, volatile=None, plant=None, data_dir=None, progress=None, args=()):
    """Returns {cycles, rows, acked, large, refused}; raises Objection."""
    env = {}
    if volatile:
        env["LD_PRELOAD"] = volatile
    args = list(args) + (["--" + plant] if plant else [])
    rng = random.Random(seed)
    own = data_dir is None
    data_dir = data_dir or tempfile.mkdtemp(prefix="fleetlog-kill-")
    server = fleetlog.Server(*args, data_dir=data_dir, env=env)
    total = {"cycles": 0, "rows": 0, "acked": 0, "large": 0, "refused": 0}
    highest = 0
    try:
        server.start()
        for cycle in range(cycles):
            group = [Writer(server.port, cycle, i, rng.random(), large=0.5 * (i >= writers - 2), keyed=0.2)
                     for i in range(writers)]
            for w in group:
                w.start()
            enough = rng.randrange(60)  # of work, not of time: machines differ
            fleetlog.wait_until(lambda: sum(len(w.acked) for w in group) >= enough
                                or not any(w.is_alive() for w in group), 60, "acknowledgements")
            time.sleep(rng.uniform(0, 0.02))
            server.kill()
            for w in group:
                w.join(30)
            try:
                server.start()
            except AssertionError as e:
                raise Objection("cycle %d: does not start again: %s" % (cycle, e))
            repeat_keyed(server, group, rng)
            rows, acked, highest = check_cycle(server, cycle, group, highest)
            total["cycles"] += 1
            total["rows"] += rows
            total["acked"] += acked
            total["large"] += sum(w.acked_large for w in group)
            total["refused"] += sum(w.refused for w in group)
            if progress and (cycle + 1) % progress == 0:
                print(total, flush=True)
        r = server.get("/api/v1/query", query={"q": "cycle:* | count"}, timeout=300)
        if r.status != 200:
            raise Objection("final count: %r" % r)
        count = list(r.json()["rows"][0].values())[0]
        if count != total["rows"]:
            raise Objection("%s rows at the end, %s were seen" % (count, total["rows"]))
        return total
    finally:
        if server.process:
            server.process.kill()
            server.process.wait()
        if own:
            shutil.rmtree(data_dir, ignore_errors=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cycles", type=int, default=200)
    p.add_argument("--writers", type=int, default=8)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--volatile", help="path of the volatile-cache library")
    p.add_argument("--plant", choices=("no-fsync", "ack-early"))
    o = p.parse_args()
    began = time.monotonic()
    try:
        total = run(o.cycles, o.writers, o.seed, o.volatile, o.plant, progress=100)
    except Objection as e:
        print("OBJECTION: %s" % e)
        sys.exit(1)
    print("%(cycles)d cycles, %(acked)d batches acknowledged (%(large)d large), %(rows)d rows, %(refused)d refused: "
          "0 lost, 0 twice, 0 in part" % total, "(%.0f s)" % (time.monotonic() - began))


if __name__ == "__main__":
    main()
