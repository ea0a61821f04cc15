"""Random filters: each test knows how it is written and when it holds."""
import re

import rows
import values
from values import LEVELS, Level

SCOPE = ("message", "input", "output")
IDENTITY = ("agent", "tool", "session")
TEXTS = ("message", "output", "remark")  # not identities: words count in them
BARE = ("connection", "refused", "timeout", "rate", "limit", "retry", "tool_error", "10.0.0.1",
        "überblick", "naïve", "日本語", "本語", "error", "42", "path/to/x", "read", "a", "id", "5",
        "ключ", "REFUSED", "zebra")
NUMBERS = (-1, 0, 0.5, 1, 2, 5, 40, 80, 99.75, 443, 800, 2500, 5432, 8080.5)


def quoted(s):
    return '"%s"' % s.replace("\\", "\\\\").replace('"', '\\"')


def elements(v):
    """what a test of a field looks at: the value, or each element of an array"""
    return [x for x in v if x is not None] if isinstance(v, list) else [] if v is None else [v]


class Node:
    loose = 3  # how tightly it binds: 1 OR, 2 AND, 3 a term

    def inside(self, level):
        return self.text() if self.loose >= level else "(%s)" % self.text()


class Join(Node):
    def __init__(self, r, kids, any_of):
        self.kids, self.any_of, self.loose = kids, any_of, 1 if any_of else 2
        self.word = " OR " if any_of else r.choice((" ", " AND "))

    def text(self):
        return self.word.join(k.inside(2 if self.any_of else 3) for k in self.kids)

    def holds(self, row):
        return (any if self.any_of else all)(k.holds(row) for k in self.kids)


class Not(Node):
    def __init__(self, r, kid):
        self.kid, self.word = kid, r.choice(("-", "NOT "))

    def text(self):
        inner = self.kid.inside(3)
        return "NOT " + inner if inner.startswith(("-", "NOT")) else self.word + inner

    def holds(self, row):
        return not self.kid.holds(row)


class All(Node):
    def text(self):
        return "*"

    def holds(self, row):
        return True


class Words(Node):
    """a word, a phrase, a prefix or a part of a text, in the scope or in one field"""
    HOW = {"word": (values.has_word, "%s"), "phrase": (values.has_phrase, '"%s"'),
           "prefix": (values.has_prefix, "%s*"), "part": (values.has_part, '*"%s"*')}

    def __init__(self, r, scope=None):
        self.how = r.choice(tuple(self.HOW))
        self.scope = scope
        if self.how == "prefix":
            word = r.choice([w for w in BARE if w.isalnum()])
            self.what = word[:r.randint(1, len(word))]
        elif self.how == "part":
            source = rows.text(r)
            at = r.randrange(len(source))
            self.what = source[at:at + r.randint(1, 8)]
        elif self.how == "phrase":
            self.what = " ".join(r.choices([w for w in BARE if w.isalnum()], k=r.randint(1, 2)))
        else:
            self.what = r.choice(BARE)

    def text(self):
        term = self.HOW[self.how][1] % self.what
        return "(in:%s %s)" % (self.scope, term) if self.scope else term

    def holds(self, row):
        test = self.HOW[self.how][0]
        names = (self.scope,) if self.scope else SCOPE
        return any(isinstance(row.get(n), str) and test(row[n], self.what) for n in names)


class Field(Node):
    """field:value, by the stored kind of the row's value"""

    def __init__(self, r, name, pool):
        self.name = name
        self.value = r.choice(pool)
        self.glob = name in IDENTITY and r.random() < 0.4
        if self.glob:
            self.value = self.value[:r.randint(1, len(self.value))] + "*"

    def text(self):
        v = self.value
        if isinstance(v, bool):
            v = "true" if v else "false"
        v = str(v)
        return "%s:%s" % (self.name, v.replace(" ", "\\ ") if self.name in IDENTITY else v)

    def one(self, v):
        if self.name in IDENTITY:
            return v.startswith(self.value[:-1]) if self.glob else v == self.value
        if isinstance(v, bool):
            return str(self.value).lower() == ("true" if v else "false")
        if isinstance(v, (int, float)):
            n = values.number(str(self.value))
            return n is not None and n == v
        return values.has_word(v, str(self.value))

    def holds(self, row):
        return any(self.one(v) for v in elements(row.get(self.name)))


