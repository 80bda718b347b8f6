"""The core evaluation that SAELens has and SAEBench took over, given stand-ins for model, store and
coder that hold a vector's numbers."""

from types import SimpleNamespace

import torch
from protocol import NotOffered

HOOK = "blocks.0.hook_resid_post"


def rows(x, dtype="float64"):
    """Rows as a tensor."""
    return torch.tensor(x, dtype=getattr(torch, dtype))


class Model:
    """In the place of a language model: losses per position from activations, with hooks."""

    def __init__(self, losses):
        self.losses = losses

    def __call__(self, tokens, **k):
        """The clean loss."""
        return None, self.losses(None)

    def run_with_hooks(self, tokens, fwd_hooks, **k):
        """The loss under a hook."""
        return None, self.losses(fwd_hooks[0][1])


class CoreEvaluation:
    """The operations on a library's get_sparsity_and_variance_metrics and
    get_downstream_reconstruction_metrics.

    `functions` is its module, `config` makes what it reads of a coder's configuration, `coder` a
    coder of its own, `special` are the arguments by which special tokens are left out, and
    `scaling` is what it takes after the store."""

    def __init__(self, functions, config, coder, special, scaling=()):
        self.functions, self.config, self.coder = functions, config, coder
        self.special, self.scaling = special, scaling

    def operations(self):
        """The operations by name."""
        return {
            "metrics": self.measured,
            "metrics_stream": self.streamed,
            "sparsity": self.sparsity,
            "quality": self.quality,
            "shrinkage": self.shrinkage,
            "ce_recovered": self.ce_recovered,
            "ce_splice": self.ce_splice,
        }

    def evaluated(self, batches, dtype="float64", sae=None, features=None):
        """get_sparsity_and_variance_metrics on given rows and reconstructions, or on a coder of its
        own."""
        pending = [(rows(b["x"], dtype)[None], rows(b["x_hat"], dtype)[None]) for b in batches]
        model = SimpleNamespace(run_with_cache=lambda *a, **k: (None, {HOOK: pending[0][0]}))
        store = SimpleNamespace(
            get_batch_tokens=lambda n: torch.ones(1, pending[0][0].shape[1], dtype=torch.long)
        )
        ones = [
            torch.ones(1, len(b["x"]), 1) if features is None else rows(features)[None]
            for b in batches
        ]
        table = SimpleNamespace(
            cfg=self.config(d_sae=ones[0].shape[-1]),
            device="cpu",
            encode=lambda x: ones.pop(0),
            decode=lambda f: pending.pop(0)[1],
        )
        args = (sae or table, model, store, *self.scaling, len(batches), *[True] * 4, 1, {})
        return self.functions.get_sparsity_and_variance_metrics(*args)

    def measured(self, x, x_hat, dtype="float64"):
        """explained_variance and mse."""
        return self.streamed([{"x": x, "x_hat": x_hat}], dtype)

    def streamed(self, batches, dtype="float64"):
        """ev and mse over batches."""
        measures, _ = self.evaluated(batches, dtype)
        return {"ev": measures["explained_variance"], "mse": measures["mse"]}

    def sparsity(self, features):
        """l0 and feature_density."""
        ones = [[1.0]] * len(features)
        measures, per_feature = self.evaluated([{"x": ones, "x_hat": ones}], features=features)
        return {"l0": measures["l0"], "density": per_feature["feature_density"]}

    def quality(self, architecture, weights, centred, x):
        """The evaluation of a coder of its own."""
        coder = self.coder(architecture, weights, centred)
        measures, _ = self.evaluated([{"x": x, "x_hat": x}], sae=coder)
        return {"ev": measures["explained_variance"], "l0": measures["l0"]}

    def shrinkage(self, x, x_hat, mean=None):
        """relative_reconstruction_bias."""
        if mean is not None:
            raise NotOffered("not about a mean")
        measures, _ = self.evaluated([{"x": x, "x_hat": x_hat}])
        return {"gamma": measures["relative_reconstruction_bias"]}

    def scored(self, losses, sae, tokens, batches, **more):
        """ce_loss_score of get_downstream_reconstruction_metrics."""
        store = SimpleNamespace(get_batch_tokens=lambda n: tokens)
        sae.cfg, sae.device = self.config(), "cpu"
        args = (sae, Model(losses), store, *self.scaling, False, True, batches, 1)
        measures = self.functions.get_downstream_reconstruction_metrics(*args, **more)
        return {"score": measures["ce_loss_score"]}

    def ce_recovered(self, clean, spliced, ablated):
        """Over batches whose losses are given, asked for in this order."""
        every = zip(clean, spliced, ablated, strict=True)
        order = iter([float(loss) for batch in every for loss in batch])
        tokens = torch.ones(1, 2, dtype=torch.long)
        losses = lambda hook: torch.full((1, 2), next(order))  # noqa: E731
        return self.scored(losses, SimpleNamespace(), tokens, len(clean))

    def ce_splice(self, activations, special, factor):
        """On the toy model, special tokens left out."""
        acts = rows(activations)[None]

        def losses(hook):
            return 20 - (acts if hook is None else hook(acts.clone(), None)).sum(-1).cumsum(-1)

        sae = SimpleNamespace(encode=lambda x: x, decode=lambda f: factor * f)
        return self.scored(losses, sae, 1 - torch.tensor([special]).long(), 1, **self.special)
