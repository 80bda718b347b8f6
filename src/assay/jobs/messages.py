"""Words: what is said to whoever types commands, as programs that submit and agents read it:
arguments in place of options.

A refusal is written once, where it is raised, and most who read it type. What others cannot do is
left out, or said of whoever runs the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay.core.errors import AssayError

READS = (
    (r", or name --bounds LOW HIGH", r", or name bounds: [LOW, HIGH]"),
    (r"; another name is given with --arm-column NAME \(arm_column= in Python\)", r"; call it arm"),
    (r": --control NAME", r', such as control: ["NAME"]'),
    (r"--unit (\w+)", r'unit: ["\1"]'),
    (r"--set\b", r"sets"),
    (r"--preset\b", r"preset"),
    (r": --limits \d+ or ASSAY_LIMITS=\d+ raises that", r""),
    (r"; another store: --root FOLDER, or ASSAY_ROOT", r""),
    (
        r"[;,]?( or| and)? name (another|an empty or new)( \w+)? with --root",
        r"; whoever runs the server can name another",
    ),
    (r" or name another --root", r", which whoever runs the server can"),
    (r"; run: assay run \S.*$", r"; run it first"),
    (r"`assay doctor --clean`", r"whoever runs the server, with `assay doctor --clean`,"),
)
"""What is said of a command line, and what is said in its place."""


@contextmanager
def unplaced(root: Path) -> Iterator[None]:
    """Raise what the body raises without the place of the store, which is nothing to who asks from
    elsewhere."""
    try:
        yield
    except AssayError as e:
        message = str(e)
        for place in sorted(
            {str(root.resolve()), str(root.absolute()), str(root)}, key=len, reverse=True
        ):
            message = message.replace(place, "the store")
        e.args = (message,)
        raise


def for_programs(text: str) -> str:
    """Say a line that may name options of a command with the arguments that a request has."""
    for typed, argument in READS:
        text = re.sub(typed, argument, text)
    return text
