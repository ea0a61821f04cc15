"""HTTP/1.x semantics: keep-alive, pipelining, chunked bodies, Expect, HEAD, content encodings,
refusals, aborts, shutdown."""
import gzip
import json
import signal
import unittest
import zlib

from echo import OK, EchoCase, Server, get, post, statuses, wait_until

# zstd frame of b"hello hello hello hello\n" (raw block; made by hand, the library has no zstd)
ZSTD = (b"\x28\xb5\x2f\xfd\x20\x18" + (24 << 3 | 1).to_bytes(3, "little") +
        b"hello hello hello hello\n")


def chunked(path, *pieces):
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % path.encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


class Basics(EchoCase):
    def test_headers_of_an_answer(self):
        a = self.server.ask(get("/info"))
        self.assertEqual(a.headers["server"], "fleetlog")
        self.assertEqual(a.headers["x-content-type-options"], "nosniff")
        self.assertRegex(a.headers["date"], r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
        self.assertNotIn("connection", a.headers)

    def test_request_fields(self):
        a = self.server.ask(b"PATCH /a%20b/c?x=1%2B+2&y&x=%33 HTTP/1.1\r\nHost: x\r\n\r\n")
        info = json.loads(a.body)
        self.assertEqual((info["method"], info["path"], info["query"], info["x"], info["x2"]),
                         ("PATCH", "/a b/c", "x=1%2B+2&y&x=%33", "1+ 2", "3"))
        self.assertTrue(info["loopback"])

    def test_accept(self):
        cases = {"*/*": False, "text/html": True, "application/json": False,
                 "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": True,
                 "text/html;q=0.5, application/json": False, "application/json, text/html": False}
        for accept, want in cases.items():
            info = json.loads(self.server.ask(get("/x", "Accept: " + accept)).body)
            self.assertEqual(info["html"], want, accept)

    def test_keep_alive(self):
        with self.server.connect() as c:
            for i in range(50):
                self.assertEqual(c.send(post("/echo", b"%d" % i)).answer().body, b"%d" % i)

    def test_connection_close(self):
        with self.server.connect() as c:
            a = c.send(get("/info", "Connection: close")).answer()
            self.assertEqual(a.headers["connection"], "close")
            self.assertTrue(c.ended())

    def test_http10(self):
        with self.server.connect() as c:
            a = c.send(b"GET /info HTTP/1.0\r\n\r\n").answer()
            self.assertEqual(a.headers["connection"], "close")
            self.assertTrue(c.ended())
        with self.server.connect() as c:
            for _ in range(3):
                a = c.send(b"GET /info HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer()
                self.assertEqual(a.headers["connection"], "keep-alive")

    def test_http10_stream_ends_with_the_connection(self):
        with self.server.connect() as c:
            a = c.send(b"GET /stream?n=2&size=1 HTTP/1.0\r\n\r\n").answer()
            self.assertEqual(a.body, b"data: a\n\ndata: b\n\n")

    def test_head(self):
        with self.server.connect() as c:
            a = c.send(b"HEAD /big?n=5000 HTTP/1.1\r\nHost: x\r\n\r\n").answer("HEAD")
            self.assertEqual((a.status, a.headers["content-length"]), (200, "5000"))
            self.assertEqual(c.send(OK).answer().status, 200)
            c.send(b"HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n").answer("HEAD")
            self.assertEqual(c.send(OK).answer().status, 200)

    def test_no_content(self):
        with self.server.connect() as c:
            a = c.send(post("/async", b"x")).answer()
            self.assertEqual(a.status, 204)
            self.assertNotIn("content-length", a.headers)
            self.assertEqual(c.send(OK).answer().status, 200)

    def test_pipelining_in_order(self):
        n = 300
        with self.server.connect() as c:
            for i in range(n):
                c.send(post("/async" if i % 3 == 0 else "/echo", b"%d" % i))
            for i in range(n):
                a = c.answer()
                self.assertEqual(a.status, 204 if i % 3 == 0 else 200)
                if i % 3:
                    self.assertEqual(a.body, b"%d" % i)

    def test_pipelining_behind_a_slow_answer(self):
        with self.server.connect() as c:
            c.send(get("/slow?ms=50") + get("/stream?n=3&size=2") + post("/echo", b"z"))
            self.assertEqual(c.answer().body, b"late")
            self.assertEqual(c.answer().body, b"data: aa\n\ndata: bb\n\ndata: cc\n\n")
            self.assertEqual(c.answer().body, b"z")

    def test_more_read_ahead_than_is_kept(self):
        request = post("/echo", b"y" * 3000)
        with self.server.connect() as c:
            c.send(get("/hold?deaf=1"))
            c.sock.setblocking(False)
            sent = 0
            whole = request * 400
            try:
                while sent < len(whole):
                    sent += c.sock.send(whole[sent:])
            except BlockingIOError:
                pass
            c.sock.settimeout(30)
            wait_until(lambda: self.server.held()["held"] == 1, "the held request")
            self.server.ask(get("/release"))
            self.assertEqual(c.answer().body, b"released")
            for _ in range(sent // len(request)):
                self.assertEqual(c.answer().body, b"y" * 3000)

    def test_half_closed_peer_is_answered(self):
        import socket
        with self.server.connect() as c:
            c.send(post("/async", b"x") + get("/slow?ms=20"))
            c.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(c.answer().status, 204)
            self.assertEqual(c.answer().body, b"late")
            self.assertTrue(c.ended())

    def test_chunked(self):
        big = bytes(range(256)) * 3000
        for pieces in ([b"a", b"bc"], [], [b"x" * 70000], [big[i:i + 777]
                                                       for i in range(0, len(big), 777)]):
            a = self.server.ask(chunked("/echo", *pieces))
            self.assertEqual(a.body, b"".join(pieces))

    def test_chunked_split_everywhere(self):
        data = chunked("/echo", b"hello", b" ", b"world") + OK
        for i in range(1, len(data)):
            with self.server.connect() as c:
                c.send(data[:i])
                c.send(data[i:])
                self.assertEqual(c.answer().body, b"hello world")
                self.assertEqual(c.answer().status, 200)

    def test_large_body_both_ways(self):
        body = bytes(range(256)) * 20000
        with self.server.connect() as c:
            import threading
            t = threading.Thread(target=c.send, args=(post("/echo", body),))
            t.start()
            self.assertEqual(c.answer().body, body)
            t.join()

    def test_expect_continue(self):
        with self.server.connect() as c:
            c.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                   b"Expect: 100-continue\r\n\r\n")
            self.assertEqual(c.head()[0], 100)
            self.assertEqual(c.send(b"hi").answer().body, b"hi")

    def test_expect_with_the_body_at_hand(self):
        with self.server.connect() as c:
            c.send(post("/echo", b"hi", "Expect: 100-continue"))
            self.assertEqual(c.head()[0], 200)

    def test_refused_before_continue(self):
        with self.server.connect() as c:
            c.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nX-Deny: 401\r\n"
                   b"Expect: 100-continue\r\n\r\n")
            a = c.answer()
            self.assertEqual((a.status, a.headers["connection"]), (401, "close"))
            self.assertEqual(a.headers["www-authenticate"], "Bearer")
            self.assertEqual(a.body, b'{"denied":true}')
            self.assertTrue(c.ended())

    def test_refused_small_body_keeps_the_connection(self):
        with self.server.connect() as c:
            self.assertEqual(c.send(post("/echo", b"x" * 1000, "X-Deny: 429")).answer().status, 429)
            self.assertEqual(c.send(OK).answer().status, 200)

    def test_refused_large_body_closes(self):
        for request in (post("/echo", b"x" * 200000, "X-Deny: 403"),
                        b"POST /echo HTTP/1.1\r\nHost: x\r\nX-Deny: 403\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"):
            self.assertEqual(statuses(self.server.exchange(request + OK)), [403])

    def test_answer_of_an_aborted_request_goes_nowhere(self):
        before = self.server.held()["aborted"]
        c = self.server.connect()
        c.send(get("/hold"))
        wait_until(lambda: self.server.held()["held"] == 1, "the held request")
        c.close()
        wait_until(lambda: self.server.held()["aborted"] == before + 1, "the abort")
        self.assertEqual(self.server.held()["held"], 0)

    def test_reset_while_held(self):
        import socket
        import struct
        c = self.server.connect()
        c.send(get("/hold?deaf=1"))
        wait_until(lambda: self.server.held()["held"] == 1, "the held request")
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()
        self.server.ask(get("/release"))
        self.assertEqual(self.server.held()["held"], 0)


class Encodings(EchoCase):
    def encoded(self, name, data):
        return post("/echo", data, "Content-Encoding: " + name)

    def test_decoded(self):
        text = b"hello " * 1000
        raw = zlib.compressobj(wbits=-15)
        cases = {
            "gzip": gzip.compress(text), "X-GZIP": gzip.compress(text),
            "deflate": zlib.compress(text), "identity": text,
        }
        for name, data in cases.items():
            self.assertEqual(self.server.ask(self.encoded(name, data)).body, text, name)
        data = raw.compress(text) + raw.flush()
        self.assertEqual(self.server.ask(self.encoded("deflate", data)).body, text)
        self.assertEqual(self.server.ask(self.encoded("zstd", ZSTD)).body,
                         b"hello hello hello hello\n")

    def test_large_in_the_pool(self):
        import random
        data = random.Random(1).randbytes(600000)
        with self.server.connect() as c:
            for _ in range(3):
                c.send(self.encoded("gzip", gzip.compress(data, 1)) + OK)
                self.assertEqual(c.answer().body, data)
                self.assertEqual(c.answer().status, 200)

    def test_inflates_past_the_inline_limit(self):
        data = bytes(5 << 20)
        self.assertEqual(self.server.ask(self.encoded("gzip", gzip.compress(data))).body, data)

    def test_peer_leaves_while_inflating(self):
        data = gzip.compress(bytes(40 << 20), 9) + gzip.compress(bytes(8 << 20))
        for _ in range(4):
            with self.server.connect() as c:
                c.send(self.encoded("gzip", data))
        wait_until(lambda: self.server.stats()["inflight"] == 0, "no bodies in memory")

    def test_unknown(self):
        for name in ("br", "gzip, gzip", "compress"):
            data = self.server.exchange(self.encoded(name, b"x") + OK)
            self.assertEqual(statuses(data), [415])
            self.assertIn(b"Accept-Encoding: gzip", data)
        twice = post("/echo", b"x", "Content-Encoding: gzip", "Content-Encoding: gzip")
        self.assertEqual(statuses(self.server.exchange(twice + OK)), [415])

    def test_broken(self):
        good = gzip.compress(b"hello" * 100)
        for data in (b"not gzip", good[:-9], good[:20] + b"\xff\xff" + good[22:]):
            got = statuses(self.server.exchange(self.encoded("gzip", data) + OK))
            self.assertEqual(got, [400])

    def test_answers(self):
        text = (b"abcdefghijklmnopqrstuvwxyz" * 40000)
        for n in (1024, 5000, 900000):
            a = self.server.ask(get("/big?n=%d" % n, "Accept-Encoding: gzip"))
            self.assertEqual(a.headers["content-encoding"], "gzip")
            self.assertEqual(a.headers["vary"], "Accept-Encoding")
            self.assertEqual(gzip.decompress(a.body), text[:n])
            a = self.server.ask(get("/big?n=%d" % n, "Accept-Encoding: gzip, br, zstd;q=0.5"))
            self.assertEqual(a.headers["content-encoding"], "zstd")
            self.assertEqual(a.body[:4], b"\x28\xb5\x2f\xfd")
            for accept in ("identity", "gzip;q=0", "br"):
                a = self.server.ask(get("/big?n=%d" % n, "Accept-Encoding: " + accept))
                self.assertNotIn("content-encoding", a.headers)
                self.assertEqual(a.body, text[:n])
        a = self.server.ask(get("/big?n=1023", "Accept-Encoding: gzip"))
        self.assertNotIn("content-encoding", a.headers)

    def test_peer_leaves_while_compressing(self):
        for _ in range(4):
            with self.server.connect() as c:
                c.send(get("/big?n=3000000", "Accept-Encoding: gzip"))
        self.assertEqual(self.server.ask(OK).status, 200)


class Shutdown(unittest.TestCase):
    def setUp(self):
        from echo import BIN
        if not BIN:
            self.skipTest("NET_ECHO_BIN is not set")

    def test_answers_in_progress_are_finished(self):
        with Server() as s:
            c, idle = s.connect(), s.connect()
            self.assertEqual(idle.send(OK).answer().status, 200)
            c.send(get("/slow?ms=300") + OK)
            wait_until(lambda: s.stats()["requests"] >= 2, "the slow request")
            s.proc.send_signal(signal.SIGTERM)
            self.assertTrue(idle.ended())
            a = c.answer()
            self.assertEqual((a.body, a.headers["connection"]), (b"late", "close"))
            self.assertTrue(c.ended())
            c.close()
            idle.close()
            self.assertIn("stopped", s.finish())

    def test_body_under_way_is_finished(self):
        with Server() as s:
            c = s.connect()
            request = post("/echo", b"x" * 1000)
            c.send(request[:500])
            wait_until(lambda: s.stats()["open"] == 2, "the connection")
            s.proc.send_signal(signal.SIGTERM)
            wait_until(lambda: self.refused(s), "no more accepting")
            c.send(request[500:])
            self.assertEqual(c.answer().body, b"x" * 1000)
            c.close()

    @staticmethod
    def refused(s):
        try:
            s.connect().close()
        except ConnectionError:
            return True
        return False

    def test_streams_and_websockets_end(self):
        with Server() as s:
            c = s.connect()
            c.send(get("/events"))
            c.head()
            self.assertEqual(c.chunk(), b"data: hello\n\n")
            s.proc.send_signal(signal.SIGTERM)
            self.assertEqual(c.chunk(), b"")
            self.assertTrue(c.ended())
            c.close()

    def test_what_takes_too_long_is_cut(self):
        with Server("--limit", "drain_ms=50") as s:
            c, deaf = s.connect(), s.connect()
            c.send(get("/hold"))
            deaf.send(get("/hold?deaf=1"))
            wait_until(lambda: s.held()["held"] == 2, "the held requests")
            s.proc.send_signal(signal.SIGTERM)
            self.assertTrue(c.ended())
            self.assertTrue(deaf.ended())
            s.finish()


if __name__ == "__main__":
    unittest.main()
