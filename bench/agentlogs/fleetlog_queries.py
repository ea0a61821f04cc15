"""The 20 AgentLogsBench queries against a running fleetlog server.

    answers, ms = run_all("http://127.0.0.1:8111", params)
    answers["Q01"] -> {"columns": [...], "rows": [[...], ...]};  ms["Q01"] -> milliseconds

params: one set of a p.json of the rows' generator (tenant, app, trace_id, ...). As a program:

    fleetlog_queries.py URL p.json [--set default] [--only Q05,Q08] [--indexes off]
                        [--out engine.json]

writes engine.json as the checker of the benchmark compares it, and prints a line a query. Standard
library only.
"""
import argparse
import http.client
import json
import os
import re
import sys
import time
from urllib.parse import urlsplit

QUERIES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "queries.flq")
ROWS_MAX = 100000


def load(path=QUERIES):
    """{"Q01": text with $parameters} and {"Q01": what it asks}"""
    texts, asks, name = {}, {}, None
    with open(path, encoding="utf-8") as f:
        for line in f:
            head = re.match(r"# (Q\d\d): (.*)", line)
            if head:
                name = head[1]
                asks[name] = head[2]
                texts[name] = ""
            elif name and line.strip() and not line.startswith("#"):
                texts[name] += line
    return texts, asks


def fill(text, params):
    """puts the parameters in, as quoted texts"""
    def quoted(m):
        value = str(params[m[1]])
        return '"%s"' % value.replace("\\", "\\\\").replace('"', '\\"')
    return re.sub(r"\$([a-z_]+)", quoted, text).strip()


class Client:
    """one kept-alive connection"""

    def __init__(self, url, key=None, timeout=600):
        at = urlsplit(url)
        self.connection = http.client.HTTPConnection(at.hostname, at.port, timeout=timeout)
        self.headers = {"Content-Type": "application/json"}
        if key:
            self.headers["Authorization"] = "Bearer " + key

    def query(self, text, **options):
        """the parsed answer; an answer that is an error or not whole raises"""
        body = json.dumps(dict(options, q=text))
        self.connection.request("POST", "/api/v1/query", body, self.headers)
        reply = self.connection.getresponse()
        data = reply.read()
        if reply.status != 200:
            said = data[:2000].decode("utf-8", "replace")
            raise RuntimeError("%d for %s\n%s" % (reply.status, text, said))
        answer = json.loads(data)
        if answer["incomplete"] or answer["truncated"]:
            raise RuntimeError("not all of the answer to %s" % text)
        return answer


def run_all(url, params, only=None, key=None, **options):
    """(answers, milliseconds), each by the query's name; options are parameters of the request"""
    texts, _ = load()
    client = Client(url, key)
    answers, ms = {}, {}
    for name, text in texts.items():
        if only and name not in only:
            continue
        begin = time.perf_counter()
        answer = client.query(fill(text, params), limit=ROWS_MAX, **options)
        ms[name] = (time.perf_counter() - begin) * 1000
        columns = answer["columns"]
        answers[name] = {"columns": columns,
                         "rows": [[row.get(c) for c in columns] for row in answer["rows"]]}
    return answers, ms


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("url")
    ap.add_argument("params")
    ap.add_argument("--set", default="default")
    ap.add_argument("--only", type=lambda s: s.split(","))
    ap.add_argument("--indexes", choices=("on", "off"))
    ap.add_argument("--out")
    a = ap.parse_args()
    with open(a.params, encoding="utf-8") as f:
        params = json.load(f)
    options = {"indexes": a.indexes} if a.indexes else {}
    answers, ms = run_all(a.url, params.get(a.set, params), a.only,
                          os.environ.get("FLEETLOG_KEY"), **options)
    for name in answers:
        print("%s %5d rows %9.1f ms" % (name, len(answers[name]["rows"]), ms[name]))
    if a.out:
        with open(a.out, "w", encoding="utf-8") as f:
            json.dump(answers, f, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
