"""The 20 queries of AgentLogsBench in our language (bench/agentlogs/queries.flq), on every state a
store can be in, against answers computed in Python.

The rows and the computation are agentlogs_rows.py's. With FLEETLOG_AGENTLOGS=DIR the real thing runs
too: DIR holds the benchmark's checker (check_agentlogs.py) and, for each data set, NAME.ndjson and
NAME.p.json; every parameter set of each is asked for in every state and compared by that checker."""
import contextlib
import glob
import importlib.util
import io
import itertools
import json
import os
import random
import sys
import unittest

import agentlogs_rows
import fleetlog

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench", "agentlogs"))
import fleetlog_queries  # noqa: E402

DATA = os.environ.get("FLEETLOG_AGENTLOGS", "")
ROWS = 3000


def status(server):
    return server.get("/api/v1/status").json()["store"]


def settled(server, done):
    """a flush (a merge) has happened and none is going on"""
    return fleetlog.wait_until(lambda: status(server)[done] > 0 and status(server)["frozen_bytes"] == 0,
                               120, done)


def send(server, lines, batch):
    lines = iter(lines)
    for part in iter(lambda: list(itertools.islice(lines, batch)), []):
        body = b"".join(part)
        for _ in range(200):  # a memtable that is full asks to come again
            r = server.post("/api/v1/ingest", body, headers={"Content-Type": "application/x-ndjson"})
            if r.status != 503:
                break
        if r.status != 200 or r.json()["accepted"] != len(part):
            raise AssertionError("ingest refused: %r" % r)


def states(make_lines, batch, memory, piece, small):
    """(name, server) of every state, one after the other: the same rows in memory, in memory after a
    stop and after a kill; in few segments; in merged ones, and after a stop and a kill of that"""
    def lives(name, server):
        yield name, server
        server.restart()
        yield name + ", restarted", server
        server.kill()
        server.start()
        yield name + ", killed", server

    with fleetlog.Server("--memtable", memory) as s:
        send(s, make_lines(), batch)
        assert status(s)["segments"] == 0
        yield from lives("in memory", s)
    with fleetlog.Server("--memtable", piece) as s:
        send(s, make_lines(), batch)
        settled(s, "flushes")
        yield from lives("flushed", s)
    with fleetlog.Server("--memtable", small) as s:
        send(s, make_lines(), batch)
        settled(s, "merges")
        yield from lives("merged", s)


def same(want, got):
    if isinstance(want, bool) or isinstance(got, bool) or want is None or got is None:
        return want is got
    if isinstance(want, (int, float)) and isinstance(got, (int, float)):
        return abs(want - got) <= 1e-9 * max(1, abs(want))
    if isinstance(want, dict):
        return isinstance(got, dict) and want.keys() == got.keys() and \
            all(same(want[k], got[k]) for k in want)
    if isinstance(want, list):
        return isinstance(got, list) and len(want) == len(got) and all(map(same, want, got))
    if isinstance(got, str) and len(want) == 19 and want[10] == " ":
        got = got[:19].replace("T", " ")
    return want == got


class SmallRows(unittest.TestCase):
    def check(self, want, server, where):
        for indexes in ("on", "off"):
            got, _ = fleetlog_queries.run_all(server.url, agentlogs_rows.PARAMS, indexes=indexes)
            for name in sorted(want):
                with self.subTest(query=name, state=where, indexes=indexes):
                    rows = got[name]["rows"]
                    self.assertEqual(len(want[name]), len(rows))
                    for i, (w, g) in enumerate(zip(want[name], rows)):
                        self.assertTrue(same(w, g), "row %d: %r, not %r" % (i, g, w))

    def test_every_state(self):
        rows = agentlogs_rows.make(ROWS, 20)
        want = agentlogs_rows.Answers(rows, agentlogs_rows.PARAMS).all()
        for name, answer in want.items():
            self.assertTrue(answer and answer != [[0, 0, None]], name + " finds nothing")
        apart = agentlogs_rows.Answers(rows, agentlogs_rows.PARAMS, "|").all()
        self.assertNotEqual(want["Q13"], apart["Q13"], "no phrase lies across input and output")
        lines = [json.dumps(r).encode() + b"\n" for r in rows]
        for where, server in states(lambda: lines, 200, "256MiB", "128KiB", "64KiB"):
            self.check(want, server, where)

    def test_plan_names_the_tests(self):
        """the substring of a concatenation is looked for by tests that have indexes"""
        with fleetlog.Server() as s:
            plan = s.get("/api/v1/query", query={
                "q": '* | where concat(input, " ", output):*"unable to open"*', "explain": "true",
                "indexes": "off"}).json()["explain"]
        self.assertIs(plan["indexes"], False)
        self.assertEqual({"input:contains(*unable to open*)", "output:contains(*unable to open*)",
                          "input:ends(unable)", "output:begins(to open)",
                          "input:ends(unable to)", "output:begins(open)"},
                         {t["test"] for t in plan["tests"]})


