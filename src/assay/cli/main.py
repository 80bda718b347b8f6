"""The `assay` command: one function per verb; each reads its options, asks `assay.verbs` or the lab, and prints. Nothing is decided here.

A verb whose result needs no table of its own is a file of `assay.verbs` alone, and is found there.

Exit codes: 0 measured, whatever the verdict; 1 a difference (`check`, `reproduce`, `doctor`) or an evaluation overdue (`due`); 2 wrong
usage, one line on standard error; 3 a run crashed; 130 interrupted, and the same command goes on where it was.
"""

from __future__ import annotations

import inspect
import io
import os
import shlex
import sys
import webbrowser
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.exceptions import MissingArgumentError, UnusedCliTokensError
from cyclopts.help import DefaultFormatter, PanelSpec
from rich.box import Box

from assay import verbs
from assay.cli import printing
from assay.cli.found import command
from assay.cli.options import Arm, Bare, Choice, Expected, Flat, Machine, Name, NameOrAll, Output, Place, Trust
from assay.cli.typed import meant, placed, runnable
from assay.core import extras
from assay.core.errors import AssayError
from assay.core.experiment import ALL
from assay.core.plain import plain
from assay.verbs.dashboards import FIRST, NOBODY, Which
from assay.verbs.evaluate import AS_FILED, How, Where
from assay.verbs.exchange import AS_IT_SAYS, UNTRIED, Hints, Real
from assay.verbs.index import AS_FILED as AS_READ
from assay.verbs.index import Reading
from assay.verbs.rate import Choice as ToRate

HERE = Place()
PLAIN = Output()
START = "Start with assay run superposition (half a minute).\nassay VERB --help lists a verb's options, with an example."
DEFAULT = Choice()
CPU = Machine()
AS_WRITTEN = Trust()
ON = Where()
AS_USUAL = ToRate()
BRINGS = {"evaluate": "models", "look": "models", "index": "explore", "rate": "explore", "serve": "explore"}
"""Verb → the extra that brings all that it needs, where one package that is found missing would not tell it."""

MEASURE, EXPERIMENTS, FILES, UPKEEP, OPTIONS = (
    Group(name, sort_key=i) for i, name in enumerate(("Measure your own", "Experiments", "Files", "Upkeep", "Options"))
)
app = App(
    name="assay",
    version=lambda: metadata.version("interp-assay"),
    version_flags=("--version", "-V"),
    help="Put an interpretability claim in; get a measured verdict out.",
    help_formatter=DefaultFormatter.with_newline_metadata(panel_spec=PanelSpec(box=Box("    \n" * 8), padding=(0, 2))),
    suppress_keyboard_interrupt=False,
)


app.register_install_completion_command()
for flag in ("--help", "--version", "--install-completion"):
    app[flag].group = (OPTIONS,)


@app.command(name="list", sort_key=1, group=EXPERIMENTS)
def list_(*, long: Annotated[bool, Bare] = False, place: Place = HERE) -> None:
    """The catalogue: what each experiment asks, its recorded verdicts, and what is stored here.

    Parameters
    ----------
    long
        Claims and costs as well.

    Examples
    --------
    assay list --long
    """
    from assay.verbs.catalogue import listed

    printing.catalogue(listed(place.root), place.json, long)


@app.command(sort_key=2, group=EXPERIMENTS)
def plan(
    name: Annotated[str, Parameter(help="An experiment's name, or the path of an experiment file; `catalogue`: all of them.")],
    /,
    *,
    budget: str | None = None,
    choice: Choice = DEFAULT,
    machine: Machine = CPU,
    place: Place = HERE,
) -> None:
    """What would run and why, what it takes, and what each claim's interval will be; for a budget, what it buys.

    Parameters
    ----------
    budget
        5m or 2h here, 1e15flop, or 8h@h200: how many seeds that buys, and which claims they are expected to decide.

    Examples
    --------
    assay plan superposition --budget 5m
    """
    from assay.cli import plans
    from assay.verbs import plan

    lab = machine.lab(place.root)
    if name == ALL:
        whole = plan.plan_catalogue(lab, choice.preset, budget, choice.set)
        return printing.emit(whole) if place.json else plans.catalogue(whole, place.options)
    found = plan.plan(lab, *choice.of(name), budget)
    return printing.emit(found) if place.json else plans.one(found, name, place.options)


