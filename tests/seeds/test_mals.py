"""The MALS REST API, as its README states it and as our own HTTP document settles the rest."""
import re
import unittest
import uuid
from datetime import datetime, timedelta, timezone

from fleetlog import Server, wait_until

KEY = "mals-test-key-0123456789"
ITEM_KEYS = {"id", "agent_id", "message", "level", "category", "session_key", "source", "metadata",
             "trace_id", "parent_id", "created_at", "resolved", "resolved_at", "resolved_by"}


def parse_time(text):
    """RFC 3339 with any number of decimals, in UTC."""
    m = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(?:Z|\+00:00)", text)
    if not m:
        raise AssertionError("not a UTC time: %r" % text)
    micros = int((m.group(2) or "0")[:6].ljust(6, "0"))
    whole = datetime.fromisoformat(m.group(1)).replace(tzinfo=timezone.utc)
    return whole + timedelta(microseconds=micros)


class Mals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(key=KEY, env={"MALS_API_KEY": KEY}).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def log(self, agent, message, **more):
        r = self.server.post("/logs", dict(agent_id=agent, message=message, **more))
        self.assertEqual(r.status, 200, r)
        return r.json()

    def logs(self, **query):
        r = self.server.get("/logs", query=query)
        self.assertEqual(r.status, 200, r)
        return r.json()

    def messages(self, **query):
        return [i["message"] for i in self.logs(**query)["items"]]


class TestAuth(Mals):
    def test_health_needs_no_key(self):
        r = self.server.get("/health", headers={"Authorization": ""})
        self.assertEqual(r.status, 200)
        h = r.json()
        self.assertEqual((h["status"], h["db"]), ("ok", "connected"))
        self.assertIn("version", h)

    def test_everything_else_does(self):
        routes = [("POST", "/logs"), ("POST", "/logs/batch"), ("GET", "/logs"),
                  ("GET", "/logs/summary"), ("GET", "/logs/agents"),
                  ("PATCH", "/logs/%s/resolve" % uuid.uuid4()), ("POST", "/logs/resolve-batch"),
                  ("POST", "/ingest"), ("GET", "/search"), ("GET", "/stats"),
                  ("DELETE", "/prune?days=0"), ("POST", "/api/v1/ingest"), ("POST", "/log"),
                  ("GET", "/api/v1/query?q=*"), ("GET", "/events/recent")]
        for method, path in routes:
            for auth in ("", "Bearer wrong", "Bearer " + KEY[:-1], "Bearer " + KEY + "x",
                         "Basic abc", KEY):
                body = {} if method in ("POST", "PATCH") else None
                r = self.server.request(method, path, body=body, headers={"Authorization": auth})
                self.assertEqual(r.status, 401, (method, path, auth))
                self.assertTrue((r.headers.get("WWW-Authenticate") or "").startswith("Bearer"))

    def test_a_reduced_health_tells_no_stranger_about_the_data(self):
        h = self.server.get("/health", headers={"Authorization": ""}).json()
        self.assertNotIn("storage_dir", h)

    def test_bearer_is_case_insensitive_as_a_scheme(self):
        r = self.server.get("/logs", headers={"Authorization": "bearer " + KEY})
        self.assertEqual(r.status, 200)


