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
from assay.core.rng import normal, permutation
from assay.data import corpus as corpora
from assay.data.harvest import Harvest
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.training import on_text
from assay.dictionaries.training.freezing import Part, freeze
from assay.dictionaries.training.on_text import NamedModelDictionary, fit_on, topk
from assay.features.effects import directions
from assay.features.explaining.evidence import promoted
from assay.features.explaining.rule import Positions
from assay.features.explaining.scoring import logit_prediction
from assay.features.explaining.token_context import (
    SHARE,
    Given,
    following,
    on_tokens,
    token_in_context,
)
from assay.subjects.pretrained import Pretrained

Effects = Float[np.ndarray, "feature v"]
ROWS = 8192
"""Rows that are encoded at once."""


@dataclass(frozen=True, kw_only=True)
class TokenInContext(NamedModelDictionary):
    """A wide dictionary of Gemma's stream, and what is asked of its token-in-context features."""

    subject: str = "gemma3-270m"
    """The language model: "smollm2", "gemma3-270m", a local folder or a hub's name."""
    layer: Annotated[int, Ge(1)] = 14
    frozen: Part = ""
    """The part of the dictionary that is not learned."""
    corpus: str = corpora.DOCS
    width: Annotated[int, Ge(1)] = 6144
    windows: Annotated[int, Ge(1)] = 2000
    tested: Annotated[int, Ge(1)] = 600
    """Windows of other files, on which explanations are scored."""
    batch: Annotated[int, Ge(1)] = 512
    steps: Annotated[int, Ge(2)] = 1500
    firings: Annotated[int, Ge(2)] = 10
    """Firings on its token that a feature needs on the text that is explained; half as many on the
    other."""
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


def train_together(groups: Sequence[Runs[TokenInContext]], bench: Bench) -> list[Trained]:
    """Dictionaries of one seed, learned in full or in part, in one pass over the same batches."""
    data, _ = on_text.activations(groups[0].shared, bench)
    return fit_on(data, [(runs, freeze(topk(runs), runs.shared.frozen)) for runs in groups], bench)


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


def in_context(seen: Fired, fresh: Fired, firings: int) -> dict[int, int]:
    """The token of each token-in-context feature by the definition, of those that fire on the other
    text as well."""
    tokens, after = seen.text.shifted(0), fresh.text.shifted(0)
    size, out = int(tokens.max()) + 1, {}
    for feature in range(len(seen.start) - 1):
        some = slice(*seen.start[feature : feature + 2])
        if some.stop - some.start < firings:
            continue
        # what cannot be such a feature is passed over before all its rows are made
        mass = np.bincount(
            np.unique(tokens[seen.row[some]], return_inverse=True)[1], seen.value[some]
        )
        if mass.max() < SHARE * mass.sum():
            continue
        token = token_in_context(on_tokens(seen.text, seen.values(feature), size), firings)
        if token is None:
            continue
        there, places = fresh.values(feature)[after == token] > 0, int((after == token).sum())
        if firings // 2 <= there.sum() <= places - firings // 2:
            out[feature] = token
    return out


def chosen(s: TokenInContext, tokens: Mapping[int, int]) -> list[int]:
    """Features in an order drawn by lot, at most so many of a token; of tokens with a single
    feature none, as there is no other to compare it with."""
    features = np.array(sorted(tokens))
    order = features[permutation(np.array([s.seed]), "autointerp.in-context", 0, len(features))[0]]
    by_token: dict[int, list[int]] = {}
    for feature in order.tolist():
        by_token.setdefault(tokens[feature], []).append(feature)
    several = {t: f[: s.per_token] for t, f in by_token.items() if len(f) > 1}
    return [f for token in sorted(several) for f in several[token]][: s.features]


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
        s, total = self.data.tokens.shape[1], np.zeros(())
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
                logits = self.model.head(run.final[:, position]).float().cpu()
            total = total + (logits[:1] - logits[1:]).numpy()
        mean = total / len(places)
        centred: np.ndarray = mean - mean.mean(1, keepdims=True)
        return centred


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
    tokens = in_context(seen, fresh, s.firings)
    features = chosen(s, tokens)
    acting = Acting(data.model(bench.device), s.layer, data)
    effects = acted(s, acting, dictionary, seen, features, tokens, bench)
    held = data.document[data.kept] % 4 == 0
    names = (*GIVEN, *FOLLOW, *AGREE)
    out = {name: np.full((1, s.features), np.nan) for name in names}
    for i, numbers in enumerate(told(s, seen, fresh, held, features, tokens, effects)):
        for name, x in numbers.items():
            out[name][0, i] = x
    place = np.full((1, s.features), -1)
    place[0, : len(features)] = [tokens[f] for f in features]
    counts = {"strict": len(tokens), "of_tokens": len(set(tokens.values()))}
    return measures(
        runs,
        token=("run feature", place, "1"),
        **{name: ("run feature", x, "1" if name in AGREE else "AUROC") for name, x in out.items()},
        **{name: ("run", np.array([float(n)]), "1") for name, n in counts.items()},
    )


