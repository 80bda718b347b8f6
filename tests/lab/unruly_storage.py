"""A storage that does to its users what object storage may: lists late, loses answers, fails now
and then, renames and appends nothing."""

from __future__ import annotations

import os
import random
import time
import urllib.parse
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import fsspec
from fsspec import AbstractFileSystem


class Adversary(AbstractFileSystem):
    """Objects in a folder, so that processes share them; what it does to them is set on the
    class."""

    protocol = "adversary"
    cachable = False
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

    def _object(self, path: str) -> Path:
        return self.home / urllib.parse.quote(self._strip_protocol(path), safe="")

    def _asked(self, what: str) -> bool:
        """Count a request; fail before it, or say that its answer is to be lost."""
        self.requests[what] = self.requests.get(what, 0) + 1
        bad = self.chance.random() < self.fails
        if bad and self.chance.random() < 0.5:
            raise ConnectionError("reset by peer")
        return bad

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        lost = self._asked("put")
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
            else:
                aside.replace(place)
        finally:
            aside.unlink(missing_ok=True)
        if lost:
            raise ConnectionError("no answer")

    def put_file(self, lpath: str, rpath: str, *_: Any, **__: Any) -> None:
        self.pipe_file(rpath, Path(lpath).read_bytes())

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        if self._asked("get"):
            raise ConnectionError("no answer")
        return self._object(path).read_bytes()[start:end]

    def rm_file(self, path: str) -> None:
        lost = self._asked("delete")
        place = self._object(path)
        if self.lag:
            (self.home / f".gone.{place.name}").write_bytes(b"")
        place.unlink()
        if lost:
            raise ConnectionError("no answer")

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **_: Any,
    ) -> Any:
        if self._asked("list"):
            raise ConnectionError("no answer")
        under = self._strip_protocol(path)
        now, found = time.clock_gettime(time.CLOCK_REALTIME), {}
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
            if (name == under or name.startswith(f"{under}/")) and late == gone:
                found[name] = {"name": name, "size": about.st_size, "type": "file"}
        return found if detail else sorted(found)

    def ls(self, path: str, detail: bool = True, **_: Any) -> Any:
        under = self._strip_protocol(path)
        names = {"/".join(n.split("/")[: under.count("/") + 2]) for n in self.find(path)}
        if detail:
            return [{"name": n, "size": 0, "type": "file"} for n in sorted(names)]
        return sorted(names)

    def exists(self, path: str, **_: Any) -> bool:
        return bool(self.find(path)) or not self._strip_protocol(path).count("/")

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        pass

    def modified(self, path: str) -> datetime:
        return datetime.fromtimestamp(self._object(path).stat().st_mtime, UTC)

    def mv(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError("no rename")

    def _open(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("no open files")

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return str(path).removeprefix("adversary://").strip("/")


def settle(home: Path, **how: Any) -> type[Adversary]:
    """An adversary over this folder, which behaves like this; fsspec opens it as adversary://."""
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
    fsspec.register_implementation("adversary", Adversary, clobber=True)
    bucket.FLAT = bucket.FLAT | {"adversary"}
    bucket.ONLY_ABSENT = bucket.ONLY_ABSENT | {"adversary"}
    return Adversary
