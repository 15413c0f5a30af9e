"""Measuring several things in turns (A B C A B C …), so that whatever the machine does meanwhile meets
all of them, and comparing them: a ratio is made within each round, and has a median and a spread.
"""
import statistics


def take(rounds, counts, contenders, seconds, into):
    """Adds `rounds` figures of each contender at each number of clients that it allows:
    into[name][str(clients)] is a list. A contender: name, counts (or None: all), run(clients, seconds).
    """
    for _ in range(rounds):
        for clients in counts:
            for contender in contenders:
                if contender.counts is None or clients in contender.counts:
                    figures = contender.run(clients, seconds)
                    if figures.get("doublyLent"):
                        raise RuntimeError("%s lent a stack twice" % contender.name)
                    into.setdefault(contender.name, {}).setdefault(str(clients), []).append(figures)
    return into


def rate(figures):
    return figures["requests"] / figures["seconds"]


def pairs(figures):
    return figures["pairs"] / figures["seconds"]


def values(runs, figure):
    return [figure(run) if callable(figure) else run[figure] for run in runs]


def median(runs, figure):
    return statistics.median(values(runs, figure))


def best(series, figure=pairs):
    """The number of clients, as a text, with the largest median."""
    return max(series, key=lambda clients: median(series[clients], figure))


def ratios(above, below, figure, figure_below=None):
    """One ratio per round."""
    return [a / b for a, b in zip(values(above, figure), values(below, figure_below or figure))]


def others(runs, names):
    """The share of the processors that went to other processes while these were measured."""
    shares = [
        run["others"]
        for name in names
        for some in runs[name].values()
        for run in some
        if "others" in run
    ]
    return statistics.median(shares) if shares else 0.0


def number(value):
    """Three digits that count."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return "{:,.{}f}".format(value, digits)


def spread(some):
    """Median and range, as text."""
    return "%s [%s–%s]" % (number(statistics.median(some)), number(min(some)), number(max(some)))
