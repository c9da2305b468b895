"""Gradient steps on one segment: epochs over its minibatches, guarded against what is not finite."""

from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from p3o_jax.devices import divide
from p3o_jax.distributions import LOG_STD_RANGE
from p3o_jax.estimators.original import LOG_STD_RANGE as LAG_LOG_STD_RANGE
from p3o_jax.losses import clipped_surrogate, mean_of_valid, standardize
from p3o_jax.metrics import TERMS, UpdateMetrics
from p3o_jax.networks import Memories
from p3o_jax.rollout import Actor, Trainable, apply
from p3o_jax.settings import Config, Params

Tree = TypeVar("Tree")


class Batch(NamedTuple):
    """What gradient steps read of a segment, all of it cut into minibatches.

    Attributes:
        obs: What the network sees.
        first: Whether that is the first of an episode.
        action: The action that was sampled.
        log_prob: Its logarithmic probability then.
        advantages: Of the actions.
        targets: What the estimator's value loss reads, `Estimate.targets`.
        valid: Steps that are learnt from; None is all.
    """

    obs: Shaped[Array, "t b ..."]
    first: Bool[Array, "t b"]
    action: Shaped[Array, "t b ..."]
    log_prob: Float[Array, "t b"]
    advantages: Float[Array, "t b"]
    targets: Any
    valid: Bool[Array, "t b"] | None = None


class Trained(NamedTuple):
    """What gradient steps change.

    Attributes:
        trainable: Parameters.
        opt_state: State of the optimizer.
        sums: Sums of the metrics.
        term: What was first not finite, as an index into `TERMS`, or -1.
    """

    trainable: Trainable
    opt_state: Any
    sums: UpdateMetrics
    term: Int[Array, ""]


def make_optimizer(config: Config, params: Params) -> optax.GradientTransformation:
    """Return the optimizer for a learning rate of 1; steps multiply its changes by theirs."""
    b1, b2, eps = (jnp.asarray(x, jnp.float32) for x in (params.adam_b1, params.adam_b2, params.adam_eps))
    if config.optimizer == "adam":
        rule = optax.adam(1.0, b1, b2, eps)
    else:
        rule = optax.contrib.muon(1.0, beta=b1, eps=eps, adam_b1=b1, adam_b2=b2)
    return optax.chain(optax.clip_by_global_norm(params.max_grad_norm), rule)


def first_not_finite(values: list[Array], offset: int) -> Int[Array, ""]:
    """Return `offset` plus the index of the first array that is not finite throughout, or -1."""
    bad = jnp.stack([~jnp.all(jnp.isfinite(x)) for x in values])
    return jnp.where(jnp.any(bad), offset + jnp.argmax(bad).astype(jnp.int32), -1)


def gradient_steps(
    config: Config,
    params: Params,
    actor: Actor,
    start: Trained,
    batch: Batch,
    memories: Memories,
    shared: Any,
    key: PRNGKeyArray,
) -> tuple[Trained, UpdateMetrics]:
    """Return what `update_epochs` passes make of `start`, and the mean metrics of all steps.

    Each pass takes one step on every minibatch. With `minibatches_of` "environments" these are contiguous blocks of
    environments, so that taking one is a copy and no gather; environments are exchangeable, and what they hold changes
    with every segment. With "samples" all samples are shuffled by the key before each pass.

    Where something is not finite, parameters and optimizer are returned as they were.

    Args:
        config: Static settings.
        params: Traced settings, annealed to where the training is.
        actor: Whose network it is.
        start: Where the steps start from.
        batch: The segment.
        memories: Recurrent states before it.
        shared: What the estimator's value loss reads besides, `Estimate.shared`.
        key: Of the order of samples.
    """
    optimizer = make_optimizer(config, params)
    loss_and_gradient = jax.value_and_grad(minibatch_loss, argnums=3, has_aux=True)

    of_samples = config.minibatches_of == "samples"
    whole = batch if of_samples else _blocks(config, batch, 1)
    blocks_of_memory = _blocks(config, memories, 0)

    def epoch(i: Array, trained: Trained) -> Trained:
        blocks = _blocks(config, _shuffle(jax.random.fold_in(key, i), whole), 1) if of_samples else whole
        return lax.fori_loop(0, config.num_minibatches, lambda j, trained: step(blocks, j, trained), trained)

    def step(blocks: Batch, i: Array, trained: Trained) -> Trained:
        block, memory = _take(i, blocks, 1), _take(i, blocks_of_memory, 0)
        (_, metrics), gradient = loss_and_gradient(config, params, actor, trained.trainable, block, memory, shared)
        metrics = metrics._replace(grad_norm=optax.tree.norm(gradient))
        with jax.numpy_dtype_promotion("standard"):  # optax raises traced decay rates to integer powers
            change, opt_state = optimizer.update(gradient, trained.opt_state, trained.trainable)
        trainable = jax.tree.map(lambda x, dx: x + params.learning_rate * dx, trained.trainable, change)
        trainable = bound_log_stds(trainable)
        losses = [metrics.policy_loss, metrics.value_loss, metrics.entropy]
        looked_at = [*losses, metrics.grad_norm, optax.tree.norm(trainable)]
        term = first_not_finite(looked_at, TERMS.index("policy loss"))
        sums = jax.tree.map(jnp.add, trained.sums, metrics)
        return Trained(trainable, opt_state, sums, jnp.where(trained.term >= 0, trained.term, term))

    num_epochs = jnp.maximum(jnp.round(jnp.asarray(params.update_epochs, jnp.float32)), 1.0).astype(jnp.int32)
    num_steps = num_epochs * config.num_minibatches
    end = lax.fori_loop(0, num_epochs, epoch, start)
    metrics = jax.tree.map(lambda total: total / num_steps.astype(jnp.float32), end.sums)
    trainable, opt_state = jax.tree.map(
        lambda new, old: jnp.where(end.term >= 0, old, new),
        (end.trainable, end.opt_state),
        (start.trainable, start.opt_state),
    )
    return Trained(trainable, opt_state, end.sums, end.term), metrics


