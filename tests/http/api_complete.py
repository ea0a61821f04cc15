"""/api/v1/complete: what may stand at a place of a query."""
import json
import unittest

from fleetlog import Server

BASE = 1700000000
ADMIN = "admin-key-for-completion"


class Complete(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.server.ingest([{"timestamp": BASE + i, "agent": "plan er" if i % 3 == 0 else "coder",
                            "level": "info", "message": "m%d" % i, "tool": "tool-%d" % (i % 5),
                            "n": i} for i in range(60)])

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def complete(self, q, status=200, **more):
        r = self.server.get("/api/v1/complete", query=dict(more, q=q))
        self.assertEqual(r.status, status, r)
        return r.json()

    def texts(self, q, **more):
        return [i["text"] for i in self.complete(q, **more)["items"]]

    def test_values_with_counts_and_quotes(self):
        got = self.complete("agent:")
        self.assertEqual((got["from"], got["to"], got["more"], got["partial"]), (6, 6, False, False))
        self.assertEqual([(i["text"], i["kind"], i["count"]) for i in got["items"]],
                         [("coder", "value", 40), ('"plan er"', "value", 20)])

    def test_what_is_put_in_is_a_query(self):
        for q in ("agent:", "tool:", "tool in (", "ag", "* | sta", "* | stats co"):
            got = self.complete(q)
            self.assertTrue(got["items"], q)
            for item in got["items"]:
                text = q[:got["from"]] + item["text"]
                if item["kind"] == "value":
                    text += ")" if "(" in text else ""
                    r = self.server.get("/api/v1/query", query={"q": text})
                    self.assertEqual((r.status, r.json()["count"]), (200, item["count"]), text)

    def test_cursor(self):
        self.assertEqual(self.texts("to level:info", cursor=2), ["tool:"])
        self.assertEqual(self.texts("* | limi | count", cursor=8), ["limit"])
        got = self.complete("level:e agent:x", cursor=7)
        self.assertEqual((got["from"], got["to"]), (6, 7))
        self.assertEqual(self.texts("ag", cursor=999), ["agent:"])

    def test_the_range_and_the_limit(self):
        self.assertEqual([i["count"] for i in self.complete("agent:", start=BASE + 30)["items"]],
                         [20, 10])
        got = self.complete("n:", limit=7)
        self.assertEqual((len(got["items"]), got["more"]), (7, True))

    def test_post_is_the_same(self):
        want = self.complete("level:error | stats co", limit=3)
        r = self.server.post("/api/v1/complete", {"q": "level:error | stats co", "limit": 3})
        self.assertEqual((r.status, r.json()), (200, want))
        self.assertEqual([i["text"] for i in want["items"]], ["count(", "count_distinct("])
        for body in ("{", "[]", '{"limit":0}', '{"cursor":-1}', '{"limit":1001}'):
            self.assertEqual(self.server.post("/api/v1/complete", body).status, 400, body)

    def test_no_text_is_an_error(self):
        for q in ("", ")", "\"", "((((", "a:" * 2000, "* | nosuch | st", "`", "\\", "level:eror ag",
                  "x" * 17000, "\U0001f600:", "* | stats count( | eval x = ("):
            r = self.server.post("/api/v1/complete", json.dumps({"q": q}))
            self.assertEqual(r.status, 200, q[:40])
            self.assertEqual(sorted(r.json()), ["from", "items", "more", "partial", "to"])

    def test_bad_parameters(self):
        for name, value in (("limit", "0"), ("limit", "1001"), ("limit", "x"), ("cursor", "-1"),
                            ("start", "soonish"), ("end", "x")):
            got = self.complete("a", status=400, **{name: value})
            self.assertIn(name, got["error"]["message"])


class Restricted(unittest.TestCase):
    """a key that may see some agents is told nothing of the others"""

    def test_a_key_sees_its_own(self):
        with Server(key=ADMIN, env={"FLEETLOG_API_KEY": ADMIN}) as server:
            admin = {"Authorization": "Bearer " + ADMIN}
            server.ingest([{"agent": "coder", "message": "a", "tool": "run"},
                           {"agent": "planner", "message": "b", "tool": "plan", "secret_field": 1}])
            key = server.post("/api/v1/keys",
                              {"name": "c", "scopes": ["read"], "agent": "cod*"}).json()["secret"]
            mine = {"Authorization": "Bearer " + key}
            for q, all_of_it, own in (("agent:", ["coder", "planner"], ["coder"]),
                                      ("tool:", ["plan", "run"], ["run"]),
                                      ("secret", ["secret_field:"], [])):
                for headers, want in ((admin, all_of_it), (mine, own)):
                    r = server.get("/api/v1/complete", query={"q": q}, headers=headers)
                    self.assertEqual(sorted(i["text"] for i in r.json()["items"]), want, q)
            self.assertEqual(server.get("/api/v1/complete", query={"q": "a"},
                                        headers={"Authorization": "x"}).status, 401)


if __name__ == "__main__":
    unittest.main()
