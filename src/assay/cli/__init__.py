"""The `assay` command: verbs, what they print, and the experiment that `assay new` writes."""
