"""Features taken out, scaled and set: naive float64 passes of one text, and of a text that grows
token by token without a cache."""

from itertools import islice

import live_texts as lt
import numpy as np
import pytest
import torch

from assay.core.errors import DataError, ModelError
from assay.features.live.ablation import ablate_features
from assay.features.live.edits import Change, change, likely, outlook
from assay.features.live.steering import steer

SITES = [
    (lt.SITE, None, ""),
    ("blocks.1.hook_resid_mid", None, "layer-norm"),
    ("blocks.0.hook_resid_mid", "blocks.0.hook_mlp_out", ""),
]
PLACES = pytest.mark.parametrize(
    ("site", "writes", "per_token"), SITES, ids=["stream", "normalised", "transcoder"]
)
CHANGES = (Change(1, factor=0.0), Change(3, factor=2.5), Change(5, value=4.0))


def moved(naive, changes, skip_first=1):
    """What the changes add, [s, d], one position and one change at a time."""
    add = np.zeros_like(naive.acts)
    for t in range(skip_first, len(add)):
        for c in changes:
            new = c.value if c.factor is None else c.factor * naive.a[t, c.feature]
            add[t] += (new - naive.a[t, c.feature]) * naive.dec[c.feature] * naive.back[t]
    return add


@PLACES
def test_changes_are_those_of_a_naive_pass(folder, model, site, writes, per_token):
    reader = lt.reader(model, site, writes, per_token)
    reading = reader.read(lt.TEXT)
    naive = lt.Naive(folder, reading.ids, site, writes, per_token)
    found = change(reader, reading, CHANGES)
    logits, _ = naive.run(moved(naive, CHANGES))
    after = naive.losses(moved(naive, CHANGES))
    np.testing.assert_allclose(found.before, naive.loss, atol=5e-5)
    np.testing.assert_allclose(found.after, after, atol=5e-5)
    np.testing.assert_allclose(found.delta, after - naive.loss, atol=5e-5)
    np.testing.assert_allclose(found.kl, lt.kl(naive.logits[0], logits), atol=2e-5)
    assert found.kl.shape == (len(reading),)
    assert found.kl[0] == pytest.approx(0, abs=1e-9)  # the first token is left out
    for t in (5, len(reading) - 1):
        p, q = lt.probabilities(naive.logits[0, t]), lt.probabilities(logits[t])
        view = outlook(reader, reading, found, t, 3)
        assert view.kl == found.kl[t] and view.position == t
        for chances, order in (
            (view.before, -p),
            (view.after, -q),
            (view.rose, p - q),
            (view.fell, q - p),
        ):
            assert [c.id for c in chances] == np.argsort(order)[:3].tolist()
            for c in chances:
                assert (c.before, c.after) == pytest.approx((p[c.id], q[c.id]), rel=1e-4)
                assert c.text == model.decode([c.id])


def test_taking_out_is_what_ablation_does_and_no_change_is_none(model):
    reader = lt.reader(model)
    reading = reader.read(lt.TEXT)
    k = int(reading.on[0])
    np.testing.assert_allclose(
        change(reader, reading, [Change.out(k)]).delta,
        ablate_features(reader, reading, [k]).delta[0],
        atol=1e-5,
    )
    for nothing in ([], [Change(k, factor=1.0)], [Change.out(lt.NEVER)]):
        found = change(reader, reading, nothing)
        np.testing.assert_allclose(found.delta, 0, atol=2e-6)
        assert found.kl.max() < 1e-9
        view = outlook(reader, reading, found, 5)
        assert [c.id for c in view.before] == [c.id for c in view.after]


def test_changes_of_one_feature_act_one_after_the_other(model):
    reader = lt.reader(model)
    reading = reader.read(lt.TEXT)
    twice = change(reader, reading, [Change(3, value=2.0), Change(3, factor=2.0)])
    np.testing.assert_allclose(
        twice.after, change(reader, reading, [Change(3, value=4.0)]).after, atol=1e-6
    )


def test_a_change_is_a_factor_or_a_value():
    for wrong in (
        {},
        {"factor": 1.0, "value": 1.0},
        {"factor": float("nan")},
        {"value": float("inf")},
    ):
        with pytest.raises(DataError, match="either a factor or a value, a finite number"):
            Change(3, **wrong)


def test_a_feature_that_is_not_there_is_refused(model):
    reader = lt.reader(model)
    reading = reader.read(lt.TEXT)
    with pytest.raises(DataError, match="numbered 0 to 11, got 12"):
        change(reader, reading, [Change.out(12)])
    with pytest.raises(DataError, match="numbered 0 to 11, got -1"):
        steer(reader, "def", [Change.out(-1)])
    with pytest.raises(DataError, match="numbered 0 to"):
        outlook(reader, reading, change(reader, reading, []), len(reading))


PROMPT = "def f3_1(x):"


def whole(steps):
    """Both continuations, and the cost of each token that the changed model wrote."""
    steps = list(steps)
    kl = tuple(step.kl for step in steps if step.after_id is not None)
    return steps[-1].before, steps[-1].after, kl


