"""Values as the language sees them: their one order, equality, text, tokens. Written from
docs/query-language.md alone, without a look at the server's code."""
import functools
import json
import re

LEVELS = ("trace", "debug", "info", "warn", "error", "critical")
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")


class Level(int):
    """Compared by rank, shown by name"""


def kind(v):
    """rank in the order of values: missing < false, true < numbers < texts < arrays"""
    if v is None:
        return 0
    if isinstance(v, bool):
        return 1
    if isinstance(v, (int, float)):
        return 2
    return 3 if isinstance(v, str) else 4


def key(v):
    """sortable, and equal for equal values: 5 and 5.0 are one value, 1 and true are two"""
    k = kind(v)
    if k == 3:
        return (k, v.encode())
    if k == 4:
        return (k, json.dumps(v, separators=(",", ":"), ensure_ascii=False).encode())
    return (k, 0 if v is None else v)


def compare(a, b):
    a, b = key(a), key(b)
    return (a > b) - (a < b)


by_value = functools.cmp_to_key(compare)


def number(v):
    """a number, or a text that is wholly one; else None"""
    if kind(v) == 2 and not isinstance(v, Level):
        return v
    if isinstance(v, str) and NUMBER.match(v):
        return float(v) if any(c in v for c in ".eE") else int(v)
    return None


def shown(v):
    """as the answer has it"""
    return LEVELS[v] if isinstance(v, Level) else v


# ---- texts ----

def is_ascii_word(c):
    return c.isascii() and c.isalnum()


def token_kind(c):
    """1: in a run of ASCII letters and digits; 2: of others; 3: CJK, by pairs; 0: between tokens"""
    if is_ascii_word(c):
        return 1
    if "\u3040" <= c <= "\u30ff" or "\u4e00" <= c <= "\u9fff":
        return 3
    return 2 if c.isalnum() else 0


def boundary(text, i):
    """no token goes across between text[i - 1] and text[i]; within CJK every place is one"""
    if i <= 0 or i >= len(text):
        return True
    a, b = token_kind(text[i - 1]), token_kind(text[i])
    return a != b or a == 0 or a == 3


def tokens(text):
    """[(token, start)] of folded text; CJK a character each"""
    out, i = [], 0
    while i < len(text):
        k, j = token_kind(text[i]), i + 1
        while k in (1, 2) and j < len(text) and token_kind(text[j]) == k:
            j += 1
        if k:
            out.append((text[i:j], i))
        i = j
    return out


def has_word(text, word):
    """exactly these characters, case folded, with no token cut"""
    text, word = text.lower(), word.lower()
    at = text.find(word)
    while at >= 0:
        if boundary(text, at) and boundary(text, at + len(word)):
            return True
        at = text.find(word, at + 1)
    return False


def has_prefix(text, part):
    text, part = text.lower(), part.lower()
    at = text.find(part)
    while at >= 0:
        if boundary(text, at):
            return True
        at = text.find(part, at + 1)
    return False


def has_phrase(text, phrase):
    """its tokens side by side, whatever separates them"""
    have, want = [t for t, _ in tokens(text.lower())], [t for t, _ in tokens(phrase.lower())]
    return any(have[i:i + len(want)] == want for i in range(len(have) - len(want) + 1))


def has_part(text, part):
    return part.lower() in text.lower()
