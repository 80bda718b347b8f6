"""Mamba language models with a run axis: one dict of [run, …] tensors, every block's parameters
stacked along a layer axis.

A block is one mixer that reads a norm of the stream and adds to it: a short convolution along the
sequence, a selective scan, and a gate. Which parts it has, its parameters say: without `W_conv`
there is no convolution; without `W_B` and `W_C` the scan is time-invariant, B and C constants and Δ
what its bias says. Every site can be captured and edited."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from jaxtyping import Float, Int

from assay.core.errors import SpecError
from assay.core.heavy import torch
from assay.subjects import architectures
from assay.subjects.decoder import normed
from assay.subjects.site import Site
from assay_catalogue.subjects.selective_scan import selective_scan, states, written

Params: TypeAlias = "Mapping[str, torch.Tensor]"
Visits: TypeAlias = "Mapping[str, Callable[[torch.Tensor], torch.Tensor]]"
"""Kind of site → what its activations are replaced by, given them."""
BLOCK = (
    "gain_1",
    "W_in",
    "b_in",
    "W_gate",
    "b_gate",
    "W_conv",
    "b_conv",
    "W_delta_1",
    "W_delta_2",
    "b_delta",
    "W_B",
    "B",
    "W_C",
    "C",
    "A_log",
    "D",
    "W_out",
    "b_out",
)
"""The parameters that each block has its own of."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of a Mamba model, and which parts it has."""

    layers: int
    d: int
    channels: int
    """d_inner: channels of a mixer, twice the width of the stream in published models."""
    state: int
    """d_state: numbers in a channel's state."""
    rank: int
    """dt_rank: numbers through which a position decides on Δ."""
    vocab: int
    conv: int = 4
    """Positions that the short convolution reads; 0 for none."""
    selective: bool = True
    """Whether Δ, B and C follow from each position; else they are constants and the scan is
    time-invariant."""
    conv_bias: bool = True
    biases: bool = False
    """Whether the projections into and out of a mixer have biases."""
    tied: bool = True

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter of one run, layers first where blocks are stacked."""
        s, c, n = self, self.channels, self.state
        block: dict[str, tuple[int, ...]] = {
            "gain_1": (s.d,),
            "W_in": (s.d, c),
            "b_in": (c,),
            "W_gate": (s.d, c),
            "b_gate": (c,),
            "W_conv": (c, s.conv),
            "b_conv": (c,),
            "W_delta_1": (c, s.rank),
            "W_delta_2": (s.rank, c),
            "b_delta": (c,),
            "W_B": (c, n),
            "B": (n,),
            "W_C": (c, n),
            "C": (n,),
            "A_log": (c, n),
            "D": (c,),
            "W_out": (c, s.d),
            "b_out": (s.d,),
        }
        absent = {"B", "C"} if s.selective else {"W_delta_1", "W_delta_2", "W_B", "W_C"}
        absent |= set() if s.biases else {"b_in", "b_gate", "b_out"}
        absent |= (
            (set() if s.conv else {"W_conv", "b_conv"})
            | (set() if s.conv_bias else {"b_conv"})
            | ({"W_U"} if s.tied else set())
        )
        shapes = {"W_E": (s.vocab, s.d)} | {
            name: (s.layers, *shape) for name, shape in block.items()
        }
        shapes |= {"gain": (s.d,), "W_U": (s.d, s.vocab)}
        return {name: shape for name, shape in shapes.items() if name not in absent}


def forward(
    params: Params,
    tokens: Int[torch.Tensor, "b s"] | Int[torch.Tensor, "run b s"],
    *,
    capture: Sequence[Site] = (),
    edits: Mapping[Site, Callable[[torch.Tensor], torch.Tensor]] = {},
) -> tuple[Float[torch.Tensor, "run b s v"], dict[Site, Float[torch.Tensor, "run b s ..."]]]:
    """Logits at every position and the captured activations; tokens shared by all runs or each
    run's own.

    A site in both `edits` and `capture` is captured as edited.

    Raises: SpecError for a site that the model does not have.
    """
    runs, layers = len(params["W_E"]), params["W_in"].shape[1]
    for site in (*capture, *edits):
        kinds = [kind for kind in architectures.known()["mamba"].sites if _present(kind, params)]
        if site.layer is not None and (site.kind not in kinds or not 0 <= site.layer < layers):
            raise SpecError(
                f"{site} does not exist: this Mamba has {layers} blocks with {', '.join(kinds)}"
            )
    acts: dict[Site, torch.Tensor] = {}

    def visit(site: Site, x: torch.Tensor) -> torch.Tensor:
        if site in edits:
            new = edits[site](x.clone())  # an edit may work in place
            if new.shape != x.shape:
                raise SpecError(
                    f"the edit of {site} must return {list(x.shape)}, returned {list(new.shape)}"
                )
            x = new
        if site in capture:
            acts[site] = x
        return x

    tokens = tokens.to(params["W_E"].device).expand(runs, *tokens.shape[-2:])
    # As `decoder._picked`: the runs' tables one below another.
    offset = torch.arange(runs, device=tokens.device)[:, None, None] * params["W_E"].shape[1]
    x = torch.nn.functional.embedding(tokens + offset, params["W_E"].flatten(0, 1))
    parts = {name: params[name].unbind(1) for name in BLOCK if name in params}
    visited_sites = {*capture, *edits}
    for n in range(layers):
        p = {name: part[n] for name, part in parts.items()}
        x = visit(Site("resid_pre", n), x)
        read = _normed(x, p["gain_1"])
        visits = {
            site.kind: lambda y, site=site: visit(site, y)
            for site in visited_sites
            if site.layer == n
        }
        x = visit(Site("resid_post", n), x + mixed(p, read, visits))
    final = visit(Site("final_norm"), _normed(x, params["gain"]))
    W_U = params["W_U"] if "W_U" in params else params["W_E"].mT
    return torch.bmm(final.flatten(1, 2), W_U).unflatten(1, final.shape[1:3]), acts


def mixed(
    p: Params, x: Float[torch.Tensor, "run b s d"], visits: Visits = MappingProxyType({})
) -> Float[torch.Tensor, "run b s d"]:
    """What one block adds to the stream, given the norm of it; `p` is this block's parameters,
    [run, …] each.

    States are made one by one only where somebody visits them, or what is written to them; the scan
    is several times as fast else."""

    def visit(kind: str, x: torch.Tensor) -> torch.Tensor:
        return visits[kind](x) if kind in visits else x

    v = visit("in_proj", _affine(x, p["W_in"], p.get("b_in")))
    gate = visit("gate", _affine(x, p["W_gate"], p.get("b_gate")))
    if "W_conv" in p:
        v = visit("conv", convolved(v, p["W_conv"], p.get("b_conv")))
    u = visit("ssm_in", torch.nn.functional.silu(v))
    bias, scan = (
        p["b_delta"][:, None, None],
        u.float() if u.dtype != torch.float64 else u,
    )  # sums over many positions: no less than float32
    if "W_B" in p:
        delta = torch.nn.functional.softplus(
            _affine(_affine(u, p["W_delta_1"]), p["W_delta_2"]) + bias
        ).to(scan)
        B, C = (_affine(u, p[name]).to(scan) for name in ("W_B", "W_C"))
    else:
        # Time-invariant: Δ is what the bias says at every position.
        delta = torch.nn.functional.softplus(bias).expand_as(u).to(scan)
        B, C = (p[name][:, None, None].expand(*u.shape[:3], -1).to(scan) for name in ("B", "C"))
    delta, B, C = visit("delta", delta), visit("B", B), visit("C", C)
    A = decay(p["A_log"]).to(scan)
    # The slow way, state by state, since an edit may change any of them.
    if visits.keys() & {"write", "state"}:
        h = visit("state", states(delta, A, visit("write", written(scan, delta, B))))
        y = (h * C.unsqueeze(-2)).sum(-1)
    else:
        y = selective_scan(scan, delta, A, B, C)
    y = visit("ssm_out", torch.addcmul(y, scan, p["D"][:, None, None].to(scan)).to(u))
    return visit(
        "mixer_out",
        _affine(visit("gated", y * torch.nn.functional.silu(gate)), p["W_out"], p.get("b_out")),
    )


def decay(A_log: Float[torch.Tensor, "run c n"]) -> Float[torch.Tensor, "run c n"]:
    """A, by which each number of a state decays: −exp of what is learned."""
    # Below 0 whatever is learned, so that exp(Δ A) < 1 and a state always forgets.
    return -torch.exp(A_log.float() if A_log.dtype != torch.float64 else A_log)


def convolved(
    x: Float[torch.Tensor, "run b s c"],
    W: Float[torch.Tensor, "run c k"],
    bias: Float[torch.Tensor, "run c"] | None,
) -> Float[torch.Tensor, "run b s c"]:
    """Each channel's own sum over the last k positions, the present one last.

    Formula: out_t = bias + Σ_j W_j x_{t−k+1+j}
    """
    k, s = W.shape[-1], x.shape[2]
    # Zeros before the first position, none after the last: no position reads a later one. k
    # products in a row, as k is 4; a convolution call would need the runs folded into its channels.
    padded = torch.nn.functional.pad(x, (0, 0, k - 1, 0))
    out = padded[:, :, :s] * W[:, None, None, :, 0]
    for j in range(1, k):
        out = torch.addcmul(out, padded[:, :, j : j + s], W[:, None, None, :, j])
    return out if bias is None else out + bias[:, None, None]


def _present(kind: str, params: Params) -> bool:
    return kind != "conv" or "W_conv" in params


def _normed(
    x: Float[torch.Tensor, "run b s d"], gain: Float[torch.Tensor, "run d"]
) -> Float[torch.Tensor, "run b s d"]:
    return normed(x.flatten(1, 2), gain, None).view_as(x)


def _affine(
    x: Float[torch.Tensor, "run b s i"],
    W: Float[torch.Tensor, "run i o"],
    bias: Float[torch.Tensor, "run o"] | None = None,
) -> torch.Tensor:
    flat = x.flatten(1, 2)
    out = torch.bmm(flat, W) if bias is None else torch.baddbmm(bias[:, None], flat, W)
    return out.unflatten(1, x.shape[1:3])
