"""dictionary_learning's adapter. Objectives are its trainers' losses; `evaluate` is given a table
in place of a dictionary."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from dictionary_learning import dictionary as dicts
from dictionary_learning import evaluation
from dictionary_learning.buffer import ActivationBuffer
from dictionary_learning.trainers import (
    batch_top_k,
    gdm,
    jumprelu,
    matryoshka_batch_top_k,
    p_anneal,
    standard,
    top_k,
)
from dictionary_learning.training import trainSAE
from protocol import NotOffered, serve

NAMES = {"encoder.weight": "W_enc", "encoder.bias": "b_enc", "decoder.weight": "W_dec"}
ALWAYS = {"relu": True, "gated": True, "topk": True, "batchtopk": True, "jumprelu": False}
LM = {"layer": 0, "lm_name": "none", "device": "cpu", "steps": 10, "warmup_steps": 0}
NOW = {"sparsity_warmup_steps": None}


def rows(x, dtype="float64"):
    """Rows as a tensor."""
    return torch.tensor(x, dtype=getattr(torch, dtype))


def filled(ae, weights):
    """The dictionary with a vector's weights; its linear layers hold them transposed."""
    w = {
        name: rows(value)
        for name, value in weights.items()
        if name not in ("k", "threshold", "rescale_by_decoder_norm")
    }
    other = {
        "bias": "b_dec",
        "decoder_bias": "b_dec",
        "gate_bias": "b_gate",
        "mag_bias": "b_mag",
        "decoder.bias": "b_dec",
    } | NAMES
    ae = ae.double()
    for name, parameter in ae.named_parameters():
        ours = other.get(name, name)
        if ours in w:
            parameter.data = w[ours].mT.contiguous() if name.endswith(".weight") else w[ours]
    if "threshold" in weights:
        value = rows(weights["threshold"])
        if isinstance(ae, dicts.JumpReluAutoEncoder):
            ae.threshold.data = value
        else:
            ae.threshold = value
    return ae


def coder(architecture, weights, centred):
    """A dictionary; each class is centred or not by itself."""
    d, n = len(weights["W_enc"]), len(weights["W_dec"])
    if weights.get("rescale_by_decoder_norm") or "W_skip" in weights or architecture not in ALWAYS:
        raise NotOffered(
            "decoder rows have length 1"
            if "rescale_by_decoder_norm" in weights
            else f"no such {architecture}"
        )
    if architecture == "relu" and not centred:
        return filled(dicts.AutoEncoderNew(d, n), weights)
    if centred != ALWAYS[architecture] and any(weights["b_dec"]):
        raise NotOffered(f"its {architecture} is {'never' if centred else 'always'} centred")
    kinds = {
        "relu": dicts.AutoEncoder,
        "gated": dicts.GatedAutoEncoder,
        "jumprelu": dicts.JumpReluAutoEncoder,
    }
    if architecture in kinds:
        return filled(kinds[architecture](d, n), weights)
    kind = top_k.AutoEncoderTopK if architecture == "topk" else batch_top_k.BatchTopKSAE
    return filled(kind(d, n, weights["k"]), weights)


class Table:
    """In the place of a dictionary: reconstructions and features that are given."""

    def __init__(self, batches, features=None):
        self.batches, self.features, self.dict_size = (
            list(batches),
            features,
            1 if features is None else features.shape[1],
        )

    def __call__(self, x, output_features=True):
        """The next reconstruction."""
        return self.batches.pop(0), torch.ones(
            len(x), 1
        ) if self.features is None else self.features


def evaluated(batches, dtype="float64", features=None):
    """`evaluate` on given rows and reconstructions."""
    table = Table([rows(b["x_hat"], dtype) for b in batches], features)
    return evaluation.evaluate(
        table, iter([rows(b["x"], dtype) for b in batches]), n_batches=len(batches)
    )


def measured(x, x_hat, dtype="float64"):
    """frac_variance_explained; its l2_loss is a mean length, not a squared error."""
    return {"ev": evaluated([{"x": x, "x_hat": x_hat}], dtype)["frac_variance_explained"]}


def streamed(batches, dtype="float64"):
    """ev and mse over batches; its l2_loss is a mean length, not a squared error."""
    return {"ev": evaluated(batches, dtype)["frac_variance_explained"]}


