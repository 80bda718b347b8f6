"""What must not move a verdict: generated tables, changed in ways that say nothing new, are judged
as they were.

Names, order of rows, units of measure, copies and null arms say nothing new. The order of units
does to one doubt alone, which is left out here."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

import assay

LAWS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "exponential": lambda rng, n: rng.exponential(size=n) - 1,
    "rare": lambda rng, n: np.where(rng.random(n) < 0.1, 4.0, 0.0) + 0.1 * rng.normal(size=n),
}
KINDS = {
    "difference": "{m}.x - {r}.x < {t}",
    "ratio of sums": "mean({m}.x)/mean({m}.size) - mean({r}.x)/mean({r}.size) < {t}",
    "one arm": "{m}.x < {t}",
    "range": "{s} < {m}.x - {r}.x < {t}",
}
NAMES = {"m": "gated", "r": "relu", "c": "again"}


@dataclass(frozen=True)
class Case:
    """A table in long form, the claim's kind and threshold, its arms by role, and its units."""

    table: pd.DataFrame
    kind: str
    low: float
    high: float
    names: dict
    units: tuple
    controls: tuple = ()

    @property
    def claim(self):
        quoted = {role: f'"{name}"' for role, name in self.names.items()}
        return KINDS[self.kind].format(**quoted, s=repr(self.low), t=repr(self.high))

    def judged(self):
        controls = [self.names["c"], *self.controls]
        return assay.judge(
            self.table,
            claim=self.claim,
            unit=list(self.units),
            control=controls,
            about=self.names["m"],
        )


def generated(seed):
    """A case of any kind, law, size and effect: some hold, some fail, some are undecided or
    unspecific."""
    rng = np.random.default_rng([11, seed])
    kind, law = rng.choice(list(KINDS)), LAWS[rng.choice(list(LAWS))]
    n, documents = int(rng.integers(6, 13)), int(rng.choice([1, 1, 8]))
    hard, size = 0.3 * rng.normal(size=documents), rng.lognormal(0, 0.3, documents)
    luck = 0.2 * law(rng, n)
    effect, low, high = rng.uniform(-3, 1), -4.0, -0.5 if kind != "one arm" else 4.5
    levels = {
        "gated": 5 + effect,
        "relu": 5.0,
        "again": 5 + rng.choice([0.0, 0.0, 0.0, effect]),
        "other": 5 + rng.choice([0.0, effect, 3.0]),
    }
    rows = []
    for arm, level in levels.items():
        own = 0.1 * law(rng, n)
        for i in range(n):
            x = level + luck[i] + own[i] + hard + 0.05 * rng.normal(size=documents)
            rows.append(
                pd.DataFrame(
                    {
                        "arm": arm,
                        "seed": i,
                        "document": np.arange(documents),
                        "x": x * size,
                        "size": size,
                    }
                )
            )
    units = ("seed",) if documents == 1 else ("seed", "document")
    return Case(pd.concat(rows, ignore_index=True), str(kind), low, high, dict(NAMES), units)


def renamed(case, rng):
    """Arms under other names, which sort in another order."""
    to = dict(
        zip(
            ["gated", "relu", "again", "other"],
            rng.permutation(["zeta", "Alpha", "10 b", "mid-dle"]).tolist(),
            strict=True,
        )
    )
    return replace(
        case,
        table=case.table.assign(arm=case.table.arm.map(to)),
        names={role: to[name] for role, name in case.names.items()},
    ), to


def shuffled(case, rng):
    """Rows in another order."""
    return replace(case, table=case.table.sample(frac=1, random_state=int(rng.integers(2**31))))


def relabelled(case, rng):
    """Levels of every unit under other labels, which sort in another order."""
    table = case.table
    for unit in case.units:
        labels = table[unit].unique()
        table = table.assign(
            **{
                unit: table[unit].map(
                    dict(zip(labels, rng.permutation(len(labels)) + 100, strict=True))
                )
            }
        )
    return replace(case, table=table)


def scaled(case, rng):
    """All numbers in another unit of measure, thresholds too; of a ratio only the numerator's."""
    k = float(2.0 ** rng.integers(-20, 20))
    return replace(
        case, table=case.table.assign(x=k * case.table.x), low=k * case.low, high=k * case.high
    ), k


