"""Hints: the command in a hint runs as it stands, for a store and
a file of one's own."""

import os
import re
import shlex

import pytest
import torch

from assay.cli.main import main

CALL = re.compile(r"(?:run: |Type: |Next: |fool it: |pages: |Verdicts: )(.+)")


def test_every_hint_on_the_way_runs_as_it_is_printed(tmp_path, commands):
    def called(words):
        program, *words = words
        assert program == "assay"
        if words[0] == "run":  # in the words of this process alone
            words = [*words, "--executor", "inline"]
        return commands.run(words, tmp_path, os.environ)

    made = called(["assay", "new", "my-claim"])
    [following] = CALL.findall(made.out)
    (tmp_path / "deep").mkdir()
    (tmp_path / "my_claim.py").rename(tmp_path / "deep/my_claim.py")
    small = ["--preset", "smoke", "--root", "my store"]
    absent = called(["assay", "show", "deep/my_claim.py", *small])
    [following] = CALL.findall(absent.err)
    for _ in range(2):  # the run, and then whatever it says to type next
        ran = called(shlex.split(following))
        assert ran.code == 0, f"{following}: {ran.err}"
        following = (CALL.findall(ran.out) or [following])[-1]
    planned = called(["assay", "plan", "deep/my_claim.py", *small])
    [following] = CALL.findall(planned.out)
    assert called(shlex.split(following)).code == 0, following


def test_options_before_the_command_are_those_of_the_command(tmp_path, capsys):
    typed = ["list", "superposition", "--json", "--root", str(tmp_path)]
    for words in (typed, [*typed[3:], *typed[:3]], ["--json", *typed[:2], *typed[3:]]):
        assert main(words) == 0
        assert '"experiment": "superposition"' in capsys.readouterr().out
    for words in (["--root", str(tmp_path)], ["--rot"]):
        assert main(words) == 2
        assert "needs a command; assay --help" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("right", "words"),
    {
        "show superposition 1": ["show", "superpositon", "1"],
        "show superposition": ["shwo", "superposition"],
        "verify superposition --record": ["verify", "superposition", "--recrod"],
        "list superposition --arm linear": ["list", "superposition", "--arm", "linera"],
        "export sae --tokens=9": ["export", "sae", "--tokesn=9"],
        "show superposition --root s": ["show", "superposition", "--store", "s"],
    }.items(),
)
def test_a_misspelt_word_is_answered_with_the_whole_command(words, right, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err.rstrip().endswith(f"Type: assay {right}")


def test_a_dictionary_that_names_no_site_is_exported_with_what_evaluate_will_need(tmp_path, capsys):
    W, b = torch.randn(5, 9), torch.zeros(9)
    kept = {"W_enc": W, "b_enc": b, "W_dec": W.mT.contiguous(), "b_dec": torch.zeros(5)}
    torch.save(kept, tmp_path / "sae.pt")
    words = ["export", str(tmp_path / "sae.pt"), "--hint", "architecture=relu"]
    for n, hints in enumerate(([], ["--hint", "site=blocks.1.hook_resid_post"])):
        assert main([*words, *hints, "--out", str(tmp_path / f"out{n}")]) == 0
        assert ("evaluate needs one: --hint site=" in capsys.readouterr().out) == (not hints)
    assert main([*words, "--hint", "context=64.5", "--out", str(tmp_path / "out")]) == 2
    assert "context must be a whole number" in capsys.readouterr().err
    assert main([*words, "--hint", "bos=true", "--out", str(tmp_path / "out")]) == 2
    assert "--hint bos is yes or no; got 'true'" in capsys.readouterr().err
    assert main([*words, "--hint", "bos=no", "--out", str(tmp_path / "out")]) == 0
