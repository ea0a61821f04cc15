"""fleetlog report: its figures against those computed here from the rows; both formats; the page that
cannot be made to run or load anything; the same page from a server and from a directory."""
import json
import os
import re
import shlex
import unittest
from datetime import timedelta
from html.parser import HTMLParser

import mesh
from clitest import BothWays, USAGE, UNREACHABLE, CliTest, WithServer, run

EVIL = "<img src=x onerror=alert(1)> | [click](http://evil.example) `x` \u202e"
UNTIL = "2026-11-21T12:00:00Z"
START = mesh.END - timedelta(hours=24)


class Page(HTMLParser):
    """Tags, attributes, tables and the list of findings of a page."""
    VOID = {"meta"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open = [], [], []
        self.tables, self.findings, self.heads = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, k, v) for k, v in attrs]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "li":
            self.findings.append("")
        elif tag == "h2":
            self.heads.append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, k, v) for k, v in attrs]

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, "</%s> closes %s" % (tag, self.open)
        self.open.pop()

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data
        elif "li" in self.open:
            self.findings[-1] += data
        elif "h2" in self.open:
            self.heads[-1] += data

    def table(self, *columns):
        """the rows of the table that begins with these columns, as dicts"""
        for t in self.tables:
            if t[0][:len(columns)] == list(columns):
                return [dict(zip(t[0], row)) for row in t[1:]]
        raise AssertionError("no table %s in %s" % (columns, [t[0] for t in self.tables]))


def number(text):
    return int(text.replace(",", ""))