class Equals(Node):
    """= and != and in: whole values"""

    def __init__(self, r, name, pool):
        self.name, self.how = name, r.choice(("=", "!=", "in"))
        pool = [v for v in pool if v is not None]
        self.wanted = [r.choice(pool) for _ in range(r.randint(1, 3) if self.how == "in" else 1)]
        self.quote = [isinstance(v, str) and (not v.isalnum() or r.random() < 0.5)
                      for v in self.wanted]

    def text(self):
        said = [quoted(v) if q else str(v).lower() if isinstance(v, bool) else str(v)
                for v, q in zip(self.wanted, self.quote)]
        if self.how == "in":
            return "%s in (%s)" % (self.name, ", ".join(said))
        return self.name + self.how + said[0]

    def one(self, v, want, quote):
        if quote:
            return isinstance(v, str) and v == want
        literal = str(want).lower() if isinstance(want, bool) else str(want)
        if isinstance(v, bool):
            return literal == ("true" if v else "false")
        if isinstance(v, (int, float)):
            n = values.number(literal)
            return n is not None and n == v
        return v == literal

    def holds(self, row):
        v = row.get(self.name)
        if v is None:
            return False
        hit = any(self.one(x, w, q) for x in elements(v) for w, q in zip(self.wanted, self.quote))
        return hit != (self.how == "!=")


class Compare(Node):
    OPS = {">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
           "<": lambda a, b: a < b, "<=": lambda a, b: a <= b}

    def __init__(self, r, name, strings=False):
        self.name, self.op = name, r.choice(tuple(self.OPS))
        self.range = r.random() < 0.3
        self.strings = strings
        pool = ("", "5", "A", "North", "n", "south", "z") if strings else NUMBERS
        self.bounds = sorted(r.choice(pool) for _ in range(2))
        self.closed = r.random() < 0.5, r.random() < 0.5
        self.open_end = r.random() < 0.3

    def text(self):
        lo, hi = (quoted(b) if self.strings else str(b) for b in self.bounds)
        if not self.range:
            return "%s%s%s" % (self.name, self.op, lo)
        return "%s:%s%s TO %s%s" % (self.name, "[" if self.closed[0] else "{", lo,
                                    "*" if self.open_end else hi, "]" if self.closed[1] else "}")

    def one(self, v):
        if self.strings:
            if not isinstance(v, str):
                return False
            v, (lo, hi) = v.encode(), (b.encode() for b in self.bounds)
        else:
            v, (lo, hi) = values.number(v), self.bounds
            if v is None:
                return False
        if not self.range:
            return self.OPS[self.op](v, lo)
        return (v >= lo if self.closed[0] else v > lo) and \
            (self.open_end or (v <= hi if self.closed[1] else v < hi))

    def holds(self, row):
        return any(self.one(v) for v in elements(row.get(self.name)))


class Present(Node):
    def __init__(self, r, name):
        self.name = name

    def text(self):
        return self.name + ":*"

    def holds(self, row):
        return row.get(self.name) is not None


class LevelTest(Node):
    OPS = dict(Compare.OPS, **{"=": lambda a, b: a == b, "!=": lambda a, b: a != b,
                               ":": lambda a, b: a >= b})

    def __init__(self, r):
        self.op = r.choice(tuple(self.OPS) + ("set",))
        self.level = r.randrange(6)
        self.others = [self.level, r.randrange(6)]

    def text(self):
        if self.op == "set":
            return "level:(%s)" % " OR ".join(LEVELS[i] for i in self.others)
        return "level%s%s" % (self.op, LEVELS[self.level])

    def holds(self, row):
        level = row.get("level")
        if level is None:
            return False
        if self.op == "set":
            return level in self.others
        return self.OPS[self.op](level, self.level)


