"""Acting: a scan over steps of all environments at once, by the policy alone.

The values of a rollout are computed after it, in one pass.
"""

from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from p3o_jax.devices import divide, num_devices
from p3o_jax.distributions import Distribution, from_space
from p3o_jax.estimators.base import Trainable
from p3o_jax.networks import ActorCritic, Memory
from p3o_jax.normalize import Moments, normalize
from p3o_jax.observations import flat_observations
from p3o_jax.settings import Config
from p3o_jax.vector import VectorEnvironment


class Actor(NamedTuple):
    """The static parts of acting: network, action distribution, environments."""

    network: ActorCritic
    distribution: Distribution
    environments: VectorEnvironment
    batch_size: int


def make_actor(config: Config, env: Any, env_params: Any, num_envs: int | None = None) -> Actor:
    """Return what acts in `env` under `config`.

    Args:
        config: Static settings.
        env: Environment of the gymnax contract; see `vector.py`.
        env_params: Its parameters.
        num_envs: Another number of environments than the training's.

    Raises:
        ValueError: The spaces are none that the learner knows.
    """
    if num_envs is None:
        _check_devices(config, env)
    num_envs = num_envs or config.num_envs
    num_agents = getattr(env, "num_agents", 1)
    # The spaces are one agent's: the agents of an environment are rows of the batch like its copies.
    space = env.observation_space(env_params)
    shape = getattr(space, "shape", None)  # none of spaces of trees, whose arrays are joined to one vector
    if config.network.kind == "cnn" and (not isinstance(shape, tuple) or len(shape) != 3):
        got = f"shape {shape}" if shape is not None else repr(space)
        raise ValueError(f"`network.kind` must not be 'cnn' unless observations are images; got {got}.")
    distribution = from_space(env.action_space(env_params), config.squash)
    network = ActorCritic(
        config.network,
        distribution.num_outputs,
        distribution.num_free,
        config.num_values,
        jnp.dtype(config.precision),
    )
    if hasattr(env, "vectorized"):
        vector = env.vectorized(num_envs)
    else:
        vector = VectorEnvironment(env, num_envs, config.pool_size, config.bootstrap_truncations)
    return Actor(network, distribution, vector, num_envs * num_agents)


def _check_devices(config: Config, env: Any) -> None:
    """Raise a ValueError unless every device has the same number of environments of each minibatch."""
    if num_devices() == 1:
        return
    if hasattr(env, "vectorized"):
        raise ValueError(f"`env` must be of JAX to be divided among devices; got {type(env).__name__}, of the host.")
    if config.num_envs % (config.num_minibatches * num_devices()):
        raise ValueError(
            "`num_envs` must be a multiple of `num_minibatches` times the devices; "
            f"got {config.num_envs}, {config.num_minibatches} and {num_devices()}. Fewer minibatches may fit."
        )


@struct.dataclass
class Position:
    """Where the environments stand between two segments.

    Attributes:
        env_state: States of all environments.
        obs: What each shows now, as one array; see `flat_observations`.
        first: Whether that is the first of an episode.
        policy_memory: Memory of a recurrent policy.
    """

    env_state: Any
    obs: Array
    first: Bool[Array, " b"]
    policy_memory: Memory


class Episodes(NamedTuple):
    """Sums over the episodes that ended, per environment; `measures` has the environment's own `metrics` by name."""

    num_episodes: Float[Array, " b"]
    episode_return: Float[Array, " b"]
    episode_length: Float[Array, " b"]
    score: Float[Array, " b"]
    measures: dict[str, Float[Array, " b"]]


class Rollout(NamedTuple):
    """What updates need of T steps.

    `final_obs` is () unless truncations are bootstrapped. `valid` is None unless the environment tells which agents are
    "controlled": the learner learns nothing from the actions of others.
    """

    obs: Array
    first: Bool[Array, "t b"]
    action: Array
    log_prob: Float[Array, "t b"]
    reward: Float[Array, "t b"]
    terminated: Bool[Array, "t b"]
    truncated: Bool[Array, "t b"]
    final_obs: Any
    valid: Bool[Array, "t b"] | None = None


def start(actor: Actor, key: PRNGKeyArray, env_params: Any) -> Position:
    """Return the environments at the beginning of their first episodes."""
    obs, env_state = actor.environments.reset(key, env_params)
    obs = flat_observations(obs, actor.batch_size)
    first = jnp.ones(actor.batch_size, bool)
    return divide(Position(env_state, obs, first, actor.network.init_memory(actor.batch_size)))