def acted(
    s: TokenInContext,
    acting: Acting,
    dictionary: Dictionary,
    seen: Fired,
    features: Sequence[int],
    tokens: Mapping[int, int],
    bench: Bench,
) -> dict[str, Effects]:
    """What each feature does to the next token's logits at firings drawn by lot: directly, in all,
    and what a random direction as long does at the same places."""
    rows = directions(dictionary, features).numpy()
    lot = normal(np.array([s.seed]), "autointerp.acting", 0, rows.shape)[0]
    lot *= np.linalg.norm(rows, axis=1, keepdims=True) / np.linalg.norm(lot, axis=1, keepdims=True)
    on = seen.text.shifted(0)
    total = []
    for i, feature in enumerate(features):
        value = seen.values(feature)
        fired = np.flatnonzero((value > 0) & (on == tokens[feature]))
        some = fired[
            permutation(np.array([s.seed]), "autointerp.acted", int(feature), len(fired))[0][
                : s.acted
            ]
        ]
        parts = value[some, None, None] * np.stack([rows[i], lot[i]])
        total.append(acting.total(seen.text.row[some], torch.from_numpy(parts.astype(np.float32))))
        bench.report(i + 1, len(features), "features")
    both = np.stack(total, 1) if total else np.zeros((2, 0, 1))
    return {
        "direct": acting.direct(rows),
        "total": both[0],
        "random direct": acting.direct(lot),
        "random": both[1],
    }


def told(
    s: TokenInContext,
    seen: Fired,
    fresh: Fired,
    held: Bool[np.ndarray, "row"],
    features: Sequence[int],
    tokens: Mapping[int, int],
    effects: Mapping[str, Effects],
) -> Iterator[dict[str, float]]:
    """Give the numbers of each feature; those of another are of another on the same token."""
    given = {
        f: Given.at(tokens[f], seen.text, fresh.text, held, (seen.values(f), fresh.values(f)))
        for f in features
    }
    after = {f: following(g.seen, g.value > 0, s.names).tolist() for f, g in given.items()}
    sets = {name: promoted(x, s.names) for name, x in effects.items()}
    for i, f in enumerate(features):
        here, conditional = [j for j, g in enumerate(features) if tokens[g] == tokens[f]], given[f]
        at = here.index(i)
        other, another = here[(at + 1) % len(here)], here[(at + 2) % len(here)]
        direct, total = effects["direct"][i], effects["total"][i]
        yield {
            "given_before": conditional.before(s.names),
            "given_direct": conditional.next(sets["direct"][i]),
            "given_total": conditional.next(sets["total"][i]),
            "given_other": conditional.next(sets["direct"][other]),
            "given_other_total": conditional.next(sets["total"][other]),
            "given_common": conditional.next(conditional.commonest(s.names)),
            "given_random": conditional.next(sets["random"][i]),
            "given_hindsight": conditional.next(after[f]),
            "follow_direct": logit_prediction(after[f], direct),
            "follow_total": logit_prediction(after[f], total),
            "follow_other": logit_prediction(after[features[other]], total),
            "follow_random": logit_prediction(after[f], effects["random"][i]),
            "agree": agreement(direct, total),
            "agree_other": agreement(direct, effects["total"][other]),
            "agree_random": agreement(effects["random direct"][i], effects["random"][i]),
        } | (
            {}
            if another == i
            else {
                "follow_another": logit_prediction(after[features[another]], total),
                "agree_another": agreement(direct, effects["total"][another]),
            }
        )
