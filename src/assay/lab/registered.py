"""Registered: what was frozen before any result existed: claims, arms, seeds, looks and the code
that judges, in one sealed file.

The file lies in the store and, of an experiment in somebody's own folder, beside it. Its seal shows
an edit, not a forgery by somebody who seals it again: for that there is a signature of the author's
own, which is kept by its hash and never read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.claims import Claim, Exact, claims_key, said
from assay.core.errors import ExperimentError, StoreError
from assay.core.experiment import Experiment
from assay.core.spec import canonical_json
from assay.core.told import ToldHead, ToldOtherRegistration
from assay.lab import edits, journal, ledger, looks, origin, provenance, sources
from assay.lab.atomic import explained, write
from assay.lab.preset import Preset, scope
from assay.lab.sealed import SCHEMA, NewerError, seal, unseal
from assay.lab.store import Store, Stored

LARGEST = 2**20
"""Bytes of a signature."""
BESIDE = frozenset({"schema", "hash", "time", "commit", "software", "ledger"})
"""What the file has beside its content."""


class TooLate(StoreError):
    """What was seen, or frozen otherwise, cannot be frozen any more."""


@dataclass(frozen=True)
class Registration:
    """What was frozen, when, and where it lies."""

    path: Path
    content: Mapping[str, Any]
    hash: str
    """SHA-256 of the content: what to publish, or to sign."""
    time: str
    commit: str
    software: Mapping[str, Any]
    ledger: ToldHead | None = None
    """The line of the store's ledger that notes the freezing; None in files of older versions."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds, in the order in which looks take them: the lowest first."""
        return tuple(sorted(looks.seeds_of(self.content["seeds"])))

    @property
    def units(self) -> tuple[int, ...]:
        """Seeds at each look."""
        return tuple(look["units"] for look in self.content["looks"])

    @property
    def levels(self) -> tuple[float, ...]:
        """The level of intervals at each look."""
        return tuple(look["level"] for look in self.content["looks"])


def freeze(
    store: Store,
    experiment: Experiment,
    preset: Preset,
    units: Sequence[int] = (),
    related: Sequence[Experiment] = (),
    others: Iterable[str] = (),
    *,
    here: bool = True,
) -> Registration:
    """Freeze what is to be judged, looked at after so many seeds; none given: once, after all. What
    is frozen so already stays.

    `related` are experiments whose looks at the same seeds count as well, such as those that a
    study borrows from; `others` name results of this store about the same experiments, such as
    another wording of the study. With `here` it is written beside the experiment's own file as well
    as into the store.

    Raises: ExperimentError for pilot seeds and looks that cannot be; StoreError where the same was
    frozen otherwise, where its seeds were looked at, or where runs of them are stored.
    """
    content = described(experiment, preset, units)
    known = find(store, experiment, preset)
    if known is not None:
        if known.content == content:
            return known
        told = departures(known, experiment, preset) or [
            "other looks, or another version of the code that judges"
        ]
        raise TooLate(
            f"{experiment.name} was frozen otherwise on {known.time} ({known.hash[:12]}, "
            f"{known.path}): {'; '.join(told)}; "
            "what was frozen stays: give the new one another name and other seeds"
        )
    if not content["judging"]:
        raise StoreError(
            "a file of Assay was written since this command began, so nobody can say which "
            "code would judge; run it again"
        )
    _refuse_seen(store, experiment, preset, related, others)
    body = {"schema": SCHEMA, **content}
    digest = _hash(content)
    data = {
        **body,
        "hash": digest,
        "time": provenance.now(),
        "commit": provenance.commit(),
        "software": dict(provenance.software()),
    }
    store.prepare()
    with explained(store.root), store.lock("registered"):
        data["ledger"] = ledger.note(
            store,
            "frozen",
            experiment.name,
            preset.title,
            ledger.subject(experiment, preset),
            registration=digest,
        )
        path = place(store, experiment, preset)
        path.parent.mkdir(parents=True, exist_ok=True)
        written = [p for p in (beside(experiment, preset) if here else None, path) if p is not None]
        for one in written:
            write(one, seal(data))
    return read(written[0])


