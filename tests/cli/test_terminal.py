"""What a person sees: colours only where they belong, nothing obeyed that a log line says."""
import os
import re
import unittest

from clitest import WithServer, clean_env, run, run_in_terminal, some_entries

COLOUR = re.compile(r"\x1b\[[\d;]*m")


class Terminal(WithServer):
    server_entries = some_entries(30) + [
        {"message": "evil \x1b[2J\x1b]0;owned\x07 \x9b5n \u202egnp.exe \x7f", "agent": "x\x1b[1m",
         "level": "error", "k\x1b[0m": "v\x1b[31m"},
        {"message": "long " + "word " * 400, "blob": "b" * 5000, "agent": "talker"}]

    def shown(self, *args, **kw):
        code, out = run_in_terminal(*args, "--url", self.server.url, **kw)
        self.assertEqual(code, 0, out)
        return out

    def test_colours_on_a_terminal_only(self):
        self.assertRegex(self.shown("search", "level:error"), r"\x1b\[31mERROR\x1b\[0m")
        self.assertRegex(self.shown("stats"), COLOUR)
        self.assertNotRegex(self.at("search", "level:error").out, COLOUR)
        self.assertRegex(self.at("search", "level:error", "--color", "always").out, COLOUR)

    def test_no_color(self):
        for env in (clean_env(TERM="xterm", NO_COLOR="1"), clean_env(TERM="dumb"), clean_env()):
            for command in (["search"], ["stats"], ["agents"], ["trace", "t1"], ["search", "--help"]):
                self.assertNotIn("\x1b", self.shown(*command, env=env))
        self.assertRegex(self.shown("search", env=clean_env(TERM="xterm", NO_COLOR="")), COLOUR)
        self.assertNotIn("\x1b", self.shown("search", "--color", "never"))

    def test_log_text_cannot_steer_the_terminal(self):
        for command in (["search", "evil"], ["search", "evil", "--format", "ndjson"],
                        ["search", "evil", "--json"], ["agents"], ["stats"], ["tail", "-n", "40",
                        "--timeout", "1"], ["export", "evil", "--format", "text"], ["search",
                        "evil | stats count() as n by agent, message"]):
            out = COLOUR.sub("", self.shown(*command))
            for c in "\x1b\x07\x9b\u202e\x7f":
                self.assertNotIn(c, out, command)

    def test_long_values_are_cut_unless_wide(self):
        out = COLOUR.sub("", self.shown("search", "talker OR long"))
        self.assertRegex(out, r"…\(\+\d")
        self.assertNotIn("b" * 200, out)
        self.assertIn("b" * 5000, COLOUR.sub("", self.shown("search", "long", "--wide")))
        self.assertIn("b" * 5000, self.at("search", "long").out)

    def test_notes_for_people(self):
        self.assertIn("nothing found", self.shown("search", "nosuchword"))
        self.assertEqual(self.at("search", "nosuchword").err, "")

    def test_errors_are_red_on_a_terminal(self):
        code, out = run_in_terminal("search", "(", "--url", self.server.url)
        self.assertEqual(code, 2)
        self.assertIn("\x1b[1;31mfleetlog:\x1b[0m ", out)
        code, out = run_in_terminal("sta\x1b[2Jts")
        self.assertNotIn("\x1b[2J", out)

    def test_columns_stand_below_each_other(self):
        lines = self.at("search", "step").lines()
        self.assertEqual(len({line.index("step ") for line in lines}), 1)

    def test_tables_fit_the_terminal(self):
        query = "long OR step* | fields message, agent, level, seq"
        for columns in (60, 90):
            lines = self.plain("search", query, columns=columns)
            self.assertTrue(all(len(line) <= columns for line in lines), lines)
            self.assertEqual(lines[0].split(), ["message", "agent", "level", "seq"])
            self.assertEqual(sum("…" in line for line in lines), 1)
            ends = {len(line) for line in lines}
            self.assertEqual(len(ends), 1, "numbers stand right")
        whole = "long " + ("word " * 400).strip()
        self.assertIn(whole, "\n".join(self.plain("search", query, "--wide", columns=60)))
        self.assertIn(whole, self.at("search", query).out)

    def test_tables_too_wide_for_columns_are_blocks(self):
        query = ("long OR talker | fields message as first_of_them, agent as second_of_them, "
                 "level as third_of_them, seq as fourth_of_them, nothing as fifth_of_them")
        lines = self.plain("search", query, columns=60)
        self.assertEqual([line.split()[0] for line in lines if re.match("[a-z]+_of_them", line)],
                         ["first_of_them", "second_of_them", "third_of_them", "fourth_of_them"])
        self.assertIn("second_of_them  talker", lines)

    def plain(self, *args, **kw):
        return COLOUR.sub("", self.shown(*args, **kw)).replace("\r", "").strip("\n").split("\n")

    def test_narrow_help(self):
        code, out = run_in_terminal("serve", "--help", columns=60)
        self.assertEqual(code, 0)

    def test_ascii_where_utf8_is_not_spoken(self):
        env = clean_env(TERM="dumb")
        env.update(LC_ALL="C")
        for command in (["stats"], ["agents"]):
            r = run(*command, "--url", self.server.url, env=env)
            self.assertTrue(r.out.isascii(), r)

    def test_agents_fit_the_terminal_and_are_whole_in_a_pipe(self):
        names = ["a" * 70 + "-one", "a" * 70 + "-two", "short", ""]
        self.server.ingest([{"agent": n, "message": "m"} for n in names for _ in range(3)])
        for columns in (40, 60, 100, 200):
            for command in ("agents", "stats"):
                out = COLOUR.sub("", self.shown(command, columns=columns)).replace("\r", "")
                for line in out.splitlines():
                    if line.startswith("  "):
                        self.assertLessEqual(len(line), columns, (command, line))
                self.assertIn("a\u2026 ", out)
                self.assertIn('""', out)
        lines = self.at("agents").lines()
        for n in names[:3]:
            self.assertTrue(any(line.split()[0] == n for line in lines), (n, lines))


class Asking(WithServer):
    def test_prune_does_not_ask_about_nothing(self):
        code, out = run_in_terminal("prune", "--days", "30000", "--url", self.server.url)
        self.assertEqual(code, 0, out)
        self.assertNotIn("?", out)
        self.assertIn("Pruned 0 entries", out)

    def test_prune_asks(self):
        self.server.ingest(some_entries(7))
        code, out = run_in_terminal("prune", "--days", "30", "--url", self.server.url, answer="n")
        self.assertEqual(code, 1)
        self.assertIn("Delete 7 entries older than 30 days? [y/N]", out)
        self.assertIn("nothing was deleted", out)
        code, out = run_in_terminal("prune", "--days", "30", "--url", self.server.url, answer="y")
        self.assertEqual(code, 0)
        self.assertIn("Pruned 7 entries older than 30 days.", out)

    def test_a_new_key_is_explained(self):
        code, out = run_in_terminal("keys", "create", "--name", "x", "--data-dir",
                                    os.path.join(self.dir, "d"))
        self.assertEqual(code, 0)
        self.assertIn("shown this once", out)


class One(WithServer):
    server_entries = [{"timestamp": 1000, "trace_id": "single", "span_id": "s", "agent": "a",
                       "kind": "span", "duration_ms": 5, "message": "m"}]

    def test_one_is_no_plural(self):
        self.assertRegex(self.at("trace", "single").out, r"  1 entry, 1 span, 1 agent, ")
        self.assertEqual(self.at("prune", "--days", "18000", "--dry-run").out,
                         "Would prune 1 entry older than 18000 days.\n")


if __name__ == "__main__":
    unittest.main()
