"""Features: the strongest features of each token of one text, and the effect of ablating a feature
on the loss of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from assay.core.schema import to_json
from assay.evaluation import looking
from assay.evaluation.watching import Begun, SoFar, Warned
from assay.report import evaluations
from assay.verbs.fetch import OFFLINE, Network
from assay.verbs.options import (
    AS_WRITTEN,
    HERE,
    Device,
    Flag,
    Model,
    More,
    Place,
    Trust,
    device_here,
    writable_file,
)
from assay.verbs.verb import Answer, AnswerPart, Cell, Door, Shaded, Table, verb


@dataclass(frozen=True, kw_only=True)
class Looked:
    """One text through one dictionary: each token with its losses and strongest features, and the
    features that matter most."""

    dictionary: str
    sha256: str
    model: str
    model_sha256: str
    site: str
    site_out: str
    bos: bool
    width: int
    text: str
    tokens: tuple[str, ...]
    warnings: tuple[str, ...]
    """A site that was given or a model that is not the one in the dictionary's file."""
    notes: tuple[str, ...]
    """The warnings, and what cannot be known."""
    losses: tuple[float, ...]
    """Of each token given those before it; null for the first."""
    loss: float
    loss_spliced: float
    """The mean loss with the reconstruction in place."""
    skip_first: int
    outlier: float
    left_out: tuple[int, ...]
    """Positions that are neither counted nor ablated."""
    by_token: tuple[Mapping[str, Any], ...]
    """Each token that counts: position, token, loss, length in medians, how many features are on,
    and the strongest of them."""
    sinks: tuple[Mapping[str, Any], ...]
    """The tokens at the left-out positions, in the same form."""
    l0: float
    on: int
    """Features that are on anywhere."""
    tried: int
    features: tuple[Mapping[str, Any], ...]
    """Each with feature, delta, activations per token, maximum, strongest, promoted, suppressed;
    the largest change first."""


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
    html: Path | None = None,
    network: Network = OFFLINE,
    trust: Trust = AS_WRITTEN,
    place: Place = HERE,
    door: Door,
) -> Answer[Looked]:
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
    html
        Write the same as an HTML page to this file.

    Examples
    --------
    assay features 'def add(a, b): return a + b'
    """
    network.bring(door, model, dictionary)
    if html is not None:
        writable_file(html, "--html")

    def watch(event: Warned | SoFar | Begun) -> None:
        if isinstance(event, Begun):
            door.aside(f"features: {event.text}")
        if isinstance(event, Warned):
            door.aside(f"warning: {event.dictionary}: {event.text}")

    with trust.raised():
        data = looking.look(
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
            watch=watch,
        ).data
    if html is not None:
        html.write_text(evaluations.look_page(data), encoding="utf-8")
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
    }
    looked = Looked(**fields)
    return Answer(looked, words(looked, by_feature))


def words(looked: Looked, by_feature: bool = False) -> Iterator[AnswerPart]:
    """Tell the losses, then each token with its strongest features, or each feature that
    matters."""
    yield f"{looked.model}, {looked.site}; {looked.dictionary}, {looked.width} features"
    yield (
        f"{len(looked.tokens)} tokens; loss {looked.loss:.3f} nats per prediction, "
        f"{looked.loss_spliced:.3f} with the reconstruction in place; {looked.l0:.1f} features on "
        f"per token, {looked.on} in all; {looked.tried} tried, {len(looked.features)} shown"
    )
    yield from (features_in_words if by_feature else tokens_in_words)(looked)
    yield from looked.notes


def tokens_in_words(looked: Looked) -> Iterator[AnswerPart]:
    """Tell the text downwards, each token with its strongest features; the tokens that are left out
    below it."""
    yield ""
    yield Table(
        ("token", "loss", "on", "strongest features: #feature activation"),
        [
            (
                evaluations.quoted(t["token"]),
                evaluations.nats(t),
                str(t["on"]),
                evaluations.strongest(t),
            )
            for t in looked.by_token
        ],
        right=("loss", "on"),
    )
    yield ""
    yield evaluations.left_out(to_json(looked))
    if looked.sinks:
        rows = [
            (
                evaluations.quoted(t["token"]),
                f"{t['length']:.1f} medians",
                str(t["on"]),
                evaluations.strongest(t),
            )
            for t in looked.sinks
        ]
        names = ("token", "length", "on", "strongest features there: #feature activation")
        yield Table(names, rows, right=("length", "on"))
    yield ""
    if looked.features:
        yield f"{worth(looked.features[0])}; --by-feature shows such features."


def worth(most: Mapping[str, Any]) -> str:
    """Say what taking out the feature that matters most does to the loss, and so whether the
    feature helps the model or hurts it."""
    rise, part = most["delta"], "helps" if most["delta"] > 0 else "hurts"
    way = "raises" if rise > 0 else "lowers"
    return (
        f"Taking out {most['feature']} changes the loss most: it {way} the sum over this text by "
        f"{abs(rise):.3f} nats, so the feature {part} here"
    )


def features_in_words(looked: Looked) -> Iterator[AnswerPart]:
    """Tell of each feature its effect, where it is on, and what it promotes."""
    yield evaluations.left_out(to_json(looked))
    if not looked.features:
        yield "no feature is on"
        return
    yield ""
    rows = [
        (str(f["feature"]), f"{f['delta']:+.3f}", feature_cell(looked, f)) for f in looked.features
    ]
    yield Table(("feature", "Δ nats", "where it is on"), rows, right=("feature", "Δ nats"))
    yield ""
    yield (
        "Δ: by how much the loss of this text rises, summed over its predictions, when the "
        "feature is taken out wherever it is on; "
        "above 0 it helps. Promoted and suppressed tokens: direct path only."
    )


def feature_cell(looked: Looked, feature: Mapping[str, Any]) -> list[Cell]:
    """Write where a feature is on: the text shaded by its activation over its maximum, its
    strongest tokens, and what it adds to logits."""
    largest = feature["maximum"]
    shares = [abs(a) / largest if largest else 0.0 for a in feature["activations"]]
    strongest = ", ".join(
        f"{evaluations.quoted(s['token'])} {s['activation']:.3g}" for s in feature["strongest"]
    )
    cell: list[Cell] = [
        Shaded([evaluations.plain(t) for t in looked.tokens], shares),
        f"on {strongest}",
    ]
    if feature["promoted"]:
        promoted, suppressed = logits(feature["promoted"]), logits(feature["suppressed"][:3])
        cell.append(("", f"promoted {promoted}; suppressed {suppressed}"))
    return cell


def logits(pairs: Sequence[Sequence[Any]]) -> str:
    """Write tokens with what a feature adds to their logits."""
    return ", ".join(f"{evaluations.quoted(token)} {value:+.2f}" for token, value in pairs)
