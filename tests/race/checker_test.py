#!/usr/bin/env python3
"""checker_test: feeds forged histories to the checker, each with one violation that it must find.
Prints TAP."""
import calendar
import copy
import os
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

from checker import Checker  # noqa: E402
from service import Tap  # noqa: E402


def call(caller, name, body, sent, ended, status=200, answer=None, cut=None):
    return {"type": "call", "caller": caller, "call": name, "body": body, "sent": sent,
            "ended": ended, "status": status, "answer": answer or {}, "cut": cut}


def ask(caller, sent, ended, stack, fence, seconds=60, waited=0.0, **body):
    """A request and its grant; the leaseId is lease-STACK-FENCE."""
    body.setdefault("requestId", "id-%s-%s" % (stack, fence))
    body.setdefault("waitSeconds", 30)
    body.setdefault("leaseSeconds", seconds)
    if body["requestId"] is None:
        del body["requestId"]
    return call(caller, "requestStack", body, sent, ended, answer={
        "stackName": stack, "fence": fence, "leaseId": "lease-%s-%s" % (stack, fence),
        "expiresInSeconds": seconds, "waitedSeconds": waited, "requestNumber": fence})


def use(name, caller, sent, ended, stack, fence, status=200, answer=None, **body):
    body.update(stackName=stack, leaseId="lease-%s-%s" % (stack, fence))
    return call(caller, name, body, sent, ended, status, answer or {})


def release(caller, sent, ended, stack, fence, **more):
    return use("releaseStack", caller, sent, ended, stack, fence, **more)


def extend(caller, sent, ended, stack, fence, seconds=60, status=200):
    code = {"error": {"code": "leaseLost"}}
    return use("extendLease", caller, sent, ended, stack, fence, status,
               {"expiresInSeconds": seconds} if status == 200 else code, seconds=seconds)


def row(stack, fence, granted, ended, state="released"):
    return {"requestNumber": fence, "stackName": stack, "fence": fence, "state": state,
            "grantedAt": "2026-01-02T03:04:%06.3fZ" % granted,
            "endedAt": "2026-01-02T03:04:%06.3fZ" % ended}


def job_row(stack, fence, granted, ended, job):
    return {**row(stack, fence, granted, ended), "job": {"name": job}}


def good():
    """Two jobs on s1, one after the other; one on s2 with a heartbeat."""
    return [
        ask(1, 1.0, 1.1, "s1", 1),
        ask(2, 1.2, 2.1, "s1", 2, waited=0.8),
        release(1, 2.0, 2.1, "s1", 1),
        ask(3, 1.0, 1.1, "s2", 1, seconds=2),
        extend(3, 2.5, 2.6, "s2", 1, seconds=10),
        release(3, 5.0, 5.1, "s2", 1),
        release(2, 4.0, 4.1, "s1", 2),
        {"type": "end", "at": 6.0, "maxStacks": 2, "grace": 2.0, "slowness": 1, "rule": "fifo",
         "stacks": [{"stackName": "s1", "isAvailable": True},
                    {"stackName": "s2", "isAvailable": True}],
         "status": {"queue": []},
         "history": [row("s1", 1, 1.0, 2.0), row("s1", 2, 2.0, 4.0), row("s2", 1, 1.0, 5.0)]},
    ]


def end_of(records):
    return records[-1]


def forge(*changes):
    records = copy.deepcopy(good())
    for change in changes:
        change(records)
    return records


def put(*new):
    return lambda records: records.__setitem__(slice(0, 0), copy.deepcopy(new))


def rows(*new):
    return lambda records: end_of(records)["history"].extend(new)


def drop(index):
    return lambda records: records.pop(index)


def change(index, **fields):
    return lambda records: records[index].update(fields)


def change_end(**fields):
    return lambda records: end_of(records).update(fields)


def change_row(index, **fields):
    return lambda records: end_of(records)["history"][index].update(fields)


def failed(stack, *branches):
    """Deploys of these branches that failed, one after the other."""
    for i, branch in enumerate(branches):
        yield put(ask(9, 10.0 + i, 10.1 + i, stack, 30 + i, branch=branch),
                  release(9, 10.5 + i, 10.6 + i, stack, 30 + i, outcome="deployFailed"))
        yield rows({**row(stack, 30 + i, 10.0 + i, 10.5 + i), "outcome": "deployFailed"})


def quarantined(*names, quarantine_after=2):
    def change_end_to(records):
        end = end_of(records)
        end["at"] = 20.0
        for stack in end["stacks"]:
            stack["isAvailable"] = stack["stackName"] not in names
        end["status"].update(project={"quarantineAfter": quarantine_after}, stacks=[
            {"stackName": name, "state": "quarantined"} for name in names])
    return change_end_to


