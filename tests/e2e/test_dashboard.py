"""Walks through the dashboard in a real browser, each file against a server of its own; skipped without node,
chromium, playwright-core or axe-core. E2E_SHOTS=FOLDER keeps a picture of every page there."""
import os
import subprocess
import threading
import unittest

from fleetlog import Server
from test_guide_page import CHROMIUM, HERE, missing

SHOTS = os.environ.get("E2E_SHOTS")
LIMIT = 280


class TestDashboard(unittest.TestCase):
    def walk(self, name, *args):
        """Runs NAME.mjs; a line `>restart` of it is a wish that the server dies and comes back."""
        command = ["node", os.path.join(HERE, name + ".mjs")]
        with Server(*args) as s:
            p = subprocess.Popen(command + [s.url] + ([SHOTS] if SHOTS else []), cwd=HERE, text=True,
                                 env=dict(os.environ, CHROMIUM=CHROMIUM), stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            alarm = threading.Timer(LIMIT, p.kill)
            alarm.start()
            said = []
            try:
                for line in p.stdout:
                    said.append(line)
                    if line.strip() == ">restart":
                        s.kill()
                        s.start()
                        p.stdin.write("again\n")
                        p.stdin.flush()
                    else:
                        print(line, end="", flush=True)
                status = p.wait()
            finally:
                alarm.cancel()
                p.kill()
                p.stdin.close()
                p.stdout.close()
                p.wait()
        bad = [line for line in said if line.startswith("not ok")]
        self.assertEqual((status, bad), (0, []), "".join(said[-30:]))

    def setUp(self):
        what = missing()
        if not what and not os.path.isdir(os.path.join(HERE, "node_modules", "axe-core")):
            what = "axe-core (./dev deps --all)"
        if what:
            self.skipTest("no %s" % what)

    def test_explore(self):
        self.walk("dashboard_explore")

    def test_live(self):
        self.walk("dashboard_live")

    def test_sessions(self):
        self.walk("dashboard_sessions")

    def test_senders(self):
        self.walk("dashboard_senders")

    def test_work(self):
        self.walk("dashboard_work")

    def test_slow(self):
        self.walk("dashboard_slow")

    def test_foreign(self):
        self.walk("dashboard_foreign")

    def test_everywhere(self):
        self.walk("dashboard_everywhere")


if __name__ == "__main__":
    unittest.main()
