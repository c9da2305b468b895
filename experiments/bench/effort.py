"""P3O and PPO with the same effort: both are swept with the same budget, and their fronts are trained afresh.

    python -m experiments.bench.effort                    # all that is missing, two hours on a core
    python -m experiments.bench.effort --env connect4     # one of them, and the page with what is there

Each sweep is the command `p3o sweep` with the preset of the environment. PPO's has two axes more, its gamma and its
lambda. A sweep that was cut short goes on where it stopped.
"""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import tyro
from rich.console import Console

from experiments import confirmation, sweep
from experiments.bench import harness
from experiments.bench.tuner.real_report import area
from neocarbs_jax.report.lookup import find_study, storage_url
from neocarbs_jax.study.trials import completed

PRESETS = Path("experiments/presets")
AXES = {
    "connect4": "total_steps=5e5,8e6",
    "drive": "total_steps=5e5,5e6 update_epochs=1,2",
    "breakout": "total_steps=2e6,2e7",
}
"""Ranges in place of the preset's: what leaves some twenty trainings in ten minutes."""

FLOORS = {"connect4": -1.0, "drive": 0.0, "breakout": 0.0}
"""Scores that areas count from: what an agent has that always loses, or does nothing."""


class Learner(NamedTuple):
    """How a learner is swept and shown.

    Attributes:
        label: In the page and the picture.
        color: Of its front.
        axes: What it searches beside the preset's axes.
        fixed: What is set for all its trials, by environment; "" is for all of them.
    """

    label: str
    color: str
    axes: tuple[str, ...] = ()
    fixed: Mapping[str, str] = {}


