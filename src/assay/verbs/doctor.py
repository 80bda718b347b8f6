"""Doctor: what is installed or missing, how a store is, and what of it is deleted."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from assay.ask.freezing import subjects
from assay.core.compute import in_bytes
from assay.core.errors import AssayError
from assay.lab import catalogue
from assay.lab.store import health as store_health
from assay.lab.store import origin
from assay.lab.store.health import Check, Health, cleaned, of_store, removable, remove
from assay.lab.store.provenance import cores
from assay.lab.store.store import Store
from assay.subjects import fetch, hub
from assay.verbs.parts import Line
from assay.verbs.verb import HERE, Answer, Door, Flag, Place, verb


@dataclass(frozen=True)
class Removed:
    """How many bytes were freed."""

    bytes: int


@verb("what is installed or missing, and how a store is; or what was deleted")
def doctor(
    *,
    clean: Flag = False,
    remove: str = "",
    yes: Flag = False,
    place: Place = HERE,
    door: Door,
) -> Answer[Health | Removed]:
    """Check the installation, devices, models, disk and store, and say how to fix what is wrong;
    --clean also cleans the store.

    Parameters
    ----------
    clean
        Delete damaged runs, and files left by killed processes and broken downloads.
    remove
        List, and then delete, the stored runs and results of this experiment or file, and the
        artefacts that no other one uses.
    yes
        Delete without asking.

    Examples
    --------
    assay doctor
    assay doctor --remove superposition
    """
    if remove:
        return removed(remove, yes, place, door)
    if clean and door.attended and (harms := list(store_health.harms(Store(place.root)))):
        for harm in harms:
            door.aside(f"{harm.path} ({harm.why})")
        if not door.asks(f"Delete {len(harms)} that are damaged? [y/N] "):
            return Answer(None)
    found = examine(place.root, clean)
    lines = [*found.done, *map(in_words, found.checks)]
    return Answer(found, map(Line, lines), 0 if found.healthy else 1)


def removed(name: str, yes: bool, place: Place, door: Door) -> Answer[Health | Removed]:
    """Delete what is stored of an experiment, if that is wanted. Raises: AssayError where nobody
    can be asked."""
    store, entry = place.lab().store, catalogue.entry(name)
    origin.check(store, entry.name, entry.origin)
    paths = tuple(removable(store, entry.name))
    if not paths:
        return Answer(Removed(0), [Line(f"nothing is stored of {name}")])
    bytes_ = in_bytes(sum(count for _, count in paths))
    if not yes and not door.attended:
        raise AssayError(
            f"{', '.join(str(path) for path, _ in paths)} ({bytes_}) would be deleted; to confirm, "
            f"type: assay doctor --remove {name} --yes"
        )
    for path, count in paths:
        door.aside(f"{path}  {in_bytes(count)}")
    if not yes and not door.asks(f"Delete these, {bytes_}? [y/N] "):
        return Answer(None)
    freed = remove(store, entry.name, subjects(store, entry.name))
    return Answer(Removed(freed), [Line(f"{in_bytes(freed)} freed")])


def in_words(check: Check) -> str:
    """Write one check as a line: its sign, what was found, and how to fix it."""
    sign = {"well": "●", "missing": "○", "broken": "✕"}[check.state]
    return f"{sign} {check.about}: {check.found}" + (f"; {check.mend}" if check.mend else "")


# what is installed or missing ---------------------------------------------------------------------


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
    checks = (python(), *packages(), *hardware(), *models(), disk(root), *of_store(root))
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
                found = f"not installed; only [{extra}] needs it"
                yield Check(name, "missing", found, install)
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
