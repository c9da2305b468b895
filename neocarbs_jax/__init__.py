"""NeoCARBS: a cost-aware tuner that finds the Pareto front of score against cost."""

from neocarbs_jax import sweep, synthetic
from neocarbs_jax.space import Choice, Integer, Linear, Log, Logit, Pow2, SearchSpace
from neocarbs_jax.study import Study

__all__ = ["Choice", "Integer", "Linear", "Log", "Logit", "Pow2", "SearchSpace", "Study", "sweep", "synthetic"]
