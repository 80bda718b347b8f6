"""The method on Gemma: features of a wide dictionary that fire on one token in one context; what
tells when, and what taking them out does to the next token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from jaxtyping import Bool, Float, Int

from assay.core import Bench, Runs, Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data import corpus as corpora
from assay.data.harvest import Harvest
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.training.freezing import Part, freeze
from assay.features.effects import directions
from assay.subjects.pretrained import Pretrained
from assay.train.rng import normal, permutation
from assay_catalogue.dictionaries import on_text
from assay_catalogue.dictionaries.on_text import NamedModelDictionary, fit_on, topk
from assay_catalogue.explaining.evidence import promoted
from assay_catalogue.explaining.rule import Positions
from assay_catalogue.explaining.scoring import logit_prediction
from assay_catalogue.explaining.token_context import (
    SHARE,
    Given,
    following,
    on_tokens,
    token_in_context,
)

Effects = Float[np.ndarray, "feature v"]
ROWS = 8192
"""Rows that are encoded at once."""


@dataclass(frozen=True, kw_only=True)
class TokenInContext(NamedModelDictionary):
    """A wide dictionary of Gemma's stream, and what is asked of its token-in-context features."""

    subject: str = "gemma3-270m"
    """The language model: "smollm2", "gemma3-270m", a local folder or a hub's name."""
    layer: Annotated[int, Ge(1)] = 14
    """The site is the residual stream before this block."""
    frozen: Part = ""
    """The part of the dictionary that is not learned."""
    corpus: str = corpora.DOCS
    """The text: "stdlib", "docs" or a folder of text files."""
    width: Annotated[int, Ge(1)] = 8192
    """Features in the dictionary."""
    windows: Annotated[int, Ge(1)] = 3000
    """Training windows."""
    tested: Annotated[int, Ge(1)] = 800
    """Windows of other files, on which explanations are scored."""
    batch: Annotated[int, Ge(1)] = 512
    """Activations a step."""
    steps: Annotated[int, Ge(2)] = 1500
    """Training steps of the dictionary."""
    firings: Annotated[int, Ge(2)] = 10
    """Firings on a token that a feature needs on the text that is explained; to be scored half as
    many on the other text, and as many places where it is silent."""
    features: Annotated[int, Ge(2)] = 56
    """Features that are explained at most."""
    per_token: Annotated[int, Ge(2)] = 4
    """Features of one token that are explained at most, drawn by lot."""
    acted: Annotated[int, Ge(1)] = 10
    """Firings at which each is taken out of the stream, drawn by lot."""
    names: Annotated[int, Ge(1)] = 10
    """Tokens that an explanation may name, on either side: K."""

    def cut(self, part: Literal["train", "test"]) -> dict[str, Any]:
        """How many windows either part has."""
        return {"windows": self.windows if part == "train" else self.tested}


def train(runs: Runs[TokenInContext], bench: Bench) -> Trained:
    """A dictionary, learned in full or in part; each arm by itself: two cores share them."""
    data, _ = on_text.activations(runs.shared, bench)
    return fit_on(data, [(runs, freeze(topk(runs), runs.shared.frozen))], bench)[0]


@dataclass(frozen=True, eq=False)
class Fired:
    """Where the features of a dictionary fire on a text, a row of the text for each firing."""

    text: Positions
    row: Int[np.ndarray, "firing"]
    value: Float[np.ndarray, "firing"]
    start: Int[np.ndarray, "edge"]
    """Of each feature's firings among them, and behind the last."""

    @staticmethod
    def of(dictionary: Dictionary, data: Harvest) -> Fired:
        """The firings on the kept rows of a harvest."""
        parts = []
        for a in range(0, len(data.kept), ROWS):
            on = dictionary.normalised.active(data.rows(data.kept[a : a + ROWS]))
            parts.append((on.feature.numpy(), on.row.numpy() + a, on.value.numpy()))
        feature, row, value = (np.concatenate(x) for x in zip(*parts, strict=True))
        order = np.argsort(feature, kind="stable")
        start = np.searchsorted(feature[order], np.arange(dictionary.width + 1))
        return Fired(Positions(data.tokens, data.keep), row[order], value[order], start)

    def values(self, feature: int) -> Float[np.ndarray, "row"]:
        """Its activation at every row."""
        out = np.zeros(len(self.text), np.float32)
        firings = slice(*self.start[feature : feature + 2])
        out[self.row[firings]] = self.value[firings]
        return out


def in_context(seen: Fired, firings: int) -> dict[int, int]:
    """The token of each token-in-context feature by the definition."""
    tokens, out = seen.text.shifted(0), dict[int, int]()
    size = int(tokens.max()) + 1
    for feature in np.flatnonzero(np.diff(seen.start) >= firings).tolist():
        some = slice(*seen.start[feature : feature + 2])
        # what cannot be such a feature is passed over before all its rows are made
        kinds = np.unique(tokens[seen.row[some]], return_inverse=True)[1]
        mass = np.bincount(kinds, seen.value[some])
        if mass.max() < SHARE * mass.sum():
            continue
        token = token_in_context(on_tokens(seen.text, seen.values(feature), size), firings)
        if token is not None:
            out[feature] = token
    return out


