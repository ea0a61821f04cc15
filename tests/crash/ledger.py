"""What the crash judges share: writers that remember what they sent and what they were told, and the
comparison of that with what a restarted server holds.

A batch is `acked` when it was answered with 200, otherwise, once sent, it may be there or not: whole,
or not at all. Batches with an Idempotency-Key can be sent again after the crash (repeat_keyed)."""
import base64
import http.client
import json
import random
import threading
import zlib


class Objection(Exception):
    pass


class Batch:
    def __init__(self, n, large, key, body):
        self.n, self.large, self.key = n, large, key
        self.body = body if key else None
        self.seqs = None  # (first, last) once acknowledged


def rows_of(cycle, writer, batch, texts, **more):
    rows = [dict({"agent": "w%d" % writer, "message": text, "cycle": cycle, "batch": batch, "i": i,
                  "size": len(texts), "sum": zlib.crc32(text.encode())}, **more)
            for i, text in enumerate(texts)]
    return "\n".join(map(json.dumps, rows))


def answer_of(response, n):
    """(first, last, duplicates) of a 200 answer that took all n rows, None of any other."""
    body = response.read()
    if response.status != 200:
        return None
    a = json.loads(body)
    return (a["first_seq"], a["last_seq"], a["duplicates"]) if a["accepted"] == n else None


class Writer(threading.Thread):
    """Posts batches of 1 to 40 rows on one connection until the server goes away or `stop` is set.

    large, keyed: the share of batches that are larger than a MiB, and of those with an
    Idempotency-Key; noise: bytes of noise in each row of the others; easily_put_off: a refusal ends it;
    most: it ends by itself after so many bytes."""

    LARGE_ROWS = 40
    LARGE_TEXT = 24000  # bytes of noise a row, which no packing shortens: 1.25 MiB a batch

    def __init__(self, port, cycle, number, seed, large=0.0, keyed=0.0, noise=0,
                 easily_put_off=False, most=None):
        super().__init__(daemon=True)
        self.port, self.cycle, self.number = port, cycle, number
        self.rng = random.Random(seed)
        self.large, self.keyed, self.noise = large, keyed, noise
        self.easily_put_off, self.most = easily_put_off, most
        self.stop = threading.Event()
        self.sent, self.acked, self.refused = {}, set(), 0
        self.acked_large = self.bytes = 0

    def text(self, noise, i, batch):
        more = base64.b64encode(self.rng.randbytes(noise)).decode() if noise else ""
        return "row %d of batch %d%s" % (i, batch, more)

    def make(self, number):
        large = self.rng.random() < self.large
        n = self.LARGE_ROWS if large else self.rng.choice((1, 1, 2, 5, 40))
        noise = self.LARGE_TEXT if large else self.noise
        body = rows_of(self.cycle, self.number, number,
                       [self.text(noise, i, number) for i in range(n)])
        key = None
        if not large and self.rng.random() < self.keyed:
            key = "%d-%d-%d" % (self.cycle, self.number, number)
        self.bytes += len(body)
        self.sent[number] = Batch(n, large, key, body)
        return self.sent[number], body

    def run(self):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        number = 0
        try:
            while not self.stop.is_set() and (not self.most or self.bytes < self.most):
                batch, body = self.make(number)
                conn.request("POST", "/api/v1/ingest", body,
                             {"Idempotency-Key": batch.key} if batch.key else {})
                answer = answer_of(conn.getresponse(), batch.n)
                if answer:
                    batch.seqs = answer[:2]
                    self.acked.add(number)
                    self.acked_large += batch.large
                else:
                    self.refused += 1
                    if self.easily_put_off:
                        break
                number += 1
        except (OSError, http.client.HTTPException, ValueError):
            pass
        finally:
            conn.close()


