"""Experiment: what is trained, measured and judged, as one value."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from assay.core import foreign, scopes, syntax
from assay.core.bench import Bench
from assay.core.errors import DataError, ExperimentError, nearest
from assay.core.heavy import xr
from assay.core.sizes import Filled, Sizes
from assay.core.spec import Spec, SpecMap, variant

if TYPE_CHECKING:
    from assay.core.claims import Claim, Estimate, Exact
    from assay.core.figures import Figure
    from assay.core.fit import Trained
    from assay.core.runs import Runs

S = TypeVar("S", bound=Spec)
Arms = Mapping[str, "xr.Dataset"]
Words = Callable[[str, Mapping[str, tuple[Spec, ...]]], str]
"""The name of a preset, and the specs of the arms that are read → the scope of verdicts."""
Derive = Callable[[Arms], "xr.Dataset"]
"""How a derived arm's measures are made from those of the trained arms."""
ALL = "catalogue"
"""Where a name is needed, this means every experiment; no experiment may have this name."""


@dataclass(frozen=True, eq=False)
class Joint:
    """Trains several arms in one call, so that they share a pass over the data.

    `train([Runs, …], bench)` gets the missing runs of each arm that names this very value, in the
    order of the arms, and returns one Trained for each.

    Example:
        >>> from assay import Arm, Joint, Trained
        >>> train = Joint(lambda groups, bench: [Trained.nothing(runs) for runs in groups])
        >>> arms = {"main": Arm(train), "wide": Arm(train)}
        >>> arms["main"].train is arms["wide"].train  # so one call trains both
        True
    """

    train: Callable[[Sequence[Runs], Bench], Sequence[Trained]]


@dataclass(frozen=True, eq=False)
class Arm(Generic[S]):
    """One variant of the experiment: the method ("main"), an honest competitor, or a negative
    control.

    Example:
        >>> from assay import Arm, Spec, Trained, changed
        >>> control = Arm(lambda runs, bench: Trained.nothing(runs), specs=changed(seed=7))
        >>> control.specs((Spec(seed=1000),))
        (Spec(seed=7),)
    """

    train: Callable[..., Trained] | Joint | None = None
    """(runs, bench) → Trained; with `after`: (runs, bench, before: Trained), rows in the same
    order."""
    specs: SpecMap[S] | None = None
    """The preset's specs → this arm's; None: the same."""
    after: str | None = None
    """Builds on another arm's stored parameters: `specs` then maps each run of that arm by
    itself."""
    measure: Callable[[Runs[S], Trained, Bench], xr.Dataset] | None = None
    """How this arm is measured, where that is not how the experiment's others are."""
    derive: Derive | None = None
    """No training: measures made from the trained arms' measures; not stored."""
    keep: bool = False
    """Store the parameters although no other arm builds on them."""
    note: str = ""
    """One line for the reader: what this arm is and why it is honest."""
    learned: tuple[str, ...] | None = None
    """The parts that were learned in this arm, such as ("encoder",) where the decoder is frozen;
    (): no part, for random, shuffled or untrained arms. None: all parts, or a planted truth in
    their place."""

    levels: Mapping[str, int] = field(default_factory=dict)
    """How many levels dimensions of its measures have, where that is known before anything is
    measured: {"prompt": 40}."""
    asked: bool = True
    """Whether claims that do not name this arm are judged on it as well; False for an arm that runs
    only because others need it."""
    brings: tuple[str, ...] = ()
    """The near controls that are added with it automatically: adding or removing one does not
    change the question."""

    def __post_init__(self) -> None:
        if isinstance(self.learned, str):  # whose letters would be taken for parts
            raise ExperimentError(
                f"learned takes a tuple of parts, got the text {self.learned!r}; write "
                f"learned=({self.learned!r},)"
            )
        if (self.train is None) == (self.derive is None):
            raise ExperimentError(
                "an arm either trains or is derived: give exactly one of train= and derive="
            )
        if self.derive is not None and self.measure is not None:
            raise ExperimentError(
                "a derived arm is made of measures: it has nothing to measure; leave measure= out"
            )


