"""Verbs of `assay` about what somebody has: numbers judged, dictionaries evaluated, indexed, looked
at, served and rated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from assay.cli import printing
from assay.cli.app import MEASURE, app
from assay.cli.fetching import OFFLINE, Network
from assay.cli.options import (
    AS_WRITTEN,
    HERE,
    NO_API,
    PLAIN,
    Api,
    Bare,
    Expected,
    Flat,
    Output,
    Place,
    Trust,
    device_here,
)
from assay.core.errors import AssayError, ClaimError
from assay.verbs.evaluate import AS_FILED, How, Where
from assay.verbs.evaluate import evaluate as measured
from assay.verbs.index import AS_FILED as AS_READ
from assay.verbs.index import Reading
from assay.verbs.index import index as indexed
from assay.verbs.rate import Choice
from assay.verbs.rate import rate as begun
from assay.verbs.rate import results as counted

if TYPE_CHECKING:
    from assay.verbs.background import Wanted

ON = Where()
AS_USUAL = Choice()


@app.command(sort_key=6, group=MEASURE)
def judge(
    table: Annotated[Path, Parameter(help="The CSV file.")],
    /,
    *,
    claim: Annotated[
        str, Parameter(help="The sentence; e.g. --claim 'gated.fvu - relu.fvu < -0.02'.")
    ] = "",
    unit: Annotated[
        tuple[str, ...],
        Bare,
        Parameter(
            help=(
                "A column whose levels are independent units; e.g. --unit seed. A second one is "
                "crossed with it."
            )
        ),
    ],
    control: Annotated[
        tuple[str, ...],
        Bare,
        Parameter(help="An arm where the claim has to be false; e.g. --control shuffled."),
    ] = (),
    estimate: Annotated[
        str,
        Parameter(help="In place of a claim, a number without a threshold; e.g. --estimate fvu."),
    ] = "",
    over: str = "",
    crosses: float | Literal["half"] | None = None,
    must_hold: Annotated[tuple[str, ...], Bare] = (),
    also: Annotated[tuple[str, ...], Bare] = (),
    unlearned: Annotated[tuple[str, ...], Bare] = (),
    violation: Annotated[tuple[str, ...], Bare] = (),
    beats: float = 0.0,
    empty: float | None = None,
    bounds: Annotated[tuple[float, float] | None, Bare] = None,
    scope: str = "",
    arm_column: str = "arm",
    expect: Expected = None,
    trust: Trust = AS_WRITTEN,
    output: Output = PLAIN,
) -> int:
    """Judge your own numbers in the same way: a CSV with a column `arm`, a column per unit, and the
    numbers; or estimate one.

    Parameters
    ----------
    over
        Of an estimate: a column that was swept; a curve over its levels.
    crosses
        A value of the curve, or half: where it has it is told with an interval.
    must_hold
        Arm with a planted effect, for which the claim must hold.
    also
        Rival that may satisfy the claim as well.
    unlearned
        Arm in which nothing was learned, such as a random one; if it satisfies the claim, that is
        unspecific.
    violation
        Arm with a planted violation of a claim that little or nothing is there.
    beats
        By how much the method must beat each control.
    empty
        The value where there is nothing: 0.5 for an AUROC, 1 for a relative error.
    bounds
        Least and greatest value that the claim can have for a unit: 0 1 for a share, -1 1 for a
        difference of shares; the interval is then exact.
    scope
        What the numbers speak about, as a phrase.
    arm_column
        The column that says what each row is a run of.

    Examples
    --------
    (echo arm,seed,x; for s in 1 2 3 4 5 6; do echo "mine,$s,.1$s"
       echo "old,$s,.2$((7-s))"; echo "again,$s,.2$s"; done) > my.csv
    assay judge my.csv --claim 'mine.x - old.x < -.05' --unit seed --control again
    assay judge my.csv --estimate 'mine.x - old.x' --unit seed
    """
    from assay.core.table import estimate as estimated
    from assay.core.table import judge as judged

    refuse_mixture(
        claim,
        estimate,
        {
            "--control": control,
            "--must-hold": must_hold,
            "--also": also,
            "--bounds": bounds,
            "--expect": expect,
        },
        {"--over": over, "--crosses": crosses},
    )
    if estimate:
        with trust.raised():
            number = estimated(
                table,
                value=estimate,
                unit=unit,
                over=over,
                crosses=crosses,
                scope=scope,
                arm_column=arm_column,
            )
        return printing.estimated(number, output.json)
    with trust.raised():
        result = judged(
            table,
            claim=claim,
            unit=unit,
            control=control,
            must_hold=must_hold,
            also=also,
            unlearned=unlearned,
            violation=violation,
            beats=beats,
            empty=empty,
            bounds=bounds,
            scope=scope,
            arm_column=arm_column,
        )
    return printing.judged(result, output.json, expect)


def refuse_mixture(
    claim: str, estimate: str, of_claims: Mapping[str, Any], of_estimates: Mapping[str, Any]
) -> None:
    """Refuse a claim together with an estimate, neither of them, and what belongs to the other.
    Raises: ClaimError."""
    if bool(claim.strip()) == bool(estimate.strip()):
        raise ClaimError(
            "judge takes either --claim, a sentence with a threshold, or --estimate, a number "
            f"without one; got {'both' if claim.strip() else 'neither'}"
        )
    if claim and not of_claims["--control"]:
        raise ClaimError(
            "judge needs --control CONTROL: an arm where the claim has to be false; e.g. "
            "--control shuffled"
        )
    given, kind = (of_claims, "claim") if estimate else (of_estimates, "estimate")
    if wrong := next((k for k, v in given.items() if v is not None and v not in ("", ())), None):
        raise ClaimError(f"{wrong} belongs to --{kind}; leave it out")


@app.command(sort_key=12, group=MEASURE)
def evaluate(
    *dictionaries: Annotated[
        str,
        Parameter(
            help=(
                "Files or folders of any known format, stored runs such as gated-sae/showcase, or "
                "names that `assay fetch` takes."
            )
        ),
    ],
    on: Annotated[Where, Flat] = ON,
    how: Annotated[How, Flat] = AS_FILED,
    device: str = "cpu",
    batch: int | None = None,
    out: Path | None = None,
    network: Network = OFFLINE,
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
) -> None:
    """Every core measure of your dictionaries, with intervals, on your model and text; several at
    once give one table and one plot.

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

    network.bring(place.json, on.model, *dictionaries)
    with trust.raised(), evaluation.Following() as bar:
        result = measured(
            dictionaries, on, how, place.root, device_here(device), batch, out, bar, bar.watch
        )
    printing.emit(result) if place.json else evaluation.show(result)


