"""deploy_times: how long units take to deploy, as jobs measured it: the rule of fcgi/rules/deploy_times.h, for
the models of the tests. Written from the rule, not from its code."""

UNKNOWN_MS = 1000
MEAN_OF = 8


class DeployTimes:
    def __init__(self):
        self.means = {}
        self.weights = {}
        self.counts = {}
        self.edition = 0  # rises when a weight changes

    def note(self, unit, seconds):
        milliseconds = int(seconds * 1000 + .5)
        mean = self.means.get(unit, 0)
        self.counts[unit] = self.counts.get(unit, 0) + 1
        mean += int((milliseconds - mean) / min(self.counts[unit], MEAN_OF))
        self.means[unit] = mean
        weight = self.weights.get(unit, 0)
        if not weight or abs(mean - weight) * 4 > weight:
            self.weights[unit] = max(mean, 1)
            self.edition += 1

    @staticmethod
    def of(known, unit):
        """A unit that was never measured is like the others."""
        if unit in known:
            return known[unit]
        return sum(known.values()) // len(known) if known else UNKNOWN_MS

    def weight(self, units):
        return sum(self.of(self.weights, unit) for unit in units)

    def estimate(self, units):
        """Whole seconds; None: nothing was measured."""
        if not self.means:
            return None
        return (sum(self.of(self.means, unit) for unit in units) + 500) // 1000