def sign(
    store: Store, experiment: Experiment, preset: Preset, known: Registration, signature: Path
) -> str:
    """Keep a signature of the author's own, whatever it signs, and note its hash; gives the hash.
    Raises: DataError, StoreError."""
    raw = foreign.read(signature, "a signature", LARGEST)
    digest = sha256(raw).hexdigest()
    with explained(store.root), store.lock("registered"):
        folder = place(store, experiment, preset).parent / "signatures"
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / digest, raw)
        if digest not in {
            line["sha256_of_signature"] for line in signatures(store, experiment.name, preset)
        }:
            line = {
                "time": provenance.now(),
                "registration": known.hash,
                "sha256_of_signature": digest,
            }
            journal.note(_beside(place(store, experiment, preset), "signed"), line)
    return digest


def find(store: Store, experiment: Experiment, preset: Preset) -> Registration | None:
    """What was frozen of an experiment at this preset, by the store and the file beside it; None
    where nothing was.

    Raises: StoreError where one of the files was changed, where they differ, or where looks were
    taken under another freezing."""
    there = [
        p
        for p in (beside(experiment, preset), place(store, experiment, preset))
        if p is not None and p.exists()
    ]
    found = [read(path) for path in there]
    if not found:
        return None
    if len({(r.hash, r.time) for r in found}) > 1:
        raise StoreError(
            f"{there[0]} is not what was frozen by {there[1]}; put back the file as it was written"
        )
    for line in taken(store, experiment.name, preset):
        if line["registration"] != found[0].hash:
            raise StoreError(
                f"{there[0]} was exchanged: a look was taken on {line['time']} under another "
                f"freezing ({line['registration'][:12]})"
            )
    return found[0]


def about(
    store: Store, experiment: Experiment, preset: Preset
) -> Iterator[tuple[Registration, list[str]]]:
    """Give what was frozen, under any name, of the same arms on some of the same seeds, and what is
    not as it was frozen in this experiment.

    Without a difference the two are one study under two names. What cannot be read is left out:
    whoever runs it is told."""
    seeds, experiment = {s.seed for s in preset.specs}, experiment.sized(preset.specs)
    for path in sorted((store.root / "registered").glob(f"*/{preset.title}.json")):
        try:
            found = read(path)
        except StoreError:
            continue
        if seeds & set(found.seeds) and found.content["sets"] == list(preset.sets):
            told = departures(found, experiment, preset)
            if {n: a["hash"] for n, a in found.content["arms"].items()} == {
                n: _arm(experiment, preset, n)["hash"] for n in experiment.arms
            }:
                yield found, told


def read(path: Path) -> Registration:
    """What a file froze. Raises: StoreError where it cannot be read, or is not as it was
    written."""
    try:
        data = unseal(path)
        content = {k: v for k, v in data.items() if k not in BESIDE}
        if data["hash"] != _hash(content):
            raise KeyError
        return Registration(
            path,
            content,
            data["hash"],
            data["time"],
            data["commit"],
            data["software"],
            data.get("ledger"),
        )
    except NewerError:
        raise
    except (StoreError, KeyError, TypeError) as e:
        raise StoreError(
            f"{path} is not as it was frozen, so nothing can be judged by it; put back the "
            "file as it was written"
        ) from e


def place(store: Store, experiment: Experiment, preset: Preset) -> Path:
    """Where a store keeps what was frozen."""
    return store.root / "registered" / experiment.name / f"{preset.title}.json"


def beside(experiment: Experiment, preset: Preset) -> Path | None:
    """Where it lies beside a study or an experiment in somebody's own folder; None for those of the
    catalogue."""
    if not origin.in_file(experiment.origin):
        return None
    path = Path(experiment.origin)
    which = "" if preset.title == "default" else f".{preset.title}"
    return origin.beside(path) / f"{origin.called(path)}{which}.prereg.json"


