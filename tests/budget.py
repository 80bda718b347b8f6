"""What each test costs: `make test-budget` prints the tests above a CPU-second for which
tests/reasons.md gives no reason.

It reports and never fails: the same test costs twice as much on another machine, or beside other
programs. Counted are this process and those that it started, ended or not. A fixture of the session
counts for the test that asks for it first; what a server does counts for the test that asks it."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = Path(__file__).parent / "reasons.md"
LIMIT = 1.0
"""CPU-seconds that a test without a mark may take."""
TICKS = 100
"""Of /proc in a second."""


def seconds() -> float:
    """Sum the CPU seconds of this process and its descendants, ended or not."""
    parents, spent = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # the name of a process stands in brackets and may hold spaces
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents[stat.parent.name] = fields[1]
        spent[stat.parent.name] = sum(map(int, fields[11:15]))
    family = {Path("/proc/self").resolve().name}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(spent[pid] for pid in family) / TICKS


def reasons(page: str) -> set[str]:
    """List the tests that may cost more than a second: the first list of the page."""
    return set(listed(page.partition("## Tests above a second")[2].partition("\n## ")[0]))


def listed(part: str) -> list[str]:
    """The tests in the lines of a part of the page: a file, then one or several of its tests."""
    lines = re.findall(r"^- `(tests/[^`]+)`: (`test_\w+`(?:, `test_\w+`)*)", part, re.MULTILINE)
    return [f"{path}::{test}" for path, tests in lines for test in re.findall(r"\w+", tests)]


class Budget:
    """A pytest plugin that counts CPU seconds a test, here and in the workers of xdist."""

    def __init__(self) -> None:
        self.cost: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        item.stash[BEFORE] = seconds()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        try:
            return (yield)
        finally:
            item.user_properties.append(("cpu", seconds() - item.stash[BEFORE]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            self.cost[report.nodeid] = dict(report.user_properties)["cpu"]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        write, folders, tests = terminalreporter.write_line, Counter(), Counter()
        for node, cost in self.cost.items():
            folder = "/".join(node.partition("::")[0].split("/")[:2])
            folders[folder] += cost
            tests[folder] += 1
        terminalreporter.section("CPU-seconds")
        for folder, cost in folders.most_common():
            write(f"{cost:8.1f}  {folder}  {tests[folder]} tests")
        write(f"{sum(folders.values()):8.1f}  in all")
        listed = reasons(PAGE.read_text())
        over = [
            (cost, node)
            for node, cost in self.cost.items()
            if cost > LIMIT and node.partition("[")[0] not in listed
        ]
        terminalreporter.section(
            f"above {LIMIT:g} s, and no reason in tests/reasons.md: {len(over)}"
        )
        for cost, node in sorted(over, reverse=True):
            write(f"{cost:8.1f}  {node}")


BEFORE = pytest.StashKey[float]()
