"""Verbs and options that an earlier version had: typing one prints what to use instead, for one
version, and exits with code 2."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from types import MappingProxyType

_API = "programs and agents use assay mcp, on standard input or with --http PORT (docs/agents.md)"
_TOKENS = (
    "there are no tokens: assay mcp answers this machine only; from another, ssh HOST assay mcp"
)
_SEVERAL = "assay series, which the catalogue adds, runs several experiments and writes one page"

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

OPTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "show": {
            "--measures": "assay list NAME has the measures of an experiment or a study",
            "--findings": "assay show NAME --estimates lists them",
        },
        "plan": {
            "--budget": "assay plan says how many units decide each claim, and what they cost"
        },
        "doctor": {"--claims": "assay plan and assay run say what a study leaves open"},
        "run": {
            "--partition": "use --slurm partition=NAME",
            "--account": "use --slurm account=NAME",
            "--sbatch": "use --slurm NAME=VALUE, once for each option of sbatch",
            "--prolog": "use --slurm setup=LINE, once for each line of bash",
            "--cpus": "each group has as many CPUs as --threads",
            "--page": _SEVERAL,
            "--within": "assay plan NAME says how many units decide each claim, and what they cost",
            "--dry-run": "submitit writes the batch script into the folder slurm of the store",
        },
        "import": dict.fromkeys(
            ("--acts", "--model", "--text"),
            "assay evaluate FILE, with these options, says whether a dictionary reconstructs",
        ),
        "serve": {
            "--api": _API,
            **dict.fromkeys(("--token-file", "--new-token"), _TOKENS),
            **dict.fromkeys(
                ("--workspace", "--allow-code", "--job-seconds", "--job-memory", "--jobs"),
                "these are options of assay mcp",
            ),
            "--on": 'assay mcp --run "--on X" gives every run such options',
            **dict.fromkeys(("--rate", "--rater"), _RATING),
            "--explanations": "explanations in a folder explanations next to the store are listed",
        },
        "mcp": {
            "--token-file": _TOKENS,
            "--on": 'assay mcp --run "--on X" gives every run such options',
        },
        "preregister": {
            "--looks": "a study has one frozen look; more seeds are a new look",
            "--sign": "ssh-keygen -Y sign signs the .prereg.json; publish the signature",
        },
    }
)
"""Verb → option → what to use instead."""


def instead(words: Sequence[str]) -> str | None:
    """Say what to use instead of a removed verb or option, or return None where these words have
    neither."""
    verb, *rest = words or [""]
    if verb in RENAMED:
        typed = shlex.join([RENAMED[verb], *rest])
        return f"assay {verb} is now called {RENAMED[verb]}; type: assay {typed}"
    if verb in VERBS:
        return f"assay {verb} was removed; {VERBS[verb]}"
    options = OPTIONS.get(verb, {})
    typed = next((word.partition("=")[0] for word in rest if word.partition("=")[0] in options), "")
    return f"assay {verb} {typed} was removed; {options[typed]}" if typed else None
