#!/usr/bin/env python3
"""group_test: several program hosts on a MySQL replication group of three members. Prints TAP.

Environment: CLUSTER_SECONDS (of faults, default 60), SEED, KEEP=1, BUILD (histories go to
BUILD/cluster/), MYSQL_ROOT (see group.py).
"""
import os
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("lib", "race"):
    sys.path.insert(0, os.path.join(os.path.dirname(HERE), folder))

import hosts  # noqa: E402

hosts.enter_namespaces()

import group  # noqa: E402
from service import await_condition  # noqa: E402
from trial import Trial  # noqa: E402


class GroupTrial(Trial):
    def start_nodes(self):
        return group.start_group(self.directory)

    def writer(self):
        return await_condition(60, lambda: group.primary(self.nodes), "there is a primary", 0.1)

    def await_members(self):
        group.await_whole(self.nodes)

    # --- Faults ---

    def move_writer(self, world):
        """the group is told to write elsewhere"""
        target = self.other_node()
        uuid = target.must("SELECT @@server_uuid")[0]
        target.must("SELECT group_replication_set_as_primary('%s')" % uuid)
        return self.served(world)


def faults(trial):
    """machines are killed, cut off and paused under callers at two hosts: every promise holds"""
    kinds = [GroupTrial.kill_writer, GroupTrial.move_writer, GroupTrial.cut_off_writer,
             GroupTrial.kill_other, GroupTrial.cut_off_other, GroupTrial.pause_writer,
             GroupTrial.kill_host]
    return trial.break_things("group", kinds)


def minority(trial):
    """a primary without a majority is refused, /readyz says so; service returns with the majority"""
    host = trial.deployment.hosts[0]
    writer = trial.writer()
    cut = [node for node in trial.nodes if node is not writer]
    for node in cut:
        node.cut()
    await_condition(60, lambda: "majority is 0" in host.refusal(), "the reason at /readyz", 0.1)
    for node in cut:
        node.mend()
    trial.await_members()
    trial.deployment.await_ready(seconds=90)
    return []


def primaries(trial):
    """a group with several primaries is refused"""
    host = trial.deployment.hosts[0]
    writer = trial.writer()
    writer.must("SELECT group_replication_switch_to_multi_primary_mode()")
    host.local("restart", "program")
    await_condition(30, lambda: "group_replication_single_primary_mode is OFF" in host.refusal(),
                    "the reason at /readyz", 0.1)
    writer.must("SELECT group_replication_switch_to_single_primary_mode(@@server_uuid)")
    trial.deployment.await_ready()
    return []


def doctor(trial):
    """doctor finds the primary good, and says that the others are passed over"""
    writer = trial.writer()
    results = trial.doctor()
    expected = [{"good"} if node is writer else {"warning"} for node in trial.nodes]
    return [] if results == expected else ["doctor: %s" % results]


if __name__ == "__main__":
    GroupTrial([doctor, minority, primaries, faults]).run()