class TestWrite(Mals):
    def test_log_answers_id_and_created_at(self):
        before = datetime.now(timezone.utc) - timedelta(seconds=5)
        r = self.log("w1", "hello")
        self.assertEqual(set(r), {"id", "created_at"})
        uuid.UUID(r["id"])
        self.assertGreater(parse_time(r["created_at"]), before)

    def test_a_repeat_gets_the_first_answer(self):
        with Server(key=KEY, env={"MALS_API_KEY": KEY}) as s:
            def log():
                return s.post("/logs", {"agent_id": "rep", "message": "once"},
                              headers={"Idempotency-Key": "mals-1"})
            first = log()
            self.assertEqual(first.status, 200, first)
            self.assertEqual(log().json(), first.json())
            s.restart()
            self.assertEqual(log().json(), first.json())
            items = s.get("/logs").json()
            self.assertEqual((items["total"], items["items"][0]["created_at"]),
                             (1, first.json()["created_at"]))

    def test_full_item_round_trip(self):
        parent = self.log("w2", "parent")["id"]
        trace = str(uuid.uuid4())
        sent = {"level": "error", "category": "deploy", "session_key": "sk-1", "source": "worker",
                "metadata": {"a": 1, "b": {"c": [True, None, 1.5]}}, "trace_id": trace,
                "parent_id": parent}
        made = self.log("w2", "child", **sent)
        item = self.logs(agent_id="w2", level="error")["items"][0]
        self.assertEqual(set(item), ITEM_KEYS)
        for k, v in sent.items():
            self.assertEqual(item[k], v, k)
        self.assertEqual((item["id"], item["created_at"]), (made["id"], made["created_at"]))
        self.assertEqual((item["agent_id"], item["message"]), ("w2", "child"))
        self.assertEqual((item["resolved"], item["resolved_at"], item["resolved_by"]),
                         (False, None, None))

    def test_defaults(self):
        self.log("w3", "plain")
        item = self.logs(agent_id="w3")["items"][0]
        self.assertEqual((item["level"], item["source"]), ("info", "api"))
        for k in ("category", "session_key", "trace_id", "parent_id"):
            self.assertIsNone(item[k], k)

    def test_batch(self):
        r = self.server.post("/logs/batch", [{"agent_id": "w4", "message": "b%d" % i}
                                             for i in range(25)])
        self.assertEqual((r.status, r.json()), (200, {"inserted": 25}))
        self.assertEqual(self.logs(agent_id="w4")["total"], 25)

    def test_empty_batch(self):
        r = self.server.post("/logs/batch", [])
        self.assertEqual((r.status, r.json()), (200, {"inserted": 0}))

    def test_a_batch_with_one_bad_element_inserts_nothing(self):
        r = self.server.post("/logs/batch", [{"agent_id": "w5", "message": "good"},
                                             {"agent_id": "w5"},
                                             {"agent_id": "w5", "message": "good too"}])
        self.assertEqual(r.status, 422)
        detail = r.json()["detail"]
        self.assertEqual(detail[0]["loc"], ["body", 1, "message"])
        self.assertEqual(self.logs(agent_id="w5")["total"], 0)

    def assert_422(self, body, field):
        r = self.server.post("/logs", body)
        self.assertEqual(r.status, 422, (body, r))
        detail = r.json()["detail"]
        self.assertIsInstance(detail, list)
        for d in detail:
            self.assertTrue({"type", "loc", "msg", "input"} <= set(d), d)
        if field:
            self.assertIn(field, [d["loc"][-1] for d in detail])

    def test_missing_fields_are_422(self):
        self.assert_422({"message": "x"}, "agent_id")
        self.assert_422({"agent_id": "x"}, "message")

    def test_both_missing_fields_are_named(self):
        r = self.server.post("/logs", {})
        self.assertEqual(r.status, 422)
        self.assertEqual({d["loc"][-1] for d in r.json()["detail"]}, {"agent_id", "message"})

    def test_bad_values_are_422(self):
        ok = {"agent_id": "w6", "message": "x"}
        self.assert_422(dict(ok, level="loud"), "level")
        self.assert_422(dict(ok, level="ERROR"), "level")
        self.assert_422(dict(ok, level="warning"), "level")
        self.assert_422(dict(ok, agent_id="a" * 65), "agent_id")
        self.assert_422(dict(ok, agent_id=5), "agent_id")
        self.assert_422(dict(ok, message=["x"]), "message")
        self.assert_422(dict(ok, metadata="text"), "metadata")
        self.assert_422(dict(ok, trace_id="not-a-uuid"), "trace_id")
        self.assert_422(dict(ok, parent_id="nope"), "parent_id")
        self.assertEqual(self.logs(agent_id="w6")["total"], 0)

    def test_a_body_that_is_no_object_is_422(self):
        for body in ("[]", "1", "null", '"x"', "{", ""):
            r = self.server.post("/logs", body, headers={"Content-Type": "application/json"})
            self.assertEqual(r.status, 422, body)
            self.assertIsInstance(r.json()["detail"], list)

    def test_broken_json_says_where(self):
        for path in ("/logs", "/logs/batch", "/logs/resolve-batch"):
            r = self.server.post(path, '[{"agent_id": nope}]')
            self.assertEqual(r.status, 422, r)
            (d,) = r.json()["detail"]
            self.assertEqual((d["type"], d["loc"][0]), ("json_invalid", "body"))
        r = self.server.post("/logs/batch", '[{"agent_id": nope}]').json()["detail"][0]
        self.assertEqual((r["loc"], r["msg"]), (["body", 14], "JSON decode error"))
        self.assertTrue(r["ctx"]["error"])
        r = self.server.post("/logs/batch", "{}").json()["detail"][0]
        self.assertEqual((r["type"], r["loc"], r["input"]), ("list_type", ["body"], {}))

    def test_sixty_four_characters_of_agent_are_fine(self):
        for name in ("a" * 64, "é" * 64):
            self.log(name, "x")
            self.assertEqual(self.logs(agent_id=name)["total"], 1)

    def test_an_unknown_field_is_kept(self):
        self.log("w7", "x", flavour="vanilla")
        r = self.server.get("/api/v1/query", query={"q": "agent:w7 flavour:vanilla"})
        self.assertEqual(r.status, 200, r)
        self.assertEqual(len(r.json()["rows"]), 1)


