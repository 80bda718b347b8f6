"""A tiny study as an agent would say it, and calls of tools in one session."""

import json
from collections.abc import Callable
from typing import Any

import anyio
from mcp import Client

TINY = {
    "question": "Does a bottleneck of two keep half of six features after twenty steps?",
    "experiment": "superposition",
    "fields": {"density": 0.05, "steps": 20, "features": 6, "width": 2},
    "seeds": "1000000:1000006",
    "claims": [
        {
            "text": "Held-out loss is below that of predicting nothing at all by a tenth",
            "holds": "main.held_out < 0.01",
            "control": ["linear"],
            "near": {"linear": "the width alone"},
            "threshold": "plan: written before anything was looked at",
        }
    ],
}
INLINE = ("--executor", "inline")
"""Runs train in their own process: one fewer to start."""
Call = Callable[..., dict[str, Any]]


def told(answer):
    """What a tool answered, which is given once, as text."""
    assert not answer.is_error and answer.structured_content is None, answer.content
    (content,) = answer.content
    return json.loads(content.text)


def answered(server, *asked, **how):
    """What a server answers to calls of tools, one after the other in one session."""

    async def ask():
        async with Client(server, **how) as client:
            return [await client.call_tool(name, given) for name, given in asked]

    return anyio.run(ask)
