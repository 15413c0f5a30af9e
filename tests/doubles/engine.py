#!/usr/bin/python3
"""engine: as much of Docker's engine as `docker create` needs.

    engine PORT_FILE CONTAINER_FILE

Listens on a free port of 127.0.0.1 and writes it to PORT_FILE. What a client asks to create is written to CONTAINER_FILE.
"""
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port_file, container_file = sys.argv[1:]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    def do_GET(self):
        self.answer(200 if self.path.endswith("_ping") else 404, "{}")

    do_HEAD = do_GET

    def read_chunked(self):
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def do_POST(self):
        length = self.headers.get("Content-Length")
        body = self.rfile.read(int(length)) if length else self.read_chunked()
        with open(container_file, "wb") as file:
            file.write(body)
        self.answer(201, '{"Id": "1", "Warnings": []}')


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(port_file + ".new", "w", encoding="ascii") as port:
    port.write("%d\n" % server.server_address[1])
os.rename(port_file + ".new", port_file)
server.serve_forever()
