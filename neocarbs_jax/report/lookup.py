"""Studies by what a command line gives: a path or a URL, and a name or none."""

from collections.abc import Callable

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
