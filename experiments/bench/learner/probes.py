"""Probes: whether P3O finds the horizon that a task needs, beside PPO with the best of several discounts.

    python -m experiments.bench.learner.probes --short
    python -m experiments.bench.learner.probes --probes bandit --num-envs 16 64 512 --seeds 10

Each probe asks one question. *bandit*: only the immediate reward depends on the action, and a long random stream follows;
is it left out? *delay*: the reward comes fifty steps after the action; is it found? *two_scale*: foraging, which pays
little nearby and much far away; are both learnt at once? PPO has gamma 0, .9 and .99 with lambda .95, and its usual
coefficients. Measured is the area under the learning curve, counted from chance, as a share of the best PPO's.
"""

import dataclasses
import itertools
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import tyro
from rich.console import Console

from envs import registry
from experiments.bench import harness
from experiments.bench.learner.probe_tasks import Bandit, Delay
from experiments.bench.learner.report import interquartile_mean, with_interval
from experiments.bench.learner.runs import config_of, train_all
from experiments.common import user_errors
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.metrics import Metrics
from p3o_jax.settings import PARAM_NAMES, Params


class Probe(NamedTuple):
    """A task, and what of it is measured.

    Attributes:
        env: The environment.
        steps: Environment steps of a training with 64 environments.
        measures: "score", or names of the environment's own measures, with the value of each that chance gives.
    """

    env: Any
    steps: float
    measures: dict[str, float]


PROBES = {
    "bandit": Probe(Bandit(), 1.5e5, {"score": 64 / 6}),
    "delay": Probe(Delay(), 1.5e5, {"score": 0.25}),
    "two_scale": Probe(registry.make("foraging"), 5e5, {"near_rate": 0.0, "far_rate": 0.0}),
}
LEARNERS: dict[str, dict[str, Any]] = {
    "ppo 0": {"estimator": "gae", "gamma": 0.0},
    "ppo 0.9": {"estimator": "gae", "gamma": 0.9},
    "ppo 0.99": {"estimator": "gae", "gamma": 0.99},
    "p3o": {"estimator": "p3o"},
    "p3o evidence": {"estimator": "p3o", "evidence": True},
    "bands": {"estimator": "p3o", "bands": 9},
    "bands evidence": {"estimator": "p3o", "bands": 9, "evidence": True},
}
USUAL = {"value": 0.5, "entropy": 0.01, "gae_lambda": 0.95}
"""Of PPO."""


@dataclasses.dataclass
class Args:
    """Hold P3O's horizon against PPO's best."""

    probes: tuple[Literal["bandit", "delay", "two_scale"], ...] = tuple(PROBES)
    """Names of probes."""
    learners: tuple[str, ...] = tuple(LEARNERS)
    """What is trained."""
    num_envs: tuple[int, ...] = (64,)
    """Environments of a training; beyond 64, its steps grow with them."""
    seeds: int = 10
    """Trainings of each."""
    seed: int = 0
    """Where their random keys come from."""
    short: bool = False
    """Bandit and delay with three seeds: two minutes on two cores."""
    out: Path = harness.RESULTS / "probes"
    """Stem of the table and its records."""

    def __post_init__(self) -> None:
        if unknown := {*self.learners} - {*LEARNERS}:
            raise ValueError(f"`learners` must be among {', '.join(LEARNERS)}; got {', '.join(sorted(unknown))}.")
        if self.seeds < 1 or any(n % 8 for n in self.num_envs):
            raise ValueError(
                f"`seeds` must be at least 1 and `num_envs` multiples of 8; got {self.seeds}, {self.num_envs}."
            )


def trained(probe: Probe, learner: str, num_envs: int, num_seeds: int, seed: int) -> Metrics:
    """Train on a probe: metrics with a leading axis of seeds."""
    settings = dict(LEARNERS[learner])
    own = USUAL if settings["estimator"] == "gae" else {}
    traced = own | {name: value for name, value in settings.items() if name in PARAM_NAMES}
    static = {name: value for name, value in settings.items() if name not in PARAM_NAMES}
    config = config_of(**static, num_envs=num_envs)
    params = Params(total_steps=probe.steps * max(1, num_envs / 64), **traced)
    metrics = train_all(probe.env, config, [params], num_seeds, seed)
    return type(metrics)(**{f.name: _first(getattr(metrics, f.name)) for f in dataclasses.fields(metrics)})


def _first(x: Any) -> Any:
    """Leave out the axis of settings."""
    return {k: v[0] for k, v in x.items()} if isinstance(x, dict) else type(x)(*(y[0] for y in x)) if isinstance(x, tuple) else x[0]


def areas(metrics: Metrics, measure: str) -> np.ndarray:
    """Mean of a measure over the training, per seed."""
    curve = np.asarray(metrics.score if measure == "score" else metrics.measures[measure])
    return np.nanmean(curve, axis=1)


def rows_of(name: str, num_envs: int, args: Args) -> list[dict[str, Any]]:
    """One row per learner and measure."""
    probe = PROBES[name]
    rows = []
    for learner in args.learners:
        metrics = trained(probe, learner, num_envs, args.seeds, args.seed)
        for measure in probe.measures:
            row = {"probe": name, "num_envs": num_envs, "learner": learner, "measure": measure}
            rows.append(row | {"areas": areas(metrics, measure).tolist(), "steps": float(np.max(np.asarray(metrics.steps)))})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Areas, and their share of the best PPO's."""
    cells = []
    for row in rows:
        chance = PROBES[row["probe"]].measures[row["measure"]]
        same = [r for r in rows if all(r[k] == row[k] for k in ("probe", "num_envs", "measure"))]
        bars = [interquartile_mean(np.array(r["areas"])) for r in same if r["learner"].startswith("ppo")]
        area = np.array(row["areas"])
        share = (interquartile_mean(area) - chance) / (max(bars) - chance) if bars else float("nan")
        cells.append(
            (row["probe"], row["measure"], row["num_envs"], f"{row['steps']:.3g}", len(area), row["learner"])
            + (with_interval(area), f"{share:.2f}")
        )
    columns = "probe", "measure", "environments", "steps", "seeds", "learner", "area, IQM [95%]", "of the best PPO"
    return harness.table(columns, cells)


def main() -> None:
    """Entry point."""
    with user_errors():
        args = tyro.cli(Args, description=__doc__)
    if args.short:
        args = dataclasses.replace(args, probes=("bandit", "delay"), seeds=min(args.seeds, 3))
    keep_on_disk()
    measured, rows, text = harness.stamp(), [], ""
    name = args.out.name + ("_short" if args.short else "")
    for probe, num_envs in itertools.product(args.probes, args.num_envs):
        rows += rows_of(probe, num_envs, args)
        text = harness.page("Probes of the horizon", measured, table(rows))
        harness.write_text(args.out.with_name(f"{name}.md"), text)
        harness.write_record(harness.RAW / f"{name}.json", measured, rows=rows)
    Console().print(text, soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
