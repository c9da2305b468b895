"""What the command lines share."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Turn a `ValueError` of the block, which checks what the user gave, into one line and exit code 2."""
    try:
        yield
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
