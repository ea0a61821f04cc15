"""Random pipes: each knows how it is written and what it makes of rows. A table is a list of dicts;
`State` says which columns there are and whether rows are still entries."""
import math
import re
from fractions import Fraction

import expressions
import filters
import rows
import values
from values import by_value, key, kind


class State:
    def __init__(self, columns, entries=True):
        self.columns, self.entries, self.fresh = list(columns), entries, entries


ENTRY = ("seq", "level", "agent", "tool", "session", "message", "output", "remark", "duration_ms",
         "port", "ratio", "ok", "labels", "zone", "meta.rank", "meta.zone", "n",
         "site.`host name`", "site.`a.b`", "flat.k", "steps.tool", "steps.ms")
GROUPS = ("level", "agent", "tool", "session", "port", "ok", "zone", "labels", "meta.rank", "ratio",
          "site.`host name`", "flat.k", "steps.tool")
NUMBERS = ("duration_ms", "port", "ratio", "n", "meta.rank", "site.`a.b`", "flat.k")


def pick(r, pool, state, most):
    have = [c for c in pool if c in state.columns]
    return r.sample(have, min(len(have), r.randint(1, most))) if have else []


class Where:
    def __init__(self, r, state):
        self.filter = filters.tree(r, state.columns, words=False)
        self.text = "where " + self.filter.text()

    def apply(self, table):
        return [row for row in table if self.filter.holds(row)]


class Eval:
    def __init__(self, r, state):
        self.sets, known = [], list(state.columns)
        for i in range(r.randint(1, 2)):
            name = "e%d" % r.randrange(3)
            self.sets.append((name, expressions.make(r, known)))
            known.append(name)
            if name not in state.columns:
                state.columns.append(name)
        self.text = "eval " + ", ".join("%s = %s" % (n, e.text()) for n, e in self.sets)

    def apply(self, table):
        out = []
        for row in table:
            row = dict(row)
            for name, e in self.sets:
                row[name] = e.value(row)
            out.append(row)
        return out


class Fields:
    def __init__(self, r, state):
        some = pick(r, state.columns, state, 5)
        self.pairs = [(c, "f%d" % i if r.random() < 0.15 else c) for i, c in enumerate(some)]
        taken = set()
        self.pairs = [p for p in self.pairs if not (p[1] in taken or taken.add(p[1]))]
        self.text = "fields " + ", ".join(a if a == b else "%s as %s" % (a, b)
                                          for a, b in self.pairs)
        state.columns, state.entries, state.fresh = [b for _, b in self.pairs], False, False

    def apply(self, table):
        return [{b: row.get(a) for a, b in self.pairs} for row in table]


class Drop:
    def __init__(self, r, state):
        self.names = r.sample([c for c in state.columns if c != "seq"], 1)
        self.text = "drop " + self.names[0]
        state.columns = [c for c in state.columns if c not in self.names]

    def apply(self, table):
        return [{k: v for k, v in row.items() if k not in self.names} for row in table]


class Sort:
    """ends with a column in which no two rows are equal, where there is one"""

    def __init__(self, r, state, unique):
        self.keys = [(c, r.random() < 0.5) for c in pick(r, state.columns, state, 2)]
        self.keys += [(c, r.random() < 0.5) for c in unique if c not in dict(self.keys)]
        self.text = "sort by " + ", ".join(c + (" desc" if d else r.choice(("", " asc")))
                                           for c, d in self.keys)

    def apply(self, table):
        for c, descending in reversed(self.keys):
            table = sorted(table, key=lambda row: by_value(row.get(c)), reverse=descending)
        return table


class Limit:
    def __init__(self, r, state):
        self.word = r.choice(("limit", "head", "offset") + (("tail",) if state.entries else ()))
        self.n = r.choice((0, 1, 2, 5, 20, 100))
        self.text = "%s %d" % (self.word, self.n)

    def apply(self, table):
        if self.word == "offset":
            return table[self.n:]
        if self.word != "tail":
            return table[:self.n]
        last = sorted(table, key=lambda row: (row["timestamp"], row["seq"]))
        return last[-self.n:] if self.n else []


class Dedup:
    def __init__(self, r, state):
        self.by = pick(r, GROUPS, state, 2)
        self.text = "dedup by " + ", ".join(self.by)

    def apply(self, table):
        seen, out = set(), []
        for row in table:
            k = tuple(key(row.get(c)) for c in self.by)
            if k not in seen:
                seen.add(k)
                out.append(row)
        return out


# ---- groups ----

