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


def lives(name, server):
    """(name, server) as it is, after a stop and after a kill"""
    yield name, server
    server.restart()
    yield name + ", restarted", server
    server.kill()
    server.start()
    yield name + ", killed", server


@contextlib.contextmanager
def filled(lines, batch, memtable, until=None):
    """a server with these rows, once `until` (flushes, merges) is counted"""
    with fleetlog.Server("--memtable", memtable) as s:
        send(s, lines, batch)
        if until:
            settled(s, until)
        else:
            assert status(s)["segments"] == 0
        yield s


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
    @classmethod
    def setUpClass(cls):
        rows = agentlogs_rows.make(ROWS, 20)
        cls.want = agentlogs_rows.Answers(rows, agentlogs_rows.PARAMS).all()
        cls.apart = agentlogs_rows.Answers(rows, agentlogs_rows.PARAMS, "|").all()
        cls.lines = [json.dumps(r).encode() + b"\n" for r in rows]

    def check(self, name, memtable, until=None):
        with filled(self.lines, 200, memtable, until) as s:
            for where, server in lives(name, s):
                for indexes in ("on", "off"):
                    self.compare(server, where, indexes)

    def compare(self, server, where, indexes):
        got, _ = fleetlog_queries.run_all(server.url, agentlogs_rows.PARAMS, indexes=indexes)
        for name in sorted(self.want):
            with self.subTest(query=name, state=where, indexes=indexes):
                rows = got[name]["rows"]
                self.assertEqual(len(self.want[name]), len(rows))
                for i, (w, g) in enumerate(zip(self.want[name], rows)):
                    self.assertTrue(same(w, g), "row %d: %r, not %r" % (i, g, w))

    def test_rows_have_what_it_takes(self):
        for name, answer in self.want.items():
            self.assertTrue(answer and answer != [[0, 0, None]], name + " finds nothing")
        self.assertNotEqual(self.want["Q13"], self.apart["Q13"], "no phrase lies across two fields")

    def test_in_memory(self):
        self.check("in memory", "256MiB")

    def test_flushed(self):
        self.check("flushed", "128KiB", "flushes")

    def test_merged(self):
        self.check("merged", "64KiB", "merges")

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
    """Each data set in each state, all parameter sets. After a kill one set will do: its store is
    that of the restart. NAME.SET.answers.json, where it lies there, spares computing the answers."""

    @classmethod
    def setUpClass(cls):
        spec = importlib.util.spec_from_file_location("check_agentlogs",
                                                      os.path.join(DATA, "check_agentlogs.py"))
        cls.checker = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(cls.checker)
        cls.want, cls.sets = {}, {}
        for path in sorted(glob.glob(os.path.join(DATA, "*.ndjson"))):
            with open(path[:-7] + ".p.json", encoding="utf-8") as f:
                cls.sets[path] = {k: v for k, v in json.load(f).items() if k != "info"}
            cls.want[path] = {k: cls.answers(path, k, p) for k, p in cls.sets[path].items()}

    @classmethod
    def answers(cls, path, name, params):
        known = "%s.%s.answers.json" % (path[:-7], name)
        if not os.path.exists(known):
            return cls.checker.run([path], params, None, "auto")
        with open(known, encoding="utf-8") as f:
            return json.load(f)

    def compare(self, path, where, server, name, indexes):
        got, ms = fleetlog_queries.run_all(server.url, self.sets[path][name], indexes=indexes)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            bad = self.checker.compare(self.want[path][name], got, None)
        print("  %-8s indexes %-3s %2d of %d equal, %6.0f ms" % (
            name, indexes, len(got) - bad, len(got), sum(ms.values())), flush=True)
        self.assertEqual((0, 20), (bad, len(got)), "%s %s\n%s" % (where, name, said.getvalue()))

    def check(self, state, memtable, until=None):
        for path in self.want:
            with open(path, "rb") as f, filled(f, 2000, memtable, until) as s:
                for where, server in lives(state, s):
                    st = status(server)
                    print("%s %s: %d segments, %d rows in memory" % (
                        os.path.basename(path), where, st["segments"], st["memtable_rows"]), flush=True)
                    runs = [("default", "on")] if where.endswith("killed") else \
                        itertools.product(self.sets[path], ("on", "off"))
                    for name, indexes in runs:
                        self.compare(path, where, server, name, indexes)

    def test_in_memory(self):
        self.check("in memory", "4GiB")

    def test_flushed(self):
        self.check("flushed", "100MiB", "flushes")

    def test_merged(self):
        self.check("merged", "2MiB", "merges")
