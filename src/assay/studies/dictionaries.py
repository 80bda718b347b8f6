"""Dictionaries: those that a study names become arms, each known by the content of its files, all
measured on the same windows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.core.bench import Bench
from assay.core.errors import AssayError, DataError, ExperimentError, SpecError, nearest
from assay.core.experiment import Arm, Experiment
from assay.core.fit import Trained
from assay.core.heavy import xr
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.data import corpus as corpora
from assay.data.names import model_in_words, text_in_words
from assay.dictionaries.dictionary import Dictionary
from assay.evaluation import file_statements, sources
from assay.evaluation.setting import Setting
from assay.evaluation.sources import Source
from assay.evaluation.text import CONTEXT, most_tokens
from assay.lab.plan.plan import ROOT
from assay.lab.store.store import Store
from assay.studies import arm_measures
from assay.studies.arm_measures import BASELINES, MeasuredSpec, Where
from assay.studies.text import Measured, Text
from assay.subjects import sizes
from assay.subjects.folder import find

SMOKE = {"tokens": 2048, "ablation_tokens": 512}
"""At most so many tokens in the preset that only shows that everything runs."""
USUAL = Setting()
PASS, LOADING = 2 / 50e9, 5.0
"""CPU-seconds for each weight and token of one pass, and to load a model."""


@dataclass(frozen=True)
class Trains:
    """An arm of a study that trains dictionaries, and where its specs come from."""

    arm: str
    of: Experiment
    specs: Callable[[str], tuple[Spec, ...]]
    """Those of a preset."""
    learned: tuple[str, ...] | None = None
    """What was learned in the arm, as `Arm.learned`."""


@dataclass(frozen=True)
class Part:
    """One dictionary of a study, with what it takes from the first one and from the one that it is
    like."""

    i: int
    """Its place in the text."""
    label: str
    said: Measured
    model: str
    text: str
    paths: tuple[str, ...]
    """Files or stored runs as they were written; those of the dictionary that it is like."""
    trains: Trains | None
    setting: Setting
    located: str
    """Where its model lies."""

    @property
    def learned(self) -> tuple[str, ...] | None:
        """The parts that training learned, as `Arm.learned`: what the study says, else those of the
        arm that trains it; of random directions the model's and the decoder, which is fitted."""
        if self.said.learned is not None:
            return self.said.learned
        trained, fitted = self.trains.learned if self.trains else None, ("model", "decoder")
        if self.said.baseline != "random":
            return trained
        return fitted if trained is None else tuple(part for part in fitted if part in trained)

    def spec(
        self, seed: int = 0, parent: Spec | None = None, *, smoke: bool = False
    ) -> MeasuredSpec:
        """The spec of one run: a seed of its paths, or the one that measures a trained run."""
        setting = (
            self.setting.replace(**{k: min(v, getattr(self.setting, k)) for k, v in SMOKE.items()})
            if smoke
            else self.setting
        )
        shared: dict[str, Any] = {
            "label": self.label,
            "baseline": self.said.baseline,
            "model": self.model,
            "text": self.text,
            "setting": setting.to_json(),
        }
        if parent is None:
            return MeasuredSpec(seed=seed, of=self.paths, **shared)
        # the class is hashed, not one of its specs
        cls = arm_measures.make_spec_class(type(parent))  # type: ignore[arg-type]
        parent_values = {
            name: getattr(parent, name)
            for name in cls.__dataclass_fields__
            if name not in MeasuredSpec.__dataclass_fields__
        }
        assert self.trains is not None
        return cls(
            seed=parent.seed,
            trained=f"{self.trains.arm} {arm_measures.parent_fields(parent)}",
            **shared,
            **parent_values,
        )

    def seconds(self, together: int) -> float | None:
        """CPU-seconds that one of its dictionaries takes, guessed from the size of the model; None
        where the model is not here.

        Loading, a clean pass and the ablations are shared by `together` dictionaries; each has a
        pass with its reconstruction in place, at the rate at which the dictionary of
        docs/evaluate.md was measured on one thread."""
        try:
            size = sizes.read_sizes(find(self.located).config)
        except AssayError:
            return None
        weights = (
            size["layers"] * (4 * size["d"] ** 2 + 3 * size["d"] * size.get("m", 2 * size["d"]))
            + size["d"] * size["v"]
        )
        shared = LOADING + PASS * weights * (self.setting.tokens + 3 * self.setting.ablation_tokens)
        return shared / together + PASS * weights * self.setting.tokens

    @property
    def scope(self) -> str:
        """For which model and text its measures speak."""
        model = model_in_words(self.model)
        return f"{'measured with ' if self.trains else ''}{model}, {text_in_words(self.text)}"

    @property
    def told(self) -> str:
        """What it is, in a line."""
        what = (
            f"the dictionaries that {self.trains.arm} trained"
            if self.trains
            else ", ".join(self.paths)
        )
        baseline_words = f"{BASELINES[self.said.baseline]}, made for " if self.said.baseline else ""
        return f"{baseline_words}{what}, on {self.text} with {self.model}"