@app.command(sort_key=3, group=EXPERIMENTS)
def run(
    name: NameOrAll, /, *, page: Path | None = None, expect: Expected = None, choice: Choice = DEFAULT, machine: Machine = CPU,
    place: Place = HERE,
) -> int:
    """Train and measure what is missing, then judge; what was interrupted goes on where it was.

    Parameters
    ----------
    page
        Of the whole catalogue: a Markdown file for the summary that is written to report/catalogue.html as well.

    Examples
    --------
    assay run superposition --preset smoke
    """
    from assay.cli import study, verdicts
    from assay.cli.progress import Display
    from assay.verbs.study import refuse_page

    if name == ALL:
        return study.run(choice, machine, place, page)
    refuse_page(page)
    with printing.aside():
        experiment, preset = choice.of(name)
        lab = machine.lab(place.root)
        known = lab.known(experiment, preset, run=True)
        if known is None:
            with Display(experiment.name) as display:
                result = lab.run(experiment, preset, display)
    return verdicts.show(known or result, name, experiment, preset, place, expect)


@app.command(sort_key=4, group=EXPERIMENTS)
def show(
    name: Name,
    claim: Annotated[str | None, Parameter(help="One claim: its number, or words of its text.")] = None,
    /,
    *,
    arm: Arm = "main",
    expect: Expected = None,
    choice: Choice = DEFAULT,
    place: Place = HERE,
) -> int:
    """Verdicts, controls and intervals of what is stored; trains nothing.

    Examples
    --------
    assay show gated-sae 1
    assay show gated-sae --arm no-aux
    """
    from assay.cli import verdicts

    with printing.aside():
        experiment, preset = choice.of(name)
        lab = place.lab()
        whole = arm == "main" and claim is None
        found = (lab.known(experiment, preset) if whole else None) or lab.judge(experiment, preset, arm)
    return verdicts.show(found, name, experiment, preset, place, expect, claim)


@app.command(sort_key=5, group=EXPERIMENTS)
def check(name: Name, /, *, record: Annotated[bool, Bare] = False, choice: Choice = DEFAULT, place: Place = HERE) -> int:
    """Compare what is stored with the committed record; exit 1 on a difference.

    Parameters
    ----------
    record
        Write the record instead: commit, keys, small measures, verdicts, seconds.

    Examples
    --------
    assay check superposition
    """
    from assay.verbs import record as records

    with printing.aside():
        asked = place.lab(), *choice.of(name)
        if record:
            made = records.record(*asked)
        else:
            found = records.check(*asked)
    return printing.written(made, place.json) if record else printing.differences(found, place.json)


@app.command(sort_key=5, group=EXPERIMENTS)
def reproduce(
    name: Name,
    /,
    *,
    root: Path | None = None,
    preset: Literal["smoke", "default", "full"] = "default",
    machine: Machine = CPU,
    output: Output = PLAIN,
) -> int:
    """Run it from an empty store and compare with the committed record, claim by claim; exit 1 on a difference.

    Parameters
    ----------
    root
        Folder for the store, which must not hold the experiment and is kept; without it a temporary one.
    preset
        The preset that was recorded.

    Examples
    --------
    assay reproduce superposition
    """
    from assay.cli import reproduction

    return reproduction.run(name, Choice(preset=preset), machine, root, output.json)


