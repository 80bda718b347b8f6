"""Contracts for anyone's store, executor, subject or kernel: checks to run on your own
implementation."""
