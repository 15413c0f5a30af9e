"""One curl per call, as CI jobs do it: a new process and a new TLS connection each. In turns: nginx alone
(`return 200` behind the same TLS), a bare durable commit, a borrow, a return. Our part of the wall time is
what nginx took from the request's first byte to its answer's last, with key check, program, database and
durable commit.
"""
import ctypes
import ctypes.util
import json
import os
import statistics
import time

import beside
import loads
import peers
import service

ALONE, COMMIT, BORROW, RETURN = "alone", "commit", "borrow", "return"


class Caller:
    """Calls curl, and takes its wall time."""

    def __init__(self, instance, key, folder):
        self.curl = peers.find("curl")
        self.answer = os.path.join(folder, "answer")
        self.body = os.path.join(folder, "body")
        # From a file: a key doesn't belong in a command line.
        self.header = loads.write_keys(instance, ["X-API-Key: " + key])
        self.authority = os.path.join(instance.var, "tls/ca.pem")

    def call(self, port, path, body):
        """Seconds, and the answer."""
        command = [
            self.curl,
            "--silent",
            "--fail",
            "--cacert",
            self.authority,
            "--header",
            "@" + self.header,
            "https://127.0.0.1:%d%s" % (port, path),
        ]
        if body is not None:
            with open(self.body, "w", encoding="ascii") as file:
                json.dump(body, file)
            command += ["--data", "@" + self.body]
        actions = [
            (os.POSIX_SPAWN_OPEN, 1, self.answer, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        ]
        began = time.monotonic()
        process = os.posix_spawn(self.curl, command, os.environ, file_actions=actions)
        status = os.waitpid(process, 0)[1]
        seconds = time.monotonic() - began
        if status:
            raise RuntimeError("curl %s: status %d" % (path, os.waitstatus_to_exitcode(status)))
        with open(self.answer, encoding="utf-8") as file:
            return seconds, json.load(file)


class Commits:
    """Changes one row of the same database, on a kept connection: what no durable answer can save. After
    an idle while it takes longer than in a row."""

    READ_DEFAULT_FILE = 4  # enum mysql_option

    def __init__(self, instance):
        name = ctypes.util.find_library("mariadb") or ctypes.util.find_library("mysqlclient")
        self.library = ctypes.CDLL(name)
        self.library.mysql_init.restype = ctypes.c_void_p
        self.library.mysql_error.restype = ctypes.c_char_p
        self.mysql = ctypes.c_void_p(self.library.mysql_init(None))
        options = os.path.join(instance.var, "etc/admin.cnf").encode()
        self.library.mysql_options(self.mysql, self.READ_DEFAULT_FILE, options)
        nothing = [None, None, None, None, ctypes.c_uint(0), None, ctypes.c_ulong(0)]
        if not self.library.mysql_real_connect(self.mysql, *nothing):
            raise RuntimeError(self.library.mysql_error(self.mysql))
        for text in (
            "CREATE DATABASE stack_orchestrator_cold",
            "CREATE TABLE stack_orchestrator_cold.row (n INT PRIMARY KEY, value INT) ENGINE=InnoDB",
            "INSERT INTO stack_orchestrator_cold.row VALUES (1, 0)",
        ):
            self.run(text)

    def run(self, text):
        """Seconds."""
        began = time.monotonic()
        status = self.library.mysql_real_query(self.mysql, text.encode(), len(text))
        seconds = time.monotonic() - began
        if status:
            raise RuntimeError(self.library.mysql_error(self.mysql))
        return seconds

    def commit(self):
        return self.run("UPDATE stack_orchestrator_cold.row SET value = value + 1 WHERE n = 1")

    def close(self):
        self.library.mysql_close(self.mysql)


def logged(instance, path):
    """Seconds that nginx wrote down for the calls of a path, in order; their clock has milliseconds, so
    that only means are of use."""
    with open(os.path.join(instance.var, "log/nginx-access.log"), encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return [float(line["seconds"]) for line in lines if line["path"] == path]


def measure(quick, rounds, before):
    """Begins anew whatever was measured before."""
    del before
    instance = service.Instance("cold")
    second = commits = None
    try:
        key, _ = instance.project("bench", "--max-stacks", "10")
        second = beside.Beside(instance)
        caller = Caller(instance, key, second.scratch.path)
        commits = Commits(instance)
        made = []
        for _ in range(rounds or (2 if quick else 5)):
            made.append(one_round(instance, second.port, caller, commits, 20 if quick else 60))
        return {"rounds": made}
    finally:
        if commits:
            commits.close()
        if second:
            second.close()
        instance.stop()


def one_round(instance, port_alone, caller, commits, calls):
    seen = {path: len(logged(instance, path)) for path in ("/requestStack", "/releaseStack")}
    wall = {ALONE: [], COMMIT: [], BORROW: [], RETURN: []}
    for _ in range(calls):
        wall[ALONE].append(caller.call(port_alone, "/alone", None)[0])
        wall[COMMIT].append(commits.commit())
        seconds, lease = caller.call(instance.port, "/requestStack", {"branch": "main"})
        wall[BORROW].append(seconds)
        wall[RETURN].append(
            caller.call(
                instance.port,
                "/releaseStack",
                {"stackName": lease["stackName"], "leaseId": lease["leaseId"]},
            )[0]
        )
    own = {}
    for name, path in ((BORROW, "/requestStack"), (RETURN, "/releaseStack")):
        # nginx writes its line after the answer.
        times = service.await_condition(
            10,
            lambda path=path: logged(instance, path)[seen[path] :][calls - 1 :]
            and logged(instance, path)[seen[path] :],
            "nginx has written its log",
        )
        own[name] = statistics.mean(times)
    return {
        "calls": calls,
        "own": own,
        "wall": {
            name: {"p50": statistics.median(some), "mean": statistics.mean(some)}
            for name, some in wall.items()
        },
    }