@app.command(sort_key=6, group=MEASURE)
def judge(
    table: Annotated[Path, Parameter(help="The CSV file.")],
    /,
    *,
    claim: Annotated[str, Parameter(help="The sentence; e.g. --claim 'gated.fvu - relu.fvu < -0.02'.")],
    unit: Annotated[
        tuple[str, ...],
        Bare,
        Parameter(help="A column whose levels are independent units; e.g. --unit seed. A second one is crossed with it."),
    ],
    control: Annotated[tuple[str, ...], Bare, Parameter(help="An arm where the claim has to be false; e.g. --control shuffled.")],
    must_hold: Annotated[tuple[str, ...], Bare] = (),
    also: Annotated[tuple[str, ...], Bare] = (),
    bounds: Annotated[tuple[float, float] | None, Bare] = None,
    scope: str = "",
    arm_column: str = "arm",
    expect: Expected = None,
    trust: Trust = AS_WRITTEN,
    output: Output = PLAIN,
) -> int:
    """The same verdicts on your own numbers: a CSV with a column `arm`, a column per unit, and the numbers.

    Parameters
    ----------
    must_hold
        Arm with a planted effect, for which the claim must hold.
    also
        Arm that may satisfy the claim as well; any other arm of the table that does makes the claim unspecific.
    bounds
        Least and greatest value that the claim can have for a unit: 0 1 for a share, -1 1 for a difference of shares; the interval
        is then exact.
    scope
        What the numbers speak about, as a phrase.
    arm_column
        The column that says what each row is a run of.

    Examples
    --------
    (echo arm,seed,x; for s in 1 2 3 4 5 6; do echo "mine,$s,.1$s"
       echo "old,$s,.2$((7-s))"; echo "again,$s,.2$s"; done) > my.csv
    assay judge my.csv --claim 'mine.x - old.x < -.05' --unit seed --control again
    """
    from assay.core.table import judge as judged

    with trust.raised():
        found = judged(
            table, claim=claim, unit=unit, control=control, must_hold=must_hold, also=also, bounds=bounds, scope=scope, arm_column=arm_column
        )
    return printing.judged(found, output.json, expect)


@app.command(sort_key=7, group=EXPERIMENTS)
def report(
    name: Annotated[str | None, Parameter(help="An experiment; without one, every experiment with a stored result.")] = None,
    /,
    *,
    out: Path = Path("report"),
    export: Path | None = None,
    open: Annotated[bool, Bare] = False,
    choice: Choice = DEFAULT,
    place: Place = HERE,
) -> None:
    """Write static pages of what is stored, and print where they are.

    Parameters
    ----------
    out
        Folder of the pages.
    export
        Folder for the verdicts as CSV, LaTeX and BibTeX, and for the figures as CSV, SVG, PNG and PDF.
    open
        Show them in the browser.

    Examples
    --------
    assay report gated-sae --open
    """
    from assay.verbs import pages

    names = pages.stored(place.root) if name is None else [name]
    with printing.aside():
        written = pages.report(place.lab(), map(choice.of, names), out, export)
    printing.pages(written, place.json)
    if open:
        webbrowser.open((written.pages[0] if name is not None and written.pages else written.index).absolute().as_uri())


@app.command(sort_key=8, group=UPKEEP)
def fetch(
    model: Annotated[Literal["smollm2"], Parameter(help="The model to fetch.")] = "smollm2", /, *, output: Output = PLAIN
) -> None:
    """Download a model by its hash and convert it, once.

    Examples
    --------
    assay fetch smollm2
    """
    from assay.verbs.fetch import fetch as fetched

    found = fetched(model, progress=lambda line: print(line, file=sys.stderr))
    printing.emit(found) if output.json else print(found.folder)


@app.command(sort_key=9, group=EXPERIMENTS)
def new(
    name: Annotated[str, Parameter(help="What to call it: my-claim writes my_claim.py.")], /, *, output: Output = PLAIN
) -> None:
    """Write a commented one-file experiment that runs as it is.

    Examples
    --------
    assay new my-claim
    assay run my_claim.py --preset smoke
    """
    from assay.verbs.new import write_experiment

    made = write_experiment(name, Path())
    printing.emit(made) if output.json else printing.tell(f"{made.path} is written. Next: assay run {made.path}")


