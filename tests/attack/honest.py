"""Honest callers, in a process of their own: they borrow and give back at a steady pace while the
service is attacked. `python3 honest.py PORT CA_FILE KEY_FILE CALLERS PACE_SECONDS` prints a line
for each call (when it was sent, how long it took, status) until its standard input ends."""
import os
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

import service  # noqa: E402


class Honest:
    """The attack's side: starts them, and knows how they fare."""

    def __init__(self, instance, key, callers=4, pace=0.02):
        key_file = os.path.join(instance.var, "etc/honest.key")
        with open(os.open(key_file, os.O_WRONLY | os.O_CREAT, 0o600), "w",
                  encoding="ascii") as file:
            file.write(key)
        self.calls = []  # (sent, seconds, status)
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), str(instance.port),
             os.path.join(instance.var, "tls/ca.pem"), key_file, str(callers), str(pace)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        service.await_condition(20, lambda: len(self.calls) > 20, "honest callers at work")

    def read(self):
        for line in self.process.stdout:
            sent, seconds, status = line.split(" ", 2)
            self.calls.append((float(sent), float(seconds), status.strip()))

    def during(self, start, end):
        """The calls that were in flight then."""
        return [call for call in self.calls if call[0] < end and call[0] + call[1] > start]

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.reader.join(10)


def quantile(calls, part):
    times = sorted(seconds for _, seconds, _ in calls)
    return times[int((len(times) - 1) * part)] if times else 0.0


# --- Their own side ---

class Caller(threading.Thread):
    def __init__(self, server, key, number, pace):
        super().__init__(daemon=True)
        self.client = service.Client(server, key)
        self.number, self.pace = number, pace

    def call(self, path, body):
        sent = time.monotonic()
        try:
            status, answer, _ = self.client.call(path, body, timeout=60)
        except service.Cut as error:
            status, answer = "cut: %s" % error, {}
        if status != 200 and answer:
            status = "%s %s" % (status, answer.get("error", {}).get("code"))
        sys.stdout.write("%.6f %.6f %s\n" % (sent, time.monotonic() - sent, status))
        return answer

    def run(self):
        due = time.monotonic()
        while not ENDED.is_set():
            lease = self.call("/requestStack", {"branch": "honest-%d" % self.number})
            if lease.get("leaseId"):
                self.call("/releaseStack", {name: lease[name] for name in ("stackName", "leaseId")})
            due = max(due + self.pace, time.monotonic())
            ENDED.wait(due - time.monotonic())


class Server:
    """What service.Client needs of an instance."""

    def __init__(self, port, ca_file):
        self.port = port
        self.tls = service.ssl.create_default_context(cafile=ca_file)
        self.tls.sslsocket_class = service.PeekSocket

    def choose(self):
        return self


ENDED = threading.Event()


def main():
    port, ca_file, key_file, callers, pace = sys.argv[1:]
    with open(key_file, encoding="ascii") as file:
        key = file.read()
    sys.stdout.reconfigure(line_buffering=True)
    server = Server(int(port), ca_file)
    threads = [Caller(server, key, number, float(pace)) for number in range(int(callers))]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ENDED.set()
    for thread in threads:
        thread.join(60)


if __name__ == "__main__":
    main()
