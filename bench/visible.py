"""./dev bench visible: from a write to its reader (T9), alone and while 64 MiB bodies are
uploaded.

One line every 20 ms; clocked from the first byte sent until (a) its answer, (b) a query that
finds it, asked when the answer is there, (c) the live tail that delivers it. Beside it: how long
the disk takes to sync 4 KiB, measured on the same file system before the server starts.
"""
import json
import os
import shutil
import statistics
import threading
import time

from data import lines
from fleet import Fleetlog, run_load
from measure import machine
from peers.http import Connection

EVERY_S = 0.02
UPLOAD_BYTES = 64 << 20


def fsync_ms(folder, times=200):
    """median of syncing 4 KiB appended to a file"""
    path, took = os.path.join(folder, "fsync-probe"), []
    with open(path, "wb", buffering=0) as f:
        for _ in range(times):
            f.write(b"\0" * 4096)
            started = time.perf_counter()
            os.fdatasync(f.fileno())
            took.append((time.perf_counter() - started) * 1000)
    os.remove(path)
    return statistics.median(took)


def upload_file(scratch):
    """one NDJSON body of 64 MiB"""
    path = os.path.join(scratch, "upload-64.ndjson")
    if not os.path.exists(path):
        with open(path + ".part", "w") as f:
            for row in lines(1 << 30):
                f.write(json.dumps(row, separators=(",", ":")) + "\n")
                if f.tell() >= UPLOAD_BYTES:
                    break
        os.rename(path + ".part", path)
    return path


class Reader(threading.Thread):
    """a live tail that notes when each write arrives"""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.events = server.server.sse("/api/v1/tail?q=agent:probe", timeout=60)
        self.arrived = {}

    def run(self):
        try:
            for event in self.events:
                now = time.perf_counter()
                if "data" in event:
                    self.arrived[json.loads(event["data"])["message"]] = now
        except (OSError, ValueError, AttributeError):
            pass  # the stream was closed


def write_and_ask(server, seconds, word):
    """{message: (sent, answered, found)} of a line every 20 ms"""
    connection, out = Connection(server.port), {}
    until, turn = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        message = "probe %s%d" % (word, turn)
        sent = time.perf_counter()
        connection.request("POST", "/api/v1/ingest", json.dumps(
            {"agent": "probe", "level": "info", "message": message}),
            {"Content-Type": "application/json"})
        answered = time.perf_counter()
        _seconds, answer = server.query("agent:probe %s%d" % (word, turn))
        found = time.perf_counter()
        if answer["count"] != 1:
            raise SystemExit("%s is there %d times once answered" % (message, answer["count"]))
        out[message] = (sent, answered, found)
        turn += 1
        time.sleep(max(0.0, EVERY_S - (time.perf_counter() - sent)))
    return out


def percentiles(prefix, ms):
    ordered = sorted(ms)
    return {prefix + "_p50_ms": ordered[len(ordered) // 2],
            prefix + "_p99_ms": ordered[int(0.99 * (len(ordered) - 1))]}


def phase(args, server, name, upload=None):
    """the figures of one phase; upload: a body sent again and again meanwhile"""
    reader, done = Reader(server), threading.Event()
    reader.start()
    uploads = []

    def keep_uploading():
        while not done.is_set():
            uploads.append(run_load(args.bin, server.port, "/api/v1/ingest", 1, "x1", [upload]))

    sender = threading.Thread(target=keep_uploading, daemon=True)
    if upload:
        sender.start()
    written = write_and_ask(server, args.seconds, name)
    done.set()
    if upload:
        sender.join()
    deadline = time.monotonic() + 30
    while len(reader.arrived) < len(written) and time.monotonic() < deadline:
        time.sleep(0.01)
    if len(reader.arrived) != len(written):
        raise SystemExit("the tail got %d of %d" % (len(reader.arrived), len(written)))
    out = {"writes": len(written), "uploads": len(uploads)}
    out.update(percentiles("answer", [(a - s) * 1000 for s, a, _f in written.values()]))
    out.update(percentiles("found", [(f - s) * 1000 for s, _a, f in written.values()]))
    out.update(percentiles("tail", [(reader.arrived[m] - s) * 1000
                                    for m, (s, _a, _f) in written.items()]))
    reader.events.close()
    return out


def visible(args):
    directory = os.path.join(args.scratch, "engine-fleetlog")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    upload, sync = upload_file(args.scratch), fsync_ms(args.scratch)
    out = {"machine": machine()}
    server = Fleetlog(args.bin, "--max-body", "96MiB")
    server.start(directory)
    try:
        for name, body in (("alone", None), ("uploading", upload)):
            out[name] = dict(phase(args, server, name, body), fsync_p50_ms=sync)
            print("%-10s %s" % (name, "  ".join("%s=%.4g" % kv for kv in out[name].items())),
                  flush=True)
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return out
