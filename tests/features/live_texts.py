"""A text, dictionaries of several kinds and their activations in float64, for the tests of
features/live."""

import numpy as np
import torch

import tiny_models
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.features.live.reader import Reader
from assay.subjects.site import Site

TEXT = "def f3_1(x):\n    return x + 12"
D, WIDTH = 24, 12
NEVER = 0
"""A feature that is never on."""
SITE = "blocks.1.hook_resid_pre"


def dictionary(seed=2, per_token=""):
    own = torch.Generator().manual_seed(seed)
    W = torch.nn.functional.normalize(torch.randn(1, WIDTH, D, generator=own), dim=-1)
    b = torch.full((1, WIDTH), -0.1)
    b[0, NEVER] = -1e9
    mean, scale = 0.1 * torch.randn(1, D, generator=own), torch.tensor([0.7])
    return Dictionary(
        W.mT.contiguous(),
        b,
        1.5 * W,
        torch.zeros(1, D),
        ReLU(),
        {},
        mean,
        scale,
        (),
        torch.zeros(1, D),
        per_token=per_token,
    )


def reader(model, site=SITE, writes=None, per_token="", **options):
    return Reader(
        model,
        dictionary(per_token=per_token),
        Site.parse(site),
        None if writes is None else Site.parse(writes),
        **options,
    )


class Naive:
    """One text in NumPy float64: every forward pass from the embedding on, with parts of the stream
    taken out."""

    def __init__(self, folder, ids, site=SITE, writes=None, per_token="", skip_first=1):
        self.folder, self.ids, self.site = folder, np.array([ids]), writes or site
        self.logits, self.all = tiny_models.naive(folder, self.ids)
        self.loss = tiny_models.naive_loss(self.logits, self.ids)[0]
        self.x, self.acts = self.all[site][0], self.all[self.site][0]
        one = dictionary(per_token=per_token)
        W, b, dec, mean = (
            t[0].double().numpy() for t in (one.W_enc, one.b_enc, one.W_dec, one.mean)
        )
        x, self.back = self.x, np.ones((len(self.x), 1))
        if per_token:
            self.back = x.std(1, ddof=1, keepdims=True)
            x = (x - x.mean(1, keepdims=True)) / (self.back + 1e-5)
        self.a = np.maximum((x - mean) * np.float32(0.7) @ W + b, 0)
        self.a[:skip_first] = 0
        self.dec = dec / np.float32(0.7)

    def part(self, t, k, value=None):
        """What feature k adds at position t, [s, d]."""
        out = np.zeros_like(self.acts)
        out[t] = (self.a[t, k] if value is None else value) * self.dec[k] * self.back[t]
        return out

    def feature(self, k):
        return self.a[:, k, None] * self.dec[k] * self.back

    def run(self, add, site=None):
        """(logits [s, v], acts by site) with `add` [s, d] put on top of the activations."""
        logits, acts = tiny_models.naive(
            self.folder, self.ids, {site or self.site: lambda x: x + add}
        )
        return logits[0], acts

    def losses(self, add, site=None):
        return tiny_models.naive_loss(self.run(add, site)[0][None], self.ids)[0]


def probabilities(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def kl(p_logits, q_logits):
    p, q = probabilities(p_logits), probabilities(q_logits)
    return (p * np.log(p / q)).sum(-1)
