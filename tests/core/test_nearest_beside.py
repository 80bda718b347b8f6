"""A file that does not exist is taken for a neighbour of nearly the same name, never for one that
shares only the extension."""

import pytest

from assay.core.errors import nearest_beside


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("reslts.csv", "results.csv"),
        ("results.tsv", "results.csv"),
        ("result.safetensors", "results.safetensors"),
        ("acts.safetensors", None),
        ("my.safetensors", None),
        ("table.csv", None),
    ],
)
def test_names_are_compared_without_their_extension(tmp_path, typed, meant):
    for name in ("results.csv", "results.safetensors", "main.safetensors", "tail.csv"):
        (tmp_path / name).touch()
    if typed == "results.tsv":
        (tmp_path / "results.safetensors").unlink()
    assert nearest_beside(tmp_path / typed) == (
        f"did you mean {tmp_path / meant}?" if meant else ""
    )
