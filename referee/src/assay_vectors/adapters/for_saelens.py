"""SAELens's adapter: its core evaluation, its coders, their training and their files."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import torch
from core_evaluation import HOOK, CoreEvaluation, rows
from datasets import Dataset
from protocol import NotOffered, serve
from sae_lens import evals, saes
from sae_lens.config import SAETrainerConfig
from sae_lens.loading.pretrained_sae_loaders import sparsify_disk_loader
from sae_lens.saes.sae import TrainStepInput
from sae_lens.synthetic.evals import mean_correlation_coefficient
from sae_lens.training.activation_scaler import ActivationScaler
from sae_lens.training.activations_store import ActivationsStore
from sae_lens.training.sae_trainer import SAETrainer

KINDS = {
    "relu": "Standard",
    "gated": "Gated",
    "jumprelu": "JumpReLU",
    "topk": "TopK",
    "abstopk": "AbsTopK",
}
TRAINED = {
    "l1": "Standard",
    "l1-weighted": "Standard",
    "p-norm": "Standard",
    "gated": "Gated",
    "jumprelu": "JumpReLU",
    "topk": "TopK",
}


def filled(kind, weights, centred=True, **more):
    """A coder of this class with a vector's weights."""
    w = {
        name: rows(value)
        for name, value in weights.items()
        if name not in ("k", "rescale_by_decoder_norm")
    }
    d, n = w["W_enc"].shape
    cfg = getattr(saes, f"{kind}SAEConfig")(
        d_in=d, d_sae=n, dtype="float64", apply_b_dec_to_input=centred, **more
    )
    coder = getattr(saes, f"{kind}SAE")(cfg)
    coder.cfg.metadata.hook_name = HOOK
    for name, value in w.items():
        getattr(coder, name).data = value
    return coder


def coder(architecture, weights, centred):
    """An inference coder."""
    if architecture == "batchtopk":  # saved as JumpReLU with one threshold for all
        weights = {**weights, "threshold": [weights["threshold"]] * len(weights["b_enc"])}
        return filled("JumpReLU", weights, centred)
    if architecture not in KINDS:
        raise NotOffered(f"no {architecture}")
    return filled(
        KINDS[architecture], weights, centred, **({"k": weights["k"]} if "k" in weights else {})
    )


def encode(architecture, weights, centred, x):
    """encode and forward."""
    if "W_skip" in weights:
        w = {name: rows(value) for name, value in weights.items()}
        d, n = w["W_enc"].shape
        sizes = {"d_in": d, "d_sae": n, "d_out": w["W_dec"].shape[1]}
        sae = saes.SkipTranscoder(
            saes.SkipTranscoderConfig(**sizes, dtype="float64", apply_b_dec_to_input=centred)
        )
        for name, value in (w | {"W_skip": w["W_skip"].T.contiguous()}).items():
            getattr(sae, name).data = value
    else:
        sae = coder(architecture, weights, centred)
    return {"features": sae.encode(rows(x)), "x_hat": sae(rows(x))}


def features_two_ways(architecture, weights, centred, x):
    """encode, and what a forward pass leaves at hook_sae_acts_post."""
    sae = coder(architecture, weights, centred)
    return {
        "encode": sae.encode(rows(x)),
        "forward": sae.run_with_cache(rows(x))[1]["hook_sae_acts_post"],
    }


def layer_norm(weights, x):
    """normalize_activations="layer_norm"."""
    return {"x_hat": filled("Standard", weights, normalize_activations="layer_norm")(rows(x))}