@app.command(sort_key=10, group=UPKEEP)
def remove(name: Name, /, *, yes: Annotated[bool, Bare] = False, place: Place = HERE) -> int:
    """Delete the stored runs and results of an experiment, and artefacts that no other one is left to use, after saying which.

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
    found = remove.removable(lab, name)
    if not printing.agreed(found, name, yes, place.json):
        return 0
    return printing.removed(remove.remove(lab, found), name, place.json)


@app.command(sort_key=11, group=UPKEEP)
def doctor(*, clean: Annotated[bool, Bare] = False, place: Place = HERE) -> int:
    """What is installed or missing and how to mend it; threads, devices, model, disk, the store's health.

    Parameters
    ----------
    clean
        Delete damaged runs, and what kills left behind.

    Examples
    --------
    assay doctor
    """
    from assay.verbs import health

    return printing.health(health.doctor(place.root, clean), place.json)


@app.command(name="import", sort_key=20, group=FILES)
def import_(
    path: Annotated[Path, Parameter(help="A file or folder of SAELens, dictionary_learning, sparsify, OpenAI or Gemma Scope.")],
    /,
    *,
    out: Path,
    hints: Annotated[Hints, Flat] = AS_IT_SAYS,
    real: Annotated[Real, Flat] = UNTRIED,
    trust: Trust = AS_WRITTEN,
    output: Output = PLAIN,
) -> None:
    """Read another library's dictionary and keep it as one of ours; with activations, only if it reconstructs them.

    Parameters
    ----------
    out
        The safetensors file to write.

    Examples
    --------
    assay export gated-sae/showcase --out for-saelens
    assay import for-saelens --out mine.safetensors
    """
    from assay.verbs.exchange import import_dictionary

    with trust.raised():
        printing.exchanged(import_dictionary(path, out, hints, real), output.json)


@app.command(sort_key=21, group=FILES)
def export(
    dictionary: Annotated[str, Parameter(help="A dictionary: any file that `assay import` reads, or a stored run.")],
    /,
    *,
    out: Path,
    format: Literal["saelens", "assay", "html", "saedashboard", "neuronpedia"] = "saelens",
    run: int | None = None,
    model: str | None = None,
    which: Annotated[Which, Flat] = FIRST,
    creator: str = NOBODY,
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
) -> None:
    """Write a dictionary for another library, means and scales folded into its weights; or pages of its features, once it has an index.

    Parameters
    ----------
    out
        The folder to write; for format assay and html, the file.
    format
        saelens: cfg.json and sae_weights.safetensors, for SAELens 6, a folder for each run; html: pages of features in one file
        that opens offline; saedashboard, neuronpedia: the files of those.
    run
        Which run, from 0; without it, all.
    model
        The language model's name, for the other library's settings.
    creator
        Id of your account at Neuronpedia.

    Examples
    --------
    assay export gated-sae/showcase --out sae
    """
    if format in ("html", "saedashboard", "neuronpedia"):
        from assay.verbs.dashboards import export_features

        if run is not None or model is not None:
            raise AssayError(f"--run and --model are for dictionaries; format {format} writes features of an index")
        with trust.raised():
            done = export_features(dictionary, out, format, which, root=place.root, creator=creator)
        return printing.shown(done, place.json)
    if which != FIRST:
        raise AssayError(f"--features, --top and --by choose features; format {format} writes the whole dictionary")
    from assay.verbs.exchange import export_dictionary, find_dictionary

    with trust.raised():
        found = find_dictionary(dictionary, place.root)
    return printing.exchanged(export_dictionary(found, out, format, run, model), place.json)


@app.command(sort_key=40, group=UPKEEP)
def conformance(
    *ids: Annotated[str, Parameter(help="Vectors to run and explain, such as C01; all without any.")],
    against: Annotated[str | None, Parameter(show_default=False)] = None,
    python: Annotated[Path | None, Parameter(show_default=False)] = None,
    record: Annotated[bool, Bare] = False,
    output: Output = PLAIN,
) -> int:
    """Hold Assay, or a peer, to vectors whose right answer can be worked out by hand; exit 1 where Assay fails one.

    Parameters
    ----------
    against
        A peer with an adapter (saelens, dictionary-learning, sparsify, …), or the path of an adapter of your own.
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

    found = conform(ids, against, python, record)
    printing.emit(found.outcomes) if output.json else show(found, explained=bool(ids))
    return 1 if found.failed else 0


