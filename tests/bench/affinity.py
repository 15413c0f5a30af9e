#!/usr/bin/env python3
"""Replays a CI history through the running service over HTTPS, and says how many units each job
had to deploy, as a ratio to the original's rule (same branch, else the one unchanged for longest)
on the same jobs.

Reference: a job holds its stack for 10 minutes of tests, plus 1 minute and half a minute per changed
unit when anything differs; all stacks exist beforehand; the first tenth of the jobs warms up and is
not counted. The clock is virtual: requests and releases come in the history's order, without its
times. What a stack runs is kept here, from the grants alone. Each rule of the service is compared,
grant by grant, with a small model. The original's rule is played by that model: it is nearly that of
jobs without `units`, but of several stacks that a branch used it takes the first, not the latest.

LOAD: `real` times, or compressed so that the original's rule would keep that share of the pool busy.
--refresh: idle stacks that the service chooses are brought to the head of main (1 minute and half a minute
per unit on it) after each merge, every hour, every night, or whenever one may be; an hourly or nightly round
goes on until none needs it. These deploys are counted apart, as background work.
--seconds: units take very different times, 2 seconds to 10 minutes; jobs tell of them. The rule by these
times stands beside the same rule by units, and beside the nearest stack by each; all are measured in seconds.
"""
import argparse
import collections
import heapq
import itertools
import json
import os
import random
import select
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../lib")]
# pylint: disable=wrong-import-position
import model  # noqa: E402
import service  # noqa: E402
import trace  # noqa: E402
import wire  # noqa: E402

TEST_SECONDS = 600
DEPLOY_SECONDS = 60
UNIT_SECONDS = 30


def deploy_seconds(changed):
    return DEPLOY_SECONDS + UNIT_SECONDS * changed if changed else 0