def fold_scale(architecture, weights, centred, scale, x):
    """fold_activation_norm_scaling_factor; batchtopk from its training class, saved for inference
    and read back."""
    if architecture != "batchtopk":
        sae = coder(architecture, weights, centred)
        sae.fold_activation_norm_scaling_factor(scale)
        return {"active": sae.encode(rows(x)) > 0, "x_hat": sae(rows(x))}
    plain = {name: value for name, value in weights.items() if name != "threshold"}
    rescale = bool(weights.get("rescale_by_decoder_norm"))
    sae = filled(
        "BatchTopKTraining", plain, centred, k=weights["k"], rescale_acts_by_decoder_norm=rescale
    )
    sae.topk_threshold = torch.tensor(float(weights["threshold"]), dtype=torch.float64)
    sae.fold_activation_norm_scaling_factor(scale)
    with TemporaryDirectory() as room:
        sae.save_inference_model(room)
        read = saes.SAE.load_from_disk(room)
    return {"active": read.encode(rows(x)) > 0, "x_hat": read(rows(x))}


def save_load(architecture, weights, centred, x):
    """save_model and load_from_disk."""
    with TemporaryDirectory() as room:
        coder(architecture, weights, centred).save_model(room)
        read = saes.SAE.load_from_disk(room)
    return {"features": read.encode(rows(x)), "x_hat": read(rows(x))}


def load(format, config, tensors, x):
    """The loader for sparsify's folders."""

    from safetensors.torch import save_file

    with TemporaryDirectory() as room:
        folder = Path(room) / "layers.0"
        folder.mkdir()
        (folder / "cfg.json").write_text(json.dumps(config))
        save_file(
            {name: rows(value, "float32") for name, value in tensors.items()},
            folder / "sae.safetensors",
        )
        sae = saes.SAE.load_from_disk(folder, converter=sparsify_disk_loader)
    sae = sae.to(torch.float32)
    return {
        "latents": sae.cfg.d_sae,
        "features": sae.encode(rows(x, "float32")),
        "x_hat": sae(rows(x, "float32")),
    }


def stepped(sae, x, penalty=0.0, dead=None):
    """One training forward pass."""
    coefficients = {"l1": penalty, "l0": 1.0}
    mask = None if dead is None else torch.tensor(dead)
    return sae.training_forward_pass(TrainStepInput(rows(x), coefficients, mask, 0, False))


def trained(objective, weights, centred, **more):
    """A training coder of the class that has this objective."""
    kind = TRAINED[objective.partition("-")[0] if objective not in TRAINED else objective]
    if kind == "TopK":
        more |= {"k": weights["k"], "rescale_acts_by_decoder_norm": False}
    return filled(f"{kind}Training", weights, centred, decoder_init_norm=None, **more)


def gradients(objective, weights, centred, x, penalty=0.0, bandwidth=1.0, latent=0, p=1.0):
    """Loss and gradients of one term, or of the whole objective."""
    terms = {
        "jumprelu-l0": "l0_loss",
        "jumprelu-reconstruction": "mse_loss",
        "gated-no-aux": "mse_loss",
        "topk": "mse_loss",
        "gated-aux": "auxiliary_reconstruction_loss",
    }
    more = (
        {"jumprelu_bandwidth": bandwidth}
        if objective.startswith("jumprelu")
        else {"lp_norm": p}
        if objective == "p-norm"
        else {}
    )
    sae = trained("topk" if objective == "preactivation" else objective, weights, centred, **more)
    if objective == "preactivation":
        loss = sae.encode_with_hidden_pre(rows(x))[1][0, latent]
    else:
        out = stepped(sae, x, penalty)
        loss = out.losses[terms[objective]] if objective in terms else out.loss
    names, tensors = zip(*sae.named_parameters(), strict=True)
    raw_grads = torch.autograd.grad(loss, tensors, allow_unused=True)
    grads = {
        n: torch.zeros_like(t) if g is None else g
        for n, t, g in zip(names, tensors, raw_grads, strict=True)
    }
    return {"loss": loss, **grads}


def auxk(weights, x, k_aux, dead):
    """Its auxiliary loss, and the direction of the dead latents' encoder gradient."""
    sae = trained("topk", weights, True)
    loss = stepped(sae, x, dead=dead).losses["auxiliary_reconstruction_loss"]
    column = torch.autograd.grad(loss, sae.W_enc)[0][:, dead.index(True)]
    return {"loss": loss, "direction": column / (column.norm() or 1)}


