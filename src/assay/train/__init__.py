"""Many seeds as one batched ensemble: specs, streams, `fit`, checkpoints."""
