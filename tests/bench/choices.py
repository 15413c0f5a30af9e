"""What the choice of a stack costs, in memory alone: see choices.c."""
import os
import subprocess

import loads

SIZES = [(10, 60), (300, 60), (10000, 60), (10, 2000), (300, 2000), (10000, 2000)]


def one(stacks, units):
    """Microseconds of a job without units, of one with them, and of a plain scan."""
    tool = os.path.join(loads.TOOLS, "choices")
    done = subprocess.run([tool, str(stacks), str(units)], stdout=subprocess.PIPE, text=True, check=True)
    return [float(line) for line in done.stdout.split()]


def measure(quick, rounds, before):
    sizes = before.get("sizes") or [{"stacks": stacks, "units": units, "times": []} for stacks, units in SIZES]
    for _ in range(rounds or (1 if quick else 5)):
        for size in sizes:
            size["times"].append(one(size["stacks"], size["units"]))
    return {"sizes": sizes}
