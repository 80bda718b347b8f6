"""Sparse steps: after the encoder's product nothing is touched but what is on, in the decoder and
in the gradients of both matrices.

Each is the step of one run, since it is far larger than a cache. Only the encoder's product is in
`dtype`; what comes after it is float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
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
from assay.dictionaries.training.kernels.parts import Revival, revival, unit_parts
from assay.dictionaries.training.kernels.reference import NOTHING, Note, Step
from assay.dictionaries.training.kernels.whole import ALONE, Started, Whole
from assay.dictionaries.training.losses import L1Weighted, Loss, Params


def pays(k: int, width: int) -> bool:
    """Whether the sparse step is cheaper than the dense one; a matter of shape alone, so results
    never depend on the machine."""
    return width >= 20 * k


@dataclass(eq=False)
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

    def __post_init__(self) -> None:
        self._rows = self.whole.rows(len(self.x))  # counted while the encoder's product runs

    @cached_property
    def rows(self) -> int:
        """Rows of the whole batch, of which these may be a part."""
        return self._rows()

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

    def decode(self, active: Active, values: Float[torch.Tensor, "n"]) -> Started:
        """Begin to add up a reconstruction, still without b_dec, over all latents."""
        return self.whole.start_latents(active.decode(values, self.params["W_dec"]))

    def error(self, decoded: Float[torch.Tensor, "b d"]) -> Float[torch.Tensor, "b d"]:
        """Reconstruction less target, in place."""
        return decoded.add_(self.params["b_dec"]).sub_(self.target)

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
        *,
        decoder: Callable[[], Float[torch.Tensor, "f d"]] | None = None,
        besides: Mapping[str, torch.Tensor] = NOTHING,
        aux: Revival | None = None,
    ) -> Gradients:
        """Gradients of the parameters from those of the reconstruction (`grad`) and of the
        projections (`pull`), and what a kernel has in place of them or besides."""
        # The same four formulas as `parts.gradients`, with sums over places in the place of
        # products.
        b_enc, W_enc = active.sums(pull), self.params["W_enc"]
        factors = [(b_enc, W_enc)]
        if aux is not None:
            its = aux.pull.sum(0).to(b_enc.dtype)
            factors.append((its, W_enc[aux.columns]))
        # the encoder takes away from x what the decoder adds
        shares = self.whole.start_latents(*(() if self.elsewhere else (p @ W for p, W in factors)))
        encoder = active.gather(pull, self.centred)
        if aux is not None:
            more = aux.pull.T @ self.centred.to(self.dtype)
            encoder.index_add_(0, aux.columns, more.to(encoder.dtype))
            b_enc.index_add_(0, aux.columns, its)
        yield "W_enc", encoder
        yield from {"b_enc": b_enc, **besides}.items()
        rows = active.gather(values, grad) if decoder is None else decoder()
        if aux is not None:
            rows.index_add_(0, aux.columns, aux.decoder.to(rows.dtype))
        yield "W_dec", rows
        b_dec = grad.sum(0)
        for share in shares.wait():
            b_dec = b_dec - share
        yield "b_dec", b_dec


class Curves:
    """Loss, mse and L0 of a batch, added up while the step goes on. A number that is none shows in
    them, wherever in the parameters it is."""

    def __init__(
        self,
        batch: Batch,
        values: Float[torch.Tensor, "n"],
        penalty: Float[torch.Tensor, ""] | None = None,
    ):
        self.batch, on = batch, (values != 0).sum()
        # A step that touches only what is on never reads the decoder rows of the rest. 0 · x is 0
        # for a number but NaN for NaN and ∞, so divergence shows wherever it is.
        nothing = sum((0 * value.sum() for value in batch.params.values()), values.new_zeros(()))
        self._sums = batch.whole.start_all(nothing, on, *(() if penalty is None else [penalty]))

    def see(self, *errors: Float[torch.Tensor, "b d"]) -> None:
        """Take in the errors whose squares the loss has; the first is that of all latents."""
        # In the form of `parts.mean_square`, with a run axis, so that both add up in the same
        # order.
        self._squares = self.batch.whole.start_rows(
            *(torch.linalg.vector_norm(error[None], dim=(1, 2)).square()[0] for error in errors)
        )

    def series(
        self, weight: Float[torch.Tensor, ""] | None = None, aux: Revival | None = None
    ) -> dict[str, torch.Tensor]:
        """The curves; `weight` is that of the penalty, which is L0 where no other was given."""
        nothing, on, *penalty = self._sums.wait()
        size = self.batch.rows * self.batch.target.shape[1]
        mse, *others = (square / size for square in self._squares.wait())
        mse = mse + nothing
        l0 = on.to(mse.dtype) / self.batch.rows
        loss = mse if weight is None else mse + weight * (penalty[0] if penalty else l0)
        loss = loss + torch.stack(others).sum() if others else loss
        return {"loss": loss if aux is None else loss + aux.loss, "mse": mse, "l0": l0}


Gradients = Iterator[tuple[str, torch.Tensor]]
"""Gradients by name, over the rows that this process has, each worked out when it is asked for."""
One = tuple[Codes, Callable[[], dict[str, torch.Tensor]], Gradients]
"""The code of one run's batch, its loss and curves once they are called for, and its gradients."""


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
            batch = Batch(loss, run_params, run_x, nonlinearity, penalty[r], dtype, its, self.whole)
            codes, curves, grads = self.one(batch)
            # Each matrix is added up over all rows while the next is worked out, vectors together.
            matrices, vectors = {}, {}
            for name, value in grads:
                if value.ndim > 1:
                    matrices[name] = self.whole.start_rows(value)
                else:
                    vectors[name] = value
            started = self.whole.start_rows(*vectors.values())
            series = curves()
            if self.whole is not ALONE:
                series["rows"] = torch.tensor(batch.rows, device=x.device)
            series |= note(codes) if note else {}
            added = {name: its.wait()[0] for name, its in matrices.items()}
            steps.append((series, added | dict(zip(vectors, started.wait(), strict=True))))
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
    # One reconstruction after another, each with one more stretch of latents, which feels its error
    # and all that follow; mostly there is one. Ends count latents of the whole dictionary, `active`
    # those of this shard.
    ends = loss.prefixes if isinstance(loss, Matryoshka) else ()
    nested = active.nested([end - whole.first for end in ends]) if len(ends) > 1 else active
    decoded = batch.decode(nested, values)
    curves = Curves(batch, values)
    errors = decoded.wait()[0].view(max(1, len(ends)), *batch.target.shape)
    batch.error(errors[0])
    # In place on views: each error takes in the one before it, so that e_m = Σ of stretches up to
    # m.
    for shorter, longer in pairwise(errors.unbind()):
        longer.add_(shorter)
    curves.see(errors[-1], *errors[:-1])
    aux = revival(
        loss,
        errors[-1],
        batch.pre,
        params["W_dec"],
        batch.more.get("idle"),
        whole,
        batch.rows,
    )
    felt = batch.gradient(errors)
    # Now backwards: what stretch m feels is the sum of the gradients from m on.
    for longer, shorter in pairwise(reversed(felt.unbind())):
        shorter.add_(longer)
    every = felt.flatten(0, 1)
    # felt[0] is the sum over all reconstructions, which is right for b_dec; W_dec wants each
    # stretch's own.
    grads = batch.gradients(
        active,
        values,
        felt[0],
        nested.products(every, params["W_dec"]),
        decoder=lambda: nested.gather(values, every),
        aux=aux,
    )
    codes = Codes(active, values, whole, batch.rows)
    return codes, partial(curves.series, aux=aux), grads


