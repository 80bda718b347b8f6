"""The bundle of a committed record."""

from assay.cli.main import main


def export(out, root):
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
