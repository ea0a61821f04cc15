"""The local-assistant guide (POST /log, /logs/ws, GET /logs) and the hook senders' relatives
(POST /events, /events/recent, /events/filter-options, /stream)."""
import json
import time
import unittest
import uuid

from fleetlog import Server
from ws import Closed, WebSocket


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def log(self, event):
        r = self.server.post("/log", event)
        self.assertEqual((r.status, r.json()), (200, {"status": "logged"}))

    def socket(self, path="/logs/ws"):
        w = WebSocket(self.server.port, path)
        self.addCleanup(w.close)
        return w


class TestLog(Live):
    def test_logged(self):
        self.log({"agent": "a", "event": "user_message", "content": "hi"})

    def test_any_object_is_taken(self):
        for event in ({}, {"x": 1}, {"agent": "a"}, {"content": "only"}, {"event": {"deep": [1]}},
                      {"agent": 7, "timestamp": "whenever", "level": "shouting"}):
            self.log(event)

    def test_what_is_no_object_is_400(self):
        for body in ("[]", "1", "null", '"x"', "{", ""):
            r = self.server.post("/log", body)
            self.assertEqual(r.status, 400, body)
            self.assertNotIn("[]", r.json()["error"])  # no list of errors that is empty

    def test_it_is_searchable(self):
        mark = uuid.uuid4().hex
        self.log({"timestamp": "2025-12-24T14:37:53Z", "agent": "PlannerAgent",
                  "event": "tool_invocation", "tool": "CalendarAPI",
                  "input": {"title": "Meeting " + mark}})
        r = self.server.get("/api/v1/query", query={"q": "agent:PlannerAgent tool:CalendarAPI"})
        self.assertEqual(r.status, 200, r)
        self.assertIn(mark, r.text())


class TestWebSocket(Live):
    def test_first_frame_then_bare_events(self):
        w = self.socket()
        self.assertEqual(w.recv_json(), {"message": "Connected to log stream"})
        sent = {"timestamp": "2025-12-24T14:37:52Z", "agent": "PlannerAgent",
                "event": "user_message", "content": "Schedule a meeting"}
        self.log(sent)
        got = w.recv_json()
        for k in ("agent", "event", "content"):
            self.assertEqual(got[k], sent[k], k)
        self.assertTrue(got["timestamp"].startswith("2025-12-24T14:37:52"), got)

    def test_extra_keys_come_through(self):
        w = self.socket()
        w.recv_json()
        self.log({"agent": "x", "event": "tool_result", "tool": "T", "output": "done",
                  "role": "r", "session_id": "s", "n": 5, "list": [1, {"a": None}]})
        got = w.recv_json()
        self.assertEqual((got["tool"], got["output"], got["role"], got["session_id"], got["n"],
                          got["list"]), ("T", "done", "r", "s", 5, [1, {"a": None}]))

    def test_defaults_for_a_bare_event(self):
        w = self.socket()
        w.recv_json()
        self.log({"note": "no agent"})
        got = w.recv_json()
        self.assertEqual((got["agent"], got["note"]), ("unknown", "no agent"))
        self.assertIn("timestamp", got)

    def test_no_history_and_order_kept(self):
        self.log({"agent": "before", "event": "e", "content": "old"})
        w = self.socket()
        w.recv_json()
        for i in range(50):
            self.log({"agent": "order", "event": "e", "content": str(i)})
        self.assertEqual([w.recv_json()["content"] for i in range(50)],
                         [str(i) for i in range(50)])

    def test_every_listener_gets_every_event(self):
        sockets = [self.socket() for _ in range(5)]
        for w in sockets:
            w.recv_json()
        self.log({"agent": "all", "event": "e", "content": "one"})
        self.assertEqual([w.recv_json()["content"] for w in sockets], ["one"] * 5)

    def test_events_of_other_dialects_arrive_too(self):
        w = self.socket()
        w.recv_json()
        r = self.server.post("/ingest", {"timestamp": time.time(), "agent": "fleet-agent",
                                         "level": "ERROR", "message": "from fleet"})
        self.assertEqual(r.status, 200)
        got = w.recv_json()
        self.assertEqual((got["agent"], got["content"]), ("fleet-agent", "from fleet"))
        self.assertEqual(got["event"].lower(), "error")
        self.server.ingest([{"agent": "native", "event": "note", "message": "from native"}])
        got = w.recv_json()
        self.assertEqual((got["agent"], got["event"], got["content"]),
                         ("native", "note", "from native"))

    def test_a_client_that_talks_does_no_harm(self):
        w = self.socket()
        w.recv_json()
        w.send("hello?")
        w.send_frame(9, b"ping")
        while True:
            _fin, op, payload = w.recv_frame()
            if op == 10:
                break
        self.assertEqual(payload, b"ping")
        self.log({"agent": "talk", "event": "e", "content": "still here"})
        self.assertEqual(w.recv_json()["content"], "still here")

    def test_a_tidy_close_is_answered(self):
        w = WebSocket(self.server.port, "/logs/ws")
        w.recv_json()
        w.send_frame(8, b"\x03\xe8")
        with self.assertRaises(Closed) as c:
            w.recv()
        self.assertEqual(c.exception.code, 1000)
        w.sock.close()

    def test_a_listener_that_vanished_harms_no_other(self):
        gone, stays = self.socket(), self.socket()
        gone.recv_json()
        stays.recv_json()
        gone.sock.close()
        for i in range(20):
            self.log({"agent": "v", "event": "e", "content": str(i)})
        self.assertEqual([stays.recv_json()["content"] for i in range(20)],
                         [str(i) for i in range(20)])


