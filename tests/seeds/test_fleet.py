"""The Fleet Logger HTTP API, from its contract: POST /ingest, GET /search, /agents, /stats,
/trace/{id}, /tail, /health, DELETE /prune."""
import json
import threading
import time
import unittest

from fleetlog import Server, segment, wait_until


def entry(agent, message, level="INFO", timestamp=None, **more):
    e = {"timestamp": time.time() if timestamp is None else timestamp, "agent": agent,
         "level": level, "message": message}
    e.update(more)
    return e


class Fleet(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def put(self, body):
        r = self.server.post("/ingest", body)
        self.assertEqual(r.status, 200, r)
        return r.json()

    def search(self, **query):
        r = self.server.get("/search", query=query)
        self.assertEqual(r.status, 200, r)
        return r.json()

    def messages(self, **query):
        return [e["message"] for e in self.search(**query)["results"]]


class TestHealthAndIngest(Fleet):
    def test_health_says_ok_with_counts(self):
        h = self.server.get("/health").json()
        self.assertEqual(h["status"], "ok")
        self.assertIsInstance(h["entries"], int)
        self.assertIsInstance(h["agents"], int)
        self.assertIn("uptime_since", h)

    def test_one_object(self):
        self.assertEqual(self.put(entry("one", "hello")), {"ingested": 1, "status": "ok"})

    def test_array_of_five(self):
        now = time.time()
        r = self.put([entry("five", "m%d" % i, timestamp=now + i) for i in range(5)])
        self.assertEqual(r, {"ingested": 5, "status": "ok"})
        self.assertEqual(self.search(agent="five")["count"], 5)

    def test_empty_array(self):
        self.assertEqual(self.put([])["ingested"], 0)

    def test_lower_case_level_is_taken_and_shown_upper_case(self):
        self.put(entry("lower", "x", level="error"))
        self.assertEqual(self.search(agent="lower")["results"][0]["level"], "ERROR")

    def test_every_level(self):
        for level in ("DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"):
            self.put(entry("levels", level, level=level))
        got = {e["message"]: e["level"] for e in self.search(agent="levels")["results"]}
        self.assertEqual(got, {v: v for v in ("DEBUG", "INFO", "WARN", "ERROR", "CRITICAL")})

    def test_unknown_level_is_400(self):
        r = self.server.post("/ingest", entry("bad", "x", level="LOUD"))
        self.assertEqual(r.status, 400)
        self.assertIn("LOUD", r.json()["error"])
        self.assertEqual(self.search(agent="bad")["count"], 0)

    def test_one_bad_entry_refuses_all(self):
        batch = [entry("atomic", "a"), entry("atomic", "b", level="NOPE"), entry("atomic", "c")]
        r = self.server.post("/ingest", batch)
        self.assertEqual(r.status, 400)
        self.assertIsInstance(r.json()["error"], str)
        self.assertEqual(self.search(agent="atomic")["count"], 0)

    def test_broken_json_is_400(self):
        for body in ('{"agent":', "", "nonsense", '[{"a":1},'):
            r = self.server.post("/ingest", body)
            self.assertEqual(r.status, 400, body)
            self.assertIsInstance(r.json()["error"], str)

    def test_broken_json_says_what_and_where_once(self):
        r = self.server.post("/ingest", '[{"timestamp": nope}]')
        self.assertEqual(r.status, 400, r)
        self.assertRegex(r.json()["error"], r"^Invalid JSON: (?!invalid)[a-z].* \(at byte 15\)$")

    def test_scalars_are_400(self):
        for body in ("1", "null", '"text"', "[1]", "[null]", '["a"]'):
            self.assertEqual(self.server.post("/ingest", body).status, 400, body)

    def test_content_type_is_not_asked_for(self):
        body = json.dumps(entry("typeless", "x"))
        r = self.server.post("/ingest", body, headers={"Content-Type": "text/plain"})
        self.assertEqual(r.status, 200, r)

    def test_round_trip_of_trace_session_context(self):
        e = entry("round", "trip", timestamp=1700000000.25, trace_id="tr-1", session_id="s-9",
                  context={"k": 1, "deep": {"a": [1, 2.5, None, True]}, "z": "é"})
        self.put(e)
        got = self.search(agent="round")["results"][0]
        self.assertEqual({k: got[k] for k in e}, e)

    def test_a_minimal_entry_shows_all_seven_keys(self):
        self.put(entry("seven", "x"))
        got = self.search(agent="seven")["results"][0]
        self.assertEqual(got["context"], {})
        self.assertEqual(got["trace_id"], "")
        self.assertEqual(got["session_id"], "")

    def test_unicode_and_emoji(self):
        text = "héllo 世界 🚀🔥 \u0000 end"
        self.put(entry("ünï-🚀", text))
        self.assertEqual(self.messages(agent="ünï-🚀"), [text])

    def test_empty_message(self):
        self.put(entry("empty-msg", ""))
        self.assertEqual(self.messages(agent="empty-msg"), [""])

    def test_thousand_in_one_batch(self):
        self.put([entry("thousand", "m%d" % i, timestamp=1700000000 + i) for i in range(1000)])
        got = self.search(agent="thousand", limit=1000)
        self.assertEqual(got["count"], 1000)
        self.assertEqual(len({e["message"] for e in got["results"]}), 1000)

    def test_ten_writers_lose_nothing(self):
        failures = []

        def write(n):
            try:
                for i in range(50):
                    self.put(entry("writer-%d" % n, "w%d-%d" % (n, i)))
            except Exception as e:  # shown by the assertion below
                failures.append(e)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(10)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failures, [])
        got = self.messages(agent="writer-*", limit=10000)
        self.assertEqual(len(got), 500)
        self.assertEqual(len(set(got)), 500)


