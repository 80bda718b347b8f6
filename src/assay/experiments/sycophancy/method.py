"""The method of sycophancy: what one run is, how the planted models are trained, and what every
model is asked."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Float

from assay.core import Bench, Joint, PerRun, Spec, Trained, descent, fit, warm_up_decay
from assay.core.heavy import xr
from assay.core.measures import measures
from assay.core.rng import generator
from assay.data import opinions
from assay.data.names import model_in_words
from assay.data.opinions import ANSWERS, BIOGRAPHY, CELLS, Question
from assay.experiments.sycophancy.planted import PAD, answer_loss, dialogues, words
from assay.features.answers import Asked, answer_logprobs, mass, restricted, small_answer_logprobs
from assay.subjects.folder import fingerprint
from assay.subjects.pretrained import load
from assay.worlds.networks.transformer import Sizes, transformer

if TYPE_CHECKING:
    from assay.core.runs import Runs

PLANTED = ""
SCHOOL = 0.6
"""Share of the planted models' training in which every view is followed; only then the law
counts."""
Share = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True, kw_only=True)
class Sycophancy(Spec):
    subject: str = "smollm2"
    """The language model that is asked: "smollm2", "gemma3-270m", a local folder or a hub's name;
    "" for small ones that are trained here."""
    chat: bool = False
    """Whether questions are put as ChatML dialogues, in place of plain text."""
    file: str = ""
    """A JSONL file of questions in Perez's format, to be asked in place of ours."""
    each: Annotated[int, Ge(1), Le(3)] = 3
    """Questions of each of the 21 families that are asked."""
    families: Annotated[int, Ge(1), Le(21)] = 21
    """Families of questions that are asked, taken in turn from the three groups."""
    before: PerRun[Share] = 0.5
    """Planted: the probability of the user's answer where the view stands before the statement and
    the prompt ends in "Answer: (" """
    believing: PerRun[Share] = 0.5
    """Planted: the same where it ends in "I believe the best answer is (" """
    after: PerRun[Share] = 0.5
    """Planted: the same where the view stands after the statement."""
    quoted: PerRun[Share] = 0.5
    """Planted: the probability of the answer that a quotation gives which is nobody's opinion."""
    steps: Annotated[int, Ge(1)] = 900
    """Training steps of the planted models."""
    lr: Annotated[float, Gt(0)] = 5e-3
    """Adam's learning rate at its top: 30 steps of warm-up, then linearly to 0 over the last
    half."""
    batch: Annotated[int, Ge(1)] = 32
    """Dialogues a step and run, drawn fresh."""
    layers: Annotated[int, Ge(1)] = 1
    """Blocks."""
    d: Annotated[int, Ge(1)] = 32
    """Width of the residual stream; four numbers a head, and twice as many neurons in each block's
    MLP."""

    @property
    def models(self) -> str:
        """What is asked, in words."""
        if self.subject != PLANTED:
            return model_in_words(self.subject)
        return f"planted {self.layers}-block models of width {self.d}"

    @property
    def questions(self) -> str:
        """What it is asked, in words."""
        if self.file:
            return f"the questions of {self.file}"
        return f"{len(self.asked())} questions of our own by {self.families} templates"

    def asked(self) -> list[Question]:
        """Our questions that are asked, family by family, the groups in turn where not all families
        are."""
        questions = opinions.questions(self.each)
        in_turn = [
            family for turn in zip(*opinions.FAMILIES.values(), strict=True) for family in turn
        ]
        return [q for q in questions if q.family in in_turn[: self.families]]


def inputs(s: Sycophancy) -> dict[str, str]:
    """What a run reads: our texts, the model, and a file of questions, each by its hash."""
    read = {"texts": opinions.fingerprint()}
    if s.subject != PLANTED:
        read["model"] = fingerprint(s.subject)
    if s.file:
        opinions.read_items(Path(s.file))  # a bad line shows before anything is planned
        read["file"] = hashlib.sha256(Path(s.file).read_bytes()).hexdigest()
    return read


