"""Issues: gathered from errors, decided on by people, reopened by entries, fed by marks."""
import threading
import unittest

from fleetlog import Server, wait_until


def error(message="disk /dev/sda1 is full", agent="coder", **more):
    return dict({"agent": agent, "level": "error", "message": message}, **more)


class Issues(unittest.TestCase):
    def setUp(self):
        self.server = Server().start()
        self.addCleanup(self.server.close)

    def list(self, **query):
        r = self.server.get("/api/v1/issues", query=query)
        self.assertEqual(r.status, 200, r.text())
        return r.json()

    def one(self, **query):
        found = self.list(**query)["issues"]
        self.assertEqual(len(found), 1, found)
        return found[0]

    def whole(self, issue):
        r = self.server.get("/api/v1/issues/" + issue["id"])
        self.assertEqual(r.status, 200, r.text())
        return r.json()

    def decide(self, issue, state, by="ana", **more):
        r = self.server.patch("/api/v1/issues/" + issue["id"], dict(more, state=state, by=by))
        self.assertEqual(r.status, 200, r.text())
        return r.json()


class TestList(Issues):
    def test_fields(self):
        self.server.ingest([
            error("took 12 ms", tool="bash", session_id="s-1", timestamp="2026-11-21T10:00:00Z",
                  error_type="Timeout", id="11111111-1111-4111-8111-111111111111"),
            error("took 13 ms", tool="bash", session_id="s-2", timestamp="2026-11-21T11:00:00Z",
                  error_type="Timeout", agent="reviewer", stack="Error: x\n    at run (/a/b.js:1:2)"),
            error("took 14 ms", tool="bash", session_id="s-2", timestamp="2026-11-21T12:00:00Z",
                  error_type="Timeout", agent="reviewer"),
            {"agent": "coder", "level": "info", "message": "fine"}])
        got = self.list(sort="first")
        self.assertEqual((got["total"], got["states"], got["other_entries"], got["next_cursor"]),
                         (2, {"open": 2, "resolved": 0, "ignored": 0}, 0, None))
        a, b = got["issues"][1], got["issues"][0]
        self.assertEqual(b["frame"], "run (b.js)")
        self.assertEqual(
            {k: a[k] for k in a if k not in ("id", "spark", "latest")},
            {"title": "Timeout: took <int> ms", "state": "open", "regressed": False,
             "error_type": "Timeout", "tool": "bash", "text": "took <int> ms", "frame": None,
             "level": "error", "count": 2, "levels": {"error": 2},
             "first": "2026-11-21T10:00:00Z", "last": "2026-11-21T12:00:00Z", "agents": 2,
             "by_agent": {"coder": 1, "reviewer": 1}, "sessions": 2,
             "example": "11111111-1111-4111-8111-111111111111", "change": None})
        self.assertEqual(len(a["spark"]["counts"]), 24)
        self.assertEqual(sum(a["spark"]["counts"]), 2)
        entry = self.server.get("/api/v1/entries/" + a["latest"]).json()
        self.assertEqual(entry["message"], "took 14 ms")
        # the pipe names them alike
        rows = self.server.get("/api/v1/query", query={"q": "* | issues"}).json()["rows"]
        self.assertEqual({r["id"] for r in rows}, {a["id"], b["id"]})

    def test_filters_sort_and_pages(self):
        words = ["alpha", "beta", "gamma", "delta", "epsilon"]
        self.server.ingest([error("%s broke" % w, agent="a" if i % 2 else "b",
                                  timestamp="2026-11-21T1%d:00:00Z" % i)
                            for i, w in enumerate(words) for _ in range(i + 1)])
        for sort in ("last", "first", "count", "agents", "sessions"):
            seen, cursor = [], None
            while True:
                query = {"sort": sort, "limit": 2}
                if cursor:
                    query["cursor"] = cursor
                page = self.list(**query)
                self.assertEqual(page["total"], 5)
                seen += [i["title"].split()[0] for i in page["issues"]]
                cursor = page["next_cursor"]
                if not cursor:
                    break
            self.assertEqual(sorted(seen), sorted(words), sort)
            if sort in ("last", "first", "count"):
                self.assertEqual(seen, words[::-1], sort)
        self.assertEqual(self.one(q="gamma")["count"], 3)
        self.assertEqual(self.list(q="agent:a")["total"], 2)
        self.assertEqual(self.one(start="2026-11-21T14:00:00Z")["title"], "epsilon broke")
        self.assertEqual(self.one(end="2026-11-21T10:30:00Z")["title"], "alpha broke")
        self.assertEqual(self.list(q="level:info -level:error")["issues"], [])

    def test_bad_requests(self):
        self.server.ingest([error()])
        issue = self.one()
        for path, query, status in (
                ("/api/v1/issues", {"state": "shut"}, 400), ("/api/v1/issues", {"sort": "x"}, 400),
                ("/api/v1/issues", {"limit": "0"}, 400), ("/api/v1/issues", {"limit": "1001"}, 400),
                ("/api/v1/issues", {"cursor": "l12"}, 400),
                ("/api/v1/issues", {"cursor": "c" + 32 * "0"}, 400),
                ("/api/v1/issues", {"q": "level:eror"}, 400),
                ("/api/v1/issues", {"q": "* | count"}, 400), ("/api/v1/issues", {"start": "x"}, 400),
                ("/api/v1/issues/xyz", {}, 404), ("/api/v1/issues/" + 16 * "0", {}, 404)):
            r = self.server.get(path, query=query)
            self.assertEqual(r.status, status, (path, query, r.text()))
            self.assertTrue(r.json()["error"]["message"])
        path = "/api/v1/issues/" + issue["id"]
        for body, word in (
                ({"by": "a"}, "state"), ({"state": "shut", "by": "a"}, "state"),
                ({"state": 1, "by": "a"}, "state"), ({"state": "open"}, "by"),
                ({"state": "open", "by": ""}, "by"), ({"state": "open", "by": 1025 * "x"}, "by"),
                ({"state": "open", "by": "a", "note": 4097 * "x"}, "note"),
                ({"state": "open", "by": "a", "until": "now+1d"}, "ignored"),
                ({"state": "ignored", "by": "a", "until": "soon"}, "until"),
                ({"state": "ignored", "by": "a", "until": "now-1d"}, "past"),
                ({"state": "ignored", "by": "a", "count": 0}, "count"),
                ({"state": "ignored", "by": "a", "count": "7"}, "count")):
            r = self.server.patch(path, body)
            self.assertEqual(r.status, 400, (body, r.text()))
            self.assertIn(word, r.json()["error"]["message"])
        self.assertEqual(self.server.patch(path, b"{").status, 400)
        self.assertEqual(self.server.patch("/api/v1/issues/" + 16 * "0",
                                           {"state": "open", "by": "a"}).status, 404)
        for ids in ([], ["x"], [1], None, [issue["id"]] * 1001):
            r = self.server.post("/api/v1/issues", {"ids": ids, "state": "resolved", "by": "a"})
            self.assertEqual(r.status, 400, ids)
        self.assertEqual(self.one()["state"], "open")
        self.assertEqual(self.whole(issue)["history"], [])


