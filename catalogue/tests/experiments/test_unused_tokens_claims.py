"""Every claim of unused-tokens can hold, can fail, and becomes unspecific where a control passes;
numbers are planted."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
from named_claims import Planted

from assay.core import ModelError, Runs
from assay.core.measures import measures
from assay_catalogue.experiments.unused_tokens import (
    GROUPS,
    UnusedTokens,
    beside,
    drawn,
    experiment,
    margin,
    named,
    silence,
)

FOUND = {
    "margin": 3.0,
    "margin_norm": -0.1,
    "margin_lot": -0.2,
    "margin_rare": -0.5,
    "silence": 5.0,
    "silence_rare": -0.5,
    "lowest": 5.0,
    "lowest_short": -0.5,
}


@dataclass(frozen=True)
class World(Planted, of=experiment):
    """What was planted, where not as in FOUND."""

    changed: dict = field(default_factory=dict)

    def but(self, **changed) -> "World":
        return replace(self, changed={**self.changed, **changed})

    def measures(self, arm: str):
        rng = np.random.default_rng(0)
        runs = Runs(experiment.specs_of(arm, experiment.default))
        groups = rng.normal(size=(2, len(runs), len(GROUPS)))
        return measures(
            runs,
            coords={"group": list(GROUPS)},
            log_p=("run group", groups[0], "1"),
            mute=("run group", groups[1], "1"),
            **{
                name: ("run", value + 0.2 * rng.normal(size=len(runs)), "1")
                for name, value in {**FOUND, **self.changed}.items()
            },
        )


WORLD = World()
# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "The median unused": (
        WORLD.but(margin=0.0),
        {
            "length": WORLD.but(margin_norm=3.0),
            "lot": WORLD.but(margin_lot=3.0),
            "rarity": WORLD.but(margin_rare=3.0),
        },
    ),
    "After 8 copies": (WORLD.but(silence=0.0), {"rarity": WORLD.but(silence_rare=5.0)}),
    "The same indicator": (
        WORLD.but(lowest=0.0),
        {"length": WORLD.but(lowest_short=5.0), "rarity": WORLD.but(silence_rare=5.0)},
    ),
}


def test_margins_and_silence_are_those_of_quantiles_by_hand():
    scores = np.arange(1, 102.0)  # of which 2 in 100 lie below 3
    assert margin(np.array([0.5, 1.5, 9.0]), scores) == pytest.approx(np.log(3 / 1.5))
    assert silence(np.array([-7.0, -6.0, -1.0]), -np.arange(11.0)) == pytest.approx(-9 + 6)


def test_a_neighbour_is_the_nearest_of_the_others_by_number():
    others = np.array([3, 10, 20])
    assert beside(np.array([0, 6, 7, 14, 99]), others).tolist() == [3, 3, 10, 10, 20]


def model(names):
    inner = SimpleNamespace(
        get_vocab=lambda: {name: i for i, name in enumerate(names)},
        get_added_tokens_decoder=lambda: {i: None for i, n in enumerate(names) if n[0] == "<"},
    )
    return SimpleNamespace(
        name="toy", folder=SimpleNamespace(tokenizer=SimpleNamespace(inner=inner))
    )


def test_every_second_reserved_token_is_known_and_every_second_word_is_asked():
    names = ["<unused0>", "▁word", "<unused1>", "other", "x", "<unused2>", "thing", "ab1c", "more"]
    sets = named(model(names), UnusedTokens(), len(names))
    assert {k: v.tolist() for k, v in sets.items()} == {
        "known": [0, 5],
        "unused": [2],
        "word": [3, 8],
    }
    with pytest.raises(ModelError, match="has 0 tokens"):
        named(model(["word"]), UnusedTokens(), 1)


def test_the_lowest_are_drawn_from_the_lowest_and_their_neighbours_from_the_others():
    words = np.arange(0, 20_000, 2)
    sets = {"unused": np.arange(1, 99, 2), "word": words}
    distance, length = np.roll(np.arange(10_000.0), 777), np.roll(np.arange(10_000.0), 3_333)
    tokens = drawn(UnusedTokens(seed=4), sets, distance, length)
    assert set(tokens) == set(GROUPS) and all(len(x) == 16 for x in tokens.values())
    for group, score in (("lowest", distance), ("short", length)):
        assert (score[np.searchsorted(words, tokens[group])] < 50).all()
    assert (distance[np.searchsorted(words, tokens["beside"])] >= 200).all()
    assert tokens["rare"].min() > 13_000 and tokens["common"].max() < 7_000
