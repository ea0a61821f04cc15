"""From measurements to what is claimed: medians, ratios, geometric means, and the bars they meet
or not.

Input is {bench name: the JSON it wrote}; a bench that has not run leaves its bars "not
measured". A bar is a dict: id, what, value (None = not measured), op ("<=" or ">="), limit,
unit, note, met (True, False, None).
"""
import math
import statistics

OURS, CLICKHOUSE = "fleetlog", "clickhouse"
QUERIES = ["Q%02d" % i for i in range(1, 21)]


def geomean(values):
    """of positive numbers; None for none"""
    values = list(values)
    return math.exp(sum(math.log(v) for v in values) / len(values)) if values else None


def ratio(a, b):
    return a / b if a is not None and b else None


def engine(figures, name):
    """one engine of a peers or sets result that has load figures, or None"""
    for e in (figures or {}).get("engines", []):
        if e["name"] == name and e.get("load"):
            return e
    return None


def rate(e, quiet=False):
    """rows per CPU second, until acknowledged or until quiet"""
    if e is None:
        return None
    return e["load"]["rows"] / max(e["load"]["quiet_cpu_s" if quiet else "cpu_s"], 0.01)


def bytes_per_row(e):
    return e["load"]["disk_bytes"] / e["load"]["rows"] if e else None


def medians(e, kind):
    """{query: ms} of the queries answered right; kind: "hot_ms" or "cold_ms" """
    states = (e or {}).get("queries", {})
    return {q: statistics.median(s[kind]) for q, s in states.items()
            if s["state"] == "right" and s.get(kind)}


def versus(ours, theirs):
    """(geometric mean of ours / theirs over the queries both answered, those that took longer)"""
    both = [q for q in ours if q in theirs]
    return (geomean(ours[q] / theirs[q] for q in both),
            [q for q in both if ours[q] > theirs[q]])


def composite(peers, kind):
    """{query: the best time of any peer on as many rows as ours}"""
    best = {}
    for e in peers.get("engines", []):
        if e["name"] == OURS or e["rows"] != peers["rows"]:
            continue
        for q, ms in medians(e, kind).items():
            best[q] = min(ms, best.get(q, ms))
    return best


def bar(name, what, value, op, limit, unit="", note=""):
    met = None
    if value is not None:
        met = value <= limit if op == "<=" else value >= limit
    return {"id": name, "what": what, "value": value, "op": op, "limit": limit, "unit": unit,
            "note": note, "met": met}


def _best(engines, value):
    """(value, title) of the engine with the largest value, (None, "") for none"""
    ranked = sorted(((value(e), e["title"]) for e in engines), key=lambda x: x[0])
    return ranked[-1] if ranked else (None, "")


def ingest_bars(r):
    peers, line = r.get("peers"), r.get("sets", {}).get("sets", {}).get("line")
    ours = engine(peers, OURS)
    text = [e for e in (peers or {}).get("engines", [])
            if e["indexes_text"] and e["name"] != OURS and e.get("load")]
    acked, who = _best(text, rate)
    quiet, who_quiet = _best(text, lambda e: rate(e, True))
    yield bar("T1", "rows per CPU second at acknowledgement, to the fastest peer that indexes text",
              ratio(rate(ours), acked), ">=", 6, "×", who)
    yield bar("T1", "the same with all background work until quiet",
              ratio(rate(ours, True), quiet), ">=", 4, "×", who_quiet)
    yield bar("T1", "rows per CPU second, to DuckDB's plain bulk load",
              ratio(rate(ours), rate(engine(peers, "duckdb"))), ">=", 1, "×")
    yield bar("T1", "`line`: rows per CPU second, to fleet-logger",
              ratio(rate(engine(line, OURS)), rate(engine(line, "fleet_logger"))), ">=", 20, "×")


