"""Evaluation: the policy acts as in training, for the first episode of each of a number of environments.

Episodes are counted by the functions that training counts them by, so that the same policy on the same tasks has the
same rates in both, where the same episodes are asked for.
"""

from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from p3o_jax.checks import check_at_least, check_choice
from p3o_jax.learner import State
from p3o_jax.rollout import (
    Episodes,
    Position,
    add_episodes,
    episodes_so_far,
    make_actor,
    measures_of,
    no_episodes,
    policy_outputs,
    start,
    step,
)
from p3o_jax.settings import Config

Which = Literal["first", "all"]

MAX_STEPS = 20_000
"""Steps after which an evaluation stops by default."""


@struct.dataclass
class Evaluation:
    """Means and standard deviations over episodes.

    Of first episodes, one that still ran at the limit counts with what it had reached by then; `finished` tells which
    ones ended. Agents that an environment says the policy does not control are in no mean. Of all episodes, those that
    ended count; `scores` are then the mean of each agent's, and the standard deviations those between agents.

    Attributes:
        score_mean: Mean of the environment's own measure, or of the return where it has none.
        score_std: Its standard deviation.
        return_mean: Mean of the sum of rewards, unscaled.
        return_std: Its standard deviation.
        length_mean: Mean number of steps.
        num_episodes: How many episodes ended within the limit; 0 if none did.
        scores: Of each episode, so far where it did not end.
        finished: Whether each episode ended within the limit.
        counted: Whether each agent is in the means.
        measures: Means of the environment's own `metrics` by name, as rates of goals and collisions apart.
    """

    score_mean: Float[Array, ""]
    score_std: Float[Array, ""]
    return_mean: Float[Array, ""]
    return_std: Float[Array, ""]
    length_mean: Float[Array, ""]
    num_episodes: Float[Array, ""]
    scores: Float[Array, " n"]
    finished: Bool[Array, " n"]
    counted: Bool[Array, " n"]
    measures: dict[str, Float[Array, ""]]


class _Run(NamedTuple):
    """What the loop over steps carries."""

    position: Position
    episodes: Episodes
    controlled: Bool[Array, " b"]
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
    max_steps: int | Array = MAX_STEPS,
    env_params: Any = None,
    which: Which = "first",
) -> Evaluation:
    """Return statistics of the first episode of each of `num_episodes` environments under the policy of `state`.

    Every first episode counts, and no other: taking whichever episodes end within some number of steps favours the
    short ones. What an episode has reached after `max_steps` is what it counts with; the result says how many ended.
    With `which="all"` whichever episodes end count, as in the log of a training, for comparison with it.

    Args:
        config: Settings of the training.
        env: Environment of the gymnax contract; with several agents each agent's first episode counts.
        state: State of the training, at any time.
        key: Consumed.
        num_episodes: Environments stepped side by side.
        deterministic: Whether to take the mode of the policy instead of sampling from it.
        max_steps: Steps after which the evaluation stops, at least 1.
        env_params: Parameters of the environment; None is its default.
        which: "first" episodes of every agent, or "all" that end within `max_steps`.

    Raises:
        ValueError: `num_episodes` or `max_steps` is below 1, or the spaces are none that the learner knows.
    """
    check_choice("which", which, get_args(Which))
    check_at_least(1, num_episodes=num_episodes, max_steps=None if isinstance(max_steps, Tracer) else int(max_steps))
    env_params = env.default_params if env_params is None else env_params
    actor = make_actor(config, env, env_params, num_episodes)
    start_key, key = jax.random.split(key)

    def goes_on(run: _Run) -> Bool[Array, ""]:
        if which == "all":
            return run.num_steps < max_steps
        waiting = jnp.any(run.controlled & (run.episodes.num_episodes == 0))
        return (run.num_steps < max_steps) & (waiting | (run.num_steps == 0))

    def act(run: _Run) -> _Run:
        key, action_key, step_key = jax.random.split(run.key, 3)
        outputs, memory = policy_outputs(actor, state.trainable, state.obs_moments, run.position)
        mode, sample = actor.distribution.mode, actor.distribution.sample
        action = mode(outputs) if deterministic else sample(action_key, outputs)
        position, (_, _, _, info) = step(actor, step_key, run.position, memory, action, env_params)
        controlled = run.controlled | info.get("controlled", jnp.ones_like(run.controlled))
        episodes = (_follow if which == "first" else add_episodes)(run.episodes, info)
        return _Run(position, episodes, controlled, run.num_steps + 1, key)

    nothing, nobody = no_episodes(actor.batch_size, measures_of(env)), jnp.zeros(actor.batch_size, bool)
    begin = _Run(start(actor, start_key, env_params), nothing, nobody, jnp.zeros((), jnp.int32), key)
    run = lax.while_loop(goes_on, act, begin)
    return _summarize(run.episodes, run.controlled, which)


def _follow(episodes: Episodes, info: dict[str, Array]) -> Episodes:
    """Return the first episodes after another step; one that has ended stays as it is."""
    running, now = episodes.num_episodes == 0, episodes_so_far(info, tuple(episodes.measures))
    return jax.tree.map(lambda new, old: jnp.where(running, new, old), now, episodes)


def _summarize(episodes: Episodes, controlled: Bool[Array, " b"], which: Which) -> Evaluation:
    """Return the statistics of first episodes, each of weight 1, or of all, each agent by how many it had."""
    ended = episodes.num_episodes
    weight = controlled.astype(jnp.float32) if which == "first" else ended
    per_agent = jax.tree.map(lambda total: total / jnp.where(weight > 0, weight, 1.0), episodes)
    share = weight / jnp.maximum(jnp.sum(weight), 1.0)

    def mean(values: Float[Array, " b"]) -> Float[Array, ""]:
        return jnp.sum(share * values)

    def std(values: Float[Array, " b"]) -> Float[Array, ""]:
        return jnp.sqrt(mean((values - mean(values)) ** 2))

    return Evaluation(
        score_mean=mean(per_agent.score),
        score_std=std(per_agent.score),
        return_mean=mean(per_agent.episode_return),
        return_std=std(per_agent.episode_return),
        length_mean=mean(per_agent.episode_length),
        num_episodes=jnp.sum(ended),
        scores=per_agent.score,
        finished=ended > 0,
        counted=weight > 0,
        measures=jax.tree.map(mean, per_agent.measures),
    )
