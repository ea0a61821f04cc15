"""Saved views and dashboards: documents, names, revs, scopes, limits, and what comes with the server."""
import json
import os
import sqlite3
import threading
import unittest
from datetime import datetime, timedelta, timezone

import mesh
from fleetlog import Server

VIEW = {"title": "Slow tools", "page": "explore",
        "params": {"q": "tool:* duration_ms>1000", "from": "now-1h", "cols": "timestamp,tool"}}
BOARD = {"title": "Mine", "from": "now-24h", "refresh": "30s", "panels": [
    {"title": "Rate", "type": "line", "q": "* | timeline by level"},
    {"title": "Errors", "type": "logs", "q": "level:error", "w": 12, "h": 6,
     "options": {"columns": ["timestamp", "message"]}}]}
SHIPPED = ["overview", "error-timeline", "agents-by-level", "log-table", "security-audit", "performance"]
OWN = ("builtin", "created", "changed", "changed_by", "rev")


class Documents(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)
        self.server.start()

    def ask(self, method, path, body=None, want=200, headers=None):
        r = self.server.request(method, "/api/v1/" + path, body=body, headers=headers)
        self.assertEqual(r.status, want, (method, path, r))
        return r.json() if want < 300 else r.json()["error"]

    def names(self, kind="saved"):
        return [d["name"] for d in self.ask("GET", kind)[kind]]


class Life(Documents):
    def test_a_view(self):
        self.assertEqual(self.ask("GET", "saved"), {"saved": []})
        made = self.ask("POST", "saved", VIEW, 201)
        self.assertEqual((made["name"], made["rev"], made["builtin"], made["created"]),
                         ("slow-tools", 1, False, made["changed"]))
        self.assertEqual({k: v for k, v in made.items() if k not in OWN + ("name",)}, VIEW)
        self.assertIn("no keys", made["changed_by"])
        r = self.server.get("/api/v1/saved/slow-tools")
        self.assertEqual((r.json(), r.headers["etag"], r.headers["cache-control"]),
                         (made, '"1"', "no-store"))
        self.assertEqual(self.ask("GET", "saved"), {"saved": [made]})
        # what was answered can be sent back, and changes nothing
        self.assertEqual(self.ask("PUT", "saved/slow-tools", made), made)
        made["params"]["q"] = "tool:run"
        new = self.ask("PUT", "saved/slow-tools", made)
        self.assertEqual((new["rev"], new["params"]["q"], new["created"]), (2, "tool:run", made["created"]))
        self.assertGreater(new["changed"], made["changed"])
        self.assertEqual(self.ask("DELETE", "saved/slow-tools"), {"deleted": "slow-tools"})
        self.assertEqual(self.ask("GET", "saved/slow-tools", want=404)["message"],
                         "there is no saved view 'slow-tools'")
        self.ask("DELETE", "saved/slow-tools", want=404)

    def test_a_view_of_one_thing(self):
        view = {"title": "That trace", "page": "traces", "id": "4bf92f/\u00e9 %2f?#", "params": {"by": "tokens"}}
        made = self.ask("POST", "saved", view, 201)
        self.assertEqual({k: v for k, v in made.items() if k not in OWN + ("name",)}, view)
        self.assertEqual(self.ask("PUT", "saved/that-trace", made), made)
        for page in ("explore", "live", "health", "tools"):
            self.assertIn("has no id", self.ask("POST", "saved", dict(view, page=page), 400)["message"])
        self.ask("POST", "saved", dict(view, id="x" * 16384), 201)
        self.ask("POST", "saved", dict(view, id="x" * 16385), 400)

    def test_a_dashboard(self):
        made = self.ask("PUT", "dashboards/mine", BOARD, 201)
        self.assertEqual(made["panels"][0], {"title": "Rate", "type": "line", "q": "* | timeline by level",
                                             "w": 6, "h": 4, "options": {}})
        self.assertEqual(made["panels"][1]["options"], {"columns": ["timestamp", "message"]})
        self.assertEqual((made["from"], made["refresh"]), ("now-24h", "30s"))
        self.assertEqual(self.names("dashboards"), SHIPPED + ["mine"])
        self.assertEqual(self.names(), [])

    def test_they_outlive_the_process(self):
        self.ask("POST", "saved", VIEW, 201)
        made = self.ask("POST", "dashboards", BOARD, 201)
        self.server.restart()
        self.assertEqual(self.names(), ["slow-tools"])
        self.assertEqual(self.ask("GET", "dashboards/mine"), made)

    def test_names_from_titles(self):
        for want in ("slow-tools", "slow-tools-2", "slow-tools-3"):
            self.assertEqual(self.ask("POST", "saved", VIEW, 201)["name"], want)
        self.assertEqual(self.ask("POST", "saved", dict(VIEW, title="日本"), 201)["name"], "view")
        self.assertEqual(self.ask("POST", "dashboards", dict(BOARD, title="Overview"), 201)["name"],
                         "overview-2")  # the server's own is not for the taking
        long = self.ask("POST", "saved", dict(VIEW, title="x" * 128), 201)["name"]
        self.assertEqual(long, "x" * 64)
        self.assertEqual(len(self.ask("POST", "saved", dict(VIEW, title="x" * 128), 201)["name"]), 58)
        self.assertEqual(self.ask("POST", "saved", dict(VIEW, name="given"), 201)["name"], "given")
        self.assertEqual(self.ask("POST", "saved", dict(VIEW, name="given"), 409)["message"],
                         "the name 'given' is taken")
        self.ask("PUT", "saved/Not%20OK", VIEW, 400)
        self.ask("PUT", "saved/" + "n" * 65, VIEW, 400)
        self.assertIn("the path says 'a' and the body 'b'",
                      self.ask("PUT", "saved/a", dict(VIEW, name="b"), 400)["message"])

    def test_audit(self):
        self.ask("PUT", "dashboards/mine", BOARD, 201)
        self.ask("PUT", "dashboards/mine", BOARD)  # nothing happened
        self.ask("PUT", "dashboards/mine", dict(BOARD, title="Other"))
        self.ask("DELETE", "dashboards/mine")
        self.ask("POST", "saved", VIEW, 201)
        rows = self.server.get("/api/v1/query", query={"q": "agent:fleetlog", "order": "asc"}).json()["rows"]
        self.assertEqual([(r["event"], r["attributes"]["action"]) for r in rows],
                         [("dashboard", "created"), ("dashboard", "changed"), ("dashboard", "deleted"),
                          ("saved_view", "created")])
        self.assertEqual(rows[0]["message"], "dashboard mine was created by anyone (no keys are configured)")
        self.assertEqual((rows[0]["attributes"]["dashboard"], rows[3]["attributes"]["saved_view"]),
                         ("mine", "slow-tools"))


