"""A page on this machine that shows the studies of a storage while they run (extra `dashboard`); it never writes."""

from neocarbs_jax.dashboard.server import make, serve

__all__ = ["make", "serve"]
