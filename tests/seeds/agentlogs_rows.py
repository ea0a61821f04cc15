"""Rows of the shape AgentLogsBench has, and its 20 queries computed in plain Python.

Both are written for tests: few rows, many edges. Texts are null, hold the phrases whole, in pieces
that only come together where input meets output, in other case, with other separators; payloads have
nulls, empty objects, numbers of every kind; parents are missing or in another trace. The answers say
what the benchmark means: text is lower(input + " " + output), null read as empty; a token is a
maximal run of ASCII letters and digits in it."""
import random
import re

TYPES = ["GENERATION", "TOOL", "RETRIEVAL", "EVENT", "REASONING", "GUARDRAIL"]
PARAMS = {"tenant": "tenant_1", "app": "app_1", "trace_id": "trace_7", "request_key": "req_3",
          "workflow_variant": "tool \"first\"", "release_ring": "canary", "customer_tier": "pro",
          "traffic_cluster": "c\\1", "start_date": "2026-03-02", "end_date": "2026-03-05"}
PIECES = ["unable", "to", "open", "Unable to open", "unable_to open", "unable-to-open", "unable\nto open",
          "UNABLE TO OPEN it", "unable to", "open the file", "reopen", "timeouts", "a timeout", "Error 7",
          "terror", "retry budget depleted", "retry budget", "depleted", "transient upstream",
          "transient upstream failure", "timeout awaiting", "timeout awaiting headers", "headers missing",
          "connector timeout", "connector", "the deployment", "Rollback!", "transientness", "größer",
          "日本 error 語", "plain words here", ""]


def text(r):
    if r.random() < 0.15:
        return None
    return " ".join(r.choice(PIECES) for _ in range(r.randint(0, 5)))


def pair(r):
    """an input and an output; now and then they make a phrase only together"""
    if r.random() < 0.9:
        return text(r), text(r)
    words = r.choice(["unable to open", "retry budget depleted", "transient upstream failure",
                      "timeout awaiting headers", "Connector Timeout"]).split()
    k = r.randint(1, len(words) - 1)
    return " ".join([text(r) or ""] + words[:k]), " ".join(words[k:] + [text(r) or ""])


