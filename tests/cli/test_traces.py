"""sessions, cost, agents --tree, the tree of trace, and prices: from a server and a directory."""
import os
import re
import unittest

from clitest import IO, USAGE, BothWays, WithServer, run_in_terminal

T = 1_700_000_000
PRICES = "big*   -           10  1  -  20\nbig-x  2023-11-15  1000 - - 1000\n"


def some_calls():
    entries = [
        {"timestamp": T, "session_id": "s-1", "agent": "lead", "event": "user_prompt",
         "message": "make it faster"},
        {"timestamp": T + 1, "session_id": "s-1", "trace_id": "t1", "span_id": "a", "agent": "lead",
         "kind": "span", "operation": "work", "duration_ms": 8000},
        {"timestamp": T + 2, "session_id": "s-1", "trace_id": "t1", "span_id": "b", "parent_id": "a",
         "agent": "lead", "kind": "span", "operation": "chat", "model": "big-1",
         "tokens": {"input": 100000, "cache_read": 1000000, "output": 50000}, "duration_ms": 1000},
        {"timestamp": T + 4, "session_id": "s-1", "trace_id": "t1", "span_id": "c", "parent_id": "a",
         "agent": "helper", "kind": "span", "tool": "bash", "call_id": "k1", "status": "error",
         "level": "error", "message": "exit status 2", "duration_ms": 4000},
        {"timestamp": T + 4, "session_id": "s-1", "agent": "hook", "tool": "bash", "call_id": "k1"},
        {"timestamp": T + 30, "session_id": "s-2", "agent": "lead", "model": "own",
         "tokens": {"input": 7}},
        {"timestamp": T + 31, "session_id": "s-2", "model": "own", "tokens": {"input": 5},
         "cost_usd": 0.25},
    ]
    return entries


class Insight(BothWays):
    @classmethod
    def prepare(cls):
        with open(os.path.join(cls.server.data_dir, "prices.conf"), "w") as f:
            f.write(PRICES)
        cls.server.ingest(some_calls())

    def test_sessions(self):
        lines = self.both("sessions").lines()
        self.assertEqual(lines[0].split(), ["SESSION", "START", "TOOK", "AGENTS", "ENTRIES", "TOOLS",
                                            "ERRORS", "TOKENS", "COST", "FIRST", "WORDS"])
        self.assertEqual(lines[1].split()[:1], ["s-2"])
        self.assertRegex(lines[2], r"^s-1 +2023-11-14 22:13 +9\.0 s +lead \+2 +5 +1 +1 +1,150,000"
                                   r" +\$3\.0000 +make it faster$")
        rows = self.both("sessions", "--json", "--sort", "cost", "-n", "1").json()
        self.assertEqual([r["session_id"] for r in rows["sessions"]], ["s-1"])
        self.assertEqual(rows["sessions"][0]["agent_names"], ["helper", "hook", "lead"])
        self.assertIn("there are more", self.both("sessions", "-n", "1").err)
        self.assertIn("no sessions", self.both("sessions", "level:critical").err)
        self.assertEqual(len(self.both("sessions", "agent:helper").lines()), 2)
        self.assertEqual(len(self.both("sessions", "--since", str(T + 20)).lines()), 2)

    def test_traces(self):
        lines = self.both("sessions", "--traces").lines()
        self.assertRegex(lines[1], r"^t1 .* work$")

    def test_cost(self):
        lines = self.both("cost").lines()
        self.assertEqual(lines[0].split()[:3], ["AGENT", "CALLS", "INPUT"])
        self.assertRegex(lines[1], r"^lead +2 +100,007 +1,000,000 +0 +50,000 +0 +\$3\.0000 +1$")
        self.assertRegex(lines[2], r"^unattributed +1 +5 .* \$0\.2500 *$")
        self.assertRegex(lines[3], r"^total +3 .* \$3\.2500 +1$")
        by_model = self.both("cost", "--by", "model", "--json").json()
        self.assertEqual([(r["model"], r["cost_usd"], r["unpriced"]) for r in by_model["rows"]],
                         [("big-1", 3, 0), ("own", 0.25, 1)])
        self.assertEqual(by_model["total"]["cost_usd"], 3.25)
        day = self.both("cost", "--by", "day").lines()
        self.assertTrue(day[1].startswith("2023-11-14 "), day)
        self.assertEqual(len(self.both("cost", "--by", "session", "-n", "1").lines()), 3)
        self.assertIn("no calls", self.both("cost", "agent:nobody").err)
        self.refused(USAGE, "cost", "--by", "colour", "--url", self.server.url)

    def test_agents_tree(self):
        lines = self.both("agents", "--tree").lines()
        self.assertEqual(lines[0].split(), ["AGENT", "STARTED", "SESSIONS", "ENTRIES", "ERRORS",
                                            "TOKENS", "COST"])
        self.assertRegex(lines[1], r"^lead +2 +4 +0 +1,150,007 +\$3\.0000$")
        self.assertRegex(lines[2], r"^└─ helper +1 +1 +1 +1 +-$")
        tree = self.both("agents", "--tree", "--json").json()
        self.assertEqual([(a["agent"], a["depth"], a["parent_agent"]) for a in tree["agents"]],
                         [("lead", 0, None), ("helper", 1, "lead"), ("hook", 0, None)])

    def test_trace_tree(self):
        out = self.both("trace", "t1")
        lines = out.lines()
        self.assertRegex(lines[0], "^trace t1  3 entries, 3 spans, 2 agents, 8.0 s, 1 error$")
        self.assertRegex(lines[1], r"^began 2023-11-14T22:13:21\.000Z +took +tokens +cost$")
        self.assertRegex(lines[2], r"\+0\.000s \* ✓ lead  work +8\.0 s +1,150,000 +\$3\.0000$")
        self.assertRegex(lines[3], r"\+1\.000s \* ├─ ✓ lead  chat +1\.0 s +1,150,000 +\$3\.0000")
        self.assertRegex(lines[4], r"\+3\.000s \* └─ ✗ helper  bash +4\.0 s +exit status 2")
        self.assertEqual(lines[5], "* critical path, most of it in bash 4.0 s, work 3.0 s, chat 1.0 s")
        spans = self.both("trace", "t1", "--json").json()["spans"]
        self.assertEqual([s["depth"] for s in spans], [0, 1, 1])

    def test_widths(self):
        for columns in (80, 120):
            for args in (["sessions"], ["cost"], ["agents", "--tree"], ["trace", "t1"]):
                code, out = run_in_terminal(*args, "--url", self.server.url, columns=columns)
                self.assertEqual(code, 0)
                self.assertIn("\x1b[", out)
                plain = re.sub("\x1b\\[[0-9;]*m", "", out)
                self.assertLessEqual(max(map(len, plain.splitlines())), columns, plain)


