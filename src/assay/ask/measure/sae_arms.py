"""The arm of a dictionary that a study trains: how well it reconstructs activations that it did not
learn from, as sums over each document or prompt, and what controls measure instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from assay.ask import near
from assay.ask.measure import saes
from assay.ask.measure.measuring import PASS, SIGNS, Measured, Tick, blocks
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.saes import Learning
from assay.ask.measure.tasks import WithoutReads, stated
from assay.ask.near import Control
from assay.ask.tables import Model, Train
from assay.core.bench import Bench
from assay.core.columns import Axes
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.data.names import text_in_words
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.measures import FIRINGS, FVU_OF, SUMS, TABLE
from assay.evaluation import measure as sums_of
from assay.evaluation import summary
from assay.subjects.pretrained import fast_dtype

MEAN = "mean"
"""The arm main of a study without reads: the mean activation instead of every reconstruction, with
FVU 1."""
DEAD = next(m for m in TABLE if m.name == "dead")
QUANTITIES = {m.name: m for m in TABLE if m.terms != FIRINGS and {*m.terms} <= {*SUMS}}
QUANTITIES |= {FVU_OF.name: FVU_OF}
NORMS: Mapping[str, str] = {
    "relative_norm": "of each latent, ‖second‖ / (‖first‖ + ‖second‖) of its decoder row's parts",
    "shared": "share of latents of both models: their relative_norm is .3 to .7",
    "exclusive": "share of latents of one model: their relative_norm is below .1 or above .9",
}
"""Measures of a crosscoder of two models for each latent that is active for some token."""
MODEL, LATENT = "model", "latent"
"""The dimensions of measures of a crosscoder of two models."""
ROWS = 4096
"""Tokens that are measured at once."""
HARVESTED = 0.2
"""The time of a pass in bfloat16, relative to float32."""
STEP = 5e-11
"""CPU-seconds of a training step for each row, latent and coordinate of the activations."""
ACTIVE = 800
"""The cost of the active latents in a step, as a number of latents; measured in SmolLM2 with 32 of
512, 1024 and 2048 active."""


@dataclass(frozen=True)
class SaeTask(WithoutReads):
    """What one arm of a trained dictionary measures; studies use it like `tasks.Task`."""

    model: Model
    table: Train
    """With defaults filled in, and the path of its text."""
    source: PromptSet | None = None
    control: str = ""
    documents: tuple[str, ...] = ()
    """The documents of a text on which it may be measured."""
    other: Model | None = None
    """The second model of a crosscoder of two."""
    intervention: None = None
    learns_here: bool = False

    @property
    def models(self) -> tuple[Model, ...]:
        """The models whose activations it reads."""
        return (self.model, self.other) if self.other else (self.model,)

    @property
    def sets(self) -> tuple[PromptSet, ...]:
        """The prompts that determine its numbers."""
        return (self.source,) if self.source else ()

    @property
    def unit(self) -> str:
        """The unit over which is generalised, besides seeds."""
        return self.source.unit if self.source else "document"

    @property
    def levels(self) -> list[str]:
        """The levels of the unit; for a text at most these, as short documents may fill no
        window."""
        if self.source is None:
            return [*self.documents[: saes.TEST]]
        return list(dict.fromkeys(self.source.units(self.source.halves()[1])))

    @property
    def drawn(self) -> bool:
        """Whether seeds differ, that is, whether each trains its own dictionary."""
        return self.table.per_seed and self.control != MEAN

    @property
    def phrase(self) -> str:
        """What it is, in words."""
        t, place = self.table, " and ".join(saes.reads_at(self.table))
        if self.control == MEAN:
            return f"its mean activation at {t.site_out or place}"
        way = f" to {t.site_out}" if t.site_out else ""
        each = ", one of each seed" if t.per_seed else ""
        place += f" of {' and '.join(t.models)}" if t.models else ""
        return f"{t.name}: {t.dictionary} of {t.d_sae:,} latents at {place}{way}{each}"

    @property
    def words(self) -> dict[str, Any]:
        """What determines its numbers besides the contents of models, prompts and text."""
        table = {k: v for k, v in stated(self.table).items() if k not in ("name", "of", "text")}
        return {"trained": table, "control": self.control, "untrained": [False]}

    def range_of(self, measure: str) -> tuple[float | None, float | None]:
        """The smallest and the largest value of a measure for one unit; None if unbounded."""
        return (0.0, 1.0) if measure in (DEAD.name, *NORMS) else (None, None)

    def about(self, measure: str) -> tuple[str, str, str]:
        """Describe a measure: what it is, its unit, and which way is better."""
        if measure in NORMS:
            return NORMS[measure], "1", ""
        if (term := measure.removesuffix("_of")) in SUMS:
            each = ", of each model" if term != measure else ""
            return f"sum over the tokens of a {self.unit}{each}", SUMS[term], ""
        m = QUANTITIES.get(measure, DEAD)
        return f"{m.label}: {m.formula}", m.unit, "" if m.better == "neither" else m.better

    @property
    def in_words(self) -> str:
        """What it is measured on."""
        if self.source:
            return f"{len(self.levels)} of {len(self.source.rows)} prompts"
        return f"documents that were not learned from of {text_in_words(self.table.text)}"


def controls_of(task: SaeTask) -> tuple[Control, ...]:
    """The near controls of a dictionary, or of a crosscoder of two models."""
    if task.other:
        return (near.DIRECTIONS, near.FROZEN, near.OTHER_UNTRAINED, near.ITSELF)
    return (near.DIRECTIONS, near.FROZEN, near.NOT_TRAINED)


def axes(task: SaeTask) -> dict[str, Axes]:
    """The measures of an arm, with their dimensions. A single dictionary has no share of dead
    latents that could be generalised."""
    levels = task.levels if task.source else ()
    measured: dict[str, Axes] = {term: {task.unit: levels} for term in SUMS}
    if models := task.table.models:
        measured |= {term: {task.unit: levels, MODEL: models} for term in FVU_OF.terms}
        latents = range(task.table.d_sae or 0)
        measured |= {name: {LATENT: latents} for name in NORMS if task.control != MEAN}
    return measured | ({DEAD.name: {}} if task.drawn else {})


def passes_of(task: SaeTask) -> tuple[Any, ...]:
    """What determines the activations that an arm reads: arms that agree in this share the model's
    passes."""
    t = task.table
    twin_seed = t.seed if task.control == near.NOT_TRAINED.name else None
    twice = task.control if task.control in (near.ITSELF.name, near.CHANGED.name) else ""
    return (
        task.model,
        t.models,
        twice,
        twin_seed,
        saes.sites_of(t),
        t.prompts,
        t.text,
        t.tokens,
        t.context,
    )


def passes(task: SaeTask, size: Mapping[str, int]) -> float:
    """Estimate the CPU-seconds of a model's passes up to the site of a dictionary."""
    t = task.table
    assert t.tokens and t.context
    tokens = t.tokens + saes.TEST * t.context
    if task.source:
        tokens = sum(len(row.text) for row in task.source.rows) // SIGNS
    layers = [s.layer + 1 for s in saes.sites_of(t) if s.layer is not None]
    share = max(layers, default=1) / size["layers"]
    slow = task.source or fast_dtype() == "float32"
    return len(task.models) * PASS * tokens * blocks(size) * share * (1 if slow else HARVESTED)


