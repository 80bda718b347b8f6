"""Plan: which runs a preset asks for, which of them are missing and why, and what a run costs."""