class TestSearch(Fleet):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        base = 1700000000
        levels = ["DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"]
        batch = [entry("svc-%s" % "ab"[i % 2], "connection to port %d refused" % (5430 + i),
                       level=levels[i % 5], timestamp=base + i, trace_id="t%d" % (i % 4),
                       session_id="s%d" % (i % 3)) for i in range(20)]
        batch.append(entry("worker", "Port 5432 OPEN", timestamp=base + 100))
        r = cls.server.post("/ingest", batch)
        assert r.status == 200, r

    def test_shape(self):
        r = self.search(agent="worker")
        self.assertEqual((r["count"], r["limit"], r["offset"]), (1, 100, 0))

    def test_count_is_what_was_returned(self):
        r = self.search(limit=7)
        self.assertEqual((r["count"], len(r["results"]), r["limit"]), (7, 7, 7))

    def test_exact_agent(self):
        r = self.search(agent="svc-a")["results"]
        self.assertEqual({e["agent"] for e in r}, {"svc-a"})
        self.assertEqual(len(r), 10)

    def test_unknown_agent_is_empty(self):
        self.assertEqual(self.search(agent="nobody"),
                         {"results": [], "count": 0, "limit": 100, "offset": 0})

    def test_agent_glob(self):
        r = self.search(agent="svc-*")["results"]
        self.assertEqual({e["agent"] for e in r}, {"svc-a", "svc-b"})
        self.assertEqual(self.search(agent="*-b")["count"], 10)

    def test_agent_glob_is_anchored_and_has_one_wildcard(self):
        self.assertEqual(self.search(agent="vc-*")["count"], 0)
        self.assertEqual(self.search(agent="svc-?*")["count"], 0)

    def test_level_is_a_minimum(self):
        got = {e["level"] for e in self.search(level="ERROR", limit=100)["results"]}
        self.assertEqual(got, {"ERROR", "CRITICAL"})
        got = {e["level"] for e in self.search(level="warn")["results"]}
        self.assertEqual(got, {"WARN", "ERROR", "CRITICAL"})

    def test_unknown_level_name_filters_nothing(self):
        self.assertEqual(self.search(level="loud")["count"], 21)

    def test_trace_and_session(self):
        self.assertEqual(self.search(trace_id="t1")["count"], 5)
        self.assertEqual({e["session_id"] for e in self.search(session_id="s2")["results"]}, {"s2"})
        self.assertEqual(self.search(trace_id="t1", session_id="s1")["count"], 2)

    def test_empty_filters_are_ignored(self):
        self.assertEqual(self.search(trace_id="", session_id="", pattern="")["count"], 21)

    def test_time_window_includes_both_ends(self):
        got = self.messages(min_ts=1700000005, max_ts=1700000007)
        self.assertEqual(len(got), 3)
        self.assertEqual(self.search(min_ts=1700000100)["count"], 1)

    def test_pattern_is_a_case_sensitive_unanchored_regex(self):
        self.assertEqual(self.messages(pattern=r"port 543[23]"),
                         ["connection to port 5433 refused", "connection to port 5432 refused"])
        self.assertEqual(self.messages(pattern=r"(?i)port 5432"),
                         ["Port 5432 OPEN", "connection to port 5432 refused"])
        self.assertEqual(self.messages(pattern=r"OPEN$"), ["Port 5432 OPEN"])

    def test_newest_first_by_default(self):
        ts = [e["timestamp"] for e in self.search()["results"]]
        self.assertEqual(ts, sorted(ts, reverse=True))

    def test_sort_ascending(self):
        for sort in ("asc", "ASC", "other"):
            ts = [e["timestamp"] for e in self.search(sort=sort)["results"]]
            self.assertEqual(ts, sorted(ts))
        ts = [e["timestamp"] for e in self.search(sort="DESC")["results"]]
        self.assertEqual(ts, sorted(ts, reverse=True))

    def test_pages_do_not_overlap(self):
        first = self.messages(agent="svc-*", limit=5)
        second = self.messages(agent="svc-*", limit=5, offset=5)
        self.assertEqual(len(set(first) | set(second)), 10)
        everything = self.messages(agent="svc-*")
        self.assertEqual(everything[:10], first + second)

    def test_offset_past_the_end(self):
        self.assertEqual(self.search(offset=1000)["results"], [])

    def test_unknown_parameters_are_ignored(self):
        self.assertEqual(self.search(agent="worker", nonsense="1")["count"], 1)

    def test_our_query_language_in_q(self):
        self.assertEqual(self.messages(q='agent:worker "port 5432"'), ["Port 5432 OPEN"])
        got = self.search(q="agent:svc-* level:error")["results"]
        self.assertEqual(len(got), 8)

    def test_a_bad_q_is_400_with_its_position(self):
        r = self.server.get("/search", query={"q": "agent:a ("})
        self.assertEqual(r.status, 400)
        self.assertEqual(r.json()["error"], "the parenthesis is never closed (at byte 8)")

    def test_a_bad_pattern_is_400_with_the_reason(self):
        for pattern in ("(", "[a", "*a", "(?<", "(?P<x>a"):
            r = self.server.get("/search", query={"pattern": pattern})
            self.assertEqual(r.status, 400, pattern)
            self.assertTrue(r.json()["error"], pattern)

    def test_bad_numbers_are_400_with_the_reason(self):
        for name, value in (("limit", "ten"), ("offset", "x"), ("limit", "1.5"), ("limit", "")):
            r = self.server.get("/search", query={name: value})
            self.assertEqual(r.status, 400, (name, value))
            self.assertIn(name, r.json()["error"])


