"""The package stands alone, its files import downwards only, and the names that others rely on are there."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import neocarbs_jax

HOME = Path(neocarbs_jax.__file__).parent

FLOORS = [
    {"space.conditions", "space.names", "pareto", "acquisition", "batching", "precision", "markup"},
    {"space.bounded"},
    {"space.real", "space.whole", "space.options"},
    {"space.axes", "space.constraints"},
    {"space.feasibility", "space.cube"},
    {"observations", "space.display"},
    {"space.space"},
    {"space.formats"},
    {"space"},
    {"gp.kernel", "gp.solver", "gp.warping", "candidates", "ppo_model"},
    {"continuations", "synthetic"},
    {"gp.process"},
    {"gp.fit"},
    {"gp.posterior"},
    {"gp"},
    {"fitting"},
    {"beliefs"},
    {"strategies.active"},
    {"strategies.base"},
    {"strategies.continued", "strategies.replicated", "strategies.targets"},
    {"strategies.neocarbs", "strategies.protein", "strategies.carbs", "strategies.pareto_genetic", "strategies.random"},
    {"strategies"},
    {"config"},
    {"state"},
    {"sweep"},
    {"insight", "expected"},
    {"study.changes", "study.limits", "study.liveness", "study.programs", "study.results"},
    {"study.storages"},
    {"study.trials", "study.header"},
    {"study.lineage"},
    {"study.ledger", "study.stopping", "study.curves", "study.display", "study.frames"},
    {"study.rows", "study.recorder"},
    {"study.proposal"},
    {"study.expectation"},
    {"study.watching"},
    {"report", "study.effects"},
    {"report.settings", "report.bounds", "report.formats", "report.plots.snapshot", "report.plots.style"},
    {"report.plots.scales"},
    {
        "report.plots.front",
        "report.plots.spend",
        "report.plots.predictions",
        "report.plots.hyperparameters",
        "report.plots.importances",
        "report.plots.order",
        "report.plots.parallel",
        "report.plots.progress",
        "report.plots.scaling",
        "report.plots.curves",
    },
    {"report.plots.compare"},
    {"report.plots"},
    {"study.view"},
    {"study.ask_tell"},
    {"study.study"},
    {"study"},
    {"study.confirm"},
    {"programs.template", "programs.outcome", "programs.process"},
    {"programs.program"},
    {"programs"},
    {"adapters"},
    {
        "adapters.csv_file",
        "adapters.optuna_rows",
        "adapters.ray_tasks",
        "adapters.ray_tune",
        "adapters.spaces.imported",
    },
    {"adapters.spaces.wandb_sweep", "adapters.spaces.optuna_space", "adapters.spaces.config_space"},
    {"adapters.spaces"},
    {"adapters.optuna_sampler", "report.lookup", "report.outputs"},
    {"report.progress", "report.summary", "report.tables", "report.picture", "adapters.trackers.record"},
    {"report.page", "dashboard.filters", "dashboard.storage", "dashboard.theme", "dashboard.source"},
    {"dashboard.views"},
    {"dashboard.details", "dashboard.layout"},
    {"dashboard.table"},
    {"dashboard.callbacks"},
    {"dashboard.server"},
    {"dashboard"},
    {"report.report", "optuna_sampler", "ray_tune"},
    {f"adapters.trackers.{name}" for name in ("csv_table", "mlflow_runs", "tensorboard", "trackio_runs", "wandb_runs")},
    {"adapters.trackers.by_name"},
    {"adapters.trackers"},
    {"trackers"},
    {"command_line", "command_line.completion", "command_line.slots"},
    {"command_line.common", "command_line.objectives"},
    {"command_line.engines"},
    {"command_line.options"},
    {f"command_line.{name}" for name in ("begin", "compare", "keep", "look", "pages", "work")},
    {"cli"},
    {""},
]
"""Modules of the package, lowest floor first; "" is the package itself."""

NAMES = {
    "neocarbs_jax": "SearchSpace Linear Log Logit Pow2 Integer Choice Ordinal Study sweep synthetic",
    "neocarbs_jax.space": "SearchSpace Linear Log Logit Pow2 Integer Choice Ordinal",
    "neocarbs_jax.optuna_sampler": "NeoCARBSSampler",
    "neocarbs_jax.trackers": "CSV MLflow TensorBoard Trackio WandB all_of",
    "neocarbs_jax.sweep": "Config init suggest suggest_batch observe observe_curve step run",
}
"""What others rely on."""


def imports_of(path):
    """Dotted names of what a file imports: modules, and names that may be modules."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, name.name) for name in node.names)
        elif isinstance(node, ast.Import):
            yield from ((name.name, "") for name in node.names)


def test_every_file_imports_from_lower_floors_only():
    floor_of = {name: number for number, floor in enumerate(FLOORS) for name in floor}
    for path in HOME.rglob("*.py"):
        name = ".".join(path.relative_to(HOME).with_suffix("").parts).removesuffix("__init__").removesuffix(".")
        assert name in floor_of, f"{name} has no floor"
        for module, imported in imports_of(path):
            package, _, below = module.partition(".")
            assert package not in {"envs", "experiments", "p3o_jax", "tests"}, (name, module)
            if package == "neocarbs_jax":
                submodule = f"{below}.{imported}".removeprefix(".")
                target = submodule if submodule in floor_of else below
                assert floor_of[target] < floor_of[name], f"{name} imports {target}"


@pytest.mark.parametrize("module", NAMES)
def test_the_names_that_others_rely_on_are_there(module):
    loaded = importlib.import_module(module)
    assert [name for name in NAMES[module].split() if not hasattr(loaded, name)] == []


def test_the_package_loads_nothing_of_ours_but_itself_and_exports_what_it_says():
    program = (
        "import sys, neocarbs_jax, neocarbs_jax.cli, neocarbs_jax.optuna_sampler\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'envs', 'experiments', 'p3o_jax'}))\n"
        "print([name for name in neocarbs_jax.__all__ if not hasattr(neocarbs_jax, name)])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"