class Concatenations(unittest.TestCase):
    """substrings of concatenations against Python's, on texts of few letters and other values"""

    @staticmethod
    def text(value):
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))

    def test_random(self):
        r = random.Random(7)
        word = lambda n: "".join(r.choice("xX-é ") for _ in range(r.randint(0, n)))
        rows = []
        for i in range(400):
            row = {"message": "m", "timestamp": 1700000000 + i, "n": i}
            for name in "ab":
                if r.random() < 0.9:
                    row[name] = word(6)
            row["c"] = r.choice([None, 1, -1, True, word(3), [1, "x"], [{"x": "x-"}]])
            rows.append(row)
        calls = {"concat(a, \" \", b)": ["a", "' ", "b"], "concat(a, b)": ["a", "b"],
                 "concat(\"x\", a, \"\", b, \"-X\")": ["'x", "a", "'", "b", "'-X"],
                 "concat(a, b, a)": ["a", "b", "a"], "concat(c, \" \", b)": ["c", "' ", "b"]}
        needles = sorted({word(7) for _ in range(60)} - {""})
        with fleetlog.Server("--memtable", "64KiB") as s:
            s.ingest(rows)
            for call, parts in calls.items():
                whole = ["".join(p[1:] if p[0] == "'" else self.text(row.get(p)) for p in parts).lower()
                         for row in rows]
                for needle in needles:
                    q = '* | where %s:*"%s"* | sort by n | fields n' % (call, needle)
                    got = s.get("/api/v1/query", query={"q": q, "limit": "1000"}).json()["rows"]
                    self.assertEqual([i for i, t in enumerate(whole) if needle.lower() in t],
                                     [row["n"] for row in got], q)


@unittest.skipUnless(DATA, "FLEETLOG_AGENTLOGS is not set")
class RealRows(unittest.TestCase):
    def checker(self):
        spec = importlib.util.spec_from_file_location("check_agentlogs",
                                                      os.path.join(DATA, "check_agentlogs.py"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def lines(self, path):
        with open(path, "rb") as f:
            yield from f

    def test_every_state(self):
        check = self.checker()
        for path in sorted(glob.glob(os.path.join(DATA, "*.ndjson"))):
            with open(path[:-7] + ".p.json", encoding="utf-8") as f:
                sets = {k: v for k, v in json.load(f).items() if k != "info"}
            want = {k: check.run([path], p, None, "auto") for k, p in sets.items()}
            name = os.path.basename(path)[:-7]
            for where, server in states(lambda: self.lines(path), 2000, "4GiB", "100MiB", "2MiB"):
                st = status(server)
                print("%s %s: %d segments, %d rows in memory, %d merges" % (
                    name, where, st["segments"], st["memtable_rows"], st["merges"]), flush=True)
                for k, indexes in itertools.product(sets, ("on", "off")):
                    got, ms = fleetlog_queries.run_all(server.url, sets[k], indexes=indexes)
                    said = io.StringIO()
                    with contextlib.redirect_stdout(said):
                        bad = check.compare(want[k], got, None)
                    print("  %-8s indexes %-3s %2d of %d equal, %6.0f ms" % (
                        k, indexes, len(got) - bad, len(got), sum(ms.values())), flush=True)
                    self.assertEqual((0, 20), (bad, len(got)),
                                     "%s %s %s\n%s" % (name, where, k, said.getvalue()))
