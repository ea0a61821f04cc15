"""fleetlog alerts: every verb on a server, files and their mistakes, what a terminal shows."""
import unittest

from clitest import CONFIG, DONE, NONE, UNREACHABLE, USAGE, CliTest, clean_env, run_in_terminal
from fleetlog import Server, wait_until

RULES = """\
alerts:
  - name: errs
    about: too many errors
    query: level:error
    by: agent
    every: 1s
    when: {above: 2}
    labels: {team: core}
    send: [{log: true}]
  - name: quiet
    query: 'agent:nobody'
    when: {absent: true}
    enabled: false
"""


class AlertsTest(CliTest):
    def setUp(self):
        super().setUp()
        self.server = Server()
        self.server.start()
        self.addCleanup(self.server.close)
        self.server.ingest([{"agent": a, "level": "error", "message": "m"}
                            for a in ("x", "x", "x", "y")])
        self.file = self.path("rules.yaml", RULES)

    def alerts(self, *args, code=DONE, **kw):
        return self.ok("alerts", *args, "--url", self.server.url, code=code, **kw)

    def fires(self):
        wait_until(lambda: self.server.get("/api/v1/alerts/errs").json()["state"] == "firing")

    def test_apply_and_look(self):
        self.assertEqual(self.alerts("apply", self.file).lines(), ["created   errs", "created   quiet"])
        self.assertEqual(self.alerts("apply", self.file).lines(),
                         ["unchanged errs", "unchanged quiet"])
        self.path("rules.yaml", RULES.replace("above: 2", "above: 1"))
        self.assertEqual(self.alerts("apply", self.file).lines(), ["changed   errs", "unchanged quiet"])
        self.fires()
        lines = self.alerts("list").lines()
        self.assertEqual(lines, self.alerts().lines())
        self.assertEqual(lines[0].split(), ["alert", "state", "groups", "since", "severity",
                                            "condition", "source", "remark"])
        self.assertRegex(lines[1], r"^errs +firing +1 +20\S+Z +warning +above 1 +api +too many errors$")
        self.assertRegex(lines[2], r"^quiet +disabled +- +- +warning +no match in 5m +api")
        show = self.alerts("show", "errs").out
        for line in (r"state +firing", r"query +level:error", r'labels +{"team":"core"}',
                     r"agent=x +3 +firing", r"agent=y +1 +ok"):
            self.assertRegex(show, "(?m)^" + line)
        wait_until(lambda: "delivered" in self.alerts("show", "errs").out)
        self.assertRegex(self.alerts("history", "errs").out,
                         r"(?m)^20\S+Z  errs +agent=x +ok +firing +3")
        self.assertEqual(len(self.alerts("history", "-n", "1").lines()), 2)

    def test_json(self):
        self.alerts("apply", self.file)
        self.fires()
        self.assertEqual([a["name"] for a in self.alerts("--json").json()["alerts"]], ["errs", "quiet"])
        self.assertEqual(self.alerts("show", "errs", "--json").json()["state"], "firing")
        self.assertEqual(self.alerts("history", "--json").json()["history"][0]["alert"], "errs")
        self.assertEqual(self.alerts("test", "errs", "--json").json()["groups"][0]["value"], 3)
        self.assertEqual(self.alerts("delete", "quiet", "--json").json(), {"deleted": "quiet"})

    def test_test(self):
        out = self.alerts("test", self.file).out
        self.assertRegex(out, r"(?m)^query +level:error \| stats count\(\) as count by agent$")
        self.assertRegex(out, r"(?m)^agent=x +3 +ok +firing$")
        self.assertRegex(out, r"(?m)^alert +quiet$")
        self.assertEqual(self.alerts("apply", self.file, "--dry-run").out.count("alert "), 2)
        self.assertEqual(self.server.get("/api/v1/alerts").json()["alerts"], [])
        self.alerts("apply", self.file)
        self.assertRegex(self.alerts("test", "errs").out, r"(?m)^agent=x +3 ")

    def test_snooze_and_delete(self):
        self.alerts("apply", self.file)
        self.assertEqual(self.alerts("snooze", "errs", "2h").out, "errs tells nobody for 2h.\n")
        self.assertRegex(self.alerts("list").out, r"errs .* snoozed until 20\S+Z")
        self.assertEqual(self.alerts("snooze", "errs", "0").out, "errs is awake.\n")
        self.assertEqual(self.alerts("delete", "errs", "quiet").lines(),
                         ["Deleted errs.", "Deleted quiet."])
        r = self.alerts("list")
        self.assertIn("there are no alert rules", r.err)

    def test_refusals(self):
        url = ("--url", self.server.url)
        for args, code, want in (
                (("histry",), USAGE, "did you mean 'alerts history'?"),
                (("show",), USAGE, "takes the name of a rule"),
                (("show", "a", "b"), USAGE, "takes the name of a rule"),
                (("snooze", "a", "x"), USAGE, "needs a duration, not 'x'"),
                (("list", "--dry-run"), USAGE, "--dry-run goes with apply"),
                (("list", "--limit", "5"), USAGE, "--limit goes with history"),
                (("show", "nobody"), NONE, "there is no alert rule 'nobody'"),
                (("delete", "nobody"), NONE, "there is no alert rule 'nobody'"),
                (("apply", self.path("none.yaml")), CONFIG, "cannot read")):
            with self.subTest(args=args):
                r = self.ok("alerts", *args, *url, code=code)
                self.assertIn(want, r.err)
                self.assertEqual(r.out, "")
        self.ok("alerts", "--url", "http://127.0.0.1:1", code=UNREACHABLE)

    def test_mistakes_in_files(self):
        for text, want, hint in (
                (RULES.replace("when: {above", "when: {abov"), "line 7, column 18: when has no", "did you mean above?"),
                ("alerts:\n- name: a\n  qery: x\n", "line 3, column 9: a rule has no 'qery'",
                 "did you mean query?"),
                ("a: [", "not YAML", ""), ("- {name: a, query: x, when: {above: 1}, send: "
                                           "[{webhook: 'https://x/', secret_env: A}]}",
                                           "secret_env of rule 'a'", "--alerts")):
            with self.subTest(text=text):
                r = self.alerts("apply", self.path("bad.yaml", text), code=CONFIG)
                self.assertIn(want, r.err)
                self.assertIn("bad.yaml: ", r.err)
                self.assertIn(hint, r.err)
        # what only the server can know
        r = self.alerts("apply", self.path("q.yaml", "- {name: a, query: 'x | stat', when: {above: 1}}"),
                        code=USAGE)
        self.assertIn("in the query, at byte", r.err)

    def test_foreign_text_on_a_terminal(self):
        self.server.request("PUT", "/api/v1/alerts/odd", body={
            "query": "level:error", "by": "agent", "when": {"above": 0}, "every": "1s",
            "about": "\u202eodd"})
        self.server.ingest([{"agent": "\x1b]0;t\x07e", "level": "error", "message": "m"}])
        wait_until(lambda: len(self.server.get("/api/v1/alerts/odd").json()["groups"]) == 3)
        for verb in (["list"], ["show", "odd"], ["test", "odd"], ["history"]):
            code, out = run_in_terminal("alerts", *verb, "--url", self.server.url, columns=160,
                                        env=clean_env(TERM="xterm-256color"))
            self.assertEqual(code, DONE)
            self.assertNotIn("\x1b]", out)
            self.assertNotIn("\x07", out)
            self.assertNotIn("\u202e", out)
            self.assertIn("\x1b[1m", out)


if __name__ == "__main__":
    unittest.main()
