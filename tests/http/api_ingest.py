"""POST /api/v1/ingest: what is taken, what is refused and how, repeats, and the books."""
import base64
import gzip
import http.client
import json
import os
import random
import signal
import threading
import unittest
import zlib

from fleetlog import Server, wait_until


class Ingest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def post(self, body, query=None, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        return self.server.post("/api/v1/ingest", body, query=query, headers=headers)

    def rows(self, q):
        r = self.server.get("/api/v1/query", query={"q": q, "limit": 10000, "order": "asc"})
        self.assertEqual(r.status, 200, r)
        return r.json()["rows"]

    def messages(self, agent):
        return [r["message"] for r in self.rows("agent:" + agent)]


class TestShapes(Ingest):
    def test_one_object(self):
        r = self.post({"agent": "one", "message": "hello"})
        self.assertEqual(r.status, 200, r)
        got = r.json()
        self.assertEqual((got["accepted"], got["rejected"], got["duplicates"], got["errors"]),
                         (1, 0, 0, []))
        self.assertEqual(got["first_seq"], got["last_seq"])
        self.assertEqual(self.rows("agent:one")[0]["seq"], got["first_seq"])

    def test_an_array(self):
        got = self.post([{"agent": "arr", "message": str(i)} for i in range(5)]).json()
        self.assertEqual(got["accepted"], 5)
        self.assertEqual(got["last_seq"] - got["first_seq"], 4)
        self.assertEqual(self.messages("arr"), ["0", "1", "2", "3", "4"])

    def test_ndjson_with_blank_lines_and_no_last_newline(self):
        body = '{"agent":"nd","message":"a"}\n\n{"agent":"nd","message":"b"}\r\n' \
               '{"agent":"nd","message":"c"}'
        self.assertEqual(self.post(body, Content_Type="application/x-ndjson").json()["accepted"], 3)
        self.assertEqual(self.messages("nd"), ["a", "b", "c"])

    def test_plain_text_lines(self):
        r = self.post("first line\nsecond line\n", query={"agent": "txt"},
                      Content_Type="text/plain")
        self.assertEqual((r.status, r.json()["accepted"]), (200, 2))
        self.assertEqual(self.messages("txt"), ["first line", "second line"])
        r = self.post("third line", query={"agent": "txt", "format": "text"})
        self.assertEqual(r.json()["accepted"], 1)

    def test_json_sent_as_text_plain_is_json(self):
        r = self.post('{"agent":"tp","message":"x"}', Content_Type="text/plain;charset=UTF-8")
        self.assertEqual(r.json()["accepted"], 1)
        self.assertEqual(self.messages("tp"), ["x"])

    def test_a_byte_order_mark_is_no_text(self):
        mark = b"\xef\xbb\xbf"
        for kind in ("application/json", "text/plain"):
            r = self.post(mark + b'{"agent":"bom","message":"j"}\n{"x":}', Content_Type=kind)
            self.assertEqual(r.json()["accepted"], 1, r)
            self.assertIn("at byte 38 of the body", r.json()["errors"][0]["reason"])
        r = self.post(mark + b"line", query={"agent": "bom"}, Content_Type="text/plain")
        self.assertEqual(r.json()["accepted"], 1, r)
        self.assertEqual(self.messages("bom"), ["j", "j", "line"])

    def test_a_default_agent(self):
        self.post([{"message": "a"}, {"agent": "own", "message": "b"}], query={"agent": "dflt"})
        self.assertEqual(self.messages("dflt"), ["a"])
        self.assertEqual(self.messages("own"), ["b"])

    def test_compressed_bodies(self):
        plain = json.dumps([{"agent": "zip", "message": "m%d" % i} for i in range(50)]).encode()
        for name, packed in (("gzip", gzip.compress(plain)), ("deflate", zlib.compress(plain))):
            r = self.post(packed, Content_Encoding=name)
            self.assertEqual((r.status, r.json()["accepted"]), (200, 50), name)
        self.assertEqual(len(self.messages("zip")), 100)
        self.assertEqual(self.post(b"not gzip", Content_Encoding="gzip").status, 400)
        self.assertEqual(self.post(plain, Content_Encoding="br").status, 415)

    def test_a_big_body_goes_through_the_pool(self):
        entries = [{"agent": "big", "message": "line %d " % i + "x" * 200} for i in range(10000)]
        body = "".join(json.dumps(e) + "\n" for e in entries)
        self.assertGreater(len(body), 2 << 20)
        r = self.post(body, Content_Type="application/x-ndjson")
        self.assertEqual((r.status, r.json()["accepted"]), (200, 10000))
        self.assertEqual(self.messages("big"), [e["message"] for e in entries])

    def test_an_empty_array_and_an_empty_body(self):
        r = self.post([])
        self.assertEqual((r.status, r.json()["accepted"]), (200, 0))
        self.assertIn(self.post("").status, (200, 400))


class TestRefusals(Ingest):
    def test_one_bad_entry_is_400_and_says_why(self):
        r = self.post({"agent": "bad", "message": "x", "timestamp": "soon"})
        self.assertEqual(r.status, 400)
        got = r.json()
        self.assertTrue(got["error"]["code"] and got["error"]["message"])
        self.assertEqual((got["accepted"], got["rejected"]), (0, 1))
        self.assertEqual(got["errors"][0]["index"], 0)
        self.assertTrue(got["errors"][0]["reason"])

    def test_the_good_ones_of_a_mixed_batch_are_kept(self):
        body = [{"agent": "mix", "message": "a"}, {"agent": "mix", "timestamp": "soon"},
                {"agent": "mix", "message": "c"}, 7]
        r = self.post(body)
        self.assertEqual(r.status, 200, r)
        got = r.json()
        self.assertEqual((got["accepted"], got["rejected"]), (2, 2))
        self.assertEqual([e["index"] for e in got["errors"]], [1, 3])
        self.assertEqual(self.messages("mix"), ["a", "c"])

    def test_atomic_refuses_all(self):
        body = [{"agent": "atom", "message": "a"}, {"agent": "atom", "timestamp": "soon"}]
        r = self.post(body, query={"atomic": "true"})
        self.assertEqual(r.status, 400, r)
        self.assertEqual(r.json()["accepted"], 0)
        self.assertEqual(self.rows("agent:atom"), [])
        self.assertEqual(self.post(body[:1], query={"atomic": "true"}).json()["accepted"], 1)

    def test_a_broken_line_costs_only_itself(self):
        body = '{"agent":"brk","message":"a"}\n{"agent":\n{"agent":"brk","message":"c"}\n'
        r = self.post(body, Content_Type="application/x-ndjson")
        self.assertEqual(r.status, 200, r)
        self.assertEqual((r.json()["accepted"], r.json()["rejected"]), (2, 1))
        self.assertEqual(self.messages("brk"), ["a", "c"])

    def test_nonsense_is_400(self):
        for body in ("nonsense", '{"a":', "[1,2", '"text"', "1", "\x00"):
            r = self.post(body)
            self.assertEqual(r.status, 400, (body, r))
            self.assertTrue(r.json()["error"]["message"], body)

    def test_invalid_utf8_is_400(self):
        self.assertEqual(self.post(b'{"agent":"u","message":"\xff\xfe"}').status, 400)

    def test_foreign_media_types_are_415(self):
        for t in ("image/png", "multipart/form-data; boundary=x", "application/x-protobuf"):
            r = self.post('{"message":"x"}', Content_Type=t)
            self.assertEqual((r.status, r.json()["error"]["code"]),
                             (415, "unsupported_media_type"), t)

    def test_bad_parameters(self):
        for name, value in (("atomic", "maybe"), ("format", "xml")):
            r = self.post({"message": "x"}, query={name: value})
            self.assertEqual(r.status, 400)
            self.assertIn(name, r.json()["error"]["message"])

    def test_server_fields_cannot_be_set(self):
        self.post({"agent": "assign", "message": "x", "seq": 1, "received_at": "1999-01-01T00:00:00Z",
                   "key_id": 9, "resolved": True})
        row = self.rows("agent:assign")[0]
        self.assertGreater(row["seq"], 1)
        self.assertGreater(row["received_at"], "2020")
        self.assertNotEqual(row.get("key_id"), 9)
        self.assertNotEqual(row.get("resolved"), True)


class TestRepeats(Ingest):
    def test_a_repeat_stores_nothing_and_gets_the_first_answer(self):
        body = json.dumps([{"agent": "idem", "message": str(i)} for i in range(3)])
        first = self.post(body, Idempotency_Key="k-1")
        again = self.post(body, Idempotency_Key="k-1")
        self.assertEqual((first.status, again.status), (200, 200))
        a, b = first.json(), again.json()
        self.assertEqual((a["accepted"], a["duplicates"]), (3, 0))
        self.assertEqual((b["accepted"], b["duplicates"]), (3, 3))
        self.assertEqual((a["first_seq"], a["last_seq"]), (b["first_seq"], b["last_seq"]))
        self.assertEqual(len(self.messages("idem")), 3)

    def test_another_body_under_the_same_key_is_409(self):
        self.post({"agent": "conf", "message": "a"}, Idempotency_Key="k-2")
        r = self.post({"agent": "conf", "message": "b"}, Idempotency_Key="k-2")
        self.assertEqual((r.status, r.json()["error"]["code"]), (409, "conflict"))
        self.assertEqual(self.messages("conf"), ["a"])

    def test_keys_are_checked(self):
        self.assertEqual(self.post({"message": "x"}, Idempotency_Key="k" * 256).status, 400)

    def test_concurrent_repeats_store_once(self):
        body = json.dumps({"agent": "race", "message": "once"})
        answers = []

        def send():
            answers.append(self.post(body, Idempotency_Key="k-race").json())

        threads = [threading.Thread(target=send) for _ in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(self.messages("race"), ["once"])
        self.assertEqual(len({a["first_seq"] for a in answers}), 1)
        self.assertEqual(sum(a["duplicates"] for a in answers), 11)

    def test_a_repeat_is_known_after_kill_and_restart(self):
        with Server() as s:
            headers = {"Idempotency-Key": "k-restart"}
            first = s.post("/api/v1/ingest", {"message": "x"}, headers=headers).json()
            s.kill()
            s.start()
            again = s.post("/api/v1/ingest", {"message": "x"}, headers=headers).json()
            self.assertEqual((again["first_seq"], again["duplicates"]), (first["first_seq"], 1))
            self.assertEqual(len(s.get("/api/v1/query").json()["rows"]), 1)


class TestLarge(unittest.TestCase):
    """Batches of more than a MiB have a file of their own beside the log (docs/format/wal.md)."""

    @staticmethod
    def body(mib):
        noise = random.Random(1)  # base64 of noise: nothing packs it
        return [{"agent": "large", "i": i,
                 "message": base64.b64encode(noise.randbytes(48 << 10)).decode()}
                for i in range(16 * mib)]

    @staticmethod
    def files(s):
        return sorted(n for n in os.listdir(os.path.join(s.data_dir, "wal")) if n.endswith(".big"))

    def stored(self, s, body):
        r = s.get("/api/v1/query", query={"q": "agent:large", "limit": 10000, "order": "asc",
                                          "format": "ndjson"}, timeout=120)
        rows = r.ndjson()
        self.assertEqual([(x["attributes"]["i"], x["message"]) for x in rows],
                         [(x["i"], x["message"]) for x in body])
        return [x["seq"] for x in rows]

    def test_acknowledged_and_there_after_a_kill(self):
        with Server() as s:
            s.post("/api/v1/ingest", {"agent": "small", "message": "before"})
            self.assertEqual(self.files(s), [])
            body, headers = self.body(2), {"Idempotency-Key": "k-large"}
            first = s.post("/api/v1/ingest", body, headers=headers).json()
            self.assertEqual((first["accepted"], first["first_seq"]), (32, 2))
            after = s.post("/api/v1/ingest", {"agent": "small", "message": "after"}).json()
            self.assertEqual(after["first_seq"], 34)
            self.assertEqual(s.get("/api/v1/status").json()["store"]["big_batches"], 1)
            self.assertEqual(self.files(s), ["000000000001.big"])
            s.kill()
            s.start()
            self.assertEqual(self.stored(s, body), list(range(2, 34)))
            again = s.post("/api/v1/ingest", body, headers=headers).json()
            self.assertEqual((again["first_seq"], again["duplicates"]), (2, 32))
            self.assertEqual(self.files(s), ["000000000001.big"])
            self.assertTrue(s.get("/api/v1/integrity").json()["ok"])

    def test_small_ones_beside_many_large_ones(self):
        """Every request is answered, and large ones are flushed: their files go."""
        with Server() as s:
            body, codes = self.body(6), []
            senders = [threading.Thread(target=lambda: codes.append(
                s.post("/api/v1/ingest", body, timeout=120).status)) for _ in range(6)]
            for t in senders:
                t.start()
            for i in range(50):
                self.assertEqual(s.post("/api/v1/ingest", {"agent": "small"}).status, 200)
            for t in senders:
                t.join()
            self.assertLessEqual(set(codes), {200, 503})
            rows = 50 + len(body) * codes.count(200)
            self.assertEqual(s.get("/api/v1/status").json()["store"]["watermark"], rows)

            def flushed():  # how many were refused above is nobody's promise: until there is enough
                s.post("/api/v1/ingest", body, timeout=120)
                return "000000000001.big" not in self.files(s)

            wait_until(flushed, 60, "the flush")


class TestTogether(unittest.TestCase):
    """Requests that one turn of a worker's loop reads share a batch; nobody can tell."""

    def send_together(self, server, requests):
        """All are waiting in the kernel when the server looks; the answers in their order."""
        conns = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
                 for _ in requests]
        for c in conns:  # open and known to the worker before it is stopped
            c.request("GET", "/ready")
            c.getresponse().read()
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: self.state(server) == "T", what="server stopped")
            for c, (path, body, headers) in zip(conns, requests):
                c.request("POST", path, body=body.encode(), headers=headers)
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        answers = []
        for c in conns:
            r = c.getresponse()
            answers.append((r.status, json.loads(r.read())))
            c.close()
        return answers

    def state(self, server):
        with open("/proc/%d/stat" % server.process.pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0]

    def batches(self, server):
        return server.get("/api/v1/status").json()["store"]["appended_batches"]

    def test_each_gets_its_own_answer(self):
        with Server("--workers", "1") as s:
            requests = []
            for i in range(56):
                entry = {"agent": "t", "message": "m%d" % i, "n": i}
                path, body, headers = "/api/v1/ingest", json.dumps(entry), {}
                if i % 8 == 1:
                    body = '{"agent":"t","message":"cut off'
                elif i % 8 == 2:
                    body = json.dumps({**entry, "timestamp": "soon"})
                elif i % 8 == 3:
                    body = "".join(json.dumps({**entry, "row": k}) + "\n" for k in range(3))
                elif i % 8 == 4:
                    headers = {"Idempotency-Key": "k%d" % (i // 16)}
                    body = json.dumps({"agent": "t", "message": "m%d" % (4 + i // 16 * 16)})
                elif i % 8 == 5:
                    path = "/api/v1/ingest?agent=other"
                    body = json.dumps({"message": "m%d" % i})
                elif i % 8 == 6:
                    path = "/log"
                requests.append((path, body, headers))
            before = self.batches(s)
            answers = self.send_together(s, requests)
            # /api/v1/ingest, /log, and each Idempotency-Key once
            self.assertEqual(self.batches(s) - before, 2 + 4)
            rows = s.get("/api/v1/query", query={"q": "*", "limit": 1000}).json()["rows"]
            at = {r["seq"]: r for r in rows}
            given, firsts = set(), {}
            for i, (status, got) in enumerate(answers):
                if i % 8 in (1, 2):
                    self.assertEqual((status, got["accepted"], got["rejected"]), (400, 0, 1))
                    continue
                self.assertEqual(status, 200, got)
                if i % 8 == 6:
                    continue
                want = 3 if i % 8 == 3 else 1
                self.assertEqual((got["accepted"], got["rejected"]), (want, 0))
                self.assertEqual(got["last_seq"] - got["first_seq"], want - 1)
                seqs = range(got["first_seq"], got["last_seq"] + 1)
                if i % 8 == 4:
                    self.assertEqual(firsts.setdefault(i // 16, seqs[0]), seqs[0])
                    self.assertEqual(at[seqs[0]]["message"], "m%d" % (4 + i // 16 * 16))
                    continue
                for seq in seqs:
                    self.assertNotIn(seq, given)
                    given.add(seq)
                    self.assertEqual(at[seq]["message"], "m%d" % i)
                    self.assertEqual(at[seq]["agent"], "other" if i % 8 == 5 else "t")
            self.assertEqual(len(rows), 7 * (1 + 3 + 1 + 1 + 1) + len(firsts))
            s.kill()
            s.start()
            again = s.get("/api/v1/query", query={"q": "*", "limit": 1000}).json()["rows"]
            self.assertEqual(again, rows)

    def test_keys_do_not_mix(self):
        with Server("--workers", "1", env={"FLEETLOG_API_KEY": "admin-secret-of-the-test"}) as s:
            s.key = "admin-secret-of-the-test"
            keys = [s.post("/api/v1/keys", {"name": a, "scopes": ["ingest"], "agent": a}).json()
                    for a in ("svc-*", "web-*")]
            requests = []
            for i in range(40):
                agent = ("svc-1", "web-1", None)[i % 3]
                entry = {"message": "m", "n": i}
                if agent:
                    entry["agent"] = agent
                requests.append(("/api/v1/ingest", json.dumps(entry),
                                 {"Authorization": "Bearer " + keys[i // 3 % 2]["secret"]}))
            for i, (status, got) in enumerate(self.send_together(s, requests)):
                self.assertEqual(status, 200 if i % 3 == i // 3 % 2 else 403, (i, got))
            rows = s.get("/api/v1/query", query={"q": "*", "limit": 100}).json()["rows"]
            self.assertEqual(sorted(r["n"] if "n" in r else r["attributes"]["n"] for r in rows),
                             [i for i in range(40) if i % 3 == i // 3 % 2])


class TestBooks(unittest.TestCase):
    def test_received_is_stored_plus_duplicate_plus_rejected_plus_failed(self):
        with Server() as s:
            s.post("/api/v1/ingest", [{"message": "a"}, {"timestamp": "soon"}, {"message": "b"}])
            for _ in range(2):
                s.post("/api/v1/ingest", {"message": "c"}, headers={"Idempotency-Key": "k"})
            s.post("/ingest", [{"agent": "x"}])
            s.post("/logs", {"message": "no agent"})
            s.post("/log", {"agent": "g"})
            got = s.get("/api/v1/status").json()["ingest"]
            self.assertEqual(got["received"], got["stored"] + got["duplicate"] + got["rejected"]
                             + got["failed"])
            self.assertEqual((got["stored"], got["duplicate"], got["rejected"]), (4, 1, 3))
            text = s.get("/metrics").text()
            self.assertIn("fleetlog_entries_received_total %d\n" % got["received"], text)
            self.assertIn("fleetlog_entries_stored_total 4\n", text)


if __name__ == "__main__":
    unittest.main()
