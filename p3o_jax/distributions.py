"""Action distributions, chosen from an action space: static objects whose methods map network outputs to arrays.

Each has `num_outputs` (width of the policy head), `num_free` (outputs that do not depend on the state), `sample`,
`mode`, `log_prob`, `entropy`, and `to_env`, the map from what was sampled to what the environment takes.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

LOG_STD_RANGE = (-10.0, 5.0)
"""Range that training keeps the log standard deviation of a Gaussian policy in.

Where rewards ignore the action, the entropy bonus alone would raise it without end.
"""


@dataclass(frozen=True)
class Categorical:
    """One choice out of `num_actions`, the first of which the environment calls `start`; outputs are logits."""

    num_actions: int
    start: int = 0
    num_free = 0

    @property
    def num_outputs(self) -> int:
        """Width of the policy head."""
        return self.num_actions

    def sample(self, key: PRNGKeyArray, logits: Float[Array, "*b a"]) -> Int[Array, "*b"]:
        """Draw by the inverse of the cumulative distribution: one random number per sample instead of `num_actions`."""
        cumulative = jnp.cumsum(jax.nn.softmax(logits, axis=-1), axis=-1)[..., :-1]
        uniform = jax.random.uniform(key, (*logits.shape[:-1], 1), logits.dtype)
        return jnp.sum(uniform >= cumulative, axis=-1, dtype=jnp.int32)

    def mode(self, logits: Float[Array, "*b a"]) -> Int[Array, "*b"]:
        """Return the most likely action."""
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)

    def log_prob(self, logits: Float[Array, "*b a"], action: Int[Array, "*b"]) -> Float[Array, "*b"]:
        """Return the log probability as a masked sum: the gradient of a gather is a scatter, slow everywhere."""
        options = jnp.arange(self.num_actions, dtype=action.dtype).reshape((1,) * action.ndim + (-1,))
        chosen = action[..., None] == options
        return jnp.sum(jnp.where(chosen, jax.nn.log_softmax(logits, axis=-1), 0.0), axis=-1)

    def entropy(self, logits: Float[Array, "*b a"]) -> Float[Array, "*b"]:
        """Return the entropy in nats."""
        log_probs = jax.nn.log_softmax(logits, axis=-1)
        return -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)

    def to_env(self, action: Int[Array, "*b"]) -> Int[Array, "*b"]:
        """Return the action as the environment takes it."""
        return action + self.start if self.start else action


@dataclass(frozen=True)
class MultiCategorical:
    """Independent choices, `num_actions[i]` options each; outputs are their logits side by side.

    Attributes:
        num_actions: Options of each choice.
        start: What the environment calls the first option of each choice; () is 0 for all.
    """

    num_actions: tuple[int, ...]
    start: tuple[int, ...] = ()
    num_free = 0

    @property
    def num_outputs(self) -> int:
        """Width of the policy head."""
        return sum(self.num_actions)

    def _parts(self, logits: Float[Array, "*b a"]) -> list[tuple[Categorical, Float[Array, "*b n"]]]:
        ends = np.cumsum(self.num_actions)[:-1].tolist()
        return [(Categorical(part.shape[-1]), part) for part in jnp.split(logits, ends, axis=-1)]

    def sample(self, key: PRNGKeyArray, logits: Float[Array, "*b a"]) -> Int[Array, "*b k"]:
        """Draw every choice independently."""
        keys = jax.random.split(key, len(self.num_actions))
        return jnp.stack([part.sample(k, x) for k, (part, x) in zip(keys, self._parts(logits), strict=True)], axis=-1)

    def mode(self, logits: Float[Array, "*b a"]) -> Int[Array, "*b k"]:
        """Return the most likely option of every choice."""
        return jnp.stack([part.mode(x) for part, x in self._parts(logits)], axis=-1)

    def log_prob(self, logits: Float[Array, "*b a"], action: Int[Array, "*b k"]) -> Float[Array, "*b"]:
        """Return the log probability: the sum over choices."""
        log_probs = (part.log_prob(x, action[..., i]) for i, (part, x) in enumerate(self._parts(logits)))
        return sum(log_probs, jnp.zeros((), jnp.float32))

    def entropy(self, logits: Float[Array, "*b a"]) -> Float[Array, "*b"]:
        """Return the entropy in nats: the sum over choices."""
        return sum((part.entropy(x) for part, x in self._parts(logits)), jnp.zeros((), jnp.float32))

    def to_env(self, action: Int[Array, "*b k"]) -> Int[Array, "*b k"]:
        """Return the action as the environment takes it."""
        if not self.start:
            return action
        return action + jnp.broadcast_to(jnp.array(self.start, action.dtype), action.shape)


@dataclass(frozen=True)
class Gaussian:
    """Diagonal Gaussian; outputs are `size` means, then `size` log standard deviations shared by all states.

    Training keeps the latter within `LOG_STD_RANGE`, which ordinary trainings do not reach.

    The sample stays unbounded, and `to_env` clips it into [low, high] or, with `squash`, maps it there by tanh.
    Probabilities are those of the unbounded sample: the Jacobian of tanh is the same in both policies of a ratio, so
    that it cancels.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    shape: tuple[int, ...]
    squash: bool = False

    @property
    def num_free(self) -> int:
        """Outputs that do not depend on the state: the log standard deviations."""
        return len(self.low)

    @property
    def num_outputs(self) -> int:
        """Width of the policy head, without the free outputs."""
        return len(self.low)

    def sample(self, key: PRNGKeyArray, outputs: Float[Array, "*b a"]) -> Float[Array, "*b d"]:
        """Draw mean + std * standard normal."""
        mean, log_std = jnp.split(outputs, 2, axis=-1)
        return mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape, mean.dtype)

    def mode(self, outputs: Float[Array, "*b a"]) -> Float[Array, "*b d"]:
        """Return the mean."""
        return jnp.split(outputs, 2, axis=-1)[0]

    def log_prob(self, outputs: Float[Array, "*b a"], action: Float[Array, "*b d"]) -> Float[Array, "*b"]:
        """Return -(z^2 / 2 + log std + log(2 pi) / 2), summed over dimensions, with z = (action - mean) / std."""
        mean, log_std = jnp.split(outputs, 2, axis=-1)
        z = (action - mean) * jnp.exp(-log_std)
        return -jnp.sum(0.5 * z * z + log_std + 0.5 * math.log(2 * math.pi), axis=-1)

    def entropy(self, outputs: Float[Array, "*b a"]) -> Float[Array, "*b"]:
        """Return the entropy in nats of the unbounded sample."""
        return jnp.sum(jnp.split(outputs, 2, axis=-1)[1] + 0.5 * math.log(2 * math.pi * math.e), axis=-1)

    def to_env(self, action: Float[Array, "*b d"]) -> Float[Array, "..."]:
        """Return the action as the environment takes it: inside its bounds and in its shape."""
        bounds = (1,) * (action.ndim - 1) + (-1,)
        low = jnp.asarray(self.low, action.dtype).reshape(bounds)
        high = jnp.asarray(self.high, action.dtype).reshape(bounds)
        inside = low + (high - low) * (jnp.tanh(action) + 1) / 2 if self.squash else jnp.clip(action, low, high)
        return inside.reshape(*action.shape[:-1], *self.shape)


