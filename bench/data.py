"""The rows that are measured: made once from fixed seeds into the scratch folder, then reused.

  small     agent observations of 2.4 KB, by gen_agentlogs.py (not part of this repository)
  line      agent log lines of about 250 B
  loghub    lines of 16 systems; web: access-log lines; both read from --real DIR and multiplied
  sessions  rows of 20 per session, or the same number of rows by few agents

A row of `line`, `loghub`, `web` has timestamp (seconds), agent, level, message, and where the
source has them trace_id and context.
"""
import glob
import gzip
import json
import os
import random
import re
import subprocess
import sys

START = 1760000000  # the first timestamp of generated lines
DAY = 86400
YEAR = 365 * DAY
WORDS = ("request response cache miss hit tool call planner retry token budget session plan step "
         "database connection refused timeout upstream queue drained worker started finished file "
         "read write patch applied tests passed failed model answer stream chunk embedding index "
         "vector search result ranked fetched page parsed url").split()


def line(rnd, i, start, trace):
    """One agent log line of about 250 bytes, as Fleet Logger takes it; ten rows share a trace."""
    level = rnd.choices(("DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"), (30, 50, 12, 7, 1))[0]
    message = " ".join(rnd.choices(WORDS, k=rnd.randint(5, 9)))
    return {"timestamp": round(start + i * 0.01, 3), "agent": "svc-%02d" % rnd.randint(0, 9),
            "level": level, "message": "%s id=%d" % (message, rnd.randint(0, 10**6)),
            "context": {"duration_ms": rnd.randint(1, 5000), "attempt": rnd.randint(1, 3)},
            "trace_id": "%032x" % rnd.getrandbits(128) if i % 10 == 0 else trace}


def lines(entries):
    rnd, trace = random.Random(8140), "0" * 32
    for i in range(entries):
        row = line(rnd, i, START, trace)
        trace = row["trace_id"]
        yield row


def make_batches(folder, entries, per):
    """NDJSON files of `per` lines each; returns their paths and total bytes."""
    paths, total, rows = [], 0, []
    for i, row in enumerate(lines(entries), 1):
        rows.append(json.dumps(row, separators=(",", ":")))
        if len(rows) == per or i == entries:
            path = os.path.join(folder, "b%06d" % (i - len(rows)))
            total += write_text(path, "\n".join(rows) + "\n")
            paths.append(path)
            rows = []
    return paths, total


def write_text(path, text):
    with open(path, "w") as f:
        f.write(text)
    return len(text.encode())


