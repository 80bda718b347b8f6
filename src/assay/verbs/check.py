"""Check: a claim about what a function in somebody's own file measures, next to near controls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import structs

from assay.core import foreign
from assay.core.errors import DataError
from assay.core.results import Judged
from assay.verbs.options import Bare, Expected, Flag, More, Several
from assay.verbs.verb import Answer, AnswerPart, Aside, Line, Table, verb
from assay.verbs.verdicts import unexpected

if TYPE_CHECKING:
    from assay.checking.result import Check

Numbers = Annotated[Path | None, Bare]
LARGEST = 2**30
"""Bytes of an array of numbers."""


@verb("the verdict on a claim about what your function measures")
def check(
    function: str,
    /,
    *,
    prompts: Path | None = None,
    holds: str = "",
    sentence: str = "",
    vector: Numbers = None,
    acts: Annotated[Numbers, More] = None,
    labels: Annotated[Numbers, More] = None,
    elsewhere: Annotated[Numbers, More] = None,
    around: Annotated[Numbers, More] = None,
    heads: str = "",
    neurons: Annotated[str, More] = "",
    latents: Annotated[str, More] = "",
    layer: int | None = None,
    site: Annotated[str, More] = "",
    position: Annotated[str, More] = "",
    source: str = "",
    text: str = "",
    feature: Annotated[str, More] = "",
    edge: Annotated[str, More] = "",
    of: str = "",
    norms: Annotated[Numbers, More] = None,
    rates: Annotated[Numbers, More] = None,
    others: str = "",
    other_text: Annotated[Several, More] = (),
    paraphrase: Annotated[Several, More] = (),
    also: Annotated[str, More] = "",
    control: Annotated[Several, More] = (),
    draws: Annotated[int, More] = 4,
    unit: Annotated[Several, More] = (),
    beats: Annotated[float, More] = 0.0,
    bounds: Annotated[tuple[float, float] | None, Bare, More] = None,
    scope: Annotated[str, More] = "",
    batch: Annotated[int, More] = 0,
    fresh: Annotated[Flag, More] = False,
    no_ledger: Annotated[Flag, More] = False,
    save: Annotated[Path | None, More] = None,
    expect: Expected = None,
) -> Answer[Judged]:
    """Judge a claim about what your own function measures, in any library, with controls that Assay
    passes to it.

    Parameters
    ----------
    function
        FILE.py:NAME of a function (thing, prompts) that returns a number for each prompt. It is
        called with what the claim credits, with None, and with each control. The file is run as a
        program.
    prompts
        A CSV, JSONL or text file of prompts.
    holds
        The condition, such as `effect > 0.3`, the number with what is credited minus that without
        it.
    sentence
        The claim in words; by default the condition.
    vector
        What is credited: a vector in an .npy file.
    acts
        Activations, [row, d], from which the vector is learned, with --labels; an .npy file.
    labels
        A label for each row of --acts, of two kinds; an .npy file.
    elsewhere
        The activations of the same rows at another layer, for the control layer.
    around
        Activations that show which dimensions a random vector should fill.
    heads
        What is credited: heads as LAYER.HEAD, with commas; needs --of.
    neurons
        What is credited: neurons as LAYER.NEURON or numbers; needs --of.
    latents
        What is credited: numbers of latents; needs --of.
    layer
        What is credited: a layer; needs --others, a list or how many layers there are.
    site
        What is credited: a site; needs --others.
    position
        What is credited: a token's position; needs --others.
    source
        What is credited: the source of a patch, a column of the prompts.
    text
        What is credited: a prompt or a system text.
    feature
        What is credited: a feature; needs --of.
    edge
        What is credited: an edge as SOURCE.TARGET; needs --of.
    of
        The pool from which controls are taken: a count, LAYERSxHEADS such as 12x12, or a list with
        commas.
    norms
        A size for each member of the pool, by which controls are matched; an .npy file.
    rates
        How often each member of the pool is active, by which controls are matched; an .npy file.
    others
        Other layers, sites or positions, with commas.
    other_text
        Another text, cut or repeated to the length of --text.
    paraphrase
        Another wording of --text.
    also
        A function in the same file for another task of the model, for the control damage.
    control
        Only these controls.
    draws
        How many draws of each random control.
    unit
        A column of the prompts over which the claim generalises.
    beats
        The margin by which the method has to beat each control.
    bounds
        The least and the greatest value for one unit.
    scope
        What the numbers are about, in a few words; printed with the verdict.
    batch
        Prompts per call; by default all.
    fresh
        Call the function again even if its result is kept from an earlier call.
    no_ledger
        Do not record that this claim was tried on these prompts; the output says so.
    save
        A file to write the numbers and the verdict to, such as refusal.assay.

    Examples
    --------
    printf '%s\\n' 5 11 2 8 12 1 9 4 7 3 10 6 > p.txt
    echo 'f = lambda w, ps: [int(p) * (1 + (w == "be loud")) for p in ps]' > h.py
    assay check h.py:f --text 'be loud' --prompts p.txt --holds 'effect > 3'
    """
    from assay.checking.check import check as checked

    own, module = _function(function)
    if prompts is None or not holds.strip():
        lacking = "--prompts FILE" if prompts is None else "--holds 'effect > 0.3'"
        raise DataError(f"check needs {lacking}; assay check --help has an example")
    learned = _vector(vector, acts, labels, elsewhere)
    result = checked(
        sentence or holds,
        own,
        prompts=prompts,
        holds=holds,
        vector=learned,
        heads=_items(heads, pairs=True),
        neurons=_items(neurons, pairs=True),
        latents=_items(latents),
        layer=layer,
        site=site or None,
        position=_one(position),
        source=source or None,
        text=text or None,
        feature=_one(feature),
        edge=None if not edge else _items(edge, pairs=True)[0],
        of=_pool(of, pairs=bool(heads or neurons or edge)),
        norms=None if norms is None else _array(norms),
        rates=None if rates is None else _array(rates),
        others=list(other_text) or _others(others),
        around=None if around is None else _array(around),
        paraphrases=list(paraphrase) or None,
        also=None if not also else _named(module, also, function),
        controls=list(control) or None,
        draws=draws,
        unit=unit,
        beats=beats,
        bounds=bounds,
        scope=scope,
        batch=batch,
        cache=not fresh,
        ledger=not no_ledger,
    )
    if save is not None:
        result.save(save)
    other = unexpected([result.judged], expect)
    told = structs.replace(result.judged, notes=(*result.judged.notes, *result.notes))
    return Answer(told, [*_words(result), *map(Aside, other)], int(bool(other)))


def _words(result: Check) -> list[AnswerPart]:
    from assay.checking.result import HEADS
    from assay.core.reasons import remedy

    head, number, *_ = repr(result).split("\n")
    rows = [
        (name, str(result.draws(name)), *cells)
        for name, cells in ((n, result.row(n)) for n in result.controls)
    ]
    notes = (*result.remarks, f"scope: {result.judged.scope}")
    price = result.judged.price
    if price is not None and price.text:
        notes += (remedy(price.text, result.judged.price_in_times)[0],)
    return [Line(head), Line(number), Table(HEADS, rows, wide={HEADS[-1]: 1}), *notes]


def _function(place: str) -> tuple[Callable[[Any, Any], Any], Any]:
    """The function that FILE.py:NAME names, and its module. Raises: DataError."""
    from assay.ask.measure import own_code

    if not own_code.is_written(place):
        raise DataError(
            f"assay check judges a function of your own, as FILE.py:NAME, got {place!r}; to "
            f"compare a record or a bundle with what is stored: assay verify {place}"
        )
    module, name = own_code.module_of(place)
    return own_code.named(module, name, place), module


def _named(module: Any, name: str, place: str) -> Callable[[Any, Any], Any]:
    from assay.ask.measure import own_code

    return own_code.named(module, name, place)


def _vector(
    vector: Path | None, acts: Path | None, labels: Path | None, elsewhere: Path | None
) -> Any:
    """Read the vector, or learn it from activations and labels; None where neither is given."""
    from assay.checking.credited import direction

    if acts is None and labels is None:
        return None if vector is None else _array(vector)
    if acts is None or labels is None or vector is not None:
        raise DataError("a vector is read from --vector, or learned from --acts and --labels")
    apart = None if elsewhere is None else _array(elsewhere)
    return direction(_array(acts), _array(labels), elsewhere=apart)


def _array(path: Path) -> np.ndarray:
    """The numbers in an .npy file. Raises: DataError."""
    try:
        return np.asarray(np.load(foreign.regular(path, "an .npy file", LARGEST)))
    except (ValueError, EOFError) as e:
        raise DataError(f"{path} is no .npy file of numbers: {e}") from e


def _one(text: str) -> Any:
    if not text:
        return None
    return int(text) if text.lstrip("-").isdecimal() else text


def _items(text: str, *, pairs: bool = False) -> Any:
    """What is listed with commas: numbers, LAYER.NUMBER pairs, or names; None of nothing."""
    if not text:
        return None
    parts = [part.strip() for part in text.split(",")]
    if pairs and all("." in p and p.replace(".", "", 1).isdecimal() for p in parts):
        return [tuple(map(int, p.split("."))) for p in parts]
    return [_one(p) for p in parts]


def _pool(text: str, *, pairs: bool) -> Any:
    count, cross, each = text.partition("x")
    if cross and count.isdecimal() and each.isdecimal():
        return (int(count), int(each))
    return int(text) if text.isdecimal() else _items(text, pairs=pairs)


def _others(text: str) -> Any:
    return int(text) if text.isdecimal() else _items(text)
