"""Bucket: the five things that any storage can do, tried again where a network failed, and refused
in one line.

Read, write, create what is absent, list and delete. An object is written whole, under a name that
is not changed."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from assay.core.errors import StoreError
from assay.core.plain import plain
from assay.lab.away.leases import Lock

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")
S = TypeVar("S")

WAITS = (0.5, 2.0)
"""Seconds before something that failed is tried again; backends try several times themselves."""
AT_ONCE = 8
"""Requests that are under way at the same time: each takes tens of milliseconds, most of them
waiting."""
ONLY_ABSENT = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})
"""Protocols whose `pipe_file(mode="create")` is one step on the other side: If-None-Match on S3 and
Azure, a generation of 0 on Google. fsspec's own default looks first and writes then, between which
another may write."""
FLAT = ONLY_ABSENT
"""Protocols without folders: none is made before an object is written."""
ONE_BY_ONE = frozenset({"sftp", "ssh"})
"""Protocols whose backend has one connection, on which requests made at once wait for ever."""
KNOWN = "a depot works on s3://, az:// and file://, and is untried on gs://"
PROBE = "leases/probe"
CREDENTIALS = (
    "credential",
    "authentication",
    "unauthenticated",
    "unauthorized",
    "token has expired",
    "sso session",
)


class Bucket:
    """What lies under a URL. Raises: StoreError for an unknown protocol, a backend that is not
    installed, and what refuses to be opened."""

    whole = False
    """Whether an object is read as it was written or not at all."""

    def __init__(self, url: str):
        self.url = url
        self.protocol = url.partition("://")[0].lower()
        self._fs, self._root = self._opened()

    def read(self, name: str) -> bytes | None:
        """What an object holds; None where there is none."""
        try:
            return bytes(self._tried(lambda: self._fs.cat_file(self._at(name))))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def write(self, name: str, data: bytes | Path) -> None:
        """Make this object these bytes, or those of a file; it is whole, or was cut off and has
        fewer."""
        path = self._at(name)

        def put() -> None:
            if isinstance(data, Path):
                self._fs.put_file(str(data), path)
            else:
                self._fs.pipe_file(path, data)

        self._written(put, path)

    def create(self, name: str, data: bytes) -> bool:
        """Write this object unless it exists; False where it does. Only where `exclusive`."""
        path = self._at(name)
        try:
            self._written(lambda: self._fs.pipe_file(path, data, mode="create"), path)
        except FileExistsError:
            return self.read(name) == data  # an attempt whose answer was lost may have written it
        return True

    def delete(self, *names: str) -> None:
        """Remove these objects, as far as they are there."""
        for path in map(self._at, names):
            with suppress(FileNotFoundError):
                self._tried(partial(self._fs.rm_file, path))

    def lock(self, name: str) -> Lock:
        """The kernel has no locks of a bucket."""
        return Lock()

    def names(self, under: str = "") -> dict[str, int]:
        """Every object whose name begins with this folder, by name: its bytes."""

        def listed() -> dict[str, int]:
            # Never a list that is remembered: another machine may have written since.
            self._fs.invalidate_cache()
            objects = self._fs.find(self._at(under), detail=True)
            return {path: int(about.get("size") or 0) for path, about in objects.items()}

        try:
            objects = self._tried(listed)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        cut = len(self._root.strip("/")) + 1 if self._root.strip("/") else 0
        return {path.strip("/")[cut:]: size for path, size in sorted(objects.items())}

    def modified(self, name: str) -> float:
        """When an object was written, in seconds of the storage's clock; infinity if unknown."""
        try:
            return float(self._tried(lambda: self._fs.modified(self._at(name))).timestamp())
        except (StoreError, FileNotFoundError):
            return math.inf

    def top(self) -> set[str]:
        """The names of what lies at the top: objects, and the first part of those that lie
        deeper."""
        try:
            paths = self._tried(lambda: self._fs.ls(self._root or "", detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return set()
        return {str(path).rstrip("/").rpartition("/")[2] for path in paths}

    def each(self, do: Callable[[S], T], what: Iterable[S]) -> Iterator[T]:
        """What `do` gives for each of these, in order, several at once."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from pool.map(do, what)

    @cached_property
    def exclusive(self) -> bool:
        """Whether of two who create the same object only one does: its protocol can, and this
        server does not take the second as well."""
        if self.protocol not in ONLY_ABSENT:
            return False
        try:
            # The first may find the probe of an earlier process, which says the same: that creating
            # refuses.
            self._tried(lambda: self._fs.pipe_file(self._at(PROBE), b"1", mode="create"))
            self._tried(lambda: self._fs.pipe_file(self._at(PROBE), b"2", mode="create"))
        except FileExistsError:
            return True
        except StoreError:  # some servers answer that they do not know how
            return False
        return False

    def reach(self) -> None:
        """Look whether the place is there and may be read. Raises: StoreError."""
        container = (
            self._root.strip("/").partition("/")[0] if self.protocol in FLAT - {"memory"} else ""
        )
        try:
            if container and not self._tried(lambda: self._fs.exists(container)):
                raise self._absent()
        except FileNotFoundError:
            raise self._absent() from None

    def _opened(self) -> tuple[AbstractFileSystem, str]:
        from fsspec.core import url_to_fs

        if self.protocol in ONE_BY_ONE:
            raise StoreError(
                f"{self.url} cannot be a depot: {self.protocol} answers one request at a time; "
                f"{KNOWN}"
            )
        try:
            fs, root = url_to_fs(
                self.url,
                use_listings_cache=False,
                **({"auto_mkdir": True} if self.protocol in ("file", "local") else {}),
            )
        except ImportError as e:
            missing = getattr(e.__cause__, "name", None) or getattr(e, "name", None) or str(e)
            raise StoreError(
                f"{self.url} needs the package {missing}: pip install {missing}"
            ) from e
        except ValueError as e:
            raise StoreError(f"{self.url} cannot be opened ({_summarize(e)}); {KNOWN}") from e
        except Exception as e:
            raise self._refused(e) or StoreError(
                f"{self.url} cannot be opened ({_summarize(e)})"
            ) from e
        return fs, str(root)

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}" if name else self._root

    def _written(self, put: Callable[[], None], path: str) -> None:
        try:
            if self.protocol not in FLAT:
                self._tried(lambda: self._fs.makedirs(path.rpartition("/")[0], exist_ok=True))
            self._tried(put)
        except FileNotFoundError as e:
            raise self._absent() from e

    def _tried(self, do: Callable[[], T]) -> T:
        """What this gives, tried again while the other side does not answer."""
        for wait in (*WAITS, None):
            try:
                return do()
            except (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError):
                raise
            except Exception as e:
                # Anything else may pass: backends raise whatever their libraries do, so there is no
                # list of errors to try again after.
                if (refused := self._refused(e)) is not None:
                    raise refused from e
                if wait is None:
                    advice = "what was stored so far is whole: run the same command again"
                    raise StoreError(
                        f"{self.url} does not answer ({_summarize(e)}); {advice}"
                    ) from e
                time.sleep(wait)
        raise AssertionError(self.url)

    def _absent(self) -> StoreError:
        return StoreError(
            f"{self.url}: there is no such bucket or folder; make it, or name another --root"
        )

    def _refused(self, error: Exception) -> StoreError | None:
        """One line for what trying again does not mend; None for all else."""
        message = f"{type(error).__name__} {error}".lower()
        if any(word in message for word in CREDENTIALS):
            return StoreError(
                f"{self.url}: no valid credentials ({_summarize(error)}); give them as "
                f"{self.protocol}'s own tools take them"
            )
        if (
            isinstance(error, PermissionError)
            or "forbidden" in message
            or "access denied" in message
        ):
            return StoreError(
                f"{self.url}: no permission ({_summarize(error)}); ask for the right to list, "
                "read, write and delete there"
            )
        if isinstance(error, TypeError | NotImplementedError):
            return StoreError(f"{self.url} cannot be used as a depot ({_summarize(error)})")
        return None


def _summarize(error: Any) -> str:
    """An error in a few words, without what a URL may carry after its question mark."""
    text = plain(re.sub(r"\?\S+", "", str(error))).strip().splitlines()
    return (text[0][:160] if text else "") or type(error).__name__
