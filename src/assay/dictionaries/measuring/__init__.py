"""Measuring: how good, how rare, how redundant, what splicing does; always sums that can be
resampled."""
