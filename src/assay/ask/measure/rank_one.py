"""Rank-one edits of one MLP, as in ROME: new output weights that produce another value at a
subject's last token, so that the prompts of a table become likely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import Float

from assay.ask.measure import adapting, models
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.tokenized import prompt
from assay.ask.tables import Train, Weights
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.data import corpus as corpora
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import Pretrained
from assay.subjects.readout import mlp_output
from assay.subjects.site import Site

TOKENS, RIDGE = 20_000, 1e-3
"""The number of tokens for the second moment, and what is added to its diagonal relative to its
mean: a text may have fewer tokens than an MLP has neurons."""
Fact = tuple[tuple[int, ...], int]
"""The tokens of a prompt, and the position where the subject ends."""


def facts(table: Train, folder: ModelFolder, source: PromptSet) -> list[Fact]:
    """Read the prompts of an edit. Raises: DataError for several subjects, for a subject at the end
    of a prompt, or an edit of more than one MLP; ModelError for an unknown block."""
    if len(blocks := models.blocks_of(Weights(of=table.only))) != 1:
        raise DataError(f'{table.name!r} edits one MLP: write only = "layers.12.mlp"')
    folder.check(Site("mlp_post", blocks[0]))
    if len(subjects := sorted({row.fill(table.edit) for row in source.rows})) > 1:
        several = f"{source.table.name} has {subjects[0]!r}, {subjects[1]!r} and perhaps more"
        raise DataError(f"an edit is of one subject, and {several}; choose one with where")
    tokenised = [prompt(folder, row) for row in source.rows]
    for p in tokenised:
        if p.at(table.edit) == len(p.tokens) - 1:
            raise DataError(
                f"{p.row.place}: nothing follows {table.edit}, and the edit teaches that"
            )
    return [(p.tokens, p.at(table.edit)) for p in tokenised]


def edit(
    table: Train, model: Pretrained, facts: Sequence[Fact], tick: Callable[[int, int], None]
) -> None:
    """Change the output weights of an MLP in memory: the key is the mean activation of its neurons
    at the subject, and the value is learned by AdamW from the text after the subject.

    Formula: W + r (C⁻¹ k)ᵀ / (kᵀ C⁻¹ k), k [m] the key, r [d] what is added to the output, C [m, m]
        the second moment of the activations on a text, or the identity
    Source: Meng et al., Locating and Editing Factual Associations in GPT, 2022, without random
        prefixes, and without a term that keeps the subject's essence
    """
    assert table.steps and table.lr
    (layer,) = models.blocks_of(Weights(of=table.only))
    matrix, _ = mlp_output(model, layer)
    keys = [_entering(model, layer, tokens)[end] for tokens, end in facts]
    key = torch.stack(keys).mean(0).double()
    # GPT-2 has its output channels last
    W = (matrix.weight if isinstance(matrix, torch.nn.Linear) else matrix.weight.T).detach()
    added = torch.nn.Parameter(W.new_zeros(len(W)))
    optimiser = torch.optim.AdamW([added], lr=table.lr, weight_decay=adapting.decay_of(table))
    for step in range(table.steps):
        optimiser.zero_grad()
        for tokens, end in facts:

            def put(_: Any, inputs: Any, y: torch.Tensor, end: int = end) -> torch.Tensor:
                return torch.cat([y[:, :end], y[:, end : end + 1] + added, y[:, end + 1 :]], 1)

            hook = matrix.register_forward_hook(put)
            ids = _ids(model, tokens)
            final = model.run(ids, gradients=True).final
            hook.remove()
            assert final is not None
            logs = model.head(final[0, end:-1]).float().log_softmax(-1)
            (-logs.gather(1, ids[0, end + 1 :, None]).mean() / len(facts)).backward()
        optimiser.step()
        tick(step + 1, table.steps)
    if not bool(added.isfinite().all()):
        raise DataError(f"the edit of {table.name!r} diverged; lower lr")
    solved = torch.linalg.solve(_moment(table, model, layer, len(key)), key)
    W.add_((torch.outer(added.detach().double(), solved) / (key @ solved)).to(W))


def _moment(table: Train, model: Pretrained, layer: int, m: int) -> Float[torch.Tensor, "m m"]:
    """The second moment of the neurons' activations on a text; without a text the identity."""
    unit = torch.eye(m, dtype=torch.float64, device=model.device)
    if not table.text or not table.context:
        return unit
    total, tokens = torch.zeros_like(unit), 0
    for text in windows(table, model.folder, -(-TOKENS // table.context)):
        acts = _entering(model, layer, text)[len(model.folder.opening) :].double()
        total, tokens = total + acts.T @ acts, tokens + len(acts)
    return total / tokens + RIDGE * (total / tokens).diagonal().mean() * unit


def windows(table: Train, folder: ModelFolder, count: int) -> list[list[int]]:
    """Windows of the text of a training, each with the tokens that open the model's texts."""
    assert table.context
    sampled = corpora.load(table.text).windows(
        folder.tokenizer.encode, "train", context=table.context, count=count, fewer=True
    )
    return [[*folder.opening, *map(int, row)][: table.context] for row in sampled.tokens]


def _entering(model: Pretrained, layer: int, tokens: Sequence[int]) -> Float[torch.Tensor, "s m"]:
    site = Site("mlp_post", layer)
    return model.run(_ids(model, tokens), capture=[site], logits=False).acts[site][0]


def _ids(model: Pretrained, tokens: Sequence[int]) -> torch.Tensor:
    return torch.tensor([[*tokens]], device=model.device)
