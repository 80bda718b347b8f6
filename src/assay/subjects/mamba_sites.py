"""The sites that only a Mamba has: what its mixer reads, makes and writes, in the order of a forward pass."""

KINDS = {
    "in_proj": ("hook_in_proj", "b s c"),
    "gate": ("hook_skip", "b s c"),
    "conv": ("hook_conv", "b s c"),
    "ssm_in": ("hook_ssm_input", "b s c"),
    "delta": ("hook_delta", "b s c"),
    "B": ("hook_B", "b s n"),
    "C": ("hook_C", "b s n"),
    "write": ("hook_write", "b s c n"),
    "state": ("hook_state", "b s c n"),
    "ssm_out": ("hook_ssm_output", "b s c"),
    "gated": ("hook_after_skip", "b s c"),
    "mixer_out": ("hook_out_proj", "b s d"),
}
"""Names are those of MambaLens. `write` is what a position adds to the state, and an edit of it is carried on to later positions;
`state` is what the position itself reads, and an edit of it stays there: hence they have names of their own."""
WITHIN = ("resid_pre", *KINDS, "resid_post")
"""Every kind of site within a block."""
