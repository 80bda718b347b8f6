"""Places: what the tokens of a prompt tell by where they stand, without any model: the near control
`places` of probes; and which controls no prompts of a study let be right more often than by
chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from assay.ask.measure.probe_tasks import ProbeTask, every_point, seen_tokens
from assay.ask.measure.seen import prompt
from assay.controls.table import BAG, EMBEDDING
from assay.core.errors import AssayError
from assay.core.heavy import torch
from assay.subjects.folder import ModelFolder

FROM_EACH_END = 32
"""So many tokens are placed, counted from the first and once more from the last."""
NUMBERS = 2**26
"""What is read of all rows at most, as numbers; of wider embeddings so many principal components
as make no more."""


def placed(embedding: torch.Tensor, ids: Sequence[Sequence[int]]) -> torch.Tensor:
    """The embeddings of each row's tokens at their places from the first and from the last token,
    and how many there are: [row, column]. What lies behind an end is zero."""
    longest = min(FROM_EACH_END, max(map(len, ids)))
    tokens = sorted({i for row in ids for i in row})
    known = embedding[tokens].detach().float().cpu()
    width = max(1, NUMBERS // (2 * longest * len(ids)))
    if known.shape[1] > width:
        _, _, directions = torch.linalg.svd(known - known.mean(0), full_matrices=False)
        known = known @ directions[:width].mT
    nothing = torch.zeros(1, known.shape[1])
    known = torch.cat([known, nothing])
    index = {token: n for n, token in enumerate(tokens)}

    def row(some: Sequence[int]) -> list[int]:
        filling = [len(tokens)] * longest
        first = ([index[i] for i in some] + filling)[:longest]
        last = ([index[i] for i in reversed(some)] + filling)[:longest]
        return [*first, *last]

    at_places = known[torch.tensor([row(some) for some in ids])].flatten(1)
    lengths = torch.tensor([[float(len(some))] for some in ids])
    return torch.cat([at_places, lengths], 1)


def at_chance(task: ProbeTask, folder: ModelFolder) -> Collection[str]:
    """The controls of a probe that are right as often as by chance whatever their tokens mean,
    since prompts of every label have the same tokens equally often."""
    if not task.classes:
        return ()
    rows = [task.prompts.rows[i] for i in task.rows]
    labels = task.prompts.column(task.table.label, task.rows)
    blind = {BAG.name, EMBEDDING.name}
    for point in every_point(task.table):
        try:
            ids = [seen_tokens(prompt(folder, row), point.position) for row in rows]
        except AssayError:  # reported where prompts are checked
            return ()
        bags = [tuple(sorted(some)) for some in ids]
        last = [() if point.position == "mean" else tuple(some[-1:]) for some in ids]
        keys: dict[str, Sequence[object]] = {
            BAG.name: bags,
            EMBEDDING.name: list(zip(bags, last, strict=True)),
        }
        blind &= {name for name, of in keys.items() if _even(of, labels, task.classes)}
    return blind


def _even(keys: Sequence[object], labels: Sequence[str], classes: Sequence[str]) -> bool:
    """Whether among rows that look the same each label is as frequent as any other."""
    counts = Counter(zip(keys, labels, strict=True))
    return all(len({counts[key, label] for label in classes}) == 1 for key in {*keys})
