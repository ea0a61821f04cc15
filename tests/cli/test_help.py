"""Help, manual, completion, wrong words: all that needs no server."""
import os
import re
import shutil
import subprocess
import unittest

from clitest import CONFIG, IO, NONE, UNREACHABLE, USAGE, CliTest, clean_env, run

COMMANDS = ["serve", "demo", "ingest", "search", "shell", "tail", "stats", "agents", "trace", "sessions", "cost", "issues", "patterns",
            "anomalies", "report", "export", "resolve", "prune", "keys", "alerts", "saved", "dashboards", "verify", "inspect", "onboard", "routes", "man", "completion",
            "version"]
SOURCE = os.environ.get("FLEETLOG_SOURCE", ".")


class Help(CliTest):
    def test_overview_names_every_command(self):
        for args in (["--help"], ["-h"], ["help"]):
            out = self.ok(*args).out
            for name in COMMANDS:
                self.assertRegex(out, r"(?m)^  %s\s+\S" % name)
        r = run()
        self.assertEqual(r.code, USAGE)
        self.assertIn("Usage", r.out)

    def test_each_command_has_help_with_examples(self):
        for name in COMMANDS:
            out = self.ok(name, "--help").out
            self.assertTrue(out.startswith("fleetlog %s: " % name), out)
            self.assertIn("Usage\n  fleetlog %s" % name, out)
            self.assertIn("Examples\n", out)
            self.assertRegex(out.split("Examples\n")[1], "fleetlog")
            self.assertIn("--data-dir", out)
            self.assertEqual(self.ok("help", name).out, out)
            self.assertLessEqual(max(map(len, out.splitlines())), 120)

    def test_wrong_words_get_a_suggestion(self):
        for args, hint in ((["serch"], "fleetlog search"), (["sta"], "fleetlog stats"),
                           (["search", "--levl", "error"], "--level"),
                           (["keys", "lst"], "keys list")):
            r = self.refused(USAGE, *args)
            self.assertIn("hint: did you mean", r.err)
            self.assertIn(hint, r.err)

    def test_usage_errors(self):
        for args in (["frobnicate"], ["search", "--nonsense"], ["search", "--limit"],
                     ["search", "--limit", "x"], ["search", "--limit", "0"],
                     ["search", "--level", "loud"], ["search", "--since", "whenever"],
                     ["search", "--json=yes"], ["export", "--format", "xml"], ["trace"],
                     ["trace", "a", "b"], ["stats", "extra"], ["prune"], ["prune", "--days", "x"],
                     ["search", "--url", "http://x", "--data-dir", "y"], ["keys", "create"],
                     ["keys", "revoke"], ["demo", "file"], ["serve", "--port", "70000"],
                     ["serve", "--tls-cert", "x"], ["completion", "tcsh"], ["-x"],
                     ["search", "-Z"], ["ingest", "--from", "end", "x"],
                     ["search", "x", "--url", "ftp://x"]):
            self.refused(USAGE, *args)

    def test_global_options_before_or_after(self):
        for args in (["--data-dir", self.dir, "stats"], ["stats", "--data-dir", self.dir],
                     ["--log-dir", self.dir, "stats"], ["-D", self.dir, "stats"]):
            self.assertIn(self.dir, self.refused(UNREACHABLE, *args).err)

    def test_fleets_retention_is_taken_anywhere(self):
        r = run("--log-dir", self.dir, "--retention", "7", "stats")
        self.assertEqual(r.code, UNREACHABLE)
        self.assertIn("--retention matters to serve", r.err)

    def test_unreachable(self):
        r = self.refused(UNREACHABLE, "stats", "--url", "http://127.0.0.1:1")
        self.assertIn("http://127.0.0.1:1", r.err)
        self.assertIn("hint: ", r.err)
        env = clean_env(FLEETLOG_URL="http://127.0.0.1:1")
        self.refused(UNREACHABLE, "stats", env=env)

    def test_version(self):
        for args in (["version"], ["--version"]):
            self.assertRegex(self.ok(*args).out, r"^fleetlog \d+\.\d+\.\d+\n$")
        self.assertEqual(self.ok("version", "--json").json()["name"], "fleetlog")

    def test_full_disk_is_an_error_and_a_closed_pipe_is_not(self):
        with open("/dev/full", "w") as full:
            p = subprocess.run([os.environ["FLEETLOG_BIN"], "man"], stdout=full,
                               stderr=subprocess.PIPE, env=clean_env())
        self.assertEqual(p.returncode, IO)
        self.assertIn(b"No space left", p.stderr)
        p = subprocess.run("set -o pipefail; '%s' man | head -n 1; '%s' help | true"
                           % ((os.environ["FLEETLOG_BIN"],) * 2), shell=True,
                           executable=shutil.which("bash") or "/bin/bash", env=clean_env(),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual((p.returncode, p.stderr), (0, b""))


class Documents(CliTest):
    def committed(self, *path):
        with open(os.path.join(SOURCE, *path), encoding="utf-8") as f:
            return f.read()

    def test_the_manual_page_is_the_committed_one(self):
        self.assertEqual(self.ok("man").out, self.committed("docs", "man", "fleetlog.1"),
                         "run: fleetlog man > docs/man/fleetlog.1")

    def test_docs_hold_the_reference(self):
        reference = self.ok("man", "--markdown").out
        self.assertIn(reference, self.committed("docs", "cli.md"),
                      "put the output of `fleetlog man --markdown` at the end of docs/cli.md")

    def test_the_manual_has_every_option(self):
        man = self.ok("man").out.replace("\\-", "-")
        for name in COMMANDS:
            for option in re.findall(r"--([a-z-]+)", self.ok(name, "--help").out):
                self.assertIn("--" + option, man)

    @unittest.skipUnless(shutil.which("groff"), "needs groff")
    def test_the_manual_formats(self):
        p = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=self.ok("man").out.encode(),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual((p.returncode, p.stderr), (0, b""))
        self.assertIn(b"EXIT STATUS", re.sub(rb".\x08", b"", p.stdout))


class Completion(CliTest):
    def bash(self, line):
        script = self.ok("completion", "bash").out
        words = line.split(" ")
        code = script + "\nCOMP_WORDS=(%s)\nCOMP_CWORD=%d\n_fleetlog\nprintf '%%s\\n' \"${COMPREPLY[@]}\"" \
            % (" ".join("'%s'" % w for w in words), len(words) - 1)
        p = subprocess.run(["bash", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual((p.returncode, p.stderr), (0, b""))
        return p.stdout.decode().split()

    @unittest.skipUnless(shutil.which("bash"), "needs bash")
    def test_bash(self):
        self.assertEqual(self.bash("fleetlog "), COMMANDS)
        self.assertEqual(self.bash("fleetlog ex"), ["export"])
        self.assertEqual(self.bash("fleetlog --url http://x se"), ["serve", "search", "sessions"])
        self.assertIn("--level", self.bash("fleetlog search --"))
        self.assertEqual(self.bash("fleetlog search --level e"), ["error"])
        self.assertEqual(self.bash("fleetlog export --format "), ["json", "ndjson", "csv", "text"])
        self.assertEqual(self.bash("fleetlog keys "), ["create", "list", "revoke"])

    def test_zsh_and_fish(self):
        zsh, fish = self.ok("completion", "zsh").out, self.ok("completion", "fish").out
        for name in COMMANDS:
            self.assertIn("'%s:" % name, zsh)
            self.assertIn("-a %s -d" % name, fish)
        for shell, text in (("zsh", zsh), ("fish", fish)):
            if shutil.which(shell):
                p = subprocess.run([shell, "-n"], input=text.encode(), stderr=subprocess.PIPE)
                self.assertEqual((p.returncode, p.stderr), (0, b""))


class Onboard(CliTest):
    def test_writes_a_configuration_that_serve_reads(self):
        data = self.path("data")
        out = self.ok("onboard", "--data-dir", data).out
        self.assertIn("entries are kept 30d", out)
        for step in ("  1. ", "  2. ", "  3. "):
            self.assertIn(step, out)
        with open(os.path.join(data, "fleetlog.conf")) as f:
            text = f.read()
        self.assertIn("\nretention = 30d\n", text)
        # every option of serve is in it, and nothing else
        names = re.findall(r"(?m)^#?([a-z-]+) = ", text)
        options = set(re.findall(r"(?m)^ +(?:-\w, )?--([a-z-]+)", self.ok("serve", "--help").out))
        self.assertEqual(set(names), options - {"config", "url", "data-dir", "key-file", "ca-file",
                                                "color", "help", "version"})
        self.refused(CONFIG, "onboard", "--data-dir", data)
        self.ok("onboard", "--data-dir", data, "--force", "--retention", "12h")
        with open(os.path.join(data, "fleetlog.conf")) as f:
            self.assertIn("\nretention = 43200s\n", f.read())

    def test_a_bad_file_is_refused_with_its_line(self):
        for text, line, word in (("# fine\nretntion = 3\n", 2, "did you mean retention"),
                                 ("retention = soon\n", 1, "needs a duration"),
                                 ("\n\nno-fsync = maybe\n", 3, "true or false"),
                                 ("just words\n", 1, "no '='"),
                                 ("log-level = loud", 1, "one of"),
                                 ("\nretention-class = a 5x level:error\n", 2, "needs an age"),
                                 ("retention-class = A 5d x\n", 1, "needs a name"),
                                 ("retention-class = a 5d\n", 1, "NAME AGE FILTER"),
                                 ("retention-class = a 5d x | head 1\n", 1, "pipes"),
                                 ("retention-class = a 5d resolved:true\n", 1, "marks"),
                                 ("retention-class = a 5d ((x\n", 1, "never closed"),
                                 ("color = always\n", 1, "no option")):
            path = self.path("bad.conf", text)
            r = self.refused(CONFIG, "serve", "--config", path, "--data-dir", self.dir)
            self.assertIn("%s:%d: " % (path, line), r.err)
            self.assertIn(word, r.err)
        self.refused(CONFIG, "serve", "--config", self.path("none.conf"))


class Keys(CliTest):
    def test_life_of_a_key_on_a_directory(self):
        where = ["--data-dir", self.path("data")]
        self.refused(UNREACHABLE, "keys", "list", *where)
        key = self.ok("keys", "create", "--name", "ci", "--scope", "ingest", "--json", *where).json()
        self.assertRegex(key["secret"], r"^flk_[a-z2-7]{12}_[a-z2-7]{32}$")
        self.assertEqual(key["scopes"], ["ingest"])
        bare = self.ok("keys", "create", "--name", "x", "--agent", "svc-*", "--expires", "9", *where)
        self.assertRegex(bare.out, r"^flk_\S+\n$")  # alone, for $(...)
        listed = self.ok("keys", "list", "--json", *where).json()["keys"]
        self.assertEqual([k["name"] for k in listed], ["ci", "x"])
        self.assertNotIn("secret", listed[0])
        self.assertIn("Revoked key 1", self.ok("keys", "revoke", "1", *where).out)
        self.assertIn("revoked", self.ok("keys", "list", *where).out)
        self.assertEqual(run("keys", "revoke", "7", *where).code, NONE)
        self.refused(USAGE, "keys", "create", "--name", "n" * 65, *where)


if __name__ == "__main__":
    unittest.main()
