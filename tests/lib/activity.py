"""activity: what the branches of a project asked for lately, and what a stack costs by that: the rule of
fcgi/rules/price.h, for the models of the tests. Written from the rule, not from its code."""
import collections
import math

BRANCHES = 8


class Activity:
    def __init__(self, distance, is_main=lambda branch: False):
        self.distance = distance  # (needed content, content that runs or None) → time to deploy
        self.is_main = is_main
        self.main = None
        self.rows = []  # [branch, content, number of the grant, merged?]
        self.grants = 0
        self.work = self.refreshed = 0.0

    def main_asks(self, needs):
        if self.main is not None:
            step = self.distance(self.main, needs)
            for row in self.rows:
                nearer = self.distance(row[1], self.main) - self.distance(row[1], needs)
                if step > 0 and nearer >= .3 * step:
                    row[3] = True
        self.main = needs

    def granted(self, branch, needs, cost):
        self.work = self.work * 63 / 64 + cost
        self.refreshed = self.refreshed * 63 / 64
        self.grants += 1
        if self.is_main(branch):
            return
        row = next((row for row in self.rows if row[0] == branch), None)
        if row is None and len(self.rows) == BRANCHES:
            row = min(self.rows, key=lambda row: row[2])
        if row is None:
            row = []
            self.rows.append(row)
        row[:] = [branch, needs, self.grants, False]

    def credit(self):
        if self.main is None:
            return 0
        if self.work > 0:
            return .6 * max(0, 1 - self.refreshed / self.work)
        return 0 if self.refreshed > 0 else .6

    def charges(self, branch, needs, runs):
        found = collections.defaultdict(float)
        for name, content, grant, merged in self.rows:
            if merged or name == branch or self.is_main(name) or not runs:
                continue
            costs = {stack: self.distance(content, other) for stack, other in runs.items()}
            best = min(costs, key=costs.get)
            second = min([cost for stack, cost in costs.items() if stack != best] +
                         [self.distance(content, needs)])
            if second > costs[best]:
                found[best] += .5 * math.exp(-(self.grants - grant) / 8) * (second - costs[best])
        return found

    def prices(self, branch, needs, idle, runs):
        """What each of the idle stacks costs in the long run; `runs`: what all of them run, or will run
        once their job has deployed."""
        stale = [self.distance(self.main, runs[stack]) if self.main is not None else 0
                 for stack in idle]
        far = sorted(stale)[3] if len(stale) > 3 else math.inf
        credit = self.credit()
        charges = self.charges(branch, needs, runs)
        return [self.distance(needs, runs[stack]) - credit * min(behind, far) + charges[stack]
                for stack, behind in zip(idle, stale)]
