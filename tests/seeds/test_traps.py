"""What broke in the systems whose interfaces fleetlog speaks; each trap is a test here."""
import json
import os
import socket
import subprocess
import threading
import time
import unittest

from fleetlog import BIN, Server, free_port, segment, wait_until
from ws import HandshakeError, WebSocket


def fleet(agent, message, **more):
    return dict({"timestamp": time.time(), "agent": agent, "level": "INFO", "message": message},
                **more)


class Traps(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def rows(self, q, **more):
        r = self.server.get("/api/v1/query", query=dict(more, q=q))
        self.assertEqual(r.status, 200, r)
        return r.json()["rows"]


class TestBadInputIsAnswered(Traps):
    def test_a_bad_query_says_what_and_where(self):
        for q in ("(", "a)", "/(/", "field:", "level:error |", "* | stats", "* | nosuchpipe",
                  "duration_ms>", '"open', "after:notatime"):
            r = self.server.get("/api/v1/query", query={"q": q})
            self.assertEqual(r.status, 400, q)
            e = r.json()["error"]
            self.assertTrue(e["code"] and e["message"], q)

    def test_the_position_points_into_the_query(self):
        q = "level:error | nosuchpipe"
        e = self.server.get("/api/v1/query", query={"q": q}).json()["error"]
        self.assertEqual(e["position"], q.index("nosuchpipe"))

    def test_bad_numbers(self):
        for name in ("limit", "start", "end", "timeout"):
            r = self.server.get("/api/v1/query", query={"q": "*", name: "bogus"})
            self.assertEqual(r.status, 400, name)
            self.assertIn(name, r.json()["error"]["message"])

    def test_the_connection_survives_a_400(self):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as s:
            ask = b"GET /search?pattern=( HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % self.server.port
            good = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" \
                % self.server.port
            s.sendall(ask + good)
            got = b""
            while piece := s.recv(65536):
                got += piece
        self.assertIn(b"HTTP/1.1 400", got)
        self.assertIn(b"HTTP/1.1 200", got)

    def test_an_unknown_level_is_400_on_fleet_and_422_on_mals(self):
        self.assertEqual(self.server.post("/ingest", fleet("a", "m", level="loud")).status, 400)
        r = self.server.post("/logs", {"agent_id": "a", "message": "m", "level": "loud"})
        self.assertEqual(r.status, 422)

    def test_an_unknown_level_elsewhere_is_info_and_kept(self):
        self.server.ingest([{"agent": "lvl", "message": "m", "level": "shouting"}])
        row = self.rows("agent:lvl")[0]
        self.assertEqual(row["level"], "info")
        self.assertIn("shouting", json.dumps(row))

    def test_an_unknown_field_is_kept(self):
        self.assertEqual(self.server.post("/ingest", fleet("uf", "m", colour="red")).status, 200)
        self.assertEqual(len(self.rows("agent:uf colour:red")), 1)

    def test_a_regex_that_would_never_end_is_stopped(self):
        self.server.ingest([{"agent": "redos", "message": "a" * 5000 + "!"} for _ in range(5)])
        started = time.monotonic()
        r = self.server.get("/search", query={"pattern": "(a+)+(a+)+(a+)+$", "agent": "redos"})
        self.assertIn(r.status, (200, 400))
        self.assertLess(time.monotonic() - started, 30)


class TestTypesAndNames(Traps):
    def test_a_string_where_a_number_was(self):
        mixed = [{"agent": "mix", "message": "m", "v": v}
                 for v in (1, "one", 2.5, True, None, [1], {"a": 1}, "2")]
        self.server.ingest(mixed)
        self.assertEqual(len(self.rows("agent:mix")), 8)
        self.assertEqual(len(self.rows("agent:mix v:one")), 1)
        self.assertEqual(len(self.rows("agent:mix v>1")), 2)  # 2.5 and "2", which is a number
        for e in mixed:
            r = self.server.post("/api/v1/ingest", dict(e, agent=5, timestamp=time.time()))
            self.assertEqual(r.status, 200, r)
        for path in ("/stats", "/health", "/agents", "/search?agent=*5*"):
            self.assertEqual(self.server.get(path).status, 200, path)

    def test_odd_fleet_values_poison_nothing(self):
        for bad in ({"agent": 7}, {"message": None}, {"message": 3}, {"context": "text"},
                    {"timestamp": "soon"}, {"timestamp": None}, {"trace_id": 9}):
            r = self.server.post("/ingest", dict(fleet("odd", "m"), **bad))
            self.assertIn(r.status, (200, 400), bad)
        for path in ("/stats", "/health", "/agents", "/search?agent=o*", "/search?level=WARN"):
            self.assertEqual(self.server.get(path).status, 200, path)

    def test_agent_names_are_exact_and_touch_no_path(self):
        outside = os.path.join(os.path.dirname(self.server.data_dir.rstrip("/")), "trap-outside")
        names = ["../x", "../trap-outside", "/etc/passwd", "a/b", "..", ".", " ", "a b", "con\ttrol",
                 "new\nline", "\x1b[31mred", "nul\u0000byte", "q\"uote", "back\\slash", "<b>", "%2e",
                 "*", "a*b", "ünï", "🚀", "x" * 10240]
        for n in names:
            r = self.server.post("/ingest", fleet(n, "name"))
            self.assertEqual(r.status, 200, (n[:40], r))
        agents = self.server.get("/agents").json()["agents"]
        for n in names:
            self.assertEqual(agents.get(n), 1, n[:40])
            if "*" not in n:
                got = self.server.get("/search?agent=" + segment(n)) if len(n) < 2000 else None
                if got is not None:
                    self.assertEqual([e["agent"] for e in got.json()["results"]], [n])
        self.assertFalse(os.path.exists(outside))
        for folder, _subs, files in os.walk(self.server.data_dir):
            for f in files:
                self.assertNotIn("passwd", f)
                self.assertTrue(all(c.isalnum() or c in "._-" for c in f), f)

    def test_the_empty_agent_is_a_name_too(self):
        self.assertEqual(self.server.post("/ingest", fleet("", "nameless")).status, 200)
        got = self.server.get("/search?agent=").json()["results"]
        self.assertEqual([(e["agent"], e["message"]) for e in got], [("", "nameless")])

    def test_a_megabyte_message(self):
        text = ("0123456789abcdef" * 65536)[:1 << 20]
        r = self.server.post("/ingest", fleet("mega", text))
        self.assertEqual(r.status, 200, r)
        got = self.server.get("/search?agent=mega").json()["results"]
        self.assertTrue(got[0]["message"] == text, "the message changed")

    def test_a_thousand_fields(self):
        context = {"key_%d" % i: i for i in range(1000)}
        r = self.server.post("/ingest", fleet("wide", "m", context=context))
        self.assertEqual(r.status, 200, r)
        self.assertEqual(self.server.get("/search?agent=wide").json()["results"][0]["context"],
                         context)

    def test_too_many_fields_and_too_deep_are_refused_with_the_reason(self):
        r = self.server.post("/api/v1/ingest", {"message": "m", "agent": "lim",
                                                "x": {"k%d" % i: i for i in range(1100)}})
        self.assertEqual(r.status, 400, r)
        deep = 1
        for _ in range(40):
            deep = {"d": deep}
        r = self.server.post("/api/v1/ingest", {"message": "m", "agent": "lim", "x": deep})
        self.assertEqual(r.status, 400, r)
        self.assertEqual(self.rows("agent:lim"), [])

    def test_a_deeply_nested_body_does_not_crash(self):
        for body in ("[" * 100000, '{"a":' * 100000, "[" * 5000 + "]" * 5000):
            self.assertEqual(self.server.post("/ingest", body).status, 400)
        self.assertEqual(self.server.get("/health").status, 200)

    def test_emoji_nul_and_surrogates(self):
        for text in ("🚀👩‍👩‍👧", "a\u0000b", "\u2028\ufeff\uffff", "\U0001F600"):
            self.assertEqual(self.server.post("/ingest", fleet("uni", text)).status, 200)
            got = self.server.get("/search?agent=uni&limit=1&sort=desc").json()["results"]
            self.assertEqual(got[0]["message"], text)
        lone = b'{"timestamp":1,"agent":"lone","level":"INFO","message":"\\ud800 x"}'
        r = self.server.post("/ingest", lone)
        if r.status == 200:
            got = self.server.get("/search?agent=lone").json()["results"]
            self.assertEqual(got[0]["message"], "\ud800 x")
        else:
            self.assertEqual(r.status, 400, r)
            self.assertTrue(r.json()["error"])
        r = self.server.post("/ingest", b'{"timestamp":1,"agent":"x","level":"INFO","message":"\xff"}')
        self.assertEqual(r.status, 400, r)

    def test_numbers_come_back_as_they_went_in(self):
        for text in ("9007199254740993", "-0.0", "1e-7", "123456789012345678901234567890", "0.1",
                     "18446744073709551615", "5e-324", "1.7976931348623157e308"):
            body = '{"timestamp":1700000000,"agent":"num","level":"INFO","message":"%s",' \
                   '"context":{"v":%s}}' % (text, text)
            self.assertEqual(self.server.post("/ingest", body).status, 200, text)
        got = self.server.get("/search?agent=num").body
        for e in json.loads(got, parse_float=str, parse_int=str)["results"]:
            want, have = e["message"], e["context"]["v"]
            self.assertEqual(float(want), float(have))
            if "." not in want and "e" not in want:
                self.assertEqual(int(want), int(have))


class TestSlowAndLive(Traps):
    def test_a_slow_query_does_not_delay_ingest(self):
        batch = [{"agent": "bulk", "message": "line %d of something to read" % i, "n": i}
                 for i in range(20000)]
        for i in range(0, len(batch), 5000):
            self.server.ingest(batch[i:i + 5000])
        stop = threading.Event()

        def query():
            while not stop.is_set():
                self.server.get("/search", query={"pattern": "(l|i|n)+.*zzz", "agent": "bulk"})

        threads = [threading.Thread(target=query) for _ in range(4)]
        for t in threads:
            t.start()
        slowest = 0
        for i in range(30):
            started = time.monotonic()
            self.server.post("/ingest", fleet("quick", str(i)))
            slowest = max(slowest, time.monotonic() - started)
        stop.set()
        for t in threads:
            t.join()
        self.assertEqual(self.server.get("/search?agent=quick").json()["count"], 30)
        self.assertLess(slowest, 10)

    def test_native_tail_by_sse(self):
        with self.server.sse("/api/v1/tail?q=" + segment("agent:sse-agent")) as stream:
            self.assertEqual(stream.status, 200)
            self.assertTrue(stream.headers["Content-Type"].startswith("text/event-stream"))
            self.server.ingest([{"agent": "other", "message": "no"},
                                {"agent": "sse-agent", "message": "yes"}])
            for event in stream:
                if "data" in event and "yes" in event["data"]:
                    break
                self.assertNotIn('"no"', event.get("data", ""))
            else:
                self.fail("the stream ended without the event")

    def test_native_tail_by_websocket(self):
        with WebSocket(self.server.port, "/api/v1/tail/ws?q=" + segment("agent:ws-agent")) as w:
            self.server.ingest([{"agent": "other", "message": "no"},
                                {"agent": "ws-agent", "message": "yes"}])
            while True:
                text = w.recv()
                self.assertNotIn('"no"', text)
                if "yes" in text:
                    break

    def test_native_tail_by_long_poll(self):
        box = {}
        t = threading.Thread(target=lambda: box.update(
            r=self.server.get("/api/v1/tail/poll?timeout=30&q=agent:poll-agent")))
        t.start()
        sent = 0
        while t.is_alive() and sent < 400:
            self.server.ingest([{"agent": "poll-agent", "message": "yes"}])
            sent += 1
            t.join(0.05)
        t.join()
        self.assertEqual(box["r"].status, 200)
        self.assertIn("poll-agent", box["r"].text())


class TestStrangersInTheBrowser(Traps):
    def test_a_foreign_host_is_refused(self):
        r = self.server.get("/search", headers={"Host": "evil.example"})
        self.assertIn(r.status, (400, 403, 421))

    def test_a_foreign_origin_may_not_write_or_listen(self):
        r = self.server.post("/log", {"a": 1}, headers={"Origin": "http://evil.example"})
        self.assertEqual(r.status, 403)
        with self.assertRaises(HandshakeError) as e:
            WebSocket(self.server.port, "/logs/ws", headers={"Origin": "http://evil.example"})
        self.assertEqual(e.exception.status, 403)

    def test_the_own_origin_may(self):
        origin = {"Origin": "http://127.0.0.1:%d" % self.server.port}
        self.assertEqual(self.server.post("/log", {"a": 1}, headers=origin).status, 200)
        with WebSocket(self.server.port, "/logs/ws", headers=origin) as w:
            self.assertIn("message", w.recv_json())


class TestOneDirectoryOneServer(unittest.TestCase):
    def test_the_second_server_exits_with_a_clear_message(self):
        with Server() as first:
            done = subprocess.run([BIN, "serve", "--listen", "127.0.0.1:%d" % free_port(),
                                   "--data-dir", first.data_dir],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 75, done)
            said = done.stdout + done.stderr
            self.assertIn(first.data_dir, said)
            self.assertEqual(first.get("/health").status, 200)

    def test_a_taken_port_is_said(self):
        with Server() as first, Server() as other:
            done = subprocess.run([BIN, "serve", "--listen", "127.0.0.1:%d" % first.port,
                                   "--data-dir", other.data_dir + "/sub"],
                                  capture_output=True, text=True, timeout=60)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(str(first.port), done.stdout + done.stderr)

    def test_a_killed_server_leaves_no_lock_behind(self):
        with Server() as s:
            s.post("/ingest", fleet("a", "m"))
            for _ in range(3):
                s.kill()
                s.start()
            wait_until(lambda: s.get("/search").json()["count"] == 1)


if __name__ == "__main__":
    unittest.main()
