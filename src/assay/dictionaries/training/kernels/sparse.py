"""Sparse steps: after the encoder's product nothing is touched but what is on, in the decoder and
in the gradients of both matrices.

Each is the step of one run, since it is far larger than a cache. Only the encoder's product is in
`dtype`; what comes after it is float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.anneal import PAnneal
from assay.dictionaries.training.auxiliary import Matryoshka
from assay.dictionaries.training.kernels.active import Active, Codes, above, largest
from assay.dictionaries.training.kernels.parts import revival, unit_parts
from assay.dictionaries.training.kernels.reference import NOTHING, Note, Step
from assay.dictionaries.training.kernels.whole import ALONE, Whole
from assay.dictionaries.training.losses import L1Weighted, Loss, Params


def pays(k: int, width: int) -> bool:
    """Whether the sparse step is cheaper than the dense one; a matter of shape alone, so results
    never depend on the machine."""
    return width >= 20 * k


@dataclass(frozen=True, eq=False)
class Batch:
    """One run's batch: what a step is asked, the encoder's product, and what follows from what is
    on in it. Parameters come without their run axis, and a target y may stand elsewhere."""

    loss: Loss
    params: Params
    x: Float[torch.Tensor, "b e"]
    nonlinearity: Nonlinearity
    penalty: Float[torch.Tensor, ""]
    dtype: torch.dtype
    more: Mapping[str, Any] = field(default_factory=dict)
    whole: Whole = ALONE
    """Where the other latents and rows are."""

    @cached_property
    def rows(self) -> int:
        """Rows of the whole batch, of which these may be a part."""
        return self.whole.rows(len(self.x))

    @property
    def elsewhere(self) -> bool:
        """Whether the target is not the input."""
        return self.more.get("y") is not None

    @property
    def target(self) -> Float[torch.Tensor, "b d"]:
        """What is to be reconstructed."""
        return self.more["y"] if self.elsewhere else self.x

    @cached_property
    def centred(self) -> Float[torch.Tensor, "b e"]:
        """The input without what the encoder takes from it."""
        return self.x - self.params["b_pre" if self.elsewhere else "b_dec"]

    @cached_property
    def pre(self) -> Float[torch.Tensor, "b f"]:
        """The projections with their bias, the only product in `dtype`."""
        W_enc, b_enc = (self.params[name].to(self.dtype) for name in ("W_enc", "b_enc"))
        return torch.addmm(b_enc, self.centred.to(self.dtype), W_enc.T)

    def largest(self) -> Int[torch.Tensor, "n"]:
        """The places that TopK or BatchTopK selects, of the whole row or batch, as far as they are
        here."""
        (b, f), nonlinearity = self.pre.shape, self.nonlinearity
        assert isinstance(nonlinearity, TopK | BatchTopK)
        if isinstance(nonlinearity, BatchTopK):
            # The batch as one long row. A rank may have fewer numbers than the whole batch wants.
            count = nonlinearity.k * self.rows
            return self.whole.kept_together(
                largest(self.pre.view(1, b * f), min(count, b * f)), self.pre, count
            )
        return self.whole.kept(largest(self.pre, min(nonlinearity.k, f)), self.pre, nonlinearity.k)

    def active(self, places: Int[torch.Tensor, "n"]) -> Active:
        """What is on at these places."""
        return Active.at(places, *self.pre.shape)

    def error(self, active: Active, values: Float[torch.Tensor, "n"]) -> Float[torch.Tensor, "b d"]:
        """Reconstruction less target."""
        return (
            self.whole.sum_latents(active.decode(values, self.params["W_dec"]))
            .add_(self.params["b_dec"])
            .sub_(self.target)
        )

    def gradient(self, error: Float[torch.Tensor, "b d"]) -> Float[torch.Tensor, "b d"]:
        """The gradient of the mean squared error in the reconstruction."""
        return error * (2 / (self.rows * self.target.shape[1]))

    @cached_property
    def share(self) -> Float[torch.Tensor, ""]:
        """The penalty's gradient at a feature of one row."""
        return self.penalty / (self.rows * self.target.shape[1] ** 0.5)

    def gradients(
        self,
        active: Active,
        values: Float[torch.Tensor, "n"],
        grad: Float[torch.Tensor, "b d"],
        pull: Float[torch.Tensor, "n"],
    ) -> dict[str, torch.Tensor]:
        """Gradients of the parameters from those of the reconstruction (`grad`) and of the
        projections (`pull`)."""
        b_enc, b_dec = active.sums(pull), grad.sum(0)
        return {
            # The same four formulas as `parts.gradients`, with sums over places in the place of
            # products.
            "W_enc": active.gather(pull, self.centred),
            "b_enc": b_enc,
            "W_dec": active.gather(values, grad),
            # the encoder takes away from x what the decoder adds
            "b_dec": b_dec
            if self.elsewhere
            else b_dec - self.whole.sum_latents(b_enc @ self.params["W_enc"]),
        }

    def curves(
        self, active: Active, values: Float[torch.Tensor, "n"], error: Float[torch.Tensor, "b d"]
    ) -> tuple[Codes, dict[str, torch.Tensor]]:
        """The code, and loss, mse and L0. A number that is none shows in them, wherever in the
        parameters it is."""
        # A step that touches only what is on never reads the decoder rows of the rest. 0 · x is 0
        # for a number but NaN for NaN and ∞, so divergence shows wherever it is.
        nothing = self.whole.sum_all(
            sum(
                (0 * value.sum() for value in self.params.values()),
                torch.zeros_like(error[:0].sum()),
            )
        )
        mse = self.whole.mean_square(error) + nothing
        on = self.whole.sum_all((values != 0).sum())
        return Codes(active, values, self.whole), {
            "loss": mse,
            "mse": mse,
            "l0": on.to(mse.dtype) / self.rows,
        }


