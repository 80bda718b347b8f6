"""Verbs that the catalogue adds to the command line, a file each."""
