"""rig: a private instance that can be broken at will. The program is the one with fault points
(fcgi/fault.h), and a proxy (proxy.c) stands between each two parts:

    callers ──caller──▶ nginx ──program──▶ program ──database──▶ database
"""
import contextlib
import os
import shutil
import signal
import subprocess
import time

from service import ROOT, SLOWNESS, Client, Cut, Instance, await_condition

BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
PARTS = ("program", "nginx", "database")


class Proxy:
    """A process of its own; ends with us."""

    def __init__(self, listen, target):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "tests/chaos/proxy"), str(listen), str(target)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True)  # a signal to the test must not end it before the servers
        self.port = int(self.process.stdout.readline())

    def order(self, order):
        """Returns how many connections there were."""
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Rig(Instance):
    def __init__(self, name, settings=None):
        # What is broken here must be our own.
        os.environ.pop("DATABASE_CNF", None)
        os.environ["STACK_ORCHESTRATOR"] = os.path.join(BUILD, "faults/stack-orchestrator")
        self.links = {}
        super().__init__(name, settings)
        self.links["caller"] = Proxy(0, self.port)
        self.port = self.links["caller"].port

    def prepare(self):
        self.faults = os.path.join(self.var, "faults")
        os.mkdir(self.faults)
        os.environ["STACK_ORCHESTRATOR_FAULTS"] = self.faults
        for name, target in (("database", "mysql.sock"), ("program", "fcgi.sock")):
            self.links[name] = Proxy(os.path.join(self.var, name + ".sock"),
                                     os.path.join(self.var, "run", target))
        return {"database_host": "unix:%s/database.sock" % self.var,
                "nginx.socket": "%s/program.sock" % self.var}

    def stop(self):
        if os.getpid() == self.owner and os.path.isdir(self.var):
            self.heal()
            super().stop()
            for link in self.links.values():
                link.stop()
            self.links = {}

    # --- Processes ---

    def pid(self, part):
        with open(os.path.join(self.var, "run", part + ".pid"), encoding="ascii") as file:
            return int(file.read())

    def signal(self, part, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid(part), number)

    def kill(self, part):
        self.local("kill", part)

    def restart(self, part):
        self.local("restart", part)

    def is_stopped(self, part):
        """Whether SIGSTOP has reached it."""
        with open("/proc/%d/stat" % self.pid(part), encoding="ascii") as file:
            return file.read().rsplit(") ", 1)[1][0] == "T"

    def is_dead(self, part):
        try:
            with open("/proc/%d/stat" % self.pid(part), encoding="ascii") as file:
                return file.read().rsplit(") ", 1)[1][0] == "Z"
        except OSError:
            return True

    # --- Faults ---

    def arm(self, point, action):
        """At the program's next passage; see fcgi/fault.h."""
        path = os.path.join(self.faults, point)
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(action)
        os.rename(path + ".new", path)

    def has_fired(self, point):
        return not os.path.exists(os.path.join(self.faults, point))

    def await_fired(self, point):
        await_condition(20, lambda: self.has_fired(point), "the program comes by " + point, 0.005)

    def heal(self):
        """Undoes what can be undone without starting anything."""
        for link in self.links.values():
            link.order("pass")
        for point in os.listdir(self.faults):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.faults, point))
        for part in PARTS:
            with contextlib.suppress(OSError, ValueError):
                self.signal(part, signal.SIGCONT)

    # --- The database, past the proxy ---

    def mysql(self):
        return [shutil.which("mariadb") or "mysql", "--defaults-file=" + os.path.join(self.var, "etc/admin.cnf"), "--batch",
                "--skip-column-names", "--unbuffered", "stack_orchestrator"]

    def sql(self, text):
        """Rows as lists of texts."""
        done = subprocess.run([*self.mysql(), "-e", text], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
        if done.returncode != 0:
            raise RuntimeError("%s: %s" % (text, done.stderr))
        return [line.split("\t") for line in done.stdout.splitlines()]

    @contextlib.contextmanager
    def session(self, text, proof):
        """A transaction that has run the text, which prints `proof` last. Rolled back at the end."""
        with subprocess.Popen(self.mysql(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as process:
            process.stdin.write("START TRANSACTION;%s;SELECT '%s';\n" % (text, proof))
            process.stdin.flush()
            while process.stdout.readline().strip() != proof:
                if process.poll() is not None:
                    raise RuntimeError("the database's client ended: " + text)
            try:
                yield
            finally:
                process.stdin.close()
                process.wait()

    # --- Answers ---

    def writes(self, key):
        """Whether a call that changes things gets its answer."""
        with Client(self, key) as client:
            try:
                return client.call("/cancelRequest", {"requestId": "none"}, timeout=5)[0] == 404
            except Cut:
                return False

    def await_service(self, key, seconds=30):
        """Returns how long it took."""
        start = time.monotonic()
        await_condition(seconds, lambda: self.writes(key), "the service answers again", 0.01)
        return time.monotonic() - start
