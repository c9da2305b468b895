"""A trial of a sweep, trained again by itself."""

import csv
import json

import jax
import pytest

from experiments import cli, evaluate, saved, sweep, train
from experiments.environments import make_env
from experiments.objective import Training
from experiments.repeat import find_trial, wanted
from experiments.settings import NAMES
from neocarbs_jax import Log, SearchSpace, Study
from p3o_jax.settings import Config, Params

TINY = ("segment_length=8", "horizon=4", "num_envs=8", "network.width=8", "num_minibatches=1")
SWEEP = ("sweep", "--env", "foraging", "--storage", "runs/a.db", "--trials", "2", "--episodes", "64", "--seed", "5")


def run(monkeypatch, folder, *args):
    monkeypatch.chdir(folder)
    for module in (train, evaluate, sweep):
        monkeypatch.setattr(module, "keep_on_disk", lambda: None)
    cli.main(args)


@pytest.fixture
def study(tmp_path):
    return Study.create(SearchSpace(tau=Log(0.1, 0.9)), f"sqlite:///{tmp_path}/a.db", name="kept")


@pytest.mark.slow
def test_a_trial_is_repeated_bit_for_bit(monkeypatch, tmp_path, capsys):
    run(monkeypatch, tmp_path, *SWEEP, "--bounds", "total_steps=2e3,9e3", "--set", *TINY)
    trials = Study.load(f"sqlite:///{tmp_path}/runs/a.db", name="foraging").trials
    assert trials[0].attrs["settings"]["key"] != trials[1].attrs["settings"]["key"]
    for trial in trials:
        run(monkeypatch, tmp_path, "train", "--from-trial", "runs/a.db", "--trial", str(trial.number))
        assert f"trial {trial.number} of study 'foraging' scored {trial.score:.6g}: the same" in capsys.readouterr().out
        kept = json.loads((tmp_path / "runs" / f"foraging-trial-{trial.number}" / "settings.json").read_text())
        told = {name: value for name, value in trial.attrs["settings"].items() if name != "episodes"}
        assert kept | {"value_clip": str(kept["value_clip"])} == told  # infinities are text in attributes
    again = ("train", "--from-trial", "runs/a.db", "--trial", "0", "--out", "b", "--set", "learning_rate=1e-4")
    run(monkeypatch, tmp_path, *again)
    assert "with other settings, scored" in capsys.readouterr().out


@pytest.mark.slow
def test_every_row_of_a_sweep_holds_every_setting(monkeypatch, tmp_path):
    run(monkeypatch, tmp_path, *SWEEP, "--bounds", "total_steps=1e3,2e3", "--set", *TINY)
    with (tmp_path / "runs" / "foraging" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert {*NAMES, "env", "seed", "key", "episodes"} <= set(row)
        assert (row["env"], row["seed"], row["horizon"], row["segment_length"]) == ("foraging", "5", "4", "8")
    assert "<td>segment_length</td><td>8</td>" in (tmp_path / "runs" / "foraging" / "report.html").read_text()


def test_the_settings_of_a_trial_make_the_training_that_it_was():
    training = Training(make_env("pong"), Config(horizon=8), Params(), env_name="pong", seed=3, num_episodes=4)
    values = {"tau": 0.1234567890123, "num_envs": 32}
    settings = training.settings(values)
    config, params = train.settings.replace(Config(), Params(), {n: v for n, v in settings.items() if n in NAMES})
    expected = training.split(values)
    assert config == expected[0]
    assert jax.tree.leaves(params) == jax.tree.leaves(expected[1])
    assert (settings["env"], settings["seed"], settings["episodes"]) == ("pong", 3, 4)


def test_a_key_is_written_and_read_back():
    key = jax.random.fold_in(jax.random.key(3), 2**32 - 5)
    assert (saved.to_key(saved.to_text(key)) == key).all()
    assert saved.keys(None, "")[0] == jax.random.key(0)


def test_what_is_given_beside_a_trial_replaces_its_settings(study):
    [trial] = study.ask()
    kept = {"env": "maze", "seed": 4, "key": "00000000000000ff", "episodes": 7, "tau": 0.3, "horizon": 16}
    study.tell(trial, 1.0, 2.0, settings=kept)
    repeated = find_trial(path_of(study), None, 0, print)
    settings, given = wanted(None, None, [("tau=.4",)], repeated.settings)
    assert (settings["env"], settings["key"], settings["horizon"], settings["tau"]) == ("maze", kept["key"], 16, 0.4)
    assert {"env", "horizon"} <= given
    assert settings["bands"] == 0, "older than bands"
    settings, _ = wanted(None, 9, [], repeated.settings)
    assert (settings["seed"], settings["key"]) == (9, "")


def test_the_bands_of_an_estimator_that_has_none_do_not_become_lags():
    training = Training(make_env("pong"), Config(estimator="gae"), Params(), env_name="pong")
    settings, _ = wanted(None, None, [("estimator=p3o",)], training.settings({}))
    assert settings["bands"] == 8


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (None, "`trial` must be given with `from-trial`"),
        (7, "`trial` must be from 0 to 0; got 7"),
        (0, "`trial` must be one that ended and kept its settings; got 0, running"),
    ],
)
def test_a_trial_that_cannot_be_repeated_is_refused(study, number, message):
    study.ask()
    with pytest.raises(ValueError, match=message):
        find_trial(path_of(study), "kept", number, print)


def path_of(study):
    return str(study.optuna_study._storage._backend.engine.url.database)
