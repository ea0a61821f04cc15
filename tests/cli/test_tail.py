"""tail: history, live entries, filters, resuming after a break, ending."""
import json
import signal
import subprocess
import threading
import unittest

from clitest import BIN, USAGE, WithServer, clean_env, run, some_entries
from fleetlog import Server, wait_until


class Tailing:
    """A running tail; `lines` grows."""

    def __init__(self, test, *args):
        self.process = subprocess.Popen([BIN, "tail"] + list(args), env=clean_env(),
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines, self.notes = [], []
        self.readers = [threading.Thread(target=self.read, args=a, daemon=True) for a in
                        ((self.process.stdout, self.lines), (self.process.stderr, self.notes))]
        for t in self.readers:
            t.start()
        test.addCleanup(self.end)

    def read(self, stream, into):
        for line in stream:
            into.append(line.decode().rstrip("\n"))
        stream.close()

    def wait(self, text, seconds=20):
        return wait_until(lambda: any(text in line for line in self.lines), seconds,
                          "%r in %r %r" % (text, self.lines[-5:], self.notes))

    def end(self, sig=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        for t in self.readers:
            t.join(10)
        return code


class Tail(WithServer):
    server_entries = some_entries(20)

    def tail(self, *args):
        return Tailing(self, "--url", self.server.url, *args)

    def say(self, message, **more):
        self.server.ingest([dict({"agent": "coder", "message": message}, **more)])

    def settle(self, tail, **more):
        """Says things until the tail shows one: then it is listening."""
        n = [0]

        def heard():
            n[0] += 1
            self.say("hello %d" % n[0], **more)
            return any("hello" in line for line in tail.lines)
        wait_until(heard, 20, "tail shows something")

    def test_history_then_live(self):
        t = self.tail("-n", "3", "step")
        t.wait("step 19")
        self.assertEqual([line.split("step ")[1].split()[0] for line in t.lines[:3]],
                         ["17", "18", "19"])
        self.say("a live step")
        t.wait("a live step")
        self.assertEqual(len(t.lines), 4)  # nothing twice
        self.assertEqual(t.end(), 0)
        self.assertEqual(t.notes, [])

    def test_filters(self):
        t = self.tail("-n", "0", "--agent", "cod*", "--level", "warn", "--pattern", "h.llo")
        self.settle(t, level="error")
        self.say("hello, but too mild", level="info")
        self.say("hello from elsewhere", level="error", agent="planner")
        self.say("other words", level="error")
        self.say("hello last", level="critical")
        t.wait("hello last")
        self.assertFalse([x for x in t.lines if "mild" in x or "elsewhere" in x or "other" in x])

    def test_json_lines(self):
        t = self.tail("-n", "1", "--json")
        self.settle(t)
        for line in list(t.lines):
            self.assertIn("seq", json.loads(line))

    def test_timeout_ends_it(self):
        r = run("tail", "-n", "0", "--timeout", "0.3", "--url", self.server.url)
        self.assertEqual((r.code, r.out, r.err), (0, "", ""))

    def test_control_characters_are_shown_not_obeyed(self):
        t = self.tail("-n", "0")
        self.settle(t)
        self.say("evil \x1b]0;title\x07 \x9b31m \u202e \r end", agent="a\x1b[2J")
        t.wait("end")
        line = [x for x in t.lines if "evil" in x][0]
        for c in "\x1b\x07\x9b\u202e\r":
            self.assertNotIn(c, line)
        self.assertIn("\\x1b]0;title\\x07", line)

    def test_refused(self):
        self.refused(USAGE, "tail", "-n", "0", "level:error | stats count()", "--url", self.server.url)
        self.refused(USAGE, "tail", "(", "--url", self.server.url)
        self.refused(USAGE, "tail", "| count", "--url", self.server.url)  # nor is a past shown

    def test_a_closed_pipe_ends_it_quietly(self):
        p = subprocess.run("'%s' tail -n 20 --url %s --timeout 20 | head -n 1"
                           % (BIN, self.server.url), shell=True, env=clean_env(),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(p.stderr, b"")
        self.assertEqual(p.stdout.count(b"\n"), 1)


class Break(WithServer):
    def test_resumes_without_a_gap_or_a_double(self):
        t = Tailing(self, "--json", "-n", "5", "--url", self.server.url)
        self.server.ingest([{"message": "before %d" % i} for i in range(5)])
        t.wait("before 4")
        self.server.stop()
        self.server.start()
        self.server.ingest([{"message": "meanwhile %d" % i} for i in range(5)])
        t.wait("meanwhile 4", 30)
        self.server.ingest([{"message": "after"}])
        t.wait("after")
        seqs = [json.loads(line)["seq"] for line in t.lines]
        self.assertEqual(seqs, sorted(set(seqs)))
        self.assertEqual(len(seqs), 11)
        self.assertTrue(any("taking it up again" in n for n in t.notes))
        self.assertEqual(t.end(signal.SIGTERM), 0)


class Directory(unittest.TestCase):
    def test_nothing_more_will_come(self):
        server = Server()
        server.start()
        try:
            server.ingest(some_entries(5))
            server.stop()
            r = run("tail", "-n", "2", "--data-dir", server.data_dir)
            self.assertEqual((r.code, len(r.lines())), (0, 2), r)
            self.assertIn("no server holds", r.err)
        finally:
            server.close()


if __name__ == "__main__":
    unittest.main()
