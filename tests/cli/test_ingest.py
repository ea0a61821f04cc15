"""ingest: formats, compression, refusals, waiting, following, a big file with its progress bar."""
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import unittest

from clitest import (BIN, DATA, IO, UNREACHABLE, USAGE, WithServer, clean_env, run, run_in_terminal,
                     some_entries)
from fleetlog import Server, free_port, wait_until


def ndjson(entries):
    return "".join(json.dumps(e) + "\n" for e in entries)


class Ingest(WithServer):
    def setUp(self):
        super().setUp()
        self.word = "w%d" % time.monotonic_ns()  # marks the entries of this test

    def entries(self, n=10):
        return [dict(e, message=e["message"] + " " + self.word) for e in some_entries(n)]

    def stored(self, extra=""):
        out = self.at("export", "%s %s" % (self.word, extra), "--format", "ndjson").lines()
        return [json.loads(line) for line in out]

    def summary(self, r, accepted, rejected=0):
        self.assertRegex(r.out, r"^Accepted %s, rejected %s " % (format(accepted, ","),
                                                              format(rejected, ",")))

    def test_ndjson_from_a_file_and_a_pipe(self):
        path = self.path("a.ndjson", ndjson(self.entries()))
        self.summary(self.at("ingest", path), 10)
        self.summary(self.at("ingest", stdin=ndjson(self.entries(5))), 5)
        self.summary(self.at("ingest", "-", stdin=ndjson(self.entries(3)).rstrip("\n")), 3)
        self.assertEqual(len(self.stored()), 18)

    def test_json_arrays_and_pretty_values(self):
        for text in (json.dumps(self.entries(4)), json.dumps(self.entries(4), indent=2),
                     "\n\n [\n" + ",\n".join(json.dumps(e, indent=1) for e in self.entries(4)) + "]\n",
                     "\n".join(json.dumps(e, indent=4) for e in self.entries(4))):
            before = len(self.stored())
            self.summary(self.at("ingest", self.path("x.json", text)), 4)
            self.assertEqual(len(self.stored()), before + 4)
        self.summary(self.at("ingest", self.path("e.json", "[]")), 0)
        self.summary(self.at("ingest", self.path("e.json", "")), 0)
        strange = {"message": "quotes \" \\ ] } , { [ " + self.word, "x": ["]", {"}": "\\\""}]}
        self.summary(self.at("ingest", "--format", "json", stdin=json.dumps([strange])), 1)
        self.assertEqual(self.stored("quotes")[0]["attributes"]["x"], strange["x"])

    def test_text_lines(self):
        text = "first %s\n\nsecond %s with \x1b[31mcolour\r\n[2026-11-21] third %s" % ((self.word,) * 3)
        self.summary(self.at("ingest", "--agent", "printer", stdin=text), 3)
        got = self.stored("agent:printer")
        self.assertEqual(len(got), 3)
        self.assertIn("second %s with \x1b[31mcolour" % self.word, [e["message"] for e in got])
        self.summary(self.at("ingest", "--format", "text", stdin='{"message": "%s"}\n' % self.word), 1)
        self.summary(self.at("ingest", stdin="[12:30:01] a log line, no array %s\n" % self.word), 1)

    def test_compressed(self):
        body = ndjson(self.entries(6)).encode()
        self.summary(self.at("ingest", self.path("a.gz", gzip.compress(body))), 6)
        members = gzip.compress(body[:700]) + gzip.compress(body[700:])
        self.summary(self.at("ingest", self.path("no-suffix", members)), 6)
        if shutil.which("zstd"):
            z = subprocess.run(["zstd", "-c"], input=body, stdout=subprocess.PIPE).stdout
            self.summary(self.at("ingest", stdin=z), 6)
        r = self.ok("ingest", self.path("cut.gz", gzip.compress(body)[:-20]), "--url", self.server.url,
                    code=DATA)
        self.assertIn("compressed data", r.err)

    def test_refused_entries_are_named_by_line(self):
        lines = [json.dumps(e) for e in self.entries(2300)]
        lines[3] = '{"message": '
        lines[1500] = "not json"
        lines.insert(10, "")
        r = self.at("ingest", self.path("bad.ndjson", "\n".join(lines)), code=DATA)
        self.summary(r, 2298, 2)
        self.assertRegex(r.err, r"bad\.ndjson:4: ")
        self.assertRegex(r.err, r"bad\.ndjson:1502: ")
        r = self.at("ingest", "--json", self.path("all-bad.ndjson", "{x\n{y\n{z}\n"), code=DATA)
        doc = r.json()
        self.assertEqual((doc["accepted"], doc["rejected"]), (0, 3))
        self.assertEqual([e["line"] for e in doc["errors"]], [1, 2, 3])

    def test_an_endless_line_is_skipped_whole(self):
        text = "%s short\n%s\n%s last\n" % (self.word, "x" * (9 << 20), self.word)
        r = self.at("ingest", "--format", "text", stdin=text, code=DATA)
        self.summary(r, 2, 1)
        self.assertIn("standard input:2: longer than 8 MiB", r.err)

    def test_agent_for_those_that_name_none(self):
        self.at("ingest", "--agent", "fallback & co", stdin=ndjson(
            [{"message": self.word}, {"message": self.word, "agent": "own"}]))
        self.assertEqual({e["agent"] for e in self.stored()}, {"fallback & co", "own"})

    def test_wrong_files_cost_nothing(self):
        good = self.path("good.ndjson", ndjson(self.entries()))
        self.refused(IO, "ingest", good, self.path("none"), "--url", self.server.url)
        self.refused(USAGE, "ingest", self.dir, "--url", self.server.url)
        self.assertEqual(self.stored(), [])

    def test_a_byte_order_mark_is_no_text(self):
        mark, line = b"\xef\xbb\xbf", b'{"agent":"bom","message":"json"}\n'
        for name, data in (("l.ndjson", mark + line * 2), ("a.json", mark + b"[" + line + b"]"),
                           ("z.gz", gzip.compress(mark + line)), ("t.log", mark + b"plain bom\n")):
            path = os.path.join(self.dir, name)
            with open(path, "wb") as f:
                f.write(data)
            self.ok("ingest", "-q", path, "--url", self.server.url)
        rows = [json.loads(x) for x in self.at("search", "agent:bom", "--format", "ndjson").lines()]
        self.assertEqual([r["message"] for r in rows], ["json"] * 4)
        self.assertEqual(len(self.at("search", 'message="plain bom"').lines()), 1)

    def test_needs_a_server(self):
        self.refused(UNREACHABLE, "ingest", "--data-dir", self.dir, stdin="x\n")

    def test_through_the_lock_of_a_directory(self):
        self.ok("ingest", "--data-dir", self.server.data_dir, stdin=ndjson(self.entries(2)))
        self.assertEqual(len(self.stored()), 2)

    def test_waits_for_a_server_that_comes_up_late(self):
        port = free_port()
        late = Server(port=port)
        starter = threading.Timer(1, late.start)
        starter.start()
        try:
            r = run("ingest", "--url", late.url, stdin=ndjson(self.entries(3)))
            self.assertEqual(r.code, 0, r)
            self.summary(r, 3)
            self.assertIn("trying again", r.err)
        finally:
            starter.join()
            late.close()

    def test_big_file_with_a_progress_bar(self):
        path = self.path("big.ndjson")
        with open(path, "w") as f:
            for i in range(150_000):
                f.write('{"agent":"bulk","message":"entry %d of a big import %s","n":%d}\n'
                        % (i, self.word, i))
        server = self.server.process
        server.send_signal(signal.SIGSTOP)  # until the bar is there, however fast this machine
        self.addCleanup(server.send_signal, signal.SIGCONT)
        code, shown = run_in_terminal(
            "ingest", path, "--url", self.server.url, timeout=240,
            watch=lambda shown: "importing" in shown and server.send_signal(signal.SIGCONT))
        self.assertEqual(code, 0, shown[-500:])
        self.assertRegex(shown, r"importing [━─]+ +\d+%  [\d.]+ MiB  [\d,]+ entries  [\d,]+/s")
        self.assertRegex(shown, r"ETA \d+")
        last = shown.rsplit("\x1b[2K", 1)[1]
        self.assertRegex(last, r"^Accepted 150,000, rejected 0 ")
        count = self.at("search", "%s | stats count() as n" % self.word, "--format", "ndjson").json()
        self.assertEqual(count["n"], 150_000)

    def test_quiet_and_no_bar_in_a_pipe(self):
        path = self.path("a.ndjson", ndjson(self.entries(2000)))
        r = self.at("ingest", path, "--quiet")
        self.assertEqual((r.out, r.err), ("", ""))