class Time:
    name = "time"

    def __init__(self, r):
        self.step, self.said = r.choice(((60, "1m"), (900, "15m"), (3600, "1h"), (86400, "1d")))
        self.text = "time(%s)" % self.said

    def of(self, row):
        s = row["timestamp"] // 10**9
        return rows.iso((s - s % self.step) * 10**9)


class Bucket:
    def __init__(self, r, name):
        self.name, self.width = name, r.choice((1, 5, 10, 1000))
        self.text = "bucket(%s, %d)" % (name, self.width)

    def of(self, row):
        v = row.get(self.name)
        return math.floor(Fraction(v) / self.width) * self.width if kind(v) == 2 else None


class Plain:
    def __init__(self, name):
        self.name = self.text = name

    def of(self, row):
        return row.get(self.name)


def groups(r, state, most=2):
    out = [Plain(c) for c in pick(r, GROUPS, state, most)] if r.random() < 0.8 else []
    if state.entries and r.random() < 0.3:
        out.insert(0, Time(r))
    numeric = [c for c in NUMBERS if c in state.columns and c not in [g.name for g in out]]
    if numeric and r.random() < 0.15:
        out.append(Bucket(r, r.choice(numeric)))
    return out


def grouped(table, by):
    """[(values, rows)] by rising values; of equal values the first one's form"""
    out = {}
    for row in table:
        vals = [g.of(row) for g in by]
        out.setdefault(tuple(key(v) for v in vals), (vals, []))[1].append(row)
    return [out[k] for k in sorted(out)]


class Function:
    """one function of `stats`"""
    PERCENT = {"median": 50, "p50": 50, "p75": 75, "p90": 90, "p95": 95, "p99": 99, "p999": 99.9}

    def __init__(self, r, state, alias):
        self.alias = alias
        names = [c for c in state.columns if c in ENTRY and c not in ("message", "output", "remark")]
        self.f = r.choice(("count", "count", "countx", "count_distinct", "sum", "avg", "min", "max",
                           "stddev", "values", "first", "last") + tuple(self.PERCENT))
        if self.f in ("first", "last") and not state.entries:
            self.f = "max"
        if self.f in ("sum", "avg", "stddev") or self.f in self.PERCENT:
            names = [c for c in NUMBERS if c in names]
        if self.f in ("min", "max", "first", "last"):  # a level would be compared as one
            names = [c for c in names if c != "level"]
        self.x = r.choice(names) if names else None
        if not self.x:
            self.f = "count"
        self.n = r.choice((None, 2))
        args = "" if self.f == "count" else self.x
        if self.f == "values" and self.n:
            args += ", %d" % self.n
        self.condition = filters.tree(r, state.columns, words=False, depth=2) \
            if r.random() < 0.2 else None
        self.text = "%s(%s)%s as %s" % (
            "count" if self.f == "countx" else self.f, args,
            " if (%s)" % self.condition.text() if self.condition else "", alias)

    def of(self, table):
        if self.condition:
            table = [row for row in table if self.condition.holds(row)]
        if self.f == "count":
            return len(table)
        vals = [row[self.x] for row in table if row.get(self.x) is not None]
        nums = sorted((Fraction(v), v) for v in vals if kind(v) == 2)
        if self.f == "countx":
            return len(vals)
        if self.f == "count_distinct":
            return len({key(v) for v in vals})
        if self.f == "values":
            distinct = {}
            for v in vals:
                distinct.setdefault(key(v), v)
            return [values.shown(distinct[k]) for k in sorted(distinct)][:self.n or 100]
        if self.f in ("first", "last"):
            at = sorted((row["timestamp"], row["seq"], i) for i, row in enumerate(table)
                        if row.get(self.x) is not None)
            return table[at[0 if self.f == "first" else -1][2]][self.x] if at else None
        if self.f in ("min", "max"):
            return (min if self.f == "min" else max)(vals, key=by_value) if vals else None
        if not nums:
            return None
        return self.figure([n for n, _ in nums])

    def figure(self, nums):
        if self.f == "sum":
            return float(sum(nums))
        mean = sum(nums) / len(nums)
        if self.f == "avg":
            return float(mean)
        if self.f == "stddev":
            return math.sqrt(sum((n - mean) ** 2 for n in nums) / len(nums))
        at = Fraction(str(self.PERCENT[self.f])) / 100 * (len(nums) - 1)
        low = math.floor(at)
        high = min(low + 1, len(nums) - 1)
        return float(nums[low] + (nums[high] - nums[low]) * (at - low))


