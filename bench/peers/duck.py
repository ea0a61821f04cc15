"""DuckDB by PyPI duckdb, in its own process (see worker.py): no text index, one bulk load,
columns in the order of arrival, as its users load NDJSON.
"""
import os
import time

from peers import schema, sql

TYPES = {"time": "TIMESTAMP", "date": "DATE", "text": "VARCHAR", "text?": "VARCHAR",
         "int": "BIGINT", "decimal": "DOUBLE", "json": "JSON"}
OTHER = r"[^0-9a-z\x{80}-\x{10FFFF}]"  # RE2: what is no part of a token


class DuckSQL(sql.Dialect):
    text = "lower(coalesce(input, '') || ' ' || coalesce(output, ''))"

    def attr(self, name):
        return "payload->>'$.attr.%s'" % name

    def provider(self, name):
        return "payload->>'$.provider.%s'" % name

    def tokens(self, words, every=True):
        one = ["(contains(%s, '%s') AND regexp_matches(%s, '(^|%s)%s($|%s)'))"
               % (self.text, w, self.text, OTHER, w, OTHER) for w in words]
        return "(%s)" % (" AND " if every else " OR ").join(one)

    def phrase(self, phrase):
        return "contains(%s, '%s')" % (self.text, phrase)

    def like(self, column, part):
        return "contains(lower(%s), '%s')" % (column, part)


class DuckDB:
    def __init__(self, directory):
        import duckdb
        os.makedirs(directory, exist_ok=True)
        self.db = duckdb.connect(os.path.join(directory, "bench.duckdb"))

    def version(self):
        return "DuckDB " + self.db.execute("SELECT version()").fetchone()[0]

    def create(self, table, text_index):
        if text_index:
            raise ValueError("this DuckDB has no text index")
        self.db.execute(schema.create(table, TYPES))

    def load(self, table, path):
        fields = ", ".join("'%s': '%s'" % (n, TYPES.get(k) or TYPES[k.rstrip("?")])
                           for n, k in schema.TABLES[table])
        self.db.execute("INSERT INTO %s SELECT * FROM read_json('%s', "
                        "format = 'newline_delimited', columns = {%s})" % (table, path, fields))
        return self.db.execute("SELECT count(*) FROM " + table).fetchone()[0]

    def settle(self):
        self.db.execute("CHECKPOINT")

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
