"""PPO as good as a plain one: the learner with `estimator="gae"` beside a loop in the style of PureJaxRL.

    python -m experiments.bench.learner.ppo

CartPole and MinAtar Breakout have PureJaxRL's published settings, Pendulum those of Stable-Baselines3's zoo. The loop
shares nothing with the learner but the environments. It ends all episodes alike, as PureJaxRL does; the learner tells
truncation from termination. The learner runs twice: with minibatches of samples, as the loop's, and with blocks of
environments, its default. Score: mean return of the episodes that end within an interval, interquartile mean and 95%
bootstrap interval over seeds.
"""

import math
from functools import partial

import jax
import numpy as np
import tyro
from jax import lax
from rich.console import Console

from envs import registry
from experiments.bench import harness
from experiments.bench.learner import plain_ppo
from experiments.bench.learner.plain_ppo import VALUE, Setting
from experiments.bench.learner.report import with_interval
from experiments.common import user_errors
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.networks import NetworkConfig
from p3o_jax.settings import Config, MinibatchesOf, Params
from p3o_jax.train import make_train

NUM_INTERVALS = 32
OUT = harness.RESULTS / "learning"

SETTINGS = {
    "cartpole": Setting("gymnax:CartPole-v1", 4, 4, 2.5e-4, "tanh", 5e5),
    "minatar_breakout": Setting("gymnax:Breakout-MinAtar", 64, 8, 5e-3, "relu", 1e7),
    "pendulum": Setting("gymnax:Pendulum-v1", 4, 64, 1e-3, "tanh", 2e5, 1024, 10, 0.9, 0.0, 0.0, float("inf")),
}


def train_ours(setting: Setting, minibatches_of: MinibatchesOf, key: jax.Array) -> jax.Array:
    """Mean return of the episodes that end in each interval, of the learner."""
    network = NetworkConfig(width=64, depth=2, activation=setting.activation)
    config = Config(
        num_envs=setting.num_envs,
        segment_length=setting.num_steps,
        num_minibatches=setting.num_minibatches,
        minibatches_of=minibatches_of,
        network=network,
        estimator="gae",
        num_buckets=NUM_INTERVALS,
    )
    params = Params(
        total_steps=setting.steps,
        learning_rate=setting.learning_rate,
        anneal=setting.anneal,
        update_epochs=setting.num_epochs,
        entropy=setting.entropy,
        value=VALUE,
        gamma=setting.gamma,
        value_clip=setting.value_clip,
        kl_limit=math.inf,
    )
    return make_train(config, registry.make(setting.env))(key, params)[1].episode_return


def curves(setting: Setting, num_seeds: int) -> dict[str, np.ndarray]:
    """Scores of all, [seed, interval]."""
    num_updates = int(-(-setting.steps // (setting.num_envs * setting.num_steps)))
    keys = jax.random.split(jax.random.key(0), num_seeds)
    plain = jax.jit(lambda keys: lax.map(partial(plain_ppo.train, setting, num_updates), keys))(keys)
    interval = np.arange(num_updates) * NUM_INTERVALS // num_updates  # as the learner's
    ended = np.stack([np.asarray(plain)[:, interval == i].sum(axis=1) for i in range(NUM_INTERVALS)], axis=1)
    scores = {"plain loop": ended[..., 0] / ended[..., 1]}
    kinds: tuple[MinibatchesOf, ...] = ("environments", "samples")
    for kind in kinds:
        if kind == "environments" and setting.num_envs % setting.num_minibatches:
            continue
        train = partial(train_ours, setting, kind)
        scores[f"learner, {kind}"] = np.asarray(jax.jit(lambda keys, train=train: lax.map(train, keys))(keys))
    return scores


def table_of(results: dict[str, dict[str, np.ndarray]], steps: dict[str, float]) -> str:
    """Area and quarters of the curves, in Markdown."""
    rows = []
    for task, scores in results.items():
        for name, score in scores.items():
            mid = [f"{np.mean(score[:, int(q * NUM_INTERVALS) - 1]):.3g}" for q in (0.25, 0.5, 0.75)]
            area, end = with_interval(np.nanmean(score, axis=1)), with_interval(np.nanmean(score[:, -3:], axis=1))
            rows.append((task, f"{steps[task]:.3g}", name, area, *mid, end))
    columns = ("task", "steps", "", "area, IQM [95%]", "at 1/4", "at 1/2", "at 3/4", "last tenth, IQM [95%]")
    return harness.table(columns, rows)


def main(tasks: tuple[str, ...] = tuple(SETTINGS), seeds: int = 5, max_steps: float = float("inf")) -> None:
    """Train all on every task and write the table.

    Args:
        tasks: Names in `SETTINGS`.
        seeds: Trainings of each.
        max_steps: No task takes more environment steps; the learning rate anneals over those it takes.
    """
    unknown = [task for task in tasks if task not in SETTINGS]
    if unknown:
        raise ValueError(f"`tasks` must be among {', '.join(SETTINGS)}; got {', '.join(unknown)}.")
    keep_on_disk()
    measured = harness.stamp("optax", "flax")
    results, steps = {}, {}
    for task in tasks:
        setting = SETTINGS[task]
        steps[task] = min(setting.steps, max_steps)
        results[task] = curves(setting._replace(steps=steps[task]), seeds)
        text = harness.page("PPO beside a plain loop", measured, f"{seeds} seeds.", table_of(results, steps))
        harness.write_text(OUT / "ppo.md", text)
        scores = {name: {who: x.round(4).tolist() for who, x in of.items()} for name, of in results.items()}
        harness.write_record(harness.RAW / "ppo.json", measured, steps=steps, scores=scores)
        Console().print(text, soft_wrap=True, markup=False)


if __name__ == "__main__":
    with user_errors():
        tyro.cli(main)
