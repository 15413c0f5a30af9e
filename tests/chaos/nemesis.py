"""nemesis: breaks the parts of a rig, one after the other, and puts them right again. Each fault is
written down with the time from its beginning to the service's next answer."""
import collections
import random
import signal
import time

from rig import PARTS
from service import await_condition

POINTS = ("beforeCommit", "afterCommit", "beforeAnswer", "afterAnswer", "midAnswer",
          "beforeParkedAnswer", "afterParkedAnswer")
LINKS = ("caller", "program", "database")
# What the program's clock is moved by, in seconds.
JUMPS = (-400 * 86400, -3600, -61, 61, 3600, 400 * 86400)


class Nemesis:
    def __init__(self, rig, key, seed):
        self.rig = rig
        self.key = key
        self.random = random.Random(seed)
        self.counts = collections.Counter()
        self.recoveries = {part: [] for part in PARTS}
        self.faults = []  # of this round
        self.died = None  # when the part that the present fault killed had ended
        # A short run has the kills, too.
        self.deck = self.kinds() + [("kill", part) for part in PARTS]

    def kinds(self):
        """Each kind once, some of them for several parts."""
        deck = []
        for part in PARTS:
            deck += [("kill", part), ("stop", part)]
        deck += [("kill", "program"), ("end", "program")]
        for link in LINKS:
            deck += [("cut", link), ("cut", link), ("hold", link, "up"), ("hold", link, "down"),
                     ("delay", link), ("refuse", link), ("halfOpen", link)]
        for point in POINTS:
            deck += [("point", point, action) for action in ("kill", "cut", "delay 100", "stop")]
        deck += [("point", "beforeCommit", "error"), ("fullDisk",), ("files",), ("workers",),
                 ("connections",), ("clock",)]
        self.random.shuffle(deck)
        return deck

    # --- One fault ---

    def strike(self):
        """Breaks something, puts it right, waits for the service."""
        if not self.deck:
            self.deck = self.kinds()
        kind, *which = self.deck.pop()
        fault = {"type": "fault", "fault": " ".join([kind, *which]), "from": time.monotonic(),
                 "silent": kind in ("halfOpen", "hold", "stop")}
        self.died = None
        if kind == "point":
            self.count("at a fault point", which[1], self.do_point(*which))
        else:
            # And a small one beside it.
            point = self.random.choice(POINTS)
            action = self.random.choice(["cut", "delay 20"])
            self.rig.arm(point, action)
            self.count(kind, *which, getattr(self, "do_" + kind)(*which))
            self.count("at a fault point", action, self.rig.has_fired(point))
        self.rig.heal()
        self.raise_dead()
        self.rig.await_service(self.key, 60)
        fault["to"] = time.monotonic()
        if self.died:
            fault["died"] = self.died
        self.faults.append(fault)

    def count(self, kind, *which):
        *which, happened = which
        if happened is not False:
            self.counts[": ".join([kind, *[word.split()[0] for word in which[:1]]])] += 1

    def raise_dead(self):
        """A full disk may end the database, a fault point the program."""
        for part in PARTS:
            if self.rig.is_dead(part):
                self.rig.restart(part)

    def pause(self, least, most):
        time.sleep(self.random.uniform(least, most))

    # --- Kinds ---

    def do_kill(self, part):
        self.rig.kill(part)
        if part != "nginx":
            self.died = time.monotonic()
        self.pause(0, 0.3)
        self.recover(part)

    def do_end(self, part):
        """It is asked to, and answers what it has."""
        self.rig.signal(part, signal.SIGTERM)
        await_condition(20, lambda: self.rig.is_dead(part), "the %s has ended" % part, 0.002)
        self.died = time.monotonic()
        self.recover(part)

    def recover(self, part):
        """How long from the start of a part to the service's next answer."""
        start = time.monotonic()
        self.rig.restart(part)
        if part == "database":
            start = time.monotonic()  # its own restart doesn't count
        self.rig.await_service(self.key, 60)
        self.recoveries[part].append(time.monotonic() - start)

    def do_stop(self, part):
        self.rig.signal(part, signal.SIGSTOP)
        self.pause(0.05, 0.6)
        self.rig.signal(part, signal.SIGCONT)

    def do_cut(self, link):
        self.rig.links[link].order("cut")
        self.pause(0, 0.1)

    def do_hold(self, link, direction):
        self.rig.links[link].order("hold " + direction)
        self.pause(0.05, 0.6)

    def do_delay(self, link):
        self.rig.links[link].order("delay %d" % self.random.randrange(1, 50))
        self.pause(0.2, 0.6)

    def do_refuse(self, link):
        self.rig.links[link].order("refuse")
        self.rig.links[link].order("cut")
        self.pause(0.05, 0.5)

    def do_halfOpen(self, link):
        """One side is told nothing for a while, and then that the connection is broken."""
        self.rig.links[link].order(self.random.choice(["vanish", "forget"]))
        self.pause(0.1, 1)
        self.rig.links[link].order("cut")

    def do_point(self, point, action):
        self.rig.arm(point, action)
        try:
            await_condition(1, lambda: self.rig.has_fired(point), point, 0.005)
        except TimeoutError:
            return False
        if action == "kill":
            await_condition(10, lambda: self.rig.is_dead("program"), "the program is dead", 0.002)
            self.died = time.monotonic()
            self.recover("program")
        elif action == "stop":
            self.pause(0.05, 0.5)
        return True

    def do_fullDisk(self):
        self.rig.fill_disk()
        self.pause(0.5, 2)

    def do_files(self):
        self.rig.limit_files(self.random.randrange(4))
        self.rig.links["program"].order("cut")  # new connections need new descriptors
        self.pause(0.2, 1)

    def do_workers(self):
        with self.rig.half_requests(16):
            self.pause(0.2, 1)

    def do_connections(self):
        with self.rig.occupied_database():
            self.pause(0.2, 1)

    def do_clock(self):
        if not self.rig.clock_library():
            return False
        self.rig.set_clock(self.random.choice(JUMPS))
        # The library looks once a second.
        self.pause(1, 1.5)
        return True

