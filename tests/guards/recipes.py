#!/usr/bin/env python3
"""What the recipes "a column" and "a metric" of fcgi/README.md list, each place has. Prints TAP.

recipes.py [ROOT]: ROOT is the tree.
"""
import glob
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
    rules = (("every column of the schema is read or written, and no other", columns),
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
