"""Evidence that the action changes later rewards: signal and noise of each band's part of the policy gradient.

Band k, or group k of lags, contributes g_k = E[sum_t E_t[k] grad log pi(a_t | s_t)] to the policy gradient. On the
kernel of the policy's last layer the gradient of log pi is an outer product of two small vectors, so that its estimates
from parts of a batch cost little. Parts hold different environments: their noise is independent, and the mean of
<y_g, y_h> over pairs g != h estimates |g_k|^2 without bias, however small the batch is.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

MAX_PARTS = 16
"""Parts of a batch whose gradients are compared; 120 pairs of them."""

MIN_PARTS = 4
"""Fewer parts, of 6 pairs, say too little of their own noise."""

REFERENCE = 8192
"""Samples that are looked at together: gradients of smaller batches are pooled until they amount to as many."""

RATIO = 0.4
"""Ratio of signal to noise that a band which counts is taken to have."""

BOUND = 6.0
"""Largest logarithm of the odds that a band counts, and minus the smallest: what was learnt can be unlearnt."""

FLOOR = 0.02
"""Added to all probabilities, so that bands are alike as long as no one is seen to count."""


class Score(NamedTuple):
    """Gradient of log pi(a_t | s_t) on the kernel of the policy's last layer, as the factors of an outer product.

    The batch is divided into parts g of r rows each that hold different environments.

    Attributes:
        outputs: Gradient with respect to the layer's outputs.
        features: The layer's inputs.
        valid: Rows that are learnt from; None is all.
    """

    outputs: Float[Array, "t g r o"]
    features: Float[Array, "t g r w"]
    valid: Bool[Array, "t g r"] | None = None


class Evidence(NamedTuple):
    """What is held of each band.

    Attributes:
        log_odds: Logarithm of the odds that the action changes the band enough to count.
        ratio: Latest ratio of signal to noise.
        pool: Sum of the gradients of earlier batches, older ones less, or () if a batch is large enough by itself.
    """

    log_odds: Float[Array, " k"]
    ratio: Float[Array, " k"]
    pool: Float[Array, "g k d"] | tuple[()]


def init_evidence(num_bands: int, parts: int, size: int, num_samples: int) -> Evidence:
    """Return even odds.

    Args:
        num_bands: Number of bands.
        parts: Of a batch.
        size: Numbers of the last layer's kernel.
        num_samples: Of a batch.
    """
    zeros = jnp.zeros(num_bands, jnp.float32)
    pool = jnp.zeros((parts, num_bands, size), jnp.float32) if num_samples < REFERENCE else ()
    return Evidence(zeros, zeros, pool)


def num_parts(num_envs: int) -> int:
    """Return how many parts a batch is divided into: the largest divisor that is at most `MAX_PARTS`."""
    return max(d for d in range(1, min(num_envs, MAX_PARTS) + 1) if num_envs % d == 0)


def part_gradients(errors: Float[Array, "t b k"], score: Score) -> Float[Array, "g k d"]:
    """Return the sum over each part of (E_t[k] - mean) grad log pi, both over the rows that are learnt from.

    Args:
        errors: E of each band.
        score: Of the same steps.
    """
    num_steps, parts, rows, outputs = score.outputs.shape
    errors = errors.reshape(num_steps, parts, rows, -1)
    valid = jnp.ones((), bool) if score.valid is None else score.valid[..., None]
    count = jnp.maximum(jnp.sum(jnp.broadcast_to(valid, errors[..., :1].shape), dtype=jnp.float32), 1.0)
    mean = jnp.sum(jnp.where(valid, errors, 0.0), axis=(0, 1, 2), keepdims=True) / count
    centred = jnp.where(valid, errors - mean, 0.0)
    product = centred[..., :, None] * score.outputs[..., None, :]
    by_part = jnp.einsum("tgrko,tgrw->gkow", product, score.features)
    return by_part.reshape(parts, -1, outputs * score.features.shape[-1])


def signal_to_noise(gradients: Float[Array, "g k d"]) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """Return the ratio of signal to noise of a batch, and the standard error that it has where there is no signal.

    With G parts, signal is the mean of <y_g, y_h> over pairs, noise the mean of |y_g|^2 less that; the ratio for the
    sum over parts is G times theirs. Bands without any error have neither. The standard error is measured by how
    <y_g, y_h> differ between pairs: where there is a signal, it is somewhat larger than without.
    """
    parts = gradients.shape[0]
    gram = jnp.einsum("gkd,hkd->kgh", gradients, gradients, precision=lax.Precision.HIGHEST)
    square = jnp.mean(jnp.diagonal(gram, axis1=1, axis2=2), axis=1)
    others = ~jnp.eye(parts, dtype=bool)[None]
    num_pairs = parts * (parts - 1) / 2
    signal = jnp.sum(jnp.where(others, gram, 0.0), axis=(1, 2)) / (2 * num_pairs)
    offset = jnp.where(others, gram - signal[:, None, None], 0.0)
    error = jnp.sqrt(jnp.sum(offset**2, axis=(1, 2)) / 2) / num_pairs
    noise = jnp.maximum(square - signal, 1e-6 * square)
    noise = jnp.where(noise > 0, noise, 1.0)
    return parts * signal / noise, parts * error / noise


def update_evidence(evidence: Evidence, errors: Float[Array, "t b k"], score: Score) -> Evidence:
    """Return the evidence with one more batch: a sequential test of ratio = `RATIO` against ratio = 0 for each band.

    The measured ratio r has the standard error e where there is no signal, so that a batch adds RATIO (r - RATIO / 2) /
    e^2 to the logarithm of the odds. Where batches are small, their pool is looked at, and adds its share.

    Args:
        evidence: So far.
        errors: E of each band.
        score: Of the same steps.
    """
    share = min(1.0, errors.shape[0] * errors.shape[1] / REFERENCE)
    gradients, pool = part_gradients(errors, score), evidence.pool
    if not isinstance(pool, tuple):
        kept = (1.0 - share) / (1.0 + share)  # signal and noise of the sum are then those of 1 / share batches
        gradients = pool = kept * pool + gradients
    ratio, error = signal_to_noise(gradients)
    information = jnp.where(error > 0, share / jnp.where(error > 0, error, 1.0) ** 2, 0.0)
    log_odds = evidence.log_odds + RATIO * (ratio - RATIO / 2) * information
    return Evidence(jnp.clip(log_odds, -BOUND, BOUND), ratio, pool)


def evidence_gate(evidence: Evidence) -> Float[Array, " k"]:
    """Return the factor of each band's weight: 1 up to the last band that is seen to count, and nearly 0 beyond it.

    g_k = (p_k + FLOOR) / (p_0 + FLOOR), where p_k is the largest probability of a band from k on: what comes before a
    band that counts counts too, because later rewards follow from earlier states.
    """
    probability = lax.cummax(1.0 / (1.0 + jnp.exp(-evidence.log_odds)), reverse=True)
    return (probability + FLOOR) / (probability[0] + FLOOR)
