"""Settings as text that is ready to be used: TOML, JSON, options of a command line, or a Python dictionary."""

import json
import re
import shlex
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # of TOML; a dot would make a table


def formatted(values: dict[str, Any], form: str) -> str:
    """Return settings as text: "toml", "json", "cli" or "py"."""
    if form == "json":
        return json.dumps(values)
    if form == "py":
        return repr(values)
    texts = {name: json.dumps(value) for name, value in values.items()}
    if form == "toml":
        if absent := [name for name, value in values.items() if value is None]:
            raise ValueError(f"`format` must not be toml, which has no null, where {absent[0]} is None; got toml.")
        keys = {name: name if _BARE_KEY.fullmatch(name) else json.dumps(name) for name in values}
        return "\n".join(f"{keys[name]} = {text}" for name, text in texts.items())
    words = {name: value if isinstance(value, str) else texts[name] for name, value in values.items()}
    return " ".join(f"--{shlex.quote(name)} {shlex.quote(word)}" for name, word in words.items())
