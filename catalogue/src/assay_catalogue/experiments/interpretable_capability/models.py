"""The ladder of a real model: its most influential blocks, more of them at each rung; what it can
do on tasks, and how much of that circuits and dictionaries carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Float

from assay.core import Bench, Runs, Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data import corpus as corpora
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.training.freezing import freeze
from assay.subjects.pretrained import Pretrained, load, without
from assay.subjects.site import Site
from assay.subjects.subject import Edit, Trace
from assay.train import rng
from assay_catalogue.dictionaries.on_text import InWords, TextDictionary, topk
from assay_catalogue.experiments.interpretable_capability.tasks import TASKS, Prompts, prompts

OUTLIER = 6.0
"""Activations longer than so many medians are left out, as harvests leave them out, and so is
position 0."""
KINDS = ("learned", "frozen")
"""The dictionaries of a rung: TopK, and the same with decoder rows near random ones."""


@dataclass(frozen=True, kw_only=True)
class ModelLadder(InWords, TextDictionary):
    """A language model, and what is left of it with blocks passed by."""

    subject: str = "smollm2"
    """The language model: "smollm2", "gemma3-270m", a local folder or a hub's name."""
    kept: tuple[Annotated[float, Gt(0), Le(1)], ...] = (0.5, 0.75, 0.9, 1.0)
    """The share of its blocks that each rung keeps: those that turn the stream most."""
    selecting: Annotated[int, Ge(1)] = 5
    """Pairs of prompts of each task by which circuits are found."""
    judging: Annotated[int, Ge(1)] = 20
    """Others, on which everything is judged."""
    nodes: Annotated[float, Gt(0), Le(1)] = 0.2
    """The share of a rung's heads and MLPs that a circuit has."""
    corpus: str = corpora.DOCS
    windows: Annotated[int, Ge(1)] = 64
    """Windows on which dictionaries are trained."""
    context: Annotated[int, Ge(2)] = 128
    """Tokens in a window."""
    width: Annotated[int, Ge(1)] = 768
    k: Annotated[int, Ge(1)] = 32
    steps: Annotated[int, Ge(1)] = 300


def blocks(s: ModelLadder, model: Pretrained) -> list[list[int]]:
    """The blocks of each rung, in their order: those that turn the stream most on some text.

    Formula: influence 1 − E cos(stream before a block, stream behind it)
    Source: Men et al. 2024, ShortGPT: Layers in Large Language Models are More Redundant Than You
    Expect (arXiv 2403.03853)
    """
    tokens = _tokens(s, model)[:8]
    ends = [*(Site("resid_pre", n) for n in range(model.layers))]
    ends.append(Site("resid_post", model.layers - 1))
    acts = model.run(tokens, capture=ends, logits=False).acts
    stream = [acts[site][:, 1:] for site in ends]
    influence = [
        1 - float(torch.cosine_similarity(a, b, dim=-1).mean()) for a, b in pairwise(stream)
    ]
    order = np.argsort(-np.array(influence), kind="stable").tolist()
    return [sorted(order[: max(2, round(share * model.layers))]) for share in s.kept]


def passed(model: Pretrained, kept: Sequence[int]) -> list[int]:
    """The blocks that a rung passes by."""
    return [n for n in range(model.layers) if n not in kept]


