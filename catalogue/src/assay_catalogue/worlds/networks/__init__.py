"""Small networks with a run axis that any world may train, and classification tasks whose best
accuracy is known."""