def loss_ratio(objective, weights, centred, prefixes, x, against):
    """Matryoshka loss of x over that of another input."""
    more = {"k": weights["k"], "matryoshka_widths": prefixes, "rescale_acts_by_decoder_norm": False}
    sae = filled("MatryoshkaBatchTopKTraining", weights, centred, **more)
    return {"ratio": stepped(sae, x).loss / stepped(sae, against).loss}


def threshold_estimate(kept, updates):
    """update_topk_threshold, many times."""
    sae = saes.BatchTopKTrainingSAE(saes.BatchTopKTrainingSAEConfig(d_in=2, d_sae=2, k=2))
    for _ in range(updates):
        sae.update_topk_threshold(rows(kept))
    return {"threshold": sae.topk_threshold}


def threshold_travel(start, lr, steps):
    """Adam on whatever the threshold is made of."""
    cfg = saes.JumpReLUTrainingSAEConfig(d_in=2, d_sae=1, jumprelu_init_threshold=start)
    sae = saes.JumpReLUTrainingSAE(cfg)
    parameter = dict(sae.named_parameters()).get("log_threshold", sae.threshold)
    adam = torch.optim.Adam([parameter], lr=lr)
    for _ in range(steps):
        parameter.grad = -torch.ones_like(parameter)
        adam.step()
    return {"moved": float(sae.threshold) - start}


def store(documents):
    """An ActivationsStore over documents of four equal tokens, which a stand-in for a language
    model only embeds."""
    embedding = torch.arange(3.0 * documents).view(documents, 3).sin()
    model = SimpleNamespace(
        W_E=embedding, run_with_cache=lambda tokens, **k: (None, {HOOK: embedding[tokens]})
    )
    sizes = {
        "context_size": 4,
        "d_in": 3,
        "n_batches_in_buffer": 8,
        "store_batch_size_prompts": 2,
        "train_batch_size_tokens": 8,
    }
    text = Dataset.from_dict({"tokens": [[i] * 4 for i in range(documents)]})
    more = {
        "prepend_bos": False,
        "normalize_activations": "none",
        "device": "cpu",
        "dtype": "float32",
        "total_training_tokens": 1,
    }
    return ActivationsStore(model, text, False, HOOK, None, **sizes, **more)


def trainer(data, x_size=3, **more):
    """SAETrainer on its standard architecture."""
    kind = saes.StandardTrainingSAE
    sae = kind(saes.StandardTrainingSAEConfig(d_in=x_size, d_sae=6, l1_coefficient=0.1))
    sizes = {"total_training_samples": 80, "train_batch_size_samples": 8, "lr_end": 3e-5}
    return SAETrainer(SAETrainerConfig(**(sizes | more)), sae, data)


def evaluation_documents(documents, train, evaluate):
    """run_evals between draws of training sequences, as in-training evaluation calls it; the
    documents each time."""
    data, sampled_documents = store(documents), set()
    sae = trainer(data).sae
    sae.cfg.metadata.hook_name = HOOK
    draw = data.get_batch_tokens

    def noted(*args, **more):
        tokens = draw(*args, **more)
        sampled_documents.update(tokens[:, 0].tolist())
        return tokens

    def phase(act):
        sampled_documents.clear()
        act()
        return set(sampled_documents)

    data.get_batch_tokens = noted
    cfg = evals.EvalConfig(batch_size_prompts=evaluate, compute_sparsity_metrics=True)
    acts = (
        lambda: noted(train),
        lambda: evals.run_evals(
            sae, data, data.model, ActivationScaler(), cfg, exclude_special_tokens=False
        ),
    )
    trained, first, more, second = (phase(act) for act in acts * 2)
    return {"shared": len((trained | more) & (first | second)), "same_each_time": first == second}


