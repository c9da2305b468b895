"""A model of PPO in closed form: what eleven hyperparameters make of a budget of steps, and the front that follows.

The tasks of the `rl` family in `neocarbs_jax.synthetic` are this model with noise.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array

from neocarbs_jax.pareto import Front, tabulate_front
from neocarbs_jax.space import Integer, Linear, Log, Logit, Pow2, SearchSpace

SPACE = SearchSpace(
    learning_rate=Log(1e-5, 1e-1),
    total_steps=Log(1e7, 1e10),
    gamma=Logit(0.8, 0.9999),
    gae_lambda=Logit(0.6, 0.995),
    entropy=Log(1e-5, 0.2),
    value_coef=Linear(0.1, 5.0),
    clip=Linear(0.05, 0.5),
    max_grad_norm=Linear(0.1, 5.0),
    epochs=Integer(1, 8),
    minibatch=Pow2(2**9, 2**15),
    num_envs=Pow2(2**8, 2**13),
)
"""Hyperparameters of PPO and the ranges that one would search."""

STEPS_RANGE = (1e7, 1e10)
"""Bounds of `total_steps`."""


def _throughput(epochs: Array, minibatch: Array, num_envs: Array) -> Array:
    """Environment steps per unit of cost: epochs slow it down, large minibatches and many environments speed it up."""
    return 2.5e6 / (0.35 + 0.22 * epochs) * (minibatch / 8192) ** 0.15 * jnp.minimum(1.2, (num_envs / 2048) ** 0.25)


def _efficiency(epochs: Array, error: Array) -> Array:
    """Progress per environment step: more epochs get more out of it, up to a point."""
    return jnp.exp(-error / 2) * epochs**0.45 / (1 + 0.02 * (epochs - 3) ** 2)


def _score(steps: Array, epochs: Array, error: Array, hardness: float) -> Array:
    """Learning curve exp(-.06 e) (1 - exp(-steps * efficiency / hardness)), e the squared distance from the optimum."""
    return jnp.exp(-0.06 * error) * -jnp.expm1(-steps * _efficiency(epochs, error) / hardness)


def _num_envs_error(num_envs: Array) -> Array:
    return ((jnp.log10(num_envs) - 3.2) / 1.2) ** 2


def learning_rate_gap(values: Mapping[str, Array]) -> Array:
    """Decades by which the learning rate exceeds its optimum, which moves with minibatch and epochs."""
    optimum = -3 + 0.35 * jnp.log10(values["minibatch"] / 4096) - 0.15 * (values["epochs"] - 3)
    return jnp.log10(values["learning_rate"]) - optimum


def outcome(values: Mapping[str, Array], hardness: float) -> tuple[Array, Array]:
    """Return score and cost of a training without noise; the score approaches 1 with time at the best hyperparameters.

    A learning rate that is more than 1.3 decades too high ruins the training.

    Args:
        values: one of each axis of `SPACE`.
        hardness: environment steps that the task takes: after `hardness / efficiency` of them, 63% is learnt.
    """
    gap = learning_rate_gap(values)
    error = (
        (gap / 0.7) ** 2
        + ((jnp.log10(1 - values["gamma"]) + 2.2) / 0.8) ** 2
        + ((jnp.log10(1 - values["gae_lambda"]) + 1.1) / 1.2) ** 2
        + ((jnp.log10(values["entropy"]) + 2.6) / 1.5) ** 2
        + ((values["value_coef"] - 2) / 4) ** 2
        + ((values["clip"] - 0.2) / 0.3) ** 2
        + ((values["max_grad_norm"] - 1.2) / 4) ** 2
        + _num_envs_error(values["num_envs"])
    )
    score = _score(values["total_steps"], values["epochs"], error, hardness)
    cost = values["total_steps"] / _throughput(values["epochs"], values["minibatch"], values["num_envs"])
    return jnp.where(gap > 1.3, 0.05 * score, score), cost


def front(hardness: float) -> Front:
    """Return the best score at a cost: a maximum over epochs x minibatch x num_envs, everything else at its optimum."""
    epochs, minibatch, num_envs = (
        axis.ravel()
        for axis in jnp.meshgrid(
            jnp.arange(1.0, 9.0), 2.0 ** jnp.arange(9.0, 16.0), 2.0 ** jnp.arange(8.0, 14.0), indexing="ij"
        )
    )
    throughput = _throughput(epochs, minibatch, num_envs)

    def attainment(cost: Array) -> Array:
        steps = jnp.atleast_1d(cost)[:, None] * throughput[None, :]
        score = _score(jnp.minimum(steps, STEPS_RANGE[1]), epochs[None], _num_envs_error(num_envs)[None], hardness)
        affordable = steps >= STEPS_RANGE[0] * (1 - 1e-6)  # the cheapest cost itself must not round away
        return jnp.max(jnp.where(affordable, score, 0.0), axis=1).reshape(jnp.shape(cost))

    # The front ends where the most efficient configuration has spent the largest budget.
    efficiency = _efficiency(epochs, _num_envs_error(num_envs))
    most_efficient = throughput[efficiency >= efficiency.max()].max()
    return tabulate_front(attainment, STEPS_RANGE[0] / throughput.max(), STEPS_RANGE[1] / most_efficient)
