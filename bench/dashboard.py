"""./dev bench dashboard: the page in a real browser (T16), by tests/e2e/measure.mjs.

Needs node, chromium and the packages of tests/e2e (./dev deps --all).
"""
import json
import os
import shutil
import subprocess

from fleet import Fleetlog
from measure import machine

E2E = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "e2e")
PARTS = ("paint", "trace", "live", "rows")


def one(args, part):
    """figures of one part, its lines on the output; each has a server of its own"""
    directory = os.path.join(args.scratch, "engine-fleetlog")
    shutil.rmtree(directory, ignore_errors=True)
    server = Fleetlog(args.bin)
    server.start(directory)
    try:
        done = subprocess.run(["node", "measure.mjs", "http://127.0.0.1:%d" % server.port, part],
                              cwd=E2E, stdout=subprocess.PIPE, text=True, timeout=600)
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
    print(done.stdout.rpartition("{")[0], end="", flush=True)
    if done.returncode:
        raise SystemExit("tests/e2e/measure.mjs %s ended with %d" % (part, done.returncode))
    return json.loads(done.stdout.strip().split("\n")[-1])


def dashboard(args):
    if not shutil.which("node") or not os.path.isdir(os.path.join(E2E, "node_modules")):
        raise SystemExit("no node, or no packages in tests/e2e: ./dev deps --all")
    out = {"machine": machine(), "figures": {}}
    for part in PARTS:
        out["figures"].update(one(args, part))
    return out
