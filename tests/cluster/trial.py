"""trial: callers at several hosts while machines are killed, cut off and paused; a checker then."""
import collections
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from callers import RoughCaller, SteadyCaller
from service import ROOT, Tap
from service_hosts import STARTUP_GRACE, ClusterWorld, Deployment

SECONDS = float(os.environ.get("CLUSTER_SECONDS", "60"))
SEED = os.environ.get("SEED") or str(random.SystemRandom().randrange(10 ** 9))
HISTORIES = os.path.join(ROOT, os.environ.get("BUILD", "build"), "cluster")
CHECKER = os.path.join(ROOT, "tests/race/checker.py")


class Wanderer(RoughCaller):
    """Leaves one host's queue for another's, and still has the stack when the first is mended."""

    def job(self):
        body = self.body(wait=20, lease=3)
        sent = self.begin("requestStack", body)
        if sent is None:
            return
        if self.client.has_answer(self.random.uniform(0, 1)):
            status, lease = self.finish("requestStack", body, sent)
        else:
            self.hang_up("requestStack", body, sent)
            status, lease = self.insist("requestStack", body)
        if status != 200:
            return
        until = time.monotonic() + self.random.uniform(0, 8)
        while status != 410 and time.monotonic() < until and not self.world.stopping.is_set():
            self.pause(0.2, 0.8)
            status, _ = self.extend(lease, 3)
        self.release(lease)


