#!/usr/bin/python3
"""cloudformation: as much of CloudFormation as `aws cloudformation list-exports` and `describe-stacks` need.

    cloudformation EXPORTS_FILE PORT_FILE LOG_FILE [PAGE_SIZE]

Listens on a free port of 127.0.0.1 and writes it to PORT_FILE. EXPORTS_FILE ({"name": "value"}) is
read at each call, so that a test's deploy can write to it. LOG_FILE gets a line a call: access key,
region, page token or stack. A missing EXPORTS_FILE makes every call fail with AccessDenied.
EXPORTS_FILE.stacks ({"stack": {"output": "value"}}) has the outputs of stacks. EXPORTS_FILE.throttle (a
number) says how many calls are refused with Throttling first.
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


def throttled():
    try:
        with open(exports_file + ".throttle", encoding="ascii") as file:
            left = int(file.read())
    except FileNotFoundError:
        return False
    if left > 0:
        with open(exports_file + ".throttle", "w", encoding="ascii") as file:
            file.write("%d\n" % (left - 1))
    return left > 0


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
            log.write("%s %s %s\n" % (credential[1] if credential else "-", credential[2] if credential else "-",
                                      form.get("StackName", start)))
        if form.get("Action") not in ("ListExports", "DescribeStacks") or not credential:
            return self.answer(400, self.error("InvalidAction"))
        if throttled():
            return self.answer(400, self.error("Throttling"))
        if form["Action"] == "DescribeStacks":
            return self.describe(form.get("StackName"))
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

    def describe(self, name):
        with open(exports_file + ".stacks", encoding="utf-8") as file:
            stack = json.load(file).get(name)
        if stack is None:
            return self.answer(400, self.error("ValidationError", "Stack with id %s does not exist" % name))
        outputs = "".join("<member><OutputKey>%s</OutputKey><OutputValue>%s</OutputValue></member>" % (xml(key), xml(value))
                          for key, value in stack.items())
        self.answer(200, '<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">'
                    "<DescribeStacksResult><Stacks><member><StackName>%s</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime>"
                    "<StackStatus>CREATE_COMPLETE</StackStatus><Outputs>%s</Outputs></member></Stacks></DescribeStacksResult>"
                    "<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></DescribeStacksResponse>" % (name, outputs))

    @staticmethod
    def error(code, text=None):
        return "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>" % (code, text or code)

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
