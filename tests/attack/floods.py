#!/usr/bin/python3
"""Attacks by mass and by slowness, while honest callers borrow and give back: none of their calls
may fail, and none may take long. Prints TAP.

make test runs each attack for about two seconds. ATTACK=full (make floods) runs each in turns with
quiet times, at its full size, and compares the honest callers' times; RESULTS.md has a table.
ATTACK_ONLY= names the attacks to run, ATTACK_ROUNDS= and ATTACK_SECONDS= the turns.

Where times are compared, the attackers are threads that the kernel runs only when nothing else
wants the processor (SCHED_IDLE), at bounded rates: they share the machine with what they attack.
ATTACK_PACE=10 makes them ten times as fast, if they can. Where the kernel shares the processors among
sessions first (sched(7), kernel.sched_autogroup_enabled=1), SCHED_IDLE counts only within one, and
the attackers take half a processor from the servers: `computing` shows what that alone does.
"""
import collections
import os
import secrets
import ssl
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from attack import Ended, Instance, Suite, request  # noqa: E402
from honest import Honest, quantile  # noqa: E402
from http2 import (DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, SETTINGS,  # noqa: E402
                   Http2, frame)
from service import SLOWNESS, await_condition  # noqa: E402

FULL = os.environ.get("ATTACK") == "full"
ONLY = os.environ.get("ATTACK_ONLY", "").split()
ROUNDS = int(os.environ.get("ATTACK_ROUNDS", "3"))
PACE = float(os.environ.get("ATTACK_PACE", "1"))
SECONDS = float(os.environ.get("ATTACK_SECONDS", "4" if FULL else "2"))
# No honest call may take longer, on a machine that does other things, too.
LONGEST = 5 * SLOWNESS
# As scripts/local and the package set them.
RATES = {"nginx.key_rate": 1000, "nginx.key_burst": 5000, "nginx.stranger_rate": 10,
         "nginx.stranger_burst": 50}
QUEUE = 2000 if FULL else 200
STREAMS = 16  # that a connection may have at a time

suite = Suite()
attacks = {}


class Scene:
    def __init__(self):
        self.instance = Instance("flood", {**RATES, "log_level": "info",
                                           "max_waiting_per_project": QUEUE})
        honest = self.instance.keys("honest", "--max-stacks", "8", roles=("ci",))
        self.keys = self.instance.keys("attacker", "--max-stacks", "4", "--wait-seconds", "3600")
        self.third = self.instance.keys("third", "--max-stacks", "0", roles=("ci",))
        self.honest = Honest(self.instance, honest["ci"])
        self.fill_history()

    def fill_history(self):
        """A thousand jobs with long names, so that /history is a large answer."""
        long = "x" * 240
        self.instance.sql(
            "INSERT INTO history (project_id, lease_no, state, key_name, branch, commit_id,"
            " purpose, job_url, job_name, job_user, stack_no, fence, asked_at, granted_at, ended_at)"
            " SELECT p.project_id, 1000000 + n.n, 'released', 'x', '%s', '%s', 'test',"
            " CONCAT('https://', REPEAT('x', 2000)), '%s', '%s', 1, n.n, UTC_TIMESTAMP(6) -"
            " INTERVAL 2000 - n.n SECOND, UTC_TIMESTAMP(6) - INTERVAL 2000 - n.n SECOND,"
            " UTC_TIMESTAMP(6) - INTERVAL 1990 - n.n SECOND FROM project p JOIN"
            " (SELECT a.d + 10 * b.d + 100 * c.d AS n FROM %s a JOIN %s b JOIN %s c) n"
            " WHERE p.name = 'attacker'" % (long, long, long, long, *[DIGITS] * 3))

    def close(self):
        self.honest.end()


DIGITS = "(" + " UNION ALL ".join("SELECT %d AS d" % digit for digit in range(10)) + ")"


