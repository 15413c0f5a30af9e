"""drive: makes up commands, sends them to the service and to the model, and compares."""
import collections
import random
import time

from model import Answer, Model
from service import SLOWNESS, Client, Cut, await_condition

PARKED = ["parked-1", "parked-2", "parked-3", "parked-4", "parked-5", "parked-6"]
BRANCHES = ["main", "feature", "fix"]
UNITS = ["orders", "billing", "migrations"]
OUTCOMES = [None, "success", "failed", "deployFailed", "notDeployed", "hold", "quarantine"]
NOBODYS_LEASE = "00112233445566778899aabbccddeeff"
# A place in the queue that is kept longer would rise in rank.
OLDEST_PLACE = 40

BAD_BODIES = [
    ("requestStack", '{"branch": 7}', "invalidField", "branch"),
    ("requestStack", '{"waitSeconds": 3601}', "invalidField", "waitSeconds"),
    ("requestStack", '{"waitSeconds": -1}', "invalidField", "waitSeconds"),
    ("requestStack", '{"waitSeconds": "5"}', "invalidField", "waitSeconds"),
    ("requestStack", '{"leaseSeconds": 0}', "invalidField", "leaseSeconds"),
    ("requestStack", '{"leaseSeconds": 86401}', "invalidField", "leaseSeconds"),
    ("requestStack", '{"leaseSeconds": 1.5}', "invalidField", "leaseSeconds"),
    ("requestStack", '{"priority": 11}', "invalidField", "priority"),
    ("requestStack", '{"units": ["a"]}', "invalidField", "units"),
    ("requestStack", '{"units": {"a": 1}}', "invalidField", "units"),
    ("requestStack", '{"purpose": "fun"}', "invalidField", "purpose"),
    ("requestStack", '{"supersede": "yes"}', "invalidField", "supersede"),
    ("requestStack", '{"requestId": ""}', "invalidField", "requestId"),
    ("requestStack", '{"stackName": "test-1", "purpose": "refresh"}', "invalidField", "stackName"),
    ("requestStack", '{"job": 5}', "invalidField", "job"),
    ("requestStack", '{"branch": "%s"}' % ("x" * 256), "invalidField", "branch"),
    ("requestStack", '[]', "invalidJson", None),
    ("requestStack", '{"branch": "a"', "invalidJson", None),
    ("requestStack", '{} {}', "invalidJson", None),
    ("requestStack", '{"branch": "a", "branch": "b"}', "invalidJson", None),
    ("releaseStack", '{}', "missingField", "stackName"),
    ("releaseStack", '{"stackName": "test-1", "outcome": "great"}', "invalidField", "outcome"),
    ("setLastDeployedCommit", '{"stackName": "test-1"}', "missingField", "lastDeployedCommit"),
    ("extendLease", '{"stackName": "test-1"}', "missingField", "leaseId"),
    ("setLastDeployedCommit", '{"stackName": "test-1", "lastDeployedCommit": "c", "content": "x"}',
     "invalidField", "content"),
    ("markUnits", '{"stackName": "test-1", "units": {}}', "missingField", "leaseId"),
    ("markUnits", '{"stackName": "test-1", "leaseId": "%s"}' % NOBODYS_LEASE, "missingField",
     "units"),
    ("markUnits", '{"stackName": "test-1", "leaseId": "%s", "units": {"a": 1}}' % NOBODYS_LEASE,
     "invalidField", "units"),
    ("markUnits", '{"stackName": "test-1", "leaseId": "%s", "units": {"a": "1"}, "removed": ["a"]}' %
     NOBODYS_LEASE, "invalidField", "removed"),
    ("updateProject", '{"quarantineAfter": 17}', "invalidField", "quarantineAfter"),
    ("addStacks", '{}', "missingField", "count"),
    ("addStacks", '{"count": 0}', "invalidField", "count"),
    ("holdStack", '{}', "missingField", "stackName"),
    ("updateProject", '{"maxStacks": -1}', "invalidField", "maxStacks"),
]
ADMIN_VERBS = ["holdStack", "quarantineStack", "revokeLease", "addStacks", "deleteStack",
               "updateProject", "prioritizeRequest"]