LEARNERS = {
    "p3o": Learner("P3O", "C0"),
    "ppo": Learner(
        "PPO",
        "C1",
        ("gamma", "gae_lambda"),
        {"": "estimator=gae value=.5 kl_limit=inf", "breakout": "tau=.2"},  # tau, an axis there, is P3O's alone
    ),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to sweep."""

    env: tuple[Literal["connect4", "drive", "breakout"], ...] = ("connect4", "drive", "breakout")
    """Environments to sweep."""
    budget: float = 600.0
    """Seconds of training of each sweep."""
    fresh: int = 3
    """Fresh trainings of each point of a front that is confirmed."""
    points: int = 3
    """Points of a front that are confirmed: its ends, and others spread over the costs."""
    runs: Path = Path("runs/effort")
    """Folder of the studies and the agents."""
    page_only: bool = False
    """Sweep nothing; write the page again."""


def arguments_of(env: str, learner: str, settings: Settings) -> list[str]:
    """Return the arguments of `p3o sweep` for one learner on one environment."""
    name, own = f"{env}-{learner}", LEARNERS[learner]
    fixed = [word for key in ("", env) for word in own.fixed.get(key, "").split()]
    return [
        *("--file", str(PRESETS / f"{env}.toml"), "--storage", str(settings.runs / "studies.db"), "--name", name),
        *("--out", str(settings.runs / name), "--trials", "1000", "--max-cost", f"{settings.budget:g}"),
        *("--confirm", str(settings.fresh), "--confirm-points", str(settings.points)),
        *("--axes", *AXES[env].split(), *own.axes),
        *(["--set", *fixed] if fixed else []),
    ]


def record(env: str, learner: str, settings: Settings) -> harness.Row:
    """Return what a finished sweep found: its trials, its expected front, and the points that were confirmed."""
    study = find_study(storage_url(str(settings.runs / "studies.db")), f"{env}-{learner}")
    return {
        "env": env,
        "learner": learner,
        "budget": settings.budget,
        "arguments": arguments_of(env, learner, settings),
        "spent": sum(trial.cost or 0.0 for trial in study.trials),
        "trials": [[trial.cost, trial.score] for trial in completed(study.trials)],
        "expected": [[point.cost, point.score, point.low, point.high] for point in study.expected_front],
        "points": sound(confirmation.read(settings.runs / f"{env}-{learner}" / confirmation.FILE)),
    }


def sound(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the points of which a fresh training is sound; one that diverged counts as the worst of its point."""
    kept = []
    for point in points:
        scores = [score for score in point["scores"] if score is not None]
        if scores:
            filled = [min(scores) if score is None else score for score in point["scores"]]
            error = statistics.stdev(filled) / math.sqrt(len(filled)) if len(filled) > 1 else None
            kept.append({**point, "confirmed": statistics.fmean(filled), "standard_error": error})
    return kept


def shares(rows: Sequence[harness.Row]) -> list[float]:
    """Return the area under each expected front of one environment, as a share of that under the best of all.

    Areas are over log cost, from the cheapest point of all to the dearest, above the environment's floor.
    """
    fronts = [[(cost, score) for cost, score, _, _ in row["expected"]] for row in rows]
    pool = [point for front in fronts for point in front]
    if not pool:
        return [math.nan for _ in rows]
    low, high, floor = min(pool)[0], max(pool)[0] * 1.001, FLOORS[rows[0]["env"]]
    whole = area(sorted(pool), low, high, floor)
    return [area(sorted(front), low, high, floor) / whole if whole else math.nan for front in fronts]


def page(rows: Sequence[harness.Row], measured: harness.Stamp) -> str:
    """Return the page: what each front is worth, its points, and the settings of its best one."""
    by_env = {env: [row for row in rows if row["env"] == env] for env in dict.fromkeys(row["env"] for row in rows)}
    worth, points = [], []
    for env, own in by_env.items():
        for row, share in zip(own, shares(own), strict=True):
            label = LEARNERS[row["learner"]].label
            best = max(row["points"], key=lambda point: point["confirmed"], default=None)
            values = {} if best is None else best["values"]
            worth.append([
                env, label, len(row["trials"]), f"{row['spent']:.0f}",
                f"{share:.3f}", "" if best is None else _with_error(best),
                " ".join(f"`{name}={_short(value)}`" for name, value in values.items()),
            ])  # fmt: skip
            points += [
                [env, label, p["trial"], f"{p['cost']:.3g}", f"{p['claimed']:.4g}",
                 f"{p['expected']:.4g}", _with_error(p)]
                for p in row["points"]
            ]  # fmt: skip
    columns = "environment, learner, trials, seconds, share of the area, best point when confirmed, its settings"
    return harness.page(
        "P3O and PPO with the same effort",
        measured,
        "Each learner was swept by `p3o sweep` with the environment's preset and the same budget of training seconds "
        "on one core. Points of its front were then trained again with fresh seeds. The share is the area under "
        "the front that a sweep expects of fresh trainings, over log cost, divided by that under both fronts together. "
        "What the presets fix was found with P3O.",
        harness.table(columns.split(", "), worth),
        "![Two fronts](effort.png)",
        "Each point that was trained again (means of the fresh trainings, with standard errors):",
        harness.table(["environment", "learner", "trial", "cost, s", "claimed", "expected", "confirmed"], points),
        "The sweeps:",
        "\n".join(f"* `p3o sweep {' '.join(row['arguments'])}`" for row in rows),
    )


def _with_error(point: dict[str, Any]) -> str:
    error = point["standard_error"]
    return f"{point['confirmed']:.4g}" + (f" ± {error:.2g}" if error is not None else "")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def picture(rows: Sequence[harness.Row], file: Path) -> None:
    """Draw the trials, the expected fronts and the confirmed points of both learners, an environment a panel."""
    envs = list(dict.fromkeys(row["env"] for row in rows))
    figure, panels = plt.subplots(1, len(envs), figsize=(4.4 * len(envs), 3.8), squeeze=False)
    for panel, env in zip(panels[0], envs, strict=True):
        for row in (row for row in rows if row["env"] == env):
            learner = LEARNERS[row["learner"]]
            trials, front = np.reshape(row["trials"], (-1, 2)), np.reshape(row["expected"], (-1, 4))
            panel.scatter(*trials.T, s=8, color=learner.color, alpha=0.4)
            panel.plot(*front.T[:2], color=learner.color, label=learner.label)
            panel.fill_between(front[:, 0], front[:, 2], front[:, 3], color=learner.color, alpha=0.15)
            points = [(p["cost"], p["confirmed"], p["standard_error"] or 0.0) for p in row["points"]]
            panel.errorbar(*np.reshape(points, (-1, 3)).T, fmt="D", color=learner.color, capsize=3)
        panel.set(xscale="log", title=env, xlabel="seconds of training")
        panel.xaxis.set_minor_formatter("")
    panels[0][0].set_ylabel("score; diamonds are fresh trainings")
    panels[0][0].legend()
    figure.tight_layout()
    harness.save_figure(figure, file)
    plt.close(figure)


def main() -> None:
    """Entry point."""
    settings = tyro.cli(Settings, description=__doc__)
    store = harness.Store(harness.RESULTS / "effort.json.gz", key_fn=lambda row: (row["env"], row["learner"]))
    settings.runs.mkdir(parents=True, exist_ok=True)  # a storage makes no two folders
    for env in () if settings.page_only else settings.env:
        for learner in LEARNERS:
            sweep.main(arguments_of(env, learner, settings))
            store.merge([record(env, learner, settings)])
    rows = sorted(store.rows, key=lambda row: (list(AXES).index(row["env"]), row["learner"]))
    if not rows:
        raise SystemExit("There are no records yet: leave out --page-only.")
    text = page(rows, harness.stamp("flax", "optuna"))
    harness.write_text(harness.RESULTS / "effort.md", text)
    picture(rows, harness.RESULTS / "effort.png")
    Console().print(text, soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
