"""What verbs print: tables of at most 100 columns, what to type next, or one JSON object."""

from __future__ import annotations

import contextlib
import io
import shlex
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO

from assay.cli.typed import runnable
from assay.core.errors import AssayError
from assay.core.plain import as_json, plain
from assay.core.reasons import explain_reason
from assay.core.results import ResultData
from assay.core.schema import to_json
from assay.report import tables
from assay.report.questions import by_group, heading, of_group
from assay.verbs.dashboards import Shown
from assay.verbs.exchange import Exchanged

if TYPE_CHECKING:
    from rich.table import Table

    from assay.cli.options import Place
    from assay.core.results import Estimated, Judged
    from assay.report.bundle.checking import CheckedBundle
    from assay.verbs.audit import Audit
    from assay.verbs.bundle import Bundled
    from assay.verbs.catalogue import Catalogue, Here, Listed
    from assay.verbs.health import Check, Health
    from assay.verbs.pages import Pages
    from assay.verbs.preregister import Registered
    from assay.verbs.record import Checked, Written
    from assay.verbs.remove import Removable, Removed


def emit(data: Any) -> None:
    """Print one JSON value, and nothing else, on standard output: plain values, or a verb's
    result."""
    print(as_json(to_json(data), indent=1 if sys.stdout.isatty() else None, allow_nan=False))


def draw(table: Table) -> None:
    """Print a table: as wide as the terminal, at most 100 columns, plain where there is no
    terminal."""
    from rich.console import Console

    class Outside(
        Console
        # what a table shows may come from anybody's files: it is text, never markup or a terminal's
        # code
    ):
        def render_str(self, text: str, **how: Any) -> Any:
            return super().render_str(plain(text), **how)

    console = Outside(highlight=False, markup=False, emoji=False)
    console.width = min(tables.WIDTH, console.width) if console.is_terminal else tables.WIDTH
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def grid(*columns: str, right: Sequence[str] = ()) -> Table:
    """Begin a table without lines, numbers set right."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bright_black")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def say(text: str) -> None:
    """Print a sentence in lines of at most 100 columns."""
    print(
        textwrap.fill(
            plain(runnable(text)),
            tables.WIDTH,
            subsequent_indent="  ",
            break_on_hyphens=False,
            break_long_words=False,
        )
    )


class _Aside(io.TextIOBase):
    """Standard error for whoever prints on standard output, and may close it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def close(self) -> None:
        pass


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """Send what an experiment's own code prints to standard error meanwhile; standard output is for
    what a verb answers."""
    with contextlib.redirect_stdout(_Aside()):
        yield


def tell(text: str, file: TextIO | None = None) -> None:
    """Print lines as they are, but for what a terminal would obey, and for how commands are called
    here."""
    print(plain(runnable(text)), file=file)


def catalogue(experiment_list: Catalogue, as_json: bool, long: bool, group: str) -> None:
    """Print the names of every group; of one group, or all of them at length, a line for each
    experiment."""
    if group:
        experiment_list = replace(
            experiment_list, experiments=tuple(of_group(experiment_list.experiments, group))
        )
    if as_json:
        return emit(experiment_list)
    members = by_group(experiment_list.experiments)
    if long:
        claims(experiment_list.experiments)
    elif group:
        for name, entries in members.items():
            tell(heading(name))
            entered(entries)
        tell(tables.legend())
    else:
        names(members)
    tell("")
    say("assay plan NAME says what a run would do; assay run NAME does it.")
    return None


def names(members: Mapping[str, Sequence[Listed]]) -> None:
    """Print each group's question, and the names of its experiments in as few lines as they take;
    those with results here are marked."""
    width = min(tables.WIDTH, _terminal()) if sys.stdout.isatty() else tables.WIDTH
    for group, entries in members.items():
        listed = ", ".join(f"{e.name}*" if e.local.results else e.name for e in entries)
        tell(heading(group))
        tell(textwrap.indent(textwrap.fill(listed, width - 2, break_on_hyphens=False), "  "))
    marked = any(e.local.results for entries in members.values() for e in entries)
    here = "* has results here. " * marked
    tell("")
    say(f"{here}assay list GROUP says what each asks and how its claims came out.")


