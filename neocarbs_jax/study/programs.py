"""The compiled programs of a study: one per shape, made ahead of need in a thread, kept on disk between processes.

A suggestion takes two programs, the fit of the surrogates and the proposal, and the initial design takes a third that
compiles at once. What a study needs next is compiled while the trials that come before it train.
"""

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neocarbs_jax import fitting, observations, sweep
from neocarbs_jax.expected import chance_of_front, expect
from neocarbs_jax.fitting import Form
from neocarbs_jax.insight import signed_importances
from neocarbs_jax.precision import double_precision

# Half the time to compile, and none lost at run time: what takes time there is LAPACK's and Eigen's.
# The first of them that this jaxlib knows; 0.11 has no fusion emitters to turn off.
_QUICKLY: tuple[dict[str, Any], ...] = (
    {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False},
    {"xla_backend_optimization_level": 1},
)
_SHORTEST_COMPILATION = 0.2  # seconds; what takes less is not worth a file
_MOST_PROGRAMS = 32
NUM_EFFECTS = 9
"""Points of a front whose importances are computed at once."""


def keep_on_disk() -> None:
    """Keep compiled programs between processes, in the user's cache folder unless JAX was told another one.

    That is `JAX_COMPILATION_CACHE_DIR`, else `neocarbs-p3o/jax` in `XDG_CACHE_HOME` or `~/.cache`. JAX has one such
    cache per process, so the user's own programs are kept too. Where no folder can be made, nothing is kept.
    """
    if jax.config.jax_compilation_cache_dir is not None:  # pyright: ignore[reportAttributeAccessIssue]
        return
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neocarbs-p3o" / "jax"
        folder.mkdir(parents=True, exist_ok=True)
    except (RuntimeError, OSError):  # no home directory, or one that cannot be written
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _SHORTEST_COMPILATION)


class Programs:
    """Programs by what they depend on, each compiled once per process, by whoever needs it first.

    A thread compiles what is wanted ahead of need, one program after the other. It is no daemon, as an interpreter must
    not end while XLA compiles; but once the main thread has ended, it starts no further program.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Give all programs back; whoever still uses one keeps it."""
        self._made: dict[Hashable, Future[Any]] = {}
        self._wanted: dict[Hashable, Callable[[], Any]] = {}
        self._worker: threading.Thread | None = None

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return the program of this key, compiling it here unless somebody already does."""
        with self._lock:
            self._wanted.pop(key, None)
            future = self._made.get(key)
            mine = future is None
            if future is None:
                future = self._enter(key)
        if mine:
            self._run(key, future, make)
        return future.result()

    def ahead(self, key: Hashable, make: Callable[[], Any]) -> None:
        """Compile the program of this key in the background, unless it is there or under way."""
        with self._lock:
            if key in self._made or key in self._wanted:
                return
            self._wanted[key] = make
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="neocarbs-compile")
                self._worker.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._wanted or not threading.main_thread().is_alive():
                    self._worker = None
                    return
                key = next(iter(self._wanted))
                make, future = self._wanted.pop(key), self._enter(key)
            with contextlib.suppress(Exception):  # whoever needs the program compiles it again, and hears of the error
                self._run(key, future, make)

    def _enter(self, key: Hashable) -> Future[Any]:
        self._made[key] = future = Future()
        for other in list(self._made)[:-_MOST_PROGRAMS]:
            if self._made[other].done():
                del self._made[other]
        return future

    def _run(self, key: Hashable, future: Future[Any], make: Callable[[], Any]) -> None:
        try:
            future.set_result(make())
        except BaseException as error:  # Ctrl-C too: whoever waits must hear of it, and the next one tries again
            with self._lock:
                self._made.pop(key, None)
            future.set_exception(error)
            raise


_PROGRAMS = Programs()
if hasattr(os, "register_at_fork"):  # no thread of the parent goes on in a child
    os.register_at_fork(after_in_child=_PROGRAMS.__init__)


def forget() -> None:
    """Give all programs back, as `jax.clear_caches` does with those of `jax.jit`."""
    _PROGRAMS.forget()


def initial(config: sweep.Config) -> Callable[..., Any]:
    """Return (seed, count) -> point of the initial design."""

    def draw(seed: Any, count: Any) -> Any:
        return config.strategy.initial(config.space, _key(seed, count))

    return _PROGRAMS.get(("initial", config.strategy, config.space), lambda: _compile(draw, *_seed_and_count()))


def fit(form: Form, num_axes: int, num_rows: int) -> Callable[..., Any]:
    """Return (rows, count) -> `fitting.Fit` for `num_rows` rows."""
    return _PROGRAMS.get(*_fit(form, num_axes, num_rows))


def proposal(config: sweep.Config) -> Callable[..., Any]:
    """Return (state, seed, what is left of a budget) -> `sweep.Suggestion` for a buffer of the config's capacity."""
    return _PROGRAMS.get(*_proposal(config))


