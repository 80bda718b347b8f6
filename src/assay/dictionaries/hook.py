"""spliced: a dictionary hooked into a module of any PyTorch model, for as long as a `with` block
lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from jaxtyping import Bool, Float

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary

At = Literal["output", "input", "through"]
Edit: TypeAlias = 'Callable[[Float[torch.Tensor, "b s f"]], Float[torch.Tensor, "b s f"]]'


@dataclass(eq=False)
class Seen:
    """What the dictionary met in the module's latest call; None before the first."""

    features: Float[torch.Tensor, "b s f"] | None = field(default=None, repr=False)
    """Features at every position, those that were not replaced included."""
    x: Float[torch.Tensor, "b s d_in"] | None = field(default=None, repr=False)
    """What the dictionary read, as the module had it."""


@contextmanager
def spliced(
    dictionary: Dictionary,
    module: torch.nn.Module,
    *,
    at: At = "output",
    positions: Bool[torch.Tensor, "b s"] | Bool[torch.Tensor, " s"] | None = None,
    replace: bool = True,
    edit: Edit | None = None,
    keep_error: bool = False,
) -> Iterator[Seen]:
    """Hook a dictionary into a module: its output (or input) is replaced by its reconstruction, and
    the features of each call are returned.

    `at`: "output" and "input" read and replace that; "through" reads the input and replaces the
    output, as a transcoder does. If a module takes or returns a tuple, its first tensor is used.
    `edit` changes the features before they are decoded. With `keep_error`, the part that the
    dictionary does not explain stays: x + decode(edit(f)) − decode(f). Blocks may be nested, on one
    module or several; the inner one sees the result of the outer one. The hook is removed at the
    end of the block, even after an error, and gradients pass through.

    Args:
        dictionary: of one run.
        module: whose calls are hooked.
        at: what is read and replaced.
        positions: where to replace, [b, s] or [s]; None: everywhere.
        replace: False only reads.
        edit: features → features, [b, s, f].
        keep_error: keep what is not explained.
    Raises: DataError for a dictionary of several runs, and in a call for a module whose width is
    not the dictionary's.
    Example:
        >>> import torch
        >>> import assay
        >>> eye, zero = torch.eye(2)[None], torch.zeros(1, 2)
        >>> halves = assay.Dictionary(eye, zero, eye / 2, zero, assay.dictionaries.ReLU())
        >>> module = torch.nn.Identity()
        >>> with assay.spliced(halves, module) as capture:
        ...     print(module(torch.tensor([[[4.0, 2.0]]])), capture.features)
        tensor([[[2., 1.]]]) tensor([[[4., 2.]]])
    """
    if len(dictionary) != 1:
        raise DataError(
            f"a module takes one dictionary, this one holds {len(dictionary)} runs; name one: "
            "dictionary[0]"
        )
    if at not in ("output", "input", "through"):
        raise DataError(f'at must be "output", "input" or "through", got {at!r}')
    hook = _Hook(dictionary, at, positions, replace, edit, keep_error)
    # Removal is registered with each hook, so that an error between the two leaves none behind.
    with ExitStack() as stack:
        if at != "output":
            stack.callback(module.register_forward_pre_hook(hook.before, with_kwargs=True).remove)
        if at != "input":
            stack.callback(module.register_forward_hook(hook.after).remove)
        yield hook.capture


@dataclass(frozen=True, eq=False)
class _Hook:
    """What is done in each call of a module, as `spliced` was asked to."""

    dictionary: Dictionary
    at: At
    positions: torch.Tensor | None
    replace: bool
    edit: Edit | None
    keep_error: bool
    capture: Seen = field(default_factory=Seen)

    def before(
        self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Replace what a module reads, or put it aside for its output."""
        place, x = _first(args, kwargs, module)
        if self.at == "through":
            self.capture.x = x
            return args, kwargs
        replacement = self._new(module, x, x)
        if isinstance(place, str):
            return args, {**kwargs, place: replacement}
        return (*args[:place], replacement, *args[place + 1 :]), kwargs

    def after(self, module: torch.nn.Module, args: tuple[Any, ...], out: Any) -> Any:
        """Replace what a module gives."""
        target = out[0] if isinstance(out, tuple) else out
        if not isinstance(target, torch.Tensor):
            raise DataError(
                f"{_name(module)} returns a {type(target).__name__}, not a tensor; hook a module "
                "that returns one"
            )
        # For "through": what the pre-hook put aside.
        x = target if self.at == "output" or self.capture.x is None else self.capture.x
        replacement = self._new(module, x, target)
        return (replacement, *out[1:]) if isinstance(out, tuple) else replacement

    def _new(self, module: torch.nn.Module, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """What is put in the place of a target, made from what is read."""
        flat = _rows(x, self.dictionary.W_enc.shape[1], "reads")
        same = self.dictionary.W_enc.device == x.device
        dictionary = self.dictionary if same else self.dictionary.to(x.device)
        features = dictionary.encode(flat)
        shape = (*(x.shape[:2] if x.ndim > 2 else (1, len(flat))), dictionary.width)
        seen = self.capture
        seen.features, seen.x = features[0].reshape(shape), x
        if not self.replace:
            return target
        changed = (
            # A copy: an edit in place must not change what is shown as seen.
            features
            if self.edit is None
            else self.edit(seen.features.clone()).reshape(features.shape)
        )
        out = dictionary.decode(changed, flat)[0]
        if self.keep_error:
            # Both decodes add the same mean and bias, so that their difference is that of the
            # features alone.
            whole = _rows(target, out.shape[-1], "writes").float()
            out = whole + out - dictionary.decode(features, flat)[0]
        if out.numel() != target.numel():
            raise DataError(
                f"the dictionary writes {out.shape[-1]} numbers per token, {_name(module)} "
                f"has {list(target.shape)}"
            )
        out = out.reshape(target.shape).to(target.dtype)
        if self.positions is None:
            return out
        return torch.where(_mask(self.positions, target), out, target)


def _first(
    args: tuple[Any, ...], kwargs: dict[str, Any], module: torch.nn.Module
) -> tuple[int | str, torch.Tensor]:
    """Where among the arguments of a call the first activations are, and these."""
    places: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
    for place, value in places:
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            return place, value
    raise DataError(
        f"{_name(module)} is called without activations; hook a module that reads them, or "
        "its output"
    )


def _rows(x: torch.Tensor, width: int, does: str) -> Float[torch.Tensor, "b d"]:
    """All positions one after the other; heads count as one axis where together they have the
    width."""
    if x.shape[-1] == width:
        return x.reshape(-1, width).float()
    if x.ndim == 4 and x.shape[2] * x.shape[3] == width:
        return x.reshape(-1, width).float()
    raise DataError(
        f"the dictionary {does} {width} numbers per token, the module has {x.shape[-1]}; name "
        "the module it was trained on"
    )


def _mask(positions: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    mask = torch.as_tensor(positions, device=target.device).bool()
    leading = target.shape[: target.ndim - 1] if target.ndim < 4 else target.shape[:2]
    try:
        mask = mask.expand(leading)
    except RuntimeError as error:
        raise DataError(
            f"positions must be {list(leading)} or {list(leading[1:])}, got {list(mask.shape)}"
        ) from error
    return mask.reshape(*leading, *(1,) * (target.ndim - len(leading)))


def _name(module: torch.nn.Module) -> str:
    return f"the module {type(module).__name__}"
