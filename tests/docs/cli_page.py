"""docs/cli.md, made of the command line's own help. Write it again with: python tests/docs/cli_page.py"""

from pathlib import Path

from assay.cli.main import app

CLI = Path(__file__).parents[2] / "docs/cli.md"


def page() -> str:
    """The whole page."""
    return app.generate_docs(output_format="markdown", generate_toc=False).rstrip() + "\n"


def page_of(verb: str) -> str:
    """The help of one verb."""
    return app[verb].generate_docs(output_format="markdown", generate_toc=False)


if __name__ == "__main__":
    CLI.write_text(page())
