"""Registered: what was frozen before any result existed: claims, arms, seeds, looks and the code
that judges, in one sealed file.

The file lies in the store and, of an experiment in somebody's own folder, beside it. Its seal shows
an edit, not a forgery by somebody who seals it again: for that there is a signature of the author's
own, which is kept by its hash and never read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.claims import Claim, Estimate, Exact, claims_key, statement_to_json
from assay.core.errors import ExperimentError, Operator, StoreError
from assay.core.experiment import Experiment
from assay.core.judging import FEWEST, describe_method
from assay.core.spec import canonical_json
from assay.core.spending import ALPHA, boundaries
from assay.lab.judge import journal, looks, sources
from assay.lab.judge.journal import JUDGED, Ledger, digest, seedless, seeds_of, spans
from assay.lab.plan.preset import Preset, scope
from assay.lab.records import provenance
from assay.lab.store import edits, origin
from assay.lab.store.atomic import explained, write
from assay.lab.store.sealed import SCHEMA, NewerError, seal, unseal
from assay.lab.store.store import Store, Stored

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
    ledger: Mapping[str, Any] | None = None
    """The line of the store's ledger that notes the freezing; None in files of older versions."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds, in the order in which looks take them: the lowest first."""
        return tuple(sorted(seeds_of(self.content["seeds"])))

    @property
    def units(self) -> tuple[int, ...]:
        """Seeds at each look."""
        return tuple(look["units"] for look in self.content["looks"])

    @property
    def levels(self) -> tuple[float, ...]:
        """The level of intervals at each look."""
        return tuple(look["level"] for look in self.content["looks"])

    @property
    def claims(self) -> list[str]:
        """The claims, each with its threshold."""
        return [
            f"{c['text']} ({c['threshold']})" if "threshold" in c else c["text"]
            for c in self.content["claims"]
        ]

    @property
    def line(self) -> journal.Line:
        """What it is about, as a line of the ledger says it."""
        runs = (
            (arm, canonical_json(spec))
            for arm, data in self.content["arms"].items()
            for spec in data.get("fields", ())
        )
        name, seeds = self.content["experiment"], self.content["seeds"]
        about = {"about": [name], "seeds": seeds, "arms": journal.settings(runs)}
        return {"experiment": name, "time": self.time, **about}


def freeze(
    store: Store,
    experiment: Experiment,
    preset: Preset,
    units: Sequence[int] = (),
    related: Sequence[Experiment] = (),
    other_names: Iterable[str] = (),
    *,
    write_adjacent: bool = True,
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
        if known.content == {k: v for k, v in content.items() if k in known.content}:
            return known
        changes = departures(known, experiment, preset)
        changes = changes or ["other looks, or another version of the code that judges"]
        raise TooLate(
            f"{experiment.name} was frozen otherwise on {known.time} ({known.hash[:12]}, "
            f"{known.path}): {'; '.join(changes)}; "
            "what was frozen stays: give the new one another name and other seeds"
        )
    if not content["judging"]:
        raise StoreError(
            "a file of Assay was written since this command began, so nobody can say which "
            "code would judge; run it again"
        )
    _refuse_seen(store, experiment, preset, related, other_names)
    data: dict[str, Any] = {
        "schema": SCHEMA,
        **content,
        "hash": _hash(content),
        "time": provenance.timestamp(),
        "commit": provenance.commit(),
        "software": dict(provenance.software()),
    }
    adjacent = adjacent_path(experiment, preset) if write_adjacent else None
    paths = [p for p in (adjacent, place(store, experiment, preset)) if p is not None]
    store.prepare()
    with explained(store.root), store.lock("registered"):
        about = journal.subject(experiment, preset)
        data["ledger"] = Ledger(store).note(
            "frozen", experiment.name, preset.title, about, registration=data["hash"]
        )
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        for path in paths:
            write(path, seal(data))
    return read(paths[0])


def sign(
    store: Store, experiment: Experiment, preset: Preset, known: Registration, signature: Path
) -> str:
    """Keep a signature of the author's own, whatever it signs, and note its hash; gives the hash.
    Raises: DataError, StoreError."""
    raw = foreign.read(signature, "a signature", LARGEST)
    signed = sha256(raw).hexdigest()
    path = journal_path(store, experiment.name, preset, "signed")
    with explained(store.root), store.lock("registered"):
        folder = path.parent / "signatures"
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / signed, raw)
        known_lines = signatures(store, experiment.name, preset)
        if signed not in {line["sha256_of_signature"] for line in known_lines}:
            line = {"registration": known.hash, "sha256_of_signature": signed}
            journal.note(path, {"time": provenance.timestamp(), **line})
    return signed