def taken(store: Store, experiment: str, preset: Preset) -> list[dict[str, Any]]:
    """What each look that was taken found, oldest first."""
    return journal.read(_looks(store, experiment, preset), journal.TAKEN)


def note(store: Store, experiment: str, preset: Preset, line: Mapping[str, Any]) -> None:
    """Note what a look found. Raises: OSError when the disk is full."""
    journal.note(
        _looks(store, experiment, preset),
        {"time": provenance.now(), "commit": provenance.commit(), **line},
    )


def signatures(store: Store, experiment: str, preset: Preset) -> list[dict[str, Any]]:
    """The signatures that were given, oldest first."""
    return journal.read(
        _beside(store.root / "registered" / experiment / f"{preset.title}.json", "signed"),
        journal.SIGNED,
    )


def gaps(store: Store, experiment: Experiment, preset: Preset, known: Registration) -> list[str]:
    """Tell which looks are missing, as far as this store can know: those that were taken, and what
    was seen before it was frozen.
    """
    name = experiment.name
    kept = (lost(store, name, preset), ledger.gone(store, ledger.named(store, name, preset.title)))
    told = list(filter(None, kept))
    after = journal.chain(ledger.place(store))
    for line, shared in ledger.seen(store, ledger.subject(experiment, preset)):
        later = known.ledger is not None and known.ledger["hash"] in after.before(journal.key(line))
        if not later and (when := line.get("since") or line["time"]) < known.time:
            told.append(
                f"seeds {looks.spans(shared)} of {line['experiment']} may have been seen on "
                f"{when}, before it was frozen"
            )
    return told


def lost(store: Store, experiment: str, preset: Preset) -> str:
    """Tell which lines of the record of looks are changed or gone, in a phrase; empty where none
    is."""
    path = _looks(store, experiment, preset)
    wrong = journal.wrong(path, journal.files(store, experiment).get(path, ()), ever=True)
    return f"of {path} {wrong}" if wrong else ""


def others(
    store: Store, experiment: Experiment, preset: Preset, known: Registration
) -> list[ToldOtherRegistration]:
    """Tell what else was frozen of some of the same arms on some of the same seeds, oldest first.

    Under any name, and whether its file is still there or not.
    """
    about, there = ledger.subject(experiment, preset), dict[str, ToldOtherRegistration]()
    for line in ledger.lines(store):
        if line["what"] == "frozen" and about.shared(line) and about.alike(line):
            digest = str(line["registration"])
            there[digest] = {
                "experiment": line["experiment"],
                "time": line["time"],
                "hash": digest,
                "claims": [],
            }
    for path in sorted((store.root / "registered").glob("*/*.json")):
        try:
            found = read(path)
        except StoreError:
            continue
        runs = (
            (arm, canonical_json(spec))
            for arm, said in found.content["arms"].items()
            for spec in said.get("fields", ())
        )
        line = {
            "seeds": found.content["seeds"],
            "about": [found.content["experiment"]],
            "arms": ledger.settings(runs),
        }
        if about.shared(line) and about.alike(line):
            said = [
                f"{c['text']} ({c['threshold']})" if "threshold" in c else c["text"]
                for c in found.content["claims"]
            ]
            there[found.hash] = {
                "experiment": found.content["experiment"],
                "time": found.time,
                "hash": found.hash,
                "claims": said,
            }
    return sorted(
        (one for digest, one in there.items() if digest != known.hash), key=lambda one: one["time"]
    )