def seconds(task: SaeTask, size: Mapping[str, int], runs: int) -> float:
    """Estimate the CPU-seconds of the training of so many runs of an arm, in a model of this
    size."""
    t = task.table
    assert t.steps and t.batch and t.d_sae
    trains = task.control not in (near.DIRECTIONS.name, MEAN)
    a_step = STEP * t.batch * (t.d_sae + ACTIVE) * size["d"]
    return trains * runs**task.drawn * t.steps * a_step


def measure(
    task: SaeTask,
    learning: Callable[[int], Learning],
    seeds: Int[np.ndarray, " run"],
    bench: Bench,
    tick: Tick,
) -> tuple[Measured, dict[str, list[Any]]]:
    """Measure one arm: its sums by name, as (dims, array, unit), and the levels of their dims.

    Args:
        task: the arm.
        learning: seed → the training of the dictionary of the arm, or of its control.
        seeds: of the runs.
        bench: stores activations and dictionaries.
        tick: is called with the number of measured dictionaries.
    Raises: DataError if there is nothing to measure on."""
    distinct = [int(s) for s in dict.fromkeys(seeds.tolist())] if task.drawn else [task.table.seed]
    sums: list[dict[str, np.ndarray]] = []
    norms: list[dict[str, np.ndarray]] = []
    dead: list[float] = []
    names: tuple[str, ...] = ()
    for n, seed in enumerate(distinct):
        trained = learning(seed)
        ways = {near.DIRECTIONS.name: trained.random, MEAN: trained.mean}
        dictionary = ways.get(task.control, trained.measured)(bench)
        acts = trained.acts(bench, test=True)
        if not len(acts.unit):
            raise DataError(f"nothing is left on which {task.table.name!r} could be measured")
        by_unit, firings = _sums(dictionary, acts)
        names = acts.names
        if task.table.models:
            by_unit |= _sums_of_models(dictionary, acts)
        if task.table.models and task.control != MEAN:
            norms.append(_of_norms(dictionary, acts, firings))
        sums.append(by_unit)
        dead.append(float(DEAD.of(firings, float(by_unit["tokens"].sum()))))
        if len(distinct) > 1:
            tick(n + 1, len(distinct))
    back = {seed: i for i, seed in enumerate(distinct)}
    index = [back.get(int(s), 0) for s in seeds]
    dims = f"run {task.unit}"
    measured: Measured = {
        term: (dims, np.stack([s[term] for s in sums])[index], unit) for term, unit in SUMS.items()
    }
    coords: dict[str, list[Any]] = {task.unit: list(names)}
    if task.table.models:
        coords |= {MODEL: [*task.table.models]}
        for term in FVU_OF.terms:
            values = np.stack([s[term] for s in sums])[index]
            measured[term] = (f"{dims} {MODEL}", values, SUMS[term.removesuffix("_of")])
    for name in NORMS if norms else ():
        coords |= {LATENT: [*range(dictionary.width)]}
        measured[name] = (f"run {LATENT}", np.stack([n[name] for n in norms])[index], "1")
    if task.drawn:
        measured[DEAD.name] = ("run", np.array(dead)[index], "1")
    return measured, coords


