"""What tests of planted worlds share: an experiment's claim by its first words, the measures of all
arms of a world, and what is decided there."""

from collections.abc import Mapping
from typing import Any, ClassVar

from assay.core.claims import Claim, Finding
from assay.core.estimates import estimate
from assay.core.experiment import Experiment
from assay.core.judging import judge
from assay.lab.judge.result import with_derived


class Planted:
    """A world in which `measures(arm)` are those that runs of the default preset would have."""

    experiment: ClassVar[Experiment]

    def __init_subclass__(cls, of: Experiment) -> None:
        cls.experiment = of

    def measures(self, arm: str) -> Any:
        raise NotImplementedError

    def arms(self) -> dict:
        """The measures of every arm that trains, and the derived ones by the experiment's code."""
        trained = [name for name, arm in self.experiment.arms.items() if arm.train is not None]
        return with_derived(self.experiment, {name: self.measures(name) for name in trained})


def claim_of(experiment: Experiment, start: str) -> Claim:
    """Find the one claim of an experiment whose text starts so."""
    [found] = [
        claim
        for claim in experiment.claims
        if isinstance(claim, Claim) and claim.text.startswith(start)
    ]
    return found


def outcome_of(experiment: Experiment, start: str, arms: Mapping) -> tuple[str, str]:
    """What comes out for the claim that starts so, and why."""
    verdict = judge(claim_of(experiment, start), arms).verdict
    return verdict.outcome, verdict.reason


def findings(experiment: Experiment, arms: Mapping) -> dict[str, float]:
    """{text: estimate} of every finding."""
    of = [statement for statement in experiment.claims if isinstance(statement, Finding)]
    return {finding.text: estimate(finding, arms).estimate for finding in of}
