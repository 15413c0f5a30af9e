"""The parts of what is measured: processes and what they take, and the machine."""
import glob
import os
import subprocess

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Parts:
    """Processes by what they are, and what they take."""

    def __init__(self, pids):
        self.pids = pids

    def cpu_seconds(self):
        """{part: seconds of CPU since it started}"""
        return {part: sum(cpu_seconds(pid) for pid in pids) for part, pids in self.pids.items()}

    def resident(self):
        """{part: resident bytes, without what its processes share}"""
        return {part: sum(resident(pid) for pid in pids) for part, pids in self.pids.items()}


def of_instance(instance):
    """Program, nginx (with its workers), database (if it is the instance's own)."""
    nginx = int(instance.local("pid", "nginx"))
    pids = {"nginx": [nginx] + children(nginx), "program": [int(instance.local("pid", "program"))]}
    if instance.has_own_database:
        pids["database"] = [int(instance.local("pid", "database"))]
    return Parts(pids)


def children(parent):
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(path.split("/")[2]))
    return found


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def machine_seconds():
    """Seconds of CPU that all processes took together, and that the host took from this machine."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    return sum(fields[:3]) / TICK, (fields[7] if len(fields) > 7 else 0) / TICK


def resident(pid, kinds=("Private_Clean", "Private_Dirty")):
    """Bytes; ("Rss",): with what it shares."""
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as file:
        sizes = dict(
            line.split(":", 1) for line in file if ":" in line and "-" not in line.split()[0]
        )
    return sum(int(sizes[kind].split()[0]) * 1024 for kind in kinds)


def first_line(*command):
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return done.stdout.strip().splitlines()[0]
    except (OSError, IndexError):
        return command[0] + " is missing"


def machine():
    """{what: which} of the machine and the versions."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) / 1024 / 1024
    path = "PATH=%s:/usr/sbin" % os.environ["PATH"]
    database = next(
        (
            name
            for name in ("mariadbd", "mysqld")
            if subprocess.run(
                ["env", path, "sh", "-c", "command -v " + name],
                stdout=subprocess.DEVNULL,
                check=False,
            ).returncode
            == 0
        ),
        "mysqld",
    )
    return {
        "processors": "%d × %s" % (os.cpu_count(), models[0] if models else os.uname().machine),
        "memory": "%.0f GiB" % memory,
        "kernel": "Linux " + os.uname().release,
        "nginx": first_line("env", path, "nginx", "-v").replace("nginx version: ", ""),
        "database": first_line("env", path, database, "--version"),
        "load generators": "tests/bench/*.c; " + first_line("wrk", "-v").split("[")[0].strip(),
    }
