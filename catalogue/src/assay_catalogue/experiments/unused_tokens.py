"""Unused tokens: do embeddings and repetition tell the tokens that Gemma 3 reserves as unused, and
words that it hardly saw?

Group: knowledge
Paper: Land & Bartolo 2024, Fishing for Magikarp: Automatically Detecting Under-trained Tokens in
Large Language Models
Claim: the median unused token is less than half as far from known unused ones, in cosine without
the mean row, as 98 of 100 words
Baselines: the rows' lengths; a reference drawn by lot; rare words against common ones; the
neighbours of each word in the vocabulary
Cost: 140 s on 2 cores, 120 CPU-seconds, 2.8 GB a process
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Lt
from jaxtyping import Float, Int

from assay.core import (
    Arm,
    Arms,
    Bench,
    Claim,
    Estimate,
    Experiment,
    Figure,
    ModelError,
    Runs,
    Spec,
    Trained,
    figure,
    grid,
    instead,
)
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data.names import model_in_words
from assay.subjects.folder import fingerprint
from assay.subjects.pretrained import Pretrained, load
from assay.train.rng import generator
from assay_catalogue.features.undertrained import cosine_distance

PAPER = (
    "Land & Bartolo 2024, Fishing for Magikarp: Automatically Detecting Under-trained Tokens in "
    "Large Language Models"
)
GROUPS = ("unused", "rare", "common", "lowest", "beside", "short", "beside short")
BEFORE = "The same piece of text, over and over again:\n"
"""What a prompt begins with."""
LOWEST = 0.02
"""The share of words that the paper takes for candidates."""
WORD = re.compile(r"[▁Ġ]?[A-Za-z]{4,}")
"""A token of text that is a word or a part of one, in Latin letters."""


@dataclass(frozen=True, kw_only=True)
class UnusedTokens(Spec):
    subject: str = "gemma3-270m"
    """The language model, "gemma3-270m" or a local folder."""
    reserved: str = r"<unused\d+>"
    """A regular expression for the names of tokens that are reserved as unused. Of every two the
    first are the known ones, the second are looked for."""
    each: Annotated[int, Ge(2)] = 16
    """Tokens drawn by each seed from each group; words beside which they lie, 50 times as many."""
    share: Annotated[float, Gt(0), Lt(1)] = 0.005
    """The share of words that is taken for hardly seen: those with the lowest indicator."""
    third: Annotated[float, Gt(0), Lt(0.5)] = 1 / 3
    """Words of this share at the end of the vocabulary are rare, at its beginning common: byte-pair
    encoding adds what is frequent first."""
    times: Annotated[int, Ge(1)] = 8
    """Copies of a token in a prompt that asks for one more."""

    @property
    def models(self) -> str:
        """What is asked, in words."""
        return model_in_words(self.subject)


def inputs(s: UnusedTokens) -> dict[str, str]:
    """What a run reads: the model, by its hash."""
    return {"model": fingerprint(s.subject)}


def train(runs: Runs[UnusedTokens], bench: Bench) -> Trained:
    """Train nothing: the model is asked as it is."""
    return Trained.nothing(runs)


def named(model: Pretrained, s: UnusedTokens, vocab: int) -> dict[str, Int[np.ndarray, "token"]]:
    """{group: tokens, in order}: unused ones that are known and that are looked for, and words.

    Of words, too, the first of every two were a pilot's, and only the second are asked. Raises:
    ModelError where fewer than two are reserved."""
    inner = model.folder.tokenizer.inner
    special = set(inner.get_added_tokens_decoder())
    names = sorted((i, name) for name, i in inner.get_vocab().items() if i < vocab)
    reserved = [i for i, name in names if re.fullmatch(s.reserved, name)]
    if len(reserved) < 2:
        raise ModelError(
            f"{model.name} has {len(reserved)} tokens whose name fits {s.reserved!r}, so none is "
            "known to be unused; give another pattern by --set reserved="
        )
    words = [i for i, name in names if i not in special and WORD.fullmatch(name)]
    return {
        "known": np.array(reserved[::2]),
        "unused": np.array(reserved[1::2]),
        "word": np.array(words[1::2]),
    }


def beside(tokens: Int[np.ndarray, "n"], others: Int[np.ndarray, "word"]) -> Int[np.ndarray, "n"]:
    """Of each token the nearest of the others by number, and so as rare."""
    right = np.searchsorted(others, tokens).clip(1, len(others) - 1)
    nearer = tokens - others[right - 1] <= others[right] - tokens
    return np.where(nearer, others[right - 1], others[right])


def drawn(
    s: UnusedTokens,
    sets: Mapping[str, Int[np.ndarray, "token"]],
    distance: Float[np.ndarray, "word"],
    length: Float[np.ndarray, "word"],
) -> dict[str, Int[np.ndarray, "n"]]:
    """{group: tokens}, by lot."""
    lot, words = generator(s.seed, "unused-tokens"), sets["word"]
    part = round(s.third * len(words))
    few = max(s.each, round(s.share * len(words)))

    def some(tokens: Int[np.ndarray, "token"]) -> Int[np.ndarray, "n"]:
        return lot.choice(tokens, s.each, replace=len(tokens) < s.each)

    out = {"unused": some(sets["unused"])}
    out |= {"rare": some(words[-part:]), "common": some(words[:part])}
    for name, neighbours, score in (
        ("lowest", "beside", distance),
        ("short", "beside short", length),
    ):
        order = words[np.argsort(score, kind="stable")]
        out[name] = some(order[:few])
        out[neighbours] = beside(out[name], np.sort(order[4 * few :]))
    return out


def repeated(
    model: Pretrained, tokens: Int[np.ndarray, "token"], times: int
) -> Float[np.ndarray, "token"]:
    """log10 of the probability of each token after so many copies of itself, behind a line that
    announces repetition."""
    prompts = [[*model.prompt(BEFORE)[0].tolist(), *[int(t)] * times] for t in tokens]
    which = torch.from_numpy(tokens).to(model.device)
    with torch.no_grad():
        logits = model.model(
            input_ids=torch.tensor(prompts, device=model.device), logits_to_keep=1
        ).logits[:, -1]
    logs = logits.float().log_softmax(-1).gather(1, which[:, None])[:, 0]
    return logs.double().cpu().numpy() / np.log(10)


def measure(runs: Runs[UnusedTokens], trained: Trained, bench: Bench) -> xr.Dataset:
    """How far below words unused tokens lie by an indicator, and groups of tokens below each other
    by repetition."""
    s = runs.shared
    model = load(s.subject, bench.device)
    rows = model.model.get_output_embeddings().weight.detach().float().cpu().numpy()
    sets = named(model, s, len(rows))
    words, mean = sets["word"], rows.mean(0)

    def distance(
        tokens: Int[np.ndarray, "n"], reference: Int[np.ndarray, "known"]
    ) -> Float[np.ndarray, "n"]:
        return cosine_distance(rows[tokens] - mean, rows[reference].mean(0) - mean)

    def length(tokens: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        return np.linalg.norm(rows[tokens], axis=1)

    of_words = distance(words, sets["known"]), length(words)
    values: dict[str, list[float]] = {}
    log_p = np.zeros((len(runs), len(GROUPS), s.each))
    for r, spec in enumerate(runs.specs):
        tokens = drawn(spec, sets, *of_words)
        lot = generator(spec.seed, "unused-tokens.words")
        among = lot.choice(words, 50 * s.each)
        by_lot = lot.choice(words, len(sets["known"]))
        log_p[r] = [repeated(model, tokens[group], s.times) for group in GROUPS]
        said = dict(zip(GROUPS, log_p[r], strict=True))
        for name, value in {
            "margin": margin(*(distance(x, sets["known"]) for x in (tokens["unused"], among))),
            "margin_norm": margin(length(tokens["unused"]), length(among)),
            "margin_lot": margin(*(distance(x, by_lot) for x in (tokens["unused"], among))),
            "margin_rare": margin(*(distance(x, sets["known"]) for x in (tokens["rare"], among))),
            "silence": silence(said["unused"], said["rare"]),
            "silence_rare": silence(said["rare"], said["common"]),
            "lowest": silence(said["lowest"], said["beside"]),
            "lowest_short": silence(said["short"], said["beside short"]),
        }.items():
            values.setdefault(name, []).append(value)
        bench.report(r + 1, len(runs), "draws")
    return measures(
        runs,
        coords={"group": list(GROUPS)},
        log_p=("run group", np.median(log_p, 2), "log10 of a probability"),
        mute=("run group", (log_p < -2).mean(2), "share of tokens"),
        **{
            name: ("run", np.array(x), "log ratio" if "margin" in name else "decades")
            for name, x in values.items()
        },
    )


def margin(low: Float[np.ndarray, "n"], rest: Float[np.ndarray, "m"]) -> float:
    """How far the median of some scores lies below the lowest 2 % of others, as a logarithm."""
    return float(np.log(np.quantile(rest, LOWEST) / np.median(low)))


def silence(low: Float[np.ndarray, "n"], rest: Float[np.ndarray, "n"]) -> float:
    """By how many decades the median of some tokens lies below nine of ten others."""
    return float(np.quantile(rest, 0.1) - np.median(low))


def log_p_of(name: str, group: str) -> Callable[[Arms], xr.DataArray]:
    """A finding's value: a measure of one group of tokens."""
    return lambda arms: arms["main"][name].sel(group=group)


