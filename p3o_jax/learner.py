"""The learner: its state, and one update = one segment of acting, then epochs of gradient steps on it.

`init` and `update` are pure functions for any loop; `train.py` has the whole training as one.
"""

import dataclasses
import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Int, PRNGKeyArray

from p3o_jax.estimate import Outcome, estimate, init_estimate, init_log_std
from p3o_jax.gradient import Batch, Memories, Trained, first_not_finite, gradient_steps, make_optimizer
from p3o_jax.metrics import Failure, Log, UpdateMetrics, add_to_log, init_log
from p3o_jax.networks import Memory
from p3o_jax.normalize import Moments, RewardScaler, init_moments, init_reward_scaler, scale_rewards, update_moments
from p3o_jax.rollout import Actor, Position, Segment, apply, collect, make_actor, observe, start
from p3o_jax.settings import Config, Params
from p3o_jax.spread import Spread

__all__ = ["Config", "Params", "State", "init", "num_total_updates", "steps_per_update", "update"]


@struct.dataclass
class State:
    """All that a training carries; saving it whole resumes exactly.

    Attributes:
      trainable: {"params": of the network}, and "log_std" of the original estimator.
      opt_state: of the optimizer.
      position: where the environments stand.
      value_memory: of a recurrent value torso.
      spread: running statistics of each lag.
      obs_moments: of the observations, or () where they are not normalised.
      reward_scaler: statistics that rewards are divided by.
      key: next random key.
      num_updates: done so far.
      failure: whether something ceased to be finite.
      log: sums for the metrics.
    """

    trainable: dict[str, Any]
    opt_state: Any
    position: Position
    value_memory: Memory
    spread: Spread
    obs_moments: Moments | tuple[()]
    reward_scaler: RewardScaler
    key: PRNGKeyArray
    num_updates: Int[Array, ""]
    failure: Failure
    log: Log


def steps_per_update(config: Config, env: Any) -> int:
    """Returns how many environment steps (of single agents) an update takes."""
    return config.num_envs * getattr(env, "num_agents", 1) * config.segment_length


def num_total_updates(config: Config, env: Any, params: Params) -> Int[Array, ""]:
    """Returns the number of updates that `params.total_steps` amounts to, at least 1."""
    updates = jnp.ceil(jnp.asarray(params.total_steps, jnp.float32) / steps_per_update(config, env))
    return jnp.maximum(updates, 1.0).astype(jnp.int32)


def init(config: Config, env: Any, key: PRNGKeyArray, params: Params, env_params: Any = None) -> State:
    """Returns the state before the first update.

    Args:
      config: static settings.
      env: environment of the gymnax contract.
      key: consumed.
      params: traced settings.
      env_params: of the environment; None is its default.

    Raises:
      ValueError: the spaces are none that the learner knows.
    """
    env_params = env.default_params if env_params is None else env_params
    actor = make_actor(config, env, env_params)
    network_key, reset_key, key = jax.random.split(key, 3)
    position = start(actor, reset_key, env_params)
    memory = position.policy_memory
    obs, first = position.obs[None], position.first[None]
    trainable = {"params": actor.network.init(network_key, obs, first, memory, memory)["params"]}
    trainable |= init_log_std(config)
    return State(
        trainable=trainable,
        opt_state=make_optimizer(config, params).init(trainable),
        position=position,
        value_memory=memory,
        spread=init_estimate(config),
        obs_moments=init_moments(obs.shape[2:]) if config.normalize_observations else (),
        reward_scaler=init_reward_scaler(actor.batch_size),
        key=key,
        num_updates=jnp.zeros((), jnp.int32),
        failure=Failure(jnp.zeros(()), jnp.full((), -1, jnp.int32)),
        log=init_log(config.num_buckets, config.num_values),
    )


