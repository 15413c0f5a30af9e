"""What grows: the time of a borrow or a return in a small instance (one project, and nothing else) and in a large
one that holds a million stacks in a thousand projects, a project with ten thousand, and ten million ended
leases of one project, all at once. Both run at the time and are asked in turns.
"""
import os
import time

import fill
import loads
import parts
import service
import turns

COUNTS = (1, 64)
PROJECTS, STACKS = 1000, 1000
LARGE_PROJECT, LARGE_STACKS = 2001, 10000
OLD_PROJECT, OLD_STACKS = 3001, 64
FEW, ENOUGH = 10, 64  # stacks of the small one, for 1 client and for 64: nobody should wait
SPREAD = range(101, 101 + ENOUGH)  # small projects, to be asked in turn like the thousand
MEMORY = 1 << 30  # for the database while it is filled


class BySize:
    """The small instance: a project for each number of clients."""

    name, counts = "small", None

    def __init__(self, by_clients):
        self.by_clients = by_clients

    def run(self, clients, seconds):
        return self.by_clients[clients].run(clients, seconds)


class Bench:
    """Both instances, filled."""

    def __init__(self, quick):
        self.instances = [service.Instance("small"), service.Instance("large")]
        self.small, self.large = (fill.Database(instance) for instance in self.instances)
        self.history_rows = 500000 if quick else 10000000
        began = time.monotonic()
        memory = self.large.memory(MEMORY)
        for clients, stacks in ((1, FEW), (64, ENOUGH)):
            self.small.projects(clients, 1, stacks)
        self.small.projects(SPREAD[0], len(SPREAD), FEW)
        self.large.projects(1, PROJECTS, STACKS)
        self.large.projects(LARGE_PROJECT, 1, LARGE_STACKS)
        self.large.projects(OLD_PROJECT, 1, OLD_STACKS)
        self.large.history(OLD_PROJECT, self.history_rows, OLD_STACKS)
        self.large.settle()
        self.large.memory(memory)
        self.seconds = time.monotonic() - began
        # A new program: what was written past it is nothing that it could know of.
        for instance in self.instances:
            instance.local("restart", "program")

    def contenders(self):
        small, large = self.instances
        own = fill.keys(small, [*COUNTS, *SPREAD])
        other = fill.keys(large, [*range(1, PROJECTS + 1), LARGE_PROJECT, OLD_PROJECT])
        used = parts.of_instance(small), parts.of_instance(large)

        def https(name, numbers, of_large=True):
            instance, made = (large, other) if of_large else (small, own)
            return loads.Https(
                name,
                loads.target(
                    instance, [made[number] for number in numbers], name=name.replace(" ", "-")
                ),
                used[of_large],
            )

        return [
            BySize({clients: https("small-%d" % clients, [clients], False) for clients in COUNTS}),
            https("small spread", SPREAD, False),
            https("thousand", [PROJECTS // 2]),
            https("spread", range(1, PROJECTS + 1)),
            https("large", [LARGE_PROJECT]),
            https("old", [OLD_PROJECT]),
        ]

    def close(self):
        for instance in self.instances:
            instance.stop()


def measure(quick, rounds, before):
    """Adds rounds to what was measured `before` ({} at first)."""
    bench = Bench(quick)
    try:
        contenders = bench.contenders()
        # So that both programs remember what they will: every project is asked for twice.
        for contender in contenders:
            asked = 0
            while asked < 2 * PROJECTS:
                asked += contender.run(64, 1)["pairs"]
        before.update(
            {
                "stacks": bench.large.count("stack"),
                "projects": bench.large.count("project"),
                "history": bench.large.count("history"),
                "fillSeconds": bench.seconds,
                "settings": bench.large.settings(),
                "seconds": 1 if quick else 2,
            }
        )
        turns.take(
            rounds or (1 if quick else 5),
            COUNTS,
            contenders,
            before["seconds"],
            before.setdefault("runs", {}),
        )
        before["resident"] = {
            name: parts.of_instance(instance).resident()["program"]
            for name, instance in zip(("small", "large"), bench.instances)
        }
        database = os.path.join(bench.instances[1].var, "db")
        if os.path.isdir(database):
            before["bytes"] = sum(
                os.path.getsize(os.path.join(folder, file))
                for folder, _, files in os.walk(database)
                for file in files
            )
    finally:
        bench.close()
    return before
