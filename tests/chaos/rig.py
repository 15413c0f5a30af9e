"""rig: a private instance that can be broken at will. The program is the one with fault points
(fcgi/base/fault.h), and a proxy (proxy.c) stands between each two parts:

    callers ──caller──▶ nginx ──program──▶ program ──database──▶ database

As root, in a mount namespace of its own (enter_namespace), the database's data are on a small file
system that can be filled; else the database is forbidden to write beyond a size.
"""
import contextlib
import glob
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

from service import ROOT, SLOWNESS, Client, Cut, Instance, await_condition

BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
# Settings, in seconds.
STARTUP_GRACE = 2
REQUEST_GRACE = 3
PARTS = ("program", "nginx", "database")


def remove_clocks():
    """libfaketime leaves its shared memory behind when a program is killed."""
    for path in glob.glob("/dev/shm/*faketime_*_*"):
        if not os.path.exists("/proc/" + path.rsplit("_", 1)[1]):
            with contextlib.suppress(OSError):
                os.unlink(path)


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


def enter_namespace():
    """Starts this program again with mounts of its own, if that may be done."""
    if os.geteuid() == 0 and "RIG_MAY_MOUNT" not in os.environ and \
            subprocess.run(["unshare", "--mount", "true"], check=False,
                           stderr=subprocess.DEVNULL).returncode == 0:
        os.environ["RIG_MAY_MOUNT"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable,
                              *sys.argv])


