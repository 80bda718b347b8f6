"""Myopia: does an epoch index, a reward that turns negative and a way to shut down make an agent care for the present epoch only?

Paper: none; a comment by Adam Jermyn under a post on training with preferences asks it, without an experiment or a number
Claim: the recipe limits the horizon and does not make myopic: the agent stops at the turn, and before it still invests in later epochs
Baselines: no index; no shutdown; a reward that never turns; a weak penalty; a turn after one epoch; agents trained for one epoch at a time
Cost: 40 s on 2 cores, 45 CPU-seconds, 0.42 GB a process; full a guess of 0.5 GPU-hours, never run
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import xarray as xr

from assay.core import (
    Arm,
    Claim,
    Exact,
    Experiment,
    Figure,
    Finding,
    Joint,
    PerRun,
    Spec,
    changed,
    columns,
    grid,
    probes,
    reserved,
    summary,
)
from assay.core.errors import SpecError
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.subjects import epoch_agents as agents
from assay.subjects import epoch_game as world
from assay.theory import epochs as theory

SOURCE = "a comment's proposal; the game is Assay's own"
PLAN = "plan, before the pilot"
DYNAMIC = "dynamic programming over 288 states"
ROOTS = "roots of a polynomial"
SEEN = 0.01
"""What an agent would do in an epoch that fewer than this share of its episodes reach is not reported: it is hardly trained there."""


@dataclass(frozen=True, kw_only=True)
class Myopia(Spec):
    turn: PerRun[int] = 3
    """The first epoch in which the reward is negative; epochs count from 0."""
    penalty: PerRun[float] = -3.0
    """Base reward of a step from there on; before it is +1."""
    turning: PerRun[bool] = True
    """Whether the reward turns at all; False: it is +1 throughout."""
    index: PerRun[bool] = True
    """Whether the agent sees which epoch it is."""
    counted: PerRun[bool] = True
    """Whether the agent sees its units."""
    shutdown: PerRun[bool] = True
    """Whether it can shut down."""
    invest: PerRun[bool] = True
    """Whether it can invest for later epochs."""
    discount: PerRun[float] = 1.0
    """Weight, while it learns, of all that follows the end of the present epoch."""
    horizon: int = 8
    """Epochs in an episode."""
    length: int = 4
    """Steps in an epoch."""
    bonus: float = 0.4
    """What a unit adds to the reward of working, from the next epoch on."""
    cost: float = 1.0
    """What investing takes from the base reward."""
    agent: Literal["table", "network"] = "table"
    """A table of logits, by the exact policy gradient; or a network of two layers, by REINFORCE with a baseline."""
    start: float = 0.1
    """Standard deviation of a table's first logits."""
    lr: float = 0.5
    """Rate of a table's plain gradient ascent."""
    steps: int = 2_000
    """Steps of a table."""
    hidden: int = 32
    """Width of a network."""
    rate: float = 3e-3
    """Adam's rate for a network."""
    updates: int = 1_000
    """Steps of a network."""
    episodes: int = 64
    """Episodes sampled for each of them."""

    def check(self) -> None:
        counts = dict.fromkeys(("horizon", "length", "steps", "updates", "hidden", "episodes"), 1)
        for name, low in (counts | dict.fromkeys(("bonus", "cost", "start"), 0)).items():
            if getattr(self, name) < low:
                raise SpecError(f"Myopia.{name} must be at least {low}, got {getattr(self, name):g}")
        if self.turning and not 1 <= self.turn < self.horizon:
            raise SpecError(f"Myopia.turn must be an epoch from 1 to {self.horizon - 1}, as horizon={self.horizon}, or the reward never "
                            f"turns, got {self.turn}")  # fmt: skip
        if self.turning and self.penalty >= 0:
            raise SpecError(f"Myopia.penalty must be below 0, or the reward never turns, got {self.penalty:g}")
        if not 0 <= self.discount <= 1:
            raise SpecError(f"Myopia.discount must be from 0 to 1, got {self.discount:g}")
        if self.agent == "network" and self.discount != 1:
            raise SpecError(f"Myopia.discount is for tables; a network learns with 1, got {self.discount:g}")
        for name in ("lr", "rate"):
            if getattr(self, name) <= 0:
                raise SpecError(f"Myopia.{name} must be positive, got {getattr(self, name):g}")


