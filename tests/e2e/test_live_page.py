"""Runs live_page.mjs against a fresh server; skipped without node, chromium or playwright-core."""
import os
import subprocess
import unittest

from fleetlog import Server
from test_guide_page import CHROMIUM, HERE, missing


@unittest.skipIf(missing(), "no %s" % missing())
class TestLivePage(unittest.TestCase):
    def test_the_live_page_in_a_real_browser(self):
        with Server() as s:
            done = subprocess.run(["node", os.path.join(HERE, "live_page.mjs"), s.url], cwd=HERE,
                                  env=dict(os.environ, CHROMIUM=CHROMIUM), text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
            self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()