claim = partial(Claim, published="new", source=PAPER)
CLAIMS = (
    claim(
        text="The median unused token is less than half as far from known unused ones, in cosine "
        "without the mean row, as 98 of 100 words",
        value=lambda arm, arms: arm.margin,
        low=0.6931471805599453,
        unit="log ratio of cosine distances",
        must_fail=("length", "lot", "rarity"),
        near={
            "lot": "any tokens taken as a reference would point at something",
            "rarity": "rarity alone: rare words lie as near",
        },
        threshold_from="plan: factor 2, as glitch-tokens asks of planted tokens",
    ),
    claim(
        text="After 8 copies the median unused token is expected at most a tenth as much as nine "
        "of ten rare words",
        value=lambda arm, arms: arm.silence,
        low=1.0,
        unit="decades",
        near={"rarity": "rarity alone: rare words against common ones"},
        threshold_from="plan: a decade, as glitch-tokens asks of planted tokens",
    ),
    claim(
        text="The same indicator finds words that cannot be repeated: of its lowest 0.5 % the "
        "median word is expected at most a tenth as much as nine of ten neighbours",
        value=lambda arm, arms: arm.lowest,
        low=1.0,
        unit="decades",
        must_fail=("length", "rarity"),
        near={"length": "the shortest rows would be found as well"},
        threshold_from="plan: a decade, as of unused tokens",
    ),
)
FINDINGS = tuple(
    Estimate(
        text=f"{what}, {words}",
        unit=unit,
        natural=(0, 1) if name == "mute" else None,
        value=log_p_of(name, group),
    )
    for name, unit, what in (
        ("log_p", "log10 of a probability", "Median probability after 8 copies"),
        ("mute", "share of tokens", "Tokens with a probability below 0.01 after 8 copies"),
    )
    for group, words in (
        ("unused", "unused tokens"),
        ("rare", "rare words"),
        ("common", "common words"),
        ("lowest", "the lowest 0.5 % of words"),
        ("beside", "their neighbours"),
        ("short", "words of the shortest rows"),
    )
)


