"""Learning coefficients by sampling, where they are known: potentials and deep linear networks.

Paper: The Local Learning Coefficient, Lau et al. 2023; Stochastic Complexities of Reduced Rank Regression, Aoyagi & Watanabe 2005
Claim: Langevin chains find the learning coefficient of a linear network within 10 %, and checks of the chains tell bad ones from sound ones
Baselines: a pull ten times as strong; λ itself where n is finite; chains of one rank for all; sound chains; checks without the newest
Cost: 47 s on 2 cores, 82 CPU-seconds, 0.47 GB a process; full a guess of 0.1 GPU-hours, never run
"""

from dataclasses import dataclass

import numpy as np

from assay.core import (
    Arm,
    Claim,
    Exact,
    Experiment,
    Figure,
    Finding,
    Gate,
    PerRun,
    Spec,
    Trained,
    columns,
    grid,
    reserved,
    summary,
)
from assay.core.chains import CHECKS, block_ends, plateau
from assay.core.errors import SpecError
from assay.core.langevin import check_sampler, n_beta_of
from assay.core.measures import by, measures
from assay.worlds.potentials.chains import sample, summed
from assay.worlds.potentials.known import Known, known
from assay.worlds.potentials.learning_coefficient import posterior_monomial
from assay.worlds.potentials.potential import potential

LAU = "Lau, Furman, Wang, Murfet, Wei 2023, The Local Learning Coefficient: A Singularity-Aware Complexity Measure"
AOYAGI = "Aoyagi & Watanabe 2005, Stochastic Complexities of Reduced Rank Regression in Bayesian Estimation"
WATANABE = "Watanabe 2009, Algebraic Geometry and Statistical Learning Theory"
SIZES = ("3-1-3 rank 1", "2-2-2 rank 1", "3-3-3 rank 1", "5-3-4 rank 0", "5-3-4 rank 1", "5-3-4 rank 2", "5-3-4 rank 3",
         "4-2-4 rank 1", "5-5-5 rank 2")  # fmt: skip
NETWORKS = tuple(f"network {s}" for s in SIZES)
BY_RANK = tuple(f"network 5-3-4 rank {r}" for r in range(4))
DEGENERATE = "network 2-2-2 rank 0"
SINGULAR = ("monomial 2", "monomial 3", "monomial 1 1")
ROUND, SOFT = "quadratic 1x10", "quadratic 1x6 0.5x2 0x2"
VECTORS = ((ROUND, 1.0, 1e-3), (ROUND, 100.0, 1e-3), (ROUND, 1.0, 5e-3), (SOFT, 1.0, 1e-3))
FAULTS = ("none", "unstable", "off the minimum")
UNSTABLE, OFF = 4.4, 0.3
"""How bad they are: lr · (n_beta · curvature + localisation) of the first; by how much every weight is moved in the second."""
AT_1000 = n_beta_of(1000)
KEPT = ("losses", "acceptance", "refused", "at_centre")
"""What is kept of chains: mean losses, Metropolis acceptance, and losses at refused steps, block by block; the loss at the start."""
COARSE = 3e-3
"""A step at which estimates at singular minima come out at least 10 % too high, and the mean acceptance stays above .7."""


