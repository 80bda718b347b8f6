"""Pages over indexes and models: a small read-only web server, and the same pages as one file."""
