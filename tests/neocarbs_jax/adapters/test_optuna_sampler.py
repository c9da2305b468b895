"""NeoCARBS inside Optuna's own loop."""

import optuna
import pytest

from neocarbs_jax import optuna_sampler
from neocarbs_jax.adapters.optuna_sampler import NeoCARBSSampler
from neocarbs_jax.space import Choice, Integer, Log, SearchSpace

SPACE = SearchSpace(lr=Log(1e-5, 1e-1), epochs=Integer(1, 8), kind=Choice(("a", "b")))


def objective(trial):
    lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    epochs = trial.suggest_int("epochs", 1, 8)
    kind = trial.suggest_categorical("kind", ("a", "b"))
    trial.suggest_float("unknown_to_the_space", 0, 1)
    if trial.number == 3:
        raise FloatingPointError("diverged")
    return lr * epochs + (kind == "a"), epochs


def test_optuna_optimizes_with_it():
    sampler = NeoCARBSSampler(SPACE, seed=1)
    study = optuna.create_study(sampler=sampler, directions=["maximize", "minimize"])
    study.optimize(objective, n_trials=6, catch=(FloatingPointError,))
    assert [t.state.name for t in study.trials].count("COMPLETE") == 5
    assert len({t.params["lr"] for t in study.trials}) == 6
    assert study.trials[0].params["lr"] == pytest.approx(1e-3)  # the centre of the space
    assert len({t.params["unknown_to_the_space"] for t in study.trials}) == 6  # drawn at random


def test_other_directions_are_refused():
    study = optuna.create_study(sampler=NeoCARBSSampler(SPACE), direction="minimize")
    with pytest.raises(ValueError, match=r"`directions` must be \['maximize', 'minimize'\].*got \['minimize'\]"):
        study.optimize(objective, n_trials=1)
    with pytest.raises(ValueError, match=r"`strategy` must be a Strategy or one of neocarbs, .*; got 'guess'"):
        NeoCARBSSampler(SPACE, strategy="guess")


def test_the_short_name_is_the_same_sampler():
    assert optuna_sampler.NeoCARBSSampler is NeoCARBSSampler
