"""A torch `.pt` file as plain values, without executing anything that stands in it.

A `.pt` file is a pickle, and a pickle is a program: it may name any function of any installed
package and call it. So the opcodes are looked through first, without running one, and a file that
names anything but the few functions which put a tensor together is refused by that name. What is
left goes through torch's own weights-only reader."""

from __future__ import annotations

import io
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.errors import DataError
from assay.core.heavy import torch

# What a state dict needs: ordered dictionaries, tensors and parameters, and the storages they lie
# in.
_ALLOWED = re.compile(
    r"collections\.OrderedDict|torch\._utils\._rebuild_(tensor|tensor_v2|parameter)|torch\.Size|torch\.device"
    r"|torch\.((Float|Double|Half|BFloat16|Char|Byte|Short|Int|Long|Bool)Storage|storage\.(Untyped|Typed)Storage)"
    r"|torch\.(float32|float64|float16|bfloat16|int8|uint8|int16|int32|int64|bool)"
)
_LONGEST = 64 * 2**20  # bytes of pickle opcodes; a state dict has a few thousand
# pickles at the front of a file from before torch 1.6: magic, protocol, system, values, storage
# keys
_LEGACY = 5


def read(path: Path) -> dict[str, Any]:
    """The dictionary that a `.pt` file holds: tensors, numbers, strings and dictionaries of these,
    nothing else.

    Raises: DataError, naming what the file would have called, for a pickle that holds anything
    else; or for a broken file."""
    foreign.regular(path, "a torch file")
    for program in _programs(path):
        for name in _globals(path, program):
            if not _ALLOWED.fullmatch(name):
                raise DataError(
                    f"{path} is a pickle that would call {name}; nothing was run. Only tensors "
                    "and plain values are read: "
                    "have its owner save a state dict"
                )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken archive makes torch raise
        raise DataError(f"{path} is not a readable torch file ({_first_line(error)})") from error
    if not isinstance(values, dict):
        raise DataError(
            f"{path} holds a {type(values).__name__}, not a dictionary of tensors by name"
        )
    try:
        _check(path, values, set())
    except RecursionError as error:
        raise DataError(f"{path} nests its values too deep for a state dict") from error
    return dict(values)


def _programs(path: Path) -> Iterator[io.BytesIO]:
    """The pickles of the file, as they are stored."""
    try:
        if zipfile.is_zipfile(path):
            yield _from_zip(path)
            return
        with path.open("rb") as file:
            head = io.BytesIO(file.read(foreign.limit(_LONGEST)))
    except DataError:
        raise
    except Exception as error:  # a damaged archive: zipfile raises many kinds
        raise DataError(f"{path} is not a readable torch file ({_first_line(error)})") from error
    if head.getbuffer()[:1] != b"\x80":
        raise DataError(f"{path} is not a torch file: it is neither a zip archive nor a pickle")
    for _ in range(_LEGACY):  # each pass of `_globals` leaves `head` behind one pickle
        yield head


def _from_zip(path: Path) -> io.BytesIO:
    with zipfile.ZipFile(path) as archive:
        names = [entry.filename for entry in archive.infolist()]
        data = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
        if any("/code/" in name or name.endswith("constants.pkl") for name in names):
            raise DataError(
                f"{path} is a TorchScript program; Assay reads weights and runs no stored code"
            )
        if len(data) != 1 or len(set(names)) != len(names):
            raise DataError(
                f"{path} is a zip archive but no torch file: it must hold one data.pkl, and "
                "no name twice"
            )
        unpacked = sum(entry.file_size for entry in archive.infolist())
        foreign.within(
            unpacked,
            path.stat().st_size,
            path,
            "bytes unpacked: it is compressed, which torch never does",
        )
        foreign.within(archive.getinfo(data[0]).file_size, _LONGEST, path, "bytes of pickle")
        if (broken := archive.testzip()) is not None:  # which torch does not look at
            raise DataError(f"{path} is damaged: {broken} differs from its checksum")
        return io.BytesIO(archive.read(data[0]))


def _globals(path: Path, program: io.BytesIO) -> Iterator[str]:
    """The functions and classes that one pickle names; opcodes are read, none is run."""
    texts = ["?", "?"]
    try:
        for opcode, value, _ in pickletools.genops(program):
            if opcode.name in ("GLOBAL", "INST"):
                yield str(value).replace(" ", ".", 1)
            elif (
                opcode.name == "STACK_GLOBAL"
            ):  # names taken from the stack; torch writes none, so the last texts will do
                yield ".".join(texts) + " (from the stack)"
            elif opcode.name in ("EXT1", "EXT2", "EXT4"):
                yield f"extension {value}"
            elif isinstance(value, str):
                texts = [texts[1], value]
    except DataError:
        raise
    except Exception as error:  # truncated or malformed: genops raises many kinds
        raise DataError(f"{path} is not a readable torch file ({_first_line(error)})") from error


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


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
