"""Recording: making an experiment's record from a result, judging it again without training, and
comparing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from assay.core.errors import ClaimError, ExperimentError, nearest
from assay.core.experiment import Experiment
from assay.core.heavy import xr
from assay.core.judging import USUAL
from assay.core.measures import measures
from assay.core.plain import as_json
from assay.core.results import Estimated, Judged, ResultData, Verified
from assay.core.runs import Runs
from assay.core.spec import Spec, canonical_json
from assay.lab import catalogue
from assay.lab.judge import families, looks
from assay.lab.judge.result import Result, judge_statements, with_derived
from assay.lab.plan.plan import Plan
from assay.lab.plan.preset import override, scope_by_reading
from assay.lab.records import records
from assay.lab.records.records import load_record, name_of
from assay.lab.store.atomic import explained, write
from assay.lab.store.folder import size
from assay.lab.store.groups import spec_class
from assay.lab.store.journal import seeds_of
from assay.lab.store.provenance import commit
from assay.lab.store.store import Store

MOST = 8192
"""Numbers per run above which a measure is left out."""
NEAR = 2.0**-6
"""Nearer to 1 than this, a number's distance from 1 is what is rounded: claims about shares close
to one are judged on its logarithm."""


def make(experiment: Experiment, result: Result, plan: Plan) -> dict[str, Any]:
    """The record of a result: plain values."""
    arms, cost, space = {}, {}, {}
    for arm, rows in plan.by_arm().items():
        stored = [r.stored for r in rows if r.stored is not None]
        specs = [json.loads(r.job.spec.to_json()) for r in rows]
        arms[arm] = {
            **factor(specs),
            "measures": dumped(result.arms[arm]),
        }
        cost[arm] = round(
            sum(float(s.provenance.get("cpu_seconds", 0)) for s in stored) / len(rows), 4
        )
        space[arm] = round(sum(size(s.folder) for s in stored) / len(rows))
    json_result = result.to_json()
    return {
        **{
            k: json_result[k]
            for k in ("schema", "experiment", "preset", "claims_key", "seconds", "cpu_seconds")
        },
        "version": experiment.version,
        "measured": experiment.measured,
        "commit": commit(),
        "provenance": json_result["provenance"],
        "cost": cost,
        "bytes": space,
        **{k: json_result[k] for k in ("inference", "registration")},
        **{k: json_result[k] for k in ("changed", "verdicts", "exact", "findings")},
        "arms": arms,
    }


def write_record(
    experiment: Experiment, result: Result, plan: Plan, store: Store | None = None
) -> Path:
    """The file that now holds the record of this result; looks that the store noted are noted
    next to it, whether they were recorded or not.

    Raises: ExperimentError where a record of another preset is there; ClaimError where a
    statement could not be computed."""
    if result.failed:
        raise ClaimError(
            f"a record needs every statement; {result.failed[0][0]!r} {result.failed[0][1]}"
        )
    record_path, earlier = (
        catalogue.record_path(name_of(experiment, plan.preset.name), experiment.origin),
        load_record(experiment, plan.preset.name, measures=False),
    )
    if earlier is not None and earlier["preset"] != result.preset:
        raise ExperimentError(
            f"{record_path} records preset {earlier['preset']}, got {result.preset}; record that "
            "one, or remove the file first"
        )
    record = make(experiment, result, plan)
    with explained(record_path.parent):
        record_path.parent.mkdir(parents=True, exist_ok=True)
        if store is not None:
            looks.bring(looks.committed(experiment), store, experiment)
        look = looks.frozen(experiment, plan)
        looks.freeze(looks.committed(experiment), experiment, look, result.exact)
        save(record_path, record)
    return record_path


def save(record_path: Path, record: Mapping[str, Any]) -> None:
    """Write both files of a record, that with the measures first; equal records give equal bytes.
    In the JSON each statement and each arm has a line: a diff shows which moved."""
    packed = records.pack(record)
    fields = {**records.brief(record), "sha256": sha256(packed).hexdigest()}
    lines = ",\n".join(f" {as_json(key)}: {_lines(value)}" for key, value in fields.items())
    write(records.arrays(record_path), packed)
    write(record_path, f"{{\n{lines}\n}}\n".encode())


def _lines(value: Any) -> str:
    """A value as JSON, each object inside it on a line."""
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"  {as_json(part)}" for part in value) + "\n ]"
    if isinstance(value, Mapping) and all(isinstance(part, Mapping) for part in value.values()):
        parts = (f"  {as_json(key)}: {as_json(part)}" for key, part in value.items())
        return "{\n" + ",\n".join(parts) + "\n }"
    return as_json(value)


def arms(experiment: Experiment, record: Mapping[str, Any]) -> dict[str, xr.Dataset]:
    """Read the measures in a record, per trained arm. Raises: SpecError, ExperimentError when they
    no longer fit the experiment."""
    measures_by_arm = {}
    for arm, data in record["arms"].items():
        if arm not in experiment.arms:
            raise ExperimentError(
                f"the record of {experiment.name} has an arm {arm!r}, which no longer exists; "
                f"{nearest(arm, experiment.arms)}"
            )
        specs = specs_in(experiment, record, arm)
        measures_by_arm[arm] = load_measures(specs, data["measures"])
    return measures_by_arm


def specs_in(experiment: Experiment, record: Mapping[str, Any], arm: str) -> list[Spec]:
    """The specs of an arm's runs in a record. Raises: SpecError where they no longer fit."""
    cls, data = spec_class(experiment, arm), record["arms"][arm]
    return [
        cls.from_json(canonical_json({**data["shared"], **own_fields}))
        for own_fields in data["specs"]
    ]


