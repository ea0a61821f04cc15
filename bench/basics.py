"""./dev bench [--quick] [--entries N] [--only NAME...]: the figures of one server on this
machine.

Each figure is taken on a fresh data directory, with durability as shipped, and says what it
counts. Peers, when present: nginx (answers 204 to everything: the floor of any HTTP server) and
fleet-logger (--fleet-logger DIR, a clone of its public repository); beside a peer stands the
ratio. The result is printed as it comes and written as JSON to --out.
"""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from data import make_batches
from fleet import load_program, run_load
from measure import TICK, cpu_seconds, disk_bytes, memory

MEASUREMENTS = ("idle", "decode", "ingest", "singles", "fleet_logger")


class Bench:
    def __init__(self, args):
        self.args = args
        self.results = {}

    def run_load(self, port, path, connections, amount, bodies=()):
        return run_load(self.args.bin, port, path, connections, amount, bodies)

    def server(self, *more):
        from fleetlog import Server
        return Server(*more)

    def report(self, name, **figures):
        self.results[name] = figures
        print("%-10s %s" % (name, "  ".join(
            "%s=%s" % (k, "%.4g" % v if isinstance(v, float) else v) for k, v in figures.items())),
            flush=True)

    # ---- what is measured ----
    def decode(self):
        """NDJSON to columns on one core, no server: MB/s of input, the best of several passes."""
        program = os.path.join(os.path.dirname(load_program(self.args.bin)), "decode-bench")
        rates = re.findall(r"^(\S.*\S) +([\d.]+) MB/s", subprocess.run(
            [program], check=True, capture_output=True, text=True).stdout, re.M)
        self.report("decode", **{re.sub(r"\W+", "_", name) + "_mb_s": float(rate)
                                 for name, rate in rates})

    def idle(self):
        with self.server() as s:
            pid = s.process.pid
            time.sleep(2)
            before = cpu_seconds(pid)
            time.sleep(5)
            m = memory(pid)
            self.report("idle", rss_mib=m["VmRSS"], anon_mib=m["RssAnon"],
                        cpu_percent=(cpu_seconds(pid) - before) / 5 * 100)

    def ingest(self):
        """Durable NDJSON batches of 1,000 lines; then memory, bytes, searches, restart on them."""
        n = self.args.entries
        with tempfile.TemporaryDirectory() as folder, self.server() as s:
            bodies, raw = make_batches(folder, n, 1000)
            pid = s.process.pid
            cpu = cpu_seconds(pid)
            r = self.run_load(s.port, "/api/v1/ingest", 4, "x%d" % len(bodies), bodies)
            cpu = cpu_seconds(pid) - cpu
            at_ack = memory(pid)
            self.report("ingest", entries=n, raw_bytes=raw, rows_per_s=n / r["seconds"],
                        rows_per_cpu_s=n / max(cpu, 1 / TICK), p50_ms=r["p50_us"] / 1000,
                        p99_ms=r["p99_us"] / 1000, rss_mib=at_ack["VmRSS"],
                        peak_mib=at_ack["VmHWM"])
            self.searches(s, "hot")
            m = memory(pid)
            self.report("memory", rss_mib=m["VmRSS"], anon_mib=m["RssAnon"], peak_mib=m["VmHWM"])
            s.stop()
            self.report("disk", bytes=disk_bytes(s.data_dir), raw_bytes=raw,
                        share_of_raw=disk_bytes(s.data_dir) / raw)
            started = time.monotonic()
            s.start()
            if s.get("/search?limit=1").json()["count"] != 1:
                sys.exit("nothing found after the restart")
            self.report("restart", first_answer_ms=(time.monotonic() - started) * 1000)
            s.kill()
            started = time.monotonic()
            s.start()
            if s.get("/health").json()["entries"] != n:
                sys.exit("entries are missing after kill -9")
            self.report("kill_9", first_answer_ms=(time.monotonic() - started) * 1000)
            self.searches(s, "reopened")

    def searches(self, s, when):
        trace = s.get("/search?limit=1").json()["results"][0]["trace_id"]
        queries = {
            "last_100": "*", "agent": "agent:svc-03", "level": "level:critical",
            "trace": "trace:" + trace, "two_words": "level:error timeout upstream",
            "substring": "*\"drained work\"*", "regex": "/id=4242\\d\\b/",
            "absent_word": "nowheretobefound", "count_by_agent": "* | stats count() by agent",
            "p95": "* | stats p95(duration_ms) by agent",
        }
        figures = {}
        for name, q in queries.items():
            took = []
            for _ in range(5 if self.args.quick else 11):
                started = time.monotonic()
                r = s.get("/api/v1/query", query={"q": q})
                took.append((time.monotonic() - started) * 1000)
                if r.status != 200:
                    sys.exit("%s: %r" % (q, r))
            figures[name + "_ms"] = statistics.median(took)
        self.report("search_" + when, **figures)

    def singles(self):
        """Single-entry durable POSTs on 64 connections, in turns with nginx's 204; medians."""
        seconds, rounds = (2, 1) if self.args.quick else (5, 5)
        peer = bool(shutil.which("nginx"))
        ours, theirs = [], []
        with tempfile.TemporaryDirectory() as folder:
            bodies, _ = make_batches(folder, 64, 1)
            for _ in range(rounds):
                with self.server() as s:
                    pid = s.process.pid
                    cpu = cpu_seconds(pid)
                    r = self.run_load(s.port, "/api/v1/ingest", 64, seconds, bodies)
                    cpu = cpu_seconds(pid) - cpu
                    ours.append((r["requests"] / r["seconds"], cpu / r["requests"] * 1e6,
                                 r["p50_us"] / 1000, r["p99_us"] / 1000))
                if peer:
                    theirs.append(self.nginx(folder, bodies, seconds))
        per_s, cpu_us, p50, p99 = (statistics.median(x) for x in zip(*ours))
        self.report("singles", per_s=per_s, cpu_us_each=cpu_us, p50_ms=p50, p99_ms=p99)
        if not peer:
            return
        nginx_per_s, nginx_cpu_us = (statistics.median(x) for x in zip(*theirs))
        self.report("nginx_204", per_s=nginx_per_s, cpu_us_each=nginx_cpu_us,
                    singles_rate_of_it=per_s / nginx_per_s, singles_cpu_of_it=cpu_us / nginx_cpu_us)

    def nginx(self, folder, bodies, seconds):
        """(answers a second, CPU microseconds each) of one run"""
        from fleetlog import free_port, wait_until
        import socket
        port = free_port()
        conf = os.path.join(folder, "nginx.conf")
        with open(conf, "w") as f:
            f.write("daemon off; worker_processes 2; pid %s/pid; error_log %s/err;\n"
                    "events {} http { access_log off; keepalive_requests 1000000000;\n"
                    "server { listen 127.0.0.1:%d; location / { return 204; } } }\n"
                    % (folder, folder, port))
        p = subprocess.Popen(["nginx", "-c", conf], stderr=subprocess.DEVNULL)
        try:
            def listening():
                with socket.socket() as s:
                    return s.connect_ex(("127.0.0.1", port)) == 0
            wait_until(listening, 10, "nginx")
            pids = [p.pid] + [int(x) for x in subprocess.run(
                ["ps", "-o", "pid=", "--ppid", str(p.pid)], capture_output=True,
                text=True).stdout.split()]
            cpu = sum(cpu_seconds(x) for x in pids)
            r = self.run_load(port, "/", 64, seconds, bodies)
            cpu = sum(cpu_seconds(x) for x in pids) - cpu
            return r["requests"] / r["seconds"], cpu / r["requests"] * 1e6
        finally:
            p.terminate()
            p.wait()

    def fleet_logger(self):
        """The same lines, as arrays of 1,000, into fleet-logger (not durable, Python)."""
        from fleetlog import free_port, wait_until
        import http.client
        import socket
        port = free_port()
        n = min(self.args.entries, 50000)
        with tempfile.TemporaryDirectory() as folder:
            bodies, _ = make_batches(folder, n, 1000)
            p = subprocess.Popen([sys.executable, "cli.py", "--log-dir", folder + "/data", "serve",
                                  "--port", str(port)],
                                 cwd=self.args.fleet_logger, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
            try:
                def listening():
                    with socket.socket() as s:
                        return s.connect_ex(("127.0.0.1", port)) == 0
                wait_until(listening, 20, "fleet-logger")
                cpu, started = cpu_seconds(p.pid), time.monotonic()
                for path in bodies:  # it closes after each answer: a connection a batch
                    rows = "[%s]" % ",".join(open(path).read().splitlines())
                    c = http.client.HTTPConnection("127.0.0.1", port)
                    c.request("POST", "/ingest", body=rows)
                    if c.getresponse().status != 200:
                        sys.exit("fleet-logger refused a batch")
                    c.close()
                took = time.monotonic() - started
                figures = {"rows_per_s": n / took,
                           "rows_per_cpu_s": n / (cpu_seconds(p.pid) - cpu)}
                ours = self.results.get("ingest", {})
                times = {"ours_times_" + k: ours[k] / v for k, v in figures.items() if k in ours}
                self.report("fleet_logger", entries=n, rss_mib=memory(p.pid)["VmRSS"], **figures,
                            **times)
            finally:
                p.kill()
                p.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--entries", type=int, default=1000000)
    parser.add_argument("--quick", action="store_true", help="100,000 entries, short runs")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME",
                        help=" ".join(MEASUREMENTS))
    parser.add_argument("--fleet-logger", metavar="DIR")
    parser.add_argument("--out", help="write the figures as JSON here")
    args = parser.parse_args()
    if args.quick:
        args.entries = min(args.entries, 100000)
    os.environ["FLEETLOG_BIN"] = args.bin
    bench = Bench(args)
    plan = args.only or [m for m in MEASUREMENTS if m != "fleet_logger" or args.fleet_logger]
    for name in plan:
        if name not in MEASUREMENTS:
            parser.error("no measurement called " + name)
        getattr(bench, name)()
    if args.out:
        with open(args.out, "w") as f:
            json.dump(bench.results, f, indent=2)

