"""The pytest plugin: where a conftest.py has `assay_functions`, a test for each vector that one of
them answers. Elsewhere it does nothing.

Right passes, wrong fails, another documented definition is expected to fail, and what is not
offered is skipped. `pytest --junitxml` and `--assay-sarif FILE` write what came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # nothing is imported where no conftest.py names functions
    from assay_vectors.functions import Functions
    from assay_vectors.outcomes import Outcome
    from assay_vectors.vectors import Vector


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the file to write, and the set of vectors."""
    group = parser.getgroup("assay", "conformance vectors")
    group.addoption("--assay-sarif", metavar="FILE", help="write what came out as SARIF 2.1.0")
    parser.addini("assay_vectors", "frozen set of vectors to be held to", default="1.0")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a conftest.py that names functions."""
    if file_path.name != "conftest.py":
        return None
    for module in parent.config.pluginmanager.get_plugins():
        if getattr(module, "__file__", None) == str(file_path):
            functions = getattr(module, "assay_functions", None)
            if functions is not None:
                return Named.from_parent(parent, path=file_path, functions=functions)
    return None


class Named(pytest.File):
    """The functions of a conftest.py."""

    def __init__(self, *, functions: Any, **more: Any) -> None:
        super().__init__(**more)
        self.functions = functions

    def collect(self) -> Iterator[Asked]:
        """Give a test for each vector that a function answers."""
        from assay.core.errors import AssayError
        from assay_vectors import functions
        from assay_vectors.vectors import load

        try:
            named = functions.of(self.functions, self.config.rootpath.name)
            vectors = load(self.config.getini("assay_vectors"))
        except AssayError as error:
            raise self.CollectError(str(error)) from None
        for vector in vectors:
            if named.serving(vector):
                yield Asked.from_parent(self, name=vector.id, vector=vector, functions=named)


class Asked(pytest.Item):
    """One vector, put to the library."""

    def __init__(self, *, vector: Vector, functions: Functions, **more: Any) -> None:
        super().__init__(**more)
        self.vector, self.functions = vector, functions

    def runtest(self) -> None:
        """Put the vector to the library."""
        outcome = self.functions.judge(self.vector)
        self.user_properties += [
            ("assay_vector", self.vector.id),
            ("assay_outcome", outcome.outcome),
            ("assay_message", text(self.vector, outcome)),
        ]
        if outcome.outcome == "wrong":
            raise Wrong(text(self.vector, outcome))
        if outcome.outcome == "another documented definition":
            pytest.xfail(f"another documented definition: {outcome.why}")
        if outcome.outcome == "not offered":
            pytest.skip(outcome.why)

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """Print what was given and what is right, and no traceback."""
        return (
            str(excinfo.value)
            if isinstance(excinfo.value, Wrong)
            else super().repr_failure(excinfo)
        )

    def reportinfo(self) -> tuple[Path, int, str]:
        """Point to the function that is asked."""
        place = self.functions.place(self.vector)
        file, line = place or (self.path, 1)
        if not file.is_relative_to(self.config.rootpath):
            file, line = self.path, 1
        return file, line - 1, f"{self.vector.id}: {self.vector.title}"


class Wrong(Exception):
    """An answer that no definition gives."""


def text(vector: Vector, outcome: Outcome) -> str:
    """Say what came out, where there is something to say."""
    from assay_vectors.outcomes import report

    return "" if outcome.outcome in ("right", "not offered") else report(vector, outcome)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Count what came out, and write it where asked."""
    answers = [
        (dict(report.user_properties), report.location)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        and any(name == "assay_vector" for name, _ in report.user_properties)
    ]
    if not answers:
        return
    from assay_vectors import sarif
    from assay_vectors.outcomes import KINDS, SIGNS

    version = config.getini("assay_vectors")
    counts = Counter(properties["assay_outcome"] for properties, _ in answers)
    totals = ", ".join(f"{SIGNS[kind]} {counts[kind]} {kind}" for kind in KINDS)
    terminalreporter.write_line(f"assay-vectors {version}: {totals}")
    if place := config.getoption("--assay-sarif"):
        results = [
            sarif.Result(
                properties["assay_vector"],
                properties["assay_outcome"],
                properties["assay_message"],
                (location[0], (location[1] or 0) + 1),
            )
            for properties, location in answers
        ]
        Path(place).write_text(sarif.page(results, version), encoding="utf-8")
        terminalreporter.write_line(f"written: {place}")
