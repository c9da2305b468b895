"""Learning: P3O with one setting for all tasks against PPO, its default and the best of a grid per task.

    python -m experiments.bench.learner.learning --short
    python -m experiments.bench.learner.learning --tasks cartpole catch --seeds 10
    python -m experiments.bench.learner.learning --ablation tau --tasks cartpole catch --seeds 10

Every estimator has the same learner, budget and, within a run, starting seeds. Measured: area under the learning
curve (mean score over intervals) and the last tenth of it, interquartile mean and 95% bootstrap interval over seeds
(Agarwal et al. 2021); areas, counted from the task's lowest score, are also divided by that of PPO tuned on the same
task and seeds. Records of tasks and settings that a run does not repeat stay in the file and in the tables.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tyro
from rich.console import Console

from experiments.axes import USUAL
from experiments.bench import harness
from experiments.bench.learner.report import (
    DEFAULT_PPO,
    LAGS,
    ablation_table,
    check_comparable,
    comparison_table,
    pictures,
)
from experiments.bench.learner.runs import TASKS, Record, Setting, check_tasks, make_records, trained_config
from experiments.common import user_errors
from experiments.settings import CONFIG_NAMES, assignments
from neocarbs_jax.study.programs import keep_on_disk
from p3o_jax.settings import PARAM_NAMES, Params

Estimator = Literal["p3o", "lags", "original", "gae"]
OUT = harness.RESULTS / "learning"
SHORT_TASKS = ("cartpole", "catch")
GRID = tuple(itertools.product((0.9, 0.97, 0.99, 0.997), (0.8, 0.95, 1.0)))
COARSE_GRID = ((0.95, 0.8), (0.99, 0.8), (0.99, 0.95), (0.997, 0.95))
ABLATIONS = {
    "tau": tuple({"tau": tau} for tau in (0.05, 0.1, 0.2, 0.4)),
    # Of lags, which alone have every rule.
    "tau_rule": tuple(
        {"tau_rule": rule, "tau": tau, "bands": 0}
        for rule, tau in (
            ("noise", 0.2),
            ("fixed", 0.1),
            ("fixed", 0.2),
            ("explained", 0.4),
            ("explained", 1.0),
            ("precision", 0.4),
        )
    ),
    "value": tuple({"value": value} for value in (0.5, 0.1, 0.03)),
    "floor": tuple({"floor": floor} for floor in (0.1, 0.3, 1.0)),
    "weight_prior": tuple({"weight_prior": prior} for prior in (0.05, 1.0, 5.0, 1e6)),
    "aggregate": tuple({"aggregate": factor} for factor in (1.0, 3.0, 10.0)),
    "entropy": tuple({"entropy": coefficient} for coefficient in (0.01, 0.02, 0.03)),
    "entropy_anneal": tuple({"entropy_anneal": fraction} for fraction in (0.0, 0.5, 1.0)),
    "kl_limit": tuple({"kl_limit": limit} for limit in (1e6, 0.1)),
    "learning_rate": tuple({"learning_rate": rate} for rate in (1e-3, 2.5e-3, 5e-3, 1e-2)),
    "bands": tuple({"bands": bands, "horizon": 2 ** (bands - 1)} for bands in (8, 9, 10, 11)),
    "segments": (
        {"segment_length": 32, "num_minibatches": 2},
        {"segment_length": 64, "num_minibatches": 4},
        {"segment_length": 64, "num_minibatches": 8},
        {"segment_length": 128, "num_minibatches": 8},
    ),
    "step": (
        {"num_minibatches": 32},
        *(
            {"num_minibatches": 8} | others
            for others in (
                {},
                {"segment_length": 32},
                {"segment_length": 128},
                {"learning_rate": 1e-2},
                {"optimizer": "muon", "learning_rate": 2e-2},
            )
        ),
    ),
}
"""Name -> the settings of P3O that are compared."""


@dataclasses.dataclass
class Args:
    """Compare estimators, or settings of P3O, on tasks."""

    tasks: tuple[str, ...] = tuple(TASKS)
    """Names of tasks."""
    estimators: tuple[Estimator, ...] = get_args(Estimator)
    """What to train ("lags" is P3O with a prediction for each step); the tables show the others' earlier records."""
    seeds: int = 5
    """Trainings of each."""
    seed: int = 0
    """Where their random keys come from: another one gives fresh trainings."""
    max_steps: float = float("inf")
    """No task takes more environment steps, whatever its own number; a `total_steps` that is set counts instead."""
    coarse: bool = False
    """Four pairs of gamma and lambda for PPO, instead of twelve."""
    short: bool = False
    """Two tasks, three seeds, small budgets and the coarse grid: minutes on two cores."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")] = ()
    """Fields of Params or Config for every estimator and task; needs another `out`."""
    ablation: str | None = None
    """Compare settings of P3O instead; a name in `ABLATIONS`."""
    out: Path = OUT
    """Directory of the tables, the records and the pictures."""

    def __post_init__(self) -> None:
        check_tasks(self.tasks)
        if self.ablation is not None and self.ablation not in ABLATIONS:
            raise ValueError(f"`ablation` must be one of {', '.join(ABLATIONS)}; got {self.ablation}.")
        if self.seeds < 1:
            raise ValueError(f"`seeds` must be at least 1; got {self.seeds}.")
        others = {*self._set} - ({*PARAM_NAMES, *CONFIG_NAMES} - {"estimator"})
        if others:
            raise ValueError(
                f"`set` must name fields of Params or Config, not the estimator; got {', '.join(sorted(others))}."
            )
        groups = settings_of(self)
        compared = [setting for name in groups if name != "gae" for setting in groups[name]]  # pairs yield to `set`
        if varied := {*self._set} & {name for setting in compared for name in setting.values}:
            raise ValueError(
                f"`set` must leave alone what the ablation or the estimator lags sets; got {', '.join(sorted(varied))}."
            )
        for setting in itertools.chain(*groups.values()):
            trained_config(setting, self.fixed)
        if self.set and self.out.resolve() == OUT.resolve():
            raise ValueError(f"`out` must be another folder where `set` is given, as its records are; got {self.out}.")

    @property
    def fixed(self) -> dict[str, Any]:
        """What `set` says but for the budget."""
        return {name: value for name, value in self._set.items() if name != "total_steps"}

    @property
    def _set(self) -> dict[str, Any]:
        return assignments(self.set)

    @property
    def name(self) -> str:
        """Name of the results in `out`."""
        parts = ["full"] if self.ablation is None else ["ablation", self.ablation]
        if not self.short:
            return "_".join(parts)
        return "short" if self.ablation is None else "_".join([*parts, "short"])

    @property
    def budgets(self) -> dict[str, float]:
        """Environment steps of a training on each task."""
        steps = {task: TASKS[task].short_steps if self.short else TASKS[task].steps for task in self.tasks}
        return {task: self._set.get("total_steps", min(whole, self.max_steps)) for task, whole in steps.items()}


def settings_of(args: Args) -> dict[str, tuple[Setting, ...]]:
    """What is compared, in groups that are reported together."""
    if args.ablation is not None:
        return {args.ablation: tuple(Setting("p3o", values) for values in ABLATIONS[args.ablation])}
    pairs = [dict(zip(DEFAULT_PPO, pair, strict=True)) for pair in (COARSE_GRID if args.coarse or args.short else GRID)]
    pairs = [pair | {name: value for name, value in args.fixed.items() if name in pair} for pair in pairs]
    grid = tuple(Setting("gae", pair) for i, pair in enumerate(pairs) if pair not in pairs[:i])
    groups = {"gae": grid, "lags": (Setting("p3o", LAGS),)}
    return {name: groups.get(name, (Setting(name, {}),)) for name in args.estimators}


class Records:
    """The records of earlier runs and this one, in one file that keeps them for later runs."""

    def __init__(self, file: Path) -> None:
        self._store = harness.Store(file, key_fn=lambda row: Record(**row).key)

    @property
    def all(self) -> list[Record]:
        """All records, sorted by task."""
        records = [Record(**row) for row in self._store.rows]
        return sorted(records, key=lambda record: list(TASKS).index(record.task))

    def merge(self, new: Iterable[Record]) -> None:
        """Keep new records, in the place of old ones of the same task and setting."""
        self._store.merge([dataclasses.asdict(record) for record in new])


def page_of(records: Sequence[Record], ablation: str | None, drawn: Iterable[str] = ()) -> str:
    """The table below the commands that made its records, and the pictures that were drawn."""
    commands = dict.fromkeys(record.command for record in records)
    table = comparison_table(records) if ablation is None else ablation_table(records)
    shown = "\n".join(f"![{name.removesuffix('.png').replace('_', ' ')}]({name})" for name in drawn)
    return "\n\n".join(filter(None, ["\n".join(f"* `{command}`" for command in commands), table, shown])) + "\n"


def main() -> None:
    """Entry point."""
    with user_errors():
        args = tyro.cli(Args, description=__doc__)
        if args.short:
            args = dataclasses.replace(args, tasks=SHORT_TASKS, seeds=min(args.seeds, 3))
        records = Records(args.out / f"{args.name}.json.gz")
        settings = [*itertools.chain(*settings_of(args).values())]
        check_comparable(records.all, args.budgets, settings, args.fixed)
    keep_on_disk()
    console = Console()
    page = ""
    for task, steps in args.budgets.items():
        for name, settings in settings_of(args).items():
            own = USUAL if name in ("gae", "original") else {}
            new = make_records(task, settings, Params(**own, total_steps=steps), args.seeds, args.seed, args.fixed)
            console.print(f"{task} {name}: {sum(record.seconds for record in new):.0f} s, compilation included")
            # Written at once: a run that is stopped keeps what it has finished.
            records.merge(new)
            page = page_of(records.all, args.ablation)
            harness.write_text(args.out / f"{args.name}.md", page)
    if args.ablation is None:
        figures = pictures(records.all, prefix="short_" if args.short else "")
        for name, figure in figures.items():
            harness.save_figure(figure, args.out / name)
        page = page_of(records.all, args.ablation, figures)
        harness.write_text(args.out / f"{args.name}.md", page)
    console.print(page, soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
