"""What evaluate says is what a naive recomputation in float64 gives, for folders that SAELens
itself wrote; and it is kept by content."""

import dataclasses
import hashlib
import json
import re
import shutil
from pathlib import Path

import naive_evaluation
import numpy as np
import pytest
import torch

import tiny_models
from assay import notebook
from assay.core.errors import DataError, ModelError, SpecError
from assay.core.intervals import interval
from assay.core.stats import ratio
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.measures import TABLE
from assay.dictionaries.nonlinearity import ReLU
from assay.evaluation import evaluate, summary
from assay.evaluation.evaluating import COMPARED, _alarms
from assay.evaluation.result import Evaluated
from assay.report import evaluations
from assay.report.evaluations import baselines, setting
from assay.verbs.evaluation_tables import words
from assay.verbs.parts import Table

SAELENS = Path(__file__).parent / "saelens"
SITES = {
    "standard": "blocks.1.hook_resid_post",
    "jumprelu": "blocks.0.hook_mlp_out",
    "topk": "blocks.2.hook_resid_pre",
}


def estimates(entry):
    return {name: np.nan if m["estimate"] is None else m["estimate"] for name, m in entry.items()}


@pytest.mark.usefixtures("believed")
@pytest.mark.parametrize("kind", SITES)
def test_a_folder_by_saelens_has_the_numbers_of_a_naive_recomputation(kind, model, texts, tmp_path):
    found = evaluate(
        SAELENS / kind, model=model, text=texts, root=tmp_path, tokens=400, ablation_tokens=150
    )
    tokens, document, spare = naive_evaluation.windows(tmp_path)
    entry = found.dictionaries[0]
    assert entry["site"] == SITES[kind]
    assert (entry["windows"], entry["windows_held_back"]) == (len(tokens), len(spare))
    assert entry["context"] == tokens.shape[1] == (12 if kind == "jumprelu" else 16)
    assert entry["bos"] == (kind != "jumprelu") == bool((tokens[:, 0] == 3).all())
    ablated = np.diff(np.floor(150 / tokens.size * np.arange(len(tokens) + 1) + 1e-9)) > 0
    wanted, keep = naive_evaluation.evaluate(
        model,
        SITES[kind],
        *naive_evaluation.saelens(SAELENS / kind),
        tokens,
        spare,
        ablated=ablated,
    )
    assert entry["tokens"] == keep.sum()
    assert entry["documents"] == len(np.unique(document))
    got = estimates(found[kind])
    assert np.nansum(
        [got[name] for name in ("dead", "ultra_rare", "rare", "ordinary", "dense")]
    ) == pytest.approx(1)
    undefined = {name for name, m in found[kind].items() if m["why"].startswith("not defined")}
    assert not any(name.startswith("loss") and wanted[name] > 1 for name in set(got) - undefined)
    for name in set(got) - {"ordinary", "rare", "ultra_rare"} - undefined:
        assert got[name] == pytest.approx(
            wanted[name], rel=2e-4 if "recovered" in name else 2e-5, nan_ok=True
        ), name


def plain(sites=("blocks.1.hook_resid_post",), seed=0, f=48, **more):
    draw = torch.Generator().manual_seed(seed)
    W = torch.nn.functional.normalize(torch.randn(1, f, 24, generator=draw), dim=-1)
    mean, scale = torch.randn(1, 24, generator=draw), torch.tensor([0.7])
    return Dictionary(
        0.6 * W.mT,
        torch.full((1, f), -0.2),
        W,
        torch.zeros(1, 24),
        ReLU(),
        mean=mean,
        scale=scale,
        sites=sites,
        **more,
    )


def own(d):
    """(encode, decode) of the dictionary above, float64."""
    W_enc, W_dec, mean, scale = (t[0].double().numpy() for t in (d.W_enc, d.W_dec, d.mean, d.scale))
    return lambda x: np.maximum(
        (x - mean) * scale @ W_enc - np.float32(0.2), 0
    ), lambda f: f @ W_dec / scale + mean


