"""Texts and planted data that only experiments need."""
