"""The pytest plugin, loaded by `pytest -p assay_vectors`. If a conftest.py has
`assay_functions`, it adds a test for each vector that one of them answers.

A right answer passes, a wrong one fails, another documented definition is an expected
failure, and what is not offered is skipped. `pytest --junitxml` and `--assay-sarif
FILE` write the outcomes to files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay_vectors import functions, sarif
from assay_vectors.errors import VectorsError
from assay_vectors.functions import Functions
from assay_vectors.outcomes import Outcome, count
from assay_vectors.text import report
from assay_vectors.vectors import LATEST, Vector, load


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the SARIF file as an option, and the set of vectors as a setting."""
    group = parser.getgroup("assay-vectors", "test cases with known answers")
    group.addoption(
        "--assay-sarif", metavar="FILE", help="write outcomes to this file, SARIF 2.1.0"
    )
    parser.addini("assay_vectors", "frozen set of vectors to run", default=LATEST)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a conftest.py that has functions."""
    if file_path.name != "conftest.py":
        return None
    for module in parent.config.pluginmanager.get_plugins():
        if getattr(module, "__file__", None) == str(file_path):
            value = getattr(module, functions.ATTRIBUTE, None)
            if value is not None:
                file = FunctionsFile.from_parent(parent, path=file_path)
                file.functions = value
                return file
    return None


class FunctionsFile(pytest.File):
    """A conftest.py with functions."""

    functions: Any = None

    def collect(self) -> Iterator[VectorItem]:
        """Yield a test for each vector that a function answers."""
        try:
            known = functions.read(self.functions, self.config.rootpath.name)
            vectors = load(self.config.getini("assay_vectors"))
        except VectorsError as error:
            raise self.CollectError(str(error)) from None
        for vector in vectors:
            if known.serving(vector):
                yield VectorItem.from_parent(self, name=vector.id, vector=vector, functions=known)


class VectorItem(pytest.Item):
    """One vector as a test."""

    def __init__(self, *, vector: Vector, functions: Functions, **more: Any) -> None:
        super().__init__(**more)
        self.vector, self.functions = vector, functions

    def runtest(self) -> None:
        """Run the functions on the vector."""
        outcome = self.functions.judge(self.vector)
        text = _difference(self.vector, outcome)
        self.user_properties += [
            ("assay_vector", self.vector.id),
            ("assay_outcome", outcome.outcome),
            ("assay_message", text),
        ]
        if outcome.outcome == "wrong":
            raise WrongAnswer(text)
        if outcome.outcome == "another documented definition":
            pytest.xfail(f"another documented definition: {outcome.why}")
        if outcome.outcome == "not offered":
            pytest.skip(outcome.why)

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """Show what came out and what is right, without a traceback."""
        if isinstance(excinfo.value, WrongAnswer):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Point to the function that was called."""
        file, line = self.functions.location(self.vector) or (self.path, 1)
        if not file.is_relative_to(self.config.rootpath):
            file, line = self.path, 1
        return file, line - 1, f"{self.vector.id}: {self.vector.title}"


class WrongAnswer(Exception):
    """An answer that no known definition gives."""


def _difference(vector: Vector, outcome: Outcome) -> str:
    same = outcome.outcome in ("right", "not offered")
    return "" if same else report(vector, outcome)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Count the outcomes, and write them to a file if there is one."""
    answers = [
        (dict(report.user_properties), report.location)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        and any(name == "assay_vector" for name, _ in report.user_properties)
    ]
    if not answers:
        return
    version = config.getini("assay_vectors")
    totals = count(properties["assay_outcome"] for properties, _ in answers)
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
