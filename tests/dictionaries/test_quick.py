"""One dictionary on one array in one call: planted features come back, and nothing is trained
another way than in an ensemble."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch

import assay
from assay.core.errors import AssayError, DataError, RunError, SpecError, StoreError
from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec, grid
from assay.dictionaries import BatchTopK, Gated, JumpReLU, ReLU, TopK
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.metrics import fvu, l0
from assay.dictionaries.measuring.recovery import mcc
from assay.dictionaries.training import losses
from assay.dictionaries.training.quick import USUAL, train_dictionary
from assay.dictionaries.training.train import Method, fit_dictionaries
from assay.train.rng import normal, permutation

TRUE = torch.nn.functional.normalize(
    torch.from_numpy(normal(np.array([5]), "test.true", 0, (24, 16))), dim=-1
)
FEW = {"width": 4, "steps": 3, "batch": 8}


def inputs(stream="train", n=20_000):
    """Sparse features in superposition, far from the origin and in units of their own, as
    activations are."""
    own = torch.Generator().manual_seed(len(stream))
    amounts = torch.empty(n, 24).exponential_(generator=own)
    codes = amounts * (torch.rand(n, 24, generator=own) < 0.05)
    return 3 * codes @ TRUE[0] + torch.arange(16.0)


@pytest.mark.thorough
@pytest.mark.parametrize("nonlinearity, penalty", [(ReLU(), 0.3), (TopK(2), None)])
def test_planted_features_are_found_and_random_ones_are_not(nonlinearity, penalty):
    d = train_dictionary(nonlinearity, inputs(), width=32, penalty=penalty)
    chance = mcc(TRUE, torch.from_numpy(normal(np.arange(50), "test.random", 0, (32, 16)))).max()
    assert mcc(TRUE, d.W_dec).item() > 0.95 > 0.65 > chance
    fresh = inputs("test")
    assert fvu(fresh, d.reconstruct(fresh)).item() < 0.1
    assert 0.5 < l0(d.encode(fresh)).item() < 4  # 1.2 are on in a row


def test_it_reads_raw_activations_in_whatever_units():
    x = inputs(n=600)
    d, scaled = (
        train_dictionary(ReLU(), y, width=8, penalty=0.1, steps=40, batch=64)
        for y in (x, 1000 * x - 7)
    )
    assert torch.allclose(d.encode(x), scaled.encode(1000 * x - 7), atol=2e-3)
    assert torch.allclose(
        1000 * d.reconstruct(x) - 7, scaled.reconstruct(1000 * x - 7), rtol=1e-3, atol=2
    )
    normalised = d.normalise(x)[0]
    assert normalised.mean(0).abs().max() < 1e-4
    assert normalised.square().sum(1).mean().item() == pytest.approx(16, rel=1e-4)


@dataclass(frozen=True, kw_only=True)
class Sweep(Spec):
    penalty: PerRun[float] = 0.0


def test_the_numbers_are_those_of_an_ensemble():
    x, seed, batch = inputs(n=1000), 3, 128
    mean = x.double().mean(0)
    scale = float((16 / (x.double() - mean).square().sum(1).mean()) ** 0.5)
    orders = [
        permutation(np.array([seed]), "train_dictionary.rows", epoch, 1000)[0] for epoch in range(9)
    ]
    places = [order[i * batch : (i + 1) * batch] for order in orders for i in range(7)]
    runs = Runs(grid(Sweep(), penalty=(0.05, 0.2, 0.4), seed=(seed,)))
    method = Method(Gated(), losses.gated, 24, np.full(3, 1e-3), runs.each("penalty"))
    trained = fit_dictionaries(
        [(runs, method)],
        lambda step: ((x[places[step]].double() - mean) * scale).float(),
        d=16,
        steps=60,
        mean=mean.float(),
        scale=scale,
    )
    ensemble = Dictionary.of(trained[0])[1]
    alone = train_dictionary(
        Gated(), x, width=24, penalty=0.2, lr=1e-3, steps=60, batch=batch, seed=seed
    )
    assert alone.tensors().keys() == ensemble.tensors().keys()
    for name, value in alone.tensors().items():
        assert torch.allclose(value, ensemble.tensors()[name], atol=1e-4), name


@pytest.mark.parametrize("kind", USUAL, ids=lambda kind: kind.__name__)
def test_every_kind_that_has_a_loss_trains_and_can_be_stored(kind, tmp_path):
    chooses = "k" in kind.__dataclass_fields__
    d = train_dictionary(
        kind(2) if chooses else kind(), inputs(n=100), **FEW, penalty=None if chooses else 0.1
    )
    d.save(tmp_path / "d.safetensors")
    assert torch.equal(
        Dictionary.load(tmp_path / "d.safetensors").encode(inputs(n=5)), d.encode(inputs(n=5))
    )


def test_everything_random_follows_from_the_seed():
    def trained(seed):
        return train_dictionary(TopK(2), inputs(n=100), **FEW, seed=seed).W_dec

    before = torch.random.get_rng_state()
    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))
    assert torch.equal(before, torch.random.get_rng_state())


NUMBERS = np.array([[(i * j) % 7 for j in range(1, 6)] for i in range(20)])
TAKEN = {
    "lists": NUMBERS.tolist(),
    "tuples": tuple(map(tuple, NUMBERS.tolist())),
    "integers": NUMBERS,
    "float64": NUMBERS.astype(np.float64),
    "float16": NUMBERS.astype(np.float16),
    "a view": np.repeat(NUMBERS, 2, axis=1)[::-1, ::-2][::-1, ::-1],
    "not to be written": np.frombuffer(NUMBERS.astype(np.float32).tobytes(), np.float32).reshape(
        20, 5
    ),
    "a table": pd.DataFrame(NUMBERS),
    "torch": torch.tensor(NUMBERS),
    "bfloat16": torch.tensor(NUMBERS, dtype=torch.bfloat16),
    "with a gradient": torch.tensor(NUMBERS, dtype=torch.float32, requires_grad=True),
}


@pytest.mark.parametrize("form", TAKEN)
def test_arrays_of_every_kind_are_taken_and_left_alone(form):
    given = TAKEN[form]
    expected = train_dictionary(ReLU(), NUMBERS.astype(np.float32), **FEW, penalty=0.1)
    d = train_dictionary(ReLU(), given, **FEW, penalty=0.1)
    assert torch.equal(d.W_dec, expected.W_dec) and not d.W_dec.requires_grad
    assert np.array_equal(
        np.asarray(given.detach().float() if isinstance(given, torch.Tensor) else given), NUMBERS
    )


X = NUMBERS.astype(np.float32)
NOT_ROWS = {
    "a row": (X[0], r"must be \[n, d\] with at least two rows, got \[5\]"),
    "one row": (X[:1], r"at least two rows, got \[1, 5\]"),
    "no columns": (X[:, :0], r"got \[20, 0\]"),
    "windows": (
        X.reshape(4, 5, 5),
        r"got \[4, 5, 5\]; join the axes .* acts\.reshape\(-1, acts\.shape\[-1\]\)",
    ),
    "ragged": ([[1, 2], [3]], "rows of one length"),
    "words": ([["a", "b"], ["c", "d"]], "real numbers in rows .* the list given is not"),
    "a generator of rows": ((row for row in X), r"\[n, d\] with at least two rows, got \["),
    "nothing": (None, r"\[n, d\]"),
    "complex": (X + 1j, "must be real numbers .* the ndarray given is not"),
    "complex torch": (torch.zeros(3, 2, dtype=torch.complex64), "the Tensor given is not"),
    "NaN": (np.where(X == 3, np.nan, X), "some are NaN or infinite"),
    "too large for float32": (np.full((9, 3), 1e300), "some are NaN or infinite"),
    "one row again and again": (np.ones((9, 3)), "all the same row"),
}
NO_SETTINGS = {
    "no width": ({"width": 0}, "width must be a whole number of at least 1, got 0"),
    "half a width": ({"width": 2.5}, "width must be a whole number of at least 1, got 2.5"),
    "no steps": ({"steps": 0}, "steps must be a whole number of at least 1"),
    "no batch": ({"batch": True}, "batch must be a whole number of at least 1, got True"),
    "a seed below 0": ({"seed": -1}, "seed must be a whole number of at least 0"),
    "a rate of 0": ({"lr": 0}, "lr must be a number above 0, got 0"),
    "a rate in words": ({"lr": "1e-3"}, "lr must be a number above 0, got '1e-3'"),
    "a penalty below 0": ({"penalty": -1}, "penalty must be a number of at least 0, got -1"),
    "a loss by name": ({"loss": "l1"}, "a function such as assay.losses.l1, got 'l1'"),
}
REFUSED = {
    **{name: ((ReLU(), rows), {}, DataError, says) for name, (rows, says) in NOT_ROWS.items()},
    **{name: ((ReLU(), X), more, SpecError, says) for name, (more, says) in NO_SETTINGS.items()},
    "a class": ((ReLU, X), {}, SpecError, r"such as ReLU\(\) or TopK\(32\), .* got the class ReLU"),
    "the other way round": ((X, ReLU()), {}, SpecError, "the activations; got a ndarray"),
    "no penalty": (
        (Gated(), X),
        {"penalty": None},
        SpecError,
        "Gated is sparse by its penalty; give penalty=",
    ),
    "a penalty without a use": (
        (TopK(2), X),
        {"penalty": 0.1},
        SpecError,
        "TopK chooses how many features are on, so it takes no penalty",
    ),
    "more than there are": (
        (TopK(9), X),
        {"penalty": None},
        DataError,
        "k must be at most the dictionary's width 4",
    ),
    "a rate that explodes": (
        (ReLU(), X),
        {"lr": 1e30, "steps": 40},
        RunError,
        r"did not stay finite at lr=1e\+30; lower lr",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_one_line(case):
    given, options, error, message = REFUSED[case]
    with pytest.raises(error, match=message) as caught:
        train_dictionary(*given, **(FEW | {"penalty": 0.1} | options))
    assert isinstance(caught.value, AssayError) and "\n" not in str(caught.value)


def test_a_nonlinearity_of_ones_own_says_its_loss():
    @dataclass(frozen=True)
    class Squared(ReLU):
        def __call__(self, z, b_enc, own):
            return super().__call__(z, b_enc, own).square()

    with pytest.raises(SpecError, match="no loss is usual for Squared; give loss="):
        train_dictionary(Squared(), X, **FEW)
    d = train_dictionary(Squared(), X, **FEW, loss=losses.l1, penalty=0.1)
    assert isinstance(d.nonlinearity, Squared)
    assert (d.encode(torch.from_numpy(X)) >= 0).all()


def test_what_reads_another_way_than_it_trained_does_so_here_too():
    assert isinstance(train_dictionary(BatchTopK(2), X, **FEW).nonlinearity, JumpReLU)


@pytest.mark.parametrize(
    "call",
    [
        lambda: assay.fit(ReLU(), X),
        lambda: assay.fit(ReLU(), X, width=8, penalty=0.1),
        lambda: assay.fit(X, width=8),
    ],
)
def test_the_loop_for_groups_names_the_call_for_one(call):
    with pytest.raises(
        SpecError,
        match=r"assay\.fit trains groups of runs; .* assay\.train_dictionary\(ReLU\(\), acts",
    ):
        call()


def test_an_array_on_disk_gives_what_it_gives_in_memory(tmp_path):
    x = inputs(n=3000).numpy()
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    options = {"width": 8, "steps": 30, "batch": 64, "seed": 2}
    here, there = (train_dictionary(TopK(2), rows, **options) for rows in (x, mapped))
    for name, value in here.tensors().items():
        assert torch.allclose(value, there.tensors()[name], atol=1e-5), name


def test_batches_may_come_from_a_function_a_generator_or_a_loader():
    x = inputs(n=640)
    parts = list(x.split(64))
    options = {"width": 8, "steps": 10}
    by_step, once, again = (
        train_dictionary(TopK(2), given, **options)
        for given in (
            lambda step: parts[step % 10],
            (part.numpy() for part in parts),
            torch.utils.data.DataLoader(x, batch_size=64),
        )
    )
    for name, value in by_step.tensors().items():
        assert torch.equal(value, once.tensors()[name]), name
        assert torch.equal(value, again.tensors()[name]), name
    assert torch.allclose(by_step.mean[0], x.mean(0), atol=1e-4)
    loader = torch.utils.data.DataLoader(x, batch_size=64)
    # begins anew when it is through
    train_dictionary(TopK(2), loader, width=8, steps=50)


@pytest.mark.parametrize(
    "given, options, error, message",
    [
        ((X for _ in range(2)), {}, DataError, "ended after 2, and 3 steps were requested"),
        (iter([]), {}, DataError, "no batch came"),
        ((X for _ in range(9)), {"keep": "k"}, DataError, "leave out keep="),
        (lambda step: "text", {}, DataError, r"real numbers"),
        (X, {"device": "gpu"}, SpecError, "no device 'gpu' is here"),
    ],
)
def test_what_gives_no_batches_is_one_line(given, options, error, message):
    with pytest.raises(error, match=message) as caught:
        train_dictionary(TopK(1), given, **(FEW | options))
    assert "\n" not in str(caught.value)


def test_what_was_stopped_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_CHECKPOINT_SECONDS", "0")
    x, seen = inputs(n=640), []
    options = {"width": 8, "steps": 40, "keep": tmp_path / "kept"}

    def rows(stop):
        def batch(step):
            seen.append(step)
            if len(seen) == stop:
                raise KeyboardInterrupt
            return x[16 * step : 16 * (step + 1)]

        return batch

    with pytest.raises(KeyboardInterrupt):
        train_dictionary(TopK(2), rows(32 + 25), **options)
    seen.clear()
    resumed = train_dictionary(TopK(2), rows(0), **options)
    assert seen[32:] == [*range(24, 40)]
    whole = train_dictionary(TopK(2), rows(0), **(options | {"keep": None}))
    for name, value in whole.tensors().items():
        assert torch.equal(value, resumed.tensors()[name]), name
    assert resumed.origin == whole.origin
    with pytest.raises(StoreError, match=r"another training \(width 8 there, 9 here\)"):
        train_dictionary(TopK(2), rows(0), **(options | {"width": 9}))


def test_the_file_says_how_the_loss_fell_and_where_it_belongs(tmp_path, capfd):
    where = {"site": "blocks.3.hook_resid_post", "model": "gpt2", "text": "my-texts"}
    x = inputs(n=2000)
    d = train_dictionary(TopK(2), x, width=32, steps=200, progress=True, **where)
    err = capfd.readouterr().err
    assert "200 of 200 steps, loss " in err and " s left" in err
    d.save(tmp_path / "d.safetensors")
    opened = assay.load(tmp_path / "d.safetensors")
    assert opened.sites == ("blocks.3.hook_resid_post",)
    curve = opened.origin["curve"]
    assert curve["step"][-1] == 200 and len(curve["step"]) == len(curve["loss"]) == 20
    assert curve["loss"][-1] < 0.5 * curve["loss"][0]
    from assay.evaluation.file_statements import of_place, of_text

    assert of_place(opened)["model"] == "gpt2"
    assert "my-texts" in of_text(opened.origin)["dataset"]
