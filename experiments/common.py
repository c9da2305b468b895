"""What the command lines share."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import jax


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Turn a `ValueError` of the block, which checks what the user gave, into one line and exit code 2."""
    try:
        yield
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def compilation_cache() -> None:
    """Keep compiled programs between runs, where JAX_COMPILATION_CACHE_DIR says or in the user's cache directory."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(home / "neocarbs-p3o" / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
