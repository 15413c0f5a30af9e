"""What parked.py measured, as tables and goals."""
import report
import turns


def tables(data):
    lines = [
        "One stack, and callers that wait for it on open connections. `plain`: a release in a second "
        "instance where nobody waits, in turns with the others. p50 / p99 in ms:",
        "",
    ]
    rows = []
    for count, made in data["at"].items():
        rows.append(
            [count]
            + [
                "%s / %s"
                % tuple(report.ms(turns.median(made[name], part)) for part in ("p50", "p99"))
                for name in ("plain", "release", "grant")
            ]
        )
    lines += report.table(
        [
            "waiting",
            "plain release → its answer",
            "release → its answer",
            "release → the waiter has it",
        ],
        rows,
    )
    most = max(data["at"], key=int)
    lines += [
        "With %s parked: %s a request resident; CPU in %d s in which nothing happens: %s. All hung "
        "up: the queue was empty after %.2f s."
        % (
            most,
            ", ".join("%s %.2f KiB" % (part, size / 1024) for part, size in data["memory"].items()),
            data["seconds"],
            ", ".join("%s %.2f %%" % (part, 100 * share) for part, share in data["cpu"].items()),
            data["emptySeconds"],
        ),
        "",
    ]
    return lines


def goals(data):
    found = []
    for count, made in data["at"].items():
        found.append(
            report.Goal(
                "release → waiter's answer, p99 ÷ p99 of a plain release, %s waiting" % count,
                turns.ratios(made["grant"], made["plain"], "p99"),
                most=1.5,
                bound="p50 %s against %s ms; p99 %s against %s ms"
                % tuple(
                    report.ms(turns.median(made[name], part))
                    for part in ("p50", "p99")
                    for name in ("grant", "plain")
                ),
            )
        )
    return found + [
        report.Goal(
            "memory a parked request, program",
            [data["memory"]["program"] / 1024],
            most=2,
            unit=" KiB",
        ),
        report.Goal(
            "memory a parked request, nginx with TLS",
            [data["memory"]["nginx"] / 1024],
            most=26,
            unit=" KiB",
        ),
        report.Goal(
            "CPU while nothing happens, all parts",
            [100 * sum(data["cpu"].values())],
            most=1,
            unit=" %",
        ),
    ]
