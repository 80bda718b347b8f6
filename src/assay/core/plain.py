"""Plain: text that comes from outside, without what a terminal or a renderer would obey."""

from __future__ import annotations

import re

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Control characters but tab and newline, marks that turn the direction of writing, and what no encoding has."""


def plain(text: str) -> str:
    """Put � in the place of every character that is obeyed instead of shown, such as the escape that recolours a terminal."""
    return _OBEYED.sub("�", text)
