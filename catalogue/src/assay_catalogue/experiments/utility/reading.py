"""What utility reads of a language model: the streams of each passage's last tokens, a block that
is fine-tuned on the labels, and the answer when it is asked in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from assay.core import Bench, Spec
from assay.core.heavy import torch
from assay.data.harvest import Harvest, HarvestSpec
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.train import rng
from assay_catalogue.experiments.utility.texts import Concept, TextsSpec
from assay_catalogue.features import answers
from assay_catalogue.features.kernel_probe import Questions

TOKENS = 16
"""Tokens at the end of a passage whose streams are read."""
BATCH = 32
RANK, RATE, STEPS, DECAY = 4, 3e-3, (10, 20, 40, 80), 1e-2
"""Of the fine-tuned block: the rank of its updates, Adam's rate, the steps among which validation
chooses, and the weight decay."""
PROMPT = "Question: {question} Answer yes or no.\n\n```python\n{text}```\n\nAnswer:"
ANSWERS = (" Yes", " No")


@dataclass(frozen=True, kw_only=True)
class ReadSpec(Spec):
    """Passages as a model reads them at a site, on the scale of a harvest."""

    texts: TextsSpec
    """The passages."""
    model: str
    """Hash of the model."""
    dtype: str
    """What it computes in."""
    harvest: HarvestSpec
    """The harvest that says site and scale."""
    trained: bool = True
    """Whether its block is fine-tuned and it is asked: not with random weights."""
    version: int = 1
    """Counted up when what is read or how it is probed changes."""


@dataclass(frozen=True, eq=False)
class Streams:
    """Passages of several concepts as a model reads them."""

    x: Float[torch.Tensor, "q row t d"]
    """The streams of the last tokens on the harvest's scale."""
    z: Float[torch.Tensor, "q row hd"] | None
    """What the next block's heads read at the last token; None where it is not fine-tuned."""
    tokens: Int[np.ndarray, "q row s"]
    """Token ids; −1 behind a passage."""


