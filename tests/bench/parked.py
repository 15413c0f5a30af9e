"""Requests that wait: the time from a release to the waiter's answer, in turns with plain
releases of a second instance where nobody waits; resident memory a parked request, CPU while
nothing happens, and how soon the queue is empty when all hang up.
"""
import json
import resource
import subprocess
import time

import loads
import parts
import service

COUNTS = (1, 100, 10000)
BLOCK = 50
IDLE_SECONDS = 10


class Park:
    """The program that waits, driven by lines."""

    def __init__(self, instance, key):
        self.process = subprocess.Popen(
            [str(word) for word in [loads.tool("park"), *loads.target(instance, [key])]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the waiting program failed")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


class Bench:
    """An instance where requests wait, and one where nobody does."""

    def __init__(self, most):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        if limit < most + 500:
            raise RuntimeError(
                "%d files may be open here; that is too few for %d waiting requests" % (limit, most)
            )
        self.instances = [
            service.Instance(
                "parked", {"max_waiting": most + 100, "max_waiting_per_project": most + 100}
            ),
            service.Instance("plain"),
        ]
        keys = [
            instance.project("bench", "--max-stacks", "1", "--wait-seconds", "3600")
            for instance in self.instances
        ]
        self.viewer = service.Client(self.instances[0], keys[0][1])
        self.waiting, self.plain = (
            Park(instance, key[0]) for instance, key in zip(self.instances, keys)
        )
        self.used = parts.of_instance(self.instances[0])

    def await_queue(self, count, seconds, pause):
        began = time.monotonic()
        service.await_condition(
            seconds,
            lambda: len(self.viewer.call("/status")[1]["queue"]) == count,
            "%d requests wait" % count,
            pause=pause,
        )
        return time.monotonic() - began

    def park(self, count):
        self.waiting.do("park", count)
        self.await_queue(count, 300, 0.5)

    def times(self, rounds, size):
        """Release times with those that wait now, in turns with plain ones; one summary per round."""
        made = {"release": [], "grant": [], "plain": []}
        for _ in range(rounds):
            times = {name: [] for name in made}
            for _ in range(size // BLOCK):
                times["plain"] += self.plain.do("plain", BLOCK)["release"]
                block = self.waiting.do("rounds", BLOCK)
                times["release"] += block["release"]
                times["grant"] += block["grant"]
            for name, some in times.items():
                made[name].append(summary(some))
        return made

    def rest(self, before, count):
        """What so many parked requests take while nothing happens."""
        after = self.used.resident()
        cpu, began = self.used.cpu_seconds(), time.monotonic()
        time.sleep(IDLE_SECONDS)  # what is measured is that nothing happens
        seconds = time.monotonic() - began
        return {
            "memory": {part: (after[part] - before[part]) / count for part in after},
            "cpu": {
                part: (value - cpu[part]) / seconds
                for part, value in self.used.cpu_seconds().items()
            },
        }

    def close(self):
        for park in (self.waiting, self.plain):
            park.close()
        self.viewer.close()
        for instance in self.instances:
            instance.stop()


def summary(times):
    times = sorted(times)
    return {
        "count": len(times),
        "p50": times[len(times) // 2],
        "p99": times[(len(times) - 1) * 99 // 100],
        "max": times[-1],
    }


def measure(quick, rounds, before):
    """Begins anew whatever was measured before."""
    del before
    bench = Bench(COUNTS[-1])
    try:
        memory = bench.used.resident()
        size = 200 if quick else 1000
        figures = {"seconds": IDLE_SECONDS, "at": {}}
        for count in COUNTS:
            bench.park(count)
            if count == COUNTS[-1]:
                figures.update(bench.rest(memory, count))
            figures["at"][str(count)] = bench.times(rounds or (1 if quick else 3), size)
        bench.waiting.do("leave")
        figures["emptySeconds"] = bench.await_queue(0, 120, 0.05)
        return figures
    finally:
        bench.close()
