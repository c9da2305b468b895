"""The running spread under the name by which other loops import it; it lives in `p3o_jax.ops.spread`."""

from p3o_jax.ops.spread import Spread, init_spread, lag_taus, lag_weights, update_spread

__all__ = ["Spread", "init_spread", "lag_taus", "lag_weights", "update_spread"]
