"""inspect: the account of a store's bytes, beside a running server."""
import os
import time
import unittest

from clitest import DATA, UNREACHABLE, USAGE, WithServer, run_in_terminal, some_entries

N = 3000
LARGE = " ".join("word%d" % (i * i) for i in range(5000))


class Inspect(WithServer):
    server_entries = some_entries(N, int(time.time()) - 86400)
    server_entries[0]["timestamp"] = 1_600_000_000
    server_entries[7]["notes"] = LARGE
    server_entries[8]["notes"] = LARGE + " and more"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        test = cls()
        test.where = ["-D", cls.server.data_dir]
        # a deletion: all that is in memory becomes a segment, the deleted one is in it until a merge
        test.at("prune", "--days", "365", "--yes")
        cls.where = test.where
        cls.files = [os.path.join(d, f) for d, _, fs in os.walk(cls.server.data_dir) for f in fs
                     if f.endswith(".seg")]

    def runTest(self):
        pass

    def account(self, *args):
        return self.ok("inspect", "segment", *args, "--json", *self.where).json()

    def test_every_byte_has_a_place(self):
        r = self.account()
        self.assertEqual(r["bytes"], sum(map(os.path.getsize, self.files)))
        self.assertEqual(sum(r["parts"].values()), r["bytes"])
        self.assertEqual(r["parts"]["other"], 0)
        self.assertEqual(r["entries"], N)
        self.assertEqual(sum(b["entries"] for b in r["blocks"]), N)
        self.assertEqual(sum(c["stored_bytes"] for c in r["columns"]), r["parts"]["pages"])
        self.assertEqual(sum(e["stored_bytes"] for e in r["encodings"]), r["parts"]["pages"])
        self.assertEqual(sum(b["page_bytes"] for b in r["blocks"]), r["parts"]["pages"])
        self.assertEqual(sum(b["directory_bytes"] for b in r["blocks"]), r["parts"]["directories"])
        filters = r["parts"]["word_filters"] + r["parts"]["value_filters"]
        self.assertEqual(sum(c["filter_bytes"] for c in r["columns"]), filters)

    def test_columns(self):
        columns = {c["name"]: c for c in self.account()["columns"]}
        port = columns["port"]
        self.assertEqual((port["type"], port["values"], port["plain_bytes"]), ("int", N, 8 * N))
        self.assertLess(port["stored_bytes"], 2 * N)
        message = columns["message"]
        plain = sum(len("step %d of the work" % i) + 1 for i in range(N))
        self.assertEqual((message["type"], message["plain_bytes"]), ("text", plain))
        self.assertEqual(columns["session_id"]["distinct_by_page"], 4)
        self.assertEqual(columns["nested.deep.value"]["values"], N)
        self.assertNotIn("plain_zstd_bytes", port)
        for c in columns.values():
            self.assertEqual(sum(c["encodings"].values()), c["blocks"])

    def test_large_values(self):
        r = self.account()
        notes = {c["name"]: c for c in r["columns"]}["notes"]
        self.assertEqual((notes["values"], notes["large_values"]), (2, 2))
        self.assertGreater(notes["plain_bytes"], 2 * len(LARGE))
        self.assertEqual(r["blobs"]["stored_bytes"], r["parts"]["blob_pages"])
        self.assertLess(r["blobs"]["encoded_bytes"], 1.5 * len(LARGE))  # what repeats, once
        self.assertIn("of large values in 1 blob page", self.ok("inspect", "segment", *self.where).out)

    def test_compare(self):
        columns = {c["name"]: c for c in self.account("--compare", "--level", "1")["columns"]}
        for name in ("port", "message", "agent"):
            self.assertTrue(0 < columns[name]["plain_zstd_bytes"] <= columns[name]["plain_bytes"])
        other = {c["name"]: c for c in self.account("--compare", "--level", "19")["columns"]}
        self.assertNotEqual(other["port"]["plain_zstd_bytes"],
                            columns["port"]["plain_zstd_bytes"])

    def test_one_segment(self):
        path = self.files[0]
        number = str(int(os.path.basename(path)[:12]))
        one = self.account(number)
        self.assertEqual(one["bytes"], os.path.getsize(path))
        self.assertEqual([s["id"] for s in one["segments"]], [int(number)])
        for name in (path, os.path.basename(path)):
            self.assertEqual(self.account(name), one)
        self.assertEqual(self.account("all"), self.account())
        self.assertIn("inspect manifest", self.refused(UNREACHABLE, "inspect", "segment", "999999",
                                                       *self.where).err)

    def test_manifest(self):
        r = self.ok("inspect", "manifest", "--json", *self.where).json()
        self.assertEqual(r["entries"], N)
        self.assertEqual(sorted(r), ["bytes", "entries", "segments"])
        self.assertEqual(len(r["segments"]), len(self.files))
        self.assertRegex(self.ok("inspect", "manifest", *self.where).out, r"(?m)^segment +day")

    def test_tables(self):
        for by, what in (("column", r"(?m)^message +text +3,000 +"), ("encoding", r"(?m)^ints +"),
                         ("index", r"(?m)^directories +[\d,]+ "), ("block", r"(?m)^\d+/0 +")):
            out = self.ok("inspect", "segment", "--by", by, "--compare", *self.where).out
            self.assertRegex(out, r"\A3,000 entries, .* bytes an entry\n.* large values .*\n\n")
            self.assertRegex(out, what.replace("plain?", "(plain|dict|for|delta)"))
        out = self.ok("inspect", "segment", "-n", "2", *self.where).out
        self.assertRegex(out, r"(?m)^and \d+ more columns, ")
        self.assertEqual(len(out.splitlines()), 7)

    def test_tables_fit_the_terminal(self):
        for columns in (60, 80, 100, 120):
            for by in ("column", "encoding", "index", "block"):
                code, out = run_in_terminal("inspect", "segment", "--by", by, "--compare", "--color",
                                            "never", *self.where, columns=columns)
                self.assertEqual(code, 0)
                for line in out.replace("\r", "").splitlines()[3:]:
                    self.assertLessEqual(len(line), columns, out)

    def test_wrong_words(self):
        self.refused(USAGE, "inspect", *self.where)
        self.refused(USAGE, "inspect", "page", *self.where)
        self.refused(USAGE, "inspect", "segment", "x.seg", *self.where)
        self.refused(USAGE, "inspect", "manifest", "1", *self.where)
        self.refused(USAGE, "inspect", "segment", "--url", self.server.url)
        self.refused(UNREACHABLE, "inspect", "segment", "-D", self.dir)

    def test_damage(self):
        with open(self.files[0], "r+b") as f:
            at = os.path.getsize(self.files[0]) - 40  # in the footer
            f.seek(at)
            byte = f.read(1)
            f.seek(at)
            f.write(bytes([byte[0] ^ 1]))
            f.flush()
            try:
                r = self.refused(DATA, "inspect", "segment", *self.where)
                self.assertIn("checksum", r.err)
            finally:
                f.seek(at)
                f.write(byte)


class Empty(WithServer):
    def test_a_store_without_segments(self):
        where = ["-D", self.server.data_dir]
        self.assertRegex(self.ok("inspect", "segment", *where).out, r"\A0 entries, 0 B in 0 segments\n")
        self.assertEqual(self.ok("inspect", "segment", "--json", *where).json()["columns"], [])


if __name__ == "__main__":
    unittest.main()
