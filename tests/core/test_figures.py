"""What figures are made of."""

from assay.core.figures import columns


def test_rows_become_columns():
    assert columns(("a", "b c"), ((i, str(i)) for i in range(3))) == {
        "a": [0, 1, 2],
        "b c": ["0", "1", "2"],
    }
    assert columns(("a", "b"), []) == {"a": [], "b": []}