def middle(kept: Sequence[int]) -> Site:
    """The stream half-way up a rung, which has a dictionary."""
    return Site("resid_pre", kept[len(kept) // 2])


def train(runs: Runs[ModelLadder], bench: Bench) -> Trained:
    """The dictionaries of every rung, named by it and by their kind."""
    from assay.dictionaries.training.train import fit_dictionaries

    (s,) = runs.specs
    model = load(s.subject, bench.device)
    tensors: dict[str, torch.Tensor] = {}
    headers: dict[str, Any] = {}
    diverged = np.zeros(1, bool)
    for rung, kept in enumerate(blocks(s, model)):
        x = _activations(s, model, kept)
        mean = x.mean(0)
        scale = float((x.shape[1] / (x - mean).square().sum(1).mean()) ** 0.5)
        rows = (x - mean) * scale

        def draw(step: int, rows: torch.Tensor = rows, rung: int = rung) -> torch.Tensor:
            purpose = f"interpretable-capability.batches.{rung}"
            return rows[rng.integers(runs.seeds, purpose, step, (s.batch,), len(rows))[0]]

        method = topk(runs)
        groups = [(runs, method), (runs, freeze(method, "soft-decoder"))]
        trained = fit_dictionaries(
            groups, draw, d=x.shape[1], steps=s.steps, mean=mean, scale=scale
        )
        for kind, part in zip(KINDS, trained, strict=True):
            name = f"{rung}.{kind}"
            headers[name] = dict(part.header)
            tensors |= {f"{name}.{key}": value for key, value in part.tensors.items()}
            diverged |= part.diverged
    return Trained(tensors, {"kind": "ladder", "parts": headers}, {}, np.zeros(0, int), diverged)


def _tokens(s: ModelLadder, model: Pretrained) -> torch.Tensor:
    text = corpora.load(s.corpus)
    cut = text.windows(model.encode, "train", context=s.context, count=s.windows, seed=s.seed)
    return torch.from_numpy(cut.tokens.astype(np.int64))


def _activations(
    s: ModelLadder, model: Pretrained, kept: Sequence[int]
) -> Float[torch.Tensor, "n d"]:
    """What the dictionary of a rung is trained on."""
    site = middle(kept)
    with without(model, passed(model, kept)):
        parts = [
            model.run(tokens, capture=[site], logits=False).acts[site][:, 1:].float().flatten(0, 1)
            for tokens in _tokens(s, model).split(8)
        ]
    x = torch.cat(parts).cpu()
    length = x.norm(dim=1)
    return x[length <= OUTLIER * length.median()]


def measure(runs: Runs[ModelLadder], trained: Trained, bench: Bench) -> xr.Dataset:
    """Of each rung, task and pair of prompts: how often the right word leads, by how much, and what
    is left of that in circuits and with dictionaries."""
    (s,) = runs.specs
    model, trained = load(s.subject, bench.device), trained.to("cpu")
    names = ("right", "effect", "circuit", "lot", *KINDS)
    out = np.zeros((1, len(names), len(s.kept), len(TASKS), s.judging))
    for rung, kept in enumerate(blocks(s, model)):
        dictionaries = {kind: _dictionary(trained, f"{rung}.{kind}") for kind in KINDS}
        with without(model, passed(model, kept)):
            for t, task in enumerate(TASKS):
                both = prompts(model, task, s.seed, s.selecting + s.judging)
                first, judged = _split(both, s.selecting)
                nodes, site = Nodes(model, kept), middle(kept)
                order = nodes.order(first)
                count = max(1, round(s.nodes * len(order)))
                lot = rng.generator(s.seed, f"interpretable-capability.lot.{rung}.{task}")
                clean, acts = nodes.run(judged, {})
                out[0, 0, rung, t] = _pairs((clean > 0).float())
                out[0, 1, rung, t] = _pairs(clean)
                circuits = {"circuit": order[:count], "lot": lot.permutation(order)[:count]}
                for name, circuit in circuits.items():
                    gap, _ = nodes.run(judged, nodes.patched(acts, circuit))
                    # with everything patched each prompt would do what its pair does
                    out[0, names.index(name), rung, t] = (_pairs(gap) + _pairs(clean)) / 2
                for kind, dictionary in dictionaries.items():
                    gap = nodes.later(judged, site.layer, _rebuilt(dictionary, acts[site]))
                    out[0, names.index(kind), rung, t] = _pairs(gap)
    units = {"right": "share of prompts"}
    return measures(
        runs,
        coords={"rung": list(s.kept), "task": list(TASKS), "prompt": list(range(s.judging))},
        **{
            name: ("run rung task prompt", out[:, i], units.get(name, "logits"))
            for i, name in enumerate(names)
        },
    )


def _dictionary(trained: Trained, name: str) -> Dictionary:
    tensors = {
        key.removeprefix(f"{name}."): x
        for key, x in trained.tensors.items()
        if key.startswith(f"{name}.")
    }
    return Dictionary.from_tensors(tensors, trained.header["parts"][name])


def _rebuilt(
    dictionary: Dictionary, x: Float[torch.Tensor, "b s d"]
) -> Float[torch.Tensor, "b s d"]:
    """The reconstruction in the place of the stream at all tokens but the first."""
    rebuilt = dictionary.reconstruct(x[:, 1:].flatten(0, 1))
    return torch.cat([x[:, :1], rebuilt.view_as(x[:, 1:]).to(x)], 1)


def _split(both: Prompts, count: int) -> tuple[Prompts, Prompts]:
    """The first pairs, and the others."""
    n = len(both.last) // 2
    first, rest = (
        np.concatenate([rows, rows + n]) for rows in (np.arange(count), np.arange(count, n))
    )
    return Prompts(*(x[first] for x in both)), Prompts(*(x[rest] for x in both))


def _pairs(x: Float[torch.Tensor, "2n"]) -> Float[np.ndarray, "n"]:
    """The mean over both prompts of a pair."""
    return x.view(2, -1).mean(0).double().numpy()


def _other(x: torch.Tensor) -> torch.Tensor:
    """Each prompt's pair in its place."""
    return x.roll(len(x) // 2, 0)


@dataclass(frozen=True, eq=False)
class Nodes:
    """The heads and MLPs of some blocks of a model, numbered block by block, a block's MLP last."""

    model: Pretrained
    kept: Sequence[int]

    @property
    def heads(self) -> int:
        """Heads of a block."""
        heads: int = self.model.folder.shape(Site("z", 0))[0]
        return heads

    def run(
        self, p: Prompts, edits: Mapping[Site, Edit], gradients: bool = False
    ) -> tuple[Float[torch.Tensor, "2n"], dict[Site, torch.Tensor]]:
        """By how much the right word's logit leads the other's, and what the nodes write."""
        wanted = [Site(kind, n) for n in self.kept for kind in ("z", "mlp_out")]
        tokens = torch.from_numpy(p.tokens).to(self.model.device)
        capture = [*wanted, middle(self.kept)]
        trace = self.model.run(tokens, capture=capture, edits=edits, gradients=gradients)
        return self._lead(p, trace), trace.acts

    def later(
        self, p: Prompts, block: int, resid: Float[torch.Tensor, "2n s d"]
    ) -> Float[torch.Tensor, "2n"]:
        """Measure the same lead, from another stream before a block on."""
        tokens = torch.from_numpy(p.tokens).to(self.model.device)
        return self._lead(p, self.model.run(tokens, start=(block, resid)))

    def _lead(self, p: Prompts, trace: Trace) -> Float[torch.Tensor, "2n"]:
        assert trace.final is not None
        end = trace.final[torch.arange(len(p.last)), torch.from_numpy(p.last)].float()
        W_U = self.model.model.get_output_embeddings().weight
        return (end * (W_U[p.right] - W_U[p.wrong]).float()).sum(1).cpu()

    def order(self, p: Prompts) -> np.ndarray:
        """All nodes, first those whose replacement by the other prompt's would lower the lead most,
        to first order.

        Source: Syed et al. 2023, Attribution Patching Outperforms Automated Circuit Discovery
        """
        _, acts = self.run(p, {})
        del acts[middle(self.kept)]
        nothing = {site: torch.zeros_like(x, requires_grad=True) for site, x in acts.items()}
        gap, _ = self.run(p, {site: _adding(zero) for site, zero in nothing.items()}, True)
        grads = torch.autograd.grad(gap.sum(), [*nothing.values()])
        drop = {
            site: -(g * (_other(acts[site]) - acts[site]))
            for site, g in zip(nothing, grads, strict=True)
        }
        scores = [
            part
            for n in self.kept
            for part in (*drop[Site("z", n)].sum((0, 1, 3)), drop[Site("mlp_out", n)].sum())
        ]
        return np.argsort(-torch.stack(scores).cpu().numpy(), kind="stable")

    def patched(
        self, acts: Mapping[Site, torch.Tensor], circuit: Sequence[int]
    ) -> dict[Site, Edit]:
        """Edits that put into nodes outside of a circuit what they write in the other prompt."""
        inside = np.isin(np.arange(len(self.kept) * (self.heads + 1)), circuit)
        edits: dict[Site, Edit] = {}
        for n, mask in zip(self.kept, inside.reshape(len(self.kept), -1), strict=True):
            z, out = Site("z", n), Site("mlp_out", n)
            edits[z] = _mixed(torch.from_numpy(mask[:-1])[:, None], _other(acts[z]))
            edits[out] = _mixed(torch.tensor(mask[-1]), _other(acts[out]))
        return edits


def _adding(more: torch.Tensor) -> Edit:
    return lambda x: x + more


def _mixed(mask: torch.Tensor, other: torch.Tensor) -> Edit:
    return lambda x: torch.where(mask.to(x.device), x, other)
