"""SQLite by Python's sqlite3, in its own process (see worker.py): a table, FTS5 over its text
and indexes on what the queries select by; 1,000 rows a transaction, each synced (WAL,
synchronous=FULL).

FTS5's `ascii` tokenizer has exactly the tokens of the queries: runs of ASCII letters and digits
and of anything beyond ASCII. A phrase is a substring, so its first word may be the end of a
longer one: FTS5 finds the words after it, LIKE decides.
"""
import os
import sqlite3
import time

from peers import schema, sql

TYPES = {"time": "TEXT", "date": "TEXT", "text": "TEXT", "text?": "TEXT", "int": "INTEGER",
         "decimal": "REAL", "json": "TEXT"}
BATCH = 1000
INDEXES = {
    "obs": ["trace_id", "observation_id", "tenant, app, event_time", "tenant, event_time",
            "json_extract(payload, '$.attr.request_key')"],
    "lines": ["agent, timestamp", "trace_id"],
}


class SQLiteSQL(sql.Dialect):
    text = "lower(coalesce(input, '') || ' ' || coalesce(output, ''))"
    true = "1"

    def attr(self, name):
        return "json_extract(payload, '$.attr.%s')" % name

    def provider(self, name):
        return "json_extract(payload, '$.provider.%s')" % name

    def _match(self, expression):
        return "rowid IN (SELECT rowid FROM words WHERE words MATCH '%s')" % expression

    def tokens(self, words, every=True):
        return self._match((" AND " if every else " OR ").join(words))

    def any_phrase(self, phrases):
        later = " OR ".join('"%s" *' % p.split(" ", 1)[1] for p in phrases)
        return "%s AND %s" % (self._match(later), super().any_phrase(phrases))

    def phrase(self, phrase):
        return "instr(%s, '%s')" % (self.text, phrase)


class SQLite:
    def __init__(self, directory):
        os.makedirs(directory, exist_ok=True)
        self.db = sqlite3.connect(os.path.join(directory, "bench.sqlite"), isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -262144",
                       "mmap_size = 4294967296"):
            self.db.execute("PRAGMA " + pragma).fetchall()

    def version(self):
        return "SQLite " + sqlite3.sqlite_version

    def create(self, table, text_index):
        # mapped pages would count as its memory while it loads
        self.db.execute("PRAGMA mmap_size = 0").fetchall()
        self.db.execute(schema.create(table, TYPES))
        for i, columns in enumerate(INDEXES[table]):
            self.db.execute("CREATE INDEX i%d ON %s (%s)" % (i, table, columns))
        if text_index:
            self.db.execute("CREATE VIRTUAL TABLE words USING fts5(%s, content = '%s', "
                            "tokenize = 'ascii')" % (", ".join(schema.TEXT_OF[table]), table))

    def load(self, table, path):
        """The JSON is read by SQLite itself: its CPU is the engine's, as with the other peers."""
        fields = ", ".join("json_extract(?1, '$.%s')" % n for n, _k in schema.TABLES[table])
        insert = "INSERT INTO %s SELECT %s" % (table, fields)
        names = ", ".join(schema.TEXT_OF[table])
        index = ("INSERT INTO words (rowid, %s) SELECT rowid, %s FROM %s WHERE rowid > ?"
                 % (names, names, table))
        batch = []
        with open(path, encoding="utf-8") as f:
            for row in f:
                batch.append((row,))
                if len(batch) == BATCH:
                    self._commit(table, insert, index, batch)
                    batch = []
        self._commit(table, insert, index, batch)
        return self.db.execute("SELECT count(*) FROM " + table).fetchone()[0]

    def _commit(self, table, insert, index, batch):
        last = self.db.execute("SELECT coalesce(max(rowid), 0) FROM " + table).fetchone()[0]
        self.db.execute("BEGIN")
        self.db.executemany(insert, batch)
        self.db.execute(index, (last,))
        self.db.execute("COMMIT")

    def settle(self):
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.db.execute("PRAGMA optimize").fetchall()

    def busy(self):
        return False

    def ask(self, text):
        started = time.perf_counter()
        rows = self.db.execute(text).fetchall()
        return time.perf_counter() - started, rows

    def ping(self):
        self.db.execute("SELECT 1").fetchall()

    def close(self):
        self.db.close()
