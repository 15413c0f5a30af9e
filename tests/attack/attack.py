"""What the attack tests share: a suite of rows, an instance that remembers every secret of its run,
and connections on which any bytes can be sent.

A row is a function that yields faults: what a user relies on and doesn't hold.
"""
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

import service  # noqa: E402
from service import CALL_SECONDS, ROOT, Tap, await_condition  # noqa: E402,F401

ROLES = ("viewer", "ci", "admin")
# Each attack stays below this many bytes of answer.
ANSWER_MAX = 64 * 1024 * 1024


class Suite:
    """Rows in the order in which they stand in the file; the last looks for leaked secrets."""

    def __init__(self):
        self.rows = []

    def row(self, title):
        def take(function):
            self.rows.append((title, function))
            return function
        return take

    def run(self, make_scene):
        rows = [*self.rows,
                ("no key, password or leaseId of this run was logged, passed as an argument "
                             "or left in a file that others may read", no_secret_got_out)]
        tap = Tap(len(rows))
        scene = make_scene()
        for title, function in rows:
            started = time.monotonic()
            try:
                faults = list(function(scene))
            except Exception as error:  # pylint: disable=broad-except
                faults = ["%s: %s" % (type(error).__name__, error), *scene.instance.log()]
            tap.result(not faults, title, faults[:30])
            if os.environ.get("ATTACK_TIMES"):
                tap.note("%.2f s" % (time.monotonic() - started))
        reports = scene.instance.sanitizer_reports()
        if reports:
            tap.result(False, "a sanitizer found something", reports)
        if hasattr(scene, "close"):
            scene.close()
        scene.instance.stop()
        tap.exit()


# --- The instance ---

