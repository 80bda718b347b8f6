"""gguf_header: that of a GGUF file, gone through within bounds before anybody believes what it
says."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from assay.core import foreign
from assay.core.errors import ModelError
from assay.subjects.sizes import told_of_a_model

if TYPE_CHECKING:
    from gguf import GGUFReader

MOST, LONGEST = 2_000_000, 2**20
"""Values, those in arrays among them, and tensors; bytes of a text. A vocabulary of 256,000 tokens
takes about 1,300,000 values."""
_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""GGUF's number of a kind of value → its bytes."""
_TEXT, _ARRAY = 8, 9


def check(path: Path) -> None:
    """Raise ModelError for a header that is cut short, or has more values, longer texts or other
    kinds than known ones."""
    with path.open("rb") as file, told_of_a_model():
        walk = _Walk(path, file)
        magic, version = walk.numbers("<4sI")
        if magic != b"GGUF" or version not in (2, 3):
            raise walk.broken("it does not begin with GGUF, version 2 or 3")
        tensors, values = walk.numbers("<QQ")
        walk.count(tensors)
        walk.count(values)
        for _ in range(values):
            walk.text()
            walk.value(*walk.numbers("<I"))
        for _ in range(tensors):
            walk.text()
            (dims,) = walk.numbers("<I")
            if not 1 <= dims <= 4:
                raise walk.broken(f"a tensor has {dims} dimensions")
            walk.skip(
                8 * dims + 12
            )  # sizes, kind, offset: the reader compares them with what is there


def value(reader: GGUFReader, key: str, *default: Any) -> Any:
    """Give what the header says under a key, or the default. Raises: KeyError without either."""
    if default and key not in reader.fields:
        return default[0]
    return reader.fields[key].contents()


class _Walk:
    """Where in the file the walk is, and how much it has met."""

    def __init__(self, path: Path, file: BinaryIO):
        self.path, self.file, self.met, self.end = path, file, 0, path.stat().st_size

    def broken(self, why: str) -> ModelError:
        return ModelError(f"{self.path} is not a complete GGUF file ({why}); fetch it again")

    def numbers(self, form: str) -> tuple[int, ...]:
        content = self.file.read(struct.calcsize(form))
        if len(content) < struct.calcsize(form):
            raise self.broken("it ends within its header")
        return struct.unpack(form, content)

    def skip(self, length: int) -> None:
        if self.file.tell() + length > self.end:
            raise self.broken("it ends within its header")
        self.file.seek(length, 1)

    def count(self, more: int) -> None:
        self.met += more
        foreign.within(self.met, MOST, self.path, "values and tensors in its header")

    def text(self) -> None:
        (length,) = self.numbers("<Q")
        foreign.within(length, LONGEST, self.path, "bytes in one text of its header")
        self.skip(length)

    def value(self, kind: int) -> None:
        if kind == _TEXT:
            self.text()
        elif kind == _ARRAY:
            inner, length = self.numbers("<IQ")
            self.count(length)
            if inner == _TEXT:
                for _ in range(length):
                    self.text()
            elif inner in _BYTES:
                self.skip(_BYTES[inner] * length)
            else:
                raise self.broken(f"an array of values of kind {inner}")
        elif kind in _BYTES:
            self.skip(_BYTES[kind])
        else:
            raise self.broken(f"a value of kind {kind}")
