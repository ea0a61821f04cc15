"""Answers of unknown length: events in order, slow readers, readers that leave."""
import unittest

from echo import OK, EchoCase, get, wait_until


class Streams(EchoCase):
    FLAGS = ("--limit", "stream_bytes=100000")

    def test_events(self):
        with self.server.connect() as c:
            c.send(get("/stream?n=3&size=2") + OK)
            status, headers = c.head()
            self.assertEqual((status, headers["content-type"]), (200, "text/event-stream"))
            self.assertEqual(headers["cache-control"], "no-store")
            self.assertEqual([c.chunk() for _ in range(4)],
                             [b"data: aa\n\n", b"data: bb\n\n", b"data: cc\n\n", b""])
            self.assertEqual(c.answer().status, 200)

    def test_slow_reader_gets_everything_and_is_waited_for(self):
        n, size = 20000, 1000
        c = self.server.connect()
        c.send(get("/stream?n=%d&size=%d" % (n, size)))
        self.assertEqual(c.head()[0], 200)
        for i in range(n):
            want = b"data: " + bytes([97 + i % 26]) * size + b"\n\n"
            self.assertEqual(c.chunk(), want)
        self.assertEqual(c.chunk(), b"")
        c.close()

    def test_reader_leaves(self):
        before = self.server.held()["aborted"]
        c = self.server.connect()
        c.send(get("/events"))
        c.head()
        self.assertEqual(c.chunk(), b"data: hello\n\n")
        self.assertEqual(self.server.stats()["streams"], 1)
        c.close()
        wait_until(lambda: self.server.held()["aborted"] == before + 1, "the abort")
        self.assertEqual(self.server.stats()["streams"], 0)

    def test_reader_leaves_under_load(self):
        before = self.server.held()["aborted"]
        for _ in range(5):
            c = self.server.connect()
            c.send(get("/stream?n=1000000&size=1000"))
            c.take(100000)
            c.close()
        wait_until(lambda: self.server.held()["aborted"] == before + 5, "the aborts")


if __name__ == "__main__":
    unittest.main()
