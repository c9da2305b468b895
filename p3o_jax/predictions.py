"""What the network says of a rollout before it is trained on it: values, and gradients of log probabilities."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Shaped

from p3o_jax.devices import flatten, unflatten
from p3o_jax.estimators.base import Predictions, Trainable, num_judged
from p3o_jax.networks import Memories, Memory
from p3o_jax.normalize import Moments
from p3o_jax.ops.evidence import Score, num_parts
from p3o_jax.rollout import Actor, Position, Rollout, apply, observe
from p3o_jax.settings import Config


def predict(
    config: Config,
    actor: Actor,
    trainable: Trainable,
    moments: Moments | tuple[()],
    rollout: Rollout,
    obs: Shaped[Array, "t b ..."],
    position: Position,
    memories: Memories,
) -> tuple[Predictions, Memory]:
    """Return what an estimator reads, and the value torso's memory after the rollout.

    The values are computed in parts of the size of a minibatch, whose activations stay in a CPU's cache.

    Args:
        config: Static settings.
        actor: What acted.
        trainable: Parameters of its network.
        moments: Of the observations, or () where they are not normalised.
        rollout: What happened.
        obs: What the network sees of it.
        position: What follows it.
        memories: Recurrent states before it.
    """

    def value(obs: Array, first: Array, memory: Memory) -> tuple[Array, Memory]:
        return apply(actor, trainable, obs, first, memory, method="value")

    def value_of_part(memory: Memory, part: tuple[Array, Array]) -> tuple[Memory, Array]:
        values, memory = value(*part, memory)
        return memory, values

    num = math.gcd(config.num_minibatches, config.segment_length)
    parts = jax.tree.map(lambda x: x.reshape(num, -1, *x.shape[1:]), (obs, rollout.first))
    memory, values = lax.scan(value_of_part, memories.value, parts)
    values = values.reshape(*rollout.first.shape, -1)
    last, _ = value(observe(moments, position.obs[None]), position.first[None], memory)
    final = _final_values(actor, trainable, moments, rollout) if actor.environments.final_observation else None
    score = None
    if num_judged(config.estimator_object):
        score = score_of_actions(config, actor, trainable, rollout, obs, memories.policy)
    return Predictions(values, last[0], final, score), memory


def score_of_actions(
    config: Config,
    actor: Actor,
    trainable: Trainable,
    rollout: Rollout,
    obs: Shaped[Array, "t b ..."],
    memory: Memory,
) -> Score:
    """Return the gradient of the log probability of the actions on the kernel of the policy head.

    The arguments are those of `predict`; `memory` is the policy's.
    """
    outputs, features = apply(actor, trainable, obs, rollout.first, memory, method="policy_and_features")
    gradient = jax.grad(lambda outputs: jnp.sum(actor.distribution.log_prob(outputs, rollout.action)))(outputs)
    gradient = gradient[..., : actor.distribution.num_outputs]  # the others see no features
    shape = (config.segment_length, num_parts(config.num_envs), -1)
    valid = None if rollout.valid is None else rollout.valid.reshape(shape)
    outputs, features = (x.reshape(*shape, x.shape[-1]) for x in (gradient, features))
    return Score(outputs, features, valid)


def _final_values(actor: Actor, trainable: Trainable, moments: Moments | tuple[()], rollout: Rollout) -> Array:
    """Return the values at the observations that end episodes; a recurrent torso sees them without its memory."""
    num_steps, batch_size = rollout.first.shape
    obs = observe(moments, rollout.final_obs)
    first, memory = jnp.ones((1, num_steps * batch_size), bool), actor.network.init_memory(num_steps * batch_size)
    values, _ = apply(actor, trainable, flatten(obs)[None], first, memory, method="value")
    return unflatten(values[0], num_steps, batch_size)