@pytest.mark.usefixtures("believed")
def test_positions_left_out_are_left_out_of_everything(measured, model, tmp_path):
    d = plain()
    found = measured(d, tokens=400, skip_first=3, outlier=1.1, bos=True)
    tokens, _, spare = naive_evaluation.windows(tmp_path)
    wanted, keep = naive_evaluation.evaluate(
        model, d.sites[0], *own(d), tokens, spare, skip_first=3, outlier=1.1
    )
    got = estimates(found["dictionary 1"])
    assert 0.2 < keep.mean() < 0.7 and found.dictionaries[0]["tokens"] == keep.sum()
    losses = ("ce_clean", "ce_spliced", "ce_zero", "ce_resample", "kl_spliced")
    for name in ("l0", "fvu", "gamma", *losses, "kl_recovered_mean"):
        assert got[name] == pytest.approx(wanted[name], rel=1e-4), name


def test_intervals_resample_documents(measured, model, tmp_path):
    d = plain()
    found = measured(d, tokens=500)["dictionary 1"]["fvu"]
    tokens, document, _ = naive_evaluation.windows(tmp_path)

    acts = tiny_models.naive(model, tokens)[1][d.sites[0]][:, 1:]
    encode, decode = own(d)
    mean = acts.reshape(-1, 24).mean(0)
    x_hat = decode(encode(acts.reshape(-1, 24))).reshape(acts.shape)
    terms = {
        "error": ((acts - x_hat) ** 2).sum((1, 2)),
        "variance": ((acts - mean) ** 2).sum((1, 2)),
    }
    terms = {name: np.bincount(document, values) for name, values in terms.items()}
    wanted = interval(terms, ratio("error", "variance"))
    assert found["n"] == {"document": len(terms["error"])} and wanted.n[0] >= 20
    assert (found["low"], found["high"]) == pytest.approx((wanted.low, wanted.high), rel=1e-5)
    assert (found["t_low"], found["t_high"]) == pytest.approx(
        (wanted.t_low, wanted.t_high), rel=1e-5
    )


def test_the_second_call_reads_what_the_first_left_and_other_content_is_measured_again(
    model, texts, tmp_path, monkeypatch
):
    ask = {"model": model, "text": texts, "root": tmp_path, "tokens": 300}
    first = evaluate(SAELENS / "standard", SAELENS / "topk", **ask)
    with monkeypatch.context() as only:
        only.setattr(
            "assay.subjects.pretrained.load", lambda *a: pytest.fail("the model was loaded again")
        )
        again = evaluate(SAELENS / "topk", SAELENS / "standard", **ask)
    assert [e["cached"] for e in again.dictionaries] == [True, True]
    assert not any(e["cached"] for e in first.dictionaries)
    assert first["standard"] == again["standard"] and first["topk"] == again["topk"]
    for change in (
        {"tokens": 200},
        {"skip_first": 2},
        {"text": _copy(texts, tmp_path / "t"), "part": "all"},
    ):
        assert not evaluate(SAELENS / "topk", **{**ask, **change}).dictionaries[0]["cached"]


def test_what_is_refused_leaves_no_half_of_anything(measured, tmp_path):
    huge = dataclasses.replace(plain(), scale=torch.tensor([1e38]))
    with pytest.raises(DataError, match="not finite"):
        measured(huge)
    with pytest.raises(DataError, match="all activations"):
        measured(plain(), outlier=1e-9)
    assert not list(tmp_path.rglob("*.partial"))


def _copy(texts, folder):
    shutil.copytree(texts, folder)
    (folder / "t0.py").write_text("one = 'other text'\n" * 9)
    return folder


def test_an_interrupted_evaluation_goes_on_and_ends_as_if_it_had_not_been(measured, tmp_path):
    seen = []

    def stop(done, total):
        seen.append((done, total))
        if done > total / 2:
            raise KeyboardInterrupt

    at = {"root": tmp_path / "a", "tokens": 500}
    with pytest.raises(KeyboardInterrupt):
        measured(plain(), progress=stop, **at)
    kept = len(list((tmp_path / "a/artefacts/evaluation-shard").iterdir()))
    assert 5 < kept < 24
    counted = []
    resumed = measured(plain(), progress=lambda *step: counted.append(step), **at)
    whole = measured(plain(), root=tmp_path / "b", tokens=500)
    assert resumed["dictionary 1"] == whole["dictionary 1"]
    assert counted[-1][0] == counted[-1][1] == seen[0][1]


