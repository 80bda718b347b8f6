"""Records: contests of recorded claims."""
