"""Gaussian processes on the unit cube, made of tinygp's objects: a kernel, a solver, a process, and their fit."""

from neocarbs_jax.gp.fit import Hyperparameters, fit, prior_mode
from neocarbs_jax.gp.kernel import MATERN_LINEAR, KernelBuilder, MaternLinear, Normal
from neocarbs_jax.gp.posterior import Posterior, condition
from neocarbs_jax.gp.process import Surrogate
from neocarbs_jax.gp.solver import MaskedCholesky

__all__ = [
    "MATERN_LINEAR", "Hyperparameters", "KernelBuilder", "MaskedCholesky", "MaternLinear", "Normal", "Posterior",
    "Surrogate", "condition", "fit", "prior_mode",
]  # fmt: skip
