"""Settings as text that is ready to be used: TOML, JSON, options of a command line, or a Python dictionary."""

import json
import shlex
from typing import Any

from neocarbs_jax.space.formats import toml_key, toml_value


def formatted(values: dict[str, Any], form: str) -> str:
    """Return settings as text: "toml", "json", "cli" or "py"."""
    if form == "json":
        return json.dumps(values)
    if form == "py":
        return repr(values)
    if form == "toml":
        if absent := [name for name, value in values.items() if value is None]:
            raise ValueError(f"`format` must not be toml, which has no null, where {absent[0]} is None; got toml.")
        return "\n".join(f"{toml_key(name)} = {toml_value(name, value)}" for name, value in values.items())
    words = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    return " ".join(f"--{shlex.quote(name)} {shlex.quote(word)}" for name, word in words.items())
