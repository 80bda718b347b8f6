"""Artefacts of a depot: folders of activations and the like, in parts of 64 MiB that go and come
one by one.

A part is named by the hash of its blocks' hashes, which hashes.json has already; so whoever goes on
with a transfer knows without reading a byte which parts are there, equal parts lie there once, and
two builders whose numbers differ never mix."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from assay.core.integrity import BLOCK, NOTE
from assay.lab.away.depot.bucket import Bucket
from assay.lab.store.atomic import explained

PART = 64
"""Blocks of 1 MiB in a part."""


@dataclass(frozen=True)
class Part:
    """A piece of a file: where it begins, its bytes, and the hashes of its blocks."""

    file: str
    start: int
    size: int
    blocks: tuple[str, ...]

    @property
    def name(self) -> str:
        """64 hex digits."""
        return hashlib.sha256("".join(self.blocks).encode()).hexdigest()


def name_of(folder: Path) -> str:
    """The name of an artefact's folder in a depot."""
    return f"artefacts/{folder.parent.name}/{folder.name.partition('.')[0]}"


def send(bucket: Bucket, folder: Path) -> int:
    """Send a finished artefact, its parts that are not there yet and then what it is made of; gives
    how many parts were sent."""
    name, note = name_of(folder), (folder / NOTE).read_bytes()
    parts = _described(note)
    if parts is None or bucket.read(f"{name}/{NOTE}") == note:
        return 0
    listed, sent = bucket.names(name), 0
    for part in parts:
        if part.size and listed.get(f"{name}/{part.name}") != part.size:
            with (folder / part.file).open("rb") as file:
                file.seek(part.start)
                bucket.write(f"{name}/{part.name}", file.read(part.size))
            sent += 1
    # Last: by this object an artefact is whole, and all that it names is there by now.
    bucket.write(f"{name}/{NOTE}", note)
    return sent


def fetch(bucket: Bucket, partial: Path) -> bool:
    """Fetch the artefact into the folder that is being filled, but for parts that are in it; False
    where the depot has it not whole."""
    parts = _described(bucket.read(f"{name_of(partial)}/{NOTE}"))
    if parts is None:
        return False
    with explained(partial):
        for leftover in (
            p
            for p in partial.rglob("*")
            if p.is_file()
            and p.relative_to(partial).as_posix() not in {part.file for part in parts}
        ):
            leftover.unlink()  # of a building that somebody else finished
        for part in parts:
            path = partial / part.file
            path.parent.mkdir(parents=True, exist_ok=True)
            # r+b below needs a file that exists, and must not cut off the parts that are in it.
            path.touch()
            with path.open("r+b") as file:
                file.seek(part.start)
                if _hashes(file.read(part.size)) == part.blocks:
                    continue
                data = bucket.read(f"{name_of(partial)}/{part.name}")
                if data is None or len(data) != part.size or _hashes(data) != part.blocks:
                    return False
                file.seek(part.start)
                file.write(data)
        # A file that an earlier, other building left may be longer.
        for file_name, size in _sizes(parts).items():
            with (partial / file_name).open("r+b") as file:
                file.truncate(size)
    return True


def _described(note: bytes | None) -> Sequence[Part] | None:
    """The parts of an artefact by its hashes.json; None where that is missing, was cut off, or
    names a file outside."""
    try:
        return list(_parts(note)) if note is not None else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _parts(note: bytes) -> Iterator[Part]:
    for file, (size, blocks) in json.loads(note).items():
        inside = PurePosixPath(file)
        if (
            inside.is_absolute()
            or ".." in inside.parts
            or not inside.name
            or len(blocks) != -(-size // BLOCK)
        ):
            raise ValueError(file)
        if not blocks:
            yield Part(file, 0, 0, ())
        for i in range(0, len(blocks), PART):
            start = i * BLOCK
            yield Part(
                file, start, min(size - start, PART * BLOCK), tuple(map(str, blocks[i : i + PART]))
            )


def _sizes(parts: Sequence[Part]) -> dict[str, int]:
    return {part.file: part.start + part.size for part in parts}


def _hashes(data: bytes) -> tuple[str, ...]:
    return tuple(
        hashlib.sha256(data[i : i + BLOCK]).hexdigest() for i in range(0, len(data), BLOCK)
    )
