"""search, export, stats, agents, trace: from a server and from a directory, alike."""
import csv
import io
import json
import os
import unittest

from clitest import DATA, NONE, USAGE, BothWays, WithServer, some_entries


class Search(BothWays):
    def ids(self, *args):
        return [e["attributes"]["port"] - 5000
                for e in map(json.loads, self.both("search", *args, "--format", "ndjson").lines())]

    def test_newest_first_and_limits(self):
        self.assertEqual(self.ids("--limit", "5"), [49, 48, 47, 46, 45])
        self.assertEqual(self.ids("--limit", "3", "--offset", "4"), [45, 44, 43])
        self.assertEqual(len(self.ids()), 50)

    def test_filters_combine_with_the_query(self):
        self.assertEqual(self.ids("--agent", "coder", "--level", "error"),
                         [i for i in range(49, -1, -1) if i % 3 == 1 and i % 5 >= 3])
        self.assertEqual(self.ids("step", "--agent", "svc-*", "--limit", "2"), [47, 44])
        self.assertEqual(self.ids("port=5001 OR port=5002", "--agent", "coder"), [1])
        self.assertEqual(self.ids("--pattern", r"step [12]\d? of"),
                         [i for i in range(49, -1, -1) if str(i)[0] in "12"])
        self.assertEqual(self.ids("--pattern", "a/b"), [])
        self.assertEqual(self.ids("level:critical # worst", "--agent", "planner"),
                         [i for i in range(49, -1, -1) if i % 3 == 0 and i % 5 == 4])
        self.assertEqual(self.ids("--level", "CRITICAL"), [49, 44, 39, 34, 29, 24, 19, 14, 9, 4])
        self.assertEqual(self.ids("--agent", "no such \"agent\" \\ (x"), [])
        self.assertEqual(self.ids("--agent", "no*such \"agent\" \\ (x|"), [])

    def test_times(self):
        start = 1_700_000_000
        self.assertEqual(self.ids("--since", str(start + 47)), [49, 48, 47])
        self.assertEqual(self.ids("--until", str(start + 2)), [1, 0])
        self.assertEqual(self.ids("--since", "2023-11-14T22:14:08Z", "--until", "2023-11-15"),
                         [49, 48])
        self.assertEqual(self.ids("--since", "15m"), [])

    def test_pipes_make_tables(self):
        lines = self.both("search", "level:error | stats count() as n by agent").lines()
        self.assertEqual(lines[0].split(), ["agent", "n"])
        self.assertEqual([line.split()[0] for line in lines[1:]], ["coder", "planner", "svc-a"])
        self.assertEqual(len(set(map(len, lines))), 1, lines)  # aligned
        # with a filter by option the user's filter becomes the first pipe
        one = self.both("search", "level:error OR level:warn | stats count() as n by agent",
                        "--agent", "coder", "--format", "ndjson").lines()
        self.assertEqual(json.loads(one[0]),
                         {"agent": "coder", "n": sum(i % 3 == 1 and i % 5 >= 2 for i in range(50))})
        self.assertEqual(json.loads(self.both("search", "| stats count() as n", "--level", "error",
                                              "--format", "ndjson").out)["n"], 20)

    def test_formats(self):
        doc = self.both("search", "--json", "--limit", "2").json()
        self.assertEqual((doc["count"], len(doc["results"])), (2, 2))
        self.assertEqual(doc["results"][0]["message"], "step 49 of the work")
        self.assertEqual(self.both("search", "--json", "nosuchword").json()["results"], [])
        rows = list(csv.DictReader(io.StringIO(
            self.both("search", "--format", "csv", "--limit", "3").out)))
        self.assertEqual([r["message"] for r in rows],
                         ["step %d of the work" % i for i in (49, 48, 47)])
        text = self.both("search", "--limit", "2").lines()
        self.assertRegex(text[0], r"^2023-11-14T22:14:09\.000Z CRIT  coder    {0,2}\s+step 49 of the work"
                                  r".*  port=5049.*  nested\.deep\.value=49|nested")
        self.assertNotIn("\x1b", "".join(text))

    def test_quiet_and_nothing(self):
        self.both("search", "--quiet", "level:critical")
        self.assertEqual(self.both("search", "--quiet", "nosuchword", code=NONE).out, "")
        self.assertEqual(self.both("search", "nosuchword").out, "")

    def test_a_bad_query_names_the_place(self):
        for query, args in (("level:error | stats p9x(port)", []), ("(a", []),
                            ("a OR | stats count()", ["--agent", "coder"])):
            r = self.both("search", query, *args, code=USAGE)
            self.assertEqual(r.out, "")
            self.assertTrue(r.err.startswith("fleetlog: "), r)
        r = self.both("search", "level:error | stats p9x(port)", code=USAGE)
        self.assertIn("at byte", r.err)
        self.both("search", "--pattern", "(", code=USAGE)

    def test_the_place_is_that_of_what_was_typed(self):
        options = ["--agent", "coder", "--level", "info"]
        for query, place in (("(a", 0), ("port:1 a)", 8), ("a) OR (b", 1), ("a OR | count", 2),
                             ("level:eror", 6), ("a | p9x", 4), ("| p9x", 2)):
            for more in ([], options):
                r = self.both("search", query, *more, code=USAGE)
                self.assertIn("(at byte %d)" % place, r.err, (query, more))
        for pattern in ("(", "a\\", "\\\\\\", "*", "a(?R)"):
            r = self.both("search", "--pattern", pattern, code=USAGE)
            self.assertIn("--pattern", r.err)
            self.assertNotIn("at byte", r.err)
            self.both("search", "a", "--pattern", pattern, code=USAGE)
        self.both("search", "--pattern", "a/b\\\\")
        self.both("search", "--pattern", "\\/[/]")

    def test_what_failed_prints_no_document(self):
        for command in (["search", "--json"], ["export"], ["export", "--format", "csv"]):
            self.assertEqual(self.both(*command, "level:eror", code=USAGE).out, "")
        self.assertEqual(self.both("search", "--json", "nosuchword").json(),
                         {"results": [], "count": 0, "offset": 0, "truncated": False})
        self.assertEqual(self.both("export", "nosuchword").json(), [])

    def test_explain(self):
        self.assertIn("explain", self.both("search", "--explain", "level:error").json())

    def test_long_queries_fit(self):
        query = " OR ".join("port=%d" % (5000 + i) for i in range(400))
        self.assertEqual(len(self.ids(query)), 50)


