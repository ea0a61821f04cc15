"""Alert rules: states, deliveries that outlive the process, the guard, snooze, the API."""
import hashlib
import hmac
import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from fleetlog import BIN, SANITIZER, Server, free_port, wait_until

SECRET = "a secret of some length"
LOCAL = ("--alert-allow-net", "127.0.0.0/8")


class Receiver:
    """An HTTP server that keeps what is posted to it; `plan` holds the next statuses, then 200."""

    def __init__(self, port=0, plan=(), context=None, location=None, size=2):
        self.got, self.plan, self.lock = [], list(plan), threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.lock:
                    status = receiver.plan.pop(0) if receiver.plan else 200
                    receiver.got.append({"status": status, "headers": self.headers, "raw": body,
                                         "path": self.path, "json": json.loads(body)})
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                try:
                    self.wfile.write(b"x" * size)
                except OSError:
                    pass

            def log_message(self, *args):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, request, address):
                pass

        self.server = Quiet(("127.0.0.1", port), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = "http%s://127.0.0.1:%d/hook" % ("s" if context else "", self.port)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def accepted(self):
        with self.lock:
            return [g["json"] for g in self.got if g["status"] == 200]

    def events(self):
        return [(m["alert"], m["event"]) for m in self.accepted()]


def rule(**more):
    r = {"query": "level:error", "window": "10m", "every": "1s", "when": {"above": 2}}
    r.update(more)
    return {k: v for k, v in r.items() if v is not None}


class Alerts(unittest.TestCase):
    args = LOCAL

    def setUp(self):
        self.server = Server(*self.args)
        self.addCleanup(self.server.close)
        self.server.start()

    def receiver(self, *args, **kw):
        r = Receiver(*args, **kw)
        self.addCleanup(r.close)
        return r

    def put(self, name, status=201, **more):
        r = self.server.request("PUT", "/api/v1/alerts/" + name, body=rule(**more))
        self.assertEqual(r.status, status, r)
        return r.json()

    def get(self, name):
        return self.server.get("/api/v1/alerts/" + name).json()

    def errors(self, n, age=0, **more):
        now = time.time() - age
        self.server.ingest([dict({"timestamp": now, "agent": "a", "level": "error",
                                  "message": "boom"}, **more) for _ in range(n)])

    def state(self, name, want, seconds=20):
        return wait_until(lambda: self.get(name)["state"] == want and self.get(name), seconds,
                          "%s is %s (%s)" % (name, want, self.get(name)["state"]))

    def trial(self, name):
        r = self.server.post("/api/v1/alerts/%s/test" % name)
        self.assertEqual(r.status, 200, r)
        return r.json()

    def settled(self, name):
        """Every answer is recorded: from here on nothing is sent twice."""
        wait_until(lambda: all(d["status"] != "waiting" for d in self.get(name)["deliveries"]),
                   what="answers are recorded")

    def history(self, **query):
        return self.server.get("/api/v1/alerts/history", query=query).json()["history"]

    def moves(self, name):
        return [(h["from"], h["to"]) for h in reversed(self.history(alert=name, limit=1000))]


class TestLife(Alerts):
    def test_fires_delivers_and_resolves(self):
        hook = self.receiver()
        self.put("errs", send=[{"webhook": hook.url, "secret": SECRET}], window="3s",
                 about="many errors", labels={"team": "core"}, severity="critical")
        self.errors(3)
        m = wait_until(hook.accepted, what="a message")[0]
        self.assertEqual((m["event"], m["alert"], m["state"], m["value"], m["condition"]),
                         ("firing", "errs", "firing", 3, "above 2"))
        self.assertEqual((m["severity"], m["about"], m["labels"], m["query"], m["group"]),
                         ("critical", "many errors", {"team": "core"}, "level:error", {}))
        # the errors leave the window
        wait_until(lambda: len(hook.accepted()) == 2, what="the end")
        self.assertEqual(hook.events(), [("errs", "firing"), ("errs", "resolved")])
        self.assertEqual(self.moves("errs"), [("ok", "firing"), ("firing", "resolved")])
        self.assertEqual(self.get("errs")["state"], "resolved")

    def test_signature(self):
        hook = self.receiver()
        self.put("errs", send=[{"webhook": hook.url, "secret": SECRET}, {"webhook": hook.url + "2"}])
        self.errors(3)
        wait_until(lambda: len(hook.accepted()) == 2, what="two messages")
        signed = [g for g in hook.got if g["path"] == "/hook"][0]
        plain = [g for g in hook.got if g["path"] == "/hook2"][0]
        self.assertIsNone(plain["headers"]["Fleetlog-Signature"])
        parts = dict(p.split("=", 1) for p in signed["headers"]["Fleetlog-Signature"].split(","))
        self.assertLess(abs(int(parts["t"]) - time.time()), 60)
        want = hmac.new(SECRET.encode(), parts["t"].encode() + b"." + signed["raw"],
                        hashlib.sha256).hexdigest()
        self.assertEqual(parts["v1"], want)
        self.assertEqual(signed["headers"]["Fleetlog-Delivery"], signed["json"]["id"])
        self.assertEqual(signed["headers"]["Content-Type"], "application/json")
        self.assertNotEqual(signed["json"]["id"], plain["json"]["id"])

    def test_pending_until_for_has_passed(self):
        hook = self.receiver()
        self.errors(3)
        self.put("slow", send=[{"webhook": hook.url}], **{"for": "3s"})
        pending = self.state("slow", "pending")
        self.assertEqual(hook.got, [])
        firing = self.state("slow", "firing")
        since = [wait_until(lambda: x["groups"], what="groups")[0]["since"]
                 for x in (pending, firing)]
        self.assertNotEqual(*since)
        self.assertEqual(self.moves("slow"), [("ok", "pending"), ("pending", "firing")])

    def test_pending_that_ends_tells_nobody(self):
        hook = self.receiver()
        self.errors(3)
        self.put("brief", send=[{"webhook": hook.url}], window="3s", **{"for": "1h"})
        self.state("brief", "pending")
        self.state("brief", "ok")
        self.assertEqual(self.moves("brief"), [("ok", "pending"), ("pending", "ok")])
        self.assertEqual(hook.got, [])

    def test_groups(self):
        hook = self.receiver()
        self.errors(4, agent="x")
        self.errors(1, agent="y")
        self.errors(5, agent="z\"|quoted")
        self.put("by", by="agent", send=[{"webhook": hook.url}])
        wait_until(lambda: len(hook.accepted()) == 2, what="two messages")
        self.assertEqual(sorted((m["group"]["agent"], m["value"]) for m in hook.accepted()),
                         [("x", 4), ("z\"|quoted", 5)])
        groups = {g["group"]["agent"]: (g["state"], g["value"]) for g in self.get("by")["groups"]}
        self.assertEqual(groups, {"x": ("firing", 4), "y": ("ok", 1), "z\"|quoted": ("firing", 5)})

    def test_groups_are_bounded(self):
        for i in range(8):
            self.errors(1, agent="n%d" % i)
        self.put("many", by="agent", max_groups=5, when={"above": 0})
        r = self.state("many", "firing")
        self.assertEqual((len(r["groups"]), r["too_many_groups"]), (5, True))

    def test_columns(self):
        self.server.ingest([{"agent": "t", "tool": t, "duration_ms": d, "message": "m"}
                            for t, d in (("read", 10), ("read", 30), ("write", 500))])
        self.put("slowest", query="tool:* | stats max(duration_ms) as top, count() as n by tool",
                 by=["tool"], value="top", when={"above": 100})
        r = self.state("slowest", "firing")
        self.assertEqual({g["group"]["tool"]: (g["value"], g["state"]) for g in r["groups"]},
                         {"write": (500, "firing"), "read": (30, "ok")})

    def test_change(self):
        self.errors(2, age=900)
        self.errors(7)
        self.put("rise", when={"rises": 100})
        self.put("fall", when={"falls": 50})
        self.put("small", when={"rises": 100, "at_least": 8})
        self.state("rise", "firing")
        t = self.trial("rise")["groups"][0]
        self.assertEqual((t["value"], t["before"], t["change_percent"]), (7, 2, 250))
        self.assertEqual(self.state("fall", "ok")["groups"], [
            dict(self.get("fall")["groups"][0], state="ok")])
        self.state("small", "ok")

    def test_absence(self):
        hook = self.receiver()
        self.errors(1, agent="steady")
        self.put("none", when={"absent": True}, query="agent:nobody", send=[{"webhook": hook.url}])
        wait_until(lambda: hook.events() == [("none", "firing")], what="absence")
        self.assertIsNone(self.put("some", when={"absent": True})["error"])
        self.state("some", "ok")
        # one group of several falls silent
        self.put("silent", when={"absent": True}, window="2s", by="agent",
                 send=[{"webhook": hook.url}], query="agent:s*")
        self.errors(1, agent="s1")
        wait_until(lambda: ("silent", "firing") in hook.events(), what="silence")
        self.assertEqual(hook.accepted()[-1]["group"], {"agent": "s1"})
        self.settled("silent")
        self.server.kill()
        self.server.start()
        self.errors(1, agent="s1")
        wait_until(lambda: ("silent", "resolved") in hook.events(), what="its voice")

    def test_new_issues(self):
        hook = self.receiver()
        self.errors(2, message="known before the rule")
        self.put("news", query=None, window=None, when={"new_issue": True},
                 send=[{"webhook": hook.url}, {"log": True}], severity="critical")
        self.errors(2, message="never seen before")
        m = wait_until(hook.accepted, what="the news")[0]
        self.assertEqual((m["event"], m["condition"], m["group"]["title"], m["group"]["came"]),
                         ("firing", "a new issue", "never seen before", "new"))
        issue = "/api/v1/issues/" + m["group"]["issue"]
        self.settled("news")
        self.server.kill()
        self.server.start()
        self.errors(2, message="never seen before")
        wait_until(lambda: self.get("news")["evaluated"], what="an evaluation")
        self.assertEqual(self.get("news")["state"], "firing")
        self.assertEqual(self.server.patch(issue, {"state": "resolved", "by": "ana"}).status, 200)
        wait_until(lambda: hook.events() == [("news", "firing"), ("news", "resolved")],
                   what="the end")
        self.errors(1, message="never seen before")
        wait_until(lambda: len(hook.accepted()) == 3, what="its return")
        self.assertEqual(hook.accepted()[2]["group"]["came"], "back")
        # the log entries of alerts are errors by their level, but no issues to be told of
        found = wait_until(lambda: [r for r in [self.server.get("/api/v1/query", query={
            "q": "agent:fleetlog event:alert"}).json()["rows"]] if len(r) == 3], what="entries")[0]
        self.assertEqual(found[0]["level"], "critical")
        self.assertEqual([g["state"] for g in self.trial("news")["groups"]], ["firing"])
        self.assertEqual(len(hook.accepted()), 3)

    def test_new_issues_wait_for_room(self):
        hook = self.receiver()
        self.put("news", query=None, window=None, when={"new_issue": True}, max_groups=2,
                 send=[{"webhook": hook.url}])
        for word in ("apple", "birch", "cedar"):
            self.errors(1, message="no such tree: %s" % word, error_type=word)
        wait_until(lambda: len(hook.accepted()) == 2, what="two of them")
        first = hook.accepted()[0]["group"]["issue"]
        self.server.patch("/api/v1/issues/" + first, {"state": "ignored", "by": "ana"})
        wait_until(lambda: len({m["group"]["issue"] for m in hook.accepted()}) == 3,
                   what="the third")

    def test_hysteresis(self):
        hook = self.receiver()
        self.put("hyst", send=[{"webhook": hook.url}], when={"above": 4, "clear": 1},
                 query="topic:h | stats sum(v) as v", value="v", window="30m", keep="1s")
        self.server.ingest([{"agent": "a", "topic": "h", "v": 5, "message": "m"}])
        self.state("hyst", "firing")
        self.server.ingest([{"agent": "a", "topic": "h", "v": -2, "message": "m"}])
        wait_until(lambda: self.get("hyst")["groups"][0]["value"] == 3, what="3 is seen")
        self.assertEqual(self.get("hyst")["state"], "firing")  # below 4, not at 1
        self.assertEqual(self.trial("hyst")["groups"][0]["next_state"], "firing")
        self.server.ingest([{"agent": "a", "topic": "h", "v": -2, "message": "m"}])
        self.state("hyst", "resolved")
        self.assertEqual(hook.events(), [("hyst", "firing"), ("hyst", "resolved")])

    def test_repeat(self):
        hook = self.receiver()
        self.errors(3)
        self.put("again", send=[{"webhook": hook.url}], repeat="1s")
        wait_until(lambda: len(hook.accepted()) >= 3, what="three messages")
        self.assertEqual([e for _, e in hook.events()][:3],
                         ["firing", "still_firing", "still_firing"])

    def test_log_entry(self):
        self.errors(3)
        self.put("logged", send=[{"log": True}], by="agent", severity="critical")
        found = wait_until(lambda: self.server.get("/api/v1/query", query={
            "q": "agent:fleetlog event:alert"}).json()["rows"], what="the entry")
        e = found[0]
        self.assertEqual(e["message"], "alert logged fires: agent=a, value 3 (above 2)")
        self.assertEqual((e["level"], e["status"]), ("critical", "firing"))
        self.assertEqual((e["attributes"]["alert"], e["attributes"]["value"]), ("logged", 3))
        # what alerts wrote does not feed alerts
        self.put("all", query="agent:fleetlog event:alert", when={"above": 0})
        self.assertEqual(self.trial("all")["groups"][0]["value"], 0)

    def test_metrics_of_the_server(self):
        self.put("disk", query=None, metric="disk_free_percent", when={"below": 100.5}, window=None)
        self.state("disk", "firing")
        self.assertTrue(0 <= self.trial("disk")["groups"][0]["value"] <= 100)
        self.put("refused", query=None, metric="rejected_percent", when={"above": 20}, window="1h")
        self.state("refused", "ok")
        self.server.ingest([{"agent": "a", "message": "m"}])
        bad = self.server.post("/api/v1/ingest", "1\n2\n" + json.dumps({"message": "m"}) + "\n",
                               headers={"Content-Type": "application/x-ndjson"})
        self.assertEqual(bad.json()["rejected"], 2, bad)
        self.assertEqual(self.state("refused", "firing")["groups"][0]["value"], 50)
        self.put("rate", query=None, metric="stored_per_second", when={"below": 1000000},
                 window="1m")
        self.state("rate", "firing")
        text = self.server.get("/metrics").text()
        for line in ("fleetlog_alert_rules 3", "fleetlog_alerts_firing 3",
                     "fleetlog_alert_rules_failing 0"):
            self.assertIn(line + "\n", text)


class TestOutbox(Alerts):
    def test_failing_receiver_is_tried_again(self):
        hook = self.receiver(plan=[500, 503])
        self.errors(3)
        self.put("errs", send=[{"webhook": hook.url}])
        wait_until(hook.accepted, what="the third attempt")
        self.assertEqual([g["status"] for g in hook.got], [500, 503, 200])
        self.assertEqual(len({g["headers"]["Fleetlog-Delivery"] for g in hook.got}), 1)
        self.assertEqual([g["headers"]["Fleetlog-Attempt"] for g in hook.got], ["1", "2", "3"])
        d = wait_until(lambda: [d for d in self.get("errs")["deliveries"] if d["done"]])[0]
        self.assertEqual((d["status"], d["attempts"], d["answer"]), ("delivered", 3, "HTTP 200"))

    def test_gone_is_given_up(self):
        hook = self.receiver(plan=[410])
        self.errors(3)
        self.put("errs", send=[{"webhook": hook.url}])
        d = wait_until(lambda: [d for d in self.get("errs")["deliveries"] if d["done"]])[0]
        self.assertEqual((d["status"], d["attempts"], d["answer"]), ("given up", 1, "HTTP 410"))

    def test_retry_after(self):
        hook = self.receiver(plan=[429])
        self.errors(3)
        self.put("errs", send=[{"webhook": hook.url}])
        wait_until(hook.accepted, what="the second attempt")

    def test_receiver_down_and_server_killed(self):
        port = free_port()
        self.errors(3)
        self.put("errs", send=[{"webhook": "http://127.0.0.1:%d/hook" % port}], window="1h")
        wait_until(lambda: any(d["attempts"] for d in self.get("errs")["deliveries"]),
                   what="an attempt that failed")
        self.server.kill()
        hook = self.receiver(port)
        self.server.start()
        wait_until(hook.accepted, what="the message after the restart")
        wait_until(lambda: self.get("errs")["deliveries"][0]["status"] == "delivered")
        # neither lost nor doubled, and the alert still fires
        self.server.restart()
        self.state("errs", "firing")
        wait_until(lambda: self.get("errs")["evaluated"], what="an evaluation")
        self.assertEqual(hook.events(), [("errs", "firing")])
        self.assertEqual(self.moves("errs"), [("ok", "firing")])

    def test_killed_while_pending_and_firing(self):
        hook = self.receiver()
        self.errors(3)
        self.put("errs", send=[{"webhook": hook.url}], window="1h", **{"for": "2s"})
        before = self.state("errs", "pending")["groups"][0]["since"]
        self.server.kill()
        self.server.start()
        wait_until(lambda: hook.events() == [("errs", "firing")], what="firing")
        wait_until(lambda: self.get("errs")["deliveries"][0]["status"] == "delivered")
        self.assertEqual([h["time"] for h in self.history(alert="errs") if h["to"] == "pending"],
                         [before])
        self.server.kill()
        self.server.start()
        wait_until(lambda: self.get("errs")["evaluated"], what="an evaluation")
        r = self.server.request("PATCH", "/api/v1/alerts/errs", body={"when": {"above": 50}})
        self.assertEqual(r.status, 200, r)
        wait_until(lambda: len(hook.accepted()) == 2, what="the end")
        self.assertEqual(hook.events(), [("errs", "firing"), ("errs", "resolved")])
        self.assertEqual(self.moves("errs"), [("ok", "pending"), ("pending", "firing"),
                                              ("firing", "resolved")])

    def test_the_end_waits_for_the_beginning(self):
        hook = self.receiver(plan=[500, 500])
        self.errors(3)
        self.put("errs", send=[{"webhook": hook.url}])
        wait_until(lambda: hook.got, what="an attempt")
        self.server.delete("/api/v1/alerts/errs")
        wait_until(lambda: len(hook.accepted()) == 2, what="both messages")
        self.assertEqual(hook.events(), [("errs", "firing"), ("errs", "resolved")])
        self.assertEqual(hook.accepted()[1]["note"], "the rule was deleted")

    def test_a_dead_receiver_stops_nobody(self):
        # it takes connections and never answers
        dead = socket.socket()
        dead.bind(("127.0.0.1", 0))
        dead.listen(64)
        self.addCleanup(dead.close)
        hook = self.receiver()
        for i in range(6):
            self.errors(3, agent="g%d" % i)
        url = "http://127.0.0.1:%d/" % dead.getsockname()[1]
        self.put("stuck", by="agent", send=[{"webhook": url, "timeout": "30s"}])
        self.state("stuck", "firing")
        self.put("alive", send=[{"webhook": hook.url}])
        wait_until(hook.accepted, seconds=10, what="the other's message")
        self.assertTrue(all(d["status"] == "waiting" for d in self.get("stuck")["deliveries"]))

    def test_timeout_and_large_answer(self):
        dead = socket.socket()
        dead.bind(("127.0.0.1", 0))
        dead.listen(4)
        self.addCleanup(dead.close)
        hook = self.receiver(size=10_000_000)
        self.errors(3)
        self.put("late", send=[{"webhook": "http://127.0.0.1:%d/" % dead.getsockname()[1],
                                "timeout": "200ms"}, {"webhook": hook.url}])
        d = wait_until(lambda: [d for d in self.get("late")["deliveries"] if d["attempts"]
                                and "200ms" in d["target"]["timeout"]])[0]
        self.assertEqual(d["answer"], "no answer in 200 ms")
        wait_until(lambda: [d for d in self.get("late")["deliveries"]
                            if d["status"] == "delivered"], what="the large answer's")


class TestGuard(Alerts):
    args = ()

    def refused(self, url, want, **target):
        self.count = getattr(self, "count", 0) + 1
        name = "g%d" % self.count
        self.errors(3)
        self.put(name, send=[dict({"webhook": url}, **target)])
        d = wait_until(lambda: [d for d in self.get(name)["deliveries"] if d["attempts"]],
                       what="an attempt")[0]
        self.assertEqual(d["status"], "waiting")
        self.assertIn(want, d["answer"])
        self.server.delete("/api/v1/alerts/" + name)

    def test_private_addresses(self):
        hook = self.receiver()
        for host, what in (("127.0.0.1", "a loopback address"), ("localhost", "a loopback address"),
                           ("127.1", "a loopback address"), ("0x7f000001", "a loopback address"),
                           ("2130706433", "a loopback address"), ("[::1]", "a loopback address"),
                           ("[::ffff:127.0.0.1]", "a loopback address"),
                           ("0.0.0.0", "an address of this machine"),
                           ("169.254.169.254", "a cloud metadata address"),
                           ("10.1.2.3", "a private address"), ("192.168.0.1", "a private address"),
                           ("[fe80::1]", "a link-local address"), ("[fd00::1]", "a private address")):
            with self.subTest(host=host):
                self.refused("http://%s:%d/" % (host, hook.port), what)
        self.assertEqual(hook.got, [])

    def test_addresses_that_are_no_webhooks(self):
        for url in ("ftp://example.com/", "file:///etc/passwd", "http://", "https://user@example.com/",
                    "http://example.com\\@127.0.0.1/", "gopher://127.0.0.1:25/", "http://a b/", ""):
            with self.subTest(url=url):
                r = self.server.request("PUT", "/api/v1/alerts/u", body=rule(send=[{"webhook": url}]))
                self.assertEqual(r.status, 400, r)

    def test_proxies_of_the_environment_are_not_used(self):
        proxy = self.receiver()
        self.server.stop()
        self.server.env.update({"http_proxy": proxy.url, "all_proxy": proxy.url})
        self.server.start()
        self.refused("http://127.0.0.1:1/", "a loopback address")
        self.assertEqual(proxy.got, [])


class TestOpened(Alerts):
    def test_redirects_are_not_followed(self):
        there = self.receiver()
        hook = self.receiver(plan=[302, 307], location=there.url)
        self.errors(3)
        self.put("errs", send=[{"webhook": hook.url}])
        wait_until(hook.accepted, what="an answer that is no redirect")
        self.assertEqual(there.got, [])

    @unittest.skipUnless(shutil.which("openssl"), "needs openssl")
    def test_certificates(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        cert, key = os.path.join(folder, "c.pem"), os.path.join(folder, "k.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=hook",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                       check=True, stderr=subprocess.DEVNULL)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        hook = self.receiver(context=context)
        self.errors(3)
        self.put("tls", send=[{"webhook": hook.url}], window="1h")
        d = wait_until(lambda: [d for d in self.get("tls")["deliveries"] if d["attempts"]])[0]
        self.assertIn("certificate", d["answer"])
        self.assertEqual(hook.got, [])
        self.server.stop()
        self.server.args += ["--alert-ca-file", cert]
        self.server.start()
        wait_until(hook.accepted, what="a message over https")


class TestCommands(Alerts):
    args = ("--alert-commands",)

    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def outcome(self, name):
        return wait_until(lambda: [d for d in self.get(name)["deliveries"] if d["attempts"]],
                          what="an attempt")[0]

    def test_a_program_gets_the_message(self):
        out = os.path.join(self.folder, "out")
        script = "cat >%s; env >%s.env; echo \"$1\" >%s.arg" % (out, out, out)
        self.server.stop()
        self.server.env["FLEETLOG_API_KEY"] = self.server.key = "static key of this server"
        self.server.start()
        self.server.post("/api/v1/ingest", json.dumps({"level": "error", "message": "m"}))
        self.put("run", send=[{"command": ["/bin/sh", "-c", script, "sh", "; $(id) `id`"]}],
                 when={"above": 0})
        self.assertEqual(self.outcome("run")["answer"], "exit 0")
        with open(out) as f:
            m = json.load(f)
        self.assertEqual((m["alert"], m["event"]), ("run", "firing"))
        with open(out + ".arg") as f:
            self.assertEqual(f.read(), "; $(id) `id`\n")
        with open(out + ".env") as f:
            env = f.read()
        self.assertIn("FLEETLOG_DELIVERY=" + m["id"], env)
        self.assertNotIn("static key", env)

    def test_failures(self):
        self.errors(3)
        self.put("exit", send=[{"command": ["/bin/sh", "-c", "echo no way >&2; exit 7"]}])
        self.put("none", send=[{"command": ["/nonexistent/program"]}])
        self.put("late", send=[{"command": ["/bin/sh", "-c", "sleep 600 & sleep 600"],
                                "timeout": "200ms"}])
        self.put("deaf", send=[{"command": ["/bin/true"]}])
        self.assertEqual(self.outcome("exit")["answer"], "exit 7: no way")
        self.assertIn("cannot run /nonexistent/program", self.outcome("none")["answer"])
        self.assertEqual(self.outcome("late")["answer"], "it was killed after 200 ms")
        self.assertEqual(self.outcome("deaf")["answer"], "exit 0")

    def test_not_without_the_option(self):
        with Server() as s:
            r = s.request("PUT", "/api/v1/alerts/c",
                          body=rule(send=[{"command": ["/bin/true"]}]))
            self.assertEqual(r.status, 403, r)
            self.assertIn("--alert-commands", r.json()["error"]["hint"])


class TestErrors(Alerts):
    def test_a_failing_rule_stops_no_other(self):
        hook = self.receiver()
        self.errors(3)
        self.put("bad", query="level:error | stats count() as n by message", value="n",
                 send=[{"webhook": hook.url}])
        self.put("good", send=[{"webhook": hook.url}])
        self.errors(3, message="another")
        bad = self.state("bad", "error")
        self.assertIn("several rows", bad["error"]["message"])
        wait_until(lambda: ("good", "firing") in hook.events(), what="the good one's message")
        self.assertIn(("ok", "error"), self.moves("bad"))
        # it is no end of an alert when nobody could look
        self.assertNotIn(("bad", "resolved"), hook.events())
        self.server.request("PATCH", "/api/v1/alerts/bad", body={"by": ["message"]})
        self.state("bad", "firing")

    def test_a_slow_query_ends_at_its_time(self):
        self.server.ingest([{"agent": "a", "message": "x" * 50 + str(i)} for i in range(20000)])
        self.put("slow", query="* | where len(message) > 1 | stats count_distinct(message) as n",
                 timeout="1ms", value="n")
        self.assertRegex(self.state("slow", "error")["error"]["message"],
                         "the query failed.*(time|long|deadline)")


class TestApi(Alerts):
    def test_create_read_update_delete(self):
        s = self.server
        r = s.post("/api/v1/alerts", rule(name="one", about="first"))
        self.assertEqual(r.status, 201, r)
        self.assertEqual(s.post("/api/v1/alerts", rule(name="one")).status, 409)
        self.assertEqual((r.json()["state"], r.json()["source"]), ("new", "api"))
        self.put("one", status=200, about="second")
        self.assertEqual(self.get("one")["about"], "second")
        r = s.request("PATCH", "/api/v1/alerts/one", body={"about": None, "window": "1h"}).json()
        self.assertEqual((r.get("about"), r["window"], r["query"]), (None, "1h", "level:error"))
        self.assertEqual([a["name"] for a in s.get("/api/v1/alerts").json()["alerts"]], ["one"])
        self.assertEqual(s.delete("/api/v1/alerts/one").json(), {"deleted": "one"})
        for method in ("GET", "DELETE"):
            self.assertEqual(s.request(method, "/api/v1/alerts/one").status, 404)
        self.assertEqual(s.request("PATCH", "/api/v1/alerts/one", body={}).status, 404)

    def test_what_is_shown_can_be_sent_back(self):
        self.put("one", send=[{"log": True}, {"webhook": "https://example.com/x?t=1", "secret": SECRET}],
                 by=["agent"], labels={"a": "b"}, keep="90s", repeat="2h", when={"below": 3, "clear": 5})
        shown = self.get("one")
        members = ("name enabled query by window every when for keep repeat timeout max_groups "
                   "severity labels send").split()
        again = {k: shown[k] for k in members}
        self.put(again.pop("name"), status=200, **again)
        self.assertEqual({k: self.get("one")[k] for k in again}, again)
        self.assertEqual(self.get("one")["changed"], shown["changed"])  # nothing changed

    def test_secrets_stay_inside(self):
        hook = self.receiver()
        send = [{"webhook": hook.url, "secret": SECRET}]
        self.put("one", send=send)
        for path in ("/api/v1/alerts", "/api/v1/alerts/one", "/api/v1/alerts/history"):
            self.assertNotIn(SECRET, self.server.get(path).text())
        shown = self.get("one")["send"]
        self.assertEqual(shown[0]["secret"], "***")
        self.errors(3)
        self.put("one", status=200, send=shown, about="the secret stays")
        g = wait_until(lambda: hook.got, what="a message")[0]
        stamp = g["headers"]["Fleetlog-Signature"].split(",")[0][2:]
        self.assertIn(hmac.new(SECRET.encode(), stamp.encode() + b"." + g["raw"],
                               hashlib.sha256).hexdigest(), g["headers"]["Fleetlog-Signature"])
        moved = [dict(shown[0], webhook="http://127.0.0.1:9/elsewhere")]
        r = self.server.request("PUT", "/api/v1/alerts/one", body=rule(send=moved))
        self.assertEqual((r.status, "give it again" in r.json()["error"]["hint"]), (400, True), r)

    def test_mistakes(self):
        cases = [
            ({"windw": "5m"}, "column", "did you mean window?"),
            ({"window": "5"}, "window must be a duration", "a number and"),
            ({"window": "500ms"}, "window must be 1s to 30d", ""),
            ({"every": "10ms"}, "every must be 1s to 1d", ""),
            ({"when": {"above": "x"}}, "above must be a number", ""),
            ({"when": {"above": 1, "below": 2}}, "when needs one condition, not 2", "above, below"),
            ({"when": {"abov": 1}}, "when has no 'abov'", "did you mean above?"),
            ({"when": {"above": 5, "clear": 6}}, "clear must be at or below the threshold", ""),
            ({"when": {"below": 5, "clear": 4}}, "clear must be at or above the threshold", ""),
            ({"when": {"falls": 100}}, "use absent", ""),
            ({"when": {"absent": False}}, "absent can only be true", ""),
            ({"when": None}, "does not say when it fires", "above: 10"),
            ({"query": None}, "has no query", "query: level:error"),
            ({"query": "level:error |"}, "in the query", ""),
            ({"query": "level:error | stat count()"}, "in the query, at byte", "stats"),
            ({"query": "| stats count() as n, max(duration_ms) as m"}, "which column is compared",
             "one of n, m"),
            ({"query": "| stats count() as n", "value": "m"}, "value 'm' is no column", "n"),
            ({"query": "| stats count() as n by tool", "by": "agent"}, "by 'agent' is no column",
             "tool"),
            ({"by": "a b"}, "is no name of a field", "[agent, tool]"),
            ({"by": ["a", "b", "c", "d", "e"]}, "4 fields at most", ""),
            ({"metric": "disk"}, "metric cannot be 'disk'", "disk_free_percent"),
            ({"metric": "disk_free_percent"}, "not both", ""),
            ({"severity": "bad"}, "severity cannot be 'bad'", "critical"),
            ({"send": {"log": True}}, "send must be a list", ""),
            ({"send": [{"log": True, "webhook": "https://a/"}]}, "one of webhook, command", ""),
            ({"send": [{"webhook": "https://a/", "secret": "short"}]}, "8 to 256 bytes", ""),
            ({"send": [{"webhook": "https://a/", "secret_env": "X"}]}, "for files", ""),
            ({"send": [{"command": ["ls"]}]}, "whole path", ""),
            ({"send": [{"log": True}] * 9}, "8 targets at most", ""),
            ({"max_groups": 1001}, "1 to 1000", ""),
            ({"labels": {str(i): "x" for i in range(17)}}, "16 labels at most", ""),
            ({"forget": "1h"}, "forget goes with absent", ""),
            ({"when": {"new_issue": True}, "window": None}, "takes no 'query'", "all issues"),
            ({"when": {"new_issue": True}, "query": None}, "knows no window", ""),
            ({"metric": "disk_free_percent", "query": None}, "knows no window", ""),
            ({"metric": "rejected_percent", "query": None, "window": "1s", "every": "2s"},
             "must be at least every", ""),
            ({"name": "other"}, "another in the path", ""),
        ]
        for more, message, hint in cases:
            with self.subTest(more=more):
                r = self.server.request("PUT", "/api/v1/alerts/r", body=rule(**more))
                self.assertEqual(r.status, 400, r)
                e = r.json()["error"]
                self.assertIn(message, e["message"])
                self.assertIn(hint, e.get("hint", ""))
        for body, message in (("{", "line 1, column"), ("[]", "must be a map"),
                              ('{"a":1,"a":2}', "given twice"), ("", "nothing in it")):
            r = self.server.request("PUT", "/api/v1/alerts/r", body=body)
            self.assertEqual(r.status, 400, r)
            self.assertIn(message, r.json()["error"]["message"])
        for name in ("history", "-x", "a%2Fb", "x" * 65, "a%20b"):
            r = self.server.request("PUT", "/api/v1/alerts/" + name, body=rule())
            self.assertIn(r.status, (400, 405), (name, r))
        self.assertEqual(self.server.get("/api/v1/alerts").json()["alerts"], [])

    def test_test_changes_nothing(self):
        hook = self.receiver()
        self.errors(3)
        t = self.server.post("/api/v1/alerts/trial/test", rule(send=[{"webhook": hook.url}],
                                                             by="agent")).json()
        self.assertEqual(t["query"], "level:error | stats count() as count by agent")
        self.assertEqual([(g["group"], g["value"], g["breached"], g["state"], g["next_state"])
                          for g in t["groups"]], [({"agent": "a"}, 3, True, "ok", "firing")])
        self.assertEqual(self.server.get("/api/v1/alerts/trial").status, 404)
        self.assertEqual(self.server.post("/api/v1/alerts/trial/test").status, 404)
        self.put("off", enabled=False, send=[{"webhook": hook.url}])
        self.assertEqual(self.trial("off")["groups"][0]["next_state"], "firing")
        self.assertEqual(self.get("off")["state"], "disabled")
        self.assertEqual((hook.got, self.history(alert="off")), ([], []))

    def test_snooze(self):
        hook = self.receiver()
        self.put("errs", send=[{"webhook": hook.url}], window="1h")
        snooze = "/api/v1/alerts/errs/snooze"
        for bad in ({}, {"for": "x"}, {"for": "1h", "until": None}, {"until": "now-1h"},
                    {"for": "400d"}, {"until": 5}):
            self.assertEqual(self.server.post(snooze, bad).status, 400, bad)
        r = self.server.post(snooze, {"for": "1h"}).json()
        self.assertTrue(r["snoozed_until"])
        self.assertIn("anyone", r["snoozed_by"])
        self.errors(3)
        self.state("errs", "firing")
        self.server.kill()  # a snooze outlives the process
        self.server.start()
        wait_until(lambda: self.get("errs")["evaluated"], what="an evaluation")
        self.assertTrue(self.get("errs")["snoozed_until"])
        self.assertEqual(hook.got, [])
        self.assertEqual(self.server.post(snooze, {"until": None}).json()["snoozed_until"], None)
        wait_until(lambda: hook.events() == [("errs", "firing")], what="what was held back")
        self.assertEqual([h["to"] for h in reversed(self.history(alert="errs"))],
                         ["snoozed", "firing", "awake"])

    def test_disabling_ends_what_fires(self):
        hook = self.receiver()
        self.errors(3)
        self.put("errs", send=[{"webhook": hook.url}])
        wait_until(hook.accepted, what="firing")
        self.server.request("PATCH", "/api/v1/alerts/errs", body={"enabled": False})
        wait_until(lambda: len(hook.accepted()) == 2, what="the end")
        self.assertEqual(hook.accepted()[1]["note"], "the rule was changed")
        self.assertEqual(self.get("errs")["groups"], [])

    def test_history_pages(self):
        self.errors(3)
        for i in range(5):
            self.put("r%d" % i)
            self.state("r%d" % i, "firing")
        first = self.server.get("/api/v1/alerts/history", query={"limit": 3}).json()
        rest = self.server.get("/api/v1/alerts/history",
                               query={"limit": 3, "before": first["next_before"]}).json()
        names = [h["alert"] for h in first["history"] + rest["history"]]
        self.assertEqual(sorted(names), ["r0", "r1", "r2", "r3", "r4"])
        self.assertIsNone(rest["next_before"])
        self.assertEqual(self.server.get("/api/v1/alerts/history", query={"limit": 0}).status, 400)

    def test_audit(self):
        self.put("one")
        self.server.request("PATCH", "/api/v1/alerts/one", body={"window": "1h"})
        self.server.post("/api/v1/alerts/one/snooze", {"for": "1h"})
        self.server.delete("/api/v1/alerts/one")
        rows = self.server.get("/api/v1/query", query={
            "q": "agent:fleetlog event:alert_rule alert:one", "order": "asc"}).json()["rows"]
        self.assertEqual([r["attributes"]["action"] for r in rows], ["created", "changed", "snoozed", "deleted"])
        self.assertTrue(all("no keys" in r["attributes"]["by"] for r in rows))

    def test_scopes_and_agents(self):
        s = self.server
        make = lambda **k: s.post("/api/v1/keys", k).json()["secret"]
        admin = make(name="root", scopes=["admin", "read", "ingest", "write-marks"])
        s.key = admin
        reader = make(name="reader", scopes=["read"])
        r = s.request("PUT", "/api/v1/alerts/one", body=rule(
            send=[{"webhook": "https://example.com/token/abc"}]))
        self.assertEqual(r.status, 201, r)
        self.assertIn("key 1 (root)", r.json()["changed_by"])
        s.key = reader
        self.assertEqual(self.get("one")["send"], [{"webhook": "https://example.com/..."}])
        for method, path in (("PUT", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/snooze")):
            r = s.request(method, "/api/v1/alerts/one" + path, body=rule())
            self.assertEqual(r.status, 403, (method, r))
        self.assertEqual(s.post("/api/v1/alerts/one/test").status, 200)

    def test_a_bound_key_sees_its_own(self):
        s = self.server
        s.key = s.post("/api/v1/keys", {"name": "root", "scopes": [
            "admin", "read", "ingest", "write-marks"]}).json()["secret"]
        bound = s.post("/api/v1/keys", {"name": "web", "agent": "web-*", "scopes": [
            "admin", "read", "write-marks"]}).json()["secret"]
        self.errors(3, agent="web-1")
        self.errors(5, agent="db")
        self.put("all", by="agent")
        self.state("all", "firing")
        root, s.key = s.key, bound
        self.assertEqual(s.get("/api/v1/alerts").json()["alerts"], [])
        self.assertEqual(s.get("/api/v1/alerts/all").status, 404)
        self.assertEqual(s.request("PUT", "/api/v1/alerts/all", body=rule()).status, 409)
        self.assertEqual(s.delete("/api/v1/alerts/all").status, 404)
        self.assertEqual(s.post("/api/v1/alerts/all/snooze", {"for": "1h"}).status, 404)
        self.put("mine", by="agent")
        self.state("mine", "firing")
        self.assertEqual([g["group"] for g in self.get("mine")["groups"]], [{"agent": "web-1"}])
        self.assertEqual({h["alert"] for h in self.history()}, {"mine"})
        s.key = root
        self.assertEqual({h["alert"] for h in self.history()}, {"mine", "all"})
        # what a bound key's rule looks at stays so when another changes it
        s.request("PATCH", "/api/v1/alerts/mine", body={"when": {"above": 1}})
        self.assertEqual(self.get("mine")["agents"], "web-*")


class TestFile(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, "alerts.yaml")

    def write(self, text):
        with open(self.path, "w") as f:
            f.write(text)

    def server(self, *args, **kw):
        s = Server("--alerts", self.path, *LOCAL, *args, **kw)
        self.addCleanup(s.close)
        return s.start()

    def reload(self, s, want):
        seen = len(s.err)
        s.process.send_signal(signal.SIGHUP)
        wait_until(lambda: want in s.err[seen:], what=want)

    def test_rules_of_a_file(self):
        hook = Receiver()
        self.addCleanup(hook.close)
        self.write("alerts:\n- name: f\n  query: 'level:error'\n  every: 1s\n  when: {above: 0}\n"
                   "  send:\n  - webhook: %s\n    secret_env: HOOK_SECRET\n" % hook.url)
        s = self.server(env={"HOOK_SECRET": SECRET})
        s.ingest([{"agent": "a", "level": "error", "message": "m"}])
        g = wait_until(lambda: hook.got, what="a message")[0]
        stamp = g["headers"]["Fleetlog-Signature"].split(",")[0][2:]
        self.assertIn(hmac.new(SECRET.encode(), stamp.encode() + b"." + g["raw"],
                               hashlib.sha256).hexdigest(), g["headers"]["Fleetlog-Signature"])
        r = s.get("/api/v1/alerts/f").json()
        self.assertEqual((r["source"], r["send"][0]["secret_env"]), ("file", "HOOK_SECRET"))
        self.assertNotIn("secret", r["send"][0])
        for method in ("PUT", "PATCH", "DELETE"):
            r = s.request(method, "/api/v1/alerts/f", body=rule())
            self.assertEqual((r.status, "SIGHUP" in r.json()["error"]["hint"]), (409, True), r)
        self.assertEqual(s.post("/api/v1/alerts/f/snooze", {"for": "1h"}).status, 200)
        # a restart with the same file changes nothing
        s.restart()
        wait_until(lambda: s.get("/api/v1/alerts/f").json()["evaluated"], what="an evaluation")
        self.assertEqual(len(hook.got), 1)
        self.assertEqual(s.get("/api/v1/alerts/f").json()["state"], "firing")
        # gone from the file: it ends, and who was told hears of it
        self.write("alerts: []\n")
        self.reload(s, "alert rules loaded")
        wait_until(lambda: len(hook.accepted()) == 2, what="the end")
        self.assertEqual((hook.accepted()[1]["event"], hook.accepted()[1]["note"]),
                         ("resolved", "the rule was deleted"))
        self.assertEqual(s.get("/api/v1/alerts").json()["alerts"], [])

    def test_a_bad_file_on_reload_changes_nothing(self):
        self.write("- name: a\n  query: x\n  when: {above: 1}\n")
        s = self.server()
        self.write("- name: a\n  query: x\n  when: {above: 1}\n- name: b\n  query: y\n"
                   "  wen: {above: 1}\n")
        self.reload(s, "stay as they were")
        self.assertIn("line 6, column 8: a rule has no 'wen'", s.err)
        self.assertIn("did you mean when?", s.err)
        self.assertEqual([a["name"] for a in s.get("/api/v1/alerts").json()["alerts"]], ["a"])

    def test_a_bad_file_at_start(self):
        for text, want in (
                ("", "nothing in it"), ("alerts: [{}]", "a rule needs a name"),
                ("alerts:\n- name: a\n  query: 'x | stat'\n  when: {above: 1}\n", "line 3: rule 'a'"),
                ("a: &x 1\n", "anchors"), ("alerts:\n\t- x\n", "line 2"), ("alerts: [\n", "not YAML"),
                ("- name: a\n  query: x\n  when: {above: 1}\n- name: a\n  query: x\n"
                 "  when: {above: 1}\n", "two rules 'a'"),
                ("- name: a\n  query: x\n  when: {above: 1}\n  send: [{command: [/bin/true]}]\n",
                 "runs no commands"),
                ("- name: a\n  query: x\n  when: {above: 1}\n  send: [{webhook: 'https://a/', "
                 "secret_env: NOT_SET_ANYWHERE}]\n", "NOT_SET_ANYWHERE is not set")):
            with self.subTest(text=text):
                self.write(text)
                data = os.path.join(self.folder, "data")
                p = subprocess.run([BIN, "serve", "--port", "0", "--data-dir", data, "--alerts",
                                    self.path], capture_output=True, text=True, timeout=60)
                self.assertNotEqual(p.returncode, 0)
                self.assertIn(want, p.stderr)
                self.assertIn("alerts.yaml", p.stderr)
                for mark in SANITIZER:
                    self.assertNotIn(mark, p.stderr)

    def test_documentation(self):
        source = os.environ.get("FLEETLOG_SOURCE") or os.path.dirname(os.path.dirname(
            os.path.dirname(os.path.abspath(__file__))))
        with open(os.path.join(source, "docs", "alerts.md")) as f:
            text = f.read()
        blocks = [b.split("```")[0] for b in text.split("```yaml\n")[1:]]
        self.assertEqual(len(blocks), 2)
        for block in blocks:
            self.write(block)
            with Server("--alerts", self.path) as s:
                names = [a["name"] for a in s.get("/api/v1/alerts").json()["alerts"]]
                self.assertEqual(sorted(names), sorted(
                    line.split(": ")[1] for line in block.splitlines() if "- name: " in line))
        # the message that is shown has the members of a real one
        shown = json.loads(text.split("```json\n")[1].split("```")[0])
        hook = Receiver()
        self.addCleanup(hook.close)
        self.write("- {name: m, query: 'agent:x', when: {above: -1}, every: 1s, send: "
                   "[{webhook: '%s'}]}\n" % hook.url)
        self.server()
        real = wait_until(hook.accepted, what="a message")[0]
        self.assertEqual(list(shown), list(real))

    def test_examples(self):
        source = os.environ.get("FLEETLOG_SOURCE") or os.path.dirname(os.path.dirname(
            os.path.dirname(os.path.abspath(__file__))))
        shutil.copy(os.path.join(source, "examples", "alerts.yaml"), self.path)
        s = self.server()
        rules = {a["name"]: a for a in s.get("/api/v1/alerts").json()["alerts"]}
        for name in ("log-ingestion-rate", "disk-space", "log-parsing-errors"):
            self.assertIn(name, rules)
        self.assertGreater(len(rules), 5)
        wait_until(lambda: all(a["evaluated"] for a in s.get("/api/v1/alerts").json()["alerts"]),
                   what="all are evaluated")
        for a in s.get("/api/v1/alerts").json()["alerts"]:
            self.assertIsNone(a["error"], a)
            self.assertEqual(s.post("/api/v1/alerts/%s/test" % a["name"]).status, 200)
        self.assertEqual(s.get("/api/v1/alerts/log-ingestion-rate").json()["state"], "pending")


if __name__ == "__main__":
    unittest.main()
