#!/usr/bin/env python3
"""faults_test: one fault each, at a point that is chosen, and what callers are promised then.
Prints TAP.

Environment: BUILD, SAN, KEEP, ONLY_FAULT (a part of the names of tests).
"""
import calendar
import itertools
import os
import signal
import sys
import threading
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
sys.path.insert(0, HERE)

from rig import STARTUP_GRACE, Rig, enter_namespace  # noqa: E402
from service import SLOWNESS, Client, Cut, Tap, await_condition  # noqa: E402


class Calling(threading.Thread):
    """A call under way in a thread of its own."""

    def __init__(self, rig, key, path, body):
        super().__init__(daemon=True)
        self.client = Client(rig, key)
        self.path = path
        self.body = body
        self.answer = None
        self.start()

    def run(self):
        try:
            self.answer = self.client.call(self.path, self.body, timeout=60 * SLOWNESS)
        except Cut as cut:
            self.answer = (None, {"cut": str(cut)}, {})
        self.client.close()

    def result(self):
        """Returns (status, the answer's JSON); the status is None for a cut."""
        self.join(90 * SLOWNESS)
        check(self.answer is not None, "%s has neither an answer nor a cut" % self.path)
        return self.answer[0], self.answer[1]


def check(is_good, what):
    if not is_good:
        raise AssertionError(what)


def expect(actual, expected, what):
    check(actual == expected, "%s: %r, expected %r" % (what, actual, expected))


class Team:
    """A project with stacks, and calls to it."""

    number = 0

    def __init__(self, rig, stacks=1):
        Team.number += 1
        self.rig = rig
        self.name = "team%d" % Team.number
        [self.key] = rig.project(self.name, "--max-stacks", str(stacks), roles=["admin"])

    def call(self, path, body=None):
        with Client(self.rig, self.key) as client:
            return client.call(path, body)[:2]

    def begin(self, path, body):
        return Calling(self.rig, self.key, path, body)

    def borrow(self, request_id=None, **more):
        """A call to requestStack that goes on meanwhile."""
        body = {"waitSeconds": 30, "leaseSeconds": 3600, **more}
        if request_id:
            body["requestId"] = request_id
        return self.begin("/requestStack", body)

    def lease(self, request_id=None, **more):
        status, answer = self.borrow(request_id, **more).result()
        expect(status, 200, "requestStack")
        return answer

    def release(self, lease):
        return self.call("/releaseStack", {"stackName": lease["stackName"],
                                           "leaseId": lease["leaseId"]})

    def status(self):
        return self.call("/status")[1]

    def states(self):
        return [stack["state"] for stack in self.status()["stacks"]]

    def await_queue(self, count):
        await_condition(20, lambda: len(self.status()["queue"]) == count, "%d wait" % count)

    def await_available(self, seconds):
        await_condition(seconds, lambda: set(self.states()) == {"available"}, "the stack is back")

    def grants(self):
        """All that were ever committed: (fence, state), live ones included."""
        rows = self.rig.sql(
            "SELECT fence, state FROM lease JOIN project USING (project_id)"
            " WHERE name = '%s' AND fence IS NOT NULL UNION ALL SELECT h.fence, h.state"
            " FROM history h JOIN project USING (project_id)"
            " WHERE name = '%s' AND h.fence IS NOT NULL ORDER BY 1" % (self.name, self.name))
        return [(int(fence), state) for fence, state in rows]


# --- The COMMIT ---

def lost_before_commit(rig, team):
    rig.arm("beforeCommit", "cut")
    lease = team.lease("one")
    check(rig.has_fired("beforeCommit"), "the fault did not happen")
    expect(team.grants(), [(1, "active")], "grants")
    expect(team.lease("one")["leaseId"], lease["leaseId"], "the same request's lease")


def lost_after_commit(rig, team):
    rig.arm("afterCommit", "cut")
    lease = team.lease("one")
    check(rig.has_fired("afterCommit"), "the fault did not happen")
    expect(team.grants(), [(1, "active")], "grants")
    expect(team.lease("one")["leaseId"], lease["leaseId"], "the same request's lease")
    rig.arm("afterCommit", "cut")
    expect(team.release(lease)[0], 200, "releaseStack")
    check(rig.has_fired("afterCommit"), "the fault did not happen")
    expect(team.grants(), [(1, "released")], "grants")