class ServicePool:
    """A project of the service with its stacks, as model.Pool: what it grants."""

    def __init__(self, instance, name, history, stacks, by_units, seconds=None):
        self.history = history
        self.seconds = seconds
        self.by_units = by_units
        ci_key, admin_key = instance.project(name, "--max-stacks", str(stacks), "--lease-seconds",
                                             "86400", "--prefix", name + "-")
        self.prefix = name + "-"
        self.new_wire = lambda: wire.Wire(instance, ci_key)
        self.admin = wire.Wire(instance, admin_key)
        self.control = self.new_wire()
        self.spare = []
        self.poll = select.epoll()
        self.waiting = {}  # descriptor → (wire, job)
        self.leases = {}  # stack → leaseId
        self.free = stacks
        self.answered = {}  # job → changed and removed units, as the service counts them
        self.seed(stacks)

    def seed(self, stacks):
        """All stacks exist, and run what the history begins with."""
        self.admin.must("/addStacks", {"count": stacks})
        body = {"branch": "main", "commit": self.history.initial_commit,
                "units": self.named(self.history.initial)}
        answers = [self.control.must("/requestStack", body) for _ in range(stacks)]
        for answer in sorted(answers, key=lambda answer: self.number(answer["stackName"])):
            names = {"stackName": answer["stackName"], "leaseId": answer["leaseId"]}
            self.control.must("/setLastDeployedCommit",
                              {**names, "lastDeployedCommit": self.history.initial_commit})
            self.control.must("/releaseStack", names)

    def named(self, content):
        return {unit: str(number) for unit, number in zip(self.history.units, content) if number}

    def number(self, name):
        return int(name[len(self.prefix):]) - 1

    def body(self, needs, branch, commit, **more):
        body = {"branch": branch, "commit": commit, "waitSeconds": 3600, **more}
        if self.by_units:
            body["units"] = self.named(needs)
        return json.dumps(body).encode()

    def ask(self, job):
        connection = self.spare.pop() if self.spare else self.new_wire()
        connection.send("/requestStack", self.body(
            self.history.needs[job], self.history.branches[job], self.history.commits[job]))
        if self.free:
            return [self.granted(job, connection)]
        self.waiting[connection.fileno()] = (connection, job)
        self.poll.register(connection, select.EPOLLIN)
        # The next caller must not come before this one stands in the queue.
        service.await_condition(30, lambda: len(self.admin.must("/status")["queue"]) ==
                                len(self.waiting), "the request stands in the queue", pause=0.0005)
        return []

    def granted(self, job, connection):
        status, answer = connection.wait()
        if status != 200:
            raise wire.Refused("requestStack: %s %s" % (status, answer))
        self.spare.append(connection)
        stack = self.lent(answer, self.history.needs[job])
        if self.by_units:
            self.answered[job] = len(answer["changedUnits"]) + len(answer["removedUnits"])
        return job, stack

    def lent(self, answer, needs):
        """Takes a grant down, and says that its job has deployed, and how long that took."""
        stack = self.number(answer["stackName"])
        if stack in self.leases:
            raise AssertionError("%s was lent twice" % answer["stackName"])
        self.free -= 1
        self.leases[stack] = answer["leaseId"]
        if self.seconds and answer["changedUnits"]:
            units, changed = self.named(needs), set(answer["changedUnits"])
            self.control.must("/markUnits", {
                "stackName": answer["stackName"], "leaseId": answer["leaseId"],
                "units": {unit: units[unit] for unit in changed},
                "seconds": {unit: seconds for unit, seconds in zip(self.history.units, self.seconds)
                            if unit in changed}})
        self.control.must("/setLastDeployedCommit", {
            "stackName": answer["stackName"], "leaseId": answer["leaseId"],
            "lastDeployedCommit": "deployed"})
        return stack

    def release(self, stack):
        self.control.must("/releaseStack", {
            "stackName": self.prefix + str(stack + 1), "leaseId": self.leases.pop(stack),
            "outcome": "success"})
        self.free += 1
        if not self.waiting:
            return []
        while True:
            ready = self.poll.poll(30)
            if not ready:
                raise TimeoutError("a stack is free, many wait, and nobody got it in 30 s")
            for descriptor, _ in ready:
                connection, job = self.waiting[descriptor]
                answer = connection.take()
                if answer is None:
                    continue  # a session ticket
                self.poll.unregister(descriptor)
                del self.waiting[descriptor]
                connection.take = lambda answer=answer: answer
                try:
                    return [self.granted(job, connection)]
                finally:
                    del connection.take

    def refresh(self, needs):
        status, answer = self.control.call("/requestStack", self.body(
            needs, "main", "head", purpose="refresh"))
        if status == 503 and answer["error"]["code"] == "notNow":
            return None
        if status != 200:
            raise wire.Refused("refresh: %s %s" % (status, answer))
        return self.lent(answer, needs)

    def close(self):
        for connection in [self.control, self.admin, *self.spare]:
            connection.close()
        self.poll.close()


