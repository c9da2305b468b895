"""What the command lines share: how options are read, and how errors reach the user."""

import collections
import contextlib
import difflib
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, TypeVar

import tyro

T = TypeVar("T")

Repeated = tuple[tuple[str, ...], ...]
"""Entries of an option that may be given several times, each time with several entries."""

Assignments = Annotated[Repeated, tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=VALUE ...")]
"""An option of NAME=VALUE entries that adds up."""

ADD_UP = ("--set", "--bounds", "--axes", "--arguments")
"""Options that may be given several times."""

LARGEST_SEED = 2**32 - 1


def read(command: type[T], name: str, description: str | None, arguments: Sequence[str] | None) -> T:
    """Read the options of a command, a dataclass; those that do not add up may be given once.

    Args:
        command: The dataclass.
        name: What the user typed, such as "p3o train".
        description: Text above the options in `--help`.
        arguments: Of the command line; None is the process's own.

    Raises:
        SystemExit: With code 2, after one line or tyro's own words, if an option cannot be read.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    names = [word.partition("=")[0].replace("_", "-") for word in given if word.startswith("--")]
    with user_errors():
        for option, times in collections.Counter(names).items():
            if option not in ADD_UP and times > 1:
                raise ValueError(f"`{option}` must be given once; got it {times} times.")
    return tyro.cli(command, prog=name, description=description, args=given)


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Turn a `ValueError` of the block, which checks what the user gave, into one line and exit code 2.

    So are an `OSError`, such as that of a full disk, and a device without memory left. Warnings of ours are one line
    each, too.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("default", message="Study|Attribute", category=UserWarning)
            warnings.showwarning = lambda message, *_, **__: print(message, file=sys.stderr)
            yield
    except RuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        _refuse(
            "the memory of the device must hold the training: lower `num_envs` or `segment_length`, or "
            f"raise `num_minibatches`; got {str(error).splitlines()[0]}"
        )
    except ValueError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))


def _refuse(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def check_seed(seed: int | None) -> None:
    """Raise a ValueError unless a seed is one that random keys can be made of; None passes."""
    if seed is not None and not 0 <= seed <= LARGEST_SEED:
        raise ValueError(f"`seed` must be from 0 to {LARGEST_SEED}; got {seed}.")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean NAME?" for the known name that is spelt most alike, or a full stop."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else "."
