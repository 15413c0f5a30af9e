"""model: what one project must answer, written from the design, command by command.

It knows no SQL, and of time only `now`, which its user sets. One command runs at a time; callers that wait on open connections are
"parked", and what a command means for them comes out as events. Where the design leaves a choice,
the comment says what is expected.
"""

from activity import Activity
from deploy_times import DeployTimes

WINDOW = 5  # of those in front, who may get a freed stack
PASSES = 5  # how often one may be passed over
FRESH = 2  # stacks that run main: enough
MAIN = ("main", "master")
SOUND = (False, False)  # the rank of a stack that is healthy and settled


class Is:
    """An expected value that is not one exact value."""

    def __init__(self, text, test):
        self.text = text
        self.test = test

    def __repr__(self):
        return "<%s>" % self.text


ANYTHING = Is("anything", lambda value: True)
A_TIME = Is("a time", lambda v: isinstance(v, str) and len(v) == 24 and v.endswith("Z"))
A_COUNT = Is("a number from 0", lambda v: isinstance(v, (int, float)) and v >= 0)
A_TEXT = Is("a text", lambda v: isinstance(v, str) and v != "")
A_LEASE_ID = Is("32 hex digits", lambda v: isinstance(v, str) and len(v) == 32 and
                all(c in "0123456789abcdef" for c in v))


def about(seconds):
    """A time left: whole seconds, rounded down, on a machine that may be busy."""
    return Is("about %d" % seconds, lambda v: isinstance(v, int) and
              seconds - 30 <= v <= seconds + 2)


def some(values):
    values = sorted(values)
    return Is("%s in any order" % values, lambda v: isinstance(v, list) and sorted(v) == values)


class Answer:
    """An expected answer: its status, the error's code, and fields (of the error, if it is one)."""

    def __init__(self, status, code=None, lease=None, **fields):
        self.status = status
        self.code = code
        self.lease = lease  # the lease that it tells of
        self.fields = fields

    def __repr__(self):
        return "%s %s %s" % (self.status, self.code or "", self.fields)

    def differences(self, status, answer):
        """What is wrong with an answer."""
        if status != self.status:
            return ["status %s instead of %s" % (status, self.status)]
        body = answer
        found = []
        if self.code:
            body = answer.get("error")
            if not isinstance(body, dict) or body.get("code") != self.code:
                return ["%s instead of code %s" % (answer, self.code)]
            if not isinstance(body.get("message"), str) or not body["message"]:
                found.append("no message")
        for name, expected in self.fields.items():
            value = body.get(name, "missing")
            good = expected.test(value) if isinstance(expected, Is) else value == expected
            if not good:
                found.append("%s is %r instead of %r" % (name, value, expected))
        return found


def message(text):
    return Answer(200, message=text)


class Stack:
    def __init__(self, number, fence, commit, order):
        self.number = number
        self.state = "available"
        self.next_state = None  # once it is given back
        self.branch = None
        self.commit = commit
        self.content = None  # fingerprints by unit, "" for an unknown one; None: nothing is known
        self.failures = {}  # of deploys since it was last known to run something whole: jobs by branch
        self.failed_deploys = 0
        self.failed_branch = None  # whose deploy failed last
        self.first_failure = None  # when, by the clock of changes
        self.deployed = None  # when it last ran something whole, by the same clock
        self.is_unsettled = False
        self.is_job_hold = False
        self.hold_lease_id = None  # of the lease that ended in the hold
        self.fence = fence
        self.order = order  # of the last change: the lowest is idle longest
        self.lease = None
        self.past = []  # ended leases