class TestStates(Issues):
    def test_resolve_and_return(self):
        self.server.ingest([error(session_id="s-1")])
        issue = self.one()
        got = self.decide(issue, "resolved", note="disk cleaned")
        self.assertEqual((got["state"], got["regressed"]), ("resolved", False))
        self.assertEqual(self.list(state="open")["issues"], [])
        self.assertEqual(self.list(state="resolved")["total"], 1)
        self.server.ingest([error("something else")])
        self.assertEqual(self.list(state="open,ignored")["total"], 1)
        self.server.ingest([error(session_id="s-9", agent="reviewer")])
        back = self.whole(issue)
        self.assertEqual((back["state"], back["regressed"], back["count"]), ("open", True, 2))
        self.assertEqual(back["change"]["cause"], "entry")
        self.assertEqual((back["change"]["session"], back["change"]["agent"]), ("s-9", "reviewer"))
        self.assertEqual(back["change"]["entry"], back["latest"])
        self.assertEqual([(h["state"], h["by"], h["note"]) for h in back["history"]],
                         [("open", None, None), ("resolved", "ana", "disk cleaned")])
        # more of them change nothing; resolving again does
        self.server.ingest([error()] * 3)
        self.assertEqual(len(self.whole(issue)["history"]), 2)
        got = self.decide(issue, "resolved", by="bo")
        self.assertEqual((got["state"], got["regressed"], got["count"]), ("resolved", False, 5))

    def test_the_same_again_changes_nothing(self):
        self.server.ingest([error()])
        issue = self.one()
        self.assertEqual(len(self.decide(issue, "open")["history"]), 0)
        for _ in range(2):
            self.assertEqual(len(self.decide(issue, "resolved")["history"]), 1)
        self.assertEqual(len(self.decide(issue, "resolved", note="really")["history"]), 2)

    def test_reopen(self):
        self.server.ingest([error()])
        issue = self.one()
        self.decide(issue, "resolved")
        got = self.decide(issue, "open", by="bo")
        self.assertEqual((got["state"], got["regressed"]), ("open", False))
        self.server.ingest([error()])
        got = self.whole(issue)
        self.assertEqual((got["state"], got["regressed"], len(got["history"])), ("open", False, 2))

    def test_ignored_until_a_count(self):
        self.server.ingest([error()] * 5)
        issue = self.one()
        got = self.decide(issue, "ignored", count=3)
        self.assertEqual((got["state"], got["change"]["count"], got["change"]["until"]),
                         ("ignored", 3, None))
        self.server.ingest([error()] * 2)
        self.assertEqual(self.one()["state"], "ignored")
        self.server.restart()
        self.assertEqual(self.one()["state"], "ignored")
        self.server.ingest([error()])
        got = self.whole(issue)
        self.assertEqual((got["state"], got["regressed"], got["change"]["cause"]),
                         ("open", False, "count"))

    def test_ignored_until_a_time(self):
        self.server.ingest([error()])
        issue = self.one()
        self.decide(issue, "ignored", until="now+2s")
        self.assertEqual(self.one()["state"], "ignored")
        wait_until(lambda: self.one()["state"] == "open", what="the end of the time")
        self.assertEqual(self.one()["change"]["cause"], "time")

    def test_ignored_for_ever(self):
        self.server.ingest([error()])
        self.decide(self.one(), "ignored")
        self.server.ingest([error()] * 100)
        self.assertEqual(self.one()["state"], "ignored")

    def test_several_at_once(self):
        self.server.ingest([error("%s broke" % w) for w in ("alpha", "beta", "gamma")])
        ids = [i["id"] for i in self.list()["issues"]]
        body = {"ids": ids[:2] + [16 * "0", ids[0]], "state": "resolved", "by": "ana", "note": "n"}
        r = self.server.post("/api/v1/issues", body)
        self.assertEqual((r.status, r.json()), (200, {"changed": 2, "not_found": [16 * "0"]}))
        self.assertEqual(self.server.post("/api/v1/issues", body).json()["changed"], 0)
        self.assertEqual(self.list()["states"], {"open": 1, "resolved": 2, "ignored": 0})

    def test_history_is_bounded(self):
        self.server.ingest([error()])
        issue = self.one()
        for i in range(130):
            self.decide(issue, "resolved" if i % 2 else "ignored", note=str(i))
        history = self.whole(issue)["history"]
        self.assertEqual((len(history), history[0]["note"], history[-1]["note"]), (100, "129", "30"))

    def test_restart_and_kill(self):
        self.server.ingest([error("%s broke" % w) for w in ("alpha", "beta")])
        alpha = self.one(q="alpha")
        self.decide(alpha, "resolved", note="kept")
        self.server.kill()
        self.server.start()
        got = self.whole(alpha)
        self.assertEqual((got["state"], got["change"]["note"]), ("resolved", "kept"))
        self.server.ingest([error("alpha broke")])
        self.server.kill()  # nobody has looked at the entry yet
        self.server.start()
        got = self.whole(alpha)
        self.assertEqual((got["state"], got["regressed"], len(got["history"])), ("open", True, 2))

    def test_kill_while_changing(self):
        """Whatever was answered is there after kill -9, in the middle of a stream of changes."""
        self.server.ingest([error()])
        issue = self.one()
        acked = [-1]

        def change():
            for n in range(100000):
                try:
                    r = self.server.patch("/api/v1/issues/" + issue["id"],
                                          {"state": "resolved", "by": "ana", "note": str(n)})
                except OSError:
                    return
                if r.status != 200:
                    return
                acked[0] = n
        for _ in range(3):
            start = acked[0]
            t = threading.Thread(target=change)
            t.start()
            wait_until(lambda: acked[0] >= start + 20 or acked[0] > 20, what="changes")
            self.server.kill()
            t.join()
            last = acked[0]
            self.server.start()
            note = int(self.whole(issue)["change"]["note"])
            self.assertIn(note, (last, last + 1))
            acked[0] = -1