def test_together_equals_alone(measured, tmp_path):
    a, b = plain(seed=1), plain(seed=2, sites=("blocks.2.hook_resid_pre",))
    told = []
    at = {"root": tmp_path / "a", "tokens": 150}
    both = measured(a, b, plain(seed=3), progress=lambda *step: told.append(step), **at)
    # at both sites the same tokens, counted once
    first = both.dictionaries[0]
    read = first["tokens_read"]
    ablated = first["tokens_ablated"] // 12
    said = f"The site is ablated in {ablated} of {first['tokens_read'] // 12} windows"
    assert said in setting(both.to_json())[0]
    assert told[-1] == (read, read)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    for name, d in (("dictionary 1", a), ("dictionary 2", b)):
        alone = measured(d, root=tmp_path / name, tokens=150)["dictionary 1"]
        for measure, got in estimates(both[name]).items():
            assert got == pytest.approx(estimates(alone)[measure], rel=1e-6, nan_ok=True)
    assert "they are about these dictionaries, not" in " ".join(setting(both.to_json()))
    again = measured(a, out=tmp_path / "out", **at)
    written = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert written["dictionaries"][0]["measures"]["fvu"] == again["dictionary 1"]["fvu"]
    page = (tmp_path / "out/evaluation.html").read_text()
    assert "they are about this dictionary, not" in page
    assert f"{a.width}, of an input with {a.W_enc.shape[1]} dimensions" in page
    assert "sha256" not in page  # a dictionary in memory has no file
    frame = both.to_pandas()
    assert set(frame.dictionary) == {"dictionary 1", "dictionary 2", "dictionary 3"}
    assert frame.estimate.dtype == float
    assert set(both.figure.columns["site"]) == {
        "blocks.1.hook_resid_post",
        "blocks.2.hook_resid_pre",
    }
    assert both.figure.facet == "site"


@pytest.mark.usefixtures("believed")
def test_limits_of_a_perfect_a_zero_and_a_mean_dictionary(measured):
    eye = torch.eye(24)[None]
    perfect = Dictionary(
        torch.cat([eye, -eye], 2),
        torch.zeros(1, 48),
        torch.cat([eye, -eye], 1),
        torch.zeros(1, 24),
        ReLU(),
    )
    none = Dictionary(
        torch.zeros(1, 24, 5),
        torch.full((1, 5), -1.0),
        torch.zeros(1, 5, 24),
        torch.zeros(1, 24),
        ReLU(),
    )
    found = measured(perfect, none, tokens=400, site="blocks.1.hook_resid_post")
    a, b = (estimates(found[name]) for name in found)
    assert a["fvu"] == pytest.approx(0, abs=1e-10)
    assert a["kl_spliced"] == pytest.approx(0, abs=1e-9)
    assert a["gamma"] == pytest.approx(1)
    assert a["kl_recovered_zero"] == pytest.approx(1, abs=1e-8)
    assert a["ce_increase"] == pytest.approx(0, abs=1e-6)
    assert b["dead"] == 1
    assert b["l0"] == 0
    assert b["kl_recovered_zero"] == pytest.approx(0, abs=1e-9)
    assert np.isnan(b["gamma_raw"])
    # all reconstructions are the same: no factor brings them nearer to the activations
    assert np.isnan(b["gamma"])


def test_gamma_of_reconstructions_that_point_away_is_undefined_and_not_negative():
    x = np.random.default_rng(0).normal(size=(30, 4))
    x -= x.mean(0)
    terms = {
        "tokens": np.ones(30),
        "variance": (x**2).sum(1),
        "sum": x,
        "square_raw": (x**2).sum(1),
        "active": np.ones(30),
    }
    for factor, wanted in ((-0.5, None), (0.5, 0.5)):
        y = factor * x
        mine = {
            "error": ((x - y) ** 2).sum(1),
            "dot": (y * x).sum(1),
            "norm": (y**2).sum(1),
            "sum_hat": y,
        }
        found = summary.measures(terms | mine | {"dot_raw": mine["dot"], "norm_raw": mine["norm"]})
        for name in ("gamma", "gamma_raw"):
            got = found[name]["estimate"]
            assert (
                got is None and found[name]["why"]
                if wanted is None
                else got == pytest.approx(wanted)
            )


