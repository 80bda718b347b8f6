"""Hub: language models by OWNER/NAME[@REVISION], and parts of repositories, downloaded when that is
asked for alone, then opened without a network.

A model is in hub/OWNER--NAME/COMMIT of the model cache, a dictionary in
hub/OWNER--NAME/dictionaries/PART/COMMIT; refs/REVISION next to it names the commit that was fetched
last, and is read through `foreign`, so a branch is an input of the run that opens it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from filelock import FileLock, Timeout

from assay.core import cache as model_cache
from assay.core import foreign
from assay.core.compute import in_bytes
from assay.core.errors import ModelError
from assay.core.nouns import counted
from assay.subjects import adapters, sizes
from assay.subjects.sizes import told_of_a_model

NEEDED = ("config.json", "tokenizer.json")
OTHERS = ("generation_config.json", "tokenizer_config.json")
WEIGHTS = "model.safetensors"
SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
PICKLED = (".bin", ".pt", ".pth", ".ckpt")
_PART = r"[A-Za-z0-9](?:[\w.-]*\w)?"
_NAME = re.compile(rf"({_PART}/{_PART})(?:@([\w./-]{{1,200}}))?", re.ASCII)
SAELENS = "saelens:"
"""Begins a name in SAELens' table, which says neither the repository nor the path."""
_PARTS = "dictionaries"
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_LISTING = 64 * 2**20
"""Bytes of what a hub says about a repository."""


@dataclass(frozen=True)
class HubName:
    """A repository on a hub, a branch, tag or commit of it, and which part is meant.

    Example:
        >>> from assay.subjects.hub import parse
        >>> parse("EleutherAI/pythia-160m@step3000")
        HubName(repository='EleutherAI/pythia-160m', revision='step3000', part='')
        >>> parse("./a-folder") is None
        True
    """

    repository: str
    revision: str = "main"
    part: str = ""
    """A dictionary, by its path in the repository or its name in SAELens' table; "": the model."""

    def __str__(self) -> str:
        if self.part.startswith(SAELENS):
            return self.part
        revision = f"@{self.revision}" if self.revision != "main" else ""
        return self.repository + revision + (f":{self.part}" if self.part else "")

    def folder(self, cache: Path | None = None) -> Path:
        """Name the folder in which each commit of the repository has its own."""
        folder = model_cache.hub(cache) / self.repository.replace("/", "--")
        return folder / _PARTS / quote(self.part, safe="") if self.part else folder


