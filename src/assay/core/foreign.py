"""Foreign: the checks on files that someone else wrote or may have changed: what a path is, and
how much it holds, is looked at before it is read.

Every limit is a number of what known files have, many times over. The variable ASSAY_LIMITS
multiplies all of them.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shlex
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from assay.core.errors import DataError, Operator, nearest_beside

LONGEST = 16 * 2**20
"""Bytes of JSON settings, and of the header of a safetensors file; those that are known have a few
thousand to a few hundred thousand."""
DEEPEST = 64
"""Objects and lists inside each other in JSON settings; known ones have five."""
LARGEST = 32 * 2**30
"""Bytes of one file of weights."""
STORED = 2**28
"""Bytes of a file of a store that is read at once and says nowhere else how long it is."""
KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe, which may never end",
    stat.S_ISCHR: "a device, which may never end",
    stat.S_ISBLK: "a device",
    stat.S_ISSOCK: "a socket",
}
PURPOSES = {
    (".assay",): "a saved check, which is itself the file to send; assay verify {0} judges it "
    "again, and assay report {0} makes its page",
    (".prereg.json",): "a frozen file, which assay verify {0} checks; to run or show what "
    "was frozen, name its study or experiment",
    (".zip",): "a zip file: if it is a bundle, assay verify {0} judges it again",
    (".toml", ".md"): "a study: assay run {0} measures and judges it, and assay export {0} "
    "--format bundle writes its bundle",
    (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".eval"): "a table; to judge a claim about it, "
    "type: assay judge {0} --claim 'ARM.x > 1' --unit COLUMN --control ARM, with --save FILE.assay "
    "to keep the verdict for assay report",
    (".py",): "Python code: assay run {0} runs the experiment in it, and assay check {0}:FUNCTION "
    "--prompts FILE --holds 'effect > 1' judges a claim about one of its functions",
    (".txt",): "a text: assay check FILE.py:FUNCTION --prompts {0} takes its lines as prompts",
    (".safetensors", ".npz", ".pt"): "a file of arrays: if they are a dictionary, assay evaluate "
    "{0} measures it, and assay serve {0} shows its features",
}
"""What files are, by how their names end, and which command takes them."""
followers: list[Callable[[Path], None]] = []
"""Each is called with every file that passes this door, before it is read."""


def limit(most: int) -> int:
    """Give a limit as it is written, times the variable ASSAY_LIMITS, for users who trust a file.
    Raises: DataError for a number that is none."""
    setting = os.environ.get("ASSAY_LIMITS") or "1"
    if not (setting.isascii() and setting.isdigit() and len(setting) < 10 and int(setting)):
        raise DataError(f"ASSAY_LIMITS must be a whole number of at least 1, got {setting[:40]!r}")
    return most * int(setting)


def within(amount: int, most: int, place: object, unit: str) -> None:
    """Raise DataError where more is found than the limit allows, saying how to raise it."""
    if amount > limit(most):
        times = -(-amount // most)
        raise DataError(
            f"{place} has {amount:,} {unit}; at most {limit(most):,} are read",
            Operator(f": ASSAY_LIMITS={times} raises that"),
        )


def purpose(path: Path) -> str:
    """Say in a sentence what a file is that another command takes, and how to type that, or a
    folder of weights; "" for a file that is not there, or may be anything."""
    name = shlex.quote(str(path))
    if path.is_dir() and any(path.glob("*.safetensors")):
        measured = (
            f"to evaluate a dictionary, type: assay evaluate {name} --model MODEL --text docs"
        )
        return f"{path} is a folder of weights; {measured}"
    what = next((x for ends, x in PURPOSES.items() if path.name.endswith(ends)), "")
    return f"{path} is {what.format(name)}" if what and path.is_file() else ""


def regular(path: Path, expected: str = "a file", most: int = LARGEST) -> Path:
    """Return this path, if a file of at most so many bytes is there, links followed.

    Raises: DataError for anything that may block, never end, or is not there.
    """
    try:
        status = path.stat()
    except FileNotFoundError as error:
        hint = nearest_beside(path) or f"expected {expected}"
        raise DataError(f"no file {path}; {hint}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        raise DataError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or error}; expected {expected}"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        kind = next(
            (description for is_it, description in KINDS.items() if is_it(status.st_mode)),
            "no file",
        )
        raise DataError(f"{path} is {kind}; expected {expected}")
    within(status.st_size, most, path, "bytes")
    for follow in tuple(followers):
        follow(path)
    return path


def read(path: Path, expected: str, most: int) -> bytes:
    """Read the bytes of a file that has at most so many. Raises: DataError."""
    try:
        with regular(path, expected, most).open("rb") as file:
            content = file.read(limit(most) + 1)
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror or error}; expected {expected}"
        ) from error
    within(len(content), most, path, "bytes")  # files of /proc say that they have none
    return content


WIDE = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
"""Marks with which text begins that is no UTF-8."""


def text(path: Path, expected: str, most: int) -> str:
    """Read the text of a file that has at most so many bytes: UTF-8, with or without the mark that
    some programs begin it with. Raises: DataError."""
    content = read(path, expected, most)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        encoding = WIDE.get(content[:2])
        why = f"it is {encoding}" if encoding else f"it is not UTF-8 text (byte {error.start:,})"
        raise DataError(f"{path}: {why}; save it as UTF-8") from None


class NotAFileError(IsADirectoryError):
    """In place of a store's file is something that may block or never end, or is too long; it is
    treated as a folder there would be."""


def open_stored(path: Path | str, most: int = STORED) -> BinaryIO:
    """Open a file of a store that has at most so many bytes; never blocks, whatever the path is.

    Raises: NotAFileError, an OSError, for a folder, pipe or device and a longer file; OSError where
    nothing can be opened."""
    handle, _ = _opened(path, most)
    return os.fdopen(handle, "rb")


def read_stored(path: Path | str, most: int = STORED) -> bytes:
    """Read a file of a store that has at most so many bytes. Raises: OSError, as `open_stored`."""
    handle, size = _opened(path, most)
    try:  # without a file object: a plan reads tens of thousands of files
        content = os.read(handle, size)
        while len(content) < size and (more := os.read(handle, size - len(content))):
            content += more
    finally:
        os.close(handle)
    return content


def _opened(path: Path | str, most: int) -> tuple[int, int]:
    """The handle of a regular file that has at most so many bytes, and how many these are."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            kind = next(
                (description for is_it, description in KINDS.items() if is_it(status.st_mode)),
                "no file",
            )
            raise NotAFileError(errno.EISDIR, f"it is {kind}", str(path))
        if status.st_size > most:
            raise NotAFileError(
                errno.EISDIR, f"it has {status.st_size:,} bytes of at most {most:,}", str(path)
            )
    except BaseException:
        os.close(handle)
        raise
    return handle, status.st_size


def tensors(path: Path, most: int = LARGEST) -> Path:
    """Return this path, if it is a file whose safetensors header, should it have one, is of bounded
    length. Raises: DataError."""
    with regular(path, "a safetensors file", most).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length <= path.stat().st_size:  # a longer one is refused when it is read
        within(length, LONGEST, path, "bytes of header")
    return path


def json_object(path: Path, longest: int = LONGEST) -> dict[str, Any]:
    """Read the JSON object in a file of at most so many bytes, every number in it finite. Raises:
    DataError."""
    text = read(path, "a JSON file", longest)
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise DataError(f"{path} is not readable JSON ({first})") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} must hold one JSON object, got a {type(value).__name__}")
    within(_depth(value), DEEPEST, path, "objects and lists inside each other")
    return value


def _depth(value: Any) -> int:
    layer, deep = [value], 0
    while layer := [part for part in layer if isinstance(part, dict | list)]:
        layer = [
            inner for part in layer for inner in (part.values() if isinstance(part, dict) else part)
        ]
        deep += 1
    return deep


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:40]} is too large for a number")
    return number
