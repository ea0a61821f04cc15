"""Makes the golden data directory of the version that is built: tests/golden/store-vVERSION/.

    GOLDEN_BIN=build/release/tests/golden/golden FLEETLOG_BIN=build/release/fleetlog \\
        python3 tests/golden/make.py VERSION

A golden store is made once, by the version it is named after."""
import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def facts(store, *how):
    """What is in a store, as text; opens it for writing."""
    return subprocess.run([os.environ["GOLDEN_BIN"], "facts", store, *how], check=True,
                          stdout=subprocess.PIPE).stdout


def export(store):
    return subprocess.run([os.environ["FLEETLOG_BIN"], "export", "--data-dir", store, "-f", "ndjson"],
                          check=True, stdout=subprocess.PIPE).stdout


def pack(store):
    """The directory as tar.gz, the same bytes for the same files."""
    def plain(member):
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(store, arcname=".", filter=plain)
    return gzip.compress(raw.getvalue(), 9, mtime=0)


def unpack(name, into):
    with tarfile.open(os.path.join(HERE, name, "store.tar.gz")) as tar:
        tar.extractall(into)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = os.path.join(HERE, "store-v" + sys.argv[1])
    if os.path.exists(target):
        sys.exit("%s is there: a golden store is made once" % target)
    with tempfile.TemporaryDirectory() as tmp:
        store = os.path.join(tmp, "store")
        subprocess.run([os.environ["GOLDEN_BIN"], "write", store], check=True)
        packed, exported = pack(store), export(store)
        told = facts(store)
    os.mkdir(target)
    for name, data in (("store.tar.gz", packed), ("facts.txt.gz", gzip.compress(told, 9, mtime=0)),
                       ("export.ndjson.gz", gzip.compress(exported, 9, mtime=0))):
        with open(os.path.join(target, name), "wb") as f:
            f.write(data)
        print("%s/%s: %d bytes" % (os.path.relpath(target), name, len(data)))


if __name__ == "__main__":
    main()
