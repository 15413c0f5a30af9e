"""What leases.py measured, as tables and goals."""
import os
import statistics

import report
import turns

OVER_HTTPS = ("wrk", "alone", "constant", "refused", "ours", "branches", "undurable")
RAW = ("skip", "procedure")
PARTS = ("nginx", "program", "database", "generator")


def tables(data):
    runs, titles = data["runs"], data["titles"]
    counts = sorted({clients for series in runs.values() for clients in series}, key=int)
    lenders = [name for name in titles if name in runs and name not in OVER_HTTPS + ("commit",)]
    lines = [
        "A pair is a borrow and a return: two requests. %d stacks, so that nobody waits; %d rounds of "
        "%g s, everything in turns; median [smallest–largest]; the best number of clients in bold. No "
        "stack was lent twice: each lease was watched from its answer to its return. Other processes "
        "of the machine took %.0f %% of its processors meanwhile (median)."
        % (
            data["stacks"],
            len(runs["ours"][counts[0]]),
            data["seconds"],
            100 * turns.others(runs, OVER_HTTPS),
        ),
        "",
        "Pairs a second:",
        "",
    ]
    lenders = ["ours", "branches", "undurable"] + lenders
    rows = [rates(runs, titles, name, counts, turns.pairs) for name in lenders]
    rows += [
        ["%s: skipped: %s" % tuple(why)] + ["–"] * (len(counts) + 1)
        for why in data["skipped"].values()
    ]
    lines += report.table(["clients"] + counts + ["how"], rows)
    lines += ["Requests a second over HTTPS, kept alive:", ""]
    lines += report.table(
        ["clients"] + counts + ["how"],
        [rates(runs, titles, name, counts, turns.rate) for name in OVER_HTTPS],
    )
    shown = [clients for clients in ("1", "16", "64") if clients in counts]
    lines += ["Time of one request, p50 / p99 in ms:", ""]
    lines += report.table(
        ["clients"] + shown,
        [
            [titles[name][0]] + [times(series, clients) for clients in shown]
            for name, series in runs.items()
            if "p50" in next(iter(series.values()))[0]
        ],
    )
    lines += [
        "CPU for one request with 64 clients, in µs; `generator` is the load's own share of the same "
        "%d processors, and `busy` how much of them all of it took:" % os.cpu_count(),
        "",
    ]
    lines += report.table(
        ["", *PARTS, "busy"], [cpu_row(titles, name, runs[name]["64"]) for name in OVER_HTTPS]
    )
    return lines


def rates(runs, titles, name, counts, figure):
    best = turns.best(runs[name], figure)
    cells = []
    for clients in counts:
        some = runs[name].get(clients)
        cell = turns.spread(turns.values(some, figure)) if some else "–"
        cells.append("**%s**" % cell if clients == best else cell)
    return [titles[name][0], *cells, titles[name][1]]


def times(series, clients):
    if clients not in series:
        return "–"
    return "%s / %s" % tuple(
        report.ms(turns.median(series[clients], name)) for name in ("p50", "p99")
    )


def cpu(run, names=PARTS[:3]):
    return sum(run["cpu"].get(name, 0) for name in names)


def busy(run):
    return cpu(run, PARTS) * turns.rate(run) / 1e6 / os.cpu_count()


def cpu_row(titles, name, some):
    cells = []
    for part in PARTS:
        cells.append(
            "%.0f" % turns.median(some, lambda run, part=part: run["cpu"][part])
            if part in some[0]["cpu"]
            else "–"
        )
    return [titles[name][0], *cells, "%.0f %%" % (100 * turns.median(some, busy))]


# --- Goals ---


def against(runs, name, others):
    """Ratios of pairs/s, each at its best number of clients; the best of `others` counts."""
    other = max(
        others, key=lambda peer: turns.median(runs[peer][turns.best(runs[peer])], turns.pairs)
    )
    mine, theirs = turns.best(runs[name]), turns.best(runs[other])
    return turns.ratios(runs[name][mine], runs[other][theirs], turns.pairs), other


