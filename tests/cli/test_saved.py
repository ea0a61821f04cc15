"""fleetlog saved and fleetlog dashboards: every verb on a server, files and their mistakes, terminals."""
import json
import os
import unittest

from clitest import CONFIG, DATA, DONE, NONE, UNREACHABLE, USAGE, CliTest, clean_env, run_in_terminal
from fleetlog import Server

VIEW = {"title": "Errors", "params": {"q": "level:error", "from": "now-1h", "cols": "timestamp"}}
BOARD = {"title": "My fleet", "from": "now-24h", "panels": [
    {"title": "Rate", "type": "line", "q": "* | timeline by level"}]}


class SavedTest(CliTest):
    def setUp(self):
        super().setUp()
        self.server = Server()
        self.server.start()
        self.addCleanup(self.server.close)

    def run_on(self, *args, code=DONE):
        return self.ok(*args, "--url", self.server.url, code=code)

    def save(self, **more):
        r = self.server.post("/api/v1/saved", dict(VIEW, **more))
        self.assertEqual(r.status, 201, r)


class Views(SavedTest):
    def setUp(self):
        super().setUp()
        self.server.ingest([{"agent": a, "level": l, "message": "m " + l} for a in "xy" for l in ("info", "error")] +
                           [{"agent": "x", "level": "error", "message": "long ago", "timestamp": "2020-01-01T00:00:00Z"}])

    def test_list_and_show(self):
        self.assertIn("there are no saved views", self.run_on("saved").err)
        self.save()
        self.save(title="Agents", page="agents", params={"to": "now"})
        lines = self.run_on("saved", "list").lines()
        self.assertEqual(lines, self.run_on("saved").lines())
        self.assertEqual(lines[0].split(), ["name", "title", "page", "window", "query", "changed"])
        self.assertRegex(lines[1], r"^agents +Agents +agents +- to now +- +20\S+Z$")
        self.assertRegex(lines[2], r"^errors +Errors +explore +now-1h +level:error +20\S+Z$")
        show = self.run_on("saved", "show", "errors").out
        for line in ("title +Errors", "q +level:error", "from +now-1h", "cols +timestamp", "changed_by +anyone"):
            self.assertRegex(show, "(?m)^" + line)
        self.assertEqual(self.run_on("saved", "show", "errors", "--json").json(),
                         dict(VIEW, name="errors", page="explore"))
        self.assertEqual([v["name"] for v in self.run_on("saved", "--json").json()["saved"]], ["agents", "errors"])

    def test_run(self):
        self.save()
        out = self.run_on("saved", "run", "errors").lines()
        self.assertEqual([l.split()[2] for l in out], ["y", "x"])
        rows = [json.loads(l) for l in self.run_on("saved", "run", "errors", "--format", "ndjson").lines()]
        self.assertEqual([r["message"] for r in rows], ["m error"] * 2)
        # the options win over the view's window
        self.assertEqual(self.run_on("saved", "run", "errors", "--since", "2019-01-01", "--json").json()["count"], 3)
        self.assertEqual(self.run_on("saved", "run", "errors", "--since", "2019-01-01", "--until", "2021-01-01",
                                     "--json").json()["results"][0]["message"], "long ago")
        r = self.run_on("saved", "run", "errors", "-n", "1", "--offset", "1", "-f", "csv").lines()
        self.assertEqual(len(r), 2)
        self.save(title="By agent", params={"q": "agent:(x OR y) | stats count() as n by agent"})
        self.assertEqual([l.split() for l in self.run_on("saved", "run", "by-agent").lines()],
                         [["agent", "n"], ["x", "3"], ["y", "2"]])
        self.save(title="None", params={"q": "agent:nobody"})
        self.assertEqual(self.run_on("saved", "run", "none", "--quiet", code=NONE).out, "")
        self.run_on("saved", "run", "errors", "--quiet")
        self.save(title="All", page="live", params={"q": ""})
        self.assertEqual(sum("  m " in l or "long ago" in l for l in self.run_on("saved", "run", "all").lines()), 5)

    def test_of_one_thing(self):
        self.server.ingest([{"agent": 'the "x"', "session_id": "s-1", "message": "in s-1", "level": l}
                            for l in ("info", "error")])
        self.save(title="One", page="sessions", id="s-1", params={})
        self.save(title="Its errors", page="sessions", id="s-1", params={"q": "level:error | fields message, level"})
        self.save(title="Agent", page="agents", id='the "x"', params={"q": ""})
        self.save(title="Issue", page="issues", id="1234", params={})
        self.assertRegex(self.run_on("saved", "list").out, r"(?m)^one +One +sessions/s-1 ")
        self.assertRegex(self.run_on("saved", "show", "one").out, r"(?m)^id +s-1$")
        self.assertEqual(self.run_on("saved", "show", "one", "--json").json()["id"], "s-1")
        self.assertEqual(len(self.run_on("saved", "run", "one").lines()), 2)
        self.assertEqual(len(self.run_on("saved", "run", "agent").lines()), 2)
        self.assertEqual(self.run_on("saved", "run", "its-errors", "--json").json()["results"],
                         [{"message": "in s-1", "level": "error"}])
        self.assertIn("no list of entries", self.run_on("saved", "run", "issue", code=DATA).err)

    def test_delete(self):
        self.save()
        self.save()
        self.assertEqual(self.run_on("saved", "delete", "errors", "errors-2").lines(),
                         ["Deleted errors.", "Deleted errors-2."])
        self.assertIn("there is no saved view 'errors'", self.run_on("saved", "delete", "errors", code=NONE).err)