class TestMarks(Issues):
    def mals(self, *messages):
        ids = []
        for m in messages:
            r = self.server.post("/logs", {"agent_id": "coder", "message": m, "level": "error"})
            self.assertEqual(r.status, 200, r.text())
            ids.append(r.json()["id"])
        return ids

    def test_resolved_when_all_entries_are(self):
        a, b, c = self.mals("took 1 ms", "took 2 ms", "took 3 ms")
        self.assertEqual(self.one()["state"], "open")
        r = self.server.patch("/logs/%s/resolve" % a, {"resolved_by": "ana"})
        self.assertEqual(r.status, 200)
        self.assertEqual(self.one()["state"], "open")
        self.assertEqual(self.whole(self.one())["marked"], 1)
        r = self.server.post("/logs/resolve-batch", {"ids": [b, c], "resolved_by": "bo"})
        self.assertEqual(r.json()["resolved"], 2)
        got = self.whole(self.one())
        self.assertEqual((got["state"], got["marked"], got["change"]["cause"], got["change"]["by"]),
                         ("resolved", 3, "marks", "bo"))
        self.mals("took 4 ms")
        got = self.whole(got)
        self.assertEqual((got["state"], got["regressed"]), ("open", True))
        self.server.restart()
        self.assertEqual(self.whole(got)["history"], got["history"])
        # what came back is dealt with in the same way
        r = self.server.post("/api/v1/resolve", {"ids": [got["latest"]], "by": "cy"})
        self.assertEqual(r.json()["resolved"], 1)
        got = self.whole(got)
        self.assertEqual((got["state"], got["change"]["by"], len(got["history"])),
                         ("resolved", "cy", 3))

    def test_reopened_over_marks(self):
        ids = self.mals("took 1 ms")
        issue = self.one()
        self.server.patch("/logs/%s/resolve" % ids[0], {"resolved_by": "ana"})
        self.assertEqual(self.one()["state"], "resolved")
        self.assertEqual(self.decide(issue, "open")["state"], "open")
        self.assertEqual(self.one()["state"], "open")  # the marks of before do not count
        more = self.mals("took 2 ms")
        self.assertEqual(self.one()["state"], "open")
        self.server.patch("/logs/%s/resolve" % more[0], {"resolved_by": "bo"})
        self.assertEqual(self.one()["state"], "resolved")

    def test_issue_states_mark_no_entries(self):
        self.mals("took 1 ms")
        self.decide(self.one(), "resolved")
        self.assertEqual(self.server.get("/logs", query={"resolved": "false"}).json()["total"], 1)

    def test_ignored_stays_ignored(self):
        ids = self.mals("took 1 ms")
        self.decide(self.one(), "ignored")
        self.server.patch("/logs/%s/resolve" % ids[0], {"resolved_by": "ana"})
        self.assertEqual(self.one()["state"], "ignored")