def rejudge(
    experiment: Experiment, record: Mapping[str, Any]
) -> tuple[tuple[Judged, ...], tuple[Verified, ...], tuple[Estimated, ...]]:
    """Judge claims, theorems and estimates on the measures in a record, by today's statements;
    trains nothing.

    Raises: ClaimError when one of them cannot be computed.
    """
    preset = override(experiment, record["preset"])
    experiment = experiment.designed(preset.specs[:1])
    scope = scope_by_reading(experiment, preset)
    together = {v["text"]: v.get("together", 1) for v in record["verdicts"]}
    experiment = families.each(looks.marked(experiment.sized(preset.specs)), together)
    whole, frozen = arms(experiment, record), record.get("registration") or {}
    looks_taken = frozen.get("looks", [])[: frozen.get("taken", 0)]
    earlier = dict[str, Judged]()
    for look in looks_taken[:-1]:  # two committed records were judged by a rule with several looks
        early = preset.of_seeds(seeds_of(look["seeds"])).specs
        part = {
            arm: data.isel(
                run=[
                    spec in {*experiment.specs_of(arm, early)}
                    for spec in specs_in(experiment, record, arm)
                ]
            )
            for arm, data in whole.items()
        }
        measured = with_derived(experiment, part)
        then = judge_statements(experiment.claims, measured, scope=scope, level=look["level"])
        earlier |= {j.text: j for j in then.judged if j.outcome != "undecided"}
    level, measured = (
        looks_taken[-1]["level"] if looks_taken else USUAL,
        with_derived(experiment, whole),
    )
    statements = judge_statements(experiment.claims, measured, scope=scope, level=level)
    if statements.failed:
        raise ClaimError(f"{statements.failed[0][0]!r} {statements.failed[0][1]}")
    judged = tuple(earlier.get(j.text, j) for j in statements.judged)
    return judged, statements.exact, statements.findings


@dataclass(frozen=True)
class Difference:
    """One way in which a result departs from a record."""

    what: str
    """The claim's text, or what else differs."""
    recorded: str
    now: str


def check(result: Result, record: Mapping[str, Any]) -> list[Difference]:
    """Where a result departs from a record: other statements, other outcomes, estimates outside
    both intervals; not times."""
    differences = []
    if result.claims_key != record["claims_key"]:
        where = "claims key: a text, range or control was changed"
        differences.append(Difference(where, record["claims_key"][:12], result.claims_key[:12]))
    differences += [
        Difference(f"after a look at the same seeds: {c}", "as looked at", "otherwise")
        for c in result.changed
    ]
    return differences + [
        Difference(t, described(a), described(b))
        for _, t, a, b in paired(result.data, ResultData.from_json(record))
        if departs(a, b)
    ]


Statement = Judged | Verified | Estimated | None


def paired(current: ResultData, record: ResultData) -> list[tuple[str, str, Statement, Statement]]:
    """Kind and text of every statement of either side, as recorded and as it is now; None where one
    side lacks it."""
    pairs = []
    for kind in ("verdicts", "exact", "findings"):
        old, new = ({s.text: s for s in getattr(side, kind)} for side in (record, current))
        pairs += [
            (kind, text, old.get(text), new.get(text)) for text in dict.fromkeys((*old, *new))
        ]
    return pairs


def departs(a: Statement, b: Statement) -> str:
    """How a statement differs from its record, "" where it does not.

    The outcomes have to be the same, and one of the two estimates has to be within the other's
    interval; of a curve at every level."""
    if a is None or b is None:
        return "not in the record" if a is None else "no longer stated"
    if getattr(a, "outcome", "") != getattr(b, "outcome", ""):
        return "another outcome"
    if isinstance(a, Verified) or isinstance(b, Verified):
        return ""
    return "each estimate lies outside the other's interval" if _differs(a, b) else ""


