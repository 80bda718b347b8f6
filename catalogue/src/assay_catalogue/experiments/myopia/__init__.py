"""Myopia: does an epoch index, a reward that turns negative and a way to shut down make an agent
care for the present epoch only?

Group: knowledge
Paper: none; a comment by Adam Jermyn under a post on training with preferences asks it, without an
experiment or a number
Claim: the agent stops at the turn and is not myopic: before it it still invests in later epochs
where that pays well
Baselines: no clock in sight; no shutdown; a reward that never turns; a weak penalty; learning one
epoch at a time
Cost: 244 s on 2 cores, 450 CPU-seconds, 0.4 GB a process
"""

import numpy as np

from assay.core import Arm, Experiment, changed, grid, reserved, variant
from assay_catalogue.experiments.myopia.claims import CLAIMS, figures
from assay_catalogue.experiments.myopia.method import (
    HALVES,
    HIDDEN,
    NETWORK_HALVES,
    NETWORKS,
    TABLES,
    Myopia,
    measure,
    train,
)

OWN = ("turning", "index", "counted", "shutdown", "invest", "discount", "agent", "draw")
"""Fields that arms set."""
COSTS = tuple(np.geomspace(0.8, 12.8, 17)[1::2].tolist())
"""Middles of eight equal parts of the costs from .8 to 12.8, on a log scale: a unit earns 3.2
before a turn at 3, 11.2 in eight epochs."""
SPREAD = 16 ** (1 / 16)
"""Half of such a part: with its own factor each seed has one cost in every part, each as likely as
any other there."""
ARMS = {
    "main": Arm(
        TABLES,
        specs=reserved(*OWN),
        note="the full recipe, a table of logits: index, a reward that turns negative, shutdown",
    ),
    "weak-penalty": Arm(
        TABLES,
        specs=changed(penalty=-1.0),
        note="a penalty of −1, which units bought early outbid where they are cheap",
    ),
    "no-shutdown": Arm(
        TABLES, specs=changed(shutdown=False), note="the recipe for an agent that cannot stop"
    ),
    "always-positive": Arm(
        TABLES, specs=changed(turning=False, draw=1), note="a reward that never turns"
    ),
    "myopic-recipe": Arm(
        TABLES,
        specs=changed(discount=0.0),
        note="the recipe, learned one epoch at a time: full myopia",
    ),
    "no-clock": Arm(
        HIDDEN,
        specs=changed(index=False, counted=False),
        note="the recipe, but neither index nor units in sight",
    ),
    "own-clock": Arm(
        HIDDEN,
        specs=changed(index=False),
        note="the recipe without the index, but with its units in sight",
    ),
    "retrained": Arm(
        train,
        specs=changed(turning=True),
        after="always-positive",
        note="`always-positive`, trained on with the recipe",
    ),
    "long-half": Arm(train, after="main", note="`main`, trained on for as many steps again"),
    "long": Arm(
        train,
        specs=variant(times={"steps": 2}),
        after="long-half",
        note="`long-half`, trained on to four times the steps of `main`",
    ),
    "main-half": Arm(
        HALVES, specs=variant(times={"steps": 0.5}), note="main for half as many steps"
    ),
    "own-half": Arm(
        HALVES,
        specs=variant(times={"steps": 0.5}, index=False),
        note="own-clock for half as many steps",
    ),
    "weak-half": Arm(
        HALVES,
        specs=variant(times={"steps": 0.5}, penalty=-1.0),
        note="weak-penalty for half as many steps",
    ),
    "network": Arm(
        NETWORKS,
        specs=changed(agent="network"),
        note="the recipe for a network, by REINFORCE on sampled episodes",
    ),
    "network-always": Arm(
        NETWORKS,
        specs=changed(agent="network", turning=False, draw=1),
        note="the network and a reward that never turns",
    ),
    "network-endless": Arm(
        NETWORKS,
        specs=changed(agent="network", shutdown=False),
        note="the network and the recipe, but it cannot stop",
    ),
    "network-half": Arm(
        NETWORK_HALVES,
        specs=variant(times={"updates": 0.5}, agent="network"),
        note="network for half as many steps",
    ),
}
experiment = Experiment(
    version=2,
    measured=2,
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    scope="a short epoch game in which the best course is known; investing costs {cost:.3g} "
    "times a factor of each seed; agents with a few hundred states to learn",
    seeds_per_group=6,
    smoke=grid(Myopia(steps=20, updates=10, episodes=8, spread=SPREAD), seed=range(2), cost=COSTS),
    default=grid(Myopia(spread=SPREAD), seed=range(62_200, 62_212), cost=COSTS),
)
