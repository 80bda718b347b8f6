"""A budget in CPU-seconds, not in minutes: the run fails where all of it takes more than 800, where
a test without a mark takes more than one and tests/dear.txt gives no reason for it, or where more
than 25 tests start an interpreter with Assay.

Counted are each process of pytest and every process that it started, ended or not; waiting costs
nothing. Imports, fixtures that several tests share, full passes of the garbage collector, and
collecting have rows of their own in the table, so a test pays for none of them because it came
first. A server that tests share is counted for whichever test asks it.

The same work takes more CPU-seconds where another program shares the core's caches, or on a slower
core. So each process now and then times a fixed piece of work, and where that takes longer than
here, the counts are divided by as much. A faster machine changes nothing."""

import gc
import importlib.machinery
import math
import os
import re
import resource
import statistics
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

DEAR = Path(__file__).parent / "dear.txt"
IN_ALL = 800.0
"""CPU-seconds of the whole run."""
OF_A_TEST = 1.0
"""CPU-seconds of a test that has neither a mark nor a line."""
NOISE = 4.0
"""How many times that a test must take to fail the run. One measurement varies with what else runs,
browsers most, and the first test of a process also pays for what is filled on first use."""
LINES = 40
STARTS = 25
"""Tests that start an interpreter with Assay: where workers, a start, a signal or an end is tested.
What tests share is none of theirs."""
PIECE = 0.0045
"""CPU-seconds of the fixed piece of work on a quiet core of the machine that the limits are for."""
PAUSE = 20.0
"""Seconds between two pieces of work."""
MARKS = ("slow", "thorough")
ASSAY = re.compile(r"(^|\s-[cm] |bin/|[;|&(\n]\s*)assay\b|\b(from|import) assay\b")
"""What the words of a process have that imports Assay."""
TICKS = os.sysconf("SC_CLK_TCK")


def ended():
    """Sum the CPU-seconds of this process, and of its children that have ended."""
    parts = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, parts))


class Descendants:
    """The processes that this one started, and those that they started, while they run."""

    def __init__(self):
        self.family, self.seen = {os.getpid()}, {os.getpid()}

    def spent(self):
        """Sum their CPU-seconds, with those of their children that have ended.

        Most processes are of others, so each is looked at once."""
        there = {int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}
        new = {pid: stat(pid) for pid in there - self.seen}
        self.seen, self.family = self.seen & there | new.keys(), self.family & there
        while more := {p for p, (parent, _) in new.items() if parent in self.family} - self.family:
            self.family |= more
        return sum(stat(pid)[1] for pid in self.family if pid != os.getpid())


def stat(pid):
    """Give the parent of a process, and its CPU-seconds; zeros where it has just ended."""
    try:
        # the name of a process is in brackets and may hold spaces
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0, 0.0
    return int(fields[1]), sum(map(int, fields[11:15])) / TICKS


def piece():
    """Time a fixed piece of work, in CPU-seconds: arithmetic and memory, as tests need both."""
    begun = time.process_time()
    table = {}
    for n in range(40_000):
        table[n * 7919 % 9973] = table.get(n % 9973, 0.0) * 0.5 + n
    return time.process_time() - begun


def slowness(pieces):
    """Say how many times slower than the limits assume this process runs, at least 1."""
    return max(1.0, statistics.median(pieces) / PIECE) if pieces else 1.0


def reasons(text):
    """Read the lines `TEST  SECONDS  REASON`, and give each test's reason."""
    rows = [line.split(maxsplit=2) for line in text.splitlines() if line and line[0] != "#"]
    wrong = [" ".join(row) for row in rows if len(row) < 3 or not row[1].replace(".", "").isdigit()]
    if wrong:
        raise pytest.UsageError(f"{DEAR.name}: a line is a test, seconds and a reason: {wrong[0]}")
    return {test: reason for test, _, reason in rows}


