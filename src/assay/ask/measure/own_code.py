"""Own code: a function of a user's own file, "FILE.py:NAME", that reads a number off each prompt or
changes activations. Each takes by name what it needs, and is tried before any model is opened."""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from assay.ask.measure.seen import PassOutput, Prompt
from assay.core import foreign
from assay.core.errors import DataError, nearest
from assay.core.heavy import torch
from assay.core.nouns import counted
from assay.lab import catalogue
from assay.lab.store.user_code import first_line
from assay.subjects.site import Site

READ = ("acts", "before", "logits", "tokens", "columns", "model")
"""What a function that reads may take: {site: [b, token, …]}, the same of the untouched model, or
of the one that it is compared with, [b, token, vocabulary], [token], the row's columns, and the
model of transformers."""
TEXT = ("text", "columns")
"""What a function of a text that the model writes may take: this text, and the row's columns."""
CHANGE = ("x", "site", "tokens", "columns", "model")
"""What a function that changes may take: what the site has at the changed tokens, [1, token, …];
its name; the prompt's tokens; the row's columns; and the model of transformers."""


def is_written(place: str) -> bool:
    """Whether a text is FILE.py:NAME."""
    file, colon, name = place.rpartition(":")
    return bool(colon) and file.endswith(".py") and name.isidentifier()


def _file(place: str, folder: Path) -> tuple[Path, str]:
    if not is_written(place):
        swept = "; a sweep does not fill its name: write a table for each function" * ("{" in place)
        raise DataError(f"a function of your own is written FILE.py:NAME, got {place!r}{swept}")
    file, _, name = place.rpartition(":")
    return foreign.regular(folder / file, "a Python file", foreign.LONGEST), name


def digest(place: str, folder: Path) -> str:
    """SHA-256 of the file that a function stands in. Raises: DataError."""
    return hashlib.sha256(_file(place, folder)[0].read_bytes()).hexdigest()


def module_of(place: str, folder: Path = Path()) -> tuple[Any, str]:
    """Import the file of a function, and give its name there. Raises: DataError."""
    path, name = _file(place, folder)
    try:
        return catalogue.load_module(str(path.resolve())), name
    except Exception as e:
        raise DataError(f"{place.rpartition(':')[0]} raised {first_line(e)}") from e


def load(place: str, folder: Path = Path()) -> Callable[..., Any]:
    """Import a function. Raises: DataError where there is none, or its file raises."""
    return function_named(*module_of(place, folder), place)


def function_named(module: Any, name: str, place: str) -> Callable[..., Any]:
    """The function of this name in a module. Raises: DataError."""
    function = getattr(module, name, None)
    if not callable(function):
        functions = [n for n, x in vars(module).items() if callable(x) and not n.startswith("_")]
        raise DataError(
            f"{place.rpartition(':')[0]} has no function {name!r}; {nearest(name, functions)}"
        )
    return function  # type: ignore[no-any-return]


def parameters(function: Callable[..., Any], offered: Sequence[str], place: str) -> tuple[str, ...]:
    """What a function takes, by name. Raises: DataError for what nobody gives it."""
    names = tuple(inspect.signature(function).parameters)
    for name in (n for n in names if n not in offered):
        raise DataError(f"{place} takes {name!r}; it may take, by name, {', '.join(offered)}")
    return names


def can_be_tried(function: Callable[..., Any]) -> bool:
    """Whether a function can be tried without a model."""
    return "model" not in inspect.signature(function).parameters


_SECONDS: dict[str, float] = {}
"""CPU-seconds of the shortest call of each function so far."""


def seconds(place: str) -> float:
    """Give the CPU-seconds of a call of a function, by those on the first prompts; 0 where it was
    not called yet."""
    return _SECONDS.get(place, 0.0)


def _call(place: str, function: Callable[..., Any], arguments: Mapping[str, Any], row: str) -> Any:
    start = time.process_time()
    try:
        return function(**arguments)
    except Exception as e:
        raise DataError(f"{row}: {place} raised {first_line(e)}") from e
    finally:
        took = time.process_time() - start
        _SECONDS[place] = min(took, _SECONDS.get(place, took))


def numbers(
    place: str, function: Callable[..., Any], arguments: Mapping[str, Any], count: int, row: str
) -> list[float]:
    """What a function returns for a prompt, a number under each change. Raises: DataError."""
    output = _call(place, function, arguments, row)
    try:
        array = output.detach().cpu() if isinstance(output, torch.Tensor) else output
        values = np.asarray(array, dtype=float)
    except (TypeError, ValueError):
        values = np.full(0, np.nan)
    if values.shape != (count,) or not np.isfinite(values).all():
        got = f"{type(output).__name__} {str(output)[:60]!r}"
        raise DataError(
            f"{row}: {place} returns {counted(count, 'finite number')} of it, one for each change; "
            f"got {got}"
        )
    return [*map(float, values)]


def changed(
    place: str,
    function: Callable[..., Any],
    site: Site,
    x: torch.Tensor,
    p: Prompt,
    model: torch.nn.Module | None = None,
) -> torch.Tensor:
    """What a function makes of a site. Raises: DataError where that has another shape."""
    offered = {
        "x": x.clone(),
        "site": str(site),
        "tokens": torch.tensor(p.tokens),
        "columns": dict(p.row.columns),
        "model": model,
    }
    arguments = {name: offered[name] for name in parameters(function, CHANGE, place)}
    output = _call(place, function, arguments, p.row.place)
    if not isinstance(output, torch.Tensor) or output.shape != x.shape:
        shape = getattr(output, "shape", None)
        got = f"a {type(output).__name__}{f' of {list(shape)}' if shape is not None else ''}"
        raise DataError(f"{place} returns a tensor of {list(x.shape)} for {site}, got {got}")
    return output.to(x)


# before any model is opened -----------------------------------------------------------------------


def tried(p: Prompt, sites: Sequence[Site], temperature: float = 0.0) -> PassOutput:
    """Numbers drawn at random in the place of what a prompt would have at sites; its own text is in
    the place of what the model would write."""
    draw = torch.Generator().manual_seed(0)
    n, heads = len(p.tokens), p.folder.config.get("num_attention_heads", 1)

    def act(site: Site) -> Float[torch.Tensor, "s ..."]:
        pairs = "q" in site.dims.split()
        shape = (heads, n, n) if pairs else (n, *p.folder.shape(site))
        x = torch.randn(shape, generator=draw)
        return x.softmax(-1) if pairs else x

    acts, untouched = ({site: act(site) for site in sites} for _ in range(2))
    return PassOutput(p, acts=acts, before=untouched, written={temperature: p.tokens})


def any_logits(vocabulary: int, x: Float[torch.Tensor, "b s d"]) -> Float[torch.Tensor, "b s v"]:
    """Logits of the shape that a model would give, all alike."""
    return x.new_zeros((*x.shape[:-1], vocabulary))
