"""`p3o envs` lists every environment, and prints the reference of one."""

import pytest

from envs.registry import ENVIRONMENTS
from experiments import cli


def test_every_environment_is_listed_with_its_task(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    cli.main(["envs"])
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines[1:-1]}
    assert set(rows) == set(ENVIRONMENTS)
    assert "Find the goal in the last of several chambers" in rows["chambers"]
    assert rows["chambers"].split()[-3:] == ["1", "2", "floats"]
    assert rows["drive"].split()[-2:] == ["64", "28"]
    assert "brax" in lines[-1]


def test_the_reference_of_one_is_printed(capsys):
    cli.main(["envs", "chambers"])
    out = capsys.readouterr().out
    assert "Observation (6 floats):" in out
    assert "num_chambers: The difficulty" in out


def test_an_unknown_one_is_refused_with_the_nearest(capsys):
    with pytest.raises(SystemExit) as refusal:
        cli.main(["envs", "chamber"])
    assert refusal.value.code == 2
    assert capsys.readouterr().err.startswith("error: `name` must be one of agar, boids, ")
