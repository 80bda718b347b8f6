"""The `assay` command as a value, with the headings under which `assay --help` lists its verbs;
files beside this one add them."""

from __future__ import annotations

from importlib import metadata

from cyclopts import App, Group
from cyclopts.help import DefaultFormatter, PanelSpec
from rich.box import Box

MEASURE, EXPERIMENTS, FILES, UPKEEP, OPTIONS = (
    Group(name, sort_key=i)
    for i, name in enumerate(("Measure your own", "Experiments", "Files", "Upkeep", "Options"))
)
app = App(
    name="assay",
    version=lambda: metadata.version("interp-assay"),
    version_flags=("--version", "-V"),
    help="Put an interpretability claim in; get a measured verdict out.",
    help_formatter=DefaultFormatter.with_newline_metadata(
        panel_spec=PanelSpec(box=Box("    \n" * 8), padding=(0, 2))
    ),
    suppress_keyboard_interrupt=False,
)

app.register_install_completion_command()
for flag in ("--help", "--version", "--install-completion"):
    app[flag].group = (OPTIONS,)
