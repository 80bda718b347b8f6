"""User code: a function of the user's file, "FILE.py:NAME", that reads a number from each prompt or
changes activations. It takes what it needs by name, and is tried before any model is opened."""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from assay.ask.measure.tokenized import PassOutput, Prompt
from assay.core import foreign
from assay.core.errors import DataError, nearest
from assay.core.heavy import torch
from assay.core.nouns import counted
from assay.lab import catalogue
from assay.lab.store.user_code import first_line
from assay.subjects.site import Site

READ = ("acts", "before", "logits", "tokens", "columns", "model")
"""Arguments of a function that reads: acts {site: [b, token, …]}, before, the same of the unchanged
or the compared model, logits [b, token, vocabulary], tokens [token], the columns of the row, and
the model of transformers."""
TEXT = ("text", "columns")
"""Arguments of a function of written text: the text and the columns of the row."""
CHANGE = ("x", "site", "tokens", "columns", "model")
"""Arguments of a function that changes: the activations x at the changed tokens, [1, token, …], the
name of the site, the prompt's tokens, the columns of the row, and the model of transformers."""


def is_written(place: str) -> bool:
    """Whether a text is FILE.py:NAME."""
    file, colon, name = place.rpartition(":")
    return bool(colon) and file.endswith(".py") and name.isidentifier()


def file_of(place: str, folder: Path = Path()) -> tuple[Path, str]:
    """Split FILE.py:NAME into a file that is there and a name. Raises: DataError."""
    if not is_written(place):
        swept = "; a sweep does not fill its name: write a table for each function" * ("{" in place)
        raise DataError(f"a function of your own is written FILE.py:NAME, got {place!r}{swept}")
    file, _, name = place.rpartition(":")
    return foreign.regular(folder / file, "a Python file", foreign.LONGEST), name


def digest(place: str, folder: Path) -> str:
    """SHA-256 of the file with a function. Raises: DataError."""
    return hashlib.sha256(file_of(place, folder)[0].read_bytes()).hexdigest()


def module_of(place: str, folder: Path = Path()) -> tuple[Any, str]:
    """Import the file of a function, and give its name there. Raises: DataError."""
    path, name = file_of(place, folder)
    try:
        return catalogue.load_module(str(path.resolve())), name
    except Exception as e:
        raise DataError(f"{place.rpartition(':')[0]} raised {first_line(e)}") from e


def load(place: str, folder: Path = Path()) -> Callable[..., Any]:
    """Import a function. Raises: DataError if it does not exist, or its file raises."""
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
    """The names of a function's parameters. Raises: DataError for an unknown one."""
    names = tuple(inspect.signature(function).parameters)
    for name in (n for n in names if n not in offered):
        raise DataError(f"{place} takes {name!r}; it may take, by name, {', '.join(offered)}")
    return names


def can_be_tried(function: Callable[..., Any]) -> bool:
    """Whether a function can be tried without a model."""
    return "model" not in inspect.signature(function).parameters


_SECONDS: dict[str, float] = {}
"""CPU-seconds of the shortest call of each function."""


def seconds(place: str) -> float:
    """Give the CPU-seconds of a call of a function, measured on the first prompts; 0 before the
    first call."""
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
    """The return value of a function for a prompt: one number for each change. Raises:
    DataError."""
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
    """The return value of a function for a site. Raises: DataError for a wrong shape."""
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


def tried(p: Prompt, sites: Sequence[Site], temperature: float = 0.0) -> PassOutput:
    """Random numbers instead of activations; instead of what the model would write, the text of the
    prompt."""
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
    """Zero logits of the right shape."""
    return x.new_zeros((*x.shape[:-1], vocabulary))
