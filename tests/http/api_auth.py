"""Who may do what: keys, scopes, agents, tickets, wrong keys, hosts and origins."""
import base64
import hashlib
import http.client
import json
import os
import re
import socket
import stat
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

from fleetlog import BIN, Server, free_port, wait_until
from ws import Closed as StreamClosed, HandshakeError, WebSocket

ADMIN = "admin-key-for-tests-0123456789"
SCOPES = ["ingest", "read", "write-marks", "admin"]


def bearer(key):
    return {"Authorization": "Bearer " + key}


def status_of(server, method, path, headers, body=None):
    """Only the status: streams go on for ever."""
    conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        conn.request(method, path, body=body, headers=headers)
        return conn.getresponse().status
    finally:
        conn.close()


class Closed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(key=ADMIN, env={"FLEETLOG_API_KEY": ADMIN}).start()
        cls.keys = {}
        for scope in SCOPES:
            cls.keys[scope] = cls.make([scope])["secret"]

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    @classmethod
    def make(cls, scopes, **more):
        r = cls.server.post("/api/v1/keys", dict(more, name="k", scopes=scopes))
        assert r.status == 201, r
        return r.json()


class TestMatrix(Closed):
    """Role x route, from the server's own table: a new route is tested the day it is added."""

    def requests(self):
        doc = self.server.get("/openapi.json").json()
        for path, methods in doc["paths"].items():
            for method, op in methods.items():
                real = re.sub(r"\{id\}", "4294967200" if "keys" in path else str(uuid.uuid4()), path)
                real = re.sub(r"\{[^}]+\}", "x", real)
                query = ""
                if "poll" in real:
                    query = "?timeout=1ms"
                elif real == "/tail":
                    query = "?timeout=0"
                yield method.upper(), real + query, op["x-scope"], "x-stream" in op

    def test_every_cell(self):
        cells = 0
        for method, path, scope, _ in self.requests():
            body = "{}" if method in ("POST", "PATCH") else None
            got = status_of(self.server, method, path, {}, body)
            if scope == "none":
                self.assertNotIn(got, (401, 403), (method, path))
            else:
                self.assertEqual(got, 401, (method, path))
            for role, key in self.keys.items():
                got = status_of(self.server, method, path, bearer(key), body)
                if scope in ("none", "any", role):
                    self.assertNotIn(got, (401, 403), (role, method, path))
                else:
                    self.assertEqual(got, 403, (role, method, path))
                cells += 1
        self.assertGreaterEqual(cells, 40 * len(SCOPES))

    def test_every_route_of_the_contract_is_in_the_table(self):
        paths = set(self.server.get("/openapi.json").json()["paths"])
        for want in ("/api/v1/ingest", "/api/v1/query", "/api/v1/tail", "/api/v1/tail/ws",
                     "/api/v1/tail/poll", "/api/v1/timeline", "/api/v1/fields",
                     "/api/v1/fields/{name}/values", "/api/v1/entries/{id}",
                     "/api/v1/entries/{id}/context", "/api/v1/resolve", "/api/v1/keys",
                     "/api/v1/ticket", "/api/v1/status", "/api/v1/integrity", "/health", "/ready",
                     "/metrics", "/", "/ingest", "/search", "/agents", "/stats",
                     "/trace/{trace_id}", "/tail", "/prune", "/logs", "/logs/batch",
                     "/logs/summary", "/logs/agents", "/logs/{id}/resolve", "/logs/resolve-batch",
                     "/log", "/logs/ws", "/events", "/events/recent", "/events/filter-options",
                     "/stream"):
            self.assertIn(want, paths)

    def test_a_stranger_cannot_tell_what_exists(self):
        a = self.server.request("GET", "/api/v1/query", headers={"Authorization": ""})
        b = self.server.request("GET", "/api/v1/nosuch", headers={"Authorization": ""})
        c = self.server.request("PUT", "/api/v1/query", headers={"Authorization": ""})
        self.assertEqual((a.status, a.body), (b.status, b.body))
        self.assertEqual((a.status, a.body), (c.status, c.body))


