"""Reads: each number is what plain passes over one prompt at a time give, whatever is done to the
model."""

import re

import numpy as np
import pytest
import torch
from naive_models import KINDS, Naive, measured, texts

from assay.ask.measure import measuring, passes
from assay.ask.tables import Direction, Intervention, Read
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import TopK
from assay.subjects.folder import find

SHOWN = ("def add(a, b):", "class Point:\n    x", "    y = 2048\n    y = 2048\n", "b")
"""Of different lengths, with repeated tokens in one."""
SITE = "blocks.1.hook_resid_pre"
ALONG = Direction(name="along", unembedding="a", site=SITE)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root, made = tmp_path_factory.mktemp("reads"), {}

    def of(kind):
        if kind not in made:
            made[kind] = Naive(root / kind, kind)
        return made[kind]

    return of


def steering(naive, position):
    """Adding a token's unembedding before block 1: as an intervention, and as what it does to
    [1, s, d] of a prompt."""
    vector = 3 * naive.read_by("a")

    def change(x):
        if position == "all":  # tokens of the text: a BOS is left as it is
            x[:, len(naive.opening) :] += vector
        else:
            x[:, change.prompt - 1] += vector
        return x

    return Intervention(name="steered", add="along", strength=3.0, position=position), change


@pytest.fixture(params=[*KINDS])
def naive(models, request):
    return models(request.param)


@pytest.fixture(params=[None, "all", -1], ids=["untouched", "everywhere", "last"])
def done(naive, request):
    """An intervention and the same change, or neither."""
    return steering(naive, request.param) if request.param is not None else (None, None)


def at(change, naive, text):
    if change is not None:
        change.prompt = len(naive.ids(text))
    return change


def ranks(logs, clean):
    """At each token, the rank that the likeliest token of other logits has."""
    return np.array([1 + (x > x[y.argmax()]).sum() for x, y in zip(logs, clean, strict=True)])


NEXT = (
    Read(name="one", log_prob=" a"),
    Read(name="several", log_prob=" return a + b"),
    Read(name="difference", log_prob=(" return a + b", " the sum")),
    Read(name="accuracy", accuracy=(" b", " x", " the sum")),
    Read(name="rank_last", rank=" a"),
    Read(name="rank_first", rank=" a", position=0),
    Read(name="entropy", entropy=True),
    Read(name="entropies", entropy=True, position="mean"),
    Read(name="kl", kl=True),
    Read(name="kls", kl=True, position="mean"),
    Read(name="top", accuracy=(" a",)),
    Read(name="written", accuracy=((" return a", " the sum"),)),
    Read(name="agree", agrees=True),
    Read(name="agrees", agrees=True, position="mean"),
    Read(name="best", rank=True),
    Read(name="bests", rank=True, position="mean"),
)


def test_numbers_of_next_tokens_are_those_of_single_passes(naive, done):
    table, change = done
    found = measured(naive, texts(*SHOWN), NEXT, table, [ALONG])
    for p, text in enumerate(SHOWN):
        one = at(change, naive, text)
        logs, _, _ = naive.run(naive.ids(text), one)
        clean, _, _ = naive.run(naive.ids(text))
        token = naive.tokenizer.encode(" a", add_special_tokens=False).ids[0]
        own = slice(len(naive.opening), None)
        entropies = -(np.exp(logs) * logs).sum(-1)
        kls = (np.exp(clean) * (clean - logs)).sum(-1)
        scores = [naive.log_prob(text, t, one) for t in (" b", " x", " the sum")]
        several = naive.log_prob(text, " return a + b", one)
        expected = {
            "one": logs[-1, token],
            "several": several,
            "difference": several - scores[2],
            "accuracy": float(scores[0] == max(scores)),
            "rank_last": 1 + (logs[-1] > logs[-1, token]).sum(),
            "rank_first": 1 + (logs[0] > logs[0, token]).sum(),
            "entropy": entropies[-1],
            "entropies": entropies[own].mean(),
            "kl": kls[-1],
            "kls": kls[own].mean(),
            "top": float(logs[-1].argmax() == token),
            "written": float(
                any(naive.written(text, 4, one).startswith(t) for t in (" return a", " the sum"))
            ),
            "agree": float(logs[-1].argmax() == clean[-1].argmax()),
            "agrees": (logs.argmax(-1) == clean.argmax(-1))[own].mean(),
            "best": ranks(logs, clean)[-1],
            "bests": ranks(logs, clean)[own].mean(),
        }
        got = {name: float(array[p]) for name, array in found.items()}
        assert got == pytest.approx(expected, rel=1e-4, abs=2e-5), text


