"""JumpReLU: a threshold of its own for each feature, trained by a straight-through estimate of the
gradient."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.nonlinearity import Bias, ByFeature, Own


@dataclass(frozen=True)
class JumpReLU:
    """f = π · 1[π > threshold] with π = z + b_enc: what is on keeps its whole size. For thresholds
    of at least 0 that is a ReLU cut off.

    The jump has no derivative in the threshold, so training takes an estimate in its place: with u
    = (π − threshold) / bandwidth and K(u) = 1[|u| ≤ 1/2], ∂f/∂threshold = −(threshold / bandwidth)
    K(u) and ∂1[π > threshold]/∂threshold = −K(u) / bandwidth. The gradient in π is exact: 1[π >
    threshold] for f, and 0 for the step.
    Source: Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU Sparse Autoencoders
    (2024), section 3
    Differs: the threshold itself is trained, not its logarithm, which leaves small thresholds where
    they are; it stays at least 0
    Example:
        >>> import torch
        >>> from assay.dictionaries import JumpReLU
        >>> z, b_enc = torch.tensor([[[0.5, 3.0]]]), torch.zeros(1, 2)
        >>> JumpReLU()(z, b_enc, {"threshold": torch.ones(1, 2)})  # 3, not 3 − 1
        tensor([[[0., 3.]]])
    """

    bandwidth: float = 0.03
    """Width of the window in which the gradient of the jump is felt, in units of features."""
    start: float = 0.03
    """Threshold of every feature before training. Published: .001 for inputs of mean squared norm
    1, .001·√d for those of d."""

    def __post_init__(self):
        if self.bandwidth <= 0 or self.start < 0:
            raise DataError(
                "JumpReLU needs a bandwidth above 0 and a start of at least 0, got "
                f"bandwidth={self.bandwidth} and start={self.start}"
            )

    def init(self, runs: int, f: int) -> dict[str, torch.Tensor]:
        """threshold, the same for all features."""
        return {"threshold": torch.full((runs, f), float(self.start))}

    def confine(self, parameters: Own) -> None:
        """Bring thresholds back to at least 0, in place, after a step: below 0 a feature would be
        negative."""
        parameters["threshold"].clamp_(min=0)

    def __call__(self, z: ByFeature, b_enc: Bias, parameters: Own) -> ByFeature:
        """Features [run, b, f]."""
        pre, threshold = z + b_enc[:, None], parameters["threshold"][:, None]
        features = pre * (pre > threshold)
        if not threshold.requires_grad:
            return features
        # Straight through: what is taken away is 0, its gradient is −(θ/ε) K(u). A value is not
        # moved, so training sees the features that reading gives.
        return features - threshold.detach() / self.bandwidth * self._window(
            pre, threshold
        ) * _only_gradient(threshold)

    def opened(self, z: ByFeature, b_enc: Bias, parameters: Own) -> ByFeature:
        """1 where a feature is on, 0 elsewhere, [run, b, f]; its sum is L0, with the estimated
        gradient in the threshold.

        Args:
            z: projections without their bias, [run, b, f].
            b_enc: bias of the encoder, [run, f].
            parameters: `threshold` [run, f].
        Example:
            >>> import torch
            >>> from assay.dictionaries import JumpReLU
            >>> z, b_enc = torch.tensor([[[0.5, 3.0]]]), torch.zeros(1, 2)
            >>> JumpReLU().opened(z, b_enc, {"threshold": torch.ones(1, 2)})
            tensor([[[0., 1.]]])
        """
        pre, threshold = z + b_enc[:, None], parameters["threshold"][:, None]
        on = (pre > threshold).to(pre.dtype)
        if not threshold.requires_grad:
            return on
        return on - self._window(pre, threshold) / self.bandwidth * _only_gradient(threshold)

    def _window(self, pre: torch.Tensor, threshold: torch.Tensor) -> Bool[torch.Tensor, "run b f"]:
        """Where the pre-activation, not the gated feature, is near its threshold: both halves of
        the window count."""
        return (pre.detach() - threshold.detach()).abs() <= self.bandwidth / 2


def _only_gradient(value: torch.Tensor) -> torch.Tensor:
    """Exactly 0, with the gradient of `value`."""
    return value - value.detach()