class TestCredentials(Closed):
    def test_three_ways_to_send_a_key(self):
        key = self.keys["read"]
        basic = base64.b64encode(("any:" + key).encode()).decode()
        for headers in (bearer(key), {"Authorization": "bearer " + key}, {"X-API-Key": key,
                        "Authorization": ""}, {"Authorization": "Basic " + basic}):
            self.assertEqual(self.server.get("/api/v1/query", headers=headers).status, 200, headers)

    def test_a_key_in_the_url_is_no_key(self):
        key = self.keys["read"]
        for name in ("key", "api_key", "token", "access_token", "apikey", "ticket"):
            r = self.server.get("/api/v1/query?%s=%s" % (name, key), headers={"Authorization": ""})
            self.assertEqual(r.status, 401, name)

    def test_all_refusals_look_the_same(self):
        key = self.keys["read"]
        seen = set()
        for auth in ("", "Bearer", "Bearer ", "Bearer wrong", "Basic ???", "Digest x", key,
                     "Bearer " + key[:-1], "Bearer " + key + "x", "Bearer " + "x" * 5000):
            r = self.server.get("/api/v1/query", headers={"Authorization": auth})
            seen.add((r.status, r.body, r.headers["WWW-Authenticate"]))
        self.assertEqual(len(seen), 1, seen)
        status, _body, challenge = seen.pop()
        self.assertEqual(status, 401)
        self.assertTrue(challenge.startswith("Bearer"))

    def test_each_dialect_refuses_in_its_own_words(self):
        none = {"Authorization": ""}
        self.assertIn("code", self.server.get("/api/v1/query", headers=none).json()["error"])
        self.assertIsInstance(self.server.get("/search", headers=none).json()["error"], str)
        self.assertIsInstance(self.server.get("/logs", headers=none).json()["detail"], str)

    def test_a_browser_is_asked_for_a_password(self):
        r = self.server.get("/", headers={"Authorization": "", "Accept": "text/html"})
        self.assertEqual(r.status, 401)
        self.assertTrue(r.headers["WWW-Authenticate"].startswith("Basic"))
        self.assertIn("reload this page and give the key as the password", r.json()["error"]["message"])
        basic = base64.b64encode(("x:" + self.keys["read"]).encode()).decode()
        r = self.server.get("/", headers={"Authorization": "Basic " + basic, "Accept": "text/html"})
        self.assertEqual(r.status, 200)

    def test_no_body_is_read_or_inflated_for_a_stranger(self):
        head = ("POST /api/v1/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
                "Content-Encoding: gzip\r\nExpect: 100-continue\r\n\r\n").encode()
        got = self.server.raw(head)
        self.assertTrue(got.startswith(b"HTTP/1.1 401"), got[:100])
        self.assertNotIn(b"100 Continue", got)

    def test_health_tells_a_stranger_only_that_it_lives(self):
        h = self.server.get("/health", headers={"Authorization": ""}).json()
        self.assertEqual(set(h), {"status", "db", "version", "timestamp"})
        self.assertIn("entries", self.server.get("/health", headers=bearer(ADMIN)).json())
        self.assertNotIn("entries", self.server.get("/health", headers=bearer(self.keys["ingest"])).json())


class TestWrongKeys(unittest.TestCase):
    def test_guessing_is_slowed_down_but_locks_nobody_out(self):
        with Server(key=ADMIN, env={"FLEETLOG_API_KEY": ADMIN}) as s:
            self.assertEqual(s.get("/api/v1/query").status, 200)
            got = [s.get("/api/v1/query", headers=bearer("guess-%d" % i)).status for i in range(25)]
            self.assertEqual(got, [401] * 20 + [429] * 5)
            r = s.get("/api/v1/query", headers=bearer("guess-x"))
            self.assertTrue(r.headers["Retry-After"])
            self.assertEqual(s.get("/api/v1/query").status, 200)

    def test_one_wrong_key_again_and_again(self):
        with Server(key=ADMIN, env={"FLEETLOG_API_KEY": ADMIN}) as s:
            got = [s.get("/api/v1/query", headers=bearer("stale")).status for _ in range(25)]
            self.assertEqual(got, [401] * 20 + [429] * 5)
            self.assertEqual(s.get("/api/v1/query").status, 200)  # never seen before, still fine

    def test_no_key_at_all_is_never_limited(self):
        with Server(env={"FLEETLOG_API_KEY": ADMIN}) as s:
            self.assertEqual({s.get("/api/v1/query").status for _ in range(40)}, {401})


