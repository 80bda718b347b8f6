"""Gym: worlds whose truth is planted, agents that look for it with and without Assay's judge, and a
score that asks no judge model."""
