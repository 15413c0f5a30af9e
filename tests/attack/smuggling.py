#!/usr/bin/python3
"""What reaches the program: a recorder stands in its place and writes down every FastCGI request
that nginx makes of hostile bytes. Nobody's request may become two, another's, or bring parameters
along."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from attack import Ended, Instance, Recorder, Suite, request  # noqa: E402
from http2 import DATA, END_STREAM, Http2  # noqa: E402

suite = Suite()

# All that the program may get to know of a request.
PARAMS = {"REQUEST_METHOD", "DOCUMENT_URI", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH",
          "SO_PROJECT",
          "SO_ROLE", "SO_KEY_NAME", "SO_KEY_NUMBER", "SO_IDEMPOTENCY_KEY", "SO_REQUEST_ID",
          "SO_SECONDS"}
REFUSED = [([400], []), ([501], []), ([], [])]


class Scene:
    def __init__(self):
        self.instance = Instance("smuggle", {"nginx.stranger_rate": 100000,
                                             "nginx.stranger_burst": 100000})
        self.keys = self.instance.keys("mine")
        self.recorder = Recorder(self.instance)
        self.key = self.keys["ci"]
        # What must never arrive, hidden in a body or a header. With a key, or it would be refused
        # anyway.
        self.hidden = request("POST", "/smuggled", self.key, b"")

    def head(self, *lines, first="POST /first HTTP/1.1"):
        """A request's head with a good key; lines as they are, each with its own end."""
        return b"".join([first.encode(), b"\r\nHost: localhost\r\nX-API-Key: ", self.key.encode(),
                         b"\r\n",
                         *lines, b"\r\n"])

    def attempt(self, data, seconds=0.25):
        """(statuses, [(path, body)] of what the recorder got)."""
        self.recorder.take()
        with self.instance.wire() as wire:
            wire.send(data)
            statuses = [answer.status for answer in wire.answers(seconds)]
        return statuses, [(params["DOCUMENT_URI"][0], body) for params,
                          body in self.recorder.take()]

    def http2(self, **options):
        return Http2(self.instance, **options)


def judge(name, got, allowed):
    """A fault unless the outcome is one of those allowed: (statuses, what the program got)."""
    if got not in allowed:
        yield "%s: %s" % (name, got)


@suite.row("the recorder gets what an ordinary request is, and exactly the parameters that it may "
           "have")
def ordinary(scene):
    scene.recorder.take()
    answer = scene.instance.ask("POST", "/first?a=b", scene.key, b"body", [
        ("Idempotency-Key", "once"), ("Content-Type", "text/plain"), ("Cookie", "a=b"),
        ("X-Other", "c")])
    if answer.status != 200:
        yield str(answer)
    (params, body), = scene.recorder.take()
    if set(params) != PARAMS:
        yield "parameters: %s" % sorted(params)
    told = {name: value[0] for name, value in params.items() if len(value) == 1}
    expected = {"REQUEST_METHOD": "POST", "DOCUMENT_URI": "/first", "QUERY_STRING": "a=b",
                "CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "4", "SO_PROJECT": "mine",
                "SO_ROLE": "ci",
                "SO_KEY_NAME": "mine-ci", "SO_KEY_NUMBER": "", "SO_IDEMPOTENCY_KEY": "once",
                "SO_REQUEST_ID": answer.header("X-Request-Id")}
    if not float(told.pop("SO_SECONDS", "60")) < 60:
        yield "how long it took to arrive: %s" % params
    if told != expected or body != b"body":
        yield "got %s %s" % (told, body)


@suite.row("no header, however it is written, adds, doubles or changes a parameter; the key is not "
           "passed on")