def write_rows(path, rows):
    """NDJSON, written whole or not at all; an existing file is taken as it is."""
    if not os.path.exists(path):
        with open(path + ".part", "w") as f:
            for row in rows:
                f.write(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n")
        os.rename(path + ".part", path)
    return path


# ---- real lines, multiplied ----

DIGITS = re.compile(r"\d+")


def mutated(text, rnd):
    """text with every number replaced by another of as many digits: replaying a line unchanged
    would flatter any compressor"""
    return DIGITS.sub(lambda m: "".join(rnd.choices("0123456789", k=len(m.group()))), text)


def _level(text):
    for name in ("critical", "fatal", "error", "warn", "debug"):
        if name in text.lower():
            return {"fatal": "CRITICAL"}.get(name, name.upper())
    return "INFO"


def real_lines(files, entries):
    """The lines of the .gz files, file by file in turn, as often as needed; the first round as they
    are, later ones mutated; times run on by 10 ms a row."""
    sources = []
    for path in sorted(files):
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as f:
            name = os.path.basename(path).split(".")[0]
            sources += [(name, text.rstrip("\n")) for text in f if text.strip()]
    rnd = random.Random(16)
    for i in range(entries):
        name, text = sources[i % len(sources)]
        if i >= len(sources):
            text = mutated(text, rnd)
        yield {"timestamp": round(START + i * 0.01, 3), "agent": name, "level": _level(text),
               "message": text}


def text_set(name, scratch, entries, real):
    """Path of the rows of `line`, `loghub` or `web`, or None when their source is not here."""
    path = os.path.join(scratch, "%s-%d.ndjson" % (name, entries))
    if name == "line":
        return write_rows(path, lines(entries))
    pattern = {"loghub": "loghub/*.log.gz", "web": "web/apache_logs.gz"}[name]
    files = glob.glob(os.path.join(real, pattern)) if real else []
    return write_rows(path, real_lines(files, entries)) if files else None


# ---- sessions ----

def session_rows(agents, sessions, entries, order="time", seed=14):
    """`entries` rows dealt in turn to `sessions` sessions of `agents` agents. order: "time" = event
    times rise by 10 ms a row; "shuffled" = each is anywhere in a year."""
    rnd = random.Random(seed)
    for i in range(entries):
        s = rnd.randrange(sessions)
        at = START + (i * 0.01 if order == "time" else rnd.random() * YEAR)
        message = " ".join(rnd.choices(WORDS, k=rnd.randint(5, 9)))
        yield {"timestamp": round(at, 3), "agent": "agent-%06d" % (s % agents),
               "session_id": "s-%08x" % (s * 2654435761 & 0xffffffff),
               "level": rnd.choices(("INFO", "WARN", "ERROR"), (88, 8, 4))[0],
               "message": "%s id=%d" % (message, rnd.randint(0, 10**6)),
               "context": {"duration_ms": rnd.randint(1, 5000), "step": i // sessions}}


# ---- agent observations ----

class Observations:
    """`small` rows with the parameters of the 20 queries and the oracle's answers to them."""

    def __init__(self, tools, scratch, rows, seed=1):
        self.rows, self.seed, self.tools = rows, seed, tools
        stem = os.path.join(scratch, "small-%d-%d" % (rows, seed))
        self.path, self.params_path = stem + ".ndjson", stem + ".params.json"
        self.stem = stem

    def _tool(self, name, *args):
        if not self.tools or not os.path.exists(os.path.join(self.tools, name)):
            raise SystemExit("%s is needed: give its folder by --tools DIR or "
                             "FLEETLOG_AGENTLOGS" % name)
        done = subprocess.run([sys.executable, os.path.join(self.tools, name)] + list(args),
                              capture_output=True, text=True)
        return done

    def make(self, given=None, given_params=None):
        """Generates the rows; or takes the first `rows` lines of a file that is already there."""
        if os.path.exists(self.path) and os.path.exists(self.params_path):
            return self
        part = self.path + ".part"
        if given:
            with open(given, "rb") as source, open(part, "wb") as f:
                for i, text in enumerate(source):
                    if i == self.rows:
                        break
                    f.write(text)
            if given_params:
                with open(given_params) as f:
                    params = f.read()
            else:
                params = self._tool("check_agentlogs.py", "params", part).stdout
            write_text(self.params_path, params)
        else:
            done = self._tool("gen_agentlogs.py", "--profile", "small", "--rows", str(self.rows),
                              "--seed", str(self.seed), "--out", part,
                              "--params", self.params_path)
            if done.returncode != 0:
                raise SystemExit(done.stdout + done.stderr)
        os.rename(part, self.path)
        return self

    def params(self, which="default"):
        with open(self.params_path) as f:
            return json.load(f)[which]

    def answers(self, which="default"):
        """Path of the oracle's answers to the parameter set."""
        path = "%s.%s.answers.json" % (self.stem, which)
        if not os.path.exists(path):
            done = self._tool("check_agentlogs.py", "run", self.path, "--params", self.params_path,
                              "--set", which, "--out", path + ".part")
            if done.returncode != 0:
                raise SystemExit(done.stdout + done.stderr)
            os.rename(path + ".part", path)
        return path

    def verdicts(self, answers_path, engine_path):
        """{query: "" when right, else what is wrong} as check_agentlogs.py compare has it"""
        done = self._tool("check_agentlogs.py", "compare", answers_path, engine_path)
        out = {}
        for text in done.stdout.splitlines():
            query, _, verdict = text.partition(" ")
            out[query] = "" if verdict.startswith("ok") else verdict
        if not out:
            raise SystemExit("compare: " + done.stdout + done.stderr)
        return out