def entered(entries: Iterable[Listed]) -> None:
    """Print what each experiment asks, and how its claims came out: as recorded, and as stored
    here."""
    table = grid("name", "question", "recorded", "here")
    for e in entries:
        table.add_row(
            e.name,
            e.title,
            tables.signs(e.recorded, "") or e.board or "–",
            describe_stored(e.local),
        )
        for preset, outcomes in e.elsewhere.items():
            stored = tables.signs(e.local.results.get(preset, {}), "") or "–"
            again = "the same claims elsewhere"
            table.add_row(f"  --preset {preset}", again, tables.signs(outcomes, ""), stored)
    draw(table)


def claims(entries: Iterable[Listed]) -> None:
    """Print each experiment's claim and cost, what is recorded, and what is stored here."""
    table = grid("name", "claim", "cost", "recorded", "here")
    table.expand, table.columns[1].ratio, table.columns[2].max_width = True, 1, 24
    for e in entries:
        recorded = tables.signs(e.recorded) or e.board or "–"
        table.add_row(e.name, e.claim, e.cost, recorded, describe_stored(e.local))
    draw(table)


def _terminal() -> int:
    from rich.console import Console

    return Console().width


def describe_stored(local_state: Here) -> str:
    """Say what is stored of an experiment, in a few words."""
    if not local_state.runs:
        return "–"
    other = " (by another text of its file)" if "default" in local_state.other_text else ""
    return (
        tables.signs(local_state.results.get("default", {})) or f"{local_state.runs} runs"
    ) + other


def megabytes(count: float) -> str:
    """Write a number of bytes in MB or GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def judged(judged: Judged, as_json: bool, expected: str | None = None) -> int:
    """Print one verdict on a user's own numbers; the exit code, 1 where it is another than was
    expected."""
    from assay.lab.judge.verdicts import otherwise

    other = otherwise([judged], expected)
    if as_json:
        emit(judged)
        return int(bool(other))
    tables.show(ResultData(verdicts=(judged,)))
    why = f", {explain_reason(judged.reason)}" if judged.reason else ""
    for line in (
        f"verdict: {judged.outcome}{why}",
        *judged.notes,
        f"scope: {judged.scope}",
        f"interval: {judged.method}",
    ):
        say(line)
    for line in other:
        tell(line, sys.stderr)
    return int(bool(other))


def estimated(number: Estimated, as_json: bool) -> int:
    """Print an estimate of a user's own numbers, or its curve; exit code 0."""
    if as_json:
        emit(number)
        return 0
    tables.show(ResultData(findings=(number,)))
    for line in (*number.notes, f"scope: {number.scope}", f"interval: {number.method}"):
        say(line)
    return 0


def differences(comparison: Checked, as_json: bool) -> int:
    """Print where a result departs from its record; the exit code, 1 when it does."""
    if as_json:
        emit(comparison)
    elif comparison.differences:
        table = grid("what", "recorded", "now")
        for d in comparison.differences:
            table.add_row(d.what, d.recorded, d.now)
        draw(table)
    else:
        tell(f"{comparison.experiment}: as recorded")
    return 1 if comparison.differences else 0


def registered(registration: Registered, name: str, place: Place) -> int:
    """Print what was frozen, its hash, the looks and the files; exit code 0."""
    from assay.core.judging import percent

    if place.json:
        emit(registration)
        return 0
    state = "was frozen so already" if registration.already else "is frozen"
    counts = [(len(registration.claims), "claim"), (len(registration.estimates), "estimate")]
    words = [f"{n} {what}{'s' * (n != 1)}" for n, what in counts if n or what == "claim"]
    say(f"{registration.experiment} {state}: {', '.join(words)}, {registration.time}")
    tell(f"sha256 {registration.hash}")
    for number, look in enumerate(registration.looks, 1):
        tell(
            f"look {number} of {len(registration.looks)}: at {look.units} seeds ({look.seeds}), "
            f"intervals of {percent(look.level)}"
        )
    if registration.signature:
        tell(f"signature kept, sha256 {registration.signature}")
    for path in registration.files:
        tell(str(path))
    tell(f"Next: assay run {shlex.quote(name)}{place.options}")
    return 0


