"""hosts: machines of a small network, each a network namespace of its own, on one bridge.

    test (10.77.0.1) ── bridge ─┬─ db1 (10.77.0.11) ─ db2 ─ db3
                                └─ app1 (10.77.0.21) ─ app2 …

All of it, with every process, lives in namespaces that end with the test: see enter_namespaces().
"""
import ctypes
import os
import subprocess
import sys

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
HOME = os.open("/proc/self/ns/net", os.O_RDONLY)
OUTSIDE = 99  # descriptor of the network that the test came from


def enter_namespaces():
    """Starts this program again where it may lay networks. Without the rights: one failed test."""
    if os.environ.get("CLUSTER_INSIDE") == str(os.getppid()):
        run("mkdir", "-p", "/run/netns")
        run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "bridge", "type", "bridge")
        run("ip", "address", "add", "10.77.0.1/24", "dev", "bridge")
        run("ip", "link", "set", "bridge", "up")
        return
    # A process namespace, too: whatever was started ends with us, however we end.
    command = ["unshare", "--net", "--mount", "--propagation", "private", "--pid", "--fork",
               "--kill-child", "--mount-proc"]
    why = ""
    if os.geteuid() != 0:
        why = "not root"
    else:
        try:
            tried = subprocess.run(command + ["ip", "link", "add", "bridge", "type", "bridge"],
                                   check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   text=True)
            why = tried.stderr.strip() if tried.returncode else ""
        except OSError as error:
            why = str(error)
    if why:
        print("1..1\nnot ok 1 - a cluster needs root, unshare, ip and network namespaces: " + why)
        sys.exit(1)
    # Inside, the parent of the first process is 0.
    os.environ["CLUSTER_INSIDE"] = "0"
    os.dup2(HOME, OUTSIDE)
    os.execvp(command[0], command + [sys.executable, *sys.argv])


def enter(namespace):
    """The calling thread's new sockets and processes belong to it from now on."""
    if LIBC.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def run(*command, check=True):
    """A command on the test's own machine; returns what it printed."""
    enter(HOME)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(command), done.stdout))
    return done.stdout


class Machine:
    """A name, an address, and a cable that can be pulled."""

    def __init__(self, name, number):
        self.name = name
        self.address = "10.77.0.%d" % number
        self.prefix = ["ip", "netns", "exec", name]
        run("ip", "netns", "add", name)
        run("ip", "link", "add", "to-" + name, "type", "veth", "peer", "name", "eth0", "netns",
            name)
        run("ip", "link", "set", "to-" + name, "master", "bridge", "up")
        self.ip("link", "set", "lo", "up")
        self.ip("address", "add", self.address + "/24", "dev", "eth0")
        self.ip("link", "set", "eth0", "up")
        self.namespace = os.open("/run/netns/" + name, os.O_RDONLY)

    def ip(self, *words):
        return run("ip", "-n", self.name, *words)

    def enter(self):
        """The calling thread works on this machine from now on."""
        enter(self.namespace)

    def cut(self):
        run("ip", "link", "set", "to-" + self.name, "nomaster")

    def mend(self):
        run("ip", "link", "set", "to-" + self.name, "master", "bridge")

    def cut_from(self, other):
        """One direction is enough: nothing that we say arrives there."""
        self.ip("route", "add", "blackhole", other.address + "/32")

    def mend_to(self, other):
        self.ip("route", "delete", "blackhole", other.address + "/32")

    def popen(self, *command, **options):
        return subprocess.Popen([*self.prefix, *command], stdin=subprocess.DEVNULL, **options)