def streams(spec: ReadSpec, concepts: Sequence[Concept], data: Harvest, bench: Bench) -> Streams:
    """The passages as the harvest's model reads them, made once."""

    def build(path: Path) -> None:
        model = data.model(bench.device)
        texts = [text for concept in concepts for text in concept.text]
        ids = [model.prompt(text)[0].tolist() for text in texts]
        padded = np.full((len(ids), max(map(len, ids))), -1, np.int32)
        for row, tokens in zip(padded, ids, strict=True):
            row[: len(tokens)] = tokens
        site = Site.parse(data.spec.site)
        sites = [site, *([Site("z", site.layer)] if spec.trained else [])]
        x = np.empty((len(ids), TOKENS, data.d), np.float16)
        heads: list[np.ndarray] = [np.empty(0)] * len(ids)
        order = np.argsort([len(tokens) for tokens in ids], kind="stable")
        done = 0
        for rows in np.array_split(order, -(-len(ids) // BATCH)):
            width = max(len(ids[i]) for i in rows)
            batch = torch.from_numpy(padded[rows, :width]).clamp_min(0)  # behind: nothing sees it
            acts = model.run(batch, capture=sites, logits=False).acts
            for j, i in enumerate(rows.tolist()):
                end = len(ids[i])
                last = data.normalise(acts[site][j, max(0, end - TOKENS) : end].float())
                x[i] = last[[*[0] * (TOKENS - len(last)), *range(len(last))]].cpu().half()
                if spec.trained:
                    heads[i] = acts[sites[1]][j, end - 1].float().flatten().cpu().numpy()
            done += len(rows)
            bench.report(done, len(ids), "passages")
        np.save(path / "x.npy", x.reshape(len(concepts), -1, TOKENS, data.d))
        np.save(path / "tokens.npy", padded.reshape(len(concepts), -1, padded.shape[1]))
        if spec.trained:
            np.save(path / "z.npy", np.stack(heads).reshape(len(concepts), -1, len(heads[0])))

    folder = bench.artefact(spec, build)
    x, tokens = np.load(folder / "x.npy"), np.load(folder / "tokens.npy")
    z = torch.from_numpy(np.load(folder / "z.npy")) if spec.trained else None
    return Streams(torch.from_numpy(x).float(), z, tokens)


def answer(
    model: Pretrained, concepts: Sequence[Concept], texts: Sequence[Sequence[str]]
) -> Float[np.ndarray, "q row"]:
    """log P(yes) − log P(no) when a concept's question is asked about each of its texts."""
    opening = model.decode(model.folder.opening)
    out = []
    for concept, some in zip(concepts, texts, strict=True):
        prompts = [
            (opening + PROMPT.format(text=text, question=concept.question), ANSWERS)
            for text in some
        ]
        logs = [answers.answer_logprobs(model, prompts[a : a + 4]) for a in range(0, len(some), 4)]
        out.append(np.concatenate(logs))
    both = np.stack(out)
    return both[..., 0] - both[..., 1]


def fine_tuned(
    model: Pretrained, layer: int, read: Streams, data: Harvest, q: Questions, seed: int
) -> Float[torch.Tensor, "step q row"]:
    """The scores of all passages by a linear head behind a block whose two writing matrices are
    fine-tuned at low rank, on the training passages, after so many steps.

    Each concept has updates of its own. The block sees the last token alone, and what its heads
    read of the tokens before."""
    assert read.z is not None
    resid, heads = data.restore(read.x[:, :, -1]), read.z
    concepts, d = len(resid), resid.shape[2]
    write = {"attn_out": heads.shape[2], "mlp_out": model.width(Site("mlp_post", layer))}
    draw = rng.generator(seed, "utility.fine-tuned")

    def parameter(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).requires_grad_()

    A = {k: parameter(draw.normal(0, n**-0.5, (concepts, n, RANK))) for k, n in write.items()}
    B = {k: parameter(np.zeros((concepts, RANK, d))) for k in write}
    w, bias = parameter(np.zeros((concepts, d))), parameter(np.zeros(concepts))

    def after(rows: Int[torch.Tensor, "q n"], gradients: bool) -> Float[torch.Tensor, "q n d"]:
        x, z = q.of(resid, rows), q.of(heads, rows)
        inner: dict[str, torch.Tensor] = {"attn_out": z}

        def given(acts: torch.Tensor) -> torch.Tensor:
            return z.flatten(0, 1).view(acts.shape).to(acts.dtype)

        def kept(acts: torch.Tensor) -> torch.Tensor:
            inner["mlp_out"] = acts[:, 0].float().unflatten(0, x.shape[:2])
            return acts

        def updated(kind: str) -> Callable[[torch.Tensor], torch.Tensor]:
            def edit(acts: torch.Tensor) -> torch.Tensor:
                more = inner[kind] @ A[kind] @ B[kind]
                return acts + more.flatten(0, 1)[:, None].to(acts.dtype)

            return edit

        edits: Mapping[Site, Callable[[torch.Tensor], torch.Tensor]] = {
            Site("z", layer): given,
            Site("attn_out", layer): updated("attn_out"),
            Site("mlp_post", layer): kept,
            Site("mlp_out", layer): updated("mlp_out"),
        }
        tokens = torch.zeros(x.shape[0] * x.shape[1], 1, dtype=torch.long)
        end = Site("resid_post", layer)
        trace = model.run(
            tokens,
            capture=[end],
            edits=edits,
            logits=False,
            start=(layer, x.flatten(0, 1)[:, None]),
            gradients=gradients,
        )
        return trace.acts[end][:, 0].float().unflatten(0, x.shape[:2])

    before = after(q.train, False)
    middle, spread = before.mean(1, keepdim=True), before.std(1, keepdim=True) + 1e-3

    def score(rows: torch.Tensor, gradients: bool) -> Float[torch.Tensor, "q n"]:
        x = (after(rows, gradients) - middle) / spread
        return torch.einsum("qnd,qd->qn", x, w) + bias[:, None]

    true = q.of(q.told, q.train).float()
    adam = torch.optim.AdamW([*A.values(), *B.values(), w, bias], lr=RATE, weight_decay=DECAY)
    everything = torch.arange(resid.shape[1]).expand(concepts, -1)
    out = []
    for step in range(1, STEPS[-1] + 1):
        adam.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(score(q.train, True), true)
        (concepts * loss).backward()  # each concept has a mean of its own
        adam.step()
        if step in STEPS:
            with torch.no_grad():
                out.append(score(everything, False).detach())
    return torch.stack(out).double()
