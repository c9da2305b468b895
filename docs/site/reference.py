"""Pages of the reference that are written when the site is built: from the real command lines and from docstrings."""

import contextlib
import inspect
import io
import os
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType

import neocarbs_jax
import p3o_jax
from envs import registry
from experiments import cli as p3o_cli
from neocarbs_jax import cli as neocarbs_cli

WIDTH = 88
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
    return _package_page(neocarbs_jax, "The package neocarbs_jax")


def p3o_package() -> str:
    """Return the page of the public names of p3o_jax, and of what loops of other people take from it."""
    page = _package_page(p3o_jax, "The package p3o_jax")
    return page + _entries("p3o_jax.checkpoint", "p3o_jax.advantages", "p3o_jax.losses", "p3o_jax.spread")


def environments() -> str:
    """Return the page with the docstring of every environment: what it observes, does and rewards, and when it ends."""
    classes = [f"{made.__module__}.{made.__name__}" for _, made in sorted(registry.ENVIRONMENTS.items())]
    head = "# Each environment in full\n\nTo choose one, see [Environments](../guide/environments.md).\n"
    return head + "".join(f"\n::: {path}\n    options:\n      members: false\n" for path in classes)


def _package_page(package: ModuleType, title: str) -> str:
    """Return a page with the docstrings of the names that a package exports, its modules last."""
    modules = [name for name in package.__all__ if inspect.ismodule(getattr(package, name))]
    names = [*(name for name in package.__all__ if name not in modules), *modules]
    return f"# {title}\n\n{package.__doc__}\n" + _entries(*(f"{package.__name__}.{name}" for name in names))


def _entries(*paths: str) -> str:
    return "".join(f"\n::: {path}\n" for path in paths)


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
    return printed.getvalue().strip()


PAGES: dict[str, Callable[[], str]] = {
    "reference/neocarbs-command.md": neocarbs_command,
    "reference/p3o-command.md": p3o_command,
    "reference/neocarbs_jax.md": neocarbs_package,
    "reference/p3o_jax.md": p3o_package,
    "reference/envs.md": environments,
}
"""Pages that no file in docs/ holds, by their places in the site."""