def varied(
    train: Callable[..., Trained] | Joint,
    note: str,
    *,
    after: str | None = None,
    measure: Callable[[Runs[S], Trained, Bench], xr.Dataset] | None = None,
    learned: tuple[str, ...] | None = None,
    **variation: Any,
) -> Arm[S]:
    """An arm on the preset's specs, varied as `core.spec.variant` says.

    Args:
        train: as of `Arm`.
        note: what it is and why it is honest.
        after: the arm that it builds on.
        measure: how it is measured, where otherwise than the others.
        learned: the parts that are learned, where not all are.
        **variation: what `variant` takes: fields, or arguments of its own such as `seeds`.
    Example:
        >>> from assay import Spec, Trained
        >>> from assay.core import varied
        >>> again = varied(lambda runs, bench: Trained.nothing(runs), "another seed", seed=7)
        >>> again.specs((Spec(seed=1000),)), again.note
        ((Spec(seed=7),), 'another seed')
    """
    return Arm(
        train,
        specs=variant(**variation),
        after=after,
        measure=measure,
        note=note,
        learned=learned,
    )


@dataclass(frozen=True)
class Rows:
    """The rows on which an arm is measured, in order, with the level of the unit of each.

    Example:
        >>> from assay.core.experiment import Rows
        >>> Rows("prompt", ("one and one is", "two and two is"), ("0", "1")).numbers["1"]
        2
    """

    unit: str
    """The dimension over which its claims generalise: prompt, or a column."""
    texts: tuple[str, ...]
    """What each row says to a model."""
    levels: tuple[str, ...]
    paired: tuple[str, ...] = ()
    """The texts of the rows that these are compared with, in a difference of prompts."""
    places: tuple[str, ...] = ()
    """Where each row is written, such as capitals.csv line 2."""

    @property
    def numbers(self) -> dict[str, int]:
        """The number of the first row of each level, counted from 1."""
        return {level: n for n, level in reversed([*enumerate(self.levels, 1)])}

    @property
    def labels(self) -> dict[str, str]:
        """What to call each level: the text of a prompt, else the level itself."""
        texts = self.texts if self.unit == "prompt" else self.levels
        return dict(zip(self.levels, texts, strict=True))


class Materials(Protocol):
    """What an experiment is run on, identified by its content, whatever its name and its path."""

    columns: Mapping[str, Sequence[tuple[str, str]]]
    """The arms and measures that each statement reads, by its text."""

    def measures(self, arm: str) -> Sequence[str]:
        """Return the names of what is measured in an arm that asks a model; empty for others."""

    def prompts(self) -> Mapping[str, tuple[str, Sequence[str]]]:
        """Return the prompts that runs read, by the name of the input: their hash, and all that
        each row says."""

    def same_rows(self, read: Mapping[str, str]) -> dict[str, str]:
        """Return what a run read, with the prompts as they are now where they only name another
        unit of the same rows, which is known to judging alone."""

    def rows(self, arm: str) -> Rows | None:
        """Return the rows on which an arm is measured; None where its runs differ by seed alone."""

    def files(self) -> Sequence[Path]:
        """Return the files, other than an experiment's own, that say what it asks."""

    def scope(self, words: str, condition: str = "") -> str:
        """Return the scope of a claim with this condition, in words for the reader of its page."""

    def models(self) -> Mapping[str, str]:
        """Return the content hash of every model, as its files are now. Raises: AssayError where
        one is not here."""

    def model_names(self) -> Sequence[str]:
        """Return the name of every model."""

    def rehearse(
        self, arms: Collection[str], seeds: Collection[int], device: str, say: Callable[[str], None]
    ) -> None:
        """Measure a little of these arms where all of them take long, and say how far it is.
        Raises: ExperimentError for what would be refused later."""

    def quantity(
        self, arm: str, measure: str
    ) -> tuple[Mapping[str, str], Any, list[Any], list[Any]] | None:
        """Return the content hashes of what a measure of an arm is read from, what it is as
        JSON values without names, which others are functions of the same numbers, and what it is
        at each point of a sweep; None for an arm whose settings say all. Raises: AssayError."""


@dataclass(frozen=True)
class Cost:
    """What a set of runs needs: CPU-seconds of one thread (None: as recorded), and bytes on disk
    without the measures."""

    cpu_seconds: float | None = None
    bytes: int = 0


PRESETS = ("smoke", "default")


class Shared(Protocol):
    """What all runs of an experiment read and never change, such as a language model: workers of
    one machine have it in memory once."""

    def size(self) -> float:
        """Estimate its bytes in memory."""

    def open(self, device: str) -> None:
        """Open it in this process, where runs will find it."""