class TestDeletion(Issues):
    def test_what_is_deleted_is_gone(self):
        self.server.ingest([error("alpha broke", timestamp="2020-01-01T00:00:00Z"),
                            error("beta broke", timestamp="2020-01-01T00:00:00Z"),
                            error("beta broke")])
        self.assertEqual(self.list()["total"], 2)
        self.decide(self.one(q="alpha"), "resolved")
        r = self.server.delete("/prune", query={"days": 30})
        self.assertEqual(r.json()["pruned"], 2)
        got = self.one()
        self.assertEqual((got["title"], got["count"]), ("beta broke", 1))
        # it comes back as what it is: an old one that was resolved
        self.server.ingest([error("alpha broke")])
        got = self.one(q="alpha")
        self.assertEqual((got["state"], got["regressed"]), ("open", True))


class TestKeys(unittest.TestCase):
    def test_what_a_key_may_not_see(self):
        with Server(env={"FLEETLOG_API_KEY": "test-admin-key"}, key="test-admin-key") as s:
            s.ingest([error("alpha broke", agent="web-1"), error("alpha broke", agent="db-1"),
                      error("beta broke", agent="db-1")])
            made = s.post("/api/v1/keys", {"name": "w", "scopes": ["read", "write-marks"],
                                           "agent": "web-*"}).json()
            mine = {"Authorization": "Bearer " + made["secret"]}
            all_of_them = s.get("/api/v1/issues").json()["issues"]
            alpha = [i for i in all_of_them if "alpha" in i["title"]][0]
            beta = [i for i in all_of_them if "beta" in i["title"]][0]
            got = s.get("/api/v1/issues", headers=mine).json()
            self.assertEqual([(i["id"], i["count"], i["by_agent"]) for i in got["issues"]],
                             [(alpha["id"], 1, {"web-1": 1})])
            self.assertEqual(s.get("/api/v1/issues/" + beta["id"], headers=mine).status, 404)
            one = s.get("/api/v1/issues/" + alpha["id"], headers=mine)
            self.assertEqual((one.status, one.json()["count"]), (200, 1))
            r = s.patch("/api/v1/issues/" + alpha["id"], {"state": "resolved", "by": "x"},
                        headers=mine)
            self.assertEqual(r.status, 403)
            # who reopened it is not theirs to know
            s.patch("/api/v1/issues/" + alpha["id"], {"state": "resolved", "by": "x"})
            s.ingest([error("alpha broke", agent="db-1")])
            one = s.get("/api/v1/issues/" + alpha["id"], headers=mine).json()
            self.assertEqual((one["state"], one["regressed"], one["marked"]), ("open", True, 0))
            self.assertNotIn("entry", one["change"])
            reader = s.post("/api/v1/keys", {"name": "r", "scopes": ["read"]}).json()
            r = s.patch("/api/v1/issues/" + alpha["id"], {"state": "open", "by": "x"},
                        headers={"Authorization": "Bearer " + reader["secret"]})
            self.assertEqual(r.status, 403)


if __name__ == "__main__":
    unittest.main()
