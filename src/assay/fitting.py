"""assay.fit: the training loop of `assay.core.fit`, which says so where one dictionary on an array
was meant."""

from functools import wraps
from typing import Any

from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.fit import fit as fit_groups


@wraps(fit_groups)
def fit(*args: Any, **options: Any) -> list[Trained]:
    """See `assay.core.fit.fit`. Raises: SpecError for a nonlinearity, which is no group of runs."""
    first = args[0] if args else None
    if hasattr(first, "init") or "width" in options or "penalty" in options:
        raise SpecError(
            "assay.fit trains groups of runs; for one dictionary on an array: "
            "assay.train_dictionary(ReLU(), acts, width=1024, penalty=0.1)"
        )
    return fit_groups(*args, **options)
