"""The notebooks of the docs were executed with the code that they have; executed again they say the
same."""

import json
import re

import pytest

import gallery

pytestmark = pytest.mark.parametrize("path", gallery.NOTEBOOKS, ids=lambda path: path.stem)


def said(notebook):
    """The results of its cells as text; a chart and an array's size in memory say nothing."""
    results = (o for cell in notebook["cells"] for o in cell.get("outputs", ()))
    return [
        "".join(o["data"]["text/plain"]) for o in results if o["output_type"] == "execute_result"
    ]


def test_it_was_executed_with_its_code_and_without_an_error(path):
    notebook = json.loads(path.read_text("utf-8"))
    assert notebook["metadata"]["executed"] == gallery.digest(notebook), "run make notebooks"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    kinds = {o["output_type"] for cell in code for o in cell["outputs"]}
    assert kinds <= {"execute_result", "stream", "display_data"}
    page = gallery.markdown(notebook)
    assert (
        page.startswith("# ") and re.search("<svg|<table", page) and str(gallery.ROOT) not in page
    )


@pytest.mark.thorough
@pytest.mark.model
@pytest.mark.timeout(900)
def test_executed_again_it_says_the_same(path):
    pytest.importorskip("nbclient")
    if path.stem == "evaluate" and not (gallery.ROOT / "assay-store/artefacts").exists():
        pytest.skip("needs a dictionary: make notebooks")
    assert said(gallery.execute(path)) == said(json.loads(path.read_text("utf-8")))
