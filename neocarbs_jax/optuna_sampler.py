"""The Optuna sampler under its short name; it lives in `neocarbs_jax.adapters`."""

from neocarbs_jax.adapters.optuna_sampler import NeoCARBSSampler

__all__ = ["NeoCARBSSampler"]
