"""What two stores are compared by: the bytes of the measures of every run."""

from pathlib import Path


def measures_of(root) -> dict[str, bytes]:
    """The measures of every run of a store, by the name of its folder."""
    return {
        p.parent.name: p.read_bytes()
        for p in sorted(Path(root).glob("runs/*/*/measures.safetensors"))
    }
