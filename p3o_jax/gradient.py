"""Gradient steps on one segment: epochs over its minibatches, guarded against what is not finite."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from p3o_jax.estimate import Lags, Outcome, Targets, value_loss
from p3o_jax.losses import clipped_surrogate, standardize
from p3o_jax.metrics import TERMS, UpdateMetrics
from p3o_jax.networks import Memory
from p3o_jax.rollout import Actor, Trainable, apply
from p3o_jax.settings import Config, Params


class Batch(NamedTuple):
    """What gradient steps read, [t, b, ...]."""

    obs: Array
    first: Bool[Array, "t b"]
    action: Array
    log_prob: Float[Array, "t b"]
    outcome: Outcome
    targets: Targets


class Memories(NamedTuple):
    """Recurrent states at the segment's start, [b, ...]."""

    policy: Memory
    value: Memory


class Trained(NamedTuple):
    """What gradient steps change.

    Attributes:
      trainable: parameters.
      opt_state: of the optimizer.
      sums: of the metrics.
      term: what was first not finite, as an index into `TERMS`, or -1.
    """

    trainable: Trainable
    opt_state: Any
    sums: UpdateMetrics
    term: Int[Array, ""]


def make_optimizer(config: Config, params: Params) -> optax.GradientTransformation:
    """Returns the optimizer for a learning rate of 1; steps multiply its changes by theirs."""
    b1, b2, eps = (jnp.asarray(x, jnp.float32) for x in (params.adam_b1, params.adam_b2, params.adam_eps))
    if config.optimizer == "adam":
        rule = optax.adam(1.0, b1, b2, eps)
    else:
        rule = optax.contrib.muon(1.0, beta=b1, eps=eps, adam_b1=b1, adam_b2=b2)
    return optax.chain(optax.clip_by_global_norm(params.max_grad_norm), rule)


def first_not_finite(values: list[Array], offset: int) -> Int[Array, ""]:
    """Returns `offset` plus the index of the first array that is not finite throughout, or -1."""
    bad = jnp.stack([~jnp.all(jnp.isfinite(x)) for x in values])
    return jnp.where(jnp.any(bad), offset + jnp.argmax(bad).astype(jnp.int32), -1)


def gradient_steps(
    config: Config,
    params: Params,
    actor: Actor,
    start: Trained,
    batch: Batch,
    memories: Memories,
    lags: Lags,
    key: PRNGKeyArray,
) -> tuple[Trained, UpdateMetrics]:
    """Returns what `update_epochs` passes make of `start`, and the mean metrics of all steps.

    Each pass takes one step on every block of environments. Blocks are contiguous, so that taking one is a copy and no
    gather; environments are exchangeable, and what they hold changes with every segment. `minibatches_of` "samples"
    shuffles all samples before each pass, by the key, and takes blocks of those.

    Where something is not finite, parameters and optimizer are returned as they were.

    Args:
      config: static settings.
      params: traced settings, annealed to where the training is.
      actor: whose network it is.
      start: where the steps start from.
      batch: the segment.
      memories: recurrent states before it.
      lags: weights and statistics of the lags.
      key: of the order of samples.
    """
    optimizer = make_optimizer(config, params)
    loss_and_gradient = jax.value_and_grad(minibatch_loss, argnums=3, has_aux=True)

    def epoch(i: Array, trained: Trained) -> Trained:
        shuffled = batch
        if config.minibatches_of == "samples":
            shuffled = _shuffle(jax.random.fold_in(key, i), batch)
        return lax.fori_loop(0, config.num_minibatches, lambda j, trained: step(shuffled, j, trained), trained)

    def step(batch: Batch, i: Array, trained: Trained) -> Trained:
        block, memory = _block(i, config.num_minibatches, batch, memories)
        (_, metrics), gradient = loss_and_gradient(config, params, actor, trained.trainable, block, memory, lags)
        metrics = metrics._replace(grad_norm=optax.tree.norm(gradient))
        with jax.numpy_dtype_promotion("standard"):  # optax raises traced decay rates to integer powers
            change, opt_state = optimizer.update(gradient, trained.opt_state, trained.trainable)
        trainable = jax.tree.map(lambda x, dx: x + params.learning_rate * dx, trained.trainable, change)
        looked_at = [*metrics[:3], metrics.grad_norm, optax.tree.norm(trainable)]
        term = first_not_finite(looked_at, TERMS.index("policy loss"))
        sums = jax.tree.map(jnp.add, trained.sums, metrics)
        return Trained(trainable, opt_state, sums, jnp.where(trained.term >= 0, trained.term, term))

    num_epochs = jnp.maximum(jnp.round(jnp.asarray(params.update_epochs, jnp.float32)), 1.0).astype(jnp.int32)
    num_steps = num_epochs * config.num_minibatches
    end = lax.fori_loop(0, num_epochs, epoch, start)
    metrics = jax.tree.map(lambda total: total / num_steps.astype(jnp.float32), end.sums)
    trainable, opt_state = jax.tree.map(lambda new, old: jnp.where(end.term >= 0, old, new), end[:2], start[:2])
    return Trained(trainable, opt_state, end.sums, end.term), metrics


def _shuffle(key: PRNGKeyArray, batch: Batch) -> Batch:
    """Returns all samples in a random order, as one step of as many environments."""

    def flat(x: Array) -> Array:
        return x.reshape(1, -1, *x.shape[2:])

    order = jax.random.permutation(key, batch.log_prob.size)
    return jax.tree.map(lambda x: flat(x)[:, order], batch)


def _block(i: Array, num_blocks: int, batch: Batch, memories: Memories) -> tuple[Batch, Memories]:
    """Returns the i-th block of environments, or of samples."""
    if num_blocks == 1:
        return batch, memories

    def take(x: Array, axis: int) -> Array:
        size = x.shape[axis] // num_blocks
        return lax.dynamic_slice_in_dim(x, i * size, size, axis)

    return jax.tree.map(lambda x: take(x, 1), batch), jax.tree.map(lambda x: take(x, 0), memories)


def minibatch_loss(
    config: Config,
    params: Params,
    actor: Actor,
    trainable: Trainable,
    batch: Batch,
    memories: Memories,
    lags: Lags,
) -> tuple[Float[Array, ""], UpdateMetrics]:
    """Returns policy loss - entropy bonus + value loss, and its parts."""
    outputs, values = apply(actor, trainable, batch.obs, batch.first, *memories)
    log_prob = actor.distribution.log_prob(outputs, batch.action)
    entropy = jnp.mean(actor.distribution.entropy(outputs))
    policy = clipped_surrogate(log_prob, batch.log_prob, standardize(batch.targets.advantages), params.clip)
    of_values = value_loss(config, params, lags, trainable, batch.outcome, batch.targets, values)
    loss = policy.loss - params.entropy * entropy + of_values
    zero = jnp.zeros(())
    return loss, UpdateMetrics(policy.loss, of_values, entropy, policy.approx_kl, policy.clip_fraction, zero)