class Trial:
    """Subclasses say how to start the nodes, and what may go wrong: `faults`, functions that break
    something, mend it, and return how long it took until the hosts served meanwhile."""

    app_hosts = 2
    callers = ((SteadyCaller, 24),)
    callers_of_faults = callers
    stacks = 6

    def __init__(self, tests):
        threading.stack_size(512 * 1024)
        os.makedirs(HISTORIES, exist_ok=True)
        self.tests = [test for test in tests if os.environ.get("ONLY_TEST", "") in test.__name__]
        self.tap = Tap(len(self.tests))
        self.tap.note("SEED=%s CLUSTER_SECONDS=%g" % (SEED, SECONDS))
        self.random = random.Random(SEED)
        self.directory = tempfile.mkdtemp(prefix="so-cluster.",
                                          dir=os.environ.get("TMPDIR", "/tmp"))
        os.chmod(self.directory, 0o755)  # the servers run as users of their own
        self.deployment = None
        self.figures = collections.defaultdict(list)  # seconds until all hosts served again

    def start_nodes(self):
        raise NotImplementedError

    def run(self):
        try:
            started = time.monotonic()
            self.nodes = self.start_nodes()
            self.tap.note("the nodes are up after %.1f s" % (time.monotonic() - started))
            self.deployment = Deployment(self.nodes, self.app_hosts, self.directory)
            self.deployment.await_ready()
            for test in self.tests:
                problems = self.attempt(test)
                if problems:
                    problems += self.evidence()
                self.tap.result(not problems, test.__doc__.split("\n")[0], problems[:150])
        finally:
            if os.environ.get("KEEP"):
                self.tap.note("kept: %s" % self.directory)
            else:
                # Each drops its database, for which the servers must have their files yet.
                for host in self.deployment.hosts if self.deployment else []:
                    host.stop()
                shutil.rmtree(self.directory, ignore_errors=True)
        self.tap.exit()

    def attempt(self, test):
        try:
            return test(self)
        except (TimeoutError, RuntimeError) as error:
            return ["%s: %s" % (type(error).__name__, error)]

    def evidence(self):
        """What hosts and nodes say of themselves at the moment, and the end of their logs."""
        found = []
        for host in self.deployment.hosts:
            found += ["--- %s: %s" % (host.machine.name, host.refusal() or "ready")]
            found += [line for line in host.log(lines=10000) if " answered " not in line][-20:]
        for node in self.nodes:
            found += ["--- %s: %s" % (node.name, node.members())]
            found += node.log(10).splitlines()
        return found

    def doctor(self):
        """Of each node the results that `doctor` has for it, at the first host."""
        report = json.loads(self.deployment.hosts[0].ctl("doctor", "--json"))
        return [{found["result"] for found in report["findings"]
                 if found["text"].startswith(node.address + ": ")} for node in self.nodes]

    def world(self, name, callers=()):
        world = ClusterWorld(self.deployment, name, SEED, self.stacks)
        self.deployment.await_writes(world)
        for kind, count in callers or self.callers:
            world.start(kind, count)
        return world

    def judge(self, world):
        """Ends the callers, and has their history judged; returns what is wrong."""
        problems = world.finish(STARTUP_GRACE)
        path = os.path.join(HISTORIES, world.name + ".jsonl")
        world.history.write(path)
        done = subprocess.run([sys.executable, CHECKER, path], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        lines = done.stdout.splitlines()
        self.tap.note("%s: %s" % (world.name, ", ".join(
            line[2:] for line in lines if line.startswith("# "))))
        if done.returncode != 0:
            problems += ["history: " + path] + lines
        elif not problems:
            os.remove(path)
        return problems

    def break_things(self, name, faults):
        """Each fault once, and on in turn until the time is over."""
        world = self.world(name, self.callers_of_faults)
        until = time.monotonic() + SECONDS
        count = 0
        while count < len(faults) or time.monotonic() < until:
            world.stopping.wait(self.random.uniform(1, 2))
            self.inflict(world, faults[count % len(faults)])
            count += 1
        world.stopping.wait(2)
        problems = self.judge(world)
        for fault, seconds in sorted(self.figures.items()):
            self.tap.note("%s: %d times, served again after at most %.1f s" % (
                fault, len(seconds), max(seconds)))
        return problems

    def inflict(self, world, fault):
        """Writes the fault down: from its begin until every host serves again."""
        started = time.monotonic()
        try:
            recovery = fault(self, world)
            self.deployment.await_writes(world, seconds=120)
        except TimeoutError as error:
            raise TimeoutError("%s: %s" % (fault.__doc__, error)) from error
        world.history.add(type="fault", fault=fault.__doc__, silent=True, parted=True,
                          **{"from": started, "to": time.monotonic()})
        self.figures[fault.__doc__].append(recovery)

    def served(self, world, hosts=None, seconds=60):
        """Waits until these hosts (all) serve though something is broken; returns how long."""
        started = time.monotonic()
        self.deployment.await_writes(world, hosts, seconds)
        return time.monotonic() - started

    # --- Faults ---

    def writer(self):
        """The node that is written to."""
        raise NotImplementedError

    def other_node(self):
        writer = self.writer()
        return self.random.choice([node for node in self.nodes if node is not writer])

    def await_members(self):
        """Until all nodes are in again."""
        for node in self.nodes:
            node.await_in()

    def kill(self, node, world):
        node.kill()
        served = self.served(world)
        node.start()
        node.await_in()
        self.await_members()
        return served

    def kill_writer(self, world):
        """the node that is written to is killed, and comes back"""
        return self.kill(self.writer(), world)

    def kill_other(self, world):
        """another node is killed, and comes back"""
        return self.kill(self.other_node(), world)

    def cut_off(self, node, world):
        node.cut()
        served = self.served(world)
        node.mend()
        self.await_members()
        return served

    def cut_off_writer(self, world):
        """the node that is written to is cut off from everything"""
        return self.cut_off(self.writer(), world)

    def cut_off_other(self, world):
        """another node is cut off from everything"""
        return self.cut_off(self.other_node(), world)

    def pause_writer(self, world):
        """the node that is written to stands still for some seconds"""
        node = self.writer()
        node.pause()
        world.stopping.wait(self.random.uniform(1, 4))
        node.go_on()
        served = self.served(world)
        self.await_members()
        return served

    def kill_host(self, world):
        """a host's program and nginx are killed, and come back"""
        host = self.random.choice(self.deployment.hosts)
        host.kill()
        served = self.served(world, [other for other in self.deployment.hosts if other is not host])
        host.revive()
        return served

    def cut_off_host(self, world):
        """a host reaches no node: whoever waits there comes back elsewhere, or once it is mended"""
        host = self.random.choice(self.deployment.hosts)
        host.machine.cut()
        served = self.served(world, [other for other in self.deployment.hosts if other is not host])
        world.stopping.wait(self.random.uniform(1, 6))
        host.machine.mend()
        return served
