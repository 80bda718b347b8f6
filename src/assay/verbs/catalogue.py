"""Catalogue: the experiments by group, those of a group, or one in full."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from assay.core.errors import AssayError
from assay.core.nouns import counted
from assay.lab import catalogue
from assay.report import tables
from assay.report.overview import Catalogue, Here, Listed, Own, listed
from assay.report.questions import by_group, heading, of_group
from assay.verbs.parts import AnswerPart, Line, Table
from assay.verbs.verb import DEFAULT, HERE, Answer, Choice, Door, Place, verb


def results() -> Any:
    """Give the types of what is listed."""
    from assay.ask.fields import Fields

    return Catalogue | Fields


@verb("every experiment, its verdicts and what is stored; or one in full", results=results)
def command(
    name: str = "", /, *, arm: str = "", choice: Choice = DEFAULT, place: Place = HERE, door: Door
) -> Answer[Any]:
    """List the catalogue by group; the questions and recorded verdicts of a group; or the arms,
    fields and measures of one experiment or study.

    Parameters
    ----------
    name
        A group such as toys, `catalogue` for all groups, an experiment, or the path of an
        experiment or study.
    arm
        For an experiment: show only what this arm changes and measures.

    Examples
    --------
    assay list dictionaries
    assay list superposition --arm main
    """
    listing = listed(place.root)
    if Path(name).suffix or name in {e.name for e in listing.experiments}:
        from assay.verbs import fields  # which loads NumPy

        return fields.answer(name, arm, choice, place)
    if arm or choice != DEFAULT:
        raise AssayError("--arm, --preset and --set go with the name of one experiment")
    if name:
        listing = Catalogue(tuple(of_group(listing.experiments, name)))
    answer = words(listing.experiments, bool(name), door.width)
    return Answer(listing, [*answer, *own(listing.own)])


def words(rows: Sequence[Listed], full: bool, width: int) -> Iterator[AnswerPart]:
    """List the names of every group, or a line for each experiment of one group."""
    if not rows:
        yield catalogue.MISSING
        return
    members = by_group(rows)
    if full:
        for group, entries in members.items():
            yield Line(heading(group))
            yield questions(entries)
        yield Line(tables.legend())
    else:
        for group, entries in members.items():
            yield Line(heading(group))
            names = ", ".join(f"{e.name}*" if e.local.results else e.name for e in entries)
            lines = textwrap.wrap(names, width - 2, break_on_hyphens=False)
            yield from (Line(f"  {line}") for line in lines)
        yield ""
        yield from ["* has results here."] * any(e.local.results for e in rows)
        yield "assay list GROUP shows questions and verdicts, and assay list NAME shows one entry."
    yield ""
    yield "assay plan NAME shows what would run; assay run NAME runs it."


def own(results: Sequence[Own]) -> Iterator[AnswerPart]:
    """List the results of the user's own studies and experiments."""
    if results:
        yield ""
        yield Line("your own: results of other studies and experiments in this store")
        rows = [
            (
                f"  {r.name}" + f" --preset {r.preset}" * (r.preset != "default"),
                tables.signs(r.outcomes),
                r.inference,
            )
            for r in results
        ]
        yield Table(("", "", ""), rows, headless=True)


def questions(entries: Sequence[Listed]) -> Table:
    """Tell what each experiment asks, and how its claims came out: as recorded, and as stored
    here."""
    rows = []
    for e in entries:
        recorded = tables.signs(e.recorded, "") or e.board or "–"
        many = counted(len(e.contests), "claim")
        contested = f" · {many} challenged: assay challenge-claim {e.name}" * bool(e.contests)
        rows.append((e.name, e.title + contested, recorded, stored_in_words(e.local)))
        for preset, outcomes in e.elsewhere.items():
            stored = tables.signs(e.local.results.get(preset, {}), "") or "–"
            again = "the same claims with another model, text, length or seeds"
            rows.append((f"  --preset {preset}", again, tables.signs(outcomes, ""), stored))
    return Table(("name", "question", "recorded", "here"), rows)


def stored_in_words(local_state: Here) -> str:
    """Say what is stored of an experiment, in a few words."""
    if not local_state.runs:
        return "–"
    other = " (by another text of its file)" if "default" in local_state.other_text else ""
    signs = tables.signs(local_state.results.get("default", {}))
    return (signs or counted(local_state.runs, "run")) + other
