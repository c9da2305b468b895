"""How the next point is chosen: each strategy is a frozen dataclass that owns its numbers, with a pure `propose`."""

from neocarbs_jax.strategies.base import Situation, Strategy
from neocarbs_jax.strategies.carbs import CARBS
from neocarbs_jax.strategies.neocarbs import NeoCARBS
from neocarbs_jax.strategies.pareto_genetic import ParetoGenetic
from neocarbs_jax.strategies.protein import Protein
from neocarbs_jax.strategies.random import Random

__all__ = ["CARBS", "STRATEGIES", "NeoCARBS", "ParetoGenetic", "Protein", "Random", "Situation", "Strategy"]

STRATEGIES: dict[str, type[Strategy]] = {kind.name: kind for kind in (NeoCARBS, Protein, CARBS, ParetoGenetic, Random)}
"""Name -> class, whose constructor without arguments makes the default."""
