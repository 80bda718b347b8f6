"""Reproduction: what came out of an empty store, compared with what was recorded: statements, cost,
environment, and single numbers.

Statements are judged by interval: the same runs on another machine or version drift apart in their
last digits and further, but a result that is reproduced stays inside what its own interval allows.
Equal numbers are counted as well, and expected only where machine type and versions are the
same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from assay.core.results import ResultData
from assay.core.schema import BESIDE
from assay.lab.judge.recording import Statement, departs, dumped, paired
from assay.lab.judge.result import Result

JSON = Mapping[str, Any]
BITWISE = ("cpu", "python", "torch", "numpy")
"""Where these agree, on one thread, runs are expected to be equal to the last digit."""


@dataclass(frozen=True)
class Compared:
    """A statement on both sides."""

    kind: Literal["verdicts", "exact", "findings"]
    text: str
    recorded: Mapping[str, Any] | None
    """Outcome and numbers; None where that side lacks the statement."""
    reproduced: Mapping[str, Any] | None
    same: bool
    why: str
    """How the two differ; empty where they do not."""
    old: Statement = field(default=None, metadata=BESIDE)
    """All that the record says of it."""
    new: Statement = field(default=None, metadata=BESIDE)


@dataclass(frozen=True)
class Numbers:
    """How many recorded numbers of measures are equal to the last digit of single precision."""

    equal: int
    total: int
    expected_equal: bool
    """Whether processor and versions agree, so that equal numbers are expected."""
    unequal: tuple[str, ...]
    """Which measures are not equal everywhere, as arm.measure."""


@dataclass(frozen=True)
class Reproduction:
    """A result compared with its record."""

    experiment: str
    preset: str
    same: bool
    """Whether every statement came out as recorded, on the claims that were recorded."""
    same_claims: bool
    """False where a text, range or control was changed since the record."""
    same_runs: bool
    """False where specs or the meaning of training changed since the record."""
    statements: tuple[Compared, ...]
    cost: Mapping[str, Mapping[str, float]]
    """Seconds and CPU-seconds, recorded and reproduced."""
    environment: Mapping[str, Mapping[str, Any]]
    """Machine and versions, recorded and reproduced; no host names, no paths."""
    numbers: Numbers

    @property
    def equal(self) -> bool:
        """Whether every statement came out as recorded, of numbers that are all equal."""
        return self.same and self.same_runs and not self.numbers.unequal


def reproduction(result: Result, record: JSON) -> Reproduction:
    """Compare a result with the record of the same experiment."""
    current, recorded = result.data, ResultData.from_json(record)
    statements = tuple(_compared(*pair) for pair in paired(current, recorded))
    sides = {"recorded": recorded, "reproduced": current}
    same_claims = result.claims_key == record["claims_key"]
    environment = {side: _environment(d.provenance) for side, d in sides.items()}
    same_environment = all(
        environment["recorded"].get(k) == environment["reproduced"].get(k) for k in BITWISE
    )
    equal, total, unequal = _numbers(result, record)
    return Reproduction(
        experiment=result.experiment,
        preset=result.preset,
        same=same_claims and all(s.same for s in statements),
        same_claims=same_claims,
        same_runs=result.provenance["keys"] == record["provenance"].get("keys"),
        statements=statements,
        cost={
            side: {"seconds": d.seconds, "cpu_seconds": d.cpu_seconds} for side, d in sides.items()
        },
        environment=environment,
        numbers=Numbers(equal, total, same_environment, unequal),
    )


def _compared(kind: Any, text: str, old: Statement, new: Statement) -> Compared:
    why = departs(old, new)
    return Compared(kind, text, _short(old), _short(new), not why, why, old, new)


def _environment(provenance: JSON) -> dict[str, Any]:
    machine, software = provenance.get("machine") or {}, provenance.get("software") or {}
    return {
        **machine,
        "device": provenance.get("device", ""),
        **software,
        "finished": provenance.get("finished", ""),
    }


def _numbers(result: Result, record: JSON) -> tuple[int, int, tuple[str, ...]]:
    """How many numbers of the recorded measures are equal, how many there are, and the measures
    that are not equal everywhere."""
    equal = total = 0
    unequal = []
    for arm, recorded in record["arms"].items():
        variables = dumped(result.arms[arm])["variables"] if arm in result.arms else {}
        for name, was in recorded["measures"]["variables"].items():
            old, new = was["values"], variables.get(name, {}).get("values")
            same = 0 if new is None else _same(old, new)
            equal, total = equal + same, total + old.size
            if same < old.size:
                unequal.append(f"{arm}.{name}")
    return equal, total, tuple(unequal)


def _same(old: np.ndarray, new: np.ndarray) -> int:
    """How many numbers are equal in single precision: records hold those close to 1 in more."""
    if old.shape != new.shape:
        return 0
    a, b = (x.astype(np.float32) if x.dtype.kind == "f" else x for x in (old, new))
    return int(np.count_nonzero((a == b) | ((a != a) & (b != b))))


def _short(s: Statement) -> dict[str, Any] | None:
    """Outcome and numbers of a statement."""
    keys = ("outcome", "estimate", "low", "high", "value")
    return None if s is None else {k: v for k, v in s.to_json().items() if k in keys}
