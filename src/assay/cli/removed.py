"""Verbs and options that an earlier version had: typing one prints what to use instead, for one
version, and exits with code 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

_API = "the HTTP API is gone: agents and programs start runs by assay mcp (docs/agents.md)"

_RATING = (
    "python examples/blinded.py writes a blinded table of features to be scored, and assay judge "
    "judges the scores"
)

VERBS: Mapping[str, str] = MappingProxyType(
    {
        "worker": "assay run --on ray or --on slurm starts the processes that it needs",
        "rate": _RATING,
        "gym": "python benchmarks/gym, in a clone, gives worlds out and scores answers",
        "train-lm": (
            "python examples/small_model.py OUT TEXT trains one, and assay.data.lm.train_folders "
            "does in Python"
        ),
    }
)
"""Verb → what to use instead."""

OPTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "doctor": {"--claims": "assay plan and assay run say what a study leaves open"},
        "train-dictionary": dict.fromkeys(
            ("--ranks", "--shards", "--ahead"),
            "it trains in one process and keeps no activations on the disk; SAELens trains "
            "dictionaries over several devices",
        ),
        "serve": {
            **dict.fromkeys(
                (
                    "--api",
                    "--token-file",
                    "--new-token",
                    "--workspace",
                    "--allow-code",
                    "--job-seconds",
                    "--job-memory",
                    "--jobs",
                    "--on",
                ),
                _API,
            ),
            **dict.fromkeys(("--rate", "--rater"), _RATING),
        },
    }
)
"""Verb → option → what to use instead."""


def instead(words: Sequence[str]) -> str | None:
    """Say what to use instead of a removed verb or option, or return None where these words have
    neither."""
    verb, *rest = words or [""]
    if verb in VERBS:
        return f"assay {verb} was removed; {VERBS[verb]}"
    options = OPTIONS.get(verb, {})
    typed = next((word.partition("=")[0] for word in rest if word.partition("=")[0] in options), "")
    return f"assay {verb} {typed} was removed; {options[typed]}" if typed else None
