"""Environments of the command line: by name, with constructor arguments, in the words of the options.

A name may be one of ours, one of another library's ("brax:ant"), or a user's own: "module:function" or
"path/to/file.py:function", where the function returns an environment of the gymnax contract. Arguments may follow:
"pong?frameskip=2&width=400".
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
  those of other libraries, where they are installed, such as
  gymnax:CartPole-v1, brax:ant, navix:Navix-Empty-5x5-v0, jumanji:Snake-v1,
  craftax:Craftax-Symbolic-v1, playground:CartpoleBalance,
  and yours as module:function or file.py:function. Arguments of the constructor
  may follow, as in 'pong?frameskip=2'."""

_GYMNAX = "gymnax:"
_CONTRACT = ("reset_env", "step_env", "is_truncated", "observation_space", "action_space", "default_params")
"""What the learner needs of an environment."""


def make_env(name: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """Make the environment of that name.

    Args:
        name: as above.
        arguments: of its constructor, besides those in the name.

    Raises:
        ValueError: There is none, or it does not take the arguments, in the words of the command line.
    """
    whole, (name, own) = name, split(full_name(name))
    arguments = own | dict(arguments or {})
    maker = maker_of(name)
    known = _parameters(maker) if maker else None
    for argument in arguments:
        if known is not None and argument not in known:
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
    try:
        hash(env)
    except TypeError as error:
        raise ValueError(
            f"`env` must make a hashable environment, such as a frozen dataclass; got {whole!r} ({error})."
        ) from error
    return env


def full_name(name: str) -> str:
    """Return the name that is kept of an environment: gymnax's own have "gymnax:" before theirs."""
    base, _, _ = name.partition("?")
    if base in registry.ENVIRONMENTS or ":" in base or base not in _gymnax_names():
        return name
    return f"{_GYMNAX}{name}"


def _parameters(maker: Callable[..., Any]) -> list[str] | None:
    """Return the names of a function's parameters; None where it takes any, or does not tell."""
    try:
        parameters = inspect.signature(maker).parameters
    except (TypeError, ValueError):
        return None
    takes_any = any(parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    return None if takes_any else list(parameters)


def _gymnax_names() -> list[str]:
    try:
        import gymnax
    except ImportError:
        return []
    return list(gymnax.registered_envs)


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
    if ":" not in name or name.partition(":")[0] in registry.LIBRARIES:
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
    return nearest(name, [*registry.ENVIRONMENTS, *(f"{_GYMNAX}{other}" for other in _gymnax_names())])
