#!/usr/bin/env python3
"""nginx/openapi.json says what the source says: routes, roles, fields, limits, words, errors. Prints TAP.

Needs nothing but Python. What the service really answers is judged by tests/openapi.
"""
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def source(endings):
    """All files of the program with one of these endings, in one text."""
    names = sorted(os.path.join(folder, name) for folder, _, files in os.walk(os.path.join(ROOT, "fcgi"))
                   for name in files if name.endswith(endings))
    return "\n".join(read(name) for name in names)


def no_repeats(pairs):
    """For json.loads: a name that stands twice would hide the first one."""
    names = [name for name, _ in pairs]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ValueError("openapi.json has names twice: %s" % ", ".join(sorted(repeated)))
    return dict(pairs)


DOC = json.loads(read("nginx/openapi.json"), object_pairs_hook=no_repeats)
SCHEMAS = DOC["components"]["schemas"]
API = read("fcgi/api/api.c")
BODY = read("fcgi/api/api_body.c")
QUERY = read("fcgi/api/api_query.c")
SOURCE = source(".c")
FAULTS = []


def fault(text, *values):
    FAULTS.append(text % values)


def same(what, ours, theirs):
    """Two sets that must be equal: in openapi.json, and in the source."""
    for name in sorted(set(theirs) - set(ours), key=str):
        fault("%s: %s is in the source, not in openapi.json", what, name)
    for name in sorted(set(ours) - set(theirs), key=str):
        fault("%s: %s is in openapi.json, not in the source", what, name)


def follow(node):
    while isinstance(node, dict) and "$ref" in node:
        at = DOC
        for part in node["$ref"].removeprefix("#/").split("/"):
            at = at[part.replace("~1", "/").replace("~0", "~")]
        node = at
    return node


def operations():
    for path, methods in DOC["paths"].items():
        for method in METHODS:
            if method in methods:
                yield path, method, methods[method]


def constant(text):
    """The value of a C expression of numbers, operators and #define names."""
    names = dict(re.findall(r"^#define (\w+)\s+(.+?)(?:\s*/\*.*)?$",
                            source((".c", ".h")), re.M))
    names["INT64_MAX"] = str(2 ** 63 - 1)
    while True:
        more = re.sub(r"\b[A-Z]\w*\b", lambda found: "(%s)" % names[found[0]], text)
        if more == text:
            break
        text = more
    text = re.sub(r"(?<=\d)[uUlL]+\b", "", text)
    if not re.fullmatch(r"[-\d*+() ]+", text):
        raise ValueError("not a number: " + text)
    return eval(text)  # pylint: disable=eval-used # only digits and operators


# --- Routes ---

def routes():
    """{path: (method, role, function that reads the body)}"""
    found = {}
    for path, role, answer, body in re.findall(
            r'^    \{"(/\w+)", ROLE_(\w+), (\w+), \w+, (\w+)\},$', API, re.M):
        found[path] = ("get" if answer != "NULL" else "post", role.lower(), body)
    return found


def check_routes():
    served = {path: "get" for path in re.findall(r'location = (/\S*) \{\s*include "@ETC@/page\.conf"',
                                                 read("nginx/server.conf"))}
    same("routes", {(path, method) for path, method, _ in operations()},
         {(path, method) for path, (method, _, _) in routes().items()} | set(served.items()))
    for path, _, operation in operations():
        roles = [role for need in operation["security"] for role in need["key"]]
        role = routes()[path][1] if path in routes() else "none"
        if roles != ([] if role == "none" else [role]):
            fault("%s: role %s in the source, %s in openapi.json", path, role, roles)
    if len({operation["operationId"] for _, _, operation in operations()}) != len(list(operations())):
        fault("an operationId stands twice")


# --- Bodies ---

def functions():
    return {name: body for name, body in
            re.findall(r"^[\w* ]+?\b(\w+)\(struct fields \*fields[^{;]*\)\n\{\n(.*?)^\}", BODY, re.M | re.S)}


