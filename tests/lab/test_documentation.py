"""An experiment's documentation is its page, or its section of a page that several share."""

from assay.lab.catalogue import documented


def test_its_own_page_comes_before_a_section_and_a_section_ends_at_the_next(tmp_path):
    (tmp_path / "alone.md").write_text("# alone\n\nAll of it.\n")
    (tmp_path / "shared.md").write_text(
        "# Two\n\n```md\n## second: shown\n```\n\n## alone: a summary\n\nNot this.\n\n"
        "## first: A, b - c\n\nOne.\n\n### More\n\nIts own.\n\n## second\n\nTwo.\n"
    )
    alone, first, second = (documented(tmp_path, x) for x in ("alone", "first", "second"))
    assert alone is not None and first is not None and second is not None
    assert alone.text.endswith("All of it.\n") and alone.link == "alone.md"
    assert first.text == "## first: A, b - c\n\nOne.\n\n### More\n\nIts own.\n\n"
    assert first.link == "shared.md#first-a-b-c"
    assert second.text == "## second\n\nTwo.\n" and second.link == "shared.md#second"
    assert documented(tmp_path, "secon") is None
    assert documented(tmp_path, "more") is None
    assert documented(tmp_path, "none") is None