class Flood:
    """Attackers at work: each thread repeats act(scene, state) until the time is over."""

    def __init__(self, scene, act, threads, pace):
        self.scene, self.act = scene, act
        self.interval = threads / (pace * PACE)
        self.stopping = threading.Event()
        self.tally = collections.Counter()
        self.errors = []
        self.threads = [threading.Thread(target=self.work, args=(number,), daemon=True)
                        for number in range(threads)]

    def work(self, number):
        stand_back()
        state = {"number": number}
        due = time.monotonic() + self.interval * secrets.randbelow(1000) / 1000
        while not self.stopping.wait(due - time.monotonic()):
            due = max(due + self.interval, time.monotonic() - 1)
            try:
                self.act(self, state)
            except (OSError, Ended) as error:
                self.tally["cut"] += 1
                state = {"number": number}
                if self.tally["cut"] > 100000:
                    self.errors.append(error)
                    return
            except Exception as error:  # pylint: disable=broad-except
                self.errors.append(repr(error))
                return
        for part in state.values():
            if hasattr(part, "close"):
                part.close()

    def __enter__(self):
        self.started = time.monotonic()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        self.ended = time.monotonic()


def stand_back():
    """While times are compared this thread runs only when nobody else wants the processor."""
    if not FULL:
        return
    os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))


def attack(title, pace, threads=4, check=None):
    """Registers an attack of at most `pace` acts a second; check(scene, flood) yields faults."""
    def take(act):
        attacks[act.__name__] = (title, act, threads, pace, check)
        return act
    return take


def wire_of(flood, state, **options):
    if "wire" not in state:
        state["wire"] = flood.scene.instance.wire(**options)
    return state["wire"]


def http2_of(flood, state, **options):
    if "http2" not in state:
        state["http2"] = Http2(flood.scene.instance, **options)
    return state["http2"]


@attack("nothing: a thread that computes beside the service, to compare with", 1000, threads=1)
def computing(flood, _):
    sum(range(40000))
    flood.tally["sums"] += 1


# --- Guessing ---

PATHS = ["/status", "/requestStack", "/nothing", "/metrics", "/history?limit=1", "/addStacks"]
# An address that nobody else uses: the limit on strangers counts by address.
STRANGER = "127.9.0.1"


def limited(scene, flood):
    seconds = flood.ended - flood.started
    most = RATES["nginx.stranger_burst"] + RATES["nginx.stranger_rate"] * (seconds + 1) + 1
    if flood.tally[401] > most or flood.tally[429] < flood.tally[401]:
        yield "%d guesses were looked at in %.1f s, %.0f may be; %d got 429" % (
            flood.tally[401], seconds, most, flood.tally[429])
    if set(flood.tally) - {401, 429, "good", "http2", "cut"}:
        yield "other answers: %s" % flood.tally
    if not flood.tally["good"] or flood.tally["good"] != flood.tally["asked"] + flood.tally["good"]:
        yield "right keys from the same address: %s" % flood.tally
    answer = scene.instance.ask("GET", "/status", "0" * 64, source=STRANGER)
    if answer.status != 401:
        if answer.code() != "tooManyRequests" or not answer.header("Retry-After"):
            yield "429 is %s" % answer


@attack("guessed keys, over paths, kept connections, new ones and HTTP/2 streams: 429 after as "
        "many as documented; a right key from the same address is not held up", 400, check=limited)
def guessed_keys(flood, state):
    key = secrets.token_hex(32)
    path = secrets.choice(PATHS)
    method = secrets.choice(["GET", "POST", "PUT"])
    way = state["number"]
    if way == 0:
        flood.tally[wire_of(flood, state, source=STRANGER).ask(method, path, key).status] += 1
    elif way == 1:
        flood.tally[flood.scene.instance.ask(method, path, key, source=STRANGER).status] += 1
    elif way == 2:
        wire = http2_of(flood, state, source=STRANGER)
        streams = [wire.start(method, path, secrets.token_hex(32)) for _ in range(STREAMS)]
        for stream in streams:
            answer = wire.answer(stream, 20)
            flood.tally[answer.status if answer.status else "cut"] += 1
            flood.tally["http2"] += 1
    else:
        answer = wire_of(flood, state, source=STRANGER).ask("GET", "/listStacks",
                                                            flood.scene.keys["viewer"])
        flood.tally["good" if answer.status == 200 else "asked"] += 1


