"""The n-th allocation fails, for many n: a refusal or a closed connection, never a crash, and the
server goes on."""
import gzip
import unittest

from echo import OK, EchoCase, get, post
from test_websocket import TEXT, frame, upgrade

WORK = {
    "small": post("/echo", b"x" * 100),
    "async": post("/async", b"x"),
    "large": post("/echo", b"x" * 300000),
    "chunked": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
               b"186a0\r\n" + b"x" * 100000 + b"\r\n0\r\n\r\n",
    "gzip": post("/echo", gzip.compress(bytes(100000)), "Content-Encoding: gzip"),
    "big gzip answer": get("/big?n=400000", "Accept-Encoding: gzip"),
    "zstd answer": get("/big?n=4000", "Accept-Encoding: zstd"),
    "pipelined": post("/async", b"x") + post("/echo", b"y") * 3,
    "escaped": get("/%41?x=%42"),
    "stream": get("/stream?n=50&size=3000"),
    "WebSocket": upgrade() + frame(TEXT, b"a", fin=False) + frame(0, b"b"),
}


class Memory(EchoCase):
    FLAGS = ("--workers", "1", "--limit", "header_timeout_ms=2000")

    def attempt(self, request):
        """any answer or a closed connection will do"""
        try:
            with self.server.connect() as c:
                c.send(request)
                return c.sock.recv(100)
        except OSError:
            return b""

    def test_every_kind_of_work(self):
        for name, request in WORK.items():
            for nth in range(1, 15):
                with self.subTest(name, nth=nth):
                    self.server.ask(get("/fail?nth=%d" % nth))
                    self.attempt(request)
                    self.attempt(get("/fail?nth=0"))
                    self.assertEqual(self.server.ask(OK).status, 200)


if __name__ == "__main__":
    unittest.main()
