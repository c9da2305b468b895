"""Squared errors of predicted rewards, weighted by lag, whose gradient is computed together with them in one pass.

Each prediction is read once, and one step's reward windows are held at a time.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from p3o_jax.ops.common import weighted_sum
from p3o_jax.ops.triton import value_pass
from p3o_jax.segment import Segment, pad_rewards, reward_windows, step_window


class Total(NamedTuple):
    """What makes the weighted sum over all lags, s = sum_j weights_j mean_j, follow the returns.

    Its term is sum_{t,b} aggregate (s - returns)^2 / 2.
    """

    weights: Float[Array, " H"]
    aggregate: Float[Array, ""]
    returns: Float[Array, "T B"]


def squared_error(implementation: str, mean: Array, segment: Segment, precision: Array, total: Total | None) -> Array:
    """Return sum_{t,b,j} precision_j e_t[j]^2 / 2, plus the term of a `Total` if one is given.

    e = mean - reward at known lags, and 0 at others. `mean` and `precision` have a gradient.
    """
    if implementation == "reference":
        return _reference(mean, segment, precision, total)
    return _one_pass(implementation, mean, segment, precision, total)


def _reference(mean: Array, segment: Segment, precision: Array, total: Total | None) -> Array:
    """Return the loss as its definition has it, windows in full."""
    mean = mean.astype(jnp.float32)
    window, known = reward_windows(segment, mean.shape[2])
    error = jnp.where(known, mean - window, 0.0)
    loss = 0.5 * jnp.sum(precision[None, None, :] * error**2)
    if total is None:
        return loss
    excess = jnp.sum(total.weights[None, None, :] * mean, axis=2) - total.returns
    return loss + 0.5 * total.aggregate * jnp.sum(excess**2)


class Pass(NamedTuple):
    """What one pass over the predictions gives: sums of squares, and the loss's gradient if asked for.

    Attributes:
        squares: Sum of squared errors at each lag.
        excess: Sum over steps of (s - returns)^2, 0 without such a term.
        gradient: Gradient with respect to the predictions, in their dtype, or None.
    """

    squares: Float[Array, " H"]
    excess: Float[Array, ""]
    gradient: Float[Array, "T B H"] | None


def _pass_by_step(
    mean: Array, segment: Segment, precision: Array, total: Total | None, with_gradient: bool
) -> tuple[Array, Array, Array | None]:
    """Return the numbers of a `Pass` by a scan over steps."""
    num_steps, _, horizon = mean.shape
    padded = pad_rewards(segment, horizon)

    def step(sums: tuple[Array, Array], t: Array) -> tuple[tuple[Array, Array], Array | None]:
        window, known = step_window(padded, segment, t, horizon)
        mean_t = mean[t].astype(jnp.float32)
        error = jnp.where(known, mean_t - window, 0.0)
        gradient, squares, excesses = precision[None, :] * error, jnp.sum(error**2, axis=0), jnp.zeros((), jnp.float32)
        if total is not None:
            excess = weighted_sum(mean_t, total.weights) - total.returns[t]
            excesses = jnp.sum(excess**2)
            gradient += total.weights[None, :] * (total.aggregate * excess)[:, None]
        sums = sums[0] + squares, sums[1] + excesses
        return sums, gradient.astype(mean.dtype) if with_gradient else None

    sums = jnp.zeros(horizon, jnp.float32), jnp.zeros((), jnp.float32)
    (squares, excess), gradient = lax.scan(step, sums, jnp.arange(num_steps, dtype=jnp.int32))
    return squares, excess, gradient


def _run_pass(
    implementation: str, mean: Array, segment: Segment, precision: Array, total: Total | None, with_gradient: bool
) -> tuple[Array, Pass]:
    """Return the loss and the pass it came from."""
    run = {
        "xla": _pass_by_step,
        "pallas": partial(value_pass, interpret=False),
        "interpret": partial(value_pass, interpret=True),
    }[implementation]
    done = Pass(*run(mean, segment, precision, total, with_gradient=with_gradient))
    loss = 0.5 * jnp.dot(precision, done.squares, precision=lax.Precision.HIGHEST)
    if total is not None:
        loss += 0.5 * total.aggregate * done.excess
    return loss, done


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _one_pass(implementation: str, mean: Array, segment: Segment, precision: Array, total: Total | None) -> Array:
    """Return the loss from one pass."""
    return _run_pass(implementation, mean, segment, precision, total, with_gradient=False)[0]


def _forward(implementation: str, mean: Array, segment: Segment, precision: Array, total: Total | None):
    """Return the loss and its gradients, ready."""
    loss, done = _run_pass(implementation, mean, segment, precision, total, with_gradient=True)
    return loss, (done.gradient, 0.5 * done.squares)


def _backward(implementation: str, gradients: tuple[Array, Array], cotangent: Array):
    """Return the gradients times the cotangent; the compiler drops the product when that is a literal 1."""
    mean_gradient, precision_gradient = gradients
    return cotangent.astype(mean_gradient.dtype) * mean_gradient, None, cotangent * precision_gradient, None


_one_pass.defvjp(_forward, _backward)
