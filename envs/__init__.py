"""Environments in JAX, thousands of which run at once on one device."""

from envs.environment import Environment, VectorEnvironment
from envs.registry import make

__all__ = ["Environment", "VectorEnvironment", "make"]
