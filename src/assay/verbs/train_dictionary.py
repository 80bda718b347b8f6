"""Train-dictionary: one dictionary of a language model's activations, or the one that shows a model
best."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from assay.core.errors import AssayError
from assay.data.harvest import HarvestSpec
from assay.dictionaries.training.of_model import TrainedDictionary, train
from assay.dictionaries.training.showcase import Showcase, artefact, recipe, shown
from assay.dictionaries.training.showcase import showcase as make
from assay.evaluation.text import check_context
from assay.lab.store.desk import Desk
from assay.lab.store.store import Store
from assay.subjects import folder
from assay.verbs.machine import device_here
from assay.verbs.parts import written
from assay.verbs.verb import HERE, Answer, Device, Door, Flag, Flat, Model, More, Place, Text, verb
from assay.verbs.writable import writable


@dataclass(frozen=True, kw_only=True)
class Method:
    """The dictionary, and how it is trained."""

    kind: str = "TopK"
    """TopK, BatchTopK, ReLU, JumpReLU or Gated."""
    width: int = 4096
    """Features."""
    k: int | None = None
    """Active features per token, for TopK and BatchTopK; by default 32."""
    penalty: float | None = None
    """The sparsity penalty λ of the other kinds: the larger it is, the fewer features are on."""
    aux: Annotated[int, More] = 0
    """For the auxiliary loss (AuxK) of TopK and BatchTopK: a latent is dead after this many rows
    without a firing; 0: no such loss."""
    steps: int = 2000
    """Training steps."""
    batch: Annotated[int, More] = 4096
    """Activations per training step."""
    lr: Annotated[float, More] = 2e-3
    """Adam's learning rate."""
    seed: Annotated[int, More] = 0
    """The random seed of the initialisation, and of the order of texts and activations."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is read."""

    context: Annotated[int, More] = 128
    """Tokens in a window."""
    bos: Annotated[bool | None, More] = None
    """Whether each window starts with the model's BOS token; by default as its tokenizer does."""
    tokens: int = 0
    """The number of tokens from the training part of the text; 0: all. If steps x batch is larger,
    activations are used again."""


AS_USUAL, FULLY = Method(), Reading()


@verb("one dictionary that was trained on a model's activations")
def command(
    model: Model,
    site: str = "",
    /,
    *,
    out: Path | None = None,
    showcase: Flag = False,
    text: Text = "stdlib",
    method: Annotated[Method, Flat] = AS_USUAL,
    reading: Annotated[Reading, Flat] = FULLY,
    device: Device = "cpu",
    place: Place = HERE,
    door: Door,
) -> Answer[TrainedDictionary | Showcase]:
    """Train a dictionary on a model's activations. The activations are kept in the store and reused
    by the next dictionary.

    Parameters
    ----------
    site
        The site of the activations, such as blocks.9.hook_resid_post.
    out
        The folder to write. If it exists, the same command resumes there.
    showcase
        Train the example dictionary of smollm2 or gemma3-270m, in about 8 minutes on one core. It
        is called showcase/MODEL and takes no other settings.

    Examples
    --------
    assay train-dictionary smollm2 blocks.9.hook_resid_post --out my-sae
    assay train-dictionary smollm2 --showcase
    """
    if showcase:
        if (site, out, text, method, reading) != ("", None, "stdlib", AS_USUAL, FULLY):
            raise AssayError("--showcase has its own settings; leave the others out")
        made = make_showcase(model, device_here(device), place, door)
        return Answer(made, written("showcase", made=made, options=place.options))
    if not site or out is None:
        raise AssayError(
            "train-dictionary needs a site, such as blocks.9.hook_resid_post, and --out FOLDER; or "
            "--showcase"
        )
    check_context(folder.find(model, reading.bos), reading.context, explicit=True)
    spec = HarvestSpec(
        seed=method.seed,
        subject=model,
        site=site,
        corpus=text,
        context=reading.context,
        windows=reading.tokens // max(1, reading.context),
        bos=reading.bos,
    )
    writable(out, "--out")
    with door.stages("train-dictionary") as bars:
        desk = Desk(Store(place.root), device_here(device), lambda n, of, stage: bars(stage, n, of))
        trained = train(spec, out, asdict(method), desk)
    words = [str(trained.file), "--model", str(trained.model), "--text", str(trained.text)]
    more = shlex.join(words) + place.options
    return Answer(trained, written("dictionary_trained", t=trained, more=more))


def make_showcase(model: str, device: str, place: Place, door: Door) -> Showcase:
    """Train the dictionary that shows a model best, or find it. Raises: DataError for a model
    without a recipe."""
    spec, store = recipe(model), Store(place.root)
    is_built = store.built(artefact(spec)) is not None
    with door.stages("train-dictionary") as bars:
        file = make(spec, Desk(store, device, lambda n, of, stage: bars(stage, n, of)))
    return shown(model, spec, file, is_built)
