"""Registered: what was frozen before any result existed: claims, arms, their inputs by content,
seeds and the code that judges, in one sealed file.

The file is in the store and, for an experiment in a user's own folder, next to it. Its seal shows
an edit, not a forgery that is sealed again: publish its hash, or sign it. What is frozen
is judged once, on all of its seeds; more seeds are another freezing, of fresh ones."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from assay.core.claims import Claim, Estimate, Exact, claims_key, statement_to_json
from assay.core.errors import AssayError, ExperimentError, Operator, StoreError
from assay.core.experiment import Experiment
from assay.core.judging import USUAL, describe_method
from assay.core.spec import canonical_json
from assay.lab import catalogue
from assay.lab.judge import contents, families, looks, questions
from assay.lab.judge.questions import Question, Questions
from assay.lab.plan.preset import Preset, scope
from assay.lab.store import groups, journal, origin, provenance
from assay.lab.store.atomic import SCHEMA, NewerError, explained, seal, unseal, write
from assay.lab.store.journal import JUDGED, Ledger, digest, seedless, seeds_of, spans
from assay.lab.store.store import Store

ENVELOPE = frozenset({"schema", "hash", "time", "commit", "software", "ledger"})
"""The keys of the file that are not its content."""
JSON = Mapping[str, Any]


class TooLate(StoreError):
    """What was seen, or frozen otherwise, cannot be frozen any more."""


@dataclass(frozen=True)
class Registration:
    """What was frozen, when, and where it is."""

    path: Path
    content: JSON
    hash: str
    """SHA-256 of the content: what to publish, or to sign."""
    time: str
    commit: str
    ledger: JSON | None = None
    """The line of the store's ledger that notes the freezing; None in files of older versions."""

    @property
    def seeds(self) -> set[int]:
        """All seeds."""
        return seeds_of(self.content["seeds"])

    @property
    def level(self) -> float:
        """The level of its intervals."""
        return float(self.content["looks"][-1]["level"])

    @property
    def statements(self) -> tuple[JSON, ...]:
        """Its claims and estimates."""
        return (*self.content["claims"], *self.content.get("estimates", ()))

    @property
    def claims(self) -> list[str]:
        """The claims, each with its threshold."""
        claims = self.content["claims"]
        return [c["text"] + (f" ({c['threshold']})" if "threshold" in c else "") for c in claims]

    def contradicted(self, look: JSON, outcomes: Mapping[str, str]) -> Iterator[str]:
        """Say how a look at it was not as it froze, and what that found otherwise than these
        outcomes, by text: the code that judged, and verdicts."""
        if look["code"] != self.content.get("judging"):
            yield "it was judged by another version of Assay than the one that was frozen"
        for text, outcome in look["verdicts"].items():
            if outcome not in ("undecided", current := outcomes.get(text, "undecided")):
                yield f"at the recorded look the outcome was {outcome}, not {current}: {text}"

    @property
    def line(self) -> journal.Line:
        """What it is about, as a line of the ledger says it."""
        arms, name = self.content["arms"].items(), self.content["experiment"]
        runs = ((arm, canonical_json(s)) for arm, data in arms for s in data.get("fields", ()))
        about = {"about": [name], "seeds": self.content["seeds"], "arms": journal.settings(runs)}
        return {"experiment": name, "time": self.time, **about}


def freeze(
    store: Store,
    experiment: Experiment,
    preset: Preset,
    related: Sequence[Experiment] = (),
    other_names: Sequence[str] = (),
    *,
    write_adjacent: bool = True,
) -> Registration:
    """Freeze what is to be judged; what is already frozen stays.

    `related` are experiments whose looks at the same seeds count as well, such as those that a
    study borrows from; `other_names` are those of results of this store about the same experiments.
    With `write_adjacent` it is written next to the experiment's own file, too.

    Raises: ExperimentError for pilot seeds; StoreError where the same was frozen otherwise, where
    its seeds were looked at, or where runs of them are stored."""
    catalogue.STORE.set(store.root)
    content = described(experiment, preset)
    if (existing := find(store, experiment, preset)) is not None:
        return _unchanged(existing, content, experiment, preset)
    if not content["judging"]:
        raise StoreError(
            "a file of Assay was written since this command began, so nobody can say which "
            "code would judge; run it again"
        )
    asked = questions.asked(experiment, preset)  # with the points of sweeps, which no file has
    with groups.running(store, experiment.name, preset.title) as is_idle:
        for why, fresh in _seen(store, experiment, preset, related, other_names, asked):
            raise TooLate(f"cannot freeze {experiment.name}: {why}; {fresh}")
        if not is_idle:
            raise TooLate(f"cannot freeze {experiment.name}: {_IN_PROGRESS}")
        _refuse_gaps(store)
        if partly := Questions.of(store).partly(asked):
            content["seen"] = partly
        paths = _write(store, experiment, preset, content, write_adjacent=write_adjacent)
    return read(paths[0])


