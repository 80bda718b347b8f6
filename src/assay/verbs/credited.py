"""Credited: what a claim of `assay check` is about, and its controls, as options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from assay.core import foreign
from assay.core.errors import DataError
from assay.verbs.verb import About, Bare, More, Several

Numbers = Annotated[Path | None, Bare]
LARGEST = 2**30
"""Bytes of an array of numbers."""
FLAT = ("latents", "others", "also", "control", "unit", "fixed")
"""Options that list no pairs."""
LISTS = ("heads", "neurons", "edges", "feature", "of", *FLAT)
"""Those whose values are lists or names, which Python writes in brackets and quotes."""


@dataclass(frozen=True, kw_only=True)
class Credited:
    """What is credited."""

    vector: Annotated[Numbers, About] = None
    """A vector in an .npy file."""
    acts: Annotated[Numbers, More] = None
    """Activations, [row, d], from which the vector is learned, with --labels; an .npy file."""
    labels: Annotated[Numbers, More] = None
    """A label for each row of --acts, of two kinds; an .npy file."""
    elsewhere: Annotated[Numbers, More] = None
    """The activations of the same rows at another layer, for the control layer."""
    around: Annotated[Numbers, More] = None
    """Activations that show which dimensions a random vector should fill."""
    heads: Annotated[str, About] = ""
    """Heads as LAYER.HEAD, separated by commas; needs --of."""
    neurons: Annotated[str, More] = ""
    """What the claim is about: neurons as LAYER.NEURON or numbers; needs --of."""
    latents: Annotated[str, More] = ""
    """What the claim is about: numbers of latents; needs --of."""
    edges: Annotated[str, More] = ""
    """What the claim is about: edges as SOURCE.TARGET numbers or names; needs --of."""
    layer: Annotated[int | None, About] = None
    """A layer; needs --others: other layers, or how many there are."""
    site: Annotated[str, More] = ""
    """What the claim is about: a site; needs --others."""
    position: Annotated[str, More] = ""
    """What the claim is about: a token's position; needs --others."""
    source: Annotated[str, About] = ""
    """The source of a patch, a column of the prompts."""
    text: Annotated[str, About] = ""
    """A text before the prompt, such as a system prompt."""
    feature: Annotated[str, More] = ""
    """What the claim is about: a feature; needs --of."""
    of: str = ""
    """The pool from which controls are taken: a count, LAYERSxHEADS such as 12x12, or a
    comma-separated list."""
    norms: Annotated[Numbers, More] = None
    """A size for each member of the pool, by which controls are matched; an .npy file."""
    rates: Annotated[Numbers, More] = None
    """How often each member of the pool is active, by which controls are matched; an .npy file."""
    chosen_on: Annotated[Path | None, More] = None
    """The other prompts on which heads, neurons, latents or edges were chosen; a CSV, JSONL or text
    file."""
    others: str = ""
    """Other layers, sites or positions, separated by commas."""
    other_text: Annotated[Several, More] = ()
    """Another text, cut or repeated to the length of --text."""
    paraphrase: Annotated[Several, More] = ()
    """Another wording of --text."""

    def read(self) -> dict[str, Any]:
        """Read what is credited, as the arguments of `assay.check`. Raises: DataError."""
        pairs = bool(self.heads or self.neurons or self.edges)
        arrays = {name: getattr(self, name) for name in ("norms", "rates", "around")}
        return {
            "vector": self._vector(),
            "heads": _items(self.heads, pairs=True),
            "neurons": _items(self.neurons, pairs=True),
            "latents": _items(self.latents),
            "edges": _items(self.edges, pairs=True),
            "layer": self.layer,
            "site": self.site or None,
            "position": _one(self.position),
            "source": self.source or None,
            "text": self.text or None,
            "feature": _one(self.feature),
            "of": _pool(self.of, pairs=pairs),
            "chosen_on": self.chosen_on,
            "others": list(self.other_text) or _others(self.others),
            "paraphrases": list(self.paraphrase) or None,
            **{n: None if path is None else _array(path) for n, path in arrays.items()},
        }

    def _vector(self) -> Any:
        """Read the vector, or learn it from activations and labels; None where neither is given."""
        from assay.checking.credited import direction

        if self.acts is None and self.labels is None:
            if self.elsewhere is not None:
                raise DataError("--elsewhere needs --acts and --labels, which the vector is from")
            return None if self.vector is None else _array(self.vector)
        if self.acts is None or self.labels is None or self.vector is not None:
            raise DataError("a vector is read from --vector, or learned from --acts and --labels")
        apart = None if self.elsewhere is None else _array(self.elsewhere)
        return direction(_array(self.acts), _array(self.labels), elsewhere=apart)


