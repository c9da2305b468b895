"""Players: a policy in its environment as two pure functions, with what a trained agent predicts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from envs.players import scripted
from envs.registry import ENVIRONMENTS
from experiments import environments, saved
from experiments.agents import MASTER, resolve
from experiments.environments import make_env
from experiments.evaluate import in_other
from p3o_jax import rollout
from p3o_jax.estimators import P3O
from p3o_jax.estimators.banded import Banded
from p3o_jax.ops.spread import Spread
from p3o_jax.vector import VectorEnvironment

NO_HUMAN = -1
"""In place of a human's action: the policy acts."""


class Seen(NamedTuple):
    """One step, as a spectator sees it; arrays have a row per agent.

    Attributes:
        state: State of the environment before the step, with a leading axis of one environment.
        obs: Observations of that state.
        values: What the value head said of it, in units of scaled rewards; () for players without one.
        reward: Reward of the step.
        info: As `VectorEnvironment.step` gives it.
    """

    state: Any
    obs: Array
    values: Any
    reward: Float[Array, " agents"]
    info: dict[str, Array]


class Beliefs(NamedTuple):
    """What a trained agent holds of its bands or lags, the same in every state; empty where it has no such thing.

    Attributes:
        scale: Reward that each output of the value head calls 1.
        std: Standard deviation of the error of each prediction, in units of reward.
        weights: Weight of each band or lag in the advantage.
        unit: What each output predicts: the sum of a "band", the reward at a "lag", or the whole "return".
    """

    scale: Float[np.ndarray, " h"]
    std: Float[np.ndarray, " h"]
    weights: Float[np.ndarray, " h"]
    unit: str = "lag"


class Player(NamedTuple):
    """A policy in its environment, as two pure functions.

    Attributes:
        name: The environment's, for `envs.registry`.
        env: The environment.
        begin: key -> carry.
        advance: (carry, key, human) -> (carry, step). `human` is the action that the first agent takes instead of the
            policy's, or `NO_HUMAN`.
        beliefs: What a trained agent holds of its bands or lags; None for simple players.
    """

    name: str
    env: Any
    begin: Callable[[PRNGKeyArray], Any]
    advance: Callable[[Any, PRNGKeyArray, Int[Array, ""] | int], tuple[Any, Seen]]
    beliefs: Beliefs | None = None


def simple_player(name: str, arguments: dict[str, Any], scripted_policy: bool) -> Player:
    """Return the random or the scripted player of an environment.

    Raises:
        ValueError: There is no such environment, or no scripted player of it.
    """
    env = make_env(name, arguments)
    if scripted_policy and type(env) not in ENVIRONMENTS.values():
        raise ValueError(
            f"`policy` must be random or a folder, as only {environments.NAMES} have a script; got {name}."
        )
    vector, params = VectorEnvironment(env, 1), env.default_params
    policy = scripted(env) if scripted_policy else None
    space = env.action_space(params)

    def advance(carry: Any, key: PRNGKeyArray, human: Int[Array, ""] | int) -> tuple[Any, Seen]:
        obs, state = carry
        action_key, step_key = jax.random.split(key)
        if policy is None:
            action = jax.vmap(space.sample)(jax.random.split(action_key, vector.batch_size))
        else:
            action = policy(action_key, jax.tree.map(lambda x: x[0], state.env), params)
            action = action if vector.num_agents > 1 else action[None]
        action = by_hand(space, action, human)
        next_obs, after, reward, _, _, info = vector.step(step_key, state, action, params)
        return (next_obs, after), Seen(state.env, obs, (), reward, info)

    return Player(name, env, lambda key: vector.reset(key, params), advance)


def master_player(name: str, arguments: dict[str, Any]) -> Player:
    """Return the trained agent that comes with the package, in its environment with these arguments.

    Arguments that are not given are those that the agent comes with.

    Raises:
        ValueError: There is none, or it was trained on other observations or actions.
    """
    base, given = environments.split(name)
    agent = saved.load(resolve(f"{MASTER}{base}", "policy"))
    _, own = environments.split(agent.env_name)
    arguments = own | given | arguments
    return player_of(agent if arguments == own else in_other(agent, base, arguments))


def learned_player(place: Path) -> Player:
    """Return the agent that `p3o train` left in a folder, or a master's file, acting as in training."""
    return player_of(saved.load(place))


def player_of(agent: saved.Saved) -> Player:
    """Return an agent as a player that acts as in training."""
    params = agent.env.default_params
    actor = rollout.make_actor(agent.config, agent.env, params, 1)
    trainable, moments = agent.state.trainable, agent.state.obs_moments
    space = agent.env.action_space(params)

    def begin(key: PRNGKeyArray) -> Any:
        return rollout.start(actor, key, params), actor.network.init_memory(actor.batch_size)

    def advance(carry: Any, key: PRNGKeyArray, human: Int[Array, ""] | int) -> tuple[Any, Seen]:
        position, value_memory = carry
        action_key, step_key = jax.random.split(key)
        obs = rollout.observe(moments, position.obs[None])
        values, value_memory = rollout.apply(actor, trainable, obs, position.first[None], value_memory, method="value")
        outputs, memory = rollout.policy_outputs(actor, trainable, moments, position)
        action = by_hand(space, actor.distribution.sample(action_key, outputs), human)
        after, (reward, _, _, info) = rollout.step(actor, step_key, position, memory, action, params)
        seen = Seen(position.env_state.env, position.obs, values[0].astype(jnp.float32), reward, info)
        return (after, value_memory), seen

    return Player(agent.env_name, agent.env, begin, advance, beliefs_of(agent))


def is_discrete(space: Any) -> bool:
    """Return whether an action is one of n numbers, so that a key can stand for it."""
    return getattr(space, "n", None) is not None


def by_hand(
    space: Any, action: Shaped[Array, "agents ..."], human: Int[Array, ""] | int
) -> Shaped[Array, "agents ..."]:
    """Return the actions with the first agent's replaced by the human's, where there is one."""
    if not is_discrete(space):
        return action
    chosen = jnp.where(jnp.asarray(human) >= 0, jnp.asarray(human).astype(action.dtype), action[0])
    return action.at[0].set(chosen)


def beliefs_of(agent: saved.Saved) -> Beliefs:
    """Return what a trained agent holds of its bands or lags."""
    scale, state, params = np.float32(reward_size(agent)), agent.state.spread, agent.params
    none, estimator = np.zeros(0, np.float32), agent.config.estimator_object
    if isinstance(estimator, Banded):
        scales = scale * np.sqrt(estimator.widths, dtype=np.float32)
        weights = np.asarray(estimator.weights(params, state))
        return Beliefs(scales, scale * np.asarray(state.spread.std), weights, "band")
    scales = np.full(agent.config.num_values, scale)
    weights = np.asarray(estimator.weights(params, state)) if isinstance(estimator, P3O) else none
    spread = getattr(state, "spread", state)
    if not isinstance(spread, Spread):
        return Beliefs(scales, none, none, "return")
    return Beliefs(scales, scale * np.asarray(spread.std), weights)


def reward_size(agent: saved.Saved) -> float:
    """Return the reward that the training scaled to 1; see `p3o_jax.normalize.scale_rewards`."""
    kind = agent.config.reward_scale or agent.config.estimator_object.default_reward_scale
    moments = agent.state.reward_scaler.moments
    mean_square = {"rms": moments.mean, "return": moments.variance}.get(kind)
    return 1.0 if mean_square is None or float(mean_square) <= 0 else float(mean_square) ** 0.5