def resume(steps, stop):
    """SAETrainer on an ActivationsStore; a resumed run starts from the same seed, as a new process
    does, and loads all that was saved."""

    def run(until, checkpoint=None):
        torch.default_generator.manual_seed(0)
        data = store(100)
        sae_trainer = trainer(data)
        if checkpoint is not None:
            sae_trainer.sae.load_weights_from_checkpoint(checkpoint)
            sae_trainer.load_trainer_state(checkpoint)
            data.load_from_checkpoint(checkpoint)
        while sae_trainer.n_training_steps < until:
            sae_trainer.step(next(data))
            sae_trainer.n_training_steps += 1
        return sae_trainer, data

    with TemporaryDirectory() as room:
        half, data = run(stop)
        half.save_checkpoint("half", room)
        data.save_to_checkpoint(f"{room}/half")
        whole, resumed = run(steps)[0], run(steps, f"{room}/half")[0]
    pairs = zip(whole.sae.parameters(), resumed.sae.parameters(), strict=True)
    return {"identical": all(torch.equal(a, b) for a, b in pairs)}


def fired(architecture, weights, centred, x):
    """The latents whose count of passes since they fired is 0 after a training step."""
    sae_trainer = trainer(None)
    sae_trainer.sae = filled(
        "TopKTraining", weights, centred, k=weights["k"], rescale_acts_by_decoder_norm=False
    )
    sae_trainer.act_freq_scores = torch.zeros(sae_trainer.sae.cfg.d_sae)
    sae_trainer.n_forward_passes_since_fired = torch.zeros(sae_trainer.sae.cfg.d_sae)
    sae_trainer.coefficient_schedulers = {}
    sae_trainer.step(rows(x))
    return {"latents": (sae_trainer.n_forward_passes_since_fired == 0).nonzero()[:, 0]}


def second_step(x):
    """The encoder bias's gradient as the optimiser gets it, two steps at rate 0; small rows, so
    that clipping does nothing."""
    sae_trainer, norms = trainer(None, len(x[0]), lr=0.0, lr_end=0.0), []
    sae_trainer.optimizer.register_step_pre_hook(
        lambda *a: norms.append(float(sae_trainer.sae.b_enc.grad.norm()))
    )
    for _ in range(2):
        sae_trainer.step(1e-3 * rows(x, "float32"))
    return {"ratio": norms[1] / norms[0]}


def checkpoint(x, steps):
    """fit with checkpoints on the way and at the end."""
    with TemporaryDirectory() as room:
        batch = rows(x, "float32")
        sizes = {
            "total_training_samples": steps * len(x),
            "train_batch_size_samples": len(x),
            "n_checkpoints": steps - 1,
        }
        trainer(
            iter([batch] * steps),
            len(x[0]),
            checkpoint_path=room,
            save_final_checkpoint=True,
            **sizes,
        ).fit()
        return {"written": len(list(Path(room).iterdir())) == steps}


def config(**more):
    """What its evaluation reads of a coder's configuration."""
    return SimpleNamespace(metadata=SimpleNamespace(hook_name=HOOK, hook_head_index=None), **more)


def mcc_matched(true, learned):
    """mean_correlation_coefficient."""
    return {"mcc": mean_correlation_coefficient(rows(true), rows(learned))}


OPERATIONS = {
    # run_evals ignores special tokens by default
    **CoreEvaluation(
        evals, config, coder, {"ignore_tokens": [0]}, scaling=(ActivationScaler(),)
    ).operations(),
    "encode": encode,
    "features_two_ways": features_two_ways,
    "layer_norm": layer_norm,
    "fold_scale": fold_scale,
    "save_load": save_load,
    "load": load,
    "gradients": gradients,
    "auxk": auxk,
    "loss_ratio": loss_ratio,
    "threshold_estimate": threshold_estimate,
    "threshold_travel": threshold_travel,
    "evaluation_documents": evaluation_documents,
    "resume": resume,
    "fired": fired,
    "second_step": second_step,
    "checkpoint": checkpoint,
    "mcc_matched": mcc_matched,
}

if __name__ == "__main__":
    serve("SAELens", "sae-lens", OPERATIONS)
