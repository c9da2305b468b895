"""`p3o sweep --curves`: what a training was before its final decay is data on shorter trainings."""

import dataclasses

import numpy as np
import pytest

from experiments import sweep, sweep_file
from experiments.curves import shorter_trainings
from experiments.sweep_options import Sweep
from neocarbs_jax.study import Study
from p3o_jax.settings import Params

CURVE = [(250.0, 1.0, 2.5), (500.0, 2.0, 5.0), (750.0, 4.0, 7.5), (1000.0, 8.0, 10.0)]


def test_a_point_stands_for_the_training_that_would_decay_from_there():
    params = Params(total_steps=1000.0, anneal=1.0, decay=0.375)
    budgets, scores, seconds = zip(*shorter_trainings(CURVE, params, 10.0), strict=True)
    # Before the decay, at 625 steps, the curve is half-way from 2 to 4.
    np.testing.assert_allclose(budgets, [400, 800, 1000], rtol=1e-6)
    np.testing.assert_allclose(scores, [1, 2, 3], rtol=1e-6)
    np.testing.assert_allclose(seconds, [4, 8, 10], rtol=1e-6)


def test_a_training_that_anneals_nothing_is_every_shorter_one():
    constant = Params(total_steps=1000.0, anneal=0.0, entropy_anneal=0.0)
    np.testing.assert_allclose(shorter_trainings(CURVE, constant, 10.0), CURVE)


@pytest.mark.parametrize("curve", [CURVE, []])
def test_a_training_that_decays_from_the_beginning_is_no_other(curve):
    assert shorter_trainings(curve, Params(total_steps=1000.0, anneal=1.0, decay=1.0), 10.0) == []
    assert shorter_trainings([], Params(total_steps=1000.0, decay=0.15), 10.0) == []


@pytest.mark.slow
def test_a_sweep_with_curves_keeps_them_and_knows_its_budget(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "keep_on_disk", lambda: None)
    small = ["segment_length=8", "horizon=4", "num_envs=8"]
    arguments = ["--env", "breakout", "--trials", "2", "--episodes", "4", "--bounds", "total_steps=2e4,8e4"]
    sweep.main([*arguments, "--curves", "--keep", "none", "--storage", "sqlite:///sweep.db", "--set", *small])
    study = Study.load("sqlite:///sweep.db", name="breakout")
    assert study.optuna_study.user_attrs["options"]["budget"] == "total_steps"
    for trial in study.trials:
        budgets, _, seconds = np.array(trial.attrs["curve"]).T
        assert trial.attrs["settings"]["decay"] == pytest.approx(0.15)
        assert len(budgets) > 3
        assert budgets[-1] == pytest.approx(trial.values["total_steps"])
        assert seconds[-1] == pytest.approx(trial.cost)
        np.testing.assert_allclose(seconds / budgets, seconds[-1] / budgets[-1])
    file = tmp_path / "runs" / "breakout" / "sweep.toml"
    options, _ = sweep_file.read(file, ["env", *(field.name for field in dataclasses.fields(Sweep))])
    assert options["curves"] is True
    assert "--curves" in sweep_file.arguments(options)
