"""Tokens: who may ask over HTTP: names, the hashes of their tokens, what each may do and how much.

[[token]]
name = "ann"
sha256 = "9f86d0…"                        # of the token; the token itself is written nowhere
rights = ["read", "submit", "cancel"]
queued = 10                               # jobs that may wait or run at the same time
cpu_seconds_a_day = 7200
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from assay.core import foreign
from assay.core.errors import AssayError, DataError


class Refused(AssayError):
    """A request that is not answered, with which status, and with which headers."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None):
        super().__init__(text)
        self.status, self.headers = status, dict(headers or {})


Right = Literal["read", "submit", "cancel"]
RIGHTS: tuple[Right, ...] = ("read", "submit", "cancel")
LARGEST = 2**20
"""Bytes of a file of tokens."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Holder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody with a token."""

    name: str
    sha256: str
    rights: tuple[Right, ...]
    queued: int | None = None
    cpu_seconds_a_day: float | None = None

    def need(self, right: Right) -> None:
        """Refuse who has not this right. Raises: Refused."""
        if right not in self.rights:
            has = ", ".join(self.rights) or "none"
            raise Refused(403, f"this token has no right to {right}; its rights are {has}")


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: tuple[Holder, ...]


@dataclass(frozen=True)
class Made:
    """A new token, which is shown once, and the lines that let it in."""

    token: str
    lines: str
    """To be added to the file of tokens."""


def of_text(token: str) -> Holder:
    """Let in whoever has this token, with every right."""
    return Holder(name="", sha256=_digest(token), rights=RIGHTS)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


EVERYBODY = Holder(name="", sha256="", rights=RIGHTS)
"""Whoever asks where no tokens are asked for: somebody at this machine."""


def read(path: Path) -> tuple[Holder, ...]:
    """Read who may ask. Raises: DataError, one line that says what would be right."""
    try:
        holders = msgspec.convert(
            tomllib.loads(foreign.read(path, "a file of tokens", LARGEST).decode()), _File
        ).token
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as e:
        raise DataError(f"{path} is no TOML: {e}") from None
    except msgspec.ValidationError as e:
        raise DataError(
            f"{path}: {e}; each [[token]] has name, sha256, rights, and perhaps queued and "
            "cpu_seconds_a_day"
        ) from None
    for holder in holders:
        if not NAME.fullmatch(holder.name):
            raise DataError(
                f"{path}: a name has letters, digits, '.', '_' and '-', 64 at most, got "
                f"{holder.name[:80]!r}"
            )
        if not re.fullmatch(r"[0-9a-f]{64}", holder.sha256):
            raise DataError(
                f"{path}: sha256 of {holder.name} has 64 hex digits; assay serve --api "
                f"--new-token {holder.name} prints one"
            )
        if min(holder.queued or 0, holder.cpu_seconds_a_day or 0) < 0:
            raise DataError(f"{path}: quotas of {holder.name} are numbers from 0 up")
    for what in ("name", "sha256"):
        values = [getattr(holder, what) for holder in holders]
        if len(set(values)) < len(values):
            raise DataError(f"{path}: two tokens have the same {what}; each needs its own")
    if not holders:
        raise DataError(
            f"{path} names nobody; assay serve --api --new-token NAME prints what to write into it"
        )
    return holders


def holder(token: str, known: Sequence[Holder]) -> Holder | None:
    """Find whose token this is; every hash is compared, in the same time."""
    digest = _digest(token)
    match = None
    for candidate in known:
        if hmac.compare_digest(digest, candidate.sha256):
            match = candidate
    return match


def new(name: str) -> Made:
    """Make up a token for somebody. Raises: AssayError for a name that cannot be one."""
    if not NAME.fullmatch(name):
        raise AssayError(
            f"a token's name has letters, digits, '.', '_' and '-', 64 at most, got {name[:80]!r}"
        )
    token = f"assay_{secrets.token_urlsafe(32)}"
    digest = _digest(token)
    lines = (
        f'[[token]]\nname = "{name}"\nsha256 = "{digest}"\nrights = ["read", "submit", "cancel"]\n'
        "queued = 10\ncpu_seconds_a_day = 7200\n"
    )
    return Made(token, lines)
