"""The page of a dictionary says what the arrays say that its index was made from."""

import dataclasses
import re
from itertools import pairwise

import numpy as np
import pytest
from shelf import HOME, client, replace, shelve, simulated
from starlette.testclient import TestClient

from assay.evaluation import summary
from assay.explorer import render
from assay.explorer.app import application
from assay.explorer.library import Library
from assay.report import evaluations


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dictionary")
    made = simulated.made(folder / "made", width=120)
    index = shelve(
        folder / "store",
        "a" * 16,
        made,
        fvu=0.16,
        l0=31.5,
        loss=2.0,
        loss_spliced=2.25,
        ablated=60,
        ablation_tokens=500,
    )
    rng = np.random.default_rng(1)
    worth = rng.normal(0.01, 0.02, 120)
    worth[60:] = np.nan
    values = {
        "feature": np.arange(120),
        "ablated_firings": np.where(np.isnan(worth), np.nan, 5),
        "importance": worth,
        "importance_low": worth - 0.01,
        "importance_high": worth + 0.01,
    }
    replace(
        index,
        "features",
        {k: [None if v != v else v for v in column.tolist()] for k, column in values.items()},
        "feature",
    )
    other = simulated.made(folder / "other", width=80, seed=1)
    shelve(folder / "store", "b" * 16, other, name="wide", fvu=0.3, l0=10.0)
    elsewhere = simulated.made(folder / "elsewhere", width=60, seed=2)
    shelve(folder / "store", "c" * 16, elsewhere, name="elsewhere", site="blocks.3.hook_resid_post")
    return client(folder / "store"), made, worth


def density(made):
    return (made.acts > 0).sum((0, 1)) / made.kept.sum()


def read(world, query=""):
    return world[0].get(f"{HOME}.json{query}").json()


def read_feature(world, number):
    return world[0].get(f"{HOME}/{number}.json").json()


def test_the_table_has_the_numbers_of_the_arrays(world):
    _, made, worth = world
    rows = read(world, "?sort=feature&way=asc")["features"]["rows"]
    assert [row["feature"] for row in rows] == list(range(50))
    assert np.allclose([row["density"] for row in rows], density(made)[:50])
    assert np.allclose([row["maximum"] for row in rows], made.acts.max((0, 1))[:50])
    assert np.allclose([row["importance"] for row in rows], worth[:50])
    total = made.effects.sum((0, 1)) / made.kept.sum()
    assert np.allclose([row["gradient_total"] for row in rows], total[:50], atol=1e-6)


def test_each_row_says_where_the_feature_fires_most_strongly(world):
    _, made, _ = world
    for row in read(world, "?sort=feature&way=asc")["features"]["rows"]:
        acts = made.acts[..., row["feature"]]
        if not acts.any():
            assert row["strongest"] is None
            continue
        contexts = read_feature(world, row["feature"])["contexts"]
        strongest = contexts[0]["tokens"][contexts[0]["at"]]
        assert contexts[0]["value"] == pytest.approx(acts.max())
        assert row["strongest"]["token"] == strongest
    assert 'data-name="strongest on"' in world[0].get(HOME).text


def test_it_is_sorted_by_what_is_asked(world):
    _, made, worth = world
    pages = [read(world, f"?page={n}")["features"]["rows"] for n in (1, 2, 3)]
    rows = [row for page in pages for row in page]
    best = [row["feature"] for row in rows]
    assert best[:60] == list(np.argsort(-worth[:60], kind="stable")), "by what was measured"

    def known(row):
        return (row["name"]["score"] or 0.0, row["density"])

    assert all(known(a) >= known(b) for a, b in pairwise(rows[60:])), "then by name, then density"
    follow = "Those without a number follow, by the F1 of their names"
    assert follow in world[0].get(f"{HOME}?page=2").text
    overall = made.effects.astype(np.float64).sum((0, 1))
    first = [row["feature"] for row in read(world, "?sort=gradient_total")["features"]["rows"]]
    assert overall[first] == pytest.approx(np.sort(overall)[::-1][:50])
    rare = [row["density"] for row in read(world, "?sort=density&way=asc")["features"]["rows"]]
    assert rare == sorted(rare)


