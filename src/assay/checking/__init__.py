"""Checking: a claim about a user's own hook or probe, in any library, judged next to near
controls."""