def plain_lost_after_commit(rig, team):
    rig.arm("afterCommit", "cut")
    lease = team.lease()
    check(rig.has_fired("afterCommit"), "the fault did not happen")
    expect((lease["fence"], team.grants()), (1, [(1, "active")]), "grants")


def lost_midway(rig, team):
    # What a batch writes goes out in texts of 1 MiB: with these manifests it takes several.
    warm_up = team.lease("warm-up")
    team.release(warm_up)
    rig.arm("beforeCommit", "delay 1500")
    first = team.borrow("first", leaseSeconds=60)
    rig.await_fired("beforeCommit")
    rig.arm("midBatch", "cut")
    units = [{"unit-%d-%d-%s" % (n, i, "x" * 200): "y" * 200 for i in range(550)} for n in range(6)]
    others = [team.borrow("other-%d" % n, units=units[n], waitSeconds=1) for n in range(6)]
    expect(first.result()[0], 200, "the first request")
    rig.await_fired("midBatch")
    for other in others:
        status, answer = other.result()
        expect((status, answer.get("error", {}).get("code")), (503, "noStackAvailable"),
               "a request that waits in vain")
    expect(team.grants(), [(1, "released"), (2, "active")], "grants")
    rows = rig.sql("SELECT COUNT(*), COUNT(DISTINCT request_id) FROM lease JOIN project"
                   " USING (project_id) WHERE name = '%s' AND state = 'waiting'" % team.name)
    expect(rows, [["6", "6"]], "requests that keep their place")


def committed_late(rig, team):
    # The database is still at the transaction when the program has lost it.
    team.release(team.lease("warm-up"))
    [[number]] = rig.sql("SELECT project_id FROM project WHERE name = '%s'" % team.name)
    with rig.session("SELECT stack_no FROM stack WHERE project_id = %s FOR UPDATE" % number,
                     "locked"):
        call = team.borrow()  # no requestId: were it done again, there would be two grants
        await_waiting(rig, 1)
        rig.links["database"].order("forget")
        # What looks for it has to wait for it, not to take its absence for an answer.
        await_waiting(rig, 2)
    status, lease = call.result()
    expect(status, 200, "requestStack")
    expect((lease["fence"], team.grants()), (2, [(1, "released"), (2, "active")]), "grants")


def await_waiting(rig, count):
    query = "SELECT trx_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    # That table is not brought up to date while it is read more than ten times a second.
    await_condition(4, lambda: len(rig.sql(query)) == count,
                    "%d transactions wait for a row" % count, 0.15)


def in_doubt(rig, team, point):
    """The COMMIT's fate can't be learned in time."""
    stranger = Team(rig)
    rig.arm(point, "cut")
    rig.links["database"].order("refuse")
    named = team.borrow("one")
    rig.await_fired(point)
    status, answer = named.result()
    expect((status, answer["error"]["code"]), (503, "databaseUnavailable"), "requestStack")
    check("repeat" in answer["error"]["message"], "the answer says that it may have happened")
    check(named.answer[2]["Retry-After"], "Retry-After")
    # Nobody knows of it, so it must come back by itself, long before the lease time is over.
    rig.links["database"].order("pass")
    rig.await_service(stranger.key)
    return named


def in_doubt_and_done(rig, team):
    in_doubt(rig, team, "afterCommit")
    expect(team.lease("two", waitSeconds=20)["fence"], 2, "the fence of another's lease")


def in_doubt_and_not_done(rig, team):
    in_doubt(rig, team, "beforeCommit")
    expect(team.grants(), [], "grants")
    expect(team.lease("one")["fence"], 1, "the fence of the repeated request's grant")


def in_doubt_and_repeated(rig, team):
    in_doubt(rig, team, "afterCommit")
    lease = team.lease("one")
    expect(team.grants()[-1], (lease["fence"], "active"), "the last grant")
    expect([state for _, state in team.grants()].count("active"), 1, "active grants")
    expect(team.release(lease)[0], 200, "releaseStack")