def find(store: Store, experiment: Experiment, preset: Preset) -> Registration | None:
    """What was frozen of an experiment at this preset, by the store and the file beside it; None
    where nothing was.

    Raises: StoreError where one of the files was changed, where they differ, or where looks were
    taken under another freezing."""
    paths = [
        p
        for p in (adjacent_path(experiment, preset), place(store, experiment, preset))
        if p is not None and p.exists()
    ]
    registrations = [read(path) for path in paths]
    if not registrations:
        return None
    if len({(r.hash, r.time) for r in registrations}) > 1:
        raise StoreError(
            f"{paths[0]} is not what was frozen by {paths[1]}; put back the file as it was written"
        )
    for line in read_looks(store, experiment.name, preset):
        if line["registration"] != registrations[0].hash:
            raise StoreError(
                f"{paths[0]} was exchanged: a look was taken on {line['time']} under another "
                f"freezing ({line['registration'][:12]})"
            )
    return registrations[0]


def about(
    store: Store, experiment: Experiment, preset: Preset
) -> Iterator[tuple[Registration, list[str]]]:
    """Give what was frozen, under any name, of the same arms on some of the same seeds, and what is
    not as it was frozen in this experiment.

    Without a difference the two are one study under two names. What cannot be read is left out:
    whoever runs it is told."""
    seeds, experiment = {s.seed for s in preset.specs}, experiment.sized(preset.specs)
    arms: dict[str, str] | None = None
    for known in readable(store, f"*/{preset.title}.json"):
        if seeds & set(known.seeds) and known.content["sets"] == list(preset.sets):
            arms = arms or _arm_hashes(experiment, preset)
            if {n: a["hash"] for n, a in known.content["arms"].items()} == arms:
                yield known, departures(known, experiment, preset)


def readable(store: Store, pattern: str = "*/*.json") -> Iterator[Registration]:
    """What was frozen in a store, but for files that cannot be read: whoever runs one is told."""
    for path in sorted((store.root / "registered").glob(pattern)):
        with contextlib.suppress(StoreError):
            yield read(path)


def read(path: Path) -> Registration:
    """What a file froze. Raises: StoreError where it cannot be read, or is not as it was
    written."""
    try:
        data = unseal(path)
        content = {k: v for k, v in data.items() if k not in BESIDE}
        if data["hash"] != _hash(content):
            raise KeyError
        noted = {name: data[name] for name in ("hash", "time", "commit", "software")}
        return Registration(path, content, ledger=data.get("ledger"), **noted)
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


def adjacent_path(experiment: Experiment, preset: Preset) -> Path | None:
    """Where it lies beside a study or an experiment in somebody's own folder; None for those of the
    catalogue."""
    if not origin.in_file(experiment.origin):
        return None
    path = Path(experiment.origin)
    which = "" if preset.title == "default" else f".{preset.title}"
    return origin.parent_folder(path) / f"{origin.called(path)}{which}.prereg.json"


def journal_path(store: Store, experiment: str, preset: Preset, what: str) -> Path:
    """Where a store notes its looks, or signatures ("signed"), of what was frozen."""
    return store.root / "registered" / experiment / f"{preset.title}.{what}.jsonl"


def read_looks(store: Store, experiment: str, preset: Preset) -> list[dict[str, Any]]:
    """What each look that was taken found, oldest first."""
    return journal.read(journal_path(store, experiment, preset, "looks"), journal.TAKEN)


def signatures(store: Store, experiment: str, preset: Preset) -> list[dict[str, Any]]:
    """The signatures that were given, oldest first."""
    return journal.read(journal_path(store, experiment, preset, "signed"), journal.SIGNED)


