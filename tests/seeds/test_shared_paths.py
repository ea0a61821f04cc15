"""Paths that several systems use with different meanings, as our HTTP document settles them."""
import time
import unittest

from fleetlog import Server


class TestSharedPaths(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.server.post("/ingest", {"timestamp": time.time(), "agent": "sp", "level": "WARN",
                                    "message": "shared", "trace_id": "tr-sp"})

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_health_has_the_keys_of_all(self):
        h = self.server.get("/health").json()
        self.assertEqual((h["status"], h["db"]), ("ok", "connected"))
        for key in ("version", "entries", "agents", "uptime_since", "timestamp"):
            self.assertIn(key, h)
        self.assertEqual((h["entries"], h["agents"]), (1, 1))

    def test_logs_is_json_unless_html_is_preferred(self):
        self.assertEqual(self.server.get("/logs").json()["total"], 1)
        html = self.server.get("/logs", headers={"Accept": "text/html"})
        self.assertTrue(html.headers["Content-Type"].startswith("text/html"))

    def test_the_root_introduces_itself_to_shippers(self):
        r = self.server.get("/", headers={"Accept": "application/json"})
        self.assertEqual(r.status, 200)
        self.assertEqual(r.headers.get("X-Elastic-Product"), "Elasticsearch")
        self.assertIn("version", r.json())

    def test_agents_and_trace_have_fleet_shapes(self):
        self.assertEqual(self.server.get("/agents").json(), {"agents": {"sp": 1}, "count": 1})
        self.assertEqual(self.server.get("/trace/tr-sp").json()["count"], 1)

    def test_the_level_filter_means_what_each_says(self):
        more = [{"timestamp": time.time(), "agent": "lv", "level": l, "message": l}
                for l in ("INFO", "WARN", "ERROR")]
        with Server() as s:
            s.post("/ingest", more)
            got = {e["message"] for e in s.get("/search?level=warn").json()["results"]}
            self.assertEqual(got, {"WARN", "ERROR"})
            got = [i["message"] for i in s.get("/logs?level=warn").json()["items"]]
            self.assertEqual(got, ["WARN"])
            rows = s.get("/api/v1/query?q=level:warn").json()["rows"]
            self.assertEqual({r["message"] for r in rows}, {"WARN", "ERROR"})

    def test_an_entry_of_one_dialect_is_seen_by_the_others(self):
        with Server() as s:
            s.post("/logs", {"agent_id": "m", "message": "from mals", "level": "error",
                             "metadata": {"k": 1}, "session_key": "sk"})
            s.post("/log", {"agent": "g", "event": "user_message", "content": "from guide"})
            s.post("/events", {"source_app": "h", "session_id": "s", "hook_event_type": "Stop",
                               "payload": {"p": 1}})
            got = {e["agent"]: e for e in s.get("/search").json()["results"]}
            self.assertEqual(set(got), {"m", "g", "h"})
            self.assertEqual((got["m"]["message"], got["m"]["level"]), ("from mals", "ERROR"))
            self.assertEqual(got["m"]["session_id"], "sk")
            self.assertEqual(got["g"]["message"], "from guide")
            items = {i["agent_id"]: i for i in s.get("/logs").json()["items"]}
            self.assertEqual(set(items), {"m", "g", "h"})
            self.assertEqual(items["g"]["message"], "from guide")

    def test_a_body_that_cannot_be_read_is_refused_in_the_words_of_each(self):
        what = ((b"x", {"Content-Length": str(1 << 40)}, 413),
                (b"{}", {"Content-Encoding": "br"}, 415),
                (b"not gzip", {"Content-Encoding": "gzip"}, 400))
        for body, headers, status in what:
            for path in ("/ingest", "/log", "/events"):
                r = self.server.post(path, body, headers=headers)
                self.assertEqual(r.status, status, (path, r))
                self.assertIsInstance(r.json()["error"], str, (path, r))
            for path in ("/logs", "/logs/batch"):
                r = self.server.post(path, body, headers=headers)
                self.assertEqual(r.status, status, (path, r))
                self.assertIsInstance(r.json()["detail"], str, (path, r))
            e = self.server.post("/api/v1/ingest", body, headers=headers).json()["error"]
            self.assertTrue(e["message"])
            self.assertEqual(e["code"], {413: "too_large", 415: "unsupported_media_type",
                                         400: "bad_request"}[status])

    def test_method_discipline(self):
        r = self.server.request("PUT", "/search")
        self.assertEqual(r.status, 405)
        self.assertIn("GET", r.headers.get("Allow", ""))
        r = self.server.request("HEAD", "/health")
        self.assertEqual((r.status, r.body), (200, b""))
        r = self.server.request("OPTIONS", "/search")
        self.assertIn(r.status, (200, 204))


if __name__ == "__main__":
    unittest.main()
