"""A git repository of claims, as Concourse's pool resource keeps it: a file for each stack in
unclaimed/ or claimed/; to borrow is to move one, commit and push, and to begin anew when somebody
pushed before. Each client has a clone of its own; the repository is a bare one on the same disk,
and git syncs what it writes.
"""
import os
import random
import subprocess
import threading
import time

import peers

SYNCED = "core.fsync=committed,loose-object,reference"
SYNC = (
    "-c",
    SYNCED,
    "-c",
    "user.name=bench",
    "-c",
    "user.email=bench@localhost",
    "-c",
    "gc.auto=0",
)
ENVIRONMENT = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}


class Claims:
    """One pool; a contender for turns.take()."""

    title = "git claims (Concourse's scheme)"
    setting = "bare repository on the same disk, core.fsync=committed,reference"
    name, counts = "git", (1, 4)

    def __init__(self, stacks):
        self.git = peers.find("git")
        self.version = peers.version(self.git).replace("git version", "git")
        self.scratch = peers.Scratch("claims")
        self.close = self.scratch.close
        self.clones = 0
        self.lock = threading.Lock()
        self.do(self.scratch.path, "init", "-q", "--bare", "-b", "pool", "pool.git")
        self.do(os.path.join(self.scratch.path, "pool.git"), "config", *SYNCED.split("="))
        first = self.clone()
        os.makedirs(os.path.join(first, "unclaimed"))
        os.makedirs(os.path.join(first, "claimed"))
        for number in range(stacks):
            with open(os.path.join(first, "unclaimed", str(number)), "w", encoding="ascii"):
                pass
        self.do(first, "add", ".")
        self.do(first, "commit", "-q", "-m", "All free")
        self.do(first, "push", "-q", "origin", "HEAD:pool")

    def do(self, folder, *words, check=True):
        done = subprocess.run(
            [self.git, *SYNC, *words],
            cwd=folder,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError("git %s: %s" % (words[0], done.stdout))
        return done.returncode == 0

    def clone(self):
        with self.lock:
            self.clones += 1
            name = "clone-%d" % self.clones
        self.do(self.scratch.path, "clone", "-q", "pool.git", name)
        return os.path.join(self.scratch.path, name)

    def move(self, clone, choose, source, target):
        """Moves a file of one folder to the other; returns its name."""
        while True:
            self.do(clone, "fetch", "-q", "origin", "pool")
            self.do(clone, "reset", "-q", "--hard", "FETCH_HEAD")
            stack = choose(os.path.join(clone, source))
            os.makedirs(os.path.join(clone, target), exist_ok=True)
            self.do(clone, "mv", "%s/%s" % (source, stack), target + "/")
            # With the client's name: two equal commits of one second are one, which both could push.
            who = os.path.basename(clone)
            self.do(clone, "commit", "-q", "-m", "%s: %s by %s" % (target, stack, who))
            if self.do(clone, "push", "-q", "origin", "HEAD:pool", check=False):
                return stack

    def work(self, clone, until, figures, lent):
        while time.monotonic() < until:
            stack = self.move(
                clone, lambda path: random.choice(os.listdir(path)), "unclaimed", "claimed"
            )
            with self.lock:
                figures["doublyLent"] += stack in lent
                lent.add(stack)

            def give(_, mine=stack):
                with self.lock:
                    lent.discard(mine)
                return mine

            self.move(clone, give, "claimed", "unclaimed")
            if time.monotonic() < until:
                figures["pairs"] += 1

    def run(self, clients, seconds):
        seconds = max(4, seconds)
        figures = {"pairs": 0, "doublyLent": 0, "seconds": seconds}
        clones, lent = [self.clone() for _ in range(clients)], set()
        until = time.monotonic() + seconds
        threads = [
            threading.Thread(target=self.work, args=(clone, until, figures, lent))
            for clone in clones
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {**figures, "requests": 2 * figures["pairs"]}
