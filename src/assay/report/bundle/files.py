"""Files: the bundle of a result as files by name, and the zip of them, whose bytes are the same
whenever the result is."""

from __future__ import annotations

import functools
import io
import json
import math
import re
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files as of_package
from pathlib import Path
from typing import Any

import numpy as np

from assay.core.figures import Figure
from assay.core.heavy import xr
from assay.core.plain import as_json, plain
from assay.core.results import ResultData, Verdict
from assay.core.schema import to_json
from assay.dictionaries.measuring.measures import TABLE
from assay.report import draw, export, pages, tables
from assay.report.bundle import judge
from assay.report.bundle.contents import Carried, quantities

MOST = 8192
"""Numbers per run above which a measure that no text condition names is left out, as of records."""
SUMS = "SHA256SUMS"
FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the zip: none."""


@dataclass(frozen=True, kw_only=True)
class Whole:
    """All that a bundle is made of, as plain data."""

    data: Mapping[str, Any]
    """The result's JSON, or a record's; its verdicts are those stated."""
    origin: str
    """Where the measures come from, in words."""
    arms: Mapping[str, xr.Dataset]
    claims: Sequence[Carried]
    conditions: Mapping[str, str] = field(default_factory=dict)
    """Of a study: the condition of each claim, by its text."""
    header: Any = None
    text: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    """A line on each arm."""
    figures: Sequence[Figure] = ()
    cards: Sequence[Any] = ()
    specs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    looks: Sequence[Mapping[str, Any]] = ()
    source: Mapping[str, bytes] = field(default_factory=dict)
    """The study or the experiment, by file name."""
    kept: Mapping[str, bytes] = field(default_factory=dict)
    """Looks and what was frozen, by file name."""
    left_out: Sequence[str] = ()

    @functools.cached_property
    def result(self) -> ResultData:
        """The result itself."""
        return ResultData.from_json(self.data)


def write(whole: Whole) -> dict[str, bytes]:
    """Make every file of a bundle; claims that its own code does not judge as stated are said not
    to be carried."""
    claims_json, number_files = _claims(whole)
    index, arrays = _measures(
        whole, {name for claim in claims_json["claims"] for name in claim.get("names", ())}
    )
    claims_json["quantities"] = quantities(
        sorted({name for claim in claims_json["claims"] for name in claim.get("names", ())})
    )
    data = {
        k: v
        for k, v in whole.data.items()
        if k not in ("provenance", "stamp", "evidence", "figures")
    }
    files = {
        "claims.json": _json(claims_json),
        "measures/index.json": _json(index),
        "verdicts.json": _json(data),
        **arrays,
        **number_files,
        "environment.json": _json(_environment(whole.data)),
        "judge.py": of_package("assay.report.bundle").joinpath("judge.py").read_bytes(),
        "CITATION.cff": _citation(whole).encode(),
        "references.bib": export.references(whole.result, whole.header).encode(),
        "verdicts.csv": export.verdicts_csv(whole.result).encode(),
        **{f"source/{name}": content for name, content in whole.source.items()},
        **{f"looks/{name}": content for name, content in whole.kept.items()},
    }
    files = _held_to(files)
    for name, figure in zip(export.names(whole.figures), whole.figures, strict=True):
        files |= {
            f"pictures/{name}.svg": draw.svg(figure, standalone=True).encode(),
            f"pictures/{name}.png": draw.png(figure),
        }
        files |= {f"pictures/{name}.csv": export.figure_csv(figure).encode()}
    page = pages.page(
        whole.result,
        figures=whole.figures,
        cards=whole.cards,
        header=whole.header,
        text=whole.text,
        notes=whole.notes,
        looks=whole.looks,
        specs=whole.specs,
        home="",
    )
    files |= {"report.html": page.encode()}
    files |= {
        "README.md": _readme(
            whole, json.loads(files["claims.json"]), sorted([*files, "README.md"])
        ).encode()
    }
    return {**files, SUMS: sums(files)}


def sums(files: Mapping[str, bytes]) -> bytes:
    """List the SHA-256 of every file, as `sha256sum -c` reads it."""
    return "".join(
        f"{sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items())
    ).encode()


def packed(files: Mapping[str, bytes], folder: str) -> bytes:
    """Pack files into a zip, in one folder: the same bytes for the same files, whoever packs them
    and when."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(f"{folder}/{name}", FIRST_DAY)
            info.compress_type, info.create_system, info.external_attr = (
                zipfile.ZIP_DEFLATED,
                3,
                0o644 << 16,
            )
            archive.writestr(info, files[name], compresslevel=9)
    return out.getvalue()


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Pack arrays as NumPy's own file of several, without compression and without a time."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(arrays):
            body = io.BytesIO()
            np.lib.format.write_array(body, np.ascontiguousarray(arrays[name]))
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", FIRST_DAY), body.getvalue())
    return out.getvalue()


