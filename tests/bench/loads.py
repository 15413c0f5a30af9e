"""Drives the load generators: each run returns {requests, seconds, p50, p99 (µs)}, for those that lend
stacks also {pairs, doublyLent}, and {cpu: µs a request of each part}.
"""
import json
import os
import re
import resource
import subprocess
import time

import parts

HERE = os.path.dirname(os.path.abspath(__file__))
TOOLS = os.path.join(HERE, "../..", os.environ.get("BUILD", "build"), "tests/bench")
WARM_UP_SECONDS = 0.3  # of load.c and peer.c


def tool(name):
    return os.path.join(TOOLS, name)


class Failed(Exception):
    """A generator ended with an error."""


def run(command):
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed("%s: %s%s" % (os.path.basename(str(command[0])), done.stdout, done.stderr))
    return done.stdout


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def with_cpu(used, measure, warm_up):
    """The figures of measure(), with what `used` and the generator took for each request, and how
    much of the processors went to others."""
    before, own, began = used.cpu_seconds(), children_seconds(), time.monotonic()
    everyone, stolen = parts.machine_seconds()
    figures = measure()
    own = children_seconds() - own
    after = used.cpu_seconds()
    others = sum(parts.machine_seconds()) - everyone - stolen - own
    # The warm-up's share is in the CPU, too.
    count = max(1, figures["requests"]) * (1 + warm_up / figures["seconds"])
    figures["cpu"] = {part: (after[part] - before[part]) * 1e6 / count for part in after}
    figures["cpu"]["generator"] = own * 1e6 / count
    others -= sum(after.values()) - sum(before.values())
    if after:  # else the servers are among the others
        figures["others"] = max(0, others / (time.monotonic() - began) / os.cpu_count())
    return figures


def write_keys(instance, keys, name="bench"):
    """A key file for the generators; its path."""
    path = os.path.join(instance.var, "etc/%s.keys" % name)
    with open(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii"
    ) as file:
        file.write("".join(key + "\n" for key in keys))
    return path


def target(instance, keys, port=None, name="bench"):
    """What the generators that speak HTTPS have to be told."""
    return [
        port or instance.port,
        os.path.join(instance.var, "tls/ca.pem"),
        write_keys(instance, keys, name),
    ]


class Https:
    """load.c against an HTTPS server: pairs, or one path."""

    def __init__(self, name, target, used, what=("pairs",), counts=None):
        self.name, self.used, self.what, self.counts = name, used, what, counts
        self.target = target

    def run(self, clients, seconds):
        return with_cpu(
            self.used,
            lambda: json.loads(run([tool("load"), *self.target, clients, seconds, *self.what])),
            WARM_UP_SECONDS,
        )


class Wrk:
    """wrk against a path of an HTTPS server."""

    def __init__(self, name, url, used, counts=None):
        self.name, self.url, self.used, self.counts = name, url, used, counts

    def run(self, clients, seconds):
        whole = max(1, round(seconds))

        def measure():
            text = run(["wrk", "--latency", "-t", 1, "-c", clients, "-d", "%ds" % whole, self.url])
            if "Non-2xx" in text:
                raise Failed("wrk: " + text)
            requests, real = re.search(r"(\d+) requests in ([\d.]+)s", text).groups()
            return {
                "requests": int(requests),
                "seconds": float(real),
                "p50": wrk_time(text, "50%"),
                "p99": wrk_time(text, "99%"),
            }

        return with_cpu(self.used, measure, 0)


def wrk_time(text, quantile):
    value, unit = re.search(r"%s +([\d.]+)(us|ms|s)" % quantile, text).groups()
    return float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


class Peer:
    """A pool in another store: peer.c with the store's file."""

    def __init__(self, name, program, address, way, stacks, counts=None):
        self.name, self.counts = name, counts
        self.command = [tool(program), address, way]
        self.stacks = stacks

    def run(self, clients, seconds):
        return with_cpu(
            parts.Parts({}),
            lambda: json.loads(run([*self.command, clients, seconds, self.stacks])),
            WARM_UP_SECONDS,
        )
