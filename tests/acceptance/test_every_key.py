"""Every key of config.json is obeyed as transformers has it, or refused: never a third thing. Of
each family a share of keys and values here; all of them where tests are thorough."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
import transformers

from assay.core.errors import AssayError
from assay.subjects.pretrained import load
from folders import FAMILIES, copied, logits, made
from keys import config_cases, some

IDS = [5, 9, 40, 77, 12, 33, 8, 101, 55, 60, 7, 19]
NAMES = [*FAMILIES]
MOST = 20
"""Keys of config.json of each family that are tried each time."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("keys")


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


@torch.no_grad()
def truth(folder):
    """The logits of transformers; in words where it fails or makes weights up."""
    try:
        model, about = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True
        )
        if about["missing_keys"] or about["mismatched_keys"]:
            return "weights made up"
        return logits(model.eval(), IDS)
    except Exception as error:  # whatever transformers raises
        return repr(error)


def try_config(root, family, cases):
    """What becomes of each case, counted. Raises: AssertionError for a third thing."""
    plain = made(root, family)
    config = config_of(plain)
    before = load(str(plain)).run(torch.tensor([IDS])).logits[0].double().numpy()
    count = Counter()
    for i, (key, value) in enumerate(cases):
        folder = copied(plain, root / f"{family}-{len(cases)}-{i}")
        (folder / "config.json").write_text(json.dumps({**config, key: value}))
        try:
            got = load(str(folder)).run(torch.tensor([IDS])).logits[0].double().numpy()
        except AssayError:
            count["refused"] += 1
            continue
        want = truth(folder)
        assert not isinstance(want, str), (family, key, value, want)
        assert got.shape == want.shape, (family, key, value)
        assert np.abs(got - want).max() < 1e-3, (family, key, value)
        same = got.shape == before.shape and np.abs(got - before).max() < 1e-6
        count["idle" if same else "obeyed"] += 1
    return count


@pytest.mark.parametrize("family", FAMILIES)
def test_a_key_of_config_json(root, family):
    cases = some(config_of(made(root, family)), NAMES.index(family), MOST)
    count = try_config(root, family, cases)
    assert len({key for key, _ in cases}) == MOST == sum(count.values())
    assert count["obeyed"] and count["refused"], count


@pytest.mark.thorough
@pytest.mark.parametrize("family", FAMILIES)
def test_every_value_of_every_key_of_config_json(root, family):
    cases = config_cases(config_of(made(root, family)))
    assert len({key for key, _ in cases}) > 70
    count = try_config(root, family, cases)
    assert min(count.values()) >= 5, count
