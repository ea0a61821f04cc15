"""patterns and anomalies from a server and from a directory, alike; issues of a server."""
import csv
import io
import json

from clitest import DONE, NONE, USAGE, BothWays, WithServer, run, run_in_terminal


def entries():
    start = 1_700_000_000
    got = [{"timestamp": start + 60 * i, "agent": "coder", "level": "info", "tool": "bash",
            "message": "step %d took %d ms" % (i, 7 * i), "duration_ms": 100} for i in range(40)]
    got += [{"timestamp": start + 1800 + i, "agent": "coder", "level": "error",
             "message": "cannot open job_7f%da" % i} for i in range(12)]
    got.append({"timestamp": start + 1900, "agent": "svc", "level": "warn", "message": "odd one"})
    return got


class Patterns(BothWays):
    entries = entries()

    def test_text(self):
        lines = self.both("patterns").lines()
        self.assertEqual(len(lines), 4)
        self.assertTrue(lines[0].startswith("count   share  level     new  last"))
        at = lines[0].index("pattern")
        self.assertEqual([line[at:] for line in lines[1:]],
                         ["step <int> took <int> ms", "cannot open <text>", "odd one"])
        self.assertEqual(lines[1].split()[:2], ["40", "75.5%"])
        self.assertNotIn("\x1b", "".join(lines))

    def test_options(self):
        self.assertEqual(len(self.both("patterns", "--limit", "1").lines()), 2)
        got = [json.loads(line) for line in self.both("patterns", "level:error", "--json").lines()]
        self.assertEqual([(p["count"], p["pattern"]) for p in got], [(12, "cannot open <text>")])
        self.assertEqual(self.both("patterns", "--agent", "svc", "--json").lines()[0].count("odd"), 2)
        new = self.both("patterns", "--new", "--since", "2023-11-14T22:43:00Z").lines()
        self.assertEqual([line.split("  ")[-1] for line in new[1:]], ["cannot open <text>", "odd one"])
        self.assertIn("new", new[1].split())
        rows = list(csv.DictReader(io.StringIO(self.both("patterns", "--format", "csv").out)))
        self.assertEqual(rows[0]["pattern"], "step <int> took <int> ms")
        self.assertEqual(self.both("patterns", "agent:nobody").out, "")

    def test_a_terminal(self):
        for columns in (60, 80, 120):
            code, out = run_in_terminal("patterns", "--data-dir", self.copied, columns=columns)[:2]
            self.assertEqual(code, DONE, out)
            plain = [line for line in out.replace("\r", "").split("\n") if line]
            self.assertIn("cannot open <text>", out)
            self.assertEqual(len(plain), 4, out)

    def test_refusals(self):
        self.refused(USAGE, "patterns", "--new", "--data-dir", self.copied)
        self.refused(USAGE, "patterns", "--limit", "0", "--data-dir", self.copied)
        r = run("patterns", "level:eror", "--data-dir", self.copied)
        self.assertNotEqual(r.code, DONE)
        self.assertIn("at byte 6", r.err)
        r = run("patterns", "* | stats count()", "--data-dir", self.copied)
        self.assertIn("whole entries", r.err)


class Anomalies(BothWays):
    entries = entries()
    hour = ("--since", "2023-11-14T22:13:00Z", "--until", "2023-11-14T22:53:20Z")

    def test_text(self):
        out = self.both("anomalies", *self.hour).out
        self.assertIn("Spikes of errors\n", out)
        self.assertIn("Rare messages\n", out)
        spikes = [line.split() for line in out.splitlines() if line.endswith("agent=coder")]
        self.assertIn(["2023-11-14", "22:43:00", "12", "10", "1.2", "seed4", "agent=coder"], spikes)
        self.assertIn("statistical", [s[-2] for s in spikes])

    def test_options(self):
        rows = [json.loads(line) for line in self.both("anomalies", *self.hour, "--by", "tool",
                                                       "--json").lines()]
        self.assertIn("no tool", [r["what"] for r in rows if r["kind"] == "error_spike"])
        rows = [json.loads(line) for line in self.both("anomalies", *self.hour, "--limit", "1",
                                                       "--step", "1m", "--json").lines()]
        kinds = [(r["kind"], r["rule"]) for r in rows]
        self.assertEqual(len(kinds), len(set(kinds)))
        self.refused(USAGE, "anomalies", "--limit", "0", "--data-dir", self.copied)
        self.assertNotEqual(run("anomalies", "--by", "time(5m)", "--data-dir", self.copied).code, 0)


class Issues(WithServer):
    server_entries = [
        {"agent": "coder", "level": "error", "message": "cannot open '/a/b%d'" % i, "tool": "read",
         "session_id": "s-%d" % i} for i in range(3)] + [
        {"agent": "svc", "level": "error", "message": "x", "error_type": "Timeout",
         "stack": "Timeout: x\n    at run (/a/b.js:1:2)"}]

    def listed(self, *args):
        return json.loads(self.at("issues", "list", *args, "--json").out)["issues"]

    def test_list(self):
        out = self.at("issues").out
        self.assertIn("cannot open <text>", out)
        self.assertIn("tool read", out)
        self.assertIn("in run (b.js)", out)
        self.assertNotIn("\x1b", out)
        self.assertEqual([i["title"] for i in self.listed("agent:svc")], ["Timeout: x"])
        self.assertEqual(len(self.listed("--limit", "1", "--sort", "count")), 1)
        self.assertEqual(self.listed("--since", "now-1h", "--until", "now-30m"), [])

    def test_states(self):
        issue = self.listed("tool:read")[0]["id"]
        out = self.at("issues", "resolve", issue, "--by", "ana", "--note", "done").out
        self.assertEqual(out, "1 issue changed, now resolved.\n")
        self.assertNotIn(issue, self.at("issues").out)
        self.assertIn(issue, self.at("issues", "list", "--state", "resolved").out)
        shown = self.at("issues", "show", issue).out
        for part in ("resolved", "by ana: done", "coder 3", "cannot open <text>"):
            self.assertIn(part, shown)
        self.at("issues", "reopen", issue, "--by", "bo")
        self.at("issues", "ignore", issue, "--by", "bo", "--until", "now+1d", "--count", "5")
        got = json.loads(self.at("issues", "show", issue, "--json").out)
        self.assertEqual((got["state"], got["change"]["count"], len(got["history"])),
                         ("ignored", 5, 3))
        self.at("issues", "reopen", issue, "--by", "bo")
        r = self.at("issues", "resolve", 16 * "0", "--by", "ana", code=NONE)
        self.assertIn("no issue has the id", r.err)

    def test_a_terminal(self):
        for columns in (60, 100):
            code, out = run_in_terminal("issues", "--url", self.server.url, columns=columns)[:2]
            self.assertEqual(code, DONE, out)
            self.assertIn("\x1b[", out)

    def test_refusals(self):
        url = ("--url", self.server.url)
        for args in (("frob",), ("show",), ("resolve", "--by", "a"), ("ignore", "--by", "a"),
                     ("resolve", 16 * "0", "--by", "a", "--count", "5"), ("list", "--state", "shut"),
                     ("list", "--sort", "x")):
            self.refused(USAGE, "issues", *args, *url)
        self.assertNotEqual(run("issues", "list", "level:eror", *url).code, 0)
        self.assertNotEqual(run("issues", "resolve", "zz", "--by", "a", *url).code, 0)
        r = run("issues", "show", 16 * "0", *url)
        self.assertEqual(r.code, NONE)
        self.assertNotEqual(run("issues", "--data-dir", self.dir).code, 0)


if __name__ == "__main__":
    import unittest
    unittest.main()
