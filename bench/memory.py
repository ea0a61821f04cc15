"""./dev bench memory: peak resident memory while `line` rows come in at 100,000 a second (T11).

Bodies of 1,000 lines (about 250 KB), one every 10 ms, for --seconds times three; 300,000
different lines in turn. The peak with `small` rows at full speed is part of ./dev bench growth.
"""
import os
import shutil
import time

from data import make_batches
from fleet import BODY_LINES, Fleetlog
from measure import PeakMemory, machine, memory as memory_of, reset_peak, wait_quiet
from peers.http import Connection

ROWS_PER_S = 100000
DIFFERENT = 300000


def paced(port, bodies, seconds):
    """rows a second that went in"""
    connection, sent = Connection(port), 0
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        ahead = sent * BODY_LINES / ROWS_PER_S - (time.perf_counter() - started)
        if ahead > 0:
            time.sleep(ahead)
        connection.request("POST", "/api/v1/ingest", bodies[sent % len(bodies)],
                           {"Content-Type": "application/x-ndjson"})
        sent += 1
    return sent * BODY_LINES / (time.perf_counter() - started)


def memory(args):
    directory = os.path.join(args.scratch, "engine-fleetlog")
    folder = os.path.join(args.scratch, "line-batches")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(folder, exist_ok=True)
    paths, _ = make_batches(folder, DIFFERENT, BODY_LINES)
    bodies = []
    for path in paths:
        with open(path, "rb") as f:
            bodies.append(f.read())
    shutil.rmtree(folder)
    server = Fleetlog(args.bin)
    server.start(directory)
    try:
        reset_peak(server.pid)
        with PeakMemory(server.pid) as peak:
            rate = paced(server.port, bodies, args.seconds * 3)
            wait_quiet(server.pid)
        line = {"rows_per_s": rate, "peak_mib": peak.mib,
                "rss_mib": memory_of(server.pid)["VmRSS"]}
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
    print("line       %s" % "  ".join("%s=%.4g" % kv for kv in line.items()), flush=True)
    return {"machine": machine(), "line": line}
