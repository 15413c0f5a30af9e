#!/usr/bin/python3
"""Another user of the same machine: sockets, keys, passwords, processes. As root the attempts are
made as the user nobody; a plain user can't become another one, so there the permissions are looked
at."""
import glob
import json
import os
import re
import shutil
import stat
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from attack import ROOT, Instance, Suite  # noqa: E402

suite = Suite()
NOBODY = 65534
AS_NOBODY = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups",
             "--no-new-privs", "--inh-caps=-all"]
READ, WRITE, LIST, CONNECT = "read", "write", "list", "connect"
# What nobody runs: for each [what, path] of standard input whether it could be done.
ATTEMPTS = """
import json, os, socket, sys
ways = {"read": lambda path: open(path, "rb").read(1), "write": lambda path: open(path, "r+b"),
        "list": os.listdir, "connect": lambda path: socket.socket(socket.AF_UNIX).connect(path)}
def done(what, path):
    try:
        ways[what](path)
        return True
    except OSError:
        return False
print(json.dumps([done(what, path) for what, path in json.load(sys.stdin)]))
"""


class Scene:
    def __init__(self):
        self.instance = Instance("local")
        self.keys = self.instance.keys("mine")
        lease = self.instance.ask("POST", "/requestStack", self.keys["ci"], {"requestId": "x"})
        if lease.status != 200:
            raise RuntimeError(str(lease))


def possible(attempts):
    """Those of the attempts [what, path] that another user can make."""
    attempts = list(attempts)
    if os.geteuid() != 0:
        need = {READ: 4, LIST: 4, CONNECT: 2, WRITE: 2}
        return [attempt for attempt in attempts if allows(attempt[1], need[attempt[0]])]
    done = subprocess.run([*AS_NOBODY, "/usr/bin/python3", "-c", ATTEMPTS],
                          input=json.dumps(attempts),
                          stdout=subprocess.PIPE, text=True, check=True)
    return [attempt for attempt, is_done in zip(attempts, json.loads(done.stdout)) if is_done]


def allows(path, need):
    """Whether the permissions let everybody do so, here and on the way."""
    path = os.path.realpath(path)
    try:
        if not os.stat(path).st_mode & need:
            return False
        while path != "/":
            path = os.path.dirname(path)
            if not os.stat(path).st_mode & 1:
                return False
    except OSError:
        return False
    return True


def sensitive(instance):
    """Files that hold secrets, or by which one may act."""
    run = os.path.realpath(instance.path("run"))
    files = [instance.path("etc/" + name) for name in (
        "keys.map", "program.password", "migration.password", "admin.cnf",
        "stack-orchestrator.conf")]
    return files + [instance.path("tls/server.key")], [os.path.join(run, "fcgi.sock")]


@suite.row("the attempts of this test would succeed on what is open to everybody")
def attempts_work(_):
    path = "/tmp/so-open.%d" % os.getpid()
    with open(path, "w", encoding="ascii") as file:
        file.write("open")
    os.chmod(path, 0o666)
    try:
        attempts = [(READ, path), (WRITE, path), (LIST, "/tmp")]
        if possible(attempts) != attempts:
            yield "only %s" % possible(attempts)
    finally:
        os.unlink(path)


@suite.row("another user reads, lists, writes and connects to nothing of an instance")
def whole_instance(scene):
    instance = scene.instance
    attempts = [(LIST, instance.var)]
    for top, directories, names in os.walk(instance.var):
        attempts += [(LIST, os.path.join(top, name)) for name in directories]
        for path in (os.path.join(top, name) for name in names):
            if stat.S_ISSOCK(os.stat(path).st_mode):
                attempts.append((CONNECT, path))
            else:
                attempts += [(READ, path), (WRITE, path)]
    for what, path in possible(attempts):
        yield "%s: %s" % (what, path)
    if len(attempts) < 60:
        yield "only %d attempts" % len(attempts)


@suite.row("even if somebody opens the directories, key file, passwords, TLS key, logs and socket "
           "stay shut")
def each_by_itself(scene):
    instance = scene.instance
    files, sockets = sensitive(instance)
    opened = [instance.var, *(instance.path(name) for name in ("etc", "log", "tls"))]
    opened.append(os.path.realpath(instance.path("run")))
    modes = [stat.S_IMODE(os.stat(path).st_mode) for path in opened]
    try:
        for path in opened:
            os.chmod(path, 0o755)
        files += glob.glob(instance.path("log/*"))
        for what, path in possible([*((READ, path) for path in files),
                                    *((WRITE, path) for path in files),
                                    *((CONNECT, path) for path in sockets)]):
            yield "%s: %s" % (what, path)
        yield from database_accounts(instance)
    finally:
        for path, mode in zip(opened, modes):
            os.chmod(path, mode)


def database_accounts(instance):
    """The accounts of the program and the migrations need their passwords."""
    socket = os.path.join(os.path.realpath(instance.path("run")), "mysql.sock")
    prefix = AS_NOBODY if os.geteuid() == 0 else []
    for name in ("database_user", "migration_user"):
        for password in ("", instance.setting(name), "x"):
            environment = {**os.environ, "MYSQL_PWD": password, "HOME": "/nonexistent"}
            done = subprocess.run(
                [*prefix, instance.client()[0], "--no-defaults", "--socket=" + socket,
                 "--user=" + instance.setting(name), "-e", "SELECT 1", instance.database()],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                check=False)
            if instance.has_own_database and (done.returncode == 0 or "1045" not in done.stderr):
                yield "%s with the password \"%s\": %s %s" % (name, password, done.stdout,
                                                              done.stderr)


