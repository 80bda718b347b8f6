"""One dictionary too large for one device: latents sharded over ranks, rows over replicas, by
explicit collectives of torch.distributed."""
