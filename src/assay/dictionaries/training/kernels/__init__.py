"""Values and gradients of the losses: `reference` by autograd, `sparse` by autograd over what is on
alone. Tests compare them."""
