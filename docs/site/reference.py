"""Pages of the reference that are written when the site is built: from the real command lines and from docstrings."""

import contextlib
import inspect
import io
import os
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType

import neocarbs_jax
import p3o_jax
from envs import registry
from experiments import cli as p3o_cli
from neocarbs_jax import cli as neocarbs_cli

WIDTH = 80
NEOCARBS_NAMES = {
    "Studies": "Study Trial",
    "What is searched": "SearchSpace Log Linear Logit Integer Pow2 Choice Ordinal",
    "Strategies": "NeoCARBS Protein CARBS ParetoGenetic Random strategies.Strategy strategies.Situation",
    "Kernels of the surrogates": "KernelBuilder Normal",
    "Sweeps as pure functions": "sweep",
    "Fronts, tasks with known fronts, and what a sweep has learnt": "pareto synthetic insight",
    "Inside other libraries": "optuna_sampler ray_tune trackers",
}
"""Public names of neocarbs_jax in the order of the page, with the modules that one imports by themselves."""

P3O_NAMES = {
    "Train": "make_train Config Params NetworkConfig Metrics Callback",
    "Evaluate, save, go on": "evaluate Evaluation advance checkpoint",
    "Several devices": "over_devices",
    "Step by step": "init update State num_total_updates steps_per_update VectorEnvironment",
    "Estimators": "Banded P3O GAE Original",
    "For a loop of your own": "advantages losses spread",
}
"""The same of p3o_jax."""

P3O_COMMANDS = tuple(p3o_cli.MODULES)
NEOCARBS_COMMANDS = tuple(command.__name__.lower() for command in neocarbs_cli.COMMANDS.__args__)


def neocarbs_command() -> str:
    """Return the page of the command `neocarbs`."""
    return _command_page("neocarbs", NEOCARBS_COMMANDS, neocarbs_cli.main)


def p3o_command() -> str:
    """Return the page of the command `p3o`."""
    return _command_page("p3o", P3O_COMMANDS, p3o_cli.main)


def neocarbs_package() -> str:
    """Return the page of the public names of neocarbs_jax."""
    return _package_page(neocarbs_jax, NEOCARBS_NAMES)


def p3o_package() -> str:
    """Return the page of the public names of p3o_jax, and of what loops of other people take from it."""
    return _package_page(p3o_jax, P3O_NAMES)


def environments() -> str:
    """Return the page with the docstring of every environment: what it observes, does and rewards, and when it ends."""
    page = "# Each environment in full\n\nTo choose one, see [Environments](../guide/environments.md).\n"
    for name, made in sorted(registry.ENVIRONMENTS.items()):
        page += f"\n## {name}\n\n```python\nmake{_signature(name, made)}\n```\n"
        page += f"\n```text\n{inspect.getdoc(made)}\n```\n"
    return page


def _signature(name: str, made: Callable[..., object]) -> str:
    """Return the arguments of `make` for an environment, those of its constructor included."""
    words = [f"{word.name}={word.default!r}" for word in inspect.signature(made).parameters.values()]
    return f"({', '.join([repr(name), *words])})"


def _package_page(package: ModuleType, groups: dict[str, str]) -> str:
    """Return a page with the docstrings of the named objects of a package, under a heading for each group."""
    page = f"# The package {package.__name__}\n\n{package.__doc__}\n"
    for heading, names in groups.items():
        page += f"\n## {heading}\n" + "".join(f"\n::: {package.__name__}.{name}\n" for name in names.split())
    return page


def _command_page(name: str, commands: Iterable[str], main: Callable[[Sequence[str]], None]) -> str:
    """Return a page with what a command line prints of itself and of each of its commands."""
    page = f"# The command {name}\n\nThis is what `{name} --help` and `{name} COMMAND --help` print.\n"
    page += f"\n```text\n{_help(main)}\n```\n"
    return page + "".join(f"\n## {name} {command}\n\n```text\n{_help(main, command)}\n```\n" for command in commands)


def _help(main: Callable[[Sequence[str]], None], *words: str) -> str:
    """Return what the command line prints on `--help`, as wide as a page of the site."""
    printed, columns = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(WIDTH)
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main([*words, "--help"])
    finally:
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
    return "\n".join(_wrap(line.rstrip()) for line in printed.getvalue().strip().splitlines())


def _wrap(line: str) -> str:
    """Break a line that is too wide; what follows an item or an indented line stands further to the right."""
    start = re.match(r" *(\* )?", line)[0]  # always matches, if nothing
    indent = " " * (len(start) + 2 * start.isspace())
    return line if len(line) <= WIDTH else textwrap.fill(line, WIDTH, subsequent_indent=indent)


PAGES: dict[str, Callable[[], str]] = {
    "reference/neocarbs-command.md": neocarbs_command,
    "reference/p3o-command.md": p3o_command,
    "reference/neocarbs_jax.md": neocarbs_package,
    "reference/p3o_jax.md": p3o_package,
    "reference/envs.md": environments,
}
"""Pages that no file in docs/ holds, by their places in the site."""
