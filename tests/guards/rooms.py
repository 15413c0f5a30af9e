#!/usr/bin/env python3
"""The rooms of fcgi/: which may use which, and that nothing goes round in a circle. Prints TAP.

rooms.py [ROOT [BUILD]]: ROOT is the tree, BUILD the folder of its objects (build/). Every file is
judged by itself. A circle of includes and a circle of calls (from the objects' symbols) are faults
alike.
"""
import os
import re
import subprocess
import sys

# What each room may include, beside itself. "" is the top: main and worker.
ARROWS = {
    "": {"api", "read", "write", "database", "http", "base"},
    "api": {"read", "rules", "http", "base"},
    "read": {"rules", "database", "base"},
    "write": {"store", "rules", "http", "base"},
    "store": {"rules", "database", "base"},
    "rules": {"base"},
    "database": {"base"},
    "http": {"base"},
    "base": set(),
}
# Each library has one user.
LIBRARIES = {
    "the MySQL client library": (r"mysql|mariadb", r"database/connection\.c"),
    "libfcgi": (r"fcgi|fastcgi", r"http/call\.c"),
    "yajl": (r"yajl/", r"base/json\.c"),
}
# The program's state is for the rooms that change it.
RESERVED = {"rules/pool.h": {"rules", "store", "write"}}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)


class Tree:
    """The C files below ROOT/fcgi, with what each includes and calls."""

    def __init__(self, root, build):
        self.texts = {}
        self.top = os.path.join(root, "fcgi")
        for folder, _, names in os.walk(self.top):
            for name in names:
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as file:
                        self.texts[os.path.relpath(path, self.top)] = file.read()
        self.objects = os.path.join(build, "fcgi")

    def includes(self, path, quote='"'):
        return [name for mark, name in INCLUDE.findall(self.texts[path]) if mark == quote]

    def symbols(self, path):
        """What the object of a .c file defines, and what it needs."""
        defined, needed = set(), set()
        object_path = os.path.join(self.objects, path[:-2] + ".o")
        if not os.path.exists(object_path):
            return defined, needed
        listing = subprocess.run(["nm", "--portability", object_path], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout
        for line in listing.splitlines():
            name, kind = line.split()[:2]
            if kind == "U":
                needed.add(name)
            elif kind in "TDBRCV":
                defined.add(name)
        return defined, needed


def room(path):
    return path.rpartition("/")[0]


def arrows(tree):
    for path in sorted(tree.texts):
        for name in tree.includes(path):
            if name not in tree.texts:
                yield f'{path} includes "{name}": write "room/file.h"'
            elif room(name) != room(path) and room(name) not in ARROWS.get(room(path), ()):
                yield f"{path} includes {name}: no arrow leads from {room(path) or 'the top'} to {room(name) or 'the top'}"


def rooms(tree):
    for name in sorted({room(path) for path in tree.texts} - set(ARROWS)):
        yield f"{name}/ has no line in the table of arrows"
    for name in sorted(set(ARROWS) - {room(path) for path in tree.texts}):
        yield f"{name}/ stands in the table of arrows, and holds nothing"


def private_headers(tree):
    for path in sorted(tree.texts):
        for name in tree.includes(path):
            if "/" in name and name.endswith("_private.h") and room(name) != room(path):
                yield f"{path} includes {name}, which is private to its room"


def reserved_headers(tree):
    for path in sorted(tree.texts):
        for name in tree.includes(path):
            if room(path) not in RESERVED.get(name, {room(path)}):
                yield f"{path} includes {name}, which is for {', '.join(sorted(RESERVED[name]))}"


def libraries(tree):
    for library, (header, owner) in LIBRARIES.items():
        users = [path for path in sorted(tree.texts)
                 if any(re.match(header, name) for name in tree.includes(path, "<"))]
        if len(users) != 1 or not re.fullmatch(owner, users[0]):
            yield f"{library} is used by: {', '.join(users) or 'nobody'}"


def readme(tree):
    """fcgi/README.md has the table of arrows, and names each module once, in its room's line."""
    with open(os.path.join(tree.top, "README.md"), encoding="utf-8") as file:
        text = file.read()
    rows = {"" if name == "top" else name: set(filter(None, allowed.split(", ")))
            for name, allowed in re.findall(r"^\| ([a-z]+) \| ([a-z, ]*?) ?\|", text.partition("\n- **")[0], re.M) if name != "room"}
    for name in sorted(set(ARROWS) | set(rows)):
        if rows.get(name) != ARROWS.get(name):
            yield f"the arrows of {name or 'the top'} are not those of the table in fcgi/README.md"
    for name in sorted(ARROWS):
        item = re.search(rf"^- \*\*{name or 'top'}\*\*: (.*(?:\n  .*)*)", text, re.M)
        named = re.findall(r"`([a-z_]+)`", item[1] if item else "")
        modules = {os.path.basename(path)[:-2].removesuffix("_private") for path in tree.texts if room(path) == name}
        for module in sorted(modules - set(named)):
            yield f"fcgi/README.md does not name {name or 'top'}/{module}"
        for module in sorted(set(named) - modules):
            yield f"fcgi/README.md names {name or 'top'}/{module}, which there is not"
        for module in sorted(module for module in modules if named.count(module) > 1):
            yield f"fcgi/README.md names {name or 'top'}/{module} twice"


def circles(edges):
    """Paths that lead back to where they began, one for each knot."""
    state, trail = {}, []

    def visit(node):
        state[node] = "open"
        trail.append(node)
        for other in sorted(edges.get(node, ())):
            if state.get(other) == "open":
                yield " -> ".join(trail[trail.index(other):] + [other])
            elif other not in state:
                yield from visit(other)
        trail.pop()
        state[node] = "done"

    for node in sorted(edges):
        if node not in state:
            yield from visit(node)


def include_circles(tree):
    """A file and its own header count as one. A private header adds to the one whose name it has."""
    edges = {}
    for path in tree.texts:
        stem = path[:-2]
        own = {stem, stem.removesuffix("_private")}
        edges.setdefault(stem, set()).update(name[:-2] for name in tree.includes(path) if name[:-2] not in own)
    yield from circles(edges)


def call_circles(tree):
    objects = {path: tree.symbols(path) for path in tree.texts if path.endswith(".c")}
    missing = [path for path, (defined, _) in objects.items() if not defined and path != "main.c"
               and "\n#ifdef FAULTS" not in tree.texts[path] and path != "base/fault.c"]
    if missing:
        yield f"not built: {', '.join(sorted(missing))}"
    owners = {name: path for path, (defined, _) in objects.items() for name in defined}
    yield from circles({path: {owners[name] for name in needed if name in owners} - {path}
                        for path, (_, needed) in objects.items()})


RULES = (
    ("every room stands in the table of arrows", rooms),
    ("includes follow the arrows", arrows),
    ("private headers stay in their room", private_headers),
    ("pools are for the rooms that change them", reserved_headers),
    ("each outside library has one user", libraries),
    ("fcgi/README.md shows the rooms and their modules", readme),
    ("no includes go round in a circle", include_circles),
    ("no calls go round in a circle", call_circles),
)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
    build = sys.argv[2] if len(sys.argv) > 2 else os.path.join(root, os.environ.get("BUILD", "build"))
    tree = Tree(root, build)
    bad = 0
    print(f"1..{len(RULES)}")
    for number, (name, rule) in enumerate(RULES, 1):
        faults = list(rule(tree))
        bad += bool(faults)
        print(f"{'not ok' if faults else 'ok'} {number} - rooms: {name}")
        for fault in faults:
            print(f"# {fault}")
    return bool(bad)


sys.exit(main())