def merge(found, more):
    for key, calls in more.items():
        found.setdefault(key, {}).update(calls)


def fields_of(name, known):
    """{(object, field): (kind, limits)} that a function reads, with those that it calls."""
    found = {}
    text = known[name]
    inside = {"fields": "", **{inner: field + "." for field, inner in
                               re.findall(r'fields_object\(fields, "(\w+)", &(\w+)\)', text)}}
    for call in re.findall(r"\b(?:fields|read)_(?:\w+)\([^;]*?\)(?=[;)])", text):
        kind, where, field, rest = (re.match(
            r'(\w+)\(&?(\w+), "(\w+)"(?:, (.*))?\)$', " ".join(call.split())) or
            re.match(r"(\w+)\(()()()", call)).groups()
        if kind in known and not field:
            merge(found, fields_of(kind, known))
        elif field and kind != "fields_fail":
            found.setdefault((inside[where], field), {})[kind] = [part.strip() for part in (rest or "").split(",")]
    for helper in re.findall(r"\b(api_body_\w+|read_\w+)\(fields, (?:call, )?command\);", text):
        merge(found, fields_of(helper, known))
    return found


def plain(schema):
    """A schema without its reference and without `or null`."""
    schema = follow(schema)
    if "anyOf" in schema:
        schema = follow(next(one for one in schema["anyOf"] if one.get("type") != "null"))
    return schema


def check_field(path, name, schema, calls, required):
    schema = plain(schema)
    types = schema.get("type")
    types = [one for one in (types if isinstance(types, list) else [types]) if one != "null"]
    if ("fields_require" in calls) != required:
        fault("%s: %s is required in one place only", path, name)
    for kind, rest in calls.items():
        wanted = {"fields_text": "string", "fields_word": "string", "fields_url": "string",
                  "fields_lease_id": "string", "fields_bool": "boolean", "fields_units": "object",
                  "fields_object": "object", "fields_integer": "integer", "fields_marks": "object",
                  "fields_names": "array", "fields_durations": "object",
                  "read_seconds": "integer"}.get(kind)
        if wanted and types != [wanted]:
            fault("%s: %s is %s in the source, %s in openapi.json", path, name, wanted, types)
        if wanted == "integer":
            limits = [constant(part) for part in rest[:2]]
            if limits != [schema.get("minimum"), schema.get("maximum")]:
                fault("%s: %s is from %s to %s in the source", path, name, *limits)
        longest = {"fields_text": lambda: constant(rest[0]), "fields_url": lambda: constant("FIELD_URL_MAX"),
                   "fields_lease_id": lambda: constant("FIELD_NAME_MAX")}.get(kind)
        # A shorter one is checked beside it, as for `prefix`.
        if longest and schema.get("maxLength", 10 ** 9) > longest():
            fault("%s: %s has %d bytes at most in the source", path, name, longest())
        if kind in ("fields_units", "fields_marks", "fields_names", "fields_durations") and \
                schema.get("maxItems", schema.get("maxProperties")) != constant("FIELD_UNITS_MAX"):
            fault("%s: %s has another largest number of units in the source", path, name)


ONE_OF_TWO = {"/cancelRequest": "requestId", "/markUnits": "units"}


