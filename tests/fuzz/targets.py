#!/usr/bin/python3
"""Fuzzes every target of tests/fuzz/*.c: all inputs of its corpus, then fresh ones. Prints TAP.

A finding fails its test; the input is kept in build/fuzz/findings/. Run it again with
build/fuzz/tests/fuzz/TARGET FILE, make it small with -minimize_crash=1; mended, it becomes a file
of tests/fuzz/corpus/TARGET/, named finding-WHAT.

Environment: FUZZ_SECONDS (of fresh inputs, all targets together; 25), FUZZ_JOBS (targets at a
time; 1), FUZZ_TARGETS (names; all), SEED (of this run; printed). With FUZZ_SECONDS the inputs that
reach new code are kept in build/fuzz/corpus/, so that the next run goes on from there, and the
executions of all such runs stand in tests/fuzz/RESULTS.md."""
import concurrent.futures
import glob
import os
import random
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(os.path.dirname(os.path.dirname(HERE)), "build", "fuzz")
RESULTS = os.path.join(HERE, "RESULTS.md")
# Of one input; a loaded machine must not look like a finding.
TIMEOUT_S = 60
# Bytes of a fresh input: what is longer is slower and finds no more.
LARGEST = {"api": 2048, "config": 2048}
LARGEST_OTHERWISE = 512
# Frames of libFuzzer's own, and what it says whenever it starts.
NOISE = re.compile(r"fuzzer::|^INFO|^NOTE|libc\.so|libc-start|libFuzzer or similar|^#\d|^stat::"
                   r"|\tNEW_FUNC")


class Target:
    def __init__(self, name, seed, is_long):
        self.name = name
        self.program = os.path.join(BUILD, "tests", "fuzz", name)
        self.corpus = os.path.join(HERE, "corpus", name)
        self.dictionary = os.path.join(HERE, name + ".dict")
        self.grown = os.path.join(BUILD, "corpus", name) if is_long else None
        self.findings = os.path.join(BUILD, "findings")
        self.seed = seed
        os.makedirs(self.findings, exist_ok=True)

    def inputs(self):
        return len(os.listdir(self.corpus)) if os.path.isdir(self.corpus) else 0

    def run(self, *arguments):
        """(good, what it printed, {figure: number})"""
        command = [self.program, f"-timeout={TIMEOUT_S}", "-rss_limit_mb=2048", f"-seed={self.seed}",
                   "-print_final_stats=1", f"-artifact_prefix={self.findings}/{self.name}-",
                   *arguments]
        # Short stacks of allocations are faster; who runs a finding again gets long ones.
        environment = dict(os.environ, ASAN_OPTIONS="malloc_context_size=4")
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=environment, check=False)
        text = done.stdout.decode(errors="replace")
        figures = {name: int(number)
                   for name, number in re.findall(r"^stat::(\w+): +(\d+)", text, re.M)}
        covered = re.findall(r" cov: (\d+) ", text)
        figures["edges"] = int(covered[-1]) if covered else 0
        return done.returncode == 0, text, figures

    def run_corpus(self):
        good, text, _ = self.run("-runs=0", self.corpus)
        return good and self.inputs() > 0, text

    def run_fresh(self, seconds):
        extra = [f"-dict={self.dictionary}"] if os.path.exists(self.dictionary) else []
        largest = LARGEST.get(self.name, LARGEST_OTHERWISE)
        with tempfile.TemporaryDirectory() as scratch:
            if self.grown:
                os.makedirs(self.grown, exist_ok=True)
            return self.run(f"-max_total_time={seconds}", f"-max_len={largest}", "-reload=0",
                            *extra, self.grown or scratch, self.corpus)


def tell(number, good, name, text):
    print(f"{'ok' if good else 'not ok'} {number} - {name}")
    if not good:
        told = [line for line in text.splitlines() if not NOISE.search(line)]
        print("".join(f"# {line}\n" for line in told[-40:]), end="")
    sys.stdout.flush()
    return good


def read_results():
    """What RESULTS.md says of the runs before."""
    with open(RESULTS, encoding="utf-8") as file:
        rows = re.findall(r"^\| (\w+) \| ([\d,]+) \| ([\d,]+) \| [\d,]+ \| ([\d,]+) \|", file.read(), re.M)
    return {name: dict(zip(("executions", "seconds", "edges"),
                           (int(number.replace(",", "")) for number in numbers)))
            for name, *numbers in rows}


def add_totals(target, seconds, figures):
    """Adds this run to those before it, and gives all totals."""
    totals = read_results()
    total = totals.setdefault(target.name, {"executions": 0, "seconds": 0, "edges": 0})
    total["executions"] += figures.get("number_of_executed_units", 0)
    total["seconds"] += seconds
    total["edges"] = max(total["edges"], figures["edges"])
    return totals


def write_results(totals):
    findings = {name: sorted(os.path.basename(path)[len("finding-"):]
                             for path in glob.glob(os.path.join(HERE, "corpus", name, "finding-*")))
                for name in totals}
    left = sorted(os.listdir(os.path.join(BUILD, "findings")))
    lines = ["# Fuzzing so far", "",
             "Made by `make fuzz` (clang's libFuzzer, ASan and UBSan, one process per target);",
             "sums over all its runs. Each finding is an input `tests/fuzz/corpus/TARGET/finding-…` that",
             "`make test` runs.", "",
             "| target | executions | seconds | executions/s | edges reached | found and mended |",
             "|---|---:|---:|---:|---:|---|"]
    for name, total in sorted(totals.items()):
        rate = total["executions"] / max(total["seconds"], 1)
        lines.append(f"| {name} | {total['executions']:,} | {total['seconds']:,} |"
                     f" {rate:,.0f} | {total['edges']:,} | {', '.join(findings[name]) or '–'} |")
    sums = [sum(total[key] for total in totals.values()) for key in ("executions", "seconds")]
    lines += [f"| **all** | **{sums[0]:,}** | **{sums[1]:,}** | | |"
              f" **{sum(map(len, findings.values()))}** |",
              "", f"Findings left: {', '.join(left) or 'none'}.", ""]
    with open(RESULTS, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


def main():
    is_long = "FUZZ_SECONDS" in os.environ
    jobs = int(os.environ.get("FUZZ_JOBS", "1"))
    seed = int(os.environ.get("SEED") or random.randrange(1, 1 << 31))
    names = os.environ.get("FUZZ_TARGETS", "").split() or sorted(
        os.path.basename(path)[:-2] for path in glob.glob(os.path.join(HERE, "*.c")))
    seconds = max(1, round(float(os.environ.get("FUZZ_SECONDS", "25")) * jobs / len(names)))
    targets = [Target(name, seed, is_long) for name in names]
    all_good = True

    print(f"1..{2 * len(targets)}")
    print(f"# SEED={seed}")
    number = 0
    for target in targets:
        number += 1
        good, text = target.run_corpus()
        all_good &= tell(number, good,
                         f"{target.name}: the {target.inputs()} inputs of its corpus", text)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        runs = {pool.submit(target.run_fresh, seconds): target for target in targets}
        for run in concurrent.futures.as_completed(runs):
            target = runs[run]
            good, text, figures = run.result()
            number += 1
            count = figures.get("number_of_executed_units", 0)
            all_good &= tell(number, good and count > 0,
                             f"{target.name}: {count} fresh inputs, SEED={seed}", text)
            if is_long:
                write_results(add_totals(target, seconds, figures))
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
