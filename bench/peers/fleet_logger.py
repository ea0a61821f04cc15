"""fleet-logger, a clone of its public repository: POST /ingest of arrays of 1,000 entries.

It has agents, levels, a message and a trace. An observation becomes an entry: agent is the app,
level the status, message input and output, and the row itself is the context. Of the 20 queries
it can answer the one that asks for a trace.
"""
import datetime
import json
import sys
import time

from peers import http, schema
from peers.base import Peer

LEVEL = {"ok": "INFO", "warn": "WARN", "error": "ERROR"}
Q03 = "trace_id seq_no type status model tool_name input output".split()


def entry(table, row):
    if table == "lines":
        known = ("timestamp", "agent", "level", "message", "trace_id", "context")
        return {k: row[k] for k in known if k in row}
    at = datetime.datetime.fromisoformat(row["event_time"]).replace(tzinfo=datetime.timezone.utc)
    return {"timestamp": at.timestamp(), "agent": row["app"], "level": LEVEL[row["status"]],
            "message": "%s %s" % (row["input"] or "", row["output"] or ""),
            "trace_id": row["trace_id"], "session_id": row["session_id"],
            "context": {k: row[k] for k, _kind in schema.OBS
                        if k not in ("trace_id", "session_id")}}


class FleetLogger(Peer):
    name, title = "fleet_logger", "fleet-logger"
    durability = "written, never synced: what the kernel had not written yet is lost"
    notes = ("arrays of 1,000 entries over HTTP",
             "all entries are held in memory, hence 200,000 at most",
             "of the 20 queries it has only the one for a trace")
    max_rows = 200000

    def __init__(self, folder):
        self.folder = folder

    def absent(self):
        return "" if self.folder else "no --fleet-logger DIR"

    def start(self, directory):
        port = http.free_port()
        self.process = http.start([sys.executable, "cli.py", "--log-dir", directory, "serve",
                                   "--port", str(port)], port, cwd=self.folder)
        self.pid = self.process.pid
        self.connection = http.Connection(port)

    def version(self):
        return "fleet-logger"

    def create(self, table):
        """it has one kind of entry"""

    def load(self, table, path):
        taken = 0
        for batch in http.batches(path, 1000):
            body = json.dumps([entry(table, json.loads(text)) for text in batch])
            taken += json.loads(self.connection.request("POST", "/ingest", body))["ingested"]
        return taken

    def queries(self, params):
        return {"Q03": (Q03, "/trace/" + params["trace_id"])}

    def ask(self, question):
        started = time.perf_counter()
        got = json.loads(self.connection.request("GET", question))
        seconds = time.perf_counter() - started
        entries = got["entries"] if isinstance(got, dict) else got
        rows = [dict(e["context"], trace_id=e["trace_id"]) for e in entries]
        rows.sort(key=lambda r: r["seq_no"])
        return seconds, [[r[c] for c in Q03] for r in rows]

    def stop(self):
        http.stop(self.process)
