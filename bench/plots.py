"""SVG out of numbers: horizontal bars, dots on a log scale, bars against a limit. Colours are
CSS classes of the page (report.py), so that light and dark need one drawing; every mark has a
<title> with its number.
"""
import math
from html import escape

from figures import shown

LABEL, RIGHT, ROW = 182, 92, 26
WIDTH = 860


def _svg(height, parts, label):
    return ('<svg viewBox="0 0 %d %d" role="img" aria-label="%s" class="plot">%s</svg>'
            % (WIDTH, height, escape(label, True), "".join(parts)))


def _text(x, y, text, cls="", anchor="start"):
    return '<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>' % (
        x, y, cls, anchor, escape(text))


def bars(rows, unit, label, less_is_better):
    """rows: (name, title, value, note); the best value is said to be so"""
    rows = [r for r in rows if r[2] is not None]
    if not rows:
        return ""
    top = max(r[2] for r in rows) or 1
    best = (min if less_is_better else max)(r[2] for r in rows)
    space, parts = WIDTH - LABEL - RIGHT - 60, []
    for i, (name, title, value, note) in enumerate(rows):
        y = i * ROW + 6
        width = max(2.0, value / top * space)
        parts.append(_text(LABEL - 10, y + 13, title, "label", "end"))
        parts.append('<rect x="%d" y="%d" width="%.1f" height="18" rx="2" class="e-%s"><title>%s: '
                     '%s%s</title></rect>' % (LABEL, y, width, escape(name), escape(title),
                                              escape(shown(value, unit)),
                                              escape("; " + note if note else "")))
        parts.append(_text(LABEL + width + 8, y + 13, shown(value, unit) + (" *" if note else ""),
                           "value best" if value == best else "value"))
    return _svg(len(rows) * ROW + 10, parts, label)


def _ticks(low, high):
    """powers of ten from low to high, in ms, with their names"""
    out = []
    for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        ms = 10.0 ** e
        out.append((ms, "%g s" % (ms / 1000) if ms >= 1000 else
                    "%g ms" % ms if ms >= 1 else "%g µs" % (ms * 1000)))
    return out


def _mark(x, y, name, title):
    """our own is a diamond, the others are discs"""
    shape = ('<path d="M%.1f %.1fl7 7-7 7-7-7z"' % (x, y - 7) if name == "fleetlog"
             else '<circle cx="%.1f" cy="%.1f" r="5"' % (x, y))
    return '%s class="dot e-%s"><title>%s</title></%s>' % (
        shape, escape(name), escape(title), "path" if name == "fleetlog" else "circle")


def dots(rows, label):
    """rows: (row name, [(engine name, title, ms)]); one log scale for all"""
    values = [v for _q, marks in rows for _n, _t, v in marks]
    if not values:
        return ""
    ticks = _ticks(min(values), max(values))
    low, high = math.log10(ticks[0][0]), math.log10(ticks[-1][0])
    left, space = 76, WIDTH - 76 - 30
    height = len(rows) * 24 + 40

    def at(ms):
        return left + (math.log10(ms) - low) / max(high - low, 1e-9) * space

    parts = []
    for ms, name in ticks:
        parts.append('<line x1="%.1f" x2="%.1f" y1="6" y2="%d" class="grid"/>'
                     % (at(ms), at(ms), height - 26))
        parts.append(_text(at(ms), height - 8, name, "tick", "middle"))
    for i, (q, marks) in enumerate(rows):
        y = i * 24 + 18
        strong = " strong" if not q.startswith("Q") else ""
        parts.append(_text(left - 12, y + 4, q, "label" + strong, "end"))
        if marks:
            xs = [at(v) for _n, _t, v in marks]
            parts.append('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" class="span"/>'
                         % (min(xs), max(xs), y, y))
        for name, title, v in sorted(marks, key=lambda m: m[0] == "fleetlog"):
            parts.append(_mark(at(v), y, name, "%s, %s: %s" % (q, title, shown(v, "ms"))))
    return _svg(height, parts, label)


def legend(engines):
    """engines: (name, title)"""
    return '<ul class="legend">%s</ul>' % "".join(
        '<li><svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">%s</svg>%s</li>'
        % (_mark(8, 8, name, title), escape(title)) for name, title in engines)


def against(bar):
    """How far a value is from its limit, on a log scale of 1/16 to 16: the limit is the middle,
    left of it is met."""
    value, limit = bar["value"], bar["limit"]
    if value is None:
        return ""
    if bar["op"] == "<=":
        off = math.log2(value / limit) if value > 0 and limit > 0 else -4 if value <= limit else 4
    else:
        off = math.log2(limit / value) if value > 0 else 4
    off = max(-4.0, min(4.0, off))
    width, middle = abs(off) / 4 * 58, 60
    x = middle - width if off < 0 else middle
    return ('<svg viewBox="0 0 120 14" width="120" height="14" role="img" aria-label="%s">'
            '<rect x="%.1f" y="3" width="%.1f" height="8" rx="1" class="%s"/>'
            '<line x1="60" x2="60" y1="0" y2="14" class="limit"/></svg>'
            % ("left of the limit" if off <= 0 else "right of the limit", x, max(width, 1.5),
               "met" if bar["met"] else "not-met"))