class TestList(Mals):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        batch = []
        for i in range(30):
            batch.append({"agent_id": "l%d" % (i % 3), "message": "Item %02d 100%% done_x" % i,
                          "level": ["debug", "info", "warn", "error", "critical"][i % 5],
                          "category": "even" if i % 2 == 0 else "odd",
                          "source": "cron" if i < 10 else "api"})
        for b in batch:
            r = cls.server.post("/logs", b)
            assert r.status == 200, r

    def test_newest_first_and_total_of_matches(self):
        r = self.logs(limit=5)
        self.assertEqual((r["total"], len(r["items"])), (30, 5))
        self.assertEqual([i["message"][:7] for i in r["items"]],
                         ["Item %02d" % i for i in range(29, 24, -1)])

    def test_offset(self):
        self.assertEqual(self.messages(limit=3, offset=28)[-1][:7], "Item 00")
        self.assertEqual(len(self.messages(limit=3, offset=28)), 2)

    def test_level_is_exact(self):
        r = self.logs(level="warn")
        self.assertEqual((r["total"], {i["level"] for i in r["items"]}), (6, {"warn"}))

    def test_filters_combine(self):
        self.assertEqual(self.logs(agent_id="l0")["total"], 10)
        self.assertEqual(self.logs(agent_id="l0", category="even")["total"], 5)
        self.assertEqual(self.logs(source="cron")["total"], 10)
        self.assertEqual(self.logs(source="cron", category="odd")["total"], 5)

    def test_search_is_a_case_insensitive_substring(self):
        self.assertEqual(self.logs(search="item 07")["total"], 1)
        self.assertEqual(self.logs(search="EM 0")["total"], 10)

    def test_search_has_no_wildcards(self):
        self.assertEqual(self.logs(search="100% DONE_X")["total"], 30)
        self.assertEqual(self.logs(search="1__%")["total"], 0)
        self.assertEqual(self.logs(search="Item*")["total"], 0)
        self.assertEqual(self.logs(search="(")["total"], 0)

    def test_since_is_inclusive_and_until_exclusive(self):
        items = self.logs()["items"]
        at = items[10]["created_at"]
        since = self.logs(since=at)
        until = self.logs(until=at)
        self.assertIn(items[10]["id"], [i["id"] for i in since["items"]])
        self.assertNotIn(items[10]["id"], [i["id"] for i in until["items"]])
        self.assertEqual(since["total"] + until["total"], 30)

    def test_bad_parameters_are_422(self):
        for name, value in (("limit", "0"), ("limit", "1001"), ("limit", "x"), ("offset", "-1"),
                            ("level", "loud"), ("since", "yesterday-ish"), ("resolved", "maybe")):
            r = self.server.get("/logs", query={name: value})
            self.assertEqual(r.status, 422, (name, value))
            self.assertEqual(r.json()["detail"][0]["loc"], ["query", name])

    def test_limits_at_their_ends(self):
        self.assertEqual(len(self.messages(limit=1)), 1)
        self.assertEqual(len(self.messages(limit=1000)), 30)

    def test_agents(self):
        r = self.server.get("/logs/agents").json()
        self.assertEqual((r["total"], len(r["items"])), (3, 3))
        by = {i["agent_id"]: i for i in r["items"]}
        self.assertEqual(set(by), {"l0", "l1", "l2"})
        self.assertEqual(by["l0"]["total"], 10)
        self.assertEqual(sum(i["error_count_24h"] for i in r["items"]), 12)
        newest = max(i["created_at"] for i in self.logs(agent_id="l2")["items"])
        self.assertEqual(by["l2"]["last_activity"], newest)


