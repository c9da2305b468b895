"""Durable sweeps: the host boundary between an objective and the pure core."""

from neocarbs_jax.study.study import Study
from neocarbs_jax.study.trials import Trial

__all__ = ["Study", "Trial"]
