"""How belief-states trains and measures: batches and targets by hand, resume, one run alone,
planted streams through the whole of it."""

import itertools

import numpy as np
import pytest
import torch

from assay.core.errors import DataError, SpecError
from assay.core.runs import Runs
from assay.lab import catalogue
from assay_catalogue.experiments import belief_states as b
from assay_catalogue.experiments.belief_states import method as b_method
from assay_catalogue.experiments.belief_states import probes as b_probes
from assay_catalogue.experiments.belief_states.claims import level
from assay_catalogue.worlds.hidden_markov.process import OwnProcess, mess3
from assay_catalogue.worlds.networks.transformer import Sizes, forward, transformer

SMALL = b.experiment.smoke[0]


class Killed(Exception):
    pass


def test_the_loss_is_the_mean_over_sequences_and_positions(bench):
    runs = Runs([SMALL.replace(steps=1, moments=())])
    trained = b_method.train(runs, bench)
    s = SMALL
    params = transformer(
        runs.seeds,
        Sizes(layers=4, d=s.d, heads=1, d_head=s.d_head, d_mlp=s.d_mlp, context=s.context, vocab=2),
    )
    process = b_probes.emitting_process("rrxor", 0.05, 0.85)
    tokens = process.sequences(runs.seeds, s.batch, s.context)(0)
    follows = process.tree(s.context).predicted[process.tree(s.context).rows(tokens)[0]]
    log_q = forward(params, torch.from_numpy(tokens))[0].log_softmax(-1)[0].numpy()
    assert trained.history["loss"][0, -1] == pytest.approx(
        -(follows * log_q).sum(-1).mean(), abs=1e-5
    )


@pytest.mark.parametrize("whole", [False, True])
def test_alone_is_as_among_others(bench, whole):
    specs = [SMALL.replace(seed=s, steps=50, moments=(), whole=whole) for s in (3, 4, 5)]
    together, alone = b_method.train(Runs(specs), bench), b_method.train(Runs(specs[1:2]), bench)
    np.testing.assert_allclose(together.history["loss"][1], alone.history["loss"][0], atol=1e-5)
    for name, value in alone.tensors.items():
        torch.testing.assert_close(together.tensors[name][1], value[0], atol=1e-4, rtol=1e-3)


def test_a_killed_training_goes_on_bitwise(tmp_path, bench, plain_bench, plain_slot, monkeypatch):
    runs = Runs([SMALL.replace(seed=s, steps=20, moments=(0.0, 0.5, 1.0)) for s in (3, 4)])
    whole = b_method.train(runs, plain_bench(tmp_path, [plain_slot()]))
    slot, draw = plain_slot(every=1), b_method.batches

    def until(runs):
        batch = draw(runs)

        def stops(step):
            if step == 13:
                raise Killed
            return batch(step)

        return stops

    monkeypatch.setattr(b_method, "batches", until)
    with pytest.raises(Killed):
        b_method.train(runs, plain_bench(tmp_path, [slot]))
    monkeypatch.setattr(b_method, "batches", draw)
    resumed = b_method.train(runs, plain_bench(tmp_path, [plain_slot(saved=slot.saved)]))
    for name, value in whole.tensors.items():
        assert torch.equal(resumed.tensors[name], value), name
    assert torch.equal(
        whole.tensors["W_in/at"][:, -1], whole.tensors["W_in"]
    )  # the last moment is the end, the first the start
    assert torch.equal(
        whole.tensors["W_in/at"][:, 0],
        b_method.train(Runs([s.replace(steps=0, moments=()) for s in runs]), bench).tensors["W_in"],
    )


@pytest.mark.parametrize("spec", [SMALL, pytest.param(b.DEFAULT, marks=pytest.mark.thorough)])
def test_planted_streams_are_read_and_noise_is_not(spec, bench):
    found = {}
    for read in ("planted", "noise"):
        runs = Runs([spec.replace(steps=0, moments=(), read=read, d=16)])
        arm = b_method.measure(runs, b_method.train(runs, bench), bench)
        found[read] = level(arm, "ending"), level(arm, "prefix")
    assert all((x > 0.95).all() for x in found["planted"])
    assert all((x < 0).all() for x in found["noise"])