class TestViews(Fleet):
    def test_agents(self):
        self.put([entry("count-a", "1")])
        self.put([entry("count-b", str(i)) for i in range(10)])
        r = self.server.get("/agents").json()
        self.assertEqual(r["agents"]["count-a"], 1)
        self.assertEqual(r["agents"]["count-b"], 10)
        self.assertEqual(r["count"], len(r["agents"]))

    def test_stats(self):
        before = self.server.get("/stats").json()
        self.put([entry("st", "x", level="ERROR", timestamp=1700000000),
                  entry("st", "y", timestamp=1700003600)])
        s = self.server.get("/stats").json()
        for key in ("total_entries", "agents_count", "level_counts", "agent_counts", "top_agents",
                    "hourly_counts", "earliest_ts", "latest_ts", "index_size", "storage_dir"):
            self.assertIn(key, s)
        self.assertEqual(s["total_entries"], before["total_entries"] + 2)
        self.assertEqual(s["agent_counts"]["st"], 2)
        self.assertEqual(s["level_counts"]["ERROR"], before["level_counts"].get("ERROR", 0) + 1)
        self.assertEqual(s["hourly_counts"]["2023-11-14T22:00"], 1)
        self.assertEqual(s["hourly_counts"]["2023-11-14T23:00"], 1)
        self.assertLessEqual(len(s["top_agents"]), 5)

    def test_trace_is_ascending(self):
        for i in (2, 0, 1):
            self.put(entry("tracer", "step %d" % i, timestamp=1700000000 + i, trace_id="tr-abc"))
        r = self.server.get("/trace/tr-abc").json()
        self.assertEqual((r["trace_id"], r["count"]), ("tr-abc", 3))
        self.assertEqual([e["message"] for e in r["entries"]], ["step 0", "step 1", "step 2"])

    def test_unknown_trace_is_empty(self):
        r = self.server.get("/trace/none-such")
        self.assertEqual(r.status, 200)
        self.assertEqual(r.json(), {"trace_id": "none-such", "entries": [], "count": 0})

    def test_trace_without_id_is_404(self):
        self.assertEqual(self.server.get("/trace/").status, 404)

    def test_trace_ids_may_hold_a_slash_or_a_space(self):
        self.put([entry("tracer", "slash", trace_id="a/b"), entry("tracer", "sp", trace_id="a b")])
        self.assertEqual(self.server.get("/trace/a/b").json()["count"], 1)
        self.assertEqual(self.server.get("/trace/" + segment("a b")).json()["count"], 1)

    def test_unknown_route_is_404_json(self):
        r = self.server.get("/none/such")
        self.assertEqual(r.status, 404)
        self.assertIn("error", r.json())

    def test_doubled_and_trailing_slashes_do_not_matter(self):
        self.assertEqual(self.server.get("//health/").status, 200)


