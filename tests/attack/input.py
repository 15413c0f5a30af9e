#!/usr/bin/python3
"""What callers with a good key may send, and what it must not do: SQL and control characters in
every field, JSON made to cost, guessed leases, repeated requests."""
import glob
import json
import os
import re
import sys
import time
import urllib.parse

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from attack import ROOT, Instance, Suite, description, request  # noqa: E402
from service import SLOWNESS  # noqa: E402

suite = Suite()

TEXTS = [
    "'; DROP TABLE lease; -- ", "' OR '1'='1", "\\'; DELETE FROM stack; -- \\",
    "x', 'admin'), (1, 2, 'y",
    '" UNION SELECT authentication_string FROM mysql.user #', "/*!50000 SELECT SLEEP(5) */",
    "`;\n\\! id\n",
    "1); SELECT SLEEP(5); -- ", "%s%n%d${7*7}{{7*7}}$(id)`id`",
    "\u00bf\u0027 \u02bc \uff07 \u5c5c' OR 1=1 -- ",
    "a\nb\r\n\t\u0008\u001b[31mred\u001b[0m\u007f\u0085\u2028\u202etxt",
    "\U0001f600 e\u0301 \u00e9 \u0130\u0131\u00df",
    "\\", "'", "\\\"", "0x27", "NULL", "<script>alert(1)</script>", "../../etc/passwd", "\ufeffbom",
    "  spaces  ",
]
# Of each field of openapi.json: what becomes of a text in it. A field without a word here fails.
KEPT, NAMES_NOTHING, REFUSED = "is kept as it is", "names nothing", "is refused"
FIELDS = {
    "/requestStack": {"branch": KEPT, "commit": KEPT, "units": KEPT, "job.url": REFUSED,
                      "job.name": KEPT,
                      "job.user": KEPT, "waitSeconds": REFUSED, "leaseSeconds": REFUSED,
                      "graceSeconds": REFUSED,
                      "requestId": KEPT,
                      "priority": REFUSED, "supersede": REFUSED, "resume": REFUSED,
                      "purpose": REFUSED, "stackName": NAMES_NOTHING},
    "/setLastDeployedCommit": {"stackName": NAMES_NOTHING, "lastDeployedCommit": KEPT,
                               "leaseId": NAMES_NOTHING, "content": REFUSED},
    "/markUnits": {"stackName": NAMES_NOTHING, "leaseId": NAMES_NOTHING, "units": REFUSED,
                   "removed": REFUSED, "seconds": REFUSED},
    "/releaseStack": {"stackName": NAMES_NOTHING, "leaseId": NAMES_NOTHING, "outcome": REFUSED,
                      "reason": KEPT,
                      "holdSeconds": REFUSED, "interrupted": REFUSED,
                      "deployFailed": REFUSED},
    "/deleteLastStack": {},
    "/extendLease": {"stackName": NAMES_NOTHING, "leaseId": NAMES_NOTHING, "seconds": REFUSED},
    "/cancelRequest": {"requestId": NAMES_NOTHING, "requestNumber": REFUSED},
    "/holdStack": {"stackName": NAMES_NOTHING, "reason": KEPT, "owner": KEPT, "seconds": REFUSED,
                   "revoke": REFUSED},
    "/quarantineStack": {"stackName": NAMES_NOTHING, "reason": KEPT, "owner": KEPT,
                         "revoke": REFUSED},
    "/reinstateStack": {"stackName": NAMES_NOTHING, "leaseId": NAMES_NOTHING, "reason": KEPT},
    "/revokeLease": {"stackName": NAMES_NOTHING, "fence": REFUSED, "reason": KEPT},
    "/addStacks": {"count": REFUSED, "reason": KEPT},
    "/deleteStack": {"stackName": NAMES_NOTHING, "reason": KEPT},
    "/updateProject": {"prefix": REFUSED, "initialCommit": KEPT, "maxStacks": REFUSED,
                       "leaseSeconds": REFUSED,
                       "maxLeaseSeconds": REFUSED, "waitSeconds": REFUSED, "quarantineAfter": REFUSED,
                       "settleSeconds": REFUSED, "maxHeld": REFUSED, "mainBranch": KEPT,
                       "paused": REFUSED,
                       "reason": KEPT},
    "/prioritizeRequest": {"requestNumber": REFUSED, "priority": REFUSED, "reason": KEPT},
}