def parts(text: Text, trains: Mapping[str, Trains]) -> list[Part]:
    """The dictionaries of a study. Raises: ExperimentError with line and column, for what the text
    alone shows to be wrong."""
    study_parts: list[Part] = []
    for i, entry in enumerate(text.study.dictionary):
        first = not study_parts
        label = entry.label or ("main" if first and not trains else "")
        if not label:
            what = (
                "a dictionary needs a label: what its arm is called in claims, such as label = "
                '"mine"'
            )
            raise text.error(("dictionary", i, "label"), what)
        names = {name for p in study_parts for name in (p.label, p.said.label) if name}
        if first and not text.study.experiment:
            label = "main"
        if entry.label in names or label in trains:
            what = f"there is an arm {entry.label or label} already; give this dictionary another"
            raise text.error(("dictionary", i, "label"), f"{what} label")
        ways = [name for name in ("path", "trained", "baseline") if getattr(entry, name)]
        if len(ways) != 1:
            got = " and ".join(ways) or "none of them"
            what = f"say one of path, trained and baseline, got {got}"
            raise text.error(("dictionary", i, ways[-1] if ways else "label"), what)
        study_parts.append(_part(text, i, label, entry, study_parts, trains))
    return study_parts


def _part(
    text: Text,
    i: int,
    label: str,
    entry: Measured,
    before: Sequence[Part],
    trains: Mapping[str, Trains],
) -> Part:
    def no(key: str, what: str) -> ExperimentError:
        return text.error(("dictionary", i, key), what)

    same = (p for p in before if entry.like and entry.like in (p.label, p.said.label))
    first, like = before[0] if before else None, next(same, None)
    if entry.baseline and entry.baseline not in BASELINES:
        hint = nearest(entry.baseline, BASELINES)
        raise no("baseline", f"no baseline is called {entry.baseline!r}; {hint}")
    if entry.baseline and (like is None or like.said.baseline):
        known = [p.label for p in before if not p.said.baseline]
        hint = nearest(entry.like, known) if known else "there is none"
        raise no("like", f"a baseline is like a dictionary above it; {hint}")
    if entry.like and not entry.baseline:
        what = "like belongs to a baseline; leave it out, or write baseline in place of path"
        raise no("like", what)
    if entry.trained and entry.trained not in trains:
        hint = (
            nearest(entry.trained, list(trains))
            if trains
            else "the study has no experiment that trains any"
        )
        what = f"no arm {entry.trained!r} trains dictionaries that can be measured; {hint}"
        raise no("trained", what)
    base = like or first
    model, words = (
        getattr(entry, n) or (getattr(base, n) if base else "") for n in ("model", "text")
    )
    for name, value, such in (("model", model, "smollm2"), ("text", words, "stdlib")):
        if not value:
            how = f'write {name} = "{such}", say, as for assay evaluate --{name}'
            raise no(name, f"{name} is not said; {how}")
    fields = {**(first.said.fields if first else {}), **(like.said.fields if like else {})}
    fields |= entry.fields
    for name in ("site", "site_out"):
        if place := getattr(entry, name) or (getattr(like.said, name) if like else ""):
            if name in fields:
                raise no("fields", "site and site_out stand beside fields, not in it")
            fields[name] = place
    try:
        setting = USUAL.replace(**fields)
    except SpecError as e:
        what = str(e).replace("Setting.", "", 1).replace("Setting", "assay evaluate", 1)
        raise no("fields", what) from None
    files = (entry.path,) if isinstance(entry.path, str) and entry.path else tuple(entry.path)
    paths, trained = (like.paths, like.trains) if like else (files, trains.get(entry.trained))
    return Part(i, label, entry, model, words, paths, trained, setting, _in_folder(text, model))


def specs(part: Part, preset: str) -> tuple[MeasuredSpec, ...]:
    """The specs of a dictionary that somebody has, at a preset."""
    return tuple(part.spec(i, smoke=preset == "smoke") for i in range(len(part.paths)))