Pair = tuple[int, int]
"""A feature, and a token at whose places it is looked at."""


@dataclass(frozen=True)
class Explained:
    """A token-in-context feature, and two others that fire on its token; None where there are
    none."""

    own: Pair
    other: Pair | None
    another: Pair | None

    @property
    def pairs(self) -> list[Pair]:
        """All of them."""
        return [pair for pair in (self.own, self.other, self.another) if pair is not None]


def cast(
    s: TokenInContext, seen: Fired, fresh: Fired, strict: Mapping[int, int]
) -> list[Explained]:
    """The features that are explained, at most so many of a token, and who stands beside them: both
    drawn by lot, the latter of all that fire on the token often enough."""
    on, after = seen.text.shifted(0), fresh.text.shifted(0)
    scored: dict[int, list[int]] = {}
    for feature in _in_order(s, "in-context", sorted(strict)):
        fires = fresh.values(feature)[after == strict[feature]] > 0
        if s.firings // 2 <= fires.sum() <= len(fires) - s.firings // 2:
            scored.setdefault(strict[feature], []).append(feature)
    fired_on, feature_of = (
        on[seen.row],
        np.repeat(np.arange(len(seen.start) - 1), np.diff(seen.start)),
    )
    out = []
    for token in sorted(scored):
        counts = np.bincount(feature_of[fired_on == token])
        order = _in_order(s, f"beside.{token}", np.flatnonzero(counts >= s.firings).tolist())
        for feature in scored[token][: s.per_token]:
            pairs = [(f, token) for f in order if f != feature][:2]
            other, another = (*pairs, None, None)[:2]
            out.append(Explained((feature, token), other, another))
    return out[: s.features]


def _in_order(s: TokenInContext, purpose: str, items: Sequence[int]) -> list[int]:
    order = permutation(np.array([s.seed]), f"autointerp.{purpose}", 0, len(items))[0]
    return [items[i] for i in order.tolist()]


@lru_cache(maxsize=1)
def _unembedding(model: Pretrained) -> Float[np.ndarray, "d v"]:
    W_U: np.ndarray = model.unembed().cpu().numpy()
    return W_U


@dataclass(frozen=True, eq=False)
class Acting:
    """The model, and the text at whose positions something is taken out of its stream."""

    model: Pretrained
    layer: int
    data: Harvest

    def direct(self, rows: Float[np.ndarray, "n d"]) -> Effects:
        """Logits that directions add through the final norm's gain alone, centred."""
        logits = rows @ _unembedding(self.model)
        return logits - logits.mean(1, keepdims=True)

    def total(
        self, places: Int[np.ndarray, "n"], parts: Float[torch.Tensor, "n arm d"]
    ) -> Float[np.ndarray, "arm v"]:
        """By how much logits at these flat positions fall, on average and centred, where each part
        is taken out of the stream there and nowhere else."""
        s, ends = self.data.tokens.shape[1], []
        for place, part in zip(places.tolist(), parts, strict=True):
            window, position = divmod(place, s)
            tokens = torch.from_numpy(self.data.tokens[[window], : position + 1].astype(np.int64))
            stream = self.data.raw(np.array([window]))[:, : position + 1]
            stream = stream.repeat(1 + len(part), 1, 1)
            stream[1:, position] -= part
            with torch.no_grad():
                run = self.model.run(
                    tokens.expand(len(stream), -1), start=(self.layer, stream.to(self.model.device))
                )
            assert run.final is not None
            ends.append(run.final[:, position])
        with torch.no_grad():  # at once: reading a large unembedding takes longer than a few blocks
            logits = self.model.head(torch.stack(ends, 1)).float().mean(1).cpu().numpy()
        falls: np.ndarray = logits[:1] - logits[1:]
        return falls - falls.mean(1, keepdims=True)


def agreement(a: Float[np.ndarray, "v"], b: Float[np.ndarray, "v"]) -> float:
    """The correlation of two centred effects over the vocabulary."""
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-30))


GIVEN = (
    "given_before",
    "given_direct",
    "given_total",
    "given_other",
    "given_other_total",
    "given_common",
    "given_random",
    "given_hindsight",
)
FOLLOW = ("follow_direct", "follow_total", "follow_other", "follow_another", "follow_random")
AGREE = ("agree", "agree_other", "agree_another", "agree_random")