class Stats:
    def __init__(self, r, state):
        self.by = groups(r, state)
        self.functions = [Function(r, state, "c%d" % i) for i in range(r.randint(1, 3))]
        self.text = "stats " + ", ".join(f.text for f in self.functions)
        if self.by:
            self.text += " by " + ", ".join(g.text for g in self.by)
        state.columns = [g.name for g in self.by] + [f.alias for f in self.functions]
        state.entries = state.fresh = False
        state.unique = [g.name for g in self.by]

    def apply(self, table):
        parts = grouped(table, self.by) if self.by else [([], table)]
        out = []
        for vals, part in parts:
            row = {g.name: v for g, v in zip(self.by, vals)}
            row.update((f.alias, f.of(part)) for f in self.functions)
            out.append(row)
        return out


class Top:
    def __init__(self, r, state, word):
        self.word, self.field = word, pick(r, GROUPS, state, 1)[0]
        self.n = r.choice((1, 2, 3, 10))
        self.by = [Plain(c) for c in pick(r, GROUPS, state, 1)
                   if c != self.field] if word in ("top", "rare") and r.random() < 0.3 else []
        self.text = {"top": "top %d " % self.n, "rare": "rare %d " % self.n}.get(word, word + " ") \
            + self.field + (" by " + self.by[0].text if self.by else "")
        state.columns = [g.name for g in self.by] + [self.field, "count"]
        state.entries = state.fresh = False
        state.unique = state.columns[:-1]

    def apply(self, table):
        if self.word != "uniq":
            table = [row for row in table if row.get(self.field) is not None]
        out = []
        for vals, part in grouped(table, self.by) if self.by else [([], table)]:
            counts = [(v[0], len(rows_)) for v, rows_ in grouped(part, [Plain(self.field)])]
            if self.word == "top":
                counts = sorted(counts, key=lambda c: -c[1])[:self.n]
            elif self.word == "rare":
                counts = sorted(counts, key=lambda c: c[1])[:self.n]
            for v, n in counts:
                row = {g.name: x for g, x in zip(self.by, vals)}
                row.update({self.field: v, "count": n})
                out.append(row)
        return out


class Values:
    """the different values, or pairs of them"""

    def __init__(self, r, state):
        self.by = [Plain(c) for c in pick(r, GROUPS, state, 2)]
        self.text = "values " + ", ".join(g.text for g in self.by)
        state.columns = state.unique = [g.name for g in self.by]
        state.entries = state.fresh = False

    def apply(self, table):
        rows_ = [{g.name: v for g, v in zip(self.by, vals)} for vals, _ in grouped(table, self.by)]
        return [row for row in rows_ if any(v is not None for v in row.values())]


class Extract:
    """a named group of a regular expression over one text; what is wholly a number is one"""
    PATTERNS = (r"(?<NAME>[a-z]+)_error", r"id=(?<NAME>\d+)", r"^(?<NAME>[A-Za-z]+)", r"(?<NAME>t) ",
                r"(?<NAME>\d+\.\d+)")

    def __init__(self, r, state):
        self.name = "e%d" % r.randrange(3)
        pattern = r.choice(self.PATTERNS).replace("NAME", self.name)
        self.field = r.choice([c for c in ("message", "output", "zone") if c in state.columns])
        self.compiled = re.compile(pattern.replace("?<", "?P<"), re.ASCII)
        self.text = "extract /%s/ from %s" % (pattern, self.field)
        if self.name not in state.columns:
            state.columns.append(self.name)

    def apply(self, table):
        out = []
        for row in table:
            text = row.get(self.field)
            found = self.compiled.search(text) if isinstance(text, str) else None
            if found:
                text = found.group(self.name)
                n = values.number(text)
                row = dict(row, **{self.name: text if n is None else n})
            out.append(row)
        return out


class Lookup:
    """`lookup`: the first row of the other query with the same value; `join`: every such row"""

    def __init__(self, r, state, entries):
        self.word = "lookup" if state.entries else r.choice(("lookup", "join"))
        self.filter = filters.tree(r, ENTRY, depth=2)
        self.key = r.choice([c for c in ("agent", "tool", "session", "meta.rank", "zone")
                             if c in state.columns])
        self.field, self.name = r.choice(("n", "duration_ms", "message", "ratio")), "l0"
        self.entries = entries
        self.text = "%s %s as %s from (%s) on %s = %s" % (
            self.word, self.field, self.name, self.filter.text(), self.key, self.key)
        if self.name not in state.columns:
            state.columns.append(self.name)
        if self.word == "join":
            state.unique = None

    def apply(self, table):
        at = {}
        for row in self.entries():
            if row.get(self.key) is not None and self.filter.holds(row):
                at.setdefault(key(row[self.key]), []).append(row.get(self.field))
        out = []
        for row in table:
            found = at.get(key(row.get(self.key)), []) if row.get(self.key) is not None else []
            if self.word == "join":
                out += [dict(row, **{self.name: v}) for v in found[:1000]]
            else:
                out.append(dict(row, **{self.name: found[0] if found else None}))
        return out