def _differs(a: Judged | Estimated, b: Judged | Estimated) -> bool:
    old, new = (s.curve if isinstance(s, Estimated) else None for s in (a, b))
    if old is None or new is None:
        p, q = ((s.estimate, s.low, s.high) for s in (a, b))
        return old is not new or not (_within(p[0], q) or _within(q[0], p))
    points = (zip(c.estimate, c.low, c.high, strict=True) for c in (old, new))
    return old.levels != new.levels or any(
        not (_within(p[0], q) or _within(q[0], p)) for p, q in zip(*points, strict=True)
    )


ROUNDING = 1e-5
"""By how much a number and its record may differ, relatively: a record is in single precision."""


def _within(x: float, other: tuple[float, float, float]) -> bool:
    estimate, low, high = other
    if not all(map(math.isfinite, (x, low, high))):
        return math.isclose(x, estimate, rel_tol=ROUNDING) or (
            math.isnan(x) and math.isnan(estimate)
        )
    slack = ROUNDING * max(abs(low), abs(high), 1e-12)
    return low - slack <= x <= high + slack


def described(s: Statement) -> str:
    """Write how a statement came out, with its number."""
    if s is None:
        return "absent"
    outcome = getattr(s, "outcome", "estimate")
    if isinstance(s, Verified):
        return outcome
    is_finite = math.isfinite(s.low) and math.isfinite(s.high)
    numbers = f" {s.estimate:.4g} [{s.low:.4g}, {s.high:.4g}]" if is_finite else ""
    if isinstance(s, Estimated):
        over = f" over {len(s.curve.levels)} levels of {s.curve.over}" if s.curve else numbers
        return f"{outcome}{over}"
    return f"{outcome}{numbers}" + (f" ({s.reason_in_words})" if s.reason else "")


def factor(specs: list[dict[str, Any]]) -> dict[str, Any]:
    """Fields all specs share once, the others per run."""
    shared = {k: v for k, v in specs[0].items() if all(s[k] == v for s in specs)}
    return {
        "shared": shared,
        "specs": [{k: v for k, v in s.items() if k not in shared} for s in specs],
    }


def dumped(data: xr.Dataset) -> dict[str, Any]:
    """The small measures of an arm as a record holds them: in single precision, of shares close to
    1 that of their distance from 1; that takes double precision, and so does a measure that has
    such numbers."""
    small = {str(k): v for k, v in data.data_vars.items() if v.size <= MOST * data.sizes["run"]}
    dims = {d for v in small.values() for d in v.dims if d != "run"}
    coords = {
        str(k): c.values.tolist()
        for k, c in data.coords.items()
        if c.ndim == 1 and c.dims[0] in dims
    }
    variables = {
        k: {
            "dims": [str(d) for d in v.dims],
            "unit": v.attrs.get("units", "1"),
            "values": _stored(v.values),
        }
        for k, v in small.items()
    }
    return {"coords": coords, "variables": variables}


def load_measures(specs: list[Spec], data: Mapping[str, Any]) -> xr.Dataset:
    """Read the measures of runs of these specs from what `dumped` gave."""
    variables = {
        name: (" ".join(v["dims"]), numbers(v["values"]), v["unit"])
        for name, v in data["variables"].items()
    }
    return measures(Runs(specs), coords=data["coords"], **variables)


def numbers(stored: np.ndarray) -> np.ndarray:
    """A measure as it is judged: each number of single precision as the shortest decimal that names
    it, in double precision."""
    if stored.dtype != np.float32:
        return stored
    return np.array([float(str(x)) for x in stored.ravel()], np.float64).reshape(stored.shape)


def _stored(values: np.ndarray) -> np.ndarray:
    """Numbers in the precision that a record has of them."""
    if values.dtype.kind in "biu":
        return values.astype(bool if values.dtype.kind == "b" else np.int64)
    single = values.astype(np.float32)
    near = (values > 1 - NEAR) & (values < 1)
    is_share = not (values > 1 + NEAR).any()  # as far as rounding goes
    if values.dtype.itemsize <= single.dtype.itemsize or not (is_share and near.any()):
        return single
    double = numbers(single)
    double[near] = [_from_one(float(x), np.float32) for x in values[near]]
    return single if np.array_equal(double, numbers(single), equal_nan=True) else double


def _from_one(x: float, kind: Any) -> float:
    """Round x, a little below 1, so that 1 - x has single precision; in single precision it stays
    the number that it was."""
    candidate = float(1 - Decimal(str(kind(1 - x))))
    return candidate if kind(candidate) == kind(x) else x
