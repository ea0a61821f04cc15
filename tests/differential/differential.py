"""./dev differential: random queries over random entries, asked of the server in every state a store
can be in, and compared with an evaluator written from the documentation.

    ./dev differential --seeds 1 20 --queries 400
    ./dev differential --seed 7 --query 133          one of them, with both answers in full

A seed makes the entries and the queries; the same seed makes the same ones on every machine."""
import argparse
import json
import os
import random
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import fleetlog  # noqa: E402
import pipes  # noqa: E402
import rows  # noqa: E402
import values  # noqa: E402

ROWS = 3000
FLUSHED = "64KiB"  # of memory: the entries take more


class Wrong(Exception):
    pass


def make(seed, count):
    """(what is sent, what queries see, [(filter, pipes, columns)])"""
    r = random.Random("%d:rows" % seed)
    sent = [rows.sent(r, i) for i in range(ROWS)]
    seen = [rows.seen(row, i + 1) for i, row in enumerate(sent)]
    newest = sorted(seen, key=lambda row: (row["timestamp"], row["seq"]), reverse=True)
    return sent, seen, [pipes.pipeline(random.Random("%d:%d" % (seed, i)), lambda: newest)
                        for i in range(count)]


def text(query):
    first, steps, _ = query
    return " | ".join([first.text()] + [s.text for s in steps])


def expected(query, seen):
    first, steps, columns = query
    table = [row for row in seen if first.holds(row)]
    table.sort(key=lambda row: (row["timestamp"], row["seq"]), reverse=True)
    for s in steps:
        table = s.apply(table)
    return [{rows.SHOWN.get(c, c): values.shown(row.get(c)) for c in columns} for row in table]


def same(a, b):
    """numbers up to the last digits of a double, everything else exactly"""
    if values.kind(a) == 2 and values.kind(b) == 2:
        return a == b or abs(a - b) <= 1e-9 * max(abs(a), abs(b))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def differ(want, got):
    """where two answers part, or None"""
    for i, (w, g) in enumerate(zip(want, got)):
        for name in w:
            if name not in g or not same(w[name], g[name]):
                return "row %d, %s: %r, not %r" % (i, name, g.get(name), w[name])
        if len(g) != len(w):
            return "row %d has columns %s, not %s" % (i, list(g), list(w))
    if len(want) != len(got):
        return "%d rows, not %d" % (len(got), len(want))
    return None


def ask(server, q, **options):
    body = dict({"q": q, "all": True}, **options)
    r = server.post("/api/v1/query", body)
    if r.status != 200:
        raise Wrong("%s\n  answered %d %s" % (q, r.status, r.text()))
    return r.json()["rows"]


def states(sent):
    """(name, server, options) in each state; one server after another"""
    for name, memory, until in (("in memory", "64MiB", None), ("flushed", FLUSHED, "flushes"),
                                ("merged", FLUSHED, "merges")):
        with fleetlog.Server("--memtable", memory) as s:
            for at in range(0, len(sent), 25 if until == "merges" else 250):
                send(s, sent[at:at + (25 if until == "merges" else 250)])
            if until:
                fleetlog.wait_until(lambda: settled(s, until), 60, until)
            yield name, s, {}
            yield name + ", no indexes", s, {"indexes": False}
            if until == "merges":
                s.kill()
                s.start()
                yield name + ", killed", s, {}


def send(server, part):
    body = "\n".join(json.dumps(row) for row in part)
    r = fleetlog.wait_until(lambda: taken(server, body), 60, "room for entries")
    if r.json()["accepted"] != len(part):
        raise Wrong("ingest: %r" % r)


def taken(server, body):
    r = server.post("/api/v1/ingest", body, headers={"Content-Type": "application/x-ndjson"})
    return None if r.status == 503 else r


def settled(server, what):
    st = server.get("/api/v1/status").json()["store"]
    return st[what] > 0 and st["frozen_bytes"] == 0


def run_seed(seed, count):
    """compares all; returns (queries, comparisons, rows of answers); raises Wrong at the first
    difference"""
    sent, seen, queries = make(seed, count)
    want = [expected(q, seen) for q in queries]
    compared = 0
    for name, server, options in states(sent):
        for i, (query, rows_) in enumerate(zip(queries, want)):
            bad = differ(rows_, ask(server, text(query), **options))
            if bad:
                raise Wrong("seed %d, query %d, %s:\n  %s\n  %s"
                            % (seed, i, name, text(query), bad))
            compared += 1
    return len(queries), compared, sum(map(len, want))


def show(seed, at):
    sent, seen, queries = make(seed, at + 1)
    query = queries[at]
    want = expected(query, seen)
    print(text(query))
    with fleetlog.Server() as s:
        for i in range(0, ROWS, 250):
            send(s, sent[i:i + 250])
        got = ask(s, text(query))
    for i in range(max(len(want), len(got))):
        w, g = (json.dumps(t[i], ensure_ascii=False) if i < len(t) else "-" for t in (want, got))
        print("  %s" % w if w == g else "- %s\n+ %s" % (w, g))
    print(differ(want, got) or "equal")


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", type=int, nargs=2, default=(1, 10), metavar=("FROM", "TO"))
    p.add_argument("--queries", type=int, default=300, help="of each seed")
    p.add_argument("--seed", type=int)
    p.add_argument("--query", type=int)
    o = p.parse_args()
    if o.seed is not None and o.query is not None:
        return show(o.seed, o.query)
    if o.seed is not None:
        o.seeds = o.seed, o.seed
    began, total = time.monotonic(), [0, 0, 0]
    try:
        for seed in range(o.seeds[0], o.seeds[1] + 1):
            total = [a + b for a, b in zip(total, run_seed(seed, o.queries))]
            print("seed %d: %d queries so far, %d comparisons" % (seed, total[0], total[1]),
                  flush=True)
    except Wrong as e:
        print("WRONG: %s" % e)
        sys.exit(1)
    print("%d queries, %d comparisons, %d rows of answers: all equal (%.0f s)"
          % (*total, time.monotonic() - began))


if __name__ == "__main__":
    main()