def sparsity(features):
    """l0 and frac_alive."""
    batch = {"x": [[float(i)] for i in range(len(features))], "x_hat": [[0.0]] * len(features)}
    measures = evaluated([batch], features=rows(features))
    return {"l0": measures["l0"], "dead": 1 - measures["frac_alive"]}


def quality(architecture, weights, centred, x):
    """`evaluate` of a dictionary."""
    measures = evaluation.evaluate(coder(architecture, weights, centred), iter([rows(x)]))
    return {"ev": measures["frac_variance_explained"], "l0": measures["l0"]}


def shrinkage(x, x_hat, mean=None):
    """relative_reconstruction_bias."""
    if mean is not None:
        raise NotOffered("not about a mean")
    return {"gamma": evaluated([{"x": x, "x_hat": x_hat}])["relative_reconstruction_bias"]}


class Buffer(ActivationBuffer):
    """A buffer with one row a batch, so that `evaluate` goes on to the loss recovered."""

    def __init__(self):
        self.model = self.submodule = None

    def __next__(self):
        """One row."""
        return torch.ones(1, 2)

    def text_batch(self, batch_size):
        """No text is needed: the losses are given."""


def ce_recovered(clean, spliced, ablated):
    """frac_recovered over batches whose losses are given."""
    losses = iter(
        [
            tuple(map(torch.tensor, map(float, triple)))
            for triple in zip(clean, spliced, ablated, strict=True)
        ]
    )
    real, evaluation.loss_recovered = evaluation.loss_recovered, lambda *a, **k: next(losses)
    try:
        table = Table([torch.ones(1, 2)] * len(clean))
        return {
            "score": evaluation.evaluate(table, Buffer(), n_batches=len(clean))["frac_recovered"]
        }
    finally:
        evaluation.loss_recovered = real


def encode(architecture, weights, centred, x):
    """encode and forward."""
    ae = coder(architecture, weights, centred)
    return {"features": ae.encode(rows(x)), "x_hat": ae(rows(x))}


def features_two_ways(architecture, weights, centred, x):
    """encode, and forward with output_features."""
    ae = coder(architecture, weights, centred)
    return {"encode": ae.encode(rows(x)), "forward": ae(rows(x), output_features=True)[1]}


def fired(architecture, weights, centred, x):
    """The latents whose count of tokens since they fired is 0 after a training loss."""
    d, n = len(weights["W_enc"]), len(weights["W_dec"])
    trainer = top_k.TopKTrainer(activation_dim=d, dict_size=n, k=weights["k"], **LM)
    trainer.ae = filled(trainer.ae, weights)
    trainer.loss(rows(x), step=0)
    return {"latents": (trainer.num_tokens_since_fired == 0).nonzero()[:, 0]}


def fold_scale(architecture, weights, centred, scale, x):
    """scale_biases by what activations were divided by in training."""
    ae = coder(architecture, weights, centred)
    ae.scale_biases(1 / scale)
    return {"active": ae.encode(rows(x)) > 0, "x_hat": ae(rows(x))}


def save_load(architecture, weights, centred, x):
    """What trainSAE saves after no step, and from_pretrained."""
    d, n = len(weights["W_enc"]), len(weights["W_dec"])
    ae = coder(architecture, weights, centred).float()
    kind = {
        "relu": standard.StandardTrainer,
        "gated": gdm.GatedSAETrainer,
        "topk": top_k.TopKTrainer,
    }[architecture]
    config = {
        "trainer": kind,
        "activation_dim": d,
        "dict_size": n,
        "dict_class": lambda *sizes: ae,
        **LM,
    }
    config |= {"k": weights["k"]} if architecture == "topk" else NOW
    with TemporaryDirectory() as room:
        trainSAE([], [config], steps=0, save_dir=room, device="cpu")
        read = type(ae).from_pretrained(f"{room}/trainer_0/ae.pt").double()
    return {"features": read.encode(rows(x)), "x_hat": read(rows(x))}