@app.command(sort_key=12, group=MEASURE)
def evaluate(
    *dictionaries: Annotated[str, Parameter(help="Files or folders of any known format, or stored runs such as gated-sae/showcase.")],
    on: Annotated[Where, Flat] = ON,
    how: Annotated[How, Flat] = AS_FILED,
    device: str = "cpu",
    batch: int | None = None,
    out: Path | None = None,
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
) -> None:
    """Every core measure of your dictionaries, with intervals, on your model and text; several at once give one table and one plot.

    Parameters
    ----------
    device
        Where the model runs: cpu, cuda, cuda:1.
    batch
        Tokens in one pass of the model: memory, not numbers.
    out
        Folder for the report, the plots, and every number as CSV and JSON.

    Examples
    --------
    assay evaluate gated-sae/showcase --model smollm2 --text stdlib --tokens 6000
    """
    from assay.cli import evaluation
    from assay.cli.options import device_here
    from assay.verbs.evaluate import evaluate as measured

    with trust.raised(), evaluation.Following() as bar:
        found = measured(dictionaries, on, how, place.root, device_here(device), batch, out, bar, bar.watch)
    printing.emit(found) if place.json else evaluation.show(found)


@app.command(sort_key=14, group=MEASURE)
def index(
    dictionary: Annotated[str, Parameter(help="A file or folder of any known format, or a stored run such as gated-sae/showcase.")],
    /,
    *,
    model: str = "smollm2",
    text: str = "stdlib",
    also: Annotated[tuple[str, ...], Bare] = (),
    reading: Annotated[Reading, Flat] = AS_READ,
    device: str = "cpu",
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
) -> None:
    """Every feature of a dictionary on a text: where it fires, what it promotes, what it is worth; for the explorer and exports.

    Parameters
    ----------
    model
        smollm2, or a model's folder.
    text
        stdlib, or a folder of text files.
    also
        A dictionary of another seed, in which the features are looked for. Repeatable; of a stored run its arm's other seeds without it.
    device
        Where the model runs: cpu, cuda, cuda:1.

    Examples
    --------
    assay index gated-sae/showcase --tokens 8192
    """
    from assay.cli import indexing
    from assay.cli.options import device_here
    from assay.verbs.index import index as indexed

    with trust.raised(), indexing.Bars("index") as bars:
        found = indexed(
            dictionary, model=model, text=text, also=also, reading=reading, root=place.root, device=device_here(device), progress=bars
        )  # fmt: skip
    printing.emit(found) if place.json else indexing.show(found)


@app.command(sort_key=13, group=MEASURE)
def look(
    text: Annotated[str, Parameter(help="The text, in quotes.")],
    /,
    *,
    dictionary: str | None = None,
    model: str = "smollm2",
    features: int = 10,
    per_token: int = 5,
    by_feature: Annotated[bool, Bare] = False,
    site: str = "",
    bos: bool | None = None,
    skip_first: int = 1,
    outlier: float = 6.0,
    device: str = "cpu",
    html: Path | None = None,
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
) -> None:
    """The strongest features of each token of a text, and what taking a feature out does to the loss on it.

    Parameters
    ----------
    dictionary
        A file or folder of any known format, or a stored run; the showcase of gated-sae without it.
    model
        smollm2, or a model's folder.
    features
        How many are listed by what taking them out does; eight times as many are tried.
    per_token
        How many features each token is shown with.
    by_feature
        Print where each of those features is on, what it is worth and what it promotes, in place of the tokens.
    site
        Where activations are read; where the dictionary's file says without it.
    bos
        Whether the text starts with the model's BOS token; as the dictionary's file says without it.
    skip_first
        Positions at the start of the text where features are neither counted nor taken out.
    outlier
        Activations longer than this many medians of the text are left out too; 0: none.
    device
        Where the model runs: cpu, cuda, cuda:1.
    html
        A file for the same as a page.

    Examples
    --------
    assay look 'def add(a, b): return a + b'
    """
    from assay.cli import look
    from assay.cli.options import device_here
    from assay.verbs.look import look as looked

    with trust.raised():
        found = looked(
            text, dictionary, model=model, features=features, per_token=per_token, site=site, bos=bos, skip_first=skip_first,
            outlier=outlier, root=place.root, device=device_here(device), html=html, watch=look.watch,
        )  # fmt: skip
    printing.emit(found) if place.json else look.show(found, by_feature)


