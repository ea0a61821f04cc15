"""Peers that are servers: posting NDJSON in batches and asking over one kept-alive connection."""
import http.client
import socket
import subprocess
import time

from peers.base import PeerError


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(command, port, seconds=60, **more):
    """A process that listens on the port when this returns."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, **more)
    deadline = time.monotonic() + seconds
    while True:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return process
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise PeerError("%s does not start" % command[0])
        time.sleep(0.02)


def stop(process, seconds=120):
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def batches(path, rows):
    """the lines of an NDJSON file as lists of `rows`"""
    batch = []
    with open(path, encoding="utf-8") as f:
        for text in f:
            batch.append(text)
            if len(batch) == rows:
                yield batch
                batch = []
    if batch:
        yield batch


class Connection:
    def __init__(self, port, timeout=900):
        self.port, self.timeout, self.connection = port, timeout, None

    def _send(self, method, path, body, headers):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                         timeout=self.timeout)
        self.connection.request(method, path, body, headers or {})
        return self.connection.getresponse()

    def request(self, method, path, body=None, headers=None):
        try:
            reply = self._send(method, path, body, headers)
        except ConnectionError:  # idle for so long that the server has closed it
            self.connection.close()
            self.connection = None
            reply = self._send(method, path, body, headers)
        data = reply.read()
        if reply.will_close:
            self.connection.close()
            self.connection = None
        if reply.status // 100 != 2:
            raise PeerError("%d for %s: %s" % (reply.status, path,
                                               data[:300].decode("utf-8", "replace")))
        return data