class Settled:
    """What the dictionaries of a study are and what they are measured on: what files decide, worked
    out once for a store."""

    def __init__(self, text: Text, study_parts: Sequence[Part]) -> None:
        self.text, self.found = text, study_parts
        self._known: dict[Path, dict[str, Where]] = {}
        self._sources: dict[tuple[Path, str], tuple[Source, ...]] = {}

    def arms(self, smoke: Callable[[tuple[Any, ...]], bool]) -> dict[str, Arm]:
        """The arms of the dictionaries; `smoke` tells whether the specs that an arm is given are
        those of that preset."""
        arms = {}
        for part in self.found:
            after = part.trains.arm if part.trains else None
            train = _passed_on if after else _nothing
            arms[part.label] = Arm(
                train,
                after=after,
                specs=_specs(part, smoke),
                measure=self._measure(part),
                note=part.told,
                learned=part.learned,
            )
        return arms

    def inputs(self, spec: MeasuredSpec) -> Mapping[str, str]:
        """What a run reads: the content of dictionary, model and text, and which windows. Raises:
        ExperimentError with line and column."""
        part = self._part(spec.label)
        place = self.where(part, ROOT.get())
        setting = place.setting
        windows = f"{setting.part}, {setting.context} tokens{', BOS' if setting.bos else ''}"
        read = (
            [source.sha256 for source in self.sources(part, ROOT.get())] if not part.trains else []
        )
        both = hashlib.sha256(
            " ".join(read).encode()
        ).hexdigest()  # runs of an arm read the same; what is measured is kept by each one's own
        content = {"dictionary": both if len(read) > 1 else read[0]} if read else {}
        return {
            **content,
            "model": place.folder.fingerprint,
            "corpus": place.corpus.fingerprint,
            "windows": windows,
        }

    def sources(self, part: Part, root: Path) -> tuple[Source, ...]:
        """The dictionaries of a part, in the order of its seeds. Raises: ExperimentError with line
        and column."""
        if (root, part.label) not in self._sources:
            with self.text.located("dictionary", part.i, "path" if part.said.path else "like"):
                part_sources = sources.find(
                    [_located(self.text, p) for p in part.paths], Store(root)
                )
            self._sources[root, part.label] = tuple(part_sources)
        return self._sources[root, part.label]

    def where(self, part: Part, root: Path) -> Where:
        """What a part is measured on. Raises: ExperimentError with line and column, for files that
        do not fit together."""
        if root not in self._known:
            self._known[root] = self._all(root)
        return self._known[root][part.label]

    def _part(self, label: str) -> Part:
        return next(p for p in self.found if p.label == label)

    def _all(self, root: Path) -> dict[str, Where]:
        """Each part's place: the same part of a text for all, and the same windows, as units are
        what all of them were measured on."""
        places = {part.label: self._place(part) for part in self.found}
        windows = {part.label: self._windows(part, places[part.label], root) for part in self.found}
        narrow = {(p.model, p.text) for p in self.found if windows[p.label].part == "test"}
        for part in self.found:
            if (
                windows[part.label].part == "all"
                and part.setting.part == "auto"
                and (part.model, part.text) in narrow
            ):
                place = places[part.label]  # another one was trained on the rest of this text
                places[part.label] = replace(place, setting=place.setting.replace(part="test"))
                windows[part.label] = self._windows(part, places[part.label], root)
        for part in self.found:
            first = next(p for p in self.found if (p.text, p.model) == (part.text, part.model))
            part_windows, other = windows[part.label], windows[first.label]
            if part_windows != other:
                what = (
                    f"{part.label} would be measured on {part_windows}, {first.label} on {other}; "
                    "say context, bos and part in fields, so that both read the same documents"
                )
                raise self.text.error(("dictionary", part.i, "fields"), what)
            place = places[part.label]
            places[part.label] = replace(
                place,
                setting=place.setting.replace(
                    part=part_windows.part, context=part_windows.context, bos=part_windows.bos
                ),
            )
        return places

    def _place(self, part: Part) -> Where:
        with self.text.located("dictionary", part.i, "model"):
            folder = find(part.located)
        with self.text.located("dictionary", part.i, "text"):
            corpus = corpora.load(_in_folder(self.text, part.text))
        return Where(folder, corpus, part.setting)

    def _windows(self, part: Part, place: Where, root: Path) -> Windows:
        """The windows that the dictionaries of a part are made for."""
        if part.trains:
            with self.text.located("dictionary", part.i, "trained"):
                return _of_trained(part, place)
        windows: list[Windows] = []
        for source in self.sources(part, root):
            with self.text.located(
                "dictionary",
                part.i,
                "site" if part.said.site else "path" if part.said.path else "like",
            ):
                words = place.plan(source).text
                source.forget()
            windows.append(Windows(words.part, words.context, words.bos))
        if other := next((w for w in windows if w != windows[0]), None):
            what = (
                f"its dictionaries are made for {windows[0]} and for {other}; say context, bos "
                "and part in fields, so that all read the same documents"
            )
            raise self.text.error(("dictionary", part.i, "path"), what)
        return windows[0]

    def _measure(self, part: Part) -> Callable[[Runs[MeasuredSpec], Trained, Bench], xr.Dataset]:
        def measure(runs: Runs[MeasuredSpec], trained: Trained, bench: Bench) -> xr.Dataset:
            place, setting = self.where(part, bench.root), runs.specs[0].asked
            place = replace(
                place,
                setting=place.setting.replace(
                    tokens=setting.tokens, ablation_tokens=setting.ablation_tokens
                ),
            )
            if part.trains:
                part_sources = _of_runs(part, trained)
            else:
                part_sources = [self.sources(part, bench.root)[int(seed)] for seed in runs.seeds]
            with self.text.located("dictionary", part.i, "label"):
                return arm_measures.measured(
                    runs, part_sources, place, Store(bench.root), bench.device, _ticks(bench)
                )

        return measure