def refuse_python(options: Mapping[str, Any]) -> None:
    """Refuse lists that are written as in Python, since their parts would be taken as names, and
    say how a shell writes them. Raises: DataError."""
    given = {n: [v] if isinstance(v := options[n], str) else [*v] for n in LISTS}
    parts = {n: [p.strip() for v in values for p in v.split(",")] for n, values in given.items()}
    if wrong := [n for n in LISTS if any(p.startswith((*"([{'\"", "range(")) for p in parts[n])]:
        typed = " ".join(f"--{n} {shlex.quote(v)}" for n in wrong for v in given[n])
        instead = " ".join(f"--{n} {x}" for n in wrong for x in _in_shell(n, ",".join(given[n])))
        raise DataError(f"{typed} is written as in Python; in a shell, write {instead}")


def _in_shell(name: str, text: str) -> list[str]:
    """The values of an option that is written as in Python, as a shell writes them."""
    text = re.sub(r"['\"]|(?<=[,(\[])\s+", "", text)
    if name == "of" and (size := re.fullmatch(r"\((\d+),(\d+)\)", text)):
        return ["x".join(size.groups())]
    if size := re.fullmatch(r"range\((\d+(?:,\d+){0,2})\)", text):
        if name == "of" and size[1].isdecimal():
            return [size[1]]
        text = ",".join(map(str, range(*map(int, size[1].split(",")))))
    text = re.sub(r"^\[(.*)\]$", r"\1", text.strip())
    if name not in FLAT:
        text = re.sub(r"[\[(]([^][(),]+),([^][(),]+)[\])]", r"\1.\2", text)
    text = re.sub(r"[][(){}]", "", text).strip(",")
    words = text.split(",") if name in ("also", "control", "unit", "fixed") else [text]
    return [shlex.quote(w) for w in (words[:1] if name == "also" else words)]


def _array(path: Path) -> np.ndarray:
    """The numbers in an .npy file. Raises: DataError."""
    try:
        return np.asarray(np.load(foreign.regular(path, "an .npy file", LARGEST)))
    except (ValueError, EOFError) as e:
        raise DataError(f"{path} is not an .npy file of numbers: {e}") from e


def _one(text: str) -> Any:
    if not text:
        return None
    return int(text) if text.lstrip("-").isdecimal() else text


def _items(text: str, *, pairs: bool = False) -> Any:
    """What is listed with commas: numbers, LAYER.NUMBER pairs, or names; None of nothing."""
    if not text:
        return None
    parts = [part.strip() for part in text.split(",")]
    if pairs and all("." in p and p.replace(".", "", 1).isdecimal() for p in parts):
        return [tuple(map(int, p.split("."))) for p in parts]
    return [_one(p) for p in parts]


def _pool(text: str, *, pairs: bool) -> Any:
    count, cross, each = text.partition("x")
    if cross and count.isdecimal() and each.isdecimal():
        return (int(count), int(each))
    return int(text) if text.isdecimal() else _items(text, pairs=pairs)


def _others(text: str) -> Any:
    return int(text) if text.isdecimal() else _items(text)
