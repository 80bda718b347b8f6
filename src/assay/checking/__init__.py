"""Checking: a claim about somebody's own hook or probe, in any library, judged next to near
controls."""