def release_in_doubt(rig, team):
    lease = team.lease("one")
    rig.arm("afterCommit", "cut")
    rig.links["database"].order("refuse")
    status, answer = team.release(lease)
    expect((status, answer["error"]["code"]), (503, "databaseUnavailable"), "releaseStack")
    rig.links["database"].order("pass")
    rig.await_service(team.key)
    expect(team.release(lease)[0], 200, "the repeated release")
    expect(team.grants(), [(1, "released")], "grants")


def waiter_in_doubt(rig, team):
    """What a COMMIT in doubt granted to a waiter, who was told meanwhile that its wait is over."""
    lease = team.lease("one")
    waiter = team.borrow("two", waitSeconds=2)
    team.await_queue(1)
    rig.arm("afterCommit", "cut")
    rig.links["database"].order("refuse")
    expect(team.release(lease)[0], 503, "releaseStack")
    status, answer = waiter.result()
    expect((status, answer["error"]["code"]), (503, "databaseUnavailable"), "the waiter's answer")
    rig.links["database"].order("pass")
    rig.await_service(Team(rig).key)
    expect(team.lease("three", waitSeconds=20)["fence"], 3, "the fence of another's lease")


def ended_during_commit(rig, team):
    holder = team.lease("one")
    waiter = team.borrow("two")
    team.await_queue(1)
    rig.arm("beforeCommit", "delay 500")
    release = team.begin("/releaseStack", {"stackName": holder["stackName"],
                                           "leaseId": holder["leaseId"]})
    rig.await_fired("beforeCommit")
    rig.signal("program", signal.SIGTERM)
    expect(release.result()[0], 200, "releaseStack")
    status, lease = waiter.result()
    expect((status, lease.get("fence")), (200, 2), "the waiter's answer")
    start_again(rig)
    expect(team.release(lease)[0], 200, "the waiter's releaseStack")
    expect(team.grants(), [(1, "released"), (2, "released")], "grants")


def half_open_database(rig, team):
    # The database is never told: it must not keep the rows of the lost transaction for hours.
    team.release(team.lease("warm-up"))
    rig.arm("beforeCommit", "delay 500")
    call = team.borrow("one")
    rig.await_fired("beforeCommit")
    rig.links["database"].order("forget")
    status, _ = call.result()
    check(status in (200, 503), "requestStack: %s" % status)
    rig.await_service(team.key, 30)
    expect(team.lease("one")["fence"], 2, "the fence of the only grant")


# --- The program is killed ---

def start_again(rig):
    await_condition(20, lambda: rig.is_dead("program"), "the program is dead", 0.005)
    rig.restart("program")


def killed(point):
    def run(rig, team):
        rig.arm(point, "kill")
        call = team.borrow("one", leaseSeconds=60)
        start_again(rig)
        status, _ = call.result()
        check(status in (None, 502), "the call's answer: %s" % status)
        committed = team.grants()
        expect(committed, [] if point == "beforeCommit" else [(1, "active")], "grants")
        lease = team.lease("one")
        expect(lease["fence"], 1, "the fence of the lease of the repeated request")
        expect(team.grants(), [(1, "active")], "grants")
        expect(team.release(lease)[0], 200, "releaseStack")
    return run


def killed_plain(rig, team):
    rig.arm("beforeAnswer", "kill")
    call = team.borrow(leaseSeconds=2)
    start_again(rig)
    call.result()
    team.await_available(2 + STARTUP_GRACE + 2)
    expect(team.grants(), [(1, "expired")], "grants")


def killed_at_release(rig, team):
    lease = team.lease("one")
    rig.arm("beforeAnswer", "kill")
    call = team.begin("/releaseStack", {"stackName": lease["stackName"],
                                        "leaseId": lease["leaseId"], "outcome": "failed"})
    start_again(rig)
    call.result()
    expect(team.release(lease)[0], 200, "the repeated release")
    expect(team.grants(), [(1, "released")], "grants")


def killed_at_parked(point):
    def run(rig, team):
        lease = team.lease("one")
        waiter = team.borrow("two")
        team.await_queue(1)
        rig.arm(point, "kill")
        release = team.begin("/releaseStack", {"stackName": lease["stackName"],
                                               "leaseId": lease["leaseId"]})
        start_again(rig)
        release.result()
        status, answer = waiter.result()
        expect(status, 200 if point == "afterParkedAnswer" else 502, "the waiter's answer")
        again = team.lease("two")
        expect(again["fence"], 2, "the fence of the waiter's lease")
        if status == 200:
            expect(again["leaseId"], answer["leaseId"], "the waiter's lease")
        expect(team.release(lease)[0], 200, "the repeated release")
        expect(team.grants(), [(1, "released"), (2, "active")], "grants")
    return run