class Export(BothWays):
    def test_everything_in_each_format(self):
        self.assertEqual(len(self.both("export").json()), 50)
        self.assertEqual(len(self.both("export", "--format", "ndjson").lines()), 50)
        self.assertEqual(len(list(csv.reader(io.StringIO(
            self.both("export", "--format", "csv").out)))), 51)
        self.assertEqual(len(self.both("export", "--format", "text").lines()), 50)
        self.assertEqual(self.both("export", "nosuchword").json(), [])
        self.assertEqual(len(self.both("export", "--agent", "coder", "--level", "error",
                                       "--pattern", "step", "--limit", "2").json()), 2)

    def test_into_a_file(self):
        path = self.path("out.json")
        r = self.ok("export", "--output", path, "--url", self.server.url)
        self.assertEqual(r.out, "Exported to %s\n" % path)
        with open(path) as f:
            self.assertEqual(len(json.load(f)), 50)
        self.assertEqual(os.listdir(self.dir), ["out.json"])
        self.assertEqual(self.both("export", "--output", self.path("none/x"), code=74).out, "")
        self.both("export", "(", "--output", self.path("bad.json"), code=USAGE)
        self.assertEqual(os.listdir(self.dir), ["out.json"])  # no half file stays


class Overviews(BothWays):
    def test_stats(self):
        s = self.ok("stats", "--json", "--url", self.server.url).json()
        d = self.ok("stats", "--json", "--data-dir", self.copied).json()
        s.pop("storage_dir"), d.pop("storage_dir")
        self.assertEqual(s, d)
        self.assertEqual((s["total_entries"], s["agents_count"]), (50, 3))
        self.assertEqual(s["level_counts"]["ERROR"], 10)
        self.assertEqual(s["agent_counts"], {"planner": 17, "coder": 17, "svc-a": 16})
        text = self.ok("stats", "--url", self.server.url).out
        for word in ("Entries     50", "ERROR", "planner", "Hours"):
            self.assertIn(word, text)

    def test_agents(self):
        self.assertEqual(self.both("agents", "--json").json(),
                         {"agents": {"planner": 17, "coder": 17, "svc-a": 16}, "count": 3})
        self.assertEqual([line.split()[0] for line in self.both("agents").lines()],
                         ["planner", "coder", "svc-a"])


def span(kind, at, span_id, parent=None, **more):
    e = {"timestamp": 1_700_000_000 + at, "kind": kind, "trace_id": "tree/1 \"x\"",
         "span_id": span_id, "agent": "planner"}
    if parent:
        e["parent_span_id"] = parent
    e.update(more)
    return e


