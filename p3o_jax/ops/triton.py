"""P3O's two passes over the predictions as Pallas kernels for NVIDIA GPUs, on the Triton backend.

The one file to replace when that backend goes: nothing else here knows of it. Why the kernels are as they are, and how
to check them without a GPU: `docs/reports/kernels.md`.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu
from jaxtyping import Array, Float

from p3o_jax.devices import SUM, by_environment
from p3o_jax.segment import Segment

ANYWHERE = pl.BlockSpec(memory_space=pl.ANY)


def call_kernel(
    kernel, interpret: bool, num_warps: int, grid: tuple[int, ...], out_shape: list, *operands: Array
) -> list:
    """Run `kernel` over `grid` with every operand whole: the kernels address them themselves."""
    return pl.pallas_call(
        kernel,
        out_shape=out_shape,
        grid=grid,
        in_specs=[ANYWHERE] * len(operands),
        out_specs=[ANYWHERE] * len(out_shape),
        compiler_params=plgpu.CompilerParams(num_warps=num_warps, num_stages=1),
        interpret=interpret,
    )(*operands)


def power_of_two_divisor(number: int, largest: int) -> int:
    """Return the largest power of two that divides `number` and is at most `largest`."""
    return next(2**k for k in range(largest.bit_length() - 1, -1, -1) if number % 2**k == 0)


@by_environment((1, None, 1, 0, None, 1), (1, 1))
def advantage_pass(
    mean: Float[Array, "T B H"],
    weights: Float[Array, " H"],
    segment: Segment,
    last_mean: Float[Array, "B H"],
    decay: Float[Array, ""] | Float[Array, " H"],
    truncated_mean: Float[Array, "T B H"] | None,
    interpret: bool,
) -> tuple[Float[Array, "T B"], Float[Array, "T B"]]:
    """Return advantages and returns, reading every prediction once and writing two numbers per step.

    Args:
        mean: Reward predicted at each lag.
        weights: Weight of each lag.
        segment: Rewards and ends.
        last_mean: Prediction at the observation that follows the segment.
        decay: Share of the error at lag j that lag j + 1 of the step before keeps, for all lags or for each.
        truncated_mean: Predictions at the final observations of truncated episodes, or None.
        interpret: Whether to run the kernel without a GPU.
    """
    num_steps, num_envs, horizon = mean.shape
    num_slots = pl.next_power_of_2(horizon)
    # A warp by itself needs no barrier for its sums. More environments share one when all warps still fit the GPU, of
    # about 132 multiprocessors with 32 programs each; steps are loaded ahead until about 48 kB are under way on each.
    num_rows = power_of_two_divisor(num_envs, max(1, min(256 // num_slots, num_envs // 4096)))
    resident = min(32, pl.cdiv(num_envs // num_rows, 132))
    ahead = pl.next_power_of_2(pl.cdiv(48 * 1024 // 4, resident * num_rows * num_slots))
    ends = jnp.where(segment.terminated, 2, segment.truncated.astype(jnp.int32))
    operands = [mean, weights.astype(jnp.float32), decay.reshape(-1)]
    operands += [segment.rewards.T, ends.T, last_mean]
    operands += [] if truncated_mean is None else [truncated_mean]
    kernel = partial(
        _advantage_kernel,
        shape=mean.shape,
        num_slots=num_slots,
        num_rows=num_rows,
        unroll=power_of_two_divisor(num_steps, min(8, ahead)),
        has_final=truncated_mean is not None,
    )
    out = jax.ShapeDtypeStruct((num_steps, num_envs), jnp.float32)
    advantages, returns = call_kernel(kernel, interpret, 1, (num_envs // num_rows,), [out, out], *operands)
    return advantages, returns


def _advantage_kernel(
    mean, weights, decay, rewards, ends, last_mean, *refs, shape, num_slots, num_rows, unroll, has_final
):
    """Go back in time over a block of environments, the target of reward k held in slot k mod `num_slots`."""
    num_steps, _, horizon = shape
    *final, advantages, returns = refs
    slot = jnp.arange(num_slots, dtype=jnp.int32)
    env = pl.program_id(0) * num_rows + jnp.arange(num_rows, dtype=jnp.int32)
    whole = horizon == num_slots
    common_decay = plgpu.load(decay.at[jnp.arange(1, dtype=jnp.int32)])

    def load(ref: Any, index: tuple, lag: Array, mask: Array | None = None) -> Array:
        """Return `ref` at `index` and each of the lags, 0 where there is no such lag."""
        inside = None if whole else lag < horizon
        mask = inside if mask is None else mask if inside is None else mask & inside
        return plgpu.load(ref.at[(*index, lag)], mask=mask, other=None if mask is None else 0.0).astype(jnp.float32)

    def advance(target: Array, t: Array, mean_t: Array, reward: Array, end: Array) -> tuple[Array, Array, Array]:
        """Return the slots for the step before, and what is written for this one."""
        lag = (slot - t) & (num_slots - 1)
        first = lag[None, :] == 0
        beyond = mean_t
        if has_final:
            before = jnp.maximum(lag - 1, 0)[None, :]
            beyond = load(final[0], (t, env[:, None]), before, (end == 1)[:, None] & ~first)
        target = jnp.where((end == 1)[:, None], beyond, target)
        target = jnp.where((end == 2)[:, None], 0.0, target)
        target = jnp.where(first, reward[:, None], target)
        weight = load(weights, (), lag)[None, :]
        error = target - mean_t
        kept = common_decay if decay.shape == (1,) else load(decay, (), lag)
        return mean_t + kept[None, :] * error, jnp.sum(weight * error, axis=1), jnp.sum(weight * target, axis=1)

    def block(i: Array, target: Array) -> Array:
        """Load several steps before the first is used: the time of a load is several steps' work."""
        steps = [num_steps - 1 - i * unroll - k for k in range(unroll)]
        loaded = [
            (
                load(mean, (t, env[:, None]), ((slot - t) & (num_slots - 1))[None, :]),
                plgpu.load(rewards.at[env, t]),
                plgpu.load(ends.at[env, t]),
            )
            for t in steps
        ]
        for t, inputs in zip(steps, loaded, strict=True):
            target, advantage, total = advance(target, t, *inputs)
            plgpu.store(advantages.at[t, env], advantage)
            plgpu.store(returns.at[t, env], total)
        return target

    last = load(last_mean, (env[:, None],), ((slot - num_steps) & (num_slots - 1))[None, :])
    lax.fori_loop(0, num_steps // unroll, block, last)


@by_environment((1, 1, None, (None, None, 1)), (SUM, SUM, 1))
def value_pass(
    mean: Float[Array, "T B H"],
    segment: Segment,
    precision: Float[Array, " H"],
    total: tuple[Float[Array, " H"], Float[Array, ""], Float[Array, "T B"]] | None,
    with_gradient: bool,
    interpret: bool,
) -> tuple[Float[Array, " H"], Float[Array, ""], Float[Array, "T B H"] | None]:
    """Return each lag's sum of squared errors, the sum of (s - returns)^2, and the gradient if asked for.

    With e = mean - reward at known lags, 0 at others, and s = sum_j weights_j mean_j over all lags, the gradient of a
    prediction is precision_j e + aggregate (s - returns) weights_j.

    Args:
        mean: Reward predicted at each lag.
        segment: Rewards, and how many lags are known; without `total`, predictions of the others are not read.
        precision: Factor of the squared errors.
        total: Weight of each lag in s, the factor of (s - returns)^2, and returns; or None for no such term.
        with_gradient: Whether to write the gradient, in the dtype of `mean`.
        interpret: Whether to run the kernel without a GPU.
    """
    num_steps, num_envs, horizon = mean.shape
    num_lanes = pl.next_power_of_2(horizon)
    num_rows = max(1, min(1024 // num_lanes, pl.next_power_of_2(num_steps)))  # 8 numbers per thread
    num_tiles = max(1, min(128, num_steps) // num_rows)
    grid = (num_envs, pl.cdiv(num_steps, num_rows * num_tiles))
    kernel = partial(
        _value_kernel,
        shape=mean.shape,
        num_lanes=num_lanes,
        num_rows=num_rows,
        num_tiles=num_tiles,
        sector=32 // mean.dtype.itemsize,
        has_total=total is not None,
    )
    out_shape = [
        jax.ShapeDtypeStruct((*grid, num_lanes), jnp.float32),
        jax.ShapeDtypeStruct(grid, jnp.float32),
        jax.ShapeDtypeStruct(mean.shape, mean.dtype),
    ][: 3 if with_gradient else 2]
    operands = [mean, segment.rewards.T, segment.num_rewards.T, segment.num_known.T, precision]
    if total is not None:
        weights, aggregate, returns = total
        operands += [weights, aggregate.reshape(1), returns.astype(jnp.float32).T]
    squares, excess, *gradient = call_kernel(kernel, interpret, 4, grid, out_shape, *operands)
    return jnp.sum(squares, axis=(0, 1))[:horizon], jnp.sum(excess), gradient[0] if gradient else None


def _value_kernel(
    mean, rewards, num_rewards, num_known, precision, *refs, shape, num_lanes, num_rows, num_tiles, sector, has_total
):
    """Take one environment through `num_tiles` tiles of `num_rows` steps, so that windows overlap in the cache."""
    num_steps, _, horizon = shape
    num_total = 3 if has_total else 0
    total, (squares, excesses, *gradient) = refs[:num_total], refs[num_total:]
    env, chunk = pl.program_id(0), pl.program_id(1)
    lag = jnp.arange(num_lanes, dtype=jnp.int32)
    inside = lag < horizon
    first_of_sector = (lax.div(lag, jnp.int32(sector)) * sector)[None, :]

    def by_lag(ref: Any) -> Array:
        return plgpu.load(ref.at[lag], mask=inside, other=0.0)[None, :]

    precision_j = by_lag(precision)
    factors = [by_lag(total[0]), plgpu.load(total[1].at[jnp.arange(1, dtype=jnp.int32)])] if has_total else []

    def tile(i: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        step = (chunk * num_tiles + i) * num_rows + jnp.arange(num_rows, dtype=jnp.int32)
        valid = step < num_steps
        seen = plgpu.load(num_rewards.at[env, step], mask=valid, other=0)[:, None]
        known = plgpu.load(num_known.at[env, step], mask=valid, other=0)[:, None]
        # Whole sectors: a mask that changes from lag to lag would make scalars of the 16-byte loads.
        read = first_of_sector < (jnp.where(valid, horizon, 0)[:, None] if has_total else known)
        if horizon % sector:  # the last sector runs into the next row, and at the end out of the array
            read &= inside[None, :]
        mean_tj = plgpu.load(mean.at[step[:, None], env, lag[None, :]], mask=read, other=0.0).astype(jnp.float32)
        when = step[:, None] + lag[None, :]
        window = plgpu.load(rewards.at[env, when], mask=lag[None, :] < seen, other=0.0)
        error = jnp.where(lag[None, :] < known, mean_tj - window, 0.0)
        slope, excess = precision_j * error, jnp.zeros(num_rows, jnp.float32)
        if has_total:
            weight_j, factor = factors
            excess = jnp.sum(weight_j * mean_tj, axis=1) - plgpu.load(total[2].at[env, step], mask=valid, other=0.0)
            slope += weight_j * (factor * excess)[:, None]
        if gradient:
            plgpu.store(
                gradient[0].at[step[:, None], env, lag[None, :]],
                slope.astype(gradient[0].dtype),
                mask=valid[:, None] & inside[None, :],
            )
        return sums[0] + error**2, sums[1] + excess**2

    zeros = jnp.zeros((num_rows, num_lanes), jnp.float32), jnp.zeros(num_rows, jnp.float32)
    error_squares, excess_squares = lax.fori_loop(0, num_tiles, tile, zeros)
    plgpu.store(squares.at[env, chunk, lag], jnp.sum(error_squares, axis=0))
    plgpu.store(excesses.at[env, chunk], jnp.sum(excess_squares))