class TestTail(Fleet):
    def tail(self, **query):
        box = {}

        def run():
            started = time.monotonic()
            box["answer"] = self.server.get("/tail", query=query)
            box["seconds"] = time.monotonic() - started

        t = threading.Thread(target=run)
        t.start()
        return t, box

    def until_answered(self, thread, agent, level="INFO"):
        """Writes entries until the tail, which may not listen yet, has one."""
        n = 0
        while thread.is_alive():
            self.put(entry(agent, "live %d" % n, level=level))
            n += 1
            thread.join(0.05)

    def test_returns_at_the_first_match(self):
        t, box = self.tail(timeout=30, agent="live")
        self.until_answered(t, "live")
        self.assertEqual(box["answer"].status, 200)
        r = box["answer"].json()
        self.assertGreaterEqual(r["count"], 1)
        self.assertEqual(r["count"], len(r["entries"]))
        self.assertTrue(r["entries"][0]["message"].startswith("live "))
        self.assertLess(box["seconds"], 15)

    def test_filters_by_exact_agent_and_minimum_level(self):
        t, box = self.tail(timeout=30, agent="picky", level="ERROR")
        deadline = time.monotonic() + 20
        while t.is_alive() and time.monotonic() < deadline:
            self.put([entry("other", "no", level="CRITICAL"), entry("picky", "no", level="WARN")])
            self.put(entry("picky", "yes", level="CRITICAL"))
            t.join(0.05)
        t.join()
        got = box["answer"].json()["entries"]
        self.assertEqual({e["message"] for e in got}, {"yes"})

    def test_an_empty_tail_ends_at_its_timeout(self):
        started = time.monotonic()
        r = self.server.get("/tail", query={"timeout": "0.3", "agent": "silent"}).json()
        self.assertEqual(r, {"entries": [], "count": 0})
        self.assertGreaterEqual(time.monotonic() - started, 0.25)

    def test_ingest_is_not_blocked_by_waiting_tails(self):
        def listening():
            return self.server.get("/api/v1/status").json()["live"]["subscribers"]

        wait_until(lambda: listening() == 0)
        tails = [self.tail(timeout=250, agent="waits") for _ in range(8)]
        wait_until(lambda: listening() == 8)
        for i in range(20):
            self.put(entry("free", "x%d" % i))
        self.assertEqual(self.search(agent="free")["count"], 20)
        self.assertEqual(listening(), 8)
        self.put(entry("waits", "over"))
        for t, box in tails:
            t.join()
            self.assertEqual(box["answer"].json()["count"], 1)

    def test_a_bad_timeout_is_400(self):
        for value in ("soon", "", "nan", "-1"):
            r = self.server.get("/tail", query={"timeout": value})
            self.assertEqual(r.status, 400, value)
            self.assertIn("timeout", r.json()["error"])


