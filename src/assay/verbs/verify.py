"""Verify: a result compared with its committed record, or a bundle with what it states."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from assay.core.errors import AssayError
from assay.core.experiment import ALL, Experiment
from assay.lab import verifying
from assay.lab.plan.preset import Preset
from assay.lab.verifying import MEASURES, Compared, Reproduction, Written
from assay.report import reproduced
from assay.report.bundle.checking import CheckedBundle, is_bundle
from assay.verbs.machine import CPU, Machine
from assay.verbs.parts import Line, Table, written
from assay.verbs.stated import Stated
from assay.verbs.verb import DEFAULT, HERE, Answer, Choice, Door, Flag, Place, verb
from assay.verbs.verify_file import CHECK, REGISTRATION, Frozen, of_file

OF_ONE = "--rerun, --record, --preset and --set"
One: TypeAlias = Compared | Written | Reproduction | CheckedBundle | Frozen | Stated


@dataclass(frozen=True)
class Several:
    """What became of each of several names: a result, or why there is none."""

    verified: dict[str, One | str]


@verb(
    "where a result differs from its record, or a bundle from what it states; or the record written"
)
def command(
    name: str,
    /,
    *more: str,
    rerun: Flag = False,
    record: Flag = False,
    authority: Path | None = None,
    choice: Choice = DEFAULT,
    place: Place = HERE,
    machine: Machine = CPU,
    door: Door,
) -> Answer[One | Several]:
    """Compare a result with its committed record, judge a bundle or saved result again, or check a
    frozen study. Exits with 1 if anything differs, and with 2 if a file cannot be read.

    Where nothing is stored, the record's own measures are judged by today's rule.

    Parameters
    ----------
    name
        The name of an experiment, or the path of its file; catalogue for every record; a bundle (a
        zip or its folder); a frozen study (a .prereg.json file); or a saved result
        (an .assay file).
    more
        Further names or files, which are verified one after another.
    rerun
        Run the experiment from an empty store first, and compare that.
    record
        Write the stored result as the record: commit, keys, small measures, verdicts, seconds.
    authority
        For a bundle or a frozen study: a PEM file with the certificates of the time stamp
        authorities that you trust; by default those of the system.

    Examples
    --------
    assay verify superposition
    assay export superposition --format bundle --out superposition.zip
    assay verify superposition.zip
    """
    if rerun and record:
        raise AssayError(
            "--record writes what is stored, and --rerun stores nothing; leave one out"
        )

    def of(name: str) -> Answer[One]:
        if name == ALL or is_bundle(name) or name.endswith((REGISTRATION, CHECK)):
            if rerun or record or choice != DEFAULT:
                raise AssayError(f"{OF_ONE} go with the name of one experiment")
            if name != ALL:
                return of_file(Path(name), authority)
            with door.bar("verify", "experiments") as bar:
                return report(verifying.every(bar))
        experiment, preset = choice.of(name)
        if rerun:
            return of_rerun(experiment, preset, machine, door)
        if record:
            return of_record(verifying.write(place.lab(), experiment, preset))
        return report(verifying.compare(place.lab(), experiment, preset))

    return of_several((name, *more), of, door) if more else of(name)


def of_several(
    names: Iterable[str], of: Callable[[str], Answer[One]], door: Door
) -> Answer[Several]:
    """Verify each of several names, also those after one that cannot be read; the exit code is that
    of the worst."""
    verified, codes = dict[str, One | str](), dict[str, int]()
    for name in dict.fromkeys(names):
        try:
            answer = of(name)
            verified[name], codes[name] = answer.result or "", answer.code
            if not door.json:
                door.answer(replace(answer, words=[Line(f"{name}:"), *answer.words, ""]))
        except AssayError as e:
            verified[name], codes[name] = str(e), e.exit_code
            door.aside(f"{name}: {' '.join(str(e).split())}")
    wrong, every = [name for name, code in codes.items() if code], len(codes)
    last = f"{len(wrong)} of {every} differ or cannot be read: {', '.join(wrong)}"
    last = last if wrong else f"None of the {every} differs."
    return Answer(Several(verified), [last], max(codes.values()))


def of_record(record: Written) -> Answer[Written]:
    """Name the file of a record that was written."""
    return Answer(record, [Line(str(record.path))])


def report(compared: Compared) -> Answer[Compared]:
    """Report what differs from the record, and what was compared."""
    rows = [(d.what, d.recorded, d.now) for d in compared.differences]
    table = Table(("what", "recorded", "now"), rows, wide={"what": 1})
    facts = {"again": compared.judged == MEASURES, "one": compared.experiment != ALL}
    words = written("verify", c=compared, differences=table, **facts)
    return Answer(compared, words, int(bool(rows)))


def of_rerun(
    experiment: Experiment, preset: Preset, machine: Machine, door: Door
) -> Answer[Reproduction]:
    """Run an experiment from an empty store, and report how each claim compares with its record."""
    with door.run(experiment.name) as display:
        outcome = verifying.reproduce(experiment, preset, machine.lab, display)
    heads, sides = ("claim", *reproduced.SIDES, ""), ("", *reproduced.SIDES)
    claims = Table(heads, reproduced.claims(outcome), wide={"claim": 1})
    tables = {"claims": claims, "sides": Table(sides, reproduced.costs(outcome))}
    words = written("verify_rerun", r=outcome, **tables)
    return Answer(outcome, words, int(not outcome.same))
