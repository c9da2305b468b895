"""When, and on which rows, the surrogates of a sweep are fitted: their form, and the hyperparameters that come out."""

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from neocarbs_jax import gp
from neocarbs_jax.batching import anywhere
from neocarbs_jax.gp import warping
from neocarbs_jax.gp.fit import COST_NOISE, LABEL_NOISE, SCORE_NOISE
from neocarbs_jax.gp.warping import Standardizer
from neocarbs_jax.observations import Observations

_WARP_PRICES = {"linear": 0.0, "aggression": 3.0, "log": 3.0, "winsor": 3.0, "rank": 10.0}
_NOISES = (SCORE_NOISE, COST_NOISE, LABEL_NOISE)
BUCKETS = (64, 128)
"""Numbers of rows that surrogates are fitted on: the smallest that holds all, otherwise a spread of the largest."""
LUCK = 0.8
"""`Form.luck` of sweeps whose trials have curves: points of one curve share seed, network and environment."""


class Target(enum.IntEnum):
    """What is predicted; the index of arrays whose leading axis runs over the three surrogates."""

    SCORE = 0
    COST = 1
    SUCCESS = 2


@dataclasses.dataclass(frozen=True)
class Form:
    """The static form of the surrogates.

    Attributes:
        kernel_fn: of all three, with the prior of its parameters.
        warps: names of the score warps, the likeliest of which is taken.
        aggression: eps of the aggression warp.
        luck: share of the noise variance that the rows of one run have in common; 0 where each row is a run.
    """

    kernel_fn: gp.KernelBuilder = gp.MATERN_LINEAR
    warps: tuple[str, ...] = warping.WARPS
    aggression: float = 0.3
    luck: float = 0.0


class Fit(NamedTuple):
    """Hyperparameters of the surrogates, fitted when `count` rows had been entered.

    Attributes:
        count: that number.
        warp: index of the score warp among those of the form.
        hyperparameters: of each `Target`, along a leading axis.
    """

    count: Int[Array, ""]
    warp: Int[Array, ""]
    hyperparameters: gp.Hyperparameters


def unfitted(form: Form, num_axes: int) -> Fit:
    """Return the prior means."""
    dtype = jnp.zeros(()).dtype
    zero = jnp.zeros((), jnp.int32)
    modes = [gp.prior_mode(form.kernel_fn, num_axes, noise, dtype) for noise in _NOISES]
    return Fit(zero, zero, jax.tree.map(lambda *leaves: jnp.stack(leaves), *modes))


