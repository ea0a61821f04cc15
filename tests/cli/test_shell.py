"""fleetlog shell: on a terminal as a person uses it, and with a file of queries."""
import fcntl
import os
import pty
import re
import select
import signal
import socket
import stat
import struct
import termios
import threading
import time
import unittest

from clitest import BIN, USAGE, BothWays, CliTest, WithServer, clean_env, some_entries

ESCAPES = re.compile(r"\x1b(\[[\d;?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>])")


class Session:
    """A shell on a pseudo terminal: keys are sent, and what appears is waited for."""

    def __init__(self, *args, env=None, rows=24, columns=100):
        self.out, self.seen = "", 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
                os.execve(BIN, [BIN, "shell"] + [str(a) for a in args], env)
            finally:
                os._exit(127)

    def read(self):
        """False at the end"""
        if not select.select([self.fd], [], [], 0.1)[0]:
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            return False
        self.out += piece.decode("utf-8", "replace")
        return bool(piece)

    def wait(self, pattern, seconds=30):
        """Until it appears behind what was waited for before; gives the text up to its end."""
        deadline = time.monotonic() + seconds
        while True:
            text = ESCAPES.sub("", self.out).replace("\r", "")
            found = re.search(pattern, text[self.seen:])
            if found:
                got = text[self.seen:self.seen + found.end()]
                self.seen += found.end()
                return got
            if time.monotonic() > deadline or not self.read():
                raise AssertionError("no %r in %r" % (pattern, text[self.seen:][-3000:]))

    def send(self, keys):
        os.write(self.fd, keys.encode())

    def ask(self, line, pattern=r"\nfleetlog> "):
        self.send(line + "\r")
        return self.wait(pattern)

    def end(self, keys="\\q\r"):
        if keys:
            self.send(keys)
        deadline = time.monotonic() + 20
        while self.read():
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError("no end: %r" % self.out[-2000:])
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        if "Sanitizer" in self.out:
            raise AssertionError(self.out)
        return code