_IN_PROGRESS = (
    "a run of it is in progress; stop that run before it stores a result, then freeze the study "
    "and run it again"
)


def _write(
    store: Store, experiment: Experiment, preset: Preset, content: JSON, *, write_adjacent: bool
) -> list[Path]:
    """Write what is frozen, and note it in the ledger and the questions; gives its files. Raises:
    OSError when the disk is full."""
    noted = {"time": provenance.timestamp(), "commit": provenance.commit()}
    data = {"schema": SCHEMA, **content, "hash": _hash(content), **noted}
    data["software"] = dict(provenance.software())
    adjacent, here = adjacent_path(experiment, preset), place(store, experiment, preset)
    paths = [adjacent, here] if adjacent is not None and write_adjacent else [here]
    about = journal.subject(experiment, preset.specs)
    asked = questions.read(content.get("questions", {}))
    store.prepare()
    with explained(store.root), store.lock("registered"):
        more = {"registration": data["hash"]}
        Questions.of(store).note_study(experiment.name, questions.FROZEN, asked, **more)
        data["ledger"] = Ledger(store).note("frozen", experiment.name, preset.title, about, **more)
        here.parent.mkdir(parents=True, exist_ok=True)
        for path in paths:
            write(path, seal(data))
    return paths


def _unchanged(
    frozen: Registration, content: JSON, experiment: Experiment, preset: Preset
) -> Registration:
    """Return what was frozen, if it is what would be frozen now. Raises: TooLate."""
    changes = departures(frozen, experiment, preset)
    changes += contents.differences(frozen.content, content, experiment)
    if not changes and frozen.content["judging"] == content["judging"]:
        return frozen
    raise TooLate(
        f"{experiment.name} was frozen differently on {frozen.time} ({frozen.hash[:12]}, "
        f"{frozen.path}): {'; '.join(changes) or 'by another version of the code that judges'}; "
        "what was frozen stays: give the new one another name and fresh units"
    )


def _refuse_gaps(store: Store) -> None:
    """Refuse a store whose ledger or questions lack a line. Raises: TooLate."""
    ledger, asked = Ledger(store), Questions.of(store)
    chained = ledger.files().get(asked.path, ())
    for file, named in ((ledger, ledger.references()), (asked, chained)):
        if harm := file.wrong(named, ever=True):
            raise TooLate(
                f"of {file.path} {harm}, so what was seen in this store cannot be known",
                Operator("; freeze in another one, with --root"),
            )


def find(store: Store, experiment: Experiment, preset: Preset) -> Registration | None:
    """What was frozen of an experiment at this preset, by the store and the file next to it; None
    where nothing was. Raises: StoreError where one of the files was changed, where they differ, or
    where a look was taken under another freezing."""
    paths = (adjacent_path(experiment, preset), place(store, experiment, preset))
    registrations = [read(path) for path in paths if path is not None and path.exists()]
    if not registrations:
        return None
    first = registrations[0]
    if len({(r.hash, r.time) for r in registrations}) > 1:
        raise StoreError(
            f"{first.path} is not what was frozen by {paths[1]}; put back the file as it was "
            "written"
        )
    if len(first.content["looks"]) > 1:
        raise StoreError(
            f"{first.path} plans several looks, as files of older versions could, and this version "
            "judges a study once; freeze it again on fresh units, under another name"
        )
    for line in read_looks(store, experiment.name, preset):
        if line["registration"] != first.hash:
            raise StoreError(
                f"{first.path} was exchanged: a look was taken on {line['time']} under another "
                f"freezing ({line['registration'][:12]})"
            )
    return first