@dataclass(frozen=True)
class Windows:
    """Which windows of a text are read."""

    part: str
    context: int
    bos: bool

    def __str__(self) -> str:
        part = "the whole text" if self.part == "all" else f"its {self.part} part"
        return f"windows of {self.context} tokens{' with a BOS' if self.bos else ''} of {part}"


def _of_trained(part: Part, place: Where) -> Windows:
    """The windows of dictionaries that an arm of the study will have trained: as said, else the
    usual ones. Raises: DataError."""
    setting = place.setting
    chosen, _ = file_statements.choose(part.label, _trained_on(part), place.corpus, setting.part)
    bos, _ = file_statements.choose_bos(setting.bos, {}, place.folder)
    return Windows(chosen, setting.context or min(CONTEXT, most_tokens(place.folder)), bos)


def _trained_on(part: Part) -> Mapping[str, Any] | None:
    """What is known of the text that the runs of an arm were trained on: experiments train on the
    train part."""
    assert part.trains is not None
    experiment = part.trains.of
    read = experiment.inputs(part.trains.specs("default")[0]) if experiment.inputs else {}
    return {**read, "part": "train"} if read.get("corpus") else None


def _of_runs(part: Part, trained: Trained) -> list[Source]:
    """The dictionaries that an arm has trained, one for each run. Raises: DataError where it
    trained something else."""
    assert part.trains is not None
    if trained.header.get("kind") != "dictionary":
        raise DataError(
            f"arm {part.trains.arm} of {part.trains.of.name} trains no dictionaries that "
            "could be measured"
        )
    known, part_sources = _trained_on(part), []
    for i, dictionary in enumerate(Dictionary.of(trained)):
        origin = {**({"trained_on": known} if known else {}), **dictionary.origin}
        [source] = sources.find([replace(dictionary, origin=origin)], _NOWHERE)
        part_sources.append(replace(source, name=f"run {i + 1} of {part.trains.arm}"))
    return part_sources


_NOWHERE: Any = None
"""No store: a Dictionary as a value is looked up nowhere."""


def _nothing(runs: Runs[Any], bench: Bench) -> Trained:
    return Trained.nothing(runs)


def _passed_on(runs: Runs[Any], bench: Bench, before: Trained) -> Trained:
    return before


def _ticks(bench: Bench) -> Callable[[int, int], None]:
    return lambda count, total: bench.report(count, total, "tokens")


def _specs(
    part: Part, smoke: Callable[[tuple[Any, ...]], bool]
) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    def of_files(base_specs: tuple[Any, ...]) -> tuple[Any, ...]:
        return specs(part, "smoke" if smoke(base_specs) else "default")

    def of_runs(base_specs: tuple[Any, ...]) -> tuple[Any, ...]:
        assert part.trains is not None
        small = part.trains.specs("smoke")
        return tuple(part.spec(parent=s, smoke=s in small) for s in base_specs)

    return of_runs if part.trains else of_files


def _located(text: Text, value: str) -> str:
    """A file or folder beside the study; a stored run as it is."""
    path = text.path.parent / Path(value).expanduser()
    return str(path) if path.exists() or value.startswith((".", "/", "~")) else value


def _in_folder(text: Text, value: str) -> str:
    """A folder beside the study, where a name says that it is one."""
    return str(text.path.parent / value) if value.startswith(("./", "../")) else value
