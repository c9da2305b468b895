"""The console script `p3o`: check that the packages it needs are ours, then hand over to the installed command line.

`p3o_jax` knows nothing of the packages that its command line is made of: what is installed beside it registers the
function to call as the entry point `p3o` of the group `p3o_jax.commands`. Their names are common ones, so that a path
searched earlier may hold other packages of the same names.
"""

import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path

GROUP = "p3o_jax.commands"
PACKAGES = ("envs", "experiments")


def main() -> None:
    """Run the command line, or exit with code 2 and one line that says which package is in the way."""
    home = Path(__file__).resolve().parent.parent
    complaints = [complaint for package in PACKAGES if (complaint := complain(package, home))]
    commands = importlib.metadata.entry_points(group=GROUP, name="p3o")
    if not complaints and not commands:
        complaints = [f"no entry point of the group `{GROUP}` is installed: install the project again."]
    if complaints:
        print(f"p3o: {complaints[0]}", file=sys.stderr)
        raise SystemExit(2)
    next(iter(commands)).load()()


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