def described(experiment: Experiment, preset: Preset, units: Sequence[int] = ()) -> dict[str, Any]:
    """Write all that is frozen as plain values. Raises: ExperimentError for pilot seeds, and for
    looks that cannot be."""
    experiment, order = experiment.sized(preset.specs), sorted({s.seed for s in preset.specs})
    if early := [s for s in order if s < JUDGED]:
        raise ExperimentError(
            f"seed {early[0]} is a pilot's: what is frozen is judged on seeds from "
            f"{JUDGED} on, which nobody has looked at"
        )
    statements = [s for s in experiment.claims if isinstance(s, Claim | Exact)]
    estimates = [s for s in experiment.claims if isinstance(s, Estimate)]
    if not any(isinstance(s, Claim) for s in statements) and not estimates:
        raise ExperimentError(
            f"{experiment.name} claims nothing that could be frozen; add a claim or an estimate"
        )
    look_sizes = _units(experiment, order, units)
    if len(look_sizes) > 1 and not any(isinstance(s, Claim) for s in statements):
        raise ExperimentError(
            f"{experiment.name} has estimates alone, which no look settles; leave the looks out"
        )
    look_boundaries = boundaries(look_sizes)
    return {
        "experiment": experiment.name,
        "preset": preset.title,
        "sets": list(preset.sets),
        "scope": scope(experiment, preset),
        "seeds": spans(order),
        "alpha": ALPHA,
        "looks": [
            {
                "units": n,
                "seeds": spans(order[:n]),
                "share": round(b.share, 6),
                "spent": round(b.spent, 8),
                "level": b.level,
            }
            for n, b in zip(look_sizes, look_boundaries, strict=True)
        ],
        "claims": [_statement(experiment, s) for s in statements],
        # In files of older versions there are none.
        **({"estimates": [_statement(experiment, s) for s in estimates]} if estimates else {}),
        "arms": {name: _arm(experiment, preset, name) for name in experiment.arms},
        "judging": sources.unchanged(experiment.origin),
    }


def departures(known: Registration, experiment: Experiment, preset: Preset) -> list[str]:
    """Tell what is not as it was frozen: claims, arms and seeds, in phrases; nothing where all of
    it is."""
    experiment, content = experiment.sized(preset.specs), known.content
    frozen, seeds = content["seeds"], spans(s.seed for s in preset.specs)
    kinds = Claim | Exact | Estimate if "estimates" in content else Claim | Exact
    before = {
        "seeds": frozen,
        "claims": {
            s["text"]: s["hash"] for s in (*content["claims"], *content.get("estimates", ()))
        },
        "arms": {name: arm["hash"] for name, arm in content["arms"].items()},
    }
    current = {
        "seeds": frozen,
        "claims": {
            s.text: _statement(experiment, s)["hash"]
            for s in experiment.claims
            if isinstance(s, kinds)
        },
        "arms": _arm_hashes(experiment, preset),
    }
    moved = [f"seeds changed: {frozen} frozen, {seeds} now"] if seeds != frozen else []
    return [*moved, *looks.changes([before], current)]


def _units(experiment: Experiment, order: Sequence[int], units: Sequence[int]) -> tuple[int, ...]:
    """Seeds at each look, the last being all. Raises: ExperimentError."""
    look_sizes = tuple(units) or (len(order),)
    if look_sizes[-1] != len(order):
        raise ExperimentError(
            f"the last look is at all {len(order)} seeds, got looks at "
            f"{', '.join(map(str, look_sizes))}; name more seeds, or other looks"
        )
    if len(look_sizes) > 1 and look_sizes[0] < FEWEST:
        raise ExperimentError(
            f"a look at {look_sizes[0]} seeds decides nothing: a verdict needs {FEWEST}; "
            f"begin with {FEWEST} or more"
        )
    for s in experiment.claims:
        if len(look_sizes) > 1 and isinstance(s, Claim) and "seed" not in s.units:
            over = " and ".join(s.units)
            raise ExperimentError(
                f"looks are sets of seeds, and the claim {s.text!r} generalises over {over} "
                "only; leave the looks out"
            )
    return look_sizes