def bytes_bars(r):
    all_sets = dict(r.get("sets", {}).get("sets", {}))
    all_sets["small"] = r.get("peers")
    for name in ("small", "loghub", "web"):
        for peer, title in ((CLICKHOUSE, "ClickHouse"), ("victorialogs", "VictoriaLogs")):
            yield bar("T4", "`%s`: bytes a row, to %s" % (name, title),
                      ratio(bytes_per_row(engine(all_sets.get(name), OURS)),
                            bytes_per_row(engine(all_sets.get(name), peer))), "<=", 0.8, "×")
    line = engine(all_sets.get("line"), OURS)
    share = line and line["load"]["disk_bytes"] / line["load"]["raw_bytes"]
    yield bar("T4", "`line`: bytes on disk, to the raw lines", share, "<=", 0.15, "×")


def query_bars(r):
    peers = r.get("peers") or {}
    ours, theirs = engine(peers, OURS), engine(peers, CLICKHOUSE)
    asked = (ours or {}).get("queries") or {}
    right = sum(s["state"] == "right" for s in asked.values()) if asked else None
    yield bar("T5", "queries answered exactly as the oracle", right, ">=", len(asked) or 20)
    for kind, word in (("hot_ms", "hot"), ("cold_ms", "cold")):
        mine = medians(ours, kind)
        mean, slower = versus(mine, medians(theirs, kind))
        yield bar("T5", "the queries, %s: geometric mean, to ClickHouse" % word, mean, "<=", 0.25,
                  "×", "%d queries" % len(mine))
        yield bar("T5", "queries slower than ClickHouse, " + word,
                  len(slower) if mean is not None else None, "<=", 0, "", " ".join(slower))
        mean, slower = versus(mine, composite(peers, kind))
        yield bar("T5", "%s: geometric mean, to the best peer on each query" % word, mean, "<=", 1,
                  "×", " ".join(slower))


def growth_bars(r):
    steps = sorted(r.get("growth", {}).get("steps", []), key=lambda s: s["rows"])
    last = steps[-1] if steps else None
    q = last["queries"] if last else {}
    of = "of %s rows" % format(last["rows"], ",") if last else ""
    newest = [ms for name, ms in q.items() if name.startswith("last_50")]
    yield bar("T6", "a trace by its id", q.get("trace"), "<=", 5, "ms", of)
    yield bar("T7", "the last 50 rows, the slowest of these queries",
              max(newest) if newest else None, "<=", 20, "ms", of)
    yield bar("T8", "a substring that is nowhere", q.get("absent"), "<=", 20, "ms", of)
    yield bar("T8", "a substring whose trigrams are everywhere, a GB of raw rows",
              last and q["common"] / 1000 / (last["raw_bytes"] / 1e9), "<=", 0.6, "s", of)
    first = steps[0] if len(steps) > 1 else None
    decades = math.log10(last["rows"] / first["rows"]) if first else None
    for name, words in (("trace", "a trace by its id"),
                        ("last_50_agent", "the last 50 of one app")):
        more = first and (q[name] / first["queries"][name]) ** (1 / decades)
        yield bar("T13", "%s: growth of its time a decade" % words, more, "<=", 1.5, "×", of)
    more = first and (q["scan"] / first["queries"]["scan"]) / (last["rows"] / first["rows"])
    yield bar("T13", "a scan's time, to what the first step's makes of it", more, "<=", 1.1, "×",
              of)
    more = first and rate(last, True) / rate(first, True)
    yield bar("T13", "rows per CPU second until quiet, to the first step's", more, ">=", 0.9, "×",
              of)


def latency_bars(r):
    v = r.get("visible", {})
    for phase, words in (("alone", "write to visible to tail, p99 beyond the fsync"),
                         ("uploading", "the same while 64 MiB batches are uploaded")):
        p = v.get(phase)
        yield bar("T9", words, p and max(0.0, p["tail_p99_ms"] - p["fsync_p50_ms"]), "<=", 20, "ms")


