"""Rules about single tokens of Python source, and how well features follow them: what somebody
finds who looks at features first.

A rule says yes or no to every token: which token it is, which came before, what kind of text it is,
where it stands. A feature follows a rule if the tokens on which it is on are the rule's, by F1 on
text that chose neither."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch

KINDS = {
    "digits": r"\s*\d+",
    "word": r"\s*[A-Za-z]+",
    "lower case": r"\s*[a-z]+",
    "capitalised": r"\s*[A-Z][a-z]+",
    "upper case": r"\s*[A-Z]{2,}",
    "one letter": r"\s*[A-Za-z]",
    "underscore": r".*_.*",
    "space before": r" \S.*",
    "no space before": r"\S.*",
    "blanks": r"[ \t]+",
    "line break": r"[\s\S]*\n[\s\S]*",
    "opening bracket": r".*[(\[{].*",
    "closing bracket": r".*[)\]}].*",
    "quote": r".*[\"'].*",
    "operator": r"\s*[-+*/%<>=!&|^~]+",
    "equals sign": r"\s*=",
    "comparison": r"\s*(==|!=|<=|>=|<|>)",
    "full stop": r"\.",
    "comma": r".*,",
    "colon": r".*:",
    "hash": r".*#.*",
    "dunder": r".*__.*",
    "flow": r"\s*(if|else|elif|for|while|try|except|finally|with|return|raise|yield)",
    "definition": r"\s*(def|class|lambda|import|from|as)",
    "constant": r"\s*(None|True|False)",
    "self": r"\s*(self|cls)",
    "article": r"\s*(the|a|an|this|that)",
    "preposition": r"\s*(of|to|in|for|with|by|on|from|at|is|are|be)",
    "ends in s": r".*[a-z]s",
    "ends in ing": r".*ing",
    "ends in ed": r".*ed",
    "long": r"\s*\w{8,}",
    "short": r"\s*\w{1,2}",
}
"""Kinds of token text, as whole matches."""
TOKENS, BEFORE = 120, 60
"""How many of the commonest tokens have a rule of their own, and how many as the token before."""
FEWEST = 20
"""Tokens on which a rule must be true, in the text that chooses and in the text that judges."""
THRESHOLDS = (0.0, 0.25, 0.5)
"""Where a feature counts as on, in shares of the largest activation in the text that chooses."""


@dataclass(frozen=True, eq=False)
class Rules:
    """What every rule says of every token."""

    names: tuple[str, ...]
    true: Bool[np.ndarray, "token rule"]


def common(tokens: Int[np.ndarray, "w s"], count: int) -> list[int]:
    """The commonest token ids, the most common first, equal ones by their number."""
    counts = Counter(tokens.ravel().tolist())
    return [t for t, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:count]]


def kinds(tokens: Int[np.ndarray, "w s"], text: Sequence[str]) -> dict[str, Bool[np.ndarray, "id"]]:
    """Which token ids are of each kind, among those of these windows."""
    is_kind, used_ids = {name: np.zeros(len(text), bool) for name in KINDS}, np.unique(tokens)
    for name, pattern in KINDS.items():
        match = re.compile(pattern).fullmatch
        is_kind[name][used_ids] = [match(text[t]) is not None for t in used_ids]
    return is_kind


def rules(
    tokens: Int[np.ndarray, "w s"],
    text: Sequence[str],
    labels: Mapping[str, Bool[np.ndarray, "w s"]],
    known: Sequence[int],
) -> Rules:
    """The library on windows of tokens: token identity, the token before, kinds of both, syntax,
    and place in the line.

    `text` is the text of every token id, `labels` what `features.labels` says, `known` the
    commonest tokens."""
    is_kind_of = kinds(tokens, text)
    before = np.concatenate([np.full((len(tokens), 1), -1), tokens[:, :-1]], 1)
    rules_by_name: dict[str, np.ndarray] = {
        f"token {text[t]!r}": tokens == t for t in known[:TOKENS]
    }
    rules_by_name |= {f"after {text[t]!r}": before == t for t in known[:BEFORE]}
    rules_by_name |= {f"kind: {name}": is_kind[tokens] for name, is_kind in is_kind_of.items()}
    rules_by_name |= {
        f"after kind: {name}": np.where(before >= 0, is_kind[before], False)
        for name, is_kind in is_kind_of.items()
    }
    rules_by_name |= {f"syntax: {name}": values for name, values in labels.items()}
    inside = [place for place in ("string", "comment") if place in labels]
    rules_by_name |= {
        f"{kind} in {place}": is_kind_of[kind][tokens] & labels[place]
        for kind in ("word", "space before")
        for place in inside
    }
    breaks = is_kind_of["line break"][tokens]
    since = np.zeros(tokens.shape, int)
    for i in range(1, tokens.shape[1]):
        since[:, i] = np.where(breaks[:, i - 1], 0, since[:, i - 1] + 1)
    rules_by_name |= {
        f"place {low} to {high} in its line": (since >= low) & (since <= high)
        for low, high in ((0, 0), (1, 1), (2, 3), (4, 7), (8, 99))
    }
    return Rules(tuple(rules_by_name), np.stack([v.ravel() for v in rules_by_name.values()], 1))


def f1(on: Bool[Any, "*t token f"], true: Bool[Any, "token rule"]) -> Float[Any, "*t f rule"]:
    """How well "the feature is on" and "the rule is true" say the same.

    Formula: 2 · #both / (#on + #true)
    Range: 0 to 1; 0 where neither ever is
    Better: higher
    """
    on, true = on.float(), true.float()
    both = on.mT @ true
    return 2 * both / (on.sum(-2)[..., None] + true.sum(0)).clamp_min(1)


def followed(
    f: tuple[Float[Any, "token f"], Float[Any, "token f"]],
    true: tuple[Bool[Any, "token rule"], Bool[Any, "token rule"]],
) -> tuple[Float[np.ndarray, " f"], Float[np.ndarray, " rule"]]:
    """For every feature the F1 of the rule that fits it best, and for every rule that of the
    feature that fits it best.

    Rule and threshold are chosen on the first text, and F1 is that on the second. Rules that are
    hardly ever true are left out: NaN in the second array.
    """
    enough = (true[0].sum(0) >= FEWEST) & (true[1].sum(0) >= FEWEST)
    top = f[0].amax(0).clamp_min(1e-9)
    levels = torch.tensor(THRESHOLDS)[:, None, None] * top
    chosen = f1(f[0] > levels, true[0]).where(enough, torch.tensor(-1.0))
    judged = f1(f[1] > levels, true[1])
    by_feature = chosen.permute(1, 0, 2).flatten(1).argmax(1, keepdim=True)
    by_rule = chosen.permute(2, 0, 1).flatten(1).argmax(1, keepdim=True)
    of_feature = judged.permute(1, 0, 2).flatten(1).gather(1, by_feature)[:, 0]
    of_rule = (
        judged.permute(2, 0, 1)
        .flatten(1)
        .gather(1, by_rule)[:, 0]
        .where(enough, torch.tensor(torch.nan))
    )
    return of_feature.numpy(), of_rule.numpy()
