"""Wording: the condition of a study's claim, in the language of `assay judge`, made a Claim about
measures of runs.

    gated.gamma - relu.gamma > 0.02             ratios of sums, where arms store the sums
    gated.fvu - relu.fvu < -0.005 at equal l0   along a sweep, both sides read at the same L0
    main.restored > 0.5                         any measure, over its units
    main.slope[kind=rare] < -0.9                one level of a dimension of a measure
    mean(main.slope, over=kind) < -0.9          the mean over its levels; of a quantity that of sums
    mean(main.error) / mean(main.variance) < 1  means of terms, as in `assay judge`

A quantity is computed from the means of its sums over units, never as a mean of ratios. Where the
runs of an arm differ in a field that is neither a unit nor fixed by `where`, only a comparison at
equal something can use them. Nothing else is averaged that the text does not name, but runs that
share all units."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from assay.ask.text import ClaimEntry, EstimateEntry, Literature
from assay.core.bands import AT, OfMeans
from assay.core.claims import Claim, Estimate, Published
from assay.core.columns import Axes, Column
from assay.core.errors import ClaimError, nearest
from assay.core.expression import Parsed, parse
from assay.core.heavy import xr
from assay.core.measures import by
from assay.core.reasons import GIVEN
from assay.core.results import JOINT
from assay.core.stats import Compared, Means, Quantity, Statistic, at_matched, lead_at_own, mean
from assay.dictionaries.measuring.measures import EXPLAINED, FVU_OF, TABLE, Measure

R2 = dataclasses.replace(EXPLAINED, name="r2", label="R²")
"""The measure of probes of numbers: explained variance, called R²."""
QUANTITIES: Mapping[str, Measure] = {m.name: m for m in (*TABLE, FVU_OF, R2)}
LARGEST = 6
"""Maximum number of measures of a condition whose ranges are combined."""
_BENDS = re.compile(r"[/*]|\b(corr|auroc|sum|count|argmax|argmin)\(")
"""Operations that are not sums and differences of measures."""
_WITHIN_LEVELS = ("max", "min", "mean", "median", AT)
"""What is taken over levels and cannot lie beyond all of them."""
_EQUAL = re.compile(r"\s+at\s+equal\s+(\w+)\s*$")


@dataclass(frozen=True)
class Condition:
    """A parsed condition: the comparison, and what both sides have equal."""

    parsed: Parsed
    equal: str = ""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The measures and quantities that it reads, each once, including what is equal at the
        compared levels."""
        equal = [dataclasses.replace(c, name=self.equal) for c in self.parsed.columns if self.equal]
        return tuple(dict.fromkeys([*self.parsed.columns, *equal]))

    @property
    def pairs(self) -> tuple[tuple[Column, Column], ...]:
        """The pairs of a comparison, each with the positive side first: one for a difference, two
        for the difference of two; none otherwise."""
        columns, walk = self.parsed.columns, self.parsed.terms.get("value")
        if walk is None:  # a share of units, or a level
            return ()

        def value(*numbers: float) -> float:
            with np.errstate(all="ignore"):  # a ratio is no difference, whatever it gives here
                return float(walk(dict(zip(columns, numbers, strict=True)).__getitem__))

        units = np.eye(len(columns))
        signs = [value(*unit) for unit in units]
        # a weighted sum agrees at other points as well
        probe = 2.0 ** np.arange(len(columns))
        plain = value(*probe) == sum(x * sign for x, sign in zip(probe, signs, strict=True))
        plus, minus = ([c for c, s in zip(columns, signs, strict=True) if s == x] for x in (1, -1))
        if not plain or len(plus) != len(minus) or 2 * len(plus) != len(columns):
            return ()
        return tuple(zip(plus, minus, strict=True))


