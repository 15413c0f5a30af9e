#!/usr/bin/env python3
"""What the recipes of fcgi/README.md list, each place has: a verb's route, a call's field, a setting,
a column, a metric. Prints TAP. The compiler and openapi.py ask for the rest of them.

recipes.py [ROOT]: ROOT is the tree.
"""
import ast
import glob
import json
import os
import re
import sys

ROOT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
# Columns that only orchestratorctl writes, for people.
OF_PEOPLE = {"project": {"created", "modified"}}


def read(pattern):
    texts = []
    for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
        with open(path, encoding="utf-8") as file:
            texts.append(file.read())
    return "\n".join(texts)


# --- A verb, a field of a call ---

def bodies():
    """{path: (fields, required ones)} of the POST calls of openapi.json; {path: parameters} of the others."""
    doc = json.loads(read("nginx/openapi.json"))
    schemas, parameters = doc["components"]["schemas"], doc["components"]["parameters"]
    posts, gets = {}, {}
    for path, methods in doc["paths"].items():
        if "post" in methods:
            reference = methods["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            schema = schemas[reference.rpartition("/")[2]]
            posts[path] = set(schema.get("properties", {})), set(schema.get("required", []))
        elif re.fullmatch(r"/\w+", path):
            gets[path] = {parameters[one["$ref"].rpartition("/")[2]]["name"]
                          for one in methods["get"].get("parameters", [])}
    return posts, gets


def literal(path, name):
    """The dictionary of that name in a Python file, as a syntax tree."""
    for node in ast.parse(read(path)).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            return {key.value: value for key, value in zip(node.value.keys, node.value.values)}
    raise ValueError("%s has no %s" % (path, name))


def differ(where, ours, theirs):
    for name in sorted(theirs - ours):
        yield "%s lacks %s" % (where, name)
    for name in sorted(ours - theirs):
        yield "%s has %s, which there is not" % (where, name)


def calls():
    posts, gets = bodies()
    if len(posts) < 10 or len(gets) < 5:
        yield "calls were not found: %s; %s" % (sorted(posts), sorted(gets))
    rows = {path: cell for path, cell in
            re.findall(r"^\| `(?:GET|POST) (/\w+)` \|[^|]*\|([^|]*)\|", read("nginx/README.md"), re.M)}
    yield from differ("nginx/README.md", set(rows), set(posts) | set(gets))
    yield from differ("ROUTES of tests/attack/access.py", set(literal("tests/attack/access.py", "ROUTES")),
                      set(posts) | set(gets))
    known = literal("tests/attack/input.py", "FIELDS")
    yield from differ("FIELDS of tests/attack/input.py", set(known), set(posts))
    for path, (fields, required) in posts.items():
        told = {key.value.partition(".")[0] for key in known[path].keys} if path in known else fields
        yield from differ("FIELDS of tests/attack/input.py: %s" % path, told, fields)
        row = re.sub(r"\([^)]*\)", "", rows.get(path, ""))
        yield from differ("the row of %s in nginx/README.md" % path, set(re.findall(r"`(\w+)`", row)), fields)
        for name in sorted(required):
            if not re.search(r"`%s` required" % name, row):
                yield "the row of %s in nginx/README.md does not say that %s is required" % (path, name)
    for path, names in gets.items():
        row = re.sub(r"\([^)]*\)", "", rows.get(path, ""))
        yield from differ("the row of %s in nginx/README.md" % path, set(re.findall(r"`(\w+)`", row)), names)


def commands():
    """What callers say: the structs of rules/command.h."""
    source = read("fcgi/rules/command.c")
    clerk = read("fcgi/rules/clerk*.c")
    defaults = re.search(r"^static void set_defaults.*?^}", source, re.M | re.S)[0]
    count = 0
    for above, name, body in re.findall(r"(?:^/\* ([^\n]*) \*/\n)?^struct command(_\w+)? \{(.*?)^\};",
                                        read("fcgi/rules/command.h"), re.M | re.S):
        if name == "_list":
            continue
        body = re.sub(r"union \{.*\} as;", "", body, flags=re.S)
        for kind, field, comment in re.findall(r"^    ([^;/]*?[ *])(\w+);(.*)$", body, re.M):
            count += 1
            if re.match(r"(char|struct manifest) \*", kind) and not re.search(
                    r"\b(free|manifest_unref)\([\w.>-]*\b%s\)" % field, source):
                yield "fcgi/rules/command.c does not free %s of struct command%s" % (field, name)
            if re.match(r"int(64_t)? $", kind) and "-1" in above + comment and not re.search(
                    r"as\.%s\.%s = -1|\(struct command%s\)\{[^}]*\.%s = -1" % (name[1:], field, name, field), defaults):
                yield "set_defaults() of fcgi/rules/command.c does not set %s of struct command%s" % (field, name)
            if name and not re.search(r"(\.|->)%s\b" % field, clerk):
                yield "fcgi/rules/clerk*.c does not use %s of struct command%s" % (field, name)
    if count < 40:
        yield "only %d fields of commands were found" % count


# --- A setting ---

def settings():
    """house.bats compares the table of config.c with the man page, the sample files and orchestratorctl."""
    fields = re.findall(r"^    [^/;]*?(\w+);", re.search(r"^struct config \{(.*?)^\};", read("fcgi/base/config.h"),
                                                     re.M | re.S)[1], re.M)
    table = read("fcgi/base/config.c")
    users = read("fcgi/*.c") + read("fcgi/[!b]*/*.c")
    if len(fields) < 10:
        yield "settings were not found: %s" % fields
    for field in fields:
        if "AT(%s)" % field not in table:
            yield "fcgi/base/config.c does not read %s" % field
        if not re.search(r"\bconfig(->|\.)%s\b" % field, users):
            yield "nobody uses %s of struct config" % field


# --- A column ---

def schema():
    """Columns of each table, by the migrations."""
    tables = {}
    for words in re.findall(r"^(?:CREATE TABLE|ALTER TABLE) .*?;$", read("sql/0*.sql"), re.M | re.S):
        name = words.split()[2]
        columns = re.findall(r"^ +(?:ADD COLUMN )?([a-z_]+) +[A-Z]+\b(?!.* AUTO_INCREMENT).* COMMENT '", words, re.M)
        tables.setdefault(name, set()).update(columns)
        tables[name] -= set(re.findall(r"^ +DROP COLUMN ([a-z_]+)", words, re.M))
    return tables


def field_tables():
    """The tables of store/table.c, each with its columns."""
    text = read("fcgi/store/table.c")
    macros = {name: set(re.findall(r'\("([a-z_]+)",', body)) for name, body in
              re.findall(r"^#define ([A-Z_]+) +\\\n((?:.*\\\n)*.*)$", text, re.M)}
    tables = {}
    for name, body in re.findall(r"^static const struct column ([a-z_]+)_columns\[\] = \{(.*?)^\};", text, re.M | re.S):
        tables[name] = set(re.findall(r'\("([a-z_]+)",', body))
        for macro in re.findall(r"^ +([A-Z_]+),$", body, re.M):
            tables[name] |= macros[macro]
    return tables


def columns():
    tables, fields = schema(), field_tables()
    if len(tables) < 9 or len(fields) < 4:
        yield "tables were not found: %s; %s" % (sorted(tables), sorted(fields))
    for name, known in fields.items():
        for column in sorted(tables.get(name, set()) - known - {"project_id"}):
            yield "%s.%s has no line in fcgi/store/table.c" % (name, column)
        for column in sorted(known - tables.get(name, set())):
            yield "fcgi/store/table.c names %s.%s, which no migration adds" % (name, column)
    texts = " ".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', read("fcgi/store/*.c")))
    for name in sorted(set(tables) - set(fields)):
        for column in sorted(tables[name] - OF_PEOPLE.get(name, set())):
            if not re.search(r"\b%s\b" % column, texts):
                yield "fcgi/store/ neither reads nor writes %s.%s" % (name, column)


# --- A metric ---

def metrics():
    own, gauges = read("fcgi/base/metrics.c"), read("fcgi/read/reader_gauges.c")
    made = set(re.findall(r'\bput_(?:head|counter|times)\(out, "([a-z_]+)"', own))
    made |= set(re.findall(r'^    \{"([a-z_]+)", (?:NULL|"[a-z]+"),\s', gauges, re.M))
    if len(made) < 15:
        yield "metrics were not found: %s" % sorted(made)
    shown = {re.sub("_(bucket|sum|count)$", "", name)
             for name in re.findall(r"stack_orchestrator_([a-z_]+)", read("scripts/monitoring/*"))}
    for name in sorted(made - shown):
        yield "scripts/monitoring/ does not show stack_orchestrator_%s" % name
    for name in sorted(shown - made):
        yield "scripts/monitoring/ shows stack_orchestrator_%s, which there is not" % name
    functions = re.findall(r"^void (metrics_[a-z_]+)\(", read("fcgi/base/metrics.h"), re.M)
    callers = read("fcgi/*.c") + read("fcgi/[!b]*/*.c")
    if len(functions) < 5:
        yield "functions were not found: %s" % functions
    for name in functions:
        if name + "(" not in callers:
            yield "nobody calls %s()" % name


def main():
    rules = (("the API reference and the tables of tests/attack have each call with its fields", calls),
             ("each field of a command has its default, is used by the clerk, and is freed", commands),
             ("every setting is read and used", settings),
             ("every column of the schema is read or written, and no other", columns),
             ("every metric is counted somewhere and shown by scripts/monitoring, and no other", metrics))
    print("1..%d" % len(rules))
    failed = False
    for number, (name, rule) in enumerate(rules, 1):
        faults = list(rule())
        failed = failed or bool(faults)
        print("%sok %d - recipes: %s" % ("not " if faults else "", number, name))
        for fault in faults:
            print("# " + fault)
    return failed


sys.exit(main())
