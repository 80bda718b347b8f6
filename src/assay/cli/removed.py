"""Verbs that an earlier version had: typing one prints what to use instead, for one version, and
exits with code 2."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from types import MappingProxyType

_RATING = (
    "python examples/blinded.py writes a blinded table of features to be scored, and assay judge "
    "judges the scores"
)

VERBS: Mapping[str, str] = MappingProxyType(
    {
        "worker": "assay run --on ray or --on slurm starts the processes that it needs",
        "rate": _RATING,
        "conformance": "assay-vectors has the test cases with known answers: pip install ./referee",
        "reproduce": "assay verify NAME --rerun runs it from an empty store and compares",
        "recheck": "assay verify NAME judges a record again, and assay verify catalogue judges all",
        "gym": "python benchmarks/gym, in a clone, gives worlds out and scores answers",
        "import": "assay export DICTIONARY --format assay --out FILE converts a dictionary",
        "index": (
            "assay export DICTIONARY --format index makes an index, and assay serve makes its own"
        ),
        "make-showcase": "assay train-dictionary smollm2 --showcase trains it",
        "remove": "assay doctor --remove NAME deletes what is stored of an experiment",
        "due": "in Python, evaluations.due of the catalogue lists such events (eval-schedule.md)",
        "train-lm": (
            "python examples/small_model.py OUT TEXT trains one, and assay.data.lm.train_folders "
            "does in Python"
        ),
    }
)
"""Verb → what to use instead."""

RENAMED: Mapping[str, str] = MappingProxyType(
    {
        "look": "features",
        "fields": "list",
        "explain": "score-circuit",
        "contest": "challenge-claim",
        "challenge": "puzzle",
    }
)
"""Verb → what it is called now, with the same options."""


def instead(words: Sequence[str]) -> str | None:
    """Say what to use instead of a removed verb, or return None where these words have none."""
    verb, *rest = words or [""]
    if verb in RENAMED:
        typed = shlex.join([RENAMED[verb], *rest])
        return f"assay {verb} is now called {RENAMED[verb]}; type: assay {typed}"
    if verb in VERBS:
        return f"assay {verb} was removed; {VERBS[verb]}"
    return None
