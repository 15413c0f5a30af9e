#!/usr/bin/python3
"""Sends every example of nginx/openapi.json to a real instance, and brings about every error that it
describes; each answer is judged by the description. Prints TAP.

In examples, what only the service can know (leaseId, fence, requestNumber) and what must be new
(requestId) is put in before they are sent. /usr/bin/python3: that one has Debian's python3-jsonschema.
"""
import http.client
import json
import os
import re
import secrets
import signal
import sys
import threading
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
sys.path.insert(0, HERE)

from description import Description  # noqa: E402
from service import CALL_SECONDS, Client, Cut, Instance, Tap, await_condition  # noqa: E402

# These can't be brought about at will, or only by waiting for an hour.
RARE = {"gatewayTimeout", "unavailable"}
MAX_WAITING = 3


class World:
    """A project with keys, and what was wrong with its answers."""

    def __init__(self):
        self.description = Description()
        self.faults = {}
        self.clients = threading.local()
        self.instance = Instance("openapi", {"startup_grace_seconds": 0,
                                             "max_waiting_per_project": MAX_WAITING})
        self.instance.ctl("project", "create", "shop", "--max-stacks", "10")
        self.keys = {role: self.instance.ctl("key", "create", "shop", role, "shop-" + role)
                     for role in ("viewer", "ci", "admin")}
        self.keys["none"] = ""
        self.keys["ghost"] = self.add_ghost()

    def add_ghost(self):
        """A key whose project does not exist, as one that was deleted on another host."""
        key = secrets.token_hex(32)
        with open(os.path.join(self.instance.var, "etc/keys.map"), "a", encoding="ascii") as file:
            file.write('"%s" "ghost admin ghost";\n' % key)
        self.instance.local("restart", "nginx")
        return key

    def call(self, method, path, body=None, role="admin", headers=None, timeout=CALL_SECONDS):
        """One exchange, judged. Returns (status, JSON or text)."""
        client = self.client(role)
        client.send(path, body, method, headers)
        client.connection.sock.settimeout(timeout)
        response = client.connection.getresponse()
        text = response.read().decode()
        if response.will_close:
            client.close()
        names = {name.lower(): value for name, value in response.headers.items()}
        faults = self.description.judge(method, path, response.status, names, text)
        if faults:
            self.blame(method, path, ["%s %s" % (response.status, text[:500])] + faults)
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text

    def client(self, role):
        """A connection for each thread and role."""
        clients = self.clients.__dict__.setdefault("by_role", {})
        if role not in clients:
            clients[role] = Client(self.instance, self.keys[role])
        return clients[role]

    def blame(self, method, path, lines):
        self.faults.setdefault((method.lower(), path.split("?")[0]), []).extend(lines)

    def post(self, path, body=None, **options):
        return self.call("POST", path, {} if body is None else body, **options)

    def get(self, path, **options):
        return self.call("GET", path, **options)

    def expect(self, wanted, method, path, body=None, **options):
        """The status, or the error code, that must come."""
        status, answer = self.call(method, path, body, **options)
        came = answer["error"]["code"] if isinstance(answer, dict) and "error" in answer else status
        if came != wanted:
            self.blame(method, path, ["expected %s for %s, got %s %s" % (
                wanted, str(body)[:200], status, str(answer)[:300])])
        return answer

    # What a call needs before it

    def clean(self):
        """No stacks, no queue, the settings of a new project."""
        status = self.get("/status")[1]
        for waiting in status["queue"]:
            self.post("/cancelRequest", {"requestNumber": waiting["requestNumber"]})
        for stack in status["stacks"]:
            self.post("/deleteStack", {"stackName": stack["stackName"]})
            if "lease" in stack:
                self.post("/revokeLease", {"stackName": stack["stackName"]})
        self.post("/updateProject", {"maxStacks": 10, "waitSeconds": 600, "initialCommit": None,
                                     "quarantineAfter": 2, "settleSeconds": 0,
                                     "mainBranch": None, "paused": False})

    def lease(self, **fields):
        return self.post("/requestStack", fields)[1]

    def full(self):
        """One stack, and a job has it."""
        self.clean()
        self.post("/updateProject", {"maxStacks": 1})
        return self.lease()

    def waiting(self, **fields):
        """A request that waits, on a thread of its own; returns the thread and its number."""
        before = self.connected()
        thread = threading.Thread(target=self.post, args=("/requestStack", fields),
                                  kwargs={"timeout": 10 * CALL_SECONDS}, daemon=True)
        thread.start()
        new = await_condition(CALL_SECONDS, lambda: self.connected() - before, "a request waits")
        return thread, new.pop()

    def connected(self):
        """The numbers of the requests that wait with a caller."""
        return {one["requestNumber"] for one in self.get("/status")[1]["queue"] if one["connected"]}


