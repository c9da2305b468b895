"""A plain PPO in the style of PureJaxRL, which shares nothing with the learner but the environments."""

from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax import lax

from envs import registry
from p3o_jax.vector import VectorEnvironment

LAMBDA, CLIP, VALUE, MAX_NORM, EPS = 0.95, 0.2, 0.5, 0.5, 1e-5


class Setting(NamedTuple):
    """What the published settings differ in."""

    env: str
    num_envs: int
    num_minibatches: int
    learning_rate: float
    activation: str
    steps: float
    num_steps: int = 128
    num_epochs: int = 4
    gamma: float = 0.99
    entropy: float = 0.01
    anneal: float = 1.0
    value_clip: float = CLIP


class ActorCritic(nn.Module):
    """Two torsos of two layers of 64; of a continuous policy also the log of its spread, the same for all states."""

    num_outputs: int
    activation: str
    continuous: bool

    @nn.compact
    def __call__(self, obs: jax.Array) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """What the policy's distribution needs, and values."""
        x, act = obs.reshape(obs.shape[0], -1).astype(jnp.float32), getattr(nn, self.activation)

        def head(size: int, scale: float) -> jax.Array:
            hidden = x
            for _ in range(2):
                hidden = act(nn.Dense(64, kernel_init=nn.initializers.orthogonal(2**0.5))(hidden))
            return nn.Dense(size, kernel_init=nn.initializers.orthogonal(scale))(hidden)

        policy = (head(self.num_outputs, 0.01),)
        if self.continuous:
            policy += (self.param("log_std", nn.initializers.zeros, (self.num_outputs,)),)
        return policy, head(1, 1.0)[:, 0]


def apply(network: ActorCritic, variables: Any, obs: jax.Array) -> tuple[tuple[jax.Array, ...], jax.Array]:
    """Policy and values."""
    return cast(tuple[tuple[jax.Array, ...], jax.Array], network.apply(variables, obs))


def draw(key: jax.Array, policy: tuple[jax.Array, ...]) -> jax.Array:
    """An action of each environment."""
    if len(policy) == 1:
        return jax.random.categorical(key, policy[0])
    return policy[0] + jnp.exp(policy[1]) * jax.random.normal(key, policy[0].shape)


def entropy_of(policy: tuple[jax.Array, ...]) -> jax.Array:
    """Mean entropy; of a Gaussian without its constant."""
    return -(nn.softmax(policy[0]) * nn.log_softmax(policy[0])).sum(-1).mean() if len(policy) == 1 else policy[1].sum()


class Step(NamedTuple):
    """One step of all environments."""

    obs: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    done: jax.Array
    episode_return: jax.Array


def of_action(policy: tuple[jax.Array, ...], action: jax.Array) -> jax.Array:
    """Log-probability of the actions taken; of a Gaussian without its constant."""
    if len(policy) == 1:
        return jnp.take_along_axis(nn.log_softmax(policy[0]), action[:, None], axis=1)[:, 0]
    mean, log_std = policy
    return -(0.5 * ((action - mean) / jnp.exp(log_std)) ** 2 + log_std).sum(-1)


def loss_of(
    network: ActorCritic, setting: Setting, variables: Any, batch: tuple[Step, jax.Array, jax.Array]
) -> jax.Array:
    """PPO's loss with both clips, of a flat minibatch."""
    step, advantage, target = batch
    policy, value = apply(network, variables, step.obs)
    ratio = jnp.exp(of_action(policy, step.action) - step.log_prob)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    of_policy = -jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage).mean()
    near = step.value + jnp.clip(value - step.value, -setting.value_clip, setting.value_clip)
    of_value = 0.5 * jnp.maximum((value - target) ** 2, (near - target) ** 2).mean()
    return of_policy + VALUE * of_value - setting.entropy * entropy_of(policy)


def advantages_of(gamma: float, steps: Step, last_value: jax.Array) -> jax.Array:
    """Generalised advantage estimates, going back in time."""

    def back(carry: tuple[jax.Array, jax.Array], step: Step) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        advantage, following = carry
        goes_on = 1.0 - step.done
        delta = step.reward + gamma * following * goes_on - step.value
        advantage = delta + gamma * LAMBDA * goes_on * advantage
        return (advantage, step.value), advantage

    return lax.scan(back, (jnp.zeros_like(last_value), last_value), steps, reverse=True)[1]


