"""The bottleneck autoencoder on sparse features: the toy model, its exact losses and states, what a
dimension is worth."""
