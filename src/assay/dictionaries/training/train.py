"""fit_dictionaries: dictionaries of several shapes and architectures, trained in one pass over the
same batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float

from assay.core.bench import Bench, Unkept
from assay.core.descent import Adam, adam_state
from assay.core.errors import SpecError
from assay.core.fit import Batch, Group, Schedule, State, Trained, fit, warm_up, warm_up_decay
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.dictionaries.nonlinearity import Nonlinearity, inference, to_json
from assay.dictionaries.training.dead import DeadPolicy, Keep, Resample
from assay.dictionaries.training.kernels.active import Codes
from assay.dictionaries.training.kernels.reference import (
    FIXED,
    Kernel,
    Step,
    StepInput,
    autograd,
    is_encoder,
    standard,
)
from assay.dictionaries.training.kernels.sparse import in_chunks, kernel_for
from assay.dictionaries.training.learners import (
    Idle,
    Learner,
    NotesCodes,
    Seen,
    Settles,
    TargetL0,
    Watch,
)
from assay.dictionaries.training.losses import Loss, Params, Rows, wants
from assay.train.rng import normal

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
CURVES = ("mse", "l0", "kl", "ce")
"""What histories hold next to the loss, each where the kernel gives it."""
Decay: TypeAlias = "float | Float[np.ndarray, ' run']"


@dataclass(frozen=True, eq=False)
class Method:
    """How one group of dictionaries is trained; the experiment that sets a field has it, or what it
    follows from, in its spec.

    Example:
        >>> import numpy as np
        >>> from assay import losses
        >>> from assay.dictionaries import Method, ReLU
        >>> lr, penalty = np.full(2, 1e-3), np.array([0.1, 0.2])  # two runs that differ in λ
        >>> Method(ReLU(), losses.l1, width=64, lr=lr, penalty=penalty).betas
        (0.0, 0.999)
    """

    nonlinearity: Nonlinearity
    """What turns projections into features."""
    loss: Loss
    """A function of `assay.dictionaries.training.losses`, or one of the same form."""
    width: int
    """Give the number of features."""
    lr: Float[np.ndarray, " run"]
    """Adam's learning rate of each run at the top of its schedule."""
    penalty: Float[np.ndarray, " run"]
    """λ of each run; a loss that has none ignores it."""
    betas: tuple[float, float] = (0.0, 0.999)
    """Adam's; without momentum a feature that stops firing stops moving."""
    warm_up: int = 100
    """Steps of linear warm-up of the learning rate."""
    decay: float = 0.2
    """Share of the steps, at the end, over which the rate falls linearly to 0."""
    weight_decay: Decay | Mapping[str, Decay] = 0.0
    """AdamW's decoupled weight decay: at each step, parameters shrink by this times the learning
    rate. A number, or one for each run, is for all parameters that are trained; {"W_enc": 0.01} is
    for one of them."""
    penalty_warm_up: float = 0.15
    """Share of the steps, at the start, over which λ rises linearly from 0."""
    encoder_scale: float = 0.3
    """The encoder starts as this times the decoder, transposed."""
    frozen: tuple[str, ...] = ()
    """Parameters that stay as they started, such as ("W_dec",): what a dictionary reaches without
    learning them. See `freeze`."""
    near: float | None = None
    """Least cosine of each decoder row with its start, kept by projection after every step; None:
    rows may go anywhere."""
    covariance: Float[torch.Tensor, "d d"] | None = None
    """Decoder rows start as normal numbers with this covariance, at unit length; None: in any
    direction alike."""
    tied_start: bool = True
    """Whether the encoder starts along the decoder; otherwise, and in transcoders, its rows are
    random directions of their own."""
    decoder: Literal["unit", "free"] = "unit"
    """Decoder rows are kept at length 1, or free, for losses that weigh features by the length of
    their rows."""
    skip: bool = False
    """Whether a linear path W_skip [run, d_in, d_out] around the features is trained as well, from
    0 (skip transcoders)."""
    dead: DeadPolicy = field(default_factory=Keep)
    """What is done about latents that stopped firing."""
    rate: Schedule | None = None
    """Factor on the learning rate at each step; None: `warm_up` and `decay`."""
    sparsity: Schedule | TargetL0 | None = None
    """Factor on λ at each step, or a controller that finds λ for a wanted L0 after the warm-up;
    None: `penalty_warm_up` alone."""
    products: Literal["float32", "bfloat16"] = "float32"
    """Precision of matrix products; parameters, moments and everything else are float32."""


