#!/usr/bin/env python3
"""Metrics, alert rules and dashboard, judged by promtool. Prints TAP.

promtool comes out of Debian's package `prometheus`, unpacked into build/: installed, the package would
start a service.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

from service import ROOT, Client, Instance, Tap  # noqa: E402

RULES = os.path.join(ROOT, "scripts/monitoring/alerts.yml")
DASHBOARD = os.path.join(ROOT, "scripts/monitoring/grafana.json")


def run(*command, **options):
    """(whether it succeeded, what it printed)"""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          **options)
    return done.returncode == 0, done.stdout


def promtool():
    """Where it is."""
    found = shutil.which("promtool")
    if found:
        return found
    folder = os.path.join(ROOT, "build/prometheus")
    path = os.path.join(folder, "usr/bin/promtool")
    if not os.path.exists(path):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        # As root, apt would download as a user of its own, who may not write here.
        good, text = run("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", "prometheus", cwd=folder)
        packages = glob.glob(os.path.join(folder, "*.deb"))
        if not good or not packages:
            raise RuntimeError("apt-get download prometheus: " + text)
        subprocess.run(["dpkg-deb", "-x", packages[0], folder], check=True)
        os.remove(packages[0])
    return path


def expressions():
    """Every query of the dashboard, with its variables filled in."""
    with open(DASHBOARD, encoding="utf-8") as file:
        dashboard = json.load(file)
    found = [one["expr"] for one in dashboard["annotations"]["list"]]
    for panel in dashboard["panels"]:
        found += [target["expr"] for target in panel.get("targets", [])]
    for name, value in (("$__rate_interval", "5m"), ("$__interval", "1m"), ("$project", ".*")):
        found = [text.replace(name, value) for text in found]
    return found


def output():
    """Of a program that has lent a stack."""
    instance = Instance("metrics")
    key, = instance.project("shop", roles=("admin",))
    with Client(instance, key) as client:
        client.call("/requestStack", {"units": {"a": "1"}})
        client.call("/releaseStack", {"stackName": "test-1"})
        client.send("/metrics")
        return client.connection.getresponse().read().decode()


def main():
    tool = promtool()
    tap = Tap(4)
    good, text = run(tool, "check", "rules", "--lint-fatal", RULES)
    tap.result(good, "promtool check rules", [] if good else [text])
    good, text = run(tool, "test", "rules", os.path.join(HERE, "alerts.yml"))
    tap.result(good, "promtool test rules: they fire when they should", [] if good else [text])
    rules = [{"record": "dashboard:query%d" % number, "expr": text} for number, text in enumerate(expressions())]
    path = os.path.join(ROOT, "build/prometheus-dashboard.json")  # JSON is YAML
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
    good, text = run(tool, "check", "rules", path)
    tap.result(good and bool(rules), "the dashboard's %d queries are valid" % len(rules), [] if good else [text])
    metrics = output()
    good, text = run(tool, "check", "metrics", input=metrics)
    tap.result(good and not text.strip() and bool(re.search("^stack_orchestrator_grants_total.* 1$", metrics, re.M)),
               "promtool check metrics", [text])
    tap.exit()


main()