def about(
    store: Store, experiment: Experiment, preset: Preset
) -> Iterator[tuple[Registration, list[str]]]:
    """Give what was frozen, under any name, of the same arms on some of the same seeds, and what is
    not as it was frozen in this experiment: without a difference the two are one study."""
    seeds, experiment = {s.seed for s in preset.specs}, experiment.sized(preset.specs)
    for registration in readable(store, f"*/{preset.title}.json"):
        if seeds & registration.seeds and registration.content["sets"] == list(preset.sets):
            frozen = {name: arm["hash"] for name, arm in registration.content["arms"].items()}
            if frozen == _arm_hashes(experiment, preset, registration):
                yield registration, departures(registration, experiment, preset)


def readable(store: Store, pattern: str = "*/*.json") -> Iterator[Registration]:
    """All frozen studies of a store, except files that cannot be read."""
    for path in sorted((store.root / "registered").glob(pattern)):
        with contextlib.suppress(StoreError):
            yield read(path)


def read(path: Path) -> Registration:
    """What a file froze. Raises: StoreError where it cannot be read, or is not as written."""
    try:
        data = unseal(path)
        content = {k: v for k, v in data.items() if k not in ENVELOPE}
        if data["hash"] != _hash(content):
            raise KeyError
        noted = {name: data[name] for name in ("hash", "time", "commit")}
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
    """Where it is next to a user's own study or experiment; None for those of a package."""
    if not origin.in_file(experiment.origin):
        return None
    path = Path(experiment.origin)
    which = "" if preset.title == "default" else f".{preset.title}"
    return origin.parent_folder(path) / f"{origin.called(path)}{which}.prereg.json"


def looks_path(store: Store, experiment: str, preset: Preset) -> Path:
    """Where a store notes the look at what was frozen."""
    return store.root / "registered" / experiment / f"{preset.title}.looks.jsonl"


def read_looks(store: Store, experiment: str, preset: Preset) -> list[dict[str, Any]]:
    """What each look that was taken found, oldest first."""
    return journal.read(looks_path(store, experiment, preset), journal.TAKEN)


def described(experiment: Experiment, preset: Preset) -> dict[str, Any]:
    """Write all that is frozen as plain values. Raises: ExperimentError for pilot seeds, and where
    nothing is claimed; AssayError where a model or a text that runs read is not here."""
    experiment, order = experiment.sized(preset.specs), sorted({s.seed for s in preset.specs})
    if order and order[0] < JUDGED:
        raise ExperimentError(
            f"seed {order[0]} is a pilot's: frozen claims are judged on seeds from "
            f"{JUDGED} on, which no one has looked at"
        )
    claims = [s for s in experiment.claims if isinstance(s, Claim | Exact)]
    estimates = [s for s in experiment.claims if isinstance(s, Estimate)]
    if not any(isinstance(s, Claim) for s in claims) and not estimates:
        raise ExperimentError(
            f"{experiment.name} claims nothing that could be frozen; add a claim or an estimate"
        )
    alpha, seeds, text = round(1 - USUAL, 12), spans(order), origin.text(experiment).whole
    asked, together = questions.asked(experiment, preset), families.counted(experiment)
    look = {"units": len(order), "seeds": seeds, "share": 1.0, "spent": alpha, "level": USUAL}
    return {
        "experiment": experiment.name,
        "preset": preset.title,
        "sets": list(preset.sets),
        "scope": scope(experiment, preset),
        "seeds": seeds,
        "alpha": alpha,
        "looks": [look],
        "claims": [_statement(s) for s in claims],
        # in files of older versions there are none
        **({"estimates": [_statement(s) for s in estimates]} if estimates else {}),
        "arms": {
            name: {**_arm(experiment, preset, name), **contents.of_arm(experiment, preset, name)}
            for name in experiment.arms
        },
        **contents.of_all(experiment),
        # claims that share a quantity along a sweep, where there are some
        **({"together": together} if together else {}),
        **({"questions": questions.written(asked)} if asked else {}),
        # of a user's own files, comments and layout apart
        **({"text": text} if text else {}),
        "judging": catalogue.unchanged(experiment.origin),
    }


