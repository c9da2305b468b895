"""P3O: policy gradients with a multi-horizon Gaussian value head."""
