"""report.md and report.html out of the JSON files that the benches left in one folder.

Both say the same: the machine, the bars and whether they are met, ingest, the queries,
durability in words, what did not run. The HTML file needs nothing beside it.
"""
import json
import os
from html import escape

import figures
import plots
from figures import QUERIES, bytes_per_row, geomean, medians, rate, shown, verdict

NAMES = ("peers", "sets", "growth", "sessions", "fsync", "visible", "memory", "restart",
         "dashboard")
HOW = (
    "Same rows for all, engines one after another, no core kept from anyone. CPU seconds are "
    "those of the engine's processes; the client that sends rows (a load generator, psql) is not "
    "counted, and an engine that is a library reads the JSON itself, as the servers do. *To "
    "quiet* adds all background work until two seconds pass without any. Bytes on disk are taken "
    "after an orderly stop, indexes included, PostgreSQL's log left out. Peak memory is what is "
    "resident, program text too; of several processes their shares. An answer is compared with "
    "the oracle's before its time counts: a query that is wrong or cannot be put is shown so and "
    "has no time. Hot is the median of the runs after a warm-up; cold is the first after the "
    "engine was stopped, the page cache dropped, the engine started and greeted.")


def read(folder):
    """{bench: figures} of what is there"""
    out = {}
    for name in NAMES:
        path = os.path.join(folder, name + ".json")
        if os.path.exists(path):
            with open(path) as f:
                out[name] = json.load(f)
    return out


# ---- tables, as lists of rows of text: both reports are made of these ----

def machine_line(results):
    machines = [r["machine"] for r in results.values()]
    if not machines:
        return "nothing measured yet"
    m = machines[0]
    dates = sorted(x["date"] for x in machines)
    return "%s, %d cores, %s GiB RAM, Linux %s; %s%s; load at start %s" % (
        m["cpu"], m["cores"], m["ram_gib"], m["kernel"], dates[0],
        " to " + dates[-1] if dates[-1] != dates[0] else "",
        ", ".join(str(x["load_at_start"]) for x in machines))


def bar_rows(results):
    return [[b["id"], b["what"], shown(b["value"], b["unit"]),
             "%s %s" % ({"<=": "≤", ">=": "≥"}[b["op"]], shown(b["limit"], b["unit"])),
             verdict(b), b["note"]] for b in figures.bars(results)]


LOAD_HEAD = ["engine", "rows", "rows/s", "rows/CPU s", "to quiet", "B/row", "of raw", "peak MiB"]


def load_row(e, of_rows):
    load = e.get("load")
    title = e["title"] + ("" if e["rows"] == of_rows else " (on %s rows)" % format(e["rows"], ","))
    if not load:
        return [title, "failed: " + e.get("error", "")] + [""] * 6
    return [title, format(load["rows"], ","), shown(load["rows"] / load["wall_s"]), shown(rate(e)),
            shown(rate(e, True)), shown(bytes_per_row(e)),
            "%.1f %%" % (100 * load["disk_bytes"] / load["raw_bytes"]), shown(load["peak_mib"])]


def query_cell(e, q, kind):
    s = e.get("queries", {}).get(q)
    if s is None:
        return ""
    if s["state"] != "right":
        return s["state"]
    ms = medians(e, kind).get(q)
    once = kind == "hot_ms" and s.get("timed_once")
    return shown(ms) + (" †" if once else "")


def asked_engines(peers):
    """those that were put at least one query which they answered right, ours first"""
    return [e for e in peers.get("engines", []) if medians(e, "hot_ms") or medians(e, "cold_ms")]


def query_table(peers, kind):
    engines = asked_engines(peers)
    head = ["ms"] + [e["title"] for e in engines]
    rows = [[q] + [query_cell(e, q, kind) for e in engines] for q in QUERIES]
    rows.append(["geometric mean"] + [
        "%s (%d)" % (shown(geomean(medians(e, kind).values())), len(medians(e, kind)))
        for e in engines])
    return head, rows


def wrong_rows(peers):
    return [[e["title"], q, s["state"], s["why"]] for e in peers.get("engines", [])
            for q, s in sorted(e.get("queries", {}).items()) if s.get("why")]


def durability_rows(peers):
    return [[e["title"] + (", " + e["version"] if e.get("version") else ""), e["durability"],
             "; ".join(e["notes"])] for e in peers.get("engines", [])]