def expected(config: sweep.Config) -> Callable[..., Any]:
    """Return state -> `expected.Expected` for a buffer of the configuration's capacity."""

    def make() -> Any:
        with double_precision():
            state = jax.eval_shape(lambda: sweep.init(config))
            return _compile(functools.partial(expect, config), state)

    return _PROGRAMS.get(("expected", config.form, config.direction, config.space.size, config.capacity), make)


def chance(config: sweep.Config) -> Callable[..., Any]:
    """Return (state, point) -> probability of reaching the front, for a buffer of the configuration's capacity."""

    def make() -> Any:
        with double_precision():
            state = jax.eval_shape(lambda: sweep.init(config))
            point = jax.ShapeDtypeStruct((config.space.size,), jnp.zeros(()).dtype)
            return _compile(functools.partial(chance_of_front, config), state, point)

    return _PROGRAMS.get(("chance", config.form, config.space.size, config.capacity), make)


def effects(config: sweep.Config) -> Callable[..., Any]:
    """Return (state, points) -> signed importances, for a buffer of the configuration's capacity."""

    def make() -> Any:
        with double_precision():
            state = jax.eval_shape(lambda: sweep.init(config))
            points = jax.ShapeDtypeStruct((NUM_EFFECTS, config.space.size), jnp.zeros(()).dtype)
            return _compile(functools.partial(signed_importances, config), state, points)

    return _PROGRAMS.get(("effects", config.form, config.space, config.capacity), make)


def fit_ahead(form: Form, num_axes: int, num_rows: int) -> None:
    """Compile `fit` in the background."""
    _PROGRAMS.ahead(*_fit(form, num_axes, num_rows))


def proposal_ahead(config: sweep.Config) -> None:
    """Compile `proposal` in the background."""
    _PROGRAMS.ahead(*_proposal(config))


def _fit(form: Form, num_axes: int, num_rows: int) -> tuple[Hashable, Callable[[], Any]]:
    def make() -> Any:
        with double_precision():
            rows = jax.eval_shape(lambda: observations.empty(num_rows, num_axes))
            return _compile(functools.partial(fitting.fit, form), rows, jax.ShapeDtypeStruct((), np.int32))

    return ("fit", form, num_axes, num_rows), make


def _proposal(config: sweep.Config) -> tuple[Hashable, Callable[[], Any]]:
    def propose(state: sweep.State, seed: Any, remaining: Any) -> sweep.Suggestion:
        _, suggestion = sweep.propose(config, state, _key(seed, state.count), remaining)
        return suggestion._replace(values={})  # the host makes exact ones of the unit point

    def make() -> Any:
        with double_precision():
            left = jax.ShapeDtypeStruct((), jnp.zeros(()).dtype)
            return _compile(propose, jax.eval_shape(lambda: sweep.init(config)), _seed_and_count()[0], left)

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