class TestResolve(Mals):
    def item(self, id_):
        for i in self.logs(limit=1000)["items"]:
            if i["id"] == id_:
                return i
        raise AssertionError(id_ + " is not listed")

    def test_resolve_answers_the_item(self):
        id_ = self.log("r1", "broken", level="error")["id"]
        r = self.server.patch("/logs/%s/resolve" % id_, {"resolved_by": "ada"})
        self.assertEqual(r.status, 200, r)
        got = r.json()
        self.assertEqual((got["id"], got["resolved"], got["resolved_by"]), (id_, True, "ada"))
        parse_time(got["resolved_at"])
        for key in ("created_at", "resolved_at"):  # as Python's datetime.isoformat has them
            self.assertRegex(got[key], r"^[^.]+(\.\d{6})?Z$")
        self.assertEqual(self.item(id_), got)

    def test_the_first_resolver_stays(self):
        id_ = self.log("r2", "x", level="error")["id"]
        path = "/logs/%s/resolve" % id_
        first = self.server.patch(path, {"resolved_by": "ada"}).json()
        second = self.server.patch(path, {"resolved_by": "bob"})
        self.assertEqual(second.status, 200)
        self.assertEqual(second.json(), first)

    def test_unknown_and_malformed_ids(self):
        r = self.server.patch("/logs/%s/resolve" % uuid.uuid4(), {"resolved_by": "a"})
        self.assertEqual(r.status, 404)
        self.assertIn("detail", r.json())
        r = self.server.patch("/logs/not-a-uuid/resolve", {"resolved_by": "a"})
        self.assertEqual(r.status, 422)
        self.assertEqual(r.json()["detail"][0]["input"], "not-a-uuid")
        r = self.server.post("/logs/resolve-batch", {"ids": ["x\n"], "resolved_by": "a"})
        self.assertEqual((r.status, r.json()["detail"][0]["loc"], r.json()["detail"][0]["input"]),
                         (422, ["body", "ids", 0], "x\n"))
        for by in (5, None, ["a"], {}):
            r = self.server.patch("/logs/%s/resolve" % uuid.uuid4(), {"resolved_by": by})
            self.assertEqual((r.status, r.json()["detail"][0]["input"]), (422, by))

    def test_resolved_by_is_required(self):
        id_ = self.log("r3", "x")["id"]
        self.assertEqual(self.server.patch("/logs/%s/resolve" % id_, {}).status, 422)

    def test_resolve_batch(self):
        ids = [self.log("r4", "b%d" % i, level="error")["id"] for i in range(4)]
        strange = str(uuid.uuid4())
        r = self.server.post("/logs/resolve-batch",
                             {"ids": ids[:3] + [strange], "resolved_by": "cleo"})
        self.assertEqual((r.status, r.json()), (200, {"resolved": 3, "not_found": [strange]}))
        self.assertEqual(self.logs(agent_id="r4", resolved="true")["total"], 3)
        self.assertEqual(self.messages(agent_id="r4", resolved="false"), ["b3"])

    def test_boolean_spellings(self):
        for yes, no in (("true", "false"), ("1", "0"), ("yes", "no"), ("on", "off")):
            n = self.logs(resolved=yes)["total"] + self.logs(resolved=no)["total"]
            self.assertEqual(n, self.logs()["total"])

    def test_a_mark_survives_kill_and_restart(self):
        with Server(key=KEY, env={"MALS_API_KEY": KEY}) as s:
            id_ = s.post("/logs", {"agent_id": "k", "message": "m", "level": "error"}).json()["id"]
            want = s.patch("/logs/%s/resolve" % id_, {"resolved_by": "ada"}).json()
            for again in (lambda: (s.kill(), s.start()), s.restart):
                again()
                self.assertEqual(s.get("/logs").json()["items"], [want])


