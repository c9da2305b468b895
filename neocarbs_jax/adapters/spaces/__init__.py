"""Search spaces of other tuners as ours: W&B sweeps, Optuna's distributions and studies, ConfigSpace.

found = from_wandb("sweep.yaml")                 # or from_optuna(study), from_configspace(space)
study = Study.create(found.space, "sweep.db", direction=found.direction)
print(*found.notes, sep="\\n")                    # what has no counterpart, a sentence each
"""

from neocarbs_jax.adapters.spaces.config_space import from_configspace
from neocarbs_jax.adapters.spaces.imported import ImportedSpace
from neocarbs_jax.adapters.spaces.optuna_space import add_trials, from_optuna
from neocarbs_jax.adapters.spaces.wandb_sweep import from_wandb

__all__ = ["ImportedSpace", "add_trials", "from_configspace", "from_optuna", "from_wandb"]