def request(caller, sent, ended, status, code=None, cut=None, **body):
    return call(caller, "requestStack", {"waitSeconds": 5, **body}, sent, ended, status,
                {"error": {"code": code}} if code else None, cut)


CLOCK = calendar.timegm((2026, 1, 2, 3, 4, 0))  # of row(), where the callers' clock is at 0
KILL = {"type": "fault", "fault": "kill program", "from": 10.0, "to": 12.0}

# Each with the kinds of violation that must be found, and no others.
FORGED = [
    ("nothing wrong", set(), forge()),
    ("no end", {"end"}, forge(lambda records: records.pop())),

    ("two holders of one stack", {"overlap"},
     forge(put(ask(9, 2.5, 2.6, "s1", 3), release(9, 4.5, 4.6, "s1", 3)),
           rows(row("s1", 3, 4.0, 4.5)))),
    ("a second holder before the first's heartbeat runs out", {"overlap"},
     forge(put(ask(9, 4.0, 4.1, "s2", 2), release(9, 4.2, 4.3, "s2", 2)),
           rows(row("s2", 2, 5.0, 5.0)))),
    ("a second holder after the first's time is over", set(),
     forge(drop(4), drop(4), put(ask(9, 4.0, 4.1, "s2", 2), release(9, 4.2, 4.3, "s2", 2)),
           change_row(2, endedAt="2026-01-02T03:04:03.000Z", state="expired"),
           rows(row("s2", 2, 4.0, 4.2)))),
    ("a second holder while a lost heartbeat may have shortened the first's time", set(),
     forge(put(ask(9, 10.0, 10.1, "s1", 3),
               call(9, "extendLease", {"stackName": "s1", "leaseId": "lease-s1-3", "seconds": 1},
                    10.2, 10.3, None, None, "caller"),
               ask(8, 11.3, 11.4, "s1", 4), release(8, 11.5, 11.6, "s1", 4)),
           rows(row("s1", 3, 10.0, 11.2, "expired"), row("s1", 4, 11.3, 11.5)),
           change_end(at=12.0))),
    ("a second holder after another caller's release by name", set(),
     forge(put(ask(9, 10.0, 10.1, "s1", 3, requestId=None),
               call(7, "releaseStack", {"stackName": "s1"}, 10.5, 10.6),
               ask(8, 10.7, 10.8, "s1", 4), release(8, 11.0, 11.1, "s1", 4)),
           rows(row("s1", 3, 10.0, 10.5), row("s1", 4, 10.7, 11.0)), change_end(at=12.0))),
    ("a release by name that frees a protected lease", {"overlap"},
     forge(put(ask(9, 10.0, 10.1, "s1", 3),
               call(7, "releaseStack", {"stackName": "s1"}, 10.5, 10.6),
               ask(8, 10.7, 10.8, "s1", 4), release(8, 11.0, 11.1, "s1", 4)),
           rows(row("s1", 3, 10.0, 10.5), row("s1", 4, 10.7, 11.0)), change_end(at=12.0))),

    ("one fence twice", {"fence", "history"},
     forge(put(ask(9, 4.5, 4.6, "s1", 2), release(9, 4.7, 4.8, "s1", 2)),
           lambda records: [records[0]["answer"].update(leaseId="another"),
                            records[1]["body"].update(leaseId="another")],
           rows(row("s1", 2, 4.5, 4.7)))),
    ("a fence that falls", {"fence"},
     forge(put(ask(9, 4.5, 4.6, "s1", 0), release(9, 4.7, 4.8, "s1", 0)),
           rows(row("s1", 0, 0.1, 0.2)))),
    ("one leaseId for two stacks", {"same answer", "history"},
     forge(put(ask(9, 2.2, 2.3, "s2", 7)),
           lambda records: records[0]["answer"].update(leaseId="lease-s1-2"),
           rows(row("s2", 7, 5.2, 5.3)), change_row(2, requestNumber=8))),
    ("two leases for one requestId", {"one lease"},
     forge(put(ask(9, 6.0, 6.1, "s1", 3, requestId="x"), ask(9, 6.2, 6.3, "s2", 2, requestId="x"),
               release(9, 7.0, 7.1, "s1", 3), release(9, 7.0, 7.1, "s2", 2)),
           rows(row("s1", 3, 6.0, 7.0), row("s2", 2, 6.2, 7.0)), change_end(at=8.0))),

    ("a heartbeat that is refused in time", {"refused"},
     forge(put(extend(2, 3.0, 3.1, "s1", 2, status=410)))),
    ("a mark that is refused in time", {"refused"},
     forge(put(use("setLastDeployedCommit", 2, 3.0, 3.1, "s1", 2, 403,
                   {"error": {"code": "wrongLeaseId"}})))),
    ("a heartbeat that is refused too late", set(),
     forge(put(extend(2, 4.2, 4.3, "s1", 2, status=410)))),
    ("a release that is refused", {"refused"},
     forge(put(release(2, 4.2, 4.3, "s1", 2, status=403,
                       answer={"error": {"code": "wrongLeaseId"}})))),
    ("a heartbeat after the release", {"lost lease"},
     forge(put(extend(1, 3.0, 3.1, "s1", 1)))),
    ("a mark while the next one holds the stack", {"lost lease"},
     forge(put(use("setLastDeployedCommit", 1, 3.0, 3.1, "s1", 1)))),

    ("no answer", {"answer"}, forge(put(request(9, 1.0, 2.0, None, cut="reset")))),
    ("no answer while the caller hangs up", set(),
     forge(put(request(9, 1.0, 2.0, None, cut="caller")))),
    ("no answer while the program is killed", set(),
     forge(put(KILL, request(9, 9.0, 10.5, None, cut="reset")))),
    ("no answer after the program is back", {"answer"},
     forge(put(KILL, request(9, 12.5, 12.6, None, cut="reset")))),
    ("an answer too late", {"answer"},
     forge(put(request(9, 1.0, 20.0, 503, "noStackAvailable")))),
    ("502 without a reason", {"answer"}, forge(put(request(9, 1.0, 1.1, 502, "badGateway")))),
    ("403 to a request", {"answer"}, forge(put(request(9, 1.0, 1.1, 403, "forbidden")))),

    ("no word at all while the program is killed", {"silence"},
     forge(put(KILL, request(9, 9.0, 10.5, None, cut="timed out")))),
    ("no word at all while the network is broken", set(),
     forge(put({**KILL, "silent": True}, request(9, 9.0, 10.5, None, cut="timed out")))),
    ("502 while the program is killed", set(),
     forge(put(KILL, request(9, 9.0, 10.5, 502, "badGateway")))),
    ("500 while the program is killed", {"answer"},
     forge(put(KILL, request(9, 9.0, 10.5, 500, "internal")))),

    ("overtaken", {"order"},
     forge(put(ask(7, 10.0, 15.0, "s1", 4, waited=4.9), release(7, 15.1, 15.2, "s1", 4),
               ask(8, 11.0, 12.0, "s1", 3, waited=0.9), release(8, 12.5, 12.6, "s1", 3)),
           rows(row("s1", 3, 11.9, 12.5), row("s1", 4, 14.9, 15.1)), change_end(at=16.0))),
    ("overtaken until the wait is over", {"order"},
     forge(put(request(7, 10.0, 15.0, 503, "noStackAvailable"),
               ask(8, 11.0, 12.0, "s1", 3, waited=0.9), release(8, 12.5, 12.6, "s1", 3)),
           rows(row("s1", 3, 11.9, 12.5)), change_end(at=16.0))),
    ("overtaken by a lower priority", {"order"},
     forge(put(ask(7, 10.0, 15.0, "s1", 4, waited=4.9, priority=1),
               release(7, 15.1, 15.2, "s1", 4),
               ask(8, 9.0, 12.0, "s1", 3, waited=2.9), release(8, 12.5, 12.6, "s1", 3)),
           rows(row("s1", 3, 11.9, 12.5), row("s1", 4, 14.9, 15.1)), change_end(at=16.0))),
    ("overtaken while another host was at it", set(),
     forge(put(ask(7, 10.0, 15.0, "s1", 4, waited=4.9), release(7, 15.1, 15.2, "s1", 4),
               ask(8, 10.5, 12.0, "s1", 3, waited=0.9), release(8, 12.5, 12.6, "s1", 3)),
           rows(row("s1", 3, 11.9, 12.5), row("s1", 4, 14.9, 15.1)),
           change_end(at=16.0, slack=0.5))),
    ("overtaken while hosts had lost sight of each other", set(),
     forge(put({**KILL, "parted": True},
               ask(7, 10.0, 15.0, "s1", 4, waited=4.9), release(7, 15.1, 15.2, "s1", 4),
               ask(8, 11.0, 12.0, "s1", 3, waited=0.9), release(8, 12.5, 12.6, "s1", 3)),
           rows(row("s1", 3, 11.9, 12.5), row("s1", 4, 14.9, 15.1)), change_end(at=16.0))),
    ("overtaken long after another host was at it", {"order"},
     forge(put(ask(7, 10.0, 15.0, "s1", 4, waited=4.9), release(7, 15.1, 15.2, "s1", 4),
               ask(8, 10.7, 12.0, "s1", 3, waited=0.9), release(8, 12.5, 12.6, "s1", 3)),
           rows(row("s1", 3, 11.9, 12.5), row("s1", 4, 14.9, 15.1)),
           change_end(at=16.0, slack=0.5))),
    ("overtaken by a higher priority", set(),
     forge(put(ask(7, 10.0, 15.0, "s1", 4, waited=4.9), release(7, 15.1, 15.2, "s1", 4),
               ask(8, 11.0, 12.0, "s1", 3, waited=0.9, priority=1),
               release(8, 12.5, 12.6, "s1", 3)),
           rows(row("s1", 3, 11.9, 12.5), row("s1", 4, 14.9, 15.1)), change_end(at=16.0))),
    ("overtaken by one, which affinity allows", set(),
     forge(put(ask(7, 10.0, 15.0, "s1", 4, waited=4.9), release(7, 15.1, 15.2, "s1", 4),
               ask(8, 11.0, 12.0, "s1", 3, waited=0.9), release(8, 12.5, 12.6, "s1", 3)),
           rows(row("s1", 3, 11.9, 12.5), row("s1", 4, 14.9, 15.1)),
           change_end(at=16.0, rule="affinity"))),
    ("overtaken by six, which affinity does not allow", {"order"},
     forge(put(ask(7, 10.0, 25.0, "s1", 20, waited=14.9), release(7, 25.1, 25.2, "s1", 20),
               *(ask(8, 11.0 + i, 11.1 + i, "s1", 3 + i) for i in range(6)),
               *(release(8, 11.5 + i, 11.6 + i, "s1", 3 + i) for i in range(6))),
           rows(row("s1", 20, 24.9, 25.1), *(row("s1", 3 + i, 11 + i, 11.5 + i) for i in range(6))),
           change_end(at=26.0, rule="affinity"))),

    ("a grant that the history lacks", {"history"},
     forge(lambda records: end_of(records)["history"].pop())),
    ("a grant that is another request's there", {"history"},
     forge(change_row(0, requestNumber=77))),
    ("a grant that is still active there", {"history"}, forge(change_row(0, state="active"))),
    ("a release in time that became an expiry", {"history"}, forge(change_row(1, state="expired"))),
    ("another outcome than the release said", {"history"},
     forge(drop(6), put(release(2, 4.0, 4.1, "s1", 2, outcome="failed")),
           change_row(1, outcome="success"))),
    ("the outcome that the release said", set(),
     forge(drop(6), put(release(2, 4.0, 4.1, "s1", 2, outcome="failed")),
           change_row(1, outcome="failed"))),
    ("a mark that is not there", {"history"},
     forge(put(use("setLastDeployedCommit", 2, 3.0, 3.1, "s1", 2)),
           change_row(1, deployedAt=None))),
    ("nothing wrong, by the clock", set(), forge(change_end(clock=CLOCK))),
    ("a lease that ended before its release was sent", {"history"},
     forge(change_end(clock=CLOCK), change_row(1, endedAt="2026-01-02T03:04:03.500Z"))),
    ("a lease that ended after its release was answered", {"history"},
     forge(change_end(clock=CLOCK), change_row(1, endedAt="2026-01-02T03:04:04.500Z"))),
    ("a dead holder's stack that comes back in time", set(),
     forge(put(ask(9, 10.0, 10.1, "s1", 3, seconds=2)),
           rows(row("s1", 3, 10.0, 12.1, "expired")), change_end(clock=CLOCK, at=13.0))),
    ("a dead holder's stack that comes back too late", {"late return"},
     forge(put(ask(9, 10.0, 10.1, "s1", 3, seconds=2)),
           rows(row("s1", 3, 10.0, 14.0, "expired")), change_end(clock=CLOCK, at=15.0))),
    ("a stack that comes back after an outage and the grace", set(),
     forge(put(KILL, ask(9, 10.0, 10.1, "s1", 3, seconds=2)),
           rows(row("s1", 3, 10.0, 14.0, "expired")), change_end(clock=CLOCK, at=15.0))),
    ("a lease that ends before anybody can have saved it after a restart", {"early end"},
     forge(put({**KILL, "died": 10.1}, ask(9, 9.5, 9.6, "s1", 3, seconds=1)),
           rows(row("s1", 3, 9.5, 11.5, "expired")), change_end(clock=CLOCK, at=13.0))),
    ("a lease that ends when the grace after a restart is over", set(),
     forge(put({**KILL, "died": 10.1}, ask(9, 9.5, 9.6, "s1", 3, seconds=1)),
           rows(row("s1", 3, 9.5, 12.5, "expired")), change_end(clock=CLOCK, at=13.0))),
    ("a lease that ends after the heartbeat that followed a restart", set(),
     forge(put({**KILL, "died": 10.1}, ask(9, 9.5, 9.6, "s1", 3, seconds=1),
               extend(9, 10.6, 10.7, "s1", 3, seconds=1)),
           rows(row("s1", 3, 9.5, 11.7, "expired")), change_end(clock=CLOCK, at=13.0))),
    ("a stack that comes back late after an outage", {"late return"},
     forge(put(KILL, ask(9, 10.0, 10.1, "s1", 3, seconds=2)),
           rows(row("s1", 3, 10.0, 17.0, "expired")), change_end(clock=CLOCK, at=17.5))),
    ("a stack that comes back after its last heartbeat", set(),
     forge(put(ask(9, 10.0, 10.1, "s1", 3, seconds=2), extend(9, 11.0, 11.1, "s1", 3, seconds=4)),
           rows(row("s1", 3, 10.0, 15.0, "expired")), change_end(clock=CLOCK, at=15.5))),
    ("a job's call that is granted twice", {"granted twice"},
     forge(put(request(9, 4.8, 4.9, None, cut="caller"),
               ask(9, 10.0, 10.1, "s1", 4, requestId=None, job={"name": "a"})),
           rows(job_row("s1", 3, 9.0, 9.5, "a"), job_row("s1", 4, 10.0, 12.0, "a")))),
    ("a job's call that is granted once", set(),
     forge(put(ask(9, 10.0, 10.1, "s1", 4, requestId=None, job={"name": "a"})),
           rows(job_row("s1", 4, 10.0, 12.0, "a")))),
    ("a job's grant that is another's there", {"history"},
     forge(put(ask(9, 10.0, 10.1, "s1", 4, requestId=None, job={"name": "a"})),
           rows(job_row("s1", 4, 10.0, 12.0, "b")))),
    ("overlapping leases there", {"history"},
     forge(change_row(1, grantedAt="2026-01-02T03:04:01.500Z"))),
    ("a grant that nobody was told of", {"history"}, forge(rows(row("s1", 3, 5.0, 5.1)))),
    ("a grant whose answer was lost", set(),
     forge(put(request(9, 4.9, 5.0, None, cut="caller")), rows(row("s1", 3, 5.0, 5.1)))),
    ("a stack that does not come back", {"lost stack"},
     forge(change_end(stacks=[{"stackName": "s1", "isAvailable": False},
                              {"stackName": "s2", "isAvailable": True}]))),
    ("a stack that is quarantined after failed deploys of two branches", set(),
     forge(*failed("s1", "a", "b"), quarantined("s1"))),
    ("a stack that is quarantined after failed deploys of one branch", {"lost stack"},
     forge(*failed("s1", "a", "a"), quarantined("s1"))),
    ("a stack that is quarantined though that is switched off", {"lost stack"},
     forge(*failed("s1", "a", "b"), quarantined("s1", quarantine_after=0))),
    ("more than half of the pool is quarantined", {"lost stack"},
     forge(*failed("s1", "a", "b"), *failed("s2", "a", "b"), quarantined("s1", "s2"))),
    ("a stack that comes back too late", {"lost stack"},
     forge(lambda records: [r["body"].update(leaseSeconds=1, seconds=1) for r in records[:-1]],
           change_end(at=9.0))),
    ("a stack that is gone", {"lost stack"},
     forge(change_end(stacks=[{"stackName": "s1", "isAvailable": True}]))),
    ("more stacks than there may be", {"stacks"}, forge(change_end(maxStacks=1))),
    ("a request that still waits", {"stacks"}, forge(change_end(status={"queue": [{}]}))),
]


def main():
    tap = Tap(len(FORGED))
    for name, expected, records in FORGED:
        violations = Checker(records).run()
        found = {kind for kind, _ in violations}
        tap.result(found == expected, "%s: %s" % (name, ", ".join(sorted(expected)) or "accepted"),
                   ["found: %s" % sorted(found)] + violations if found != expected else ())
    tap.exit()


if __name__ == "__main__":
    main()
