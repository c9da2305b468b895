"""P3O: policy gradients with a multi-horizon Gaussian value head."""

from p3o_jax.settings import Config, Params
from p3o_jax.train import make_train

__all__ = ["Config", "Params", "make_train"]