def pages(report_pages: Pages, as_json: bool) -> None:
    """Print where the pages are; what the index leaves out is told on standard error."""
    for why in report_pages.left_out:
        tell(f"left out of the index: {why}", sys.stderr)
    if as_json:
        return emit(report_pages)
    for path in (*report_pages.pages, report_pages.index, *report_pages.exported):
        tell(str(path))
    return None


def written(written_record: Written, as_json: bool) -> int:
    """Print the path of a record that was written; exit code 0."""
    emit(written_record) if as_json else tell(str(written_record.path))
    return 0


def agreed(removable: Removable, name: str, yes: bool, as_json: bool) -> bool:
    """Say what would be deleted, and ask whether to where someone can answer.

    Raises: AssayError where nobody can, and `--yes` was not given.
    """
    if not removable.paths:
        return True
    size = megabytes(removable.bytes)
    if not yes and (as_json or not sys.stdin.isatty()):
        raise AssayError(
            f"{', '.join(str(path) for path, _ in removable.paths)} ({size}) would be deleted; "
            f"say so with: assay remove {name} --yes"
        )
    for path, count in removable.paths:
        tell(f"{path}  {megabytes(count)}", sys.stderr)
    return yes or input(f"Delete these, {size}? [y/N] ").strip().lower() in {"y", "yes"}


def accepted(terms: str) -> bool:
    """Ask whether terms of use are accepted, where there are some and someone can answer."""
    if not terms or not sys.stdin.isatty():
        return False
    answer = input(f"Terms of use apply: {terms}. Do you accept them? [y/N] ")
    return answer.strip().lower() in {"y", "yes"}


def removed(removal: Removed, name: str, as_json: bool) -> int:
    """Print how many bytes are free again; exit code 0."""
    if as_json:
        emit(removal)
    else:
        tell(
            f"{megabytes(removal.bytes)} freed" if removal.paths else f"nothing is stored of {name}"
        )
    return 0


def exchanged(exchange: Exchanged, as_json: bool) -> None:
    """Print what kind of dictionary was read or written, where it comes from, how it did, and the
    files."""
    if as_json:
        return emit(exchange)
    inner = ", ".join(
        f"{name} {value}" for name, value in exchange.nonlinearity.items() if name == "k"
    )
    shape = f"{exchange.width} features of {exchange.d_in} dimensions"
    shape += (
        f" to {exchange.d_out}" if exchange.d_out != exchange.d_in or exchange.sites_out else ""
    )
    places = (
        " → ".join(", ".join(sites) for sites in (exchange.sites, exchange.sites_out) if sites)
        or "no place named"
    )
    kind = f"{exchange.nonlinearity['name']}{f' ({inner})' if inner else ''}"
    lines = [
        f"{kind}: {shape}, {places}" + (f", {exchange.runs} runs" if exchange.runs > 1 else "")
    ]
    if "file" in exchange.origin:  # what Assay trained itself comes from no file
        sha256 = str(exchange.origin.get("sha256", ""))[:12]
        lines.append(
            f"from {exchange.origin.get('format', 'a file')}: {exchange.origin['file']}, "
            f"sha256 {sha256}…"
        )
    if exchange.origin.get("inferred"):
        lines.append(f"inferred, not stated in the file: {', '.join(exchange.origin['inferred'])}")
    return tell(
        "\n".join(
            [
                *lines,
                *(trial.verdict for trial in exchange.self_test),
                *(f"wrote {path}" for path in exchange.written),
            ]
        )
    )


def show_dashboards(dashboards: Shown, as_json: bool) -> None:
    """Which features were written, and where."""
    if as_json:
        return emit(dashboards)
    say(
        f"{len(dashboards.features)} features of {dashboards.address}, {dashboards.chosen}; "
        f"{megabytes(dashboards.bytes)}"
    )
    for path in dashboards.written:
        print(path)
    return None


