"""Learning: P3O with one setting for all tasks against PPO, its default and the best of a grid per task.

    python -m experiments.bench_learning --short
    python -m experiments.bench_learning --tasks cartpole catch --seeds 10

Every estimator has the same learner, budget and starting seeds; all seeds (and PPO's whole grid) are one vmapped
compilation. Measured: area under the learning curve (mean score over intervals) and the last tenth of it, interquartile
mean and 95% bootstrap interval over seeds (Agarwal et al. 2021), also divided by PPO tuned on the same task and seeds.
"""

import dataclasses
import itertools
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import tyro
from rich.console import Console

from envs import registry
from experiments.common import compilation_cache, user_errors
from p3o_jax.metrics import Metrics
from p3o_jax.networks import NetworkConfig
from p3o_jax.settings import Config, Params
from p3o_jax.train import make_train

TASKS: dict[str, tuple[str, float, float]] = {
    "cartpole": ("gymnax:CartPole-v1", 5e5, 1e5),
    "catch": ("gymnax:Catch-bsuite", 5e5, 1e5),
    "chain": ("gymnax:DiscountingChain-bsuite", 5e5, 1e5),
    "minatar_breakout": ("gymnax:Breakout-MinAtar", 2e6, 2e5),
    "space_invaders": ("gymnax:SpaceInvaders-MinAtar", 2e6, 2e5),
    "asterix": ("gymnax:Asterix-MinAtar", 2e6, 2e5),
    "pong": ("pong", 4e6, 5e5),
    "breakout": ("breakout", 1e7, 5e5),
    "connect4": ("connect4", 5e6, 5e5),
    "foraging": ("foraging", 5e6, 5e5),
}
"""Name -> environment, steps, steps of the short form."""

SHORT_TASKS = ("cartpole", "catch")
GRID = tuple(itertools.product((0.9, 0.97, 0.99, 0.997), (0.8, 0.95, 1.0)))
SHORT_GRID = tuple(itertools.product((0.95, 0.99), (0.8, 0.95)))
DEFAULT_PPO = (0.99, 0.95)


