"""The rules of choice as a small model: what the service must do with a history, in memory.

Written from the rules in fcgi/rules/match.h, not from its code; the replay compares the two grant by
grant. A pool answers ask(job), release(stack) and refresh(content) with what it granted.
"""
from activity import Activity
from deploy_times import DeployTimes

WINDOW = 5
PASSES = 5
FRESH = 2


def differing(needs, runs):
    """Numbers of the units that differ; `runs` None: unknown, so all that are needed do."""
    if needs is runs:
        return []
    if runs is None:
        return [number for number, unit in enumerate(needs) if unit]
    return [number for number, (unit, other) in enumerate(zip(needs, runs)) if unit != other]


class Known:
    """Deploy times between contents, each counted once: equal contents are one object here."""

    def __init__(self, units, times):
        self.units = units
        self.times = times
        self.edition = times.edition
        self.known = {}

    def __call__(self, needs, runs):
        if self.edition != self.times.edition:
            self.edition = self.times.edition
            self.known = {}
        key = id(needs), id(runs)
        if key not in self.known:
            self.known[key] = self.times.weight([self.units[at] for at in differing(needs, runs)])
        return self.known[key]


class Pool:
    """`by_units` False: the original's rule. `window` 1: strictly first come first served. `seconds`: how long
    each unit takes to deploy, of which jobs tell; None: they don't. `nearest`: no looking ahead."""

    def __init__(self, trace, stacks, by_units, window=WINDOW, seconds=None, nearest=False):
        self.trace = trace
        self.seconds = seconds
        self.nearest = nearest
        self.times = DeployTimes()
        self.by_units = by_units
        self.latest_of_branch = False  # of several that the branch used, the latest, not the first
        self.window = window if by_units else 1
        self.runs = [trace.initial] * stacks
        self.branch = ["main"] * stacks
        self.idle = list(range(stacks))  # longest idle first
        self.queue = []
        self.passed = {}
        mains = {branch for branch, main in zip(trace.branches, trace.is_main) if main}
        self.activity = Activity(Known(trace.units, self.times), lambda branch: branch in mains or branch == "main")
        self.latest = [0] * stacks  # number of the latest grant
        self.answered = {}  # the service's own counts of changed units; a model has none
        if by_units:
            self.seed()

    def seed(self):
        """Jobs of main have deployed what the history begins with."""
        self.activity.main_asks(self.trace.initial)
        for stack in range(len(self.runs)):
            self.activity.granted("main", self.trace.initial,
                                  self.activity.distance(self.trace.initial, None))
            self.latest[stack] = self.activity.grants

    def ask(self, job):
        if self.by_units and self.trace.is_main[job]:
            self.activity.main_asks(self.trace.needs[job])
        self.queue.append(job)
        return self.match()

    def release(self, stack):
        self.idle.append(stack)
        return self.match()

    def refresh(self, needs):
        """The stack furthest behind of those that no job had lately; None: not now."""
        if len(self.idle) < 2 or self.queue:
            return None
        behind = {at: self.activity.distance(needs, self.runs[at]) for at in self.idle}
        if list(behind.values()).count(0) >= FRESH:
            return None
        quiet = [at for at in self.idle if behind[at] and (
            not self.latest[at] or self.activity.grants - self.latest[at] >= len(self.runs) - 1)]
        if not quiet:
            return None
        stack = max(quiet, key=behind.get)
        self.activity.refreshed += behind[stack]
        self.measure(needs, self.runs[stack])
        self.take(stack, needs, "main")
        return stack

    def take(self, stack, needs, branch):
        self.idle.remove(stack)
        self.runs[stack] = needs
        self.branch[stack] = branch

    def lend(self, job, stack):
        branch, needs = self.trace.branches[job], self.trace.needs[job]
        if self.by_units:
            runs = self.runs[stack]
            cost = self.activity.distance(needs, runs)
            self.activity.granted(branch, needs, cost)
            self.latest[stack] = self.activity.grants
            self.measure(needs, runs)
        self.take(stack, needs, branch)

    def measure(self, needs, runs):
        """The job says how long its deploys took."""
        for at in differing(needs, runs):
            if self.seconds and needs[at]:
                self.times.note(self.trace.units[at], self.seconds[at])

    def best(self, job):
        """(the stack that fits best, units to deploy on it less those on a mean busy one)"""
        branch, needs = self.trace.branches[job], self.trace.needs[job]
        if not self.by_units:
            same = [stack for stack in self.idle if self.branch[stack] == branch]
            if not same:
                return self.idle[0], 0
            return same[-1] if self.latest_of_branch else min(same), 0
        if self.nearest:
            costs = [self.activity.distance(needs, self.runs[at]) for at in self.idle]
            return self.idle[costs.index(min(costs))], min(costs)
        prices = self.activity.prices(branch, needs, self.idle, dict(enumerate(self.runs)))
        stack = self.idle[prices.index(min(prices))]
        busy = [self.activity.distance(needs, self.runs[at]) for at in range(len(self.runs))
                if at not in self.idle]
        return stack, (self.activity.distance(needs, self.runs[stack]) -
                       (sum(busy) / len(busy) if busy else 0))

    def match(self):
        grants = []
        while self.queue and self.idle:
            chosen, (stack, cost) = 0, self.best(self.queue[0])
            if self.by_units and len(self.idle) < min(len(self.queue), self.window):
                for at in range(1, min(self.window, len(self.queue))):
                    if self.passed.get(self.queue[at - 1], 0) >= PASSES:
                        break
                    other, other_cost = self.best(self.queue[at])
                    if other_cost < cost:
                        chosen, stack, cost = at, other, other_cost
                for job in self.queue[:chosen]:
                    self.passed[job] = self.passed.get(job, 0) + 1
            job = self.queue.pop(chosen)
            self.lend(job, stack)
            grants.append((job, stack))
        return grants


class InTurn:
    """Asks a pool for one job at a time, when a stack is free: the service without overtaking."""

    def __init__(self, pool, stacks):
        self.pool = pool
        self.answered = pool.answered
        self.free = stacks
        self.queue = []

    def ask(self, job):
        self.queue.append(job)
        return self.next()

    def release(self, stack):
        self.pool.release(stack)
        self.free += 1
        return self.next()

    def next(self):
        grants = []
        while self.queue and self.free:
            self.free -= 1
            grants += self.pool.ask(self.queue.pop(0))
        return grants
