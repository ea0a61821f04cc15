"""Runs guide_page.mjs against a fresh server; skipped without node, chromium or playwright-core."""
import os
import shutil
import subprocess
import unittest

from fleetlog import Server

HERE = os.path.dirname(os.path.abspath(__file__))
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"


def missing():
    if not shutil.which("node"):
        return "node"
    if not os.path.exists(CHROMIUM):
        return "chromium"
    if not os.path.isdir(os.path.join(HERE, "node_modules", "playwright-core")):
        return "playwright-core (./dev deps --all)"
    return None


@unittest.skipIf(missing(), "no %s" % missing())
class TestGuidePage(unittest.TestCase):
    def test_lanes_fill_in_a_real_browser(self):
        with Server() as s:
            done = subprocess.run(["node", os.path.join(HERE, "guide_page.mjs"), s.url], cwd=HERE,
                                  env=dict(os.environ, CHROMIUM=CHROMIUM), text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
            self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()
