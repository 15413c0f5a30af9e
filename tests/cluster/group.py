"""group: MySQL members of one replication group with a single primary, each on its own machine.

MySQL and MariaDB can't be installed side by side, and Debian's stable release has no MySQL: the
servers run with chroot in a minimal system of their own, in MYSQL_ROOT, made on first use.
"""
import os
import subprocess
import time

from hosts import OUTSIDE, run
from nodes import DatabaseNode
from service import ROOT, await_condition

MYSQL_ROOT = os.environ.get("MYSQL_ROOT") or \
    os.path.join(ROOT, os.environ.get("BUILD", "build"), "cluster-mysql")
EXPELLED_AFTER = 8  # seconds of suspicion, and some for the word to go round
OPTIONS = """[mysqld]
user=root
datadir=/mnt/{name}/db
tmpdir=/mnt/{name}
socket=/mnt/{name}/mysql.sock
pid-file=/mnt/{name}/mysql.pid
log-error=/mnt/{name}/error.log
bind-address={address}
mysqlx=OFF
skip-name-resolve
max-connections=200
innodb-buffer-pool-size=64M
performance-schema-max-table-instances=200
table-definition-cache=400
server-id={number}
gtid-mode=ON
enforce-gtid-consistency=ON
log-bin=binlog
relay-log=relay
report-host={address}
plugin-load-add=group_replication.so
loose-group-replication-group-name=aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee
loose-group-replication-local-address={address}:33061
loose-group-replication-group-seeds={peers}
loose-group-replication-bootstrap-group=OFF
loose-group-replication-recovery-get-public-key=ON
loose-group-replication-single-primary-mode=ON
"""


def make_root():
    """A minimal system with MySQL, unless it is there: Debian's unstable release has it, and every
    release of Ubuntu."""
    if os.path.exists(MYSQL_ROOT + "/usr/lib/mysql/plugin/group_replication.so"):
        return
    system = dict(line.split("=", 1) for line in run("cat", "/etc/os-release").splitlines())
    release = system["VERSION_CODENAME"]
    mirror = run("sh", "-c", "apt-get indextargets --format '$(RELEASE) $(SITE)' 'Component: main'"
                 " | sed -n 's/^%s //p' | head -n 1" % release).strip()
    partial = MYSQL_ROOT + ".partial"
    run("rm", "-rf", "--one-file-system", partial)
    os.makedirs(partial)
    # The test's own network has no way out.
    done = subprocess.run(
        ["nsenter", "--net=/proc/self/fd/%d" % OUTSIDE, "debootstrap", "--variant=minbase",
         "--include=mysql-server", "sid" if system["ID"] == "debian" else release, partial, mirror],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, pass_fds=[OUTSIDE])
    if done.returncode != 0:
        raise RuntimeError("debootstrap: " + "\n".join(done.stdout.splitlines()[-5:]))
    os.rename(partial, MYSQL_ROOT)


class Node(DatabaseNode):
    def __init__(self, number, directory):
        super().__init__(number, directory)
        self.number = number

    def command(self):
        return ["chroot", MYSQL_ROOT, "mysqld", "--defaults-file=/mnt/%s/my.cnf" % self.name]

    def install(self, peers):
        self.group_size = len(peers)
        with open(self.directory + "/my.cnf", "w", encoding="ascii") as file:
            file.write(OPTIONS.format(
                name=self.name, address=self.address, number=self.number,
                peers=",".join(peer.address + ":33061" for peer in peers)))
        run(*self.command(), "--loose-group-replication-start-on-boot=OFF", "--initialize-insecure")

    def first_start(self):
        self.start("--loose-group-replication-start-on-boot=OFF")
        await_condition(60, self.answers, "%s answers: %s" % (self.name, self.log()), 0.1)
        self.must("SET sql_log_bin = 0; CREATE USER recovery@'%' IDENTIFIED BY 'recovery';"
                  "GRANT REPLICATION SLAVE, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.*"
                  " TO recovery@'%'; SET sql_log_bin = 1;"
                  "CHANGE REPLICATION SOURCE TO SOURCE_USER = 'recovery',"
                  " SOURCE_PASSWORD = 'recovery' FOR CHANNEL 'group_replication_recovery'")

    def is_in(self):
        return self.sql("SELECT member_state FROM performance_schema.replication_group_members"
                        " WHERE member_id = @@server_uuid") == ["ONLINE"]

    def members(self):
        return self.sql("SELECT member_host, member_role, member_state"
                        " FROM performance_schema.replication_group_members")

    def sees_all(self):
        return self.sql("SELECT COUNT(*) FROM performance_schema.replication_group_members"
                        " WHERE member_state = 'ONLINE'") == [str(self.group_size)]

    def rejoin(self):
        """One that was expelled tries again after minutes; an administrator doesn't wait."""
        if self.sql("SELECT member_state FROM performance_schema.replication_group_members"
                    " WHERE member_id = @@server_uuid") != ["ERROR"]:
            return
        self.sql("STOP GROUP_REPLICATION")
        self.must("START GROUP_REPLICATION")


def is_whole(nodes):
    """Whether every member sees all."""
    return all(node.sees_all() for node in nodes)


def await_whole(nodes):
    """Until all are in, and stay so for longer than it takes to expel one that was suspected."""
    deadline = time.monotonic() + 150
    since = None
    while since is None or time.monotonic() < since + EXPELLED_AFTER:
        if time.monotonic() > deadline:
            raise TimeoutError("the group is not whole: %s" % "\n".join(
                node.log(5) for node in nodes))
        for node in nodes:
            node.rejoin()
        if not is_whole(nodes):
            since = None
        elif since is None:
            since = time.monotonic()
        time.sleep(0.3)


def primary(nodes):
    """The node that a majority takes for the primary, or None."""
    for node in nodes:
        rows = node.sql(
            "SELECT m.member_host FROM performance_schema.replication_group_members m"
            " WHERE m.member_role = 'PRIMARY' AND m.member_state = 'ONLINE' AND"
            " (SELECT 2 * SUM(o.member_state = 'ONLINE') > COUNT(*)"
            " FROM performance_schema.replication_group_members o)")
        for other in nodes:
            if rows and rows[0] == other.address:
                return other
    return None


def start_group(directory, count=3):
    """The members, the first as primary; `admin` with the password `admin` may do everything."""
    make_root()
    run("mount", "--bind", directory, MYSQL_ROOT + "/mnt")
    nodes = [Node(number + 1, directory) for number in range(count)]
    for node in nodes:
        node.install(nodes)
        node.first_start()
    nodes[0].must("SET GLOBAL group_replication_bootstrap_group = ON; START GROUP_REPLICATION;"
                  "SET GLOBAL group_replication_bootstrap_group = OFF")
    nodes[0].await_in()
    nodes[0].must("CREATE USER admin@'%' IDENTIFIED BY 'admin';"
                  "GRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION")
    for node in nodes[1:]:
        node.must("START GROUP_REPLICATION")
        node.await_in()
    return nodes
