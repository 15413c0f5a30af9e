"""galera: MariaDB nodes of one Galera cluster, each on a machine of its own."""
import os
import shutil

from hosts import run
from nodes import DatabaseNode

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


class Node(DatabaseNode):
    def command(self):
        return ["mariadbd", "--defaults-file=%s/my.cnf" % self.directory]

    def install(self, peers):
        with open(self.directory + "/my.cnf", "w", encoding="ascii") as file:
            file.write(OPTIONS.format(
                directory=self.directory, address=self.address, name=self.name, provider=PROVIDER,
                peers=",".join(peer.address for peer in peers)))
        shutil.chown(self.directory, "mysql")
        run("mariadb-install-db", "--defaults-file=%s/my.cnf" % self.directory, "--user=mysql",
            "--auth-root-authentication-method=normal", "--skip-test-db", "--wsrep-on=OFF")

    def is_in(self):
        rows = self.sql("SHOW STATUS WHERE Variable_name IN "
                        "('wsrep_local_state_comment', 'wsrep_cluster_status', 'wsrep_ready')")
        return rows is not None and {row.split("\t")[1] for row in rows} == \
            {"Synced", "Primary", "ON"}

    def members(self):
        return self.sql("SHOW STATUS WHERE Variable_name IN ('wsrep_local_state_comment',"
                        " 'wsrep_cluster_status', 'wsrep_incoming_addresses')")


def missing():
    """What isn't installed."""
    programs = ["mariadbd", "mariadb-install-db", "mariadb", "rsync", "wsrep_sst_rsync"]
    return [name for name in programs if not shutil.which(name)] + \
        [path for path in [PROVIDER] if not os.path.exists(path)]


def start_cluster(directory, count=3):
    """The nodes, all in; `admin` with the password `admin` may do everything on each."""
    nodes = [Node(number + 1, directory) for number in range(count)]
    for node in nodes:
        node.install(nodes)
    for node in nodes:
        node.start(*(["--wsrep-new-cluster"] if node is nodes[0] else []))
        node.await_in()
    nodes[0].must("CREATE USER admin@'%' IDENTIFIED BY 'admin';"
                  "GRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION")
    return nodes