@dataclasses.dataclass
class Args:
    """Compare estimators on tasks."""

    tasks: tuple[str, ...] = tuple(TASKS)
    """Names of tasks."""
    seeds: int = 5
    """Trainings of each."""
    short: bool = False
    """Two tasks, three seeds, small budgets and a small grid: minutes on two cores."""
    learning_rate: float = 5e-3
    """Of every estimator and task."""
    out: Path = Path("experiments/results/learning")
    """Directory of the table, the JSON and the pictures."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.tasks if name not in TASKS]
        if unknown:
            raise ValueError(f"`tasks` must be among {', '.join(TASKS)}; got {', '.join(unknown)}.")
        if self.seeds < 1:
            raise ValueError(f"`seeds` must be at least 1; got {self.seeds}.")


def config_of(estimator: str) -> Config:
    """The one setting."""
    network = NetworkConfig(width=64, depth=2)
    return Config(num_envs=64, segment_length=128, horizon=128, num_minibatches=8, network=network, estimator=estimator)  # pyright: ignore[reportArgumentType]


def run(env: Any, estimator: str, params: Params, num_seeds: int, pairs: tuple[tuple[float, float], ...]) -> Metrics:
    """Metrics with leading axes (pair of gamma and lambda, seed)."""

    def train(key: jax.Array, gamma: jax.Array, gae_lambda: jax.Array) -> Metrics:
        discounted = dataclasses.replace(params, gamma=gamma, gae_lambda=gae_lambda)
        return make_train(config_of(estimator), env)(key, discounted)[1]

    gammas, lambdas = jnp.asarray(pairs).T
    seeds = jax.vmap(train, in_axes=(0, None, None))
    both = jax.jit(jax.vmap(seeds, in_axes=(None, 0, 0)))
    return jax.block_until_ready(both(jax.random.split(jax.random.key(0), num_seeds), gammas, lambdas))


def area_and_end(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over intervals, and over the last tenth of them, of [..., k] scores; NaN is skipped."""
    last = max(1, score.shape[-1] // 10)
    return np.nanmean(score, axis=-1), np.nanmean(score[..., -last:], axis=-1)


def interquartile_mean(x: np.ndarray) -> float:
    """Mean of the middle half, values at the edge counted in part."""
    x, cut = np.sort(x), len(x) / 4
    weights = np.clip(np.arange(1, len(x) + 1) - cut, 0, 1) - np.clip(np.arange(1, len(x) + 1) - (len(x) - cut), 0, 1)
    return float(np.sum(weights * x) / np.sum(weights))


def summary(x: np.ndarray) -> dict[str, Any]:
    """Interquartile mean, 95% bootstrap interval, and the seeds themselves."""
    draws = np.random.default_rng(0).choice(x, (2000, len(x)))
    low, high = np.quantile([interquartile_mean(draw) for draw in draws], [0.025, 0.975])
    return {"iqm": interquartile_mean(x), "low": float(low), "high": float(high), "seeds": [float(v) for v in x]}


def compare(name: str, args: Args, console: Console) -> dict[str, Any]:
    """All estimators on one task."""
    env_name, steps, short_steps = TASKS[name]
    env = registry.make(env_name)
    params = Params(total_steps=short_steps if args.short else steps, learning_rate=args.learning_rate)
    grid = SHORT_GRID if args.short else GRID
    results: dict[str, Any] = {"steps": params.total_steps}
    curves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for estimator, pairs in {"p3o": (DEFAULT_PPO,), "original": (DEFAULT_PPO,), "gae": grid}.items():
        start = time.perf_counter()
        metrics = run(env, estimator, params, args.seeds, pairs)
        console.print(f"{name} {estimator}: {time.perf_counter() - start:.0f} s, compilation included")
        score, at = np.asarray(metrics.score), np.asarray(metrics.steps)[0, 0]
        area, end = area_and_end(score)
        if estimator == "gae":
            best = int(np.argmax([interquartile_mean(a) for a in area]))
            labels = {"ppo": pairs.index(DEFAULT_PPO), "ppo_tuned": best}
            results["tuned"] = {"gamma": pairs[best][0], "lambda": pairs[best][1]}
        else:
            labels = {estimator: 0}
        for label, i in labels.items():
            results[label] = {"area": summary(area[i]), "end": summary(end[i])}
            curves[label] = (at, score[i])
        if estimator == "p3o":
            draw_horizon(args.out / f"{name}_horizon.png", np.asarray(metrics.explained_variance)[0].mean(axis=0), at)
    draw_curves(args.out / f"{name}.png", name, curves)
    return results


def draw_horizon(path: Path, explained: np.ndarray, steps: np.ndarray) -> None:
    """Explained variance against lag over training: the horizon that was learnt."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    seen = ~np.isnan(explained[:, 0])
    explained, steps = explained[seen], steps[seen]
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    image = axes.pcolormesh(np.arange(explained.shape[1]), steps, np.clip(explained, 0, 1), vmin=0, vmax=1)
    axes.set(xlabel="lag", ylabel="environment steps")
    figure.colorbar(image, label="explained variance")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_curves(path: Path, name: str, curves: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Mean score over seeds against steps, one line per estimator, the range of the seeds shaded."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for label, (steps, score) in curves.items():
        seen = ~np.isnan(score).all(axis=0)  # short trainings have fewer updates than intervals
        steps, score = steps[seen], score[:, seen]
        line = axes.plot(steps, np.nanmean(score, axis=0), label=label)[0]
        axes.fill_between(steps, np.nanmin(score, axis=0), np.nanmax(score, axis=0), alpha=0.15, color=line.get_color())
    axes.set(title=name, xlabel="environment steps", ylabel="score")
    axes.legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def table_of(results: dict[str, Any]) -> str:
    """The results in Markdown."""
    columns = ("task", "steps", "estimator", "area, IQM [95%]", "of tuned PPO", "last tenth, IQM")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for task, result in results.items():
        bar = result["ppo_tuned"]["area"]["iqm"]
        for label in ("p3o", "original", "ppo", "ppo_tuned"):
            area, end = result[label]["area"], result[label]["end"]
            shown = label + (f" {result['tuned']}" if label == "ppo_tuned" else "")
            interval = f"{area['iqm']:.3g} [{area['low']:.3g}, {area['high']:.3g}]"
            cells = (task, f"{result['steps']:.0f}", shown, interval, f"{area['iqm'] / bar:.2f}", f"{end['iqm']:.3g}")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Entry point."""
    with user_errors():
        args = tyro.cli(Args, description=__doc__)
    compilation_cache()
    if args.short:
        args = dataclasses.replace(args, tasks=SHORT_TASKS, seeds=min(args.seeds, 3))
    console = Console()
    args.out.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in args.tasks:
        results[name] = compare(name, args, console)
        report(args, results)
    console.print(table_of(results), soft_wrap=True)


def report(args: Args, results: dict[str, Any]) -> None:
    """Writes what is known so far: a run that is stopped keeps its finished tasks."""
    command = "python -m experiments.bench_learning " + " ".join(sys.argv[1:])
    versions = {"python": platform.python_version(), "jax": jax.__version__, "device": jax.devices()[0].device_kind}
    stem = args.out / ("short" if args.short else "full")
    content = {"command": command, "versions": versions, "seeds": args.seeds, "results": results}
    stem.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")
    head = f"`{command}`\n\n{args.seeds} seeds, learning rate {args.learning_rate:g}.\n\n"
    stem.with_suffix(".md").write_text(head + table_of(results) + "\n")


if __name__ == "__main__":
    main()
