#!/usr/bin/python3
"""A broken or hostile service answers ci-stack: first as each file of tests/fuzz/corpus/ci-stack/
says, then in ways made up. Prints TAP.

Whatever the answers are: nothing in them is run; the key is never shown; each line of output is
ci-stack's own, without control characters; the .env file holds the variables that were asked for
and no others; the exit status is one that `ci-stack --help` has; the state stays private; no file
is left in TMPDIR; it ends.

Environment: ANSWERS_RUNS (made-up ones; 40, always the same), SEED (of more; printed)."""
import concurrent.futures
import http.server
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
CI_STACK = os.path.join(os.path.dirname(os.path.dirname(HERE)), "scripts", "ci-stack")
CORPUS = os.path.join(HERE, "corpus", "ci-stack")
KEY = "ab" * 32
TIMEOUT_S = 120

# As `ci-stack --help` has them, but for those of signals.
STATUSES = {0, 64, 65, 69, 75, 76, 77, 79}
COMMANDS = [
    ["request"],
    ["run", "--deploy", "true", "--test", "true", "--env-template", "template",
     "--env-file", ".env"],
    ["run", "--test", "sleep 1"],
    ["run", "--deploy", "false", "--on-failure", "hold=60"],
    ["status"],
    ["status", "--json"],
    ["refresh", "--deploy", "true", "--units", "unit"],
    ["warm", "--deploy", "true", "--units", "unit", "--add", "1"],
    ["destroy", "--destroy", "true", "--draining"],
]
AFTERWARDS = [[], ["release"], ["extend"], ["mark"], ["exports", "--env-template", "template"],
              ["test", "--test", "true"]]

GRANT = {"stackName": "test-1", "lastDeployedCommit": "0123abcd", "leaseId": "0f" * 16, "fence": 1,
         "expiresAt": "2030-01-01T00:00:00.000Z", "expiresInSeconds": 300, "isNew": False,
         "requestNumber": 1, "waitedSeconds": 0.1, "changedUnits": ["unit"], "removedUnits": []}
STACK = {"stackName": "test-1", "state": "draining", "branch": "main", "lastDeployedCommit": "01ab",
         "lease": {"branch": "b", "expiresInSeconds": 9.5, "job": {"url": "https://ci.example"}}}
GOOD = {
    "/requestStack": GRANT,
    "/extendLease": {"stackName": "test-1", "fence": 1, "expiresInSeconds": 300},
    "/releaseStack": {"message": "Stack test-1 released"},
    "/setLastDeployedCommit": {"message": "Last commit of stack test-1 updated"},
    "/cancelRequest": {"message": "Request cancelled"},
    "/status": {"stacks": [STACK], "queue": [{"position": 1, "branch": "b", "waitedSeconds": 3}]},
    "/addStacks": {"message": "1 stacks added", "stacks": ["test-2"]},
    "/deleteStack": {"message": "Stack test-1 deleted"},
}
# What a shell would run, and what would pass for lines of others.
HOSTILE = [
    "$(touch canary)", "`touch canary`", "'; touch canary; '", '"; touch canary; "',
    "x[$(touch canary)]", "a\ntouch canary", "test-1\nPATH=.", "test-1 X=1", "../../canary",
    "-rf", "", " ", "\u001b[31mred", "a\r::error::forged", "\n::add-mask::x", "\u0000", "é" * 300,
    "x" * 100000, "%s%n", "test-1'\"\\", "{}", "*", "~", "!!", "\u202e", "--destroy",
    None, True, [], {}, [[]], {"a": {"b": 1}}, ["a\nb", 1, None], [{"x": "$(touch canary)"}],
    0, -1, 1e300, -1e300, 1e-300, 9223372036854775808, 0.5, float("nan"), float("inf"),
]
BODIES = ["", "{", "null", "[]", "{}", "<html>502</html>", "\u0000", '{"error":1}', '{"a":1}{"b":2}',
          '{"stackName":"test-1","stackName":"$(touch canary)"}', "[" * 3000, '{"error":{"code":[]}}',
          '{"error":{"code":"noStackAvailable\\n::x","message":"\\u001b]0;x\\u0007\\r\\nforged"}}']