@dataclass(frozen=True)
class File:
    """A file of a repository, as its hub lists it."""

    name: str
    size: int
    sha256: str
    """Of a file in Git LFS, as weights are; else ""."""
    blob: str
    """Git's own name for any other file: a SHA-1 of its length and its bytes."""

    def holds(self, path: Path) -> bool:
        """Whether a file has these bytes."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        with path.open("rb") as file:
            if self.sha256:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
            start = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
            return hashlib.file_digest(file, lambda: start).hexdigest() == self.blob


Choose = Callable[[HubName, Mapping[str, File]], tuple[HubName, Sequence[File], Mapping[str, str]]]
"""From a name and the files of its repository by their paths: the name with its part as it is kept,
the files that are wanted, small ones first, and texts that are to lie among them, by their
paths."""


def parse(text: str) -> HubName | None:
    """Take OWNER/NAME or OWNER/NAME@REVISION apart; None for anything else."""
    match = _NAME.fullmatch(text)
    if match is None or "--" in match[1] or ".." in text:  # neither is in any name on a hub
        return None
    return HubName(match[1], match[2] or "main")


def present(name: HubName, cache: Path | None = None) -> Path | None:
    """Give the folder of what was fetched, None where it was not; no network."""
    folder, commit = name.folder(cache), name.revision
    if (ref := _ref(folder, name.revision)).is_file():
        with told_of_a_model():
            commit = foreign.read(ref, "a commit", 100).decode("ascii", "replace").strip()
    return folder / commit if _COMMIT.fullmatch(commit) and (folder / commit).is_dir() else None


def find(name: HubName, cache: Path | None = None) -> Path:
    """Give the folder of a model that was fetched; no network.

    Raises: ModelError where it was not, with what to type.
    """
    if folder := present(name, cache):
        return folder
    raise ModelError(
        f"no model '{name}' here: no folder, and not fetched; assay fetch {name} downloads it"
    )


def unfinished(cache: Path | None = None) -> Iterator[tuple[HubName, Path]]:
    """Yield what was begun and never completed: its name at that commit, and its folder."""
    hub = model_cache.hub(cache)
    for folder in sorted([*hub.glob("*/*.partial"), *hub.glob(f"*/{_PARTS}/*/*.partial")]):
        repository, *part = folder.relative_to(hub).parts[:-1]
        name = repository.replace("--", "/", 1), folder.name.removesuffix(".partial")
        yield HubName(*name, unquote(part[-1]) if part else ""), folder


def remove_unfinished(cache: Path | None = None) -> list[Path]:
    """Delete what was begun and never completed, but for what is being fetched now."""
    removed = []
    for _, folder in unfinished(cache):
        with suppress(Timeout), FileLock(folder.parent / "fetch.lock", timeout=0):
            shutil.rmtree(folder)
            removed.append(folder)
    return removed


def fetch(
    name: HubName,
    cache: Path | None = None,
    progress: Callable[[str], None] = lambda line: None,
    bar: Callable[[int, int], None] = lambda completed, total: None,
    choose: Choose | None = None,
) -> Path:
    """Download a model, or what is missing of it, and give its folder.

    Settings and tokenizer are read before any weight is asked for. What arrived before a connection
    broke stays in COMMIT.partial, and the next call goes on from there; a folder has its last name
    only when each file has the size and the hash that the hub gives for it.

    Args:
        name: the repository and the branch, tag or commit.
        cache: None: the model cache.
        progress: called with each line, sizes before anything is downloaded.
        bar: called with bytes that are here, and bytes in all.
        choose: from the name and the files that the hub lists, what is wanted; None: a model's.
    Raises: ModelError, one line, without a network, a permission or room, and for a repository that
    Assay cannot open.
    """
    with _one_line(name, model_cache.hub(cache)):
        commit, listed = _listing(name)
        name, files, notes = (choose or _choose)(name, listed)
        place = name.folder(cache)
        with told_of_a_model():
            for file in files:
                foreign.within(file.size, foreign.LARGEST, f"{file.name} of {name}", "bytes")
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / "fetch.lock"):
            folder = place / commit
            whole = (folder / "assay.json").is_file() and all(
                file.holds(folder / file.name) for file in files
            )
            if not whole or any(_text(folder / note) != text for note, text in notes.items()):
                _download(name, commit, files, notes, folder, progress, bar)
            _write(_ref(place, name.revision), commit)
    progress(f"{name} is in {folder}")
    return folder


def _download(
    name: HubName,
    commit: str,
    files: Sequence[File],
    notes: Mapping[str, str],
    folder: Path,
    progress: Callable[[str], None],
    bar: Callable[[int, int], None],
) -> None:
    work = folder.with_name(f"{commit}.partial")
    if folder.is_dir():  # what is whole in it is not asked for again
        progress(f"{folder} is damaged and will be replaced")
        shutil.rmtree(work, ignore_errors=True)
        folder.rename(work)
        for file in files:
            if not file.holds(work / file.name):
                (work / file.name).unlink(missing_ok=True)
    total, free = sum(file.size for file in files), shutil.disk_usage(folder.parent).free
    arrived = sum(_size(work / file.name) for file in files)
    progress(
        f"{name}: {in_bytes(total)} in {counted(len(files), 'file')}, commit {commit[:12]}"
        + (f", {in_bytes(arrived)} of them here" if arrived else "")
        + f"; {in_bytes(free)} are free in {folder.parent}"
    )
    if free < total - arrived:
        raise ModelError(
            f"fetching {name} needs {in_bytes(total - arrived)} in {folder.parent}, "
            f"{in_bytes(free)} are free; make room or set ASSAY_CACHE"
        )
    work.mkdir(exist_ok=True)
    received_before = 0
    for file in files:
        _receive(name, commit, file, work / file.name, partial(_add, bar, total, received_before))
        received_before += file.size
        if file.name == "config.json" and not name.part:
            _check(name, work / file.name)
    for path, text in notes.items():
        _write(work / path, text)
    note = {
        "name": name.repository,
        **({"part": name.part} if name.part else {}),
        "revision": name.revision,
        "commit": commit,
        "sha256": {
            file.name: file.sha256 or model_cache.digest_of(work / file.name) for file in files
        },
    }
    _write(work / "assay.json", json.dumps(note, indent=1))
    work.rename(folder)


def _add(bar: Callable[[int, int], None], total: int, received_before: int, received: int) -> None:
    bar(received_before + received, total)


def _check(name: HubName, config: Path) -> None:
    """Refuse a model that Assay could not open, before its weights are asked for."""
    try:
        with told_of_a_model():
            settings = foreign.json_object(config)
        sizes.check(settings, Path(str(name)) / config.name)
    except ModelError:
        shutil.rmtree(config.parent)
        raise


def _receive(
    name: HubName, commit: str, file: File, path: Path, bar: Callable[[int], None]
) -> None:
    """Bring one file, from where it broke off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = _size(path)
    if begun < file.size:
        headers = {"Range": f"bytes={begun}-"} if begun else {}
        address = f"{name.repository}/resolve/{commit}/{quote(file.name)}"
        try:
            with _get(address, headers) as response:
                begun = begun if response.status_code == 206 else 0  # others begin anew
                with path.open("ab" if begun else "wb") as out:
                    for chunk in response.iter_bytes():
                        bar(begun)
                        begun += out.write(chunk)
                        if begun > file.size:
                            break
                    out.flush()
                    os.fsync(out.fileno())  # a folder that has its name outlives a power cut
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                path.unlink()  # it is in the way
            raise
        bar(begun)
    if begun < file.size:
        raise ConnectionError(f"{file.name} ended early")
    if not file.holds(path):
        path.unlink()
        raise ModelError(
            f"{file.name} of {name} has another hash than its hub says, and was deleted; "
            f"assay fetch {name} tries again"
        )