def test_conditions_hide_and_it_says_how_many(world):
    client, made, _ = world
    low, high = 0.05, 0.15
    wanted = np.flatnonzero((density(made) >= low) & (density(made) <= high))
    found = read(world, f"?where=density>={low}&where=density<={high}&sort=feature&way=asc")[
        "features"
    ]
    assert found["total"] == len(wanted) and found["hidden"] == 120 - len(wanted)
    assert [row["feature"] for row in found["rows"]] == list(wanted[:50])
    text = client.get(f"{HOME}?where=density>={low}&where=density<={high}").text
    assert f"{120 - len(wanted)} more are hidden by 2 conditions" in text


def test_a_form_says_the_same_as_a_link(world):
    answer = world[0].get(
        f"{HOME}?column=density&compare=>%3D&value=0.05&column=maximum&compare=<%3D&value=&sort=density"
    )
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{HOME}?where=density%3E%3D0.05&sort=density"


def test_pages_of_the_table_join_without_gap(world):
    found = [
        row["feature"]
        for page in (1, 2, 3)
        for row in read(world, f"?sort=feature&way=asc&page={page}")["features"]["rows"]
    ]
    assert found == list(range(120))
    first = world[0].get(f"{HOME}?sort=feature&way=asc").text
    assert "next 50 of 70 more" in first
    assert read(world, "?where=maximum>=100000&page=3")["features"]["rows"] == []
    assert "No feature meets these conditions" in world[0].get(f"{HOME}?where=maximum>=100000").text


def test_health_counts_add_up_and_are_said_in_words(world):
    client, made, worth = world
    found, rho = read(world)["summary"], density(made)
    assert sum(found["classes"].values()) == 120
    assert found["classes"]["dead"] == (rho == 0).sum()
    assert found["classes"]["dense"] == (rho > 0.1).sum()
    assert found["helpful"] == (worth - 0.01 > 0).sum()
    assert found["harmful"] == (worth + 0.01 < 0).sum()
    text = client.get(HOME).text
    (bars,) = re.findall(r"features in each: ([\d, ]+)", text)
    assert sum(map(int, bars.split(", "))) == (rho > 0).sum(), "the histogram of densities"
    assert "not a defect by itself" in text
    assert "2 features point in the opposite direction" in text


def test_its_place_is_among_those_of_its_model_and_site(world):
    found = read(world)
    assert [d["name"] for d in found["beside"]] == ["wide"]
    assert found["this"]["fvu"] == 0.16
    assert found["this"]["loss_rise"] == pytest.approx(0.25)
    svg = world[0].get(HOME).text
    svg = svg[svg.index('id="place"') :]  # above it is the picker, which has all
    assert 'href="/model/wide~text"' in svg and "elsewhere" not in svg


def measured(estimate, half):
    limits = {"low": estimate - half, "high": estimate + half, "t_low": None, "t_high": None}
    return {"estimate": estimate, **limits, "n": {"document": 30}, "why": ""}


def compared(ahead):
    """What an evaluation found of a dictionary that explains 84% of the variance."""
    shares = {"dictionary": (0.84, 0.95), "random": (0.31, 0.2), "pca": (0.55, 0.5), "mean": (0, 0)}
    return {"tokens": 8064, "documents": 30, "rank": 32, "ahead": measured(ahead, 0.01)} | {
        name: {
            "l0": measured(31.5, 0.2),
            "fvu": measured(1 - explained, 0.01),
            "explained_variance": measured(explained, 0.01),
            "loss_recovered_mean": measured(recovered, 0.01),
        }
        for name, (explained, recovered) in shares.items()
    }