class Loop(NamedTuple):
    """What stays the same during a training."""

    setting: Setting
    envs: VectorEnvironment
    env_params: Any
    network: ActorCritic
    optimizer: optax.GradientTransformation


class Carry(NamedTuple):
    """What a training carries from update to update."""

    variables: Any
    opt_state: Any
    obs: jax.Array
    env_state: Any


def make_loop(setting: Setting, num_updates: int) -> Loop:
    """Environments, network and optimizer of a setting."""
    env = registry.make(setting.env)
    envs, env_params = VectorEnvironment(env, setting.num_envs), env.default_params
    space = env.action_space(env_params)
    size = space.n if hasattr(space, "n") else int(np.prod(space.shape))
    network = ActorCritic(size, setting.activation, continuous=not hasattr(space, "n"))
    last_rate = setting.learning_rate * (1 - setting.anneal)
    num_steps = num_updates * setting.num_epochs * setting.num_minibatches
    rate = optax.linear_schedule(setting.learning_rate, last_rate, num_steps)
    optimizer = optax.chain(optax.clip_by_global_norm(MAX_NORM), optax.adam(rate, eps=EPS))
    return Loop(setting, envs, env_params, network, optimizer)


def act(loop: Loop, carry: Carry, key: jax.Array) -> tuple[Carry, Step]:
    """One step of all environments."""
    action_key, step_key = jax.random.split(key)
    policy, value = apply(loop.network, carry.variables, carry.obs)
    action = draw(action_key, policy)
    obs, env_state, reward, terminated, truncated, info = loop.envs.step(
        step_key, carry.env_state, action, loop.env_params
    )
    done = (terminated | truncated).astype(jnp.float32)
    step = Step(carry.obs, action, of_action(policy, action), value, reward, done, info["episode_return"])
    return carry._replace(obs=obs, env_state=env_state), step


def update(loop: Loop, carry: Carry, key: jax.Array) -> tuple[Carry, jax.Array]:
    """Collect and descend; also the sum of the returns of the episodes that ended, and their number."""
    setting = loop.setting
    act_key, *epoch_keys = jax.random.split(key, 1 + setting.num_epochs)
    carry, steps = lax.scan(partial(act, loop), carry, jax.random.split(act_key, setting.num_steps))
    last_value = apply(loop.network, carry.variables, carry.obs)[1]
    advantage = advantages_of(setting.gamma, steps, last_value)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (steps, advantage, advantage + steps.value))

    def descend(weights: tuple[Any, Any], chosen: jax.Array) -> tuple[tuple[Any, Any], None]:
        variables, opt_state = weights
        minibatch = jax.tree.map(lambda x: x[chosen], flat)
        gradient = jax.grad(partial(loss_of, loop.network, setting))(variables, minibatch)
        with jax.numpy_dtype_promotion("standard"):
            change, opt_state = loop.optimizer.update(gradient, opt_state)
        return (optax.apply_updates(variables, change), opt_state), None

    orders = jnp.stack([jax.random.permutation(k, setting.num_steps * setting.num_envs) for k in epoch_keys])
    orders = orders.reshape(setting.num_epochs * setting.num_minibatches, -1)
    (variables, opt_state), _ = lax.scan(descend, (carry.variables, carry.opt_state), orders)
    ended = jnp.stack([jnp.sum(steps.episode_return * steps.done), jnp.sum(steps.done)])
    return carry._replace(variables=variables, opt_state=opt_state), ended


def train(setting: Setting, num_updates: int, key: jax.Array) -> jax.Array:
    """Sum of the returns of the episodes that end in each update, and their number, [update, 2]."""
    loop = make_loop(setting, num_updates)
    key, network_key, reset_key = jax.random.split(key, 3)
    obs, env_state = loop.envs.reset(reset_key, loop.env_params)
    variables = loop.network.init(network_key, obs)
    carry = Carry(variables, loop.optimizer.init(variables), obs, env_state)
    return lax.scan(partial(update, loop), carry, jax.random.split(key, num_updates))[1]