class Past:
    """To nginx, past the proxy: what is sent has arrived."""

    def __init__(self, rig):
        self.port = rig.nginx_port
        self.tls = rig.tls

    def choose(self):
        return self


def killed_unheard(rig, team):
    """nginx hears of a request before it hears that a connection it keeps leads to a dead program."""
    large = {"unit-%d-%s" % (i, "x" * 200): "y" * 200 for i in range(500)}
    with Client(Past(rig), team.key) as client:
        for units in ({}, large):
            expect(client.call("/status")[0], 200, "/status")
            rig.signal("nginx", signal.SIGSTOP)
            await_condition(20, lambda: rig.is_stopped("nginx"), "nginx stands still", 0.005)
            client.send("/requestStack", {"leaseSeconds": 60, "units": units})
            rig.kill("program")
            rig.restart("program")
            rig.signal("nginx", signal.SIGCONT)
            status, lease, _ = client.receive()
            expect(status, 200, "requestStack")
            expect(team.release(lease)[0], 200, "releaseStack")
    expect(team.grants(), [(1, "released"), (2, "released")], "grants")


def stopped_before_commit(rig, team):
    rig.arm("beforeCommit", "stop")
    call = team.borrow("one")
    await_condition(20, lambda: rig.is_stopped("program"), "the program stands still", 0.005)
    expect(team.grants(), [], "grants")
    rig.heal()
    expect(call.result()[0], 200, "requestStack")
    expect(team.grants(), [(1, "active")], "grants")


# --- The answer does not arrive ---

def half_an_answer(rig, team):
    rig.arm("midAnswer", "cut")
    status, _ = team.borrow("one").result()
    check(status in (None, 502), "half an answer came as %s" % status)
    # Nobody has it, so others get it, long before the lease time is over.
    lease = team.lease("two", waitSeconds=20)
    expect(lease["fence"], 2, "the fence of another's lease")
    expect(team.release(lease)[0], 200, "releaseStack")
    expect(team.lease("one")["fence"], 3, "the fence of the lease of the repeated request")


def half_an_answer_of_a_refresh(rig, _team):
    team = Team(rig, stacks=2)
    for lease in [team.lease(), team.lease()]:
        expect(team.release(lease)[0], 200, "releaseStack")
    refresh = {"purpose": "refresh", "requestId": "nightly"}
    rig.arm("midAnswer", "cut")
    status, _ = team.begin("/requestStack", refresh).result()
    check(status in (None, 502), "half an answer came as %s" % status)
    team.await_available(5)
    expect(team.call("/requestStack", refresh)[0], 200, "the repeated refresh")


def half_an_answer_of_a_release(rig, team):
    lease = team.lease("one")
    rig.arm("midAnswer", "cut")
    status, _ = team.begin("/releaseStack", {"stackName": lease["stackName"],
                                             "leaseId": lease["leaseId"]}).result()
    check(status in (None, 502), "half an answer came as %s" % status)
    expect(team.release(lease)[0], 200, "the repeated release")
    expect(team.grants(), [(1, "released")], "grants")


def parked_answer_lost(rig, team):
    lease = team.lease("one")
    waiter = team.borrow()
    team.await_queue(1)
    rig.arm("beforeParkedAnswer", "cut")
    team.release(lease)
    status, _ = waiter.result()
    check(status in (None, 502), "the waiter's answer: %s" % status)
    team.await_available(5)
    expect(team.grants()[0], (1, "released"), "the first grant")


# --- Outages with something left to do ---

def taken_back_after_outage(rig, team):
    # The caller hangs up while its answer is on the way, and the database goes at the same time.
    rig.arm("beforeAnswer", "delay 1000")
    call = team.borrow("one")
    rig.await_fired("beforeAnswer")
    call.client.connection.sock.shutdown(2)
    rig.kill("database")
    call.result()
    await_condition(10, lambda: any("reached nobody" in line for line in rig.log(lines=5)),
                    "the program has noticed")
    expect(team.call("/cancelRequest", {"requestId": "none"})[0], 503, "a call meanwhile")
    rig.restart("database")
    rig.await_service(Team(rig).key)
    team.await_available(5)
    lease = team.lease("two")
    expect(team.release(lease)[0], 200, "releaseStack")