def test_the_loss_is_over_the_tokens_of_the_text(naive, done):
    table, change = done
    shown = SHOWN[:3]
    found = measured(naive, texts(*shown), [Read(name="loss", loss=True)], table, [ALONG])["loss"]
    for p, text in enumerate(shown):
        ids = naive.ids(text)
        logs, _, _ = naive.run(ids, at(change, naive, text))
        # a BOS predicts the first token, and is predicted by none
        first = len(naive.opening) or 1
        each = [-logs[i - 1, ids[i]] for i in range(first, len(ids))]
        assert found[p] == pytest.approx(np.mean(each), rel=1e-4)


def test_what_is_written_is_the_likeliest_token_each_time(naive):
    table, change = steering(naive, "all")
    for some, one in ((None, None), (table, change)):
        written = [naive.written(text, 6, one) for text in SHOWN]
        first = [naive.written(text, 2, one) for text in SHOWN]
        wanted = [(re.findall(r"\w+", w) or [w])[-1] for w in written]
        begun = [(re.findall(r"\w+|\S", w) or [w])[0] for w in written]
        cells = [*zip(SHOWN, wanted, begun, strict=True)]
        shown = texts(*({"text": t, "w": w, "b": b} for t, w, b in cells))
        every = [
            Read(name="long", generates=("{w}",), tokens=6),
            Read(name="short", generates=("{w}",), tokens=2),
            Read(name="either", generates=("no such text", "{w}"), tokens=6),
            Read(name="neither", generates=("no such text",), tokens=6),
            Read(name="first", begins=("no such text", "{b}"), tokens=6),
            Read(name="last", begins=("{w}",), tokens=6),
        ]
        found = measured(naive, shown, every, some, [ALONG])
        assert found["long"].tolist() == found["either"].tolist() == [1.0] * 4
        assert found["neither"].tolist() == [0.0] * 4
        assert found["first"].tolist() == [1.0] * 4
        for text, w, number in zip(written, wanted, found["last"], strict=True):
            after = text.lstrip()[len(w.strip()) :][:1]
            ends = not (w[-1:].isalnum() and re.match(r"\w", after))
            assert number == (text.strip().lower().startswith(w.strip().lower()) and ends)
        for w, f, number in zip(wanted, first, found["short"], strict=True):
            words = re.findall(r"\w+", f.lower())
            assert number == (w.lower() in words if w.isalnum() else w.strip() in f)


def test_a_logit_lens_is_final_norm_and_unembedding_of_the_stream(naive, done):
    table, change = done
    site = "blocks.{layer}.hook_resid_pre"
    every = [
        Read(name="lens", logit_lens=" a", site=site, sweep={"layer": (0, 1, 2)}),
        Read(name="pair", logit_lens=(" a", " x"), site="blocks.2.hook_resid_pre"),
        Read(name="rank", rank=" a", site="blocks.2.hook_resid_pre", position=0),
        Read(name="end", logit_lens=" a", site="blocks.2.hook_resid_post"),
        Read(name="model", log_prob=" a"),
        Read(name="kl", kl=True, site=site, sweep={"layer": (0, 1, 2)}),
        Read(name="agrees", agrees=True, site=site, sweep={"layer": (0, 1, 2)}, position="mean"),
        Read(name="best", rank=True, site=site, sweep={"layer": (0, 1, 2)}, position="mean"),
    ]
    found = measured(naive, texts(*SHOWN), every, table, [ALONG])
    first, other = (
        naive.tokenizer.encode(t, add_special_tokens=False).ids[0] for t in (" a", " x")
    )
    assert found["lens"].shape == (3, 4)
    for p, text in enumerate(SHOWN):
        _, stream, _ = naive.run(naive.ids(text), at(change, naive, text))
        by_layer = [naive.lens(stream[layer, -1]) for layer in range(3)]
        assert found["lens"][:, p] == pytest.approx([x[first] for x in by_layer], rel=1e-4)
        assert found["pair"][p] == pytest.approx(by_layer[2][first] - by_layer[2][other], rel=1e-3)
        clean, _, _ = naive.run(naive.ids(text))
        own = slice(len(naive.opening), None)
        lenses = [np.array([naive.lens(x) for x in stream[layer, own]]) for layer in range(3)]
        kls = [(np.exp(clean[-1]) * (clean[-1] - x)).sum() for x in by_layer]
        alike = [(x.argmax(-1) == clean[own].argmax(-1)).mean() for x in lenses]
        assert found["kl"][:, p] == pytest.approx(kls, rel=1e-3, abs=1e-5)
        assert found["agrees"][:, p] == pytest.approx(alike)
        bests = [ranks(x, clean[own]).mean() for x in lenses]
        assert found["best"][:, p] == pytest.approx(bests)
        start = naive.lens(stream[2, 0])
        assert found["rank"][p] == 1 + (start > start[first]).sum()
    # nothing comes behind it
    assert found["end"] == pytest.approx(found["model"], rel=1e-5)