class Prices(WithServer):
    server_entries = [{"timestamp": T, "agent": "a", "model": "m", "tokens": {"input": 1000000}}]

    def test_a_bad_table_is_named_at_the_start(self):
        bad = self.path("p.conf", "# first\nm - 1 2\n")
        r = self.refused(USAGE, "serve", "--data-dir", self.path("d"), "--prices",
                         bad)
        self.assertIn("p.conf: line 2: the line ends before the price of 'cache_write'", r.err)
        self.assertIn("hint: columns:", r.err)
        r = self.refused(IO, "serve", "--data-dir", self.path("d"), "--prices", self.path("none"))
        self.assertIn("onboard", r.err)

    def test_a_bad_table_beside_a_directory_costs_the_prices_alone(self):
        self.server.stop()
        path = os.path.join(self.server.data_dir, "prices.conf")
        with open(path, "w") as f:
            f.write("m - x\n")
        r = self.ok("cost", "--data-dir", self.server.data_dir)
        self.assertIn("without prices: ", r.err)
        self.assertIn("line 1: a price must be a number", r.err)
        self.assertRegex(r.lines()[1], r"^a +1 .* - +1$")
        os.unlink(path)
        self.server.start()

    def test_onboard_writes_one(self):
        d = self.path("d")
        self.assertIn("prices.conf", self.ok("onboard", "--data-dir", d).out)
        with open(os.path.join(d, "prices.conf")) as f:
            self.assertIn("US dollars for a million tokens", f.read())
        with open(os.path.join(d, "prices.conf"), "w") as f:
            f.write("# mine\n")
        self.ok("onboard", "--data-dir", d, "--force")
        with open(os.path.join(d, "prices.conf")) as f:
            self.assertEqual(f.read(), "# mine\n")


if __name__ == "__main__":
    unittest.main()
