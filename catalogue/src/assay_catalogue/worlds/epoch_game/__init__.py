"""The epoch game: work, invest or shut down; agents that learn it, and its best course."""
