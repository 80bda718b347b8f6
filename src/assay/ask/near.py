"""The table of near controls: a name, and the alternative explanation that the control tests.

The explanations are part of the keys of stored studies, so they are not reworded here; `in_words`
gives the wording for outputs."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from assay.core.errors import DataError, nearest


@dataclass(frozen=True)
class Control:
    """A near control: an arm ARM/NAME with one thing replaced."""

    name: str
    why: str
    """What would explain the result if the control did as well."""
    drawn: bool = field(default=True, kw_only=True)
    """Whether a study draws something in it by the seed; otherwise all seeds share its numbers."""
    named: bool = field(default=False, kw_only=True)
    """Whether a study has it only if its author names it."""


# instead of a vector
RANDOM = Control("random", "any direction as long, among those that activations fill, does it")
SUBSPACE = Control("random", "as many other dimensions that activations fill do it")
VARIANCE = Control("variance", "other dimensions with as much variance do it", named=True)
SHUFFLED = Control("shuffled", "a direction learned from labels that tell nothing does it")
LAYER = Control(
    "layer", "what it has at right angles, learned a third of the model away, does it", drawn=False
)
OPPOSITE = Control("opposite", "the vector with the opposite sign does it", drawn=False)
TOKENS = Control("tokens", "that of random tokens, as long, does it")

# instead of heads, neurons, latents, a feature or an edge
HEADS = Control("heads", "as many other heads of the same blocks that write as much do it")
ANY_HEADS = Control("random-heads", "as many random heads of the whole model do it", named=True)
ANY_NEURONS = Control(
    "random-neurons", "as many random neurons of the whole model do it", named=True
)
ANY_DIMENSIONS = Control(
    "random-neurons", "as many random dimensions of the site do it", named=True
)
NEURONS = Control("neurons", "as many other neurons, as large and as often on, do it")
LATENTS = Control("latents", "as many other latents, as large and as often on, do it")
FEATURE = Control("random", "another feature that is on in these prompts, as long, does it")
EDGE = Control("edges", "another edge between features that are as active does it", drawn=False)

# instead of blocked attention
BLOCKED_TOKENS = Control(
    "token", "blocking as many other tokens that are looked at does it", drawn=False
)
BLOCKED_HEADS = Control("heads", "the same block in as many other heads of these blocks does it")
BLOCKED_LAYERS = Control("layer", "the same block a third of the model away does it", drawn=False)

# instead of the place of a change
ELSEWHERE = Control("layer", "the same change a third of the model away does it", drawn=False)
SITE = Control("site", "the same change at another site does it", drawn=False)
TOKEN = Control("token", "the same change at another token does it", drawn=False)
OTHER_SWAP = Control("token", "the first place swapped with another token does it", drawn=False)

# instead of what is put there
UNRELATED = Control("unrelated", "what an unrelated prompt has there does it")

OWN = Control("own", "what the measured prompts themselves have there does it", drawn=False)
MEAN = Control("mean", "the mean activation in its place does it", drawn=False)

# instead of a text
WORDS = Control("words", "the same words in another order do it", drawn=False)
LENGTH = Control("length", "another text with as many words does it", drawn=False)
PARAPHRASE = Control("paraphrase", "another wording of the same text does it", drawn=False)

# instead of a training
WRONG_LABELS = Control("shuffled", "as much training on shuffled labels does it")
OTHER_TEXT = Control("other-text", "as many steps on unrelated text do it", drawn=False)

# instead of a model, or of its change
TWIN = Control("untrained", "weights drawn anew give it: the prompts and the shape alone")
TRAINED = Control("trained", "the trained model has it as well")
ANSWERS = Control(
    "unrelated",
    "the answers have it by themselves, behind another row's prompt as well",
    drawn=True,
)
ATTENTION = Control("heads", "other heads of the block attend there as much")
POSITION = Control("position", "it looks at that place whatever tokens there are")
TWINS = Control("untrained", "two untrained twins differ as much: tokens and shape alone")
CHANGED = Control("shuffled", "any change of the weights as large does it")

# instead of a sparse dictionary
DIRECTIONS = Control(
    "random", "random directions, each on as often, with the best decoder reach it"
)
FROZEN = Control("frozen", "the encoder alone, learned around random decoder rows, reaches it")
NOT_TRAINED = Control("untrained", "the same training on an untrained model reaches it")

# instead of the second model of a crosscoder
ITSELF = Control("itself", "two copies of the first model have it as well")
OTHER_UNTRAINED = Control(
    "untrained", "the first model and one with random weights have it as well"
)

# effects of a change on other tasks
DAMAGE = Control(
    "damage", "the same change does as much to any other task of the model", drawn=False
)

# instead of the input of a probe
BAG = Control("bag", "the tokens up to there tell as much, in whatever order", drawn=False)
EMBEDDING = Control("embedding", "the embeddings of its tokens tell as much", drawn=False)
PLACES = Control(
    "places", "the embeddings of its tokens, each at its place, tell as much", drawn=False
)
LENGTHS = Control("lengths", "how long the texts are tells as much", drawn=False)
SPELLING = Control("spelling", "the characters and the endings of words tell as much", drawn=False)
PAIRS = Control("pairs", "pairs of neighbouring words tell as much", drawn=False)
UNTRAINED = Control("untrained", "a model that learned nothing tells as much")
PERMUTED = Control("permuted", "a probe that learns labels dealt out at random is right as often")
OTHER_NEURONS = Control("neurons", "as many other neurons of the site tell as much")
OTHER_LATENTS = Control("latents", "as many other latents that are on tell as much")
OTHER_HEADS = Control("heads", "as many other heads of the block tell as much")
ASKED = Control("asked", "the model says it when it is asked in words", drawn=False)


WRITERS = Control("heads", "other heads of the block write as much of it")
ALIKE = Control("heads", "other heads of the block are as alike")
UNPAIRED = Control("unrelated", "the text of any other row is as alike")
WRITING = Control("blocks", "the same part of another block writes as much of it")
DEALT = Control("labels", "labels dealt out at random do as well", drawn=False)

_WORDS = {
    RANDOM: "a random vector of this length has the effect",
    SHUFFLED: "a direction learned from shuffled labels has the effect",
    LAYER: "a direction learned at another layer, made orthogonal to this one and as long, has the "
    "effect",
    TOKENS: "the vector of random tokens, at this length, has the effect",
    HEADS: "equally many other heads of these blocks, with similar norms, have the effect",
    NEURONS: "equally many other neurons, equally large and active, have the effect",
    LATENTS: "equally many other latents, equally large and active, have the effect",
    FEATURE: "another active feature, at equal length, has the effect",
    BLOCKED_TOKENS: "blocking attention to equally many other tokens has the effect",
    BLOCKED_LAYERS: "blocking the same attention at other layers has the effect",
    ELSEWHERE: "the same change at another layer has the effect",
    OTHER_SWAP: "swapping the first of the two with another token has the effect",
    UNRELATED: "the activations of an unrelated prompt have the effect",
    TWIN: "a model with random weights has the effect: prompts and architecture are enough",
    ANSWERS: "the answers are equally likely after the prompt of another row",
    POSITION: "the head attends to this position, whatever the tokens are",
    TWINS: "two models with random weights differ as much",
    CHANGED: "any change of the weights of this size has the effect",
    DIRECTIONS: "random directions, equally often on, with the best decoder, do as well",
    FROZEN: "an encoder that is trained around a random decoder does as well",
    NOT_TRAINED: "the same training on an untrained model does as well",
    DAMAGE: "the change does as much damage to other tasks",
    BAG: "the tokens up to there predict it, in any order",
    EMBEDDING: "the embeddings of the tokens predict it",
    PLACES: "the embeddings of the tokens at their positions predict it",
    LENGTHS: "the lengths of the texts predict it",
    SPELLING: "characters, capitals, blanks and the endings of words predict it",
    PAIRS: "pairs of neighbouring words predict it",
    UNTRAINED: "the activations of an untrained model predict it",
    DEALT: "shuffled labels do as well",
    PERMUTED: "a probe trained on shuffled labels is right equally often",
}
DRAWN = frozenset(x.name for x in tuple(globals().values()) if isinstance(x, Control) and x.drawn)
"""The names of the controls in which the seed draws something."""
_PLAIN = {control.why: words for control, words in _WORDS.items()}


def in_words(why: str) -> str:
    """The wording for outputs of what a control would explain; sentences of other authors stay."""
    has = re.sub(r" does it$", " has the effect", re.sub(r" do it$", " have the effect", why))
    return _PLAIN.get(why, has)


def satisfies(why: str, *, at_most: bool = False) -> str:
    """Say that an alternative explanation satisfies a claim, of an effect or of none; a claim that
    something is `at_most` so large is also true of a probe that reads nothing."""
    words = in_words(why)
    if at_most:
        words = re.sub(r"^(.*) predict it\b", r"a probe of \1 satisfies the claim", words)
        words = words.replace("is right equally often", "satisfies the claim")
    words = re.sub(r" has the effect$", " satisfies the claim", words)
    return re.sub(r" have the effect$", " satisfy the claim", words)


_SAME = re.compile(
    r",? (?:ha(?:s|ve) (?:the effect|it as well)|do(?:es)? as well|is right equally often|differ"
    r" as much|attend there as much|writes? as much of it|(?:is|are) as alike)(?:$|:.*)"
)
"""What an explanation says of its subject."""


def instead(why: str) -> str:
    """What a control has in place of what it is a control of: the subject of its explanation; what
    it tests, where its explanation is about the same thing."""
    words = re.sub(r"^(.*) (?:predict it|tell as much)\b", r"a probe of \1", in_words(why))
    subject = _SAME.sub("", words)
    return subject if subject != in_words(why) else f"whether {words}"


def chosen(
    name: str, every: Sequence[Control], names: tuple[str, ...] | None, stated: Collection[str] = ()
) -> tuple[Control, ...]:
    """Choose the available controls with these names, or all if that is None; controls that have to
    be named are added if they are `stated` elsewhere. Raises: DataError for an unknown name."""
    if names is None:
        return tuple(c for c in every if not c.named or c.name in stated)
    names += tuple(c.name for c in every if c.named and c.name in stated and c.name not in names)
    by_name = {c.name: c for c in every}
    for other in names:
        if other not in by_name:
            hint = nearest(other, by_name) if by_name else "it has none"
            raise DataError(f"{name!r} has no control {other!r}; {hint}")
    return tuple(by_name[other] for other in names)
