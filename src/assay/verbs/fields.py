"""Fields: what `assay list NAME` prints about an experiment or a study: its arms, the fields that
may be set, and the measures that a claim may read."""

from __future__ import annotations

from collections.abc import Iterator

from assay.ask.fields import Dimension, Fields, Measure, Variant, described, of_arm
from assay.verbs.parts import AnswerPart, Line, Table
from assay.verbs.verb import Answer, Choice, Place

WIDE, NAMES = 30, 60
"""Characters of levels that are listed, and of the names of arms."""


def answer(name: str, arm: str, choice: Choice, place: Place) -> Answer[Fields]:
    """Describe an experiment or a study, or one arm of it. Raises: AssayError for an arm that it
    does not have."""
    fields = described(name, lambda: choice.of(name), place.lab())
    if arm:
        fields = of_arm(fields, arm)
    return Answer(fields, words(fields, choice.preset, place))


def words(fields: Fields, preset: str, place: Place) -> Iterator[AnswerPart]:
    """Give the fields in a table, the arms in another, and the measures in a third."""
    for borrowed, rows in fields.fields.items():
        yield Line(f"To set a field: assay run {borrowed} --set field=value{place.options}")
        lines = [(f.name, f.default, f.may_be, f.meaning) for f in rows]
        columns, narrow = ("field", preset, "allowed", "meaning"), {preset: 14}
        yield Table(columns, lines, wide={"allowed": 1, "meaning": 2}, narrow=narrow)
        yield ""
    for variants in fields.arms.values():
        arms = [(a.name, varied(a), a.note) for a in variants]
        yield Table(("arm", "changes", "what it is"), arms, wide={"changes": 1, "what it is": 2})
        yield ""
    yield from in_words(fields)


def varied(arm: Variant) -> str:
    """Say what an arm changes, in a line."""
    parts = [f"{name} {value}" for name, value in arm.changes.items()]
    return "; ".join([*parts, *([f"made of {', '.join(arm.made_of)}"] if arm.made_of else [])])


def levels(dimension: Dimension) -> str:
    """Write a dimension with its levels, the first of them where there are many."""
    size = "" if dimension.size is None else f" ({dimension.size:,})"
    listed = ", ".join(dimension.levels)
    if dimension.name == "prompt" and size:  # which are numbered
        return f"{dimension.name}{size}"
    if dimension.size is not None and dimension.size == len(dimension.levels):
        return f"{dimension.name}: {listed}"  # few, and a condition has to name them
    if not listed or len(listed) > WIDE:
        return f"{dimension.name}{size}" + (f": {dimension.levels[0]} …" if listed else "")
    if dimension.name == "prompt":
        return f"{dimension.name}{size}"  # which are only numbered
    more = f" …{size}" if dimension.size and dimension.size > len(dimension.levels) else ""
    return f"{dimension.name}: {listed}{more}"


def bounds(low: float | None, high: float | None) -> str:
    """Say which bounds a measure has; "" where it has none."""
    if low is None:
        return "" if high is None else f"at most {high:g}"
    return f"{low:g} or more" if high is None else f"{low:g} to {high:g}"


def in_words(fields: Fields) -> Iterator[AnswerPart]:
    """List the measures, a row for each: meaning, unit and range, dimensions, arms."""
    if not fields.measures:
        yield f"What {fields.experiment} measures is not known yet: no run of it is stored."
        return
    every = {arm: None for m in fields.measures for arm in m.arms}
    if not fields.arms:
        yield f"arms: {', '.join(every)}"
        yield ""
    rows = []
    for m in fields.measures:
        arms = "every" if {*m.arms} == {*every} else ", ".join(m.arms)
        arms = f"{len(m.arms)} of {len(every)}" if len(arms) > NAMES else arms
        rows.append((m.name, about(m), "; ".join(map(levels, m.dimensions)), arms))
    wide = {"what, unit, range": 2, "dimensions": 1, "arms": 1}
    yield Table(("measure", "what, unit, range", "dimensions", "arms"), rows, wide=wide)
    yield "In a claim, write ARM.MEASURE, or ARM.MEASURE[DIMENSION=LEVEL] for one level."


def about(m: Measure) -> str:
    """Write what a measure is, its unit, its range, what was measured, and which way is better."""
    is_flag = m.unit == "bool"
    unit = "yes or no" if is_flag else m.unit if m.unit != "1" else ""
    measured = m.measured if not is_flag else None
    extent = f"measured {measured[0]:.3g} to {measured[1]:.3g}" if measured else ""
    better = f"{m.better} is better" if m.better else ""
    return ", ".join(filter(None, (m.words, unit, bounds(m.low, m.high), extent, better)))