def test_a_pattern_is_the_attention_that_transformers_gives_out(naive, done):
    table, change = done
    heads = {"sweep": {"layer": (0, 2), "head": (0, 3)}, "pattern": "{layer}.{head}"}
    every = [
        Read(name="start", **heads),
        Read(name="before", to=-2, **heads),
        Read(name="mean", to=0, position="mean", **heads),
        Read(name="previous", to="previous", position="mean", **heads),
        Read(name="itself", to="self", **heads),
        Read(name="induction", to="induction", position="mean", **heads),
    ]
    text = SHOWN[2]
    ids, start = naive.ids(text), len(naive.opening)
    found = measured(naive, texts(text), every, table, [ALONG])
    _, _, attention = naive.run(ids, at(change, naive, text))
    chosen = attention[[0, 2]][:, [0, 3]]
    again = {
        n: max(k for k in range(n) if ids[k] == ids[n]) + 1
        for n in range(start, len(ids))
        if ids[n] in ids[:n]
    }
    assert again
    before = [n for n in range(start, len(ids)) if n]
    expected = {
        "start": chosen[..., -1, 0],
        "before": chosen[..., -1, -2],
        "mean": chosen[..., start:, 0].mean(-1),
        "previous": np.mean([chosen[..., n, n - 1] for n in before], 0),
        "itself": chosen[..., -1, -1],
        "induction": np.mean([chosen[..., n, k] for n, k in again.items()], 0),
    }
    for name, values in expected.items():
        assert found[name][..., 0] == pytest.approx(values, abs=1e-5), name


def test_a_projection_is_on_the_direction_as_it_was_learned(naive, done):
    """Of two rows, one of each label, every draw learns from both: the difference of their
    activations."""
    table, change = done
    learned = texts(
        {"text": "    return a", "label": "code"},
        {"text": "the sum of", "label": "prose"},
        name="learned",
    )
    made = Direction(
        name="code", site=SITE, difference=("code", "prose"), prompts="learned", position=-1
    )
    every = [
        Read(name="here", projection="code"),
        Read(name="mean", projection="code", position="mean"),
        Read(
            name="layers",
            projection="code",
            site="blocks.{layer}.hook_resid_pre",
            sweep={"layer": (0, 2)},
        ),
        Read(name="token", projection="along"),
    ]
    found = measured(naive, texts(*SHOWN), every, table, [ALONG, made], sources=[learned])
    means = [naive.run(naive.ids(row.text))[1][1, -1] for row in learned.rows]
    vector = means[0] - means[1]
    vector /= np.linalg.norm(vector)
    unembedding = naive.read_by("a").numpy()
    for p, text in enumerate(SHOWN):
        _, stream, _ = naive.run(naive.ids(text), at(change, naive, text))
        own = stream[1, len(naive.opening) :]
        # all but the first that is read
        rest = stream[1, 1:] if len(stream[1]) > 1 else own
        got = [found["here"][p], found["mean"][p], *found["layers"][:, p], found["token"][p]]
        expected = [
            own[-1] @ vector,
            rest.mean(0) @ vector,
            stream[0, -1] @ vector,
            stream[2, -1] @ vector,
            own[-1] @ unembedding,
        ]
        assert got == pytest.approx(expected, rel=1e-4, abs=1e-4)


def dictionary(nonlinearity, sites=(SITE,)):
    draw = np.random.default_rng(3)

    def tensor(*shape):
        return torch.tensor(draw.normal(size=shape), dtype=torch.float32)

    return Dictionary(
        tensor(1, 24, 12),
        tensor(1, 12),
        tensor(1, 12, 24),
        tensor(1, 24),
        nonlinearity,
        mean=tensor(1, 24),
        scale=torch.tensor([0.5]),
        sites=sites,
    )


