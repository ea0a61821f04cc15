"""Each limit at its edge and one past it; timeouts; overload."""
import gzip
import random
import select
import signal
import unittest

from echo import OK, EchoCase, Server, get, post, statuses, wait_until


class Heads(EchoCase):
    FLAGS = ("--limit", "header_bytes=1000", "--limit", "header_count=20", "--limit",
             "url_bytes=500")

    def status(self, request):
        return statuses(self.server.exchange(request + OK.replace(b"\r\n\r\n",
                        b"\r\nConnection: close\r\n\r\n")))

    def with_block(self, n):
        """a request whose header block is n bytes, its last empty line included"""
        lines = b"Host: x\r\nA: "
        return b"GET /info HTTP/1.1\r\n" + lines + b"b" * (n - len(lines) - 4) + b"\r\n\r\n"

    def test_header_block(self):
        self.assertEqual(self.status(self.with_block(1000)), [200, 200])
        for n in (1001, 1002, 1003, 5000, 200000):
            self.assertEqual(self.status(self.with_block(n)), [431], n)

    def test_endless_header(self):
        self.assertEqual(self.status(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 100000), [431])

    def test_header_count(self):
        def request(n):
            return b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * (n - 1) + b"\r\n"
        self.assertEqual(self.status(request(20)), [200, 200])
        self.assertEqual(self.status(request(21)), [431])

    def test_url(self):
        def request(n, method=b"GET"):
            return method + b" /" + b"u" * (n - 1) + b" HTTP/1.1\r\nHost: x\r\n\r\n"
        self.assertEqual(self.status(request(500)), [200, 200])
        self.assertEqual(self.status(request(500, b"M" * 32)), [200, 200])
        for n in (501, 502, 530, 550, 600, 100000):
            self.assertEqual(self.status(request(n)), [414], n)


