#!/usr/bin/python3
"""Who gets where: each role on each route by each method, headers and paths that pretend, one
project against another, browsers, TLS."""
import os
import re
import socket
import ssl
import sys
import warnings

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from attack import (ROLES, ROOT, Ended, Instance, Suite, description, request,  # noqa: E402
                    routes, tls_context)

suite = Suite()

# What nginx/README.md promises: the method, and the least role. A route without a row here fails.
ROUTES = {
    "/requestStack": ("POST", "ci"),
    "/setLastDeployedCommit": ("POST", "ci"),
    "/markUnits": ("POST", "ci"),
    "/releaseStack": ("POST", "ci"),
    "/deleteLastStack": ("POST", "ci"),
    "/extendLease": ("POST", "ci"),
    "/cancelRequest": ("POST", "ci"),
    "/holdStack": ("POST", "admin"),
    "/quarantineStack": ("POST", "admin"),
    "/reinstateStack": ("POST", "ci"),  # its own hold, by its leaseId
    "/revokeLease": ("POST", "admin"),
    "/addStacks": ("POST", "admin"),
    "/deleteStack": ("POST", "admin"),
    "/updateProject": ("POST", "admin"),
    "/prioritizeRequest": ("POST", "admin"),
    "/listStacks": ("GET", "viewer"),
    "/free": ("GET", "viewer"),
    "/status": ("GET", "viewer"),
    "/history": ("GET", "viewer"),
    "/actions": ("GET", "viewer"),
    "/events": ("GET", "viewer"),
    "/capacity": ("GET", "viewer"),
    "/metrics": ("GET", "viewer"),
    "/healthz": ("GET", None),
    "/readyz": ("GET", None),
}
FILES = ("/", "/openapi.json", "/dashboard/index.html", "/dashboard/main.js")
UNKNOWN = "/noSuchCall"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
           "PROPFIND",
           "BREW", "get", "pOST")
RANK = {None: 0, "viewer": 1, "ci": 2, "admin": 3}
# Refused after the role was checked: it changes nothing where the role is enough.
FAULTY = {"stackName": 7, "branch": 7, "requestId": 7, "maxStacks": -1, "count": -1}


class Scene:
    def __init__(self):
        self.instance = Instance("attack", {"nginx.stranger_rate": 100000,
                                            "nginx.stranger_burst": 100000})
        self.keys = self.instance.keys("mine", "--max-stacks", "3")
        self.theirs = self.instance.keys("victim", "--max-stacks", "2", "--wait-seconds", "600")

    def ask(self, *arguments, **options):
        return self.instance.ask(*arguments, **options)


# --- Roles and routes ---

@suite.row("the table of this test has a row for each route of the program and of openapi.json")
def table_is_whole(_):
    known = {path: (method, None if role == "none" else role) for path, role, method in routes()}
    if known != ROUTES:
        yield "the program's table differs: %s" % sorted(set(known.items()) ^ set(ROUTES.items()))
    described = {(path, method.upper()) for path, methods in description()["paths"].items()
                 for method in methods if method in ("get", "post", "put", "patch", "delete")}
    expected = {(path, method) for path, (method, _) in ROUTES.items()}
    expected |= {("/", "GET"), ("/openapi.json", "GET")}
    if described ^ expected:
        yield "openapi.json differs: %s" % sorted(described ^ expected)


def expected_status(path, method, role):
    """What nginx/README.md promises for a call whose body is faulty."""
    if method in ("get", "pOST"):
        return {400}
    if method in ("TRACE", "CONNECT"):
        return {405}
    if path in FILES:
        return {200} if method in ("GET", "HEAD") else {405}
    least = ROUTES[path][1] if path in ROUTES else "viewer"
    if least and not role:
        return {401}
    if path == UNKNOWN:
        return {404}
    if method != ROUTES[path][0] and not (method == "HEAD" and ROUTES[path][0] == "GET"):
        return {405}
    if RANK[role] < RANK[least]:
        return {403}
    return {200} if ROUTES[path][0] == "GET" or path == "/deleteLastStack" else {400}


