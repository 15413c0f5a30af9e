"""What benches share: the parts of a private instance and what they take, medians, the machine."""
import glob
import os
import statistics
import subprocess

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Parts:
    """The processes of an instance: program, nginx (its workers), database (if it is its own)."""

    def __init__(self, instance):
        self.pids = {"program": [int(instance.local("pid", "program"))]}
        master = int(instance.local("pid", "nginx"))
        self.pids["nginx"] = [master] + children(master)
        if instance.has_own_database:
            self.pids["database"] = [int(instance.local("pid", "database"))]

    def cpu_seconds(self):
        """{part: seconds of CPU since it started}"""
        return {part: sum(cpu_seconds(pid) for pid in pids) for part, pids in self.pids.items()}

    def resident(self):
        """{part: resident bytes, without what its processes share}"""
        return {part: sum(resident(pid) for pid in pids) for part, pids in self.pids.items()}


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


def resident(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as file:
        sizes = dict(line.split(":", 1) for line in file if ":" in line and "-" not in line.split()[0])
    private = ("Private_Clean", "Private_Dirty")
    return sum(int(sizes[name].split()[0]) * 1024 for name in private)


def spread(values, digits=0):
    """Median and range, as text."""
    return "%.*f [%.*f-%.*f]" % (digits, statistics.median(values), digits, min(values),
                                 digits, max(values))


def first_line(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        return done.stdout.strip().splitlines()[0]
    except (OSError, IndexError):
        return command[0] + " is missing"


def machine():
    """The machine and the versions, in two lines."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    database = next((name for name in ("mariadbd", "mysqld")
                     if subprocess.run(["sh", "-c", "PATH=$PATH:/usr/sbin command -v " + name],
                                       stdout=subprocess.DEVNULL, check=False).returncode == 0), "mysqld")
    return "%d × %s, load %.1f\n%s; %s; Linux %s" % (
        os.cpu_count(), models[0] if models else os.uname().machine, os.getloadavg()[0],
        first_line("env", "PATH=" + os.environ["PATH"] + ":/usr/sbin", "nginx", "-v"),
        first_line("env", "PATH=" + os.environ["PATH"] + ":/usr/sbin", database, "--version"),
        os.uname().release)
