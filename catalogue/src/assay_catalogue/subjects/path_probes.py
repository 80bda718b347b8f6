"""Paths to the logits: what a change of the stream behind a block does to them directly, and what
through later blocks, at all later tokens.

A change v behind a block, at token t, moves the logits at token t by D v directly, and at every
token s ≥ t by J_s v in all, both in coordinates Lᵀ· whose length is that of centred logits
(`readout.py`). With independent standard normal numbers u_s at every token, g = Σ_s J_sᵀ u_s is
what one pass back leaves at t, for all t and all blocks at once, and

    E (g·v)² = Σ_s ‖J_s v‖²,   E (Dᵀu_t·v)² = ‖D v‖²,   E (g·v)(Dᵀu_t·v) = ⟨J_t v, D v⟩

so that one pass measures every direction; the indirect effect is g − Dᵀu. The final norm is
linearised in one of two ways: its divisor is held where it is ("frozen"), or moves along its
tangent ("jacobian"). `ablated` takes parts out for real, with the norm as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.train.rng import normal
from assay_catalogue.analysis.readout import LinearisedNorm, Readout

Linear = Literal["frozen", "jacobian"]
NORMS: tuple[Linear, ...] = ("frozen", "jacobian")
"""Ways to linearise the final norm."""


@dataclass(frozen=True, eq=False)
class Probes:
    """What random pulls on the logits leave at each token behind each block, one draw of them."""

    direct: dict[Linear, Float[torch.Tensor, "w s d"]]
    """Dᵀu, the same for every block."""
    total: dict[Linear, Float[torch.Tensor, "block w s d"]]
    """g, of the blocks that were asked for, in that order."""
    stream: Float[torch.Tensor, "w s d"]
    """What the final norm reads."""


def probe(
    model: Pretrained,
    tokens: Int[torch.Tensor, "w s"],
    blocks: Sequence[int],
    readout: Readout,
    seed: int,
    index: int,
    norms: Sequence[Linear] = NORMS,
) -> Probes:
    """Pull on all logits of these windows at random, and see what comes back behind each of the
    blocks: one pass, and one back for each norm.

    The pulls depend on seed and index alone. Raises: ModelError for a block that the model lacks.
    """
    d, last = len(readout.gain), Site("resid_post", model.layers - 1)
    for block in blocks:
        model.folder.check(Site("resid_post", block))
    # Zeros added behind each block: their gradient is what the pull leaves there, of all blocks in
    # one pass back.
    nothing = [
        torch.zeros(*tokens.shape, d, device=model.device, requires_grad=True) for _ in blocks
    ]
    edits = {
        Site("resid_post", block): _adding(more)
        for block, more in zip(blocks, nothing, strict=True)
    }
    x = (
        model.run(tokens, edits=edits, capture=[last], logits=False, gradients=True)
        .acts[last]
        .float()
        .to(readout.gain.device)
    )
    # E u uᵀ = I: the mean of (g·v)² over pulls is Σ ‖J v‖², by one pull for all directions.
    pull = torch.from_numpy(normal(np.array([seed]), "path-probes", index, tuple(x.shape))[0])
    direct, total = {}, {}
    for kind in norms:
        sigma = readout.sigma(x)
        normed = readout.project(x) / (sigma.detach() if kind == "frozen" else sigma)
        grads = torch.autograd.grad(
            (pull * (normed @ readout.L)).sum(), nothing, retain_graph=True, allow_unused=True
        )
        total[kind] = torch.stack(
            [
                torch.zeros_like(more) if g is None else g
                for g, more in zip(grads, nothing, strict=True)
            ]
        ).to(x.device)
        direct[kind] = pulled_back(pull @ readout.L.T, x.detach(), readout.norm, kind)
    return Probes(direct, total, x.detach())


def _adding(more: torch.Tensor):  # type: ignore[no-untyped-def]
    return lambda x: x + more.to(x)


def pulled_back(
    w: Float[torch.Tensor, "... d"],
    x: Float[torch.Tensor, "... d"],
    norm: LinearisedNorm,
    kind: Linear,
) -> Float[torch.Tensor, "... d"]:
    """The final norm's derivative at x, transposed, on w: it is symmetric, so that the norm's own
    linear versions serve."""
    return norm.frozen(w, x) if kind == "frozen" else norm.jacobian(w, x)


@dataclass(frozen=True, eq=False)
class Metrics:
    """Mean squared effects of directions behind a block, as d × d matrices: uᵀ M u for a direction
    u."""

    direct: Float[torch.Tensor, "d d"]
    """E Dᵀ D over tokens: exact."""
    indirect: Float[torch.Tensor, "d d"]
    """E Σ_s (J_s − D)ᵀ (J_s − D), D only at s = t; estimated from probes."""

    def share(self, rows: Float[torch.Tensor, "*f d"]) -> Float[torch.Tensor, "*f"]:
        """The direct share λ of each direction.

        Formula: λ(u) = uᵀ M_dir u / uᵀ (M_dir + M_ind) u
        Range: 0 to 1; NaN where neither path has an effect, as of a constant before a LayerNorm
        """
        direct_effect, rest = (
            ((rows @ M) * rows).sum(-1).clamp_min(0) for M in (self.direct, self.indirect)
        )
        return direct_effect / (direct_effect + rest)


def metrics(
    model: Pretrained,
    tokens: Int[torch.Tensor, "w s"],
    block: int,
    readout: Readout,
    seed: int,
    draws: int = 2,
    most: int = 64,
) -> Metrics:
    """The mean metrics behind a block over all tokens of these windows but the first of each, the
    norm's divisor held.

    `most` windows are run at once, which changes no number but the pulls.
    """
    count, inverse = 0, 0.0
    rest = torch.zeros(*readout.gram.shape, dtype=torch.float64)
    for draw in range(draws):
        for i, some in enumerate(tokens.split(most)):
            probes = probe(model, some, [block], readout, seed, 1_000_000 * draw + i, ("frozen",))
            # Without the first token of a window, where activations are many times as large.
            g = (probes.total["frozen"][0] - probes.direct["frozen"])[:, 1:].flatten(0, 1).double()
            rest += g.T @ g
            # D = Lᵀ P/σ, so that E DᵀD = P L Lᵀ P · E 1/σ²: the matrix is known, and only the
            # divisor is averaged.
            inverse += float(readout.sigma(probes.stream[:, 1:]).double().pow(-2).sum())
            count += len(g)
    image = readout.project(torch.eye(len(rest))).double() @ readout.L.double()
    return Metrics((image @ image.T * (inverse / count)).float(), (rest / count).float())


@dataclass(frozen=True, eq=False)
class Ablated:
    """What taking parts out behind a block did to the logits, squared lengths summed over the
    tokens from each on."""

    direct: Float[torch.Tensor, " n"]
    indirect: Float[torch.Tensor, " n"]
    exact_direct: Float[torch.Tensor, " n"]
    """Through the final norm as it is, without its divisor held."""
    exact_indirect: Float[torch.Tensor, " n"]


def ablated(
    model: Pretrained,
    block: int,
    tokens: Int[torch.Tensor, "n s"],
    stream: Float[torch.Tensor, "n s d"],
    part: Float[torch.Tensor, "n d"],
    position: Int[torch.Tensor, " n"],
    readout: Readout,
) -> Ablated:
    """Take one part out of the stream behind a block, in each window at one position, and run all
    later blocks.

    The clean run and the changed one go through the same code, so that no part has exactly no
    effect. Of the last block nothing comes
    later: the change at the end is the part. Raises: ModelError where shapes do not fit.
    """
    if not len(tokens) == len(stream) == len(part) == len(position):
        raise ModelError(
            f"one part and one position for each window, got {len(tokens)}, {len(stream)}, "
            f"{len(part)}, {len(position)}"
        )
    row, last = torch.arange(len(part)), Site("resid_post", model.layers - 1)
    changed = stream.clone()
    changed[row, position] -= part

    def ended(resid: torch.Tensor) -> torch.Tensor:
        if block == model.layers - 1:
            return resid
        return (
            model.run(tokens, start=(block + 1, resid), capture=[last], logits=False)
            .acts[last]
            .float()
            .to(stream.device)
        )

    x = ended(stream)
    # Both through `ended`: two ways of running differ by rounding, which would look like an effect.
    change = x - ended(changed)
    position_stream, direct = x[row, position], torch.zeros_like(x)
    effects = []
    for image in (readout.frozen, readout.exact):
        direct.zero_()[row, position] = image(part, position_stream)
        total = image(change, x)
        effects += [direct.square().sum((1, 2)), (total - direct).square().sum((1, 2))]
    return Ablated(*effects)
