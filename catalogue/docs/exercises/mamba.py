"""Checks of docs/exercises-mamba.md: discretisation, the scan, why it has to be selective, hidden
attention, where a block keeps a pair.

The truth comes from loops over Python's own floats, from integrating the differential equation, and
from transformers' Mamba where it is installed. Letters: c channels, n numbers of a channel's state,
s positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from exercises.answers import NotYet, as_numbers, called, near, right, same
from jaxtyping import Float, Int

from assay.core.bench import Unkept
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.subjects import Site
from assay.train import rng
from assay_catalogue.data.recall import recall
from assay_catalogue.experiments.mamba_induction.method import MambaInduction, errors, train

Numbers = Float[np.ndarray, "..."]


# 1 ------------------------------------------------------------------------------------------------


def discretise(answer: Callable[[float, float, float], tuple[float, float, float]]) -> None:
    """Check the discretisation of h' = A h + B u: decay, exact write, Euler's write. Raises:
    NotYet."""
    for delta, A, B in ((0.1, -1.0, 2.0), (2.0, -0.5, -1.5), (3.0, -4.0, 1.0)):
        decay, write = _held(delta, A, 1.0, 0.0), _held(delta, A, 0.0, B)
        what, due = f"discretise({delta}, {A}, {B})", (decay, write, delta * B)
        wrong = {
            "the decay is to be exact, exp(ΔA); 1 + ΔA is Euler's": (
                1 + delta * A,
                write,
                delta * B,
            ),
            "exp(ΔA) − 1 is still to be divided by A": (decay, (decay - 1) * B, delta * B),
            "exp(ΔA) − 1 is to be divided by A, not by ΔA: (ΔA)⁻¹ goes with ΔB": (
                decay,
                (decay - 1) / (delta * A) * B,
                delta * B,
            ),
            "the exact write lacks B": (decay, write / B, delta * B),
            "Euler's write is Δ B, without the decay": (decay, write, decay * delta * B),
            "the exact write comes before Euler's": (decay, delta * B, write),
            "the decay is exp(ΔA): the step is missing, or A": (
                np.exp(A),
                (np.exp(A) - 1) / A * B,
                delta * B,
            ),
        }
        same(called(answer, delta, A, B), due, what, wrong, 1e-6)
    still = called(answer, 0.7, 0.0, 2.0)
    same(
        still,
        (1.0, 1.4, 1.4),
        "discretise(0.7, 0.0, 2.0), where nothing decays",
        {"0/0: without decay the write is Δ B u, the limit of (exp(ΔA) − 1)/A": (1.0, np.nan, 1.4)},
    )
    ratio = called(answer, 3.0, -4.0, 1.0)
    right(
        "discretise",
        f"At Δ = 3 and A = −4 Euler writes {ratio[2] / ratio[1]:.0f} times what the equation would",
    )


def _held(delta: float, A: float, h: float, B: float, steps: int = 400) -> float:
    """Integrate h' = A h + B over a time by Runge and Kutta's rule."""
    size = delta / steps
    for _ in range(steps):
        first_slope = A * h + B
        two = A * (h + size / 2 * first_slope) + B
        three = A * (h + size / 2 * two) + B
        four = A * (h + size * three) + B
        h += size / 6 * (first_slope + 2 * two + 2 * three + four)
    return h


# 2 ------------------------------------------------------------------------------------------------


def scan(answer: Callable[..., Numbers]) -> None:
    """Check a selective scan on drawn numbers, and inside transformers' Mamba where that is
    installed. Raises: NotYet."""
    u, delta, A, B, C, D = _draw_inputs(positions=7, channels=3, size=2)
    due = _looped(u, delta, A, B, C, D)
    swapped, no_step = (
        _looped(u, delta, A, C, B, D),
        _looped(u, delta, A, B, C, D, wrote=lambda d, b, x: b * x),
    )
    wrong = {
        "D · u is missing, which passes the state by": _looped(u, delta, A, B, C, 0 * D),
        "a position reads the state after its own write; this reads the one before": _looped(
            u, delta, A, B, C, D, late=True
        ),
        "what is written is Δ B u; the step Δ is missing": no_step,
        "the decay is exp(Δ A); this one does not depend on Δ": _looped(
            u, delta, A, B, C, D, decay=lambda d, a: np.exp(a)
        ),
        "the decay is exp(Δ A), not 1 + Δ A": _looped(
            u, delta, A, B, C, D, decay=lambda d, a: 1 + d * a
        ),
        "the decay is exp(Δ A); A is negative already": _looped(
            u, delta, A, B, C, D, decay=lambda d, a: np.exp(-d * a)
        ),
        "the state never decays": _looped(u, delta, A, B, C, D, decay=lambda d, a: 1.0),
        "B says where a position writes, C where it reads; they are exchanged": swapped,
        "what is written decays as well: h ← exp(Δ A) · (h + Δ B u)": _looped(
            u, delta, A, B, C, D, both=True
        ),
    }
    same(called(answer, u, delta, A, B, C, D), due, "scan", wrong, 1e-9)
    remark = "The same as a loop over Python's floats"
    if find_spec("transformers"):
        off = _in_transformers(lambda *inputs: called(answer, *inputs))
        if not off < 1e-4:
            raise NotYet(
                "scan: right on drawn numbers, but inside transformers' Mamba it is off by "
                f"{off:.2g} of the largest output"
            )
        remark += f", and inside transformers' Mamba its output but for {off:.0e}"
    right("scan", remark)


def _draw_inputs(positions: int, channels: int, size: int, seed: int = 0) -> tuple[Numbers, ...]:
    """Draw u and Δ [s, c], A [c, n], B and C [s, n], D [c]."""
    generator = rng.generator(seed, "exercises.scan")
    u, delta = (
        generator.normal(size=(positions, channels)),
        generator.uniform(0.1, 1.2, (positions, channels)),
    )
    return (
        u,
        delta,
        -generator.uniform(0.3, 2, (channels, size)),
        *generator.normal(size=(2, positions, size)),
        generator.normal(size=channels),
    )


def _looped(
    u: Numbers,
    delta: Numbers,
    A: Numbers,
    B: Numbers,
    C: Numbers,
    D: Numbers,
    *,
    decay: Callable[[float, float], float] = lambda d, a: float(np.exp(d * a)),
    wrote: Callable[[float, float, float], float] = lambda d, b, x: d * b * x,
    late: bool = False,
    both: bool = False,
) -> Float[np.ndarray, "s c"]:
    """Scan number by number, or with one of the mistakes that are easy to make."""
    y = np.zeros_like(u)
    for c in range(u.shape[1]):
        for n in range(A.shape[1]):
            h = 0.0
            for t in range(len(u)):
                decay_factor, new = (
                    decay(float(delta[t, c]), float(A[c, n])),
                    wrote(float(delta[t, c]), float(B[t, n]), float(u[t, c])),
                )
                before, h = h, decay_factor * (h + new) if both else decay_factor * h + new
                y[t, c] += float(C[t, n]) * (before if late else h)
        y[:, c] += D[c] * u[:, c]
    return y


def _in_transformers(scan: Callable[..., Any]) -> float:
    """Put a scan into a mixer of transformers, whose other parts stay, and compare outputs: the
    largest difference, relative."""
    from transformers import MambaConfig
    from transformers.models.mamba.modeling_mamba import MambaMixer

    config = MambaConfig(
        vocab_size=8, hidden_size=6, state_size=4, expand=2, num_hidden_layers=1, time_step_rank=2
    )
    mixer, generator = MambaMixer(config, 0).eval(), rng.generator(0, "exercises.mixer")
    with torch.no_grad():
        for name, weight in mixer.named_parameters():
            if name != "A_log":
                weight.copy_(torch.from_numpy(generator.normal(size=tuple(weight.shape)) / 2))
        x = torch.from_numpy(generator.normal(size=(1, 9, 6))).float()
        values, gate = mixer.in_proj(x).chunk(2, -1)
        u = torch.nn.functional.silu(mixer.conv1d(values.mT)[..., :9]).mT
        step, B, C = mixer.x_proj(u).split([2, 4, 4], -1)
        delta, A = torch.nn.functional.softplus(mixer.dt_proj(step)), -mixer.A_log.exp()
        y = np.asarray(
            scan(*(z.double().numpy() for z in (u[0], delta[0], A, B[0], C[0], mixer.D)))
        )
        ours, theirs = (
            mixer.out_proj(torch.from_numpy(y).float()[None] * torch.nn.functional.silu(gate)),
            mixer(x),
        )
        return float((ours - theirs).abs().max() / theirs.abs().max())


# 3 and 4 ------------------------------------------------------------------------------------------


def kernel(answer: Callable[..., Numbers]) -> None:
    """Check the kernel of a time-invariant scan against its answer to an impulse. Raises:
    NotYet."""
    length = 6
    _, delta, A, B, C, _ = _draw_inputs(length, channels=2, size=3, seed=1)
    delta, B, C = delta[0], B[0], C[0]

    def summed(
        lag: int = 0, step: Numbers | float = delta[:, None], time: Numbers | float = delta[:, None]
    ) -> Numbers:
        return np.stack(
            [(C * B * np.exp(A * time * (j + lag)) * step).sum(1) for j in range(length)], 1
        )

    impulse = np.zeros((length, 2))
    impulse[0] = 1
    every = [np.repeat(x[None], length, 0) for x in (delta, B, C)]
    due = _looped(impulse, every[0], A, every[1], every[2], np.zeros(2)).T
    wrong = {
        (
            "an input has not decayed yet when its own position reads it: exp(Δ A j), from j = 0"
        ): summed(1),
        "what is written is Δ B u; the step Δ is missing": summed(step=1.0),
        "the decay over j positions is exp(Δ A j); Δ is missing in it": summed(time=1.0),
        "number j is the weight of the input j positions back, the present one first": due[:, ::-1],
        "channels come first: [c, j]": due.T,
    }
    same(called(answer, delta, A, B, C, length), due, "kernel", wrong, 1e-9)
    u, D = rng.generator(2, "exercises.kernel").normal(size=(length, 2)), np.zeros(2)
    folded = np.stack(
        [
            [sum(due[c, t - i] * u[i, c] for i in range(t + 1)) for c in range(2)]
            for t in range(length)
        ]
    )
    off = np.abs(folded - _looped(u, every[0], A, every[1], every[2], D)).max()
    right("kernel", f"Convolved with it, inputs give what the scan gives but for {off:.0e}")


def least_error(answer: Callable[[int], float]) -> None:
    """Check the least error of a convolution that is to recall one marked input, also against least
    squares. Raises: NotYet."""
    for length in (5, 20, 2):
        wrong = {
            "that is what a kernel leaves that reads one fixed place alone": 2 * (1 - 1 / length),
            "that is how much the best kernel explains; the exercise needs what it leaves": 1
            / length,
            "a kernel of zeros leaves 1, and a better one there is": 1.0,
            "that is how often the marked input is not at a given place, squared": (1 - 1 / length)
            ** 2,
            "that is an error; the exercise needs the mean of its square": float(
                np.sqrt(1 - 1 / length)
            ),
        }
        result = called(answer, length)
        same(result, 1 - 1 / length, f"least_error({length})", wrong, 1e-9)
        fitted = _fitted(length)
        if abs(float(result) - fitted) > 0.02:
            raise NotYet(
                f"least_error({length}): got {float(result):.4f}, but least squares on random "
                f"sequences leaves {fitted:.4f}"
            )
    right(
        "least_error",
        f"Least squares on 100,000 sequences of 20 leaves {_fitted(20):.3f}; a constant leaves 1",
    )


@cache
def _fitted(length: int, many: int = 100_000) -> float:
    """What the best kernel of this length leaves on drawn sequences, one input of each marked."""
    generator = rng.generator(length, "exercises.marked")
    u, marked_positions = (
        generator.normal(size=(many, length)),
        generator.integers(length, size=many),
    )
    target = u[np.arange(many), marked_positions]
    weights = np.linalg.lstsq(u, target, rcond=None)[0]
    return float(np.square(u @ weights - target).mean())


# 5 ------------------------------------------------------------------------------------------------


def select(answer: Callable[..., tuple[Numbers, Numbers, Numbers]]) -> None:
    """Check that chosen Δ, B and C make a scan with A = −1 recall the latest marked input. Raises:
    NotYet."""
    generator, A, none = rng.generator(3, "exercises.select"), -np.ones((1, 1)), np.zeros(1)
    for marked in ((0,), (2,), (1, 4, 5), (0, 3, 9), ()):
        marks, u = np.zeros(12, bool), generator.normal(size=12)
        marks[list(marked)] = True
        knobs = called(answer, marks)
        if not isinstance(knobs, tuple | list) or len(knobs) != 3:
            raise NotYet(
                "select: expected three arrays, Δ, B and C, with a number for each position"
            )
        delta, B, C = (np.asarray(x, float) for x in knobs)
        for name, x in (("Δ", delta), ("B", B), ("C", C)):
            if x.shape != marks.shape:
                raise NotYet(
                    f"select: {name} has shape {list(x.shape)}; expected a number for each of "
                    f"the {len(marks)} positions"
                )
            if any(np.ptp(x[marks == m]) > 1e-12 for m in {*marks.tolist()}):
                raise NotYet(
                    f"select: {name} differs between positions with the same mark; a position "
                    "knows its own mark only"
                )
        if (delta < 0).any():
            raise NotYet("select: Δ is a softplus in a Mamba, so it cannot be negative")
        output = _looped(u[:, None], delta[:, None], A, B[:, None], C[:, None], none)[:, 0]
        _selected(marks, u, output, (delta, B, C))
    right(
        "select",
        "No convolution leaves less than 1 − 1/length; this one leaves less than a thousandth",
    )


def _selected(
    marks: np.ndarray, u: np.ndarray, output: np.ndarray, knobs: tuple[np.ndarray, ...]
) -> None:
    """Compare what is recalled with the latest marked input, 0 before the first."""
    latest = np.maximum.accumulate(np.where(marks, np.arange(len(u)), -1))
    due = np.where(latest < 0, 0, u[latest])
    if np.abs(output - due).max() < 1e-3 * np.abs(u).max():
        return
    other = np.maximum.accumulate(np.where(marks, -1, np.arange(len(u))))
    total = np.cumsum(u * marks)
    if marks.any() and not marks.all() and all(np.ptp(x) == 0 for x in knobs):
        raise NotYet(
            "select: Δ, B and C are the same at marked and at other positions: that is a "
            "convolution, which cannot select"
        )
    if marks.any() and np.abs(output - np.where(other < 0, 0, u[other])).max() < 1e-2:
        raise NotYet(
            "select: this recalls the latest input that is not marked; large Δ forgets and "
            "writes, Δ near 0 keeps"
        )
    for name, wrong in (("the latest marked input", due), ("the sum of all marked inputs", total)):
        scale = float(output @ wrong / (wrong @ wrong)) if wrong.any() else 0.0
        if abs(scale) > 1e-3 and np.abs(output - scale * wrong).max() < 1e-2 * abs(scale):
            if name == "the latest marked input":
                raise NotYet(
                    f"select: this recalls {scale:.4g} times the input; Euler writes Δ B u, "
                    "so B or C has to make up for Δ"
                )
            raise NotYet(
                "select: this adds up all marked inputs; a marked position has to forget as "
                "well, by a large Δ"
            )
    if not marks.any() or (output[: int(marks.argmax())] != 0).any():
        raise NotYet(
            "select: something is written where no mark was yet; positions without a mark are "
            "to write nothing, Δ B = 0"
        )
    t = int(np.abs(output - due).argmax())
    raise NotYet(
        f"select: with marks at {np.flatnonzero(marks).tolist()} position {t} gives "
        f"{output[t]:.4f}, expected {due[t]:.4f}"
    )


# 6 ------------------------------------------------------------------------------------------------


def hidden_attention(answer: Callable[..., Numbers]) -> None:
    """Check hidden attention: column by column against the scan's answer to an impulse, then as a
    product. Raises: NotYet."""
    s, c = 6, 2
    u, delta, A, B, C, D = _draw_inputs(s, channels=c, size=3, seed=4)
    due = np.zeros((c, s, s))
    for position in range(s):
        impulse = np.zeros((s, c))
        impulse[position] = 1
        due[:, :, position] = _looped(impulse, delta, A, B, C, np.zeros(c)).T
    mean = np.broadcast_to(delta.mean(0), delta.shape)
    off_by = "the decay counts Δ over s < k ≤ t: Δ"
    wrong = {
        f"{off_by} of s does not decay what s writes": _summed(delta, delta, A, B, C, first=0),
        f"{off_by} of t decays what was there before": _summed(delta, delta, A, B, C, last=0),
        "Δ of the position that writes is missing: Δ[s] B[s]": _summed(
            delta, np.ones_like(delta), A, B, C
        ),
        "Δ of the position that writes is due, Δ[s], not of the one that reads": _summed(
            delta, delta, A, B, C, reading=True
        ),
        "each position has a Δ of its own; one mean step is not enough": _summed(
            mean, mean, A, B, C
        ),
        "each position decays by a Δ of its own; one mean step is not enough": _summed(
            mean, delta, A, B, C
        ),
        "row t reads and column s is read; they are exchanged": due.transpose(0, 2, 1),
        (
            "B belongs to the position that writes, C to the one that reads; they are exchanged"
        ): _summed(delta, delta, A, C, B),
    }
    result = as_numbers(called(answer, delta, A, B, C), due.shape, "hidden_attention")
    if near(np.tril(result), due, 1e-9) and not near(result, due, 1e-9):
        raise NotYet("hidden_attention: no position reads a later one: zeros above the diagonal")
    same(result, due, "hidden_attention", wrong, 1e-9)
    product = np.einsum("cts,sc->tc", due, u) + D * u
    off = np.abs(product - _looped(u, delta, A, B, C, D)).max()
    rows = due.sum(2)
    right(
        "hidden_attention",
        f"α u + D u is the layer's output but for {off:.0e}",
        f"Rows sum to {rows.min():.2f} up to {rows.max():.2f}, not to 1",
    )


def _summed(
    delta: Numbers,
    step: Numbers,
    A: Numbers,
    B: Numbers,
    C: Numbers,
    *,
    first: int = 1,
    last: int = 1,
    reading: bool = False,
) -> Float[np.ndarray, "c s s2"]:
    """Hidden attention with a mistake: where the sum of Δ begins and ends, or whose Δ
    multiplies."""
    s, c = delta.shape
    out = np.zeros((c, s, s))
    for t in range(s):
        for i in range(t + 1):
            since = delta[i + first : t + last].sum(0)
            out[:, t, i] = (C[t] * B[i] * np.exp(A * since[:, None])).sum(1) * step[
                t if reading else i
            ]
    return out


# 7 ------------------------------------------------------------------------------------------------

Run = Callable[..., tuple[Float[np.ndarray, " q"], Float[np.ndarray, "q s ..."]]]


@dataclass(frozen=True, eq=False)
class Block:
    """A trained Mamba block that recalls pairs, and sequences in pairs that differ in the value of
    their first pair alone."""

    run: Run
    """Sequences, and what is to be written to the state in place of what they write → answers [q]
    and writes [q, s, c, n]."""
    own: Int[np.ndarray, "q s"]
    donor: Int[np.ndarray, "q s"]
    value: int
    """The position of the value that differs."""
    errors: float
    """Share of wrong answers on fresh sequences; a guess among the shown values is wrong two times
    in three."""


@cache
def block() -> Block:
    """Train one block on recall, four seconds once, and draw 96 sequences that ask for their first
    pair, with donors.

    The answer is the logit of the donor's value less that of the own.
    """

    from assay_catalogue.subjects.mamba import forward

    runs = Runs(
        [MambaInduction(seed=0, keys=12, values=12, d=32, channels=48, state=8, steps=500, lr=0.02)]
    )
    s = runs.shared
    params = train(runs, Unkept()).tensors
    own_inputs = recall(
        runs.seeds, "exercises.recall", 0, batch=96, keys=s.keys, values=s.values, pairs=s.pairs
    )[0, :, : 2 * s.pairs + 1]
    own_inputs[:, -1] = own_inputs[:, 0]
    donor = own_inputs.copy()
    for row in donor:
        free = [v for v in range(s.keys, s.keys + s.values) if v not in row]
        row[1] = free[int(row[2]) % len(free)]
    site, sequence = Site("write", 0), np.arange(len(own_inputs))

    def run(tokens: np.ndarray, writes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        edits = (
            {}
            if writes is None
            else {site: lambda x: torch.from_numpy(np.asarray(writes)[None]).to(x)}
        )
        with torch.no_grad():
            logits, acts = forward(
                params, torch.from_numpy(np.asarray(tokens)), capture=[site], edits=edits
            )
        last = logits[0, :, -1].double().numpy()
        return last[sequence, donor[:, 1]] - last[sequence, own_inputs[:, 1]], acts[site][0].numpy()

    with torch.no_grad():
        return Block(run, own_inputs, donor, 1, float(errors(runs, params, "test")[0]))


def restored(answer: Callable[[Run, np.ndarray, np.ndarray, int], float]) -> None:
    """Check how much of a donor's answer a patch restores: on a model in closed form, then on a
    trained block. Raises: NotYet."""
    generator = rng.generator(5, "exercises.patch")
    own_inputs, donor = generator.normal(size=(2, 40, 4))
    for position in range(4):
        what = f"restored(run, own, donor, {position}) of a model in closed form"
        same(
            called(answer, _closed, own_inputs, donor, position),
            _patched(_closed, own_inputs, donor, position),
            what,
            _wrong_patches(_closed, own_inputs, donor, position),
            1e-9,
        )
    trained = block()
    shares = []
    for later in range(4):
        position = trained.value + later
        share = _patched(trained.run, trained.own, trained.donor, position)
        same(
            called(answer, trained.run, trained.own, trained.donor, position),
            share,
            f"restored in the trained block at position {position}",
            {},
            1e-4,
        )
        shares.append(share)
    share_list = ", ".join(f"{x:.2f}" for x in shares)
    right(
        "restored",
        f"What the value's position writes, and the three after it: {share_list}",
        f"The block errs in {trained.errors:.2f} of its answers",
    )


def _closed(tokens: np.ndarray, writes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A model that writes twice its tokens and answers by a fixed weight of each write and a
    product of two."""
    w = 2.0 * tokens if writes is None else np.asarray(writes)
    return w @ np.array([0.3, 1.0, -0.4, 0.0]) + w[:, 1] * w[:, 2] / 3, w


