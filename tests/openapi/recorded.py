#!/usr/bin/python3
"""Judges every answer that the API tests got by nginx/openapi.json. Prints TAP.

tests/lib/api.bash keeps the answers in $ANSWERS, where tests/run runs both suites: a file each, with
method and path, the header as it came, an empty line, the body.
"""
import collections
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
sys.path.insert(0, HERE)

from description import Description  # noqa: E402
from service import Tap  # noqa: E402


def read_answer(path):
    """(method, path, status, headers, body); None: no whole answer came (a caller that hung up)."""
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        first, _, rest = file.read().partition("\n")
    # 100 Continue comes before the answer.
    head, _, body = re.sub(r"^HTTP/\S+ 1\d\d.*?\r\n\r\n", "", rest, flags=re.S).partition("\r\n\r\n")
    lines = head.split("\r\n")
    if not re.match(r"HTTP/\S+ \d{3}", lines[0]):
        return None
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    length = headers.get("content-length", "")
    if first.split(" ")[0] != "HEAD" and length.isdigit() and len(body.encode()) < int(length):
        return None
    method, path = first.split(" ", 1)
    # Paths are read in their plain form.
    return method, path.replace("//", "/"), int(lines[0].split(" ")[1]), headers, body


def main():
    folder = os.environ.get("ANSWERS", "")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    if not names and "api" not in os.environ.get("SUITES", "").split():
        print("1..0\n# the API tests were not run, so there are no answers of theirs")
        return
    description = Description()
    faults = collections.defaultdict(list)
    answers = 0
    for name in names:
        answer = read_answer(os.path.join(folder, name))
        if answer:
            answers += 1
            for fault in description.judge(*answer):
                faults["%s %s: %s" % (answer[0], answer[1].split("?")[0], fault)].append(answer[4][:300])
    tap = Tap(1)
    tap.result(answers > 0 and not faults, "all %d answers that the API tests got are described" % answers,
               ["%d times: %s\n%s" % (len(bodies), fault, bodies[0]) for fault, bodies in faults.items()][:40])
    tap.exit()


main()