def test_no_share_is_given_of_a_loss_that_an_ablation_is_not_shown_to_cost():
    """Compare a gain of 0.002 nats with ablations that cost 0.004 or 0.4, give or take 0.02."""
    name, noise = "loss_recovered_mean", np.random.default_rng(0).normal(0, 0.1, 30)
    measure = next(m for m in TABLE if m.name == name)

    def share(cost):
        harm = cost + noise - noise.mean()
        terms = {"a_ce_mean": 6.0 + harm, "a_ce_spliced": np.full(30, 5.998)}
        return summary.estimate(measure, terms | {"a_ce_clean": np.full(30, 6.0)})

    lost, there = share(0.004), share(0.4)
    assert lost["estimate"] is None and "not shown to cost anything here" in lost["why"]
    assert there["estimate"] == pytest.approx(1.005)
    assert there["low"] < 1.005 < there["high"]
    compared = {
        "tokens": 9,
        "rank": None,
        "ahead": {"low": None, "high": None},
        "dictionary": {name: lost, "explained_variance": {"estimate": 0.5}},
        "random": {name: lost, "explained_variance": {"estimate": 0.1}},
    }
    assert baselines(compared).endswith("ablation is not shown to cost anything here.")


def test_a_class_that_is_only_just_seen_says_why_it_has_no_interval():
    firings = np.ones((24, 10))
    # 100,800 tokens; without one part 96,600
    found = summary.density(firings, np.full(24, 4200.0), [5] * 24)["ultra_rare"]
    assert found["estimate"] == 0 and found["low"] is None and "less text" in found["why"]
    assert (
        "too few documents: 3"
        in summary.density(firings[:3], np.full(3, 42_000.0), [1] * 3)["ultra_rare"]["why"]
    )
    # twelve documents, three parts
    few = summary.density(firings[:3], np.full(3, 42_000.0), [4] * 3)["ultra_rare"]["why"]
    assert "documents" not in few and "3 parts" in few


def test_shares_that_no_part_of_the_text_changes_have_no_interval():
    """Of ten features, one never fires, eight fire in every part, and one in a single part."""
    firings = np.full((24, 10), 40.0)
    firings[:, 0] = 0
    found = summary.density(firings, np.full(24, 4200.0), [5] * 24, np.zeros(10, bool))
    for name, share in (("dead", 0.1), ("ordinary", 0.9), ("twins", 0)):
        assert found[name]["estimate"] == pytest.approx(share) and found[name]["low"] is None
        # of none or all there is nothing to explain
        assert ("this one does not change" in found[name]["why"]) == (share > 0)
    firings[1:, 1] = 0
    found = summary.density(firings, np.full(24, 4200.0), [5] * 24)
    assert found["dead"]["low"] < found["dead"]["estimate"] < found["dead"]["high"]


def test_training_text_is_refused_and_the_test_part_is_used(measured, texts):
    from assay.data import corpus

    there = corpus.load(str(texts))

    def learned(corpus, *documents):
        listed = {"documents": documents} if documents else {}
        return plain(origin={"trained_on": {"corpus": corpus, "part": "train", **listed}})

    trained = learned(there.fingerprint)
    found = measured(trained)
    assert found.dictionaries[0]["part"] == "test"
    assert found.dictionaries[0]["documents"] <= len(there.part("test"))
    assert "evaluated on the test part" in found.notes[-1]
    for part in ("all", "train"):
        with pytest.raises(DataError, match=f"--part {part} would evaluate it on its training"):
            measured(trained, part=part)
    seen = there.documents[5]

    with pytest.raises(
        DataError, match=f"1 of the 24 documents of this text \\(such as {seen.path}\\)"
    ):
        measured(learned("another", seen.sha256[:12]))
    clean = measured(learned("another", "0" * 12))
    assert "no document that is the same byte for byte" in clean.notes[-1]
    silent = measured(plain())
    assert "cannot be ruled out" in silent.notes[-1]
    assert str(silent).splitlines() == [repr(silent), *silent.notes], "print hides no note"


