"""HTTPS/1.1 for benches: one kept-alive connection that costs little, and that can be asked
whether its answer is there without waiting for it."""
import json
import select
import socket
import ssl


class Refused(Exception):
    """An answer that the bench doesn't expect."""


class Wire:
    """One connection; one call at a time."""

    def __init__(self, instance, key):
        self.address = ("127.0.0.1", instance.port)
        self.tls = instance.tls
        self.head = "Host: localhost\r\nX-API-Key: %s\r\n" % key if key else "Host: localhost\r\n"
        self.socket = None
        self.buffer = b""

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        if self.socket:
            self.socket.close()
            self.socket = None

    def connect(self):
        self.close()
        plain = socket.create_connection(self.address)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = self.tls.wrap_socket(plain, server_hostname="localhost")
        self.socket.setblocking(False)
        self.buffer = b""

    def send(self, path, body=None):
        """Sends a call; take() or wait() must follow. `body`: bytes of JSON; None: a GET."""
        if self.socket is None or self.has_ended():
            self.connect()
        if body is None:
            data = ("GET %s HTTP/1.1\r\n%s\r\n" % (path, self.head)).encode()
        else:
            data = ("POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n" %
                    (path, self.head, len(body))).encode() + body
        while data:
            try:
                data = data[self.socket.send(data):]
            except ssl.SSLWantWriteError:
                select.select([], [self.socket], [])
            except ssl.SSLWantReadError:
                select.select([self.socket], [], [])

    def has_ended(self):
        """Whether the server closed the connection, which it does with one that is idle for long."""
        try:
            return not self.socket.recv(1)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            return True

    def take(self):
        """(status, the answer's JSON), or None: it isn't there yet. TLS session tickets make a
        connection readable before anything was answered, so being readable proves nothing."""
        while True:
            try:
                piece = self.socket.recv(65536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return None
            if not piece:
                raise ConnectionError("the connection ended before the answer")
            self.buffer += piece
            answer = self.parse()
            if answer:
                return answer

    def parse(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self.buffer[:end].lower()
        start = end + 4
        if b"transfer-encoding: chunked" in head:
            body = b""
            while True:
                line = self.buffer.find(b"\r\n", start)
                if line < 0:
                    return None
                size = int(self.buffer[start:line], 16)
                if len(self.buffer) < line + 2 + size + 2:
                    return None
                body += self.buffer[line + 2:line + 2 + size]
                start = line + 2 + size + 2
                if size == 0:
                    break
        else:
            size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            if len(self.buffer) < start + size:
                return None
            body = self.buffer[start:start + size]
            start += size
        self.buffer = self.buffer[start:]
        if b"connection: close" in head:
            self.close()
        return int(head[9:12]), json.loads(body)

    def wait(self, seconds=30):
        """As take(), but waits for the answer."""
        while True:
            answer = self.take()
            if answer:
                return answer
            if not select.select([self.socket], [], [], seconds)[0]:
                raise TimeoutError("no answer within %s s" % seconds)

    def call(self, path, body=None):
        """One exchange; `body`: what becomes JSON, or bytes of it."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send(path, body)
        return self.wait()

    def must(self, path, body=None):
        """One exchange that must succeed: the answer's JSON."""
        status, answer = self.call(path, body)
        if status != 200:
            raise Refused("%s: %s %s" % (path, status, answer))
        return answer