def _patched(run: Run, own_inputs: np.ndarray, donor: np.ndarray, position: int) -> float:
    (base, own_writes), (whole, theirs) = run(own_inputs), run(donor)
    put = own_writes.copy()
    put[:, position] = theirs[:, position]
    return _slope(run(own_inputs, put)[0] - base, whole - base)


def _wrong_patches(
    run: Run, own_inputs: np.ndarray, donor: np.ndarray, position: int
) -> dict[str, float]:
    (base, own_writes), (whole, theirs) = run(own_inputs), run(donor)
    put, after, none, back = own_writes.copy(), own_writes.copy(), own_writes.copy(), theirs.copy()
    put[:, position], after[:, position:], none[:, position], back[:, position] = (
        theirs[:, position],
        theirs[:, position:],
        0,
        own_writes[:, position],
    )
    moved, due = run(own_inputs, put)[0] - base, whole - base
    return {
        (
            "a mean of ratios blows up where own and donor hardly differ; a slope over all "
            "sequences does not"
        ): float((moved / due).mean()),
        "a ratio of means forgets signs: take the slope, Σ moved · due / Σ due²": float(
            moved.mean() / due.mean()
        ),
        "the slope is of (patched − own) on (donor − own), not the other way round": _slope(
            due, moved
        )
        if moved.any()
        else np.nan,
        "only one position is to be exchanged, not all from it on": _slope(
            run(own_inputs, after)[0] - base, due
        ),
        "the donor's write is to be put in; this puts in zeros": _slope(
            run(own_inputs, none)[0] - base, due
        ),
        (
            "the donor's write goes into the own sequence; this puts the own write into the donor's"
        ): _slope(run(donor, back)[0] - base, due),
        "this leaves the own answer in: (patched − own), not patched": _slope(moved + base, due),
    }


def _slope(moved: np.ndarray, due: np.ndarray) -> float:
    return float((moved * due).sum() / (due * due).sum())
