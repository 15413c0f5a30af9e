#!/usr/bin/env python3
"""chaos_test: callers borrow, deploy, extend, hang up, retry, release and die, while the nemesis
breaks the servers and what is between them. Prints TAP.

Environment: CHAOS_SECONDS (default 30), SOAK_SECONDS (instead; the figures go to SOAK.md, too),
SEED, BUILD (histories go to BUILD/chaos/), SAN, KEEP.

The run goes in rounds, so that no history outgrows the memory. In each, two processes play a world
of callers; after it all is whole, the stacks come back, and tests/race/checker.py judges what was
written down while the next round is under way.
"""
import collections
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
sys.path.insert(0, HERE)

import rig as rigs  # noqa: E402
from chaos_callers import ChaosWorld  # noqa: E402
from nemesis import Nemesis  # noqa: E402
from service import SLOWNESS, Tap  # noqa: E402

SOAK = os.environ.get("SOAK_SECONDS")
SECONDS = float(SOAK or os.environ.get("CHAOS_SECONDS") or 30)
SEED = os.environ.get("SEED") or str(random.SystemRandom().randrange(10 ** 9))
HISTORIES = os.path.join(rigs.BUILD, "chaos")
ROUND_SECONDS = 90
# Processes; in each, callers that do nothing else, and callers with manners.
WORLDS = 2
STEADY = 28
ROUGH = 12
STACKS = 20
# What is promised after a kill, from the start of the part to the first answer.
RECOVERY = {"program": 1, "nginx": 2, "database": 2}


class Player:
    """One world in a process of its own, which is told when to stop and what was broken."""

    def __init__(self, rig, name):
        context = multiprocessing.get_context("fork")
        self.name = name
        self.faults = context.SimpleQueue()
        self.results = context.SimpleQueue()
        self.is_ready = context.Event()
        self.may_begin = context.Event()
        self.is_quiet = context.Event()
        self.process = context.Process(target=self.play, args=(rig,), daemon=True)
        self.process.start()

    def play(self, rig):
        result = {"errors": [], "figures": {}}
        try:
            world = ChaosWorld(rig, self.name, SEED, STACKS, rule="affinity")
            self.is_ready.set()
            self.may_begin.wait()
            world.begin(STEADY, ROUGH)
            faults = self.faults.get()
            result["errors"] += world.stop_callers()
            for record in [*faults, world.end_record(rigs.STARTUP_GRACE)]:
                world.history.add(**record)
            self.is_quiet.set()
            world.forget()
            figures, lines = world.judge(os.path.join(HISTORIES, self.name + ".jsonl"))
            result["figures"] = figures
            result["errors"] += lines
        except Exception:  # whatever it is, it must not look like success
            result["errors"] += traceback.format_exc().splitlines()
        self.is_ready.set()
        self.is_quiet.set()
        self.results.put(json.dumps(result))

    def finish(self, faults):
        """The nemesis rests; waits until all stacks are back."""
        self.faults.put(faults)
        self.is_quiet.wait(300 * SLOWNESS)

    def result(self):
        result = json.loads(self.results.get()) if self.process.is_alive() or \
            not self.results.empty() else {"errors": [self.name + " died"], "figures": {}}
        self.process.join(60)
        return result


