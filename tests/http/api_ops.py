"""Health, readiness, metrics, status, integrity, documents; starting, stopping, reloading."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from fleetlog import BIN, Server, wait_until

SOURCE = os.environ.get("FLEETLOG_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))


class Ops(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.server.ingest([{"agent": "o", "level": "error", "message": "m%d" % i} for i in range(5)])

    @classmethod
    def tearDownClass(cls):
        cls.server.close()


class TestState(Ops):
    def test_health(self):
        h = self.server.get("/health").json()
        self.assertEqual((h["status"], h["db"], h["entries"], h["agents"]), ("ok", "connected", 5, 1))
        self.assertAlmostEqual(h["timestamp"] / 1000, time.time(), delta=60)
        self.assertIn("version", h)

    def test_ready(self):
        r = self.server.get("/ready")
        self.assertEqual((r.status, r.json()), (200, {"ready": True}))

    def test_status(self):
        s = self.server.get("/api/v1/status").json()
        for key in ("version", "started_at", "store", "ingest", "live", "queries", "limits", "open"):
            self.assertIn(key, s)
        self.assertEqual(s["store"]["watermark"], 5)
        self.assertEqual(s["store"]["engine"], "columnar")
        self.assertFalse(s["store"]["writer_failed"])
        self.assertEqual(s["store"]["dead_rows"], 0)
        self.assertEqual((s["scrub"]["running"], s["scrub"]["finished_at"]), (False, None))
        self.assertEqual([(c["class"], c["name"]) for c in s["classes"]], [(0, "default")])

    def test_refusals_are_told_with_reason_and_count(self):
        with Server() as s:
            self.assertEqual(s.get("/api/v1/status").json()["refusals"], [])
            for _ in range(3):
                self.assertEqual(s.post("/api/v1/ingest", [{"agent": "x", "timestamp": "never"}]).status, 400)
            self.assertEqual(s.post("/api/v1/ingest", b"{nothing").status, 400)
            got = s.get("/api/v1/status").json()["refusals"]
            self.assertEqual(len(got), 2, got)
            self.assertEqual((got[1]["entries"], got[1]["path"]), (3, "/api/v1/ingest"))
            self.assertIn("timestamp", got[1]["reason"])
            for i in range(30):  # each with a reason of its own: the newest are kept
                s.post("/api/v1/ingest", [{"agent": "x", "timestamp": "never %d" % i}])
            self.assertLessEqual(len(s.get("/api/v1/status").json()["refusals"]), 20)

    def test_integrity(self):
        got = self.server.get("/api/v1/integrity").json()
        self.assertEqual((got["ok"], got["gaps"], got["corruptions"]), (True, [], 0))

    def test_metrics_are_well_formed(self):
        r = self.server.get("/metrics")
        self.assertTrue(r.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        seen = {}
        for line in r.text().splitlines():
            if line.startswith("#"):
                self.assertRegex(line, r"^# (HELP|TYPE) fleetlog_\w+ \S")
                continue
            m = re.fullmatch(r'(fleetlog_\w+)(\{[^}]*\})? ([-+0-9.e]+)', line)
            self.assertTrue(m, line)
            self.assertNotIn(m.group(1) + (m.group(2) or ""), seen)
            seen[m.group(1) + (m.group(2) or "")] = float(m.group(3))
        self.assertEqual(seen["fleetlog_entries"], 5)
        self.assertEqual(seen["fleetlog_entries_stored_total"], 5)
        for name in ("fleetlog_store_wal_syncs_total", "fleetlog_connections",
                     "fleetlog_tail_subscribers", "fleetlog_queries_total"):
            self.assertIn(name, seen)
        buckets = [v for k, v in seen.items() if k.startswith(
            'fleetlog_request_seconds_bucket{kind="ingest"')]
        self.assertEqual(buckets, sorted(buckets))

    def test_the_root(self):
        r = self.server.get("/")
        self.assertEqual(r.headers["X-Elastic-Product"], "Elasticsearch")
        self.assertEqual(r.json()["tagline"], "You Know, for Search")
        page = self.server.get("/", headers={"Accept": "text/html"})
        self.assertIn("EventSource", page.text())
        self.assertEqual(page.body, self.server.get("/logs", headers={"Accept": "text/html"}).body)


class TestRouting(Ops):
    def test_unknown_paths_in_each_dialect(self):
        self.assertEqual(self.server.get("/api/v1/nosuch").json()["error"]["code"], "not_found")
        self.assertIn("/nosuch", self.server.get("/nosuch").json()["error"])
        self.assertEqual(self.server.get("/logs/no/such/path").json(), {"detail": "Not Found"})
        for path in ("/api/v1/nosuch", "/nosuch", "/logs/no/such/path", "/..", "/%2e%2e/etc/passwd"):
            self.assertEqual(self.server.get(path).status, 404, path)

    def test_methods(self):
        r = self.server.request("PATCH", "/api/v1/ingest")
        self.assertEqual(r.status, 405)
        self.assertEqual(r.headers["Allow"], "POST, OPTIONS")
        self.assertEqual(r.json()["error"]["code"], "method_not_allowed")
        r = self.server.request("OPTIONS", "/api/v1/query")
        self.assertEqual(r.status, 204)
        self.assertEqual(set(r.headers["Allow"].split(", ")), {"GET", "HEAD", "POST", "OPTIONS"})
        r = self.server.request("OPTIONS", "/api/v1/keys/1")
        self.assertEqual(set(r.headers["Allow"].split(", ")), {"GET", "HEAD", "DELETE", "OPTIONS"})

    def test_head_is_get_without_its_body(self):
        for path in ("/health", "/search", "/logs", "/metrics", "/api/v1/query"):
            r = self.server.request("HEAD", path)
            self.assertEqual((r.status, r.body), (200, b""), path)

    def test_slashes(self):
        for path in ("/api/v1/status/", "//api//v1/status", "/search/", "//search?limit=1"):
            self.assertEqual(self.server.get(path).status, 200, path)

    def test_arguments_are_decoded_once(self):
        self.server.post("/ingest", {"timestamp": 1, "agent": "t", "level": "INFO", "message": "m",
                                     "trace_id": "a%2Fb c/d"})
        self.assertEqual(self.server.get("/trace/a%252Fb%20c/d").json()["count"], 1)
        self.assertEqual(self.server.get("/trace/a%2Fb%20c/d").json()["count"], 0)


class TestDocuments(Ops):
    def run_docs(self, *flags):
        return subprocess.run([BIN, "routes", *flags], capture_output=True, timeout=60, check=True).stdout

    def test_the_committed_page_is_the_tables(self):
        with open(os.path.join(SOURCE, "docs", "http-api.md"), "rb") as f:
            committed = f.read()
        self.assertEqual(self.run_docs().decode(), committed.decode(),
                         "run: fleetlog routes > docs/http-api.md")

    def test_openapi_is_the_same_from_both(self):
        served = self.server.get("/openapi.json")
        self.assertEqual(json.loads(self.run_docs("--openapi")), served.json())
        doc = served.json()
        self.assertTrue(doc["openapi"].startswith("3.1"))
        ids = set()
        for path, methods in doc["paths"].items():
            names = set(re.findall(r"\{(\w+)\}", path))
            for op in methods.values():
                self.assertNotIn(op["operationId"], ids)
                ids.add(op["operationId"])
                self.assertIn("200", op["responses"])
                have = {p["name"] for p in op.get("parameters", []) if p["in"] == "path"}
                self.assertEqual(have, names, path)
        self.assertGreaterEqual(len(ids), 40)


class TestLife(unittest.TestCase):
    def test_it_says_where_it_listens(self):
        s = Server()
        s.start()
        try:
            wait_until(lambda: "fleetlog listening on http://127.0.0.1:%d\n" % s.port in s.out)
        finally:
            s.close()

    def test_acknowledged_entries_survive_a_stop_under_load(self):
        s = Server().start()
        acked, stop = [], threading.Event()

        def write(n):
            i = 0
            while not stop.is_set():
                try:
                    r = s.post("/api/v1/ingest", {"agent": "w%d" % n, "message": str(i)})
                except OSError:
                    return
                except Exception:
                    return
                if r.status == 200:
                    acked.append(("w%d" % n, str(i)))
                i += 1

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        try:
            for t in threads:
                t.start()
            wait_until(lambda: len(acked) > 200)
            s.stop()
            stop.set()
            for t in threads:
                t.join()
            s.start()
            rows = s.get("/api/v1/query", query={"limit": 100000}).json()["rows"]
            have = [(r["agent"], r["message"]) for r in rows]
            self.assertEqual(len(have), len(set(have)))
            self.assertEqual(set(acked) - set(have), set())
        finally:
            stop.set()
            s.close()

    def begin_request(self, s, n):
        """A request for n bytes of body of which the server has read the head, and says so."""
        c = socket.create_connection(("127.0.0.1", s.port), timeout=20)
        c.sendall(b"POST /api/v1/ingest HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                  b"Content-Length: %d\r\n\r\n" % n)
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            got += c.recv(1000)
        self.assertEqual(got, b"HTTP/1.1 100 Continue\r\n\r\n")
        return c

    def test_a_request_in_progress_is_answered_at_the_end(self):
        with Server() as s:
            body = b'{"message":"last"}'
            c = self.begin_request(s, len(body))
            c.sendall(body[:5])
            s.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "stopping" in s.err)
            c.sendall(body[5:])
            got = c.recv(1000)
            c.close()
            self.assertTrue(got.startswith(b"HTTP/1.1 200"), got)
            s.process.wait(30)
            s.start()
            self.assertEqual(len(s.get("/api/v1/query").json()["rows"]), 1)

    def test_sighup_changes_nothing_without_tls(self):
        with Server() as s:
            s.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "SIGHUP" in s.err)
            self.assertEqual(s.get("/health").status, 200)

    def test_a_second_signal_ends_it_at_once(self):
        s = Server().start()
        try:
            c = self.begin_request(s, 10)  # half a request keeps the drain waiting
            s.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "stopping" in s.err)
            began = time.monotonic()
            s.process.send_signal(signal.SIGTERM)
            s.process.wait(20)
            self.assertLess(time.monotonic() - began, 5)
            c.close()
            s.process = None
        finally:
            s.close()

    def test_idle_it_costs_nothing(self):
        with Server() as s:
            def ticks():
                with open("/proc/%d/stat" % s.process.pid) as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                return int(fields[11]) + int(fields[12])

            def a_quiet_while():
                before = ticks()
                time.sleep(2)
                return ticks() - before <= 2

            wait_until(a_quiet_while, 60)  # what the start left to do comes first


if __name__ == "__main__":
    unittest.main()