@app.command(sort_key=15, group=MEASURE)
def serve(
    dictionary: Annotated[str | None, Parameter(help="A dictionary to open at; indexed first, as `assay index` does, where it is not.")] = None,
    /,
    *,
    model: str = "smollm2",
    text: str = "stdlib",
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    open: Annotated[bool, Bare] = False,
    place: Place = HERE,
) -> None:
    """Explore the dictionaries of a store in the browser: their features, prompts, search, verdicts. Ends with Ctrl-C.

    Parameters
    ----------
    model
        Of a dictionary that is indexed first: smollm2, or a model's folder.
    text
        And stdlib, or a folder of text files.
    host
        Address to answer at; beyond this machine a token is asked for.
    port
        8377 where it is free, else any, without it.
    token
        What a browser has to bring once, in the address; made up without it where one is needed.
    open
        Show it in the browser.

    Examples
    --------
    assay serve gated-sae/showcase --open
    """
    from assay.cli.indexing import opened
    from assay.verbs.serve import Served
    from assay.verbs.serve import serve as answer

    path = "" if dictionary is None else opened(dictionary, model, text, place.root)

    def ready(served: Served) -> None:
        printing.emit(served) if place.json else print(served.address)
        sys.stdout.flush()
        if open:
            webbrowser.open(served.address)

    answer(place.root, host, port, token, path, ready=ready)


@app.command(sort_key=16, group=MEASURE)
def rate(
    dictionary: Annotated[str, Parameter(help="A file or folder of any known format, a stored run, or an address in the explorer.")],
    /,
    *,
    rater: str = "me",
    folder: Path = Path("rating"),
    choice: Annotated[ToRate, Flat] = AS_USUAL,
    results: Annotated[bool, Bare] = False,
    model: str = "smollm2",
    text: str = "stdlib",
    device: str = "cpu",
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
) -> None:
    """Say of features whether their contexts have one meaning, without knowing which are trained and which random directions.

    Parameters
    ----------
    rater
        Who rates; several may rate the same folder, one after the other.
    folder
        Where the plan and the answers are kept; the same command goes on with what is there.
    results
        Show which arm had which scores, and write the table; from then on nobody's answers count.
    model
        smollm2, or a model's folder: the one that the dictionary was indexed on.
    text
        stdlib, or a folder of text files: the one that the dictionary was indexed on.
    device
        Where the model runs: cpu, cuda, cuda:1.

    Examples
    --------
    assay rate gated-sae/showcase
    """
    from assay.cli import indexing, rating
    from assay.cli.options import device_here
    from assay.verbs.rate import rate as begun
    from assay.verbs.rate import results as counted

    if place.json and not results:
        raise AssayError("--json prints results: say --results as well; answers are given in the terminal")
    if not results:
        with trust.raised(), indexing.Bars("rate") as bars:
            where = device_here(device)
            session = begun(dictionary, rater, folder, choice, model=model, text=text, root=place.root, device=where, progress=bars)
        if not rating.finished(session):
            return None
    found = counted(folder, place.root)
    return printing.emit(found) if place.json else rating.show(found)


