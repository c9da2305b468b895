"""The compiled programs of a study: one per shape, made ahead of need in a thread, kept on disk between processes.

A suggestion takes two programs, the fit of the surrogates and the proposal, and the initial design takes a third that
compiles at once. What a study needs next is compiled while the trials that come before it train.
"""

import functools
import os
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neocarbs_jax import beliefs, sweep
from neocarbs_jax.beliefs import Form

# Half the time to compile, and none lost at run time: what takes time there is LAPACK's and Eigen's.
# The first of them that this jaxlib knows; 0.11 has no fusion emitters to turn off.
_QUICKLY: tuple[dict[str, Any], ...] = (
    {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False},
    {"xla_backend_optimization_level": 1},
)
_SHORTEST_COMPILATION = 0.2  # seconds; what takes less is not worth a file


def keep_on_disk() -> None:
    """Keep compiled programs between processes, in the user's cache folder unless JAX was told another one.

    That is `JAX_COMPILATION_CACHE_DIR`, else `neocarbs-p3o/jax` in `XDG_CACHE_HOME` or `~/.cache`.
    """
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(home / "neocarbs-p3o" / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _SHORTEST_COMPILATION)


def double_precision() -> Any:
    """Return a context of double precision where that is free: on CPUs."""
    return jax.enable_x64(jax.default_backend() == "cpu")


class Programs:
    """Programs by what they depend on, each compiled once per process, by whoever needs it first."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Future[Any]] = {}
        self._lock = threading.Lock()

    @functools.cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="neocarbs-compile")

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return the program of this key, compiling it here unless somebody already does."""
        with self._lock:
            future, mine = self._made.get(key), False
            if future is None or future.cancel():  # cancelled: it waited in the queue, and we need it now
                future, mine = Future(), True
                future.set_running_or_notify_cancel()
                self._made[key] = future
        if mine:
            self._run(key, future, make)
        return future.result()

    def ahead(self, key: Hashable, make: Callable[[], Any]) -> None:
        """Start to compile the program of this key in the background, unless it is there or under way."""
        with self._lock:
            if key not in self._made:
                self._made[key] = self._pool.submit(make)

    def _run(self, key: Hashable, future: Future[Any], make: Callable[[], Any]) -> None:
        try:
            future.set_result(make())
        except BaseException as error:  # Ctrl-C too: whoever waits must hear of it, and the next one tries again
            del self._made[key]
            future.set_exception(error)
            raise


_PROGRAMS = Programs()


def initial(config: sweep.Config) -> Callable[..., Any]:
    """Return (seed, count) -> point of the initial design."""

    def draw(seed: Any, count: Any) -> Any:
        return config.strategy.initial(config.space, _key(seed, count))

    return _PROGRAMS.get(("initial", config.strategy, config.space), lambda: _compile(draw, *_seed_and_count()))


def fit(form: Form, num_axes: int, num_rows: int) -> Callable[..., Any]:
    """Return (rows, count) -> `beliefs.Fit` for `num_rows` rows."""
    return _PROGRAMS.get(*_fit(form, num_axes, num_rows))


def proposal(config: sweep.Config) -> Callable[..., Any]:
    """Return (state, seed) -> `sweep.Suggestion` for a buffer of the configuration's capacity."""
    return _PROGRAMS.get(*_proposal(config))


def fit_ahead(form: Form, num_axes: int, num_rows: int) -> None:
    """Compile `fit` in the background."""
    _PROGRAMS.ahead(*_fit(form, num_axes, num_rows))


def proposal_ahead(config: sweep.Config) -> None:
    """Compile `proposal` in the background."""
    _PROGRAMS.ahead(*_proposal(config))


def _fit(form: Form, num_axes: int, num_rows: int) -> tuple[Hashable, Callable[[], Any]]:
    def make() -> Any:
        with double_precision():
            rows = jax.eval_shape(lambda: sweep.buffers.empty(num_rows, num_axes))
            return _compile(functools.partial(beliefs.fit, form), rows, jax.ShapeDtypeStruct((), np.int32))

    return ("fit", form, num_axes, num_rows), make


def _proposal(config: sweep.Config) -> tuple[Hashable, Callable[[], Any]]:
    def propose(state: sweep.State, seed: Any) -> sweep.Suggestion:
        _, suggestion = sweep.propose(config, state, _key(seed, state.count))
        return suggestion._replace(values={})  # the host makes exact ones of the unit point

    def make() -> Any:
        with double_precision():
            return _compile(propose, jax.eval_shape(lambda: sweep.init(config)), _seed_and_count()[0])

    return ("proposal", config), make


def _key(seed: Any, count: Any) -> Any:
    return jax.random.fold_in(jax.random.key(seed), count)


def _seed_and_count() -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    return jax.ShapeDtypeStruct((), jnp.zeros((), int).dtype), jax.ShapeDtypeStruct((), np.int32)


def _compile(function: Callable[..., Any], *arguments: Any) -> Any:
    lowered = jax.jit(function).lower(*arguments)
    for options in _QUICKLY if jax.default_backend() == "cpu" else ():
        try:
            return lowered.compile(options)
        except jax.errors.JaxRuntimeError as error:
            if "No such compile option" not in str(error):
                raise
    return lowered.compile()
