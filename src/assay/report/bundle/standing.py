"""Standing: whether a bundle shows that its verdicts are confirmatory, derived from what is in it:
the registration, the chains of the ledger, of questions and of looks, the prompts and the inputs.

What is only stated, such as the times of the author's clock, is reported as stated."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.errors import StoreError
from assay.lab.judge import anchors, questions, registered
from assay.lab.judge.anchors import Anchor
from assay.lab.judge.questions import Questions
from assay.lab.judge.registered import Registration
from assay.lab.store import journal
from assay.lab.store.journal import NOTED, TAKEN, Journal, Subject, digest, seeds_of

JSON = Mapping[str, Any]
FOLDER = "looks"
"""The folder of a bundle that has the registration and the chains."""
OTHERS = "other-lines.json"
"""Its file of lines about other experiments, which are left out: their hashes, and which lines of
the bundle they follow."""
ALIKE = (
    *("unit", "units", "where", "scale", "of", "must_fail", "must_hold", "half", "threshold_from"),
    *("near", "bounds", "violations", "automatic", "beats", "distance", "empty", "condition"),
    *("threshold", "source"),
)
"""What a registration and claims.json say alike of a claim."""
EXPLORATORY, CONFIRMATORY = "exploratory", "confirmatory"


@dataclass(frozen=True)
class Standing:
    """What a bundle states that its verdicts are, and what can be derived."""

    stated: str
    derived: str
    """exploratory, unless all that is stated follows from what is in the bundle."""
    against: tuple[str, ...] = ()
    """Why what is stated does not follow."""
    hash: str = ""
    """SHA-256 of what was frozen."""
    time: str = ""
    """When it was frozen, and when the last of its runs was finished, by the author's clock."""
    finished: str = ""
    anchors: tuple[Anchor, ...] = ()
    """What says from outside when it was frozen."""

    @property
    def follows(self) -> bool:
        """Whether all that is stated can be derived."""
        return not self.against and not any(anchor.wrong for anchor in self.anchors)


def derive(folder: Path, trusted: Path | None = None) -> Standing:
    """Derive the standing of the bundle in a folder.

    Args:
        folder: the bundle, unpacked.
        trusted: certificates of the authorities whose time stamps are believed, as PEM; those of
            the system without it.
    Raises: OSError, ValueError, LookupError, TypeError for files that are none of a bundle.
    """
    stated = _read(folder / "verdicts.json")
    inference, preset = str(stated["inference"]), stated["preset"]
    if Path(preset).name != preset:
        raise ValueError(f"preset {preset[:80]!r} is not a valid file name")
    if inference == EXPLORATORY:
        page = html.unescape((folder / "report.html").read_text("utf-8"))
        is_confirmatory = "confirmatory: frozen on" in page or '"inference": "confirmatory"' in page
        against = ["report.html says confirmatory"] if is_confirmatory else []
        frozen, _ = _registration(folder, preset)
        about = (frozen.hash, frozen.time) if frozen else ()
        return Standing(inference, EXPLORATORY, tuple(against), *about)
    frozen, against = _registration(folder, preset)
    if inference not in (CONFIRMATORY, "frozen without inputs"):
        against.append("there is no such standing")
    if frozen is None:
        return Standing(inference, EXPLORATORY, tuple(against))
    environment = _read(folder / "environment.json")
    finished = str(environment.get("finished", ""))
    against += _stated(frozen, stated)
    against += _claims(frozen.content, stated, _read(folder / "claims.json")["claims"])
    against += _arms(frozen.content, _read(folder / "measures/index.json"))
    against += _inputs(frozen.content, environment, inference)
    against += _prompts(frozen.content, folder / "prompts.json")
    against += _chains(folder / FOLDER, frozen, stated)
    if not frozen.time <= finished:
        against.append(f"frozen on {frozen.time}, and its runs were finished on {finished}")
    begun = str(environment.get("begun") or frozen.time)  # older bundles do not have it
    if begun < frozen.time:
        against.append(f"frozen on {frozen.time}, and its first run was begun on {begun}")
    return Standing(
        inference,
        EXPLORATORY if against else inference,
        tuple(against),
        frozen.hash,
        frozen.time,
        finished,
        tuple(anchors.stamps(frozen, trusted)),
    )


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _registration(folder: Path, preset: str) -> tuple[Registration | None, list[str]]:
    """Read what was frozen, which all copies in the bundle say alike."""
    registrations, against = list[Registration](), list[str]()
    for path in sorted({*(folder / FOLDER).glob("*.json")} - {folder / FOLDER / OTHERS}):
        try:
            registrations.append(registered.read(path))
        except StoreError:
            against.append(f"{FOLDER}/{path.name} is not as it was frozen")
    candidates = [r for r in registrations if r.content.get("preset") == preset]
    if not candidates:
        return None, against or ["what was frozen is not in the bundle"]
    if len({(r.hash, r.time, r.commit) for r in candidates}) > 1:
        against.append("the bundle has several registrations, which differ")
    return candidates[0], against


