"""The kinds of axes of a search space: one hyperparameter each, with its values and its prior."""

from neocarbs_jax.space.bounded import Bounded
from neocarbs_jax.space.options import Choice, Options, Ordinal
from neocarbs_jax.space.real import Linear, Log, Logit
from neocarbs_jax.space.whole import Integer, Pow2

__all__ = ["Axis", "Bounded", "Choice", "Integer", "Linear", "Log", "Logit", "Options", "Ordinal", "Pow2"]

Axis = Linear | Log | Logit | Integer | Pow2 | Choice | Ordinal
