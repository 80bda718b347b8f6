"""Tokens with a feature's activation as shade and underline, and its effect on the loss there when
the pointer is over one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from assay.explorer.render import level, number
from assay.features.index.schema import Context
from assay.report import pages

_BLANKS = re.compile(r'(?<=<i class="ws">)[^<]+')


def _plain(marks: re.Match[str]) -> str:
    """Indentation as blanks again: between tokens that fire, only line breaks need a mark."""
    return marks.group().replace("·", " ")


@dataclass(frozen=True)
class Line:
    """A context as a list shows it: its tokens as markup, and where it is from."""

    tokens: Markup
    document: str
    window: int
    position: int
    first: int
    """Position in the window of the first token shown."""
    value: float


def line(context: Context, maximum: float, doubted: bool = False) -> Line:
    """Shade a context, by activation / the feature's maximum; the token at which it fires is
    outlined and can be focused. First-order effects that are doubted are left out."""
    effects = None if doubted else context.effects
    markup = tokens(context.tokens, context.activations, effects, maximum, context.at)
    return Line(
        markup,
        context.document,
        context.window,
        context.position,
        context.position - context.at,
        context.value,
    )


def tokens(
    texts: Sequence[str],
    activations: Sequence[float],
    effects: Sequence[float] | None,
    maximum: float,
    position: int | None = None,
) -> Markup:
    """Tokens side by side. One where the feature is on says how much, and what the loss of later
    tokens would be without it.

    Only the token `at`, or else the first that is on, is a stop of the tab key; arrow keys go on
    from there."""
    parts: list[str] = []
    stop = (
        position
        if position is not None
        else next((i for i, a in enumerate(activations) if a > 0), None)
    )
    for i, (text, activation) in enumerate(zip(texts, activations, strict=True)):
        word = pages.token(text) if i == position else pages.words(text) or pages.token("")
        if activation <= 0 and i != position:
            parts.append(f"<span>{_BLANKS.sub(_plain, word)}</span>")
            continue
        classes = f"a{level(activation / maximum if maximum > 0 else 0)}{' fires' if i == position else ''}{' long' if len(text) > 20 else ''}"  # noqa: E501
        tip = format_tip(activation, effects[i] if effects is not None else None)
        parts.append(
            f'<b class="{classes}" tabindex="{0 if i == stop else -1}" data-tip="{tip}">{word}</b>'
        )
    if position is not None:  # in a list, the tokens at which it fires are in one column
        left, right = "".join(parts[:position]), "".join(parts[position + 1 :])
        return Markup(f"<i>{left}</i>{parts[position]}<i>{right}</i>")
    return Markup("".join(parts))


def format_tip(activation: float, effect: float | None) -> str:
    """What a token says when it is pointed at."""
    value = f"activation {number(activation)}"
    if effect is None:
        return value
    if effect == 0:
        return f"{value}; without it here the loss of later tokens stays as it is, to first order"
    way, word = ("rises", "helps") if effect > 0 else ("falls", "hurts")
    return (
        f"{value}; without it here the loss of later tokens {way} by "
        f"{number(abs(effect), 2)} nats, to first order: it {word}"
    )
