#!/usr/bin/env python3
"""model_test: random commands to the service and to the model; every answer is compared. TAP.

Environment: MODEL_COMMANDS (default 5000), MODEL_PROCESSES (default 2), SEED (of the whole run),
BUILD. A mismatch prints the seed of its part and the shortest list of commands found that shows it:
    SEED=… tests/model/model_test.py          runs the same again
"""
import json
import multiprocessing
import os
import sys
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
sys.path.insert(0, HERE)

from drive import Drive, Mismatch, random_source  # noqa: E402
from service import Cut, Instance, Tap  # noqa: E402

COMMANDS = int(os.environ.get("MODEL_COMMANDS", "5000"))
PROCESSES = int(os.environ.get("MODEL_PROCESSES", "2"))
SEED = os.environ.get("SEED") or str(random_source(None).randrange(10 ** 9))
PART = 1250 if COMMANDS <= 20000 else 5000
# The share of commands that wait for time to pass, about a second each.
SLOW_SHARE = 0.003
SHRINK_SECONDS = 60
SHOWN = 50


def replay(instance, name, commands):
    """The mismatch that a list of commands shows on fresh projects, and after how many of them."""
    more = {} if any("forbidden" in c for c in commands) else {"roles": ["admin"]}
    drive = Drive(instance, [name + "a", name + "b"], **more)
    i = 0
    try:
        for i, command in enumerate(commands, 1):
            drive.run(command)
        for project in drive.projects:
            drive.run_look(project)
            drive.look_back(project)
    except (Mismatch, Cut) as error:
        return str(error), i
    except Exception:  # commands that make no sense without those left out
        return "error: " + traceback.format_exc(), i
    finally:
        drive.close()
    return None, i


def kind(mismatch):
    """Mismatches of one kind begin alike."""
    return mismatch and mismatch.split("{")[0].split(":")[0].rstrip("0123456789")


def shrink(instance, commands):
    """Leaves out what the mismatch doesn't need."""
    deadline = time.monotonic() + SHRINK_SECONDS
    mismatch, count = replay(instance, "again", commands)
    if mismatch is None:
        return commands, "it did not come again on fresh projects"
    commands = commands[:count]
    size = max(1, len(commands) // 2)
    attempt = 0
    while time.monotonic() < deadline:
        start = 0
        while start < len(commands) and time.monotonic() < deadline:
            attempt += 1
            fewer = commands[:start] + commands[start + size:]
            found, count = replay(instance, "shrink%d" % attempt, fewer)
            if kind(found) != kind(mismatch):
                start += size
            else:
                commands, mismatch = fewer[:count], found
        if size == 1:
            break
        size = max(1, size // 2)
    return commands, mismatch


def run_part(drive, part, count):
    """Returns (commands run, counts by verb, None or (problem, all commands))."""
    rng = random_source("%s/%d" % (SEED, part))
    commands = []
    problem = None
    try:
        for _ in range(count):
            commands.append(drive.make(rng))
            drive.run(commands[-1])
        commands.append({"project": 0, "verb": "look"})
        for project in drive.projects:
            drive.run_look(project)
            drive.look_back(project)
    except (Mismatch, Cut) as error:
        problem = "part %d, command %d: %s\n%s" % (
            part, len(commands), json.dumps(commands[-1]), error), commands
    finally:
        drive.close()
    return drive.commands, drive.counts, problem


def work(drives, parts, results):
    try:
        while True:
            part = parts.get()
            if part is None:
                break
            results.put(run_part(drives[part[0]], *part))
    except BaseException:  # whatever it is, the run must not look complete
        results.put((0, {}, (traceback.format_exc(), None)))


def explain(instance, problem, commands):
    if commands is None:
        return problem
    few, last = shrink(instance, commands)
    return "%s\n\nshrunk to %d commands: %s\n%s" % (
        problem, len(few), last, "\n".join(json.dumps(c) for c in few[-SHOWN:]))


def main():
    tap = Tap(2)
    tap.note("SEED=%s MODEL_COMMANDS=%d" % (SEED, COMMANDS))
    # No place in the queue lapses by itself here: that depends on when, not on what.
    instance = Instance("model", {"request_grace_seconds": 3600})
    context = multiprocessing.get_context("fork")
    parts, results = context.Queue(), context.Queue()
    sizes = [min(PART, COMMANDS - done) for done in range(0, COMMANDS, PART)]
    drives = [Drive(instance, ["m%da" % part, "m%db" % part], SLOW_SHARE)
              for part in range(len(sizes))]
    for part in [*enumerate(sizes), *[None] * PROCESSES]:
        parts.put(part)
    began = time.monotonic()
    processes = [context.Process(target=work, args=(drives, parts, results), daemon=True)
                 for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    total, counts, problems = 0, {}, []
    for _ in sizes:
        done, by_verb, problem = results.get()
        total += done
        for verb, count in by_verb.items():
            counts[verb] = counts.get(verb, 0) + count
        if problem:
            problems.append(problem)
            break
        if COMMANDS > 20000:
            tap.note("%d commands, %.0f s" % (total, time.monotonic() - began))
    seconds = time.monotonic() - began
    for process in processes:
        process.terminate()
        process.join()
    tap.note("%d commands in %.0f s, %.0f a second: %s" % (
        total, seconds, total / seconds, ", ".join("%s %d" % c for c in sorted(counts.items()))))
    problems = [explain(instance, *problem) for problem in problems]
    tap.result(not problems and total == COMMANDS, "%d commands get the model's answers" % COMMANDS,
               problems)
    reports = instance.sanitizer_reports()
    tap.result(not reports, "the program's log has no report of a fault", reports[:40])
    tap.exit()


if __name__ == "__main__":
    main()