class Imports:
    """Counts the CPU-seconds in which modules are executed for the first time."""

    def __init__(self):
        self.spent, self.depth = 0.0, 0
        self.plain = importlib.machinery.SourceFileLoader.exec_module

    def start(self):
        """Count from now on."""
        plain = self.plain

        def exec_module(loader, module):
            begun = time.process_time()
            self.depth += 1
            try:
                plain(loader, module)
            finally:
                self.depth -= 1
                if not self.depth:
                    self.spent += time.process_time() - begun

        importlib.machinery.SourceFileLoader.exec_module = exec_module

    def stop(self):
        """Count no longer."""
        importlib.machinery.SourceFileLoader.exec_module = self.plain


class Collector:
    """Counts the CPU-seconds of full passes of the garbage collector.

    A full pass looks at everything that is alive, which all tests before have left there."""

    def __init__(self):
        self.spent = self.begun = 0.0

    def note(self, phase, info):
        """Be called by Python before and after each pass."""
        if info["generation"] == 2:
            now = time.process_time()
            self.spent += now - self.begun if phase == "stop" else 0.0
            self.begun = now

    def start(self):
        """Count from now on."""
        gc.callbacks.append(self.note)

    def stop(self):
        """Count no longer."""
        gc.callbacks.remove(self.note)


class Starts:
    """Counts how often an interpreter was started that imports Assay; forks import nothing."""

    def __init__(self):
        self.times, self.plain = 0, subprocess.Popen.__init__

    def start(self):
        """Count from now on."""

        def popen(process, args, *more, **named):
            words = args if isinstance(args, str) else " ".join(map(str, args))
            self.times += bool(ASSAY.search(words))
            self.plain(process, args, *more, **named)

        subprocess.Popen.__init__ = popen

    def stop(self):
        """Count no longer."""
        subprocess.Popen.__init__ = self.plain


class Meter:
    """In the process that runs tests: what each test costs, and what they share."""

    def __init__(self):
        self.imports, self.descendants = Imports(), Descendants()
        self.collector, self.starts = Collector(), Starts()
        self.shared = Counter()
        self.pieces = [piece()]
        self.timed = time.monotonic()

    def spent(self):
        """Give the CPU-seconds so far, with all children."""
        return ended() + (self.descendants.spent() if has_children() else 0.0)

    def alone(self):
        """Give the CPU-seconds so far that a test is to pay for."""
        return self.spent() - self.imports.spent - self.collector.spent - self.shared.total()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item):
        if time.monotonic() - self.timed > PAUSE:
            self.pieces.append(piece())
            self.timed = time.monotonic()
        item.stash[BEFORE] = self.alone()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item):
        before = self.starts.times
        try:
            return (yield)
        finally:
            item.stash[STARTED] = self.starts.times > before

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item):
        try:
            return (yield)
        finally:
            cost = max(0.0, self.alone() - item.stash[BEFORE]) / slowness(self.pieces)
            marked = any(item.get_closest_marker(mark) for mark in MARKS)
            item.user_properties.append(("cpu", [cost, marked, item.stash.get(STARTED, False)]))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef, request):
        if fixturedef.scope == "function":
            return (yield)
        before = self.alone()  # a fixture that this one asks for is counted by itself
        try:
            return (yield)
        finally:
            name = f"{fixturedef.baseid or 'tests'} {fixturedef.argname}"
            self.shared[name] += self.alone() - before

    def totals(self, children=True):
        """Give what this process and its children took, and what tests shared."""
        self.pieces.append(piece())
        slow = slowness(self.pieces)
        return {
            "all": (self.spent() if children else time.process_time()) / slow,
            "imports": self.imports.spent / slow,
            "garbage": self.collector.spent / slow,
            "shared": {name: cost / slow for name, cost in self.shared.items()},
            "slowness": slow,
        }