OWN = {"context": 5, "probed": 5, "ending": 2, "draws": 1, "layers": 2, "d": 8, "d_mlp": 8}
NONUNIFILAR = (((0.0, 0.0), (0.5, 0.0)), ((0.5, 0.5), (0.0, 0.5)))
"""The simple nonunifilar source: token 0 on the way from state 1 to 0, else token 1."""


def measured(spec, bench):
    runs = Runs([spec])
    return b_method.measure(runs, b_method.train(runs, bench), bench)


@pytest.mark.parametrize("read", ["network", "tokens"])
def test_mess3_by_its_matrices_is_mess3_number_for_number(read, bench):
    own = {"matrices": mess3(0.2, 0.7).T.tolist()}
    same = SMALL.replace(steps=10 * (read == "network"), moments=(), read=read, **OWN)
    named, given = (
        measured(same.replace(process=process, x=0.2, alpha=0.7), bench)
        for process in ("mess3", own)
    )
    probes = [probe for probe in named.probe.values if probe in given.probe.values]
    assert len(probes) >= 4
    for name in {"ending_missing", "excess", "loss"} & {*named}:
        selection = {"probe": probes} if name == "ending_missing" else {}
        np.testing.assert_array_equal(named[name].sel(selection), given[name].sel(selection))
    assert "prefix_missing" in given  # as of RRXOR, in whose place it stands


def test_what_is_known_of_a_process_of_ones_own_is_what_a_naive_filter_finds():
    spec = SMALL.replace(process=OwnProcess(NONUNIFILAR), moments=(), **OWN | {"ending": 3})
    tree = b_probes.tree_of(spec, 5)
    start = np.array([0.5, 0.5])  # both states are left half of the time
    words, floors = 0, []
    for length in range(1, 6):
        entropy = 0.0
        for word in itertools.product(range(2), repeat=length):
            weight = start.copy()
            for token in word:
                weight = [
                    sum(weight[i] * NONUNIFILAR[token][i][j] for i in range(2)) for j in range(2)
                ]
            if (chance := sum(weight)) == 0:
                continue
            [row] = [int(tree.rows(np.array([word]))[0, -1])]
            belief = [w / chance for w in weight]
            follows = [
                sum(belief[i] * sum(NONUNIFILAR[token][i]) for i in range(2)) for token in range(2)
            ]
            np.testing.assert_allclose(tree.belief[row], belief, atol=1e-12)
            np.testing.assert_allclose(tree.predicted[row], follows, atol=1e-12)
            assert tree.probability[row] == pytest.approx(chance, abs=1e-12)
            entropy -= chance * sum(p * np.log(p) for p in follows if p > 0)
            words += 1
        floors.append(entropy)
    assert len(tree) == words == 3 + 5 + 8 + 13 + 2  # no two 0 in a row
    np.testing.assert_allclose(tree.process.floors(5), floors, atol=1e-12)


def test_a_study_gives_a_process_its_matrices(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        'question = "?"\nseeds = "1000000:1000003"\n[[experiment]]\nname = "belief-states"\n'
        "[experiment.fields]\ncontext = 6\nprobed = 6\nending = 3\n"
        'process = { name = "a source", matrices = [[[0, 0], [0.5, 0]], [[0.5, 0.5], [0, 0.5]]] }\n'
        '[[claim]]\ntext = "t"\nholds = "main.excess < 1"\ncontrol = ["mess3", "untrained"]\n'
    )
    study = catalogue.find(str(path))
    specs = {arm: study.specs_of(arm, study.default)[0] for arm in ("main", "mess3", "untrained")}
    own = OwnProcess(NONUNIFILAR, name="a source")
    assert specs["main"].process == specs["untrained"].process == own
    assert specs["mess3"].process == "mess3" and specs["main"].context == 6
    assert "a source (2 states, 2 tokens) up to 6 tokens" in study.scope_of(
        "default", read=["main"]
    )
    assert study.arms["main"].note.startswith("a source (2 states, 2 tokens), AdamW")
    again = b_method.BeliefStates.from_json(specs["main"].to_json())
    assert again == specs["main"] and hash(again) == hash(specs["main"])


def test_what_arms_set_is_refused_before_anything_is_trained():
    for name, value in {"process": "mess3", "read": "tokens", "replicate": 1}.items():
        with pytest.raises(SpecError, match=f"BeliefStates.{name} is for arms to set"):
            b.experiment.specs_of(
                "main", tuple(s.replace(**{name: value}) for s in b.experiment.smoke)
            )


