"""Following live: event stream, WebSocket, long poll; resume, drops, tickets, the end."""
import json
import socket
import threading
import time
import unittest

from fleetlog import Server, segment, wait_until
from ws import Closed, HandshakeError, WebSocket


class Tail(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def put(self, agent, *messages, **more):
        return self.server.ingest([dict({"agent": agent, "message": m}, **more) for m in messages])

    def sse(self, query="", **headers):
        s = self.server.sse("/api/v1/tail?" + query,
                            {k.replace("_", "-"): v for k, v in headers.items()})
        self.addCleanup(s.close)
        self.assertEqual(s.status, 200)
        return iter(s)

    def ws(self, query=""):
        w = WebSocket(self.server.port, "/api/v1/tail/ws?" + query)
        self.addCleanup(w.close)
        return w

    def poll(self, **query):
        query.setdefault("timeout", "10s")
        r = self.server.get("/api/v1/tail/poll", query=query)
        self.assertEqual(r.status, 200, r)
        return r.json()


def next_entry(stream):
    for event in stream:
        if "data" in event and "event" not in event:
            return int(event["id"]), json.loads(event["data"])
    raise AssertionError("the stream ended")


class TestEventStream(Tail):
    def test_only_what_matches_from_now_on(self):
        self.put("s1", "before")
        stream = self.sse("q=agent:s1")
        self.put("other", "no")
        self.put("s1", "a", "b")
        got = [next_entry(stream) for _ in range(2)]
        self.assertEqual([e["message"] for _, e in got], ["a", "b"])
        self.assertEqual([i for i, _ in got], [e["seq"] for _, e in got])

    def test_resume_by_last_event_id(self):
        first = self.put("s2", *["m%d" % i for i in range(10)])["first_seq"]
        stream = self.sse("q=agent:s2", Last_Event_ID=str(first + 3))
        got = [next_entry(stream)[1]["message"] for _ in range(6)]
        self.assertEqual(got, ["m4", "m5", "m6", "m7", "m8", "m9"])
        self.put("s2", "live")
        self.assertEqual(next_entry(stream)[1]["message"], "live")

    def test_from_a_sequence_number(self):
        first = self.put("s3", "a", "b", "c")["first_seq"]
        stream = self.sse("q=agent:s3&from=%d" % first)
        self.assertEqual([next_entry(stream)[1]["message"] for _ in range(2)], ["b", "c"])

    def test_a_place_of_another_store_is_refused(self):
        newest = self.put("s3b", "a")["last_seq"]
        for path in ("/api/v1/tail", "/api/v1/tail/poll", "/api/v1/tail/ws"):
            r = self.server.get(path, query={"from": newest + 1})
            self.assertEqual(r.status, 400, r)
            self.assertIn("another store", r.json()["error"]["message"])
        r = self.server.get("/api/v1/tail", headers={"Last-Event-ID": str(newest + 1)})
        self.assertEqual(r.status, 400, r)
        stream = self.sse("q=agent:s3b&from=%d" % newest)  # the newest itself is fine
        self.put("s3b", "b")
        self.assertEqual(next_entry(stream)[1]["message"], "b")

    def test_last_event_id_wins_over_from(self):
        first = self.put("s4", "a", "b", "c")["first_seq"]
        stream = self.sse("q=agent:s4&from=0", Last_Event_ID=str(first + 1))
        self.assertEqual(next_entry(stream)[1]["message"], "c")

    def test_resume_is_gapless_under_load(self):
        with Server() as s:
            stop = threading.Event()

            def write():
                n = 0
                while not stop.is_set():
                    s.ingest([{"agent": "w", "message": "x", "n": n + i} for i in range(50)])
                    n += 50

            writer = threading.Thread(target=write)
            writer.start()
            try:
                last, seen = 0, []
                for _ in range(6):  # six connections, each cut after 500
                    with s.sse("/api/v1/tail?from=%d" % last) as stream:
                        it = iter(stream)
                        for _ in range(500):
                            last, e = next_entry(it)
                            seen.append(e["attributes"]["n"])
                self.assertEqual(seen, list(range(3000)))
            finally:
                stop.set()
                writer.join()

    def test_headers(self):
        with self.server.sse("/api/v1/tail") as s:
            self.assertTrue(s.headers["Content-Type"].startswith("text/event-stream"))
            self.assertEqual(s.headers["Cache-Control"], "no-store")
            self.assertIsNone(s.headers["Access-Control-Allow-Origin"])

    def test_newlines_in_entries_do_not_break_the_framing(self):
        stream = self.sse("q=agent:s5")
        self.put("s5", "a\n\ndata: forged\r\nevent: dropped\u2028x")
        self.assertEqual(next_entry(stream)[1]["message"],
                         "a\n\ndata: forged\r\nevent: dropped\u2028x")

    def test_refusals(self):
        for query in ("q=(", "q=*+%7C+count", "from=x", "from=-1"):
            r = self.server.get("/api/v1/tail?" + query)
            self.assertEqual(r.status, 400, query)
            self.assertTrue(r.json()["error"]["message"])
        r = self.server.get("/api/v1/tail", headers={"Last-Event-ID": "abc"})
        self.assertEqual(r.status, 400)


class TestWebSocket(Tail):
    def test_entries_and_resume(self):
        first = self.put("w1", "a", "b")["first_seq"]
        w = self.ws("q=agent:w1&from=%d" % first)
        got = w.recv_json()
        self.assertEqual((got["seq"], got["entry"]["message"]), (first + 1, "b"))
        self.put("w1", "c")
        self.assertEqual(w.recv_json()["entry"]["message"], "c")

    def test_many_entries_in_order(self):
        w = self.ws("q=agent:w2")
        for i in range(20):
            self.put("w2", *["%d" % (i * 100 + k) for k in range(100)])
        self.assertEqual([w.recv_json()["entry"]["message"] for _ in range(2000)],
                         [str(i) for i in range(2000)])

    def test_a_plain_request_is_told_to_upgrade(self):
        for path in ("/api/v1/tail/ws", "/logs/ws", "/stream"):
            r = self.server.get(path)
            self.assertEqual(r.status, 426, path)
            self.assertEqual(r.headers["Upgrade"], "websocket")

    def test_a_bad_filter_is_refused_before_the_upgrade(self):
        with self.assertRaises(HandshakeError) as e:
            WebSocket(self.server.port, "/api/v1/tail/ws?q=(")
        self.assertEqual(e.exception.status, 400)


class TestPoll(Tail):
    def test_cursor_leads_through_everything_once(self):
        start = self.poll(timeout="10ms")["cursor"]
        self.put("p1", *["m%d" % i for i in range(25)])
        got, cursor = [], start
        while len(got) < 25:
            r = self.poll(q="agent:p1", limit=10, **{"from": cursor})
            self.assertLessEqual(len(r["entries"]), 10)
            got += [e["message"] for e in r["entries"]]
            cursor = r["cursor"]
        self.assertEqual(got, ["m%d" % i for i in range(25)])

    def test_a_timeout_answers_empty_with_a_cursor_that_skips_nothing(self):
        began = time.monotonic()
        r = self.poll(q="agent:p2", timeout="300ms")
        self.assertGreaterEqual(time.monotonic() - began, 0.25)
        self.assertEqual((r["entries"], r["dropped"]), ([], 0))
        self.put("p2", "between")
        r = self.poll(q="agent:p2", **{"from": r["cursor"]})
        self.assertEqual([e["message"] for e in r["entries"]], ["between"])

    def test_no_timeout_answers_with_what_is_there(self):
        for zero in ("0", "0s", "0ms"):
            start = self.poll(timeout=zero)
            self.assertEqual(start["entries"], [])
            self.put("p0", "a", "b", "c")
            r = self.poll(q="agent:p0", timeout=zero, limit=2, **{"from": start["cursor"]})
            self.assertEqual([e["message"] for e in r["entries"]], ["a", "b"])
            r = self.poll(q="agent:p0", timeout=zero, **{"from": r["cursor"]})
            self.assertEqual([e["message"] for e in r["entries"]], ["c"])
            r = self.poll(q="agent:nobody", timeout=zero, **{"from": start["cursor"]})
            self.assertEqual(r["entries"], [])
            self.assertEqual(int(r["cursor"]), int(start["cursor"]) + 3)
        self.assertEqual(self.server.get("/tail?timeout=0").json(), {"entries": [], "count": 0})

    def test_it_answers_at_the_first_match(self):
        box = {}
        t = threading.Thread(target=lambda: box.update(r=self.poll(q="agent:p3", timeout="30s")))
        began = time.monotonic()
        t.start()
        while t.is_alive():
            self.put("p3", "x")
            t.join(0.05)
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual(box["r"]["entries"][0]["agent"], "p3")

    def test_refusals(self):
        for query in ({"timeout": "x"}, {"limit": "0"}, {"limit": "1001"}, {"from": "y"},
                      {"q": "("}, {"q": "* | count"}):
            r = self.server.get("/api/v1/tail/poll", query=query)
            self.assertEqual(r.status, 400, query)

    def test_a_poller_that_leaves_is_forgotten(self):
        def waiting():
            return self.server.get("/api/v1/status").json()["live"]["subscribers"]

        before = waiting()
        s = socket.create_connection(("127.0.0.1", self.server.port))
        s.sendall(b"GET /api/v1/tail/poll?timeout=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: waiting() == before + 1)
        s.close()
        wait_until(lambda: waiting() == before)


class TestDrops(unittest.TestCase):
    """A reader that stops reading: bounded memory, and it is told what it missed."""

    def overrun(self, s, sock):
        text = "x" * 4000
        sent = 0
        for _ in range(60):
            s.ingest([{"agent": "d", "message": text, "n": sent + i} for i in range(100)])
            sent += 100
        return sent

    def test_websocket(self):
        with Server() as s:
            w = WebSocket(s.port, "/api/v1/tail/ws?q=agent:d", timeout=30)
            sent = self.overrun(s, w.sock)
            seen, dropped = [], 0
            while len(seen) + dropped < sent:
                m = w.recv_json()
                if "dropped" in m:
                    dropped += m["dropped"]
                else:
                    seen.append(m["entry"]["attributes"]["n"])
                if not dropped and len(seen) >= sent:
                    break
                if dropped and len(seen) + dropped < sent and len(seen) % 50 == 0:
                    s.ingest([{"agent": "other", "message": "tick"}])
            self.assertEqual(seen, sorted(set(seen)))
            self.assertEqual(len(seen) + dropped, sent)
            self.counted(s, dropped)
            w.close()

    def counted(self, s, dropped):
        """what a reader was told is what the server counts, in both places, to the entry"""
        live = s.get("/api/v1/status").json()["live"]
        self.assertEqual((live["dropped"], live["told"]), (dropped, dropped))
        figures = dict(line.rsplit(" ", 1) for line in s.get("/metrics").text().splitlines()
                       if line and line[0] != "#")
        self.assertEqual({figures["fleetlog_tail_dropped_total"], figures["fleetlog_tail_dropped_told_total"]},
                         {str(dropped)})

    def test_what_a_reader_misses_is_counted_before_it_reads(self):
        """the socket is read again only when the server has dropped; told with the next event, exactly"""
        with Server() as s:
            c = socket.socket()
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            c.connect(("127.0.0.1", s.port))
            c.settimeout(30)
            c.sendall(b"GET /api/v1/tail?q=agent:d HTTP/1.0\r\nHost: localhost\r\n\r\n")
            f = c.makefile("rb", buffering=0)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += f.read(1)
            sent = 0

            def dropped():
                nonlocal sent
                s.ingest([{"agent": "d", "message": "x" * 4000, "n": sent + i} for i in range(100)])
                sent += 100
                return s.get("/api/v1/status").json()["live"]["dropped"] > 500
            wait_until(dropped)

            def counted():
                live = s.get("/api/v1/status").json()["live"]
                return live["matched"] + live["dropped"] == sent and live
            before = wait_until(counted)
            self.assertEqual(before["told"], 0)
            s.ingest([{"agent": "d", "message": "the last one", "n": sent}])  # perhaps dropped, too
            sent += 1
            f = c.makefile("rb")
            seen, told, gaps, last = [], 0, 0, -1
            while len(seen) + told < sent:
                line = f.readline()
                self.assertTrue(line, "the stream ended")
                if line == b"event: dropped\n":
                    n = json.loads(f.readline()[6:])["dropped"]
                    told += n
                    gaps += n
                elif line.startswith(b"data: "):
                    n = json.loads(line[6:])["attributes"]["n"]
                    self.assertEqual(n, last + 1 + gaps, "the place of the gap")
                    last, gaps = n, 0
                    seen.append(n)
            self.assertEqual(len(seen) + told, sent)
            self.assertGreater(told, 500)
            self.counted(s, told)
            c.close()

    def test_event_stream(self):
        with Server() as s:
            c = socket.socket()
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            c.connect(("127.0.0.1", s.port))
            c.settimeout(30)
            c.sendall(b"GET /api/v1/tail?q=agent:d HTTP/1.0\r\nHost: localhost\r\n\r\n")
            f = c.makefile("rb")
            while f.readline().strip():
                pass
            sent = self.overrun(s, c)
            seen, dropped = [], 0
            while len(seen) + dropped < sent:
                line = f.readline().decode().strip()
                if line.startswith("data: "):
                    m = json.loads(line[6:])
                    if "dropped" in m and "agent" not in m:
                        dropped += m["dropped"]
                    else:
                        seen.append(m["attributes"]["n"])
            self.assertEqual(seen, sorted(set(seen)))
            self.assertGreater(dropped, 0)
            self.assertEqual(len(seen) + dropped, sent)
            self.counted(s, dropped)
            f.close()
            c.close()


class TestMany(unittest.TestCase):
    def test_two_hundred_listeners_get_everything(self):
        with Server() as s:
            sockets = [WebSocket(s.port, "/api/v1/tail/ws?q=agent:m%d" % (i % 4))
                       for i in range(200)]
            for i in range(10):
                s.ingest([{"agent": "m%d" % k, "message": str(i)} for k in range(4)])
            for w in sockets:
                self.assertEqual([w.recv_json()["entry"]["message"] for _ in range(10)],
                                 [str(i) for i in range(10)])
            for w in sockets:
                w.close()
            wait_until(lambda: s.get("/api/v1/status").json()["live"]["subscribers"] == 0)

    def test_a_slow_filter_delays_no_acknowledgement(self):
        with Server() as s:
            evil = segment("/(\\w+\\s?)+(\\w+\\s?)+z{9}/")
            tails = [WebSocket(s.port, "/api/v1/tail/ws?q=" + evil) for _ in range(5)]
            worst = 0
            for i in range(30):
                began = time.monotonic()
                s.ingest([{"message": "several words to match against " * 3} for _ in range(100)])
                worst = max(worst, time.monotonic() - began)
            self.assertLess(worst, 5)
            for w in tails:
                w.sock.close()

    def test_listeners_come_and_go_while_entries_arrive(self):
        with Server() as s:
            stop = threading.Event()

            def churn(path):
                while not stop.is_set():
                    c = socket.create_connection(("127.0.0.1", s.port))
                    c.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
                    c.recv(200)
                    c.close()

            threads = [threading.Thread(target=churn, args=(p,)) for p in
                       (b"/api/v1/tail", b"/api/v1/tail?from=0", b"/api/v1/tail/poll?timeout=1ms",
                        b"/api/v1/tail/poll?from=0&timeout=5")]
            for t in threads:
                t.start()
            for i in range(150):
                s.ingest([{"message": "x" * 100, "n": i * 20 + k} for k in range(20)])
            stop.set()
            for t in threads:
                t.join()
            wait_until(lambda: s.get("/api/v1/status").json()["live"]["subscribers"] == 0)


class TestEnd(unittest.TestCase):
    def test_a_stopping_server_ends_tails_at_once(self):
        s = Server().start()
        try:
            w = WebSocket(s.port, "/logs/ws")
            w.recv_json()
            stream = s.sse("/api/v1/tail")
            box = {}
            t = threading.Thread(target=lambda: box.update(r=s.get("/tail?timeout=60")))
            t.start()
            wait_until(lambda: s.get("/api/v1/status").json()["live"]["subscribers"] == 3)
            began = time.monotonic()
            s.stop()
            t.join()
            self.assertLess(time.monotonic() - began, 8)
            self.assertEqual(box["r"].json(), {"entries": [], "count": 0})
            with self.assertRaises(Closed) as c:
                w.recv()
            self.assertEqual(c.exception.code, 1001)
            self.assertEqual([e for e in stream if "data" in e], [])
        finally:
            s.close()


if __name__ == "__main__":
    unittest.main()