def described(experiment: Experiment, preset: Preset, units: Sequence[int] = ()) -> dict[str, Any]:
    """Write all that is frozen as plain values. Raises: ExperimentError for pilot seeds, and for
    looks that cannot be."""
    experiment, order = experiment.sized(preset.specs), sorted({s.seed for s in preset.specs})
    if early := [s for s in order if s < looks.JUDGED]:
        raise ExperimentError(
            f"seed {early[0]} is a pilot's: what is frozen is judged on seeds from "
            f"{looks.JUDGED} on, which nobody has looked at"
        )
    statements = [s for s in experiment.claims if isinstance(s, Claim | Exact)]
    if not any(isinstance(s, Claim) for s in statements):
        raise ExperimentError(f"{experiment.name} claims nothing that could be frozen; add a claim")
    from assay.core.spending import ALPHA, boundaries

    at = _units(experiment, order, units)
    found = boundaries(at)
    return {
        "experiment": experiment.name,
        "preset": preset.title,
        "sets": list(preset.sets),
        "scope": scope(experiment, preset),
        "seeds": looks.spans(order),
        "alpha": ALPHA,
        "looks": [
            {
                "units": n,
                "seeds": looks.spans(order[:n]),
                "share": round(b.share, 6),
                "spent": round(b.spent, 8),
                "level": b.level,
            }
            for n, b in zip(at, found, strict=True)
        ],
        "claims": [_statement(experiment, s) for s in statements],
        "arms": {name: _arm(experiment, preset, name) for name in experiment.arms},
        "judging": sources.unchanged(),
    }


def departures(known: Registration, experiment: Experiment, preset: Preset) -> list[str]:
    """Tell what is not as it was frozen: claims, arms and seeds, in phrases; nothing where all of
    it is."""
    told, seeds, experiment = (
        [],
        looks.spans(s.seed for s in preset.specs),
        experiment.sized(preset.specs),
    )
    if seeds != known.content["seeds"]:
        told.append(f"seeds changed: {known.content['seeds']} frozen, {seeds} now")
    now = {
        "claims": {
            s.text: _statement(experiment, s)["hash"]
            for s in experiment.claims
            if isinstance(s, Claim | Exact)
        },
        "arms": {name: _arm(experiment, preset, name)["hash"] for name in experiment.arms},
    }
    then = {
        "claims": {c["text"]: c["hash"] for c in known.content["claims"]},
        "arms": {n: a["hash"] for n, a in known.content["arms"].items()},
    }
    return [
        *told,
        *looks.changes(
            [{"seeds": known.content["seeds"], **then}], {"seeds": known.content["seeds"], **now}
        ),
    ]


def _units(experiment: Experiment, order: Sequence[int], units: Sequence[int]) -> tuple[int, ...]:
    """Seeds at each look, the last being all. Raises: ExperimentError."""
    from assay.core.judging import FEWEST

    at = tuple(units) or (len(order),)
    if at[-1] != len(order):
        raise ExperimentError(
            f"the last look is at all {len(order)} seeds, got looks at "
            f"{', '.join(map(str, at))}; name more seeds, or other looks"
        )
    if len(at) > 1 and at[0] < FEWEST:
        raise ExperimentError(
            f"a look at {at[0]} seeds decides nothing: a verdict needs {FEWEST}; begin with "
            f"{FEWEST} or more"
        )
    for s in experiment.claims:
        if len(at) > 1 and isinstance(s, Claim) and "seed" not in s.units:
            over = " and ".join(s.units)
            raise ExperimentError(
                f"looks are sets of seeds, and the claim {s.text!r} generalises over {over} "
                "only; leave the looks out"
            )
    return at


def _statement(experiment: Experiment, s: Claim | Exact) -> dict[str, Any]:
    """A claim as plain values that a reader understands, with a hash of all of it and of the code
    of its value."""
    from assay.core.judging import describe_method

    functions = (
        [s.value] if isinstance(s, Exact) else [s.value, s.statistic, *(g.met for g in s.gates)]
    )
    code = edits.said(experiment, functions)
    told = said(s)
    if isinstance(s, Claim):
        told |= {
            "threshold": s.threshold,
            "source": s.source,
            "interval": describe_method(s.units, 0.95, s.bounds).partition(" ")[2],
        }
    return {**told, "code": code, "hash": journal.digest(canonical_json([claims_key([s]), code]))}


