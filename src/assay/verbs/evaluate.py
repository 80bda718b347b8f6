"""Evaluate: every core measure of a user's dictionaries, on a user's model and text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal  # noqa: F401  # that of Windows, whose types are read here

from assay.evaluation import evaluating
from assay.evaluation.result import Evaluated
from assay.report import evaluations
from assay.verbs.evaluation_tables import words
from assay.verbs.fetch import OFFLINE, Network
from assay.verbs.machine import device_here
from assay.verbs.verb import HERE, Answer, Device, Door, Flat, More, Place, Windows, verb
from assay.verbs.writable import writable


@dataclass(frozen=True, kw_only=True)
class Where:
    """What dictionaries are evaluated on."""

    model: str | None = None
    """smollm2, gemma3-270m, a model's folder, or a hub's OWNER/NAME (assay fetch)."""
    text: str | None = None
    """stdlib (Python code), docs (English docstrings), or a folder of text files."""


@dataclass(frozen=True, kw_only=True)
class How(Windows):
    """How they are evaluated; what is not given comes from each dictionary's own file."""

    site: str = ""
    """Where activations are read, such as blocks.9.hook_resid_post or layers.9 (the output of block
    9)."""
    tokens: int = 110_000
    """The number of tokens that the model reads, at most."""
    ablation_tokens: Annotated[int, More] = 12_500
    """Tokens on which the loss is also measured with the site ablated."""


ON, AS_FILED = Where(), How()


@verb("every measure of dictionaries on a text")
def evaluate(
    *dictionaries: str,
    on: Annotated[Where, Flat] = ON,
    how: Annotated[How, Flat] = AS_FILED,
    device: Device = "cpu",
    batch: Annotated[int | None, More] = None,
    out: Path | None = None,
    network: Network = OFFLINE,
    place: Place = HERE,
    door: Door,
) -> Answer[Evaluated]:
    """Measure sparsity, reconstruction and loss recovered for dictionaries (SAEs, transcoders) on
    a model and a text, with intervals. Several dictionaries give one table and
    one plot.

    Parameters
    ----------
    dictionaries
        Files or folders of any known format, stored runs such as gated-sae/showcase, or names that
        `assay fetch` takes.
    batch
        Tokens in one pass of the model. This changes the memory that is needed, not the numbers.
    out
        A folder for the report, the plots, every number as CSV and JSON, and documents.csv: a row
        for each dictionary and document, which `assay judge` reads.

    Examples
    --------
    assay evaluate gated-sae/showcase --model smollm2 --text stdlib --tokens 6000
    """
    network.bring(door, on.model, *dictionaries)
    with door.measuring() as bar:
        if out is not None:
            writable(out, "--out")
        evaluation = evaluating.evaluate(
            *dictionaries,
            **vars(on),
            **vars(how),
            root=place.root,
            device=device_here(device),
            batch=batch,
            progress=bar,
            watch=bar.watch,
        )
        earlier = evaluations.evaluated_in(out) if out is not None else ()
        files = evaluations.write(evaluation, out) if out is not None else []
    if earlier and earlier != tuple(e["name"] for e in evaluation.to_json()["dictionaries"]):
        door.aside(f"{out} had an evaluation of {', '.join(earlier)}, which this one replaced")
    fields = evaluation.to_json()
    evaluated = Evaluated(
        **fields | {"dictionaries": tuple(fields["dictionaries"]), "notes": tuple(fields["notes"])},
        written=tuple(files),
    )
    return Answer(evaluated, words(evaluated))
