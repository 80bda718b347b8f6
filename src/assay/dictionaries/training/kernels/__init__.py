"""Values and gradients of the losses: `reference` by autograd, `dense` and `sparse` by hand;
`choice` says which is taken. Tests compare them."""
