"""Disks that are full, out of inodes, or gone, under a running server and at its start: real ext4 on loop
devices. Skipped without root and what a power cut needs (blockdev.py)."""
import json
import os
import random
import shutil
import subprocess
import tempfile
import unittest

import blockdev
import fleetlog

PLUGIN = os.environ.get("FLEETLOG_POWERCUT", "")
LACKS = blockdev.missing(PLUGIN)
RESUMES_S = 10  # within that ingest goes on by itself once there is space


@unittest.skipIf(LACKS, "needs " + LACKS)
class Disk(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="fleetlog-disk-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.rng = random.Random(1)
        self.acked = 0

    def serve(self, mnt, *args):
        self.server = fleetlog.Server("--memtable", "256KiB", *args, data_dir=os.path.join(mnt, "data"))
        self.addCleanup(self.end)

    def end(self):
        if self.server.process:
            self.server.process.kill()
            self.server.process.wait()
            self.server.process = None

    def small_disk(self, *options):
        image, mnt = os.path.join(self.folder, "image"), os.path.join(self.folder, "mnt")
        os.mkdir(mnt)
        blockdev.make_ext4(image, 64, *options)
        blockdev.run("mount", "-o", "loop", image, mnt)
        self.addCleanup(blockdev.unmount, mnt)
        return mnt

    def post(self, rows=10, text=300):
        body = "\n".join(json.dumps({"agent": "a", "message": self.rng.randbytes(text).hex()})
                         for _ in range(rows))
        r = self.server.post("/api/v1/ingest", body)
        if r.status == 200:
            self.assertEqual(r.json()["accepted"], rows)
            self.acked += rows
        return r

    def post_until_refused(self, most):
        for _ in range(most):
            r = self.post()
            if r.status != 200:
                return r
        self.fail("never refused")

    def assert_full(self, r):
        self.assertEqual(r.status, 503)
        self.assertEqual(r.json()["error"]["code"], "disk_full")
        self.assertGreater(int(r.headers["Retry-After"]), 0)

    def assert_all_there(self):
        r = self.server.get("/api/v1/query", query={"q": "* | stats count() as n"})
        self.assertEqual(r.status, 200)
        self.assertEqual(r.json()["rows"][0]["n"], self.acked)

    def start_on_full(self):
        """kill -9, then a start that must succeed without being ready for more entries."""
        self.server.kill()
        self.server.start(wait=False)

        def answers():
            if self.server.process.poll() is not None:
                self.fail("the server ended:\n" + self.server.err)
            try:
                return self.server.get("/health")
            except OSError:
                return None
        health = fleetlog.wait_until(answers, 60, "an answer").json()
        self.assertEqual((health["status"], health["db"]), ("degraded", "full"))
        self.assertEqual(self.server.get("/ready").status, 503)

    def assert_goes_on(self):
        fleetlog.wait_until(lambda: self.server.get("/ready").status == 200, RESUMES_S, "readiness")
        fleetlog.wait_until(lambda: self.post().status == 200, RESUMES_S, "space to be seen")
        self.assertEqual(self.post(40, 20000).status, 200)  # one that gets a file of its own
        self.assert_all_there()
        self.server.restart()
        self.assert_all_there()

    # ---- no space ----
    def fill(self, mnt):
        with open(os.path.join(mnt, "filler"), "wb", buffering=0) as f:
            for piece in (1 << 20, 4096, 512):
                try:
                    while True:
                        f.write(b"x" * piece)
                except OSError:
                    pass

    def full(self, reserve):
        mnt = self.small_disk()
        self.serve(mnt, "--disk-reserve", reserve)
        self.server.start()
        self.assertEqual(self.post().status, 200)
        self.fill(mnt)
        self.assert_full(self.post_until_refused(5000))
        self.assert_full(self.post(40, 20000))
        self.assert_all_there()
        self.start_on_full()
        self.assert_all_there()
        self.assert_full(self.post())
        os.unlink(os.path.join(mnt, "filler"))
        self.assert_goes_on()

    def test_full_with_reserve(self):
        self.full("4MiB")

    def test_full_to_the_last_byte(self):
        self.full("0")

    def test_out_of_inodes(self):
        mnt = self.small_disk("-N", "64")
        self.serve(mnt, "--disk-reserve", "4MiB")
        self.server.start()
        fillers = []
        try:
            while True:
                fillers.append(os.path.join(mnt, "filler-%d" % len(fillers)))
                open(fillers[-1], "w").close()
        except OSError:
            fillers.pop()
        r = self.post_until_refused(5000)
        self.assert_full(r)
        self.assertIn("inodes", r.json()["error"]["message"])
        self.assert_all_there()
        self.start_on_full()
        self.assert_all_there()
        for path in fillers:
            os.unlink(path)
        self.assert_goes_on()

    # ---- no writing ----
    def test_mounted_read_only(self):
        """The server does not start and says why; what is stored can be searched without it."""
        mnt = self.small_disk()
        self.serve(mnt, "--disk-reserve", "4MiB")
        self.server.start()
        self.assertEqual(self.post().status, 200)
        self.server.stop()
        blockdev.run("mount", "-o", "remount,ro", mnt)
        with self.assertRaisesRegex(AssertionError, "exited 74(.|\n)*Read-only file system"):
            self.server.start()
        found = subprocess.run([fleetlog.BIN, "search", "--data-dir", self.server.data_dir,
                                "--format", "ndjson", "agent:a"], stdout=subprocess.PIPE, check=True)
        self.assertEqual(len(found.stdout.splitlines()), self.acked)
        blockdev.run("mount", "-o", "remount,rw", mnt)
        self.server.start()
        self.assert_goes_on()

    # ---- no disk ----
    def test_disk_gone(self):
        """Every request of the disk fails; ext4 goes read-only under the server."""
        disk = blockdev.Disk(PLUGIN, self.folder)
        disk.format()
        disk.on(seed=1, keep=50)
        self.addCleanup(disk.off)
        self.serve(disk.mnt, "--disk-reserve", "4MiB")
        self.server.start()
        for _ in range(20):
            self.assertEqual(self.post().status, 200)
        disk.order("now")
        r = self.post_until_refused(5)
        self.assertEqual(r.status, 503)
        self.assertGreater(int(r.headers["Retry-After"]), 0)
        for _ in range(3):  # nor is anything taken later
            self.assertEqual(self.post().status, 503)
        self.assertEqual(self.server.get("/health").json()["db"], "failed")
        self.assertEqual(self.server.get("/ready").status, 503)
        self.assert_all_there()
        self.server.kill()
        disk.off()
        disk.on(seed=2, keep=50)
        self.server.start()
        self.assert_all_there()
        self.assertEqual(self.post().status, 200)
        self.server.stop()


if __name__ == "__main__":
    unittest.main()
