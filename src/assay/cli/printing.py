"""What verbs print: tables of at most 100 columns, what to type next, or one JSON object."""

from __future__ import annotations

import contextlib
import io
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from assay.cli.progress import duration
from assay.core.errors import AssayError, ExperimentError, StoreError
from assay.core.plain import as_json, plain
from assay.report import tables
from assay.verbs.schema import to_json

if TYPE_CHECKING:
    from rich.table import Table

    from assay.core.claims import Judged
    from assay.core.experiment import Experiment
    from assay.lab.preset import Preset
    from assay.lab.recording import Difference
    from assay.lab.result import Result
    from assay.verbs.exchange import Exchanged
    from assay.verbs.health import Check, Health
    from assay.verbs.pages import Pages


def emit(data: Any) -> None:
    """Print one JSON value, and nothing else, on standard output: plain values, or a verb's result."""
    print(as_json(to_json(data), indent=1 if sys.stdout.isatty() else None, allow_nan=False))


def draw(table: Table) -> None:
    """Print a table: as wide as the terminal, at most 100 columns, plain where there is no terminal."""
    from rich.console import Console

    class Outside(Console):  # what a table shows may come from anybody's files: it is text, never markup or a terminal's code
        def render_str(self, text: str, **how: Any) -> Any:
            return super().render_str(plain(text), **how)

    console = Outside(highlight=False, markup=False, emoji=False)
    console.width = min(tables.WIDTH, console.width) if console.is_terminal else tables.WIDTH
    with console.capture() as drawn:
        console.print(table)
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def grid(*columns: str, right: Sequence[str] = ()) -> Table:
    """An empty table without lines, numbers set right."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bright_black")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def say(text: str) -> None:
    """Print a sentence in lines of at most 100 columns."""
    print(textwrap.fill(plain(text), tables.WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False))


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
    """Send what an experiment's own code prints to standard error meanwhile; standard output is for what a verb answers."""
    with contextlib.redirect_stdout(_Aside()):
        yield


def tell(text: str, file: TextIO | None = None) -> None:
    """Print lines as they are, but for what a terminal would obey."""
    print(plain(text), file=file)


def catalogue(root: Path, as_json: bool) -> None:
    """Print every experiment: title, claim, cost, recorded verdicts, and what is stored here."""
    from assay.lab import catalogue, records
    from assay.lab.origin import code

    entries: list[dict[str, Any]] = []
    for entry in catalogue.entries():
        header, record = entry.header(), records.read(entry.name, entry.origin)
        entries.append(
            {
                "name": entry.name,
                "title": header.title,
                "paper": header.paper,
                "claim": header.claim,
                "baselines": header.baselines,
                "cost": header.cost,
                "presets": ["smoke", "default", "full"],
                "recorded": tables.outcomes(record),
                "board": tables.board(record),
                "local": local(root, entry.name, code(entry.origin)),
            }
        )
    if as_json:
        return emit({"experiments": entries})
    table = grid("name", "claim", "cost", "recorded", "here")
    table.expand, table.columns[1].ratio, table.columns[2].max_width = True, 1, 24
    for e in entries:
        table.add_row(e["name"], e["claim"], e["cost"], tables.signs(e["recorded"]) or e["board"] or "–", said(e["local"]))
    draw(table)
    print("\nassay plan NAME says what a run would do; assay run NAME does it.")
    return None


def local(root: Path, name: str, code: str = "") -> dict[str, Any]:
    """What a store holds of an experiment: the number of runs, the outcomes of each stored result, and which another text made.

    `code` is that of the experiment's file now.
    """
    from assay.lab.sealed import unseal

    runs = [folder for folder in (root / "runs" / name).glob("*") if folder.is_dir()]
    results: dict[str, dict[str, int]] = {}
    older = []
    for path in sorted((root / "results" / name).glob("*.json")):
        results[path.stem] = {}  # where it is not as it was written; `assay run` and `assay show` write it again
        with contextlib.suppress(StoreError):
            data = unseal(path)
            results[path.stem] = tables.outcomes(data)
            if code and set(data["provenance"].get("code", [code])) != {code}:
                older.append(path.stem)
    return {"runs": len(runs), "results": results, "other_text": older}


def said(state: Mapping[str, Any]) -> str:
    """The local state in a few words."""
    if not state["runs"]:
        return "–"
    other = " (by another text of its file)" if "default" in state["other_text"] else ""
    return (tables.signs(state["results"].get("default", {})) or f"{state['runs']} runs") + other


def megabytes(count: float) -> str:
    """A number of bytes in MB or GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def result(result: Result, name: str, experiment: Experiment, preset: Preset, as_json: bool) -> None:
    """Print the verdicts of a result, what they cost, and what to type next."""
    data = result.to_json()
    if as_json:
        return emit(data)
    arm = "" if result.arm == "main" else f", arm {result.arm} judged as if it were the method"
    tell(f"{result.experiment} ({', '.join((result.preset, *preset.sets))}){arm}\n")
    tables.show(data)
    if tables.only_exact(data):
        tell(tables.ONLY_EXACT)
    for text, reason in result.skipped:
        say(f"not asked of {result.arm}: {text} ({reason})")
    for change in result.changed:
        say(f"changed after a look at these seeds: {change}")
    for note in result.notes:
        say(f"note: {note}")
    print(f"\n{data['provenance']['runs']} runs, {duration(result.seconds)}, {result.cpu_seconds:.0f} CPU-seconds")
    for line in invitations(name, result, experiment, preset):
        tell(line)
    return None


def invitations(name: str, result: Result, experiment: Experiment, preset: Preset) -> list[str]:
    """What to type next: an arm to judge as if it were the method, an ablation before a control, and the pages."""
    claims = [judged.claim for judged in result.judged]
    rivals = [arm for arm in experiment.arms if arm.startswith("no-")] + [arm for claim in claims for arm in claim.must_fail]
    holds = any(judged.verdict.outcome == "holds" for judged in result.judged)
    lines = [f"Try to fool it: assay show {name} --arm {rivals[0]}{preset.options}"] if rivals and holds else []
    return [*lines, f"Read the pages: assay report {name}{preset.options}"]


def judged(judged: Judged, as_json: bool) -> None:
    """Print one verdict on a user's own numbers."""
    entry = judged.to_json()
    if as_json:
        return emit(entry)
    tables.show({"verdicts": [entry]})
    for line in (*judged.notes, f"scope: {entry['scope']}", f"interval: {entry['method']}"):
        say(line)
    return None


