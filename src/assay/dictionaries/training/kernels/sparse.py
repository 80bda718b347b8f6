"""Sparse steps: after the encoder's product nothing is touched but what is on, in the decoder and
in the gradients of both matrices.

Small runs take one side by side, since a step calls torch a hundred times whatever its size. Only
the encoder's product is in `dtype`; what comes after it is float32."""

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
from assay.dictionaries.training.kernels.active import Active, Codes, above, by_places, largest
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
    """A batch of one run, or of several side by side: what a step is asked, the encoder's product,
    and what follows from what is on in it. A target y may stand elsewhere."""

    loss: Loss
    params: Params
    x: Float[torch.Tensor, "*run b e"]
    nonlinearity: Nonlinearity
    penalty: Float[torch.Tensor, "run"]
    dtype: torch.dtype
    more: Mapping[str, Any] = field(default_factory=dict)
    whole: Whole = ALONE
    """Where the other latents and rows are."""

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self.penalty)

    @cached_property
    def rows(self) -> int:
        """Rows of a run's whole batch, of which these may be a part."""
        return self.whole.rows(self.x.shape[-2])

    @property
    def elsewhere(self) -> bool:
        """Whether the target is not the input."""
        return self.more.get("y") is not None

    @property
    def target(self) -> Float[torch.Tensor, "*run b d"]:
        """What is to be reconstructed."""
        return self.more["y"] if self.elsewhere else self.x

    @cached_property
    def centred(self) -> Float[torch.Tensor, "run b e"]:
        """The input without what the encoder takes from it."""
        return self.x - self.params["b_pre" if self.elsewhere else "b_dec"][:, None]

    @cached_property
    def pre(self) -> Float[torch.Tensor, "run b f"]:
        """The projections with their bias, the only product in `dtype`."""
        W_enc, b_enc = (self.params[name].to(self.dtype) for name in ("W_enc", "b_enc"))
        x = self.centred.to(self.dtype)
        pre = x.new_empty(*x.shape[:2], W_enc.shape[1])
        # One by one, for the reason that `parts.transposed_product` gives.
        for r in range(self.runs):
            torch.addmm(b_enc[r], x[r], W_enc[r].T, out=pre[r])
        return pre

    @cached_property
    def decoder(self) -> Float[torch.Tensor, "all d"]:
        """Decoder rows of all runs."""
        return self.params["W_dec"].flatten(0, 1)

    def largest(self) -> Int[torch.Tensor, "n"]:
        """The places that TopK or BatchTopK selects, of the whole row or batch, as far as they are
        here."""
        (b, f), nonlinearity = self.pre.shape[1:], self.nonlinearity
        assert isinstance(nonlinearity, TopK | BatchTopK)
        pre = self.pre.flatten(0, 1)
        if isinstance(nonlinearity, BatchTopK):
            # The batch as one long row. A rank may have fewer numbers than the whole batch wants.
            count = nonlinearity.k * self.rows
            return self.whole.kept_together(
                largest(self.pre.flatten(1), min(count, b * f)), pre, count
            )
        return self.whole.kept(largest(pre, min(nonlinearity.k, f)), pre, nonlinearity.k)

    def active(self, places: Int[torch.Tensor, "n"]) -> Active:
        """What is on at these places."""
        runs, b, f = self.pre.shape
        return Active.at(places, b, f, runs)

    def codes(self, active: Active, values: Float[torch.Tensor, "n"]) -> list[Codes]:
        """The sparse code of each run."""
        return [Codes(run, values[its], self.whole) for run, its in active.of_runs()]

    def spread(
        self, active: Active, value: Float[torch.Tensor, "run *f"]
    ) -> Float[torch.Tensor, "n"]:
        """What belongs to a run, or to a latent, at each place."""
        f = self.pre.shape[2]
        return value.view(self.runs, -1).expand(-1, f).flatten().index_select(0, active.latent)

    def sums(
        self, active: Active, values: Float[torch.Tensor, "n"]
    ) -> Float[torch.Tensor, "run f"]:
        """The sum of each latent's values."""
        return active.sums(values).view(self.runs, -1)

    def error(
        self, active: Active, values: Float[torch.Tensor, "n"]
    ) -> Float[torch.Tensor, "run b d"]:
        """Reconstruction less target."""
        decoded = self.whole.sum_latents(active.decode(values, self.decoder))
        decoded = decoded.view(*self.pre.shape[:2], self.decoder.shape[1])
        if self.elsewhere:
            return decoded.add_(self.params["b_dec"][:, None]).sub_(self.target)
        return decoded.sub_(self.centred)

    @property
    def slope(self) -> float:
        """The gradient of the mean squared error in the reconstruction, for an error of 1."""
        return 2 / (self.rows * self.target.shape[-1])

    def felt(
        self, active: Active, error: Float[torch.Tensor, "*run b d"]
    ) -> Float[torch.Tensor, "n"]:
        """The gradient of the mean squared error in the feature at each place."""
        return active.products(error.flatten(0, -2), self.decoder).mul_(self.slope)

    @cached_property
    def share(self) -> Float[torch.Tensor, "run"]:
        """The penalty's gradient at a feature of one row."""
        return self.penalty / (self.rows * self.target.shape[-1] ** 0.5)

    def gradients(
        self,
        active: Active,
        values: Float[torch.Tensor, "n"],
        error: Float[torch.Tensor, "run b d"],
        pull: Float[torch.Tensor, "n"],
    ) -> dict[str, torch.Tensor]:
        """Gradients of the parameters from the error and the gradients of the projections
        (`pull`)."""
        W_enc, W_dec = self.params["W_enc"], self.params["W_dec"]
        b_enc, b_dec = self.sums(active, pull), error.sum(1) * self.slope
        return {
            # The same four formulas as `parts.gradients`, with sums over places in the place of
            # products.
            "W_enc": active.gather(pull, self.centred.flatten(0, 1)).view_as(W_enc),
            "b_enc": b_enc,
            "W_dec": active.gather(values * self.slope, error.flatten(0, 1)).view_as(W_dec),
            # the encoder takes away from x what the decoder adds
            "b_dec": b_dec
            if self.elsewhere
            else b_dec - self.whole.sum_latents((b_enc[:, None] @ W_enc)[:, 0]),
        }

    def total(self, active: Active, values: Float[torch.Tensor, "n"]) -> Float[torch.Tensor, "run"]:
        """The sum of values over all rows and latents."""
        return self.whole.sum_all(
            values.sum()[None] if self.runs == 1 else self.sums(active, values).sum(1)
        )

    def curves(
        self,
        active: Active,
        values: Float[torch.Tensor, "n"],
        error: Float[torch.Tensor, "run b d"],
    ) -> dict[str, torch.Tensor]:
        """Loss, mse and L0. A number that is none shows in them, wherever in the parameters it
        is."""
        # A step that touches only what is on never reads the decoder rows of the rest. 0 · x is 0
        # for a number but NaN for NaN and ∞, so divergence shows wherever it is.
        sums = torch.stack([value.flatten(1).sum(1) for value in self.params.values()])
        mse = self.whole.mean_square(error) + self.whole.sum_all(0 * sums.sum(0))
        on = self.total(active, (values != 0).long())
        return {"loss": mse, "mse": mse, "l0": on.to(mse.dtype) / self.rows}