class Rig(Instance):
    FULL_BYTES = 1 << 20  # what may be written of a file where no file system can be filled
    DISK = "400m"

    def __init__(self, name, settings=None):
        # What is broken here must be our own.
        os.environ.pop("DATABASE_CNF", None)
        os.environ["STACK_ORCHESTRATOR"] = os.path.join(BUILD, "faults/stack-orchestrator")
        self.links = {}
        self.processes = {}  # that we started
        self.has_own_disk = False
        # The program that we start may have as many files as scripts/local would give it.
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(65536, hard), hard))
        super().__init__(name, {"startup_grace_seconds": STARTUP_GRACE,
                                "request_grace_seconds": REQUEST_GRACE, **(settings or {})})
        self.nginx_port = self.port
        self.links["caller"] = Proxy(0, self.nginx_port)
        self.port = self.links["caller"].port
        self.commands = {part: self.command(part) for part in ("program", "nginx")}
        self.environments = {part: self.environment(part) for part in ("program", "nginx")}

    def prepare(self):
        self.faults = self.path("faults")
        os.mkdir(self.faults)
        os.environ["STACK_ORCHESTRATOR_FAULTS"] = self.faults
        for name, target in (("database", "mysql.sock"), ("program", "fcgi.sock")):
            self.links[name] = Proxy(os.path.join(self.var, name + ".sock"),
                                     os.path.join(self.var, "run", target))
        return {"database_host": "unix:%s/database.sock" % self.var,
                "nginx.socket": "%s/program.sock" % self.var}

    def stop(self):
        if os.getpid() == self.owner and os.path.isdir(self.var):
            with contextlib.suppress(OSError, ValueError):
                self.heal()
            if self.has_own_disk:
                self.local("stop", check=False)
                subprocess.run(["umount", self.path("db")], check=False)
            super().stop()
            for link in self.links.values():
                link.stop()
            self.links = {}
            remove_clocks()

    def mount_disk(self):
        """Moves the database's data to a file system of its own, if that may be done."""
        if os.environ.get("RIG_MAY_MOUNT") != "1":
            return
        data = self.path("db")
        self.kill("database")
        os.rename(data, data + ".disk")
        os.mkdir(data)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700,size=" + self.DISK, "tmpfs", data],
                       check=True)
        self.has_own_disk = True
        subprocess.run(["cp", "-a", data + ".disk/.", data], check=True)
        shutil.rmtree(data + ".disk")
        self.restart("database")

    def path(self, name):
        return os.path.join(self.var, name)

    # --- Processes ---

    def pid(self, part):
        with open(os.path.join(self.var, "run", part + ".pid"), encoding="ascii") as file:
            return int(file.read())

    def signal(self, part, number):
        """To all its processes: each part leads a group of its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid(part), number)

    def kill(self, part):
        """Unless it is dead already."""
        if not self.is_dead(part):
            self.local("kill", part)
        if part in self.processes:
            self.processes.pop(part).wait()

    def restart(self, part):
        """As scripts/local does; but program and nginx at once, to measure what they take."""
        if part == "database":
            self.local("restart", part)
            return
        self.kill(part)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path("run/fcgi.sock" if part == "program" else "run/metrics.sock"))
        with open(self.path("log/%s.log" % part), "ab") as log:
            process = subprocess.Popen(
                self.commands[part], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environments[part], start_new_session=True)
        self.processes[part] = process
        for name in [part + ".pid"] + ["nginx.group"] * (part == "nginx"):
            with open(self.path("run/" + name), "w", encoding="ascii") as file:
                file.write("%d\n" % process.pid)
        await_condition(20, lambda: process.poll() is not None or self.listens(part),
                        "%s listens" % part, 0.002)

    def listens(self, part):
        if part == "program":
            client, address = socket.socket(socket.AF_UNIX), self.path("run/fcgi.sock")
        else:
            client, address = socket.socket(), ("127.0.0.1", self.nginx_port)
        with client:
            return client.connect_ex(address) == 0

    def command(self, part):
        """The command with which scripts/local started it."""
        with open("/proc/%d/cmdline" % self.pid(part), encoding="ascii") as file:
            text = file.read()
        with open("/proc/%d/personality" % self.pid(part), encoding="ascii") as file:
            is_fixed = int(file.read(), 16) & 0x40000  # ThreadSanitizer can't do otherwise
        # nginx writes over its own.
        command = text.rpartition("master process ")[2].strip("\0").replace("\0", " ").split()
        return ["setarch", "-R", *command] if is_fixed else command

    def environment(self, part):
        """What scripts/local gave the program, and a clock that can be moved."""
        if part != "program":
            return dict(os.environ)
        with open("/proc/%d/environ" % self.pid(part), encoding="utf-8") as file:
            pairs = [pair.partition("=") for pair in file.read().split("\0") if "=" in pair]
        environment = {name: value for name, _, value in pairs}
        if self.clock_library():
            environment.update(LD_PRELOAD=self.clock_library(), FAKETIME_CACHE_DURATION="1",
                               FAKETIME_DONT_FAKE_MONOTONIC="1",
                               FAKETIME_TIMESTAMP_FILE=self.path("clock"))
        return environment

    @staticmethod
    def clock_library():
        """libfaketime; None under sanitizers, which want to be loaded first."""
        if os.environ.get("SAN"):
            return None
        found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        if not found:
            raise RuntimeError("libfaketime is not installed; scripts/setup installs it")
        return found[0]

    def set_clock(self, offset):
        """Moves the program's clock a little later, by an offset in seconds."""
        path = self.path("clock")
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write("%+d\n" % offset)
        os.rename(path + ".new", path)

    # --- Limits ---

    def fill_disk(self):
        if self.has_own_disk:
            path = self.path("db/filler")
            with open(path, "wb") as file, contextlib.suppress(OSError):  # it fills up meanwhile
                space = os.statvfs(path)
                os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_bsize)
        else:
            resource.prlimit(self.pid("database"), resource.RLIMIT_FSIZE,
                             (self.FULL_BYTES, resource.RLIM_INFINITY))

    def clear_disk(self):
        if self.has_own_disk:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path("db/filler"))
        else:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(self.pid("database"), resource.RLIMIT_FSIZE,
                                 (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def limit_files(self, spare):
        """The program gets no more than so many beside those that it has."""
        pid = self.pid("program")
        highest = max(int(fd) for fd in os.listdir("/proc/%d/fd" % pid))
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + spare, hard))

    def free_files(self):
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.prlimit(self.pid("program"), resource.RLIMIT_NOFILE)
            resource.prlimit(self.pid("program"), resource.RLIMIT_NOFILE, (hard, hard))

    def is_stopped(self, part):
        """Whether SIGSTOP has reached all its processes."""
        states = []
        for path in glob.glob("/proc/[0-9]*/stat"):
            with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
                state, _, group = file.read().rsplit(") ", 1)[1].split()[:3]
                if int(group) == self.pid(part):
                    states.append(state)
        return set(states) == {"T"}

    def is_dead(self, part):
        try:
            with open("/proc/%d/stat" % self.pid(part), encoding="ascii") as file:
                return file.read().rsplit(") ", 1)[1][0] == "Z"
        except OSError:
            return True

    # --- Faults ---

    def arm(self, point, action):
        """At the program's next passage; see fcgi/base/fault.h."""
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
        self.clear_disk()
        self.free_files()

    # --- The database, past the proxy ---

    def mysql(self):
        return [shutil.which("mariadb") or "mysql",
                "--defaults-file=" + self.path("etc/admin.cnf"), "--batch",
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
        """A transaction that has run the text, and said `proof` then. Rolled back at the end."""
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

    # --- All that there is taken ---

    @contextlib.contextmanager
    def half_requests(self, count):
        """Keeps as many of the program's threads busy."""
        half = struct.pack(">BBHHBB", 1, 1, 1, 8, 0, 0) + b"\0\1\0"  # of a FastCGI record
        clients = []
        for _ in range(count):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(5)
            client.connect(self.path("run/fcgi.sock"))
            client.send(half)
            clients.append(client)
        try:
            yield
        finally:
            for client in clients:
                client.close()

    @contextlib.contextmanager
    def occupied_database(self):
        """It has no connections for anybody else, and the program must connect anew."""
        [[before]] = self.sql("SELECT @@global.max_connections")
        self.sql("SET GLOBAL max_connections = 10")
        self.links["database"].order("refuse")
        self.links["database"].order("cut")
        sessions = []
        try:
            # Until it has noticed that the program's have gone, these have places, too.
            await_condition(10, lambda: self.occupy(sessions) == 10, "all its connections are ours")
            self.links["database"].order("pass")
            yield
        finally:
            for session in sessions:
                session.communicate()
            # Until it has noticed that they have gone, there may be no room for us.
            await_condition(10, lambda: self.allow_connections(before), "the database lets us in")

    def occupy(self, sessions):
        """Adds a session, if it is let in; returns how many there are."""
        session = subprocess.Popen(self.mysql(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        with contextlib.suppress(BrokenPipeError):
            session.stdin.write("SELECT 1;\n")
            session.stdin.flush()
        if session.stdout.readline():
            sessions.append(session)
        else:
            with contextlib.suppress(BrokenPipeError):
                session.communicate()
        return len(sessions)

    def allow_connections(self, count):
        try:
            self.sql("SET GLOBAL max_connections = " + count)
        except RuntimeError:
            return False
        return True

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