class Shell(WithServer):
    server_entries = [dict(e, tool="tool %d" % (i % 3)) for i, e in enumerate(some_entries(60))]

    def env(self, **more):
        return clean_env(TERM="xterm-256color", HOME=self.dir, XDG_STATE_HOME=self.path("state"),
                         **more)

    def session(self, *args, env=None, **kw):
        s = Session("--url", self.server.url, *args, env=env or self.env(), **kw)
        s.wait(r"fleetlog> ")
        return s

    def history(self):
        return self.path("state/fleetlog/shell_history")

    def test_queries_and_errors(self):
        s = self.session()
        self.assertRegex(s.ask("agent:planner | stats count() as n by level"),
                         r"(?s)level +n\n.*critical +4\n5 rows\n")
        got = s.ask("* | stats p9x(port)")
        self.assertIn("fleetlog: unknown function p9x\n  * | stats p9x(port)\n"
                      "            ^\nhint: did you mean p95?\n", got)
        self.assertIn("nothing found", s.ask("nosuchword"))
        self.assertRegex(s.ask("* | count"), r"count\n +60\n1 row\n")  # it goes on after errors
        self.assertEqual(s.end(), 0)

    def test_tab(self):
        s = self.session()
        s.send("age\t")
        s.wait("agent:")
        s.send("\t")  # no common start: they are listed, with counts
        got = s.wait(r"\nfleetlog> agent:")
        for name in ("planner", "coder", "svc-a"):
            self.assertRegex(got, r"\n  %s +20\n" % name)
        s.send("pl\t")
        s.wait("planner ")
        s.send("| stats cou\t")
        s.wait("count")
        s.send("\t")
        self.assertIn("count_distinct(FIELD): different values", s.wait(r"\nfleetlog> .*count"))
        self.assertRegex(s.ask("() as n by too\t"), r'tool 0 +20\n')
        s.send('tool:\t')
        s.wait('"tool ')
        s.send('1')
        s.wait("1")
        self.assertRegex(s.ask("\t| count"), r'count\ncount\n +20\n')
        s.send("zzz\t")  # nothing to offer: the line stays
        s.wait("zzz")
        self.assertIn("nothing found", s.ask(""))
        self.assertEqual(s.end(), 0)

    def test_several_lines(self):
        s = self.session()
        s.ask("* |", r"       -> ")
        s.send("sta\t")
        s.wait("stats ")
        self.assertRegex(s.ask("count(", r"       -> "), "count")
        self.assertRegex(s.ask(") as n"), r"n\n+ *60\n")
        s.ask("agent:planner \\", r"       -> ")
        self.assertRegex(s.ask("| count"), r" 20\n")
        s.ask("(a OR", r"       -> ")
        s.send("\x03")  # forgets all of it
        s.wait(r"\^C\nfleetlog> ")
        self.assertRegex(s.ask("* | count"), r" 60\n")
        s.ask('"open', r"       -> ")
        self.assertIn("the quote is never closed\n  \"open\n  ^\n", s.ask(""))
        self.assertEqual(s.end("\x04"), 0)

    def test_history(self):
        s = self.session()
        s.ask("* | count")
        s.ask(" agent:coder | count")
        s.ask('"Bearer abcdef" | count')
        s.ask("level:error |", "-> ")
        s.ask("count")
        s.send("\x1b[A")
        s.wait(r"level:error \| count")
        s.send("\x1b[A")
        self.assertRegex(s.ask(""), r"count\n +60\n")  # the two between are not there
        self.assertEqual(s.end(), 0)
        self.assertEqual(stat.S_IMODE(os.stat(self.history()).st_mode), 0o600)
        with open(self.history(), encoding="utf-8") as f:
            self.assertEqual(f.read(), "* | count\nlevel:error |\\ncount\n* | count\n")
        s = self.session()  # the next session has it
        s.send("\x1b[A\x1b[A")
        s.wait(r"level:error")
        s.send("\x03")
        s.wait(r"\^C\nfleetlog> ")
        s.send("\x12err")
        s.wait(r"level:error")
        s.send("\x07\x03")
        self.assertEqual(s.end(), 0)

    def test_history_is_bounded(self):
        os.makedirs(os.path.dirname(self.history()))
        with open(self.history(), "w", encoding="utf-8") as f:
            for i in range(2500):
                f.write("query number %d with some more words in it to be long enough\n" % i)
        s = self.session()
        s.ask("* | count")
        s.end()
        with open(self.history(), encoding="utf-8") as f:
            lines = f.read().splitlines()
        self.assertEqual((len(lines), lines[-1]), (1000, "* | count"))
        self.assertTrue(lines[-2].startswith("query number 2499 "))

    def test_commands(self):
        s = self.session(rows=100)
        self.assertIn("stats STAT", s.ask("\\help stats"))
        self.assertIn("did you mean stats?", s.ask("\\help stat"))
        self.assertIn("did you mean \\format?", s.ask("\\fromat csv"))
        self.assertIn("there is no format 'xml'", s.ask("\\format xml"))
        s.ask("\\format csv")
        self.assertIn("agent,n\ncoder,20\n", s.ask("* | stats count() as n by agent | limit 1"))
        s.ask("\\format json")
        self.assertIn('"results": [', s.ask("* | count"))
        s.ask("\\format text")
        self.assertIn("timing is on", s.ask("\\timing"))
        self.assertRegex(s.ask("* | count"), r"1 row, [\d.]+ (ms|s)\n")
        self.assertIn('"pipes": [', s.ask("\\explain"))
        self.assertIn('"filter": "level>=error"', s.ask("\\explain level:error"))
        s.ask("\\start 2023-11-14T22:13:50Z")
        self.assertIn("2023-11-14T22:13:50Z", s.ask("\\start"))
        self.assertRegex(s.ask("* | count"), r" 30\n")
        s.ask("\\end 2023-11-14T22:13:55Z")
        self.assertRegex(s.ask("* | count"), r" 5\n")
        s.ask("\\start off")
        s.ask("\\end off")
        self.assertIn("is not a time", s.ask("\\start soonish"))
        s.ask("\\limit 2")
        self.assertRegex(s.ask("agent:planner"), r"\n2 rows")
        self.assertIn("takes a number", s.ask("\\limit x"))
        self.assertIn("\nPipes\n", s.ask("\\pager off\r\\help", r"\nPipes\n"))
        s.wait("url_host")
        self.assertEqual(s.end(), 0)

    def test_pager(self):
        pager = "cat > %s; echo PAGED" % self.path("paged")
        s = self.session(env=self.env(PAGER=pager))
        self.assertNotIn("PAGED\n", s.ask("* | limit 3"))
        self.assertIn("PAGED\n", s.ask("* | limit 50"))
        with open(self.path("paged"), encoding="utf-8") as f:
            self.assertEqual(f.read().count("\n"), 50)
        self.assertIn("pager is off", s.ask("\\pager"))
        got = s.ask("* | limit 50")
        self.assertNotIn("PAGED\n", got)
        self.assertIn("step 59 of the work", got)
        self.assertEqual(s.end(), 0)
        s = self.session("--no-pager", env=self.env(PAGER=pager))
        self.assertNotIn("PAGED\n", s.ask("* | limit 50"))
        s.end()
        s = self.session(env=self.env(PAGER="no-such-pager"))  # then the answer as it is
        self.assertIn("step 59 of the work", s.ask("* | limit 50"))
        s.end()

    def test_the_server_is_gone(self):
        s = Session("--url", "http://127.0.0.1:1", env=self.env())
        s.wait("fleetlog> ")
        self.assertIn("cannot reach", s.ask("* | count"))
        s.send("ag\t")
        s.wait("ag")
        self.assertIn("cannot reach", s.ask("x"))
        self.assertEqual(s.end(), 0)

    def test_errors_of_search_have_a_mark(self):
        for args, want in ((["level:eror"], "'eror' is not a level\n  level:eror\n        ^\n"),
                           (["--agent", "coder", "* | nope"],
                            "there is no pipe 'nope'\n  * | nope\n      ^\n"),
                           (["a", "b)"], "a ')' without its '('\n  a b)\n     ^\n")):
            s = Session.__new__(Session)
            s.out, s.seen = "", 0
            s.pid, s.fd = pty.fork()
            if s.pid == 0:
                os.execve(BIN, [BIN, "search", "--url", self.server.url] + args, self.env())
            s.wait(re.escape(want))
            self.assertEqual(s.end(""), USAGE)