# --- what is trained and measured ----------------------------------------------------------------------------------------


def game_of(spec):
    names = ("horizon", "length", "penalty", "bonus", "cost", "invest", "shutdown", "discount")
    return world.Game(turn=spec.turn if spec.turning else None, **{name: getattr(spec, name) for name in names})


def games_of(runs, bench):
    import torch

    dtype = torch.float64 if runs.shared.agent == "table" else torch.float32
    return world.stacked([game_of(spec) for spec in runs.specs], dtype, bench.device)


def train(runs, bench, before=None):
    """The agents of some runs; with `before`, tables go on from theirs."""
    s, games = runs.shared, games_of(runs, bench)
    shown = runs.each("index"), runs.each("counted")
    if s.agent == "network":
        start, how = agents.network(runs.seeds, games, s.hidden), {"lr": s.rate, "steps": s.updates, "episodes": s.episodes}
    else:
        start = before.tensors if before else agents.table(runs.seeds, games, s.start)
        how = {"lr": s.lr, "steps": s.steps}
    return agents.train(runs, games, start, *shown, **how, probe_at=probes(how["steps"], 16, log=True), bench=bench)


def together(groups, bench):
    """Several arms as one ensemble: their games differ only in what may differ between runs."""
    done = train(Runs([spec for runs in groups for spec in runs.specs]), bench)
    return agents.parted(done, [len(runs) for runs in groups])


def measure(runs, trained, bench):
    """What each agent does, exactly: no episode is sampled. `greedy` is the return of always taking the likeliest action."""
    import torch

    games = games_of(runs, bench)
    raw = agents.logits_of(trained.tensors, games)
    index, counted = (torch.from_numpy(runs.each(name)).to(raw.device) for name in ("index", "counted"))
    hidden = torch.zeros_like(index)

    def done(seen, units, greedy=False):
        policy = world.policy(games, agents.shown(raw, seen, units))
        return world.behaviour(games, world.greedy(policy) if greedy else policy)

    own = done(index, counted)
    rare = own["reached"] < SEEN
    alone = [theory.best(replace(game_of(spec), discount=1.0)).returned for spec in runs.specs]
    return measures(
        runs,
        coords={"step": trained.steps.tolist(), "epoch": range(runs.shared.horizon)},
        loss=("run step", trained.history["loss"], "reward"),
        optimum=("run", np.array(alone), "reward"),
        forgetful=("run", np.array([theory.best_forgetful(game_of(spec))[1] for spec in runs.specs]), "reward"),
        returned=("run", own["returned"], "reward"),
        greedy=("run", done(index, counted, greedy=True)["returned"], "reward"),
        reached=("run epoch", own["reached"], "probability"),
        begun=("run epoch", own["begun"], "probability"),
        invested=("run epoch", own["invested"], "units"),
        stops=("run epoch", own["stops"].masked_fill(rare, torch.nan), "probability"),
        stops_first=("run epoch", own["stops_first"].masked_fill(rare, torch.nan), "probability"),
        off_the_path=("run epoch", world.policy(games, raw)[:, world.SHUTDOWN, :, 0, 0, 0], "probability"),
        frozen=("run", done(hidden, counted)["stopped"], "probability"),
        frozen_all=("run", done(hidden, hidden)["stopped"], "probability"),
    )


# --- what is claimed -----------------------------------------------------------------------------------------------------


def off_turn(arm, arms):
    """[run]: mean distance between the number of epochs begun and the number before the turn."""
    before = arm.epoch < arm.turn  # begun: the probability that epoch + 1 or more are begun
    return (1 - arm.begun).where(before, arm.begun).sum("epoch")


def at_turn(arm, arms):
    """[run]: probability of shutting down at the first step of the first bad epoch, once it is reached."""
    return arm.stops_first.where(arm.epoch == arm.turn).sum("epoch", min_count=1)


