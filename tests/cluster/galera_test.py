#!/usr/bin/env python3
"""galera_test: several program hosts on a MariaDB Galera cluster of three nodes. Prints TAP.

Environment: CLUSTER_SECONDS (of faults, default 60), SEED, KEEP=1, BUILD (histories go to
BUILD/cluster/).
"""
import os
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("lib", "race"):
    sys.path.insert(0, os.path.join(os.path.dirname(HERE), folder))

import hosts  # noqa: E402

hosts.enter_namespaces()

import galera  # noqa: E402
from callers import RoughCaller, SteadyCaller  # noqa: E402
from service import await_condition  # noqa: E402
from trial import SECONDS, Trial, Wanderer  # noqa: E402


class GaleraTrial(Trial):
    app_hosts = 3
    callers_of_faults = ((SteadyCaller, 14), (RoughCaller, 4), (Wanderer, 6))

    def start_nodes(self):
        missing = galera.missing()
        if missing:
            raise RuntimeError("not installed: %s; scripts/setup cluster installs it" %
                               ", ".join(missing))
        return galera.start_cluster(self.directory)

    def writer(self):
        """The one that the first host uses."""
        address = self.deployment.hosts[0].server()
        return next(node for node in self.nodes if node.address == address)

    # --- Faults ---

    def part_host(self, world):
        """a host doesn't reach the node that is written to, so that two nodes write"""
        host = self.random.choice(self.deployment.hosts)
        writer = self.writer()
        host.machine.cut_from(writer)
        served = self.served(world)
        world.stopping.wait(3)
        host.machine.mend_to(writer)
        return served


def faults(trial):
    """machines are killed, cut off and paused under callers at three hosts: every promise holds"""
    kinds = [GaleraTrial.kill_writer, GaleraTrial.cut_off_writer, GaleraTrial.kill_other,
             GaleraTrial.part_host, GaleraTrial.cut_off_other, GaleraTrial.pause_writer,
             GaleraTrial.kill_host, GaleraTrial.cut_off_host]
    return trial.break_things("galera", kinds)


def writers(trial):
    """each host writes to another node: every promise but that of an answer holds"""
    for number, host in enumerate(trial.deployment.hosts):
        host.set_servers(trial.nodes[number:] + trial.nodes[:number])
    trial.deployment.await_ready()
    world = trial.world("writers")
    started = time.monotonic()
    world.stopping.wait(max(10, SECONDS / 4))
    # A batch that meets the others' again and again is given up.
    world.history.add(type="fault", fault="several writers", to=time.monotonic() + 60,
                      **{"from": started})
    problems = trial.judge(world)
    used = {host.server() for host in trial.deployment.hosts}
    if len(used) != len(trial.deployment.hosts):
        problems.append("the hosts wrote to %s" % sorted(used))
    conflicts = sum("Deadlock" in line for host in trial.deployment.hosts
                    for line in host.log(lines=100000))
    trial.tap.note("%d times a batch met another node's" % conflicts)
    if not conflicts:
        problems.append("no batch ever met another node's")
    for host in trial.deployment.hosts:
        host.set_servers(trial.nodes)
    trial.deployment.await_ready()
    return problems


def minority(trial):
    """a node without a majority is refused, /readyz says so; service returns with the majority"""
    host = trial.deployment.hosts[0]
    trial.nodes[1].cut()
    trial.nodes[2].cut()
    await_condition(60, lambda: "wsrep_cluster_status is non-Primary" in host.refusal(),
                    "the reason at /readyz", 0.1)
    trial.nodes[1].mend()
    trial.nodes[2].mend()
    trial.deployment.await_ready(seconds=90)
    return []


def doctor(trial):
    """doctor finds every node good"""
    results = trial.doctor()
    return [] if results == [{"good"}] * len(trial.nodes) else ["doctor: %s" % results]


if __name__ == "__main__":
    GaleraTrial([doctor, writers, minority, faults]).run()