@dataclass(frozen=True)
class Elsewhere(Generic[S]):
    """A preset next to smoke and default: the same arms and claims on another text, model or
    site, or trained longer, with a record of its own.

    Example:
        >>> from assay import Elsewhere, Spec, grid
        >>> books = Elsewhere(grid(Spec(), seed=range(2000, 2003)), scope="books in place of code")
        >>> [spec.seed for spec in books.specs]
        [2000, 2001, 2002]
    """

    specs: tuple[S, ...] = ()
    """On seeds that no other preset judges; (): the default ones of its design."""
    scope: str = ""
    """As of an experiment; "" where the braces in the experiment's scope show the difference."""
    design: Experiment[S] | None = None
    """Separate arms and claims, on specs of a separate class; None: the experiment's."""

    def __post_init__(self) -> None:
        if self.design is not None and not self.specs:
            object.__setattr__(self, "specs", self.design.default)
            object.__setattr__(self, "scope", self.scope or self.design.scope)


@dataclass(frozen=True, eq=False)
class Experiment(Generic[S]):
    """A claim's whole set-up; `arms["main"]` is the method.

    Example:
        >>> from assay import Arm, Experiment, Spec, Trained, grid, measures, normal
        >>> def measure(runs, trained, bench):
        ...     x = normal(runs.seeds, "inputs", 0, (100,))
        ...     return measures(runs, power=("run", (x**2).mean(1), "1"))
        >>> arms = {"main": Arm(lambda runs, bench: Trained.nothing(runs))}
        >>> seeds = grid(Spec(), seed=range(1000, 1008))
        >>> experiment = Experiment(arms, measure, (), seeds[:2], seeds, seeds, name="power")
        >>> [spec.seed for spec in experiment.preset("smoke")]
        [1000, 1001]
    """

    arms: Mapping[str, Arm[S]]
    measure: Callable[[Runs[S], Trained, Bench], xr.Dataset]
    claims: tuple[Claim | Exact | Estimate, ...]
    smoke: tuple[S, ...]
    default: tuple[S, ...]
    full: tuple[S, ...] = ()
    """The specs of the published size; (): there is no such preset."""
    elsewhere: Mapping[str, Elsewhere[S]] = field(default_factory=dict)
    """More presets by name, each judged and recorded by itself."""
    figures: Callable[[Arms], list[Figure]] = field(default=lambda arms: [])
    cards: Callable[[Arms], list[Any]] | None = None
    """Feature cards for the report, made from stored measures only."""
    verdict_notes: Callable[[Sequence[Any], Arms], Sequence[str]] | None = None
    """(its judged claims, the measures of all arms) → what a reader should know in addition to the
    verdicts, a line each."""
    annotate: Callable[[Any, Arms], Any] | None = None
    """(a judged statement, the measures) → the same with its unit and the level of an extreme."""
    cost: Callable[[Runs[S]], Cost] | None = None
    expected: Mapping[str, float] = field(default_factory=dict)
    """CPU-seconds that a run of an arm should take, where neither `cost` nor a record says so."""
    inputs: Callable[[S], Mapping[str, str]] | None = None
    """What a run reads from outside, e.g. {"model": sha256, "corpus": fingerprint}; a cache hit
    needs them equal."""
    materials: Materials | None = None
    """What it is run on, by content; set where a study describes the experiment."""
    shared: Shared | None = None
    """What its runs read and workers share; None where each opens what it reads."""
    scope: str | Words = ""
    """The model, site, text and sizes that verdicts are about: a sentence with fields or properties
    of the specs in braces, filled in with the values of all runs that a verdict reads
    (`core.scopes`). A value that a field holds is never written out."""
    sizes: Mapping[str, Callable[[Sizes], Any]] = field(default_factory=dict)
    """Numbers of the training that sentences name and that are not fields, computed from fields:
    {"questions": sizes → 63}."""
    frozen: Mapping[str, str] = field(default_factory=dict)
    """Fields that have one value in every preset, since a sentence with that value in it cannot
    change: {field: which sentence}."""
    page: str = ""
    """What a reader of the report must know, in Markdown."""
    remarks: tuple[str, ...] = ()
    """What its author should know before it runs, a sentence each; a plan says them."""
    seeds_per_group: int = 4
    """Seeds that are trained in one group; part of the experiment, so no machine changes them."""
    draws: bool = False
    """Whether its seeds train nothing and only draw the random choices of controls."""
    name: str = ""
    origin: str = ""
    borrows: tuple[str, ...] = ()
    """Of a study: the experiments whose arms it borrows, by name."""
    version: int = 1
    """The version of the training; part of every run's key."""
    measured: int = 1
    """The version of the measuring; stored with the measures."""

    def __post_init__(self) -> None:
        if "main" not in self.arms:
            raise ExperimentError(
                f'the method must be the arm called "main", got arms {", ".join(self.arms)}'
            )
        for name, arm in self.arms.items():
            if arm.after is not None and arm.after not in self.arms:
                raise ExperimentError(
                    f"arm {name} builds on {arm.after!r}, which is not an arm; arms: "
                    f"{', '.join(self.arms)}"
                )
        for part, full in self._filled(self.default, anew=False).items():
            object.__setattr__(self, part, full)
        for name, arm in self.arms.items():
            if isinstance(name, Filled) and arm.train is not None:
                raise ExperimentError(
                    f"arm {name} trains, and the keys of its runs have its name: only a "
                    "derived arm's name has places for sizes"
                )
        from assay.core.claims import Claim

        for claim in (c for c in self.claims if isinstance(c, Claim)):
            for read in claim.named:
                if read not in self.arms:  # reported before anything is trained
                    raise ExperimentError(
                        f"claim {claim.text!r} names arm {read!r}, which is not an arm; "
                        f"{nearest(read, self.arms)}"
                    )
        sentences = ((other.scope, other.specs) for other in self.elsewhere.values())
        for words, specs in ((self.scope, self.default), *sentences):
            if isinstance(words, str) and specs:
                scopes.check(words, specs[0])
        if self.name == ALL:
            raise ExperimentError(
                f"no experiment may be called {ALL!r}: that is all of them; rename its file"
            )
        object.__setattr__(
            self,
            "elsewhere",
            {name: _at_home(self, name, other) for name, other in self.elsewhere.items()},
        )
        _check_presets(self)

    def designed(self, specs: Sequence[Spec | str]) -> Experiment[S]:
        """Give the design to which these specs belong, or classes of this name: a preset's, or
        this one."""
        classes = {s if isinstance(s, str) else type(s).__name__ for s in specs}
        designs = ((o.design, type(o.specs[0]).__name__) for o in self.elsewhere.values())
        return next((d for d, cls in designs if d is not None and cls in classes), self)

    def _says(self, specs: tuple[S, ...]) -> str:
        return scopes.sentence(self.scope, specs) if isinstance(self.scope, str) else ""

    @property
    def typed(self) -> str:
        """What to type for it in its folder: its name, or its file's or folder's where it is a
        user's own."""
        path = Path(self.origin)
        file_name = f"{path.parent.name}/" if path.name == "__init__.py" else path.name
        return file_name if self.origin.endswith((".py", ".toml", ".md")) else self.name

    def preset(self, name: str) -> tuple[S, ...]:
        """Give the specs of a preset. Raises: ExperimentError for an unknown one."""
        if name not in self.presets:
            raise ExperimentError(f"no preset {name!r}; {nearest(name, self.presets)}")
        other = self.elsewhere.get(name)
        return other.specs if other else getattr(self, name)

    @property
    def presets(self) -> tuple[str, ...]:
        """List the names of its presets."""
        return (*PRESETS, *(("full",) if self.full else ()), *self.elsewhere)

    def sized(self, specs: tuple[S, ...]) -> Experiment[S]:
        """Fill in the sizes of these specs in the sentences of claims and arms. Raises: SpecError
        where they cannot be filled in."""
        design = self.designed(specs[:1])
        return replace(design, **new) if (new := design._filled(specs, anew=True)) else design

    def _filled(self, specs: tuple[S, ...], *, anew: bool) -> dict[str, Any]:
        """Give the arms and the claims with their places filled; empty where no sentence
        changed."""
        sizes = cache(lambda: Sizes(lambda arm: self._trained(arm, specs), self.sizes))

        def fill(value: Any) -> Any:
            if isinstance(value, str):
                placed = "{" in value or isinstance(value, Filled)
                return sizes().fill(value, anew=anew) if placed else value
            if isinstance(value, Mapping):
                return {fill(k): fill(v) for k, v in value.items()}
            return tuple(map(fill, value)) if isinstance(value, tuple) else value

        def full(target: Any, *names: str) -> Any:
            new = {
                name: filled
                for name in names
                if (filled := fill(old := getattr(target, name, None))) != old
            }
            return replace(target, **new) if new else target

        naming = ("must_fail", "must_hold", "violations", "near", "also", "half", "fixed")
        arms = {fill(name): full(arm, "note") for name, arm in self.arms.items()}
        claims = tuple(full(c, "text", "unit", "of", *naming) for c in self.claims)
        parts: dict[str, tuple[Any, Any]] = {
            "arms": (self.arms, arms),
            "claims": (self.claims, claims),
        }
        return {
            name: new for name, (old, new) in parts.items() if list(new) != list(old) or new != old
        }

    def _trained(self, arm: str, specs: tuple[S, ...]) -> tuple[S, ...]:
        if arm not in self.arms or self.arms[arm].train is None:
            raise ExperimentError(
                f"a sentence names sizes of {arm!r}, which is not an arm that trains; "
                f"{nearest(arm, self.arms)}"
            )
        return self.specs_of(arm, specs)

    def scope_of(
        self,
        preset: str,
        specs: tuple[S, ...] = (),
        read: Iterable[str] = (),
        where: Mapping[str, Any] = MappingProxyType({}),
    ) -> str:
        """Give the model, site, text and sizes that verdicts on these arms are about.

        Only runs count whose fields have the values in `where`. Without specs: those of the preset.
        Without arms: those that claims are about; where these are derived, all but the controls.
        """
        specs, read = specs or self.preset(preset), set(read)
        trained = [name for name, arm in self.arms.items() if arm.train is not None]
        about = {getattr(c, "of", "main") for c in self.claims} | {"main"}
        if not about <= set(trained):
            about |= set(trained).difference(*(getattr(c, "must_fail", ()) for c in self.claims))
        names = [n for n in trained if n in read] or [n for n in trained if n in about] or trained
        runs: dict[str, tuple[S, ...]] = {}
        for name in (*names, *trained):
            if name in names or not any(runs.values()):  # an arm may be there without a run
                every = self.specs_of(name, specs)
                runs[name] = tuple(s for s in every if not where or scopes.fits(s, where)) or every
        return self.speaks_for(preset, {name: of for name, of in runs.items() if of})

    def speaks_for(self, preset: str, runs: Mapping[str, tuple[Spec, ...]]) -> str:
        """Give the model, site, text and sizes that verdicts on these runs, by arm, are about."""
        words = (self.elsewhere[preset].scope if preset in self.elsewhere else "") or self.scope
        if callable(words):
            return words(preset, runs)
        return scopes.sentence(words, [s for specs in runs.values() for s in specs])

    def specs_of(self, arm: str, specs: tuple[S, ...]) -> tuple[S, ...]:
        """Give an arm's specs for those of a preset: by the arm it builds on, then its own map."""
        return tuple(spec for spec, _ in self.pairs(arm, specs))

    def pairs(self, arm: str, specs: tuple[S, ...]) -> tuple[tuple[S, S | None], ...]:
        """Give an arm's specs, each with the spec of the run it builds on, if any.

        The map of an arm with `after` is asked for each parent's spec by itself, so it may leave
        runs out."""
        cached = self._paired.get(arm)
        if cached is None or cached[0] is not specs:
            self._paired[arm] = cached = (specs, self._pairs(arm, specs))
        return cached[1]

    @cached_property
    def _paired(self) -> dict[str, tuple[tuple[S, ...], tuple[tuple[S, S | None], ...]]]:
        """The specs for which `pairs` was last asked of each arm, and what it gave: a command asks
        for those of one preset many times."""
        return {}

    def _pairs(self, arm: str, specs: tuple[S, ...]) -> tuple[tuple[S, S | None], ...]:
        a = self.arms[arm]
        if a.after is None:
            return tuple((s, None) for s in (a.specs(specs) if a.specs is not None else specs))
        parents = self.specs_of(a.after, specs)
        return tuple(
            (child, p)
            for p in parents
            for child in (a.specs((p,)) if a.specs is not None else (p,))
        )