def last_checkpoint(count: Any) -> Any:
    """Return the latest number of rows, at most `count`, at which surrogates are refitted.

    Every row below 32, every 4th below 64, every 8th below 128, ...: fitting costs about the same share of the
    time at every n. It depends on nothing but the count, so a resumed sweep refits when it would have. NumPy in, NumPy
    out.
    """
    xp = count.__array_namespace__()
    period = xp.ones_like(count)
    for octave in range(5, 31):
        period = xp.where(count >= 2**octave, 2 ** (octave - 3), period)
    return (count // period) * period


def success_labels(observations: Observations) -> tuple[Float[Array, " n"], Bool[Array, " n"], Standardizer]:
    """Return the standardised labels of success, the rows that have one, and what standardised them."""
    known = observations.success | observations.failed
    label = jnp.where(observations.success, 1.0, -1.0).astype(observations.score.dtype)
    scale = warping.standardizer(label, known)
    return scale.forward(label), known, scale


def computed_targets(failed_anywhere: Bool[Array, ""], num_scores: int = 1) -> Bool[Array, " t"]:
    """Return which surrogates are computed: success only where something has failed."""
    yes = jnp.bool_(True)
    return jnp.stack([*(yes for _ in range(num_scores + 1)), failed_anywhere])


def fit(form: Form, rows: Observations, count: Int[Array, ""]) -> Fit:
    """Return a fit on some rows, in the order of their suggestion.

    Args:
        form: of the surrogates.
        rows: from `rows_to_fit`.
        count: number of rows entered, as `Fit.count`.
    """
    warps = warping.fit_warps(form.warps, rows.score, rows.success, form.aggression)
    warped = jax.vmap(lambda warp: warp.forward(rows.score))(warps)
    num_warps = warped.shape[0]
    log_cost = jnp.log(rows.cost)
    cost = warping.standardizer(log_cost, rows.success).forward(log_cost)
    label, labelled, _ = success_labels(rows)
    noises = (*(SCORE_NOISE for _ in range(num_warps)), COST_NOISE, LABEL_NOISE)
    noise = jax.tree.map(lambda *values: jnp.asarray(values, cost.dtype), *noises)
    masks = jnp.stack([*(rows.success for _ in range(num_warps + 1)), labelled])
    any_failed, correlation = jnp.any(rows.failed), noise_correlation(form, rows)

    def fit_one(task: tuple[Array, Array, Array, gp.Normal]) -> tuple[gp.Hyperparameters, Array]:
        wanted, target, mask, noise = task

        def fitted() -> tuple[gp.Hyperparameters, Array]:
            h = gp.fit(form.kernel_fn, rows.unit, target, mask, noise, correlation=correlation)
            return h, _loo_log_density(form, h, rows.unit, target, mask, correlation)

        prior = gp.prior_mode(form.kernel_fn, rows.unit.shape[1], noise, target.dtype), jnp.zeros((), target.dtype)
        return jax.lax.cond(wanted, fitted, lambda: prior)

    # One after the other: on a CPU a batch of matrices leaves the cache, and takes longer.
    targets = jnp.concatenate([warped, cost[None], label[None]])
    tasks = computed_targets(anywhere(any_failed), num_warps), targets, masks, noise
    fitted, log_density = jax.lax.map(fit_one, tasks)
    slopes = jax.vmap(lambda warp: warp.slope(rows.score))(warps)
    # Densities of the scores in their own units: that of the warped ones plus log dz/dy.
    evidence = log_density[:num_warps] + jnp.sum(jnp.where(rows.success[None, :], jnp.log(slopes), 0), axis=1)
    # A warp must earn its bends, in nats: on a few noisy scores the densities differ by chance, most for ranks, whose
    # bends are the scores themselves.
    price = jnp.asarray([_WARP_PRICES[kind] for kind in form.warps], cost.dtype)
    best = jnp.argmax(evidence - price).astype(jnp.int32)
    chosen = jnp.stack([best, jnp.int32(num_warps), jnp.int32(num_warps + 1)])
    hyperparameters = jax.tree.map(lambda a: a[chosen], fitted)
    start = gp.prior_mode(form.kernel_fn, rows.unit.shape[1], LABEL_NOISE, cost.dtype)
    keep = jnp.stack([jnp.bool_(True), jnp.bool_(True), any_failed])
    hyperparameters = jax.tree.map(lambda a, b: _where(keep, a, b[None]), hyperparameters, start)
    return Fit(count, best, hyperparameters)


def _where(keep: Bool[Array, " t"], a: Array, b: Array) -> Array:
    return jnp.where(keep.reshape(-1, *(1,) * (a.ndim - 1)), a, b)


def rows_to_fit(observations: Observations, count: Any, num_rows: int) -> Observations:
    """Return the first `count` rows, or `num_rows` of them at even distances; NumPy in, NumPy out."""
    xp = count.__array_namespace__()
    index = xp.arange(num_rows, dtype=xp.int32)
    index = xp.where(count > num_rows, index * count // num_rows, index)
    rows = jax.tree.map(lambda a: a[index], observations)
    return rows._replace(status=xp.where(index < count, rows.status, 0))


def noise_correlation(form: Form, rows: Observations) -> Float[Array, "n n"] | None:
    """Return how the noise of each pair of rows is correlated; None where none is."""
    if not form.luck:
        return None
    same = rows.run[:, None] == rows.run[None, :]
    eye = jnp.eye(rows.capacity, dtype=rows.score.dtype)
    return form.luck * same.astype(rows.score.dtype) + (1 - form.luck) * eye


def _loo_log_density(
    form: Form,
    h: gp.Hyperparameters,
    unit: Float[Array, "n d"],
    target: Float[Array, " n"],
    mask: Bool[Array, " n"],
    correlation: Float[Array, "n n"] | None,
) -> Float[Array, ""]:
    """Return the leave-one-out log density of the targets, up to a constant."""
    posterior = gp.condition(form.kernel_fn, h, unit, target, mask, correlation=correlation)
    z = (target - posterior.loo_mean) / posterior.loo_std
    return jnp.sum(jnp.where(mask, -0.5 * z * z - jnp.log(posterior.loo_std), 0))


def refit(form: Form, observations: Observations, fitted: Fit) -> Fit:
    """Return hyperparameters for the rows entered so far: refitted where a checkpoint was passed since the last fit.

    Fits run on the smallest of a few bucket sizes that holds the rows, so that young sweeps are quick.
    """
    capacity = observations.capacity
    checkpoint = last_checkpoint(observations.num_entered)
    num_rows = jnp.minimum(checkpoint, observations.num_rows)
    sizes = bucket_sizes(capacity)
    index = jnp.asarray(sum((num_rows > size).astype(jnp.int32) for size in sizes[:-1]), jnp.int32)

    def run() -> Fit:
        branches = [lambda n=n: fit(form, rows_to_fit(observations, num_rows, n), checkpoint) for n in sizes]
        return jax.lax.switch(index, branches)

    return jax.lax.cond(checkpoint > fitted.count, run, lambda: fitted)


def bucket_sizes(capacity: int) -> Sequence[int]:
    """Return the numbers of rows that fits of a buffer are made on, ascending."""
    sizes = [size for size in BUCKETS if size < capacity]
    return [*sizes, min(capacity, BUCKETS[-1])] if len(sizes) < len(BUCKETS) else sizes
