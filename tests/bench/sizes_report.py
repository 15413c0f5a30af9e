"""What sizes.py measured, as a table and goals."""
import report
import turns

GOALS = (
    ("thousand", "small", "1,000,000 stacks in 1,000 projects, asked for one of them", 1.2),
    ("spread", "small spread", "1,000,000 stacks in 1,000 projects, asked for all in turn", 1.2),
    ("old", "small", "{history:,} leases of history, all of the project asked for", 1.2),
    ("large", "small", "one project of 10,000 stacks", 1.3),
)
SMALL = {
    "small": "10 stacks (64 for 64 clients), nothing else",
    "small spread": "64 projects of 10 stacks, asked for all in turn",
}


def tables(data):
    runs = data["runs"]
    lines = [
        "Two instances that both run, asked in turns: a small one, with a project of 10 stacks (64 for 64 "
        "clients) and little else, and a large one that holds all of the following at once: {:,} "
        "stacks in {:,} projects, one of them with 10,000; {:,} ended leases of one project. Filled in "
        "{:.0f} s with `INSERT … SELECT`; {:.1f} GB on disk, with a buffer pool of {:.0f} MiB. Resident "
        "memory of the program in the end: small {:.1f} MiB, large {:.1f} MiB (it remembers all of "
        "the projects that were asked for).".format(
            data["stacks"],
            data["projects"],
            data["history"],
            data["fillSeconds"],
            data.get("bytes", 0) / 1e9,
            int(data["settings"]["innodb_buffer_pool_size"]) / 2**20,
            data["resident"]["small"] / 2**20,
            data["resident"]["large"] / 2**20,
        ),
        "",
        "%d rounds of %g s, in which other processes of the machine took %.0f %% of its processors "
        "(median); p50 / p99 of one request in ms, and pairs/s:"
        % (
            len(runs["small"]["1"]),
            data["seconds"],
            100 * turns.others(runs, [goal[0] for goal in GOALS]),
        ),
        "",
    ]
    rows = []
    for name, title in [*SMALL.items(), *((goal[0], goal[2]) for goal in GOALS)]:
        row = [title.format(**data)]
        for some in runs[name].values():
            row += [
                "%s / %s" % tuple(report.ms(turns.median(some, part)) for part in ("p50", "p99")),
                turns.spread(turns.values(some, turns.pairs)),
            ]
        rows.append(row)
    return lines + report.table(["", "1 client", "pairs/s", "64 clients", "pairs/s"], rows)


def goals(data):
    runs = data["runs"]
    found = []
    for name, other, title, most in GOALS:
        for clients in ("1", "64"):
            large, small = runs[name][clients], runs[other][clients]
            found.append(
                report.Goal(
                    "p50 with %s ÷ p50 with %s; %s client%s"
                    % (title.format(**data), SMALL[other], clients, "" if clients == "1" else "s"),
                    turns.ratios(large, small, "p50"),
                    most=most,
                    bound="CPU a request, small and large: "
                    + ", ".join(
                        "%s %.0f and %.0f µs"
                        % (
                            part,
                            *(
                                turns.median(some, lambda run, part=part: run["cpu"].get(part, 0))
                                for some in (small, large)
                            ),
                        )
                        for part in ("nginx", "program", "database")
                    ),
                )
            )
    return found
