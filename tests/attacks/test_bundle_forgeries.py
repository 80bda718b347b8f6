"""No forgery of a bundle is verified: whoever changes what was frozen, asked, measured or stated is
found out, or the standing no longer follows."""

import contextlib
import json
import random
import shutil
from pathlib import Path

import bundle_forgeries as forgeries
import pytest

from assay.cli.main import main
from assay.core.errors import AssayError
from assay.report.bundle import checking
from assay.verbs.new import write_experiment
from tiny_models import make

CLAIMS = """
[[claim]]
text = "far"
holds = 'main.angle > -1000'
control = ["flat"]
threshold = "plan: a test"
[[claim]]
text = "near"
holds = 'main.angle < 62'
control = ["flat"]
threshold = "plan: a test"
"""
STUDY = """
question = "Is anything found in thirty steps?"
seeds = "{seeds}"
[[experiment]]
name = "./own.py"
fields = {{ inputs = 6, steps = 30, width = 2 }}
"""
ASKED = """
question = "Does it say the letter?"
seeds = "1000000:1000006"
[[model]]
name = "./tiny"
[[prompts]]
text = "x {a} then"
file = "c.csv"
[[read]]
name = "known"
accuracy = [" {b}", " z"]
[[claim]]
text = "Known"
holds = "main.known > 0.05"
threshold = "plan: a guess"
"""
SAMPLE = 12


def bundled(name, *, freeze):
    """The bundle of a study in this folder, unpacked."""
    root = ("--root", "s")
    if freeze:
        assert main(["preregister", f"{name}.toml", *root]) == 0
    assert main(["run", f"{name}.toml", *root, "--executor", "inline"]) == 0
    words = ["export", f"{name}.toml", *root, "--format", "bundle", "--out", f"{name}.zip"]
    assert main(words) == 0
    shutil.unpack_archive(f"{name}.zip", ".")
    return Path(name).absolute()


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """The bundles of a study that was frozen, and of one that was not."""
    with contextlib.chdir(tmp_path_factory.mktemp("studies")):
        write_experiment("own", Path())
        for name, seeds in (("asks", "1000000:1000006"), ("open", "1000006:1000012")):
            Path(f"{name}.toml").write_text(STUDY.format(seeds=seeds) + CLAIMS)
        return bundled("asks", freeze=True), bundled("open", freeze=False)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """The bundle of a frozen study that asks a model."""
    with contextlib.chdir(tmp_path_factory.mktemp("asked")):
        make(Path("tiny"), "llama")
        rows = (f"{a}{b},{b}\n" for a in "abcde" for b in "fghij")
        Path("c.csv").write_text("a,b\n" + "".join(rows))
        Path("q.toml").write_text(ASKED)
        return bundled("q", freeze=True)


def verified(folder):
    """Whether a bundle is as it states, its standing included; one that cannot be read is not."""
    try:
        found = checking.check(folder, folder)
    except AssayError:
        return False
    return found.same and found.standing.derived == found.standing.stated


def cases(studies):
    frozen, exploratory = studies
    return [
        *((name, frozen, forge) for name, forge in forgeries.of_registration(frozen)),
        *((name, frozen, forge) for name, forge in forgeries.of_statements(frozen)),
        *((name, frozen, forge) for name, forge in forgeries.of_chains(frozen)),
        *((n, exploratory, f) for n, f in forgeries.of_exploratory(exploratory, frozen)),
    ]


def succeeding(some, folder):
    """The forgeries that are verified; each is made of a copy, with every hash written again."""
    names = []
    for name, sound, forge in some:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(sound, folder)
        forge(folder)
        forgeries.rehashed(folder)
        if verified(folder):
            names.append(name)
    return names


def test_sound_bundles_are_verified_and_a_sample_of_forgeries_is_not(studies, tmp_path):
    for sound in studies:
        assert verified(sound)
    every = cases(studies)
    drawn = random.Random(7).sample(every, SAMPLE)
    drawn += [case for case in every if "confirmatory" in case[0]]
    assert succeeding(drawn, tmp_path / "forged") == []


def test_a_changed_outcome_of_a_frozen_study_is_reported_with_what_was_frozen(
    studies, tmp_path, capsys
):
    """It was frozen, and the page says so; what does not follow is the outcome that is stated."""
    folder = tmp_path / "forged"
    shutil.copytree(studies[0], folder)
    path = folder / "verdicts.json"
    verdict = json.loads(path.read_bytes())["verdicts"][0]
    other = "fails" if verdict["outcome"] == "holds" else "holds"
    forgeries.edited(path, lambda d: d["verdicts"][0].update(outcome=other))
    frozen = json.loads(next((folder / "looks").glob("*.prereg.json")).read_bytes())
    assert main(["verify", str(folder)]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert f"at the recorded look the outcome was {verdict['outcome']}, not {other}" in shown
    assert f"exploratory: the bundle has what was frozen on {frozen['time']}" in shown
    assert "but what it states does not follow from it" in shown


def test_whoever_freezes_again_with_other_clocks_is_not_found_out(studies, tmp_path):
    """What docs/bundle.md says that a bundle cannot show: only an anchor does."""
    folder = tmp_path / "forged"
    shutil.copytree(studies[0], folder)
    forgeries.frozen_anew(folder, lambda d: d.update(time="2026-01-01T00:00:00+00:00"), chain=True)
    forgeries.rehashed(folder)
    assert verified(folder)


@pytest.mark.thorough
def test_prompts_that_may_not_travel_are_compared_by_their_hashes(asked):
    with contextlib.chdir(asked.parent):
        words = ["export", "q.toml", "--root", "s", "--format", "bundle", "--out", "hidden.zip"]
        assert main([*words, "--hide-prompts"]) == 0
        shutil.unpack_archive("hidden.zip", "hidden")
        hidden = Path("hidden/hidden" if Path("hidden/hidden").exists() else "hidden/q")
        assert verified(hidden.absolute())
        assert b"x af then" in (asked / "prompts.json").read_bytes()
        files = [path for path in hidden.rglob("*") if path.is_file()]
        assert files and not [p for p in files if b"x af then" in p.read_bytes()]


@pytest.mark.thorough
def test_no_forgery_succeeds(studies, asked, tmp_path):
    assert verified(asked)
    every = cases(studies)
    for make_cases in (
        forgeries.of_registration,
        forgeries.of_statements,
        forgeries.of_chains,
        forgeries.of_inputs,
    ):
        every += [(f"asked: {name}", asked, forge) for name, forge in make_cases(asked)]
    assert len(every) >= 500
    assert succeeding(every, tmp_path / "forged") == []