def parameters(scene):
    hostile = [(name, "forged") for param in sorted(PARAMS) for name in (
        param, param.replace("_", "-"), "HTTP_" + param, "HTTP-" + param.replace("_", "-"),
        param.lower(), "X-" + param, param + "\0", " " + param)]
    hostile += [("Proxy", "http://evil.example"), ("X-Forwarded-For", "1.2.3.4"),
                ("Content-Type", "a" * 3000),
                ("Content-Type", "x\x01\x02SO_ROLEadmin"), ("Content-Type", "\x07\x05SO_ROLEadmin"),
                ("Idempotency-Key", "\x07\x05SO_ROLEadmin"), ("Idempotency-Key", "\xff\x80\xfe"),
                ("Idempotency-Key", "x" * 3000), ("Connection", "X-API-Key, SO-ROLE"),
                ("Upgrade", "h2c"),
                ("HTTP2-Settings", "AAMAAABkAAQAAP__"), ("Expect", "100-continue"),
                ("Range", "bytes=0-0"),
                ("TE", "trailers"), ("Trailer", "SO_ROLE")]
    passed = 0
    for name, value in hostile:
        scene.recorder.take()
        lines = ("%s: %s\r\n" % (name, value)).encode("latin-1")
        with scene.instance.wire() as wire:
            wire.send(scene.head(lines, b"Content-Length: 2\r\n") + b"{}")
            try:
                status = wire.answer().status
            except Ended:
                status = None
        for params, body in scene.recorder.take():
            passed += 1
            same = (params["SO_PROJECT"], params["SO_ROLE"], params["SO_KEY_NAME"],
                    params["DOCUMENT_URI"],
                    params["REQUEST_METHOD"], body) == (
                        ["mine"], ["ci"], ["mine-ci"], ["/first"], ["POST"], b"{}")
            if not same or not set(params) <= PARAMS or any(len(values) != 1
                                                            for values in params.values()):
                yield "%s: %s gave %s" % (name, value[:40], params)
            if scene.key in str(params):
                yield "the key is passed on"
        if status not in (200, 400, 431, None):
            yield "%s: %s" % (name, status)
    if passed < 60:
        yield "only %d requests were passed on" % passed