class TestMesh(BothWays):
    """On the logs of a mesh, with what is planted in them."""
    rows = mesh.rows(seed=4, hours=48)

    @classmethod
    def prepare(cls):
        for i in range(0, len(cls.rows), 5000):
            cls.server.ingest(cls.rows[i:i + 5000])

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        half = mesh.stamp(mesh.END - timedelta(hours=24))
        cls.now = [r for r in cls.rows if r["timestamp"] >= half]
        cls.before = [r for r in cls.rows if r["timestamp"] < half]

    def report(self, *args):
        return self.both("report", "--until", UNTIL, *args)

    def page(self, *args):
        return Page(self.report("--format", "html", *args).out)

    def errors(self, rows, agent=None):
        return [r for r in rows if r["level"] == "ERROR" and agent in (None, r["agent"]["name"])]

    def test_findings(self):
        found = self.page().findings
        now, before = len(self.now), len(self.before)
        errors = len(self.errors(self.now))
        self.assertEqual(found[0], "%s entries, %d of them errors (%.1f %%); the 24 h before had %s (%+d %%)."
                         % (format(now, ","), errors, 100 * errors / now, format(before, ","),
                            round((now / before - 1) * 100)))
        self.assertIn("payment-agent: errors rose from %d to %d." %
                      (len(self.errors(self.before, "payment-agent")),
                       len(self.errors(self.now, "payment-agent"))), found)
        text = "\n".join(found)
        self.assertRegex(text, r"archive-agent has been silent since 2026-11-21 10:59; until then it spoke every ")
        self.assertRegex(text, r"payment-agent: 4\d errors at once at 2026-11-21 08:40, where its past made 0\.\d+ likely")
        self.assertRegex(text, r"report-agent: the 95th percentile of its durations rose from ")
        self.assertRegex(text, r"Errors peaked in the 30 min from 2026-11-21 08:30 with ")
        self.assertRegex(text, r"New error, \d times since 2026-11-21 08:43, from payment-agent: OSError: ")
        failed = [r for r in self.now if r.get("audit", {}).get("result") == "failure"]
        audits = [r for r in self.now if "audit" in r]
        self.assertIn("%d of %d audited actions failed, most of one by bob (%d)." %
                      (len(failed), len(audits),
                       sum(r["audit"]["user_id"] == "bob" for r in failed)), found)

    def test_agents(self):
        table = {r["Agent"]: r for r in self.page().table("Agent", "Entries", "Errors")}
        self.assertEqual(set(table), set(mesh.METHODS))
        for agent, row in table.items():
            mine = [r for r in self.now if r["agent"]["name"] == agent]
            self.assertEqual(number(row["Entries"]), len(mine))
            self.assertEqual(number(row["Errors"]), len(self.errors(self.now, agent)))
            self.assertEqual(number(row["Before"]), len(self.errors(self.before, agent)))
            self.assertEqual(row["Last entry"], mine[-1]["timestamp"][:19].replace("T", " "))

    def test_errors_new_and_known(self):
        table = self.page().table("", "Times", "Before", "Error")
        kinds = {}
        for rows, at in ((self.now, 0), (self.before, 1)):
            for r in self.errors(rows):
                kind = (r["agent"]["name"], r["exception"]["type"])
                kinds.setdefault(kind, [0, 0])[at] += 1
        self.assertEqual(len(table), 20)
        for row in table:
            now, before = kinds[(row["Agents"], row["Error"].split(":")[0])]
            self.assertEqual((number(row["Times"]), number(row["Before"])), (now, before), row)
            self.assertEqual(row[""], "known" if before else "new")

    def test_out_of_the_ordinary(self):
        found = {(r["Kind"], r["What"]) for r in self.page().table("Kind", "What")}
        self.assertIn(("error spike", "payment-agent"), found)
        self.assertIn(("silence", "archive-agent"), found)
        self.assertIn(("new message", "Slow request: render took <int> ms"), found)

    def test_slow(self):
        page = self.page()
        longest = sorted((r for r in self.now if "request" in r), reverse=True,
                         key=lambda r: r["request"]["duration_ms"])[:12]
        self.assertEqual([r["Trace"] for r in page.table("Took", "Operation")],
                         [r["trace"]["trace_id"] for r in longest])
        for row in page.table("Operation", "Agent", "Times"):
            mine = [r for r in self.now if r.get("request", {}).get("method") == row["Operation"]]
            self.assertEqual(number(row["Times"]), len(mine))

    def test_audit(self):
        for row in self.page().table("Who", "Action", "Times"):
            mine = [r["audit"] for r in self.now if r.get("audit", {}).get("user_id") == row["Who"]
                    and r["audit"]["action"] == row["Action"]]
            self.assertEqual((number(row["Times"]), number(row["Failed"]), number(row["Resources"])),
                             (len(mine), sum(a["result"] == "failure" for a in mine),
                              len({a["resource"] for a in mine})))

    def test_plots(self):
        out = self.report("--format", "html").out
        titles = re.findall(r"<title>(\d{4}-\d\d-\d\d \d\d:\d\d): ([^<]*)</title>", out)
        sums = {}
        for _, text in titles[:48]:
            for n, level in re.findall(r"([\d,]+) (\w+)", text):
                sums[level] = sums.get(level, 0) + number(n)
        want = {}
        for r in self.now:
            level = r["level"].lower().replace("warning", "warn")
            want[level] = want.get(level, 0) + 1
        self.assertEqual(sums, want)
        hours = re.findall(r"<title>(\w{3}) (\d\d):00: ([\d,]+)</title>", out)
        # all entries, then the errors alone
        self.assertEqual(sum(number(n) for _, _, n in hours),
                         len(self.now) + len(self.errors(self.now)))
        fri = sum(r["timestamp"].startswith("2026-11-20T13") for r in self.now)
        self.assertIn(("Fri", "13", format(fri, ",")), hours)

    def test_a_filter(self):
        page = self.page("agent.name:nobody OR agent:payment-agent")
        self.assertEqual({r["Agent"] for r in page.table("Agent", "Entries")}, {"payment-agent"})

    def test_queries_can_be_run_again(self):
        out = self.report("agent:payment-agent # not all").out
        lines = out[out.index("## How to have these figures again"):]
        # a comment in the filter makes a command of two lines
        commands = re.findall(r"^    (fleetlog search (?:.|\n    (?!fleetlog))*)$", lines, re.M)
        self.assertGreater(len(commands), 12)
        for command in commands:
            words = shlex.split(command)
            self.ok(*words[1:], "--format", "ndjson", "--data-dir", self.copied)
        totals = shlex.split(commands[0])
        got = json.loads(self.ok(*totals[1:], "--format", "ndjson", "--data-dir", self.copied).out)
        self.assertEqual(got["errors"], len(self.errors(self.now, "payment-agent")))

    def test_the_same_page_every_time(self):
        self.assertEqual(self.report("--format", "html").out, self.report("--format", "html").out)

    def test_markdown(self):
        out = self.report("--title", "A day of the mesh").out
        self.assertTrue(out.startswith("# A day of the mesh\n\n2026-11-20 12:00 to 2026-11-21 12:00 UTC"))
        self.assertIn("| payment-agent | ", out)
        self.assertRegex(out, r"(?m)^    error    \|[▁▂▃▄▅▆▇█ ]{48}\| ")
        widths = {len(line.split("|")[1]) for line in re.findall(r"(?m)^    \w+ +\|.*\|", out)}
        self.assertEqual(widths, {48})


