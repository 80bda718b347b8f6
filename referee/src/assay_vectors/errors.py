"""The error that every part of the package raises, and how its message ends."""

from collections.abc import Iterable
from difflib import get_close_matches

MANY = 40
"""Names that a message lists at most."""


class VectorsError(Exception):
    """A problem that the user can fix; its message is one line."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Suggest the known name that is closest, or list all names if none is close."""
    known = sorted(names)
    if close := get_close_matches(name, known, n=1, cutoff=0.5):
        return f"did you mean {close[0]}?"
    more = f" … ({len(known)} in all)" if len(known) > MANY else ""
    return f"known: {', '.join(known[:MANY])}{more}"
