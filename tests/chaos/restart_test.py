#!/usr/bin/env python3
"""restart_test: the program is ended and started again under callers, with a socket that is handed
over to it, as systemd does. Prints TAP.

Environment: BUILD, SAN, KEEP.
"""
import collections
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
sys.path.insert(0, HERE)

from rig import Rig  # noqa: E402
from service import SLOWNESS, Client, Cut, Tap, await_condition  # noqa: E402

RESTARTS = 15
CALLERS = 12  # of a project with a stack for each
CROWD = 6  # of one with a third of that: two of three wait


class HandedRig(Rig):
    """nginx talks to the program itself; the socket outlives the program."""

    def prepare(self):
        return {**super().prepare(), "nginx.socket": self.path("run/fcgi.sock")}

    def hand_over(self):
        self.kill("program")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path("run/handed.sock"))
        self.listener.listen(4096)
        os.rename(self.path("run/handed.sock"), self.path("run/fcgi.sock"))
        path = self.path("etc/stack-orchestrator.conf")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(re.sub("(?m)^socket = .*", "socket = -", text))
        self.start()

    def start(self):
        with open(self.path("log/program.log"), "ab") as log:
            self.program = subprocess.Popen(
                self.commands["program"], stdin=self.listener, stdout=log, stderr=log,
                env=self.environments["program"], start_new_session=True)

    def end(self):
        self.program.send_signal(signal.SIGTERM)
        self.program.wait(30 * SLOWNESS)


class Caller(threading.Thread):
    """Borrows and gives back; half of them over a new connection for each call."""

    def __init__(self, rig, key, number, stopping):
        super().__init__(daemon=True)
        self.client = Client(rig, key)
        self.number = number
        self.stopping = stopping
        # nginx sends a large body in several pieces.
        self.units = {"unit-%d-%s" % (i, "x" * 200): "y" * 200
                      for i in range(0 if number % 3 else 500)}
        self.answers = collections.Counter()
        self.start()

    def call(self, path, body):
        try:
            status, answer, _ = self.client.call(path, body)
        except Cut as cut:
            status, answer = None, {"error": {"code": repr(cut)}}
        self.answers["%s: %s %s" % (path, status, answer.get("error", {}).get("code", ""))] += 1
        if self.number % 2:
            self.client.close()
        return status, answer

    def result(self):
        self.join(60 * SLOWNESS)
        return self.answers

    def run(self):
        while not self.stopping.is_set():
            status, lease = self.call("/requestStack", {"leaseSeconds": 60, "units": self.units})
            if status == 200:
                self.call("/releaseStack", {"stackName": lease["stackName"],
                                            "leaseId": lease["leaseId"]})
        self.client.close()


def is_let_in(rig):
    """Whether a request that nginx has begun to write when the program is told to end can be written to its end."""
    begin = struct.pack(">BBHHBBHB5x", 1, 1, 1, 8, 0, 0, 1, 1)  # FastCGI: a responder, kept
    before = drained(rig)
    with socket.socket(socket.AF_UNIX) as nginx:
        nginx.connect(rig.path("run/fcgi.sock"))
        time.sleep(0.2)  # it is accepted
        with rig.half_requests(8):
            time.sleep(0.2)  # the threads are busy
            nginx.sendall(begin)
            rig.program.send_signal(signal.SIGTERM)
            await_condition(20, lambda: drained(rig) > before, "it drains")
            time.sleep(0.1)
            try:
                nginx.sendall(struct.pack(">BBHHBB", 1, 4, 1, 0, 0, 0))  # the end of its parameters
                is_in = True
            except BrokenPipeError:
                is_in = False
    rig.end()
    return is_in


def drained(rig):
    """How often it was told to end."""
    return sum("draining" in line for line in rig.log(lines=10000))


def failures(answers, *allowed):
    return ["%s, %d times" % item for item in sorted(answers.items())
            if item[0].partition(": ")[2] not in allowed]


def main():
    tap = Tap(4)
    rig = HandedRig("restart")
    [key] = rig.project("team", "--max-stacks", str(CALLERS), roles=["ci"])
    [crowd_key] = rig.project("crowd", "--max-stacks", str(CROWD // 3), roles=["ci"])
    rig.hand_over()
    rig.await_service(key)
    stopping = threading.Event()
    callers = [Caller(rig, key, number, stopping) for number in range(CALLERS)]
    crowd = [Caller(rig, crowd_key, number, stopping) for number in range(CROWD)]
    for _ in range(RESTARTS):
        time.sleep(0.2 * SLOWNESS)
        rig.end()
        rig.start()
    rig.await_service(key)
    stopping.set()
    answers = sum((caller.result() for caller in callers), collections.Counter())
    waits = sum((caller.result() for caller in crowd), collections.Counter())
    rig.end()
    tap.note("%d and %d calls during %d restarts" % (sum(answers.values()), sum(waits.values()),
                                                     RESTARTS))
    failed = failures(answers, "200 ")
    tap.result(sum(answers.values()) > 10 * RESTARTS and not failed,
               "a restart fails no call, where the socket outlives the program",
               failed and failed + rig.log() + rig.log("nginx-error"))
    failed = failures(waits, "200 ", "503 shuttingDown")
    tap.result(waits["/requestStack: 503 shuttingDown"] > 0 and not failed,
               "… but those that wait, who are told to ask again", failed)
    rig.start()
    rig.await_service(key)
    tap.result(is_let_in(rig), "a request that nginx has begun to write is let in")
    reports = rig.sanitizer_reports()
    tap.result(not reports, "the program's log has no report of a fault", reports[:40])
    tap.exit()


if __name__ == "__main__":
    main()
