#!/usr/bin/python3
"""Broken and hostile key files: as `orchestratorctl key import` gets them, and as somebody's editor or
a full disk leaves them. First each file of tests/fuzz/corpus/keys/, then ways made up. Prints TAP.

Whatever the file is: a key that is refused changes nothing; nginx, a real one, lets in just the
keys that `key list` has, each as what it is listed; no command loses a good key of a broken file;
none shows a key but `rotate` its new one; each ends with a status and a message of its own.

Environment: KEYS_RUNS (made-up ones; 30, always the same), SEED (of more; printed)."""
import http.client
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CTL = os.path.join(os.path.dirname(os.path.dirname(HERE)), "scripts", "orchestratorctl")
CORPUS = os.path.join(HERE, "corpus", "keys")

# One line of a key file.
LINE = re.compile(rb'"([0-9a-f]{64})" "([A-Za-z0-9._-]{1,64} (?:ci|viewer|admin) [A-Za-z0-9._-]{1,64})";'
                  rb'(?: # created [0-9TZ:-]+(?: expires ([0-9TZ:-]+))?)?')
ANY_KEY = re.compile(rb"[0-9a-fA-F]{64}")
KEYS = [bytes([letter]) * 64 for letter in b"0123456789abcdef"]
GOOD = [b'"%s" "team ci alice"; # created 2026-01-02T03:04:05Z' % KEYS[1],
        b'"%s" "team viewer bob"; # created 2026-01-02T03:04:05Z expires 2099-01-01T00:00:00Z' % KEYS[2],
        b'"%s" "other admin carol"; # created 2026-01-02T03:04:05Z expires 2026-01-03T00:00:00Z' % KEYS[3],
        b'"%s" "other ci dave";' % KEYS[10]]
ODD = [b"\0", b"\r", b"\xff", b"\xc3\xa9", b'"', b"'", b";", b"{", b"}", b"$so_role", b"\\", b"#", b"~", b"~*.",
       b" ", b"\t", b"\n", b"\n\n", b"default", b"\n\"\" \"team admin mallory\";", b"include /etc/passwd;",
       b"\nhostnames;", b"\nvolatile;", b"\ndefault \"team admin mallory\";", b"A", b"x" * 70, b"x" * 5000,
       b"\n# a comment", b" expires ", b"2000-01-01T00:00:00Z", b"team admin", b"$(touch canary)",
       b"`touch canary`", b"%s%n", b"\x1b[31m", b"../x", b"-", b"--json", KEYS[1], KEYS[11].upper(), GOOD[0],
       b'\n"' + KEYS[12] + b'" "team ci eve";', b'\n"' + KEYS[1] + b'" "team ci eve";',
       b'\n"' + KEYS[11].upper() + b'" "team ci upper";', b'\n"' + KEYS[13] + b'" "team ci alice";']

NGINX = """worker_processes 1;
error_log stderr crit;
pid "%(place)s/nginx.pid";
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path "%(place)s/temp"; fastcgi_temp_path "%(place)s/temp"; proxy_temp_path "%(place)s/temp";
    scgi_temp_path "%(place)s/temp"; uwsgi_temp_path "%(place)s/temp";
    map_hash_bucket_size 128;
    map $http_x_api_key $identity { default ""; include "%(place)s/keys.map"; }
    server { listen "unix:%(place)s/nginx.sock"; default_type text/plain; return 200 "$identity"; }
}
"""


def mutate(chance, data):
    """The file with something else somewhere in it."""
    at = chance.randrange(len(data) + 1)
    to = min(len(data), at + chance.choice([0, 0, 1, 2, 20, 100]))
    how = chance.randrange(5)
    if how == 0:
        return data[:at]
    if how == 1:
        return data[:at] + data[to:]
    if how == 2:
        return data[:at] + data[at:to] * 2 + data[to:]
    return data[:at] + chance.choice(ODD) + data[to:]


def made_up(chance):
    lines = chance.sample(GOOD, chance.randrange(1, len(GOOD) + 1))
    data = b"".join(line + b"\n" for line in lines)
    for _ in range(chance.randrange(1, 4)):
        data = mutate(chance, data)
    return data


def good_lines(data, now):
    """(key, identity, whether it has time left) of each good line of the file."""
    for line in data.split(b"\n"):
        match = LINE.fullmatch(line)
        if match:
            yield match.group(1), match.group(2), not match.group(3) or match.group(3) > now


def known_keys(data, now):
    return {key: identity for key, identity, _ in good_lines(data, now)}


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


