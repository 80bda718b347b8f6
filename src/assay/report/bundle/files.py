"""Files: the bundle of a result as files by name, and the zip of them, whose bytes are the same
whenever the result is."""

from __future__ import annotations

import functools
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader

from assay.core.heavy import xr
from assay.core.plain import as_json, plain
from assay.core.results import ResultData
from assay.core.schema import to_json
from assay.lab.records import contests
from assay.lab.records.contests import Contest
from assay.lab.store.origin import STUDIES
from assay.report import tables
from assay.report.bundle import contents, judge
from assay.report.bundle.contents import Carried

MOST = 8192
"""Numbers per run above which a measure that no text condition names is left out, as of records."""
SUMS = "SHA256SUMS"
CONTESTS = "contests.json"
"""A sentence for each recorded claim that was challenged by someone else's arm."""
ENVIRONMENT = (
    *("software", "machine", "device", "runs", "diverged"),
    *("inputs", "code", "keys", "begun", "finished"),
)
"""What of the provenance goes out."""
FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the zip: none."""


@dataclass(frozen=True, kw_only=True)
class Whole:
    """All that a bundle is made of, as plain data."""

    data: Mapping[str, Any]
    """The result's JSON, or a record's; its verdicts are those stated."""
    arms: Mapping[str, xr.Dataset]
    claims: Sequence[Carried]
    origin: str = ""
    """Where the measures come from, in words."""
    header: Any = None
    page: str = ""
    """The report."""
    source: Mapping[str, bytes] = field(default_factory=dict)
    """The study or the experiment, by file name."""
    registration: Mapping[str, bytes] = field(default_factory=dict)
    """Looks and what was frozen, by file name."""
    read: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The hashes of all that runs read, by arm."""
    prompts: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """The rows of all prompts in order: what each says, or its digest."""
    left_out: Sequence[str] = ()
    contests: Sequence[Contest] = ()
    """The committed challenges to the record of its claims."""

    @functools.cached_property
    def result(self) -> ResultData:
        """The result itself."""
        return ResultData.from_json(self.data)


def write(whole: Whole) -> dict[str, bytes]:
    """Make every file of a bundle; claims that its own code does not judge as stated are said not
    to be carried."""
    index, array_files = _measures(whole)
    claims_json, number_files = _claims(whole, judge.Measures(index, array_files.__getitem__))
    internal = ("provenance", "stamp", "evidence", "figures")  # older results have a stamp
    contested = contests.lines(whole.contests)
    files = {
        "claims.json": _json(claims_json),
        "measures/index.json": _json(index),
        "verdicts.json": _json({k: v for k, v in whole.data.items() if k not in internal}),
        **{name: npz(arrays) for name, arrays in (array_files | number_files).items()},
        "environment.json": _json({**_environment(whole.data), "read": whole.read}),
        **({"prompts.json": _json(whole.prompts)} if whole.prompts else {}),
        **({CONTESTS: _json({"contests": contested})} if contested else {}),
        "judge.py": Path(judge.__file__).read_bytes(),
        **{f"source/{name}": content for name, content in whole.source.items()},
        **{f"looks/{name}": content for name, content in whole.registration.items()},
    }
    files["claims.json"] = _held_to(claims_json, files)
    files["report.html"] = whole.page.encode()
    files["README.md"] = _readme(whole, claims_json["claims"], (*files, "README.md"))
    return {**files, SUMS: sums(files)}


def sums(files: Mapping[str, bytes]) -> bytes:
    """List the SHA-256 of every file, as `sha256sum -c` reads it."""
    digests = {name: sha256(content).hexdigest() for name, content in files.items()}
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(files)).encode()


def packed(files: Mapping[str, bytes], folder: str) -> bytes:
    """Pack files into a zip, in one folder: the same bytes for the same files, on any
    machine and at any time."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(f"{folder}/{name}", FIRST_DAY)
            info.create_system, info.external_attr = 3, 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, files[name], compresslevel=9)
    return out.getvalue()


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Pack arrays as NumPy's own file of several, without compression and without a time."""
    out = io.BytesIO()
    ordered: dict[str, Any] = {name: arrays[name] for name in sorted(arrays)}
    np.savez(out, **ordered)
    return out.getvalue()


def _json(value: Any) -> bytes:
    return (as_json(to_json(value), indent=1) + "\n").encode()


Arrays = dict[str, dict[str, np.ndarray]]
"""The arrays of each file by their keys."""