CI_VERBS = ["requestStack", "setLastDeployedCommit", "markUnits", "releaseStack", "extendLease",
            "cancelRequest", "deleteLastStack", "reinstateStack"]


class Mismatch(Exception):
    pass


class Project:
    """One project on both sides: the service's connections and the model."""

    def __init__(self, instance, name, keys, **settings):
        self.name = name
        self.model = Model(**settings)
        ci = keys.get("ci", keys["admin"])
        self.ci = Client(instance, ci)
        self.admin = Client(instance, keys["admin"])
        self.viewer = Client(instance, keys.get("viewer", keys["admin"]))
        self.parked = {}
        for connection in PARKED:
            self.parked[connection] = Client(instance, ci)
        self.waiting = {}  # parked connection: its lease
        self.asked_at = {}  # of requests that keep a place
        self.latest_number = 0
        self.next_id = 0

    def close(self):
        for client in [self.ci, self.admin, self.viewer, *self.parked.values()]:
            client.close()


class Drive:
    """Runs one list of commands on two projects. Commands are plain data, so that a part of the
    list can be run again."""

    def __init__(self, instance, names, slow_share=0.0, roles=("ci", "admin", "viewer")):
        """With fewer roles the administrator's key does for the others, and it starts faster.
        New keys make nginx close idle connections: nobody else may be at work then."""
        self.projects = [self.project(instance, name, i, roles) for i, name in enumerate(names)]
        self.counts = collections.Counter()
        self.slow_share = slow_share
        self.commands = 0

    @staticmethod
    def project(instance, name, i, roles):
        # Both have stacks of the same names.
        settings = {"initial_commit": "c0ffee" if i else None, "max_stacks": 4 - i}
        arguments = ["--max-stacks", str(settings["max_stacks"])]
        if settings["initial_commit"]:
            arguments += ["--initial-commit", settings["initial_commit"]]
        keys = dict(zip(roles, instance.project(name, *arguments, roles=roles)))
        return Project(instance, name, keys, **settings)

    def close(self):
        for project in self.projects:
            project.close()

    # --- Making commands up ---

    def make(self, rng):
        """A command that is likely to meet something interesting in the present state."""
        index = rng.choices([0, 1], [3, 1])[0]
        project = self.projects[index]
        model = project.model
        old = [r for r in model.queue if r.request_id and
               time.monotonic() - project.asked_at.get(r.request_id, 0) > OLDEST_PLACE]
        if old:
            return {"project": index, "verb": "cancelRequest", "requestId": old[0].request_id}
        if rng.random() < self.slow_share:
            return {"project": index, **rng.choice([self.make_expiry, self.make_short_hold,
                                                    self.make_short_wait])(rng, project)}
        ways = [(30, self.make_request), (12, self.make_parked), (5, self.make_hang_up),
                (22, self.make_release), (8, self.make_mark), (10, self.make_mark_units),
                (6, self.make_extend), (1, self.make_end_hold),
                (4, self.make_cancel), (1.5, self.make_delete_last), (8, self.make_admin),
                (2, self.make_bad), (1, self.make_forbidden), (3, self.make_look)]
        way = rng.choices([w for _, w in ways], [n for n, _ in ways])[0]
        return {"project": index, **way(rng, project)}

    def make_request(self, rng, project, parked=False):
        body = {}
        if rng.random() < 0.8:
            body["branch"] = rng.choice(BRANCHES)
        if rng.random() < 0.3:
            body["commit"] = rng.choice(["c1", "c2"])
        if rng.random() < 0.6:
            units = rng.sample(UNITS, rng.randrange(len(UNITS) + 1))
            body["units"] = {unit: rng.choice("12") for unit in units}
        if rng.random() < 0.2:
            body["priority"] = rng.choice([-10, -1, 1, 10])
        if rng.random() < 0.05:
            body["supersede"] = True
        if rng.random() < 0.1:
            body["resume"] = False
        if rng.random() < 0.05:
            body["leaseSeconds"] = rng.choice([300, 86400])
        if rng.random() < 0.04 and not parked:
            body["purpose"] = "refresh"
        elif rng.random() < 0.1:
            body["stackName"] = self.stack_name(rng, project)
        command = {"verb": "requestStack", "body": body}
        kind = rng.random()
        if kind < 0.45:
            project.next_id += 1
            body["requestId"] = "id-%d" % project.next_id
        elif kind < 0.7 and (project.model.live or project.model.ended):
            # Again: mostly the live ones, mostly with the same contents.
            pool = project.model.live if project.model.live and rng.random() < 0.7 else \
                project.model.ended
            pool = pool or project.model.live
            known = pool[rng.choice(sorted(pool)[-12:])]
            body["requestId"] = known.request_id
            if rng.random() < 0.85:
                for field, value in known.contents().items():
                    body.pop(field, None)
                    if value is not None:
                        body[field] = value
        if "requestId" in body:
            command["header"] = rng.choice([None, None, None, "%s", '"%s"'])
        return command

    def make_parked(self, rng, project):
        idle = [c for c in PARKED if c not in project.waiting]
        if not idle:
            return self.make_release(rng, project)
        return {**self.make_request(rng, project, parked=True), "parked": rng.choice(idle)}

    @staticmethod
    def make_hang_up(rng, project):
        return {"verb": "hangUp", "parked": rng.choice(sorted(project.waiting) or PARKED)}

    @staticmethod
    def stack_name(rng, project):
        if rng.random() < 0.03:
            return rng.choice(["test-99", "test-01", "prod-1", "test-", ""])
        return "test-%d" % rng.randrange(1, 1 + max([1, *project.model.stacks]))

    @classmethod
    def leased_name(cls, rng, project):
        leased = [n for n, s in sorted(project.model.stacks.items()) if s.lease]
        if leased and rng.random() < 0.85:
            return "test-%d" % rng.choice(leased)
        return cls.stack_name(rng, project)

    @staticmethod
    def lease_kind(rng):
        return rng.choices(["current", "none", "old", "nobodys", "foreign"],
                           [70, 15, 7, 4, 4])[0]

    def make_release(self, rng, project):
        body = {"stackName": self.leased_name(rng, project)}
        outcome = rng.choices(OUTCOMES, [30, 40, 10, 12, 8, 6, 3])[0]
        if outcome:
            body["outcome"] = outcome
        if rng.random() < 0.2:
            body["interrupted"] = True
        if rng.random() < 0.2:
            body["deployFailed"] = True
        return {"verb": "releaseStack", "body": body, "lease": self.lease_kind(rng)}

    def make_mark(self, rng, project):
        body = {"stackName": self.leased_name(rng, project),
                "lastDeployedCommit": "c%d" % rng.randrange(1000)}
        if rng.random() < 0.4:
            body["content"] = rng.choice(["asMarked", "asMarked", "asRequested"])
        return {"verb": "setLastDeployedCommit", "lease": self.lease_kind(rng), "body": body}

    def make_mark_units(self, rng, project):
        """Mostly what the lease was told to change, as a job does it."""
        name = self.leased_name(rng, project)
        stack = project.model.find(name)
        wanted = stack.lease.units if stack and stack.lease and rng.random() < 0.8 else None
        names = rng.sample(UNITS, rng.randrange(len(UNITS) + 1))
        units = {unit: rng.choice([None, "1", "2", (wanted or {}).get(unit)]) for unit in names}
        removed = [unit for unit in UNITS if unit not in names and rng.random() < 0.3]
        kind = self.lease_kind(rng)
        seconds = {unit: rng.choice([0, 1, 2.5, 40, 600.001]) for unit in UNITS if rng.random() < 0.1}
        return {"verb": "markUnits", "lease": "nobodys" if kind == "none" else kind,
                "body": {"stackName": name, "units": units, "removed": removed, "seconds": seconds}}

    @staticmethod
    def make_end_hold(rng, project):
        """A job ends its own hold, or tries to."""
        held = [n for n, s in sorted(project.model.stacks.items()) if s.hold_lease_id]
        number = rng.choice(held or sorted(project.model.stacks) or [1])
        return {"verb": "reinstateStack", "by_job": True, "body": {"stackName": "test-%d" % number},
                "lease": rng.choices(["hold", "none", "old", "nobodys"], [70, 10, 10, 10])[0]}

    def make_extend(self, rng, project):
        body = {"stackName": self.leased_name(rng, project)}
        if rng.random() < 0.7:
            body["seconds"] = rng.choice([200, 3600, 86400])
        kind = self.lease_kind(rng)
        return {"verb": "extendLease", "body": body,
                "lease": "nobodys" if kind == "none" else kind}

    @staticmethod
    def make_cancel(rng, project):
        leases = project.model.queue if project.model.queue and rng.random() < 0.6 else \
            project.model.leases[-20:]
        if not leases or rng.random() < 0.1:
            return {"verb": "cancelRequest", "requestId": "nobody's"}
        lease = rng.choice(leases)
        if lease.request_id and rng.random() < 0.5:
            return {"verb": "cancelRequest", "requestId": lease.request_id}
        return {"verb": "cancelRequest", "requestNumber": lease.number}

    @staticmethod
    def make_delete_last(_rng, _project):
        return {"verb": "deleteLastStack", "body": {}}

    def make_admin(self, rng, project):
        verb = rng.choices(["holdStack", "quarantineStack", "reinstateStack", "revokeLease",
                            "addStacks", "deleteStack", "updateProject", "prioritizeRequest"],
                           [8, 6, 25, 10, 10, 6, 10, 8])[0]
        body = {"stackName": self.stack_name(rng, project), "reason": "why not"}
        if verb == "reinstateStack":
            aside = [n for n, s in sorted(project.model.stacks.items())
                     if s.state in ("held", "quarantined", "draining")]
            if aside and rng.random() < 0.8:
                body["stackName"] = "test-%d" % rng.choice(aside)
        elif verb in ("holdStack", "quarantineStack"):
            if rng.random() < 0.3:
                body["revoke"] = True
        elif verb == "revokeLease" and rng.random() < 0.5:
            stack = project.model.find(body["stackName"])
            body["fence"] = max(0, (stack.fence if stack else 1) - (rng.random() < 0.3))
        elif verb == "addStacks":
            body = {"count": rng.randrange(1, 4)}
        elif verb == "prioritizeRequest":
            known = [r.number for r in project.model.queue or project.model.leases[-5:] if r.number]
            body = {"requestNumber": rng.choice(known or [1]), "priority": rng.randrange(-10, 11)}
        elif verb == "updateProject":
            body = rng.choice([{"maxStacks": rng.randrange(2, 6)}, {"leaseSeconds": 3600},
                               {"leaseSeconds": 1800, "maxLeaseSeconds": 7200},
                               {"maxLeaseSeconds": 86400}, {"quarantineAfter": rng.randrange(4)},
                               {"maxHeld": rng.choice([None, 0, 1, 2])},
                               {"mainBranch": rng.choice([None, "feature"])},
                               {"paused": not project.model.is_paused, "reason": "why not"}])
            if project.model.is_paused and rng.random() < 0.7:
                body = {"paused": False}
        return {"verb": verb, "body": body}

    @staticmethod
    def make_bad(rng, _project):
        verb, text, code, field = rng.choice(BAD_BODIES)
        return {"verb": verb, "bad": text, "code": code, "field": field}

    @staticmethod
    def make_forbidden(rng, _project):
        role = rng.choice(["ci", "viewer"])
        return {"verb": rng.choice(ADMIN_VERBS if role == "ci" else CI_VERBS + ADMIN_VERBS),
                "forbidden": role}

    @staticmethod
    def make_look(_rng, _project):
        return {"verb": "look"}

    def make_expiry(self, rng, project):
        command = self.make_request(rng, project)
        project.next_id += 1
        command["body"] = {**command["body"], "leaseSeconds": 1, "purpose": "test",
                           "requestId": "id-%d" % project.next_id}
        command.update(verb="expire", extend=rng.random() < 0.5, mark=rng.random() < 0.5)
        return command

    def make_short_hold(self, rng, project):
        return {"verb": "shortHold", "stackName": self.stack_name(rng, project)}

    def make_short_wait(self, rng, project):
        return {**self.make_request(rng, project), "wait": 1}

    # --- Running them ---

    def run(self, command):
        """Raises Mismatch. What isn't possible in the present state is left out."""
        project = self.projects[command["project"]]
        special = {"hangUp": self.run_hang_up, "look": self.run_look, "expire": self.run_expiry,
                   "shortHold": self.run_short_hold}.get(command["verb"])
        self.counts[command["verb"]] += 1
        self.commands += 1
        project.model.now = time.monotonic()
        if "bad" in command:
            self.run_bad(project, command)
        elif "forbidden" in command:
            self.run_forbidden(project, command)
        elif special:
            special(project, command)
        elif command["verb"] == "requestStack":
            self.run_request(project, command)
        else:
            self.run_plain(project, command)
        for connection in project.waiting:
            if project.parked[connection].has_answer():
                raise Mismatch("%s got an answer, but should wait: %s" % (
                    connection, project.parked[connection].receive()[:2]))

    @staticmethod
    def compare(expected, status, answer, what):
        differences = expected.differences(status, answer)
        if differences:
            raise Mismatch("%s: %s\n  answer:   %s %s\n  expected: %s" % (
                what, "; ".join(differences), status, answer, expected))

    def learn(self, project, expected, answer):
        """What only the service can know: numbers and secrets."""
        lease = expected.lease
        if lease is None:
            return
        body = answer.get("error", answer)
        number = body.get("requestNumber")
        if lease.number is None:
            self.learn_number(project, lease, number)
        elif number != lease.number:
            raise Mismatch("requestNumber %s instead of %s" % (number, lease.number))
        if expected.status == 200:
            lease.lease_id = answer["leaseId"]

    @staticmethod
    def learn_number(project, lease, number):
        if not isinstance(number, int) or number <= project.latest_number:
            raise Mismatch("requestNumber %s after %s" % (number, project.latest_number))
        project.latest_number = lease.number = number

    def take_events(self, project):
        """Reads what parked connections were told."""
        for connection, expected in project.model.events.items():
            try:
                status, answer, _ = project.parked[connection].receive()
            except Cut as error:
                raise Mismatch("%s: %s\n  expected: %s" % (connection, error, expected)) from error
            del project.waiting[connection]
            self.compare(expected, status, answer, connection)
            self.learn(project, expected, answer)
        project.model.events = {}

    def lease_id(self, project, kind, stack_name):
        stack = project.model.find(stack_name)
        if kind == "current" and stack and stack.lease:
            return stack.lease.lease_id
        if kind == "hold" and stack and stack.hold_lease_id:
            return stack.hold_lease_id
        if kind == "old" and stack and stack.past:
            return stack.past[-1].lease_id
        if kind == "foreign":
            other = self.projects[1 - self.projects.index(project)]
            for s in list(other.model.stacks.values()):
                if s.lease:
                    return s.lease.lease_id
        return NOBODYS_LEASE

    def body_of(self, project, command):
        body = dict(command.get("body", {}))
        for field in ("requestId", "requestNumber"):
            if field in command:
                body[field] = command[field]
        kind = command.get("lease", "none")
        if kind != "none":
            body["leaseId"] = self.lease_id(project, kind, body["stackName"])
        return body

    def run_plain(self, project, command):
        verb = command["verb"]
        body = self.body_of(project, command)
        by_admin = verb in ADMIN_VERBS or (verb == "reinstateStack" and not command.get("by_job"))
        client = project.admin if by_admin else project.ci
        expected = project.model.run("endHold" if command.get("by_job") else verb, body)
        status, answer, _ = client.call("/" + verb, body)
        self.compare(expected, status, answer, "%s %s" % (verb, body))
        self.take_events(project)

    def run_request(self, project, command):
        connection = command.get("parked")
        if connection in project.waiting:
            return
        body = self.body_of(project, command)
        model = project.model
        # waitSeconds isn't the model's business: it is told when the wait is over.
        sent = {**body, "waitSeconds": 3000 if connection else command.get("wait", 0)}
        headers = None
        if command.get("header"):
            headers = {"Idempotency-Key": command["header"] % sent.pop("requestId")}
        if "requestId" in body:
            project.asked_at.setdefault(body["requestId"], time.monotonic())
        client = project.parked[connection] if connection else project.ci
        model.direct = None
        model.events = {}
        model.is_brief = not sent["waitSeconds"]
        count = len(model.leases)
        answer_now = model.do_requestStack(body, connection or "direct")
        model.grant()
        request = model.live.get(body.get("requestId")) or \
            (model.leases[-1] if len(model.leases) > count else None)
        if connection:
            expected = answer_now or model.events.pop(connection, None)
        else:
            expected = answer_now or model.direct
            if expected is None:
                expected = model.wait_is_over(request)
        began = time.monotonic()
        client.send("/requestStack", sent, headers=headers)
        if expected is None:
            project.waiting[connection] = request
            self.take_events(project)
            self.await_parked(project, request)
            return
        status, answer, _ = client.receive(30 * SLOWNESS)
        self.compare(expected, status, answer, "requestStack %s" % sent)
        self.learn(project, expected, answer)
        if expected.code == "noStackAvailable" and \
                not sent["waitSeconds"] - 0.1 < time.monotonic() - began:
            raise Mismatch("the wait was over too soon")
        self.take_events(project)

    def await_parked(self, project, request):
        """Until the service knows that the request waits."""
        known = {r.number for r in project.model.queue}

        def entry():
            for row in project.ci.call("/status")[1]["queue"]:
                number = row["requestNumber"]
                if row["connected"] and (number == request.number or
                                         request.number is None and number not in known):
                    return row
            return None

        try:
            row = await_condition(10, entry, "the request is in the queue", 0.002)
        except TimeoutError as error:
            raise Mismatch(str(error)) from error
        if request.number is None:
            self.learn_number(project, request, row["requestNumber"])

    def run_hang_up(self, project, command):
        connection = command["parked"]
        request = project.waiting.pop(connection, None)
        if request is None:
            return
        project.parked[connection].close()
        project.model.hang_up(request)

        def noticed():
            rows = project.ci.call("/status")[1]["queue"]
            return all(row["requestNumber"] != request.number or not row["connected"]
                       for row in rows)

        try:
            await_condition(10, noticed, "the service notices that a caller is gone", 0.002)
        except TimeoutError as error:
            raise Mismatch(str(error)) from error

    def run_bad(self, project, command):
        client = project.admin if command["verb"] in ADMIN_VERBS else project.ci
        status, answer, _ = client.call("/" + command["verb"], command["bad"])
        fields = {"field": command["field"]} if command["field"] else {}
        self.compare(Answer(400, command["code"], **fields), status, answer, command["bad"])

    def run_forbidden(self, project, command):
        client = getattr(project, command["forbidden"])
        status, answer, _ = client.call("/" + command["verb"], {})
        self.compare(Answer(403, "forbidden"), status, answer, "%s as %s" % (
            command["verb"], command["forbidden"]))

    # --- Looking ---

    @staticmethod
    def same(found, expected, what):
        if found != expected:
            raise Mismatch("%s\n  answer:   %s\n  expected: %s" % (what, found, expected))

    def run_look(self, project, _command=None):
        model = project.model
        stacks = project.viewer.call("/listStacks")[1]["stacks"]
        names = ("stackName", "lastDeployedCommit", "isAvailable", "branch", "entity")
        self.same([{n: s.get(n, "missing") for n in names} for s in stacks], model.list_stacks(),
                  "listStacks")
        status = project.viewer.call("/status")[1]
        names = ("stackName", "state", "nextState", "fence", "branch", "lastDeployedCommit",
                 "failedDeploys", "failedBranches", "unsettled")
        self.same([{**{n: s.get(n) for n in names},
                    "lease": s["lease"]["requestNumber"] if s.get("lease") else None}
                   for s in status["stacks"]], model.status_stacks(), "status: stacks")
        expected = model.status_queue()
        self.same([{n: r[n] for n in expected[0]} if expected else r for r in status["queue"]],
                  expected, "status: queue")
        self.same(status["project"]["maxStacks"], model.max_stacks, "status: maxStacks")

    def look_back(self, project):
        """The whole history, at the end. It holds what has ended; /status shows the others."""
        rows = {}
        before = ""
        while before is not None:
            page = project.viewer.call("/history?limit=100" + before)[1]
            rows.update({row["requestNumber"]: row for row in page["requests"]})
            before = None if page["next"] is None else "&before=%d" % page["next"]
        ended = [r for r in project.model.leases if r.state not in ("waiting", "active")]
        for lease in ended:
            row = rows.get(lease.number)
            if row is None:
                raise Mismatch("request %s is not in the history" % lease.number)
            granted = lease.stack is not None
            expected = {
                "state": lease.state, "outcome": lease.outcome, "branch": lease.branch,
                "commit": lease.commit, "purpose": lease.purpose, "fence": lease.fence,
                "isNew": lease.is_new if granted else row["isNew"],
                "stackName": project.model.name(lease.stack) if granted else None,
                "changedUnits": None if lease.changed is None else
                len(lease.changed) + len(lease.removed),
                "estimatedDeploySeconds": lease.estimate}
            self.same({name: row[name] for name in expected}, expected,
                      "history of request %s" % lease.number)
        self.same(len(rows), len(ended), "length of the history")

    # --- Time ---

    def lease_is_gone(self, project, lease):
        return all((s.get("lease") or {}).get("requestNumber") != lease.number
                   for s in project.ci.call("/status")[1]["stacks"])

    def run_expiry(self, project, command):
        """A lease of one second; its job dies at once, or after a mark or a heartbeat."""
        body = dict(command["body"])
        began = time.monotonic()
        self.run_request(project, {"body": body})
        lease = project.model.live.get(body["requestId"])
        if lease is None or lease.state != "active":
            # Granted later, it would end in the middle of something else.
            self.run_plain(project, {"verb": "cancelRequest", "requestId": body["requestId"]})
            return
        name = {"stackName": project.model.name(lease.stack)}
        for wanted, verb, more in (("mark", "setLastDeployedCommit", {"lastDeployedCommit": "e"}),
                                   ("extend", "extendLease", {"seconds": 1})):
            # On a machine that was held up the lease may be over already.
            if command[wanted] and time.monotonic() - began < 0.5:
                if verb == "extendLease":
                    began = time.monotonic()
                self.run_plain(project, {"verb": verb, "body": {**name, **more},
                                         "lease": "current"})
        try:
            await_condition(4, lambda: self.lease_is_gone(project, lease), "a lease ends", 0.02)
        except TimeoutError as error:
            raise Mismatch(str(error)) from error
        if time.monotonic() - began < 0.99:
            raise Mismatch("a lease of 1 s ended after %.3f s" % (time.monotonic() - began))
        model = project.model
        model.now = time.monotonic()
        model.events = {}
        model.end(lease, "expired")
        model.grant()
        self.take_events(project)
        for verb in ("extendLease", "releaseStack"):
            if model.find(name["stackName"]):
                self.run_plain(project, {"verb": verb, "body": name, "lease": "old"})

    def run_short_hold(self, project, command):
        stack = project.model.find(command["stackName"])
        if stack is None or stack.lease:
            return
        name = {"stackName": command["stackName"]}
        began = time.monotonic()
        self.run_plain(project, {"verb": "holdStack", "body": {**name, "seconds": 1}})

        def is_back():
            return all(s["stackName"] != name["stackName"] or s["state"] != "held"
                       for s in project.ci.call("/status")[1]["stacks"])

        try:
            await_condition(4, is_back, "a hold ends", 0.02)
        except TimeoutError as error:
            raise Mismatch(str(error)) from error
        if time.monotonic() - began < 0.99:
            raise Mismatch("a hold of 1 s ended after %.3f s" % (time.monotonic() - began))
        project.model.run("holdIsOver", name)
        self.take_events(project)


def random_source(seed):
    return random.Random(seed)
