"""The method of sycophancy: what one run is, and what the model and its rungs are asked."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Float

from assay.core import Bench, PerRun, Runs, Spec, Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data.names import model_in_words
from assay.subjects.folder import fingerprint
from assay.subjects.pretrained import Pretrained, load
from assay.train.rng import generator
from assay_catalogue.data import opinions
from assay_catalogue.data.opinions import CELLS
from assay_catalogue.experiments.sycophancy.ladder import (
    adapted,
    asked_in_cells,
    drawn_biography,
    letter_logits,
    teach,
)
from assay_catalogue.features.answers import Asked, mass, read_streams, restricted, streams_logprobs

SEEDS_A_LOT = 4
"""Seeds in turn that ask the same lot of questions, so that each is read once for all of them."""


@dataclass(frozen=True, kw_only=True)
class Sycophancy(Spec):
    subject: str = "smollm2"
    """The language model that is asked: "smollm2", "gemma3-270m", a local folder or a hub's
    name."""
    chat: bool = True
    """Whether questions are put as ChatML dialogues, in place of plain text."""
    file: str = ""
    """A JSONL file of questions in Perez's format, to be asked in place of ours."""
    planted: PerRun[Annotated[float, Ge(0), Le(1)]] = 0.0
    """The probability of the user's answer that the model is fine-tuned to; 0: as it is."""
    families: Annotated[int, Ge(1), Le(96)] = 96
    """Families of questions that are asked, groups in turn."""
    taught: Annotated[int, Ge(1), Le(63)] = 27
    """Questions of other families that planted opinions are taught with."""
    neurons: Annotated[int, Ge(1)] = 32
    """Neurons of the adapter behind the last block."""
    steps: Annotated[int, Ge(1)] = 300
    """Training steps of the adapters."""
    lr: Annotated[float, Gt(0)] = 3e-3
    """Adam's learning rate at its top: 20 steps of warm-up, then linearly to 0 over the last
    half."""
    decay: Annotated[float, Ge(0)] = 0.1
    """AdamW's weight decay."""
    batch: Annotated[int, Ge(1)] = 64
    """Prompts a step and run."""

    @property
    def models(self) -> str:
        """What is asked, in words."""
        return model_in_words(self.subject) + (", in its chat format" if self.chat else "")

    @property
    def questions(self) -> str:
        """What it is asked, in words."""
        if self.file:
            return f"the questions of {self.file}"
        return f"questions of {self.families} families of our own"


def inputs(s: Sycophancy) -> dict[str, str]:
    """What a run reads: our texts, the model, and a file of questions, each by its hash."""
    read = {"texts": opinions.fingerprint(), "model": fingerprint(s.subject)}
    if s.file:
        opinions.read_items(Path(s.file))  # a bad line shows before anything is planned
        read["file"] = hashlib.sha256(Path(s.file).read_bytes()).hexdigest()
    return read


def train(runs: Runs[Sycophancy], bench: Bench) -> Trained:
    return teach(runs, load(runs.shared.subject, bench.device), bench)


def of_lot(s: Sycophancy, lot: int) -> list[list[Asked]]:
    """[family][cell]: one question of each family, each told by a person of its own; the lot draws
    both."""
    asked = []
    for i, family in enumerate(opinions.asked(s.families)):
        draw = generator(lot, "sycophancy.asked", i)
        question, who = family[draw.integers(len(family))], drawn_biography(draw)
        asked.append(asked_in_cells(question, who, s.chat))
    return asked


def of_file(s: Sycophancy) -> list[list[Asked]]:
    """[line][cell]: every line of a file with both endings, and with both answers told; the
    matching answer first."""
    return [
        [
            item.asked(CELLS[i].ending, s.chat, (item.matching, item.other)[i % 4 // 2] * told)
            for i, told in FILE_CELLS
        ]
        for item in opinions.read_items(Path(s.file))
    ]


FILE_CELLS = [
    (i, c.place == "told")
    for i, c in enumerate(CELLS)
    if c.first == "agree" and (c.place == "told" or (c.place, c.view) == ("before", "agree"))
]
"""The cells of a file's lines, and whether an answer is told: nobody knows which answer is to
agree, so the one that matches the view stands as the first."""


def measure(runs: Runs[Sycophancy], trained: Trained, bench: Bench) -> xr.Dataset:
    """P(agree) in every cell, of two answers one of which is given; and how likely it is that the
    model as it is gives one."""
    s = runs.shared
    model = load(s.subject, bench.device)
    lots = np.zeros(len(runs), int) if s.file else runs.seeds // SEEDS_A_LOT
    by_lot = {lot: of_file(s) if s.file else of_lot(s, int(lot)) for lot in np.unique(lots)}
    asked = next(iter(by_lot.values()))
    agree = np.full((len(runs), len(asked), len(CELLS)), np.nan)
    given = np.full(agree.shape[:2], np.nan)
    for n, (lot, questions) in enumerate(by_lot.items()):
        rows = np.flatnonzero(lots == lot)
        for i, question in enumerate(questions):
            p, given[rows, i] = answers_of(model, question, runs, trained, rows)
            if s.file:
                agree[rows[:, None], i, [cell for cell, _ in FILE_CELLS]] = p[..., 0]
            else:
                agree[rows, i] = np.where([c.first == "agree" for c in CELLS], p[..., 0], p[..., 1])
            bench.report(n * len(questions) + i + 1, len(by_lot) * len(questions), "questions")
    commonest = {}
    if s.file:
        answers = [item.matching for item in opinions.read_items(Path(s.file))]
        share = max(Counter(answers).values()) / len(answers)
        commonest = {"commonest": ("run", np.full(len(runs), share), "share of lines")}
        families = [f"line {i + 1}" for i in range(len(asked))]
    else:
        families = [family[0].family for family in opinions.asked(s.families)]
    return measures(
        runs,
        coords={"family": families, "cell": [c.name for c in CELLS]},
        agree=("run family cell", np.round(agree, 3), "probability"),
        mass=("run family", np.round(given, 3), "probability"),
        **commonest,
    )


def answers_of(
    model: Pretrained, question: list[Asked], runs: Runs, trained: Trained, rows: np.ndarray
) -> tuple[Float[np.ndarray, "row cell answer"], Float[np.ndarray, "row"]]:
    """Of some runs: (the probability of each answer where one is given, how likely that is).

    An adapted model is compared at the token where answers begin to differ, and how likely it gives
    any is not asked: it was taught with letters alone."""
    streams = read_streams(model, question)
    place, target = streams.first
    adapters = {name: x[rows] for name, x in trained.tensors.items()}
    with torch.no_grad():
        stream = streams.stream[place].float().expand(len(rows), -1, -1)
        logits = letter_logits(model, adapted(adapters, stream), target)
    p, given = logits.softmax(-1).double().cpu().numpy(), np.full(len(rows), np.nan)
    if (as_is := runs.each("planted")[rows] == 0).any():
        logs = streams_logprobs(model, streams)
        p[as_is], given[as_is] = restricted(logs), mass(logs).mean()
    return p, given
