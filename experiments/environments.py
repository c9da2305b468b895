"""Environments of the command line: by name, with constructor arguments, in the words of the options.

A name may be one of ours, one of gymnax's, or a user's own: "module:function" or "path/to/file.py:function", where the
function returns an environment of the gymnax contract. Arguments may follow: "pong?frameskip=2&width=400".
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from envs import registry
from experiments.common import nearest
from experiments.settings import literal, pairs
from neocarbs_jax.report.lookup import import_function

NAMES = ", ".join(sorted(registry.ENVIRONMENTS))
HELP = f"""Environments for --env:
  {NAMES},
  gymnax's own as gymnax:NAME, such as gymnax:CartPole-v1,
  and yours as module:function or file.py:function. Arguments of the constructor
  may follow, as in 'pong?frameskip=2'."""

_GYMNAX = "gymnax:"
_CONTRACT = ("reset", "step", "default_params", "action_space", "observation_space")


def make_env(name: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """Make the environment of that name.

    Args:
        name: as above.
        arguments: of its constructor, besides those in the name.

    Raises:
        ValueError: There is none, or it does not take the arguments, in the words of the command line.
    """
    whole, (name, own) = name, split(name)
    arguments = own | dict(arguments or {})
    maker = maker_of(name)
    known = list(inspect.signature(maker).parameters) if maker else list(arguments)
    for argument in arguments:
        if argument not in known:
            takes = ", ".join(known) or "none"
            raise ValueError(f"`arguments` of {name} must be some of {takes}; got {argument}{nearest(argument, known)}")
    try:
        env = maker(**arguments) if maker else registry.make(name, **arguments)
    except (ValueError, ImportError) as error:
        raise ValueError(str(error).replace("`name`", "`env`").rstrip(".") + _nearest_env(name)) from error
    except TypeError as error:
        raise ValueError(f"`arguments` must be some that {name} takes; got {arguments} ({error}).") from error
    lacking = [method for method in _CONTRACT if not hasattr(env, method)]
    if lacking:
        raise ValueError(
            f"`env` must make an environment with {', '.join(_CONTRACT)}; got {whole!r} without {lacking[0]}."
        )
    return env


def split(name: str) -> tuple[str, dict[str, Any]]:
    """Return a name without its arguments, and the arguments.

    Raises:
        ValueError: The arguments read otherwise.
    """
    name, _, query = name.partition("?")
    return name, {key: literal(text) for key, text in pairs(query.split("&") if query else [], "env").items()}


def with_arguments(name: str, arguments: Mapping[str, Any]) -> str:
    """Return the name of an environment with more arguments."""
    base, own = split(name)
    query = "&".join(f"{key}={value}" for key, value in sorted({**own, **arguments}.items()))
    return f"{base}?{query}" if query else base


def maker_of(name: str) -> Callable[..., Any] | None:
    """Return the class or function that makes an environment; None where only gymnax or nobody knows it.

    Raises:
        ValueError: A user's own cannot be imported.
    """
    name, _ = split(name)
    if name in registry.ENVIRONMENTS:
        return registry.ENVIRONMENTS[name]
    if ":" not in name or name.startswith(_GYMNAX):
        return None
    return import_function("env", name)


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
    if name in registry.ENVIRONMENTS or (":" in name and not name.startswith(_GYMNAX)):
        return "."
    known = [*registry.ENVIRONMENTS]
    if name.startswith("gymnax:"):
        try:
            import gymnax
        except ImportError:
            return "."
        known = [f"gymnax:{other}" for other in gymnax.registered_envs]
    return nearest(name, known)