def measure(runs: Runs[TokenInContext], trained: Trained, bench: Bench) -> xr.Dataset:
    """How firings on its token are told of each such feature, and how its direct and total effects
    agree; NaN where there are fewer than asked for."""
    (s,) = runs.specs
    data, test = on_text.activations(s, bench)
    dictionary = Dictionary.of(trained.to("cpu"))
    seen, fresh = Fired.of(dictionary, data), Fired.of(dictionary, test)
    strict = in_context(seen, s.firings)
    explained = cast(s, seen, fresh, strict)
    acting = Acting(data.model(bench.device), s.layer, data)
    effects = acted(s, acting, dictionary, seen, explained, bench)
    held = data.document[data.kept] % 4 == 0
    names = (*GIVEN, *FOLLOW, *AGREE)
    out = {name: np.full((1, s.features), np.nan) for name in names}
    for i, numbers in enumerate(score_features(s, seen, fresh, held, explained, effects)):
        for name, x in numbers.items():
            out[name][0, i] = x
    place = np.full((1, s.features), -1)
    place[0, : len(explained)] = [e.own[1] for e in explained]
    counts = {"strict": len(strict), "of_tokens": len(set(strict.values()))}
    return measures(
        runs,
        token=("run feature", place, "1"),
        **{name: ("run feature", x, "1" if name in AGREE else "AUROC") for name, x in out.items()},
        **{name: ("run", np.array([float(n)]), "1") for name, n in counts.items()},
    )


@dataclass(frozen=True, eq=False)
class Acted:
    """What a feature does to the next token's logits at its firings on a token, centred; and what a
    random direction as long does at the same places."""

    direct: Float[np.ndarray, "v"]
    total: Float[np.ndarray, "v"]
    lot_direct: Float[np.ndarray, "v"]
    lot_total: Float[np.ndarray, "v"]


def acted(
    s: TokenInContext,
    acting: Acting,
    dictionary: Dictionary,
    seen: Fired,
    explained: Sequence[Explained],
    bench: Bench,
) -> dict[Pair, Acted]:
    """The effects of all that is explained or stands beside it, at firings drawn by lot."""
    pairs, out = sorted({pair for e in explained for pair in e.pairs}), dict[Pair, Acted]()
    on = seen.text.shifted(0)
    for i, (feature, token) in enumerate(pairs):
        row = directions(dictionary, [feature])[0].numpy()
        lot = normal(np.array([s.seed]), "autointerp.acting", feature, row.shape)[0]
        both = np.stack([row, lot * np.linalg.norm(row) / np.linalg.norm(lot)])
        value = seen.values(feature)
        some = np.array(
            _in_order(s, f"acted.{feature}", np.flatnonzero((value > 0) & (on == token)).tolist())
        )[: s.acted]
        parts = torch.from_numpy((value[some, None, None] * both).astype(np.float32))
        direct, total = acting.direct(both), acting.total(seen.text.row[some], parts)
        out[feature, token] = Acted(direct[0], total[0], direct[1], total[1])
        bench.report(i + 1, len(pairs), "features")
    return out


def score_features(
    s: TokenInContext,
    seen: Fired,
    fresh: Fired,
    held: Bool[np.ndarray, "row"],
    explained: Sequence[Explained],
    effects: Mapping[Pair, Acted],
) -> Iterator[dict[str, float]]:
    """Give the numbers of each feature; those of another are of another on the same token."""

    def condition_on(pair: Pair) -> Given:
        values = (seen.values(pair[0]), fresh.values(pair[0]))
        return Given.at(pair[1], seen.text, fresh.text, held, values)

    def follows(of: Given) -> list[int]:
        return following(of.seen, of.value > 0, s.names).tolist()

    for e in explained:
        conditional, acts = condition_on(e.own), effects[e.own]
        after = follows(conditional)

        def by(effect: Float[np.ndarray, "v"], conditional: Given = conditional) -> float:
            return conditional.next(promoted(effect[None], s.names)[0])

        numbers = {
            "given_before": conditional.before(s.names),
            "given_direct": by(acts.direct),
            "given_total": by(acts.total),
            "given_common": conditional.next(conditional.commonest(s.names)),
            "given_random": by(acts.lot_total),
            "given_hindsight": conditional.next(after),
            "follow_direct": logit_prediction(after, acts.direct),
            "follow_total": logit_prediction(after, acts.total),
            "follow_random": logit_prediction(after, acts.lot_total),
            "agree": agreement(acts.direct, acts.total),
            "agree_random": agreement(acts.lot_direct, acts.lot_total),
        }
        if e.other is not None:
            numbers |= {
                "given_other": by(effects[e.other].direct),
                "given_other_total": by(effects[e.other].total),
                "follow_other": logit_prediction(follows(condition_on(e.other)), acts.total),
                "agree_other": agreement(acts.direct, effects[e.other].total),
            }
        if e.another is not None:
            numbers |= {
                "follow_another": logit_prediction(follows(condition_on(e.another)), acts.total),
                "agree_another": agreement(acts.direct, effects[e.another].total),
            }
        yield numbers