Distribution = Categorical | MultiCategorical | Gaussian


def from_space(space: Any, squash: bool = False) -> Distribution:
    """Return the distribution over an action space of any library: spaces are recognised by their attributes.

    Args:
        space: Discrete (`n`) or multi-discrete (`nvec`), both with `start` where actions do not count from 0, or a box
            (`low`, `high`, `shape`).
        squash: Whether actions in a box are bounded by tanh instead of clipping.

    Raises:
        ValueError: The space is none of these, or a box without finite bounds is to be squashed.
    """
    shape = tuple(getattr(space, "shape", None) or ())
    if hasattr(space, "n") and shape == ():
        return Categorical(int(space.n), int(getattr(space, "start", 0)))
    if hasattr(space, "nvec") and np.ndim(space.nvec) == 1:
        start = np.broadcast_to(getattr(space, "start", 0), np.shape(space.nvec))
        return MultiCategorical(tuple(int(n) for n in space.nvec), tuple(int(x) for x in start) if start.any() else ())
    if not hasattr(space, "low"):
        raise ValueError(f"`space` must be discrete, multi-discrete or a box; got {type(space).__name__}.")
    low = np.broadcast_to(np.asarray(space.low, np.float32), shape)
    high = np.broadcast_to(np.asarray(space.high, np.float32), shape)
    if squash and not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError(f"`squash` must be used with finite bounds; got [{low.min()}, {high.max()}].")
    return Gaussian(tuple(low.ravel().tolist()), tuple(high.ravel().tolist()), shape, squash)