def test_few_documents_have_no_interval_and_say_so(measured, tmp_path):
    (tmp_path / "few").mkdir()
    for i in range(3):
        (tmp_path / f"few/{i}.txt").write_text(f"text number {i} and some more words\n" * 20)
    found = measured(plain(), text=tmp_path / "few", root=tmp_path / "s", tokens=200)[
        "dictionary 1"
    ]
    assert found["fvu"]["low"] is None
    assert "too few documents: 3" in found["fvu"]["why"]
    assert found["dead"]["low"] is None
    two = measured(plain(), plain(seed=1), text=tmp_path / "few", root=tmp_path / "s", tokens=200)
    page = evaluations.page(two.to_json(), two.figures)
    _, _, table = page.partition('id="measures"')
    assert table.partition('id="scope"')[0].count("there are 3") == 1
    assert "Bars are" not in page and two.figures[0].note == ""
    compared = {"ahead": {"low": None, "high": None, "why": "too few"}, "tokens": 9, "rank": 1}
    for own, word in ((0.1, "less"), (0.5, "more")):
        shares = {"dictionary": own, "random": 0.2}
        parts = {name: {"explained_variance": {"estimate": x}} for name, x in shares.items()}
        parts["dictionary"]["loss_recovered_mean"] = {"estimate": None, "why": ""}
        said = baselines(compared | parts)
        assert f" tokens, {word} than random directions that are on about as often (20.0%; " in said
        assert "the difference has no interval" in said


def test_of_several_dictionaries_shared_words_and_shared_rows_come_once():
    """The second dictionary explains less than both baselines, the third was measured on other
    tokens, and the last is between the two baselines."""

    def entry(name, own, random, tokens=630):
        shares = {"dictionary": own, "random": random, "pca": 0.3, "mean": 0.0}
        compared = {
            k: {
                "l0": {"estimate": 4.0 if k != "mean" else 0.0, "low": None, "high": None},
                "fvu": {"estimate": 1 - x, "low": None, "high": None},
                "explained_variance": {"estimate": x},
            }
            for k, x in shares.items()
        }
        for measure in (m for c in compared.values() for m in (c["l0"], c["fvu"])):
            measure["why"] = ""
        lead = own - random
        ahead = {"estimate": lead, "low": lead - 0.1, "high": lead + 0.1}
        other = {"tokens": tokens, "rank": 4, "ahead": ahead}
        return {"name": name, "compared": compared | other}

    entries = [entry("a", 0.6, 0.2), entry("b", 0.1, 0.5), entry("c", 0.6, 0.4, 99)]
    said = evaluations.answers(entries)
    often = "random directions that are on about as often"
    assert [*said] == ["a", "b", "c"]
    assert said["a"].startswith(f"explains 60.0% of the variance on 630 tokens, more than {often}")
    assert said["b"].startswith(
        "explains 10.0% of the variance, less than random directions (50.0%"
    )
    assert said["c"].startswith(f"explains 60.0% of the variance on 99 tokens, more than {often}")
    assert not any("principal" in line for line in said.values()), "they stand in the table"
    between = evaluations.answers([entries[0], entry("d", 0.4, 0.6)])["d"]
    assert between.endswith(", but more than 4 principal components (30.0%).")
    alone = evaluations.answers(entries[1:2])["b"]
    assert f"less than {often}" in alone and "4 principal components (30.0%)" in alone
    (shared_heads, shared), (_, other) = evaluations.baseline_tables(entries)
    assert shared_heads == ("on 630 tokens", "L0", "FVU")
    names = ["a", "random directions for a", "b", "random directions for b"]
    assert [r[0] for r in shared] == [*names, "4 principal components", "mean"]
    assert [float(r[2]) for r in shared] == pytest.approx([0.4, 0.8, 0.9, 0.5, 0.7, 1.0])
    assert [r[0] for r in other] == ["c", "random directions", "4 principal components", "mean"]
    causes = "The usual causes: a site, a scale"
    lines = [f"a: it is worse. {causes}", f"b: it is bad. {causes}", "c: it is worse"]
    assert evaluations.sentences_once(lines) == [lines[0], "b: it is bad", lines[2]]


