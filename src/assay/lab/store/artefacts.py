"""Artefacts: what runs share and anyone can build again, such as harvests: a folder each, found by
its spec. One process builds it while the others wait, and what a kill left half done is continued.
"""

from __future__ import annotations

import hashlib
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from assay.core import integrity
from assay.core.errors import StoreError
from assay.core.spec import Spec
from assay.lab.store.atomic import explained, sync, write
from assay.lab.store.folder import Folder, discard

Paths = list[Path]
AGAIN = 0.1
"""Seconds until an artefact that another process builds is looked for again."""


class Artefacts(Folder):
    """The artefacts of a store."""

    def artefact(self, spec: Spec, build: Callable[[Path], None]) -> Path:
        """The finished folder of this artefact; `build` fills a `.partial` folder, which survives a
        kill and is continued."""
        return self.artefacts([spec], lambda _, partial: build(partial))[0]

    def artefacts(self, specs: Sequence[Spec], build: Callable[[Any, Path], None]) -> Paths:
        """The finished folders of these artefacts, in order; processes that ask for the same ones
        share the building.

        The first pass builds whatever no other process is building, the second waits for the rest.
        """
        self.prepare()
        paths = [self.artefact_path(s) for s in specs]
        # Without waiting first: processes that ask for the same artefacts spread over them.
        for wait in (False, True):
            for spec, path in zip(specs, paths, strict=True):
                while not path.exists() or self._wrong(spec, path):
                    if self._built(spec, path, build) or not wait:
                        break
                    time.sleep(AGAIN)
        return paths

    def _built(self, spec: Spec, path: Path, build: Callable[[Any, Path], None]) -> bool:
        """Build an artefact, unless another process is building it; True where it exists."""
        with self.locked(f"artefact-{path.parent.name}-{path.name}") as locked:
            if not locked:
                return False
            with explained(self.root):
                # once it is locked: another process may have built it meanwhile
                if path.exists() and (why := self._wrong(spec, path)):
                    self.set_aside(path, why)
                if not path.exists():
                    _build(spec, path, build)
                return True

    def set_aside(self, path: Path, why: str, state: str = "damaged") -> None:
        """Move an artefact that is not as it should be to `tmp`, and say so; it is built again."""
        if not path.is_relative_to(self.root / "artefacts"):
            raise StoreError(
                f"{path} is damaged: {why}; it is not an artefact of {self.root}, so it cannot "
                "be built again"
            )
        aside = self.root / "tmp" / f"{state.replace(' ', '-')}-{path.name}-{uuid.uuid4().hex[:12]}"
        try:
            path.rename(aside)
        except FileNotFoundError:  # another process found the same and was first
            return
        print(
            f"{path} is {state}: {why}; it is kept as {aside} for an hour "
            "at least, and built again",
            file=sys.stderr,
        )

    def built(self, spec: Spec) -> Path | None:
        """The finished folder of this artefact, or None where there is none, or none that is as it
        was written; builds nothing."""
        path = self.artefact_path(spec)
        return path if path.exists() and not self._wrong(spec, path) else None

    def broken_artefacts(self) -> Iterator[tuple[Path, str]]:
        """Every artefact that is not as it was written, and why; all its bytes are read."""
        return (
            (p, why)
            for p in self._artefacts()
            if (integrity.noted(p) or self._hashed) and (why := integrity.wrong(p))
        )

    def unnoted(self) -> Paths:
        """The artefacts of an older version: without hashes, or with others than this version
        writes, which they match."""
        return [
            p
            for p in self._artefacts()
            if not integrity.noted(p) or (integrity.earlier(p) and not integrity.wrong(p))
        ]

    def _artefacts(self) -> Paths:
        return sorted(
            p
            for p in (self.root / "artefacts").glob("*/*")
            if p.is_dir() and p.suffix != ".partial"
        )

    def _wrong(self, spec: Spec, path: Path) -> str:
        """What is not as it was written; nothing is known of an older store's, until something is
        written into that store."""
        return integrity.wrong(path, spec.MAPPED) if self._hashed or integrity.noted(path) else ""

    def artefact_path(self, spec: Spec) -> Path:
        """The folder of this artefact, once it is finished."""
        kind = re.sub(
            r"(?<=[a-z0-9])(?=[A-Z])", "-", type(spec).__name__.removesuffix("Spec")
        ).lower()
        return (
            self.root
            / "artefacts"
            / kind
            / hashlib.sha256(spec.to_json().encode()).hexdigest()[:16]
        )


def _build(spec: Spec, path: Path, build: Callable[[Any, Path], None]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    # What a killed process left half done goes on here, also under an older version's name.
    for begun in path.parent.glob(f"{path.name}.*.partial"):
        if not partial.exists():
            begun.rename(partial)
    partial.mkdir(parents=True, exist_ok=True)
    build(spec, partial)
    write(partial / "spec.json", spec.to_json().encode())
    write(partial / integrity.NOTE, integrity.described(partial))
    for file in partial.rglob("*"):
        sync(file)
    partial.rename(path)
    sync(path.parent)
    for leftover in path.parent.glob(f"{path.name}.*.partial"):
        discard(leftover)