class Trace(BothWays):
    @classmethod
    def prepare(cls):
        cls.server.ingest(some_entries() + [
            span("span_start", 0, "aa", operation="plan"),
            span("span_start", 1, "bb", "aa", operation="code", agent="coder"),
            span("span", 1.5, "cc", "bb", operation="bash", duration_ms=250, status="error",
                 level="error", error_type="ToolError", agent="coder", input="make"),
            {"timestamp": 1_700_000_001.6, "trace_id": "tree/1 \"x\"", "span_id": "bb",
             "message": "a word in between", "agent": "coder"},
            span("span_end", 3, "bb", operation="code", agent="coder", duration_ms=2000),
            span("span_start", 4, "dd", "aa", operation="review", agent="reviewer"),
            span("span", 5, "ee", "lost", operation="orphan", duration_ms=1),
            span("span", 6, "f1", "f2", operation="circle", duration_ms=1),
            span("span", 7, "f2", "f1", operation="other half", duration_ms=1),
        ])

    def test_tree(self):
        lines = self.both("trace", "tree/1 \"x\"").lines()
        self.assertRegex(lines[0], r'^trace tree/1 "x"  9 entries, 7 spans, 3 agents, .*, 1 error$')
        shown = [line[14:] for line in lines[2:]]
        self.assertRegex(shown[0], "^\\? planner  plan +no end")
        self.assertRegex(shown[1], "^├─ ✓ coder  code +2.0 s")
        self.assertRegex(shown[2], "^│  ├─ ✗ coder  bash +250 ms")
        self.assertIn("error_type=ToolError", shown[2])
        self.assertNotIn("input", shown[2])
        self.assertTrue(shown[3].startswith("│  └─ info  coder  a word in between"), shown)
        self.assertRegex(shown[4], r"^└─ \? reviewer  review +no end")
        self.assertRegex(shown[5], r"^✓ planner  orphan \(its parent is not stored\) ")
        self.assertRegex(shown[6], r"^✓ planner  circle \(below itself\) ")
        self.assertEqual(len(shown), 9)
        self.assertRegex(lines[-1], r"^\* critical path, most of it in code ")
        self.assertIn("input=make", self.both("trace", "tree/1 \"x\"", "--wide").out)

    def test_without_spans_and_unknown(self):
        lines = self.both("trace", "t1").lines()
        self.assertEqual(len(lines), 25)
        self.assertIn("step 1 of", lines[0])
        self.assertEqual(self.both("trace", "t1", "--json").json()["count"], 25)
        self.assertEqual(self.both("trace", "nobody").out, "")
        self.assertEqual(self.both("trace", "nobody", "--json").json(),
                         {"trace_id": "nobody", "count": 0, "entries": [], "spans": []})
        self.assertEqual(len(self.both("trace", "tree/1 \"x\"", "--flat").lines()), 9)


class Damage(WithServer):
    def test_verify(self):
        for i in range(10):  # several frames: a bad last one would be a torn tail, not damage
            self.server.ingest(some_entries(300))
        r = self.ok("verify", "--data-dir", self.server.data_dir, code=75)
        self.assertIn(self.server.url, r.err)
        self.refused(USAGE, "verify", "--url", self.server.url)
        self.server.stop()
        try:
            where = ["--data-dir", self.server.data_dir]
            self.assertRegex(self.ok("verify", *where).out, r"(?m)^sound: 3,000 entries")
            self.assertTrue(self.ok("verify", "--json", *where).json()["ok"])
            victim = max((os.path.join(d, f) for d, _, fs in os.walk(self.server.data_dir)
                          for f in fs if f.endswith((".wal", ".seg"))), key=os.path.getsize)
            with open(victim, "r+b") as f:
                at = len(f.read().rstrip(b"\0")) // 3
                f.seek(at)
                byte = f.read(1)
                f.seek(at)
                f.write(bytes([byte[0] ^ 0x40]))
            r = self.ok("verify", *where, code=DATA)
            self.assertRegex(r.out, r"damaged: .* problem")
            self.assertRegex(r.out, r"(?m)^problem: ")
            self.assertFalse(self.ok("verify", "--json", *where, code=DATA).json()["ok"])
            with open(victim, "r+b") as f:
                f.seek(at)
                f.write(byte)
        finally:
            self.server.start()


if __name__ == "__main__":
    unittest.main()
