"""The letters of every einsum and shape in Assay, in one legend; imports nothing.

    r  run       one spec's execution; always the first axis of what is trained
    b  batch     rows of a batch: tokens, or samples of a toy
    s  sequence  positions in a window
    d  width of the activations (d_in, d_out where they differ)
    f  feature   an entry of a dictionary (d_sae of them)
    l  layer     v  vocabulary     h  head     e  width of one head     m  neurons of an MLP
    c  channels of a Mamba's mixer     n  numbers in a channel's state

Signatures name the same axes in jaxtyping's shape strings: "run b d" is [run, b, d].
"""

RUN = "run"