def _statement(experiment: Experiment, s: Claim | Exact | Estimate) -> dict[str, Any]:
    """A claim or an estimate as plain values that a reader understands, with a hash of all of it
    and of the code of its value."""
    functions: list[Any] = [s.value]
    if not isinstance(s, Exact):
        functions += [s.statistic, *(g.met for g in getattr(s, "gates", ()))]
    code = edits.read_judging_texts(experiment, functions)
    description = statement_to_json(s)
    if isinstance(s, Claim):
        description |= {
            "threshold": s.threshold,
            "source": s.source,
            "interval": describe_method(s.units, 0.95, s.bounds).partition(" ")[2],
        }
    return {
        **description,
        "code": code,
        "hash": digest(canonical_json([claims_key([s]), code])),
    }


def _arm(experiment: Experiment, preset: Preset, name: str) -> dict[str, Any]:
    """An arm's fields, runs and code, with a hash of them; of one that is derived, the code that
    derives it."""
    arm = experiment.arms[name]
    if arm.derive is not None:
        code: Any = edits.read_judging_texts(experiment, [arm.derive])
        hashed = digest(canonical_json([experiment.version, code]))
        return {"derived": True, "code": code, "hash": hashed}
    specs = experiment.specs_of(name, preset.specs)
    texts = edits.texts(experiment).get(name)
    code = {"trains": dict(texts.train), "measures": dict(texts.measure)} if texts else {}
    fields = sorted({seedless(s.to_json()) for s in specs})
    whole = canonical_json([experiment.version, experiment.measured, fields, code])
    return {
        "runs": len(specs),
        "fields": [json.loads(f) for f in fields],
        "code": code,
        "hash": digest(whole),
    }


def _arm_hashes(experiment: Experiment, preset: Preset) -> dict[str, str]:
    return {name: _arm(experiment, preset, name)["hash"] for name in experiment.arms}


def _refuse_seen(
    store: Store,
    experiment: Experiment,
    preset: Preset,
    related: Sequence[Experiment],
    other_names: Iterable[str],
) -> None:
    """Refuse seeds that were looked at, and runs that are stored: whoever freezes may have seen
    what they say. Raises: StoreError."""
    seeds = {s.seed for s in preset.specs}
    places = [
        (e.name, path)
        for e in (experiment, *related)
        for path in (looks.committed(e), journal.stored(store, e.name))
    ]
    for name, path in [*places, *((other, journal.stored(store, other)) for other in other_names)]:
        for look in journal.read(path):
            if shared := seeds & seeds_of(look["seeds"]):
                raise TooLate(
                    f"seeds {spans(shared)} of {name} were looked at on {look['time']} ({path}); "
                    "what was seen cannot be frozen any more: name other seeds"
                )
    if runs := [
        f"{s.experiment}/{s.arm} seed {json.loads(s.spec_json)['seed']} ({s.key[:12]})"
        for s in _find_stored_runs(store, experiment, preset)
    ]:
        more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
        raise TooLate(
            f"{len(runs)} runs of these seeds are stored with their measures: "
            f"{', '.join(runs[:3])}{more}; "
            "what may have been seen cannot be frozen any more: name other seeds"
        )
    ledger = Ledger(store)
    for line, shared in ledger.exposures(journal.subject(experiment, preset)):
        raise TooLate(
            f"seeds {spans(shared)} of {line['experiment']} were {line['what']} on "
            f"{line['time']} ({ledger.path}); "
            "what may have been seen cannot be frozen any more: name other seeds"
        )
    if harm := ledger.wrong(ledger.references(), ever=True):
        raise TooLate(
            f"of {ledger.path} {harm}, so nobody can say what was seen in this store",
            Operator("; freeze in another one, with --root"),
        )


def _find_stored_runs(store: Store, experiment: Experiment, preset: Preset) -> Iterator[Stored]:
    """Stored runs of an experiment on these seeds, and the same arm at the same settings under
    another name."""
    settings, seeds = set(), set()
    for name, arm in experiment.arms.items():
        for spec in experiment.specs_of(name, preset.specs) if arm.train is not None else ():
            settings.add((name.rpartition("/")[2], spec.to_json()))
            seeds.add(spec.seed)
    for stored in store.list():
        same = (stored.arm.rpartition("/")[2], stored.spec_json) in settings
        if same or (
            stored.experiment == experiment.name
            and json.loads(stored.spec_json).get("seed") in seeds
        ):
            yield stored


def _hash(content: Mapping[str, Any]) -> str:
    return sha256(canonical_json(content).encode()).hexdigest()