# --- Examples: what must be so before each, and what to put into it ---

def with_idle(world):
    world.clean()
    world.post("/addStacks", {"count": 1})
    return {}


def with_lease(world):
    world.clean()
    lease = world.lease()
    return {"leaseId": lease["leaseId"], "fence": lease["fence"]}


def with_waiting(world):
    request_id = new_id()
    world.full()
    thread, number = world.waiting(requestId=request_id)
    return {"requestId": request_id, "requestNumber": number, "": thread}


def with_queue(world):
    """The request goes on waiting."""
    return {"requestNumber": with_waiting(world)["requestNumber"]}


def with_two_idle(world):
    world.clean()
    world.post("/addStacks", {"count": 2})
    return {}


def with_held(world):
    with_idle(world)
    world.post("/holdStack", {"stackName": "test-1"})
    return {}


def with_own_hold(world):
    own = with_lease(world)
    world.post("/releaseStack", {"stackName": "test-1", "leaseId": own["leaseId"], "outcome": "hold"})
    return own


def with_nothing(world):
    world.clean()
    return {"requestId": new_id()}


def new_id():
    return "openapi-" + secrets.token_hex(8)


NEEDS = {
    "/requestStack": {"plain": with_idle, "content": with_nothing, "refresh": with_two_idle},
    "/setLastDeployedCommit": {"plain": with_lease, "owned": with_lease, "asMarked": with_lease},
    "/markUnits": {"before": with_lease, "done": with_lease},
    "/releaseStack": {"plain": with_lease, "owned": with_lease, "hold": with_lease, "cutOff": with_lease},
    "/deleteLastStack": {"none": with_idle},
    "/extendLease": {"heartbeat": with_lease, "seconds": with_lease},
    "/cancelRequest": {"own": with_waiting, "byNumber": with_waiting},
    "/holdStack": {"hold": with_idle, "atOnce": with_lease},
    "/quarantineStack": {"quarantine": with_idle},
    "/reinstateStack": {"ownHold": with_own_hold, "reinstate": with_held},
    "/revokeLease": {"revoke": with_lease, "fenced": with_lease},
    "/addStacks": {"two": with_idle},
    "/deleteStack": {"delete": with_idle},
    "/updateProject": {"settings": with_idle, "forget": with_nothing, "pause": with_nothing,
                       "resume": with_idle},
    "/prioritizeRequest": {"first": with_queue},
}

# Examples that more than the call's own role is needed for.
ADMIN_ONLY = {("/reinstateStack", "reinstate")}