def test_beside_each_number_stand_the_baselines_and_a_sentence_answers(tmp_path):
    a, b, c = (simulated.made(tmp_path / name) for name in "abc")
    rise = {"estimate": 0.25, "low": 0.21, "high": 0.29}
    losses = {"loss": 2.0, "loss_spliced": 2.25, "rise": rise}
    shelve(tmp_path / "s", "a" * 16, a, l0=31.5, **losses, compared=compared(0.53))
    page = client(tmp_path / "s").get(HOME).text.replace("\N{NO-BREAK SPACE}", " ")
    answer = (
        "The dictionary explains 84.0% of the variance on 8,064 tokens, more than random "
        "directions that are on about as often (31.0%; the difference is 53.0% [52.0%, 54.0%]) and "
        "32 principal components (55.0%).</p>"
    )
    assert evaluations.components({"rank": 1}) == "1 principal component"
    recovered = "random directions recover 20.0%, and 32 principal components 50.0%."
    assert f"It recovers 95.0% of the loss that mean ablation adds; {recovered}" in page
    assert "not shown" not in page
    assert page.index(answer) < page.index("How good it is")
    assert "rises by 0.25 [0.21, 0.29]&nbsp;nats, measured on the first 8,064 tokens" in page
    assert "On all 744 tokens, 31.5 features are on" in page and "to 2.25" not in page
    shelve(tmp_path / "s", "b" * 16, b, name="none", compared=compared(0.001))
    page = client(tmp_path / "s").get("/model/none~text").text
    assert "not shown to be more than random directions that are on about as often" in page
    no_components = compared(-0.2)  # more features are on than there are dimensions
    del no_components["pca"]
    shelve(tmp_path / "s", "c" * 16, c, name="worse", compared=no_components)
    worse = client(tmp_path / "s").get("/model/worse~text").text
    assert "They are fitted on other tokens" in worse and "principal" not in worse
    assert (
        "less than random directions that are on about as often (31.0%; the difference is 20"
        in worse
    )


def test_every_page_says_first_that_the_model_guesses(tmp_path):
    for name, loss in (("a", np.log(300)), ("b", 2.0)):
        made, notes = simulated.made(tmp_path / name), tuple(summary.guessing(float(loss), 300))
        shelve(tmp_path / "s", name * 16, made, name=name, notes=notes)
        for path in ("", "/3", "/prompt", "/steer", "/search"):
            page = client(tmp_path / "s").get(f"/model/{name}~text{path}").text
            warned = (
                '<p class="warning">The clean loss, 5.70 nats, is no better than a guess' in page
            )
            assert warned == (name == "a")


def test_first_order_is_doubted_wherever_ablations_contradict_it(tmp_path):
    """The features to start with are those that help by ablation, then the others."""
    doubt = (
        "first-order estimates are unchecked here: their rank correlation with ablation is "
        "−0.02 [−0.59, 0.56] over 12 features, too few to tell"
    )
    file = tmp_path / "names.csv"
    file.write_text("feature,words\n" + "".join(f"{k},name {k}\n" for k in range(40)))
    low = np.array([0.01, -0.01])
    ablated = {"feature": np.array([39, 22]), "importance": low + 0.02, "importance_low": low}
    ablated["importance_high"] = low + 0.04
    for key, agreement in (("a", -0.021), ("b", 0.99)):
        made = simulated.made(tmp_path / key, ablated=ablated)
        known = {"gradients": True, "ablated": 12, "agreement": agreement}
        shelve(tmp_path / key / "s", "a" * 16, made, **known)
        names = (HOME.removeprefix("/"), file)
        app = application(Library(tmp_path / key / "s", names=names))
        browser = TestClient(app, base_url="http://127.0.0.1:8377")
        start = browser.get(f"{HOME}.json").json()["start"]
        page = browser.get(HOME).text
        intro = page.partition('id="start"')[2].partition("name is the tokens")[0]
        found = browser.get(f"{HOME}/search?by=text&q=%3C5%3E").text
        table = browser.get(f"{HOME}.json").json()["view"]
        assert table["sort"] == ("importance" if key == "a" else "gradient_total")
        assert start[0]["feature"] == 39
        first = (
            " with a good name: 1 that helps by ablation (the whole interval lies above 0), then"
        )
        assert first in intro
        by_size = " 1 that was ablated without a clear benefit, then those that write most "
        assert (by_size in intro) == (key == "a")
        assert ("effect on the loss where they are on, to first order." in intro) == (key == "b")
        assert "unchecked" not in intro
        assert ("first\u00a0order, total" in page) == (key == "b")
        by_first_order = browser.get(f"{HOME}?sort=gradient_total").text
        assert (f"The {doubt}." in by_first_order) == (key == "a")
        assert (">first order, where on<" in found) == (key == "b")
        assert ("these are too few to tell whether first-order" in page) == (key == "a")
    discordant = dataclasses.replace(simulated.about(40), ablated=40, agreement=-0.021)
    assert render.doubt(discordant).startswith("first-order estimates are unreliable here: their ")


