"""Verbs of `assay` about experiments: listed, planned, run, shown, checked, reproduced, reported,
begun."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from assay.cli import elsewhere, printing
from assay.cli.app import EXPERIMENTS, app
from assay.cli.elsewhere import NOT_ELSEWHERE, Elsewhere
from assay.cli.options import (
    ANYWHERE,
    BY_STDIO,
    CPU,
    DEFAULT,
    HERE,
    PLAIN,
    Agents,
    Anywhere,
    Arm,
    Bare,
    Choice,
    Expected,
    Flat,
    Machine,
    Name,
    NameOrAll,
    Output,
    Place,
    Within,
)
from assay.core import extras
from assay.core.errors import AssayError
from assay.core.experiment import ALL, Experiment

if TYPE_CHECKING:
    from assay.core.results import ResultData
    from assay.lab.plan.preset import Preset


@app.command(name="list", sort_key=1, group=EXPERIMENTS)
def list_(
    group: str = "", /, *, long: Annotated[bool, Bare] = False, place: Anywhere = ANYWHERE
) -> None:
    """The catalogue by group; of a group what each experiment asks, its recorded verdicts, and what
    is stored here.

    Parameters
    ----------
    group
        A group of the catalogue, as `toys`; `catalogue`: all of them.
    long
        Claims and costs as well.

    Examples
    --------
    assay list dictionaries
    """
    from assay.verbs.catalogue import listed

    printing.catalogue(listed(place.root), place.json, long, group)


@app.command(sort_key=2, group=EXPERIMENTS)
def plan(
    name: Annotated[
        str,
        Parameter(
            help=(
                "An experiment's name, or the path of an experiment file; `catalogue`: all of them."
            )
        ),
    ],
    /,
    *,
    budget: str | None = None,
    choice: Choice = DEFAULT,
    machine: Machine = CPU,
    place: Anywhere = ANYWHERE,
) -> int:
    """What would run and why, what it takes, and what each claim's interval will be; for a budget,
    what it buys; of a study, what it lacks.

    Parameters
    ----------
    budget
        A time here, such as 5m or 2h: how many seeds fit into it, and which claims they are
        expected to decide.

    Examples
    --------
    assay plan superposition --budget 5m
    """
    from assay.cli import plans

    return plans.print_plan(name, choice, machine.lab(place.root), budget, place)


@app.command(sort_key=3, group=EXPERIMENTS)
def preregister(
    name: Name,
    /,
    *,
    looks: str | None = None,
    sign: Path | None = None,
    anyway: Annotated[bool, Bare] = False,
    choice: Choice = DEFAULT,
    place: Anywhere = ANYWHERE,
) -> int:
    """Freeze claims, thresholds, controls, seeds and looks before any result exists: a sealed file,
    which a run then follows.

    Parameters
    ----------
    looks
        After how many seeds verdicts may be looked at, such as 8,16,24: the first 8 of them, then
        16, then all 24; at most four looks. What a look settles stays, and nothing more is trained
        once every claim is settled. Without it: once, after all seeds.
    sign
        A signature of your own of what was frozen, made with ssh-keygen or gpg: kept by its hash,
        and never read.
    anyway
        Also what no data could decide, such as a claim with five seeds.

    Examples
    --------
    assay preregister my_question.toml --looks 8,16
    """
    from assay.verbs.preregister import preregister as frozen

    with printing.aside():
        experiment, preset = choice.of(name)
        registration = frozen(place.lab(), experiment, preset, looks, sign, anyway=anyway)
    return printing.registered(registration, name, place)


@app.command(sort_key=3, group=EXPERIMENTS)
def run(
    name: NameOrAll,
    /,
    *,
    choice: Choice = DEFAULT,
    within: Within = None,
    expect: Expected = None,
    page: Path | None = None,
    machine: Elsewhere = NOT_ELSEWHERE,
    place: Anywhere = ANYWHERE,
) -> int:
    """Train and measure what is missing, then judge; what was interrupted goes on where it was.

    Parameters
    ----------
    page
        Of the whole catalogue, or a part: a Markdown file for the summary that is written to
        report/catalogue.html as well.

    Examples
    --------
    assay run superposition --preset smoke
    assay run superposition --within 10m
    assay run 'monthly-*'
    assay run superposition --on slurm --partition main --dry-run
    """
    if machine.dry_run:
        return elsewhere.dry_run(name, choice, machine, place)
    if name == ALL or "*" in name:
        from assay.cli import series

        return series.run(name, choice, machine, place, page, within)
    from assay.cli import verdicts
    from assay.verbs.series import refuse_page

    refuse_page(page)
    with printing.aside():
        experiment, preset, result = _ran(name, choice, machine, place, within)
    return verdicts.show(result, name, experiment, preset, place, expect)


def _ran(
    name: str, choice: Choice, machine: Machine, place: Place, within: str | None
) -> tuple[Experiment, Preset, ResultData]:
    """Run with progress on the terminal, held against the time that it was chosen to fit; what ran,
    and its result."""
    from assay.cli import within as words
    from assay.cli.progress import Display
    from assay.verbs.verdicts import run as ran

    experiment, preset = choice.of(name)
    lab = machine.lab(place.root)
    preset, seconds = words.chosen(lab, experiment, preset, within)
    return (
        experiment,
        preset,
        ran(lab, experiment, preset, Display(experiment.name, within=seconds)),
    )


@app.command(sort_key=4, group=EXPERIMENTS)
def worker(
    *,
    experiment: Annotated[tuple[str, ...], Bare] = (),
    study: Path | None = None,
    idle: float | None = None,
    threads: int = 1,
    device: str | None = None,
    place: Anywhere = ANYWHERE,
) -> int:
    """Join a store from this or any machine that sees its folder, and work at what somebody waits
    for with --executor none.

    Parameters
    ----------
    experiment
        Only work for this experiment, by its name or file. Repeatable.
    study
        The file of a study: only work for that.
    idle
        Leave after so many seconds with nothing to do; without it, wait for more. Ctrl-C or
        SIGTERM: leave at the next checkpoint.
    threads
        Threads of this process; start more workers before you give one more threads.
    device
        Where tensors live on this machine: cpu, cuda, cuda:1; without it, where whoever waits wants
        them.

    Examples
    --------
    assay worker --idle 5
    """
    from assay.cli import joining

    return joining.run(place, experiment, study, idle, threads, device)


@app.command(sort_key=4, group=EXPERIMENTS)
def show(
    name: Name,
    claim: Annotated[
        str | None, Parameter(help="One claim: its number, or words of its text.")
    ] = None,
    /,
    *,
    arm: Arm = "main",
    estimates: Annotated[bool, Bare, Parameter(name=("--estimates", "--findings"))] = False,
    expect: Expected = None,
    choice: Choice = DEFAULT,
    place: Anywhere = ANYWHERE,
) -> int:
    """Verdicts, controls and intervals of what is stored; trains nothing.

    Parameters
    ----------
    estimates
        List the estimates as well: numbers with their intervals, and no verdict.

    Examples
    --------
    assay show gated-sae 1
    assay show gated-sae --arm no-aux
    """
    from assay.cli import verdicts
    from assay.verbs.verdicts import load_or_judge as judged

    with printing.aside():
        experiment, preset = choice.of(name)
        result = judged(place.lab(), experiment, preset, arm, claim)
    return verdicts.show(result, name, experiment, preset, place, expect, claim, estimates)


@app.command(sort_key=5, group=EXPERIMENTS)
def check(
    name: Annotated[
        str,
        Parameter(
            help="An experiment's name, or the path of its file; or a bundle, a zip or its folder."
        ),
    ],
    /,
    *,
    record: Annotated[bool, Bare] = False,
    choice: Choice = DEFAULT,
    place: Anywhere = ANYWHERE,
) -> int:
    """Compare what is stored with the committed record, or what a bundle states with what this
    Assay judges; exit 1 on a difference.

    Parameters
    ----------
    record
        Write the record instead: commit, keys, small measures, verdicts, seconds.

    Examples
    --------
    assay check superposition
    assay export superposition --format bundle --out superposition.zip
    assay check superposition.zip
    """
    from assay.verbs import record as records
    from assay.verbs.bundle import is_bundle

    if is_bundle(name):
        return _bundle(name, record or choice != DEFAULT, place)
    with printing.aside():
        arguments = place.lab(), *choice.of(name)
        if record:
            written_record = records.record(*arguments)
        else:
            comparison = records.check(*arguments)
    return (
        printing.written(written_record, place.json)
        if record
        else printing.differences(comparison, place.json)
    )


def _bundle(name: str, more: bool, place: Place) -> int:
    """Judge a bundle again and print what comes of it. Raises: AssayError where more was typed."""
    from assay.verbs.bundle import check_bundle

    if more:
        raise AssayError("--record, --preset and --set are of a stored result, not of a bundle")
    return printing.bundle_checked(check_bundle(Path(name)), place.json)


@app.command(sort_key=5, group=EXPERIMENTS)
def reproduce(
    name: Name,
    /,
    *,
    root: Path | None = None,
    preset: str = "default",
    machine: Machine = CPU,
    output: Output = PLAIN,
) -> int:
    """Run it from an empty store and compare with the committed record, claim by claim; exit 1 on a
    difference.

    Parameters
    ----------
    root
        Folder for the store, which must not hold the experiment and is kept; without it a temporary
        one.
    preset
        The preset that was recorded.

    Examples
    --------
    assay reproduce superposition
    """
    from assay.cli import reproduction

    return reproduction.run(name, Choice(preset=preset), machine, root, output.json)


@app.command(sort_key=7, group=EXPERIMENTS)
def report(
    name: Annotated[
        str | None,
        Parameter(help="An experiment; without one, every experiment with a stored result."),
    ] = None,
    /,
    *,
    out: Path = Path("report"),
    export: Path | None = None,
    open: Annotated[bool, Bare] = False,
    choice: Choice = DEFAULT,
    place: Anywhere = ANYWHERE,
) -> None:
    """Write static pages of what is stored, and print where they are.

    Parameters
    ----------
    out
        Folder of the pages.
    export
        Folder for the verdicts as CSV, LaTeX and BibTeX, and for the figures as CSV, SVG, PNG and
        PDF.
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
        import webbrowser

        webbrowser.open(
            (written.pages[0] if name is not None and written.pages else written.index)
            .absolute()
            .as_uri()
        )


