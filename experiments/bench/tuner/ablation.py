"""Ablations of the default strategy: each ingredient changed alone, everything else at its default.

    python -m experiments.bench.tuner.ablation                                   # every variant: an hour on two cores
    python -m experiments.bench.tuner.ablation --variants default "raw front" --tasks rl log --seeds 3 --trials 100

Finished cells are kept in `.cache/bench/ablation.json`; the table is the mean fraction of the true front's hypervolume.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import tinygp
import tyro
from jaxtyping import Array
from rich.console import Console

from experiments.bench import harness
from experiments.bench.tuner import runs, tables
from experiments.bench.tuner.measures import measure
from experiments.bench.tuner.sweep import finished, sources_digest
from experiments.common import user_errors
from neocarbs_jax import front, model, pareto, surrogate
from neocarbs_jax.front import Believed
from neocarbs_jax.model import Model
from neocarbs_jax.observations import Observations

TASKS = ("rl", "log", "linear", "rl:ppo_box2d_lunar_lander", "rl:ppo_cc_cartpole")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to run.

    Attributes:
        variants: labels; by default all.
        tasks: synthetic tasks and tables; by default three tasks and two tables.
        seeds: sweeps per cell.
        trials: trials per sweep.
        tables: folder of the RL tables.
        out: file of the table.
    """

    variants: Annotated[tuple[str, ...], tyro.conf.arg(metavar="LABEL")] = ()
    tasks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = TASKS
    seeds: int = 2
    trials: int = 60
    tables: Path | None = None
    out: Path = harness.RESULTS / "ablation.md"


def believe_raw(
    believe_fn: Callable[[Observations, Model], Believed], observations: Observations, surrogates: Model
) -> Believed:
    """The front of the measured scores and costs instead of the posterior means."""
    score, log_cost = surrogates.warp.forward(observations.score), jnp.log(observations.cost)
    on_front = pareto.non_dominated(score, log_cost, observations.success)
    plain = surrogates.warp.unwarp(score)
    return believe_fn(observations, surrogates)._replace(score=score, plain=plain, log_cost=log_cost, on_front=on_front)


def rougher_covariance(hyperparameters: surrogate.Hyperparameters, left: Array, right: Array) -> Array:
    """The covariance with a Matern-3/2 kernel."""
    with mock.patch.object(tinygp.kernels, "Matern52", tinygp.kernels.Matern32):
        return surrogate.kernel(hyperparameters)(left - 0.5, right - 0.5)


@dataclasses.dataclass(frozen=True)
class Variant:
    """One change.

    Attributes:
        label: what the table calls it.
        options: fields of `sweep.Config` that differ from the defaults.
        patch_fn: () -> (object, attribute, value) to replace while it runs, where no option exists.
    """

    label: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    patch_fn: Callable[[], tuple[Any, str, Any]] | None = None


VARIANTS = (
    Variant("default"),
    Variant("no target cost", {"target_width": 1e3}),
    Variant("no active range", {"growth": 50.0}),
    Variant("raw front", patch_fn=lambda: (front, "believe", functools.partial(believe_raw, front.believe))),
    Variant("auto without rank", patch_fn=lambda: (model, "AUTO_WARPS", model.AUTO_WARPS[:-1])),
    Variant("warp linear", {"warp": "linear"}),
    Variant("warp aggression", {"warp": "aggression"}),
    Variant("warp log", {"warp": "log"}),
    Variant("warp winsor", {"warp": "winsor"}),
    Variant("warp rank", {"warp": "rank"}),
    Variant("kernel Matern-3/2", patch_fn=lambda: (surrogate, "covariance", rougher_covariance)),
    Variant("candidates / 4", {"num_candidates": 192}),
    Variant("candidates x 4", {"num_candidates": 3072}),
    Variant("no climbing", {"num_refined": 1, "refine_steps": 1}),
    Variant("twice the climbing", {"num_refined": 32, "refine_steps": 24}),
    Variant("no caution", {"caution": 1e-6}),
    Variant("caution x 4", {"caution": 6.0}),
    Variant("8 initial trials", {"num_initial": 8}),
    Variant("fit steps / 2", {"fit_steps": 12}),
    Variant("fit steps x 3", {"fit_steps": 72}),
    Variant("no thrift", {"thrift": 1e-3}),
    Variant("no overshoot", {"overshoot": 1e-3}),
    Variant("target width x 2", {"target_width": 0.3}),
    Variant("target width / 2", {"target_width": 0.075}),
    Variant("improvement instead of EHVI", {"acquisition": "improvement"}),
    Variant("conservative instead of EHVI", {"acquisition": "conservative"}),
)


def run_cell(variant: Variant, name: str, settings: Settings) -> dict[str, float]:
    """Mean fraction, top-fifth spend and waste of a variant on one task."""
    task = tables.task_of(name, settings.tables)
    true_front = task.front()
    replaced = mock.patch.object(*variant.patch_fn()) if variant.patch_fn else contextlib.nullcontext()
    if variant.patch_fn:
        jax.clear_caches()  # compiled functions do not see the patch
    with replaced:
        records = [
            runs.run("neocarbs", task, seed, settings.trials, **variant.options) for seed in range(settings.seeds)
        ]
    if variant.patch_fn:
        jax.clear_caches()
    measures = [measure(task, true_front, record) for record in records]
    return {
        "fraction": float(np.mean([m.fraction[-1] for m in measures])),
        "spend": float(np.mean([m.spend[-1] for m in measures])),
        "waste": float(np.mean([m.waste for m in measures])),
    }


def markdown(cells: Mapping[tuple[str, str], Mapping[str, float]], measured: harness.Stamp, settings: Settings) -> str:
    """A row per variant: fraction per task, their mean, mean spend in the top fifth, mean waste."""
    rows = []
    for variant in VARIANTS:
        row = [cells.get((variant.label, task)) for task in settings.tasks]
        known = [cell for cell in row if cell]
        if len(known) == len(row):
            mean, spend, waste = (np.mean([cell[key] for cell in known]) for key in ("fraction", "spend", "waste"))
            shown = [f"{cell['fraction']:.3f}" for cell in known]
            rows.append((variant.label, *shown, f"{mean:.3f}", f"{spend:.2f}", f"{waste:.2f}"))
    table = harness.table(("variant", *settings.tasks, "mean", "top-fifth spend", "waste"), rows)
    about = f"{settings.seeds} seeds, {settings.trials} trials; fraction of the true front's hypervolume."
    return harness.page("Ablations of the tuner", measured, about, table)


def main(settings: Settings) -> None:
    """Run what is missing and write the table."""
    console = Console(stderr=True)
    labels = [variant.label for variant in VARIANTS]
    if unknown := set(settings.variants) - set(labels):
        raise ValueError(f"`variants` must be among {', '.join(labels)}; got {', '.join(sorted(unknown))}.")
    store = finished("ablation")
    done = {row["key"]: row["cell"] for row in store.rows}
    cells = {}
    for variant in VARIANTS:
        for name in settings.tasks if variant.label in (settings.variants or labels) else ():
            key = json.dumps([variant.label, name, settings.seeds, settings.trials, sources_digest()])
            if key not in done:
                done[key] = run_cell(variant, name, settings)
                store.merge([{"key": key, "cell": done[key]}])
            cells[variant.label, name] = done[key]
            console.print(variant.label, name, done[key])
    text = markdown(cells, harness.stamp("tinygp"), settings)
    harness.write_text(settings.out, text)
    sys.stdout.write(text)


if __name__ == "__main__":
    runs.configure_jax()
    with user_errors():
        main(tyro.cli(Settings, description=__doc__))
