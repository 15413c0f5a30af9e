"""nginx/openapi.json as a judge of answers. Schemas are JSON Schema 2020-12, checked by python3-jsonschema."""
import json
import os
import re

import jsonschema

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# What can be answered whatever the path and the method are.
ANYWHERE = ("Other", "Unauthorized", "MethodNotAllowed", "BodyTooLarge", "TooManyRequests", "BadGateway",
            "GatewayTimeout")


class Description:
    def __init__(self):
        with open(os.path.join(ROOT, "nginx/openapi.json"), encoding="utf-8") as file:
            self.doc = json.load(file)
        self.validators = {}
        self.seen = set()  # (path, method, status or "default", error code or None)

    def follow(self, node):
        while "$ref" in node:
            at = self.doc
            for part in node["$ref"].removeprefix("#/").split("/"):
                at = at[part.replace("~1", "/").replace("~0", "~")]
            node = at
        return node

    def operations(self):
        for path, methods in self.doc["paths"].items():
            for method, operation in methods.items():
                yield path, method, operation

    def faults_of_value(self, value, schema):
        """What is wrong with a value; [] if nothing."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self.validators:
            whole = {**schema, "components": self.doc["components"]}
            self.validators[key] = jsonschema.Draft202012Validator(whole)
        found = sorted(self.validators[key].iter_errors(value), key=lambda one: list(map(str, one.path)))
        return ["%s: %s" % ("/".join(map(str, one.path)) or "the answer", one.message[:300]) for one in found[:5]]

    def codes(self, schema):
        """{error code: schema} of an error response."""
        schema = self.follow(schema)
        if "oneOf" not in schema and "error" not in schema.get("properties", {}):
            return {}
        return {self.follow(one)["properties"]["error"]["properties"]["code"]["const"]: one
                for one in schema.get("oneOf", [schema])}

    def documented(self):
        """(path, method, status, error code) of all that the description has."""
        for path, method, operation in self.operations():
            for status, response in operation["responses"].items():
                for kind, media in self.follow(response)["content"].items():
                    if status == "200" or kind != "application/json":
                        yield path, method, status, None
                    else:
                        for code in self.codes(media["schema"]):
                            yield path, method, status, code

    def candidates(self, method, path, status, code):
        """The responses that may be meant, each with its place in the document."""
        operation = self.doc["paths"].get(path, {}).get(method.lower().replace("head", "get"))
        if operation:
            for at in (str(status), "default"):
                if at in operation["responses"]:
                    response = self.follow(operation["responses"][at])
                    schema = response["content"].get("application/json", {}).get("schema", {})
                    if at == "200" or code in self.codes(schema):
                        yield at, response
        else:
            for name in ANYWHERE:
                response = self.doc["components"]["responses"][name]
                if code in self.codes(response["content"]["application/json"]["schema"]):
                    yield name, response

    def judge(self, method, path, status, headers, text):
        """What is wrong with an answer; [] if nothing. `headers`: names in lower case."""
        path = re.sub(r"\?.*", "", path)
        kind = headers.get("content-type", "").split(";")[0].strip()
        value = code = None
        if kind == "application/json" and method != "HEAD":
            try:
                value = json.loads(text)
            except ValueError:
                return ["it is not JSON: %r" % text[:200]]
            if status != 200 and isinstance(value, dict) and isinstance(value.get("error"), dict):
                code = value["error"].get("code")
        if method == "HEAD" and status != 200:
            return []  # an error without a body tells no code
        at, response = next(self.candidates(method, path, status, code), (None, None))
        if not response:
            return ["status %s with code %s is not described" % (status, code)]
        self.seen.add((path, method.lower(), at, code))
        if kind not in response["content"]:
            return ["Content-Type %s is not described for %s" % (kind, status)]
        faults = self.faults_of_headers(response, headers)
        if value is not None:
            schema = response["content"][kind]["schema"]
            faults += self.faults_of_value(value, self.codes(schema)[code] if code else schema)
        return faults

    def faults_of_headers(self, response, headers):
        faults = []
        for name, header in response.get("headers", {}).items():
            value = headers.get(name.lower())
            schema = self.follow(header)["schema"]
            if value is None:
                faults.append("header %s is missing" % name)
                continue
            if schema["type"] == "integer" and re.fullmatch(r"\d+", value):
                value = int(value)
            faults += ["header %s: %s" % (name, fault) for fault in self.faults_of_value(value, schema)]
        for name in ("Retry-After", "Allow", "WWW-Authenticate"):
            if name.lower() in headers and name not in response.get("headers", {}):
                faults.append("header %s is not described here" % name)
        return faults
