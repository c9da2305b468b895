"""What a command line names: a study by path or URL and name, a function by module or file."""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna

from neocarbs_jax.study import Study, ledger
from neocarbs_jax.study.storages import JOURNALS


def storage_url(text: str) -> str:
    """Return the URL of a storage, which may be given as the path of a SQLite file or of a journal (.log, .journal).

    Raises:
        ValueError: The text is neither.
    """
    if "://" in text:
        return text
    if not text or text.startswith("sqlite:"):
        raise ValueError(f"`storage` must be a path, or read sqlite:///PATH; got {text!r}.")
    return f"journal:///{text}" if text.endswith(JOURNALS) else f"sqlite:///{text}"


def study_names(storage: str) -> list[str]:
    """Return the names of the studies of a storage that exists.

    Raises:
        ValueError: The storage cannot be opened.
    """
    return sorted(optuna.get_all_study_names(ledger.open_storage(storage_url(storage), must_exist=True)))


def find_study(storage: str, name: str | None, say: Callable[[str], object] = print) -> Study:
    """Open a study; where no name is given, or one under another name is the only one, open the only one.

    Args:
        storage: Path or URL.
        name: Of the study.
        say: Told of a study that was not named.

    Raises:
        ValueError: The storage cannot be opened, or does not tell which study is meant.
    """
    url = storage_url(storage)
    known = study_names(url)
    if not known:
        raise ValueError(f"`storage` must hold a study; got {storage!r}, which holds none.")
    if name not in known:
        if len(known) > 1:
            given = "none" if name is None else repr(name)
            raise ValueError(f"`name` must be a study of the storage ({', '.join(known)}); got {given}.")
        say(f"The only study there is {known[0]!r}" + (f", not {name!r}." if name is not None else "."))
        name = known[0]
    return Study.load(url, name=name)


def import_function(argument: str, text: str) -> Callable[..., Any]:
    """Return the function that "module:function" or "path/to/file.py:function" names; the current folder comes first.

    Args:
        argument: name of the option, for the message.
        text: what was given.

    Raises:
        ValueError: it cannot be imported or called.
    """
    rule = f"`{argument}` must read module:function or file.py:function of something that can be imported"
    place, colon, name = text.rpartition(":")
    if not (colon and place and name):
        raise ValueError(f"{rule}; got {text!r}.")
    try:
        with _first(Path.cwd()):
            found = getattr(_import(place), name)
    except Exception as error:  # whatever the user's module raises
        raise ValueError(f"{rule}; got {text!r} ({type(error).__name__}: {error}).") from error
    if not callable(found):
        raise ValueError(f"{rule}; got {text!r}, which cannot be called.")
    return found


def _import(place: str) -> Any:
    if not place.endswith(".py"):
        return importlib.import_module(place)
    file = Path(place).resolve()
    name = f"_file_{abs(hash(file))}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # before it runs: dataclasses look for it there
        try:
            with _first(file.parent):  # what lies beside the file can be imported, as if it were run itself
                spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


@contextlib.contextmanager
def _first(folder: Path) -> Iterator[None]:
    """Look for modules in a folder first, as `python -m` does in the current one."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the module took it out itself
            sys.path.remove(str(folder))
