"""Sparse steps: after the encoder's product nothing is touched but what is on, in the decoder and
in the gradients of both matrices.

Small runs take one side by side, since a step calls torch a hundred times whatever its size. Only
the encoder's product is in `dtype`; what comes after it is float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise

from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.auxiliary import Matryoshka
from assay.dictionaries.training.kernels.active import (
    Active,
    Codes,
    above,
    accelerated,
    in_two_rounds,
    largest,
)
from assay.dictionaries.training.kernels.parts import Revival, revival, unit_parts
from assay.dictionaries.training.kernels.reference import NOTHING, Step, StepInput
from assay.dictionaries.training.losses import L1Weighted


def pays(k: int, width: int) -> bool:
    """Whether the sparse step is cheaper than the dense one; a matter of shape alone, so results
    never depend on the machine."""
    return width >= 20 * k


class Batch(StepInput):
    """A batch of one run, or of several side by side: what a step is computed from, the encoder's
    product, and what follows from what is on in it. A target y may stand elsewhere."""

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self.penalty)

    @property
    def rows(self) -> int:
        """Rows of a run."""
        return self.x.shape[-2]

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

    def largest(self) -> Int[torch.Tensor, " n"]:
        """The places that TopK or BatchTopK selects. What is not above 0 may be among them."""
        (b, f), nonlinearity = self.pre.shape[1:], self.nonlinearity
        assert isinstance(nonlinearity, TopK | BatchTopK)
        pre, batch_wide = self.pre.flatten(0, 1), isinstance(nonlinearity, BatchTopK)
        if accelerated(pre.device):
            # to find those above 0 an accelerator would have to be waited for
            rows = self.pre.flatten(1) if batch_wide else pre
            return in_two_rounds(rows, nonlinearity.k * (b if batch_wide else 1))
        if batch_wide:
            # the batch as one long row
            return largest(self.pre.flatten(1), min(nonlinearity.k, f) * b)
        return largest(pre, min(nonlinearity.k, f))

    def active(self, places: Int[torch.Tensor, " n"]) -> Active:
        """What is on at these places."""
        runs, b, f = self.pre.shape
        return Active.from_places(places, b, f, runs)

    def codes(self, active: Active, values: Float[torch.Tensor, " n"]) -> list[Codes]:
        """The sparse code of each run."""
        return [Codes(run, values[its]) for run, its in active.of_runs()]

    def spread(
        self, active: Active, value: Float[torch.Tensor, " run *f"]
    ) -> Float[torch.Tensor, " n"]:
        """What belongs to a run, or to a latent, at each place."""
        f = self.pre.shape[2]
        return value.view(self.runs, -1).expand(-1, f).flatten().index_select(0, active.latent)

    def sums(
        self, active: Active, values: Float[torch.Tensor, " n"]
    ) -> Float[torch.Tensor, "run f"]:
        """The sum of each latent's values."""
        return active.sums(values).view(self.runs, -1)

    def total(
        self, active: Active, values: Float[torch.Tensor, " n"]
    ) -> Float[torch.Tensor, " run"]:
        """The sum of values over rows and latents."""
        return values.sum()[None] if self.runs == 1 else self.sums(active, values).sum(1)

    def decode(
        self, active: Active, values: Float[torch.Tensor, " n"]
    ) -> Float[torch.Tensor, "rows d"]:
        """Reconstructions, still without b_dec."""
        return active.decode(values, self.decoder)

    def error(self, decoded: Float[torch.Tensor, "..."]) -> Float[torch.Tensor, "run b d"]:
        """Reconstruction less target, in place."""
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
    ) -> Float[torch.Tensor, " n"]:
        """The gradient of the mean squared error in the feature at each place."""
        return active.products(error.flatten(0, -2), self.decoder).mul_(self.slope)

    @cached_property
    def share(self) -> Float[torch.Tensor, " run"]:
        """The penalty's gradient at a feature of one row."""
        return self.penalty / (self.rows * self.target.shape[-1] ** 0.5)

    def gather(
        self,
        active: Active,
        values: Float[torch.Tensor, " n"],
        error: Float[torch.Tensor, "*run b d"],
    ) -> Float[torch.Tensor, "run f d"]:
        """The gradient of the mean squared error in the decoder."""
        rows = active.gather(values * self.slope, error.flatten(0, -2))
        return rows.view_as(self.params["W_dec"])

    def gradients(
        self,
        active: Active,
        values: Float[torch.Tensor, " n"],
        error: Float[torch.Tensor, "run b d"],
        pull: Float[torch.Tensor, " n"],
        *,
        decoder: Callable[[], Float[torch.Tensor, "run f d"]] | None = None,
        besides: Mapping[str, torch.Tensor] = NOTHING,
        revived: Sequence[tuple[int, Revival]] = (),
    ) -> Gradients:
        """Gradients of the parameters from the error and the gradients of the projections (`pull`),
        and what a kernel has in place of them or besides; `revived` by run."""
        # The same four formulas as `parts.gradients`, with sums over places in the place of
        # products.
        b_enc, W_enc = self.sums(active, pull), self.params["W_enc"]
        for r, aux in revived:
            b_enc[r].index_add_(0, aux.columns, aux.pull.sum(0).to(b_enc.dtype))
        # the encoder takes away from x what the decoder adds
        share = None if self.elsewhere else (b_enc[:, None] @ W_enc)[:, 0]
        encoder = active.gather(pull, self.centred.flatten(0, 1)).view_as(W_enc)
        for r, aux in revived:
            more = aux.pull.T @ self.centred[r].to(self.dtype)
            encoder[r].index_add_(0, aux.columns, more.to(encoder.dtype))
        yield "W_enc", encoder
        yield from {"b_enc": b_enc, **besides}.items()
        rows = decoder() if decoder else self.gather(active, values, error)
        for r, aux in revived:
            rows[r].index_add_(0, aux.columns, aux.decoder.to(rows.dtype))
        yield "W_dec", rows
        b_dec = error.sum(1) * self.slope
        yield "b_dec", b_dec if share is None else b_dec - share


