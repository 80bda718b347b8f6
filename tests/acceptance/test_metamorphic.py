"""What must not move a verdict: generated tables, changed in ways that say nothing new, are judged
as they were.

Names, order of rows, units of measure, copies and null arms say nothing new. Where docs/rule.md
says that something moves, it moves so: units in another order meet other draws of the bootstrap, by
a twentieth of the interval's width at most."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

import assay

CHANCE = 0.05
"""By what share of an interval's width another stream of draws may move a limit."""
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
    also: tuple = ()
    controls: tuple = ()
    unlearned: tuple = ()

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
            also=list(self.also),
            unlearned=list(self.unlearned),
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


def kind(
    reason, names=("again-2", "gated", "relu", "again", "other", "zeta", "Alpha", "10 b", "mid-dle")
):
    """A reason without names and counts."""
    for name in names:
        reason = reason.replace(name, "NAME")
    return reason.split(":")[0].replace("NAME, NAME", "NAME")


def same(a, b, rel=1e-9, scale=1.0):
    """Whether two verdicts say the same, but for names and prices: outcome, kind of reason,
    numbers, those of controls."""
    for v, w in (
        (a.verdict, b.verdict),
        *zip(a.controls.values(), b.controls.values(), strict=False),
    ):
        assert (v.outcome, kind(v.reason)) == (w.outcome, kind(w.reason))
        width = max(abs(v.high - v.low), 1e-12 * abs(v.estimate))
        for name in ("estimate", "low", "high"):
            assert abs(scale * getattr(v, name) - getattr(w, name)) <= scale * (
                rel * width + 1e-9 * abs(v.estimate)
            ), name


def near(a, case):
    """Whether a limit of any arm lies so near a threshold that other draws may put it on the other
    side."""
    arms = [a.verdict, *a.controls.values(), *a.also.values()]
    return any(
        abs(limit - e) <= CHANCE * (v.high - v.low)
        for v in arms
        for limit in (v.low, v.high)
        for e in (case.low, case.high)
    )


def check(seed):
    """Judge a generated case, and all that must be judged alike; gives its outcome."""
    case, rng = generated(seed), np.random.default_rng([12, seed])
    was = case.judged()
    other, to = renamed(case, rng)
    now = other.judged()
    same(was, now)
    assert list(now.also) == [to[name] for name in was.also]
    same(was, shuffled(case, rng).judged())
    if not near(was, case):
        same(was, relabelled(case, rng).judged(), rel=CHANCE)
    measure, k = scaled(case, rng)
    same(was, measure.judged(), scale=k)
    if case.kind != "one arm":
        same(was, shifted(case, rng).judged(), rel=1e-6)
    copied = replace(with_copy(case, "again", "again-2"), controls=("again-2",)).judged()
    same(was, copied, rel=1e-12)
    assert copied.controls["again-2"].outcome == copied.controls["again"].outcome
    assert with_copy(case, "again", "again-2").judged().verdict.outcome == was.verdict.outcome, (
        "nobody named the copy, which does as it did"
    )
    # an arm that does as the method, named or not
    for named in ({}, {"also": ("gated-2",)}):
        twice = replace(with_copy(case, "gated", "gated-2"), **named).judged()
        assert twice.verdict.outcome == was.verdict.outcome
        assert twice.verdict.reason == was.verdict.reason
        assert was.verdict.outcome != "holds" or "gated-2" in twice.also
    idle = replace(with_copy(case, "gated", "gated-2"), unlearned=("gated-2",)).judged()
    null = case.kind == "one arm" and case.low < 0 < case.high
    if was.verdict.outcome == "holds" and not null:
        assert idle.verdict.outcome == "unspecific" and "gated-2" in idle.verdict.reason
    nulls = with_nulls(case, rng).judged()
    assert not set(nulls.also) - set(was.also)
    assert len(nulls.asked) == len(was.asked) + 3
    same(was, nulls, rel=1e-12)
    halves = split(case, rng).judged()
    same(was, halves)
    assert any("averaged" in note for note in halves.notes)
    return was.verdict.outcome


def test_what_says_nothing_new_moves_no_verdict():
    assert len({check(seed) for seed in range(2)}) > 1


@pytest.mark.slow
def test_a_thousand_tables_are_judged_alike_whatever_they_are_called():
    outcomes = [check(seed) for seed in range(1_000)]
    assert min(outcomes.count(o) for o in ("holds", "fails", "unspecific", "undecided")) >= 20