def condition(text: str, *, compared: bool = True) -> Condition:
    """Read a condition such as "gated.fvu - relu.fvu < -0.005 at equal l0"; not `compared`, the
    value of an estimate, which has no threshold. Raises: ClaimError."""
    match = _EQUAL.search(text)
    parsed = parse(text[: match.start()] if match else text, compared=compared)
    kind = "claim" if compared else "estimate"
    for whole in parsed.together:
        if sums := [c.name for c in whole.columns if c.name in QUANTITIES]:
            raise ClaimError(
                f"cannot read the {kind} '{text[:80]}': {sums[0]} is a ratio of sums, "
                "which cannot be combined over the levels of a difference; write "
                f"{whole.text} of each side separately"
            )
        if whole.is_ratio:
            raise ClaimError(
                f"cannot read the {kind} '{text[:80]}': a ratio of each unit is decided by units "
                "near 0; write the ratio of means, as in max(mean(a.x) / mean(b.x), over=layer)"
            )
        if match:
            raise ClaimError(
                f"cannot read the {kind} '{text[:80]}': at equal {match[1]} takes a plain "
                f"difference of two arms, and {whole.text} is none"
            )
    if not match:
        return Condition(parsed)
    arms, names = parsed.arms, {c.name for c in parsed.columns}
    read = Condition(parsed, match[1])
    several = len(arms) in (2, 4) and len(names) == 1 and len(parsed.columns) == len(arms)
    if not several or "value" not in parsed.terms:
        raise ClaimError(
            f"cannot read the {kind} '{text[:80]}': at equal {match[1]} compares two arms, as "
            "in a.fvu - b.fvu < -0.005 at equal l0, or the leads of two pairs, as in (a.fvu - "
            "b.fvu) - (c.fvu - d.fvu) < 0 at equal l0"
        )
    if not read.pairs:
        raise ClaimError(
            f"cannot read the {kind} '{text[:80]}': at equal {match[1]} takes a plain "
            "difference of two arms, a.fvu - b.fvu, or of two such differences"
        )
    return read


def claim(claim_entry: ClaimEntry, main_arm: str, read: Condition) -> Claim:
    """Make the Claim of an entry about an arm. Raises: ClaimError."""
    claim_entry = msgspec.structs.replace(claim_entry, units=claim_entry.units or ("seed",))
    value, statistic = computed(read, main_arm, claim_entry)
    return Claim(
        text=claim_entry.text,
        value=value,
        statistic=statistic,
        units=tuple(claim_entry.units),
        low=read.parsed.low,
        high=read.parsed.high,
        of=main_arm,
        must_fail=tuple(claim_entry.control),
        near=claim_entry.near,
        also=claim_entry.also,
        must_hold=tuple(claim_entry.planted),
        violations=tuple(claim_entry.violations),
        credits=claim_entry.credits,
        beats=claim_entry.beats,
        empty=claim_entry.empty,
        fixed=claim_entry.fixed,
        where=claim_entry.where,
        bounds=claim_entry.bounds,
        threshold_from=claim_entry.threshold or GIVEN,
        source=claim_entry.source,
        condition=" ".join(claim_entry.holds.split()),
        published=_published(claim_entry.published),
    )


def estimate(entry: EstimateEntry, main_arm: str, read: Condition) -> Estimate:
    """Make the Estimate of an entry. Raises: ClaimError."""
    units, over = entry.units or ("seed",), dims_over(entry)
    if over and isinstance(read.parsed.statistic, OfMeans):
        raise ClaimError(
            f"over draws a curve of a mean, and {read.parsed.text} is one number for all levels; "
            "leave out over, or name the level in it, as in "
            f"{read.columns[0].plain}[{', '.join(f'{dim}=LEVEL' for dim in over)}]"
        )
    about = ClaimEntry(text=entry.text, units=(*units, *over), where=entry.where)
    value, statistic = computed(read, main_arm, about)

    def of_arms(arms: Mapping[str, xr.Dataset]) -> dict[str, xr.DataArray]:
        terms = value(arms[main_arm], arms)
        return {t: _combined(x, over) for t, x in terms.items()} if over[1:] else terms

    return Estimate(
        text=entry.text,
        value=of_arms,
        statistic=statistic,
        units=units,
        unit=entry.unit or "1",
        where=entry.where,
        over=JOINT.join(over),
        crosses=entry.crosses,
        natural=entry.natural,
        published=_published(entry.published),
        source=entry.source,
        condition=" ".join(entry.value.split()),
    )


def dims_over(entry: EstimateEntry) -> tuple[str, ...]:
    """The dimensions over whose levels an estimate is a curve."""
    names = (entry.over,) if isinstance(entry.over, str) else entry.over
    return tuple(name for name in names if name)


def _combined(x: xr.DataArray, over: Sequence[str]) -> xr.DataArray:
    """A measure with several dimensions joined to one, whose levels are the combinations."""
    joined = [d for d in over if d in x.dims]
    levels = [x[d].values.tolist() for d in joined]
    names = [JOINT.join(map(str, level)) for level in itertools.product(*levels)]
    free = [d for d in x.dims if d not in joined]
    dim, shape = JOINT.join(over), [x.sizes[d] for d in free]
    values = x.transpose(*free, *joined).values.reshape(*shape, len(names))
    return xr.DataArray(values, dims=(*free, dim), coords={**{d: x[d] for d in free}, dim: names})


