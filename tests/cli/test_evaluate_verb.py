"""`assay evaluate` and `assay features` as processes: what they print, what they write, and what
they refuse in one line, changing nothing."""

import json
import re
import shutil

from acceptance.test_evaluate_verb import done, env, world
from forks import typed

__all__ = ["done", "world"]


def test_several_dictionaries_make_one_table_one_plot_and_files(done):
    here, first, _ = done
    assert first.code == 0, first.err
    assert max(map(len, first.out.splitlines())) <= 100
    lines = first.out.splitlines()
    assert any(line.split()[:3] == ["sae", "d", "e"] for line in lines)
    assert [line.split()[0] for line in lines if line.startswith(("FVU", "L0"))] == ["L0", "FVU"]
    assert (
        "its file names “nobody/knows” as its text, so overlap with this text cannot be ruled out"
        in " ".join(first.out.split())
    )
    made = {p.name for p in (here / "report").iterdir()}
    assert {"evaluation.html", "evaluation.csv", "evaluation.json"} <= made
    assert any(n.startswith("figure-01") for n in made)
    page = (here / "report/evaluation.html").read_text()
    assert "<svg" in page
    places = [page.index(f'id="{part}"') for part in ("measures", "baselines", "trade-off")]
    assert places == sorted(places), "the table of all dictionaries comes first"
    folded = re.findall("<details>.*?</details>", page, re.DOTALL)
    explained = [x for x in folded if "<summary>definitions</summary>" in x]
    assert "lower is better" in "".join(explained) and "is better" not in re.sub(
        "<details>.*?</details>", "", page, flags=re.DOTALL
    )
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "Pareto" not in first.err


def test_another_evaluation_in_the_same_folder_says_what_it_replaced(done, commands):
    here, first, second = done
    assert "which this one replaced" not in first.err + second.err
    shutil.copytree(here / "report", here / "again")
    (here / "few").mkdir()
    for i in range(5):  # an interval needs six
        shutil.copy(here / f"texts/t{i}.py", here / "few")
    few = ("--model", "model", "--text", "few", "--tokens", "600", "--root", "store")
    again = commands.run(("evaluate", "sae", *few, "--out", "again"), here, env(here))
    replaced = "again had an evaluation of sae, d, e, which this one replaced"
    assert replaced in " ".join(again.err.split())
    said = " ".join(again.out.split())
    assert said.startswith(("sae explains", "sae leaves")), "what was found comes first"
    assert "the difference has no interval" in said.partition("warning: ")[0]
    assert said.count("at least 6 documents are needed, and there are 5") == 1
    warned = "sae: no interval will be possible: it needs 6 documents, and 5 are read; the text has"
    assert warned in " ".join(again.err.split())
    assert " none" not in said
    figures = [line for line in again.out.splitlines() if line.endswith(".svg")]
    page = (here / "again/evaluation.html").read_text()
    assert len(figures) == page.count("<figure") == 1


def test_a_look_prints_tokens_or_features(done, commands):
    here, _, _ = done
    words = typed(
        "features 'def f1(x): return x' --dictionary d.safetensors --model model --features 2"
    )
    out = commands.run((*words, "--by-feature"), here, env(here))
    assert out.code == 0, out
    assert out.out.count("promoted") == 2, out  # of the features asked for
    assert max(map(len, out.out.splitlines())) <= 100, out
    assert 'Left out, neither counted nor ablated: the first token ("' in out.out
    assert "promoted" in out.out and "suppressed" in out.out and "raises" not in out.out
    everything = commands.run((*words, "--skip-first", "0", "--outlier", "0"), here, env(here))
    assert everything.code == 0 and "No token is left out." in everything.out
    found = json.loads(commands.run((*words, "--json"), here, env(here)).out)
    assert "".join(found["tokens"]) == "def f1(x): return x"
    assert len(found["features"]) == 2
    for f in found["features"]:
        assert f"{f['feature']}  {f['delta']:+.3f}" in out.out
    tokens = commands.run(words, here, env(here))
    assert tokens.code == 0 and max(map(len, tokens.out.splitlines())) <= 100
    said = " ".join(tokens.out.split())
    assert "a guess among all" in said and "say nothing about the dictionary" in said
    assert "helps here" not in said and "hurts here" not in said, "its weights are random"
    above, _, below = tokens.out.partition("Left out, neither counted nor ablated")
    for listed, shown in ((found["by_token"], above), (found["sinks"], below)):
        for t in listed:
            first = " ".join(f"#{f['feature']} {f['activation']:.3g}" for f in t["features"])
            assert first in " ".join(shown.split())


def test_a_bar_tells_the_time_left(monkeypatch):
    from io import StringIO

    from rich.console import Console

    from assay.cli import progress

    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = StringIO()
    with progress.Bar("evaluate", "tokens", Console(file=out, width=100)) as shown:
        # after loading; found, not made; made in ten seconds
        for now[0], done in ((10.0, 100), (10.001, 300), (20.001, 400)):
            shown(done, 1000)
        assert shown.line() == "evaluate: 400 of 1,000 tokens, about 1 min left"
    assert out.getvalue().splitlines()[-1] == "evaluate: 400 of 1,000 tokens, about 1 min left"