@app.command(sort_key=9, group=EXPERIMENTS)
def new(
    name: Annotated[str, Parameter(help="What to call it: my-claim writes my_claim.py.")],
    /,
    *,
    study: Annotated[bool, Bare] = False,
    output: Output = PLAIN,
) -> None:
    """Write a commented one-file experiment, or a study, that runs as it is.

    Parameters
    ----------
    study
        Write a study instead, my_claim.toml: experiments of the catalogue with other fields, and
        claims of your own, as data.

    Examples
    --------
    assay new my-claim
    assay run my_claim.py --preset smoke
    assay new my-question --study
    """
    from assay.verbs.new import write_experiment, write_study

    new_file = (write_study if study else write_experiment)(name, Path())
    printing.emit(new_file) if output.json else printing.tell(
        f"{new_file.path} is written. Next: assay run {new_file.path}"
    )


@app.command(sort_key=10, group=EXPERIMENTS)
def mcp(*, door: Annotated[Agents, Flat] = BY_STDIO, place: Place = HERE) -> None:
    """Answer agents by the Model Context Protocol, on standard input and output, and run what they
    submit (docs/agents.md).

    Examples
    --------
    assay mcp --http 8378
    assay mcp --http 8378 --jobs 4 --on "slurm --partition main --time 4:00:00"
    """
    extras.require("mcp")
    from assay.agents.serving import Door, serve
    from assay.cli.answering import limits, print_address
    from assay.cli.elsewhere import site
    from assay.jobs.bounds import Bounds

    bounds = Bounds(workspace=door.workspace and door.workspace.resolve(), code=door.allow_code)
    http_door = Door(port=door.http, host=door.host, tokens=door.token_file)
    serve(
        place.root,
        http_door,
        bounds,
        limits(door),
        door.jobs,
        site(door.on),
        lambda served: print_address(served, place.json),
    )