ROUNDING = 2e-6
"""Differences below this share of the compared numbers count as rounding: sixteen times the
rounding of single precision."""


def _published(number: Literature | str) -> Published | Literal["new"] | None:
    if not isinstance(number, Literature):
        return "new" if number else None
    return Published(number.number, number.source, number.same, number.note, number.at)


_Value = Callable[["xr.Dataset", Mapping[str, "xr.Dataset"]], dict[str, "xr.DataArray"]]


def computed(read: Condition, main_arm: str, claim_entry: ClaimEntry) -> tuple[_Value, Statistic]:
    """Give the value and the statistic of a condition about this arm."""
    return (_matched if read.equal else _plain)(read, main_arm, claim_entry)


def _plain(read: Condition, main_arm: str, claim_entry: ClaimEntry) -> tuple[_Value, Statistic]:
    parsed = read.parsed
    marked = "value" not in parsed.terms
    sums = any(c.name in QUANTITIES for c in parsed.columns)

    def value(arm: xr.Dataset, arms: Mapping[str, xr.Dataset]) -> dict[str, xr.DataArray]:
        def data(name: str | None) -> xr.Dataset:
            return arm if name is None or name == main_arm else arms[name]

        # a quantity whose sums are stored is a ratio of these, even where a measure has its name
        quantities = [c for c in parsed.columns if c.name in QUANTITIES]
        of_sums = any(all(t in data(c.arm) for t in QUANTITIES[c.name].terms) for c in quantities)
        if marked or not of_sums:
            parts = {c: _measure(data(c.arm), c, main_arm, claim_entry) for c in parsed.columns}
            return {term: _unrounded(walk, parts) for term, walk in parsed.terms.items()}
        return {
            f"{c}.{t}": x
            for c in parsed.columns
            for t, x in _terms(data(c.arm), c, main_arm, claim_entry).items()
        }

    def statistic(m: Means) -> np.ndarray:
        if set(m) == {"value"}:
            return mean(m)
        return parsed.terms["value"](lambda c: _compute_quantity(m, str(c), c.name))

    return value, statistic if sums and not marked else parsed.statistic


def _unrounded(
    walk: Callable[[Callable[[Column], Any]], Any], parts: Mapping[Column, xr.DataArray]
) -> xr.DataArray:
    """A term of its parts, with differences due to rounding set to 0.

    The same pass in another batch differs in its last digits: an arm that changes nothing would
    have units that are equal except for rounding, for which no interval is meaningful."""
    x: xr.DataArray = walk(parts.__getitem__)
    with np.errstate(all="ignore"):
        if len(parts) < 2 or walk(lambda column: np.float64(1.0)) != 0:
            return x
    tells: Any = True
    for part in parts.values():
        reduced = [d for d in part.dims if d not in x.dims]
        tells = tells & (abs(x) > ROUNDING * abs(part).max(reduced))
    return x.where(tells | x.isnull(), 0.0)


def _matched(read: Condition, main_arm: str, claim_entry: ClaimEntry) -> tuple[_Value, Statistic]:
    """Value and statistic of a difference at equal something."""
    x, y = read.equal, read.parsed.columns[0].name
    sides = tuple(zip("abcd", itertools.chain.from_iterable(read.pairs), strict=False))

    def value(arm: xr.Dataset, arms: Mapping[str, xr.Dataset]) -> dict[str, xr.DataArray]:
        terms: dict[str, xr.DataArray] = {}
        for side, c in sides:
            side_arm = arm if c.arm == main_arm else arms[c.arm or main_arm]
            equal = dataclasses.replace(c, name=x).within(
                {str(d) for t in stored(x, side_arm) if t in side_arm for d in side_arm[t].dims}
            )
            for q in (equal, c):
                terms |= {
                    f"{side}.{q.name}.{t}": v
                    for t, v in _terms(side_arm, q, main_arm, claim_entry, sweep=True).items()
                }
        return terms

    return value, _leads(
        lambda m: _compute_quantity(m, x, x), lambda m: _compute_quantity(m, y, y), len(read.pairs)
    )


