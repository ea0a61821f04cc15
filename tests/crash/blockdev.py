"""Disks for the crash tests: an ext4 image behind the plugin of powercut.c, or on a plain loop device.
Needs root, /dev/fuse, loop devices, nbdkit and nbdfuse; missing() names what is not there."""
import json
import os
import shutil
import subprocess

import fleetlog

TOOLS = {"nbdkit": "nbdkit", "nbdfuse": "nbdfuse", "fusermount3": "fuse3", "mkfs.ext4": "e2fsprogs"}


def missing(plugin):
    """What this machine lacks for a power cut, in words; empty when all is there."""
    lacks = []
    if os.geteuid() != 0:
        lacks.append("root")
    for tool, package in TOOLS.items():
        if not shutil.which(tool) and not os.path.exists("/sbin/" + tool):
            lacks.append("%s (package %s)" % (tool, package))
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(device):
            lacks.append(device)
    for what, probe in (("the right to mount", ("unshare", "-m", "true")),
                        ("a free loop device", ("losetup", "-f"))):
        try:
            run(*probe)
        except OSError:
            lacks.append(what)
    if not plugin or not os.path.exists(plugin):
        lacks.append("the plugin (package nbdkit-plugin-dev, then ./dev clean)")
    return ", ".join(lacks)


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode:
        raise OSError("%s: %s" % (" ".join(command), done.stdout.decode("utf-8", "replace").strip()))


def make_ext4(image, mib, *options):
    with open(image, "wb") as f:
        f.truncate(mib << 20)
    run("mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-E", "lazy_itable_init=1,nodiscard",
        *options, image)


def unmount(mnt):
    try:
        run("umount", mnt)
    except OSError:
        run("umount", "-l", mnt)


class Disk:
    """A disk whose power fails when told so. `image` is what survives."""

    def __init__(self, plugin, folder, mib=192):
        self.plugin, self.mib = plugin, mib
        self.image, self.mnt = os.path.join(folder, "image"), os.path.join(folder, "mnt")
        self.device, self.pid = os.path.join(folder, "disk"), os.path.join(folder, "pid")
        self.control, self.report = os.path.join(folder, "control"), os.path.join(folder, "report")
        self.log = os.path.join(folder, "log")
        os.mkdir(self.mnt)
        open(self.device, "w").close()
        self.process = None
        self.mounted = False

    def format(self):
        make_ext4(self.image, self.mib)

    def on(self, seed, keep):
        """Gives it power and mounts it. keep: chance in percent of an unflushed sector to survive."""
        for path in (self.pid, self.control, self.report):
            if os.path.exists(path):
                os.unlink(path)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["nbdfuse", "-P", self.pid, self.device, "[", "nbdkit", "--exit-with-parent",
                 self.plugin, "file=" + self.image, "control=" + self.control,
                 "report=" + self.report, "seed=%d" % seed, "keep=%d" % keep, "]"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        fleetlog.wait_until(lambda: os.path.exists(self.pid) or self.process.poll() is not None, 60,
                            "nbdfuse")
        run("mount", "-o", "loop", self.device, self.mnt)
        self.mounted = True

    def order(self, text):
        with open(self.control + ".tmp", "w") as f:
            f.write(text + "\n")
        os.rename(self.control + ".tmp", self.control)

    def dead(self):
        return os.path.exists(self.report)

    def told(self):
        """The disk's report of the cut, {} when there is none."""
        if not self.dead():
            return {}
        with open(self.report) as f:
            return json.load(f)

    def off(self):
        """Unmounts it and ends its processes; with the power on, this is an orderly shutdown."""
        if self.mounted:
            unmount(self.mnt)
            self.mounted = False
        if self.process:
            if self.process.poll() is None:
                try:
                    run("fusermount3", "-u", self.device)
                except OSError:
                    run("umount", "-l", self.device)
            self.process.wait(30)
            self.process = None
