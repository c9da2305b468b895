"""The advantage estimators under the name by which other loops import them; they live in `p3o_jax.ops.advantages`."""

from p3o_jax.ops.advantages import Advantage, gae, original_advantage, p3o_advantage

__all__ = ["Advantage", "gae", "original_advantage", "p3o_advantage"]
