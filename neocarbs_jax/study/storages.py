"""Where studies are kept: databases, journal files and memory, opened by a URL or a path, and waited for when busy."""

import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import optuna
import sqlalchemy
import sqlalchemy.exc
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from neocarbs_jax.study.liveness import GRACE_SECONDS, HEARTBEAT_SECONDS, quiet_optuna

WAIT_SECONDS = 60.0
"""How long a locked database, or one whose connection was lost, is waited for."""

_BUSY = re.compile(r"locked|busy|connection|starting up|shutting down|terminat|timeout|timed out", re.IGNORECASE)
JOURNALS = (".log", ".journal")
"""Suffixes of journal files."""

T = TypeVar("T")


def open_storage(storage: str | os.PathLike[str] | BaseStorage, *, must_exist: bool = False) -> BaseStorage:
    """Open a storage.

    Args:
        storage: the URL of a database ("sqlite:///runs/sweep.db", "postgresql://host/db") or of a journal file
            ("journal:///runs/sweep.log"), the path of an SQLite database or of a journal file (one that ends in .log or
            .journal), or an Optuna storage, which is returned as it is. "sqlite:///:memory:" lasts as long as the
            process.
        must_exist: whether a missing file is an error rather than made.

    Raises:
        ValueError: if the storage cannot be opened.
    """
    if isinstance(storage, BaseStorage):
        return storage
    if not isinstance(storage, str | os.PathLike):
        raise ValueError(f"`storage` must be a URL, a path or an Optuna storage; got {storage!r}.")
    url = _as_url(storage)
    try:
        file = _file_of(url)
        if file == Path(":memory:"):
            return InMemoryStorage()
        if must_exist and file and not file.is_file():
            raise ValueError(f"`storage` must exist; got {str(storage)!r}.")
        if file:
            file.parent.mkdir(exist_ok=True)  # one level: further ones are more likely mistyped than meant
        return _open_journal(file) if file and url.startswith("journal:") else _open_database(url)
    except (ImportError, sqlalchemy.exc.NoSuchModuleError) as error:
        known = isinstance(error, ImportError) and url.startswith("postgres")
        hint = "pip install 'neocarbs-p3o[postgres]'" if known else str(error)
        rule = "must name a database that can be opened, and its driver must be installed"
        raise ValueError(f"`storage` {rule}; got {_shown(url)} ({hint}).") from error
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, OSError, RuntimeError) as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        rule = "must name a database that can be opened"
        raise ValueError(f"`storage` {rule}; got {_shown(url)} ({cause}).") from error


def patiently(call: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Call a storage; while it is locked or out of reach, call again, for `WAIT_SECONDS` in all.

    Raises:
        TimeoutError: if it still is.
    """
    end = time.monotonic() + WAIT_SECONDS
    pause = 0.02
    while True:
        try:
            return call(*arguments, **options)
        except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.DBAPIError) as error:
            cause = _passing_cause(error)
            if cause is None:
                raise
            if time.monotonic() + pause > end:
                raise TimeoutError(f"The storage stayed out of reach for {WAIT_SECONDS:g} seconds: {cause}.") from error
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(2 * pause, 2.0)


def _passing_cause(error: BaseException | None) -> str | None:
    """What is wrong, if it may pass by itself."""
    while error is not None:
        if isinstance(error, sqlalchemy.exc.DBAPIError):
            text = str(error.orig or error).strip().partition("\n")[0]
            return text if error.connection_invalidated or _BUSY.search(text) else None
        error = error.__cause__
    return None


def _as_url(storage: str | os.PathLike[str]) -> str:
    text = os.fspath(storage)
    if "://" in text:
        return text
    suffix = Path(text).suffix
    if isinstance(storage, str) and not suffix:
        raise ValueError(f"`storage` must be the URL of a database or the path of a file; got {text!r}.")
    if suffix in JOURNALS:
        return f"journal:///{text}"
    return sqlalchemy.URL.create("sqlite", database=text).render_as_string()


def _file_of(url: str) -> Path | None:
    """The file that a URL names; None for databases of other kinds."""
    if url.startswith("journal:///"):
        return Path(url.removeprefix("journal:///"))
    try:
        parts = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise sqlalchemy.exc.ArgumentError(str(error)) from error
    if parts.get_backend_name() != "sqlite":
        return None
    return Path(parts.database or ":memory:")


def _open_journal(file: Path) -> JournalStorage:
    with quiet_optuna():
        return JournalStorage(JournalFileBackend(str(file)))


def _open_database(url: str) -> RDBStorage:
    """The database; workers that start together race to make its tables, and all but one wait for them."""
    parts = sqlalchemy.make_url(url)
    options: dict[str, Any] = {"pool_pre_ping": True}
    if parts.get_backend_name() == "sqlite":
        options = {} if "timeout" in parts.query else {"connect_args": {"timeout": WAIT_SECONDS}}
    for pause in (0.5, 1.0, 2.0, 4.0, None):
        try:
            with quiet_optuna():
                return RDBStorage(url, options, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=GRACE_SECONDS)
        except sqlalchemy.exc.DBAPIError as error:
            if pause is None or not re.search("already exists|duplicate key|UNIQUE constraint|locked", str(error)):
                raise
            time.sleep(pause)
    raise AssertionError("unreachable")


def _shown(url: str) -> str:
    """The URL without its password."""
    return repr(re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url))
