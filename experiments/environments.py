"""Environments of the command line: by name, with constructor arguments, in the words of the options."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from envs import registry
from experiments.common import nearest
from experiments.settings import literal, pairs

NAMES = ", ".join(sorted(registry.ENVIRONMENTS))
HELP = f"Environments for --env:\n  {NAMES},\n  and gymnax's own as gymnax:NAME, such as gymnax:CartPole-v1."


def make_env(name: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """Make the environment of that name.

    Args:
        name: As in `envs.registry`.
        arguments: Of its constructor.

    Raises:
        ValueError: There is none, or it does not take the arguments, in the words of the command line.
    """
    arguments = arguments or {}
    maker = registry.ENVIRONMENTS.get(name)
    known = list(inspect.signature(maker).parameters) if maker else list(arguments)
    for argument in arguments:
        if argument not in known:
            takes = ", ".join(known) or "none"
            raise ValueError(f"`arguments` of {name} must be some of {takes}; got {argument}{nearest(argument, known)}")
    try:
        return registry.make(name, **arguments)
    except (ValueError, ImportError) as error:
        raise ValueError(str(error).replace("`name`", "`env`").rstrip(".") + _nearest_env(name)) from error
    except TypeError as error:
        raise ValueError(f"`arguments` must be some that {name} takes; got {dict(arguments)} ({error}).") from error


def constructor_arguments(groups: Iterable[Iterable[str]]) -> dict[str, Any]:
    """Return the constructor arguments that NAME=VALUE or NAME VALUE entries stand for.

    Raises:
        ValueError: An entry has no value, or a name is given twice.
    """
    entries: list[str] = []
    for group in groups:
        words = list(group)
        while words:
            word = words.pop(0)
            if "=" not in word:
                if not words:
                    raise ValueError(f"`arguments` must read NAME=VALUE; got {word!r}.")
                word = f"{word}={words.pop(0)}"
            entries.append(word)
    return {name: literal(text) for name, text in pairs(entries, "arguments").items()}


def _nearest_env(name: str) -> str:
    if name in registry.ENVIRONMENTS:
        return "."
    known = [*registry.ENVIRONMENTS]
    if name.startswith("gymnax:"):
        try:
            import gymnax
        except ImportError:
            return "."
        known = [f"gymnax:{other}" for other in gymnax.registered_envs]
    return nearest(name, known)
