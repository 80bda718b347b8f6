"""Reproduction: what came out of an empty store beside what was recorded: statements, cost, environment, and single numbers.

Statements are judged by interval: the same runs on another machine or version drift apart in their last digits and further,
but a result that is reproduced stays inside what its own interval allows. Equal numbers are counted beside that, and expected
only where machine type and versions are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.lab.recording import Statement, departs, dumped, paired

if TYPE_CHECKING:
    from assay.lab.result import Result

JSON = Mapping[str, Any]
BITWISE = ("cpu", "python", "torch", "numpy")
"""Where these agree, on one thread, runs are expected to be equal to the last digit."""


@dataclass(frozen=True)
class Reproduction:
    """A result beside its record."""

    experiment: str
    preset: str
    statements: tuple[tuple[str, str, Statement, Statement, str], ...]
    """Kind, text, as recorded, as reproduced, and how they differ ("": they do not)."""
    same_claims: bool
    """False where a text, range or control was changed since the record."""
    same_runs: bool
    """False where specs or the meaning of training changed since the record."""
    cost: Mapping[str, Mapping[str, float]]
    """Seconds and CPU-seconds, recorded and reproduced."""
    environment: Mapping[str, Mapping[str, Any]]
    """Machine and versions, recorded and reproduced; no host names, no paths."""
    equal: int
    total: int
    """How many recorded numbers of measures there are, and how many of them are equal to the last digit of single precision."""
    unequal: tuple[str, ...]
    """Which measures are not equal everywhere, as arm.measure."""

    @property
    def same(self) -> bool:
        """True when every statement came out as recorded, on the claims that were recorded."""
        return self.same_claims and not any(why for *_, why in self.statements)

    @property
    def same_kind_of_machine(self) -> bool:
        """True when processor and versions agree, so that equal numbers are expected."""
        old, new = (self.environment[side] for side in ("recorded", "reproduced"))
        return all(old.get(k) == new.get(k) for k in BITWISE)

    def to_json(self) -> dict[str, Any]:
        """Plain values: whether it is the same, each statement on both sides, cost, environments, equal numbers."""
        statements = [
            {"kind": kind, "text": text, "recorded": _short(a), "reproduced": _short(b), "same": not why, "why": why}
            for kind, text, a, b, why in self.statements
        ]
        return {
            "experiment": self.experiment,
            "preset": self.preset,
            "same": self.same,
            "same_claims": self.same_claims,
            "same_runs": self.same_runs,
            "statements": statements,
            "cost": self.cost,
            "environment": self.environment,
            "numbers": {
                "equal": self.equal,
                "total": self.total,
                "expected_equal": self.same_kind_of_machine,
                "unequal": list(self.unequal),
            },
        }


def reproduction(result: Result, record: JSON) -> Reproduction:
    """The comparison of a result with the record of the same experiment."""
    now = result.to_json()
    equal, total, unequal = _numbers(result, record)
    return Reproduction(
        experiment=result.experiment,
        preset=result.preset,
        statements=tuple((kind, text, a, b, departs(a, b)) for kind, text, a, b in paired(now, record)),
        same_claims=result.claims_key == record["claims_key"],
        same_runs=result.provenance["keys"] == record["provenance"].get("keys"),
        cost={side: {k: float(d[k]) for k in ("seconds", "cpu_seconds")} for side, d in _sides(now, record)},
        environment={side: _environment(d["provenance"]) for side, d in _sides(now, record)},
        equal=equal,
        total=total,
        unequal=unequal,
    )


def _sides(now: JSON, record: JSON) -> Iterator[tuple[str, JSON]]:
    yield "recorded", record
    yield "reproduced", now


def _environment(provenance: JSON) -> dict[str, Any]:
    machine, software = provenance.get("machine") or {}, provenance.get("software") or {}
    return {**machine, "device": provenance.get("device", ""), **software, "finished": provenance.get("finished", "")}


def _numbers(result: Result, record: JSON) -> tuple[int, int, tuple[str, ...]]:
    """How many numbers of the recorded measures are equal, how many there are, and the measures that are not equal everywhere."""
    equal = total = 0
    unequal = []
    for arm, recorded in record["arms"].items():
        now = dumped(result.arms[arm])["variables"] if arm in result.arms else {}
        for name, was in recorded["measures"]["variables"].items():
            old, new = list(_flat(was["values"])), list(_flat(now.get(name, {}).get("values", [])))
            same = sum(a == b for a, b in zip(old, new, strict=True)) if len(old) == len(new) else 0
            equal, total = equal + same, total + len(old)
            if same < len(old):
                unequal.append(f"{arm}.{name}")
    return equal, total, tuple(unequal)


def _flat(values: Any) -> Iterator[Any]:
    if isinstance(values, list):
        for v in values:
            yield from _flat(v)
    else:
        yield values


def _short(v: Statement) -> dict[str, Any] | None:
    return None if v is None else {k: v[k] for k in ("outcome", "estimate", "low", "high", "value") if k in v}