def check_bodies():
    known = functions()
    for path, (method, _, body) in routes().items():
        if method != "post" or path not in DOC["paths"]:
            continue
        content = DOC["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        schema = follow(content["schema"])
        found = fields_of(body, known)
        # One of two is needed there, which no list of required fields can say.
        if path in ONE_OF_TWO:
            found["", ONE_OF_TWO[path]].pop("fields_require", None)
        ours = {("", name): (one, name in schema.get("required", []))
                for name, one in schema["properties"].items()}
        for name, one in schema["properties"].items():
            if name == "job":
                ours.update({("job.", inner): (field, False)
                             for inner, field in plain(one)["properties"].items()})
        same("fields of " + path, ours, found)
        for name in set(ours) & set(found):
            check_field(path, "".join(name), ours[name][0], found[name], ours[name][1])


def check_queries():
    names = re.search(r"filter_names\[\] = \{(.*?)\}", QUERY, re.S)[1]
    ours = {name: one["schema"] for name, one in DOC["components"]["parameters"].items()
            if one["in"] == "query"}
    # Two have a meaning of their own in /status.
    view = [{"limit": "viewLimit", "state": "viewState"}.get(name, name) for name in re.findall(
        r'"(\w+)"', re.search(r"view_names\[\] = \{(.*?)\}", QUERY, re.S)[1])]
    same("query parameters", set(ours),
         {*re.findall(r'"(\w+)"', names), *view, "targetSeconds", "after"})
    if ours["viewLimit"].get("maximum") != constant("READER_VIEW_MAX"):
        fault("limit of /status: %s in openapi.json", ours["viewLimit"])
    limits = [ours["limit"].get(key) for key in ("maximum", "default")]
    if limits != [constant("READER_LIMIT_MAX")] * 2:
        fault("limit: %s in openapi.json", limits)
    limits = [ours["targetSeconds"].get(key) for key in ("maximum", "default")]
    if limits != [constant("TARGET_MAX_S"), constant("API_TARGET_S")]:
        fault("targetSeconds: %s in openapi.json", limits)


# --- Words ---

def check_words():
    words = read("fcgi/rules/words.c")

    def table(name):
        return re.findall(r'"(\w+)"', re.search(name + r"\[\] = \{(.*?)\};", words, re.S)[1])

    same("states of a stack", SCHEMAS["StackState"]["enum"], set(table("stack_states")) - {"deleted"})
    same("states of an ended request", SCHEMAS["EndState"]["enum"],
         set(table("lease_states")) - {"waiting", "active"})
    same("outcomes", SCHEMAS["Outcome"]["enum"], table("outcomes"))
    same("purposes", SCHEMAS["Purpose"]["enum"], table("purposes"))
    same("contents of a mark", set(SCHEMAS["SetLastDeployedCommit"]["properties"]["content"]["enum"]) - {None},
         table("marks"))
    version = re.search(r"^VERSION := (\S+)$", read("Makefile"), re.M)[1]
    if DOC["info"]["version"] != version:
        fault("the version is %s in the Makefile, %s in openapi.json", version, DOC["info"]["version"])


# --- Answers ---

def schema_errors(schema):
    schema = follow(schema)
    for one in schema.get("oneOf", [schema]):
        yield follow(one)["properties"]["error"]["properties"]["code"]["const"]


def documented_errors():
    """(status, code) of every operation; what `default` has, without a status."""
    for path, method, operation in operations():
        for status, response in operation["responses"].items():
            response = follow(response)
            if status != "200":
                for code in schema_errors(response["content"]["application/json"]["schema"]):
                    yield path, method, status, code


def check_errors():
    theirs = set(re.findall(r'response_error\(\s*\w+,\s*(\d{3}),\s*"(\w+)"', SOURCE))
    theirs |= set(re.findall(r'\{\s*(\d{3}),\s*"(\w+)",', SOURCE))
    theirs |= set(re.findall(r"return (\d{3}) '\{\"error\":\{\"code\":\"(\w+)\"", read("nginx/errors.conf")))
    codes = {code for _, code in theirs}
    for call in re.findall(r"response_open_error\(([^;]*);", SOURCE):
        codes |= set(re.findall(r'"([a-z][A-Za-z]+)"', call))
    documented = list(documented_errors())
    same("error codes", {code for _, _, _, code in documented}, codes)
    for path, method, status, code in documented:
        if status != "default" and code in {code for _, code in theirs} and (status, code) not in theirs:
            fault("%s %s: %s has another status than %s in the source", method, path, code, status)
    same("examples of errors", DOC["components"]["examples"], codes)
    for code, example in DOC["components"]["examples"].items():
        if example["value"]["error"]["code"] != code:
            fault("the example %s shows another code", code)


def answer_schemas():
    """Every object schema that an answer may hold."""
    seen = []

    def visit(node):
        node = follow(node)
        if any(node is one for one in seen):
            return
        seen.append(node)
        for key in ("oneOf", "anyOf", "allOf"):
            for one in node.get(key, []):
                visit(one)
        for one in node.get("properties", {}).values():
            visit(one)
        if "items" in node:
            visit(node["items"])

    for path, _, operation in operations():
        for status, response in operation["responses"].items():
            if (path, status) != ("/openapi.json", "200"):  # that one is this file
                for media in follow(response)["content"].values():
                    visit(media["schema"])
    return [node for node in seen if "properties" in node]


def check_answers():
    names = set()
    for node in answer_schemas():
        names |= set(node["properties"])
        if node.get("additionalProperties") is not False or "required" not in node:
            fault("an answer is not strict: %s", json.dumps(node)[:100])
    literals = set(re.findall(r'"(\w+)"', SOURCE))
    for name in sorted(names - literals):
        fault("no answer of the source has a member %s", name)
    for name in sorted(set(re.findall(
            r'\b(?:json|reader)_(?:put|open)_\w+\(\s*[\w>-]+,\s*"(\w+)"', SOURCE)) - names):
        fault("no answer of openapi.json has the member %s", name)


HEADERS = {"401": "WWW-Authenticate", "405": "Allow", "429": "Retry-After", "502": "Retry-After",
           "503": "Retry-After", "504": "Retry-After"}


def check_operations():
    for path, method, operation in operations():
        where = "%s %s" % (method, path)
        for status, response in operation["responses"].items():
            if status in HEADERS and HEADERS[status] not in follow(response).get("headers", {}):
                fault("%s: %s has no %s", where, status, HEADERS[status])
        wanted = {"200", "405", "429", "default"} | ({"401"} if operation["security"] else set())
        if wanted - set(operation["responses"]):
            fault("%s: the statuses %s are missing", where, wanted - set(operation["responses"]))
        if not operation.get("summary") or not operation.get("description"):
            fault("%s is not described", where)
        if method == "post" and not operation["requestBody"]["content"]["application/json"]["examples"]:
            fault("%s has no example", where)
        for status, response in operation["responses"].items():
            for kind, media in follow(response)["content"].items():
                if kind == "application/json" and not media.get("examples") and path != "/openapi.json":
                    fault("%s: %s has no example", where, status)


def check_references():
    used = set()

    def visit(node):
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                used.add(node["$ref"])
                follow(node)
            for value in node.values():
                visit(value)
        elif isinstance(node, list):
            for value in node:
                visit(value)

    visit(DOC)
    for group, entries in DOC["components"].items():
        for name in entries:
            if group != "securitySchemes" and "#/components/%s/%s" % (group, name) not in used:
                fault("components/%s/%s is used by nothing", group, name)


CHECKS = [("routes, methods and roles are those of api.c and of nginx", check_routes),
          ("the fields of each body, their types and limits are those of api_body.c", check_bodies),
          ("query parameters are those of api_query.c", check_queries),
          ("states, outcomes, purposes and the version are those of the source", check_words),
          ("error codes and their statuses are those of the program and of nginx", check_errors),
          ("answers are strict, and have the members that the source writes", check_answers),
          ("every operation is described, with examples, errors and their headers", check_operations),
          ("every reference leads somewhere, and every component is used", check_references)]


def main():
    print("1..%d" % len(CHECKS))
    failed = 0
    for number, (name, check) in enumerate(CHECKS, 1):
        FAULTS.clear()
        try:
            check()
        except Exception as error:  # pylint: disable=broad-except # a changed source, not a crash
            fault("the check itself failed: %r", error)
        failed += bool(FAULTS)
        print("%s %d - openapi.json: %s" % ("not ok" if FAULTS else "ok", number, name))
        for text in FAULTS:
            print("#   " + text)
    sys.exit(1 if failed else 0)


main()