class Result:
    def __init__(self, jobs):
        self.changed = [None] * jobs
        self.waited = [0] * jobs
        self.grants = []
        self.held = 0
        self.refreshed = 0
        self.refused = 0
        self.background = 0  # units that refreshes deployed
        self.seconds = [0] * jobs  # to deploy, one unit after the other

    def mean(self, values):
        counted = values[len(values) // 10:]
        return sum(counted) / len(counted)


PERIODS = {"hourly": 3600, "nightly": 86400}


def replay(history, times, stacks, pool, refresh=None, seconds=None):
    """Drives a pool through the history; keeps what each stack runs by itself."""
    result = Result(len(history))
    runs = [history.initial] * stacks
    ends = []
    order = itertools.count()
    head = history.initial
    in_round = set()  # stacks that a round of refreshes brings to the head

    def start(now, grants):
        for job, stack in grants:
            units = model.differing(history.needs[job], runs[stack])
            changed = len(units)
            result.seconds[job] = sum(seconds[at] for at in units) if seconds else changed
            answered = pool.answered.get(job, changed)
            if answered != changed:
                raise AssertionError("job %d: %d units differ, the service said %d" %
                                     (job, changed, answered))
            runs[stack] = history.needs[job]
            held = TEST_SECONDS + deploy_seconds(changed)
            result.changed[job] = changed
            result.waited[job] = now - times[job]
            result.held += held
            result.grants.append((job, stack))
            heapq.heappush(ends, (now + held, next(order), stack))

    def bring_to_head(now):
        stack = pool.refresh(head)
        if stack is None:
            result.refused += 1
            return
        if refresh in PERIODS:
            in_round.add(stack)
        result.refreshed += 1
        changed = len(model.differing(head, runs[stack]))
        result.background += changed
        runs[stack] = head
        heapq.heappush(ends, (now + deploy_seconds(changed), next(order), stack))

    def end_next():
        end, _, stack = heapq.heappop(ends)
        start(end, pool.release(stack))
        if refresh == "continuous" or stack in in_round:
            in_round.discard(stack)
            bring_to_head(end)

    def periods(last, now):
        """The ends of the periods in between."""
        if refresh in PERIODS:
            first = last // PERIODS[refresh] + 1
            yield from (at * PERIODS[refresh] for at in range(int(first), int(now // PERIODS[refresh]) + 1))

    last = times[0] if times else 0
    for job, now in enumerate(times):
        for at in periods(last, now):
            while ends and ends[0][0] <= at:
                end_next()
            if not in_round:
                bring_to_head(at)
        last = now
        while ends and ends[0][0] <= now:
            end_next()
        start(now, pool.ask(job))
        if history.is_main[job]:
            head = history.needs[job]
        if refresh == "continuous" or (refresh == "merge" and history.is_main[job]):
            bring_to_head(now)
    refresh = None
    while ends:
        end_next()
    return result


def compress(history, stacks, load):
    """Times at which the original's rule keeps that share of the pool busy."""
    span = history.times[-1] - history.times[0]
    if load == "real" or not span:
        return history.times
    factor = 1.0
    for _ in range(6):  # how long jobs hold depends a little on how they come
        times = [(at - history.times[0]) * factor for at in history.times]
        held = replay(history, times, stacks, model.Pool(history, stacks, False)).held
        factor = held / (span * stacks * int(load) / 100)
    return [(at - history.times[0]) * factor for at in history.times]


class Runs:
    """The same history under one rule after another, each in a project of its own."""

    def __init__(self, history, times, stacks, instance, seconds):
        self.history, self.times, self.stacks = history, times, stacks
        self.instance = instance
        self.seconds = seconds  # of each unit; None: each counts 1
        self.count = 0
        self.original = None
        self.agrees = True

    def play(self, pool, refresh=None):
        return replay(self.history, self.times, self.stacks, pool, refresh, self.seconds)

    def run(self, label, by_units, refresh=None, in_turn=False, told=None):
        """`told`: the seconds of units, of which the jobs tell the service."""
        planned = model.Pool(self.history, self.stacks, by_units, 1 if in_turn else model.WINDOW, told)
        planned.latest_of_branch = True
        expected = self.play(model.InTurn(planned, self.stacks) if in_turn else planned, refresh)
        result, took = expected, 0
        if self.instance:
            self.count += 1
            pool = ServicePool(self.instance, "replay%d" % self.count, self.history, self.stacks,
                               by_units, told)
            began = time.monotonic()
            result = self.play(model.InTurn(pool, self.stacks) if in_turn else pool, refresh)
            took = time.monotonic() - began
            pool.close()
        self.show(label, result, expected, took)
        return result

    def imagine(self, label, by_units, told=None):
        """What the service doesn't do, for comparison: the original's rule, or no looking ahead."""
        result = self.play(model.Pool(self.history, self.stacks, by_units, model.WINDOW, told, nearest=True))
        self.original = self.original or result
        self.show(label, result, None, 0)

    def show(self, label, result, expected, seconds):
        mean = result.mean(result.seconds)
        base = result.mean(self.original.seconds)
        same = result.mean([changed == 0 for changed in result.changed])
        print("%-34s %8.3f %7.3f %8.1f %% %10.1f" % (
            label, mean, mean / base if base else 1, 100 * same, result.mean(result.waited)), end="")
        if self.instance and not expected:
            print("%33s" % "(the model alone)", end="")
        elif self.instance:
            alike = sum(a == b for a, b in zip(result.grants, expected.grants))
            self.agrees = self.agrees and alike == len(expected.grants)
            print(" %8.3f %6d of %-6d %5.0f" % (expected.mean(expected.seconds), alike,
                                               len(expected.grants), seconds), end="")
        if result.refreshed or result.refused:
            print("   %d refreshes, %.2f units a job; %d not now" % (
                result.refreshed, result.background / len(result.changed), result.refused), end="")
        print(flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--trace", metavar="FILE", help="the history (JSON lines, or gzipped)")
    source.add_argument("--repo", metavar="DIR", help="a local git repository to build one from")
    parser.add_argument("--units", action="append", metavar="PATTERN", default=[],
                        help="with --repo: what is deployed by itself, such as 'services/*,migrations'")
    parser.add_argument("--main", default="HEAD", help="with --repo: its main branch")
    parser.add_argument("--write", metavar="FILE", help="with --repo: keep the history here")
    parser.add_argument("--stacks", type=int, default=10, metavar="K")
    parser.add_argument("--load", default="real", choices=["real", "30", "60", "90"])
    parser.add_argument("--refresh", action="append", default=[],
                        choices=["continuous", "hourly", "merge", "nightly"], help="may be repeated")
    parser.add_argument("--seconds", action="store_true",
                        help="measure seconds, of units that take very different times")
    parser.add_argument("--jobs", type=int, default=0, help="only the first so many")
    parser.add_argument("--model", action="store_true", help="only the model, without the service")
    options = parser.parse_args()
    options.units = [unit for units in options.units for unit in units.replace(",", " ").split()]
    if options.repo and not options.units:
        parser.error("--repo needs --units")
    return options


def unlike_seconds(units):
    """From 2 seconds to 10 minutes, as many quick units as slow ones; for one name always the same."""
    return [round(2 * 300 ** random.Random(unit).random(), 1) for unit in units]


def load_history(options):
    if options.trace:
        return trace.read(options.trace, options.jobs)
    if options.write:
        trace.build(options.repo, options.units, options.write, options.main)
        return trace.read(options.write, options.jobs)
    with tempfile.NamedTemporaryFile(suffix=".ndjson") as file:
        trace.build(options.repo, options.units, file.name, options.main)
        return trace.read(file.name, options.jobs)


def main():
    options = parse()
    try:
        history = load_history(options)
    except (OSError, ValueError, KeyError) as error:
        sys.exit("affinity: %s" % error)
    times = compress(history, options.stacks, options.load)
    seconds = unlike_seconds(history.units) if options.seconds else None
    print("%s: %d jobs of %d branches, %d units; %d stacks; %s" % (
        history.name, len(history), len(collections.Counter(history.branches)), len(history.units),
        options.stacks, "real times" if options.load == "real" else options.load + " % load"))
    instance = None
    if not options.model:
        instance = service.Instance("affinity")
    print("%-34s %8s %7s %10s %10s%s" % ("", "seconds" if seconds else "units", "", "", "mean",
                                         "    model  same grants" if instance else ""))
    print("%-34s %8s %7s %10s %10s%s" % ("rule", "per job", "ratio", "unchanged", "wait s",
                                         "  per job  as the model  seconds" if instance else ""), flush=True)
    runs = Runs(history, times, options.stacks, instance, seconds)
    runs.imagine("original's", False)
    runs.run("without units", False)
    runs.imagine("nearest stack by units", True)
    ours = runs.run("by units", True)
    if seconds:
        runs.imagine("nearest stack by seconds", True, seconds)
        runs.run("by seconds", True, told=seconds)
    for refresh in options.refresh:
        runs.run("by units, refresh: " + refresh, True, refresh=refresh)
    if options.load != "real":
        turn = runs.run("by units, nobody overtakes", True, in_turn=True)
        waits = ours.mean(ours.waited), turn.mean(turn.waited)
        print("mean wait with bounded affinity / without it: %s" % (
            "%.3f" % (waits[0] / waits[1]) if waits[1] else "nobody waits"))
    if not runs.agrees:
        sys.exit("affinity: the service and the model don't grant the same")


if __name__ == "__main__":
    main()
