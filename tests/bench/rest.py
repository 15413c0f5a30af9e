"""The program at rest: resident memory after its start and after some work, and the time from its start to its
first answers, over HTTPS: /readyz, and the first borrow.
"""
import os
import subprocess
import time

import loads
import parts
import service

PATIENCE = 30


class Program:
    """The program of an instance, started by the bench itself: scripts/local takes longer than it."""

    def __init__(self, instance, config=None):
        command = [
            os.path.join(loads.TOOLS, "../../stack-orchestrator"),
            "-c",
            config or os.path.join(instance.var, "etc/stack-orchestrator.conf"),
        ]
        with open(os.path.join(instance.var, "log/program.log"), "ab") as log:
            self.began = time.monotonic()
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


def first_answer(client, began, path, body=None):
    """Seconds from `began` to a 200."""
    while True:
        status, answer, _ = client.call(path, body)
        now = time.monotonic()
        if status == 200:
            return now - began, answer
        if now - began > PATIENCE:
            raise TimeoutError("%s: %d %s" % (path, status, answer))


def one_start(instance, client):
    program = Program(instance)
    try:
        ready, _ = first_answer(client, program.began, "/readyz")
        borrowed, lease = first_answer(client, program.began, "/requestStack", {"branch": "main"})
        first_answer(
            client,
            program.began,
            "/releaseStack",
            {"stackName": lease["stackName"], "leaseId": lease["leaseId"]},
        )
        return {
            "ready": ready,
            "borrowed": borrowed,
            "resident": parts.resident(program.process.pid, ("Rss",)),
            "private": parts.resident(program.process.pid),
        }
    finally:
        program.stop()


def measure(quick, rounds, before):
    """Begins anew whatever was measured before."""
    del before
    # Strangers' calls are limited; these are many in a short time.
    instance = service.Instance("rest")
    try:
        key, _ = instance.project("bench", "--max-stacks", "10")
        with service.Client(instance, key) as client:
            pid = int(instance.local("pid", "program"))
            load = loads.Https("ours", loads.target(instance, [key]), parts.Parts({}))
            load.run(8, 1 if quick else 5)
            worked = {"resident": parts.resident(pid, ("Rss",)), "private": parts.resident(pid)}
            instance.local("kill", "program")
            return {
                "starts": [
                    one_start(instance, client) for _ in range(rounds or (3 if quick else 10))
                ],
                "worked": worked,
            }
    finally:
        instance.stop()