def fit_dictionaries(
    groups: Sequence[tuple[Runs, Method]],
    batches: Callable[[int], Rows | tuple[Rows, Rows]],
    *,
    d: int,
    steps: int,
    bench: Bench | None = None,
    mean: Float[torch.Tensor, " d"] | Float[np.ndarray, " d"] | None = None,
    scale: float | Float[torch.Tensor, " d"] = 1.0,
    sites: Sequence[str] = (),
    probe_at: Sequence[int] = (),
    d_out: int | None = None,
    mean_out: Float[torch.Tensor, " d_out"] | None = None,
    scale_out: float = 1.0,
    sites_out: Sequence[str] = (),
    watch: Mapping[str, tuple[Sequence[int], Callable[[Params], Float[torch.Tensor, "run ..."]]]]
    | None = None,
    trained_on: Mapping[str, Any] | None = None,
    kernel: Kernel | None = None,
) -> list[Trained]:
    """One Trained for each (runs, method), after `steps` steps on normalised batches that all
    groups share.

    `batches(step)` gives activations that are centred and scaled already ([b, d], shared by all
    runs; [run, b, d] only with groups of equally many runs); `mean` and `scale` say how that was
    done and are stored with the dictionaries, which read raw activations. Without a `bench` nothing
    is kept on the way. Histories hold loss and l0. Read the result with `Dictionary.of`.

    Transcoders: with `d_out`, batches are pairs (x, y), and `mean_out`, `scale_out` and `sites_out`
    are those of y. Crosscoders over layers: the activations of several sites side by side, a
    `scale` for each dimension, and all their names in `sites`. `watch={name: (steps, value)}`
    stores `value(params)` [run, …] after these steps (0: the start) as the trained tensor `name`
    [run, checkpoint, …]; params are in the shapes of Dictionary. `trained_on`
    (`Harvest.trained_on`) stays with the dictionaries as part of their origin, so that an
    evaluation knows which text they have seen. `kernel` computes losses and gradients where
    that takes more than the batch, such as a model; None: the fastest for each method.

    Args:
        groups: runs, and how they are trained.
        batches: step → [b, d], or [run, b, d].
        d: width of the activations.
        steps: of training.
        bench: keeps checkpoints.
        mean: was subtracted, [d]; None: 0.
        scale: factor afterwards, one or [d].
        sites: where activations were taken.
        probe_at: steps of the histories besides half and end.
        d_out: width of y.
        mean_out: was subtracted from y, [d_out].
        scale_out: factor of y afterwards.
        sites_out: where y was taken.
        watch: steps and function by name.
        trained_on: plain JSON.
        kernel: gives loss and gradients.
    Example:
        >>> import numpy as np, torch
        >>> from assay import Runs, Spec, losses
        >>> from assay.dictionaries import Dictionary, Method, TopK, fit_dictionaries
        >>> runs, x = Runs([Spec(seed=0), Spec(seed=1)]), torch.tensor([[0.6, 0.8], [1.2, 1.6]])
        >>> method = Method(TopK(1), losses.mse, width=1, lr=np.full(2, 0.1), penalty=np.zeros(2))
        >>> [trained] = fit_dictionaries([(runs, method)], lambda step: x, d=2, steps=200)
        >>> Dictionary.of(trained).W_dec.round(decimals=2)  # the direction on which all x lie
        tensor([[[0.6000, 0.8000]],
                [[0.6000, 0.8000]]])
    """
    watched = [
        Watch(name, tuple(watch_steps), value)
        for name, (watch_steps, value) in (watch or {}).items()
    ]
    run_groups = [
        group(runs, method, d=d, steps=steps, d_out=d_out, watch=watched, kernel=kernel)
        for runs, method in groups
    ]
    trained = fit(run_groups, batches, steps=steps, probe_at=probe_at, bench=bench or Unkept())
    out = None if d_out is None else (d_out, mean_out, scale_out, list(sites_out))
    readable = [_readable(t, mean, scale, sites, out) for t in trained]
    if trained_on is None:
        return readable
    origins = [{**t.header.get("origin", {}), "trained_on": dict(trained_on)} for t in readable]
    return [
        replace(t, header={**t.header, "origin": origin})
        for t, origin in zip(readable, origins, strict=True)
    ]