class Lease:
    def __init__(self, request, ask_order):
        self.request_id = request.get("requestId")
        self.branch = request.get("branch") or "main"
        self.commit = request.get("commit")
        self.units = request.get("units")
        self.purpose = request.get("purpose", "test")
        self.stack_name = request.get("stackName")  # the one that it wants
        self.priority = self.asked_priority = request.get("priority", 0)
        self.ask_order = ask_order
        self.number = None  # once the service has told it
        self.state = "waiting"
        self.outcome = None
        self.connection = None  # who waits: "direct", a parked connection's name, or nobody
        self.timed_out = False
        self.passed_over = 0
        self.seconds = 0
        self.granted_at = None
        self.expires_at = None
        self.is_protected = self.request_id is not None
        self.stack = None
        self.fence = None
        self.lease_id = None
        self.is_new = False
        self.changed = None
        self.removed = None
        self.estimate = None  # seconds to deploy those
        self.stack_commit = None
        self.is_marked = False  # setLastDeployedCommit was called
        self.is_done = False  # with the leaseId, and nothing was marked since
        self.is_whole = False  # and it said that all of its units run
        self.resume = request.get("resume", True)
        self.stack_content = None  # what the stack ran at the grant

    def contents(self):
        """What a repeat must say again, in the order in which it is compared."""
        return {"branch": self.branch, "commit": self.commit, "units": self.units,
                "stackName": self.stack_name, "purpose": self.purpose}


def difference(units, content):
    """(changed, removed) units; a stack whose content is unknown differs in all of the job's."""
    if content is None:
        return list(units), []
    return [u for u in units if content.get(u) != units[u]], [u for u in content if u not in units]


def content_after(units, granted, content, distrust):
    """What is known to run after a lease that didn't say that all of its units do: what it was told
    to change or remove, and didn't mark, is unknown."""
    granted = granted or {}
    after = dict(content or {})
    for unit in {*units, *granted}:
        told = units.get(unit) != granted.get(unit)
        marked = not distrust and (content or {}).get(unit) != granted.get(unit)
        if told and not marked:
            after[unit] = ""
    return after


def distance(units, content):
    changed, removed = difference(units, content)
    return len(changed) + len(removed)


