"""Values and gradients of the losses: `reference` by autograd, `cpu` written by hand; tests compare
them."""
