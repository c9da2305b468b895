"""Operations on plain arrays, for the learner and for loops of other people."""

from p3o_jax.ops.advantages import Advantage, gae, original_advantage, p3o_advantage
from p3o_jax.ops.bands import BandAdvantage, band_advantage, band_means, band_value_loss, band_widths
from p3o_jax.ops.sharding import sharded_advantage
from p3o_jax.ops.spread import Spread, init_spread, lag_taus, lag_weights, update_spread
from p3o_jax.ops.value_loss import gaussian_nll, p3o_value_loss

__all__ = [
    "Advantage",
    "BandAdvantage",
    "Spread",
    "band_advantage",
    "band_means",
    "band_value_loss",
    "band_widths",
    "gae",
    "gaussian_nll",
    "init_spread",
    "lag_taus",
    "lag_weights",
    "original_advantage",
    "p3o_advantage",
    "p3o_value_loss",
    "sharded_advantage",
    "update_spread",
]
