"""Random expressions of `eval`: typed, so that most give a value; null where the rules say so."""
import decimal
import math

import values
from values import kind


class Const:
    def __init__(self, v):
        self.v = v

    def text(self):
        if isinstance(self.v, bool):
            return "true" if self.v else "false"
        return '"%s"' % self.v if isinstance(self.v, str) else str(self.v)

    def value(self, row):
        return self.v


class Name:
    def __init__(self, name):
        self.name = name

    def text(self):
        return self.name

    def value(self, row):
        return values.shown(row.get(self.name))


class Binary:
    """arithmetic: null with null, with a text that is no number, and for a division by 0"""

    def __init__(self, op, a, b):
        self.op, self.a, self.b = op, a, b

    def text(self):
        return "(%s %s %s)" % (self.a.text(), self.op, self.b.text())

    def value(self, row):
        a, b = (values.number(x.value(row)) for x in (self.a, self.b))
        if a is None or b is None:
            return None
        if self.op == "+":
            return a + b
        if self.op == "-":
            return a - b
        if self.op == "*":
            return a * b
        if b == 0:
            return None
        return a / b if self.op == "/" else math.fmod(a, b)


class Compared:
    OPS = {"=": lambda c: c == 0, "!=": lambda c: c != 0, "<": lambda c: c < 0,
           "<=": lambda c: c <= 0, ">": lambda c: c > 0, ">=": lambda c: c >= 0}

    def __init__(self, op, a, b):
        self.op, self.a, self.b = op, a, b

    def text(self):
        return "(%s %s %s)" % (self.a.text(), self.op, self.b.text())

    def value(self, row):
        a, b = self.a.value(row), self.b.value(row)
        if a is None or b is None:
            return None
        if kind(a) != kind(b):
            return self.op == "!="
        return self.OPS[self.op](values.compare(a, b))


class Logic:
    def __init__(self, op, a, b=None):
        self.op, self.a, self.b = op, a, b

    def text(self):
        if self.op == "NOT":
            return "(NOT %s)" % self.a.text()
        return "(%s %s %s)" % (self.a.text(), self.op, self.b.text())

    def value(self, row):
        a = self.a.value(row)
        if self.op == "NOT":
            return None if a is None else not a
        b = self.b.value(row)
        short = self.op == "OR"
        if a is short or b is short:
            return short
        return None if a is None or b is None else not short


def as_text(v):
    if v is None:
        return ""
    return ("true" if v else "false") if isinstance(v, bool) else str(v)


def rounded(x, digits=0):
    d = decimal.Decimal(repr(x)).quantize(decimal.Decimal(1).scaleb(-digits),
                                          decimal.ROUND_HALF_UP)
    return float(d)


class Call:
    def __init__(self, name, *args):
        self.name, self.args = name, args

    def text(self):
        return "%s(%s)" % (self.name, ", ".join(a.text() for a in self.args))

    def value(self, row):
        v = [a.value(row) for a in self.args]
        if self.name == "if":
            return v[1] if v[0] is True else v[2] if len(v) > 2 else None
        if self.name == "coalesce":
            return next((x for x in v if x is not None), None)
        if self.name == "concat":
            return "".join(map(as_text, v))
        if v[0] is None:
            return None
        if self.name in ("lower", "upper"):
            return getattr(as_text(v[0]), self.name)()
        if self.name == "len":
            return len(v[0])
        if self.name == "substr":
            return v[0][v[1] - 1:v[1] - 1 + v[2]]
        if self.name == "replace":
            return v[0].replace(v[1], v[2])
        n = values.number(v[0])
        if n is None:
            return None
        if self.name == "abs":
            return abs(n)
        if self.name == "round":
            return rounded(n, v[1])
        return getattr(math, self.name)(n)


NUMBERS = ("duration_ms", "port", "ratio", "n", "meta.rank", "seq", "count", "c0", "c1")
TEXTS = ("agent", "tool", "session", "message", "zone", "meta.zone")


def num(r, known, depth=0):
    have = [n for n in NUMBERS if n in known and n not in ("c0", "c1")]
    p = r.random()
    if depth > 2 or p < 0.35:
        return Name(r.choice(have)) if have and p < 0.25 else Const(r.choice((0, 1, 2, 3, 0.5, 10)))
    if p < 0.75:
        op = r.choice("+-*/%")
        return Binary(op, num(r, known, depth + 1), num(r, known, depth + 1))
    if p < 0.85:
        return Call("coalesce", num(r, known, depth + 1), num(r, known, depth + 1))
    if p < 0.9:
        return Call("len", txt(r, known, depth + 1))
    if p < 0.95:
        return Call(r.choice(("floor", "ceil", "abs")), num(r, known, depth + 1))
    return Call("if", boolean(r, known, depth + 1), num(r, known, depth + 1),
                num(r, known, depth + 1))


def txt(r, known, depth=0):
    have = [n for n in TEXTS if n in known]
    p = r.random()
    if depth > 2 or p < 0.4:
        return Name(r.choice(have)) if have and p < 0.3 else Const(r.choice(("x", "", "Ä b", "5")))
    if p < 0.6:
        return Call("concat", txt(r, known, depth + 1), Const("/"), txt(r, known, depth + 1))
    if p < 0.75:
        return Call(r.choice(("lower", "upper")), txt(r, known, depth + 1))
    if p < 0.85:
        return Call("substr", txt(r, known, depth + 1), Const(r.randint(1, 4)),
                    Const(r.randint(0, 5)))
    if p < 0.92:
        return Call("replace", txt(r, known, depth + 1), Const(r.choice("aes")), Const("_"))
    return Call("coalesce", txt(r, known, depth + 1), txt(r, known, depth + 1))


def boolean(r, known, depth=0):
    p = r.random()
    if p < 0.1 and "ok" in known:
        return Name("ok")
    if depth > 2 or p < 0.6:
        left = right = num if r.random() < 0.6 else txt
        if r.random() < 0.35:
            right = num if left is txt else txt
        return Compared(r.choice(tuple(Compared.OPS)), left(r, known, depth + 1),
                        right(r, known, depth + 1))
    if p < 0.7:
        return Logic("NOT", boolean(r, known, depth + 1))
    return Logic(r.choice(("AND", "OR")), boolean(r, known, depth + 1),
                 boolean(r, known, depth + 1))


def make(r, known):
    return r.choice((num, num, txt, boolean, boolean))(r, known)
