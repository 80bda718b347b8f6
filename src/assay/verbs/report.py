"""Report: stored results as pages in a folder."""

from __future__ import annotations

from pathlib import Path

from assay.core.errors import AssayError, StoreError
from assay.report import stored
from assay.report.stored import Pages
from assay.verbs.parts import Line
from assay.verbs.verb import DEFAULT, HERE, Answer, Choice, Door, Flag, Place, verb
from assay.verbs.verify_file import CHECK
from assay.verbs.writable import writable


@verb("where the pages are")
def report(
    *names: str,
    out: Path = Path("report"),
    open: Flag = False,
    choice: Choice = DEFAULT,
    place: Place = HERE,
    door: Door,
) -> Answer[Pages]:
    """Write stored and saved results as static pages, and print their paths.

    Parameters
    ----------
    names
        Experiments, studies, or saved results (.assay files); by default
        every result in the store; with another --preset, or with --set, those results alone.
    out
        The folder of the pages.
    open
        Open them in the browser.

    Examples
    --------
    assay report gated-sae --open
    assay report examples/country.toml examples/capitals.toml
    assay report country.assay
    """
    writable(out, "--out")
    saved = [Path(name) for name in names if name.endswith(CHECK)]
    others = [name for name in names if not name.endswith(CHECK)]
    lab, lost = place.lab(), list[AssayError]()
    if names:
        chosen = [choice.of(name) for name in others]
    else:
        chosen, lost = stored.every(lab.store, choice.preset, choice.set, choice.another)
    written = stored.write(lab, chosen, out, saved, lost)
    if open:
        page = written.pages[0] if len(names) == 1 and written.pages else written.index
        door.open(page.absolute().as_uri())
    for why in written.left_out:
        door.aside(f"left out of the index: {why}")
    for why in written.missing:
        door.aside(f"no page: {why}")
    files = [Line(str(file)) for file in (*written.pages, written.index)]
    return Answer(written, files, StoreError.exit_code if written.missing else 0)
