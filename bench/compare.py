"""./dev bench peers: fleetlog and every peer that is here, on the same observations, one after
another.

For each engine: load all rows (time, CPU seconds, peak memory, bytes on disk), then the 20
queries. Every answer is compared with the oracle's first; only right ones are timed. hot: median
after a warm-up, in the process that answered it. cold: the engine stopped, the page cache
dropped, the engine started and asked something trivial, then the query.

./dev bench sets: the same loads, without the queries, of log lines: `line`, `loghub`, `web`.
"""
import json
import os
import shutil
import time

from data import Observations, text_set
from fleet import Fleetlog
from measure import (PeakMemory, disk_bytes, drop_caches, machine, reset_peak, tree_cpu,
                     wait_quiet)
from peers import base
from peers.base import PeerError
from peers.fleet_logger import FleetLogger
from peers.postgres import Postgres
from peers.victorialogs import VictoriaLogs

QUERIES = ["Q%02d" % i for i in range(1, 21)]
SLOW_S = 60  # a query that takes longer is timed once


def engines(args):
    """All engines in the order they run"""
    return [Fleetlog(args.bin), base.ClickHouseText(args.peer_python),
            base.ClickHousePlain(args.peer_python), base.Duck(args.peer_python),
            base.SQLiteFts(args.peer_python), Postgres(), FleetLogger(args.fleet_logger),
            VictoriaLogs(args.victorialogs)]


def chosen(args):
    """(those that run, [{name, why} of those that do not])"""
    known = engines(args)
    for name in args.only:
        if name not in [e.name for e in known]:
            raise SystemExit("no engine called %s; there are %s"
                             % (name, " ".join(e.name for e in known)))
    run, skipped = [], []
    for e in known:
        if args.only and e.name not in args.only:
            continue
        why = e.absent()
        if why:
            skipped.append({"name": e.name, "title": e.title, "why": why})
            print("%-18s not here: %s" % (e.name, why), flush=True)
        else:
            run.append(e)
    return run, skipped


def described(e, rows):
    return {"name": e.name, "title": e.title, "durability": e.durability, "notes": list(e.notes),
            "indexes_text": e.indexes_text, "rows": rows}


def load(e, table, path, rows, directory):
    """Loads a started engine and returns the figures; it is stopped afterwards and started again,
    so that bytes on disk are those of an orderly stop."""
    e.create(table)
    reset_peak(e.pid)
    cpu = tree_cpu(e.pid)
    with PeakMemory(e.pid) as peak:
        started = time.monotonic()
        taken = e.load(table, path)
        wall = time.monotonic() - started
        acked = tree_cpu(e.pid) - cpu
        if taken != rows:
            raise PeerError("took %s of %d rows" % (taken, rows))
        e.settle()
        wait_quiet(e.pid, e.busy)
        total = tree_cpu(e.pid) - cpu
        quiet = time.monotonic() - started
        peak.sample()
    e.stop()
    figures = {"rows": rows, "raw_bytes": os.path.getsize(path), "wall_s": wall, "cpu_s": acked,
               "quiet_wall_s": quiet, "quiet_cpu_s": total, "peak_mib": peak.mib,
               "disk_bytes": e.disk(directory)}
    e.start(directory)
    print("%-18s %8.0f rows/s  %8.0f rows/CPU s  %8.0f to quiet  %7.1f B/row  %6.0f MiB" % (
        e.name, rows / wall, rows / max(acked, 0.01), rows / max(total, 0.01),
        figures["disk_bytes"] / rows, peak.mib), flush=True)
    return figures


# ---- queries ----

def without_nulls(value):
    """value as an engine gives it whose JSON type keeps neither null members nor empty objects"""
    if isinstance(value, dict):
        kept = {k: without_nulls(v) for k, v in value.items()}
        return {k: v for k, v in kept.items() if v is not None and v != {}}
    return value


def strip_payloads(answers):
    """in place: payload columns of {query: {columns, rows, tie_rows}} without nulls"""
    for a in answers.values():
        if "payload" in (a.get("columns") or ()):
            at = a["columns"].index("payload")
            for row in a["rows"] + a.get("tie_rows", []):
                value = json.loads(row[at]) if isinstance(row[at], str) else row[at]
                row[at] = without_nulls(value)


def judge(e, data, which, answers, scratch):
    """{query: "" or what is wrong}; the oracle's own comparison"""
    truth, mine = data.answers(which), os.path.join(scratch, e.name + ".answers.json")
    if e.drops_null:
        with open(truth) as f:
            expected = json.load(f)
        strip_payloads(expected["queries"])
        strip_payloads(answers)
        truth = os.path.join(scratch, e.name + ".truth.json")
        with open(truth, "w") as f:
            json.dump(expected, f)
    with open(mine, "w") as f:
        json.dump(answers, f, default=str)
    return data.verdicts(truth, mine)