def _sums_of_models(dictionary: Dictionary, acts: saes.Acts) -> dict[str, np.ndarray]:
    """The squared error and the variance in each model of a crosscoder of two, [unit, model]."""
    reads = (
        dictionary if dictionary.b_pre is not None else replace(dictionary, b_pre=dictionary.b_dec)
    )
    sums, begin = [], 0
    for width in acts.parts:
        span = slice(begin, begin := begin + width)
        mean = dictionary.mean
        writes = replace(
            reads,
            W_dec=reads.W_dec[:, :, span],
            b_dec=reads.b_dec[:, span],
            mean_out=None if mean is None else mean[:, span],
        )

        def rows(index: Int[np.ndarray, " b"], span: slice = span) -> tuple[torch.Tensor, ...]:
            (x,) = acts.rows(index)
            return x, x[:, span]

        part = replace(acts, rows=rows, mean=(acts.mean[0], acts.mean[0][span]))
        sums.append(_sums(writes, part)[0])
    return {t: np.stack([s[t.removesuffix("_of")] for s in sums], -1) for t in FVU_OF.terms}


def _of_norms(
    dictionary: Dictionary, acts: saes.Acts, firings: Float[np.ndarray, " f"]
) -> dict[str, Float[np.ndarray, " f"]]:
    """The relative decoder norm of each latent, with both models' activations scaled to the same
    mean length, and the model to which it therefore belongs; NaN for a latent that is never
    active.

    Source: Sparse Crosscoders (2024), "Model Diffing"
    """
    parts = dictionary.W_dec[0].double().split(acts.parts, -1)
    first, second = (part.norm(dim=-1).numpy() for part in parts)
    whole = np.where((firings > 0) & (first + second > 0), first + second, np.nan)
    r = second / whole
    shared, exclusive = (r >= 0.3) & (r <= 0.7), (r < 0.1) | (r > 0.9)
    is_on = np.where(np.isnan(r), np.nan, 1.0)
    return {"relative_norm": r, "shared": shared * is_on, "exclusive": exclusive * is_on}


def _sums(dictionary: Any, acts: saes.Acts) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The sums of `assay evaluate` over the tokens of each unit, and how often each latent is
    active."""
    total: dict[str, torch.Tensor] = {}
    firings = np.zeros(dictionary.width)
    count, centre = len(acts.names), acts.mean[-1]
    for begin in range(0, len(acts.unit), ROWS):
        rows = np.arange(begin, min(begin + ROWS, len(acts.unit)))
        xs, unit = acts.rows(rows), torch.from_numpy(acts.unit[rows])
        sums_of.add(total, sums_of.of_activations(xs[-1], unit, count, centre))
        more, on, _ = sums_of.of_dictionary(dictionary, xs[0], xs[-1], unit, count, centre)
        sums_of.add(total, more)
        firings += on.cpu().numpy()
    moved = summary.terms(sums_of.arrays(total))
    return {term: moved[term] for term in SUMS}, firings
