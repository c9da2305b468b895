"""The learner: its state, and one update, which is one segment of acting and then epochs of gradient steps on it.

`init` and `update` are pure functions for any loop; `train.py` has the whole training as one.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Int, PRNGKeyArray

from p3o_jax.devices import everywhere
from p3o_jax.estimators import Judged, Outcome, num_judged
from p3o_jax.gradient import Batch, Trained, first_not_finite, gradient_steps, make_optimizer
from p3o_jax.metrics import TERMS, Failure, Log, add_to_log, init_log, no_update_metrics
from p3o_jax.networks import Memories, Memory
from p3o_jax.normalize import Moments, RewardScaler, init_moments, init_reward_scaler, scale_rewards, update_moments
from p3o_jax.ops.evidence import num_parts
from p3o_jax.predictions import predict
from p3o_jax.rollout import Actor, Position, Rollout, collect, make_actor, measures_of, observe, start
from p3o_jax.settings import Config, Params

__all__ = [
    "Config",
    "Params",
    "State",
    "init",
    "num_constant_updates",
    "num_total_updates",
    "steps_per_update",
    "update",
]


@struct.dataclass
class State:
    """All that a training carries; saving it whole resumes exactly.

    Attributes:
        trainable: {"params": those of the network}, and the estimator's own: "log_std" of the original P3O.
        opt_state: State of the optimizer.
        position: Where the environments stand.
        value_memory: Memory of a recurrent value torso.
        spread: Running statistics of the estimator, those of every band or lag, or () with "gae".
        obs_moments: Moments of the observations, or () where they are not normalised.
        reward_scaler: Statistics that rewards are divided by.
        key: Next random key.
        num_updates: Updates done so far.
        failure: Whether something ceased to be finite.
        log: Sums for the metrics.
    """

    trainable: dict[str, Any]
    opt_state: Any
    position: Position
    value_memory: Memory
    spread: Any
    obs_moments: Moments | tuple[()]
    reward_scaler: RewardScaler
    key: PRNGKeyArray
    num_updates: Int[Array, ""]
    failure: Failure
    log: Log


def steps_per_update(config: Config, env: Any) -> int:
    """Return how many environment steps (of single agents) an update takes."""
    return config.num_envs * getattr(env, "num_agents", 1) * config.segment_length


def num_total_updates(config: Config, env: Any, params: Params) -> Int[Array, ""]:
    """Return the number of updates that `params.total_steps` amounts to, at least 1."""
    updates = jnp.ceil(jnp.asarray(params.total_steps, jnp.float32) / steps_per_update(config, env))
    return jnp.maximum(updates, 1.0).astype(jnp.int32)


def init(config: Config, env: Any, key: PRNGKeyArray, params: Params, env_params: Any = None) -> State:
    """Return the state before the first update.

    Args:
        config: Static settings.
        env: Environment of the gymnax contract.
        key: Consumed.
        params: Traced settings.
        env_params: Parameters of the environment; None is its default.

    Raises:
        ValueError: The spaces are none that the learner knows.
    """
    env_params = env.default_params if env_params is None else env_params
    estimator, actor = config.estimator_object, make_actor(config, env, env_params)
    network_key, reset_key, key = jax.random.split(key, 3)
    position = start(actor, reset_key, env_params)
    memory = position.policy_memory
    obs, first = position.obs[None], position.first[None]
    trainable = {"params": actor.network.init(network_key, obs, first, memory, memory)["params"]}
    trainable = everywhere(trainable | estimator.init_trained())
    return State(
        trainable=trainable,
        opt_state=make_optimizer(config, params).init(trainable),
        position=position,
        value_memory=memory,
        spread=estimator.init(*_sizes(config, actor)),
        obs_moments=init_moments(obs.shape[2:]) if config.normalize_observations else (),
        reward_scaler=init_reward_scaler(actor.batch_size),
        key=key,
        num_updates=jnp.zeros((), jnp.int32),
        failure=Failure(jnp.zeros((), jnp.float32), jnp.full((), -1, jnp.int32)),
        log=empty_log(config, env),
    )


def empty_log(config: Config, env: Any) -> Log:
    """Return the log of a training without updates."""
    return init_log(config.num_buckets, config.num_values, measures_of(env), num_judged(config.estimator_object))


def update(config: Config, env: Any, state: State, params: Params, env_params: Any = None) -> State:
    """Return the state after one more segment and the gradient steps on it.

    Where a loss, a gradient or what they are made of is not finite, network, optimizer and statistics stay as they were
    and `failure` says when and which; the first failure stays.

    Args:
        config: Static settings.
        env: Environment of the gymnax contract.
        state: From `init` or an earlier call.
        params: Traced settings.
        env_params: Parameters of the environment; None is its default.
    """
    env_params = env.default_params if env_params is None else env_params
    env_params = _at_this_time(env, env_params, state.num_updates, steps_per_update(config, env))
    actor, total = make_actor(config, env, env_params), num_total_updates(config, env, params)
    key, rollout_key, minibatch_key = jax.random.split(state.key, 3)
    position, rollout, episodes = collect(
        actor, state.trainable, state.obs_moments, state.position, rollout_key, env_params, config.segment_length
    )
    done = rollout.terminated | rollout.truncated
    rewards, scaler = scale_rewards(
        state.reward_scaler, rollout.reward, done, config.scale, params.gamma, rollout.valid
    )
    obs = observe(state.obs_moments, rollout.obs)
    memories = Memories(state.position.policy_memory, state.value_memory)
    predictions, memory = predict(config, actor, state.trainable, state.obs_moments, rollout, obs, position, memories)
    outcome = Outcome(rewards, rollout.terminated, rollout.truncated, rollout.valid)
    estimate = config.estimator_object.targets(params, state.spread, state.trainable, outcome, predictions)

    term = first_not_finite([rollout.obs, rollout.reward, estimate.advantages], TERMS.index("observations"))
    trained, metrics = gradient_steps(
        config,
        _annealed(params, state.num_updates, total),
        actor,
        Trained(state.trainable, state.opt_state, no_update_metrics(), term),
        Batch(
            obs,
            rollout.first,
            rollout.action,
            rollout.log_prob,
            estimate.advantages,
            estimate.targets,
            rollout.valid,
        ),
        memories,
        estimate.shared,
        minibatch_key,
    )
    bucket = jnp.minimum(state.num_updates * config.num_buckets // total, config.num_buckets - 1)
    statistics = estimate.state, _see(state.obs_moments, rollout), scaler
    spread, obs_moments, reward_scaler = _unless_failed(trained.term, state, statistics)
    return State(
        trainable=everywhere(trained.trainable),
        opt_state=everywhere(trained.opt_state),
        position=position,
        value_memory=memory,
        spread=spread,
        obs_moments=obs_moments,
        reward_scaler=reward_scaler,
        key=key,
        num_updates=state.num_updates + 1,
        failure=_failure(state, trained.term, steps_per_update(config, env)),
        log=add_to_log(state.log, bucket, metrics, episodes, estimate),
    )


def _unless_failed(term: Int[Array, ""], state: State, statistics: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    """Return the new statistics, or the old ones: those of what is not finite are as useless as a step on it."""
    before = state.spread, state.obs_moments, state.reward_scaler
    return jax.tree.map(lambda old, new: jnp.where(term >= 0, old, new), before, statistics)


def _failure(state: State, term: Int[Array, ""], num_steps: int) -> Failure:
    """Return the failure of this update, unless there was an earlier one."""
    steps_done = (state.num_updates + 1).astype(jnp.float32) * num_steps
    failure = Failure(jnp.where(term >= 0, steps_done, 0.0), term)
    return jax.tree.map(partial(jnp.where, state.failure.failed), state.failure, failure)


def _at_this_time(env: Any, env_params: Any, num_updates: Int[Array, ""], num_steps: int) -> Any:
    """Return the parameters for the next update; an environment whose tasks change has `params_at`."""
    return env.params_at(env_params, num_updates, num_steps) if hasattr(env, "params_at") else env_params


def num_constant_updates(config: Config, env: Any, params: Params) -> Int[Array, ""]:
    """Return the updates before the final decay: until then, a training is the beginning of every longer one.

    Stop there (`train.advance`), keep the state, and go on with more `Params.total_steps`: it is the longer training,
    to the last bit but for its log.
    """
    total = num_total_updates(config, env, params)
    return jnp.floor((1.0 - params.decay) * total.astype(jnp.float32)).astype(jnp.int32)


def _annealed(params: Params, num_updates: Int[Array, ""], total: Int[Array, ""]) -> Params:
    """Return the settings after some updates of a training; beyond its end those of the end."""
    progress = jnp.minimum(num_updates / total, 1.0)
    lost = jnp.maximum((progress - (1.0 - params.decay)) / params.decay, 0.0)
    begun = (num_updates + 1).astype(jnp.float32) / jnp.maximum(params.warmup, 1.0)
    warm = jnp.where(params.warmup > 0, jnp.minimum(begun, 1.0), 1.0)
    return dataclasses.replace(
        params,
        learning_rate=params.learning_rate * (1.0 - params.anneal * lost) * warm,
        entropy=params.entropy * (1.0 - params.entropy_anneal * lost),
    )


def _see(moments: Moments | tuple[()], rollout: Rollout) -> Moments | tuple[()]:
    """Return the moments with a segment's observations, after it was acted and learnt on with the old ones."""
    if not isinstance(moments, Moments):
        return ()
    return update_moments(moments, rollout.obs.astype(jnp.float32), rollout.valid)


def _sizes(config: Config, actor: Actor) -> tuple[Judged, ...]:
    """Return the sizes of the score, for an estimator that wants them."""
    if not num_judged(config.estimator_object):
        return ()
    size = actor.distribution.num_outputs * config.network.width
    return (Judged(num_parts(config.num_envs), size, actor.batch_size * config.segment_length),)