class TestSilence(WithServer):
    """Who spoke steadily and stopped is silent; who spoke now and then is not."""
    agents = {"steady": range(0, 20 * 60), "done \"quick\" \\ job": range(0, 20), "gone": (),
              "now and then": [h * 60 + m for h in (0, 7, 15) for m in range(20)],
              "alive": range(0, 24 * 60, 2)}
    server_entries = [
        {"timestamp": mesh.stamp(START + timedelta(minutes=m)), "agent": agent, "message": "at work"}
        for agent, minutes in agents.items() for m in minutes] + [
        {"timestamp": mesh.stamp(START - timedelta(minutes=m)), "agent": "gone", "message": "at work"}
        for m in range(1, 31)]

    def test_silent_agents(self):
        page = Page(self.at("report", "--until", UNTIL, "--format", "html").out)
        got = {r["Agent"]: r for r in page.table("Agent", "What")}
        self.assertEqual(set(got), {"steady", "gone"})
        self.assertEqual((got["steady"]["What"], got["steady"]["Last entry"], got["steady"]["Usual gap"]),
                         ("silent for 4.0 h at the end", "2026-11-21 07:59:00", "1 min 00 s"))
        self.assertEqual((got["gone"]["What"], got["gone"]["Entries"]), ("said nothing in this window", "30"))
        text = "\n".join(page.findings)
        self.assertIn("steady has been silent since 2026-11-21 07:59; until then it spoke every 1 min 00 s.", text)
        self.assertIn("gone said nothing; it had 30 entries in the window before.", text)


class TestHostile(WithServer):
    """What strangers log does not become a part of the page."""
    server_entries = [
        {"timestamp": "2026-11-21T10:00:0%dZ" % i, "agent": EVIL, "level": "error", "message": EVIL,
         "error": {"type": EVIL}, "operation": EVIL, "tool": EVIL, "model": EVIL, "duration_ms": 5,
         "trace_id": EVIL, "tokens": {"input": 5}, "cost_usd": .5, "session_id": EVIL,
         "audit": {"action": EVIL, "user_id": EVIL, "result": EVIL, "resource": EVIL}}
        for i in range(9)]

    def html(self, *args):
        return self.at("report", "--until", UNTIL, "--format", "html", *args).out

    def test_nothing_runs_or_loads(self):
        out = self.html("--title", EVIL, "message:*'" + "'* OR \"<b>\" OR *")
        page = Page(out)  # fails when a tag is left open
        self.assertEqual(page.open, [])
        self.assertLessEqual(set(page.tags), {
            "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "ul", "li", "div",
            "span", "b", "em", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "svg",
            "g", "rect", "path", "details", "summary", "pre"})
        names = {name for _, name, _ in page.attributes}
        self.assertFalse({n for n in names if n.startswith("on")} | names & {"src", "href", "xlink:href"})
        for tag, name, value in page.attributes:
            self.assertFalse(name == "style" and "url" in value.lower(), (tag, value))
        self.assertNotIn("url(", out)
        self.assertNotIn("@import", out)
        self.assertNotIn("\u202e", out)
        self.assertIn("default-src 'none'", out)
        self.assertEqual(page.table("Agent", "Entries")[0]["Agent"], EVIL[:60].replace("\u202e", "\\u202e") + "…"
                         if len(EVIL) > 60 else EVIL.replace("\u202e", "\\u202e"))

    def test_nothing_is_new_where_nothing_was(self):
        page = Page(self.html())
        self.assertEqual([r[""] for r in page.table("", "Times")], ["–"])
        self.assertFalse([f for f in page.findings if f.startswith("New error")])

    def test_cost_and_tokens(self):
        out = self.html()
        self.assertIn("<span>Cost</span><b>$4.50</b>", out)
        self.assertIn("<span>Tokens</span><b>45</b>", out)
        self.assertEqual(Page(out).table("Session", "It began with")[0]["Cost"], "$4.50")
        row = Page(out).table("Model", "Calls")[0]
        self.assertEqual((row["Calls"], row["Tokens"], row["Cost"]), ("9", "45", "$4.50"))

    def test_no_markup_in_markdown(self):
        out = self.at("report", "--until", UNTIL).out
        text = out[:out.index("## How to have")]
        self.assertNotRegex(text, r"(?<!\\)<img")
        self.assertNotRegex(text, r"(?<!\\)\[click")
        for line in text.splitlines():
            if line.startswith("|"):  # no cell more than the head has
                self.assertIn(len(re.findall(r"(?<!\\)\|", line)), (5, 6, 7, 8, 9, 10))


