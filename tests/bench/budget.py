#!/usr/bin/env python3
"""Counts what one lease costs (a request and a release, one caller, nobody else) and holds it against
the budget in BUDGET.md: instructions and allocations of the program by part (callgrind), system calls
of program and nginx (strace), statements, rows and flushes of the database. Counts, not times: they are
the same on a busy machine. Prints TAP; --write puts the counts into BUDGET.md.

How to read a failure: the part named does more than before. Make it cheaper, or say why it is worth it
in the commit that raises the budget.
"""
import argparse
import collections
import glob
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../lib")]
# pylint: disable=wrong-import-position
import parts  # noqa: E402
import service  # noqa: E402

BUDGET = os.path.join(HERE, "BUDGET.md")
PAIRS = 300
ROW = re.compile(r"^\| `(?P<name>[^`]+)` \|(?P<what>[^|]*)\| *(?P<budget>[\d.,]+) *\| *(?P<seen>[\d.,–]+) *\|$")

# Functions whose calls, with all that they call, make up a part.
CALLS = {
    "read": ["gateway_next"],
    "parse": ["api_handle"],
    "write": ["store_commit"],
    "answer": ["delivery_desk"],
    "batch": ["batch_run"],
}
ALLOCATORS = ["malloc", "calloc", "realloc"]
SYSTEM_CALLS = {"program": "program", "nginx": "nginx"}
STATUS = {"statements": ["Queries"],
          "rows": ["Handler_write", "Handler_update", "Handler_delete"],
          "flushes": ["Innodb_data_fsyncs", "Innodb_os_log_fsyncs"]}


def pairs(instance, key, count):
    with service.Client(instance, key) as client:
        for _ in range(count):
            status, lease, _ = client.call("/requestStack", {"branch": "main"})
            assert status == 200, lease
            status, answer, _ = client.call("/releaseStack", {
                "stackName": lease["stackName"], "leaseId": lease["leaseId"]})
            assert status == 200, answer


def start(name):
    instance = service.Instance(name)
    key, admin = instance.project("bench", "--max-stacks", "10")
    with service.Client(instance, admin) as client:
        assert client.call("/addStacks", {"count": 10})[0] == 200
    pairs(instance, key, 20)
    return instance, key


# --- Instructions and allocations ---

class Profile:
    """Calls and their inclusive cost by function, of a callgrind file."""

    NAME = re.compile(r"^(c?fn)=\((\d+)\)(?: (.*))?$")

    def __init__(self, path):
        self.cost = collections.Counter()
        self.calls = collections.Counter()
        names = {}
        callee = None
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                found = self.NAME.match(line)
                if found:
                    kind, number, name = found.groups()
                    if name is not None:
                        names[number] = name.split("'")[0]
                    if kind == "cfn":
                        callee = names[number]
                elif line.startswith("calls="):
                    self.calls[callee] += int(line[6:].split()[0])
                    self.cost[callee] += int(next(file).split()[1])


def profiled(count):
    """The difference that `count` pairs make between two runs: start and end cancel out."""
    with_pairs, without = (profile_of(n) for n in (count, 0))
    costs = {part: sum(with_pairs.cost[f] - without.cost[f] for f in names)
             for part, names in CALLS.items()}
    costs["batch"] -= costs["write"] + costs["answer"]
    allocations = sum(with_pairs.calls[f] - without.calls[f] for f in ALLOCATORS)
    trips = with_pairs.calls["mysql_real_query"] - without.calls["mysql_real_query"]
    figures = {"instructions: " + part: cost / count for part, cost in costs.items()}
    figures["allocations"] = allocations / count
    figures["round trips"] = trips / count
    return figures