def send_examples(world, path, method, operation):
    role = ([role for need in operation["security"] for role in need["key"]] or ["none"])[0]
    if method == "get":
        if path == "/free":
            world.clean()
        parameters = [world.description.follow(one) for one in operation.get("parameters", [])]
        pairs = [(one["name"], one["example"]) for one in parameters if one["in"] == "query"]
        for query in [[]] + [[pair] for pair in pairs] + [pairs]:
            world.expect(200, "GET", path + ("?" + urllib.parse.urlencode(query) if query else ""), role=role)
        status, text = world.call("HEAD", path, role=role)
        if status != 200 or text:
            world.blame("HEAD", path, ["HEAD is answered %s %s" % (status, text)])
        return
    content = operation["requestBody"]["content"]["application/json"]
    if set(content["examples"]) != set(NEEDS[path]):
        world.blame(method, path, ["the test knows the examples %s" % sorted(NEEDS[path])])
    for name, example in content["examples"].items():
        body = example["value"]
        faults = world.description.faults_of_value(body, content["schema"])
        if faults:
            world.blame(method, path, ["example %s: %s" % (name, fault) for fault in faults])
        real = NEEDS[path][name](world)
        body = {field: real.get(field, value) for field, value in body.items()}
        world.expect(200, "POST", path, body, role="admin" if (path, name) in ADMIN_ONLY else role)
        # Plain curl sends this type.
        if not body:
            world.expect(200, "POST", path, "", role=role,
                         headers={"Content-Type": "application/x-www-form-urlencoded"})
        if "" in real:
            real[""].join()


# --- Errors that every call, or many, may get ---

def general_errors(world, path, method, operation):
    verb = method.upper()
    key = operation["security"] and operation["security"][0]["key"][0]
    role = key or "none"
    world.expect("methodNotAllowed", "DELETE" if method == "get" else "GET", path, role=role)
    # The description has it under the method that the path does know.
    world.description.seen.add((path, method, "405", "methodNotAllowed"))
    world.expect("badRequest", verb, path, role=role, headers={"X-Large": "x" * 5000})
    if key:
        world.expect("unauthorized", verb, path, role="none")
    if key and path != "/metrics":
        world.expect("unknownProject", verb, path, example_of(operation), role="ghost")
    if method == "get":
        names = [world.description.follow(one)["name"] for one in operation.get("parameters", [])]
        texts = {"branch", "find", "stackName", "stacksAfter"}
        for name in set(names) - texts:
            world.expect("invalidField", verb, path + "?" + name + "=x", role=role)
        for name in set(names) & texts:
            world.expect("invalidField", verb, path + "?" + name + "=" + 256 * "x", role=role)
        return
    world.expect("forbidden", verb, path, {}, role="viewer")
    if key == "admin":
        world.expect("forbidden", verb, path, {}, role="ci")
    for text in ("{", "[]", "1", '{"a":1,"a":2}', '{"a":' * 17 + "1" + "}" * 17):
        world.expect("invalidJson", verb, path, text, role=role)
    world.expect("bodyTooLarge", verb, path, " " * (256 * 1024 + 1), role=role)
    wrong_fields(world, path, operation, role)


def example_of(operation):
    if "requestBody" not in operation:
        return None
    content = operation["requestBody"]["content"]["application/json"]
    return next(iter(content["examples"].values()))["value"]


def wrong_fields(world, path, operation, role):
    """Each field left out, of another type, and out of its limits."""
    content = operation["requestBody"]["content"]["application/json"]
    schema = world.description.follow(content["schema"])
    good = {name: example_of(operation).get(name, "x") for name in schema.get("required", [])}
    for name in schema.get("required", []):
        for body in ({key: value for key, value in good.items() if key != name}, {**good, name: None}):
            answer = world.expect("missingField", "POST", path, body, role=role)
            if answer.get("error", {}).get("field") != name:
                world.blame("post", path, ["%s should be named as missing" % name])
    for name, field in schema["properties"].items():
        for value in wrong_values(world.description, field):
            answer = world.expect("invalidField", "POST", path, {**good, name: value}, role=role)
            if answer.get("error", {}).get("field", "").split(".")[0] != name:
                world.blame("post", path, ["%s should be named as invalid" % name])
    if path in ("/cancelRequest", "/markUnits", "/updateProject"):
        world.expect("missingField", "POST", path, good, role=role)