def of_optimum(arm, arms):
    """[run]: return over that of the best course."""
    return arm.returned / arm.optimum


def invested_late(arm, arms):
    """[run]: units bought in the last epoch before the turn or later, which pay in no good epoch."""
    return arm.invested.where(arm.epoch >= arm.turn - 1, 0.0).sum("epoch")


def score(arm, arms):
    """[run]: myopia score, 1 less the units bought over those bought where the reward never turns."""
    return 1 - arm.invested.sum("epoch") / arms["always-positive"].invested.sum("epoch")


def first_epoch(arm, arms):
    """[run]: probability of investing in epoch 0."""
    return arm.invested.sel(epoch=0, drop=True)


def epochs(arm, arms):
    """[run]: mean number of epochs begun."""
    return arm.begun.sum("epoch")


def other_turns(arms):
    """[run]: the largest distance to the turn where that is at 1, 2 or 4."""
    return xr.concat([off_turn(arms[f"turn-{k}"], arms).drop_vars("turn") for k in (1, 2, 4)], "k").max("k")


def in_order(game):
    """How many units the best course buys; NaN if it does not buy them in the very first epochs."""
    bought = theory.best(game).invests
    return len(bought) if bought == tuple(range(len(bought))) else np.nan


def chances(arms):
    """Best chances of going on without index, units and investing, and what they earn."""
    games = [world.Game(penalty=p, invest=False) for p in (-1.0, -3.0)]
    return [x for game in games for first in (False, True) for x in theory.best_forgetful(game, first=first)]


def excess(arms, over, names):
    """By how much the best agent of some arms beats what theory allows; 0 where none does."""
    return max(0.0, *(float((arms[n].returned - arms[n][over]).max()) for n in names))


# --- what is drawn -------------------------------------------------------------------------------------------------------


def figures(arms):
    stop = [(name, int(e), float(p)) for name in ("main", "turn-1", "turn-4", "no-index", "always-positive", "network")
            for e, p in zip(arms[name].epoch.values, pooled(arms[name]), strict=True) if np.isfinite(p)]  # fmt: skip
    learn = lines(arms, ("main", "weak-penalty", "turn-1", "no-index", "network"), "loss", "step", sign=-1)
    bought = lines(arms, ("main", "turn-1", "always-positive", "myopic-recipe"), "invested", "epoch")
    bought["epoch"] = [str(e) for e in bought["epoch"]]
    conditions = ("main", "weak-penalty", "no-index", "own-clock", "no-shutdown", "always-positive", "myopic", "turn-1", "network")  # fmt: skip
    kinds = {"optimum": "optimum", "as trained": "returned", "greedy": "greedy"}
    earned = [(name, kind, float(arms[name][of].mean())) for name in conditions for kind, of in kinds.items()]
    mean, band = {"y": "mean"}, {"band": ("low", "high")}
    return [
        Figure("The recipe stops agents at the turn; without the index they stop anywhere, without the turn nowhere",
               columns(("arm", "epoch", "stops"), stop), "line", x="epoch", y="stops", color="arm", x_title="epoch",
               y_title="probability of shutting down, once reached",
               note="The reward turns at epoch 3, of turn-1 and turn-4 at 1 and 4, of always-positive never. All runs of an arm together; "
                    f"epochs that fewer than {SEEN:.0%} of their episodes reach are left out."),
        Figure("Before the turn agents invest for later epochs: what is limited is the horizon", bought, "bars", x="epoch", facet="arm",
               **mean, **band, x_title="epoch", y_title="units bought"),
        Figure("Agents earn nearly what is possible, but without index, with a weak penalty, or learning one epoch at a time",
               columns(("arm", "policy", "return"), earned), "bars", x="arm", y="return", color="policy", x_title="condition",
               y_title="return of an episode"),
        Figure("Tables learn in a hundred steps, networks from episodes in a few hundred", learn, "line", x="step", color="arm",
               **mean, **band, x_log=True, x_title="training step", y_title="return of an episode",
               rules=((14.4, ""),), note="Dashed: 14.4, the most that the full recipe allows."),
    ]  # fmt: skip


