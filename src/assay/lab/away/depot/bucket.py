"""Bucket: the six things that any object storage can do, tried again where a network failed, and
refused in one line.

Read, write, create what is absent, rewrite what is still ours, list and delete. An object is
written whole, under a name that is not changed."""

from __future__ import annotations

import importlib.util
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from assay.core.errors import StoreError
from assay.core.plain import plain
from assay.lab.away.leases import Lock

if TYPE_CHECKING:
    from obstore.store import ObjectStore

T = TypeVar("T")
S = TypeVar("S")

WAITS = (0.5, 2.0)
"""Seconds before something that failed is tried again; obstore tries several times itself."""
AT_ONCE = 8
"""Requests that are under way at the same time: each takes tens of milliseconds, most of them
waiting."""
KNOWN = "a depot is at s3://, az:// or file://, and was never tried at gs://"
CREDENTIALS = (
    "credential",
    "authentication",
    "unauthenticated",
    "unauthorized",
    "token has expired",
    "sso session",
    "169.254.169.254",  # whom a machine of a cloud asks for them when nothing else is given
    "metadata.google.internal",
)


def _open_remote(url: str) -> ObjectStore:
    from obstore.store import from_url

    options: dict[str, Any] = {}
    if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        options["client_options"] = {"allow_http": True}  # a server of one's own
    # obstore reads the environment alone; boto3, where it is installed, also the files and log-ins
    # of AWS's own tools
    unsaid = url.startswith("s3") and not os.environ.get("AWS_ACCESS_KEY_ID")
    if unsaid and importlib.util.find_spec("boto3") is not None:
        from obstore.auth.boto3 import Boto3CredentialProvider

        with suppress(ValueError):  # it knows of none either
            options["credential_provider"] = Boto3CredentialProvider()
    retry = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
    return from_url(url, retry_config=retry, **options)  # type: ignore[call-overload, no-any-return]


def _open_folder(url: str) -> ObjectStore:
    from obstore.store import LocalStore

    return LocalStore("/" + url.partition("://")[2].lstrip("/"), mkdir=True)


STORES: dict[str, Callable[[str], Any]] = {
    "file": _open_folder,
    "local": _open_folder,
    **dict.fromkeys(("s3", "s3a", "gs", "az", "abfs", "abfss"), _open_remote),
}
"""What opens the URLs of a protocol. In each of them "create" is one step on the other side, which
refuses the second of two: If-None-Match on S3 and Azure, a generation of 0 on Google, a link in a
folder."""