class Bodies(EchoCase):
    FLAGS = ("--limit", "body_bytes=40000", "--limit", "inflated_bytes=100000")

    def test_content_length(self):
        for n in (0, 1, 16384, 16385, 40000):
            self.assertEqual(self.server.ask(post("/echo", b"x" * n)).body, b"x" * n)
        self.assertEqual(statuses(self.server.exchange(post("/echo", b"x" * 40001) + OK)), [413])

    def test_huge_claim_costs_nothing(self):
        head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999999999\r\n\r\n"
        self.assertEqual(statuses(self.server.exchange(head)), [413])

    def test_large_body_sent_whole_still_sees_the_answer(self):
        data = self.server.exchange(post("/echo", b"x" * (8 << 20)))
        self.assertEqual(statuses(data), [413])

    def test_chunked(self):
        def request(n):
            head = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            pieces = b"a\r\n0123456789\r\n" * (n // 10)
            last = b"%x\r\n%s\r\n" % (n % 10, b"y" * (n % 10)) if n % 10 else b""
            return head + pieces + last + b"0\r\n\r\n"
        self.assertEqual(len(self.server.ask(request(40000)).body), 40000)
        self.assertEqual(statuses(self.server.exchange(request(40001) + OK)), [413])

    def test_inflated(self):
        def request(n):
            return post("/echo", gzip.compress(bytes(n)), "Content-Encoding: gzip")
        self.assertEqual(len(self.server.ask(request(100000)).body), 100000)
        self.assertEqual(statuses(self.server.exchange(request(100001) + OK)), [413])

    def test_bomb(self):
        bomb = gzip.compress(bytes(30 << 20), 9)
        self.assertLess(len(bomb), 40000)
        got = self.server.exchange(post("/echo", bomb, "Content-Encoding: gzip") + OK)
        self.assertEqual(statuses(got), [413])


class InflatedAlone(EchoCase):
    # as `serve` has them: what one body may inflate to is what all bodies may take
    FLAGS = ("--limit", "inflated_bytes=2000000", "--limit", "inflight_bytes=2000000")

    def test_too_large_is_not_told_to_come_again(self):
        def request(n):  # 100 kB as sent: more than the small buffer of a connection
            body = random.Random(1).randbytes(100000) + bytes(n - 100000)
            return post("/echo", gzip.compress(body), "Content-Encoding: gzip")
        self.assertEqual(len(self.server.ask(request(2000000)).body), 2000000)
        wait_until(lambda: self.server.stats()["inflight"] == 0, "no bodies in memory")
        data = self.server.exchange(request(2000001) + OK)
        self.assertEqual(statuses(data), [413])
        self.assertNotIn(b"Retry-After", data)


class Inflight(EchoCase):
    FLAGS = ("--limit", "inflight_bytes=300000")

    def test_refused_while_others_hold_memory(self):
        def big(path):
            return post(path, b"x" * 200000)
        first = self.server.connect()
        first.send(big("/hold?deaf=1"))
        wait_until(lambda: self.server.held()["held"] == 1, "the held request")
        data = self.server.exchange(big("/echo"))
        self.assertEqual(statuses(data), [503])
        self.assertIn(b"Retry-After: ", data)
        self.assertEqual(self.server.ask(post("/echo", b"small")).body, b"small")
        self.server.ask(get("/release"))
        self.assertEqual(first.answer().status, 200)
        first.close()
        wait_until(lambda: self.server.stats()["inflight"] == 0, "room again")
        self.assertEqual(len(self.server.ask(big("/echo")).body), 200000)
        wait_until(lambda: self.server.stats()["inflight"] == 0, "no bodies in memory")

    def test_inflating_past_what_is_left(self):
        request = post("/echo", gzip.compress(bytes(400000)), "Content-Encoding: gzip")
        self.assertEqual(statuses(self.server.exchange(request + OK)), [503])


class Inflating(EchoCase):
    FLAGS = ("--workers", "2", "--limit", "inflight_bytes=64000000", "--limit",
             "inflated_bytes=60000000")

    def together(self, requests):
        """All of them are waiting when the server looks."""
        conns = [self.server.connect() for _ in requests]
        for c in conns:
            self.assertEqual(c.send(OK).answer().status, 200)
        self.server.proc.send_signal(signal.SIGSTOP)
        try:
            for c, request in zip(conns, requests):
                c.send(request)
        finally:
            self.server.proc.send_signal(signal.SIGCONT)
        return conns

    def test_bodies_that_inflate_at_the_same_time_share_the_room(self):
        # noise in front: the length at the end of the body is believed, so that each asks for all it
        # needs at once
        body = random.Random(1).randbytes(100000) + bytes(48000000)
        request = post("/hold?deaf=1", gzip.compress(body, 1), "Content-Encoding: gzip")
        conns = self.together([request] * 4)
        refused = []
        for _ in range(3):  # the one that got the room has no answer yet
            ready = select.select([c.sock for c in conns if c not in refused], [], [], 60)[0]
            self.assertTrue(ready)
            c = [c for c in conns if c.sock is ready[0]][0]
            self.assertIn(b"Retry-After: ", c.rest())
            refused.append(c)
        wait_until(lambda: self.server.held()["held"] == 1, "the held request")
        self.assertLessEqual(self.server.stats()["inflight"], 64000000)
        self.server.ask(get("/release"))
        for c in conns:
            if c not in refused:
                self.assertEqual(c.answer().status, 200)
            c.close()
        wait_until(lambda: self.server.stats()["inflight"] == 0, "no bodies in memory")

    def test_the_usual_ones_all_fit(self):
        body = b"a line of some log, as usual\n" * 35000  # 1 MB, inflated in the pool
        request = post("/info", gzip.compress(body), "Content-Encoding: gzip")
        for c in self.together([request] * 24):
            self.assertIn(b'"body":%d' % len(body), c.answer().body)
            c.close()
        wait_until(lambda: self.server.stats()["inflight"] == 0, "no bodies in memory")


class Connections(EchoCase):
    FLAGS = ("--limit", "connections=5")

    def test_one_too_many(self):
        open_ones = [self.server.connect() for _ in range(5)]
        for c in open_ones:
            self.assertEqual(c.send(OK).answer().status, 200)
        with self.server.connect() as c:
            data = c.rest()
            self.assertEqual(statuses(data), [503])
            self.assertIn(b"Retry-After: ", data)
        for c in open_ones:
            self.assertEqual(c.send(OK).answer().status, 200)
            c.close()

        def accepted():
            try:
                return self.server.ask(OK).status == 200
            except (EOFError, ConnectionError):
                return False
        wait_until(accepted, "room again")


class HeadTimeout(EchoCase):
    """One limit a class, the others as they are: a client that is itself late meets no other."""
    FLAGS = ("--limit", "header_timeout_ms=1000")

    def test_silent_connection(self):
        with self.server.connect() as c:
            self.assertTrue(c.ended())

    def test_unfinished_head(self):
        with self.server.connect() as c:
            c.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
            self.assertEqual(statuses(c.rest()), [408])

    def test_head_in_drips(self):
        """One byte now and then does not push the deadline."""
        with self.server.connect() as c:
            c.sock.settimeout(0.03)
            c.send(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
            try:
                while True:
                    c.send(b"b")
                    try:
                        if not c.more():
                            break
                    except TimeoutError:
                        pass
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.assertEqual(statuses(c.buf), [408])

    def test_waiting_for_the_handler_is_no_unfinished_head(self):
        with self.server.connect() as c:
            self.assertEqual(c.send(get("/slow?ms=1500")).answer().body, b"late")


class BodyTimeout(EchoCase):
    FLAGS = ("--limit", "body_timeout_ms=150")

    def test_unfinished_body(self):
        for body in (b"Content-Length: 5\r\n\r\nabc", b"Content-Length: 50000\r\n\r\nabc",
                     b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc"):
            with self.server.connect() as c:
                c.send(b"POST /echo HTTP/1.1\r\nHost: x\r\n" + body)
                self.assertEqual(statuses(c.rest()), [408])

    def test_waiting_for_the_handler_is_no_unfinished_body(self):
        with self.server.connect() as c:
            self.assertEqual(c.send(get("/slow?ms=600")).answer().body, b"late")


class IdleTimeout(EchoCase):
    FLAGS = ("--limit", "idle_timeout_ms=150")

    def test_idle(self):
        with self.server.connect() as c:
            self.assertEqual(c.send(OK).answer().status, 200)
            self.assertTrue(c.ended())

    def test_waiting_for_the_handler_is_not_idle(self):
        with self.server.connect() as c:
            self.assertEqual(c.send(get("/slow?ms=600")).answer().body, b"late")


class WriteTimeout(EchoCase):
    FLAGS = ("--limit", "write_timeout_ms=300")

    def test_reader_that_stops(self):
        before = self.server.held()["aborted"]
        with self.server.connect() as c:
            c.send(get("/stream?n=100000&size=1000"))
            wait_until(lambda: self.server.held()["aborted"] == before + 1, "the stream cut")


class Descriptors(unittest.TestCase):
    def setUp(self):
        from echo import BIN
        if not BIN:
            self.skipTest("NET_ECHO_BIN is not set")

    def test_out_of_descriptors(self):
        import resource
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))
        try:
            server = Server().__enter__()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with server as s:
            many = [s.connect() for _ in range(60)]
            turned_away = [c for c in many if self.cut(c)]
            self.assertTrue(turned_away)
            for c in many:
                c.close()
            wait_until(lambda: self.answered(s), "accepting again")

    @staticmethod
    def cut(c):
        try:
            return c.send(OK).answer().status != 200
        except (EOFError, OSError):
            return True

    @staticmethod
    def answered(s):
        try:
            return s.ask(OK).status == 200
        except (EOFError, OSError):
            return False


if __name__ == "__main__":
    unittest.main()