def memory_bars(r):
    line = r.get("memory", {}).get("line", {})
    steps = sorted(r.get("growth", {}).get("steps", []), key=lambda s: s["rows"])
    peaks = [s["load"]["peak_mib"] for s in steps]
    yield bar("T11", "peak memory ingesting `line` at 100,000 rows/s", line.get("peak_mib"), "<=",
              96, "MiB", "%s rows/s" % shown(line["rows_per_s"]) if line else "")
    yield bar("T11", "peak memory ingesting `small` at full speed", max(peaks, default=None), "<=",
              200, "MiB")
    flat = peaks[-1] / peaks[0] if len(peaks) > 1 else None
    note = "%s to %s rows" % (format(steps[0]["rows"], ","), format(steps[-1]["rows"], ",")) \
        if flat else ""
    yield bar("T11", "that peak at the last step, to the first", flat, "<=", 1.1, "×", note)


def restart_bars(r):
    v = r.get("restart", {})
    of = "%s rows" % format(v["rows"], ",") if v else ""
    yield bar("T12", "first answer after an orderly stop", v.get("clean_ms"), "<=", 100, "ms", of)
    yield bar("T12", "recovery a GiB of log", v.get("recovery_s_per_gib"), "<=", 1, "s")


def session_bars(r):
    cases = {c["name"]: c for c in r.get("sessions", {}).get("cases", [])}
    many, few = cases.get("many sessions"), cases.get("few agents")
    shuffled = cases.get("shuffled")
    both = many and few
    yield bar("T14", "many sessions: bytes a row, to few agents",
              ratio(bytes_per_row(many), bytes_per_row(few)) if both else None, "<=", 1.15, "×")
    yield bar("T14", "many sessions: CPU a row until quiet, to few agents",
              ratio(rate(few, True), rate(many, True)) if both else None, "<=", 1.15, "×")
    yield bar("T14", "shuffled over a year: segments, to in order",
              ratio(shuffled["segments"], many["segments"]) if shuffled and many else None,
              "<=", 1, "×")
    yield bar("T14", "shuffled over a year: CPU a row until quiet, to in order",
              ratio(rate(many, True), rate(shuffled, True)) if shuffled and many else None,
              "<=", 1, "×")


def fsync_bars(r):
    v = r.get("fsync")
    for name, words in (("batches", "batches of 1,000 rows"),
                        ("singles", "single rows, 64 at a time")):
        share = v and statistics.median(v[name]["synced"]) / statistics.median(v[name]["unsynced"])
        yield bar("T15", "throughput with fsync, to without: " + words, share, ">=", 0.8, "×")


DASHBOARD = (("page, gzip", "<=", 120, "KB", "bytes of the page, compressed"),
             ("first paint", "<=", 300, "ms", "first paint, median of five"),
             ("interactive", "<=", 600, "ms", "interactive, median of five"),
             ("longest frame while they scroll", "<=", 50, "ms",
              "1,000,000 rows scrolled to the end and back: the longest frame"),
             ("live: input to frame, longest", "<=", 100, "ms",
              "2,000 entries a second for 20 s: from a key or click to its frame, the longest"),
             ("trace of 50,000 spans", "<=", 1000, "ms",
              "a trace of 50,000 spans, until it is drawn"))


def dashboard_bars(r):
    v = r.get("dashboard", {}).get("figures", {})
    for name, op, limit, unit, what in DASHBOARD:
        yield bar("T16", "dashboard: " + what, v.get(name), op, limit, unit)


def bars(results):
    """all bars in the order of their numbers"""
    makers = (ingest_bars, bytes_bars, query_bars, growth_bars, latency_bars, memory_bars,
              restart_bars, session_bars, fsync_bars, dashboard_bars)
    out = [b for make in makers for b in make(results)]
    return sorted(out, key=lambda b: int(b["id"][1:]))


def shown(value, unit=""):
    """a number as a reader wants it: three digits that count, never an exponent"""
    if value is None:
        return "–"
    if value == 0:
        text = "0"
    elif abs(value) >= 100:
        text = format(round(value), ",")
    else:
        text = ("%.3g" % value) if abs(value) >= 0.001 else ("%.1g" % value)
        text = format(float(text), "f").rstrip("0").rstrip(".")
    return text + (" " + unit if unit and unit != "×" else unit)


def verdict(b):
    return {True: "met", False: "not met", None: "not measured"}[b["met"]]
