"""The power-cut judge: a server whose disk loses its power under load, again and again. The disk
(powercut.c) keeps writes in a volatile cache until they are flushed; at the cut each 512-byte sector of
the cache survives or not by a draw. After every cut the server is started on what survived, and that
is compared with what its clients had been told.

    ./dev powercut --cycles 500 --seed 1        (needs root; says what is missing otherwise)
    ./dev powercut --plant no-fsync | ack-early | lying-disk      the judge must object

The power fails at no particular moment, at the n-th write or flush from one on, or at the n-th after
the server began to write a segment, a log file, the manifest or a list of deleted entries. In a third
of the cycles it fails once more while the server starts again. Everything but the timing of threads is
drawn from the seed and the number of the cycle.

Clients: six writers (two with a batch of more than a MiB now and then, a fifth of the batches with an
Idempotency-Key), one that reads and marks entries, one that stores old entries and deletes them. Every
20 cycles the disk is formatted anew; in every fourth of these lives --max-disk deletes what is oldest,
and what is below all numbers that are left may be gone.

Held against the server: what was acknowledged is there, once, whole, with its text and its sequence
numbers; so is what a query had shown; what is there was sent; no number is used twice; marks stay;
deleted entries stay deleted, and one deletion is done whole or not at all; earlier cycles stay as they
were; `fleetlog verify` finds the store sound as the crash left it; the start needs
nobody and is over in time. Exit 0 when all of it held, 1 with the reason when not."""
import argparse
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import fleetlog  # noqa: E402
from blockdev import Disk, missing  # noqa: E402
from ledger import (Objection, Writer, answer_of, check_batch, check_cycle, gather,  # noqa: E402
                    read_rows, repeat_keyed, rows_of, Batch)

WRITERS = 6
LIFE = 20                # cycles on one file system
OLD = -1                 # the cycle of entries that are there to be deleted
OLD_TIME = "2020-02-02T00:00:00Z"
KEEPER = 90              # its number as a writer
CYCLE_BYTES = 8 << 20    # what the writers send at most
MAX_DISK = 16 << 20
SERVER = ["--memtable", "96KiB", "--disk-reserve", "4MiB", "--workers", "2", "--query-threads", "1"]
CUTS = ("now", "now", "write", "write", "flush", "flush", "flush",
        "segment", "segment", "log", "manifest", "manifest", "deletion")


class Client(threading.Thread):
    """One that repeats step() on one connection until the server goes away, `stop` is set, or it has
    done `steps`."""

    steps = sys.maxsize

    def __init__(self, port, rng):
        super().__init__(daemon=True)
        self.port, self.rng, self.stop = port, rng, threading.Event()

    def run(self):
        self.conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            while self.steps and not self.stop.is_set() and self.step():
                self.steps -= 1
        except (OSError, http.client.HTTPException, ValueError):
            pass
        finally:
            self.conn.close()

    def call(self, method, path, body=None, headers=None):
        self.conn.request(method, path, body, headers or {})
        return self.conn.getresponse()


class Marker(Client):
    """Reads a few of the newest entries of the cycle and marks them as resolved."""

    def __init__(self, port, rng, cycle):
        super().__init__(port, rng)
        self.cycle = cycle
        self.seen = {}  # (writer, batch, i): seq, as a query showed them
        self.asked, self.marked = set(), set()  # sequence numbers

    def step(self):
        r = self.call("POST", "/api/v1/query",
                      json.dumps({"q": "cycle=%d resolved:false" % self.cycle,
                                  "limit": self.rng.randrange(1, 6)}))
        rows = json.loads(r.read())["rows"]
        for row in rows:
            a = row["attributes"]
            self.seen[int(row["agent"][1:]), a["batch"], a["i"]] = row["seq"]
        if not rows:
            return not self.stop.wait(0.005)
        seqs = {row["seq"] for row in rows}
        self.asked |= seqs
        r = self.call("POST", "/api/v1/resolve",
                      json.dumps({"ids": [row["id"] for row in rows], "by": "judge"}))
        if r.status == 200 and json.loads(r.read())["resolved"] == len(rows):
            self.marked |= seqs
            return True
        return False


