"""Storages that are opened for reading alone."""

import contextlib
from pathlib import Path
from typing import Any

import sqlalchemy
import sqlalchemy.event
import sqlalchemy.exc
from optuna.storages import BaseStorage, RDBStorage

from neocarbs_jax.report.lookup import storage_url
from neocarbs_jax.study.storages import open_storage

_READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET default_transaction_read_only = on",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
}
"""By the kind of database: what makes it refuse to write for one connection."""


def open_read_only(storage: str) -> BaseStorage:
    """Open a storage such that its database refuses every write.

    A journal file has no such mode; it is only ever read.

    Args:
        storage: path or URL.

    Raises:
        ValueError: the storage cannot be opened, or it holds no studies.
    """
    url = storage_url(storage)
    if not _holds_studies(url):
        raise ValueError(f"`storage` must hold a study; got {storage!r}, which holds none.")
    opened = open_storage(url, must_exist=True)
    if isinstance(opened, RDBStorage):
        statement = _READ_ONLY.get(opened.engine.dialect.name)
        if statement:
            opened.remove_session()
            opened.engine.dispose()  # the connections that were made before

            @sqlalchemy.event.listens_for(opened.engine, "connect")
            def refuse_writes(connection: Any, _: Any) -> None:
                cursor = connection.cursor()
                cursor.execute(statement)
                cursor.close()
                connection.commit()

    return opened


def _holds_studies(url: str) -> bool:
    """Return whether a database has Optuna's tables, which Optuna would otherwise add; True where that is not known."""
    with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError, ImportError, ValueError):  # `open_storage` says it better
        parts = sqlalchemy.make_url(url)
        if parts.get_backend_name() == "sqlite" and not Path(parts.database or "").is_file():
            return True
        engine = sqlalchemy.create_engine(url)
        try:
            return sqlalchemy.inspect(engine).has_table("studies")
        finally:
            engine.dispose()
    return True