class Interrupt(CliTest):
    def env(self):
        return clean_env(TERM="xterm-256color", HOME=self.dir, XDG_STATE_HOME=self.path("state"))

    def test_ctrl_c_hangs_up(self):
        """on a server that never answers: the connection closes"""
        listener = socket.create_server(("127.0.0.1", 0))
        asked, closed = threading.Event(), threading.Event()

        def serve():
            conn = listener.accept()[0]
            while conn.recv(65536):
                asked.set()
            closed.set()
            conn.close()

        t = threading.Thread(target=serve, daemon=True)
        t.start()
        s = Session("--url", "http://127.0.0.1:%d" % listener.getsockname()[1], env=self.env())
        s.wait("fleetlog> ")
        s.send("* | count\r")
        self.assertTrue(asked.wait(20))
        s.send("\x03")
        s.wait(r"canceled\nfleetlog> ")
        self.assertTrue(closed.wait(20))
        listener.close()
        self.assertEqual(s.end(), 0)


class InterruptedWork(WithServer):
    def setUp(self):
        super().setUp()
        for at in range(0, 40000, 5000):
            self.server.ingest([{"message": "%s%d!" % ("a" * 14, at + i)} for i in range(5000)])

    def canceled(self):
        text = self.server.get("/metrics").text()
        return float(re.search(r"^fleetlog_query_canceled_total (\S+)$", text, re.M).group(1))

    def forward(self, listener, asked):
        """One connection to the server, through here, so that it is known when the query has come."""
        def pump(a, b, event):
            try:
                for piece in iter(lambda: a.recv(65536), b""):
                    b.sendall(piece)
                    if b"nosuchtext" in piece and event:
                        event.set()
            except OSError:
                pass
            for c in (a, b):
                try:
                    c.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

        def serve():
            while True:
                try:
                    client = listener.accept()[0]
                except OSError:
                    return
                server = socket.create_connection(("127.0.0.1", self.server.port))
                threading.Thread(target=pump, args=(client, server, asked), daemon=True).start()
                threading.Thread(target=pump, args=(server, client, None), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()

    def test_ctrl_c_stops_the_server_working(self):
        """an expression that tries 16,000 ways on each of 40,000 texts: many seconds"""
        listener, asked = socket.create_server(("127.0.0.1", 0)), threading.Event()
        self.addCleanup(listener.close)
        self.forward(listener, asked)
        env = clean_env(TERM="xterm-256color", HOME=self.dir)
        s = Session("--url", "http://127.0.0.1:%d" % listener.getsockname()[1], env=env)
        s.wait("fleetlog> ")
        before = self.canceled()
        s.send("/(a+)+[b-z]/ OR nosuchtext | count\r")
        self.assertTrue(asked.wait(20))
        s.send("\x03")
        s.wait(r"canceled\nfleetlog> ", seconds=20)
        deadline = time.monotonic() + 20
        while self.canceled() != before + 1:
            self.assertLess(time.monotonic(), deadline, "the server did not stop")
        self.assertRegex(s.ask("* | count"), r"\n40000\n")
        self.assertEqual(s.end(), 0)


class Script(BothWays):
    def test_a_file_of_queries(self):
        text = ("# a comment\n\n* | count\nagent:planner\n  | stats count() as n\n"
                "\\format csv\n* | stats count() as n \\\n by level | limit 1\n")
        for where in (["--url", self.server.url], ["--data-dir", self.copied]):
            r = self.ok("shell", *where, stdin=text)
            self.assertEqual(r.out, "count\n   50\n n\n17\nlevel,n\r\ndebug,10\r\n", r)
            self.assertEqual(r.err, "")

    def test_the_first_failure_ends_it(self):
        r = self.ok("shell", "--data-dir", self.copied, code=USAGE,
                    stdin="* | count\n* | nope\n* | count\n")
        self.assertEqual(r.out, "count\n   50\n")
        self.assertEqual(r.err, "fleetlog: there is no pipe 'nope' (at byte 4)\n"
                                "hint: did you mean top?\nnote: stopped at line 2\n")
        r = self.ok("shell", "--data-dir", self.copied, code=USAGE, stdin="\\nope\n* | count\n")
        self.assertEqual((r.out, r.err.splitlines()[-1]), ("", "note: stopped at line 1"))

    def test_the_end_of_the_file(self):
        r = self.ok("shell", "--data-dir", self.copied, stdin="* | count")
        self.assertEqual(r.out, "count\n   50\n")
        r = self.ok("shell", "--data-dir", self.copied, code=USAGE, stdin="(a b\n* | count\n")
        self.assertIn("the parenthesis is never closed", r.err)
        self.assertEqual(self.ok("shell", "--data-dir", self.copied, stdin="").out, "")
        self.assertEqual(self.ok("shell", "--data-dir", self.copied, stdin="\\q\nnope |").out, "")

    def test_options(self):
        r = self.ok("shell", "--data-dir", self.copied, "--format", "ndjson", "--since",
                    "2023-11-14T22:13:40Z", stdin="* | count\n")
        self.assertEqual(r.out, '{"count":30}\n')
        self.refused(USAGE, "shell", "--format", "xml")

    def test_a_directory_completes_too(self):
        env = clean_env(TERM="xterm-256color", HOME=self.dir)
        s = Session("--data-dir", self.copied, env=env)
        s.wait("fleetlog> ")
        s.send("agent:pl\t")
        s.wait("planner ")
        self.assertRegex(s.ask("| count"), r" 17\n")
        self.assertEqual(s.end(), 0)


if __name__ == "__main__":
    unittest.main()