def _claims(whole: Whole, measures: judge.Measures) -> tuple[dict[str, Any], Arrays]:
    """The claims as data, and the numbers of those that are not computed from measures."""
    claims, number_files = [], Arrays()
    for i, carried in enumerate(whole.claims, 1):
        carried = contents.measured(carried, measures)
        claim = dict(carried.described)
        if carried.numbers:
            claim["file"] = f"numbers/claim-{i:02d}.npz"
            number_files[claim["file"]] = dict(carried.numbers)
        claims.append(claim)
    head = {name: whole.data[name] for name in ("experiment", "preset")}
    return {**head, "draws": judge.DRAWS, "claims": claims}, number_files


def _measures(whole: Whole) -> tuple[dict[str, Any], Arrays]:
    """What was measured, arm by arm: an index with names, units and levels, and the numbers; large
    ones that no condition names are left out. For conditions runs are laid out by what they differ
    in."""
    conditions = [text for c in whole.claims if (text := c.described["condition"])]
    names = set().union(*map(contents.names, conditions))
    index, array_files = {}, Arrays()
    for i, (arm, data) in enumerate(whole.arms.items(), 1):
        runs, name = data.sizes.get("run", 1), f"measures/arm-{i:02d}.npz"
        laid = contents.by_fields(data) if conditions else data
        numbers = {str(k): v for k, v in laid.data_vars.items() if v.dtype.kind in "biuf"}
        large = sorted(k for k, v in numbers.items() if v.size > MOST * runs and k not in names)
        small = {k: v for k, v in numbers.items() if k not in large}
        array_files[name] = {f"n{j}": v.values for j, v in enumerate(small.values())}
        axes = {str(k): c for k, c in laid.coords.items() if c.ndim == 1}
        levels = {k: c.values.tolist() for k, c in axes.items()}
        per_run = {k for k, c in axes.items() if c.dims == ("run",)}
        counted = {str(d): list(range(n)) for d, n in laid.sizes.items()}
        plain = (bool, int, float, str)
        index[arm] = {
            "file": name,
            "n": runs,
            "variables": {
                k: {"key": f"n{j}", "dims": v.dims, "unit": v.attrs.get("units", "1")}
                for j, (k, v) in enumerate(small.items())
            },
            "runs": {k: v for k, v in levels.items() if k in per_run},
            "levels": counted | {k: v for k, v in levels.items() if k not in per_run},
            "fields": {k: v for k, v in data.attrs.items() if isinstance(v, plain)},
            "left_out": large,
        }
    return index, array_files


def _held_to(claims_json: dict[str, Any], files: Mapping[str, bytes]) -> bytes:
    """The claims, after the bundle's own code has judged each: one that it does not judge as stated
    is no longer said to be carried."""
    judged = judge.judge_all(files.__getitem__)
    for claim, (*_, off) in zip(claims_json["claims"], judged, strict=True):
        if off:
            why = f"the code of the bundle comes to something else: {'; '.join(off)[:300]}"
            claim |= {"carried": False, "why_not": why}
    return _json(claims_json)


def _environment(data: Mapping[str, Any]) -> dict[str, Any]:
    """Where the numbers come from: versions, commit, class of machine, times of training; no host
    name and no path."""
    provenance = data.get("provenance") or {}
    return {
        **{k: provenance[k] for k in ENVIRONMENT if k in provenance},
        **{k: data.get(k) for k in ("seconds", "cpu_seconds", "claims_key")},
    }


def _cell(words: str) -> str:
    """The words, escaped for a cell of a Markdown table."""
    return words.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _readme(whole: Whole, claims: Sequence[Mapping[str, Any]], names: Iterable[str]) -> bytes:
    """What this is, how to doubt it, and what cannot be doubted from here, for a reader who has
    never seen Assay."""
    words = Environment(
        loader=PackageLoader("assay.report"),
        autoescape=False,  # it is Markdown
        finalize=lambda value: plain(value) if isinstance(value, str) else value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    words.filters["cell"] = _cell
    page = words.get_template("bundle.md").render(
        title=getattr(whole.header, "title", "") or whole.data["experiment"],
        paper=getattr(whole.header, "paper", ""),
        data=whole.result,
        study=any(f"{whole.data['experiment']}{kind}" in whole.source for kind in STUDIES),
        claims=claims,
        rows=tables.rows(whole.result, contests.turned(whole.contests))[: len(claims)],
        contests=contests.lines(whole.contests),
        lines=len(Path(judge.__file__).read_text(encoding="utf-8").splitlines()),
        worded=any("terms" in c for c in claims),
        numbered=any("file" in c for c in claims),
        origin=whole.origin,
        gates=sorted({g for c in claims for a in c["arms"].values() for g in a["gates"]}),
        names={name.partition("/")[0] for name in names},
        left_out=whole.left_out,
    )
    return page.encode()
