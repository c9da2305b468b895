"""Ablations of the default strategy: each ingredient changed alone, everything else at its default.

    python -m experiments.bench.tuner.ablation                                   # every variant: an hour on two cores
    python -m experiments.bench.tuner.ablation --variants default "raw front" --tasks rl log --seeds 3 --trials 100

Finished cells are kept in `.cache/bench/ablation.json`; the table is the mean fraction of the true front's hypervolume.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Array
from rich.console import Console

from experiments.bench import harness
from experiments.bench.tuner import runs, tables
from experiments.bench.tuner.measures import measure
from experiments.bench.tuner.sweep import finished, sources_digest
from experiments.common import user_errors
from neocarbs_jax.beliefs import Beliefs
from neocarbs_jax.gp import MATERN_LINEAR, KernelBuilder, MaternLinear
from neocarbs_jax.gp.warping import WARPS
from neocarbs_jax.strategies import NeoCARBS, Situation

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


@dataclasses.dataclass(frozen=True)
class RawFront(NeoCARBS):
    """The default with the front of measured scores and costs instead of posterior means."""

    def observed(self, seen: Situation) -> Beliefs:
        """Return the measurements."""
        data, known = seen.observations, seen.known
        measured = known.warp.forward(data.score), jnp.log(data.cost)
        return super().observed(seen)._replace(score=measured[0], log_cost=measured[1])


class RougherKernel(MaternLinear):
    """The default kernel with Matern-3/2 in place of Matern-5/2."""

    def _combine(self, squared: Array, slopes: Array) -> Array:
        r = jnp.sqrt(3 * jnp.maximum(squared, jnp.finfo(squared.dtype).tiny))
        return self.amplitude * (1 + r) * jnp.exp(-r) + self.linear * slopes + 1


def rougher(parameters: Mapping[str, Array]) -> RougherKernel:
    """Build the kernel from the parameters of the default one."""
    return RougherKernel(*(jnp.exp(parameters[f"log_{name}"]) for name in ("lengthscale", "amplitude", "linear")))


@dataclasses.dataclass(frozen=True)
class Variant:
    """One change.

    Attributes:
        label: What the table calls it.
        strategy: The rule.
        options: Fields of `sweep.Config` that differ from the defaults.
    """

    label: str
    strategy: NeoCARBS = NeoCARBS()  # noqa: RUF009  # frozen
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


VARIANTS = (
    Variant("default"),
    Variant("no target cost", NeoCARBS(target_width=1e3)),
    Variant("no active range", NeoCARBS(growth=50.0)),
    Variant("raw front", RawFront()),
    Variant("auto without rank", options={"warp": WARPS[:-1]}),
    *(Variant(f"warp {warp}", options={"warp": warp}) for warp in WARPS),
    Variant("kernel Matern-3/2", options={"kernel_fn": KernelBuilder(rougher, MATERN_LINEAR.prior)}),
    Variant("candidates / 4", NeoCARBS(num_candidates=192)),
    Variant("candidates x 4", NeoCARBS(num_candidates=3072)),
    Variant("no climbing", NeoCARBS(num_refined=1, refine_steps=1)),
    Variant("twice the climbing", NeoCARBS(num_refined=32, refine_steps=24)),
    Variant("no caution", NeoCARBS(caution=1e-6)),
    Variant("caution x 4", NeoCARBS(caution=6.0)),
    Variant("4 initial trials", NeoCARBS(num_initial=4)),
    Variant("target width x 2", NeoCARBS(target_width=0.3)),
    Variant("target width / 2", NeoCARBS(target_width=0.075)),
    *(Variant(f"thrift {thrift}", NeoCARBS(thrift=thrift)) for thrift in (0.15, 0.25, 0.5, 0.7)),
    Variant("improvement instead of EHVI", NeoCARBS(acquisition="improvement")),
    Variant("conservative instead of EHVI", NeoCARBS(acquisition="conservative")),
)


def run_cell(variant: Variant, name: str, settings: Settings) -> dict[str, float]:
    """Mean fraction, top-fifth spend and waste of a variant on one task."""
    task = tables.task_of(name, settings.tables)
    true_front = task.front()
    measures = [
        measure(task, true_front, runs.run(variant.strategy, task, seed, settings.trials, **variant.options))
        for seed in range(settings.seeds)
    ]
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
