"""Fills an instance's database by SQL, in bulk: projects with stacks, and years of history. The figures that
the program keeps by itself (the next lease's number, versions) are set as if it had done it.
"""
import contextlib
import os
import re
import secrets
import subprocess

import peers
import service

CHUNK = 100000


class Database:
    """The administrator's connection to an instance's database."""

    def __init__(self, instance):
        self.instance = instance
        with open(
            os.path.join(instance.var, "etc/stack-orchestrator.conf"), encoding="utf-8"
        ) as file:
            name = re.search(r"^database_name = (.*)$", file.read(), re.M).group(1)
        try:
            client = peers.find("mariadb")
        except peers.Missing:
            client = peers.find("mysql")
        self.command = [
            client,
            "--defaults-file=" + os.path.join(instance.var, "etc/admin.cnf"),
            "--batch",
            "--skip-column-names",
            "--raw",
            name,
        ]

    def run(self, text):
        """Runs statements; returns what they printed."""
        done = subprocess.run(
            self.command,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError("%s: %s" % (text[:200], done.stderr))
        return done.stdout

    @contextlib.contextmanager
    def undurable(self):
        """Meanwhile, commits don't wait for the disk: the log is written and synced once a second."""
        self.run("SET GLOBAL innodb_flush_log_at_trx_commit=0")
        try:
            yield
        finally:
            self.run("SET GLOBAL innodb_flush_log_at_trx_commit=1")

    def quickly(self, text):
        """The same, without a sync at each commit, and without checks that hold anyway."""
        with self.undurable():
            return self.run("SET foreign_key_checks=0, unique_checks=0;" + text)

    def memory(self, size):
        """Gives the database so much for pages; returns what it had."""
        before = int(self.run("SELECT @@innodb_buffer_pool_size"))
        self.run("SET GLOBAL innodb_buffer_pool_size=%d" % size)
        return before

    def numbers(self):
        """A table of 0 to 999, to make rows from."""
        tens = " UNION ALL ".join("SELECT %d n" % digit for digit in range(10))
        self.run(
            "CREATE TABLE IF NOT EXISTS bench_number (n INT PRIMARY KEY) AS "
            "SELECT a.n + 10 * b.n + 100 * c.n AS n FROM (%s) a, (%s) b, (%s) c"
            % (tens, tens, tens)
        )

    def projects(self, first, count, stacks):
        """`count` projects named bench-FIRST and so on, with so many stacks each (at most a million)."""
        self.numbers()
        self.quickly(
            """
            INSERT INTO project (name, max_stacks, created, modified)
              SELECT CONCAT('bench-', %(first)d + n), %(stacks)d, NOW(6), NOW(6)
              FROM bench_number WHERE n < %(count)d;
            INSERT INTO stack (project_id, stack_no, state, created, modified)
              SELECT project_id, 1 + a.n * 1000 + b.n, 'available', NOW(6), NOW(6)
              FROM project STRAIGHT_JOIN bench_number a STRAIGHT_JOIN bench_number b
              WHERE CAST(SUBSTRING(name, 7) AS UNSIGNED) BETWEEN %(first)d AND %(first)d + %(count)d - 1
                AND name LIKE 'bench-%%' AND a.n < %(thousands)d AND a.n * 1000 + b.n < %(stacks)d;
            """
            % {"first": first, "count": count, "stacks": stacks, "thousands": -(-stacks // 1000)}
        )

    def history(self, number, rows, stacks):
        """`rows` ended leases of bench-NUMBER, over the last 80 days."""
        self.numbers()
        table = self.run("SHOW CREATE TABLE history")
        keys = re.findall(r"^\s+(KEY `(\w+)` \([^)]*\))", table, re.M)
        # In the order of their keys, indexes are made several times faster afterwards.
        self.run("ALTER TABLE history " + ", ".join("DROP KEY `%s`" % name for _, name in keys))
        for start in range(0, rows, CHUNK):
            self.quickly(
                """
                INSERT INTO history (project_id, lease_no, state, outcome, key_name, branch, commit_id, purpose,
                  job_url, lease_id, stack_no, fence, asked_at, granted_at, deployed_at, ended_at)
                SELECT project_id, 1 + %(start)d + a.n * 1000 + b.n, 'released', 'success', 'ci', 'main',
                  SHA1(a.n * 1000 + b.n), 'test', 'https://ci.example.org/jobs/1', RANDOM_BYTES(16),
                  1 + b.n %% %(stacks)d, 1 + %(start)d + a.n * 1000 + b.n, at, at, at, at + INTERVAL 5 MINUTE
                FROM (SELECT project_id, NOW(6) - INTERVAL 80 DAY + INTERVAL %(start)d / %(rows)d * 80 DAY at
                      FROM project WHERE name = 'bench-%(number)d') project
                  STRAIGHT_JOIN bench_number a STRAIGHT_JOIN bench_number b
                WHERE a.n < %(thousands)d AND a.n * 1000 + b.n < %(rows)d - %(start)d;
                """
                % {
                    "start": start,
                    "rows": rows,
                    "thousands": CHUNK // 1000,
                    "stacks": stacks,
                    "number": number,
                }
            )
        self.run("ALTER TABLE history " + ", ".join("ADD " + key for key, _ in keys))
        self.run(
            "UPDATE project SET next_lease_no = %d, version = version + 1 WHERE name = 'bench-%d';"
            "ANALYZE TABLE project, stack, lease, history" % (rows + 1, number)
        )

    def status(self, name):
        return int(self.run("SHOW GLOBAL STATUS LIKE '%s'" % name).split()[1])

    def settle(self):
        """Waits until what was filled in is written out: else that would be measured."""
        most = self.run("SELECT @@innodb_max_dirty_pages_pct").strip()
        self.run("SET GLOBAL innodb_max_dirty_pages_pct=0")
        service.await_condition(
            120, lambda: self.status("Innodb_buffer_pool_pages_dirty") < 100, "all pages are written"
        )
        self.run("SET GLOBAL innodb_max_dirty_pages_pct=" + most)

    def count(self, table):
        return int(self.run("SELECT COUNT(*) FROM " + table))

    def settings(self):
        """What makes its commits durable."""
        return dict(
            line.split("\t")
            for line in self.run(
                "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit', 'log_bin', "
                "'innodb_buffer_pool_size')"
            ).splitlines()
        )


def keys(instance, numbers):
    """A CI key for each bench-NUMBER, all with one reload of nginx."""
    made = {number: secrets.token_hex(32) for number in numbers}
    with open(os.path.join(instance.var, "etc/keys.map"), "a", encoding="ascii") as file:
        for number, key in made.items():
            file.write('"%s" "bench-%d ci bench-%d";\n' % (key, number, number))
    instance.local("restart", "nginx")
    return made