One = tuple[Codes, Step]
"""The code of one run's batch, its loss and curves, and its gradients."""


@dataclass(frozen=True)
class Single:
    """A kernel that computes the step of one run after the other."""

    one: Callable[[Batch], One]
    whole: Whole = ALONE
    """Where the other latents and rows are: with nobody else, unless a dictionary is sharded."""

    @torch.no_grad()
    def __call__(
        self,
        loss: Loss,
        params: Params,
        x: torch.Tensor,
        nonlinearity: Nonlinearity,
        penalty: torch.Tensor,
        dtype: torch.dtype,
        more: Mapping[str, Any] = NOTHING,
        note: Note | None = None,
    ) -> Step:
        """The loss of each run and its gradients."""
        steps = []
        for r in range(len(penalty)):
            run_params = {name: value[r] for name, value in params.items()}
            # A target that runs share is [b, d] and not cut; all else of `more` has a run axis.
            its = {
                name: value[r]
                if isinstance(value, torch.Tensor) and (name != "y" or value.ndim == 3)
                else value
                for name, value in more.items()
            }
            run_x = x if x.ndim == 2 else x[r]
            codes, (series, grads) = self.one(
                Batch(loss, run_params, run_x, nonlinearity, penalty[r], dtype, its, self.whole)
            )
            # A kernel's gradients are over the rows that this process has.
            grads = {name: self.whole.sum_rows(value) for name, value in grads.items()}
            if self.whole is not ALONE:
                series["rows"] = torch.tensor(self.whole.rows(x.shape[-2]), device=x.device)
            steps.append((series | dict(note(codes) if note else {}), grads))
        stacked_series, gradients = (
            {name: _stack([s[i][name] for s in steps]) for name in steps[0][i]} for i in (0, 1)
        )
        return stacked_series, gradients


def _stack(values: Sequence[torch.Tensor]) -> torch.Tensor:
    return (
        values[0][None] if len(values) == 1 else torch.stack(list(values))
    )  # no copy of a single run's matrices


def _topk(batch: Batch) -> One:
    loss, params, whole = batch.loss, batch.params, batch.whole
    active = batch.active(batch.largest())
    values = active.of(batch.pre)
    ends = loss.prefixes if isinstance(loss, Matryoshka) else ()
    if len(ends) < 2:
        error = batch.error(active, values)
        grad = batch.gradient(error)
        grads = batch.gradients(active, values, grad, active.products(grad, params["W_dec"]))
        codes, series = batch.curves(active, values, error)
    # one reconstruction after another, each with one more stretch of latents, which feels its error
    # and all that follow
    else:
        # Ends count latents of the whole dictionary, `active` those of this shard.
        nested = active.nested([end - whole.first for end in ends])
        errors = whole.sum_latents(nested.decode(values, params["W_dec"])).view(
            len(ends), *batch.target.shape
        )
        errors[0].add_(params["b_dec"]).sub_(batch.target)
        # In place on views: each error takes in the one before it, so that e_m = Σ of stretches up
        # to m.
        for shorter, longer in pairwise(errors.unbind()):
            longer.add_(shorter)
        felt = batch.gradient(errors)
        # Now backwards: what stretch m feels is the sum of the gradients from m on.
        for longer, shorter in pairwise(reversed(felt.unbind())):
            shorter.add_(longer)
        every = felt.flatten(0, 1)
        # felt[0] is the sum over all reconstructions, which is right for b_dec; W_dec wants each
        # stretch's own, and is replaced below.
        grads = batch.gradients(active, values, felt[0], nested.products(every, params["W_dec"]))
        grads["W_dec"] = nested.gather(values, every)
        error = errors[-1]
        codes, series = batch.curves(active, values, error)
        series["loss"] = (
            series["mse"] + torch.stack([whole.mean_square(error) for error in errors[:-1]]).sum()
        )
    if (
        aux := revival(loss, error, batch.pre, params["W_dec"], batch.more.get("idle"), whole)
    ) is not None:
        its = aux.pull.sum(0).to(grads["b_enc"].dtype)
        grads["W_enc"].index_add_(
            0, aux.columns, (aux.pull.T @ batch.centred.to(batch.dtype)).to(its.dtype)
        )
        grads["W_dec"].index_add_(0, aux.columns, aux.decoder.to(its.dtype))
        grads["b_enc"].index_add_(0, aux.columns, its)
        if not batch.elsewhere:
            grads["b_dec"] -= whole.sum_latents(its @ params["W_enc"][aux.columns])
        series["loss"] = series["loss"] + aux.loss
    return codes, (series, grads)


