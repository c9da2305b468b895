"""Where results go: folder names, and whether they can be written, before any work is done for them."""

import re
import tempfile
from pathlib import Path


def folder_name(name: str) -> str:
    """Return a name as one that folders may have: letters, digits, ".", "_" and "-"."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "study"


def check_folder(argument: str, folder: Path) -> None:
    """Raise a ValueError unless files can be written into a folder, which need not exist; nothing is left there."""
    made = []
    try:
        for parent in reversed([folder, *folder.parents]):
            if not parent.exists():
                parent.mkdir()
                made.append(parent)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        cause = error.strerror or error
        raise ValueError(
            f"`{argument}` must be a folder that can be written; got {str(folder)!r} ({cause})."
        ) from error
    finally:
        for parent in reversed(made):
            parent.rmdir()


def check_file(argument: str, file: Path, suffix: str) -> None:
    """Raise a ValueError unless a file of that suffix can be written; nothing is left there."""
    if file.suffix.lower() != suffix:
        raise ValueError(f"`{argument}` must end in {suffix}; got {str(file)!r}.")
    if file.is_dir():
        raise ValueError(f"`{argument}` must be a file; got {str(file)!r}, which is a folder.")
    check_folder(argument, file.parent)
    if file.exists():
        try:
            with file.open("ab"):
                pass
        except OSError as error:
            raise ValueError(f"`{argument}` must be a file that can be written; got {str(file)!r}.") from error
