"""Completion of the command line by shells."""

import contextlib
import io
from collections.abc import Callable

SHELLS = ("bash", "zsh")
_FILES = """
# What stands above, and files where it finds nothing: storages and spaces are paths.
_neocarbs() {
  _tyro_neocarbs
  if [ -z "${COMPREPLY[*]}" ]; then
    COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
  fi
}
complete -o filenames -F _neocarbs neocarbs
"""


def script(shell: str, parse: Callable[[list[str]], object]) -> str:
    """Return the script that teaches a shell the commands and their options.

    Args:
        shell: One of `SHELLS`.
        parse: Reads a command line by tyro, which writes the script.

    Raises:
        ValueError: Another shell is named.
    """
    if shell not in SHELLS:
        raise ValueError(f"`completion` must be {' or '.join(SHELLS)}; got {shell!r}.")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        parse(["--tyro-print-completion", shell])
    return printed.getvalue() + (_FILES if shell == "bash" else "")
