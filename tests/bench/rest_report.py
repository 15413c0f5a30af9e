"""What rest.py measured, as a table and goals."""
import report
import turns

MIB = 1024 * 1024


def tables(data):
    starts = data["starts"]
    rows = [
        ["start → `/readyz` says 200, ms", turns.spread([1000 * one["ready"] for one in starts])],
        [
            "start → first borrow is answered, ms",
            turns.spread([1000 * one["borrowed"] for one in starts]),
        ],
    ]
    for name, title in (("resident", "resident"), ("private", "of it not shared")):
        rows.append(
            [
                "%s after a first borrow and return, MiB" % title,
                turns.spread([one[name] / MIB for one in starts]),
            ]
        )
        rows.append(
            [
                "%s after some thousands of them, MiB" % title,
                turns.number(data["worked"][name] / MIB),
            ]
        )
    return [
        "The program is started %d times beside a running database and nginx; asked over HTTPS on a "
        "kept connection." % len(starts),
        "",
    ] + report.table(["", "measured"], rows)


def goals(data):
    starts = data["starts"]
    return [
        report.Goal(
            "program at rest, resident memory",
            [one["resident"] / MIB for one in starts] + [data["worked"]["resident"] / MIB],
            most=16,
            unit=" MiB",
        ),
        report.Goal(
            "start to first answer", [one["borrowed"] for one in starts], most=0.5, unit=" s"
        ),
    ]
