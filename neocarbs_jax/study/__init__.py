"""Durable sweeps: the host boundary between an objective and the pure core."""

from neocarbs_jax.study.ledger import Trial
from neocarbs_jax.study.study import Study

__all__ = ["Study", "Trial"]
