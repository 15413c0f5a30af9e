"""What choices.py measured, as a table and goals."""
import report
import turns


def ratios(size):
    return [with_units / scan for _, with_units, scan in size["times"]]


def tables(data):
    rows = []
    for size in data["sizes"]:
        plain, with_units, scan = zip(*size["times"])
        rows.append(["{stacks:,} × {units:,}".format(**size), turns.spread(ratios(size)),
                     turns.spread([b / a for a, b in zip(plain, with_units)]),
                     turns.spread([one / 1000 for one in with_units])])
    return [
        "One decision and all that the pool remembers of it, in memory, without database and network; each size "
        "%d times. A plain scan compares the job's units with those of each idle stack, and remembers nothing." %
        len(data["sizes"][0]["times"]),
        "",
    ] + report.table(["stacks × units", "with units ÷ a plain scan for the nearest stack",
                      "with units ÷ without", "with units, ms"], rows)


def goals(data):
    largest = data["sizes"][-1]
    return [report.Goal("a choice among {stacks:,} stacks of {units:,} units ÷ a plain scan".format(**largest),
                        ratios(largest), most=0.5)]