def shifted(case, rng):
    """Both sides of a difference a constant higher."""
    by = float(rng.integers(-8, 9))
    return (
        replace(case, table=case.table.assign(x=case.table.x + by * case.table["size"]))
        if case.kind == "ratio of sums"
        else replace(case, table=case.table.assign(x=case.table.x + by))
    )


def with_copy(case, of, name):
    """One arm once more under another name."""
    return replace(
        case,
        table=pd.concat(
            [case.table, case.table[case.table.arm == of].assign(arm=name)], ignore_index=True
        ),
    )


def with_nulls(case, rng, k=3):
    """More arms without any effect: the reference, measured anew; of a claim about one arm, far
    outside the range."""
    null, made = case.table[case.table.arm == case.names["r"]], [case.table]
    for i in range(k):
        x = (
            null.x
            + (0.05 * rng.normal(size=len(null)) + (9 if case.kind == "one arm" else 0))
            * null["size"]
        )
        made.append(null.assign(arm=f"null-{i}", x=x))
    return replace(case, table=pd.concat(made, ignore_index=True))


def split(case, rng):
    """One measurement of the method as two, of which it is the mean: such rows are averaged
    first."""
    at = int(rng.choice(np.flatnonzero(case.table.arm == case.names["m"])))
    row, off = case.table.iloc[[at]], 0.25
    return replace(
        case,
        table=pd.concat(
            [case.table.drop(index=at), row.assign(x=row.x + off), row.assign(x=row.x - off)],
            ignore_index=True,
        ),
    )


def outcome(judged):
    """The outcome and its reason."""
    v = judged.verdict
    return ("holds", "") if v.reason == "order" else (v.outcome, v.reason)


def same(a, b, rel=1e-9, scale=1.0):
    """Whether two verdicts say the same, but for names and prices: outcome, reason, numbers, those
    of controls."""
    assert outcome(a) == outcome(b)
    pairs = [*zip(a.controls.values(), b.controls.values(), strict=False)]
    assert all(v.outcome == w.outcome for v, w in pairs)
    for v, w in ((a.verdict, b.verdict), *pairs):
        width = max(abs(v.high - v.low), 1e-12 * abs(v.estimate))
        for name in ("estimate", "low", "high"):
            assert abs(scale * getattr(v, name) - getattr(w, name)) <= scale * (
                rel * width + 1e-9 * abs(v.estimate)
            ), name


def check(seed):
    """Judge a generated case, and all that must be judged alike; gives its outcome."""
    case, rng = generated(seed), np.random.default_rng([12, seed])
    was = case.judged()
    other, _ = renamed(case, rng)
    same(was, other.judged())
    same(was, shuffled(case, rng).judged())
    same(was, relabelled(case, rng).judged())
    measure, k = scaled(case, rng)
    same(was, measure.judged(), scale=k)
    if case.kind != "one arm":
        same(was, shifted(case, rng).judged(), rel=1e-6)
    copied = replace(with_copy(case, "again", "again-2"), controls=("again-2",)).judged()
    same(was, copied, rel=1e-12)
    assert copied.controls["again-2"].outcome == copied.controls["again"].outcome
    assert outcome(with_copy(case, "again", "again-2").judged()) == outcome(was), (
        "nobody named the copy, which does as it did"
    )
    # an arm that does as the method, named or not
    idle = replace(with_copy(case, "gated", "gated-2"), controls=("gated-2",)).judged()
    unnamed = with_copy(case, "gated", "gated-2").judged()
    if outcome(was)[0] == "holds":
        assert outcome(idle) == ("unspecific", "control") and idle.verdict.about == "gated-2"
    else:
        assert idle.outcome != "holds"
    assert outcome(unnamed) in (outcome(was), ("undecided", "twins"))
    same(was, with_nulls(case, rng).judged(), rel=1e-12)
    halves = split(case, rng).judged()
    same(was, halves)
    assert "averaged" in [note.code for note in halves.notes]
    return was.outcome


def test_what_says_nothing_new_moves_no_verdict():
    assert len({check(seed) for seed in range(2)}) > 1


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_hundred_tables_are_judged_alike_whatever_they_are_called():
    outcomes = [check(seed) for seed in range(100)]
    assert min(outcomes.count(o) for o in ("holds", "fails", "unspecific", "undecided")) >= 10
