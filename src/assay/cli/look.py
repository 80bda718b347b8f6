"""What `assay look` prints: each token with its strongest features, or each feature with where it
is on and what it does."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.style import Style
from rich.text import Text

from assay.cli.printing import draw, grid, say, tell
from assay.core.schema import to_json
from assay.evaluation.watching import Begun, SoFar, Warned
from assay.report.evaluations import left_out, nats, plain, quoted, strongest
from assay.verbs.look import Looked

ORANGE = (255, 140, 0)
"""The colour of the strongest activation, as in pages."""


def show(look_result: Looked, by_feature: bool = False) -> None:
    """Print the losses, then each token with its strongest features, or a block for each feature
    that matters."""
    say(
        f"{look_result.model}, {look_result.site}; {look_result.dictionary}, "
        f"{look_result.width} features"
    )
    say(
        f"{len(look_result.tokens)} tokens; loss {look_result.loss:.3f} nats per prediction, "
        f"{look_result.loss_spliced:.3f} with the reconstruction in "
        f"place; {look_result.l0:.1f} features on per token, {look_result.on} in all; "
        f"{look_result.tried} tried, "
        f"{len(look_result.features)} shown"
    )
    (_features if by_feature else _tokens)(look_result)
    for note in look_result.notes:
        say(note)


def watch(event: Warned | SoFar | Begun) -> None:
    """Print warnings and what begins on standard error, before anything is computed."""
    if isinstance(event, Begun):
        tell(f"look: {event.text}", sys.stderr)
    if isinstance(event, Warned):
        tell(f"warning: {event.dictionary}: {event.text}", sys.stderr)


def _tokens(look_result: Looked) -> None:
    """Print the text downwards, each token with its strongest features; the tokens that are left
    out below it."""
    print()
    table = grid(
        "token", "loss", "on", "strongest features: #feature activation", right=("loss", "on")
    )
    for t in look_result.by_token:
        table.add_row(quoted(t["token"]), nats(t), str(t["on"]), strongest(t))
    draw(table)
    print()
    say(left_out(to_json(look_result)))
    if look_result.sinks:
        table = grid(
            "token",
            "length",
            "on",
            "strongest features there: #feature activation",
            right=("length", "on"),
        )
        for t in look_result.sinks:
            table.add_row(
                quoted(t["token"]), f"{t['length']:.1f} medians", str(t["on"]), strongest(t)
            )
        draw(table)
    print()
    if look_result.features:
        say(f"{worth(look_result.features[0])}; --by-feature shows such features.")


def worth(most: Mapping[str, Any]) -> str:
    """Say what taking out the feature that matters most does to the loss, and so whether the
    feature helps the model or hurts it."""
    rise, part = most["delta"], "helps" if most["delta"] > 0 else "hurts"
    way = "raises" if rise > 0 else "lowers"
    return (
        f"Taking out {most['feature']} changes the loss most: it {way} the sum over this text by "
        f"{abs(rise):.3f} nats, so the feature {part} here"
    )


def _features(look_result: Looked) -> None:
    """Print a block for each feature: Δ, where it is on, what it promotes."""
    say(left_out(to_json(look_result)))
    if not look_result.features:
        print("no feature is on")
        return
    print()
    coloured = Console().color_system is not None and Console().is_terminal
    table = grid("feature", "Δ nats", "where it is on", right=("feature", "Δ nats"))
    for f in look_result.features:
        lines = [shaded(look_result.tokens, f)] if coloured else []
        lines.append(
            Text(
                "on "
                + ", ".join(f"{quoted(s['token'])} {s['activation']:.3g}" for s in f["strongest"])
            )
        )
        if f["promoted"]:
            lines.append(
                Text(
                    "promoted "
                    + logits(f["promoted"])
                    + "; suppressed "
                    + logits(f["suppressed"][:3]),
                    "bright_black",
                )
            )
        table.add_row(str(f["feature"]), f"{f['delta']:+.3f}", Text("\n").join(lines))
    draw(table)
    print()
    say(
        "Δ: by how much the loss of this text rises, summed over its predictions, when the "
        "feature is taken out wherever it is on; "
        "above 0 it helps. Promoted and suppressed tokens: direct path only."
    )


def shaded(tokens: Sequence[str], feature: Mapping[str, Any]) -> Text:
    """Shade the text: each token's background from white to orange, linear in the activation's size
    over the feature's maximum."""
    out = Text()
    for token, activation in zip(tokens, feature["activations"], strict=True):
        share = abs(activation) / feature["maximum"] if feature["maximum"] else 0.0
        colour = "#" + "".join(f"{round(255 + share * (c - 255)):02x}" for c in ORANGE)
        out.append(plain(token), Style(color="#1f2328", bgcolor=colour) if share > 0 else "")
    return out


def logits(pairs: Sequence[Sequence[Any]]) -> str:
    """Tokens with what a feature adds to their logits."""
    return ", ".join(f"{quoted(token)} {value:+.2f}" for token, value in pairs)
