"""callers: threads that borrow and return stacks, each with its own manners, and write down what
they were told and when. tests/race/checker.py judges what they wrote."""
import collections
import itertools
import json
import random
import threading
import time

from service import CALL_SECONDS, SLOWNESS, Client, Cut, await_condition

NUMBERS = itertools.count(1)


class History:
    def __init__(self):
        self.records = []  # appending is atomic

    def add(self, **record):
        self.records.append(record)

    def write(self, path):
        with open(path, "w", encoding="utf-8") as file:
            for record in self.records:
                file.write(json.dumps(record) + "\n")


class Caller(threading.Thread):
    """One job after the other, until told to stop. Subclasses say what a job does: job()."""

    def __init__(self, world, number):
        super().__init__(daemon=True)
        self.world = world
        self.number = number
        self.random = random.Random("%s/%s" % (world.seed, number))
        self.client = Client(world.instance, world.key)
        self.second = Client(world.instance, world.key)
        self.error = None

    def run(self):
        try:
            while not self.world.stopping.is_set():
                self.job()
        except Exception as error:  # a defect of the test must not look like success
            self.error = error
            raise
        finally:
            self.client.close()
            self.second.close()

    def job(self):
        raise NotImplementedError

    # --- Calls, written down ---

    def note(self, call, body, sent, status=None, answer=None, cut=None):
        self.world.history.add(type="call", caller=self.number, call=call, body=body, sent=sent,
                               ended=time.monotonic(), status=status, answer=answer, cut=cut)

    def begin(self, call, body, client=None):
        """Sends a call; returns when, or None (written down) if even that failed."""
        sent = time.monotonic()
        try:
            (client or self.client).send("/" + call, body)
        except Cut as error:
            self.note(call, body, sent, cut=str(error))
            return None
        return sent

    def finish(self, call, body, sent, client=None):
        """Returns (status, answer); (None, None) when no answer came."""
        if sent is None:
            return None, None
        try:
            timeout = CALL_SECONDS + (body.get("waitSeconds", 0) if call == "requestStack" else 0)
            status, answer, _ = (client or self.client).receive(timeout)
        except Cut as error:
            self.note(call, body, sent, cut=str(error))
            return None, None
        self.note(call, body, sent, status, answer)
        return status, answer

    def hang_up(self, call, body, sent, client=None):
        (client or self.client).close()
        if sent is not None:
            self.note(call, body, sent, cut="caller")

    def call(self, call, body, client=None):
        return self.finish(call, body, self.begin(call, body, client), client)

    def insist(self, call, body):
        """Repeats a call until it is answered with something else than a 5xx."""
        for _ in range(2000):
            status, answer = self.call(call, body)
            if status is not None and status < 500:
                return status, answer
            if call == "requestStack" and status == 503 and self.world.stopping.is_set():
                return status, answer
            time.sleep(self.random.uniform(0.02, 0.1))
        raise RuntimeError("%s: no answer after 2000 attempts" % call)

    # --- Parts of jobs ---

    def new_id(self):
        return "%s-%d-%d" % (self.world.name, self.number, next(NUMBERS))

    def pause(self, least, most):
        time.sleep(self.random.uniform(least, most))

    def mark(self, lease):
        return self.call("setLastDeployedCommit", {
            "stackName": lease["stackName"], "leaseId": lease["leaseId"],
            "lastDeployedCommit": "%040x" % self.random.getrandbits(160)})

    def extend(self, lease, seconds):
        return self.call("extendLease", {"stackName": lease["stackName"],
                                         "leaseId": lease["leaseId"], "seconds": seconds})

    def release(self, lease):
        return self.insist("releaseStack", {"stackName": lease["stackName"],
                                            "leaseId": lease["leaseId"], "outcome": "success"})


class PlainCaller(Caller):
    """Borrows and returns: half of them as the original's scripts do, by name."""

    def job(self):
        body = {"branch": "branch-%d" % (self.number % 5), "waitSeconds": 60}
        if self.number % 2:
            body["requestId"] = self.new_id()
        if self.number in (5, 37):
            body["priority"] = 2
        if self.number % 4 == 0:
            self.client.close()  # a fresh connection for each job
        status, lease = self.call("requestStack", body)
        if status != 200:
            return
        if self.random.random() < 0.5:
            self.pause(0, 0.02)
        if self.random.random() < 0.3:
            name_only = {"stackName": lease["stackName"], "lastDeployedCommit": "abc"}
            self.mark(lease) if self.number % 2 else self.call("setLastDeployedCommit", name_only)
        if self.number % 2:
            self.release(lease)
        else:
            self.call("releaseStack", {"stackName": lease["stackName"]})