def growth_table(growth):
    names = sorted({q for s in growth["steps"] for q in s["queries"]})
    head = ["rows", "rows/s", "rows/CPU s to quiet", "B/row", "peak MiB"]
    head += [n + " ms" for n in names]
    return head, [[format(s["rows"], ","), shown(s["load"]["rows"] / s["load"]["wall_s"]),
                   shown(rate(s, True)), shown(bytes_per_row(s)), shown(s["load"]["peak_mib"])]
                  + [shown(s["queries"].get(n)) for n in names] for s in growth["steps"]]


def session_table(sessions):
    head = ["case", "rows", "rows/s", "rows/CPU s to quiet", "B/row", "segments",
            "one session, ms"]
    return head, [[c["name"], format(c["load"]["rows"], ","),
                   shown(c["load"]["rows"] / c["load"]["wall_s"]), shown(rate(c, True)),
                   shown(bytes_per_row(c)), str(c["segments"]), shown(c["session_ms"])]
                  for c in sessions["cases"]]


def other_rows(results):
    """what the smaller benches found, a line each"""
    v, m, s = (results.get(n) for n in ("visible", "memory", "restart"))
    if v:
        for phase in ("alone", "uploading"):
            p = v[phase]
            yield ["write to tail, " + phase, "p50 %s, p99 %s; fsync of the disk alone p50 %s; %d "
                   "writes" % (shown(p["tail_p50_ms"], "ms"), shown(p["tail_p99_ms"], "ms"),
                               shown(p["fsync_p50_ms"], "ms"), p["writes"])]
    if m:
        yield ["memory, `line`", "peak %s at %s rows/s; at rest %s" % (
            shown(m["line"]["peak_mib"], "MiB"), shown(m["line"]["rows_per_s"]),
            shown(m["line"]["rss_mib"], "MiB"))]
    if s:
        yield ["restart", "orderly: %s; after kill -9 with %s of log: %s" % (
            shown(s["clean_ms"], "ms"), shown(s["log_bytes"] / 2**20, "MiB"),
            shown(s["recovery_ms"], "ms"))]
    if results.get("fsync"):
        for name in ("batches", "singles"):
            f = results["fsync"][name]
            yield ["fsync, " + name, "rows/s with: %s; without: %s" % (
                ", ".join(map(shown, f["synced"])), ", ".join(map(shown, f["unsynced"])))]


def sections(results):
    """(title, text, head, rows) in order; both formats render the same list"""
    peers = results.get("peers", {})
    out = [("Bars", "", ["", "what", "value", "bar", "", ""], bar_rows(results))]
    if peers:
        rows = peers["rows"]
        text = "%s rows, seed %s, parameters `%s`." % (format(rows, ","), peers["seed"],
                                                       peers["set"])
        out.append(("Ingest of agent observations", text, LOAD_HEAD,
                    [load_row(e, rows) for e in peers["engines"]]))
        for kind, word in (("hot_ms", "hot"), ("cold_ms", "cold")):
            head, body = query_table(peers, kind)
            text = "Milliseconds; in brackets how many queries the mean is over." + (
                " † timed once: over a minute." if kind == "hot_ms" else "")
            out.append(("The queries, " + word, text, head, body))
        if wrong_rows(peers):
            out.append(("Answers that do not count", "", ["engine", "query", "", "why"],
                        wrong_rows(peers)))
        out.append(("What an acknowledgement is worth", "", ["engine", "durability", "notes"],
                    durability_rows(peers)))
    for name, s in results.get("sets", {}).get("sets", {}).items():
        out.append(("Log lines: " + name, "%s rows, %s raw." % (
            format(s["rows"], ","), shown(s["raw_bytes"] / 2**20, "MiB")), LOAD_HEAD,
            [load_row(e, s["rows"]) for e in s["engines"]]))
    if results.get("growth"):
        out.append(("Growth", "", *growth_table(results["growth"])))
    if results.get("sessions"):
        out.append(("Sessions", "", *session_table(results["sessions"])))
    other = list(other_rows(results))
    if other:
        out.append(("Latency, memory, restart, fsync", "", ["", ""], other))
    skipped = {(s["title"], s["why"]): [s["title"], s["why"]]
               for r in results.values() for s in r.get("skipped", [])}
    if skipped:
        out.append(("Not run", "", ["", "why"], list(skipped.values())))
    return out


# ---- Markdown ----

def md_cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def markdown(results):
    parts = ["# fleetlog, measured", "", machine_line(results) + ".", "", HOW, ""]
    for title, text, head, rows in sections(results):
        parts += ["## " + title, ""]
        if text:
            parts += [text, ""]
        parts.append("| " + " | ".join(md_cell(h) for h in head) + " |")
        parts.append("|" + " --- |" * len(head))
        parts += ["| " + " | ".join(md_cell(c) for c in row) + " |" for row in rows]
        parts.append("")
    return "\n".join(parts)


