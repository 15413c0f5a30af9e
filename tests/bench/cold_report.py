"""What cold.py measured, as a table and goals."""
import statistics

import report
import turns

TITLES = (
    ("alone", "nginx alone, `return 200`"),
    ("commit", "a bare durable commit, without curl"),
    ("borrow", "`POST /requestStack`"),
    ("return", "`POST /releaseStack`"),
)


def own_part(made, name):
    """In %, of the mean."""
    return 100 * made["own"][name] / made["wall"][name]["mean"]


def difference(made, name):
    """In %: how much longer than nginx alone, by medians."""
    wall = made["wall"]
    return 100 * (wall[name]["p50"] - wall["alone"]["p50"]) / wall[name]["p50"]


def tables(data):
    rounds = data["rounds"]
    lines = [
        "One `curl` per call, a new process and a new TLS connection each; %d rounds of %d calls of "
        "each kind, in turns. Wall time from the start of curl to its end; `in nginx` is nginx's own "
        "`$request_time`: key check, program, database, commit, answer."
        % (len(rounds), rounds[0]["calls"]),
        "",
    ]
    rows = []
    for name, title in TITLES:
        row = [title, turns.spread([1000 * made["wall"][name]["p50"] for made in rounds])]
        if name not in rounds[0]["own"]:
            row += ["–", "–", "–"]
        else:
            row += [
                turns.spread([1000 * made["own"][name] for made in rounds]),
                turns.spread([own_part(made, name) for made in rounds]),
                turns.spread([difference(made, name) for made in rounds]),
            ]
        rows.append(row)
    return lines + report.table(
        ["", "wall p50, ms", "in nginx, mean, ms", "our part, %", "longer than nginx alone, %"],
        rows,
    )


def bound(rounds, name):
    def typical(value):
        return turns.number(statistics.median(value(made) for made in rounds))

    return (
        "%s ms in nginx, program and database; p50 of nginx alone %s ms, of the call %s ms; a bare "
        "durable commit in between takes %s ms by itself, %s %% of the call's time"
        % (
            typical(lambda made: 1000 * made["own"][name]),
            typical(lambda made: 1000 * made["wall"]["alone"]["p50"]),
            typical(lambda made: 1000 * made["wall"][name]["p50"]),
            typical(lambda made: 1000 * made["wall"]["commit"]["mean"]),
            typical(lambda made: 100 * made["wall"]["commit"]["mean"] / made["wall"][name]["mean"]),
        )
    )


def goals(data):
    rounds = data["rounds"]
    return [
        report.Goal(
            "cold `curl`, %s: our part of the wall time" % title,
            [own_part(made, name) for made in rounds],
            most=5,
            unit=" %",
            bound=bound(rounds, name),
        )
        for name, title in TITLES
        if name in rounds[0]["own"]
    ]
