#!/usr/bin/env python3
"""race_test: many callers, few stacks, broken connections and killed servers. Prints TAP.

Environment: RACE_SECONDS (load in all, default 15), SEED, RACE (only these of the scenarios
plain, rough, kills), BUILD (histories go to BUILD/race/).
Each round has a project of its own; long runs repeat the rounds. The callers are callers.py; what
they wrote is judged by checker.py in a process of its own.
"""
import os
import random
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
sys.path.insert(0, HERE)

from callers import PlainCaller, RoughCaller, SteadyCaller, World  # noqa: E402
from service import ROOT, SLOWNESS, Client, Cut, Instance, Tap, await_condition  # noqa: E402

STARTUP_GRACE = 2
SECONDS = float(os.environ.get("RACE_SECONDS", "15"))
SEED = os.environ.get("SEED") or str(random.SystemRandom().randrange(10 ** 9))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
# A round's history must fit into memory.
ROUND_SECONDS = 20


class Race:
    def __init__(self):
        threading.stack_size(512 * 1024)
        self.scenarios = os.environ.get("RACE", "plain rough kills").split()
        self.tap = Tap(len(self.scenarios) + 1)
        self.tap.note("SEED=%s RACE_SECONDS=%g" % (SEED, SECONDS))
        self.instance = Instance("race", {"startup_grace_seconds": STARTUP_GRACE,
                                          "request_grace_seconds": 3})
        self.random = random.Random(SEED)
        self.rounds = 0
        self.histories = os.path.join(BUILD, "race")
        os.makedirs(self.histories, exist_ok=True)

    def run(self):
        shares = {"plain": 0.2, "rough": 0.4, "kills": 0.4}
        total = sum(shares[name] for name in self.scenarios)
        for name in self.scenarios:
            self.scenario(name, SECONDS * shares[name] / total, getattr(self, name))
        reports = self.instance.sanitizer_reports()
        crashes = [line for line in self.instance.log(lines=1000000) if "assert" in line.lower()]
        self.tap.result(not reports and not crashes, "the program's log has no report of a fault",
                        (reports + crashes)[:40])
        self.tap.exit()

    def scenario(self, name, seconds, play):
        titles = {"plain": "64 callers borrow and return 8 stacks",
                  "rough": "hang-ups, lost answers, silent jobs and late releases",
                  "kills": "program, database and nginx are killed under 64 callers"}
        problems = []
        rounds = max(1, round(seconds / ROUND_SECONDS))
        for _ in range(rounds):
            self.rounds += 1
            world, notes = play("%s%d" % (name, self.rounds), seconds / rounds)
            problems += world.finish(STARTUP_GRACE)
            problems += self.judge(world)
            for note in notes:
                self.tap.note("%s: %s" % (name, note))
        if problems:
            problems += self.instance.log()
        self.tap.result(not problems, titles[name], problems[:150])

    def judge(self, world):
        path = os.path.join(self.histories, world.name + ".jsonl")
        world.history.write(path)
        done = subprocess.run([sys.executable, os.path.join(HERE, "checker.py"), path],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        lines = done.stdout.splitlines()
        self.tap.note("%s: %s" % (world.name, ", ".join(
            line[2:] for line in lines if line.startswith("# "))))
        if done.returncode == 0:
            os.remove(path)
            return []
        return ["history: %s" % path] + lines

    def plain(self, name, seconds):
        world = World(self.instance, name, SEED, 8)
        world.start(PlainCaller, 64)
        world.stopping.wait(seconds)
        return world, []

    def rough(self, name, seconds):
        world = World(self.instance, name, SEED, 6, rule="affinity")
        world.start(RoughCaller, 32)
        world.stopping.wait(seconds)
        return world, [", ".join("%s %d" % way for way in sorted(world.ways.items()))]

    # --- Killed servers ---

    def kills(self, name, seconds):
        world = World(self.instance, name, SEED, 8)
        parts = ["program", "database", "nginx"]
        if not self.instance.has_own_database:
            parts.remove("database")  # it is somebody else's
        world.start(SteadyCaller, 64)
        # No clause about time is left out in a short run: every part is killed at least once.
        deadline = time.monotonic() + seconds
        recoveries = []
        kill = 0
        while kill < len(parts) or time.monotonic() < deadline:
            world.stopping.wait(self.random.uniform(0.5, 1.5))
            recoveries.append(self.kill(world, parts[kill % len(parts)]))
            kill += 1
        # Some quiet, so that leases of the last outage are seen to come back under load.
        world.stopping.wait(1)
        longest = {part: max(s for p, s in recoveries if p == part) for part in parts}
        return world, ["%d killed; longest time from the restart to the first answer: %s" % (
            kill, ", ".join("%s %.2f s" % item for item in longest.items()))]

    def kill(self, world, part):
        fault = {"type": "fault", "fault": "kill " + part, "from": time.monotonic()}
        self.instance.local("kill", part)
        time.sleep(self.random.uniform(0, 0.5))
        restart = time.monotonic()
        self.instance.local("start")
        started = time.monotonic()
        with Client(self.instance, world.key) as client:
            self.latest = None
            try:
                await_condition(60, lambda: self.writes(client), "an answer after a kill", 0.01)
            except TimeoutError as error:
                raise RuntimeError("%s was killed; the latest answer is %s; log: %s" % (
                    part, self.latest, "\n".join(self.instance.log()))) from error
        fault["to"] = time.monotonic()
        world.history.add(**fault)
        return part, (fault["to"] - started) if part == "database" else (fault["to"] - restart)

    def writes(self, client):
        """Whether a call that changes things gets its answer."""
        try:
            self.latest = client.call("/cancelRequest", {"requestId": "none"})
        except Cut as error:
            self.latest = error
            return False
        return self.latest[0] == 404


if __name__ == "__main__":
    Race().run()