@pytest.mark.parametrize("k", [12, 2], ids=["relu", "top 2"])
def test_a_feature_is_what_its_dictionary_makes_of_the_activation(naive, done, k, tmp_path):
    table, change = done
    of = dictionary(ReLU() if k == 12 else TopK(k))
    of.save(tmp_path / "mine.safetensors")
    every = [
        Read(name="last", feature=("mine.safetensors", 0), sweep={"feature": tuple(range(12))}),
        Read(
            name="highest",
            feature=("mine.safetensors", 0),
            position="all",
            sweep={"feature": tuple(range(12))},
        ),
        Read(name="mean", feature=("mine.safetensors", 5), position="mean"),
        Read(name="elsewhere", feature=("mine.safetensors", 5), site="blocks.2.hook_resid_pre"),
    ]
    found = measured(naive, texts(*SHOWN), every, table, [ALONG], folder=tmp_path)
    W, b, b_dec, mean = (x[0].double().numpy() for x in (of.W_enc, of.b_enc, of.b_dec, of.mean))

    def encode(x):
        code = np.maximum(((x - mean) * 0.5 - b_dec) @ W + b, 0)
        least = np.sort(code, -1)[..., -k][..., None]
        return np.where(code >= least, code, 0)

    for p, text in enumerate(SHOWN):
        _, stream, _ = naive.run(naive.ids(text), at(change, naive, text))
        codes = encode(stream[1, len(naive.opening) :])
        assert found["last"][:, p] == pytest.approx(codes[-1], abs=1e-4)
        assert found["highest"][:, p] == pytest.approx(codes.max(0), abs=1e-4)
        assert found["mean"][p] == pytest.approx(codes[:, 5].mean(), abs=1e-4)
        assert found["elsewhere"][p] == pytest.approx(encode(stream[2, -1])[5], abs=1e-4)


def test_an_answer_of_several_tokens_follows_a_patched_prompt(naive):
    """What is put there are the pair's activations at the prompt's tokens; the answer's are the
    model's own."""
    rows = [{"text": "x = 10", "corrupted": "y = 10"}, {"text": "(a, b", "corrupted": "(b, a"}]
    table = Intervention(name="patched", patch="corrupted", site=SITE)
    every = [Read(name="several", log_prob=" return a + b"), Read(name="kl", kl=True)]
    found = measured(naive, texts(*rows), every, table)
    for p, row in enumerate(rows):
        ids = naive.ids(row["text"])
        other = naive.run(naive.ids(row["corrupted"]))[1][1]
        begin = len(naive.opening)
        clean = naive.run(ids)[0][-1]

        def change(x, begin=begin, end=len(ids), other=other):  # noqa: B008
            x[0, begin:end] = torch.from_numpy(other[begin:end])
            return x

        logs = naive.run(ids, change)[0][-1]
        assert found["several"][p] == pytest.approx(
            naive.log_prob(row["text"], " return a + b", change), rel=1e-4
        )
        assert found["kl"][p] == pytest.approx(
            (np.exp(clean) * (clean - logs)).sum(), rel=1e-3, abs=1e-6
        )


def test_numbers_do_not_depend_on_how_much_is_held_at_once(models, monkeypatch):
    naive = models("gemma3_text")
    table, _ = steering(naive, "all")
    table = Intervention(name="s", add="along", sweep={"strength": (0.0, 1.0, 2.0, 4.0, 8.0)})
    every = [*NEXT, Read(name="loss", loss=True), Read(name="start", pattern="1.2")]
    lens = {"site": "blocks.{layer}.hook_resid_post", "sweep": {"layer": (0, 2)}}
    every += [Read(name="lens", logit_lens=" a", **lens), Read(name="lens_kl", kl=True, **lens)]
    usual = measured(naive, texts(*SHOWN), every, table, [ALONG])
    for held, captured in ((1, 10**9), (2000, 3000), (10**9, 1)):
        monkeypatch.setattr(passes, "HELD", held)
        monkeypatch.setattr(passes, "CAPTURED", captured)
        few = measured(naive, texts(*SHOWN), every, table, [ALONG])
        for name, values in usual.items():
            assert few[name] == pytest.approx(values, rel=1e-4, abs=1e-5), name
    assert usual["kl"][0] == pytest.approx(0, abs=1e-9)  # nothing is added there
    # nor at the end of the stream
    assert usual["lens_kl"][0, -1] == pytest.approx(0, abs=1e-9)
    # which is before it
    assert (usual["lens_kl"][:, 0] == usual["lens_kl"][0, 0]).all()
    assert usual["lens_kl"][-1, 1] == pytest.approx(usual["kl"][-1])
    assert (usual["lens"][:, 0] == usual["lens"][0, 0]).all()


