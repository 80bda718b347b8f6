"""Features: the strongest features of each token of one text, and the effect of ablating a feature
on the loss of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from cyclopts import Parameter

from assay.evaluation import looking
from assay.evaluation.looking import Look
from assay.evaluation.summary import NOTHING_PREDICTED
from assay.evaluation.watching import Begun, Warned
from assay.report import evaluations
from assay.verbs.fetch import OFFLINE, Network
from assay.verbs.machine import device_here
from assay.verbs.parts import Table, written
from assay.verbs.verb import HERE, Answer, Device, Door, Flag, Model, More, Place, verb


@verb("one text through one dictionary")
def features(
    text: str,
    /,
    *,
    dictionary: str | None = None,
    model: Model = "smollm2",
    many: Annotated[int, Parameter(name="--features")] = 10,
    per_token: int = 5,
    by_feature: Flag = False,
    site: str = "",
    bos: Annotated[bool | None, More] = None,
    skip_first: Annotated[int, More] = 1,
    outlier: Annotated[float, More] = 6.0,
    device: Device = "cpu",
    network: Network = OFFLINE,
    place: Place = HERE,
    door: Door,
) -> Answer[Look]:
    """Show the strongest features of each token of a text, and the effect of ablating a feature on
    the loss.

    Parameters
    ----------
    text
        The text, in quotes.
    dictionary
        A file or folder of any known format, or a stored run; by default the showcase of gated-sae.
    many
        How many features to list by the effect of their ablation; eight times as many are tried.
    per_token
        How many features each token is shown with.
    by_feature
        Print features in place of tokens: where each is on, its effect on the loss, and what it
        promotes.
    site
        The site of the activations; by default as in the dictionary's file.
    bos
        Whether the text starts with the model's BOS token. By default as in the dictionary's file,
        or as the model's tokenizer does.
    skip_first
        Positions at the start of the text where features are neither counted nor ablated.
    outlier
        Activations longer than this many times the text's median are left out too; 0: none.

    Examples
    --------
    assay features 'def add(a, b): return a + b'
    """
    network.bring(door, model, dictionary)
    looked = looking.look(
        text,
        dictionary,
        model=model,
        features=many,
        per_token=per_token,
        site=site,
        bos=bos,
        skip_first=skip_first,
        outlier=outlier,
        root=place.root,
        device=device_here(device),
        watch=partial(hear, door),
    )
    data = vars(looked)
    shown = features_table(looked) if by_feature else tokens_table(looked.by_token, "loss")
    sinks = [tokens_table(looked.sinks, "length")] if looked.sinks else []
    facts = {"left_out": evaluations.left_out(data), "sinks": sinks, "by_feature": by_feature}
    facts["guesses"] = any(NOTHING_PREDICTED in note for note in looked.notes)
    return Answer(looked, written("features", k=looked, shown=shown, **facts))


def hear(door: Door, event: Warned | Begun) -> None:
    """Print what begins, and warnings."""
    if isinstance(event, Begun):
        door.aside(f"features: {event.text}")
    if isinstance(event, Warned):
        door.aside(f"warning: {event.dictionary}: {event.text}")


def tokens_table(tokens: Sequence[Mapping[str, Any]], second: str) -> Table:
    """List tokens with their strongest features; `second` is loss, or length in medians."""
    heads = ("token", second, "on", "strongest features: #feature activation")
    return Table(heads, evaluations.token_rows(tokens, second), right=(second, "on"))


def features_table(looked: Look) -> Table:
    """List each feature with its effect, where it is on, and what it promotes."""
    rows = [(str(f["feature"]), f"{f['delta']:+.3f}", feature_cell(f)) for f in looked.features]
    return Table(("feature", "Δ nats", "where it is on"), rows, right=("feature", "Δ nats"))


def feature_cell(feature: Mapping[str, Any]) -> str:
    """Write where a feature is on, and what it adds to logits."""
    strongest = ", ".join(
        f"{evaluations.quoted(s['token'])} {s['activation']:.3g}" for s in feature["strongest"]
    )
    if not feature["promoted"]:
        return f"on {strongest}"
    promoted = evaluations.logits(feature["promoted"])
    suppressed = evaluations.logits(feature["suppressed"][:3])
    return f"on {strongest}\npromoted {promoted}; suppressed {suppressed}"