# ---- HTML ----

STYLE = """
:root { --paper: #fcfcfb; --ink: #1c1e21; --soft: #63676d; --line: #dcdcd8; --card: #f3f3f0;
  --good: #18794e; --bad: #c2410c; --fleetlog: #1d4ed8; --clickhouse: #d97706;
  --clickhouse-plain: #f5c26b; --duckdb: #65a30d; --sqlite: #0d9488; --postgres: #8b5cf6;
  --fleet-logger: #8a8f98; --victorialogs: #db2777; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --ink: #e8e8e4; --soft: #9ba0a8;
  --line: #34373c; --card: #1e2125; --good: #4ade80; --bad: #fb923c; --fleetlog: #7aa2ff;
  --clickhouse: #f59e0b; --clickhouse-plain: #8a6420; --duckdb: #a3e635; --sqlite: #2dd4bf;
  --postgres: #b79bff; --fleet-logger: #7d838c; --victorialogs: #f472b6; } }
body { margin: 0 auto; max-width: 1080px; padding: 2.5rem 1.25rem 5rem; background: var(--paper);
  color: var(--ink); font: 15px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; letter-spacing: -.01em; }
h2 { font-size: 1.15rem; margin: 2.8rem 0 .7rem; }
h3 { font-size: .95rem; margin: 1.6rem 0 .4rem; }
p { margin: .4rem 0; max-width: 50rem; } .soft { color: var(--soft); }
code { font-size: .92em; }
.score { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.4rem 0; }
.score div { background: var(--card); border-radius: 6px; padding: .7rem 1.1rem; min-width: 8rem; }
.score b { display: block; font-size: 1.6rem; line-height: 1.2;
  font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; }
th { font-weight: 600; color: var(--soft); white-space: nowrap; }
td:first-child, th:first-child, td.left, th.left { text-align: left; }
td.state { color: var(--soft); font-size: 12px; white-space: nowrap; }
td.met { color: var(--good); font-weight: 600; white-space: nowrap; }
td.not-met { color: var(--bad); font-weight: 600; white-space: nowrap; }
td.not-measured { color: var(--soft); white-space: nowrap; }
tr.last td { font-weight: 600; border-bottom: 0; white-space: nowrap; }
td.least { font-weight: 700; }
.plot { width: 100%; height: auto; max-width: 860px; display: block; }
.plot text { font: 12.5px system-ui, sans-serif; fill: var(--ink); }
.plot .tick, .plot .value { fill: var(--soft); } .plot .best { fill: var(--ink); font-weight: 700; }
.plot .strong { font-weight: 700; }
.grid { stroke: var(--line); } .span { stroke: var(--line); stroke-width: 2; }
.limit { stroke: var(--ink); stroke-width: 1.5; }
rect.met { fill: var(--good); } rect.not-met { fill: var(--bad); }
.dot { stroke: var(--paper); stroke-width: 1; }
.e-fleetlog { fill: var(--fleetlog); } .e-clickhouse { fill: var(--clickhouse); }
.e-clickhouse_plain { fill: var(--clickhouse-plain); } .e-duckdb { fill: var(--duckdb); }
.e-sqlite { fill: var(--sqlite); } .e-postgres { fill: var(--postgres); }
.e-fleet_logger { fill: var(--fleet-logger); } .e-victorialogs { fill: var(--victorialogs); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; padding: 0;
  margin: .4rem 0; font-size: 13px; }
.legend li { display: flex; align-items: center; gap: .35rem; }
"""


def html_text(text):
    """escaped, with `code` and *stress*"""
    out, code = [], False
    for piece in escape(text, True).split("`"):
        out.append("<code>%s</code>" % piece if code else piece)
        code = not code
    stressed, on = [], False
    for piece in "".join(out).split("*"):
        stressed.append("<em>%s</em>" % piece if on else piece)
        on = not on
    return "".join(stressed)


def _number(cell):
    try:
        return float(cell.split(" ")[0].replace(",", ""))
    except ValueError:
        return None


def html_rows(rows, least=False, last_total=False):
    """table rows; least marks the smallest number of each row"""
    out = []
    for i, row in enumerate(rows):
        numbers = [n for n in map(_number, row[1:]) if n is not None]
        cells = []
        for at, cell in enumerate(row):
            number = _number(cell) if at else None
            cls = ""
            if at and number is None and cell:
                cls = ' class="%s"' % ("state" if least else "left")
            elif least and number is not None and number == min(numbers):
                cls = ' class="least"'
            cells.append("<td%s>%s</td>" % (cls, html_text(cell)))
        total = ' class="last"' if last_total and i == len(rows) - 1 else ""
        out.append("<tr%s>%s</tr>" % (total, "".join(cells)))
    return "".join(out)