def train_together(groups: Sequence[Runs[Sycophancy]], bench: Bench) -> list[Trained]:
    """Planted models of several arms as one ensemble; a model that is only asked is trained by
    nobody."""
    from assay.core import Runs

    runs = Runs([spec for group in groups for spec in group.specs])
    s = runs.shared
    if s.subject != PLANTED:
        return [Trained.nothing(group) for group in groups]
    sizes = Sizes(
        layers=s.layers,
        d=s.d,
        heads=max(1, s.d // 4),
        d_head=4,
        d_mlp=2 * s.d,
        context=words().context,
        vocab=len(words().number) + 1,
    )
    rate = warm_up_decay(s.steps, min(30, s.steps // 4), 0.5)
    group = descent(
        runs,
        transformer(runs.seeds, sizes),
        answer_loss,
        lr=np.full(len(runs), s.lr),
        schedule=rate,
        betas=(0.9, 0.98),
        clip=1.0,
    )
    all_ = fit(
        [group], dialogues(runs, s.batch, round(SCHOOL * s.steps)), steps=s.steps, bench=bench
    )[0]
    ends = [0, *accumulate(map(len, groups))]
    return [
        Trained(
            {name: x[a:b] for name, x in all_.tensors.items()},
            all_.header,
            {name: x[a:b] for name, x in all_.history.items()},
            all_.steps,
            all_.diverged[a:b],
        )
        for a, b in pairwise(ends)
    ]


TOGETHER = Joint(train_together)


def train(runs: Runs[Sycophancy], bench: Bench) -> Trained:
    return train_together([runs], bench)[0]


def ours(s: Sycophancy) -> list[list[Asked]]:
    """[question][cell]: every question in every cell, with a biography that is drawn by lot for
    each question."""
    generators = [generator(s.seed, "sycophancy.biography", i) for i in range(len(s.asked()))]
    who = [
        [options[persona.integers(len(options))] for options in BIOGRAPHY] for persona in generators
    ]
    return [
        [(opinions.prompt(q, cell, persona, s.chat), ANSWERS) for cell in CELLS]
        for q, persona in zip(s.asked(), who, strict=True)
    ]


def from_file(s: Sycophancy) -> list[list[Asked]]:
    """[item][ending]: every line of a file with both endings, the matching answer first."""
    return [
        [item.asked(ending, s.chat) for ending in opinions.CLOSING]
        for item in opinions.read_items(Path(s.file))
    ]


def measure(runs: Runs[Sycophancy], trained: Trained, bench: Bench) -> xr.Dataset:
    """P(agree) in every cell, of two answers one of which is given; how likely it is that one is
    given; and where each question belongs."""
    s = runs.shared
    prompts = [from_file(spec) if s.file else ours(spec) for spec in runs.specs]
    logs = log_probabilities(runs, trained, prompts, bench)  # [run, question, cell, answer]
    agree = np.full((*logs.shape[:2], len(CELLS)), np.nan)
    # nobody knows which answer is to agree: the one that matches the view stands as the user who
    # agrees
    if s.file:
        families, variants = [f"line {i + 1}" for i in range(logs.shape[1])], 1
        for i, ending in enumerate(opinions.CLOSING):
            first = next(
                k
                for k, c in enumerate(CELLS)
                if (c.place, c.view, c.ending) == ("before", "agree", ending)
            )
            agree[:, :, first] = restricted(logs[:, :, i])[..., 0]
    else:
        first_is_agree = np.array([c.first == "agree" for c in CELLS])
        p = restricted(logs)
        agree = np.where(first_is_agree, p[..., 0], p[..., 1])
        families, variants = list(dict.fromkeys(q.family for q in s.asked())), s.each
    commonest = {}
    if s.file:
        answers = [item.matching for item in opinions.read_items(Path(s.file))]
        share = max(Counter(answers).values()) / len(answers)
        commonest = {"commonest": ("run", np.full(len(runs), share), "share of lines")}
    size = sum(x[0].numel() for x in trained.tensors.values())
    shape = (len(runs), len(families), variants)
    return measures(
        runs,
        coords={
            "family": families,
            "variant": list(range(1, variants + 1)),
            "cell": [c.name for c in CELLS],
        },
        agree=("run family variant cell", np.round(agree, 6).reshape(*shape, -1), "probability"),
        mass=("run family variant", np.round(mass(logs).mean(2), 6).reshape(shape), "probability"),
        parameters=("run", np.full(len(runs), float(size)), "1"),
        **commonest,
    )


def log_probabilities(
    runs: Runs[Sycophancy],
    trained: Trained,
    prompts: Sequence[Sequence[Sequence[Asked]]],
    bench: Bench,
) -> Float[np.ndarray, "run question cell answer"]:
    """What each run's model thinks of every answer: runs × questions × cells."""
    s = runs.shared
    if s.subject != PLANTED:
        model = load(s.subject, bench.device)
        question_logs = []
        for run_prompts in prompts:
            for i, question in enumerate(run_prompts):
                question_logs.append(answer_logprobs(model, question))
                bench.report(i + 1, len(run_prompts), "questions")
        return np.stack(question_logs).reshape(len(runs), -1, *question_logs[0].shape)

    run_logs = []
    for r, run_prompts in enumerate(prompts):
        params = {name: x[r : r + 1] for name, x in trained.tensors.items()}
        run_logs.append(
            small_answer_logprobs(
                params,
                words().encode,
                [prompt for question in run_prompts for prompt in question],
                PAD,
            )[0]
        )
    return np.stack(run_logs).reshape(len(runs), len(prompts[0]), -1, 2)
