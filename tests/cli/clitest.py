"""What the tests of the command line share: running the program, a terminal for it, some entries."""
import fcntl
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import tempfile
import termios
import time
import unittest

from fleetlog import BIN, SANITIZER, Server

DONE, NONE, USAGE, DATA, UNREACHABLE, IO, LOCKED, DENIED, CONFIG = 0, 1, 2, 65, 69, 74, 75, 77, 78


def clean_env(**more):
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("FLEETLOG_", "MALS_", "XDG_")) and k not in ("NO_COLOR", "TERM")}
    env.update({"LC_ALL": "C.UTF-8", "USER": "tester"})
    env.update(more)
    return env


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return self.out.splitlines()

    def __repr__(self):
        return "<exit %s\n--- out\n%s\n--- err\n%s>" % (self.code, self.out[-3000:], self.err[-3000:])


def run(*args, stdin=None, env=None, timeout=120, cwd=None):
    if isinstance(stdin, str):
        stdin = stdin.encode()
    p = subprocess.run([BIN] + [str(a) for a in args], input=stdin,
                       stdin=subprocess.DEVNULL if stdin is None else None,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env or clean_env(),
                       timeout=timeout, cwd=cwd)
    result = Result(p.returncode, p.stdout.decode("utf-8", "replace"),
                    p.stderr.decode("utf-8", "replace"))
    for mark in SANITIZER:
        if mark in result.err:
            raise AssertionError(result.err[-8000:])
    return result


def run_in_terminal(*args, env=None, answer=None, columns=100, timeout=60, watch=None):
    """Runs it on a pseudo terminal; (exit code, all it printed). `answer` is typed at a '?';
    `watch` is called with all printed so far whenever there is more."""
    pid, fd = pty.fork()
    if pid == 0:
        try:
            size = struct.pack("HHHH", 40, columns, 0, 0)  # before the program can ask for it
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            os.execve(BIN, [BIN] + [str(a) for a in args], env or clean_env(TERM="xterm-256color"))
        finally:
            os._exit(127)
    out, deadline = b"", time.monotonic() + timeout
    while time.monotonic() < deadline:
        if not select.select([fd], [], [], 0.1)[0]:
            continue
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        out += piece
        if watch:
            watch(out.decode("utf-8", "replace"))
        if answer is not None and b"?" in out:
            os.write(fd, answer.encode() + b"\n")
            answer = None
    else:
        os.kill(pid, 9)
        raise AssertionError("no end in %s s:\n%r" % (timeout, out[-2000:]))
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return os.waitstatus_to_exitcode(status), out.decode("utf-8", "replace")


LEVELS = ["debug", "info", "warn", "error", "critical"]


def some_entries(n=50, start=1_700_000_000):
    return [{"timestamp": start + i, "agent": ["planner", "coder", "svc-a"][i % 3],
             "level": LEVELS[i % 5], "message": "step %d of the work" % i,
             "session_id": "s%d" % (i % 4), "trace_id": "t%d" % (i % 2),
             "port": 5000 + i, "nested": {"deep": {"value": i}}} for i in range(n)]


class CliTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="fleetlog-cli-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def path(self, name, text=None):
        p = os.path.join(self.dir, name)
        if text is not None:
            with open(p, "wb") as f:
                f.write(text if isinstance(text, bytes) else text.encode())
        return p

    def ok(self, *args, code=DONE, **kw):
        r = run(*args, **kw)
        self.assertEqual(r.code, code, r)
        return r

    def refused(self, code, *args, **kw):
        """It fails with this code, says why in one sentence and prints no result."""
        r = run(*args, **kw)
        self.assertEqual(r.code, code, r)
        self.assertTrue(r.err.startswith("fleetlog: "), r)
        self.assertEqual(r.out, "")
        return r


class WithServer(CliTest):
    """A server for all tests of the class; `server_entries` are stored at its start."""
    server_args = []
    server_entries = []

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.server_args)
        cls.server.start()
        if cls.server_entries:
            cls.server.ingest(cls.server_entries)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def at(self, *args, **kw):
        return self.ok(*args, "--url", self.server.url, **kw)


class BothWays(CliTest):
    """The same entries behind a server and, copied while it is stopped, in a directory."""
    entries = some_entries()

    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.server.start()
        cls.prepare()
        cls.server.stop()
        cls.copy = tempfile.mkdtemp(prefix="fleetlog-copy-")
        cls.copied = os.path.join(cls.copy, "data")
        shutil.copytree(cls.server.data_dir, cls.copied)
        cls.server.start()

    @classmethod
    def prepare(cls):
        cls.server.ingest(cls.entries)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        shutil.rmtree(cls.copy, ignore_errors=True)

    def both(self, *args, code=DONE):
        """Runs it both ways; the output must be the same, byte for byte. Returns one of them."""
        a = run(*args, "--url", self.server.url)
        b = run(*args, "--data-dir", self.copied)
        self.assertEqual((a.code, b.code), (code, code), (a, b))
        self.assertEqual(a.out, b.out)
        return a
