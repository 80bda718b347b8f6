"""showcase: the dictionaries that Assay trains to be shown, one of each model that it fetches, as
artefacts of a store that are opened by name: showcase/smollm2, showcase/gemma3-270m."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from assay.core import probes
from assay.core.bench import Bench
from assay.core.errors import DataError, nearest
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.data import corpus as corpora
from assay.data.checkpoint import Alone
from assay.data.harvest import HarvestSpec, harvest
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.selection import TopK
from assay.dictionaries.training import losses
from assay.subjects import folder as models

PREFIX = "showcase/"
FILE = "dictionary.safetensors"


@dataclass(frozen=True, kw_only=True)
class ShowcaseSpec(Spec):
    """A TopK dictionary of a late block's input, where what a feature writes can be read as
    promoted tokens, on prose."""

    subject: str = "smollm2"
    corpus: str = corpora.DOCS
    layer: Annotated[int, Ge(1)] = 25
    windows: Annotated[int, Ge(1)] = 2000
    width: Annotated[int, Ge(1)] = 3072
    k: Annotated[int, Ge(1)] = 16
    batch: Annotated[int, Ge(1)] = 1024
    steps: Annotated[int, Ge(1)] = 1500
    lr: Annotated[float, Gt(0)] = 2e-3
    encoder_scale: Annotated[float, Gt(0)] = 0.3
    """The encoder starts as this times the decoder: from 1 half as many features had readable
    tokens (pilot seed 0)."""
    dead_after: Annotated[int, Ge(1)] = 50_000
    """Rows without a firing after which AuxK brings a feature back."""

    def text(self) -> HarvestSpec:
        """The harvest of the training text."""
        site = f"blocks.{self.layer}.hook_resid_pre"
        return HarvestSpec(
            subject=self.subject, site=site, corpus=self.corpus, windows=self.windows
        )


RECIPES: Mapping[str, ShowcaseSpec] = {
    "smollm2": ShowcaseSpec(),
    "gemma3-270m": ShowcaseSpec(subject="gemma3-270m", layer=14, windows=1000, steps=1200),
}
"""By name, as the pilot settled them: its measures are in docs/explorer.md."""


def recipe(model: str) -> ShowcaseSpec:
    """The recipe of a model. Raises: DataError for one that has none."""
    if model not in RECIPES:
        raise DataError(f"no showcase of {model!r}; {nearest(model, RECIPES)}")
    return RECIPES[model]


def artefact(spec: ShowcaseSpec) -> ShowcaseSpec:
    """The spec under which the dictionary is kept: model and text by content."""
    text = corpora.load(spec.corpus).fingerprint
    return spec.replace(subject=models.fingerprint(spec.subject), corpus=text)


def showcase(spec: ShowcaseSpec, bench: Bench) -> Path:
    """The file of the dictionary, trained now or before; a training that was killed resumes.

    The same spec gives the same weights (same machine type, versions and one thread)."""
    return bench.artefact(artefact(spec), lambda path: _train(spec, path, bench)) / FILE


def _train(spec: ShowcaseSpec, path: Path, bench: Bench) -> None:
    from assay.dictionaries.training.train import Method, fit_dictionaries

    data = harvest(spec.text(), bench)
    checkpoint, runs = Alone(bench, path), Runs([spec])
    method = Method(
        TopK(spec.k),
        losses.TopKAux(dead_after=spec.dead_after),
        width=spec.width,
        lr=np.array([spec.lr]),
        penalty=np.zeros(1),
        betas=(0.9, 0.999),
        encoder_scale=spec.encoder_scale,
    )
    (trained,) = fit_dictionaries(
        [(runs, method)],
        data.batches(runs.seeds, spec.batch),
        d=data.d,
        steps=spec.steps,
        bench=checkpoint,
        mean=data.mean,
        scale=data.scale,
        sites=(data.spec.site,),
        probe_at=probes(spec.steps, 20),
        trained_on=data.trained_on,
    )
    Dictionary.of(trained).save(path / FILE)
    checkpoint.file.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class Showcase:
    """The dictionary that shows a model best."""

    name: str
    """What `assay serve`, `evaluate` and `assay.load` take."""
    file: Path
    model: str
    site: str
    text: str
    width: int
    k: int
    tokens: int
    """Tokens of the text that it was trained on, many times over."""
    found: bool
    """Whether it was trained before, and nothing was run now."""


def shown(model: str, spec: ShowcaseSpec, file: Path, is_found: bool) -> Showcase:
    """Describe the showcase of a model."""
    text = spec.text()
    return Showcase(
        name=f"{PREFIX}{model}",
        file=file,
        model=model,
        site=text.site,
        text=spec.corpus,
        width=spec.width,
        k=spec.k,
        tokens=text.windows * text.context,
        found=is_found,
    )
