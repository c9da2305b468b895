"""`p3o sweep --continues`: longer trainings go on from the checkpoints of shorter ones, and pay the difference."""

import csv

import numpy as np
import pytest

from experiments import sweep
from experiments.continuing import Checkpoints
from experiments.curves import learning_curve, shorter_trainings
from experiments.environments import make_env
from experiments.objective import Training
from neocarbs_jax.space import Log, SearchSpace
from neocarbs_jax.study import Study, Trial
from p3o_jax.params import STABLE
from p3o_jax.settings import Config, Params

SMALL = ["segment_length=8", "horizon=4", "num_envs=8"]
CONFIG = Config(segment_length=8, horizon=4, num_envs=8)
SPACE = SearchSpace(total_steps=Log(1e3, 1e5))


def test_points_of_a_continued_training_cost_what_it_has_paid_itself():
    params = Params(total_steps=1000.0, anneal=1.0, decay=0.5)
    curve = [(400.0, 1.0, 1.0), (450.0, 2.0, 2.0), (1000.0, 3.0, 8.0)]
    # The whole training takes 8 + 2 seconds; that of 800 steps would have paid 8 - 2 of them.
    points = shorter_trainings(curve, params, 8.0, inherited=2.0)
    np.testing.assert_allclose([(budget, seconds) for budget, _, seconds in points], [(800, 6), (900, 7), (1000, 8)])


def test_the_curve_of_a_continued_training_begins_where_it_went_on():
    class Seen:
        steps, score, num_episodes = np.array([0, 50, 100]), np.array([np.nan, 1.0, 2.0]), np.array([0, 1, 1])

    assert learning_curve(Seen, 10.0, done=400) == [(450.0, 1.0, 5.0), (500.0, 2.0, 10.0)]


def completed(study, steps, score):
    [trial] = study.ask()
    study.annotate(trial, values={"total_steps": steps})
    return study.tell(trial, score, steps, checkpoint_cost=0.85 * steps)


def test_the_checkpoints_that_are_the_least_short_of_the_front_are_kept(tmp_path):
    study = Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db", budget="total_steps", continues=True)
    told = [completed(study, steps, score) for steps, score in ((1e3, 1.0), (2e3, 0.5), (4e3, 3.0), (8e3, 2.9))]
    failed = study.fail(study.ask()[0], "diverged")
    [running] = study.ask()
    checkpoints = Checkpoints(tmp_path, most=3)
    for trial in (*told, failed, running):
        (checkpoints.folder / str(trial.number)).mkdir(parents=True)
    (checkpoints.folder / "removed-7").mkdir()  # by a worker that was killed meanwhile
    checkpoints.tidy(study)
    kept = {int(path.name) for path in checkpoints.folder.iterdir()}
    assert kept == {told[0].number, told[2].number, told[3].number, running.number}
    assert [trial.checkpoint_cost is None for trial in study.trials[:4]] == [False, True, False, False]


def test_a_checkpoint_that_nobody_goes_on_from_takes_no_place(tmp_path):
    study = Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db", budget="total_steps", continues=True)
    told = [completed(study, steps, score) for steps, score in ((1e3, 1.0), (2e3, 0.5), (4e3, 3.0))]
    study.drop_checkpoint(told[2])
    checkpoints = Checkpoints(tmp_path, most=2)
    for trial in told:
        (checkpoints.folder / str(trial.number)).mkdir(parents=True)
    checkpoints.tidy(study)
    assert {path.name for path in checkpoints.folder.iterdir()} == {"0", "1"}


def test_a_checkpoint_that_is_not_there_starts_the_trial_afresh(tmp_path):
    afresh = []

    class Watcher:
        def start_afresh(self, trial):
            afresh.append(trial.number)

    trial = Trial(3, {}, "running", parent=2, inherited=1.0, watcher=Watcher())
    checkpoints, env = Checkpoints(tmp_path), make_env("breakout")
    assert checkpoints.restore(trial, CONFIG, env, Params()) is None
    assert afresh == [3]
    (checkpoints.folder / "2" / "state").mkdir(parents=True)  # half written: its key is missing
    assert checkpoints.restore(trial, CONFIG, env, Params()) is None
    training = Training(env, CONFIG, Params(), env_name="breakout")
    assert training._begun(trial, CONFIG, env, Params()) is None  # without any checkpoints
    assert afresh == [3, 3, 3]
    assert training._begun(Trial(4, {}, "running"), CONFIG, env, Params()) is None
    assert afresh == [3, 3, 3]


def test_a_study_that_continues_is_gone_on_with_so(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    space = SearchSpace(total_steps=Log(1e3, 1e5))
    Study.create(space, "sqlite:///sweep.db", name="breakout", budget="total_steps", continues=True)
    with pytest.raises(SystemExit) as refusal:
        sweep.main(
            ["--env", "breakout", "--curves", "--storage", "sqlite:///sweep.db", "--bounds", "total_steps=1e3,2e5"]
        )
    assert refusal.value.code == 2
    assert "`continues` must be given for study 'breakout', which was made with it" in capsys.readouterr().err
    assert Study.load("sqlite:///sweep.db", name="breakout").space == space  # nothing is written before


@pytest.mark.slow
def test_a_continued_training_is_the_whole_one_to_the_last_bit(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    params = Params(**STABLE)
    training = Training(make_env("breakout"), CONFIG, params, env_name="breakout", num_episodes=4)
    plain = Training(make_env("breakout"), CONFIG, params, env_name="breakout", num_episodes=4)
    training.checkpoints = checkpoints
    short, long = {"total_steps": 4096.0}, {"total_steps": 8192.0}
    _, cost, attrs = training(short, Trial(0, short, "running"))
    assert 0 < attrs["checkpoint_cost"] < cost
    score, _, more = training(long, Trial(1, long, "running", parent=0, inherited=attrs["checkpoint_cost"]))
    assert more["settings"]["key"] == attrs["settings"]["key"]
    assert more["learning_curve"][0][0] > 0.85 * 4096 - 64
    # The same line from its start: the key of the shorter training, the budget of the longer.
    keys = iter([attrs["settings"]["key"]])
    original = plain.settings
    plain.settings = lambda values, replicate=0: original(values, replicate) | {"key": next(keys)}
    assert plain(long)[0] == score


@pytest.mark.slow
def test_a_sweep_goes_on_from_its_checkpoints(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "keep_on_disk", lambda: None)
    arguments = ["--env", "breakout", "--trials", "12", "--episodes", "4", "--bounds", "total_steps=2e3,3e4"]
    arguments += ["--axes", "learning_rate", "--continues", "--keep", "none", "--storage", "sqlite:///sweep.db"]
    sweep.main([*arguments, "--set", *SMALL])
    study = Study.load("sqlite:///sweep.db", name="breakout")
    trials = study.trials
    went_on = [trial for trial in trials if trial.parent is not None]
    assert went_on
    for trial in went_on:
        parent = trials[trial.parent]
        assert trial.values["learning_rate"] == parent.values["learning_rate"]
        assert trial.values["total_steps"] > parent.values["total_steps"]
        assert trial.attrs["settings"]["key"] == parent.attrs["settings"]["key"]
        assert 0 < trial.paid < trial.cost
    with (tmp_path / "runs" / "breakout" / "trials.csv").open(newline="") as file:
        assert sum(row["parent"] != "" for row in csv.DictReader(file)) == len(went_on)
    assert len(list((tmp_path / "runs" / "breakout" / "checkpoints").iterdir())) == 12
