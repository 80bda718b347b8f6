"""A storage that does to its users what object storage may: lists late, loses answers, fails now
and then."""

from __future__ import annotations

import hashlib
import os
import random
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from obstore.exceptions import AlreadyExistsError, PreconditionError


class Adversary:
    """Objects in a folder, so that processes share them, by the methods of an obstore; what it does
    to them is set on the class."""

    home: ClassVar[Path] = Path(os.environ.get("ADVERSARY_HOME", "/nowhere"))
    lag: ClassVar[float] = 0.0
    """Seconds until a new object is listed, and until a deleted one no longer is."""
    fails: ClassVar[float] = 0.0
    """The share of requests that fail: half of these before anything was done, half after."""
    honest: ClassVar[bool] = True
    """Whether "create" refuses what exists."""
    cut: ClassVar[int | None] = None
    """After so many requests a write is cut off in the middle and its writer dies."""
    requests: ClassVar[dict[str, int]] = {}
    chance: ClassVar[random.Random] = random.Random(0)

    def __init__(self, url: str):
        self._root = url.removeprefix("adversary://").strip("/")

    def _object(self, path: str) -> Path:
        return self.home / urllib.parse.quote(f"{self._root}/{path}", safe="")

    def _asked(self, what: str) -> bool:
        """Count a request; fail before it, or say that its answer is to be lost."""
        self.requests[what] = self.requests.get(what, 0) + 1
        bad = self.chance.random() < self.fails
        if bad and self.chance.random() < 0.5:
            raise ConnectionError("reset by peer")
        return bad

    def put(self, path: str, data: bytes | Path, *, mode: Any) -> dict[str, Any]:
        lost = self._asked("put")
        value = data.read_bytes() if isinstance(data, Path) else data
        place = self._object(path)
        aside = self.home / f".{uuid.uuid4().hex}"
        if type(self).cut is not None:
            type(self).cut -= 1  # type: ignore[operator]
            if type(self).cut < 0:  # type: ignore[operator]
                place.write_bytes(value[: len(value) // 2])
                raise KeyboardInterrupt
        aside.write_bytes(value)
        try:
            if mode == "create" and self.honest:
                os.link(aside, place)
            elif isinstance(mode, dict) and self._version(place) != mode["e_tag"]:
                raise PreconditionError(path)
            else:
                aside.replace(place)
        except FileExistsError:
            raise AlreadyExistsError(path) from None
        finally:
            aside.unlink(missing_ok=True)
        if lost:
            raise ConnectionError("no answer")
        return {"e_tag": self._version(place), "version": None}

    def _version(self, place: Path) -> str:
        """The content, which no two beats have in common. Raises: FileNotFoundError."""
        return hashlib.sha256(place.read_bytes()).hexdigest()

    def get(self, path: str) -> Any:
        if self._asked("get"):
            raise ConnectionError("no answer")
        data = self._object(path).read_bytes()
        return SimpleNamespace(bytes=lambda: data)

    def head(self, path: str) -> dict[str, Any]:
        place = self._object(path)
        modified = datetime.fromtimestamp(place.stat().st_mtime, UTC)
        return {"last_modified": modified, "e_tag": self._version(place)}

    def delete(self, path: str) -> None:
        lost = self._asked("delete")
        place = self._object(path)
        if self.lag:
            (self.home / f".gone.{place.name}").write_bytes(b"")
        place.unlink()
        if lost:
            raise ConnectionError("no answer")

    def list(self, under: str | None = None) -> Iterator[list[dict[str, Any]]]:
        if self._asked("list"):
            raise ConnectionError("no answer")
        now = time.clock_gettime(time.CLOCK_REALTIME)
        for place in self.home.iterdir():
            gone = place.name.startswith(".gone.")
            if place.name.startswith(".") and not gone:
                continue
            name = urllib.parse.unquote(place.name.removeprefix(".gone."))
            try:
                about = place.stat()
            except FileNotFoundError:
                continue
            late = now - about.st_mtime < self.lag
            path = name.removeprefix(f"{self._root}/")
            if path != name and path.startswith(f"{under}/" if under else "") and late == gone:
                yield [{"path": path, "size": about.st_size}]

    def list_with_delimiter(self) -> dict[str, Any]:
        paths = {about["path"] for page in self.list() for about in page}
        return {
            "common_prefixes": sorted({p.partition("/")[0] for p in paths if "/" in p}),
            "objects": [{"path": p} for p in sorted(paths) if "/" not in p],
        }


def settle(home: Path, **how: Any) -> type[Adversary]:
    """An adversary over this folder, which behaves like this, at adversary://."""
    from assay.lab.away.depot import bucket

    home.mkdir(parents=True, exist_ok=True)
    usual = {
        "lag": 0.0,
        "fails": 0.0,
        "honest": True,
        "cut": None,
        "requests": {},
        "chance": random.Random(0),
    }
    for name, value in {**usual, **how, "home": home}.items():
        setattr(Adversary, name, value)
    bucket.STORES["adversary"] = Adversary
    return Adversary
