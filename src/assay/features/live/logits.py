"""What parts of the residual stream do to the logits through the final norm: exactly, or with the
norm's divisor held still."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float

from assay.core.heavy import torch
from assay.subjects.pretrained import Pretrained
from assay.subjects.readout import Norm, final_norm


@dataclass(frozen=True, eq=False)
class Unembedding:
    """The way from the stream to the logits: norm, gain and matrix. A LayerNorm's bias is left out:
    it cancels in differences."""

    W_U: Float[torch.Tensor, "v d"]
    gain: Float[torch.Tensor, "d"]
    norm: Norm | None
    """Without one, parts act on the logits as they are."""

    @classmethod
    def of(cls, subject: Pretrained) -> Unembedding:
        """That of a model. Raises: ModelError where its norm is neither LayerNorm nor RMSNorm."""
        return cls(
            subject.model.get_output_embeddings().weight.detach().float(),
            subject.gain,
            final_norm(subject),
        )

    def exact(
        self, part: Float[torch.Tensor, "n d"], x: Float[torch.Tensor, "n d"]
    ) -> Float[torch.Tensor, "n v"]:
        """Logits of the stream x less those without the part, centred.

        Formula: W_U [N(x) − N(x − part)], less its mean over the vocabulary
        """
        return self.centred(part if self.norm is None else self.norm.exact(part, x))

    def frozen(
        self, part: Float[torch.Tensor, "n d"], x: Float[torch.Tensor, "n d"]
    ) -> Float[torch.Tensor, "n v"]:
        """That difference with the norm's divisor held at that of x, centred.

        Formula: W_U Γ P part / σ(x), less its mean over the vocabulary
        """
        return self.centred(part if self.norm is None else self.norm.frozen(part, x))

    def linear(self, rows: Float[torch.Tensor, "n d"]) -> Float[torch.Tensor, "n v"]:
        """Logits of directions without the norm's division, not centred.

        Formula: W_U Γ P row
        """
        return ((rows if self.norm is None else self.norm.project(rows)) * self.gain) @ self.W_U.T

    def centred(self, e: Float[torch.Tensor, "n d"]) -> Float[torch.Tensor, "n v"]:
        """Logits of what the norm gives before its gain, less their mean over the vocabulary, which
        softmax ignores."""
        logits = (e * self.gain) @ self.W_U.T
        return logits - logits.mean(-1, keepdim=True)


def log_probability_changes(
    logits: Float[torch.Tensor, "n v"], difference: Float[torch.Tensor, "n v"]
) -> Float[torch.Tensor, "n v"]:
    """ΔCE of every possible next token when `difference` is taken off the logits, nats; above 0
    what was taken off helped it.

    Formula: log softmax(logits) − log softmax(logits − difference)
    Source: callummcdougall/sae_vis, the loss effect of a feature
    Differs: sae_vis shows the opposite sign
    """
    return logits.log_softmax(-1) - (logits - difference).log_softmax(-1)