def _unlike(noun: str, frozen: JSON, present: JSON) -> Iterator[str]:
    """Say what is not as it was frozen, name by name; what is empty may be left out."""
    for name in {**frozen, **present}:
        then, now = frozen.get(name) or None, present.get(name) or None
        if then != now:
            yield f"{noun}: {name} was frozen as {then}, and is {now}"


def _stated(frozen: Registration, stated: JSON) -> Iterator[str]:
    """Compare what is stated of the registration with the file."""
    claimed = stated.get("registration") or {}
    facts: dict[str, Any] = {"hash": frozen.hash, "time": frozen.time, "commit": frozen.commit}
    facts |= {name: frozen.content.get(name) for name in ("seeds", "alpha")}
    about = {"experiment": frozen.content.get("experiment")}
    yield from _unlike("the registration", about, {"experiment": stated["experiment"]})
    yield from _unlike("the registration", facts, {name: claimed.get(name) for name in facts})
    lacking = claimed.get("lacking", ()) if stated["inference"] == CONFIRMATORY else ()
    yield from (f"not frozen, as is stated: {name}" for name in lacking)
    for name in ("changed", "missing"):
        yield from (f"{name}, as is stated: {phrase}" for phrase in claimed.get(name, ()))
    if not claimed.get("followed") or stated.get("arm", "main") != "main":
        yield "it is not stated that what was frozen was followed"


def _claims(content: JSON, stated: JSON, claims: Sequence[JSON]) -> Iterator[str]:
    """Compare the claims that are judged with those that were frozen."""
    frozen = {s["text"]: s for s in (*content.get("claims", ()), *content.get("estimates", ()))}
    kinds = ("verdicts", "exact", *(("findings",) if "estimates" in content else ()))
    now = {s["text"] for kind in kinds for s in stated[kind]}
    for text in sorted(frozen.keys() ^ now):
        yield f"{'it was frozen, and is not stated' if text in frozen else 'not frozen'}: {text}"
    usual = content["looks"][-1]["level"]
    for claim in (claim for claim in claims if claim["text"] in frozen):
        frozen_claim, text = frozen[claim["text"]], claim["text"]
        # intervals of claims along a sweep hold for all of them at once
        level = usual ** (1 / content.get("together", {}).get(text, 1))
        edges = [x if math.isfinite(x) else None for x in map(float, frozen_claim["range"])]
        frozen_parts = {name: _plain(frozen_claim.get(name), name) for name in ALIKE}
        frozen_parts |= {"range": edges, "level": level}
        judged = {name: _plain(claim.get(name), name) for name in ALIKE}
        judged |= {
            "range": [*claim["range"], *claim["fail_range"]],
            "level": claim.get("level", level),
        }
        yield from _unlike(text, frozen_parts, judged)


def _plain(value: Any, name: str) -> Any:
    """A value as both files say it: single numbers are words in what is frozen."""
    if name == "bounds" and value:
        return [float(x) for x in value]
    if name == "threshold_from":  # what an earlier look had otherwise comes after
        return value.partition("; pilot-set, since ")[0]
    return float(value) if name in ("beats", "empty") and value is not None else value


def _arms(content: JSON, index: JSON) -> Iterator[str]:
    """Compare runs, seeds, settings and units with those that were frozen."""
    arms, seeds = content.get("arms", {}), sorted(seeds_of(content["seeds"]))
    for name in {**arms, **index}:
        frozen, arm = arms.get(name), index.get(name)
        if frozen and frozen.get("derived"):
            continue
        if not frozen or not arm:
            yield f"arm {name} was not frozen, or is not in the bundle"
            continue
        measured = arm["levels"].get("seed") or arm["runs"].get("seed")
        units = frozen.get("units", {})
        expected: dict[str, Any] = {"runs": frozen["runs"], "seeds": seeds, **units}
        now: dict[str, Any] = {unit: len(arm["levels"].get(unit, ())) for unit in units}
        now |= {"runs": arm["n"], "seeds": sorted({*(measured or [arm["fields"].get("seed")])})}
        for field in arm["fields"].keys() - {"seed"}:
            now[field] = [json.dumps(arm["fields"][field])]
            settings = (setting.get(field, arm["fields"][field]) for setting in frozen["fields"])
            expected[field] = sorted({*map(json.dumps, settings)})
        yield from _unlike(f"arm {name}", expected, now)


