"""A score that is minimised: it keeps its sign everywhere, and the sweep is the mirror image of a maximised one."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optuna
import pytest

from neocarbs_jax import SearchSpace, Study, sweep
from neocarbs_jax.expected import expected_scores
from neocarbs_jax.report import report
from neocarbs_jax.report.plots.progress import hypervolumes
from neocarbs_jax.report.plots.style import beyond_worst
from neocarbs_jax.space import Linear, Log

SPACE = SearchSpace(rate=Log(1e-4, 1.0), steps=Log(1.0, 100.0))


def gain(values, key):
    del key
    return jnp.exp(-((jnp.log10(values["rate"]) + 2) ** 2)) * values["steps"] / (values["steps"] + 5), values["steps"]


def loss(values, key):
    score, cost = gain(values, key)
    return jnp.where(values["rate"] > 0.5, jnp.nan, -score), cost


def gain_with_failures(values, key):
    score, cost = loss(values, key)
    return -score, cost


def both(strategy, num_trials):
    configs = [sweep.Config(SPACE, 16, strategy, direction=way) for way in ("maximize", "minimize")]
    pairs = zip(configs, (gain_with_failures, loss), strict=True)
    return configs, [sweep.run(c, objective, jax.random.key(3), num_trials) for c, objective in pairs]


def test_the_core_proposes_the_same_for_a_score_and_for_its_negative_as_a_loss():
    _, ((up, high), (down, low)) = both("pareto_genetic", 10)
    np.testing.assert_array_equal(high.suggestion.unit, low.suggestion.unit)
    np.testing.assert_array_equal(high.score, -low.score)
    np.testing.assert_array_equal(high.failed, low.failed)
    np.testing.assert_array_equal(up.observations.score, down.observations.score)


@pytest.mark.slow
def test_predictions_and_expectations_are_mirrored():
    configs, ((up, high), (down, low)) = both("neocarbs", 10)
    np.testing.assert_array_equal(high.suggestion.unit, low.suggestion.unit)
    np.testing.assert_array_equal(high.suggestion.predicted_score, -low.suggestion.predicted_score)
    np.testing.assert_array_equal(high.suggestion.rating, low.suggestion.rating)
    first, second = (expected_scores(c, state) for c, state in zip(configs, (up, down), strict=True))
    on = np.asarray(first.on_front)
    assert on.any()
    np.testing.assert_array_equal(on, second.on_front)
    np.testing.assert_array_equal(first.low[on], -second.high[on])
    assert np.all(second.low[on] <= second.score[on])
    assert np.all(second.score[on] <= second.high[on])


@pytest.fixture
def study(tmp_path):
    made = Study.create(
        SPACE, tmp_path / "a.db", name="a", direction="minimize", strategy="random", compilation_cache=False
    )
    for number, (score, cost) in enumerate([(0.5, 1.0), (0.3, 2.0), (0.4, 3.0), (0.1, 4.0), (float("nan"), 5.0)]):
        made.add({"rate": 0.1 / (number + 1), "steps": cost}, score, cost)
    return made


def test_a_study_keeps_the_sign_in_front_storage_and_figures(study, tmp_path):
    assert [t.score for t in study.front] == [0.5, 0.3, 0.1]
    assert study.trials[4].status == "failed"
    theirs = optuna.load_study(study_name="a", storage=f"sqlite:///{tmp_path}/a.db")
    assert [way.name for way in theirs.directions] == ["MINIMIZE", "MINIMIZE"]
    assert {t.number for t in theirs.best_trials} == {t.number for t in study.front}
    assert hypervolumes(study.trials) == sorted(hypervolumes(study.trials))
    assert beyond_worst(study.trials) > 0.5
    list_of_front = study.trials_dataframe().query("on_front").score.tolist()
    assert list_of_front == [0.5, 0.3, 0.1]
    report.write(tmp_path / "out", study.trials, study.log_axes, title="a", space=study.space)
    assert (tmp_path / "out" / "report.html").stat().st_size > 0


def test_an_existing_study_keeps_its_direction(study, tmp_path):
    assert Study.load(tmp_path / "a.db", name="a", compilation_cache=False).direction == "minimize"
    again = Study.create(SPACE, tmp_path / "a.db", name="a", compilation_cache=False)
    assert again.direction == "minimize"
    assert [t.direction for t in again.ask(2)] == ["minimize"] * 2
    with pytest.raises(ValueError, match="directions maximize, minimize; 'a' has minimize, minimize"):
        Study.create(SPACE, tmp_path / "a.db", name="a", direction="maximize")
    with pytest.raises(ValueError, match="`direction` must be maximize or minimize; got 'up'"):
        Study.create(SPACE, tmp_path / "b.db", direction="up")


def test_a_study_to_minimize_of_another_tool_is_adopted_with_its_direction(tmp_path):
    storage = f"sqlite:///{tmp_path}/b.db"
    theirs = optuna.create_study(storage=storage, study_name="b", directions=["minimize", "minimize"])
    theirs.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 1.0), n_trials=3)
    space = SearchSpace(x=Linear(0, 1))
    study = Study.create(space, storage, name="b", adopt=True, direction="minimize", compilation_cache=False)
    assert study.front[0].score == min(t.values[0] for t in theirs.trials)


@pytest.mark.slow
def test_the_command_line_minimizes(tmp_path):
    (tmp_path / "space.toml").write_text('[x]\ntype = "linear"\nlow = 0\nhigh = 1\n')
    program = tmp_path / "train.py"
    program.write_text("import sys, json\nx = float(sys.argv[1])\nprint(json.dumps({'score': (x - .3)**2, 'cost': 1}))")

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "neocarbs_jax.cli", *words], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    command = f"{sys.executable} {program} {{x}}"
    run("run", "--space", "space.toml", "--command", command, "--trials", "9", "--direction", "minimize")
    best = json.loads(run("best", "runs/space.db", "--format", "json"))
    assert abs(best["x"] - 0.3) < 0.2
    scores = [row["score"] for row in json.loads(run("show", "runs/space.db", "--json"))]
    [summary] = json.loads(run("studies", "runs/space.db", "--json"))
    assert summary["best_score"] == min(scores)
