#!/usr/bin/env python3
"""checker: judges a history of calls. It knows the promises of the API, nothing of the program.

    tests/race/checker.py HISTORY        prints violations, then figures; status 1 if there are any

A history has one JSON object a line, in any order. Times are seconds of one monotonic clock.

  {"type": "call", "caller": 7, "call": "requestStack", "body": {…}, "sent": t, "ended": t,
   "status": 200, "answer": {…}, "cut": "why"}
      `status` is null when no answer came: `cut` is "caller" if the caller itself cut the
      connection, else what happened to it. `ended`: when the answer was there, or the cut.
  {"type": "fault", "fault": "kill program", "from": t, "to": t, "silent": false,
   "died": t}
      calls that touch this time may be cut or get a 5xx; if it is silent, they may hear nothing.
      `died`: when program or database had ended; until the grace time after its restart is over no
      lease from before ends for want of a heartbeat.
      "parted": true: hosts lost sight of each other, and pass over those who wait elsewhere.
  {"type": "end", "at": t, "maxStacks": 8, "grace": 2.0, "slowness": 1, "rule": "fifo"|"affinity",
   "stacks": [listStacks], "status": {…}, "history": [requests of /history], "clock": s}
      what the service says once every stack has come back (or the wait for that was given up).
      `clock`: seconds from the callers' clock to UTC, where the service's clock is the same.
      `slack` (0): seconds until a request has its place in the queue for sure, where several hosts
      contend for it.

What a caller may rely on, from its side: from the moment it has the answer to a request until it
sends the release, or the lease time is over that the answer named, the stack is its own. The start
of the lease is counted from the answer, its end from the earliest moment it may have begun: the
service can't be blamed for what happens between.
"""
import bisect
import calendar
import collections
import json
import sys
import time

# Answers give times in milliseconds, and whole seconds rounded down.
ROUNDING = 0.002

# Seconds by which the service's times and ours may differ, and a stack may come back late.
CLOCKS = 0.05
LATE = 1.0

# What a caller may be told while something is broken.
EXCUSES = {"badGateway", "unavailable", "gatewayTimeout", "databaseUnavailable", "shuttingDown",
           "queueFull", "noStackAvailable", "notNow"}


class Lease:
    """What callers know of one lease."""

    def __init__(self, lease_id, call):
        answer = call["answer"]
        self.lease_id = lease_id
        self.stack = answer["stackName"]
        self.fence = answer["fence"]
        self.branch = call["body"].get("branch")
        self.request_id = call["body"].get("requestId")
        self.number = answer.get("requestNumber")
        self.is_plain = self.request_id is None
        self.heard = call["ended"]  # certainly begun
        self.earliest = call["sent"]  # can't have begun before
        self.until = float("inf")  # certainly held until
        self.released_sent = None  # or revoked, or released by name by somebody
        self.released_answered = None
        self.outcomes = set()  # that releases of it named
        self.is_marked = False
        self.used = []  # when its leaseId was sent
        self.caller = call["caller"]

    def __repr__(self):
        return "lease of %s, fence %s, caller %s, request %s" % (
            self.stack, self.fence, self.caller, self.number)


