"""Tools: what an agent can ask, a method each; its docstring and the descriptions of its arguments
are all that an agent reads of it."""

from __future__ import annotations

from assay.agents.questions import Questions
from assay.agents.running import Running
from assay.agents.tables import OwnTables


class Tools(Questions, Running, OwnTables):
    """What can be asked of one store."""


WRITING = ("preregister", "run", "cancel", "check_claim")
"""Tools that change something, or run code; all others only read."""
TOOLS = (
    "experiments",
    "page",
    "ask_model",
    "check_claim",
    "write_study",
    "plan",
    "preregister",
    "run",
    "status",
    "result",
    "cancel",
    "judge",
    "estimate",
)
"""Every tool, in the order in which they are listed."""
