#!/usr/bin/env python3
"""Whatever program a script or a test calls comes with a package that scripts/setup installs for it, or that
every Debian has. Prints TAP.

It reads the words that stand where a command stands, and asks dpkg whose the program of that name is. A file
may call what it asks for with `command -v` first.
"""
import glob
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
# What scripts/setup is called with, before a suite of that name and before the other scripts.
SUITES = {"browser": "browser", "package": "package", "bare": "package", "cluster": "cluster",
          "sanitizers": "analysis", "coverage": "analysis", "bench": "bench", "e2e": "browser", "tools": "browser"}
SCRIPTS = {"deb": "deb", "debian": "deb", "ci": "test", "ci-stack": "test"} # on a machine of the CI these are there
# Needed by somebody who has the checkout, or by whoever lets a plain user install.
GIVEN = {"make", "git", "ca-certificates", "sudo"}
# Where these are called there is systemd, or an account is made: Debian has them, other than in a container.
# Words that look like them.
NO_PROGRAMS = {"init", "write", "file"}
OF_A_SYSTEM = {"systemctl", "journalctl", "systemd-analyze", "runuser", "useradd", "userdel", "deb-systemd-helper",
               "deb-systemd-invoke"}

BEFORE = r"(?:^|[|&;){}!`]|(?<!=)\(|\$\(|\b(?:then|do|else|if|elif|while|until|exec|run|env|setsid|nohup|sudo|chroot|nsenter)\b)"
COMMAND = re.compile(BEFORE + r"[ \t]*(?:\w+=\S*[ \t]+)*([a-z][\w.+-]*)(?=[ \t;)|&]|$)", re.MULTILINE)
PYTHON = re.compile(r"(?:\[|run\(|check_output\(|which\()\s*\"([a-z][\w.+-]*)\"")


def shell_code(text):
    """The code alone: no comments, no here-documents, no quoted words; but what $( ) in quotes calls."""
    text = re.sub(r"\(\(.*?\)\)", "", text)
    text = re.sub(r"<<-?\s*(['\"]?)(\w+)\1(.*?)\n.*?^\s*\2$", r"\3", text, flags=re.DOTALL | re.MULTILINE)
    out, stack, at = [], ["code"], 0
    while at < len(text):
        char, two = text[at], text[at:at + 2]
        if char == "\\":
            at += 2
            continue
        if two == "$(" and stack[-1] != "single":
            stack.append("code")
            out.append("\n")
            at += 2
            continue
        if stack[-1] == "code":
            if char == "'" or char == '"':
                stack.append("single" if char == "'" else "double")
                out.append("\0")
            elif char == "#" and (at == 0 or text[at - 1] in " \t\n"):
                while at < len(text) and text[at] != "\n":
                    at += 1
                continue
            elif char == "(":
                stack.append("code")
                out.append(char)
            elif char == ")":
                if len(stack) > 1:
                    stack.pop()
                out.append(") " if stack[-1] == "code" else "")
            else:
                out.append(char)
        elif char == {"single": "'", "double": '"'}[stack[-1]]:
            stack.pop()
        at += 1
    return "".join(out)


def calls(path):
    """Names that stand where programs are called."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    first = text.split("\n", 1)[0]
    if path.endswith(".py") or "python" in first:
        names = set(PYTHON.findall(text))
    elif path.endswith((".sh", ".bash", ".bats")) or re.match(r"#!.*\b(ba)?sh\b", first):
        names = set(COMMAND.findall(shell_code(text)))
    else:
        return set()
    asked = set(re.findall(r"command -v ([\w.+-]+)", text)) | set(re.findall(r"which\(\"([\w.+-]+)\"", text))
    return names - asked - set(re.findall(r"^([\w.+-]+)\(\)", text, flags=re.MULTILINE))


def installed():
    """Packages: what each depends on (of alternatives the first that is here), and who provides a name."""
    form = "${db:Status-Status}\t${Package}\t${Depends}, ${Pre-Depends}\t${Provides}\t${Essential}\t${Priority}\n"
    lines = subprocess.run(["dpkg-query", "-W", "-f", form], check=True, capture_output=True, text=True).stdout
    needs, provides, everywhere = {}, {}, set()
    rows = [line.split("\t") for line in lines.splitlines() if line.startswith("installed\t")]
    for _, name, _, given, essential, priority in rows:
        for word in [name] + re.findall(r"[\w.+-]+(?=\s*(?:\(|,|$))", given):
            provides.setdefault(word, name)
        if essential == "yes" or priority == "required":
            everywhere.add(name)
    for _, name, depends, *_ in rows:
        groups = [re.findall(r"(?:^|\|)\s*([\w.+-]+)", group) for group in depends.split(",")]
        needs[name] = {next((provides[word] for word in group if word in provides), None) for group in groups}
    return needs, provides, everywhere


def with_needs(names, needs, provides):
    names, more = set(), {provides.get(name, name) for name in names}
    while more:
        names |= more
        more = {need for name in more for need in needs.get(name, ()) if need} - names
    return names


def owners():
    """A function: the package that a program comes with; nothing for what isn't here."""
    packages = {}
    for listing in glob.glob("/var/lib/dpkg/info/*.list"):
        name = os.path.basename(listing)[:-len(".list")].split(":")[0]
        with open(listing, encoding="utf-8") as file:
            for path in re.findall(r"^(?:/usr)?(/s?bin/[^/\n]+)$", file.read(), flags=re.MULTILINE):
                packages[path] = name

    def owner(program):
        path = shutil.which(program, path=PATH) or ""
        found = (packages.get(re.sub("^/usr/", "/", at)) for at in (path, os.path.realpath(path)))
        return next((name for name in found if name), None)

    return owner


def files():
    for pattern in ("scripts/*", "scripts/*/*", "tests/*", "tests/*/*", ".ci/*"):
        for path in glob.glob(pattern, root_dir=ROOT):
            if os.path.isfile(os.path.join(ROOT, path)) and path != "scripts/setup": # names of packages
                yield path


def setup_of(path):
    """With what scripts/setup is called before a file runs."""
    parts = path.split("/")
    if parts[0] == "scripts":
        return SCRIPTS.get(parts[1], "run")
    if os.path.basename(path) in ("bare.sh", "debian.bash"):
        return "package"
    return SUITES.get(parts[1].split(".")[0], "test")


def main():
    needs, provides, everywhere = installed()
    builtins = set(subprocess.run(["bash", "-c", "compgen -bk"], check=True, capture_output=True, text=True).stdout.split())
    owner, sets, faults, count = owners(), {}, [], 0
    for path in sorted(files()):
        what = setup_of(path)
        if what not in sets:
            listed = subprocess.run([os.path.join(ROOT, "scripts/setup"), what, "--list"], check=True, capture_output=True, text=True)
            sets[what] = with_needs(everywhere | GIVEN | set(listed.stdout.split()), needs, provides)
        for program in sorted(calls(os.path.join(ROOT, path)) - builtins - OF_A_SYSTEM - NO_PROGRAMS):
            package = owner(program)
            count += package is not None
            if package and package not in sets[what]:
                faults.append("%s calls %s of package %s, and `scripts/setup %s` doesn't install it" % (path, program, package, what))
    print("1..2")
    # Fewer were not looked for.
    print("%sok 1 - the calls of programs are found (%d)" % ("" if count > 500 else "not ", count))
    print("%sok 2 - scripts/setup installs every program that scripts and tests call" % ("not " if faults else ""))
    for fault in faults:
        print("# " + fault)
    return 1 if faults or count <= 500 else 0


sys.exit(main())
