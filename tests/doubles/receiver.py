#!/usr/bin/python3
"""receiver: a receiver of notifications that fails at times.

    receiver DIRECTORY

Listens on a free port of 127.0.0.1 and writes it to DIRECTORY/port. Of three requests it answers one 500, keeps one and
drops its connection without an answer, and keeps one and answers 204. DIRECTORY/kept gets a line for each that it kept:
the signature and the body, as JSON.
"""
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

DIRECTORY = sys.argv[1]


class Receiver(BaseHTTPRequestHandler):
    count = 0

    def do_POST(self):  # pylint: disable=invalid-name # the library's name
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        Receiver.count += 1
        turn = Receiver.count % 3
        if turn != 1:
            with open(os.path.join(DIRECTORY, "kept"), "a", encoding="utf-8") as file:
                file.write(json.dumps({"signature": self.headers["X-Signature-256"], "body": body}) + "\n")
        if turn != 2:
            self.send_response(500 if turn == 1 else 204)
            self.end_headers()
        self.close_connection = True

    def log_message(self, *_arguments):  # pylint: disable=arguments-differ # nobody reads it
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
with open(os.path.join(DIRECTORY, "port.new"), "w", encoding="ascii") as file:
    file.write("%d\n" % server.server_port)
os.rename(os.path.join(DIRECTORY, "port.new"), os.path.join(DIRECTORY, "port"))
server.serve_forever()
