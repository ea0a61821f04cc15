"""A small WebSocket client (RFC 6455) for tests: enough to behave well, and to misbehave on
purpose. Standard library only."""
import base64
import hashlib
import json
import os
import socket
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class HandshakeError(Exception):
    def __init__(self, status, head, body):
        super().__init__("%d: %s" % (status, head))
        self.status = status
        self.head = head
        self.body = body


class Closed(Exception):
    """The peer closed; code is None when it did so without a close frame."""

    def __init__(self, code, reason=""):
        super().__init__("closed with %s %s" % (code, reason))
        self.code = code
        self.reason = reason


class WebSocket:
    def __init__(self, port, path, host="127.0.0.1", headers=None, timeout=20):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        send = {"Host": "%s:%d" % (host, port), "Upgrade": "websocket", "Connection": "Upgrade",
                "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13"}
        send.update(headers or {})
        head = "GET %s HTTP/1.1\r\n" % path
        head += "".join("%s: %s\r\n" % kv for kv in send.items() if kv[1] is not None)
        self.sock.sendall(head.encode() + b"\r\n")
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            piece = self.sock.recv(4096)
            if not piece:
                break
            self.buffer += piece
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        self.head = head.decode("latin-1")
        parts = self.head.split(" ", 2)
        status = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
        if status != 101:
            self.sock.close()
            raise HandshakeError(status, self.head, self.buffer)
        want = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        if ("sec-websocket-accept: " + want).lower() not in self.head.lower():
            self.sock.close()
            raise HandshakeError(status, self.head, b"wrong Sec-WebSocket-Accept")

    # ---- frames ----
    def _exactly(self, n):
        while len(self.buffer) < n:
            piece = self.sock.recv(65536)
            if not piece:
                raise Closed(None)
            self.buffer += piece
        got, self.buffer = self.buffer[:n], self.buffer[n:]
        return got

    def recv_frame(self):
        """(fin, opcode, payload); a server's frame must not be masked nor use reserved bits."""
        first, second = self._exactly(2)
        if first & 0x70:
            raise AssertionError("reserved bits set")
        if second & 0x80:
            raise AssertionError("server frame is masked")
        n = second & 0x7F
        if n == 126:
            n = struct.unpack("!H", self._exactly(2))[0]
        elif n == 127:
            n = struct.unpack("!Q", self._exactly(8))[0]
        return bool(first & 0x80), first & 0x0F, self._exactly(n)

    def send_frame(self, opcode, payload=b"", fin=True, mask=True, reserved=0):
        head = bytes([(0x80 if fin else 0) | reserved | opcode])
        bit = 0x80 if mask else 0
        n = len(payload)
        if n < 126:
            head += bytes([bit | n])
        elif n < 65536:
            head += bytes([bit | 126]) + struct.pack("!H", n)
        else:
            head += bytes([bit | 127]) + struct.pack("!Q", n)
        if mask:
            key = os.urandom(4)
            head += key
            whole = int.from_bytes(payload, "big")
            pad = (key * (n // 4 + 1))[:n]
            payload = (whole ^ int.from_bytes(pad, "big")).to_bytes(n, "big") if n else b""
        self.sock.sendall(head + payload)

    # ---- messages ----
    def recv(self):
        """The next text or binary message; pings are answered, a close raises Closed."""
        opcode, data = None, b""
        while True:
            fin, op, payload = self.recv_frame()
            if op == PING:
                self.send_frame(PONG, payload)
            elif op == CLOSE:
                code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
                raise Closed(code, payload[2:].decode("utf-8", "replace"))
            elif op in (TEXT, BINARY, 0):
                if op:
                    opcode = op
                data += payload
                if fin:
                    return data.decode("utf-8") if opcode == TEXT else data

    def recv_json(self):
        return json.loads(self.recv())

    def send(self, text):
        self.send_frame(TEXT, text.encode())

    def close(self, code=1000):
        """A tidy close: ours, then theirs."""
        try:
            self.send_frame(CLOSE, struct.pack("!H", code))
            while True:
                self.recv()
        except (Closed, OSError):
            pass
        finally:
            self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