@dataclass(frozen=True, kw_only=True)
class Llc(Spec):
    potential: PerRun[str] = "network 5-3-4 rank 1"
    """The loss: "network INPUTS-HIDDEN-OUTPUTS rank R", "quadratic 1x6 0.5x2 0x2" (curvatures), "monomial 1 1" (w₁² w₂²)."""
    lr: PerRun[float] = 3e-4
    """The chains' step."""
    localisation: PerRun[float] = 1.0
    """Strength of the pull towards the minimum, in units of the prior: exp(−localisation/2 · |w − w*|²)."""
    n_beta: PerRun[float] = AT_1000
    """Data points over temperature; n/ln n at n = 1000."""
    replicate: PerRun[int] = 0
    """Other chains of the same set-up: shifts every seed."""
    fault: PerRun[str] = "none"
    """What is wrong on purpose: "unstable" steps, or a start "off the minimum"."""
    chains: int = 8
    """Chains of one run."""
    steps: int = 8_000
    """Steps of each chain."""
    burn_in: int = 3_200
    """Steps of each chain that are not counted."""
    blocks: int = 100
    """Parts of equal length whose mean losses are recorded."""

    def check(self) -> None:
        if self.fault not in FAULTS:
            raise SpecError(f"Llc.fault is one of {', '.join(FAULTS)}, got {self.fault!r}")
        if self.chains < 2:
            raise SpecError(f"Llc.chains must be at least 2, as errors are taken over chains, got {self.chains}")
        block_ends(self.steps, self.blocks)
        if not 0 <= self.burn_in <= self.steps - 3 * (self.steps // self.blocks):
            raise SpecError(f"Llc.burn_in must leave at least three blocks of {self.steps} steps, got {self.burn_in}")
        if not self.localisation > 0:
            raise SpecError(f"Llc.localisation, the pull towards the minimum, must be above 0: without it free directions wander off "
                            f"for ever, got {self.localisation:g}")  # fmt: skip
        check_sampler(self.lr, self.n_beta, self.localisation, potential(self.potential).stiffest)


# --- what is sampled ---------------------------------------------------------------------------------------------------


def train(runs, bench):
    """Chains of every run, batched over all runs whose potential has one shape; what is kept are their losses."""
    s, every = runs.shared, [potential(name) for name in runs.each("potential")]
    lr, gamma, n_beta, fault = (runs.each(name) for name in ("lr", "localisation", "n_beta", "fault"))
    stiff = n_beta * [p.stiffest for p in every] + gamma
    found = sample(
        every,
        s.chains * runs.replicated().seeds[:, None] + np.arange(s.chains),
        lr=np.where(fault == "unstable", UNSTABLE / stiff, lr),
        n_beta=n_beta,
        localisation=gamma,
        off=np.where(fault == "off the minimum", OFF, 0.0),
        steps=s.steps,
        blocks=s.blocks,
        bench=bench,
    )
    kept = {name: getattr(found, name) for name in KEPT}
    meant = fault != "none"  # a chain that breaks on purpose is measured, not left out
    at = np.array(block_ends(s.steps, s.blocks))
    return Trained(kept, {}, {"loss": found.losses.mean(1).numpy()}, at, found.diverged & ~meant)


def one_biased(r):
    """On a quadratic, what stationary chains would give if the step biased nothing, and if the pull did; NaN elsewhere."""
    if not r.potential.startswith("quadratic"):
        return np.nan, np.nan
    return known(r.potential, r.n_beta, r.localisation).stationary, known(r.potential, r.n_beta, 0.0, r.lr).stationary


def measure(runs, trained, bench):
    losses, taken, refused, centre = (trained.tensors[k].double().cpu().numpy() for k in KEPT)
    found = summed(losses, taken, refused, centre, runs.each("n_beta"), trained.steps, runs.shared.burn_in)
    numbers = np.array([known(r.potential, r.n_beta, r.localisation, r.lr) for r in runs]).T
    one_bias = np.array([one_biased(r) for r in runs]).T
    return measures(
        runs,
        coords={"step": trained.steps.tolist(), "check": list(CHECKS)},
        trace=("run step", found.trace, "1"),
        drift=("run", found.drift, "standard errors"),
        acceptance=("run", found.acceptance, "probability"),
        overshoot=("run", found.overshoot, "share of the estimate"),
        failed=("run check", found.failed, "bool"),
        **{name: ("run", getattr(found, name), "1") for name in ("estimate", "error", "late")},
        **{name: ("run", x, "1") for name, x in zip(Known._fields, numbers, strict=True)},
        **{name: ("run", x, "1") for name, x in zip(("no_step", "no_pull"), one_bias, strict=True)},
    )


def against(measure):
    """The chains of `settings` against the closed form of one who does not know what the step does, or the pull."""
    return lambda arms: arms["settings"].assign(stationary=arms["settings"][measure])


def asymptotic(arms):
    """The chains of `singular` as if they had been set against λ itself, a thousand data points being infinitely many."""
    arm = arms["singular"]
    return arm.assign(estimate=arm.estimate * arm.stationary / arm.coefficient)


def unweighted(arms):
    """The chains of `coarse` without the check that looks where losses come from."""
    failed = arms["coarse"].failed
    return arms["coarse"].assign(failed=failed & (failed.check != CHECKS[-1]))


# --- what is claimed ---------------------------------------------------------------------------------------------------


def rows(arm, values, of=None):
    """[seed, row] of values [run, …]: a row for each potential (of these, if given) at each setting and replicate."""
    if of is not None:
        chosen = np.isin(arm.potential.values, of)
        arm, values = arm.isel(run=chosen), values.isel(run=chosen)
    numbers = zip(*(arm[k].values for k in ("potential", "localisation", "lr", "n_beta", "replicate")), strict=True)
    labels = [f"{name}, localisation {gamma:g}, step {lr:g}, n_beta {n:g}, {r:04d}" for name, gamma, lr, n, r in numbers]
    plain = values.drop_vars([k for k, c in values.coords.items() if c.dims == ("run",)]).assign_coords(
        row=("run", labels), seed=("run", arm.seed.values)
    )
    return plain.set_index(run=["seed", "row"]).unstack("run").transpose("seed", "row", ...)


def over(measure, *of):
    """A value: the estimate over this measure, [seed row], for these potentials."""

    def value(arm, arms):
        if missing := set(of) - set(arm.potential.values.tolist()):
            raise KeyError(f"no chains on {', '.join(sorted(missing))}")
        return rows(arm, arm.estimate / arm[measure], of)

    return value


def over_integral(arm, arms):
    """The same over the integral that holds at the localisation of `singular`, whatever the arm's own is."""
    judged = "singular" not in arms  # an arm under judgement is none of the others
    method = arm if judged else arms["singular"]
    target = dict(zip(zip(method.potential.values, method.n_beta.values, strict=True), method.stationary.values, strict=True))
    if missing := {*SINGULAR, DEGENERATE} - set(arm.potential.values.tolist()):
        raise KeyError(f"no chains on {', '.join(sorted(missing))}")
    right = [target.get(at, np.nan) for at in zip(arm.potential.values, arm.n_beta.values, strict=True)]
    return rows(arm, arm.estimate / right, (*SINGULAR, DEGENERATE))


def worst(means):
    """Largest relative deviation from 1 over rows, [draw]."""
    return abs(means["value"] - 1).max(-1)


def smallest_rise(means):
    """Smallest rise of the estimate from one row to the next, [draw]."""
    return np.diff(means["value"], axis=-1).min(-1)


def along_rank(arm, arms):
    """[seed row]: the estimate on 5-3-4 networks, in order of the truth's rank (and of replicate where it is one rank); four of them."""
    found = rows(arm, arm.estimate, BY_RANK)
    if found.sizes["row"] != len(BY_RANK):
        raise KeyError("no four sets of chains on 5-3-4 networks")
    return found


def flagged(arm, arms):
    """[run]: whether any check failed."""
    return arm.failed.any("check").astype(float)


def stationary(arm):
    """Whether the later half of the draws gives what all give, within 5 % on average over rows."""
    late, whole = (rows(arm, arm[k]).mean("seed") for k in ("late", "estimate"))
    return bool((abs(late / whole - 1)).mean() <= 0.05)


def cells_of(arms):
    """[seed localisation lr]: the estimates of the grid, and which cells are on a plateau: agree with two neighbours within 10 %."""
    found = by(arms["grid"], "localisation", "lr").estimate
    return found, found.isel(seed=0).copy(data=plateau(found.mean("seed").values))


def on_plateau(arms):
    """[seed]: the mean estimate over the cells of the grid that are on a plateau."""
    found, flat = cells_of(arms)
    return found.where(flat).mean(("localisation", "lr"))


def estimates_figure(arms):
    """Each network's estimate, and other numbers that one might take for its learning coefficient, over λ."""
    points = []
    for name in (*NETWORKS, DEGENERATE):
        main, held = (arm.isel(run=arm.potential.values == name) for arm in (arms["main"], arms["localised"]))
        first = main.isel(run=0)
        numbers = {"estimate": main.estimate.mean(), "under a strong pull": held.estimate.mean(), "half the weights": first.half_weights,
                   "half the Hessian's rank": first.half_rank}  # fmt: skip
        points += [(float(first.coefficient), kind, float(x / first.coefficient)) for kind, x in numbers.items()]
    title = "Chains find λ; counts of weights never do, of curvatures at two of ten"
    return Figure(title, columns(("λ", "number", "over λ"), points), "points", x="λ", y="over λ", color="number",
                  x_title="learning coefficient λ of ten linear networks", y_title="estimate or count over λ", rules=((1.0, "λ"),))  # fmt: skip


def trace_figure(arms):
    """The mean excess loss along the chains at 5-3-4, for the truths of each rank."""
    arm = arms["main"]
    points = []
    for rank, name in enumerate(BY_RANK):
        for i, step in enumerate(arm.step.values):
            mean, low, high = summary(arm.trace.values[arm.potential.values == name, i])
            points.append((f"rank {rank}", int(step), mean, low, high))
    return Figure("Excess losses settle within 2,000 steps, in order of the rank", columns(("truth", "step", "mean", "low", "high"), points), "line",
                  x="step", y="mean", color="truth", band=("low", "high"), x_title="steps of the chain",
                  y_title="n_beta times excess loss, means of blocks")  # fmt: skip


def grid_figure(arms):
    """The estimate over λ in every cell of the grid."""
    found, _ = cells_of(arms)
    ratio = found.mean("seed") / float(arms["grid"].coefficient[0])
    points = [(f"localisation {gamma:g}", float(lr), float(ratio.sel(lr=lr, localisation=gamma)))
             for gamma in ratio.localisation.values for lr in ratio.lr.values]  # fmt: skip
    title = "Strong localisation pulls below λ at every step, a large step pushes above: 5-3-4, rank 1"
    return Figure(title, columns(("localisation", "lr", "over λ"), points), "line", x="lr", y="over λ", color="localisation",
                  x_log=True, x_title="step lr", y_title="mean estimate over λ", rules=((1.0, "λ"),))  # fmt: skip


def checks_figure(arms):
    """The share of runs that fail each check, arm by arm."""
    points = [(name, check, float(arms[name].failed.sel(check=check).mean()))
             for name in ("main", "singular", "localised", "coarse", "faulty") for check in CHECKS]  # fmt: skip
    return Figure("Checks find what is broken, not what is merely wrong", columns(("arm", "check", "share"), points), "bars", x="arm", y="share",
                  color="check", x_title="arm", y_title="share of runs that fail the check")  # fmt: skip


# --- the arms' runs ----------------------------------------------------------------------------------------------------


def each(make, part=1.0):
    """A map from specs to what `make` gives for every seed, or for the first part of them."""

    def specs(given):
        seeds = sorted({s.seed for s in given})
        return tuple(new for seed in seeds[: max(2, round(part * len(seeds)))] for new in make(given[0].replace(seed=seed)))

    return specs


def shorter(s):
    """Half the steps, half of them not counted."""
    return {"steps": s.steps // 2, "burn_in": s.burn_in // 2}


def settings(s):
    """The quadratics at the localisations and steps whose outcome is known."""
    for name, gamma, lr in VECTORS:
        yield s.replace(potential=name, localisation=gamma, lr=lr, replicate=3)


def overshoot(n_beta, localisation):
    """The step at which lr · (n_beta + localisation) is 3."""
    return 3 / (n_beta + localisation)


def localised(s):
    """All potentials under a pull ten times as strong."""
    for name in (*NETWORKS, DEGENERATE, *SINGULAR):
        yield s.replace(potential=name, localisation=10.0 * s.localisation, replicate=1, **shorter(s))


def coarse(s):
    """The quadratics with steps that overshoot, and singular minima with steps too large in the few steep places that carry the loss."""
    for name in (ROUND, SOFT):
        yield s.replace(potential=name, lr=overshoot(s.n_beta, s.localisation), replicate=2, **shorter(s))
    for name in ("monomial 1 1", DEGENERATE, BY_RANK[1]):
        yield s.replace(potential=name, lr=COARSE, replicate=2, **shorter(s))


def one_rank(s):
    """Four times the same network."""
    return [s.replace(potential=BY_RANK[1], replicate=r, **shorter(s)) for r in range(10, 14)]


def faults(s):
    """Potentials with a curvature, each with each fault."""
    for name in (ROUND, BY_RANK[1]):
        for fault in FAULTS[1:]:
            yield s.replace(potential=name, fault=fault, replicate=5, **shorter(s))


def singular(s):
    """Monomials and the network of rank 0, whose outcome at this n_beta is an integral."""
    for name in (*SINGULAR, DEGENERATE):
        yield s.replace(potential=name, lr=s.lr * (2 if name in SINGULAR else 1), replicate=4)


def cells(s):
    """One network over a grid of localisations and steps."""
    for gamma in (0.3, 1.0, 3.0, 10.0, 30.0, 100.0):
        for lr in (1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3):
            yield s.replace(
                potential=BY_RANK[1], localisation=gamma, lr=lr, chains=max(2, s.chains // 4), replicate=7, **shorter(s)
            )


STATIONARY = (Gate("stationary", stationary),)

experiment = Experiment(
    version=2,
    arms={
        "main": Arm(train, specs=reserved("fault", "replicate"), note="networks and quadratics at localisation 1, with small steps"),
        "singular": Arm(train, specs=each(singular), note="the same for monomials and a network of rank 0, whose finite-n value is an integral"),
        "settings": Arm(train, specs=each(settings), note="quadratics at several settings, where stationary chains are known exactly"),
        "localised": Arm(train, specs=each(localised, 1 / 3), note="own chains under a pull ten times as strong"),
        "coarse": Arm(train, specs=each(coarse), note="own chains with steps that are stable and bias the estimate by 10 % and more"),
        "one-rank": Arm(train, specs=each(one_rank), note="four sets of chains on networks of one rank: no order to find"),
        "faulty": Arm(train, specs=each(faults), note="bad on purpose: steps that cannot be stable, or every weight .3 off the minimum"),
        "grid": Arm(train, specs=each(cells, 1 / 4), note="one network over localisations and steps"),
        "no-step": Arm(derive=against("no_step"), note="the chains of `settings` against the closed form for steps of size 0"),
        "no-pull": Arm(derive=against("no_pull"), note="the chains of `settings` against the closed form without localisation"),
        "asymptotic": Arm(derive=asymptotic, note="the chains of `singular` against λ itself, as if n were infinite"),
        "unweighted": Arm(derive=unweighted, note="the chains of `coarse` without the check that looks where losses come from"),
    },
    measure=measure,
    claims=(
        Claim(
            text="On nine linear networks the estimate lies within 10 % of the learning coefficient: largest deviation",
            value=over("coefficient", *NETWORKS), statistic=worst, high=0.10, unit="share of the coefficient",
            must_fail=("localised",), near={"localised": "some pull would do, and chains that are held more tightly give λ as well"},
            gates=STATIONARY, published="new", source=f"{AOYAGI}; {LAU}", threshold_from="plan: 10 %, before any chain was run",
        ),
        Claim(
            text="On w⁴, w⁶, w₁² w₂² and the 2-2-2 network at rank 0 the estimate lies within 10 % of the integral that replaces λ at a finite n: "
                 "largest deviation",
            value=over_integral, statistic=worst, of="singular", high=0.10, unit="share of the integral",
            must_fail=("localised", "asymptotic"), near={"asymptotic": "what chains find is λ itself, and n is large enough"},
            gates=STATIONARY, published="new", source=WATANABE, threshold_from="pilot: seeds 0–7, .013 [.005, .040]",
        ),
        Claim(
            text="On quadratics at four settings the estimate is what the closed form with both biases says, within 2 %: largest deviation",
            value=over("stationary", ROUND, SOFT), statistic=worst, of="settings", high=0.02, unit="share of the closed form",
            must_fail=("no-step", "no-pull"), gates=STATIONARY, published="new", source="stationary variance of a linear recursion",
            near={"no-step": "steps bias nothing, and the pull explains the difference", "no-pull": "the pull biases nothing, only the step"},
            also={"main": "quadratics at the first of these settings, with a smaller step",
                  "coarse": "the form knows what a coarse step does to a quadratic", "unweighted": "the chains of `coarse`"},
            threshold_from="theory: exact but for chance",
        ),
        Claim(
            text="At 5-3-4 the estimate rises with the truth's rank from 0 to 3, by at least 0.5 each time: smallest rise",
            value=along_rank, statistic=smallest_rise, low=0.5, must_fail=("one-rank",),
            near={"one-rank": "chance between sets of chains puts four estimates in order"},
            also={"localised": "a pull takes most from the networks of low rank, which have the most free directions, and so keeps the order"},
            gates=STATIONARY, published="new", source=AOYAGI, threshold_from="theory: the coefficients are 5.5, 7, 8 and 9; half the smallest rise",
        ),
        Claim(
            text="Of runs that are bad on purpose at least 90 % fail a check",
            value=flagged, of="faulty", low=0.9, unit="share of runs", bounds=(0, 1), must_fail=("one-rank",), published="new", source=LAU,
            near={"one-rank": "checks are up by chance, or wherever chains move slowly"},
            also={"coarse": "these are bad on purpose as well, by their step"}, threshold_from="plan: nearly all, before any chain was run",
        ),
        Claim(
            text="Of runs whose step is stable but biases the estimate by 10 % or more, at least 90 % fail a check",
            value=flagged, of="coarse", low=0.9, unit="share of runs", bounds=(0, 1), must_fail=("unweighted", "one-rank"),
            published="new", source=LAU,
            near={"unweighted": "drift, sign and mean acceptance would have told as well"},
            also={"faulty": "these are bad on purpose in another way"},
            threshold_from="pilot: seeds 0–63, on which the check's 5 % was chosen; all of them on seeds 0–35",
        ),
        Claim(
            text="Of sound runs at most 20 % fail a check",
            value=flagged, high=0.2, unit="share of runs", bounds=(0, 1), must_fail=("faulty", "coarse"), published="new", source=LAU,
            near={"coarse": "checks pass whatever settles, right or wrong"},
            also=dict.fromkeys(("one-rank", "singular", "settings"), "sound chains as well")
            | {"localised": "chains that sample what they were asked for; it is the pull that is too strong",
               "unweighted": "runs with one check fewer, which is the one that they fail"},
            threshold_from="theory: |t| > 2 on 8 chains happens in 8.6 % of stationary runs",
        ),
        Finding(
            text="Under a pull ten times as strong the estimate on networks is this share of the learning coefficient",
            value=lambda arms: over("coefficient", *NETWORKS)(arms["localised"], arms).mean("row"), unit="share of the coefficient", source=LAU,
        ),
        Finding(
            text="And the share of these runs that fail a check",
            value=lambda arms: flagged(arms["localised"], arms), unit="share of runs", source=LAU,
        ),
        Finding(
            text="With steps of 3e-3 on w₁² w₂², the 2-2-2 network at rank 0 and 5-3-4 at rank 1: the estimate over what is right",
            value=lambda arms: over("stationary", "monomial 1 1", DEGENERATE, BY_RANK[1])(arms["coarse"], arms).mean("row"), unit="ratio", source=LAU,
        ),
        Finding(
            text="On the grid for 5-3-4 at rank 1, λ = 7: the mean over cells that agree with two neighbours within 10 %",
            value=on_plateau, source=LAU,
        ),
        Exact(
            text="Stationary chains on quadratics, closed form: ten curvatures of 1 at (localisation, step) (1, .001), (100, .001), (1, .005); "
                 "six of 1, two of ½, two of 0 at (1, .001)",
            value=lambda arms: [known(name, AT_1000, gamma, lr).stationary for name, gamma, lr in VECTORS],
            expected=[5.15350, 3.14997, 6.07207, 4.09691], tolerance=1e-5, source="stationary variance of a linear recursion",
        ),
        Exact(
            text="Without localisation w^(2k) gives 1/(2k) at every n_beta: k = 1, 2, 3 at 10 and at 1000",
            value=lambda arms: [posterior_monomial((k,), n) for n in (10.0, 1000.0) for k in (1, 2, 3)],
            expected=[1 / 2, 1 / 4, 1 / 6] * 2, tolerance=1e-6, source=WATANABE,
        ),
        Exact(
            text="w₁² w₂², λ = ½, at n = 10³, 10⁴, 10⁶ and localisation 1: the integrals are nowhere near",
            value=lambda arms: [known("monomial 1 1", n_beta_of(n)).stationary for n in (10**3, 10**4, 10**6)],
            expected=[0.3614, 0.3912, 0.4253], tolerance=6e-5, source=WATANABE,
        ),
        Exact(
            text="Learning coefficients of the nine networks, and of 2-2-2 at rank 0",
            value=lambda arms: [known(name, AT_1000).coefficient for name in (*NETWORKS, DEGENERATE)],
            expected=[2.5, 2.0, 4.0, 5.5, 7.0, 8.0, 9.0, 5.0, 11.5, 1.5], tolerance=0.0, source=AOYAGI,
        ),
        Exact(
            text="Half the number of weights over λ on these ten: least and largest",
            value=lambda arms: [f(k.half_weights / k.coefficient for k in (known(n, AT_1000) for n in (*NETWORKS, DEGENERATE))) for f in (min, max)],
            expected=[1.2, 8 / 3], tolerance=1e-9, source=AOYAGI,
        ),
        Exact(
            text="Half the rank of the Hessian on these ten",
            value=lambda arms: [known(name, AT_1000).half_rank for name in (*NETWORKS, DEGENERATE)],
            expected=[2.5, 1.5, 2.5, 0.0, 4.0, 7.0, 9.0, 3.5, 8.0, 0.0], tolerance=0.0, source="dimension of the tangent space r (M + N − r)",
        ),
    ),
    figures=lambda arms: [estimates_figure(arms), grid_figure(arms), trace_figure(arms), checks_figure(arms)],
    seeds_per_group=36,  # small tensors: a step costs little more for many seeds than for a few
    scope="these potentials and linear networks at one temperature, n_beta = 1000/ln 1000 unless set, sampled from their known minimum",
    smoke=grid(Llc(steps=200, burn_in=80, chains=2), potential=(*NETWORKS, DEGENERATE, ROUND, SOFT), seed=range(2)),
    default=grid(Llc(), potential=(*NETWORKS, DEGENERATE, ROUND, SOFT), seed=range(4000, 4036)),
    # step, chains and draws as in a public test of such samplers
    full=grid(Llc(lr=4e-4, chains=10, steps=5_000, burn_in=0), potential=(*NETWORKS, DEGENERATE, ROUND, SOFT), seed=range(4000, 4036)),
)  # fmt: skip
