"""Spaces of actions and observations, which can draw and check values under jit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray, Shaped


@dataclass(frozen=True)
class Discrete:
    """The integers from 0 to n - 1."""

    n: int

    def __post_init__(self):
        if self.n < 1:
            raise ValueError(f"`n` must be at least 1; got {self.n}.")

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


@dataclass(frozen=True)
class Box:
    """Arrays of one shape whose elements are from low to high. Infinite bounds mean that there is none."""

    low: float
    high: float
    shape: tuple[int, ...]
    dtype: Any = jnp.float32

    def __post_init__(self):
        if not self.low <= self.high:
            raise ValueError(f"`low` must not exceed `high`; got {self.low} and {self.high}.")

    def sample(self, key: PRNGKeyArray) -> Shaped[Array, "*shape"]:
        """Draw every element uniformly, or from a standard normal distribution if a bound is infinite."""
        if jnp.issubdtype(self.dtype, jnp.integer):
            return jax.random.randint(key, self.shape, int(self.low), int(self.high) + 1).astype(self.dtype)
        if math.isinf(self.low) or math.isinf(self.high):
            return jnp.clip(jax.random.normal(key, self.shape, self.dtype), self.low, self.high)
        return jax.random.uniform(key, self.shape, self.dtype, self.low, self.high)

    def contains(self, x: Shaped[Array, "*shape"]) -> Bool[Array, ""]:
        """Return whether every element of `x` is within the bounds."""
        return jnp.all((x >= self.low) & (x <= self.high))