def test_commands_can_be_pasted(tmp_path):
    root = tmp_path / "s"
    known = {"source": "/my files/d.safetensors", "model": "pythia", "corpus": "my text"}
    shelve(root, "a" * 16, simulated.made(tmp_path / "a"), **known)
    browser, paste = client(root), "--model pythia --text &#39;my text&#39;"

    def shown(address):
        """The page without the marks that keep an option on one line."""
        return re.sub('<span class="option">(.*?)</span>', r"\1", browser.get(address).text)

    page = shown("/pythia/made-up~my-text")
    assert "OTHER" not in page, "to a first reader, other dictionaries are noise"
    begins = '<pre class="command">assay'
    assert f"{begins} evaluate &#39;/my files/d.safetensors&#39; {paste} --site " in page
    page = shown("/pythia/made-up~my-text/3")
    assert (
        f"{begins} export &#39;/my files/d.safetensors&#39; --format index {paste} --site " in page
    )
    about = browser.get("/pythia/made-up~my-text.json").json()["about"]
    read = about["windows"] * about["context"]
    assert f" --tokens {read} --root {root} --ablate 32</pre>" in page, "the same index, with more"


def test_ablated_features_are_one_click_away(world):
    browser, _, worth = world
    chips = re.findall(
        r'<a class="choice" href="([^"]*)">(\w+)[^<]* <span[^>]*>(\d+) feature',
        browser.get(HOME).text,
    )
    expected = {"measured": worth == worth, "helps": worth > 0.01, "hurts": worth < -0.01}
    assert [word for _, word, _ in chips] == list(expected)
    for link, word, count in chips:
        path, _, query = link.replace("&amp;", "&").removesuffix("#features").partition("?")
        shown = browser.get(f"{path}.json?{query}").json()["features"]
        assert shown["total"] == int(count) == expected[word].sum()
        assert all(expected[word][row["feature"]] for row in shown["rows"])


def test_the_page_says_how_its_tables_are_opened(world):
    import duckdb

    page = world[0].get(HOME).text
    (query,) = re.findall(r'<code>duckdb -c "(.*?)"</code>', page)
    rows = duckdb.sql(query.replace("&#39;", "'")).fetchall()
    assert len(rows) == read(world)["about"]["d_sae"]


@pytest.mark.parametrize(
    ("note", "other"),
    [
        (
            "trained on another text, with no document that is the same byte for byte",
            "another text",
        ),
        ("trained on another text; which documents that had is not recorded", "another text"),
        ("its file names web/text as its text, so overlap with this text cannot", "web/text"),
        ("trained on the train part of this text; evaluated on the test part", ""),
        ("its file does not say which text it was trained on, so overlap with", ""),
    ],
)
def test_names_from_another_text_than_that_of_training_are_said_to_be(tmp_path, note, other):
    shelve(tmp_path / "s", "a" * 16, simulated.made(tmp_path / "a"), notes=("first", note))
    page, feature = (client(tmp_path / "s").get(f"{HOME}{path}").text for path in ("", "/3"))
    said = {"another text": "another text than text", "": ""}.get(other, f"{other}, not on text")
    assert (f"It was trained on {said}, so the names" in page) == bool(other)
    assert ("It was trained on" in page) == bool(other)
    named = '<h1 class="unnamed">' not in feature
    assert (f"the dictionary was trained on {said}." in feature) == (bool(other) and not named)
