"""The real model: its loss, and the two traps of its conversion."""

import sysconfig
from pathlib import Path

import pytest
import torch

from assay.subjects import fetch
from assay.subjects.pretrained import load
from assay.subjects.site import Site

pytestmark = pytest.mark.model

TEXT = '''\
class Ledger:
    """Accounts and the movements between them, in whole cents."""

    def __init__(self, names):
        self.balance = {name: 0 for name in names}
        self.movements = []

    def move(self, amount, source, target):
        """Move an amount from one account to another; both must exist."""
        if amount <= 0:
            raise ValueError(f"amount must be positive, got {amount}")
        for name in (source, target):
            if name not in self.balance:
                raise KeyError(name)
        self.balance[source] -= amount
        self.balance[target] += amount
        self.movements.append((source, target, amount))

    def total(self):
        # money is neither made nor lost, so this is always zero
        return sum(self.balance.values())


def report(ledger):
    for name, cents in sorted(ledger.balance.items()):
        print(f"{name:>12} {cents / 100:10.2f}")


# The first clocks that kept good time at sea were built in the eighteenth century. Until then a captain knew how far
# north or south he was from the height of the sun at noon, but not how far east or west, and many ships were lost
# because of it. A clock that still showed the time of the port they had left would have told them.
'''  # noqa: E501
# of the same weights in another forward pass, written without transformers
LOSS = 2.3332


@pytest.fixture(scope="module")
def smollm2():
    if fetch.SMOLLM2.present() is None:
        pytest.skip("SmolLM2-135M is not here; run `assay fetch smollm2`")
    return load("smollm2")


@pytest.fixture(scope="module")
def tokens(smollm2):
    return torch.tensor([smollm2.encode(TEXT)])


def test_the_loss_on_a_fixed_text(smollm2, tokens):
    assert float(smollm2.losses(tokens).mean()) == pytest.approx(LOSS, abs=0.01)


@pytest.mark.thorough
def test_the_loss_from_a_captured_residual_is_the_same(smollm2, tokens):
    site = Site.parse("blocks.9.hook_resid_pre")
    residual = smollm2.run(tokens, capture=[site], logits=False).acts[site]
    assert torch.equal(smollm2.losses(tokens, start=(9, residual)), smollm2.losses(tokens))


@pytest.mark.thorough
def test_rows_left_in_the_order_of_the_file_cost_more_than_a_nat(tokens, smollm2):
    """The half-split rope needs query and key rows un-permuted; a conversion that forgets it still
    runs."""
    broken = load("smollm2")
    with torch.no_grad():
        for block in broken.blocks:
            for linear in (block.self_attn.q_proj, block.self_attn.k_proj):
                w = linear.weight
                heads = w.shape[0] // 64
                w.copy_(w.reshape(heads, 2, 32, -1).transpose(1, 2).reshape(w.shape).clone())
    assert float(broken.losses(tokens).mean()) > LOSS + 1


def test_digits_are_tokens_of_their_own(smollm2):
    text = "x = [1234, 5,  67]\n    y = 8_900.25\n        9"
    pieces = smollm2.token_text(smollm2.encode(text))
    assert "".join(pieces) == text
    assert [p for p in pieces if any(c.isdigit() for c in p) and len(p) > 1] == []


def test_code_comes_back_as_it_was(smollm2):
    folder = Path(sysconfig.get_paths()["stdlib"])
    for name in ("textwrap", "heapq", "json/decoder", "calendar", "fractions"):
        text = (folder / f"{name}.py").read_text()
        assert smollm2.decode(smollm2.encode(text)) == text


def test_what_it_is_called_and_how_it_is_identified(smollm2):
    assert smollm2.provenance == "SmolLM2-135M-Instruct, 4-bit Q4_1"
    assert smollm2.fingerprint == fetch.SMOLLM2.gguf_sha256
    assert smollm2.layers == 30
    assert smollm2.width(Site("resid_pre", 9)) == 576
    assert smollm2.width(Site("mlp_post", 0)) == 1536


def test_fetching_again_is_done_at_once_and_says_where_it_is(smollm2):
    said = []
    assert fetch.fetch_model(progress=said.append) == fetch.SMOLLM2.present()
    assert said == [f"SmolLM2-135M-Instruct (4-bit Q4_1) is in {fetch.SMOLLM2.present()}"]
