"""Records: the committed files of results and of contests, as they are read."""
