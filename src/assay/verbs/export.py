"""Export: a dictionary for another library or from one, the index of its features, or the bundle
of a result."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from assay.core.compute import in_bytes
from assay.core.errors import AssayError
from assay.lab.store.origin import STUDIES
from assay.report.bundle.making import Bundled, export_bundle
from assay.verbs.exchange import Exchanged, of_dictionary
from assay.verbs.fetch import OFFLINE, Network
from assay.verbs.index import USUAL, Indexed, Reading, in_store, make
from assay.verbs.parts import written
from assay.verbs.verb import (
    DEFAULT,
    HERE,
    Answer,
    Choice,
    Device,
    Door,
    Flag,
    Flat,
    More,
    Place,
    Several,
    Text,
    verb,
)
from assay.verbs.writable import writable_file


@verb("files for other libraries; features and their index; the bundle of a result")
def export(
    name: str,
    /,
    *,
    out: Path | None = None,
    format: Literal["saelens", "assay", "index", "bundle"] = "saelens",
    hint: Annotated[Several, More] = (),
    run: Annotated[int | None, More] = None,
    model: str | None = None,
    text: Text = "stdlib",
    reading: Annotated[Reading, Flat] = USUAL,
    also: Annotated[Several, More] = (),
    hide_prompts: Annotated[Flag, More] = False,
    device: Annotated[Device, More] = "cpu",
    choice: Choice = DEFAULT,
    network: Network = OFFLINE,
    place: Place = HERE,
    door: Door,
) -> Answer[Exchanged | Indexed | Bundled]:
    """Convert a dictionary to or from another library's format, write tables of its features, or
    write a result as a bundle that anyone can judge again with NumPy.

    Parameters
    ----------
    name
        A dictionary: a file or folder of SAELens, dictionary_learning, sparsify, Gemma Scope,
        Llama Scope or Assay, or a stored run. For a bundle, an experiment or a study.
    out
        The folder to write. For the format assay, the file; for a bundle, the zip file, by default
        NAME.zip. An index stays in the store.
    format
        saelens: cfg.json and sae_weights.safetensors, for SAELens 6, a folder for each run; assay:
        one safetensors file; index: every feature on a text, as Parquet files in the store; bundle:
        claims, measures, verdicts and code that judges.
    hint
        name=value: what a dictionary's file leaves open. Names are format, site, site_out,
        architecture, scale, k, threshold, context and bos (yes or no). Repeatable.
    run
        The run to write, from 0; by default all.
    model
        The language model: its name for the other library's settings, or the one that is run for an
        index: smollm2, gemma3-270m, a model's folder, or a hub's OWNER/NAME (assay fetch).
    also
        For an index: a dictionary of another seed, in which to search for the features. Repeatable.
        For a stored run, the default is the other seeds of its arm.
    hide_prompts
        For a bundle: write the hashes of prompts instead of their texts, if the texts may not be
        published.

    Examples
    --------
    assay export gated-sae/showcase --out for-saelens
    assay export for-saelens --format assay --out mine.safetensors
    assay export gated-sae/showcase --format index --tokens 8192
    assay export superposition --format bundle
    """
    refuse_mixture(format, hint, run, choice, out, hide_prompts=hide_prompts)
    if format != "bundle" and name.endswith(STUDIES):
        raise AssayError(f"{name} is a study, which becomes a bundle: {command(name, out)}")
    if format == "bundle":
        return of_result(name, out, choice, place, hide_prompts=hide_prompts)
    if format == "index":
        lm = model or "smollm2"
        return in_store(make(name, lm, text, also, reading, device, network, place, door))
    if out is None:
        raise AssayError("--out is missing: the file to write, such as --out mine.safetensors")
    return of_dictionary(name, out, format, hint, run, model, place)


def refuse_mixture(
    format: str,
    hint: Sequence[str],
    run: int | None,
    choice: Choice,
    out: Path | None,
    *,
    hide_prompts: bool,
) -> None:
    """Refuse options that belong to another format. Raises: AssayError."""
    dictionary = format in ("saelens", "assay")
    owned = (
        ("--run", run is not None, dictionary, "whole dictionaries"),
        ("--hint", bool(hint), dictionary, "whole dictionaries"),
        ("--preset or --set", choice != DEFAULT, format == "bundle", "--format bundle"),
        ("--hide-prompts", hide_prompts, format == "bundle", "--format bundle"),
        ("--out", out is not None, format != "index", "files; an index stays in the store"),
    )
    for option, typed, fits, noun in owned:
        if typed and not fits:
            raise AssayError(f"{option} does not go with --format {format}: it is for {noun}")


def command(name: str, out: Path | None) -> str:
    """Give the whole command that writes the bundle of a result."""
    words = ["assay", "export", name, "--format", "bundle"]
    words += ["--out", str(out.with_suffix(".zip"))] if out is not None else []
    return shlex.join(words)


def of_result(
    name: str, out: Path | None, choice: Choice, place: Place, *, hide_prompts: bool
) -> Answer[Bundled]:
    """Write the bundle of a result."""
    if out is not None and out.suffix != ".zip":
        raise AssayError(f"a bundle is a zip file: {command(name, out)}")
    if out is not None:
        writable_file(out, "--out")
    bundle = export_bundle(place.lab(), *choice.of(name), out, hide_prompts=hide_prompts)
    return Answer(bundle, written("bundle", b=bundle, size=in_bytes(bundle.bytes)))
