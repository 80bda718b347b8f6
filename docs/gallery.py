"""The notebooks of docs/notebooks: executed, and written as Markdown for the site.

`make notebooks` runs every cell from the root of the repository and keeps what it shows. A test
holds each notebook to the code that it was executed with."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
SHOWN = ("text/html", "image/svg+xml", "text/plain")
"""Kinds of output, of which the first that there is stands on the page."""
PICTURES = "import altair\naltair.renderers.enable('svg')"
"""Run before a notebook, so that charts are pictures in its file and need no script."""


def digest(notebook: Mapping[str, Any]) -> str:
    """Give the hash of a notebook's code."""
    code = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    return hashlib.sha256("\n\n".join(code).encode()).hexdigest()


def execute(path: Path) -> dict[str, Any]:
    """Run a notebook, and give it with its outputs. Raises: CellExecutionError."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, 4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(PICTURES))
    client = NotebookClient(notebook, timeout=600, record_timing=False)
    with TemporaryDirectory() as state:  # with no earlier claims about the same prompts
        client.execute(cwd=str(ROOT), env={**os.environ, "XDG_STATE_HOME": state})
    del notebook.cells[0]
    for number, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), 1):
        cell.execution_count = number
        # bars, and warnings of other libraries, which are on standard error
        cell.outputs = [
            o
            for o in cell.outputs
            if o.get("name") != "stderr"
            and "<progress" not in o.get("data", {}).get("text/html", "")
        ]
        for output in (o for o in cell.outputs if "execution_count" in o):
            output["execution_count"] = number
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
        "executed": digest(notebook),
    }
    return dict(json.loads(nbformat.writes(notebook)))


def markdown(notebook: Mapping[str, Any]) -> str:
    """Write a notebook as Markdown, its outputs below its code."""
    return "\n\n".join(part for cell in notebook["cells"] for part in _parts(cell))


def _parts(cell: Mapping[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        data = output.get("data") or {"text/plain": output.get("text", "")}
        kind = next(kind for kind in SHOWN if kind in data)
        text = "".join(data[kind]).strip("\n")
        yield (
            f"~~~~text\n{text}\n~~~~" if kind == "text/plain" else f"~~~~{{raw}} html\n{text}\n~~~~"
        )


if __name__ == "__main__":
    for path in NOTEBOOKS:
        if not sys.argv[1:] or path.stem in sys.argv[1:]:
            path.write_text(json.dumps(execute(path), indent=1, ensure_ascii=False) + "\n")
            print(path.relative_to(ROOT))
