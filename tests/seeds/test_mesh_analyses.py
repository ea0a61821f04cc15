"""The eight analyses of the MCP Mesh logging guide, each as the one query or command that
docs/recipes.md names, asked about two days of a generated mesh and compared with what plain Python
makes of the same lines."""
import json
import os
import re
import statistics
import subprocess
import tempfile
import unittest
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone

import mesh
from fleetlog import BIN, Server, wait_until

PAGE = os.path.join(os.environ.get("FLEETLOG_SOURCE", "."), "docs", "recipes.md")
START, END = mesh.END - timedelta(hours=24), mesh.END


def recipe(n):
    """the queries and the shell lines below the n-th heading"""
    with open(PAGE, encoding="utf-8") as f:
        text = re.search(r"^## %d\. .*?(?=^## )" % n, f.read(), re.M | re.S).group(0)
    return (re.findall(r"^```query\n(.*?)\n```$", text, re.M | re.S),
            re.findall(r"^```sh\n(.*?)\n```$", text, re.M | re.S))


def when(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def percentile(values, q):
    """between two values in proportion"""
    v = sorted(values)
    at = q / 100 * (len(v) - 1)
    low = int(at)
    high = min(low + 1, len(v) - 1)
    return v[low] + (v[high] - v[low]) * (at - low)


def level_of(row):
    return row["level"].lower().replace("warning", "warn")


class TestMesh(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.all = mesh.rows(seed=11, hours=48)
        cls.rows = [r for r in cls.all if when(r["timestamp"]) >= START]
        cls.server = Server()
        cls.server.start()
        for i in range(0, len(cls.all), 5000):
            cls.server.ingest(cls.all[i:i + 5000])

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def ask(self, query, start=START, end=END):
        r = self.server.get("/api/v1/query", query={
            "q": query, "start": start.isoformat(), "end": end.isoformat(), "format": "ndjson"})
        self.assertEqual(r.status, 200, r)
        return r.ndjson()

    def of(self, agent, rows=None):
        return [r for r in rows or self.rows if r["agent"]["name"] == agent]

    def errors(self, rows=None):
        return [r for r in rows or self.rows if r["level"] == "ERROR"]

    def test_1_by_trace(self):
        traces = defaultdict(list)
        for r in self.rows:
            if "trace" in r:
                traces[r["trace"]["trace_id"]].append(r)
        trace = max(traces, key=lambda t: (len(traces[t]), t))
        self.assertGreater(len(traces[trace]), 8)
        self.assertGreater(len({r["agent"]["name"] for r in traces[trace]}), 2)
        query = recipe(1)[0][0]
        self.assertIn("trace:4bf92f3577b34da6a3ce929d0e0e4736", query)
        got = self.ask(query.replace("4bf92f3577b34da6a3ce929d0e0e4736", trace))
        self.assertEqual([(when(r["timestamp"]), r["agent"], r["level"], r["message"]) for r in got],
                         [(when(r["timestamp"]), r["agent"]["name"], level_of(r), r["msg"])
                          for r in traces[trace]])

    def test_2_errors_of_an_agent_by_type_and_hour(self):
        want = Counter((r["exception"]["type"], r["timestamp"][:13])
                       for r in self.errors(self.of("payment-agent")))
        got = self.ask(recipe(2)[0][0])
        self.assertEqual({(r["error_type"], r["time"][:13]): r["n"] for r in got}, dict(want))
        self.assertGreater(len(want), 30)

    def test_3_request_patterns(self):
        patterns, slowest = recipe(3)[0]
        groups = defaultdict(list)
        requests = [r for r in self.rows if "request" in r]
        for r in requests:
            groups[(r["agent"]["name"], r["request"]["method"])].append(r["request"])
        got = {(r["agent"], r["request.method"]): r for r in self.ask(patterns)}
        self.assertEqual(set(got), set(groups))
        for key, mine in groups.items():
            failed = sum(x["status"] == "error" for x in mine)
            self.assertEqual((got[key]["requests"], got[key]["failed"]), (len(mine), failed))
            self.assertAlmostEqual(got[key]["avg_ms"], statistics.fmean(x["duration_ms"] for x in mine), 6)
            self.assertAlmostEqual(got[key]["error_rate"], round(failed / len(mine), 3), 9)
        want = sorted(requests, key=lambda r: -r["request"]["duration_ms"])[:10]
        self.assertTrue(slowest.endswith(" | head 2"))
        got = self.ask(slowest[:-len(" | head 2")])
        self.assertEqual([(r["request.method"], r["request.duration_ms"], r["trace"]) for r in got],
                         [(r["request"]["method"], r["request"]["duration_ms"], r["trace"]["trace_id"])
                          for r in want])

    def thresholds(self, start):
        """what the guide's program reports, for each agent"""
        rows = self.errors([r for r in self.all if when(r["timestamp"]) >= start])
        minutes = Counter((r["agent"]["name"], r["timestamp"][:16]) for r in rows)
        texts = defaultdict(set)
        for r in rows:
            texts[r["agent"]["name"]].add(r["exception"]["message"])
        return ({(a, t, n) for (a, t), n in minutes.items() if n > 10},
                {(a, len(x)) for a, x in texts.items() if len(x) > 5})

    def test_4_anomalies(self):
        query = recipe(4)[0][0]
        for start in (START, END - timedelta(hours=4), END - timedelta(hours=1)):
            spikes, variety = self.thresholds(start)
            got = self.ask(query, start)
            seed4 = [r for r in got if r["rule"] == "seed4"]
            name = lambda r: r["what"].split("=", 1)[1]
            self.assertEqual({(name(r), r["time"][:16], r["observed"]) for r in seed4
                              if r["kind"] == "error_spike"}, spikes, start)
            self.assertEqual({(name(r), r["observed"]) for r in seed4 if r["kind"] == "error_variety"},
                             variety, start)
        self.assertEqual(len(self.thresholds(START)[0]), 1)
        got = {(r["kind"], r["what"]) for r in self.ask(query) if r["rule"] == "statistical"}
        self.assertIn(("error_spike", "agent=payment-agent"), got)
        self.assertIn(("silence", "agent=archive-agent"), got)
        # rare messages: two at most of a text without its numbers
        kinds = Counter(re.sub(r"\d+", "0", r["msg"]) for r in self.rows)
        rare = self.ask("* | anomalies 500 | where kind:rare_message rule:seed4")
        self.assertEqual(sorted(r["observed"] for r in rare), sorted(n for n in kinds.values() if n <= 2))

    def test_5_percentiles_and_slowest(self):
        table, alone = recipe(5)[0]
        groups = defaultdict(list)
        for r in self.rows:
            if "metrics" in r:
                groups[(r["agent"]["name"], r["request"]["method"])].append(r["metrics"]["duration_ms"])
        got = self.ask(table)
        order = sorted(groups, key=lambda k: -max(groups[k]))
        self.assertEqual([(r["agent"], r["request.method"]) for r in got], order)
        for r in got:
            mine = groups[(r["agent"], r["request.method"])]
            self.assertEqual((r["n"], r["slowest"]), (len(mine), max(mine)))
            for q in (50, 95, 99):
                self.assertAlmostEqual(r["p%d" % q], percentile(mine, q), 6)
        mine = [x for (a, _), v in groups.items() if a == "payment-agent" for x in v]
        got = self.ask(alone)[0]
        for q in (50, 95, 99):
            self.assertAlmostEqual(got["p%d" % q], percentile(mine, q), 6)

    def test_6_export(self):
        (raw,), (command,) = recipe(6)
        mine = self.errors(self.of("payment-agent"))[::-1]
        with tempfile.TemporaryDirectory() as d:
            # the line as it stands, but for the day
            line = command.replace("--since 24h", "--since %s --until %s" %
                                   (START.strftime("%FT%TZ"), END.strftime("%FT%TZ")))
            self.assertNotEqual(line, command)
            env = dict(os.environ, FLEETLOG_URL=self.server.url,
                       PATH=os.path.dirname(BIN) + ":" + os.environ["PATH"])
            p = subprocess.run(line, shell=True, cwd=d, env=env, capture_output=True, text=True)
            self.assertEqual(p.returncode, 0, p)
            with open(os.path.join(d, "errors.ndjson"), encoding="utf-8") as f:
                got = [json.loads(x) for x in f]
        self.assertGreater(len(mine), 100)  # more than a search shows
        self.assertEqual([(when(r["timestamp"]), r["message"], r["error_type"], r["trace_id"]) for r in got],
                         [(when(r["timestamp"]), r["msg"], r["exception"]["type"], r["trace"]["trace_id"])
                          for r in mine])
        self.assertTrue(raw.endswith(" | head 1"))
        got = self.ask(raw[:-len("head 1")] + "head 10000")
        self.assertEqual([r["raw"] for r in got], mine)

    def test_7_audit(self):
        table, failures = recipe(7)[0]
        groups = defaultdict(list)
        for r in self.rows:
            if "audit" in r:
                groups[(r["audit"]["user_id"], r["audit"]["action"])].append(r)
        got = self.ask(table)
        self.assertEqual(len(got), len(groups))
        for r in got:
            mine = groups[(r["audit.user_id"], r["audit.action"])]
            failed = sum(x["audit"]["result"] == "failure" for x in mine)
            self.assertEqual((r["n"], r["failed"], when(r["last"])),
                             (len(mine), failed, when(mine[-1]["timestamp"])))
        self.assertEqual([r["failed"] for r in got], sorted((r["failed"] for r in got), reverse=True))
        hour = END - timedelta(hours=1)
        want = [r for r in self.rows if r.get("audit", {}).get("result") == "failure"
                and when(r["timestamp"]) >= hour][::-1]
        self.assertTrue(want)
        self.assertIn("after:now-1h", failures)
        got = self.ask(failures.replace("after:now-1h", "after:" + hour.strftime("%FT%TZ")))
        self.assertEqual([(when(r["timestamp"]), r["audit.user_id"], r["audit.action"], r["audit.resource"])
                          for r in got],
                         [(when(r["timestamp"]), r["audit"]["user_id"], r["audit"]["action"],
                           r["audit"]["resource"]) for r in want])

    def test_8_alert_rules(self):
        """the rule of the page, in a server of its own: the errors of the last minute are counted"""
        with open(PAGE, encoding="utf-8") as f:
            rule = re.search(r"^```yaml\n(.*?)^```$", f.read(), re.M | re.S).group(1)
        self.assertIn("every: 10s", rule)
        now = datetime.now(timezone.utc)
        m = mesh.Mesh(5, 1, now)
        for agent, n in (("payment-agent", 14), ("search-agent", 11), ("report-agent", 10), ("auth-agent", 1)):
            for i in range(n):
                m.error(now - timedelta(milliseconds=500 * i), agent, m.hexes(32))
        for i in range(40):  # too early to count
            m.error(now - timedelta(seconds=90 + i), "weather-agent", m.hexes(32))
        want = Counter(r["agent"]["name"] for r in m.out
                       if when(r["timestamp"]) > now - timedelta(minutes=1))
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "alerts.yaml")
            with open(path, "w", encoding="utf-8") as f:
                f.write(rule.replace("every: 10s", "every: 1s"))
            with Server("--alerts", path) as s:
                s.ingest(m.out)

                def firing():
                    got = s.get("/api/v1/alerts/error-spike").json()
                    self.assertFalse(got.get("error"), got)
                    return [g for g in got["groups"] if g["state"] == "firing"]
                wait_until(lambda: len(firing()) == 2, 30, "two firing groups")
                tried = s.post("/api/v1/alerts/error-spike/test").json()
                got = {g["group"]["agent"]: (g["value"], g["breached"]) for g in tried["groups"]}
                self.assertEqual({a: got[a] for a in want}, {a: (n, n > 10) for a, n in want.items()})
                self.assertFalse(got.get("weather-agent", (0, False))[1])
                told = wait_until(lambda: (lambda rows: rows if len(rows) >= 2 else None)(
                    s.get("/api/v1/query", query={"q": recipe(8)[0][0], "format": "ndjson"}).ndjson()),
                    30, "two entries that tell of it")
                self.assertEqual(len(told), 2)
                text = " ".join(r["message"] for r in told)
                self.assertIn("payment-agent", text)
                self.assertIn("search-agent", text)


if __name__ == "__main__":
    unittest.main()
