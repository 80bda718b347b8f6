"""What two stores are compared by: the bytes of their runs."""

from pathlib import Path


def measures_of(root) -> dict[str, bytes]:
    """The measures of every run of a store, by the name of its folder."""
    return {
        p.parent.name: p.read_bytes()
        for p in sorted(Path(root).glob("runs/*/*/measures.safetensors"))
    }


def files_of(root) -> dict[str, bytes]:
    """Every file of every run of a store but what says where and when it was made."""
    return {
        f"{path.parent.name}/{path.name}": path.read_bytes()
        for path in sorted(Path(root).glob("runs/*/*/*"))
        if path.name not in ("provenance.json", "status.json")
    }
