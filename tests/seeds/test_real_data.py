"""Real input: every data set of a folder is sent through the HTTP API and counted, and searches over it
are compared with an independent evaluation of the raw files in Python.

FLEETLOG_REAL_DATA names the folder (loghub/*.log.gz, web/*.gz, claude-code/*.jsonl, intercode/*.json.gz,
swe-agent/*.traj.gz, tau-bench*.json.gz); without it the suite is skipped. The data is not part of the
project."""
import glob
import gzip
import json
import os
import re
import unittest

import fleetlog

DATA = os.environ.get("FLEETLOG_REAL_DATA", "")


def lines_of(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as f:
        return [x for x in f.read().decode("utf-8", "replace").splitlines() if x.strip()]


def json_of(path):
    with gzip.open(path, "rb") as f:
        return json.loads(f.read())


def text(value):
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def load(folder):
    """Everything as entries: {"set": name, "n": running number, "message": text, ...}."""
    rows = []

    def add(name, message, **more):
        # what a JSON string can carry and a line cannot: nothing; control characters are kept
        rows.append(dict(more, set=name, n=len(rows), message=message,
                         timestamp=1700000000 + len(rows), agent="data-" + name))

    for path in sorted(glob.glob(folder + "/loghub/*.log.gz")):
        for line in lines_of(path):
            add(os.path.basename(path).split("_")[0], line)
    for line in lines_of(folder + "/web/apache_logs.gz"):
        m = re.search(r'" (\d{3}) (\d+|-)', line)
        add("apache", line, status_code=int(m.group(1)) if m else None)
    for line in lines_of(folder + "/web/nginxplus_json_logs.gz"):
        add("nginx", "nginx plus", document=json.loads(line))
    for path in sorted(glob.glob(folder + "/claude-code/*.jsonl")):
        for line in lines_of(path):
            doc = json.loads(line)
            if not isinstance(doc, dict):
                doc = {"message": text(doc)}
            said = doc.get("message") or doc.get("summary") or ""
            add("claude", text(said.get("content", "") if isinstance(said, dict) else said),
                role=doc.get("type"), session=doc.get("sessionId"))
    for path in sorted(glob.glob(folder + "/intercode/*.json.gz")):
        doc = json_of(path)
        for key, episode in (doc.items() if isinstance(doc, dict) else enumerate(doc)):
            add("intercode", text(episode), episode=str(key))
    for path in sorted(glob.glob(folder + "/swe-agent/*.traj.gz")):
        for step, turn in enumerate(json_of(path).get("trajectory", [])):
            add("swe", text(turn.get("action", "")), step=step, thought=turn.get("thought", ""))
    for path in sorted(glob.glob(folder + "/tau-bench*.json.gz")):
        for run in json_of(path):
            for turn in run["traj"]:
                add("tau", text(turn.get("content") or ""), role=turn["role"], reward=run["reward"],
                    task=run["task_id"], tool_name=turn.get("name"))
    return rows


def tokens(s):
    """token table 1: runs of ASCII letters and digits, or of other letters and digits; folded"""
    return [t.lower() for t in re.findall(r"[A-Za-z0-9]+|[^\W_A-Za-z0-9]+", s)]


def has_word(s, word):
    return word in tokens(s)


def has_phrase(s, *words):
    t = tokens(s)
    n = len(words)
    return any(t[i:i + n] == list(words) for i in range(len(t) - n + 1))


def is_set(name):
    return lambda r: r["set"] == name


# query, and what it means, said in Python
SEARCHES = [
    ("set=HDFS", is_set("HDFS")),
    ("set=Linux authentication", lambda r: r["set"] == "Linux" and has_word(r["message"], "authentication")),
    ("set=OpenSSH \"invalid user\"", lambda r: r["set"] == "OpenSSH" and has_phrase(r["message"], "invalid", "user")),
    ("set=OpenSSH -\"invalid user\"", lambda r: r["set"] == "OpenSSH" and not has_phrase(r["message"], "invalid", "user")),
    ("set=Apache *jk2*", lambda r: r["set"] == "Apache" and "jk2" in r["message"].lower()),
    ("set=Zookeeper exception", lambda r: r["set"] == "Zookeeper" and has_word(r["message"], "exception")),
    ("set=Spark /block.*manager/i", lambda r: r["set"] == "Spark" and re.search("block.*manager", r["message"], re.I)),
    ("set=BGL /^- \\d{10} /", lambda r: r["set"] == "BGL" and re.search(r"^- \d{10} ", r["message"])),
    ("set=Hadoop (error OR warn)", lambda r: r["set"] == "Hadoop" and (has_word(r["message"], "error") or has_word(r["message"], "warn"))),
    ("set in (Mac, Windows)", lambda r: r["set"] in ("Mac", "Windows")),
    ("set=Android powermanager*", lambda r: r["set"] == "Android" and any(t.startswith("powermanager") for t in tokens(r["message"]))),
    ("set=HealthApp *\"onstandstepchanged 3\"*", lambda r: r["set"] == "HealthApp" and "onstandstepchanged 3" in r["message"].lower()),
    ("set=Proxifier \"close\" -\"open\"", lambda r: r["set"] == "Proxifier" and has_word(r["message"], "close") and not has_word(r["message"], "open")),
    ("set=OpenStack /status: 2\\d\\d/", lambda r: r["set"] == "OpenStack" and re.search(r"status: 2\d\d", r["message"])),
    ("set=Thunderbird *crond*", lambda r: r["set"] == "Thunderbird" and "crond" in r["message"].lower()),
    ("set=HPC node", lambda r: r["set"] == "HPC" and has_word(r["message"], "node")),
    ("status_code:404", lambda r: r.get("status_code") == 404),
    ("status_code>=500", lambda r: (r.get("status_code") or 0) >= 500),
    ("status_code:[300 TO 399]", lambda r: 300 <= (r.get("status_code") or 0) <= 399),
    ("status_code!=200", lambda r: r.get("status_code") is not None and r["status_code"] != 200),
    ("set=apache status_code:*", lambda r: r["set"] == "apache" and r.get("status_code") is not None),
    ("set=apache googlebot", lambda r: r["set"] == "apache" and has_word(r["message"], "googlebot")),
    ("set=apache \"GET /favicon.ico\"", lambda r: r["set"] == "apache" and has_phrase(r["message"], "get", "favicon", "ico")),
    ("role=assistant set=tau", lambda r: r["set"] == "tau" and r.get("role") == "assistant"),
    ("set=tau reward=1 role=user", lambda r: r["set"] == "tau" and r.get("reward") == 1 and r.get("role") == "user"),
    ("set=tau reward<1 -role=tool", lambda r: r["set"] == "tau" and r.get("reward") < 1 and r.get("role") != "tool"),
    ("set=tau tool=search_direct_flight", lambda r: r.get("tool_name") == "search_direct_flight"),
    ("set=tau refund", lambda r: r["set"] == "tau" and has_word(r["message"], "refund")),
    ("set=tau /reservation (id )?[A-Z0-9]{6}/", lambda r: r["set"] == "tau" and re.search(r"reservation (id )?[A-Z0-9]{6}", r["message"])),
    ("set=intercode select", lambda r: r["set"] == "intercode" and has_word(r["message"], "select")),
    ("set=swe *marshmallow*", lambda r: r["set"] == "swe" and "marshmallow" in r["message"].lower()),
    ("set=claude role=user", lambda r: r["set"] == "claude" and r.get("role") == "user"),
    ("n>=1000 n<1010", lambda r: 1000 <= r["n"] < 1010),
    ("after:1700000000 before:1700000099", lambda r: r["n"] <= 99),
    ("agent:data-H*", lambda r: r["set"].startswith("H")),
]


@unittest.skipUnless(DATA, "FLEETLOG_REAL_DATA does not name a folder of real data")
class RealData(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rows = load(DATA)
        cls.server = fleetlog.Server().start()
        for i in range(0, len(cls.rows), 500):
            body = "\n".join(json.dumps(r) for r in cls.rows[i:i + 500])
            r = cls.server.post("/api/v1/ingest", body, timeout=120)
            assert r.status == 200 and r.json()["rejected"] == 0, r

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def numbers(self, query):
        r = self.server.get("/api/v1/query", timeout=120,
                            query={"q": query + " | fields n", "limit": 1000000, "format": "ndjson"})
        self.assertEqual(r.status, 200, r)
        return sorted(x["n"] for x in r.ndjson())

    def check_all(self):
        self.assertEqual(len(self.numbers("n:*")), len(self.rows))
        for query, means in SEARCHES:
            with self.subTest(query=query):
                want = sorted(r["n"] for r in self.rows if means(r))
                self.assertTrue(want, "a search that finds nothing shows nothing")
                self.assertEqual(self.numbers(query), want)

    def test_searches_agree(self):
        self.check_all()
        self.server.kill()
        self.server.start()
        self.check_all()

    def test_counts(self):
        r = self.server.get("/api/v1/query", query={"q": "* | stats count() as n by set", "limit": 1000})
        got = {x["set"]: x["n"] for x in r.json()["rows"]}
        want = {}
        for row in self.rows:
            want[row["set"]] = want.get(row["set"], 0) + 1
        self.assertEqual(got, want)

    def test_texts_come_back_exactly(self):
        r = self.server.get("/api/v1/query", timeout=300,
                            query={"q": "n:*", "limit": 1000000, "format": "ndjson"})
        got = {x["attributes"]["n"]: x for x in r.ndjson()}
        for row in self.rows:
            self.assertEqual(got[row["n"]].get("message", ""), row["message"])
            if "document" in row:
                self.assertEqual(got[row["n"]]["attributes"]["document"], row["document"])


if __name__ == "__main__":
    unittest.main()