ERRORS = ["noStackAvailable", "notNow", "requestEnded", "superseded", "cancelled", "replaced",
          "requestMismatch", "leaseLost", "wrongLeaseId", "invalidState", "unauthorized",
          "databaseUnavailable", "x\ny"]
RETRIES = ["0", "1", "-1", "99999999999999999999", "0x10", "$(touch canary)", "1\tx", "08", "1e9", ""]


class Case:
    """What the service answers: for each path a list, whose last one is repeated."""

    def __init__(self, command, answers, afterwards=()):
        self.command = list(command)
        self.afterwards = list(afterwards)
        self.answers = answers
        self.lock = threading.Lock()
        self.asked = {}

    def answer(self, path):
        with self.lock:
            at = self.asked.get(path, 0)
            self.asked[path] = at + 1
        listed = self.answers.get(path) or [[200, {}, json.dumps(GOOD.get(path, {}))]]
        return listed[min(at, len(listed) - 1)]

    def dump(self):
        return json.dumps({"command": self.command, "afterwards": self.afterwards,
                           "answers": self.answers})


def load_case(path):
    with open(path, encoding="utf-8") as file:
        return Case(**json.load(file))


def mutate(chance, value, depth=0):
    """The value with something else somewhere in it."""
    if isinstance(value, dict) and value and chance.random() < 0.9 and depth < 4:
        changed = dict(value)
        name = chance.choice(sorted(changed))
        if chance.random() < 0.15:
            del changed[name]
        else:
            changed[name] = mutate(chance, changed[name], depth + 1)
        return changed
    if isinstance(value, list) and value and chance.random() < 0.5 and depth < 4:
        return [mutate(chance, item, depth + 1) for item in value]
    return chance.choice(HOSTILE)


def made_up_answer(chance, path):
    headers = {"Retry-After": chance.choice(RETRIES)} if chance.random() < 0.3 else {}
    dice = chance.random()
    if dice < 0.55:
        body = mutate(chance, GOOD.get(path, {}))
        for _ in range(chance.randrange(2)):
            body = mutate(chance, body)
        return [200, headers, json.dumps(body)]
    if dice < 0.7:
        return [chance.choice([200, 200, 403, 409, 502, 503]), headers, chance.choice(BODIES)]
    error = {"code": chance.choice(ERRORS), "message": "no", "state": "expired", "position": 1,
             "estimatedWaitSeconds": 5}
    if chance.random() < 0.5:
        error = mutate(chance, error)
    return [chance.choice([302, 400, 401, 403, 404, 409, 410, 422, 429, 500, 503]), headers,
            json.dumps({"error": error})]


def made_up_case(chance):
    answers = {}
    for path in GOOD:
        if path == "/requestStack" and chance.random() < 0.4:
            continue  # so that what comes after it is reached
        if chance.random() < 0.5:
            answers[path] = [made_up_answer(chance, path)
                             for _ in range(chance.randrange(1, 3))]
            if path != "/requestStack":  # or it tries for minutes, as it should
                answers[path].append([200, {}, json.dumps(GOOD[path])])
    if not answers:
        answers["/requestStack"] = [made_up_answer(chance, "/requestStack")]
    return Case(chance.choice(COMMANDS), answers, chance.choice(AFTERWARDS))