class Follow(WithServer):
    def start(self, *args):
        p = subprocess.Popen([BIN, "ingest", "--follow", "--url", self.server.url] + list(args),
                             env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(lambda: p.poll() is None and p.kill())
        return p

    def messages(self):
        out = self.at("export", "--format", "ndjson").lines()
        return {json.loads(line)["message"] for line in out}

    def reaches(self, *messages):
        wait_until(lambda: set(messages) <= self.messages(), 30, "entries %s" % (messages,))

    def test_grow_rename_truncate(self):
        path = self.path("agent.log", "one\n")
        p = self.start(path)
        self.reaches("one")
        with open(path, "a") as f:
            f.write("two\nthr")
            f.flush()
            self.reaches("two")
            self.assertNotIn("thr", self.messages())
            f.write("ee\n")
        self.reaches("three")
        os.rename(path, path + ".1")
        self.path("agent.log", "four\n")
        self.reaches("four")
        with open(path, "w") as f:  # truncated in place
            f.write("5\n")
        self.reaches("5")
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=20)
        self.assertEqual((p.returncode, err), (0, b""))
        self.assertIn(b"Accepted 5, rejected 0", out)

    def test_from_the_end(self):
        path = self.path("old.log", "old news\n")
        p = self.start(path, "--from", "end")
        deadline = time.monotonic() + 20
        while "fresh news" not in self.messages() and time.monotonic() < deadline:
            with open(path, "a") as f:
                f.write("fresh news\n")
            time.sleep(0.1)
        self.assertIn("fresh news", self.messages())
        self.assertNotIn("old news", self.messages())
        p.send_signal(signal.SIGTERM)
        self.assertEqual(p.wait(20), 0)
        p.communicate()


if __name__ == "__main__":
    unittest.main()