class TestPage(Live):
    def test_html_for_a_browser_json_for_a_program(self):
        r = self.server.get("/logs", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        self.assertEqual(r.status, 200)
        self.assertTrue(r.headers["Content-Type"].startswith("text/html"))
        self.assertIn("<html", r.text().lower())
        for accept in (None, "*/*", "application/json", "application/json, text/html;q=0.5"):
            r = self.server.get("/logs", headers={"Accept": accept} if accept else None)
            self.assertEqual(set(r.json()), {"total", "items"}, accept)

    def test_the_root_is_a_page_for_a_browser(self):
        r = self.server.get("/", headers={"Accept": "text/html"})
        self.assertEqual(r.status, 200)
        self.assertTrue(r.headers["Content-Type"].startswith("text/html"))


def hook(**more):
    e = {"source_app": "demo", "session_id": "sess-1", "hook_event_type": "PreToolUse",
         "payload": {"tool_name": "Bash"}}
    e.update(more)
    return e


class TestEvents(unittest.TestCase):
    def setUp(self):
        self.server = Server().start()
        self.addCleanup(self.server.close)

    def post(self, event):
        r = self.server.post("/events", event)
        self.assertEqual(r.status, 200, r)
        return r.json()

    def test_echo_with_id_and_timestamp(self):
        before = int(time.time() * 1000) - 5000
        sent = hook(summary="s", model_name="m-1", chat=[{"role": "user"}], tool_use_id="extra")
        got = self.post(sent)
        for k, v in sent.items():
            self.assertEqual(got[k], v, k)
        self.assertIn("id", got)
        self.assertGreater(got["timestamp"], before)

    def test_a_given_time_is_kept(self):
        self.assertEqual(self.post(hook(timestamp=1700000000123))["timestamp"], 1700000000123)
        got = self.server.get("/events/recent").json()
        self.assertEqual(got[0]["timestamp"], 1700000000123)

    def test_a_question_is_pending(self):
        got = self.post(hook(humanInTheLoop={"question": "ok?", "type": "permission"}))
        self.assertEqual(got["humanInTheLoopStatus"]["status"], "pending")

    def test_missing_or_empty_fields_are_400(self):
        for key in ("source_app", "session_id", "hook_event_type", "payload"):
            for bad in (None, ""):
                e = hook()
                if bad is None:
                    del e[key]
                else:
                    e[key] = bad
                r = self.server.post("/events", e)
                self.assertEqual((r.status, r.json()), (400, {"error": "Missing required fields"}))

    def test_an_empty_payload_is_fine(self):
        self.assertEqual(self.post(hook(payload={}))["payload"], {})

    def test_broken_json_is_400(self):
        r = self.server.post("/events", "{nope")
        self.assertEqual(r.status, 400)
        self.assertIn("error", r.json())

    def test_recent_is_oldest_to_newest_and_the_newest_n(self):
        for i in range(10):
            self.post(hook(timestamp=1700000000000 + i * 1000, payload={"i": i}))
        got = self.server.get("/events/recent?limit=4").json()
        self.assertEqual([e["payload"]["i"] for e in got], [6, 7, 8, 9])
        got = self.server.get("/events/recent").json()
        self.assertEqual([e["payload"]["i"] for e in got], list(range(10)))

    def test_what_a_hook_says_becomes_fields_and_is_given_back_as_sent(self):
        cases = [
            ("UserPromptSubmit", {"prompt": "fix the cart"}, {"message": "fix the cart", "level": "info"}),
            ("PreToolUse", {"tool_name": "Bash", "tool_use_id": "c1", "tool_input": {"command": "ls"},
                            "agent_id": "sub-1", "agent_type": "researcher"},
             {"tool": "Bash", "call_id": "c1", "agent_id": "sub-1"}),
            ("PostToolUseFailure", {"tool_name": "Bash", "error": "exit 1", "duration_ms": 12.5},
             {"message": "exit 1", "level": "error", "duration_ms": 12.5}),
            ("Notification", {"message": "needs you"}, {"message": "needs you"}),
            ("SubagentStop", {"last_assistant_message": "found it"}, {"message": "found it"}),
            ("StopFailure", {"error": "rate_limit"}, {"message": "rate_limit", "level": "error"}),
            ("SessionStart", {"model": "claude-sonnet-4-5"}, {"model": "claude-sonnet-4-5"}),
        ]
        for i, (event, payload, want) in enumerate(cases):
            sent = hook(hook_event_type=event, payload=payload, timestamp=1700000000000 + i,
                        agent_instance_id="engineer-1")
            self.post(sent)
            entry = self.server.get("/api/v1/query?limit=1&q=event:%s" % event).json()["rows"][0]
            for k, v in want.items():
                self.assertEqual(entry[k], v, (event, k))
            self.assertEqual(entry["agent_id"], want.get("agent_id", "engineer-1"))
            got = self.server.get("/events/recent?limit=1").json()[0]
            self.assertEqual({k: got[k] for k in sent}, sent, event)
        got = self.server.get("/api/v1/query?q=tool_input.command:ls").json()["rows"]
        self.assertEqual([e["event"] for e in got], ["PreToolUse"])

    def test_recent_returns_what_was_sent_and_omits_what_was_not(self):
        sent = hook(summary="did it", tool_use_id="tu-1", model_name="m-2",
                    payload={"deep": {"a": [1, None, {"b": "c"}]}})
        posted = self.post(sent)
        got = self.server.get("/events/recent").json()[0]
        for k, v in sent.items():
            self.assertEqual(got[k], v, k)
        self.assertEqual(got["id"], posted["id"])
        self.assertNotIn("humanInTheLoop", got)
        self.assertNotIn("chat", got)

    def test_recent_with_a_bad_limit_is_400(self):
        self.assertEqual(self.server.get("/events/recent?limit=x").status, 400)

    def test_filter_options(self):
        self.post(hook(source_app="zeta", session_id="a1", hook_event_type="Stop"))
        self.post(hook(source_app="alpha", session_id="b2", hook_event_type="PreToolUse"))
        self.assertEqual(self.server.get("/events/filter-options").json(),
                         {"source_apps": ["alpha", "zeta"], "session_ids": ["b2", "a1"],
                          "hook_event_types": ["PreToolUse", "Stop"]})

    def test_stream_opens_with_history_then_sends_events(self):
        for i in range(3):
            self.post(hook(timestamp=1700000000000 + i, payload={"i": i}))
        w = WebSocket(self.server.port, "/stream")
        self.addCleanup(w.close)
        first = w.recv_json()
        self.assertEqual(first["type"], "initial")
        self.assertEqual([e["payload"]["i"] for e in first["data"]], [0, 1, 2])
        posted = self.post(hook(payload={"i": 3}, agent_id="sub-1"))
        event = w.recv_json()
        self.assertEqual(event["type"], "event")
        self.assertEqual(event["data"]["id"], posted["id"])
        self.assertEqual(event["data"]["payload"], {"i": 3})
        self.assertEqual(event["data"]["agent_id"], "sub-1")

    def test_a_repeat_gets_the_first_answer(self):
        with Server() as s:
            def send():
                return s.post("/events", {"source_app": "rep", "session_id": "s",
                                          "hook_event_type": "Stop", "payload": {"n": 1}},
                              headers={"Idempotency-Key": "hook-1"})
            first = send().json()
            s.restart()
            self.assertEqual(send().json(), first)
            self.assertEqual(s.get("/events/recent").json()[0]["timestamp"], first["timestamp"])

    def test_events_survive_a_kill(self):
        sent = self.post(hook(payload={"keep": True}))
        self.server.kill()
        self.server.start()
        got = self.server.get("/events/recent").json()
        self.assertEqual([e["id"] for e in got], [sent["id"]])
        self.assertEqual(got[0]["payload"], {"keep": True})

    def test_they_are_entries_like_all_others(self):
        self.post(hook(source_app="shared-app", payload={"note": "needle42"}))
        r = self.server.get("/api/v1/query", query={"q": "agent:shared-app event:PreToolUse"})
        self.assertEqual(len(r.json()["rows"]), 1, r)
        self.assertIn("needle42", json.dumps(r.json()["rows"]))


if __name__ == "__main__":
    unittest.main()
