"""A private instance of the service for tests in Python, and a small client for it.

The instance has a directory, ports and sockets of its own, so it runs beside others. Environment:
SAN and DATABASE_CNF as in the Makefile; KEEP=1 keeps the directory for a look afterwards.
"""
import atexit
import http.client
import json
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Sanitizers slow the program down; every limit in time is stretched by this.
SLOWNESS = {"address": 3, "thread": 8}.get(os.environ.get("SAN", ""), 1)
# What a call may take that doesn't wait for a stack, on a busy machine.
CALL_SECONDS = 20 * SLOWNESS


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def end_at_once(*_):
    """A signal by itself would skip atexit, and leave servers behind; so would a second one, as
    `timeout` sends it, in the middle of that."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(1)


class Instance:
    """Database, program and nginx, from scripts/local. Ended when the test ends, however it does."""

    prefix = ()  # words before each command: where it runs

    def __init__(self, name, settings=None):
        # A short path: there are sockets in it.
        self.var = tempfile.mkdtemp(prefix="so-%s." % name, dir=os.environ.get("TMPDIR", "/tmp"))
        self.has_own_database = not os.environ.get("DATABASE_CNF")
        self.owner = os.getpid()
        atexit.register(self.stop)
        for number in SIGNALS:
            signal.signal(number, end_at_once)
        arguments = ["start", "--port", "0"]
        if os.environ.get("SAN"):
            arguments += ["--san", os.environ["SAN"]]
        if not self.has_own_database:
            arguments += ["--database-cnf", os.environ["DATABASE_CNF"]]
        defaults = {"nginx.key_rate": 100000, "nginx.key_burst": 100000}
        for key, value in {**defaults, **(settings or {}), **self.prepare()}.items():
            arguments += ["--set", "%s=%s" % (key, value)]
        self.local(*arguments)
        with open(os.path.join(self.var, "port"), encoding="ascii") as file:
            self.port = int(file.read())
        self.tls = ssl.create_default_context(cafile=os.path.join(self.var, "tls/ca.pem"))
        self.tls.sslsocket_class = PeekSocket

    def prepare(self):
        """For subclasses: called before anything starts; returns more settings."""
        return {}

    def choose(self):
        """Where a caller's next connection goes: to this one's `port`."""
        return self

    def local(self, *arguments, check=True):
        """scripts/local on this instance; returns what it printed."""
        done = subprocess.run([*self.prefix, os.path.join(ROOT, "scripts/local"), *arguments,
                               "--var", self.var],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if check and done.returncode != 0:
            raise RuntimeError("scripts/local %s: %s" % (" ".join(arguments), done.stdout))
        return done.stdout

    def ctl(self, *arguments, text=""):
        """orchestratorctl, with that on its standard input; returns what it printed."""
        done = subprocess.run([*self.prefix, os.path.join(ROOT, "scripts/orchestratorctl"), "-c",
                               os.path.join(self.var, "etc/stack-orchestrator.conf"), *arguments],
                              input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError("orchestratorctl %s: %s" % (" ".join(arguments), done.stderr))
        return done.stdout.strip()

    def project(self, name, *settings, roles=("ci", "admin")):
        """A new project; returns a key for each role."""
        self.ctl("project", "create", name, "--same-prefix", *settings)
        return [self.ctl("key", "create", name, role, "%s-%s" % (name, role)) for role in roles]

    def log(self, name="program", lines=30):
        """The end of a part's log."""
        try:
            with open(os.path.join(self.var, "log", name + ".log"), encoding="utf-8",
                      errors="replace") as file:
                return file.read().splitlines()[-lines:]
        except OSError:
            return []

    def sanitizer_reports(self):
        return [line for line in self.log(lines=1000000)
                if "Sanitizer" in line or "runtime error:" in line]

    def stop(self):
        if os.getpid() != self.owner or not os.path.isdir(self.var):
            return
        if os.environ.get("KEEP"):
            self.local("stop", check=False)
            print("# kept: %s" % self.var)
            return
        self.local("stop", "--purge", check=False)
        shutil.rmtree(self.var, ignore_errors=True)


