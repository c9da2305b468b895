"""What the tests of the tuner share: a compiler that makes haste, and a cache folder of their own."""

import functools

import jax
import pytest

from neocarbs_jax import sweep
from neocarbs_jax.study import programs


@functools.cache
def _quickly():
    """Options of the compiler: LLVM's passes save little run time, and take three quarters of the compile time."""
    if jax.default_backend() != "cpu":
        return {}
    level, plain_loops = {"xla_backend_optimization_level": 0}, {"xla_cpu_use_fusion_emitters": False}
    try:
        jax.jit(lambda: 0.0, compiler_options=level | plain_loops)()
    except jax.errors.JaxRuntimeError:  # jaxlib 0.11 has no fusion emitters to turn off
        return level
    return level | plain_loops


def _jit(function, **options):
    # A wrapper of its own: jit caches by function, and tests count compilations.
    wrapped = functools.wraps(function)(lambda *arguments: function(*arguments))
    return jax.jit(wrapped, compiler_options=_quickly(), **options)


@pytest.fixture(scope="session")
def jit():
    """`jax.jit`, compiled in a quarter of the time."""
    return _jit


@pytest.fixture(scope="session")
def suggest():
    """`sweep.suggest`, compiled once per configuration in the whole session."""
    return _jit(sweep.suggest, static_argnums=0)


@pytest.fixture(scope="session")
def run():
    """`sweep.run`, compiled once per configuration, objective and number of trials in the whole session."""
    return _jit(sweep.run, static_argnums=(0, 1, 3))


@pytest.fixture(scope="session", autouse=True)
def _haste_and_a_cache_of_their_own(tmp_path_factory):
    """Studies compile as hastily, and keep their programs in a folder that goes with the session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(programs, "_QUICKLY", (_quickly(),))
        yield
