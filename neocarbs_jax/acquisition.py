"""Acquisition values from posterior means and standard deviations only, in log form.

References:
    Ament et al. (2023), Unexpected improvements to expected improvement: the stable log EI.
    Emmerich et al. (2011): hypervolume improvement as a sum over strips of the front.
"""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr, ndtr
from jaxtyping import Array, Float

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


@jax.custom_jvp
def log_h(z: Float[Array, "*m"]) -> Float[Array, "*m"]:
    """log(phi(z) + z Phi(z)): the expected improvement of a standard normal over -z, without underflow.

    Below z = -1 it is log phi(z) + log(1 + z Phi(z) / phi(z)), whose last term tends to -2 log|z|.
    """
    high = jnp.maximum(z, -1.0)
    direct = jnp.log(jnp.exp(-0.5 * high * high - _LOG_SQRT_2PI) + high * ndtr(high))
    low = jnp.clip(z, -30.0 if z.dtype == jnp.float32 else -1e3, -1.0)
    log_phi = -0.5 * low * low - _LOG_SQRT_2PI
    ratio = jnp.exp(log_ndtr(low) - log_phi) * -low
    tail = -2 * jnp.log(-low) + jnp.log1p(-3 / (low * low) + 15 / low**4)
    # 1 - ratio cancels from about -5 (float32) on: there the asymptotic series is the more exact.
    switch = -5.0 if z.dtype == jnp.float32 else -60.0
    log_rest = jnp.where(low < switch, tail, jnp.log1p(-jnp.minimum(ratio, 1 - jnp.finfo(z.dtype).eps)))
    log_phi_z = -0.5 * jnp.minimum(z, -1.0) ** 2 - _LOG_SQRT_2PI
    return jnp.where(z > -1, direct, log_phi_z + log_rest)


@log_h.defjvp
def _log_h_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """The derivative, Phi(z) / h(z), by logarithms: it stays finite where both underflow."""
    [z], [dz] = primals, tangents
    value = log_h(z)
    return value, jnp.exp(log_ndtr(z) - value) * dz


@jax.jit
def log_expected_improvement(
    mean: Float[Array, "*m"], std: Float[Array, "*m"], best: Float[Array, "*m"]
) -> Float[Array, "*m"]:
    """log E[max(s - best, 0)] for s ~ N(mean, std^2)."""
    return jnp.log(std) + log_h((mean - best) / std)


def log_expected_hypervolume_improvement(
    mean: Float[Array, " m"],
    std: Float[Array, " m"],
    log_cost: Float[Array, " m"],
    edges: Float[Array, " k+1"],
    front: Float[Array, " k"],
) -> Float[Array, " m"]:
    """log EHVI of points of known log cost c over a staircase front.

    EHVI = sum_k (edges_{k+1} - max(edges_k, c))_+ E[max(s - front_k, 0)]: the strips to the right of c.

    Args:
        mean: posterior mean score of each candidate.
        std: its standard deviation.
        log_cost: predicted log cost of each candidate.
        edges: ascending log costs between which the front is constant; the last one ends what counts.
        front: score of the front in each strip.
    """
    start = jnp.maximum(edges[None, :-1], log_cost[:, None])
    width = jnp.maximum(edges[None, 1:] - start, 0)
    log_ei = log_expected_improvement(mean[:, None], std[:, None], front[None, :])
    return jax.scipy.special.logsumexp(log_ei, axis=1, b=width)


def target_weight(
    log_cost: Float[Array, " m"], target: Float[Array, ""], scale: Float[Array, ""]
) -> Float[Array, " m"]:
    """-(log_cost - target)^2 / (2 scale^2): draws the choice to the target cost."""
    return -0.5 * ((log_cost - target) / scale) ** 2
