"""The method of belief-states: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Float

from assay.core import PerRun, Spec, added, cosine, descent, fit, warm_up_decay
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained, watched
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.train import rng
from assay_catalogue.experiments.belief_states.probes import (
    FOLDS,
    HELD_OUT,
    distances,
    emitting_process,
    judged_probe,
    probe_all,
    read_out_of_folds,
    rounded,
    tree_of,
    unexplained,
)
from assay_catalogue.worlds.hidden_markov.batches import (
    Batch,
    all_prefixes,
    drawn_prefixes,
    every_prefix,
)
from assay_catalogue.worlds.hidden_markov.process import (
    OwnProcess,
    PrefixTree,
    additive,
    excess,
    joint,
)
from assay_catalogue.worlds.networks.transformer import (
    MATRICES,
    Prefixes,
    Sizes,
    forward_prefixes,
    transformer,
)

if TYPE_CHECKING:
    from assay.core.runs import Runs

MOST_PROBED = 2_048
"""The most prefixes of a user's own process that are probed."""
WINDOWS = 7
"""The longest joint table of last tokens that is a rival."""
SHOWN = 5
"""Length of the longest prefixes in the picture of the simplex."""


@dataclass(frozen=True, kw_only=True)
class BeliefStates(Spec):
    process: Literal["rrxor", "mess3"] | OwnProcess = "rrxor"
    """What emits the tokens; { matrices = [[[…]]] } has a matrix for each token v, whose row i and
    column j have P(emit v and go to state j | in state i), and may have a name."""
    x: float = 0.05
    """Mess3: probability of each move to another state."""
    alpha: float = 0.85
    """Mess3: probability that a state emits its own token."""
    read: Literal["network", "planted", "noise", "tokens"] = "network"
    """What is probed: the residual stream, a planted belief or noise in its place, or the tokens
    themselves."""
    steps: Annotated[int, Ge(0)] = 2_700
    """Training steps; 0 leaves the network untrained."""
    lr: PerRun[Annotated[float, Gt(0)]] = 3e-3
    """Learning rate at its top: 50 steps of warm-up, linear decay to 0 over the whole training."""
    decay: Annotated[float, Ge(0)] = 1.0
    """Decoupled weight decay of matrices, times the learning rate."""
    whole: bool = False
    """Whether every step sees all prefixes, weighted by their probability, in place of sampled
    sequences; the rate then follows a cosine."""
    batch: Annotated[int, Ge(1)] = 64
    """Sequences a step and run, drawn fresh."""
    sampled: bool = False
    """Whether targets are the tokens that came next, in place of their exact distribution."""
    sgd: bool = False
    """Plain gradient descent at a constant rate, as published, in place of AdamW."""
    moments: tuple[Annotated[float, Ge(0), Le(1)], ...] = ()
    """Shares of training after which endings are probed; 0 is the start."""
    probed: Annotated[int, Ge(1)] = 10
    """Length of the longest prefixes that are probed."""
    ending: Annotated[int, Ge(1)] = 5
    """Prefixes that end in the same so many tokens are held out together."""
    draws: Annotated[int, Ge(1)] = added(1, before=1)
    """Draws of the folds that hold endings out, over which each run is averaged."""
    layers: Annotated[int, Ge(1)] = 4
    """Blocks."""
    d: Annotated[int, Ge(1)] = 64
    """Width of the residual stream."""
    heads: Annotated[int, Ge(1)] = 1
    """Attention heads in a block."""
    d_head: Annotated[int, Ge(1)] = 8
    """Width of one head."""
    d_mlp: Annotated[int, Ge(1)] = 256
    """Neurons in a block's MLP."""
    context: Annotated[int, Ge(1)] = 10
    """Tokens in a training sequence, the most that the network can read."""
    replicate: int = 0
    """Another independent draw of the same set-up: shifts every seed."""

    def check(self) -> None:
        if self.probed > self.context:
            raise SpecError(
                f"BeliefStates.probed={self.probed} tokens are more than the network reads, "
                f"context={self.context}"
            )
        if self.ending > self.probed:
            raise SpecError(
                f"BeliefStates.ending={self.ending} tokens are more than the longest prefix "
                f"has, probed={self.probed}"
            )
        emitting_process(self.process, self.x, self.alpha)
        if isinstance(self.process, OwnProcess):
            check_prefixes(tree_of(self, self.context), self.probed)
        check_endings(tree_of(self, self.ending), self.ending)

    @property
    def strings(self) -> str:
        """Whose prefixes are probed, and up to which length."""
        return f"{named(self.process)} up to {self.probed} tokens"