@suite.row("each role on each route by each method: what the table says, and nothing is changed")
def roles_and_routes(scene):
    before = scene.ask("GET", "/status", scene.keys["admin"]).json()
    callers = [(None, None), (None, "0" * 64), *((role, scene.keys[role]) for role in ROLES)]
    for role, key in callers:
        wire = scene.instance.wire()
        for path in [*ROUTES, *FILES, UNKNOWN]:
            for method in METHODS:
                body = FAULTY if method not in ("GET", "HEAD", "TRACE", "CONNECT") else None
                try:
                    answer = wire.ask(method, path, key, body)
                except Ended as error:
                    yield "%s %s as %s: %s" % (method, path, role, error)
                    wire = scene.instance.wire()
                    continue
                if answer.status not in expected_status(path, method, role):
                    yield "%s %s as %s: %s" % (method, path, role, answer)
                if (answer.header("Connection") or "").lower() == "close" or answer.status == 400:
                    wire.close()
                    wire = scene.instance.wire()
        wire.close()
    after = scene.ask("GET", "/status", scene.keys["admin"]).json()
    if [before[part] for part in ("stacks", "project", "queue")] != [
            after[part] for part in ("stacks", "project", "queue")]:
        yield "the project was changed"
    if scene.ask("GET", "/actions", scene.keys["admin"]).json()["actions"]:
        yield "an action was recorded"


# --- Pretending by headers and parameters ---

def spellings(name):
    dashed = name.replace("_", "-")
    return {name, name.lower(), dashed, dashed.lower(), "HTTP_" + name, "HTTP-" + dashed,
            "X-" + dashed, "FCGI-" + dashed, "Redirect-" + dashed}


PRETENCE = {
    "SO_PROJECT": "victim", "SO_ROLE": "admin", "SO_KEY_NAME": "victim-admin",
    "SO_IDENTITY": "victim admin victim-admin", "SO_REQUEST_ID": "forged",
    "SO_IDEMPOTENCY_KEY": "forged",
    "REQUEST_METHOD": "POST", "DOCUMENT_URI": "/addStacks", "QUERY_STRING": "limit=1",
    "REMOTE_ADDR": "127.0.0.1", "REMOTE_USER": "admin", "SCRIPT_NAME": "/addStacks",
    "X_HTTP_METHOD_OVERRIDE": "POST", "X_ORIGINAL_URL": "/addStacks", "X_REWRITE_URL": "/addStacks",
    "X_FORWARDED_FOR": "127.0.0.1", "X_FORWARDED_HOST": "evil.example",
    "X_ACCEL_REDIRECT": "/-so/error/forbidden",
    "X_REAL_IP": "127.0.0.1", "FORWARDED": "for=127.0.0.1", "PROXY": "http://evil.example",
    "X_SENDFILE": "/etc/passwd", "AUTHORIZATION": "Basic YWRtaW46YWRtaW4=",
}


@suite.row("headers, queries and cookies that name the program's parameters change nobody's "
           "project or role")
def pretence(scene):
    pairs = [(spelling, value) for name, value in PRETENCE.items()
             for spelling in sorted(spellings(name))]
    query = "&".join("%s=%s" % (name, value.replace(" ", "%20"))
                     for name, value in PRETENCE.items())
    cookie = ("Cookie", "; ".join("%s=%s" % (name, value) for name, value in PRETENCE.items()))
    size = 40
    groups = [pairs[at:at + size] for at in range(0, len(pairs), size)] + [[cookie]]
    for headers in groups:
        for at in ("/status", "/status?" + query):
            answer = scene.ask("GET", at, scene.keys["viewer"], headers=headers)
            told = answer.json()
            if at == "/status" and (answer.status != 200 or told["project"]["name"] != "mine" or
                                    told["key"] != {"name": "mine-viewer", "role": "viewer"}):
                yield "with %s: %s" % (headers[:2], answer)
            if at != "/status" and answer.status != 400:  # it has no such parameters
                yield "with the query and %s: %s" % (headers[:2], answer)
            if answer.header("X-Request-Id") == "forged":
                yield "the request id can be chosen"
            answer = scene.ask("GET", at, headers=headers)
            if answer.status != 401:
                yield "without a key, with %s: %s" % (headers[:2], answer)
        answer = scene.ask("POST", "/addStacks?" + query, scene.keys["ci"], {"count": 1}, headers)
        if answer.status != 403:
            yield "addStacks as ci with %s: %s" % (headers[:2], answer)
        lent = scene.ask("POST", "/requestStack?" + query, scene.keys["ci"], {}, headers).json()
        if lent.get("requestId") or not lent.get("stackName", "").startswith("test-"):
            yield "requestStack with %s: %s" % (headers[:2], lent)
        scene.ask("POST", "/releaseStack", scene.keys["ci"],
                  {"stackName": lent["stackName"], "leaseId": lent["leaseId"]})
    if len(groups) < 4:
        yield "only %d groups of headers" % len(groups)


