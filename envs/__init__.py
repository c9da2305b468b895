"""Pure-JAX environments, thousands at once on one device."""