def test_any_of_several_answers_has_their_probabilities_together(naive):
    """What begins with another answer is part of it: of " a" and " a + b" the first is both."""
    every = [
        Read(name="together", log_prob=((" b", " x", " the sum"),)),
        Read(name="once", log_prob=((" a", " a + b", " a"),)),
        Read(name="against", log_prob=((" b", " x"), " the sum")),
        Read(name="right", accuracy=(("{right}", " x"), " the sum", (" a", " return"))),
    ]
    found = measured(naive, texts(*({"text": t, "right": " b"} for t in SHOWN)), every)
    for p, text in enumerate(SHOWN):
        answers = (" b", " x", " the sum", " a", " return")
        b, x, the_sum, a, back = (naive.log_prob(text, t) for t in answers)
        assert found["together"][p] == pytest.approx(
            np.log(np.exp([b, x, the_sum]).sum()), rel=1e-4
        )
        assert found["once"][p] == pytest.approx(a, rel=1e-4)
        assert found["against"][p] == pytest.approx(
            np.logaddexp(b, x) - the_sum, rel=1e-4, abs=1e-4
        )
        right = np.logaddexp(b, x) > max(the_sum, np.logaddexp(a, back))
        assert found["right"][p] == float(right)


def test_a_slots_position_is_the_token_that_its_text_ends_in(naive):
    rows = [
        {"who": "Point", "what": "add"},
        {"who": "xyz", "what": "2048"},
        {"who": "é", "what": "b"},
    ]
    shown = texts(*rows, text="class {who}: def {what}(a, b)")
    for row in shown.rows:
        prompt = measuring.prompt(find(str(naive.folder)), row)
        for slot in ("who", "what"):
            end = row.text.index(row.columns[slot], 6 if slot == "what" else 0)
            end += len(row.columns[slot])
            own = list(prompt.tokens[prompt.opening :])
            # the fewest tokens whose text reaches to the end of the slot
            reaching = [
                n
                for n in range(len(own))
                if len(naive.tokenizer.decode(own[: n + 1], skip_special_tokens=False)) >= end
                and "�" not in naive.tokenizer.decode(own[: n + 1], skip_special_tokens=False)
            ]
            assert prompt.at(f"{{{slot}}}") == prompt.opening + reaching[0]


def test_numbers_of_the_token_that_is_on_top_are_those_of_the_untouched_lens(naive, done):
    table, change = done
    before, after = "blocks.1.hook_resid_pre", "blocks.2.hook_resid_pre"
    of_end = {"site": "blocks.{layer}.hook_resid_pre", "sweep": {"layer": (1, 2)}}
    every = [
        Read(name="end", logit=True),
        Read(name="log_p", log_prob=True),
        Read(name="p", prob=True),
        Read(name="lens", logit_lens=True, position=0, **of_end),
        Read(name="kept", logit=True, site=after, token_site=before),
        Read(name="last", logit=True, token_site=before),
        Read(name="place", rank=True, site=after, token_site=before),
        Read(name="same", agrees=True, site=after, token_site=before, position="mean"),
    ]
    found = measured(naive, texts(*SHOWN), every, table, [ALONG])
    head = naive.model.get_output_embeddings()
    for p, text in enumerate(SHOWN):
        ids, own = naive.ids(text), slice(len(naive.opening), None)
        logs, stream, _ = naive.run(ids, at(change, naive, text))
        clean, untouched, _ = naive.run(ids)
        top, first = clean[-1].argmax(), clean[0].argmax()
        tops = np.array([naive.lens(x) for x in untouched[1]]).argmax(-1)
        lenses = np.array([naive.lens(x) for x in stream[2]])
        with torch.no_grad():
            logits = head(naive.norm(torch.from_numpy(stream[2, -1])))
            logits = naive.cap * torch.tanh(logits / naive.cap) if naive.cap else logits
        expected = {
            "log_p": logs[-1, top],
            "p": np.exp(logs[-1, top]),
            "place": 1 + (lenses[-1] > lenses[-1, tops[-1]]).sum(),
            "same": (lenses.argmax(-1) == tops)[own].mean(),
            "kept": float(logits[tops[-1]]),
        }
        got = {name: float(found[name][p]) for name in expected}
        assert got == pytest.approx(expected, rel=1e-4, abs=2e-5), text
        lens = [naive.lens(stream[layer, 0])[first] for layer in (1, 2)]
        assert found["lens"][:, p] == pytest.approx(lens, rel=1e-4)
        ends = found["end"][p] - found["last"][p]
        assert ends == pytest.approx(logs[-1, top] - logs[-1, tops[-1]], rel=1e-3, abs=2e-5)
