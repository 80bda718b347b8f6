"""Corpus: text files with a split that is the same on every machine, cut into windows of tokens
that never cross files."""

from __future__ import annotations

import codecs
import hashlib
import os
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int

from assay.core import foreign, inputs
from assay.core.errors import DataError
from assay.data import docstrings
from assay.train import rng

Part = Literal["train", "validation", "test"]
STDLIB, DOCS = "stdlib", docstrings.NAME

# what is not code to read: tests, and tables (of characters, entities, key words)
_LEFT_OUT = {"__pycache__", "test", "tests", "idlelib", "lib2to3", "turtledemo"}
_LEFT_OUT |= {"ensurepip", "pydoc_data", "encodings"}
_TABLES = {"html/entities.py", "stringprep.py"}
_TEXT = {".txt", ".md", ".rst", ".py"}
LARGEST, MOST = 256 * 2**20, 1_000_000
"""Bytes of a text file, and files in a folder of texts."""


@dataclass(frozen=True)
class Document:
    """One text file: its path below the corpus folder, its size in bytes, and the hash of its
    content."""

    path: str
    sha256: str
    bytes: int

    @property
    def part(self) -> Part:
        """Its part of the split, from the hash of its relative path modulo 10: 0 test, 1
        validation, the rest train."""
        bucket = int(hashlib.sha256(self.path.encode()).hexdigest(), 16) % 10
        return "test" if bucket == 0 else "validation" if bucket == 1 else "train"


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of tokens, each with the document it is from and where in it, in tokens.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from assay.data import corpus
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.txt").write_text("abcde")
        ...     texts = corpus.load(folder)
        ...     windows = texts.windows(lambda t: [*map(ord, t)], "all", context=2, count=0)
        >>> sorted(zip(windows.offset.tolist(), windows.tokens.tolist()))  # "e" fills no window
        [(0, [97, 98]), (2, [99, 100])]
    """

    tokens: Int[np.ndarray, "window s"]
    """Their ids."""
    document: Int[np.ndarray, " window"]
    """Number of each window's document."""
    offset: Int[np.ndarray, " window"]
    """Where each starts in its document, in tokens."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Text files of one folder, without files of the same content, in the order of their paths.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from assay.data import corpus
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = [Path(folder, name).write_text("the same text") for name in ("a.txt", "b.txt")]
        ...     texts = corpus.load(folder)
        ...     len(texts.documents), texts.text(0)
        (1, 'the same text')
    """

    name: str
    """What it was loaded by."""
    folder: Path = field(repr=False)
    """Where the files lie."""
    documents: tuple[Document, ...] = field(repr=False)
    """Its files, numbered from 0."""
    content: str = field(default="", repr=False)
    """64 hex digits of all files of the folder, those without text and of equal content
    included."""
    copies: int = 0
    """How many files are left out, since an earlier one has the same content."""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the sorted (path, sha256 of content) of all documents, 64 hex digits."""
        lines = sorted(f"{d.path}\0{d.sha256}\n" for d in self.documents)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def first(self, documents: int) -> Corpus:
        """Take its first documents as a corpus of their own, so many of them; 0: all.

        Args:
            documents: how many.
        """
        return Corpus(self.name, self.folder, self.documents[: documents or None])

    def text(self, document: int) -> str:
        """A document's text, read when asked. Raises: DataError when the file is gone or was
        changed meanwhile.

        Args:
            document: its number.
        """
        file_entry = self.documents[document]
        with inputs.unnoted():  # the folder was noted when it was loaded
            content = _read(self.folder / file_entry.path)
        if hashlib.sha256(content).hexdigest() != file_entry.sha256:
            raise DataError(
                f"{self.folder / file_entry.path} changed while it was in use; start again"
            )
        return content.decode()

    def part(self, part: Part | Literal["all"]) -> tuple[int, ...]:
        """The numbers of the documents in one part of the split, or of all.

        Args:
            part: "train", "validation", "test" or "all".
        """
        return tuple(i for i, d in enumerate(self.documents) if part in ("all", d.part))

    def windows(
        self,
        encode: Callable[[str], Sequence[int]],
        part: Part | Literal["all"],
        *,
        context: int,
        count: int,
        per_file: int = 0,
        seed: int = 0,
        fewer: bool = False,
    ) -> Windows:
        """`count` windows (0: all) of `context` tokens from one part, in an order drawn by the
        seed; with `fewer`, what there is.

        A document is cut into windows that follow each other, its tail is left out, and at most
        `per_file` of them, drawn by the seed, are taken (0: all), so that a few large files do not
        make most of the text. Documents are read in an order drawn by the seed until they offer
        eight times the windows asked for: a small request reads few of them.

        Args:
            encode: from text to token ids.
            part: "train", "validation", "test" or "all".
            context: tokens in a window.
            count: of windows.
            per_file: most windows of a document.
            seed: draws choice and order.
            fewer: whether fewer will do.
        Raises: DataError when the part has fewer windows than asked for; with `fewer`, when it has
        none.
        Example:
            >>> import tempfile
            >>> from pathlib import Path
            >>> from assay.data import corpus
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     _ = Path(folder, "a.txt").write_text("one two three four five")
            ...     texts = corpus.load(folder)
            ...     words = lambda text: [len(word) for word in text.split()]
            ...     windows = texts.windows(words, "all", context=2, count=0)
            >>> sorted(windows.tokens.tolist())  # "five" fills no window of 2
            [[3, 3], [5, 4]]
        """
        tokens, document, offset = [], [], []
        available = 0
        numbers = np.array(self.part(part), np.int64)
        for i in numbers[
            rng.permutation(np.array([seed]), "corpus.documents", 0, len(numbers))[0]
        ].tolist():
            if count and available >= 8 * count:
                break
            ids = np.asarray(encode(self.text(i)), np.int32)
            n = len(ids) // context
            chosen = np.sort(
                rng.permutation(np.array([seed]), "corpus.windows", i, n)[0][: per_file or n]
            )
            tokens.append(ids[: n * context].reshape(n, context)[chosen])
            document.append(np.full(len(chosen), i, np.int32))
            offset.append((chosen * context).astype(np.int32))
            available += len(chosen)
        if available < (1 if fewer else max(count, 1)):
            cap = f" with at most {per_file} per file" if per_file else ""
            raise DataError(
                f"the {part} part of {self.name} has {available} windows of {context} "
                f"tokens{cap}; requested: {count or 'all'}"
            )
        order = rng.permutation(np.array([seed]), "corpus.order", 0, available)[0][
            : count or available
        ]
        return Windows(
            np.concatenate(tokens)[order],
            np.concatenate(document)[order],
            np.concatenate(offset)[order],
        )


def load(name: str = STDLIB) -> Corpus:
    """The corpus called "stdlib" (Python's standard library, read in place) or "docs" (English
    prose), or a folder of text files.

    Of the library only what Python releases counts, not what an installation adds, so that every
    machine with the same version reads the same text. A vendor that rewrites modules or ships some
    apart (Debian, say) has another text and another fingerprint. "docs" is the prose in the
    documentation of installed packages: the same versions give the same text (`docstrings`).

    In a folder every file that is not hidden and is UTF-8 text counts, at any depth; other files
    are passed over, but a .txt, .md, .rst or .py file that is not UTF-8, or no file, is an error.
    Kept for the process: files are hashed once.

    Args:
        name: "stdlib", "docs" or a folder.
    Raises: DataError when the folder does not exist, holds no text, or holds a text file that
    cannot be read.
    Example:
        >>> from assay.data import corpus
        >>> corpus.load("no such folder")
        Traceback (most recent call last):
        assay.core.errors.DataError: no corpus 'no such folder'; give stdlib, docs or ...
    """
    with inputs.unnoted():
        library = Path(sysconfig.get_paths()["stdlib"])
        folder = {STDLIB: library}.get(name) or (
            docstrings.folder() if name == DOCS else Path(name).expanduser().absolute()
        )
        corpus = _loaded(name, folder)
    inputs.note(folder, corpus.content)
    return corpus


@lru_cache(maxsize=8)
def _loaded(name: str, folder: Path) -> Corpus:
    """One Corpus per folder, wherever the process has gone since it was named."""
    if not folder.is_dir():
        raise DataError(f"no corpus {name!r}; give {STDLIB}, {DOCS} or a folder of text files")
    paths = _stdlib(folder) if name == STDLIB else _visible(folder)
    documents: dict[str, Document] = {}
    read: dict[str, str] = {}
    texts = 0
    for path in paths:
        content, name_inside = _read(path), path.relative_to(folder).as_posix()
        read[name_inside] = digest = hashlib.sha256(content).hexdigest()
        if content.strip() and _is_text(path, content):
            documents.setdefault(digest, Document(name_inside, digest, len(content)))
            texts += 1
    if not documents:
        raise DataError(
            f"{folder} holds no text: expected UTF-8 files such as .txt, .md or .py that are "
            "not empty"
        )
    every, copies = sorted(documents.values(), key=lambda d: d.path), texts - len(documents)
    return Corpus(name, folder, tuple(every), inputs.of_texts(read), copies)


def _stdlib(folder: Path) -> list[Path]:
    """Its Python files, without what is not code to read. Sorted, so that of equal files the first
    path stays.

    Only modules that Python itself names as its own count. What an installation writes or adds is
    not among them: the settings of its build (_sysconfigdata…, config-…), site-packages,
    sitecustomize."""
    paths = []
    for place, folders, names in os.walk(folder):
        # taken out of the walk, not of its result: site-packages may hold a hundred times as many
        # files as the library
        folders[:] = [f for f in folders if f not in _LEFT_OUT]
        names = [name for name in names if name.endswith(".py")]
        if Path(place) == folder:
            folders[:] = [f for f in folders if f in sys.stdlib_module_names]
            names = [name for name in names if name.removesuffix(".py") in sys.stdlib_module_names]
        paths += [Path(place, name) for name in names]
    module_paths = [
        p for p in paths if p.relative_to(folder).as_posix() not in _TABLES and p.is_file()
    ]
    return sorted(module_paths, key=lambda p: p.relative_to(folder).as_posix())


def _visible(folder: Path) -> list[Path]:
    files = inputs.visible(folder)
    for path in folder.rglob("*"):
        if path.suffix in _TEXT and not path.name.startswith(".") and not path.is_dir():
            foreign.regular(path, "a text")  # no pipe, and no link to nothing
    foreign.within(len(files), MOST, folder, "files")
    return files


def _read(path: Path) -> bytes:
    """The bytes of a file, without the mark that some programs begin UTF-8 with."""
    expected = "a readable text file (else take it out of the folder)"
    return foreign.read(path, expected, LARGEST).removeprefix(codecs.BOM_UTF8)


def _is_text(path: Path, content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError as error:
        if path.suffix in _TEXT:
            raise DataError(
                f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8 or take it "
                "out of the folder"
            ) from error
        return False
