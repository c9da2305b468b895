"""The ops that `advantages` times: ours, their naive and one-pass forms in plain jnp, and the bytes each must move."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from p3o_jax.ops.advantages import gae, p3o_advantage
from p3o_jax.ops.spread import init_spread, update_spread
from p3o_jax.ops.value_loss import p3o_factors, p3o_value_loss
from p3o_jax.segment import extent, make_segment, reward_windows


class Batch(NamedTuple):
    """The arguments of every op; `mean` is the value head's output as it comes."""

    mean: Float[Array, "T B H"]
    weights: Float[Array, " H"]
    std: Float[Array, " H"]
    returns: Float[Array, "T B"]
    rewards: Float[Array, "T B"]
    terminated: Bool[Array, "T B"]
    truncated: Bool[Array, "T B"]
    last_mean: Float[Array, "B H"]


class Op(NamedTuple):
    """One variant of one op.

    Attributes:
        name: What is computed.
        variant: How.
        function: Of a `Batch`.
        passes: How often the predictions cross the memory bus at least, all of them.
        known_passes: And how often only their known lags, in whole sectors.
    """

    name: str
    variant: str
    function: Callable[[Batch], object]
    passes: int
    known_passes: int


def make_batch(key: Array, shape: tuple[int, int, int], dtype: jnp.dtype, end_every: int) -> Batch:
    """Return random data; episodes end every `end_every` steps on average, half of them cut, or never for 0."""
    keys = jax.random.split(key, 6)
    num_steps, num_envs, horizon = shape
    by_step = num_steps, num_envs
    end_rate = 1.0 / end_every if end_every else 0.0
    done = jax.random.uniform(keys[0], by_step) < end_rate
    cut = jax.random.bernoulli(keys[1], 0.5, by_step)
    return Batch(
        mean=jax.random.normal(keys[2], (*by_step, horizon), dtype),
        weights=jnp.linspace(1.0, 0.3, horizon),
        std=jnp.linspace(0.5, 1.5, horizon),
        returns=jax.random.normal(keys[3], by_step),
        rewards=jax.random.normal(keys[4], by_step),
        terminated=done & ~cut,
        truncated=done & cut,
        last_mean=jax.random.normal(keys[5], (num_envs, horizon), dtype),
    )


def known_share(batch: Batch) -> float:
    """Return rho, the share of the predictions' 32-byte sectors that hold a known lag."""
    horizon, width = batch.mean.shape[2], 32 // batch.mean.dtype.itemsize
    num_known = extent(batch.terminated, batch.truncated, horizon).num_known
    sectors = jnp.minimum(-(-num_known // width) * width, horizon)
    return float(jnp.mean(sectors.astype(jnp.float32)) / horizon)


def moved_bytes(op: Op, batch: Batch) -> float:
    """Return the bytes that an op must move at least."""
    return batch.mean.nbytes * (op.passes + op.known_passes * known_share(batch))


def make_ops(implementations: list[str]) -> list[Op]:
    """Return every op in every variant; `implementations` are ours ("reference" is the naive jnp)."""
    names = {"reference": "jnp, naive"}
    ops = [
        Op("advantage", "GAE, for scale", _gae, 0, 0),
        Op("advantage", "jnp, one pass, no bootstrap", _monte_carlo, 0, 1),
    ]
    ops += [Op("advantage", names.get(i, i), partial(_advantage, implementation=i), 1, 0) for i in implementations]
    ops += [Op("loss and gradient", "jnp, one pass", _one_pass_gradient, 2, 0)]
    ops += [
        Op("loss and gradient", names.get(i, i), partial(_gradient, implementation=i), 2, 0) for i in implementations
    ]
    spreads = [i for i in implementations if i != "pallas"]  # which has no kernel for it: the naive form is one pass
    return ops + [Op("spread", names.get(i, i), partial(_spread, implementation=i), 0, 1) for i in spreads]


def _gae(batch: Batch) -> object:
    values, last = batch.mean[:, :, 0], batch.last_mean[:, 0]
    return gae(values, batch.rewards, batch.terminated, batch.truncated, last, 0.99, 0.95)


def _monte_carlo(batch: Batch) -> object:
    """The least an advantage over lags can cost in plain jnp: one fused sum, unknown lags left out."""
    horizon = batch.mean.shape[2]
    segment = make_segment(batch.mean, batch.rewards, batch.terminated, batch.truncated)
    window, known = reward_windows(segment, horizon)
    error = jnp.where(known, window - batch.mean.astype(jnp.float32), 0.0)
    return jnp.sum(batch.weights[None, None, :] * error, axis=2) / jnp.max(batch.weights)


def _advantage(batch: Batch, implementation: str) -> object:
    outcome = batch.rewards, batch.terminated, batch.truncated
    return p3o_advantage(batch.mean, batch.weights, *outcome, batch.last_mean, implementation=implementation)


def _spread(batch: Batch, implementation: str) -> object:
    outcome = batch.rewards, batch.terminated, batch.truncated
    return update_spread(init_spread(batch.mean.shape[2]), batch.mean, *outcome, implementation=implementation)


def _gradient(batch: Batch, implementation: str) -> object:
    rest = batch.weights, batch.std, batch.returns, batch.rewards, batch.terminated, batch.truncated
    return jax.value_and_grad(partial(p3o_value_loss, implementation=implementation))(batch.mean, *rest)


def _one_pass_gradient(batch: Batch) -> object:
    """The loss and its gradient in closed form: nothing is saved for a backward pass."""
    horizon = batch.mean.shape[2]
    segment = make_segment(batch.mean, batch.rewards, batch.terminated, batch.truncated)
    by_lag, (weights, aggregate, returns) = p3o_factors(batch.weights, batch.std, batch.returns, segment, 3.0, 1.0)
    window, known = reward_windows(segment, horizon)
    error = jnp.where(known, batch.mean.astype(jnp.float32) - window, 0.0)
    excess = jnp.sum(weights[None, None, :] * batch.mean.astype(jnp.float32), axis=2) - returns
    precision = by_lag[None, None, :]
    loss = 0.5 * jnp.sum(precision * error**2) + 0.5 * aggregate * jnp.sum(excess**2)
    from_sum = weights[None, None, :] * (aggregate * excess)[:, :, None]
    return loss, (precision * error + from_sum).astype(batch.mean.dtype)