@suite.row("two lengths, two encodings, or both: refused; nothing of the body becomes a request")
def two_lengths(scene):
    chunked = b"0\r\n\r\n" + scene.hidden
    shapes = {
        "CL and TE": (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", chunked),
        "TE and CL": (b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", chunked),
        "CL 0 and TE": (b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", chunked),
        "two CL": (b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(scene.hidden),
                   scene.hidden),
        "the same CL twice": (b"Content-Length: 2\r\nContent-Length: 2\r\n", b"{}" + scene.hidden),
        "CL list": (b"Content-Length: 0, %d\r\n" % len(scene.hidden), scene.hidden),
        "the same CL in a list": (b"Content-Length: 2, 2\r\n", b"{}" + scene.hidden),
        "two TE": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", chunked),
        "TE list": (b"Transfer-Encoding: identity, chunked\r\n", chunked),
        "TE list, chunked first": (b"Transfer-Encoding: chunked, identity\r\n", chunked),
        "TE twice": (b"Transfer-Encoding: chunked, chunked\r\n", chunked),
    }
    for name, (lines, body) in shapes.items():
        yield from judge(name, scene.attempt(scene.head(lines) + body), REFUSED)


@suite.row("odd spellings of Content-Length and Transfer-Encoding: refused, or no length at all")
def obscure_lengths(scene):
    count = b"%d" % len(scene.hidden)
    for value in (b"+" + count, b"-1", b"0x%x" % len(scene.hidden), count + b"abc", b"1 0", b"",
                  b" ", b"1e1",
                  b"18446744073709551615", b"18446744073709551617", b"99999999999999999999999",
                  count + b"\x0b",
                  b"\x0b" + count, b"'%s'" % count, count + b".0", b"\xb2"):
        yield from judge("Content-Length: %r" % value, scene.attempt(
            scene.head(b"Content-Length: " + value + b"\r\n") + scene.hidden), REFUSED)
    for line in (b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunkedx",
                 b"Transfer-Encoding: \x0bchunked",
                 b"Transfer-Encoding: chunked\x0b", b"Transfer-Encoding: \"chunked\"",
                 b"Transfer-Encoding: gzip",
                 b"Transfer-Encoding: identity", b"Transfer-Encoding:",
                 b"Transfer-Encoding: chunked;q=1",
                 b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked",
                 b" Transfer-Encoding: chunked",
                 b"X: y\r\n Transfer-Encoding: chunked", b"Transfer-Encoding:\r\n chunked",
                 b"Transfer\x00-Encoding: chunked", b"Content-Length : " + count,
                 b"Content-Length\x0b: " + count,
                 b"Content-Length\r: " + count, b"X: y\rContent-Length: " + count,
                 b"Content-Length: " + count +
                 b"\x00"):
        yield from judge(repr(line), scene.attempt(
            scene.head(line + b"\r\n") + b"0\r\n\r\n" + scene.hidden),
            [*REFUSED, ([200, 400], [("/first", b"")])])
    # Headers of other names are no length: what follows is the next request, for all who read it.
    for line in (b"Transfer_Encoding: chunked", b"Content_Length: " + count,
                 b"X-Content-Length: " + count):
        statuses, got = scene.attempt(scene.head(line + b"\r\n") + scene.hidden)
        if got != [("/first", b""), ("/smuggled", b"")]:
            yield "%r: %s %s" % (line, statuses, got)


@suite.row("chunks that aren't: refused, and the request behind them is not taken")
def chunks(scene):
    lines = scene.head(b"Transfer-Encoding: chunked\r\n")
    good = scene.attempt(lines + b"2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n")
    if good[1] != [("/first", b"{}")]:
        yield "good chunks: %s" % (good,)
    for body in (b"2\r\n{}0\r\n\r\n", b"2\r\n{}X\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n",
                 b"+2\r\n{}\r\n0\r\n\r\n",
                 b"0x2\r\n{}\r\n0\r\n\r\n", b" 2\r\n{}\r\n0\r\n\r\n", b"g\r\n{}\r\n0\r\n\r\n",
                 b"\r\n2\r\n{}\r\n0\r\n\r\n",
                 b"10000000000000002\r\n{}\r\n0\r\n\r\n", b"fffffffffffffffe\r\n{}\r\n0\r\n\r\n",
                 b"7fffffffffffffff\r\n{}\r\n0\r\n\r\n", b"2\r{}\r\n0\r\n\r\n",
                 b"2\x00\r\n{}\r\n0\r\n\r\n", b"\x002\r\n{}\r\n0\r\n\r\n"):
        statuses, got = scene.attempt(lines + body + scene.hidden)
        if any(path != "/first" for path, _ in got) or got and got[0][1] not in (b"", b"{}"):
            yield "%r: %s %s" % (body, statuses, got)
        elif statuses[:1] not in ([400], [413], [501], []):
            yield "%r: %s %s" % (body, statuses, got)


@suite.row("line ends, spaces and control characters: a head has one meaning, or is refused")
def line_ends(scene):
    key = b"X-API-Key: " + scene.key.encode()
    rest = b"\r\nHost: localhost\r\n" + key + b"\r\n\r\n"
    shapes = {
        "bare CR": b"GET /first HTTP/1.1\rHost: localhost\r" + key + b"\r\r",
        "CR CR LF": b"GET /first HTTP/1.1\r" + rest,
        "NUL in the line": b"GET /first\x00 HTTP/1.1" + rest,
        "NUL in a header": b"GET /first HTTP/1.1\r\nX: a\x00b" + rest,
        "space before the colon": b"GET /first HTTP/1.1\r\nX : y" + rest,
        "space before the key's colon": b"GET /first HTTP/1.1" + rest.replace(b"Key:", b"Key :"),
        "tab in the line": b"GET\t/first\tHTTP/1.1" + rest,
        "control in the URI": b"GET /first\x01 HTTP/1.1" + rest,
        "space in the URI": b"GET /first /smuggled HTTP/1.1" + rest,
        "version 1.2.3": b"GET /first HTTP/1.2.3" + rest,
        "version 2.0": b"GET /first HTTP/2.0" + rest,
        "version 9.9": b"GET /first HTTP/9.9" + rest,
        "no version": b"GET /first" + rest,
        "a header without a colon": b"GET /first HTTP/1.1\r\nnonsense" + rest,
        "two request lines": b"GET /first HTTP/1.1\r\nGET /smuggled HTTP/1.1" + rest,
        "a method with controls": b"G\x01T /first HTTP/1.1" + rest,
        "encoded line end": b"GET /first%0d%0aX:%20y HTTP/1.1" + rest,
    }
    for name, data in shapes.items():
        statuses, got = scene.attempt(data)
        paths = [path for path, _ in got]
        if name == "encoded line end":
            # Part of the path, no line end.
            if paths != ["/first\r\nX: y"]:
                yield "%s: %s %s" % (name, statuses, got)
        elif name in ("a header without a colon", "two request lines"):
            if paths not in ([], ["/first"]):
                yield "%s: %s %s" % (name, statuses, got)
        elif got or statuses not in ([400], [505], []):
            yield "%s: %s %s" % (name, statuses, got)
    # Lenient in the line ends (RFC 9112, 2.2), but never two requests of one.
    head = b"POST /first HTTP/1.1\nHost: localhost\n" + key
    statuses, got = scene.attempt(head + b"\nContent-Length: %d\n\n" % len(scene.hidden) +
                                  scene.hidden)
    if got not in ([], [("/first", scene.hidden)]):
        yield "bare LF: %s %s" % (statuses, got)


@suite.row("a body is a body: pipelined, with HTTP/1.0, to an unknown path, too large, or behind a "
           "refused key")
def bodies(scene):
    length = b"Content-Length: %d\r\n" % len(scene.hidden)
    for first in ("POST /first HTTP/1.1", "GET /first HTTP/1.1", "DELETE /first HTTP/1.1",
                  "OPTIONS /first HTTP/1.1",
                  "POST /first HTTP/1.0"):
        statuses, got = scene.attempt(scene.head(length, first=first) + scene.hidden)
        if got != [("/first", scene.hidden)]:
            yield "%s: %s %s" % (first, statuses, got)
    old = scene.head(b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
                     first="POST /first HTTP/1.0")
    yield from judge("chunked in HTTP/1.0", scene.attempt(old + b"0\r\n\r\n" + scene.hidden),
                     REFUSED)
    old = scene.head(b"Connection: keep-alive\r\n", first="POST /first HTTP/1.0")
    statuses, got = scene.attempt(old + scene.hidden)
    if [path for path, _ in got] != ["/first"] or 200 in statuses[1:]:
        yield "HTTP/1.0 kept alive: %s %s" % (statuses, got)
    for key in ("", "0" * 64):
        refused = request("POST", "/first", key, scene.hidden)
        statuses, got = scene.attempt(refused + request("GET", "/first", scene.key))
        if statuses != [401, 200] or [path for path, _ in got] != ["/first"]:
            yield "behind a refused key: %s %s" % (statuses, got)
    large = b"x" * (256 * 1024 + 1 - len(scene.hidden)) + scene.hidden
    statuses, got = scene.attempt(scene.head(b"Content-Length: %d\r\n" % len(large)) + large)
    if got or statuses != [413]:
        yield "too large: %s %s" % (statuses, got)
    pipelined = request("GET", "/first", scene.key) * 3 + request("GET", "/first", "0" * 64) + \
        request("GET", "/healthz")
    statuses, got = scene.attempt(pipelined)
    if statuses != [200, 200, 200, 401, 200] or [path for path,
                                                 _ in got] != ["/first"] * 3 + ["/healthz"]:
        yield "pipelined: %s %s" % (statuses, got)
    # A key belongs to its own request, not to the connection.
    statuses, got = scene.attempt(request("GET", "/first", scene.key) + request("GET", "/first"))
    if statuses != [200, 401]:
        yield "a key outlives its request: %s" % statuses


@suite.row("names and values over the limits: 400 or 414 in JSON, the connection ends, nothing is "
           "passed on")
def too_large(scene):
    shapes = {
        "a URL of 5,000 bytes": (request("GET", "/" + "x" * 5000, scene.key), 414),
        "a query of 5,000 bytes": (request("GET", "/first?" + "x" * 5000, scene.key), 414),
        "a URL of a megabyte": (request("GET", "/" + "x" * 1000000, scene.key), 414),
        "a header of 5,000 bytes": (request("GET", "/first", scene.key,
                                            headers=[("X", "x" * 5000)]), 400),
        "a header of a megabyte": (request("GET", "/first", scene.key,
                                           headers=[("X", "x" * 1000000)]), 400),
        "a name of 5,000 bytes": (request("GET", "/first", scene.key, headers=[("x" * 5000, "y")]),
                                  400),
        "10,000 headers": (request("GET", "/first", scene.key,
                                   headers=[("X-%d" % i, "y") for i in range(10000)]),
                           400),
        "20,000 bytes of headers": (request("GET", "/first", scene.key,
                                            headers=[("X", "y" * 1000)] * 20), 400),
        "a method of 5,000 bytes": (request("X" * 5000, "/first", scene.key), 400),
        "empty lines without end": (b"\r\n" * 100000, 400),
    }
    for name, (data, status) in shapes.items():
        scene.recorder.take()
        with scene.instance.wire() as wire:
            wire.send(data)
            answers = wire.answers(1)
        got = scene.recorder.take()
        if got:
            yield "%s is passed on" % name
        # A peer that is still sending may lose the answer with the connection.
        if [answer.status for answer in answers] not in ([status], [414 if status == 400 else 400],
                                                         []):
            yield "%s: %s" % (name, [str(answer) for answer in answers])
        if any(answer.code() not in ("badRequest", "uriTooLong") for answer in answers):
            yield "%s: %s" % (name, [str(answer) for answer in answers])


# --- HTTP/2 ---

@suite.row("HTTP/2: a body has the length that it said, or is refused")
def http2_lengths(scene):
    for said, sent, ends in ((0, scene.hidden, True), (2, b"{}x", True), (5, b"{}", True),
                             (2, b"", True),
                             (-1, b"{}", True), ("x", b"{}", True), ("2, 2", b"{}", True)):
        scene.recorder.take()
        with scene.http2() as wire:
            stream = wire.start("POST", "/first", scene.key, [("content-length", str(said))],
                                end=False)
            wire.data(stream, sent, ends)
            answer = wire.answer(stream, 2)
        got = [(params["DOCUMENT_URI"][0], body) for params, body in scene.recorder.take()]
        if got or answer.status not in (400, None):
            yield "content-length %s of %d: %s %s" % (said, len(sent), answer, got)
    scene.recorder.take()
    with scene.http2() as wire:
        stream = wire.start("POST", "/first", scene.key, [], end=False)
        wire.data(stream, scene.hidden, True)
        answer = wire.answer(stream, 5)
    got = [(params["DOCUMENT_URI"][0], body) for params, body in scene.recorder.take()]
    if answer.status != 200 or got != [("/first", scene.hidden)]:
        yield "without content-length: %s %s" % (answer, got)


@suite.row("HTTP/2: headers that HTTP/1 would read otherwise are refused or stay what they are")
def http2_headers(scene):
    shapes = {
        "LF in a value": [("x-a", "b\r\nx-api-key: " + scene.key)],
        "NUL in a value": [("x-a", "b\0c")],
        "LF in a name": [("x-a\r\nx-b", "c")],
        "colon in a name": [("x-a: b", "c")],
        "upper case": [("X-A", "b")],
        "transfer-encoding": [("transfer-encoding", "chunked")],
        "connection": [("connection", "x-api-key")],
        "upgrade": [("upgrade", "websocket")],
        "te": [("te", "chunked")],
        "two content-lengths": [("content-length", "0"), ("content-length", "5")],
        "host beside authority": [("host", "evil.example")],
        "underscores": [("so_role", "admin"), ("x_api_key", scene.key)],
        "a second method": [(":method", "POST")],
        "a second path": [(":path", "/smuggled")],
        "an unknown pseudo-header": [(":role", "admin")],
        "pseudo-header behind a header": [("x-a", "b"), (":path", "/smuggled")],
    }
    for name, headers in shapes.items():
        scene.recorder.take()
        with scene.http2() as wire:
            answer = wire.answer(wire.start("GET", "/first", scene.key, headers), 2)
        for params, body in scene.recorder.take():
            if (params["DOCUMENT_URI"], params["REQUEST_METHOD"], params["SO_ROLE"], body) != (
                    ["/first"], ["GET"], ["ci"], b"") or not set(params) <= PARAMS:
                yield "%s: %s" % (name, params)
        if answer.status not in (200, 400, None):
            yield "%s: %s" % (name, answer)
        scene.recorder.take()
        with scene.http2() as wire:
            answer = wire.answer(wire.start("GET", "/first", None, headers), 2)
        if scene.recorder.take() or answer.status not in (400, 401, None):
            yield "%s without a key: %s" % (name, answer)
    for path in ("first", "", "*", "/first smuggled", "/first\r\nX-API-Key: x",
                 "https://evil.example/first", "//first",
                 "/x/../first", "/%66irst", "/first\0"):
        for key in (None, scene.key):
            scene.recorder.take()
            with scene.http2() as wire:
                answer = wire.answer(wire.start("GET", path, key, []), 2)
            paths = [params["DOCUMENT_URI"][0] for params, _ in scene.recorder.take()]
            good = [["/first"], []] if key else [[]]
            if paths not in good or (answer.status == 200) != bool(paths):
                yield "path %r: %s %s" % (path, answer, paths)


@suite.row("HTTP/2: frames out of order end the connection or stream; the next one is served")
def http2_frames(scene):
    def send(*frames):
        with scene.http2() as wire:
            for frame in frames:
                wire.frame(*frame)
            return wire.ended(3)

    padded = b"\xff" + b"x"
    shapes = {
        "DATA on no stream": [(DATA, END_STREAM, 0, b"x")],
        "CONTINUATION alone": [(9, 4, 1, b"")],
        "an even stream": [(1, 5, 2, b"\x82")],
        "more padding than payload": [(DATA, 8 | END_STREAM, 1, padded)],
        "WINDOW_UPDATE of 0": [(8, 0, 0, bytes(4))],
        "a window over 2^31": [(8, 0, 0, b"\x7f\xff\xff\xff")] * 2,
        "SETTINGS of 5 bytes": [(4, 0, 0, bytes(5))],
        "SETTINGS with a huge window": [(4, 0, 0, b"\0\4\xff\xff\xff\xff")],
        "PING of 7 bytes": [(6, 0, 0, bytes(7))],
        "PUSH_PROMISE": [(5, 4, 1, bytes(4))],
        "RST_STREAM on no stream": [(3, 0, 0, bytes(4))],
        "a header block that is none": [(1, 5, 1, b"\xff" * 100)],
        "a table index that is none": [(1, 5, 1, b"\xfe")],
    }
    for name, frames in shapes.items():
        if not send(*frames):
            yield "%s: the connection goes on" % name
    answer = scene.instance.ask("GET", "/first", scene.key)
    if answer.status != 200:
        yield "afterwards: %s" % answer


if __name__ == "__main__":
    suite.run(Scene)
