"""TLS: versions, large transfers, renegotiation refused, reload on SIGHUP."""
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import unittest

from echo import BIN, OK, Connection, Server, get, post, wait_until


def make_pair(folder, name):
    cert, key = (os.path.join(folder, name + e) for e in (".crt", ".key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=" + name,
                    "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
    return cert, key


@unittest.skipUnless(BIN and shutil.which("openssl"), "needs NET_ECHO_BIN and openssl")
class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.cert, cls.key = make_pair(cls.folder, "one")
        cls.other = make_pair(cls.folder, "two")
        cls.server = Server("--cert", cls.cert, "--key", cls.key).__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None)
        shutil.rmtree(cls.folder)

    def connect(self, **versions):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["http/1.1"])
        for k, v in versions.items():
            setattr(context, k, v)
        sock = socket.create_connection((self.server.host, self.server.port), timeout=30)
        self.addCleanup(sock.close)
        c = Connection(context.wrap_socket(sock))
        self.addCleanup(c.close)
        return c

    def test_versions(self):
        for v in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            c = self.connect(minimum_version=v, maximum_version=v)
            self.assertEqual(c.sock.selected_alpn_protocol(), "http/1.1")
            a = c.send(OK).answer()
            self.assertIn(b'"tls":true', a.body)

    def test_keep_alive_and_pipelining(self):
        c = self.connect()
        c.send(b"".join(post("/async" if i % 2 else "/echo", b"%d" % i) for i in range(200)))
        for i in range(200):
            a = c.answer()
            self.assertEqual(a.status, 204 if i % 2 else 200)
        self.assertEqual(c.send(OK).answer().status, 200)

    def test_large_both_ways(self):
        body = bytes(range(256)) * 16000
        c = self.connect()
        c.send(get("/big?n=5000000"))
        self.assertEqual(len(c.answer().body), 5000000)
        for piece in (1000, 100000):
            self.assertEqual(c.send(post("/echo", body[:piece])).answer().body, body[:piece])
        c.send(post("/info", body))
        self.assertIn(b'"body":4096000', c.answer().body)

    def test_pipelined_behind_a_held_request(self):
        c = self.connect()
        c.send(get("/slow?ms=50") + post("/echo", b"z" * 50000) + post("/echo", b"y" * 50000))
        self.assertEqual(c.answer().body, b"late")
        self.assertEqual(c.answer().body, b"z" * 50000)
        self.assertEqual(c.answer().body, b"y" * 50000)

    def test_close_is_clean(self):
        c = self.connect()
        self.assertEqual(c.send(get("/info", "Connection: close")).answer().status, 200)
        self.assertEqual(c.sock.recv(10), b"")  # close_notify, not a cut

    def test_stream(self):
        c = self.connect()
        c.send(get("/stream?n=3000&size=1000"))
        self.assertEqual(len(c.answer().body), 3000 * 1008)

    def test_plain_http_on_the_tls_port(self):
        with self.server.connect() as c:
            self.assertNotIn(b"200", c.send(OK).rest())

    def test_silent_handshake_is_cut(self):
        with Server("--cert", self.cert, "--key", self.key, "--limit", "header_timeout_ms=200") as s:
            with s.connect() as c:
                self.assertTrue(c.ended())

    def test_reload(self):
        cert = os.path.join(self.folder, "live.crt")
        key = os.path.join(self.folder, "live.key")
        shutil.copy(self.cert, cert)
        shutil.copy(self.key, key)
        with Server("--cert", cert, "--key", key) as s:
            def served():
                return ssl.get_server_certificate((s.host, s.port))

            def reload():
                s.proc.send_signal(signal.SIGHUP)
                return s.proc.stdout.readline().strip()
            with open(self.cert) as f:
                self.assertEqual(served(), f.read())
            shutil.copy(self.other[0], cert)
            self.assertEqual(reload(), "reload failed")  # the key does not fit
            with open(self.cert) as f:
                self.assertEqual(served(), f.read())
            shutil.copy(self.other[1], key)
            self.assertEqual(reload(), "reloaded")
            with open(self.other[0]) as f:
                self.assertEqual(served(), f.read())


if __name__ == "__main__":
    unittest.main()
