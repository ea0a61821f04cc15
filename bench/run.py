#!/usr/bin/env python3
"""./dev bench [NAME] [OPTIONS]: measures fleetlog on this machine, alone and beside its peers.

Without NAME: idle, decode, ingest, singles, as ./dev bench --help says. NAMEs:

  peers     fleetlog, ClickHouse, DuckDB, SQLite, PostgreSQL, fleet-logger, VictoriaLogs on the same
            observations: ingest, bytes, memory, the 20 queries hot and cold
  sets      the same engines on log lines: line, loghub, web
  growth    fleetlog alone: loads and queries as the rows grow tenfold
  sessions  many short sessions against few long ones; event times in order against shuffled
  fsync     the same server with and without syncing
  visible   from a write to its reader, also while a large batch is uploaded
  memory    resident memory while rows come in
  dashboard the page in a real browser: paint, a million rows, live, a large trace
  restart   time to the first answer after an orderly stop and after kill -9
  report    report.md and report.html anew out of what the others left in --out
  all       every one of them

Each writes NAME.json and the two reports into --out (default: bench-results).
./dev bench NAME --help lists its options.
"""
import argparse
import importlib
import json
import os
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

NAMES = ("peers", "sets", "growth", "sessions", "fsync", "visible", "memory", "restart",
         "dashboard")
SETS = ("line", "loghub", "web")


def pairs(text):
    name, _, value = text.partition("=")
    return name, int(value)


def common(parser):
    parser.add_argument("--bin", required=True, help="the release program (./dev bench gives it)")
    parser.add_argument("--out", default="bench-results", metavar="DIR")
    parser.add_argument("--scratch", metavar="DIR", help="rows and data directories; rows are kept "
                        "there for the next run (default: a temporary folder)")
    parser.add_argument("--tools", metavar="DIR", default=os.environ.get("FLEETLOG_AGENTLOGS"),
                        help="folder of gen_agentlogs.py and check_agentlogs.py")
    parser.add_argument("--real", metavar="DIR", help="folder of loghub/ and web/")
    parser.add_argument("--data", metavar="FILE",
                        help="take the observations from this NDJSON file")
    parser.add_argument("--params", metavar="FILE", help="its parameters, as the generator wrote")
    parser.add_argument("--seed", type=int, default=1, help="of the generator")
    parser.add_argument("--rows", type=int, default=1000000)


def of_peers(parser):
    parser.add_argument("--only", nargs="*", default=[], metavar="ENGINE")
    parser.add_argument("--rows-of", type=pairs, nargs="*", default=[], metavar="ENGINE=N",
                        help="fewer rows for an engine that is too slow")
    parser.add_argument("--queries", nargs="*", default=[], metavar="QNN")
    parser.add_argument("--set", default="default", help="of the parameters")
    parser.add_argument("--runs", type=int, default=5, help="hot runs after the warm-up")
    parser.add_argument("--cold-runs", type=int, default=1)
    parser.add_argument("--peer-python", metavar="PROGRAM", default=sys.executable,
                        help="a Python that has chdb and duckdb")
    parser.add_argument("--fleet-logger", metavar="DIR", help="a clone of its repository")
    parser.add_argument("--victorialogs", metavar="PROGRAM")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=SETS)


def of_one(parser):
    parser.add_argument("--steps", type=int, nargs="*", default=[1000000, 10000000],
                        help="growth: rows at which to measure")
    parser.add_argument("--sessions", type=int, default=100000, help="of 20 rows each")
    parser.add_argument("--seconds", type=float, default=10,
                        help="visible: how long each phase; memory: three times that")


def measure(name, args):
    """the figures of one bench"""
    module = importlib.import_module({"peers": "compare", "sets": "compare"}.get(name, name))
    return getattr(module, name)(args)


def run(name, args):
    """Measures one bench and writes its figures and the reports. args.save is for those that take
    long: what they have so far is kept, whatever happens to the rest."""
    import report

    def save(figures):
        with open(os.path.join(args.out, name + ".json"), "w") as f:
            json.dump(figures, f, indent=1)

    args.save = save
    save(measure(name, args))
    report.write(args.out)


def run_all(names, args):
    """Every bench, also after one that failed; the names of those."""
    failed = []
    for name in names:
        print("---- %s" % name, flush=True)
        try:
            run(name, args)
        except (Exception, SystemExit):
            traceback.print_exc()
            failed.append(name)
    return failed


def main():
    argv = sys.argv[1:]
    at = 2 if argv[:1] == ["--bin"] else 0
    name = argv[at] if len(argv) > at and not argv[at].startswith("-") else None
    if name is None:
        import basics
        return basics.main()
    if name not in NAMES + ("report", "all"):
        sys.exit("no bench called %s; there are %s report all" % (name, " ".join(NAMES)))
    del argv[at]
    parser = argparse.ArgumentParser(prog="./dev bench " + name, description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    common(parser)
    of_peers(parser)
    of_one(parser)
    args = parser.parse_args(argv)
    args.rows_of = dict(args.rows_of)
    os.makedirs(args.out, exist_ok=True)
    if name == "report":
        import report
        return report.write(args.out)
    with tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as folder:
        args.scratch = os.path.abspath(args.scratch or folder)
        os.makedirs(args.scratch, exist_ok=True)
        if name != "all":
            return run(name, args)
        failed = run_all(NAMES, args)
        if failed:
            sys.exit("failed: " + " ".join(failed))


if __name__ == "__main__":
    main()
