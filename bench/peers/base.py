"""What each engine offers to the comparison, and the proxy of those that live in a worker
process.

    peer.start(directory)      fresh or with what an earlier start left there
    peer.create(table)         the table and its indexes, before any row
    peer.load(table, path)     all rows of an NDJSON file, acknowledged as it does; their count
    peer.settle()              what its manual says to do after a load; part of the background work
    peer.pid                   the root of the process tree whose CPU and memory are the engine's
    peer.queries(params)       {query: (columns, question)}; a query left out is not expressible
    peer.ask(question)         (seconds, rows)
    peer.stop()

`durability` says in words what an acknowledgement is worth.
"""
import json
import os
import subprocess
import sys

from measure import disk_bytes

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class PeerError(Exception):
    """The engine refused or failed; the text is its own."""


class Peer:
    name = title = durability = ""
    notes = ()             # what a reader of the figures must know
    indexes_text = False   # words are findable by index when a row is acknowledged
    bulk = False           # acknowledges the whole load at once
    max_rows = None        # more is out of its reach; the report says so
    drops_null = False     # its JSON type does not keep members that are null
    tables = ("obs", "lines")

    def absent(self):
        """Why this peer cannot run here, or "" when it can."""
        return ""

    def busy(self):
        return False

    def settle(self):
        pass

    def disk(self, directory):
        """bytes that hold the rows and their indexes, after an orderly stop"""
        return disk_bytes(directory)

    def queries(self, params):
        return {}


class InProcess(Peer):
    """An engine in a library: driven through worker.py"""
    engine = module = ""
    bulk = True

    def __init__(self, python=None):
        self.python = python or sys.executable

    def absent(self):
        done = subprocess.run([self.python, "-c", "import " + self.module], capture_output=True)
        return "" if done.returncode == 0 else "no Python module " + self.module

    def start(self, directory):
        env = dict(os.environ, PYTHONPATH=HERE, PYTHONDONTWRITEBYTECODE="1")
        self.process = subprocess.Popen(
            [self.python, "-m", "peers.worker", self.engine, directory], cwd=HERE, env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.pid = self.process.pid
        self.call("ping")

    def call(self, do, **arguments):
        self.process.stdin.write(json.dumps(dict(arguments, do=do)) + "\n")
        self.process.stdin.flush()
        reply = self.process.stdout.readline()
        if not reply:
            raise PeerError("its process ended with %s" % self.process.wait())
        reply = json.loads(reply)
        if "error" in reply:
            raise PeerError(reply["error"])
        return reply["value"]

    def version(self):
        return self.call("version")

    def create(self, table):
        self.call("create", table=table, text_index=self.indexes_text)

    def load(self, table, path):
        return self.call("load", table=table, path=path)

    def settle(self):
        self.call("settle")

    def busy(self):
        return self.call("busy")

    def ask(self, question):
        seconds, rows = self.call("ask", text=question)
        return seconds, rows

    def stop(self):
        try:
            self.call("close")
        except (PeerError, OSError):
            pass
        self.process.stdin.close()
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class ClickHousePlain(InProcess):
    name, title = "clickhouse_plain", "ClickHouse, no text index"
    engine, module = "clickhouse", "chdb"
    drops_null = True
    durability = ("parts are written without fsync (the default): what the kernel had not written "
                  "yet, up to some 30 s of acknowledged rows, is lost at a power cut")
    notes = ("one INSERT of the whole file", "its JSON type drops members that are null: Q05 and "
             "Q07, which return the payload, are compared without them")

    def queries(self, params):
        from peers import clickhouse, sql
        return sql.statements(clickhouse.ClickHouseSQL(), params)


class ClickHouseText(ClickHousePlain):
    name, title = "clickhouse", "ClickHouse"
    indexes_text = True
    notes = ClickHousePlain.notes + ("text index on lower(input + ' ' + output), built at insert",)


class Duck(InProcess):
    name, title, engine, module = "duckdb", "DuckDB", "duckdb", "duckdb"
    durability = "one transaction, its log or file synced at commit: nothing is lost, all or none"
    notes = ("one INSERT of the whole file", "no text index")

    def queries(self, params):
        from peers import duck, sql
        return sql.statements(duck.DuckSQL(), params)


class SQLiteFts(InProcess):
    name, title, engine, module = "sqlite", "SQLite FTS5", "sqlite", "sqlite3"
    indexes_text, bulk = True, False
    durability = ("WAL and synchronous=FULL: fsync at each transaction of 1,000 rows, nothing is "
                  "lost")
    notes = ("FTS5 over input and output, five b-tree indexes", "1,000 rows a transaction")

    def queries(self, params):
        from peers import sql, sqlite
        return sql.statements(sqlite.SQLiteSQL(), params)