class Scene:
    def __init__(self):
        self.instance = Instance("input")
        self.keys = self.instance.keys("mine", "--max-stacks", "4", "--wait-seconds", "1")
        self.theirs = self.instance.keys("other", "--max-stacks", "2")
        self.other = self.post("/requestStack", {"branch": "theirs"}, self.theirs["ci"]).json()
        self.wire = self.instance.wire()

    def post(self, path, body, key=None, headers=()):
        return self.instance.ask("POST", path, key or self.keys["admin"], body, headers)

    def get(self, path, key=None):
        return self.instance.ask("GET", path, key or self.keys["admin"])

    def stack(self, name):
        stacks = self.get("/status").json()["stacks"]
        return next(stack for stack in stacks if stack["stackName"] == name)

    def take(self, **fields):
        answer = self.post("/requestStack", fields)
        if answer.status != 200:
            raise AssertionError("requestStack: %s" % answer)
        return answer.json()

    def give(self, lease, **fields):
        return self.post("/releaseStack",
                         {"stackName": lease["stackName"], "leaseId": lease["leaseId"], **fields})


# --- Texts ---

def properties(path):
    """The names of a call's fields, with those of objects in them."""
    schemas = description()["components"]["schemas"]

    def resolve(schema):
        for part in [schema, *schema.get("anyOf", [])]:
            if "$ref" in part:
                return resolve(schemas[part["$ref"].rpartition("/")[2]])
        return schema

    content = description()["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    for name, schema in resolve(content["schema"]).get("properties", {}).items():
        inner = resolve(schema).get("properties")
        yield from (name + "." + part for part in inner) if inner else [name]


def tables(scene):
    """What must stay as it is: tables, accounts, and all that belongs to the other project."""
    names = [row[0] for row in scene.instance.sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY "
        "1")]
    accounts = scene.instance.sql("SELECT COUNT(*) FROM mysql.user")
    project = scene.instance.sql("SELECT project_id FROM project WHERE name = 'other'")[0][0]
    rows = [scene.instance.sql("SELECT * FROM %s WHERE project_id = %s" % (name, project))
            for name in names if name not in ("instance", "migration", "schema_migration",
                                              "action_id")
            and scene.instance.sql("SELECT 1 FROM information_schema.columns WHERE table_schema = "
                                   "DATABASE()"
                                   " AND table_name = '%s' AND column_name = 'project_id'" % name)]
    return names, accounts, rows


@suite.row("each field of each call has a word here on what a text in it becomes")
def fields_are_known(_):
    paths = {path for path, methods in description()["paths"].items() if "post" in methods}
    if paths != set(FIELDS):
        yield "calls: %s" % sorted(paths ^ set(FIELDS))
    for path in paths & set(FIELDS):
        if set(properties(path)) != set(FIELDS[path]):
            yield "%s: %s" % (path, sorted(set(properties(path)) ^ set(FIELDS[path])))


def nested(field, value):
    name, _, inner = field.partition(".")
    return {name: {inner: value} if inner else value}


@suite.row("SQL, control characters and odd Unicode in every field: kept as they are, or refused; "
           "no table changes")
def every_field(scene):
    before = tables(scene)
    for text in TEXTS:
        yield from kept_texts(scene, text)
        for path, fields in FIELDS.items():
            for field, fate in fields.items():
                if fate == KEPT:
                    continue
                # This text names a request that has ended already.
                said = text + "?" if field == "requestId" else text
                body = {**faultless(path), **nested(field, said)}
                answer = scene.wire.ask("POST", path, scene.keys["admin"], body)
                good = (400,) if fate == REFUSED else (403, 404, 410)
                if field == "prefix" and re.fullmatch("[A-Za-z0-9._-]*", text):
                    good = (409,)
                if answer.status not in good or re.search("SQL|syntax to use|MariaDB",
                                                          answer.text()):
                    yield "%s %s %r: %s" % (path, field, text, answer)
    if tables(scene) != before:
        yield "the tables changed: %s, then %s" % (before, tables(scene))


def faultless(path):
    """The other fields that are needed; they name what isn't there."""
    needed = {"stackName": "test-99999", "leaseId": "0" * 32, "lastDeployedCommit": "x", "count": 1}
    body = {name: needed[name] for name in FIELDS[path] if name in needed}
    if path == "/markUnits":
        body["units"] = {"a": "1"}
    return body


