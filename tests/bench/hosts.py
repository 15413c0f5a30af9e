"""One, two and three hosts: so many programs on one database, behind one nginx that gives them the calls in turns.
Each has a database of its own; they are asked in turns. On one machine they share its processors, as real hosts
would not: so the figures say what the hosts cost each other, not what three machines can do.
"""
import os
import re
import signal
import statistics
import time

import fill
import loads
import parts
import rest
import service
import turns

HOSTS = (1, 2, 3)
COUNTS = (1, 64)
PROJECT, STACKS = 1, 64  # one project of all callers
MANY = range(101, 165)  # a project for each of 64 callers
LARGE, LARGE_STACKS = 2, 10000
UNITS, UNIT_STACKS = 3, 300  # and as many units
BRANCHES = 12


class Hosts(service.Instance):
    """An instance with more programs than one."""

    def __init__(self, count):
        super().__init__("hosts-%d" % count)
        self.count = count
        self.more = []

    def path(self, name):
        return os.path.join(self.var, name)

    def fill(self):
        database = fill.Database(self)
        database.projects(PROJECT, 1, STACKS)
        database.projects(MANY[0], len(MANY), 4)
        database.projects(LARGE, 1, LARGE_STACKS)
        database.projects(UNITS, 1, UNIT_STACKS)
        self.keys = fill.keys(self, [PROJECT, *MANY, LARGE, UNITS])

    def start(self):
        """All programs, and nginx passes to all of them."""
        self.local("restart", "program")
        servers = ""
        for number in range(2, self.count + 1):
            socket = self.path("run/fcgi-%d.sock" % number)
            config = self.path("etc/program-%d.conf" % number)
            with open(self.path("etc/stack-orchestrator.conf"), encoding="utf-8") as file:
                text = re.sub(r"^socket = .*$", "socket = " + socket, file.read(), flags=re.M)
            with open(config, "w", encoding="utf-8") as file:
                file.write(text)
            self.more.append(rest.Program(self, config))
            service.await_condition(10, lambda path=socket: os.path.exists(path), "its socket")
            servers += '    server "unix:%s" max_fails=0;\n' % socket
        http = self.path("etc/nginx/http.conf")
        with open(http, encoding="utf-8") as file:
            text = file.read()
        with open(http, "w", encoding="utf-8") as file:
            file.write(text.replace("    keepalive 64;\n", servers + "    keepalive 64;\n"))
        before = set(parts.children(int(self.local("pid", "nginx"))))
        os.kill(int(self.local("pid", "nginx")), signal.SIGHUP)
        service.await_condition(
            10,
            lambda: not before & set(parts.children(int(self.local("pid", "nginx")))),
            "new workers of nginx",
        )

    def parts(self):
        used = parts.of_instance(self)
        used.pids["program"] += [program.process.pid for program in self.more]
        return used

    def stop(self):
        for program in self.more:
            program.stop()
        self.more = []
        super().stop()


class Jobs:
    """One caller whose jobs name 300 units: borrow, mark, return. Pairs and times are those of whole jobs."""

    counts = (1,)

    def __init__(self, name, hosts):
        self.name = name
        self.client = service.Client(hosts, hosts.keys[UNITS])
        self.number = 0

    def call(self, path, body):
        status, answer, _ = self.client.call(path, body)
        if status != 200:
            raise RuntimeError("%s: %d %s" % (path, status, answer))
        return answer

    def job(self):
        """Of some branches, each with units of its own; every commit changes one more."""
        self.number += 1
        branch = self.number % BRANCHES
        units = {"unit-%03d" % n: "main" for n in range(UNIT_STACKS)}
        for commit in range(self.number // BRANCHES % UNIT_STACKS):
            units["unit-%03d" % ((commit + 25 * branch) % UNIT_STACKS)] = "b%d-%d" % (branch, commit)
        lease = self.call("/requestStack", {"branch": "branch-%d" % branch, "units": units})
        named = {"stackName": lease["stackName"], "leaseId": lease["leaseId"]}
        self.call("/setLastDeployedCommit", {**named, "lastDeployedCommit": "c%d" % self.number})
        self.call("/releaseStack", named)

    def run(self, clients, seconds):
        del clients
        times, began = [], time.monotonic()
        while time.monotonic() - began < seconds:
            start = time.monotonic()
            self.job()
            times.append((time.monotonic() - start) * 1e6)
        return {
            "requests": 3 * len(times),
            "pairs": len(times),
            "seconds": time.monotonic() - began,
            "p50": statistics.median(times),
            "p99": max(times),
        }


def contenders(hosts):
    used, count = hosts.parts(), hosts.count

    def https(name, numbers, counts=None):
        keys = [hosts.keys[number] for number in numbers]
        return loads.Https(
            "%s %d" % (name, count), loads.target(hosts, keys, name=name), used, counts=counts
        )

    return [
        https("project", [PROJECT]),
        https("many", MANY),
        https("large", [LARGE], (1,)),
        Jobs("units %d" % count, hosts),
    ]


def measure(quick, rounds, before):
    """Adds rounds to what was measured `before` ({} at first)."""
    hosts = [Hosts(count) for count in HOSTS]
    try:
        for some in hosts:
            some.fill()
            some.start()
        all_of_them = [contenders(some) for some in hosts]
        # Neighbours in time are compared.
        in_turns = [contender for kind in zip(*all_of_them) for contender in kind]
        for contender in in_turns:  # every pool is loaded, every stack of the units has content
            contender.run(1, 2)
        before["seconds"] = 1 if quick else 3
        turns.take(
            rounds or (1 if quick else 5),
            COUNTS,
            in_turns,
            before["seconds"],
            before.setdefault("runs", {}),
        )
    finally:
        for some in hosts:
            some.stop()
    return before
