"""Evaluation: the policy acts as in training, for the first episode of each of a number of environments."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from p3o_jax.learner import State
from p3o_jax.rollout import Episodes, Position, make_actor, no_episodes, policy_outputs, start, step
from p3o_jax.settings import Config


@struct.dataclass
class Evaluation:
    """Means and standard deviations over the first episode of every environment, or of every agent.

    An episode that still ran at the limit counts with what it had reached by then. `finished` tells which ones ended.

    Attributes:
        score_mean: Mean of the environment's own measure, or of the return where it has none.
        score_std: Its standard deviation.
        return_mean: Mean of the sum of rewards, unscaled.
        return_std: Its standard deviation.
        length_mean: Mean number of steps.
        num_episodes: How many episodes ended within the limit; 0 if none did.
        scores: Of each episode, so far where it did not end.
        finished: Whether each episode ended within the limit.
    """

    score_mean: Float[Array, ""]
    score_std: Float[Array, ""]
    return_mean: Float[Array, ""]
    return_std: Float[Array, ""]
    length_mean: Float[Array, ""]
    num_episodes: Float[Array, ""]
    scores: Float[Array, " n"]
    finished: Bool[Array, " n"]


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

    Every first episode counts, and no other: taking whichever episodes end within some number of steps favours the
    short ones. What an episode has reached after `max_steps` is what it counts with; the result says how many ended.

    Args:
        config: Settings of the training.
        env: Environment of the gymnax contract; with several agents each agent's first episode counts.
        state: State of the training, at any time.
        key: Consumed.
        num_episodes: Environments stepped side by side.
        deterministic: Whether to take the mode of the policy instead of sampling from it.
        max_steps: Steps after which the evaluation stops, at least 1.
        env_params: Parameters of the environment; None is its default.

    Raises:
        ValueError: `num_episodes` or `max_steps` is below 1, or the spaces are none that the learner knows.
    """
    if num_episodes < 1:
        raise ValueError(f"`num_episodes` must be at least 1; got {num_episodes}.")
    if not isinstance(max_steps, Tracer) and max_steps < 1:
        raise ValueError(f"`max_steps` must be at least 1; got {max_steps}.")
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
        return _Run(position, _follow(run.episodes, info), run.num_steps + 1, key)

    begin = _Run(start(actor, start_key, env_params), no_episodes(actor.batch_size), jnp.zeros((), jnp.int32), key)
    return _summarize(lax.while_loop(goes_on, act, begin).episodes)


def _follow(episodes: Episodes, info: dict[str, Array]) -> Episodes:
    """Return the first episodes after another step; one that has ended stays as it is."""
    running = episodes.num_episodes == 0
    now = (info["done"], info["episode_return"], info["episode_length"], info["score"])
    return Episodes(*(jnp.where(running, new.astype(jnp.float32), old) for old, new in zip(episodes, now, strict=True)))


def _summarize(episodes: Episodes) -> Evaluation:
    """Return the statistics of the first episodes."""
    return Evaluation(
        score_mean=jnp.mean(episodes.score),
        score_std=jnp.std(episodes.score),
        return_mean=jnp.mean(episodes.episode_return),
        return_std=jnp.std(episodes.episode_return),
        length_mean=jnp.mean(episodes.episode_length),
        num_episodes=jnp.sum(episodes.num_episodes),
        scores=episodes.score,
        finished=episodes.num_episodes > 0,
    )