def differences(found: Sequence[Difference], name: str, as_json: bool) -> int:
    """Print where a result departs from its record; the exit code, 1 when it does."""
    if as_json:
        emit({"experiment": name, "differences": [vars(d) for d in found]})
    elif found:
        table = grid("what", "recorded", "now")
        for d in found:
            table.add_row(d.what, d.recorded, d.now)
        draw(table)
    else:
        tell(f"{name}: as recorded")
    return 1 if found else 0


def recorded(experiment: Experiment, preset: Preset) -> Mapping[str, Any]:
    """The committed record of an experiment. Raises: ExperimentError when there is none, or it is of another preset."""
    from assay.lab import records

    record = records.read(experiment.name, experiment.origin)
    if record is None:
        typed = f"{experiment.typed}{preset.options}"
        raise ExperimentError(f"{experiment.name} has no record; make one: assay run {typed}, then assay check {typed} --record")
    of = str(record.get("preset", preset.name)).partition("-")[0]  # fields that were set, such as seeds, may differ
    if of != preset.name:
        raise ExperimentError(f"the record of {experiment.name} is of preset {of}, not {preset.name}; compare with --preset {of}")
    return record


def pages(found: Pages, as_json: bool) -> None:
    """Print where the pages are; what the index leaves out is told on standard error."""
    for why in found.left_out:
        tell(f"left out of the index: {why}", sys.stderr)
    if as_json:
        return emit(found)
    for path in (*found.pages, found.index, *found.exported):
        tell(str(path))
    return None


def written(path: Path, as_json: bool) -> int:
    """Print the path of a file that was written; exit code 0."""
    emit({"path": str(path)}) if as_json else tell(str(path))
    return 0


def agreed(found: Sequence[tuple[Path, int]], name: str, yes: bool, as_json: bool) -> bool:
    """Whether to delete these files and folders: says what they are, and asks where someone can answer.

    Raises: AssayError where nobody can, and `--yes` was not given.
    """
    if not found:
        emit({"bytes": 0}) if as_json else tell(f"nothing is stored of {name}")
        return False
    size = megabytes(sum(count for _, count in found))
    if not yes and (as_json or not sys.stdin.isatty()):
        raise AssayError(
            f"{', '.join(str(path) for path, _ in found)} ({size}) would be deleted; say so with: assay remove {name} --yes"
        )
    for path, count in found:
        tell(f"{path}  {megabytes(count)}", sys.stderr)
    return yes or input(f"Delete these, {size}? [y/N] ").strip().lower() in {"y", "yes"}


def freed(count: int, as_json: bool) -> int:
    """Print how many bytes are free again; exit code 0."""
    emit({"bytes": count}) if as_json else print(f"{megabytes(count)} freed")
    return 0


def exchanged(done: Exchanged, as_json: bool) -> None:
    """Print what kind of dictionary was read or written, where it comes from, how it did, and the files."""
    if as_json:
        return emit(done)
    inner = ", ".join(f"{name} {value}" for name, value in done.nonlinearity.items() if name == "k")
    shape = f"{done.width} features of {done.d_in} dimensions"
    shape += f" to {done.d_out}" if done.d_out != done.d_in or done.sites_out else ""
    places = " → ".join(", ".join(sites) for sites in (done.sites, done.sites_out) if sites) or "no place named"
    kind = f"{done.nonlinearity['name']}{f' ({inner})' if inner else ''}"
    lines = [f"{kind}: {shape}, {places}" + (f", {done.runs} runs" if done.runs > 1 else "")]
    if "file" in done.origin:  # what Assay trained itself comes from no file
        sha256 = str(done.origin.get("sha256", ""))[:12]
        lines.append(f"from {done.origin.get('format', 'a file')}: {done.origin['file']}, sha256 {sha256}…")
    if done.origin.get("inferred"):
        lines.append(f"inferred, not stated in the file: {', '.join(done.origin['inferred'])}")
    return tell("\n".join([*lines, *(trial.verdict for trial in done.self_test), *(f"wrote {path}" for path in done.written)]))


def health(found: Health, as_json: bool) -> int:
    """Print what was mended and every check; the exit code, 1 when something is broken."""
    if as_json:
        emit(found)
    else:
        tell("\n".join([*found.done, *map(checked, found.checks)]))
    return 0 if found.healthy else 1


def checked(check: Check) -> str:
    """Write one check as a line: its sign, what was found, and how to mend it."""
    sign = {"well": "●", "missing": "○", "broken": "✕"}[check.state]
    return f"{sign} {check.about}: {check.found}" + (f"; {check.mend}" if check.mend else "")