@suite.row("a key counts in X-API-Key alone: no other spelling, place, header twice or part of a "
           "list")
def one_place_for_a_key(scene):
    good = scene.keys["admin"]
    places = [(name, good) for name in (
        "X_API_Key", "X_API-Key", "X-API_Key", "x_api_key", "HTTP_X_API_KEY", "HTTP-X-API-Key",
        "X-API-Keys", "X-Api", "API-Key", "Key", "Proxy-Authorization", "SO-KEY")]
    places += [("Authorization", "Bearer " + good), ("Authorization", "ApiKey " + good),
               ("Cookie", "X-API-Key=" + good), ("X-API-Key", good + "," + good),
               ("X-API-Key", good + ", x"), ("X-API-Key", "x, " + good), ("X-API-Key", good + ";"),
               ("X-API-Key", '"%s"' % good), ("X-API-Key", good + "\\0"), ("X-API-Key", "~.*"),
               ("X-API-Key", "default"), ("X-API-Key", ""), ("X-API-Key", "*")]
    for header in places:
        answer = scene.ask("GET", "/status", headers=[header])
        if answer.status != 401:
            yield "%s: %s %s" % (header[0], header[1].replace(good, "KEY"), answer.status)
    # Whoever writes a key into a URL has it logged: this one is for nothing else.
    spare = scene.instance.ctl("key", "create", "mine", "viewer", "spare")
    if scene.ask("GET", "/status", spare).status != 200:
        yield "a new key is not good"
    for path in ("/status?X-API-Key=", "/status?x_api_key=", "/status?key=", "/status;key=",
                 "/status/"):
        answer = scene.ask("GET", path + spare)
        if answer.status != 401:
            yield "%s: %s" % (path, answer.status)
    for first, second in (("x", good), ("", good), ("0" * 64, good)):
        answer = scene.ask("GET", "/status", headers=[("X-API-Key", first), ("X-API-Key", second)])
        if answer.status not in (400, 401):
            yield "a good key behind a bad one: %s" % answer.status
    twice = [("X-API-Key", scene.keys["viewer"]), ("X-API-Key", good)]
    for headers in (twice, twice[::-1][1:] + twice[::-1][:1]):
        answer = scene.ask("POST", "/addStacks", headers=headers, body={"count": 1})
        if answer.status not in (400, 401, 403):
            yield "an admin's key behind a viewer's: %s" % answer.status
    folded = request("GET", "/status").replace(b"\r\n\r\n",
                                               b"\r\nX-API-Key:\r\n " + good.encode() + b"\r\n\r\n")
    with scene.instance.wire() as wire:
        wire.send(folded)
        if any(answer.status == 200 for answer in wire.answers(0.3)):
            yield "a folded header line is a key"


