"""What is measured of explanations: of features drawn by lot beside neurons and directions, and of features on one token in context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from assay.core.rng import normal, permutation, uniform
from assay.features.explaining.evidence import InputExplanation, OutputExplanation, input_explanation, promoted, weighed
from assay.features.explaining.learner import Limits, learn
from assay.features.explaining.rule import Positions, Rule, kinds, rule_f1
from assay.features.explaining.scoring import (
    auroc,
    average_precision,
    balanced_accuracy,
    contexts,
    cut,
    fuzzing,
    levels,
    lineup,
    logit_prediction,
    simulation,
)

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from assay.core.bench import Bench
    from assay.core.fit import Trained
    from assay.data.targets import Targets
    from assay.experiments.autointerp_io.setting import InputsOutputs

Named = dict[str, tuple[str, Any, str]]
STEERED, POSITIONS, SHUFFLES = 10, 256, 3
"""Tokens whose logits rise most, positions at which a feature is added, and other features whose explanations are tried."""
BEFORE = Limits(places=(-1, -2, -3, -4, "recent"))
"""What a rule may look at where the token itself is given."""
IN_CONTEXT = (0.8, 0.5)
"""A token-in-context feature has at least this share of its activation on one token, and fires on less than this share of it."""
PLANTED = (0.9, 0.05)
"""How often a planted feature fires on its token where its tokens follow, or stand before it, and elsewhere."""


@dataclass(frozen=True, eq=False)
class Text:
    """The two texts of one run, the features on them, and what each feature writes."""

    seen: Positions
    fresh: Positions
    held: Bool[np.ndarray, "row"]
    """Rows of a quarter of the files that were explained, by which rules are stopped."""
    h: tuple[torch.Tensor, torch.Tensor]
    """The MLP's activations on either text [row m], less their mean on the first."""
    f: tuple[Float[np.ndarray, "row feature"], Float[np.ndarray, "row feature"]]
    """The dictionary's features on either text."""
    weights: Float[np.ndarray, "feature v"]
    """Centred logit weights of decoder rows, the norm's divisor left out."""
    steer: Any
    """Feature numbers and strengths → the tokens that adding them raises most."""
    vocabulary: list[str]
    likely: Float[np.ndarray, "row v"] | None
    """What the model of the next seed expects next on the fresh text."""

    @staticmethod
    def of(s: InputsOutputs, trained: Trained, data: Targets, test: Targets, bench: Bench) -> Text:
        """Everything that explanations and scores need of one run."""
        from assay.data.tiny import tiny
        from assay.dictionaries.training.cells import dictionaries
        from assay.subjects.pretrained import load

        one, model = dictionaries(trained)["act"], load(data.spec.subject)
        raw, fresh = data.raw(data.kept, ("act",))["act"], test.raw(test.kept, ("act", "post"))
        assert one.scale is not None and data.readout is not None  # trained dictionaries know it, and so do MLPs
        read, W_U = data.readout, model.model.get_output_embeddings().weight.detach().float()
        rows = (one.W_dec[0] @ read.W_out) / one.scale[0]
        weights = (read.project(rows) * read.gain) @ W_U.T
        at = permutation(np.array([s.seed]), "autointerp.steered", 0, len(fresh["post"]))[0][:POSITIONS]
        x = fresh["post"][torch.from_numpy(at)]

        def steer(feature: int, strength: float) -> Int[np.ndarray, "steered"]:
            part = (strength * rows[feature]).expand_as(x)
            rise = (read.norm.exact(part, x + part).mean(0) * read.gain) @ W_U.T
            return torch.topk(rise, STEERED).indices.numpy()

        tokens = [h.harvests["mlp_post"].tokens for h in (data, test)]
        likely = None
        if s.reference:
            other = load(str(tiny(s.model(further=1), bench)))
            ids = torch.from_numpy(tokens[1].astype(np.int64))
            with torch.no_grad():
                logits = [other.model(input_ids=part).logits for part in ids.split(256)]
            likely = torch.cat(logits).flatten(0, 1)[torch.from_numpy(test.kept)].float().softmax(-1).numpy()
        mean = raw.mean(0)
        return Text(
            Positions(tokens[0], data.keep), Positions(tokens[1], test.keep), data.document[data.kept] % 4 == 0,
            (raw - mean, fresh["act"] - mean), (one.encode(raw)[0].numpy(), one.encode(fresh["act"])[0].numpy()),
            (weights - weights.mean(1, keepdim=True)).numpy(), steer, [model.decode([i]) for i in range(len(W_U))], likely,
        )  # fmt: skip

    def lasting(self, firings: int) -> Int[np.ndarray, "feature"]:
        """Features that fire often enough on both texts, and not everywhere."""
        often = [(f > 0).sum(0) for f in self.f]
        return np.flatnonzero(np.minimum(*often) >= firings)