def hang_up_during_outage(rig, team):
    lease = team.lease("one")
    first = team.borrow("two")
    team.await_queue(1)
    second = team.borrow("three")
    team.await_queue(2)
    rig.kill("database")
    first.client.connection.sock.shutdown(2)
    first.result()
    rig.restart("database")
    rig.await_service(Team(rig).key)
    expect(team.release(lease)[0], 200, "releaseStack")
    status, answer = second.result()
    expect((status, answer.get("fence")), (200, 2), "the stack goes to who is still there")


def database_killed_under_waiters(rig, team):
    lease = team.lease("one")
    waiters = [team.borrow("waiter-%d" % n, leaseSeconds=60) for n in range(3)]
    team.await_queue(3)
    rig.kill("database")
    rig.restart("database")
    rig.await_service(Team(rig).key)
    fences = []
    for _ in range(3):
        expect(team.release(lease)[0], 200, "releaseStack")
        await_condition(10, lambda: any(not w.is_alive() for w in waiters), "a waiter's answer")
        done = next(w for w in waiters if not w.is_alive())
        waiters.remove(done)
        status, lease = done.result()
        expect(status, 200, "a waiter's answer")
        fences.append(lease["fence"])
    expect(fences, [2, 3, 4], "the fences of the waiters' leases")


def nginx_killed_under_waiters(rig, team):
    lease = team.lease("one")
    waiters = [team.borrow("two"), team.borrow()]
    team.await_queue(2)
    rig.kill("nginx")
    for waiter in waiters:
        expect(waiter.result()[0], None, "a waiter's answer")
    rig.restart("nginx")
    rig.await_service(team.key)
    # The plain request is given up, the named one keeps its place. But nobody is there, so no grant.
    expect(team.release(lease)[0], 200, "releaseStack")
    team.await_queue(1)
    expect(team.states(), ["available"], "the stack, while its waiter is away")
    expect(team.lease("two")["fence"], 2, "the fence of who came back to its place")


def silent_database(rig, team):
    """A reader isn't held up by earlier ones, each of which would wait for the database."""
    expect(team.call("/status")[0], 200, "/status")
    rig.signal("database", signal.SIGSTOP)
    calls = [team.begin("/status", None) for _ in range(12)]
    before = time.monotonic()
    for call in calls:
        status, answer = call.result()
        expect((status, answer["error"]["code"]), (503, "databaseUnavailable"), "/status")
        check(call.answer[2]["Retry-After"], "Retry-After")
    check(time.monotonic() - before < 25 * SLOWNESS, "they are told soon")
    rig.heal()
    await_condition(10, lambda: team.call("/status")[0] == 200, "reads go on")
    rig.await_service(team.key)


def stuck_server(rig, team):
    """A server that is there, but gets nothing done: whether it may be used is looked at again."""
    lease = team.lease("one")
    with rig.session("SELECT instance_id FROM instance FOR UPDATE", "locked"):
        rig.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
        try:
            await_condition(20, lambda: "innodb_flush_log_at_trx_commit is 2" in readiness(rig),
                            "the reason at /readyz")
        finally:
            rig.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    await_condition(20, lambda: readiness(rig) == "", "it is ready again")
    expect(team.release(lease)[0], 200, "releaseStack")


def readiness(rig):
    """What /readyz says while it isn't ready; empty: it is."""
    with Client(rig, "") as client:
        status, answer, _ = client.call("/readyz")
    return "" if status == 200 else answer["error"]["message"]


# --- Something runs out ---

def full_disk(rig, team):
    lease = team.lease("one")
    rig.fill_disk()
    # What needs no more room may go on; sooner or later something does.
    def is_refused(number=[0]):
        number[0] += 1
        units = {"unit-%d-%d-%s" % (number[0], i, "x" * 200): "y" * 200 for i in range(500)}
        status, answer = team.borrow("big-%d" % number[0], units=units, waitSeconds=0).result()
        return status == 503 and answer["error"]["code"] == "databaseUnavailable"
    await_condition(60, is_refused, "the database has no room left")
    rig.heal()
    if rig.is_dead("database"):
        rig.restart("database")
    rig.await_service(team.key)
    expect(team.release(lease)[0], 200, "releaseStack")
    expect(team.lease("two")["fence"], 2, "the fence of the next lease")
    expect(team.grants(), [(1, "released"), (2, "active")], "grants")


