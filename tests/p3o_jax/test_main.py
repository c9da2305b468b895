"""The console script hands over to `experiments.cli`, and says so where another package is in the way."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from p3o_jax import __main__ as console

HOME = Path(console.__file__).resolve().parent.parent


def test_it_hands_over_to_the_command_line(monkeypatch):
    called = []
    monkeypatch.setitem(sys.modules, "experiments.cli", SimpleNamespace(main=lambda: called.append(True)))
    console.main()
    assert called == [True]


@pytest.mark.parametrize("package", console.PACKAGES)
def test_a_package_that_hides_ours_is_named_in_one_line(tmp_path, package):
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(HOME)])}
    command = [sys.executable, "-m", "p3o_jax", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environ, check=False)
    where = (tmp_path / package).resolve()
    line = f"p3o: the package `{package}` at {where} hides the one that belongs to p3o: unset PYTHONPATH.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_the_working_directory_and_absence_are_named_too(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    (tmp_path / "stranger").mkdir()  # a folder without __init__.py is a package, too
    assert console.complain("stranger", tmp_path.resolve()) is None
    assert str(console.complain("stranger", HOME)).endswith("start p3o in another directory.")
    assert "`nobody` must stand beside p3o_jax" in str(console.complain("nobody", HOME))
