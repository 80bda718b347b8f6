"""`assay report`: stored results as pages in a folder, an index over them, and the same results for other programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core.errors import StoreError
from assay.core.plain import plain

if TYPE_CHECKING:
    from assay.cli.options import Choice
    from assay.core.experiment import Experiment
    from assay.lab.lab import Lab
    from assay.lab.preset import Preset


def write(lab: Lab, names: Sequence[str], choice: Choice, out: Path, export: Path | None) -> dict[str, Any]:
    """The paths of the page of each experiment, of the index over all pages in `out`, and of what was exported."""
    from assay.report import pages
    from assay.verbs.destination import writable

    for folder, option in ((out, "--out"), (export, "--export")):
        if folder is not None:
            writable(folder, option)
    written, exported = [], []
    for name in names:
        experiment, preset = choice.of(name)
        page, files = one(lab, experiment, preset, export)
        written += pages.write(out, {f"{slug(experiment.name, preset.title)}.html": page})
        exported += files
    index = pages.write(out, {"index.html": pages.index(entries(lab, out))})
    return {"pages": list(map(str, written)), "index": str(index[0]), "exported": list(map(str, exported))}


def one(lab: Lab, experiment: Experiment, preset: Preset, export: Path | None) -> tuple[str, list[Path]]:
    """One experiment's page, and the files exported into `export`."""
    from assay.core.experiment import read_header
    from assay.lab import catalogue
    from assay.lab.looks import judgings
    from assay.report import export as exporting
    from assay.report import pages

    result = lab.judge(experiment, preset)
    data, header = result.to_json(), read_header(catalogue.entry(origin(experiment)).path)
    page = pages.page(
        data,
        figures=result.figures,
        cards=result.cards,
        header=header,
        text=experiment.page,
        notes={name: arm.note for name, arm in experiment.arms.items()},
        looks=judgings(lab.store, experiment.name),
        specs=result.specs,
    )
    if export is None:
        return page, []
    return page, exporting.export(data, export / slug(experiment.name, preset.title), result.figures, header)


def origin(experiment: Experiment) -> str:
    """What the catalogue finds this experiment by: its file where it is a user's, else its name."""
    return experiment.origin if experiment.origin.endswith(".py") else experiment.name


def stored(root: Path) -> list[str]:
    """The names of catalogue experiments with a stored default result. Raises: StoreError when there is none."""
    from assay.lab import catalogue

    names = [entry.name for entry in catalogue.entries() if (root / "results" / entry.name / "default.json").exists()]
    if not names:
        others = ", ".join(sorted({path.parent.name for path in (root / "results").glob("*/*.json")}))
        hint = f"of {others} there is one: name its file or preset" if others else "start with: assay run superposition"
        raise StoreError(f"no default result of a known experiment is stored in {root}; {hint}")
    return names


def entries(lab: Lab, out: Path) -> list[Mapping[str, Any]]:
    """What the index lists: each stored result whose page lies in `out`, as it was written; what was changed since is told and left out."""
    from assay.lab import catalogue
    from assay.lab.sealed import unseal

    headers = {entry.name: entry for entry in catalogue.entries()}
    found: list[Mapping[str, Any]] = []
    for path in sorted((lab.store.root / "results").glob("*/*.json")):
        href = f"{slug(path.parent.name, path.stem)}.html"
        if (out / href).exists():
            entry = headers.get(path.parent.name)
            try:
                data = unseal(path)
            except StoreError as e:
                print(plain(f"left out of the index: {e}"), file=sys.stderr)
                continue
            found.append({"data": data, "href": href, "header": entry and entry.header()})
    return found


def slug(name: str, title: str) -> str:
    """The file name of a result's page, without its ending; never that of the index."""
    found = name if title == "default" else f"{name}-{title}"
    return f"{found}-page" if found == "index" else found