def full_disk_under_waiters(rig, _):
    """A server may lose a row that it can't make longer (see sql/0001_initial.sql), once the table has had
    more rows than now."""
    team = Team(rig, stacks=150)
    expect(team.call("/updateProject", {"maxHeld": 150})[0], 200, "updateProject")
    job = {"url": "https://ci/" + 1900 * "j", "name": 255 * "n", "user": 255 * "u"}
    leases = [team.lease(job=job) for _ in range(150)]
    for lease in leases:
        body = {"stackName": lease["stackName"], "leaseId": lease["leaseId"]}
        mark = {**body, "lastDeployedCommit": 255 * "c"}
        expect(team.call("/setLastDeployedCommit", mark)[0], 200, "setLastDeployedCommit")
        expect(team.call("/releaseStack", {**body, "outcome": "hold"})[0], 200, "releaseStack")
    # Of another branch: a branch gets what it holds.
    waiters = [team.borrow("waiter-%d" % n, branch="waiters", waitSeconds=120,
                           job={"url": "https://ci/" + 400 * "j"})
               for n in range(200)]
    team.await_queue(200)
    stacks = [{"stackName": lease["stackName"]} for lease in leases]
    rig.fill_disk()
    for stack in stacks:  # each lets a waiter have it
        check(team.call("/reinstateStack", stack)[0] in (200, 503), "reinstateStack has an answer")
    rig.heal()
    if rig.is_dead("database"):
        rig.restart("database")
    rig.await_service(team.key)
    for stack in stacks:
        expect(team.call("/reinstateStack", stack)[0], 200, "reinstateStack")
    for waiter in waiters:
        status, answer = waiter.result()
        expect(status, 200, "a waiter's answer")
        expect(team.release(answer)[0], 200, "releaseStack")
    expect(team.states(), 150 * ["available"], "the stacks")
    expect([state for _, state in team.grants()], 350 * ["released"], "how the leases ended")


def no_files(rig, team):
    lease = team.lease("one")
    rig.limit_files(2)
    waiters = [team.borrow("waiter-%d" % n, waitSeconds=120) for n in range(30)]
    await_condition(30, lambda: rig.links["program"].order("count") >= 30, "30 connections")
    release = team.begin("/releaseStack", {"stackName": lease["stackName"],
                                           "leaseId": lease["leaseId"]})
    # They all reach the program's socket, though it can't let them in.
    await_condition(30, lambda: rig.links["program"].order("count") >= 31, "31 connections")
    rig.heal()
    expect(release.result()[0], 200, "releaseStack")
    team.await_queue(29)
    while waiters:
        served = await_condition(20, lambda: [call for call in waiters if call.answer], "a lease")
        for waiter in served:
            waiters.remove(waiter)
            status, answer = waiter.result()
            expect(status, 200, "a waiter's answer")
            expect(team.release(answer)[0], 200, "releaseStack")
    expect([state for _, state in team.grants()], 31 * ["released"], "how the leases ended")


def waits_end_without_files(rig, team):
    lease = team.lease("one")
    rig.limit_files(2)
    waiters = [team.borrow("waiter-%d" % n, waitSeconds=3) for n in range(10)]
    # The program could let some in. They are told in time, though it still has no files.
    await_condition(30, lambda: any(waiter.answer for waiter in waiters), "an answer")
    rig.heal()
    for waiter in waiters:
        status, answer = waiter.result()
        expect((status, answer["error"]["code"]), (503, "noStackAvailable"), "a waiter's answer")
    expect(team.release(lease)[0], 200, "releaseStack")
    expect(team.grants(), [(1, "released")], "grants")


def busy_threads(rig, team):
    with rig.half_requests(8):
        call = team.borrow("one")
        await_condition(10, lambda: rig.links["program"].order("count") >= 1, "it is sent")
    status, lease = call.result()
    expect((status, lease.get("fence")), (200, 1), "requestStack")


