"""check_probe: what a probe reads of activations, against what tells the labels without them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from assay.checks.calls import Numbers, Record, digest
from assay.checks.reading import Rows, parts, readers, scores, telling
from assay.controls import vectors
from assay.controls.table import TABLE
from assay.errors import ClaimError, DataError, nearest
from assay.notes import Note
from assay.verdicts import reading
from assay.verdicts.conditions import Condition, column, parse
from assay.verdicts.result import Judged, Provenance, Result, doubted, now, versions
from assay.verdicts.rule import DRAWS, Control, Hypothesis, Sample, Verdict, judge

PROBE, PERMUTED, SINGLE, GROUP = "probe", "permuted", "single", "group"
MEASURES = ("auroc", "accuracy")
RIDGE = make_pipeline(StandardScaler(), RidgeCV(10.0 ** np.arange(7), alpha_per_target=True))
"""A ridge regression whose penalty is chosen by leaving out one row."""
WHY = {SINGLE: "one word, pair of words, character or length alone predicts it"}
WHY |= {c.name: c.why for c in TABLE["probe"]}


@dataclass(frozen=True, eq=False)
class Activations:
    """What a model gives for texts: activations, [text, d], and by name what else may be read, such
    as embeddings or the activations of an untrained twin."""

    values: Any
    texts: Sequence[str]
    controls: Mapping[str, Any] = field(default_factory=dict)


def check_probe(
    X: Any,
    y: Sequence[Any],
    *,
    groups: Sequence[Any],
    holds: str,
    texts: Sequence[str] | None = None,
    controls: Mapping[str, Any] | None = None,
    probe: Any = RIDGE,
    claim: str = "",
    scope: str = "",
    save: str | Path | None = None,
) -> Result:
    """Judge what a probe reads of activations, beside probes of what is known without them.

    Each group is judged by probes that have learned from others, and intervals are over groups. The
    AUROC compares rows of one fold.

    Args:
        X: activations, [row, d], or `Activations`.
        y: one of two labels for each row.
        groups: which rows belong together, such as the document or author of each; those that have
            a text or a row in common are one. range(n) says that rows are independent.
        holds: a condition on auroc or accuracy, such as "auroc > 0.8".
        texts: of each row, for controls that read words.
        controls: by name what else is known of each row: [row], or [row, d].
        probe: an estimator of scikit-learn: a classifier, or a regressor, which learns -1 and 1.
        claim: what is claimed, in words.
        scope: of which model, site and texts.
        save: a file of what was measured, from which an interrupted check goes on.

    Raises:
        DataError: rows that cannot be used.
        ClaimError: a condition on anything else (unknown-column).
    """
    begun, condition = now(), parse(holds)
    for name in sorted({c.name for c in condition.columns} - {*MEASURES}):
        raise ClaimError("unknown-column", f"no measure {name}; {nearest(name, MEASURES)}")
    if isinstance(X, Activations):
        X, texts, controls = X.values, X.texts, {**X.controls, **(controls or {})}
    rows, known = Rows.read(X, y, groups, texts), dict(controls or {})
    columns = readers(rows.texts) if any(rows.texts) else {}
    asked = [repr(probe), digest(rows.x, rows.y, rows.group, rows.texts, known)]
    bench = _Bench(rows, condition, Record(save, asked))
    bench.read(PROBE, rows.x, probe)
    for name, (_, x) in columns.items():
        bench.read(name, x, RIDGE)
    if columns:
        every = np.hstack([x for _, x in columns.values()])
        with warnings.catch_warnings():  # of one that tells all labels, whose F is infinite
            warnings.simplefilter("ignore")
            bench.read(SINGLE, every, make_pipeline(VarianceThreshold(), SelectKBest(k=1), RIDGE))
    for name, values in known.items():
        bench.read(name, _columns(values, rows.order), probe if np.ndim(values) > 1 else RIDGE)
    h, samples, verdict = bench.judge(probe)
    notes = tuple(_notes(rows, verdict, columns, known))
    why = {c.name: WHY.get(c.name, f"{c.name} alone predicts it") for c in h.controls}
    judged = Judged(claim or holds, holds, h, doubted(verdict, notes), why, notes)
    made = Provenance(begun, now(), versions(), {"rows": asked[1]})
    tables = [pd.DataFrame({"arm": arm, GROUP: bench.groups, **x}) for arm, x in bench.arms.items()]
    return Result(claim or holds, (judged,), pd.concat(tables), scope, made, (samples,))


def _columns(values: Any, order: np.ndarray) -> np.ndarray:
    """What is known of rows as columns: numbers, and one for each value of those that come again.
    Raises: DataError (wrong-length)."""
    x = np.asarray(vectors.as_numpy(values))
    if len(x) != len(order):
        raise DataError("wrong-length", f"{len(x)} values for {len(order)} rows of X", "controls")
    x, is_number = x[order].reshape(len(x), -1), x.dtype.kind in "biuf"
    if is_number and (x.shape[1] > 1 or 2 * len(np.unique(x)) > len(x)):
        return x.astype(float)
    each = OneHotEncoder(sparse_output=False).fit_transform(x.astype(str))
    return np.hstack([x.astype(float), each]) if is_number else each


class _Bench:
    """By arm the part of each group in each measure of what a probe reads."""

    def __init__(self, rows: Rows, condition: Condition, record: Record) -> None:
        self.rows, self.condition, self.record = rows, condition, record
        self.folds, self.groups = rows.folds(), np.unique(rows.group)
        self.arms = dict[str, Numbers]()

    def read(self, arm: str, x: np.ndarray, probe: Any) -> None:
        """Measure how well a probe of these columns tells the labels. Raises: DataError
        (one-label)."""
        if arm not in self.record.calls:
            score = scores(probe, x, self.rows.y[None], self.folds)[0]
            found = parts(score, self.rows.y, self.folds, self.rows.group)
            if not np.isfinite([*found.values()]).all():
                raise DataError("one-label", "without one of the groups only one label is left")
            self.record.keep(arm, found)
        self.arms[arm] = self.record.calls[arm]

    def judge(self, probe: Any) -> tuple[Hypothesis, dict[str, Sample], Verdict]:
        """Judge, with 20 shuffles of the labels, or 40 if exactly one of these satisfies."""
        others = tuple(Control(arm, (arm,)) for arm in self.arms if arm != PROBE)
        shuffled, c = dict[str, Numbers](), self.condition
        for draws in (range(DRAWS), range(DRAWS, 2 * DRAWS)):
            labels = np.array([self.rows.shuffled(k) for k in draws])
            found = scores(probe, self.rows.x, labels, self.folds)
            for k, y, score in zip(draws, labels, found, strict=True):
                shuffled[f"{PERMUTED} {k + 1}"] = parts(score, y, self.folds, self.rows.group)
            controls = (*others, Control(PERMUTED, tuple(shuffled), noise=True))
            h = Hypothesis(c.low, c.high, PROBE, controls, empty=0.5)
            self.arms |= shuffled
            samples = {arm: self.sample(x) for arm, x in self.arms.items()}
            samples[PROBE] = self.sample(self.arms[PROBE], wider(shuffled.values()))
            verdict = judge(h, samples)
            if verdict.controls[PERMUTED].satisfied != 1:
                break
        return h, samples, verdict

    def sample(self, numbers: Numbers, by: Mapping[str, float] | None = None) -> Sample:
        """What decides the claim; exact between 0 and 1 where half of the groups tie, as those of a
        nearly perfect probe do."""
        by = by or dict.fromkeys(MEASURES, 1.0)
        data = {m: (GROUP, x.mean() + by[m] * (x - x.mean())) for m, x in numbers.items()}
        arms = {PROBE: xr.Dataset(data, {GROUP: self.groups})}
        sample = reading.sample(self.condition, arms, [GROUP], PROBE)
        x, whole = sample.cells, float(sample.cells.mean())
        _, times = np.unique(np.round(x, 10), return_counts=True)
        if column(self.condition.quantity) is None or 2 * times.max() < len(x):
            return sample
        lacks = 1 - x.clip(0, 1)  # in sum what it was
        x = 1 - lacks * (1 - whole) / (lacks.mean() or 1.0)
        return replace(sample, cells=x, bounds=(0.0, 1.0))


def wider(shuffled: Collection[Numbers]) -> dict[str, float]:
    """How many times as much each measure of shuffled labels differs as its parts say: by more than
    1 if a probe chooses columns, as the one that tells all labels best by chance does well in each
    fold."""
    found = {}
    for name in MEASURES:
        x = np.array([numbers[name] for numbers in shuffled])
        expected = np.sqrt(np.nanmean(x.var(1, ddof=1)) / x.shape[1])
        found[name] = max(1.0, float(np.nanstd(x.mean(1), ddof=1) / max(expected, 1e-12)))
    return found


def _notes(
    rows: Rows, verdict: Verdict, columns: Mapping[str, Any], known: Mapping[str, Any]
) -> Iterator[Note]:
    """What there is to say of groups and controls."""
    if rows.merged:
        yield Note("merged", {"n": rows.merged})
    tested = verdict.controls
    below = [name for name in (*columns, *known) if tested[name].high < 0.5]
    for name in below:
        code = "idle" if {*columns} - {*below} else "no-test"
        yield Note(code, {"control": name, "why": "it is below chance"})
    for name in (
        n for n in columns if tested[n].outcome != "beaten" and verdict.outcome != "fails"
    ):
        what, auroc = telling(columns[name], rows.y)
        yield Note("telling", {"control": name, "what": what, "auroc": f"{auroc:.3f}"})
    lacking = {} if columns else {"bag": "texts=", "lengths": "texts="}
    lacking |= {n: f"controls={{{n!r}: …}}" for n in ("embedding", "untrained") if n not in known}
    for name, how in lacking.items():
        yield Note("no-control", {"control": name, "give": how})
