"""`neocarbs` as a stranger uses it: what it prints, and one line for what is wrong."""

import socket

import pytest

from neocarbs_jax import Log, SearchSpace, Study, cli


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a command in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda *args: cli.main(args)


@pytest.fixture
def study(tmp_path):
    return Study.create(SearchSpace(lr=Log(0.1, 0.9)), f"sqlite:///{tmp_path}/a.db", name="a:b")


def tell(study):
    [trial] = study.ask()
    study.tell(trial, 1.0, 2.0, settings={"horizon": 8, "key": "ff"})


def test_a_study_without_trials_is_said_to_be_empty(run, study, capsys, tmp_path):
    run("front", "a.db")
    assert "no front yet: none of 0 trials has completed" in capsys.readouterr().out
    run("report", "a.db")
    assert "None of 0 trials has completed" in capsys.readouterr().out
    assert (tmp_path / "runs" / "a-b" / "report.html").exists()


def test_a_study_is_listed_printed_and_reported_by_its_path(run, study, capsys, tmp_path):
    tell(study)
    run("studies", "a.db")
    run("front", "a.db", "--name", "pong")
    run("report", "a.db", "--out", "page")
    out = capsys.readouterr().out
    assert "The only study there is 'a:b', not 'pong'." in out
    assert "all trials: horizon=8 key=ff" in out
    assert "horizon" in (tmp_path / "page" / "report.html").read_text()
    assert (tmp_path / "page" / "trials.csv").read_text().splitlines()[0].endswith("lr,horizon,key")


def test_past_trials_are_imported(run, study, capsys, tmp_path):
    (tmp_path / "past.csv").write_text("lr,accuracy,hours\n0.2,0.5,1\n5,0.7,2\nx,1,1\n")
    run("import", "past.csv", "a.db", "--score", "accuracy", "--cost", "hours")
    out = capsys.readouterr().out
    assert "Left out line 4: `lr` must be a number; got 'x'" in out
    assert "2 trials added to 'a:b'." in out
    assert [t.score for t in study.trials] == [0.5, 0.7]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["import", "none.csv", "a.db"], "`file` must be a CSV file that can be read; got 'none.csv'"),
        (["front", "b.db"], "`storage` must exist; got 'sqlite:///b.db'."),
        (["front", "sqlite:/a.db"], "`storage` must be a path, or read sqlite:///PATH"),
        (["report", "a.db", "--out", "a.db/out"], "`out` must be a folder that can be written; got 'a.db/out'"),
        (["dashboard", "a.db", "--port", "0"], "`port` must be from 1 to 65535; got 0."),
        (["dashboard", "a.db", "--port", "65536"], "`port` must be from 1 to 65535; got 65536."),
        (["studies", "broken.db"], "`storage` must name a database that can be opened; got"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(run, study, capsys, tmp_path, args, message):
    (tmp_path / "broken.db").write_text("no database " * 100)
    with pytest.raises(SystemExit) as refusal:
        run(*args)
    assert refusal.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_port_in_use_is_one_line(run, study, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(SystemExit) as refusal:
        run("dashboard", "a.db", "--port", str(server.getsockname()[1]))
    assert refusal.value.code == 2
    assert "`port` must be free, and `host` this machine's; got 127.0.0.1:" in capsys.readouterr().err
