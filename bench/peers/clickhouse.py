"""ClickHouse by PyPI chdb, in its own process (see worker.py). Table `obs` has the types and the
order (biz_date, trace_id, seq_no) of the public benchmark; the text index is that of the public
one too.
"""
import json
import time

from peers import schema, sql

TEXT = {"obs": "lowerUTF8(concat(ifNull(input, ''), ' ', ifNull(output, '')))",
        "lines": "lowerUTF8(message)"}
TYPES = {"time": "DateTime", "date": "Date", "text": "String", "text?": "Nullable(String)",
         "int": "UInt64", "decimal": "Float64", "json": "JSON"}
NARROW = {"seq_no": "UInt32", "latency_ms": "UInt32", "type": "LowCardinality(String)",
          "status": "LowCardinality(String)", "environment": "LowCardinality(String)",
          "agent": "LowCardinality(String)", "level": "LowCardinality(String)",
          "timestamp": "DateTime64(3)"}
ORDER = {"obs": "biz_date, trace_id, seq_no", "lines": "agent, timestamp"}


class ClickHouseSQL(sql.Dialect):
    text = TEXT["obs"]

    def attr(self, name):
        return "payload.attr.%s.:String" % name

    def provider(self, name):
        return "payload.provider.%s.:%s" % (name, "Bool" if name == "cache_hit" else "String")

    def tokens(self, words, every=True):
        return "%s(%s, [%s])" % ("hasAllTokens" if every else "hasAnyTokens", self.text,
                                 ", ".join("'%s'" % w for w in words))


class ClickHouse:
    def __init__(self, directory):
        from chdb import session
        self.session = session.Session(directory)
        self.session.query("CREATE DATABASE IF NOT EXISTS bench")
        self.session.query("USE bench")

    def version(self):
        return "ClickHouse " + self._rows("SELECT version()")[0][0]

    def _rows(self, text):
        got = self.session.query(text, "JSONCompactEachRow").bytes()
        return [json.loads(row) for row in got.splitlines()]

    def create(self, table, text_index):
        columns = ["%s %s" % (n, NARROW.get(n) or TYPES.get(k) or TYPES[k.rstrip("?")])
                   for n, k in schema.TABLES[table]]
        if text_index:
            columns.append("INDEX words %s TYPE text(tokenizer = 'splitByNonAlpha')" % TEXT[table])
        self.session.query(
            "CREATE TABLE %s (%s) ENGINE = MergeTree ORDER BY (%s) SETTINGS "
            "object_serialization_version = 'v3', dynamic_serialization_version = 'v3', "
            "object_shared_data_serialization_version = 'advanced'"
            % (table, ", ".join(columns), ORDER[table]))

    def load(self, table, path):
        self.session.query("INSERT INTO %s SELECT * FROM file('%s', 'JSONEachRow', '%s')" % (
            table, path, ", ".join("%s %s" % (n, NARROW.get(n) or TYPES.get(k)
                                              or TYPES[k.rstrip("?")])
                                   for n, k in schema.TABLES[table])))
        return self._rows("SELECT count() FROM %s" % table)[0][0]

    def settle(self):
        """nothing to ask for: merges run by themselves"""

    def busy(self):
        return self._rows("SELECT count() FROM system.merges")[0][0] > 0

    def ask(self, text):
        started = time.perf_counter()
        got = self.session.query(text, "JSONCompactEachRow").bytes()
        seconds = time.perf_counter() - started
        return seconds, [json.loads(row) for row in got.splitlines()]

    def ping(self):
        self._rows("SELECT 1")

    def close(self):
        self.session.close()