@PLACES
def test_steering_writes_what_a_model_without_a_cache_writes(
    folder, model, site, writes, per_token
):
    reader = lt.reader(model, site, writes, per_token)
    changes = (Change(1, factor=0.0), Change(3, factor=2.5), Change(5, value=4.0))
    before, after, kl = whole(steer(reader, PROMPT, changes, new=5))
    own, steered, costs = model.encode(PROMPT), model.encode(PROMPT), []
    for _ in range(5):
        plain = lt.Naive(folder, own, site, writes, per_token)
        own = [*own, int(plain.logits[0, -1].argmax())]
        on_it = lt.Naive(folder, steered, site, writes, per_token)
        logits, _ = on_it.run(moved(on_it, changes))
        costs.append(lt.kl(logits[-1], on_it.logits[0, -1]))
        steered = [*steered, int(logits[-1].argmax())]
    assert after == model.decode(steered[-5:]) and before == model.decode(own[-5:])
    np.testing.assert_allclose(kl, costs, atol=5e-5)
    assert np.mean(kl) > 0.01


def test_the_same_seed_writes_the_same_and_no_change_costs_nothing(model):
    reader = lt.reader(model)
    first, again, other = (
        whole(steer(reader, PROMPT, [Change(5, value=4.0)], new=8, temperature=1.0, seed=s))
        for s in (1, 1, 2)
    )
    assert first == again and first[1] != other[1] and first[0] != other[0]
    for nothing in ([], [Change(lt.NEVER, factor=3.0)]):
        before, after, kl = whole(steer(reader, PROMPT, nothing, new=8, temperature=1.0, seed=1))
        assert before == after == first[0] and max(kl) < 1e-9


def test_sampled_tokens_follow_the_softmax(folder, model):
    reader = lt.reader(model)
    n = 400
    p = lt.probabilities(lt.Naive(folder, model.encode("def")).logits[0, -1] / 0.7)
    drawn = [
        next(steer(reader, "def", [], new=1, temperature=0.7, seed=s)).before_id for s in range(n)
    ]
    for token in np.argsort(-p)[:4]:
        share = np.mean(np.array(drawn) == token)
        assert abs(share - p[token]) < 4 * np.sqrt(p[token] * (1 - p[token]) / n)


def test_steps_come_one_by_one_and_stopping_leaves_the_model_clean(model):
    reader = lt.reader(model)
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.model.modules())
    steps = steer(reader, PROMPT, [Change(5, value=4.0)], new=50)
    seen = list(islice(steps, 3))
    assert [s.index for s in seen] == [0, 1, 2]
    assert seen[0].after == model.decode([seen[0].after_id])
    assert seen[2].before == model.decode([s.before_id for s in seen])
    between = reader.read(lt.TEXT)  # another question between two steps
    assert next(steps).index == 3
    steps.close()
    np.testing.assert_allclose(reader.read(lt.TEXT).loss, between.loss)
    assert hooks == sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.model.modules()
    )


def test_a_continuation_ends_at_its_end(model):
    reader = lt.reader(model)
    free = list(steer(reader, PROMPT, [Change(5, value=4.0)], new=6, stop=()))
    last = free[1].after_id
    ended = list(steer(reader, PROMPT, [Change(5, value=4.0)], new=6, stop=(last,)))
    end = next(i for i, s in enumerate(free) if s.after_id == last)
    assert all(s.after_id is None and np.isnan(s.kl) for s in ended[end + 1 :])
    assert ended[-1].after == free[end].after and len(whole(ended)[2]) == end + 1
    assert [s.before_id for s in ended] == [s.before_id for s in free][: len(ended)]
    both = list(steer(reader, PROMPT, [], new=6, stop=(free[0].before_id,)))
    assert len(both) == 1


def test_what_cannot_be_continued_is_refused_at_once(model):
    reader = lt.reader(model, most=20)
    for options, message in (
        ({"new": 0}, "at least 1 and temperature at least 0, got 0"),
        ({"temperature": float("nan")}, "got 40 and nan"),
        ({"temperature": -1.0}, "got 40 and -1"),
        ({"new": 19}, "tokens and 19 new ones are more than the 20 that are read"),
    ):
        with pytest.raises(DataError, match=message):
            steer(reader, PROMPT, [], **options)
    with pytest.raises(DataError, match="the prompt has no tokens"):
        steer(reader, "", [])
    assert len(list(steer(lt.reader(model, bos=True), "", [Change(5, value=2.0)], new=2))) == 2


def test_a_cache_gives_what_a_whole_pass_gives(model):
    from transformers import DynamicCache

    tokens = torch.tensor([model.encode(lt.TEXT)] * 2)
    whole, cache = model.run(tokens).final, DynamicCache()
    parts = [
        model.run(tokens[:, a:b], cache=cache).final
        for a, b in ((0, 5), (5, 6), (6, tokens.shape[1]))
    ]
    np.testing.assert_allclose(torch.cat(parts, 1).numpy(), whole.numpy(), atol=2e-5)
    with pytest.raises(ModelError, match="a cache holds every block's keys"):
        model.run(tokens, cache=DynamicCache(), start=(1, whole))


def test_the_likely_tokens_are_the_softmax(folder, model):
    reader = lt.reader(model)
    reading = reader.read(lt.TEXT)
    p = lt.probabilities(lt.Naive(folder, reading.ids).logits[0, 6])
    found = likely(reader, reading, 6, 4)
    assert [c.id for c in found] == np.argsort(-p)[:4].tolist()
    assert [c.before for c in found] == pytest.approx(np.sort(p)[::-1][:4].tolist(), rel=1e-4)
    assert all(c.before == c.after and c.text == model.decode([c.id]) for c in found)
    with pytest.raises(DataError, match="tokens are numbered 0 to"):
        likely(reader, reading, 99)
