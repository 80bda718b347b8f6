"""The method of end-to-end: how dictionaries are trained on the same windows, and what splicing
them into the model does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge
from jaxtyping import Bool, Float, Int

from assay.core import Bench, Runs, SpecError, Trained, probes
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data.harvest import Harvest
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.ablation import capture, compare, spliced_run
from assay.dictionaries.training.freezing import Part, freeze
from assay.subjects.site import Site
from assay.train.rng import integers
from assay_catalogue.dictionaries.on_text import TinyModelDictionary, fit_on, topk


@dataclass(frozen=True, kw_only=True)
class EndToEnd(TinyModelDictionary):
    objective: Literal["kl", "local"] = "kl"
    """What training makes small: KL between the model's predictions and those with the
    reconstruction in place; or the squared error."""
    later: Annotated[float, Ge(0)] = 0.0
    """Weight of the errors of later blocks' inputs, beside KL."""
    frozen: Part = ""
    """The part of the dictionary that is not learned."""
    model_steps: Annotated[int, Ge(1)] = 400
    model_batch: Annotated[int, Ge(1)] = 32
    """Windows in each of them."""
    layers: Annotated[int, Ge(2)] = 3
    """Its blocks."""
    block: Annotated[int, Ge(0)] = 1
    """The block whose input is decomposed."""
    k: Annotated[int, Ge(1)] = 4
    windows: Annotated[int, Ge(1)] = 2000
    per_file: Annotated[int, Ge(1)] = 2
    """Test windows from one file, at most."""
    tested: Annotated[int, Ge(0)] = 0
    """Test windows; 0: all there are."""
    context: Annotated[int, Ge(2)] = 64
    """Tokens in a window."""
    batch: Annotated[int, Ge(1)] = 4
    """Windows a step."""
    steps: Annotated[int, Ge(1)] = 450
    order: int = 0
    """Which order the text comes in."""

    def check(self) -> None:
        """Raise SpecError where no block's input comes after the site, or local training asks for
        later errors."""
        if self.block + 1 >= self.layers:
            raise SpecError(
                f"EndToEnd.block must leave a later block of {self.layers}, got {self.block}"
            )
        if self.later and self.objective == "local":
            raise SpecError(
                "EndToEnd.later weighs errors beside KL: local training has none, set later=0"
            )

    @property
    def site(self) -> str:
        """The input of the block."""
        return f"blocks.{self.block}.hook_resid_pre"


AT_ONCE = 16
"""Test windows in one pass through the model."""


def texts(s: EndToEnd, bench: Bench) -> tuple[Harvest, Harvest]:
    """(training harvest, test harvest) of the site in this seed's model."""
    return s.activations(s.site, bench, windows=s.tested, per_file=s.per_file)


def chosen(s: EndToEnd, data: Harvest, step: int) -> Int[np.ndarray, "w"]:
    """The training windows of a step: the same for every dictionary of a seed, however it is
    trained."""
    return integers(
        np.array([s.seed]),
        f"end-to-end.windows.{s.order}",
        step,
        (s.batch,),
        len(data.windows.tokens),
    )[0]


def windows(
    s: EndToEnd, data: Harvest
) -> Callable[[int], tuple[Int[torch.Tensor, "w s"], Bool[torch.Tensor, "w s"]]]:
    """Tokens and the positions that are replaced, as a function of the step."""

    def draw_batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        indices = chosen(s, data, step)
        return torch.from_numpy(data.tokens[indices].astype(np.int64)), torch.from_numpy(
            data.keep[indices]
        )

    return draw_batch


def rows(s: EndToEnd, data: Harvest) -> Callable[[int], Float[torch.Tensor, "b d"]]:
    """The activations at just these positions, for training that needs no model."""

    def draw_batch(step: int) -> torch.Tensor:
        indices = chosen(s, data, step)
        return data.rows((indices[:, None] * s.context + np.arange(s.context))[data.keep[indices]])

    return draw_batch


def train(runs: Runs[EndToEnd], bench: Bench) -> Trained:
    """The dictionary of one seed; a seed has a model of its own, so it is a group of its own."""
    from assay_catalogue.dictionaries.endtoend import fit_end_to_end

    (s,) = runs.specs
    data, _ = texts(s, bench)
    groups = [(runs, freeze(topk(runs), s.frozen))]
    if s.objective == "local":
        return fit_on(data, groups, bench, batches=rows(s, data))[0]
    return fit_end_to_end(
        groups,
        data.model(bench.device),
        Site.parse(s.site),
        windows(s, data),
        steps=s.steps,
        bench=bench,
        later=s.later,
        mean=torch.from_numpy(data.mean),
        scale=data.scale,
        probe_at=probes(s.steps, 20),
        trained_on=data.trained_on,
    )[0]