def kept_texts(scene, text):
    """A job whose every text is this one, and an administrator's acts: all comes back verbatim."""
    units = {text: text, "plain": text + "2"}
    job = {"url": "https://ci.example/" + urllib.parse.quote(text), "name": text, "user": text}
    lease = scene.take(branch=text, commit=text, job=job, units=units, requestId=text)
    stack, secret = lease["stackName"], lease["leaseId"]
    again = scene.post("/requestStack",
                       {"branch": text, "commit": text, "units": units, "requestId": text})
    seen = scene.stack(stack)
    checks = [("changedUnits", sorted(lease["changedUnits"]), sorted(units)),
              ("requestId", lease["requestId"], text),
              ("requestId again", again.json().get("leaseId"), secret),
              ("branch", seen["lease"]["branch"], text), ("commit", seen["lease"]["commit"], text),
              ("job", seen["lease"]["job"], job)]
    scene.post("/setLastDeployedCommit",
               {"stackName": stack, "leaseId": secret, "lastDeployedCommit": text})
    scene.give(lease, outcome="hold", reason=text)
    seen = scene.stack(stack)
    checks += [("lastDeployedCommit", seen["lastDeployedCommit"], text),
               ("hold.reason", seen["hold"]["reason"], text),
               ("hold.owner", seen["hold"]["owner"], text)]
    past = scene.get("/history?limit=1").json()["requests"][0]
    checks += [("history branch", past["branch"], text), ("history commit", past["commit"], text),
               ("history job", past["job"], job)]
    found = scene.get("/history?limit=1&branch=" + urllib.parse.quote(text)).json()["requests"]
    checks.append(("history by branch", [entry["requestNumber"] for entry in found],
                   [past["requestNumber"]]))
    # The same units once more: what the database kept is what was sent.
    scene.post("/reinstateStack", {"stackName": stack, "reason": text})
    lease = scene.take(branch=text, units=units)
    checks.append(("units", (lease["stackName"], lease["changedUnits"], lease["removedUnits"]),
                   (stack, [], [])))
    scene.post("/revokeLease", {"stackName": lease["stackName"], "reason": text})
    for path, body in (("/holdStack", {"owner": text}), ("/quarantineStack", {"owner": text}),
                       ("/reinstateStack", {}),
                       ("/deleteStack", {}), ("/addStacks", {"count": 1}),
                       ("/updateProject", {"initialCommit": text})):
        name = {} if path in ("/addStacks", "/updateProject") else {"stackName": stack}
        answer = scene.post(path, {**body, **name, "reason": text})
        checks.append((path, answer.status, 200))
        if "owner" in body:
            hold = scene.stack(stack)["hold"]
            checks.append((path, (hold["owner"], hold["reason"]), (text, text)))
    actions = scene.get("/actions?limit=8").json()["actions"]
    checks.append(("reasons of actions", [action["reason"] for action in actions], [text] * 8))
    checks.append(("initialCommit", scene.get("/status").json()["project"]["initialCommit"], text))
    for name, got, wanted in checks:
        if got != wanted:
            yield "%s of %r became %r" % (name, text, got)


@suite.row("SQL in every query parameter and in Idempotency-Key: nothing found, or refused")
def queries(scene):
    before = tables(scene)
    started = time.monotonic()
    parameters = description()["components"]["parameters"]
    count = 0
    for path, methods in description()["paths"].items():
        for parameter in methods.get("get", {}).get("parameters", []):
            name = parameters[parameter["$ref"].rpartition("/")[2]]["name"]
            for text in [*TEXTS[:10], "1 OR 1=1", "1;SELECT SLEEP(5)", "(SELECT 1)",
                         "1 UNION SELECT 1", "-1", "1e9",
                         "2026-01-01T00:00:00Z' OR '1'='1", "test-1' OR 'a'='a",
                         "released') OR (1=1"]:
                count += 1
                if name in ("branch", "find") and text in TEXTS:
                    continue  # every_field's jobs have these
                answer = scene.wire.ask("GET", "%s?%s=%s" % (path, name, urllib.parse.quote(text)),
                                        scene.keys["viewer"])
                found = answer.json().get("requests") or answer.json().get("actions")
                if answer.status not in (200, 400) or found or (answer.status == 200) != (
                        name in ("branch", "find", "stackName", "stacksAfter")):
                    yield "%s %s %r: %s" % (path, name, text, answer)
    if count < 100:
        yield "only %d parameters" % count
    for text in (text for text in TEXTS if text.isprintable() and text == text.strip()
                 and len(text) > 2):
        for _ in range(2):
            answer = scene.post("/requestStack", {}, headers=[("Idempotency-Key", text)])
            wanted = text[1:-1] if text[0] == text[-1] == '"' else text
            if answer.json().get("requestId") not in (wanted, None):
                yield "Idempotency-Key %r became %s" % (text, answer)
        if answer.status == 200:
            scene.give(answer.json())
        elif answer.code() != "requestEnded":
            yield "Idempotency-Key %r: %s" % (text, answer)
    if time.monotonic() - started > 60 * SLOWNESS:
        yield "it took %.0f s: did a SLEEP run?" % (time.monotonic() - started)
    if tables(scene) != before:
        yield "the tables changed"


