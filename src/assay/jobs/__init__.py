"""Jobs: the runs that agents ask for, each a child process of `assay run` with a folder."""
