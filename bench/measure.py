"""What every measurement needs: CPU and memory of processes, bytes of a directory, cold caches,
quiet.

Seconds are floats, sizes are bytes, memory is MiB where a name says so. Linux only (/proc).
"""
import os
import platform
import re
import statistics
import subprocess
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


def _stat(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rsplit(")", 1)[1].split()


def cpu_seconds(pid):
    """user and system time of one process, its children not counted"""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICK


def descendants(root):
    """root and every living process below it"""
    parent = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parent[int(name)] = int(_stat(int(name))[1])
            except (OSError, IndexError):
                pass
    found, frontier = [root], [root]
    while frontier:
        frontier = [p for p, up in parent.items() if up in frontier]
        found += frontier
    return found


def tree_cpu(root):
    """CPU seconds of a process and all it ever started, those that ended and were waited for too"""
    total = 0
    for pid in descendants(root):
        try:
            total += sum(int(x) for x in _stat(pid)[11:15])
        except OSError:
            pass
    return total / TICK


def memory(pid):
    """MiB of one process: VmRSS, RssAnon, VmHWM"""
    out = {}
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith(("VmRSS", "RssAnon", "VmHWM")):
                name, value = line.split(":")
                out[name] = int(value.split()[0]) / 1024
    return out


def reset_peak(pid):
    """VmHWM starts anew from what is resident now"""
    with open("/proc/%d/clear_refs" % pid, "w") as f:
        f.write("5")


def _pss(pid):
    try:
        with open("/proc/%d/smaps_rollup" % pid) as f:
            return int(re.search(r"^Pss: +(\d+)", f.read(), re.M).group(1)) / 1024
    except (OSError, AttributeError):
        return 0


class PeakMemory:
    """Peak MiB of a process tree between enter and exit. One process: the kernel's own high-water
    mark. Several: their shares of shared pages (PSS) added up every 0.2 s, as summing RSS would
    count what they share once each."""

    def __init__(self, root):
        self.root, self.mib, self.sampled = root, 0, False
        self._end = threading.Event()

    def _watch(self):
        while not self._end.wait(0.2):
            self.sample()

    def sample(self):
        pids = descendants(self.root)
        if len(pids) > 1:
            self.sampled = True
            self.mib = max(self.mib, sum(_pss(p) for p in pids))

    def __enter__(self):
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._end.set()
        self._thread.join()
        if not self.sampled:
            self.mib = memory(self.root)["VmHWM"]


def wait_quiet(root, busy=lambda: False, window=1.0, share=0.05, limit=900):
    """Waits until the process tree used less than `share` of one core in two windows running and
    busy() is false. Returns the seconds until the last window in which it was at work."""
    started = last_work = time.monotonic()
    calm, before = 0, tree_cpu(root)
    while calm < 2:
        time.sleep(window)
        now, used = time.monotonic(), tree_cpu(root)
        if used - before > share * window or busy():
            calm, last_work = 0, now
        else:
            calm += 1
        before = used
        if now - started > limit:
            raise RuntimeError("still at work after %d s" % limit)
    return last_work - started


def disk_bytes(path):
    """bytes of all files below path, each inode once, as allocated or as long, whichever is less:
    preallocated and sparse files do not count for what they do not hold"""
    seen, total = set(), 0
    for d, _dirs, files in os.walk(path):
        for f in files:
            try:
                s = os.lstat(os.path.join(d, f))
            except FileNotFoundError:
                continue
            if (s.st_dev, s.st_ino) not in seen:
                seen.add((s.st_dev, s.st_ino))
                total += min(s.st_size, s.st_blocks * 512)
    return total


def drop_caches():
    """Empties the page cache; False when this user may not."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3")
        return True
    except OSError:
        return False


def machine():
    """What a reader must know to compare: processor, cores, memory, kernel, date"""
    with open("/proc/cpuinfo") as f:
        model = re.search(r"^model name\s*: (.*)$", f.read(), re.M)
    with open("/proc/meminfo") as f:
        ram = int(re.search(r"^MemTotal: +(\d+)", f.read(), re.M).group(1)) / (1 << 20)
    return {"cpu": model.group(1) if model else platform.machine(), "cores": os.cpu_count(),
            "ram_gib": round(ram, 1), "kernel": platform.release(),
            "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "load_at_start": round(os.getloadavg()[0], 2)}


def median_ms(samples):
    return statistics.median(samples) * 1000


def program_version(command):
    done = subprocess.run(command, capture_output=True, text=True)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else "unknown"