class Place:
    """A directory with a key file, a running nginx that reads it, and orchestratorctl's settings."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="keys-fuzz-")
        self.file = self.at("keys.map")
        self.put(b"\n".join(GOOD) + b"\n")
        with open(self.at("nginx.conf"), "w", encoding="ascii") as file:
            file.write(NGINX % {"place": self.path})
        with open(self.at("conf"), "w", encoding="ascii") as file:
            file.write("keys_file = %(place)s/keys.map\nnginx_config = %(place)s/nginx.conf\n"
                       "nginx_pid_file = %(place)s/nginx.pid\n" % {"place": self.path})
        subprocess.run(["nginx", "-c", self.at("nginx.conf")], check=True)

    def at(self, name):
        return os.path.join(self.path, name)

    def put(self, data):
        with open(self.file, "wb") as file:
            file.write(data)

    def data(self):
        with open(self.file, "rb") as file:
            return file.read()

    def run(self, *arguments, stdin=b""):
        """(status, standard output, standard error)"""
        done = subprocess.run(["timeout", "60", CTL, "-c", self.at("conf"), *arguments], input=stdin,
                              cwd=self.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False)
        return done.returncode, done.stdout, done.stderr

    def identity(self, key):
        """What nginx takes that key for."""
        connection = Connection(self.at("nginx.sock"))
        try:
            connection.request("GET", "/", headers={"X-API-Key": key.decode("ascii")})
            return connection.getresponse().read()
        finally:
            connection.close()

    def nginx_takes_it(self):
        return subprocess.run(["nginx", "-t", "-q", "-c", self.at("nginx.conf")], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0

    def close(self):
        with open(self.at("nginx.pid"), encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGTERM)
        while os.path.exists(self.at("nginx.pid")):
            time.sleep(0.01)
        shutil.rmtree(self.path)


def faults_of_output(what, status, out, err, may_show=False):
    if status not in (0, 1):
        yield "%s ends with status %d: %r" % (what, status, err[-300:])
    if ANY_KEY.search(err) or (ANY_KEY.search(out) and not may_show):
        yield "%s shows a key: %r" % (what, (out + err)[-300:])
    for line in err.split(b"\n"):
        if line and (not line.startswith(b"orchestratorctl: ") or
                     any(char < 32 or char > 126 for char in line)):
            yield "%s says what isn't its own: %r" % (what, line[:200])


def faults_of_list(place, now):
    status, out, err = place.run("key", "list")
    yield from faults_of_output("list", status, out, err)
    listed = sorted(b" ".join([fields[1], fields[2], fields[0]])
                    for fields in (line.split() for line in out.split(b"\n")[1:]) if fields)
    expected = sorted(identity for _, identity, lives in good_lines(place.data(), now) if lives)
    if listed != expected:
        yield "list has %r, the file %r" % (listed, expected)


def faults_of_import(place, data, now):
    place.put(b"\n".join(GOOD) + b"\n")
    before = place.data()
    status, out, err = place.run("key", "import", stdin=data)
    yield from faults_of_output("import", status, out, err)
    lines = [line for line in data.split(b"\n") if line and not line.startswith(b"#")]
    is_good = bool(lines) and all(map(LINE.fullmatch, lines)) and \
        len(known_keys(data, now)) == len(lines)
    if is_good != (status == 0):
        yield "import ends with status %d: %r" % (status, err)
    if status != 0:
        if place.data() != before:
            yield "a refused import has changed the file"
        return
    yield from faults_of_list(place, now)
    known = known_keys(place.data(), now)
    for key in {*KEYS, *ANY_KEY.findall(data)}:
        identity = place.identity(key)
        if identity != known.get(key.lower(), b""):
            yield "nginx takes %.4s… for %r, listed is %r" % (key, identity, known.get(key.lower()))


def faults_of_edit(place, data, now, *arguments):
    """The file is as it is; the command makes the best of it."""
    place.put(data)
    status, out, err = place.run("key", *arguments)
    what = " ".join(arguments)
    yield from faults_of_output(what, status, out, err, arguments[0] in ("rotate", "export"))
    after = place.data()
    if after == data:
        return
    if status != 0:
        yield "%s failed, and has changed the file" % what
    if not place.nginx_takes_it():
        yield "nginx refuses what %s has written" % what
    kept = known_keys(after, now)
    for key, identity, lives in good_lines(data, now):
        is_meant = arguments[0] == "rotate" and identity.endswith(b" " + arguments[1].encode())
        if key not in kept and lives and not is_meant:
            yield "%s has lost the key of %r" % (what, identity)


def faults_of(place, data):
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()).encode()
    yield from faults_of_import(place, data, now)
    place.put(data)
    yield from faults_of_list(place, now)
    for arguments in (["expire"], ["rotate", "alice", "--overlap", "0"], ["rotate", "bob"], ["export"]):
        yield from faults_of_edit(place, data, now, *arguments)
    if os.path.exists(place.at("canary")):
        yield "ran what the file said"
        os.unlink(place.at("canary"))


def main():
    runs = int(os.environ.get("KEYS_RUNS", "30"))
    fresh = random.randrange(1, 1 << 31) if "KEYS_RUNS" in os.environ else 1
    seed = int(os.environ.get("SEED") or fresh)
    cases = []
    for name in sorted(os.listdir(CORPUS)):
        with open(os.path.join(CORPUS, name), "rb") as file:
            cases.append((name, file.read()))
    cases += [("made up, SEED=%d number %d" % (seed, number),
               made_up(random.Random("%d %d" % (seed, number)))) for number in range(runs)]
    print("1..%d" % len(cases))
    place = Place()
    all_good = True
    try:
        for number, (name, data) in enumerate(cases, 1):
            faults = list(faults_of(place, data))
            all_good &= not faults
            print("%s %d - %s" % ("not ok" if faults else "ok", number, name))
            for fault in faults:
                print("# " + fault)
            if faults:
                print("# %r" % data[:2000])
            sys.stdout.flush()
    finally:
        place.close()
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