def trainer_of(objective, weights, penalty, bandwidth, p, x):
    """The trainer that has this objective, its warm-up over."""
    more = {"activation_dim": len(weights["W_enc"]), "dict_size": len(weights["W_dec"]), **LM}
    if objective in ("l1", "l1-weighted"):
        kind = (
            standard.StandardTrainer if objective == "l1" else standard.StandardTrainerAprilUpdate
        )
        trainer = kind(l1_penalty=penalty, **NOW, **more)
    elif objective in ("gated", "gated-aux"):
        trainer = gdm.GatedSAETrainer(l1_penalty=penalty, **NOW, **more)
    elif objective.startswith("jumprelu"):
        # its penalty is (l0/target - 1)²: at this target the derivative by l0 is 1
        l0 = float(
            (rows(x) @ rows(weights["W_enc"]) + rows(weights["b_enc"]) > rows(weights["threshold"]))
            .sum(-1)
            .double()
            .mean()
        )
        on = objective == "jumprelu-l0"
        penalties = {"sparsity_penalty": float(on), "target_l0": (1 + 2 * l0) ** 0.5 - 1, **NOW}
        trainer = jumprelu.JumpReluTrainer(bandwidth=bandwidth, **penalties, **more)
    elif objective == "topk":
        trainer = top_k.TopKTrainer(k=weights["k"], auxk_alpha=0, **more)
    elif objective == "p-norm":
        trainer = p_anneal.PAnnealTrainer(
            sparsity_function="Lp^p", initial_sparsity_penalty=penalty, p_start=p, **NOW, **more
        )
    else:
        raise NotOffered(f"no {objective} by itself")
    trainer.ae = filled(trainer.ae, weights)
    return trainer


def gradients(objective, weights, centred, x, penalty=0.0, bandwidth=1.0, latent=0, p=1.0):
    """A trainer's loss; Gated's auxiliary term is that less the reconstruction error, as nothing
    gives it alone."""
    trainer = trainer_of(objective, weights, penalty, bandwidth, p, x)
    loss = trainer.loss(rows(x), step=0)
    if objective == "gated-aux":
        loss = loss - (rows(x) - trainer.ae(rows(x))).pow(2).sum(-1).mean()
    names, tensors = zip(*trainer.ae.named_parameters(), strict=True)
    grads = torch.autograd.grad(loss, tensors, allow_unused=True)
    ours = {
        "bias": "b_dec",
        "decoder_bias": "b_dec",
        "gate_bias": "b_gate",
        "mag_bias": "b_mag",
    } | NAMES
    zero = [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, grads, strict=True)]
    return {"loss": loss} | {
        ours.get(n, n): g.mT if n.endswith(".weight") else g
        for n, g in zip(names, zero, strict=True)
    }


def auxk(weights, x, k_aux, dead):
    """get_auxiliary_loss, normalised by the residual's variance."""
    d, n = len(weights["W_enc"]), len(weights["W_dec"])
    trainer = top_k.TopKTrainer(activation_dim=d, dict_size=n, k=weights["k"], **LM)
    ae = trainer.ae = filled(trainer.ae, weights)
    trainer.num_tokens_since_fired[torch.tensor(dead)] = trainer.dead_feature_threshold
    f, _, _, post = ae.encode(rows(x), return_topk=True)
    loss = trainer.get_auxiliary_loss((rows(x) - ae.decode(f)).detach(), post)
    row = torch.autograd.grad(loss, ae.encoder.weight)[0][dead.index(True)]
    return {"loss": loss, "direction": row / (row.norm() or 1)}


def loss_ratio(objective, weights, centred, prefixes, x, against):
    """Matryoshka loss of x over that of another input."""
    d, n = len(weights["W_enc"]), len(weights["W_dec"])
    shares = [(b - a) / n for a, b in zip([0, *prefixes[:-1]], prefixes, strict=True)]
    kind = matryoshka_batch_top_k.MatryoshkaBatchTopKTrainer
    trainer = kind(activation_dim=d, dict_size=n, k=weights["k"], group_fractions=shares, **LM)
    trainer.ae = filled(trainer.ae, weights)
    return {"ratio": trainer.loss(rows(x), step=0) / trainer.loss(rows(against), step=0)}


def threshold_estimate(kept, updates):
    """update_threshold of BatchTopKTrainer, many times."""
    trainer = batch_top_k.BatchTopKTrainer(activation_dim=2, dict_size=2, k=2, **LM)
    for _ in range(updates):
        trainer.update_threshold(rows(kept))
    return {"threshold": trainer.ae.threshold}