def _relu(batch: Batch) -> One:
    loss, W_dec, share = batch.loss, batch.params["W_dec"], batch.share
    active = batch.active(above(batch.pre))
    values = active.of(batch.pre)
    decoded = batch.decode(active, values)
    steeper: torch.Tensor | None = None
    if isinstance(loss, PAnneal):
        p = loss.p(batch.more.get("progress", 0.0))
        # No infinity here, unlike the dense kernel: places that are off are not among the values.
        steep = values ** (p - 1)
        penalty, more = (steep * values).sum(), p * share * steep
    elif isinstance(loss, L1Weighted):
        lengths, units = unit_parts(loss.parts, W_dec)
        sums = active.sums(values)
        penalty, more = (sums * lengths).sum(), share * lengths[active.latent]
        steeper = (share * sums)[:, None] * units
    else:
        penalty, more = values.sum(), share
    curves = Curves(batch, values, penalty)
    error = batch.error(decoded.wait()[0])
    curves.see(error)
    grad = batch.gradient(error)

    def decoder() -> torch.Tensor:
        rows = active.gather(values, grad)
        return rows if steeper is None else rows.add_(steeper)

    pull = active.products(grad, W_dec)
    pull += more
    grads = batch.gradients(active, values, grad, pull, decoder=decoder)
    return Codes(active, values, batch.whole, batch.rows), partial(curves.series, share), grads


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
    decoded = batch.decode(active, values)
    curves = Curves(batch, values)
    near = ((pre - its).abs() <= width / 2).to(pre.dtype)
    error = batch.error(decoded.wait()[0])
    curves.see(error)
    grad = batch.gradient(error)
    felt = active.products(grad, batch.params["W_dec"])
    slope = threshold * active.sums(felt * near) + penalty / batch.rows * active.sums(near)
    besides = {"threshold": -slope / width}
    grads = batch.gradients(active, values, grad, felt * (values > 0), besides=besides)
    return Codes(active, values, batch.whole, batch.rows), partial(curves.series, penalty), grads


def _gated(batch: Batch) -> One:
    params = batch.params
    active = batch.active(above(batch.pre))  # gates that are open
    gate, stretch = active.of(batch.pre), params["r_mag"].exp()[active.latent]
    # The projection without its bias, for which a second product is not worth while. Where the gate
    # is shut, nothing has a gradient: not the features, nor ReLU(π_gate), nor its reconstruction.
    z = gate - params["b_enc"][active.latent]
    values = (z * stretch + params["b_mag"][active.latent]).relu()
    decoded = batch.decode(active, values)
    # the gate's own reconstruction, through a decoder that does not feel it
    of_gate = batch.decode(active, gate) if batch.loss is losses.gated else None
    curves = Curves(batch, values, gate.sum())
    error = batch.error(decoded.wait()[0])
    grad = batch.gradient(error)
    # The magnitude's own ReLU may be off behind an open gate.
    pull = active.products(grad, params["W_dec"]) * (values > 0)
    pull_gate = batch.share.expand_as(pull)
    missed = () if of_gate is None else (batch.error(of_gate.wait()[0]),)
    curves.see(error, *missed)
    for its in missed:
        pull_gate = pull_gate + active.products(batch.gradient(its), params["W_dec"])
    besides = {
        "b_enc": active.sums(pull_gate),
        "b_mag": active.sums(pull),
        "r_mag": active.sums(pull * z * stretch),
    }
    grads = batch.gradients(active, values, grad, pull * stretch + pull_gate, besides=besides)
    codes = Codes(active, values, batch.whole, batch.rows)
    return codes, partial(curves.series, batch.share), grads


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