def _json(value: Any) -> bytes:
    return (as_json(to_json(value), indent=1) + "\n").encode()


def _claims(whole: Whole) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The claims as data, and the files of their numbers; a study's claims need none, since their
    conditions say what is computed."""
    claims, number_files = [], {}
    for i, c in enumerate(whole.claims, 1):
        claim = dict(c.said)
        if condition := whole.conditions.get(claim["text"]):
            body, *_, equal = judge.condition(condition)
            names = [c.name for c in judge.columns_of(body)] + ([equal] if equal else [])
            claims.append(
                {
                    **claim,
                    "arms": {},
                    "half": [],
                    "statistics": [],
                    "carried": True,
                    "why_not": "",
                    "condition": condition,
                    "names": list(dict.fromkeys(names)),
                }
            )
            continue
        if claim["carried"]:
            claim["file"] = f"numbers/claim-{i:02d}.npz"
            number_files[claim["file"]] = npz(c.numbers)
        claims.append({"condition": "", **claim})
    head = {
        "experiment": whole.data["experiment"],
        "preset": whole.data["preset"],
        "draws": judge.DRAWS,
    }
    return {**head, "claims": claims}, number_files


def _measures(whole: Whole, measure_names: set[str]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What was measured, arm by arm: an index with names, units and levels, and the numbers; large
    ones that no condition names are left out."""
    measure_names = (
        measure_names
        | {term for m in TABLE if m.name in measure_names for term in m.terms}
        | ({"diverged"} if measure_names else set())
    )
    index, array_files = {}, {}
    for i, (arm, data) in enumerate(whole.arms.items(), 1):
        runs = data.sizes.get("run", 1)
        variables = {str(k): v for k, v in data.data_vars.items() if v.dtype.kind in "biuf"}
        small = {k: v for k, v in variables.items() if k in measure_names or v.size <= MOST * runs}
        keys = {k: f"n{j}" for j, k in enumerate(small)}
        name = f"measures/arm-{i:02d}.npz"
        array_files[name] = npz({keys[k]: v.values for k, v in small.items()})
        levels = {str(k): c.values.tolist() for k, c in data.coords.items() if c.ndim == 1}
        per_run = {str(k) for k, c in data.coords.items() if c.dims == ("run",)}
        index[arm] = {
            "file": name,
            "n": runs,
            "dims": [str(d) for d in data.sizes if d != "run"],
            "variables": {
                k: {
                    "key": keys[k],
                    "dims": [str(d) for d in v.dims],
                    "unit": v.attrs.get("units", "1"),
                }
                for k, v in small.items()
            },
            "runs": {k: v for k, v in levels.items() if k in per_run},
            "levels": {k: v for k, v in levels.items() if k not in per_run},
            "fields": {
                str(k): v for k, v in data.attrs.items() if isinstance(v, bool | int | float | str)
            },
            "left_out": sorted(k for k in variables if k not in small),
        }
    return index, array_files


