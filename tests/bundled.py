"""The bundle of a committed record."""

from assay.cli.main import main
from forks import typed


def export(out, root):
    """Write it as the command line does."""
    words = typed(f"export superposition --format bundle --out {out} --root {root}")
    assert main(words) == 0