def _at_home(experiment: Experiment[Any], name: str, other: Elsewhere[Any]) -> Elsewhere[Any]:
    """Give a preset's design the name and the file of the experiment."""
    if other.design is None:
        return other
    design = replace(
        other.design,
        name=experiment.name,
        origin=experiment.origin,
        elsewhere={name: Elsewhere(other.specs, other.scope)},
    )
    return replace(other, design=design)


def _check_presets(experiment: Experiment[Any]) -> None:
    """Refuse presets without a name or a scope of their own. Raises: ExperimentError."""
    for name, other in experiment.elsewhere.items():
        if name in (*PRESETS, "full") or not re.fullmatch("[a-z][a-z0-9]*", name):
            raise ExperimentError(
                "a further preset has a name of small letters and digits that is none of "
                f"smoke, default and full; got {name!r}"
            )
        home = experiment._says(experiment.default)
        told_apart = other.scope or experiment._says(other.specs) != home
        if not other.specs or not told_apart:
            raise ExperimentError(
                f"preset {name} needs specs, and a scope: for which model, site and "
                "corpus its verdicts speak"
            )
    if experiment.seeds_per_group < 1:
        raise ExperimentError(
            f"seeds_per_group must be at least 1, got {experiment.seeds_per_group}"
        )
    for name in experiment.frozen:
        specs = (*experiment.smoke, *experiment.default, *experiment.full)
        if len({getattr(s, name) for s in specs}) > 1:
            raise ExperimentError(
                f"frozen names {name}, which differs between presets; put a placeholder for it "
                "into the sentence"
            )


