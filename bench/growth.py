"""./dev bench growth: fleetlog alone as the rows grow (T6, T7, T8, T11, T13).

Observations in chunks of at most a million, each of a seed of its own, go into one server; at
every step of --steps it comes to rest, and the same queries are timed (median of 7, hot, over
HTTP). Load figures add up from the start. Chunks but the first are removed once they are in.
"""
import os
import shutil
import time

from data import Observations
from fleet import Fleetlog
from measure import PeakMemory, disk_bytes, machine, reset_peak, tree_cpu, wait_quiet

CHUNK = 1000000
# nowhere in the rows; and one made of trigrams that are in most of them, but hardly there itself
ABSENT, COMMON = "zqxjkvbwpq", "error the timeout"


def chunks(steps):
    """[(rows, seed offset, step reached or None)]"""
    out, at = [], 0
    for step in sorted(steps):
        while at < step:
            rows = min(CHUNK, step - at)
            at += rows
            out.append((rows, len(out), step if at == step else None))
    return out


def queries(p):
    slice_ = 'tenant="%s" app="%s"' % (p["tenant"], p["app"])
    return {
        "trace": 'trace_id="%s" | limit 50' % p["trace_id"],
        "request": 'attr.request_key="%s" | limit 50' % p["request_key"],
        "last_50": "* | limit 50",
        "last_50_agent": slice_ + " | limit 50",
        "last_50_error": "status:error | limit 50",
        "absent": "*%s* | limit 50" % ABSENT,
        "common": '*"%s"* | limit 50' % COMMON,
        "scan": "* | stats count() as n, avg(duration_ms) by event",
    }


def growth(args):
    directory = os.path.join(args.scratch, "engine-fleetlog")
    shutil.rmtree(directory, ignore_errors=True)
    server = Fleetlog(args.bin)
    total = {"rows": 0, "raw_bytes": 0, "wall_s": 0.0, "cpu_s": 0.0, "quiet_cpu_s": 0.0,
             "peak_mib": 0.0}
    out = {"machine": machine(), "steps": []}
    server.start(directory)
    try:
        asked = None
        for rows, offset, step in chunks(args.steps):
            data = Observations(args.tools, args.scratch, rows, args.seed + offset)
            data.make(*((args.data, args.params) if offset == 0 else ()))
            asked = asked or queries(data.params())
            add_chunk(server, data, rows, total)
            if offset:
                os.remove(data.path)
            if step:
                out["steps"].append(at_step(server, asked, directory, dict(total)))
                args.save(out)
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return out


def add_chunk(server, data, rows, total):
    reset_peak(server.pid)
    cpu = tree_cpu(server.pid)
    with PeakMemory(server.pid) as peak:
        started = time.monotonic()
        taken = server.load("obs", data.path)
        total["wall_s"] += time.monotonic() - started
        total["cpu_s"] += tree_cpu(server.pid) - cpu
        if taken != rows:
            raise SystemExit("took %d of %d rows" % (taken, rows))
        wait_quiet(server.pid)
        total["quiet_cpu_s"] += tree_cpu(server.pid) - cpu
    total["rows"] += rows
    total["raw_bytes"] += os.path.getsize(data.path)
    total["peak_mib"] = max(total["peak_mib"], peak.mib)


def at_step(server, asked, directory, load):
    times = {name: server.median_ms(text)[0] for name, text in asked.items()}
    load["disk_bytes"] = disk_bytes(directory)
    print("%10d rows  %8.0f rows/CPU s  %6.1f B/row  %5.0f MiB  %s" % (
        load["rows"], load["rows"] / max(load["quiet_cpu_s"], 0.01),
        load["disk_bytes"] / load["rows"], load["peak_mib"],
        "  ".join("%s %.1f ms" % kv for kv in times.items())), flush=True)
    return {"name": "fleetlog", "rows": load["rows"], "raw_bytes": load["raw_bytes"], "load": load,
            "queries": times}
