"""Anchors: what says from outside when something was frozen: an RFC 3161 time stamp of its hash, in
a file next to it. It is asked for only by a command that names its authority, and is read by the
program openssl."""

from __future__ import annotations

import datetime
import re
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assay.core import foreign
from assay.core.errors import AssayError
from assay.lab.judge.registered import Registration
from assay.lab.store.atomic import write

SUFFIX = ".tsr"
"""How the file of a time stamp ends, next to what was frozen."""
LARGEST = 2**20
"""Bytes of a reply that is read."""
SECONDS = 60


@dataclass(frozen=True)
class Anchor:
    """A time stamp, and the outcome of checking it."""

    time: str
    """When the hash existed, as the authority says."""
    by: str
    """The authority."""
    checked: bool
    """Whether the signature of an authority that is trusted was verified."""
    wrong: str = ""
    """What is wrong with it; "" where nothing is."""


def require(anchor: str) -> None:
    """Refuse what is no address of an authority. Raises: AssayError."""
    if not re.match(r"https?://", anchor):
        raise AssayError(f"--anchor takes the http(s) address of an authority, got {anchor}")


def place(path: Path) -> Path:
    """Where the time stamp of a registration is."""
    return path.with_suffix(SUFFIX)


def stamp(frozen: Registration, address: str) -> Path:
    """Ask a time stamp authority at an address for a time stamp of what was frozen, and write it
    next to the file. Raises: AssayError where none is given."""
    with tempfile.TemporaryDirectory() as folder:
        query = Path(folder) / "query.tsq"
        asks = ("-query", "-digest", frozen.hash, "-sha256", "-cert", "-out", str(query))
        if not _openssl(*asks)[0]:
            raise AssayError("openssl could not make a request for a time stamp; install openssl 3")
        request = urllib.request.Request(
            address, query.read_bytes(), {"Content-Type": "application/timestamp-query"}
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as reply:
                answer = reply.read(LARGEST)
        except (OSError, ValueError) as e:
            raise AssayError(f"{address} gives no time stamp ({e}); name another one") from e
        written = Path(folder) / "reply.tsr"
        written.write_bytes(answer)
        if (read := _read(written, frozen.hash, None)).wrong:
            raise AssayError(f"{address} gives no time stamp of {frozen.hash[:12]}: {read.wrong}")
    write(place(frozen.path), answer)
    return place(frozen.path)


def stamps(frozen: Registration, trusted: Path | None = None) -> Iterator[Anchor]:
    """Give the time stamp that is next to what was frozen, if there is one, and verify it."""
    if (path := place(frozen.path)).exists():
        yield _read(foreign.regular(path, "a time stamp", LARGEST), frozen.hash, trusted)


def _read(path: Path, digest: str, trusted: Path | None) -> Anchor:
    """Read a time stamp, and verify that it is of this hash and signed by an authority that is
    trusted, by the system unless a file of certificates is named."""
    read, text = _openssl("-reply", "-in", str(path), "-text")
    if not read:
        return Anchor("", "", checked=False, wrong="it cannot be read by openssl")
    stamped = re.search(r"^Time stamp: (.*)", text, re.MULTILINE)
    by = re.search(r"^TSA: (.*)", text, re.MULTILINE)
    about = (_when(stamped[1]) if stamped else "", by[1] if by else "an unnamed authority")
    dump = re.findall(r"^ {4}[0-9a-f]{4} - (.{47})", text, re.MULTILINE)
    if re.sub(r"[^0-9a-f]", "", "".join(dump)) != digest:
        return Anchor(*about, checked=False, wrong="it is of another hash")
    authorities = str(trusted or ssl.get_default_verify_paths().cafile or "")
    asks = ("-verify", "-digest", digest, "-in", str(path), "-CAfile", authorities)
    verified, output = _openssl(*asks)
    if verified or (trusted is None and "certificate verify error" in output):
        return Anchor(*about, checked=verified)
    wrong = f"no authority in {trusted} signed it" if trusted else "its signature is not valid"
    return Anchor(*about, checked=False, wrong=wrong)


def _when(text: str) -> str:
    """A time as openssl prints it, as ISO 8601 in UTC to the second."""
    plain = re.sub(r"\.\d+", "", text.strip()).removesuffix(" GMT")
    moment = datetime.datetime.strptime(plain, "%b %d %H:%M:%S %Y")
    return moment.replace(tzinfo=datetime.UTC).isoformat()


def _openssl(*words: str) -> tuple[bool, str]:
    return _run("openssl", "ts", *words)


def _run(*words: str) -> tuple[bool, str]:
    """Whether a program succeeds, and what it prints."""
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=SECONDS, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        return False, str(e)
    return done.returncode == 0, done.stdout + done.stderr