@suite.row("the program's account of the database changes rows of its own tables, and nothing else")
def grants(scene):
    instance = scene.instance
    for name, allowed in (("database_user", {"SELECT", "INSERT", "UPDATE", "DELETE"}),
                          ("migration_user",
                           {"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER",
                                              "DROP", "INDEX", "REFERENCES", "LOCK TABLES"})):
        rows = instance.sql("SELECT CONCAT(QUOTE(user), '@', QUOTE(host)) FROM mysql.user WHERE "
                            "user = '%s'"
                            % instance.setting(name))
        if not rows:
            yield "no account %s" % instance.setting(name)
        for account in rows:
            for grant in instance.sql("SHOW GRANTS FOR " + account[0]):
                found = re.match(r"GRANT (.*) ON (\S+) TO", grant[0])
                rights, where = set(found.group(1).split(", ")), found.group(2)
                if where == "*.*" and rights != {"USAGE"} or where != "*.*" and (
                        rights - allowed
                        or where.replace("\\", "") != "`%s`.*" % instance.database()):
                    yield "%s: %s" % (account[0], grant[0])


@suite.row("the processes tell another user no environment, memory or open files, and no secret as "
           "argument")
def processes(scene):
    pids = scene.instance.pids()
    if not {"program", "nginx", "nginx worker"} <= set(pids.values()):
        yield "processes: %s" % pids
    attempts = [(READ, "/proc/%d/%s" % (pid, name)) for pid in pids
                for name in ("environ", "maps", "mem")]
    attempts += [(LIST, "/proc/%d/fd" % pid) for pid in pids]
    # The kernel refuses in spite of the permissions; only an attempt tells.
    for what, path in possible(attempts) if os.geteuid() == 0 else ():
        yield "%s: %s (%s)" % (what, path, pids[int(path.split("/")[2])])


# --- Arguments of what the tools start ---

RECORD = """#!/bin/sh
printf '%%s\\n' "$0" "$@" >>%s
exec %s "$@"
"""


@suite.row("whatever orchestratorctl and scripts/local start gets no secret as an argument")
def arguments(scene):
    instance = scene.instance
    directory, log = instance.path("shims"), instance.path("shims.log")
    os.mkdir(directory, 0o700)
    paths = os.environ["PATH"].split(":") + ["/usr/sbin", "/sbin"]
    for top in reversed(paths):
        for path in glob.glob(top + "/*"):
            name = os.path.basename(path)
            if name in ("sh", "dash", "env") or not os.access(path, os.X_OK) or os.path.isdir(path):
                continue
            with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                file.write(RECORD % (log, path))
            os.chmod(file.name, 0o700)
    before = os.environ["PATH"]
    os.environ["PATH"] = directory + ":" + before
    try:
        secrets = [instance.ctl("key", "create", "mine", "viewer", "argument"),
                   instance.ctl("key", "rotate", "argument", "--overlap", "0"),
                   instance.ctl("--json", "key", "create", "mine", "ci", "argument-2")]
        instance.secrets.update(re.findall("[0-9a-f]{64}", " ".join(secrets)))
        for words in (("key", "list"), ("key", "export"), ("key", "revoke", "argument"),
                      ("status",),
                      ("stack", "list"), ("lease", "list"), ("stack", "add", "1"), ("doctor",),
                      ("project", "create", "more", "--prefix", "more-"), ("project", "list"), ("migrate",),
                      ("lease", "revoke", "test-1"), ("backup", instance.path("backup.tar.gz"))):
            try:
                named = ["--project", "mine"] if words[0] in ("stack", "lease", "status") else []
                instance.ctl(*words, *named)
            except RuntimeError as error:
                if words[0] != "doctor":
                    yield str(error)
        for part in ("program", "nginx"):
            instance.local("restart", part)
    finally:
        os.environ["PATH"] = before
        shutil.rmtree(directory)
    with open(log, encoding="utf-8", errors="replace") as file:
        told = file.read()
    os.unlink(log)
    for secret in instance.secrets:
        if secret in told:
            line = next(line for line in told.splitlines() if secret in line)
            yield "an argument holds a secret: %s" % line.replace(secret, "SECRET")[:200]
    if len(re.findall("^/", told, re.M)) < 100:
        yield "only %d programs were seen" % len(re.findall("^/", told, re.M))
    if allows(instance.path("backup.tar.gz"), 4) or \
            os.stat(instance.path("backup.tar.gz")).st_mode & 0o077:
        yield "a backup can be read by others"


@suite.row("the service that the package installs: no rights, no core files, a socket for nginx "
           "alone")
def unit_files(_):
    with open(os.path.join(ROOT, "scripts/systemd/stack-orchestrator.service"),
              encoding="utf-8") as file:
        service = file.read().splitlines()
    for line in ("User=stack-orchestrator", "CapabilityBoundingSet=", "NoNewPrivileges=yes",
                 "LimitCORE=0",
                 "UMask=0077", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes",
                 "MemoryDenyWriteExecute=yes", "SystemCallFilter=@system-service"):
        if line not in service:
            yield "not in the service's unit: %s" % line
    with open(os.path.join(ROOT, "scripts/systemd/stack-orchestrator.socket"),
              encoding="utf-8") as file:
        socket = file.read().splitlines()
    for line in ("SocketUser=root", "SocketGroup=www-data", "SocketMode=0660"):
        if line not in socket:
            yield "not in the socket's unit: %s" % line


if __name__ == "__main__":
    suite.run(Scene)
