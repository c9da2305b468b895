"""The package stands alone, and its files import downwards only."""

import ast
import subprocess
import sys
from pathlib import Path

import p3o_jax

HOME = Path(p3o_jax.__file__).parent

FLOORS = [
    {"checks", "devices", "params", "segment", "distributions", "observations"},
    {"vector", "networks", "normalize", "ops.common", "ops.evidence"},
    {"ops.triton"},
    {"ops.triton_bands"},
    {"ops.spread"},
    {"ops.band_errors"},
    {"ops.bands", "ops.squared_error"},
    {"ops.advantages", "ops.value_loss"},
    {"ops.sharding", "losses"},
    {"ops"},
    {"advantages", "spread", "estimators.base"},
    {"estimators.banded", "estimators.gae", "estimators.original", "estimators.p3o"},
    {"estimators"},
    {"settings"},
    {"rollout"},
    {"metrics", "predictions"},
    {"gradient"},
    {"learner"},
    {"train", "evaluate", "checkpoint"},
    {""},
    {"__main__"},
]
"""Modules of the package, lowest floor first; "" is the package itself."""


def imports_of(path):
    """Names of the modules of ours that a file imports, as written."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_every_file_imports_from_lower_floors_only():
    floor_of = {name: number for number, floor in enumerate(FLOORS) for name in floor}
    for path in HOME.rglob("*.py"):
        name = ".".join(path.relative_to(HOME).with_suffix("").parts).removesuffix("__init__").removesuffix(".")
        assert name in floor_of, f"{name} has no floor"
        for module in imports_of(path):
            package, _, below = module.partition(".")
            assert package not in {"envs", "experiments", "neocarbs_jax", "tests"}, (name, module)
            if package == "p3o_jax":
                assert floor_of[below] < floor_of[name], f"{name} imports {below}"


def test_the_package_imports_nothing_of_ours_but_itself_and_exports_what_it_says():
    program = (
        "import sys, p3o_jax, p3o_jax.checkpoint, p3o_jax.losses, p3o_jax.advantages, p3o_jax.ops\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'envs', 'experiments', 'neocarbs_jax'}))\n"
        "print([name for name in p3o_jax.__all__ if not hasattr(p3o_jax, name)])\n"
    )
    command = [sys.executable, "-c", program]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HOME.parent).stdout
    assert out.splitlines() == ["[]", "[]"]


def test_names_that_others_import_are_there():
    from p3o_jax import Config, Params, init, make_train, update
    from p3o_jax.advantages import gae, p3o_advantage
    from p3o_jax.losses import gaussian_nll, p3o_value_loss
    from p3o_jax.spread import init_spread, lag_taus, lag_weights, update_spread

    names = (init, make_train, update, gae, p3o_advantage, gaussian_nll, p3o_value_loss)
    names += (init_spread, lag_taus, lag_weights, update_spread, Config, Params)
    assert all(callable(name) for name in names)