def no_connections(rig, team):
    lease = team.lease("one")
    for call in [team.begin("/status", None) for _ in range(12)]:
        expect(call.result()[0], 200, "/status")
    with rig.occupied_database():
        status, answer = team.release(lease)
        expect((status, answer["error"]["code"]), (503, "databaseUnavailable"), "releaseStack")
    rig.await_service(team.key)
    expect(team.release(lease)[0], 200, "the repeated release")


def moved_clock(rig, team):
    lease = team.lease("one", leaseSeconds=600)
    waiter = team.borrow("two")
    team.await_queue(1)
    for days in (400, -400):
        rig.set_clock(86400 * days)
        await_condition(10, lambda: abs(log_days(rig) - days) < 1, "the program's clock has moved")
        rig.await_service(team.key)  # log_days() cuts connections
        expect(team.states(), ["leased"], "the stack")
        expect(len(team.status()["queue"]), 1, "who waits")
    rig.set_clock(0)
    expect(team.release(lease)[0], 200, "releaseStack")
    status, second = waiter.result()
    expect((status, second.get("fence")), (200, 2), "the waiter's answer")
    check(second["expiresInSeconds"] > 3590, "the waiter's lease lasts")


def wrong_time(rig, team):
    """The program counts from the database's time on; here its count jumps. No lease may be lent by
    that: the next text to the database says that the time is another."""
    environment = rig.environments["program"]
    rig.environments["program"] = {**environment, "FAKETIME_DONT_FAKE_MONOTONIC": "0"}
    rig.kill("program")
    start_again(rig)
    rig.await_service(team.key)
    jobs = itertools.count()
    offsets = itertools.count(-400, -400)

    def has_jumped():
        rig.set_clock(next(offsets))  # again and again: the heartbeat may see the jump before a batch does
        lease = team.lease("job-%d" % next(jobs), leaseSeconds=300)
        check(abs(utc_seconds(lease["expiresAt"]) - time.time() - 300) < 5, "it lasts: %s" % lease["expiresAt"])
        expect(team.release(lease)[0], 200, "releaseStack")
        return log_time(rig) < time.time() - 300

    try:
        await_condition(10, has_jumped, "a batch was run again by the right time")
    finally:
        rig.set_clock(0)
        rig.environments["program"] = environment
        rig.kill("program")
        start_again(rig)
        rig.await_service(team.key)


def slow_database(rig, team):
    """The database's time is old when it arrives."""
    for order in ("delay 60", "cut", "pass"):
        rig.links["database"].order(order)
        await_heartbeats(rig, 2)
        for _ in range(2):
            sent = time.time()
            lease = team.lease(leaseSeconds=600)
            heard = time.time()
            lent = utc_seconds(lease["expiresAt"]) - 600
            check(sent - 0.01 < lent < heard + 0.01, "after %s: asked at %.3f, lent at %.3f, heard at"
                  " %.3f" % (order, sent, lent, heard))
            expect(team.release(lease)[0], 200, "releaseStack")


def await_heartbeats(rig, count):
    """Each comes with the database's time."""
    for _ in range(count):
        before = rig.sql("SELECT heartbeat FROM instance")
        await_condition(20, lambda: rig.sql("SELECT heartbeat FROM instance") != before,
                        "a heartbeat")


def utc_seconds(text):
    """Of an answer's time, with milliseconds."""
    whole, fraction = text.rstrip("Z").split(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + fraction)


def log_time(rig):
    """When the program wrote its latest line, by its own clock."""
    written = [line[:19] for line in rig.log() if line.startswith("2")][-1]
    return calendar.timegm(time.strptime(written, "%Y-%m-%dT%H:%M:%S"))


def log_days(rig):
    """How far the program's clock is ahead, by what it says when it connects to the database."""
    rig.links["database"].order("cut")
    return (log_time(rig) - time.time()) / 86400


def no_worker_threads(rig, team):
    rig.kill("program")
    rig.arm("startThread", "error")
    rig.restart("program")
    rig.await_fired("startThread")
    # It refuses to start without any; so it must be started again, as a supervisor does.
    start_again(rig)
    rig.await_service(team.key)
    expect(team.lease("one")["fence"], 1, "the fence")