def repeat_keyed(server, writers, rng):
    """Sends again what has a key: all that was not acknowledged, and some that was. Now it must be
    taken, and what had been acknowledged must be known. Returns how many were sent."""
    again = 0
    for w in writers:
        for number, batch in w.sent.items():
            acked = number in w.acked
            if not batch.key or (acked and rng.random() > 0.1):
                continue
            r = server.post("/api/v1/ingest", batch.body, headers={"Idempotency-Key": batch.key})
            a = r.json() if r.status == 200 else None
            what = "cycle %d: batch %d of writer %d sent again" % (w.cycle, number, w.number)
            if not a or a["accepted"] != batch.n:
                raise Objection("%s: %r" % (what, r))
            if a["duplicates"] not in ((batch.n,) if acked else (0, batch.n)):
                raise Objection("%s, acknowledged %s: %d of %d rows known"
                                % (what, acked, a["duplicates"], batch.n))
            if acked and (a["first_seq"], a["last_seq"]) != batch.seqs:
                raise Objection("%s: numbers %r, were %r" % (what, a, batch.seqs))
            batch.seqs = (a["first_seq"], a["last_seq"])
            w.acked.add(number)
            again += 1
    return again


def read_rows(server, query):
    """The rows that match, as dicts; an answer that says it is not whole is an objection."""
    r = server.get("/api/v1/query", query={"q": query, "limit": 1000000}, timeout=300)
    if r.status != 200:
        raise Objection("%s after restart: %r" % (query, r))
    a = r.json()
    if a["incomplete"] or a["truncated"]:
        raise Objection("%s after restart: not all of it: %r" % (query, r))
    return a["rows"]


def gather(what, rows):
    """{(writer, batch): {i: seq}} of rows; objects to a row twice, another text, a number twice."""
    stored, seqs = {}, set()
    for row in rows:
        a = row["attributes"]
        key = (int(row["agent"][1:]), a["batch"])
        have = stored.setdefault(key, {})
        if a["i"] in have:
            raise Objection("%s: row %s of batch %s is there twice" % (what, a["i"], key))
        have[a["i"]] = row["seq"]
        if a["sum"] != zlib.crc32(row["message"].encode()):
            raise Objection("%s: row %s of batch %s has another text" % (what, a["i"], key))
        if row["seq"] in seqs:
            raise Objection("%s: sequence number %d given twice" % (what, row["seq"]))
        seqs.add(row["seq"])
    return stored, seqs


def check_batch(what, batch, have, floor=0):
    """have: {i: seq} of a batch that is there, but for what retention took: numbers below floor."""
    first = min(have)
    if set(have) != set(range(first, batch.n)) or (first and have[first] != floor):
        raise Objection("%s: %d of %d rows" % (what, len(have), batch.n))
    if batch.seqs and [have[i] for i in sorted(have)] != list(range(batch.seqs[0] + first,
                                                                    batch.seqs[1] + 1)):
        raise Objection("%s: acknowledged as %d to %d, has %s"
                        % (what, batch.seqs[0], batch.seqs[1], sorted(have.values())))


def check_cycle(server, cycle, writers, highest, floor=0):
    """Compares what is stored of a cycle with what its writers know. highest: the highest sequence
    number seen before the cycle; floor: retention has taken what is below. Returns rows, acknowledgements, the highest number now."""
    stored, seqs = gather("cycle %d" % cycle, read_rows(server, "cycle=%d" % cycle))
    if seqs and min(seqs) <= highest:
        raise Objection("cycle %d: sequence numbers %d not above %d" % (cycle, min(seqs), highest))
    rows = acked = 0
    for w in writers:
        for batch in w.acked:
            acked += 1
            if (w.number, batch) not in stored and w.sent[batch].seqs[1] >= floor:
                raise Objection("cycle %d: acknowledged batch %d of writer %d is lost"
                                % (cycle, batch, w.number))
    by_number = {w.number: w for w in writers}
    for (number, batch), have in stored.items():
        w = by_number.get(number)
        if not w or batch not in w.sent:
            raise Objection("cycle %d: batch %d of writer %d was never sent" % (cycle, batch, number))
        check_batch("cycle %d: batch %d of writer %d" % (cycle, batch, number), w.sent[batch], have,
                    floor)
        rows += len(have)
    return rows, acked, max(seqs, default=highest)
