"""Programs that several tests compile are compiled once: they share a persistent cache for the length of the run."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="session")
def compilation_cache(tmp_path_factory):
    """Keep compiled programs in a folder of this run, unless the run has a cache already."""
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("jax")))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
