"""service_hosts: nginx and program on several machines, one database cluster behind them, and a
balancer that sends each new connection of a caller to the next machine."""
import itertools
import os

from callers import World
from hosts import Machine
from service import Client, Cut, Instance, await_condition

STARTUP_GRACE = 2


class AppHost(Instance):
    """A machine with nginx and the program."""

    def __init__(self, number, servers, first=None):
        self.machine = Machine("app%d" % number, 20 + number)
        self.prefix = self.machine.prefix
        self.servers = servers
        self.first = first
        super().__init__("app%d" % number, {"startup_grace_seconds": STARTUP_GRACE,
                                            "request_grace_seconds": 3, "log_level": "info"})

    def prepare(self):
        """The ordered list; and the same database and passwords as the first host has."""
        if self.first:
            os.makedirs(self.var + "/etc")
            for name in ("program.password", "migration.password", "local.conf"):
                with open("%s/etc/%s" % (self.first.var, name), encoding="ascii") as file:
                    lines = [line for line in file if not line.startswith("port=")]
                with open("%s/etc/%s" % (self.var, name), "w", encoding="ascii") as file:
                    file.writelines(lines)
        return {"database_host": ",".join(server.address for server in self.servers)}

    def choose(self):
        self.machine.enter()
        return self

    def set_servers(self, servers):
        self.servers = servers
        path = self.var + "/etc/stack-orchestrator.conf"
        with open(path, encoding="ascii") as file:
            lines = [line for line in file if not line.startswith("database_host ")]
        with open(path, "w", encoding="ascii") as file:
            file.writelines(lines)
            file.write("database_host = %s\n" % ",".join(server.address for server in servers))
        self.local("restart", "program")

    def kill(self):
        self.local("kill", "program")
        self.local("kill", "nginx")

    def revive(self):
        self.local("restart", "program")
        self.local("restart", "nginx")

    def refusal(self):
        """What /readyz says while it isn't ready; empty: it is."""
        with Client(self, "") as client:
            try:
                status, answer, _ = client.call("/readyz")
            except Cut as error:
                return repr(error)
        return "" if status == 200 else answer["error"]["message"]

    def server(self):
        """The address of the server that the writer's or a reader's connection went to last."""
        lines = [line for line in self.log(lines=10000) if "database connected at " in line]
        return lines[-1].rsplit(" ", 1)[1] if lines else ""


class Balancer:
    """As callers see the hosts: one address. A connection goes to the next host in turn."""

    def __init__(self, hosts):
        self.hosts = hosts
        self.turn = itertools.count()

    def choose(self):
        return self.hosts[next(self.turn) % len(self.hosts)].choose()

    def project(self, name, *settings):
        keys = self.hosts[0].project(name, *settings)
        exported = self.hosts[0].ctl("key", "export") + "\n"
        for host in self.hosts[1:]:
            host.ctl("key", "import", text=exported)
        return keys


class Deployment:
    """The hosts and the nodes behind them."""

    def __init__(self, nodes, count, directory):
        self.nodes = nodes
        options = directory + "/admin.cnf"
        with open(options, "w", encoding="ascii") as file:
            file.write("[client]\nhost=%s\nport=3306\nuser=admin\npassword=admin\n" %
                       nodes[0].address)
        os.environ["DATABASE_CNF"] = options
        self.hosts = [AppHost(1, nodes)]
        while len(self.hosts) < count:
            self.hosts.append(AppHost(len(self.hosts) + 1, nodes, self.hosts[0]))
        self.balancer = Balancer(self.hosts)

    def await_ready(self, hosts=None, seconds=60):
        for host in hosts or self.hosts:
            await_condition(seconds, lambda at=host: not at.refusal(),
                            "%s is ready" % host.machine.name, 0.02)

    def await_writes(self, world, hosts=None, seconds=60):
        """Until a call that changes things is answered at each of these hosts (all)."""
        for host in hosts or self.hosts:
            with Client(host, world.key) as client:
                await_condition(seconds, lambda at=client: writes(at),
                                "%s answers" % host.machine.name, 0.02)


def writes(client):
    try:
        return client.call("/cancelRequest", {"requestId": "none"})[0] == 404
    except Cut:
        return False


class ClusterWorld(World):
    # Between hosts, order is that in which the database takes their batches.
    slack = 1

    def __init__(self, deployment, name, seed, max_stacks, rule="fifo"):
        super().__init__(deployment.balancer, name, seed, max_stacks, rule)
