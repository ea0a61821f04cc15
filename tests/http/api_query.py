"""The native read routes: query, timeline, fields, values, entries, context, resolve."""
import csv
import io
import json
import random
import socket
import threading
import time
import unittest
import uuid

from fleetlog import Server, segment

BASE = 1700000000  # 2023-11-14T22:13:20Z
LEVELS = ["debug", "info", "warn", "error", "critical"]


def entries(n=200):
    return [{"timestamp": BASE + i, "agent": "a%d" % (i % 4), "level": LEVELS[i % 5],
             "message": "message %d of all" % i, "session_id": "s%d" % (i // 20), "n": i,
             "tool": "read_file" if i % 10 == 0 else None,
             "deep": {"x.y": i % 3}} for i in range(n)]


class Query(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.server.ingest(entries())

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def get(self, path, status=200, **query):
        r = self.server.get(path, query=query)
        self.assertEqual(r.status, status, r)
        return r.json()

    def query(self, q="", **more):
        return self.get("/api/v1/query", q=q, **more)

    def refuse(self, path, status=400, **query):
        e = self.get(path, status=status, **query)["error"]
        self.assertTrue(e["code"] and e["message"])
        return e


class TestQuery(Query):
    def test_rows_columns_cost(self):
        got = self.query("level:error", limit=5)
        self.assertEqual(len(got["rows"]), 5)
        self.assertEqual(got["count"], 5)
        self.assertEqual(got["columns"], [])
        for key in ("cost", "elapsed_ms", "truncated", "next_cursor", "warnings", "incomplete",
                    "watermark", "approx"):
            self.assertIn(key, got)
        self.assertEqual(got["approx"], [])
        self.assertFalse(got["incomplete"])
        self.assertGreaterEqual(got["cost"]["rows_matched"], 5)

    def test_newest_first_and_oldest_first(self):
        ns = [r["attributes"]["n"] for r in self.query(limit=10)["rows"]]
        self.assertEqual(ns, list(range(199, 189, -1)))
        ns = [r["attributes"]["n"] for r in self.query(limit=10, order="asc")["rows"]]
        self.assertEqual(ns, list(range(10)))

    def test_start_is_inclusive_and_end_exclusive(self):
        ns = [r["attributes"]["n"] for r in self.query(start=BASE + 10, end=BASE + 13)["rows"]]
        self.assertEqual(ns, [12, 11, 10])
        same = self.query(start="2023-11-14T22:13:30Z", end="2023-11-14T23:13:33+01:00")["rows"]
        self.assertEqual([r["attributes"]["n"] for r in same], [12, 11, 10])

    def test_default_limit_offset_total(self):
        self.assertEqual(len(self.query()["rows"]), 100)
        ns = [r["attributes"]["n"] for r in self.query(limit=3, offset=5)["rows"]]
        self.assertEqual(ns, [194, 193, 192])
        self.assertEqual(self.query("agent:a1", limit=1, total="true")["total"], 50)

    def test_tables(self):
        got = self.query("* | stats count() as c by level")
        self.assertEqual(sorted(got["columns"]), ["c", "level"])
        self.assertEqual({r["level"]: r["c"] for r in got["rows"]}, {lv: 40 for lv in LEVELS})
        self.assertIsNone(got["next_cursor"])

    def test_post_is_the_same(self):
        want = self.query("agent:a2 level:error", limit=4)["rows"]
        r = self.server.post("/api/v1/query", {"q": "agent:a2 level:error", "limit": 4})
        self.assertEqual((r.status, r.json()["rows"]), (200, want))
        for body in ("{", "[]", '{"limit":"x"}', '{"limit":-1}'):
            self.assertEqual(self.server.post("/api/v1/query", body).status, 400, body)

    def test_explain(self):
        self.assertIsInstance(self.query("level:error | stats count() by agent",
                                         explain="true")["explain"], dict)

    def test_tests_stand_in_order_of_cost(self):
        """those of an inner group and of a where among the others"""
        for q, want in (("message:/x.*y/ | where agent=a (level:error trace_id=t)",
                         "(level>=error AND agent:is(a) AND trace_id:is(t) AND message:regex(x.*y))"),
                        ("message:/x.*y/ OR (agent=a OR level:error)",
                         "(level>=error OR agent:is(a) OR message:regex(x.*y))")):
            with self.subTest(q=q):
                self.assertEqual(want, self.query(q, explain="true")["explain"]["filter"])

    def test_timezone(self):
        for tz in ("+02", "+0200", " 02:00"):
            self.assertEqual(self.query("on:2023-11-15", tz=tz, limit=1)["rows"],
                             self.query("on:2023-11-15", tz="+02:00", limit=1)["rows"], tz)
        got = self.query("on:2023-11-15", tz="+02:00", limit=1)
        self.assertEqual(len(got["rows"]), 1)
        self.assertEqual(self.query("on:2023-11-15", limit=1)["rows"], [])

    def test_an_unknown_field_warns(self):
        self.assertTrue(self.query("nosuchfield:1")["warnings"])

    def test_what_is_wrong_is_said(self):
        for name, value in (("limit", "x"), ("limit", "0"), ("limit", "-1"), ("offset", "-1"),
                            ("start", "soonish"), ("end", ""), ("format", "xml"), ("order", "up"),
                            ("timeout", "forever"), ("tz", "mars"), ("cursor", "abc"),
                            ("total", "perhaps"), ("explain", "2"), ("all", "x")):
            e = self.refuse("/api/v1/query", **{"q": "", name: value})
            self.assertIn(name, e["message"])

    def test_a_bad_query_has_a_position(self):
        e = self.refuse("/api/v1/query", q="level:error | stats p9x(n)")
        self.assertEqual(e["code"], "bad_query")
        self.assertIsInstance(e["position"], int)
        r = self.server.post("/api/v1/query", {"q": "x " * 9000})
        self.assertEqual((r.status, r.json()["error"]["position"]), (400, 16384), r)
        e = self.refuse("/api/v1/query", q="* | timeline 1ns")
        self.assertEqual((e["code"], e["position"]), ("bad_query", 4))

    def test_long_queries_are_no_overload(self):
        for q in ("agent:" + "*".join("a" * 8000), "agent in (" + ",".join("a" * 8000) + ")",
                  " ".join("a" * 8000), " OR ".join("a" * 3000), "* | fields " + ",".join("a" * 9)):
            r = self.server.post("/api/v1/query", {"q": q})
            self.assertIn(r.status, (200, 400), (q[:40], r))

    def test_a_stray_percent_sign_is_itself(self):
        with Server() as s:
            s.ingest([{"agent": "percent", "message": "at 100% now"}, {"message": "other"}])
            for raw, want in (("100%", 1), ("100%+now", 1), ("100%25", 1), ("100%zz", 0)):
                r = s.get("/api/v1/query?q=" + raw)
                self.assertEqual((r.status, len(r.json()["rows"])), (200, want), raw)


class TestPages(Query):
    def test_pages_are_stable_while_entries_arrive(self):
        with Server() as s:
            s.ingest(entries(95))
            seen, cursor = [], None
            for turn in range(20):
                query = {"q": "message", "limit": 10}
                if cursor:
                    query["cursor"] = cursor
                got = s.get("/api/v1/query", query=query).json()
                seen += [r["attributes"]["n"] for r in got["rows"]]
                cursor = got["next_cursor"]
                s.ingest([{"timestamp": BASE + 50, "message": "message late", "n": -1}])
                if not cursor:
                    break
            self.assertEqual(seen, list(range(94, -1, -1)))

    def test_a_cursor_belongs_to_its_query(self):
        cursor = self.query("agent:a1", limit=5)["next_cursor"]
        self.assertTrue(cursor)
        self.assertEqual(len(self.query("agent:a1", limit=5, cursor=cursor)["rows"]), 5)
        self.refuse("/api/v1/query", q="agent:a2", cursor=cursor)
        self.refuse("/api/v1/query", q="agent:a1", order="asc", cursor=cursor)
        broken = cursor[:-1] + ("0" if cursor[-1] != "0" else "1")
        self.refuse("/api/v1/query", q="agent:a1", cursor=broken)

    def all_pages(self, q, **more):
        rows, cursor = [], None
        for _ in range(100):
            got = self.query(q, **(dict(more, cursor=cursor) if cursor else more))
            rows += got["rows"]
            cursor = got["next_cursor"]
            if not cursor:
                return rows
        raise AssertionError("the pages of %r never end" % q)

    def test_pipes_have_pages_only_when_they_keep_rows_and_order(self):
        for q in ("a*", "* | where n>20", "* | drop tool", "* | rename n as m | where m<150"):
            want = self.query(q, all="true")["rows"]
            self.assertEqual(self.all_pages(q, limit=17), want, q)
        # the others are one page: a second would begin anew behind the first one's last row
        for q in ("* | sort by n", "* | tail 50", "* | head 50", "* | limit 50", "* | offset 3",
                  "* | dedup by agent, n", "* | sort by tool | limit 40"):
            got = self.query(q, limit=17)
            self.assertEqual(len(got["rows"]), 17, q)
            self.assertIsNone(got["next_cursor"], q)

    def test_an_offset_is_skipped_once(self):
        want = self.query(limit=1000)["rows"][5:]
        self.assertEqual(self.all_pages("", limit=13, offset=5), want)

    def test_pages_of_equal_times(self):
        with Server() as s:
            s.ingest([{"timestamp": BASE, "message": "m", "n": i} for i in range(57)])
            for order in ("desc", "asc"):
                seen, cursor = [], None
                while True:
                    query = {"limit": 10, "order": order}
                    if cursor:
                        query["cursor"] = cursor
                    got = s.get("/api/v1/query", query=query).json()
                    seen += [r["seq"] for r in got["rows"]]
                    cursor = got["next_cursor"]
                    if not cursor:
                        break
                self.assertEqual(sorted(seen), list(range(1, 58)), order)
                self.assertEqual(len(seen), 57)


class TestFormats(Query):
    def test_ndjson(self):
        r = self.server.get("/api/v1/query", query={"q": "agent:a1", "format": "ndjson",
                                                    "all": "true"})
        self.assertTrue(r.headers["Content-Type"].startswith("application/x-ndjson"), r.headers)
        self.assertEqual(len(r.ndjson()), 50)

    def test_csv_cannot_become_a_formula(self):
        evil = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", 'say "hi", ok', "line\nbreak"]
        self.server.ingest([{"agent": "csv", "message": m} for m in evil])
        r = self.server.get("/api/v1/query", query={"q": "agent:csv | fields message",
                                                    "format": "csv"})
        self.assertTrue(r.headers["Content-Type"].startswith("text/csv"))
        self.assertEqual(r.headers["X-Content-Type-Options"], "nosniff")
        rows = list(csv.reader(io.StringIO(r.text(), newline="")))[1:]
        self.assertEqual(len(rows), len(evil))
        for row in rows:
            self.assertNotIn(row[0][:1], "=+-@\t\r", row)

    def test_text_is_one_safe_line_an_entry(self):
        self.server.ingest([{"agent": "txt", "message": "a\nb\r\x1b[31m\u2028\u0085c"}])
        r = self.server.get("/api/v1/query", query={"q": "agent:txt", "format": "text"})
        self.assertTrue(r.headers["Content-Type"].startswith("text/plain"))
        self.assertEqual(len(r.text().splitlines()), 1, r.body)
        self.assertNotIn(b"\x1b", r.body)

    def test_html_in_a_log_is_never_html(self):
        self.server.ingest([{"agent": "xss", "message": "<script>alert(1)</script>"}])
        for fmt in ("json", "ndjson", "csv", "text"):
            r = self.server.get("/api/v1/query", query={"q": "agent:xss", "format": fmt},
                                headers={"Accept": "text/html"})
            self.assertNotIn("html", r.headers["Content-Type"])
            self.assertEqual(r.headers["X-Content-Type-Options"], "nosniff")
            self.assertEqual(r.headers["Cache-Control"], "no-store")
            if fmt != "json":
                self.assertTrue(r.headers["Content-Disposition"].startswith("attachment"))
                self.assertEqual(r.headers["Content-Security-Policy"], "sandbox")

    def test_a_large_export_streams_whole(self):
        with Server() as s:
            text = "x" * 500
            for i in range(0, 20000, 5000):
                s.ingest([{"message": text, "n": i + k} for k in range(5000)])
            r = s.get("/api/v1/query", query={"format": "ndjson", "all": "true", "order": "asc"})
            self.assertEqual(r.status, 200)
            self.assertEqual([e["attributes"]["n"] for e in r.ndjson()], list(range(20000)))
            self.assertEqual(r.headers.get("Transfer-Encoding"), "chunked")
            got = s.get("/api/v1/query", query={"limit": 20000}).json()
            self.assertEqual(len(got["rows"]), 20000)
            self.assertEqual(len(s.get("/search?limit=20000").json()["results"]), 20000)

    def test_a_client_that_leaves_in_the_middle_harms_nobody(self):
        with Server() as s:
            text = "x" * 2000
            for i in range(0, 10000, 5000):
                s.ingest([{"message": text, "n": i + k} for k in range(5000)])
            for _ in range(20):
                c = socket.create_connection(("127.0.0.1", s.port))
                c.sendall(b"GET /api/v1/query?format=ndjson&all=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                c.recv(1000)
                c.close()
            self.assertEqual(len(s.get("/api/v1/query?limit=10").json()["rows"]), 10)

    def test_slow_readers_do_not_stop_queries(self):
        with Server() as s:
            text = "x" * 2000
            for i in range(0, 10000, 5000):
                s.ingest([{"message": text} for _ in range(5000)])
            slow = []
            for _ in range(12):
                c = socket.create_connection(("127.0.0.1", s.port))
                c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                c.sendall(b"GET /api/v1/query?format=ndjson&all=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                slow.append(c)
            for _ in range(10):
                self.assertEqual(len(s.get("/api/v1/query?limit=10", timeout=20).json()["rows"]), 10)
            for c in slow:
                c.close()


class TestTimeline(Query):
    def test_counts_and_gaps(self):
        got = self.get("/api/v1/timeline", q="agent:a*", start=BASE, end=BASE + 300, step="1m")
        self.assertEqual(got["total"], 200)
        self.assertEqual(got["step_ms"], 60000)
        counts = [b["count"] for b in got["buckets"]]
        self.assertEqual(sum(counts), 200)
        self.assertEqual(counts[-1], 0)  # a gap is there
        first = got["buckets"][0]
        self.assertEqual(first["time"], "2023-11-14T22:13:00Z")
        self.assertEqual(sum(first["by"].values()), first["count"])
        self.assertEqual(set(first["by"]), set(LEVELS))

    def test_by_any_field(self):
        got = self.get("/api/v1/timeline", q="agent:a*", start=BASE, end=BASE + 200, step="1h", by="agent")
        total = {}
        for b in got["buckets"]:
            for k, n in b["by"].items():
                total[k] = total.get(k, 0) + n
        self.assertEqual(total, {"a%d" % i: 50 for i in range(4)})

    def test_no_value_is_not_the_empty_one(self):
        with Server() as s:
            s.ingest([{"timestamp": BASE, "message": "m", **more} for more in
                      ({}, {}, {"v": None}, {"v": ""}, {"v": "null"}, {"v": 5}, {"v": "5"}, {"v": [1]})])
            bucket = s.get("/api/v1/timeline?by=v").json()["buckets"][0]
            self.assertEqual(bucket["by"], {"": 1, "null": 1, "5": 2, "[1]": 1})
            self.assertEqual((bucket["count"], bucket["missing"]), (8, 3))
            rows = s.get("/api/v1/query", query={"q": "* | stats count() as n by v"}).json()["rows"]
            self.assertEqual([r["n"] for r in rows if r["v"] is None], [3])

    def test_range_and_step_are_chosen(self):
        with Server() as s:
            self.assertEqual(s.get("/api/v1/timeline").json()["buckets"], [])
            s.ingest(entries())
            got = s.get("/api/v1/timeline").json()
            self.assertEqual(sum(b["count"] for b in got["buckets"]), 200)
            self.assertLessEqual(len(got["buckets"]), 130)

    def test_values_are_told_apart_as_queries_do(self):
        with Server() as s:
            s.ingest([{"message": "m", "v": v} for v in (2, 10, 5.0, 5, "5", "05", 2.5, -1)])
            got = s.get("/api/v1/fields/v/values").json()
            self.assertEqual([(v["value"], v["count"]) for v in got["values"]],
                             [(5, 2), (-1, 1), (2, 1), (2.5, 1), (10, 1), ("05", 1), ("5", 1)])
            q = {"q": "* | stats count_distinct(v) as n"}
            self.assertEqual(s.get("/api/v1/query", query=q).json()["rows"],
                             [{"n": got["distinct"]}])

    def test_refusals(self):
        self.refuse("/api/v1/timeline", q="* | count")
        self.refuse("/api/v1/timeline", q="(")
        self.refuse("/api/v1/timeline", step="0")
        self.refuse("/api/v1/timeline", start=0, end=BASE, step="1s")
        self.assertEqual(self.get("/api/v1/timeline", start=BASE, end=BASE)["buckets"], [])


class TestFields(Query):
    def test_fields(self):
        for query in ({}, {"q": "agent:a*"}):
            got = {f["name"]: f for f in self.get("/api/v1/fields", **query)["fields"]}
            for name in ("agent", "level", "message", "n", "deep.x.y", "tool", "session_id"):
                self.assertIn(name, got, query)
            self.assertTrue(got["n"]["attribute"])
            self.assertFalse(got["agent"]["attribute"])
            self.assertIn("string", got["message"]["types"])
            self.assertEqual((got["level"]["types"], got["timestamp"]["types"], got["n"]["types"]),
                             (["level"], ["time"], ["int"]))  # not how they are stored
            self.assertNotIn("shape", got)
        got = {f["name"]: f for f in self.get("/api/v1/fields", q="agent:a1")["fields"]}
        self.assertEqual(got["n"]["entries"], 50)

    def test_templates(self):
        got = self.get("/api/v1/templates")
        # the marked entries are among them: every message counts once
        total = sum(t["entries"] for t in got["templates"]) + got["other_entries"]
        self.assertEqual(total, self.get("/api/v1/query", q="message:* | count")["rows"][0]["count"])
        top = got["templates"][0]
        self.assertEqual(sum(top["levels"].values()), top["entries"])
        self.assertRegex(top["id"], "^[0-9a-f]{16}$")
        self.assertEqual(len(self.get("/api/v1/templates", limit=1)["templates"]), 1)

    def test_values(self):
        got = self.get("/api/v1/fields/agent/values", q="agent:a*")
        self.assertEqual({v["value"]: v["count"] for v in got["values"]},
                         {"a%d" % i: 50 for i in range(4)})
        self.assertEqual((got["distinct"], got["present"], got["truncated"]), (4, 200, False))
        got = self.get("/api/v1/fields/level/values", q="agent:a*", limit=2)
        self.assertEqual((len(got["values"]), got["truncated"]), (2, True))
        got = self.get("/api/v1/fields/%s/values" % segment("deep.x.y"))
        self.assertEqual({v["value"] for v in got["values"]}, {0, 1, 2})
        self.assertEqual(self.get("/api/v1/fields/nosuch/values")["values"], [])

    def test_every_key_a_field_has_can_be_asked_for(self):
        """what /fields calls it finds it, alone and in the routes that take a name"""
        keys = ["host name", "a.b", "", "`", "`` `", "q\"q'", "back\\slash", "t\tn\n\u0001\u0002\u007f",
                "größe 日本", "\u202eabc", "5k", "-", "$", "in", "after", "agent", "k" * 256, "a|b # (c)",
                "attributes", "*"]
        rows = [{"message": "m", "plain": {k: 100 + i}} for i, k in enumerate(keys)]
        rows += [{"message": "m", "an object": {"x": {k: 200 + i}}} for i, k in enumerate(keys)]
        rows += [{"message": "m", k: 300 + i} for i, k in enumerate(keys) if k not in ("agent", "attributes")]
        with Server() as s:
            s.ingest(rows)
            for state in ("in memory", "started again"):
                fields = s.get("/api/v1/fields", query={"limit": 1000}).json()["fields"]
                names = [f.get("query", f["name"]) for f in fields if f["attribute"]]
                self.assertEqual(len(names), len(rows), state)
                self.assertEqual(len(set(names)), len(names))
                found = {}
                for name in names:
                    said = s.get("/api/v1/query", query={"q": "%s:* | fields %s as v" % (name, name)}).json()
                    self.assertEqual((said["count"], said["warnings"]), (1, []), name)
                    found[said["rows"][0]["v"]] = name
                    got = s.get("/api/v1/fields/%s/values" % segment(name)).json()
                    self.assertEqual([v["value"] for v in got["values"]], [said["rows"][0]["v"]], name)
                    got = s.get("/api/v1/timeline", query={"by": name}).json()
                    self.assertEqual(sum(b["by"].get(str(said["rows"][0]["v"]), 0) for b in got["buckets"]), 1)
                self.assertEqual(len(found), len(rows))
                self.assertEqual(found[100], "plain.`host name`")
                s.restart()

    def test_names_of_any_length(self):
        def ask(q):
            return self.server.post("/api/v1/query", {"q": q})
        long = ask("`%s`:1" % ("k" * 16000)).json()
        self.assertEqual((long["count"], len(long["warnings"])), (0, 1))
        for q, status in (("`%s`:1" % ("k" * 65536), 400), ("`a`." * 4000 + "b:1", 200), ("a.`" * 5000, 400),
                          ("`" + "\\u0041" * 2700 + "`:1", 200), ("`" + "\\u0041" * 2000, 400)):
            self.assertEqual(ask(q).status, status, q[:9])

    def test_anomalies_by_any_name(self):
        for by, status in (("agent", 200), ("deep.`x.y`", 200), ("`a b`", 200), ("a b", 400),
                           ("agent | count", 400), ("`a", 400), ("`a` step 1h", 400)):
            r = self.server.get("/api/v1/anomalies", query={"by": by})
            self.assertEqual(r.status, status, by)

    def test_inside_of_arrays(self):
        with Server() as s:
            s.ingest([{"message": "m", "steps": [{"tool": "a", "ms": 3}, {"tool": "b"}]},
                      {"message": "m", "steps": [{"tool": "b"}]}])
            for _ in range(2):
                got = s.get("/api/v1/query", query={"q": "steps.tool:a | fields steps.tool"}).json()
                self.assertEqual((got["rows"], got["warnings"]), ([{"steps.tool": ["a", "b"]}], []))
                got = s.get("/api/v1/fields/steps.tool/values").json()
                self.assertEqual([(v["value"], v["count"]) for v in got["values"]],
                                 [(["a", "b"], 1), (["b"], 1)])
                s.restart()

    def test_values_keep_their_types(self):
        with Server() as s:
            s.ingest([{"message": "m", "v": v} for v in (5, "5", 5.5, True, None, "", [1, 2])])
            got = s.get("/api/v1/fields/v/values").json()
            values = [json.dumps(v["value"]) for v in got["values"]]
            for want in (5, "5", 5.5, True, "", [1, 2]):
                self.assertIn(json.dumps(want), values)

    def test_refusals(self):
        self.refuse("/api/v1/fields", limit=0)
        self.refuse("/api/v1/fields/agent/values", limit="many")
        self.refuse("/api/v1/fields/agent/values", q="(")
        self.refuse("/api/v1/fields/shape/values", status=404)


class TestEntries(Query):
    def test_by_id(self):
        row = self.query("n:17")["rows"][0]
        self.assertEqual(self.get("/api/v1/entries/" + row["id"]), row)
        self.assertEqual(self.get("/api/v1/entries/" + row["id"].upper()), row)

    def test_by_a_clients_own_id(self):
        own = str(uuid.uuid4())
        self.server.ingest([{"id": own, "agent": "own", "message": "first"}])
        self.assertEqual(self.get("/api/v1/entries/" + own)["message"], "first")
        self.server.ingest([{"id": own, "agent": "own", "message": "second"}])
        self.assertEqual(self.get("/api/v1/entries/" + own)["message"], "second")

    def test_unknown_and_malformed_ids_are_404(self):
        for id_ in (str(uuid.uuid4()), "nonsense", "..%2f..%2fetc", "%00"):
            r = self.server.get("/api/v1/entries/" + id_)
            self.assertIn(r.status, (404, 400), id_)

    def test_context_in_the_session(self):
        row = self.query("n:50")["rows"][0]
        got = self.get("/api/v1/entries/%s/context" % row["id"], before=3, after=2)
        self.assertEqual((got["by"], got["value"]), ("session_id", "s2"))
        self.assertEqual([r["attributes"]["n"] for r in got["before"]], [47, 48, 49])
        self.assertEqual(got["entry"], row)
        self.assertEqual([r["attributes"]["n"] for r in got["after"]], [51, 52])
        edge = self.query("n:40")["rows"][0]  # first of its session
        self.assertEqual(self.get("/api/v1/entries/%s/context" % edge["id"])["before"], [])

    def test_context_by_agent(self):
        row = self.query("n:50")["rows"][0]
        got = self.get("/api/v1/entries/%s/context" % row["id"], by="agent", before=2, after=2)
        self.assertEqual([r["attributes"]["n"] for r in got["before"] + got["after"]],
                         [42, 46, 54, 58])

    def test_context_of_equal_times_follows_seq(self):
        with Server() as s:
            s.ingest([{"timestamp": BASE, "agent": "t", "session_id": "x", "message": str(i)}
                      for i in range(9)])
            row = s.get("/api/v1/query?q=4").json()["rows"][0]
            got = s.get("/api/v1/entries/%s/context?before=2&after=2" % row["id"]).json()
            self.assertEqual([r["message"] for r in got["before"] + got["after"]],
                             ["2", "3", "5", "6"])

    def test_context_refusals(self):
        row = self.query("n:1")["rows"][0]
        path = "/api/v1/entries/%s/context" % row["id"]
        self.refuse(path, before="x")
        self.refuse(path, after=100000)
        self.refuse(path, by="weather")
        self.refuse("/api/v1/entries/%s/context" % uuid.uuid4(), status=404)

    def test_odd_times_keep_their_order_after_a_flush(self):
        with Server() as s:
            order = list(range(3000))
            random.Random(7).shuffle(order)
            for i in range(0, 3000, 500):
                s.ingest([{"timestamp": BASE + n, "message": "m", "n": n} for n in order[i:i + 500]])
            s.restart()
            got = s.get("/search", query={"limit": 3000}).json()["results"]
            self.assertEqual([e["context"]["n"] for e in got], list(range(2999, -1, -1)))
            got = s.get("/search", query={"limit": 10, "offset": 1500, "sort": "asc"}).json()
            self.assertEqual([e["context"]["n"] for e in got["results"]], list(range(1500, 1510)))


class TestResolve(Query):
    def post(self, body):
        return self.server.post("/api/v1/resolve", body)

    def test_resolve_and_find_by_mark(self):
        self.server.ingest([{"agent": "res", "level": "error", "message": str(i)} for i in range(4)])
        ids = [r["id"] for r in self.query("agent:res")["rows"]]
        strange = str(uuid.uuid4())
        r = self.post({"ids": ids[:2] + [strange], "by": "ada", "note": "looked at"})
        self.assertEqual((r.status, r.json()), (200, {"resolved": 2, "not_found": [strange]}))
        self.assertEqual(len(self.query("agent:res resolved:true")["rows"]), 2)
        self.assertEqual(len(self.query("agent:res resolved:false")["rows"]), 2)
        row = self.get("/api/v1/entries/" + ids[0])
        self.assertEqual((row["resolved"], row["resolved_by"], row["note"]),
                         (True, "ada", "looked at"))
        self.post({"id": ids[0], "by": "bob"})
        self.assertEqual(self.get("/api/v1/entries/" + ids[0])["resolved_by"], "ada")

    def test_refusals(self):
        for body in ({}, {"ids": []}, {"ids": "x", "by": "a"}, {"ids": [1], "by": "a"},
                     {"ids": [], "by": 5}, {"id": 5, "by": "a"}, [], "{",
                     {"ids": [], "by": "a" * 2000}, {"ids": [], "by": "a", "note": 1}):
            r = self.post(body)
            self.assertEqual(r.status, 400, body)
            self.assertTrue(r.json()["error"]["message"])
        self.assertEqual(self.post({"ids": [], "by": "a"}).json(), {"resolved": 0, "not_found": []})


class TestLoad(unittest.TestCase):
    def test_slow_queries_delay_no_ingest_and_no_health(self):
        with Server() as s:
            for i in range(0, 40000, 10000):
                s.ingest([{"message": "some words to read through, number %d" % (i + k)}
                          for k in range(10000)])
            stop = threading.Event()

            def slow():
                while not stop.is_set():
                    s.get("/api/v1/query", query={"q": "/(\\w+\\s?)+z{9}/ | stats count() by message"})

            threads = [threading.Thread(target=slow) for _ in range(6)]
            for t in threads:
                t.start()
            worst = 0
            for _ in range(40):
                began = time.monotonic()
                s.ingest([{"message": "quick"}])
                self.assertEqual(s.get("/health").status, 200)
                worst = max(worst, time.monotonic() - began)
            stop.set()
            for t in threads:
                t.join()
            self.assertLess(worst, 5)


if __name__ == "__main__":
    unittest.main()
