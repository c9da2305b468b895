"""Values that are tried again: the objective is told, and the surrogates see one point with several measurements."""

import math

from neocarbs_jax.space import Choice, Log, Logit, SearchSpace
from neocarbs_jax.study import Study

SPACE = SearchSpace(steps=Log(1, 1000), gamma=Logit(0.8, 0.999), kind=Choice(("a", "b")))


def test_an_objective_that_names_the_trial_is_told_how_often_its_values_ran_before(tmp_path):
    study = Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db")
    seen = []

    def objective(values, trial):
        seen.append((values, trial.replicate))
        return 1.0, 2.0

    values = {"steps": 10.0, "gamma": 0.9, "kind": "b"}
    for _ in range(3):
        study.enqueue(values)
    study.run(objective, num_trials=3)
    assert seen == [(values, 0), (values, 1), (values, 2)]
    assert [trial.replicate for trial in Study.load(study.optuna_study._storage).trials] == [0, 1, 2]


def test_an_interrupted_trial_is_no_replicate(tmp_path):
    study = Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db")
    values = {"steps": 10.0, "gamma": 0.9, "kind": "b"}
    study.enqueue(values)
    study.interrupt(study.ask()[0])
    study.enqueue(values)
    assert study.ask()[0].replicate == 0


def test_a_point_that_is_sampled_again_has_the_same_values_to_the_last_digit(tmp_path):
    study = Study.create(SPACE, f"sqlite:///{tmp_path}/sweep.db", resample_every=3)
    study.run(lambda values: (math.log(values["steps"]) * values["gamma"], values["steps"]), num_trials=13)
    replicates = [trial for trial in study.trials if trial.replicate]
    assert replicates
    for trial in replicates:
        assert any(other.values == trial.values for other in study.trials[: trial.number])