def wrong_values(description, field):
    field = description.follow(field)
    if "anyOf" in field:
        field = description.follow(field["anyOf"][0])
    kind = field["type"][0] if isinstance(field["type"], list) else field["type"]
    yield {"string": 7, "integer": "7", "boolean": "true", "object": [], "array": {}}[kind]
    if kind == "integer":
        yield field["minimum"] - 1
        yield min(field["maximum"] + 1, 2 ** 63)
        yield 1.5
    if "enum" in field:
        yield "other"
    elif kind == "string":
        yield "x" * (field["maxLength"] + 1)
        if field.get("minLength"):
            yield ""
    if kind == "object" and field.get("maxProperties"):
        yield {"u%d" % number: "1" for number in range(field["maxProperties"] + 1)}
        yield {"": "1"}
        yield {"unit": ""}
    if kind == "array":
        yield ["u%d" % number for number in range(field["maxItems"] + 1)]
        yield ["unit", "unit"]
        yield [""]
        yield [1]
    for name, inner in field.get("properties", {}).items():
        for value in wrong_values(description, inner):
            yield {name: value}


# --- Errors of one call ---

def superseding(world):
    """Takes the place of the one that waits, so the queue does not grow."""
    before = world.connected()
    thread = threading.Thread(target=world.post, args=("/requestStack", {"branch": "b", "supersede": True}),
                              kwargs={"timeout": 10 * CALL_SECONDS}, daemon=True)
    thread.start()
    await_condition(CALL_SECONDS, lambda: world.connected() - before, "the newer one waits")
    return thread


def errors_of_requests(world):
    request_id = new_id()
    world.full()
    world.expect("noStackAvailable", "POST", "/requestStack", {"waitSeconds": 0})
    world.expect("noStackAvailable", "POST", "/requestStack", {"waitSeconds": 0, "requestId": request_id})
    world.expect("notNow", "POST", "/requestStack", {"purpose": "refresh"})
    world.expect("unknownStack", "POST", "/requestStack", {"stackName": "test-99"})
    world.expect("noneFree", "GET", "/free")
    world.expect("requestMismatch", "POST", "/requestStack", {"commit": "other", "requestId": request_id})
    threads = [world.waiting(requestId=request_id)[0]]
    thread = threading.Thread(target=world.post, args=("/requestStack", {"requestId": request_id}), daemon=True)
    thread.start()
    threads.pop().join()  # replaced
    world.expect(200, "POST", "/cancelRequest", {"requestId": request_id})
    thread.join()  # cancelled
    world.expect("requestEnded", "POST", "/requestStack", {"requestId": request_id})
    old = world.waiting(branch="b")[0]
    new = superseding(world)
    old.join()  # superseded
    threads = [new] + [world.waiting()[0] for _ in range(MAX_WAITING - 1)]
    world.expect("queueFull", "POST", "/requestStack", {"waitSeconds": 10})
    # A call that waits is told when the program stops.
    world.instance.local("restart", "program")
    for thread in threads:
        thread.join()
    ready(world)


def errors_of_leases(world):
    mark = {"stackName": "test-1", "lastDeployedCommit": "c"}
    for path, body in (("/setLastDeployedCommit", mark), ("/releaseStack", {"stackName": "test-1"})):
        world.clean()
        own = world.lease(requestId=new_id())
        world.expect("leaseIdRequired", "POST", path, body)
        world.expect("wrongLeaseId", "POST", path, {**body, "leaseId": secrets.token_hex(16)})
        world.expect("wrongLeaseId", "POST", path, {**body, "leaseId": "no leaseId at all"})
        world.expect(200, "POST", "/releaseStack", {"stackName": "test-1", "leaseId": own["leaseId"]})
        world.expect("unknownStack", "POST", path, {**body, "stackName": "test-99"})
    units = {"stackName": "test-1", "units": {"a": None}}
    for path, body in (("/setLastDeployedCommit", mark), ("/extendLease", {"stackName": "test-1"}),
                       ("/markUnits", units)):
        world.expect("leaseLost", "POST", path, {**body, "leaseId": own["leaseId"]})
    for path, body in (("/extendLease", {}), ("/markUnits", units)):
        world.expect("unknownStack", "POST", path, {**body, "stackName": "test-99", "leaseId": own["leaseId"]})
    world.lease()
    world.expect("wrongLeaseId", "POST", "/markUnits", {**units, "leaseId": secrets.token_hex(16)})
    lease = world.lease(requestId=new_id())
    for part in range(3):
        marks = {"unit-%d" % number: "1" for number in range(part * 2000, part * 2000 + 2000)}
        world.expect(200 if part < 2 else "tooManyUnits", "POST", "/markUnits",
                     {"stackName": lease["stackName"], "leaseId": lease["leaseId"], "units": marks})


