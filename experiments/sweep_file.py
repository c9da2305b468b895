"""Sweeps as TOML files: read, overridden by the command line, and written out whole beside the report.

env = "pong"
trials = 40

[axes]
learning_rate = "1e-4,1e-2"
gamma = true

[set]
num_envs = 128

[best]
learning_rate = 5e-3

The last table is for `p3o train --file`: what a sweep found on the axes.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from experiments.common import nearest
from neocarbs_jax.space.formats import toml_key, toml_value
from p3o_jax.params import STABLE

TABLES = ("axes", "set", "bounds")

BEST = "best"
"""The table that `p3o train` reads beside [set], and sweeps do not."""


def read(file: Path, known: Iterable[str]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return the options of a file, and the entries of its tables as the command line would have them.

    Args:
        file: TOML.
        known: names of options.

    Raises:
        ValueError: the file cannot be read, or an entry is none.
    """
    return _checked(_content(file), known)


def _checked(content: Mapping[str, Any], known: Iterable[str]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return options and entries of what a file holds."""
    known = [name for name in known if name not in ("file", *TABLES)]
    options, tables = {}, {}
    for name, value in content.items():
        key = name.replace("-", "_")
        if key in TABLES:
            tables[key] = _entries(name, value)
        elif key in known:
            options[key] = value
        elif key != BEST:
            raise ValueError(f"`file` must hold options of `p3o sweep`; got {name}{nearest(name, [*known, *TABLES])}")
    return options, tables


def read_best(file: Path, known: Iterable[str]) -> tuple[str, list[str]]:
    """Return the environment of a file, and the entries of [set] with those of [best] in place of some.

    Args:
        file: to read.
        known: names of all options of a sweep.

    Raises:
        ValueError: the file cannot be read, names no single environment, or an entry is none.
    """
    content = _content(file)
    options, tables = _checked(content, known)
    env = options.get("env")
    if isinstance(env, list) and len(env) == 1:
        env = env[0]
    if not isinstance(env, str):
        raise ValueError(f'`file` must name one environment, as in env = "pong"; got {env!r}.')
    best = _entries(BEST, content.get(BEST, {}))
    return env, [*_without(_names(best), tables.get("set", ())), *best]


def _content(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"`file` must be a TOML file that can be read; got {str(file)!r} ({error}).") from error


def arguments(options: Mapping[str, Any]) -> list[str]:
    """Return options as words of a command line."""
    words: list[str] = []
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", *map(str, value if isinstance(value, list) else [value])]
    return words


def merge(
    from_file: Mapping[str, Iterable[str]], given: Mapping[str, Iterable[str | Iterable[str]]]
) -> dict[str, tuple[str, ...]]:
    """Return the entries of all tables, those of the command line in place of a file's of the same name.

    What the command line sets is no axis of the file any more, and what it searches is not set by the file.

    Raises:
        ValueError: The command line sets all axes of the file.
    """
    own = {table: _flattened(given[table]) for table in TABLES}
    axes, fixed, bounds = (_names(own[table]) for table in TABLES)
    replaced = {"axes": axes | fixed, "set": fixed | axes, "bounds": bounds | fixed | axes}
    merged = {table: (*_without(replaced[table], from_file.get(table, ())), *own[table]) for table in TABLES}
    if from_file.get("axes") and not merged["axes"]:
        raise ValueError("`set` must leave an axis of the file to search; got all of them.")
    return merged


def _flattened(groups: Iterable[str | Iterable[str]]) -> list[str]:
    return [word for group in groups for word in ([group] if isinstance(group, str) else group)]


def _names(words: Iterable[str]) -> set[str]:
    words = list(words)
    return {word.partition("=")[0] for word in words} | (STABLE.keys() if "anneal=stable" in words else set())


def _without(names: set[str], words: Iterable[str]) -> list[str]:
    return [word for word in words if word.partition("=")[0] not in names]


def write(file: Path, options: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Write a sweep as a file that `read` reads; return its text."""
    lines = [_line(name, value) for name, value in options.items() if value is not None]
    for name, table in tables.items():
        if table:
            lines += ["", f"[{name}]", *(_line(key, value) for key, value in table.items())]
    text = "\n".join(lines) + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return text


def _entries(name: str, value: Any) -> list[str]:
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"`file` must give {name} a table or a list of texts; got {value!r}.")
    entries = []
    for key, entry in _flat(value).items():
        if name == "axes" and entry is True:
            entries.append(key)
        elif isinstance(entry, list):
            entries.append(f"{key}={','.join(map(str, entry))}")
        else:
            entries.append(f"{key}={entry}")
    return entries


def _flat(table: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return a table whose keys with a dot (network.width) were tables of their own."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= _flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {before + key: value}
    return found


def _line(name: str, value: Any) -> str:
    plain = value if isinstance(value, bool | int | float | list | tuple) else str(value)
    return f"{toml_key(name)} = {toml_value(name, plain)}"
