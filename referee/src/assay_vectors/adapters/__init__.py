"""Adapters, one for each library, and `protocol`, which they share.

An adapter is a script that runs in the environment of its library, so it imports
nothing of this package by its full name. Those of Assay have five parts."""