def figures(arms: Arms) -> list[Figure]:
    log_p = arms["main"].log_p
    return [
        figure(
            "What the model expects after copies of a token",
            "points",
            {"token": "x", "mean": "mean"},
            [(group, log_p.sel(group=group).values) for group in GROUPS],
            y_title="median log10 probability of one more",
            note="Mean and 95% t interval over draws of tokens.",
        )
    ]


PAGE = """
**The question.** Some tokens of a vocabulary were hardly trained. Can they be told from the weights of a real model, where it is known which they
are? Gemma 3 reserves 6,242 tokens by the name of *unused*.

**How it is judged.** Half of these are the reference. Twelve draws of the others are compared with rare words. Then the same indicator is turned on
ordinary words: can the model repeat those that lie lowest?

**Read this before you quote it.** A model whose unembedding is its embedding, in 4-bit weights. Rare means late in the vocabulary; how often its
training had a word is not known.
"""  # noqa: E501
experiment = Experiment(
    page=PAGE.strip(),
    arms={
        "main": Arm(train, note="the model as it is: unused tokens, {main.each} a draw"),
        "length": Arm(
            derive=instead("main", margin="margin_norm", lowest="lowest_short"),
            note="the length of rows in the place of the indicator",
            learned=(),
        ),
        "lot": Arm(
            derive=instead("main", margin="margin_lot"),
            note="words drawn by lot as the reference",
            learned=(),
        ),
        "rarity": Arm(
            derive=instead(
                "main", margin="margin_rare", silence="silence_rare", lowest="silence_rare"
            ),
            note="rare words in the place of unused tokens, common ones in the place of rare",
            learned=(),
        ),
    },
    measure=measure,
    claims=(*CLAIMS, *FINDINGS),
    figures=figures,
    inputs=inputs,
    seeds_per_group=12,
    frozen={"times": "after 8 copies", "share": "the lowest 0.5 % of words"},
    scope="{models}; tokens of this vocabulary",
    smoke=grid(UnusedTokens(subject="smollm2", reserved=r"<.+>", each=2), seed=range(2)),
    default=grid(UnusedTokens(), seed=range(16_000, 16_012)),
)
