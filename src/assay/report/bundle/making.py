"""Making: a stored result, or a committed record, as one zip that a sceptic can judge again with
NumPy alone."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from glob import escape
from hashlib import sha256
from pathlib import Path
from typing import Any

from assay.core.claims import Claim
from assay.core.errors import ClaimError, StoreError
from assay.core.experiment import Experiment
from assay.core.figures import figures_of
from assay.core.heavy import xr
from assay.core.judging import USUAL
from assay.core.plain import as_json, canonical_json
from assay.core.results import ResultData
from assay.lab import catalogue
from assay.lab.judge import looks, recording, registered
from assay.lab.judge.contents import of_runs
from assay.lab.judge.result import with_derived
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset, scope_by_reading
from assay.lab.records import contests, records
from assay.lab.store import journal
from assay.lab.store.origin import files, in_file
from assay.report import pages
from assay.report.bundle import files as bundle
from assay.report.bundle.contents import carry_all
from assay.report.bundle.files import Whole
from assay.report.bundle.standing import EXPLORATORY, OTHERS
from assay.report.stored import page_of, slug

HIDDEN = "(hidden)"
"""The text in place of a prompt that may not be passed on."""


STORED = "the store whose runs this result was judged from"
RECORDED = "the committed record of the experiment, whose numbers are rounded to single precision"
"""Where measures come from."""


@dataclass(frozen=True)
class Bundled:
    """A bundle that was written: where, how large, its hash, and which claims its own code
    judges."""

    written: Path
    bytes: int
    sha256: str
    origin: str
    """Where its measures come from, in words."""
    judged: tuple[str, ...]
    """Claims that `judge.py` in it judges as stated."""
    not_judged: tuple[tuple[str, str], ...]
    """Claims that it does not, and why."""


def export_bundle(
    lab: Lab,
    experiment: Experiment,
    preset: Preset,
    out: Path | None = None,
    *,
    hide_prompts: bool = False,
) -> Bundled:
    """Write the bundle of a result: of the stored runs, as `assay show` judges them, or where runs
    are missing and no result was stored, of the committed record. With `hide_prompts` it has the
    hashes of prompts instead of their texts.

    Raises: StoreError where there is neither; ClaimError where no statement could be computed;
    OSError where nothing can be written."""
    name = slug(experiment.name, preset.title)
    out = out or Path(f"{name}.zip")
    stored = lab.store.root / "results" / experiment.name / f"{preset.title}.json"
    record = None if stored.exists() else records.load_record(experiment, preset.name)
    try:
        whole = _of_store(lab, experiment, preset)
    except StoreError:  # runs are missing
        if record is None or record["preset"] != preset.title:
            raise
        whole = _of_record(lab, experiment, preset, record)
    whole = _without_prompts(whole) if hide_prompts else whole
    entries = bundle.write(whole)
    content = bundle.packed(entries, name)
    out.write_bytes(content)
    claims = json.loads(entries["claims.json"])["claims"]
    return Bundled(
        written=out,
        bytes=len(content),
        sha256=sha256(content).hexdigest(),
        origin=whole.origin,
        judged=tuple(c["text"] for c in claims if c["carried"]),
        not_judged=tuple((c["text"], c["why_not"]) for c in claims if not c["carried"]),
    )


def _without_prompts(whole: Whole) -> Whole:
    """Hide prompts: their hashes stay, and nothing of them in verdicts and on the page."""
    rows = [row for table in whole.prompts.values() for row in table]
    digests = {
        n: [journal.digest(json.dumps(r)) for r in lines] for n, lines in whole.prompts.items()
    }
    page, data = whole.page, as_json(whole.data)
    for text, _ in rows:
        page = page.replace(html.escape(text), HIDDEN).replace(text, HIDDEN)
        data = data.replace(as_json(text)[1:-1], HIDDEN)
    return replace(whole, prompts=digests, page=page, data=json.loads(data))


def _of_store(lab: Lab, experiment: Experiment, preset: Preset) -> Whole:
    """What a bundle of a stored result is made of."""
    page, result = page_of(lab, experiment, preset, home="")
    plan = lab.plan(experiment, preset)
    whole = _whole(lab, experiment, preset, result.to_json(), result.arms)
    read = of_runs(plan)
    inputs = {name: hashes for arm in read.values() for name, hashes in arm.items()}
    prompts_now = experiment.materials.prompts() if experiment.materials else {}
    prompts = {
        name: [json.loads(row) for row in rows]
        for name, (hashes, rows) in prompts_now.items()
        if inputs.get(name, hashes) == hashes
    }
    noted = {**whole.registration, **_noted(lab, experiment)}
    whole = replace(whole, read=read, prompts=prompts, registration=noted)
    return replace(whole, origin=STORED, page=page)


def _of_record(lab: Lab, experiment: Experiment, preset: Preset, record: dict[str, Any]) -> Whole:
    """What a bundle of the committed record is made of: its measures, judged by today's
    statements."""
    arms = with_derived(experiment, recording.arms(experiment, record))
    data = {k: v for k, v in record.items() if k not in ("arms", "cost", "bytes")}
    frozen, stated = data.get("registration"), data.get("inference", EXPLORATORY)
    data |= {"inference": EXPLORATORY, "registration": None}
    statements = recording.rejudge(experiment, record)
    for kind, kept_statements in zip(("verdicts", "exact", "findings"), statements, strict=True):
        data[kind] = [statement.to_json() for statement in kept_statements]
    today, recorded = ResultData.from_json(data), ResultData.from_json(record)
    pairs = [(text, recording.departs(b, a)) for _, text, a, b in recording.paired(today, recorded)]
    left_out = [f"of the record, {text}: {how}" for text, how in pairs if how]
    if stated != EXPLORATORY:
        why = "and does not hold what was frozen, so that it could not be derived from this bundle"
        left_out.append(f"the standing: the record states {stated}, {why}")
    figures = [*figures_of(statements[2])]
    try:
        figures = [*experiment.figures(arms), *figures]
    except Exception as e:  # a record has no large measures, which figures may show
        left_out.append(f"the figures: the record has not all that they show ({type(e).__name__})")
    whole = _whole(lab, experiment, preset, {**data, "registration": frozen}, arms)
    page = pages.page(
        today,
        figures=figures,
        header=whole.header,
        text=experiment.page,
        home="",
        turned=contests.turned(whole.contests),
    )
    whole = replace(whole, data=data, left_out=left_out)
    return replace(whole, origin=RECORDED, page=page)


def _whole(
    lab: Lab,
    experiment: Experiment,
    preset: Preset,
    data: Mapping[str, Any],
    arms: Mapping[str, xr.Dataset],
) -> Whole:
    """The contents of a bundle, except its page and figures."""
    experiment = looks.marked(experiment.sized(preset.specs), lab.store)
    result = ResultData.from_json(data)
    texts = {v.text for v in result.verdicts}
    claims = [c for c in experiment.claims if isinstance(c, Claim) and c.text in texts]
    if not claims and not result.exact and not result.findings:
        raise ClaimError(f"nothing of {experiment.name} was judged, so there is nothing to bundle")
    name = experiment.origin if in_file(experiment.origin) else experiment.name
    noted_looks = (data.get("registration") or {}).get("looks", ())  # of older versions several
    level = noted_looks[-1]["level"] if noted_looks else USUAL
    return Whole(
        data=data,
        arms=arms,
        claims=carry_all(claims, arms, scope_by_reading(experiment, preset), level),
        header=catalogue.entry(name).header(),
        source=_source(experiment),
        registration=_registration_files(experiment, preset),
        contests=contests.of_preset(experiment.name, preset.title, experiment.origin),
    )


def _source(experiment: Experiment) -> dict[str, bytes]:
    """The files of an experiment or study by their names, or by their places in its folder."""
    single = Path(experiment.origin)
    paths = files(experiment.origin) or ([single] if single.is_file() else [])
    if not paths:
        return {}
    top = min((p.parent for p in paths), key=lambda p: len(p.parts))
    folder = f"{top.name}/" if len(paths) > 1 else ""
    return {f"{folder}{p.relative_to(top).as_posix()}": p.read_bytes() for p in paths}


def _registration_files(experiment: Experiment, preset: Preset) -> dict[str, bytes]:
    """The committed looks, next to a record, and what was frozen, next to a study."""
    committed = looks.committed(experiment)
    paths = {f"committed-{committed.name}": committed}
    if adjacent := registered.adjacent_path(experiment, preset):
        stem = adjacent.name.removesuffix("json")
        paths |= {p.name: p for p in adjacent.parent.glob(f"{escape(stem)}*")}
    return _contents(paths)


def _noted(lab: Lab, experiment: Experiment) -> dict[str, bytes]:
    """What a store has of a result's own experiment: its looks, what was frozen before any, and its
    lines of the ledger and of the questions, with the hashes of lines between them."""
    root, name = lab.store.root, experiment.name
    results, frozen = (root / d / name for d in ("results", "registered"))
    paths = {p.name: p for p in results.glob("*.jsonl")}
    paths |= {f"registered-{p.name}": p for p in frozen.glob("*")}
    ledger = journal.Ledger(lab.store)
    own = (line for line in ledger.looks if line["experiment"] == name)
    heads = [head for line in own for head in line["heads"].get(journal.QUESTIONS, ())]
    lines, between = journal.excerpt(ledger.path, name)
    asked, between_asked = journal.excerpt(root / journal.QUESTIONS, name, heads)
    others = {journal.LEDGER: between, journal.QUESTIONS: between_asked}
    content = {journal.LEDGER: lines, journal.QUESTIONS: asked}
    content |= {OTHERS: canonical_json(others).encode()} if between or between_asked else {}
    return _contents(paths) | {name: text for name, text in content.items() if text}


def _contents(paths: Mapping[str, Path]) -> dict[str, bytes]:
    return {name: p.read_bytes() for name, p in sorted(paths.items()) if p.is_file()}
