"""The table of near controls, one for every door: what a claim can credit, what stands in for it,
and which other explanation that tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from assay.errors import ClaimError, nearest


@dataclass(frozen=True)
class Control:
    """What stands in for the thing that a claim credits.

    Attributes:
        name: as in an arm ARM/NAME.
        why: what would explain the result if the control did as well.
        noise: judged by how many of its independent draws satisfy the claim; of a rival, each
            has to be beaten.
        default: it is tried wherever it can be made; otherwise only where it is named.
    """

    name: str
    why: str
    noise: bool = False
    default: bool = True


ROWS = (
    ("vector", "random", "noise", "a random vector of this length has the effect"),
    ("vector", "shuffled", "noise", "a direction learned from shuffled labels has the effect"),
    ("vector", "layer", "rival", "what another layer has, at right angles to it, has the effect"),
    ("vector", "tokens", "named", "another vector of its kind, at this length, has the effect"),
    ("vector", "opposite", "rival", "the vector with the opposite sign has the effect"),
    ("subspace", "random", "noise", "equally many other dimensions that are used have the effect"),
    ("subspace", "shuffled", "noise", "dimensions learned from shuffled labels have the effect"),
    ("subspace", "variance", "named noise", "other dimensions that vary as much have it"),
    ("heads", "heads", "rival", "equally many other heads of these blocks have the effect"),
    ("heads", "random-heads", "named noise", "equally many random heads have it"),
    ("neurons", "neurons", "rival", "equally many other neurons have the effect"),
    ("neurons", "random-neurons", "named noise", "equally many random neurons have it"),
    ("latents", "latents", "rival", "equally many other latents have the effect"),
    ("edges", "edges", "rival", "equally many other edges have the effect"),
    ("attention", "token", "rival", "blocking attention to as many other tokens has the effect"),
    ("attention", "layer", "rival", "blocking the same attention at other layers has the effect"),
    ("attention", "heads", "rival", "blocking the same attention in other heads has the effect"),
    ("layer", "layer", "rival", "the same change at another layer has the effect"),
    ("site", "site", "rival", "the same change at another site has the effect"),
    ("token", "token", "rival", "the same change at another token has the effect"),
    ("patch", "unrelated", "noise", "what an unrelated prompt has there has the effect"),
    ("source", "own", "rival", "what the measured prompts have there has the effect"),
    ("text", "words", "rival", "the same words in another order have the effect"),
    ("text", "length", "rival", "another text with as many words has the effect"),
    ("text", "paraphrase", "rival", "another wording of the same text has the effect"),
    ("span", "span", "noise", "deleting as many words elsewhere has the effect"),
    ("training", "shuffled", "noise", "as much training on shuffled labels has the effect"),
    ("training", "other-text", "rival", "as much training on something else has the effect"),
    (
        "training",
        "untrained",
        "named noise",
        "the same training of random weights has it",
    ),
    ("weights", "shuffled", "noise", "any change of the weights of this size has the effect"),
    ("weights", "untrained", "noise", "two models with random weights differ as much"),
    ("weights", "layer", "named", "the same change of another layer has the effect"),
    ("dictionary", "mean", "rival", "the mean activation in its place has the effect"),
    ("dictionary", "random", "noise", "random directions with the best decoder do as well"),
    ("dictionary", "frozen", "rival", "an encoder trained around a random decoder does as well"),
    ("dictionary", "untrained", "noise", "the same training on an untrained model does as well"),
    ("crosscoder", "itself", "rival", "two copies of the first model have it as well"),
    ("crosscoder", "untrained", "noise", "the first model and a random one have it as well"),
    ("model", "untrained", "noise", "random weights have it: prompts and architecture are enough"),
    ("model", "unrelated", "noise", "the answers have it after the prompt of another row as well"),
    ("model", "heads", "rival", "other heads of the block have it as much"),
    ("model", "blocks", "rival", "the same part of another block has it as much"),
    ("model", "position", "noise", "it is at this position whatever the tokens are"),
    ("model", "labels", "noise", "shuffled labels do as well"),
    ("untrained model", "trained", "rival", "the trained model has it as well"),
    ("probe", "bag", "rival", "the tokens up to there predict it, in any order"),
    ("probe", "embedding", "rival", "the embeddings of the tokens predict it"),
    ("probe", "places", "rival", "the embeddings of the tokens at their positions predict it"),
    ("probe", "untrained", "noise", "the activations of an untrained model predict it"),
    ("probe", "permuted", "noise", "a probe trained on shuffled labels is right equally often"),
    ("probe", "heads", "rival", "equally many other heads of the block predict it"),
    ("probe", "neurons", "rival", "equally many other neurons of the site predict it"),
    ("probe", "latents", "rival", "equally many other latents that are on predict it"),
    ("probe", "lengths", "named", "the lengths of the texts predict it"),
    ("probe", "spelling", "named", "characters and the endings of words predict it"),
    ("probe", "pairs", "named", "pairs of neighbouring words predict it"),
    ("probe", "asked", "named", "the model says it when it is asked in words"),
    ("removal", "damage", "rival", "the change does as much damage to other tasks"),
)
"""What is credited (the aspect), the control, how it is judged, and what it would explain."""
TABLE: Mapping[str, tuple[Control, ...]] = MappingProxyType(
    {
        aspect: tuple(
            Control(name, why, "noise" in how, "named" not in how)
            for of, name, how, why in ROWS
            if of == aspect
        )
        for aspect, *_ in ROWS
    }
)
NEEDS: Mapping[str, str] = MappingProxyType(
    {
        "vector/shuffled": "Vector.learned(acts, labels), with two rows of each label",
        "vector/layer": "Vector.learned(…, elsewhere=[activations at another layer])",
        "patch/unrelated": "others=[what unrelated prompts have]",
        "text/words": "a text of two words or more",
        "text/length": "others=[other texts]",
        "text/paraphrase": "paraphrases=[other wordings]",
        "training/shuffled": "Training.of(train, examples, labels)",
        "training/other-text": "Training.of(…, other=(examples, labels))",
    }
)
"""By aspect and control the argument that makes it; others are made by `makers=`."""


def control(aspect: str, name: str) -> Control:
    """A control of the table. Raises: ClaimError (unknown-control)."""
    by_name = {c.name: c for c in TABLE.get(aspect, ())}
    if name not in by_name:
        raise ClaimError(
            "unknown-control", f"{aspect} has no control `{name}`; {nearest(name, by_name)}"
        )
    return by_name[name]