class Bucket:
    """What lies under a URL. Raises: StoreError for an unknown protocol, and what refuses to be
    opened."""

    whole = False
    """Whether an object is read as it was written or not at all."""

    def __init__(self, url: str):
        self.url = url
        self.protocol = url.partition("://")[0].lower()
        self._store = self._opened()
        self._versions: dict[str, dict[str, str]] = {}

    def read(self, name: str) -> bytes | None:
        """What an object holds; None where there is none."""
        try:
            return bytes(self._tried(lambda: self._store.get(name).bytes()))
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes | Path) -> None:
        """Make this object these bytes, or those of a file."""
        self._put(name, data, "overwrite")

    def create(self, name: str, data: bytes) -> bool:
        """Write this object unless it exists; False where it does."""
        from obstore.exceptions import AlreadyExistsError

        try:
            self._versions[name] = self._put(name, data, "create")
        except AlreadyExistsError:
            return self.read(name) == data  # an attempt whose answer was lost may have written it
        return True

    def rewrite(self, name: str, data: bytes) -> None:
        """Give an object that we created other bytes, while it is as we left it. Raises:
        FileNotFoundError where it is gone, or another has written it."""
        from obstore.exceptions import PreconditionError

        known: Any = self._versions.get(name, "overwrite")
        if self.protocol in ("file", "local"):  # a folder cannot compare: looked at just before
            if known != _version(self._tried(lambda: self._store.head(name))):
                raise FileNotFoundError(name)
            known = "overwrite"
        try:
            self._versions[name] = self._put(name, data, known)
        except PreconditionError:
            if self.read(name) != data:
                raise FileNotFoundError(name) from None
            # ours, by an attempt whose answer was lost
            self._versions[name] = _version(self._tried(lambda: self._store.head(name)))

    def delete(self, *names: str) -> None:
        """Remove these objects, as far as they are there."""
        for name in names:
            with suppress(FileNotFoundError):
                self._tried(partial(self._store.delete, name))

    def lock(self, name: str) -> Lock:
        """The kernel has no locks of a bucket."""
        return Lock()

    def names(self, under: str = "") -> dict[str, int]:
        """Every object whose name begins with this folder, by name: its bytes."""

        def listed() -> dict[str, int]:
            objects = self._store.list(under or None)
            return {about["path"]: about["size"] for page in objects for about in page}

        try:
            return dict(sorted(self._tried(listed).items()))
        except FileNotFoundError:
            return {}

    def modified(self, name: str) -> float:
        """When an object was written, in seconds of the storage's clock; infinity if unknown."""
        try:
            return float(self._tried(lambda: self._store.head(name))["last_modified"].timestamp())
        except (StoreError, FileNotFoundError):
            return math.inf

    def top(self) -> set[str]:
        """The names of what lies at the top: objects, and the first part of those that lie
        deeper. Raises: StoreError where there is no such place."""
        try:
            listed = self._tried(lambda: self._store.list_with_delimiter())
        except FileNotFoundError:
            raise self._absent() from None
        paths = [*listed["common_prefixes"], *(about["path"] for about in listed["objects"])]
        return {path.strip("/").rpartition("/")[2] for path in paths}

    def each(self, do: Callable[[S], T], what: Iterable[S]) -> Iterator[T]:
        """What `do` gives for each of these, in order, several at once."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from pool.map(do, what)

    def insist(self, name: str, data: bytes) -> None:
        """Write this object, and see that nobody can create it now. Raises: StoreError for a server
        that lets them: two would work at everything, each as the owner."""
        self.write(name, data)
        if self.create(name, data + b"\n"):
            raise StoreError(
                f"{self.url} cannot be a depot: its server creates what exists; it has to "
                "heed If-None-Match"
            )

    def _opened(self) -> ObjectStore:
        if self.protocol not in STORES:
            raise StoreError(f"{self.url} cannot be a depot; {KNOWN}")
        try:
            return STORES[self.protocol](self.url)
        except Exception as e:
            raise self._refused(e) or StoreError(
                f"{self.url} cannot be opened ({_summarize(e)}); {KNOWN}"
            ) from e

    def _put(self, name: str, data: bytes | Path, mode: Any) -> dict[str, str]:
        try:
            return _version(self._tried(lambda: self._store.put(name, data, mode=mode)))
        except FileNotFoundError as e:
            if isinstance(mode, str):
                raise self._absent() from e
            raise  # what was to be rewritten is gone

    def _tried(self, do: Callable[[], T]) -> T:
        """What this gives, tried again while the other side does not answer."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        for wait in (*WAITS, None):
            try:
                return do()
            except (FileNotFoundError, AlreadyExistsError, PreconditionError):
                raise
            except Exception as e:
                # Anything else may pass: a storage says in many ways that it is busy, so there is
                # no list of errors to try again after.
                if "status code: 404" in str(e):  # so a list says that its bucket is not there
                    raise FileNotFoundError(self.url) from e
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
                f"{self.url}: no valid credentials ({_summarize(error)}); give them by "
                f"{self.protocol}'s usual variables (what ~/.aws holds is read where boto3 is "
                "installed)"
            )
        if (
            isinstance(error, PermissionError)
            or "permissiondenied" in message
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


def _version(about: Any) -> dict[str, str]:
    """What a storage calls this writing of an object."""
    return {name: about[name] for name in ("e_tag", "version") if about.get(name)}


def _summarize(error: Any) -> str:
    """An error in a few words, without what a URL may carry after its question mark."""
    text = plain(re.sub(r"\?\S+", "", str(error))).strip().splitlines()
    return (text[0][:160] if text else "") or type(error).__name__
