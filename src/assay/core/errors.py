"""Everything that goes wrong because of what a user gave us, each as one line of advice.

AssayError                 exit code 2 unless said otherwise
├── SpecError              a field that does not exist, has the wrong type or an impossible value
├── ExperimentError        no such experiment, arm or preset; a file that is no experiment
├── ClaimError             a statement that cannot be judged: unknown term, lost units, control that
compares itself ├── DataError              a table, text folder or activation file that cannot be
used ├── ModelError             a model that is missing, broken, or lacks the site asked for
├── StoreError             a store that is newer, damaged, read-only or full
│   └── DamageError        bytes of the store that are not as they were written
├── FleetError             workers elsewhere that cannot be started or followed
└── RunError               training crashed or diverged beyond the limit; exit code 3
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class AssayError(Exception):
    """Base of all errors that a user can cause or mend; `exit_code` is what the command line ends
    with."""

    exit_code = 2


class SpecError(AssayError):
    """A spec field is unknown, of the wrong type, or has an impossible value."""


class ExperimentError(AssayError):
    """An experiment, arm or preset does not exist, or its file is not an experiment."""


class ClaimError(AssayError):
    """A statement cannot be judged on the measures it was given."""


class DataError(AssayError):
    """A table, text folder or activation file cannot be used."""


class ModelError(AssayError):
    """A model is missing or broken, or lacks the site asked for."""


class StoreError(AssayError):
    """The store cannot be read or written as it is."""


class DamageError(StoreError):
    """Bytes in a folder of the store are not as they were written; `folder` can be built again."""

    def __init__(self, folder: Path, why: str):
        super().__init__(
            f"{why}; `assay doctor --clean` removes what is damaged, and the same command "
            "builds it again"
        )
        self.folder, self.why = folder, why


class FleetError(AssayError):
    """An engine that starts workers elsewhere is missing, refuses, or does not answer."""


class RunError(AssayError):
    """Training crashed, or more runs diverged than a verdict allows."""

    exit_code = 3


MANY = 60
"""So many names are listed at most: all experiments, arms and fields that there are, but not a
million columns."""


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of an error sentence: the closest known name, or a list of them when none is close,
    of the first where they are very many."""
    known = sorted(names)
    near = (
        [n for n in known if abs(len(n) - len(name)) <= len(name)] if len(known) > MANY else known
    )
    close = get_close_matches(name, near[: 100 * MANY], n=1, cutoff=0.5)
    more = f" … ({len(known):,} in all)" if len(known) > MANY else ""
    return (
        f"did you mean {close[0]}?"
        if close
        else f"known: {', '.join(known[:MANY]) or 'none'}{more}"
    )


def nearest_beside(path: Path) -> str:
    """The path in the same folder whose name, extension apart, is closest to one that does not
    exist, as a question; "" when none is close."""
    try:
        names = sorted(p.name for p in path.parent.iterdir() if not p.name.startswith("."))
    except OSError:
        return ""
    stems: dict[str, str] = {}
    for name in sorted(
        names, key=lambda name: Path(name).suffix == path.suffix
    ):  # of equal stems, the one with the same extension
        stems[Path(name).stem] = name
    close = get_close_matches(path.stem, stems, n=1, cutoff=0.75)
    return f"did you mean {path.parent / stems[close[0]]}?" if close else ""