class Keeper(Client):
    """Stores entries of long ago and deletes them. `old` is {number: [Batch, state]}, which outlives
    the cycle: `maybe` and `there` as for any batch, `going` when a deletion was asked for, `gone` when
    it was answered."""

    def __init__(self, port, rng, old):
        super().__init__(port, rng)
        self.old, self.going = old, []  # going: one list of numbers a deletion that was not answered

    def step(self):
        if self.rng.random() < 0.25:
            return self.delete()
        number, n = len(self.old), self.rng.choice((1, 3, 10))
        body = rows_of(OLD, KEEPER, number, ["old row %d of %d" % (i, number) for i in range(n)],
                       timestamp=OLD_TIME)
        entry = self.old[number] = [Batch(n, False, None, body), "maybe"]
        answer = answer_of(self.call("POST", "/api/v1/ingest", body), n)
        if answer:
            entry[0].seqs, entry[1] = answer[:2], "there"
        return bool(answer)

    def delete(self):
        numbers = [k for k, (_, state) in self.old.items() if state == "there"]
        for k in numbers:
            self.old[k][1] = "going"
        r = self.call("DELETE", "/prune?days=30")
        r.read()
        if r.status != 200:
            return False
        for k in numbers:
            self.old[k][1] = "gone"
        return True


class Life:
    """What is known of the store on one file system."""

    def __init__(self, shrinks):
        self.shrinks = shrinks  # --max-disk is set
        self.rows = {}          # cycle: rows
        self.old = {}
        self.marked = set()
        self.highest = 0


