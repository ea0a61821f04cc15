"""Starts and stops a fleetlog server for a test and talks HTTP to it. Standard library only.

    with Server() as s:
        s.post("/ingest", {...}).json()
        s.kill(); s.start()          # the same data directory

The program is the one FLEETLOG_BIN names. Nothing here sleeps for luck: start() waits for /ready,
wait_until() polls a condition against a deadline.
"""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from urllib.parse import quote, urlencode

BIN = os.environ.get("FLEETLOG_BIN", "")
START_SECONDS = 60
SANITIZER = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer",
             "runtime error:")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, seconds=20, what="condition"):
    """Polls until condition() is truthy and returns its value; fails when it never is."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("%s not reached in %s s" % (what, seconds))
        time.sleep(0.01)


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # http.client.HTTPMessage: case-insensitive, get()
        self.body = body

    def json(self):
        return json.loads(self.body)

    def text(self):
        return self.body.decode("utf-8")

    def ndjson(self):
        return [json.loads(line) for line in self.body.splitlines() if line.strip()]

    def __repr__(self):
        return "<%d %r>" % (self.status, self.body[:300])


class Server:
    """One server process on a free port of 127.0.0.1, its data in a temporary directory."""

    def __init__(self, *args, data_dir=None, env=None, key=None, port=None):
        if not BIN:
            raise RuntimeError("FLEETLOG_BIN is not set")
        self.args = list(args)
        self.key = key
        self.port = port or free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        self.own_dir = data_dir is None
        self.data_dir = data_dir or tempfile.mkdtemp(prefix="fleetlog-test-")
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("FLEETLOG_", "MALS_")) or k == "FLEETLOG_BIN"}
        self.env.update(env or {})
        self.process = None
        self.out = ""  # what all runs of this server printed
        self.err = ""
        self._readers = []

    # ---- life ----
    def start(self, wait=True):
        command = [BIN, "serve", "--listen", "127.0.0.1:%d" % self.port,
                   "--data-dir", self.data_dir] + self.args
        self.process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._readers = [threading.Thread(target=self._drain, args=(name,), daemon=True)
                         for name in ("out", "err")]
        for t in self._readers:
            t.start()
        if wait:
            self._wait_ready()
        return self

    def _drain(self, name):
        stream = self.process.stdout if name == "out" else self.process.stderr
        for line in stream:
            setattr(self, name, getattr(self, name) + line.decode("utf-8", "replace"))
        stream.close()

    def _wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                self._join()
                raise AssertionError("server exited %s at start:\n%s%s"
                                     % (self.process.returncode, self.out, self.err))
            try:
                # a closed door (401, 403) is an open server
                if self.request("GET", "/ready", timeout=5).status in (200, 401, 403):
                    return
            except (OSError, http.client.HTTPException):
                pass
            if time.monotonic() > deadline:
                raise AssertionError("server not ready:\n" + self.out + self.err)
            time.sleep(0.005)

    def _join(self):
        for t in self._readers:
            t.join(10)

    def stop(self):
        """SIGTERM; the server must drain and exit 0, with no finding of a sanitizer."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = "SIGTERM ignored for 60 s"
        self._join()
        self.process = None
        self.check_stderr()
        if code != 0:
            raise AssertionError("server ended with %s:\n%s" % (code, self.err[-4000:]))

    def kill(self):
        """kill -9: nothing gets a chance to be written."""
        self.process.kill()
        self.process.wait()
        self._join()
        self.process = None
        self.check_stderr()

    def restart(self):
        self.stop()
        return self.start()

    def check_stderr(self):
        for mark in SANITIZER:
            if mark in self.err:
                raise AssertionError(self.err[-8000:])

    def close(self):
        try:
            self.stop()
        finally:
            if self.own_dir:
                shutil.rmtree(self.data_dir, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.close()

    # ---- HTTP ----
    def request(self, method, path, body=None, headers=None, query=None, timeout=60):
        """One request on a connection of its own. dict and list bodies become JSON."""
        if query:
            path += ("&" if "?" in path else "?") + urlencode(query)
        send = dict(headers or {})
        if self.key and not any(k.lower() == "authorization" for k in send):
            send["Authorization"] = "Bearer " + self.key
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            send.setdefault("Content-Type", "application/json")
        elif isinstance(body, str):
            body = body.encode()
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            conn.request(method, path, body=body, headers=send)
            r = conn.getresponse()
            return Response(r.status, r.headers, r.read())
        finally:
            conn.close()

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.request("POST", path, body=body, **kw)

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)

    def patch(self, path, body=None, **kw):
        return self.request("PATCH", path, body=body, **kw)

    def ingest(self, entries, **kw):
        """Native ingest of a list as NDJSON; every entry must be taken."""
        body = "".join(json.dumps(e) + "\n" for e in entries)
        kw.setdefault("headers", {"Content-Type": "application/x-ndjson"})
        r = self.post("/api/v1/ingest", body, **kw)
        if r.status != 200 or r.json()["accepted"] != len(entries):
            raise AssertionError("ingest refused: %r" % r)
        return r.json()

    def raw(self, data, timeout=10):
        """Sends bytes as they are and returns all that came back until the peer closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            s.sendall(data)
            got = b""
            while True:
                try:
                    piece = s.recv(65536)
                except ConnectionResetError:
                    return got
                if not piece:
                    return got
                got += piece

    def sse(self, path, headers=None, timeout=20):
        return EventSource(self.port, path, headers, timeout)


class EventSource:
    """A server-sent event stream: iterate for dicts with data, event, id; next(timeout) for one."""

    def __init__(self, port, path, headers=None, timeout=20):
        self.conn = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self.conn.request("GET", path, headers=dict(headers or {}, Accept="text/event-stream"))
        self.response = self.conn.getresponse()
        self.status = self.response.status
        self.headers = self.response.headers

    def __iter__(self):
        event = {}
        while True:
            line = self.response.readline()
            if not line:
                return
            line = line.decode("utf-8").rstrip("\r\n")
            if not line:
                if event:
                    yield event
                event = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(":")
                value = value[1:] if value.startswith(" ") else value
                if name == "data" and "data" in event:
                    value = event["data"] + "\n" + value
                event[name] = value

    def close(self):
        self.conn.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def segment(text):
    """A path segment out of any text."""
    return quote(text, safe="")
