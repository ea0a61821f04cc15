"""PostgreSQL 15 or later in a private cluster: initdb in the scratch folder, unix socket only, C
locale.

The text index is GIN on to_tsvector('simple', words), where words is the lower-cased text with
ASCII punctuation as blanks: so its parser sees the tokens of the queries and nothing else (paths
and host names would be one token each). All text queries use this very expression.
"""
import csv
import glob
import io
import os
import pwd
import signal
import subprocess
import time

from measure import disk_bytes
from peers import schema, sql
from peers.base import Peer, PeerError

TYPES = {"time": "timestamp", "date": "date", "text": "text", "text?": "text", "int": "bigint",
         "decimal": "double precision", "json": "jsonb"}
TEXT = {"obs": "lower(coalesce(input, '') || ' ' || coalesce(output, ''))",
        "lines": "lower(message)"}
PUNCTUATION = r"""E'!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~\n\t\r', repeat(' ', 35)"""
INDEXES = {
    "obs": ["(trace_id)", "(observation_id)", "(tenant, app, event_time)",
            "(tenant, event_time)", "((payload #>> '{attr,request_key}'))"],
    "lines": ["(agent, timestamp)", "(trace_id)"],
}
SETTINGS = {"listen_addresses": "''", "shared_buffers": "'2GB'", "max_wal_size": "'4GB'",
            "maintenance_work_mem": "'512MB'", "work_mem": "'64MB'", "wal_compression": "lz4",
            "effective_cache_size": "'8GB'", "random_page_cost": "1.1", "jit": "off",
            "log_min_messages": "fatal"}
MARK = "that-was-the-answer"


def vector(text):
    return "to_tsvector('simple', translate(%s, %s))" % (text, PUNCTUATION)


class PostgresSQL(sql.Dialect):
    text = TEXT["obs"]
    true = "'true'"
    cost = "round(sum(total_cost)::numeric, 6)"

    def attr(self, name):
        return "payload #>> '{attr,%s}'" % name

    def provider(self, name):
        return "payload #>> '{provider,%s}'" % name

    def _match(self, expression):
        return "%s @@ '%s'::tsquery" % (vector(self.text), expression)

    def tokens(self, words, every=True):
        return self._match((" & " if every else " | ").join(words))

    def any_phrase(self, phrases):
        """a phrase is a substring: its words but the first and the last are tokens, the last begins
        one; the index finds those, LIKE decides"""
        later = []
        for p in phrases:
            words = p.split()[1:]
            words[-1] += ":*"
            later.append("(%s)" % " & ".join(words))
        return "%s AND %s" % (self._match(" | ".join(later)), super().any_phrase(phrases))


