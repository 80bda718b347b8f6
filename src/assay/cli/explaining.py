"""Verbs of `assay` about explanations of small models: one that somebody wrote, or a model to
practise on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from assay.cli import printing
from assay.cli.app import MEASURE, app
from assay.cli.options import HERE, Bare, Flat, Place
from assay.verbs.challenge import Kind
from assay.verbs.explain import Hard, Trials

FULLY = Hard()
TRIED = Trials()


@app.command(sort_key=15, group=MEASURE)
def explain(
    what: Annotated[
        Literal["check", "show", "look"],
        Parameter(
            help=(
                "check: hold it to the model that it names, beside four controls; show: print "
                "ours of a model; look: take a model apart."
            )
        ),
    ],
    file: Annotated[
        str,
        Parameter(
            help=(
                "check: an explanation, NAME.toml, which is data, or NAME.py, which is run; show "
                "and look: a model; look: a challenge, too."
            )
        ),
    ],
    /,
    *,
    rival: Annotated[bool, Bare] = False,
    page: Path | None = None,
    hard: Annotated[Hard, Flat] = FULLY,
    place: Place = HERE,
) -> None:
    """Score an explanation of a small model: ablation, causal scrubbing, its own logits, inputs it
    says fail, and how short it is.

    Parameters
    ----------
    rival
        With show: the plausible but wrong one in place of ours.
    page
        With check and look: a page as well, of attention, parts, patching, tables, the causal graph
        and the scores, which opens offline.

    Examples
    --------
    assay explain check my_explanation.toml
    assay explain show induction
    assay explain show monthly-palindromes/22062 --rival
    assay explain look induction --page induction.html
    """
    from assay.cli import explain as told

    outcome = told.run_explain(what, file, hard, rival, page, place.root)
    printing.emit(outcome) if place.json else told.show(outcome)


@app.command(sort_key=16, group=MEASURE)
def challenge(
    what: Annotated[
        Literal["new", "score"],
        Parameter(help="new: plant a circuit and write it; score: hold an answer to it."),
    ],
    folder: Annotated[
        Path, Parameter(help="The challenge: a new folder, or one that was made so.")
    ],
    answer: Annotated[
        Path | None, Parameter(help="With score: your explanation, a TOML file.")
    ] = None,
    /,
    *,
    seed: int | None = None,
    kind: Kind | None = None,
    trials: Annotated[Trials, Flat] = TRIED,
    place: Place = HERE,
) -> None:
    """Practise: a circuit that nobody has seen, planted in a small model, and your explanation of
    it scored blind.

    Parameters
    ----------
    seed
        With new: plants the same again; without it the operating system draws one. With score:
        draws the inputs, else 1000.
    kind
        With new: what is planted; without it the seed decides.

    Examples
    --------
    assay challenge new puzzle
    assay challenge score puzzle puzzle/my_explanation.toml
    """
    from assay.cli import challenge as told

    outcome = told.run_challenge(what, folder, answer, seed, kind, trials, place.root)
    printing.emit(outcome) if place.json else told.show(outcome)