class Curves:
    """Loss, mse and L0 of each run, added up while the step goes on. A number that is none shows in
    them, wherever in the parameters it is."""

    def __init__(
        self,
        batch: Batch,
        active: Active,
        values: Float[torch.Tensor, " n"],
        penalty: Float[torch.Tensor, " run"] | None = None,
    ):
        self.batch, on = batch, batch.total(active, (values != 0).long())
        # A step that touches only what is on never reads the decoder rows of the rest. 0 · x is 0
        # for a number but NaN for NaN and ∞, so divergence shows wherever it is.
        sums = torch.stack([value.flatten(1).sum(1) for value in batch.params.values()])
        self._nothing, self._on, self._penalty = 0 * sums.sum(0), on, penalty

    def see(self, *errors: Float[torch.Tensor, "run b d"]) -> None:
        """Take in the errors whose squares the loss has; the first is that of all latents."""
        # In the form of `parts.mean_square`, so that both add up in the same order.
        self._squares = [torch.linalg.vector_norm(error, dim=(1, 2)).square() for error in errors]

    def series(
        self,
        weight: Float[torch.Tensor, " run"] | None = None,
        revived: Sequence[tuple[int, Revival]] = (),
    ) -> dict[str, torch.Tensor]:
        """The curves; `weight` is that of the penalty, which is L0 where no other was given."""
        size = self.batch.rows * self.batch.target.shape[-1]
        mse, *rest = (square / size for square in self._squares)
        mse = mse + self._nothing
        l0 = self._on.to(mse.dtype) / self.batch.rows
        penalty = l0 if self._penalty is None else self._penalty
        loss = mse.clone() if weight is None else mse + weight * penalty
        for other in rest:
            loss += other
        for r, aux in revived:
            loss[r] += aux.loss
        return {"loss": loss, "mse": mse, "l0": l0}


Gradients = Iterator[tuple[str, torch.Tensor]]
"""Gradients by name, each worked out when it is asked for."""
One = tuple[Active, torch.Tensor, Callable[[], dict[str, torch.Tensor]], Gradients]
"""What is on and its values, the loss and curves of every run once they are called for, and the
gradients."""


@dataclass(frozen=True)
class Single:
    """A kernel that computes the step of runs side by side on a CPU, else of one after the
    other."""

    compute: Callable[[Batch], One]

    @torch.no_grad()
    def __call__(self, step: StepInput) -> Step:
        """The loss of each run and its gradients."""
        steps, runs = [], len(step.penalty)
        # A device multiplies whole matrices (`Crowd`), which side by side would be mostly empty.
        few = 1 if accelerated(step.x.device) else runs
        for first in range(0, runs, few):
            batch = Batch.of(step.of_runs(slice(first, first + few)))
            active, values, curves, grads = self.compute(batch)
            gradients, series = dict(grads), curves()
            if step.note:
                notes = [step.note(codes) for codes in batch.codes(active, values)]
                series |= {name: torch.stack([n[name] for n in notes]) for name in notes[0]}
            steps.append((series, gradients))
        joined_series, joined_gradients = (
            {name: _join([s[i][name] for s in steps]) for name in steps[0][i]} for i in (0, 1)
        )
        return joined_series, joined_gradients


def _join(values: Sequence[torch.Tensor]) -> torch.Tensor:
    return values[0] if len(values) == 1 else torch.cat(list(values))  # no copy of one run's