class Model:
    def __init__(self, prefix="test-", initial_commit=None, max_stacks=4, lease_seconds=3600,
                 max_lease_seconds=86400):
        self.prefix = prefix
        self.initial_commit = initial_commit
        self.max_stacks = max_stacks
        self.lease_seconds = lease_seconds
        self.max_lease_seconds = max_lease_seconds
        self.quarantine_after = 2
        self.is_paused = False
        self.max_held = None  # half of the stacks, at least one
        self.stacks = {}
        self.main_branch = None  # main, or master
        self.times = DeployTimes()
        self.activity = Activity(self.time_between, self.is_main)
        self.granted_at = {}  # by number of the stack: the latest grant to a job with units
        self.fences = {}
        self.live = {}  # waiting and active requests by requestId
        self.ended = {}  # the latest ended one of a requestId
        self.queue = []
        self.leases = []  # all that there ever were
        self.now = 0  # seconds
        self.clock = 0  # counts changes
        self.events = {}  # answers to parked connections
        self.is_brief = False  # whether the request at hand waits not at all
        self.hurried = None  # such a request that says supersede

    # --- Helpers ---

    def is_main(self, branch):
        return branch == self.main_branch if self.main_branch else branch in MAIN

    def time_between(self, needs, runs):
        """What has to be deployed until the one content has become the other, in deploy time."""
        changed, removed = difference(needs, runs)
        return self.times.weight([*changed, *removed])

    def tick(self):
        self.clock += 1
        return self.clock

    def name(self, stack):
        return "%s%d" % (self.prefix, stack.number)

    def find(self, name):
        for stack in self.stacks.values():
            if self.name(stack) == name:
                return stack
        return None

    def available(self):
        return sorted((s for s in self.stacks.values() if s.state == "available"),
                      key=lambda s: s.order)

    def ranked(self):
        """The queue in its order. Nobody waits a minute here, so age changes no priority."""
        return sorted(self.queue, key=lambda r: (-r.priority, r.ask_order))

    def create(self, number):
        stack = Stack(number, self.fences.get(number, 0), self.initial_commit, self.tick())
        self.stacks[number] = stack
        return stack

    def free_number(self):
        if len(self.stacks) >= self.max_stacks:
            return None
        return next(n for n in range(1, self.max_stacks + 1) if n not in self.stacks)

    def delete(self, stack):
        self.fences[stack.number] = stack.fence
        self.granted_at.pop(stack.number, None)
        del self.stacks[stack.number]
        for request in [r for r in self.queue if r.stack_name == self.name(stack)]:
            self.tell(request, Answer(404, "unknownStack"))
            self.leave_queue(request, "cancelled")

    def tell(self, request, answer):
        """Answers whoever waits for the request."""
        if request.connection == "direct":
            self.direct = answer
        elif request.connection is not None:
            self.events[request.connection] = answer
        request.connection = None

    # --- Requests ---

    def run(self, verb, body):
        """Returns the expected answer, or None while a parked request waits."""
        self.direct = None
        self.events = {}
        answer = getattr(self, "do_" + verb)(body)
        self.grant()
        return answer or self.direct

    def do_requestStack(self, body, connection="direct"):
        request_id = body.get("requestId")
        known = self.live.get(request_id) if request_id else None
        if known:
            return self.repeat(known, body, connection)
        past = self.ended.get(request_id) if request_id else None
        if past and past.state not in ("timedOut", "abandoned"):
            return Answer(409, "requestEnded", state=past.state, outcome=past.outcome,
                          endedAt=A_TIME)
        if "stackName" in body and not self.find(body["stackName"]):
            return Answer(404, "unknownStack")
        if body.get("purpose") == "refresh":
            return self.refresh(body)
        request = self.ask(body)
        request.connection = connection
        self.queue.append(request)
        if request.units is not None and self.is_main(request.branch):
            self.activity.main_asks(request.units)
        if body.get("supersede"):
            if self.is_brief and not request_id:
                self.hurried = request  # it takes the others' place only if it gets a stack
            else:
                self.supersede(request)
        return None

    def supersede(self, request):
        for other in [r for r in self.queue if r.branch == request.branch and
                      r.ask_order < request.ask_order]:
            self.tell(other, Answer(409, "superseded"))
            self.leave_queue(other, "superseded")

    def ask(self, body):
        request = Lease(body, self.tick())
        request.seconds = min(body.get("leaseSeconds", self.lease_seconds), self.max_lease_seconds)
        self.leases.append(request)
        if request.request_id:
            self.live[request.request_id] = request
        return request

    def repeat(self, known, body, connection):
        new = Lease(body, 0).contents()
        for field, value in known.contents().items():
            if new[field] != value:
                return Answer(422, "requestMismatch", field=field)
        if known.state == "active":
            return self.granted(known)
        if body.get("priority", known.asked_priority) != known.asked_priority:
            known.priority = known.asked_priority = body["priority"]
        self.tell(known, Answer(409, "replaced"))
        known.connection = connection
        known.timed_out = False
        return None

    def refresh(self, body):
        """Of the soundest idle stacks the one furthest from the request's units that no job had lately; on a
        tie the one idle longest."""
        available = self.available()
        if self.is_paused or len(available) < 2 or any(r.connection and not r.stack_name for r in self.queue):
            return Answer(503, "notNow", fresh=False)
        branch, units = body.get("branch") or "main", body.get("units")
        fresh = units is not None and [distance(units, s.content) for s in available].count(0)
        available = self.soundest(branch, available)
        best = available[0]
        if units is not None:
            best = self.furthest(units, [s for s in available if fresh < FRESH or s.content is None])
        if not best:
            return Answer(503, "notNow", fresh=fresh >= FRESH)
        request = self.ask(body)
        self.activate(request, best, False)
        return self.granted(request)

    def furthest(self, units, available):
        behind = {s.number: self.time_between(units, s.content) for s in available}
        lately = self.activity.grants - len(self.stacks) + 1
        quiet = [s for s in available if behind[s.number] and (
            s.number not in self.granted_at or self.granted_at[s.number] <= lately)]
        if not quiet:
            return None
        return max(quiet, key=lambda s: (behind[s.number], -s.order))

    def wait_is_over(self, request):
        """The wait on the open connection ends without a stack."""
        position = 1 + self.ranked().index(request)
        fields = {"requestId": request.request_id} if request.request_id else {}
        answer = Answer(503, "noStackAvailable", request, position=position,
                        estimatedWaitSeconds=A_COUNT, **self.scarcity(), **fields)
        request.connection = None
        request.timed_out = True
        if not request.request_id:
            self.leave_queue(request, "timedOut")
        return answer

    def scarcity(self):
        """Why there was none."""
        states = [s.state for s in self.stacks.values()]
        pause = Is("a pause", lambda v: v["since"] and v["by"]) if self.is_paused else "missing"
        return {"pause": pause, "held": states.count("held"), "quarantined": states.count("quarantined"),
                "holders": Is("%d holders" % sum(s.lease is not None for s in self.stacks.values()),
                              lambda v: isinstance(v, list) and len(v) ==
                              sum(s.lease is not None for s in self.stacks.values()))}

    def hang_up(self, request):
        request.connection = None
        if not request.request_id:
            self.leave_queue(request, "abandoned")

    def leave_queue(self, request, state):
        self.queue.remove(request)
        request.state = state
        request.connection = None
        self.forget(request)

    def forget(self, request):
        if request.request_id:
            del self.live[request.request_id]
            self.ended[request.request_id] = request

    def granted(self, lease):
        fields = {}
        if lease.request_id:
            fields["requestId"] = lease.request_id
        if lease.changed is not None:
            fields.update(changedUnits=some(lease.changed), removedUnits=some(lease.removed))
            if lease.estimate is not None:
                fields.update(estimatedDeploySeconds=lease.estimate)
        return Answer(200, None, lease, stackName=self.name(lease.stack),
                      lastDeployedCommit=lease.stack_commit, fence=lease.fence,
                      leaseId=lease.lease_id or A_LEASE_ID, isNew=lease.is_new,
                      expiresAt=A_TIME, expiresInSeconds=about(lease.expires_at - self.now),
                      waitedSeconds=A_COUNT, unsettled=lease.stack.is_unsettled, **fields)

    # --- Who gets what ---

    def grant(self):
        self.grant_all()
        if self.hurried and self.hurried.state == "active":
            self.supersede(self.hurried)
        self.hurried = None

    def grant_all(self):
        while not self.is_paused:
            self.resume_holds()
            if self.grant_wanted():
                continue
            line = [r for r in self.ranked() if r.connection and not r.stack_name][:WINDOW]
            available = self.available()
            number = self.free_number()
            if not line or (not available and number is None):
                return
            chosen = 0
            if number is None and len(available) < len(line):
                chosen = self.choose(line, available)
            request = line[chosen]
            for passed in line[:chosen]:
                passed.passed_over += 1
            best = self.best(request, available) if available else None
            if number is not None and (best is None or self.rank(request.branch, best) > SOUND):
                best = None
            self.grant_to(request, best or self.create(number), best is None)

    def grant_wanted(self):
        """Those who want one particular stack hold nobody up, and get it if it is idle and nobody of the
        others stands before them."""
        for request in [r for r in self.ranked() if r.connection]:
            if not request.stack_name:
                return False
            stack = self.find(request.stack_name)
            if stack.state == "available":
                self.grant_to(request, stack, False)
                return True
        return False

    def grant_to(self, request, stack, is_new):
        self.queue.remove(request)
        self.activate(request, stack, is_new)
        self.tell(request, self.granted(request))

    def resume_holds(self):
        """A stack that a job held is its branch's: the branch's next request gets it at once."""
        for request in [r for r in self.ranked() if r.connection and r.resume]:
            held = [s for _, s in sorted(self.stacks.items())
                    if s.state == "held" and s.is_job_hold and s.branch == request.branch
                    and request.stack_name in (None, self.name(s))]
            if held:
                self.grant_to(request, held[0], False)

    @staticmethod
    def rank(branch, stack):
        """Healthy ones before those on which another branch's deploy failed, then settled ones."""
        return stack.failed_branch not in (None, branch), stack.is_unsettled

    def soundest(self, branch, available):
        first = min(self.rank(branch, s) for s in available)
        return [s for s in available if self.rank(branch, s) == first]

    def best(self, request, available):
        prices = self.prices(request, available) if request.units is not None else None
        available = self.soundest(request.branch, available)
        if prices:
            return min(available, key=lambda s: (prices[s.number], s.order))
        same = [s for s in available if s.branch == request.branch]
        return same[-1] if same else available[0]  # the longest idle comes first

    def prices(self, request, available):
        runs = {number: self.will_run(stack) for number, stack in sorted(self.stacks.items())
                if stack.state not in ("draining", "quarantined")}
        idle = [stack.number for stack in available]
        return dict(zip(idle, self.activity.prices(request.branch, request.units, idle, runs)))

    @staticmethod
    def will_run(stack):
        return stack.lease.units if stack.lease and stack.lease.units is not None else stack.content

    def choose(self, line, available):
        """Who gets a stack when there are too few. One without units fits nothing in particular,
        so it overtakes nobody; others overtake it only with a stack that fits in part."""
        def cost(request):
            if request.units is None:
                return float("inf")
            busy = [self.time_between(request.units, self.will_run(stack)) for stack in self.stacks.values()
                    if stack.state == "leased"]
            return (self.time_between(request.units, self.best(request, available).content) -
                    (sum(busy) / len(busy) if busy else 0))

        def fits_in_part(request):
            units = distance(request.units, self.best(request, available).content)
            return units < len(request.units)

        chosen = 0
        for i in range(1, len(line)):
            if line[i - 1].passed_over >= PASSES:
                break
            if (line[i].units is not None and cost(line[i]) < cost(line[chosen]) and
                    (line[chosen].units is not None or fits_in_part(line[i]))):
                chosen = i
        return chosen

    def activate(self, request, stack, is_new):
        self.note_grant(request, stack)
        stack.fence += 1
        stack.state = "leased"
        stack.branch = request.branch
        stack.lease = request
        stack.order = self.tick()
        stack.is_job_hold = False
        stack.hold_lease_id = None
        request.state = "active"
        request.stack = stack
        request.fence = stack.fence
        request.is_new = is_new
        request.stack_commit = stack.commit
        request.stack_content = stack.content
        request.granted_at = self.now
        request.expires_at = self.now + request.seconds
        if request.units is not None:
            request.changed, request.removed = difference(request.units, stack.content)
            request.estimate = self.times.estimate([*request.changed, *request.removed])

    def note_grant(self, request, stack):
        if request.units is None:
            return
        cost = self.time_between(request.units, stack.content)
        if request.purpose == "refresh":
            self.activity.refreshed += cost
            return
        self.activity.granted(request.branch, request.units, cost)
        self.granted_at[stack.number] = self.activity.grants

    @staticmethod
    def is_deploying(lease):
        """Whether it may be in the middle of a deploy: of the units that it was told, or that it touched, one
        isn't marked."""
        if lease.units is None:
            return not lease.is_marked
        now, before = lease.stack.content or {}, lease.stack_content or {}
        return not lease.is_done and (
            any(now.get(u) == before.get(u) != lease.units.get(u) for u in {*lease.units, *before}) or
            any(now[u] == "" != before.get(u) for u in now))

    def end(self, lease, state, outcome=None, interrupted=False, holds=False, failed=False):
        stack = lease.stack
        failed = failed or outcome == "deployFailed"
        kept = outcome == "notDeployed" and not failed
        cut_off = state in ("expired", "revoked") and self.is_deploying(lease)
        lease.state = state
        lease.outcome = outcome
        self.forget(lease)
        stack.lease = None
        stack.past.append(lease)
        if lease.units is None and not kept:
            stack.content = None
        elif failed or (not lease.is_done and not kept):
            stack.content = content_after(lease.units, lease.stack_content, stack.content,
                                          lease.is_whole)
        wish = stack.next_state
        if cut_off or interrupted:
            stack.failed_deploys += 1  # but that speaks of the job, not of the stack
            stack.is_unsettled = True
        elif failed:
            self.note_failure(stack, lease.branch)
            if wish is None and self.is_broken(stack):
                wish = "quarantined"
        # What a job wishes doesn't undo what an administrator asked for; but broken is broken.
        if outcome == "quarantine":
            wish = "quarantined"
        elif holds:
            wish = "held"
        stack.order = self.tick()
        if stack.state == "draining":
            self.delete(stack)
        else:
            stack.state = wish or "available"
        stack.next_state = None

    def note_failure(self, stack, branch):
        stack.failures.setdefault(branch, self.tick())
        stack.failed_deploys += 1
        stack.failed_branch = branch
        if stack.first_failure is None:
            stack.first_failure = self.tick()

    def is_broken(self, stack):
        """Deploys of several branches failed here, while another stack was deployed well."""
        quarantined = sum(s.state == "quarantined" for s in self.stacks.values())
        return (0 < self.quarantine_after <= len(stack.failures) and
                any(s.deployed is not None and s.deployed > stack.first_failure
                    for s in self.stacks.values() if s is not stack) and
                2 * (quarantined + 1) <= self.max_stacks)

    def deployed_well(self, stack):
        """It runs something whole: what failed before counts no more."""
        self.forget_failures(stack)
        stack.deployed = self.tick()

    @staticmethod
    def forget_failures(stack):
        stack.failures = {}
        stack.failed_deploys = 0
        stack.failed_branch = None
        stack.first_failure = None

    def may_hold(self):
        held = sum(s.state == "held" and s.is_job_hold for s in self.stacks.values())
        most = max(1, self.max_stacks // 2) if self.max_held is None else self.max_held
        return held < most

    # --- Leases in use ---

    def may_act(self, stack, body):
        """Whether a call may act on the stack's lease: None, or the answer that refuses it."""
        if not stack:
            return Answer(404, "unknownStack")
        lease = stack.lease
        lease_id = body.get("leaseId")
        if lease_id is None:
            if lease and lease.is_protected:
                return Answer(403, "leaseIdRequired")
            return None
        if lease and lease.lease_id == lease_id:
            lease.is_protected = True
            return None
        if any(past.lease_id == lease_id for past in stack.past):
            return Answer(410, "leaseLost")
        return Answer(403, "wrongLeaseId") if lease else Answer(410, "leaseLost")

    def do_setLastDeployedCommit(self, body):
        stack = self.find(body["stackName"])
        refusal = self.may_act(stack, body)
        if refusal:
            return refusal
        stack.commit = body["lastDeployedCommit"]
        stack.order = self.tick()
        lease = stack.lease
        if not lease or "leaseId" not in body:
            stack.content = None  # whoever says so doesn't say what was deployed
        elif body.get("content") != "asMarked":
            stack.content = lease.units
        if lease:
            lease.is_marked = True
            lease.is_done = "leaseId" in body
            lease.is_whole = lease.is_done and body.get("content") != "asMarked"
            if "leaseId" in body:
                stack.is_unsettled = False
                if lease.is_whole or (lease.units is not None and stack.content is not None
                                      and lease.units.items() <= stack.content.items()):
                    self.deployed_well(stack)
        return message("Last commit of stack %s updated" % self.name(stack))

    def do_markUnits(self, body):
        stack = self.find(body["stackName"])
        refusal = self.may_act(stack, body)
        if refusal:
            return refusal
        content = dict(stack.content or {})
        content.update({unit: print or "" for unit, print in body.get("units", {}).items()})
        for unit in body.get("removed", []):
            content.pop(unit, None)
        stack.content = content
        stack.lease.is_done = stack.lease.is_whole = False
        for unit, seconds in body.get("seconds", {}).items():
            if body.get("units", {}).get(unit):
                self.times.note(unit, seconds)
        return message("Units of stack %s marked" % self.name(stack))

    def do_releaseStack(self, body):
        stack = self.find(body["stackName"])
        if not stack:
            return Answer(404, "unknownStack")
        answer = message("Stack %s released" % self.name(stack))
        refusal = self.may_act(stack, body)
        if refusal:
            return answer if refusal.code == "leaseLost" else refusal
        if not stack.lease:
            return answer
        lease = stack.lease
        holds = body.get("outcome") == "hold" and stack.next_state is None and self.may_hold()
        self.end(lease, "released", body.get("outcome"), body.get("interrupted", False), holds,
                 body.get("deployFailed", False))
        if holds and stack.state == "held":
            stack.is_job_hold = True
            stack.hold_lease_id = lease.lease_id
        if body.get("outcome") == "hold":
            return Answer(200, None, message=A_TEXT, held=stack.state == "held")
        return answer

    def do_extendLease(self, body):
        stack = self.find(body["stackName"])
        if not stack:
            return Answer(404, "unknownStack")
        lease = stack.lease
        if not lease or lease.lease_id != body["leaseId"]:
            return Answer(410, "leaseLost")
        lease.is_protected = True
        # A maximum that was lowered since takes nothing away.
        lease.expires_at = min(self.now + body.get("seconds", lease.seconds),
                               max(lease.granted_at + self.max_lease_seconds, lease.expires_at))
        at_most = lease.expires_at >= lease.granted_at + self.max_lease_seconds
        return Answer(200, None, stackName=self.name(stack), fence=lease.fence, expiresAt=A_TIME,
                      atMaximum=at_most,
                      expiresInSeconds=about(lease.expires_at - self.now))

    def do_cancelRequest(self, body):
        request = None
        if "requestId" in body:
            request = self.live.get(body["requestId"]) or self.ended.get(body["requestId"])
        else:
            request = next((r for r in self.leases if r.number == body["requestNumber"]), None)
        if not request:
            return Answer(404, "unknownRequest")
        if request.state == "active":
            return Answer(409, "invalidState", state="active")
        if request.state == "waiting":
            self.tell(request, Answer(409, "cancelled"))
            self.leave_queue(request, "cancelled")
        return message("Request cancelled")

    def do_deleteLastStack(self, _):
        if not self.stacks:
            return message("No more stack")
        stack = self.stacks[max(self.stacks)]
        if stack.lease:
            return Answer(409, "stackLeased")
        if stack.state in ("held", "quarantined"):
            return Answer(409, "invalidState", state=stack.state)  # somebody looks at it
        self.delete(stack)
        return message("Stack %s deleted" % self.name(stack))

    # --- Administration ---

    def set_aside(self, body, state, word):
        stack = self.find(body["stackName"])
        if not stack:
            return Answer(404, "unknownStack")
        if stack.state == "draining":
            return Answer(409, "invalidState", state="draining")
        stack.is_job_hold = False
        if stack.lease and not body.get("revoke"):
            stack.next_state = state
            return message("Stack %s is %s once its job gives it back" % (self.name(stack), word))
        if stack.lease:
            stack.next_state = state
            self.end(stack.lease, "revoked")
        stack.state = state
        stack.order = self.tick()
        return message("Stack %s %s" % (self.name(stack), word))

    def do_holdStack(self, body):
        return self.set_aside(body, "held", "held")

    def do_quarantineStack(self, body):
        return self.set_aside(body, "quarantined", "quarantined")

    def do_reinstateStack(self, body):
        stack = self.find(body["stackName"])
        if not stack:
            return Answer(404, "unknownStack")
        stack.next_state = None
        stack.is_job_hold = False
        if stack.state in ("held", "quarantined"):
            stack.state = "available"
            stack.order = self.tick()
            self.forget_failures(stack)
            stack.is_unsettled = False
        elif stack.state == "draining":
            stack.state = "leased"
        return message("Stack %s reinstated" % self.name(stack))

    def do_holdIsOver(self, body):
        """By its time: nobody has looked after the stack."""
        stack = self.find(body["stackName"])
        stack.state = "available"
        stack.order = self.tick()

    def do_endHold(self, body):
        """reinstateStack by the job whose hold it is."""
        stack = self.find(body["stackName"])
        if not stack:
            return Answer(404, "unknownStack")
        if "leaseId" not in body:
            return Answer(403, "leaseIdRequired")
        if stack.hold_lease_id != body["leaseId"]:
            known = any(past.lease_id == body["leaseId"] for past in stack.past)
            return Answer(410, "leaseLost") if known else Answer(403, "wrongLeaseId")
        if stack.state == "held" and stack.is_job_hold:
            stack.state = "available"
            stack.is_job_hold = False
            stack.order = self.tick()
        elif stack.state != "available":
            return Answer(409, "invalidState", state=stack.state)  # an administrator's word counts more
        return message("Stack %s reinstated" % self.name(stack))

    def do_revokeLease(self, body):
        stack = self.find(body["stackName"])
        if not stack:
            return Answer(404, "unknownStack")
        if not stack.lease or body.get("fence", stack.fence) != stack.fence:
            return Answer(409, "invalidState")
        self.end(stack.lease, "revoked")
        return message("Lease of stack %s revoked" % self.name(stack))

    def do_prioritizeRequest(self, body):
        request = next((r for r in self.leases if r.number == body["requestNumber"]), None)
        if not request or request.state not in ("waiting", "active"):
            return Answer(404, "unknownRequest")
        if request.state == "active":
            return Answer(409, "invalidState", state="active")
        request.priority = body["priority"]
        return message("Request %d has priority %d" % (request.number, request.priority))

    def do_addStacks(self, body):
        if len(self.stacks) + body["count"] > self.max_stacks:
            return Answer(409, "tooManyStacks")
        names = [self.name(self.create(self.free_number())) for _ in range(body["count"])]
        return Answer(200, None, message=A_TEXT, stacks=names)

    def do_deleteStack(self, body):
        stack = self.find(body["stackName"])
        if not stack:
            return Answer(404, "unknownStack")
        if stack.lease:
            stack.state = "draining"
            return message("Stack %s is deleted once its job gives it back" % self.name(stack))
        self.delete(stack)
        return message("Stack %s deleted" % self.name(stack))

    def do_updateProject(self, body):
        self.max_stacks = body.get("maxStacks", self.max_stacks)
        self.lease_seconds = body.get("leaseSeconds", self.lease_seconds)
        self.max_lease_seconds = body.get("maxLeaseSeconds", self.max_lease_seconds)
        self.quarantine_after = body.get("quarantineAfter", self.quarantine_after)
        self.max_held = body.get("maxHeld", self.max_held)
        if "mainBranch" in body and body["mainBranch"] != self.main_branch:
            self.main_branch = body["mainBranch"]
            self.activity.main = None
        self.is_paused = body.get("paused", self.is_paused)
        return Answer(200, None, message=A_TEXT)

    # --- Looking ---

    def list_stacks(self):
        return [{"stackName": self.name(s), "lastDeployedCommit": s.commit,
                 "isAvailable": s.state == "available", "branch": s.branch, "entity": "Stack"}
                for _, s in sorted(self.stacks.items())]

    def status_stacks(self):
        return [{"stackName": self.name(s), "state": s.state, "nextState": s.next_state,
                 "fence": s.fence, "branch": s.branch, "lastDeployedCommit": s.commit,
                 "lease": s.lease and s.lease.number, "failedDeploys": s.failed_deploys,
                 "failedBranches": len(s.failures), "unsettled": s.is_unsettled} for _, s in sorted(self.stacks.items())]

    def status_queue(self):
        return [{"requestNumber": r.number, "position": i, "connected": bool(r.connection),
                 "passedOver": r.passed_over, "branch": r.branch, "priority": r.priority,
                 "stackName": r.stack_name}
                for i, r in enumerate(self.ranked(), 1)]
