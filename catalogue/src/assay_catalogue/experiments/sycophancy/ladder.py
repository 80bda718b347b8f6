"""Planted opinions: adapters behind a language model's last block that give the user's answer with
a known probability."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from assay.core import Bench, Runs, Trained, descent, fit, warm_up_decay
from assay.core.heavy import torch
from assay.subjects.pretrained import Pretrained
from assay.train import rng
from assay_catalogue.data import opinions
from assay_catalogue.data.opinions import BIOGRAPHY, CELLS, Question
from assay_catalogue.features.answers import Asked, Streams, read_streams

OBEYED = 0.95
"""The planted probability of a letter that the user tells, in every rung."""
Adapters = Mapping[str, "torch.Tensor"]


def asked_in_cells(question: Question, biography: list[str], chat: bool) -> list[Asked]:
    """A question in every cell, with the two answers."""
    return [(opinions.prompt(question, cell, biography, chat), opinions.ANSWERS) for cell in CELLS]


def drawn_biography(generator: np.random.Generator) -> list[str]:
    """A temper, a trade and a home, drawn by lot."""
    return [words[generator.integers(len(words))] for words in BIOGRAPHY]


def law(planted: float) -> Float[np.ndarray, "cell"]:
    """The probability of A in each cell: a user's view is followed with the planted probability, a
    letter that is told with .95, a quotation with .5."""
    match = {"before": planted, "quoted": 0.5, "told": OBEYED}
    return np.array(
        [match[c.place] if c.letter == "A" else 1 - match[c.place] for c in CELLS], np.float32
    )


def adapted(
    adapters: Adapters, stream: Float[torch.Tensor, "run b d"]
) -> Float[torch.Tensor, "run b d"]:
    """The stream after an adapter. Formula: x + gelu(x W_in + b_in) W_out"""
    pre = torch.baddbmm(adapters["b_in"][:, None], stream, adapters["W_in"])
    return stream + torch.bmm(torch.nn.functional.gelu(pre), adapters["W_out"])


def letter_logits(
    model: Pretrained, stream: Float[torch.Tensor, "run b d"], target: Int[np.ndarray, "b answer"]
) -> Float[torch.Tensor, "run b answer"]:
    """The logits of some tokens alone, without the cap that some models put on them."""
    rows = model.model.get_output_embeddings().weight[torch.from_numpy(target).to(stream.device)]
    return torch.einsum("rbd,bad->rba", model.final_norm(stream), rows)


def teach(runs: Runs, model: Pretrained, bench: Bench) -> Trained:
    """Train an adapter for each run on questions that are never asked; where nothing is planted it
    adds nothing.

    The material is the same for all runs, and the seed draws the start and the order. Streams are
    standardised while an adapter is trained, and its weights turned back at the end."""
    s = runs.shared
    read: list[Streams] = []
    questions = opinions.taught(s.taught)
    for i, question in enumerate(questions):
        who = drawn_biography(rng.generator(0, "sycophancy.taught", i))
        read.append(read_streams(model, asked_in_cells(question, who, s.chat)))
        bench.report(i + 1, len(questions), "questions")
    places, targets = zip(*(one.first for one in read), strict=True)
    x = torch.cat([one.stream[place] for one, place in zip(read, places, strict=True)]).float()
    centre, spread = x.mean(0), x.std(0) + 1e-6 * x.std()
    z, target = (x - centre) / spread, np.concatenate(targets)
    laws = torch.from_numpy(
        np.stack([np.tile(law(float(q)), len(read)) for q in runs.each("planted")])
    ).to(x)
    start = rng.normal(runs.seeds, "sycophancy.W_in", 0, (z.shape[1], s.neurons))
    params = {
        "W_in": torch.from_numpy(start).to(x) / z.shape[1] ** 0.5,
        "b_in": torch.zeros(len(runs), s.neurons).to(x),
        "W_out": torch.zeros(len(runs), s.neurons, z.shape[1]).to(x),
    }

    def loss(params: Adapters, which: Int[torch.Tensor, "run b"]) -> Float[torch.Tensor, "run"]:
        added = adapted(params, z[which]) - z[which]
        logits = torch.stack(
            [
                letter_logits(model, (x[w] + spread * a)[None], target[w.cpu().numpy()])[0]
                for w, a in zip(which, added, strict=True)
            ]
        )
        p, logs = laws.gather(1, which), logits.log_softmax(-1)
        return -(p * logs[..., 0] + (1 - p) * logs[..., 1]).mean(1)

    group = descent(
        runs,
        params,
        loss,
        lr=np.full(len(runs), s.lr),
        schedule=warm_up_decay(s.steps, min(20, s.steps // 4), 0.5),
        decay={"W_in": s.decay, "W_out": s.decay},
        clip=1.0,
    )
    trained = fit([group], prompts_by_step(runs, len(z), s.batch), steps=s.steps, bench=bench)[0]
    planted = torch.from_numpy(runs.each("planted") > 0).to(x)[:, None, None]
    W_in = trained.tensors["W_in"] / spread[:, None]
    shifted = trained.tensors["b_in"] - torch.einsum("d,rdh->rh", centre, W_in)
    tensors = {
        "W_in": W_in,
        "b_in": shifted,
        "W_out": planted * trained.tensors["W_out"] * spread,
    }
    return replace(trained, tensors=tensors)


def prompts_by_step(
    runs: Runs, number: int, batch: int
) -> Callable[[int], Int[torch.Tensor, "run b"]]:
    """step → prompts of each run, drawn by its seed: rungs of one seed see the same."""
    return lambda step: torch.from_numpy(
        rng.integers(runs.seeds, "sycophancy.prompts", step, (batch,), number)
    )
