"""GET /api/v1/report: the same page as the command line's, under the key's restriction, and under
headers that let it run nothing."""
import os
import subprocess
import tempfile
import unittest

from fleetlog import BIN, Server

UNTIL = "2026-11-21T12:00:00Z"
ENTRIES = [{"timestamp": "2026-11-21T10:%02d:00Z" % i, "agent": "svc-%d" % (i % 2),
            "level": "error" if i % 5 == 0 else "info", "message": "step %d" % i, "duration_ms": i}
           for i in range(60)]


class TestReport(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.server.start()
        cls.server.ingest(ENTRIES)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def get(self, status=200, **query):
        query.setdefault("end", UNTIL)
        r = self.server.get("/api/v1/report", query=query)
        self.assertEqual(r.status, status, r)
        return r

    def test_headers(self):
        r = self.get()
        self.assertEqual(r.headers["Content-Type"], "text/html; charset=utf-8")
        policy = r.headers["Content-Security-Policy"]
        self.assertIn("sandbox", policy)
        self.assertIn("default-src 'none'", policy)
        self.assertEqual(r.headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(r.headers["Cache-Control"], "no-store")
        self.assertTrue(r.text().startswith("<!doctype html>"))
        r = self.get(format="md")
        self.assertEqual(r.headers["Content-Type"], "text/markdown; charset=utf-8")
        self.assertIn("60 entries, 12 of them errors (20 %)", r.text())

    def test_as_the_command_line(self):
        for fmt in ("html", "md"):
            p = subprocess.run([BIN, "report", "agent:svc-1", "--until", UNTIL, "--since", "3h", "--format", fmt,
                                "--title", "T", "--url", self.server.url], capture_output=True)
            self.assertEqual(p.returncode, 0, p.stderr)
            r = self.get(q="agent:svc-1", start="2026-11-21T09:00:00Z", format=fmt, title="T")
            self.assertEqual(r.body, p.stdout)

    def test_the_default_is_a_day(self):
        self.assertIn("2026-11-20 12:00 to 2026-11-21 12:00 UTC (24 h)", self.get().text())
        r = self.server.get("/api/v1/report", query={"format": "md"})
        self.assertEqual(r.status, 200)
        self.assertRegex(r.text(), r"UTC \(24 h\), against the 24 h before")

    def test_refusals(self):
        def refused(code, why, **query):
            e = self.get(400, **query).json()["error"]
            self.assertEqual(e["code"], code)
            self.assertIn(why, e["message"])
            return e
        e = refused("bad_query", "'eror' is not a level", q="agent:x level:eror")
        self.assertEqual((e["position"], e["hint"]), (14, "did you mean error?"))
        refused("bad_query", "only a filter is possible here", q="* | count")
        for query, why in (({"format": "pdf"}, "must be html or md"), ({"start": "soon"}, "is not a time"),
                           ({"start": UNTIL}, "the window ends before it begins"),
                           ({"start": "2001-01-01"}, "ten years at most"),
                           ({"title": "x" * 201}, "a title has 200 bytes at most")):
            self.assertIn(why, self.get(400, **query).json()["error"]["message"])

    def test_a_title_is_text(self):
        r = self.get(title="</title><script>alert(1)</script>")
        self.assertNotIn("<script", r.text())
        self.assertIn("&lt;/title&gt;&lt;script&gt;", r.text())


class TestKeys(unittest.TestCase):
    def test_a_key_sees_its_own_agents(self):
        with tempfile.TemporaryDirectory() as d:
            with Server(key="k" * 32, env={"FLEETLOG_API_KEY": "k" * 32}, data_dir=os.path.join(d, "data")) as s:
                s.ingest(ENTRIES)
                made = s.post("/api/v1/keys", {"name": "own", "scopes": ["read"], "agent": "svc-1"})
                self.assertIn(made.status, (200, 201), made)
                key = made.json()["secret"]
                r = s.get("/api/v1/report", query={"end": UNTIL, "format": "md"},
                          headers={"Authorization": "Bearer " + key})
                self.assertEqual(r.status, 200, r)
                self.assertIn("30 entries, 6 of them errors", r.text())
                self.assertNotIn("svc-0", r.text())
                r = s.get("/api/v1/report", headers={"Authorization": "Bearer wrong"})
                self.assertEqual(r.status, 401)
                made = s.post("/api/v1/keys", {"name": "in", "scopes": ["ingest"]})
                r = s.get("/api/v1/report", headers={"Authorization": "Bearer " + made.json()["secret"]})
                self.assertEqual(r.status, 403)


if __name__ == "__main__":
    unittest.main()