def _inputs(content: JSON, environment: JSON, inference: str) -> Iterator[str]:
    """Compare what was read with what was frozen."""
    arms, read_by = content.get("arms", {}), environment.get("read", {})
    inputs = {name: arm.get("inputs", {}) for name, arm in arms.items()}
    prompts = {name: entry["hash"] for name, entry in content.get("prompts", {}).items()}
    for name in {**inputs, **read_by}:
        frozen, read = inputs.get(name, {}), read_by.get(name, {})
        if inference != CONFIRMATORY:  # what an older version froze has not all inputs
            read = {key: value for key, value in read.items() if key in frozen}
        yield from _unlike(f"read by arm {name}", frozen, read)
        whole = {key: prompts.get(key, entry) for key, entry in frozen.items()}
        yield from _unlike("prompts", frozen, whole)
    if inference == CONFIRMATORY and "text" in content and not any(inputs.values()):
        yield from _unlike("read by the author's own code", {}, environment.get("inputs", {}))


def _prompts(content: JSON, path: Path) -> Iterator[str]:
    """Compare prompts with those that were frozen, row by row and in order, by their digests."""
    bundled = _read(path) if path.is_file() else {}
    for name, entry in content.get("prompts", {}).items():
        rows = [x if isinstance(x, str) else digest(json.dumps(x)) for x in bundled.get(name, ())]
        if rows != entry["rows"]:
            yield f"{name}: the rows in the bundle are not the {len(entry['rows'])} frozen ones"


def _chains(folder: Path, frozen: Registration, stated: JSON) -> Iterator[str]:
    """Follow the chains: what was frozen is noted, unseen, and was looked at as is stated."""
    experiment, preset = str(stated["experiment"]), str(stated["preset"])
    ledger, asked = Journal(folder / journal.LEDGER, NOTED), Questions(folder / journal.QUESTIONS)
    others = _read(folder / OTHERS) if (folder / OTHERS).is_file() else {}
    ledger.skip(others.get(journal.LEDGER, {}))
    asked.skip(others.get(journal.QUESTIONS, {}))
    looks = Journal(folder / f"registered-{preset}.looks.jsonl", TAKEN)
    line = (frozen.ledger or {}).get("hash")
    notes = {journal.key(x): x for x in ledger.looks}
    if line not in notes or notes[line].get("registration") != frozen.hash:
        yield "the ledger in the bundle does not note that it was frozen"
        return
    files = {
        journal.LEDGER: ledger,
        journal.QUESTIONS: asked,
        f"registered/{experiment}/{preset}.looks.jsonl": looks,
        f"results/{experiment}/frozen.jsonl": Journal(folder / "frozen.jsonl"),
        f"results/{experiment}/looks.jsonl": Journal(folder / "looks.jsonl"),
    }
    for path, file in files.items():
        heads = {str(head) for x in notes.values() for head in x["heads"].get(path, ())}
        if harm := file.wrong(heads, ever=True):
            yield f"of {path} {harm}"
    about = ("judged", experiment, preset)
    judged = [k for k, x in notes.items() if (x["what"], x["experiment"], x["preset"]) == about]
    if not any(line in ledger.before(key) for key in judged):
        yield "the ledger in the bundle does not note that it was judged after it was frozen"
    yield from _seen(ledger, asked, frozen)
    yield from _look(looks, frozen, stated)


def _seen(ledger: Journal, asked: Questions, frozen: Registration) -> Iterator[str]:
    """What may have been seen before it was frozen."""
    questions_frozen = questions.read(frozen.content.get("questions", {}))
    for why, when, _ in asked.exposures(questions_frozen):
        if when < frozen.time:
            yield f"{why}, before it was frozen"
    if questions.is_by_rows(questions_frozen) or frozen.ledger is None:
        return
    about, line = frozen.line, frozen.ledger["hash"]
    subject = Subject(frozenset(about["about"]), frozenset(frozen.seeds), about["arms"])
    for x in ledger.looks:
        later = line in ledger.before(journal.key(x))
        if x["what"] != "frozen" and not later and subject.shared(x):
            yield f"seeds of it were {x['what']} on {x['time']}, before it was frozen"


def _look(looks: Journal, frozen: Registration, stated: JSON) -> Iterator[str]:
    """Compare the last look with what is stated."""
    wanted = (len(frozen.content["looks"]), frozen.hash)
    taken = [x for x in looks.looks if (x["look"], x["registration"]) == wanted]
    if not taken:
        yield "no look at what was frozen is noted in the bundle"
        return
    models = frozen.content.get("models", {})
    yield from _unlike("files of models", models, taken[0].get("models", {}))
    outcomes = {v["text"]: v["outcome"] for v in stated["verdicts"]}
    yield from frozen.contradicted(taken[0], outcomes)