def first_answers(e, questions, wanted):
    """(answers by query, states by query) of asking each once"""
    answers, states = {}, {}
    for q in wanted:
        if q not in questions:
            states[q] = {"state": "not expressible"}
            continue
        columns, question = questions[q]
        try:
            seconds, rows = e.ask(question)
        except PeerError as error:
            states[q] = {"state": "failed", "why": str(error)}
            continue
        answers[q] = {"columns": columns or e.columns, "rows": rows}
        states[q] = {"state": "asked", "warm_up_s": seconds}
    return answers, states


def time_hot(e, question, runs, first_s):
    """figures of the runs after a warm-up; a query that took first_s, too long, is warm by that"""
    once = first_s > SLOW_S
    if not once:
        e.ask(question)
    return {"timed_once": once,
            "hot_ms": [e.ask(question)[0] * 1000 for _ in range(1 if once else runs)]}


def time_cold(e, question, directory, runs):
    out = []
    for _ in range(runs):
        e.stop()
        if not drop_caches():
            e.start(directory)
            return []
        e.start(directory)
        out.append(e.ask(question)[0] * 1000)
    return out


def ask_all(e, data, directory, args):
    """{query: state, why, hot_ms, cold_ms}"""
    questions = e.queries(data.params(args.set))
    answers, states = first_answers(e, questions, args.queries or QUERIES)
    verdicts = judge(e, data, args.set, answers, args.scratch) if answers else {}
    right = []
    for q, s in states.items():
        if s["state"] != "asked":
            continue
        if verdicts[q]:
            s.update(state="wrong", why=verdicts[q])
        else:
            s["state"] = "right"
            right.append(q)
    for q in right:
        states[q].update(time_hot(e, questions[q][1], args.runs, states[q]["warm_up_s"]))
    for q in right:
        states[q]["cold_ms"] = time_cold(e, questions[q][1], directory, args.cold_runs)
    bad = {q: s["why"] for q, s in states.items() if "why" in s}
    print("%-18s %d of %d queries right%s" % (e.name, len(right), len(states), "".join(
        "\n    %s %s" % kv for kv in bad.items())), flush=True)
    return states


def stop_quietly(e):
    """after a failure there may be nothing left to stop"""
    try:
        e.stop()
    except (PeerError, AssertionError, OSError, ValueError) as error:
        print("%-18s while stopping: %s" % (e.name, str(error).split("\n")[0]), flush=True)


def one(e, table, path_of, rows, args, ask=None):
    """Everything of one engine on a fresh directory, which is removed afterwards."""
    rows = min(rows, args.rows_of.get(e.name, e.max_rows or rows))
    entry = described(e, rows)
    directory = os.path.join(args.scratch, "engine-" + e.name)
    shutil.rmtree(directory, ignore_errors=True)
    path = path_of(rows)
    running = False
    try:
        e.start(directory)
        running = True
        entry["version"] = e.version()
        entry["load"] = load(e, table, path, rows, directory)
        if ask:
            entry["queries"] = ask(e, rows, directory)
    except (PeerError, RuntimeError, AssertionError, OSError) as error:
        entry["error"] = str(error).split("\n")[0]
        print("%-18s failed: %s" % (e.name, error), flush=True)
    finally:
        if running:
            stop_quietly(e)
        shutil.rmtree(directory, ignore_errors=True)
    return entry


def peers(args):
    """the figures of ./dev bench peers"""
    run, skipped = chosen(args)
    sets = {}

    def data_of(rows):
        if rows not in sets:
            sets[rows] = Observations(args.tools, args.scratch, rows, args.seed).make(
                args.data, args.params)
            sets[rows].answers(args.set)
        return sets[rows]

    for e in run:  # made before anything is measured
        data_of(min(args.rows, args.rows_of.get(e.name, e.max_rows or args.rows)))
    out = {"machine": machine(), "rows": args.rows, "seed": args.seed, "set": args.set,
           "runs": args.runs, "cold_runs": args.cold_runs, "skipped": skipped, "engines": []}
    for e in run:
        out["engines"].append(one(
            e, "obs", lambda rows: data_of(rows).path, args.rows, args,
            lambda e, rows, directory: ask_all(e, data_of(rows), directory, args)))
        args.save(out)
    return out


def sets(args):
    """the figures of ./dev bench sets"""
    run, skipped = chosen(args)
    out = {"machine": machine(), "skipped": skipped, "sets": {}}
    for name in args.sets:
        path = text_set(name, args.scratch, args.rows, args.real)
        if path is None:
            out["skipped"].append({"name": name, "title": name, "why": "no source: --real DIR"})
            print("%s: no source, give --real DIR" % name, flush=True)
            continue
        print("%s, %d rows" % (name, args.rows), flush=True)
        entries = [one(e, "lines", lambda rows: text_set(name, args.scratch, rows, args.real),
                       args.rows, args) for e in run if "lines" in e.tables]
        out["sets"][name] = {"rows": args.rows, "raw_bytes": os.path.getsize(path),
                             "engines": entries}
        args.save(out)
    return out
