"""The console script `p3o`: check that the packages it needs are ours, then hand over to `experiments.cli`.

`p3o_jax` imports nothing of `envs` and `experiments`; only this script needs them, which are installed beside it. Their
names are common ones, so that a path searched earlier may hold other packages of the same names.
"""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

PACKAGES = ("envs", "experiments")


def main() -> None:
    """Run the command line, or exit with code 2 and one line that says which package is in the way."""
    home = Path(__file__).resolve().parent.parent
    for package in PACKAGES:
        complaint = complain(package, home)
        if complaint is not None:
            print(f"p3o: {complaint}", file=sys.stderr)
            raise SystemExit(2)
    importlib.import_module("experiments.cli").main()


def complain(package: str, home: Path) -> str | None:
    """Return what is wrong with the place where Python finds `package`, and what to do; None where it is in `home`."""
    found = find(package)
    if found is None:
        return f"the package `{package}` must stand beside p3o_jax in {home}; found none: install the project again."
    if found.parent == home:
        return None
    listed = {Path(entry).resolve() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry}
    remedy = "unset PYTHONPATH" if found.parent in listed else "start p3o in another directory"
    return f"the package `{package}` at {found} hides the one that belongs to p3o: {remedy}."


def find(package: str) -> Path | None:
    """Return the folder of the package that Python would import by that name, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return None
    if spec.origin is not None:
        origin = Path(spec.origin).resolve()
        return origin.parent if spec.submodule_search_locations is not None else origin
    return Path(next(iter(spec.submodule_search_locations or ()))).resolve()


if __name__ == "__main__":
    main()
