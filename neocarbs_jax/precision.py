"""How exactly the surrogates compute: in double precision where it is free, and never in less than single.

GPUs round the factors of a matrix product to 10 bits by default (TF32). Surrogates lose their digits to that.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def double_precision() -> Any:
    """Return a context of double precision where that is free: on CPUs."""
    return jax.enable_x64(jax.default_backend() == "cpu")


def matmul(a: Float[Array, "*n k"], b: Float[Array, "k *m"]) -> Float[Array, "..."]:
    """Return the matrix product, its factors as exact as they are given, and so its derivatives."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
