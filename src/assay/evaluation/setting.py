"""What an evaluation is asked for, and the names under which its parts are stored: all that changes
a number, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from assay.core.errors import SpecError
from assay.core.spec import Spec

Part = Literal["auto", "all", "train", "validation", "test"]
TOGETHER = 4e9
"""Bytes of weights, at most, of dictionaries that are held at once and share a pass."""
VERSION = 1
"""Raised when the same files and settings come to mean other numbers: what was stored before is
then not found."""


@dataclass(frozen=True, kw_only=True)
class ReadingSetting(Spec):
    """How a dictionary is held to a model's text. What is left open (None, "") comes from its own
    file."""

    context: int | None = None
    """Tokens in a window, a BOS included; None: what the dictionary's file says, else 128."""
    bos: bool | None = None
    """Whether every window starts with the model's BOS token; None: what the dictionary's file
    says, else what the model's tokenizer does."""
    skip_first: Annotated[int, Ge(0)] = 1
    """Positions at the start of each window that are left out of every measure and never
    replaced."""
    outlier: Annotated[float, Ge(0)] = 6.0
    """Activations longer than this many medians are left out as well; 0: none is."""
    part: Part = "auto"
    """Which part of the text; auto: the test part where the dictionary was trained on this text,
    else all of it."""
    site: str = ""
    """Where activations are read, such as "blocks.9.hook_resid_post"; "": where the file says."""
    site_out: str = ""
    """Where a transcoder's reconstruction belongs; "": where the file says."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What the model computes in; sums are in float64 in any case."""

    def check(self) -> None:
        """Raise SpecError for a window of which nothing is left."""
        if self.context is not None and self.context < max(2, self.skip_first + 2):
            raise SpecError(
                f"context must be at least {max(2, self.skip_first + 2)} tokens, got {self.context}"
            )


@dataclass(frozen=True, kw_only=True)
class Setting(ReadingSetting):
    """How dictionaries are evaluated."""

    seed: int = 0
    """Seed of the choice of windows, and of what resample ablation puts in."""
    tokens: Annotated[int, Ge(1)] = 110_000
    """Tokens that the model reads, at most; fewer where the text ends."""
    ablation_tokens: Annotated[int, Ge(0)] = 12_500
    """Tokens on which the loss is measured with the site ablated; recovered shares are over
    these."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSpec(Spec):
    """The whole evaluation of one dictionary: files by their hashes, and the setting as it was
    given."""

    dictionary: str
    model: str = ""
    data: str
    """Fingerprint of the corpus."""
    setting: Setting
    version: int = 3
    """2: with what it is compared with; 3: no share of a loss that nothing is shown to cost. The
    sums of shards stay as they were."""


@dataclass(frozen=True, kw_only=True)
class EvaluationDocumentsSpec(Spec):
    """The sums of one evaluation over each document."""

    of: EvaluationSpec


@dataclass(frozen=True, kw_only=True)
class EvaluationTextSpec(Spec):
    """The windows of one part of a text for one tokenizer."""

    model: str
    corpus: str
    part: Literal["all", "train", "validation", "test"]
    tokens: int
    context: int
    bos: bool
    version: int = 2


@dataclass(frozen=True, kw_only=True)
class EvaluationSiteSpec(Spec):
    """What is worked out once per site: outlier limits, the mean, and donors for resampling."""

    of: EvaluationTextSpec | None = None
    acts: str = ""
    """Always empty; it is part of the keys of what is stored."""
    site: str = ""
    site_out: str = ""
    dtype: str = "float32"
    skip_first: int = 1
    outlier: float = 6.0
    ablation_tokens: int = 0
    version: int = VERSION


@dataclass(frozen=True, kw_only=True)
class CentredSiteSpec(EvaluationSiteSpec):
    """Give the same of activations less their own mean over dimensions: of a model whose writing
    weights are centred, as a dictionary's file may ask for."""


@dataclass(frozen=True, kw_only=True)
class EvaluationReferenceSpec(Spec):
    """One shard's sums that are the same for every dictionary: of the activations, and of the
    losses clean and ablated."""

    of: EvaluationSiteSpec
    shard: int


@dataclass(frozen=True, kw_only=True)
class EvaluationShardSpec(Spec):
    """One shard's sums of one dictionary."""

    of: EvaluationReferenceSpec
    dictionary: str


@dataclass(frozen=True, kw_only=True)
class EvaluationBaselineSpec(Spec):
    """How one dictionary compares with its baselines at a site."""

    of: EvaluationSiteSpec
    dictionary: str
    version: int = 2
    """2: no share of a loss that nothing is shown to cost."""
