"""HTTP/2 by hand: frames as they may not be. Debian's python3-hpack writes the header blocks."""
import struct
import time

from attack import Answer, Ended, Wire, remember_leases

from hpack import Decoder, Encoder

DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Http2:
    """One connection; streams are numbered 1, 3, …"""

    def __init__(self, instance, settings=b"", reads=True, **options):
        """reads=False: the windows are never opened, so that large answers stay with the server."""
        self.instance = instance
        self.reads = reads
        self.wire = Wire(instance, alpn=("h2",), **options)
        if self.wire.socket.selected_alpn_protocol() != "h2":
            raise Ended("no HTTP/2")
        self.encoder, self.decoder = Encoder(), Decoder()
        self.next_stream = 1
        self.goes_away = False
        self.streams = {}  # number: [Answer, is whole]
        self.wire.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.wire.close()

    def frame(self, kind, flags, stream, payload):
        return self.wire.send(frame(kind, flags, stream, payload))

    def head(self, method, path, key=None, headers=()):
        """The header block of a request, as written by the encoder of this connection."""
        pairs = [(":method", method), (":scheme", "https"), (":authority", "localhost"),
                 (":path", path)]
        if key is not None:
            pairs.append(("x-api-key", key))
        # Nothing is remembered in tables, so blocks may be left out or repeated.
        return self.encoder.encode([(name, value, True) for name, value in [*pairs, *headers]])

    def start(self, method, path, key=None, headers=(), end=True):
        """Sends a request's head; returns its stream."""
        stream = self.next_stream
        self.next_stream += 2
        flags = END_HEADERS | (END_STREAM if end else 0)
        self.frame(HEADERS, flags, stream, self.head(method, path, key, headers))
        return stream

    def data(self, stream, content, end):
        self.frame(DATA, END_STREAM if end else 0, stream, content)

    def ask(self, method, path, key=None, body=None, seconds=20):
        stream = self.start(method, path, key, end=body is None)
        if body is not None:
            self.data(stream, body, True)
        return self.answer(stream, seconds)

    def read(self):
        """One frame; answers what has to be answered. Raises Ended."""
        head = self.wire.exactly(9)
        length = int.from_bytes(head[:3], "big")
        kind, flags = head[3], head[4]
        stream = int.from_bytes(head[5:], "big") & 0x7fffffff
        payload = self.wire.exactly(length)
        if kind == SETTINGS and not flags & ACK:
            self.frame(SETTINGS, ACK, 0, b"")
        elif kind == HEADERS:
            pairs = self.decoder.decode(payload)
            answer = Answer(int(dict(pairs)[":status"]), pairs, b"")
            self.streams[stream] = [answer, bool(flags & END_STREAM)]
        elif kind == DATA and stream in self.streams:
            self.streams[stream][0].body += payload
            self.streams[stream][1] = bool(flags & END_STREAM)
            if payload and self.reads:
                more = struct.pack(">I", len(payload))
                self.frame(WINDOW_UPDATE, 0, 0, more)
                self.frame(WINDOW_UPDATE, 0, stream, more)
        elif kind == RST_STREAM:
            self.streams.setdefault(stream, [Answer(None, [], b"reset"), True])[1] = True
        elif kind == GOAWAY:
            self.goes_away = True
        return kind

    def answer(self, stream, seconds):
        """The whole answer; with the status None if the stream or connection ended first."""
        deadline = time.monotonic() + seconds
        try:
            while stream not in self.streams or not self.streams[stream][1]:
                self.wire.socket.settimeout(max(0.01, deadline - time.monotonic()))
                self.read()
        except Ended as error:
            return Answer(None, [], repr(error).encode())
        answer = self.streams.pop(stream)[0]
        remember_leases(self.instance, answer.body)
        return answer

    def ended(self, seconds):
        """Whether the server ends the connection or a stream within that time."""
        deadline = time.monotonic() + seconds
        try:
            while not self.goes_away:
                self.wire.socket.settimeout(max(0.01, deadline - time.monotonic()))
                if self.read() == RST_STREAM:
                    return True
        except Ended as error:
            return "timed out" not in str(error)
        return True


def frame(kind, flags, stream, payload):
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + struct.pack(">I", stream) + payload
