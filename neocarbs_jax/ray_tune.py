"""The Ray Tune search algorithm under its short name; it lives in `neocarbs_jax.adapters`."""

from neocarbs_jax.adapters.ray_tune import NeoCARBSSearch

__all__ = ["NeoCARBSSearch"]
