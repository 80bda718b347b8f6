"""Assay's own adapter, in four parts, and `protocol`, which every adapter shares.

Those of peers lie in conformance/adapters of a checkout: scripts that run in the environment of
their library and import nothing of Assay."""
