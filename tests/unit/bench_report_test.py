"""The arithmetic and the reports of bench/: fake results in, medians, ratios, marks, pages out."""
import argparse
import contextlib
import copy
import io
import json
import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.join(os.environ["FLEETLOG_SOURCE"], "bench"))

import compare  # noqa: E402
import figures  # noqa: E402
import growth  # noqa: E402
import plots  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402
from peers import (base, clickhouse, duck, fleet_logger, logsql, postgres, sql,  # noqa: E402
                   sqlite)

MACHINE = {"cpu": "a <processor> & more", "cores": 2, "ram_gib": 4.0, "kernel": "6.1",
           "date": "2026-01-02 03:04 UTC", "load_at_start": 0.1}


def load(rows, cpu, quiet, disk, peak=100.0):
    return {"rows": rows, "raw_bytes": rows * 2000, "wall_s": cpu, "cpu_s": cpu,
            "quiet_wall_s": quiet, "quiet_cpu_s": quiet, "peak_mib": peak, "disk_bytes": disk}


def right(hot, cold):
    return {"state": "right", "hot_ms": hot, "cold_ms": cold}


def engine(name, title, load_figures, queries=None, indexes_text=True, rows=1000):
    return {"name": name, "title": title, "durability": "fsync | each", "notes": ["a <note>"],
            "indexes_text": indexes_text, "rows": rows, "load": load_figures, "version": "1",
            "queries": queries or {}}


def results():
    ours = engine("fleetlog", "fleetlog", load(1000, 1.0, 2.0, 300000), {
        "Q01": right([3.0, 1.0, 2.0], [4.0]), "Q02": right([9.0, 8.0, 10.0], [50.0]),
        "Q03": {"state": "wrong", "why": "1 rows, not 2"}})
    theirs = engine("clickhouse", "ClickHouse", load(1000, 7.0, 7.0, 600000), {
        "Q01": right([16.0], [16.0]), "Q02": right([4.0], [100.0]), "Q03": right([1.0], [1.0])})
    duck_ = engine("duckdb", "DuckDB", load(1000, 0.5, 0.5, 900000), {
        "Q01": right([1.0], [8.0])}, indexes_text=False)
    small = engine("fleet_logger", "fleet-logger", load(200, 5.0, 5.0, 900000),
                   {"Q02": right([0.001], [0.001]), "Q01": {"state": "not expressible"}},
                   indexes_text=False, rows=200)
    return {"peers": {"machine": MACHINE, "rows": 1000, "seed": 1, "set": "default", "runs": 3,
                      "cold_runs": 1,
                      "skipped": [{"name": "x", "title": "Loki", "why": "no <path>"}],
                      "engines": [ours, theirs, duck_, small]}}


def found(bars, words):
    return next(b for b in bars if words in b["what"])


class Arithmetic(unittest.TestCase):
    def test_geometric_mean(self):
        self.assertAlmostEqual(figures.geomean([1, 100]), 10)
        self.assertIsNone(figures.geomean([]))

    def test_medians_only_of_right_answers(self):
        ours = results()["peers"]["engines"][0]
        self.assertEqual(figures.medians(ours, "hot_ms"), {"Q01": 2.0, "Q02": 9.0})

    def test_versus_says_which_are_slower(self):
        mean, slower = figures.versus({"Q01": 2.0, "Q02": 9.0, "Q04": 1.0},
                                      {"Q01": 8.0, "Q02": 4.0})
        self.assertAlmostEqual(mean, (2 / 8 * 9 / 4) ** 0.5)
        self.assertEqual(slower, ["Q02"])

    def test_composite_leaves_out_those_on_fewer_rows(self):
        self.assertEqual(figures.composite(results()["peers"], "hot_ms"),
                         {"Q01": 1.0, "Q02": 4.0, "Q03": 1.0})

    def test_numbers_as_shown(self):
        for value, text in ((None, "–"), (0, "0"), (1234.5, "1,234"), (99.96, "100"),
                            (0.25, "0.25"), (3.14159, "3.14"), (0.00042, "0.0004"), (12, "12")):
            self.assertEqual(figures.shown(value), text)
        self.assertEqual(figures.shown(2.5, "ms"), "2.5 ms")
        self.assertEqual(figures.shown(2.5, "×"), "2.5×")