def html_table(head, rows, **how):
    body = html_rows(rows, **how)
    heads = "".join('<th scope="col">%s</th>' % html_text(h) for h in head)
    return '<div class="wide"><table><thead><tr>%s</tr></thead><tbody>%s</tbody></table></div>' % (
        heads, body)


def html_bars(results):
    out = []
    for b, row in zip(figures.bars(results), bar_rows(results)):
        out.append('<tr><td>%s</td><td class="left">%s%s</td><td>%s</td><td>%s</td><td>%s</td>'
                   '<td class="%s left">%s</td></tr>' % (
                       row[0], html_text(row[1]),
                       '<br/><span class="soft">%s</span>' % html_text(row[5]) if row[5] else "",
                       html_text(row[2]), html_text(row[3]), plots.against(b),
                       row[4].replace(" ", "-"), row[4]))
    return ('<div class="wide"><table><thead><tr><th scope="col"></th>'
            '<th class="left" scope="col">what</th><th scope="col">value</th>'
            '<th scope="col">bar</th><th scope="col">how far</th><th scope="col"></th></tr></thead>'
            '<tbody>%s</tbody></table></div>' % "".join(out))


def load_plots(engines, rows):
    """three bar plots of one set of rows"""
    engines = [e for e in engines if e.get("load")]

    def of(value):
        return [(e["name"], e["title"], value(e),
                 "" if e["rows"] == rows else "on %s rows" % format(e["rows"], ","))
                for e in engines]

    out = ["<h3>Rows per CPU second, until quiet</h3>",
           plots.bars(of(lambda e: rate(e, True)), "", "rows per CPU second", False),
           "<h3>Bytes on disk a row</h3>",
           plots.bars(of(bytes_per_row), "B", "bytes on disk a row", True),
           "<h3>Peak memory while loading</h3>",
           plots.bars(of(lambda e: e["load"]["peak_mib"]), "MiB", "peak memory", True)]
    if any(e["rows"] != rows for e in engines):
        out.append('<p class="soft">* on fewer rows, as the table says</p>')
    return "".join(out)


def query_plot(peers, kind):
    engines = asked_engines(peers)
    times = {e["name"]: medians(e, kind) for e in engines}
    most = max((len(t) for t in times.values()), default=0)
    full = [e for e in engines if len(times[e["name"]]) == most]  # other means would mislead
    rows = [(q, [(e["name"], e["title"], times[e["name"]][q]) for e in engines
                 if q in times[e["name"]]]) for q in QUERIES]
    rows.append(("mean", [(e["name"], e["title"], geomean(times[e["name"]].values()))
                          for e in full]))
    return plots.legend([(e["name"], e["title"]) for e in engines]) + plots.dots(
        rows, "time of each query on a log scale")


def html_section(results, title, text, head, rows):
    out = ["<h2>%s</h2>" % html_text(title)]
    if text:
        out.append('<p class="soft">%s</p>' % html_text(text))
    if title == "Bars":
        return "".join(out) + html_bars(results)
    queries = title.startswith("The queries")
    if queries:
        out.append(query_plot(results["peers"], "hot_ms" if title.endswith("hot") else "cold_ms"))
    elif title.startswith("Ingest of"):
        out.append(load_plots(results["peers"]["engines"], results["peers"]["rows"]))
    elif title.startswith("Log lines"):
        s = results["sets"]["sets"][title.split(": ")[1]]
        out.append(load_plots(s["engines"], s["rows"]))
    out.append(html_table(head, rows, least=queries, last_total=queries))
    return "".join(out)


def html(results):
    verdicts = [b["met"] for b in figures.bars(results)]
    score = "".join("<div><b>%d</b>%s</div>" % (verdicts.count(met), words) for met, words in (
        (True, "bars met"), (False, "not met"), (None, "not measured")))
    body = "".join(html_section(results, *s) for s in sections(results))
    return ('<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"/>'
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
            '<title>fleetlog, measured</title><style>%s</style></head><body>'
            '<h1>fleetlog, measured</h1><p class="soft">%s</p><div class="score">%s</div>'
            '<p>%s</p>%s</body></html>\n' % (STYLE, html_text(machine_line(results)), score,
                                             html_text(HOW), body))


def write(folder):
    results = read(folder)
    for name, text in (("report.md", markdown(results)), ("report.html", html(results))):
        with open(os.path.join(folder, name), "w") as f:
            f.write(text)
    print(os.path.join(folder, "report.html"), flush=True)
