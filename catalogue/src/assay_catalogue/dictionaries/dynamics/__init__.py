"""What moves a latent during training: theory of a lone feature, gradients by term, groups followed
and planted."""