def make(n, seed):
    """n rows in the order of their sending"""
    r = random.Random(seed)
    rows = []
    for i in range(n):
        trace = "trace_%d" % r.randint(0, n // 10)
        kind = r.choice(TYPES)
        day = r.randint(1, 7)
        attr = {"release_ring": r.choice(["stable", "canary", "shadow", None]),
                "customer_tier": r.choice(["pro", "business"]),
                "retrieval_strategy": r.choice(["hybrid", "hybrid_rerank", "dense"]),
                "surface": r.choice(["api", "workflow_runner", "chat"]),
                "prompt_template_version": r.choice(["pt_2026_03_2", "pt_2026_04_1", "pt_x"]),
                "traffic_cluster": r.choice(["c\\1", "c2"]), "request_key": "req_%d" % r.randint(0, 9),
                "workflow_variant": r.choice(["tool \"first\"", "chat"]),
                "policy_pack": r.choice(["default", "strict"]),
                "deployment_channel": r.choice(["a", "b", "c"])}
        if r.random() < 0.2:
            del attr[r.choice(sorted(attr))]
        payload = {"attr": attr, "odd": [r.choice([None, 1, 1.0, -0.5, 1e30, "x", True, [], {}, {"a.b": [{}]}])]}
        if r.random() < 0.5:
            payload["provider"] = {"stop_reason": r.choice(["end", "tool_use", None]),
                                   "cache_hit": r.choice([True, False, None])}
        sent, got = pair(r)
        parent = r.choice([None, "obs_%d" % r.randint(0, n - 1), "obs_%d" % r.randint(0, n - 1), "obs_x"])
        rows.append({
            "event_time": "2026-03-%02d %02d:%02d:%02d" % (day, r.randint(0, 2), r.randint(0, 59),
                                                           r.randint(0, 59)),
            "biz_date": "2026-03-%02d" % day, "trace_id": trace, "session_id": "s" + trace,
            "observation_id": "obs_%d" % i, "parent_observation_id": parent, "seq_no": i, "type": kind,
            "status": r.choice(["ok", "ok", "error", "warn"]), "tenant": "tenant_%d" % r.randint(1, 3),
            "app": "app_%d" % r.randint(1, 2), "environment": r.choice(["prod", "dev"]),
            "model": r.choice(["m1", "m2", None]),
            "tool_name": r.choice(["sh", "grep", None]) if kind == "TOOL" else None,
            "input": sent, "output": got, "input_tokens": r.randint(0, 9000),
            "output_tokens": r.randint(0, 900), "total_cost": r.randint(0, 10 ** 6) / 10 ** 6,
            "latency_ms": r.randint(0, 400), "payload": payload})
    return rows


def token(word):
    rx = re.compile("(?<![0-9a-z])%s(?![0-9a-z])" % word)
    return lambda row: bool(rx.search(row["text"]))


def key(value):
    """null first, then by bytes or number"""
    return (value is not None, value.encode() if isinstance(value, str) else value)


class Answers:
    """joiner: what stands between input and output"""

    def __init__(self, rows, params, joiner=" "):
        self.p = params
        self.rows = []
        for row in rows:
            a = row["payload"].get("attr", {})
            texts = [(row[k] or "").lower() for k in ("input", "output")]
            more = {"text": joiner.join(texts), "low_in": texts[0], "low_out": texts[1]}
            for k in ("release_ring", "customer_tier", "retrieval_strategy", "surface", "request_key",
                      "prompt_template_version", "traffic_cluster", "workflow_variant", "policy_pack",
                      "deployment_channel"):
                more[k] = a.get(k)
            self.rows.append(dict(row, **more))
        self.unable, self.open = token("unable"), token("open")

    def mine(self, r):
        return r["tenant"] == self.p["tenant"]

    def app(self, r):
        return self.mine(r) and r["app"] == self.p["app"]

    def dated(self, r):
        return self.p["start_date"] <= r["biz_date"] <= self.p["end_date"]

    def pick(self, test, columns, order, limit=None, **more):
        """rows by (name, descending) in turn, with constants"""
        found = [r for r in self.rows if test(r)]
        for name, down in reversed(order):
            found.sort(key=lambda r: key(r[name]), reverse=down)
        return [[more.get(c, r.get(c)) for c in columns.split()] for r in found[:limit]]

    def group(self, test, by, columns, order, limit=50):
        groups = {}
        for r in self.rows:
            if test(r):
                groups.setdefault(tuple(b(r) if callable(b) else r[b] for b in by), []).append(r)
        out = []
        for k, rs in groups.items():
            out.append(list(k) + [f(rs) for f in columns])
        for i, down in reversed(order):
            out.sort(key=lambda row: key(row[i]), reverse=down)
        return out[:limit]

    def all(self):
        """{"Q01": rows, ...} in the order asked for"""
        p, newest = self.p, [("event_time", True), ("trace_id", True), ("observation_id", True)]
        gtr = ("GENERATION", "TOOL", "RETRIEVAL")
        of = lambda *types: lambda r: r["type"] in types
        in_gtr, in_gtre = of(*gtr), of(*gtr, "EVENT")
        says = lambda *ps: lambda r: any(x in r["text"] for x in ps)
        both = lambda r: self.unable(r) and self.open(r)
        uto, n = says("unable to open"), len
        cost = lambda rs: sum(round(r["total_cost"] * 10 ** 6) for r in rs) / 10 ** 6
        avg = lambda rs: sum(r["latency_ms"] for r in rs) / len(rs)
        distinct = lambda c: lambda rs: len({r[c] for r in rs})
        total = lambda c: lambda rs: sum(r[c] for r in rs)
        kinds = {r["observation_id"]: r["type"] for r in self.rows}
        a = {}
        a["Q01"] = self.pick(lambda r: self.mine(r) and self.dated(r) and r["type"] in gtr[:2]
                             and r["status"] in ("ok", "error"),
                             "event_time trace_id observation_id seq_no type status model tool_name latency_ms",
                             [("event_time", True), ("seq_no", True)], 50)
        a["Q02"] = [[t, s, c, f, m, x] for t, s, c, f, m, x in self.group(
            self.dated, ["trace_id"],
            [lambda rs: min(r["event_time"] for r in rs), n, lambda rs: sum(r["status"] != "ok" for r in rs),
             cost, total("latency_ms")], [(4, True), (5, True), (0, False)])]
        trace = lambda r: r["trace_id"] == p["trace_id"]
        a["Q03"] = self.pick(trace, "trace_id seq_no type status model tool_name input output",
                             [("seq_no", False)])
        for r in self.rows:
            r["parent_type"], r["child_type"] = kinds.get(r["parent_observation_id"]), r["type"]
        a["Q04"] = self.pick(trace, "trace_id seq_no observation_id parent_observation_id parent_type child_type "
                             "status tool_name", [("seq_no", False)])
        a["Q05"] = self.pick(lambda r: self.app(r) and r["type"] == "TOOL" and r["status"] == "error" and both(r),
                             "event_time trace_id observation_id tool_name latency_ms text_score payload",
                             [("latency_ms", True), ("event_time", True)], 50, text_score=2)
        a["Q06"] = self.group(lambda r: True, ["type", "model"],
                              [n, total("input_tokens"), total("output_tokens"), cost, avg],
                              [(5, True), (6, True), (2, True), (3, True), (4, True), (0, False), (1, False)])
        a["Q07"] = self.pick(lambda r: in_gtr(r) and r["environment"] == "prod"
                             and r["release_ring"] in ("stable", "canary")
                             and r["retrieval_strategy"] in ("hybrid", "hybrid_rerank")
                             and r["surface"] in ("api", "workflow_runner")
                             and r["prompt_template_version"] in ("pt_2026_03_2", "pt_2026_04_1", "pt_2026_04_2"),
                             "event_time trace_id observation_id type status payload", newest, 50)
        a["Q08"] = self.pick(lambda r: self.mine(r) and both(r) and uto(r),
                             "event_time trace_id observation_id type status input output phrase_match text_score",
                             newest, 50, phrase_match=True, text_score=2)
        a["Q09"] = self.group(of("TOOL"), ["tool_name", "status"], [n, avg],
                              [(2, True), (3, True), (0, False), (1, False)])
        provider = lambda k: lambda r: r["payload"].get("provider", {}).get(k)
        a["Q10"] = self.group(of("GENERATION"), [provider("stop_reason"), provider("cache_hit")], [n, avg],
                              [(2, True), (3, True), (0, False), (1, False)])
        a["Q11"] = self.pick(lambda r: self.app(r) and in_gtr(r) and both(r) and uto(r),
                             "event_time trace_id observation_id type status tool_name latency_ms phrase_match "
                             "text_score", [("latency_ms", True)] + newest, 50, phrase_match=True, text_score=2)
        a["Q12"] = self.group(in_gtr, ["release_ring", "customer_tier", "retrieval_strategy"], [n, avg, cost],
                              [(3, True), (5, True), (0, False), (1, False), (2, False)])
        trouble = says("timeout awaiting headers", "retry budget depleted", "transient upstream failure")
        hit = [r for r in self.rows if self.dated(r) and self.mine(r) and in_gtre(r) and trouble(r)]
        a["Q13"] = [[n(hit), distinct("trace_id")(hit), max((r["event_time"] for r in hit), default=None)]]
        a["Q14"] = self.pick(lambda r: self.app(r) and of("GENERATION", "TOOL", "EVENT")(r)
                             and ("deployment" in r["text"] or "rollback" in r["text"]
                                  or "transient" in r["low_out"]),
                             "event_time trace_id observation_id type status tool_name output", newest, 50)
        a["Q15"] = self.pick(lambda r: self.mine(r) and in_gtre(r) and
                             says("transient upstream failure", "retry budget depleted", "connector timeout")(r),
                             "event_time trace_id observation_id type status tool_name latency_ms",
                             [("latency_ms", True)] + newest, 50)
        a["Q16"] = self.pick(lambda r: self.mine(r) and in_gtr(r) and r["environment"] == "prod" and
                             all(r[k] == p[k] for k in ("release_ring", "customer_tier", "traffic_cluster")),
                             "event_time trace_id observation_id type status release_ring customer_tier "
                             "traffic_cluster", newest, 50)
        a["Q17"] = self.pick(lambda r: self.mine(r) and
                             all(r[k] == p[k] for k in ("request_key", "workflow_variant")),
                             "trace_id observation_id seq_no type status request_key workflow_variant",
                             [("seq_no", False), ("observation_id", False)], 100)
        a["Q18"] = self.group(of("GENERATION", "REASONING", "TOOL"), ["prompt_template_version"],
                              [n, distinct("trace_id"), avg, cost], [(1, True), (4, True), (0, False)], 20)
        words = [token(w) for w in ("error", "timeout", "retry")]
        a["Q19"] = self.group(lambda r: in_gtre(r) and any(w(r) for w in words),
                              ["deployment_channel", "release_ring"], [n, distinct("trace_id"), avg],
                              [(2, True), (3, True), (0, False), (1, False)], 20)
        a["Q20"] = self.group(of(*gtr, "REASONING"), ["workflow_variant", "policy_pack"],
                              [n, distinct("tenant"), avg, cost],
                              [(2, True), (5, True), (0, False), (1, False)], 20)
        return a
