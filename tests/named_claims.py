"""A claim of an experiment by its first words."""

from assay.core.claims import Claim
from assay.core.experiment import Experiment


def claim_of(experiment: Experiment, start: str) -> Claim:
    """Find the one claim of an experiment whose text starts so."""
    [found] = [
        claim
        for claim in experiment.claims
        if isinstance(claim, Claim) and claim.text.startswith(start)
    ]
    return found
