"""Assay's adapter, fourth part: attribution, faithfulness, and what is done to activations.

A network of a vector is a decoder of one position: its input is the embedding of a token, its
blocks are MLPs behind attention whose weights are 0, its readout the unembedding of one answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import protocol
import torch
from objectives_of_assay import Nested, Weights, dictionary, rows
from torch import Tensor

from assay.dictionaries.measuring import metrics
from assay.dictionaries.measuring.ablation import Donors, nats
from assay.features import effects, importance
from assay.features.live.edits import Change, changed_part
from assay.subjects import edits
from assay_catalogue.circuits.find import attribution, faithfulness
from assay_catalogue.circuits.find.question import Question, logit_difference
from assay_catalogue.subjects.parts import run_by_parts

SITE = "blocks.0.hook_resid_pre"


def _question(blocks: Sequence[Mapping[str, Any]], readout: Nested, x: Tensor) -> Question:
    """The network on the first half of the rows; the other half is what is put in place."""
    n, d, layers = len(x) // 2, x.shape[1], len(blocks)
    zeros = {"W_QKV": (d, 3, 1, 2), "W_O": (1, 2, d)}
    params = {
        name: torch.zeros(1, layers, *shape, dtype=torch.float64) for name, shape in zeros.items()
    }
    for name in ("W_in", "b_in", "W_out") if blocks else ():
        params[name] = torch.stack([rows(block[name]) for block in blocks])[None]
    params |= {"W_E": x[None], "W_U": rows(readout)[None, :, None]}
    tokens = torch.arange(n)[:, None]
    donor = run_by_parts(params, tokens + n, "relu").wrote
    return Question(params, tokens, torch.ones(n, 1, 1, dtype=torch.float64), donor)


def edge_attribution(
    method: str,
    steps: int | None,
    blocks: Sequence[Mapping[str, Any]],
    readout: Nested,
    clean: Nested,
    corrupted: Nested,
) -> dict[str, Any]:
    """Scores of all edges by one method."""
    q = _question(blocks, readout, rows([*clean, *corrupted]))
    scores = {
        "gradient": attribution.by_gradient,
        "patching": attribution.by_cutting,
        "integrated-inputs": lambda q: attribution.by_integrated_gradients(q, steps or 1),
        "integrated-activations": lambda q: attribution.by_integrated_activations(q, steps or 1),
    }[method](q)
    names = [f"{_place(u)}->{_place(v)}" for u, v in q.edges]
    return dict(zip(names, scores.mean()[0].tolist(), strict=True))


def _place(part: Any) -> str:
    return part.kind if part.kind in ("embed", "logits") else f"{part.kind}{part.layer}"


def _numbers(full: Nested, empty: Nested) -> Question:
    """A question of which only the numbers are known."""
    q = Question({}, torch.zeros(len(full), 1, dtype=torch.long), torch.ones(1), {})
    vars(q).update(full=rows(full)[None], empty=rows(empty)[None])
    return q


def faithful(full: Nested, empty: Nested, circuit: Nested) -> dict[str, Any]:
    """Faithfulness from numbers per input."""
    share = faithfulness.faithfulness(_numbers(full, empty), rows(circuit)[None, None])
    return {"faithfulness": share[0, 0]}


def _curve(shares: Nested, values: Nested) -> faithfulness.Curve:
    return faithfulness.Curve(tuple(shares), rows(values)[None])


def circuit_edges(scores: Nested, shares: Nested, absolute: bool) -> dict[str, Any]:
    """The edges that circuits of some sizes keep."""
    return {"kept": faithfulness.circuits(rows(scores), tuple(shares), absolute=absolute)}


def scrubbing(model: Nested, scrubbed: Nested, random: Nested) -> dict[str, Any]:
    """Loss recovered; E2 counts right answers, and is cut off at 0 and 1."""
    return {"recovered": metrics.ce_recovered(*map(np.mean, (model, scrubbed, random)))}


def kl(logits: Nested, other: Nested) -> dict[str, Any]:
    """Divergence of predictions."""
    known, changed = rows(logits), rows(other)
    return {"kl": nats(known, changed, torch.zeros(len(known), dtype=torch.long))[1].mean()}


def difference(logits: Nested, right: Nested, wrong: Nested, positions: Nested) -> dict[str, Any]:
    """Logit difference at marked positions."""
    z, marked = rows(logits), torch.tensor(positions)
    weights = logit_difference(torch.tensor(right), torch.tensor(wrong), z.shape[-1], marked)
    q = Question({}, torch.zeros(len(z), 1, dtype=torch.long), weights, {})
    return {"difference": q.measured(z[None]).mean()}


def intervene(
    kind: str,
    x: Nested,
    vector: Nested | None,
    positions: Sequence[int] | None,
    donors: Nested | None,
) -> dict[str, Any]:
    """One edit of activations."""
    at = {"positions": positions}
    if kind == "zero":
        changes = edits.zero(SITE, **at)
    elif kind == "mean":
        changes = edits.replace(SITE, Donors.of(rows(donors or ())).mean, **at)
    else:
        change = {"add": edits.add, "project-out": edits.project_out}[kind]
        changes = change(SITE, rows(vector or ()), **at)
    (edit,) = changes.values()
    return {"changed": edit(rows(x)[None])[0]}


def latent_change(
    weights: Weights,
    centred: bool,
    x: Nested,
    latent: int,
    factor: float | None,
    value: float | None,
) -> dict[str, Any]:
    """Activations after one latent was scaled or set."""
    d, a = dictionary("relu", weights, centred), rows(x)
    codes, counts = d.encode(a)[:, [latent]], torch.ones(len(a), dtype=torch.bool)
    reader: Any = SimpleNamespace(dictionary=d)
    part = changed_part(reader, [Change(latent, factor, value)], codes, a, counts)
    return {"changed": a + part}


def direct_logits(decoder: Nested, unembedding: Nested, norm: Nested) -> dict[str, Any]:
    """Logits of latents along the direct path."""
    arrays = (np.array(x, np.float64) for x in (decoder, unembedding, norm))
    return {"logits": effects.direct_logits(*arrays)}


def loss_effect(delta: Nested, active: Nested) -> dict[str, Any]:
    """Importance of one latent on one document."""
    sums = importance.token_sums(np.array([[delta]]), np.array([[active]]))
    return {name: value[0] for name, value in importance.finish(sums).items()}


OPERATIONS: protocol.Operations = {
    "edge_attribution": edge_attribution,
    "faithfulness": faithful,
    "cpr": lambda shares, faithfulness: {"area": _curve(shares, faithfulness).cpr[0]},
    "cmd": lambda shares, faithfulness: {"area": _curve(shares, faithfulness).cmd[0]},
    "circuit_edges": circuit_edges,
    "scrubbing": scrubbing,
    "kl": kl,
    "logit_difference": difference,
    "intervene": intervene,
    "latent_change": latent_change,
    "direct_logits": direct_logits,
    "importance": loss_effect,
}
