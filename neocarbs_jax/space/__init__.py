"""Search spaces: axes, spaces, and their forms as dictionaries, TOML files and Optuna distributions."""

from neocarbs_jax.space.axes import Axis, Bounded, Choice, Integer, Linear, Log, Logit, Options, Ordinal, Pow2
from neocarbs_jax.space.formats import (
    from_dict,
    from_optuna,
    from_parameter,
    from_toml,
    to_dict,
    to_optuna,
    to_parameter,
    to_toml,
)  # fmt: skip
from neocarbs_jax.space.names import nest
from neocarbs_jax.space.space import SearchSpace

__all__ = [
    "Axis", "Bounded", "Choice", "Integer", "Linear", "Log", "Logit", "Options", "Ordinal", "Pow2", "SearchSpace",
    "from_dict", "from_optuna", "from_parameter", "from_toml", "nest", "to_dict", "to_optuna", "to_parameter",
    "to_toml",
]  # fmt: skip