One = tuple[Active, torch.Tensor, Step]
"""What is on and its values, and the loss and curves and the gradients of every run."""


@dataclass(frozen=True)
class Single:
    """A kernel that computes the step of runs side by side on a CPU, else of one after the
    other."""

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
        # A device multiplies whole matrices (`Crowd`), which side by side would be mostly empty.
        few = len(penalty) if self.whole is ALONE and by_places(x.device) else 1
        for first in range(0, len(penalty), few):
            its = slice(first, first + few)
            batch = Batch(
                loss,
                {name: value[its] for name, value in params.items()},
                x if x.ndim == 2 else x[its],
                nonlinearity,
                penalty[its],
                dtype,
                # A target that runs share is [b, d] and not cut; all else of `more` has a run axis.
                {
                    name: value[its]
                    if isinstance(value, torch.Tensor) and (name != "y" or value.ndim == 3)
                    else value
                    for name, value in more.items()
                },
                self.whole,
            )
            active, values, (series, grads) = self.one(batch)
            # A kernel's gradients are over the rows that this process has.
            grads = {name: self.whole.sum_rows(value) for name, value in grads.items()}
            if self.whole is not ALONE:
                series["rows"] = torch.tensor([batch.rows], device=x.device)
            if note:
                notes = [note(codes) for codes in batch.codes(active, values)]
                series |= {name: torch.stack([n[name] for n in notes]) for name in notes[0]}
            steps.append((series, grads))
        joined_series, gradients = (
            {name: _join([s[i][name] for s in steps]) for name in steps[0][i]} for i in (0, 1)
        )
        return joined_series, gradients


def _join(values: Sequence[torch.Tensor]) -> torch.Tensor:
    return values[0] if len(values) == 1 else torch.cat(list(values))  # no copy of one run's


