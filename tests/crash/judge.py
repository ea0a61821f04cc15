"""The kill judge: kill -9 under load, again and again, each time after some acknowledgements, few or
many, at no particular moment; after each restart the store is compared with what the writers were told.

    FLEETLOG_BIN=build/... python3 tests/crash/judge.py --cycles 2000
    ... --volatile build/.../libvolatile.so     the disk cache dies with the process
    ... --plant no-fsync | ack-early            a server with that bug: the judge must object

Two of the writers also send batches of more than a MiB, which the store keeps in files of their own.

What it holds the server to: every acknowledged batch is there; nothing twice; no batch in part; nothing
that was not sent, or with another text; sequence numbers unique; every restart succeeds unaided. Exit 0 when all of it held,
1 with the reason when it did not."""
import argparse
import base64
import http.client
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import fleetlog  # noqa: E402


class Objection(Exception):
    pass


class Writer(threading.Thread):
    """Posts batches of 1 to 40 rows on one connection until the server goes away."""

    LARGE_ROWS = 40
    LARGE_TEXT = 24000  # bytes of noise a row, which no packing shortens: 1.25 MiB a batch

    def __init__(self, port, cycle, number, seed, large):
        super().__init__(daemon=True)
        self.port, self.cycle, self.number = port, cycle, number
        self.rng = random.Random(seed)
        self.large = large
        self.sent, self.acked, self.refused = {}, set(), 0
        self.acked_large = 0

    def text(self, large, i, batch):
        noise = base64.b64encode(self.rng.randbytes(self.LARGE_TEXT)).decode() if large else ""
        return "row %d of batch %d%s" % (i, batch, noise)

    def run(self):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        batch = 0
        try:
            while True:
                large = self.large and self.rng.random() < 0.5
                n = self.LARGE_ROWS if large else self.rng.choice((1, 1, 2, 5, 40))
                rows = [{"agent": "w%d" % self.number, "message": self.text(large, i, batch),
                         "cycle": self.cycle, "batch": batch, "i": i, "size": n} for i in range(n)]
                for row in rows:
                    row["sum"] = zlib.crc32(row["message"].encode())
                self.sent[batch] = n
                conn.request("POST", "/api/v1/ingest", "\n".join(map(json.dumps, rows)))
                r = conn.getresponse()
                body = r.read()
                if r.status == 200 and json.loads(body)["accepted"] == n:
                    self.acked.add(batch)
                    self.acked_large += large
                else:
                    self.refused += 1
                batch += 1
        except (OSError, http.client.HTTPException, ValueError):
            pass
        finally:
            conn.close()


def check_cycle(server, cycle, writers, highest):
    """Compares what is stored of a cycle with what its writers know; returns rows and acknowledgements."""
    r = server.get("/api/v1/query", query={"q": "cycle=%d" % cycle, "limit": 1000000,
                                           "format": "ndjson"}, timeout=120)
    if r.status != 200:
        raise Objection("query after restart: %r" % r)
    stored, seqs = {}, set()
    for row in r.ndjson():
        a = row["attributes"]
        key = (int(row["agent"][1:]), a["batch"])
        if a["i"] in stored.setdefault(key, set()):
            raise Objection("cycle %d: row %s of batch %s is there twice" % (cycle, a["i"], key))
        stored[key].add(a["i"])
        if a["sum"] != zlib.crc32(row["message"].encode()):
            raise Objection("cycle %d: row %s of batch %s has another text" % (cycle, a["i"], key))
        if row["seq"] in seqs:
            raise Objection("cycle %d: sequence number %d given twice" % (cycle, row["seq"]))
        seqs.add(row["seq"])
    if seqs and min(seqs) <= highest:
        raise Objection("cycle %d: sequence numbers %d not above %d" % (cycle, min(seqs), highest))
    rows = acked = 0
    for w in writers:
        for batch in w.acked:
            acked += 1
            if (w.number, batch) not in stored:
                raise Objection("cycle %d: acknowledged batch %d of writer %d is lost"
                                % (cycle, batch, w.number))
    for (number, batch), have in stored.items():
        size = writers[number].sent.get(batch)
        rows += len(have)
        if size is None:
            raise Objection("cycle %d: batch %d was never sent" % (cycle, batch))
        if have != set(range(size)):
            raise Objection("cycle %d: batch %d of writer %d: %d of %d rows"
                            % (cycle, batch, number, len(have), size))
    return rows, acked, max(seqs, default=highest)


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
            group = [Writer(server.port, cycle, i, rng.random(), i >= writers - 2) for i in range(writers)]
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
