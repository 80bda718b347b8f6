"""Baselines for sparse dictionaries: principal components, repairs in closed form."""