HEADER_KEYS = ("Paper", "Claim", "Baselines", "Cost")
OPTIONAL_KEYS = ("Group", "Seed")


@dataclass(frozen=True)
class Header:
    """The first lines of an experiment file, read as text: its title and the text under Paper,
    Claim, Baselines, Cost, and optionally Group and Seed."""

    title: str
    paper: str
    claim: str
    baselines: str
    cost: str
    seed: str = ""
    group: str = ""
    """Where `assay list` shows it, one word."""


def read_header(path: Path) -> Header:
    """The header block of an experiment file, without importing it.

    Raises: ExperimentError when the text before its end cannot be parsed, or when keys are missing
    or unknown."""
    try:
        text = foreign.read(path, "a Python file", foreign.LONGEST).decode()
        doc = syntax.docstring(text, str(path))
        loop = _loop(text) if "measured(" in text else None
    except DataError as e:
        raise ExperimentError(str(e)) from e
    except (SyntaxError, UnicodeDecodeError, ValueError, RecursionError, MemoryError) as e:
        line = getattr(e, "lineno", None)
        raise ExperimentError(
            f"{path}{f' line {line}' if line else ''} is not a Python file: {getattr(e, 'msg', e)}"
        ) from e
    if loop is not None:
        return _of_loop(loop, doc or path.stem.replace("_", " ").capitalize())
    if not doc:
        raise ExperimentError(
            f"{path} has no header; an experiment starts with a docstring: title, then "
            f"{', '.join(HEADER_KEYS)}"
        )
    # The title may go on for a second line; an empty line or the first key ends it.
    head = re.split(r"\n\n|\n(?=[A-Z][a-z]+:)", doc, maxsplit=1)
    title, body = " ".join(head[0].split()), "".join(head[1:])
    sections: dict[str, str] = {}
    current = ""
    for line in body.splitlines():
        name, colon, text = line.partition(":")
        if colon and name in (*HEADER_KEYS, *OPTIONAL_KEYS):
            current = name
            sections[name] = text.strip()
        elif colon and name.isalpha() and name[:1].isupper() and line == line.lstrip():
            raise ExperimentError(
                f"{path}: unknown header key {name}; keys: {', '.join(HEADER_KEYS)} and, "
                f"optionally, {', '.join(OPTIONAL_KEYS)}"
            )
        elif current and line.strip():
            sections[current] += " " + line.strip()
    missing = [k for k in HEADER_KEYS if not sections.get(k)]
    if missing:
        raise ExperimentError(
            f"{path}: the header lacks {', '.join(missing)}; it needs a title line and "
            f"{', '.join(HEADER_KEYS)}"
        )
    return Header(
        title.strip().rstrip("."),
        sections["Paper"],
        sections["Claim"],
        sections["Baselines"],
        sections["Cost"],
        sections.get("Seed", ""),
        sections.get("Group", ""),
    )


def _loop(text: str) -> ast.Call | None:
    """The call of `assay.measured` that makes a function of this file an experiment."""
    return next((n for n in ast.walk(syntax.module(text)) if syntax.is_measured(n)), None)


def _of_loop(call: ast.Call, doc: str) -> Header:
    """The header of a file that needs none, since `assay.measured` is given its claims and arms."""
    keywords = {k.arg: k.value for k in call.keywords}
    claims = [
        n.value
        for n in ast.walk(keywords.get("claims", call))
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and re.search("[<>]", n.value)
    ]
    arms = keywords.get("arms")
    keys = arms.keys if isinstance(arms, ast.Dict) else []
    names = [n.value for n in keys if isinstance(n, ast.Constant)]
    return Header(
        title=" ".join(doc.partition("\n\n")[0].split()).rstrip("."),
        paper="none",
        claim="; ".join(claims) or "as its file says",
        baselines=", ".join(str(n) for n in names if n != "main") or "as its file says",
        cost="not known",
    )
