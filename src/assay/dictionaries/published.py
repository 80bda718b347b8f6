"""Published dictionaries by name: OWNER/NAME[@REVISION]:PATH on a hub, or saelens:RELEASE:ID of
SAELens' own table; downloaded as models are, then opened without a network."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from assay.core import cache, foreign
from assay.core.errors import DataError, nearest
from assay.dictionaries.formats.format import TORCH, known, read_with
from assay.dictionaries.formats.saelens import ROW
from assay.dictionaries.formats.weights import yaml_mapping
from assay.subjects import hub
from assay.subjects.hub import SAELENS, File, HubName

TABLE = "ASSAY_SAELENS"
"""The variable that names a table; without it, the one of the installed sae_lens is read."""
READ = (".safetensors", ".npz")
_PATH = re.compile(r"[\w.+:=-]+(?:/[\w.+:=-]+)*", re.ASCII)
_LONGEST = 200  # characters of a name as a folder's
_FORM = "a mapping from releases to repo_id and saes, a list of id and path"


def parse(text: str) -> HubName | None:
    """Take the name of a published dictionary apart; None for anything else. Of a name in SAELens'
    table the repository is left empty."""
    if text.startswith(SAELENS):
        release, _, identifier = text.removeprefix(SAELENS).partition(":")
        name = HubName("", part=text) if release and _within(identifier) else None
    else:
        repository, _, path = text.partition(":")
        name = hub.parse(repository)
        name = replace(name, part=path) if name and _within(path) else None
    return name if name and len(quote(name.part, safe="")) <= _LONGEST else None


def _within(path: str) -> bool:
    return bool(_PATH.fullmatch(path)) and not {".", ".."} & set(path.split("/"))


def present(name: HubName) -> Path | None:
    """Give the weight file of a dictionary that was fetched, None where it was not; no network."""
    if name.repository:
        for path in _candidates(name.part):
            folder = hub.present(replace(name, part=path))
            if folder and (folder / path).is_file():
                return folder / path
        return None
    for place in sorted(cache.hub().glob(f"*/*/{quote(name.part, safe='')}")):
        owner, _, repository = place.parent.parent.name.partition("--")
        folder = hub.present(HubName(f"{owner}/{repository}", part=name.part))
        for row in folder.rglob(ROW) if folder else ():
            return row.parent / str(foreign.json_object(row).get("file"))
    return None


def find(name: HubName) -> Path:
    """Give the weight file of a dictionary that was fetched. Raises: DataError with what to
    type."""
    if file := present(name):
        return file
    raise DataError(
        f"no dictionary '{name}' here: no file, and not fetched; assay fetch {name} downloads it"
    )


def fetch(
    name: HubName,
    progress: Callable[[str], None] = lambda line: None,
    bar: Callable[[int, int], None] = lambda completed, total: None,
) -> Path:
    """Download a dictionary's weights and the settings next to them, and give its weight file.

    Args:
        name: what `parse` made of a name.
        progress: called with each line, sizes before anything is downloaded.
        bar: called with bytes that are here, and bytes in all.
    Raises: ModelError as for models; DataError for a name that the table or the repository does not
    have, with the nearest one, and for weights that are pickled alone.
    """
    path, row = name.part, dict[str, Any]()
    if not name.repository:
        name, path, row = _row(name)

    def choose(
        name: HubName, listed: Mapping[str, File]
    ) -> tuple[HubName, Sequence[File], Mapping[str, str]]:
        weights = PurePosixPath(_weights(name, path, listed))
        note = {str(weights.with_name(ROW)): json.dumps(row | {"file": weights.name})}
        note = note if row else {}
        others = [p for p in map(str, read_with(weights)) if p in listed and p not in note]
        chosen = name if row else replace(name, part=str(weights))
        return chosen, [listed[p] for p in (*others, str(weights))], note

    hub.fetch(name, None, progress, bar, choose)
    return find(replace(name, repository="") if row else name)


def _candidates(path: str) -> list[str]:
    """The weight files that a path may mean: itself, and those with a format's name in it."""
    return [p for p in (path, *(f"{path}/{file}" for file in _files())) if p.endswith(READ)]


def _files() -> list[str]:
    return [file for format in known().values() for file in format.files]


def _weights(name: HubName, path: str, listed: Mapping[str, File]) -> str:
    """The one weight file that a path means. Raises: DataError."""
    meant = [p for p in _candidates(path) if p in listed]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise DataError(f"{name} holds {' and '.join(meant)}; name the file itself")
    folders = {
        p.removesuffix(file).rstrip("/")
        for p in listed
        for file in _files()
        if p.endswith(READ) and p.endswith(f"/{file}")
    }
    files = {p for p in listed if p.endswith(READ) and str(PurePosixPath(p).parent) not in folders}
    if deeper := sorted(p for p in folders | files if p.startswith(f"{path}/")):
        more = f" and {len(deeper) - 3} more" if len(deeper) > 3 else ""
        raise DataError(f"{name} has no dictionary itself, but {', '.join(deeper[:3])}{more} do")
    pickled = [p for p in sorted(listed) if p.endswith(TORCH) and f"{p}/".startswith(f"{path}/")]
    if pickled:
        raise DataError(f"{name} has only {pickled[0]}, and no pickled weights are downloaded")
    raise DataError(
        f"{name.repository} has no dictionary {path!r}; {nearest(path, folders | files)}"
    )


def _row(name: HubName) -> tuple[HubName, str, dict[str, Any]]:
    """The name with its repository, the path, and what else SAELens' table says. Raises:
    DataError."""
    release, _, identifier = name.part.removeprefix(SAELENS).partition(":")
    file = _table()
    table = yaml_mapping(file)
    table = table.get("SAE_LOOKUP", table)  # in older versions
    try:
        if release not in table:
            raise DataError(f"{file} has no release {release!r}; {nearest(release, table)}")
        rows = {str(row["id"]): row for row in table[release]["saes"]}
        if identifier not in rows:
            raise DataError(f"{release} has no {identifier!r}; {nearest(identifier, rows)}")
        path, repository = str(rows[identifier]["path"]), table[release]["repo_id"]
        parsed = hub.parse(repository)
        overrides = dict(table[release].get("config_overrides") or {})
        factor = rows[identifier].get("norm_scaling_factor")
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise DataError(f"{file} is not a table of SAELens: {release} must be {_FORM}") from error
    if parsed is None or not _within(path):
        raise DataError(f"{file}: {repository!r} with {path!r} is not a place on a hub")
    row = {"release": release, "id": identifier, "norm_scaling_factor": factor}
    row |= {"config_overrides": json.loads(json.dumps(overrides, default=str))}
    return replace(name, repository=parsed.repository), path, row


def _table() -> Path:
    """SAELens' table: the one that the variable names, else of the installed sae_lens, which is not
    imported. Raises: DataError where there is none."""
    if named := os.environ.get(TABLE):
        return Path(named).expanduser()
    package = find_spec("sae_lens")
    for folder in package.submodule_search_locations or () if package else ():
        return Path(folder) / "pretrained_saes.yaml"
    raise DataError(
        f"names that begin with {SAELENS} stand in SAELens' table: pip install sae-lens, or let "
        f"{TABLE} name its pretrained_saes.yaml"
    )
