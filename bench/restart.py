"""./dev bench restart: from starting the program to the first answer (T12), page cache warm.

Orderly: after SIGTERM, median of five. Recovery: a memtable of 512 MiB keeps as many lines again in
the log only; kill -9 right after the last acknowledgement, and every row must be there.
"""
import glob
import os
import shutil
import statistics
import time

from data import text_set
from fleet import Fleetlog
from measure import machine, wait_quiet

AGAIN = 5
MEMTABLE = "512MiB"


def first_answer_ms(server, directory, rows):
    started = time.perf_counter()
    server.start(directory)
    if server.query("* | limit 1")[1]["count"] != 1:
        raise SystemExit("nothing found after the start")
    took = (time.perf_counter() - started) * 1000
    if server.entries() != rows:
        raise SystemExit("%d of %d rows are there after the start" % (server.entries(), rows))
    return took


def restart(args):
    directory = os.path.join(args.scratch, "engine-fleetlog")
    shutil.rmtree(directory, ignore_errors=True)
    path = text_set("line", args.scratch, args.rows, None)
    server = Fleetlog(args.bin)
    server.start(directory)
    try:
        server.load("lines", path)
        wait_quiet(server.pid)
        clean = []
        for _ in range(AGAIN):
            server.stop()
            clean.append(first_answer_ms(server, directory, args.rows))
        server.stop()
        server.options = ("--memtable", MEMTABLE)
        server.start(directory)
        server.load("lines", path)
        server.kill()
        log = sum(os.path.getsize(f) for f in glob.glob(os.path.join(directory, "wal", "*")))
        recovery = first_answer_ms(server, directory, 2 * args.rows)
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
    ms = statistics.median(clean)
    out = {"machine": machine(), "rows": args.rows, "clean_ms": ms, "clean_all_ms": clean,
           "recovery_ms": recovery, "log_bytes": log,
           "recovery_s_per_gib": max(0.0, recovery - ms) / 1000 / max(log / 2**30, 1e-9)}
    print("orderly %.1f ms; kill -9 with %.1f MiB of log %.1f ms, %.2f s/GiB" % (
        ms, log / 2**20, recovery, out["recovery_s_per_gib"]), flush=True)
    return out
