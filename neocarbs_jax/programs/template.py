"""Command lines with placeholders: "python train.py --lr {lr}" and the values of a trial give the words to run.

The command is split into words before the values are put in, and no shell reads it: a value with blanks or quotes is
still one word. "{{" and "}}" stand for braces.
"""

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
ABOUT_THE_TRIAL = ("trial", "replicate", "folder", "values")
"""Placeholders besides the names of the space: number, replicate and folder of the trial; all values as JSON."""


def split(command: str) -> tuple[str, ...]:
    """Return the words of a command, placeholders and all.

    Raises:
        ValueError: The command is empty, or a quote is left open.
    """
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise ValueError(f"`command` must be a command line; got {command!r} ({error}).") from error
    if not words:
        raise ValueError("`command` must name a program; got nothing.")
    return words


def check(words: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return the names of the space that no placeholder stands for.

    Args:
        words: Of the command.
        names: Of the axes and fixed values.

    Raises:
        ValueError: A placeholder is no name of the space.
    """
    names = list(names)
    used = {part.group(1) for word in words for part in _PART.finditer(word) if part.group(1) is not None}
    for name in sorted(used):
        if name not in names and name not in ABOUT_THE_TRIAL:
            known = ", ".join([*names, *ABOUT_THE_TRIAL])
            raise ValueError(f"`command` may have placeholders for {known}; got {{{name}}}.")
    return [] if "values" in used else [name for name in names if name not in used]


def fill(words: Sequence[str], values: Mapping[str, Any], about: Mapping[str, Any]) -> list[str]:
    """Return the words with values in the places of their names.

    A word whose value is absent, as its axis is not active, is left out, and with it the option before it: of
    "--momentum {momentum}" nothing is left.

    Args:
        words: Of the command.
        values: Of the trial.
        about: Values of `ABOUT_THE_TRIAL`.
    """
    known = {**about, **values}
    absent = [any(name and name not in known for name in _PART.findall(word)) for word in words]
    flags = [word.startswith("-") and not _PART.search(word) for word in words]
    left_out = [
        gone or (flag and follower) for gone, flag, follower in zip(absent, flags, [*absent[1:], False], strict=True)
    ]

    def value_of(part: re.Match[str]) -> str:
        return {"{{": "{", "}}": "}"}.get(part.group(0)) or text_of(known[part.group(1)])

    return [_PART.sub(value_of, word) for word, gone in zip(words, left_out, strict=True) if not gone]


def text_of(value: Any) -> str:
    """Return a value as programs read it: numbers and texts as they are, everything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, default=str)


def environment(values: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, str]:
    """Return environment variables: NEOCARBS_TRIAL, _REPLICATE, _FOLDER, _VALUES, and NEOCARBS_VALUE_LR for `lr`."""
    variables = {f"NEOCARBS_{name.upper()}": text_of(value) for name, value in about.items()}
    named = {f"NEOCARBS_VALUE_{re.sub(r'[^A-Za-z0-9]', '_', n).upper()}": text_of(v) for n, v in values.items()}
    return variables | named