class Time(Node):
    def __init__(self, r):
        self.how = r.choice(("after", "before", "time"))
        a, b = (rows.START + r.randrange(-600, rows.SPAN + 600) for _ in range(2))
        self.lo, self.hi = min(a, b), max(a, b)

    def text(self):
        lo, hi = (rows.iso(s * 10**9) for s in (self.lo, self.hi))
        if self.how == "time":
            return "time:[%s TO %s]" % (lo, hi)
        return "%s:%s" % (self.how, lo)

    def holds(self, row):
        t = row["timestamp"]
        if self.how == "after":
            return t >= self.lo * 10**9
        return t <= self.lo * 10**9 if self.how == "before" else \
            self.lo * 10**9 <= t <= self.hi * 10**9


class Regex(Node):
    PATTERNS = ("refused|retry", "^con", r"\d\.\d", "[a-z]+_error", "READ", "a$", "t, r", "x?read")

    def __init__(self, r, name=None):
        self.name, self.pattern = name, r.choice(self.PATTERNS)
        self.fold = r.random() < 0.3
        self.compiled = re.compile(self.pattern, re.ASCII | (re.IGNORECASE if self.fold else 0))

    def text(self):
        p = "/%s/%s" % (self.pattern, "i" if self.fold else "")
        return "%s:%s" % (self.name, p) if self.name else p

    def holds(self, row):
        texts = (row.get(n) for n in ((self.name,) if self.name else SCOPE))
        return any(isinstance(t, str) and self.compiled.search(t) for t in texts)


# field -> values worth asking for
POOLS = {"agent": rows.AGENTS, "tool": rows.TOOLS, "session": rows.SESSIONS,
         "port": (80, 443, 5432, 8080.5, "http", "open", True, 7),
         "ratio": (0.5, 0.25, 2, 100, "0.5"), "ok": (True, False),
         "labels": ("slow", "net", "Net", 5), "zone": ("north", "North", "5", "true", "east"),
         "meta.rank": (1, 2, 3, 4), "meta.zone": ("north", "south", "5"), "n": (3, 50, 123),
         "duration_ms": (0, 5, 40, 99.75, 2500), "remark": ("rate", "READ", "42"),
         "site.`host name`": ("north", "North", "5"), "site.`a.b`": (1, 2, 3), "`flat.k`": (1, 2),
         "flat.k": (1, 2, 5), "steps.tool": ("run", "grep", "read_file"), "steps.ms": (1, 5, 800)}
COMPUTED = ("count", "c0", "c1", "c2", "e0", "e1", "e2", "l0")
POOLS.update((name, (0, 1, 2, 3, 5, 40, "x", "planner", True)) for name in COMPUTED)
NUMERIC = COMPUTED + ("port", "ratio", "meta.rank", "n", "duration_ms", "labels", "zone", "meta.zone",
                      "site.`a.b`", "flat.k", "`flat.k`", "steps.ms")


def term(r, known, words):
    """a single test of one of the fields `known`; words: texts may be searched"""
    pick = r.random()
    names = [n for n in known if n in POOLS]
    if words and pick < 0.3:
        return Regex(r) if r.random() < 0.15 else \
            Words(r, r.choice(TEXTS) if r.random() < 0.25 else None)
    if "level" in known and pick < 0.4:
        return LevelTest(r)
    if words and pick < 0.48:
        return Time(r)
    if not names:
        return All()
    name = r.choice(names)
    if pick < 0.62 and name not in COMPUTED:
        return Field(r, name, POOLS[name])
    if pick < 0.76:
        return Equals(r, name, POOLS[name])
    if pick < 0.9:
        numeric = [n for n in names if n in NUMERIC]
        if not numeric:
            return Present(r, name)
        zones = [n for n in numeric if n.endswith("zone")]
        if zones and r.random() < 0.25:
            return Compare(r, r.choice(zones), True)
        return Compare(r, r.choice(numeric))
    texts = [n for n in ("message", "agent", "remark") if n in known]
    if pick < 0.93 and texts:
        return Regex(r, r.choice(texts))
    return Present(r, name)


def tree(r, known, words=True, depth=0):
    pick = r.random()
    if depth < 3 and pick < 0.45 - 0.1 * depth:
        kids = [tree(r, known, words, depth + 1) for _ in range(r.randint(2, 3))]
        return Join(r, kids, r.random() < 0.45)
    if pick > 0.85:
        return Not(r, tree(r, known, words, depth + 1))
    return term(r, known, words)