class Refusals(Documents):
    def test_mistakes_are_told_with_their_place(self):
        bad = dict(BOARD, panels=BOARD["panels"] + [{"title": "X", "type": "bar", "q": "* | stats cuont()"}])
        e = self.ask("POST", "dashboards", bad, 400)
        self.assertEqual((e["code"], e["position"]), ("bad_query", 10))
        self.assertIn("panel 3 (X): in its q, at byte 10: ", e["message"])
        self.assertIn("count", e["hint"])
        e = self.ask("POST", "saved", {"title": "t", "params": {"q": "a ("}}, 400)
        self.assertIn("in its q, at byte", e["message"])
        for body, message in ((b"", "there is nothing in it"), (b"{", "line 1, column"),
                              (b"[]", "must be a map"), ({"title": "t"}, "it needs params"),
                              (dict(VIEW, pge=1), "a saved view has no 'pge'"),
                              (dict(VIEW, title="x" * 129), "128 characters"),
                              (dict(VIEW, name="a/b"), "this is no name")):
            with self.subTest(body=body):
                self.assertIn(message, self.ask("POST", "saved", body, 400)["message"])
        self.assertEqual(self.names(), [])

    def test_lost_updates(self):
        put = lambda title, want, **headers: self.ask(
            "PUT", "saved/a", dict(VIEW, title=title), want, {k.replace("_", "-"): v for k, v in headers.items()})
        self.assertIn("to be changed", put("x", 409, If_Match="*")["message"])
        put("x", 409, If_Match='"1"')
        put("x", 201)
        self.assertEqual(put("y", 200, If_Match='"1"')["rev"], 2)
        e = put("z", 409, If_Match='"1"')
        self.assertIn("it is rev 2, not 1", e["message"])
        self.assertEqual(put("z", 200, If_Match="2")["rev"], 3)
        put("zz", 200, If_Match="*")
        put("q", 400, If_Match="W/1")
        put("q", 400, If_Match='"x"')
        self.ask("PUT", "saved/a", dict(VIEW, rev=3), 409)
        self.ask("PUT", "saved/a", dict(VIEW, rev=4), 200)
        self.ask("PUT", "saved/a", dict(VIEW, title="more", rev=4), 200, {"If-Match": '"5"'})  # the header counts
        self.ask("DELETE", "saved/a", want=409, headers={"If-Match": '"5"'})
        self.ask("DELETE", "saved/a", headers={"If-Match": '"6"'})
        # made anew it is another one
        self.assertEqual(put("x", 201)["rev"], 7)

    def test_of_many_at_once_one_wins(self):
        self.ask("PUT", "saved/a", VIEW, 201)
        got = []
        def change(i):
            got.append(self.server.request("PUT", "/api/v1/saved/a", body=dict(VIEW, title="t%d" % i, rev=1)).status)
        threads = [threading.Thread(target=change, args=(i,)) for i in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        self.assertEqual(sorted(got), [200] + [409] * 7)
        self.assertEqual(self.ask("GET", "saved/a")["rev"], 2)

    def test_limits(self):
        self.ask("PUT", "saved/a", dict(VIEW, params={"q": "x" * 16384}), 201)
        self.ask("PUT", "saved/a", dict(VIEW, params={"q": "x" * 16385}), 400)
        panel = {"type": "logs", "q": "x" * 16000}
        self.ask("PUT", "dashboards/a", dict(BOARD, panels=[panel] * 4), 201)
        self.assertIn("64 KiB at most", self.ask("PUT", "dashboards/a", dict(BOARD, panels=[panel] * 5), 413)["message"])
        self.ask("PUT", "dashboards/a", dict(BOARD, panels=[{"type": "logs", "q": "*"}] * 50), 200)
        self.ask("PUT", "dashboards/a", dict(BOARD, panels=[{"type": "logs", "q": "*"}] * 51), 413)
        self.server.stop()
        db = sqlite3.connect(os.path.join(self.server.data_dir, "meta.db"))
        db.executemany("INSERT INTO doc VALUES(0, ?, '', '', 0, 0, ?, ?)",
                       [("n%d" % i, i, '{"title":"t","page":"explore","params":{}}') for i in range(999)])
        db.commit()
        db.close()
        self.server.start()
        self.assertEqual(len(self.names()), 1000)
        self.assertIn("1000 saved views", self.ask("POST", "saved", VIEW, 413)["message"])
        self.ask("PUT", "saved/n5", VIEW)
        self.ask("DELETE", "saved/n5")
        self.ask("POST", "saved", VIEW, 201)

    def test_scopes(self):
        s = self.server
        make = lambda **k: s.post("/api/v1/keys", k).json()["secret"]
        s.key = make(name="root", scopes=["admin", "read", "ingest", "write-marks"])
        reader, marker, sender = (make(name=n, scopes=[c]) for n, c in
                                  (("r", "read"), ("m", "write-marks"), ("i", "ingest")))
        s.key = marker
        self.assertEqual(s.post("/api/v1/saved", VIEW).status, 201)
        s.key = reader
        d = self.ask("GET", "saved/slow-tools")
        self.assertEqual(d["changed_by"], "key 3 (m)")
        for method, path in (("POST", "saved"), ("PUT", "saved/slow-tools"), ("DELETE", "saved/slow-tools"),
                             ("POST", "dashboards"), ("PUT", "dashboards/a"), ("DELETE", "dashboards/overview")):
            self.ask(method, path, VIEW, 403)
        s.key = sender
        for path in ("saved", "saved/slow-tools", "dashboards", "dashboards/overview"):
            self.ask("GET", path, want=403)

    def test_a_bound_key_sees_its_own(self):
        s = self.server
        make = lambda **k: s.post("/api/v1/keys", k).json()["secret"]
        s.key = root = make(name="root", scopes=["admin", "read", "ingest", "write-marks"])
        bound = make(name="web", agent="web-*", scopes=["read", "write-marks"])
        self.ask("PUT", "saved/all", VIEW, 201)
        s.key = bound
        self.assertEqual(self.names(), [])
        self.ask("GET", "saved/all", want=404)
        self.assertEqual(self.ask("PUT", "saved/all", VIEW, 409)["message"], "the name 'all' is taken")
        self.ask("DELETE", "saved/all", want=404)
        self.ask("PUT", "saved/mine", VIEW, 201)
        self.assertEqual(self.names("dashboards"), SHIPPED)
        s.key = root
        self.assertEqual(self.names(), ["all", "mine"])
        self.ask("PUT", "saved/mine", dict(VIEW, title="by root"))
        s.key = bound
        self.assertEqual(self.ask("GET", "saved/mine")["title"], "by root")

    def test_hostile_texts_stay_texts(self):
        evil = "<script>alert(1)</script>\u202e\"'"
        made = self.ask("POST", "saved", dict(VIEW, title=evil, params={"q": '"<img src=x onerror=1>"'}), 201)
        self.assertEqual((made["title"], made["name"]), (evil, "script-alert-1-script"))
        r = self.server.get("/api/v1/saved")
        self.assertEqual((r.headers["content-type"], r.headers["x-content-type-options"]),
                         ("application/json", "nosniff"))


class Shipped(Documents):
    def test_they_come_first_and_stay_as_they_are(self):
        self.ask("PUT", "dashboards/a", BOARD, 201)
        all = self.ask("GET", "dashboards")["dashboards"]
        self.assertEqual([d["name"] for d in all], SHIPPED + ["a"])
        self.assertEqual([d["builtin"] for d in all], [True] * 6 + [False])
        d = self.ask("GET", "dashboards/overview")
        self.assertEqual(d, all[0])
        self.assertEqual((d["rev"], d["created"], d["changed_by"]), (0, None, ""))
        for method in ("PUT", "DELETE"):
            self.assertEqual(self.ask(method, "dashboards/overview", BOARD, 409)["message"],
                             "the dashboard 'overview' comes with the server")
        self.ask("POST", "dashboards", dict(BOARD, name="overview"), 409)
        # a copy under another name
        copy = {k: v for k, v in d.items() if k not in OWN + ("name",)}
        self.assertEqual(self.ask("PUT", "dashboards/copy", copy, 201)["panels"], d["panels"])

    def test_one_of_before_hides_the_new_one(self):
        made = self.ask("PUT", "dashboards/older", BOARD, 201)
        self.server.stop()
        db = sqlite3.connect(os.path.join(self.server.data_dir, "meta.db"))
        db.execute("UPDATE doc SET name = 'overview'")
        db.commit()
        db.close()
        self.server.start()
        d = self.ask("GET", "dashboards/overview")
        self.assertEqual((d["title"], d["builtin"]), (made["title"], False))
        self.assertEqual(self.names("dashboards"), SHIPPED[1:] + ["overview"])
        self.ask("PUT", "dashboards/overview", dict(BOARD, title="Changed"))
        self.ask("DELETE", "dashboards/overview")
        self.assertTrue(self.ask("GET", "dashboards/overview")["builtin"])

    def test_every_panel_has_something_to_show(self):
        now = datetime.now(timezone.utc)
        rows = mesh.rows(seed=4, hours=25, end=now)
        for i in range(0, len(rows), 5000):
            self.server.ingest(rows[i:i + 5000])
        ago = lambda **k: (now - timedelta(**k)).isoformat()
        self.server.ingest(
            [{"timestamp": ago(minutes=i), "agent": "coder", "tool": t, "duration_ms": 10 * i + 5, "message": "call"}
             for i in range(20) for t in ("read_file", "run")] +
            [{"timestamp": ago(minutes=5), "agent": "planner", "model": m, "cost_usd": c, "message": "thought",
              "tokens": {"input": 100, "output": 20},  # the seed's own failure is at the very start of the last hour
              "audit": {"user_id": "bob", "action": "login", "resource": "r", "result": "failure"}} for m, c in (("large", .02), ("small", .01))])
        seen = {}
        for d in self.ask("GET", "dashboards")["dashboards"]:
            for p in d["panels"]:
                with self.subTest(dashboard=d["name"], panel=p["title"]):
                    r = self.server.get("/api/v1/query", query={"q": p["q"], "start": d.get("from", "now-24h")})
                    self.assertEqual(r.status, 200, r)
                    answer = r.json()
                    self.assertEqual(answer["warnings"], [])
                    self.assertGreater(answer["count"], 0)
                    columns, o = answer["columns"], p["options"]
                    if p["type"] == "logs":
                        self.assertEqual(columns, [])
                        continue
                    named = [o[k] for k in ("x", "by") if k in o] + \
                        (o["y"] if isinstance(o.get("y"), list) else [o["y"]] if "y" in o else [])
                    self.assertLessEqual(set(named) | set(o.get("columns", [])), set(columns))
                    if p["type"] == "number":
                        self.assertEqual((answer["count"], len(columns)), (1, 1))
                        self.assertGreater(answer["rows"][0][columns[0]], 0)
                    seen[d["name"], p["title"]] = answer["rows"]
        since = (now - timedelta(hours=24)).strftime("%Y-%m-%dT%H:%M:%S")
        day = [r for r in rows if r["timestamp"] >= since]
        errors = sum(r["level"] == "ERROR" for r in day)
        shown = seen["overview", "Errors"][0]["errors"]
        self.assertAlmostEqual(shown, errors, delta=3)  # entries of the first second
        self.assertEqual(sum(r["errors"] for r in seen["overview", "Errors by agent"]), shown)
        self.assertEqual([(r["model"], r["cost_usd"]) for r in seen["overview", "Cost by model"]],
                         [("large", .02), ("small", .01)])
        self.assertAlmostEqual(sum(r["entries"] for r in seen["agents-by-level", "Logs by agent and level"]),
                               len(day) + 42, delta=30)
        spike = [r for r in seen["performance", "Out of the ordinary"] if r["kind"] == "error_spike"]
        self.assertIn("agent=payment-agent", [r["what"] for r in spike])


if __name__ == "__main__":
    unittest.main()
