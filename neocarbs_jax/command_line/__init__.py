"""The commands of `neocarbs`, in groups; `neocarbs_jax.cli` puts them together."""