class Bars(unittest.TestCase):
    def test_ingest(self):
        bars = figures.bars(results())
        acked = found(bars, "at acknowledgement")
        self.assertAlmostEqual(acked["value"], 7)
        self.assertEqual((acked["met"], acked["note"]), (True, "ClickHouse"))
        self.assertAlmostEqual(found(bars, "background work until quiet")["value"], 3.5)
        self.assertFalse(found(bars, "background work until quiet")["met"])
        self.assertFalse(found(bars, "DuckDB's plain bulk load")["met"])

    def test_an_engine_without_a_text_index_is_no_rival_in_text(self):
        r = results()
        r["peers"]["engines"][2]["indexes_text"] = True
        self.assertEqual(found(figures.bars(r), "at acknowledgement")["note"], "DuckDB")

    def test_bytes(self):
        b = found(figures.bars(results()), "`small`: bytes a row, to ClickHouse")
        self.assertEqual((b["value"], b["met"]), (0.5, True))

    def test_queries(self):
        bars = figures.bars(results())
        exact = found(bars, "answered exactly")
        self.assertEqual((exact["value"], exact["limit"], exact["met"]), (2, 3, False))
        hot = found(bars, "the queries, hot")
        self.assertAlmostEqual(hot["value"], (2 / 16 * 9 / 4) ** 0.5)
        self.assertFalse(hot["met"])
        slower = found(bars, "slower than ClickHouse, hot")
        self.assertEqual((slower["value"], slower["note"], slower["met"]), (1, "Q02", False))
        self.assertTrue(found(bars, "slower than ClickHouse, cold")["met"])

    def test_what_has_not_run_is_not_measured(self):
        for b in figures.bars({}):
            self.assertIsNone(b["met"], b)
            self.assertEqual(figures.verdict(b), "not measured")
        wanted = {"T1", "T4", "T5", "T6", "T7", "T8", "T9", "T11", "T12", "T13", "T14", "T15",
                  "T16"}
        self.assertEqual({b["id"] for b in figures.bars({})}, wanted)

    def test_limits_belong_to_the_met(self):
        self.assertTrue(figures.bar("T", "", 2, "<=", 2)["met"])
        self.assertTrue(figures.bar("T", "", 2, ">=", 2)["met"])
        self.assertFalse(figures.bar("T", "", 2.01, "<=", 2)["met"])
        self.assertFalse(figures.bar("T", "", 1.99, ">=", 2)["met"])

    def test_growth_is_per_decade(self):
        queries = dict.fromkeys(("trace", "last_50", "last_50_agent", "absent", "common",
                                 "scan"), 2.0)
        first = {"rows": 1000, "raw_bytes": 10**6, "load": load(1000, 1, 1, 10), "queries": queries}
        last = copy.deepcopy(first)
        last.update(rows=100000, raw_bytes=10**8)
        last["load"] = load(100000, 100, 125, 10, peak=120)
        last["queries"].update(trace=8.0, scan=220.0, common=40.0)
        bars = figures.bars({"growth": {"machine": MACHINE, "steps": [last, first]}})
        self.assertAlmostEqual(found(bars, "a trace by its id: growth")["value"], 2)
        self.assertAlmostEqual(found(bars, "a scan's time")["value"], 1.1)
        self.assertAlmostEqual(found(bars, "rows per CPU second until quiet, to")["value"], 0.8)
        self.assertAlmostEqual(found(bars, "trigrams are everywhere")["value"], 0.4)
        self.assertAlmostEqual(found(bars, "that peak at the last step")["value"], 1.2)

    def test_sessions_and_syncing(self):
        few = {"name": "few agents", "load": load(100, 1, 1, 1000), "segments": 2, "session_ms": 1}
        many = {"name": "many sessions", "load": load(100, 1, 1.2, 1100), "segments": 2,
                "session_ms": 1}
        shuffled = {"name": "shuffled", "load": load(100, 1, 1.2, 1100), "segments": 3,
                    "session_ms": 1}
        rates = {"synced": [8, 7, 90], "unsynced": [10, 10, 1]}
        bars = figures.bars({"sessions": {"machine": MACHINE, "cases": [few, many, shuffled]},
                             "fsync": {"machine": MACHINE, "batches": rates, "singles": rates}})
        self.assertAlmostEqual(found(bars, "many sessions: bytes")["value"], 1.1)
        self.assertFalse(found(bars, "many sessions: CPU")["met"])
        self.assertFalse(found(bars, "shuffled over a year: segments")["met"])
        self.assertTrue(found(bars, "shuffled over a year: CPU")["met"])
        self.assertEqual(found(bars, "with fsync, to without: batches")["value"], 0.8)


