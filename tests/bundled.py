"""The bundle of a committed record."""

from pathlib import Path

from assay.cli.main import main


def export(out: Path, root: Path) -> None:
    """Write it as the command line does."""
    words = [
        "export",
        "superposition",
        "--format",
        "bundle",
        "--out",
        str(out),
        "--root",
        str(root),
    ]
    assert main(words) == 0
