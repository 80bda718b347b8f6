"""Checks of docs/exercises-development.md: learning coefficients from volumes, in closed form and
by chains; plateaus; a toy along its training.

The truth comes from closed forms, quadrature, curves that are built piece by piece, and the Hessian
of the toy's loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from exercises.answers import NotYet, called, right, same
from jaxtyping import Float, Int

from assay.core.bench import Unkept
from assay.core.heavy import scipy, torch
from assay.core.runs import Runs
from assay.train import rng
from assay_catalogue.experiments.superposition_llc.method import SuperpositionLLC, train

Numbers = Float[np.ndarray, "..."]


# 1 ------------------------------------------------------------------------------------------------


def exponent(answer: Callable[[Numbers, float, float], float]) -> None:
    """Check the exponent of volumes on losses whose exponent is known, evenly spread over a box.
    Raises: NotYet."""
    line = (np.arange(400_000) + 0.5) / 400_000
    a, b = np.meshgrid(*[(np.arange(1_500) + 0.5) / 1_500] * 2)
    remarks = []
    for name, losses, due in (
        ("3 w²", 3 * line**2, 1 / 2),
        ("2 w⁴", 2 * line**4, 1 / 4),
        ("2 (w₁² + w₂²)", 2 * (a**2 + b**2).ravel(), 1.0),
    ):
        low, high = 0.004, 0.1
        small, large = (float((losses <= e).mean()) for e in (low, high))
        between = math.log(high / low)
        wrong = {
            (
                "ln V/ln ε still has the constant factor of V in it; a slope between two ε is "
                "free of it"
            ): math.log(small) / math.log(low),
            (
                "ln V/ln ε still has the constant factor of V in it; the slope between two ε is "
                "free of it"
            ): math.log(large) / math.log(high),
            "that is the slope of V; the exercise needs the slope of its logarithm": (large - small)
            / between,
            "that is the slope of V by ε; the exercise needs the slope of ln V by ln ε": (
                large - small
            )
            / (high - low),
            "ε goes below and V above: this is the reciprocal": between / math.log(large / small),
            "this counts the losses above ε": math.log((1 - large) / (1 - small)) / between,
            "the slope comes out with the wrong sign": -math.log(large / small) / between,
        }
        result = called(answer, losses, low, high)
        same(result, due, f"exponent of {name}", wrong, 0.005)
        remarks.append(f"{name} {float(result):.3f}")
    right("exponent", "; ".join(remarks))


# 2 ------------------------------------------------------------------------------------------------


def coefficient(answer: Callable[[list[list[int]]], float]) -> None:
    """Check the learning coefficient of sums of monomials, each in weights of its own. Raises:
    NotYet."""
    known: list[tuple[list[list[int]], float]] = [
        ([[1], [1], [1]], 3 / 2),
        ([[2]], 1 / 4),
        ([[1], [2]], 3 / 4),
        ([[1, 2]], 1 / 4),
        ([[1, 1]], 1 / 2),
        ([[3, 1], [1, 0], [1]], 7 / 6),
        ([[0, 0, 2], [2]], 1 / 2),
    ]
    for terms, due in known:
        powers = [[k for k in term if k] for term in terms]
        wrong = {
            (
                "that is half the number of weights, an upper bound that only curved directions "
                "reach"
            ): sum(map(len, terms)) / 2,
            (
                "that is half the number of weights that occur, an upper bound that only curved "
                "directions reach"
            ): sum(map(len, powers)) / 2,
            "that is half the rank of the Hessian, which sees squares only": sum(
                term == [1] for term in powers
            )
            / 2,
            "within a product one small weight is enough: the flattest counts, not the sum": sum(
                1 / (2 * k) for p in powers for k in p
            ),
            "within a product the flattest weight counts, that of the largest power": sum(
                1 / (2 * min(p)) for p in powers
            ),
            "terms in weights of their own add up": min(1 / (2 * max(p)) for p in powers),
            "the exponent is 2k, so a weight gives 1/(2k)": sum(1 / max(p) for p in powers),
        }
        same(called(answer, terms), due, f"coefficient({terms})", wrong, 1e-9)
    right(
        "coefficient",
        "[[3, 1], [1, 0], [1]] has five weights, of which half are 2.5, and a coefficient of 7/6",
    )


# 3 ------------------------------------------------------------------------------------------------


def estimate(answer: Callable[[float, float, float], float]) -> None:
    """Check what perfect chains give on ½ h w² + w⁴, hot, cold and held, against quadrature.
    Raises: NotYet."""
    for h, n_beta, pull in (
        (1.0, 4.0, 0.5),
        (1.0, 1e5, 0.0),
        (0.01, 100.0, 0.0),
        (0.0, 50.0, 0.0),
        (1.0, 100.0, 100.0),
        (0.3, 2.0, 1.0),
    ):
        due = _expected(h, n_beta, pull)

        def wrong(
            h: float = h, n_beta: float = n_beta, pull: float = pull, due: float = due
        ) -> dict[str, float]:
            return {
                "that is E L; an estimate is n_beta · E L": due / n_beta,
                "the pull is ½ · pull · w², as the density says": _expected(h, n_beta, 2 * pull),
                "the density is over exp(−n_beta · L): n_beta is missing in it": n_beta
                * _expected(h, 1.0, pull),
                "the pull shapes the density; it is no part of the loss whose mean is taken": due
                + _held(h, n_beta, pull),
                "the curvature goes in as ½ h w²": _expected(2 * h, n_beta, pull),
                "the density has to be divided by its integral": due * _mass(h, n_beta, pull),
                "the pull is missing": _expected(h, n_beta, 0.0),
            }

        same(
            called(answer, h, n_beta, pull),
            due,
            f"estimate({h:g}, {n_beta:g}, {pull:g})",
            wrong,
            2e-3,
        )
    hot, cold, held = (_expected(*x) for x in ((0.1, 1.0, 0.0), (0.1, 1e6, 0.0), (0.1, 1e6, 1e6)))
    right(
        "estimate",
        (
            f"One minimum, h = 0.1: hot (n_beta = 1) {hot:.2f}; cold (a million) {cold:.2f}; "
            f"cold, held by as strong a pull {held:.2f}"
        ),
    )


def _integral(h: float, n_beta: float, pull: float, integrand: Callable[[float], float]) -> float:
    wide = 12 / max(math.sqrt(n_beta * h + pull), n_beta**0.25)
    return float(
        scipy.integrate.quad(
            lambda w: integrand(w) * math.exp(-n_beta * (h * w * w / 2 + w**4) - pull * w * w / 2),
            -wide,
            wide,
            limit=400,
            epsabs=0,
        )[0]
    )


def _mass(h: float, n_beta: float, pull: float) -> float:
    return _integral(h, n_beta, pull, lambda w: 1.0)


def _expected(h: float, n_beta: float, pull: float) -> float:
    return (
        n_beta * _integral(h, n_beta, pull, lambda w: h * w * w / 2 + w**4) / _mass(h, n_beta, pull)
    )


def _held(h: float, n_beta: float, pull: float) -> float:
    return _integral(h, n_beta, pull, lambda w: pull * w * w / 2) / _mass(h, n_beta, pull)


# 4 ------------------------------------------------------------------------------------------------


def summary(answer: Callable[[Numbers, float, int, int], tuple[float, float]]) -> None:
    """Check an estimate and its standard error, read off recorded losses of chains. Raises:
    NotYet."""
    for n, burn, draws in ((1_000, 30, 120), (50_000, 100, 250)):
        generator, n_beta = rng.generator(n, "exercises.chains"), n / math.log(n)
        wandering = (
            generator.normal(size=(6, draws)).cumsum(1) / 40 + generator.normal(size=(6, 1)) / 4
        )  # draws of one chain depend on each other
        arriving = np.exp(-np.arange(draws) / (burn / 4))
        losses, at_centre = 0.2 + (2 + wandering) * (1 - arriving) / n_beta, 0.2
        after_burn = losses[:, burn:]

        def estimate(
            after_burn: Numbers, heat: float, below: float = at_centre, how: str = "chains"
        ) -> tuple[float, float]:
            chain_estimates = heat * (after_burn.mean(1) - below)
            root = math.sqrt(len(chain_estimates))
            error = {
                "chains": chain_estimates.std(ddof=1) / root,
                "n": chain_estimates.std() / root,
                "spread": chain_estimates.std(ddof=1),
                "draws": heat * after_burn.std(ddof=1) / math.sqrt(after_burn.size),
                "cold": chain_estimates.std(ddof=1) / root / heat,
            }[how]
            return float(chain_estimates.mean()), float(error)

        wrong = {
            "the inverse temperature is n/ln n, not n": estimate(after_burn, n),
            "the logarithm of n/ln n is the natural one": estimate(after_burn, n / math.log10(n)),
            "the loss at the centre is to be taken off": estimate(after_burn, n_beta, 0.0),
            (
                "the centre's loss is given; the smallest loss of the chains is lower or higher "
                "by chance"
            ): estimate(after_burn, n_beta, float(after_burn.min())),
            "the burn-in is still in it": estimate(losses, n_beta),
            "one draw of the burn-in is still in it": estimate(losses[:, burn - 1 :], n_beta),
            "this keeps the burn-in and leaves out the rest": estimate(losses[:, :burn], n_beta),
            (
                "the draws of a chain depend on each other; the error is that of independent chains"
            ): estimate(after_burn, n_beta, how="draws"),
            "that is the spread of chains; the error of their mean is smaller by √chains": estimate(
                after_burn, n_beta, how="spread"
            ),
            "of few chains the variance is Σ (…)²/(chains − 1): ddof=1": estimate(
                after_burn, n_beta, how="n"
            ),
            "the error is to have the unit of the estimate: times n_beta": estimate(
                after_burn, n_beta, how="cold"
            ),
        }
        _pair(
            called(answer, losses, at_centre, n, burn),
            estimate(after_burn, n_beta),
            f"summary with n = {n}, burn = {burn}",
            wrong,
        )
    small = estimate(after_burn, n_beta)[1] / estimate(after_burn, n_beta, how="draws")[1]
    right("summary", f"As if draws were independent the error would be {small:.0f} times too small")


def _pair(
    result: object, due: tuple[float, float], what: str, wrong: dict[str, tuple[float, float]]
) -> None:
    """Compare an estimate and its error each by its own size. Raises: NotYet."""
    scale = np.array(due)
    same(
        result
        if not isinstance(result, tuple) or len(result) != 2
        else np.array(result, float) / scale,
        np.ones(2),
        f"{what} (both as a share of the expected value)",
        {words: np.array(x) / scale for words, x in wrong.items()},
        1e-6,
    )


# 5 ------------------------------------------------------------------------------------------------

Stretches = list[tuple[int, int]]


def plateaus(answer: Callable[[Numbers, Numbers, float, float], Stretches]) -> None:
    """Check where plateaus are found, on curves whose plateaus are known because they were put
    there. Raises: NotYet."""
    times = np.geomspace(1, 10_000, 81)  # twenty a decade
    for name, knots, due in (
        (
            "two plateaus and a fall between them",
            ((0, 1.0), (30, 1.0), (40, 0.2), (70, 0.2), (80, 0.02)),
            [(0, 29), (41, 69)],
        ),
        (
            "a rest that is too short",
            ((0, 1.0), (30, 0.3), (34, 0.3), (50, 0.1), (80, 0.1)),
            [(51, 80)],
        ),
        (
            "a rise, which is no plateau",
            ((0, 0.5), (20, 0.5), (50, 2.0), (60, 0.1), (80, 0.1)),
            [(0, 19), (61, 80)],
        ),
        ("a fall that is steep in steps at first and slow at last", ((0, 1.0), (80, 0.1)), []),
    ):
        knot_positions, log = np.array([k for k, _ in knots]), np.log([x for _, x in knots])
        loss = np.exp(np.interp(np.arange(81), knot_positions, log))
        wrong = {
            (
                "what counts is how the logarithm of the loss moves with the logarithm of time"
            ): _stretches(times, loss, plain=True),
            "a loss that rises does not stand still: take the absolute value": _stretches(
                times, loss, signed=True
            ),
            (
                "some of these are too short: from first to last so many factors of ten, a ratio "
                "of times"
            ): _stretches(times, loss, shortest=0.0),
            "so many decades is a ratio of times, not a number of steps": _stretches(
                times, loss, steps=True
            ),
            "the last index is to belong to the plateau; this is one further": [
                (a, b + 1) for a, b in _stretches(times, loss)
            ],
            "a plateau that lasts to the end of the curve is one, too": [
                x for x in _stretches(times, loss) if x[1] < 80
            ],
            "indices are due, not times": [
                (round(times[a]), round(times[b])) for a, b in _stretches(times, loss)
            ],
        }
        result = called(answer, times, loss, 0.05, 0.3)
        if not isinstance(result, list | tuple | np.ndarray):
            raise NotYet(f"plateaus: expected a list of pairs, got {type(result).__name__}")
        stretches = _pairs(result)
        if stretches == due:
            continue
        words = next(
            (w for w, x in wrong.items() if x == stretches),
            f"got {stretches}, expected {due}",
        )
        raise NotYet(f"plateaus of {name}: {words}")
    right(
        "plateaus",
        "A power law falls for ever and never stands still, however slow it gets in steps",
    )


def _pairs(result: Sequence[Sequence[int]] | np.ndarray) -> Stretches:
    """Read an answer as pairs of whole numbers. Raises: NotYet."""
    try:
        return [(int(first), int(last)) for first, last in result]
    except (TypeError, ValueError):
        raise NotYet("plateaus: each is a pair of indices, the first and the last") from None


def _stretches(
    times: Numbers,
    loss: Numbers,
    *,
    plain: bool = False,
    signed: bool = False,
    steps: bool = False,
    shortest: float = 0.3,
) -> Stretches:
    """Find plateaus one time after another, or with one of the mistakes that are easy to make."""
    slope = np.gradient(loss, times) if plain else np.gradient(np.log(loss), np.log(times))
    out: Stretches = []
    first = None
    for i in range(len(times) + 1):
        still = i < len(times) and (-slope[i] if signed else abs(slope[i])) < 0.05
        if still and first is None:
            first = i
        if not still and first is not None:
            lasts = (
                times[i - 1] - times[first] if steps else math.log10(times[i - 1] / times[first])
            )
            if lasts >= shortest:
                out.append((first, i - 1))
            first = None
    return out


# 6 ------------------------------------------------------------------------------------------------


def leaves(answer: Callable[[float], float]) -> None:
    """Check when a product of two equal factors is half learned, against a descent in small steps.
    Raises: NotYet."""
    for start in (0.2, 1e-3, 1e-6):
        t = _half(start)
        wrong = {
            "both factors grow, so their product grows twice as fast": 2 * t,
            (
                "the product has to come from its start to a half: ln((1 − start)/start), not −ln "
                "start"
            ): -math.log(start) / 2,
            "that is where a factor is a half; the exercise needs the product": math.log(
                (1 / 4) / (3 / 4) * (1 - start) / start
            )
            / 2,
            "the logarithm is the natural one": math.log10((1 - start) / start) / 2,
            "start is that of the product, not of each factor": math.log((1 - start**2) / start**2)
            / 2,
            "that comes with the wrong sign": -t,
        }
        same(called(answer, start), t, f"leaves({start:g})", wrong, 2e-4)
    right("leaves", f"From a thousandth {_half(1e-3):.2f}, from a millionth {_half(1e-6):.2f}")


@cache
def _half(start: float, size: float = 1e-4) -> float:
    """Descend on ½(1 − a b)² from equal factors by the midpoint rule until a b is a half."""
    a, t = math.sqrt(start), 0.0
    while a * a < 0.5:
        middle = a + size / 2 * a * (1 - a * a)
        before, a = a, a + size * middle * (1 - middle * middle)
        t += size
    return t - size * (a * a - 0.5) / (a * a - before * before)


# 7 ------------------------------------------------------------------------------------------------

SAMPLES = 1_000_000
"""n, of which n/ln n is the inverse temperature of the toy's chains. It is a temperature only: the
loss is the expected one."""
_MOMENTS = (314, 959, 2_500)


@dataclass(frozen=True, eq=False)
class Course:
    """States that one training of a toy model of superposition passed through: six columns in two
    dimensions."""

    steps: Int[np.ndarray, " state"]
    W: Float[np.ndarray, "state 6 2"]
    b: Float[np.ndarray, "state 6"]


@cache
def course() -> Course:
    """Train the toy from a square with two dead columns, by small batches of a thousand inputs: one
    second, once."""
    from assay_catalogue.worlds.bottleneck import stages

    runs = Runs(
        [
            SuperpositionLLC(
                seed=13, around="4", start=0.01, bias=0.01, steps=_MOMENTS[-1], data=1_000, batch=20
            )
        ]
    )
    trained = train(runs, Unkept())
    indices = [stages.moments(_MOMENTS[-1]).index(t) for t in _MOMENTS]
    return Course(
        np.array(_MOMENTS), *(trained.tensors[f"{k}/at"][0, indices].numpy() for k in "Wb")
    )


def loss(
    W: Float[np.ndarray, "state 6 2"], b: Float[np.ndarray, "state 6"]
) -> Float[np.ndarray, " state"]:
    """Give the expected loss of each state."""

    from assay_catalogue.worlds.bottleneck import one_hot

    return one_hot.potential({"W": torch.as_tensor(W), "b": torch.as_tensor(b)}).numpy()


def settled(
    W: Float[np.ndarray, "state 6 2"], b: Float[np.ndarray, "state 6"]
) -> tuple[Numbers, Numbers]:
    """Descend from each state to the critical point beneath it: the noise of training goes, the
    shape stays."""
    states = _settled(*(np.ascontiguousarray(x, float).tobytes() for x in (W, b)))
    return states[0].copy(), states[1].copy()


@cache
def _settled(W: bytes, b: bytes) -> tuple[Numbers, Numbers]:
    """Descend once from states that are asked for again."""

    from assay_catalogue.worlds.bottleneck import stages

    states = stages.settled(
        {"W": torch.from_numpy(_read(W, 6, 2)), "b": torch.from_numpy(_read(b, 6))}
    )
    return states["W"].numpy(), states["b"].numpy()


def _read(numbers: bytes, *shape: int) -> Numbers:
    return np.frombuffer(numbers).reshape(-1, *shape).copy()


def sample(
    W: Float[np.ndarray, "state 6 2"], b: Float[np.ndarray, "state 6"], n_beta: float
) -> Float[np.ndarray, "state chain draw"]:
    """Run 32 Langevin chains of 2,000 steps from each state, held to it by a pull of 100, and give
    the losses along them."""
    return _sampled(
        *(np.ascontiguousarray(x, float).tobytes() for x in (W, b)), float(n_beta)
    ).copy()


@cache
def _sampled(W: bytes, b: bytes, n_beta: float) -> Float[np.ndarray, "state chain draw"]:
    """Run chains once that are asked for again; their noise is always the same."""

    from assay_catalogue.worlds.bottleneck import one_hot

    generator, chains, step, pull = rng.generator(0, "exercises.toy"), 32, 2e-6, 100.0
    centre = {"W": torch.from_numpy(_read(W, 6, 2)), "b": torch.from_numpy(_read(b, 6))}
    centre = {k: v.repeat_interleave(chains, 0) for k, v in centre.items()}
    params, out = {k: v.clone() for k, v in centre.items()}, []
    for _ in range(2_000):
        value, slope = one_hot.slopes(params)
        out.append(value)
        for k, v in params.items():
            noise = math.sqrt(step) * torch.from_numpy(generator.standard_normal(v.shape))
            params[k] = v - step / 2 * (n_beta * slope[k] + pull * (v - centre[k])) + noise
    return torch.stack(out, 1).unflatten(0, (-1, chains)).numpy()


def along(answer: Callable[[Numbers, Numbers, int], Numbers]) -> None:
    """Check the learning coefficients of the states that a toy passed through, also against half a
    Hessian's rank. Raises: NotYet."""
    W, b = course().W, course().b
    result = called(answer, W, b, SAMPLES)
    due = _estimate_llc(*_settled_losses())
    raw, heat, still = loss(W, b), SAMPLES / math.log(SAMPLES), loss(*settled(W, b))

    def wrong() -> dict[str, Numbers]:
        chains, all_of_it = sample(W, b, heat), _estimate_llc(*_settled_losses(), burn=0)
        return {
            "the states are noisy, so chains fall below them: settle them first": _estimate_llc(
                chains, raw
            ),
            (
                "the loss at the centre is that of the settled state, where chains begin"
            ): _estimate_llc(_settled_losses()[0], raw),
            "chains begin at settled states; these began at the noisy ones": _estimate_llc(
                chains, still
            ),
            "the loss at the centre is to be taken off": _estimate_llc(
                _settled_losses()[0], 0 * raw
            ),
            "the inverse temperature is n/ln n, not n, in the estimate": due * math.log(SAMPLES),
            "that is E L less the centre's; an estimate is n_beta times as much": due / heat,
            "leave out the first quarter of the draws": all_of_it,
            "the coefficient, not twice it": 2 * due,
        }

    same(result, due, "along", wrong, 0.015)
    rank = _rank(*(x[-1] for x in settled(W, b)))
    if abs(float(np.asarray(result)[-1]) / (rank / 2) - 1) > 0.08:
        raise NotYet(
            f"along: {float(np.asarray(result)[-1]):.2f} at the end, where half the rank of "
            f"the Hessian is {rank / 2}"
        )
    remark = "; ".join(
        f"step {t:,}: loss {x:.4f}, LLC {y:.1f}"
        for t, x, y in zip(_MOMENTS, still, due, strict=True)
    )
    right("along", remark, f"Half the rank of the Hessian at the end is {rank / 2}")


@cache
def _settled_losses() -> tuple[Numbers, Numbers]:
    W, b = settled(course().W, course().b)
    return sample(W, b, SAMPLES / math.log(SAMPLES)), loss(W, b)


def _estimate_llc(
    losses: Numbers, at_centre: Numbers, burn: int = 500
) -> Float[np.ndarray, " state"]:
    return SAMPLES / math.log(SAMPLES) * (losses[:, :, burn:].mean((1, 2)) - at_centre)


def _rank(W: Float[np.ndarray, "6 2"], b: Float[np.ndarray, " 6"]) -> int:
    """Count the directions that curve, by automatic differentiation of a fine sum over inputs."""
    a, identity = (
        torch.linspace(0, 1, 2_001, dtype=torch.float64)[:, None, None],
        torch.eye(6, dtype=torch.float64),
    )

    def mean(flat: torch.Tensor) -> torch.Tensor:
        W, b = flat[:12].view(6, 2), flat[12:]
        return (a * identity - (a * (W @ W.T) + b).relu()).square().sum((1, 2)).mean() / 6

    flat = torch.from_numpy(np.concatenate([W.ravel(), b]))
    return int((torch.linalg.eigvalsh(torch.autograd.functional.hessian(mean, flat)) > 5e-3).sum())
