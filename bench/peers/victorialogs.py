"""VictoriaLogs, a binary given by --victorialogs PATH: POST /insert/jsonline in batches of 1,000
lines.

It flattens JSON to dotted names and keeps every value as text. Streams are tenant and app (agent
for log lines). Its queries sort by text unless told a field is a number, have no join with other
rows and do not give back a JSON object as it came: Q04, Q05 and Q07 are left out for that.
"""
import json
from urllib.parse import quote

from measure import program_version
from peers import http
from peers.base import Peer

STREAM = {"obs": "tenant,app", "lines": "agent"}
TIME = {"obs": "event_time", "lines": "timestamp"}
MESSAGE = {"obs": "output", "lines": "message"}


class VictoriaLogs(Peer):
    name, title = "victorialogs", "VictoriaLogs"
    durability = ("answered before anything is on disk: up to 5 s of acknowledged rows are lost at "
                  "a power cut or a kill")
    notes = ("token bloom filters, no word index", "batches of 1,000 lines over HTTP",
             "streams are tenant and app; the 20 queries are not put to it")

    def __init__(self, binary):
        self.binary = binary

    def absent(self):
        return "" if self.binary else "no --victorialogs PATH"

    def start(self, directory):
        port = http.free_port()
        self.process = http.start(
            [self.binary, "-storageDataPath=" + directory, "-httpListenAddr=127.0.0.1:%d" % port,
             "-retentionPeriod=100y", "-futureRetention=10y"], port)
        self.pid = self.process.pid
        self.connection = http.Connection(port)

    def version(self):
        return program_version([self.binary, "--version"]).strip()

    def create(self, table):
        """it has no schema"""

    def load(self, table, path):
        where = "/insert/jsonline?_stream_fields=%s&_time_field=%s&_msg_field=%s" % (
            STREAM[table], TIME[table], MESSAGE[table])
        taken = 0
        for batch in http.batches(path, 1000):
            self.connection.request("POST", where, "".join(batch).encode(),
                                    {"Content-Type": "application/stream+json"})
            taken += len(batch)
        self.connection.request("GET", "/internal/force_flush")
        return int(self._rows("* | count() n")[0]["n"])

    def _rows(self, query):
        got = self.connection.request("POST", "/select/logsql/query",
                                      "query=" + quote(query),
                                      {"Content-Type": "application/x-www-form-urlencoded"})
        return [json.loads(row) for row in got.splitlines()]

    def stop(self):
        http.stop(self.process)