def has_children():
    """Say whether this process has children that it did not wait for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


class Budget:
    """In the process that reports: adds up what all processes took, and fails the run."""

    def __init__(self, meter, reasons):
        self.meter, self.reasons = meter, reasons
        self.cost = {}
        self.marked = set()
        self.starting = set()
        self.parts = []

    def pytest_runtest_logreport(self, report):
        if report.when == "teardown" and "cpu" in (found := dict(report.user_properties)):
            cost, marked, started = found["cpu"]
            self.cost[report.nodeid] = cost
            if marked:
                self.marked.add(report.nodeid)
            elif started:
                self.starting.add(report.nodeid.partition("[")[0])

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node, error):
        if "cpu" in (output := getattr(node, "workeroutput", {})):
            self.parts.append(output["cpu"])

    def in_total(self):
        """Sum the CPU-seconds of all processes."""
        return math.fsum(part["all"] for part in self.parts)

    def broken(self):
        """Say which rules the run broke, one line each."""
        lines = []
        # tests that are marked take minutes, and are no part of `make test`
        total = self.in_total() - math.fsum(self.cost.get(node, 0.0) for node in self.marked)
        if total > IN_ALL:
            lines.append(f"the run took {total:.0f} CPU-seconds; the limit is {IN_ALL:g}")
        if len(self.reasons) > LINES:
            lines.append(f"{DEAR.name} has {len(self.reasons)} lines; the limit is {LINES}")
        if len(self.starting) > STARTS:
            lines.append(
                f"{len(self.starting)} tests start an interpreter with Assay; the limit is "
                f"{STARTS}: {', '.join(sorted(self.starting))}"
            )
        over = {
            node: cost
            for node, cost in self.cost.items()
            if cost > OF_A_TEST * NOISE
            and node not in self.marked
            and node.partition("[")[0] not in self.reasons
        }
        lines += [
            f"{node} took {cost:.1f} CPU-seconds; the limit without a line in {DEAR.name} is "
            f"{OF_A_TEST:g}"
            for node, cost in sorted(over.items(), key=lambda pair: -pair[1])
        ]
        return lines

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session, exitstatus):
        self.parts.append(self.meter.totals(children=not distributed(session.config)))
        if exitstatus == pytest.ExitCode.OK and self.broken():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        write, folders, tests = terminalreporter.write_line, Counter(), Counter()
        for node, cost in self.cost.items():
            folder = "/".join(node.partition("::")[0].split("/")[:2])
            folders[folder] += cost
            tests[folder] += 1
        shared = Counter()
        for part in self.parts:
            shared.update(part["shared"])
        imports, garbage = (sum(p[name] for p in self.parts) for name in ("imports", "garbage"))
        total = self.in_total()
        terminalreporter.section("CPU-seconds")
        for folder, cost in folders.most_common():
            write(f"{cost:8.1f}  {folder}, {tests[folder]} tests")
        write(f"{shared.total():8.1f}  fixtures that tests share; the dearest:")
        for name, cost in shared.most_common(5):
            write(f"{'':8}  {cost:.1f}  {name}")
        write(f"{imports:8.1f}  imports")
        write(f"{garbage:8.1f}  full passes of the garbage collector")
        rest = total - folders.total() - shared.total() - imports - garbage
        write(f"{max(0.0, rest):8.1f}  collecting, reporting, ending")
        slow = max((part["slowness"] for part in self.parts), default=1.0)
        write(f"{total:8.1f}  in all, of {IN_ALL:g}; counts divided by up to {slow:.2f}")
        write(f"{len(self.starting):8}  tests start an interpreter with Assay, of {STARTS}")
        for line in self.broken():
            write(f"BUDGET: {line}", red=True)


BEFORE = pytest.StashKey[float]()
STARTED = pytest.StashKey[bool]()
METER = pytest.StashKey[Meter]()


def distributed(config):
    """Say whether other processes run the tests: their time is in their own reports."""
    return bool(getattr(config.option, "numprocesses", None))


def pytest_configure(config):
    config.stash[METER] = meter = Meter()
    for counter in (meter.imports, meter.collector, meter.starts):
        counter.start()
    worker = hasattr(config, "workerinput")
    if worker or not distributed(config):
        config.pluginmanager.register(meter, "budget-meter")
    if not worker:
        listed = reasons(DEAR.read_text()) if DEAR.is_file() else {}
        config.pluginmanager.register(Budget(meter, listed), "budget-of-all")


def pytest_unconfigure(config):
    meter = config.stash[METER]
    for counter in (meter.imports, meter.collector, meter.starts):
        counter.stop()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    """In a worker: hand the totals over to the process that reports."""
    if hasattr(session.config, "workerinput"):
        session.config.workeroutput["cpu"] = session.config.stash[METER].totals()
