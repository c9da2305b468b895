"""Where results go: folder names, and whether they can be written, before any work is done for them."""

import os
import re
import tempfile
from pathlib import Path


def folder_name(name: str) -> str:
    """Return a name as one that folders may have: letters, digits, ".", "_" and "-"."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "study"


def check_folder(argument: str, folder: Path) -> None:
    """Raise a ValueError unless files can be written into a folder, which need not exist; nothing is left there."""
    cause = _obstacle(folder)
    if cause:
        raise ValueError(f"`{argument}` must be a folder that can be written; got {str(folder)!r} ({cause}).")


def check_file(argument: str, file: Path, suffix: str) -> None:
    """Raise a ValueError unless a file of that suffix can be written; nothing is left there."""
    if file.suffix.lower() != suffix:
        raise ValueError(f"`{argument}` must end in {suffix}; got {str(file)!r}.")
    if file.is_dir():
        raise ValueError(f"`{argument}` must be a file; got {str(file)!r}, which is a folder.")
    cause = _obstacle(file.parent)
    if cause:
        raise ValueError(f"`{argument}` must be a file whose folder can be written; got {str(file)!r} ({cause}).")
    if file.exists() and not os.access(file, os.W_OK):
        raise ValueError(f"`{argument}` must be a file that can be written; got {str(file)!r}.")


def _obstacle(folder: Path) -> str | None:
    """Return why no file can be written into a folder, or into the one that would be made; None if it can."""
    made = []
    try:
        for parent in reversed([folder, *folder.parents]):
            if not parent.exists():
                parent.mkdir()
                made.append(parent)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)
    finally:
        for parent in reversed(made):
            parent.rmdir()
