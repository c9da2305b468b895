"""Evaluation: the policy acts as in training, for the first episode of each of a number of environments."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from p3o_jax.learner import State
from p3o_jax.rollout import Episodes, Position, add_episodes, make_actor, no_episodes, policy_outputs, start, step
from p3o_jax.settings import Config


@struct.dataclass
class Evaluation:
    """Means and standard deviations over the episodes that ended.

    Attributes:
        score_mean: Mean of the environment's own measure, or of the return where it has none.
        score_std: Its standard deviation.
        return_mean: Mean of the sum of rewards, unscaled.
        return_std: Its standard deviation.
        length_mean: Mean number of steps.
        num_episodes: How many episodes ended within the limit.
        scores: Of each episode, NaN where it did not end.
    """

    score_mean: Float[Array, ""]
    score_std: Float[Array, ""]
    return_mean: Float[Array, ""]
    return_std: Float[Array, ""]
    length_mean: Float[Array, ""]
    num_episodes: Float[Array, ""]
    scores: Float[Array, " n"]


class _Run(NamedTuple):
    """What the loop over steps carries."""

    position: Position
    episodes: Episodes
    num_steps: Array
    key: PRNGKeyArray


def evaluate(
    config: Config,
    env: Any,
    state: State,
    key: PRNGKeyArray,
    num_episodes: int,
    *,
    deterministic: bool = False,
    max_steps: int | Array = 20_000,
    env_params: Any = None,
) -> Evaluation:
    """Return statistics of the first episode of each of `num_episodes` environments under the policy of `state`.

    Only first episodes count: taking whichever episodes end within some number of steps favours the short ones.

    Args:
        config: Settings of the training.
        env: Environment of the gymnax contract; with several agents each agent's first episode counts.
        state: State of the training, at any time.
        key: Consumed.
        num_episodes: Environments stepped side by side.
        deterministic: Whether to take the mode of the policy instead of sampling from it.
        max_steps: Episodes longer than this do not count.
        env_params: Parameters of the environment; None is its default.

    Raises:
        ValueError: `num_episodes` is below 1, or the spaces are none that the learner knows.
    """
    if num_episodes < 1:
        raise ValueError(f"`num_episodes` must be at least 1; got {num_episodes}.")
    env_params = env.default_params if env_params is None else env_params
    actor = make_actor(config, env, env_params, num_episodes)
    start_key, key = jax.random.split(key)

    def goes_on(run: _Run) -> Bool[Array, ""]:
        return (run.num_steps < max_steps) & ~jnp.all(run.episodes.num_episodes > 0)

    def act(run: _Run) -> _Run:
        key, action_key, step_key = jax.random.split(run.key, 3)
        outputs, memory = policy_outputs(actor, state.trainable, state.obs_moments, run.position)
        mode, sample = actor.distribution.mode, actor.distribution.sample
        action = mode(outputs) if deterministic else sample(action_key, outputs)
        position, (_, _, _, info) = step(actor, step_key, run.position, memory, action, env_params)
        pending = run.episodes.num_episodes == 0
        episodes = add_episodes(run.episodes, {**info, "done": info["done"].astype(bool) & pending})
        return _Run(position, episodes, run.num_steps + 1, key)

    begin = _Run(start(actor, start_key, env_params), no_episodes(actor.batch_size), jnp.zeros((), jnp.int32), key)
    return _summarize(lax.while_loop(goes_on, act, begin).episodes)


def _summarize(episodes: Episodes) -> Evaluation:
    """Return the statistics of the episodes that ended."""
    ended = episodes.num_episodes > 0
    count = jnp.sum(episodes.num_episodes)

    def mean(x: Array) -> Array:
        return jnp.where(count > 0, jnp.sum(jnp.where(ended, x, 0.0)) / jnp.maximum(count, 1.0), jnp.nan)

    def std(x: Array) -> Array:
        return jnp.sqrt(mean((x - mean(x)) ** 2))

    return Evaluation(
        score_mean=mean(episodes.score),
        score_std=std(episodes.score),
        return_mean=mean(episodes.episode_return),
        return_std=std(episodes.episode_return),
        length_mean=mean(episodes.episode_length),
        num_episodes=count,
        scores=jnp.where(ended, episodes.score, jnp.nan),
    )