# --- Logs ---

@suite.row("no field, path, query, header or method forges, splits or breaks a line of a log")
def logs(scene):
    forged = '{"time":"forged","status":200}'
    error = "2026/01/01 00:00:00 [error] forged"
    bodies = ["x\n%s\n" % forged, "x\r\n%s\r\n" % error, "x\\n" + forged, "\u2028" + forged]
    for text in bodies:
        for field in ("branch", "commit", "requestId"):
            lease = scene.post("/requestStack", {field: text + field})
            if lease.status == 200:
                scene.give(lease.json(), reason=text)
        scene.post("/holdStack", {"stackName": text, "owner": text, "reason": text})
    quoted = urllib.parse.quote("\n" + forged)
    for path in ("/x" + quoted, "/status?x=" + quoted, '/x"\\', "/x%22,%22status%22:1",
                 "/\u00e9\u202e", "/x%00", "/x%1b[31m",
                 '/",' + forged[1:].replace(" ", ""), "/status?a=" + "x" * 900):
        scene.get(path)
    raw = [b"GET /raw\xff\xfe\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
           b"GET /raw\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n",
           b"G\"ET /raw HTTP/1.1\r\nHost: a\r\n\r\n", b"\n{\"time\":\"forged\"}\n", b"\xff\xfe\n\n",
           b"\x16\x03\x01",
           b"GET /raw HTTP/1.1\r\nHost: \xff\"\r\n\r\n", b"GET /raw\n" + forged.encode() + b"\n\n",
           request("GET", "/raw",
                   headers=[("User-Agent", "\u00e9\"\\" + forged), ("Referer", forged)])]
    for data in raw:
        with scene.instance.wire() as wire:
            wire.send(data)
            wire.has_ended(0.1)
    lines = 0
    with open(scene.instance.path("log/nginx-access.log"), "rb") as file:
        for line in file.read().split(b"\n")[:-1]:
            lines += 1
            try:
                told = json.loads(line.decode())
            except ValueError:
                yield "the access log has a line that is no JSON: %r" % line
                continue
            if set(told) != {"time", "requestId", "remote", "project", "role", "key", "method",
                             "path", "protocol",
                             "status", "bytes", "seconds",
                             "programSeconds"} or told["time"] == "forged":
                yield "the access log has another line: %r" % line
            if any(ord(letter) < 32 or 127 <= ord(letter) < 160 for value in told.values()
                   for letter in str(value)
                   if isinstance(value, str)) and told["status"] != 400:
                yield "control characters: %r" % line
    if lines < 300:
        yield "only %d lines" % lines
    formats = {"program": r"\d{4}-\d\d-\d\dT[\d:.]+Z (error|warning|info|debug) [^\x00-\x1f]*",
               "nginx-error": r"\d{4}/\d\d/\d\d [\d:]+ \[(warn|error|crit|alert|emerg)\] \d+#\d+: .*"}
    for name, pattern in formats.items():
        for line in scene.instance.log(name, 100000):
            if not re.fullmatch(pattern, line) or "forged" in line[:60]:
                yield "%s.log has another line: %r" % (name, line)


# --- JSON that costs ---

FULL = 256 * 1024


