"""Committed results: made, compared, reproduced, and several experiments as one series."""
