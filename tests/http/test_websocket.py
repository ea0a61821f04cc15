"""RFC 6455 over real sockets: handshake, framing, fragmentation, pings, close codes, limits."""
import base64
import hashlib
import os
import struct
import unittest

from echo import OK, EchoCase, get, wait_until

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def upgrade(path="/ws", **change):
    headers = {"Host": "x", "Upgrade": "websocket", "Connection": "keep-alive, Upgrade",
               "Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    headers.update(change)
    lines = ["%s: %s\r\n" % (k.replace("_", "-"), v) for k, v in headers.items() if v is not None]
    return ("GET %s HTTP/1.1\r\n%s\r\n" % (path, "".join(lines))).encode()


def frame(op, data=b"", fin=True, mask=True, rsv=0, length=None):
    n = len(data) if length is None else length
    out = bytes([(0x80 if fin else 0) | rsv << 4 | op])
    bit = 0x80 if mask else 0
    if n < 126:
        out += bytes([bit | n])
    elif n < 65536:
        out += struct.pack(">BH", bit | 126, n)
    else:
        out += struct.pack(">BQ", bit | 127, n)
    if not mask:
        return out + data
    key = os.urandom(4)
    return out + key + bytes(b ^ key[i & 3] for i, b in enumerate(data))


def read_frame(c):
    first, second = c.take(2)
    n = second & 0x7f
    if n == 126:
        n, = struct.unpack(">H", c.take(2))
    elif n == 127:
        n, = struct.unpack(">Q", c.take(8))
    assert first & 0x80 and not second & 0x80
    return first & 15, c.take(n)


class WebSocket(EchoCase):
    FLAGS = ("--limit", "ws_message_bytes=10000", "--limit", "stream_bytes=200000")

    def open(self, behind=b""):
        c = self.server.connect()
        self.addCleanup(c.close)
        c.send(upgrade() + behind)
        self.assertEqual(c.head()[0], 101)
        return c

    def closes_with(self, code, data):
        c = self.open()
        c.send(data)
        op, payload = read_frame(c)
        self.assertEqual(op, CLOSE)
        self.assertEqual(struct.unpack(">H", payload[:2])[0], code)
        self.assertTrue(c.ended())

    def test_handshake(self):
        with self.server.connect() as c:
            status, headers = c.send(upgrade()).head()
            want = base64.b64encode(hashlib.sha1(
                b"dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            self.assertEqual(status, 101)
            self.assertEqual(headers["sec-websocket-accept"], want.decode())

    def test_bad_handshakes(self):
        for change in ({"Upgrade": None}, {"Connection": "close"}, {"Sec_WebSocket_Key": "short"},
                       {"Sec_WebSocket_Key": None}, {"Upgrade": "h2c"},
                       {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZ!=="}):
            self.assertEqual(self.server.ask(upgrade(**change)).status, 400, change)
        a = self.server.ask(upgrade(Sec_WebSocket_Version="8"))
        self.assertEqual((a.status, a.headers["sec-websocket-version"]), (426, "13"))

    def test_plain_requests_before_the_upgrade(self):
        with self.server.connect() as c:
            c.send(OK + upgrade() + frame(TEXT, b"at once"))
            self.assertEqual(c.answer().status, 200)
            self.assertEqual(c.head()[0], 101)
            self.assertEqual(read_frame(c), (TEXT, b"at once"))

    def test_lengths(self):
        c = self.open()
        for n in (0, 1, 7, 8, 9, 125, 126, 127, 1000, 9999, 10000):
            data = bytes(97 + i % 26 for i in range(n))
            self.assertEqual(read_frame(c.send(frame(TEXT, data))), (TEXT, data))

    def test_byte_by_byte(self):
        c = self.open()
        for b in frame(TEXT, b"slow") + frame(TEXT, "ä€".encode()):
            c.send(bytes([b]))
        self.assertEqual(read_frame(c), (TEXT, b"slow"))
        self.assertEqual(read_frame(c), (TEXT, "ä€".encode()))

    def test_fragments_with_a_ping_between(self):
        c = self.open()
        euro = "€".encode()
        c.send(frame(TEXT, b"a" + euro[:1], fin=False) + frame(PING, b"p") +
               frame(0, euro[1:2], fin=False) + frame(0, b"", fin=False) + frame(0, euro[2:]))
        self.assertEqual(read_frame(c), (PONG, b"p"))
        self.assertEqual(read_frame(c), (TEXT, b"a" + euro))

    def test_many_in_one_write(self):
        c = self.open()
        c.send(b"".join(frame(TEXT, b"%d" % i) for i in range(500)))
        for i in range(500):
            self.assertEqual(read_frame(c), (TEXT, b"%d" % i))

    def test_ping(self):
        c = self.open()
        c.send(frame(PING, b"x" * 125) + frame(PONG, b"ignored") + frame(PING))
        self.assertEqual(read_frame(c), (PONG, b"x" * 125))
        self.assertEqual(read_frame(c), (PONG, b""))

    def test_close(self):
        for payload, want in ((b"", b""), (b"\x03\xe8bye", b"\x03\xe8"), (b"\x0b\xb8", b"\x0b\xb8")):
            c = self.open()
            self.assertEqual(read_frame(c.send(frame(CLOSE, payload))), (CLOSE, want))
            self.assertTrue(c.ended())

    def test_server_closes(self):
        c = self.open()
        c.send(frame(TEXT, b"close 4001 enough"))
        self.assertEqual(read_frame(c), (CLOSE, struct.pack(">H", 4001) + b"enough"))
        c.send(frame(TEXT, b"not heard") + frame(CLOSE, struct.pack(">H", 4001)))
        self.assertTrue(c.ended())

    def test_protocol_errors(self):
        cases = {
            "unmasked": frame(TEXT, b"x", mask=False),
            "reserved bit": frame(TEXT, b"x", rsv=4),
            "reserved opcode": frame(3, b"x"),
            "reserved control": frame(11, b"x"),
            "long ping": frame(PING, b"x" * 126),
            "fragmented ping": frame(PING, b"x", fin=False),
            "continuation of nothing": frame(0, b"x"),
            "new message inside another": frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
            "length not minimal": b"\x81\xfe\x00\x05\0\0\0\0hello",
            "64-bit length not minimal": b"\x81\xff\0\0\0\0\0\0\0\x05\0\0\0\0hello",
            "64-bit length with the top bit": b"\x82\xff\x80\0\0\0\0\0\0\x05\0\0\0\0",
            "close of one byte": frame(CLOSE, b"\x03"),
            "close 1005": frame(CLOSE, struct.pack(">H", 1005)),
            "close 999": frame(CLOSE, struct.pack(">H", 999)),
            "close 2000": frame(CLOSE, struct.pack(">H", 2000)),
        }
        for name, data in cases.items():
            with self.subTest(name):
                self.closes_with(1002, data)

    def test_bad_utf8(self):
        for data in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82", b"\xf4\x90\x80\x80"):
            self.closes_with(1007, frame(TEXT, data))
        self.closes_with(1007, frame(CLOSE, b"\x03\xe8\xff"))
        self.closes_with(1007, frame(TEXT, b"\xe2", fin=False) + frame(0, b"x"))

    def test_too_big(self):
        self.closes_with(1009, frame(TEXT, b"x" * 10001))
        self.closes_with(1009, frame(BINARY, b"", length=1 << 40))
        self.closes_with(1009, frame(TEXT, b"x" * 9999, fin=False) + frame(0, b"xx"))

    def test_peer_vanishes(self):
        before = self.server.held()["aborted"]
        c = self.open()
        c.close()
        wait_until(lambda: self.server.held()["aborted"] > before, "on_close")
        wait_until(lambda: self.server.stats()["websockets"] == 0, "all gone")

    def test_slow_reader(self):
        c = self.open()
        c.send(frame(TEXT, b"flood 20000"))
        for _ in range(20000):
            op, data = read_frame(c)
            self.assertEqual((op, len(data)), (TEXT, 1024))


class Pings(EchoCase):
    FLAGS = ("--limit", "ws_ping_ms=400")

    def test_silent_peer_is_pinged_and_cut(self):
        with self.server.connect() as c:
            self.assertEqual(c.send(upgrade()).head()[0], 101)
            self.assertEqual(read_frame(c), (PING, b""))
            c.rest()

    def test_peer_that_answers_stays(self):
        with self.server.connect() as c:
            self.assertEqual(c.send(upgrade()).head()[0], 101)
            for _ in range(4):
                self.assertEqual(read_frame(c), (PING, b""))
                c.send(frame(PONG))
            self.assertEqual(self.server.stats()["websockets"], 1)


if __name__ == "__main__":
    unittest.main()