class TestOptions(CliTest):
    @classmethod
    def setUpClass(cls):
        from fleetlog import Server
        cls.server = Server()
        cls.server.start()
        cls.server.ingest([{"timestamp": "2026-11-21T10:00:00Z", "agent": "a", "message": "x"}])

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def at(self, *args, **kw):
        return self.ok("report", *args, "--url", self.server.url, **kw)

    def test_windows(self):
        for since, until, top in (
                ("24h", UNTIL, "2026-11-20 12:00 to 2026-11-21 12:00 UTC (24 h)"),
                ("7d", UNTIL, "2026-11-14 12:00 to 2026-11-21 12:00 UTC (7 days)"),
                ("1h", UNTIL, "2026-11-21 11:00:00 to 2026-11-21 12:00:00 UTC (1 h)"),
                ("90m", UNTIL, "2026-11-21 10:30 to 2026-11-21 12:00 UTC (90 min)"),
                ("today", UNTIL, "2026-11-21 00:00 to 2026-11-21 12:00 UTC (12 h)"),
                ("2026-11-01", UNTIL, "2026-11-01 00:00 to 2026-11-21 12:00 UTC (20 days)")):
            self.assertIn(top, self.at("--since", since, "--until", until).out)

    def test_an_empty_window(self):
        for f in ("md", "html"):
            out = self.at("--until", "2020-01-01", "--format", f).out
            self.assertIn("Nothing was logged, neither in this window nor in the one before.", out)
        out = self.at("--since", "1h", "--until", "2026-11-21T10:00:00Z").out  # its end is outside
        self.assertIn("Nothing was logged, neither", out)
        out = self.at("--since", "1h", "--until", "2026-11-21T11:30:00Z").out
        self.assertIn("Nothing was logged; the 1 h before had 1 entry.", out)

    def test_every_width_of_window_has_a_plot(self):
        for since in ("1m", "1h", "6h", "3d", "30d", "1y", "2017-01-01"):
            if since == "1y":
                since = "2025-11-21"
            out = self.at("--since", since, "--until", "2026-11-21T10:00:30Z").out
            self.assertEqual(len(re.findall(r"(?m)^    info     \|", out)), 1, since)
            week = re.search(r"(?m)^    Sat  (.{48})  1$", out).group(1)
            self.assertEqual(week.strip("·"), "██", since)
            self.assertEqual(week.index("█"), 20)
            self.assertIn("| 1, most 1", out)

    def test_output(self):
        for name, start in (("r.html", "<!doctype html>"), ("r.HTM.md", "# "), ("r", "# ")):
            path = self.path(name)
            r = self.at("--until", UNTIL, "-o", path)
            self.assertEqual(r.out, "Wrote %s\n" % path)
            with open(path, encoding="utf-8") as f:
                self.assertTrue(f.read().startswith(start), name)
        self.assertEqual(sorted(os.listdir(self.dir)), ["r", "r.HTM.md", "r.html"])
        path = self.path("x.html")
        self.at("--format", "md", "-o", path)
        with open(path, encoding="utf-8") as f:
            self.assertTrue(f.read().startswith("# Fleet report"))

    def test_refusals(self):
        def refused(why, *args):
            r = self.refused(USAGE, "report", *args, "--url", self.server.url)
            self.assertRegex(r.err, why)
        refused("a report takes a filter, no pipes", "* | count")
        refused(r"'eror' is not a level \(at byte 6\)\nhint: did you mean error", "level:eror")
        refused("--since: 'soon' is not a time", "--since", "soon")
        refused("the window ends before it begins", "--since", UNTIL, "--until", UNTIL)
        refused("ten years at most", "--since", "2001-01-01", "--until", UNTIL)
        refused("a title has 200 bytes at most", "--title", "x" * 201)
        refused("format", "--format", "pdf")

    def test_no_file_is_left_behind(self):
        r = run("report", "--until", UNTIL, "-o", self.path("no/such/dir.html"), "--url", self.server.url)
        self.assertEqual(r.code, 74)
        run("report", "--since", "soon", "-o", self.path("r.html"), "--url", self.server.url)
        self.assertEqual(os.listdir(self.dir), [])

    def test_no_server(self):
        self.refused(UNREACHABLE, "report", "--url", "http://127.0.0.1:1")


if __name__ == "__main__":
    unittest.main()
