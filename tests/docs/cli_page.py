"""docs/cli.md, made of the command line's own help. Write it again with: python
tests/docs/cli_page.py"""

import re
from pathlib import Path

from assay.cli.main import app, example

CLI = Path(__file__).parents[2] / "docs/cli.md"
HEAD = """# The command line

Written by `python tests/docs/cli_page.py` from the program's own help; a test keeps it current.

| exit code | means |
|---|---|
| 0 | it measured, whatever the verdict |
| 1 | a difference (`check`, `reproduce`), a claim other than `--expect` says, something broken (`doctor`), an evaluation overdue (`due`) |
| 2 | wrong usage: one line on standard error says what would be right, and nothing was changed |
| 3 | a run crashed, or too many diverged; what the others stored stays |
| 130 | interrupted; the same command goes on where it was |

With `--json` a verb prints one JSON object on standard output and everything else on standard error.

| variable | means |
|---|---|
| `ASSAY_ROOT` | the folder of the store, like `--root` |
| `ASSAY_CACHE` | the folder in which models are kept; `~/.cache/assay` without it |
| `ASSAY_SMOLLM2_GGUF` | a SmolLM2-135M-Instruct.Q4_1.gguf that is already here: nothing is downloaded |
| `ASSAY_CHECKPOINT_SECONDS` | the least time between two checkpoints of a training, 20 without it |
| `ASSAY_LEASE_SECONDS` | the time without a beat after which another worker takes over a group, 30 without it |
| `ASSAY_LIMITS` | what `--limits` says, for the verbs that have no such option and for Python as well |
"""  # noqa: E501


def page() -> str:
    """The whole page."""
    text = app.generate_docs(output_format="markdown", usage_name="assay")
    verbs = text[text.index("**Measure your own**") :].replace(
        "\n        ", " "
    )  # a wrapped line of help is still one line
    return (
        HEAD
        + "\n"
        + re.sub(
            r"\n{3,}", "\n\n", re.sub(r"(?ms)^## assay (\S+)\n.*?(?=^## |\Z)", exemplified, verbs)
        ).rstrip()
        + "\n"
    )


def exemplified(section: re.Match[str]) -> str:
    """A verb's section with its example at the end."""
    lines = example(section[1]).splitlines()[1:]
    return (
        section[0].rstrip()
        + "\n\n**Example**:\n\n```console\n"
        + "\n".join(line[2:] for line in lines)
        + "\n```\n\n"
        if lines
        else section[0]
    )


def page_of(verb: str) -> str:
    """The help of one verb."""
    return app[verb].generate_docs(output_format="markdown", usage_name="assay")


if __name__ == "__main__":
    CLI.write_text(page())