class TestAgents(Closed):
    """A key for team-* sees and writes nothing of anybody else."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.team = cls.make(["ingest", "read", "write-marks", "admin"], agent="team-*")["secret"]
        now = time.time()
        for agent in ("team-a", "other"):
            r = cls.server.post("/ingest", [{"timestamp": now, "agent": agent, "level": "ERROR",
                                             "message": "m of " + agent, "trace_id": "t-1",
                                             "session_id": "s-1", "context": {"own_" + agent[:4]: 1}}])
            assert r.status == 200, r
            cls.server.post("/events", {"source_app": agent, "session_id": "h", "payload": {"a": 1},
                                        "hook_event_type": "Stop"})
        cls.ids = {r["agent"]: r["id"] for r in
                   cls.server.get("/api/v1/query?q=level:error").json()["rows"]}

    def get(self, path):
        return self.server.get(path, headers=bearer(self.team))

    def test_no_read_path_shows_the_other(self):
        for path in ("/api/v1/query", "/api/v1/query?format=ndjson", "/api/v1/query?q=agent:other",
                     "/api/v1/query?q=*+%7C+stats+count()+by+agent", "/search", "/search?agent=other",
                     "/agents", "/stats", "/trace/t-1", "/logs", "/logs?agent_id=other",
                     "/logs/summary", "/logs/agents", "/events/recent", "/events/filter-options",
                     "/api/v1/fields", "/api/v1/fields/agent/values", "/api/v1/fields/message/values",
                     "/api/v1/timeline?by=agent", "/api/v1/tail/poll?from=0&timeout=1s"):
            r = self.get(path)
            self.assertEqual(r.status, 200, (path, r))
            if "?agent" not in path:
                text = r.text().replace('"other":0', "")
                self.assertNotIn("other", text, path)
                self.assertNotIn("own_othe", text, path)
        stats = self.get("/stats").json()
        self.assertEqual(stats["agent_counts"]["team-a"], 2)
        self.assertEqual(stats["total_entries"], sum(stats["agent_counts"].values()))
        self.assertEqual(sum(stats["hourly_counts"].values()), stats["total_entries"])
        self.assertEqual(self.get("/search").json()["count"], stats["total_entries"])
        self.assertEqual(self.get("/search?agent=other").json()["results"], [])
        self.assertEqual(self.get("/logs?agent_id=other").json()["total"], 0)

    def test_ids_of_others_do_not_exist(self):
        self.assertEqual(self.get("/api/v1/entries/" + self.ids["team-a"]).status, 200)
        self.assertEqual(self.get("/api/v1/entries/" + self.ids["other"]).status, 404)
        self.assertEqual(self.get("/api/v1/entries/%s/context" % self.ids["other"]).status, 404)
        r = self.server.post("/api/v1/resolve", {"ids": [self.ids["other"]], "by": "x"},
                             headers=bearer(self.team))
        self.assertEqual(r.json(), {"resolved": 0, "not_found": [self.ids["other"]]})
        r = self.server.patch("/logs/%s/resolve" % self.ids["other"], {"resolved_by": "x"},
                              headers=bearer(self.team))
        self.assertEqual(r.status, 404)

    def test_tails_do_not_show_the_other(self):
        w = WebSocket(self.server.port, "/logs/ws", headers=bearer(self.team))
        w.recv_json()
        for agent in ("other", "team-b"):
            self.server.post("/log", {"agent": agent, "content": "live"})
        self.assertEqual(w.recv_json()["agent"], "team-b")
        w.close()

    def test_writing_as_another_is_403(self):
        h = bearer(self.team)
        posts = [("/api/v1/ingest", {"agent": "other", "message": "m"}),
                 ("/ingest", {"timestamp": 1, "agent": "other", "level": "INFO", "message": "m"}),
                 ("/logs", {"agent_id": "other", "message": "m"}),
                 ("/logs/batch", [{"agent_id": "other", "message": "m"}]),
                 ("/log", {"agent": "other"}),
                 ("/events", {"source_app": "other", "session_id": "s", "hook_event_type": "x",
                              "payload": {"a": 1}})]
        for path, body in posts:
            r = self.server.post(path, body, headers=h)
            self.assertEqual(r.status, 403, (path, r))
        r = self.server.post("/api/v1/ingest", [{"agent": "team-c", "message": "m"},
                                                {"agent": "other", "message": "m"}], headers=h)
        self.assertEqual((r.status, r.json()["accepted"], r.json()["rejected"]), (200, 1, 1))

    def test_pruning_spares_the_others(self):
        before = self.server.get("/agents").json()["agents"]["other"]
        r = self.server.delete("/prune?days=-1", headers=bearer(self.make(
            ["admin"], agent="team-prune*")["secret"]))
        self.assertEqual(r.status, 200, r)
        self.assertEqual(r.json()["pruned"], 0)
        self.assertEqual(self.server.get("/agents").json()["agents"]["other"], before)

    def test_a_cursor_is_not_for_another_key(self):
        for i in range(3):
            self.server.ingest([{"agent": "team-p", "message": str(i)}])
        cursor = self.get("/api/v1/query?limit=1").json()["next_cursor"]
        self.assertEqual(self.get("/api/v1/query?limit=1&cursor=" + cursor).status, 200)
        self.assertEqual(self.server.get("/api/v1/query?limit=1&cursor=" + cursor).status, 400)

    def test_a_narrow_admin_makes_no_wider_key(self):
        r = self.server.post("/api/v1/keys", {"name": "wide", "scopes": ["read"]},
                             headers=bearer(self.team))
        self.assertEqual(r.status, 403)


class TestKeys(Closed):
    def test_life_of_a_key(self):
        made = self.make(["ingest", "read"], agent="x-*", rate=1000)
        self.assertRegex(made["secret"], r"^flk_\w+$")
        self.assertEqual((made["scopes"], made["agent"], made["rate"], made["revoked"]),
                         (["ingest", "read"], "x-*", 1000, False))
        listed = {k["id"]: k for k in self.server.get("/api/v1/keys").json()["keys"]}
        self.assertNotIn("secret", listed[made["id"]])
        self.assertNotIn(made["secret"], self.server.get("/api/v1/keys").text())
        one = self.server.get("/api/v1/keys/%d" % made["id"]).json()
        self.assertEqual(one, listed[made["id"]])
        h = bearer(made["secret"])
        self.assertEqual(self.server.get("/api/v1/query", headers=h).status, 200)
        self.assertEqual(self.server.delete("/api/v1/keys/%d" % made["id"]).status, 200)
        self.assertEqual(self.server.get("/api/v1/query", headers=h).status, 401)
        self.assertEqual(self.server.delete("/api/v1/keys/999999").status, 404)
        self.assertEqual(self.server.get("/api/v1/keys/zero").status, 404)

    def test_secrets_are_in_no_log_and_no_file(self):
        secret = self.make(["read"])["secret"]
        self.assertEqual(self.server.get("/api/v1/query", headers=bearer(secret)).status, 200)
        self.assertNotIn(secret, self.server.err + self.server.out)
        for folder, _subs, files in os.walk(self.server.data_dir):
            for f in files:
                with open(os.path.join(folder, f), "rb") as data:
                    self.assertNotIn(secret.encode(), data.read(), f)

    def test_revoking_ends_tails_at_once(self):
        made = self.make(["read"])
        w = WebSocket(self.server.port, "/api/v1/tail/ws", headers=bearer(made["secret"]))
        stream = self.server.sse("/api/v1/tail", headers=bearer(made["secret"]))
        began = time.monotonic()
        self.server.delete("/api/v1/keys/%d" % made["id"])
        self.assertRaises(Exception, w.recv)
        self.assertEqual([e for e in stream if "data" in e], [])
        self.assertLess(time.monotonic() - began, 5)

    def test_expiry(self):
        brief, long = (bearer(self.make(["read"], expires=e)["secret"]) for e in ("now+1s", "now+1d"))
        wait_until(lambda: self.server.get("/api/v1/query", headers=brief).status == 401, 10)
        self.assertEqual(self.server.get("/api/v1/query", headers=long).status, 200)

    def test_rate(self):
        made = self.make(["ingest"], rate=10)
        h = bearer(made["secret"])
        body = [{"message": "x"} for _ in range(50)]
        self.assertEqual(self.server.post("/api/v1/ingest", body, headers=h).status, 200)
        r = self.server.post("/api/v1/ingest", body, headers=h)
        self.assertEqual((r.status, r.json()["error"]["code"]), (429, "rate_limited"))
        self.assertTrue(r.headers["Retry-After"])
        self.assertEqual(self.server.post("/log", {"a": 1}, headers=h).status, 429)

    def test_refusals(self):
        for body in ({}, {"name": ""}, {"name": "x" * 65}, {"name": "x", "scopes": []},
                     {"name": "x", "scopes": ["root"]}, {"name": "x", "scopes": "read"},
                     {"name": "x", "rate": -1}, {"name": "x", "rate": "fast"},
                     {"name": "x", "expires": "yesterday"}, {"name": "x", "expires": "now-1h"},
                     {"name": 7}, {"name": "x", "agent": "a" * 300}, []):
            r = self.server.post("/api/v1/keys", body)
            self.assertEqual(r.status, 400, (body, r))

    def test_who_wrote_it_is_kept(self):
        made = self.make(["ingest"])
        self.server.post("/api/v1/ingest", {"agent": "kid", "message": "m"},
                         headers=bearer(made["secret"]))
        row = self.server.get("/api/v1/query?q=agent:kid").json()["rows"][0]
        self.assertEqual(row["key_id"], made["id"])


class TestTickets(Closed):
    def ticket(self, key=None):
        r = self.server.post("/api/v1/ticket", headers=bearer(key or self.keys["read"]))
        self.assertEqual(r.status, 200, r)
        self.assertEqual(r.json()["expires_in_s"], 30)
        return r.json()["ticket"]

    def test_a_ticket_opens_a_stream_once(self):
        for path in ("/api/v1/tail/ws", "/logs/ws", "/stream"):
            t = self.ticket()
            WebSocket(self.server.port, path + "?ticket=" + t).close()
            with self.assertRaises(HandshakeError) as e:
                WebSocket(self.server.port, path + "?ticket=" + t)
            self.assertEqual(e.exception.status, 401)
        with self.server.sse("/api/v1/tail?ticket=" + self.ticket()) as s:
            self.assertEqual(s.status, 200)

    def test_a_ticket_opens_nothing_else(self):
        for path in ("/api/v1/query", "/search", "/api/v1/keys", "/api/v1/tail/poll"):
            r = self.server.get(path + "?ticket=" + self.ticket(), headers={"Authorization": ""})
            self.assertEqual(r.status, 401, path)

    def test_made_up_tickets(self):
        for t in ("", "x", "0" * 32, "g" * 32, "0" * 33):
            with self.assertRaises(HandshakeError) as e:
                WebSocket(self.server.port, "/logs/ws?ticket=" + t)
            self.assertEqual(e.exception.status, 401)

    def test_a_ticket_has_its_makers_limits(self):
        r = self.server.post("/api/v1/ticket", headers=bearer(self.keys["ingest"]))
        self.assertEqual(r.status, 403)
        made = self.make(["read"], agent="tk-*")
        w = WebSocket(self.server.port, "/logs/ws?ticket=" + self.ticket(made["secret"]))
        w.recv_json()
        for agent in ("zz", "tk-1"):
            self.server.post("/log", {"agent": agent})
        self.assertEqual(w.recv_json()["agent"], "tk-1")
        w.close()

    def test_revoking_the_key_voids_its_tickets(self):
        made = self.make(["read"])
        t = self.ticket(made["secret"])
        self.server.delete("/api/v1/keys/%d" % made["id"])
        with self.assertRaises(HandshakeError) as e:
            WebSocket(self.server.port, "/logs/ws?ticket=" + t)
        self.assertEqual(e.exception.status, 401)


class TestOpen(unittest.TestCase):
    def test_open_until_the_first_key(self):
        with Server() as s:
            self.assertTrue(s.get("/health").json()["open"])
            self.assertEqual(s.get("/api/v1/keys").json(), {"keys": []})
            made = s.post("/api/v1/keys", {"name": "first", "scopes": SCOPES}).json()
            self.assertEqual(s.get("/search").status, 401)
            self.assertEqual(s.get("/search", headers=bearer(made["secret"])).status, 200)
            s.restart()
            self.assertEqual(s.get("/search").status, 401)
            self.assertEqual(s.get("/search", headers=bearer(made["secret"])).status, 200)


    def test_revoking_the_last_key_opens_nothing(self):
        with Server() as s:
            made = s.post("/api/v1/keys", {"name": "first", "scopes": SCOPES}).json()
            h = bearer(made["secret"])
            self.assertEqual(s.delete("/api/v1/keys/%d" % made["id"], headers=h).status, 200)
            for _ in range(2):
                self.assertEqual(s.get("/search").status, 401)
                self.assertEqual(s.get("/search", headers=h).status, 401)
                self.assertFalse(s.get("/health").json().get("open"))
                s.restart()
            other = self.cli(s, "keys", "create", "--name", "other", "--scope", "read", "--json")["secret"]
            s.restart()  # at once: a key that is not known yet is a wrong one
            self.assertEqual(s.get("/search", headers=bearer(other)).status, 200)

    def cli(self, s, *args):
        out = subprocess.run([os.environ["FLEETLOG_BIN"], *args, "--data-dir", s.data_dir], check=True,
                             capture_output=True, text=True).stdout
        return json.loads(out)

    def streams(self, s, **headers):
        """one of each kind that lasts, and a function that says what they were sent"""
        seen = []

        def follow(items):
            try:
                for x in items:
                    seen.append(x)
            except (StreamClosed, OSError):
                pass
            seen.append("end")
        w = WebSocket(s.port, "/api/v1/tail/ws", headers=headers)
        e = s.sse("/api/v1/tail", headers)
        threads = [threading.Thread(target=follow, args=(items,))
                   for items in (iter(w.recv, None), (x for x in e if "data" in x))]
        for t in threads:
            t.start()
        self.addCleanup(lambda: ([t.join(20) for t in threads], w.close(), e.close()))
        return seen

    def test_the_first_key_ends_what_was_open(self):
        with Server() as s:
            ticket = s.post("/api/v1/ticket").json()["ticket"]
            seen = self.streams(s)
            wait_until(lambda: s.get("/api/v1/status").json()["live"]["subscribers"] == 2)
            made = s.post("/api/v1/keys", {"name": "first", "scopes": SCOPES}).json()
            h = bearer(made["secret"])
            s.post("/log", {"agent": "x", "content": "secret"}, headers=h)
            wait_until(lambda: seen == ["end", "end"])
            with self.assertRaises(HandshakeError) as e:
                WebSocket(s.port, "/logs/ws?ticket=" + ticket)
            self.assertEqual(e.exception.status, 401)
            self.assertEqual(s.get("/api/v1/tail?ticket=" + ticket).status, 401)

    def test_a_key_revoked_in_the_directory_ends_its_streams(self):
        """beside a running server: nothing comes after the second in which it notices"""
        with Server() as s:
            admin = s.post("/api/v1/keys", {"name": "admin", "scopes": SCOPES}).json()
            brief = s.post("/api/v1/keys", {"name": "brief", "scopes": ["read"]},
                           headers=bearer(admin["secret"])).json()
            h = bearer(brief["secret"])
            ticket = s.post("/api/v1/ticket", headers=h).json()["ticket"]
            seen = self.streams(s, **h)
            self.cli(s, "keys", "revoke", str(brief["id"]), "--json")
            wait_until(lambda: s.get("/search", headers=h).status == 401)
            s.post("/log", {"agent": "x", "content": "secret"}, headers=bearer(admin["secret"]))
            wait_until(lambda: seen == ["end", "end"])
            self.assertEqual(s.get("/api/v1/tail?ticket=" + ticket).status, 401)


class TestBrowsers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_hosts(self):
        p = self.server.port
        for host in ("localhost", "127.0.0.1", "127.0.0.1:%d" % p, "[::1]:%d" % p, "127.8.9.10",
                     "LOCALHOST:%d" % p, "x.localhost"):
            self.assertEqual(self.server.get("/search", headers={"Host": host}).status, 200, host)
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1",
                     "evil-localhost", "127.1", "2130706433", "127.0.0.1x"):
            r = self.server.get("/search", headers={"Host": host})
            self.assertIn(r.status, (400, 421), host)

    def test_origins(self):
        p = self.server.port
        own = {"Origin": "http://127.0.0.1:%d" % p}
        self.assertEqual(self.server.post("/log", {"a": 1}, headers=own).status, 200)
        for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1",
                       "http://127.0.0.1:%d.evil.example" % p, "file://", "https://evil.example:%d" % p,
                       "http://localhost:%d" % p, ""):
            for method, path in (("POST", "/log"), ("GET", "/api/v1/tail"), ("GET", "/search"),
                                 ("DELETE", "/prune"), ("OPTIONS", "/log")):
                got = status_of(self.server, method, path, {"Origin": origin}, None)
                self.assertEqual(got, 403, (origin, method, path))
            with self.assertRaises(HandshakeError) as e:
                WebSocket(p, "/logs/ws", headers={"Origin": origin})
            self.assertEqual(e.exception.status, 403)

    def test_cross_site_subresources(self):
        """links lead here, from other ports of this machine, too; nothing here is a part of another page"""
        for site in ("cross-site", "same-site"):
            h = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}
            self.assertEqual(self.server.get("/search", headers=h).status, 403)
            h["Sec-Fetch-Mode"] = "navigate"
            for dest in ("iframe", "embed", "object", "frame", "fencedframe"):
                h["Sec-Fetch-Dest"] = dest
                self.assertEqual(self.server.get("/api/v1/report", headers=h).status, 403, dest)
            h["Sec-Fetch-Dest"] = "document"
            self.assertEqual(self.server.get("/", headers=h).status, 200)
            self.assertEqual(self.server.post("/log", {"a": 1}, headers=h).status, 403)
        for site in ("same-origin", "none"):
            h = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
            self.assertEqual(self.server.get("/search", headers=h).status, 200)

    def test_nothing_with_data_is_kept_by_caches_or_read_by_others(self):
        self.server.ingest([{"agent": "a", "message": "m", "trace_id": "t", "session_id": "s"}])
        paths = [p for p, ms in self.server.get("/openapi.json").json()["paths"].items() if "get" in ms]
        paths += ["/api/v1/query?q=*&format=" + f for f in ("ndjson", "csv", "text")]
        paths += ["/api/v1/report?format=md", "/nosuch", "/api/v1/query?q=("]
        for path in paths:
            path = path.replace("{id}", "t").replace("{name}", "a").replace("{trace_id}", "t")
            if path in ("/logs/ws", "/stream", "/api/v1/tail/ws", "/api/v1/tail"):
                continue
            query = "?timeout=0" if "tail" in path else ""
            r = self.server.get(path + query)
            self.assertEqual(r.headers["X-Content-Type-Options"], "nosniff", path)
            self.assertEqual(r.headers["Cross-Origin-Resource-Policy"], "same-origin", path)
            if path != "/" or not r.headers["Content-Type"].startswith("text/html"):
                self.assertEqual(r.headers["Cache-Control"], "no-store", path)
            if not r.headers["Content-Type"].startswith("application/json") and path != "/metrics":
                self.assertTrue(r.headers["Content-Security-Policy"].startswith("sandbox"), path)

    def test_no_cors_headers(self):
        for method in ("GET", "OPTIONS", "POST"):
            r = self.server.request(method, "/log" if method == "POST" else "/search",
                                    body="{}" if method == "POST" else None)
            for name in r.headers:
                self.assertFalse(name.lower().startswith("access-control"), name)

    def test_the_page_has_a_strict_policy(self):
        r = self.server.get("/", headers={"Accept": "text/html"})
        policy = r.headers["Content-Security-Policy"]
        for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'",
                     "script-src 'sha256-", "style-src 'sha256-", "connect-src 'self'",
                     "require-trusted-types-for 'script'", "trusted-types 'none'"):
            self.assertIn(part, policy)
        self.assertNotIn("unsafe", policy)
        self.assertNotIn("*", policy)
        text = r.text()
        for tag, name in (("script", "script-src"), ("style", "style-src")):
            inline = re.search("<%s>(.*?)</%s>" % (tag, tag), text, re.S).group(1)
            digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
            self.assertIn("%s 'sha256-%s'" % (name, digest), policy)
        self.assertIsNone(re.search(r'\s(on\w+|style)="', text))

    def test_the_page_makes_no_markup_of_text(self):
        """the library it is made with could, and the policy forbids it; our own code does not ask"""
        source = os.path.join(os.environ["FLEETLOG_SOURCE"], "web", "src")
        files = [os.path.join(at, name) for at, _, names in os.walk(source) for name in names]
        self.assertGreater(len(files), 20)
        for path in files:
            with open(path, encoding="utf-8") as f:
                self.assertIsNone(re.search(r"(inner|outer)HTML|insertAdjacent|SetInner|"
                                            r"document\.write|\beval\(|new Function", f.read()), path)

    def test_errors_echo_nothing_as_html(self):
        for path in ("/%3Cscript%3Ealert(1)%3C/script%3E", "/search?limit=%3Cb%3E",
                     "/api/v1/query?q=%3Cscript%3E("):
            r = self.server.get(path, headers={"Accept": "text/html"})
            self.assertTrue(r.headers["Content-Type"].startswith("application/json"), path)
            self.assertEqual(r.headers["X-Content-Type-Options"], "nosniff")

    def test_verbs(self):
        for method in ("TRACE", "CONNECT", "BREW", "PUT"):
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as c:
                c.sendall(("%s /search HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                           % method).encode())
                self.assertIn(c.recv(20).split()[1], (b"405", b"400", b"501"), method)
        r = self.server.request("POST", "/search", headers={"X-HTTP-Method-Override": "GET"})
        self.assertEqual(r.status, 405)

    def test_the_server_header_tells_no_version(self):
        self.assertEqual(self.server.get("/health").headers["Server"], "fleetlog")


class TestNetwork(unittest.TestCase):
    def test_another_address_needs_keys(self):
        port = free_port()
        with Server("--listen", "0.0.0.0:%d" % port, "--insecure-http") as s:
            path = os.path.join(s.data_dir, "admin.key")
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
            self.assertEqual(stat.S_IMODE(os.stat(s.data_dir).st_mode) & 0o077, 0)
            with open(path) as f:
                key = f.read().strip()
            self.assertIn("admin.key", s.out)
            self.assertNotIn(key, s.out + s.err)
            self.assertEqual(s.get("/search").status, 401)
            self.assertEqual(s.get("/search", headers=bearer(key)).status, 200)
            s.restart()
            self.assertEqual(s.get("/search", headers=bearer(key)).status, 200)
            with open(path) as f:
                self.assertEqual(f.read().strip(), key)

    def test_without_tls_or_a_word_it_does_not_start(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([BIN, "serve", "--listen", "0.0.0.0:%d" % free_port(),
                                   "--data-dir", folder], capture_output=True, text=True,
                                  timeout=60)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("unencrypted", done.stderr)


if __name__ == "__main__":
    unittest.main()
