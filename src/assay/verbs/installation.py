"""Installation: what is installed or missing on this machine, one check for each thing."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

from assay.core.compute import in_bytes
from assay.lab.store.health import Check, Health, cleaned, of_store
from assay.lab.store.provenance import cores
from assay.subjects import fetch, hub

NEEDED = 6 * 2**30  # bytes that `make demo` may take: environment, model, harvest, runs
EXTRAS = ("", "train", "models")
"""What may be installed, the smallest first: judging numbers, experiments, models."""


def examine(root: Path, clean: bool = False) -> Health:
    """Check the installation and a store; with `clean` remove first what is damaged, left behind or
    half downloaded."""
    repairs: list[str] = []
    if clean:
        broken = [f"removed {f}, a download that broke off" for f in hub.remove_unfinished()]
        repairs = [*broken, *cleaned(root)]
    own = (*hardware(), *models(), disk(root), *of_store(root), python(), *packages())
    checks = tuple(sorted(own, key=lambda check: check.state == "well"))
    return Health(not any(check.state == "broken" for check in checks), tuple(repairs), checks)


def python() -> Check:
    """Name the interpreter and the system it runs on."""
    return Check(
        "Python", "well", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )


def packages() -> Iterator[Check]:
    """Look at each package that Assay needs, then at those that only an extra needs; one that
    lacks is missing, not broken."""
    pattern = r"([\w.-]+)\s*>=\s*([\d.]+)(?:\s*;\s*extra\s*==\s*[\"'](\w+)[\"'])?"
    try:
        lines = metadata.requires("interp-assay") or ()
    except metadata.PackageNotFoundError:  # a folder of sources, on the path alone
        lines = ()
    matches = [re.fullmatch(pattern, line) for line in lines]
    listed = [(m[1], m[2], m[3] or "") for m in matches if m and (m[3] or "") in EXTRAS]
    needs: dict[str, tuple[str, str]] = {}
    for name, least, extra in sorted(listed, key=lambda line: EXTRAS.index(line[2])):
        needs.setdefault(name, (least, extra))  # a larger extra lists what a smaller one has
    for name, (least, extra) in needs.items():
        install = f"python -m pip install '{name}>={least}'"
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            if extra:
                install = f"python -m pip install 'interp-assay[{extra}]'"
                why = f"not installed; only [{extra}] needs it"
                yield Check(name, "missing", why, install)
            else:
                yield Check(name, "broken", "not installed", install)
            continue
        if numbers(version) < numbers(least):
            yield Check(name, "broken", f"{version} is older than {least}", install)
        else:
            yield Check(name, "well", version)


def numbers(version: str) -> tuple[int, ...]:
    """Read the leading numbers of a version, so that 2.13 comes after 2.6."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def hardware() -> Iterator[Check]:
    """Count free cores and say what torch finds to compute on."""
    limit = os.environ.get("OMP_NUM_THREADS")
    words = f"{cores()} cores; one worker each"
    yield Check("threads", "well", words + (f", OMP_NUM_THREADS={limit}" if limit else ""))
    if util.find_spec("torch") is None:
        return
    try:
        import torch
    except (ImportError, OSError) as error:
        why = f"torch does not load: {str(error).splitlines()[0]}"
        yield Check("devices", "broken", why, "install torch again")
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(count)]
    yield Check("devices", "well", ", ".join(["cpu", *gpus]))


def models() -> Iterator[Check]:
    """Look which of the models with a name are in the model cache, and which downloads broke."""
    for packaged in fetch.MODELS.values():
        if folder := packaged.present():
            yield Check("model", "well", f"{packaged.model} in {folder}")
        else:
            mend = f"{packaged.command} ({packaged.download_mb} MB)"
            yield Check("model", "missing", f"{packaged.model} is not installed", mend)
    for name, folder in hub.unfinished():
        arrived = in_bytes(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
        yield Check(
            "download",
            "missing",
            f"{arrived} of {name} in {folder}",
            f"assay fetch {name} goes on, assay doctor --clean deletes it",
        )


def disk(root: Path) -> Check:
    """Measure the room on the disk of the store."""
    existing_path = next(
        path for path in (root.absolute(), *root.absolute().parents) if path.exists()
    )
    free = shutil.disk_usage(existing_path).free
    if free < NEEDED:
        return Check(
            "disk",
            "missing",
            f"{in_bytes(free)} free",
            f"`make demo` takes up to {in_bytes(NEEDED)}: make room, or name another --root",
        )
    return Check("disk", "well", f"{in_bytes(free)} free")