def named(process: str | OwnProcess) -> str:
    """A process in words."""
    if isinstance(process, OwnProcess):
        tokens, states = np.shape(process.matrices)[:2]
        return f"{process.name} ({states} states, {tokens} tokens)"
    return {"rrxor": "RRXOR", "mess3": "Mess3"}[process]


def check_prefixes(tree: PrefixTree, probed: int) -> None:
    """Refuse more prefixes than kernel regression can read, and prefixes that tell nothing of the
    state. Raises: SpecError."""
    if np.ptp(tree.belief, axis=0).max() < 1e-9:
        raise SpecError("the tokens of this process tell nothing of its hidden state")
    if (count := int((tree.depth <= probed).sum())) > MOST_PROBED:
        raise SpecError(
            f"BeliefStates.probed={probed}: this process has {count:,} prefixes of at most so many "
            f"tokens, and up to {MOST_PROBED:,} can be probed; probed may be up to "
            f"{tree.depth[MOST_PROBED] - 1} here"
        )


def check_endings(tree: PrefixTree, ending: int) -> None:
    """Refuse fewer endings than folds. Raises: SpecError."""
    if (tree.depth <= ending).sum() < FOLDS["ending"]:
        raise SpecError(
            f"BeliefStates.ending={ending} leaves fewer than {FOLDS['ending']} endings to hold out "
            "in turn; make it longer"
        )