def _listing(name: HubName) -> tuple[str, dict[str, File]]:
    """The commit that a revision is now, and the files of the repository."""
    address = f"api/models/{name.repository}/revision/{quote(name.revision, safe='')}?blobs=true"
    with _get(address, {}) as response:
        text = b""
        for chunk in response.iter_bytes():
            text += chunk
            if len(text) > _LISTING:
                raise ModelError(f"{_endpoint()} says more than {in_bytes(_LISTING)} about {name}")
    try:
        answer: Any = json.loads(text)
        commit, files = answer["sha"], {}
        for entry in answer["siblings"]:
            lfs = entry.get("lfs") or {}
            size = lfs.get("size", entry.get("size"))
            if isinstance(size, int) and size > 0:
                hashed = str(lfs.get("sha256") or ""), str(entry.get("blobId") or "")
                files[entry["rfilename"]] = File(entry["rfilename"], size, *hashed)
        if not _COMMIT.fullmatch(commit):
            raise ValueError(commit)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{_endpoint()} does not answer as a hub does; is HF_ENDPOINT right?"
        ) from error
    return commit, files


def _choose(
    name: HubName, listed: Mapping[str, File]
) -> tuple[HubName, list[File], Mapping[str, str]]:
    """What of a repository is needed for its model. Raises: ModelError."""
    shards = [file for file in listed if SHARD.fullmatch(file)]
    index = f"{WEIGHTS}.index.json"
    weights = (
        [WEIGHTS] if WEIGHTS in listed else [index, *sorted(shards)] if index in listed else []
    )
    if len(weights) < 1 + (weights[:1] == [index]):
        pickled = [f for f in sorted(listed) if f.endswith(PICKLED) and "/" not in f]
        raise ModelError(
            f"{name} has no {WEIGHTS}"
            + (f", only {pickled[0]}, and Assay reads no pickled weights" if pickled else "")
        )
    if adapters.FILE in listed:  # transformers would apply it
        raise ModelError(
            f"{name} has whole weights and an adapter ({adapters.FILE}); merge them with peft "
            "(merge_and_unload), and give the folder"
        )
    if absent := [file for file in NEEDED if file not in listed]:
        raise ModelError(f"{name} has no {absent[0]}, which Assay needs")
    return name, [listed[f] for f in (*NEEDED, *OTHERS, *weights) if f in listed], {}


@contextmanager
def _get(address: str, headers: Mapping[str, str]) -> Iterator[Any]:
    """Ask the hub, with the user's token where there is one. HfApi is not used: before its first
    request it asks the hub for a list of coding agents, to say which one calls."""
    from huggingface_hub import constants, get_session, get_token
    from huggingface_hub.utils import hf_raise_for_status

    token = get_token()
    with get_session().stream(
        "GET",
        f"{_endpoint()}/{address}",
        headers={
            "User-Agent": "interp-assay",
            "Accept-Encoding": "identity",  # sizes are those of the files
            **({"Authorization": f"Bearer {token}"} if token else {}),
            **headers,
        },
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
    ) as response:
        if response.status_code >= 400:
            response.read()
        hf_raise_for_status(response)
        yield response


def _endpoint() -> str:
    from huggingface_hub import constants

    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


@contextmanager
def _one_line(name: HubName, place: Path) -> Iterator[None]:
    """Turn whatever goes wrong on the way into a ModelError."""
    from huggingface_hub import errors

    try:
        yield
    except errors.RevisionNotFoundError as error:
        line = f"{name.repository} has no revision {name.revision!r}"
        raise ModelError(f"{line}; {_endpoint()}/{name.repository} lists them") from error
    except (errors.GatedRepoError, errors.DisabledRepoError) as error:
        raise ModelError(_closed(name)) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"{_endpoint()} has no repository {name.repository!r}, or only for those it knows: "
            "hf auth login, or set HF_TOKEN"
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise ModelError(_closed(name)) from error
        raise ModelError(f"{_endpoint()} answered {status} about {name}") from error
    except errors.OfflineModeIsEnabled as error:
        raise ModelError(
            f"cannot fetch {name}: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set; unset it"
        ) from error
    except (errors.HTTPError, ConnectionError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"the connection to {_endpoint()} broke ({first[:100]}); assay fetch {name} goes on "
            "from there"
        ) from error
    except OSError as error:
        raise ModelError(
            f"cannot write {name} to {place}: {error.strerror or error}; fix that, or set "
            "ASSAY_CACHE to another folder"
        ) from error


def _closed(name: HubName) -> str:
    return (
        f"{name.repository} is gated: accept its terms at {_endpoint()}/{name.repository}, then "
        "hf auth login, or set HF_TOKEN"
    )


def _ref(place: Path, revision: str) -> Path:
    return place / "refs" / quote(revision, safe="")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    partial.write_text(text)
    partial.replace(path)


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
