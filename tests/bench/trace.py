"""CI histories: reading them, and building one from a git repository.

A trace is JSON lines (gzipped or not). Line 1: {"repo", "units": [name], "jobs": count,
"init": {"commit", "fingerprint"}}; then one line per job, by time: {"t": unix seconds, "branch",
"main", "commit", "fingerprint": [number for each unit; 0: the unit isn't there]}.
"""
import fnmatch
import gzip
import json
import os
import re
import subprocess


class Trace:
    def __init__(self, head, jobs):
        self.name = head["repo"]
        self.units = head["units"]
        self.initial = tuple(head["init"]["fingerprint"])
        self.initial_commit = head["init"]["commit"]
        self.times = [job["t"] for job in jobs]
        self.branches = [job["branch"] for job in jobs]
        self.is_main = [bool(job["main"]) for job in jobs]
        self.commits = [job["commit"] for job in jobs]
        # Equal contents are one object, which makes comparing them quick.
        known = {self.initial: self.initial}
        self.needs = [known.setdefault(content, content)
                      for content in (tuple(job["fingerprint"]) for job in jobs)]

    def __len__(self):
        return len(self.times)


def read(path, limit=0):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as file:
        head = json.loads(file.readline())
        jobs = [json.loads(line) for line in file if line.strip()]
    jobs.sort(key=lambda job: job["t"])
    return Trace(head, jobs[:limit or None])


class Repository:
    """Trees of a local repository, through one `git cat-file`."""

    def __init__(self, directory):
        self.directory = directory
        self.process = subprocess.Popen(["git", "-C", directory, "cat-file", "--batch"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.trees = {}

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def git(self, *arguments):
        return subprocess.run(["git", "-C", self.directory, *arguments], check=True,
                              stdout=subprocess.PIPE, encoding="utf-8", errors="replace").stdout

    def tree(self, name):
        """{entry: (is it a tree, its hash)} of a tree, or of a commit's."""
        known = self.trees.get(name)
        if known is not None:
            return known
        self.process.stdin.write(name.encode() + b"\n")
        self.process.stdin.flush()
        head = self.process.stdout.readline().split()
        if head[-1] == b"missing":
            raise ValueError("git has no %s" % name)
        data = self.process.stdout.read(int(head[2]))
        self.process.stdout.read(1)
        size = len(head[0]) // 2
        entries, at = {}, 0
        while at < len(data):
            space, zero = data.index(b" ", at), data.index(b"\0", at)
            at_next = zero + 1 + size
            entries[data[space + 1:zero].decode("utf-8", "replace")] = (
                data[at:space] == b"40000", data[zero + 1:at_next].hex())
            at = at_next
        self.trees[name] = entries
        return entries

    def units(self, commit, patterns):
        """{path: hash} of what the patterns match: directories, or what is named in full."""
        found = {}
        for pattern in patterns:
            self.match(commit + "^{tree}", "", pattern.strip("/").split("/"), found)
        return found

    def match(self, tree, prefix, parts, found):
        for entry, (is_tree, name) in self.tree(tree).items():
            if not fnmatch.fnmatchcase(entry, parts[0]):
                continue
            if len(parts) > 1:
                if is_tree:
                    self.match(name, prefix + entry + "/", parts[1:], found)
            elif is_tree or entry == parts[0]:
                found[prefix + entry] = name


def branch_name(subject, number):
    """Of a merge, by its subject line; with the pull request's number, as names come again."""
    match = re.match(r"Merge pull request #(\d+) from [^/\s]+/(\S+)", subject)
    if match:
        return "%s#%s" % (match[2], match[1])
    match = re.match(r"Merge (?:remote-tracking )?branch '([^']+)'", subject)
    return "%s#%d" % (match[1] if match else "branch", number)


def build(directory, patterns, out, main="HEAD"):
    """Writes the trace of a repository: each commit of a merged branch, and each commit on the main
    branch's first-parent line, is one CI job. Units are the directories that the patterns match (or
    files, named in full); their fingerprints are git's own hashes."""
    repository = Repository(directory)
    line = repository.git("log", "--first-parent", "--reverse", "--format=%H%x09%ct%x09%P%x09%s", main)
    jobs, first = [], None
    for number, text in enumerate(line.splitlines()):
        commit, seconds, parents, subject = text.split("\t", 3)
        parents = parents.split()
        if first is None:
            first = commit
            continue
        if len(parents) == 2:
            branch = branch_name(subject, number)
            for pushed in repository.git("log", "--first-parent", "--reverse", "--format=%H %ct",
                                         "%s..%s" % tuple(parents)).splitlines():
                name, pushed_at = pushed.split()
                # Clocks differ: nothing is merged before it was pushed.
                jobs.append((min(int(pushed_at), int(seconds)), branch, False, name))
        jobs.append((int(seconds), "main", True, commit))
    if not jobs:
        raise ValueError("%s has fewer than two commits" % directory)
    jobs.sort(key=lambda job: job[0])
    contents = [repository.units(commit, patterns) for commit in [first] + [job[3] for job in jobs]]
    repository.close()
    units = sorted({unit for content in contents for unit in content})
    if not units:
        raise ValueError("no unit matches %s" % ", ".join(patterns))
    numbers = {}
    lines = [[numbers.setdefault((unit, content[unit]), len(numbers) + 1) if unit in content else 0
              for unit in units] for content in contents]
    opener = gzip.open if out.endswith(".gz") else open
    with opener(out, "wt", encoding="utf-8") as file:
        head = {"repo": os.path.basename(os.path.abspath(directory)), "units": units,
                "jobs": len(jobs), "init": {"commit": first, "fingerprint": lines[0]}}
        file.write(json.dumps(head) + "\n")
        for (seconds, branch, is_main, commit), content in zip(jobs, lines[1:]):
            file.write(json.dumps({"t": seconds, "branch": branch, "main": is_main,
                                   "commit": commit, "fingerprint": content}) + "\n")