TESTS = [
    ("the connection is lost before the COMMIT: it is done again, once", lost_before_commit),
    ("… after the COMMIT: the answer is right, nothing is done twice", lost_after_commit),
    ("… after the COMMIT of a request without requestId", plain_lost_after_commit),
    ("… midway of a batch's statements: that is not taken for committed", lost_midway),
    ("… while the database is still at it: its end is awaited", committed_late),
    ("a COMMIT in doubt that happened: 503, and the grant goes back", in_doubt_and_done),
    ("a COMMIT in doubt that did not happen: 503, and nothing is left", in_doubt_and_not_done),
    ("a request in doubt that is repeated gets one lease", in_doubt_and_repeated),
    ("a release in doubt that is repeated", release_in_doubt),
    ("a waiter whose grant was in doubt when its wait was over: it goes back", waiter_in_doubt),
    ("the program is asked to end during a COMMIT: all get their answers", ended_during_commit),
    ("a half-open connection does not lock the project for long", half_open_database),
    ("the program is killed before the COMMIT", killed("beforeCommit")),
    ("… after the COMMIT: the repeated request gets its lease", killed("afterCommit")),
    ("… before the answer: the repeated request gets its lease", killed("beforeAnswer")),
    ("… in the middle of the answer: the repeated request gets its lease", killed("midAnswer")),
    ("… before the answer to a plain request: the stack comes back after its time", killed_plain),
    ("… before the answer to a release: it is done, and can be repeated", killed_at_release),
    ("… before a waiter's answer", killed_at_parked("beforeParkedAnswer")),
    ("… after a waiter's answer", killed_at_parked("afterParkedAnswer")),
    ("… while nginx does not listen: what is sent then reaches the next one", killed_unheard),
    ("the program is stopped before the COMMIT, and goes on", stopped_before_commit),
    ("half an answer: the grant goes back at once", half_an_answer),
    ("half an answer to a refresh: the same request gets a stack again", half_an_answer_of_a_refresh),
    ("half an answer to a release: it is done, and can be repeated", half_an_answer_of_a_release),
    ("a waiter's answer is lost: the grant goes back at once", parked_answer_lost),
    ("a grant is taken back after an outage of the database", taken_back_after_outage),
    ("a hang-up during an outage of the database counts after it", hang_up_during_outage),
    ("the database is killed under waiters: they get their stacks", database_killed_under_waiters),
    ("the database falls silent: all who read are told soon", silent_database),
    ("the database gets nothing done: whether it may be used is looked at again", stuck_server),
    ("nginx is killed under waiters: nobody gets a stack who isn't there",
     nginx_killed_under_waiters),
    ("the database's disk is full, and has room again", full_disk),
    ("the disk is full under waiters: no request is lost", full_disk_under_waiters),
    ("the program has no file descriptors left, and gets some again", no_files),
    ("… and those whose wait ends meanwhile get a 503", waits_end_without_files),
    ("half-sent requests keep all threads busy, and end", busy_threads),
    ("the database has no connections left", no_connections),
    ("the program's clock is moved by a year, forwards and backwards", moved_clock),
    ("the program's count of the time is wrong by minutes", wrong_time),
    ("the database is far away: leases last as long as they are told to", slow_database),
    ("the program can't start its threads", no_worker_threads),
]


def main():
    tests = [test for test in TESTS if os.environ.get("ONLY_FAULT", "") in test[0] and
             (test[1] not in (moved_clock, wrong_time) or Rig.clock_library())]
    tap = Tap(len(tests) + 1)
    if not Rig.clock_library():
        tap.note("the program's clock can't be moved under sanitizers: left out")
    rig = Rig("faults")
    rig.mount_disk()
    rig.restart("program")
    for name, run in tests:
        problems = []
        try:
            run(rig, Team(rig))
        except (AssertionError, TimeoutError, RuntimeError, KeyError, Cut):
            problems = rig.log() + traceback.format_exc().splitlines()  # the end is what is shown
        rig.heal()
        if problems:
            for part in ("database", "program", "nginx"):
                if rig.is_dead(part):
                    rig.restart(part)
        tap.result(not problems, name, problems)
    reports = rig.sanitizer_reports()
    tap.result(not reports, "the program's log has no report of a fault", reports[:40])
    tap.exit()


if __name__ == "__main__":
    enter_namespace()
    main()
