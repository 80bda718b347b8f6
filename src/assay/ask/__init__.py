"""Ask: studies about a named model. A study is read from its text, or built from values in Python,
and composed into an experiment. The modules of `measure` turn its prompts and models into
numbers."""

from typing import TYPE_CHECKING

from assay.core.heavy import lazy

if TYPE_CHECKING:
    from assay.ask.running import Study  # noqa: F401
    from assay.ask.tables import (  # noqa: F401
        Block,
        Diff,
        Direction,
        Intervention,
        Message,
        Model,
        Path,
        Probe,
        Prompts,
        Read,
        Top,
        Train,
    )
    from assay.ask.text import ClaimEntry as Claim  # noqa: F401
    from assay.ask.text import EstimateEntry as Estimate  # noqa: F401
    from assay.ask.text import Part as Experiment  # noqa: F401
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
