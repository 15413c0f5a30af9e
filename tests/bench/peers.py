"""What a user could pick instead, each as a private server in its ordinary durable setting: started in
a directory of its own, on loopback or a unix socket, and ended with the bench. A peer whose program
is missing says so, and is left out of the measurement, not of the table.
"""
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
# pylint: disable=wrong-import-position
import service  # noqa: E402


class Missing(Exception):
    """Why a peer can't be measured here, in words."""


def find(name, *folders):
    """A program's path."""
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", *folders]))
    if not found:
        raise Missing("%s is not installed" % name)
    return found


def version(program):
    """What it says of itself, in one line."""
    return subprocess.run(
        [program, "--version"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.splitlines()[0]


class Scratch:
    """A directory that goes with the process, and servers in it that end before."""

    def __init__(self, name):
        self.path = tempfile.mkdtemp(prefix="so-%s." % name, dir=os.environ.get("TMPDIR", "/tmp"))
        self.servers = []

    def file(self, name, text=""):
        path = os.path.join(self.path, name)
        with open(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii"
        ) as file:
            file.write(text)
        return path

    def launch(self, command, ready, end=signal.SIGTERM, seconds=30):
        """Starts a server and waits until it is ready; returns its process."""
        with open(os.path.join(self.path, "output"), "ab") as log:
            # pylint: disable=consider-using-with
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.path,
                start_new_session=True,
            )
        self.servers.append((process, end))

        def is_ready():
            if process.poll() is not None:
                raise RuntimeError("%s ended at once: %s" % (command[0], self.log()))
            return ready()

        service.await_condition(seconds, is_ready, "%s is ready: %s" % (command[0], self.log()))
        return process

    def log(self):
        with open(os.path.join(self.path, "output"), encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-20:])

    def close(self):
        for process, end in self.servers:
            if process.poll() is None:
                process.send_signal(end)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.servers = []
        shutil.rmtree(self.path, ignore_errors=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def port_answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Redis:
    """A list, BLPOP and RPUSH."""

    title = "Redis list, BLPOP/RPUSH"
    setting = "appendonly yes, appendfsync always; unix socket"
    program, ways = "redis", {"list": title}

    def __init__(self):
        server = find("redis-server")
        self.version = version(server).split()[2].replace("v=", "Redis ")
        self.scratch = Scratch("redis")
        self.address = os.path.join(self.scratch.path, "socket")
        config = self.scratch.file(
            "redis.conf",
            "\n".join(
                [
                    "port 0",
                    "unixsocket " + self.address,
                    "dir " + self.scratch.path,
                    'save ""',
                    "appendonly yes",
                    "appendfsync always",
                    "",
                ]
            ),
        )
        self.pids = [
            self.scratch.launch([server, config], lambda: os.path.exists(self.address)).pid
        ]
        self.close = self.scratch.close


class Postgres:
    """FOR UPDATE SKIP LOCKED."""

    title = "PostgreSQL, SKIP LOCKED"
    setting = "fsync on, synchronous_commit on; unix socket"
    program = "postgres"
    ways = {"skip": title + ", by hand", "single": title + ", one `UPDATE`"}

    def __init__(self):
        folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1:]
        server, initdb = find("postgres", *folders), find("initdb", *folders)
        self.version = version(server).replace("postgres (PostgreSQL)", "PostgreSQL")
        self.scratch = Scratch("postgres")
        become, user = [], pwd.getpwuid(os.getuid()).pw_name
        if os.getuid() == 0:  # it refuses to run as root
            user = "postgres"
            become = [find("setpriv"), "--reuid=postgres", "--regid=postgres", "--init-groups"]
            shutil.chown(self.scratch.path, "postgres")
        data = os.path.join(self.scratch.path, "data")
        try:
            done = subprocess.run(
                [*become, initdb, "--auth=peer", "--encoding=UTF8", "--no-locale", "-D", data],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=self.scratch.path,
                check=False,
            )
            if done.returncode:
                raise RuntimeError("initdb: " + done.stdout)
            with open(os.path.join(data, "pg_ident.conf"), "a", encoding="ascii") as file:
                file.write("bench root %s\n" % user)
            with open(os.path.join(data, "pg_hba.conf"), "w", encoding="ascii") as file:
                file.write("local all all peer%s\n" % (" map=bench" if become else ""))
            self.address = "host=%s dbname=postgres user=%s" % (self.scratch.path, user)
            # SIGINT: fast shutdown.
            self.process = self.scratch.launch(
                [
                    *become,
                    server,
                    "-D",
                    data,
                    "-k",
                    self.scratch.path,
                    "-c",
                    "listen_addresses=",
                    "-c",
                    "max_connections=200",
                ],
                lambda: subprocess.run(
                    [find("pg_isready", *folders), "-q", "-h", self.scratch.path], check=False
                ).returncode
                == 0,
                end=signal.SIGINT,
            )
        except BaseException:
            self.scratch.close()
            raise
        self.pids = [self.process.pid]
        self.close = self.scratch.close


class Etcd:
    """A transaction that compares."""

    title = "etcd, transactions"
    setting = "one member, fsync of each proposal; loopback, gRPC"
    program, ways = "etcd", {"txn": title}

    def __init__(self):
        server = find("etcd")
        self.version = version(server).replace(" Version:", "")
        self.scratch = Scratch("etcd")
        port, peer_port = free_port(), free_port()
        self.address = str(port)
        client, peer = ("http://127.0.0.1:%d" % number for number in (port, peer_port))
        self.pids = [
            self.scratch.launch(
                [
                    server,
                    "--data-dir",
                    os.path.join(self.scratch.path, "data"),
                    "--log-level",
                    "warn",
                    "--listen-client-urls",
                    client,
                    "--advertise-client-urls",
                    client,
                    "--listen-peer-urls",
                    peer,
                    "--initial-advertise-peer-urls",
                    peer,
                    "--initial-cluster",
                    "default=" + peer,
                    "--logger",
                    "zap",
                ],
                lambda: port_answers(port),
            ).pid
        ]
        self.close = self.scratch.close


ALL = (Redis, Postgres, Etcd)
