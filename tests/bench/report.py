"""What the parts of the bench say in RESULTS.md: tables, and goals with what bounds them."""
import statistics

import turns

TEXTS = ("how", "what bounds it")


def table(head, rows):
    """Markdown; columns of figures stand to the right."""
    sides = ["---" if i == 0 or name in TEXTS else "--:" for i, name in enumerate(head)]
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(sides) + "|"]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows] + [""]


class Goal:
    """A figure, measured once a round, that the issue wants at most (or at least) so large."""

    def __init__(self, what, values, most=None, least=None, unit="", bound=""):
        self.what, self.unit, self.bound = what, unit, bound
        self.measured = turns.spread(values) + unit
        self.limit = ("≤ %g" % most if least is None else "≥ %g" % least) + unit
        value = statistics.median(values)
        self.is_met = value <= most if least is None else value >= least

    def row(self):
        return [
            self.what,
            self.limit,
            self.measured,
            "met" if self.is_met else "**not met**",
            self.bound if not self.is_met else "",
        ]


class Figure:
    """A ratio that is told beside the goals, without a limit of its own."""

    is_met = None

    def __init__(self, what, values):
        self.what, self.measured = what, turns.spread(values)

    def row(self):
        return [self.what, "–", self.measured, "–", ""]


class Skipped:
    """A goal that nothing was measured for."""

    is_met = False

    def __init__(self, what, why):
        self.what, self.why = what, why

    def row(self):
        return [self.what, "", "", "skipped: " + self.why, ""]


def ms(microseconds):
    return turns.number(microseconds / 1000)
