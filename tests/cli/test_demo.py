"""demo: the invented fleet and replays of recorded runs."""
import json
import os
import re
import signal
import subprocess
import unittest

from clitest import BIN, DONE, NONE, USAGE, CliTest, WithServer, clean_env, run, run_in_terminal
from fleetlog import wait_until

TAU = [{"task_id": 3, "reward": 1.0, "trial": 0, "traj": [
    {"role": "system", "content": "Be kind."}, {"role": "user", "content": "Book a flight."},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "call_1", "type": "function",
         "function": {"name": "find_flight", "arguments": "{\"to\": \"SEA\"}"}}]},
    {"role": "tool", "tool_call_id": "call_1", "name": "find_flight", "content": "Error: none"},
    {"role": "assistant", "content": "There is none, sorry."}]}]
INTERCODE = {"meta": {"env": "sql"}, "logs": {"0": {
    "environment": "ic_sql", "task_id": 7, "query": "How many?",
    "turn_history": {"actions": ["SELECT 1", "SELECT 2"], "observations": ["Error: x", "[(2,)]"],
                     "rewards": [0.0, 1.0]}}}}
SWE = {"trajectory": [{"thought": "Look.", "action": "ls", "observation": "README"}],
       "info": {"submission": "diff --git"}, "environment": "main"}
CLAUDE = [{"type": "user", "sessionId": "s1", "message": {"role": "user", "content": "Hello"}},
          {"type": "assistant", "sessionId": "s1", "message": {"role": "assistant", "content": [
              {"type": "text", "text": "Hi."},
              {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}]}},
          {"type": "user", "sessionId": "s1", "message": {"role": "user", "content": [
              {"type": "tool_result", "tool_use_id": "t1", "content": "README"}]}},
          {"type": "summary", "summary": "odd"}]


class Replay(WithServer):
    def entries(self, session):
        return [json.loads(line) for line in
                self.at("export", "session=\"%s\"" % session, "--format", "ndjson").lines()][::-1]

    def test_known_shapes(self):
        files = [self.path("tau.json", json.dumps(TAU)), self.path("ic.json", json.dumps(INTERCODE)),
                 self.path("run.traj", json.dumps(SWE)),
                 self.path("s.jsonl", "42\n\"odd\"\n" + "\n".join(map(json.dumps, CLAUDE)) + "\n")]
        out = self.at("demo", "--speed", "1000", "--replay", *files, timeout=60).out
        self.assertIn(self.server.url, out)
        tau = self.entries("task-3-0")
        self.assertEqual([e["event"] for e in tau],
                         ["system_prompt", "user_message", "tool_call", "tool_result",
                          "assistant_message", "reward"])
        self.assertEqual((tau[2]["tool"], tau[2]["call_id"]), ("find_flight", "call_1"))
        self.assertEqual((tau[3]["level"], tau[3]["status"]), ("error", "error"))
        self.assertEqual([e["event"] for e in self.entries("ic_sql-7")],
                         ["user_message", "tool_call", "tool_result", "tool_call", "tool_result",
                          "reward"])
        self.assertEqual([e["event"] for e in self.entries("swe-agent")],
                         ["thought", "tool_call", "tool_result", "submission"])
        self.assertEqual([e["event"] for e in self.entries("s1")],
                         ["user_message", "assistant_message", "tool_call", "tool_result"])

    def test_unknown_files(self):
        for text in ("", "{}", "[]", "just text\n", '{"a": 1}\n{"b": 2}\n'):
            r = run("demo", "--replay", self.path("x", text), "--url", self.server.url)
            self.assertEqual(r.code, USAGE, (text, r))
        self.refused(74, "demo", "--replay", self.path("none"), "--url", self.server.url)
        self.refused(USAGE, "demo", "--replay", "--url", self.server.url)


class Play(CliTest):
    def play(self, name, *args, until):
        """What there is when enough was played for `until`, however long that takes here."""
        data = self.path(name)
        p = subprocess.Popen([BIN, "demo", "--port", "0", "--data-dir", data, "--speed", "20", *args],
                             env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             text=True)
        try:
            url = next(line.split()[1] for line in p.stdout if line.startswith("  open "))
            wait_until(lambda: until(self.entries("--url", url.rstrip("/"))), 60, "enough of a play")
        finally:
            p.send_signal(signal.SIGINT)
            p.communicate(timeout=60)
        self.assertEqual(p.returncode, 0)
        return self.entries("--data-dir", data)

    def entries(self, *where):
        r = run("export", *where, "--format", "ndjson")
        self.assertIn(r.code, (DONE, NONE), r)
        return [json.loads(line) for line in r.lines()][::-1]

    def kinds(self, entries):
        return {e.get("kind", "log") for e in entries}

    def tools(self, entries):
        return {e["tool"] for e in entries if "tool" in e}

    def test_a_believable_fleet(self):
        tools = {"bash", "read_file", "web_search"}
        kinds = {"span", "span_start", "span_end", "log"}
        entries = self.play("a", "--seed", "11", until=lambda entries: (
            len(entries) > 100 and tools <= self.tools(entries) and kinds <= self.kinds(entries) and
            any(e["level"] == "error" for e in entries) and
            any("model" in e and e.get("kind") == "span" for e in entries)))
        self.assertLessEqual({"planner", "coder", "researcher", "reviewer"},
                             {e["agent"] for e in entries})
        self.assertLessEqual(kinds, self.kinds(entries))
        self.assertLessEqual(tools, self.tools(entries))
        spans = {e["span_id"] for e in entries if "span_id" in e}
        parents = {e["parent_id"] for e in entries if "parent_id" in e}
        self.assertLessEqual(parents, spans)
        model = [e for e in entries if "model" in e and e.get("kind") == "span"][0]
        self.assertGreater(model["tokens.input"], 0)
        self.assertGreater(model["cost_usd"], 0)
        self.assertTrue(any(e["level"] == "error" for e in entries))

    def test_one_seed_one_play(self):
        a, b, c = (self.play(n, "--seed", s, until=lambda entries: len(entries) > 50)
                   for n, s in (("a", "5"), ("b", "5"), ("c", "6")))
        traces = sorted({e["trace_id"] for e in a})
        self.assertTrue({e["trace_id"] for e in b} & set(traces))
        self.assertFalse({e["trace_id"] for e in c} & set(traces))
        both = {e["trace_id"] for e in a} & {e["trace_id"] for e in b}
        first = {(e["trace_id"], e["message"]) for e in a if e.get("event") == "user_message"}
        again = {(e["trace_id"], e["message"]) for e in b if e.get("event") == "user_message"}
        self.assertEqual({x for x in first if x[0] in both}, {x for x in again if x[0] in both})

    def test_on_a_terminal_and_leaving_nothing(self):
        env = dict(os.environ, TMPDIR=self.dir, TERM="xterm", LC_ALL="C.UTF-8")
        code, out = run_in_terminal("demo", "--port", "0", "--duration", "2", env=env)
        self.assertEqual(code, 0, out)
        self.assertRegex(out, r"open\s+\S*http://127\.0\.0\.1:\d+")
        self.assertRegex(re.sub(r"\x1b\[[\d;]*m", "", out), r"▶ [\d,]+ entr(y|ies), \d+ errors? resolved, \d")
        counts = re.findall(r"([\d,]+) (entry|entries|error|errors)\b", out)
        self.assertEqual([c for c in counts if (c[0] == "1") != (c[1] in ("entry", "error"))], [])
        self.assertEqual(os.listdir(self.dir), [])


if __name__ == "__main__":
    unittest.main()