def _topk(batch: Batch) -> One:
    loss, W_dec = batch.loss, batch.params["W_dec"]
    active = batch.active(batch.largest())
    values = active.of(batch.pre).relu_()
    # One reconstruction after another, each with one more stretch of latents, which feels its error
    # and all that follow; mostly there is one.
    ends = loss.prefixes if isinstance(loss, Matryoshka) else ()
    nested = active.nested(list(ends)) if len(ends) > 1 else active
    decoded = batch.decode(nested, values)
    curves = Curves(batch, active, values)
    errors = decoded.view(max(1, len(ends)), *batch.pre.shape[:2], batch.decoder.shape[1])
    batch.error(errors[0])
    # In place on views: each error takes in the one before it, so that e_m = Σ of stretches up to
    # m.
    for shorter, longer in pairwise(errors.unbind()):
        longer.add_(shorter)
    error = errors[-1]
    curves.see(error, *errors[:-1])
    revived = [
        (r, aux)
        for r, idle in enumerate(batch.more.get("idle", ()))
        if (aux := revival(loss, error[r], batch.pre[r], W_dec[r], idle))
    ]
    later = errors.clone() if len(ends) > 1 else errors
    # Now backwards: what stretch m feels is the sum of the errors from m on.
    for longer, shorter in pairwise(reversed(later.unbind())):
        shorter.add_(longer)
    # later[0] is the sum over all reconstructions, which is right for b_dec; W_dec wants each
    # stretch's own.
    grads = batch.gradients(
        active,
        values,
        later[0],
        batch.felt(nested, later).mul_(values > 0),
        decoder=lambda: batch.gather(nested, values, later),
        revived=revived,
    )
    return active, values, partial(curves.series, revived=revived), grads


def _relu(batch: Batch) -> One:
    loss, share = batch.loss, batch.share
    active = batch.active(above(batch.pre))
    values = active.of(batch.pre)
    decoded = batch.decode(active, values)
    more, steeper = batch.spread(active, share), None
    if isinstance(loss, L1Weighted):
        lengths, units = unit_parts(loss.parts, batch.params["W_dec"])
        sums = batch.sums(active, values)
        penalty, more = (sums * lengths).sum(1), more * batch.spread(active, lengths)
        steeper = (share[:, None] * sums)[..., None] * units
    else:
        penalty = batch.total(active, values)
    curves = Curves(batch, active, values, penalty)
    error = batch.error(decoded)
    curves.see(error)

    def decoder() -> torch.Tensor:
        rows = batch.gather(active, values, error)
        return rows if steeper is None else rows.add_(steeper)

    pull = batch.felt(active, error).add_(more)
    grads = batch.gradients(active, values, error, pull, decoder=decoder)
    return active, values, partial(curves.series, share), grads


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
    decoded = batch.decode(active, values)
    curves = Curves(batch, active, values)
    near = ((pre - its).abs() <= width / 2).to(pre.dtype)
    error = batch.error(decoded)
    curves.see(error)
    felt = batch.felt(active, error)
    moved, counted = (batch.sums(active, terms) for terms in (felt * near, near))
    slope = threshold * moved + (penalty / batch.rows)[:, None] * counted
    besides = {"threshold": -slope / width}
    grads = batch.gradients(active, values, error, felt * (values > 0), besides=besides)
    return active, values, partial(curves.series, penalty), grads


def _gated(batch: Batch) -> One:
    params = batch.params
    active = batch.active(above(batch.pre))  # gates that are open
    gate, stretch = active.of(batch.pre), batch.spread(active, params["r_mag"].exp())
    # The projection without its bias, for which a second product is not worth while. Where the gate
    # is shut, nothing has a gradient: not the features, nor ReLU(π_gate), nor its reconstruction.
    z = gate - batch.spread(active, params["b_enc"])
    values = (z * stretch + batch.spread(active, params["b_mag"])).relu()
    decoded = batch.decode(active, values)
    # the gate's own reconstruction, through a decoder that does not feel it
    of_gate = batch.decode(active, gate) if batch.loss is losses.gated else None
    curves = Curves(batch, active, values, batch.total(active, gate))
    error = batch.error(decoded)
    # The magnitude's own ReLU may be off behind an open gate.
    pull = batch.felt(active, error).mul_(values > 0)
    pull_gate = batch.spread(active, batch.share)
    missed = () if of_gate is None else (batch.error(of_gate),)
    curves.see(error, *missed)
    for its in missed:
        pull_gate += batch.felt(active, its)
    besides = {
        "b_enc": batch.sums(active, pull_gate),
        "b_mag": batch.sums(active, pull),
        "r_mag": batch.sums(active, pull * z * stretch),
    }
    grads = batch.gradients(active, values, error, pull * stretch + pull_gate, besides=besides)
    return active, values, partial(curves.series, batch.share), grads


topk_sparse = Single(_topk)
"""`losses.mse`, `losses.TopKAux` or `losses.Matryoshka` with TopK or BatchTopK, and its
gradients."""
relu_sparse = Single(_relu)
"""`losses.l1` or `losses.L1Weighted` with ReLU, and its gradients."""
jump_sparse = Single(_jump)
"""`losses.jumprelu` with JumpReLU, and its gradients, those of the thresholds by its estimate: what
is near them is sparse as well."""
gated_sparse = Single(_gated)
"""`losses.gated` or `losses.gated_no_aux`, and its gradients."""