class RoughCaller(Caller):
    """Hangs up, loses answers, dies, oversleeps."""

    def body(self, wait=5, lease=2):
        body = {"branch": "branch-%d" % self.random.randrange(4), "waitSeconds": wait,
                "leaseSeconds": lease, "requestId": self.new_id()}
        if self.random.random() < 0.5:
            body["units"] = {"unit-%d" % i: str(self.random.randrange(3)) for i in range(4)}
        return body

    def job(self):
        ways = [(25, self.ordinary), (15, self.leave_the_queue), (15, self.lose_the_answer),
                (12, self.fall_silent), (10, self.release_at_the_end), (10, self.ask_twice),
                (6, self.cancel), (7, self.ask_briefly)]
        way = self.random.choices([w for _, w in ways], [n for n, _ in ways])[0]
        self.world.ways[way.__name__] += 1
        way()

    def use(self, status, lease):
        """The rest of a job that may have got a stack."""
        if status != 200:
            return
        for _ in range(self.random.randrange(3)):
            self.pause(0, 0.15)
            self.extend(lease, 2)
        if self.random.random() < 0.4:
            self.mark(lease)
        self.release(lease)

    def ordinary(self):
        self.use(*self.call("requestStack", self.body()))

    def leave_the_queue(self):
        body = self.body()
        comes_back = self.random.random() < 0.6
        if not comes_back and self.random.random() < 0.5:
            del body["requestId"]
        sent = self.begin("requestStack", body)
        if sent is None:
            return
        if self.client.has_answer(self.random.uniform(0, 0.4)):
            self.use(*self.finish("requestStack", body, sent))
            return
        self.hang_up("requestStack", body, sent)
        if comes_back:
            self.pause(0, 0.3)
            self.use(*self.insist("requestStack", body))

    def lose_the_answer(self):
        body = self.body()
        for _ in range(self.random.randrange(1, 4)):
            sent = self.begin("requestStack", body)
            if self.random.random() < 0.5:
                self.pause(0, 0.01)
            self.hang_up("requestStack", body, sent)
        self.use(*self.insist("requestStack", body))

    def fall_silent(self):
        status, lease = self.call("requestStack", self.body(lease=1))
        if status != 200:
            return
        for _ in range(self.random.randrange(4)):
            self.pause(0, 0.3)
            status, _ = self.extend(lease, 1)
            if status != 200:
                break
        if self.random.random() < 0.3:
            return  # dead
        self.pause(0.9, 1.6)
        self.extend(lease, 1)
        self.mark(lease)
        self.release(lease)

    def release_at_the_end(self):
        status, lease = self.call("requestStack", self.body(lease=1))
        if status != 200:
            return
        self.pause(0.96, 1.04)
        self.release(lease)

    def ask_twice(self):
        body = self.body()
        clients = [self.client, self.second]
        sent = [self.begin("requestStack", body, client) for client in clients]
        answers = [self.finish("requestStack", body, s, c) for s, c in zip(sent, clients)]
        for status, lease in answers:
            if status == 200:
                self.use(status, lease)
                break

    def cancel(self):
        body = self.body()
        sent = self.begin("requestStack", body)
        self.pause(0, 0.1)
        self.call("cancelRequest", {"requestId": body["requestId"]}, self.second)
        self.use(*self.finish("requestStack", body, sent))

    def ask_briefly(self):
        body = self.body(wait=self.random.randrange(2))
        for _ in range(10):
            status, answer = self.call("requestStack", body)
            if status == 200:
                self.use(status, answer)
            if status != 503:
                return
            self.pause(0, 0.2)
        self.call("cancelRequest", {"requestId": body["requestId"]})


class SteadyCaller(Caller):
    """Borrows and returns whatever happens to the servers: repeats each call until it is answered."""

    def job(self):
        body = {"branch": "branch-%d" % (self.number % 7), "waitSeconds": 30, "leaseSeconds": 3,
                "requestId": self.new_id()}
        if self.number % 8 == 0:
            self.client.close()
        if self.number % 4 == 1:
            # Never comes back for an answer that was lost: that stack must return by itself.
            status, lease = self.call("requestStack", body)
            if status is None or status >= 500:
                self.pause(0.02, 0.1)
        else:
            status, lease = self.insist("requestStack", body)
        if status != 200:
            return
        self.pause(0, 0.05)
        if self.random.random() < 0.2:
            self.extend(lease, 3)
        if self.random.random() < 0.2:
            self.mark(lease)
        self.release(lease)


class World:
    """One project with its callers and their history."""

    slack = 0  # see checker.py

    def __init__(self, instance, name, seed, max_stacks, rule="fifo"):
        self.instance = instance
        self.name = name
        self.seed = seed
        self.max_stacks = max_stacks
        self.rule = rule
        self.history = History()
        self.stopping = threading.Event()
        self.ways = collections.Counter()
        self.callers = []
        self.key, self.admin_key = instance.project(name, "--max-stacks", str(max_stacks))

    def start(self, kind, count):
        callers = [kind(self, len(self.callers) + number) for number in range(count)]
        self.callers += callers
        for caller in callers:
            caller.start()

    def stop_callers(self):
        """Returns what went wrong in them."""
        self.stopping.set()
        # The longest job waits for a stack, then for its lease's end.
        deadline = time.monotonic() + 120 * SLOWNESS
        for caller in self.callers:
            caller.join(max(0, deadline - time.monotonic()))
        stuck = ["caller %s does not end" % c.number for c in self.callers if c.is_alive()]
        return stuck + ["caller %s: %r" % (c.number, c.error) for c in self.callers if c.error]

    def finish(self, startup_grace):
        """Stops the callers, waits until every stack is back, and asks for the end's state."""
        errors = self.stop_callers()
        with Client(self.instance, self.admin_key) as client:
            try:
                await_condition(30, lambda: self.is_quiet(client), "all stacks are back", 0.05)
            except TimeoutError:
                pass  # the checker says what is missing
            at = time.monotonic()
            stacks = client.call("/listStacks")[1]["stacks"]
            status = client.call("/status")[1]
            rows = []
            before = ""
            while before is not None:
                page = client.call("/history?limit=100" + before)[1]
                rows += page["requests"]
                before = None if page["next"] is None else "&before=%d" % page["next"]
        self.history.add(type="end", at=at, maxStacks=self.max_stacks, grace=startup_grace,
                         slowness=SLOWNESS, rule=self.rule, slack=self.slack, stacks=stacks,
                         status=status, history=rows)
        return errors

    @staticmethod
    def is_quiet(client):
        status = client.call("/status")[1]
        # The checker knows which may be quarantined.
        return not status["queue"] and {s["state"] for s in status["stacks"]} <= {"available",
                                                                                 "quarantined"}
