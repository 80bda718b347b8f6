"""Measured: what a dictionary gives as an arm of a study: the sums of `assay evaluate` over each
document, from the same shards."""

from __future__ import annotations

import functools
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from typing import Any

import numpy as np

from assay.core.errors import DataError
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.core.spec import Spec, per_run_fields
from assay.data.corpus import Corpus
from assay.dictionaries.baselines.directions import PULL, random_directions
from assay.dictionaries.baselines.linear import pca
from assay.dictionaries.measuring.measures import FIRINGS, SUMS, TABLE
from assay.evaluation import measure, sources, summary, texts
from assay.evaluation.setting import Setting
from assay.evaluation.sources import Source
from assay.evaluation.text import Plan, plan
from assay.evaluation.watching import Begun, SoFar, Warned
from assay.lab.store.store import Store
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import load
from assay.subjects.site import Site

TERMS = tuple(dict.fromkeys(t for m in TABLE for t in m.terms if t != "firings"))
"""The sums over a document's tokens that measures are made of."""
DENSITY = tuple(m.name for m in TABLE if m.terms == FIRINGS)
"""Measures of a whole dictionary, which no document has for itself."""
BASELINES: Mapping[str, str] = {
    "pca": "as many principal components as features are on",
    "random": "as many random directions, each on as often, with the decoder that fits them best",
    "rescaled": "the same dictionary after rescale & shift",
}
"""What can be made of a dictionary to stand beside it, each fitted to windows of the text that are
not measured."""


@dataclass(frozen=True, kw_only=True)
class MeasuredSpec(Spec):
    """The measurement of a dictionary: which one by name, on what, and how. Contents are among what
    the run reads."""

    label: str
    of: tuple[str, ...] = ()
    """Files, folders or stored runs, one for each seed from 0; empty where an arm trains them."""
    trained: str = ""
    """The arm that trains them, and what all of its runs share."""
    baseline: str = ""
    model: str = ""
    text: str = ""
    setting: str = ""
    """The setting of `assay evaluate`, as JSON."""
    reading: int = 1
    """Raised when the same files come to mean other numbers."""

    @property
    def asked(self) -> Setting:
        """The setting as a value."""
        return Setting.from_json(self.setting)


@functools.cache
def make_spec_class(parent: type[Spec]) -> type[MeasuredSpec]:
    """Make the kind of spec that measures runs of another: it has its fields that may differ
    between runs, so that `where` finds them."""
    hints = typing.get_type_hints(parent, include_extras=True)
    reserved = {*typing.get_type_hints(MeasuredSpec), "seed"}
    fields = {f.name: f for f in parent.__dataclass_fields__.values()}
    extra_fields: list[Any] = [
        (n, hints[n], field(default=fields[n].default, kw_only=True))
        for n in per_run_fields(parent)
        if n not in reserved
    ]
    namespace = {
        "__module__": __name__,
        "__doc__": f"The measurement of a run of {parent.__name__}.",
    }
    return make_dataclass(
        f"Measured{parent.__name__}",
        extra_fields,
        bases=(MeasuredSpec,),
        frozen=True,
        kw_only=True,
        namespace=namespace,
    )


@dataclass(frozen=True)
class Where:
    """What dictionaries are measured on."""

    folder: ModelFolder
    corpus: Corpus
    setting: Setting

    def plan(self, source: Source) -> Plan:
        """What evaluating this dictionary does. Raises: DataError, ModelError."""
        return plan(source.fitted(self.folder), self.setting, self.folder, self.corpus)

    def at(self, plan: Plan) -> Where:
        """Keep place and windows for another dictionary, which does not say for itself where it
        belongs."""
        words, site = plan.text, plan.site
        setting = self.setting.replace(
            part=words.part,
            context=words.context,
            bos=words.bos,
            site=site.site,
            site_out=site.site_out,
        )
        return replace(self, setting=setting)