def errors_of_holds(world):
    own = with_own_hold(world)
    world.expect("leaseIdRequired", "POST", "/reinstateStack", {"stackName": "test-1"}, role="ci")
    world.expect("wrongLeaseId", "POST", "/reinstateStack",
                 {"stackName": "test-1", "leaseId": secrets.token_hex(16)}, role="ci")
    ended = {"stackName": "test-1", "leaseId": own["leaseId"]}
    world.expect(200, "POST", "/holdStack", {"stackName": "test-1"})
    world.expect("invalidState", "POST", "/reinstateStack", ended, role="ci")
    world.expect(200, "POST", "/reinstateStack", {"stackName": "test-1"})
    world.lease()
    world.expect("leaseLost", "POST", "/reinstateStack", ended, role="ci")
    world.clean()
    world.post("/updateProject", {"maxHeld": 0})
    world.lease()
    world.expect(200, "POST", "/releaseStack", {"stackName": "test-1", "outcome": "hold"})
    world.post("/updateProject", {"maxHeld": 5})


def errors_of_administration(world):
    number = world.full()["requestNumber"]
    world.expect("stackLeased", "POST", "/deleteLastStack", {})
    world.expect("invalidState", "POST", "/cancelRequest", {"requestNumber": number})
    world.expect("unknownRequest", "POST", "/cancelRequest", {"requestNumber": 10 ** 9})
    world.expect("unknownRequest", "POST", "/cancelRequest", {"requestId": new_id()})
    world.expect("invalidState", "POST", "/prioritizeRequest", {"requestNumber": number, "priority": 1})
    world.expect("unknownRequest", "POST", "/prioritizeRequest", {"requestNumber": 10 ** 9, "priority": 1})
    world.expect("tooManyStacks", "POST", "/addStacks", {"count": 5})
    world.expect("stacksExist", "POST", "/updateProject", {"prefix": "other-"})
    world.expect("invalidState", "POST", "/revokeLease", {"stackName": "test-1", "fence": 10 ** 9})
    world.expect(200, "POST", "/deleteStack", {"stackName": "test-1"})
    for path in ("/holdStack", "/quarantineStack"):
        world.expect("invalidState", "POST", path, {"stackName": "test-1"})
    with_held(world)
    world.expect("invalidState", "POST", "/deleteLastStack", {})
    world.expect("invalidState", "POST", "/revokeLease", {"stackName": "test-1"})
    for path in ("/holdStack", "/quarantineStack", "/reinstateStack", "/revokeLease", "/deleteStack"):
        world.expect("unknownStack", "POST", path, {"stackName": "test-99"})


# --- When parts are down, and when there is too much ---

def ready(world):
    await_condition(CALL_SECONDS, lambda: world.get("/readyz", role="none")[0] == 200, "the service is ready")


def each_call(world, wanted, skip=()):
    """Every call at the same time: each may take some seconds."""
    threads = []
    for path, method, operation in world.description.operations():
        if path not in skip:
            threads.append(threading.Thread(
                target=world.expect, args=(wanted, method.upper(), path, example_of(operation)),
                kwargs={"timeout": 3 * CALL_SECONDS}, daemon=True))
            threads[-1].start()
    for thread in threads:
        thread.join()


FILES = ("/", "/openapi.json")


def errors_of_parts(world):
    world.clean()
    world.instance.local("kill", "database")
    await_condition(CALL_SECONDS, lambda: world.get("/readyz", role="none")[0] == 503, "the database is missed")
    each_call(world, "databaseUnavailable", FILES + ("/healthz", "/metrics"))
    world.expect(200, "GET", "/healthz", role="none")
    world.expect(200, "GET", "/metrics")
    world.instance.local("restart", "database")
    ready(world)
    world.instance.local("kill", "program")
    each_call(world, "badGateway", FILES)
    world.instance.local("restart", "program")
    ready(world)


