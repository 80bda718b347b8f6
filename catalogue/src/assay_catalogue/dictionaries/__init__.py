"""Dictionaries: measures and training dynamics that only experiments need."""