def measured(
    runs: Runs[MeasuredSpec],
    sources: Sequence[Source],
    where: Where,
    store: Store,
    device: torch.device,
    tick: Callable[[int, int], None],
) -> xr.Dataset:
    """The sums of each run's dictionary over each document, and its shares of rare features.

    Raises: DataError, ModelError; DataError where the runs of an arm read other windows.
    """
    baseline = runs.shared.baseline
    plans = [where.plan(s) for s in sources]
    if baseline:
        made = [make_baseline(baseline, p, where, store, device) for p in plans]
        pairs = zip(plans, made, strict=True)
        plans = [replace(where.at(p).plan(source), site=p.site) for p, source in pairs]
    known: dict[int, tuple[tuple[str, ...], dict[str, np.ndarray]]] = {}

    def watch(event: Warned | SoFar | Begun) -> None:
        """Keep silent about numbers so far: what runs tell is their progress."""

    for planned, words, sums, _ in texts.run(
        plans, store, where.folder, where.corpus, str(device), None, tick, watch
    ):
        known[id(planned)] = words.names, sums
    names = known[id(plans[0])][0]
    readings = [known[id(p)] for p in plans]
    if any(other != names for other, _ in readings):
        raise DataError(
            f"the dictionaries of {runs.shared.label} read other documents; say context and "
            "bos in fields"
        )
    run_terms = [_documents(sums) for _, sums in readings]
    shares = [_shares(sums) for _, sums in readings]
    variables = {
        t: ("run document", np.stack([values[t] for values in run_terms]), _unit(t))
        for t in TERMS
        if all(t in values for values in run_terms)
    }
    variables |= {m: ("run", np.array([values[m] for values in shares]), "1") for m in DENSITY}
    return measures(runs, coords={"document": names}, **variables)


def make_baseline(
    baseline: str, plan: Plan, where: Where, store: Store, device: torch.device
) -> Source:
    """The baseline of the dictionary of a plan, fitted to the windows that are set aside for
    constants. Raises: DataError."""

    from assay.dictionaries.baselines.repair import rescale_and_shift

    if plan.site.site != plan.site.site_out:
        raise DataError(
            f"{plan.source.name} reads {plan.site.site} and writes {plan.site.site_out}; a "
            "baseline is of one place"
        )
    x = _spare(plan, where, store, device)
    dictionary = plan.source.dictionary.to(device)
    with torch.no_grad():
        if baseline == "pca":
            on = dictionary.active(x)
            baseline_dictionary = pca(x, min(x.shape[1], max(1, round(len(on.row) / len(x)))))[0]
        elif baseline == "random":
            baseline_dictionary = random_directions(dictionary, x, plan.site.seed)
        else:
            baseline_dictionary = replace(
                rescale_and_shift(dictionary.normalised, dictionary.normalise(x)[0], pull=PULL),
                mean=dictionary.mean,
                scale=dictionary.scale,
            )
    baseline_dictionary = replace(
        baseline_dictionary,
        sites=(plan.site.site,),
        sites_out=(),
        origin={"made": baseline, "of": plan.source.sha256},
    ).to("cpu")
    source = sources.find([baseline_dictionary], store)[0]
    return replace(source, name=f"{baseline} of {plan.source.name}")


def _spare(plan: Plan, where: Where, store: Store, device: torch.device) -> torch.Tensor:
    """The activations that count in the windows that are not measured."""

    words = texts.windows(plan, store, where.folder, where.corpus)
    site, s = Site.parse(plan.site.site), plan.site

    def build(path: Any) -> None:
        subject = load(where.folder.name, str(device), typing.cast(Any, s.dtype))
        of_windows = words.spare, s.skip_first, s.outlier
        measure.constants(subject, site, site, *of_windows, path, plan.centred)

    path = store.artefact(plan.site, build)
    return torch.from_numpy(np.load(path / "rows.npy")).float().to(device)


def _documents(sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The terms of one dictionary, [document]; NaN where a document has nothing of their kind."""
    return summary.terms({n: x for n, x in sums.items() if n not in ("firings", "shards")})


def _shares(sums: Mapping[str, np.ndarray]) -> dict[str, float]:
    tokens, firings = float(sums["tokens"].sum()), sums["firings"].sum(0)
    return {m.name: float(m.of(firings, tokens)) for m in TABLE if m.terms == FIRINGS}


def _unit(term: str) -> str:
    if term in SUMS:
        return SUMS[term]
    return "tokens" if term.endswith("predictions") else "nats"


def parent_fields(spec: Spec) -> str:
    """What all runs of a trained arm share, so that a dictionary of other fields is another one:
    canonical JSON."""
    varying = {*per_run_fields(type(spec))}
    return json.dumps(
        {k: v for k, v in json.loads(spec.to_json()).items() if k not in varying},
        sort_keys=True,
        separators=(",", ":"),
    )