@pytest.mark.thorough
def test_a_probe_beside_the_kernel_reads_what_it_leaves_over_and_nothing_from_noise(bench):
    found = {}
    for read in ("planted", "noise", "tokens"):
        runs = Runs(
            [
                b.SMALL.replace(seed=s, steps=0, moments=(), read=read, probed=8, context=8)
                for s in (3, 4)
            ]
        )
        found[read] = b_method.measure(runs, b_method.train(runs, bench), bench)
    kernel = level(found["tokens"], "ending", "kernel")
    assert kernel[0] != kernel[1]  # each seed draws its folds
    twice = Runs(
        [
            b.SMALL.replace(
                seed=s, steps=0, moments=(), read="tokens", probed=8, context=8, draws=2
            )
            for s in (3, 3 + b_probes.APART)
        ]
    )
    [both, second] = level(
        b_method.measure(twice, b_method.train(twice, bench), bench), "ending", "last 2"
    )
    alone = Runs([twice.specs[1].replace(draws=1), twice.specs[0].replace(draws=1)])
    assert both == pytest.approx(
        level(
            b_method.measure(alone, b_method.train(alone, bench), bench), "ending", "last 2"
        ).mean(),
        abs=1e-5,
    )
    assert both != second
    planted, noise = (
        level(found[read], "ending", "concat + kernel") for read in ("planted", "noise")
    )
    assert (planted > 0.9).all() and (planted > kernel + 0.5).all()
    assert (noise < kernel + 0.1).all()  # what shrinking the predictions of a small kernel is worth


@pytest.mark.parametrize(
    ("fields", "error", "told"),
    [
        ({"process": "mess3", "alpha": 1.2}, DataError, "0 ≤ alpha ≤ 1"),
        ({"process": "mess3", "x": 0.7}, DataError, "0 < x ≤ 1/2"),
        ({"probed": 11}, SpecError, "more than the network reads, context=10"),
        ({"lr": 0.0}, SpecError, "BeliefStates.lr must be positive, got 0"),
        ({"d_mlp": 0}, SpecError, "d_mlp must be at least 1"),
        ({"process": "even"}, SpecError, "rrxor"),
        ({"process": {"matrices": [[[0.5, 0.4], [1, 0]]]}}, DataError, "got 0.9 from state 0"),
        ({"process": {"matrices": [[[1.5, -0.5], [1, 0]]]}}, DataError, "none negative, got -0.5"),
        ({"process": {"matrices": [[[0.5, 0.5]]]}}, DataError, r"square matrix .* \[1, 1, 2\]"),
        ({"process": {"matrices": [[[1.0]], [[0, 0], [0, 0]]]}}, DataError, "all of one size"),
        ({"process": {"matrices": [[[0.5], [0.5]], [[1, 0]]]}}, DataError, "all of one size"),
        ({"process": {"matrices": []}}, DataError, r"got shape \[0\]"),
        ({"process": {"matrices": [[[1 / 33]]] * 33}}, DataError, "up to 32 states and 32 tokens"),
        ({"process": {"matrices": [[[1, 0], [0, 1]]]}}, DataError, "parts that never meet"),
        ({"process": {"matrices": [[[0.5, 0.5]] * 2]}}, SpecError, "nothing of its hidden state"),
        ({"process": {"matrices": [[[0.25]]] * 4}}, DataError, "100,000 .*: at most 8 here"),
        ({"process": {"matrices": mess3().T.tolist()}}, SpecError, "up to 6 here"),
        ({"process": {"matrices": NONUNIFILAR}, "ending": 1}, SpecError, "fewer than 6 endings"),
        ({"process": "rrxor", "ending": 1}, SpecError, "fewer than 6 endings"),
        ({"process": {"matrices": 3}}, SpecError, "process.matrices must be a list, got 3"),
        ({"process": {"matrix": [[[1.0]]]}}, SpecError, "no field matrix; did you mean matrices"),
        ({"process": {"name": "x"}}, SpecError, "process lacks matrices"),
    ],
)
def test_impossible_specs(fields, error, told):
    with pytest.raises(error, match=told):
        b.DEFAULT.replace(**fields)