@app.command(sort_key=14, group=MEASURE)
def index(
    dictionary: Annotated[
        str,
        Parameter(
            help="A file or folder of any known format, or a stored run such as gated-sae/showcase."
        ),
    ],
    /,
    *,
    model: str = "smollm2",
    text: str = "stdlib",
    also: Annotated[tuple[str, ...], Bare] = (),
    reading: Annotated[Reading, Flat] = AS_READ,
    device: str = "cpu",
    network: Network = OFFLINE,
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
) -> None:
    """Every feature of a dictionary on a text: where it fires, what it promotes, what it is worth;
    for the explorer and exports.

    Parameters
    ----------
    model
        smollm2, gemma3-270m, a model's folder, or a hub's OWNER/NAME (assay fetch).
    text
        stdlib, docs (English prose), or a folder of text files.
    also
        A dictionary of another seed, in which the features are looked for. Repeatable; of a stored
        run its arm's other seeds without it.
    device
        Where the model runs: cpu, cuda, cuda:1.

    Examples
    --------
    assay index gated-sae/showcase --tokens 8192
    """
    from assay.cli import indexing

    network.bring(place.json, model, dictionary, *also)
    with trust.raised(), indexing.Bars("index") as bars:
        result = indexed(
            dictionary,
            model=model,
            text=text,
            also=also,
            reading=reading,
            root=place.root,
            device=device_here(device),
            progress=bars,
        )
    printing.emit(result) if place.json else indexing.show(result)


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
    network: Network = OFFLINE,
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
) -> None:
    """The strongest features of each token of a text, and what taking a feature out does to the
    loss on it.

    Parameters
    ----------
    dictionary
        A file or folder of any known format, or a stored run; the showcase of gated-sae without it.
    model
        smollm2, gemma3-270m, a model's folder, or a hub's OWNER/NAME (assay fetch).
    features
        How many are listed by what taking them out does; eight times as many are tried.
    per_token
        How many features each token is shown with.
    by_feature
        Print where each of those features is on, what it is worth and what it promotes, in place of
        the tokens.
    site
        Where activations are read; where the dictionary's file says without it.
    bos
        Whether the text starts with the model's BOS token; without it as the dictionary's file
        says, else as the model's family has it.
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
    from assay.verbs.look import look as looked

    network.bring(place.json, model, dictionary)
    with trust.raised():
        result = looked(
            text,
            dictionary,
            model=model,
            features=features,
            per_token=per_token,
            site=site,
            bos=bos,
            skip_first=skip_first,
            outlier=outlier,
            root=place.root,
            device=device_here(device),
            html=html,
            watch=look.watch,
        )
    printing.emit(result) if place.json else look.show(result, by_feature)


@app.command(sort_key=15, group=MEASURE)
def serve(
    dictionary: Annotated[
        str | None,
        Parameter(help="A dictionary to open at; where it is not indexed, that is done meanwhile."),
    ] = None,
    /,
    *,
    model: str = "smollm2",
    text: str = "stdlib",
    tokens: int | None = None,
    ablate: int | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    open: Annotated[bool, Bare] = False,
    explanations: Path | None = None,
    rate: Path | None = None,
    rater: str = "me",
    programs: Api = NO_API,
    place: Place = HERE,
) -> None:
    """Explore the dictionaries of a store in the browser: their features, prompts, search,
    verdicts; and small models. Ends with Ctrl-C.

    Parameters
    ----------
    model
        Of a dictionary that is not indexed yet: smollm2, gemma3-270m, a model's folder, or a hub's
        OWNER/NAME (assay fetch).
    text
        And stdlib, docs (English prose), or a folder of text files.
    tokens
        Tokens that the model reads for its index, 32768 without it; more than were read before add
        to those.
    ablate
        Features that are taken out on a sample for its index, 32 without it; 0: none.
    host
        Address to answer at; beyond this machine a token is asked for.
    port
        8377 where it is free, else any, without it.
    token
        What a browser has to bring once, in the address; made up without it where one is needed.
    open
        Show it in the browser.
    explanations
        A folder whose explanations of small models, TOML files, get pages too.
    rate
        Instead, and alone: the page of a rating that `assay rate` began in this folder.
    rater
        Who rates there.

    Examples
    --------
    assay serve gated-sae/showcase --open
    """
    if programs.api or programs != NO_API:
        from assay.cli import answering

        return answering.serve(programs, host, port, place)
    from assay.cli.indexing import make_announcer
    from assay.verbs import serve as explorer

    if rate is None:
        request = _locate_index(dictionary, model, text, tokens, ablate, place)
        explorer.serve(
            place.root,
            host,
            port,
            token,
            request,
            explanations,
            ready=make_announcer(place.json, open, request),
        )
    elif dictionary is not None:
        raise AssayError("--rate shows the page of a rating alone; leave the dictionary out")
    else:
        explorer.serve_rating(
            place.root, rate, rater, host, port, token, ready=make_announcer(place.json, open)
        )
    return None


def _locate_index(
    dictionary: str | None,
    model: str,
    text: str,
    tokens: int | None,
    ablate: int | None,
    place: Place,
) -> Wanted | None:
    """The index that is made meanwhile, where a dictionary is named."""
    from assay.verbs.background import locate_index

    return (
        None
        if dictionary is None
        else locate_index(dictionary, model, text, tokens, ablate, place.root)
    )


@app.command(sort_key=16, group=MEASURE)
def rate(
    dictionary: Annotated[
        str,
        Parameter(
            help=(
                "A file or folder of any known format, a stored run, or an address in the explorer."
            )
        ),
    ],
    /,
    *,
    rater: str = "me",
    folder: Path = Path("rating"),
    choice: Annotated[Choice, Flat] = AS_USUAL,
    results: Annotated[bool, Bare] = False,
    model: str = "smollm2",
    text: str = "stdlib",
    device: str = "cpu",
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
) -> None:
    """Say of features whether their contexts have one meaning, without knowing which are trained
    and which random directions.

    Parameters
    ----------
    rater
        Who rates; several may rate the same folder, one after the other.
    folder
        Where the plan and the answers are kept; the same command goes on with what is there.
    results
        Show which arm had which scores, and write the table; from then on nobody's answers count.
    model
        smollm2, gemma3-270m, a model's folder, or a hub's OWNER/NAME (assay fetch): the one that
        the dictionary was indexed on.
    text
        stdlib, docs (English prose), or a folder of text files: the one that the dictionary was
        indexed on.
    device
        Where the model runs: cpu, cuda, cuda:1.

    Examples
    --------
    assay rate gated-sae/showcase
    """
    from assay.cli import indexing, rating

    if place.json and not results:
        raise AssayError(
            "--json prints results: say --results as well; answers are given in the terminal"
        )
    if not results:
        with trust.raised(), indexing.Bars("rate") as bars:
            where = device_here(device)
            session = begun(
                dictionary,
                rater,
                folder,
                choice,
                model=model,
                text=text,
                root=place.root,
                device=where,
                progress=bars,
            )
        if not rating.finished(session):
            return None
    tally = counted(folder, place.root)
    return printing.emit(tally) if place.json else rating.show(tally)


@app.command(sort_key=14, group=MEASURE)
def due(
    events: Annotated[
        Path,
        Parameter(
            help=(
                "A CSV file: a column date or months, and a column compute, or flop with or "
                "without efficiency."
            )
        ),
    ],
    /,
    *,
    ratio: float = 4.0,
    months: float = 3.0,
    trust: Trust = AS_WRITTEN,
    output: Output = PLAIN,
) -> int:
    """At which events of a line of models an evaluation is due, why, and how overdue; exit 1 if
    time had run out before one of them.

    Parameters
    ----------
    ratio
        Due when effective compute is this many times that of the last evaluation; inf leaves it
        out.
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
        table = due_table(events, ratio, months)
    printing.emit(table) if output.json else show(table)
    return 1 if table.overdue else 0
