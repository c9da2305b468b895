"""Probes: whether P3O finds the horizon that a task needs, beside PPO with the best of several discounts.

    python -m experiments.bench.learner.probes --short
    python -m experiments.bench.learner.probes --probes bandit --num-envs 16 64 512

Each probe asks one question. *bandit*: only the immediate reward depends on the action, and a long random stream
follows; is it left out? *delay*: the reward comes fifty steps after the action; is it found? *two_scale*: foraging,
which pays little nearby and much far away; are both learnt at once? PPO has gamma 0, .9 and .99 with lambda .95, and
its usual coefficients. Measured is the area under the learning curve, counted from chance, as a share of the best
PPO's.
"""

import dataclasses
import itertools
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import tyro
from rich.console import Console

from envs import registry
from experiments.axes import USUAL
from experiments.bench import harness
from experiments.bench.learner.probe_tasks import Bandit, Delay
from experiments.bench.learner.report import interquartile_mean, with_interval
from experiments.bench.learner.runs import config_of, train_all
from experiments.common import user_errors
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.settings import Params


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


Name = Literal["bandit", "delay", "two_scale"]
PROBES: dict[str, Probe] = {
    "bandit": Probe(Bandit(), 1.5e5, {"score": 64 / 6}),
    "delay": Probe(Delay(), 3e5, {"score": 0.25}),
    "two_scale": Probe(registry.make("foraging"), 5e5, {"near_rate": 0.0, "far_rate": 0.0}),
}
GAMMAS = (0.0, 0.9, 0.99)
LEARNERS: dict[str, tuple[dict[str, Any], list[dict[str, float]]]] = {
    "ppo": ({"estimator": "gae"}, [USUAL | {"gae_lambda": 0.95, "gamma": gamma} for gamma in GAMMAS]),
    "p3o": ({"estimator": "p3o"}, [{}]),
    "p3o, evidence": ({"estimator": "p3o", "evidence": True}, [{}]),
    "lags": ({"estimator": "p3o", "bands": 0}, [{}]),
    "lags, evidence": ({"estimator": "p3o", "bands": 0, "evidence": True}, [{}]),
    "bands": ({"estimator": "p3o", "bands": 9}, [{}]),
    "bands, evidence": ({"estimator": "p3o", "bands": 9, "evidence": True}, [{}]),
}
"""Name -> fields of `Config`, and those of `Params` of each training of one program.

"bands" has one more than the default of P3O, which begins beyond the horizon of 128 steps.
"""

KEY = ("probe", "measure", "num_envs", "learner")
"""What another row must share to be replaced."""


@dataclasses.dataclass
class Args:
    """Hold P3O's horizon against PPO's best."""

    probes: tuple[Name, ...] = get_args(Name)
    """Names of probes."""
    learners: tuple[str, ...] = tuple(LEARNERS)
    """What is trained; the table shows earlier records of the others."""
    num_envs: tuple[int, ...] = (64,)
    """Environments of a training; beyond 64, its steps grow with them."""
    seeds: int = 10
    """Trainings of each."""
    seed: int = 0
    """Where their random keys come from."""
    short: bool = False
    """Bandit and delay with three seeds: three minutes of a free core."""
    out: Path = harness.RESULTS / "probes"
    """Folder of the table and its records."""

    def __post_init__(self) -> None:
        if unknown := {*self.learners} - {*LEARNERS}:
            raise ValueError(f"`learners` must be among {', '.join(LEARNERS)}; got {', '.join(sorted(unknown))}.")
        if self.seeds < 1:
            raise ValueError(f"`seeds` must be at least 1; got {self.seeds}.")


def rows_of(name: str, learner: str, num_envs: int, num_seeds: int, seed: int) -> list[dict[str, Any]]:
    """One row per setting and measure, with the mean of the measure over each seed's training."""
    probe, (static, traced) = PROBES[name], LEARNERS[learner]
    steps = probe.steps * max(1, num_envs / 64)
    params = [Params(total_steps=steps, **own) for own in traced]
    metrics = train_all(probe.env, config_of(**static, num_envs=num_envs, segment_length=128), params, num_seeds, seed)
    rows = []
    for measure, (i, own) in itertools.product(probe.measures, enumerate(traced)):
        curve = np.asarray(metrics.score if measure == "score" else metrics.measures[measure])[i]
        shown = f"{learner}, gamma {own['gamma']:g}" if own else learner
        row = {"probe": name, "measure": measure, "num_envs": num_envs, "learner": shown, "steps": steps}
        rows.append(row | {"areas": np.nanmean(curve, axis=1).tolist(), "seed": seed, "command": harness.command()})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Areas, and their share of the best PPO's, both counted from chance."""
    cells = []
    for row in sorted(rows, key=lambda row: [list(PROBES).index(row["probe"]), row["measure"], row["num_envs"]]):
        chance = PROBES[row["probe"]].measures[row["measure"]]
        same = [r for r in rows if all(r[k] == row[k] for k in ("probe", "num_envs", "measure"))]
        bars = [interquartile_mean(np.array(r["areas"])) for r in same if r["learner"].startswith("ppo")]
        area = np.array(row["areas"])
        best = max(bars, default=chance)
        share = f"{(interquartile_mean(area) - chance) / (best - chance):.2f}" if best > chance else ""
        task = row["probe"], row["measure"], row["num_envs"], f"{row['steps']:.3g}", len(area)
        cells.append((*task, row["learner"], with_interval(area), share))
    columns = "probe", "measure", "environments", "steps", "seeds", "learner", "area, IQM [95%]", "of the best PPO"
    return harness.table(columns, cells)


def main() -> None:
    """Entry point."""
    with user_errors():
        args = tyro.cli(Args, description=__doc__)
    if args.short:
        chosen = args.probes if args.probes != tuple(PROBES) else ("bandit", "delay")
        args = dataclasses.replace(args, probes=chosen, seeds=min(args.seeds, 3))
    keep_on_disk()
    name = "short" if args.short else "full"
    store = harness.Store(args.out / f"{name}.json", key_fn=lambda row: tuple(row[k] for k in KEY))
    measured, text = harness.stamp(), ""
    for probe, num_envs, learner in itertools.product(args.probes, args.num_envs, args.learners):
        rows = store.merge(rows_of(probe, learner, num_envs, args.seeds, args.seed))
        commands = "\n".join(f"* `{command}`" for command in dict.fromkeys(row["command"] for row in rows))
        text = harness.page("Probes of the horizon", measured, commands, table(rows))
        harness.write_text(args.out / f"{name}.md", text)
    Console().print(text, soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