class Union:
    """the counts of another field behind a table"""

    def __init__(self, r, state, entries):
        self.filter = filters.tree(r, ENTRY, depth=2)
        self.field, self.entries = r.choice(("agent", "level", "tool")), entries
        self.text = "union (%s | stats count() as c0 by %s)" % (self.filter.text(), self.field)
        state.columns = state.columns + [c for c in (self.field, "c0") if c not in state.columns]
        state.unique = None

    def apply(self, table):
        rows_ = [row for row in self.entries() if self.filter.holds(row)]
        return table + [{self.field: vals[0], "c0": len(part)}
                        for vals, part in grouped(rows_, [Plain(self.field)])]


class Count:
    def __init__(self, r, state):
        self.text = "count"
        state.columns, state.entries, state.fresh, state.unique = ["count"], False, False, []

    def apply(self, table):
        return [{"count": len(table)}]


class Timeline:
    def __init__(self, r, state):
        self.time, self.by = Time(r), [Plain(c) for c in pick(r, GROUPS, state, 1)] \
            if r.random() < 0.4 else []
        self.text = "timeline " + self.time.said
        if self.by:
            self.text += " by " + self.by[0].text
        state.columns = ["time"] + [g.name for g in self.by] + ["count"]
        state.entries = state.fresh = False
        state.unique = state.columns[:-1]

    def apply(self, table):
        if not table:
            return []
        step = self.time.step * 10**9
        at = [row["timestamp"] // step * step for row in table]
        kinds = [vals for vals, _ in grouped(table, self.by)] if self.by else [[]]
        out = []
        for t in range(min(at), max(at) + 1, step):
            for vals in kinds:
                same = sum(1 for row, a in zip(table, at) if a == t and
                           all(key(g.of(row)) == key(v) for g, v in zip(self.by, vals)))
                row = {"time": rows.iso(t), "count": same}
                row.update((g.name, v) for g, v in zip(self.by, vals))
                out.append(row)
        return out


def pipeline(r, entries):
    """(filter, [pipes], columns of the answer); entries(): all there are, newest first"""
    state = State(ENTRY)
    state.all = entries
    state.unique = ["seq"]
    first = filters.tree(r, ENTRY)
    # between two bounds a timeline has the steps without entries too
    state.bounded = any(w in first.text() for w in ("time:[", "after:", "before:"))
    out = []
    for _ in range(r.choice((0, 1, 1, 2, 2, 3, 4))):
        out.append(step(r, state))
    if state.entries:
        out.append(final_fields(r, state))
    return first, out, state.columns


def final_fields(r, state):
    pipe = Fields(r, state)
    if "seq" not in [a for a, _ in pipe.pairs]:
        pipe.pairs.append(("seq", "seq"))
        pipe.text += ", seq"
        state.columns.append("seq")
    return pipe


def step(r, state):
    groups_here = [c for c in GROUPS if c in state.columns]
    while True:
        p = r.random()
        if p < 0.14:
            return Where(r, state)
        if p < 0.26:
            return Eval(r, state)
        if p < 0.33 and len(state.columns) > 2:
            pipe = Fields(r, state)
            kept = {a for a, b in pipe.pairs if a == b}
            if state.unique is not None and not kept.issuperset(state.unique):
                state.unique = None
            return pipe
        if p < 0.37 and len(state.columns) > 3:
            pipe = Drop(r, state)
            if state.unique is not None and pipe.names[0] in state.unique:
                state.unique = None
            return pipe
        if p < 0.41 and {"message", "output", "zone"} & set(state.columns):
            return Extract(r, state)
        if p < 0.44 and {"agent", "tool", "session", "meta.rank", "zone"} & set(state.columns):
            return Lookup(r, state, state.all)
        if p < 0.46 and not state.entries and "level" not in state.columns:
            return Union(r, state, state.all)
        if p < 0.56 and state.unique is not None:
            return Sort(r, state, state.unique)
        if p < 0.64:
            return Limit(r, state)
        if p < 0.69 and groups_here:
            return Dedup(r, state)
        if p < 0.84:
            return Stats(r, state)
        if p < 0.92 and groups_here:
            return Top(r, state, r.choice(("top", "rare", "uniq"))) if r.random() < 0.8 \
                else Values(r, state)
        if p < 0.95:
            return Count(r, state)
        if state.entries and not state.bounded:
            return Timeline(r, state)