class TestSummary(Mals):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for agent, message, level in (
                ("s1", "db down", "error"), ("s1", "db down", "error"), ("s2", "db down", "error"),
                ("s1", "disk full", "critical"), ("s2", "slow", "warn"), ("s2", "fine", "info")):
            r = cls.server.post("/logs", {"agent_id": agent, "message": message, "level": level})
            assert r.status == 200, r

    def summary(self, **query):
        r = self.server.get("/logs/summary", query=query)
        self.assertEqual(r.status, 200, r)
        return r.json()

    def test_counts_by_agent(self):
        s = self.summary()
        self.assertEqual(set(s["by_agent"]), {"s1", "s2"})
        self.assertEqual(s["by_agent"]["s1"]["errors"], 2)
        self.assertEqual(s["by_agent"]["s1"]["critical"], 1)
        self.assertEqual(s["by_agent"]["s1"]["unresolved"], 3)
        self.assertEqual(s["by_agent"]["s2"]["errors"], 1)
        self.assertEqual(s["total_errors"], 4)
        parse_time(s["by_agent"]["s1"]["last_error_at"])

    def test_default_window_is_a_day(self):
        s = self.summary()
        width = parse_time(s["until"]) - parse_time(s["since"])
        self.assertAlmostEqual(width.total_seconds(), 86400, delta=60)

    def test_unresolved_new_recurring(self):
        s = self.summary()
        self.assertEqual(s["unresolved"]["count"], 4)
        self.assertEqual(len(s["unresolved"]["items"]), 4)
        self.assertEqual({n["message"] for n in s["new_errors"]}, {"db down", "disk full"})
        self.assertEqual([r["message"] for r in s["recurring_errors"]], ["db down"])
        recurring = s["recurring_errors"][0]
        self.assertEqual(recurring["count"], 3)
        self.assertEqual(sorted(recurring["agents"]), ["s1", "s2"])

    def test_what_is_resolved_still_counts_but_is_not_unresolved(self):
        with Server(key=KEY, env={"MALS_API_KEY": KEY}) as s:
            ids = [s.post("/logs", {"agent_id": "r", "message": "m%d" % (i // 2), "level": "error"}).json()["id"]
                   for i in range(4)]
            s.request("PATCH", "/logs/%s/resolve" % ids[0], {"resolved_by": "ana"})
            s.post("/logs/resolve-batch", {"ids": ids[1:2], "resolved_by": "ana"})
            got = s.get("/logs/summary").json()
            self.assertEqual(got["total_errors"], 4)
            self.assertEqual((got["by_agent"]["r"]["errors"], got["by_agent"]["r"]["unresolved"]), (4, 2))
            self.assertEqual(got["unresolved"]["count"], 2)
            self.assertEqual([i["id"] for i in got["unresolved"]["items"]], ids[:1:-1])
            self.assertEqual(got["recurring_errors"], [])  # twice is not three times
            self.assertEqual(len(got["new_errors"]), 2)

    def test_lists_are_cut_counts_are_not(self):
        with Server(key=KEY, env={"MALS_API_KEY": KEY}) as s:
            batch = [{"agent_id": "agent-%d" % (i % 60), "message": "kind %d" % (i % 120), "level": "critical"}
                     for i in range(480)]
            self.assertEqual(s.post("/logs/batch", batch).status, 200)
            got = s.get("/logs/summary").json()
            self.assertEqual((got["total_errors"], got["unresolved"]["count"]), (480, 480))
            self.assertEqual(sum(a["critical"] for a in got["by_agent"].values()), 480)
            self.assertEqual((len(got["unresolved"]["items"]), len(got["new_errors"]),
                              len(got["recurring_errors"])), (100, 100, 100))

    def test_an_empty_period(self):
        s = self.summary(agent_id="nobody")
        self.assertEqual((s["total_errors"], s["by_agent"], s["unresolved"], s["new_errors"],
                          s["recurring_errors"]), (0, {}, {"count": 0, "items": []}, [], []))
        s = self.summary(since="2100-01-01T00:00:00Z")
        self.assertEqual(s["total_errors"], 0)
        self.assertEqual(self.server.get("/logs/summary", query={"since": "soon"}).status, 422)

    def test_one_agent(self):
        s = self.summary(agent_id="s2")
        self.assertEqual(set(s["by_agent"]), {"s2"})
        self.assertEqual(s["total_errors"], 1)
        self.assertEqual(s["recurring_errors"], [])

    def test_a_message_seen_in_the_period_before_is_not_new(self):
        with Server(key=KEY, env={"MALS_API_KEY": KEY}) as s:
            def log(message):
                body = {"agent_id": "n", "message": message, "level": "error"}
                return parse_time(s.post("/logs", body).json()["created_at"])

            now = lambda: datetime.now(timezone.utc)
            early = log("known")
            since = wait_until(lambda: now() > early and now())
            log("known")
            log("fresh")
            # the window must have grown longer than the gap to the first "known"
            wait_until(lambda: now() - since > 2 * (since - early))
            got = s.get("/logs/summary", query={"since": since.isoformat()}).json()
            self.assertEqual(got["total_errors"], 2)
            self.assertEqual([n["message"] for n in got["new_errors"]], ["fresh"])


if __name__ == "__main__":
    unittest.main()