def threshold_travel(start, lr, steps):
    """The trainer's optimiser on its threshold."""
    trainer = jumprelu.JumpReluTrainer(activation_dim=2, dict_size=1, lr=lr, **NOW, **LM)
    trainer.ae.threshold.data.fill_(start)
    for _ in range(steps):
        trainer.ae.threshold.grad = -torch.ones(1)
        trainer.optimizer.step()
    return {"moved": float(trainer.ae.threshold) - start}


def resample(weights, dead, x):
    """resample_neurons of StandardTrainer, after one step at rate 0 (it resets the optimiser's
    state)."""
    trainer = standard.StandardTrainer(
        activation_dim=2, dict_size=2, lr=0.0, resample_steps=1, **NOW, **(LM | {"warmup_steps": 1})
    )
    trainer.ae = filled(trainer.ae, weights)
    trainer.optimizer = standard.ConstrainedAdam(
        trainer.ae.parameters(), trainer.ae.decoder.parameters(), lr=0.0
    )
    trainer.loss(rows(x), step=0).backward()
    trainer.optimizer.step()
    trainer.ae.encoder.weight.data = rows(weights["W_enc"]).mT.contiguous()
    trainer.resample_neurons(torch.tensor(dead), rows(x))
    return {"norm": trainer.ae.encoder.weight[dead.index(True)].norm()}


def second_step(x):
    """The encoder bias's gradient in two updates at rate 0, after one that brings the decoder to
    length 1."""
    trainer = standard.StandardTrainer(
        activation_dim=len(x[0]), dict_size=6, lr=0.0, seed=0, **NOW, **LM
    )
    norms = []
    for step in range(3):
        trainer.update(step, rows(x, "float32"))
        norms.append(float(trainer.ae.encoder.bias.grad.norm()))
    return {"ratio": norms[2] / norms[1]}


def unit_decoder(x, lr):
    """Lengths of decoder columns after one update."""
    trainer = standard.StandardTrainer(
        activation_dim=len(x[0]), dict_size=6, lr=lr, seed=0, **NOW, **LM
    )
    trainer.update(0, rows(x, "float32"))
    return {"norms_are_one": bool(((trainer.ae.decoder.weight.norm(dim=0) - 1).abs() < 1e-4).all())}


def _run(x, steps, room, **more):
    config = {
        "trainer": standard.StandardTrainer,
        "activation_dim": len(x[0]),
        "dict_size": 6,
        **NOW,
        **LM,
    }
    trainSAE(
        [rows(x, "float32")] * (steps + 1),
        [config],
        steps=steps,
        save_dir=room,
        device="cpu",
        **more,
    )
    return Path(room) / "trainer_0"


def normalisation_recorded(x, steps):
    """norm_factor in config.json after training with normalize_activations."""
    with TemporaryDirectory() as room:
        config = json.loads(
            (_run(x, steps, room, normalize_activations=True) / "config.json").read_text()
        )
    return {"recorded": "norm_factor" in json.dumps(config)}


def checkpoint(x, steps):
    """Checkpoints at save_steps, normalisation off."""
    with TemporaryDirectory() as room:
        folder = _run(x, steps, room, save_steps=list(range(steps)))
        return {"written": len(list((folder / "checkpoints").iterdir())) == steps}


OPERATIONS = {
    "metrics": measured,
    "metrics_stream": streamed,
    "sparsity": sparsity,
    "quality": quality,
    "shrinkage": shrinkage,
    "ce_recovered": ce_recovered,
    "encode": encode,
    "features_two_ways": features_two_ways,
    "fired": fired,
    "fold_scale": fold_scale,
    "save_load": save_load,
    "gradients": gradients,
    "auxk": auxk,
    "loss_ratio": loss_ratio,
    "threshold_estimate": threshold_estimate,
    "threshold_travel": threshold_travel,
    "resample": resample,
    "second_step": second_step,
    "unit_decoder": unit_decoder,
    "normalisation_recorded": normalisation_recorded,
    "checkpoint": checkpoint,
}

if __name__ == "__main__":
    serve("dictionary_learning", "dictionary-learning", OPERATIONS)