@app.command(sort_key=14, group=MEASURE)
def due(
    events: Annotated[Path, Parameter(help="A CSV file: a column date or months, and a column compute, or flop with or without efficiency.")],
    /,
    *,
    ratio: float = 4.0,
    months: float = 3.0,
    trust: Trust = AS_WRITTEN,
    output: Output = PLAIN,
) -> int:
    """At which events of a line of models an evaluation is due, why, and how overdue; exit 1 if time had run out before one of them.

    Parameters
    ----------
    ratio
        Due when effective compute is this many times that of the last evaluation; inf leaves it out.
    months
        Due after so many months of 30.4375 days; inf leaves it out.

    Examples
    --------
    printf '%s\\n' months,flop 0,1e18 2,5e18 4,3e19 > events.csv
    assay due events.csv
    """
    from assay.cli.due import show
    from assay.verbs.due import due_table

    with trust.raised():
        found = due_table(events, ratio, months)
    printing.emit(found) if output.json else show(found)
    return 1 if found.overdue else 0


for word, verb in verbs.known().items():
    app.command(command(verb), name=word, sort_key=30)


def main(words: Sequence[str] | None = None) -> int:
    """Run these words (those of the command line when None), and give the exit code."""
    words = list(sys.argv[1:] if words is None else words)
    _speak()
    if odd := next((w for w in words if any("\ud800" <= c <= "\udfff" for c in w)), None):
        return refuse(f"the argument {plain(odd)} is no UTF-8 text; rename the file, or write it as UTF-8")
    try:
        code = app(words, exit_on_error=False, print_error=False, verbose=False, result_action="return_value")
        if not words or {"--help", "-h"} & set(words):
            printing.tell(example(words[0]) if words and words[0] in app else START)
        sys.stdout.flush()
        return code or 0
    except UnusedCliTokensError as error:
        return refuse(f"{(error.unused_tokens or ['?'])[0]!r} is one word too many; see assay {words[0]} --help")
    except MissingArgumentError as error:
        return refuse(lacking(error))
    except CycloptsError as error:
        return refuse(meant(str(error), words))
    except AssayError as error:
        return refuse(placed(meant(str(error), words), words), error.exit_code)
    except ModuleNotFoundError as error:
        if lacks := extras.need(error, BRINGS.get(words[0], "train") if words else "train"):
            return refuse(f"assay {words[0]} {lacks}" if words else lacks)
        raise
    except BrokenPipeError:  # `assay list | head`: whoever read us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return refuse(f"cannot use {error.filename or 'a file'}: {error.strerror}; name another place, or make room there")
    except KeyboardInterrupt:
        return refuse(f"interrupted; what is finished is stored, and this goes on where it was: assay {shlex.join(words)}", 130)


def lacking(error: MissingArgumentError) -> str:
    """Say of an argument that was not typed what it stands for, in its own help's words; of one without its value, that."""
    argument, verb = error.argument, " ".join(error.command_chain or ())
    if argument is None or argument.tokens or error.keyword is not None:
        return str(error)
    what = (argument.parameter.help or "").rstrip(".")
    name = f"{argument.name} {argument.name[2:].upper()}" if argument.name.startswith("--") else argument.name
    return f"{verb} needs {name}" + (f": {what[0].lower()}{what[1:]}" if what else f"; see assay {verb} --help")


def example(verb: str) -> str:
    """Give the lines of a verb's example, under a heading; they run as they stand where `make demo` has run."""
    _, _, lines = (inspect.getdoc(app[verb].default_command) or "").partition("Examples\n--------\n")
    return "\n".join(["Example", *(f"  {line}" for line in lines.splitlines())]) if lines else ""


def refuse(text: str, code: int = 2) -> int:
    """Print the text as one line on standard error, a crash of an experiment with its lines, and give the exit code."""
    print(plain(runnable(text if code == 3 else " ".join(text.split()))), file=sys.stderr)
    return code


def _speak() -> None:
    """Make every text printable: a character that the terminal's encoding lacks is printed as ?, and a closed output takes anything."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 — for as long as the process lives
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
