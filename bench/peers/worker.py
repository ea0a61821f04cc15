"""One engine that lives in a library, in a process of its own: python -m peers.worker NAME DIR.

Reads one JSON request a line ({"do": METHOD, ...arguments}) and answers each with one line, so
that CPU, memory and cold starts of the engine are those of this process. What the library prints
goes to standard error.
"""
import importlib
import json
import os
import sys

ENGINES = {"clickhouse": ("peers.clickhouse", "ClickHouse"), "duckdb": ("peers.duck", "DuckDB"),
           "sqlite": ("peers.sqlite", "SQLite")}


def main():
    name, directory = sys.argv[1:3]
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module, cls = ENGINES[name]
    engine = getattr(importlib.import_module(module), cls)(directory)
    for request in sys.stdin:
        request = json.loads(request)
        try:
            reply = {"value": getattr(engine, request.pop("do"))(**request)}
        except Exception as e:  # whatever the library raises is the answer
            reply = {"error": "%s: %s" % (type(e).__name__, str(e).strip().split("\n")[0][:400])}
        out.write(json.dumps(reply, default=str) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