class Instance(service.Instance):
    """Remembers its secrets, so that they can be searched for."""

    def __init__(self, name, settings=None):
        self.secrets = set()
        super().__init__(name, {"log_level": "debug", "startup_grace_seconds": 0,
                                **(settings or {})})
        for part in ("program", "migration"):
            with open(self.path("etc/%s.password" % part), encoding="ascii") as file:
                self.secrets.add(file.read().strip())

    def path(self, name):
        return os.path.join(self.var, name)

    def keys(self, name, *settings, roles=ROLES):
        """A new project's keys: {role: key}."""
        keys = dict(zip(roles, self.project(name, *settings, roles=roles)))
        self.secrets.update(keys.values())
        return keys

    def sql(self, statement):
        """Rows of an administrator's query, as lists of texts."""
        done = subprocess.run(self.client("--raw"), input=statement.encode(),
                              stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.decode(errors="replace"))
        return [line.split("\t")
                for line in done.stdout.decode(errors="surrogateescape").splitlines()]

    def client(self, *options):
        """The database's client, as its administrator."""
        name = next(name for name in ("mariadb", "mysql") if shutil.which(name))
        return [name, "--defaults-file=" + self.path("etc/admin.cnf"), "--batch",
                "--skip-column-names", "--default-character-set=utf8mb4", *options, self.database()]

    def hold_sql(self, statement):
        """A client that runs it, said its first row, and stays until its standard input ends."""
        client = subprocess.Popen(self.client("--unbuffered"), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        client.stdin.write(statement.encode() + b";\n")
        client.stdin.flush()
        if not client.stdout.readline():
            raise RuntimeError("the database refuses: " + statement)
        return client

    def setting(self, name):
        with open(self.path("etc/stack-orchestrator.conf"), encoding="utf-8") as file:
            found = re.search(r"^%s = (.*)$" % name, file.read(), re.M)
        return found.group(1)

    def database(self):
        return self.setting("database_name")

    def socket_path(self):
        return os.path.join(os.path.realpath(self.path("run")), "fcgi.sock")

    def wire(self, **options):
        return Wire(self, **options)

    def ask(self, method, path, key=None, body=None, headers=(), **options):
        """One exchange on a connection of its own."""
        with self.wire(**options) as wire:
            return wire.ask(method, path, key, body, headers)

    def pids(self):
        """Every process of this instance: {pid: part}."""
        found = {}
        for part in ("program", "nginx", "database"):
            pid = self.local("pid", part, check=False).strip()
            if pid.isdigit():
                found[int(pid)] = part
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open("/proc/%s/stat" % entry, encoding="utf-8", errors="replace") as file:
                        parent = int(file.read().rpartition(")")[2].split()[1])
                except OSError:
                    continue
                if found.get(parent) == "nginx":
                    found[int(entry)] = "nginx worker"
        return found


# --- Connections ---

class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    def code(self):
        answer = self.json()
        return answer.get("error", {}).get("code") if isinstance(answer, dict) else None

    def header(self, name):
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None

    def __str__(self):
        return "%s %s" % (self.status, self.text()[:300])


class Ended(Exception):
    """The connection ended, or nothing came, before an answer was whole."""


class Wire:
    """A TLS connection: any bytes out, HTTP/1.1 answers in."""

    def __init__(self, instance, source=None, alpn=("http/1.1",), tls=True, timeout=CALL_SECONDS,
                 receive_buffer=None):
        self.instance = instance
        self.buffer = b""
        plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        plain.settimeout(timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            plain.bind((source, 0))
        plain.connect(("127.0.0.1", instance.port))
        self.socket = tls_context(instance, alpn).wrap_socket(plain, server_hostname="localhost") \
            if tls else plain

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass

    def send(self, data):
        """What the peer doesn't take is lost: it may have answered already, and hung up."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def ask(self, method, path, key=None, body=None, headers=()):
        self.send(request(method, path, key, body, headers))
        return self.answer(method)

    def more(self):
        try:
            data = self.socket.recv(65536)
        except (OSError, ssl.SSLError) as error:
            raise Ended(repr(error)) from error
        if not data:
            raise Ended("the connection ended")
        self.buffer += data
        if len(self.buffer) > ANSWER_MAX:
            raise Ended("an answer without end")

    def upto(self, mark):
        while mark not in self.buffer:
            self.more()
        part, _, self.buffer = self.buffer.partition(mark)
        return part

    def exactly(self, count):
        while len(self.buffer) < count:
            self.more()
        part, self.buffer = self.buffer[:count], self.buffer[count:]
        return part

    def answer(self, method="GET"):
        """The next answer. Raises Ended."""
        head = self.upto(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(head[0].split()[1])
        headers = [tuple(line.split(": ", 1)) if ": " in line else (line, "") for line in head[1:]]
        answer = Answer(status, headers, b"")
        if status == 100:
            return self.answer(method)
        if method != "HEAD" and status not in (204, 304):
            answer.body = self.body(answer)
        remember_leases(self.instance, answer.body)
        return answer

    def body(self, answer):
        if (answer.header("Transfer-Encoding") or "").lower() == "chunked":
            parts = []
            while True:
                size = int(self.upto(b"\r\n"), 16)
                parts.append(self.exactly(size))
                self.exactly(2)
                if size == 0:
                    return b"".join(parts)
        if answer.header("Content-Length") is not None:
            return self.exactly(int(answer.header("Content-Length")))
        try:
            while True:
                self.more()
        except Ended:
            part, self.buffer = self.buffer, b""
            return part

    def answers(self, seconds=1.0):
        """All answers until the connection ends, or nothing comes for this long."""
        found = []
        self.socket.settimeout(seconds)
        try:
            while True:
                found.append(self.answer())
        except Ended:
            return found

    def has_ended(self, seconds):
        """Whether the server ends the connection in time; what it says before is dropped."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
        except (socket.timeout, TimeoutError):
            return False
        except OSError:
            pass
        return True


def tls_context(instance, alpn):
    contexts = instance.__dict__.setdefault("contexts", {})
    if alpn not in contexts:
        contexts[alpn] = ssl.create_default_context(cafile=instance.path("tls/ca.pem"))
        contexts[alpn].set_alpn_protocols(list(alpn))
    return contexts[alpn]


def remember_leases(instance, body):
    for lease in re.findall(rb'"leaseId":"([0-9a-f]{32})"', body):
        instance.secrets.add(lease.decode())


def request(method, path, key=None, body=None, headers=()):
    """The bytes of an ordinary request. Texts are sent as UTF-8, None leaves a header out."""
    if body is not None and not isinstance(body, bytes):
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: localhost"]
    if key is not None:
        lines.append("X-API-Key: " + key)
    if body is not None:
        lines.append("Content-Length: %d" % len(body))
    lines += ["%s: %s" % header for header in headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


# --- What nginx hands on ---

class Recorder:
    """Stands in for the program on its socket: writes down every FastCGI request, answers `{}`."""

    def __init__(self, instance):
        self.instance = instance
        self.requests = []
        instance.local("kill", "program")
        path = instance.socket_path()
        if os.path.exists(path):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        params, body = b"", b""
        with connection, connection.makefile("rb") as file:
            while True:
                header = file.read(8)
                if len(header) < 8:
                    return
                _, kind, number, length, padding, _ = struct.unpack(">BBHHBB", header)
                content = file.read(length)
                file.read(padding)
                if kind == 4:
                    params += content
                elif kind == 5 and content:
                    body += content
                elif kind == 5:
                    self.requests.append((decode_params(params), body))
                    params, body = b"", b""
                    text = b"Status: 200 OK\r\nContent-Type: application/json\r\n\r\n{}"
                    connection.sendall(record(6, number, text) + record(6, number, b"") +
                                       record(3, number, bytes(8)))

    def take(self):
        """What came since the last take: [({name: value}, body)]."""
        taken, self.requests = self.requests, []
        return taken

    def close(self):
        self.listener.close()
        self.instance.local("start")


def record(kind, number, content):
    return struct.pack(">BBHHBB", 1, kind, number, len(content), 0, 0) + content


def decode_params(data):
    """FastCGI name-value pairs; a name that comes twice keeps both values."""
    found = {}
    at = 0
    while at < len(data):
        sizes = []
        for _ in range(2):
            size = data[at]
            at += 1
            if size >> 7:
                size = (size & 0x7f) << 24 | int.from_bytes(data[at:at + 3], "big")
                at += 3
            sizes.append(size)
        name = data[at:at + sizes[0]].decode("latin-1")
        found.setdefault(name, []).append(data[at + sizes[0]:at + sum(sizes)].decode("latin-1"))
        at += sum(sizes)
    return found


# --- The API, from its own tables ---

def routes():
    """[(path, least role, method)] of the program's route table."""
    with open(os.path.join(ROOT, "fcgi/api/api.c"), encoding="utf-8") as file:
        table = file.read().split("static const struct route routes[] = {")[1].split("};")[0]
    found = []
    for path, role, answer in re.findall(r'\{"([^"]+)", ROLE_([A-Z]+), (\w+),', table):
        found.append((path, role.lower(), "POST" if answer == "NULL" else "GET"))
    return found


def description():
    with open(os.path.join(ROOT, "nginx/openapi.json"), encoding="utf-8") as file:
        return json.load(file)


# --- Secrets ---

def no_secret_got_out(scene):
    """The last row of every suite."""
    instance = scene.instance
    secrets = sorted(instance.secrets)
    if len(secrets) < 4 or not any(len(secret) == 64 for secret in secrets):
        yield "the run noted only %d secrets" % len(secrets)
    pattern = re.compile("|".join(map(re.escape, secrets)).encode(), re.I)
    searched = 0
    for path, why in [*files_to_search(instance), *processes_to_search(instance)]:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            continue
        searched += 1
        if pattern.search(content):
            yield "%s holds a secret: %s" % (path, why)
    if searched < 8:
        yield "only %d files were searched" % searched


def files_to_search(instance):
    """Logs, and whatever somebody else may read."""
    for top, _, names in os.walk(instance.var):
        for name in names:
            path = os.path.join(top, name)
            if top == instance.path("log"):
                yield path, "a log"
            elif others_may_read(path):
                yield path, "others may read it"


def processes_to_search(instance):
    for pid in instance.pids():
        yield "/proc/%d/cmdline" % pid, "a command line"
        yield "/proc/%d/environ" % pid, "an environment"


def others_may_read(path):
    """Whether another user gets there: by the permissions of the file and all directories above."""
    path = os.path.realpath(path)
    if not os.path.isfile(path) or not os.stat(path).st_mode & 0o004:
        return False
    while path != "/":
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & 0o001:
            return False
    return True
