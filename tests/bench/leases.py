"""Leases side by side: our service, nginx alone, the way through nginx without the database, the raw
database, and what a user could pick instead, in turns.
"""
import os

import beside
import claims
import fill
import loads
import parts
import peers
import service
import turns

STACKS = 128
COUNTS = (1, 4, 16, 64, 128)
REFUSED = ("/requestStack", "400", '{"branch":"main","waitSeconds":-1}')
BORROW = ("/requestStack", "200", '{"branch":"main"}')

TITLES = {
    "wrk": ("nginx alone, `return 200`, by wrk", "HTTPS"),
    "alone": ("nginx alone, `return 200`", "HTTPS"),
    "constant": ("without the database: nginx, `FCGX_Accept_r`, a constant answer", "HTTPS"),
    "refused": ("our program without the database: a request refused after parsing (400)", "HTTPS"),
    "ours": ("**stack-orchestrator**", "HTTPS, the same MariaDB"),
    "branches": ("the same, another branch at each borrow", "HTTPS, the same MariaDB"),
    "undurable": ("the same, but no commit waits for the disk", "HTTPS, the same MariaDB"),
    "commit": ("a bare durable commit: `UPDATE` of one row, no pool", "our MariaDB, unix socket"),
    "skip": ("MariaDB, SKIP LOCKED, by hand", "our MariaDB, unix socket"),
    "procedure": ("MariaDB, SKIP LOCKED, stored procedure", "our MariaDB, unix socket"),
    "recorded": ("the same, which also records lease and history", "our MariaDB, unix socket"),
}


class Undurable(loads.Https):
    """Shows what the wait for the disk is worth."""

    def __init__(self, instance, *told):
        super().__init__("undurable", *told)
        self.database = fill.Database(instance)

    def run(self, clients, seconds):
        with self.database.undurable():
            return super().run(clients, seconds)


class Bench:
    """All the servers, and the contenders that use them."""

    def __init__(self):
        self.servers, self.titles, self.skipped = [], dict(TITLES), {}
        self.instance = service.Instance("leases")
        ci, admin = self.instance.project("bench", "--max-stacks", str(STACKS))
        with service.Client(self.instance, admin) as client:
            status, answer, _ = client.call("/addStacks", {"count": STACKS})
            if status != 200:
                raise RuntimeError("addStacks: %s" % answer)
        try:
            self.contenders = self.over_https(ci) + self.raw() + self.peers()
        except BaseException:
            self.close()
            raise

    def over_https(self, key):
        second = beside.Beside(self.instance)
        self.servers.append(second)
        ours, other = loads.target(self.instance, [key]), loads.target(
            self.instance, [key], second.port
        )
        used = parts.of_instance(self.instance)
        return [
            loads.Wrk("wrk", "https://127.0.0.1:%d/alone" % second.port, second.parts),
            loads.Https("alone", other, second.parts, ("/alone", "200", "-")),
            loads.Https("constant", other, second.parts, BORROW),
            loads.Https("refused", ours, used, REFUSED),
            loads.Https("ours", ours, used),
            Undurable(self.instance, ours, used),
            loads.Https("branches", ours, used, ("branches",)),
        ]

    def raw(self):
        options = os.path.join(self.instance.var, "etc/admin.cnf")
        return [
            loads.Peer(way, "raw", options, way, STACKS)
            for way in ("commit", "skip", "procedure", "recorded")
        ]

    def peers(self):
        made = []
        for kind in peers.ALL:
            try:
                server = kind()
            except peers.Missing as missing:
                self.skipped[kind.program] = [kind.title, str(missing)]
                continue
            self.servers.append(server)
            for way in server.ways:
                name = kind.program if len(server.ways) == 1 else "%s %s" % (kind.program, way)
                self.titles[name] = (kind.ways[way], "%s, %s" % (server.version, kind.setting))
                made.append(loads.Peer(name, kind.program, server.address, way, STACKS))
        try:
            pool = claims.Claims(STACKS)
            self.servers.append(pool)
            self.titles["git"] = (pool.title, "%s, %s" % (pool.version, pool.setting))
            made.append(pool)
        except peers.Missing as missing:
            self.skipped["git"] = [claims.Claims.title, str(missing)]
        return made

    def close(self):
        for server in self.servers:
            server.close()
        self.instance.stop()


def measure(quick, rounds, before):
    """Adds rounds to what was measured `before` ({} at first)."""
    bench = Bench()
    try:
        before.update(
            {
                "stacks": STACKS,
                "titles": bench.titles,
                "skipped": bench.skipped,
                "seconds": 1 if quick else 2,
            }
        )
        turns.take(
            rounds or (1 if quick else 3),
            (1, 64) if quick else COUNTS,
            bench.contenders,
            before["seconds"],
            before.setdefault("runs", {}),
        )
    finally:
        bench.close()
    return before
