"""Direct logit attribution: the number divided among the parts that wrote to the stream, as the
final norm divided it."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float

from assay.circuits.find.question import Question
from assay.circuits.find.terms import constant, normed_terms
from assay.core.heavy import torch
from assay.subjects.parts import Part, Reader


@dataclass(frozen=True, eq=False)
class Direct:
    """What each part adds to the number by itself, through no later part."""

    of: dict[Part, Float[torch.Tensor, "run b"]]
    rest: Float[torch.Tensor, "run b"]
    """What biases of attention and the final norm's own bias add."""

    @property
    def total(self) -> Float[torch.Tensor, "run b"]:
        """All of it: the number itself."""
        return torch.stack([*self.of.values(), self.rest]).sum(0)


def direct(q: Question) -> Direct:
    """Divide the number of each input among the parts; the final norm's divisor is held where it
    is.

    Formula: Σ_v w_v (c(x_p)/σ · gain) W_U, of what part p wrote, x_p; c takes the mean off where
    the norm does
    Source: Elhage et al. 2021, A Mathematical Framework for Transformer Circuits; the divisor held:
    Nanda's TransformerLens."""
    terms = normed_terms(q.params, q.clean, Reader("logits"))
    unembed = q.params["W_U"] if "W_U" in q.params else q.params["W_E"].mT
    pull = torch.einsum(
        "bsv,rdv->rbsd", q.weights.to(unembed), unembed
    )  # what one unit of each coordinate is worth
    # The number is linear in the logits, and these in the normed stream at a held divisor: one
    # vector `pull` for all parts, and no pass beyond the clean one.
    by_part = {part: torch.einsum("rbsd,rbsd->rb", x, pull) for part, x in terms.items()}
    return Direct(
        by_part, torch.einsum("rbsd,rbsd->rb", constant(q.params, q.clean, Reader("logits")), pull)
    )