def departures(registration: Registration, experiment: Experiment, preset: Preset) -> list[str]:
    """Say what is not as it was frozen: claims, arms, seeds and a user's own file, in phrases;
    nothing where all of it is."""
    if _has_older_code(registration):
        return ["an earlier version of Assay froze its code, which this one cannot compare"]
    experiment, content = experiment.sized(preset.specs), registration.content
    frozen, seeds = content["seeds"], spans(s.seed for s in preset.specs)
    kinds = Claim | Exact | Estimate if "estimates" in content else Claim | Exact
    statements = [s for s in experiment.claims if isinstance(s, kinds)]
    frozen_hashes = {
        "seeds": frozen,
        "claims": {s["text"]: s["hash"] for s in registration.statements},
        "arms": {name: arm["hash"] for name, arm in content["arms"].items()},
    }
    current = {
        "seeds": frozen,
        "claims": {s.text: _statement(s)["hash"] for s in statements},
        "arms": _arm_hashes(experiment, preset, registration),
    }
    moved = [f"seeds changed: {frozen} frozen, {seeds} now"] if seeds != frozen else []
    moved += looks.changes([frozen_hashes], current)
    was = {
        s["text"]: (s.get("threshold"), s.get("threshold_from")) for s in registration.statements
    }
    moved += [
        f"another threshold for the same reason, “{s.threshold_from}”: {was[s.text][0]} was "
        f"frozen, and {s.threshold} is judged"
        for s in statements
        if isinstance(s, Claim) and was.get(s.text, ("", ""))[1] == s.threshold_from
        if was[s.text][0] not in ("", None, s.threshold)
    ]
    if "text" in content and content["text"] != origin.text(experiment).whole:
        moved.append(f"{Path(experiment.origin).name}, or a file that it imports, was edited")
    if moved and experiment.materials is not None:
        try:
            experiment.materials.models()
        except AssayError as e:  # what controls there are depends on the model
            return [f"what changed cannot be known before its model is here: {e}"]
    return moved


def _has_older_code(frozen: Registration) -> bool:
    """Whether an older version froze it with hashes of single functions of a user's file, which
    this version does not make."""
    parts = (*frozen.statements, *frozen.content["arms"].values())
    nothing: list[JSON] = [{}, {"trains": {}, "measures": {}}]
    return "text" not in frozen.content and any(p.get("code", {}) not in nothing for p in parts)


def _statement(s: Claim | Exact | Estimate) -> dict[str, Any]:
    """A claim or an estimate as plain values that a reader understands, with a hash of all of
    it."""
    described = statement_to_json(s)
    if isinstance(s, Claim):
        described |= {"threshold": s.threshold, "source": s.source}
        described["interval"] = describe_method(s.units, USUAL, s.bounds).partition(" ")[2]
    return {**described, "hash": digest(canonical_json([claims_key([s]), {}]))}


def _arm(
    experiment: Experiment, preset: Preset, name: str, code: JSON | None = None
) -> dict[str, Any]:
    """An arm's fields and runs, with a hash of them; `code` is what an older version, which hashed
    single functions, noted of it: that there are none."""
    if experiment.arms[name].derive is not None:
        hashed = digest(canonical_json([experiment.version, code or {}]))
        return {"derived": True, "hash": hashed}
    specs = experiment.specs_of(name, preset.specs)
    fields = sorted({seedless(s.to_json()) for s in specs})
    whole = canonical_json([experiment.version, experiment.measured, fields, code or {}])
    described = [json.loads(f) for f in fields]
    return {"runs": len(specs), "fields": described, "hash": digest(whole)}


def _arm_hashes(experiment: Experiment, preset: Preset, frozen: Registration) -> dict[str, str]:
    code = {name: arm.get("code") for name, arm in frozen.content["arms"].items()}
    return {n: _arm(experiment, preset, n, code.get(n))["hash"] for n in experiment.arms}