def _topk(batch: Batch) -> One:
    loss, params, whole, decoder = batch.loss, batch.params, batch.whole, batch.decoder
    active = batch.active(batch.largest())
    values = active.of(batch.pre)
    ends = loss.prefixes if isinstance(loss, Matryoshka) else ()
    if len(ends) < 2:
        error = batch.error(active, values)
        grads = batch.gradients(active, values, error, batch.felt(active, error))
        series = batch.curves(active, values, error)
    # one reconstruction after another, each with one more stretch of latents, which feels its error
    # and all that follow
    else:
        # Ends count latents of the whole dictionary, `active` those of this shard.
        nested = active.nested([end - whole.first for end in ends])
        errors = whole.sum_latents(nested.decode(values, decoder)).view(
            len(ends), *batch.pre.shape[:2], decoder.shape[1]
        )
        errors[0].add_(params["b_dec"][:, None]).sub_(batch.target)
        # In place on views: each error takes in the one before it, so that e_m = Σ of stretches up
        # to m.
        for shorter, longer in pairwise(errors.unbind()):
            longer.add_(shorter)
        later = errors.clone()
        # Now backwards: what stretch m feels is the sum of the errors from m on.
        for longer, shorter in pairwise(reversed(later.unbind())):
            shorter.add_(longer)
        # later[0] is the sum over all reconstructions, which is right for b_dec; W_dec wants each
        # stretch's own, and is replaced below.
        grads = batch.gradients(active, values, later[0], batch.felt(nested, later))
        grads["W_dec"] = nested.gather(values * batch.slope, later.flatten(0, 2)).view_as(
            grads["W_dec"]
        )
        error = errors[-1]
        series = batch.curves(active, values, error)
        series["loss"] = series["mse"] + sum(whole.mean_square(error) for error in errors[:-1])
    for r, idle in enumerate(batch.more.get("idle", ())):
        aux = revival(loss, error[r], batch.pre[r], params["W_dec"][r], idle, whole)
        if aux is None:
            continue
        its = aux.pull.sum(0).to(grads["b_enc"].dtype)
        grads["W_enc"][r].index_add_(
            0, aux.columns, (aux.pull.T @ batch.centred[r].to(batch.dtype)).to(its.dtype)
        )
        grads["W_dec"][r].index_add_(0, aux.columns, aux.decoder.to(its.dtype))
        grads["b_enc"][r].index_add_(0, aux.columns, its)
        if not batch.elsewhere:
            grads["b_dec"][r] -= whole.sum_latents(its @ params["W_enc"][r, aux.columns])
        series["loss"] = series["loss"].clone()
        series["loss"][r] += aux.loss
    return active, values, (series, grads)


def _relu(batch: Batch) -> One:
    loss, share = batch.loss, batch.share
    active = batch.active(above(batch.pre))
    values = active.of(batch.pre)
    error = batch.error(active, values)
    series = batch.curves(active, values, error)
    pull, price = batch.felt(active, error), batch.spread(active, share)
    steeper: torch.Tensor | None = None
    if isinstance(loss, PAnneal):
        p = loss.p(batch.more.get("progress", 0.0))
        # No infinity here, unlike the dense kernel: places that are off are not among the values.
        steep = values ** (p - 1)
        series["loss"] = series["mse"] + share * batch.total(active, steep * values)
        pull += p * price * steep
    elif isinstance(loss, L1Weighted):
        lengths, units = unit_parts(loss.parts, batch.params["W_dec"])
        sums = batch.sums(active, values)
        series["loss"] = series["mse"] + share * batch.whole.sum_all((sums * lengths).sum(1))
        pull += price * batch.spread(active, lengths)
        steeper = (share[:, None] * sums)[..., None] * units
    else:
        series["loss"] = series["mse"] + share * batch.total(active, values)
        pull += price
    grads = batch.gradients(active, values, error, pull)
    if steeper is not None:
        grads["W_dec"] += steeper
    return active, values, (series, grads)


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
    pre, its = active.of(batch.pre), batch.spread(active, threshold)
    # Places in the window but below the threshold are there for its gradient; they are worth 0.
    values = pre * (pre > its)
    error = batch.error(active, values)
    felt = batch.felt(active, error)
    near = ((pre - its).abs() <= width / 2).to(pre.dtype)
    grads = batch.gradients(active, values, error, felt * (values > 0))
    moved, counted = (batch.sums(active, terms) for terms in (felt * near, near))
    grads["threshold"] = -(threshold * moved + (penalty / batch.rows)[:, None] * counted) / width
    series = batch.curves(active, values, error)
    series["loss"] = series["mse"] + penalty * series["l0"]
    return active, values, (series, grads)


def _gated(batch: Batch) -> One:
    params = batch.params
    active = batch.active(above(batch.pre))  # gates that are open
    gate, stretch = active.of(batch.pre), batch.spread(active, params["r_mag"].exp())
    # The projection without its bias, for which a second product is not worth while. Where the gate
    # is shut, nothing has a gradient: not the features, nor ReLU(π_gate), nor its reconstruction.
    z = gate - batch.spread(active, params["b_enc"])
    values = (z * stretch + batch.spread(active, params["b_mag"])).relu()
    error = batch.error(active, values)
    series = batch.curves(active, values, error)
    series["loss"] = series["mse"] + batch.share * batch.total(active, gate)
    # The magnitude's own ReLU may be off behind an open gate.
    pull = batch.felt(active, error).mul_(values > 0)
    pull_gate = batch.spread(active, batch.share)
    if (
        batch.loss is losses.gated
    ):  # the gate's own reconstruction, through a decoder that does not feel it
        missed = batch.error(active, gate)
        pull_gate += batch.felt(active, missed)
        series["loss"] = series["loss"] + batch.whole.mean_square(missed)
    grads = batch.gradients(active, values, error, pull * stretch + pull_gate)
    grads |= {
        "b_enc": batch.sums(active, pull_gate),
        "b_mag": batch.sums(active, pull),
        "r_mag": batch.sums(active, pull * z * stretch),
    }
    return active, values, (series, grads)


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