class TestPruneAndRestart(unittest.TestCase):
    def test_prune_removes_what_is_older_and_keeps_the_rest(self):
        with Server() as s:
            now = time.time()
            s.post("/ingest", [entry("p", "old", timestamp=now - 10 * 86400),
                               entry("p", "new", timestamp=now - 60),
                               entry("q", "ancient", timestamp=now - 90 * 86400)])
            r = s.delete("/prune?days=5")
            self.assertEqual((r.status, r.json()), (200, {"pruned": 2, "retention_days": 5}))
            left = s.get("/search").json()["results"]
            self.assertEqual([e["message"] for e in left], ["new"])

    def test_prune_zero_spares_the_future(self):
        with Server() as s:
            now = time.time()
            s.post("/ingest", [entry("p", "past", timestamp=now - 5),
                               entry("p", "future", timestamp=now + 3600)])
            self.assertEqual(s.delete("/prune?days=0").json()["pruned"], 1)
            left = s.get("/search").json()["results"]
            self.assertEqual([e["message"] for e in left], ["future"])

    def test_prune_defaults_to_thirty_days(self):
        with Server() as s:
            s.post("/ingest", [entry("p", "29", timestamp=time.time() - 29 * 86400),
                               entry("p", "31", timestamp=time.time() - 31 * 86400)])
            self.assertEqual(s.delete("/prune").json(), {"pruned": 1, "retention_days": 30})

    def test_bad_days_is_400(self):
        with Server() as s:
            for value in ("soon", "1.5", ""):
                r = s.delete("/prune?days=" + value)
                self.assertEqual(r.status, 400, value)
                self.assertIn("days", r.json()["error"])

    def test_pruned_entries_never_return(self):
        with Server() as s:
            now = time.time()
            s.post("/ingest", [entry("gone", "old %d" % i, timestamp=now - 40 * 86400)
                               for i in range(5)])
            s.post("/ingest", entry("stays", "new"))
            self.assertEqual(s.delete("/prune?days=30").json()["pruned"], 5)
            for again in (s.restart, lambda: (s.kill(), s.start())):
                again()
                got = [e["message"] for e in s.get("/search").json()["results"]]
                self.assertEqual(got, ["new"])
            self.assertNotIn("gone", s.get("/agents").json()["agents"])

    def test_entries_survive_restart_and_kill(self):
        with Server() as s:
            for agent in ("a", "b", "c"):
                s.post("/ingest", [entry(agent, "%s%d" % (agent, i)) for i in range(3)])
            want = {"a%d" % i for i in range(3)} | {"b%d" % i for i in range(3)}
            want |= {"c%d" % i for i in range(3)}
            for again in (s.restart, lambda: (s.kill(), s.start())):
                again()
                got = [e["message"] for e in s.get("/search").json()["results"]]
                self.assertEqual(len(got), 9)
                self.assertEqual(set(got), want)
                self.assertEqual(s.get("/health").json()["entries"], 9)

    def test_an_empty_server_counts_zero(self):
        with Server() as s:
            stats = s.get("/stats").json()
            self.assertEqual((stats["total_entries"], stats["agents_count"]), (0, 0))
            self.assertEqual(s.get("/agents").json(), {"agents": {}, "count": 0})
            h = s.get("/health").json()
            self.assertEqual((h["status"], h["entries"], h["agents"]), ("ok", 0, 0))
            self.assertIsNone(h["uptime_since"])

    def test_the_subscriber_gets_what_was_posted(self):
        with Server() as s:
            first = {}
            t = threading.Thread(target=lambda: first.update(s.get("/tail?timeout=20").json()))
            t.start()
            sent = []

            def posted():
                sent.append("n%d" % len(sent))
                s.post("/ingest", entry("sub", sent[-1], context={"i": len(sent)}))
                return not t.is_alive()

            wait_until(posted, 20, "the tail's answer")
            t.join()
            self.assertIn(first["entries"][0]["message"], sent)


if __name__ == "__main__":
    unittest.main()