def bundled(bundle: Bundled, as_json: bool) -> None:
    """Print which bundle was written, its hash, and which claims it cannot judge."""
    if as_json:
        return emit(bundle)
    claims = len(bundle.judged) + len(bundle.not_judged)
    say(
        f"{len(bundle.judged)} of {claims} claims can be judged again by `python judge.py` in "
        f"it; measures: {bundle.origin}"
    )
    for text, why in bundle.not_judged:
        say(f"not judged there: {text} ({why})")
    say(f"{megabytes(bundle.bytes)}, SHA-256 {bundle.sha256}")
    print(bundle.written)
    return None


def bundle_checked(bundle_check: CheckedBundle, as_json: bool) -> int:
    """Print what in a bundle is not as it states, what its judge.py is, and what was read again.

    The exit code is 1 on a difference.
    """
    if as_json:
        emit(bundle_check)
        return int(not bundle_check.same)
    every = (*bundle_check.claims, *bundle_check.exact)
    for statement in every:
        for line in statement.differs:
            say(f"DIFFERS  {statement.text}: {line}")
        if not statement.judged and not statement.differs:
            say(f"not judged: {statement.text} ({statement.why_not})")
    for name in bundle_check.changed:
        say(f"CHANGED  {name} is not as SHA256SUMS says")
    judged, off = (
        sum(statement.judged for statement in bundle_check.claims),
        sum(bool(statement.differs) for statement in every),
    )
    rest = f"{off} not as stated" if off else "all as stated"
    say(
        f"{judged} of {len(bundle_check.claims)} claims judged again by this Assay's own "
        f"judge.py; {rest}"
    )
    listed = (
        f"{len(bundle_check.changed)} files are not"
        if bundle_check.changed
        else f"all {bundle_check.files} files are"
    )
    say(f"{listed} as SHA256SUMS says")
    words = {
        "released": "is the released one",
        "earlier": "is that of an earlier version",
        "missing": "is missing",
        "unknown": "is none that this version knows: it was changed, or is of a later Assay; "
        "do not believe what it prints",
    }
    digest = f" (SHA-256 {bundle_check.judge_sha256})" if bundle_check.judge_sha256 else ""
    say(f"the judge.py in it {words[bundle_check.judge]}{digest}")
    files = ", ".join(bundle_check.read[:3]) + " …" * (len(bundle_check.read) > 3)
    say(
        f"read again: numbers that the bundle carries, in {len(bundle_check.read)} files "
        f"({files}); "
        "nothing was trained or measured, and pages, pictures and source were not looked at"
    )
    return int(not bundle_check.same)


def health(report: Health, as_json: bool) -> int:
    """Print what was mended and every check; the exit code, 1 when something is broken."""
    if as_json:
        emit(report)
    else:
        tell("\n".join([*report.done, *map(checked, report.checks)]))
    return 0 if report.healthy else 1


def audited(audit: Audit, as_json: bool) -> int:
    """Print what claims leave open, a line for each; the exit code is 0, since it is no verdict."""
    if as_json:
        emit(audit)
        return 0
    lines = [f"{d.experiment} {d.claim}: {d.what}" for d in audit.doubts]
    lines += [f"{name}: not asked: {why}" for name, why in audit.unasked.items()]
    average, control, also = (audit.counts[kind] for kind in ("average", "control", "also"))
    summary = (
        f"of {audit.claims} claims {average} average what they do not name, {control} have a "
        "control that decides nothing, "
    )
    for line in [*lines, f"{summary}{also} may hold where less was learned"]:
        say(line)
    return 0


def checked(check: Check) -> str:
    """Write one check as a line: its sign, what was found, and how to mend it."""
    sign = {"well": "●", "missing": "○", "broken": "✕"}[check.state]
    return f"{sign} {check.about}: {check.found}" + (f"; {check.mend}" if check.mend else "")
