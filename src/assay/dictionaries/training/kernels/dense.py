"""Dense steps: gradients written by hand through dense products, about a quarter cheaper than
autograd's, as there is no gradient for x.

One step serves every loss: features are selected, decoded, and feel the error; what a loss charges
beside the squared error is a function of its own. Two losses have steps of their own: Gated, whose
two decodes are one product, and Matryoshka, whose reconstructions are nested. Products and what
lies between them run in `dtype`; errors, losses and the gradients that `in_chunks` gives are
float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from jaxtyping import Float

from assay.core.heavy import torch
from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.kernels.parts import (
    error_of,
    gradients,
    mean_square,
    output_gradient,
    plus_share,
    revival,
    transposed_product,
    unit_parts,
    where_positive,
)
from assay.dictionaries.training.kernels.reference import NOTHING, Step, StepInput
from assay.dictionaries.training.losses import EffectPenalty, Loss


@dataclass(eq=False)
class Batch(StepInput):
    """A batch of several runs: what a step is computed from, and what follows from it."""

    centred: Float[torch.Tensor, "run b d"] = field(init=False)
    """x − b_dec in the precision of products."""
    decoder: Float[torch.Tensor, "run f d"] = field(init=False)
    """The decoder in the precision of products."""
    pre: Float[torch.Tensor, "run b f"] = field(init=False)
    """π, the projections with their bias; nothing but AuxK reads it after `select`."""
    features: Float[torch.Tensor, "run b f"] = field(init=False)
    error: Float[torch.Tensor, "run b d"] = field(init=False)
    """Reconstruction less input."""

    def __post_init__(self) -> None:
        # Centred before it is rounded: where activations lie far from 0, bfloat16 would round away
        # what differs.
        self.centred = (self.x - self.params["b_dec"][:, None]).to(self.dtype)
        self.decoder = self.params["W_dec"].to(self.dtype)

    def project(self) -> None:
        """Set `pre`."""
        # The bias is added within the product, and features may take this memory: no second array
        # of [run, b, f].
        bias = self.params["b_enc"][:, None].to(self.dtype)
        self.pre = torch.baddbmm(bias, self.centred, self.params["W_enc"].to(self.dtype).mT)

    def select(self) -> None:
        """Set `features` to what the nonlinearity makes of `pre`."""
        pre, kind = self.pre, self.nonlinearity
        if isinstance(kind, ReLU):
            self.features = pre.relu_()
        elif isinstance(kind, JumpReLU):
            self.features = pre * (pre > self.params["threshold"][:, None])
        elif isinstance(kind, TopK) and (
            self.loss is losses.mse or isinstance(self.loss, EffectPenalty)
        ):
            values, index = pre.topk(kind.k, dim=-1, sorted=False)
            self.features = pre.zero_().scatter_(-1, index, values.relu_())
        else:
            # b_enc is in the product already, so that the nonlinearity is given a bias of 0.
            bias = torch.zeros_like(self.params["b_enc"], dtype=self.dtype)
            self.features = kind(pre, bias, self.params)

    @cached_property
    def grad(self) -> Float[torch.Tensor, "run b d"]:
        """The gradient of the squared error in the reconstruction."""
        return output_gradient(self.error, self.dtype)

    @cached_property
    def felt(self) -> Float[torch.Tensor, "run b f"]:
        """The loss's gradient in the features, whether on or off: at first the squared error's, to
        which a charge adds its own in place."""
        return self.grad @ self.decoder.mT

    @cached_property
    def l0(self) -> Float[torch.Tensor, " run"]:
        """Features on in a row, on average."""
        return self.features.sign().sum(-1).float().mean(-1)  # five times faster than counting

    @property
    def share(self) -> Float[torch.Tensor, " run"]:
        """λ/(b √d), the gradient of an L1 penalty at a feature of one row."""
        return self.penalty / (self.x.shape[-2] * self.x.shape[-1] ** 0.5)


Charge = tuple[torch.Tensor, Mapping[str, torch.Tensor]]
"""What a loss adds to the squared error: its value [run], and its gradients of parameters beyond
those that features pass on."""


@torch.no_grad()
def dense(step: StepInput) -> Step:
    """The loss [run] and its gradients, for a loss and a nonlinearity that `charge_for` knows."""
    batch = Batch.of(step)
    if isinstance(step.nonlinearity, Gated):
        return _gated(batch)
    batch.project()
    batch.select()
    if isinstance(step.loss, losses.Matryoshka):
        return _nested(batch)
    batch.error = error_of(step.params, step.x, batch.features @ batch.decoder)
    charge = charge_for(step.loss)
    value, own = charge(batch) if charge else (None, NOTHING)
    # The charge is added everywhere, then masked along with the rest: cheaper than to add it where
    # features are on.
    pull = where_positive(batch.felt, batch.features, 0)
    del batch.felt  # its memory serves the gradients
    # AuxK takes the error as a constant: it moves dead latents, and adds nothing to `grad`.
    aux = _Aux(batch)
    # After the mask, which would wipe it out: a dead latent is off in nearly every row of
    # `features`.
    aux.add_to(pull)
    grads = gradients(step.params, batch.centred, batch.features, batch.error, batch.grad, pull)
    for name, gradient in own.items():
        grads[name] = grads[name].float() + gradient if name in grads else gradient
    aux.add_to_decoder(grads)
    return _curves(batch, aux.loss if value is None else value), grads


def charge_for(loss: Loss) -> Callable[[Batch], Charge] | None:
    """What a loss charges beside the squared error; None: nothing."""
    if loss is losses.l1:
        return _l1
    if loss is losses.jumprelu:
        return _l0
    kinds = {losses.L1Weighted: _by_length, EffectPenalty: _effect}
    return kinds.get(type(loss))


def _l1(batch: Batch) -> Charge:
    # ∂L/∂π = (2/(b d) e W_decᵀ + λ/(b √d)) · 1[f > 0].
    plus_share(batch.felt, batch.share)
    return _summed(batch, batch.features), {}


def _summed(batch: Batch, codes: Float[torch.Tensor, "run b f"]) -> Float[torch.Tensor, " run"]:
    b, d = batch.x.shape[-2:]
    return batch.penalty * codes.sum(-1).float().sum(-1) / (b * d**0.5)


def _by_length(batch: Batch) -> Charge:
    # The penalty λ/(b √d) Σ_i f_i Σ_l ‖W_i^l‖ moves features by their row's length, and each part
    # of a row along itself: ∂‖w‖/∂w = w/‖w‖.
    lengths, units = unit_parts(batch.loss.parts, batch.params["W_dec"])  # type: ignore[attr-defined]
    share = batch.share[:, None]
    batch.felt.add_((share * lengths)[:, None].to(batch.dtype))
    total = batch.features.sum(1).float()
    return batch.share * (total * lengths).sum(-1), {"W_dec": (share * total)[..., None] * units}


def _effect(batch: Batch) -> Charge:
    W_dec, features = batch.params["W_dec"], batch.features
    images = batch.loss.images(W_dec)  # type: ignore[attr-defined] # rows in their block's metric
    # λ/b Σ f² wᵀMw: its slope in f is 2λ/b f wᵀMw, in w it is 2λ/b f² Mw, M being symmetric.
    price, share = (images * W_dec).sum(-1), 2 * batch.penalty / batch.x.shape[-2]
    slope = features * (share[:, None] * price)[:, None].to(batch.dtype)
    batch.felt = torch.baddbmm(slope, batch.grad, batch.decoder.mT)
    squares = features.square().sum(1).float()
    value = share / 2 * (squares * price).sum(-1)
    return value, {"W_dec": (share[:, None] * squares)[..., None] * images}


def _l0(batch: Batch) -> Charge:
    assert isinstance(batch.nonlinearity, JumpReLU)
    width, threshold = batch.nonlinearity.bandwidth, batch.params["threshold"]
    # K(u) of `JumpReLU`, the rectangle kernel: with ε the bandwidth, ∂f/∂θ = −θ/ε K and ∂1[π >
    # θ]/∂θ = −K/ε. A step has no slope in π, so λ moves the thresholds and nothing else.
    # Thresholds are at least 0, hence f > 0 is the same as π > θ.
    near = ((batch.pre - threshold[:, None]).abs() <= width / 2).to(batch.dtype)
    # Σ over rows of (∂L/∂f · ∂f/∂θ + λ/b · ∂1[π > θ]/∂θ)
    moved = threshold * (batch.felt * near).sum(1).float()
    counted = batch.penalty[:, None] / batch.x.shape[-2] * near.sum(1).float()
    return batch.penalty * batch.l0, {"threshold": -(moved + counted) / width}


class _Aux:
    """α times AuxK of each run that has dead latents: its value and what it adds to the
    gradients."""

    def __init__(self, batch: Batch):
        error, idle = batch.error, batch.more.get("idle")
        # Run by run: each has dead latents of its own, in number too. A run without any takes no
        # part, whatever its neighbours have.
        self.revivals = {
            r: its
            for r, idle_run in enumerate(() if idle is None else idle)
            if (its := revival(batch.loss, error[r], batch.pre[r], batch.decoder[r], idle_run))
        }
        self.loss: torch.Tensor | float = 0.0
        if self.revivals:
            self.loss = torch.zeros_like(error[:, 0, 0])
        for r, its in self.revivals.items():
            self.loss[r] = its.loss  # type: ignore[index]

    def add_to(self, pull: Float[torch.Tensor, "run b f"]) -> None:
        """Add the gradients of the projections, in place."""
        for r, its in self.revivals.items():
            pull[r].index_add_(-1, its.columns, its.pull)

    def add_to_decoder(self, grads: dict[str, torch.Tensor]) -> None:
        """Add the gradients of the decoder, in place."""
        for r, its in self.revivals.items():
            grads["W_dec"][r].index_add_(0, its.columns, its.decoder.to(grads["W_dec"].dtype))


def _curves(
    batch: Batch, more: torch.Tensor | float, others: Sequence[torch.Tensor] = ()
) -> dict[str, torch.Tensor]:
    """The training curves [run], loss, mse and L0, and what is noted of the features. The loss is
    the mean squared error, what there is `more`, and the squares of `others` errors."""
    mse = mean_square(batch.error)
    loss = sum((mean_square(error) for error in others), mse + more)
    series = {"loss": loss, "mse": mse, "l0": batch.l0}
    return series | dict(batch.note(batch.features)) if batch.note else series


def _gated(batch: Batch) -> Step:
    """`losses.gated` or `losses.gated_no_aux`, and its gradients."""
    params, x, dtype = batch.params, batch.x, batch.dtype
    b, aux = x.shape[-2], batch.loss is losses.gated
    z = batch.centred @ params["W_enc"].to(dtype).mT
    stretch = params["r_mag"].exp()[:, None].to(dtype)
    # codes of both reconstructions, for one product: rows 0 … b are the features, rows b … 2b the
    # gate itself
    codes = torch.empty((len(z), 2 * b if aux else b, z.shape[-1]), dtype=dtype, device=z.device)
    # Views of `codes`: what is written to them below is what the product reads.
    features, gate = codes[:, :b], codes[:, b:] if aux else torch.empty_like(z)
    torch.add(z, params["b_enc"][:, None].to(dtype), out=gate).relu_()
    magnitude = torch.addcmul(params["b_mag"][:, None].to(dtype), z, stretch).relu_()
    # `where_positive` is made for gradients, but is what a hard gate does: the magnitude where
    # π_gate > 0, 0 elsewhere.
    features.copy_(where_positive(magnitude, gate, 0))
    errors = [error_of(params, x, part) for part in (codes @ batch.decoder).split(b, 1)]
    batch.features, batch.error = features, errors[0]
    grad = torch.cat([output_gradient(error, dtype) for error in errors], 1)
    pulls = grad @ batch.decoder.mT
    # The Heaviside lets no gradient through to the gate; penalty and auxiliary term alone move it.
    pull = where_positive(pulls[:, :b], features, 0)
    moved = plus_share(pulls[:, b:] if aux else torch.zeros_like(gate), batch.share)
    pull_gate = where_positive(moved, gate, 0)
    # one projection, two ways to it: the magnitude's through exp(r_mag), the gate's directly
    both = torch.addcmul(pull_gate, pull, stretch)
    # Decoder and b_dec are frozen in the auxiliary term, hence the first error and the first half
    # of `grad`; the encoder, and b_dec as what it takes from x, are not, hence `both`.
    grads = gradients(params, batch.centred, features, errors[0], grad[:, :b], both)
    # Each path has a bias of its own, so that the b_enc of `gradients`, the sum of both, is
    # replaced.
    grads |= {"b_enc": pull_gate.sum(1).float(), "b_mag": pull.sum(1).float()}
    # ∂f/∂r_mag = exp(r_mag) z. In place, and therefore last: `pull` is gone afterwards.
    grads["r_mag"] = stretch[:, 0] * pull.mul_(z).sum(1).float()
    return _curves(batch, _summed(batch, gate), errors[1:]), grads


def _nested(batch: Batch) -> Step:
    """`losses.Matryoshka` with TopK or BatchTopK, and its gradients.

    A latent between two prefixes is part of every reconstruction from there on, so it feels the sum
    of their gradients; products run over one stretch of latents at a time, and all stretches
    together cost what one plain step costs."""
    params, x, decoder, features = batch.params, batch.x, batch.decoder, batch.features
    ends = batch.loss.prefixes  # type: ignore[attr-defined]
    stretches = [slice(a, b) for a, b in zip((0, *ends), ends, strict=False)]
    # L = Σ_m ‖e_m‖²/(b d), and e_m = e_{m−1} + f_m W_m over the stretch m alone.
    errors, error = [], params["b_dec"][:, None] - x
    for stretch in stretches:
        error = error + features[..., stretch] @ decoder[:, stretch]
        errors.append(error)
    batch.error = error
    # The last prefix is the whole width, so that every column is written below.
    pull, W_dec = torch.empty_like(features), torch.empty_like(decoder)
    # ∂L/∂f_m = 2/(b d) · (Σ_{m' ≥ m} e_m') W_mᵀ: from the last stretch back the sum grows by one
    # error at a time.
    felt = torch.zeros_like(error)
    for stretch, its in zip(reversed(stretches), reversed(errors), strict=True):
        felt += its
        grad = output_gradient(felt, batch.dtype)
        pull[..., stretch] = where_positive(
            grad @ decoder[:, stretch].mT, features[..., stretch], 0
        )
        W_dec[:, stretch] = transposed_product(features[..., stretch], grad)
    aux = _Aux(batch)
    aux.add_to(pull)
    b_enc = pull.sum(1).float()
    grads = {
        "W_enc": transposed_product(pull, batch.centred),
        "b_enc": b_enc,
        "W_dec": W_dec,
        # b_dec is part of every reconstruction, and by now `felt` is the sum of all errors.
        "b_dec": felt.sum(1) * (2 / (x.shape[-2] * x.shape[-1]))
        - (b_enc[:, None] @ params["W_enc"])[:, 0],
    }
    aux.add_to_decoder(grads)
    series = _curves(batch, 0.0)
    series["loss"] = sum((mean_square(e) for e in errors), aux.loss)  # type: ignore[assignment]
    return series, grads
