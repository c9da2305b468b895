"""Spaces of actions and observations, which can draw and check values under jit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray, Shaped

from p3o_jax.checks import check_at_least


@dataclass(frozen=True)
class Discrete:
    """The integers from 0 to n - 1."""

    n: int

    def __post_init__(self):
        check_at_least(1, n=self.n)

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    @property
    def dtype(self) -> Any:
        return jnp.int32

    def sample(self, key: PRNGKeyArray) -> Int[Array, ""]:
        """Draw an integer uniformly."""
        return jax.random.randint(key, (), 0, self.n, jnp.int32)

    def contains(self, x: Shaped[Array, ""]) -> Bool[Array, ""]:
        """Return whether `x` is one of the integers."""
        return (x >= 0) & (x < self.n)


@dataclass(frozen=True)
class MultiDiscrete:
    """Several independent integers. The i-th is from 0 to nvec[i] - 1."""

    nvec: tuple[int, ...]

    def __post_init__(self):
        if not self.nvec or min(self.nvec) < 1:
            raise ValueError(f"`nvec` must hold at least one size, each at least 1; got {self.nvec}.")

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.nvec),)

    @property
    def dtype(self) -> Any:
        return jnp.int32

    def sample(self, key: PRNGKeyArray) -> Int[Array, " k"]:
        """Draw each integer uniformly."""
        return jax.random.randint(key, self.shape, 0, jnp.array(self.nvec, jnp.int32), jnp.int32)

    def contains(self, x: Shaped[Array, " k"]) -> Bool[Array, ""]:
        """Return whether every component of `x` is in its range."""
        return jnp.all((x >= 0) & (x < jnp.array(self.nvec)))


Bound = float | np.ndarray
"""One number for all elements of a box, or an array of its shape."""


@dataclass(frozen=True, eq=False)
class Box:
    """Arrays of one shape whose elements are from low to high. Infinite bounds mean that there is none.

    Attributes:
        low: Smallest value, one for all elements or an array that broadcasts to `shape`.
        high: Largest value, likewise.
        shape: Of the arrays.
        dtype: Of the arrays.
    """

    low: Bound
    high: Bound
    shape: tuple[int, ...]
    dtype: Any = jnp.float32

    def __post_init__(self):
        object.__setattr__(self, "shape", tuple(self.shape))
        for field in ("low", "high"):
            if np.ndim(bound := getattr(self, field)) > 0:
                object.__setattr__(self, field, _broadcast(field, bound, self.shape))
        if not np.all(np.asarray(self.low) <= np.asarray(self.high)):
            raise ValueError(f"`low` must not exceed `high`; got {self.low} and {self.high}.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Box) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        bounds = (np.broadcast_to(np.asarray(bound, np.float64), self.shape) for bound in (self.low, self.high))
        return (*(bound.tobytes() for bound in bounds), self.shape, jnp.dtype(self.dtype))

    def sample(self, key: PRNGKeyArray) -> Shaped[Array, "*shape"]:
        """Draw every element uniformly, or from a standard normal distribution where a bound of it is infinite."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        if jnp.issubdtype(self.dtype, jnp.integer):
            low, high = low.astype(np.int32), high.astype(np.int32) + 1
            return jax.random.randint(key, self.shape, low, high, jnp.int32).astype(self.dtype)
        bounded = np.isfinite(low) & np.isfinite(high)
        start, end = (jnp.asarray(x, self.dtype) for x in (np.where(bounded, low, 0), np.where(bounded, high, 1)))
        uniform = jax.random.uniform(key, self.shape, self.dtype, start, end)
        if bounded.all():
            return uniform
        start, end = (jnp.asarray(x, self.dtype) for x in (low, high))
        normal = jnp.clip(jax.random.normal(key, self.shape, self.dtype), start, end)
        return jnp.where(np.broadcast_to(bounded, self.shape), uniform, normal)

    def contains(self, x: Shaped[Array, "*shape"]) -> Bool[Array, ""]:
        """Return whether every element of `x` is within the bounds."""
        low, high = (x if np.ndim(x) == 0 else jnp.asarray(x, self.dtype) for x in (self.low, self.high))
        return jnp.all((x >= low) & (x <= high))


def _broadcast(name: str, bound: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return a bound as an array of a shape, which cannot be written to."""
    try:
        return np.broadcast_to(np.asarray(bound), shape)
    except ValueError as error:
        raise ValueError(f"`{name}` must broadcast to `shape`; got {np.shape(bound)} and {shape}.") from error


def gymnax_space(space: Any) -> Any:
    """Return the same space as one of gymnax's classes; theirs pass unchanged.

    Raises:
        ModuleNotFoundError: gymnax is not installed.
        ValueError: gymnax has no such space: it knows no multi-discrete one.
    """
    try:
        from gymnax.environments import spaces
    except ModuleNotFoundError as error:
        if error.name != "gymnax":
            raise
        message = "gymnax is needed here: pip install 'neocarbs-p3o[gymnax]'."
        raise ModuleNotFoundError(message, name="gymnax") from error
    if isinstance(space, Discrete):
        return spaces.Discrete(space.n)
    if isinstance(space, Box):
        bounds: list[Any] = [x if np.ndim(x) == 0 else jnp.asarray(x) for x in (space.low, space.high)]
        low, high = bounds
        return spaces.Box(low, high, space.shape, space.dtype)
    if isinstance(space, spaces.Space):
        return space
    raise ValueError(f"`space` must be discrete or a box for gymnax; got {space!r}.")