class Chaos:
    def __init__(self):
        threading.stack_size(512 * 1024)
        os.makedirs(HISTORIES, exist_ok=True)
        self.tap = Tap(4)
        self.tap.note("SEED=%s, %g s" % (SEED, SECONDS))
        self.rig = rigs.Rig("chaos", {"log_level": "error"})
        self.rig.mount_disk()
        self.tap.note("a full disk is %s" % (
            "a file system of its own that is filled" if self.rig.has_own_disk else
            "a limit on the size of the database's files"))
        [key] = self.rig.project("nemesis", roles=["ci"])
        self.rig.restart("program")
        self.rig.await_service(key)
        self.nemesis = Nemesis(self.rig, key, SEED)
        self.figures = collections.Counter()
        self.problems = []
        self.rounds = 0

    def run(self):
        started = time.monotonic()
        judged = []
        while not self.rounds or time.monotonic() - started < SECONDS - 5:
            self.rounds += 1
            left = SECONDS - (time.monotonic() - started)
            players = self.round(min(ROUND_SECONDS, left))
            for player in judged:
                self.take(player)
            judged = players
        for player in judged:
            self.take(player)
        self.report(time.monotonic() - started)

    def round(self, seconds):
        players = [Player(self.rig, "round%d-%d" % (self.rounds, number))
                   for number in range(WORLDS)]
        self.nemesis.faults = []
        deadline = time.monotonic() + seconds
        try:
            # A new key makes nginx reload, and that may cost somebody his kept connection.
            for player in players:
                player.is_ready.wait(60 * SLOWNESS)
            for player in players:
                player.may_begin.set()
            while time.monotonic() < deadline:
                self.nemesis.strike()
                self.nemesis.pause(0.2, 0.7)
        except Exception:
            self.problems += traceback.format_exc().splitlines() + self.rig.log()
            self.rig.heal()
        for player in players:
            player.finish(self.nemesis.faults)
        return players

    def take(self, player):
        result = player.result()
        for name, count in result["figures"].items():
            if name.startswith(("most", "latest")):
                self.figures[name] = max(self.figures[name], count)
            elif not name.startswith("seconds"):
                self.figures[name] += count
        self.problems += result["errors"]
        if SOAK:
            self.tap.note("%s: %d calls, %d violations" % (
                player.name, result["figures"].get("calls", 0),
                result["figures"].get("violations", -1)))

    # --- Results ---

    def report(self, seconds):
        longest = {part: max(times, default=0)
                   for part, times in self.nemesis.recoveries.items()}
        calls = self.figures["calls"]
        figures = {
            "operations": "%d in %d s, %d/s" % (calls, seconds, calls / seconds),
            "faults": sum(self.nemesis.counts.values()),
            **{name: int(count) for name, count in sorted(self.figures.items())},
            **{"longest from the start of a killed %s to the service's first answer" % part:
               "%.2f s" % s for part, s in sorted(longest.items())},
            **{"faults, " + name: count for name, count in sorted(self.nemesis.counts.items())}}
        for name, value in figures.items():
            self.tap.note("%s: %s" % (name, value))
        if self.problems:
            self.problems += self.rig.log()
        self.tap.result(not self.problems, "no promise is broken, whatever else is",
                        self.problems[:150])
        self.tap.result(calls > 20 * SECONDS / SLOWNESS and self.figures["leases"] > 0,
                        "callers got through meanwhile", [])
        slow = {part: s for part, s in longest.items() if s > RECOVERY[part] * SLOWNESS}
        self.tap.result(not slow, "what was killed answers within %s s" % RECOVERY,
                        ["%s: %.2f s" % item for item in slow.items()])
        reports = self.rig.sanitizer_reports()
        self.tap.result(not reports, "the program's log has no report of a fault", reports[:40])
        if SOAK:
            write_record(figures)
        self.tap.exit()


RECORD = """# The recorded soak

`make soak SOAK_SECONDS=%g`, SEED=%s, %s. %d × %s, %s,
%s, %s,
%s.

An operation is a call over HTTPS, whatever became of it. What is promised, and how each promise is
checked, stands in `tests/race/checker.py`; what is done to the servers, in `nemesis.py`.

| figure | |
|---|---:|
"""


def write_record(figures):
    def first_line(*command):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        return done.stdout.splitlines()[0]

    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(": ")[1].strip() for line in file if line.startswith("model name")]
    program = os.path.join(rigs.BUILD, "stack-orchestrator")
    database = first_line(shutil.which("mariadbd") or "mysqld", "--version").split("  ")[-1]
    about = (SECONDS, SEED, time.strftime("%Y-%m-%d", time.gmtime()), os.cpu_count(),
             models[0] if models else os.uname().machine, os.uname().release,
             first_line(program, "-V"), first_line("nginx", "-v"), database)
    with open(os.path.join(HERE, "SOAK.md"), "w", encoding="utf-8") as file:
        file.write(RECORD % about)
        for name, value in figures.items():
            file.write("| %s | %s |\n" % (name, value))


if __name__ == "__main__":
    rigs.enter_namespace()
    Chaos().run()