def _seen(
    store: Store,
    experiment: Experiment,
    preset: Preset,
    related: Sequence[Experiment],
    other_names: Sequence[str],
    asked: Sequence[Question],
) -> Iterator[tuple[str, str]]:
    """Give why some runs may have been seen, and what would be fresh: units that were looked at
    under the same quantity, seeds that were, runs that are stored or were removed."""
    by_rows = questions.is_by_rows(asked)
    by_content = [
        (f"{why}, so the result may have been seen", f"freeze {fresh} instead")
        for why, _, fresh in Questions.of(store).exposures(asked)
    ]
    if by_rows:
        yield from by_content
        fresh = "freeze other prompts instead"
    else:
        fresh = "use other seeds"
        yield from (
            (why, fresh) for why in _looked_at(store, experiment, preset, related, other_names)
        )
    if runs := list(_find_stored_runs(store, experiment, preset, by_rows=by_rows)):
        more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
        of = "prompts" if by_rows else "seeds"
        yield f"already measured on these {of}: {', '.join(runs[:3])}{more}", fresh
    for why in _find_begun_runs(store, experiment, preset, by_rows=by_rows):
        yield why, fresh
    ledger = Ledger(store)
    if not by_rows:
        for line, shared in ledger.exposures(journal.subject(experiment, preset.specs)):
            seen = f"seeds {spans(shared)} of {line['experiment']} were {line['what']} on "
            yield f"{seen}{line['time']} ({ledger.path})", fresh
        yield from by_content


def _looked_at(
    store: Store,
    experiment: Experiment,
    preset: Preset,
    related: Sequence[Experiment],
    other_names: Sequence[str],
) -> Iterator[str]:
    """Give the looks at these seeds that are noted next to records and in the store."""
    seeds, about = {s.seed for s in preset.specs}, (experiment, *related)
    places = [(e.name, looks.committed(e)) for e in about]
    names = (*(e.name for e in about), *other_names)
    places += [(name, journal.stored(store, name)) for name in names]
    for name, path in places:
        for look in journal.read(path):
            if shared := seeds & seeds_of(look["seeds"]):
                when = f"{look['time']} ({path})"
                yield f"seeds {spans(shared)} of {name} were looked at on {when}"


def _find_stored_runs(
    store: Store, experiment: Experiment, preset: Preset, *, by_rows: bool
) -> Iterator[str]:
    """Name the stored runs of an experiment on these seeds, and of the same arm at the same
    settings under another name; with `by_rows`, whatever the seed, those that read the same."""
    is_of_it = _matching(experiment, preset, by_rows=by_rows)
    for s in store.list():
        if is_of_it(s.experiment, s.arm, s.spec_json, s.inputs):
            seed = json.loads(s.spec_json).get("seed")
            yield f"{s.experiment}/{s.arm} seed {seed} ({s.key[:12]})"


def _find_begun_runs(
    store: Store, experiment: Experiment, preset: Preset, *, by_rows: bool
) -> Iterator[str]:
    """Say which of these runs are being measured now, or were begun and interrupted: the user may
    have seen how they go."""
    is_of_it = _matching(experiment, preset, by_rows=by_rows)
    for group in groups.unfinished(store):
        name = group.experiment
        if not any(
            is_of_it(name, arm, canonical_json(m.spec), group.inputs.get(m.key, {}))
            for arm, members in group.arms.items()
            for m in members
        ):
            continue
        with groups.locked(store, group.name) as is_idle:
            if not is_idle:
                yield f"a run of {name} is measuring the same now"
            elif group.begun:
                yield f"runs of {name} that measure the same were begun on {group.begun}"


def _matching(
    experiment: Experiment, preset: Preset, *, by_rows: bool
) -> Callable[[str, str, str, JSON], bool]:
    """Make a test of whether a run, by its experiment, arm, spec as JSON and inputs, is one of an
    experiment on these seeds, or of the same arm at the same settings under another name; with
    `by_rows`, whether it reads the same, whatever the seed."""
    trained = [name for name, arm in experiment.arms.items() if arm.train is not None]
    jobs = [(name, s) for name in trained for s in experiment.specs_of(name, preset.specs)]
    seeds = {spec.seed for _, spec in jobs}
    read = experiment.inputs if by_rows and experiment.inputs else lambda spec: {}
    setting = seedless if by_rows else str
    wanted = {(n.rpartition("/")[2], setting(s.to_json())): read(s) for n, s in jobs}

    def is_of_it(of: str, arm: str, spec: str, inputs: JSON) -> bool:
        place = arm.rpartition("/")[2], setting(spec)
        if by_rows:
            return wanted.get(place) == origin.compared(experiment, inputs)
        return place in wanted or (of == experiment.name and json.loads(spec).get("seed") in seeds)

    return is_of_it


def _hash(content: JSON) -> str:
    return sha256(canonical_json(content).encode()).hexdigest()