def test_what_does_not_fit_is_refused_before_anything_is_run(model, texts, tmp_path):
    ask = {"model": model, "text": texts, "root": tmp_path / "store", "tokens": 300}
    with pytest.raises(
        DataError, match=r"reads 24 numbers per token, .* has 40 at blocks.1.mlp.hook_post"
    ):
        evaluate(plain(), site="blocks.1.mlp.hook_post", **ask)
    with pytest.raises(ModelError, match="has 3 blocks"):
        evaluate(plain(), plain(("blocks.7.hook_resid_post",), seed=1), **ask)
    with pytest.raises(DataError, match="give --site"):
        evaluate(plain(()), **ask)
    with pytest.raises(DataError, match="reads at most 64 tokens at once, --context asks for 65"):
        evaluate(plain(), context=65, **ask)
    with pytest.raises(SpecError, match="no argument tokns; did you mean tokens"):
        evaluate(plain(), tokns=3, **ask)
    with pytest.raises(DataError, match="no file, folder or stored run 'nothing'"):
        evaluate("nothing", **ask)
    with pytest.raises(DataError, match=r"give a model .*; its file names tiny: --model tiny$"):
        evaluate(SAELENS / "topk", **ask | {"model": None})
    with pytest.raises(DataError, match="given twice"):
        evaluate(SAELENS / "topk", SAELENS / "topk", **ask)
    assert not (tmp_path / "store").exists()


def test_names_of_modules_are_sites(measured):
    for name, site in (
        ("layers.1", "blocks.1.hook_resid_post"),
        ("model.layers.0.mlp", "blocks.0.hook_mlp_out"),
    ):
        assert measured(plain(()), site=name, tokens=200).dictionaries[0]["site"] == site


def test_the_page_defines_every_measure():
    page = (Path(__file__).parents[2] / "docs/evaluate.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \| ([^|]*?) \| ([^|]*?) \|", page, re.MULTILINE)
    assert [name for name, _, _ in listed] == [m.name for m in TABLE]
    for m, (_, label, formula) in zip(TABLE, listed, strict=True):
        assert label.startswith(m.label) and formula == m.formula


def test_files_are_called_by_their_name_or_their_folder_s(tmp_path):
    from assay.evaluation.sources import find
    from assay.lab.store.store import Store

    (tmp_path / "resid_9").mkdir()
    for name in ("mine.safetensors", "resid_9/ae.pt"):
        (tmp_path / name).write_bytes(b"x")
    named = find(
        [tmp_path / "mine.safetensors", tmp_path / "resid_9/ae.pt", tmp_path / "resid_9", plain()],
        Store(tmp_path / "s"),
    )
    assert [source.name for source in named][0::3] == ["mine", "dictionary 4"]
    assert len({source.name for source in named}) == 4


def test_another_precision_of_the_model_gives_nearly_the_same(measured):
    a, b = (measured(plain(), dtype=dtype)["dictionary 1"] for dtype in ("float32", "bfloat16"))
    assert b["fvu"]["estimate"] == pytest.approx(a["fvu"]["estimate"], rel=0.02)
    assert b["fvu"]["estimate"] != a["fvu"]["estimate"]
    assert b["ce_clean"]["estimate"] == pytest.approx(a["ce_clean"]["estimate"], rel=0.02)


def test_a_dictionary_that_does_not_fit_is_said_to(measured):
    far = dataclasses.replace(
        plain(),
        b_dec=torch.full((1, 24), 30.0),
        b_pre=torch.zeros(1, 24),
        origin={"inferred": ["b_pre"]},
    )
    found = measured(far)
    notes = found.notes
    assert "does not reconstruct: worse than the mean" in notes[0]
    plain_values = found.to_json()
    lists = {name: tuple(plain_values[name]) for name in ("dictionaries", "notes")}
    parts = list(words(Evaluated(**plain_values | lists, written=())))
    said = [i for i, part in enumerate(parts) if "does not reconstruct" in str(part)]
    assert len(said) == 1 and parts[said[0]].startswith("warning: dictionary 1: it does not")
    assert said[0] < next(i for i, part in enumerate(parts) if isinstance(part, Table))
    assert "dictionary 1: not stated in its file but inferred: b_pre" in notes
    assert not any("does not reconstruct" in note for note in measured(plain()).notes)


def whole(**origin):
    """A dictionary that gives back what it reads, with twice as many features as dimensions, which
    are all on."""
    rows = torch.cat([torch.eye(24), -torch.eye(24)])[None]
    return dataclasses.replace(
        plain(),
        W_enc=rows.mT / 2,
        b_enc=torch.full((1, 48), 100.0),
        W_dec=rows,
        b_dec=torch.zeros(1, 24),
        origin=origin,
    )