def bound_of_pairs(runs, other):
    """The pairs that the same way without the database allows, as a ratio to the other."""
    most = turns.median(runs["refused"][turns.best(runs["refused"], turns.rate)], turns.rate) / 2
    free = turns.median(runs["constant"][turns.best(runs["constant"], turns.rate)], turns.rate) / 2
    theirs = turns.median(runs[other][turns.best(runs[other])], turns.pairs)
    return (
        "HTTPS: without any database the same way allows %s pairs/s (%s with plain libfcgi), which would "
        "be %s (%s) here; %.0f %% of the processors are busy"
        % (
            turns.number(most),
            turns.number(free),
            turns.number(most / theirs),
            turns.number(free / theirs),
            100 * turns.median(runs["ours"][turns.best(runs["ours"])], busy),
        )
    )


def bound_of_requests(runs):
    """One batch is committed after the other: while the disk has it, fewer callers leave processors idle."""
    best = turns.best(runs["ours"], turns.rate)

    def ratio(name, clients):
        ratios = turns.ratios(runs[name][clients], runs["constant"][clients], turns.rate)
        return turns.number(statistics.median(ratios))

    return "one batch at a time: %.0f %% of the processors are busy; if no commit waited for the disk: %s%s; " % (
        100 * turns.median(runs["ours"]["64"], busy),
        ratio("undurable", "64"),
        ", with %s clients %s" % (best, ratio("ours", best)) if best != "64" else "",
    )


def goals(data):
    runs, skipped = data["runs"], data["skipped"]
    many = {name: runs[name]["64"] for name in OVER_HTTPS}
    shares = (
        "of %s µs a request, nginx takes %s, the program %s, the database %s, the generator %s"
        % tuple(
            "%.0f" % statistics.median(some)
            for some in (
                [cpu(run, PARTS) for run in many["ours"]],
                *[[run["cpu"].get(part, 0) for run in many["ours"]] for part in PARTS],
            )
        )
    )
    found = [
        report.Goal(
            "requests/s, 64 clients ÷ without the database (plain `FCGX_Accept_r`)",
            turns.ratios(many["ours"], many["constant"], turns.rate),
            least=0.75,
            bound=bound_of_requests(runs) + shares,
        ),
        report.Figure(
            "the same ÷ our program's refused route on kept connections (stricter)",
            turns.ratios(many["ours"], many["refused"], turns.rate),
        ),
    ]
    found.append(
        report.Figure(
            "requests/s, 64 clients, another branch at each borrow ÷ always the same",
            turns.ratios(many["branches"], many["ours"], turns.rate),
        )
    )
    for what, least, others in (
        ("raw database, one transaction a lease", 1.8, RAW),
        ("the same that also records lease and history", None, ("recorded",)),
        ("PostgreSQL SKIP LOCKED", 1.0, ("postgres single", "postgres skip")),
        ("etcd transactions", 5, ("etcd",)),
        ("Redis list, fsync always", 0.3, ("redis",)),
    ):
        program = others[0].split()[0]
        if program in skipped:
            found.append(report.Skipped("pairs/s ÷ " + what, skipped[program][1]))
            continue
        values, other = against(runs, "ours", others)
        what = "pairs/s ÷ %s, each at its best number of clients" % what
        if least is None:
            found.append(report.Figure(what, values))
        else:
            found.append(report.Goal(what, values, least=least, bound=bound_of_pairs(runs, other)))
    found += [
        report.Goal(
            "CPU a request, 64 clients ÷ without the database",
            turns.ratios(many["ours"], many["constant"], cpu),
            most=1.5,
            bound=shares,
        ),
        report.Goal(
            "p99, 64 clients ÷ without the database",
            turns.ratios(many["ours"], many["constant"], "p99"),
            most=2,
            bound="p50 %s against %s ms, p99 %s against %s ms; %s"
            % (
                *(
                    report.ms(turns.median(many[name], part))
                    for part in ("p50", "p99")
                    for name in ("ours", "constant")
                ),
                shares,
            ),
        ),
        report.Goal(
            "one client, p50 over HTTPS ÷ p50 of a bare durable commit",
            turns.ratios(runs["ours"]["1"], runs["commit"]["1"], "p50"),
            most=3,
            bound="p50 of the commit %s ms, of HTTPS without a database %s ms, of ours %s ms; of one that "
            "records the same by hand, without HTTPS: %s ms"
            % tuple(
                report.ms(turns.median(runs[name]["1"], "p50"))
                for name in ("commit", "refused", "ours", "recorded")
            ),
        ),
    ]
    return found