def _leads(x: Quantity, y: Quantity, pairs: int) -> Statistic:
    """The lead of side a over b at equal x, plus that of c over d.

    Sweeps are compared where all of them overlap. A side without a sweep is read at its own point,
    and its partner there as well."""
    matched = at_matched(x, y)

    def swept(m: Means, sides: str) -> bool:
        return all(t.ndim > 1 and t.shape[1] > 1 for name, t in m.items() if name[0] in sides)

    def lead(m: Means, a: str, b: str) -> np.ndarray:
        if not swept(m, a):
            return -lead_at_own(x, y, a=a, b=b)(m)
        if not swept(m, b):
            return lead_at_own(x, y, a=b, b=a)(m)
        return at_matched(x, y, a, b)(m)

    def contrast(m: Means, control: Means) -> np.ndarray:
        sweeps = swept(m, "ab") and swept(control, "ab")
        if sweeps and isinstance(matched, Compared) and matched.contrast:
            return matched.contrast(m, control)
        return lead(m, "a", "b") - lead(control, "a", "b")

    if pairs == 1:
        return Compared(lambda m: lead(m, "a", "b"), contrast)

    def both(m: Means) -> np.ndarray:
        if not swept(m, "abcd"):
            return lead(m, "a", "b") + lead(m, "c", "d")
        turned = {"c": "b", "d": "a"}
        first = {name: t for name, t in m.items() if name[0] in "ab"}
        second = {turned[n[0]] + n[1:]: t for n, t in m.items() if n[0] in turned}
        return contrast(first, second)

    return both


def natural(
    read: Condition, range_of: Callable[[Column], tuple[float | None, float | None]]
) -> tuple[float, float] | None:
    """The smallest and the largest value of one unit for sums and differences of measures, given
    the range of each, infinite if unbounded; None if unbounded on both sides, or for other
    arithmetic."""
    parsed = read.parsed
    bends = _BENDS.search(parsed.text) or any(t.how in ("first", "last") for t in parsed.together)
    if parsed.share or parsed.is_rate:
        return 0.0, 1.0
    if read.equal or len(parsed.columns) > LARGEST:
        return None
    ranges = {
        c: (-math.inf if low is None else low, math.inf if high is None else high)
        for c, (low, high) in zip(parsed.columns, map(range_of, parsed.columns), strict=True)
    }
    if (walk := parsed.terms.get("value")) is not None:
        return None if bends else _least_and_greatest(walk, ranges)
    if not isinstance(parsed.statistic, OfMeans) or re.search("[/*]", parsed.text):
        return None
    # A number that is chosen among levels, or their mean, is within the range of each level.
    parts = parsed.statistic.parts
    found = {name: _least_and_greatest(walk, ranges) for name, walk in parsed.terms.items()}
    terms = {name: ends for name, ends in found.items() if ends is not None}
    if len(terms) < len(found) or any(part.how not in _WITHIN_LEVELS for part in parts):
        return None
    by_name = {Column(None, name): ends for name, ends in terms.items()}
    of_parts = {part.text: _least_and_greatest(part.inner[0], by_name) for part in parts}
    return _least_and_greatest(parsed.statistic.outer, {**terms, **of_parts})


def _least_and_greatest(
    walk: Callable[..., Any], ranges: Mapping[Any, tuple[float, float] | None]
) -> tuple[float, float] | None:
    """The ends of sums and differences of numbers with these ranges; None if they have none."""
    if None in ranges.values():
        return None
    with np.errstate(all="ignore"):
        corners = [
            float(walk(dict(zip(ranges, map(np.float64, values), strict=True)).__getitem__))
            for values in itertools.product(*(ends for ends in ranges.values() if ends))
        ]
    low, high = min(corners), max(corners)
    nothing = any(map(math.isnan, corners)) or (math.isinf(low) and math.isinf(high))
    return None if nothing else (low, high)


def hold(
    column: Column,
    measures: Mapping[str, Axes],
    units: Sequence[str],
    *,
    settled: bool,
    loosely: bool = False,
) -> None:
    """Check the dimensions of a column against an arm's measures; and its levels, if these are
    settled.

    Loosely: dimensions that the measures lack are ignored, as for what both sides have equal.
    Raises: ClaimError as `Column.check` and `Column.place` do. An unknown measure passes."""
    axes = {
        dim: levels
        for t in stored(column.name, measures)
        if t in measures
        for dim, levels in measures[t].items()
    }
    if not axes and column.name not in measures:
        return
    column = column.within(axes) if loosely else column
    column.check(axes, units)
    for dim, level in column.levels:
        if settled and len(axes[dim]):
            column.place(dim, level, axes[dim])


def stored(name: str, available: Container[Any]) -> tuple[str, ...]:
    """The stored measures for a name: the sums of a quantity if all are available, otherwise
    itself."""
    terms = QUANTITIES[name].terms if name in QUANTITIES else ()
    made = all(t in available for t in terms) or name not in available
    return tuple(terms) if terms and made else (name,)


