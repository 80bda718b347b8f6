"""Agents: what Assay can be asked, as tools of the Model Context Protocol. No answer has an
estimate without its interval and its control."""