def errors_of_rates(world):
    """Too many calls: the instance's nginx gets limits that a second call exceeds."""
    folder = os.path.join(world.instance.var, "etc/nginx")
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            text = file.read()
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(re.sub(r" burst=\d+ nodelay", "", re.sub(r"rate=\d+r/s", "rate=1r/m", text)))
    os.kill(int(world.instance.local("pid", "nginx")), signal.SIGHUP)
    for path, method, operation in world.description.operations():
        body = {"waitSeconds": 0} if path == "/requestStack" else example_of(operation)
        role = "admin" if operation["security"] else "none"
        await_condition(CALL_SECONDS, lambda: is_limited(world, method, path, body, role),  # pylint: disable=W0640
                        "%s %s has a limit" % (method, path))


def is_limited(world, method, path, body, role):
    try:
        return world.call(method.upper(), path, body, role=role)[0] == 429
    except (Cut, OSError, http.client.HTTPException):  # a worker of before the change closed it
        world.client(role).close()
        return False


# --- The files of Prometheus ---

def metrics_named_in_files():
    """{metric: file}: what alert rules and dashboard ask for."""
    folder = os.path.join(os.path.dirname(os.path.dirname(HERE)), "scripts/monitoring")
    found = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            for metric in re.findall(r"\b(?:stack_orchestrator|process)_[a-z_]*[a-z]\b(?![.:])", file.read()):
                found.setdefault(metric, name)
    return found


def check_metrics(world):
    """Every metric that the files name must be in the program's output, and the other way round."""
    text = world.get("/metrics")[1]
    present = set(re.findall(r"^(\w+?)(?:\{| )", re.sub(r"^#.*\n", "", text, flags=re.M), re.M))
    named = metrics_named_in_files()
    lines = ["%s (in %s) is not in /metrics" % (metric, file) for metric, file in named.items()
             if metric not in present]
    families = set(re.findall(r"^# TYPE (\w+) ", text, re.M))
    used = {re.sub(r"_(bucket|sum|count)$", "", metric) for metric in named} | set(named)
    return lines + ["%s is shown nowhere" % family for family in sorted(families - used)]


def check_response_examples(description):
    """The examples of answers, against their own schemas."""
    faults = []
    for path, method, operation in description.operations():
        for status, response in operation["responses"].items():
            for media in description.follow(response)["content"].values():
                for name, example in media.get("examples", {}).items():
                    faults += ["%s %s, %s, example %s: %s" % (method, path, status, name, fault)
                               for fault in description.faults_of_value(
                                   description.follow(example)["value"], media["schema"])]
    return faults


def main():
    world = World()
    operations = list(world.description.operations())
    tap = Tap(len(operations) + 3)
    tap.result(*verdict("the examples of answers keep to their own schemas",
                        check_response_examples(world.description)))
    for path, method, operation in operations:
        send_examples(world, path, method, operation)
    metrics = check_metrics(world)
    world.clean()
    for path, method, operation in operations:
        general_errors(world, path, method, operation)
    for scenario in (errors_of_requests, errors_of_leases, errors_of_holds, errors_of_administration,
                     errors_of_parts, errors_of_rates):
        scenario(world)
    for path, method, _ in operations:
        faults = [line for (_, where), lines in world.faults.items() if where == path for line in lines]
        tap.result(*verdict("%s %s answers as it is described" % (method.upper(), path), faults))
    missing = [one for one in world.description.documented()
               if one not in world.description.seen and one[2] != "default" and one[3] not in RARE
               and not (one[0] in FILES and one[3] == "notFound")]
    tap.result(*verdict("every answer that is described was seen, but for %s" % " and ".join(sorted(RARE)),
                        ["%s %s: %s %s" % (one[1], one[0], one[2], one[3] or "") for one in missing]))
    tap.result(*verdict("alert rules and dashboard show the metrics that there are", metrics))
    tap.exit()


def verdict(name, faults):
    return not faults, name, faults[:40]


main()
