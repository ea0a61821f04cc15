"""fleetlog as the comparison sees it: the release program as a server, NDJSON over HTTP by
bench-load in bodies of 1,000 lines on 4 connections, the 20 queries of agentlogs/queries.flq
over one kept-alive connection. Durable as shipped; options of `serve` can be given.
"""
import importlib
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "tests", "support"))

from peers.base import Peer, PeerError  # noqa: E402
from peers.http import Connection  # noqa: E402

BODY_LINES = 1000
CONNECTIONS = 4


def load_program(program):
    return os.path.join(os.path.dirname(program), "bench", "bench-load")


def run_load(program, port, path, connections, amount, bodies=()):
    """What bench-load prints, as a dict; amount as in bench/load.c"""
    command = [load_program(program), str(port), path, str(connections), str(amount)] + list(bodies)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit("load: %s%s" % (done.stdout, done.stderr))
    return json.loads(done.stdout)


def query_module():
    """agentlogs/fleetlog_queries.py, which knows how the 20 queries are put"""
    return importlib.import_module("agentlogs.fleetlog_queries")


class Fleetlog(Peer):
    name = title = "fleetlog"
    indexes_text = True
    durability = ("fsync of the log before each answer, shared by requests that wait: nothing is "
                  "lost")
    notes = ("bodies of 1,000 lines over HTTP on 4 connections; the load generator's CPU is not "
             "counted",)

    def __init__(self, program, *options):
        os.environ["FLEETLOG_BIN"] = program
        self.program, self.options, self.server = program, options, None

    def start(self, directory):
        import fleetlog
        os.makedirs(directory, exist_ok=True)
        fleetlog.BIN = self.program
        self.server = fleetlog.Server(*self.options, data_dir=directory).start()
        self.pid, self.port = self.server.process.pid, self.server.port
        self._client = self._connection = None

    def version(self):
        return subprocess.run([self.program, "version"], capture_output=True,
                              text=True).stdout.split("\n")[0]

    def create(self, table):
        """it has no schema"""

    def entries(self):
        return self.server.get("/health").json()["entries"]

    def send(self, path, lines=BODY_LINES):
        """bench-load's figures of one NDJSON file"""
        return run_load(self.program, self.port, "/api/v1/ingest", CONNECTIONS, "n%d" % lines,
                        [path])

    def load(self, table, path):
        before = self.entries()
        self.send(path)
        return self.entries() - before

    def query(self, text, **options):
        """(seconds, answer) of one query over one kept-alive connection"""
        if self._connection is None:
            self._connection = Connection(self.port)
        body = json.dumps(dict(options, q=text))
        started = time.perf_counter()
        data = self._connection.request("POST", "/api/v1/query", body,
                                        {"Content-Type": "application/json"})
        seconds = time.perf_counter() - started
        answer = json.loads(data)
        if answer["incomplete"]:
            raise PeerError("no whole answer to " + text)
        return seconds, answer

    def median_ms(self, text, runs=7, **options):
        """median of runs after a warm-up, and the last answer"""
        self.query(text, **options)
        asked = [self.query(text, **options) for _ in range(runs)]
        return statistics.median(seconds for seconds, _answer in asked) * 1000, asked[-1][1]

    def client(self):
        if self._client is None:
            self._client = query_module().Client(self.server.url)
        return self._client

    def queries(self, params):
        module = query_module()
        texts, _asks = module.load()
        return {name: (None, module.fill(text, params)) for name, text in texts.items()}

    def ask(self, question):
        """seconds, rows; the columns stand in self.columns"""
        started = time.perf_counter()
        try:
            answer = self.client().query(question, limit=query_module().ROWS_MAX)
        except RuntimeError as e:
            raise PeerError(str(e).replace("\n", " ")[:300])
        seconds = time.perf_counter() - started
        self.columns = answer["columns"]
        return seconds, [[row.get(c) for c in self.columns] for row in answer["rows"]]

    def stop(self):
        self.server.stop()

    def kill(self):
        self.server.kill()
