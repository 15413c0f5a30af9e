#!/usr/bin/python3
"""cloudformation: as much of CloudFormation as `aws cloudformation list-exports` needs.

    cloudformation EXPORTS_FILE PORT_FILE LOG_FILE [PAGE_SIZE]

Listens on a free port of 127.0.0.1 and writes it to PORT_FILE. EXPORTS_FILE ({"name": "value"}) is
read at each call, so that a test's deploy can write to it. LOG_FILE gets a line a call: access key,
region, page token. A missing EXPORTS_FILE makes every call fail with AccessDenied.
"""
import html
import json
import os
import re
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

exports_file, port_file, log_file = sys.argv[1:4]
page_size = int(sys.argv[4]) if len(sys.argv) > 4 else 100


def xml(text):
    return re.sub(r"[\r\n\t]", lambda c: "&#%d;" % ord(c.group()), html.escape(text))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = dict(urllib.parse.parse_qsl(body))
        credential = re.search(r"Credential=([^/]+)/\d+/([^/]+)/cloudformation/", self.headers.get("Authorization", ""))
        start = int(form.get("NextToken", "0"))
        with open(log_file, "a", encoding="utf-8") as log:
            log.write("%s %s %d\n" % (credential[1] if credential else "-", credential[2] if credential else "-", start))
        if form.get("Action") != "ListExports" or not credential:
            return self.answer(400, self.error("InvalidAction"))
        try:
            with open(exports_file, encoding="utf-8") as file:
                exports = sorted(json.load(file).items())
        except FileNotFoundError:
            return self.answer(403, self.error("AccessDenied"))
        members = "".join(
            "<member><ExportingStackId>arn:double</ExportingStackId><Name>%s</Name><Value>%s</Value></member>"
            % (xml(name), xml(value)) for name, value in exports[start:start + page_size])
        more = start + page_size < len(exports)
        token = "<NextToken>%d</NextToken>" % (start + page_size) if more else ""
        self.answer(200, '<ListExportsResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">'
                    "<ListExportsResult><Exports>%s</Exports>%s</ListExportsResult>"
                    "<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></ListExportsResponse>"
                    % (members, token))

    @staticmethod
    def error(code):
        return "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>" % (code, code)

    def answer(self, status, text):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(port_file + ".new", "w", encoding="utf-8") as port:
    port.write("%d\n" % server.server_address[1])
os.rename(port_file + ".new", port_file)
server.serve_forever()
