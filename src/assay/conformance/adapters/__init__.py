"""Adapters: one file per library, each a table from operation to that library's own functions;
`protocol` is what they share.

All but `for_assay` run as scripts in the environment of their library and import nothing of Assay.
"""
