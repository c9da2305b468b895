"""Tables that take seconds to build, kept in the user's cache folder between processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]
MOST_FILES = 8
"""So many tables are kept, those that were used last."""

_UNREADABLE = (OSError, ValueError, LookupError, EOFError, TypeError, zipfile.BadZipFile, zlib.error)
_KEY = "key"


def kept(group: str, key: str, build: Callable[[], Arrays]) -> Arrays:
    """Return the arrays that `build` makes, from disk if an earlier call with this key has kept them.

    They lie in `neocarbs-p3o` in `XDG_CACHE_HOME` or `~/.cache`. A file that is damaged, or that is of another key, is
    built anew; its content is checked by the checksums of its zip archive. A file is complete or not there at all, also
    if a process is killed while it writes. Where no folder can be made or written, nothing is kept.

    Args:
        group: Name of the folder.
        key: All that the arrays depend on, the version of what builds them included.
        build: Makes the arrays, by name; none may be named "key".
    """
    folder = folder_of(group)
    if folder is None:
        return build()
    file = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"
    arrays = _read(file, key)
    if arrays is None:
        arrays = build()
        with contextlib.suppress(OSError):
            _write(file, key, arrays)
            _remove_the_oldest(folder)
    return arrays


def folder_of(group: str) -> Path | None:
    """Return the folder of a group, made if need be; None where that is impossible."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neocarbs-p3o" / group
        folder.mkdir(parents=True, exist_ok=True)
    except (RuntimeError, OSError):  # no home directory, or one that cannot be written
        return None
    return folder


def _read(file: Path, key: str) -> Arrays | None:
    """Return what a file holds, or None where it is not there, damaged, or of another key."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            if str(archive[_KEY]) != key:
                return None
            arrays = {name: archive[name] for name in archive.files if name != _KEY}
        os.utime(file)  # it was used
    except _UNREADABLE:
        return None
    return arrays


def _write(file: Path, key: str, arrays: Arrays) -> None:
    """Write a draft and rename it, which is atomic."""
    handle, name = tempfile.mkstemp(dir=file.parent, suffix=".draft")
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, allow_pickle=False, **{_KEY: np.array(key)}, **arrays)  # pyright: ignore[reportArgumentType]
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def _remove_the_oldest(folder: Path) -> None:
    newest_first = sorted(folder.glob("*.npz"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in newest_first[MOST_FILES:]:
        file.unlink(missing_ok=True)
