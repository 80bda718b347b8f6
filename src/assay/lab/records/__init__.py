"""Records: reading the committed files of results and of contests."""
