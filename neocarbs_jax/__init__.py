"""NeoCARBS: a cost-aware tuner that finds the Pareto front of score against cost."""

from neocarbs_jax import insight, pareto, strategies, sweep, synthetic
from neocarbs_jax.gp import KernelBuilder, Normal
from neocarbs_jax.space import Choice, Integer, Linear, Log, Logit, Ordinal, Pow2, SearchSpace
from neocarbs_jax.strategies import CARBS, NeoCARBS, ParetoGenetic, Protein, Random
from neocarbs_jax.study import Study, Trial

__all__ = [
    "CARBS", "Choice", "Integer", "KernelBuilder", "Linear", "Log", "Logit", "NeoCARBS", "Normal", "Ordinal",
    "ParetoGenetic", "Pow2", "Protein", "Random", "SearchSpace", "Study", "Trial", "insight", "pareto", "strategies",
    "sweep", "synthetic",
]  # fmt: skip
