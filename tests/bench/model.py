"""The rules of choice as a small model: what the service must do with a history, in memory.

Written from the rules in fcgi/rules/match.h, not from its code; the replay compares the two grant by
grant. A pool answers ask(job), release(stack) and refresh(content) with what it granted.
"""
WINDOW = 5
PASSES = 5


def distance(needs, runs):
    """How many units differ; `runs` None: unknown, so all that are needed do."""
    if needs is runs:
        return 0
    if runs is None:
        return sum(1 for unit in needs if unit)
    return sum(1 for unit, other in zip(needs, runs) if unit != other)


class Pool:
    """`by_units` False: the original's rule. `window` 1: strictly first come first served."""

    def __init__(self, trace, stacks, by_units, window=WINDOW):
        self.trace = trace
        self.by_units = by_units
        self.window = window if by_units else 1
        self.runs = [trace.initial] * stacks
        self.branch = ["main"] * stacks
        self.idle = list(range(stacks))  # longest idle first
        self.queue = []
        self.passed = {}
        self.answered = {}  # the service's own counts of changed units; a model has none

    def ask(self, job):
        self.queue.append(job)
        return self.match()

    def release(self, stack):
        self.idle.append(stack)
        return self.match()

    def refresh(self, needs):
        """The stack idle longest of those that are far behind; None: not now."""
        if len(self.idle) < 2 or self.queue:
            return None
        costs = [distance(needs, self.runs[at]) for at in self.idle]
        most = max(costs)
        stack = next(at for at, cost in zip(self.idle, costs) if cost >= most - most // 5 * 2)
        self.lend(stack, needs, "main")
        return stack

    def lend(self, stack, needs, branch):
        self.idle.remove(stack)
        self.runs[stack] = needs
        self.branch[stack] = branch

    def best(self, job):
        """(the stack that fits best, how many of its units differ)"""
        branch, needs = self.trace.branches[job], self.trace.needs[job]
        if not self.by_units:
            same = [stack for stack in self.idle if self.branch[stack] == branch]
            return min(same) if same else self.idle[0], 0
        costs = [distance(needs, self.runs[stack]) for stack in self.idle]
        least = min(costs)
        return self.idle[costs.index(least)], least

    def match(self):
        grants = []
        while self.queue and self.idle:
            chosen, (stack, cost) = 0, self.best(self.queue[0])
            if self.by_units and len(self.idle) < min(len(self.queue), self.window):
                for at in range(1, min(self.window, len(self.queue))):
                    if cost == 0 or self.passed.get(self.queue[at - 1], 0) >= PASSES:
                        break
                    other, other_cost = self.best(self.queue[at])
                    if other_cost < cost:
                        chosen, stack, cost = at, other, other_cost
                for job in self.queue[:chosen]:
                    self.passed[job] = self.passed.get(job, 0) + 1
            job = self.queue.pop(chosen)
            self.lend(stack, self.trace.needs[job], self.trace.branches[job])
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
