"""The pass over the bands' predictions as a Pallas kernel for NVIDIA GPUs, on the Triton backend.

It stands beside `triton.py`, shares the call with it, and goes with it when that backend goes.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu
from jaxtyping import Array, Float

from p3o_jax.devices import by_environment
from p3o_jax.ops.triton import call_kernel, power_of_two_divisor
from p3o_jax.segment import Segment


@by_environment((1, None, None, 1, 0, None, 1), (1, 1, 1))
def band_pass(
    mean: Float[Array, "T B K"],
    widths: Float[Array, " K"],
    weights: Float[Array, " K"],
    segment: Segment,
    last_mean: Float[Array, "B K"],
    decay: Float[Array, ""],
    truncated_mean: Float[Array, "T B K"] | None,
    interpret: bool,
) -> tuple[Float[Array, "T B"], Float[Array, "T B"], Float[Array, "T B K"]]:
    """Return advantages, returns and targets, reading every prediction once.

    Args:
        mean: Prediction of each band.
        widths: Width of each band, in steps.
        weights: Weight of each band.
        segment: Rewards and ends.
        last_mean: Prediction at the observation that follows the segment.
        decay: Share of the error that the step before keeps, 1 - tau.
        truncated_mean: Predictions at the final observations of truncated episodes, or None.
        interpret: Whether to run the kernel without a GPU.
    """
    num_steps, num_envs, _ = mean.shape
    num_rows = power_of_two_divisor(num_envs, 32)  # one environment per thread of a warp
    ends = jnp.where(segment.terminated, 2, segment.truncated.astype(jnp.int32))
    operands = [mean, jnp.stack([1.0 - 1.0 / widths, 1.0 / widths, weights]), decay.reshape(1)]
    operands += [segment.rewards, ends, last_mean]
    operands += [] if truncated_mean is None else [truncated_mean]
    kernel = partial(_band_kernel, shape=mean.shape, num_rows=num_rows, has_final=truncated_mean is not None)
    number = jax.ShapeDtypeStruct((num_steps, num_envs), jnp.float32)
    out_shape = [number, number, jax.ShapeDtypeStruct(mean.shape, jnp.float32)]
    advantages, returns, targets = call_kernel(kernel, interpret, 1, (num_envs // num_rows,), out_shape, *operands)
    return advantages, returns, targets


def _band_kernel(mean, by_band, decay, rewards, ends, last_mean, *refs, shape, num_rows, has_final):
    """Go back in time over a block of environments, with K numbers of each held in registers."""
    num_steps, _, num_bands = shape
    *final, advantages, returns, targets = refs
    env = pl.program_id(0) * num_rows + jnp.arange(num_rows, dtype=jnp.int32)
    one = jnp.arange(1, dtype=jnp.int32)
    kept = plgpu.load(decay.at[one])
    keep, feed, weight = ([plgpu.load(by_band.at[i, k + one]) for k in range(num_bands)] for i in range(3))

    def load(ref: Any, *index: Any) -> list[Array]:
        """Return the bands of every environment; what one thread reads of a line, its neighbours find in the cache."""
        return [plgpu.load(ref.at[(*index, env, k)]).astype(jnp.float32) for k in range(num_bands)]

    def flow(y: list[Array], k: int) -> Array:
        """Return (A y)[k]."""
        stays = keep[k] * y[k]
        return stays + feed[k - 1] * y[k - 1] if k else stays

    def step(i: Array, y: list[Array]) -> list[Array]:
        t = num_steps - 1 - i
        mean_t, reward, end = load(mean, t), plgpu.load(rewards.at[t, env]), plgpu.load(ends.at[t, env])
        beyond = load(final[0], t) if has_final else []
        advantage, total, before = jnp.zeros(num_rows, jnp.float32), jnp.zeros(num_rows, jnp.float32), []
        for k in range(num_bands):
            reward_k = reward if k == 0 else jnp.zeros_like(reward)
            if has_final:
                cut = flow(beyond, k)
            else:  # a target that is the prediction is no error
                cut = mean_t[k] - reward_k if k else jnp.where(keep[0] > 0.0, mean_t[0] - reward, 0.0)
            target = reward_k + jnp.where(end == 2, 0.0, jnp.where(end == 1, cut, flow(y, k)))
            error = target - mean_t[k]
            plgpu.store(targets.at[t, env, k], target)
            advantage, total = advantage + weight[k] * error, total + weight[k] * target
            before.append(mean_t[k] + kept * error)
        plgpu.store(advantages.at[t, env], advantage)
        plgpu.store(returns.at[t, env], total)
        return before

    lax.fori_loop(0, num_steps, step, load(last_mean))