class Service(http.server.BaseHTTPRequestHandler):
    case = None

    def respond(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, body = self.case.answer(self.path.partition("?")[0])
        body = body.encode("utf-8", "surrogatepass")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = respond

    def log_message(self, *_):
        pass


def serve(case):
    handler = type("Handler", (Service,), {"case": case})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def git(place, *arguments):
    subprocess.run(["git", "-C", place, *arguments], check=True, stdout=subprocess.DEVNULL)


def make_place():
    place = tempfile.mkdtemp(prefix="ci-stack-fuzz-")
    os.mkdir(os.path.join(place, "tmp"))
    git(place, "init", "-q", "-b", "main")
    for name, text in ("unit", "1\n"), ("template", "A=1\n"), (".gitignore", "*\n"):
        with open(os.path.join(place, name), "w", encoding="ascii") as file:
            file.write(text)
    git(place, "add", "-f", "unit")
    git(place, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "first")
    return place


def run_ci_stack(place, url, arguments):
    """(status, output)"""
    environment = {
        "PATH": os.environ["PATH"], "HOME": place, "TMPDIR": os.path.join(place, "tmp"),
        "LC_ALL": "C.UTF-8", "ORCHESTRATOR_URL": url, "ORCHESTRATOR_KEY": KEY, "CI_STACK_WAIT": "2",
        "CI_STACK_POLL": "1", "CI_STACK_LEASE": "5", "CI_STACK_GRACE": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    done = subprocess.run(["timeout", "--kill-after=5", str(TIMEOUT_S), CI_STACK, *arguments],
                          cwd=place, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode(errors="surrogateescape")


LINES = re.compile(r"ci-stack: |  (request|deploy|exports|migrate|test|mark) +|stack  |queue  "
                   r"|test-1$|test-1: -?\d+ s$|[][ {}]|\]")


def faults_of_output(arguments, output):
    if KEY in output:
        yield "shows the key"
    if "--json" in arguments:  # jq prints control characters as escapes
        return
    for line in output.split("\n"):
        if any(ord(char) < 32 or ord(char) == 127 for char in line.replace("\t", "")):
            yield f"prints a control character: {line!r}"
        if line and not LINES.match(line):
            yield f"prints a line that isn't its own: {line[:200]!r}"


def faults_of_place(place):
    for folder, _, files in os.walk(place):
        if "canary" in files:
            yield f"ran what the answer said: {folder}/canary"
    if os.listdir(os.path.join(place, "tmp")):
        yield f"left files in TMPDIR: {os.listdir(os.path.join(place, 'tmp'))}"
    state = os.path.join(place, ".ci-stack-state.json")
    if os.path.exists(state) and os.stat(state).st_mode & 0o077:
        yield "left its state open to others"
    variables = os.path.join(place, ".env")
    if os.path.exists(variables):
        with open(variables, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                if not re.fullmatch(r"A=1\n|STAGE=[A-Za-z0-9][A-Za-z0-9._-]{0,127}\n"
                                    r"|# ci-stack (begin|end)\n", line):
                    yield f".env has the line {line!r}"


def faults_of(case):
    """What went wrong, as a list of texts."""
    place = make_place()
    server = serve(case)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    faults = []
    try:
        for arguments in filter(None, (case.command, case.afterwards)):
            status, output = run_ci_stack(place, url, arguments)
            known = STATUSES | ({1} if "false" in arguments else set())
            if status not in known:
                faults.append(f"{arguments}: ended with status {status}: {output[-600:]!r}")
            faults += [f"{arguments}: {fault}" for fault in faults_of_output(arguments, output)]
        faults += faults_of_place(place)
    finally:
        server.shutdown()
        server.server_close()
        shutil.rmtree(place, ignore_errors=True)
    return faults


def tell(number, name, faults, case):
    print(f"{'not ok' if faults else 'ok'} {number} - {name}")
    for fault in faults:
        print("# " + fault)
    if faults:
        print("# " + case.dump()[:4000])
    sys.stdout.flush()
    return not faults


def main():
    runs = int(os.environ.get("ANSWERS_RUNS", "40"))
    fresh = random.randrange(1, 1 << 31) if "ANSWERS_RUNS" in os.environ else 1
    seed = int(os.environ.get("SEED") or fresh)
    files = sorted(os.listdir(CORPUS))
    cases = [(name, load_case(os.path.join(CORPUS, name))) for name in files]
    cases += [(f"made up, SEED={seed} number {i}", made_up_case(random.Random(f"{seed} {i}")))
              for i in range(runs)]
    all_good = bool(files)
    print(f"1..{len(cases)}")
    with concurrent.futures.ThreadPoolExecutor(4) as pool: # they mostly wait
        found = pool.map(lambda case: faults_of(case[1]), cases)
        for number, ((name, case), faults) in enumerate(zip(cases, found), 1):
            all_good &= tell(number, name, faults, case)
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
