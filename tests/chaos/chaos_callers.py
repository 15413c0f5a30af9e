"""chaos_callers: the callers of tests/race, who insist on their answers whatever is broken, and a
world whose end is read from the database itself. One process plays one world."""
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
RACE = os.path.join(os.path.dirname(HERE), "race")
sys.path.insert(0, RACE)

from callers import RoughCaller, SteadyCaller, World  # noqa: E402
from service import SLOWNESS, Client, Cut, await_condition  # noqa: E402

OUTCOMES = ("success", "success", "failed", "deployFailed", "notDeployed")


class WithOutcome:
    """Releases with all the outcomes after which a stack returns."""

    def release(self, lease):
        return self.insist("releaseStack", {
            "stackName": lease["stackName"], "leaseId": lease["leaseId"],
            "outcome": self.random.choice(OUTCOMES)})


def as_plain(body):
    """A request without requestId, that can be told from all others."""
    plain = {**body, "job": {"name": body["requestId"]}}
    del plain["requestId"]
    return plain


class Steady(WithOutcome, SteadyCaller):
    def call(self, call, body, client=None):
        # Those who never repeat a request do without the requestId.
        if call == "requestStack" and self.number % 4 == 1:
            body = as_plain(body)
        return super().call(call, body, client)


class Rough(WithOutcome, RoughCaller):
    def ordinary(self):
        body = self.body()
        self.use(*self.call("requestStack", as_plain(body) if self.number % 2 else body))


class ChaosWorld(World):
    def begin(self, steady, rough):
        self.callers = [Steady(self, number) for number in range(steady)]
        self.callers += [Rough(self, steady + number) for number in range(rough)]
        for caller in self.callers:
            caller.start()

    def end_record(self, startup_grace):
        """What is there once every stack is back."""
        self.await_quiet()
        at = time.monotonic()
        with Client(self.instance, self.admin_key) as client:
            stacks = client.call("/listStacks")[1]["stacks"]
            status = client.call("/status")[1]
        return {"type": "end", "at": at, "maxStacks": self.max_stacks, "grace": startup_grace,
                "slowness": SLOWNESS, "rule": self.rule, "stacks": stacks, "status": status,
                "clock": time.time() - time.monotonic(), "history": self.rows()}

    def await_quiet(self):
        def is_quiet():
            with Client(self.instance, self.admin_key) as client:
                try:
                    return self.is_quiet(client)
                except (Cut, KeyError):
                    return False
        try:
            await_condition(40, is_quiet, "all stacks are back", 0.05)
        except TimeoutError:
            pass  # the checker says what is missing

    def rows(self):
        """Ended requests, and those that should have ended, from the database."""
        ended = ("SELECT h.lease_no, h.state, h.outcome, h.stack_no, h.fence, h.granted_at,"
                 " h.deployed_at, h.ended_at, h.job_name FROM history h JOIN project USING (project_id)"
                 " WHERE name = '%s'" % self.name)
        live = ("SELECT l.lease_no, l.state, NULL, l.stack_no, l.fence, l.granted_at,"
                " l.deployed_at, NULL, l.job_name FROM lease l JOIN project USING (project_id)"
                " WHERE name = '%s'" % self.name)
        rows = []
        for row in self.instance.sql(ended) + self.instance.sql(live):
            number, state, outcome, stack, fence, granted, deployed, end, job = (
                None if value == "NULL" else value for value in row)
            rows.append({"requestNumber": int(number), "state": state, "outcome": outcome,
                         "stackName": stack and "test-" + stack, "fence": fence and int(fence),
                         "grantedAt": iso(granted), "deployedAt": iso(deployed),
                         "endedAt": iso(end), "job": job and {"name": job}})
        return rows

    def forget(self):
        """Ends the project, so that the database doesn't grow from round to round."""
        self.instance.sql("DELETE FROM project WHERE name = '%s'" % self.name)

    def judge(self, path):
        """Returns the checker's figures, and its violations as lines."""
        self.history.write(path)
        done = subprocess.run([sys.executable, os.path.join(RACE, "checker.py"), path],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        lines = done.stdout.splitlines()
        figures = {}
        for line in lines:
            if line.startswith("# "):
                name, _, count = line[2:].rpartition(": ")
                figures[name] = float(count)
        if done.returncode == 0:
            os.remove(path)
            return figures, []
        return figures, ["history: " + path] + lines


def iso(text):
    return text and text.replace(" ", "T") + "Z"