def group(
    runs: Runs,
    method: Method,
    *,
    d: int,
    steps: int,
    d_out: int | None = None,
    watch: Sequence[Watch] = (),
    kernel: Kernel | None = None,
) -> Group:
    """The Group of one method: its start by seed, and its step.

    Raises: SpecError where the method's rates and penalties are not one per run, or its loss cannot
    have what it needs."""
    if not len(runs) == len(method.lr) == len(method.penalty):
        raise SpecError(
            f"a method needs one lr and one penalty for each run, got {len(method.lr)} and "
            f"{len(method.penalty)} "
            f"for {len(runs)} runs"
        )
    _check(method, wants(method.loss), d_out)
    state = start(runs.seeds, method, d, d_out)
    names = tuple(name for name in state if name not in FIXED)
    if unknown := sorted(set(method.frozen) - set(names)):
        raise SpecError(
            f"frozen names {', '.join(unknown)}, which this method does not train; it trains "
            f"{', '.join(names)}"
        )
    state |= adam_state({name: state[name] for name in names})
    if method.near is not None:
        state["start.W_dec"] = state["W_dec"].clone()
    trainer = _Trainer(runs.seeds, method, steps, d_out, names, watch, kernel)
    keeping: list[Learner | Settles] = [*trainer.learners, *trainer.settling]
    for part in keeping:
        state |= part.keep(runs.seeds, method.width)
    for w in watch:
        state[w.name] = w.start(
            _select_stored(state), steps, [name for name in state if "." not in name]
        )
    # Several learners may scale λ, p-annealing and a target L0 for instance: their factors
    # multiply.
    trainer.factors = [
        name for name in state if name.endswith(".factor") and not name.startswith("adam.")
    ]
    header = _header(method, names, state)
    return Group(runs, state, trainer.step, header, trainer.settle if trainer.settling else None)