def bound_log_stds(trainable: Trainable) -> Trainable:
    """Return the parameters with all log standard deviations inside their ranges, those of Gaussian policies and lags.

    The parameters themselves are clipped after each step: clipped inside a loss they would lose their gradient, and not
    come back.
    """
    network = dict(trainable["params"])
    if "free" in network:
        network["free"] = jnp.clip(network["free"], *LOG_STD_RANGE)
    bounded = {**trainable, "params": network}
    if "log_std" in trainable:
        bounded["log_std"] = jnp.clip(trainable["log_std"], *LAG_LOG_STD_RANGE)
    return bounded


def _shuffle(key: PRNGKeyArray, batch: Batch) -> Batch:
    """Return all samples in a random order, as one step of as many environments."""

    def flat(x: Array) -> Array:
        return x.reshape(1, -1, *x.shape[2:])

    order = jax.random.permutation(key, batch.log_prob.size)
    return jax.tree.map(lambda x: flat(x)[:, order], batch)


def _blocks(config: Config, tree: Tree, axis: int) -> Tree:
    """Return arrays whose environments, along `axis`, are parted into minibatches, each divided among all devices."""

    def part(x: Array) -> Array:
        return x.reshape(*x.shape[:axis], config.num_minibatches, -1, *x.shape[axis + 1 :])

    return divide(jax.tree.map(part, tree), axis + 1)


def _take(i: Array, blocks: Tree, axis: int) -> Tree:
    """Return the i-th minibatch."""

    def take(x: Array) -> Array:
        only = x.shape[axis] == 1
        return lax.squeeze(x, [axis]) if only else lax.dynamic_index_in_dim(x, i, axis, keepdims=False)

    return jax.tree.map(take, blocks)


def minibatch_loss(
    config: Config,
    params: Params,
    actor: Actor,
    trainable: Trainable,
    batch: Batch,
    memories: Memories,
    shared: Any,
) -> tuple[Float[Array, ""], UpdateMetrics]:
    """Return the loss of a minibatch and its parts; steps that are not valid have no gradient.

    It is policy loss - entropy bonus + value loss, plus what the divergence from the policy that acted exceeds
    `Params.kl_limit` by. Beyond the bound of its ratio, an action has no gradient in the policy loss, and the momentum
    of the optimizer would carry the policy on; this term brings it back.
    """
    valid = batch.valid
    outputs, values = apply(actor, trainable, batch.obs, batch.first, *memories)
    log_prob = actor.distribution.log_prob(outputs, batch.action)
    entropy = mean_of_valid(actor.distribution.entropy(outputs), valid)
    policy = clipped_surrogate(log_prob, batch.log_prob, standardize(batch.advantages, valid), params.clip, valid)
    if valid is not None:
        values = jnp.where(valid[..., None], values, lax.stop_gradient(values))
    value_loss = config.estimator_object.value_loss(params, trainable, values, batch.targets, shared)
    if valid is not None:  # the estimators take means over all steps
        value_loss *= valid.size / jnp.maximum(jnp.sum(valid, dtype=jnp.float32), 1.0)
    excess = jnp.maximum(policy.approx_kl - params.kl_limit, 0.0)
    loss = policy.loss + excess - params.entropy * entropy + value_loss
    return loss, UpdateMetrics(
        policy_loss=policy.loss,
        value_loss=value_loss,
        entropy=entropy,
        approx_kl=policy.approx_kl,
        clip_fraction=policy.clip_fraction,
        grad_norm=jnp.zeros((), jnp.float32),  # known once the gradient is
    )