@suite.row("Host, absolute URLs and X-Forwarded-* choose no other service and are not sent back")
def hosts(scene):
    for path, headers in (
            ("https://evil.example/status", []), ("http://evil.example:1/status", []),
            ("/status", [("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "http")])):
        answer = scene.ask("GET", path, scene.keys["viewer"], headers=headers)
        if answer.status != 200 or answer.json()["project"]["name"] != "mine":
            yield "%s: %s" % (path, answer)
        if "evil.example" in str(answer.headers) + answer.text():
            yield "%s comes back" % path
    for lines, statuses in (
            (["Host: evil.example"], {200}), (["Host: evil.example:0"], {200, 400}), ([], {400}),
            (["Host: a", "Host: b"], {400}), (["Host: a/../b"], {400}), (["Host: a b"], {400}),
            (["Host: a@b"], {200, 400}), (["Host: " + "a" * 2000], {200, 400})):
        with scene.instance.wire() as wire:
            wire.send("\r\n".join(["GET /healthz HTTP/1.1", *lines, "", ""]).encode())
            answers = wire.answers(0.3)
        if [answer.status for answer in answers] not in [[status] for status in statuses]:
            yield "%s: %s" % (lines, [answer.status for answer in answers])
        if any("evil.example" in str(answer.headers) + answer.text() for answer in answers):
            yield "%s comes back" % lines


# --- Paths ---

def disguises(path):
    """Ways to write a path that some part may read as that path, and another not."""
    name = path[1:]
    hidden = "".join("%%%02x" % ord(letter) for letter in name)
    return [
        "//" + name, "///" + name, "/./" + name, "/x/../" + name, "/" + name + "/",
        "/" + name + "//",
        "/" + name + "/.", "/" + name + ".", "/" + name + "..", "/" + name + "%00",
        "/" + name + "%00.js", "/" + name + "%2f", "/%2f" + name, "/" + name + "%20",
        "/" + name + "+",
        "/" + name + "%09", "/" + name + "%0a", "/" + name + "%0d%0a", "/" + name + ";",
        "/" + name + ";.js",
        "/" + name.upper(), "/" + name.capitalize(), "/" + hidden, "/%25" + hidden[1:],
        "/" + name + "%3f",
        "/" + name + "%23", "/" + name + "?", "/" + name + "#", "/" + name + ".json",
        "/" + name + "~",
        "/healthz/../" + name, "/healthz/%2e%2e/" + name, "/healthz%2f..%2f" + name,
        "/healthz/..;/" + name,
        "/dashboard/../" + name, "/dashboard/%2e%2e/" + name, "/dashboard/..%2f" + name,
        "/dashboard/%2e%2e%2f" + name, "/dashboard/..%5c" + name, "/dashboard/.%00./" + name,
        "/openapi.json/../" + name, "/openapi.json/" + name, "/-so/../" + name,
        "/-so/error/forbidden/../" + name,
        "/readyz/" + name, "/healthz%00/../" + name, "\\" + name, "/\\" + name, name,
        "/%c0%af" + name, "/%e0%80%af" + name, "/..%c0%af" + name, "/%ff/../" + name,
    ]


@suite.row("without a key no way to write a path leads to what needs one")
def paths_without_a_key(scene):
    count = 0
    for path in ("/status", "/listStacks", "/metrics", "/requestStack"):
        for disguise in disguises(path):
            method = ROUTES[path][0]
            for answer in exchange(scene, request(method, disguise,
                                                  body="{}" if method == "POST" else None)):
                count += 1
                if answer.status not in (400, 401, 404, 405):
                    yield "%s: %s" % (disguise, answer)
                if b"mine" in answer.body or b"stacks" in answer.body or b"leaseId" in answer.body:
                    yield "%s tells: %s" % (disguise, answer)
    if count < 150:
        yield "only %d answers" % count


@suite.row("no way to write a path lets a viewer or a ci key do an administrator's calls")
def paths_above_the_role(scene):
    before = scene.ask("GET", "/status", scene.keys["admin"]).json()
    for role in ("viewer", "ci"):
        for disguise in disguises("/addStacks"):
            for answer in exchange(scene, request("POST", disguise, scene.keys[role],
                                                  {"count": 1})):
                if answer.status not in (400, 403, 404, 405):
                    yield "%s as %s: %s" % (disguise, role, answer)
    after = scene.ask("GET", "/status", scene.keys["admin"]).json()
    if len(before["stacks"]) != len(after["stacks"]):
        yield "stacks were added"


@suite.row("no path leads to a file that is not the dashboard's, nor to nginx's inner locations")
def files(scene):
    share = os.path.join(ROOT, "nginx")
    inside = [name for name in os.listdir(share) if name != "dashboard"]
    targets = ["/" + name for name in inside if name != "openapi.json"]
    for name in inside:
        targets += [way + name for way in (
            "/dashboard/../", "/dashboard/%2e%2e/", "/dashboard/..%2f", "/dashboard//../",
            "/dashboard/./../",
            "/dashboard/index.html/../../", "/dashboard/..%5c", "/dashboard/%252e%252e/",
            "/dashboard../",
            "/dashboard%2f..%2f")]
    targets += ["/dashboard", "/dashboard/", "/dashboard/.", "/dashboard/%00",
                "/dashboard/index.html%00",
                "/dashboard/index.html/", "/dashboard/.git/config", "/.git/config", "/etc/keys.map",
                "/keys.map",
                "/dashboard/../../../../../../etc/passwd",
                "/dashboard/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
                "/-so/error/forbidden", "/-so/error/unauthorized", "/-so/", "/-so/error/badRequest",
                "//-so/error/forbidden",
                "/%2dso/key", "/x/../-so/error/forbidden"]
    for key in (None, scene.keys["admin"]):
        for target in targets:
            if target.endswith("/../openapi.json") or target.endswith("%2e/openapi.json") or \
                    target.endswith("..%2fopenapi.json"):
                continue  # the same file by its own path
            for answer in exchange(scene, request("GET", target, key)):
                if answer.status not in (400, 401, 404):
                    yield "%s: %s" % (target, answer)
    served = {name for name in os.listdir(os.path.join(share, "dashboard"))}
    for name in served:
        answer = scene.ask("GET", "/dashboard/" + name)
        if answer.status != 200:
            yield "/dashboard/%s: %s" % (name, answer.status)


def exchange(scene, data):
    with scene.instance.wire() as wire:
        wire.send(data)
        try:
            return [wire.answer()]
        except Ended:
            return []


# --- One project against another ---

@suite.row("one project's keys reach nothing of another's: stacks, leases, requests, history, "
           "figures")
def projects(scene):
    mark = "MARK-of-the-victim"
    job = {"url": "https://ci.example/" + mark, "name": mark, "user": mark}
    wish = {"branch": mark, "commit": mark, "job": job, "units": {mark: mark}}
    key = scene.theirs["admin"]
    held = scene.ask("POST", "/requestStack", key, {**wish, "requestId": mark}).json()
    ended = scene.ask("POST", "/requestStack", key, wish).json()
    scene.ask("POST", "/setLastDeployedCommit", key,
              {"stackName": ended["stackName"], "lastDeployedCommit": mark,
                                                      "leaseId": ended["leaseId"]})
    scene.ask("POST", "/releaseStack", key,
              {"stackName": ended["stackName"], "leaseId": ended["leaseId"]})
    scene.ask("POST", "/holdStack", key,
              {"stackName": ended["stackName"], "reason": mark, "owner": mark})
    waiting = scene.instance.wire()
    waiting.send(request("POST", "/requestStack", key, {**wish, "requestId": mark + "-2"}))
    while len(scene.ask("GET", "/status", key).json()["queue"]) != 1:
        pass
    before = victim(scene)
    mine = scene.keys["admin"]
    yield from reading_another(scene, mark)
    yield from changing_another(scene, held, mark)
    # With stacks of the same names of one's own, too.
    own = [scene.ask("POST", "/requestStack", mine, {}).json() for _ in range(2)]
    yield from changing_another(scene, held, mark)
    for lease in own:
        scene.ask("POST", "/releaseStack", mine,
                  {"stackName": lease["stackName"], "leaseId": lease["leaseId"]})
    # The same requestId is another request here.
    answer = scene.ask("POST", "/requestStack", mine, {"requestId": mark})
    if answer.status != 200 or answer.json()["leaseId"] == held["leaseId"]:
        yield "a requestId of another project: %s" % answer
    if victim(scene) != before:
        yield "the victim's project was changed: %s" % victim(scene)
    renewed = scene.ask("POST", "/extendLease", key,
                        {"stackName": held["stackName"], "leaseId": held["leaseId"]})
    if renewed.status != 200:
        yield "the victim's lease is gone: %s" % renewed
    waiting.close()


def victim(scene):
    told = scene.ask("GET", "/status", scene.theirs["viewer"]).json()
    history = scene.ask("GET", "/history", scene.theirs["viewer"]).json()["requests"]
    actions = scene.ask("GET", "/actions", scene.theirs["viewer"]).json()["actions"]
    return ([(s["stackName"], s["state"], s["fence"], s["lastDeployedCommit"])
             for s in told["stacks"]],
            [(q["requestNumber"], q["branch"]) for q in told["queue"]], told["project"],
            [entry["requestNumber"] for entry in history], len(actions))


def reading_another(scene, mark):
    queries = ["", "?limit=100", "?branch=" + mark, "?stackName=test-1", "?before=1000000",
               "?project=victim",
               "?projectId=1", "?project_id=2", "?SO_PROJECT=victim", "?state=released",
               "?branch=x%27%20OR%20%27a%27=%27a"]
    for role in ROLES:
        for path, (method, _) in ROUTES.items():
            for query in queries if method == "GET" else []:
                answer = scene.ask("GET", path + query, scene.keys[role])
                if mark.lower() in answer.text().lower():
                    yield "%s%s tells the victim's: %s" % (path, query, answer)
                if "victim" in answer.text():
                    yield "%s%s names the victim: %s" % (path, query, answer)
    if mark not in scene.ask("GET", "/history", scene.theirs["viewer"]).text():
        yield "the victim itself doesn't see the mark"


def changing_another(scene, held, mark):
    key = scene.keys["admin"]
    stack, lease = held["stackName"], held["leaseId"]
    status = scene.ask("GET", "/status", scene.theirs["viewer"]).json()
    number = status["queue"][0]["requestNumber"]
    for path, body, good in (
            # 200: it has a stack of that name itself, which isn't leased: no effect.
            ("/releaseStack", {"stackName": stack, "leaseId": lease}, (200, 403, 404)),
            ("/setLastDeployedCommit",
             {"stackName": stack, "lastDeployedCommit": "x", "leaseId": lease},
             (403, 404, 410)),
            ("/extendLease", {"stackName": stack, "leaseId": lease, "seconds": 1}, (404, 410)),
            ("/cancelRequest", {"requestId": mark + "-2"}, (404,)),
            ("/cancelRequest", {"requestId": mark}, (404,)),
            ("/cancelRequest", {"requestNumber": number + 1000}, (404,)),
            ("/revokeLease", {"stackName": stack, "fence": held["fence"] + 10 ** 9}, (404, 409)),
            ("/releaseStack", {"stackName": "victim/" + stack, "project": "victim"}, (404,)),
            ("/releaseStack", {"stackName": "../victim/" + stack}, (404,))):
        answer = scene.ask("POST", path, key, body)
        if answer.status not in good or mark in answer.text().replace(str(body), ""):
            yield "%s: %s" % (path, answer)


# --- Browsers ---

@suite.row("every answer has the headers that keep a browser from misusing it; none allows another "
           "origin")
def browser_headers(scene):
    program = "default-src 'none'; frame-ancestors 'none'"
    cases = [("GET", path, None) for path in (*FILES, "/healthz", "/readyz", "/status", UNKNOWN)]
    cases += [("GET", "/status", scene.keys["viewer"]),
              ("POST", "/addStacks", scene.keys["viewer"]),
              ("GET", UNKNOWN, scene.keys["viewer"]),
              ("GET", "/history?limit=x", scene.keys["viewer"]),
              ("GET", "/metrics", scene.keys["viewer"]), ("OPTIONS", "/requestStack", None),
              ("PUT", "/", None), ("TRACE", "/", None), ("GET", "/" + "x" * 5000, None),
              ("get", "/", None)]
    origin = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST"),
              ("Access-Control-Request-Headers", "x-api-key")]
    for method, path, key in cases:
        answer = scene.ask(method, path, key, headers=origin)
        place = "%s %s (%s)" % (method, path[:60], answer.status)
        policy = answer.header("Content-Security-Policy") or ""
        if path in FILES and answer.status == 200:
            wanted = ("default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'",
                      "form-action 'none'")
            if any(part not in policy for part in wanted) or "unsafe" in policy:
                yield "%s: Content-Security-Policy: %s" % (place, policy)
        elif policy != program and path not in FILES:
            yield "%s: Content-Security-Policy: %s" % (place, policy)
        for name, value in (("X-Content-Type-Options", "nosniff"),
                            ("Referrer-Policy", "no-referrer"),
                            ("Strict-Transport-Security", "max-age=63072000")):
            if answer.header(name) != value:
                yield "%s: %s: %s" % (place, name, answer.header(name))
        if not re.fullmatch("no-store|no-cache", answer.header("Cache-Control") or ""):
            yield "%s: Cache-Control: %s" % (place, answer.header("Cache-Control"))
        if path not in FILES and answer.header("Cache-Control") != "no-store":
            yield "%s may be stored" % place
        if any(name.lower().startswith("access-control") for name, _ in answer.headers):
            yield "%s allows another origin" % place
        if answer.header("Set-Cookie"):
            yield "%s sets a cookie" % place
        if re.search("[0-9]", answer.header("Server") or ""):
            yield "%s tells a version: %s" % (place, answer.header("Server"))
        kind = answer.header("Content-Type") or ""
        if answer.status >= 400 and kind != "application/json":
            yield "%s is %s" % (place, kind)


@suite.row("a page of another site can't act: forms and cookies carry no key")
def forgery(scene):
    for kind, body in (("application/x-www-form-urlencoded", "count=1"),
                       ("text/plain", '{"count":1}'),
                       ("multipart/form-data; boundary=b", '--b\r\n\r\n{"count":1}\r\n--b--')):
        for path in ("/addStacks", "/requestStack", "/deleteLastStack"):
            answer = scene.ask("POST", path, body=body, headers=[
                ("Content-Type", kind), ("Origin", "https://evil.example"),
                ("Cookie", "X-API-Key=%s" % scene.keys["admin"])])
            if answer.status != 401:
                yield "%s by %s: %s" % (path, kind, answer)


# --- TLS ---

def handshake(scene, least, most, ciphers=None):
    """The version that came about, or None."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        # Debian's OpenSSL offers old versions on this level only.
        context.set_ciphers((ciphers or "ALL:eNULL") + ":@SECLEVEL=0")
        context.minimum_version, context.maximum_version = least, most
        with socket.create_connection(("127.0.0.1", scene.instance.port), 10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as wire:
                return "%s %s" % (wire.version(), wire.cipher()[0])
    except (ssl.SSLError, OSError) as error:
        return None if "NO_CIPHER_MATCH" not in str(error) else "none"


@suite.row("TLS 1.2 and 1.3 with forward secrecy and good ciphers; nothing older or weaker")
def tls(scene):
    version = ssl.TLSVersion
    warnings.simplefilter("ignore", DeprecationWarning)  # that they are old is the point
    for good in (version.TLSv1_2, version.TLSv1_3):
        if not handshake(scene, good, good):
            yield "%s is refused" % good.name
    for bad in (version.TLSv1, version.TLSv1_1):
        got = handshake(scene, bad, bad)
        if got:
            yield "%s is accepted: %s" % (bad.name, got)
    for weak in ("AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA",
                 "ECDHE-ECDSA-AES256-SHA384",
                 "ECDHE-RSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256", "aNULL", "eNULL"):
        got = handshake(scene, version.TLSv1_2, version.TLSv1_2, weak)
        if got and got != "none":
            yield "%s is accepted: %s" % (weak, got)


@suite.row("the port speaks HTTPS only: plain HTTP gets an error, and no answer")
def plain_http(scene):
    with scene.instance.wire(tls=False) as wire:
        wire.send(request("GET", "/status", scene.keys["viewer"]))
        answers = wire.answers(1)
    if [answer.code() for answer in answers] != ["httpsRequired"]:
        yield "plain HTTP: %s" % [str(answer) for answer in answers]
    with socket.create_connection(("127.0.0.1", scene.instance.port), 10) as plain:
        context = tls_context(scene.instance, ("h2", "http/1.1"))
        try:
            context.wrap_socket(plain, server_hostname="evil.example")
            yield "the certificate is good for any name"
        except ssl.SSLCertVerificationError:
            pass


if __name__ == "__main__":
    suite.run(Scene)