@attack("guessed leaseIds of a stack that is lent, as fast as the key's limit lets them", 1000)
def guessed_leases(flood, state):
    wire = wire_of(flood, state)
    body = {"stackName": "test-1", "leaseId": secrets.token_hex(16)}
    answer = wire.ask("POST", secrets.choice(["/releaseStack", "/extendLease"]),
                      flood.scene.keys["ci"], body)
    flood.tally[answer.status] += 1


# --- Costly calls ---

BOMBS = [b"[" * (256 * 1024),
         b'{"a":[{}' + b",{}" * 87000 + b"]}",
         b"{" + b",".join(b'"%x":1' % number for number in range(26000)) + b"}",
         b'{"units":{' + b",".join(b'"%s%d":"f"' % (b"u" * 100, n) for n in range(2000)) +
         b'},"purpose":"none"}']


@attack("bodies of 256 KiB that are made to cost", 50)
def json_bombs(flood, state):
    wire = wire_of(flood, state)
    state["next"] = state.get("next", state["number"]) + 1
    answer = wire.ask("POST", "/cancelRequest", flood.scene.keys["ci"],
                      BOMBS[state["next"] % len(BOMBS)])
    flood.tally[answer.status] += 1


@attack("the largest answers: /history, /capacity, /status, /metrics", 50, threads=8)
def costly_reads(flood, state):
    wire = wire_of(flood, state)
    path = ["/history?limit=100", "/capacity", "/status", "/metrics"][state["number"] % 4]
    flood.tally[wire.ask("GET", path, flood.scene.keys["viewer"]).status] += 1


@attack("requests that hang up at once", 200)
def hang_ups(flood, state):
    wire = flood.scene.instance.wire()
    wire.send(request("POST", "/requestStack", flood.scene.keys["ci"],
                      {"requestId": "h%d" % (flood.tally["sent"] % 50)}))
    wire.close()
    flood.tally["sent"] += 1
    state["unused"] = None


# --- Connections ---

@attack("new TLS connections without end, none of which asks anything", 200)
def handshakes(flood, _):
    flood.scene.instance.wire().close()
    flood.tally["handshakes"] += 1


def rapid_reset(flood, state, method, path, key):
    """A thousand streams at a time, each taken back at once."""
    wire = http2_of(flood, state)
    first, wire.next_stream = wire.next_stream, wire.next_stream + 2000
    head = wire.head(method, path, key)
    if not wire.wire.send(b"".join(
            frame(HEADERS, END_HEADERS | END_STREAM, stream, head) +
            frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
            for stream in range(first, first + 2000, 2))):
        raise Ended("refused")
    flood.tally["streams"] += 1000
    try:
        wire.wire.socket.settimeout(0)
        while True:
            wire.read()
            if wire.goes_away:
                raise Ended("it goes away")
    except Ended as error:
        if "did not complete" not in str(error) and "timed out" not in str(error):
            raise
    finally:
        wire.wire.socket.settimeout(20)


@attack("HTTP/2 streams that are reset at once, without a key", 20, threads=2)
def resets(flood, state):
    rapid_reset(flood, state, "GET", "/status", "0" * 64)


@attack("HTTP/2 streams that are reset at once, with a good key", 20, threads=2)
def resets_with_key(flood, state):
    rapid_reset(flood, state, "POST", "/requestStack", flood.scene.keys["ci"])


@attack("HTTP/2 SETTINGS, PING and empty DATA frames without end", 300, threads=3)
def http2_frames(flood, state):
    wire = http2_of(flood, state)
    part = [frame(SETTINGS, 0, 0, b""), frame(6, 0, 0, bytes(8)), frame(DATA, 0, 1, b"")]
    if not wire.wire.send(part[state["number"]] * 1000):
        raise Ended("refused")
    flood.tally["frames"] += 1000


# --- Slowness: connections that are held ---