def train(runs: Runs[BeliefStates], bench: Bench) -> Trained:
    s = runs.shared
    if s.read != "network":  # nothing is trained: what is probed is made when it is measured
        return Trained.nothing(runs)
    sizes = Sizes(
        layers=s.layers,
        d=s.d,
        heads=s.heads,
        d_head=s.d_head,
        d_mlp=s.d_mlp,
        context=s.context,
        vocab=emitting_process(s.process, s.x, s.alpha).vocab,
    )

    def loss(params: dict[str, torch.Tensor], batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        token, position, ancestors, weight, target = batch
        logits, _ = forward_prefixes(params, Prefixes(token, position, ancestors))
        return -(weight[..., None] * target * logits.log_softmax(-1)).sum((1, 2)) / weight.sum(
            1
        )  # [run]

    params, rates = transformer(runs.replicated().seeds, sizes), runs.each("lr")
    if s.sgd:
        group = descent(runs, params, loss, lr=rates, plain=True)
    else:
        rate = cosine(s.steps, 50, 0.1) if s.whole else warm_up_decay(s.steps, 50, 1.0)
        group = descent(
            runs,
            params,
            loss,
            lr=rates,
            schedule=rate,
            clip=0.3,
            betas=(0.9, 0.98),
            decay=dict.fromkeys(MATRICES, s.decay),
        )
    return fit(
        [watched(group, tuple(params), moments(s))], batches(runs), steps=s.steps, bench=bench
    )[0]


def moments(s: BeliefStates) -> list[int]:
    """The steps at which endings are probed along training."""
    return [round(share * s.steps) for share in s.moments]


def batches(runs: Runs[BeliefStates]) -> Callable[[int], Batch]:
    """step → (token, position, ancestors, weight, target): distinct prefixes, how much each counts,
    what follows it."""
    s = runs.shared
    tree = tree_of(s, s.context)
    if s.whole:
        everything = every_prefix(tree)
        return lambda step: everything
    return drawn_prefixes(tree, runs.replicated().seeds, s.batch, s.sampled)


def measure(runs: Runs[BeliefStates], trained: Trained, bench: Bench) -> xr.Dataset:

    s = runs.shared
    tree = tree_of(s, s.probed)
    belief = torch.from_numpy(tree.belief)
    x, predicted = probed_features(runs, trained, tree)
    variables = (
        {} if predicted is None else {"excess": ("run", excess(tree, predicted.numpy()), "nats")}
    )
    coords = {}
    if trained.history:
        variables["loss"], coords["step"] = (
            ("run step", rounded(trained.history["loss"]), "nats"),
            trained.steps.tolist(),
        )
    for protocol in ["ending"] if s.process == "mess3" else HELD_OUT:
        predictions = probe_all(x, runs, tree, protocol, bench)
        coords["probe"] = list(predictions)
        variables[f"{protocol}_missing"] = ("run probe", unexplained(predictions, belief), "share")
        if protocol == "prefix":
            variables |= distances(tree, belief, predictions)
    if s.process == "mess3":
        points = predictions[judged_probe(vars(runs.specs[0]))][:, 0, tree.depth <= SHOWN, :2]
        variables["simplex"], coords["coordinate"] = (
            ("run row coordinate", np.round(points.numpy(), 3), "probability"),
            [0, 1],
        )
    if checkpoints := moments(s):
        variables |= along_training(runs, trained, tree, len(checkpoints))
        other = belief[tree.shuffled(0, "belief-states.shuffled")]
        predictions = read_out_of_folds({"concat": x["concat"]}, other, runs, tree, "ending")
        variables["shuffled_missing"] = ("run", unexplained(predictions, other)[:, 0], "share")
    return measures(runs, coords=coords, **variables)


def residual_streams(
    s: BeliefStates, params: Mapping[str, torch.Tensor], tree: PrefixTree
) -> tuple[dict[str, torch.Tensor], Float[torch.Tensor, "run row v"]]:
    """{probe: [run, row, d]} of a network's residual stream, and its next-token distributions [run,
    row, v]."""

    with torch.no_grad():
        logits, residuals = forward_prefixes(params, all_prefixes(tree))
    layers = {f"layer {i + 1}": x.cpu() for i, x in enumerate(residuals)}
    return {"concat": torch.cat(residuals, -1).cpu(), **layers}, logits.double().softmax(-1).cpu()


def probed_features(
    runs: Runs[BeliefStates], trained: Trained, tree: PrefixTree
) -> tuple[dict[str, torch.Tensor], Float[torch.Tensor, "run row v"] | None]:
    """{probe: [run or 1, row, d]} and what the network predicts [run, row, v], None where there is
    no prediction."""

    s = runs.shared
    exact = torch.from_numpy(tree.predicted)[None]
    if s.read == "tokens":
        tables = {
            f"last {k}": joint(tree, k)
            for k in range(1, (s.ending if s.process == "mess3" else WINDOWS) + 1)
        }
        columns = {**tables, "additive": additive(tree, s.probed)}
        return {name: torch.from_numpy(x)[None] for name, x in columns.items()} | {
            "next token": exact
        }, None
    if s.read == "network":
        params = {name: p for name, p in trained.tensors.items() if not name.endswith("/at")}
        x, predicted = residual_streams(s, params, tree)
    else:
        normals = torch.from_numpy(
            rng.normal(
                runs.replicated().seeds,
                f"belief-states.{s.read}",
                0,
                (len(tree) + tree.belief.shape[1], s.layers * s.d),
            )
        )
        noise, mix = normals[:, : len(tree)].double(), normals[:, len(tree) :].double()
        x = {
            "concat": noise
            if s.read == "noise"
            else torch.from_numpy(tree.belief) @ mix + 0.3 * noise
        }
        predicted = exact.expand(len(runs), -1, -1)
    return {**x, "softmax": predicted}, predicted


def along_training(
    runs: Runs[BeliefStates], trained: Trained, tree: PrefixTree, count: int
) -> dict[str, tuple[str, Any, str]]:
    """Excess loss and R² with endings held out, in one draw of the folds, at each moment of
    training."""

    from assay.core import Runs

    belief, once, over, missing = (
        torch.from_numpy(tree.belief),
        Runs([s.replace(draws=1) for s in runs.specs]),
        [],
        [],
    )
    for i in range(count):
        params = {
            name.removesuffix("/at"): p[:, i]
            for name, p in trained.tensors.items()
            if name.endswith("/at")
        }
        x, predicted = residual_streams(runs.shared, params, tree)
        over.append(excess(tree, predicted.numpy()))
        missing.append(
            unexplained(
                read_out_of_folds({"concat": x["concat"]}, belief, once, tree, "ending"), belief
            )[:, 0]
        )
    return {
        "excess_at": ("run moment", np.stack(over, 1), "nats"),
        "r2_at": ("run moment", 1 - np.stack(missing, 1), "R²"),
    }