def update(config: Config, env: Any, state: State, params: Params, env_params: Any = None) -> State:
    """Returns the state after one more segment and the gradient steps on it.

    Where a loss, a gradient or what they are made of is not finite, network, optimizer and statistics stay as they were
    and `failure` says when and which; the first failure stays.

    Args:
      config: static settings.
      env: environment of the gymnax contract.
      state: from `init` or an earlier call.
      params: traced settings.
      env_params: of the environment; None is its default.
    """
    env_params = env.default_params if env_params is None else env_params
    actor = make_actor(config, env, env_params)
    key, rollout_key, minibatch_key = jax.random.split(state.key, 3)
    position, segment, episodes = collect(
        actor, state.trainable, state.obs_moments, state.position, rollout_key, env_params, config.segment_length
    )
    done = segment.terminated | segment.truncated
    rewards, scaler = scale_rewards(state.reward_scaler, segment.reward, done, config.scale, params.gamma)
    outcome = Outcome(rewards, segment.terminated, segment.truncated)
    num_parts = math.gcd(config.num_minibatches, config.segment_length)
    predictions = _predict(actor, state, segment, position, num_parts)
    estimated = estimate(config, params, state.spread, state.trainable, outcome, *predictions.values)

    total = num_total_updates(config, env, params)
    batch = Batch(predictions.obs, segment.first, segment.action, segment.log_prob, outcome, estimated.targets)
    term = first_not_finite([segment.obs, segment.reward, estimated.targets.advantages], 0)
    trained, metrics = gradient_steps(
        config,
        _annealed(params, state.num_updates / total),
        actor,
        Trained(state.trainable, state.opt_state, no_metrics(), term),
        batch,
        Memories(state.position.policy_memory, state.value_memory),
        estimated.lags,
        minibatch_key,
    )
    bucket = jnp.minimum(state.num_updates * config.num_buckets // total, config.num_buckets - 1)
    num_steps = (state.num_updates + 1).astype(jnp.float32) * steps_per_update(config, env)
    failed = trained.term >= 0
    failure = Failure(jnp.where(failed, num_steps, 0.0), trained.term)
    # Statistics of what is not finite are as useless as a step on it.
    spread, obs_moments, reward_scaler = jax.tree.map(
        lambda old, new: jnp.where(failed, old, new),
        (state.spread, state.obs_moments, state.reward_scaler),
        (estimated.spread, _see(state.obs_moments, segment.obs), scaler),
    )
    return State(
        trainable=trained.trainable,
        opt_state=trained.opt_state,
        position=position,
        value_memory=predictions.memory,
        spread=spread,
        obs_moments=obs_moments,
        reward_scaler=reward_scaler,
        key=key,
        num_updates=state.num_updates + 1,
        failure=jax.tree.map(partial(jnp.where, state.failure.failed), state.failure, failure),
        log=add_to_log(state.log, bucket, metrics, episodes, estimated.explained_variance),
    )


def _annealed(params: Params, progress: Array) -> Params:
    """Returns the settings at a share `progress` of the training; beyond its end those of the end."""
    progress = jnp.minimum(progress, 1.0)
    return dataclasses.replace(
        params,
        learning_rate=params.learning_rate * (1.0 - params.anneal * progress),
        entropy=params.entropy * (1.0 - params.entropy_anneal * progress),
    )


def _see(moments: Moments | tuple[()], obs: Array) -> Moments | tuple[()]:
    """Returns the moments with a segment's observations, after it was acted and learnt on with the old ones."""
    return update_moments(moments, obs.astype(jnp.float32)) if isinstance(moments, Moments) else ()


def no_metrics() -> UpdateMetrics:
    """Returns the metrics of no gradient step."""
    return UpdateMetrics(*(jnp.zeros(()) for _ in UpdateMetrics._fields))


class _Predictions(NamedTuple):
    """What the value head said before the update.

    Attributes:
      obs: what the network sees of the segment.
      values: along the segment, after it, and at final observations (None unless truncations are bootstrapped).
      memory: of the value torso after the segment.
    """

    obs: Array
    values: tuple[Array, Array, Array | None]
    memory: Memory


def _predict(actor: Actor, state: State, segment: Segment, position: Position, num_parts: int) -> _Predictions:
    """Returns the values of a whole segment, computed in `num_parts` parts of it."""

    def value(obs: Array, first: Array, memory: Memory) -> tuple[Array, Memory]:
        return apply(actor, state.trainable, obs, first, memory, method="value")

    def value_of_part(memory: Memory, part: tuple[Array, Array]) -> tuple[Memory, Array]:
        values, memory = value(*part, memory)
        return memory, values

    obs = observe(state.obs_moments, segment.obs)
    # In parts of the size of a minibatch, whose activations stay in a CPU's cache.
    parts = jax.tree.map(lambda x: x.reshape(num_parts, -1, *x.shape[1:]), (obs, segment.first))
    memory, values = lax.scan(value_of_part, state.value_memory, parts)
    values = values.reshape(*segment.first.shape, -1)
    last_values, _ = value(observe(state.obs_moments, position.obs[None]), position.first[None], memory)
    final_values = None
    if actor.environments.final_observation:
        final_values = _final_values(actor, state, segment, value)
    return _Predictions(obs, (values, last_values[0], final_values), memory)


def _final_values(actor, state, segment, value):
    """Returns the values at the observations that end episodes; a recurrent torso sees them without its memory."""
    num_steps, batch_size = segment.first.shape
    final_obs = observe(state.obs_moments, segment.final_obs)
    flat = final_obs.reshape(1, num_steps * batch_size, *final_obs.shape[2:])
    memory = actor.network.init_memory(num_steps * batch_size)
    values, _ = value(flat, jnp.ones((1, num_steps * batch_size), bool), memory)
    return values.reshape(num_steps, batch_size, -1)