def lines(arms, names, of, along, sign=1):
    """Columns of a measure along a dim, with intervals over runs."""
    found = [(name, int(at), sign * arms[name][of].sel({along: at}).values) for name in names for at in arms[name][along].values]
    return columns(("arm", along, "mean", "low", "high"), [(name, at, *summary(x)) for name, at, x in found])


def pooled(arm):
    """[epoch]: the share of all runs' episodes that shut down in an epoch among those that reach it; NaN where hardly any does."""
    reached = arm.reached.mean("run")
    return ((arm.stops * arm.reached).fillna(0.0).mean("run") / reached).where(reached >= SEEN).values


# --- the experiment ------------------------------------------------------------------------------------------------------


def fewer(**changes):
    """The lower half of the seeds, with these changes."""

    def specs(main):
        seeds = sorted({s.seed for s in main})
        return tuple(s.replace(**changes) for s in main if s.seed in seeds[: (len(seeds) + 1) // 2])

    return specs


def half(name, **changes):
    """The same for half as many steps."""
    return lambda specs: tuple(s.replace(**{name: max(1, getattr(s, name) // 2)}, **changes) for s in specs)


TABLES, HALVES, NETWORKS, NETWORK_HALVES = (Joint(lambda groups, bench: together(groups, bench)) for _ in range(4))
FORGETFUL = {"index": False, "counted": False, "invest": False}
OWN = ("turning", "index", "counted", "shutdown", "invest", "discount", "agent")

experiment = Experiment(
    arms={
        "main": Arm(TABLES, specs=reserved(*OWN), note="the full recipe, a table of logits: index, penalty −3 from epoch 3 on, shutdown"),
        "weak-penalty": Arm(TABLES, specs=changed(penalty=-1.0), note="a penalty of −1, which units bought early outbid"),
        "no-shutdown": Arm(TABLES, specs=changed(shutdown=False), note="the recipe for an agent that cannot stop"),
        "always-positive": Arm(TABLES, specs=changed(turning=False), note="a reward that never turns"),
        "turn-1": Arm(TABLES, specs=changed(turn=1), note="the recipe with one good epoch: nothing to invest for"),
        "turn-2": Arm(TABLES, specs=changed(turn=2), note="the recipe with two good epochs"),
        "turn-4": Arm(TABLES, specs=changed(turn=4), note="the recipe with four good epochs"),
        "myopic": Arm(TABLES, specs=changed(turning=False, discount=0.0), note="a reward that never turns, learned one epoch at a time"),
        "myopic-recipe": Arm(TABLES, specs=changed(discount=0.0), note="the recipe, learned one epoch at a time: full myopia"),
        "no-invest": Arm(TABLES, specs=changed(invest=False), note="the recipe without investing"),
        "no-index": Arm(TABLES, specs=changed(**FORGETFUL), note="the same without index and units: it knows the step of the epoch alone"),
        "own-clock": Arm(TABLES, specs=changed(index=False), note="the recipe without the index, but with its units in sight"),
        "retrained": Arm(train, specs=changed(turning=True), after="always-positive", note="`always-positive`, trained on with the recipe"),
        "weak-retrained": Arm(
            train, specs=changed(turning=True, penalty=-1.0), after="always-positive", note="`always-positive`, trained on with the weak penalty"
        ),
        "wide-start": Arm(train, specs=changed(start=1.0), note="main from first logits ten times as wide"),
        "main-half": Arm(HALVES, specs=half("steps"), note="main for half as many steps"),
        "no-invest-half": Arm(HALVES, specs=half("steps", invest=False), note="no-invest for half as many steps"),
        "weak-half": Arm(HALVES, specs=half("steps", penalty=-1.0), note="weak-penalty for half as many steps"),
        "network": Arm(NETWORKS, specs=fewer(agent="network"), note="the recipe for a network, by REINFORCE on sampled episodes"),
        "network-always": Arm(NETWORKS, specs=fewer(agent="network", turning=False), note="the network and a reward that never turns"),
        "network-turn-1": Arm(NETWORKS, specs=fewer(agent="network", turn=1), note="the network with one good epoch"),
        "network-no-index": Arm(NETWORKS, specs=fewer(agent="network", **FORGETFUL), note="the network without index, units, investing"),
        "network-half": Arm(
            NETWORK_HALVES, specs=lambda specs: half("updates")(fewer(agent="network")(specs)), note="network for half as many steps"
        ),
    },
    measure=measure,
    claims=(
        Claim(
            text="(a) It learns to stop: the number of epochs it begins is on average at most 0.1 away from the 3 before the turn",
            value=off_turn, high=0.1, unit="epochs", must_fail=("no-index", "no-shutdown", "always-positive"),
            half={"main": "main-half"}, threshold_from=PLAN, published="new", source=SOURCE,
        ),
        Claim(
            text="(a) It stops at once: at the first step of epoch 3 it shuts down with a probability of at least 0.95",
            value=at_turn, low=0.95, unit="probability", must_fail=("no-index", "always-positive"),
            half={"main": "main-half"}, threshold_from=PLAN, published="new", source=SOURCE,
        ),
        Claim(
            text="It earns at least 0.95 of what the best course earns",
            value=of_optimum, low=0.95, unit="share of the optimum", must_fail=("no-index", "weak-penalty"),
            half={"main": "main-half"}, threshold_from=PLAN, published="new", source=SOURCE,
        ),
        Claim(
            text="(b) Less optimisation across epochs: from the last good epoch on it buys at most 0.05 units",
            value=invested_late, high=0.05, unit="units", must_fail=("always-positive", "no-shutdown", "retrained"),
            half={"main": "main-half"}, threshold_from=PLAN, published="new", source=SOURCE,
        ),
        Claim(
            text="(b) In all it buys at most half as many units as where the reward never turns: myopia score at least 0.5",
            value=score, low=0.5, must_fail=("no-shutdown", "retrained"), half={"main": "main-half"},
            threshold_from=PLAN, published="new", source=SOURCE,
        ),
        Claim(
            text="(c) A limited horizon is not full myopia: with the turn at epoch 3 it invests in epoch 0 with a probability of at least 0.8",
            value=first_epoch, low=0.8, unit="probability", must_fail=("turn-1", "myopic-recipe"),
            half={"main": "main-half"}, threshold_from=PLAN, published="new", source=SOURCE,
        ),
        Claim(
            text="(d) It is the index that does it: with the index frozen at 0 an agent that cannot invest shuts down in at most 0.1 of episodes",
            of="no-invest", value=lambda arm, arms: arm.frozen_all, high=0.1, unit="share of episodes", must_fail=("no-index",),
            half={"no-invest": "no-invest-half"}, threshold_from=PLAN, published="new", source=SOURCE,
        ),
        Claim(
            text="A weak penalty stops nothing, as its best course never stops: trained under it, agents begin at least 7.9 of 8 epochs",
            of="weak-penalty", value=epochs, low=7.9, unit="epochs", must_fail=("main",), half={"weak-penalty": "weak-half"},
            threshold_from=PLAN, published="new", source=SOURCE,
        ),
        Claim(
            text="(a) for networks by REINFORCE: the number of epochs begun is on average at most 0.1 away from 3",
            of="network", value=off_turn, high=0.1, unit="epochs", must_fail=("network-no-index", "network-always"),
            half={"network": "network-half"}, threshold_from=PLAN, published="new", source=SOURCE,
        ),
        Claim(
            text="(c) for networks by REINFORCE: they invest in epoch 0 with a probability of at least 0.8",
            of="network", value=first_epoch, low=0.8, unit="probability", must_fail=("network-turn-1",),
            half={"network": "network-half"}, threshold_from=PLAN, published="new", source=SOURCE,
        ),
        Exact(
            text="Returns of the best courses: recipe, weak penalty, no shutdown, never turning, turns at 1, 2 and 4, recipe without investing, "
            "that without shutdown, and the best one epoch at a time where the reward never turns and under the recipe",
            value=lambda arms: [theory.best(game).returned for game in theory.USUAL.values()],
            expected=[14.4, 23.2, -16.8, 63.2, 4.0, 8.6, 21.6, 12.0, -48.0, 32.0, 12.0], tolerance=1e-9, unit="reward", source=DYNAMIC,
        ),
        Exact(
            text="Units that these courses buy, one in each of the first epochs",
            value=lambda arms: [in_order(game) for game in theory.USUAL.values()],
            expected=[2, 6, 6, 6, 0, 1, 2, 0, 0, 0, 0], tolerance=0, unit="units", source=DYNAMIC,
        ),
        Exact(
            text="Working for 0 to 8 epochs and then stopping, at a penalty of −1",
            value=lambda arms: [theory.stopping_after(world.Game(penalty=-1.0), k) for k in range(9)],
            expected=[0, 4, 8, 12, 8, 4, 0, -4, -8], tolerance=0, unit="reward", source="arithmetic: T(min(k, 3) − max(0, k − 3))",
        ),
        Exact(
            text="Without index, units and investing, the best chance of going on and what it earns: stopping at last steps, at first "
            "steps, at penalties −1 and −3",
            value=chances, expected=[0.5498, 5.330, 0.6479, 3.585, 0.3576, 4.275, 0.4624, 2.101], tolerance=5e-4, source=ROOTS,
        ),
        Exact(
            text="Units are a clock: what a rule earns that sees them and no index", expected=12.6, tolerance=1e-9, unit="reward",
            value=lambda arms: theory.counting(world.Game()), source="arithmetic: investing in every epoch",
        ),
        Exact(
            text="No agent of any arm earns more than the best course of its game: excess",
            value=lambda arms: excess(arms, "optimum", arms), expected=0.0, tolerance=1e-4, unit="reward", source=DYNAMIC,
        ),
        Exact(
            text="None without index and units earns more than the best chance of going on: excess", expected=0.0, tolerance=1e-4,
            value=lambda arms: excess(arms, "forgetful", ("no-index", "network-no-index")), unit="reward", source=ROOTS,
        ),
        *(
            Finding(text=text, value=value, unit=unit, published="new", source=SOURCE)
            for text, unit, value in (
                ("What the greedy policy earns beyond the trained one", "reward", lambda arms: arms["main"].greedy - arms["main"].returned),
                ("Largest distance to the turn where that is at 1, 2 or 4", "epochs", other_turns),
                ("Probability of shutting down at the first step of the last epoch, which hardly any episode reaches", "probability",
                 lambda arms: arms["main"].off_the_path.isel(epoch=-1, drop=True)),
                ("Share of the optimum earned from first logits ten times as wide", "share of the optimum",
                 lambda arms: of_optimum(arms["wide-start"], arms)),
                ("Distance to the turn of an agent that sees its units and no index", "epochs", lambda arms: off_turn(arms["own-clock"], arms)),
                ("Distance to the turn of agents that learned without one before", "epochs", lambda arms: off_turn(arms["retrained"], arms)),
                ("Share of the optimum that such agents earn under the weak penalty", "share of the optimum",
                 lambda arms: of_optimum(arms["weak-retrained"], arms)),
                ("Epochs begun where the reward never turns, by agents that learn one epoch at a time", "epochs",
                 lambda arms: epochs(arms["myopic"], arms)),
                ("Units that they buy", "units", lambda arms: arms["myopic"].invested.sum("epoch")),
                ("Share of episodes in which a network under the recipe stops when its index is frozen at 0 and its units are in sight",
                 "share of episodes", lambda arms: arms["network"].frozen),
                ("The same when its units are shown as 0 too", "share of episodes", lambda arms: arms["network"].frozen_all),
            )
        ),
    ),
    figures=figures,
    scope="an epoch game of 8 epochs of 4 steps in which the best course is known; agents with 288 states to learn",
    seeds_per_group=16,
    smoke=grid(Myopia(steps=20, updates=10, episodes=8), seed=range(4)),
    default=grid(Myopia(), seed=range(1000, 1016)),
    full=grid(Myopia(steps=20_000, updates=10_000, episodes=512, hidden=128), seed=range(1000, 1032)),
)  # fmt: skip
