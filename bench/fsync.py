"""./dev bench fsync: the same server with syncing and without (T15), in turns, on the same lines.

batches: bodies of 1,000 lines on 4 connections; singles: one line a request on 64 connections.
"""
import os
import shutil
import statistics

from data import make_batches, text_set
from fleet import Fleetlog, run_load
from measure import machine

ROUNDS = 3


def rows_per_s(args, path, bodies, unsynced):
    """(batches, singles) of one fresh server"""
    directory = os.path.join(args.scratch, "engine-fleetlog")
    shutil.rmtree(directory, ignore_errors=True)
    server = Fleetlog(args.bin, *(["--no-fsync"] if unsynced else []))
    server.start(directory)
    try:
        seconds = server.send(path)["seconds"]
        got = run_load(args.bin, server.port, "/api/v1/ingest", 64, min(args.seconds, 5), bodies)
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return args.rows / seconds, got["requests"] / got["seconds"]


def fsync(args):
    path = text_set("line", args.scratch, args.rows, None)
    folder = os.path.join(args.scratch, "singles")
    os.makedirs(folder, exist_ok=True)
    bodies, _ = make_batches(folder, 64, 1)
    out = {"machine": machine(), "rows": args.rows}
    out.update({name: {"synced": [], "unsynced": []} for name in ("batches", "singles")})
    for _ in range(ROUNDS):
        for how in ("synced", "unsynced"):
            for name, rate in zip(("batches", "singles"),
                                  rows_per_s(args, path, bodies, how == "unsynced")):
                out[name][how].append(rate)
    for name in ("batches", "singles"):
        synced, unsynced = (statistics.median(out[name][k]) for k in ("synced", "unsynced"))
        print("%-10s %8.0f rows/s synced, %8.0f not: %.2f" % (name, synced, unsynced,
                                                            synced / unsynced), flush=True)
    return out
