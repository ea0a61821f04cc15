"""Kills the server in the n-th of its calls that change the disk, for n = 1 to the last of a small life:
batches, flushes, a merge, marks, deletions, an orderly end. It is started once more and killed in a
call of that start, then started for good and judged as after a power cut.

    ./dev everycall
    ./dev everycall --every 20      each 20th n only
    ./dev everycall --volatile      what was not synced dies with the process"""
import argparse
import os
import random
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import fleetlog  # noqa: E402
from ledger import Objection, Writer  # noqa: E402
from powercut import Keeper, Life, Marker, Power  # noqa: E402

SERVER = ["--memtable", "64KiB", "--workers", "1", "--query-threads", "1"]
LIBRARY = os.environ.get("FLEETLOG_NTHCALL", "")
VOLATILE = os.environ.get("FLEETLOG_VOLATILE", "")
START_CALLS = 24  # the second kill is in one of so many calls of the start, or not at all


class Server(fleetlog.Server):
    """Its calls are counted by the preloaded library; at: the one it dies in, 0 for none."""

    def begin(self, library, volatile, at, count=None):
        self.env["LD_PRELOAD"] = " ".join(filter(None, (library, volatile)))
        self.env["NTHCALL_AT"] = str(at)
        self.env["NTHCALL_COUNT"] = count or "/dev/null"
        try:
            self.start()
        except AssertionError:
            if self.process.poll() is None or not at:
                raise

    def finish(self):
        """An orderly end, or the end it has come to."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(60)
        self._join()
        self.check_stderr()
        self.process = None


def live(server, seed, old):
    """The same life each time, as far as threads let it: one client after the other."""
    rng = random.Random(seed)
    writers = [Writer(server.port, 0, i, rng.random(), large=0.02 * i, keyed=0.2, noise=300,
                      easily_put_off=True, most=most) for i, most in enumerate((500000, 1500000))]
    marker = Marker(server.port, random.Random(rng.random()), 0)
    keeper = Keeper(server.port, random.Random(rng.random()), old)
    marker.steps, keeper.steps = 3, 9
    for client in (writers[0], marker, keeper, writers[1]):
        client.run()
    return writers, marker, keeper


def cycle(library, volatile, n, seed, count=None):
    """One life that ends in call n, and its judgement; returns a Power with its totals."""
    folder = tempfile.mkdtemp(prefix="fleetlog-everycall-")
    rng = random.Random("%d/%d" % (seed, n))
    power, life = Power(None, seed), Life(False)
    server = power.server = Server(*SERVER, data_dir=os.path.join(folder, "data"))
    try:
        server.begin(library, volatile, n, count)
        clients = live(server, seed, life.old)
        server.finish()
        server.begin(library, volatile, rng.randrange(1, START_CALLS))
        server.kill()
        if os.path.exists(os.path.join(server.data_dir, "CURRENT")):
            power.verify()
        server.begin("", volatile, 0)
        power.check(life, *clients, rng)
        server.finish()
        power.verify()
        return power
    except (Objection, AssertionError) as e:
        raise Objection("call %d: %s\n%s" % (n, e, server.err[-2000:]))
    finally:
        if server.process:
            server.process.kill()
            server.process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def run(library, every=1, seed=1, volatile=None, progress=0):
    """Returns (calls of a whole life, lives, batches acknowledged); raises Objection."""
    with tempfile.NamedTemporaryFile() as f:
        acked = cycle(library, volatile, 0, seed, f.name).total["acked"]
        last = int(f.read())
    lives = 1
    for n in range(1 + seed % every, last + 1, every):
        acked += cycle(library, volatile, n, seed).total["acked"]
        lives += 1
        if progress and lives % progress == 0:
            print("call %d of %d" % (n, last), flush=True)
    return last, lives, acked


def main():
    p = argparse.ArgumentParser(prog="./dev everycall", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--every", type=int, default=1)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--volatile", action="store_true", help="with the volatile-cache library")
    o = p.parse_args()
    began = time.monotonic()
    try:
        last, lives, acked = run(LIBRARY, o.every, o.seed, VOLATILE if o.volatile else None, 50)
    except Objection as e:
        print("OBJECTION: %s" % e)
        sys.exit(1)
    print("%d lives of %d calls, %d batches acknowledged: 0 lost, 0 twice, 0 in part (%.0f s)"
          % (lives, last, acked, time.monotonic() - began))


if __name__ == "__main__":
    main()