def drawn(s: InputsOutputs, text: Text) -> Int[np.ndarray, "feature"]:
    """The features that are explained, by lot."""
    there = text.lasting(s.firings)
    return there[permutation(np.array([s.seed]), "autointerp.drawn", 0, len(there))[0][: s.features]]


def explain(text: Text, value: Float[np.ndarray, "row"], limits: Limits, named: Any = None) -> InputExplanation:
    """A rule for these activations, learned on the seen text."""
    return input_explanation(learn(text.seen, value > 0, text.held, limits, named), text.seen, value)


def told(text: Text, explained: Any, values: tuple[np.ndarray, np.ndarray], of: tuple[np.ndarray, np.ndarray] | None = None) -> float:
    """Detection on the fresh text; the cut is chosen on the seen one, for the activations `of` which it explains."""
    at = cut(contexts(text.seen, explained.scores(text.seen), (of or values)[0]))
    return balanced_accuracy(contexts(text.fresh, explained.scores(text.fresh), values[1]), at)


def dense_as(text: Text, a: torch.Tensor, b: torch.Tensor, rates: Float[np.ndarray, "item"]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Activations of neurons or directions on both texts, above the threshold at which each fires as often as asked on the first."""
    edge = [float(torch.kthvalue(a[:, i], max(1, round((1 - r) * len(a)))).values) for i, r in enumerate(rates)]
    return [(np.maximum(a[:, i].numpy() - e, 0), np.maximum(b[:, i].numpy() - e, 0)) for i, e in enumerate(edge)]


def drawn_measures(s: InputsOutputs, text: Text) -> Named:
    """Scores of features drawn by lot, and detection of as many neurons and random directions that fire as often."""
    chosen, limits, seed = drawn(s, text), Limits(names=s.names), np.array([s.seed])
    n, named = len(chosen), kinds(text.vocabulary)
    out: dict[str, np.ndarray] = {}

    def put(name: str, i: int, value: float) -> None:
        out.setdefault(name, np.full(s.features, np.nan))[i] = value

    values = [(text.f[0][:, i], text.f[1][:, i]) for i in chosen]
    inside = [explain(text, v[0], limits) for v in values]
    outside = [OutputExplanation(tuple(ids.tolist())) for ids in promoted(text.weights[chosen], s.names)]
    tokens = {"in": [e.rule.tokens for e in inside], "out": [e.promoted for e in outside]}
    steered = [text.steer(int(i), float(np.quantile(v[0][v[0] > 0], 0.95))) for i, v in zip(chosen, values, strict=True)]
    shifted = permutation(seed, "autointerp.permuted", 0, len(text.seen))[0], permutation(seed, "autointerp.permuted", 1, len(text.fresh))[0]
    for i, v in enumerate(values):
        fires, score = v[1] > 0, inside[i].scores(text.fresh)
        of = levels(score, fires)
        put("detection", i, told(text, inside[i], v))
        put("detection_out", i, told(text, outside[i], v))
        for side, explained in (("shuffled", inside), ("shuffled_out", outside)):
            other = [(i + j) % n for j in range(1, 1 + SHUFFLES)]
            put(side, i, float(np.mean([told(text, explained[j], v, values[j]) for j in other])))
        worded = explain(text, v[0], limits, named)
        bare = input_explanation(worded.rule.without_quotes(), text.seen, v[0])
        put("worded", i, told(text, worded, v))
        put("bare", i, told(text, bare, v))
        put("fuzzing", i, fuzzing(score, v[1], text.fresh, cut(levels(inside[i].scores(text.seen), v[0] > 0)), s.seed))
        put("simulation", i, simulation(score, v[1]))
        put("auroc", i, auroc(of))
        put("precision", i, average_precision(of))
        put("f1", i, rule_f1(inside[i].rule, text.fresh, fires))
        put("auroc_out", i, auroc(levels(outside[i].scores(text.fresh), fires)))
        put("both", i, _both(text, inside[i], outside[i], v))
        put("permuted", i, _both(text, inside[i], outside[i], v, shifted))
        put("predicted", i, logit_prediction(tokens["in"][i], text.weights[chosen[i]]))
    foils = np.stack([(np.arange(n) + j) % n for j in (1, 2)], 1)
    for side in ("in", "out"):
        for name, moved in ((f"lineup_{side}", 0), (f"shuffled_lineup_{side}", 3)):  # moved on by more than the foils
            for i, point in enumerate(lineup([tokens[side][(j + moved) % n] for j in range(n)], steered, foils)):
                put(name, i, float(point))
    rates = np.array([(v[0] > 0).mean() for v in values])
    which = permutation(seed, "autointerp.neurons", 0, text.h[0].shape[1])[0][:n]
    beside = {"neuron": [h[:, torch.from_numpy(which)] for h in text.h]}
    for name, index in (("direction", 0), ("again", 1)):
        u = torch.from_numpy(normal(seed, "autointerp.directions", index, (text.h[0].shape[1], n))[0])
        beside[name] = [h @ u for h in text.h]
    for name, (a, b) in beside.items():
        for i, v in enumerate(dense_as(text, a, b, rates)):
            put(name, i, told(text, explain(text, v[0], limits), v))
    return {name: ("run feature", x[None], "1") for name, x in out.items()}


def _both(
    text: Text, inside: InputExplanation, outside: OutputExplanation, v: tuple[np.ndarray, np.ndarray],
    moved: tuple[np.ndarray, np.ndarray] | None = None,
) -> float:  # fmt: skip
    """AUROC on the fresh text of a logistic regression on the rule's leaf and whether a promoted token follows, fitted on the seen one."""
    scores = []
    for i, at in enumerate((text.seen, text.fresh)):
        q = outside.scores(at)
        scores.append((inside.scores(at), q if moved is None else q[moved[i]]))
    a, b, c = weighed(*scores[0], v[0] > 0)
    return auroc(levels(a * scores[1][0] + b * scores[1][1] + c, v[1] > 0))


def in_context(s: InputsOutputs, text: Text) -> list[tuple[int, int]]:
    """(feature, its token) of token-in-context features, told on the seen text alone but for the number of firings; drawn by lot."""
    share, rate = IN_CONTEXT
    here, found = text.seen.shifted(0), []
    there = text.lasting(s.firings)
    for i in there[permutation(np.array([s.seed]), "autointerp.pairs", 0, len(there))[0]]:
        value = text.f[0][:, i]
        mass = np.bincount(here, value, minlength=len(text.vocabulary))
        token = int(mass.argmax())
        if mass[token] >= share * mass.sum() and (value[here == token] > 0).mean() < rate:
            found.append((int(i), token))
    return found[: s.pairs]


def given_measures(s: InputsOutputs, text: Text) -> Named:
    """For token-in-context features, on their token alone: AUROC of what is before it and of what follows, and of planted features."""
    pairs = in_context(s, text)
    sets = promoted(text.weights[[i for i, _ in pairs]], s.names) if pairs else np.zeros((0, s.names), int)
    out = {name: np.full(s.pairs, np.nan) for name in GIVEN}
    for j, (i, token) in enumerate(pairs):
        rows = [at.shifted(0) == token for at in (text.seen, text.fresh)]
        seen, fresh = text.seen.of(rows[0]), text.fresh.of(rows[1])
        held, value, fires = text.held[rows[0]], text.f[0][rows[0], i], text.f[1][rows[1], i] > 0

        def of_rule(value: np.ndarray, fires: np.ndarray, seen: Positions = seen, fresh: Positions = fresh, held: np.ndarray = held) -> float:
            rule = learn(seen, value > 0, held, Limits(names=s.names, places=BEFORE.places))
            return auroc(levels(input_explanation(rule or Rule(()), seen, value).scores(fresh), fires))

        def of_tokens(ids: Any, fires: np.ndarray, fresh: Positions = fresh) -> float:
            return auroc(levels(OutputExplanation(tuple(map(int, ids))).scores(fresh), fires))

        out["given_in"][j] = of_rule(value, fires)
        out["given_out"][j] = of_tokens(sets[j], fires)
        out["given_other"][j] = of_tokens(sets[(j + 1) % len(sets)], fires)
        follows, precedes = _commonest(seen.following, 2 * s.names), _commonest(seen.shifted(-1), 2 * s.names)
        out["given_common"][j] = of_tokens(follows[: s.names], fires)
        out["given_hindsight"][j] = of_tokens(_telling(seen.following, value > 0, s.names), fires)
        if text.likely is not None:
            out["given_likely"][j] = auroc(levels(text.likely[rows[1]][:, sets[j]].sum(1), fires))
        planted = [_planted(s.seed, j, k, np.isin(at.following, follows[::2])) for k, at in enumerate((seen, fresh))]
        out["planted_in"][j], out["planted_out"][j] = of_rule(planted[0], planted[1] > 0), of_tokens(follows[::2], planted[1] > 0)
        marked = [_planted(s.seed, j, 2 + k, np.isin(at.shifted(-1), precedes[::2])) for k, at in enumerate((seen, fresh))]
        out["marked_in"][j], out["marked_out"][j] = of_rule(marked[0], marked[1] > 0), of_tokens(sets[j], marked[1] > 0)
    named: Named = {name: ("run pair", x[None], "AUROC") for name, x in out.items()}
    return named | {"found": ("run", np.array([float(len(in_context(s, text)))]), "features")}


GIVEN = ("given_in", "given_out", "given_other", "given_common", "given_hindsight", "given_likely", "planted_in", "planted_out",
         "marked_in", "marked_out")  # fmt: skip


def _commonest(tokens: Int[np.ndarray, "row"], count: int) -> Int[np.ndarray, "count"]:
    """The tokens that stand there most often, falling."""
    return np.argsort(-np.bincount(tokens[tokens >= 0]), kind="stable")[:count]


def _telling(tokens: Int[np.ndarray, "row"], fires: Bool[np.ndarray, "row"], count: int) -> Int[np.ndarray, "count"]:
    """The following tokens that tell firings best on the seen text: by how many more of the firings than of the others have them."""
    size = int(tokens.max(initial=0)) + 2
    shares = [np.bincount(tokens[rows] + 1, minlength=size)[1:] / max(1, rows.sum()) for rows in (fires, ~fires)]
    return np.argsort(shares[1] - shares[0], kind="stable")[:count]


def _planted(seed: int, pair: int, index: int, marked: Bool[np.ndarray, "row"]) -> Float[np.ndarray, "row"]:
    """A planted feature's activation: 1 where it fires, which it does often where marked and rarely elsewhere."""
    return (uniform(np.array([seed]), f"autointerp.planted.{index}", pair, (len(marked),))[0] < np.where(marked, *PLANTED)).astype(float)
