"""Stores that earlier versions wrote: this one finds in them what they found, before and after it has
rewritten every segment, and calls them whole."""
import gzip
import os
import subprocess
import tempfile
import unittest

import make

VERSIONS = sorted(n for n in os.listdir(make.HERE) if n.startswith("store-v"))


def golden(name, file):
    with gzip.open(os.path.join(make.HERE, name, file)) as f:
        return f.read()


def segments(store):
    return {n for _, _, names in os.walk(os.path.join(store, "p")) for n in names}


class Golden(unittest.TestCase):
    maxDiff = 2000

    def each(self):
        self.assertTrue(VERSIONS)
        for name in VERSIONS:
            with self.subTest(name), tempfile.TemporaryDirectory() as tmp:
                make.unpack(name, tmp)
                yield name, tmp

    def same(self, got, want):
        self.assertEqual(len(got.splitlines()), len(want.splitlines()))
        for g, w in zip(got.splitlines(), want.splitlines()):
            self.assertEqual(g, w)

    def test_export(self):
        for name, store in self.each():
            self.same(make.export(store), golden(name, "export.ndjson.gz"))

    def test_facts(self):
        for name, store in self.each():
            self.same(make.facts(store), golden(name, "facts.txt.gz"))
            self.same(make.facts(store), golden(name, "facts.txt.gz"))  # opened twice

    def test_rewritten(self):
        for name, store in self.each():
            before = segments(store)
            self.same(make.facts(store, "rewrite"), golden(name, "facts.txt.gz"))
            self.assertFalse(before & segments(store), "a segment was not rewritten")

    def test_verify(self):
        for name, store in self.each():
            r = subprocess.run([os.environ["FLEETLOG_BIN"], "verify", "--data-dir", store],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual(r.returncode, 0, r.stdout)

    def test_says_what_is_there(self):
        for name, _ in self.each():
            lines = golden(name, "facts.txt.gz").decode("utf-8", "replace").splitlines()
            for word, least in (("entry", 300), ("mark", 4), ("gap", 1), ("id", 10), ("key", 6)):
                self.assertGreaterEqual(sum(x.split(" ")[0] == word for x in lines), least, word)
            self.assertFalse(any("duplicate=0" in x for x in lines))


if __name__ == "__main__":
    unittest.main()
