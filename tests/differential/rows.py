"""Random entries, with the awkward values that queries meet: missing, null, empty, of mixed types,
numbers as texts, equal times, arrays, nested objects, several scripts."""
import datetime

from values import LEVELS, Level

START = 1795240800  # 2026-11-21T06:00:00Z
SPAN = 6 * 3600
AGENTS = ("planner", "coder", "svc-search", "svc-mail", "Coder")
TOOLS = ("read_file", "run", "fetch url", "grep")
SESSIONS = ("s-1", "s-2", "test-7", "s-10")
WORDS = ("connection", "refused", "timeout", "rate", "limit", "retry", "tool_error", "10.0.0.1",
         "Überblick", "naïve", "日本語", "error", "id=42", "42", "path/to/x", "READ", "read", "a",
         "refusedly", "5.5", "ключ")
ZONES = ("north", "south", "North", "", "north east", "5", "true")


def iso(ns):
    s, frac = divmod(ns, 10**9)
    text = datetime.datetime.fromtimestamp(s, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (".%09d" % frac if frac else "") + "Z"


def text(r):
    return r.choice((" ", " ", ", ", "-")).join(r.choices(WORDS, k=r.randint(1, 6)))


def step(r):
    """an element of an array"""
    return r.choice(({"tool": r.choice(TOOLS), "ms": r.choice((1, 5, 40))}, {"tool": None},
                     {"tool": r.choice(TOOLS)}, {"ms": [5, 800]}, [{"tool": "grep"}], 7, {}))


def inside(value, name):
    """the values under a key in all elements of an array"""
    if isinstance(value, list):
        return [v for x in value for v in inside(x, name)]
    found = value.get(name) if isinstance(value, dict) else None
    return [] if found is None else found if isinstance(found, list) else [found]


# names with backticks, as answers show them
SHOWN = {"site.`host name`": "site.host name", "site.`a.b`": "site.a.b", "`flat.k`": "flat.k"}


def sent(r, i):
    """one entry as a client sends it"""
    row = {"timestamp": iso((START + r.randrange(SPAN)) * 10**9 + r.choice((0, 0, 250000000))),
           "message": text(r), "n": i}

    def maybe(p, name, value):
        if r.random() < p:
            row[name] = value()
    maybe(0.9, "agent", lambda: r.choice(AGENTS))
    maybe(0.9, "level", lambda: r.choice(LEVELS))
    maybe(0.5, "tool", lambda: r.choice(TOOLS))
    maybe(0.7, "session_id", lambda: r.choice(SESSIONS))
    maybe(0.3, "output", lambda: text(r))
    maybe(0.2, "input", lambda: text(r))
    maybe(0.6, "duration_ms", lambda: r.choice((0, 1, 5, 40, 800, 2500, 61000, 0.5, 99.75)))
    maybe(0.7, "port", lambda: r.choice((80, 443, 5432, "5432", "80 open", "http", -1, 8080.5,
                                         None, True, [80, "443"])))
    maybe(0.6, "ratio", lambda: r.choice((0.1, 0.2, 0.25, 1.5, -3.75, 2, 100, "0.5")))
    maybe(0.5, "ok", lambda: r.choice((True, False, None)))
    maybe(0.5, "labels", lambda: r.choice(([], ["slow"], ["slow", "net"], ["Net", 5], [None])))
    maybe(0.6, "zone", lambda: r.choice(ZONES))
    maybe(0.5, "meta", lambda: {"rank": r.randint(1, 4), "zone": r.choice(ZONES)})
    maybe(0.3, "remark", lambda: text(r))
    maybe(0.5, "site", lambda: {"host name": r.choice(ZONES), "a.b": r.randint(1, 4)})
    maybe(0.3, "site.host name", lambda: r.choice(ZONES))
    if r.random() < 0.6:
        row.update({"flat.k": r.randint(1, 5)} if r.random() < 0.5 else {"flat": {"k": r.randint(1, 5)}})
    maybe(0.6, "steps", lambda: r.choice((r.choice(TOOLS), [], {"tool": r.choice(TOOLS)}, None)
                                         + 3 * ([step(r) for _ in range(r.randint(1, 3))],)))
    return row


CANONICAL = {"session_id": "session"}


def seen(row, seq):
    """the same entry as queries see it: names to values, nested keys joined by dots, no nulls"""
    out = {"seq": seq, "level": Level(LEVELS.index(row.get("level", "info")))}

    def put(name, value):
        if isinstance(value, dict):
            for k, v in value.items():
                put(name + "." + k, v)
        elif value is not None:
            out[CANONICAL.get(name, name)] = value
    for name, value in row.items():
        if name not in ("level", "timestamp", "site", "site.host name"):
            put(name, value)
    for name, value in row.get("site", {}).items():
        out["site.`%s`" % name] = value
    if "flat.k" in row:
        out["`flat.k`"] = row["flat.k"]
    if isinstance(row.get("steps"), list):
        for name in ("tool", "ms"):
            found = inside(row["steps"], name)
            if found:
                out["steps." + name] = found
    s, _, frac = row["timestamp"][:-1].partition(".")
    moment = datetime.datetime.fromisoformat(s + "+00:00")
    out["timestamp"] = int(moment.timestamp()) * 10**9 + int((frac or "0").ljust(9, "0"))
    return out