class Dashboards(SavedTest):
    def test_list_and_show(self):
        lines = self.run_on("dashboards").lines()
        self.assertEqual(lines[0].split(), ["name", "title", "panels", "window", "changed", "changed_by"])
        self.assertRegex(lines[1], r"^overview +Overview +\d+ +- +- +\(built in\)$")
        self.assertEqual(len(lines), 7)
        show = self.run_on("dashboards", "show", "overview").out
        self.assertRegex(show, r"(?m)^source +comes with the server$")
        self.assertRegex(show, r"(?m)^Rate by level +bar +12x4 +\* \| timeline by level$")

    def test_apply_is_idempotent(self):
        f = self.path("b.json", json.dumps(BOARD))
        for want in ("created  ", "unchanged", "unchanged"):
            self.assertEqual(self.run_on("dashboards", "apply", f).lines(), [want + " my-fleet"])
        self.path("b.json", json.dumps(dict(BOARD, to="now")))
        self.assertEqual(self.run_on("dashboards", "apply", f).lines(), ["changed   my-fleet"])
        d = self.run_on("dashboards", "apply", f, "--json").json()
        self.assertEqual((d["name"], d["rev"]), ("my-fleet", 2))
        # out and in again, here and elsewhere
        text = self.run_on("dashboards", "show", "my-fleet", "--json").out
        self.assertEqual(sorted(json.loads(text)), ["from", "name", "panels", "title", "to"])
        out = self.path("out.json", text)
        self.assertEqual(self.run_on("dashboards", "apply", out).lines(), ["unchanged my-fleet"])
        self.run_on("dashboards", "delete", "my-fleet")
        self.assertEqual(self.run_on("dashboards", "apply", out).lines(), ["created   my-fleet"])
        self.assertEqual(self.run_on("dashboards", "show", "my-fleet", "--json").out, text)

    def test_several_in_a_file(self):
        two = [dict(BOARD, name="a"), dict(BOARD, name="b")]
        for body in (two, {"dashboards": two}):
            self.run_on("dashboards", "apply", self.path("two.json", json.dumps(body)))
        self.assertEqual(self.run_on("dashboards", "delete", "a", "b", "--json").lines(),
                         ['{"deleted":"a"}', '{"deleted":"b"}'])
        self.assertIn("holds no dashboards",
                      self.run_on("dashboards", "apply", self.path("none.json", "[]")).err)

    def test_mistakes(self):
        for text, want, hint in (
                ('{"title":"t",\n"panels":[{"type":"bar","q":"* | timelin"}]}',
                 "line 2, column 29: panel 1: in its q, at byte 4: there is no pipe 'timelin'", "did you mean timeline?"),
                ('{"title":"t","panel":[]}', "a dashboard has no 'panel'", "did you mean panels?"),
                ("{", "line 1, column 2", ""), ("", "there is nothing in it", ""),
                (json.dumps([BOARD, BOARD]), "'my-fleet' is there twice", "")):
            with self.subTest(text=text):
                r = self.run_on("dashboards", "apply", self.path("bad.json", text), code=CONFIG)
                self.assertIn("bad.json: ", r.err)
                self.assertIn(want, r.err)
                self.assertIn(hint, r.err)
        self.assertEqual(len(self.server.get("/api/v1/dashboards").json()["dashboards"]), 6)
        r = self.run_on("dashboards", "apply", self.path("own.json", json.dumps(dict(BOARD, name="overview"))), code=USAGE)
        self.assertIn("comes with the server", r.err)

    def test_refusals(self):
        for args, code, want in (
                (("dashboards", "shw"), USAGE, "did you mean 'dashboards show'?"),
                (("dashboards", "xyzzy"), USAGE, "list, show, apply or delete"),
                (("saved", "xyzzy"), USAGE, "list, show, run or delete"),
                (("saved", "show"), USAGE, "saved show takes the name of a view"),
                (("saved", "run", "a", "b"), USAGE, "saved run takes the name of a view"),
                (("saved", "list", "--since", "1h"), USAGE, "--since goes with run"),
                (("saved", "show", "a", "-f", "csv"), USAGE, "--format goes with run"),
                (("saved", "show", "nobody"), NONE, "there is no saved view 'nobody'"),
                (("saved", "run", "nobody"), NONE, "there is no saved view 'nobody'"),
                (("dashboards", "show", "nobody"), NONE, "there is no dashboard 'nobody'"),
                (("dashboards", "apply", self.path("none")), CONFIG, "cannot read")):
            with self.subTest(args=args):
                r = self.run_on(*args, code=code)
                self.assertIn(want, r.err)
                self.assertEqual(r.out, "")
        self.ok("saved", "--url", "http://127.0.0.1:1", code=UNREACHABLE)

    def test_foreign_text_on_a_terminal(self):
        self.save(title="\u202eodd", params={"q": '"\u001b]0;t\u0007"'.replace("\u001b", "\\u001b").replace("\u0007", "\\u0007"),
                                             "cols": "\u202e"})
        for args in (["saved"], ["saved", "show", "odd"], ["saved", "show", "odd", "--json"], ["dashboards"],
                     ["dashboards", "show", "performance"]):
            code, out = run_in_terminal(*args, "--url", self.server.url, columns=120,
                                        env=clean_env(TERM="xterm-256color"))
            self.assertEqual(code, DONE)
            self.assertNotIn("\x1b]", out)
            self.assertNotIn("\u202e", out)
            self.assertTrue(all(len(l) < 200 for l in out.splitlines()) or "--json" in args)


if __name__ == "__main__":
    unittest.main()
