"""Starts the net_echo test server and talks raw HTTP to it. Standard library only.

    with Server("--limit", "body_bytes=100") as s:
        c = s.connect()
        c.send(b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n")
        c.answer().status

Nothing sleeps for luck: every read has a deadline, every wait is on an event.
"""
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

BIN = os.environ.get("NET_ECHO_BIN", "")
SECONDS = 30
FINDINGS = (b"ERROR: AddressSanitizer", b"ERROR: LeakSanitizer", b"WARNING: ThreadSanitizer",
            b"runtime error:")
OK = b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n"


def post(path, body, *headers):
    head = "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % (path, len(body))
    return (head + "".join(h + "\r\n" for h in headers) + "\r\n").encode() + body


def get(path, *headers):
    return ("GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n" %
            (path, "".join(h + "\r\n" for h in headers))).encode()


def wait_until(condition, what, seconds=SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(what + " not reached")
        time.sleep(0.01)


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # lower-case names
        self.body = body


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.buf = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)
        return self

    def more(self):
        try:
            piece = self.sock.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError):
            piece = b""
        self.buf += piece
        return bool(piece)

    def take(self, n):
        while len(self.buf) < n:
            if not self.more():
                raise EOFError("end after %r" % self.buf[:200])
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def line(self):
        while b"\r\n" not in self.buf:
            if not self.more():
                raise EOFError("end after %r" % self.buf[:200])
        out, self.buf = self.buf.split(b"\r\n", 1)
        return out

    def head(self):
        status = self.line().split(b" ", 2)
        assert status[0] == b"HTTP/1.1", status
        headers = {}
        while True:
            line = self.line()
            if not line:
                return int(status[1]), headers
            name, value = line.decode("latin-1").split(":", 1)
            headers[name.lower()] = value.strip()

    def answer(self, method="POST"):
        status, headers = self.head()
        while status == 100:
            status, headers = self.head()
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body = b"".join(iter(self.chunk, b""))
        elif "content-length" in headers:
            body = self.take(int(headers["content-length"]))
        else:
            body = self.rest()
        return Answer(status, headers, body)

    def chunk(self):
        """The next chunk's data; b"" at the end of the body."""
        data = self.take(int(self.line(), 16))
        assert self.take(2) == b"\r\n"
        return data

    def rest(self):
        """Everything up to the peer's end; fails if it keeps the connection open."""
        while self.more():
            pass
        out, self.buf = self.buf, b""
        return out

    def ended(self):
        return self.rest() == b""


def statuses(data):
    return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d{3})", data)]


class Server:
    def __init__(self, *flags):
        self.flags = flags
        self.proc = None

    def __enter__(self):
        if self.proc:
            return self
        self.err = tempfile.TemporaryFile()
        self.proc = subprocess.Popen([BIN, *self.flags], stdout=subprocess.PIPE, stderr=self.err,
                                     text=True)
        line = self.proc.stdout.readline().split()
        assert line[:1] == ["listening"], self.errors()
        self.host, _, port = line[1].rpartition(":")
        self.host = self.host.strip("[]")
        self.port = int(port)
        return self

    def errors(self):
        self.err.seek(0)
        return self.err.read()

    def stop(self):
        """SIGTERM and wait; every run must end in good order."""
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
        return self.finish()

    def finish(self):
        try:
            out, _ = self.proc.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            raise
        errors = self.errors()
        assert not any(f in errors for f in FINDINGS), errors.decode("utf-8", "replace")
        assert self.proc.returncode == 0, (self.proc.returncode, errors)
        return out

    def __exit__(self, kind, *exc):
        if kind is None:
            self.stop()
        else:
            self.proc.kill()
            self.proc.communicate()
            errors = self.errors()
            if errors:
                print(errors.decode("utf-8", "replace"))
        self.err.close()

    def connect(self):
        sock = socket.create_connection((self.host, self.port), timeout=SECONDS)
        return Connection(sock)

    def ask(self, data, method="POST"):
        with self.connect() as c:
            return c.send(data).answer(method)

    def exchange(self, data):
        """Sends data and returns all that comes back until the server closes."""
        with self.connect() as c:
            try:
                c.send(data)
            except (BrokenPipeError, ConnectionResetError):
                pass
            return c.rest()

    def stats(self):
        import json
        return json.loads(self.ask(get("/stats")).body)

    def held(self):
        import json
        return json.loads(self.ask(get("/held")).body)


@unittest.skipUnless(BIN, "NET_ECHO_BIN is not set")
class EchoCase(unittest.TestCase):
    FLAGS = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.FLAGS).__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None)
