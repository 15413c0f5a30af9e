#!/usr/bin/python3
"""cloud: as much of STS, S3 and CloudFormation as `osls deploy`, `osls remove` and
`aws cloudformation list-stacks` need.

    cloud DIRECTORY

Listens on a free port of 127.0.0.1 and writes it to DIRECTORY/port. A change of a stack takes
DIRECTORY/seconds (a number; 0 without the file); meanwhile every other change of it is refused, as
CloudFormation does. While DIRECTORY/broken-NAME exists, changes of a stack NAME or …-NAME are refused.
DIRECTORY/changes gets a line for each change that begins: what, and the stack.
"""
import html
import os
import re
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIRECTORY = sys.argv[1]
LOCK = threading.Lock()
OBJECTS = {}  # of S3: bytes by path
STACKS = {}  # by name


def path(name):
    return os.path.join(DIRECTORY, name)


def seconds():
    try:
        with open(path("seconds"), encoding="ascii") as file:
            return float(file.read())
    except FileNotFoundError:
        return 0


def xml(**values):
    """Elements; a list becomes members, None nothing."""
    parts = []
    for name, value in values.items():
        if isinstance(value, list):
            value = "".join("<member>%s</member>" % item for item in value)
        elif value is not None:
            value = value if str(value).startswith("<") else html.escape(str(value))
        if value is not None:
            parts.append("<%s>%s</%s>" % (name, value, name))
    return "".join(parts)


class Refused(Exception):
    pass


class Stack:
    def __init__(self, name):
        self.name = name
        self.arn = "arn:aws:cloudformation:eu-west-1:123456789012:stack/%s/%d" % (name, time.time_ns())
        self.events = []
        self.status = None
        self.done_at = None

    def begin(self, what):
        self.done_at = time.monotonic() + seconds()
        with open(path("changes"), "a", encoding="utf-8") as log:
            log.write("%s %s\n" % (what, self.name))
        self.set_status(what + "_IN_PROGRESS")

    def set_status(self, status):
        self.status = status
        self.events.insert(0, xml(
            StackId=self.arn, StackName=self.name, EventId="event-%d" % len(self.events),
            LogicalResourceId=self.name, PhysicalResourceId=self.arn,
            ResourceType="AWS::CloudFormation::Stack", ResourceStatus=status, Timestamp=now()))

    def look(self):
        """What became of a change meanwhile."""
        if self.done_at is not None and time.monotonic() >= self.done_at:
            self.done_at = None
            self.set_status(self.status.replace("_IN_PROGRESS", "_COMPLETE"))

    def described(self):
        return xml(StackName=self.name, StackId=self.arn, CreationTime=now(), StackStatus=self.status,
                   Outputs=[xml(OutputKey="ServerlessDeploymentBucketName", OutputValue="deploys")])


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def find(name):
    for stack in STACKS.values():
        stack.look()
        if name in (stack.name, stack.arn) and stack.status != "DELETE_COMPLETE":
            return stack
    raise Refused("Stack with id %s does not exist" % name)


def find_to_change(name):
    stack = find(name)
    if stack.done_at is not None:
        raise Refused("Stack:%s is in %s state and can not be updated." % (stack.arn, stack.status))
    check(name)
    return stack


def check(name):
    for file in os.listdir(DIRECTORY):
        if file.startswith("broken-") and ("-" + name).endswith(file[len("broken"):]):
            raise Refused("%s is broken" % name)


def cloudformation(action, form):
    """The result of an action, as XML."""
    name = form.get("StackName")
    if action == "DescribeStacks":
        return xml(Stacks=[find(name).described()])
    if action == "ListStacks":
        for stack in STACKS.values():
            stack.look()
        wanted = {value for key, value in form.items() if key.startswith("StackStatusFilter")}
        return xml(StackSummaries=[stack.described() for stack in STACKS.values()
                                   if not wanted or stack.status in wanted])
    if action == "DescribeStackEvents":
        return xml(StackEvents=list(find(name).events))
    if action == "DescribeStackResource":
        return xml(StackResourceDetail=xml(PhysicalResourceId="deploys"))
    if action in ("DescribeStackResources", "ListStackResources"):
        return xml(StackResourceSummaries=[])
    if action == "ValidateTemplate":
        return xml(Parameters=[])
    if action == "CreateStack":
        check(name)
        stack = STACKS[name] = Stack(name)
        stack.begin("CREATE")
    elif action == "UpdateStack":
        stack = find_to_change(name)
        stack.begin("UPDATE")
    elif action == "DeleteStack":
        stack = find_to_change(name)
        stack.begin("DELETE")
    else:
        raise Refused("%s isn't known here" % action)
    return xml(StackId=stack.arn)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, text=b"", kind="text/xml"):
        data = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("x-amz-bucket-region", "eu-west-1")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_POST(self):
        body = self.body()
        if "delete" in urllib.parse.urlsplit(self.path).query:
            for key in re.findall(rb"<Key>([^<]*)</Key>", body):
                OBJECTS.pop("/deploys/" + key.decode(), None)
            return self.answer(200, "<DeleteResult/>")
        if body.startswith(b"{"):  # of ECR: there is no repository
            return self.answer(400, '{"__type": "RepositoryNotFoundException"}', "application/x-amz-json-1.1")
        form = dict(urllib.parse.parse_qsl(body.decode()))
        action = form.get("Action", "")
        if action == "GetCallerIdentity":
            return self.result(action, xml(Account="123456789012", Arn="arn:aws:iam::123456789012:user/ci",
                                           UserId="ci"))
        try:
            with LOCK:
                self.result(action, cloudformation(action, form))
        except Refused as refused:
            error = xml(Type="Sender", Code="ValidationError", Message=str(refused))
            self.answer(400, "<ErrorResponse><Error>%s</Error></ErrorResponse>" % error)

    def result(self, action, text):
        self.answer(200, "<%sResponse><%sResult>%s</%sResult></%sResponse>" % (
            action, action, text, action, action))

    # S3: one bucket.

    def do_GET(self):
        place = urllib.parse.urlsplit(self.path)
        if "list-type" in place.query:
            query = dict(urllib.parse.parse_qsl(place.query))
            keys = [key[len("/deploys/"):] for key in OBJECTS]
            return self.answer(200, "<ListBucketResult><IsTruncated>false</IsTruncated>%s</ListBucketResult>" % "".join(
                "<Contents>%s</Contents>" % xml(Key=key, LastModified=now(), Size=1)
                for key in sorted(keys) if key.startswith(query.get("prefix", ""))))
        data = OBJECTS.get(urllib.parse.unquote(place.path))
        if data is None and place.path.count("/") > 1:
            return self.answer(404, "<Error><Code>NoSuchKey</Code></Error>")
        return self.answer(200, data or b"")

    do_HEAD = do_GET

    def do_PUT(self):
        OBJECTS[urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)] = self.body()
        self.send_response(200)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", "0")
        self.end_headers()


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(path("port.new"), "w", encoding="ascii") as port:
    port.write("%d\n" % server.server_address[1])
os.rename(path("port.new"), path("port"))
server.serve_forever()
