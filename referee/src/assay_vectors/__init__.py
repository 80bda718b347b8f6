"""Conformance: test vectors that any dictionary-learning library can be held to, and the runner
that does so.

A vector is data: what is asked, of what, what must come out, and why (`vectors`). An adapter maps
operations to one library's own functions (`adapters`); a peer's runs in the peer's environment, by
subprocess (`runner`). `outcomes` tells right from wrong."""
