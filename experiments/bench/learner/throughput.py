r"""Training throughput: environment steps per second of whole trainings (acting and updates), after compilation.

    python -m experiments.bench.learner.throughput --short
    python -m experiments.bench.learner.throughput --envs breakout --num-envs 64 --num-minibatches 4 \
      --learners 256                                                 # for a GPU

One epoch, 1024 environments, segments of 64. Rows of one table are measured in turns, several rounds, so that other
load on the machine hits all of them; the median counts, and on a shared machine only ratios do. A CPU second is one of
any core, however long the wait for it; as on one core: `taskset -c 0 python -m ...`.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.console import Console

from envs import registry
from experiments.bench import harness
from experiments.common import user_errors
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.networks import NetworkConfig
from p3o_jax.settings import Config, Params
from p3o_jax.train import make_train

PUFFERLIB = {
    ("pong", "mlp 128x1 shared"): 413e3,
    ("breakout", "mlp 128x1 shared"): 281e3,
    ("breakout", "gru 128"): 61e3,
}
"""Steps per second of PufferLib 3.0 (C environments, PyTorch) on one core of such a machine; with an LSTM for "gru"."""

SEGMENT_LENGTH = 64

NETWORKS = {
    "mlp 64x2": NetworkConfig(width=64, depth=2),
    "mlp 128x2": NetworkConfig(width=128, depth=2),
    "mlp 128x1 shared": NetworkConfig(width=128, depth=1, shared=True),
    "gru 128": NetworkConfig("gru", width=128, depth=1, shared=True),
}
ESTIMATORS: dict[str, dict[str, Any]] = {
    "gae": {"estimator": "gae"},
    "p3o": {"estimator": "p3o"},
    "p3o lags 32": {"estimator": "p3o", "bands": 0, "horizon": 32},
    "p3o lags 128": {"estimator": "p3o", "bands": 0},
}


@dataclasses.dataclass
class Args:
    """Measure training throughput."""

    envs: tuple[str, ...] = ("pong", "breakout")
    """Environments."""
    networks: tuple[str, ...] = tuple(NETWORKS)
    """Names of networks."""
    num_envs: int = 1024
    """Environments of a training."""
    num_minibatches: int = 16
    """Blocks of environments, whose activations fit a cache."""
    learners: int = 1
    """Trainings in one call, by `vmap` over their keys; steps are counted of all together."""
    updates: int = 8
    """Updates of a training."""
    learning_rate: float = 5e-3
    """At the start of a training."""
    rounds: int = 5
    """Trainings of each row."""
    short: bool = False
    """Pong, two networks, three rounds of four updates: minutes on two cores."""
    out: Path = harness.RESULTS / "train"
    """Stem of the table."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.networks if name not in NETWORKS]
        if unknown:
            raise ValueError(f"`networks` must be among {', '.join(NETWORKS)}; got {', '.join(unknown)}.")
        for name in ("learners", "updates", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1; got {getattr(self, name)}.")

    @property
    def steps(self) -> int:
        """Environment steps of one training."""
        return self.updates * self.num_envs * SEGMENT_LENGTH


def prepare(args: Args, env: Any, network: str, estimator: str) -> Callable[[int], float]:
    """Compiled trainings, as a function of their seed that returns their mean score in the end."""
    config = Config(
        num_envs=args.num_envs,
        segment_length=SEGMENT_LENGTH,
        num_minibatches=args.num_minibatches,
        network=NETWORKS[network],
        **ESTIMATORS[estimator],
    )
    params = Params(total_steps=args.steps, update_epochs=1.0, learning_rate=args.learning_rate)
    params = jax.tree.map(jnp.float32, params)
    train = make_train(config, env)

    def scores(keys: Any, params: Params) -> Any:
        each = jax.vmap(train, (0, None)) if args.learners > 1 else lambda key, params: train(key[0], params)
        return each(keys, params)[1].score

    def keys(seed: int) -> Any:
        return jax.random.split(jax.random.key(seed), args.learners)

    compiled = jax.jit(scores).lower(keys(0), params).compile()

    def run(seed: int) -> float:
        score = np.atleast_2d(jax.block_until_ready(compiled(keys(seed), params)))
        ends = [row[~np.isnan(row)][-1:] for row in score]  # an interval without an update, or an episode, has no score
        return float(np.mean(np.concatenate(ends))) if any(map(len, ends)) else float("nan")

    return run


def measure(args: Args, env_name: str, network: str) -> list[dict[str, Any]]:
    """One row per estimator, measured in turns."""
    env = registry.make(env_name)
    with ThreadPoolExecutor() as pool:
        runs = dict(zip(ESTIMATORS, pool.map(partial(prepare, args, env, network), ESTIMATORS), strict=True))
    timed = harness.time_in_turns(runs, args.rounds, warm_up=0)
    steps = args.learners * args.steps
    return [
        {
            "env": env_name,
            "network": network,
            "estimator": name,
            "steps_per_second": steps / np.median(timing.wall),
            "steps_per_cpu_second": steps / np.median(timing.cpu),
            "of_gae": np.median(timed["gae"].cpu) / np.median(timing.cpu),
            "wall": timing.wall.tolist(),
            "cpu": timing.cpu.tolist(),
            "score": timing.results,
            "pufferlib": PUFFERLIB.get((env_name, network)),
        }
        for name, timing in timed.items()
    ]


def cells_of(row: dict[str, Any]) -> tuple[str, ...]:
    """The row in the table."""
    peer = row["pufferlib"]
    ratio = f"{row['steps_per_cpu_second'] / peer:.2f}" if peer else ""
    speeds = f"{row['steps_per_second'] / 1e3:.0f}k", f"{row['steps_per_cpu_second'] / 1e3:.0f}k"
    end = f"{np.median(row['wall']):.1f}", f"{np.median(row['score']):.3g}"
    return row["env"], row["network"], row["estimator"], *speeds, f"{row['of_gae']:.2f}", ratio, *end


def report(args: Args, measured: harness.Stamp, rows: Sequence[dict[str, Any]]) -> str:
    """Write what is known so far, and return the page."""
    columns = "environment, network, estimator, steps / s, steps / cpu s, of our GAE (cpu), of PufferLib's figure"
    table = harness.table([*columns.split(", "), "seconds", "score at the end"], map(cells_of, rows))
    name = args.out.name + ("_short" if args.short else "")
    text = harness.page("Training throughput", measured, table)
    harness.write_text(args.out.with_name(f"{name}.md"), text)
    harness.write_record(harness.RAW / f"{name}.json", measured, rows=rows)
    return text


def main() -> None:
    """Entry point."""
    with user_errors():
        args = tyro.cli(Args, description=__doc__)
        if args.short:
            networks = ("mlp 64x2", "mlp 128x1 shared")
            args = dataclasses.replace(args, envs=("pong",), networks=networks, updates=4, rounds=3)
        console, measured = Console(), harness.stamp()
        keep_on_disk()
        rows: list[dict[str, Any]] = []
        text = ""
        for env, network in itertools.product(args.envs, args.networks):
            rows += measure(args, env, network)
            console.print(f"measured {env} with {network}", highlight=False)
            text = report(args, measured, rows)
        console.print(text, soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
