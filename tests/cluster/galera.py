"""galera: MariaDB nodes of one Galera cluster, each on a machine of its own."""
import os
import shutil
import signal
import subprocess

from hosts import Machine, run
from service import await_condition

PROVIDER = "/usr/lib/galera/libgalera_smm.so"
OPTIONS = """[mysqld]
user=mysql
datadir={directory}/db
tmpdir={directory}
socket={directory}/mysql.sock
pid-file={directory}/mysql.pid
log-error={directory}/error.log
bind-address={address}
skip-name-resolve
character-set-server=utf8mb4
performance-schema=OFF
max-connections=200
innodb-buffer-pool-size=64M
innodb-log-file-size=32M
innodb-flush-log-at-trx-commit=1
innodb-autoinc-lock-mode=2
binlog-format=ROW
wsrep-on=ON
wsrep-provider={provider}
wsrep-cluster-name=test
wsrep-cluster-address=gcomm://{peers}
wsrep-node-name={name}
wsrep-node-address={address}
wsrep-sst-method=rsync
wsrep-provider-options="gcache.size=32M"
"""


class Node(Machine):
    def __init__(self, number, directory):
        super().__init__("db%d" % number, 10 + number)
        self.directory = os.path.join(directory, self.name)
        self.process = None

    @staticmethod
    def missing():
        """What isn't installed."""
        programs = ["mariadbd", "mariadb-install-db", "mariadb", "rsync", "wsrep_sst_rsync"]
        return [name for name in programs if not shutil.which(name)] + \
            [path for path in [PROVIDER] if not os.path.exists(path)]

    def install(self, peers):
        os.mkdir(self.directory)
        with open(self.directory + "/my.cnf", "w", encoding="ascii") as file:
            file.write(OPTIONS.format(
                directory=self.directory, address=self.address, name=self.name, provider=PROVIDER,
                peers=",".join(peer.address for peer in peers)))
        shutil.chown(self.directory, "mysql")
        run("mariadb-install-db", "--defaults-file=%s/my.cnf" % self.directory, "--user=mysql",
            "--auth-root-authentication-method=normal", "--skip-test-db", "--wsrep-on=OFF")

    def start(self, *options):
        self.process = self.popen(
            "mariadbd", "--defaults-file=%s/my.cnf" % self.directory, *options,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await_condition(90, self.is_synced, "%s is synced: %s" % (self.name, self.directory), 0.1)

    def sql(self, text):
        """The rows, or None if it doesn't answer."""
        done = subprocess.run(
            ["mariadb", "--no-defaults", "--socket=%s/mysql.sock" % self.directory, "--user=root",
             "--batch", "--skip-column-names", "--connect-timeout=3", "--execute", text],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            check=False)
        return done.stdout.splitlines() if done.returncode == 0 else None

    def is_synced(self):
        if self.process.poll() is not None:
            raise RuntimeError("%s ended: %s" % (self.name, self.log()))
        rows = self.sql("SHOW STATUS WHERE Variable_name IN "
                        "('wsrep_local_state_comment', 'wsrep_cluster_status', 'wsrep_ready')")
        return rows is not None and {row.split("\t")[1] for row in rows} == \
            {"Synced", "Primary", "ON"}

    def kill(self):
        """The server's own process: `ip` has become it."""
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def log(self, lines=15):
        try:
            with open(self.directory + "/error.log", encoding="utf-8", errors="replace") as file:
                return "\n".join(file.read().splitlines()[-lines:])
        except OSError:
            return ""


def start_cluster(directory, count=3):
    """The nodes, synced; `admin` with the password `admin` may do everything on each."""
    nodes = [Node(number + 1, directory) for number in range(count)]
    for node in nodes:
        node.install(nodes)
    nodes[0].start("--wsrep-new-cluster")
    nodes[0].sql("CREATE USER admin@'%' IDENTIFIED BY 'admin';"
                 "GRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION")
    for node in nodes[1:]:
        node.start()
    return nodes