def _arm(experiment: Experiment, preset: Preset, name: str) -> dict[str, Any]:
    """An arm's fields, runs and code, with a hash of them; of one that is derived, the code that
    derives it."""
    arm = experiment.arms[name]
    if arm.derive is not None:
        code: Any = edits.said(experiment, [arm.derive])
        return {
            "derived": True,
            "code": code,
            "hash": journal.digest(canonical_json([experiment.version, code])),
        }
    specs = [
        {k: v for k, v in json.loads(s.to_json()).items() if k != "seed"}
        for s in experiment.specs_of(name, preset.specs)
    ]
    texts = edits.texts(experiment).get(name)
    code = {"trains": dict(texts.train), "measures": dict(texts.measure)} if texts else {}
    fields = sorted({canonical_json(s) for s in specs})
    whole = canonical_json([experiment.version, experiment.measured, fields, code])
    return {
        "runs": len(specs),
        "fields": [json.loads(f) for f in fields],
        "code": code,
        "hash": journal.digest(whole),
    }


def _refuse_seen(
    store: Store,
    experiment: Experiment,
    preset: Preset,
    related: Sequence[Experiment],
    others: Iterable[str],
) -> None:
    """Refuse seeds that were looked at, and runs that are stored: whoever freezes may have seen
    what they say. Raises: StoreError."""
    seeds = {s.seed for s in preset.specs}
    places = [
        (one.name, path)
        for one in (experiment, *related)
        for path in (looks.committed(one), journal.stored(store, one.name))
    ]
    for name, path in [*places, *((other, journal.stored(store, other)) for other in others)]:
        for look in journal.read(path):
            if shared := seeds & looks.seeds_of(look["seeds"]):
                raise TooLate(
                    f"seeds {looks.spans(shared)} of {name} were looked at on {look['time']} "
                    f"({path}); "
                    "what was seen cannot be frozen any more: name other seeds"
                )
    if runs := [
        f"{s.experiment}/{s.arm} seed {json.loads(s.spec_json)['seed']} ({s.key[:12]})"
        for s in _seen(store, experiment, preset)
    ]:
        more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
        raise TooLate(
            f"{len(runs)} runs of these seeds are stored with their measures: "
            f"{', '.join(runs[:3])}{more}; "
            "what may have been seen cannot be frozen any more: name other seeds"
        )
    for line, shared in ledger.seen(store, ledger.subject(experiment, preset)):
        raise TooLate(
            f"seeds {looks.spans(shared)} of {line['experiment']} were {line['what']} on "
            f"{line['time']} ({ledger.place(store)}); "
            "what may have been seen cannot be frozen any more: name other seeds"
        )
    if harm := journal.wrong(ledger.place(store), ledger.named(store), ever=True):
        raise TooLate(
            f"of {ledger.place(store)} {harm}, so nobody can say what was seen in this store; "
            "freeze in another one, with --root"
        )


def _seen(store: Store, experiment: Experiment, preset: Preset) -> Iterator[Stored]:
    """Stored runs of an experiment on these seeds, and the same arm at the same settings under
    another name."""
    wanted, seeds = set(), set()
    for name, arm in experiment.arms.items():
        for spec in experiment.specs_of(name, preset.specs) if arm.train is not None else ():
            wanted.add((name.rpartition("/")[2], spec.to_json()))
            seeds.add(spec.seed)
    for stored in store.list():
        same = (stored.arm.rpartition("/")[2], stored.spec_json) in wanted
        if same or (
            stored.experiment == experiment.name
            and json.loads(stored.spec_json).get("seed") in seeds
        ):
            yield stored


def _looks(store: Store, experiment: str, preset: Preset) -> Path:
    return _beside(store.root / "registered" / experiment / f"{preset.title}.json", "looks")


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f"{path.stem}.{what}.jsonl")


def _hash(content: Mapping[str, Any]) -> str:
    return sha256(canonical_json(content).encode()).hexdigest()
