"""Docstrings: the corpus "docs", English prose that is here already: the documentation strings of
packages that Assay depends on.

Source is read where it is installed, and nothing of it is imported or shipped. A document is the
prose of one module: its paragraphs in the order of the source, without those that say the same as
an earlier one. The prose is in the cache, one text file a module, in a folder named by a hash
of the rule and of all files read, as the packages' own lists give them: another version is another
folder."""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from assay.core import cache, foreign
from assay.core.errors import DataError
from assay.data import prose

NAME = "docs"
PACKAGES = (
    "cyclopts",
    "duckdb",
    "filelock",
    "gguf",
    "huggingface-hub",
    "jaxtyping",
    "jinja2",
    "markdown-it-py",
    "networkx",
    "numpy",
    "pandas",
    "pyarrow",
    "pyyaml",
    "rich",
    "safetensors",
    "scikit-learn",
    "scipy",
    "starlette",
    "sympy",
    "tokenizers",
    "torch",
    "transformers",
    "uvicorn",
    "xarray",
)
"""Distributions that are read: those that Assay requires, and those without condition that torch
and transformers require and that hold much prose. A fixed list, so that a dependency that is added
or dropped moves no number."""
DOCUMENT = 50
"""Words that a document has at least: a module with one sentence is no text."""
LEAST = 500_000
"""Words without which the packages do not have their documentation."""
_LEFT_OUT = {"tests", "test", "_vendor", "vendor", "_vendored", "externals"}
"""Folders of tests, and of what other packages wrote."""
_NOTE = ".about.json"
_SOURCE = 16 * 2**20


def folder() -> Path:
    """The folder of the corpus in the cache, one text file a module; made first where it is not
    there, which takes minutes once.

    Raises: DataError where a package is missing, where the packages hold too little prose, or where
    the cache cannot be written."""
    return _folder(cache.folder(), PACKAGES, None, LEAST)


@functools.lru_cache(maxsize=4)
def _folder(place: Path, names: Sequence[str], path: tuple[str, ...] | None, least: int) -> Path:
    """The folder for these packages, looked for along this path; None: where Python finds them."""
    distributions = [_distribution(name, path) for name in names]
    if missing := [
        name
        for name, distribution in zip(names, distributions, strict=True)
        if distribution is None
    ]:
        complaint = "packages are missing" if missing[1:] else "the package is missing"
        raise DataError(
            f"for the corpus {NAME} {complaint}: {', '.join(missing)}; install with: pip install "
            "'interp-assay[all]'"
        )
    listed = {
        name: _files(name, distribution)
        for name, distribution in zip(names, distributions, strict=True)
        if distribution is not None
    }
    text = json.dumps([prose.RULE, DOCUMENT, listed])
    corpus_folder = place / f"{NAME}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if not (corpus_folder / _NOTE).exists():
        _make(
            corpus_folder,
            {
                name: distribution
                for name, distribution in zip(names, distributions, strict=True)
                if distribution is not None
            },
            listed,
            least,
        )
    return corpus_folder


def sources(name: str) -> list[tuple[Path, str]]:
    """The Python files of an installed package, and their hashes by its own list; without tests.

    Args:
        name: of the distribution.
    Raises: DataError where it is not installed, or does not list its files.
    """
    distribution = _distribution(name, None)
    if distribution is None:
        raise DataError(f"the package {name} is missing; install with: pip install {name}")
    return [
        (Path(str(distribution.locate_file(path))), digest)
        for path, digest in _files(name, distribution)
    ]


def _distribution(name: str, path: tuple[str, ...] | None) -> metadata.Distribution | None:
    matches = (
        metadata.distributions(name=name)
        if path is None
        else metadata.distributions(name=name, path=list(path))
    )
    return next(iter(matches), None)


def _files(name: str, distribution: metadata.Distribution) -> list[tuple[str, str]]:
    """Path and hash of its Python files by its own list, sorted by path. Raises: DataError where it
    has none."""
    rows = csv.reader((distribution.read_text("RECORD") or "").splitlines())
    python_files = sorted(
        {
            (row[0], row[1])
            for row in rows
            if len(row) > 1
            and row[0].endswith(".py")
            and row[1]
            and not row[0].startswith(("..", "/"))
        }
    )
    files = [
        (path, digest) for path, digest in python_files if not _LEFT_OUT & set(path.split("/")[:-1])
    ]
    if not files:
        raise DataError(
            f"{name} {distribution.version} does not list its Python files (no RECORD), so {NAME} "
            "cannot be made of it; install it with pip"
        )
    return files


def _make(
    corpus_folder: Path,
    distributions: dict[str, metadata.Distribution],
    listed: dict[str, list[tuple[str, str]]],
    least: int,
) -> None:
    """Write the folder, which then exists whole. Raises: DataError."""
    wordings: set[str] = set()
    try:
        corpus_folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{NAME}.partial-", dir=corpus_folder.parent))
        try:
            total = 0
            for name, distribution in distributions.items():
                for path, text in _documents(
                    distribution, [path for path, _ in listed[name]], wordings
                ):
                    target = scratch / Path(path).with_suffix(".txt")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(text, encoding="utf-8", newline="\n")
                    total += len(text.split())
            if total < least:
                complaint = (
                    f"the packages hold {total:,} words of prose, and the corpus {NAME} needs "
                    f"{least:,}"
                )
                raise DataError(
                    f"{complaint}: their documentation was stripped; install them with pip"
                )
            (scratch / _NOTE).write_text(json.dumps({"rule": prose.RULE, "words": total}))
            try:
                scratch.rename(corpus_folder)
            except OSError:
                if not (corpus_folder / _NOTE).exists():  # else another process was faster
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as e:
        raise DataError(
            f"the corpus {NAME} cannot be kept in {corpus_folder.parent} ({e.strerror or e}); set "
            "ASSAY_CACHE to a folder you can write"
        ) from e


def _documents(
    distribution: metadata.Distribution, paths: Sequence[str], wordings: set[str]
) -> Iterator[tuple[str, str]]:
    """Path and prose of each module that has enough of it; what they say is added to `wordings`."""
    for path in paths:
        source = foreign.read(
            Path(str(distribution.locate_file(path))),
            "a Python file of an installed package",
            _SOURCE,
        )
        fresh = []
        for paragraph in (
            p for text in prose.documentation(source) for p in prose.paragraphs(text)
        ):
            wording = prose.wording(paragraph)
            if wording not in wordings:
                wordings.add(wording)
                fresh.append(paragraph)
        if sum(len(p.split()) for p in fresh) >= DOCUMENT:
            yield path, "\n\n".join(fresh) + "\n"
