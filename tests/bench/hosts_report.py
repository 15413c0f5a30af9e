"""What hosts.py measured, as a table and goals."""
import report
import turns

KINDS = {
    "project": "one project of 64 stacks",
    "many": "64 projects",
    "large": "one project of 10,000 stacks",
    "units": "one project of 300 stacks with 300 units each, whole jobs: borrow, mark, return",
}
GOALS = (
    # kind, clients, least of one host's pairs/s, most of its p50
    ("project", "64", 0.9, 2),
    ("many", "64", 1, 2),
    ("large", "1", None, 2),
    ("units", "1", None, 2),
)


def names(runs, kind):
    return [name for name in runs if name.split()[0] == kind]


def tables(data):
    runs = data["runs"]
    rows = []
    for kind, title in KINDS.items():
        for clients in runs[names(runs, kind)[0]]:
            row = ["%s; %s client%s" % (title, clients, "" if clients == "1" else "s")]
            for name in names(runs, kind):
                some = runs[name][clients]
                row += [report.ms(turns.median(some, "p50")), turns.spread(turns.values(some, turns.pairs))]
            rows.append(row)
    head = [""]
    for count in ("1 host", "2 hosts", "3 hosts"):
        head += [count + ": p50, ms", "pairs/s"]
    return [
        "So many programs on one database, behind one nginx that gives them the calls in turns; each number of hosts "
        "has an instance of its own, and they are asked in turns, %g s each. All run on this one machine, so more "
        "hosts have no more processors: the figures say what hosts cost each other." % data["seconds"],
        "",
    ] + report.table(head[: len(rows[0])], rows)


def goals(data):
    runs, found = data["runs"], []
    for kind, clients, least, most in GOALS:
        one, *others = names(runs, kind)
        for name in others:
            title = "%s, %s hosts ÷ 1 host; %s client%s" % (
                KINDS[kind],
                name.split()[1],
                clients,
                "" if clients == "1" else "s",
            )
            if least:
                found.append(
                    report.Goal(
                        "pairs/s: " + title,
                        turns.ratios(runs[name][clients], runs[one][clients], turns.pairs),
                        least=least,
                    )
                )
            found.append(
                report.Goal(
                    "p50: " + title,
                    turns.ratios(runs[name][clients], runs[one][clients], "p50"),
                    most=most,
                )
            )
    return found
