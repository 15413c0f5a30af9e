"""nodes: what servers of both kinds of cluster have in common."""
import os
import signal
import subprocess

from hosts import Machine
from service import await_condition


class DatabaseNode(Machine):
    """A database server on its own machine. Subclasses say how to start one, and when it is in."""

    def __init__(self, number, directory):
        super().__init__("db%d" % number, 10 + number)
        self.directory = os.path.join(directory, self.name)
        os.mkdir(self.directory)
        self.process = None

    def command(self):
        """What starts the server."""
        raise NotImplementedError

    def is_in(self):
        """Whether it is a working member of its cluster."""
        raise NotImplementedError

    def members(self):
        """The cluster's members as this one sees them, in a few words."""
        raise NotImplementedError

    def start(self, *options):
        self.process = self.popen(*self.command(), *options, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)

    def await_in(self):
        await_condition(90, self.is_in_or_ended, "%s is a member" % self.name, 0.1)

    def is_in_or_ended(self):
        if self.process.poll() is not None:
            raise RuntimeError("%s ended: %s" % (self.name, self.log()))
        return self.is_in()

    def answers(self):
        return self.sql("SELECT 1") is not None

    def sql(self, text):
        """The rows, or None if it doesn't answer."""
        done = subprocess.run(
            ["mariadb", "--no-defaults", "--socket=%s/mysql.sock" % self.directory, "--user=root",
             "--batch", "--skip-column-names", "--connect-timeout=3", "--execute", text],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            check=False)
        self.fault = done.stderr
        return done.stdout.splitlines() if done.returncode == 0 else None

    def must(self, text):
        rows = self.sql(text)
        if rows is None:
            raise RuntimeError("%s: %s: %s" % (self.name, text, self.fault))
        return rows

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
