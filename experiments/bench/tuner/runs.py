"""One whole sweep of the benchmark, by one of our strategies or by a peer, with the time of each suggestion.

Our strategies step on the host with jitted suggest and observe: one compilation per search space serves all tasks on
it, and times compare with the peers', who cannot do otherwise. `sweep.run` gives the same trials in one call.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from threadpoolctl import threadpool_limits

from experiments.bench.tuner import heavy_peers, peers
from experiments.bench.tuner.measures import Record
from neocarbs_jax import sweep
from neocarbs_jax.strategies import STRATEGIES, Strategy
from neocarbs_jax.study.programs import keep_on_disk
from neocarbs_jax.synthetic import Task

SMALLEST_CAPACITY = 128
PEERS = peers.PEERS | heavy_peers.PEERS

_suggest = jax.jit(sweep.suggest, static_argnums=0)
_observe = jax.jit(sweep.observe, static_argnums=0)


def configure_jax() -> None:
    """Compute in float64 on a CPU, as the study does, and keep compiled programs on disk."""
    jax.config.update("jax_enable_x64", jax.default_backend() == "cpu")
    keep_on_disk()


def run(strategy: str | Strategy, task: Task, seed: int, num_trials: int, **options: object) -> Record:
    """Run one sweep.

    Args:
        strategy: one of ours or its name, or the name of a peer.
        task: what is tuned.
        seed: of the suggestions and of the noise.
        num_trials: trials of the sweep.
        **options: fields of our `sweep.Config`.
    """
    if isinstance(strategy, Strategy) or strategy in STRATEGIES:
        capacity = max(SMALLEST_CAPACITY, num_trials)
        config = sweep.Config(task.space, capacity=capacity, strategy=strategy, **options)  # pyright: ignore[reportArgumentType]
        return _run_ours(config, task, seed, num_trials)
    if strategy not in PEERS:
        raise ValueError(f"`strategy` must be one of {', '.join([*STRATEGIES, *PEERS])}; got {strategy!r}.")
    if options:
        raise ValueError(f"`options` must be empty for a peer; got {options}.")
    return _run_peer(strategy, task, seed, num_trials)


@functools.cache
def evaluate_fn(task: Task) -> Callable[[Array, Array], tuple[Array, Array]]:
    return jax.jit(lambda unit, key: task(task.space.from_unit(unit), key))


def _trial_keys(seed: int, num_trials: int) -> Array:
    """Noise keys: trial i of seed s sees the same key whoever suggests."""
    return jax.random.split(jax.random.key(10_000 + seed), num_trials)


def _run_ours(config: sweep.Config, task: Task, seed: int, num_trials: int) -> Record:
    evaluate = evaluate_fn(task)
    keys = jax.random.split(jax.random.key(seed), num_trials)
    state = sweep.init(config)
    jax.block_until_ready(_suggest(config, state, keys[0]))  # compiles
    rows, seconds = [], 0.0
    for key, noise_key in zip(keys, _trial_keys(seed, num_trials), strict=True):
        start = time.perf_counter()
        with threadpool_limits(1, "blas"):  # as the study does
            state, suggestion = jax.block_until_ready(_suggest(config, state, key))
        seconds += time.perf_counter() - start
        score, cost = evaluate(suggestion.unit, noise_key)
        state = _observe(config, state, suggestion, score, cost)
        rows.append((suggestion, score, cost))
    suggestions, score, cost = jax.tree.map(lambda *leaves: np.asarray(jnp.stack(leaves), float), *rows)
    return Record(
        unit=suggestions.unit,
        score=np.where(np.isfinite(score), score, np.nan),
        cost=cost,
        predicted_score=suggestions.predicted_score,
        predicted_score_std=suggestions.predicted_score_std,
        predicted_cost=suggestions.predicted_cost,
        predicted_cost_std=suggestions.predicted_cost_std,
        seconds=seconds / num_trials,
    )


def _run_peer(strategy: str, task: Task, seed: int, num_trials: int) -> Record:
    evaluate = evaluate_fn(task)
    peer = PEERS[strategy](task.space, seed)
    units: list[Float[np.ndarray, " d"]] = []
    outcomes: list[tuple[float, float]] = []
    seconds = 0.0
    for noise_key in _trial_keys(seed, num_trials):
        start = time.perf_counter()
        unit = peer.ask()
        seconds += time.perf_counter() - start
        score, cost = (float(a) for a in evaluate(jnp.asarray(unit, float), noise_key))
        peer.tell(unit, score, cost)
        units.append(unit)
        outcomes.append((score, cost))
    score, cost = np.array(outcomes).T
    nothing = np.full(num_trials, np.nan)
    return Record(np.array(units), score, cost, nothing, nothing, nothing, nothing, seconds / num_trials)