class Reports(unittest.TestCase):
    def test_html_is_well_formed(self):
        page = report.html(results())
        root = ElementTree.fromstring(page[page.index("<html"):])
        texts = [e.text for e in root.iter() if e.text]
        self.assertIn("ClickHouse", texts)
        self.assertNotIn("http", page)  # nothing is fetched
        self.assertEqual(len(list(root.iter("svg"))) > 5, True)

    def test_html_of_nothing_is_well_formed(self):
        page = report.html({})
        ElementTree.fromstring(page[page.index("<html"):])

    def test_wrong_answers_have_no_time(self):
        text = report.markdown(results())
        hot = text[text.index("## The queries, hot"):text.index("## The queries, cold")]
        self.assertIn("| Q03 | wrong | 1 |", hot)
        self.assertIn("| Q01 | 2 | 16 | 1 | not expressible |", hot)
        self.assertIn("1 rows, not 2", text)

    def test_fewer_rows_are_said(self):
        self.assertIn("fleet-logger (on 200 rows)", report.markdown(results()))

    def test_a_failed_engine_says_why(self):
        r = results()
        failed = r["peers"]["engines"][1]
        failed["load"], failed["error"], failed["queries"] = None, "it fell over", {}
        self.assertIn("failed: it fell over", report.markdown(r))
        self.assertIsNone(found(figures.bars(r), "to ClickHouse")["met"])

    def test_cells_do_not_break_the_table(self):
        self.assertIn("fsync \\| each", report.markdown(results()))

    def test_write(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "peers.json"), "w") as f:
                json.dump(results()["peers"], f)
            report.write(folder)
            self.assertEqual(sorted(os.listdir(folder)), ["peers.json", "report.html", "report.md"])

    def test_the_limit_is_the_middle(self):
        met, missed = (plots.against(figures.bar("T", "", v, "<=", 1)) for v in (0.5, 2))
        self.assertIn("left of the limit", met)
        self.assertIn("right of the limit", missed)
        self.assertEqual(plots.against(figures.bar("T", "", None, "<=", 1)), "")


class Pieces(unittest.TestCase):
    PARAMS = dict.fromkeys(("tenant", "app", "trace_id", "request_key", "workflow_variant",
                            "release_ring", "customer_tier", "traffic_cluster", "start_date",
                            "end_date"), "x")

    def test_every_dialect_has_all_queries(self):
        for dialect in (clickhouse.ClickHouseSQL, duck.DuckSQL, postgres.PostgresSQL,
                        sqlite.SQLiteSQL):
            got = sql.statements(dialect(), self.PARAMS)
            self.assertEqual(sorted(got), figures.QUERIES)

    def test_logsql_leaves_out_three(self):
        got = logsql.statements(self.PARAMS)
        self.assertEqual(set(figures.QUERIES) - set(got), {"Q04", "Q05", "Q07"})
        for name, (columns, (text, keys, _constants)) in got.items():
            self.assertEqual(len(columns), len(keys), name)
            self.assertNotIn("%", text)

    def test_an_engine_that_does_not_start_ends_only_its_own_part(self):
        class Broken(base.Peer):
            name = title = "broken"
            max_rows = 7

            def start(self, directory):
                raise base.PeerError("no such engine\nat all")

        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            args = argparse.Namespace(scratch=folder, rows_of={})
            entry = compare.one(Broken(), "obs", lambda rows: None, 10, args)
        self.assertEqual((entry["error"], entry["rows"]), ("no such engine", 7))

    def test_all_goes_on_after_a_failure(self):
        seen = []

        def one(name, _args):
            seen.append(name)
            if name == "sets":
                raise SystemExit("no rows")

        kept, run.run = run.run, one
        try:
            with contextlib.redirect_stdout(io.StringIO()), \
                    contextlib.redirect_stderr(io.StringIO()):
                self.assertEqual(run.run_all(("peers", "sets", "growth"), None), ["sets"])
        finally:
            run.run = kept
        self.assertEqual(seen, ["peers", "sets", "growth"])

    def test_sqlite_answers_like_tokens(self):
        """FTS5's ascii tokenizer has the tokens of the queries"""
        with tempfile.TemporaryDirectory() as folder:
            db = sqlite.SQLite(folder)
            db.db.execute("CREATE VIRTUAL TABLE words USING fts5(input, tokenize = 'ascii')")
            for text in ("an error.here", "an_error_", "errors", "errorß", "ERROR"):
                db.db.execute("INSERT INTO words VALUES (?)", (text,))
            _seconds, rows = db.ask("SELECT rowid FROM words WHERE words MATCH 'error'")
            db.close()
        self.assertEqual([r[0] for r in rows], [1, 2, 5])

    def test_nulls_go_but_nothing_else(self):
        answers = {"Q05": {"columns": ["a", "payload"], "tie_rows": [],
                           "rows": [[None, '{"x": null, "y": {"z": null}, "k": [null, 0, ""]}']]}}
        compare.strip_payloads(answers)
        self.assertEqual(answers["Q05"]["rows"], [[None, {"k": [None, 0, ""]}]])

    def test_chunks_end_at_each_step(self):
        self.assertEqual(growth.chunks([1500000, 500000]),
                         [(500000, 0, 500000), (1000000, 1, 1500000)])
        self.assertEqual([c[0] for c in growth.chunks([2300000])], [1000000, 1000000, 300000])

    def test_an_observation_as_an_entry(self):
        row = {"event_time": "2026-03-17 11:08:00", "app": "a", "status": "warn", "input": None,
               "output": "out", "trace_id": "t", "session_id": "s"}
        row.update({k: row.get(k, 1) for k, _kind in fleet_logger.schema.OBS})
        got = fleet_logger.entry("obs", row)
        self.assertEqual((got["timestamp"], got["level"], got["message"], got["agent"]),
                         (1773745680.0, "WARN", " out", "a"))


if __name__ == "__main__":
    unittest.main()
