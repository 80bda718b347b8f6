"""Writable: whether files can be written where an option says, checked before anything runs."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from assay.core.errors import AssayError


def writable(folder: Path, option: str) -> None:
    """Check, before anything is measured, that files can be written into a folder, which may still
    have to be made; nothing is left there.

    Raises: AssayError naming the option.
    """
    missing_folders = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as e:
        raise AssayError(
            f"cannot write into the folder {folder}: {e.strerror}; name another one with {option}"
        ) from e
    finally:
        for path in missing_folders:
            with contextlib.suppress(OSError):
                path.rmdir()


def writable_file(path: Path, option: str) -> None:
    """Check the same for a file that is to be written. Raises: AssayError naming the option."""
    if path.is_dir():
        raise AssayError(f"{path} is a folder; {option} names a file")
    writable(path.parent, option)