class Power:
    """Runs the cycles on one disk. total: what is printed at the end."""

    def __init__(self, disk, seed, plant=None, start_seconds=None):
        self.disk, self.seed, self.plant = disk, seed, plant
        self.start_seconds = start_seconds
        self.total = dict.fromkeys(("cycles", "acked", "rows", "large", "repeated", "marks", "deleted",
                                    "unacked", "second", "in_start"), 0)
        self.slowest, self.cuts, self.sectors = 0.0, {}, [0, 0]
        self.server, self.cycle = None, 0

    # ---- the server ----
    def serve(self, life):
        args = SERVER + (["--max-disk", str(MAX_DISK)] if life.shrinks else [])
        if self.plant in ("no-fsync", "ack-early"):
            args = args + ["--" + self.plant]
        return fleetlog.Server(*args, data_dir=os.path.join(self.disk.mnt, "data"))

    def verify(self):
        if self.plant:
            return  # it would object first, and the comparison is what is put to the test
        done = subprocess.run([fleetlog.BIN, "verify", "--data-dir", self.server.data_dir],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise Objection("cycle %d: verify: %s" % (self.cycle,
                                                      done.stdout.decode("utf-8", "replace")))

    def start(self):
        began = time.monotonic()
        try:
            self.server.start()
        except AssertionError as e:
            raise Objection("cycle %d: does not start again: %s" % (self.cycle, e))
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        if self.start_seconds and took > self.start_seconds:
            raise Objection("cycle %d: the start took %.1f s" % (self.cycle, took))

    def power_on(self, seed, keep):
        try:
            self.disk.on(seed, keep)
        except OSError as e:
            raise Objection("cycle %d: the file system is lost: %s" % (self.cycle, e))

    # ---- one cycle ----
    def files(self, what):
        """What of the store's files changes when it begins to write one of that kind."""
        found = []
        for folder, _, names in os.walk(self.server.data_dir):
            for name in names:
                if what == "segment" and ".seg" in name or what == "deletion" and ".dead" in name:
                    found.append(name)
                elif what == "log" and name.endswith(".wal"):
                    found.append(name)
                elif what == "manifest" and name.startswith("MANIFEST"):
                    found.append((name, os.stat(os.path.join(folder, name)).st_size))
        return set(found)

    def work(self, rng, life):
        """Load until the power has failed. Returns the clients."""
        port = self.server.port
        writers = [Writer(port, self.cycle, i, rng.random(), large=0.04 * (i >= WRITERS - 2), keyed=0.2,
                          noise=rng.choice((0, 300)), easily_put_off=True, most=CYCLE_BYTES // WRITERS)
                   for i in range(WRITERS)]
        marker = Marker(port, random.Random(rng.random()), self.cycle)
        keeper = Keeper(port, random.Random(rng.random()), {} if life.shrinks else life.old)
        clients = writers + [marker] + ([] if life.shrinks else [keeper])
        for c in clients:
            c.start()
        self.cut(rng, writers, life.shrinks)
        # an answer that is given now, without power, is one the server has to keep
        deadline = time.monotonic() + 0.1
        while time.monotonic() < deadline and any(c.is_alive() for c in clients):
            time.sleep(0.005)
        for c in clients:
            c.stop.set()
        self.server.kill()
        for c in clients:
            c.join(30)
        return writers, marker, keeper

    def cut(self, rng, writers, shrinks):
        """Decides when the power fails, and waits for it."""
        kind, enough = rng.choice(CUTS[:-1] if shrinks else CUTS), rng.randrange(rng.choice((30, 100, 100, 500)))
        n = {"write": rng.randrange(1, 100), "flush": rng.randrange(1, 30)}.get(kind,
                                                                                rng.randrange(1, 10))
        if self.plant == "lying-disk":
            kind, n = "lie", rng.randrange(1, 10)

        def enough_work():
            return sum(len(w.acked) for w in writers) >= enough or self.over(writers)
        fleetlog.wait_until(enough_work, 60, "acknowledgements")
        order = kind
        if kind in ("segment", "log", "manifest", "deletion"):
            before = self.files(kind)
            order = rng.choice(("now", "write", "flush"))
            fleetlog.wait_until(lambda: self.files(kind) != before or self.over(writers), 60, kind)
        self.disk.order("%s %d" % (order, n))
        try:
            fleetlog.wait_until(lambda: self.disk.dead() or self.over(writers), 20, "the cut")
        except AssertionError:
            pass
        if not self.disk.dead():
            self.disk.order("now")

    def note_cut(self):
        """What the disk says of its end; nothing when it was asked for nothing after the order."""
        done = self.disk.told()
        where = done.get("during", "idle")
        self.cuts[where] = self.cuts.get(where, 0) + 1
        for i, name in enumerate(("unflushed", "survived")):
            self.sectors[i] += done.get(name, 0)

    @staticmethod
    def over(writers):
        return not any(w.is_alive() for w in writers)

    def cut_in_start(self, rng, seed):
        """Starts the server on what survived, and the power fails again meanwhile."""
        self.power_on(seed, rng.choice((0, 50, 50, 100)))
        self.disk.order("%s %d" % (("write", rng.randrange(1, 30)) if rng.random() < 0.5 else
                                   ("flush", rng.randrange(1, 8))))
        self.server.start(wait=False)

        def ready():
            try:
                return self.server.get("/ready", timeout=5).status == 200
            except (OSError, http.client.HTTPException):
                return False
        fleetlog.wait_until(lambda: self.disk.dead() or self.server.process.poll() is not None
                            or ready(), 60, "a cut or a start")
        self.total["second"] += 1
        self.total["in_start"] += self.disk.dead()
        if not self.disk.dead():
            self.disk.order("now")
        self.server.kill()
        self.disk.off()

    # ---- the judgement ----
    def check(self, life, writers, marker, keeper, rng):
        self.check_integrity()
        unacked = sum(len(w.sent) - len(w.acked) for w in writers)
        repeated = repeat_keyed(self.server, writers, rng)
        floor = self.floor(life)
        rows, acked, life.highest = check_cycle(self.server, self.cycle, writers, life.highest, floor)
        stored = {row["seq"]: (int(row["agent"][1:]), row["attributes"]["batch"], row["attributes"]["i"])
                  for row in read_rows(self.server, "cycle=%d" % self.cycle)}
        for key, seq in marker.seen.items():
            if stored.get(seq) != key and seq >= floor:
                raise Objection("cycle %d: row %s, number %d, was shown and is lost"
                                % (self.cycle, key, seq))
        life.rows[self.cycle] = rows
        self.check_marks(life, marker, floor)
        self.check_earlier(life)
        if not life.shrinks:
            self.check_old(life, keeper)
        for name, n in (("cycles", 1), ("acked", acked), ("rows", rows), ("unacked", unacked),
                        ("repeated", repeated), ("large", sum(w.acked_large for w in writers)),
                        ("marks", len(marker.marked))):
            self.total[name] += n

    def check_integrity(self):
        """No damage, and no gap but the numbers of what was never acknowledged."""
        r = self.server.get("/api/v1/integrity")
        a = r.json()
        if self.plant:
            return
        if a["corruptions"] or a["writer_failed"] or \
                any(gap["reason"] != "unacknowledged tail of the log" for gap in a["gaps"]):
            raise Objection("cycle %d: integrity: %r" % (self.cycle, r))

    def floor(self, life):
        """The lowest number there is where --max-disk has taken what was older, else 0."""
        if not life.shrinks:
            return 0
        rows = read_rows(self.server, "cycle:* | stats min(seq) as low")
        return rows[0]["low"] or 0 if rows else 0

    def check_marks(self, life, marker, floor):
        life.marked = marker.marked if life.shrinks else life.marked | marker.marked
        found = {row["seq"] for row in read_rows(self.server, "cycle:* resolved:true")}
        if any(seq >= floor for seq in life.marked - found):
            raise Objection("cycle %d: marks are lost: %s" % (self.cycle, sorted(life.marked - found)))
        mine = {row["seq"] for row in read_rows(self.server, "cycle=%d resolved:true" % self.cycle)}
        if mine - marker.asked:
            raise Objection("cycle %d: marks that nobody made: %s"
                            % (self.cycle, sorted(mine - marker.asked)))
        if not life.shrinks:
            life.marked |= mine

    def check_earlier(self, life):
        rows = read_rows(self.server, "cycle:* | stats count() as n by cycle | limit 1000")
        found = {row["cycle"]: row["n"] for row in rows if row["cycle"] != OLD}
        for cycle, n in life.rows.items():
            have = found.pop(cycle, 0)
            if have != n and not (life.shrinks and have < n):
                raise Objection("cycle %d: cycle %d has %d rows, had %d" % (self.cycle, cycle, have, n))
            life.rows[cycle] = have
        if found:
            raise Objection("cycle %d: rows of cycles that never were: %r" % (self.cycle, found))

    def check_old(self, life, keeper):
        """Old entries; what a deletion without an answer was about is all there or all gone."""
        what = "cycle %d: old batch %%d" % self.cycle
        stored, seqs = gather("cycle %d" % self.cycle, read_rows(self.server, "cycle=%d" % OLD))
        life.highest = max([life.highest, *seqs] + [b.seqs[1] for b, _ in life.old.values() if b.seqs])
        there = {number for _, number in stored}
        going = {k for k, (_, state) in life.old.items() if state == "going"}
        if going & there and going - there:
            raise Objection("cycle %d: a deletion is done in part: %s of %s are left"
                            % (self.cycle, sorted(going & there), sorted(going)))
        for (_, number), have in stored.items():
            if number not in life.old:
                raise Objection((what + " was never sent") % number)
            check_batch(what % number, life.old[number][0], have)
        for number, entry in life.old.items():
            if entry[1] == "gone" and number in there:
                raise Objection((what + " was deleted and is back") % number)
            if entry[1] == "there" and number not in there:
                raise Objection((what + ", acknowledged, is lost") % number)
            entry[1] = "there" if number in there else "gone"
        self.total["deleted"] += len(life.old) - len(there) - getattr(life, "gone", 0)
        life.gone = len(life.old) - len(there)

    # ---- all of it ----
    def run(self, cycles, first=0, progress=0):
        """Raises Objection; the image is then as the last cut left it, and the server runs on it."""
        life = None
        for self.cycle in range(first, first + cycles):
            rng = random.Random("%d/%d" % (self.seed, self.cycle))
            keep = rng.choice((0, 25, 50, 50, 50, 75, 100))
            if not life or self.cycle % LIFE == 0:
                self.end_life()
                life = Life(self.cycle // LIFE % 4 == 3)
                self.disk.format()
                self.power_on(rng.getrandbits(32), keep)
                self.server = self.serve(life)
                self.start()
            clients = self.work(rng, life)
            self.disk.off()
            self.note_cut()
            if rng.random() < 1 / 3:
                self.cut_in_start(rng, rng.getrandbits(32))
            # judged on the disk of the next cycle, so that its cut meets what recovery left
            following = random.Random("%d/%d" % (self.seed, self.cycle + 1))
            self.power_on(following.getrandbits(32), following.choice((0, 25, 50, 50, 50, 75, 100)))
            self.verify()
            self.start()
            self.check(life, *clients, rng)
            if progress and (self.cycle + 1) % progress == 0:
                print(self.summary(), flush=True)
        self.end_life()
        return self.total

    def end_life(self):
        if self.server:
            self.server.stop()
            self.verify()
            self.server = None
            self.disk.off()

    def summary(self):
        return ("%(cycles)d cycles (%(second)d with a second cut, %(in_start)d of these before the server "
                "was ready), %(acked)d batches acknowledged (%(large)d large, %(repeated)d sent again), "
                "%(rows)d rows, %(unacked)d without an answer, %(marks)d marks, %(deleted)d old batches "
                "deleted" % self.total
                + ", slowest start %.2f s, power failed during %s, %d sectors in the cache then, %d survived"
                % (self.slowest, self.cuts, *self.sectors))


def judge(plugin, cycles, seed, plant=None, first=0, start_seconds=None, progress=0, keep=None):
    """Returns the Power that ran; raises Objection. keep: folder for the image of an objection."""
    folder = tempfile.mkdtemp(prefix="fleetlog-powercut-")
    disk = Disk(plugin, folder)
    power = Power(disk, seed, plant, start_seconds)
    try:
        power.run(cycles, first, progress)
        return power
    except Objection:
        if keep:
            os.makedirs(keep, exist_ok=True)
            shutil.copy(disk.image, os.path.join(keep, "cycle-%d.image" % power.cycle))
            with open(os.path.join(keep, "cycle-%d.err" % power.cycle), "w") as f:
                f.write(power.server.err if power.server else "")
        raise
    finally:
        if power.server and power.server.process:
            power.server.process.kill()
            power.server.process.wait()
        disk.off()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    p = argparse.ArgumentParser(prog="./dev powercut", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cycles", type=int, default=100)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--first", type=int, default=0, help="number of the first cycle")
    p.add_argument("--plant", choices=("no-fsync", "ack-early", "lying-disk"))
    p.add_argument("--start-seconds", type=float, default=5, help="a start may take so long")
    p.add_argument("--keep", help="folder for the image that an objection is about")
    p.add_argument("--plugin", default=os.environ.get("FLEETLOG_POWERCUT", ""))
    o = p.parse_args()
    lacks = missing(o.plugin)
    if lacks:
        print("skipped: needs " + lacks)
        return
    began = time.monotonic()
    try:
        power = judge(o.plugin, o.cycles, o.seed, o.plant, o.first, o.start_seconds, 25, o.keep)
    except Objection as e:
        print("OBJECTION after %.0f s: %s" % (time.monotonic() - began, e))
        sys.exit(1)
    print(power.summary())
    print("0 lost, 0 twice, 0 in part (%.0f s)" % (time.monotonic() - began))


if __name__ == "__main__":
    main()
