"""Verbs of `assay` about files and upkeep: models, dictionaries in and out, what is stored, what is
installed, conformance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from assay.cli import printing
from assay.cli.app import FILES, UPKEEP, app
from assay.cli.options import (
    ANYWHERE,
    AS_WRITTEN,
    DEFAULT,
    HERE,
    PLAIN,
    Anywhere,
    Bare,
    Choice,
    Flat,
    Name,
    Output,
    Place,
    Trust,
    device_here,
)
from assay.core.errors import AssayError
from assay.verbs.dashboards import FIRST, NOBODY, Which, export_features
from assay.verbs.exchange import (
    AS_IT_SAYS,
    UNTRIED,
    Hints,
    Real,
    export_dictionary,
    find_dictionary,
    import_dictionary,
)
from assay.verbs.train_lm import AS_USUAL, ONCE, Design, Training
from assay.verbs.train_lm import train_lm as trained


@app.command(sort_key=8, group=UPKEEP)
def fetch(
    model: Annotated[
        str,
        Parameter(
            help=(
                "smollm2, gemma3-270m, or a hub's OWNER/NAME, @REVISION after it where not main; "
                "of a dictionary OWNER/NAME:PATH, or saelens:RELEASE:ID."
            )
        ),
    ] = "smollm2",
    /,
    *,
    accept_terms: Annotated[bool, Bare] = False,
    output: Output = PLAIN,
) -> None:
    """Download a model or a dictionary by its hash, once: SmolLM2, or safetensors of a hub
    (HF_ENDPOINT).

    Parameters
    ----------
    accept_terms
        Accept the model's terms of use, where it has some, without being asked.

    Examples
    --------
    assay fetch smollm2
    assay fetch gemma3-270m --accept-terms
    assay fetch EleutherAI/pythia-160m@step3000
    assay fetch google/gemma-scope-2b-pt-res:layer_20/width_16k/average_l0_71
    """
    from assay.cli import fetching

    fetched = fetching.fetch(model, accept_terms, output.json)
    printing.emit(fetched) if output.json else print(fetched.folder)


@app.command(sort_key=10, group=UPKEEP)
def remove(name: Name, /, *, yes: Annotated[bool, Bare] = False, place: Place = HERE) -> int:
    """Delete the stored runs and results of an experiment, and artefacts that no other one is left
    to use, after saying which.

    Parameters
    ----------
    yes
        Do not ask.

    Examples
    --------
    assay remove superposition
    """
    from assay.verbs import remove

    lab = place.lab()
    removable = remove.removable(lab, name)
    if not printing.agreed(removable, name, yes, place.json):
        return 0
    return printing.removed(remove.remove(lab, removable), name, place.json)


@app.command(sort_key=11, group=UPKEEP)
def doctor(
    *names: Annotated[
        str,
        Parameter(
            help=(
                "With --claims: experiments or files whose claims are asked; the catalogue "
                "without any."
            )
        ),
    ],
    claims: Annotated[bool, Bare] = False,
    clean: Annotated[bool, Bare] = False,
    migrate: Annotated[bool, Bare] = False,
    place: Anywhere = ANYWHERE,
) -> int:
    """What is installed or missing and how to mend it; threads, devices, model, disk, the store's
    health.

    Parameters
    ----------
    claims
        Ask claims instead, as recorded or stored: which average what they do not name, have
        controls that decide nothing, or may hold where nothing was learned.
    clean
        Delete damaged runs, and what kills and broken downloads left behind.
    migrate
        Bring a store of an older version to how this one stores; whole or not at all, and nothing
        is lost.

    Examples
    --------
    assay doctor
    assay doctor --claims superposition
    assay doctor --migrate
    """
    if claims:
        from assay.verbs import audit

        if clean or migrate:
            raise AssayError("--claims asks claims; give --clean and --migrate by themselves")
        return printing.audited(audit.audit(place.root, names), place.json)
    if names:
        raise AssayError(f"a name goes with --claims: assay doctor --claims {names[0]}")
    from assay.verbs import health

    return printing.health(health.doctor(place.root, clean, migrate), place.json)


@app.command(sort_key=19, group=FILES)
def train_lm(
    *,
    out: Path,
    design: Annotated[Design, Flat] = AS_USUAL,
    training: Annotated[Training, Flat] = ONCE,
    ratio: float = 4.0,
    checkpoints: Annotated[bool, Bare] = False,
    device: str = "cpu",
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
) -> None:
    """Train small language models on a text, several at once, each an ordinary Hugging Face folder
    that every other verb reads.

    Parameters
    ----------
    out
        The folder to write: a model folder in it for each run. The same command goes on there, or
        finds what is done.
    ratio
        Evaluated on held-out text whenever compute has grown so many times, and at the end.
    checkpoints
        Keep each model at each evaluation as well.
    device
        Where they train: cpu, cuda, cuda:1.

    Examples
    --------
    assay train-lm --out my-lms --layers 2 --steps 300 --seed 0 --seed 1
    """
    from assay.cli import training as shown
    from assay.cli.bar import Bar

    with trust.raised(), Bar("train-lm", "steps") as bar:
        where = device_here(device)
        trained_lms = trained(
            out,
            design,
            training,
            ratio=ratio,
            checkpoints=checkpoints,
            root=place.root,
            device=where,
            progress=bar,
        )
    printing.emit(trained_lms) if place.json else shown.show(trained_lms)


@app.command(name="import", sort_key=20, group=FILES)
def import_(
    path: Annotated[
        Path,
        Parameter(
            help=(
                "A file or folder of SAELens, dictionary_learning, sparsify, OpenAI or Gemma Scope."
            )
        ),
    ],
    /,
    *,
    out: Path,
    hints: Annotated[Hints, Flat] = AS_IT_SAYS,
    real: Annotated[Real, Flat] = UNTRIED,
    trust: Trust = AS_WRITTEN,
    output: Output = PLAIN,
) -> None:
    """Read another library's dictionary and keep it as one of ours; with activations, only if it
    reconstructs them.

    Parameters
    ----------
    out
        The safetensors file to write.

    Examples
    --------
    assay export gated-sae/showcase --out for-saelens
    assay import for-saelens --out mine.safetensors
    """
    with trust.raised():
        printing.exchanged(import_dictionary(path, out, hints, real), output.json)


def _bundle(
    name: str, out: Path | None, choice: Choice, dictionaries_only: bool, place: Place
) -> None:
    """Write a bundle, and print what it holds. Raises: AssayError for options that are for
    dictionaries."""
    from assay.verbs.bundle import export_bundle

    if dictionaries_only:
        raise AssayError(
            "--run, --model, --features, --top, --by and --creator are for dictionaries; a "
            "bundle is of a whole result"
        )
    printing.bundled(export_bundle(place.lab(), *choice.of(name), out), place.json)


def _features(
    name: str,
    out: Path,
    format: Literal["html", "saedashboard", "neuronpedia"],
    which: Which,
    creator: str,
    trust: Trust,
    place: Place,
) -> None:
    """Write features of an index, and print which."""
    with trust.raised():
        dashboards = export_features(name, out, format, which, root=place.root, creator=creator)
    printing.show_dashboards(dashboards, place.json)


def _destination(format: str, out: Path | None, choice: Choice) -> Path:
    """Where a dictionary is to be written. Raises: AssayError where it is not said, and for options
    that are for bundles."""
    if choice != DEFAULT:
        raise AssayError(
            f"--preset and --set choose a result for --format bundle; format {format} writes "
            "a dictionary"
        )
    if out is None:
        raise AssayError(f"--out is missing: where format {format} is to be written")
    return out


@app.command(sort_key=21, group=FILES)
def export(
    name: Annotated[
        str,
        Parameter(
            help=(
                "A dictionary: any file that `assay import` reads, or a stored run. For a bundle, "
                "an experiment."
            )
        ),
    ],
    /,
    *,
    out: Path | None = None,
    format: Literal[
        "saelens", "assay", "html", "saedashboard", "neuronpedia", "bundle"
    ] = "saelens",
    run: int | None = None,
    model: str | None = None,
    which: Annotated[Which, Flat] = FIRST,
    creator: str = NOBODY,
    choice: Choice = DEFAULT,
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
) -> None:
    """Write a dictionary for another library, means and scales folded into its weights; or pages of
    its features, once it has an index; or the bundle of a result, which anybody judges again with
    NumPy alone.

    Parameters
    ----------
    out
        The folder to write; for format assay and html, the file; for a bundle a zip, NAME.zip where
        none is named.
    format
        saelens: cfg.json and sae_weights.safetensors, for SAELens 6, a folder for each run; html:
        pages of features in one file that opens offline; saedashboard, neuronpedia: the files of
        those; bundle: claims, measures, verdicts and code that judges.
    run
        Which run, from 0; without it, all.
    model
        The language model's name, for the other library's settings.
    creator
        Id of your account at Neuronpedia.

    Examples
    --------
    assay export gated-sae/showcase --out sae
    assay export superposition --format bundle
    """
    if format == "bundle":
        return _bundle(
            name, out, choice, (run, model, which, creator) != (None, None, FIRST, NOBODY), place
        )
    out = _destination(format, out, choice)
    if format in ("html", "saedashboard", "neuronpedia"):
        if run is not None or model is not None:
            raise AssayError(
                f"--run and --model are for dictionaries; format {format} writes features of "
                "an index"
            )
        return _features(name, out, format, which, creator, trust, place)
    if which != FIRST:
        raise AssayError(
            f"--features, --top and --by choose features; format {format} writes the whole "
            "dictionary"
        )

    with trust.raised():
        dictionary = find_dictionary(name, place.root)
    return printing.exchanged(export_dictionary(dictionary, out, format, run, model), place.json)


@app.command(sort_key=40, group=UPKEEP)
def conformance(
    *ids: Annotated[
        str, Parameter(help="Vectors to run and explain, such as C01; all without any.")
    ],
    against: Annotated[str | None, Parameter(show_default=False)] = None,
    python: Annotated[Path | None, Parameter(show_default=False)] = None,
    record: Annotated[bool, Bare] = False,
    output: Output = PLAIN,
) -> int:
    """Hold Assay, or a peer, to vectors whose right answer can be worked out by hand; exit 1 where
    Assay fails one.

    Parameters
    ----------
    against
        A peer with an adapter (saelens, dictionary-learning, sparsify, …), or the path of an
        adapter of your own.
    python
        Interpreter of an environment in which the peer is installed.
    record
        Keep the peer's outcomes as data in a checkout's conformance/results.

    Examples
    --------
    assay conformance C01
    """
    from assay.cli.conformance import show
    from assay.verbs.conformance import conform

    report = conform(ids, against, python, record)
    printing.emit(report) if output.json else show(report, explained=bool(ids))
    return 1 if report.failed else 0
