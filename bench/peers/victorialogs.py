"""VictoriaLogs, a binary given by --victorialogs PROGRAM: POST /insert/jsonline in batches of 1,000
lines, queries as logsql.py has them.

It flattens JSON to dotted names and keeps every value as text. Streams are tenant and app (agent
for log lines).
"""
import json
import re
import shutil
import subprocess
import time
from urllib.parse import quote

from measure import program_version
from peers import http, logsql
from peers.base import Peer

STREAM = {"obs": "tenant,app", "lines": "agent"}
TIME = {"obs": "event_time", "lines": "timestamp"}
MESSAGE = {"obs": "", "lines": "message"}  # observations have no message: a constant stands there


class VictoriaLogs(Peer):
    name, title = "victorialogs", "VictoriaLogs"
    durability = ("answered before anything is on disk: up to 5 s of acknowledged rows are lost at "
                  "a power cut or a kill")
    notes = ("token bloom filters, no word index", "batches of 1,000 lines over HTTP",
             "streams are tenant and app; tokens and phrases are regular expressions, as its words "
             "hold '_' and are not folded")

    def __init__(self, binary):
        self.binary = binary

    def absent(self):
        return "" if self.binary else "no --victorialogs PATH"

    def start(self, directory):
        port = http.free_port()
        self.process = http.start(
            [self.binary, "-storageDataPath=" + directory, "-httpListenAddr=127.0.0.1:%d" % port,
             "-defaultMsgValue=observation", "-retentionPeriod=100y", "-futureRetention=10y",
             "-search.maxQueryDuration=900s"], port)
        self.pid = self.process.pid
        self.connection = http.Connection(port)

    def version(self):
        """a binary built by its module path knows its version only as Go's build information"""
        said = program_version([self.binary, "--version"])
        if said == "unknown" and shutil.which("go"):
            done = subprocess.run(["go", "version", "-m", self.binary], capture_output=True,
                                  text=True)
            found = re.search(r"^\s*mod\s+\S+\s+(\S+)", done.stdout, re.M)
            said = found.group(1) if found else said
        return "VictoriaLogs " + said

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

    def queries(self, params):
        return logsql.statements(params)

    def ask(self, question):
        text, keys, constants = question
        started = time.perf_counter()
        rows = self._rows(text)
        seconds = time.perf_counter() - started
        return seconds, [[constants[k] if k in constants else r.get(k) for k in keys] for r in rows]

    def stop(self):
        http.stop(self.process)
