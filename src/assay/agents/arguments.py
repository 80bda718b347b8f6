"""Arguments: the types of what an agent gives to a tool, with what it reads about each."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

TEXT, LINE, SHORT, MANY = 64 * 1024, 2_000, 200, 64
"""Characters of a study, of a sentence, of a name, and entries of a list."""
CHECKED = 600.0
"""Seconds that a claim about a function may take in one call."""
Plain = bool | int | float | str
Name = Annotated[str, Meta(max_length=SHORT)]
Names = Annotated[tuple[Name, ...], Meta(max_length=MANY)]
Line = Annotated[str, Meta(max_length=LINE)]
Tables = Annotated[tuple[dict[Name, Any], ...], Meta(max_length=MANY)]


Key = Annotated[Name, Meta(description="The key that run gave.")]
Study = Annotated[
    str,
    Meta(
        description="A study's TOML, as write_study gives it; or name an experiment instead.",
        max_length=TEXT,
    ),
]
Named = Annotated[
    Name,
    Meta(description="An experiment's name, as `experiments` lists them; or give a study instead."),
]
Chosen = Annotated[Name, Meta(description="smoke (seconds, settles nothing), default or full.")]
Sets = Annotated[
    Names,
    Meta(
        description=(
            "Fields to set, as field=value; a field that takes several: penalty=0.1,0.3 or "
            "seed=1000000:1000008."
        )
    ),
]
Rows = Annotated[
    list[dict[Name, Plain | None]] | str,
    Meta(
        description=(
            "A list of rows, each an object; or CSV text with a line of names. A column for each "
            "unit, numbers, and `arm` where there are several arms."
        )
    ),
]
Scope = Annotated[Line, Meta(description="What the numbers speak about, as a phrase.")]
ArmColumn = Annotated[Name, Meta(description="The column that says which arm a row is a run of.")]
