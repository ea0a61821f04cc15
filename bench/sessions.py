"""./dev bench sessions: many short sessions against few long ones, and event times in disorder
(T14).

The same number of rows (--sessions times 20) as 100,000 sessions of 1,000 agents, as 10 sessions
of 10 agents, and as the many sessions with event times anywhere in a year. Beside bytes and CPU
a row: how many segments there are at rest, and how long it takes to read one session in order.
"""
import glob
import os
import shutil

from compare import load
from data import session_rows, write_rows
from fleet import Fleetlog
from measure import machine

ROWS_EACH = 20
READ_LIMIT = 100


def cases(sessions):
    """(name, agents, sessions, order of event times)"""
    return (("few agents", 10, 10, "time"),
            ("many sessions", max(10, sessions // 100), sessions, "time"),
            ("shuffled", max(10, sessions // 100), sessions, "shuffled"))


def measure_case(args, name, path, rows):
    directory = os.path.join(args.scratch, "engine-fleetlog")
    shutil.rmtree(directory, ignore_errors=True)
    server = Fleetlog(args.bin)
    server.start(directory)
    try:
        figures = load(server, "lines", path, rows, directory)
        segments = len(glob.glob(os.path.join(directory, "**", "*.seg"), recursive=True))
        newest = server.query("* | limit 1")[1]["rows"][0]["session_id"]
        ms, answer = server.median_ms('session="%s" | limit %d' % (newest, READ_LIMIT), order="asc")
        if not 1 <= answer["count"] <= READ_LIMIT:
            raise SystemExit("a session of %d rows" % answer["count"])
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
    print("%-16s %d segments, one session of %d rows in %.2f ms" % (
        name, segments, answer["count"], ms), flush=True)
    return {"name": name, "load": figures, "segments": segments, "session_ms": ms,
            "session_rows": answer["count"]}


def sessions(args):
    rows = args.sessions * ROWS_EACH
    out = {"machine": machine(), "sessions": args.sessions, "cases": []}
    for name, agents, count, order in cases(args.sessions):
        path = os.path.join(args.scratch, "sessions-%d-%d-%s.ndjson" % (rows, count, order))
        write_rows(path, session_rows(agents, count, rows, order))
        out["cases"].append(measure_case(args, name, path, rows))
        args.save(out)
    return out
