"""GET /api/v1/patterns and /api/v1/anomalies: the pipes with their arguments as parameters."""
import unittest

from fleetlog import Server


class TestPatterns(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.server.ingest(
            [{"agent": "a", "level": "info", "message": "took %d ms" % i,
              "timestamp": "2026-11-20T10:00:%02dZ" % i} for i in range(5)] +
            [{"agent": "b", "level": "error", "message": "key k%d is gone" % i,
              "timestamp": "2026-11-21T10:00:%02dZ" % i} for i in range(3)])

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def rows(self, **query):
        r = self.server.get("/api/v1/patterns", query=query)
        self.assertEqual(r.status, 200, r.text())
        return r.json()["rows"]

    def test_all(self):
        r = self.server.get("/api/v1/patterns").json()
        self.assertEqual([(p["pattern"], p["count"], p["share"], p["levels"]) for p in r["rows"]],
                         [("took <int> ms", 5, 62.5, {"info": 5}),
                          ("key <text> is gone", 3, 37.5, {"error": 3})])
        self.assertEqual((r["total"], r["truncated"]), (8, False))
        for p in r["rows"]:
            entry = self.server.get("/api/v1/entries/" + p["entry"]).json()
            self.assertEqual(entry["message"], p["example"])

    def test_parameters(self):
        self.assertEqual(len(self.rows(limit=1)), 1)
        self.assertEqual([p["count"] for p in self.rows(q="agent:b")], [3])
        self.assertEqual([p["count"] for p in self.rows(q="agent:b # a comment")], [3])
        self.assertEqual([p["count"] for p in self.rows(q="* | where agent:b")], [3])
        self.assertEqual([p["count"] for p in self.rows(end="2026-11-20T10:00:02Z")], [2])
        self.assertEqual([p["count"] for p in self.rows(new_since="2026-11-21T00:00:00Z")], [3])
        self.assertEqual([p["new"] for p in self.rows(start="2026-11-20T10:00:03Z")], [True, False])
        self.assertEqual([p["count"] for p in self.rows(start="2026-11-20T10:00:03Z", new="true")],
                         [3])
        text = self.server.get("/api/v1/patterns", query={"format": "csv"}).text()
        self.assertTrue(text.startswith("count,share,new,first,last,levels,pattern"))

    def test_bad_ones(self):
        for query in ({"limit": 0}, {"limit": "x"}, {"limit": 10001}, {"new": "perhaps"},
                      {"new_since": "soon"}, {"q": "level:eror"}, {"q": "* | count"},
                      {"new": "true"}, {"format": "xml"}):
            r = self.server.get("/api/v1/patterns", query=query)
            self.assertEqual(r.status, 400, (query, r.text()))


class TestAnomalies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.server.ingest(
            [{"agent": "a", "level": "info", "message": "working", "tool": "t",
              "timestamp": "2026-11-21T10:%02d:00Z" % i} for i in range(60)] +
            [{"agent": "a", "level": "error", "message": "no", "tool": "u",
              "timestamp": "2026-11-21T10:50:%02dZ" % i} for i in range(15)])
        cls.hour = {"start": "2026-11-21T10:00:00Z", "end": "2026-11-21T11:00:00Z"}

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def rows(self, **query):
        r = self.server.get("/api/v1/anomalies", query=dict(self.hour, **query))
        self.assertEqual(r.status, 200, r.text())
        return r.json()["rows"]

    def test_spike(self):
        rows = [r for r in self.rows() if r["kind"] == "error_spike"]
        self.assertEqual([(r["what"], r["rule"], r["time"], r["observed"]) for r in rows],
                         [("agent=a", "statistical", "2026-11-21T10:50:00Z", 15),
                          ("agent=a", "seed4", "2026-11-21T10:50:00Z", 15)])
        entry = self.server.get("/api/v1/entries/" + rows[0]["example"]).json()
        self.assertEqual((entry["level"], entry["timestamp"]), ("error", "2026-11-21T10:50:00Z"))

    def test_parameters(self):
        self.assertIn("tool=u", [r["what"] for r in self.rows(by="tool")])
        steps = {r["time"] for r in self.rows(step="1h", q="level:error") if r["rule"] == "seed4"}
        self.assertEqual(steps, {"2026-11-21T10:50:00Z"})
        self.assertEqual(self.rows(q="level:info -level:error"), [])

    def test_bad_ones(self):
        for query in ({"limit": 0}, {"limit": 1001}, {"step": "soon"}, {"step": "5ms"}, {"by": "`"},
                      {"by": "a | count"}, {"by": "time(5m)"}, {"q": "* | count"}, {"q": "a:"}):
            r = self.server.get("/api/v1/anomalies", query=query)
            self.assertEqual(r.status, 400, (query, r.text()))


class TestKeys(unittest.TestCase):
    def test_a_key_counts_its_own(self):
        with Server(env={"FLEETLOG_API_KEY": "test-admin-key"}, key="test-admin-key") as s:
            s.ingest([{"agent": "web-1", "message": "took 1 ms"}] +
                     [{"agent": "db-1", "message": "took 2 ms"}] * 4)
            made = s.post("/api/v1/keys", {"name": "w", "scopes": ["read"], "agent": "web-*"}).json()
            mine = {"Authorization": "Bearer " + made["secret"]}
            for path in ("/api/v1/patterns", "/api/v1/anomalies"):
                self.assertEqual(s.get(path, headers=mine).status, 200)
            rows = s.get("/api/v1/patterns", headers=mine).json()["rows"]
            self.assertEqual([(r["count"], r["example"]) for r in rows], [(1, "took 1 ms")])


if __name__ == "__main__":
    unittest.main()