def profile_of(count):
    program = os.path.join(service.ROOT, os.environ.get("BUILD", "build"), "stack-orchestrator")
    instance = service.Instance("budget")
    out = os.path.join(instance.var, "callgrind.out")
    wrapper = os.path.join(instance.var, "program")
    with open(wrapper, "w", encoding="utf-8") as file:
        file.write('#!/bin/sh\nexec valgrind -q --tool=callgrind --callgrind-out-file="%s" "%s" "$@"\n'
                   % (out, program))
    os.chmod(wrapper, 0o700)
    key, _ = instance.project("bench", "--max-stacks", "10")
    os.environ["STACK_ORCHESTRATOR"] = wrapper
    try:
        instance.local("start")
        with service.Client(instance, key) as client:
            service.await_condition(60, lambda: client.call("/readyz")[0] == 200, "the program is ready")
        pairs(instance, key, count)
    finally:
        del os.environ["STACK_ORCHESTRATOR"]
    instance.local("stop")
    files = glob.glob(out + "*")
    profile = Profile(max(files, key=os.path.getsize))
    instance.stop()
    return profile


# --- System calls ---

def traced(instance, key, pids):
    """System calls a pair, of processes that are there already."""
    out = os.path.join(instance.var, "strace")
    tracer = subprocess.Popen(
        ["strace", "-f", "-c", "-qq", "-o", out] + [word for pid in pids for word in ("-p", str(pid))])

    def is_traced():
        for pid in pids:
            with open("/proc/%d/status" % pid, encoding="ascii") as file:
                if "TracerPid:\t%d\n" % tracer.pid not in file.read():
                    return False
        return True

    service.await_condition(20, is_traced, "strace has attached")
    pairs(instance, key, PAIRS)
    tracer.terminate()
    tracer.wait()
    with open(out, encoding="utf-8") as file:
        total = next(line for line in file if line.rstrip().endswith(" total")).split()
    return int(total[-3] if len(total) > 5 else total[-2]) / PAIRS


# --- The database ---

def status_of(instance):
    rows = subprocess.run(
        [shutil.which("mariadb") or "mysql", "--defaults-file=" + os.path.join(instance.var, "etc/admin.cnf"),
         "--batch", "--skip-column-names", "--execute=SHOW GLOBAL STATUS"],
        stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return {name: value for name, _, value in (row.partition("\t") for row in rows)}


def counted(instance, key):
    before = status_of(instance)
    pairs(instance, key, PAIRS)
    after = status_of(instance)
    return {"database: " + figure: sum(int(after[name]) - int(before[name])
                                       for name in names if name in after) / PAIRS
            for figure, names in STATUS.items()}


def measure():
    figures = profiled(PAIRS)
    instance, key = start("budget")
    usage = parts.of_instance(instance)
    figures.update(counted(instance, key))
    for part, name in SYSTEM_CALLS.items():
        figures["system calls: " + part] = traced(instance, key, usage.pids[name])
    instance.stop()
    return figures


# --- The budget ---

def show(value):
    return "{:,.0f}".format(value) if value >= 100 else "{:.1f}".format(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the counts into BUDGET.md")
    options = parser.parse_args()
    with open(BUDGET, encoding="utf-8") as file:
        lines = file.read().splitlines()
    rows = {found["name"]: found for found in map(ROW.match, lines) if found}
    figures = measure()
    tap = service.Tap(len(figures) + 1)
    tap.result(sorted(rows) == sorted(figures), "BUDGET.md has a row for every figure",
               sorted(set(rows) ^ set(figures)))
    for name, value in figures.items():
        row = rows.get(name)
        budget = float(row["budget"].replace(",", "")) if row else 0
        tap.result(0 < value <= budget, "%s: %s a lease, of %s" % (name, show(value), show(budget)))
    if options.write:
        def renew(line):
            found = ROW.match(line)
            return line if not found or found["name"] not in figures else "| `%s` |%s| %s | %s |" % (
                found["name"], found["what"], found["budget"], show(figures[found["name"]]))
        with open(BUDGET, "w", encoding="utf-8") as file:
            file.write("\n".join(map(renew, lines)) + "\n")
    tap.exit()


if __name__ == "__main__":
    main()