def fill(start, part, end):
    """A body of at most 256 KiB: the parts in a row."""
    return start + part * ((FULL - len(start) - len(end)) // len(part)) + end


def bombs():
    many = ",".join('"%x":1' % number for number in range(26000))
    units = ",".join('"%s%d":"f"' % ("u" * 100, number) for number in range(2000))
    return {
        "arrays without end": ("[" * FULL, 400),
        "objects without end": (fill("", '{"a":', ""), 400),
        "quotes without end": ('"' * FULL, 400),
        "backslashes without end": ('{"a":"' + "\\" * (FULL - 6), 400),
        "blanks": (" " * FULL, 200),
        "a number of 256 KiB": (fill('{"a":', "9", "}"), 200),
        "an exponent of 256 KiB": (fill('{"a":1e', "9", "}"), 200),
        "a fraction of 256 KiB": (fill('{"a":0.', "0", "1}"), 200),
        "a string of 256 KiB": (fill('{"a":"', "x", '"}'), 200),
        "a branch of 256 KiB": (fill('{"branch":"', "x", '"}'), 400),
        "escapes": (fill('{"a":"', "\\u0041", '"}'), 200),
        "surrogates": (fill('{"a":"', "\\ud83d\\ude00", '"}'), 200),
        "empty arrays": (fill('{"a":[[]', ",[]", "]}"), 400),
        "empty objects": (fill('{"a":[{}', ",{}", "]}"), 400),
        "zeros": (fill('{"a":[0', ",0", "]}"), 400),
        "many names": ("{%s}" % many, 400),
        "9,000 names": ("{%s}" % ",".join(many.split(",")[:9000]), 200),
        "one name many times": (fill('{"a":1', ',"a":1', "}"), 400),
        "a name of 256 KiB": (fill('{"', "x", '":1}'), 200),
        "more than 2,000 units": ('{"units":{%s}}' % many, 400),
        "2,000 long units": ('{"units":{%s}}' % units, 200),
        "many objects of many names": ('{"a":[%s]}' % ",".join(['{"a":1,"b":2,"c":3,"d":4}'] * 9000), 400),
    }


@suite.row("JSON made to cost: each body of up to 256 KiB is answered as it should within a "
           "second, and none is kept")
def json_bombs(scene):
    program = next(pid for pid, part in scene.instance.pids().items() if part == "program")
    scene.wire.ask("POST", "/releaseStack", scene.keys["ci"], bombs()["many names"][0])
    before = resident(program)
    longest = 0
    for name, (body, status) in bombs().items():
        for _ in range(3):
            started = time.monotonic()
            answer = scene.wire.ask("POST", "/requestStack", scene.keys["ci"], body)
            seconds = time.monotonic() - started
            longest = max(longest, seconds)
            # A busy machine may hold up one of three.
            if seconds < SLOWNESS:
                break
        else:
            yield "%s: %.1f s" % (name, seconds)
        if answer.status != status:
            yield "%s: %s" % (name, answer)
        if answer.status == 200:
            scene.give(answer.json())
    for _ in range(10):
        for name in ("empty arrays", "9,000 names", "zeros"):
            scene.wire.ask("POST", "/releaseStack", scene.keys["ci"], bombs()[name][0])
    grown = resident(program) - before
    if grown > 64 * 1024 * 1024 and SLOWNESS == 1:
        yield "the program keeps %d MiB" % (grown >> 20)


def resident(pid):
    with open("/proc/%d/statm" % pid, encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- Guessing ---

@suite.row("a guessed leaseId: 403 and the same answer however near it is; the lease goes on, and "
           "nothing tells the id")
def lease_ids(scene):
    lease = scene.take(requestId="guessed")
    stack, secret = lease["stackName"], lease["leaseId"]
    wrong = [secret[:-1] + ("0" if secret[-1] != "0" else "1"),
             ("0" if secret[0] != "0" else "1") + secret[1:],
             "%032x" % (int(secret, 16) ^ 1), secret[:31], secret + "0", secret[::-1], "0" * 32,
             "f" * 32, "", "x" * 32,
             secret.replace(secret[0], "%"), "%" * 32, "_" * 32, secret[:16], " " + secret,
             secret + "\n", "0x" + secret]
    wrong = [guess for guess in wrong if guess != secret]
    for path, more, status in (("/releaseStack", {}, 403),
                               ("/setLastDeployedCommit", {"lastDeployedCommit": "x"}, 403),
                               ("/extendLease", {}, 410)):
        answers = {}
        for guess in wrong:
            answer = scene.wire.ask("POST", path, scene.keys["ci"],
                                    {"stackName": stack, "leaseId": guess, **more})
            answers[answer.body] = answer.status
        if set(answers.values()) != {status} or len(answers) != 1:
            yield "%s: %s" % (path, answers)
    for body in ({}, {"leaseId": None}, {"fence": lease["fence"]}, {"requestId": "guessed"},
                 {"requestNumber": lease["requestNumber"]}, {"leaseID": secret},
                 {"leaseid": secret}):
        answer = scene.post("/releaseStack", {"stackName": stack, **body}, scene.keys["ci"])
        if answer.code() != "leaseIdRequired":
            yield "%s instead of the leaseId: %s" % (sorted(body), answer)
    for path in ("/status", "/history", "/listStacks", "/actions", "/metrics", "/capacity"):
        if re.search(secret, scene.get(path).text(), re.I) or "guessed" in scene.get(path).text():
            yield "%s tells leaseId or requestId" % path
    for path in glob.glob(os.path.join(ROOT, "fcgi/rules/*.c")):
        with open(path, encoding="utf-8") as file:
            if re.search(r"memcmp\([^;]*lease_id", file.read()):
                yield "%s: memcmp() compares leaseIds: the time tells how much of a guess is right" % path
    answer = scene.post("/extendLease", {"stackName": stack, "leaseId": secret.upper()})
    if answer.status != 200:
        yield "the right one: %s" % answer
    scene.give(lease)


@suite.row("leaseIds are random: 128 bits, none twice, no order")
def lease_ids_are_random(scene):
    found = []
    for _ in range(64):
        lease = scene.take()
        found.append(int(lease["leaseId"], 16))
        scene.give(lease)
    ones = sum(bin(value).count("1") for value in found)
    steps = {b - a for a, b in zip(found, found[1:])}
    # Of 8,192 fair bits 4,096 are ones, give or take seven standard deviations of 45.
    if len(set(found)) != 64 or len(steps) != 63 or abs(ones - 4096) > 7 * 45:
        yield "%d different, %d steps, %d ones of 8192" % (len(set(found)), len(steps), ones)


@suite.row("a guessed fence revokes nothing; a ci key can't revoke at all")
def fences(scene):
    lease = scene.take(requestId="fenced")
    right = lease["fence"]
    for fence in (right - 1, right + 1, 0, 2 ** 63 - 1):
        answer = scene.post("/revokeLease", {"stackName": lease["stackName"], "fence": fence})
        if answer.status != 409:
            yield "fence %d for %d: %s" % (fence, right, answer)
    for role in ("ci", "viewer"):
        answer = scene.post("/revokeLease", {"stackName": lease["stackName"], "fence": right},
                            scene.keys[role])
        if answer.status != 403:
            yield "as %s: %s" % (role, answer)
    answer = scene.post("/extendLease",
                        {"stackName": lease["stackName"], "leaseId": lease["leaseId"]})
    if answer.status != 200:
        yield "the lease is gone: %s" % answer
    scene.give(lease)


@suite.row("Idempotency-Key: bounded, one meaning, of requestStack and cancelRequest only")
def idempotency(scene):
    for value, status in (("x" * 255, 200), ("x" * 256, 400), ('"%s"' % ("x" * 254), 200),
                          ("x" * 3000, 400),
                          ("\u00e9", 200), ('""', 400)):
        answer = scene.post("/requestStack", {}, headers=[("Idempotency-Key", value)])
        if answer.status != status:
            yield "%s: %s" % (value[:20], answer)
        if answer.status == 200:
            scene.give(answer.json())
    answer = scene.post("/requestStack", {"requestId": "body"},
                        headers=[("Idempotency-Key", "header")])
    if answer.status != 400:
        yield "two ids: %s" % answer
    answer = scene.post("/requestStack", {},
                        headers=[("Idempotency-Key", "first"), ("Idempotency-Key", "second")])
    # nginx hands on the first, or since 1.23 both as one list.
    if answer.json().get("requestId") not in ("first", "first, second") and answer.status != 400:
        yield "the header twice: %s" % answer
    if answer.status == 200:
        scene.give(answer.json())
    lease = scene.take(requestId="kept")
    for path in ("/releaseStack", "/setLastDeployedCommit"):
        answer = scene.post(path, {"stackName": lease["stackName"], "lastDeployedCommit": "x"},
                            headers=[("Idempotency-Key", "kept")])
        if answer.code() != "leaseIdRequired":
            yield "%s by a requestId: %s" % (path, answer)
    # Whoever has another project's id has nothing.
    answer = scene.post("/requestStack", {"requestId": "kept"}, scene.theirs["ci"])
    if answer.status != 200 or answer.json()["leaseId"] == lease["leaseId"]:
        yield "another project's requestId: %s" % answer
    answer = scene.post("/requestStack", {"requestId": "kept"}, scene.keys["viewer"])
    if answer.status != 403:
        yield "a viewer with a requestId: %s" % answer
    scene.give(lease)


if __name__ == "__main__":
    suite.run(Scene)
