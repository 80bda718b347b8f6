"""transformers' Mamba with a module at every site: its mixers replaced by ours on the same weights;
and its hidden attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import Float, Int

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects import architectures
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay_catalogue.subjects import selective_scan
from assay_catalogue.subjects.mamba import decay, mixed
from assay_catalogue.subjects.mamba_files import mixer_from


class Mixer(torch.nn.Module):
    """One block's mixer: transformers' weights under transformers' names, and for each site a
    module that returns what it reads."""

    def __init__(self, theirs: Any):
        super().__init__()
        for name, part in (*theirs.named_children(), *theirs.named_parameters(recurse=False)):
            setattr(self, name, part)
        self.sites = torch.nn.ModuleDict(
            {kind: torch.nn.Identity() for kind in architectures.known()["mamba"].kinds}
        )

    def forward(
        self, x: Float[torch.Tensor, "b s d"], **unused: Any
    ) -> Float[torch.Tensor, "b s d"]:
        """What the block adds to the stream."""
        p = {name: value[None] for name, value in mixer_from(dict(self.named_parameters())).items()}
        # Only sites that somebody listens to: visiting a state means to form all of them, which the
        # fast scan does not.
        visits = {
            kind: _make_visit(site) for kind, site in self.sites.items() if site._forward_hooks
        }
        return mixed(p, x[None], visits)[0]


def _make_visit(site: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """A visit of [1, …] as a call of the site's module, whose hooks know of no runs."""
    return lambda x: site(x[0])[None]


def open_up(model: Any) -> None:
    """Give every block of transformers' Mamba a mixer with sites. Raises: ModelError for an
    activation other than SiLU."""
    if model.config.hidden_act not in ("silu", "swish"):
        raise ModelError(
            "Assay computes Mamba with SiLU only; this one's config.json says "
            f"hidden_act={model.config.hidden_act!r}"
        )
    for block in model.backbone.layers:
        block.mixer = Mixer(block.mixer)


def hidden_attention(
    model: Pretrained,
    tokens: Int[torch.Tensor, "b s"],
    layer: int,
    channels: Sequence[int] | slice = slice(None),
    *,
    skip: bool = False,
    gate: bool = False,
) -> Float[torch.Tensor, "b c s s2"]:
    """How one block weighs earlier positions, a matrix for each channel: row t, column s is the
    weight that t gives to s.

    Its product with `ssm_in` is what the scan reads from its states; with `skip` it is `ssm_out`,
    and with `gate` besides it is `gated`, which the output projection takes to what the block adds
    to the stream. b · c · s² numbers: name a few channels of a large model.

    Raises: ModelError for a model other than Mamba, or a block that it does not have.
    Source: Ali, Zimerman & Wolf 2024, The Hidden Attention of Mamba Models
    """
    if model.folder.architecture.name != "mamba":
        raise ModelError(
            f"hidden attention is of Mamba; {model.name} is {model.folder.architecture.name}"
        )
    sites = {kind: Site(kind, layer) for kind in ("delta", "B", "C", "gate")}
    acts = model.run(tokens, capture=list(sites.values()), logits=False).acts
    mixer: Any = model.blocks[layer].mixer
    run_acts: dict[str, torch.Tensor] = {kind: acts[site][None] for kind, site in sites.items()}
    D = mixer.D[channels][None].to(run_acts["delta"]) if skip else None
    gates = run_acts["gate"][..., channels].to(run_acts["delta"]) if gate else None
    return selective_scan.hidden_attention(
        run_acts["delta"][..., channels],
        decay(mixer.A_log[channels])[None],
        run_acts["B"],
        run_acts["C"],
        D=D,
        gate=gates,
    )[0]