class Postgres(Peer):
    name, title = "postgres", "PostgreSQL"
    indexes_text, bulk = True, True
    durability = "synchronous_commit=on: fsync of the log at commit, nothing is lost"
    notes = ("GIN over to_tsvector('simple', words) and five b-tree indexes, made before the load",
             "one COPY and one INSERT of the whole file; then VACUUM ANALYZE and CHECKPOINT as "
             "background work", "shared_buffers 2 GB, max_wal_size 4 GB, wal_compression lz4, "
             "jit off", "what an empty cluster takes and the log are not counted as bytes on disk")

    def __init__(self, bindir=None):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        self.bindir = bindir or (found[-1] if found else "")
        self.process = self.psql = None

    def absent(self):
        if not os.path.exists(os.path.join(self.bindir, "initdb")):
            return "no initdb"
        if os.getuid() == 0:
            try:
                pwd.getpwnam("postgres")
            except KeyError:
                return "no user postgres to run as"
        return ""

    def _as_postgres(self, command, **more):
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            more.update(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
        return dict(args=[os.path.join(self.bindir, command[0])] + command[1:], cwd="/", **more)

    def start(self, directory):
        self.data = data = os.path.join(directory, "data")
        if not os.path.exists(data):
            os.makedirs(directory, exist_ok=True)
            if os.getuid() == 0:
                user = pwd.getpwnam("postgres")
                os.chown(directory, user.pw_uid, user.pw_gid)
            subprocess.run(**self._as_postgres(
                ["initdb", "-D", data, "-A", "trust", "-U", "bench", "--locale=C", "-E", "UTF8"],
                check=True, stdout=subprocess.DEVNULL))
            with open(os.path.join(data, "postgresql.conf"), "a") as f:
                f.write("".join("%s = %s\n" % kv for kv in SETTINGS.items()))
        self.process = subprocess.Popen(**self._as_postgres(
            ["postgres", "-D", data, "-k", directory], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL))
        self.pid = self.process.pid
        command = [os.path.join(self.bindir, "psql"), "-X", "-q", "-A", "-t", "-h", directory,
                   "-U", "bench", "-d", "postgres"]
        deadline = time.monotonic() + 60
        while subprocess.run(command + ["-c", "SELECT 1"], capture_output=True).returncode != 0:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise PeerError("postgres does not start")
            time.sleep(0.05)
        self.psql = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT)
        self._run("SELECT 1;")

    def _run(self, text):
        """what psql prints for text, errors too"""
        self.psql.stdin.write(("%s\n\\echo %s\n" % (text, MARK)).encode())
        self.psql.stdin.flush()
        out = []
        for row in self.psql.stdout:
            if row.rstrip(b"\n").endswith(MARK.encode()):
                break
            out.append(row)
        answer = b"".join(out).decode()
        if answer.startswith("ERROR:"):
            raise PeerError(answer.split("\n")[0])
        return answer

    def version(self):
        return "PostgreSQL " + self._run("SHOW server_version;").split()[0]

    def create(self, table):
        self.empty = self._files()
        self._run(schema.create(table, TYPES) + ";")
        for columns in INDEXES[table]:
            self._run("CREATE INDEX ON %s %s;" % (table, columns))
        self._run("CREATE INDEX words ON %s USING gin (%s);" % (table, vector(TEXT[table])))

    def load(self, table, path):
        fields = []
        for name, kind in schema.TABLES[table]:
            kind = kind.rstrip("?")
            take = "->" if kind == "json" else "->>"
            fields.append("(d %s '%s')::%s" % (take, name, TYPES[kind]))
        self._run("BEGIN; CREATE TEMP TABLE stage (d jsonb) ON COMMIT DROP;")
        copied = self._run("\\copy stage FROM '%s' WITH (FORMAT csv, QUOTE E'\\x01', "
                           "DELIMITER E'\\x02')" % path)
        done = self._run("INSERT INTO %s SELECT %s FROM stage;" % (table, ", ".join(fields)))
        self._run("COMMIT;")
        for said in (copied, done):
            if "ERROR" in said:
                raise PeerError(said.strip())
        return int(self._run("SELECT count(*) FROM %s;" % table))

    def settle(self):
        self._run("VACUUM ANALYZE;")
        self._run("CHECKPOINT;")

    def _files(self):
        """bytes without the log: its files are kept for reuse and hold nothing more"""
        return disk_bytes(self.data) - disk_bytes(os.path.join(self.data, "pg_wal"))

    def disk(self, directory):
        return self._files() - self.empty

    def queries(self, params):
        return sql.statements(PostgresSQL(), params)

    def ask(self, question):
        started = time.perf_counter()
        text = self._run("COPY (%s) TO STDOUT WITH (FORMAT csv);" % question)
        seconds = time.perf_counter() - started
        return seconds, list(csv.reader(io.StringIO(text, newline="")))

    def stop(self):
        if self.psql:
            self.psql.stdin.close()
            self.psql.wait()
            self.psql = None
        self.process.send_signal(signal.SIGINT)  # a fast shutdown: it does not wait for clients
        try:
            self.process.wait(300)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
