"""The options that verbs share, and what they stand for: a store, an experiment with its preset, an
executor."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from assay.core.experiment import Experiment
from assay.lab import catalogue

if TYPE_CHECKING:
    from assay.lab.lab import Lab
    from assay.lab.plan.preset import Preset

Bare = Parameter(
    negative="", show_default=False
)  # no --no-… and --empty-… twins, no [default: False]
Flat = Parameter(name="*")  # the fields of a dataclass as options, each by its own name
MORE = Group("More options", sort_key=50)
"""Options that --help leaves out and --help-all shows."""
More = Parameter(group=MORE)
Flag = Annotated[bool, Bare]
Several = Annotated[tuple[str, ...], Bare]
Name = Annotated[
    str,
    Parameter(
        help="The name of an experiment (`assay list`), or the path of a study (.toml or .md) or "
        "of an experiment (.py)."
    ),
]
Outcome = Literal["holds", "fails", "unspecific", "undecided"]
Expected = Annotated[
    Outcome | None, Parameter(help="Exit with 1 unless every claim has this outcome.")
]
Device = Annotated[str, Parameter(help="Where the model runs: cpu, cuda, cuda:1.")]
A_MODEL = "smollm2, gemma3-270m, a model's folder, or a hub's OWNER/NAME (assay fetch)"
A_TEXT = "stdlib, docs (docstrings), or a folder of text files"
Model = Annotated[str, Parameter(help=f"{A_MODEL}.")]
Text = Annotated[str, Parameter(help=f"{A_TEXT}.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Output:
    """How a verb prints."""

    json: Flag = False
    """Print one JSON object on standard output, and progress on standard error."""
    schema: Annotated[Flag, More] = False
    """Print the JSON schema of that object, and run nothing."""


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How a text is read; what is not given comes from each dictionary's own file."""

    context: Annotated[int | None, More] = None
    """Tokens in a window, including a BOS; 128 if the file does not say."""
    bos: Annotated[bool | None, More] = None
    """Whether each window starts with the model's BOS token. By default as in the dictionary's
    file, or as the model's tokenizer does."""
    skip_first: Annotated[int, More] = 1
    """Positions at the start of each window that are left out."""
    outlier: Annotated[float, More] = 6.0
    """Activations longer than this many times the median are left out too; 0: none."""
    part: Annotated[Literal["auto", "all", "train", "validation", "test"], More] = "auto"
    """The part of the text; files are split by the hash of their path. auto: the test part if the
    dictionary was trained on this text, otherwise all."""
    site_out: Annotated[str, More] = ""
    """The site that a transcoder reconstructs."""
    dtype: Annotated[Literal["float32", "bfloat16"], More] = "float32"
    """The number format in which the model computes."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Place:
    """Where results are kept."""

    root: Annotated[Path, Parameter(env_var="ASSAY_ROOT")] = Path("assay-store")
    """The folder of the store, which keeps runs, results and artefacts."""

    @property
    def options(self) -> str:
        """What to type after a verb to use the same store, with a space before it; "" where it is
        the usual one."""
        usual = Path(os.environ.get("ASSAY_ROOT") or "assay-store")
        return "" if self.root == usual else f" --root {shlex.quote(str(self.root))}"

    def lab(self) -> Lab:
        """Make a lab on the store, for reading."""
        from assay.lab.engines import Inline
        from assay.lab.lab import Lab

        return Lab(self.root, Inline())


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which runs are meant."""

    preset: str = "default"
    """smoke: seconds, to check that everything works; default: minutes on two cores. Some
    experiments have more presets, such as docs: the same claims on another text."""
    set: Several = ()
    """field=value: change a field. The result is stored next to the default one. Repeatable. Some
    fields take several values (penalty=0.1,0.3) or a range (seed=1000:1016); assay list NAME shows
    the fields. without=ARM leaves out an arm that no claim names."""
    each: Annotated[Flag, More] = False
    """Judge each claim of a study by itself. By default, if several claims ask for the same
    quantity along a sweep, their intervals hold for all of them at once."""

    def of(self, name: str) -> tuple[Experiment, Preset]:
        """Find the experiment of this name or file, and its preset with the fields that were
        set."""
        from assay.lab.plan.preset import override

        experiment = catalogue.find(name)
        if self.each:
            from assay.lab.judge import families

            experiment = families.each(experiment)
        preset = override(experiment, self.preset, self.set)
        return experiment.sized(preset.specs), preset


HERE, DEFAULT = Place(), Choice()
"""What verbs go by where nothing was typed."""
