"""Challenges: circuits that are planted from a seed, disguised, and given out without a word of the
answer; answers are scored blind."""
