"""Environments in JAX, thousands of which run at once on one device."""

from envs.environment import Environment
from envs.registry import make
from p3o_jax.vector import VectorEnvironment

__all__ = ["Environment", "VectorEnvironment", "make"]
