"""Stored results as pages in a folder, and an index over all pages there."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from assay.ask.shown import describe
from assay.core.errors import AssayError, DataError, ExperimentError, StoreError
from assay.core.experiment import Experiment
from assay.core.schema import OMITTED
from assay.lab import catalogue
from assay.lab.judge.kept import KEPT
from assay.lab.judge.result import Result, by_prompts
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset
from assay.lab.records import contests
from assay.lab.store.atomic import unseal
from assay.lab.store.journal import judgings
from assay.lab.store.origin import in_file, owner
from assay.lab.store.store import Store
from assay.report import evaluations, pages, result_file, result_page
from assay.report.overview import CONTEST

SAVED = ".assay"
"""How the name of a saved result ends."""
SET = re.compile(r"-[0-9a-f]{8}$")
"""How the title of a result ends for which fields were set."""

Selection = tuple[Experiment, Preset]


@dataclass(frozen=True)
class Pages:
    """Where pages were written."""

    pages: tuple[Path, ...]
    index: Path
    left_out: tuple[str, ...] = field(default=(), metadata=OMITTED)
    """Why pages in the folder are missing from the index, a sentence for each."""
    missing: tuple[str, ...] = field(default=(), metadata=OMITTED)
    """Why there is no page of some that were named, a sentence for each."""


def write(
    lab: Lab,
    selection: Iterable[Selection],
    out: Path,
    saved: Iterable[Path] = (),
    lost: Iterable[AssayError] = (),
) -> Pages:
    """Write a page of each result and of each saved result into `out`, with an index over all pages
    there, whichever command wrote them; `lost` are further results of which there is no page.
    Raises: AssayError where no page can be written, such as StoreError, as runs are missing."""
    written: list[Path] = []
    missing = [*lost]
    for file in saved:
        written += _saved(file, out)
    for experiment, preset in selection:
        try:
            page, _ = page_of(lab, experiment, preset)
        except AssayError as error:  # which is no reason to do without the pages of the others
            missing.append(error)
            continue
        written += pages.write(out, {f"{slug(experiment.name, preset.title)}.html": page})
    if missing and not written:
        raise missing[0]
    entries, left_out = _entries(out, written)
    files = sorted(out.glob(f"*{SAVED}"))
    read = [pages.Saved(f"{file.name}.html", result_file.load(file)) for file in files]
    (index,) = pages.write(out, {"index.html": pages.index(entries, read, _elsewhere(out))})
    evaluations.link_index(out)
    return Pages(tuple(written), index, tuple(left_out), tuple(map(str, missing)))


def _saved(file: Path, out: Path) -> list[Path]:
    """Write the page of a saved result, with a copy of its file next to it. Raises:
    StoreError."""
    page = result_page.page(result_file.load(file), file.name)
    written = pages.write(out, {f"{file.name}.html": page})
    if (copy := out / file.name).resolve() != file.resolve():
        shutil.copyfile(file, copy)
    return written


def _elsewhere(out: Path) -> list[str]:
    """Find the indexes of other folders of the same name, one level below the folder of `out`."""
    found = sorted(out.absolute().parent.glob(f"*/{out.absolute().name}/index.html"))
    ours = (p.parent for p in found if "<h1>Verdicts</h1>" in p.read_text(errors="replace"))
    return [f"{folder.parent.name}/{folder.name}" for folder in ours]


def page_of(
    lab: Lab, experiment: Experiment, preset: Preset, home: str = "index.html"
) -> tuple[str, Result]:
    """Make one experiment's page and its result; `home` is the address of the page over all
    experiments."""
    experiment = experiment.sized(preset.specs)
    result = lab.judge(experiment, preset)
    page = pages.page(
        result.data,
        figures=result.figures,
        cards=result.cards,
        header=catalogue.entry(_origin(experiment)).header(),
        text=experiment.page,
        notes={name: arm.note for name, arm in experiment.arms.items()},
        looks=judgings(lab.store, experiment.name),
        specs=result.specs,
        home=home,
        turned=contests.turned(
            contests.of_preset(experiment.name, preset.title, experiment.origin)
        ),
        study=describe(experiment),
        drawn=by_prompts(result, experiment.materials),
    )
    return page, result


def _origin(experiment: Experiment) -> str:
    """Choose what the catalogue finds this experiment by: its file where it is a user's, else its
    name."""
    return experiment.origin if in_file(experiment.origin) else experiment.name


class Stored(NamedTuple):
    """A result of a store, by what is typed for it."""

    name: str
    """The experiment, or the path of the file that it is in."""
    title: str
    """The preset, with a hash of the fields that were set."""
    preset: str
    sets: tuple[str, ...]
    """Those fields, where the store has them."""

    @property
    def is_set(self) -> bool:
        """Whether fields were set."""
        return self.title != self.preset


def stored(store: Store) -> list[Stored]:
    """List every result of a store but those of challenges. Raises: StoreError when there is
    none."""
    names = {entry.name for entry in catalogue.entries()}
    found = []
    for path in sorted((store.root / "results").glob("*/*.json")):
        name, title = path.parent.name, path.stem
        if name not in names:
            if name.partition(CONTEST)[0] in names:
                continue
            file = Path(owner(store, name) or catalogue.nearby().get(name, f"{name}.toml"))
            is_here = file.is_relative_to(Path.cwd())
            name = str(file.relative_to(Path.cwd()) if is_here else file)
        sets: tuple[str, ...] = ()
        with suppress(StoreError, KeyError, TypeError):
            sets = tuple(unseal(path)[KEPT]["around"]["sets"])
        found.append(Stored(name, title, SET.sub("", title), sets))
    if not found:
        raise StoreError(
            f"no results in {store.root.absolute()}; start with: assay run superposition"
        )
    return found


def every(
    store: Store,
    preset: str,
    sets: Sequence[str],
    choose: Callable[[str, str, Sequence[str]], Selection],
) -> tuple[list[Selection], list[AssayError]]:
    """Choose what each result of a store is a result of, or where another preset or fields were
    typed each of those; and say of which that is not known. Raises: StoreError when there is no
    result."""
    chosen, lost = list[Selection](), list[AssayError]()
    for result in stored(store):
        if (preset != "default" or sets) and (result.preset, result.is_set) != (preset, bool(sets)):
            continue
        try:
            experiment, found = choose(result.name, result.preset, sets or result.sets)
        except AssayError as error:
            lost.append(error)
            continue
        if found.title == result.title:
            chosen.append((experiment, found))
        elif not sets:
            typed = f"assay report {shlex.quote(result.name)} --preset {result.preset}"
            why = f"{result.title} of {result.name} has other fields: {typed} --set FIELD=VALUE"
            lost.append(StoreError(why))
    if not chosen and not lost:
        raise StoreError(f"no results of this preset in {store.root.absolute()}")
    return chosen, lost


def _entries(out: Path, written: Sequence[Path]) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Read what the index lists: the result of each page in `out`; and why others are left out."""
    headers = {entry.name: entry for entry in catalogue.entries()}
    index_entries: list[Mapping[str, Any]] = []
    left_out = []
    for path in sorted({*out.glob("*.html")} - {out / evaluations.PAGE}):
        page = path.read_text(encoding="utf-8", errors="replace")
        title = pages.title_of(page)
        if not title or path.name.endswith(f"{SAVED}.html"):
            continue
        try:
            data = pages.result_of(page)
            entry = headers.get(data.experiment)
            past = entry and contests.of_preset(entry.name, data.preset, entry.origin)
        except (DataError, ExperimentError) as e:
            left_out.append(f"{path.name}: {e}")
            continue
        listed = {"data": data, "href": path.name, "title": title}
        listed |= {"header": entry and entry.header(), "turned": contests.turned(past or ())}
        index_entries.append(listed | {"since": _since(path, written)})
    return index_entries, left_out


def _since(page: Path, written: Sequence[Path]) -> str:
    """Say when a page was written; "" of one that was written now."""
    at = datetime.fromtimestamp(page.stat().st_mtime, UTC)
    return "" if page in written else f"page of {at:%Y-%m-%d %H:%M} UTC"


def slug(name: str, title: str) -> str:
    """Make the file name of a result's page, without its ending; never that of the index."""
    stem = name if title == "default" else f"{name}-{title}"
    return f"{stem}-page" if stem == "index" else stem
