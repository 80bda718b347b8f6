"""Weight and settings files as plain tensors and values, each failure one line; and their tensors
taken by name: each with its dimensions, none missing, none left over, every number finite."""

from __future__ import annotations

import re
import shlex
import warnings
import zipfile
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from assay.core import foreign
from assay.core.errors import DataError, nearest
from assay.core.heavy import torch

_SWOLLEN = (
    20  # times its size, or _SMALL bytes: an npz that unpacks to more holds no trained weights
)
_SMALL = 2**26


def safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors of a safetensors file by name, and its metadata. Raises: DataError."""
    from safetensors import SafetensorError, safe_open

    foreign.tensors(path)
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError) as error:
        raise DataError(f"{path} is not a readable safetensors file ({_line(error)})") from error


def header(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file, without its tensors. Raises: DataError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(foreign.tensors(path), "pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is not a readable safetensors file ({_line(error)})") from error


def npz(path: Path) -> dict[str, torch.Tensor]:
    """The arrays of an npz file by name, as tensors. Raises: DataError, for arrays of Python
    objects too."""
    foreign.regular(path, "an npz file")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        stored = path.stat().st_size
        foreign.within(
            size,
            max(_SMALL, _SWOLLEN * stored),
            path,
            f"bytes unpacked, {size / stored:,.0f} times its size",
        )
        with np.load(path) as arrays:
            return {
                name: torch.from_numpy(
                    np.ascontiguousarray(arrays[name]).reshape(arrays[name].shape)
                )
                for name in arrays.files
            }
    except DataError:
        raise
    except Exception as error:  # a damaged archive: zipfile and NumPy raise many kinds
        why = (
            "it holds Python objects, which only a pickle can"
            if "pickle" in str(error).lower()
            else _line(error)
        )
        raise DataError(f"{path} is not a readable npz file ({why})") from error


def settings(path: Path) -> dict[str, Any]:
    """The JSON object of a settings file. Raises: DataError."""
    if not path.exists():
        raise DataError(
            f"{path} is missing; a dictionary of this format needs it next to its weights"
        )
    return foreign.json_object(path)


def yaml_mapping(path: Path, longest: int = foreign.LONGEST) -> dict[Any, Any]:
    """The mapping in a YAML file of at most so many bytes. Raises: DataError."""
    import yaml

    text = foreign.read(path, "a YAML file", longest)
    try:  # the loader in C, where PyYAML has it, takes a tenth of the time
        values = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise DataError(f"{path} is not a readable YAML file ({_line(error)})") from error
    if not isinstance(values, dict):
        raise DataError(f"{path} must be a mapping of settings, got {type(values).__name__}")
    return values


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


class Weights:
    """The tensors of one file, taken one by one; a letter (`d`, `N`, `d_out`) means the same size
    wherever it occurs."""

    def __init__(self, path: Path, values: Mapping[str, Any], **sizes: Any):
        self.path = path
        self.left = dict(values)
        self.sizes: dict[str, int] = {}
        self.names = sorted(map(str, values))
        for letter, size in sizes.items():
            if size is None:
                continue
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise DataError(
                    f"{path.parent}: its settings say {letter} = {size!r}; a size is a whole "
                    "number from 1 up"
                )
            self.sizes[letter] = size

    def take(self, name: str, *letters: str) -> torch.Tensor:
        """The tensor of this name, as float32 (float64 stays), with the dimensions that the letters
        stand for.

        Raises: DataError for a tensor that is missing, of another shape or kind, or has numbers
        that are NaN or infinite."""
        if name not in self.left:
            raise DataError(
                f"{self.path} lacks the tensor {name}; it holds "
                f"{', '.join(self.names) or 'nothing'}"
            )
        value = self.left.pop(name)
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            kind = (
                str(value.dtype).removeprefix("torch.")
                if isinstance(value, torch.Tensor)
                else type(value).__name__
            )
            raise DataError(
                f"{self.path}: {name} must be a tensor of floating-point numbers, got {kind}"
            )
        self._fit(name, tuple(value.shape), letters)
        value = value if value.dtype == torch.float64 else value.float()
        bad = int((~value.isfinite()).sum())
        if bad:
            raise DataError(
                f"{self.path}: {bad} of {value.numel()} numbers of {name} are NaN or "
                "infinite; the file cannot be used"
            )
        return value

    def take_if(self, name: str, *letters: str) -> torch.Tensor | None:
        """The tensor of this name, or None where the file has none."""
        return self.take(name, *letters) if name in self.left else None

    def number(self, name: str) -> float | None:
        """The one number of this name, a tensor or a plain value; None where the file has none.
        Raises: DataError."""
        value = self.left.pop(name, None)
        if isinstance(value, torch.Tensor) and value.numel() == 1:
            value = value.item()
        if value is None or (
            isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        ):
            return value
        raise DataError(
            f"{self.path}: {name} must be one number, got "
            f"{list(value.shape) if isinstance(value, torch.Tensor) else value!r}"
        )

    def drop(self, *names: str) -> None:
        """Pass over tensors of these names: known, and not needed."""
        for name in names:
            self.left.pop(name, None)

    def end(self, library: str) -> None:
        """Refuse a tensor that was not taken: its effect on the activations is unknown. Raises:
        DataError."""
        if self.left:
            names = ", ".join(sorted(map(str, self.left)))
            raise DataError(
                f"{self.path} has tensors that {library} does not have: {names}; nothing is read "
                "in part"
            )

    def _fit(self, name: str, shape: tuple[int, ...], letters: tuple[str, ...]) -> None:
        expected = ", ".join(
            f"{letter} {self.sizes[letter]}" if letter in self.sizes else letter
            for letter in letters
        )
        sizes = [self.sizes.get(letter) for letter in letters]
        fits = len(shape) == len(letters) and 0 not in shape
        if fits and all(
            size is None or size == got for size, got in zip(sizes, shape, strict=True)
        ):
            for letter, got in zip(letters, shape, strict=True):
                if self.sizes.setdefault(letter, got) != got:
                    fits = False
            if fits:
                return
        turned = len(shape) == len(letters) == 2 and all(
            size is None or size == got for size, got in zip(reversed(sizes), shape, strict=True)
        )
        hint = (
            "; it looks transposed, and turning it round would be a guess: save its transpose"
            if turned and None not in sizes
            else ""
        )
        raise DataError(f"{self.path}: {name} is {list(shape)}, expected [{expected}]{hint}")


def one_of(value: Any, choices: Mapping[str, Any], key: str, path: Path) -> Any:
    """Give the choice of this name. Raises: DataError, with the nearest name."""
    if not isinstance(value, str) or value not in choices:
        raise DataError(f"{path}: {key} {value!r} is not known; {nearest(str(value), choices)}")
    return choices[value]


def command_for(path: Path, **hints: Any) -> str:
    """Give the command that states what a file leaves open, and the keywords in Python."""
    path = path.parent if path.suffix in (".json", ".yaml") else path  # settings next to weights
    words = {True: "yes", False: "no"}
    options = " ".join(
        f"--hint {name}={words[value] if isinstance(value, bool) else value}"
        for name, value in hints.items()
    )
    command = f"assay export {shlex.quote(str(path))} --format assay {options} --out d.safetensors"
    return (
        f"`{command}` writes a file that says so; in Python, `assay.load` takes "
        f"{', '.join(f'{n}=' for n in hints)}"
    )


def whole(value: Any, key: str, path: Path, most: int | None = None, **stated: Any) -> int:
    """The value as a whole number from 1 up, such as k; where a file lacks that, the command also
    has the hints that were `stated`. Raises: DataError."""
    if value is None and key.endswith("k"):
        raise DataError(f"{path} does not say {key}; {command_for(path, **stated, k='NUMBER')}")
    number = (
        int(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0
        else 0
    )
    if number < 1 or (most is not None and number > most):
        raise DataError(
            f"{path}: {key} must be a whole number from 1 to {most or 'the width'}, got {value!r}"
        )
    return number


_CALLED = re.compile(r"GLOBAL ([\w.]+)")
"""What torch says that a pickle would call."""


def read(path: Path) -> dict[str, Any]:
    """The dictionary that a `.pt` file holds: tensors, numbers, strings and dictionaries of these,
    nothing else; torch's own reader of weights runs no code that is stored.

    Raises: DataError, naming what the file would have called, for a pickle that holds anything
    else; or for a broken file."""
    foreign.regular(path, "a torch file")
    try:
        if zipfile.is_zipfile(path):
            _check_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = torch.load(path, map_location="cpu", weights_only=True)
    except DataError:
        raise
    except Exception as error:  # whatever a broken archive makes zipfile or torch raise
        if called := _CALLED.search(str(error)):
            raise DataError(
                f"{path} is a pickle that would call {called[1]}; nothing was run. Only tensors "
                "and plain values are read: have its owner save a state dict"
            ) from error
        raise DataError(f"{path} is not a readable torch file ({_line(error)})") from error
    if not isinstance(values, dict):
        raise DataError(
            f"{path} holds a {type(values).__name__}, not a dictionary of tensors by name"
        )
    try:
        _check(path, values, set())
    except RecursionError as error:
        raise DataError(f"{path} nests its values too deep for a state dict") from error
    return dict(values)


def _check_archive(path: Path) -> None:
    """Refuse an archive that unpacks to more than it is, or is damaged, which torch does not look
    at. Raises: DataError."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
        foreign.within(
            unpacked,
            path.stat().st_size,
            path,
            "bytes unpacked: it is compressed, which torch never does",
        )
        if (broken := archive.testzip()) is not None:
            raise DataError(f"{path} is damaged: {broken} differs from its checksum")


def _check(path: Path, values: Any, visited_ids: set[int], name: str = "") -> None:
    """Refuse values of other kinds, and tensors that are larger than what is stored of them; what
    is shared is looked at once."""
    if isinstance(values, dict | list | tuple):
        if id(values) in visited_ids:
            return
        visited_ids.add(id(values))
    if isinstance(values, dict):
        for key, value in values.items():
            _check(path, value, visited_ids, f"{name}.{key}" if name else str(key))
    elif isinstance(values, list | tuple):
        for value in values:
            _check(path, value, visited_ids, name)
    elif isinstance(values, torch.Tensor):
        if (
            values.layout.__repr__() != "torch.strided"
            or values.numel() * values.element_size() > values.untyped_storage().nbytes()
        ):
            raise DataError(
                f"{path}: {name} claims shape {list(values.shape)}, of which only a part is stored"
            )
    elif not isinstance(values, str | int | float | bool | None.__class__):
        raise DataError(
            f"{path}: {name} is a {type(values).__name__}; only tensors, numbers and text are read"
        )
