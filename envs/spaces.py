"""Spaces of actions and observations: hashable descriptions that can sample and check values under jit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray, Shaped


@dataclass(frozen=True)
class Discrete:
    """The integers 0 .. n - 1."""

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
        """Draw uniformly."""
        return jax.random.randint(key, (), 0, self.n)

    def contains(self, x: Shaped[Array, ""]) -> Bool[Array, ""]:
        """Whether `x` is one of the integers."""
        return (x >= 0) & (x < self.n)


@dataclass(frozen=True)
class MultiDiscrete:
    """Independent integers, the i-th in 0 .. nvec[i] - 1."""

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
        """Draw each component uniformly."""
        return jax.random.randint(key, self.shape, 0, jnp.array(self.nvec))

    def contains(self, x: Shaped[Array, " k"]) -> Bool[Array, ""]:
        """Whether every component of `x` is inside its range."""
        return jnp.all((x >= 0) & (x < jnp.array(self.nvec)))


@dataclass(frozen=True)
class Box:
    """Arrays of one shape with every element in [low, high]; infinite bounds mean unbounded."""

    low: float
    high: float
    shape: tuple[int, ...]
    dtype: Any = jnp.float32

    def __post_init__(self):
        if not self.low <= self.high:
            raise ValueError(f"`low` must not exceed `high`; got {self.low} and {self.high}.")

    def sample(self, key: PRNGKeyArray) -> Shaped[Array, "*shape"]:
        """Draw uniformly; from a standard normal where a bound is infinite."""
        if jnp.issubdtype(self.dtype, jnp.integer):
            return jax.random.randint(key, self.shape, int(self.low), int(self.high) + 1).astype(self.dtype)
        if math.isinf(self.low) or math.isinf(self.high):
            return jnp.clip(jax.random.normal(key, self.shape, self.dtype), self.low, self.high)
        return jax.random.uniform(key, self.shape, self.dtype, self.low, self.high)

    def contains(self, x: Shaped[Array, "*shape"]) -> Bool[Array, ""]:
        """Whether every element of `x` is inside the bounds."""
        return jnp.all((x >= self.low) & (x <= self.high))
