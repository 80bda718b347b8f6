"""A question in TOML or Python: tables, reads, changes, probes, arms."""