def _held_to(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files, after their own code has judged each claim: one that it does not judge as stated
    is no longer said to be carried."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        outcomes = judge.compare_all(Path(folder))
    claims_json = json.loads(files["claims.json"])
    for claim, off in zip(claims_json["claims"], outcomes, strict=True):
        if off and claim["carried"]:
            claim |= {
                "carried": False,
                "why_not": (
                    f"the code of the bundle comes to something else: {'; '.join(off)[:300]}"
                ),
            }
    return {**files, "claims.json": _json(claims_json)}


def _environment(data: Mapping[str, Any]) -> dict[str, Any]:
    """Where the numbers come from: versions, commit, class of machine, times of training; no host
    name and no path."""
    provenance = dict(data.get("provenance") or {})
    fields = {
        k: provenance[k]
        for k in (
            "software",
            "machine",
            "device",
            "runs",
            "diverged",
            "inputs",
            "code",
            "keys",
            "finished",
        )
        if k in provenance
    }
    return {
        **fields,
        "seconds": data.get("seconds"),
        "cpu_seconds": data.get("cpu_seconds"),
        "claims_key": data.get("claims_key"),
    }


def _citation(whole: Whole) -> str:
    """The citation of this result in the Citation File Format."""
    provenance = whole.data.get("provenance") or {}
    software = provenance.get("software") or {}
    title = plain(getattr(whole.header, "title", "") or str(whole.data["experiment"]))
    day = re.match(r"\d{4}-\d\d-\d\d", str(provenance.get("finished", "")))
    lines = [
        "cff-version: 1.2.0",
        (
            'message: "To cite this result, cite its numbers, the paper whose claims it judges '
            '(references.bib), and Assay."'
        ),
        "type: dataset",
        f"title: {json.dumps(f'{title} (verdicts measured with Assay)', ensure_ascii=False)}",
        "authors:",
        "  - name: The Assay authors and whoever ran it",
        *([f'date-released: "{day.group()}"'] if day else []),
        *([f"version: {json.dumps(software['assay'])}"] if software.get("assay") else []),
        *([f"commit: {json.dumps(software['commit'])}"] if software.get("commit") else []),
    ]
    return "\n".join([*lines, ""])


def _readme(whole: Whole, claims_json: Mapping[str, Any], names: Sequence[str]) -> str:
    """What this is, how to doubt it, and what cannot be doubted from here, for somebody who has
    never seen Assay."""
    carried = [c for c in claims_json["claims"] if c["carried"]]
    title = plain(getattr(whole.header, "title", "") or str(whole.data["experiment"]))
    rows = [
        (
            f"| {i} | {tables.SIGNS[v.outcome]} {v.outcome} | {_cell(v.text)} | "
            f"{_number(v)} | {'yes' if c['carried'] else 'no'} |"
        )
        for i, (v, c) in enumerate(
            zip(whole.result.verdicts, claims_json["claims"], strict=True), 1
        )
    ]
    gates = sorted(
        {
            g
            for c in carried
            for a in c["arms"].values()
            for g in a["gates"]
            if g not in a["histories"]
        }
    )
    length, paper = (
        len(Path(judge.__file__).read_text(encoding="utf-8").splitlines()),
        getattr(whole.header, "paper", ""),
    )
    lines = [
        f"# {title}",
        "",
        "This folder holds what was claimed, what was measured, and what came of it: "
        f"{whole.data['experiment']}, preset {whole.data['preset']}. "
        "You need not believe the one who sent it, and you need not install what made it."
        + (f" What is judged: {plain(paper)}" if paper else ""),
        "",
        *(
            [
                "| | verdict | claim | estimate [95 % interval] | judged by `judge.py` |",
                "|---|---|---|---|---|",
                *rows,
                "",
            ]
            if rows
            else []
        ),
        "A claim *holds* where the whole interval lies in its range, *fails* where it lies "
        "outside, and is *undecided* where it spans the threshold. "
        "Each claim names controls, for which it has to fail; where one satisfies it too, it is "
        "*unspecific*. `report.html` shows all of it, "
        "without a network.",
        "",
        "## Judge it again",
        "",
        "`judge.py` came with the numbers: compare its SHA-256 with the one that Assay publishes "
        "(docs/bundle.md) before you believe it, or let "
        "an Assay of your own judge this folder, `assay check .`, which runs nothing in it. You "
        "need Python, 3.10 or later, and NumPy, and "
        "nothing else:",
        "",
        "```console",
        "$ python judge.py",
        "$ python judge.py --claim 1",
        "$ sha256sum -c SHA256SUMS",
        "```",
        "",
        f"`judge.py` reads the numbers of {len(carried)} of {len(claims_json['claims'])} claims, "
        "computes estimates and intervals, judges the claim, "
        "its controls and every other arm, and compares. It exits with 1 where anything is not as "
        "stated. It shares no code with what made the "
        f"verdicts, and was written to be read: {length} lines, of which the intervals take a "
        "hundred. Change a number in "
        f"`{'measures' if whole.conditions else 'numbers'}/`: its hash is wrong, and so is the "
        "estimate that rests on it.",
        "",
        "## What it does not show",
        "",
        *_limits(whole, claims_json, gates),
        "",
        "## What lies here",
        "",
        *[f"- {what}" for what in _contents(whole, names)],
        "",
        *(
            ["## What was left out", "", *[f"- {line}" for line in whole.left_out], ""]
            if whole.left_out
            else []
        ),
    ]
    return "\n".join(lines)


def _limits(whole: Whole, claims_json: Mapping[str, Any], gates: Sequence[str]) -> list[str]:
    """What has to be taken on trust, or looked up elsewhere."""
    lines = [
        f"- **Training and measuring.** Where the numbers come from: {whole.origin}. That they "
        "were measured so can only be shown by doing it "
        "again: `assay run`, with the files in `source/`; `environment.json` says with which "
        "versions and on what machine."
    ]
    if whole.conditions:
        lines.append(
            "- **From measures to what is compared** nothing is taken on trust: `judge.py` reads "
            "each condition in `claims.json` as "
            "text, and computes it from `measures/`."
        )
    elif claims_json["claims"]:
        lines.append(
            "- **From measures to what is compared.** What a claim compares for each unit is "
            "computed by Python in `source/` from "
            "`measures/`, and its outcome lies in `numbers/`. `judge.py` starts there: a number "
            "that is changed in `measures/` alone "
            "is found by its hash, one in `numbers/` by its verdict as well."
        )
    if gates:
        lines.append(
            f"- **Conditions of claims** ({', '.join(map(plain, gates))}) are taken as "
            "stated; their code is in `source/`."
        )
    for claim in claims_json["claims"]:
        if not claim["carried"]:
            lines.append(
                f"- **Not judged here:** {plain(claim['text'])} ({plain(claim['why_not'])})."
            )
    if findings := whole.data.get("findings"):
        several = (
            "1 estimate, a number" if len(findings) == 1 else f"{len(findings)} estimates, numbers"
        )
        lines.append(f"- **{several} without a verdict**, in `verdicts.json`: not computed again.")
    if whole.data.get("exact"):
        lines.append(
            "- **Theorems** are compared with the number that has to come out; that number's "
            "way from `measures/` is code in `source/`."
        )
    for change in whole.data.get("changed", ()):
        lines.append(f"- **After a look at the same seeds:** {plain(change)}.")
    return lines


def _contents(whole: Whole, names: Sequence[str]) -> list[str]:
    """A line on every file or folder that is there."""
    meant = {
        "claims.json": "the claims as data: ranges, units, controls, where each threshold comes from, and "  # noqa: E501
        "each statistic as its name, as steps "
        "of NumPy, or as a condition in text",
        "verdicts.json": (
            "what is stated of each claim, its controls and all other arms; theorems and estimates"
        ),
        "verdicts.csv": "the same as a table",
        "numbers": "what each claim compares, for each unit of each arm",
        "measures": "what was measured of each run of each arm; `index.json` names it",
        "judge.py": "the code that judges",
        "report.html": "the report, in one file that opens without a network",
        "pictures": "the figures, and the numbers in them",
        "source": "the study or experiment as it was written",
        "looks": (
            "who looked when at which seeds, what the claims were then, and what was frozen before"
        ),
        "environment.json": "versions, commit, machine",
        "CITATION.cff": "how to cite this",
        "references.bib": "what the verdicts rest on, published numbers among it",
        "README.md": "this page",
    }
    top_names = dict.fromkeys(name.partition("/")[0] for name in names)
    return [
        f"`{name}{'/' if '.' not in name else ''}`: {meant[name]}."
        for name in meant
        if name in top_names
    ] + [f"`{SUMS}`: the hash of every file."]


def _cell(text: str) -> str:
    return plain(text).replace("|", "\\|")


def _number(v: Verdict) -> str:
    if not math.isfinite(v.estimate):
        return "none"
    unit = "" if v.unit == "1" else f" {_cell(v.unit)}".rstrip()
    known = math.isfinite(v.low) and math.isfinite(v.high)
    return f"{v.estimate:.4g}{f' [{v.low:.4g}, {v.high:.4g}]' * known}{unit}"