def test_more_active_features_than_half_the_dimensions_are_a_warning(measured):
    found = measured(whole())
    assert found["dictionary 1"]["l0"]["estimate"] == 48
    assert found["dictionary 1"]["fvu"]["estimate"] < 1e-3
    warnings = found.dictionaries[0]["warnings"]
    assert "48 features are active per token" in warnings[0] and "24 dimensions" in warnings[0]
    off = measured(dataclasses.replace(plain(), b_enc=torch.full((1, plain().width), -1e6)))
    assert not any("not sparse" in note for note in off.notes)


def test_a_dictionary_that_is_no_better_than_random_directions_is_a_warning(measured):
    found = measured(plain(), tokens=1000)
    own, random = (found.dictionaries[0]["compared"][k]["fvu"] for k in ("dictionary", "random"))
    assert own["estimate"] > random["estimate"]
    assert any("it leaves more of the variance unexplained than" in note for note in found.notes)


@pytest.mark.parametrize(
    ("l0", "own", "random", "warned"),
    [
        (12, 0.41, 0.45, ["it leaves almost as much of the variance unexplained as"]),
        (12, 0.45, 0.41, ["it leaves more of the variance unexplained than"]),
        (12, 0.005, 0.051, []),  # a tenth of the error, although the shares are 99.5% and 94.9%
        (12, 0.33, 0.45, []),
        (20, 0.011, 0.016, ["it is not sparse"]),
        (20, 0.016, 0.016, ["it is not sparse", "it leaves almost as much"]),
    ],
)
def test_a_dictionary_is_compared_with_random_directions_by_their_errors(l0, own, random, warned):
    measures = {"l0": {"estimate": l0}, "explained_variance": {"estimate": 1 - own}}
    compared = {k: {"fvu": {"estimate": v}} for k, v in zip(COMPARED, (own, random), strict=True)}
    compared["tokens"] = 1449
    alarms = _alarms({"measures": measures, "d": 24, "compared": compared}, [])
    assert len(alarms) == len(warned)
    assert all(map(str.startswith, alarms, warned))
    assert all(f"{own}" in text and f"{random}" in text for text in alarms)
    assert all("on the same 1,449 tokens" in text for text in alarms), "not those of the page's top"


def test_a_context_that_was_guessed_is_a_warning(measured):
    def guesses(found):
        return [text for text in found.dictionaries[0]["warnings"] if "its context" in text]

    for _ in range(2):  # measured, and from the store
        found = measured(plain(), context=None)
        assert len(guesses(found)) == 1
        assert f"; {found.dictionaries[0]['context']} tokens were used" in guesses(found)[0]
        assert sum("its context" in note for note in found.notes) == 1
    assert not guesses(measured(plain()))


def test_the_page_gives_the_sha256_of_the_file_of_the_weights(measured, tmp_path):
    """As `sha256sum` prints it."""
    file = tmp_path / "mine.safetensors"
    plain().save(file)
    found = measured(file, root=tmp_path / "s", tokens=400)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    page = evaluations.page(found.to_json(), found.figures)
    assert f'<td data-name="sha256 of the weights">{digest[:12]}</td>' in page


def test_a_dictionary_that_is_never_on_is_reported_before_anything_else(measured):
    off = measured(dataclasses.replace(plain(), b_enc=torch.full((1, plain().width), -1e6)))
    assert off["dictionary 1"]["l0"]["estimate"] == 0
    assert off.notes[0].startswith("dictionary 1: no feature is ever on for these activations")
    assert not any("does not reconstruct" in note for note in off.notes)
    assert not any("ever on" in note for note in measured(plain()).notes)


def test_activations_of_another_scale_are_reported(measured, model, tmp_path):
    """They vary ten times as much as those for which a dictionary was made that normalises to
    E‖n(x)‖² = d."""
    measured(plain(), tokens=400, outlier=0)
    tokens, _, _ = naive_evaluation.windows(tmp_path)
    x = tiny_models.naive(model, tokens)[1][plain().sites[0]][:, 1:].reshape(-1, 24)
    own_scale = float(np.sqrt(24 / np.square(x - x.mean(0)).sum(1).mean()))
    mean = torch.from_numpy(x.mean(0)).float()[None]
    for times, said in ((1.0, False), (10.0, True)):
        scaled = dataclasses.replace(plain(), mean=mean, scale=torch.tensor([times * own_scale]))
        notes = measured(scaled, tokens=400, outlier=0).notes
        assert any("activations vary 10 times as much" in n for n in notes) == said