def _terms(
    arm: xr.Dataset, column: Column, main_arm: str, claim_entry: ClaimEntry, *, sweep: bool = False
) -> dict[str, xr.DataArray]:
    """The sums of a quantity, or the stored measure itself, over the units and, if `sweep`, a
    sweep."""
    name, terms = column.name, stored(column.name, arm)
    if terms == (name,):
        return {"": _measure(arm, column, main_arm, claim_entry, sweep=sweep)}
    if missing := [t for t in terms if t not in arm]:
        raise ClaimError(
            f"arm {column.arm or main_arm} does not store {', '.join(missing)}, from which {name} "
            f"is computed; {nearest(name, measures_of(arm))}"
        )
    axes = {str(d): () for t in terms for d in arm[t].dims if d != "run"}
    dataclasses.replace(column, arm=column.arm or main_arm).check(axes, axes)
    return {t: _measure(arm, column, main_arm, claim_entry, term=t, sweep=sweep) for t in terms}


def _compute_quantity(m: Means, side: str, name: str) -> Any:
    """A quantity of the means of its terms, or the mean of the measure."""
    terms = {
        term.removeprefix(f"{side}."): x for term, x in m.items() if term.startswith(f"{side}.")
    }
    return terms[""] if set(terms) == {""} else QUANTITIES[name].statistic(terms)


def measures_of(arm: xr.Dataset) -> tuple[str, ...]:
    """The measures of an arm, and the quantities that can be computed from them."""
    stored = [str(name) for name in arm.data_vars if arm[name].dtype.kind in "biuf"]
    return (*stored, *made_of(stored))


def made_of(stored: Sequence[str]) -> tuple[str, ...]:
    """The quantities that can be computed from stored measures of these names."""
    return tuple(
        name
        for name, m in QUANTITIES.items()
        if name not in stored and all(t in stored for t in m.terms)
    )


def _without_the_same(column: Column, arm: xr.Dataset, varying: Sequence[str]) -> Column:
    """Drop the level of a field in which the runs of an arm do not differ. Raises: ClaimError if
    the level is another one."""
    for field, level in column.levels:
        if field in arm.coords and arm[field].dims == ("run",) and field not in varying:
            column.place(field, level, np.unique(arm[field].values).tolist())
            levels = tuple(x for x in column.levels if x[0] != field)
            column = dataclasses.replace(column, levels=levels)
    return column


def _measure(
    arm: xr.Dataset,
    column: Column,
    arm_name: str,
    claim_entry: ClaimEntry,
    *,
    term: str = "",
    sweep: bool = False,
) -> xr.DataArray:
    """A measure, or one sum of a quantity, over the units: `run` becomes seed and the fields that
    differ; levels as the text names them."""
    arm_name, name = column.arm or arm_name, term or column.name
    if name not in arm:
        if "why" in arm:
            raise ClaimError(f"{arm_name} cannot be made: {arm['why'].values[0]}")
        hint = nearest(name, measures_of(arm))
        raise ClaimError(f"arm {arm_name} has no measure {name!r}; {hint}")
    fields = [str(n) for n, c in arm.coords.items() if c.dims == ("run",) and n != "seed"]
    varying = [f for f in fields if len(np.unique(arm[f].values.astype(str))) > 1]
    column = _without_the_same(dataclasses.replace(column, arm=arm_name), arm, varying)
    swept = [f for f in varying if f not in (*claim_entry.units, *column.named)]
    if sweep and len(swept) > 1:
        raise ClaimError(
            f"at equal … needs runs of {arm_name} that differ in one field; they differ in "
            f"{', '.join(swept)}"
        )
    if not sweep and swept:
        levels = ", ".join(map(str, np.unique(arm[swept[0]].values)))
        raise ClaimError(
            f"the runs of {arm_name} differ in {swept[0]} ({levels}): choose one with where = {{ "
            f"{swept[0]} = … }}, compare at equal l0, or estimate over {swept[0]}"
        )
    x = by(arm[[name]], *varying)[name]
    x = x if x.dtype.kind == "f" else x.astype(float)
    column = column.within({str(d) for d in x.dims}) if term else column
    x = column.take(x, ("seed", *claim_entry.units, *(swept if sweep else ())))
    if "seed" in claim_entry.units or "seed" not in x.dims:
        return x
    counts = by(arm[[name]].assign({name: ("run", np.ones(arm.sizes["run"]))}), *varying)[name]
    # NaN of a run stays, and missing runs do not count
    return x.where(counts.notnull(), 0.0).sum("seed", skipna=False) / counts.sum("seed")