class Checker:
    def __init__(self, records):
        self.calls = sorted((r for r in records if r["type"] == "call"), key=lambda r: r["sent"])
        self.faults = sorted((r for r in records if r["type"] == "fault"), key=lambda r: r["from"])
        ends = [r for r in records if r["type"] == "end"]
        self.end = ends[0] if ends else None
        self.violations = []
        self.leases = {}
        self.first_sent = {}  # of a requestId
        self.attempts = collections.Counter()
        self.figures = collections.Counter()

    def violation(self, kind, text):
        self.violations.append((kind, text))

    def run(self):
        for call in self.calls:
            request_id = call["body"].get("requestId")
            if call["call"] == "requestStack" and request_id:
                self.first_sent.setdefault(request_id, call["sent"])
                self.attempts[request_id] += 1
        self.check_answers()
        self.find_leases()
        self.find_ends()
        self.check_overlaps()
        self.check_fences()
        self.check_one_lease_per_request()
        self.check_lease_calls()
        self.check_order()
        if self.end:
            self.check_end()
        else:
            self.violation("end", "the history has no end")
        return self.violations

    # --- No request without an answer ---

    def in_fault(self, call, kind=None):
        """Whether a fault (one that is silent, parted) touches the call."""
        return any(f["from"] <= call["ended"] and call["sent"] <= f["to"] and
                   (not kind or f.get(kind)) for f in self.faults)

    def check_answers(self):
        slowness = self.end["slowness"] if self.end else 1
        for call in self.calls:
            self.figures["calls"] += 1
            what = "%s of caller %s sent at %.3f" % (call["call"], call["caller"], call["sent"])
            if call["status"] is None:
                self.figures["cut by callers" if call["cut"] == "caller" else "unanswered"] += 1
                if call["cut"] != "caller" and not self.in_fault(call):
                    self.violation("answer", "%s: no answer: %s" % (what, call["cut"]))
                elif "timed out" in call["cut"] and not self.in_fault(call, "silent"):
                    self.violation("silence", "%s: neither an answer nor a cut" % what)
                continue
            self.figures["answers %s" % call["status"]] += 1
            code = (call["answer"].get("error") or {}).get("code")
            waits = call["body"].get("waitSeconds", 600) if call["call"] == "requestStack" else 0
            if call["ended"] - call["sent"] > waits + 10 * slowness and not self.in_fault(call):
                self.violation("answer", "%s: the answer came after %.1f s" %
                               (what, call["ended"] - call["sent"]))
            if call["status"] >= 500 and code not in ("noStackAvailable", "notNow"):
                if not self.in_fault(call) or code not in EXCUSES:
                    self.violation("answer", "%s: %s %s" % (what, call["status"], code))
            elif call["status"] != 200 and not code:
                self.violation("answer", "%s: %s without a code" % (what, call["status"]))
            if call["call"] == "requestStack" and call["status"] not in (200, 409) and \
                    call["status"] < 500:
                self.violation("answer", "%s: %s %s" % (what, call["status"], code))

    # --- Which leases there were, and until when they were certain ---

    def find_leases(self):
        for call in self.calls:
            if call["call"] != "requestStack" or call["status"] != 200:
                continue
            answer = call["answer"]
            lease = self.leases.get(answer["leaseId"])
            if lease is None:
                lease = self.leases[answer["leaseId"]] = Lease(answer["leaseId"], call)
            elif (lease.stack, lease.fence) != (answer["stackName"], answer["fence"]):
                self.violation("same answer", "%r came again as %s, fence %s" %
                               (lease, answer["stackName"], answer["fence"]))
            lease.heard = min(lease.heard, call["ended"])
            asked = self.first_sent.get(lease.request_id, call["sent"])
            granted = asked + answer["waitedSeconds"] - ROUNDING
            lease.earliest = granted
            # The time left was counted when the answer was made: not before it was asked for, and
            # not before the grant.
            lease.until = min(lease.until,
                              max(call["sent"], granted) + answer["expiresInSeconds"])

    def find_ends(self):
        """Follows heartbeats and releases in the order in which they were sent."""
        by_stack = collections.defaultdict(list)
        for lease in self.leases.values():
            by_stack[lease.stack].append(lease)
        for call in self.calls:
            body = call["body"]
            lease = self.leases.get(body.get("leaseId"))
            if lease and call["call"] in ("releaseStack", "extendLease", "setLastDeployedCommit"):
                lease.used.append(call["sent"])
            if lease and call["call"] == "releaseStack":
                lease.outcomes.add(body.get("outcome"))
            elif lease and call["call"] == "setLastDeployedCommit" and call["status"] == 200:
                lease.is_marked = True
            if call["call"] == "extendLease" and lease:
                if call["status"] == 200 and lease.released_sent is None:
                    lease.until = call["sent"] + call["answer"]["expiresInSeconds"]
                elif call["status"] is None or call["status"] >= 500:
                    # Done or not: the sooner of both ends is certain.
                    lease.until = min(lease.until, call["sent"] + body.get("seconds", 0))
            elif call["call"] == "releaseStack" and lease:
                if lease.released_sent is None:
                    lease.released_sent = call["sent"]
                if call["status"] == 200 and lease.released_answered is None:
                    lease.released_answered = call["ended"]
                lease.until = min(lease.until, call["sent"])
            elif (call["call"] == "releaseStack" and "leaseId" not in body) or \
                    call["call"] == "revokeLease":
                for other in by_stack[body["stackName"]]:
                    is_open = call["call"] == "revokeLease" or \
                        (other.is_plain and not any(t < call["sent"] for t in other.used))
                    # It ends whichever lease of the stack it finds on arrival.
                    if is_open and other.until > call["sent"] and \
                            other.earliest < call["ended"]:
                        other.until = min(other.until, max(call["sent"], other.earliest))
                        if other.released_sent is None:
                            other.released_sent = call["sent"]

    # --- No two leases of one stack at a time ---

    def check_overlaps(self):
        by_stack = collections.defaultdict(list)
        for lease in self.leases.values():
            if lease.heard < lease.until:
                by_stack[lease.stack].append(lease)
        for stack, leases in by_stack.items():
            leases.sort(key=lambda lease: lease.heard)
            holder = None
            for lease in leases:
                if holder and lease.heard < holder.until:
                    self.violation("overlap", "%s: %r from %.3f, while %r holds it until %.3f" % (
                        stack, lease, lease.heard, holder, holder.until))
                if holder is None or lease.until > holder.until:
                    holder = lease
        self.figures["leases"] = len(self.leases)

    # --- Fences rise ---

    def check_fences(self):
        by_stack = collections.defaultdict(list)
        for lease in self.leases.values():
            by_stack[lease.stack].append(lease)
        for stack, leases in by_stack.items():
            leases.sort(key=lambda lease: lease.fence)
            latest = None  # of the lower fences, the one whose grant can't have been earlier
            for lease in leases:
                if latest and lease.fence == latest.fence:
                    self.violation("fence", "%s: %r and %r" % (stack, latest, lease))
                if latest and lease.heard < latest.earliest:
                    self.violation("fence", "%s: %r heard at %.3f, but %r began after %.3f" % (
                        stack, lease, lease.heard, latest, latest.earliest))
                if latest is None or lease.earliest > latest.earliest or \
                        lease.fence == latest.fence:
                    latest = lease

    # --- One requestId, one lease ---

    def check_one_lease_per_request(self):
        by_request = collections.defaultdict(list)
        for lease in self.leases.values():
            if lease.request_id:
                by_request[lease.request_id].append(lease)
        for request_id, leases in by_request.items():
            leases.sort(key=lambda lease: lease.heard)
            for before, after in zip(leases, leases[1:]):
                if after.heard < before.until:
                    self.violation("one lease", "requestId %s: %r, and %r at %.3f" % (
                        request_id, before, after, after.heard))

    # --- Calls with a leaseId ---

    def check_lease_calls(self):
        """A held lease is never refused; a lost one never extended or marked."""
        by_stack = collections.defaultdict(list)
        for lease in self.leases.values():
            by_stack[lease.stack].append(lease)
        for leases in by_stack.values():
            leases.sort(key=lambda lease: lease.fence)
        ends = {}  # the certain end as it stood when the call was sent
        for call in self.calls:
            if call["call"] == "requestStack" and call["status"] == 200:
                answer = call["answer"]
                asked = self.first_sent.get(call["body"].get("requestId"), call["sent"])
                end = max(call["sent"], asked + answer["waitedSeconds"] - ROUNDING) + \
                    answer["expiresInSeconds"]
                ends[answer["leaseId"]] = min(end, ends.get(answer["leaseId"], end))
                continue
            lease = self.leases.get(call["body"].get("leaseId"))
            if lease is None or call["status"] is None or call["status"] >= 500:
                if lease and call["call"] == "extendLease":
                    ends[lease.lease_id] = min(
                        ends[lease.lease_id], call["sent"] + call["body"].get("seconds", 0))
                continue
            what = "%s at %.3f with the leaseId of %r: %s" % (
                call["call"], call["sent"], lease, call["status"])
            if call["call"] == "releaseStack" and call["status"] != 200:
                self.violation("refused", what)
            if call["call"] not in ("extendLease", "setLastDeployedCommit"):
                continue
            was_released = lease.released_sent is not None and \
                lease.released_sent < call["ended"]
            if call["status"] != 200:
                self.figures["leases lost"] += 1
                until = ends[lease.lease_id]
                if call["ended"] < until and not was_released:
                    self.violation("refused", "%s, though it lasts until %.3f" % (what, until))
                continue
            if lease.released_answered is not None and lease.released_answered < call["sent"]:
                self.violation("lost lease", "%s after its release" % what)
            leases = by_stack[lease.stack]
            position = bisect.bisect_right([other.fence for other in leases], lease.fence)
            for later in leases[position:]:
                if later.heard < call["sent"]:
                    self.violation("lost lease", "%s after %r" % (what, later))
                    break
            if call["call"] == "extendLease":
                ends[lease.lease_id] = call["sent"] + call["answer"]["expiresInSeconds"]

    # --- Order of the queue ---

    def check_order(self):
        """Counts by whom a request was certainly overtaken while its one connection was open."""
        rule = self.end["rule"] if self.end else "fifo"
        allowed = 5 if rule == "affinity" else 0
        slack = self.end.get("slack", 0) if self.end else 0
        grants = []
        waits = []
        for call in self.calls:
            if call["call"] != "requestStack" or call["status"] not in (200, 503):
                continue
            body, answer = call["body"], call["answer"]
            if call["status"] == 200:
                waited = answer["waitedSeconds"]
            elif (answer.get("error") or {}).get("code") == "noStackAvailable":
                waited = body.get("waitSeconds", 0)
            else:
                continue
            request_id = body.get("requestId")
            asked = self.first_sent.get(request_id, call["sent"])
            entry = {
                "call": call, "priority": body.get("priority", 0),
                "asked from": asked, "asked until": call["ended"] - waited + ROUNDING,
                "granted from": asked + waited - ROUNDING, "granted until": call["ended"]}
            if call["status"] == 200 and body.get("purpose") != "refresh":
                grants.append(entry)
            # One that came back has stood aside in between, and a higher rank by age is possible
            # after a minute only.
            if self.attempts.get(request_id, 1) == 1 and waited < 50 and \
                    not self.in_fault(call, "parted"):
                waits.append(entry)
        grants.sort(key=lambda e: e["granted until"])
        ended = [e["granted until"] for e in grants]
        most = 0
        for wait in waits:
            overtakers = []
            first = bisect.bisect_left(ended, wait["asked until"])
            last = bisect.bisect_left(ended, wait["granted from"])
            for other in grants[first:last]:
                if other["call"] is wait["call"]:
                    continue
                if other["granted until"] - other["asked from"] > 50:
                    continue
                if other["priority"] == wait["priority"]:
                    if wait["asked until"] + slack < other["asked from"]:
                        overtakers.append(other)
                elif other["priority"] < wait["priority"]:
                    if wait["asked until"] + slack < other["granted from"]:
                        overtakers.append(other)
            most = max(most, len(overtakers))
            self.figures["waits judged"] += 1
            if len(overtakers) > allowed:
                self.violation("order", "caller %s, asked before %.3f and served after %.3f, was "
                               "overtaken by %d, first by caller %s that asked after %.3f" % (
                                   wait["call"]["caller"], wait["asked until"],
                                   wait["granted from"], len(overtakers),
                                   overtakers[0]["call"]["caller"], overtakers[0]["asked from"]))
        self.figures["most overtakings"] = most

    # --- What the service says at the end ---

    def check_end(self):
        end = self.end
        rows = end["history"]
        row_of = {}
        for row in rows:
            key = (row["stackName"], row["fence"])
            if row["stackName"] is None:
                continue
            if key in row_of:
                self.violation("history", "two rows for %s, fence %s" % key)
            row_of[key] = row
        for lease in self.leases.values():
            row = row_of.get((lease.stack, lease.fence))
            if row is None:
                self.violation("history", "%r is not in the history" % lease)
                continue
            if lease.number is not None and row["requestNumber"] != lease.number:
                self.violation("history", "%r is request %s there" % (lease, row["requestNumber"]))
            if row["state"] not in ("released", "expired", "revoked"):
                self.violation("history", "%r is %s" % (lease, row["state"]))
            held = lease.released_answered is not None and lease.released_answered < self.lasts(lease)
            if held and row["state"] == "expired":
                self.violation("history", "%r was released in time, but is expired" % lease)
            elif held and row.get("outcome") not in (None, *lease.outcomes):
                self.violation("history", "%r was released with %s, but has %s" % (
                    lease, sorted(lease.outcomes), row["outcome"]))
            if lease.is_marked and not row.get("deployedAt", True):
                self.violation("history", "%r was marked, but isn't there" % lease)
            if held and "clock" in end:
                self.check_release_time(lease, row)
        if "clock" in end:
            self.check_returns(rows)
        self.check_jobs(row_of)
        self.check_unheard(row_of)
        self.check_rows(rows)
        self.check_stacks()

    def check_jobs(self, row_of):
        """A call with a job name of its own, and no requestId, is granted at most once."""
        granted = collections.defaultdict(list)
        for (stack, fence), row in row_of.items():
            if row.get("job"):
                granted[row["job"]["name"]].append((stack, fence))
        for call in self.calls:
            job = call["body"].get("job")
            if call["call"] != "requestStack" or not job or "requestId" in call["body"]:
                continue
            grants = granted[job["name"]]
            if len(grants) > 1:
                self.violation("granted twice", "%s of caller %s sent at %.3f: %s" % (
                    job["name"], call["caller"], call["sent"], grants))
            answer = call["answer"] if call["status"] == 200 else None
            if answer and (answer["stackName"], answer["fence"]) not in grants:
                self.violation("history", "%s of caller %s was told of %s, fence %s, but has %s" % (
                    job["name"], call["caller"], answer["stackName"], answer["fence"], grants))

    def on_our_clock(self, text):
        """Of ISO 8601 in UTC."""
        seconds, _, fraction = text.rstrip("Z").partition(".")
        utc = calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S"))
        return utc + float("0." + (fraction or "0")) - self.end["clock"]

    def check_release_time(self, lease, row):
        """An answered release ended the lease, after it was sent and before its answer."""
        ended = self.on_our_clock(row["endedAt"])
        if not lease.released_sent - CLOCKS < ended < lease.released_answered + CLOCKS:
            self.violation("history", "%r was released from %.3f to %.3f, but ended at %.3f" % (
                lease, lease.released_sent, lease.released_answered, ended))

    # --- Every stack comes back, whatever becomes of its holder ---

    def check_returns(self, rows):
        heard = {(lease.stack, lease.fence): lease for lease in self.leases.values()}
        seconds = {}
        extended = collections.defaultdict(float)  # the latest end that a heartbeat may have set
        for call in self.calls:
            body = call["body"]
            if call["call"] == "requestStack" and "leaseSeconds" in body:
                seconds[body.get("requestId")] = body["leaseSeconds"]
            elif call["call"] == "extendLease" and call["status"] not in range(400, 500):
                at = call["ended"] if call["status"] == 200 else self.settled(call)
                extended[body["leaseId"]] = max(extended[body["leaseId"]], at + body["seconds"])
        longest = max(seconds.values(), default=0)
        latest = 0.0
        for row in rows:
            if not row["grantedAt"] or not row["endedAt"]:
                continue
            lease = heard.get((row["stackName"], row["fence"]))
            due = self.on_our_clock(row["grantedAt"])
            due += seconds.get(lease.request_id, longest) if lease else longest
            if lease:
                due = max(due, extended[lease.lease_id])
            for fault in self.faults:
                if fault["from"] <= due + LATE:
                    due = max(due, fault["to"] + self.end["grace"])
            ended = self.on_our_clock(row["endedAt"])
            self.check_grace(row, ended, lease)
            late = ended - due
            latest = max(latest, late)
            if late > LATE * self.end["slowness"]:
                self.violation("late return", "%s, fence %s, came back %.1f s too late" % (
                    row["stackName"], row["fence"], late))
        self.figures["latest return, milliseconds after it was due"] = round(1000 * latest)

    def check_grace(self, row, ended, lease):
        """While program or database is away no heartbeat comes in: that isn't the holder's fault."""
        if row["state"] != "expired":
            return
        heartbeats = [call["ended"] for call in (self.calls_of(lease) if lease else [])
                      if call["call"] == "extendLease"]
        for fault in self.faults:
            died = fault.get("died", float("inf"))
            if self.on_our_clock(row["grantedAt"]) < died and \
                    died + CLOCKS < ended < died + self.end["grace"] - CLOCKS and \
                    not any(at > died for at in heartbeats):
                self.violation("early end", "%s, fence %s, expired %.1f s after %s" % (
                    row["stackName"], row["fence"], ended - died, fault["fault"]))

    def settled(self, call):
        """When a call without an answer must have happened, if it ever does."""
        return max([call["ended"]] + [fault["to"] for fault in self.faults
                                      if fault["from"] <= call["ended"] and
                                      call["sent"] <= fault["to"]])

    def lasts(self, lease):
        """The end of the lease if nobody had released it."""
        end = float("-inf")
        for call in self.calls_of(lease):
            if call["call"] == "requestStack" and call["status"] == 200:
                asked = self.first_sent.get(lease.request_id, call["sent"])
                end = max(call["sent"], asked + call["answer"]["waitedSeconds"] - ROUNDING) + \
                    call["answer"]["expiresInSeconds"]
            elif call["call"] == "extendLease":
                if call["status"] == 200:
                    end = call["sent"] + call["answer"]["expiresInSeconds"]
                elif call["status"] is None or call["status"] >= 500:
                    end = min(end, call["sent"] + call["body"].get("seconds", 0))
        return end

    def calls_of(self, lease):
        if not hasattr(self, "by_lease"):
            self.by_lease = collections.defaultdict(list)
            for call in self.calls:
                lease_id = call["body"].get("leaseId")
                if call["call"] == "requestStack" and call["status"] == 200:
                    lease_id = call["answer"]["leaseId"]
                self.by_lease[lease_id].append(call)
        return self.by_lease[lease.lease_id]

    def check_unheard(self, row_of):
        """Grants that nobody was told of: only where somebody didn't get an answer."""
        heard = {(lease.stack, lease.fence) for lease in self.leases.values()}
        unheard = [row for key, row in row_of.items() if key not in heard]
        lost = sum(1 for c in self.calls if c["call"] == "requestStack" and
                   (c["status"] is None or c["status"] >= 500))
        self.figures["grants never heard of"] = len(unheard)
        if len(unheard) > lost:
            self.violation("history", "%d grants that nobody was told of, but only %d requests "
                           "without their answer" % (len(unheard), lost))

    def check_rows(self, rows):
        """The same promises, in the service's own words."""
        by_stack = collections.defaultdict(list)
        for row in rows:
            if row["grantedAt"] and row["stackName"]:
                by_stack[row["stackName"]].append(row)
        for stack, leases in by_stack.items():
            leases.sort(key=lambda row: row["fence"])
            for before, after in zip(leases, leases[1:]):
                # ISO 8601 in UTC with milliseconds: text compares like time.
                if after["grantedAt"] < (before["endedAt"] or "9"):
                    self.violation("history", "%s: fence %s ended at %s, fence %s began at %s" % (
                        stack, before["fence"], before["endedAt"], after["fence"],
                        after["grantedAt"]))

    def check_stacks(self):
        end = self.end
        names = [stack["stackName"] for stack in end["stacks"]]
        if len(names) > end["maxStacks"] or len(set(names)) != len(names):
            self.violation("stacks", "there are %s" % names)
        broken = self.broken_stacks()
        for stack in end["stacks"]:
            if not stack["isAvailable"] and stack["stackName"] not in broken:
                self.violation("lost stack", "%s has not come back" % stack["stackName"])
        if 2 * len(broken) > end["maxStacks"]:
            self.violation("lost stack", "more than half are quarantined: %s" % sorted(broken))
        known = {lease.stack for lease in self.leases.values()}
        for name in known - set(names):
            self.violation("lost stack", "%s is gone" % name)
        if end["status"]["queue"]:
            self.violation("stacks", "%d requests still wait" % len(end["status"]["queue"]))
        deadline = self.deadline()
        if end["at"] > deadline:
            self.violation("lost stack", "the last stack came back %.1f s too late" %
                           (end["at"] - deadline))
        self.figures["seconds before the deadline"] = round(deadline - end["at"], 1)

    def broken_stacks(self):
        """Those which the service may have quarantined, and has: deploys of several branches failed there."""
        status = self.end["status"]
        quarantined = {stack["stackName"] for stack in status.get("stacks", ())
                       if stack["state"] == "quarantined"}
        branches = collections.defaultdict(set)
        for lease in self.leases.values():
            if "deployFailed" in lease.outcomes:
                branches[lease.stack].add(lease.branch)
        return {name for name in quarantined
                if len(branches[name]) >= (status["project"]["quarantineAfter"] or float("inf"))}

    def deadline(self):
        """When the last lease must have ended that anybody's call can have begun."""
        end = self.end
        latest = max([fault["to"] + end["grace"] for fault in self.faults], default=0)
        for call in self.calls:
            if call["call"] == "requestStack" and call["status"] in (None, 200) or \
                    call["status"] is not None and call["status"] >= 500:
                latest = max(latest, call["ended"] + call["body"].get("leaseSeconds", 0))
            elif call["call"] == "extendLease":
                latest = max(latest, call["ended"] + call["body"]["seconds"])
        return latest + 2 * end["slowness"]


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    checker = Checker(read(sys.argv[1]))
    violations = checker.run()
    for kind, text in violations[:100]:
        print("%s: %s" % (kind, text))
    for name, count in sorted(checker.figures.items()):
        print("# %s: %s" % (name, count))
    print("# violations: %d" % len(violations))
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    main()
