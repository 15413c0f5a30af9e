#!/usr/bin/env python3
"""Measures the service and writes tests/bench/RESULTS.md.

Each part's figures are kept in BUILD/bench/PART.json, so that a machine that is not quiet for long can be
used in pieces: `all leases --rounds 1`, `all leases --rounds 1 --more`, …, `all --write`. Without the names
of parts: all of them, and RESULTS.md.
"""
import argparse
import datetime
import importlib
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../lib")]
# pylint: disable=wrong-import-position
import loads  # noqa: E402
import parts  # noqa: E402
import report  # noqa: E402
import turns  # noqa: E402

PARTS = {
    "leases": "Side by side",
    "sizes": "Sizes",
    "parked": "Requests that wait",
    "cold": "One curl per call",
    "choices": "What a choice costs",
    "hosts": "Hosts",
    "rest": "The program at rest",
}
FIGURES = os.path.join(loads.TOOLS, "../../bench")
QUIET = 0.1  # what others may take of the processors
RESULTS = os.path.join(HERE, "RESULTS.md")


def figures_file(part):
    return os.path.join(FIGURES, part + ".json")


def load(part):
    with open(figures_file(part), encoding="utf-8") as file:
        return json.load(file)


def revision():
    """Of the program: the commit, and whether there are changes beside it."""
    try:
        return subprocess.run(
            ["git", "-C", HERE, "describe", "--always", "--dirty", "--exclude=*"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def measure(part, options, command):
    before = load(part) if options.more else {}
    began, load_before = time.monotonic(), os.getloadavg()[0]
    figures = importlib.import_module(part).measure(options.quick, options.rounds, before)
    figures["made"] = before.get("made", []) + [
        {
            "at": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "command": command,
            "revision": revision(),
            "seconds": round(time.monotonic() - began),
            "load": load_before,
        }
    ]
    os.makedirs(FIGURES, exist_ok=True)
    with open(figures_file(part), "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=1)


def show(part):
    """What the part says, as lines, and its goals."""
    figures = load(part)
    tool = importlib.import_module(part + "_report")
    lines = ["", "## " + PARTS[part], ""]
    for made in figures["made"]:
        lines.append(
            "- {at}: `{command}`, commit {revision}, {seconds} s, load average before {load:.1f}".format(
                **made
            )
        )
    return lines + [""] + tool.tables(figures), tool.goals(figures)


def disturbance():
    """The largest share of the processors that others took while a part was measured."""
    runs = [load(part).get("runs") for part in PARTS if os.path.exists(figures_file(part))]
    return max([turns.others(some, some) for some in runs if some], default=0)


def write():
    """RESULTS.md of all parts that were measured; a part that wasn't is named."""
    body, goals = [], []
    for part, title in PARTS.items():
        if os.path.exists(figures_file(part)):
            lines, found = show(part)
            body += lines
            goals += found
        else:
            body += ["## " + title, "", "Not measured: `tests/bench/all.py %s`." % part, ""]
    lines = [
        "# What the bench measured",
        "",
        "Written by `make bench` (`tests/bench/all.py`); [BUDGET.md](BUDGET.md) has the counts that must "
        "stay.",
        "",
    ]
    lines += ["- %s: %s" % item for item in parts.machine().items()]
    lines += [
        "- databases and stores run on the same machine, on loopback or unix sockets, with durable "
        "commits: `innodb_flush_log_at_trx_commit = 1` for MariaDB (no binary log, as Debian has it; "
        "128 MiB buffer pool), see each table for the others",
        "",
    ]
    lines += ["## Goals", "", "Ratios are made within each round; median [smallest–largest].", ""]
    if disturbance() > QUIET:
        lines += [
            "**The machine was not quiet: other processes took %.0f %% of its processors. Times and "
            "ratios are worth little then.**" % (100 * disturbance()),
            "",
        ]
    lines += report.table(
        ["figure", "goal", "measured", "", "what bounds it"], [goal.row() for goal in goals]
    )
    with open(RESULTS, "w", encoding="utf-8") as file:
        file.write("\n".join(lines + body).rstrip() + "\n")
    print(
        "%s: %d goals met, %d not"
        % (
            os.path.relpath(RESULTS),
            sum(goal.is_met is True for goal in goals),
            sum(goal.is_met is False for goal in goals),
        )
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="*", help="one of: " + ", ".join(PARTS))
    parser.add_argument(
        "--quick",
        action="store_true",
        default=bool(os.environ.get("BENCH_QUICK")),
        help="a few minutes; every row, with fewer and shorter rounds (BENCH_QUICK=1)",
    )
    parser.add_argument("--rounds", type=int, help="rounds, instead of the usual number")
    parser.add_argument(
        "--more", action="store_true", help="add the rounds to those measured before"
    )
    parser.add_argument("--write", action="store_true", help="measure nothing; write RESULTS.md")
    options = parser.parse_args()
    unknown = set(options.part) - set(PARTS)
    if unknown:
        parser.error("no such part: " + ", ".join(sorted(unknown)))
    command = " ".join(["tests/bench/all.py"] + sys.argv[1:])
    if options.quick and "--quick" not in sys.argv:
        command = "BENCH_QUICK=1 " + command
    for part in options.part or ([] if options.write else PARTS):
        print("%s …" % PARTS[part], flush=True)
        measure(part, options, command)
        if options.part:
            lines, goals = show(part)
            print(
                "\n".join(
                    lines
                    + report.table(
                        ["figure", "goal", "measured", "", "what bounds it"],
                        [goal.row() for goal in goals],
                    )
                )
            )
    if options.write or not options.part:
        write()


if __name__ == "__main__":
    main()