def observe(moments: Moments | tuple[()], obs: Shaped[Array, "t b ..."]) -> Shaped[Array, "t b ..."]:
    """Return what the network sees of a sequence of observations."""
    return normalize(moments, obs.astype(jnp.float32)) if isinstance(moments, Moments) else obs


def apply(actor: Actor, trainable: Trainable, *inputs: Any, method: str = "__call__") -> tuple[Any, Any]:
    """Return what a method of the network makes of `inputs`."""
    return cast(tuple[Any, Any], actor.network.apply({"params": trainable["params"]}, *inputs, method=method))


def policy_outputs(
    actor: Actor, trainable: Trainable, moments: Moments | tuple[()], position: Position
) -> tuple[Float[Array, "b o"], Memory]:
    """Return the policy's outputs for the current observations, and its memory after them."""
    obs = observe(moments, position.obs[None])
    outputs, memory = apply(actor, trainable, obs, position.first[None], position.policy_memory, method="policy")
    return outputs[0], memory


def step(
    actor: Actor, key: PRNGKeyArray, position: Position, memory: Memory, action: Array, env_params: Any
) -> tuple[Position, tuple[Array, Array, Array, dict[str, Array]]]:
    """Return the position after `action`, and (reward, terminated, truncated, info)."""
    taken = actor.distribution.to_env(action)
    obs, env_state, reward, terminated, truncated, info = actor.environments.step(
        key, position.env_state, taken, env_params
    )
    obs = flat_observations(obs, actor.batch_size)
    terminated, truncated = terminated.astype(bool), truncated.astype(bool)
    if "final_observation" in info:
        info["final_observation"] = flat_observations(info["final_observation"], actor.batch_size)
    moved = Position(env_state, obs, terminated | truncated, memory)
    return moved, (reward.astype(jnp.float32), terminated, truncated, info)


def collect(
    actor: Actor,
    trainable: Trainable,
    moments: Moments | tuple[()],
    position: Position,
    key: PRNGKeyArray,
    env_params: Any,
    num_steps: int,
) -> tuple[Position, Rollout, Episodes]:
    """Return the position after `num_steps` sampled actions, the rollout they make, and the episodes that ended.

    Args:
        actor: What acts.
        trainable: Parameters of its network.
        moments: Of the observations, or () where they are not normalised.
        position: Where to begin.
        key: Consumed.
        env_params: Parameters of the environments.
        num_steps: Segment length T.
    """

    def body(carry: tuple[Position, Episodes], keys: PRNGKeyArray) -> tuple[tuple[Position, Episodes], Rollout]:
        position, episodes = carry
        outputs, memory = policy_outputs(actor, trainable, moments, position)
        action = actor.distribution.sample(keys[0], outputs)
        log_prob = actor.distribution.log_prob(outputs, action)
        moved, (reward, terminated, truncated, info) = step(actor, keys[1], position, memory, action, env_params)
        final_obs = info["final_observation"] if actor.environments.final_observation else ()
        valid = info["controlled"].astype(bool) if "controlled" in info else None
        taken = Rollout(position.obs, position.first, action, log_prob, reward, terminated, truncated, final_obs, valid)
        return divide((moved, add_episodes(episodes, info))), divide(taken)

    keys = jax.random.split(key, (num_steps, 2))
    nothing = no_episodes(actor.batch_size, measures_of(actor.environments.env))
    (position, episodes), rollout = lax.scan(body, (position, nothing), keys)
    return position, rollout, episodes


def measures_of(env: Any) -> tuple[str, ...]:
    """Return the names of what an environment says of an ended episode, beside its score."""
    return tuple(getattr(env, "metrics", ()))


def no_episodes(batch_size: int, measures: tuple[str, ...] = ()) -> Episodes:
    """Return the sums over nothing."""
    zeros = jnp.zeros(batch_size, jnp.float32)
    return Episodes(zeros, zeros, zeros, zeros, dict.fromkeys(measures, zeros))


def episodes_so_far(info: dict[str, Array], measures: tuple[str, ...]) -> Episodes:
    """Return what `info` says of the episode of each environment, which counts as one if it has ended.

    Training and evaluation both count episodes by this function.
    """
    values = (info["done"], info["episode_return"], info["episode_length"], info["score"])
    own = {name: info[name] for name in measures}
    return jax.tree.map(lambda x: x.astype(jnp.float32), Episodes(*values, own))


def add_episodes(episodes: Episodes, info: dict[str, Array]) -> Episodes:
    """Return the sums with the episodes that `info` says have ended."""
    now, done = episodes_so_far(info, tuple(episodes.measures)), info["done"].astype(bool)
    return jax.tree.map(lambda total, value: total + jnp.where(done, value, 0.0), episodes, now)