def test_a_notebook_shows_the_measures_and_the_trade_off(measured):
    found = measured(plain(), plain(seed=1), tokens=400)
    shown = notebook.evaluation(found)
    assert "<table" in shown and "<svg" in shown and "dictionary 2" in shown
    fvu = found["dictionary 1"]["fvu"]
    assert f">{fvu['estimate']:.2f} [{fvu['low']:.2f}, {fvu['high']:.2f}]</td>" in shown


def test_a_file_of_several_runs_says_how_to_take_one(measured, tmp_path):
    Dictionary.join([plain(), plain()]).save(tmp_path / "two.safetensors")
    with pytest.raises(DataError, match="two holds 2 dictionaries; take one: assay export"):
        measured(tmp_path / "two.safetensors", root=tmp_path / "s")


def test_memory_holds_few_dictionaries_at_once_and_numbers_do_not_change(
    measured, tmp_path, monkeypatch
):
    from assay.evaluation import evaluating
    from assay.evaluation import texts as running

    paths = []
    for i in range(4):
        paths.append(tmp_path / f"d{i}.safetensors")
        plain(seed=i).save(paths[-1])
    whole = measured(*paths, root=tmp_path / "a", tokens=200)
    size = sum(t.numel() * 4 for t in plain().tensors().values())
    for module in (evaluating, running):
        monkeypatch.setattr(module, "TOGETHER", 2.5 * size)
    passes, ran = [], running.measure.shard
    monkeypatch.setattr(
        running.measure, "shard", lambda *a, **k: passes.append(len(a[5])) or ran(*a, **k)
    )
    parted = measured(*paths, root=tmp_path / "b", tokens=200)
    assert set(passes) == {2}
    for name in whole:
        for measure, got in estimates(parted[name]).items():
            assert got == pytest.approx(estimates(whole[name])[measure], rel=1e-6, nan_ok=True)


def test_an_interval_keeps_to_the_range_of_its_measure():
    """Student's t reaches below 0 where one document in eight has all firings."""
    (l0,) = (m for m in TABLE if m.name == "l0")
    found = summary.estimate(l0, {"active": np.eye(8)[0] * 30, "tokens": np.full(8, 10.0)})
    assert found["t_low"] < 0 == found["low"] < found["estimate"] < found["high"]


def test_copies_short_documents_and_a_model_that_guesses_are_told(model, texts, tmp_path):
    """The model has random weights, so its loss is about that of a guess; 24 documents, 5 copies
    of one, and 2 that fill no window."""
    shutil.copytree(texts, own := tmp_path / "texts")
    for i in range(5):
        shutil.copy(own / "t3.py", own / f"again{i}.py")
    for i in range(2):
        (own / f"short{i}.py").write_text("x" * (i + 1))
    ask = {"model": model, "text": own, "tokens": 100_000, "ablation_tokens": 100}
    (entry,) = evaluate(SAELENS / "standard", root=tmp_path / "s", **ask).dictionaries
    files = len([*own.iterdir()])
    same = files - len({path.read_bytes() for path in own.iterdir()})
    notes = "; ".join(entry["notes"])
    assert f"{same} of {files} files are copies of others, and are left out" in notes
    gone = files - same - entry["documents"]
    assert f"{gone} of {files - same} documents are shorter than 16 tokens" in notes
    vocabulary = json.loads((model / "config.json").read_text())["vocab_size"]
    loss = entry["measures"]["ce_clean"]["estimate"]
    is_guess = loss > np.log(vocabulary) - 0.1
    assert (f" better than a guess among all {vocabulary:,} tokens" in notes) == is_guess
    assert is_guess
    for windows, were in ((1, "was"), (5, "were")):
        ask |= {"tokens": 16 * windows}
        (entry,) = evaluate(SAELENS / "standard", root=tmp_path / "s", **ask).dictionaries
        told = f"only {windows} of the {files - same} documents {were} read, because "
        assert any(note.startswith(told) for note in entry["notes"])