def _relu(batch: Batch) -> One:
    loss, W_dec, share, total = batch.loss, batch.params["W_dec"], batch.share, batch.whole.sum_all
    active = batch.active(above(batch.pre))
    values = active.of(batch.pre)
    error = batch.error(active, values)
    grad = batch.gradient(error)
    codes, series = batch.curves(active, values, error)
    pull = active.products(grad, W_dec)
    steeper: torch.Tensor | None = None
    if isinstance(loss, PAnneal):
        p = loss.p(batch.more.get("progress", 0.0))
        # No infinity here, unlike the dense kernel: places that are off are not among the values.
        steep = values ** (p - 1)
        series["loss"] = series["mse"] + share * total((steep * values).sum())
        pull += p * share * steep
    elif isinstance(loss, L1Weighted):
        lengths, units = unit_parts(loss.parts, W_dec)
        sums = active.sums(values)
        series["loss"] = series["mse"] + share * total((sums * lengths).sum())
        pull += share * lengths[active.latent]
        steeper = (share * sums)[:, None] * units
    else:
        series["loss"] = series["mse"] + share * total(values.sum())
        pull += share
    grads = batch.gradients(active, values, grad, pull)
    if steeper is not None:
        grads["W_dec"] += steeper
    return codes, (series, grads)


def _jump(batch: Batch) -> One:
    assert isinstance(batch.nonlinearity, JumpReLU)
    width, threshold, penalty = (
        batch.nonlinearity.bandwidth,
        batch.params["threshold"],
        batch.penalty,
    )
    active = batch.active(
        above(batch.pre, threshold - width / 2)
    )  # on, or off but within the window
    pre, its = active.of(batch.pre), threshold[active.latent]
    # Places in the window but below the threshold are there for its gradient; they are worth 0.
    values = pre * (pre > its)
    error = batch.error(active, values)
    grad = batch.gradient(error)
    felt = active.products(grad, batch.params["W_dec"])
    near = ((pre - its).abs() <= width / 2).to(pre.dtype)
    grads = batch.gradients(active, values, grad, felt * (values > 0))
    grads["threshold"] = (
        -(threshold * active.sums(felt * near) + penalty / batch.rows * active.sums(near)) / width
    )
    codes, series = batch.curves(active, values, error)
    series["loss"] = series["mse"] + penalty * series["l0"]
    return codes, (series, grads)


def _gated(batch: Batch) -> One:
    params, whole = batch.params, batch.whole
    active = batch.active(above(batch.pre))  # gates that are open
    gate, stretch = active.of(batch.pre), params["r_mag"].exp()[active.latent]
    # The projection without its bias, for which a second product is not worth while. Where the gate
    # is shut, nothing has a gradient: not the features, nor ReLU(π_gate), nor its reconstruction.
    z = gate - params["b_enc"][active.latent]
    values = (z * stretch + params["b_mag"][active.latent]).relu()
    error = batch.error(active, values)
    grad = batch.gradient(error)
    codes, series = batch.curves(active, values, error)
    series["loss"] = series["mse"] + batch.share * whole.sum_all(gate.sum())
    # The magnitude's own ReLU may be off behind an open gate.
    pull = active.products(grad, params["W_dec"]) * (values > 0)
    pull_gate = batch.share.expand_as(pull)
    if (
        batch.loss is losses.gated
    ):  # the gate's own reconstruction, through a decoder that does not feel it
        missed = batch.error(active, gate)
        pull_gate = pull_gate + active.products(batch.gradient(missed), params["W_dec"])
        series["loss"] = series["loss"] + whole.mean_square(missed)
    grads = batch.gradients(active, values, grad, pull * stretch + pull_gate)
    grads |= {
        "b_enc": active.sums(pull_gate),
        "b_mag": active.sums(pull),
        "r_mag": active.sums(pull * z * stretch),
    }
    return codes, (series, grads)


topk_sparse = Single(_topk)
"""`losses.mse`, `losses.TopKAux` or `losses.Matryoshka` with TopK or BatchTopK, and its
gradients."""
relu_sparse = Single(_relu)
"""`losses.l1`, `losses.L1Weighted` or `losses.PAnneal` with ReLU, and its gradients."""
jump_sparse = Single(_jump)
"""`losses.jumprelu` with JumpReLU, and its gradients, those of the thresholds by its estimate: what
is near them is sparse as well."""
gated_sparse = Single(_gated)
"""`losses.gated` or `losses.gated_no_aux`, and its gradients."""