class Held:
    """Opens connections, ticks twice a second, and tells faults at the end."""

    count = 0  # connections
    title = ""
    hold_s = SECONDS

    def __init__(self, scene):
        self.scene = scene
        self.open_wires = []
        self.ended = 0

    def open(self):
        for number in range(self.count):
            try:
                self.open_wires.append(self.open_one(number))
            except (OSError, Ended):
                self.ended += 1

    def tick(self):
        """Sends a little on each."""
        for wire in list(self.open_wires):
            if not self.trickle(wire):
                self.open_wires.remove(wire)
                self.ended += 1

    def trickle(self, wire):
        return True

    def faults(self):
        return ()

    def close(self):
        for wire in self.open_wires:
            wire.close()


def ended_by_server(wire):
    """Whether the server has ended the connection; what it sent before is dropped."""
    wire.socket.settimeout(0)
    try:
        while wire.socket.recv(65536):
            pass
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        pass
    finally:
        wire.socket.settimeout(20)
    return True


class SlowHeaders(Held):
    title = "heads that come byte by byte: the connection ends after 10 s, however it goes on"
    count = 1000 if FULL else 100
    hold_s = 13

    def open_one(self, number):
        wire = self.scene.instance.wire()
        wire.send(b"GET /status HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        return wire

    def trickle(self, wire):
        return not ended_by_server(wire) and wire.send(b"x")

    def faults(self):
        if self.ended < self.count:
            yield "%d of %d connections with slow heads go on" % (len(self.open_wires), self.count)


class SlowBodies(Held):
    title = "bodies that come byte by byte: no thread waits for one; without a key 401 at once"
    count = 1000 if FULL else 100
    refused = 0

    def open_one(self, number):
        wire = self.scene.instance.wire()
        key = self.scene.keys["ci"] if number % 2 else "0" * 64
        wire.send(request("POST", "/requestStack", key,
                          headers=[("Content-Length", "200000")]) + b"{")
        if number % 2 == 0 and wire.answer().status in (401, 429):
            self.refused += 1
        return wire

    def trickle(self, wire):
        return wire.send(b" ")

    def faults(self):
        if self.refused != self.count // 2:
            yield "%d of %d slow bodies without a key were refused" % (self.refused,
                                                                       self.count // 2)


class SlowReaders(Held):
    title = "callers of /history that read nothing of megabytes, with HTTP/1.1 and HTTP/2"
    count = 200 if FULL else 40

    def open_one(self, number):
        key = self.scene.keys["viewer"]
        if number % 2:
            wire = self.scene.instance.wire(receive_buffer=4096)
            wire.send(request("GET", "/history?limit=100", key))
            return wire
        http2 = Http2(self.scene.instance, reads=False)
        for _ in range(10):
            http2.start("GET", "/history?limit=100", key)
        return http2.wire


class Idle(Held):
    title = "idle connections: kept after a call, or silent from the beginning"
    count = 10000 if FULL else 600

    def open_one(self, number):
        if number % 2:
            return self.scene.instance.wire(tls=False)
        wire = self.scene.instance.wire()
        wire.ask("GET", "/")
        return wire


class FullQueue(Held):
    title = "another project's queue is full: its next requests get 503 queueFull, and only these"
    count = QUEUE // STREAMS + 1

    def open_one(self, number):
        http2 = Http2(self.scene.instance)
        for _ in range(STREAMS):
            http2.start("POST", "/requestStack", self.scene.keys["ci"])
        return http2.wire

    def open(self):
        admin = self.scene.keys["admin"]
        self.scene.instance.ask("POST", "/updateProject", admin, {"maxStacks": 0})
        for stack in self.scene.instance.ask("GET", "/status", admin).json()["stacks"]:
            self.scene.instance.ask("POST", "/holdStack", admin, {
                "stackName": stack["stackName"], "revoke": True})
        super().open()

    def faults(self):
        def full():
            answer = self.scene.instance.ask("POST", "/requestStack", self.scene.keys["ci"],
                                             {"waitSeconds": 1})
            return answer.code() == "queueFull" and answer.header("Retry-After")
        try:
            await_condition(20, full, "queueFull")
        except TimeoutError as error:
            yield str(error)
        # One that must wait, too, but in a queue of its own.
        answer = self.scene.instance.ask("POST", "/requestStack", self.scene.third["ci"],
                                         {"waitSeconds": 1})
        if answer.code() != "noStackAvailable" or answer.json()["error"]["position"] != 1:
            yield "another project's queue: %s" % answer


HELD = (SlowHeaders, SlowBodies, SlowReaders, Idle, FullQueue)


def hold(scene, kinds):
    """Opens and holds attacks of these kinds together; (started, ended, faults)."""
    held = [kind(scene) for kind in kinds]
    problems = []
    started = time.monotonic()

    def work():
        stand_back()
        for each in held:
            each.open()
        until = time.monotonic() + max(each.hold_s for each in held)
        while time.monotonic() < until:
            for each in held:
                each.tick()
            time.sleep(0.5)
        for each in held:
            problems.extend(each.faults())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join()
    ended = time.monotonic()
    for each in held:
        each.close()
    return started, ended, problems


# --- Single defences, without a crowd ---

@suite.row("while every read hangs in the database, calls that need no read are answered")
def hanging_reads(scene):
    # It locks what refers to it as well: the writer waits, too.
    lock = scene.instance.hold_sql("LOCK TABLES action WRITE; SELECT 'locked'")
    key = scene.keys["viewer"]
    wires = [scene.instance.wire() for _ in range(8)]
    try:
        for wire in wires:
            wire.send(request("GET", "/actions", key))
        await_condition(20, lambda: scene.instance.sql(
            "SELECT 1 FROM information_schema.processlist WHERE state LIKE '%lock%'"),
            "a hanging read")
        for method, path, role, status in (("GET", "/healthz", None, 200),
                                           ("GET", "/readyz", None, 200),
                                           ("POST", "/requestStack", "ci", 400)):
            for _ in range(8):
                answer = scene.instance.ask(method, path, scene.keys.get(role),
                                            {"branch": 7} if role else None, timeout=LONGEST)
                if answer.status != status:
                    yield "%s: %s" % (path, answer)
    finally:
        lock.stdin.close()
        lock.wait(20)
    statuses = [wire.answer().status for wire in wires]
    if statuses != [200] * 8:
        yield "afterwards the reads get %s" % statuses


@suite.row("a key has 16 reads at a time; the next get 429, its other calls and other keys go on")
def reads_at_a_time(scene):
    key = scene.keys["viewer"]
    http2 = Http2(scene.instance, reads=False)
    for _ in range(16):
        http2.start("GET", "/history?limit=100", key)

    def refused():
        """The look may itself have come before the last of the streams, and taken its place."""
        answer = scene.instance.ask("GET", "/status", key)
        if answer.status == 200:
            http2.start("GET", "/history?limit=100", key)
        return answer.code() == "tooManyRequests" and answer.header("Retry-After")

    try:
        await_condition(20, refused, "429")
        answer = scene.instance.ask("GET", "/status", scene.keys["admin"])
        if answer.status != 200:
            yield "another key: %s" % answer
        answer = scene.instance.ask("POST", "/addStacks", key, {"count": 1})
        if answer.status != 403:
            yield "a call of the same key that is no read: %s" % answer
    finally:
        http2.close()
    await_condition(20, lambda: scene.instance.ask("GET", "/status", key).status == 200,
                    "reads again once the others have gone")


# --- What the rows assert ---

def fare(scene, start, end):
    """Faults in how the honest callers fared in that time."""
    calls = scene.honest.during(start, end)
    failed = [call for call in calls if call[2] != "200"]
    if failed:
        yield "%d of %d honest calls failed: %s" % (len(failed), len(calls), failed[:3])
    longest = max((call[1] for call in calls), default=0)
    if longest > LONGEST:
        yield "an honest call took %.1f s" % longest
    if len(calls) < (end - start) * 5 / SLOWNESS:
        yield "only %d honest calls in %.1f s" % (len(calls), end - start)


def in_turns(scene, name):
    """Quiet, attack, quiet, attack, …: yields faults, and prints a row of RESULTS.md."""
    _, act, threads, pace, check = attacks[name]
    quiet, loud = [], []
    tally = collections.Counter()
    seconds = 0.0
    for _ in range(ROUNDS if FULL else 1):
        if FULL:
            start = time.monotonic()
            time.sleep(SECONDS)
            quiet += scene.honest.during(start, time.monotonic())
        flood = Flood(scene, act, threads, pace)
        with flood:
            flood.stopping.wait(SECONDS)
        time.sleep(0.1)  # what is in flight is written down when it ends
        loud += scene.honest.during(flood.started, flood.ended)
        tally.update(flood.tally)
        seconds += flood.ended - flood.started
        yield from map(str, flood.errors)
        yield from fare(scene, flood.started, flood.ended)
        yield from check(scene, flood) if check else ()
    if sum(tally.values()) < 10:
        yield "no attack: %s" % tally
    yield from judge(name, quiet, loud,
                     {key: "%.1f" % (count / seconds) for key, count in tally.items()},
                     seconds)


def judge(name, quiet, loud, figures, seconds):
    report(name, quiet, loud, figures, seconds)
    if FULL and quantile(loud, 0.99) > 2 * quantile(quiet, 0.99):
        yield "p99 %.1f ms instead of %.1f ms" % (1000 * quantile(loud, 0.99),
                                                  1000 * quantile(quiet, 0.99))


def report(name, quiet, loud, figures, seconds):
    told = ", ".join(("%s %s" % item).strip() for item in sorted(figures.items(), key=str))
    if not quiet:
        print("# %s: %s a second; honest p99 %.1f ms" % (name, told, 1000 * quantile(loud, 0.99)))
        return
    print("# | %s | %s | %.0f | %.1f / %.1f | %.1f / %.1f | %.2f | %d |" % (
        name, told, seconds, 1000 * quantile(quiet, 0.5), 1000 * quantile(quiet, 0.99),
        1000 * quantile(loud, 0.5), 1000 * quantile(loud, 0.99),
        quantile(loud, 0.99) / quantile(quiet, 0.99), len(loud)))


def held_together(scene):
    started, ended, problems = hold(scene, HELD)
    yield from problems
    yield from fare(scene, started, ended)
    loud = scene.honest.during(started, ended)
    print("# held: %d connections for %.1f s; honest p99 %.1f ms" % (
        sum(kind.count for kind in HELD), ended - started, 1000 * quantile(loud, 0.99)))


def held_in_turns(scene, kind):
    quiet, loud, seconds = [], [], 0.0
    for _ in range(ROUNDS):
        start = time.monotonic()
        time.sleep(SECONDS)
        quiet += scene.honest.during(start, time.monotonic())
        started, ended, problems = hold(scene, [kind])
        loud += scene.honest.during(started, ended)
        seconds += ended - started
        yield from problems
        yield from fare(scene, started, ended)
    yield from judge(kind.__name__, quiet, loud, {"connections held: %d" % kind.count: ""}, seconds)


def tell_autogroup():
    try:
        with open("/proc/sys/kernel/sched_autogroup_enabled", encoding="ascii") as file:
            print("# kernel.sched_autogroup_enabled = %s" % file.read().strip())
    except OSError:
        print("# the kernel has no autogroups")


def add_rows():
    if not FULL and not ONLY:
        suite.row("slow heads, slow bodies, slow readers, idle connections and a full queue, all "
                  "at once: slow heads end after 10 s, no thread waits for the rest")(held_together)
    for kind in HELD if FULL else ():
        if not ONLY or kind.__name__ in ONLY:
            suite.row(kind.title)(lambda scene, kind=kind: held_in_turns(scene, kind))
    for name in attacks:
        if (name in ONLY if ONLY else FULL or name != "computing"):
            suite.row(attacks[name][0])(lambda scene, name=name: in_turns(scene, name))


if __name__ == "__main__":
    if FULL:
        tell_autogroup()
    add_rows()
    suite.run(Scene)
