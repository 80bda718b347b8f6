"""fit_end_to_end: dictionaries trained by what splicing them into a language model does to its
predictions, not by reconstruction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from jaxtyping import Bool, Float, Int

from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.dictionaries.measuring.ablation import Passage, capture, nats, spliced_run
from assay.dictionaries.training.kernels.reference import (
    Noted,
    Step,
    StepInput,
    gradients_of,
    leaves_of,
    standard,
)
from assay.dictionaries.training.losses import decode, squared_error
from assay.dictionaries.training.train import Method, fit_dictionaries
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.subject import Trace

Windows: TypeAlias = 'tuple[Int[torch.Tensor, "w s"], Bool[torch.Tensor, "w s"]]'
_ROWS = 128
"""Rows of logits held at a time."""


def fit_end_to_end(
    groups: Sequence[tuple[Runs, Method]],
    subject: Pretrained,
    site: Site,
    windows: Callable[[int], Windows],
    *,
    steps: int,
    bench: Bench,
    later: float,
    mean: Float[torch.Tensor, " d"],
    scale: float,
    probe_at: Sequence[int] = (),
    trained_on: Mapping[str, Any] | None = None,
) -> list[Trained]:
    """One Trained for each (runs, method), after `steps` steps on `windows(step)`: tokens [w, s]
    and the positions [w, s] that are replaced, shared by all runs.

    `mean` and `scale` normalise the site's activations for the dictionary, as in
    `fit_dictionaries`, and are stored with it. Methods are those of `fit_dictionaries`, start and
    step included, without the squared error in their loss; what else is in it (λ, AuxK, L0) stays.
    One more clean pass a step, and for each run a pass from the site's block on, and back. Products
    are float32, whatever `Method.products`. Histories hold loss, kl and ce (nats per prediction),
    mse and l0.

    Formula: mean KL(clean ‖ spliced) over predictions of a next token + (loss of the method − mse)
        + later · mean over later blocks' inputs a of Σ‖a − â‖² / Σ‖a − ā‖², sums over replaced
        positions
    Raises: SpecError for a `later` without a later block
    Source: Identifying Functionally Important Features with End-to-End Sparse Dictionary Learning
    (2024), section 2
    Differs: later errors are divided by the variance there, so that no block outweighs the others;
    λ Σ f / √d, not / d
    """
    through = Through(subject, site, windows, later=later, mean=mean, scale=scale)
    trained = fit_dictionaries(
        groups,
        through.batch,
        d=subject.width(site),
        steps=steps,
        bench=bench,
        mean=mean,
        scale=scale,
        sites=(str(site),),
        probe_at=probe_at,
        trained_on=trained_on,
        kernel=through,
    )
    made_small = {"objective": {"name": "kl", "local": 0.0, "later": later}}
    return [
        replace(t, header={**t.header, "origin": {**t.header.get("origin", {}), **made_small}})
        for t in trained
    ]


class Through:
    """A kernel that sends reconstructions through the model, on the windows that `batch` was last
    asked for."""

    passage: Passage
    clean: Trace
    """Both set by `batch`, which the loop calls before any group's step."""

    def __init__(
        self,
        subject: Pretrained,
        site: Site,
        windows: Callable[[int], Windows],
        *,
        later: float,
        mean: Float[torch.Tensor, " d"],
        scale: float,
    ):
        first = subject.layers if site.layer is None else site.layer + 1
        if later and first >= subject.layers:
            raise SpecError(
                f"no block's input comes after {site} in {subject.name}, so later must be 0, "
                f"got {later}"
            )
        self.subject, self.site, self.windows, self.later = subject, site, windows, later
        self.after = (
            [Site("resid_pre", layer) for layer in range(first, subject.layers)] if later else []
        )
        self.mean, self.scale = mean.float(), scale

    def batch(self, step: int) -> Float[torch.Tensor, "b d"]:
        """Normalised activations at the positions that are replaced, from a clean pass over this
        step's windows."""
        tokens, keep = self.windows(step)
        self.passage, self.clean = capture(self.subject, self.site, tokens, keep, also=self.after)
        acts = self.passage.acts
        return (acts[self.passage.keep] - self.mean.to(acts)) * self.scale

    def __call__(self, step: StepInput) -> Step:
        """The loss [run] and its gradients; one run at a time, so that one pass through the model
        is recorded at a time."""
        each = [self._one(step.of_runs(slice(r, r + 1))) for r in range(len(step.penalty))]
        series, grads = zip(*each, strict=True)
        return _concatenate_runs(series), _concatenate_runs(grads)

    def _one(self, step: StepInput) -> Step:
        noted, x = Noted(step.nonlinearity), step.x
        acts, keep = self.passage.acts, self.passage.keep
        with torch.enable_grad():
            leaves = leaves_of(step.params)
            read = standard({**step.params, **leaves})
            total = step.loss(read, x, noted, step.penalty, **step.more)
            assert noted.made is not None and noted.features is not None
            x_hat = decode(read, noted.made, x)
            mse = squared_error(x, x_hat)
            # The method's loss has the squared error once, and here it does not count.
            total = total - mse
            # Out of place, so that the gradient finds its way from the model to what is put in.
            new = acts.index_put((keep,), x_hat[0].to(acts) / self.scale + self.mean.to(acts))
            spliced = spliced_run(
                self.subject, self.site, self.passage, new, also=self.after, gradients=True
            )
            assert spliced.final is not None
            if self.after:
                total = total + self.later * self._later(spliced)
        kl, ce, pull = self._predictions(spliced)
        # One way back for both: the dictionary's own terms, and KL, whose gradient
        # enters at what the unembedding reads.
        outputs, cotangents = (total, spliced.final), (torch.ones_like(total), pull)
        grads = gradients_of(outputs, leaves, cotangents)
        series = {
            "loss": total.detach() + kl,
            "mse": mse.detach(),
            "kl": kl,
            "ce": ce,
        }
        series |= {"l0": (noted.features != 0).sum(-1).float().mean(-1)}
        series |= step.note(noted.features) if step.note else {}
        return series, grads

    def _later(self, spliced: Trace) -> Float[torch.Tensor, ""]:
        """Mean over later blocks of the share of their input's variance that the splice changed."""
        errors = []
        for site in self.after:
            true, new = (run.acts[site][self.passage.keep].float() for run in (self.clean, spliced))
            # The clean run's variance, which is a constant: no block can be made to look better by
            # spreading.
            errors.append((new - true).square().sum() / (true - true.mean(0)).square().sum())
        return torch.stack(errors).mean()

    def _predictions(
        self, spliced: Trace
    ) -> tuple[Float[torch.Tensor, "1"], Float[torch.Tensor, "1"], Float[torch.Tensor, "w s d"]]:
        """Mean KL and cross-entropy in nats, and the gradient of KL by what the unembedding reads.

        That gradient is all the way back needs, so logits are made a few rows at a time and never
        kept."""
        final, head = spliced.final, self.clean.head
        assert final is not None and self.clean.final is not None and head is not None
        pull = torch.zeros_like(final)
        # Without each window's last position, after which no token is known.
        true, spliced_final, back = (
            t.detach()[:, :-1].flatten(0, 1) for t in (self.clean.final, final, pull)
        )
        target = self.clean.tokens[:, 1:].flatten()
        kl = ce = torch.zeros((), dtype=torch.float64, device=final.device)
        for z, y, t, g in zip(
            *(rows.split(_ROWS) for rows in (true, spliced_final, target, back)), strict=True
        ):
            with torch.enable_grad():
                # Cut off from the model: a graph of the unembedding alone, for a few rows, which is
                # let go at once.
                leaf = y.detach().requires_grad_()
                rows_ce, rows_kl = nats(head(z).detach(), head(leaf), t)
                (gradient,) = torch.autograd.grad(rows_kl.sum() / len(target), leaf)
            g.copy_(gradient)
            kl, ce = kl + rows_kl.detach().sum(), ce + rows_ce.detach().sum()
        pull[:, :-1] = back.view_as(pull[:, :-1])
        return (kl / len(target)).float()[None], (ce / len(target)).float()[None], pull


def _concatenate_runs(runs: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.cat([run[name] for run in runs]) for name in runs[0]}