class Cut(Exception):
    """The connection ended before an answer came."""


class PeekSocket(ssl.SSLSocket):
    """Tells whether data has come. To see that the socket is readable is not enough: it may be a
    TLS record without data, such as a session ticket."""

    peeked = b""
    has_ended = False

    def has_data(self, seconds):
        """Whether data, or the end, comes within that time."""
        deadline = time.monotonic() + seconds
        timeout = self.gettimeout()
        self.settimeout(0)
        try:
            while not self.peeked and not self.has_ended:
                try:
                    self.peeked = super().recv(16384)
                    self.has_ended = not self.peeked
                except ssl.SSLWantReadError:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return False
                    select.select([self], [], [], left)
                except OSError:
                    self.has_ended = True
        finally:
            self.settimeout(timeout)
        return True

    def recv_into(self, buffer, nbytes=None, flags=0):
        if not self.peeked:
            return super().recv_into(buffer, nbytes, flags)
        count = min(len(self.peeked), nbytes or len(buffer))
        buffer[:count] = self.peeked[:count]
        self.peeked = self.peeked[count:]
        return count


class Client:
    """One caller's connection: HTTPS/1.1, kept alive between calls unless told otherwise."""

    def __init__(self, instance, key):
        self.instance = instance
        self.key = key
        self.connection = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def connect(self):
        """Opens the connection unless it is open. Raises OSError."""
        # Between two calls only an end can have come: a server that was killed meanwhile.
        if self.connection is not None and self.has_answer():
            self.close()
        if self.connection is None:
            instance = self.instance.choose()
            self.connection = http.client.HTTPSConnection(
                "127.0.0.1", instance.port, timeout=CALL_SECONDS, context=instance.tls)
            try:
                self.connection.connect()
                self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                self.close()
                raise

    def send(self, path, body=None, method=None, headers=None):
        """Sends a request; receive() or close() must follow. Raises Cut."""
        data = None
        if body is not None:
            data = body if isinstance(body, (bytes, str)) else json.dumps(body)
            if isinstance(data, str):
                data = data.encode()
        try:
            self.connect()
            self.connection.request(method or ("POST" if body is not None else "GET"), path, data,
                                    {"X-API-Key": self.key, **(headers or {})})
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Cut(repr(error)) from error

    def receive(self, timeout=CALL_SECONDS):
        """Returns (status, the answer's JSON, headers). Raises Cut."""
        try:
            self.connection.sock.settimeout(timeout)
            response = self.connection.getresponse()
            text = response.read()
            if response.will_close:
                self.close()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Cut(repr(error)) from error
        try:
            return response.status, json.loads(text), response.headers
        except ValueError:
            return response.status, {"notJson": text[:300].decode("utf-8", "replace")}, \
                response.headers

    def call(self, path, body=None, method=None, headers=None, timeout=CALL_SECONDS):
        """One exchange. A kept connection that the server has closed meanwhile counts as cut."""
        self.send(path, body, method, headers)
        return self.receive(timeout)

    def has_answer(self, seconds=0.0):
        """Whether an answer, or the connection's end, begins to come within that time."""
        return self.connection.sock.has_data(seconds)


def await_condition(seconds, condition, what, pause=0.02):
    """Repeats condition() until it is true; returns its value. Raises TimeoutError."""
    deadline = time.monotonic() + seconds * SLOWNESS
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError("not within %s s: %s" % (seconds * SLOWNESS, what))
        time.sleep(pause)


class Tap:
    """Prints results as TAP, with explanations as comments."""

    def __init__(self, planned):
        self.count = 0
        self.failed = 0
        print("1..%d" % planned, flush=True)

    def result(self, is_good, name, explanations=()):
        self.count += 1
        self.failed += not is_good
        print("%s %d - %s" % ("ok" if is_good else "not ok", self.count, name))
        for line in explanations:
            print("# " + str(line).replace("\n", "\n# "))
        sys.stdout.flush()

    def note(self, text):
        print("# " + text, flush=True)

    def exit(self):
        sys.exit(1 if self.failed else 0)