class _Trainer:
    """What the steps of one method's group go by, made once; the parameters are in the state."""

    def __init__(
        self,
        seeds: np.ndarray,
        method: Method,
        steps: int,
        d_out: int | None,
        names: tuple[str, ...],
        watch: Sequence[Watch],
        kernel: Kernel | None,
    ):
        self.seeds, self.method, self.steps, self.d_out = seeds, method, steps, d_out
        self.names, self.wanted = names, wants(method.loss)
        self.learners = _learners(method, self.wanted, watch)
        # Who notes nothing of a row of zeros never notes anything, and need not be shown features.
        self.noting = [one for one in self.learners if one.note(torch.zeros(1, 1, method.width))]
        sparsely = not method.skip and all(isinstance(one, NotesCodes) for one in self.noting)
        fastest = kernel_for(method.loss, method.nonlinearity) if sparsely else autograd
        self.compute = kernel or fastest
        # Asked once: to look for a protocol's functions takes as long as a small product.
        kind = method.nonlinearity
        self.confined = kind if isinstance(kind, Confined) else None
        self.settling = [kind] if isinstance(kind, Settles) else []
        self.factors: list[str] = []
        self.rate = method.rate or warm_up_decay(steps, method.warm_up, method.decay)
        self.penalty_rate = warm_up(round(method.penalty_warm_up * steps))
        if method.sparsity is not None and not isinstance(method.sparsity, TargetL0):
            self.penalty_rate = method.sparsity
        self.weight_decay = _weight_decay(method, names)
        self.adam: Adam | None = None
        # Gradients of all runs, filled anew at each step; see `in_chunks`.
        self.room: dict[str, torch.Tensor] = {}

    def loss_of(
        self, state: State, batch: Batch, step: int, noting: Sequence[Learner | Settles]
    ) -> tuple[Step, StepInput]:
        """The curves, notes and gradients of a batch, and what they were computed from."""
        method = self.method
        x, y = batch if isinstance(batch, tuple) else (batch, None)
        if (y is None) != (self.d_out is None):
            raise SpecError("transcoders need d_out and batches (x, y); other dictionaries neither")
        x = x.float()
        # non_blocking: else a GPU would be waited for
        penalty = torch.as_tensor(method.penalty * self.penalty_rate(step), dtype=torch.float32).to(
            x.device, non_blocking=True
        )
        for name in self.factors:
            penalty = penalty * state[name]
        params = {name: state[name] for name in (*self.names, *FIXED) if name in state}
        more: dict[str, Any] = {} if y is None else {"y": y.float()}
        more |= {"idle": state["idle.rows"]} if "idle" in self.wanted else {}
        more |= {"progress": step / self.steps} if "progress" in self.wanted else {}
        note = partial(_notes, noting) if noting else None
        dtype = PRECISIONS[method.products]
        given = StepInput(method.loss, params, x, method.nonlinearity, penalty, dtype, more, note)
        return in_chunks(self.compute, given, self.room), given

    @torch.no_grad()
    def step(
        self, state: State, batch: Batch, step: int
    ) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Change the parameters by one batch; gives the loss and the curves of each run."""
        method = self.method
        if self.adam is None:  # built here, after any move to a device or restore
            self.adam = Adam(state, self.names, method.lr, method.betas, decay=self.weight_decay)
        (series, grads), given = self.loss_of(state, batch, step, self.noting)
        if method.decoder == "unit":
            # Before Adam, which divides by the size of past gradients: the part along the row is
            # undone below, yet it would count there and shrink every step.
            remove_parallel(grads["W_dec"], state["W_dec"])
        for name in method.frozen:
            # With a gradient of 0 from the start both moments stay 0, and so does Adam's step: bit
            # for bit.
            grads[name].zero_()
        self.adam.step(grads, step, self.rate(step) * method.dead.rate(step))
        # A frozen row is not even divided by its length, which rounding may have as 1 − 6e-8.
        if method.decoder == "unit" and "W_dec" not in method.frozen:
            unit_rows(state["W_dec"])
        if method.near is not None:
            keep_near(state["W_dec"], state["start.W_dec"], method.near)
        # After the step, which knows nothing of bounds: projected descent.
        if self.confined is not None:
            self.confined.confine(state)
        if self.learners:
            about = step, self.steps, self.seeds, given.x, given.more.get("y"), series
            observation = Seen(*about, _select_stored(state), method.nonlinearity)
            for learner in self.learners:
                learner.learn(state, observation)
        return series["loss"], {name: series[name] for name in CURVES if name in series}

    @torch.no_grad()
    def settle(self, state: State, batches: Iterable[Batch]) -> None:
        """Estimate what depends on final parameters, from the last batches again."""
        for part in self.settling:
            # Under the parameters as they are now: `steps` is one past the last step, and no
            # gradient is used.
            noted = [self.loss_of(state, x, self.steps, [part])[0][0] for x in batches]
            part.settle(state, noted)


def _weight_decay(method: Method, names: tuple[str, ...]) -> dict[str, Decay]:
    """The weight decay of each parameter that has one; what is frozen stays as it is. Raises:
    SpecError for a parameter that the method does not train."""
    decay = method.weight_decay
    by_name = decay if isinstance(decay, Mapping) else dict.fromkeys(names, decay)
    if unknown := [name for name in by_name if name not in names]:
        raise SpecError(
            f"weight_decay names {', '.join(unknown)}, which this method does not train; it trains "
            f"{', '.join(names)}"
        )
    return {n: d for n, d in by_name.items() if n not in method.frozen and np.any(d)}


def _notes(
    noting: Sequence[Learner | Settles], features: torch.Tensor | Codes
) -> dict[str, torch.Tensor]:
    """What learners note of features, or of the sparse code of one run."""
    notes = [
        learner.note_codes(features)  # type: ignore[union-attr]
        if isinstance(features, Codes)
        else learner.note(features)
        for learner in noting
    ]
    return {name: value for note in notes for name, value in note.items()}


def _header(method: Method, names: Sequence[str], state: State) -> dict[str, Any]:
    """What a reader needs to use the trained tensors."""
    read = inference(method.nonlinearity)
    header: dict[str, Any] = {"kind": "dictionary", "nonlinearity": to_json(read)}
    if read != method.nonlinearity:
        how = getattr(method.nonlinearity, "provenance", dict)
        header["origin"] = {"trained_as": to_json(method.nonlinearity), **how()}
    if method.frozen or method.near is not None:
        frozen = {"frozen": list(method.frozen), "near": method.near}
        header["origin"] = {**header.get("origin", {}), **frozen}
    # What else was stored, a watch's or a policy's, must not be taken for a parameter of the
    # nonlinearity that reads the file.
    known_names = {*names, *FIXED, *read.init(1, method.width)}
    if extra_names := sorted(name for name in state if "." not in name and name not in known_names):
        header["beside"] = extra_names
    return header


def start(
    seeds: Sequence[int] | np.ndarray,
    method: Method,
    d: int,
    d_out: int | None = None,
) -> dict[str, torch.Tensor]:
    """Parameters before training, big matrices row per latent: random unit decoder rows by seed,
    the encoder along them or not."""
    seeds, width = np.asarray(seeds), method.width
    target = d if d_out is None else d_out
    directions = torch.from_numpy(normal(seeds, "dictionary", 0, (width, target)))
    W_dec = unit_rows(
        directions if method.covariance is None else spread(directions, method.covariance)
    )
    encoder_rows = W_dec
    if not method.tied_start or d_out is not None:
        encoder_rows = unit_rows(
            torch.from_numpy(normal(seeds, "dictionary.encoder", 0, (width, d)))
        )
    W_enc = method.encoder_scale * encoder_rows
    extra_params = method.nonlinearity.init(len(seeds), width)
    extra_params |= {name: W_enc.clone() for name in getattr(method.nonlinearity, "encoders", ())}
    extra_params |= {"W_skip": torch.zeros(len(seeds), d, target)} if method.skip else {}
    # b_dec of a transcoder lives where the target does, so the encoder subtracts another vector,
    # which is not trained.
    extra_params |= {"b_pre": torch.zeros(len(seeds), d)} if d_out is not None else {}
    biases = {"b_enc": torch.zeros(len(seeds), width), "b_dec": torch.zeros(len(seeds), target)}
    return {"W_enc": W_enc, "W_dec": W_dec, **biases, **extra_params}


def spread(
    rows: Float[torch.Tensor, "run f d"], covariance: Float[torch.Tensor, "d d"]
) -> Float[torch.Tensor, "run f d"]:
    """Give isotropic normal rows a covariance, by its symmetric square root.

    Raises: SpecError where it is not [d, d].
    """
    if covariance.shape != (rows.shape[-1],) * 2:
        raise SpecError(
            f"covariance must be [d, d] of the decoder's rows, d = {rows.shape[-1]}, got "
            f"{list(covariance.shape)}"
        )
    values, vectors = torch.linalg.eigh(covariance.double().cpu())
    # C^½ = V √Λ Vᵀ; rounding may leave an eigenvalue just below 0.
    return rows @ (vectors * values.clamp_min(0).sqrt() @ vectors.mT).float()


def unit_rows(W: Float[torch.Tensor, "run f d"]) -> Float[torch.Tensor, "run f d"]:
    """Scale every row to length 1, in place: without it an L1 penalty is evaded by long rows."""
    return W.div_(torch.linalg.vector_norm(W, dim=-1, keepdim=True))


def remove_parallel(
    grad: Float[torch.Tensor, "run f d"], W: Float[torch.Tensor, "run f d"]
) -> None:
    """Take from each gradient row its part along the unit row of W, in place: Adam must not see
    what renormalising undoes."""
    few = (
        256 if W.device.type == "cpu" else W.shape[1]
    )  # so that they are still in a cache at the second pass
    for r in range(len(W)):
        for its, rows in zip(grad[r].split(few), W[r].split(few), strict=True):
            # g ← g − (g·w) w, with ‖w‖ = 1.
            its.addcmul_(torch.linalg.vecdot(its, rows)[:, None], rows, value=-1)


@runtime_checkable
class Confined(Protocol):
    """A nonlinearity whose parameters must keep to something after each step."""

    def confine(self, parameters: Mapping[str, torch.Tensor]) -> None:
        """Bring them back, in place."""


def _learners(
    method: Method, loss_arguments: frozenset[str], watch: Sequence[Watch]
) -> list[Learner]:
    """What learns along, in the order in which it does: counts first, then who reads them; a watch
    sees the outcome."""
    counted = "idle" in loss_arguments or not isinstance(method.dead, Keep)
    parts = (
        Idle() if counted else None,
        method.nonlinearity,
        method.loss,
        method.sparsity,
        method.dead,
        *watch,
    )
    return [part for part in parts if isinstance(part, Learner) and not isinstance(part, Keep)]


def _check(method: Method, loss_arguments: frozenset[str], d_out: int | None) -> None:
    name = getattr(method.loss, "__name__", repr(method.loss))
    if unknown := sorted(loss_arguments - {"y", "idle", "progress"}):
        raise SpecError(
            f"the loss {name} asks for {', '.join(unknown)}; a loss may ask for y, idle and "
            "progress"
        )
    if d_out is not None and "y" not in loss_arguments:
        raise SpecError(f"a transcoder needs a loss with a target, but {name} takes no y=None")
    if method.near is not None and not 0 < method.near <= 1:
        raise SpecError(f"near is a cosine above 0 and up to 1, got {method.near}")
    if method.near is not None and "W_dec" in method.frozen:
        raise SpecError(
            "a decoder is frozen or kept near its start, not both; leave out near= or W_dec"
        )
    if (method.near is not None or set(method.frozen) - {"b_dec", "W_skip"}) and isinstance(
        method.dead, Resample
    ):
        raise SpecError(
            "what is frozen cannot start anew: a dictionary with a frozen part takes "
            "dead=Keep(), or AuxK as its loss"
        )


def _select_stored(state: State) -> dict[str, torch.Tensor]:
    """What is stored in the end, in the shapes of Dictionary; views."""
    return standard({name: value for name, value in state.items() if "." not in name})


def _readable(
    trained: Trained,
    mean: torch.Tensor | np.ndarray | None,
    scale: float | torch.Tensor,
    sites: Sequence[str],
    out: tuple[int, torch.Tensor | None, float, list[str]] | None = None,
) -> Trained:
    """In the shapes of Dictionary, with the normalisation."""
    runs, _, d = trained.tensors["W_enc"].shape
    device = trained.tensors["W_enc"].device

    def expanded(value: torch.Tensor | np.ndarray | float | None, *shape: int) -> torch.Tensor:
        tensor = (
            torch.zeros(*shape) if value is None else torch.as_tensor(value, dtype=torch.float32)
        )
        return tensor.to(device).expand(runs, *tensor.shape).contiguous()

    tensors = {
        name: value.mT.contiguous() if is_encoder(name) else value
        for name, value in trained.tensors.items()
    }
    tensors |= {"mean": expanded(mean, d), "scale": expanded(scale)}
    header = {**trained.header, "sites": list(sites)}
    if out is not None:
        d_out, mean_out, scale_out, header["sites_out"] = out
        tensors |= {"mean_out": expanded(mean_out, d_out), "scale_out": expanded(scale_out)}
    return replace(trained, tensors=tensors, header=header)


def keep_near(
    W: Float[torch.Tensor, "run f d"], start: Float[torch.Tensor, "run f d"], least: float
) -> None:
    """Bring each row whose cosine with its start is below `least` to the nearest row of the same
    length that is not, in place.

    Rows of `start` have length 1. A row exactly opposite its start, to which no such row is the
    nearest, becomes its start.

    Formula: w ← ‖w‖ (τ s + √(1 − τ²) u), u the unit part of w at right angles to s, where w·s < τ
    ‖w‖"""
    length = torch.linalg.vector_norm(W, dim=-1)
    outside = torch.linalg.vecdot(W, start) < least * length
    if not outside.any():
        return
    side, s = W[outside], start[outside]
    for _ in range(
        2
    ):  # twice, since of a row nearly opposite to its start rounding leaves a part along it
        side = side - torch.linalg.vecdot(side, s)[:, None] * s
        side = side / torch.linalg.vector_norm(side, dim=-1, keepdim=True).clamp_min(1e-30)
    rows = least * s + (1 - least**2) ** 0.5 * side
    # `rows` has length 1 already but for rounding, and for a row opposite its start, which has no
    # side.
    W[outside] = rows * (length[outside] / torch.linalg.vector_norm(rows, dim=-1))[:, None]