def measure(runs: Runs[EndToEnd], trained: Trained, bench: Bench) -> xr.Dataset:
    """By document: nats lost by splicing, errors at the site and at later blocks' inputs; features
    in use and how near they lie."""
    (s,) = runs.specs
    _, test = texts(s, bench)
    dictionary = Dictionary.of(trained)
    sums = spliced_sums(s, test, dictionary, bench)
    variables = {name: (f"run {dims}", x[None], unit) for name, (dims, x, unit) in sums.items()}
    firings = (
        (dictionary.normalised.encode(test.rows(test.kept).to(bench.device)) > 0)
        .sum(0)
        .cpu()
        .numpy()
    )
    variables["live"] = ("run", np.array([(firings > 0).sum()], float), "features")
    variables["nearest"] = ("run", np.array([nearest(dictionary.W_dec[0][firings > 0])]), "cosine")
    variables["loss"] = ("run step", trained.history["loss"], "1")
    files = np.unique(test.windows.document)
    coords = {
        "document": [test.files[f] for f in files],
        "later": list(range(s.block + 1, s.layers)),
        "step": trained.steps.tolist(),
    }
    return measures(runs, coords=coords, **variables)


def spliced_sums(
    s: EndToEnd, test: Harvest, dictionary: Dictionary, bench: Bench
) -> dict[str, tuple[str, np.ndarray, str]]:
    """Sums over each test document with the reconstruction in place at the kept positions: {name:
    (dims, sums, unit)}."""

    from assay.dictionaries.measuring.sums import by_document

    model, site = test.model(bench.device), Site.parse(s.site)
    after = [Site("resid_pre", layer) for layer in range(s.block + 1, s.layers)]
    files, document = np.unique(test.windows.document, return_inverse=True)
    lost: dict[str, list[torch.Tensor]] = {name: [] for name in ("clean", "ce", "kl", "ablated")}
    true: list[list[torch.Tensor]] = [[] for _ in (site, *after)]
    off: list[list[torch.Tensor]] = [[] for _ in (site, *after)]
    mean = torch.from_numpy(test.mean)
    for first in range(0, len(test.tokens), AT_ONCE):
        batch = slice(first, first + AT_ONCE)
        tokens = torch.from_numpy(test.tokens[batch].astype(np.int64))
        keep = torch.from_numpy(test.keep[batch])
        passage, clean = capture(model, site, tokens, keep, also=after)
        x = passage.acts
        new = dictionary.reconstruct(x.flatten(0, 1)).view_as(x)
        spliced = spliced_run(model, site, passage, new, also=after)
        ce, kl = compare(
            clean, [spliced, spliced_run(model, site, passage, mean.to(x).expand_as(x))]
        )
        for name, nats in zip(lost, (ce[0], ce[1], kl[0], ce[2]), strict=True):
            lost[name].append(nats.sum(1))
        for i, (a, b) in enumerate(
            [(x, new), *((clean.acts[place], spliced.acts[place]) for place in after)]
        ):
            true[i].append(a[passage.keep].float())
            off[i].append((b[passage.keep].float() - true[i][-1]).square().sum(1))
    of_window, n = torch.from_numpy(document), len(files)
    of_row = of_window[torch.from_numpy(test.kept // s.context)]
    out = {
        name: ("document", by_document(torch.cat(x), of_window, n), "nat")
        for name, x in lost.items()
    }
    out["predictions"] = (
        "document",
        np.bincount(document, minlength=n) * float(s.context - 1),
        "tokens",
    )
    errors: list[np.ndarray] = []
    variances: list[np.ndarray] = []
    for some, rest in zip(true, off, strict=True):
        rows = torch.cat(some).double()
        variances.append(by_document((rows - rows.mean(0)).square().sum(1), of_row, n))
        errors.append(by_document(torch.cat(rest), of_row, n))
    for name, sums in (("error", errors), ("variance", variances)):
        out[name] = ("document", sums[0], "squared activation")
        out[f"later_{name}"] = ("later document", np.stack(sums[1:]), "squared activation")
    return out


def nearest(rows: Float[torch.Tensor, "f d"]) -> float:
    """The mean over features of the largest cosine with another feature's decoder row; NaN for
    fewer than two."""
    if len(rows) < 2:
        return float("nan")
    unit = torch.nn.functional.normalize(rows, dim=1)
    return float((unit @ unit.T).fill_diagonal_(-1).max(1).values.mean())
