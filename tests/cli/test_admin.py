"""serve and its configuration, keys, prune, resolve, routes, and where the data is."""
import json
import os
import signal
import subprocess
import unittest

from clitest import (BIN, CONFIG, DENIED, IO, LOCKED, NONE, UNREACHABLE, USAGE, CliTest, WithServer,
                     clean_env, run, some_entries)
from fleetlog import Server, free_port, wait_until


class Serve(CliTest):
    def test_address_in_use_and_directory_in_use(self):
        with Server() as s:
            r = self.refused(LOCKED, "serve", "--data-dir", s.data_dir, "--port", str(free_port()))
            self.assertIn(s.url, r.err)
            r = run("serve", "--data-dir", self.path("d"), "--port", str(s.port))
            self.assertNotEqual(r.code, 0)
            self.assertTrue(r.err.count("fleetlog: "), r)

    def test_what_cannot_be_served_is_said(self):
        junk = self.path("junk.pem", "junk\n")
        where = ["--data-dir", os.path.join(self.dir, "d"), "--port", "0"]
        for code, args, words in (
                (USAGE, ["--max-disk", "50"], "at least 16.0 MiB"),
                (USAGE, ["--memtable", "1"], "at least 64.0 KiB"),
                (USAGE, ["--max-body", "0"], "at least 1.0 KiB"),
                (USAGE, ["--query-memory", "1K"], "at least 1.0 MiB"),
                (USAGE, ["--tls-cert", self.dir + "/no.pem", "--tls-key", junk],
                 "no.pem: No such file or directory"),
                (USAGE, ["--tls-cert", junk, "--tls-key", junk], "not as PEM"),
                (IO, ["--data-dir", junk], "not a directory"),
                (IO, ["--data-dir", "/proc/nowhere"], "cannot")):
            r = self.refused(code, "serve", *(args if "--data-dir" in args else where + args))
            self.assertIn(words, r.err)

    def test_configuration_file(self):
        data = self.path("data")
        port = free_port()
        self.ok("onboard", "--data-dir", data)
        with open(os.path.join(data, "fleetlog.conf"), "a") as f:
            f.write("\nlisten = 127.0.0.1:%d # here\n" % port)
        p = subprocess.Popen([BIN, "serve", "--data-dir", data], env=clean_env(),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            url = "http://127.0.0.1:%d" % port
            wait_until(lambda: run("stats", "--url", url).code == 0, 20, "server of the file")
        finally:
            p.send_signal(signal.SIGTERM)
            out, _ = p.communicate(timeout=30)
        self.assertEqual(p.returncode, 0)
        self.assertIn(("fleetlog listening on " + url).encode(), out)
        # the command line wins
        with open(os.path.join(data, "fleetlog.conf"), "a") as f:
            f.write("\nport = 1\n")
        self.refused(USAGE, "serve", "--data-dir", data)  # port and listen exclude each other

    def test_a_file_in_the_directory_cannot_move_the_data(self):
        data = self.path("data")
        os.mkdir(data)
        with open(os.path.join(data, "fleetlog.conf"), "w") as f:
            f.write("data-dir = /somewhere/else\n")
        env = clean_env(HOME=self.dir, XDG_DATA_HOME=self.dir)
        os.rename(data, self.path("fleetlog"))
        if os.geteuid() == 0:
            self.skipTest("root's default directory is a fixed one")
        self.refused(CONFIG, "serve", env=env)


class Places(WithServer):
    server_entries = some_entries(4)

    def test_a_held_directory_means_its_server(self):
        r = self.ok("stats", "--json", "--data-dir", self.server.data_dir)
        self.assertEqual(r.json()["total_entries"], 4)
        self.ok("stats", env=clean_env(FLEETLOG_DATA_DIR=self.server.data_dir))
        self.ok("stats", env=clean_env(FLEETLOG_URL=self.server.url))
        self.ok("stats", "--url", self.server.url, env=clean_env(FLEETLOG_URL="http://127.0.0.1:1"))
        self.ok("stats", "--data-dir", self.server.data_dir,
                env=clean_env(FLEETLOG_URL="http://127.0.0.1:1"))

    def test_a_free_port_stands_in_the_lock(self):
        data = self.path("free")
        p = subprocess.Popen([BIN, "serve", "--listen", "127.0.0.1:0", "--data-dir", data],
                             env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            url = p.stdout.readline().split()[-1].decode()
            self.assertNotEqual(url.rsplit(":", 1)[1], "0")
            self.ok("resolve", "--by", "me", "none", "--data-dir", data, code=NONE)  # needs the server
            with open(os.path.join(data, "LOCK")) as f:
                self.assertEqual(f.read().split()[1], url)
        finally:
            p.send_signal(signal.SIGTERM)
            p.communicate(timeout=30)

    def test_bare_address(self):
        self.ok("stats", "--url", self.server.url[len("http://"):] + "/")

    def test_a_directory_without_data(self):
        self.refused(UNREACHABLE, "stats", "--data-dir", self.dir)
        self.refused(UNREACHABLE, "stats", "--data-dir", self.path("none"))

    def test_reading_a_directory_changes_nothing(self):
        self.server.stop()
        try:
            def state():
                return sorted((os.path.join(d, f), os.stat(os.path.join(d, f)).st_mtime_ns,
                               os.path.getsize(os.path.join(d, f)))
                              for d, _, fs in os.walk(self.server.data_dir) for f in fs)
            before = state()
            for command in (["stats"], ["search"], ["export"], ["agents"], ["verify"],
                            ["prune", "--days", "1", "--dry-run"]):
                self.ok(*command, "--data-dir", self.server.data_dir)
            self.assertEqual(state(), before)
        finally:
            self.server.start()

    def test_routes(self):
        self.assertIn("/api/v1/ingest", self.ok("routes").out)
        self.assertEqual(self.ok("routes", "--openapi").json()["openapi"][:2], "3.")


class Keys(WithServer):
    def test_a_closed_server(self):
        made = self.at("keys", "create", "--name", "root", "--scope", "admin", "--scope", "read",
                       "--scope", "ingest", "--json").json()
        key = self.path("key", made["secret"] + "\n")
        wait_until(lambda: run("stats", "--url", self.server.url).code == DENIED, 10, "closed")
        r = self.refused(DENIED, "search", "x", "--url", self.server.url)
        self.assertIn("--key-file", r.err)
        self.at("stats", "--key-file", key)
        self.at("stats", env=clean_env(FLEETLOG_API_KEY=made["secret"]))
        self.refused(CONFIG, "stats", "--url", self.server.url, "--key-file", self.path("none"))
        self.refused(CONFIG, "stats", "--url", self.server.url, "--key-file", self.path("e", "\n"))
        reader = self.at("keys", "create", "--name", "reader", "--scope", "read", "--key-file",
                         key).out.strip()
        env = clean_env(FLEETLOG_API_KEY=reader)
        self.at("search", "x", env=env)
        self.assertEqual(run("ingest", "--url", self.server.url, stdin="x\n", env=env).code, DENIED)
        names = [k["name"] for k in self.at("keys", "list", "--json", "--key-file", key).json()["keys"]]
        self.assertEqual(names, ["root", "reader"])
        # on the directory, beside the running server: it notices by itself
        self.ok("keys", "revoke", "2", "--data-dir", self.server.data_dir)
        wait_until(lambda: run("stats", "--url", self.server.url, env=env).code == DENIED, 10, "revoked")
        self.assertIn("Revoked key 1", self.at("keys", "revoke", "1", "--key-file", key).out)


    def test_the_first_key_closes_the_door(self):
        where = ["--data-dir", os.path.join(self.dir, "new")]
        r = self.ok("keys", "create", "--name", "ci", "--scope", "ingest", *where)
        self.assertIn("--scope admin", r.err)
        self.assertEqual(len(r.out.split()), 1)  # the secret alone
        for args in (["--scope", "read"], ["--scope", "admin"]):
            self.assertEqual(self.ok("keys", "create", "--name", "next", *args, *where).err, "")
        first = ["--data-dir", os.path.join(self.dir, "other")]
        self.assertEqual(self.ok("keys", "create", "--name", "a", "--scope", "admin", *first).err, "")

    def test_a_list_shows_all_of_a_name_and_no_broken_time(self):
        where = ["--data-dir", os.path.join(self.dir, "list")]
        name = "a-name-of-more-than-twenty-characters"
        self.ok("keys", "create", "--name", name, "--scope", "admin", "--expires", "1d", *where)
        key = self.ok("keys", "create", "--name", "b", "--scope", "admin", *where).out.strip()
        with Server(data_dir=where[1]) as s:
            remote = self.ok("keys", "list", "--url", s.url,
                             env=clean_env(FLEETLOG_API_KEY=key)).out
            self.assertEqual(self.ok("keys", "list", *where).out, remote)
        head, one, two = remote.splitlines()
        self.assertIn(name, one)
        self.assertRegex(one, r" \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  until \d{4}-[^.]*Z$")
        self.assertEqual([line.index("  admin  ") for line in (one, two)], [head.index("  scopes")] * 2)


class Deleting(WithServer):
    def test_prune_and_resolve(self):
        self.server.ingest(some_entries(10) + [{"message": "fresh", "level": "error"}] * 2)
        self.assertIn("Would prune 10", self.at("prune", "--days", "30", "--dry-run").out)
        self.assertEqual(self.at("prune", "--days", "30", "--dry-run", "--json").json(),
                         {"pruned": 0, "would_prune": 10, "retention_days": 30, "dry_run": True})
        self.assertIn("Would prune 2", self.at("prune", "--days", "30", "--dry-run", "level:critical").out)
        self.refused(USAGE, "prune", "--days", "30", "level:critical", "--url", self.server.url)
        ids = [json.loads(line)["id"] for line in
               self.at("search", "fresh", "--format", "ndjson").lines()]
        self.assertEqual(self.at("resolve", ids[0], "--by", "ana", "--note", "done").out,
                         "Resolved 1 of 1.\n")
        r = self.at("resolve", ids[1], "no-such-id", code=NONE)
        self.assertIn("no-such-id", r.err)
        got = [json.loads(line) for line in
               self.at("search", "resolved:true", "--format", "ndjson").lines()]
        self.assertEqual({e["resolved_by"] for e in got}, {"ana", "tester"})
        self.assertEqual(self.at("prune", "--days", "30", "--json").json(),
                         {"pruned": 10, "retention_days": 30, "dry_run": False})
        self.server.stop()
        try:
            where = ["--data-dir", self.server.data_dir]
            self.assertIn("Would prune 1 ", self.ok("prune", "--days", "-1", "--dry-run",
                                                    "resolved_by:ana", *where).out)
            self.assertIn("Pruned 1 ", self.ok("prune", "--days", "-1", "resolved_by:ana", *where).out)
            self.refused(USAGE, "prune", "--days", "1", "* | head 1", *where)
            left = [json.loads(line) for line in
                    self.ok("search", "--format", "ndjson", *where).lines()]
            self.assertEqual([e["id"] for e in left], [ids[1]])
            self.ok("resolve", ids[1], "--by", "again", *where)
            self.assertIn("tester", self.ok("search", *where).out)  # the first resolver stays
        finally:
            self.server.start()
        self.assertEqual(self.at("stats", "--json").json()["total_entries"], 1)


if __name__ == "__main__":
    unittest.main()
